"""The only door to time: run a cell through a sequence, on the backend that fits best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from torch import Tensor
from torch.nn.utils import parametrize

from recurra.cells.base import Cell, Noise
from recurra.engine.backends.choose import choose
from recurra.engine.call import Call, Run
from recurra.engine.prepare import prepare
from recurra.engine.probe import looked_at, looking
from recurra.engine.torch_internals import outside_graphs, tracing
from recurra.errors import BackendError, ShapeError, kind_of, nearest
from recurra.settings import check_flag, check_size
from recurra.states import Tree
from recurra.twins import own_parts, twin

__all__ = ["BackendName", "run", "running_of"]

BackendName = Literal["native", "aten", "loop"]
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
    checkpoint_every: int | None = None,
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
        backend: ``"native"``, ``"aten"`` or ``"loop"``; the fastest that can run the call if None,
            as :func:`recurra.engine.explain` says.
        checkpoint_every: keep for the gradient only the state before every so many steps, and run
            the steps between again when the gradient comes to them: for long sequences, less
            memory for one more forward pass. About the square root of the number of steps keeps
            least. None keeps every step.

    Returns:
        outputs (zero at padded steps), each row's state after its own last step, and all states.
        With no steps or no rows: empty outputs, the initial state, zero gradients.

    Raises:
        SettingError: a flag or a number of steps that is none.
        ShapeError: something does not fit; the message names it.
        BackendError: the backend that was forced cannot run this call, or the cell has forward
            hooks, which would not be called.
    """
    if not isinstance(cell, Cell):
        raise ShapeError(f"run: expected a recurra.Cell, got {type(cell).__name__}.")
    check_flag("reverse", reverse)
    check_flag("return_states", return_states)
    every = None
    if checkpoint_every is not None:
        every = check_size("checkpoint_every", checkpoint_every)
    running = running_of(cell, parameters)
    given = Call(
        inputs, state, lengths, context, noise, resets, reverse, return_states, cell, every
    )
    call = prepare(running, given)
    if not looking():
        return choose(running, call, backend).run()
    forced = None if backend == "aten" else backend  # torch's kernels show nothing

    def run_opened(opened: Cell, call: Call, by_loop: bool) -> Run:
        return choose(opened, call, "loop" if by_loop else forced).run()

    return looked_at(cell, running, call, run_opened)


outside_graphs(
    run,
    "recurra runs a cell through time outside of compiled graphs, like torch.nn.LSTM. Leave out "
    "fullgraph=True (in torch.export strict=True), or compile a single step: torch.compile(cell).",
)


def running_of(cell: Cell, parameters: Mapping[str, Tensor] | None) -> Cell:
    """The cell itself, or a twin of it over other tensors: given ones, or those that are computed.

    A parametrization (weight norm, weight drop) is evaluated once a run, not once a step.

    Raises:
        ShapeError: parameters that the cell has not.
        BackendError: hooks, or something that goes on with the cell's own tensors.
    """
    if parameters is not None:
        _check_parameters(cell, parameters)
    if not _is_computed(cell) and parameters is None:
        return cell
    if name := own_parts(cell):
        raise BackendError(
            f"{type(cell).__name__}: {name!r}, which was set on the object, goes on with the "
            "cell's own tensors, so parameters= and parametrizations cannot reach it. Put it "
            "into the class, and lists of modules into a ModuleList."
        )
    return cast(Cell, twin(cell, parameters))


def _check_parameters(cell: Cell, parameters: Mapping[str, Tensor]) -> None:
    if not isinstance(parameters, Mapping):
        raise ShapeError(f"parameters: expected tensors by name, got {type(parameters).__name__}.")
    known = {**dict(cell.named_parameters()), **dict(cell.named_buffers())}
    for name, tensor in parameters.items():
        if name not in known:
            raise ShapeError(
                f"parameters: {type(cell).__name__} has no {name!r}; {nearest(name, known)}"
            )
        if not isinstance(tensor, Tensor):
            raise ShapeError(f"parameters: {name!r}: expected a tensor, got {kind_of(tensor)}.")
        # A trace makes tensors of all sizes, which those of a cell on the device meta cannot be.
        if not tracing() and tensor.shape != known[name].shape:
            raise ShapeError(
                f"parameters: expected {name!r} of shape {list(known[name].shape)}, "
                f"got {list(tensor.shape)}"
            )


def _is_computed(cell: Cell) -> bool:
    """Does a parametrization compute some of its tensors?

    Raises:
        BackendError: it has hooks. The engine calls ``step``, so they would not run, and weights
            that they make be stale.
    """
    computed = False
    for part in cell.modules() if cell._modules else (cell,):
        computed = computed or "parametrizations" in part._modules
        if not isinstance(part, Cell):
            continue
        if part._forward_pre_hooks or part._forward_hooks:
            raise BackendError(
                f"{_named(part, cell)} has forward hooks, which a run does not call. "
                "torch.nn.utils.prune and the old weight_norm use them; "
                "torch.nn.utils.parametrizations works."
            )
        if part._backward_pre_hooks or part._backward_hooks:
            raise BackendError(
                f"{_named(part, cell)} has backward hooks, which a run does not call. Hook the "
                "layer, or a tensor with register_hook."
            )
    return computed and any(map(parametrize.is_parametrized, cell.modules()))


def _named(part: Cell, whole: Cell) -> str:
    """A cell by its class, and by its name where it is a part of another one."""
    name = next(name for name, own in whole.named_modules() if own is part)
    return f"{type(part).__name__}{f' ({name})' if name else ''}"
