"""What is a body worth to its subject? Subject lines of e-mails, with the body and without it.

An encoder-decoder with attention that may copy is trained on 1,000 e-mails (AESLC), the best
checkpoint chosen on 300 others, and scored on 1,660: nats a symbol of the true subject. Beside it
stands the same vocabulary without the body: a decoder that has read its first symbol alone, without
attention or copies. ROUGE-L of what the first says stands beside that of models without memory.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from harness import data, keep, machine_in_words

import recurra

NAME = "subjects"
SEEDS = (0, 1, 2)
CHOSEN = 300
SETTINGS: dict[str, Any] = {
    "vocabulary_size": 4000,
    "joint": True,
    "maximum_length": 200,
    "cell": "gru",
    "hidden_size": 128,
    "embedding_size": 96,
    "copying": True,
    "dropout": 0.4,
    "smoothing": 0.0,
    "epochs": 6,
    "minimum_steps": 0,
    "batch_size": 32,
    "learning_rate": 0.003,
    "evaluations": 6,
}
WITHOUT = {"maximum_length": 1, "copying": False, "attention": "none"}
MEASURED = [
    "src/recurra/cells/attention.py",
    "src/recurra/cells/gru.py",
    "src/recurra/heads/copying.py",
    "src/recurra/heads/decoder.py",
    "src/recurra/models/encoder_decoder.py",
    "src/recurra/recipes/transduction.toml",
    "src/recurra/tasks/transduction",
    "src/recurra/training/loop.py",
]


def mails() -> dict[str, list[tuple[str, str]]]:
    """Bodies and subjects by part."""
    rows = {
        name: [json.loads(line) for line in data(f"aeslc/{name}.jsonl").read_text().splitlines()]
        for name in ("train", "dev")
    }
    pairs = {
        name: [tuple(" ".join(row[field].split()) for field in ("body", "subject")) for row in some]
        for name, some in rows.items()
    }
    pairs = {
        name: [(body or "-", subject) for body, subject in some if subject]
        for name, some in pairs.items()
    }
    held = pairs["dev"]
    return {"train": pairs["train"], "validation": held[:CHOSEN], "test": held[CHOSEN:]}


def measured(place: Path, seed: int, more: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Scores by model, the recurrent one first."""
    out = place / f"{len(more)}-{seed}"
    done = recurra.train("transduction", mails(), out=out, seed=seed, **(SETTINGS | more))
    rows = [row.to_json() for row in done.evaluations]
    rows[0]["name"] = "recurrent"
    return {row["name"]: row for row in rows}


def main() -> None:
    """Print and keep."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(machine_in_words())
    found: dict[str, list[dict[str, dict[str, Any]]]] = {"with": [], "without": []}
    with tempfile.TemporaryDirectory() as place:
        for seed in SEEDS:
            for name, more in {"with": {}, "without": WITHOUT}.items():
                found[name].append(measured(Path(place), seed, more))
                row = found[name][-1]["recurrent"]
                print(f"{name}, seed {seed}: {row['loss']:.4f}, {row['rouge']:.4f}", flush=True)
    nats = {name: [run["recurrent"]["loss"] for run in runs] for name, runs in found.items()}
    apart = [one - other for one, other in zip(*nats.values(), strict=True)]
    rouge = {
        name: statistics.mean(run[name]["rouge"] for run in found["with"])
        for name in found["with"][0]
    }
    told = ", ".join(f"{name} {value:.3f}" for name, value in rouge.items())
    one, other = (statistics.mean(values) for values in nats.values())
    figure = (
        f"{one:.3f} with the body, {other:.3f} without: {statistics.mean(apart):.3f} ± "
        f"{statistics.pstdev(apart):.3f}; ROUGE-L {told}"
    )
    print(figure)
    question = "nats a symbol of the subject of an e-mail, with its body less without; goal -0.2"
    keep(NAME, {"question": question, "figure": figure, "figures": found}, MEASURED, seed=SEEDS[0])


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
