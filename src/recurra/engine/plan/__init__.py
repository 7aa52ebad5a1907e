"""What of a step is computed when, and what is kept for its gradient."""

__all__: list[str] = []
