"""How well texts are read from sound and from pictures of handwriting, and what a memory buys.

``fsdd`` joins spoken digits of one speaker into strings of three to seven, with silences between
them; takes 0 to 4 of each speaker and digit are in test strings alone. ``fsdd-SPEAKER`` leaves all
of a speaker out. ``dhsd`` are German place names that ten people wrote; ``dhsd-writers`` leaves
three of them out. Names are read with and without an n-gram of the characters of the training
texts, whose weight and bonus are chosen on the validation part.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import tempfile
import wave
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from harness import DATA, data, keep, machine_in_words

import recurra
from recurra.decoding import prefix_search
from recurra.models import NGram
from recurra.tasks import task_by_name
from recurra.tasks.recognition.corpus import RecognitionPart, logs_of, text_of_symbols
from recurra.tasks.recognition.evaluation import errors_of
from recurra.training import load_recipe, train
from recurra_runtime.vocabulary import RESERVED

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
SPEAKERS = ("jackson", "nicolas", "theo", "yweweler")
MEASURED = [
    "src/recurra/cells",
    "src/recurra/decoding/ctc.py",
    "src/recurra/encoders",
    "src/recurra/engine",
    "src/recurra/heads/alignment.py",
    "src/recurra/layers",
    "src/recurra/models/recognizer.py",
    "src/recurra/recipes/recognition.toml",
    "src/recurra/tasks/recognition",
    "src/recurra/tasks/inputs.py",
    "src/recurra/training/loop.py",
    "src/recurra/training/optimizers.py",
]
_RATE = 8000


class Case(NamedTuple):
    """A data set and how it is read.

    Args:
        source: makes it in a folder.
        settings: of the recipe.
        question: that it answers.
        fused: whether an n-gram of the training texts reads too.
    """

    source: Callable[[Path], Path]
    settings: Mapping[str, Any]
    question: str
    fused: bool = False


# ---- data ----------------------------------------------------------------------------------------


def strings(out: str | None = None) -> Callable[[Path], Path]:
    """Spoken strings: 600 a speaker to train on, 60 to test; all of one speaker's if left out."""

    def made(place: Path) -> Path:
        draw = np.random.default_rng(0)
        with open(place / "strings.csv", "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["file", "text", "split"])
            for speaker in SPEAKERS:
                numbers = {"train": 600, "test": 60}
                if out is not None:
                    numbers = {"test": 200} if speaker == out else {"train": 600}
                for part, number in numbers.items():
                    low, high = (0, 5) if part == "test" else (5, 50)
                    if speaker == out:
                        high = 50
                    for n in range(number):
                        name = f"{part}_{speaker}_{n}.wav"
                        said = draw.integers(0, 10, draw.integers(3, 8))
                        _speak(place / name, said, speaker, (low, high), draw)
                        rows.writerow([name, " ".join(DIGITS[digit] for digit in said), part])
        return place / "strings.csv"

    return made


def _speak(
    path: Path,
    digits: np.ndarray,
    speaker: str,
    takes: tuple[int, int],
    draw: np.random.Generator,
) -> None:
    """Digits of one speaker, between silences of at most 0.3 seconds that are not quite silent."""
    parts = []
    for digit in digits:
        parts += [_silence(draw), _samples(f"{digit}_{speaker}_{draw.integers(*takes)}.wav")]
    sound = np.concatenate([*parts, _silence(draw)])
    sound = sound + draw.normal(0, 8, len(sound))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, _RATE, 0, "NONE", ""))
        file.writeframes(np.clip(sound, -32768, 32767).astype("<i2").tobytes())


def _silence(draw: np.random.Generator) -> np.ndarray:
    return np.zeros(int(draw.uniform(0, 0.3) * _RATE))


def _samples(name: str) -> np.ndarray:
    with wave.open(str(DATA / "fsdd/recordings" / name)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)


def names(place: Path) -> Path:
    """The table of written names, of which some are set apart to choose by."""
    return data("dhsd/labels.csv")


