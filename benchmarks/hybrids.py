"""Recurrence, attention to a window, or both by turns: what is worth its parameters in a text?

Three language models of the characters of tinyshakespeare with about as many parameters, trained on
as many symbols by the recipe ``language-model``: two recurrent layers (LSTM), a hybrid of two with
an attention to the last 64 characters behind each, and a Transformer of four such attentions. The
learning rate of each is the one of three that is best on the validation part after a fifth of the
symbols. All of them stream; the time of a frozen step is measured with what it carries.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import data, keep, machine_in_words

import recurra
from recurra import artifact
from recurra.states import leaves

NAME = "hybrids"
SYMBOLS, TRIED = 2_000_000, 400_000
RATES = (0.001, 0.002, 0.004)
COMMON: dict[str, Any] = {"attention_window": 64, "dropout": 0.2}
BODIES: dict[str, dict[str, Any]] = {
    "recurrent": {"layers": 2, "hidden_size": 256, "embedding_size": 128},
    "hybrid": {"body": "hybrid", "layers": 4, "hidden_size": 156, "embedding_size": 128},
    "transformer": {
        "body": "transformer",
        "layers": 4,
        "hidden_size": 136,
        "embedding_size": 136,
    },
}
MEASURED = [
    "src/recurra/cells/lstm.py",
    "src/recurra/engine",
    "src/recurra/layers",
    "src/recurra/models/language.py",
    "src/recurra/recipes/language-model.toml",
    "src/recurra/tasks/language_model",
    "src/recurra/training/loop.py",
]


def trained(out: Path, name: str, rate: float, symbols: int) -> Any:
    """A run of a body at this learning rate."""
    settings = {**COMMON, **BODIES[name], "learning_rate": rate, "symbols": symbols}
    return recurra.train("language-model", data("tinyshakespeare/input.txt"), out=out, **settings)


def validated(out: Path) -> float:
    """The best score of the validation part, in nats."""
    rows = list(csv.DictReader((out / "log.csv").read_text().splitlines()))
    return min(float(row["validation_nats"]) for row in rows if row["validation_nats"])


def measured(place: Path, name: str) -> dict[str, Any]:
    """Nats a character held out, parameters, seconds of training, microseconds and bytes a step."""
    tried = {}
    for rate in RATES:
        out = place / f"{name} {rate}"
        trained(out, name, rate, TRIED)
        tried[rate] = validated(out)
        print(f"{name} at {rate}: {tried[rate]:.4f} of the validation part", flush=True)
    rate = min(tried, key=lambda each: tried[each])
    out = place / name
    began = time.perf_counter()
    done = trained(out, name, rate, SYMBOLS)
    seconds = time.perf_counter() - began
    model: Any = artifact.load(out).model
    session = model.frozen()
    ids = np.zeros(1, np.int64)
    times = []
    for _ in range(2000):
        start = time.perf_counter()
        session.step(ids)
        times.append(time.perf_counter() - start)
    carried = sum(leaf.numel() * leaf.element_size() for leaf in leaves(model.initial_state(1)))
    return {
        "nats": done.evaluations[0].loss,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "seconds": seconds,
        "microseconds": float(np.median(times[200:])) * 1e6,
        "bytes": carried,
        "learning_rate": rate,
        "tried": tried,
    }


def main() -> None:
    """Print and keep."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(machine_in_words())
    found = {}
    with tempfile.TemporaryDirectory() as place:
        for name in BODIES:
            found[name] = measured(Path(place), name)
            print(name, found[name], flush=True)
    figure = "; ".join(
        f"{name} {row['nats']:.4f} ({row['parameters']:,.0f} parameters, {row['microseconds']:.0f} "
        f"µs and {row['bytes'] / 1000:.0f} kB of state a step, {row['seconds'] / 60:.0f} min)"
        for name, row in found.items()
    )
    print(figure)
    question = (
        f"nats a character of tinyshakespeare held out, after {SYMBOLS // 10**6} million symbols: "
        "recurrence, attention to 64 characters, and both by turns"
    )
    keep(NAME, {"question": question, "figure": figure, "figures": found}, MEASURED, seed=0)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
