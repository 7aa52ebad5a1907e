"""One step of a finished layer or model as a program of recurra_runtime: no PyTorch inside.

The same recording, lowering and laying out as for a call through time; with a single step there is
nothing before or after it, so all its instructions run one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recurra import states
from recurra.engine.assemble import Argument, assemble
from recurra.engine.graph.values import HELD, STEP, Value
from recurra.engine.lower.agreement import recorded_on_some, unseen
from recurra.engine.lower.lowering import Lowered
from recurra.engine.pipeline import lowered_step, planned_step
from recurra.engine.plan.phases import PHASES, Sections
from recurra.engine.record.tape import other_modes
from recurra.engine.record.unrecordable import StepFailed, Unrecordable
from recurra.errors import BackendError, dtype_name
from recurra.states import Tree
from recurra.twins import evaluating
from recurra_runtime import Field, Program

__all__ = ["freeze"]

Step = Callable[[Tree, Tree, Tree], tuple[Tensor, Tree]]


def freeze(module: nn.Module, step: Step, x: Tree, initial: Tree, context: Tree = None) -> Program:
    """Record a step of a module, as in evaluation, with the weights it has now.

    Args:
        module: whose step it is; put into evaluation while it is recorded.
        step: ``(x, state, context) -> (y, state)`` for tensors ``[batch, ...]``.
        x: an example of what a step reads, of one row.
        initial: the state of one row before the first step.
        context: an example of what belongs to a row, or None.

    Raises:
        BackendError: the step cannot be recorded; the message names what is in the way.
    """
    given = [("x", x), ("state", initial), ("context", context)]
    named = [
        ((kind, number), f"{kind}{path}", leaf)
        for kind, tree in given
        for number, (path, leaf) in enumerate(states.paths(tree))
    ]
    try:
        with evaluating(module), torch.no_grad(), unseen():
            return _frozen(step, given, named)
    except Unrecordable as problem:
        advice = "" if isinstance(problem, StepFailed) else " Run it as it is."
        raise BackendError(
            f"{type(module).__name__} cannot be frozen: {str(problem).rstrip('.')}.{advice}"
        ) from None


def _frozen(step: Step, given: list[Any], named: list[Any]) -> Program:
    if why := other_modes():
        raise Unrecordable(why)
    recording, example = recorded_on_some(step, [(tree, 1) for _, tree in given])
    spans = [HELD if kind == "context" else STEP for (kind, _), _, _ in named]
    lowered = lowered_step(recording, step, example, spans)
    planned = planned_step(lowered, [slot for slot, _, _ in named], wanted=None)
    inputs, y, new = planned.inputs, planned.y, planned.states
    fields = {
        name: Field(label, tuple(leaf.shape[1:]), _symbols(lowered, index, leaf))
        for index, (name, label, leaf) in enumerate(named)
    }
    own = [(n, v) for n, v in inputs.items() if n[0] == "shared"]
    tensors = lowered.shared.tensors(dict(lowered.shared.own))
    weights = [tensors[name[1]].detach().to(lowered.dtype).contiguous() for name, _ in own]
    arguments = [
        *(
            Argument(name, field.size, inputs[name])
            for kind in ("x", "context", "state")
            for name, field in fields.items()
            if name[0] == kind
        ),
        *(Argument(("left", index), v.size, result=v) for index, v in enumerate(new)),
        Argument(("y", 0), y.size, result=y),
        *(Argument(name, value.size, value) for name, value in own),
    ]
    assembled = assemble(_as_one(planned.forward), arguments, (), ())
    kind = np.dtype(dtype_name(lowered.dtype))
    read, kept, carried = (
        tuple(field for name, field in fields.items() if name[0] == which)
        for which in ("x", "context", "state")
    )
    return Program(
        assembled.parts,
        read,
        kept,
        carried,
        Field("y", y.shape),
        tuple(leaf[0].numpy().astype(kind) for (k, _), _, leaf in named if k == "state"),
        (
            *(weight.numpy().copy() for weight in weights),
            np.array(assembled.constants, kind),
        ),
    )


def _as_one(forward: Sections) -> Sections:
    """What is computed before, through and after time as one phase."""
    joined = [v for phase in ("before", "through", "after") for v in forward[phase]]
    joined.sort(key=lambda value: value.number)
    phases: dict[str, tuple[Value, ...]] = dict.fromkeys(PHASES, ())
    phases |= {"shared": forward["shared"], "held": forward["held"], "through": tuple(joined)}
    return Sections(phases)


def _symbols(lowered: Lowered, index: int, leaf: Tensor) -> int | None:
    """How many whole numbers an input may hold: rows of the table that it is looked up in.

    Of an input whose parts are looked up in tables of their own, the largest: what is no row of a
    smaller one ends the step with an IndexError.
    """
    if leaf.is_floating_point():
        return None
    if leaf.dtype is torch.bool:
        return 2
    sizes = []
    for value in lowered.graph:
        source = value.inputs[0] if value.op == "lookup" else value
        while source.op != "input" and len(source.inputs) == 1:
            source = source.inputs[0]
        if value.op == "lookup" and source.settings == (("given", index),):
            sizes.append(value.inputs[1].shape[0])
    return max(sizes, default=None)
