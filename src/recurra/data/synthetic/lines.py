"""Pictures of lines of text, drawn in fonts, and the fonts that are installed."""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recurra.data.absent import no_file
from recurra.data.rows import imported
from recurra.data.synthetic.base import Seed, draws, seed_number
from recurra.errors import DataError, SettingError
from recurra.settings import check_number, check_size

__all__ = ["TextLines", "fonts_of", "installed_fonts", "lines_of"]

Pixels = npt.NDArray[np.uint8]

_ENDINGS = (".otf", ".ttf")
_SHOWN = 20  # families that an error names
_PACKAGES = "fonts-dejavu-core, fonts-liberation, fonts-open-sans, fonts-lato, fonts-linuxlibertine"
_TRIES = 1000  # words drawn for a line, at most
_LARGE = 2  # a line is drawn so many times as large, then made smaller
_NOBODY = "\U0010ffff"  # no character: a font shows what it shows for those that it lacks


@dataclasses.dataclass(frozen=True)
class TextLines:
    """Pictures of lines of text as print gives them, no two alike.

    Line n is drawn in a font of its own choice; where it stands, how large, how far it is turned
    and slanted, how thick and how blurred its strokes are, how dark ink and paper, and the grain of
    both are drawn uniformly. Pictures have one height, and the width that their text needs. A
    right-to-left text is given in logical order, and needs a Pillow with Raqm to be drawn in the
    other one.

    Args:
        fonts: files of fonts, .ttf or .otf; see :func:`fonts_of`.
        height: of a picture in pixels, at least 12.
        varied: how far lines differ, from 0 (in font alone) to 1.

    Raises:
        SettingError: a setting outside its range, or no font.
        DataError: a file that is missing or no font, or Pillow is not installed, which
            ``recurra[pictures]`` brings.
    """

    fonts: Sequence[str | Path]
    height: int = 32
    varied: float = 1.0

    def __post_init__(self) -> None:
        check_size("height", self.height, 12)
        if not 0 <= check_number("varied", self.varied) <= 1:
            raise SettingError(f"varied: expected 0 to 1, got {self.varied!r}")
        if isinstance(self.fonts, str | Path) or not self.fonts:
            raise SettingError(
                f"fonts: expected a list of files, got {self.fonts!r}; recurra.data.fonts_of finds "
                "those of a family"
            )
        for file in self.fonts:
            _font(file, self.height)

    def examples(self, texts: Sequence[str], *, seed: Seed = 0) -> tuple[list[Pixels], list[str]]:
        """A picture ``[height, width]`` of each text, and the texts.

        A picture hangs on its text, on its number and on the seed alone.

        Args:
            texts: without line breaks; :func:`lines_of` cuts long ones.
            seed: a number of at least 0, or a generator.

        Raises:
            DataError: a text that a font cannot draw, or a blank one.
            SettingError: no text, or no seed.
        """
        if isinstance(texts, str) or not texts:
            raise SettingError(f"texts: expected a list of lines, got {texts!r:.80}")
        seed = seed_number(seed)
        made = [self._line(text, draws(seed, place)) for place, text in enumerate(texts)]
        return made, list(texts)

    def _line(self, text: str, chance: np.random.Generator) -> Pixels:
        between = functools.partial(_between, chance, self.varied)
        high = round(between(0.82, 0.7, 1.0) * self.height * _LARGE)
        file = self.fonts[int(chance.integers(len(self.fonts)))]
        font = _font(file, high)
        _check_text(text, file)
        covered = self._covered(text, font, between)
        thick = 2.0 ** between(0.0, -0.7, 0.7)  # of strokes: how soon a pixel is full of ink
        paper, ink = between(235, 170, 255), between(30, 0, 90)
        shade = between(0, -20, 20) * np.linspace(-1, 1, covered.shape[1])
        light = paper + shade + (ink - paper) * covered ** (1 / thick)
        light += chance.normal(0, 1, covered.shape) * between(0, 0, 0.07) * (paper - ink)
        pixels: Pixels = np.clip(light, 0, 255).round().astype(np.uint8)
        return pixels

    def _covered(self, text: str, font: Any, between: Callable[..., float]) -> npt.NDArray[Any]:
        """How much of each pixel ink covers, 0 to 1."""
        image, drawing, filters = map(_library, ("Image", "ImageDraw", "ImageFilter"))
        left, _, right, _ = font.getbbox(text)
        rise, fall = font.getmetrics()
        height = self.height * _LARGE
        before, behind = (between(0.2, 0.03, 0.5) * height for _ in range(2))
        slant = between(0.0, -0.15, 0.15)
        width = max(1, round((right - left + before + behind) / _LARGE)) * _LARGE
        turn = between(0.0, -0.1, 0.1) * 2 * height / max(width, height)
        free = height - rise - fall
        top = free / 2 + between(0.0, -0.5, 0.5) * (abs(free) + 0.06 * height)
        drawn = image.new("L", (width, height))
        drawing.Draw(drawn).text((before - left, top), text, fill=255, font=font)
        # Where a pixel comes from: turned and slanted about the middle.
        x, y = width / 2, height / 2
        way = (1.0, slant, -slant * y, turn, 1.0, -turn * x)
        kinds = image.Transform.AFFINE, image.Resampling.BILINEAR
        turned = drawn.transform((width, height), kinds[0], way, kinds[1])
        blurred = turned.filter(filters.GaussianBlur(between(0.0, 0.0, 0.035) * height))
        small = blurred.resize((width // _LARGE, self.height), image.Resampling.BOX)
        return np.asarray(small, np.float64) / 255


def _library(name: str) -> Any:
    return imported(f"PIL.{name}", "Lines", "pictures")


def _between(
    chance: np.random.Generator, varied: float, middle: float, low: float, high: float
) -> float:
    """A number from low to high; of no variation the middle."""
    return float(middle + varied * (chance.uniform(low, high) - middle))


def lines_of(
    text: str | Sequence[str],
    number: int | None = None,
    *,
    shortest: int = 15,
    longest: int = 40,
    seed: Seed = 0,
) -> list[str]:
    """A running text in lines of whole words, or lines of words that are drawn.

    Args:
        text: in which white space and line breaks are one space; or a list of words.
        number: of lines, at most; all that the text has if None, of words so many are drawn.
        shortest: characters of a line at least; what would be shorter is left out.
        longest: at most. How long a line may be is drawn uniformly between both.
        seed: a number of at least 0, or a generator.

    Raises:
        SettingError: not 1 <= shortest <= longest, or no seed.
    """
    number = None if number is None else check_size("number", number)
    shortest = check_size("shortest", shortest)
    longest, chance = check_size("longest", longest, shortest), draws(seed_number(seed), 0)
    words: Iterable[str] = text.split() if isinstance(text, str) else _drawn(text, number, chance)
    found, line, limit = [], "", int(chance.integers(shortest, longest + 1))
    for word in words:
        if line and len(line) + 1 + len(word) > limit:
            if len(line) >= shortest:
                found.append(line)
            if len(found) == number:
                return found
            line, limit = "", int(chance.integers(shortest, longest + 1))
        if len(word) <= limit:
            line = f"{line} {word}" if line else word
    return [*found, line] if shortest <= len(line) <= longest else found


def _drawn(words: Sequence[str], number: int | None, chance: np.random.Generator) -> Iterator[str]:
    if number is None or not words:
        raise SettingError("lines_of: expected words, and the number of lines to draw of them")
    for _ in range(number * _TRIES):
        yield words[int(chance.integers(len(words)))]


# ---- fonts ---------------------------------------------------------------------------------------


@functools.lru_cache(2**11)
def _font(file: str | Path, high: int) -> Any:
    """A font in which lines are so high, from the tops of its letters to their depths."""
    library = _library("ImageFont")
    if not os.path.isfile(file):
        raise no_file(Path(file), f"fonts: {file}")
    try:
        rise, fall = library.truetype(str(file), 100).getmetrics()
        return library.truetype(str(file), max(1, round(100 * high / (rise + fall))))
    except OSError as problem:
        raise DataError(f"fonts: {file} cannot be read as a font ({problem}).") from None


def _check_text(text: str, file: str | Path) -> None:
    strange = {each for each in text if each.isspace() and unicodedata.category(each) != "Zs"}
    if not text.strip() or strange:  # tabs and separators of lines have no shape in a font
        told = f", with {min(strange)!r} in it; put a space there" if strange else ""
        raise DataError(f"texts: expected lines that are not blank, got {text!r:.80}{told}.")
    lacking = sorted({each for each in text if not _has(file, each)})
    if lacking:
        raise DataError(
            f"texts: {file} has no {', '.join(map(repr, lacking))}, as in {text!r:.80}. Leave the "
            "font out, or the text."
        )


@functools.lru_cache(2**16)
def _has(file: str | Path, character: str) -> bool:
    """Whether a font draws it, and otherwise than what is no character."""
    if character.isspace():
        return True
    drawn, other = (_font(file, 32).getmask(each) for each in (character, _NOBODY))
    found: bool = drawn.getbbox() is not None
    return found and (drawn.size != other.size or [*drawn] != [*other])


def installed_fonts(places: Iterable[str | Path] | None = None) -> dict[str, list[Path]]:
    """Files of fonts by family, with all styles of each.

    Args:
        places: folders to search; where the system keeps its fonts if None.

    Raises:
        DataError: Pillow, which ``recurra[pictures]`` brings, is not installed.
    """
    library = _library("ImageFont")
    found: dict[str, list[Path]] = {}
    for place in _places() if places is None else map(Path, places):
        for file in sorted(place.rglob("*")):
            if file.suffix.lower() not in _ENDINGS:
                continue
            try:
                family = library.truetype(str(file), 10).getname()[0]
            except OSError:  # what no library can draw is as good as absent
                continue
            found.setdefault(family or file.stem, []).append(file)
    return dict(sorted(found.items()))


def _places() -> list[Path]:
    home = Path.home()
    if sys.platform == "darwin":
        return [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"]
    if sys.platform == "win32":
        return [Path(os.environ.get("WINDIR", r"C:\Windows")) / "Fonts"]
    return [Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), home / ".local/share/fonts"]


def fonts_of(*families: str, places: Iterable[str | Path] | None = None) -> list[Path]:
    """Files of some families, all styles of each.

    Args:
        families: such as "DejaVu Sans".
        places: as of :func:`installed_fonts`.

    Raises:
        DataError: a family that is not installed.
    """
    known = installed_fonts(places)
    lacking = [family for family in families if family not in known]
    if lacking:
        names = ", ".join([*known][:_SHOWN]) + (", ..." if len(known) > _SHOWN else "")
        raise DataError(
            f"fonts: {', '.join(lacking)} not found; installed are: {names or 'none'}. On Debian "
            f"and Ubuntu packages such as {_PACKAGES} bring fonts (sudo apt-get install)."
        )
    return [file for family in families for file in known[family]]
