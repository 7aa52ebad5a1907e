"""Does a language model of a few million words prefer, and find, the sentence that is right?

Trains the recipe ``correction`` on about 95,000 English sentences (Wikipedia, web, mail, captions
of pictures, a novel, and the corrections of the first half of JFLEG's dev part). The learners' own
sentences are in none of them. The second half of the dev part chooses the margin of each model,
the test part is scored once: the share of pairs (source, a reference that differs) of which the
reference is the more probable, and GLEU of what ``recurra correct`` makes of the sources. Beside
the recurrent model stands the Kneser-Ney 5-gram of the same symbols, and both in a mixture.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from english import references, sources, written
from harness import ROOT, keep, machine_in_words
from trained import measured, trained

from recurra.pipeline import (
    Pair,
    TextModel,
    correct_lines,
    known_words,
    open_text_model,
    pair_accuracy,
    score_pairs,
)
from recurra.tasks.transduction.gleu import gleu

NAME = "correction"
MODELS = {"recurrent": None, "5-gram": "5-gram", "mixture": "mixture"}
MARGINS = (2.0, 2.75, 3.5, 5.0)
MEASURED = measured(
    NAME,
    "benchmarks/english.py",
    "src/recurra/models/ngram.py",
    "src/recurra/pipeline/correction/confusions.py",
    "src/recurra/pipeline/correction/correcting.py",
    "src/recurra/pipeline/correction/inflections.py",
    "src/recurra/pipeline/correction/misspelling.py",
    "src/recurra/pipeline/scoring.py",
    "src/recurra/tasks/transduction/gleu.py",
)


def preference(model: TextModel, part: str, half: int | None = None) -> dict[str, Any]:
    """How often a reference that differs from its source is the more probable."""
    rows = zip(sources(part, half), references(part, half), strict=True)
    pairs = [Pair(right, wrong) for wrong, row in rows for right in row if right != wrong]
    found = pair_accuracy(score_pairs(model, pairs))[0]
    return {"accuracy": found.accuracy, "pairs": found.count}


def corrected(
    model: TextModel, words: list[str], part: str, margin: float, half: int | None = None
) -> dict[str, Any]:
    """GLEU of the corrections of a part, how many edits, and the seconds they took."""
    began = time.perf_counter()
    given = sources(part, half)
    found = list(correct_lines(model, given, margin=margin, words=words))
    seconds = time.perf_counter() - began
    score = 100 * gleu(given, references(part, half), [each.corrected for each in found])
    edits = sum(len(each.edits) for each in found)
    return {"margin": margin, "gleu": score, "edits": edits, "seconds": seconds}


def unchanged(part: str) -> float:
    """GLEU of sources as they are."""
    return 100 * gleu(sources(part), references(part), sources(part))


def scored(model: TextModel, words: list[str]) -> dict[str, Any]:
    """All of one model."""
    tried = [corrected(model, words, "dev", margin, half=1) for margin in MARGINS]
    for row in tried:
        print(f"  margin {row['margin']}: {row['gleu']:.2f} ({row['edits']} edits)", flush=True)
    best = max(tried, key=lambda row: row["gleu"])
    test = corrected(model, words, "test", best["margin"])
    preferred = {"dev": preference(model, "dev", half=1), "test": preference(model, "test")}
    return {"preference": preferred, "dev": tried, "test": test}


def main() -> None:
    """Train as far as it is not done, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "benchmarks" / NAME)
    out = parser.parse_args().out
    print(machine_in_words())
    before = {part: unchanged(part) for part in ("dev", "test")}
    print(f"unchanged: GLEU dev {before['dev']:.2f}, test {before['test']:.2f}")
    text = written(out.with_name("text"))
    run = trained(NAME, text / "training.txt", out, parts=text)
    figures: dict[str, Any] = {"unchanged": before}
    for name, chosen in MODELS.items():
        print(name, flush=True)
        model = open_text_model(run, model=chosen)
        figures[name] = scored(model, known_words(model, text / "training.txt"))
    said = [
        f"{name} GLEU {figures[name]['test']['gleu']:.2f}, prefers the corrected sentence in "
        f"{figures[name]['preference']['test']['accuracy']:.1%} (of dev pairs in "
        f"{figures[name]['preference']['dev']['accuracy']:.1%})"
        for name in MODELS
    ]
    figure = f"{'; '.join(said)}; unchanged source GLEU {before['test']:.2f}"
    print(json.dumps(figure))
    question = (
        "GLEU of learners' sentences (JFLEG test) that a small language model corrects without "
        "corrected sentences to learn from, and the share of pairs of which it prefers the "
        "corrected one"
    )
    keep(NAME, {"question": question, "figure": figure, "figures": figures}, MEASURED, seed=0)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
