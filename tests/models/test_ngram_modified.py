"""Modified Kneser-Ney: by hand, against the formulas of the paper, and on disk."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.errors import ArtifactError, SettingError
from recurra.models import AddK, KneserNey, NGram
from recurra.pipeline.ngrams import read_ngrams, write_ngrams

MODIFIED, SINGLE = KneserNey(modified=True), KneserNey(modified=False)
TOLERANCE = 1e-12
Gram = tuple[int, ...]


def of_counts(*counts: int, smoothing: KneserNey = MODIFIED) -> NGram:
    """Single symbols seen so many times, one that was never seen, and a start symbol."""
    document = np.repeat(np.arange(len(counts)), counts)
    size = len(counts) + 2
    return NGram.fit([document], order=1, vocabulary_size=size, start=size - 1, smoothing=smoothing)


# ---------------------------------------------------------------------------------------- by hand


def test_three_discounts_by_hand() -> None:
    # n1 = 4, n2 = 2, n3 = 1, n4 = 1: Y = 4 / 8; D1 = 1 - 2 Y 2/4 = 1/2, D2 = 2 - 3 Y 1/2 = 5/4,
    # D3 = 3 - 4 Y 1/1 = 1. Sum 22, V = 10; given away: 4 D1 + 2 D2 + 3 D3 = 15/2, a tenth each.
    counts = [1, 2, 7, 1, 3, 1, 4, 2, 1]
    taken = {1: 1 / 2, 2: 5 / 4, 3: 1, 4: 1, 7: 1}
    expected = [(c - taken[c]) / 22 + 0.75 / 22 for c in counts] + [0.75 / 22, 0.0]
    assert math.fsum(expected) == pytest.approx(1, abs=1e-15)
    np.testing.assert_allclose(of_counts(*counts).distribution([]), expected, rtol=TOLERANCE)
    assert KneserNey() == MODIFIED


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ([1, 1, 2, 3, 5], "n4 = 0: all of D3 would be kept"),
        ([1, 1, 2, 4, 4], "n3 = 0: D2 would take all of 2"),
        ([1, 1, 1, 1, 2, 2, 3, 3, 3, 3, 3, 4], "D2 = 2 - 3/2 * 5/2 is below 0"),
        ([1, 1, 2, 3, 4, 4], "D3 = 3 - 4/2 * 2/1 is below 0"),
        ([1, 1, 1, 1, 2, 2, 3, 4, 4, 4], "D3 = 3 - 4/2 * 3/1 is below 0"),
        ([2, 3, 4], "n1 = 0"),
        ([1, 3, 4], "n2 = 0"),
        ([5, 9], "none at all"),
    ],
)
def test_without_three_good_discounts_there_is_one(counts: list[int], why: str) -> None:
    for one in (MODIFIED, SINGLE):
        odds = of_counts(*counts, smoothing=one).distribution([])
        once, twice, total = counts.count(1), counts.count(2), sum(counts)
        discount = once / (once + 2 * twice) if once and twice else 0.5
        spread = discount * len(counts) / total / (len(counts) + 1)
        expected = [(count - discount) / total + spread for count in counts]
        np.testing.assert_allclose(odds, [*expected, spread, 0], rtol=TOLERANCE, err_msg=why)


# ---------------------------------------------------------------------------------- the paper's


class Paper:
    """Chen and Goodman's p(w | h), with dictionaries, sets and recursion."""

    def __init__(
        self, documents: Sequence[Sequence[int]], order: int, size: int, start: int, end: int | None
    ) -> None:
        self.order, self.size, self.start = order, size, start
        places = []
        for document in documents:
            text = [start] * (order - 1) + list(document) + ([] if end is None else [end])
            places += [(text, last) for last in range(order - 1, len(text))]
        self.discounts: list[list[float]] = [[]]
        self.after: dict[Gram, dict[int, int]] = {}  # history -> symbol -> count
        for n in range(1, order + 1):
            seen: dict[Gram, set[object]] = defaultdict(set)
            for number, (text, last) in enumerate(places):
                gram = tuple(text[last - n + 1 : last + 1])
                seen[gram].add(number if n == order else text[last - n])
            for gram, found in seen.items():
                self.after.setdefault(gram[:-1], {})[gram[-1]] = len(found)
            self.discounts.append(self.of([len(found) for found in seen.values()]))

    @staticmethod
    def of(counts: list[int]) -> list[float]:
        """D(0), D(1), D(2) and D(3+) of one order: equation 26, and the rule where it fails."""
        n1, n2, n3, n4 = (counts.count(k) for k in (1, 2, 3, 4))
        if n1 == 0 or n2 == 0:
            return [0, 0.5, 0.5, 0.5]
        y = n1 / (n1 + 2 * n2)
        if n3 and n4:
            three = [1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
            if all(d > 0 for d in three):
                return [0, *three]
        return [0, y, y, y]

    def probability(self, history: Gram, symbol: int) -> float:
        """The interpolated form, down to a uniform distribution."""
        if symbol == self.start:
            return 0.0
        lower = self.probability(history[1:], symbol) if history else 1 / (self.size - 1)
        follow = self.after.get(history)
        if follow is None:
            return lower
        discount = self.discounts[len(history) + 1]
        taken = {w: discount[min(c, 3)] for w, c in follow.items()}
        own = follow.get(symbol, 0) - taken.get(symbol, 0.0)
        return (own + sum(taken.values()) * lower) / sum(follow.values())


def agrees_everywhere(
    documents: Sequence[Sequence[int]], order: int, size: int, start: int, end: int | None
) -> Paper:
    """Compare after every history that can be written with the ids, seen or not."""
    model = NGram.fit(documents, order=order, vocabulary_size=size, start=start, end=end)
    paper = Paper(documents, order, size, start, end)
    for history in product(range(size), repeat=order - 1):
        odds = model.distribution(history)
        slow = [paper.probability(history, symbol) for symbol in range(size)]
        np.testing.assert_allclose(odds, slow, rtol=0, atol=TOLERANCE)
        assert odds.sum() == pytest.approx(1, abs=TOLERANCE)
        assert (np.delete(odds, start) > 0).all()
    return paper


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from([0, 1]), max_size=25), min_size=1, max_size=8),
    st.integers(1, 5),
    st.booleans(),
)
def test_any_small_corpus_is_as_in_the_paper(
    documents: list[list[int]], order: int, has_end: bool
) -> None:
    has_end = has_end or not any(documents)
    agrees_everywhere(documents, order, 4 if has_end else 3, 2, 3 if has_end else None)