def by_writers(place: Path) -> Path:
    """The same with parts of other people: one to choose by, three to test."""
    source = data("dhsd/labels.csv")
    with open(source, newline="") as read, open(place / "names.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "text", "split"])
        for row in csv.DictReader(read):
            part = {"8": "test", "9": "test", "10": "test", "7": "validation"}
            path = source.parent / row["file_name"]
            rows.writerow([path, row["text"], part.get(row["writer_id"], "train")])
    return place / "names.csv"


GIVEN = {"data.split": "given"}
SPOKEN = {**GIVEN, "data.vocabulary": "words"}
CASES = {
    "fsdd": Case(strings(), SPOKEN, "word error rate of spoken strings of digits"),
    **{
        f"fsdd-{speaker}": Case(
            strings(speaker),
            SPOKEN,
            f"word error rate of strings of digits that {speaker} speaks, who is not trained on",
        )
        for speaker in SPEAKERS
    },
    "dhsd": Case(names, GIVEN, "character error rate of handwritten German place names", True),
    "dhsd-writers": Case(
        by_writers,
        GIVEN,
        "character error rate of German place names of three people who are not trained on",
        True,
    ),
}


# ---- measuring -----------------------------------------------------------------------------------


def measured(
    case: Case, place: Path, changes: Mapping[str, Any], seed: int, done: Path | None
) -> dict[str, Any]:
    """Train once, unless a run is there; scores of what is held out, and seconds."""
    settings = {**case.settings, **changes, "training.seed": seed}
    recipe = load_recipe("recognition", [f"{n}={json.dumps(v)}" for n, v in settings.items()])
    source, run = case.source(place), done or place / "run"
    if done is None:
        train(recipe, source, run, report=_tell)
    summary = json.loads((run / "summary.json").read_text())
    found = {"seconds": summary.get("seconds"), "rows": summary["evaluations"]}
    if case.fused:
        found["fused"] = fused(recipe, source, run)
    return found


def _tell(report: Any) -> None:
    if report.message:
        print(report.message, flush=True)


def fused(recipe: Any, source: Path, run: Path) -> dict[str, Any]:
    """Error rates of the search alone and with a character n-gram, its weight chosen apart."""
    loaded, task = recurra.load(run), task_by_name("recognition")
    parts = task.prepare(task.open(source, recipe.data), recipe.data, run, lambda said: None).parts
    vocabulary = loaded.fronts["text"]
    texts = sorted({*parts["training"].texts})  # each name once
    language = NGram.fit(
        [vocabulary.encode(text) for text in texts],
        order=6,
        vocabulary_size=len(vocabulary),
        start=RESERVED.index("<s>"),
        end=RESERVED.index("</s>"),
    )
    logs = {name: _logs(loaded.model, part) for name, part in parts.items() if name != "training"}

    def rate(part: str, alpha: float, beta: float) -> float:
        fusion = loaded.fused(language, alpha, beta) if alpha else None
        blank = loaded.model.alignment.blank
        said = []
        for steps in logs[part]:
            found = prefix_search(steps, blank=blank, width=24, threshold=15, language=fusion)
            said.append(text_of_symbols(found[0].symbols, vocabulary))
        return errors_of(parts[part].texts, said).rate

    grid = itertools.product((0.25, 0.5, 0.75, 1.0), (0.0, 0.75, 1.5))
    chosen = min(grid, key=lambda pair: rate("validation", *pair))
    return {
        "alpha": chosen[0],
        "beta": chosen[1],
        "search": rate("test", 0, 0),
        "fused": rate("test", *chosen),
    }


def _logs(model: Any, part: RecognitionPart) -> list[np.ndarray]:
    found = {}
    for numbers in part.order():
        found.update(zip(numbers, logs_of(model, part, numbers), strict=True))
    return [found[number] for number in range(len(part.inputs))]


def run(name: str, seeds: int, changes: Mapping[str, Any], done: Path | None) -> None:
    """Print a case, and keep it."""
    case, found = CASES[name], []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as place:
            found.append(measured(case, Path(place), changes, seed, done))
    figures = _figures(case, found, changes)
    print(figures["figure"])
    keep(f"recognition_{name}", figures, MEASURED, seed=0)


def _figures(case: Case, found: list[dict[str, Any]], changes: Mapping[str, Any]) -> dict[str, Any]:
    model, *rivals = (
        [row for each in found for row in each["rows"] if row["name"] == name]
        for name in dict.fromkeys(row["name"] for row in found[0]["rows"])
    )
    beside = (f"{rows[0]['name']} {_mean(rows)}" for rows in rivals)
    figure = f"{_mean(model)}; {', '.join(beside)}"
    if case.fused:
        each = [one["fused"] for one in found]
        rates = {key: np.mean([one[key] for one in each]) for key in ("search", "fused")}
        figure += f"; prefix beam search {rates['search']:.2%}, with a 6-gram {rates['fused']:.2%}"
    return {
        "question": case.question,
        "figure": figure,
        "settings": dict(changes),
        "trainings": found,
    }


def _mean(rows: list[dict[str, Any]]) -> str:
    cer, wer = (np.mean([row[key] for row in rows]) for key in ("cer", "wer"))
    return f"CER {cer:.2%}, WER {wer:.2%}"


def _changes(given: list[str]) -> Iterator[tuple[str, Any]]:
    for change in given:
        name, _, value = change.partition("=")
        try:
            yield name, json.loads(value)
        except ValueError:
            yield name, value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=["fsdd", "fsdd-theo", "dhsd"], help="which")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], help="a setting of the recipe")
    parser.add_argument("--out", type=Path, help="a finished run of the case, in place of training")
    given = parser.parse_args()
    print(machine_in_words())
    for name in given.cases:
        run(name, given.seeds, dict(_changes(given.set)), given.out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
