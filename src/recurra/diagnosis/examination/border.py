"""How much of a gradient reaches the border of a window, where truncation cuts it."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
from torch import Tensor

from recurra.batch import Batch
from recurra.diagnosis.checked import check_tree
from recurra.errors import InputTypeError, kind_of
from recurra.models import Model
from recurra.sequences import PaddedSequence
from recurra.states import Tree, leaves, map_tree, with_leaves
from recurra.twins import evaluating

__all__ = ["border_share"]


def border_share(model: Model, batch: Batch, state: Tree) -> float | None:
    r"""The share of a gradient that is left after half a window, at the border where it is cut.

    .. math::

        \frac{\lVert \partial L_{\text{late}} / \partial s_0 \rVert}
             {\lVert \partial L_{\text{late}} / \partial s_{T/2} \rVert}

    :math:`L_{\text{late}}` is the loss of the second half of a window of T steps, :math:`s_0` the
    state that the window begins with and :math:`s_{T/2}` the one in its middle. Near 0 nothing
    arrives at the border, and a longer window would teach no more; near 1 what is learned reaches
    beyond it. The losses of the first half are left out: even a model that remembers a single step
    sends the gradient of its first loss to the border undiminished.

    In evaluation mode, so that nothing is drawn; gradients of parameters stay as they are.

    Args:
        model: reads one way.
        batch: a window; every tensor in it ``[time, batch, ...]``.
        state: that is carried into it.

    Returns:
        the share; above 1 where gradients grow. None where the batch cannot be cut in two, nothing
        is carried, or no gradient arrives in the middle.

    Raises:
        InputTypeError: no model, no batch, or a state that is no tree of tensors.
        ShapeError: a state of another batch or model.
    """
    if not isinstance(model, Model):
        raise InputTypeError(f"model: expected a Model, got {kind_of(model)}.")
    if not isinstance(batch, Batch):
        raise InputTypeError(f"batch: expected a recurra.Batch, got {kind_of(batch)}.")
    check_tree("state", state)
    halves = _halves(batch)
    start = map_tree(_leaf, state)
    if halves is None or not any(leaf.requires_grad for leaf in leaves(start)):
        return None
    with evaluating(model), torch.enable_grad():
        middle = model(halves[0], start).state
        inside = [leaf for leaf in leaves(middle) if leaf.requires_grad]
        outside = [leaf for leaf in leaves(start) if leaf.requires_grad]
        total = model(halves[1], middle).total
        if not inside or not total.requires_grad:
            return None
        found = torch.autograd.grad(total, [*inside, *outside], allow_unused=True)
    near, far = _norm(found[: len(inside)]), _norm(found[len(inside) :])
    return far / near if near > 0 else None


def _leaf(value: Tensor) -> Tensor:
    plain = value.detach()
    return plain.requires_grad_() if plain.is_floating_point() else plain


def _norm(gradients: tuple[Tensor | None, ...]) -> float:
    squares = [float(g.cpu().double().pow(2).sum()) for g in gradients if g is not None]
    return math.sqrt(sum(squares))


def _halves(batch: Batch) -> tuple[Batch, Batch] | None:
    """The steps before the middle and those behind it; None where not all of it has steps."""
    if batch.input_axis != 1 or batch.target_axis != 1:
        return None
    parts: list[Any] = leaves(batch.inputs) + leaves(batch.targets)
    if batch.resets is not None:
        parts.append(batch.resets)
    if any(isinstance(part, PaddedSequence) or part.dim() < 2 for part in parts):
        return None
    times = {part.shape[0] for part in parts}
    time = times.pop() if len(times) == 1 else 0
    if time < 2:
        return None
    half = time // 2
    return _steps(batch, slice(0, half)), _steps(batch, slice(half, time))


def _steps(batch: Batch, some: slice) -> Batch:
    def cut(tree: Any) -> Any:
        return tree if tree is None else with_leaves(tree, [part[some] for part in leaves(tree)])

    return dataclasses.replace(
        batch, inputs=cut(batch.inputs), targets=cut(batch.targets), resets=cut(batch.resets)
    )
