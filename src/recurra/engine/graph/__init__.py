"""A step as a graph of instructions: its values, its laws, its gradient, what it means."""

__all__: list[str] = []
