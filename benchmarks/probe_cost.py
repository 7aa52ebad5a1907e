"""What it costs to read every gate of an LSTM, beside a plain forward pass and TorchLens.

TorchLens records every operation of torch.nn.LSTMCell in a loop (in torch.nn.LSTM it sees one
operation). It is no part of what this project installs: ``pip install --no-deps --target FOLDER
torchlens``, and ``PYTHONPATH=FOLDER``; without it there is no such line. It comes last: once it is
imported, it wraps torch's functions, and every call of theirs takes longer.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import torch
from harness import Measurement, keep, machine_in_words, measure
from torch import Tensor, nn

import recurra

SIZES = {  # time, rows, inputs, units
    "tiny": (20, 8, 16, 32),
    "small": (50, 16, 64, 128),
    "medium": (100, 32, 128, 256),
    "one row": (400, 1, 64, 256),
}
MEASURED = [
    "runtime/native",
    "src/recurra/engine/changes.py",
    "src/recurra/engine/opened.py",
    "src/recurra/engine/probe.py",
    "src/recurra/engine/run.py",
]


class Loop(nn.Module):
    """torch.nn.LSTMCell, step by step."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(inputs, units)

    def forward(self, x: Tensor) -> Tensor:
        """``[time, batch, inputs]`` to ``[time, batch, units]``."""
        h = c = x.new_zeros(x.shape[1], self.cell.hidden_size)
        found = []
        for now in x:
            h, c = self.cell(now, (h, c))
            found.append(h)
        return torch.stack(found)


def rivals(size: tuple[int, int, int, int]) -> dict[str, Callable[[], object]]:
    """Calls of one size, without gradients."""
    time, rows, inputs, units = size
    x = torch.randn(time, rows, inputs)
    layer = recurra.Recurrent(recurra.LSTMCell(inputs, units)).eval()
    loop = Loop(inputs, units).eval()
    found: dict[str, Callable[[], Any]] = {
        "plain": lambda: layer(x),
        "every gate": lambda: recurra.named_values(layer, x),
        "torch loop": lambda: loop(x),
    }
    return found


def recorded(size: tuple[int, int, int, int]) -> Measurement | None:
    """The loop, and TorchLens at it; None where it is not installed."""
    if not importlib.util.find_spec("torchlens"):
        return None
    time, rows, inputs, units = size
    x, loop = torch.randn(time, rows, inputs), Loop(inputs, units).eval()
    before = measure({"torch loop": lambda: loop(x)})
    import torchlens

    after = measure({"TorchLens": lambda: torchlens.trace(loop, x)})
    return Measurement(before.seconds | after.seconds, before.sgemm + after.sgemm)


def main() -> None:
    """Print a line a size, and keep them."""
    print(machine_in_words())
    sizes, told, void = {}, [], False
    for name, size in SIZES.items():
        calls = rivals(size)
        with torch.no_grad():
            found = measure(calls)
        print(f"{name} {size}\n{found}")
        ratio = found.median("every gate") / found.median("plain")
        line = f"{name} {ratio:.2f}"
        facts = {"size": size, "ratio": ratio, **found.to_json()}
        sizes[name], void = facts, void or found.void
        told.append(line)
    with torch.no_grad():
        found = recorded(SIZES["tiny"])
    if found is not None:
        print(f"tiny {SIZES['tiny']}\n{found}")
        ratio = found.median("TorchLens") / found.median("torch loop")
        sizes["TorchLens, tiny"] = {"size": SIZES["tiny"], "ratio": ratio, **found.to_json()}
        told.append(f"TorchLens, tiny {ratio:.0f} of its own loop")
    figure = f"times a plain pass: {'; '.join(told)}"
    print(figure)
    question = "the time of a pass of which every gate is read, in plain passes; goal at most 3"
    facts = {"question": question, "figure": figure, "sizes": sizes}
    keep("probe_cost", facts, MEASURED, by_kind=True, void=void)


if __name__ == "__main__":
    main()
