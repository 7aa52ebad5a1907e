"""A call in windows of steps, of which only the states between them are kept for the gradient.

Chen et al. 2016, "Training deep nets with sublinear memory cost", over time. This is how it is done
for a backend that does not do it itself; :mod:`recurra.engine.machine.autograd` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import torch
from torch.utils.checkpoint import checkpoint

from recurra.cells.base import Noise
from recurra.engine.call import Call, Result
from recurra.lengths import within
from recurra.states import map_tree, split

__all__ = ["in_windows", "windows"]


def in_windows(call: Call, run: Callable[[Call], Result]) -> Result:
    """Run a call window by window, each again when its gradient is due.

    Args:
        call: with ``checkpoint_every``.
        run: runs the part of a call that is a window.
    """
    state, parts = call.state, []
    found = list(windows(call))
    for window in reversed(found) if call.reverse else found:
        # Noise was drawn for the whole call, so no random numbers come again.
        result = cast(
            Result,
            checkpoint(
                run,
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
    return Result(outputs, state, every)


def windows(call: Call) -> Iterator[Call]:
    """The parts of a call, in order of time; their states are for others to fill in."""
    size = call.checkpoint_every
    assert size is not None
    inputs = split(call.inputs, size)
    draws = None if call.noise is None else split(call.noise.step, size)
    for number, start in enumerate(range(0, call.time, size)):
        stop = min(start + size, call.time)
        lengths = call.lengths
        if lengths is not None:
            lengths = within(lengths, start, stop)
            lengths = None if bool((lengths == stop - start).all()) else lengths
        noise = None
        if call.noise is not None and draws is not None:
            noise = Noise(draws[number] if draws else call.noise.step, call.noise.held)
        yield call._replace(
            inputs=inputs[number],
            time=stop - start,
            lengths=lengths,
            noise=noise,
            resets=None if call.resets is None else call.resets[start:stop],
            checkpoint_every=None,
        )
