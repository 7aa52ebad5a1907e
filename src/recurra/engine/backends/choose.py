"""Which backend runs a call: asked by ``run``, told by ``explain``."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from recurra.cells.base import Cell
from recurra.engine.backends.checkpoints import in_windows
from recurra.engine.backends.loop import LOOP
from recurra.engine.backends.native import NATIVE
from recurra.engine.backends.slower import warning_first
from recurra.engine.backends.torch_kernels import ATEN
from recurra.engine.call import Backend, Call, Run
from recurra.engine.record.unrecordable import Refused
from recurra.errors import BackendError, nearest

__all__ = ["BACKENDS", "Chosen", "check_backend", "choose", "refusal"]


class Chosen(NamedTuple):
    """A backend that was chosen.

    Args:
        name: of the backend.
        run: runs the call.
        obstacles: what is in the way of those that are faster, by name.
    """

    name: str
    run: Callable[[], Run]
    obstacles: dict[str, str]


BACKENDS = (NATIVE, ATEN, LOOP)
"""Fastest first; the last one runs everything."""


def choose(cell: Cell, call: Call, forced: str | None) -> Chosen:
    """The first backend that can, and what is in the way of those before it.

    Args:
        cell: what runs.
        call: the call.
        forced: the backend that is asked for, or None.

    Raises:
        BackendError: the one that is forced is unknown, or something is in its way.
    """
    check_backend(forced)
    obstacles: dict[str, str] = {}
    for backend in BACKENDS:
        if forced not in (None, backend.name):
            continue
        try:
            offer = _offer(backend, cell, call, forced=forced is not None)
        except Refused as problem:
            obstacles[backend.name] = str(problem)
            continue
        if backend is LOOP and obstacles and call.opened is None:  # who looks may wait
            offer = warning_first(offer, cell, call, obstacles)
        return Chosen(backend.name, offer, obstacles)
    raise refusal(str(forced), obstacles[str(forced)])


def refusal(forced: str, why: str) -> BackendError:
    """The error of a backend that was asked for and cannot."""
    return BackendError(f"backend {forced!r} cannot run this call: {why}. Leave backend out.")


def _offer(backend: Backend, cell: Cell, call: Call, *, forced: bool) -> Callable[[], Run]:
    """What a backend says to a call, or to its windows if it does not keep states between them."""
    offer = backend.offer(cell, call)
    if not (forced or backend.one_step) and call.one_step:
        raise Refused("there is one step, which costs less than a kernel for whole sequences")
    if backend.checkpoints or _whole(call):
        return offer
    return lambda: in_windows(call, lambda window: backend.offer(cell, window)())


def _whole(call: Call) -> bool:
    """Is nothing to be kept between windows?"""
    every = call.checkpoint_every
    return every is None or every >= call.time or call.batch == 0 or not torch.is_grad_enabled()


def check_backend(forced: str | None) -> None:
    """Refuse a name that no backend has.

    Raises:
        BackendError: naming those that there are.
    """
    if forced is None:
        return
    names = [backend.name for backend in BACKENDS]
    if forced not in names:
        raise BackendError(f"backend: no {forced!r}; {nearest(str(forced), names)}")
