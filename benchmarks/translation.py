"""How well does a recurrent encoder-decoder translate, with attention and without?

Trains the recipe ``transduction`` on Multi30k (29,000 pairs of lower-cased, tokenized sentences,
English to German), the best checkpoint chosen by nats on the validation part, and translates the
1,000 sentences of the test of 2016: each symbol the most probable one, and by a search of width 5.
BLEU is sacrebleu's, lower-cased, without further tokenization (the texts are tokenized) and with
its own, 13a. With ``--run`` what was trained before is scored.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from harness import ROOT, data, keep, machine_in_words

import recurra
from recurra.tasks.transduction.evaluation import likeness

SETTINGS: dict[str, Any] = {
    "column": "en",
    "label": "de",
    "split": "given",
    "vocabulary_size": 8000,
    "joint": True,
    "decoder_size": 512,
    "dropout": 0.4,
    "average": 0.999,
    "epochs": 13,
}
MEASURED = [
    "src/recurra/cells/attention.py",
    "src/recurra/cells/lstm.py",
    "src/recurra/decoding/beam.py",
    "src/recurra/encoders/tokens.py",
    "src/recurra/heads/decoder.py",
    "src/recurra/layers",
    "src/recurra/models/encoder_decoder.py",
    "src/recurra/models/reading.py",
    "src/recurra/recipes/transduction.toml",
    "src/recurra/tasks/examples.py",
    "src/recurra/tasks/transduction",
    "src/recurra/training/loop.py",
    "src/recurra/training/optimizers.py",
]
FOLDER = "multi30k-en-de"
WAYS = {"greedy": {"width": 1}, "beam 5": {"width": 5, "length_penalty": 1.0}}


def test_part() -> tuple[list[str], list[str]]:
    """English and German lines of 2016."""
    paths = [data(f"{FOLDER}/test_2016_flickr.lc.norm.tok.{name}") for name in ("en", "de")]
    english, german = (path.read_text().splitlines() for path in paths)
    return english, german


def trained(attention: str, out: Path) -> tuple[Path, float]:
    """A run, and how long it took."""
    began = time.perf_counter()
    source = data(f"{FOLDER}/train.lc.norm.tok.en").parent
    recurra.train("transduction", source, out=out, attention=attention, **SETTINGS)
    return out, time.perf_counter() - began


def scores(run: Path) -> dict[str, dict[str, float]]:
    """BLEU and chrF by way of decoding."""
    model = recurra.load(run)
    read, wanted = test_part()
    found = {}
    for name, how in WAYS.items():
        began = time.perf_counter()
        said = [each.text for each in model.predict(read, **how)]
        seconds = time.perf_counter() - began
        plain, chrf, signature = likeness(said, wanted, lower=True, tokenize="none")
        usual, _, other = likeness(said, wanted, lower=True, tokenize="13a")
        found[name] = {"none": plain, "13a": usual, "chrF": chrf, "seconds": seconds}
        print(
            f"{run.name}, {name}: BLEU {plain:.2f} ({signature}), {usual:.2f} ({other}), chrF "
            f"{chrf:.2f}; {seconds:.1f} s for {len(read):,} sentences",
            flush=True,
        )
    return found


def main() -> None:
    """Print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attention", choices=["additive", "none"], default="additive")
    parser.add_argument("--run", type=Path, help="score this run, and train none")
    parser.add_argument("--minutes", type=float, help="how long that run took to train")
    given = parser.parse_args()
    print(machine_in_words())
    run, seconds = given.run, (given.minutes or 0) * 60
    if run is None:
        out = ROOT / "runs" / "benchmarks" / f"translation-{given.attention}"
        run, seconds = trained(given.attention, out)
    found = scores(run)
    said = "; ".join(
        f"{name} {row['none']:.1f} (13a {row['13a']:.1f})" for name, row in found.items()
    )
    figure = f"{said}; trained in {seconds / 60:.0f} minutes"
    print(figure)
    with_it = "" if given.attention == "additive" else ", without attention"
    goal = "; goal at least 35 greedy, 36.5 with beam 5" if given.attention == "additive" else ""
    facts = {
        "question": "BLEU of English to German, Multi30k, test of 2016, lower-cased, no further "
        f"tokenization{with_it}{goal}",
        "figure": figure,
        "figures": found,
    }
    keep(f"translation_{given.attention}", facts, MEASURED, seed=0)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
