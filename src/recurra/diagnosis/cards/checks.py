"""Does a model do what its settings say? Measured, not read off its attributes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from recurra.cells import cell_by_name
from recurra.cells.base import Cell, cells_of
from recurra.layers import Layer, Projection, RNNBase, Stack, TokenEmbedding
from recurra.models import Model
from recurra.twins import evaluating, in_mode, without_memory

__all__ = ["Check", "checks", "recurrent_layers", "runs_alone"]

_MOVED = 1e-6  # of an output: less is rounding
_STEPS, _ROWS = 12, 2


class Check(NamedTuple):
    """One thing that was said, and what was found.

    Args:
        name: of what is checked.
        said: by the settings.
        found: in the model.
        holds: whether they agree.
    """

    name: str
    said: str
    found: str
    holds: bool


def recurrent_layers(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The outermost layers that hold cells and read a sequence of vectors, with their places."""
    if isinstance(module, Layer | RNNBase):
        if isinstance(module.input_size, int) and list(cells_of(module, nested=False)):
            yield name, module
        return
    for own, child in module.named_children():
        yield from recurrent_layers(child, f"{name}.{own}" if name else own)


def runs_alone(layer: nn.Module) -> bool:
    """Whether a layer can be run on vectors alone: a cell may need a context."""
    try:
        with evaluating(layer):
            _run(layer, _inputs(layer))
    except Exception:  # whatever a user's cell says to that
        return False
    return True


def checks(model: nn.Module) -> tuple[Check, ...]:
    """Check a model of this library against its ``config``, or a layer against its attributes.

    Cells, number and width of layers; causal or not, by an input that is changed at one step;
    dropout, by two calls in each mode; a tied embedding, by the memory it lies in and by a gradient
    that only the projection can send. What the settings do not speak of is not checked, and of a
    layer that cannot be run alone no outputs are.

    Args:
        model: is not changed.
    """
    found: list[Check] = []
    settings = getattr(model, "config", None)
    for place, layer in recurrent_layers(model):
        own = settings if place == "encoder.layer" else None  # what is said of others is elsewhere
        if getattr(own, "body", None) == "recurrent":
            found += _layers(layer, own)
        if runs_alone(layer):
            found += [_reach(place, layer, own), _chance(place, layer, own)]
    tied = getattr(settings, "tied", None)
    if isinstance(model, Model) and isinstance(tied, bool):
        found.append(_tied(model, tied))
    return tuple(found)


def _layers(layer: nn.Module, settings: Any) -> list[Check]:
    cells = [cell for _, cell in cells_of(layer, nested=False)]
    both = 1 + bool(settings.bidirectional)
    told = f"{settings.layers} of {settings.hidden_size}" + (", both ways" if both == 2 else "")
    widths = sorted({cell.hidden_size for cell in cells})
    count, rest = divmod(len(cells), both)
    seen = f"{count} of {', '.join(map(str, widths))}" + (", both ways" if both == 2 else "")
    same = count == settings.layers and not rest and widths == [settings.hidden_size]
    kinds = sorted({_kind(cell) for cell in cells})
    try:
        given = dict(settings.cell_settings)
        with without_memory():
            wanted = _kind(cell_by_name(settings.cell, 2, 2, **given))
    except Exception:  # its settings hang on its sizes
        return [Check("layers", told, seen, same)]
    cell = Check("cell", f"{settings.cell} ({wanted})", ", ".join(kinds), kinds == [wanted])
    return [cell, Check("layers", told, seen, same)]


def _kind(cell: Cell) -> str:
    inner = getattr(cell, "cell", None)
    name = parametrize.type_before_parametrizations(cell).__name__
    return f"{name}({_kind(inner)})" if isinstance(inner, Cell) else name


# ---- what depends on what ------------------------------------------------------------------------


