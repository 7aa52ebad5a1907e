"""How long from the call to the first forecast of 10 series of 200 points?

A process of its own each time, from ``import recurra`` on: ``Forecaster(horizon=12).fit(table)``,
then ``predict()``. Beside it, under an interpreter of its own (``--statsforecast PYTHON``), what
classical models take for the same.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from time import perf_counter

from harness import keep, machine_in_words

RUNS = 5
DATA = """
import numpy as np
draw = np.random.default_rng(0)
steps = np.arange(200)
y = np.stack([10 * i + 3 * np.sin(2 * np.pi * steps / 12 + i) + draw.standard_normal(200)
              for i in range(10)])
names, ds = np.repeat(np.arange(10), 200), np.tile(steps, 10)
"""
OURS = (
    DATA
    + """
import recurra
table = {"unique_id": names, "ds": ds, "y": y.ravel()}
model = recurra.Forecaster(12, season=12).fit(table)
assert len(model.predict()["ds"]) == 120
"""
)
CLASSICAL = (
    DATA
    + """
import pandas
from statsforecast import StatsForecast
from statsforecast.models import AutoETS, AutoTheta
table = pandas.DataFrame({"unique_id": names, "ds": ds, "y": y.ravel()})
models = [AutoETS(season_length=12), AutoTheta(season_length=12)]
assert len(StatsForecast(models=models, freq=1).forecast(df=table, h=12, level=[80])) == 120
"""
)
MEASURED = [
    "src/recurra/estimators/forecaster.py",
    "src/recurra/models/autoregressive.py",
    "src/recurra/models/horizon.py",
    "src/recurra/models/intervals.py",
    "src/recurra/models/series.py",
    "src/recurra/models/series_settings.py",
    "src/recurra/recipes/forecasting.toml",
    "src/recurra/tasks/forecasting",
    "src/recurra/training",
]


def seconds(python: str, script: str) -> float:
    """Of a process, from its start to its end."""
    began = perf_counter()
    done = subprocess.run([python, "-c", script], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return perf_counter() - began


def main() -> None:
    """Print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--statsforecast", metavar="PYTHON")
    given = parser.parse_args()
    print(machine_in_words())
    rivals = {"recurra": (sys.executable, OURS)}
    if given.statsforecast:
        rivals["AutoETS and AutoTheta"] = (given.statsforecast, CLASSICAL)
    found: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(RUNS):
        for name, how in rivals.items():
            found[name].append(seconds(*how))
    told = [
        f"{name} {statistics.median(own):.1f} s ({min(own):.1f} to {max(own):.1f})"
        for name, own in found.items()
    ]
    print("; ".join(told))
    keep(
        "first_forecast",
        {
            "question": "seconds from the start of Python to the first forecast of 10 series of "
            "200 points, training included; goal at most 20",
            "figure": "; ".join(told),
            "seconds": found,
        },
        MEASURED,
        by_kind=True,
    )


if __name__ == "__main__":
    main()
