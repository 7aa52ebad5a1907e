"""How weights start, by name.

A weight is ``[gates * rows, columns]`` and maps a vector of ``columns`` to ``gates`` stacked
blocks of ``rows``. An initializer fills it in place: ``initialize(weight, gates)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

from recurra.errors import SettingError, nearest

__all__ = ["Initializer", "initializer"]

Initializer: TypeAlias = Callable[[Tensor, int], object]
"""Fills a weight ``[gates * rows, columns]`` in place: ``initialize(weight, gates)``."""


def _glorot(weight: Tensor, gates: int) -> None:
    """Uniform in ``± sqrt(6 / (columns + gates*rows))`` (Glorot & Bengio 2010; Keras's default)."""
    nn.init.xavier_uniform_(weight)


def _orthogonal(weight: Tensor, gates: int) -> None:
    """Orthonormal columns of the whole stacked matrix (Saxe et al. 2014; Keras's default)."""
    nn.init.orthogonal_(weight)


def _identity(weight: Tensor, gates: int) -> None:
    """The identity in each gate's block (Le, Jaitly & Hinton 2015).

    Raises:
        SettingError: the blocks are not square.
    """
    rows, columns = weight.shape[0] // gates, weight.shape[1]
    if rows != columns:
        raise SettingError(
            f"initializer 'identity': expected a square matrix, got [{rows}, {columns}]"
        )
    with torch.no_grad():
        weight.copy_(torch.eye(rows, dtype=weight.dtype).repeat(gates, 1))


def _normal(weight: Tensor, gates: int) -> None:
    """Normal with deviation ``1 / sqrt(columns)``, which keeps the variance of a sum at 1."""
    nn.init.normal_(weight, std=1 / math.sqrt(max(weight.shape[1], 1)))


def _torch(weight: Tensor, gates: int) -> None:
    """Uniform in ``± 1 / sqrt(rows)``, rows being the hidden size, as ``torch.nn.LSTM`` starts."""
    bound = 1 / math.sqrt(max(weight.shape[0] // gates, 1))
    nn.init.uniform_(weight, -bound, bound)


_NAMED: dict[str, Initializer] = {
    "glorot": _glorot,
    "identity": _identity,
    "normal": _normal,
    "orthogonal": _orthogonal,
    "torch": _torch,
    "zeros": lambda weight, gates: nn.init.zeros_(weight),
}


def initializer(name: str | Initializer) -> Initializer:
    """The initializer of a name: glorot, identity, normal, orthogonal, torch or zeros.

    Args:
        name: one of the names, or a function ``initialize(weight, gates)``, which is returned.

    Raises:
        SettingError: an unknown name; the nearest is suggested.
    """
    if callable(name):
        return name
    if not isinstance(name, str):
        raise SettingError(f"initializer: expected a name or a function, got {name!r}")
    if name not in _NAMED:
        raise SettingError(f"initializer: no {name!r}; {nearest(name, _NAMED)}")
    return _NAMED[name]
