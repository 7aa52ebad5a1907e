"""The only door to time: run a cell through a sequence, on the backend that fits best."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from threading import RLock
from typing import Any, Literal, cast

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import parametrize

from recurra.cells.base import Cell, Noise
from recurra.engine.aten import outside_graphs
from recurra.engine.call import Run, prepare, tracing
from recurra.engine.choose import choose, facts_of
from recurra.engine.watch import watching
from recurra.errors import BackendError, ShapeError, nearest
from recurra.modules import with_tensors
from recurra.states import Tree

__all__ = ["BackendName", "run"]

BackendName = Literal["loop", "aten"]
"""What ``backend=`` takes beside None."""


def run(
    cell: Cell,
    inputs: Tree,
    state: Tree = None,
    *,
    lengths: Any = None,
    context: Tree = None,
    noise: Noise | None = None,
    resets: Any = None,
    reverse: bool = False,
    return_states: bool = False,
    parameters: Mapping[str, Tensor] | None = None,
    backend: BackendName | None = None,
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
        parameters: tensors to use in place of the cell's own, by name and of the same shapes. The
            cell's own may have no memory (a cell made on the device ``meta``).
        backend: ``"loop"`` or ``"aten"``; the fastest that can run the call if None, as
            :func:`recurra.engine.explain` says.

    Returns:
        outputs (zero at padded steps), each row's state after its own last step, and all states.
        With no steps or no rows: empty outputs, the initial state, zero gradients.

    Raises:
        ShapeError: something does not fit; the message names it.
        BackendError: the backend that was forced cannot run this call, or the cell has forward
            hooks, which would not be called.
    """
    if not isinstance(cell, Cell):
        raise ShapeError(f"run: expected a recurra.Cell, got {type(cell).__name__}.")
    settings = {
        "lengths": lengths,
        "context": context,
        "noise": noise,
        "resets": resets,
        "reverse": reverse,
        "return_states": return_states,
        "backend": backend,
    }
    _refuse_hooks(cell)
    if parameters is None:
        return _run(cell, inputs, state, **settings)
    _check_parameters(cell, parameters)
    if next(cell.children(), None) is None:
        return _run(
            cast(Cell, with_tensors(cell, parameters)), inputs, state, known_as=cell, **settings
        )
    named = {f"cell.{name}": tensor for name, tensor in parameters.items()}
    result: Run = functional_call(_Held(cell), named, (inputs, state), settings)
    return result


outside_graphs(
    run,
    "recurra runs a cell through time outside of compiled graphs, like torch.nn.LSTM. Leave out "
    "fullgraph=True (in torch.export strict=True), or compile a single step: torch.compile(cell).",
)


def _check_parameters(cell: Cell, parameters: Mapping[str, Tensor]) -> None:
    known = {**dict(cell.named_parameters()), **dict(cell.named_buffers())}
    for name, tensor in parameters.items():
        if name not in known:
            raise ShapeError(
                f"parameters: {type(cell).__name__} has no {name!r}; {nearest(name, known)}"
            )
        # A trace makes tensors of all sizes, which those of a cell on the device meta cannot be.
        if not tracing() and tensor.shape != known[name].shape:
            raise ShapeError(
                f"parameters: expected {name!r} of shape {list(known[name].shape)}, "
                f"got {list(tensor.shape)}"
            )


def _refuse_hooks(cell: Cell) -> None:
    """The engine calls ``step``, so forward hooks would not run, and weights they make be stale."""
    for name, part in cell.named_modules():
        if not isinstance(part, Cell):
            continue
        if part._forward_pre_hooks or part._forward_hooks:
            raise BackendError(
                f"{type(part).__name__}{f' ({name})' if name else ''} has forward hooks, which a "
                "run does not call. torch.nn.utils.prune and the old weight_norm use them; "
                "torch.nn.utils.parametrizations works."
            )
        if part._backward_pre_hooks or part._backward_hooks:
            raise BackendError(
                f"{type(part).__name__}{f' ({name})' if name else ''} has backward hooks, which a "
                "run does not call. Hook the layer, or a tensor with register_hook."
            )


_one_at_a_time = RLock()


@contextmanager
def _kept_weights() -> Iterator[None]:
    with _one_at_a_time, parametrize.cached():
        yield


def _new_lock() -> None:
    global _one_at_a_time
    _one_at_a_time = RLock()


if hasattr(os, "register_at_fork"):  # a thread that held it is not there in the child
    os.register_at_fork(after_in_child=_new_lock)


class _Held(nn.Module):
    """A module whose forward is a run of its cell: what functional_call needs."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, inputs: Tree, state: Tree, **settings: Any) -> Run:
        return _run(self.cell, inputs, state, **settings)


def _run(
    cell: Cell,
    inputs: Tree,
    state: Tree,
    *,
    backend: str | None,
    known_as: Cell | None = None,
    **settings: Any,
) -> Run:
    watch = watching()
    if watch is not None:
        backend = None  # the one that gives named values is the one to choose
    # A parametrization (weight norm, weight drop) is evaluated once a run, not once a step. Torch's
    # cache is one for all threads, so it is turned on only where there is something to keep, and
    # for one thread at a time: two must not get the same weight, with one graph behind it.
    some = any(parametrize.is_parametrized(part) for part in cell.modules())
    with _kept_weights() if some else nullcontext():
        call = prepare(cell, inputs, state, return_named=watch is not None, **settings)
        chosen, _ = choose(cell, facts_of(call), backend)
        result = chosen.run(cell, call)
    if watch is not None:
        watch.append((known_as or cell, result.named or {}))
    return Run(result.outputs, result.state, result.states)
