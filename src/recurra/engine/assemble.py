"""From phases to a program of the machine: where each value lies, and instructions in order.

A value that is only a part or another shape of one that is there lies in the memory of that one.
What is put side by side is computed where it will stand. A sum is where a product starts from. So
most copies and additions of a step vanish here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

from recurra.engine.graph import ELEMENTWISE, HELD, SHARED, STEP, SUMS, Value
from recurra.engine.plan import PHASES, Sections
from recurra.engine.record import Unrecordable
from recurra_runtime.instructions import TABLE

__all__ = ["Argument", "Assembled", "assemble"]

ARGUMENT, SHARED_PLACE, HELD_PLACE, CHUNK, WINDOW, TOTAL, HELD_TOTAL = range(7)
_NUMBER = {row.name: number for number, row in enumerate(TABLE)}
_SECTIONS = ("shared", "held", "before", "through", "after", "sums", "held_after", "final")
_VIEWS = frozenset({"reshape", "slice", "permute", "expand", "stop"})


@dataclasses.dataclass(frozen=True)
class Argument:
    """Memory that is given with a call.

    Args:
        name: what it is called there.
        size: numbers of one row (or of all, if rows share it).
        value: what is read from it, or None.
        strides: of the value's axes in it; side by side if None.
        result: what is written to it, or None.
    """

    name: Any
    size: int
    value: Value | None = None
    strides: tuple[int, ...] | None = None
    result: Value | None = None


@dataclasses.dataclass(frozen=True)
class Assembled:
    """A program as the native core takes it.

    Args:
        arguments: in order; one more, the constants, is behind them.
        constants: numbers of the last argument.
        parts: what ``Program.make`` takes.
        flops: operations of one row in one step.
    """

    arguments: tuple[Argument, ...]
    constants: tuple[float, ...]
    parts: tuple[Any, ...]
    flops: float


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where a value lies: axes of its shape at strides from an offset in a buffer."""

    buffer: int
    offset: int
    strides: tuple[int, ...]


def assemble(
    sections: Sections,
    arguments: Sequence[Argument],
    carries: Sequence[tuple[Any, Any, Any, Any]],
    padded: Iterable[Any],
    rings: Iterable[Any] = (),
) -> Assembled:
    """Lay out a program.

    Args:
        sections: its values by phase.
        arguments: the memory that a call gives.
        carries: names of arguments: where rows begin from, what a step reads, what it leaves, and
            where a row's last goes (or None).
        padded: names of arguments that are zero behind the end of a row.
        rings: names of those that keep the last step only.

    Raises:
        Unrecordable: a copy of too many axes.
    """
    return _Assembler(sections, arguments, rings).run(carries, padded)


