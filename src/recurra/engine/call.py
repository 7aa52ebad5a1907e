"""What one call to the engine is, what it gives, and what a backend is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from recurra import states
from recurra.cells.base import Cell, Noise
from recurra.states import Tree, map_tree

__all__ = ["Backend", "Call", "Run", "rows_in_order"]


class Run(NamedTuple):
    """What :func:`recurra.engine.run` returns.

    Args:
        outputs: y of every step, ``[time, batch, ...]``; zero at padded steps.
        state: each row's state after its own last step, of the types of the initial state.
        states: the state after every step, leaves ``[time, batch, ...]``, zero at padded steps;
            None unless asked for.
    """

    outputs: Tensor
    state: Tree
    states: Tree = None


class Call(NamedTuple):
    """One call: as it is given, then checked by :func:`recurra.engine.prepare.prepare`.

    Args:
        inputs: a tree of ``[time, batch, ...]`` tensors.
        state: a tree of ``[batch, ...]`` tensors to start from; None for the initial state, until
            it is checked.
        lengths: ``[batch]``, or None if every row is whole.
        context: a tree of ``[batch, ...]`` tensors, or None.
        noise: what was drawn or given for this call, or None.
        resets: ``[time, batch]`` bool, False behind each row's end, or None if nothing is reset.
        reverse: whether steps run from each row's last to its first.
        return_states: whether every step's state is wanted.
        source: the cell that is asked for, where a twin of it over other tensors is what runs.
        checkpoint_every: steps between the states that are kept for the gradient, or None.
        time: number of steps, the first axis of inputs; counted when it is checked.
        batch: number of rows, the second one.
        initial: the cell's initial state, to which rows are reset.
        opened: of an opened cell what comes out and what is moved; a recording is of both.
    """

    inputs: Tree
    state: Tree = None
    lengths: Any = None
    context: Tree = None
    noise: Noise | None = None
    resets: Any = None
    reverse: bool = False
    return_states: bool = False
    source: Cell | None = None
    checkpoint_every: int | None = None
    time: int = 0
    batch: int = 0
    initial: Tree = None
    opened: tuple[tuple[str, ...], ...] | None = None

    @property
    def one_step(self) -> bool:
        """Whether there is a single step, of whole rows without resets."""
        return self.time == 1 and self.lengths is None and self.resets is None


class Backend(NamedTuple):
    """A way to run a call.

    Args:
        name: as ``backend=`` takes it.
        offer: how it would run a call of a cell; it raises ``Refused`` where it cannot.
        checkpoints: whether it keeps ``checkpoint_every`` itself.
        one_step: whether a single step is worth it; one that is forced runs it all the same.
    """

    name: str
    offer: Callable[[Cell, Call], Callable[[], Run]]
    checkpoints: bool = False
    one_step: bool = True


def rows_in_order(call: Call, order: Tensor) -> Call:
    """The same call with its rows in another order."""

    def second(leaf: Tensor) -> Tensor:
        return leaf.index_select(1, order)

    return call._replace(
        inputs=map_tree(second, call.inputs),
        state=states.select_rows(call.state, order),
        initial=states.select_rows(call.initial, order),
        lengths=None if call.lengths is None else call.lengths.index_select(0, order),
        context=states.select_rows(call.context, order),
        noise=call.noise
        and Noise(map_tree(second, call.noise.step), states.select_rows(call.noise.held, order)),
        resets=None if call.resets is None else second(call.resets),
    )
