"""What can be decoded, and how all ways of decoding ask it."""

from __future__ import annotations

import operator
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recurra.errors import (
    InputTypeError,
    RunError,
    SettingError,
    SettingTypeError,
    ShapeError,
    kind_of,
)
from recurra.states import Tree, leaves, map_tree, select_rows
from recurra.twins import evaluating

__all__ = ["Kept", "Read", "Steps", "read"]

Floats = NDArray[np.floating[Any]]
Wholes = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]

_SPAN = 64  # symbols read at once, whose log-probabilities are all made


class Steps(Protocol):
    """What can be decoded: a recurrent model, an n-gram, or anything with these two methods.

    All that a row needs is inside its state, also what does not change, such as a context. A third
    method, ``steps(tokens, state)`` with ``tokens`` ``[time, batch]``, reads prompts faster.
    """

    def start(self, batch: int) -> Tree:
        """The state before the first symbol."""

    def step(self, token: Tensor, state: Tree) -> tuple[Tensor, Tree]:
        """Read ``token`` ``[batch]``; give the next symbol's log-probabilities ``[batch, v]``."""


class Kept(NamedTuple):
    """A part of a state that no step changes, and that all texts of a prompt have alike.

    A search that moves texts about leaves it where it is as far as each row keeps its prompt.

    Args:
        tree: of tensors that lead with rows.
    """

    tree: Tree


class Read(NamedTuple):
    """What was read: what may come next, and the state to go on from.

    Every function that takes a prompt takes this in its place, and then reads nothing again.

    Args:
        log_probs: of the next symbol, ``[batch, v]``, in nats.
        state: after the last symbol that was read.
    """

    log_probs: Tensor
    state: Tree


@torch.no_grad()
def read(model: Steps, prompts: Sequence[Sequence[int]] | Read, state: Tree = None) -> Read:
    """Read many prompts at once; a row stops at its own end.

    To read on, give the state that came before: ``read(model, [[symbol]], before.state)``.

    Args:
        model: what is asked; a module is asked in evaluation mode.
        prompts: ids of each row, at least one. A ``Read`` is given back as it is.
        state: to begin from, a row a prompt; ``model.start(...)`` if None.

    Raises:
        SettingError: no model, no prompts, an empty one, or a state beside a ``Read``.
        ShapeError: a state of another number of rows.
        RunError: the model gives NaN.
    """
    rows = _prompts("read", prompts, state)
    if isinstance(rows, Read):
        return rows
    if not hasattr(model, "step") or (state is None and not hasattr(model, "start")):
        raise SettingTypeError(
            f"read: expected a model with `start` and `step`, got {kind_of(model)}"
        )
    # Longest first: the rows that go on are always the first ones.
    order = sorted(range(len(rows)), key=lambda row: -len(rows[row]))
    moved = order != sorted(order)
    state = model.start(len(rows)) if state is None else state
    state = select_rows(state, torch.tensor(order)) if moved else state
    now, ended = Read(torch.empty(len(rows), 0), state), list[Read]()
    time = 0
    while time < len(rows[order[0]]):
        going = [rows[row] for row in order if time < len(rows[row])]
        count = len(now.log_probs)
        if len(going) < count:
            ended.append(select_rows(now, torch.arange(len(going), count)))
            now = select_rows(now, torch.arange(len(going)))
        size = min(len(going[-1]) - time, _SPAN)
        now = _ask(model, [row[time : time + size] for row in going], now.state)
        time += size
    if ended:
        now = map_tree(lambda *parts: torch.cat(parts), now, *reversed(ended))
    return select_rows(now, torch.tensor(order).argsort()) if moved else now


