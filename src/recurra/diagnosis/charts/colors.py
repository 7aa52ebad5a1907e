"""The colors of all pictures.

They differ in lightness too: for those who see few colors, and on a gray printer.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "BLUE",
    "DARK_GRAY",
    "DARK_ORANGE",
    "GRAY",
    "GREEN",
    "INK",
    "LIGHT_BLUE",
    "ORANGE",
    "RED",
    "SERIES_COLORS",
    "SHADES",
]

BLUE, LIGHT_BLUE, ORANGE, RED, GREEN = "#0b3c6f", "#56b4e9", "#e69f00", "#b2182b", "#117733"
GRAY, DARK_GRAY, INK = "#999999", "#666666", "#222"
DARK_ORANGE = "#8f5d00"  # where it must be read
SERIES_COLORS = (  # each with what its name is written in
    (LIGHT_BLUE, "#1c76ab"),
    (BLUE, ""),
    (ORANGE, DARK_ORANGE),
    (RED, ""),
    (GREEN, ""),
    (GRAY, DARK_GRAY),
)
SHADES: dict[str, Any] = {"domain": [0, 1], "range": ["#ffffff", BLUE], "interpolate": "rgb"}
"""The scale of a share."""
