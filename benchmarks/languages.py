"""In which language is a name? A recurrent model of letters beside n-grams of each language.

The names are those of countries and languages in thirty languages that write Latin letters, as the
Unicode Consortium keeps them (CLDR, through the library babel). Some names are the same in several
languages, so that nobody can know all of them. Trains the recipe ``classification`` on characters,
with three seeds; a tenth is held out by hash: a name that two languages share stands in one part.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from harness import keep, machine_in_words

from recurra.training import load_recipe, train

LANGUAGES = (
    "af cs cy da de en es et eu fi fr ga hr hu id is it lt lv nl pl pt ro sk sl sq sv sw tr vi"
)
SEEDS = (0, 1, 2)
CHANGES = ["data.vocabulary=characters", "training.epochs=20"]
CHANGES += ["model.hidden_size=128", "model.dropout=0.3", "model.dropout_word=0.0"]
MEASURED = [
    "src/recurra/cells",
    "src/recurra/data/labeled.py",
    "src/recurra/encoders",
    "src/recurra/heads",
    "src/recurra/layers",
    "src/recurra/models/bayes.py",
    "src/recurra/models/classifier.py",
    "src/recurra/models/reading.py",
    "src/recurra/recipes/classification.toml",
    "src/recurra/tasks/classification",
]


def names() -> tuple[list[str], list[str]]:
    """Names, and the language of each."""
    try:
        from babel import Locale
    except ImportError:
        sys.exit("skipped: needs the library babel")
    found, languages = [], []
    for language in LANGUAGES.split():
        locale = Locale.parse(language)
        own = sorted({*locale.territories.values(), *locale.languages.values()})
        found += own
        languages += [language] * len(own)
    return found, languages


def main() -> None:
    print(machine_in_words())
    data = names()
    shared = len(data[0]) - len(set(data[0]))
    print(f"{len(data[0]):,} names, {shared:,} of them in an earlier language too")
    scores: dict[str, list[float]] = {}
    figures: dict[str, Any] = {"names": len(data[0]), "shared": shared}
    for seed in SEEDS:
        recipe = load_recipe("classification", [*CHANGES, f"training.seed={seed}"])
        with tempfile.TemporaryDirectory() as place:
            began = time.perf_counter()
            done = train(recipe, data, Path(place) / "run")
            seconds = time.perf_counter() - began
        for row in done.evaluations:
            scores.setdefault(row.name, []).append(row.accuracy)
        figures[str(seed)] = {row.name: row.to_json() for row in done.evaluations}
        figures[str(seed)]["seconds"] = seconds
        print(seed, {name: found[-1] for name, found in scores.items()}, f"{seconds:.0f} s")
    told = ", ".join(
        f"{name} {statistics.mean(found):.1%} ± {statistics.pstdev(found):.1%}"
        for name, found in scores.items()
    )
    print(json.dumps(told))
    question = "share of names of countries and languages whose language, of thirty, is named"
    facts = {"question": question, "figure": told, "figures": figures}
    keep("languages", facts, MEASURED, seed=SEEDS[0])


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
