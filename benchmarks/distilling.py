"""What a small model learns from a large one: spoken digits, held-out takes of known speakers.

Teachers are the recipe ``classification`` on the recordings that ``classifying.py fsdd`` reads,
takes 0 to 4 of each speaker and digit held out. A student has 8 units each way and no dropout; it
is trained for the same steps on hard labels alone, beside those of the teacher of its own seed at
some temperatures, and beside all three teachers. Nothing is chosen by what is held out: every
setting that was tried stands in the figure.
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
from harness import keep, machine_in_words

from recurra import artifact
from recurra.training import load_recipe, train

SEEDS = (0, 1, 2)
TEMPERATURES = (1.0, 2.0)
STUDENT = ["model.hidden_size=8", "model.dropout=0.0"]
ALONE, ALL = "student alone", "of all three, T = 2"


def settings() -> list[str]:
    """How the recordings are read, as the command line takes it; no rivals."""
    known = {**CASES["fsdd"].settings, "data.rival_examples": 0}
    return [f"{name}={json.dumps(value)}" for name, value in known.items()]


def measured(out: Path, seed: int, more: Sequence[str]) -> float:
    """The share of held-out digits that a model names."""
    recipe = load_recipe("classification", [*settings(), f"training.seed={seed}", *more])
    done = train(recipe, CASES["fsdd"].source(out.parent), out)
    accuracy = float(done.evaluations[0].to_json()["accuracy"])
    print(f"{out.name}: {accuracy:.1%}, {done.seconds:.0f} s", flush=True)
    return accuracy


def parameters(run: Path) -> int:
    """How many a run's model has."""
    return sum(parameter.numel() for parameter in artifact.load(run).model.parameters())


def taught(teachers: Sequence[Path], temperature: float) -> list[str]:
    """The changes that name teachers."""
    named = json.dumps([str(teacher) for teacher in teachers])
    return [*STUDENT, f"distil.teacher={named}", f"distil.temperature={temperature}"]


def run(place: Path) -> None:
    """Train all of them, print and keep what came out."""
    teachers = [place / f"teacher {seed}" for seed in SEEDS]
    scores = {"teacher": [measured(teachers[seed], seed, []) for seed in SEEDS]}
    variants = {ALONE: lambda seed: STUDENT}
    for degree in TEMPERATURES:
        variants[f"T = {degree:.0f}"] = lambda seed, t=degree: taught([teachers[seed]], t)
    variants[ALL] = lambda seed: taught(teachers, 2.0)
    for name, changes in variants.items():
        scores[name] = [measured(place / f"{name} {seed}", seed, changes(seed)) for seed in SEEDS]
    sizes = {name: parameters(place / f"{name} {SEEDS[0]}") for name in ("teacher", ALONE)}
    figure = ", ".join(
        f"{name} {statistics.mean(found):.1%} ± {statistics.pstdev(found):.1%}"
        for name, found in scores.items()
    )
    figure += f"; {sizes[ALONE]:,} parameters of {sizes['teacher']:,}"
    print(figure)
    question = "share of spoken digits that a small model names, alone and taught by a large one"
    facts = {"question": question, "figure": figure, "figures": {"scores": scores, "sizes": sizes}}
    code = ["src/recurra/losses.py", "src/recurra/training/distil.py"]
    keep("distilling", facts, [*MEASURED, *code], seed=SEEDS[0])


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(machine_in_words())
    with tempfile.TemporaryDirectory() as place:
        run(Path(place))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
