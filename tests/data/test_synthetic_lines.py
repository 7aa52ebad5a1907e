"""Lines of text drawn in fonts, and the fonts that are installed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.data import TextLines, fonts_of, installed_fonts, lines_of
from recurra.errors import DataError, SettingError

pytest.importorskip("PIL", reason="the extra pictures is not installed")
KNOWN = installed_fonts()
FILES = [file for files in KNOWN.values() for file in files if "dejavu" in str(file).lower()]
drawing = pytest.mark.skipif(not FILES, reason="no DejaVu fonts: apt-get install fonts-dejavu-core")
FONTS = [file for file in FILES if file.name in ("DejaVuSans.ttf", "DejaVuSerif.ttf")]
LINES = ["What is read", "in one line.", "Words, and 12 more (of them)!"]


@drawing
def test_a_line_is_as_high_as_is_said_and_as_wide_as_its_text() -> None:
    pictures, texts = TextLines(FONTS, height=24).examples(LINES, seed=3)
    assert texts == LINES
    assert {(one.shape[0], one.dtype) for one in pictures} == {(24, np.dtype(np.uint8))}
    widths = [one.shape[1] for one in TextLines(FONTS[:1], varied=0).examples(LINES)[0]]
    assert widths[2] > 2 * widths[1]


@drawing
def test_a_picture_hangs_on_its_text_its_number_and_the_seed_alone() -> None:
    drawn = TextLines(FONTS)
    few, many = drawn.examples(LINES[:2], seed=7)[0], drawn.examples(LINES, seed=7)[0]
    assert all(map(np.array_equal, few, many))
    other = drawn.examples(LINES, seed=8)[0]
    assert not any(map(np.array_equal, many, other))
    assert not np.array_equal(*drawn.examples(["again", "again"])[0])


@drawing
def test_ink_is_where_letters_are() -> None:
    (alone,) = TextLines(FONTS[:1], height=40, varied=0).examples(["l" * 9])[0]
    dark = alone < 128
    strokes = (np.diff(dark.any(0).astype(int)) == 1).sum()
    assert strokes == 9
    assert not dark[0].any()  # nothing is cut off
    assert not dark[-1].any()
    assert not dark[:, [0, -1]].any()


@drawing
def test_nothing_is_cut_off_at_the_ends_and_ink_differs_from_paper() -> None:
    pictures, _ = TextLines(FONTS).examples(["Hig Hig Hig Hig"] * 60, seed=1)
    for picture in pictures:
        light = picture.astype(float)
        # The outermost columns are paper: about as light as the median, which is paper too.
        assert min(light[:, 0].mean(), light[:, -1].mean()) > np.median(light) - 30
        assert np.quantile(light, 0.98) - np.quantile(light, 0.02) > 50
    lights = [np.median(picture) for picture in pictures]
    assert np.ptp(lights) > 40


@drawing
def test_what_varies_grows_with_its_setting() -> None:
    def spread(varied: float) -> float:
        lines = TextLines(FONTS[:1], varied=varied).examples(["the same"] * 20)[0]
        return float(np.std([one.shape[1] for one in lines]))

    assert spread(0) == 0 < spread(0.3) < spread(1)


@drawing
def test_a_character_that_a_font_lacks_is_named() -> None:
    with pytest.raises(DataError, match=r"DejaVuSans\.ttf has no '你', '\U00013000', as in 'a 你"):
        TextLines(FONTS[:1]).examples(["a 你 \U00013000"])
    assert len(TextLines(FONTS[:1]).examples(["Ā ß Ж ∑ fi"])[0]) == 1


@drawing
def test_families_have_their_styles() -> None:
    family = next(name for name, files in KNOWN.items() if FONTS[0] in files)
    assert FONTS[0] in fonts_of(family)
    assert {file.suffix for file in fonts_of(family)} <= {".ttf", ".otf"}
    with pytest.raises(DataError, match=r"Nosuch Sans not found; .*apt-get install"):
        fonts_of(family, "Nosuch Sans")


def test_where_no_font_is_the_packages_are_named(tmp_path: Path) -> None:
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    assert installed_fonts([tmp_path]) == {}
    said = (
        "Arial not found; installed are: none. On Debian and Ubuntu packages such as fonts-dejavu"
    )
    with pytest.raises(DataError, match=re.escape(said)):
        fonts_of("Arial", places=[tmp_path])


def test_files_that_are_no_fonts_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.ttf: no such file"):
        TextLines([tmp_path / "none.ttf"])
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    with pytest.raises(DataError, match=r"broken\.ttf cannot be read as a font"):
        TextLines([tmp_path / "broken.ttf"])
    for settings, said in (
        ({"fonts": []}, r"fonts: expected a list of files, got \[\]; .*fonts_of"),
        ({"fonts": "a.ttf"}, "fonts: expected a list of files, got 'a.ttf'"),
        ({"fonts": ["a.ttf"], "height": 8}, "height"),
        ({"fonts": ["a.ttf"], "varied": 3}, "varied: expected 0 to 1, got 3"),
    ):
        made: dict[str, Any] = settings
        with pytest.raises(SettingError, match=said):
            TextLines(**made)


@drawing
@pytest.mark.parametrize(
    ("texts", "error", "said"),
    [
        ("abc", SettingError, "texts: expected a list of lines, got 'abc'"),
        ([], SettingError, "texts: expected a list of lines"),
        (["a", "  "], DataError, "lines that are not blank, got '  '"),
        (["a\nb"], DataError, "lines that are not blank"),
    ],
)
def test_texts_that_are_no_lines(texts: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        TextLines(FONTS).examples(texts)


# ---- texts ---------------------------------------------------------------------------------------


def test_a_running_text_falls_into_lines_of_whole_words() -> None:
    text = "one two three  four\nfive six seven eight nine ten " * 50
    lines = lines_of(text, shortest=8, longest=20, seed=1)
    assert {8, 20} <= {*map(len, lines)} <= {*range(8, 21)}
    words = " ".join(lines).split()
    assert {*words} == {*text.split()}
    assert len(words) > 0.8 * len(text.split())  # a line that would be too short is left out
    assert lines_of(text, 3, shortest=8, longest=20, seed=1) == lines[:3]
    assert lines_of(text, shortest=8, longest=20, seed=2) != lines
    assert lines_of("a_word_of_twenty_five_ab and others that fit", longest=20) != []
    assert lines_of("") == []


def test_lines_of_words_are_drawn() -> None:
    lines = lines_of(["alpha", "beta", "gamma"], 40, shortest=5, longest=12)
    assert len(lines) == 40
    assert {word for line in lines for word in line.split()} == {"alpha", "beta", "gamma"}
    assert lines_of(["too_long_for_it"], 2, shortest=5, longest=12) == []
    with pytest.raises(SettingError, match="the number of lines to draw"):
        lines_of(["alpha"])
    with pytest.raises(SettingError, match="longest"):
        lines_of("some text", shortest=9, longest=8)


@drawing
@pytest.mark.parametrize("strange", ["\t", "\r", "\x0b", "\x85", "\u2028"])
def test_what_has_no_shape_is_not_drawn(strange: str) -> None:
    with pytest.raises(DataError, match="in it; put a space there"):
        TextLines(FONTS).examples([f"a{strange}b"])


@pytest.mark.parametrize("number", [0, -1, 1.5])
def test_as_many_lines_as_can_be_counted(number: Any) -> None:
    with pytest.raises(SettingError, match="number: expected a whole number of at least 1"):
        lines_of("many words that are a line and more " * 9, number)
