"""A recognizer that reads while a recording comes, and tells where an utterance ends."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from recurra.decoding import Fusion, HotWords, PrefixSearch
from recurra.errors import SettingError
from recurra.models import Recognizer
from recurra.settings import check_kind, check_number, check_size
from recurra.tasks.encoding import Incoming
from recurra.tasks.recognition.corpus import TEXT, input_of, text_of_symbols
from recurra.tasks.recognition.recognized import Recognized, recognized
from recurra_runtime.fronts import Series, Sound

__all__ = ["EndRules", "Listener"]


class EndRules(NamedTuple):
    """Where an utterance ends, in steps of the model; None: never for that reason.

    Args:
        silence: so many steps beside each other whose best symbol is the blank, behind some text.
        empty: the same, where no text came yet; nothing is said of it.
        longest: so many steps in all.
    """

    silence: int | None = 40
    empty: int | None = None
    longest: int | None = 1000

    def checked(self) -> EndRules:
        """Itself.

        Raises:
            SettingError: a number of steps below 1.
        """
        for name, value in zip(self._fields, self, strict=True):
            if value is not None:
                check_size(f"listen: {name}", value)
        return self


class Listener:
    """What is said, while it comes: of a model that reads one way.

    Parts may be cut anywhere: what is found is what all of them, given whole, would give. Where an
    utterance ends the next one begins; the layers read on, and only the search begins anew.

    Args:
        model: that reads one way.
        fronts: of it.
        ends: where an utterance ends; by the rules of :class:`EndRules` unless given.
        width: as of :meth:`RecognizingModel.predict`, like all that follow.
        keep: texts that are given of each utterance.
        threshold: see there.
        language: see there.
        hot: see there.

    Raises:
        SettingError: it reads pictures, or recordings that are each scaled whole, or a number out
            of range.
        ShapeError: it reads both ways.
    """

    def __init__(
        self,
        model: Recognizer,
        fronts: Mapping[str, Any],
        *,
        ends: EndRules | None = None,
        width: int = 32,
        keep: int = 5,
        threshold: float | None = 20.0,
        language: Fusion | None = None,
        hot: HotWords | None = None,
    ) -> None:
        _, front = input_of(fronts)
        if not isinstance(front, Series | Sound):
            raise SettingError("listen: expected a model of series or of sounds")
        if threshold is not None:
            check_number("listen: threshold", threshold)
        check_kind("listen: ends", ends or EndRules(), EndRules, "EndRules or None")
        self._model, self._fronts = model, fronts
        try:
            self._incoming = Incoming(front)
        except ValueError as problem:
            raise SettingError(f"listen: {problem}") from None
        self._ends, self._keep = (ends or EndRules()).checked(), check_size("listen: keep", keep)
        self._search = functools.partial(
            PrefixSearch,
            blank=model.alignment.blank,
            width=width,
            threshold=threshold,
            language=language,
            hot=hot,
        )
        self._steps = 0  # of utterances before this one
        self._begin()
        _, self._heard = model.listen(torch.zeros(0, 1, *front.shape))  # whether it can listen

    def _begin(self) -> None:
        self._open = self._search()
        self._logs: list[npt.NDArray[np.float64]] = []
        self._silent, self._said = 0, False

    @property
    def text(self) -> str:
        """The best text of the utterance that has not ended yet."""
        found = self._open.texts()
        return text_of_symbols(found[0].symbols, self._fronts[TEXT]) if found else ""

    def push(self, part: Any) -> list[Recognized]:
        """Utterances that end in this part.

        Args:
            part: steps ``[time, channels]`` of a series; of a sound samples ``[samples]``, of the
                rate of the model's recordings.

        Raises:
            DataError: something else.
        """
        return self._read(self._incoming.push(part))

    def finish(self) -> list[Recognized]:
        """Utterances that end in what waited, and the one that is open, if it has a text."""
        found = self._read(self._incoming.finish())
        found += self._steps_of(self._model.finish(self._heard))
        if self._said:
            found.append(self._ended())
        return found

    def _read(self, frames: npt.NDArray[np.float32]) -> list[Recognized]:
        said, self._heard = self._model.listen(torch.from_numpy(frames[:, None]), self._heard)
        return self._steps_of(said)

    def _steps_of(self, said: torch.Tensor) -> list[Recognized]:
        found = []
        for step in said[:, 0].double().cpu().numpy():
            self._open.push(step[None])
            self._logs.append(step)
            blank = step.argmax() == self._model.alignment.blank
            self._silent = self._silent + 1 if blank else 0
            self._said = self._said or not blank
            silence = self._ends.silence if self._said else self._ends.empty
            whole = self._ends.longest is not None and len(self._logs) >= self._ends.longest
            if whole or (silence is not None and self._silent >= silence):
                if self._said:
                    found.append(self._ended())
                else:
                    self._steps += len(self._logs)
                    self._begin()
        return found

    def _ended(self) -> Recognized:
        """The utterance that was open; the next one begins."""
        logs, texts = np.stack(self._logs), self._open.texts(self._keep)
        found = recognized(self._model, self._fronts, logs, texts, before=self._steps)
        self._steps += len(logs)
        self._begin()
        return found
