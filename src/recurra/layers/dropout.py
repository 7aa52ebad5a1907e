"""Dropout of what passes between layers, drawn for each step or held over all of them."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from recurra.masks import drop, mask_like
from recurra.sequences import PaddedSequence

__all__ = ["dropout", "word_dropout"]


def dropout(values: Any, rate: float, training: bool, *, held: bool = False) -> Any:
    """Dropout of a sequence ``[time, batch, ...]``, a tensor or a PaddedSequence.

    Args:
        values: is not changed.
        rate: share of elements that become 0; the others are divided by 1 - rate.
        training: whether there is any.
        held: one mask for all steps of a row (Gal & Ghahramani 2016), in place of one for each.
    """
    if not rate or not training:
        return values
    if isinstance(values, PaddedSequence):
        if held:
            mask = _mask(values.values, rate)
            return PaddedSequence(values.values * mask, values.lengths)
        return values.map(lambda elements: drop(elements, rate))
    return values * _mask(values, rate) if held else drop(values, rate)


def _mask(values: Tensor, rate: float) -> Tensor:
    return mask_like(values[:1], rate)


def word_dropout(table: Tensor, rate: float, training: bool) -> Tensor:
    """Embedding dropout (Gal & Ghahramani 2016): some symbols have no vector for a whole call.

    Args:
        table: vectors ``[v, e]``.
        rate: share of symbols that are left out; the vectors of others are divided by 1 - rate.
        training: whether there is any.
    """
    if not rate or not training:
        return table
    return table * mask_like(table[:, :1], rate)
