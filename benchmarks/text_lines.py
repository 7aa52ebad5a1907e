"""How well print is read in fonts that were never seen: lines of text, drawn.

Lines of Shakespeare, War and Peace and Wikipedia are drawn (``recurra.data.TextLines``). The first
eight tenths of each are trained on, in :data:`TRAINED` families of fonts; settings and checkpoint
are chosen on the ninth tenth in :data:`CHOSEN_BY`; the last tenth is read in :data:`TESTED`, in the
further families of :data:`OTHERS`, and in those that were trained on. No family is in two of these
lists, nor one that was made from another's letters.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import data, keep, machine_in_words

import recurra
from recurra.data import TextLines, cut_gutenberg, fonts_of, lines_of
from recurra.errors import DataError
from recurra.tasks.recognition.evaluation import errors_of

SEED = 0
PACKAGES = (
    "fonts-adf-accanthis fonts-adf-gillius fonts-cabin fonts-cantarell fonts-comic-neue "
    "fonts-courier-prime fonts-crosextra-caladea fonts-dejavu-core fonts-dejavu-extra "
    "fonts-ebgaramond fonts-lato fonts-liberation fonts-linuxlibertine fonts-oldstandard "
    "fonts-open-sans fonts-paratype fonts-quattrocento fonts-roboto-unhinted fonts-vollkorn"
)
TRAINED = (
    "Cabin",
    "Caladea",
    "Comic Neue",
    "DejaVu Sans",
    "DejaVu Sans Mono",
    "DejaVu Serif",
    "EB Garamond",
    "Gillius ADF",
    "Liberation Mono",
    "Liberation Sans",
    "Liberation Serif",
    "Old Standard TT",
    "Open Sans",
    "Quattrocento",
    "Roboto",
    "Vollkorn",
)
CHOSEN_BY = ("Cantarell", "PT Serif")
TESTED = "Linux Libertine O"
OTHERS = ("Accanthis ADF Std", "Courier Prime", "Lato")
MEASURED = [
    "src/recurra/cells",
    "src/recurra/data/synthetic/lines.py",
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
PLAIN = {0x201C: '"', 0x201D: '"', 0x2018: "'", 0x2019: "'", 0x2014: "--", 0x2013: "-"}
HEIGHT = 24
SETTINGS: dict[str, Any] = {
    "picture_height": HEIGHT,
    "split": "given",
    "across": 2,
    "distort": 0.0,  # lines are drawn so already
    "mask_steps": 0,
    "mask_numbers": 0,
    "dropout": 0.1,
    "minimum_steps": 0,
}


def texts(part: int, number: int) -> list[str]:
    """Lines of all three texts from one tenth of each, or from the first eight (part 0)."""
    known = set(texts(0, 10**9)) if part else set()  # such as headings that come again
    found: list[str] = []
    for seed, text in enumerate((_shakespeare(), _tolstoy(), _wikipedia())):
        tenth = len(text) // 10
        begin, end = (0, 8) if part == 0 else (part, part + 1)
        found += filter(str.isascii, lines_of(text[begin * tenth : end * tenth], seed=seed))
    order = np.random.default_rng(part).permutation(len(found))
    return [found[n] for n in order if found[n] not in known][:number]


def _shakespeare() -> str:
    return data("tinyshakespeare/input.txt").read_text(encoding="utf-8")


def _tolstoy() -> str:
    text = cut_gutenberg(data("warandpeace/warandpeace.txt").read_text(encoding="utf-8-sig"))
    return text.translate(PLAIN)


def _wikipedia() -> str:
    """With the blanks that its words were cut at taken out again."""
    text = data("wikitext2-sample/valid.txt").read_text(encoding="utf-8")
    for cut, whole in (
        (" <unk>", ""),
        (" @-@ ", "-"),
        (" @,@ ", ","),
        (" @.@ ", "."),
        (" = ", " "),
        ("( ", "("),
        *((f" {mark}", mark) for mark in ",.;:!?)%'"),
    ):
        text = text.replace(cut, whole)
    return text.translate(PLAIN)


def drawn(families: Sequence[str], lines: list[str], seed: int) -> tuple[list[Any], list[str]]:
    """Pictures of lines in all styles of some families, and the lines."""
    return TextLines(fonts_of(*families), height=HEIGHT).examples(lines, seed=seed)


def rates(model: Any, examples: tuple[list[Any], list[str]]) -> tuple[float, float]:
    """Error rates of characters and of words, of the best symbol of each step."""
    said = [answer.text for answer in model.predict(examples[0], width=1)]
    return errors_of(examples[1], said).rate, errors_of(examples[1], said, words=True).rate


def measured(given: argparse.Namespace, place: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Train once, unless a run is there; error rates by family."""
    unseen, chosen = texts(9, given.lines), texts(8, given.lines)
    run = given.out or place / "run"
    held = {family: drawn([family], unseen, 3) for family in (TESTED, *OTHERS)}
    began = time.perf_counter()
    if not (run / "summary.json").exists():
        parts = {
            "train": drawn(TRAINED, texts(0, given.examples), 0),
            "validation": drawn(CHOSEN_BY, chosen, 1),
            "test": held[TESTED],
        }
        print(f"drawn in {time.perf_counter() - began:.0f} s", flush=True)
        recurra.train("recognition", parts, out=run, seed=SEED, report=_tell, **settings)
    summary = json.loads((run / "summary.json").read_text())
    model = recurra.load(run)
    found: dict[str, Any] = {
        "seconds": summary.get("seconds"),
        "rows": summary["evaluations"],
        "validation": {family: rates(model, drawn([family], chosen, 1)) for family in CHOSEN_BY},
    }
    if given.test:
        found["unseen"] = {family: rates(model, one) for family, one in held.items()}
        found["seen"] = rates(model, drawn(TRAINED, unseen, 3))
    return found


def _tell(report: Any) -> None:
    if report.message:
        print(report.message, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=30000, help="lines to train on")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--lines", type=int, default=500, help="to choose by, and of each test")
    parser.add_argument("--set", action="append", default=[], help="a setting of the recipe")
    parser.add_argument("--out", type=Path, help="where the run is, or is to be")
    parser.add_argument("--choose", dest="test", action="store_false", help="validation alone")
    given = parser.parse_args()
    print(machine_in_words())
    changes = dict(change.split("=", 1) for change in given.set)
    settings = {**SETTINGS, "epochs": given.epochs}
    settings |= {name: json.loads(value) for name, value in changes.items()}
    try:
        with tempfile.TemporaryDirectory() as place:
            found = measured(given, Path(place), settings)
    except DataError as problem:
        raise SystemExit(f"{problem}\nThis benchmark needs: {PACKAGES}") from None
    print({family: f"{cer:.2%}" for family, (cer, _) in found["validation"].items()}, flush=True)
    if not given.test:
        return
    figure = ", ".join(f"{family} {cer:.2%}" for family, (cer, _) in found["unseen"].items())
    figure += f"; families trained on {found['seen'][0]:.2%}"
    print(figure)
    question = "character error rate of drawn lines, fonts and texts never seen"
    figures = {"question": question, "figure": figure, "settings": settings, "figures": found}
    keep("text_lines", figures, MEASURED, seed=SEED)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
