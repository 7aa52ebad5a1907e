"""Intervals hold as much as they say, once they have seen what came."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tasks.forecasting.conftest import small, trained

import recurra
from recurra.errors import SettingError
from recurra.tasks.base import task_by_name


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of noise, in one scale, that knows nothing of how far off it may be elsewhere."""
    noise = np.random.default_rng(0).standard_normal(1500)
    plain = {"normalize": "none", "around": "level", "linear": False, "evaluations": 1}
    known = {"horizon": 2, "look_back": 4, "minimum_steps": 40, "learning_rate": 0.01}
    folder = tmp_path_factory.mktemp("intervals") / "run"
    return Path(trained(noise, folder, **known, **plain).path)


def covered(model: Any, data: np.ndarray) -> tuple[float, float]:
    """Share within the intervals of 80 %, and their width."""
    task = task_by_name("forecasting")
    part = task.read(data, model.fronts, task.Data(), print)
    (row,) = task.evaluate({"gru": model.model}, part)
    return row.covered, row.width


@pytest.mark.parametrize("factor", [1.0, 4.0, 0.25])
def test_a_density_that_is_wrong_is_put_right(run: Path, factor: float) -> None:
    """Within four deviations of a share of both what is seen and what is scored."""
    chance = np.random.default_rng(1)
    seen, fresh = factor * chance.standard_normal((2, 2000))
    model = recurra.load(run)
    before, wide = covered(model, fresh)
    spread = np.sqrt(0.8 * 0.2 * 2 / 2000)
    assert (abs(before - 0.8) < 4 * spread) == (factor == 1.0)
    assert (before < 0.8 - 10 * spread) == (factor == 4.0)
    model.calibrate(seen, 1996)
    after, width = covered(model, fresh)
    assert abs(after - 0.8) < 4 * spread
    assert width == pytest.approx(2 * 1.2816 * factor, rel=0.08)
    assert (width > wide) == (factor == 4.0) or factor == 1.0
    (said,) = model.predict(fresh, level=[20, 50, 80, 90, 95, 99])
    ends = list(said.intervals.values())
    for (low, high), (lower, higher) in itertools.pairwise(ends):
        assert ((lower <= low) & (low <= high) & (high <= higher)).all()


def test_what_chose_has_put_them_right_already(run: Path) -> None:
    other = recurra.load(run)
    assert other.model.widening.abs().max() > 0
    other.model.widening.zero_()
    fresh = np.random.default_rng(2).standard_normal(500)
    assert covered(other, fresh) != covered(recurra.load(run), fresh)


def test_few_stretches_make_no_interval_narrower(run: Path) -> None:
    model = recurra.load(run)
    wide = 30 * np.random.default_rng(3).standard_normal(40)
    model.calibrate(wide / 3000, 30)
    assert (model.model.widening == 0).all()
    model.calibrate(wide, 30)
    assert (model.model.widening > 0).all()


@pytest.mark.parametrize(("level", "told"), [
    ([0], "0"), ([100], "100"), ([-5], "-5"), ([True], "True"), (["80"], "'80'"),
])  # fmt: skip
def test_levels_that_cannot_be(run: Path, level: Any, told: str) -> None:
    with pytest.raises(
        SettingError, match=f"level: expected percents between 0 and 100, got {told}"
    ):
        next(recurra.load(run).predict(level=level))


@pytest.mark.parametrize("level", [80, "80", None])
def test_one_level_is_a_list_of_it(run: Path, level: Any) -> None:
    with pytest.raises(SettingError, match=r"level: expected a list of percents, as \[80, 95\]"):
        next(recurra.load(run).predict(level=level))


def test_intervals_lie_in_each_other() -> None:
    values = np.cumsum(np.random.default_rng(0).normal(size=60))
    model = small(5, look_back=7).fit({"ds": list(range(60)), "y": values})
    levels = [10, 30, 50, 80, 85, 90, 92.5, 95, 97, 99]
    found = model.predict(level=levels)
    for inner, outer in itertools.pairwise(levels):
        low, high = (np.array(found[f"gru-{end}-{inner:g}"]) for end in ("lo", "hi"))
        assert (np.array(found[f"gru-lo-{outer:g}"]) <= low).all()
        assert (np.array(found[f"gru-hi-{outer:g}"]) >= high).all()


def test_counts_are_never_below_nothing() -> None:
    counts = np.random.default_rng(1).poisson(0.5, 80)
    model = small(look_back=7, distribution="poisson").fit({"ds": list(range(80)), "y": counts})
    assert min(model.predict(level=[99])["gru-lo-99"]) >= 0
