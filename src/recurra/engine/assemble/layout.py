"""Where each value lies: in an argument, in the memory of another value, or in its own."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

from recurra.engine.assemble.code import Code
from recurra.engine.assemble.fusion import Fusion
from recurra.engine.assemble.memory import CHUNK, HELD_PLACE, SHARED_PLACE, Argument, Memory
from recurra.engine.assemble.strides import Strided, merged, packed, repeated, reshaped
from recurra.engine.graph.values import SHARED, STEP, VIEWS, Value
from recurra.engine.plan.phases import Sections
from recurra.engine.record.unrecordable import Unrecordable

__all__ = ["Layout"]

_LEFT = ("state_out", "dstate_out")  # what a step leaves to the next one


class Layout:
    """The places of values, which are found while instructions are written.

    Args:
        sections: values by phase.
        arguments: the memory that a call gives.
        rings: names of those that keep the last step only.
        code: gets the copies that a place takes.
    """

    now: str
    """The section that is being written."""
    at: int
    """The index in its phase of the value that is being computed."""

    def __init__(
        self,
        sections: Sections,
        arguments: Sequence[Argument],
        rings: Collection[Any],
        code: Code,
    ) -> None:
        self.arguments, self.rings, self.code = tuple(arguments), set(rings), code
        self.memory = Memory(arguments)
        self.now, self.at = "shared", 0
        self.places: dict[Value, Strided] = {}
        self.results: dict[Value, list[int]] = {}
        for index, argument in enumerate(arguments):
            if argument.value is not None:
                self.places[argument.value] = self.argument(index, argument.value)
            if argument.result is not None:
                self.results.setdefault(argument.result, []).append(index)
        left = {v for v, indices in self.results.items() if any(map(self.carried, indices))}
        self.fusion = Fusion(sections, self.results, left)
        self._kept: dict[Value, Strided] = {}

    # ---- where results go ------------------------------------------------------------------------

    def allocate(self, value: Value) -> Strided:
        """Where the result of an instruction goes."""
        if value in self.places:
            return self.places[value]
        if (index := self._direct(value)) is not None:
            place = self.argument(index, value)
        elif value in self.fusion.inside:
            whole, start = self.fusion.inside[value]
            place = self.allocate(whole).part(whole.settings[0], start)
        else:
            place = Strided(self._buffer(value), 0, packed(value.shape))
        self.places[value] = place
        return place

    def argument(self, index: int, value: Value) -> Strided:
        """The place of a value that is read from an argument, or written to it."""
        return Strided(index, 0, self.arguments[index].strides or packed(value.shape))

    def carried(self, index: int) -> bool:
        """Does the next step read what is written to this argument?"""
        return self.arguments[index].name[0] in _LEFT

    def aside(self, value: Value) -> Strided:
        """Room for a copy, side by side, that only the instruction that comes next needs."""
        if value.span != STEP:
            buffer = self._steady(value)
        elif self.now == "sums":
            buffer = self.memory.new(CHUNK, value.size)
        else:
            buffer = self.memory.temporary(self.now, value.size, self.at)
        return Strided(buffer, 0, packed(value.shape))

    def _direct(self, value: Value) -> int | None:
        """The argument in whose memory a result is computed."""
        for index in self.results.get(value, ()):
            # What the next step reads must be left step by step, not for many steps at once.
            if self.fusion.phase[value] == "through" or not self.carried(index):
                return index
        return None

    def _buffer(self, value: Value) -> int:
        """Memory of its own, as short-lived as its uses allow."""
        if value.span != STEP:
            return self._steady(value)
        fusion = self.fusion
        phase, uses = fusion.phase[value], fusion.uses(value)
        parts = [part for part, (whole, _) in fusion.inside.items() if whole is value]
        phases = {name for name, _ in uses} | {fusion.phase[part] for part in parts}
        for part in parts:
            phases |= {name for name, _ in fusion.uses(part)}
            uses |= {use for use in fusion.uses(part) if use[0] == phase}
        if phases - {phase}:
            return self.memory.new(CHUNK, value.size)
        last = max((at for _, at in uses), default=fusion.order[value])
        return self.memory.temporary(phase, value.size, last)

    def _steady(self, value: Value) -> int:
        """Memory of what is the same at every step."""
        return self.memory.new(SHARED_PLACE if value.span == SHARED else HELD_PLACE, value.size)

    # ---- where operands are ----------------------------------------------------------------------

    def place(self, value: Value) -> Strided:
        """Where a value that was computed, given, or is a view of such, lies."""
        if self.now in ("after", "sums") and self._fleeting(value):
            return self._copy_kept(value)
        known = self.places.get(value)
        if known is not None:
            return known
        if value.op == "constant":
            place = self.memory.constant(value.settings[0])
        else:
            place = self._view(value) or self._copied(value)
        self.places[value] = place
        return place

    def broadcast(self, value: Value, rank: int) -> Strided:
        """An operand with as many axes as the result has."""
        place = self.place(value)
        return Strided(place.buffer, place.offset, repeated(value.shape, place.strides, rank))

    def side_by_side(self, value: Value, place: Strided) -> Strided:
        """A copy of it whose numbers lie side by side."""
        copy = self.aside(value)
        self.code.copy(self.now, value, place, copy)
        return copy

    def straight(self, value: Value, leading: int) -> tuple[Strided, int]:
        """A place whose last axes lie side by side, and the stride of those before them.

        Args:
            value: an operand.
            leading: how many leading axes there are, which become one.
        """
        place = self.place(value)
        outer = merged(value.shape[:leading], place.strides[:leading])
        inner = merged(value.shape[leading:], place.strides[leading:])
        if len(outer) <= 1 and (not inner or (len(inner) == 1 and inner[0][1][0] == 1)):
            return place, outer[0][1][0] if outer else 0
        copy = self.side_by_side(value, place)
        several = math.prod(value.shape[:leading]) > 1
        return copy, math.prod(value.shape[leading:]) if several else 0

    def _fleeting(self, value: Value) -> bool:
        """Is it what the step before left, or a view of that? It is gone when the step is over."""
        while value.op in VIEWS:
            value = value.inputs[0]
        place = self.places.get(value)
        if place is None or place.buffer >= len(self.arguments):
            return False
        return self.arguments[place.buffer].name in self.rings

    def _copy_kept(self, value: Value) -> Strided:
        """A copy of it for the sections behind a chunk of steps."""
        if value not in self._kept:
            source = self._looked_at(value)
            if source is None:  # strides cannot say it: of the copy of what it looks at
                self._kept[value] = self._copied(value)
            else:
                place = Strided(self.memory.new(CHUNK, value.size), 0, packed(value.shape))
                self.code.copy("through", value, source, place)
                self._kept[value] = place
        return self._kept[value]

    def _looked_at(self, value: Value) -> Strided | None:
        """Where it lies while its step runs; None for a view that strides cannot say."""
        known = self.places.get(value)
        if known is not None:
            return known
        around = self._looked_at(value.inputs[0])
        return None if around is None else _seen(value, around)

    def _view(self, value: Value) -> Strided | None:
        """A view as strides on what it looks at; None where strides cannot say it."""
        if value.op not in VIEWS:
            raise AssertionError(f"{value} is read before it is computed")
        return _seen(value, self.place(value.inputs[0]))

    def _copied(self, value: Value) -> Strided:
        """A view that strides cannot say: its numbers, side by side."""
        base = value.inputs[0]
        place = Strided(self._buffer(value), 0, packed(value.shape))
        like = Strided(place.buffer, 0, packed(base.shape)) if value.op == "reshape" else place
        section = self.fusion.phase.get(value, self.now)
        self.code.copy(section, base, self.place(base), like)
        return place


def _seen(value: Value, around: Strided) -> Strided | None:
    """A view as strides on the place of what it looks at; None where strides cannot say it."""
    base = value.inputs[0]
    if value.op == "stop":
        return around
    if value.op == "slice":
        axis, start, _, step = value.settings
        return around.part(axis, start, step)
    strides: tuple[int, ...] | None
    if value.op == "window":
        far, near = around.strides
        if far != base.shape[1] or (near != 1 and far != 1):
            raise Unrecordable(f"{value} needs lines that lie side by side")
        return Strided(around.buffer, around.offset + value.settings[1] * far, (far, 1))
    if value.op == "permute":
        strides = tuple(around.strides[axis] for axis in value.settings[0])
    elif value.op == "expand":
        strides = repeated(base.shape, around.strides, len(value.shape))
    else:
        strides = reshaped(base.shape, around.strides, value.shape)
    return None if strides is None else Strided(around.buffer, around.offset, strides)
