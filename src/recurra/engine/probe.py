"""The doors into a run: its named values read with one call, or moved on their way."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import Tensor, nn

from recurra.cells.base import AROUND, MOVING, Cell, Noise, cells_of, in_a_run
from recurra.columns import aligned
from recurra.engine.call import Call, Run
from recurra.engine.changes import Change, joined
from recurra.engine.keys import Key
from recurra.engine.opened import (
    Moved,
    Opened,
    OpenedState,
    named_in_example,
    opened_call,
    taken_apart,
)
from recurra.errors import SettingError, SettingTypeError, kind_of, nearest
from recurra.labels import collecting, named
from recurra.settings import check_flag
from recurra.states import Tree, first, map_tree

__all__ = [
    "NamedValues",
    "changing",
    "looked_at",
    "looking",
    "named_values",
    "reading",
]


@dataclasses.dataclass
class _Look:
    """What somebody wants of the runs of a thread.

    Args:
        found: where values go, with their cells; None where nobody reads.
        changes: by place and label, or by label alone.
        places: where the cells stand that are changed.
        runs: how often each of them has run.
        met: keys that could have been meant.
        used: keys that were.
    """

    found: list[tuple[Cell, dict[str, Tensor]]] | None = None
    changes: Mapping[str, Change] = dataclasses.field(default_factory=dict)
    places: Mapping[int, str] = dataclasses.field(default_factory=dict)
    runs: dict[int, int] = dataclasses.field(default_factory=dict)
    met: set[str] = dataclasses.field(default_factory=set)
    used: set[str] = dataclasses.field(default_factory=set)

    def of(self, cell: Cell, labels: Mapping[str, Tensor]) -> dict[str, Change]:
        """The changes of a run of a cell that begins, by label."""
        if not self.changes or id(cell) not in self.places:
            return {}
        chosen = {}
        run = self.runs[id(cell)] = self.runs.get(id(cell), 0) + 1
        for label in labels:
            key = Key(self.places[id(cell)], label)
            self.met.add(str(key))
            for name in (label, str(key), str(key._replace(run=run))):  # what says more wins
                if name in self.changes:
                    chosen[label] = self.changes[name]
                    self.used.add(name)
        return chosen


_OF_TORCH = (nn.RNNBase, nn.RNNCellBase)

# Of each thread and each asyncio task its own, the outermost first.
_LOOKS: ContextVar[tuple[_Look, ...]] = ContextVar("looks", default=())


def looking() -> bool:
    """Whether somebody looks into the runs of this thread or task."""
    return bool(_LOOKS.get())


def looked_at(cell: Cell, running: Cell, call: Call, run: Callable[[Cell, Call, bool], Run]) -> Run:
    """A run that somebody looks into.

    Args:
        cell: that was asked for.
        running: itself, or a twin of it over other tensors.
        call: checked.
        run: runs it by the backend that fits, or, if its last argument is True, by ``loop``: in
            it are runs inside of a step, which a recording does not have.
    """
    with in_a_run():
        labels, moves, nested = _moves(cell, running, call)
        result = run(*opened_call(running, call, labels, moves), nested)
    result, named = taken_apart(result, call, labels)
    looks = reversed(_LOOKS.get())
    reading = next((look.found for look in looks if look.found is not None), None)
    if reading is not None:
        reading.append((cell, named))
    return result


def _moves(
    cell: Cell, running: Cell, call: Call
) -> tuple[dict[str, Tensor], dict[str, Moved], bool]:
    """What a step names, how its values are moved, and whether there are runs inside of it."""
    looks, inside = _LOOKS.get(), _Look([])
    token = _LOOKS.set((inside,))
    try:
        labels, parts = named_in_example(running, call)
    finally:
        _LOOKS.reset(token)
    moves: dict[str, Moved] = {}
    for look in looks:
        for label, change in look.of(cell, parts).items():
            move = change.of(call.time, call.batch, parts[label], f"changes: {label!r}")
            moves[label] = joined(moves.get(label), move)
    return labels, moves, bool(inside.found)


def _alone(cell: Cell, x: Tree, state: Tree, context: Tree, noise: Noise | None) -> Any:
    """A cell that is called by itself while somebody moves values: a run of one step."""
    with in_a_run():  # the steps of its parts are parts of it
        if not any(id(cell) in look.places for look in _LOOKS.get()):
            return cell.step(x, state, context, noise)
        drawn = noise and Noise(_one_step(noise.step), noise.held)
        call = Call(_one_step(x), state, context=context, noise=drawn, initial=state)
        call = call._replace(time=1, batch=first(state).shape[0])
        labels, moves, _ = _moves(cell, cell, call)
        now = tuple((scale[0], shift[0]) for scale, shift in moves.values())
        opened = Opened(cell, list(labels), list(moves))
        y, new = opened.step((x, now), OpenedState(state, ()), context, noise)
    for label, value in zip(labels, new.seen, strict=True):
        named(label, value)  # to those who read
    return y, new.own


def _one_step(tree: Any) -> Any:
    return map_tree(lambda leaf: leaf.unsqueeze(0), tree)


class NamedValues(Mapping[str, Tensor]):
    """The values that the cells of a module named during one call; ``print`` shows a table.

    A key is ``"layers.0.cell: forget gate"``: where the cell stands in the module, then the label;
    where a step was called by itself, as ``cell(x)`` does, the label alone, and there the value is
    ``[batch, ...]``. A cell that ran more than once is told apart by a number: ``"cell (2): forget
    gate"``. A label that only one cell has is enough by itself.

    Args:
        values: the values by their keys.
        result: what the call returned.
    """

    def __init__(self, values: Mapping[str, Tensor], result: Any) -> None:
        self._values = dict(values)
        self.result = result

    def __getitem__(self, key: str) -> Tensor:
        """``[time, batch, ...]``, zero at padded steps; a part of the graph of the call.

        Raises:
            SettingError: no such value, or one that several cells have.
        """
        if key in self._values:
            return self._values[key]
        ends = self._ends(key)
        if len(ends) == 1:
            return self._values[ends[0]]
        if ends:
            raise SettingError(f"named values: {key!r} is in several cells: {', '.join(ends)}")
        raise SettingError(f"named values: no {key!r}; {nearest(key, self._values)}")

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key or of a label that one cell has, or ``default``."""
        try:
            return self[key]
        except SettingError:
            return default

    def __contains__(self, key: object) -> bool:
        return key in self._values or len(self._ends(key)) == 1

    def _ends(self, label: object) -> list[str]:
        """Keys of values with a label."""
        return [key for key in self._values if Key.of(key).label == label]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("value", "shape", "least", "mean", "most")]
        for key, tensor in self._values.items():
            shape = "x".join(str(size) for size in tensor.shape)
            value = tensor.detach().double()
            some = [value.min(), value.mean(), value.max()] if value.numel() else []
            rows.append((key, shape, *(f"{float(n):.4g}" for n in some), *("",) * (3 - len(some))))
        return aligned(rows, right=(2, 3, 4))


