"""A call is checked once, and its noise drawn: after this, backends trust what they get."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from recurra import states
from recurra.cells.base import Cell, Noise, draw_noise
from recurra.engine.call import Call
from recurra.engine.torch_internals import tracing
from recurra.errors import BackendError, RecurraError, ShapeError, dtype_name, symbols_hint
from recurra.lengths import Marks, check_lengths, common_sizes, valid_mask
from recurra.states import Tree, first, leaves, map_tree

__all__ = ["prepare", "read_marks"]


def prepare(cell: Cell, call: Call) -> Call:
    """A call with everything checked, and the noise drawn.

    Raises:
        ShapeError: naming what does not fit, what was expected and what came.
        BackendError: lengths or resets whose numbers cannot be read, as inside ``torch.export``.
    """
    name = type(cell).__name__
    inputs, state, lengths, context, noise, resets = call[:6]
    time, batch = common_sizes(inputs, f"inputs of {name}")
    weight = cell.typical()
    _check_inputs(cell, inputs, weight)
    if lengths is not None or resets is not None:
        _, lengths, resets = read_marks(cell, lengths, resets, first(inputs))
    initial = _initial_state(cell, inputs, batch, weight)
    if not isinstance(initial, tuple):
        raise ShapeError(
            f"initial_state of {name}: expected a named tuple of tensors [batch, ...], got "
            f"{type(initial).__name__}."
        )
    _check_rows(initial, batch, f"initial_state of {name}")
    if state is None:
        state = initial
    else:
        states.match(state, initial, what=f"state of {name}")
        # In the initial state's types: a state may come from a call under autocast, or be a tuple.
        state = map_tree(lambda own, given: given.to(own.dtype), initial, state)
    _check_context(cell, context, batch)
    if noise is None:
        noise = draw_noise(cell, time, batch)
    if noise is not None:
        _check_noise(noise, time, batch, name)
    if not cell.takes_context:
        context = None
    more = call[6:10]  # how it runs, as it is given
    return Call(inputs, state, lengths, context, noise, resets, *more, time, batch, initial)


def read_marks(reader: nn.Module, lengths: Any, resets: Any, values: Tensor) -> Marks:
    """Lengths and resets, checked; None where they say nothing.

    Their numbers decide which steps are run, so they must be there to be read.

    Args:
        reader: the cell, or a module whose first cell is the one that messages name.
        lengths: as ``run`` takes them; or Marks, which hold resets too and are not checked again.
        resets: as ``run`` takes them.
        values: ``[time, batch, ...]``, to which they belong.
    """
    place = (values.shape[0], values.shape[1], values.device)
    if type(lengths) is Marks:
        if lengths.place == place:
            return lengths
        _, lengths, resets = lengths  # a layer below gave other steps than it read
    if tracing():  # it would go on, and keep these numbers for all calls to come
        raise BackendError(
            f"{_told(reader, lengths, resets)}: torch.jit.trace keeps one path through the steps, "
            "whatever they are later. Trace a call without them."
        )
    try:
        ends = None if lengths is None else check_lengths(lengths, *place)
        ends = None if ends is None or bool((ends == place[0]).all()) else ends
        begins = None if resets is None else _check_resets(resets, *place, ends)
    except RecurraError:  # what does not fit is said
        raise
    except RuntimeError as problem:
        raise BackendError(
            f"{_told(reader, lengths, resets)}: expected tensors whose numbers can be read, since "
            "they decide which steps are run; inside torch.export and torch.func.vmap, and on the "
            "device meta, they cannot. Export a call without them; in place of vmap over rows put "
            "the rows side by side in the batch, and call the members of an ensemble in turn."
        ) from problem
    return Marks(place, ends, begins)


def _told(reader: nn.Module, lengths: Any, resets: Any) -> str:
    """What was given to which cell, in words."""
    what = "lengths" if resets is None else "resets" if lengths is None else "lengths and resets"
    cell = next((part for part in reader.modules() if isinstance(part, Cell)), reader)
    return f"{what} of {type(cell).__name__}"


def _check_inputs(cell: Cell, inputs: Tree, weight: Tensor | None) -> None:
    """Each step must be shaped like the cell's example, and typed like its weights."""
    if isinstance(inputs, Tensor) and _is_vectors(cell, inputs, weight):
        return
    example = cell.example_input(1)
    if example is None or (isinstance(example, Tensor) and not isinstance(inputs, Tensor)):
        return  # a tuple for a cell that states a width alone is the cell's own business
    name = type(cell).__name__
    _check_fields(inputs, example, f"inputs of {name}")
    likes = dict(states.paths(example))
    for path, leaf in states.paths(inputs):
        like = likes.get(path)  # None: inside of what the cell does not say
        if like is None or leaf.shape[2:] == like.shape[1:]:
            continue
        wanted = ", ".join(str(size) for size in like.shape[1:])
        hint = symbols_hint(leaf) if like.is_floating_point() else ""
        if not hint and leaf.dim() == 2 and leaf.shape[1:] == like.shape[1:]:
            hint = " For one sequence add the batch axis: inputs.unsqueeze(1)."
        raise ShapeError(
            f"inputs of {name}{path}: expected [time, batch, {wanted}], got {list(leaf.shape)}."
            f"{hint}"
        )
    _check_type(weight, inputs, likes, name)


