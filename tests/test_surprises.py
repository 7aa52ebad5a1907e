"""Surprises, and the threshold that any rate of false alarms has."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from recurra.errors import ArtifactError, FewWarning, SettingError
from recurra.surprises import FILE, Quantiles, Surprise


@pytest.mark.parametrize("count", [2, 37, 1000, 1001, 20_000])
def test_at_most_the_wanted_share_is_above(count: int) -> None:
    values = np.random.default_rng(0).standard_normal(count)
    kept = Quantiles.of(values)
    assert len(kept.values) <= 1000
    for share in (1 / count, 0.01, 0.013, 0.1, 0.5, 0.9):
        if share < 1 / count:
            continue
        above = int((values > kept.threshold(share)).sum())
        wanted = math.floor(share * count + 1e-9)
        assert abs(above - wanted) <= (0 if wanted < 500 else count // 400)


def test_equal_surprises_are_never_too_many() -> None:
    values = np.repeat([0.0, 1.0, 2.0], [80, 15, 5])
    kept = Quantiles.of(values)
    assert kept.threshold(0.05) == 1.0
    assert kept.threshold(0.049) == 2.0
    assert kept.threshold(0.2) == 0.0


def test_what_was_not_there_does_not_count_and_infinity_is_most() -> None:
    kept = Quantiles.of(np.array([math.nan, 1.0, math.inf, 3.0, -2.0]))
    assert kept.count == 4
    assert list(kept.values) == [3.0, 3.0, 1.0, -2.0]
    assert kept.threshold(0.5) == 1.0


@pytest.mark.parametrize("share", [0, 1, -1, math.nan, True, "0.1", None])
def test_a_share_that_cannot_be(share: object) -> None:
    kept = Quantiles.of(np.arange(100.0))
    with pytest.raises(SettingError, match="a share between 0 and 1"):
        kept.threshold(share)  # type: ignore[arg-type]


def test_few_cannot_tell_a_small_share() -> None:
    kept = Quantiles.of(np.arange(100.0))
    assert kept.threshold(0.01) == 98.0
    with pytest.warns(FewWarning, match=r"by 100 steps, which cannot tell a share of 0\.009"):
        assert kept.threshold(0.009) == 99.0


def test_kept_in_a_file(tmp_path: Path) -> None:
    kept = Quantiles.of(np.random.default_rng(1).standard_normal(5000))
    (tmp_path / FILE).write_bytes(kept.to_bytes())
    assert Quantiles.read(tmp_path) == kept
    with pytest.raises(ArtifactError, match="is missing: this model does not know"):
        Quantiles.read(tmp_path / "other")
    told = json.loads(kept.to_bytes())
    for wrong in (
        {**told, "values": told["values"][1:]},
        {**told, "values": told["values"][::-1]},
        {**told, "ranks": [1, *told["ranks"][1:]]},
        {**told, "count": 7},
        {**told, "values": [math.nan, *told["values"][1:]]},
        {"count": 0, "ranks": [], "values": []},
        {"count": 1},
        [],
    ):
        (tmp_path / FILE).write_text(json.dumps(wrong))
        with pytest.raises(ArtifactError, match="damaged"):
            Quantiles.read(tmp_path)


def test_steps_are_told() -> None:
    found = Surprise("a.csv", np.array([0.5, math.nan, 7.0]), 2.0, steps=("mon", "tue", "wed"))
    assert found.flagged.tolist() == [2]
    assert list(found.rows()) == [
        ("0", "mon", "0.5000", ""),
        ("1", "tue", "-", ""),
        ("2", "wed", "7.0000", "!"),
    ]
    assert found.to_json() == {
        "input": "a.csv",
        "threshold": 2.0,
        "flagged": [2],
        "steps": ["mon", "tue", "wed"],
        "nats": [0.5, None, 7.0],
    }
    assert Surprise(None, np.array([1.0])).name(0) == "0"
