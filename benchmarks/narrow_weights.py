"""Weights in fewer bits in a step: how much faster is it, and what does it change of a model?

An LSTM's step of one row, its matrices as they are, in bfloat16 and in 8 bits, beside torch.nn's
cell and torch's own cell with weights of 8 bits (`quantize_dynamic`), all under inference mode and
with the same weights, on as many threads as are asked for. And, of a language model of characters
(trained here, or ``--run``), nats a character over the first 100,000 of the held-out part, and over
each fifth of them: an error that grew with the steps would show in the last.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from findings import Findings
from harness import data, keep, machine_in_words, measure
from rivals import LAYER_CODE, with_weights_of
from torch import nn

import recurra
from recurra import artifact
from recurra_runtime import Session

SEED = 0
WIDTHS = (64, 128, 256, 512, 1024)
STEPS = 200  # of a timed run
# Times as fast as our float32, with instructions for 8 bits (VNNI).
GOALS = {64: None, 128: 2.0, 256: 3.0, 512: 4.0, 1024: None}
OURS = {"recurra": "int8", "bfloat16": "bfloat16", "float32": None}
CHARACTERS, PARTS = 100_000, 5
MODEL: dict[str, Any] = {
    "layers": 2,
    "hidden_size": 256,
    "embedding_size": 128,
    "dropout": 0.2,
    "learning_rate": 0.004,
    "symbols": 2_000_000,
}
MEASURED = [*LAYER_CODE, "runtime/src/recurra_runtime"]


class Cell(nn.Module):
    """A cell that carries its state, as `quantize_dynamic` wants it: within a module."""

    def __init__(self, cell: nn.LSTMCell) -> None:
        super().__init__()
        self.cell = cell
        self.state: Any = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The next output."""
        self.state = self.cell(x, self.state)
        return self.state[0]


def rivals_of(width: int, threads: int) -> dict[str, Callable[[], object]]:
    """A few steps of each."""
    torch.manual_seed(SEED)
    own = recurra.LSTMCell(width, width)
    program = recurra.Recurrent(own).eval().frozen().program
    plain = Cell(with_weights_of(own, nn.LSTMCell(width, width))).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch will move it to another package
        narrow = torch.ao.quantization.quantize_dynamic(plain, {nn.LSTMCell}, dtype=torch.qint8)
    xs = np.random.default_rng(SEED).standard_normal((STEPS, 1, width)).astype(np.float32)

    def running(step: Callable[[Any], object], reads: list[Any]) -> Callable[[], object]:
        def work() -> None:
            with torch.inference_mode():
                for x in reads:
                    step(x)

        return work

    tensors = list(torch.from_numpy(xs))
    made = {
        name: running(Session(program, threads=threads, weights=weights).step, list(xs))
        for name, weights in OURS.items()
    }
    made |= {"torch.nn": running(plain, tensors), "torch int8": running(narrow, tensors)}
    return made


def nats_of(model: Any, ids: np.ndarray, weights: str | None) -> np.ndarray:
    """Nats of each symbol after the ones before it, in one stream."""
    session = model.frozen(weights=weights)
    found = np.empty(len(ids) - 1)
    for step, (here, then) in enumerate(itertools.pairwise(ids)):
        found[step] = -session.step(here.reshape(1))[0, then]
    return found


def quality(run: Path | None) -> dict[str, Any]:
    """Nats a character by how weights are kept, over all characters and over parts of them."""
    text = data("tinyshakespeare/input.txt")
    if run is None:
        run = Path(tempfile.mkdtemp()) / "run"
        recurra.train("language-model", text, out=run, **MODEL)
    loaded = artifact.load(run)
    held_out = text.read_text()[-round(0.1 * len(text.read_text())) :][:CHARACTERS]
    (vocabulary,) = loaded.fronts.values()
    ids = np.array(vocabulary.encode(held_out), np.int64)
    found: dict[str, Any] = {}
    full = None
    for weights in (None, "bfloat16", "int8"):
        nats = nats_of(loaded.model, ids, weights)
        full = nats if full is None else full
        changes = [float(part.mean()) for part in np.array_split(nats - full, PARTS)]
        name = weights or "float32"
        found[name] = {"nats": float(nats.mean()), "change": float((nats - full).mean())}
        found[name]["change_by_part"] = changes
        told = ", ".join(f"{change:+.5f}" for change in changes)
        print(f"{name}: {nats.mean():.5f} nats a character; change {told}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--run", type=Path, help="a language model of characters, trained")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(machine_in_words())
    found = Findings()
    for width in WIDTHS:
        done = measure(rivals_of(width, given.threads), given.runs)
        goals = {"float32": GOALS[width], "torch.nn": None, "torch int8": None}
        found.add(f"int8 {width}", done, goals)
        found.add(f"bfloat16 {width}", done, {"float32": None}, ours="bfloat16")
    print(found.table())
    kept = quality(given.run)
    change = {name: f"{kept[name]['change']:+.4f}" for name in ("bfloat16", "int8")}
    keep(
        "narrow_weights",
        {
            "question": "one step of an LSTM, one row, weights in 8 bits or in bfloat16, times as "
            "fast as in float32, as a cell of torch.nn, and as torch's cell in 8 bits; and nats a "
            "character that it adds to a language model over 100,000 steps",
            **found.to_json(),
            "figure": f"{found.figure}; nats {change['int8']} in 8 bits, {change['bfloat16']} in "
            "bfloat16",
            "quality": kept,
        },
        MEASURED,
        seed=SEED,
        by_kind=True,
        void=found.void,
    )


if __name__ == "__main__":
    main()