def named_values(call: Callable[..., Any], *args: Any, **kwargs: Any) -> NamedValues:
    """Call a layer or model and read what its cells named: gates, candidates, pre-activations.

    ::

        seen = recurra.named_values(layer, inputs, lengths=lengths)
        seen["forget gate"]  # [time, batch, hidden_size], zero at padded steps
        print(seen)

    The state after every step is there too (``"state.h"``). What is computed is the same up to
    rounding; a backend that is forced stays so, but torch's own kernels, which give no such values.

    Args:
        call: a module, a method of one, or any function that runs cells.
        args: its arguments.
        kwargs: its keyword arguments.

    Raises:
        SettingError: no cell ran in a module that has layers of torch.nn in their place; a name
            that is asked for and not there, when it is read.
    """
    if not callable(call):
        raise SettingTypeError(
            f"named_values: call: expected something to call, got {kind_of(call)}."
        )
    owner = call if isinstance(call, nn.Module) else getattr(call, "__self__", None)
    with reading(owner) as values:
        result = call(*args, **kwargs)
    parts = call.modules() if isinstance(call, nn.Module) and not _places(call) else ()
    if any(isinstance(part, _OF_TORCH) for part in parts):
        raise SettingError(
            f"named_values: call: no cell of the {type(call).__name__} ran, and layers of "
            "torch.nn name nothing. recurra.convert(module) makes layers with cells of them."
        )
    return NamedValues({str(key): value for key, value in values.items()}, result)


