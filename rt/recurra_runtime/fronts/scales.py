"""Level and scale of each of many series, and what is done to values before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Self, get_args

import numpy as np
import numpy.typing as npt

from recurra_runtime.fronts.moments import Array, Moments, near, numbers

__all__ = ["Scale", "ScaleKind", "Scales", "Transform"]

ScaleKind = Literal["standard", "mean", "robust", "none"]
Transform = Literal["none", "log", "log1p"]

_NORMAL = 1.349  # deviations that the middle half of a normal density spans
_MOST = 700.0  # beyond, exp is infinite


class Scale(NamedTuple):
    """Of one series.

    Args:
        level: of each channel, what is taken away.
        size: what it is divided by.
    """

    level: Array
    size: Array


class Scales:
    r"""Series brought to one scale, each by its own numbers or all by the same.

    .. math:: z = (g(x) - l) / s

    l and s are mean and deviation (``"standard"``), 0 and the mean of the sizes (``"mean"``),
    median and spread of the middle half by 1.349 (``"robust"``), or 0 and 1 (``"none"``), of what
    was trained on; where s would be 0, as of a channel that never changes, it is 1. g is the
    identity, the logarithm (``"log"``), or that of 1 + x (``"log1p"``).

    Args:
        channels: their names.
        how: what a scale is.
        transform: g.
        each: whether a series has its own.
        common: the scale of all, and of a series without a value.
        known: those of series by name.

    Raises:
        ValueError: a name twice, or an unknown kind.
    """

    def __init__(
        self,
        channels: Sequence[str],
        how: ScaleKind = "standard",
        transform: Transform = "none",
        *,
        each: bool = False,
        common: Scale | None = None,
        known: Mapping[str, Scale] | None = None,
    ) -> None:
        self.channels = tuple(map(str, channels))
        if len(set(self.channels)) < len(self.channels):
            raise ValueError(f"scales: expected each channel once, got {', '.join(channels)}")
        if how not in get_args(ScaleKind) or transform not in get_args(Transform):
            raise ValueError(f"scales: expected a known kind and transform, got {how}, {transform}")
        self.how, self.transform, self.each = how, transform, each
        size = len(self.channels)
        self.common = common or Scale(np.zeros(size), np.ones(size))
        self.known = dict(known or {})

    def fit(self, series: Iterable[tuple[str, npt.NDArray[Any]]]) -> Self:
        """The same with the scales of what is trained on, name and values ``[time, channels]``."""
        kept = [(name, self._through(values)) for name, values in series]
        common = self._scale(np.concatenate([values for _, values in kept])) if kept else None
        own = {name: self._scale(values, common) for name, values in kept} if self.each else {}
        return type(self)(
            self.channels, self.how, self.transform, each=self.each, common=common, known=own
        )

    def of(self, name: str, values: npt.NDArray[Any]) -> Scale:
        """That of a series: the one that is known, or that of these values."""
        if not self.each:
            return self.common
        found = self.known.get(name)
        return found or self._scale(self._through(values), self.common)

    def inward(self, values: npt.NDArray[Any], scale: Scale) -> npt.NDArray[np.float32]:
        """Values ``[..., channels]`` as they are read; NaN stays."""
        apart = (self._through(values) - scale.level) / scale.size
        return near(apart)

    def outward(self, values: npt.NDArray[Any], scale: Scale) -> Array:
        """Back to the data's units."""
        found = np.asarray(values, np.float64) * scale.size + scale.level
        if self.transform == "log":
            return np.exp(np.clip(found, -_MOST, _MOST))
        return np.expm1(np.clip(found, -_MOST, _MOST)) if self.transform == "log1p" else found

    def check(self, values: npt.NDArray[Any]) -> int | None:
        """The first step of a value that cannot be transformed, if there is one."""
        least = {"none": -np.inf, "log": 0.0, "log1p": -1.0}[self.transform]
        bad = (np.nan_to_num(values, nan=np.inf) <= least).any(1) & (self.transform != "none")
        return int(bad.argmax()) if bad.any() else None

    def _through(self, values: npt.NDArray[Any]) -> Array:
        wide: Array = np.asarray(values, np.float64)
        if self.transform == "log":
            return np.log(wide)
        return np.log1p(wide) if self.transform == "log1p" else wide

    def _scale(self, values: Array, common: Scale | None = None) -> Scale:
        size = len(self.channels)
        if self.how == "none":
            return Scale(np.zeros(size), np.ones(size))
        there = ~np.isnan(values)
        level, spread = np.zeros(size), np.ones(size)
        for channel in range(size):
            own = values[there[:, channel], channel]
            if not len(own):
                if common is not None:
                    level[channel], spread[channel] = common.level[channel], common.size[channel]
                continue
            if self.how == "mean":
                found = float(np.abs(own).mean())
            elif self.how == "robust":
                low, middle, high = np.quantile(own, [0.25, 0.5, 0.75])
                level[channel], found = middle, (high - low) / _NORMAL
            else:
                moments = Moments(1)
                moments.add(own[:, None])
                level[channel], found = moments.mean[0], moments.deviation[0]
            spread[channel] = found if found > 0 and np.isfinite(found) else 1.0
        return Scale(level, spread)

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "channels": list(self.channels),
            "how": self.how,
            "transform": self.transform,
            "each": self.each,
            "common": _listed(self.common),
            "known": {name: _listed(scale) for name, scale in self.known.items()},
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """What :meth:`to_json` wrote.

        Raises:
            ValueError: data of another shape.
        """
        names, known = data.get("channels"), data.get("known")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("scales: expected a list 'channels' of names")
        if not isinstance(known, dict) or not isinstance(data.get("each"), bool):
            raise ValueError("scales: expected 'known' scales by name, and 'each', true or false")
        return cls(
            names,
            data.get("how", ""),
            data.get("transform", ""),
            each=data["each"],
            common=_scale_of(data.get("common"), len(names)),
            known={name: _scale_of(scale, len(names)) for name, scale in known.items()},
        )


def _listed(scale: Scale) -> dict[str, list[float]]:
    return {"level": scale.level.tolist(), "size": scale.size.tolist()}


def _scale_of(data: Any, size: int) -> Scale:
    if not isinstance(data, dict):
        raise ValueError("scales: expected a level and a size")
    found = Scale(*(numbers(data, name, size, "scales") for name in ("level", "size")))
    if not (found.size > 0).all():
        raise ValueError("scales: expected sizes above 0")
    return found