class _Assembler:
    def __init__(
        self, sections: Sections, arguments: Sequence[Argument], rings: Iterable[Any]
    ) -> None:
        self.sections = sections
        self.arguments = tuple(arguments)
        self.number = {argument.name: index for index, argument in enumerate(arguments)}
        self.phase = sections.phase_of()
        self.buffers: list[list[int]] = [[ARGUMENT, a.size, 0, -1] for a in arguments]
        self.constants: dict[tuple[float, float], int] = {}
        self.buffers.append([ARGUMENT, 0, 0, -1])
        self.code: dict[str, list[list[int]]] = {name: [] for name in _SECTIONS}
        self.matrices: list[list[int]] = []
        self.moves: list[list[int]] = []
        self.sizes = [0] * 7
        self.places: dict[Value, _Place] = {}
        self.flops = 0.0
        self.free: dict[tuple[str, int], list[int]] = {}
        self.frees: dict[tuple[str, int], list[tuple[int, int]]] = {}
        self.tops: dict[str, int] = {}
        self.now, self.at = "shared", 0
        self.rings = set(rings)
        self.late: dict[Value, _Place] = {}
        self.order = {v: i for phase in PHASES for i, v in enumerate(sections[phase])}
        self.users: dict[Value, list[Value]] = {}
        for phase in PHASES:
            for value in sections[phase]:
                for read in value.inputs:
                    self.users.setdefault(read, []).append(value)
        self.results: dict[Value, list[int]] = {}
        for index, argument in enumerate(arguments):
            if argument.value is not None:
                strides = argument.strides or _packed(argument.value.shape)
                self.places[argument.value] = _Place(index, 0, strides)
            if argument.result is not None:
                self.results.setdefault(argument.result, []).append(index)
        self.fused = self._fusions()
        self.inside = self._insides()

    # ---- what is decided before ------------------------------------------------------------------

    def _fusions(self) -> dict[Value, tuple[Value, Value]]:
        """Sums that a product or a multiplication makes: ``sum -> (the other, its rest)``."""
        found: dict[Value, tuple[Value, Value]] = {}
        taken: set[Value] = set()
        for phase in PHASES:
            for value in self.sections[phase]:
                if value.op != "add":
                    continue
                # The second first: what comes earlier is likelier to be computed before time.
                for place in (1, 0):
                    inner, rest = value.inputs[place], value.inputs[1 - place]
                    if (
                        inner.op in ("linear", "mul")
                        and inner not in taken
                        and inner not in found
                        and inner is not rest
                        and self.users.get(inner) == [value]
                        and inner not in self.results
                        and self.phase.get(inner) == phase
                        and inner.shape == value.shape
                        and inner.span == value.span
                        and (inner.op == "mul" or rest.shape[-1:] == value.shape[-1:])
                    ):
                        if (
                            inner.op == "linear"
                            and rest.shape != value.shape
                            and len(value.shape) > 1
                        ):
                            continue
                        found[value] = (inner, rest)
                        taken.add(inner)
                        break
        self.skipped = taken
        return found

    def _insides(self) -> dict[Value, tuple[Value, int]]:
        """Values computed inside of what puts them side by side: ``part -> (whole, start)``."""
        found: dict[Value, tuple[Value, int]] = {}
        for phase in PHASES:
            for whole in self.sections[phase]:
                if whole.op != "concat" or whole.span == SHARED:
                    continue
                # What the next step reads is written step by step, so by parts of this phase alone.
                carried = any(self._carried(index) for index in self.results.get(whole, ()))
                start = 0
                for part in whole.inputs:
                    if (
                        part in self.phase
                        and part.op not in (*_VIEWS, "constant", "place", "concat")
                        and part not in found
                        and part not in self.results
                        and part.span == whole.span
                        and whole.inputs.count(part) == 1
                        and self._moment(part) <= self._moment(whole)
                        and ((whole.span == STEP and not carried) or self.phase[part] == phase)
                    ):
                        found[part] = (whole, start)
                    start += part.shape[whole.settings[0]]
        return found

    def _moment(self, value: Value) -> tuple[int, int]:
        return PHASES.index(self.phase[value]), self.order[value]

    def _uses(self, value: Value) -> set[tuple[str, int]]:
        """Phases, and places in them, in which a value is read, through views too."""
        found: set[tuple[str, int]] = set()
        for user in self.users.get(value, ()):
            phase = "sums" if user.op in SUMS and value.span == STEP else self.phase[user]
            last = user
            while last in self.skipped:  # it is computed where its sum is
                last = self.users[last][0]
            found.add((phase, self.order[last]))
            if user.op in _VIEWS:
                found |= self._uses(user)
        if value in self.inside:
            whole = self.inside[value][0]
            found |= self._uses(whole)
            found.add((self.phase[whole], self.order[whole]))
        if any(self._carried(index) for index in self.results.get(value, ())):
            found.add(("through", 1 << 30))
        return found

    # ---- memory ----------------------------------------------------------------------------------

    def _allocate(self, value: Value) -> _Place:
        """Where the result of an instruction goes."""
        if value in self.places:
            return self.places[value]
        if (index := self._direct(value)) is not None:
            strides = self.arguments[index].strides or _packed(value.shape)
            place = _Place(index, 0, strides)
        elif value in self.inside:
            whole, start = self.inside[value]
            around = self._allocate(whole)
            axis = whole.settings[0]
            place = _Place(
                around.buffer, around.offset + start * around.strides[axis], around.strides
            )
        else:
            place = _Place(self._buffer(value), 0, _packed(value.shape))
        self.places[value] = place
        return place

    def _direct(self, value: Value) -> int | None:
        """The argument in whose memory a result is computed."""
        for index in self.results.get(value, ()):
            # What the next step reads must be left step by step, not for many steps at once.
            if self.phase[value] == "through" or not self._carried(index):
                return index
        return None

    def _carried(self, index: int) -> bool:
        return self.arguments[index].name[0] in ("state_out", "dstate_out")

    def _buffer(self, value: Value, section: str | None = None) -> int:
        if value.span == SHARED:
            return self._new(SHARED_PLACE, value.size)
        if value.span == HELD:
            return self._new(HELD_PLACE, value.size)
        phase = section or self.phase[value]
        uses = self._uses(value)
        parts = [part for part, (whole, _) in self.inside.items() if whole is value]
        phases = {name for name, _ in uses} | {self.phase[part] for part in parts}
        for part in parts:
            phases |= {name for name, _ in self._uses(part)}
            uses |= {use for use in self._uses(part) if use[0] == phase}
        if phases - {phase}:
            return self._new(CHUNK, value.size)
        last = max((at for _, at in uses), default=self.order[value])
        return self._temporary(phase, value.size, last)

    def _new(self, place: int, size: int, target: int = -1) -> int:
        self.buffers.append([place, size, self.sizes[place], target])
        self.sizes[place] += _wide(size)
        return len(self.buffers) - 1

    def _temporary(self, phase: str, size: int, last: int) -> int:
        """Numbers of a window, which are free again behind the last use."""
        wide = _wide(size)
        holes = self.free.setdefault((phase, wide), [])
        if holes:
            start = holes.pop()
        else:
            start = self.tops.get(phase, 0)
            self.tops[phase] = start + wide
            self.sizes[WINDOW] = max(self.sizes[WINDOW], start + wide)
        self.frees.setdefault((phase, last), []).append((wide, start))
        self.buffers.append([WINDOW, size, start, -1])
        return len(self.buffers) - 1

    def _release(self, phase: str, at: int) -> None:
        for wide, start in self.frees.pop((phase, at), []):
            self.free.setdefault((phase, wide), []).append(start)

    # ---- where operands are ----------------------------------------------------------------------

    def _place(self, value: Value) -> _Place:
        """Where a value that was computed, given, or is a view of such, lies."""
        if self.now in ("after", "sums") and self._fleeting(value):
            return self._kept(value)
        known = self.places.get(value)
        if known is not None:
            return known
        if value.op == "constant":
            number = value.settings[0]
            key = (number, math.copysign(1.0, number))
            index = self.constants.setdefault(key, len(self.constants))
            place = _Place(len(self.arguments), index, ())
        else:
            place = self._view(value) or self._copied(value)
        self.places[value] = place
        return place

    def _fleeting(self, value: Value) -> bool:
        """Is it what the step before left, or a view of that? It is gone when the step is over."""
        while value.op in _VIEWS:
            value = value.inputs[0]
        place = self.places.get(value)
        if place is None or place.buffer >= len(self.arguments):
            return False
        return self.arguments[place.buffer].name in self.rings

    def _kept(self, value: Value) -> _Place:
        """A copy of it for the sections behind a chunk of steps."""
        if value not in self.late:
            now, self.now = self.now, "through"
            source = self._place(value)
            place = _Place(self._new(CHUNK, value.size), 0, _packed(value.shape))
            self._move("through", value, source, place)
            self.now = now
            self.late[value] = place
        return self.late[value]

    def _view(self, value: Value) -> _Place | None:
        """A view as strides on what it looks at; None where strides cannot say it."""
        if value.op not in _VIEWS:
            raise AssertionError(f"{value} is read before it is computed")
        base = value.inputs[0]
        around = self._place(base)
        if value.op == "stop":
            return around
        if value.op == "slice":
            axis, start, _, step = value.settings
            offset = around.offset + start * around.strides[axis]
            far = tuple(d * step if a == axis else d for a, d in enumerate(around.strides))
            return _Place(around.buffer, offset, far)
        if value.op == "permute":
            order = value.settings[0]
            return _Place(around.buffer, around.offset, tuple(around.strides[a] for a in order))
        if value.op == "expand":
            missing = len(value.shape) - len(base.shape)
            far = (0,) * missing + tuple(
                0 if size == 1 else stride
                for size, stride in zip(base.shape, around.strides, strict=True)
            )
            return _Place(around.buffer, around.offset, far)
        strides = _reshaped(base.shape, around.strides, value.shape)
        return None if strides is None else _Place(around.buffer, around.offset, strides)

    def _copied(self, value: Value) -> _Place:
        """A view that strides cannot say: its numbers, side by side."""
        base = value.inputs[0]
        place = _Place(self._buffer(value), 0, _packed(value.shape))
        like = _Place(place.buffer, 0, _packed(base.shape)) if value.op == "reshape" else place
        section = self.phase.get(value, self.now)
        self._move(section, base, self._place(base), like)
        return place

    def _move(self, section: str, value: Value, source: _Place, target: _Place) -> None:
        """Copy numbers between any strides."""
        axes = _merged(
            [
                (size, (out, given))
                for size, out, given in zip(
                    value.shape, target.strides, source.strides, strict=True
                )
                if size != 1
            ]
        )
        if len(axes) > 4:
            raise Unrecordable(f"a copy of {len(axes)} axes is needed for {value}")
        axes = [(1, (0, 0))] * (4 - len(axes)) + axes
        self.moves.append(
            [
                *(size for size, _ in axes),
                *(strides[0] for _, strides in axes),
                *(strides[1] for _, strides in axes),
            ]
        )
        out = [target.buffer, target.offset, 0, 0]
        read = [source.buffer, source.offset, 0, 0]
        self._emit(section, "copy", 1, 1, 0, len(self.moves) - 1, out, [read])

    def _straight(self, value: Value, leading: int) -> tuple[_Place, int]:
        """A place whose last axis lies side by side, and the stride of those before it.

        Args:
            value: an operand.
            leading: how many leading axes there are, which become one.
        """
        place = self._place(value)
        axes = [
            (size, (stride,))
            for size, stride in zip(value.shape[:leading], place.strides[:leading], strict=True)
            if size != 1
        ]
        merged = _merged(axes)
        inner = _merged(
            [
                (size, (stride,))
                for size, stride in zip(value.shape[leading:], place.strides[leading:], strict=True)
                if size != 1
            ]
        )
        if len(merged) <= 1 and (not inner or (len(inner) == 1 and inner[0][1][0] == 1)):
            return place, merged[0][1][0] if merged else 0
        packed = _Place(self._scratch(value), 0, _packed(value.shape))
        self._move(self.now, value, place, packed)
        width = math.prod(value.shape[leading:])
        return packed, width if math.prod(value.shape[:leading]) > 1 else 0

    def _scratch(self, value: Value) -> int:
        """Room for a copy that is read by the instruction that comes next."""
        if value.span == SHARED:
            return self._new(SHARED_PLACE, value.size)
        if value.span == HELD:
            return self._new(HELD_PLACE, value.size)
        if self.now == "sums":
            return self._new(CHUNK, value.size)
        return self._temporary(self.now, value.size, self.at)

    # ---- instructions ----------------------------------------------------------------------------

    def _emit(
        self,
        section: str,
        op: str,
        outer: int,
        n: int,
        count: int,
        step: int,
        out: list[int],
        reads: list[list[int]],
    ) -> None:
        none = [-1, 0, 0, 0]
        operands = [*reads, *[none] * (3 - len(reads))]
        self.code[section].append(
            [_NUMBER[op], outer, n, count, step, *out, *(n for o in operands for n in o)]
        )

    def run(self, carries: Sequence[tuple[Any, Any, Any, Any]], padded: Iterable[Any]) -> Assembled:
        for phase in PHASES:
            for value in self.sections[phase]:
                self.now, self.at = phase, self.order[value]
                if value in self.skipped:
                    continue
                self._value(value)
                self._copies(value)
                self._release(phase, self.at)
        self._given_results()
        self.buffers[len(self.arguments)][1] = max(len(self.constants), 1)
        number = self.number
        parts = (
            self.buffers,
            [self.code[name] for name in _SECTIONS],
            self.matrices,
            self.moves,
            [
                [
                    number[start],
                    number[read],
                    number[left],
                    -1 if end is None else number[end],
                    self.arguments[number[read]].size,
                ]
                for start, read, left, end in carries
            ],
            [number[name] for name in padded],
            len(self.arguments) + 1,
            self.sizes,
        )
        constants = tuple(key[0] for key in self.constants) or (0.0,)
        return Assembled(self.arguments, constants, parts, self.flops)

    def _copies(self, value: Value) -> None:
        """Results that are wanted in more than one place, or are only views."""
        for index in self.results.get(value, ()):
            argument = self.arguments[index]
            target = _Place(index, 0, argument.strides or _packed(value.shape))
            source = self._place(value)
            if source != target:
                section = self._section_of_result(argument, value)
                self._move(section, value, source, target)

    def _section_of_result(self, argument: Argument, value: Value) -> str:
        if value.span == SHARED:
            return "final"
        if value.span == HELD:
            return "held_after"
        # What the next step reads is left step by step.
        return "through" if self._carried(self.number[argument.name]) else self.phase[value]

    def _given_results(self) -> None:
        """Results that are inputs: nothing computes them, they are copied."""
        for value, indices in self.results.items():
            if value in self.phase:
                continue
            for index in indices:
                argument = self.arguments[index]
                target = _Place(index, 0, argument.strides or _packed(value.shape))
                span = {SHARED: "final", HELD: "held_after", STEP: "through"}[value.span]
                self.now, self.at = span, 1 << 30
                self._move(span, value, self._place(value), target)

    def _value(self, value: Value) -> None:
        op = value.op
        if op in _VIEWS or op == "constant":
            if value in self.results or value in self.inside or op in _VIEWS:
                self._place(value)
            return
        if value in self.fused:
            inner, rest = self.fused[value]
            if inner.op == "linear":
                self._linear(inner, value, rest)
            else:
                self._elementwise("fma", value, (*inner.inputs, rest))
        elif op in ELEMENTWISE:
            self._elementwise(op, value, value.inputs)
        elif op in ("sum", "max"):
            self._reduction(value)
        elif op == "linear":
            self._linear(value, value, None)
        elif op == "lookup":
            self._lookup(value)
        elif op == "concat":
            self._concat(value)
        elif op == "place":
            self._placed(value)
        else:
            self._sum(value)

    def _elementwise(self, op: str, value: Value, reads: tuple[Value, ...]) -> None:
        places = [self._broadcast(read, value) for read in reads]
        out = self._allocate(value)
        axes = self._axes(value, out, places)
        if len(axes) > 2 or any(
            strides[0] != 1 or any(s not in (0, 1) for s in strides[1:]) for _, strides in axes[-1:]
        ):
            # Not all strides at once: operands are laid out like the result first.
            places = [
                place if place.strides == _packed(value.shape) else self._laid_out(value, place)
                for place in places
            ]
            if out.strides != _packed(value.shape):
                inner = _Place(self._scratch(value), 0, _packed(value.shape))
                self._loop(op, value, inner, places)
                self._move(self.now, value, inner, out)
                return
        self._loop(op, value, out, places)

    def _axes(self, value: Value, out: _Place, places: list[_Place]) -> list[Any]:
        return _merged(
            [
                (size, strides)
                for size, *strides in zip(
                    value.shape, out.strides, *(p.strides for p in places), strict=True
                )
                if size != 1
            ]
        )

    def _loop(self, op: str, value: Value, out: _Place, places: list[_Place]) -> None:
        axes = self._axes(value, out, places)
        size, strides = axes[-1] if axes else (1, (1, *(0 for _ in places)))
        outer, far = axes[0] if len(axes) == 2 else (1, (0,) * (1 + len(places)))
        reads = [
            [place.buffer, place.offset, far[k + 1], int(strides[k + 1] == 0 and size > 1)]
            for k, place in enumerate(places)
        ]
        self._emit(self.now, op, outer, size, 0, -1, [out.buffer, out.offset, far[0], 0], reads)
        self.flops += outer * size * (10 if op in ("sigmoid", "tanh", "exp", "log") else 1)

    def _broadcast(self, read: Value, value: Value) -> _Place:
        """An operand with the axes of the result."""
        place = self._place(read)
        missing = len(value.shape) - len(read.shape)
        strides = (0,) * missing + tuple(
            0 if size == 1 else stride
            for size, stride in zip(read.shape, place.strides, strict=True)
        )
        return _Place(place.buffer, place.offset, strides)

    def _laid_out(self, value: Value, place: _Place) -> _Place:
        """Copied to where the numbers of the result lie side by side."""
        copy = _Place(self._scratch(value), 0, _packed(value.shape))
        self._move(self.now, value, place, copy)
        return copy

    def _reduction(self, value: Value) -> None:
        read = value.inputs[0]
        axes = value.settings[0]
        first, last = axes[0], axes[-1] + 1
        count = math.prod(read.shape[first:last])
        outer, n = math.prod(read.shape[:first]), math.prod(read.shape[last:])
        place = self._place(read)
        shaped = _reshaped(read.shape, place.strides, (outer, count, n))
        if shaped is None or (n > 1 and shaped[2] != 1):
            place = self._laid_out(read, place)
            shaped = _packed((outer, count, n))
        out = self._allocate(value)
        to = _reshaped(value.shape, out.strides, (outer, 1, n))
        target, aside = out, None
        if to is None or (n > 1 and to[2] != 1):
            aside = target = _Place(self._scratch(value), 0, _packed(value.shape))
            to = _packed((outer, 1, n))
        self._emit(
            self.now,
            value.op,
            outer,
            n,
            count,
            shaped[1],
            [target.buffer, target.offset, to[0] if outer > 1 else 0, 0],
            [[place.buffer, place.offset, shaped[0] if outer > 1 else 0, 0]],
        )
        if aside is not None:
            self._move(self.now, value, aside, out)
        self.flops += read.size

    def _linear(self, value: Value, result: Value, rest: Value | None) -> None:
        x, weight = value.inputs
        lead = len(x.shape) - 1
        outer = math.prod(x.shape[:-1])
        place, far = self._straight(x, lead)
        add = None
        if rest is not None:
            add, apart = self._straight(rest, lead)
        out = self._allocate(result)
        to = _merged(
            [(s, (d,)) for s, d in zip(result.shape[:-1], out.strides[:-1], strict=True) if s != 1]
        )
        target, aside = out, None
        if len(to) > 1 or (result.shape[-1] > 1 and out.strides[-1] != 1):
            aside = target = _Place(self._scratch(result), 0, _packed(result.shape))
            to = [(outer, (result.shape[-1],))] if outer > 1 else []
        w = self._place(weight)
        depth, width = weight.shape
        self.matrices.append([w.buffer, w.offset, depth, width, w.strides[0], w.strides[1]])
        reads = [[place.buffer, place.offset, far, 0], [-1, 0, 0, 0]]
        if add is not None:
            reads.append([add.buffer, add.offset, apart, 0])
        self._emit(
            self.now,
            "linear",
            outer,
            width,
            depth,
            len(self.matrices) - 1,
            [target.buffer, target.offset, to[0][1][0] if to else 0, 0],
            reads,
        )
        if aside is not None:
            self._move(self.now, result, aside, out)
        self.flops += 2 * outer * depth * width

    def _lookup(self, value: Value) -> None:
        index, table = value.inputs
        count, width = table.shape
        place, far = self._straight(index, len(index.shape))
        rows, distance = self._straight(table, 1)
        out = self._allocate(value)
        target, aside = out, None
        if out.strides != _packed(value.shape):
            aside = target = _Place(self._scratch(value), 0, _packed(value.shape))
        reads = [[place.buffer, place.offset, far, 0], [rows.buffer, rows.offset, 0, 0]]
        write = [target.buffer, target.offset, width, 0]
        self._emit(self.now, "lookup", index.size, width, count, distance, write, reads)
        if aside is not None:
            self._move(self.now, value, aside, out)

    def _concat(self, value: Value) -> None:
        out = self._allocate(value)
        (axis,) = value.settings
        start = 0
        for part in value.inputs:
            if self.inside.get(part) != (value, start):
                target = _Place(out.buffer, out.offset + start * out.strides[axis], out.strides)
                self._move(self.now, part, self._broadcast(part, part), target)
            start += part.shape[axis]

    def _placed(self, value: Value) -> None:
        out = self._allocate(value)
        axis, start, step = value.settings
        zero = self._zero()
        blank = _Place(zero.buffer, zero.offset, (0,) * len(value.shape))
        self._move(self.now, value, blank, out)
        strides = list(out.strides)
        strides[axis] *= step
        target = _Place(out.buffer, out.offset + start * out.strides[axis], tuple(strides))
        read = value.inputs[0]
        self._move(self.now, read, self._place(read), target)

    def _zero(self) -> _Place:
        index = self.constants.setdefault((0.0, 1.0), len(self.constants))
        return _Place(len(self.arguments), index, ())

    def _sum(self, value: Value) -> None:
        """A sum over rows or steps; read from where it is kept for a whole chunk."""
        if max(read.span for read in value.inputs) == STEP:
            self.now = "sums"
        if value.op == "outer":
            self._outer(value)
            return
        read = value.inputs[0]
        place, _ = self._straight(read, 0)
        held = value.op == "time_sum"
        buffer = self._new(HELD_TOTAL, value.size) if held else self._total(value)
        self._emit(
            self.now,
            value.op,
            1,
            value.size,
            0,
            0,
            [buffer, 0, 0, 0],
            [[place.buffer, place.offset, 0, 0]],
        )
        self.places[value] = _Place(buffer, 0, _packed(value.shape))
        self.flops += value.size

    def _outer(self, value: Value) -> None:
        x, g = value.inputs
        height, width = value.shape
        index = next(iter(self.results.get(value, ())), None)
        strides = _packed(value.shape)
        if index is not None and self.arguments[index].strides is not None:
            strides = self.arguments[index].strides  # type: ignore[assignment]
        outer = math.prod(x.shape[:-1])
        turned = strides == (1, height) and height > 1
        if turned:
            x, g, height, width = g, x, width, height
        near, apart = self._straight(x, len(x.shape) - 1)
        far, distance = self._straight(g, len(g.shape) - 1)
        buffer = self._total(value, direct=turned or strides == _packed(value.shape))
        self._emit(
            self.now,
            "outer",
            outer,
            width,
            height,
            0,
            [buffer, 0, width, 0],
            [[near.buffer, near.offset, apart, 0], [far.buffer, far.offset, distance, 0]],
        )
        own = (1, width) if turned else (width, 1)
        self.places[value] = _Place(buffer, 0, own)
        self.flops += 2 * outer * height * width

    def _total(self, value: Value, *, direct: bool = True) -> int:
        """A sum over rows, in the memory of the result if it is one."""
        target = next(iter(self.results.get(value, ())), -1)
        buffer = self._new(TOTAL, value.size, target if direct else -1)
        if target >= 0 and direct:
            self.results[value] = self.results[value][1:]
        return buffer