@contextmanager
def reading(module: object) -> Iterator[dict[Key, Tensor]]:
    """As :func:`named_values`, of all that runs meanwhile.

    Args:
        module: where cells are looked for, to say where they stand.

    Yields:
        values by key, there at the end.
    """
    found: list[tuple[Cell, dict[str, Tensor]]] = []
    values: dict[Key, Tensor] = {}
    with _looks(_Look(found)), collecting() as loose:
        yield values
    places = _places(module) if isinstance(module, nn.Module) else {}
    times: dict[str, int] = {}
    # What was named outside of any run has no place.
    values |= {Key("", label): value for label, value in loose.items()}
    for cell, labels in found:
        place = places.get(id(cell), type(cell).__name__)
        run = times[place] = times.get(place, 0) + 1
        told = run if run > 1 else 0
        values |= {Key(place, label, told): value for label, value in labels.items()}


@contextmanager
def changing(
    module: nn.Module, changes: Mapping[str, Change], *, required: bool = True
) -> Iterator[None]:
    """Move values inside a layer or model, in all calls of this thread or task meanwhile.

    ::

        with recurra.changing(model, {"layers.0.cell: forget gate": Change(scale=0, since=10)}):
            changed = model.loss(batch)

    What can be moved is all that :func:`recurra.named_values` shows: gates, candidates,
    pre-activations, the state behind a step (``"state.h"``); and what a cell reads (``"input"``). A
    label alone moves it in every cell that has it. One change inside another comes after it. A cell
    that is called by itself, ``cell(x, state)``, is a run of one step; ``cell.step`` is its
    equation alone, and not moved.

    Args:
        module: a layer or model; a cell that it does not hold goes on as it is.
        changes: by the keys of :func:`recurra.named_values`; one without the number of a run is of
            all runs, ``"cell (1): state.h"`` of the first alone.
        required: whether it is an error if none of the module's cells runs meanwhile, or if none
            of those that do has a value of a key.

    Raises:
        SettingError: something that is no change; or, at the end, a value that is required and was
            not there.
        ShapeError: a change that does not fit the value.
    """
    if not isinstance(module, nn.Module):
        raise SettingTypeError(
            f"changing: module: expected a layer or model, got {kind_of(module)}."
        )
    if not isinstance(changes, Mapping):
        raise SettingTypeError(
            f"changing: changes: expected changes by key, got {kind_of(changes)}."
        )
    for key, change in changes.items():
        if not isinstance(change, Change):
            raise SettingTypeError(
                f"changing: changes: {key!r}: expected a recurra.Change, got {kind_of(change)}."
            )
    check_flag("changing: required", required)
    look = _Look(changes=dict(changes), places=_places(module))
    MOVING.append(None)
    try:
        with _looks(look):
            yield
    finally:
        MOVING.pop()
    if not required or not changes:
        return
    if not look.met:
        raise SettingError(
            f"changing: module (of=): no cell of the {type(module).__name__} ran meanwhile, so "
            "nothing was moved. Layers of torch.nn have cells after recurra.convert; "
            "required=False says that none has to run."
        )
    for key in look.changes:
        if key not in look.used:
            raise SettingError(f"changing: changes: no {key!r}; {nearest(key, look.met)}")


@contextmanager
def _looks(look: _Look) -> Iterator[None]:
    """One more; it alone is taken away at the end, in whatever order they end."""
    _now_look((*_LOOKS.get(), look))
    try:
        yield
    finally:
        _now_look(tuple(each for each in _LOOKS.get() if each is not look))


def _now_look(looks: tuple[_Look, ...]) -> None:
    _LOOKS.set(looks)
    AROUND.set(_alone if any(look.changes for look in looks) else None)


def _places(module: nn.Module) -> dict[int, str]:
    """Where each cell stands in a module."""
    return {id(cell): place for place, cell in cells_of(module)}
