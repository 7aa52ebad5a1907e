"""What a density says, in the data's units."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from recurra.heads.densities import quick_quantile
from recurra_runtime.fronts import Scale, Scales

__all__ = ["deviation_of", "middle_of"]

_BELOW, _ABOVE = 0.15865525393145707, 0.8413447460685429  # a deviation off the mean, if normal


def middle_of(density: Any, scales: Scales) -> Tensor:
    """The number that stands for a density, scaled: its mean, its median where a transform is.

    The median goes through a transform and back; the mean of logarithms is no logarithm of a mean.
    """
    found: Tensor = density.mean if scales.transform == "none" else quick_quantile(density, 0.5)
    return found


def deviation_of(density: Any, scales: Scales, scale: Scale) -> npt.NDArray[np.float64]:
    """Standard deviation in the data's units; 0 where no spread is said.

    Where a transform is it is half the distance between the quantiles of 15.87 % and 84.13 %, which
    of a normal density are a deviation off its mean: of what is beyond them, which a logarithm's
    deviation knows, the transform back makes an expectation that may be infinite.
    """
    if scales.transform == "none":
        return _plain(density.deviation) * scale.size
    low, high = (
        scales.outward(_plain(quick_quantile(density, share)), scale) for share in (_BELOW, _ABOVE)
    )
    return (high - low) / 2


def _plain(tensor: Tensor) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = tensor.double().cpu().numpy()
    return found
