"""Prefix beam search over the steps of a recognizer, beside flashlight-text and pyctcdecode.

The steps are drawn: texts of 40 letters over 200 steps of 30 symbols and the blank, as sure as a
trained recognizer mostly is, and unsure at one step in five. All search the same steps with the
same width, all symbols at every step and no threshold, and again as their users run them, with a
threshold and few symbols: those above exp(-5), of flashlight-text the best ten. pyctcdecode, which
takes seconds a text without one, has a threshold always. ``--flashlight PYTHON`` and
``--pyctcdecode PYTHON`` name interpreters that have the rivals, which run there, one process each,
and take their own time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from harness import Measurement, keep, machine_in_words, measure_rounds

from recurra.decoding import prefix_search

MEASURED = ["src/recurra/decoding/ctc.py"]
LETTERS, STEPS, LENGTH, TEXTS = 30, 200, 40, 4
WIDTHS = (16, 64)
_THRESHOLD, _LEAST = 15.0, -5.0


def drawn(number: int) -> np.ndarray:
    """Log-probabilities ``[number, steps, letters + 1]``."""
    draw = np.random.default_rng(0)
    scores = draw.normal(0, 1, (number, STEPS, LETTERS + 1))
    scores[:, :, LETTERS] += 8
    for row in scores:
        places = np.sort(draw.choice(STEPS, LENGTH, replace=False))
        row[places, draw.integers(0, LETTERS, LENGTH)] += 12
        unsure = places[draw.random(LENGTH) < 0.2]
        row[unsure, draw.integers(0, LETTERS, len(unsure))] += 11
    return scores - np.logaddexp.reduce(scores, -1, keepdims=True)


_FLASHLIGHT = """
import array, sys, time
from flashlight.lib.text.decoder import CriterionType, LexiconFreeDecoder, ZeroLM
from flashlight.lib.text.decoder import LexiconFreeDecoderOptions
path, texts, steps, size, width, threshold = sys.argv[1], *map(int, sys.argv[2:6]), sys.argv[6]
logs = array.array("f", open(path, "rb").read())
tokens = size if float(threshold) > 100 else 10
options = LexiconFreeDecoderOptions(
    beam_size=width, beam_size_token=tokens, beam_threshold=float(threshold), lm_weight=0.0,
    sil_score=0.0, log_add=True, criterion_type=CriterionType.CTC)
decoder = LexiconFreeDecoder(options, ZeroLM(), -1, size - 1, [])
where, each = logs.buffer_info()[0], steps * size * 4
for line in sys.stdin:
    began, said = time.perf_counter(), []
    for n in range(texts):
        said.append(decoder.decode(where + n * each, steps, size)[0].tokens)
    seconds = time.perf_counter() - began
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
path, texts, steps, size, width, threshold = sys.argv[1], *map(int, sys.argv[2:6]), sys.argv[6]
logs = np.fromfile(path, np.float32).reshape(texts, steps, size)
decoder = build_ctcdecoder([chr(97 + n) if n < 26 else chr(65 + n) for n in range(size - 1)] + [""])
least = -1000.0 if float(threshold) > 100 else -5.0
for line in sys.stdin:
    began = time.perf_counter()
    said = [decoder.decode(row, beam_width=width, beam_prune_logp=-float(threshold),
                           token_min_logp=least) for row in logs]
    seconds = time.perf_counter() - began
    number = lambda c: ord(c) - 97 if c >= "a" else ord(c) - 65
    print(seconds, ";".join(",".join(str(number(c)) for c in t) for t in said), flush=True)
"""


class Rival:
    """A decoder in an interpreter of its own, that is asked round by round."""

    def __init__(self, python: str, code: str, file: Path, width: int, threshold: float) -> None:
        sizes = [str(n) for n in (TEXTS, STEPS, LETTERS + 1, width, threshold)]
        self.process = subprocess.Popen(
            [python, "-c", code, str(file), *sizes],
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


def ours(logs: np.ndarray, width: int, threshold: float | None) -> tuple[float, list[str]]:
    """The same of this library."""
    least = None if threshold is None else _LEAST
    began = perf_counter()
    found = [
        prefix_search(row, blank=LETTERS, width=width, threshold=threshold, least=least)[0]
        for row in logs
    ]
    return perf_counter() - began, [",".join(map(str, text.symbols)) for text in found]


def measured(
    rivals: dict[str, Callable[[], tuple[float, list[str]]]],
) -> tuple[Measurement, dict[str, int]]:
    """Milliseconds of a text, and of how many texts each rival says what we say."""
    said = {name: rival()[1] for name, rival in rivals.items()}
    own = said["recurra"]
    alike = {n: sum(a == b for a, b in zip(own, other, strict=True)) for n, other in said.items()}
    found = measure_rounds(lambda: {name: rival()[0] / TEXTS for name, rival in rivals.items()})
    return found, alike


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flashlight", metavar="PYTHON", help="an interpreter that has it")
    parser.add_argument("--pyctcdecode", metavar="PYTHON", help="an interpreter that has it")
    given = parser.parse_args()
    print(machine_in_words())
    logs, cases, void = drawn(TEXTS), {}, False
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "logs"
        file.write_bytes(logs.astype("<f4").tobytes())
        for width in WIDTHS:
            for threshold in (None, _THRESHOLD):
                limit = 1e4 if threshold is None else threshold
                rivals = {"recurra": lambda w=width, t=threshold: ours(logs, w, t)}
                if given.flashlight:
                    rivals["flashlight-text"] = Rival(
                        given.flashlight, _FLASHLIGHT, file, width, limit
                    )
                if given.pyctcdecode and threshold is not None:  # seconds a text without one
                    rivals["pyctcdecode"] = Rival(
                        given.pyctcdecode, _PYCTCDECODE, file, width, limit
                    )
                found, alike = measured(rivals)
                name = f"width {width}, {'all' if threshold is None else f'within {threshold:g}'}"
                print(f"{name}; of {TEXTS} texts alike: {alike}\n{found}", flush=True)
                cases[name] = {"alike": alike, **found.to_json()}
                void = void or found.void
    figures = (
        f"{name}: " + ", ".join(f"{n} {q[1] * 1e3:.1f} ms" for n, q in case["seconds"].items())
        for name, case in cases.items()
    )
    keep(
        "ctc_decoding",
        {
            "question": f"time of a prefix beam search over {STEPS} steps of {LETTERS} symbols",
            "figure": "; ".join(figures),
            "cases": cases,
        },
        MEASURED,
        seed=0,
        by_instruction_set=True,
        void=void,
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
