"""From calls of torch to a graph, held against the step, with its inputs bound to a call."""

__all__: list[str] = []
