"""Other libraries' models."""

from recurra.interop.convert import convert, revert

__all__ = ["convert", "revert"]
