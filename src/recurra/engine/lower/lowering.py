"""From a recording to a graph of instructions.

What hangs on parameters alone stays a list of calls of torch: it is computed once a run, under
torch's own autograd, and its results are inputs of the graph.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from recurra.engine.graph.values import SHARED, STEP, Graph, Value
from recurra.engine.lower.rules import TABLE, Lowering, Operand, features
from recurra.engine.record.instead import instead
from recurra.engine.record.tape import Called, Recording, Ref
from recurra.engine.record.unrecordable import Unrecordable
from recurra.errors import dtype_name

__all__ = ["Lowered", "Shared", "lower"]


@dataclasses.dataclass(frozen=True)
class Shared:
    """What all rows share: the step's own tensors, and what is computed from them alone.

    Args:
        own: tensors found in the step's surroundings, by number.
        calls: of torch, in order.
        wanted: numbers of the tensors that the graph reads, in the order of its inputs.
        known: own tensors whose numbers are a part of the graph (an index is), as they were.
    """

    own: Mapping[int, Tensor]
    calls: tuple[Called, ...]
    wanted: tuple[int, ...]
    known: Mapping[int, Tensor]

    def stale(self, now: Mapping[int, Tensor]) -> bool:
        """Have numbers that are a part of the graph changed?

        Args:
            now: own tensors as they are, by number.
        """
        return any(not torch.equal(now[number], then) for number, then in self.known.items())

    def tensors(self, replace: Mapping[int, Tensor]) -> list[Tensor]:
        """What the graph reads, computed by torch, differentiably.

        Args:
            replace: stands in for own tensors, by number.

        Raises:
            Unrecordable: torch refuses a call, as a view of a tensor that now lies otherwise.
        """
        found = {**self.own, **replace}
        if not self.calls:
            return [found[number] for number in self.wanted]
        for call in self.calls:
            args = _filled(call.args, found.__getitem__)
            named = call.kwargs.items()
            kwargs = {name: _filled(value, found.__getitem__) for name, value in named}
            with torch.set_grad_enabled(torch.is_grad_enabled() and not call.stops):
                try:
                    result = call.op(*args, **kwargs)
                except RuntimeError as problem:
                    raise Unrecordable(
                        f"{call.name} cannot be called again as it was recorded ({call.line}), "
                        f"as a tensor of the cell now lies otherwise in memory: {problem}; make it "
                        "contiguous"
                    ) from problem
            several = result if isinstance(result, tuple | list) else (result,)
            tensors = [each for each in several if isinstance(each, Tensor)]
            found.update(zip(call.outputs, tensors, strict=True))
        return [found[number] for number in self.wanted]


@dataclasses.dataclass(frozen=True)
class Lowered:
    """A step as a graph.

    Args:
        graph: its instructions. The inputs are named ``("given", i)``, the i-th row input, and
            ``("shared", i)``, the i-th of ``shared``.
        outputs: y, then the leaves of the new state.
        shared: how what all rows share is computed.
        dtype: of the numbers it computes with.
        kinds: types of the outputs, as the step gives them.
    """

    graph: Graph
    outputs: tuple[Value, ...]
    shared: Shared
    dtype: torch.dtype
    kinds: tuple[torch.dtype, ...]


def lower(recording: Recording, spans: Sequence[int]) -> Lowered:
    """Lower a recording.

    Args:
        recording: of a step.
        spans: of each row input: ``STEP``, or ``HELD`` where it is the same at every step.

    Raises:
        Unrecordable: there is no instruction for an operation; the message names it and the line.
    """
    return _Lowerer(recording, spans).result()


_DTYPES = (torch.float32, torch.float64, torch.bool)
# Whole numbers are kept among the others; where they are computed with, they are as wide as these.
_WHOLE = (torch.int64, torch.int32)
_NARROW = (torch.int16, torch.int8, torch.uint8)
# Arguments that say how numbers are kept, not which.
_UNIMPORTANT = ("dtype", "layout", "device", "pin_memory", "memory_format", "non_blocking")


class _Lowerer:
    """Lowers the calls of a recording, one after another.

    Args:
        recording: of a step.
        spans: of its row inputs.
    """

    def __init__(self, recording: Recording, spans: Sequence[int]) -> None:
        self.recording, self.graph = recording, Graph()
        self.rows: dict[int, Value] = {}
        self.wanted: dict[int, Value] = {}
        self.turned: dict[int, int] = {}
        self.shared: list[Called] = []
        self.own = dict(recording.own)
        self.known: dict[int, Tensor] = {}
        floats = [recording.seen[number].dtype for number in (*recording.given, *recording.own)]
        self.dtype = next((d for d in floats if d.is_floating_point), torch.float32)
        for index, number in enumerate(recording.given):
            seen = recording.seen[number]
            if seen.dtype not in (*_DTYPES, *_WHOLE, *_NARROW):
                raise Unrecordable(
                    f"the step reads {dtype_name(seen.dtype)}, of which there are no instructions; "
                    "give it float32, float64, bool or int64"
                )
            given = self.graph.input(("given", index), features(seen), spans[index])
            # No gradient goes to a number that is whole.
            flat = not seen.dtype.is_floating_point
            self.rows[number] = self.graph.stop(given) if flat else given

    def result(self) -> Lowered:
        """The whole step."""
        recording = self.recording
        for call in recording.calls:
            if self._is_shared(call):
                self.shared.append(call)
                if self._turns(call):
                    self.turned[call.outputs[0]] = next(call.refs())
            else:
                self._lower(call)
        outputs = tuple(self._output(number) for number in recording.outputs)
        self._check_sizes(outputs)
        wanted = tuple(self.wanted)
        needed = _needed(self.shared, wanted)
        kinds = tuple(recording.seen[number].dtype for number in recording.outputs)
        shares = Shared(self.own, needed, wanted, self.known)
        return Lowered(self.graph, outputs, shares, self.dtype, kinds)

    def _is_shared(self, call: Called) -> bool:
        """Does it read and give only what all rows share?"""
        results = [self.recording.seen[number] for number in call.outputs]
        return not any(number in self.rows for number in call.refs()) and all(
            result.axis is None for result in results
        )

    def _turns(self, call: Called) -> bool:
        """Is it a matrix turned? In the graph that costs nothing, while torch's call does."""
        two = len(self.recording.seen[call.outputs[0]].shape) == 2
        return two and call.name == "t" and not call.stops

    def _lower(self, call: Called) -> None:
        results = [self.recording.seen[number] for number in call.outputs]
        name = call.name
        rule = TABLE.get(name) or TABLE.get(name.removesuffix("_"))
        if rule is None:
            raise Unrecordable(f"there is no instruction for {name} ({call.line}); {instead(name)}")
        for result in results:
            self._check_kind(call, result.dtype)
        now = Lowering(self.graph, call, results, self._fixed)
        args = _filled(call.args, self._operand)
        kwargs = {
            key: _filled(value, self._operand)
            for key, value in call.kwargs.items()
            if key not in _UNIMPORTANT
        }
        try:
            found = rule(now, *args, **kwargs)
        except (TypeError, ValueError, IndexError, AttributeError) as problem:
            raise Unrecordable(
                f"{name} is called in a way that has no instruction ({call.line}; {problem}); "
                f"{instead(name)}"
            ) from problem
        values = found if isinstance(found, tuple) else (found,)
        for number, result, value in zip(call.outputs, results, values, strict=True):
            shaped = self.graph.expand(value, features(result))
            self.rows[number] = self._stopped(call, shaped) if call.stops else shaped

    def _stopped(self, call: Called, value: Value) -> Value:
        """What was computed with gradients off; in place a tensor keeps the gradient it had."""
        before = self.rows.get(next(call.refs())) if call.op._schema.is_mutable else None
        if before is None or before.shape != value.shape:
            return self.graph.stop(value)
        return self.graph.route(value, before)

    def _check_kind(self, call: Called, kind: torch.dtype) -> None:
        """Are there instructions that give this type?"""
        name = call.name.removesuffix("_")
        there = kind in (torch.bool, self.dtype) or name in _MOVES
        if not (there or (kind in _WHOLE and name in _COUNTS)):
            advice = instead(call.name)
            if kind.is_floating_point:
                advice = "write it in the type that x has"
            elif kind in _NARROW:
                advice = "convert it by .long() first"
            raise Unrecordable(
                f"{call.name} gives {dtype_name(kind)}, of which there are no instructions beside "
                f"{dtype_name(self.dtype)} ({call.line}); {advice}"
            )
        if kind in _WHOLE and name in _DIVIDES:
            by = call.args[1]
            if isinstance(by, Ref) and by.number in self.rows:
                raise Unrecordable(
                    f"{call.name} divides whole numbers by those of a row, where torch has an "
                    f"error for 0 ({call.line}); divide floats, then round"
                )

    def _output(self, number: int) -> Value:
        """A tensor that the step returns or names, of which each step has its own."""
        value = self.rows.get(number)
        if value is None:
            raise Unrecordable(
                "the step returns or names something that has no rows; add it to what has, or "
                "expand it to them"
            )
        return self.graph.expand(value, value.shape, STEP)

    def _check_sizes(self, outputs: tuple[Value, ...]) -> None:
        """The machine has no instructions on nothing."""
        needed = set(outputs)
        for value in reversed(self.graph.values):
            if value in needed:
                needed.update(value.inputs)
                if not value.size:
                    raise Unrecordable(
                        f"the step computes with a tensor of shape {list(value.shape)} a row, "
                        "which has no numbers; leave it out"
                    )

    def _operand(self, number: int) -> Operand:
        """A tensor as an operand."""
        seen = self.recording.seen[number]
        value = self.rows.get(number)
        if value is None:
            if seen.axis is not None:
                raise Unrecordable(
                    "the step reads a tensor of the size of the batch from outside; make it of x, "
                    "with torch.zeros_like(x) or x.new_zeros(...)"
                )
            if seen.dtype not in (*_DTYPES, *_WHOLE, *_NARROW):
                raise Unrecordable(
                    f"the step reads a tensor of {dtype_name(seen.dtype)}, of which there are no "
                    f"instructions but of {dtype_name(self.dtype)}; make it one of these"
                )
            known = partial(self._known, number)
            if number in self.turned:
                turned = self._operand(self.turned[number])
                value = self.graph.permute(turned.value, (1, 0))
                return turned._replace(value=value, known=known)
            value = self._shared_input(number, seen.shape)
            return Operand(value, None, len(seen.shape), seen.dtype, known=known)
        return Operand(value, seen.axis, len(seen.shape), seen.dtype, seen.times)

    def _shared_input(self, number: int, shape: tuple[int, ...]) -> Value:
        """A tensor that all rows share, as an input of the graph."""
        if number not in self.wanted:
            name = ("shared", len(self.wanted))
            self.wanted[number] = self.graph.input(name, shape, SHARED)
        return self.wanted[number]

    def _fixed(self, tensor: Tensor) -> Value:
        """Numbers that a rule made, as an input of the graph."""
        number = len(self.recording.seen) + len(self.own)
        self.own[number] = tensor if tensor.dtype is torch.bool else tensor.to(self.dtype)
        return self._shared_input(number, tuple(tensor.shape))

    def _known(self, number: int) -> Tensor:
        """The numbers of a tensor that all rows share; from now on they may not change."""
        calls = _needed(self.shared, (number,))
        read = {number, *(ref for call in calls for ref in call.refs())}
        for own in read & set(self.own):
            if self.own[own].requires_grad:  # else every step of training would be recorded anew
                raise Unrecordable(
                    "an index hangs on what is trained; write x.gather(1, index), or torch.where"
                )
            self.known[own] = self.own[own].detach().clone()
        with torch.no_grad():
            return Shared(self.own, calls, (number,), {}).tensors({})[0]


