"""Rival forecasters: the series they are given, and how they are asked."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy
import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def imported(monkeypatch):
    """Imports a benchmark, and what it imports, afresh."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        place = getattr(sys.modules[name], "__file__", None)
        if place is not None and ROOT / "benchmarks" in Path(place).parents:
            del sys.modules[name]


def test_made_series_are_their_parts(imported):
    seasonal = imported("outside.seasonal")
    made = seasonal.make(series=400, steps=480, seed=1)
    again = seasonal.make(series=400, steps=480, seed=1)
    assert made.y.tobytes() == again.y.tobytes()
    assert made.y.shape == (400, 480)
    y = made.y / made.scale[:, None]
    days = y.reshape(400, -1, seasonal.PERIOD)
    # Of neighbors a day apart season and level are gone; the rest has the variance of its parts.
    change = numpy.diff(days, axis=1).var(axis=(1, 2))
    slow = made.spread**2 * (1 - made.persistence**seasonal.PERIOD)
    assert change.mean() == pytest.approx((2 * slow + 2 * made.noise**2).mean(), rel=0.03)
    shape = days.mean(1) - days.mean((1, 2))[:, None]
    assert (shape**2).mean() == pytest.approx(1, rel=0.1)
    # One step ahead the floor is that of the innovation and the noise, far ahead that of the part.
    near, far = made.floor(2000)[:, [0, -1]].T / made.scale
    innovation = made.spread**2 * (1 - made.persistence**2)
    assert near**2 == pytest.approx(innovation + made.noise**2)
    assert far**2 == pytest.approx(made.spread**2 + made.noise**2, rel=1e-3)


def test_errors_are_scaled_by_what_lies_before(imported):
    y = numpy.array([[0.0, 2, 0, 2, 5, 7], [0, 20, 0, 20, 50, 70]])
    forecast = y[:, -2:] - [[1, -2], [10, -20]]
    found = imported("outside.seasonal").errors(y, forecast)
    assert found == {"mae": 1.5, "mse": 2.5}


def test_series_are_read_as_they_stand_in_their_file(imported, tmp_path, monkeypatch):
    classic = imported("classic_series")
    path = tmp_path / "two.csv"
    path.write_text("name,month,price\nb,Jan 1,3\na,Jan 1,1\nb,Feb 1,4.5\n")
    monkeypatch.setattr(classic, "data", lambda name: path)
    case = classic.Case("two.csv", "price", 1, 1, 1, 1)
    assert classic.series(case) == {"two": [3, 1, 4.5]}
    assert classic.series(case._replace(id="name")) == {"b": [3, 4.5], "a": [1]}


def test_classical_forecasters_run_under_another_interpreter(imported, tmp_path, monkeypatch):
    classic = imported("classic_series")
    monkeypatch.setattr(classic, "series", lambda case: {"a": [1.5, 2.0]})
    stub = tmp_path / "python"
    stub.write_text(
        f"#!{sys.executable}\nimport json, sys\n"
        "print(json.dumps([sys.argv[1], open(sys.argv[2]).read(), json.loads(sys.argv[3])]))\n"
    )
    stub.chmod(0o755)
    case = classic.Case("a.csv", "y", 2, 3, 4, 12)
    script, table, settings = classic.classical(case, str(stub))
    assert Path(script).is_file()
    assert table.split() == ["unique_id,ds,y", "a,0,1.5", "a,1,2.0"]
    assert (settings["h"], settings["n_windows"], settings["step_size"]) == (2, 3, 4)
    assert settings["season_length"] == 12
    stub.write_text("#!/bin/sh\necho absent >&2\nexit 1\n")
    with pytest.raises(SystemExit, match="absent"):
        classic.classical(case, str(stub))
