"""What do the monitors of a training cost?

The same training twice in one process, from the same weights, with ``training.monitors`` and
without: a step of the one, a step of the other, so that what else the machine does falls on both.
A round is as many steps as stand between two reports at least, and one report (gates and the border
looked at); most trainings report less often. Evaluations are in neither. Both must have the same
losses bit for bit: monitors change nothing.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import torch
from harness import data, keep, machine_in_words, measure_rounds

from recurra.data import read_text
from recurra.models import LanguageModel, LanguageModelConfig
from recurra.tasks.language_model import prepare
from recurra.training import Training, load_recipe
from recurra.training.monitors import LEAST

MEASURED = [
    "src/recurra/diagnosis/examination/border.py",
    "src/recurra/diagnosis/examination/gates.py",
    "src/recurra/diagnosis/subject.py",
    "src/recurra/engine",
    "src/recurra/models/base.py",
    "src/recurra/training/loop.py",
    "src/recurra/training/monitors.py",
    "benchmarks/monitors.py",
]
TEXT = "tinyshakespeare/input.txt"
MODELS = {
    "small": ["hidden_size=64", "layers=1"],
    "medium": ["hidden_size=128", "layers=2"],
}
READ = {"small": ["batch_size=16", "window=32"], "medium": ["batch_size=16", "window=64"]}
RUNS = 15


def training_of(size: str, monitors: bool, folder: Path) -> Training:
    """A training of a language model, not begun."""
    changes = [f"model.{each}" for each in MODELS[size]]
    changes += [f"training.{each}" for each in READ[size]]
    changes += [f"training.monitors={str(monitors).lower()}", "training.epochs=100"]
    recipe = load_recipe("language-model", changes)
    corpus = prepare([read_text(data(TEXT))], recipe.data, folder)
    settings = recipe.training
    batches = corpus.parts["training"].batches(
        rows=settings.batch_size, window=settings.window, seed=settings.seed
    )
    torch.manual_seed(settings.seed)
    sizes = recipe.model.model_dump()
    model = LanguageModel(LanguageModelConfig(**sizes, vocabulary_size=len(corpus.vocabulary)))
    return Training(model, batches, settings)


def measured(size: str, runs: int) -> dict[str, object]:
    """Time both, and what the monitors take of it."""
    with tempfile.TemporaryDirectory() as folder:
        both = {
            name: training_of(size, name == "watched", Path(folder) / name)
            for name in ("watched", "plain")
        }
        steps = {name: iter(training) for name, training in both.items()}
        random = {name: torch.get_rng_state() for name in both}  # dropout of one, not of both

        def once() -> dict[str, float]:
            took = dict.fromkeys(both, 0.0)
            for _ in range(LEAST):
                losses = set()
                for name, rest in steps.items():
                    torch.set_rng_state(random[name])
                    began = perf_counter()
                    losses.add(next(rest).loss)
                    took[name] += perf_counter() - began
                    random[name] = torch.get_rng_state()
                if len(losses) > 1:
                    sys.exit(f"not kept: the monitors change the training, losses {losses}")
            began = perf_counter()
            monitors = both["watched"].monitors
            assert monitors is not None
            seen = monitors.report(both["watched"].model, *both["watched"].looked_at())
            took["watched"] += perf_counter() - began
            assert seen.of("border")
            assert seen.of("saturated")
            return took

        once()  # what is compiled once
        done = measure_rounds(once, runs)
    print(size, done, sep="\n")
    pairs = zip(done.seconds["watched"], done.seconds["plain"], strict=True)
    more = [ours / theirs - 1 for ours, theirs in pairs]
    found = statistics.quantiles(more, n=4)
    print(
        f"{size}: the monitors take {found[1]:.1%} of the time (quartiles {found[0]:.1%} to "
        f"{found[2]:.1%})"
    )
    return {"share": found, "measurement": done.to_json(), "void": done.void}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=RUNS, help=f"of {LEAST} steps")
    given = parser.parse_args()
    print(machine_in_words())
    found = {size: measured(size, given.runs) for size in MODELS}
    void = any(each["void"] for each in found.values())
    told = ", ".join(f"{each['share'][1]:.1%} ({size})" for size, each in found.items())
    keep(
        "monitors",
        {
            "question": f"what monitors cost a training of a language model, of its time, with a "
            f"report every {LEAST} steps",
            "figure": told + (" *(void)*" if void else ""),
            "sizes": {size: [*MODELS[size], *READ[size]] for size in MODELS},
            "found": found,
        },
        MEASURED,
        seed=0,
        void=void,
    )


if __name__ == "__main__":
    main()
