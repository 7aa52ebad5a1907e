"""Measured series: channels brought to one scale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from recurra_runtime.fronts.moments import Given, Moments, numbers, scale_of, scaled

__all__ = ["Series"]


class Series:
    """Channels of a series, each less its mean and by its deviation over the training part.

    A missing value (NaN) becomes 0, the mean, after scaling.

    Args:
        channels: their names; those of :meth:`fit` if none.
        mean: of each channel; 0 if None, until it is fitted.
        deviation: of each channel; 1 if None.
        mask: whether each channel has one more beside it, 1 where the value is missing: behind all
            values, in the same order.

    Raises:
        ValueError: a name twice, or numbers of another length.
    """

    kind: ClassVar[str] = "series"

    def __init__(
        self,
        channels: Sequence[str] = (),
        mean: Given = None,
        deviation: Given = None,
        *,
        mask: bool = False,
    ) -> None:
        self.channels = tuple(map(str, channels))
        if len(set(self.channels)) < len(self.channels):
            raise ValueError(f"series: expected each channel once, got {_listed(self.channels)}")
        self.mask = mask
        self.mean, self.deviation = scale_of("series", len(self.channels), mean, deviation)

    @property
    def shape(self) -> tuple[int]:
        """Of what is encoded of one step."""
        return (len(self.channels) * (2 if self.mask else 1),)

    def fit(self, rows: Iterable[Any]) -> Self:
        """This front with the scale of some rows, ``[time, channels]`` each.

        Raises:
            ValueError: no row, or one with another number of channels.
        """
        front, moments = self, None
        for row in rows:
            if not front.channels:
                names = [str(number) for number in range(_values(row).shape[-1])]
                front = type(self)(names, mask=self.mask)
            moments = moments or Moments(len(front.channels))
            moments.add(front.checked(row))
        if moments is None:
            raise ValueError("series: expected rows to take the scale from, got none")
        return type(self)(front.channels, moments.mean, moments.deviation, mask=self.mask)

    def encode(self, raw: Any) -> npt.NDArray[np.float32]:
        """``[time, channels]``, or ``[time]`` of one channel, to ``[time, *shape]``.

        Raises:
            ValueError: no numbers, another number of channels, or infinity.
        """
        values = self.checked(raw)
        missing = np.isnan(values)
        found = scaled(values, self.mean, self.deviation)
        found[missing] = 0
        return np.concatenate([found, missing.astype(np.float32)], 1) if self.mask else found

    def checked(self, raw: Any) -> npt.NDArray[np.float64]:
        """A series as float64, ``[time, channels]``.

        Raises:
            ValueError: as of :meth:`encode`.
        """
        values = _values(raw)
        size = len(self.channels)
        if values.ndim != 2 or values.shape[1] != size:
            raise ValueError(
                f"series: expected [time, {size}], channels {_listed(self.channels)}, got shape "
                f"{list(values.shape)}"
            )
        if np.isinf(values).any():
            step, channel = np.argwhere(np.isinf(values))[0]
            raise ValueError(
                f"series: expected finite numbers, channel {self.channels[channel]!r} is infinite "
                f"at step {step}; what is missing is NaN"
            )
        return values

    def to_json(self) -> dict[str, Any]:
        """Kind, names of the channels, their scale."""
        return {
            "kind": self.kind,
            "channels": list(self.channels),
            "mean": self.mean.tolist(),
            "deviation": self.deviation.tolist(),
            "mask": self.mask,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The front that :meth:`to_json` wrote.

        Raises:
            ValueError: data of another shape.
        """
        names, mask = data.get("channels"), data.get("mask")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("series: expected a list 'channels' of names")
        if not isinstance(mask, bool):
            raise ValueError("series: expected 'mask' to be true or false")
        mean, deviation = (numbers(data, n, len(names), "series") for n in ("mean", "deviation"))
        return cls(names, mean, deviation, mask=mask)


def _values(raw: Any) -> npt.NDArray[np.float64]:
    try:
        values = np.asarray(raw, np.float64)
    except (TypeError, ValueError):
        raise ValueError("series: expected numbers, [time, channels]") from None
    return values[:, None] if values.ndim == 1 else np.atleast_2d(values)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "") or "none"
