"""Which reviews of films praise? A recurrent classifier beside models that read no order.

Trains the recipe ``classification`` as it stands on 10,662 sentences (Pang & Lee 2005), 10 % of
them held out by hash, with three seeds; the rivals are those of each run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from harness import data, keep, machine_in_words

from recurra.training import load_recipe, train

NAME = "sentiment"
SEEDS = (0, 1, 2)
VARIANTS = {
    "lstm": ["model.cell=lstm"],
    "elman": ["model.cell=elman"],
    "convolution": ["model.body=convolution"],
}
CHANGES = ["data.pattern=rt-polarity.*", "data.encoding=latin-1"]
MEASURED = [
    "src/recurra/cells/affine.py",
    "src/recurra/cells/gru.py",
    "src/recurra/data/labeled.py",
    "src/recurra/data/order.py",
    "src/recurra/encoders",
    "src/recurra/heads",
    "src/recurra/layers",
    "src/recurra/models/bags.py",
    "src/recurra/models/classifier.py",
    "src/recurra/models/reading.py",
    "src/recurra/recipes/classification.toml",
    "src/recurra/tasks/classification",
    "src/recurra/training/loop.py",
    "src/recurra/training/optimizers.py",
]


def measured(seed: int, changes: list[str]) -> dict[str, dict[str, Any]]:
    """Scores on what is held out, by model, the recurrent one as "recurrent"."""
    recipe = load_recipe("classification", [*CHANGES, f"training.seed={seed}", *changes])
    folder = data("rt-polarity/rt-polarity.neg").parent
    with tempfile.TemporaryDirectory() as place:
        began = time.perf_counter()
        done = train(recipe, folder, Path(place) / "run")
        rows = [row.to_json() for row in done.evaluations]
        log = (done.path / "log.csv").read_text().splitlines()
    rows[0] |= {"name": "recurrent", "seconds": time.perf_counter() - began, "log": log}
    return {row["name"]: row for row in rows}


def _told(found: list[float]) -> str:
    return f"{statistics.mean(found):.1%} ± {statistics.pstdev(found):.1%}"


def main() -> None:
    """Print, and keep what the recipe itself gives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", action="append", default=[], help="change the recipe; not kept")
    changes = parser.parse_args().set
    print(machine_in_words())
    runs = {}
    for seed in SEEDS:
        runs[seed] = measured(seed, changes)
        said = (f"{name} {row['accuracy']:.4f}" for name, row in runs[seed].items())
        seconds = runs[seed]["recurrent"]["seconds"]
        print(f"seed {seed}: {', '.join(said)}; {seconds:.0f} s with the rivals", flush=True)
    others = {name: [] for name in VARIANTS}
    for name, more in VARIANTS.items():
        for seed in SEEDS:
            row = measured(seed, [*changes, *more, "data.rival_examples=0"])["recurrent"]
            others[name].append(row["accuracy"])
            print(f"{name}, seed {seed}: {row['accuracy']:.4f}, {row['seconds']:.0f} s", flush=True)
    scores = [run["recurrent"]["accuracy"] for run in runs.values()]
    for name in runs[SEEDS[0]].keys() - {"recurrent"}:
        others[name] = [run[name]["accuracy"] for run in runs.values()]
    said = ", ".join(f"{name} {_told(found)}" for name, found in others.items())
    figure = f"{_told(scores)} (seeds: {', '.join(f'{s:.1%}' for s in scores)}); {said}"
    print(json.dumps(figure))
    if not changes:
        question = "share of held-out review sentences whose mood a bidirectional GRU names"
        figures = {str(seed): run for seed, run in runs.items()} | {"accuracies": others}
        facts = {"question": question, "figure": figure, "figures": figures}
        keep(NAME, facts, MEASURED, seed=SEEDS[0])


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
