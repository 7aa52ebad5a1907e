"""A step as a map of the state: flat rows in, flat rows and their Jacobians out.

Every real field of the state is flattened in the order of its leaves, each with its last axis
fastest, and they stand side by side: the *units*. Whole numbers and flags have no derivative: they
are *left out*, and stay what they are at that step.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from recurra import states
from recurra.cells.base import Cell
from recurra.diagnosis.checked import CONVERT, check_dtype, check_finite, check_module, check_tree
from recurra.engine import run
from recurra.engine.probe import looking
from recurra.engine.run import running_of
from recurra.errors import SettingError, SettingTypeError, ShapeError, dtype_name, kind_of
from recurra.layers import Layer, Recurrent
from recurra.layers.dropin_base import RNNBase
from recurra.lengths import check_lengths, common_sizes, valid_mask
from recurra.settings import check_size
from recurra.states import Tree, map_tree
from recurra.twins import evaluating

__all__ = ["Path", "Rows", "StepMap", "check_memory", "mapping"]

Step = Callable[[Tree, Tree, Tree], Tree]
_CHUNK = 1 << 26  # bytes that one backward pass may take, about
_PER_UNIT = 32  # numbers that a step keeps for each unit of a row, about
_WIDE = (
    2048  # rows of a pass beyond which more of them gain nothing; measured for 16 to 1,024 units
)


class Rows(NamedTuple):
    """What a step reads beside the units.

    Args:
        x: the input, leaves ``[rows, ...]``.
        state: whole, of which the fields that are left out are read; leaves ``[rows, ...]``.
        context: as the cell takes it, leaves ``[batch, ...]``, or None.
        place: which row of the context each reads, ``[rows]``: it may be large, and is copied for
            those rows alone that run at a time.
    """

    x: Tree
    state: Tree
    context: Tree
    place: Tensor

    def at(self, index: Tensor) -> Rows:
        """These rows, or one of them several times."""
        x, state = (states.select_rows(tree, index) for tree in (self.x, self.state))
        return Rows(x, state, self.context, self.place[index])

    @property
    def bytes(self) -> int:
        """What one row takes."""
        parts = [
            leaf for tree in (self.x, self.state, self.context) for leaf in states.leaves(tree)
        ]
        return sum(leaf[:1].numel() * leaf.element_size() for leaf in parts)


class Path(NamedTuple):
    """States along a path, of the steps that belong to their rows alone.

    Args:
        units: before each step, ``[steps, units]``.
        rows: what the steps read.
        valid: bool ``[time, batch]``, where the steps stand.
    """

    units: Tensor
    rows: Rows
    valid: Tensor


class StepMap:
    r"""A step of a cell, or of a layer in evaluation, as a map of its units.

    .. math:: s_{t+1} = F(s_t, x_t)

    Args:
        step: x, state and context to the next state; row-wise.
        initial: the initial state of so many rows.
        example: one step's x of one row, or None if that is not known.
        cell: that the engine can run through time; None for a layer of several.
        takes_context: whether a cell in it reads one.
        name: for messages.
        dtype: in which it computes; None where it has no weights, and takes that of its inputs.
        device: of its weights, or None.
    """

    def __init__(
        self,
        step: Step,
        initial: Callable[[int], Tree],
        example: Tree,
        cell: Cell | None,
        takes_context: bool,
        name: str,
        dtype: torch.dtype | None,
        device: torch.device | None,
    ) -> None:
        self._step, self._initial, self.example = step, initial, example
        self.cell, self.name, self._device = cell, name, device
        self.takes_context = takes_context
        self._given, self.dtype = dtype, dtype or torch.get_default_dtype()
        paths = list(states.paths(initial(1)))
        if odd := [path for path, leaf in paths if leaf.is_complex()]:
            raise SettingError(f"state of {name}{odd[0]}: expected real numbers, got complex ones.")
        named = [(path.removeprefix(".") or "state", leaf) for path, leaf in paths]
        self._real = [leaf.is_floating_point() for _, leaf in named]
        self._shapes = [leaf.shape[1:] for _, leaf in named if leaf.is_floating_point()]
        self.left_out = tuple(path for path, leaf in named if not leaf.is_floating_point())
        self.units = tuple(
            f"{path}[{','.join(map(str, place))}]"
            for path, leaf in named
            if leaf.is_floating_point()
            for place in product(*map(range, leaf.shape[1:]))
        )

    @property
    def size(self) -> int:
        """Number of units."""
        return len(self.units)

    def initial(self, batch: int) -> Tree:
        """The initial state, as it is computed with."""
        return self.cast(self._initial(batch))

    def cast(self, tree: Tree) -> Tree:
        """A tree in the precision, and on the device, of the step."""

        def change(leaf: Tensor) -> Tensor:
            leaf = leaf.clone() if leaf.is_inference() else leaf.detach()
            return leaf.to(self._device, self.dtype if leaf.is_floating_point() else None)

        return map_tree(change, tree)

    def flat(self, state: Tree, lead: int = 1) -> Tensor:
        """A state tree with ``lead`` axes before its fields as units, ``[..., units]``."""
        parts = [
            leaf.flatten(lead) if leaf.dim() > lead else leaf.unsqueeze(-1)
            for leaf, real in zip(states.leaves(state), self._real, strict=True)
            if real
        ]
        return torch.cat(parts, -1)

    def tree(self, units: Tensor, like: Tree) -> Tree:
        """Units ``[rows, units]`` as a state tree; what is left out is taken from ``like``."""
        parts = iter(torch.split(units, [shape.numel() for shape in self._shapes], -1))
        shapes = iter(self._shapes)
        found = [
            next(parts).reshape(-1, *next(shapes)) if real else leaf
            for leaf, real in zip(states.leaves(like), self._real, strict=True)
        ]
        return states.with_leaves(like, found)

    def next(self, units: Tensor, rows: Rows) -> Tensor:
        """F, ``[rows, units]`` to ``[rows, units]``."""
        context = states.select_rows(rows.context, rows.place)
        return self.flat(self._step(rows.x, self.tree(units, rows.state), context))

    def jacobian(self, units: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """F and dF/ds: ``[rows, units]``, and ``[rows, units, units]`` with F's unit first.

        A step never mixes rows, so one backward pass gives a row of the Jacobians of all. Where
        there are few rows, several copies of each ask for a unit of their own at a time. So no rule
        for batched gradients is needed, and any operation will do. Rows go through in chunks of
        bounded memory.
        """
        count, size = units.shape
        found, jacobian = torch.empty_like(units), units.new_empty(count, size, size)
        each = units.element_size() * _PER_UNIT * max(size, 1) + 2 * rows.bytes
        most = max(1, _CHUNK // each)
        for start in range(0, count, most):
            part = torch.arange(start, min(start + most, count), device=units.device)
            copies = max(1, min(size, most // len(part), _WIDE // len(part)))
            copied = part.repeat_interleave(copies)
            at = units.detach().index_select(0, copied).requires_grad_()
            with torch.enable_grad():
                after = self.next(at, rows.at(copied))
            found[part] = after.detach()[::copies]
            for unit in range(0, size, copies):
                asked = min(copies, size - unit)
                grad = _of_units(after, at, unit, copies).view(len(part), copies, size)
                jacobian[part, unit : unit + asked] = grad[:, :asked]
        return found, jacobian

    def path(self, inputs: Tree, state: Tree, lengths: Any, context: Tree) -> Path:
        """The states that a sequence visits; padding is never read.

        Raises:
            ShapeError: something does not fit; the message names it.
        """
        check_tree(f"inputs of {self.name}", inputs)
        check_tree(f"state of {self.name}", state), check_tree(f"context of {self.name}", context)
        time, batch = common_sizes(inputs, f"inputs of {self.name}")
        if self._given is None:
            real = [leaf.dtype for leaf in states.leaves(inputs) if leaf.is_floating_point()]
            self.dtype = real[0] if real else self.dtype
        inputs, context = self.cast(inputs), self.cast(context)
        valid = torch.ones(time, batch, dtype=torch.bool, device=states.first(inputs).device)
        if lengths is not None:
            lengths = check_lengths(lengths, time, batch, valid.device)
            valid = valid_mask(lengths, time)
        check_finite(f"inputs of {self.name}", inputs, valid, nan=True)
        begin = self.initial(batch)
        if state is not None:
            states.match(state, begin, what=f"state of {self.name}")
            check_finite(f"state of {self.name}", state)
            begin = states.with_leaves(begin, states.leaves(self.cast(state)))
        with torch.no_grad():
            before = self._through(inputs, begin, lengths, context, valid)
        if not all(bool(leaf[valid].isfinite().all()) for leaf in states.leaves(before)):
            check_finite(f"inputs of {self.name}", inputs, valid)  # what is missing may be NaN
        x, at = (map_tree(lambda leaf: leaf[valid], tree) for tree in (inputs, before))
        place = torch.arange(batch, device=valid.device).expand(time, batch)[valid]
        return Path(self.flat(at), Rows(x, at, context, place), valid)

    def _through(
        self, inputs: Tree, begin: Tree, lengths: Any, context: Tree, valid: Tensor
    ) -> Tree:
        """The state before every step, leaves ``[time, batch, ...]``."""
        if not valid.shape[0]:
            return map_tree(lambda leaf: leaf.new_zeros(0, *leaf.shape), begin)
        if self.cell is not None:
            kept = run(
                self.cell, inputs, begin, lengths=lengths, context=context, return_states=True
            ).states
            return map_tree(lambda a, b: torch.cat([a.unsqueeze(0), b[:-1]]), begin, kept)
        before, now = [], begin
        for step, alive in enumerate(valid):
            before.append(now)
            index = alive.nonzero()[:, 0]
            if len(index):
                x = map_tree(lambda leaf, t=step: leaf[t], inputs)
                some = (states.select_rows(tree, index) for tree in (x, now, context))
                new = self._step(*some)
                now = map_tree(lambda old, part, at=index: old.index_copy(0, at, part), now, new)
        return states.stack(before)


def _of_units(after: Tensor, at: Tensor, first: int, copies: int) -> Tensor:
    """The gradient of each row's own unit of F: its first copy asks for ``first``, and so on."""
    size = after.shape[1]
    if not after.requires_grad:
        return torch.zeros_like(at)
    asked = (first + torch.arange(copies, device=at.device)).clamp(max=size - 1)
    one = torch.zeros_like(after).scatter_(1, asked.repeat(len(at) // copies)[:, None], 1.0)
    (grad,) = torch.autograd.grad(after, at, one, retain_graph=True, allow_unused=True)
    return torch.zeros_like(at) if grad is None else grad


@contextmanager
def mapping(module: Any, dtype: torch.dtype | None = None) -> Iterator[StepMap]:
    """The step of a cell or layer, in evaluation, while the block runs.

    Args:
        module: a cell, a layer that runs forward, or a model that holds one of these.
        dtype: the precision to compute in, for which the module is copied; its own if None.

    Raises:
        SettingError: none of these, a layer that reads from the end, a precision of less than
            float32, or a call inside of :func:`recurra.changing`.
    """
    check_module("cell", module, error=SettingTypeError)
    check_dtype(dtype)
    if looking():
        raise SettingError(
            "dynamics: a step is called by itself here, which recurra.changing and named_values do "
            "not reach. Call this outside of them; what is to be changed belongs into the cell."
        )
    part = _recurrence(module)
    like = next((p for p in part.parameters() if p.is_floating_point()), None)
    kind = dtype if like is None else dtype or like.dtype
    if kind not in (None, torch.float32, torch.float64):
        raise SettingError(
            f"dtype: expected float32 or float64, got {dtype_name(kind)}. A cell of shorter "
            "numbers is copied if dtype=torch.float32 is given."
        )
    if like is not None and like.dtype != kind:
        part = copy.deepcopy(part).to(kind)
    with torch.inference_mode(False), evaluating(part), torch.no_grad():
        yield _mapped(part, kind, None if like is None else like.device)


def _recurrence(module: nn.Module) -> nn.Module:
    """The only recurrence that a module is, or holds."""
    found: dict[str, nn.Module] = {}
    for name, part in module.named_modules():
        inside = any(name.startswith(f"{outer}.") or not outer for outer in found)
        if isinstance(part, Cell | Layer | RNNBase | nn.RNNBase) and not inside:
            found[name] = part
    if len(found) != 1:
        told = ", ".join(found) or "none"
        raise SettingError(
            f"cell: expected one recurrence inside, got {told} in a {type(module).__name__}. Pass "
            f"the cell or layer itself, with what it reads. {CONVERT}"
        )
    part = next(iter(found.values()))
    if isinstance(part, nn.RNNBase):
        raise SettingError(
            f"cell: expected a layer of recurra, got {kind_of(part)}; recurra.convert(model) makes "
            "it one."
        )
    if not getattr(part, "causal", True) or getattr(part, "bidirectional", False):
        raise SettingError(
            f"cell: expected a recurrence that runs forward, got a {type(part).__name__} that "
            "reads from the end. Pass one direction's cell."
        )
    return part


def _mapped(part: nn.Module, dtype: torch.dtype | None, device: torch.device | None) -> StepMap:
    part = part.cell if isinstance(part, Recurrent) else part
    cells = _cells(part)
    initial: Callable[[int], Tree]
    if len(cells) == 1:
        (cell,) = cells
        step, initial, example = _of_cell(cell), cell.initial_state, cell.example_input(1)
    elif cells:
        step, example = _of_cells(cells), cells[0].example_input(1)

        def initial(batch: int) -> Tree:
            return tuple(cell.initial_state(batch) for cell in cells)

    else:
        layer = cast(Layer, part)
        step, initial = _of_layer(layer), layer.initial_state
        bottom = next((cell for cell in layer.modules() if isinstance(cell, Cell)), None)
        example = None if bottom is None else bottom.example_input(1)
    return StepMap(
        step,
        initial,
        example,
        cells[0] if len(cells) == 1 else None,
        any(isinstance(own, Cell) and own.takes_context for own in part.modules()),
        type(cells[0] if len(cells) == 1 else part).__name__,
        dtype,
        device,
    )


def _cells(part: nn.Module) -> list[Cell]:
    """Cells above each other, whose steps are called; none of a layer that knows its own way."""
    if isinstance(part, Cell):
        return [running_of(part, None)]
    return part.running_cells() if isinstance(part, RNNBase) else []


def _of_cell(cell: Cell) -> Step:
    def step(x: Tree, state: Tree, context: Tree) -> Tree:
        return cell.step(x, state, context if cell.takes_context else None)[1]

    return step


def _of_cells(cells: list[Cell]) -> Step:
    def step(x: Tree, state: Tree, context: Tree) -> Tree:
        ends = []
        for cell, own in zip(cells, state, strict=True):
            x, end = cell.step(x, own)
            ends.append(end)
        return tuple(ends)

    return step


def _of_layer(layer: Layer) -> Step:
    def step(x: Tree, state: Tree, context: Tree) -> Tree:
        one = map_tree(lambda leaf: leaf.unsqueeze(0), x)
        return layer.through_time(one, None, state, context).state

    return step


def check_memory(needed: int, memory: int, what: str, advice: str) -> None:
    """Refuse what would not fit.

    Raises:
        ShapeError: more bytes than are granted.
    """
    if needed > check_size("memory", memory):
        raise ShapeError(
            f"{what}: {needed / 2**30:.3g} GiB, expected at most memory={memory / 2**30:.3g} GiB. "
            f"{advice}"
        )
