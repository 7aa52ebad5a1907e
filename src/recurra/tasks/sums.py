"""What of many examples adds up, so that a number can be had of any of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Sums", "ratio"]


class Sums(NamedTuple):
    """A number of many examples that is no mean of theirs, as an error rate by symbols is none.

    Args:
        values: what adds up, ``[examples, numbers]``.
        of: makes the number ``[...]`` of sums ``[..., numbers]``.
        less: whether less of it is better.
    """

    values: Any
    of: Callable[[Any], Any]
    less: bool = True


def ratio(sums: npt.NDArray[np.float64]) -> Any:
    """The first of sums ``[..., 2]`` by the second, a count."""
    return sums[..., 0] / np.maximum(sums[..., 1], 1)
