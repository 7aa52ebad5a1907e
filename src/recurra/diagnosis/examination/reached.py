"""Layers that learn nothing at all: no gradient reaches them, or they are frozen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from recurra.cells.base import cells_of
from recurra.diagnosis.subject import Subject

__all__ = ["Unreached", "places_of", "unreached"]


class Unreached(NamedTuple):
    """A layer that learns nothing.

    Args:
        place: where it stands in the model.
        parameters: how many numbers it has.
        frozen: whether it takes no gradient; else none comes.
    """

    place: str
    parameters: int
    frozen: bool


def places_of(model: nn.Module) -> list[tuple[nn.Parameter, str]]:
    """All parameters, and of each where its layer stands in the model.

    Those of a cell stand where the outermost cell does; a shared one stands where it is first met.
    """
    cells = [place for place, _ in cells_of(model)]
    found = []
    for name, parameter in model.named_parameters():
        owner = name.rpartition(".")[0].partition(".parametrizations")[0]
        around = [cell for cell in cells if not cell or f"{owner}.".startswith(f"{cell}.")]
        found.append((parameter, min(around, key=len) if around else owner))
    return found


def unreached(subject: Subject) -> tuple[Unreached, ...]:
    """Layers none of whose parameters has a gradient of the loss, in the order of the model.

    Nothing where none has: of a loss that is 0, or of a model that is not trained at all.

    Args:
        subject: a model at work.
    """
    places = places_of(subject.owner)
    asked = [parameter for parameter, _ in places if parameter.requires_grad]
    with subject.asking(), torch.enable_grad():
        total = subject.run(subject.batch).total
        if not asked or not total.requires_grad:
            return ()
        slopes = torch.autograd.grad(total, asked, allow_unused=True)
    known = {id(one): slope for one, slope in zip(asked, slopes, strict=True)}
    layers: dict[str, list[nn.Parameter]] = {}
    for parameter, place in places:
        layers.setdefault(place, []).append(parameter)
    moved = {place: any(_some(known.get(id(one))) for one in own) for place, own in layers.items()}
    if not any(moved.values()):
        return ()
    return tuple(
        Unreached(place, _count(own), not any(one.requires_grad for one in own))
        for place, own in layers.items()
        if not moved[place] and _count(own)
    )


def _count(own: Sequence[Tensor]) -> int:
    return sum(one.numel() for one in own)


def _some(slope: Tensor | None) -> bool:
    """Whether a gradient is anything but 0; NaN is."""
    return slope is not None and bool((slope != 0).any())