@pytest.mark.parametrize("end", [5, None])
@pytest.mark.parametrize(("order", "three"), [(1, 0), (3, 1), (4, 2), (5, 3)])
def test_orders_with_three_discounts_are_as_in_the_paper(
    order: int, three: int, end: int | None
) -> None:
    # Some symbols are rare: there are grams of every count, and histories that were never seen.
    draw = np.random.default_rng(11)
    documents = [
        [int(x) for x in draw.choice(4, draw.integers(1, 20), p=[0.68, 0.22, 0.09, 0.01])]
        for _ in range(40)
    ]
    paper = agrees_everywhere(documents, order, 6, 4, end)
    assert sum(len(set(ds)) > 2 for ds in paper.discounts) == three


# ------------------------------------------------------------------------------- setting and disk


@pytest.mark.parametrize("modified", [1, "yes", None])
def test_the_setting_is_a_flag(modified: bool) -> None:
    with pytest.raises(SettingError, match="KneserNey: modified: expected true or false, got"):
        KneserNey(modified=modified)


def test_each_kind_is_the_same_on_disk(tmp_path: Path) -> None:
    documents = np.random.default_rng(2).geometric(0.5, (6, 50)).clip(max=7)
    models = {
        str(smoothing): NGram.fit(
            documents, order=order, vocabulary_size=9, start=0, end=8, smoothing=smoothing
        )
        for order, smoothing in enumerate([MODIFIED, SINGLE, AddK(0.5)], start=2)
    }
    write_ngrams(tmp_path, models)
    again = read_ngrams(tmp_path)
    assert list(again) == list(models)
    for name, model in models.items():
        assert again[name].smoothing == model.smoothing
        assert (again[name].score(documents[0]) == model.score(documents[0])).all()


def test_arrays_that_do_not_tell_the_kind_are_of_one_discount() -> None:
    documents = np.random.default_rng(2).geometric(0.5, (6, 50)).clip(max=7)
    fit = {"order": 3, "vocabulary_size": 9, "start": 0, "end": 8}
    arrays = NGram.fit(documents, **fit).arrays()
    assert arrays.pop("discounts").tolist() == [3]
    single = NGram.fit(documents, **fit, smoothing=SINGLE)
    assert sorted(single.arrays()) == sorted(arrays)
    again = NGram.from_arrays(arrays)
    assert again.smoothing == SINGLE
    assert (again.score(documents[0]) == single.score(documents[0])).all()


@pytest.mark.parametrize("discounts", [[2], [], [3, 3], 3])
def test_damaged_discounts(discounts: object) -> None:
    arrays = NGram.fit([[0, 1]], order=2, vocabulary_size=3, start=2).arrays()
    with pytest.raises(ArtifactError, match=r"discounts: expected \[3\]"):
        NGram.from_arrays(arrays | {"discounts": np.array(discounts)})
    with pytest.raises(ArtifactError, match=r"beside add_k \[1.0\]"):
        NGram.from_arrays(arrays | {"add_k": np.array([1.0])})
