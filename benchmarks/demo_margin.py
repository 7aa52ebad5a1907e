"""By how much is the model of ``recurra demo`` below the Kneser-Ney 5-gram? Three seeds."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from harness import keep, machine, matrix_rate

from recurra.data import standard_library
from recurra.progress import Lines
from recurra.training import load_recipe, train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    print(f"machine: {machine()}")
    text = standard_library()
    margins, ours, seconds = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(runs):
            print(f"sgemm 2048: {matrix_rate():.0f} GFLOP/s")
            recipe = load_recipe("demo", [f"training.seed={seed}"])
            with Lines(30) as report:
                done = train(recipe, [text], Path(folder) / str(seed), report)
            scores = {row.name: row.nats_per_character for row in done.evaluations}
            ours.append(scores["lstm"])
            margins.append(scores["5-gram"] - scores["lstm"])
            seconds.append(done.seconds)
            print(f"seed {seed}: {scores}, trained {done.seconds:.0f} s", flush=True)
    print(f"margins below the 5-gram: {', '.join(f'{m:.4f}' for m in margins)} nats/character")
    keep(
        "demo_margin",
        {
            "question": "`make demo`: nats per character below the Kneser-Ney 5-gram "
            f"on held-out source text, {runs} runs",
            "figure": f"{min(margins):.3f} to {max(margins):.3f} ({max(ours):.3f} against "
            f"{scores['5-gram']:.3f}; bigram {scores['bigram']:.3f}), "
            f"{min(seconds):.0f} to {max(seconds):.0f} s of training",
            "margins": margins,
            "nats_per_character": ours,
            "seconds": seconds,
        },
        [
            "src/recurra/recipes/demo.toml",
            "src/recurra/models",
            "src/recurra/training/loop.py",
            "src/recurra/training/optimizers.py",
            "src/recurra/tasks/language_model/corpus.py",
            "src/recurra/tasks/language_model/documents.py",
            "src/recurra/data",
            "src/recurra/engine",
            "src/recurra/layers",
        ],
    )


if __name__ == "__main__":
    main()
