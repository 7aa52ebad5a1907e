"""Run planned steps on the native machine: one function of torch, forward and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recurra import states
from recurra.cells.base import Cell, Noise
from recurra.engine.assemble import Argument, Assembled, assemble
from recurra.engine.call import Call, Result
from recurra.engine.graph import HELD, STEP, Graph, Value
from recurra.engine.lower import Lowered, lower
from recurra.engine.plan import Plan, plan
from recurra.engine.record import record
from recurra.states import Tree, map_tree
from recurra_runtime.backend import core

__all__ = ["Machine", "run_native"]

Name = tuple[str, int]


@dataclasses.dataclass(frozen=True)
class Program:
    """A program with what a call needs to know of it.

    Args:
        names: of its arguments, in order.
        made: by the native core.
        constants: its last argument.
        flops: of one row in one step.
    """

    names: tuple[Any, ...]
    made: Any
    constants: np.ndarray[Any, Any]
    flops: float


def build(assembled: Assembled, dtype: torch.dtype) -> Program:
    """Hand a program to the native core."""
    native = core()
    assert native is not None
    kind = np.float64 if dtype is torch.float64 else np.float32
    return Program(
        tuple(argument.name for argument in assembled.arguments),
        native.Program.make(*assembled.parts),
        np.array(assembled.constants, kind),
        assembled.flops,
    )


@dataclasses.dataclass
class Rows:
    """How the rows of a call lie.

    Args:
        time: steps.
        batch: rows.
        lengths: sorted as ``order`` says, or None.
        order: the rows as the threads take them, or None.
        reverse: whether steps run from last to first.
        threads: how many share the work.
    """

    time: int
    batch: int
    lengths: Tensor | None
    order: Tensor | None
    reverse: bool
    threads: int


def run_program(program: Program, rows: Rows, given: Mapping[Any, tuple[int, ...]], descending: bool) -> None:
    """Call the machine.

    Args:
        program: what to run.
        rows: of the call.
        given: for each argument address, stride of a step and of a row, shift, ring, mapped.
        descending: the direction of time.
    """
    flat: list[int] = []
    for name in program.names:
        flat += given[name]
    flat += (program.constants.ctypes.data, 0, 0, 0, 0, 0)
    share = -(-rows.batch // max(min(rows.threads, rows.batch), 1))
    chunk = max(1, min(rows.time, -(-256 // share)))
    window = max(1, min(chunk, -(-32 // share)))
    program.made.run(
        program.constants.dtype == np.float64,
        rows.time,
        rows.batch,
        0 if rows.lengths is None else rows.lengths.data_ptr(),
        0 if rows.order is None else rows.order.data_ptr(),
        descending,
        rows.threads,
        chunk,
        window,
        flat,
    )


class Machine:
    """A cell's step, planned and assembled for one kind of call.

    Args:
        lowered: the step.
        spans: of its row inputs.
        names: of its row inputs.
        initial_names: of the state's leaves.
        wanted: names of inputs whose gradients are wanted; None in inference.
        strides: of the shared inputs, in order.
        resets: whether there are any.
        all_states: whether all states are wanted.
        dtype: of all numbers.
    """

    def __init__(
        self,
        lowered: Lowered,
        names: Sequence[Name],
        states_count: int,
        wanted: Sequence[Name] | None,
        strides: Sequence[tuple[int, ...]],
        resets: bool,
        all_states: bool,
        dtype: torch.dtype,
    ) -> None:
        graph, inputs, y, new = _prepared(lowered, names, states_count, resets)
        self.dtype, self.all_states, self.resets = dtype, all_states, resets
        self.states = states_count
        self.plan = plan(graph, inputs, y, new, {}, wanted, all_states=all_states)
        self.strides = strides
        self.y_state = new.index(y) if y in new else None
        self.shapes = [value.shape for value in new]
        self.y_shape = y.shape
        self.keeps = wanted is not None
        self.forward = build(self._forward(), dtype)
        self.backward = build(self._backward(), dtype) if wanted is not None else None

    def _in(self, name: Name, value: Value) -> Argument:
        strides = self.strides[name[1]] if name[0] == "shared" else None
        size = value.size if strides is None else _extent(value.shape, strides)
        return Argument(name, size, value, strides)

    def _forward(self) -> Assembled:
        p = self.plan
        read = _read(p.forward) | {p.y, *p.states}
        arguments = [
            self._in(name, value)
            for name, value in p.inputs.items()
            if name[0] not in ("dy", "dstate", "dstates", "state")
            and (value in read)
        ]
        carries = []
        for place, value in enumerate(p.states):
            arguments.append(self._in(("state", place), p.inputs["state", place]))
            arguments.append(Argument(("state_out", place), value.size, result=value))
            arguments.append(Argument(("from", place), value.size))
            arguments.append(Argument(("to", place), value.size))
            carries.append((("from", place), ("state", place), ("state_out", place), ("to", place)))
        if self.y_state is None:
            arguments.append(Argument(("y", 0), p.y.size, result=p.y))
        arguments += [
            Argument(("saved", place), value.size, result=value) for place, value in enumerate(p.saved)
        ]
        padded = [("y", 0)] if self.y_state is None else [("state_out", self.y_state)]
        if self.all_states:
            padded += [("state_out", i) for i in range(self.states) if ("state_out", i) not in padded]
        rings = [] if self.keeps else _ends("state", self.states)
        return assemble(p.forward, arguments, carries, padded, rings)

    def _backward(self) -> Assembled:
        p = self.plan
        assert p.backward is not None
        read = _read(p.backward) | set(p.gradients.values())
        arguments = [
            self._in(name, value)
            for name, value in p.inputs.items()
            if value in read and name[0] != "dstate"
        ]
        known = {argument.value for argument in arguments}
        extra = [(("saved", i), v) for i, v in enumerate(p.saved)]
        extra += [(("state_out", i), v) for i, v in enumerate(p.states)]
        if self.y_state is None:
            extra.append((("y", 0), p.y))
        for name, value in extra:
            if value in read and value not in known:
                arguments.append(Argument(name, value.size, value))
                known.add(value)
        carries = []
        for place, value in enumerate(p.states):
            name = ("state", place)
            back = p.gradients.get(name)
            arguments.append(Argument(("dstate", place), value.size, p.inputs["dstate", place]))
            arguments.append(Argument(("dstate_out", place), value.size, result=back))
            arguments.append(Argument(("dfrom", place), value.size))
            arguments.append(Argument(("dto", place), value.size))
            carries.append(
                (("dfrom", place), ("dstate", place), ("dstate_out", place), ("dto", place))
            )
        padded = []
        for name, value in p.gradients.items():
            if name[0] == "state":
                continue
            strides = self.strides[name[1]] if name[0] == "shared" else None
            if strides is not None and _extent(value.shape, strides) != value.size:
                strides = None
            arguments.append(Argument(("d", name), value.size, None, strides, value))
            if value.span == STEP:
                padded.append(("d", name))
        rings = _ends("dstate", self.states)
        return assemble(p.backward, arguments, carries, padded, rings)


def _ends(name: str, count: int) -> list[Name]:
    """What a step reads of the one before, and leaves for the next."""
    return [(kind, place) for place in range(count) for kind in (name, f"{name}_out")]


def _read(sections: Any) -> set[Value]:
    return {read for phase in sections.phases.values() for value in phase for read in value.inputs}


def _extent(shape: Sequence[int], strides: Sequence[int]) -> int:
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))


def _prepared(
    lowered: Lowered, names: Sequence[Name], count: int, resets: bool
) -> tuple[Graph, dict[Name, Value], Value, list[Value]]:
    """The graph with its inputs by name, and with resets where there are any."""
    graph = Graph()
    inputs: dict[Name, Value] = {}
    swapped: dict[Value, Value] = {}
    moving: set[Value] = set()  # what hangs on the state
    reset = None
    if resets:
        reset = inputs["reset", 0] = graph.input(("reset", 0), (1,), STEP)
    for value in lowered.graph:
        if value.op != "input":
            reads = tuple(swapped[read] for read in value.inputs)
            if value.op == "linear" and _mixed(reads[0], moving):
                swapped[value] = _parted(graph, *reads, moving)
            else:
                swapped[value] = graph.copy(value, reads)
            if any(read in moving for read in reads):
                moving.add(swapped[value])
            continue
        kind, place = value.settings[0]
        name = names[place] if kind == "given" else ("shared", place)
        own = inputs[name] = graph.input(name, value.shape, value.span)
        if name[0] == "state" and reset is not None:
            start = inputs["initial", name[1]] = graph.input(("initial", name[1]), value.shape, HELD)
            rank = max(len(value.shape), 1)
            mask = graph.reshape(reset, (1,) * rank) if value.shape else graph.reshape(reset, ())
            own = graph.apply("where", mask, start, own)
        swapped[value] = own
        if name[0] == "state":
            moving.add(own)
    outputs = [swapped[value] for value in lowered.outputs]
    return graph, inputs, outputs[0], outputs[1:]


def _mixed(x: Value, moving: set[Value]) -> bool:
    """Does it put what hangs on the state beside what does not?"""
    if x.op != "concat" or x.settings != (len(x.shape) - 1,):
        return False
    return len({part in moving for part in x.inputs}) == 2


def _parted(graph: Graph, x: Value, weight: Value, moving: set[Value]) -> Value:
    """A product for each part, first those that can be computed before time."""
    products: list[tuple[bool, Value]] = []
    start = 0
    for part in x.inputs:
        stop = start + part.shape[-1]
        product = graph.linear(part, graph.slice(weight, 0, start, stop))
        products.append((part in moving, product))
        if part in moving:
            moving.add(product)
        start = stop
    products.sort(key=lambda pair: pair[0])
    total = products[0][1]
    for late, product in products[1:]:
        total = graph.apply("add", total, product)
        if late:
            moving.add(total)
    return total


# ---- one call ------------------------------------------------------------------------------------


class _Through(torch.autograd.Function):
    """A whole call: every buffer is its own."""

    @staticmethod
    def forward(ctx: Any, machine: Machine, rows: Rows, names: tuple[Name, ...], *tensors: Tensor) -> Any:
        given = dict(zip(names, tensors, strict=True))
        m, shared_like = machine, tensors[0]
        T, B = rows.time, rows.batch
        shift_in, shift_out = (1, 0) if rows.reverse else (0, 1)
        where: dict[Any, tuple[int, ...]] = {}
        kept: list[Any] = []
        for name, tensor in given.items():
            where[name] = _address(name, tensor)
        ends, all_states = [], []
        width = m.dtype.itemsize
        native = core()
        y = None
        for place, shape in enumerate(m.shapes):
            size = _size(shape)
            start = given["from", place]
            end = shared_like.new_empty(start.shape)
            ends.append(end)
            where["to", place] = (end.data_ptr(), 0, size, 0, 0, 1)
            if place == m.y_state or m.all_states:
                whole = shared_like.new_empty((T + 1, B, *shape))
                address, mapped, ring, step = whole.data_ptr(), 1, 0, B * size
                view = _alias(whole, shift_out, T)
                kept.append(whole)
                if place == m.y_state:
                    y = view
                all_states.append(view if m.all_states else None)
            else:
                count = (T + 1) if m.keeps else 2
                block = native.Kept(count * B * size * width)
                kept.append(block)
                address, mapped, ring, step = block.address, 0, int(not m.keeps), B * size
                all_states.append(None)
            where["state", place] = (address, step, size, shift_in, ring, mapped)
            where["state_out", place] = (address, step, size, shift_out, ring, mapped)
        if y is None:
            y = shared_like.new_empty((T, B, *m.y_shape))
            size = _size(m.y_shape)
            where["y", 0] = (y.data_ptr(), B * size, size, 0, 0, 1)
        for place, value in enumerate(m.plan.saved):
            count = value.size * B * (T if value.span == STEP else 1)
            block = native.Kept(count * width)
            kept.append(block)
            step = B * value.size if value.span == STEP else 0
            where["saved", place] = (block.address, step, value.size, 0, 0, 0)
        run_program(m.forward, rows, where, rows.reverse)
        if rows.reverse and rows.lengths is not None:
            # Behind the end of a row stands the state it began with, where zeros are due.
            y = _ended(y, rows) if m.y_state is not None else y
            all_states = [view if view is None else _ended(view, rows) for view in all_states]
        if m.keeps:
            ctx.machine, ctx.rows, ctx.where, ctx.kept, ctx.names = m, rows, where, kept, names
            ctx.save_for_backward(*tensors, y)
            ctx.set_materialize_grads(False)
        out = (y, *ends)
        if m.all_states:
            out += tuple(v if i != m.y_state else v.clone() for i, v in enumerate(all_states))
        return out

    @staticmethod
    def backward(ctx: Any, dy: Any, *more: Any) -> Any:
        m, rows, where = ctx.machine, ctx.rows, dict(ctx.where)
        *tensors, y = ctx.saved_tensors
        given = dict(zip(ctx.names, tensors, strict=True))
        T, B = rows.time, rows.batch
        like = y
        native = core()
        hold: list[Any] = []
        shift_in, shift_out = (0, 1) if rows.reverse else (1, 0)

        def gradient(value: Any, shape: tuple[int, ...], steps: bool) -> tuple[int, ...]:
            size = _size(shape)
            if value is None:
                blank = like.new_zeros(size)
                hold.append(blank)
                return (blank.data_ptr(), 0, 0, 0, 0, 0)
            if not _inner(value, 2 if steps else 1):
                value = value.contiguous()
            hold.append(value)
            if steps:
                return (value.data_ptr(), value.stride(0), value.stride(1), 0, 0, 1)
            return (value.data_ptr(), 0, value.stride(0), 0, 0, 1)

        where["dy", 0] = gradient(dy, m.y_shape, True)
        results: dict[Name, Tensor] = {}
        for place, shape in enumerate(m.shapes):
            size = _size(shape)
            where["dfrom", place] = gradient(more[place], shape, False)
            if m.all_states:
                where["dstates", place] = gradient(more[len(m.shapes) + place], shape, True)
            block = native.Kept(2 * B * size * m.dtype.itemsize)
            hold.append(block)
            where["dstate", place] = (block.address, B * size, size, shift_in, 1, 0)
            where["dstate_out", place] = (block.address, B * size, size, shift_out, 1, 0)
            end = like.new_empty((B, *shape))
            results["from", place] = end
            where["dto", place] = (end.data_ptr(), 0, size, 0, 0, 1)
        for name, value in m.plan.gradients.items():
            if name[0] == "state":
                continue
            tensor = given[name]
            lead = (T, B) if value.span == STEP else (B,) if value.span == HELD else ()
            if value.span == 0:
                strides = m.strides[name[1]]
                if _extent(value.shape, strides) != value.size:
                    result = like.new_empty(value.shape)
                else:
                    result = torch.empty_strided(value.shape, strides, dtype=like.dtype)
                where["d", name] = (result.data_ptr(), 0, 0, 0, 0, 0)
            else:
                result = like.new_empty((*lead, *value.shape))
                step = B * value.size if value.span == STEP else 0
                where["d", name] = (result.data_ptr(), step, value.size, 0, 0, 1)
            results[name] = result
        run_program(m.backward, rows, where, not rows.reverse)
        del hold
        return (None, None, None, *(results.get(name) for name in ctx.names))


def _size(shape: Sequence[int]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def _alias(whole: Tensor, start: int, steps: int) -> Tensor:
    """Steps of a buffer as a tensor that autograd does not take for a view."""
    offset = whole.storage_offset() + start * whole.stride(0)
    return torch.empty(0, dtype=whole.dtype).set_(
        whole.untyped_storage(), offset, (steps, *whole.shape[1:]), whole.stride()
    )


def _ended(values: Tensor, rows: Rows) -> Tensor:
    """A copy with zeros right behind the end of each row."""
    assert rows.lengths is not None
    assert rows.order is not None
    short = rows.lengths < rows.time
    copy = values.clone()
    copy[rows.lengths[short], rows.order[short]] = 0
    return copy


def _inner(tensor: Tensor, lead: int) -> bool:
    """Do the features of a row lie side by side?"""
    size = 1
    for length, stride in zip(reversed(tensor.shape[lead:]), reversed(tensor.stride()[lead:]), strict=True):
        if length != 1 and stride != size:
            return False
        size *= length
    return True


_STEPS = ("x", "noise", "reset")


def _address(name: Name, tensor: Tensor) -> tuple[int, ...]:
    if name[0] == "shared":
        return (tensor.data_ptr(), 0, 0, 0, 0, 0)
    if name[0] in _STEPS:
        return (tensor.data_ptr(), tensor.stride(0), tensor.stride(1), 0, 0, 1)
    return (tensor.data_ptr(), 0, tensor.stride(0), 0, 0, 1)


_MACHINES: dict[Any, Any] = {}


def run_native(cell: Cell, call: Call) -> Result:
    """Run a call of a cell that can be recorded."""
    given = _given(call)
    key = (id(cell), tuple((n, t.shape[2 if n[0] in _STEPS else 1 :]) for n, t in given), cell.training)
    lowered = _MACHINES.get(key)
    if lowered is None:
        lowered = _MACHINES[key] = lower(
            _recorded(cell, call), [STEP if n[0] in (*_STEPS, "state") else HELD for n, _ in given]
        )
    shared = lowered.shared.tensors({})
    names = [name for name, _ in given]
    tensors = dict(given)
    grads = torch.is_grad_enabled()
    wanted: list[Name] | None = None
    resets = call.resets is not None
    if grads and any(t.requires_grad for t in (*tensors.values(), *shared)):
        wanted = [name for name, t in given if t.requires_grad and name[0] != "state"]
        wanted += [("shared", i) for i, t in enumerate(shared) if t.requires_grad]
        if resets:
            wanted += [
                ("initial", i)
                for i, t in enumerate(states.leaves(call.initial))
                if t.requires_grad
            ]
    strides = tuple(t.stride() for t in shared)
    dtype = next(iter(tensors.values())).dtype
    key2 = (key, None if wanted is None else tuple(wanted), strides, resets, call.return_states, dtype)
    machine = _MACHINES.get(key2)
    if machine is None:
        count = sum(name[0] == "state" for name in names)
        machine = _MACHINES[key2] = Machine(
            lowered, names, count, wanted, strides, resets, call.return_states, dtype
        )
    return _call(machine, call, given, shared)


def _given(call: Call) -> list[tuple[Name, Tensor]]:
    trees = [("x", call.inputs), ("state", call.state), ("context", call.context)]
    if call.noise is not None:
        trees += [("noise", call.noise.step), ("held", call.noise.held)]
    return [
        ((kind, place), leaf) for kind, tree in trees for place, leaf in enumerate(states.leaves(tree))
    ]


def _recorded(cell: Cell, call: Call) -> Any:
    def rows(tree: Tree, lead: int, batch: int) -> Tree:
        return map_tree(lambda leaf: torch.randn(batch, *leaf.shape[lead:], dtype=leaf.dtype), tree)

    noisy = call.noise is not None

    def example(batch: int) -> Tree:
        found = (rows(call.inputs, 2, batch), rows(call.state, 1, batch), rows(call.context, 1, batch))
        if noisy:
            found += (rows(call.noise.step, 2, batch), rows(call.noise.held, 1, batch))
        return found

    def step(x: Tree, state: Tree, context: Tree, *noise: Tree) -> Any:
        return cell.step(x, state, context, Noise(*noise) if noisy else None)

    return record(step, example)


def _call(machine: Machine, call: Call, given: list[tuple[Name, Tensor]], shared: list[Tensor]) -> Result:
    tensors: dict[Name, Tensor] = {}
    for name, tensor in given:
        lead = 2 if name[0] in _STEPS else 1
        if name[0] == "state":
            name = ("from", name[1])
        tensors[name] = tensor if _inner(tensor, lead) else tensor.contiguous()
    for place, tensor in enumerate(shared):
        tensors["shared", place] = tensor
    if machine.resets:
        marks = call.resets
        assert marks is not None
        if call.reverse:
            marks = torch.cat([marks[1:], torch.zeros_like(marks[:1])])
        tensors["reset", 0] = marks.to(machine.dtype).contiguous()
        for place, leaf in enumerate(states.leaves(call.initial)):
            tensors["initial", place] = leaf.contiguous()
    threads = max(min(torch.get_num_threads(), call.batch), 1)
    lengths = order = None
    if call.lengths is not None:
        order = torch.argsort(call.lengths, descending=True, stable=True)
        if threads > 1:  # each thread gets long and short ones, still sorted
            order = torch.cat([order[threads - 1 - part :: threads] for part in range(threads)])
        lengths = call.lengths[order].contiguous()
    rows = Rows(call.time, call.batch, lengths, order, call.reverse, threads)
    found = _Through.apply(machine, rows, tuple(tensors), *tensors.values())
    y, *rest = found
    ends = rest[: machine.states]
    if call.reverse and call.resets is not None:
        ends = [
            torch.where(call.resets[0].view(-1, *(1,) * (e.dim() - 1)), i, e)
            for e, i in zip(ends, states.leaves(call.initial), strict=True)
        ]
    every = None
    if machine.all_states:
        every = states.with_leaves(call.state, rest[machine.states :])
    return Result(y, states.with_leaves(call.state, ends), every)
