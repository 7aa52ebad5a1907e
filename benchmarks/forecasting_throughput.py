"""How many windows a second does an LSTM of 128 learn from, on 1,000 series of 500 steps?

A window is a place in a series at which a forecast of 24 steps begins, read from 72 steps before it
at least, and learned from. The rival is neuralforecast's LSTM under an interpreter of its own
(``--neuralforecast PYTHON``), with the settings that were fastest of those tried; both run in turn,
with two threads, a process each. What both say of the last 24 steps of each series is scored alike.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import keep, machine_in_words
from outside.seasonal import errors, make

import recurra
from recurra.tasks.base import task_by_name
from recurra.training.loop import Training
from recurra.training.recipe import load_recipe

ROUNDS, HORIZON, READS = 3, 24, 72
OUTSIDE = Path(__file__).resolve().parent / "outside"
RIVAL = {
    "h": HORIZON, "input_size": READS, "encoder_hidden_size": 128, "encoder_n_layers": 1,
    "scaler_type": "standard", "windows_batch_size": 128, "batch_size": 8, "threads": 2,
}  # fmt: skip
LEARNS = {"max_steps": 1000, "learning_rate": 0.003, "loss": "MAE"}
OURS = {
    "horizon": HORIZON, "look_back": READS, "season": HORIZON, "cell": "lstm", "hidden_size": 128,
    "distribution": "absolute", "validation": False, "test_steps": HORIZON,
}  # fmt: skip
WAYS = {
    "one origin a row": {"batch_size": 128, "origins": 1, "epochs": 0.3},
    "24 origins a row": {"batch_size": 32, "origins": 24, "epochs": 3},
}
MEASURED = [
    "runtime/native",
    "src/recurra/cells/lstm.py",
    "src/recurra/encoders/steps.py",
    "src/recurra/engine",
    "src/recurra/heads/numbers.py",
    "src/recurra/models/autoregressive.py",
    "src/recurra/models/frames.py",
    "src/recurra/models/horizon.py",
    "src/recurra/models/intervals.py",
    "src/recurra/models/series.py",
    "src/recurra/models/series_settings.py",
    "src/recurra/tasks/forecasting",
    "src/recurra/training/loop.py",
]


def table() -> tuple[Any, dict[str, Any]]:
    """The series, and the table that they are given in."""
    values = make().y
    rows, steps = values.shape
    names = np.repeat(np.arange(rows), steps)
    return values, {"unique_id": names, "ds": np.tile(np.arange(steps), rows), "y": values.ravel()}


def rate(way: str, steps: int = 60, warm: int = 10) -> dict[str, float]:
    """Windows a second of our training, behind its first steps."""
    torch.set_num_threads(2)
    _, source = table()
    changes = [f"{'data' if _of_data(k) else 'training' if k in _TRAINING else 'model'}.{k}="
               f"{json.dumps(v)}" for k, v in (OURS | WAYS[way]).items()]  # fmt: skip
    recipe = load_recipe("forecasting", changes)
    task = task_by_name("forecasting")
    with tempfile.TemporaryDirectory() as place:
        prepared = task.prepare(source, recipe.data, Path(place), lambda told: None)
    torch.manual_seed(0)
    model = task.build(recipe.model, prepared.fronts)
    batches = prepared.parts["training"].batches(rows=recipe.training.batch_size, window=1, seed=0)
    seen, began = 0, 0.0
    for number, done in enumerate(Training(model, batches, recipe.training)):
        if number == warm:
            seen, began = done.symbols, time.perf_counter()
        if number == warm + steps:
            seconds = time.perf_counter() - began
            return {"windows a second": (done.symbols - seen) / HORIZON / seconds}
    raise AssertionError("too few steps")


_TRAINING = ("batch_size", "epochs")


def _of_data(name: str) -> bool:
    return name in task_by_name("forecasting").Data.model_fields


def learned(way: str) -> dict[str, float]:
    """Errors on the last steps of our training, and how long it took, scores included."""
    torch.set_num_threads(2)
    values, source = table()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        done = recurra.train(
            "forecasting", source, out=Path(place) / "run", report=lambda told: None,
            **(OURS | WAYS[way]),
        )  # fmt: skip
        seconds = time.perf_counter() - began
        before = dict(source)
        keep_rows = np.tile(np.arange(values.shape[1]) < values.shape[1] - HORIZON, len(values))
        before = {name: column[keep_rows] for name, column in before.items()}
        found = recurra.load(done.path).predict(before)
        said = np.stack([each.mean[:, 0] for each in found])
    return errors(values, said) | {"seconds": seconds}


def alone(what: str, way: str) -> dict[str, float]:
    """A measurement of ours in a process of its own."""
    told = subprocess.run(
        [sys.executable, __file__, "--inside", what, way], capture_output=True, text=True
    )
    if told.returncode:
        sys.exit(told.stderr)
    found: dict[str, float] = json.loads(told.stdout.splitlines()[-1])
    return found


def rival(python: str, **more: Any) -> dict[str, Any]:
    """What neuralforecast does."""
    settings = RIVAL | more
    told = subprocess.run(
        [python, str(OUTSIDE / "neural.py"), json.dumps(settings)],
        capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "2"},
    )  # fmt: skip
    if told.returncode:
        sys.exit(told.stderr)
    found: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Print rates in turn and errors, and keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--neuralforecast", metavar="PYTHON")
    parser.add_argument("--inside", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        what, way = given.inside
        print(json.dumps((rate if what == "rate" else learned)(way)))
        return
    print(machine_in_words())
    rates: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for way in WAYS:
            rates.setdefault(way, []).append(alone("rate", way)["windows a second"])
        if given.neuralforecast:
            found = rival(given.neuralforecast, max_steps=120)
            rates.setdefault("neuralforecast", []).append(found["windows_a_second"])
        print({name: [round(each) for each in own] for name, own in rates.items()}, flush=True)
    scores = {way: alone("learned", way) for way in WAYS}
    if given.neuralforecast:
        found = rival(given.neuralforecast, **LEARNS)
        scores["neuralforecast"] = {"mae": found["mae"], "mse": found["mse"],
                                    "seconds": found["fit_seconds"]}  # fmt: skip
    parts = []
    for name, own in rates.items():
        middle, score = statistics.median(own), scores[name]
        over = ""
        if "neuralforecast" in rates and name != "neuralforecast":
            over = f" ({middle / statistics.median(rates['neuralforecast']):.1f} times)"
        parts.append(
            f"{name} {middle:,.0f} windows a second{over}, error {score['mae']:.3f} after "
            f"{score['seconds']:.0f} s"
        )
    figure = "; ".join(parts)
    print(figure)
    if given.neuralforecast:
        keep(
            "forecasting_throughput",
            {
                "question": "windows a second that an LSTM of 128 learns from, on 1,000 series of "
                "500 steps, 24 ahead, beside neuralforecast's; mean absolute error of the last 24 "
                "steps, scaled; goal at least 3 times at no worse error",
                "figure": figure,
                "rates": rates,
                "scores": scores,
            },
            MEASURED,
            by_kind=True,
        )


if __name__ == "__main__":
    main()
