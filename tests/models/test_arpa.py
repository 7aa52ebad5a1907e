"""ARPA files: read by an independent reader, they say what the model says."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.errors import DataError, SettingError
from recurra.models import AddK, KneserNey, NGram
from recurra_runtime.vocabulary import (
    END,
    RESERVED,
    START,
    ByteVocabulary,
    CharacterVocabulary,
    Vocabulary,
    WordVocabulary,
)

TEXTS = ["the cat sat", "the cat", "a cat\tsat \\ there", "", "the the the\nthe", "tea", "the"] * 2
CHARACTERS = CharacterVocabulary.of([*TEXTS, "xyz"])  # some that are never counted
SMOOTHINGS = [KneserNey(), KneserNey(modified=False), AddK(0.1), AddK(0)]


def counted(order: int, smoothing: Any = KneserNey(), vocabulary: Any = CHARACTERS) -> NGram:  # noqa: B008
    return NGram.fit(
        [vocabulary.encode(text) for text in TEXTS],
        order=order,
        vocabulary_size=len(vocabulary),
        start=START,
        end=END,
        smoothing=smoothing,
    )


class Reader:
    """The format as others describe it: one ``<s>``, log10, and weights to back off by."""

    def __init__(self, path: Path) -> None:
        self.grams: dict[tuple[str, ...], tuple[float, float]] = {}
        self.order = 0
        for line in path.read_bytes().decode("utf-8").split("\n"):
            if line.endswith("-grams:"):
                self.order = int(line[1 : -len("-grams:")])
            elif self.order and line and not line.startswith("\\"):
                log, gram, *weight = line.split("\t")
                symbols = tuple(gram.split(" "))
                assert len(symbols) == self.order
                assert symbols not in self.grams
                self.grams[symbols] = float(log), float(weight[0]) if weight else 0.0

    def log10(self, symbol: str, history: tuple[str, ...]) -> float:
        if (*history, symbol) in self.grams:
            return self.grams[(*history, symbol)][0]
        return self.grams.get(history, (0.0, 0.0))[1] + self.log10(symbol, history[1:])

    def score(self, symbols: list[str]) -> list[float]:
        said, history = [], ("<s>",)
        for symbol in [*symbols, "</s>"]:
            history = history[-(self.order - 1) :] if self.order > 1 else ()
            log = self.log10(symbol, history)
            said.append(-math.inf if log < -50 else log * math.log(10))
            history = (*history, symbol)
        return said


def token(symbol: str) -> str:
    return {" ": "\\x20", "\t": "\\t", "\n": "\\n", "\\": "\\\\"}.get(symbol, symbol)


def asked() -> list[str]:
    draw = np.random.default_rng(1)
    letters = [CHARACTERS.symbol(i) for i in range(len(RESERVED), len(CHARACTERS))]
    return [*TEXTS[:7], *("".join(draw.choice(letters, 12)) for _ in range(20))]


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_an_independent_reader_finds_the_same(tmp_path: Path, order: int, smoothing: Any) -> None:
    model = counted(order, smoothing)
    model.to_arpa(tmp_path / "x.arpa", CHARACTERS)
    reader = Reader(tmp_path / "x.arpa")
    assert reader.order == order
    for text in asked():
        expected = model.score(CHARACTERS.encode(text)).tolist()
        assert reader.score(list(map(token, text))) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("order", [1, 2, 4])
def test_what_is_read_is_what_was_written(tmp_path: Path, order: int, smoothing: Any) -> None:
    model = counted(order, smoothing)
    model.to_arpa(tmp_path / "x.arpa", CHARACTERS)
    again = NGram.from_arpa(tmp_path / "x.arpa", CHARACTERS)
    assert (again.order, again.end_symbol, again.smoothing) == (order, END, None)
    for text in asked():
        ids = CHARACTERS.encode(text)
        np.testing.assert_allclose(again.score(ids), model.score(ids), rtol=0, atol=1e-6)
        for history in ([], [START] * order, ids.tolist()):
            np.testing.assert_allclose(
                again.distribution(history), model.distribution(history), rtol=0, atol=1e-8
            )
    again.to_arpa(tmp_path / "y.arpa", CHARACTERS)
    first, second = Reader(tmp_path / "x.arpa").grams, Reader(tmp_path / "y.arpa").grams
    assert first.keys() == second.keys()
    for gram, numbers in first.items():
        if min(numbers) > -50 < min(second[gram]):
            assert second[gram] == pytest.approx(numbers, abs=1e-6)
    with pytest.raises(SettingError, match="no counts"):
        again.arrays()


def test_a_file_of_others(tmp_path: Path) -> None:
    vocabulary = WordVocabulary.of(["a b"])
    (tmp_path / "x.arpa").write_text(
        "\n\\data\\\nngram 1=5\nngram 2=2\n\n\\1-grams:\n-1\t<unk>\n-99\t<s>\t-0.5\n-0.6\t</s>\n"
        "-0.4\ta\t-0.25\n-0.7\tb\n\n\\2-grams:\n-0.1\t<s> a\n-0.2\ta b\n\n\\end\\\n"
    )
    model = NGram.from_arpa(tmp_path / "x.arpa", vocabulary)
    logs = model.score(vocabulary.encode("a b a")) / math.log(10)
    assert logs.tolist() == pytest.approx([-0.1, -0.2, -0.4, -0.25 - 0.6])
    assert (model.score(vocabulary.encode("b")) / math.log(10))[0] == pytest.approx(-0.5 - 0.7)


@pytest.mark.parametrize(
    "vocabulary", [ByteVocabulary(), WordVocabulary.of([*TEXTS, "<s> \\#3 x"])], ids=["bytes", "w"]
)
def test_symbols_of_every_kind_have_a_name(tmp_path: Path, vocabulary: Vocabulary) -> None:
    model = counted(3, vocabulary=vocabulary)
    model.to_arpa(tmp_path / "x.arpa", vocabulary)
    reader = Reader(tmp_path / "x.arpa")
    assert sum(len(gram) == 1 for gram in reader.grams) == len(vocabulary)
    again = NGram.from_arpa(tmp_path / "x.arpa", vocabulary)
    for text in TEXTS:
        ids = vocabulary.encode(text)
        np.testing.assert_allclose(again.score(ids), model.score(ids), rtol=0, atol=1e-6)


GOOD = "\\data\\\nngram 1=4\n\n\\1-grams:\n-1\t<unk>\n-99\t<s>\n-0.6\t</s>\n-0.4\ta\n\n\\end\\\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "another file"),
        (GOOD.replace("\\end\\", ""), "another file"),
        (GOOD.replace("=4", "=5"), "as many 1-grams"),
        (GOOD.replace("-0.4\ta", "-0.4\tb"), "got 'b'"),
        (GOOD.replace("-0.4\ta", "-0.6\t</s>"), "once"),
        (GOOD.replace("=4", "=3").replace("-0.4\ta\n", ""), "4 symbols, got 3"),
        (GOOD.replace("-0.4\ta", "-0.4 a b c"), "one or two numbers"),
        (GOOD.replace("-0.4", "much"), "much"),
        (
            GOOD.replace("\n\n\\1", "\nngram 2=1\nngram 3=1\n\n\\1").replace(
                "\\end", "\\2-grams:\n-1\ta a\n\n\\3-grams:\n-1\t<s> a a\n\n\\end"
            ),
            "beginning of every gram",
        ),
    ],
)
def test_what_is_no_such_file(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "x.arpa").write_text(text)
    with pytest.raises(DataError, match=told):
        NGram.from_arpa(tmp_path / "x.arpa", CharacterVocabulary("a"))


def test_another_vocabulary_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="to_arpa: expected the vocabulary"):
        counted(2).to_arpa(tmp_path / "x.arpa", CharacterVocabulary("a"))
    with pytest.raises(DataError, match="cannot be read"):
        NGram.from_arpa(tmp_path / "none.arpa", CHARACTERS)
