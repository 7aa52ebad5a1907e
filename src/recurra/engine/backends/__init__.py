"""Ways to run a call, and the choice among them."""

__all__: list[str] = []
