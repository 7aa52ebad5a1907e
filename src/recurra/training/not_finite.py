"""Where numbers that are not finite come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from recurra import states
from recurra.batch import Batch
from recurra.cells import Cell
from recurra.layers import Layer
from recurra.models import Model
from recurra.sequences import PaddedSequence
from recurra.training.optimizers import precision
from recurra.training.recipe import TrainingSettings
from recurra.twins import evaluating

__all__ = ["where_it_began"]


@torch.no_grad()
def where_it_began(
    model: Model,
    batches: Sequence[tuple[Batch, bool]],
    state: states.Tree,
    settings: TrainingSettings,
) -> str:
    """Where the first number that is not finite appears, in words; dropout is off."""
    for name, parameter in model.named_parameters():
        if not parameter.isfinite().all():
            return f"the weight {name} has such a number already"
    found: list[str] = []

    def look(name: str, output: Any) -> None:
        if not found and not all(bool(leaf.isfinite().all()) for leaf in _tensors(output)):
            found.append(name)

    def watch(name: str) -> Callable[[nn.Module, Any, Any], None]:
        return lambda module, inputs, output: look(name, output)

    def watched(name: str, run: Callable[..., Any]) -> Callable[..., Any]:
        def through_time(*inputs: Any) -> Any:
            output = run(*inputs)
            look(name, output)
            return output

        return through_time

    parts = [
        (name, part) for name, part in model.named_modules() if name and not isinstance(part, Cell)
    ]
    hooks = [part.register_forward_hook(watch(name)) for name, part in parts]
    layers = [(name, part) for name, part in parts if isinstance(part, Layer)]
    for name, layer in layers:  # a stack calls no layer, but what runs it: no hook sees that
        layer.__dict__["through_time"] = watched(name, layer.through_time)
    try:
        with evaluating(model), precision(settings):
            for batch, begins in batches:
                state = model(batch, None if begins else state).state
                if found:
                    return f"it began in what {found[0]} gives"
    finally:
        for hook in hooks:
            hook.remove()
        for _, layer in layers:
            del layer.__dict__["through_time"]
    return "it began in the gradient, or in dropout: without dropout, the forward pass is finite"


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, PaddedSequence):
        yield from _tensors(value.values[value.mask])
    elif isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)
