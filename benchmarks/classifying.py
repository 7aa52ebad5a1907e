"""What memory buys where a whole series, sound or picture has one name, beside models without it.

Each case trains the recipe ``classification`` with three seeds; its rivals are those of each run.
``--aeon PYTHON`` names an interpreter that has aeon, whose MiniRocket then reads the same series,
divided the same way. ``fsdd`` holds out takes 0 to 4 of each speaker and digit, ``fsdd-SPEAKER``
all of a speaker; sounds are read for 20 passes, as ``--epochs 20`` does. ``digits`` are spoken and
written ones side by side: to each recording belongs a picture of the same digit (the 8 x 8 digits
of scikit-learn), drawn by its number.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from harness import DATA, keep, machine_in_words

from recurra.tasks import task_by_name
from recurra.training import load_recipe, train

SEEDS = (0, 1, 2)
TAKES = r"(?P<label>\d)_(?P<group>[a-z]+)_((?P<test>[0-4])|\d+)\.wav"
SPEAKERS = ("jackson", "nicolas", "theo", "yweweler")
MEASURED = [
    "src/recurra/cells",
    "src/recurra/data/examples",
    "src/recurra/data/labeled.py",
    "src/recurra/data/order.py",
    "src/recurra/encoders",
    "src/recurra/engine",
    "src/recurra/heads",
    "src/recurra/layers",
    "src/recurra/models/classifier.py",
    "src/recurra/models/reading.py",
    "src/recurra/models/summaries.py",
    "src/recurra/recipes/classification.toml",
    "src/recurra/tasks/classification",
    "src/recurra/tasks/inputs.py",
    "src/recurra/training/loop.py",
    "src/recurra/training/optimizers.py",
]


class Case(NamedTuple):
    """A data set and how it is read.

    Args:
        source: its path, of a folder for files that are made for it.
        settings: of the recipe.
        question: that it answers.
        variants: further settings by name; the recipe as it stands is called by its cell.
    """

    source: Callable[[Path], Path]
    settings: Mapping[str, Any]
    question: str
    variants: Mapping[str, Mapping[str, Any]] = {}
    rocket: bool = True


def at(name: str) -> Callable[[Path], Path]:
    """A folder of the shared data."""
    return lambda place: DATA / name


def arem(place: Path) -> Path:
    """A table of the recordings: of each bending two are held out, of the others three."""
    with open(place / "arem.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "label", "split"])
        for path in sorted((DATA / "arem").glob("*/dataset*.csv")):
            number, label = int(path.stem.removeprefix("dataset")), path.parent.name
            held = number <= (2 if label.startswith("bending") else 3)
            rows.writerow([path, label, "test" if held else "train"])
    return place / "arem.csv"


def digits(inputs: Sequence[str], missing: float = 0.0) -> Callable[[Path], Path]:
    """A table of spoken digits, each beside a written one; some of either are left out."""

    def made(place: Path) -> Path:
        from PIL import Image
        from sklearn.datasets import load_digits

        written = load_digits()
        numbers = {digit: np.flatnonzero(written.target == digit) for digit in range(10)}
        draw = np.random.default_rng(0)
        with open(place / "digits.csv", "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["sound", "picture", "label", "split"])
            for path in sorted((DATA / "fsdd/recordings").glob("*.wav")):
                digit, _, take = path.stem.split("_")
                # No picture stands in two parts: those of the held-out takes are the last tenth.
                own, test = numbers[int(digit)], int(take) < 5
                cut = len(own) * 9 // 10
                number = int(draw.choice(own[cut:] if test else own[:cut]))
                picture = place / f"{number}.png"
                if not picture.exists():
                    pixels = (written.images[number] * 255 / 16).astype(np.uint8)
                    Image.fromarray(pixels).save(picture)
                cells = {"sound": str(path), "picture": picture.name}
                gone = draw.random(2) < missing
                if test and gone[0] != gone[1]:
                    cells["sound" if gone[0] else "picture"] = ""
                kept = [cells[name] if name in inputs else "" for name in ("sound", "picture")]
                rows.writerow([*kept, digit, "test" if test else "train"])
        return place / "digits.csv"

    return made


GIVEN = {"data.split": "given"}
LONGER = {"training.epochs": 20}
BODIES = {
    "lstm": {"model.cell": "lstm"},
    "elman": {"model.cell": "elman"},
    "convolution": {"model.body": "convolution"},
    "feed-forward a step": {"model.body": "feed-forward"},
}
BOTH = {
    "data.inputs": {"sound": "sound", "picture": "picture"},
    "model.dropout_missing": 0.3,
    **GIVEN,
    **LONGER,
}
BY_BOTH = "share of digits that are named by sound and picture"
CASES = {
    "vowels": Case(
        at("japanese-vowels"), GIVEN, "share of spoken vowels whose speaker is named", BODIES
    ),
    "motions": Case(at("basic-motions"), GIVEN, "share of watch recordings whose motion is named"),
    "arem": Case(arem, GIVEN, "share of recordings of a body sensor named"),
    "indoor": Case(
        at("indoor-movement/dataset"),
        {"data.labels": "MovementAAL_target.csv"},
        "share of walks whose change of rooms is told from radio signals",
    ),
    "fsdd": Case(
        at("fsdd/recordings"),
        {"data.label_from": TAKES, **GIVEN, **LONGER},
        "share of spoken digits that are named, takes 0 to 4 held out",
        BODIES,
        rocket=False,
    ),
    **{
        f"fsdd-{speaker}": Case(
            at("fsdd/recordings"),
            {"data.label_from": TAKES, "data.test_group": speaker, **LONGER},
            f"share of digits that {speaker} speaks, who is not trained on",
            rocket=False,
        )
        for speaker in SPEAKERS
    },
    "digits-sound": Case(
        digits(["sound"]),
        {"data.column": "sound", **GIVEN, **LONGER},
        "share of digits that are named by their sound alone",
        rocket=False,
    ),
    "digits-picture": Case(
        digits(["picture"]),
        {"data.column": "picture", **GIVEN, **LONGER},
        "share of digits that are named by their picture alone",
        rocket=False,
    ),
    "digits-both": Case(digits(["sound", "picture"]), BOTH, BY_BOTH, rocket=False),
    "digits-missing": Case(
        digits(["sound", "picture"], 0.3),
        BOTH,
        f"{BY_BOTH}, where 30 % of either are missing",
        rocket=False,
    ),
}


def measured(case: Case, seed: int, more: Mapping[str, Any]) -> dict[str, Any]:
    """Scores on what is held out, by model, the recurrent one first; and how long it took."""
    changes = {**case.settings, **more, "training.seed": seed}
    recipe = load_recipe("classification", [f"{n}={v}" for n, v in _toml(changes)])
    with tempfile.TemporaryDirectory() as place:
        began = time.perf_counter()
        done = train(recipe, case.source(Path(place)), Path(place) / "run")
        seconds = time.perf_counter() - began
        rows = [row.to_json() for row in done.evaluations]
    return {"seconds": seconds, "rows": {row["name"]: row["accuracy"] for row in rows}}


def _toml(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Settings as the command line takes them."""
    for name, value in settings.items():
        if isinstance(value, dict):
            inner = ", ".join(f"{key} = {json.dumps(one)}" for key, one in value.items())
            yield name, f"{{{inner}}}"
        else:
            yield name, json.dumps(value)