def _wide(size: int) -> int:
    """Whole vectors, so that values do not share a line of the cache."""
    return -(-size // 16) * 16


def _packed(shape: Sequence[int]) -> tuple[int, ...]:
    strides, size = [], 1
    for length in reversed(shape):
        strides.append(size)
        size *= length
    return tuple(reversed(strides))


def _merged(axes: list[tuple[int, Any]]) -> list[tuple[int, tuple[int, ...]]]:
    """Axes, those joined that all operands step through as one."""
    found: list[tuple[int, tuple[int, ...]]] = []
    for size, strides in axes:
        if found:
            before, far = found[-1]
            if all(a == b * size for a, b in zip(far, strides, strict=True)):
                found[-1] = (before * size, tuple(strides))
                continue
        found.append((size, tuple(strides)))
    return found


def _reshaped(
    shape: Sequence[int], strides: Sequence[int], wanted: Sequence[int]
) -> tuple[int, ...] | None:
    """Strides of another shape of the same numbers; None where there are none."""
    have = _merged([(s, (d,)) for s, d in zip(shape, strides, strict=True) if s != 1])
    found = []
    for size in reversed(wanted):
        if size == 1:
            found.append(1)
            continue
        if not have:
            return None
        length, (stride,) = have.pop()
        if length % size:
            return None
        found.append(stride)
        if length > size:
            have.append((length // size, (stride * size,)))
    return tuple(reversed(found))
