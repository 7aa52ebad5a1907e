"""The only door to time: run a cell through a sequence, on the backend that fits best."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from torch import Tensor, nn
from torch.func import functional_call

from recurra.cells.base import Cell, Noise
from recurra.engine.aten import aten, is_plain, obstacle
from recurra.engine.call import Call, Run, prepare
from recurra.engine.loop import loop
from recurra.engine.segments import Stretch, run_segments
from recurra.errors import BackendError, ShapeError, nearest
from recurra.states import Tree

__all__ = ["Backend", "run"]

Backend = Literal["loop", "aten"]

_BACKENDS: dict[str, Callable[[Cell], Stretch]] = {"loop": loop, "aten": aten}


def run(
    cell: Cell,
    inputs: Tree,
    state: Tree = None,
    *,
    lengths: Any = None,
    context: Tree = None,
    noise: Noise | None = None,
    resets: Tensor | None = None,
    reverse: bool = False,
    return_states: bool = False,
    parameters: Mapping[str, Tensor] | None = None,
    backend: Backend | None = None,
) -> Run:
    """Run ``cell`` through time.

    Args:
        cell: what one step is.
        inputs: ``[time, batch, ...]``, or a named tuple of such tensors.
        state: what an earlier call returned, to go on from there; the initial state if None.
        lengths: whole numbers ``[batch]``, 0 to time; every row is whole if None. Steps behind a
            row's length are never run.
        context: a named tuple of ``[batch, ...]`` tensors that the cell may read at every step.
        noise: replays this noise, in evaluation too; in training it is drawn if None.
        resets: bool ``[time, batch]``, True at the first step of a new sequence. The state becomes
            the cell's initial one, and no gradient crosses. In reverse the reset comes after that
            step.
        reverse: run each row from its own last step to its first; outputs stay where their inputs
            are.
        return_states: give the state after every step too.
        parameters: tensors to use in place of the cell's own, by name, as
            ``torch.func.functional_call`` takes them.
        backend: ``"loop"`` or ``"aten"``; the fastest that can run the call if None, as
            :func:`recurra.engine.explain` says.

    Returns:
        outputs (zero at padded steps), each row's state after its own last step, and all states.
        With no steps or no rows: empty outputs, the initial state, zero gradients.

    Raises:
        ShapeError: something does not fit; the message names it.
        BackendError: the backend that was forced cannot run this call.
    """
    settings = {
        "lengths": lengths,
        "context": context,
        "noise": noise,
        "resets": resets,
        "reverse": reverse,
        "return_states": return_states,
        "backend": backend,
    }
    if parameters is None:
        return _run(cell, inputs, state, **settings)
    held = _Held(cell)
    named = {f"cell.{name}": tensor for name, tensor in parameters.items()}
    known = {name for name, _ in [*held.named_parameters(), *held.named_buffers()]}
    for name in named:
        if name not in known:
            short = [k.removeprefix("cell.") for k in known]
            raise ShapeError(
                f"parameters: {type(cell).__name__} has no {name.removeprefix('cell.')!r}; "
                f"{nearest(name.removeprefix('cell.'), short)}"
            )
    result: Run = functional_call(held, named, (inputs, state), settings)
    return result


class _Held(nn.Module):
    """A module whose forward is a run of its cell: what functional_call needs."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, inputs: Tree, state: Tree, **settings: Any) -> Run:
        return _run(self.cell, inputs, state, **settings)


def _run(cell: Cell, inputs: Tree, state: Tree, *, backend: str | None, **settings: Any) -> Run:
    call = prepare(cell, inputs, state, **settings)
    name = choose(cell, call, backend)
    return run_segments(cell, call, _BACKENDS[name](cell), loop(cell))


def choose(cell: Cell, call: Call, backend: str | None) -> str:
    """The backend of one call.

    Raises:
        BackendError: the one that was forced is unknown or cannot run it.
    """
    if backend == "loop":
        return "loop"
    if backend not in (None, "aten"):
        raise BackendError(f"backend: no {backend!r}; {nearest(str(backend), _BACKENDS)}")
    why = obstacle(
        cell,
        plain=is_plain(call.inputs),
        noise=call.noise is not None,
        return_states=call.return_states,
    )
    if why is None:
        return "aten"
    if backend == "aten":
        raise BackendError(f"backend 'aten' cannot run this call: {why}. Leave backend out.")
    return "loop"
