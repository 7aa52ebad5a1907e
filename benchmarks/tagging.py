"""How many words of English web text get the right part of speech, without vectors from elsewhere?

Trains the recipe ``tagging`` as it stands on the English Web Treebank of Universal Dependencies
(12,544 sentences, universal tags; the best checkpoint is chosen on its development part), with
three seeds; the rivals are those of each run, scored on the same test part.
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

NAME = "tagging"
SEEDS = (0, 1, 2)
TREEBANK = "ud-english-ewt/en_ewt-ud-{}.conllu"
MEASURED = [
    "runtime/src/recurra_runtime/vocabulary/spelled.py",
    "src/recurra/cells/affine.py",
    "src/recurra/cells/gru.py",
    "src/recurra/cells/lstm.py",
    "src/recurra/data/examples/conll.py",
    "src/recurra/data/order.py",
    "src/recurra/encoders/frames.py",
    "src/recurra/encoders/words.py",
    "src/recurra/heads/crf.py",
    "src/recurra/layers",
    "src/recurra/models/tagger.py",
    "src/recurra/models/words.py",
    "src/recurra/recipes/tagging.toml",
    "src/recurra/tasks/examples.py",
    "src/recurra/tasks/tagging",
    "src/recurra/training/loop.py",
    "src/recurra/training/optimizers.py",
]


def measured(seed: int, changes: list[str]) -> dict[str, dict[str, Any]]:
    """Scores on the test part, by model, the recurrent one as "recurrent"."""
    parts = {
        "train": data(TREEBANK.format("train") + ".gz"),
        "validation": data(TREEBANK.format("dev")),
        "test": data(TREEBANK.format("test")),
    }
    recipe = load_recipe("tagging", [f"training.seed={seed}", *changes])
    with tempfile.TemporaryDirectory() as place:
        began = time.perf_counter()
        done = train(recipe, parts, Path(place) / "run")
        seconds = time.perf_counter() - began
        rows = [row.to_json() for row in done.evaluations]
        log = (done.path / "log.csv").read_text().splitlines()
    rows[0] |= {"name": "recurrent", "seconds": seconds, "log": log}
    return {row["name"]: row for row in rows}


def main() -> None:
    """Print, and keep what the recipe itself gives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", action="append", default=[], help="change the recipe; not kept")
    changes = parser.parse_args().set
    print(machine_in_words())
    runs = {}
    for seed in SEEDS:
        runs[seed] = measured(seed, changes)
        said = (
            f"{name} {row['accuracy']:.2%} (unknown words {row['accuracy_unknown']:.1%})"
            for name, row in runs[seed].items()
        )
        seconds = runs[seed]["recurrent"]["seconds"]
        print(f"seed {seed}: {', '.join(said)}; {seconds:.0f} s with the rivals", flush=True)
    scores = [run["recurrent"]["accuracy"] for run in runs.values()]
    others = {name: row["accuracy"] for name, row in runs[SEEDS[0]].items() if name != "recurrent"}
    said = ", ".join(f"{name} {value:.2%}" for name, value in others.items())
    longest = max(run["recurrent"]["seconds"] for run in runs.values())
    figure = (
        f"{statistics.mean(scores):.2%} (seeds: {', '.join(f'{score:.2%}' for score in scores)}; "
        f"{longest:.0f} s at most with the rivals); {said}"
    )
    print(json.dumps(figure))
    if not changes:
        question = (
            "share of test words of the English Web Treebank whose universal tag a bidirectional "
            "LSTM with letters and a CRF names, without vectors from elsewhere"
        )
        figures = {str(seed): run for seed, run in runs.items()}
        facts = {"question": question, "figure": figure, "figures": figures}
        keep(NAME, facts, MEASURED, seed=SEEDS[0])


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
