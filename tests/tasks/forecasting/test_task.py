"""A forecaster from its training to its answers."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tasks.forecasting.conftest import trained, waves

import recurra
from recurra import artifact
from recurra.errors import ArtifactError, DataError, SettingError
from recurra.models import Rival
from recurra.tasks.base import task_by_name
from recurra.training import load_recipe

NAN = math.nan


def loaded(run: Path) -> Any:
    return recurra.load(run)


def test_it_learns_more_than_what_has_no_state(tmp_path):
    done = trained(waves(3000), tmp_path / "run", hidden_size=16, minimum_steps=300)
    rows = {row.name: row for row in done.evaluations}
    assert [name.partition(" of")[0] for name in rows] == [
        "gru", "unconditional", "last value", "autoregression"
    ]  # fmt: skip
    assert rows["gru"].value < rows["last value"].value < rows["unconditional"].value
    assert rows["unconditional"].value == pytest.approx(1.42, abs=0.1)  # of a standard normal
    for row in rows.values():
        assert row.values == 2 * 300
    table = task_by_name("forecasting").table(done.evaluations, "held out")
    assert table.header[:4] == ("model", "nats/value", "MSE", "MAE")
    assert table.title == "held out: 600 values"
    assert f"{rows['gru'].value:.3f} on what was held out" in done.verdict


def test_errors_are_in_the_units_of_the_data(run):
    data = waves(400, seed=3)
    (ours, *_), model = recurra.evaluate(run, [data]), loaded(run)
    stream = model.stream()
    means = np.stack([step.mean for step in stream.read(data)])
    assert ours.mean_squared == pytest.approx(float(((data - means) ** 2).mean()), rel=1e-5)
    assert ours.mean_absolute == pytest.approx(float(np.abs(data - means).mean()), rel=1e-5)
    assert ours.values == 800


def test_the_surprises_of_data_are_their_loss(run):
    data = [waves(300, seed=1), waves(31, seed=2), waves(1, seed=3)]
    data[0][5:9, 0] = NAN
    data[0][7, 1] = NAN
    found = list(loaded(run).surprise(data))
    assert [len(each.nats) for each in found] == [300, 31, 1]
    total = sum(float(np.nansum(each.nats)) for each in found)
    row = recurra.evaluate(run, data)[0]
    assert row.nats == pytest.approx(total, rel=1e-6)
    assert row.values == 2 * 332 - 5
    model = artifact.load(run).model
    task = task_by_name("forecasting")
    part = task.read(data, loaded(run).fronts, task.Data(), print)
    assert model.score(part.groups())[0] == pytest.approx(total, rel=1e-5)  # in float32
    assert np.isnan(found[0].nats).nonzero()[0].tolist() == [7]


@pytest.mark.parametrize("body", ["recurrent", "window"])
def test_whole_chunks_and_steps_are_the_same(body, run, tmp_path):
    if body != "recurrent":
        run = trained(waves(600), tmp_path / "run", body=body).path
    data, model = waves(150, seed=4), loaded(run)
    data[20:23, 0] = NAN
    (whole,) = model.surprise([data], 0.1)
    (said,) = model.predict([data])
    for sizes in ([150], [1] * 150, [0, 7, 43, 1, 99]):
        stream, at, steps = model.stream(0.05), 0, []
        for size in sizes:
            steps += stream.read(data[at : at + size])
            at += size
        np.testing.assert_allclose([s.surprise for s in steps], whole.nats, atol=2e-5)
        (at_five,) = model.surprise([data], 0.05)
        flagged = [number for number, step in enumerate(steps) if step.flagged]
        assert flagged == at_five.flagged.tolist()
        mean, deviation = stream.expect()
        assert mean.shape == said.mean.shape == (1, 2)
        np.testing.assert_allclose(mean, said.mean, rtol=1e-5)
        np.testing.assert_allclose(deviation, said.deviation, rtol=1e-5)


def test_nothing_that_comes_later_changes_what_was_said(run):
    data, model = waves(100, seed=5), loaded(run)
    changed = data.copy()
    changed[60:] = 1e30
    (one,), (other,) = model.surprise([data]), model.surprise([changed])
    assert np.array_equal(one.nats[:60], other.nats[:60])
    assert np.isfinite(other.nats).all()
    assert other.nats[60] > one.nats[60] + 5


def test_the_first_step_too_from_the_initial_state(run):
    model = loaded(run)
    (found,) = model.surprise([waves(1, seed=6)])
    mean, deviation = model.stream().expect()
    assert math.isfinite(found.nats[0])
    assert np.isfinite(mean).all()
    assert (deviation > 0).all()
    (empty,) = model.predict([np.zeros((0, 2))])
    assert empty.after is None
    np.testing.assert_allclose(empty.mean, mean)
    assert empty.channels == model.panel.channels == ("0", "1")


def test_what_is_odd(run):
    model = loaded(run)
    found = list(model.surprise([np.zeros((0, 2)), np.full((5, 2), NAN), waves(3)]))
    assert found[0].nats.tolist() == []
    assert np.isnan(found[1].nats).all()
    assert not len(found[1].flagged)
    with pytest.raises(DataError, match="finite numbers, channel '1' is infinite at step 2"):
        list(model.surprise([np.array([[0, 0], [0, 0], [0, math.inf]])]))
    with pytest.raises(DataError, match=r"expected \[time, 2\]"):
        list(model.predict([np.zeros(5)]))
    with pytest.raises(SettingError, match="ranks no alternatives"):
        model.show(next(model.predict([waves(3)])), top=2)


def test_a_very_long_series(run):
    data = waves(30_000, seed=7)
    (found,) = loaded(run).surprise([data])
    assert np.isfinite(found.nats).all()
    (last,) = loaded(run).surprise([data[-2000:]])
    np.testing.assert_allclose(found.nats[-500:], last.nats[-500:], atol=1e-3)


def test_constant_series_are_finite(tmp_path):
    data = np.full((300, 2), 7.0)
    data[:, 1] = np.random.default_rng(0).standard_normal(300)
    done = trained(data, tmp_path / "run")
    assert all(math.isfinite(row.value) for row in done.evaluations)
    (found,) = loaded(done.path).surprise([data[:50]], 0.1)
    assert np.isfinite(found.nats).all()
    odd = data[:50].copy()
    odd[30, 0] = 8.0
    (other,) = loaded(done.path).surprise([odd], 0.1)
    assert other.nats[30] > found.nats[30] + 1


@pytest.mark.parametrize("distribution", ["student", "gaussian", "mixture"])
def test_false_alarms_are_as_many_as_wanted(distribution, tmp_path):
    """On data of the same kind, within four deviations of a binomial share of both parts."""
    chance = np.random.default_rng(0)
    noise = chance.standard_normal(20_000)
    done = trained(noise, tmp_path / "run", distribution=distribution, minimum_steps=40)
    fresh = chance.standard_normal(10_000)
    model = loaded(done.path)
    for share in (0.01, 0.05, 0.3):
        (found,) = model.surprise([fresh], share)
        spread = math.sqrt(share * (1 - share) * (1 / 10_000 + 1 / 2_000))
        assert abs(len(found.flagged) / 10_000 - share) < 4 * spread
    (few,), (many,) = model.surprise([fresh], 0.01), model.surprise([fresh], 0.3)
    assert set(few.flagged) < set(many.flagged)


def test_a_checkpoint_alone_knows_its_threshold(run, tmp_path):
    data = [waves(50, seed=8)]
    (ours,) = loaded(run).surprise(data)
    alone = tmp_path / "alone"
    shutil.copytree(artifact.load(run).path, alone)
    (theirs,) = loaded(alone).surprise(data)
    assert theirs.threshold == ours.threshold
    for checkpoint in (run / "checkpoints").iterdir():
        assert (checkpoint / "surprises.json").exists()
    (alone / "surprises.json").unlink()
    with pytest.raises(ArtifactError, match="does not know how surprising usual data are"):
        loaded(alone).surprise(data)


def test_without_a_validation_part_there_is_no_threshold(tmp_path):
    done = trained(waves(200), tmp_path / "run", validation=False, minimum_steps=5)
    with pytest.raises(ArtifactError, match=r"data\.validation"):
        loaded(done.path).surprise([waves(5)])


def test_rivals_come_back(run):
    task = task_by_name("forecasting")
    found = task.read_rivals(run)
    assert [name.partition(" of")[0] for name in found] == [
        "unconditional", "last value", "autoregression"
    ]  # fmt: skip
    assert all(isinstance(rival, Rival) for rival in found.values())
    rows = recurra.evaluate(run, [waves(100)])
    assert [row.name for row in rows] == ["gru", *found]


def test_a_run_goes_on_from_another(run, tmp_path):
    done = trained(waves(400, seed=9) * 2, tmp_path / "on", from_run=run, minimum_steps=5)
    ours, theirs = loaded(run).panel.scales.common, loaded(done.path).panel.scales.common
    assert np.array_equal(ours.size, theirs.size)


def test_settings_that_cannot_be():
    with pytest.raises(SettingError, match="has seen the value it predicts"):
        load_recipe("forecasting", ["model.bidirectional=true"])
    recipe = load_recipe("forecasting", ["model.components=3"])
    assert ("model.components", "distribution is student") in recipe.of_task.idle(recipe)
    recipe = load_recipe("forecasting", ["model.components=3", 'model.distribution="mixture"'])
    assert not recipe.of_task.idle(recipe)
