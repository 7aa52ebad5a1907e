"""What memory buys in films: what moves how, and answers to questions of it.

Films are drawn (``recurra.data.Clips`` and ``FilmQuestions``) so that one frame tells nothing. Each
case is trained on whole films and, for ``last``, on their last frames alone. Questions stand beside
every frame (``model.fuse=ask``), or what was read of both is put side by side (``late``).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from harness import keep, machine_in_words

import recurra
from recurra.data import Clips, FilmQuestions

SEED = 0
MEASURED = [
    "src/recurra/data/synthetic/films.py",
    "src/recurra/encoders",
    "src/recurra/heads/label.py",
    "src/recurra/layers",
    "src/recurra/models/classifier.py",
    "src/recurra/models/reading.py",
    "src/recurra/recipes/classification.toml",
    "src/recurra/tasks/classification",
    "src/recurra/tasks/inputs.py",
    "src/recurra/training/loop.py",
]
READ = {"split": "given", "minimum_steps": 0, "filters": 8, "dropout_word": 0.0}
MOTIONS = {**READ, "input": "video", "dropout": 0.2}
QUESTIONS = {
    **READ,
    "picture_mode": "RGB",
    "deltas": 1,
    "blocks": 1,
    "hidden_size": 96,
    "dropout": 0.1,
}


def motions(last: bool, examples: int) -> dict[str, Any]:
    """Films by part, and their motions."""
    parts = {"train": (examples, 0), "validation": (300, 1), "test": (1000, 2)}
    data = {}
    for part, (number, seed) in parts.items():
        films, names = Clips().examples(number, seed=seed)
        data[part] = ([film[-1:] if last else film for film in films], names)
    return data


def questions(last: bool, examples: int) -> dict[str, Any]:
    """Films with questions by part, and their answers."""
    drawn = FilmQuestions(frames=12, size=16, dark=3)
    parts = {"train": (examples, 0), "validation": (500, 1), "test": (1000, 2)}
    data = {}
    for part, (number, seed) in parts.items():
        inputs, answers = drawn.examples(number, seed=seed)
        if last:
            inputs["film"] = [film[-1:] for film in inputs["film"]]
        data[part] = (inputs, answers)
    return data


def measured(data: dict[str, Any], **settings: Any) -> tuple[dict[str, float], float]:
    """Accuracy by model, the recurrent one first, and seconds."""
    with tempfile.TemporaryDirectory() as place:
        began = time.perf_counter()
        done = recurra.train("classification", data, out=Path(place) / "run", seed=SEED, **settings)
        seconds = time.perf_counter() - began
    return {row.name: row.accuracy for row in done.evaluations}, seconds


def of_motions(given: argparse.Namespace) -> None:
    """Which of five motions a film shows."""
    examples, epochs = given.examples or 2000, given.epochs or 8
    found = {
        name: measured(motions(last, examples), epochs=epochs, **MOTIONS)
        for name, last in (("films", False), ("last frames", True))
    }
    tell("clips_motions", "share of films whose motion is named", found, examples, epochs)


def of_questions(given: argparse.Namespace) -> None:
    """What is asked of films."""
    examples, epochs = given.examples or 6000, given.epochs or 15
    found = {
        name: measured(questions(last, examples), epochs=epochs, fuse=fuse, **QUESTIONS)
        for name, last, fuse in (
            ("asked", False, "ask"),
            ("side by side", False, "late"),
            ("asked of last frames", True, "ask"),
        )
        if name in given.ways
    }
    tell("clips_questions", "share of questions of films answered", found, examples, epochs)


def tell(name: str, question: str, found: dict[str, Any], examples: int, epochs: int) -> None:
    """Print a result, and keep it."""
    scores = {way: rows for way, (rows, _) in found.items()}
    seconds = {way: took for way, (_, took) in found.items()}
    told = [f"{way} {next(iter(rows.values())):.1%}" for way, rows in scores.items()]
    figure = ", ".join([*told, f"majority {next(iter(scores.values()))['majority']:.1%}"])
    print(f"{name}: {figure}; {seconds}", flush=True)
    figures = {"scores": scores, "seconds": seconds, "examples": examples, "epochs": epochs}
    keep(name, {"question": question, "figure": figure, "figures": figures}, MEASURED, seed=SEED)


def main() -> None:
    cases = {"motions": of_motions, "questions": of_questions}
    ways = ["asked", "side by side", "asked of last frames"]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=[*cases], help="which; all if none")
    parser.add_argument("--examples", type=int, help="films to train on")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--ways", nargs="*", default=ways, choices=ways, help="of questions")
    given = parser.parse_args()
    print(machine_in_words())
    for name in given.cases:
        cases[name](given)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