def _is_vectors(cell: Cell, inputs: Tensor, weight: Tensor | None) -> bool:
    """Is it what a cell of plain vectors reads? Whatever else there may be is looked at longer."""
    return (
        type(cell).example_input is Cell.example_input
        and weight is not None
        and inputs.dtype is weight.dtype
        and inputs.device == weight.device
        and inputs.dim() == 3
        and inputs.shape[2] == cell.input_size
    )


def _check_fields(given: Tree, example: Tree, what: str) -> None:
    """The same named tuples, with tensors at the same places."""
    if isinstance(example, tuple) and type(given) is type(example):
        names = getattr(example, "_fields", range(len(example)))
        for name, part, like in zip(names, given, example, strict=True):
            _check_fields(part, like, f"{what}.{name}")
    elif isinstance(example, tuple):
        fields = ", ".join(getattr(example, "_fields", ()))
        raise ShapeError(
            f"{what}: expected a {type(example).__name__}({fields}), got {type(given).__name__}."
        )
    elif example is not None and not isinstance(given, Tensor):
        raise ShapeError(f"{what}: expected a tensor, got {type(given).__name__}.")


def _check_type(
    weight: Tensor | None, inputs: Tree, likes: Mapping[str, Tensor], name: str
) -> None:
    if weight is None:
        return
    for path, leaf in states.paths(inputs):
        if leaf.device != weight.device:
            raise ShapeError(
                f"inputs of {name}{path}: expected on {weight.device}, where its weights are, got "
                f"on {leaf.device}. Move one of them with .to(...)."
            )
    # The field that comes first is the input proper; what type another has is the cell's business.
    path, value = next(states.paths(inputs))
    like = likes.get(path)
    if like is None or not like.is_floating_point():
        return
    if value.dtype != weight.dtype and not torch.is_autocast_enabled(value.device.type):
        raise ShapeError(
            f"inputs of {name}{path}: expected {weight.dtype}, as its weights, got {value.dtype}. "
            f"Convert one of them, for example with .to({weight.dtype}).{symbols_hint(value)}"
        )


def _initial_state(cell: Cell, inputs: Tree, batch: int, weight: Tensor | None) -> Tree:
    """The cell's; without any weights its device, and its floats' type, are those of the inputs."""
    initial = cell.initial_state(batch)
    if weight is not None:
        return initial
    like = next((leaf for leaf in leaves(inputs) if leaf.is_floating_point()), None)
    if like is None:
        return initial
    return map_tree(
        lambda leaf: leaf.to(like if leaf.is_floating_point() else like.device), initial
    )


def _check_resets(
    resets: Any, time: int, batch: int, device: torch.device, lengths: Tensor | None
) -> Tensor | None:
    try:
        resets = torch.as_tensor(resets, device=device)
    except (TypeError, ValueError) as problem:
        raise ShapeError(
            f"resets: expected bool [time={time}, batch={batch}] ({problem})."
        ) from None
    if resets.dtype != torch.bool or tuple(resets.shape) != (time, batch):
        raise ShapeError(
            f"resets: expected bool [time={time}, batch={batch}], got "
            f"{dtype_name(resets.dtype)} {list(resets.shape)}."
        )
    if lengths is not None:
        resets = resets & valid_mask(lengths, time)
    return resets if bool(resets.any()) else None


def _check_context(cell: Cell, context: Tree, batch: int) -> None:
    name = type(cell).__name__
    if cell.takes_context and context is None:
        raise ShapeError(f"context of {name}: expected one, since it reads a context, got none.")
    _check_rows(context, batch, f"context of {name}")


def _check_rows(tree: Tree, batch: int, what: str) -> None:
    for leaf in leaves(tree):
        if not isinstance(leaf, Tensor) or leaf.dim() < 1 or leaf.shape[0] != batch:
            got = list(leaf.shape) if isinstance(leaf, Tensor) else type(leaf).__name__
            raise ShapeError(f"{what}: expected tensors [batch={batch}, ...], got {got}.")


def _check_noise(noise: Noise, time: int, batch: int, name: str) -> None:
    if not isinstance(noise, Noise):
        raise ShapeError(f"noise of {name}: expected recurra.Noise, got {type(noise).__name__}.")
    for leaf in leaves(noise.step):
        if not isinstance(leaf, Tensor) or tuple(leaf.shape[:2]) != (time, batch):
            got = list(leaf.shape) if isinstance(leaf, Tensor) else type(leaf).__name__
            raise ShapeError(
                f"noise of {name}: expected step tensors [time={time}, batch={batch}, ...], "
                f"got {got}."
            )
    _check_rows(noise.held, batch, f"held noise of {name}")
