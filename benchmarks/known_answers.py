"""Forecasts where the best possible one is known: how near does a recurrent model come?

* ``arma``: an ARMA(2, 1) process of 5,000 steps; the squared error one step ahead on 50,000 further
  steps, by that of the best forecast of these very steps and by the variance of the innovations.
* ``gaps``: sines of which half of the samples are missing at random; the squared error of the next
  value of GRU-D, whose inputs and state decay, of a GRU that reads the last value that was there,
  and of one that reads 0 with a mark.
* ``ball``: where a ball in a box is 10 frames later, after a wall, beside constant velocity.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import keep, machine_in_words

import recurra
from recurra.data.synthetic import ARMA, BouncingBall, Gappy, Sine

SEEDS = (0, 1, 2)
MEASURED = [
    "src/recurra/cells/affine.py",
    "src/recurra/cells/gaps.py",
    "src/recurra/cells/gru.py",
    "src/recurra/data/synthetic",
    "src/recurra/encoders/frames.py",
    "src/recurra/encoders/steps.py",
    "src/recurra/heads/densities",
    "src/recurra/heads/numbers.py",
    "src/recurra/layers",
    "src/recurra/models/autoregressive.py",
    "src/recurra/models/frames.py",
    "src/recurra/models/horizon.py",
    "src/recurra/models/intervals.py",
    "src/recurra/models/series.py",
    "src/recurra/models/series_settings.py",
    "src/recurra/recipes/forecasting.toml",
    "src/recurra/tasks/forecasting",
    "src/recurra/training/loop.py",
    "src/recurra/training/optimizers.py",
]


def quiet(told: Any) -> None:
    """Nothing is said of how a training goes."""


def arma(seed: int) -> dict[str, float]:
    """Squared errors by those of the best forecast, and by the variance of the innovations."""
    process = ARMA([1.2, -0.5], [0.4], noise=1.0, seed=seed)
    values = process.take(55_000).double().numpy()[:, 0]
    with tempfile.TemporaryDirectory() as place:
        run = Path(place) / "run"
        recurra.train(
            "forecasting", values[:5000], out=run, seed=seed, report=quiet, look_back=32,
            distribution="squared", normalize="none", around="level", hidden_size=16,
            learning_rate=0.002, epochs=5,
        )  # fmt: skip
        ours = recurra.evaluate(run, [values[4968:]])[0]
    innovations = _innovations(values, [1.2, -0.5], [0.4])
    best = float((innovations[5000:] ** 2).mean())
    error = ours.mean_squared
    return {"error": error, "best": best, "over the best": error / best, "over variance": error}


def _innovations(values: Any, ar: list[float], ma: list[float]) -> Any:
    """What was new at each step, from the first on; the start is forgotten soon."""
    found = np.zeros(len(values))
    for t in range(2, len(values)):
        known = ar[0] * values[t - 1] + ar[1] * values[t - 2] + ma[0] * found[t - 1]
        found[t] = values[t] - known
    return found


def gaps(seed: int) -> dict[str, float]:
    """Mean squared errors of the next value, where it came; amplitudes are 1."""
    rows, steps = 60, 600
    chance = np.random.default_rng(seed)
    sine = Sine(
        frequency=1 / chance.uniform(12, 40, rows), amplitude=1.0,
        phase=chance.uniform(0, 2 * np.pi, rows), sampling_rate=1.0, noise=0.02, seed=seed,
    )  # fmt: skip
    values = Gappy(sine, 0.5, seed=seed).take(steps).double().numpy()
    parts = {
        name: [values[:, row] for row in span]
        for name, span in (("train", range(40)), ("validation", range(40, 50)),
                           ("test", range(50, 60)))
    }  # fmt: skip
    ways: dict[str, dict[str, Any]] = {
        "GRU-D": {"cell": "grud"},
        "GRU, last value": {"cell": "gru", "missing": "forward"},
        "GRU, 0 and mark": {"cell": "gru", "missing": "mark"},
    }
    found = {}
    for name, settings in ways.items():
        with tempfile.TemporaryDirectory() as place:
            done = recurra.train(
                "forecasting", parts, out=Path(place) / "run", seed=seed, report=quiet,
                split="given", distribution="squared", look_back=64, origins=64,
                normalize="none", around="level", linear=False, epochs=40, batch_size=40,
                **settings,
            )  # fmt: skip
        found[name] = done.evaluations[0].mean_squared
    return found


def ball(seed: int) -> dict[str, float]:
    """Mean distance 10 frames ahead, in lengths, where a wall is between."""
    ahead, rows, steps = 10, 300, 120
    source = BouncingBall((16, 16), radius=2.0, speed=1.0, rows=rows, seed=seed)
    states = source.take(steps).double().numpy()  # [steps, rows, 2 * axes]
    places = states[..., :2]
    parts = {
        name: [places[:, row] for row in span]
        for name, span in (("train", range(240)), ("validation", range(240, 270)),
                           ("test", range(270, 300)))
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        run = Path(place) / "run"
        recurra.train(
            "forecasting", parts, out=run, seed=seed, report=quiet, split="given", horizon=ahead,
            look_back=8, distribution="squared", hidden_size=128, batch_size=64, epochs=12,
            normalize="none", around="last", linear=True, learning_rate=0.004,
        )  # fmt: skip
        model = recurra.load(run)
        ours, straight = [], []
        for row in range(270, 300):
            read = [places[:stop, row] for stop in range(8, steps - ahead)]
            said = np.stack([each.mean[-1] for each in model.predict(read)])
            ends = np.arange(8, steps - ahead)
            came = places[ends + ahead - 1, row]
            speed = places[ends - 1, row] - places[ends - 2, row]
            line = places[ends - 1, row] + ahead * speed
            bounced = np.linalg.norm(line - came, axis=1) > 1e-6
            ours.append(np.linalg.norm(said - came, axis=1)[bounced])
            straight.append(np.linalg.norm(line - came, axis=1)[bounced])
    return {
        "recurrent": float(np.concatenate(ours).mean()),
        "constant velocity": float(np.concatenate(straight).mean()),
    }


CASES: dict[str, tuple[str, Callable[[int], dict[str, float]], str]] = {
    "arma": (
        "squared error one step ahead of an ARMA(2, 1) of 5,000 steps, by that of the best "
        "forecast; goal at most 1.03",
        arma,
        "over the best",
    ),
    "gaps": (
        "squared error of the next value of sines of which half is missing; goal: GRU-D below a "
        "GRU that reads the last value",
        gaps,
        "GRU-D",
    ),
    "ball": (
        "distance of a bouncing ball from where it is said to be 10 frames later, behind a wall; "
        "goal: below constant velocity",
        ball,
        "recurrent",
    ),
}


def main() -> None:
    """Print each, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all if none")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="fewer are not kept")
    given = parser.parse_args()
    print(machine_in_words())
    torch.set_num_threads(1)
    for name in given.cases or CASES:
        question, measure, _ = CASES[name]
        runs = {seed: measure(seed) for seed in SEEDS[: given.seeds]}
        names = list(runs[0])
        told = [
            f"{key} {statistics.mean(run[key] for run in runs.values()):.4f} ± "
            f"{statistics.pstdev([run[key] for run in runs.values()]):.4f}"
            for key in names
        ]
        print(f"{name}: {'; '.join(told)}", flush=True)
        if given.seeds == len(SEEDS):
            figures = {"question": question, "figure": "; ".join(told)}
            keep(f"known_{name}", figures | {"runs": runs}, MEASURED)


if __name__ == "__main__":
    main()
