"""A call in windows of steps, of which only the states between them are kept for the gradient.

Chen et al. 2016, "Training deep nets with sublinear memory cost", over time. This is how it is done
for a backend that does not do it itself; :mod:`recurra.engine.machine.autograd` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import torch
from torch.utils.checkpoint import checkpoint

from recurra.cells.base import in_a_run
from recurra.engine.backends.segments import Segment, parts_of
from recurra.engine.call import Call, Run
from recurra.lengths import within
from recurra.states import map_tree

__all__ = ["in_windows", "windows"]


def in_windows(call: Call, run: Callable[[Call], Run]) -> Run:
    """Run a call window by window, each again when its gradient is due.

    Args:
        call: with ``checkpoint_every``.
        run: runs the part of a call that is a window.
    """
    again = in_a_run()(run)  # a gradient runs it when the run that it is a part of has ended
    state, parts = call.state, []
    found = list(windows(call))
    for window in reversed(found) if call.reverse else found:
        # Noise was drawn for the whole call, so no random numbers come again.
        result = cast(
            Run,
            checkpoint(
                again,
                window._replace(state=state),
                use_reentrant=False,
                preserve_rng_state=False,
            ),
        )
        state = result.state
        parts.append(result)
    if call.reverse:
        parts.reverse()
    outputs = torch.cat([part.outputs for part in parts])
    every = None
    if call.return_states:
        every = map_tree(lambda *leaf: torch.cat(leaf), *(part.states for part in parts))
    return Run(outputs, state, every)


def windows(call: Call) -> Iterator[Call]:
    """The parts of a call, in order of time; their states are for others to fill in."""
    size = call.checkpoint_every
    assert size is not None
    starts = range(0, call.time, size)
    plan = [Segment(start, min(start + size, call.time), call.batch) for start in starts]
    for (start, stop, _), part in zip(plan, parts_of(call, plan), strict=True):
        lengths = call.lengths
        if lengths is not None:
            lengths = within(lengths, start, stop)
            lengths = None if bool((lengths == stop - start).all()) else lengths
        resets = None if call.resets is None else call.resets[start:stop]
        yield part._replace(lengths=lengths, resets=resets)
