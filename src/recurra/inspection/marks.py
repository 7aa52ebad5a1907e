"""Numbers as pictures within a page: light and dark dots, and stretches of time by their labels."""

from __future__ import annotations

import base64
import html
import struct
import zlib
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["dots", "image", "png", "strip"]

Bytes = npt.NDArray[np.uint8]


def png(pixels: Bytes) -> bytes:
    """A PNG file of pixels ``[height, width, 3]``.

    Source: PNG specification (third edition), filter 0 in every line.
    """
    height, width, _ = pixels.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], 1)
    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def image(pixels: Bytes, about: str, kind: str = "") -> str:
    """An image that stands in the page itself.

    Args:
        pixels: ``[height, width, 3]``.
        about: what it shows, for those who hear the page.
        kind: its class.
    """
    data = base64.b64encode(png(pixels)).decode()
    return f"<img class='{kind}' alt='{html.escape(about)}' src='data:image/png;base64,{data}'>"


def dots(numbers: npt.NDArray[Any]) -> Bytes:
    """Numbers ``[..., channels]`` as light, the least black: three channels as color, else gray.

    What is no number is black.
    """
    known = np.asarray(numbers, np.float64)
    finite = known[np.isfinite(known)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    light = np.nan_to_num((known - low) / max(high - low, 1e-12))
    color = light[..., :3] if light.shape[-1] >= 3 else light[..., :1].repeat(3, -1)
    found: Bytes = np.round(np.clip(color, 0, 1) * 255).astype(np.uint8)
    return found


def strip(labels: Sequence[str], right: Sequence[bool], about: str) -> str:
    """Labels of steps one behind another, those that follow each other as one stretch.

    Args:
        labels: of each step.
        right: whether it is as it should be.
        about: what they are.
    """
    parts = []
    for (label, fine), some in groupby(zip(labels, right, strict=True)):
        size = len(list(some))
        kind = "" if fine else " class=wrong"
        told = f"{label}: {size:,} step{'s' * (size > 1)}{'' if fine else ', wrong'}"
        parts.append(
            f"<span{kind} style='flex-grow:{size}' title='{html.escape(told, quote=True)}'>"
            f"{html.escape(label)}</span>"
        )
    return f"<p class=how>{html.escape(about)}</p><div class=strip>{''.join(parts)}</div>"
