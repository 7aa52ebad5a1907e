"""Small tools for ``nn.Module``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

__all__ = ["evaluating"]


@contextmanager
def evaluating(module: object) -> Iterator[None]:
    """Evaluation mode for a while; after it every submodule is in the mode it was in.

    Args:
        module: anything; what is no ``nn.Module`` has no modes.
    """
    modes = [(p, p.training) for p in module.modules()] if isinstance(module, nn.Module) else []
    try:
        for part, _ in modes:
            part.training = False
        yield
    finally:
        for part, mode in modes:
            part.training = mode
