"""What a small model learns from a large one, where labels are certain and where they are not.

``names``: the next letter of American first names, by the recipe ``names``; a student has fewer
than a quarter of the parameters. ``digits``: spoken digits, as ``classifying.py fsdd`` reads them,
takes 0 to 4 held out; a student has 8 units each way and no dropout. ``reviews``: sentences of film
reviews, as ``sentiment.py`` reads them; a student has 16 units and vectors of 15 numbers. A student
is trained for the same steps on hard labels alone, beside those of the teacher of its own seed at
some temperatures, and beside all three teachers. Every setting stands in the figure.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from classifying import CASES as SOUNDS
from classifying import MEASURED
from harness import data, keep, machine_in_words
from language_models import nats_per_symbol
from sentiment import CHANGES

from recurra import artifact
from recurra.training import load_recipe, train

SEEDS = (0, 1, 2)
ALONE = "student alone"


class Case(NamedTuple):
    """What is learned.

    Args:
        what: in words.
        recipe: of all.
        settings: changes of it, of all.
        student: changes of it, of students.
        source: makes the data in a folder.
        score: of a row of the held-out part.
        less: whether less of it is better.
        temperatures: at which a student learns from its own teacher.
        all_at: temperature and share of all teachers, where a student learns from all three.
        code: measured beside layers and training.
    """

    what: str
    recipe: str
    settings: Sequence[str]
    student: Sequence[str]
    source: Callable[[Path], Path]
    score: Callable[[Mapping[str, Any]], float]
    less: bool = False
    temperatures: Sequence[float] = (1.0, 2.0)
    all_at: tuple[float, float] = (2.0, 0.5)
    code: Sequence[str] = ()


def _named(row: Mapping[str, Any]) -> float:
    return float(row["accuracy"])


def _spoken() -> list[str]:
    known = {**SOUNDS["fsdd"].settings, "data.rival_examples": 0}
    return [f"{name}={json.dumps(value)}" for name, value in known.items()]


CASES = {
    "names": Case(
        "nats a letter of held-out names",
        str(Path(__file__).parent / "recipes" / "names.toml"),
        ["data.validation=true", "data.ngram_orders=[2]"],
        ["model.hidden_size=216", "model.embedding_size=48"],
        lambda place: data("names/names.txt"),
        nats_per_symbol,
        less=True,
        temperatures=(1.0,),
        all_at=(1.0, 0.9),
        code=["benchmarks/recipes/names.toml", "src/recurra/tasks/language_model"],
    ),
    "digits": Case(
        "share of held-out spoken digits named",
        "classification",
        _spoken(),
        ["model.hidden_size=8", "model.dropout=0.0"],
        SOUNDS["fsdd"].source,
        _named,
    ),
    "reviews": Case(
        "share of held-out review sentences named",
        "classification",
        [*CHANGES, "data.rival_examples=0"],
        ["model.hidden_size=16", "model.embedding_size=15"],
        lambda place: data("rt-polarity/rt-polarity.neg").parent,
        _named,
    ),
}


def measured(case: Case, out: Path, seed: int, more: Sequence[str]) -> float:
    """The score of what is held out."""
    recipe = load_recipe(case.recipe, [*case.settings, f"training.seed={seed}", *more])
    done = train(recipe, case.source(out.parent), out)
    score = case.score(done.evaluations[0].to_json())
    print(f"{out.name}: {score:.4f}, {done.seconds:.0f} s", flush=True)
    return score


def parameters(run: Path) -> int:
    """How many a run's model has."""
    return sum(parameter.numel() for parameter in artifact.load(run).model.parameters())


def taught(teachers: Sequence[Path], temperature: float, share: float = 0.5) -> list[str]:
    """The changes that name teachers."""
    named = json.dumps([str(teacher) for teacher in teachers])
    return [
        f"distil.teacher={named}",
        f"distil.temperature={temperature}",
        f"distil.weight={share}",
    ]


def run(name: str, place: Path) -> None:
    """Train all of them, print and keep what came out."""
    case = CASES[name]
    teachers = [place / f"teacher {seed}" for seed in SEEDS]
    scores = {"teacher": [measured(case, teachers[seed], seed, []) for seed in SEEDS]}
    variants: dict[str, Callable[[int], list[str]]] = {ALONE: lambda seed: []}
    for degree in case.temperatures:
        variants[f"T = {degree:.0f}"] = lambda seed, t=degree: taught([teachers[seed]], t)
    of_all = "of all three, T = {:.0f}, their share {}".format(*case.all_at)
    variants[of_all] = lambda seed: taught(teachers, *case.all_at)
    for variant, changes in variants.items():
        scores[variant] = [
            measured(case, place / f"{variant} {seed}", seed, [*case.student, *changes(seed)])
            for seed in SEEDS
        ]
    sizes = {each: parameters(place / f"{each} {SEEDS[0]}") for each in ("teacher", ALONE)}
    best = {each: statistics.mean(found) for each, found in scores.items()}
    figure = ", ".join(
        f"{each} {_shown(case, best[each])} ± {_shown(case, statistics.pstdev(found))}"
        for each, found in scores.items()
    )
    share = best["teacher"] / best[of_all] if case.less else best[of_all] / best["teacher"]
    figure += f": {share:.1%} of the teacher's; {sizes[ALONE]:,} parameters of {sizes['teacher']:,}"
    print(figure)
    question = f"{case.what}, of a small model alone and taught by a large one"
    facts = {"question": question, "figure": figure, "figures": {"scores": scores, "sizes": sizes}}
    code = ["src/recurra/losses.py", "src/recurra/training/distil.py", *case.code]
    keep(f"distilling_{name}", facts, [*MEASURED, *code], seed=SEEDS[0])


def _shown(case: Case, value: float) -> str:
    return f"{value:.4f}" if case.less else f"{value:.1%}"


def main() -> None:
    """Of one case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=list(CASES), help="what is learned")
    case = parser.parse_args().case
    print(machine_in_words())
    with tempfile.TemporaryDirectory() as place:
        run(case, Path(place))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