def rocket(case: Case, seed: int, python: str) -> float:
    """The share that aeon's MiniRocket names of the same part, trained on all the others."""
    task = task_by_name("classification")
    changes = [f"{name}={value}" for name, value in _toml(case.settings)]
    recipe = load_recipe("classification", [*changes, "data.validation=false"])
    with tempfile.TemporaryDirectory() as place:
        corpus = task.prepare(
            task.open(case.source(Path(place)), recipe.data),
            recipe.data,
            Path(place),
            lambda said: None,
        )
        longest = max(len(row) for part in corpus.parts.values() for row in part.rows)
        arrays = {"seed": np.array(seed)}
        for name, part in corpus.parts.items():
            rows = np.zeros((part.count, part.rows[0].shape[1], longest), np.float32)
            for number, row in enumerate(part.rows):
                rows[number, :, : len(row)] = row.T
            arrays |= {f"{name}_x": rows, f"{name}_y": part.labels}
        np.savez(f"{place}/data.npz", **arrays)
        told = subprocess.run(
            [python, "-c", _ROCKET, f"{place}/data.npz"], capture_output=True, text=True
        )
    if told.returncode:
        sys.exit(told.stderr)
    return float(told.stdout.split()[-1])


_ROCKET = """
import sys, numpy as np
from aeon.classification.convolution_based import MiniRocketClassifier
d = np.load(sys.argv[1])
model = MiniRocketClassifier(random_state=int(d["seed"]), n_jobs=1)
model.fit(d["training_x"], d["training_y"])
print((model.predict(d["test_x"]) == d["test_y"]).mean())
"""


def run(name: str, python: str | None) -> None:
    """Print a case, and keep it."""
    case, scores, seconds = CASES[name], {}, {}
    variants = {"gru": {}, **case.variants}
    for variant, more in variants.items():
        for seed in SEEDS:
            found = measured(case, seed, more)
            model, *rivals = found["rows"]
            scores.setdefault(variant, []).append(found["rows"][model])
            seconds.setdefault(variant, []).append(found["seconds"])
            if not more:
                for rival in rivals:
                    scores.setdefault(rival, []).append(found["rows"][rival])
    if python is not None and case.rocket:
        scores["MiniRocket"] = [rocket(case, seed, python) for seed in SEEDS]
    for model, found in scores.items():
        took = f", {statistics.median(seconds[model]):.0f} s" if model in seconds else ""
        print(f"{name}: {model} {_told(found)}{took}", flush=True)
    figure = f"{_told(scores['gru'])}; " + ", ".join(
        f"{model} {statistics.mean(found):.1%}" for model, found in scores.items() if model != "gru"
    )
    facts = {"question": case.question, "figure": figure}
    facts["figures"] = {"scores": scores, "seconds": seconds}
    keep(f"classifying_{name}", facts, MEASURED, seed=SEEDS[0])


def _told(found: list[float]) -> str:
    return f"{statistics.mean(found):.1%} ± {statistics.pstdev(found):.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=[*CASES], help="which; all if none")
    parser.add_argument("--aeon", metavar="PYTHON", help="an interpreter that has aeon")
    given = parser.parse_args()
    print(machine_in_words())
    for name in given.cases:
        run(name, given.aeon)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
