"""Forecasts beside what came, as a run keeps them and a loaded model gives them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tasks.forecasting.conftest import trained, waves

import recurra
from recurra.diagnosis import Fan, pictures
from recurra.errors import SettingError


def table(path: Path, sizes: dict[str, int]) -> Path:
    rows = ["unique_id,ds,a,b"]
    for number, (name, size) in enumerate(sizes.items()):
        for step, (a, b) in enumerate(waves(size, number).tolist()):
            rows.append(f"{name},{np.datetime64('2023-01-01') + step},{a:.4f},{b:.4f}")
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sizes = {"short": 120, "long": 200, "middle": 160, "least": 100}
    return table(tmp_path_factory.mktemp("fans") / "four.csv", sizes)


@pytest.fixture(scope="module")
def run(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("fans") / "run"
    return Path(trained(file, out, horizon=6, look_back=12, epochs=1).path)


def kept(run: Path) -> list[Fan]:
    return [*map(Fan.from_json, json.loads((run / "pictures.json").read_text())["forecast"])]


def values_of(file: Path, name: str) -> np.ndarray:
    rows = [line.split(",") for line in file.read_text().splitlines()[1:]]
    return np.array([row[2:] for row in rows if row[0] == name], float)


def test_a_run_keeps_forecasts_of_what_is_held_out(run: Path, file: Path) -> None:
    found = kept(run)
    names = [one.name for one in found]
    assert names == [f"{s} · {c}" for s in ("long", "middle", "short") for c in "ab"]
    told = " ".join(pictures(run)["forecast"].description["title"]["subtitle"])
    assert "Shown are 6 of 8." in told
    values = values_of(file, "long")
    first = 200 - 20  # the last tenth is held out, and the first origin is at its beginning
    for channel in (0, 1):
        one = found[channel]
        assert one.seen == pytest.approx(values[first - len(one.seen) : first, channel], rel=1e-6)
        assert one.came == pytest.approx(values[first : first + 6, channel], rel=1e-6)
        assert one.rivals["last value"] == pytest.approx([one.seen[-1]] * 6, rel=1e-5)
        season = values[first - 7 : first - 1, channel]
        assert one.rivals["seasonal naive"] == pytest.approx(season, rel=1e-5)
        assert len(one.steps) == len(one.seen) + 6
        assert one.steps[-6] == str(np.datetime64("2023-01-01") + first)
        for level in (80.0, 95.0):
            inner, outer = one.bands[50.0], one.bands[level]
            assert np.all(np.array(outer[0]) <= inner[0])
            assert np.all(np.array(outer[1]) >= inner[1])
    assert (run / "forecast.svg").is_file()


def test_they_are_what_the_model_predicts(run: Path, file: Path) -> None:
    one = kept(run)[0]
    model: Any = recurra.load(run)
    lines = file.read_text().splitlines()
    cut = "\n".join([lines[0], *[line for line in lines if line.startswith("long")][:180]])
    short = run.parent / "cut.csv"
    short.write_text(cut + "\n")
    (said,) = model.predict(short, level=[50, 80, 95])
    assert one.mean == pytest.approx(said.mean[:, 0], rel=1e-4)
    for level, ends in one.bands.items():
        for side in (0, 1):
            assert ends[side] == pytest.approx(said.intervals[level][side][:, 0], rel=1e-4)


def test_a_model_goes_on_from_the_end(run: Path, file: Path) -> None:
    model: Any = recurra.load(run)
    for inputs in (None, file):
        found = model.fans(inputs, series=["short"])
        (said,) = [each for each in model.predict(inputs) if each.name == "short"]
        assert [one.name for one in found] == ["short · a", "short · b"]
        for channel, one in enumerate(found):
            assert one.came == []
            assert one.mean == pytest.approx(said.mean[:, channel], rel=1e-6)
            assert one.steps[-6:] == said.said
            assert one.seen[-1] == pytest.approx(values_of(file, "short")[-1, channel], rel=1e-6)


def test_or_says_again_what_came(run: Path, file: Path) -> None:
    (one,) = recurra.load(run).fans(series=["short", "b"], came=True)
    assert one.name == "short · b"
    assert one.came == pytest.approx(values_of(file, "short")[-6:, 1], rel=1e-6)


def test_another_name_is_refused(run: Path) -> None:
    with pytest.raises(SettingError, match=r"series or a channel, got 'shrt'.*short"):
        recurra.load(run).fans(series=["shrt"])


def test_of_one_step_each_is_forecast_after_the_one_before(tmp_path: Path) -> None:
    values = waves(600)[:, 0]
    run = Path(trained(values, tmp_path / "run").path)
    (one,) = kept(run)
    assert one.one_by_one
    assert len(one.mean) == len(one.came) == 48
    assert one.came == pytest.approx(values[540:588], rel=1e-5)
    assert one.rivals["last value"] == pytest.approx(values[539:587], rel=1e-4)
    (after,) = recurra.load(run).fans()
    assert len(after.mean) == 1
    assert after.came == []


def test_whole_series_that_are_held_out_are_forecast_near_their_end(tmp_path: Path) -> None:
    data = [waves(110, seed)[:, 0] for seed in range(24)]
    run = Path(trained(data, tmp_path / "run", split="hash").path)
    found = kept(run)
    assert found
    for one in found:
        assert any(np.allclose(one.came, each[-48:], rtol=1e-5) for each in data)


def test_a_run_tells_coverage_and_what_is_left_in_errors(run: Path, tmp_path: Path) -> None:
    told = json.loads((run / "summary.json").read_text())["evaluations"]
    for row in told:
        levels = [level for level, _ in row["coverage"]]
        shares = [share for _, share in row["coverage"]]
        assert levels == [20, 40, 60, 80, 90, 95]
        assert shares == sorted(shares)
        assert dict(row["coverage"])[80] == pytest.approx(row["covered"])
        assert row["series"] == 4
    assert 0 < len(told[0]["residuals"]) <= 14
    apart = trained(waves(300), tmp_path / "run", horizon=4, look_back=8, step_size=2)
    assert apart.evaluations[0].residuals == ()


def test_intervals_of_noise_hold_as_much_as_they_say(tmp_path: Path) -> None:
    noise = np.random.default_rng(3).standard_normal((5000, 2))
    done = trained(noise, tmp_path / "run", epochs=0.1, minimum_steps=5)
    (rival,) = [row for row in done.evaluations if row.name == "unconditional"]
    for level, share in rival.coverage:
        assert share == pytest.approx(level / 100, abs=0.04), level
    assert np.abs(rival.residuals).max() < 0.15


@pytest.mark.parametrize("frequency", ["D", "h"])
def test_steps_are_said_as_clocks_of_the_zone_show_them(frequency: str, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    begin = "2024-02-10" if frequency == "D" else "2024-03-29 22:00"
    stamps = pandas.date_range(begin, periods=60, freq=frequency, tz="Europe/Berlin")
    frame = pandas.DataFrame({"ds": stamps[:56], "y": waves(56)[:, 0]})
    run = Path(trained(frame, tmp_path / "run", horizon=4, look_back=8).path)
    called = [str(each) for each in stamps]
    model: Any = recurra.load(run)
    for inputs in (None, frame):
        (after,) = model.fans(inputs)
        assert after.steps == called[-len(after.steps) :]
        (said,) = model.predict(inputs)
        assert said.said == called[56:]
    (one,) = kept(run)
    assert one.steps == called[51 + 4 - len(one.steps) : 51 + 4]  # the last tenth is held out
    (surprise,) = model.surprises(frame)
    assert surprise.steps == called[:56]
