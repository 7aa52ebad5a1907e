"""Captions of pictures, by a decoder that looks at regions.

``pairs`` and ``kinds`` are drawn scenes (``recurra.data.Scenes``) whose combinations of things, or
of a color with a shape, were never seen in training; each caption has one right answer, so what is
told is how many are right to the letter, beside those of scenes whose combinations were seen.
``nlvr-captions`` says the true sentences that people wrote of pictures of NLVR (Suhr et al. 2017),
trained on the part dev (the part train is not there), held against those of the part hidden;
``nlvr-truth`` tells of sentence and picture whether it is true. Few examples: rivals stand beside.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from harness import DATA, keep, machine_in_words

import recurra
from recurra.data import Scenes

SEED = 0
MEASURED = [
    "src/recurra/cells/attention.py",
    "src/recurra/data/synthetic/scenes.py",
    "src/recurra/encoders",
    "src/recurra/heads",
    "src/recurra/models/classifier.py",
    "src/recurra/models/encoder_decoder.py",
    "src/recurra/models/reading.py",
    "src/recurra/recipes/classification.toml",
    "src/recurra/recipes/transduction.toml",
    "src/recurra/tasks/classification",
    "src/recurra/tasks/transduction",
    "src/recurra/training/loop.py",
]
READ = {"split": "given", "picture_mode": "RGB", "picture_as": "regions", "hidden_size": 64}
SAID = {**READ, "vocabulary": "words", "decoder_size": 128, "batch_size": 32}


def trained(task: str, data: Any, **settings: Any) -> tuple[Any, float]:
    """A finished run, loaded, and the seconds that it took."""
    with tempfile.TemporaryDirectory() as place:
        began = time.perf_counter()
        done = recurra.train(task, data, out=Path(place) / "run", seed=SEED, **settings)
        return (done, recurra.load(done.path)), time.perf_counter() - began


def scenes(held: str, examples: int, epochs: int) -> None:
    """Exact captions of what was never seen together, and of what was."""
    drawn = Scenes(held=held)  # type: ignore[arg-type]
    parts = {
        "train": drawn.examples(examples, seed=0),
        "validation": drawn.examples(300, seed=1),
        "test": drawn.examples(1000, seed=2, unseen=True),
    }
    (done, model), seconds = trained("transduction", parts, epochs=epochs, minimum_steps=0, **SAID)
    pictures, captions = drawn.examples(1000, seed=3)
    said = [answer.text for answer in model.predict(pictures)]
    seen = statistics.mean(one == other for one, other in zip(said, captions, strict=True))
    rows = {row.name: row.to_json() for row in done.evaluations}
    unseen = done.evaluations[0].exact
    figure = f"{unseen:.1%} of what was never seen together, {seen:.1%} of what was"
    what = "two things never in one picture" if held == "pairs" else "colors never of that shape"
    tell(
        f"captions_{held}",
        f"share of captions of drawn scenes right to the letter, {what}",
        figure,
        {"unseen": unseen, "seen": seen, "rows": rows, "seconds": seconds},
        examples=examples,
        epochs=epochs,
    )


def nlvr(part: str) -> list[dict[str, Any]]:
    """Examples of NLVR with the paths of their pictures."""
    folder, name = DATA / "nlvr", {"train": "dev", "test": "hidden"}[part]
    rows = [json.loads(line) for line in (folder / f"{name}.json").read_text().splitlines()]
    for row in rows:
        row["picture"] = folder / "images" / f"{name}-{row['identifier']}-0.png"
    return rows


def nlvr_captions(epochs: int) -> None:
    """True sentences, said of their pictures."""
    rows = {part: [row for row in nlvr(part) if row["label"] == "true"] for part in PARTS}
    data = {
        part: ([r["picture"] for r in own], [r["sentence"] for r in own])
        for part, own in rows.items()
    }
    (done, _), seconds = trained(
        "transduction", data, epochs=epochs, picture_size=[50, 200], filters=8, lower=True, **SAID
    )
    found = {row.name: row for row in done.evaluations}
    told = ", ".join(f"{name} {row.bleu:.1f} BLEU" for name, row in found.items())
    tell(
        "captions_nlvr",
        "sentences of people about pictures of NLVR, said after 547 true ones",
        f"{told}; {done.evaluations[0].exact:.1%} to the letter",
        {"rows": {name: row.to_json() for name, row in found.items()}, "seconds": seconds},
        epochs=epochs,
    )


def nlvr_truth(epochs: int) -> None:
    """Whether a sentence is true of a picture."""
    data = {}
    for part in PARTS:
        own = nlvr(part)
        inputs = {"picture": [r["picture"] for r in own], "sentence": [r["sentence"] for r in own]}
        data[part] = (inputs, [r["label"] for r in own])
    settings = {"picture_size": [50, 200], "filters": 8, "fuse": "ask", **READ}
    (done, _), seconds = trained("classification", data, epochs=epochs, **settings)
    found = {row.name: row.accuracy for row in done.evaluations}
    tell(
        "captions_nlvr-truth",
        "share of sentences about pictures of NLVR that are told true or false, after 988 examples",
        ", ".join(f"{name} {share:.1%}" for name, share in found.items()),
        {"accuracy": found, "seconds": seconds},
        epochs=epochs,
    )


PARTS = ("train", "test")


def tell(name: str, question: str, figure: str, figures: dict[str, Any], **how: Any) -> None:
    """Print a result, and keep it."""
    print(f"{name}: {figure}; {figures['seconds']:.0f} s", flush=True)
    facts = {"question": question, "figure": figure, "figures": figures | {"settings": how}}
    keep(name, facts, MEASURED, seed=SEED)


def main() -> None:
    cases = {
        "pairs": lambda given: scenes("pairs", given.examples, given.epochs),
        "kinds": lambda given: scenes("kinds", given.examples, given.epochs),
        "nlvr-captions": lambda given: nlvr_captions(given.epochs),
        "nlvr-truth": lambda given: nlvr_truth(given.epochs),
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=[*cases], help="which; all if none")
    parser.add_argument("--examples", type=int, default=4000, help="scenes to train on")
    parser.add_argument("--epochs", type=int, default=12)
    given = parser.parse_args()
    print(machine_in_words())
    for name in given.cases:
        cases[name](given)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
