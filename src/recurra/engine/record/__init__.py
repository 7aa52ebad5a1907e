"""What a step calls, as torch records it, and what a recording hangs on."""

__all__: list[str] = []
