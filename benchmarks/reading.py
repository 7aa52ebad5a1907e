"""Reading and features beside training: what share of the time goes into them?

1,000 recordings (spoken digits), 10,000 rows of ``.ts`` (the spoken vowels, again and again), and
100,000 lines of CSV (the sentences of rt-polarity, each with a number of its own behind it), each
read, divided, fitted and encoded, then trained on as the recipe ``classification`` says. Libraries
are loaded before, by a training on a few of the same files.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import DATA, data, keep, machine_in_words

from recurra.training import Report, load_recipe, train

MOST = 0.15
MEASURED = [
    "runtime/src/recurra_runtime/fronts",
    "runtime/src/recurra_runtime/vocabulary",
    "src/recurra/data/examples",
    "src/recurra/data/readers.py",
    "src/recurra/data/rows.py",
    "src/recurra/tasks/classification",
    "src/recurra/tasks/inputs.py",
]


def recordings(place: Path, count: int = 1000) -> tuple[Path, list[str]]:
    """A folder with recordings of all digits."""
    folder = place / "wav"
    folder.mkdir()
    files = sorted((DATA / "fsdd/recordings").glob("*.wav"))
    for file in files[:: len(files) // count]:
        shutil.copy(file, folder)
    return folder, ["data.label_from=name"]


def vowels(place: Path) -> tuple[Path, list[str]]:
    """A file of 10,000 cases."""
    file = data("japanese-vowels/JapaneseVowels_TRAIN.ts")
    head, _, cases = file.read_text().partition("@data\n")
    lines = cases.splitlines()
    many = [lines[number % len(lines)] for number in range(10_000)]
    (place / "many.ts").write_text(f"{head}@data\n" + "\n".join(many) + "\n")
    return place / "many.ts", []


def sentences(place: Path) -> tuple[Path, list[str]]:
    """A table of 100,000 sentences."""
    texts = [
        (line, mood)
        for mood in ("neg", "pos")
        for line in data(f"rt-polarity/rt-polarity.{mood}").read_text("latin-1").splitlines()
    ]
    with open(place / "many.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        for number in range(100_000):
            text, mood = texts[number % len(texts)]
            rows.writerow([f"{text} {number}", mood])
    return place / "many.csv", ["data.vocabulary_size=20000"]


CASES: dict[str, Callable[[Path], tuple[Path, list[str]]]] = {
    "1,000 wav": recordings,
    "10,000 rows of .ts": vowels,
    "100,000 lines of CSV": sentences,
}


def measured(make: Callable[[Path], tuple[Path, list[str]]]) -> dict[str, Any]:
    """Seconds of reading, and of training."""
    read: list[float] = []

    def report(told: Report) -> None:
        if told.message is not None and "to train on" in told.message:
            read.append(time.perf_counter() - began)

    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        source, changes = make(place)
        recipe = load_recipe("classification", changes)
        began = time.perf_counter()
        done = train(recipe, source, place / "run", report)
        every = time.perf_counter() - began
    return {"reading": read[0], "training": done.seconds, "all": every}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", default=[*CASES])
    print(machine_in_words())
    measured(lambda place: recordings(place, 100))
    figures, told = {}, []
    for name in parser.parse_args().cases:
        figures[name] = found = measured(CASES[name])
        share = found["reading"] / found["training"]
        told.append(f"{name} {share:.1%} ({found['reading']:.2f} s of {found['training']:.1f} s)")
        print(told[-1] + ("" if share <= MOST else f", goal {MOST:.0%} missed"), flush=True)
    print(json.dumps("; ".join(told)))
    question = "reading and features beside the seconds of training at two cores"
    keep("reading", {"question": question, "figure": "; ".join(told), "figures": figures}, MEASURED)


if __name__ == "__main__":
    main()
