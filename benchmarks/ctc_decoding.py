"""Prefix beam search over the steps of a recognizer, beside flashlight-text and pyctcdecode.

The steps are drawn: texts of a letter every five of 200 steps of 30 symbols and the blank, as sure
as a trained recognizer mostly is, and unsure at one step in five. All search the same steps,
float32 in memory, with the same width, all symbols at every step and no threshold, and again as
their users run them, with a threshold and few symbols: those above exp(-5), of flashlight-text the
best ten. pyctcdecode, which takes seconds a text without one, has a threshold always. Then other
sizes, from 5 to 1000 symbols and 20 to 1000 steps, one text and sixteen, beside flashlight-text
alone; a search that would take it more than about a third of a second a round is left out.
flashlight-text keeps a text that ends with the blank and the same one that does not as two, so that
its beam holds fewer texts, and its scores are of one of the two: what is compared is the text.
``--flashlight PYTHON`` and ``--pyctcdecode PYTHON`` name interpreters that have the rivals, which
run there, one process each, and take their own time.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch
from harness import Measurement, keep, machine_in_words, measure_rounds
from numpy.typing import NDArray

from recurra.decoding import prefix_search

MEASURED = [
    "src/recurra/decoding/ctc.py",
    "src/recurra/decoding/prefixes.py",
    "runtime/native/prefixes.cc",
    "runtime/native/prefixes.h",
]
WIDTHS = (16, 64)
_THRESHOLD, _LEAST = 15.0, -5.0
_LONGEST, _OF_ONE = 0.3, 6e-8  # seconds a round, and of one symbol after one text at one step
_STEPS_TIMED, _SYMBOLS_TIMED = 4000, 100_000  # of a round, so that a clock can tell


class Size(NamedTuple):
    """Symbols beside the blank, steps of a text, and texts."""

    letters: int
    steps: int
    texts: int

    def __str__(self) -> str:
        return f"{self.letters} symbols, {self.steps} steps, {self.texts} texts"


BASE = Size(30, 200, 4)
SIZES = [
    *(Size(letters, steps, 1) for letters in (5, 30, 100, 1000) for steps in (20, 200, 1000)),
    *(Size(letters, steps, 16) for letters, steps in ((5, 20), (30, 200), (100, 200))),
]

Logs = NDArray[np.float32]
Rivals = dict[str, Callable[[], tuple[float, list[str]]]]


def drawn(size: Size) -> Logs:
    """Log-probabilities ``[texts, steps, letters + 1]``."""
    draw = np.random.default_rng(0)
    letters, length = size.letters, size.steps // 5
    scores = draw.normal(0, 1, (size.texts, size.steps, letters + 1))
    scores[:, :, letters] += 8
    for row in scores:
        places = np.sort(draw.choice(size.steps, length, replace=False))
        row[places, draw.integers(0, letters, length)] += 12
        unsure = places[draw.random(length) < 0.2]
        row[unsure, draw.integers(0, letters, len(unsure))] += 11
    found: Logs = (scores - np.logaddexp.reduce(scores, -1, keepdims=True)).astype(np.float32)
    return found


_FLASHLIGHT = """
import array, sys, time
from flashlight.lib.text.decoder import CriterionType, LexiconFreeDecoder, ZeroLM
from flashlight.lib.text.decoder import LexiconFreeDecoderOptions
path, threshold = sys.argv[1:3]
texts, steps, size, width, times = map(int, sys.argv[3:])
logs = array.array("f", open(path, "rb").read())
tokens = size if float(threshold) > 100 else min(size, 10)
options = LexiconFreeDecoderOptions(
    beam_size=width, beam_size_token=tokens, beam_threshold=float(threshold), lm_weight=0.0,
    sil_score=0.0, log_add=True, criterion_type=CriterionType.CTC)
decoder = LexiconFreeDecoder(options, ZeroLM(), -1, size - 1, [])
where, each = logs.buffer_info()[0], steps * size * 4
for line in sys.stdin:
    began = time.perf_counter()
    for _ in range(times):
        said = []
        for n in range(texts):
            said.append(decoder.decode(where + n * each, steps, size)[0].tokens)
    seconds = (time.perf_counter() - began) / times
    found = []
    for path_ in said:
        kept = [s for at, s in enumerate(path_) if at == 0 or path_[at - 1] != s]
        found.append(",".join(str(s) for s in kept if 0 <= s < size - 1))
    print(seconds, ";".join(found), flush=True)
"""

_PYCTCDECODE = """
import logging, sys, time
import numpy as np
logging.disable(logging.CRITICAL)
from pyctcdecode import build_ctcdecoder
path, threshold = sys.argv[1:3]
texts, steps, size, width, times = map(int, sys.argv[3:])
logs = np.fromfile(path, np.float32).reshape(texts, steps, size)
decoder = build_ctcdecoder([chr(97 + n) if n < 26 else chr(65 + n) for n in range(size - 1)] + [""])
least = -1000.0 if float(threshold) > 100 else -5.0
for line in sys.stdin:
    began = time.perf_counter()
    for _ in range(times):
        said = [decoder.decode(row, beam_width=width, beam_prune_logp=-float(threshold),
                               token_min_logp=least) for row in logs]
    seconds = (time.perf_counter() - began) / times
    number = lambda c: ord(c) - 97 if c >= "a" else ord(c) - 65
    print(seconds, ";".join(",".join(str(number(c)) for c in t) for t in said), flush=True)