def _inputs(layer: nn.Module) -> Tensor:
    like = next(layer.parameters())
    draw = torch.Generator().manual_seed(0)
    size: Any = layer.input_size
    batch_first = getattr(layer, "batch_first", False)
    shape = (_ROWS, _STEPS, size) if batch_first else (_STEPS, _ROWS, size)
    return torch.randn(shape, generator=draw).to(like)


def _run(layer: nn.Module, inputs: Tensor) -> Tensor:
    """Outputs ``[time, batch, ...]``."""
    with torch.no_grad():
        outputs: Tensor = layer(inputs)[0]
    return outputs.transpose(0, 1) if getattr(layer, "batch_first", False) else outputs


def _reach(place: str, layer: nn.Module, settings: Any) -> Check:
    """Which outputs move if the input in the middle is another one."""
    inputs, at = _inputs(layer), _STEPS // 2
    other = inputs.clone()
    time_first = other.transpose(0, 1) if getattr(layer, "batch_first", False) else other
    time_first[at] = -time_first[at] + 1
    with evaluating(layer):
        before, after = _run(layer, inputs), _run(layer, other)
    scale = float(before.abs().max())
    moved = ((before - after).abs().amax(dim=(1, 2)) > _MOVED * scale).tolist()
    earlier, later = sum(moved[:at]), sum(moved[at:])
    if settings is not None:
        both = bool(settings.bidirectional)
    else:
        both = bool(getattr(layer, "bidirectional", not getattr(layer, "causal", True)))
    said = "reads the future" if both else "causal"
    seen = (
        f"an input changed at step {at} moves {earlier} of {at} earlier outputs and {later} of "
        f"{_STEPS - at} from there on"
    )
    return Check(f"reach of {place or 'layer'}", said, seen, (earlier > 0) == both and later > 0)


def _chance(place: str, layer: nn.Module, settings: Any) -> Check:
    """Two calls on the same input, in each mode."""
    inputs, differs = _inputs(layer), []
    with torch.random.fork_rng(devices=[]):
        for mode in (True, False):
            with in_mode(layer, mode):
                differs.append(not torch.equal(_run(layer, inputs), _run(layer, inputs)))
    training, evaluation = differs
    dropped = _drops(layer, settings)
    seen = "in training only" if training else "none"
    seen = "in evaluation too" if evaluation else seen
    said = "in training only" if dropped else "none in evaluation"
    holds = not evaluation and (training or not dropped)
    return Check(f"chance in {place or 'layer'}", said, seen, holds)


def _drops(layer: nn.Module, settings: Any) -> bool:
    """Is dropout asked for within these layers? Between them it needs more than one."""
    if settings is not None:
        between = settings.rate("between") > 0 and settings.layers > 1
        return bool(between or settings.dropout_recurrent > 0)
    for part in layer.modules():
        if isinstance(part, Stack) and part.dropout and len(part.layers) > 1:
            return True
        if isinstance(part, RNNBase) and part.dropout and part.num_layers > 1:
            return True
    return False


def _tied(model: Model, tied: bool) -> Check:
    """Does the projection read the embedding's own memory?"""
    name = "tied embedding"
    said = "shared" if tied else "apart"
    tables = [part for part in model.encoder.modules() if isinstance(part, TokenEmbedding)]
    ends = [part for part in model.head.modules() if isinstance(part, Projection)]
    if not tables or not ends:
        return Check(name, said, "no embedding or no projection", not tied)
    table, end = tables[0].weight, ends[0]
    shared = model.encoder.embedding_weight if model.head.tied_size is not None else None
    features = torch.ones(1, 1, end.input_size).to(table)
    with evaluating(model), torch.enable_grad():
        weight = end.parts(features, shared)[1]
        same = weight.untyped_storage().data_ptr() == table.untyped_storage().data_ptr()
        scores = end(features, shared)
        (gradient,) = torch.autograd.grad(scores.sum(), table, allow_unused=True)
    reached = gradient is not None and bool((gradient.abs().sum(1) > 0).all())
    seen = "shared" if same and reached else "apart" if not same and not reached else "half shared"
    return Check(name, said, seen, seen == said)
