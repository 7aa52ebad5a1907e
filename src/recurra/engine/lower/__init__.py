"""From calls of torch to a graph, which is compared with the step."""

__all__: list[str] = []
