"""Forecasts of short series from rolling origins: a recurrent network beside classical models.

``recurra.Forecaster`` stands as it is, told the horizon and the season; it is trained before the
first origin and, where a case says so, again after so many, with three seeds. ``--statsforecast
PYTHON`` names an interpreter that has statsforecast and utilsforecast; all models of
``outside/classical.py`` are fitted again at each origin, on all that lies before it. Told is the
mean over series and origins of MASE, whose scale is that of what lies before the origin, and of the
scaled CRPS, by quantiles 0.1 to 0.9; and which share the intervals of 80 % hold.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from harness import data, keep, machine_in_words

import recurra

OUTSIDE = Path(__file__).resolve().parent / "outside"
MODELS = ("AutoETS", "AutoTheta", "SeasonalNaive", "Naive", "Drift")
QUICK = ("AutoETS", "SeasonalNaive", "Naive", "Drift")  # AutoTheta takes minutes of long seasons
LEVELS = (20, 40, 60, 80)


class Case(NamedTuple):
    """A table, and from where how far is forecast.

    Args:
        source: of the shared data.
        value: the column.
        h: steps from each origin.
        n_windows: origins; the last lies ``h`` steps before the end.
        step_size: between two.
        season_length: of the models and of the scale.
        id: the column that tells series apart, where there are several.
        models: which.
        refit: after how many origins the network is trained again; 0 never.
        time: the column with time stamps; steps are numbered if None.
    """

    source: str
    value: str
    h: int
    n_windows: int
    step_size: int
    season_length: int
    id: str | None = None
    models: Sequence[str] = MODELS
    refit: int = 0
    time: str | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """What ``outside/classical.py`` takes."""
        names = ("h", "n_windows", "step_size", "season_length", "models")
        return {name: getattr(self, name) for name in names} | {"levels": LEVELS}


SEEDS = (0, 1, 2)
MEASURED = [
    "src/recurra/cells/gru.py",
    "src/recurra/encoders/steps.py",
    "src/recurra/estimators/forecaster.py",
    "src/recurra/heads/densities",
    "src/recurra/heads/numbers.py",
    "src/recurra/models/autoregressive.py",
    "src/recurra/models/frames.py",
    "src/recurra/models/horizon.py",
    "src/recurra/models/intervals.py",
    "src/recurra/models/series.py",
    "src/recurra/models/series_settings.py",
    "src/recurra/recipes/forecasting.toml",
    "src/recurra/tasks/forecasting",
    "src/recurra/training/loop.py",
]
AIRLINE = ("classic-series/airline-passengers.csv", "Passengers")
COLD = ("classic-series/daily-min-temperatures.csv", "Temp")
SUNSPOTS = ("classic-series/monthly-sunspots.csv", "Sunspots")
SHAMPOO = ("classic-series/shampoo.csv", "Sales")
STOCKS = ("vega-series/stocks.csv", "price")
INDEX = ("vega-series/sp500-2000.csv", "close")
CASES = {
    "airline": Case(*AIRLINE, 12, 36, 1, 12, time="Month"),
    "temperatures-7": Case(*COLD, 7, 52, 7, 7, time="Date"),
    "temperatures-28": Case(*COLD, 28, 26, 14, 7, time="Date"),
    "temperatures-28-by-year": Case(*COLD, 28, 26, 14, 365, None, QUICK),
    "sunspots-12": Case(*SUNSPOTS, 12, 40, 12, 12, time="Month"),
    "sunspots-36": Case(*SUNSPOTS, 36, 40, 12, 12, time="Month"),
    "sunspots-36-by-cycle": Case(*SUNSPOTS, 36, 40, 12, 132, None, QUICK),
    "shampoo": Case(*SHAMPOO, 3, 20, 1, 1),
    "shampoo-12": Case(*SHAMPOO, 3, 20, 1, 12),
    "stocks": Case(*STOCKS, 12, 20, 1, 1, "symbol"),
    "stocks-12": Case(*STOCKS, 12, 20, 1, 12, "symbol"),
    "sp500": Case(*INDEX, 20, 50, 20, 1),
    "sp500-5": Case(*INDEX, 20, 50, 20, 5, None, QUICK),
}


def series(case: Case) -> dict[str, list[float]]:
    """The values of each series, in the order of the file."""
    found: dict[str, list[float]] = {}
    with open(data(case.source), newline="") as file:
        for row in csv.DictReader(file):
            name = Path(case.source).stem if case.id is None else row[case.id]
            found.setdefault(name, []).append(float(row[case.value]))
    return found


def classical(case: Case, python: str) -> dict[str, Any]:
    """What ``outside/classical.py`` says of a case."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "series.csv"
        with open(path, "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["unique_id", "ds", "y"])
            for name, values in series(case).items():
                rows.writerows([name, step, value] for step, value in enumerate(values))
        script = str(OUTSIDE / "classical.py")
        told = subprocess.run(
            [python, script, str(path), json.dumps(case.settings)], capture_output=True, text=True
        )
    if told.returncode:
        sys.exit(told.stderr)
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def ours(case: Case, seed: int, settings: dict[str, Any]) -> dict[str, Any]:
    """The same scores of ``recurra.Forecaster``, and what its training says."""
    values = series(case)
    table: dict[str, list[Any]] = {"unique_id": [], "ds": [], "y": []}
    stamps = None
    if case.time is not None:
        with open(data(case.source), newline="") as file:
            stamps = [row[case.time] for row in csv.DictReader(file)]
    for name, own in values.items():
        table["unique_id"] += [name] * len(own)
        table["ds"] += stamps or range(len(own))
        table["y"] += own
    model = recurra.Forecaster(
        case.h, season=case.season_length, random_state=seed, verbose=False, settings=settings
    )
    found = model.cross_validation(
        table, n_windows=case.n_windows, step_size=case.step_size, refit=case.refit, level=LEVELS
    )
    name, came = model.name, np.array(found["y"])
    quantiles = {0.5: np.array(found[name])}
    for level in LEVELS:
        quantiles[(100 - level) / 200] = np.array(found[f"{name}-lo-{level}"])
        quantiles[(100 + level) / 200] = np.array(found[f"{name}-hi-{level}"])
    inside = (came >= quantiles[0.1]) & (came <= quantiles[0.9])
    mase: dict[str, list[float]] = {}
    crps = []
    place = 0
    for window in range(case.n_windows):
        back = case.h + (case.n_windows - 1 - window) * case.step_size
        for one, each in values.items():
            own, span = np.array(each), slice(place, place + case.h)
            origin, m = len(own) - back, case.season_length
            assert np.array_equal(came[span], own[origin : origin + case.h])
            scale = np.abs(own[m:origin] - own[: origin - m]).mean()
            error = np.abs(came[span] - quantiles[0.5][span]).mean()
            mase.setdefault(one, []).append(float(error / scale))
            losses = [
                np.maximum(q * (came[span] - v[span]), (q - 1) * (came[span] - v[span])).mean()
                for q, v in quantiles.items()
            ]
            crps.append(float(2 * np.mean(losses) / np.abs(came[span]).mean()))
            place += case.h
    return {
        "mase": statistics.mean(value for own in mase.values() for value in own),
        "scaled_crps": statistics.mean(crps),
        "coverage_80": float(inside.mean()),
        "mase_by_series": {one: statistics.mean(own) for one, own in mase.items()},
        "verdict": model.verdict_,
    }


def figure_of(runs: Sequence[dict[str, Any]], scores: dict[str, Any] | None) -> str:
    """What is kept: ours, then the classical models."""
    told = []
    for score, words in (("mase", "MASE"), ("scaled_crps", "scaled CRPS")):
        found = [run[score] for run in runs]
        part = f"{words} {statistics.mean(found):.3f} ± {statistics.pstdev(found):.3f}"
        if scores is not None:
            others = (f"{m} {v:.3f}" for m, v in scores[score].items() if v is not None)
            part += f" ({', '.join(others)})"
        told.append(part)
    holds = statistics.mean(run["coverage_80"] for run in runs)
    return "; ".join([*told, f"80 % intervals hold {holds:.0%}"])


def in_words(name: str, found: dict[str, Any]) -> str:
    """Rows of a Markdown table: MASE and scaled CRPS; and what the models said of it."""
    case, scores = CASES[name], found["scores"]
    split = f"h {case.h}, {case.n_windows} origins {case.step_size} apart, m {case.season_length}"
    rows = []
    for score in ("mase", "scaled_crps", "coverage_80"):
        values = (scores[score].get(model) for model in MODELS)
        told = " | ".join("-" if value is None else f"{value:.4f}" for value in values)
        rows.append(f"| {name} | {split} | {score} | {told} |")
    if len(scores["mase_by_series"]) > 1:
        for one, by in scores["mase_by_series"].items():
            told = " | ".join(f"{by[model]:.4f}" for model in case.models)
            rows.append(f"| {name} | {one} alone | mase | {told} |")
    for model, facts in found["facts"].items():
        rows += [f"<!-- {name}, {model}: {text} -->" for text in facts["warnings"]]
    return "\n".join(rows)


def main() -> None:
    """Print each case, and keep it where nothing was changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=[*CASES], help="which; all if none")
    parser.add_argument("--statsforecast", metavar="PYTHON")
    parser.add_argument("--settings", type=json.loads, default={}, help="of ours; not kept")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(machine_in_words())
    for name in given.cases:
        case = CASES[name]
        runs = [ours(case, seed, given.settings) for seed in SEEDS]
        found = None
        if given.statsforecast:
            found = classical(case, given.statsforecast)
            print(in_words(name, found), flush=True)
        figure = figure_of(runs, found and found["scores"])
        print(f"{name}: {figure}\n{runs[0]['verdict']}", flush=True)
        if found is not None and not given.settings:
            question = (
                f"{name}: {case.h} steps ahead from {case.n_windows} origins {case.step_size} "
                f"apart, season {case.season_length}"
            )
            figures = {"question": question, "figure": figure, "runs": runs}
            keep(f"classic_{name}", figures | {"classical": found["scores"]}, MEASURED)


if __name__ == "__main__":
    main()
