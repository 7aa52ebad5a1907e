"""The autograd Function around a machine: forward, backward, and every buffer of both.

What the gradient reads again is written by the forward program where the backward one finds it, in
memory that is kept between calls. With ``every`` steps to a window only the states between windows
are kept, and each window is run again before its gradient (Chen et al. 2016, "Training deep nets
with sublinear memory cost", over time), so memory does not grow with all that is saved of a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from recurra.engine.machine.arguments import Schedule, WindowedCall, block_of, contiguous_rows
from recurra.engine.machine.compiled import Frame, Machine
from recurra.engine.machine.saved_tensors import as_saved, layouts_of
from recurra.engine.plan.reference import through_time
from recurra.engine.plan.slots import Slot
from recurra.engine.torch_internals import address_of, apart, applied, batched

__all__ = ["run_through"]


def run_through(
    machine: Machine, rows: Schedule, given: dict[Slot, Tensor], every: int | None = None
) -> tuple[Tensor, ...]:
    """Run a call.

    Args:
        machine: the programs for it.
        rows: of the call.
        given: every input of the plan by slot, but states; their first values as ``("from", i)``.
        every: steps of a window, between which alone states are kept for the gradient; None keeps
            every step's saved values.

    Returns:
        y, the states at the end, and the states after all steps if they are wanted.
    """
    if machine.learns:
        if every is not None and every >= rows.time:
            every = None
        call = (machine, rows, every, tuple(given))
        found: tuple[Tensor, ...] = _through(call, given.values())
        return found
    return _Forward(machine, rows, given).whole()[0]


class _Forward:
    """The forward program of a call, all at once or window by window."""

    def __init__(self, machine: Machine, rows: Schedule, given: dict[Slot, Tensor]) -> None:
        self.machine, self.rows, self.given = machine, rows, given
        self.frame, self.like = machine.frame(rows), next(iter(given.values()))
        self._windows: WindowedCall | None = None

    def whole(self) -> tuple[tuple[Tensor, ...], list[Tensor]]:
        """All steps: the results, and what the gradient reads."""
        own = self._outputs(self.frame)
        ends, block = self._steps(0, self.rows.time, self.given, own)
        return self._results(own, ends), [*own, block]

    def windows(self, size: int) -> tuple[tuple[Tensor, ...], list[list[Tensor]]]:
        """All steps; nothing is kept but the states that each window began with."""
        own = self._outputs(self.frame)
        state = [self.given["from", place] for place in range(len(self.machine.plan.states))]
        begins, self._windows = [], WindowedCall()
        for start, stop in self.rows.windows(size):
            begins.append(state)
            state, _ = self._steps(start, stop, self._from(state), own, start)
        return self._results(own, state), begins

    def again(self, start: int, stop: int, begin: list[Tensor]) -> list[Tensor]:
        """A window once more, for what its gradient reads."""
        self._windows = self._windows or WindowedCall()
        own = self._outputs(self.machine.frame(self.rows.window(start, stop)))
        _, block = self._steps(start, stop, self._from(begin), own)
        return [*own, block]

    def _from(self, state: list[Tensor]) -> dict[Slot, Tensor]:
        return {**self.given, **{("from", place): part for place, part in enumerate(state)}}

    def _outputs(self, frame: Frame) -> list[Tensor]:
        """Memory for the per-step outputs."""
        return [self.like.new_empty_strided(*layout) for layout in frame.per_step]

    def _steps(
        self,
        start: int,
        stop: int,
        given: dict[Slot, Tensor],
        own: list[Tensor],
        offset: int = 0,
    ) -> tuple[list[Tensor], Tensor]:
        """Steps ``start`` to ``stop - 1``: the states at their end, and the block of saved values.

        They are written at step ``offset`` of the per-step outputs.
        """
        machine, rows = self.machine, self.rows.window(start, stop)
        frame = self.frame if rows is self.rows else machine.frame(rows)
        block = block_of(frame.bytes)
        ends = [self.like.new_empty_strided(*layout) for layout in frame.ends]
        addresses = [*map(Tensor.data_ptr, (*own, block, *ends))]
        if offset:
            for number, size in enumerate(frame.steps):
                addresses[number] += offset * size
        arguments = frame.forward.fill(addresses, given, start)
        machine.forward.run(rows, arguments, descending=rows.reverse, windows=self._windows)
        return ends, block

    def _results(self, own: list[Tensor], ends: list[Tensor]) -> tuple[Tensor, ...]:
        """The results of a call, as views of its buffers."""
        machine, rows = self.machine, self.rows
        first = 0 if rows.reverse else 1
        # Tensors of their own, no views to autograd. What others do to them is not done to what
        # the gradient reads.
        own_of = apart if machine.learns else _data
        views = [
            own_of(out[first : first + rows.time] if more else out)
            for out, (_, more) in zip(own, machine.outputs, strict=True)
        ]
        if rows.reverse and rows.lengths is not None:
            # After the end of a row stands its initial state, where zeros are due.
            views = [
                _ended(view, rows) if more else view
                for view, (_, more) in zip(views, machine.outputs, strict=True)
            ]
        # All states, or the one that is y; then y, where it is none.
        every = machine.plan.kind.return_states
        y = views[machine.y_state if every and machine.y_state is not None else -1]
        if not every:
            return (y, *ends)
        return (y, *ends, *(apart(view) if view is y else view for view in views[: len(ends)]))


class _Through(torch.autograd.Function):
    """A whole call, forward and back."""

    @staticmethod
    def forward(
        ctx: Any, call: tuple[Machine, Schedule, int | None, tuple[Slot, ...]], *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        machine, rows, every, names = call
        forward = _Forward(machine, rows, dict(zip(names, tensors, strict=True)))
        if every is None:
            found, kept = forward.whole()
        else:
            found, begins = forward.windows(every)
            kept = [state for begin in begins for state in begin]
        # What others change of what they gave is found out when it is read again.
        ctx.save_for_backward(*tensors, *kept)
        ctx.layouts = layouts_of([*tensors, *kept])
        ctx.call = call
        ctx.set_materialize_grads(False)
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        machine, rows, every, names = ctx.call
        tensors = as_saved(ctx.saved_tensors, ctx.layouts)
        given, kept = dict(zip(names, tensors, strict=False)), tensors[len(names) :]
        if torch.is_grad_enabled() or batched(*grads):
            results = _again(machine, rows, given, grads)
        else:
            backward = _Backward(machine, rows, given, grads, whole=every is None)
            if every is None:
                backward.steps(0, rows.time, kept)
            else:
                forward, count = _Forward(machine, rows, given), len(machine.plan.states)
                windows = rows.windows(every)
                for number, (start, stop) in reversed(list(enumerate(windows))):
                    begin = list(kept[number * count : (number + 1) * count])
                    backward.steps(start, stop, forward.again(start, stop, begin))
            results = backward.end()
        return (None, *[results.get(name) for name in names])


_through = applied(_Through)


class _Backward:
    """The backward program of a call: the gradients of what was given, which ``end`` returns."""

    def __init__(
        self,
        machine: Machine,
        rows: Schedule,
        given: dict[Slot, Tensor],
        grads: Sequence[Tensor | None],
        *,
        whole: bool,
    ) -> None:
        assert machine.backward is not None
        self.machine, self.rows, self.given, self.program = machine, rows, given, machine.backward
        self.like = next(iter(given.values()))
        count = len(machine.plan.states)
        # Incoming gradients of each step, and of the states at the end of a window.
        self.incoming: dict[Slot, Tensor | None] = {("dy", 0): _of_rows(grads[0], 2)}
        for place in range(count):
            self.incoming["dfrom", place] = _of_rows(grads[1 + place], 1)
            every = grads[1 + count + place] if machine.plan.kind.return_states else None
            self.incoming["dstates", place] = _of_rows(every, 2)
        self.frame = machine.frame(rows)
        self._windows = None if whole else WindowedCall()
        self._begins: list[Tensor] = []
        self._found = [
            self.like.new_empty_strided(*layout) for _, _, layout in self.frame.gradients
        ]
        for place in self.frame.held:  # nothing is written for a row of no steps
            self._found[place].zero_()

    def end(self) -> dict[Slot, Tensor]:
        """The gradients, after all steps."""
        if self._windows is not None:
            self._windows.end()
        names = [name for name, _, _ in self.frame.gradients]
        results: dict[Slot, Tensor] = dict(zip(names, self._found, strict=True))
        for place, begin in enumerate(self._begins):
            results["from", place] = begin
        return results

    def steps(self, start: int, stop: int, kept: Sequence[Tensor]) -> None:
        """Steps ``stop - 1`` to ``start``, the next ones back; sums are added to the results."""
        rows = self.rows.window(start, stop)
        frame = self.frame if rows is self.rows else self.machine.frame(rows)
        block = block_of(frame.back_bytes)
        begins = [self.like.new_empty_strided(*layout) for layout in frame.ends]
        parts = self._found
        if self._windows is not None and frame.held:
            parts = parts.copy()
            for place in frame.held:
                parts[place] = torch.zeros_like(parts[place])
        addresses = [*map(address_of, kept), *map(Tensor.data_ptr, (block, *begins, *parts))]
        if start:
            first = len(addresses) - len(parts)
            for place, size in frame.stepped:
                addresses[first + place] += start * size
        arguments = frame.back.fill(addresses, self.given, start, self.incoming)
        self.program.run(rows, arguments, descending=not rows.reverse, windows=self._windows)
        self._begins = begins
        self.incoming.update({("dfrom", place): begin for place, begin in enumerate(begins)})
        if parts is not self._found:
            for place in frame.held:
                self._found[place].add_(parts[place])


def _of_rows(grad: Tensor | None, lead: int) -> Tensor | None:
    """A gradient as the machine reads it: the features of each row contiguous."""
    if grad is None:
        return None
    grad = grad.resolve_neg()
    return grad if contiguous_rows(grad, lead) else grad.contiguous()


def _again(
    machine: Machine, rows: Schedule, given: dict[Slot, Tensor], grads: Sequence[Tensor | None]
) -> dict[Slot, Tensor]:
    """The gradients in plain torch: they have gradients themselves, and know torch's transforms."""
    names = [name for name, tensor in given.items() if tensor.requires_grad]
    with torch.enable_grad():
        found = through_time(
            machine.plan,
            rows.time,
            rows.batch,
            rows.lengths,
            rows.reverse,
            given,
        )
    pairs = [
        (out, grad)
        for out, grad in zip(found, grads, strict=True)
        if grad is not None and out.requires_grad
    ]
    if not pairs or not names:
        return {}
    back = torch.autograd.grad(
        [out for out, _ in pairs],
        [given[name] for name in names],
        [grad for _, grad in pairs],
        create_graph=True,
        allow_unused=True,
    )
    return {name: g for name, g in zip(names, back, strict=True) if g is not None}


def _data(tensor: Tensor) -> Tensor:
    return tensor.data


def _ended(values: Tensor, rows: Schedule) -> Tensor:
    """A copy with zeros in the step after the end of each row."""
    assert rows.lengths is not None
    copy = values.clone()
    short = (rows.lengths < rows.time).nonzero().flatten()
    copy[rows.lengths[short], short] = 0
    return copy
