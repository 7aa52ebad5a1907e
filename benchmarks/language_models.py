"""How well do language models predict what was held out, trained on two cores within a time?

Each is trained by the command line with a recipe of ``benchmarks/recipes``, beside n-grams of the
same symbols. A run that was interrupted goes on; one that is finished is only read.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from harness import data, keep, machine_in_words
from trained import curve, described, measured, scores, trained


def nats_per_symbol(score: dict[str, float]) -> float:
    """Nats per predicted symbol, ends of documents included."""
    return score["nats"] / score["symbols"]


class Question(NamedTuple):
    """What is asked of a recipe.

    Args:
        text: what it is trained on, in the shared data.
        unit: of the figure.
        figure: of a model's score.
    """

    text: str
    unit: str
    figure: Callable[[dict[str, float]], float]


QUESTIONS = {
    "names": Question("names/names.txt", "nats per symbol", nats_per_symbol),
    "tinyshakespeare": Question("tinyshakespeare/input.txt", "nats per character", nats_per_symbol),
    "tinyshakespeare-hour": Question(
        "tinyshakespeare/input.txt", "nats per character", nats_per_symbol
    ),
    "words": Question(
        "warandpeace/warandpeace.txt", "perplexity", lambda score: math.exp(nats_per_symbol(score))
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=QUESTIONS)
    parser.add_argument("--out", type=Path, help="folder of the run; it may be there already")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    name, asked = options.name, QUESTIONS[options.name]
    print(machine_in_words())
    run = trained(name, data(asked.text), options.out, options.seed)
    points = curve(run)
    for point in points:
        held = point.get("validation_nats")
        print(
            f"  {point['seconds'] / 60:6.1f} min  {point['symbols']:12,.0f} symbols  training "
            f"{point['training_nats']:.4f}" + (f"  validation {held:.4f}" if held else "")
        )
    figures = {model: asked.figure(score) for model, score in scores(run).items()}
    ours, *ngrams = [f"{model} {figure:.4g}" for model, figure in figures.items()]
    minutes = points[-1]["seconds"] / 60
    figure = f"{ours} in {minutes:.1f} minutes of training; {', '.join(ngrams)}"
    print(figure)
    keep(
        f"language_model_{name}",
        {
            "question": f"{described(name)}: {asked.unit}",
            "figure": figure,
            "scores": figures,
            "minutes": minutes,
            "curve": points,
            "verdict": json.loads((run / "summary.json").read_text())["verdict"],
        },
        measured(name),
        seed=options.seed,
    )


if __name__ == "__main__":
    main()
