"""Channels on one scale, missing values, and what is refused."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from recurra_runtime.fronts import Series
from recurra_runtime.vocabulary import vocabulary_from_json

NAN = float("nan")


def rows() -> list[np.ndarray]:
    drawn = np.random.default_rng(3)
    scale, shift = np.array([1, 1e-3, 5e4]), np.array([0, 10, 1e7])
    return [drawn.standard_normal((n, 3)) * scale + shift for n in (4, 1, 0, 30)]


def test_the_scale_is_that_of_all_steps() -> None:
    every = np.concatenate(rows())
    front = Series(["x", "y", "z"]).fit(iter(rows()))
    np.testing.assert_allclose(front.mean, every.mean(0), rtol=1e-12)
    np.testing.assert_allclose(front.deviation, every.std(0), rtol=1e-9)
    encoded = np.concatenate([front.encode(row) for row in rows()])
    assert encoded.dtype == np.float32
    np.testing.assert_allclose(encoded, (every - every.mean(0)) / every.std(0), atol=1e-5)
    assert front.shape == (3,)


def test_what_never_changes_is_not_divided_by_nothing() -> None:
    front = Series(["a", "b"]).fit([np.full((7, 2), [0.1, -3.0])])
    assert list(front.deviation) == [1.0, 1.0]
    np.testing.assert_allclose(front.encode([[0.1, -1.0]]), [[0.0, 2.0]], atol=1e-6)


def test_missing_values_are_the_mean_and_can_be_told() -> None:
    seen = [[[1.0, NAN], [3.0, NAN]], [[NAN, NAN]]]
    front = Series(["a", "b"]).fit(seen)
    assert list(front.mean) == [2.0, 0.0]
    assert list(front.deviation) == [1.0, 1.0]
    assert front.encode(seen[0]).tolist() == [[-1.0, 0.0], [1.0, 0.0]]
    told = Series(["a", "b"], mask=True).fit(seen)
    assert told.encode(seen[0]).tolist() == [[-1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0]]
    assert told.shape == (4,)


def test_chunks_give_the_same() -> None:
    front = Series(["a", "b", "c"]).fit(rows())
    whole = rows()[-1]
    chunks = [front.encode(whole[:11]), front.encode(whole[11:12]), front.encode(whole[12:])]
    assert np.array_equal(np.concatenate(chunks), front.encode(whole))


def test_one_channel_needs_no_axis_and_channels_no_names() -> None:
    front = Series().fit([[1, 2, 3]])
    assert front.channels == ("0",)
    assert front.encode([2, 2]).tolist() == [[0.0], [0.0]]
    assert Series().fit([np.zeros((2, 3))]).channels == ("0", "1", "2")


@pytest.mark.parametrize("mask", [False, True])
def test_back_from_json(mask: bool) -> None:
    front = Series(["a", "b", "c"], mask=mask).fit(rows())
    read = vocabulary_from_json(json.loads(json.dumps(front.to_json())))
    assert isinstance(read, Series)
    assert read.to_json() == front.to_json()
    assert np.array_equal(read.encode(rows()[0]), front.encode(rows()[0]))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (np.zeros((4, 3)), "expected [time, 2], channels left, right, got shape [4, 3]"),
        (np.zeros(4), "expected [time, 2], channels left, right, got shape [4, 1]"),
        (np.zeros((1, 4, 2)), "got shape [1, 4, 2]"),
        ([[1.0, 2.0], [3.0, float("inf")]], "channel 'right' is infinite at step 1"),
        ([["a", "b"]], "expected numbers"),
        ([[1.0, 2.0], [3.0]], "expected numbers"),
    ],
)
def test_what_does_not_fit_is_refused(raw: Any, said: str) -> None:
    front = Series(["left", "right"])
    with pytest.raises(ValueError, match=re.escape(said)):
        front.encode(raw)
    with pytest.raises(ValueError, match=re.escape(said)):
        front.fit([raw])


@pytest.mark.parametrize(("mean", "deviation"), [(0, np.inf), (0, NAN), (NAN, 1), (0, -1)])
def test_a_scale_that_cannot_be(mean: float, deviation: float) -> None:
    with pytest.raises(ValueError, match="finite means, and deviations above 0"):
        Series(["a"], [mean], [deviation])
    with pytest.raises(ValueError, match="a mean and a deviation for 1 channels"):
        Series(["a"], [0, 0])


def test_nothing_to_fit_on() -> None:
    with pytest.raises(ValueError, match="got none"):
        Series(["a"]).fit([])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"channels": "ab"}, "'channels'"),
        ({"channels": ["a", "a"]}, "each channel once"),
        ({"mean": [0.0]}, "'mean' of 2"),
        ({"mean": [0.0, NAN]}, "'mean' of 2"),
        ({"mean": [0.0, True]}, "'mean' of 2"),
        ({"deviation": [1.0, 0.0]}, "above 0"),
        ({"mask": 1}, "'mask'"),
    ],
)
def test_damaged(change: dict[str, Any], said: str) -> None:
    whole = Series(["a", "b"]).to_json()
    with pytest.raises(ValueError, match=said):
        vocabulary_from_json({**whole, **change})
