"""The most probable continuations against all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from decoding.tiny import Recurrence, Told, after
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.decoding import Continuation, continuations, read
from recurra.errors import SettingError


def words(
    model: Any, prompt: list[int], ends: list[int], never: list[int], limit: int
) -> Iterator[tuple[tuple[int, ...], float]]:
    """Every continuation of up to ``limit`` symbols and its probability, the empty one too."""
    chances = after(model, prompt).exp().tolist()
    yield (), sum(chances[end] for end in ends if end not in never)
    for symbol, chance in enumerate(chances):
        if limit and symbol not in (*ends, *never):
            for rest, more in words(model, [*prompt, symbol], ends, never, limit - 1):
                yield (symbol, *rest), chance * more


def best(model: Any, prompt: list[int], **how: Any) -> list[tuple[tuple[int, ...], float]]:
    first, empty = how.pop("first"), how.pop("empty")
    found = [
        (symbols, chance)
        for symbols, chance in words(model, prompt, **how)
        if chance > 0 and (empty if symbols == () else first is None or symbols[0] in first)
    ]
    return sorted(found, key=lambda word: -word[1])


def same(found: list[Continuation], expected: list[tuple[tuple[int, ...], float]]) -> None:
    assert [word.symbols for word in found] == [symbols for symbols, _ in expected]
    for word, (_, chance) in zip(found, expected, strict=True):
        assert word.log_prob == pytest.approx(math.log(chance), abs=1e-9)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_exact(data: st.DataObject) -> None:
    size = data.draw(st.sampled_from([3, 4, 9]))
    symbols = st.lists(st.integers(0, size - 1), max_size=3, unique=True)
    how: dict[str, Any] = {
        "ends": data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=2, unique=True)),
        "never": data.draw(symbols),
        "first": data.draw(st.none() | symbols),
        "empty": data.draw(st.booleans()),
        "limit": data.draw(st.integers(1, 2 if size == 9 else 4)),
    }
    if set(how["ends"]) <= set(how["never"]):
        how["never"] = []
    model = Recurrence(
        size,
        data.draw(st.integers(0, 10**6)),
        data.draw(st.sampled_from([0.3, 1.5, 4.0])),
        data.draw(st.sampled_from([[], [0]])),
    )
    count = data.draw(st.sampled_from([1, 3, 20, 1000]))
    batch = data.draw(st.sampled_from([1, 2, 5, 64]))
    found = continuations(model, [1, 2], count=count, batch=batch, steps=10**6, **how)
    same(found, best(model, [1, 2], **how)[:count])
    assert all(word.exact for word in found)
    assert all(len(asked) <= batch for asked in model.asked)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    steps=st.integers(0, 12),
    batch=st.integers(1, 3),
    count=st.integers(1, 8),
)
def test_stopped_early_it_says_what_is_certain(
    seed: int, steps: int, batch: int, count: int
) -> None:
    model = Recurrence(5, seed)
    how: dict[str, Any] = {"ends": [0], "never": [], "first": None, "empty": True, "limit": 3}
    everything = best(model, [1], **how)
    model.asked.clear()
    found = continuations(model, [1], count=count, steps=steps, batch=batch, **how)
    assert len(model.asked) <= 1 + steps
    certain = [word for word in found if word.exact]
    assert certain == found[: len(certain)]
    same(certain, everything[: len(certain)])
    chances = dict(everything)
    same(found, [(word.symbols, chances[word.symbols]) for word in found])


def test_what_cannot_be_certain_is_not() -> None:
    model = Told([0.2, 0.45, 0.35], [0.55, 0.45, 0], [0.9, 0.1, 0])
    [(symbols, log_prob, exact)] = continuations(model, [0], ends=[0], empty=True, count=3, steps=0)
    assert (symbols, exact) == ((), False)
    assert log_prob == pytest.approx(math.log(0.2))
    found = continuations(model, [0], ends=[0], empty=True, count=3, steps=1)
    assert [(word.symbols, word.exact) for word in found] == [
        ((2,), True),
        ((1,), True),
        ((), False),  # 1, 1 and an end may still be more probable: 0.2025 to 0.2
    ]


# A letter after the word "1" is rarer than any of its ends, but these are many.
SUMMED = Told([1, 0, 0, 0, 0], [0.25, 0, 0.25, 0.25, 0.25], *[[0, 0.4, 0.6, 0, 0]] * 3)


def test_all_ends_count() -> None:
    [one] = continuations(SUMMED, [2], ends=[0], count=1, never=[2])
    [summed] = continuations(
        SUMMED, [2], ends=torch.tensor([1, 0, 0, 1, 1]) > 0, count=1, never=[2]
    )
    assert one.symbols == summed.symbols == (1,)
    assert one.log_prob == pytest.approx(math.log(0.4 * 0.25))
    assert summed.log_prob == pytest.approx(math.log(0.4 * 0.75))


def test_what_was_read_is_not_read_again() -> None:
    model = Told([1, 0, 0], [0.9, 0, 0.1], [0.9, 0.1, 0])
    now = read(model, [[0, 1, 2]])
    model.asked.clear()
    found = continuations(model, now, ends=[0], count=1)
    assert model.asked == [[1]]
    assert found == continuations(model, [0, 1, 2], ends=[0], count=1)
    model.asked.clear()
    assert continuations(model, now, ends=[0], count=1, empty=True)[0].symbols == ()
    assert model.asked == []  # nothing can be more probable than the end itself


def test_a_group_opens_more_as_long_as_needed() -> None:
    # 40 first symbols of equal chance, and only the last of them ever ends.
    size = 42
    rows = [[0.0] * size for _ in range(size)]
    rows[1] = [0, 0] + [1 / 40] * 40
    for symbol in range(2, size):
        rows[symbol][0 if symbol == size - 1 else 1] = 1.0
    for batch in (1, 2, 7, 64):
        [found] = continuations(Told(*rows), [1], ends=[0], count=5, limit=1, batch=batch)
        assert found.symbols == (size - 1,)
        assert found.exact


def test_nothing_is_possible() -> None:
    assert continuations(Told([0, 1], [0, 1]), [1], ends=[0], limit=3) == []
    assert continuations(Told([0.5, 0.5], [0.5, 0.5]), [1], ends=[0], first=[]) == []


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"ends": []}, "expected an ending symbol .* got none"),
        ({"never": [0]}, "expected an ending symbol that is not in `never`"),
        ({"ends": [5]}, "ends: expected ids of 0 to 4, got 5"),
        ({"first": [9]}, "first: expected ids of 0 to 4, got 9"),
        ({"count": 0}, "count.* at least 1, got 0"),
        ({"limit": 0}, "limit.* at least 1, got 0"),
        ({"batch": 0}, "batch.* at least 1, got 0"),
        ({"steps": -1}, "steps.* at least 0, got -1"),
        ({"empty": 1}, "empty.* true or false"),
    ],
)
def test_wrong_settings(how: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=f"^continuations: {message}"):
        continuations(SUMMED, [2], **{"ends": [0]} | how)
