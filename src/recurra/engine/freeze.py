"""One step of a finished layer or model as a program of recurra_runtime: no PyTorch inside.

The same recording, lowering and laying out as for a call through time; with a single step there is
nothing before or after it, so all its instructions run one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from recurra import states
from recurra.engine.assemble import Argument, assemble
from recurra.engine.graph.laws import check
from recurra.engine.graph.values import HELD, STEP, Graph, Value
from recurra.engine.lower.agreement import recorded_on_some, unseen
from recurra.engine.lower.lowering import Lowered
from recurra.engine.pipeline import lowered_step
from recurra.engine.plan.bind import bind
from recurra.engine.plan.phases import PHASES, Sections, plan
from recurra.engine.plan.slots import Slot
from recurra.engine.plan.symbols import looked_up, of_symbols
from recurra.engine.record.tape import other_modes
from recurra.engine.record.unrecordable import StepFailed, Unrecordable
from recurra.errors import BackendError, SettingError, dtype_name
from recurra.settings import check_size
from recurra.states import Tree
from recurra.twins import evaluating
from recurra_runtime import Field, Program, Session

__all__ = ["freeze", "streamed"]

# Numbers of the tables that a frozen step has for its symbols: of as many 8 MB are not too many.
_LARGEST_TABLES = 1 << 21

Step = Callable[[Tree, Tree, Tree], tuple[Tensor, Tree]]


def streamed(
    program: Program,
    batch: int,
    held: Sequence[Any] = (),
    threads: int | None = None,
    weights: str | None = None,
) -> Session:
    """A session of a program, as :class:`recurra_runtime.Session` takes its settings.

    Raises:
        SettingError: no rows, no threads, no such weights, or none for this program.
    """
    rows = check_size("batch", batch)
    some = None if threads is None else check_size("threads", threads)
    try:
        return Session(program, rows, held, some, weights)
    except ValueError as problem:
        raise SettingError(f"frozen: {problem}") from None


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
    graph, inputs, y, new = bind(lowered, [slot for slot, _, _ in named], resets=False)
    fields = {
        slot: Field(label, tuple(leaf.shape[1:]), _symbols(lowered, index, leaf))
        for index, (slot, label, leaf) in enumerate(named)
    }
    tensors = lowered.shared.tensors(dict(lowered.shared.own))
    found = _Step(graph, inputs, y, tuple(new), fields, dict(enumerate(tensors)), lowered.dtype)
    kind = np.dtype(dtype_name(lowered.dtype))
    initial = (leaf[0].numpy().astype(kind) for (k, _), _, leaf in named if k == "state")
    return _program(_with_tables(found), tuple(initial))


class _Step(NamedTuple):
    """A step with its inputs by slot.

    Args:
        graph: its instructions.
        inputs: by slot.
        y: the output.
        new: the new state's leaves.
        fields: what rows are given, by slot.
        tensors: what all rows share, by the number of its slot.
        dtype: of all numbers.
    """

    graph: Graph
    inputs: dict[Slot, Value]
    y: Value
    new: tuple[Value, ...]
    fields: dict[Slot, Field]
    tensors: dict[int, Tensor]
    dtype: torch.dtype


def _with_tables(step: _Step) -> _Step:
    """What hangs on a symbol alone is looked up, if a table of it is no large one."""
    slots = {v: slot for slot, v in step.inputs.items() if slot[0] == "x" and v.size == 1}
    tables = of_symbols(step.graph, [step.y, *step.new], slots)
    if not tables or sum(v.size * of.rows for v, of in tables.items()) > _LARGEST_TABLES:
        return step
    graph, places = looked_up(step.graph, tables)
    inputs = {slot: places[value] for slot, value in step.inputs.items()}
    tensors = dict(step.tensors)
    read = {value.settings[0]: value for value in graph if value.op == "input"}
    for value, (symbol, count) in tables.items():
        field = step.fields[slots[symbol]]._replace(symbols=count)
        alone = step._replace(y=value, new=(), fields={slots[symbol]: field})
        every = np.arange(count).reshape(count, *field.shape)
        rows = Session(_program(alone, ()), count, threads=1).step(every)
        number = len(tensors)
        inputs["shared", number] = read["table", value.number]
        tensors[number] = torch.from_numpy(rows.reshape(count, -1))
    new = tuple(places[value] for value in step.new)
    return step._replace(graph=graph, inputs=inputs, y=places[step.y], new=new, tensors=tensors)


def _program(step: _Step, initial: tuple[Any, ...]) -> Program:
    """A step laid out, with its weights."""
    given = {
        slot: v for slot, v in step.inputs.items() if slot in step.fields or slot[0] == "shared"
    }
    planned = plan(step.graph, given, step.y, step.new)
    check(planned.graph, [planned.y, *planned.states])
    needed = {read for value in planned.forward.values() for read in value.inputs}
    inputs, y, new = planned.inputs, planned.y, planned.states
    own = [(n, v) for n, v in inputs.items() if n[0] == "shared" and v in needed]
    weights = [step.tensors[n].detach().to(step.dtype).contiguous() for (_, n), _ in own]
    read, kept, carried = (
        {slot: field for slot, field in step.fields.items() if slot[0] == which}
        for which in ("x", "context", "state")
    )
    arguments = [
        *(Argument(slot, f.size, inputs[slot]) for slot, f in (read | kept | carried).items()),
        *(Argument(("left", index), v.size, result=v) for index, v in enumerate(new)),
        Argument(("y", 0), y.size, result=y),
        *(Argument(slot, value.size, value) for slot, value in own),
    ]
    assembled = assemble(_as_one(planned.forward), arguments, (), ())
    return Program(
        assembled.parts,
        tuple(read.values()),
        tuple(kept.values()),
        tuple(carried.values()),
        Field("y", y.shape),
        initial,
        (
            *(weight.numpy().copy() for weight in weights),
            np.array(assembled.constants, dtype_name(step.dtype)),
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
