"""Recordings at another rate, whole or as they come."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["Resampler"]

_CROSSINGS = 24  # of the sinc on each side
_PASSED = 0.95  # of the frequencies that both rates can hold
_BLOCK = 1 << 14  # samples that are made at once

Samples = npt.NDArray[np.float32]


class Resampler:
    """Band-limited interpolation: a sinc in a Kaiser window, as Smith has it (2002).

    Sample n of what is made stands at time n / target; there are ceil(samples * target / rate) of
    them, and zeros are read before the first and behind the last sample. Each is a sum of its own,
    so chunks give what the whole gives.

    Args:
        rate: samples a second that come.
        target: samples a second that are made.
    """

    def __init__(self, rate: int, target: int) -> None:
        common = math.gcd(rate, target)
        self._up, self._down = target // common, rate // common
        share = _PASSED * min(1.0, target / rate)
        half = math.ceil(_CROSSINGS / share)
        places = np.arange(-half + 1, half + 1) - np.arange(self._up)[:, None] / self._up
        window = np.kaiser(4001, 8.0)
        shape = np.interp(places / half, np.linspace(-1, 1, 4001), window)
        self._filters = share * np.sinc(share * places) * shape  # [phase, taps]
        self._half = half
        self._held = np.zeros(half - 1)  # the last that came, from sample number _first on
        self._first = 1 - half
        self._came = self._made = 0

    def push(self, samples: Samples) -> Samples:
        """What further samples make possible."""
        self._held = np.concatenate([self._held, samples])
        self._came += len(samples)
        # Sample n reads up to number n * down // up + half.
        last = self._came - 1 - self._half
        return self._make(max(0, ((last + 1) * self._up - 1) // self._down + 1) if last >= 0 else 0)

    def finish(self) -> Samples:
        """What waited for more."""
        self._held = np.concatenate([self._held, np.zeros(self._half + 1)])
        return self._make(-(-self._came * self._up // self._down))

    def _make(self, until: int) -> Samples:
        """All before number ``until`` that are not made yet."""
        found = np.empty(max(0, until - self._made), np.float32)
        taps = np.arange(2 * self._half)
        for start in range(0, len(found), _BLOCK):
            numbers = np.arange(start, min(start + _BLOCK, len(found))) + self._made
            place, phase = np.divmod(numbers * self._down, self._up)
            read = self._held[(place - self._half + 1 - self._first)[:, None] + taps]
            found[start : start + _BLOCK] = np.einsum("nk,nk->n", read, self._filters[phase])
        self._made += len(found)
        keep = max(0, self._made * self._down // self._up - self._half + 1 - self._first)
        self._held, self._first = self._held[keep:], self._first + keep
        return found
