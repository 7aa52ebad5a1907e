"""Splits against a rule for each single character: its place decides its part."""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from splitting import split_documents

from recurra.data import Document, divide, hash_part, read_lines
from recurra.errors import DataError, ShapeError

NAMES = Path(__file__).parents[3] / "shared" / "data" / "names" / "names.txt"

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


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([30], r"one of each document, got 1, none of document 1 \('there'\)"),
        ([30, 29], r"at least 30 characters of document 1 \('there'\), got 29\. Count the same"),
        ([30, 0], r"at least 30 characters of document 1 .*got 0\."),
    ],
)
def test_lengths_of_other_documents(lengths: list[int], message: str) -> None:
    two = [Document("a" * 30, "here"), Document("b" * 30, "there")]
    with pytest.raises(ShapeError, match=message):
        list(divide(two, lengths, kind="tails"))
    parts = [name for name, _ in divide(two, [30, 30], kind="tails")]
    assert parts == 2 * (["training"] * 8 + ["validation", "test"])


def test_a_first_piece_that_goes_on_begins_a_document() -> None:
    two = [Document("a" * 10, "here", goes_on=True), Document("b" * 20, "there")]
    parts = [(name, document.text) for name, document in divide(two, [10, 20], kind="tails")]
    assert parts[8:] == [
        ("validation", "a"),
        ("test", "a"),
        *[("training", "bb")] * 8,
        ("validation", "bb"),
        ("test", "bb"),
    ]


def test_just_enough_text() -> None:
    assert [len(part[0]) for part in split_documents(["a" * 20])] == [16, 2, 2]
    split = split_documents(["a" * 40], kind="blocks", block=4)
    assert [len(part[0]) for part in split] == [32, 4, 4]


# ------------------------------------------------------------------------------------------ by hash


# Written down, so that no version parts a text in another way.
EXPECTED = {
    "": "test",
    "emma": "training",
    "olivia": "training",
    "ava": "training",
    "isabella": "test",
    "sophia": "validation",
    "é": "training",
    "a\n": "training",
    "line 0": "training",
    "line 1": "test",
    "line 2": "validation",
    "line 3": "training",
    "line 4": "training",
    "line 5": "training",
    "line 6": "training",
    "line 7": "training",
}


def test_hashes_stay_what_they_are() -> None:
    assert {text: hash_part(text) for text in EXPECTED} == EXPECTED
    for text, part in EXPECTED.items():
        want = "training" if part == "validation" else part
        assert hash_part(text, validation=False) == want


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_any_text_has_a_part(text: str) -> None:
    digest = hashlib.blake2b(text.encode()).hexdigest()
    part = {9: "test", 8: "validation"}.get(int(digest[:16], 16) % 10, "training")
    assert hash_part(text) == part


def test_a_lone_surrogate_has_a_part() -> None:
    assert hash_part("\ud800") in PARTS


def test_equal_documents_stand_on_one_side() -> None:
    texts = [f"line {number % 200}" for number in range(500)]
    split = split_documents(texts, kind="hash")
    for name, part in split._asdict().items():  # in the order they came
        assert part == [text for text in texts if hash_part(text) == name]
    joined = split_documents(texts, kind="hash", validation=False)
    assert joined.validation == []
    assert joined.test == split.test
    # Whatever stands beside them.
    assert split_documents([*texts[:250], "more", *texts[250:]], kind="hash").test == split.test


@pytest.mark.skipif(not NAMES.exists(), reason="the names are not beside this checkout")
def test_names_are_parted() -> None:
    names = list(read_lines(NAMES))
    split = split_documents(list(dict.fromkeys(names)), kind="hash")
    sizes = [len(part) for part in split]
    assert sum(sizes) == 29_494 == len(set(names))
    assert all(
        abs(size / 29_494 - share) < 0.006
        for size, share in zip(sizes, (0.8, 0.1, 0.1), strict=True)
    )
    again = split_documents(names, kind="hash")
    for parts in (split, again):
        sides = [set(part) for part in parts]
        assert sum(map(len, sides)) == len(set().union(*sides)) == 29_494
    assert Counter(names) == sum(map(Counter, again), Counter())
    assert [set(part) for part in again] == [set(part) for part in split]
