"""A picture that is described once, and drawn as SVG, PNG or HTML without a browser.

The description is Vega-Lite, which vl-convert draws. That library is loaded with the first drawing,
which takes about a second; those that follow take a tenth of it.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recurra.errors import SettingError
from recurra.files import write_file

__all__ = ["FONT", "Chart", "check_ending", "heading", "shortened"]

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Text stays text: a machine takes the first of these that it has.
FONT = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"
_WRAP = 108  # characters of a line below the title
_CONFIG = {
    "font": FONT,
    "background": "white",  # also where the page around it is dark
    "padding": 14,
    "view": {"stroke": None},
    "axis": {
        "gridColor": "#e4e4e4",
        "domainColor": "#888",
        "tickColor": "#888",
        "labelColor": "#333",
        "titleColor": "#333",
        "labelFontSize": 12,
        "titleFontSize": 13,
        "titleFontWeight": "normal",
        "titlePadding": 10,
        "labelFlush": False,
    },
    "title": {
        "anchor": "start",
        "frame": "group",
        "fontSize": 17,
        "fontWeight": "normal",
        "color": "#222",
        "subtitleColor": "#444",
        "subtitleFontSize": 13,
        "subtitlePadding": 6,
        "offset": 14,
    },
}


def _drawable(value: Any) -> Any:
    """Without characters that XML has not: the library that draws ends the process at one."""
    if isinstance(value, str):
        return _NO_XML.sub("\ufffd", value)
    if isinstance(value, Mapping):
        return {_drawable(name): _drawable(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_drawable(each) for each in value]
    return value


class Chart:
    """A picture.

    Args:
        description: in Vega-Lite, its data within it; how fonts and axes look is added.
    """

    def __init__(self, description: Mapping[str, Any]) -> None:
        self.description = {
            "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
            **_drawable(dict(description)),
            "config": _CONFIG,
        }

    def svg(self) -> str:
        """As SVG, in which text can be searched and copied.

        Raises:
            SettingError: the library that draws is missing; the message says what brings it.
        """
        return str(_library().vegalite_to_svg(self.description))

    def png(self, *, scale: float = 2.0) -> bytes:
        """As PNG.

        Args:
            scale: pixels of a point.

        Raises:
            SettingError: as for :meth:`svg`.
        """
        return bytes(_library().vegalite_to_png(self.description, scale=scale))

    def html(self) -> str:
        """As a page that tells the numbers under the mouse; it loads nothing from elsewhere.

        Raises:
            SettingError: as for :meth:`svg`.
        """
        return str(_library().vegalite_to_html(self.description, bundle=True))

    def save(self, path: str | Path) -> Path:
        """Write a file, whole or not at all.

        Args:
            path: ends in ``.svg``, ``.png`` or ``.html``, which says as what.

        Raises:
            SettingError: another ending, or as for :meth:`svg`.
            RunError: it cannot be written.
        """
        path = Path(path)
        kinds: dict[str, Callable[[], str | bytes]]
        kinds = {".svg": self.svg, ".png": self.png, ".html": self.html}
        drawn = kinds[check_ending(path)]()
        write_file(path, drawn.encode() if isinstance(drawn, str) else drawn)
        return path

    def _repr_svg_(self) -> str:  # what a notebook shows
        return self.svg()


def check_ending(path: Path) -> str:
    """The ending of a picture's name.

    Raises:
        SettingError: it says no kind of picture.
    """
    ending = path.suffix.lower()
    if ending not in (".svg", ".png", ".html"):
        raise SettingError(
            f"chart: expected a name that ends in .svg, .png or .html, got {path.name!r}"
        )
    return ending


def _library() -> Any:
    try:
        import vl_convert
    except ImportError as problem:
        raise SettingError(
            "charts: drawing needs the library vl-convert-python, which cannot be imported "
            f"({problem}); pip install 'recurra[charts]' brings it."
        ) from None
    return vl_convert


def heading(title: str, told: Sequence[str], width: int = _WRAP) -> dict[str, Any]:
    """A title, sentences below it, and both for those who hear the picture."""
    sentences = [sentence for sentence in told if sentence]
    below = [part for sentence in sentences for part in textwrap.wrap(sentence, width)]
    return {
        "title": {"text": title, "subtitle": below},
        "description": " ".join([title + ".", *sentences]),
    }


def shortened(text: str, most: int) -> str:
    """A text of at most so many characters."""
    return text if len(text) <= most else text[: most - 1] + "…"
