"""A program: the instructions of all values in order, and where results go at the end."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from recurra.engine.assemble.code import SECTIONS, Code
from recurra.engine.assemble.instructions import Writer
from recurra.engine.assemble.layout import Layout
from recurra.engine.assemble.memory import Argument
from recurra.engine.graph.values import HELD, SHARED, STEP, Value
from recurra.engine.plan.phases import PHASES, Sections

__all__ = ["Assembled", "assemble"]

_COSTLY = ("sigmoid", "tanh", "exp", "log")  # each about ten operations
# Where what does not change within a step is copied to, by span; and what is left to the next step.
_AT_THE_END = {SHARED: "final", HELD: "held_after", STEP: "through"}


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


def assemble(
    sections: Sections,
    arguments: Sequence[Argument],
    carries: Iterable[Sequence[Any]],
    padded: Iterable[Any],
    rings: Collection[Any] = (),
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
    code = Code()
    layout = Layout(sections, arguments, rings, code)
    writer = Writer(layout, code)
    for phase in PHASES:
        for at, value in enumerate(sections[phase]):
            layout.now, layout.at = phase, at
            if value not in layout.fusion.skipped:
                writer.write(value)
                _copy_results(layout, value)
                layout.memory.release(phase, at)
    for value in layout.results:
        if value not in layout.fusion.phase:  # an input: nothing computes it
            layout.now, layout.at = _AT_THE_END[value.span], 1 << 30
            _copy_results(layout, value)
    number = {argument.name: index for index, argument in enumerate(arguments)}
    parts = (
        layout.memory.buffers,
        [code.sections[name] for name in SECTIONS],
        code.matrices,
        code.moves,
        [
            [
                number[begin],
                number[read],
                number[left],
                -1 if end is None else number[end],
                layout.arguments[number[read]].size,
            ]
            for begin, read, left, end in carries
        ],
        [number[name] for name in padded],
        len(arguments) + 1,
        layout.memory.sizes,
    )
    # What is added to a product or a multiplication is a part of it.
    counted = (value for value in sections.values() if value not in layout.fusion.sums)
    flops = sum(value.operations * (10 if value.op in _COSTLY else 1) for value in counted)
    return Assembled(layout.arguments, layout.memory.constants(), parts, flops)


def _copy_results(layout: Layout, value: Value) -> None:
    """Copy a result that is wanted in more than one place, or that lies elsewhere."""
    for index in layout.results.get(value, ()):
        source, target = layout.place(value), layout.argument(index, value)
        if source != target:
            section = _AT_THE_END[value.span]
            if value.span == STEP and not layout.carried(index):
                section = layout.fusion.phase.get(value, section)
            layout.code.copy(section, value, source, target)
