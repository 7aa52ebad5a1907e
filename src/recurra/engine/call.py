"""What one call to the engine is, checked once: after this, backends trust what they get."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra import states
from recurra.cells.base import Cell, Noise, draw_noise
from recurra.errors import ShapeError
from recurra.lengths import check_lengths, common_sizes
from recurra.states import Tree, leaves, map_tree

__all__ = ["Call", "Run", "prepare"]


class Run(NamedTuple):
    """What :func:`recurra.engine.run` returns.

    Args:
        outputs: y of every step, ``[time, batch, ...]``; zero at padded steps.
        state: each row's state after its own last step.
        states: the state after every step, leaves ``[time, batch, ...]``, zero at padded steps;
            None unless asked for.
    """

    outputs: Tensor
    state: Tree
    states: Tree = None


@dataclasses.dataclass(frozen=True)
class Call:
    """One checked call.

    Args:
        inputs: a tree of ``[time, batch, ...]`` tensors.
        time: their first axis.
        batch: their second axis.
        state: a tree of ``[batch, ...]`` tensors to start from.
        lengths: ``[batch]``, or None if every row is whole.
        context: a tree of ``[batch, ...]`` tensors, or None.
        noise: what was drawn or given for this call, or None.
        resets: ``[time, batch]`` bool, or None if nothing is reset.
        reverse: whether steps run from each row's last to its first.
        return_states: whether every step's state is wanted.
    """

    inputs: Tree
    time: int
    batch: int
    state: Tree
    lengths: Tensor | None = None
    context: Tree = None
    noise: Noise | None = None
    resets: Tensor | None = None
    reverse: bool = False
    return_states: bool = False


def prepare(
    cell: Cell,
    inputs: Tree,
    state: Tree,
    lengths: Any,
    context: Tree,
    noise: Noise | None,
    resets: Tensor | None,
    reverse: bool,
    return_states: bool,
) -> Call:
    """Check everything and draw the noise.

    Raises:
        ShapeError: naming what does not fit, what was expected and what came.
    """
    name = type(cell).__name__
    time, batch = common_sizes(inputs, f"inputs of {name}")
    _check_width(cell, inputs)
    if lengths is not None:
        device = next(leaves(inputs)).device
        lengths = check_lengths(lengths, time, batch, device)
        if bool((lengths == time).all()):
            lengths = None
    if resets is not None:
        resets = _check_resets(resets, time, batch)
    initial = cell.initial_state(batch)
    if state is None:
        state = initial
    else:
        states.match(state, initial, what=f"state of {name}")
    _check_context(context, batch, name)
    if noise is None:
        noise = draw_noise(cell, time, batch)
    else:
        _check_noise(noise, time, batch, name)
    return Call(inputs, time, batch, state, lengths, context, noise, resets, reverse, return_states)


def _check_width(cell: Cell, inputs: Tree) -> None:
    """One tensor must hold vectors of the stated width; a tuple is the cell's own business."""
    if cell.input_size is None or not isinstance(inputs, Tensor):
        return
    if tuple(inputs.shape[2:]) != (cell.input_size,):
        hint = ""
        if inputs.dim() == 2 and inputs.shape[1] == cell.input_size:
            hint = " For one sequence add the batch axis: inputs.unsqueeze(1)."
        raise ShapeError(
            f"inputs of {type(cell).__name__}: expected [time, batch, {cell.input_size}], "
            f"got {list(inputs.shape)}.{hint}"
        )


def _check_resets(resets: Tensor, time: int, batch: int) -> Tensor | None:
    if resets.dtype != torch.bool or tuple(resets.shape) != (time, batch):
        raise ShapeError(
            f"resets: expected bool [time={time}, batch={batch}], got "
            f"{str(resets.dtype).removeprefix('torch.')} {list(resets.shape)}."
        )
    return resets if bool(resets.any()) else None


def _check_context(context: Tree, batch: int, name: str) -> None:
    for leaf in leaves(context):
        if leaf.dim() < 1 or leaf.shape[0] != batch:
            raise ShapeError(
                f"context of {name}: expected leaves [batch={batch}, ...], got {list(leaf.shape)}."
            )


def _check_noise(noise: Noise, time: int, batch: int, name: str) -> None:
    for leaf in leaves(noise.step):
        if tuple(leaf.shape[:2]) != (time, batch):
            raise ShapeError(
                f"noise of {name}: expected step leaves [time={time}, batch={batch}, ...], "
                f"got {list(leaf.shape)}."
            )
    _check_context(noise.held, batch, f"{name} (held noise)")


def rows_in_order(call: Call, order: Tensor) -> Call:
    """The same call with its rows in another order."""

    def second(leaf: Tensor) -> Tensor:
        return leaf.index_select(1, order)

    return dataclasses.replace(
        call,
        inputs=map_tree(second, call.inputs),
        state=states.select_rows(call.state, order),
        lengths=None if call.lengths is None else call.lengths.index_select(0, order),
        context=states.select_rows(call.context, order),
        noise=call.noise
        and Noise(map_tree(second, call.noise.step), states.select_rows(call.noise.held, order)),
        resets=None if call.resets is None else second(call.resets),
    )
