"""Planned steps on the native machine: their arguments, the programs, and autograd around them."""

__all__: list[str] = []
