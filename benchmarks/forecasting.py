"""Forecasts of real series: how far from what came, beside models without memory.

Each case is a data set, divided by time, and settings of the recipe ``forecasting``; where a
look-back is chosen, the validation part chooses it. Three seeds. The rivals are those of each run.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import data, keep, machine_in_words

import recurra

SEEDS = (0, 1, 2)
MEASURED = [
    "src/recurra/cells/affine.py",
    "src/recurra/cells/gru.py",
    "src/recurra/encoders/frames.py",
    "src/recurra/encoders/steps.py",
    "src/recurra/heads/densities",
    "src/recurra/heads/numbers.py",
    "src/recurra/layers",
    "src/recurra/models/autoregressive.py",
    "src/recurra/models/series.py",
    "src/recurra/models/series_settings.py",
    "src/recurra/models/frames.py",
    "src/recurra/models/horizon.py",
    "src/recurra/models/intervals.py",
    "src/recurra/models/linear.py",
    "src/recurra/models/naive.py",
    "src/recurra/models/rivals.py",
    "src/recurra/recipes/forecasting.toml",
    "src/recurra/tasks/forecasting",
    "src/recurra/training/loop.py",
    "src/recurra/training/optimizers.py",
]


@dataclasses.dataclass(frozen=True)
class Case:
    """Data and settings.

    Args:
        question: what is measured, with its goal.
        read: the table.
        settings: of the recipe.
        choices: of each of these one is chosen by the validation part, with the first seed.
        goal: of the score, at most.
        score: which number of an evaluation it is.
    """

    question: str
    read: Callable[[], dict[str, list[Any]]]
    settings: dict[str, Any]
    choices: tuple[dict[str, Any], ...] = ({},)
    goal: float | None = None
    score: str = "mase"


def table(path: str, names: dict[str, str], rows: int | None = None) -> dict[str, list[Any]]:
    """Columns of a CSV file under other names; "" is missing."""
    with data(path).open(newline="") as file:
        found = list(csv.DictReader(file))[:rows]
    return {new: [row[old] for row in found] for old, new in names.items()}


def etth1() -> dict[str, list[Any]]:
    """The usual 20 months: 12 to train on, 4 to choose by, 4 held out."""
    channels = ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]
    return table("etth1/ETTh1.csv", {"date": "ds"} | {name: name for name in channels}, 14_400)


def _etth1(horizon: int, goal: float) -> Case:
    return Case(
        f"ETTh1, {horizon} hours ahead, all origins of the last four months, squared error of "
        f"standardized values; goal at most {goal}",
        etth1,
        {
            "horizon": horizon, "patch": 48, "calendar": [], "validation_steps": 2880,
            "test_steps": 2880, "apart": True, "normalize": "last", "around": "last",
            "linear": True, "distribution": "absolute", "filters": 128, "hidden_size": 128,
            "dropout": 0.3, "learning_rate": 0.002, "batch_size": 64, "epochs": 4,
        },
        ({"look_back": 336}, {"look_back": 720}),
        goal,
        "scaled_mean_squared",
    )  # fmt: skip


CASES = {
    "etth1-96": _etth1(96, 0.375),
    "etth1-192": _etth1(192, 0.42),
    "etth1-336": _etth1(336, 0.46),
    "etth1-720": _etth1(720, 0.47),
}


def measured(case: Case, seed: int, more: dict[str, Any]) -> dict[str, Any]:
    """Scores by model, the recurrent one as "recurrent", and its best validation."""
    settings = case.settings | more
    with tempfile.TemporaryDirectory() as place:
        began = time.perf_counter()
        done = recurra.train(
            "forecasting", case.read(), out=Path(place) / "run", seed=seed,
            report=lambda told: None, **settings,
        )  # fmt: skip
        rows = [row.to_json() for row in done.evaluations]
        log = list(csv.DictReader((done.path / "log.csv").open()))
        chosen = min(float(row["validation_loss"]) for row in log if row["validation_loss"])
        verdict = done.verdict
    seconds = time.perf_counter() - began
    rows[0] |= {"name": "recurrent", "seconds": seconds, "validation": chosen, "verdict": verdict}
    for row in rows:
        row.pop("by_series", None), row.pop("by_step", None)
    return {row["name"]: row for row in rows}


def run(name: str, case: Case, seeds: tuple[int, ...]) -> dict[str, Any]:
    """All seeds, with what the first of them has chosen."""
    tried = {}
    for number, more in enumerate(case.choices):
        tried[number] = measured(case, seeds[0], more)
        ours = tried[number]["recurrent"]
        print(f"{name} {more}: validation {ours['validation']:.4f}, {case.score} "
              f"{ours[case.score]:.4f}; {ours['seconds']:.0f} s", flush=True)  # fmt: skip
    best = min(tried, key=lambda number: tried[number]["recurrent"]["validation"])
    runs = {seeds[0]: tried[best]}
    for seed in seeds[1:]:
        runs[seed] = measured(case, seed, case.choices[best])
    found = [runs[seed]["recurrent"][case.score] for seed in seeds]
    rivals = {n: row[case.score] for n, row in runs[seeds[0]].items() if n != "recurrent"}
    ours = [runs[seed]["recurrent"] for seed in seeds]
    figure = f"{statistics.mean(found):.3f} ± {statistics.pstdev(found):.3f}"
    told = ", ".join(f"{n} {v:.3f}" if v is not None else f"{n} -" for n, v in rivals.items())
    holds = statistics.mean(row["covered"] for row in ours)
    crps = statistics.mean(row["crps"] for row in ours)
    chosen = ", ".join(f"{k} {v}" for k, v in case.choices[best].items())
    chosen = f" ({chosen}, by validation)" if chosen else ""
    figure += f"{chosen}; {told}; 80 % intervals hold {holds:.0%}, scaled CRPS {crps:.3f}"
    if "seasonal naive" in runs[seeds[0]]:
        figure += f" (seasonal naive {runs[seeds[0]]['seasonal naive']['crps']:.3f})"
    print(f"{name}: {figure}\n{ours[0]['verdict']}", flush=True)
    return {"figure": figure, "runs": runs, "chosen": case.choices[best]}


def main() -> None:
    """Print each case, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all if none")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="fewer are not kept")
    given = parser.parse_args()
    print(machine_in_words())
    for name in given.cases or CASES:
        case = CASES[name]
        found = run(name, case, tuple(range(given.seeds)))
        if given.seeds == len(SEEDS):
            figures = {
                "question": case.question,
                "figure": found["figure"],
                "settings": case.settings | found["chosen"],
                "runs": {str(seed): runs for seed, runs in found["runs"].items()},
            }
            keep(f"forecasting_{name}", figures, MEASURED)


if __name__ == "__main__":
    main()
