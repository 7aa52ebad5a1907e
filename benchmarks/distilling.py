"""What a small model learns from a large one, where labels are certain and where they are not.

``digits``: spoken digits, as ``classifying.py fsdd`` reads them, takes 0 to 4 held out. Teachers
are the recipe ``classification``; a student has 8 units each way and no dropout. ``reviews``:
sentences of film reviews, as ``sentiment.py`` reads them; a student has 16 units and vectors of 15
numbers, less than a quarter of the parameters. A student is trained for the same steps on hard
labels alone, beside those of the teacher of its own seed at some temperatures, and beside all three
teachers. Every setting stands in the figure.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from classifying import CASES, MEASURED
from harness import data, keep, machine_in_words
from sentiment import CHANGES

from recurra import artifact
from recurra.training import load_recipe, train

SEEDS = (0, 1, 2)
TEMPERATURES = (1.0, 2.0)
STUDENTS = {
    "digits": ["model.hidden_size=8", "model.dropout=0.0"],
    "reviews": ["model.hidden_size=16", "model.embedding_size=15"],
}
ALONE, ALL = "student alone", "of all three, T = 2"


def settings(case: str) -> list[str]:
    """How examples are read, as the command line takes it; no rivals."""
    if case == "reviews":
        return [*CHANGES, "data.rival_examples=0"]
    known = {**CASES["fsdd"].settings, "data.rival_examples": 0}
    return [f"{name}={json.dumps(value)}" for name, value in known.items()]


def source(case: str, place: Path) -> Path:
    """Where the examples are."""
    if case == "reviews":
        return data("rt-polarity/rt-polarity.neg").parent
    return CASES["fsdd"].source(place)


def measured(case: str, out: Path, seed: int, more: Sequence[str]) -> float:
    """The share of held-out examples that a model names."""
    recipe = load_recipe("classification", [*settings(case), f"training.seed={seed}", *more])
    done = train(recipe, source(case, out.parent), out)
    accuracy = float(done.evaluations[0].to_json()["accuracy"])
    print(f"{out.name}: {accuracy:.1%}, {done.seconds:.0f} s", flush=True)
    return accuracy


def parameters(run: Path) -> int:
    """How many a run's model has."""
    return sum(parameter.numel() for parameter in artifact.load(run).model.parameters())


def taught(teachers: Sequence[Path], temperature: float) -> list[str]:
    """The changes that name teachers."""
    named = json.dumps([str(teacher) for teacher in teachers])
    return [f"distil.teacher={named}", f"distil.temperature={temperature}"]


def run(case: str, place: Path) -> None:
    """Train all of them, print and keep what came out."""
    teachers = [place / f"teacher {seed}" for seed in SEEDS]
    scores = {"teacher": [measured(case, teachers[seed], seed, []) for seed in SEEDS]}
    variants = {ALONE: lambda seed: []}
    for degree in TEMPERATURES:
        variants[f"T = {degree:.0f}"] = lambda seed, t=degree: taught([teachers[seed]], t)
    variants[ALL] = lambda seed: taught(teachers, 2.0)
    for name, changes in variants.items():
        scores[name] = [
            measured(case, place / f"{name} {seed}", seed, [*STUDENTS[case], *changes(seed)])
            for seed in SEEDS
        ]
    sizes = {name: parameters(place / f"{name} {SEEDS[0]}") for name in ("teacher", ALONE)}
    figure = ", ".join(
        f"{name} {statistics.mean(found):.1%} ± {statistics.pstdev(found):.1%}"
        for name, found in scores.items()
    )
    figure += f"; {sizes[ALONE]:,} parameters of {sizes['teacher']:,}"
    print(figure)
    what = {"digits": "spoken digits", "reviews": "review sentences"}[case]
    question = f"share of held-out {what} that a small model names, alone and taught by a large one"
    facts = {"question": question, "figure": figure, "figures": {"scores": scores, "sizes": sizes}}
    code = ["src/recurra/losses.py", "src/recurra/training/distil.py"]
    keep(f"distilling_{case}", facts, [*MEASURED, *code], seed=SEEDS[0])


def main() -> None:
    """Of one case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=list(STUDENTS), help="what is learned")
    case = parser.parse_args().case
    print(machine_in_words())
    with tempfile.TemporaryDirectory() as place:
        run(case, Path(place))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
