"""How time and memory of recurrent layers grow: the law beside the slope that is measured."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from recurra.cells.base import Cell
from recurra.diagnosis.cards.costs import remade
from recurra.layers import GRU, LSTM, Bidirectional, Layer, Recurrent, Stack
from recurra.states import leaves
from recurra.twins import in_mode

__all__ = ["Growth", "growths", "kept_bytes", "resized", "slope"]

_FACTORS = (1, 2, 4)
_REPEATS, _ENOUGH = (3, 20), 0.1  # times, at least and at most, and seconds after which to stop
_DROPIN = ("num_layers", "bias", "batch_first", "dropout", "bidirectional", "backend")
_LEAST, _LONGEST = 0.004, 128  # seconds of the smallest pass, and its most steps
Sizes = Mapping[str, int]
Remake = Callable[[int, int], nn.Module | None]


class Growth(NamedTuple):
    """How something grows with one size while the others stay.

    Args:
        what: ``"time"`` of a forward and a backward pass, or ``"memory"`` kept between the two.
        by: the size: T steps, B rows, H units, I numbers that are read.
        law: the exponent that the formulas come near to for large sizes.
        slope: measured on logarithmic axes; None where it could not be measured.
        points: size and what was measured: seconds or bytes.
        note: why it could not be measured; empty if it was.
    """

    what: str
    by: str
    law: float
    slope: float | None
    points: tuple[tuple[int, float], ...] = ()
    note: str = ""


def slope(points: Iterable[tuple[float, float]]) -> float:
    """Of the straight line through points on logarithmic axes, by least squares."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    across = sum(x for x, _ in logs) / len(logs)
    up = sum(y for _, y in logs) / len(logs)
    spread = sum((x - across) ** 2 for x, _ in logs)
    return sum((x - across) * (y - up) for x, y in logs) / spread


def kept_bytes(layer: nn.Module, inputs: Tensor) -> int:
    """Memory that is kept between a forward pass and its gradient, beside inputs and parameters.

    Each piece counts once; a result that is kept counts, as it stays in any case.

    Args:
        layer: gives outputs, alone or first in a tuple.
        inputs: ``[time, batch, ...]``.
    """
    known = {t.untyped_storage().data_ptr() for t in (inputs, *layer.parameters())}
    found: dict[int, int] = {}
    alive: list[Tensor] = []  # an address must not be given again meanwhile

    def pack(tensor: Tensor) -> Tensor:
        memory = tensor.untyped_storage()
        alive.append(tensor)
        found[memory.data_ptr()] = memory.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        layer(inputs)
    return sum(size for address, size in found.items() if address not in known)


def growths(
    layer: nn.Module, sizes: Sizes, remake: Remake | None = None
) -> tuple[tuple[Growth, ...], float]:
    """Measure how a layer's time and memory grow, in training mode without changing it.

    Args:
        layer: reads ``[time, batch, input_size]``.
        sizes: the smallest T, B, H and I.
        remake: makes the same layer of other input and hidden sizes; None where it cannot be made.

    Returns:
        a row for each of time and memory by each of T, B, I and H, and bytes kept for a row and
        step at the sizes given.
    """
    with torch.random.fork_rng(devices=[]), in_mode(layer, training=True):
        return _growths(layer, sizes, remake)


def _growths(
    layer: nn.Module, sizes: Sizes, remake: Remake | None
) -> tuple[tuple[Growth, ...], float]:
    found: list[Growth] = []
    base = _measured(layer, sizes["T"], sizes["B"], sizes["I"])
    while base[0] < _LEAST and sizes["T"] < _LONGEST:  # else what a call costs is measured
        sizes = {**sizes, "T": 2 * sizes["T"], "B": 2 * sizes["B"]}
        base = _measured(layer, sizes["T"], sizes["B"], sizes["I"])
    for by in "TB":
        times, kept = [(sizes[by], base[0])], [(sizes[by], base[1])]
        for factor in _FACTORS[1:]:
            larger = {**sizes, by: factor * sizes[by]}
            seconds, memory = _measured(layer, larger["T"], larger["B"], larger["I"])
            times.append((larger[by], seconds))
            kept.append((larger[by], memory))
        found += [_growth("time", by, 1.0, times), _growth("memory", by, 1.0, kept)]
    for by in "IH":
        found += _by_width(layer, sizes, by, remake)
    return tuple(found), base[1] / (sizes["T"] * sizes["B"])


