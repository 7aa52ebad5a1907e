"""The backend ``aten``: torch's own recurrent kernels (ATen, oneDNN, cuDNN).

It runs only a cell whose class declares, by ``torch_form()``, that a kernel computes the very step
the class runs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from recurra.cells.base import Cell, TorchForm
from recurra.engine.backends.loop import steps_of
from recurra.engine.backends.segments import RunRows, run_segments
from recurra.engine.call import Backend, Call, Run
from recurra.engine.record.unrecordable import Refused
from recurra.engine.torch_internals import tracing, transformed
from recurra.errors import ShapeError
from recurra.states import rebuild

__all__ = ["ATEN", "form_of"]

_GATES = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}


def form_of(cell: Cell) -> TorchForm:
    """The kernel of torch that computes a cell's step.

    Raises:
        Refused: why there is none.
    """
    if "step" in vars(cell):
        raise Refused(f"this {type(cell).__name__} has a step of its own, set on the instance")
    home = _form_home(cell)
    if home is None:
        owner = next(kind for kind in type(cell).__mro__ if "step" in vars(kind))
        raise Refused(f"{owner.__name__}.step has no torch_form(): no kernel of torch computes it")
    form: TorchForm | None = cell.torch_form()  # type: ignore[operator]
    if form is None:
        name = home.__name__
        raise Refused(f"{name}.torch_form() says that no kernel of torch has these settings")
    if not hasattr(torch, form.kind):
        raise Refused(f"this version of torch has no torch.{form.kind}")
    if transformed():
        raise Refused(
            "a transform of torch.func or forward-mode differentiation is at work, for which "
            "torch's kernels have no rule"
        )
    return form


def _check_call(call: Call, form: TorchForm) -> None:
    """A kernel takes one tensor, draws nothing, and keeps what it keeps."""
    if not isinstance(call.inputs, Tensor) or call.inputs.dim() != 3:
        raise Refused("the input is not one tensor [time, batch, features]")
    if call.noise is not None:
        raise Refused("there is noise, which torch's kernels do not take")
    if call.return_states and form.kind == "lstm":
        raise Refused(
            "all-step states are asked for, and torch's LSTM kernel keeps only the last c"
        )


def _form_home(cell: Cell) -> type | None:
    """The class whose ``torch_form`` is declared for the very ``step`` that runs.

    A subclass that overrides ``step`` alone inherits a ``torch_form`` of another step.
    """
    for kind in type(cell).__mro__:
        if "torch_form" in vars(kind):
            return kind
        if "step" in vars(kind):
            return None
    return None


def _rows_of(cell: Cell, form: TorchForm) -> RunRows:
    """How torch's kernel of ``cell`` runs whole rows through time."""
    _check_weights(cell, form)
    kernel = getattr(torch, form.kind)
    weights = [form.input_weight, form.recurrent_weight, *(form.biases or ())]
    if form.projection is not None:
        weights.append(form.projection)
        _said_once()

    def run_rows(call: Call) -> Run:
        x = call.inputs.flip(0) if call.reverse else call.inputs
        # Contiguous, because cuDNN refuses a learnt initial state that was expanded over rows.
        carried = [leaf.unsqueeze(0).contiguous() for leaf in call.state]
        outputs, *ends = kernel(
            x,
            carried if form.kind == "lstm" else carried[0],
            weights,
            form.biases is not None,
            1,  # layers
            0.0,  # dropout
            # Whether cuDNN and oneDNN keep what a gradient needs, also in evaluation. A trace
            # is for all calls to come, and torch.jit.trace compares one of each kind.
            torch.is_grad_enabled() or tracing(),
            False,  # bidirectional
            False,  # batch_first
        )
        if call.reverse:
            outputs = outputs.flip(0)
        end = rebuild(call.state, [leaf.squeeze(0) for leaf in ends])
        # A copy: who changes the outputs in place must not change the states.
        every = rebuild(call.state, [outputs.clone()]) if call.return_states else None
        return Run(outputs, end, every)

    return run_rows


@cache
def _said_once() -> None:
    """Let torch say what it says once a process: that oneDNN has no projection.

    It does without, so that is no news to a user. Filters of warnings belong to the whole process;
    they are touched this one time.
    """
    h, c = torch.zeros(1, 1, 1), torch.zeros(1, 1, 2)
    weights = [torch.zeros(8, 1), torch.zeros(8, 1), torch.zeros(1, 2)]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.lstm(h, [h, c], weights, False, 1, 0.0, False, False, False)


def _check_weights(cell: Cell, form: TorchForm) -> None:
    """OneDNN does not look at the shapes of weights: wrong ones would read foreign memory."""
    rows, width = _GATES[form.kind] * cell.hidden_size, cell.input_size
    expected = {
        "input_weight": (rows, width),
        "recurrent_weight": (rows, cell.output_size),
        "biases": (rows,),
        "projection": (cell.output_size, cell.hidden_size),
    }
    given = [("input_weight", form.input_weight), ("recurrent_weight", form.recurrent_weight)]
    given += [("biases", bias) for bias in form.biases or ()]
    if form.projection is not None:
        given.append(("projection", form.projection))
    for name, weight in given:
        if tuple(weight.shape) != expected[name]:
            raise ShapeError(
                f"torch_form of {type(cell).__name__}: expected {name} {list(expected[name])}, "
                f"got {list(weight.shape)}."
            )


def _offer(cell: Cell, call: Call) -> Callable[[], Run]:
    form = form_of(cell)
    _check_call(call, form)
    return lambda: run_segments(call, _rows_of(cell, form), steps_of(cell))


ATEN = Backend("aten", _offer, one_step=False)
