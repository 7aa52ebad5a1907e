"""Public data sets as they come, if they are there: counts as their authors state them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.data.examples import Example, Examples, Reading, open_examples

DATA = Path(__file__).parents[4] / "shared" / "data"


def opened(place: str, **settings: Any) -> tuple[Examples, list[Example]]:
    if not (DATA / place).exists():
        pytest.skip(f"there is no {DATA / place}")
    examples = open_examples(DATA / place, Reading(**settings))
    return examples, list(examples)


def parts(found: list[Example]) -> dict[Any, int]:
    return dict(Counter(e.part for e in found))


def test_digits() -> None:
    rule = r"(?P<label>\d)_(?P<group>[a-z]+)_(?:(?P<test>[0-4])|\d+)\.wav"
    pytest.importorskip("soundfile", reason="the extra `sound` is not installed")
    _, found = opened("fsdd/recordings", label_from=rule, split="given", rate=8000)
    assert {*Counter(e.target for e in found).values()} == {200}
    assert {*Counter(e.group for e in found).values()} == {500}
    assert parts(found) == {"training": 1800, "test": 200}


@pytest.mark.parametrize(
    ("folder", "train", "test", "channels", "classes", "lengths"),
    [("japanese-vowels", 270, 370, 12, 9, (7, 29)), ("basic-motions", 40, 40, 6, 4, (100, 100))],
)
def test_archived_series(
    folder: str, train: int, test: int, channels: int, classes: int, lengths: tuple[int, int]
) -> None:
    examples, found = opened(folder, split="given")
    assert parts(found) == {"training": train, "test": test}
    assert len(examples.channels) == channels
    assert {e.input.shape[1] for e in found} == {channels}
    assert len({e.target for e in found}) == classes
    assert (min(len(e.input) for e in found), max(len(e.input) for e in found)) == lengths


def test_activities() -> None:
    examples, found = opened("arem")
    assert examples.channels == tuple(
        f"{kind}_rss{place}" for place in (12, 13, 23) for kind in ("avg", "var")
    )
    counts = Counter(e.target for e in found)
    others = dict.fromkeys(("cycling", "lying", "sitting", "standing", "walking"), 15)
    assert counts == {"bending1": 7, "bending2": 6, **others}
    assert {e.input.shape for e in found} == {(480, 6)}


def test_movements() -> None:
    examples, found = opened("indoor-movement/dataset", labels="MovementAAL_target.csv")
    assert examples.channels == tuple(f"RSS_anchor{n}" for n in (1, 2, 3, 4))
    assert (len(found), sum(len(e.input) for e in found)) == (314, 13197)
    named = {Path(e.place).stem.rpartition("_")[2]: e.target for e in found}
    table = (DATA / "indoor-movement/dataset/MovementAAL_target.csv").read_text().split()[2:]
    assert named == dict(line.split(",") for line in table)


def test_treebank() -> None:
    _, found = opened("ud-english-ewt", split="given")
    assert parts(found) == {"training": 12544, "validation": 2001, "test": 2077}
    words = Counter()
    for each in found:
        assert len(each.input) == len(each.target)
        words[each.part] += len(each.input)
    assert words == {"training": 204577, "validation": 25147, "test": 25094}
    assert len({tag for e in found for tag in e.target}) == 17


def test_handwriting() -> None:
    pytest.importorskip("PIL", reason="the extra `pictures` is not installed")
    how = {"label": "text", "column": "file_name", "group": "writer_id", "split": "given"}
    examples, found = opened("dhsd/labels.csv", **how)
    assert examples.kinds == {"input": "picture"}
    assert (len(found), len({e.group for e in found})) == (1616, 10)
    assert {e.input.shape for e in found} == {(64, 256)}
    assert {e.input.dtype for e in found} == {np.dtype(np.uint8)}
    assert max(len(e.target) for e in found) == 33


def test_reviews() -> None:
    examples, found = opened("rt-polarity", pattern="rt-polarity.*", encoding="latin-1")
    assert Counter(e.target for e in found) == {"pos": 5331, "neg": 5331}
    skipping, some = opened("rt-polarity", pattern="rt-polarity.*", on_error="skip")
    assert len(some) + skipping.skipped == len(found)
    assert skipping.skipped > 0 == examples.skipped
