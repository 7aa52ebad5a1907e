"""What rivals of layers have in common: sizes, the same weights, and a pass of training."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

import recurra

# Rows, steps, width of x, width of h.
SIZES = {
    "tiny": (8, 50, 16, 32),
    "small": (16, 100, 64, 64),
    "medium": (32, 100, 128, 256),
    "large": (64, 100, 512, 512),
    "one": (1, 200, 128, 128),
}
# Several passes are one timed run, so that what a rival leaves in the caches counts little.
PASSES = {"tiny": 40, "small": 10, "one": 10}
LAYER_CODE = ["src/recurra/engine", "src/recurra/layers", "src/recurra/cells", "runtime/native"]


def in_words(*names: str) -> str:
    """Sizes as a question tells them."""
    told = "; ".join(f"{name} {', '.join(map(str, SIZES[name]))}" for name in names or SIZES)
    return f"(rows, steps, width of x, of h: {told})"


def weights_of(cell: recurra.Cell) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights as torch.nn names them: of the input, recurrent, and two biases."""
    form = cell.torch_form()
    assert form is not None
    assert form.biases is not None
    return (form.input_weight, form.recurrent_weight, *form.biases)


def with_weights_of(cells: recurra.Cell | Sequence[recurra.Cell], rival: nn.Module) -> nn.Module:
    """torch.nn's layer or cell with the weights of ours, one direction behind the other."""
    cells = [cells] if isinstance(cells, recurra.Cell) else cells
    given = [weight for cell in cells for weight in weights_of(cell)]
    with torch.no_grad():
        for own, weight in zip(rival.parameters(), given, strict=True):
            own.copy_(weight)
    return rival


def trained(
    run: Callable[[], Tensor], read: Iterable[Tensor], gradient: Tensor, passes: int = 1
) -> Callable[[], tuple[Tensor, ...]]:
    """Training without an optimizer: forward, and backward to all that is read, some times.

    Args:
        run: gives outputs.
        read: inputs and weights; what is called gives their gradients.
        gradient: of the outputs.
        passes: how often.
    """
    read = list(read)

    def work() -> tuple[Tensor, ...]:
        for _ in range(passes):
            found = torch.autograd.grad(run(), read, gradient)
        return found

    return work


def must_agree(
    what: str, ours: Iterable[Tensor], theirs: Iterable[Tensor], tolerance: float = 1e-4
) -> None:
    """Ends the benchmark where two rivals do not compute the same.

    Args:
        what: is compared, for the message.
        ours: numbers of one.
        theirs: of the other, in the same order; of the longer one the rest is not looked at.
        tolerance: the largest difference, as a share of the largest number.
    """
    for place, (a, b) in enumerate(zip(ours, theirs, strict=False)):
        if a.shape != b.shape:
            sys.exit(f"{what}, {place}: shapes differ, {list(a.shape)} and {list(b.shape)}")
        off = float(((a - b).abs().max() / b.abs().max().clamp(min=1e-30)).detach())
        if not off <= tolerance:
            sys.exit(f"{what}, {place}: results differ by {off:.1e}, expected {tolerance:.0e}")
