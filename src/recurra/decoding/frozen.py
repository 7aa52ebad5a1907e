"""Decoding over a session: the steps of a frozen model, without PyTorch's work around each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from recurra.errors import BackendError
from recurra.states import Tree, leaves, with_leaves
from recurra.twins import evaluating
from recurra_runtime import Session

__all__ = ["Frozen"]

# So many symbols of all rows a session reads sooner, one by one, than the model reads them at once.
_FEW = 128


class _Packed(NamedTuple):
    """A state of a session; rows of it can be selected like those of any other.

    Args:
        rows: all that is carried, side by side, ``[batch, n]``.
        context: what does not change.
    """

    rows: Tensor
    context: tuple[Tensor, ...]


class Frozen:
    """A model that decodes over a session; long prompts it reads itself.

    The session is made at the first step, so a prompt need not wait for it. A model that cannot be
    frozen takes its own steps. Any number of texts, and of threads, may share one object.

    Args:
        model: has ``start``, ``step`` and ``steps``.
        freeze: gives a session of its steps. The leaves of the model's state are the session's
            states, and then its context.
        like: a state of the model, of any number of rows; what is carried has one type.
        contexts: how many of its leaves, the last ones, do not change.
    """

    def __init__(
        self, model: Any, freeze: Callable[[], Session], like: Tree, contexts: int = 0
    ) -> None:
        self._model, self._freeze, self._like = model, freeze, like
        parts = leaves(like)
        self._carried = parts[: len(parts) - contexts]
        self._session: Session | None = None
        self._fails = False
        self._at: _Packed | None = None  # where the session is
        self._lock = threading.Lock()

    def start(self, batch: int) -> Tree:
        """The state before the first symbol, as the model has it."""
        return self._model.start(batch)

    def step(self, token: Tensor, state: Tree) -> tuple[Tensor, Tree]:
        """Read ``token`` ``[batch]``; give the next symbol's log-probabilities ``[batch, v]``.

        Args:
            token: ids.
            state: the model's, or as an earlier step gave it.
        """
        with self._lock:
            session = self._ready()
            if session is not None:
                self._go_to(session, self._packed(state, len(token)))
                return self._read(session, token)
        with evaluating(self._model):
            log_probs, new = self._model.step(token, self._unpacked(state))
        return log_probs, self._packed(new, len(token))

    def steps(self, tokens: Tensor, state: Tree) -> tuple[Tensor, Tree]:
        """Several steps, ``tokens`` ``[time, batch]``; log-probabilities ``[time, batch, v]``."""
        if tokens.numel() > _FEW or self._fails:
            with evaluating(self._model):
                log_probs, new = self._model.steps(tokens, self._unpacked(state))
            return log_probs, self._packed(new, tokens.shape[1])
        said = []
        for token in tokens:
            log_probs, state = self.step(token, state)
            said.append(log_probs)
        return torch.stack(said), state

    def _ready(self) -> Session | None:
        """The session, made when it is first needed; None where there is none."""
        if self._session is None and not self._fails:
            try:
                self._session = self._freeze()
            except BackendError:
                self._fails = True
        return self._session

    def _read(self, session: Session, token: Tensor) -> tuple[Tensor, _Packed]:
        said = session.step(token.numpy().astype(session.program.dtype))
        assert self._at is not None
        self._at = _Packed(torch.from_numpy(session.carried), self._at.context)
        return torch.from_numpy(said), self._at

    def _go_to(self, session: Session, state: _Packed) -> None:
        """Give the session this state; mostly it is there already."""
        before = self._at
        if state is before:
            return
        self._at = None
        if len(state.rows) != session.batch:
            session.select(np.zeros(len(state.rows), np.int64))
            before = None
        if state.context and (before is None or state.context is not before.context):
            session.context = [leaf.numpy() for leaf in state.context]
        session.carried = state.rows.numpy()
        self._at = state

    def _packed(self, state: Tree, rows: int) -> _Packed:
        """A state of the model as one of the session."""
        if isinstance(state, _Packed):
            return state
        parts, count = leaves(state), len(self._carried)
        lines = [part.reshape(rows, -1) for part in parts[:count]]
        carried = torch.cat(lines, 1) if lines else torch.empty(rows, 0)
        return _Packed(carried, tuple(parts[count:]))

    def _unpacked(self, state: Tree) -> Tree:
        """A state of the session as one of the model."""
        if not isinstance(state, _Packed):
            return state
        lines = torch.split(state.rows, [like[0].numel() for like in self._carried], 1)
        parts = [
            line.reshape(len(line), *like.shape[1:])
            for line, like in zip(lines, self._carried, strict=True)
        ]
        return with_leaves(self._like, [*parts, *state.context])
