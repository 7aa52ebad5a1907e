"""The model of a text as it decodes: its frozen steps, as long as they are those of the model."""

from __future__ import annotations

import threading
from collections.abc import Hashable

import torch
from torch import Tensor

from recurra.decoding import Frozen, Steps
from recurra.engine.record.fingerprint import fingerprint
from recurra.engine.record.unrecordable import Unrecordable
from recurra.engine.torch_internals import hooked_modules
from recurra.models import LanguageModel
from recurra.states import leaves
from recurra.twins import evaluating, own_parts
from recurra_runtime import native_available

__all__ = ["Freezer"]

_MOST_THREADS = 4  # that share a step
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64, 16: torch.int64}


class Freezer:
    """Keeps the frozen steps of a model, and makes them anew when the model has changed.

    Args:
        model: whose steps they are.
    """

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._frozen: Frozen | None = None
        self._printed: Hashable = None
        self._numbers: list[Tensor] = []
        self._lock = threading.Lock()

    def now(self) -> Steps:
        """What decodes as the model does now; the model itself where nothing else does."""
        with self._lock, torch.no_grad():
            printed = self._print()
            if printed != self._printed or not self._same_numbers():
                self._printed = printed
                self._numbers = [] if printed is None else [t.clone() for t in self._tensors()]
                self._frozen = None if printed is None else self._freeze()
            return self._model if self._frozen is None else self._frozen

    def _print(self) -> Hashable:
        """All that decides about steps but the numbers of tensors; None where it cannot be told."""
        model, tensors = self._model, self._tensors()
        if not native_available() or hooked_modules() or own_parts(model) is not None:
            return None
        if torch.is_autocast_enabled("cpu") or any(t.device.type != "cpu" for t in tensors):
            return None
        try:
            with evaluating(model):
                return fingerprint(model, model), torch.get_num_threads()
        except Unrecordable:
            return None

    def _freeze(self) -> Frozen | None:
        model = self._model
        given = torch.zeros(1, len(model.conditions), dtype=torch.int64)
        some = given if model.conditions else None
        like, threads = model.start(1, some), min(_MOST_THREADS, torch.get_num_threads())
        kinds = {leaf.dtype for leaf in leaves(like.carried)}
        if len(kinds) > 1 or not all(kind.is_floating_point for kind in kinds):
            return None
        return Frozen(
            model,
            lambda: model.frozen(1, some, threads=threads),
            like,
            contexts=len(leaves((like.context, like.given))),
        )

    def _tensors(self) -> list[Tensor]:
        return [*self._model.parameters(), *self._model.buffers()]

    def _same_numbers(self) -> bool:
        """Whether no bit of a tensor has changed; what is NaN does not equal itself."""
        return not self._numbers or all(
            torch.equal(new.view(_BITS[new.element_size()]), old.view(_BITS[old.element_size()]))
            for new, old in zip(self._tensors(), self._numbers, strict=True)
        )