def _ask(model: Steps, tokens: Sequence[Sequence[int]], state: Tree) -> Read:
    """Read as many symbols of each row, in evaluation mode: dropout has no place here."""
    place = next((leaf.device for leaf in leaves(state)), None)
    with evaluating(model) if isinstance(model, nn.Module) else nullcontext():
        if len(tokens[0]) > 1 and hasattr(model, "steps"):
            several, state = model.steps(torch.tensor(tokens, device=place).T, state)
            log_probs = several[-1]
        else:
            for token in zip(*tokens, strict=True):
                # Of a list of numbers NumPy makes an array several times faster than torch.
                ids = torch.from_numpy(np.array(token, np.int64))
                log_probs, state = model.step(ids if place is None else ids.to(place), state)
    if log_probs.dim() != 2 or len(log_probs) != len(tokens):
        raise ShapeError(
            f"step: expected log-probabilities [{len(tokens)}, v] for {len(tokens)} symbols, got "
            f"{list(log_probs.shape)} from {kind_of(model)}"
        )
    total = float(log_probs.sum())  # never +inf beside -inf, so it is NaN where one of them is
    if total != total:
        raise RunError("the model gives NaN; its training went wrong, train it again")
    return Read(log_probs, state)


def _prompts(
    what: str, prompts: Sequence[Sequence[int]] | Read, state: Tree
) -> list[list[int]] | Read:
    """The prompts as lists of whole numbers, checked; a ``Read`` as it is."""
    if isinstance(prompts, Read):
        if state is not None:
            raise SettingError(f"{what}: a Read has its own state; leave out `state`")
        return prompts
    if len(prompts) == 0:
        raise SettingError(f"{what}: expected at least one prompt, got none")
    try:
        rows = [[operator.index(symbol) for symbol in prompt] for prompt in prompts]
    except TypeError:
        raise SettingError(
            f"{what}: expected ids (whole numbers) to read, got {prompts!r:.60}"
        ) from None
    if not all(rows):
        raise SettingError(f"{what}: expected a prompt of at least the start symbol, got none")
    for leaf in leaves(state)[:1]:
        if not isinstance(leaf, Tensor):
            raise InputTypeError(
                f"{what}: state: expected what the model's `start` gives, got {kind_of(leaf)}"
            )
        if len(leaf) != len(rows):
            raise ShapeError(
                f"{what}: expected a state of {len(rows)} rows, one a prompt, got {len(leaf)}"
            )
    return rows


def _one(what: str, prompt: Sequence[int] | Read, state: Tree) -> list[list[int]] | Read:
    """A single prompt as a batch of one."""
    if not isinstance(prompt, Read):
        return _prompts(what, [prompt], state)
    if len(prompt.log_probs) != 1:
        raise ShapeError(
            f"{what}: expected a Read of one row, got {len(prompt.log_probs)}; select one"
        )
    return _prompts(what, prompt, state)


def _mask(what: str, symbols: Collection[int] | Tensor, size: int) -> Tensor:
    """Which of ``size`` symbols are meant, bool ``[size]`` on the CPU, by ids or by a mask."""
    if isinstance(symbols, Tensor) and symbols.dtype == torch.bool:
        if symbols.shape != (size,):
            raise ShapeError(f"{what}: expected a mask [{size}], got {list(symbols.shape)}")
        return symbols.cpu()
    try:
        ids = [operator.index(symbol) for symbol in symbols]
    except TypeError:
        raise SettingError(f"{what}: expected ids (whole numbers), got {symbols!r:.60}") from None
    if wrong := [symbol for symbol in ids if not 0 <= symbol < size]:
        raise SettingError(f"{what}: expected ids of 0 to {size - 1}, got {wrong[0]}")
    mask = torch.zeros(size, dtype=torch.bool)
    mask[torch.tensor(ids, dtype=torch.int64)] = True
    return mask


def _largest(values: Floats, count: int) -> Wholes:
    """Places of the largest values, the largest first."""
    if count < len(values):
        some = np.sort(np.argpartition(values, -count)[-count:])
        return some[np.argsort(-values[some], kind="stable")]
    return np.argsort(-values, kind="stable")
