"""Splits against a rule for each single character: its place decides its part."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.data import split_documents
from recurra.errors import DataError

PARTS = ("training", "validation", "test")


def part_of(place: int, total: int, kind: str, block: int, validation: bool) -> str:
    """Whole numbers only: character ``place`` of ``total``."""
    tenth = place * 10 // total if kind == "tail" else place // block % 10
    if tenth == 9:
        return "test"
    return "validation" if tenth == 8 and validation else "training"


def by_hand(texts: list[str], kind: str, block: int, validation: bool) -> dict[str, list[str]]:
    """Each document's longest stretches that stay in one part, in order."""
    total = sum(map(len, texts))
    parts: dict[str, list[str]] = {name: [] for name in PARTS}
    seen = 0
    for text in texts:
        marked = [
            (character, part_of(seen + place, total, kind, block, validation))
            for place, character in enumerate(text)
        ]
        for name, run in groupby(marked, key=lambda pair: pair[1]):
            parts[name].append("".join(character for character, _ in run))
        seen += len(text)
    return parts


def documents(*lengths: int) -> list[str]:
    """Documents of these lengths, no two characters alike."""
    points = iter(range(0x4E00, 0x9FFF))
    return ["".join(chr(next(points)) for _ in range(length)) for length in lengths]


some = st.lists(st.integers(0, 60), min_size=1, max_size=12).filter(lambda n: sum(n) >= 20)


@settings(max_examples=200, deadline=None)
@given(some, st.sampled_from(["tail", "blocks"]), st.integers(1, 8), st.booleans())
def test_every_character_is_where_its_place_says(
    lengths: list[int], kind: Any, block: int, validation: bool
) -> None:
    texts = documents(*lengths)
    if kind == "blocks" and sum(lengths) < 10 * block:
        return
    split = split_documents(texts, kind=kind, block=block, validation=validation)
    assert split._asdict() == by_hand(texts, kind, block, validation)
    whole = "".join(texts)
    for part in split:
        assert "" not in part
        assert "".join(part) == "".join(c for c in whole if c in "".join(part))
    assert sorted("".join(map("".join, split))) == sorted(whole)


@pytest.mark.parametrize("total", [20, 21, 29, 35, 99, 100, 101, 1003])
def test_sizes_of_the_tail(total: int) -> None:
    text = documents(total)[0]
    split = split_documents([text])
    (training,), (validation,), (test,) = split
    assert training + validation + test == text
    assert len(test) == total // 10
    assert len(training) == -(-8 * total // 10)
    assert len(validation) == total - len(training) - len(test)


def test_tail_across_documents_by_hand() -> None:
    # 20 characters: 0-15 are trained on, 16 and 17 choose, 18 and 19 are the test.
    split = split_documents(["abcdefghij", "klmno", "pqr", "st"])
    assert split.training == ["abcdefghij", "klmno", "p"]
    assert split.validation == ["qr"]
    assert split.test == ["st"]
    split = split_documents(["abcdefghijklmnopq", "rst"])
    assert split == (["abcdefghijklmnop"], ["q", "r"], ["st"])
    split = split_documents(["abcdefghijklmnopqrst"], validation=False)
    assert split == (["abcdefghijklmnopqr"], [], ["st"])


def test_blocks_by_hand() -> None:
    text = "aabbccddeeffgghhiijjkkllmmnnooppqqrrssttuu"  # blocks of 2; i and s choose, j and t test
    split = split_documents([text], kind="blocks", block=2)
    assert split == (["aabbccddeeffgghh", "kkllmmnnooppqqrr", "uu"], ["ii", "ss"], ["jj", "tt"])
    split = split_documents([text], kind="blocks", block=2, validation=False)
    assert split == (["aabbccddeeffgghhii", "kkllmmnnooppqqrrss", "uu"], [], ["jj", "tt"])
    # A document that ends inside a block: the next one goes on in it.
    split = split_documents([text[:19], text[19:21], text[21:]], kind="blocks", block=2)
    assert split.test == ["j", "j", "tt"]
    assert split.training == ["aabbccddeeffgghh", "k", "kllmmnnooppqqrr", "uu"]


def test_blocks_are_counted_through_and_large_by_default() -> None:
    text = "t" * 80_000 + "v" * 10_000 + "e" * 10_000 + "t" * 5
    split = split_documents([text], kind="blocks")
    assert [set("".join(part)) for part in split] == [{"t"}, {"v"}, {"e"}]
    assert [sum(map(len, part)) for part in split] == [80_005, 10_000, 10_000]


@pytest.mark.parametrize(
    ("texts", "settings", "message"),
    [
        ([], {}, "at least 20 characters, to keep a tenth for the test, got 0"),
        (["", ""], {}, "at least 20 characters.* got 0"),
        (["a" * 10, "b" * 9], {}, "at least 20 characters.* got 19"),
        (["a" * 19], {"kind": "blocks", "block": 1}, "at least 20 characters.* got 19"),
        (
            ["a" * 39],
            {"kind": "blocks", "block": 4},
            "at least 40 characters for every tenth block of 4, got 39.*smaller data.block",
        ),
    ],
)
def test_too_little_text(texts: list[str], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        split_documents(texts, **settings)


def test_just_enough_text() -> None:
    assert [len(part[0]) for part in split_documents(["a" * 20])] == [16, 2, 2]
    split = split_documents(["a" * 40], kind="blocks", block=4)
    assert [len(part[0]) for part in split] == [32, 4, 4]
