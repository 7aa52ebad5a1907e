"""The backend ``aten``: torch's own recurrent kernels (ATen, oneDNN, cuDNN).

It runs only a cell whose class declares, by ``torch_form()``, that a kernel computes the very step
the class runs. Functions of torch that are not documented are called in this file alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.cells.base import Cell, Noise, TorchForm
from recurra.engine.call import Run
from recurra.engine.segments import Stretch
from recurra.states import Tree, rebuild

__all__ = ["aten", "is_plain", "obstacle"]

_KERNELS = {"rnn_tanh": "rnn_tanh", "rnn_relu": "rnn_relu", "lstm": "lstm", "gru": "gru"}


def obstacle(
    cell: Cell, *, plain: bool = True, noise: bool = False, return_states: bool = False
) -> str | None:
    """Why torch's kernels cannot run this call, or None if they can.

    Args:
        cell: the cell.
        plain: whether the input is one tensor ``[time, batch, features]``.
        noise: whether there is noise.
        return_states: whether every step's state is wanted.
    """
    name = type(cell).__name__
    if not _declares(cell):
        return _undeclared(cell)
    form: TorchForm | None = cell.torch_form()  # type: ignore[operator]
    if form is None:
        return f"{name}.torch_form() says that no kernel of torch computes these settings"
    if not hasattr(torch, _KERNELS[form.kind]):
        return f"this version of torch has no torch.{_KERNELS[form.kind]}"
    if not plain:
        return "the input is not one tensor [time, batch, features]"
    if noise:
        return "there is noise, which torch's kernels do not take"
    if return_states and form.kind == "lstm":
        return "all-step states are asked for, and torch's LSTM kernel keeps only the last c"
    return None


def is_plain(inputs: Tree) -> bool:
    """Is the input one tensor ``[time, batch, features]``?"""
    return isinstance(inputs, Tensor) and inputs.dim() == 3


def _declares(cell: Cell) -> bool:
    """Is ``torch_form`` declared for the very ``step`` that runs?

    A subclass that overrides ``step`` alone inherits a ``torch_form`` of another step.
    """
    return _form_home(cell) is not None and "step" not in vars(cell)


def _form_home(cell: Cell) -> type | None:
    for kind in type(cell).__mro__:
        if "torch_form" in vars(kind):
            return kind
        if "step" in vars(kind):
            return None
    return None


def _undeclared(cell: Cell) -> str:
    if "step" in vars(cell):
        return f"this {type(cell).__name__} has a step of its own, set on the instance"
    home = next(kind for kind in type(cell).__mro__ if "step" in vars(kind))
    return f"{home.__name__}.step has no torch_form(): no kernel of torch computes it"


def aten(cell: Cell) -> Stretch:
    """How torch's kernel of ``cell`` runs whole rows through time."""
    form: TorchForm = cell.torch_form()  # type: ignore[operator]
    kernel = getattr(torch, _KERNELS[form.kind])
    has_biases = len(form.weights) == 4

    def stretch(
        inputs: Tensor,
        state: Tree,
        context: Tree,
        noise: Noise | None,
        *,
        reverse: bool,
        return_states: bool,
    ) -> Run:
        x = inputs.flip(0) if reverse else inputs
        carried = [leaf.unsqueeze(0) for leaf in state]
        # `train` decides whether cuDNN and oneDNN keep what a gradient needs, also in evaluation.
        outputs, *ends = kernel(
            x,
            carried if form.kind == "lstm" else carried[0],
            form.weights,
            has_biases,
            1,  # layers
            0.0,  # dropout
            torch.is_grad_enabled(),
            False,  # bidirectional
            False,  # batch_first
        )
        if reverse:
            outputs = outputs.flip(0)
        end = rebuild(state, [leaf.squeeze(0) for leaf in ends])
        return Run(outputs, end, rebuild(state, [outputs]) if return_states else None)

    return stretch