def _by_width(layer: nn.Module, sizes: Sizes, by: str, remake: Remake | None) -> list[Growth]:
    # Of an input twice as wide the products of the lowest layer grow; what is kept does not.
    laws = {"time": 1.0 if by == "I" else 2.0, "memory": 0.0 if by == "I" else 1.0}
    times, kept = [], []
    for factor in _FACTORS[: 2 if by == "I" else 3]:
        width = {**sizes, by: factor * sizes[by]}
        made = remake(width["I"], width["H"]) if remake else None
        if made is None:
            why = "its layers cannot be made in other sizes here; give remake="
            return [Growth(what, by, law, None, (), why) for what, law in laws.items()]
        seconds, memory = _measured(made, sizes["T"], sizes["B"], width["I"])
        times.append((width[by], seconds))
        kept.append((width[by], memory))
    return [_growth("time", by, laws["time"], times), _growth("memory", by, laws["memory"], kept)]


def _growth(what: str, by: str, law: float, points: Sequence[tuple[int, float]]) -> Growth:
    if any(value <= 0 for _, value in points):
        return Growth(what, by, law, None, tuple(points), "nothing was kept")
    return Growth(what, by, law, slope(points), tuple(points))


def _measured(layer: nn.Module, time_: int, batch: int, width: int) -> tuple[float, float]:
    """The least seconds of a forward and a backward pass, and bytes kept between them."""
    like = next(layer.parameters())
    draw = torch.Generator().manual_seed(0)
    inputs = torch.randn(time_, batch, width, generator=draw).to(like)
    if getattr(layer, "batch_first", False):
        inputs = inputs.transpose(0, 1)
    inputs = inputs.requires_grad_()
    parameters = [p for p in layer.parameters() if p.requires_grad]
    taken: list[float] = []
    with torch.enable_grad():
        while len(taken) <= _REPEATS[0] or (
            sum(taken[1:]) < _ENOUGH and len(taken) <= _REPEATS[1]
        ):  # the first one compiles
            _wait(like)
            began = time.perf_counter()
            total = sum(_total(leaf) for leaf in leaves(_outputs(layer(inputs))))
            assert isinstance(total, Tensor)
            torch.autograd.grad(total, [inputs, *parameters], allow_unused=True)
            _wait(like)
            taken.append(time.perf_counter() - began)
        memory = kept_bytes(layer, inputs)
    return min(taken[1:]), float(memory)


def _outputs(result: object) -> Tensor:
    found = result[0] if isinstance(result, tuple) else result
    assert isinstance(found, Tensor)
    return found


def _total(leaf: Tensor) -> Tensor:
    return leaf.float().pow(2).sum()


def _wait(like: Tensor) -> None:
    if like.is_cuda:
        torch.cuda.synchronize(like.device)


# ---- the same layers in other sizes --------------------------------------------------------------


def resized(layer: nn.Module, input_size: int, hidden_size: int) -> nn.Module | None:
    """The same layers with every width scaled; None where a part takes more than its sizes.

    Args:
        layer: Recurrent, Bidirectional, or a Stack of them.
        input_size: that the lowest reads.
        hidden_size: of every cell.
    """
    if isinstance(layer, Stack):
        made: list[Layer] = []
        for part in layer.layers:
            into = made[-1].output_size if made else input_size
            one = resized(part, into, hidden_size)
            if not isinstance(one, Layer):
                return None
            made.append(one)
        return Stack(made, dropout=layer.dropout, residual=layer.residual, held=layer.held)
    if isinstance(layer, Bidirectional):
        cells = [_cell(cell, input_size, hidden_size) for cell in _directions(layer)]
        if None in cells:
            return None
        return Bidirectional(cells[0], cells[1], merge=layer.merge)  # type: ignore[arg-type]
    if isinstance(layer, Recurrent):
        cell = _cell(layer.cell, input_size, hidden_size)
        return cell and Recurrent(
            cell,
            reverse=layer.reverse,
            backend=layer.backend,
            checkpoint_every=layer.checkpoint_every,
        )
    if type(layer) in (GRU, LSTM) and not layer.proj_size:
        same: Any = {name: getattr(layer, name) for name in _DROPIN}
        dropin: nn.Module = type(layer)(input_size, hidden_size, **same)
        return dropin.to(next(layer.parameters()))
    return None


def _directions(layer: Bidirectional) -> list[Cell]:
    return [layer.forward_layer.cell, layer.backward_layer.cell]


def _cell(cell: Cell, input_size: int, hidden_size: int) -> Cell | None:
    if remade(cell, input_size, hidden_size) is None:
        return None
    made: Cell = type(cell)(input_size, hidden_size)
    like = cell.typical()
    return made if like is None else made.to(like)
