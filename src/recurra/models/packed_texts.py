"""Texts in one array, as files of rivals keep them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

__all__ = ["packed_texts", "unpacked_texts"]


def packed_texts(texts: Iterable[str]) -> npt.NDArray[np.uint8]:
    """Texts as bytes, each behind its length."""
    raw = [text.encode("utf-8", "surrogatepass") for text in texts]
    sizes = np.array([len(raw), *map(len, raw)], "<i8").tobytes()
    return np.frombuffer(sizes + b"".join(raw), np.uint8)


def unpacked_texts(stored: npt.NDArray[np.uint8]) -> list[str]:
    """What :func:`packed_texts` stored."""
    raw = stored.tobytes()
    count = int(np.frombuffer(raw[:8], "<i8")[0])
    sizes = np.frombuffer(raw[8 : 8 * (count + 1)], "<i8")
    ends = 8 * (count + 1) + np.cumsum(sizes)
    parts = zip((ends - sizes).tolist(), ends.tolist(), strict=True)
    return [raw[start:end].decode("utf-8", "surrogatepass") for start, end in parts]
