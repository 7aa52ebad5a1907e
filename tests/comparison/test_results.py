"""Rows, and what is noise: against numbers worked out by hand, and scipy's where it is there."""

from __future__ import annotations

from typing import Any

import pytest
from comparison.fakes import result

from recurra.comparison.results import Comparison, RunResult, VariantRow, compared, within_noise
from recurra.tasks.base import Metric

ACCURACY, NATS = Metric("accuracy", "accuracy", less=False), Metric("nats", "nats")


def runs(**variants: list[float]) -> list[RunResult]:
    return [
        RunResult(f"{name}/{seed}", {"model.cell": name}, seed, **result(value))
        for name, values in variants.items()
        for seed, value in enumerate(values)
    ]


def told(found: list[RunResult], metric: Metric = ACCURACY, **more: Any) -> Comparison:
    from pathlib import Path

    rows, rivals = compared(found, metric)
    return Comparison(Path("study"), "classification", metric, rows, rivals, tuple(found), **more)


def test_means_deviations_and_order() -> None:
    found = told(runs(elman=[0.6, 0.7, 0.8], gru=[0.9, 0.8, 0.85]))
    assert [row.settings["model.cell"] for row in found.rows] == ["gru", "elman"]
    gru, elman = found.rows
    assert (gru.value, gru.deviation) == (pytest.approx(0.85), pytest.approx(0.05))
    assert (elman.value, elman.deviation) == (pytest.approx(0.7), pytest.approx(0.1))
    assert (gru.validation, gru.validation_deviation) == (pytest.approx(0.75), pytest.approx(0.05))
    assert (gru.runs, gru.parameters, gru.seconds) == (3, 100, 2.0)
    assert found.best == gru
    less = told(runs(elman=[0.6, 0.7], gru=[0.9, 0.8]), NATS)
    assert less.best.settings["model.cell"] == "elman"


def row(values: list[float]) -> VariantRow:
    (only,), _ = compared(runs(x=values), NATS)
    return only


def test_what_is_noise_is_welch() -> None:
    # t = 0.25 / sqrt(0.01/3 + 0.0025/3), df = (0.0125/3)^2 / ((0.01/3)^2/2 + (0.0025/3)^2/2) = 2.94
    one, same = row([0.6, 0.7, 0.8]), row([0.9, 0.95, 1.0])
    assert one.value - same.value == pytest.approx(-0.25)
    # 0.25 / 0.06455 = 3.873, above 3.215 (df 2.94) though below 4.303 (df 2): not rounded
    assert not within_noise(one, same)
    assert within_noise(one, row([0.85, 0.9, 0.95]))  # 0.2 / 0.06455 = 3.098
    assert not within_noise(one, row([1.0, 1.05, 1.1]))  # 0.35 / 0.06455 = 5.42
    assert within_noise(one, row([0.7])) is None
    assert within_noise(row([0.5, 0.5]), row([0.5, 0.5]))
    assert not within_noise(row([0.5, 0.5]), row([0.6, 0.6]))
    small = [1e-160, 2e-160, 3e-160]  # the squares of their variances are 0
    assert within_noise(row(small), row(small))


def test_many_seeds_are_judged_by_the_normal() -> None:
    values = [0.0, 1.0] * 50
    near, far = [v + 0.13 for v in values], [v + 0.15 for v in values]
    # error sqrt(2 * 0.2525 / 100) = 0.0711, times 1.96 = 0.1393
    assert within_noise(row(values), row(near))
    assert not within_noise(row(values), row(far))


