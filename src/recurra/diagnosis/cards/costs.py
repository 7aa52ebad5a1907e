"""What a step of each part of a model costs: multiply-adds, other operations, bytes that move."""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import flop_registry

from recurra.cells.base import Cell
from recurra.engine.torch_internals import DispatchMode
from recurra.layers import Projection, TokenEmbedding
from recurra.states import leaves
from recurra.twins import evaluating, of_zeros

__all__ = ["Cost", "cost_of", "law_of", "remade"]


class Cost(NamedTuple):
    """What one step of one row costs, forward.

    Args:
        multiply_adds: of all products, a multiplication and an addition counted as one.
        elementwise: numbers that other operations compute: sums, gates, activations.
        state: numbers that are carried to the next step.
        moved: numbers that a step of one row reads and writes: its input, output, and the state
            twice. Weights come on top, once a step whatever the rows.
    """

    multiply_adds: int
    elementwise: int
    state: int
    moved: int


class _Counter(DispatchMode):
    """Counts what products multiply, and the numbers that all others but views compute."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = self.elements = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        packet = function.overloadpacket
        if packet in flop_registry:
            self.operations += flop_registry[packet](*args, **(kwargs or {}), out_val=result)
        elif not function.is_view and packet is not _DETACH:
            self.elements += sum(
                value.numel()
                for value in (result if isinstance(result, tuple | list) else (result,))
                if isinstance(value, Tensor)
            )
        return result


_DETACH = torch.ops.aten.detach


def cost_of(part: nn.Module) -> Cost | None:
    """What a step of a part costs; None where it cannot be told.

    A step of a cell is run once, for a single row, and what it calls is counted: so a cell of one's
    own counts as well as any other. It must be able to run without context.
    """
    if isinstance(part, Cell):
        return _of_cell(part)
    if isinstance(part, Projection):
        width, out = part.input_size, part.output_size
        products = sum(p.numel() for p in part.parameters() if p.dim() > 1)
        products += (part.tied_size or 0) * out
        return Cost(products, out, 0, width + out)
    if isinstance(part, nn.Linear):
        into, out = part.in_features, part.out_features
        return Cost(into * out, out * (part.bias is not None), 0, into + out)
    if isinstance(part, TokenEmbedding | nn.Embedding):
        return Cost(0, 0, 0, 2 * int(part.weight.shape[1]))
    return None


def _of_cell(cell: Cell) -> Cost | None:
    example = cell.example_input(1)
    if example is None:
        return None
    state = cell.initial_state(1)
    try:
        counter = _Counter()
        with evaluating(cell), torch.no_grad(), counter:
            y, _ = cell.step(example, state)
    except Exception:  # a step that needs a context, or whatever else a user's cell needs
        return None
    carried = sum(leaf.numel() for leaf in leaves(state))
    read = sum(leaf.numel() for leaf in leaves(example))
    return Cost(counter.operations // 2, counter.elements, carried, read + y.numel() + 2 * carried)


# ---- how it grows --------------------------------------------------------------------------------


def remade(cell: Cell, input_size: int, hidden_size: int) -> Cell | None:
    """A cell of the same kind with other sizes, of zeros; None if its class takes more."""
    with contextlib.suppress(Exception), of_zeros():
        same: Any = type(cell)
        for sizes in ((cell.input_size, cell.hidden_size), (input_size, hidden_size)):
            made = same(*sizes)
            if sizes == (cell.input_size, cell.hidden_size) and not _alike(made, cell):
                return None
        return made if isinstance(made, Cell) else None
    return None


def _alike(one: Cell, other: Cell) -> bool:
    mine, theirs = cost_of(one), cost_of(other)
    held = {name: p.shape for name, p in one.named_parameters()}
    given = {name: p.shape for name, p in other.named_parameters()}
    return mine is not None and mine == theirs and (not given or held == given)


_POINTS = ((2, 3), (3, 2), (5, 4), (4, 7), (7, 5), (6, 11))


def law_of(cell: Cell) -> str:
    """Multiply-adds of a step in letters: ``4*i*h + 4*h*h``; empty if none was found.

    A polynomial of second degree in input size i and hidden size h, found from cells of a few
    sizes, and held against one more and the cell itself.
    """
    counts = []
    for i, h in _POINTS:
        made = remade(cell, i, h)
        cost = made and cost_of(made)
        if cost is None:
            return ""
        counts.append(cost.multiply_adds)

    def terms(i: int, h: int) -> list[int]:
        return [i * h, h * h, i * i, i, h]

    rows = torch.tensor([terms(*point) for point in _POINTS[:5]], dtype=torch.float64)
    asked = torch.tensor(counts[:5], dtype=torch.float64)
    found = torch.linalg.solve(rows, asked).round().long().tolist()
    own = cost_of(cell)
    assert own is not None
    assert cell.input_size is not None
    checked = [(_POINTS[5], counts[5]), ((cell.input_size, cell.hidden_size), own.multiply_adds)]
    for (i, h), count in [*zip(_POINTS, counts, strict=True), *checked]:
        if sum(a * b for a, b in zip(found, terms(i, h), strict=True)) != count:
            return ""
    names = ("i*h", "h*h", "i*i", "i", "h")
    told = [f"{a}*{name}" if a != 1 else name for a, name in zip(found, names, strict=True) if a]
    return " + ".join(told)
