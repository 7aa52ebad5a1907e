"""Cells on the machine against the plain loop, at the level of this process.

As a module: ``python -m native.levels``; prints the level. RECURRA_ISA chooses it.
"""

from __future__ import annotations

import torch
from engine.random_cells import RandomCell

import recurra
import recurra_runtime
from recurra.states import leaves

TIME, BATCH = 17, 7
LENGTHS = torch.tensor([17, 3, 0, 9, 1, 17, 12])
# In doubles what is summed in another order differs at the 13th digit, in floats at the 5th.
BOUNDS = {torch.float32: 2e-5, torch.float64: 1e-12}


def cells() -> dict[str, recurra.Cell]:
    """What uses products of several widths, reductions, copies and most functions."""
    return {
        "lstm": recurra.LSTMCell(5, 37),
        "gru": recurra.GRUCell(19, 8),
        "norm lstm": recurra.LSTMCell(3, 11, norm="layer"),
        "oscillator": recurra.CoRNNCell(4, 16),
        **{f"random {seed}": RandomCell(seed) for seed in (1, 5, 11)},
    }


def everything(
    cell: recurra.Cell,
    backend: str,
    x: torch.Tensor,
    weight: torch.Tensor,
    options: dict[str, object],
) -> list[torch.Tensor]:
    """Outputs, states and all gradients."""
    x = x.detach().requires_grad_()
    result = recurra.run(cell, x, backend=backend, **options)
    found = [result.outputs, *leaves(result.state)]
    total = (result.outputs * weight).sum() + sum((leaf**2).sum() for leaf in found[1:])
    parameters = [p for p in cell.parameters() if p.requires_grad]
    grads = torch.autograd.grad(total, [x, *parameters], allow_unused=True, materialize_grads=True)
    return [*found, *grads]


def compare(name: str, cell: recurra.Cell) -> None:
    """Whole and ragged rows, both directions, in floats and doubles."""
    for dtype, bound in BOUNDS.items():
        cell.to(dtype)
        x = torch.randn(TIME, BATCH, cell.input_size, dtype=dtype)
        weight = torch.randn(TIME, BATCH, cell.output_size, dtype=dtype)
        for options in ({}, {"lengths": LENGTHS}, {"lengths": LENGTHS, "reverse": True}):
            got = everything(cell, "native", x, weight, options)
            for one, other in zip(got, everything(cell, "loop", x, weight, options), strict=True):
                apart = (one - other).abs().max().item()
                assert apart <= bound * (1 + other.abs().max().item()), (
                    f"{name}, {dtype}, {options}: {apart} apart"
                )


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for name, cell in cells().items():
        compare(name, cell)
    print(recurra_runtime.isa())
