"""How well classical forecasters do on short series, from rolling origins.

``--statsforecast PYTHON`` names an interpreter that has statsforecast and utilsforecast; all models
of ``outside/classical.py`` are fitted again at each origin, on all that lies before it. Told is the
mean over series and origins of MASE, whose scale is that of what lies before the origin, and of
the scaled CRPS, by quantiles 0.1 to 0.9.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness import data

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
    """

    source: str
    value: str
    h: int
    n_windows: int
    step_size: int
    season_length: int
    id: str | None = None
    models: Sequence[str] = MODELS

    @property
    def settings(self) -> dict[str, Any]:
        """What ``outside/classical.py`` takes."""
        names = ("h", "n_windows", "step_size", "season_length", "models")
        return {name: getattr(self, name) for name in names} | {"levels": LEVELS}


AIRLINE = ("classic-series/airline-passengers.csv", "Passengers")
COLD = ("classic-series/daily-min-temperatures.csv", "Temp")
SUNSPOTS = ("classic-series/monthly-sunspots.csv", "Sunspots")
SHAMPOO = ("classic-series/shampoo.csv", "Sales")
STOCKS = ("vega-series/stocks.csv", "price")
INDEX = ("vega-series/sp500-2000.csv", "close")
CASES = {
    "airline": Case(*AIRLINE, 12, 36, 1, 12),
    "temperatures-7": Case(*COLD, 7, 52, 7, 7),
    "temperatures-28": Case(*COLD, 28, 26, 14, 7),
    "temperatures-28-by-year": Case(*COLD, 28, 26, 14, 365, None, QUICK),
    "sunspots-12": Case(*SUNSPOTS, 12, 40, 12, 12),
    "sunspots-36": Case(*SUNSPOTS, 36, 40, 12, 12),
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=[*CASES], help="which; all if none")
    parser.add_argument("--statsforecast", metavar="PYTHON", required=True)
    given = parser.parse_args()
    print(f"| series | split | score | {' | '.join(MODELS)} |")
    print("|---" * (3 + len(MODELS)) + "|")
    for name in given.cases:
        found = classical(CASES[name], given.statsforecast)
        print(in_words(name, found), flush=True)
        seconds = ", ".join(f"{m} {f['seconds']:.1f} s" for m, f in found["facts"].items())
        print(f"{name}: {seconds}; load {found['load'][0]:.1f}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