# Operations that mean the same for whole numbers, which the machine has among its own.
_MOVES = frozenset(
    [
        "_unsafe_view", "alias", "cat", "clone", "detach", "expand", "flip", "permute", "repeat",
        "reshape", "roll", "select", "slice", "split", "split_with_sizes", "squeeze", "stack", "t",
        "transpose", "unbind", "unsqueeze", "view",
    ]
)  # fmt: skip


# Those that are exact for whole numbers up to a bound that a call checks.
_COUNTS = frozenset(
    [
        "_to_copy", "abs", "add", "amax", "amin", "argmax", "argmin", "clamp", "clamp_max",
        "clamp_min", "cummax", "cummin", "cumsum", "div", "floor_divide", "fmod", "full",
        "full_like", "gather", "index", "index_select", "masked_fill", "max", "maximum", "min",
        "minimum", "mul", "neg", "new_full", "new_ones", "new_zeros", "ones", "ones_like",
        "remainder", "rsub", "sgn", "sign", "square", "sub", "sum", "to", "where",
        "zeros", "zeros_like",
    ]
)  # fmt: skip
_DIVIDES = frozenset(["div", "floor_divide", "fmod", "remainder"])


def _filled(tree: Any, tensor: Callable[[int], Any]) -> Any:
    """Arguments with something in place of each :class:`Ref`."""
    if isinstance(tree, Ref):
        return tensor(tree.number)
    if isinstance(tree, tuple | list):
        return type(tree)(_filled(part, tensor) for part in tree)
    return tree


def _needed(calls: list[Called], wanted: tuple[int, ...]) -> tuple[Called, ...]:
    """The calls whose results are wanted."""
    needed, kept = set(wanted), []
    for call in reversed(calls):
        if needed & set(call.outputs):
            kept.append(call)
            needed.update(call.refs())
    return tuple(reversed(kept))
