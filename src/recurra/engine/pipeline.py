"""From a step to the machine that runs it: the stages in order.

1. ``record``: the step is run twice, and what it calls is written down (``record/``);
2. ``lower``: to a graph of instructions, whose numbers are compared with the step's (``lower/``);
3. ``bind``: the graph's inputs get their slots for a kind of call;
4. ``plan``: the gradient is derived (``graph/``), both are divided into phases (``plan/``);
5. ``assemble``: programs of the native machine, run through time (``assemble/``, ``machine/``).

:mod:`recurra.engine.kept` records a cell's step, and keeps what came of it with the cell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from recurra.cells.base import Cell
from recurra.engine.graph.laws import check
from recurra.engine.lower.agreement import check_numbers, check_rows
from recurra.engine.lower.lowering import Lowered, lower
from recurra.engine.lower.rules.convolutions import work
from recurra.engine.machine.compiled import Machine
from recurra.engine.plan.bind import bind
from recurra.engine.plan.phases import CallKind, Plan, plan
from recurra.engine.plan.slots import Slot
from recurra.engine.record.parts import Path
from recurra.engine.record.tape import Recording
from recurra.engine.record.unrecordable import Unrecordable
from recurra.states import Tree

__all__ = ["Recorded", "lowered_step", "planned_step"]


def lowered_step(
    recording: Recording,
    step: Callable[..., Any],
    example: Callable[[int], Tree],
    spans: Sequence[int],
) -> Lowered:
    """Lower a step that was recorded, and compare the numbers of both."""
    lowered = lower(recording, spans)
    check_numbers(step, example, lowered)
    check_rows(step, example)
    return lowered


def planned_step(lowered: Lowered, slots: Sequence[Slot], kind: CallKind) -> Plan:
    """Bind the inputs of a step, derive its gradient, and plan both.

    Args:
        lowered: the step.
        slots: of its row inputs.
        kind: of the calls that it is for.
    """
    planned = plan(*bind(lowered, slots, resets=kind.resets), kind)
    check(planned.graph, [planned.y, *planned.states])
    return planned


class Recorded:
    """A recorded step, and the machines made of it.

    Args:
        lowered: the step as a graph.
        names: slots of its row inputs.
        paths: where each of its own tensors stands in the cell; None for one from elsewhere.
        check: looks, once, whether the gradients of the graph are those of the step.
    """

    def __init__(
        self,
        lowered: Lowered,
        names: Sequence[Slot],
        paths: dict[int, Path | None],
        check: Callable[[Cell], None],
    ) -> None:
        self.lowered, self.names, self.paths = lowered, tuple(names), paths
        self.check, self.checked = check, False
        self.machines: dict[CallKind, Machine] = {}
        self.convolved = work(lowered.graph)
        given, count = lowered.graph.inputs(), len(lowered.shared.wanted)
        self.shapes = [torch.Size(given["shared", index].shape) for index in range(count)]

    def stale(self, cell: Cell) -> bool:
        """Are numbers of the cell that the graph is made of no longer those?"""
        shared = self.lowered.shared
        return bool(shared.known) and shared.stale(self._own(cell))

    def _own(self, cell: Cell) -> dict[int, Tensor]:
        """The step's own tensors, as the cell has them now."""
        own = self.lowered.shared.own
        return {
            number: own[number] if path is None else path.of(cell)
            for number, path in self.paths.items()
        }

    def shared(self, cell: Cell) -> list[Tensor]:
        """What all rows share, as the cell has it now."""
        tensors = self.lowered.shared.tensors(self._own(cell))
        if [tensor.shape for tensor in tensors] != self.shapes:
            raise Unrecordable("a tensor that the step reads has changed its shape")
        return tensors

    def machine(self, cell: Cell, kind: CallKind) -> Machine:
        """The programs for a kind of call, with the cell as it is now."""
        known = self.machines.get(kind)
        if known is None:
            if kind.wanted is not None and not self.checked:
                self.check(cell)
                self.checked = True
            known = self.machines[kind] = Machine(planned_step(self.lowered, self.names, kind))
        return known