"""


class Rival:
    """A decoder in an interpreter of its own, that is asked round by round."""

    def __init__(
        self, python: str, code: str, file: Path, size: Size, width: int, threshold: float | None
    ) -> None:
        limit = 1e4 if threshold is None else threshold
        told = (limit, size.texts, size.steps, size.letters + 1, width, times(size))
        self.process = subprocess.Popen(
            [python, "-c", code, str(file), *map(str, told)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self) -> tuple[float, list[str]]:
        """Seconds of all texts, and what they say."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit("a rival has ended; its message is above")
        seconds, _, said = line.rstrip("\n").partition(" ")
        return float(seconds), said.split(";")


def times(size: Size) -> int:
    """How often a round searches."""
    steps = size.steps * size.texts
    return max(1, min(_STEPS_TIMED // steps, _SYMBOLS_TIMED // (steps * size.letters)))


def ours(logs: Logs, size: Size, width: int, threshold: float | None) -> tuple[float, list[str]]:
    """The same of this library."""
    least = None if threshold is None else _LEAST
    blank, repeats = size.letters, times(size)
    began = perf_counter()
    for _ in range(repeats):
        found = [
            prefix_search(row, blank=blank, width=width, threshold=threshold, least=least)[0]
            for row in logs
        ]
    seconds = (perf_counter() - began) / repeats
    return seconds, [",".join(map(str, text.symbols)) for text in found]


def measured(rivals: Rivals, texts: int) -> tuple[Measurement, dict[str, int]]:
    """Seconds of a text, and of how many texts each rival says what we say."""
    said = {name: rival()[1] for name, rival in rivals.items()}
    own = said["recurra"]
    alike = {n: sum(a == b for a, b in zip(own, other, strict=True)) for n, other in said.items()}
    return measure_rounds(lambda: {n: rival()[0] / texts for n, rival in rivals.items()}), alike


def rivals_of(
    given: argparse.Namespace, place: Path, size: Size, width: int, threshold: float | None
) -> Rivals:
    """Who searches the steps of a size, by name."""
    logs, file = drawn(size), place / "logs"
    file.write_bytes(logs.astype("<f4").tobytes())
    found: Rivals = {"recurra": lambda: ours(logs, size, width, threshold)}
    if given.flashlight:
        found["flashlight-text"] = Rival(
            given.flashlight, _FLASHLIGHT, file, size, width, threshold
        )
    if given.pyctcdecode and size == BASE and threshold is not None:  # seconds a text without one
        found["pyctcdecode"] = Rival(given.pyctcdecode, _PYCTCDECODE, file, size, width, threshold)
    return found


def searches(given: argparse.Namespace, sizes: list[Size]) -> dict[str, dict[str, Any]]:
    """Every width with and without a threshold, of each size."""
    cases = {}
    for size, width, threshold in itertools.product(sizes, WIDTHS, (None, _THRESHOLD)):
        offered = size.letters if threshold is None else min(size.letters, 10)
        if size != BASE and size.steps * size.texts * offered * width * _OF_ONE > _LONGEST:
            continue
        with tempfile.TemporaryDirectory() as place:
            rivals = rivals_of(given, Path(place), size, width, threshold)
            found, alike = measured(rivals, size.texts)
        for rival in rivals.values():
            if isinstance(rival, Rival):
                rival.process.kill()
        name = f"width {width}, {'all' if threshold is None else f'within {threshold:g}'}"
        print(f"{size}; {name}; texts alike: {alike}\n{found}", flush=True)
        cases[name if size == BASE else f"{size}; {name}"] = {"alike": alike, **found.to_json()}
    return cases


def figure(base: dict[str, dict[str, Any]], other: dict[str, dict[str, Any]]) -> str:
    """The milliseconds of the first size, and how many times as fast the others are."""
    told = [
        f"{name}: " + ", ".join(f"{n} {q[1] * 1e3:.2f} ms" for n, q in case["seconds"].items())
        for name, case in base.items()
    ]
    beside = {
        name: case["seconds"]["flashlight-text"][1] / case["seconds"]["recurra"][1]
        for name, case in other.items()
        if "flashlight-text" in case["seconds"]
    }
    if beside:
        least, most = min(beside, key=beside.__getitem__), max(beside, key=beside.__getitem__)
        told.append(
            f"{len(beside)} searches of other sizes: {beside[least]:.1f} ({least}) to "
            f"{beside[most]:.0f} ({most}) times as fast as flashlight-text"
        )
    return "; ".join(told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flashlight", metavar="PYTHON", help="an interpreter that has it")
    parser.add_argument("--pyctcdecode", metavar="PYTHON", help="an interpreter that has it")
    given = parser.parse_args()
    print(machine_in_words())
    base, other = searches(given, [BASE]), searches(given, SIZES)
    cases = base | other
    keep(
        "ctc_decoding",
        {
            "question": f"time of a prefix beam search over {BASE.steps} steps of {BASE.letters} "
            "symbols, and of other sizes",
            "figure": figure(base, other),
            "cases": cases,
        },
        MEASURED,
        seed=0,
        by_kind=True,
        void=any(case["void"] for case in cases.values()),
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
