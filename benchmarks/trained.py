"""Language models that benchmarks train with the command line, from recipes beside this file."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tomllib
from pathlib import Path

from harness import ROOT, matrix_rate

from recurra.data import Document, divide, whole
from recurra.tasks.language_model import open_source
from recurra.training import data_of, load_recipe, run_source

RECIPES = ROOT / "benchmarks" / "recipes"
_CODE = [
    "runtime/src/recurra_runtime/vocabulary",
    "src/recurra/cells/affine.py",
    "src/recurra/cells/lstm.py",
    "src/recurra/cells/weight_drop.py",
    "src/recurra/data",
    "src/recurra/encoders",
    "src/recurra/engine",
    "src/recurra/heads",
    "src/recurra/layers",
    "src/recurra/losses.py",
    "src/recurra/masks.py",
    "src/recurra/models",
    "src/recurra/batch.py",
    "src/recurra/sequences.py",
    "src/recurra/tasks/language_model/corpus.py",
    "src/recurra/tasks/language_model/documents.py",
    "src/recurra/tasks/texts.py",
    "src/recurra/training/loop.py",
    "src/recurra/training/optimizers.py",
]


def recipe(name: str) -> Path:
    """The file of a recipe."""
    return RECIPES / f"{name}.toml"


def measured(name: str, *more: str) -> list[str]:
    """The code behind the models of a recipe, the recipe included."""
    return [*_CODE, *more, str(recipe(name).relative_to(ROOT))]


def trained(
    name: str, data: Path, out: Path | None = None, seed: int = 0, parts: Path | None = None
) -> Path:
    """The folder of a finished run of a recipe, trained now as far as it is not there yet.

    Args:
        name: of the recipe.
        data: text.
        out: folder of the run; ``runs/benchmarks/NAME`` if None.
        seed: of every draw.
        parts: a folder with ``validation.txt`` and ``test.txt``; else parts of the text.
    """
    out = out or ROOT / "runs" / "benchmarks" / name
    changes = [f"training.seed={seed}"]
    if parts is not None:
        changes += [f"data.{each}={parts / each}.txt" for each in ("validation", "test")]
    options = [f"--data={data}", *(word for change in changes for word in ("--set", change))]
    if not (out / "recipe.json").exists():
        began = [str(recipe(name)), f"--out={out}"]
    elif run_source(out)[0] != load_recipe(str(recipe(name)), changes):
        sys.exit(f"{out}: is a run of another recipe; expected one of {recipe(name)}")
    elif (out / "summary.json").exists():
        return out
    else:
        began = [f"--resume={out}"]
    print(f"sgemm 2048: {matrix_rate():.0f} GFLOP/s", flush=True)
    command = [sys.executable, "-m", "recurra", "train", *began, *options]
    if code := subprocess.run(command, cwd=ROOT).returncode:
        sys.exit(code)
    print(f"sgemm 2048: {matrix_rate():.0f} GFLOP/s", flush=True)
    return out


def held_out(run: Path, folder: Path) -> list[Document]:
    """The documents, or parts of them, that a run did not train on.

    Args:
        run: trained on the text of ``folder``.
        folder: a file or folder.
    """
    settings = data_of(run)
    documents = list(whole(open_source(folder, settings)))
    divided = divide(
        documents,
        [len(document.text) for document in documents],
        kind=settings.split,
        block=settings.block,
        validation=settings.validation,
        whole_words=settings.vocabulary in ("words", "byte-pairs"),
    )
    return [document for part, document in divided if part == "test"]


def scores(run: Path) -> dict[str, dict[str, float]]:
    """What the models of a run scored on the held-out text, by model, the recurrent one first."""
    rows = json.loads((run / "summary.json").read_text())["evaluations"]
    return {row["name"]: row for row in rows}


def curve(run: Path) -> list[dict[str, float]]:
    """What the log of a run has: step, symbols, seconds, losses."""
    with open(run / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: float(value) for name, value in row.items() if value} for row in rows]


def described(name: str) -> str:
    """What a recipe says of itself: the comment at its head, and its sections in a line."""
    text = recipe(name).read_text()
    about = " ".join(line[2:] for line in text.splitlines() if line.startswith("# "))
    settings = tomllib.loads(text)
    model = ", ".join(f"{key} {value}" for key, value in settings["model"].items())
    return f"{about} {model}"