def test_it_is_said_plainly() -> None:
    clear = told(runs(elman=[0.60, 0.61, 0.62], gru=[0.90, 0.91, 0.92]))
    assert [each.verdict for each in clear.rows] == ["best", "worse"]
    assert "model.cell=gru is better than all others, beyond the noise of seeds." in clear.notes
    noisy = told(runs(elman=[0.5, 0.9, 0.7], gru=[0.6, 0.9, 0.75]))
    assert [each.verdict for each in noisy.rows] == ["best", "within the noise"]
    assert noisy.notes[0] == "All differences to model.cell=gru are within the noise of the seeds."
    mixed = told(runs(elman=[0.1, 0.11, 0.12], gru=[0.6, 0.9, 0.75], lstm=[0.7, 0.9, 0.8]))
    assert "Within the noise beside model.cell=lstm: model.cell=gru." in mixed.notes
    single = told(runs(elman=[0.5], gru=[0.6]))
    assert [each.verdict for each in single.rows] == ["best", ""]
    assert "One run a variant says nothing" in single.notes[0]
    assert not any("±" in note for note in single.notes)


def test_who_would_be_chosen_by_validation_is_told() -> None:
    other = RunResult("x", {"model.cell": "x"}, 0, **result(0.8, validation=0.99))
    found = told([*runs(gru=[0.9, 0.9]), other])
    assert any("By validation" in note and "model.cell=x" in note for note in found.notes)
    assert not any("By validation" in note for note in told(runs(a=[0.9], b=[0.8])).notes)


def test_rivals_stand_below_once() -> None:
    found = told(runs(elman=[0.6, 0.7], gru=[0.9, 0.8]))
    (rival,) = found.rivals
    assert (rival.name, rival.value, rival.deviation, rival.parameters) == (
        "majority",
        0.5,
        0,
        None,
    )
    text = str(found)
    assert text.count("majority") == 1
    lines = text.splitlines()
    assert lines[0] == "classification in study: accuracy (more is better)"
    assert lines[2].split() == [
        "cell",
        "held",
        "out",
        "validation",
        "parameters",
        "seconds",
        "runs",
    ]
    assert lines[3].split()[:4] == ["gru", "0.8500", "±", "0.0707"]
    assert lines[5].split() == ["majority", "0.5000", "rival"]


def test_columns_of_numbers_stand_at_the_right() -> None:
    text = str(told([*runs(elman=[0.6, 0.7]), *runs(gru=[0.9, 0.8])]))
    assert text.splitlines()[2:6] == [
        "cell             held out       validation  parameters  seconds  runs",
        "gru       0.8500 ± 0.0707  0.7500 ± 0.0707         100      2.0     2  best",
        "elman     0.6500 ± 0.0707  0.5500 ± 0.0707         100      2.0     2  within the noise",
        "majority           0.5000                                              rival",
    ]


def test_what_failed_is_missing_or_counts_otherwise_is_told() -> None:
    odd = RunResult("x", {"data.lower": True}, 0, **result(0.8, data="d2"))
    found = told([*runs(gru=[0.9]), odd], failed={"b/seed-0": "too hot"}, missing=2)
    assert "b/seed-0 failed: too hot" in found.notes
    assert "Runs that are not finished: 2." in found.notes
    assert any("read in several ways" in note for note in found.notes)
    assert {each.name for each in found.rivals} == {"majority", "majority (data.lower=true)"}


def test_nothing_is_finished() -> None:
    found = told([], missing=3)
    assert "no run is finished" in str(found)


def test_what_is_no_number_is_last() -> None:
    found = told(runs(a=[float("nan"), 0.5], b=[0.1, 0.1]))
    assert [each.settings["model.cell"] for each in found.rows] == ["b", "a"]


def test_a_rival_without_a_number_has_a_dash() -> None:
    alone = {**result(0.5), "rivals": {"copy": float("nan"), "most": 0.25}}
    lines = str(told([RunResult("a/0", {}, 0, **alone)], NATS)).splitlines()
    (copy,) = (line.split() for line in lines if line.startswith("copy"))
    assert copy == ["copy", "-", "rival"]
    (most,) = (line.split() for line in lines if line.startswith("most"))
    assert most == ["most", "0.2500", "rival"]
    lost = str(told([RunResult("a/0", {}, 0, **result(float("nan")))], NATS))
    assert "nan" in lost  # a run that came apart is no dash
