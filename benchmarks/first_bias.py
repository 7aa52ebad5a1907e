"""What does a language model gain that starts at the frequencies of its symbols?

Each text trains a model for one pass with the settings of the recipe ``language-model``, once with
the head's first bias at zero and once at the logarithms of the symbols' frequencies. Told of each:
validation along the way, the held-out text beside a unigram and a 5-gram of the same symbols, and
whether a state that has gone on for long differs from a fresh one: text it was trained on, scored
in windows that all begin at the zero state, beside the loss of the last steps.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from findings import aligned
from harness import RESULTS, code_hash, data, keep, machine_in_words

from recurra import states
from recurra.batch import Batch
from recurra.data import Windows, document_batches
from recurra.models import KneserNey, LanguageModel, LanguageModelConfig, NGram
from recurra.tasks.language_model import prepare
from recurra.tasks.language_model.corpus import Corpus
from recurra.training import Training, load_recipe
from recurra_runtime.vocabulary import END, START

NAME = "first_bias"
MEASURED = [
    "src/recurra/cells/affine.py",
    "src/recurra/cells/lstm.py",
    "src/recurra/data/streams.py",
    "src/recurra/encoders",
    "src/recurra/heads",
    "src/recurra/layers",
    "src/recurra/losses.py",
    "src/recurra/models",
    "src/recurra/tasks/language_model/corpus.py",
    "src/recurra/tasks/language_model/documents.py",
    "src/recurra/tasks/texts.py",
    "src/recurra/training/loop.py",
    "src/recurra/training/optimizers.py",
]
FIRST = ("zero", "frequencies")
EVALUATIONS = 4
LATE = 20  # steps whose mean is the training loss
WORDS = 500_000
WORD_SETTINGS = [
    "data.vocabulary=words",
    "data.lower=true",
    "data.minimum_count=3",
    "data.breaks=paragraphs",
    "model.hidden_size=200",
    "training.epochs=1",
]


class Case(NamedTuple):
    """A text and how it is trained on.

    Args:
        text: in the shared data.
        changes: of the recipe.
        seeds: how many.
    """

    text: str
    changes: list[str]
    seeds: int


CASES = {
    "words": Case("warandpeace/warandpeace.txt", WORD_SETTINGS, 3),
    "words, tied": Case(
        "warandpeace/warandpeace.txt",
        [*WORD_SETTINGS, "model.tied=true", "training.learning_rate=0.002"],
        3,
    ),
    "characters": Case("tinyshakespeare/input.txt", ["training.epochs=1"], 1),
    "names": Case(
        "names/names.txt",
        ["data.unit=line", "data.split=hash", "data.distinct=true", "training.epochs=1"],
        3,
    ),
}


def documents(case: Case) -> list[str]:
    """The texts; of words the first half million."""
    text = data(case.text).read_text("utf-8-sig")
    if "data.unit=line" in case.changes:
        return text.split()
    if "data.vocabulary=words" in case.changes:
        ends = (match.end() for match in re.finditer(r"\S+", text))
        text = text[: next(end for number, end in enumerate(ends, 1) if number == WORDS)]
    return [text]


def groups(corpus: Corpus, part: Any, reading: str) -> Iterable[Iterable[Batch]]:
    """A part of a corpus to be scored; a long text in rows beside each other."""
    held = corpus.parts[part]
    if reading == "documents":
        return document_batches(held.documents())
    return [Windows(held.ids, rows=max(1, min(32, held.count // 2048)), size=256)]


def fresh(corpus: Corpus, reading: str) -> Iterable[Iterable[Batch]]:
    """Known text in windows that each begin at the zero state."""
    known = corpus.parts["training"]
    if reading == "documents":
        return document_batches(known.documents(50_000))
    windows = Windows(known.ids, rows=32, size=64)
    return ([windows[number]] for number in range(0, len(windows), max(1, len(windows) // 24)))


def magnitude(model: LanguageModel, batches: Iterator[Batch]) -> float:
    """Mean absolute value of what the last layer carries after the first twenty windows."""
    state = None
    with torch.no_grad():
        for batch, _ in zip(batches, range(20), strict=False):
            state = model(batch, state).state
    return float(states.leaves(state)[-1].abs().mean())


def ngrams(corpus: Corpus) -> dict[str, float]:
    """Nats a symbol of a unigram and a 5-gram on the held-out text."""
    known, held = (corpus.parts[part].documents() for part in ("training", "test"))
    found = {}
    for name, order in (("unigram", 1), ("5-gram", 5)):
        model = NGram.fit(
            known,
            order=order,
            vocabulary_size=len(corpus.vocabulary),
            start=START,
            end=END,
            smoothing=KneserNey(),
        )
        nats, symbols = model.total(held)
        found[name] = nats / symbols
    return found


def trained(case: Case, first: str, seed: int, folder: Path) -> dict[str, Any]:
    """One training, and what is told of it."""
    recipe = load_recipe("language-model", [*case.changes, f"training.seed={seed}"])
    corpus = prepare(documents(case), recipe.data, folder)
    reading, size = recipe.data.reading, len(corpus.vocabulary)
    torch.manual_seed(seed)
    model = LanguageModel(LanguageModelConfig(**recipe.model.model_dump(), vocabulary_size=size))
    model.starts_at(torch.from_numpy(corpus.parts["training"].counts(size)))
    if first == "zero":
        bias = model.head.get_parameter("projection.bias")
        never = bias[START].item()
        torch.nn.init.zeros_(bias)
        torch.nn.init.constant_(bias[START], never)

    def score(batches: Iterable[Iterable[Batch]]) -> float:
        nats, symbols = model.score(batches)
        return nats / symbols

    settings = recipe.training
    batches = corpus.parts["training"].batches(
        rows=settings.batch_size, window=settings.window, seed=settings.seed
    )
    training = Training(model, batches, settings)
    every = -(-training.steps // EVALUATIONS)
    losses, validation, began = [], [], time.perf_counter()
    for done in training:
        losses.append(done.loss)
        if done.step % every == 0 or done.step == done.steps:
            validation.append(score(groups(corpus, "validation", reading)))
    batches = (training.batches.batch(number) for number in range(20))
    return {
        "vocabulary": size,
        "validation": validation,
        "test": score(groups(corpus, "test", reading)),
        "training": statistics.mean(losses[-LATE:]),
        "training_from_zero": score(fresh(corpus, reading)),
        "carried": None if reading == "documents" else magnitude(model.eval(), batches),
        "seconds": time.perf_counter() - began,
        **ngrams(corpus),
    }


def kept() -> dict[str, dict[str, Any]]:
    """What is there already, of the same code."""
    path = RESULTS / f"{NAME}.json"
    if not path.exists():
        return {}
    before = json.loads(path.read_text())
    return before["cases"] if before["code"] == code_hash(*MEASURED) else {}


def told(cases: dict[str, dict[str, Any]]) -> str:
    """All cases in a line; the mean of the nats over the seeds that both first biases have."""
    parts = []
    for case in CASES:
        pairs = [
            [cases.get(f"{case} from {first} {seed}") for first in FIRST]
            for seed in range(CASES[case].seeds)
        ]
        done = [[run for run in pair if run is not None] for pair in pairs if None not in pair]
        if done:
            means = [
                statistics.mean(run["test"] for run in runs) for runs in zip(*done, strict=True)
            ]
            one, other, ngram = (f"{math.exp(x):.4g}" for x in (*means, done[0][0]["5-gram"]))
            parts.append(f"{case} {one} to {other} (5-gram {ngram})")
    return "; ".join(parts)


def table(cases: dict[str, dict[str, Any]]) -> str:
    """A line for each training, nats a symbol."""
    head = ("case", "validation", "test", "training", "from zero", "carried", "unigram", "5-gram")
    rows = [
        (
            name,
            " ".join(f"{value:.3f}" for value in run["validation"]),
            *(f"{run[key]:.3f}" for key in ("test", "training", "training_from_zero")),
            "" if run["carried"] is None else f"{run['carried']:.1f}",
            *(f"{run[key]:.3f}" for key in ("unigram", "5-gram")),
        )
        for name, run in cases.items()
    ]
    return aligned([head, *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES, help="one text alone")
    parser.add_argument("--first", choices=FIRST, help="one first bias alone")
    parser.add_argument("--seed", type=int, help="one seed alone")
    asked = parser.parse_args()
    print(machine_in_words())
    for case in [asked.case] if asked.case else CASES:
        seeds = range(CASES[case].seeds) if asked.seed is None else [asked.seed]
        for seed in seeds:
            for first in [asked.first] if asked.first else FIRST:
                with tempfile.TemporaryDirectory() as folder:
                    run = trained(CASES[case], first, seed, Path(folder) / "data")
                cases = kept() | {f"{case} from {first} {seed}": run}
                print(table({f"{case} from {first} {seed}": run}), flush=True)
                keep(
                    NAME,
                    {
                        "question": "perplexity of held-out text after one pass of training, the "
                        "head's first bias at zero and at the frequencies of symbols (words: "
                        "half a million of War and Peace, two layers of 200)",
                        "figure": told(cases),
                        "cases": cases,
                    },
                    MEASURED,
                )
    print(table(kept()))


if __name__ == "__main__":
    main()
