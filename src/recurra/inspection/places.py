"""What places in a model are called on a page."""

from __future__ import annotations

import re

__all__ = ["called"]

_LAYER = re.compile(r"encoder\.layer\.layers\.(\d+)(?:\.(forward|backward)_layer)?\.cell")


def called(place: str) -> str:
    """A cell's place in words: which layer from below, and in which direction it reads.

    >>> called("encoder.layer.layers.0.backward_layer.cell: forget gate")
    'layer 1 backward: forget gate'
    """
    cell, colon, rest = place.partition(": ")
    found = _LAYER.fullmatch(cell)
    if found is None:
        return f"{cell or 'the cell'}{colon}{rest}"
    direction = f" {found[2]}" if found[2] else ""
    return f"layer {int(found[1]) + 1}{direction}{colon}{rest}"
