"""What a trained classifier answers."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from recurra.data import ExampleRow
from recurra.errors import SettingError
from recurra.given import ahead, inputs_of
from recurra.models import Classifier, Model
from recurra.tasks.base import Answer, read_fronts
from recurra.tasks.classification.corpus import LABEL
from recurra.tasks.classification.evaluation import log_probabilities
from recurra.tasks.classification.settings import ClassificationData
from recurra.tasks.encoding import Incoming, encode_inputs, unknown_of
from recurra.tasks.inputs import is_text
from recurra.tasks.offered import opened_inputs, raw_input, value_of_line
from recurra.training import data_of
from recurra_runtime.fronts import Series, Sound

__all__ = ["ClassifyingModel", "Label", "Listener"]

_BLOCK = 1024  # examples read ahead, so that those of like length can stand together
_SURE = 0.5  # from which on one of several labels is named


@dataclasses.dataclass(frozen=True)
class Label:
    """The class of an example.

    Args:
        read: the text, or where the example is from; None of numbers that are from nowhere.
        ranked: all classes with their probabilities, the most probable first.
        several: whether each has a probability of its own, so that any number may be named.
        symbols: how many its text has; None without one.
        unknown: how many of them the vocabulary does not know.
    """

    read: str | None
    ranked: tuple[tuple[str, float], ...]
    several: bool = False
    symbols: int | None = None
    unknown: int | None = None

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.ranked[0][0]

    @property
    def probability(self) -> float:
        """Of that class."""
        return self.ranked[0][1]

    @property
    def labels(self) -> tuple[str, ...]:
        """The class; of several those of a probability of at least 0.5."""
        if not self.several:
            return (self.label,)
        return tuple(name for name, share in self.ranked if share >= _SURE)

    @property
    def text(self) -> str:
        """What was read."""
        return self.read or ""

    def to_json(self, top: int | None = None) -> dict[str, Any]:
        """All of it, or of the ranks the first so many."""
        found: dict[str, Any] = {}
        if self.read is not None:
            found["file" if self.symbols is None else "text"] = self.read
        if self.several:
            found["labels"] = list(self.labels)
        else:
            found |= {"label": self.label, "probability": self.probability}
        ranked = [{"label": name, "probability": share} for name, share in self.ranked[:top]]
        found["ranked"] = ranked
        if self.symbols is not None:
            found |= {"symbols": self.symbols, "unknown": self.unknown}
        return found


class ClassifyingModel(Answer):
    """A classifier that names the classes of texts, series, sounds, pictures."""

    def __init__(self, model: Model, fronts: Mapping[str, Any], path: Path, kind: str) -> None:
        super().__init__(model, fronts, path, kind)
        # How the run read its data, asked now: an estimator's run is gone when it predicts.
        self._data: ClassificationData = data_of(path).undivided

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names."""
        names: tuple[str, ...] = self.fronts[LABEL].names
        return names

    def predict(self, inputs: Iterable[Any]) -> Iterator[Label]:
        """The class of each example, in their order; some are read ahead.

        Args:
            inputs: texts; series, arrays ``[time, channels]``; sounds, pairs of samples and their
                rate; pictures, uint8 arrays; files of any of these but texts; of several inputs
                mappings by name, in which one may be missing.

        Raises:
            DataError: something that is none of these, or cannot be read.
        """
        if isinstance(inputs, os.PathLike) and not self._texts:
            inputs = [inputs]
        raw = self._raw(inputs_of("predict", inputs))  # what is none is told at once
        return itertools.chain.from_iterable(map(self._block, ahead(raw, _BLOCK)))

    def listen(self) -> Listener:
        """What answers while a series or a recording comes, for a model that reads one way.

        Raises:
            SettingError: a model of anything else.
            ShapeError: it reads both ways.
        """
        front = next(iter(self._inputs.values()))
        if len(self._inputs) > 1 or not isinstance(front, Series | Sound):
            raise SettingError("listen: expected a model of series or of sounds")
        return Listener(self, front)

    def opened(self, file: Path, encoding: str | None) -> Iterable[Any] | None:
        """What a table, a folder, a recording, a picture holds; see :func:`opened_inputs`."""
        return opened_inputs(self._inputs, file, self._data, encoding)

    def of_line(self, line: str) -> Any:
        """A text; where something else is read the file of that name, of several a JSON object."""
        return value_of_line(self._inputs, line)

    def show(self, answer: Label, top: int | None = None) -> str:
        """Label and probability of the most probable classes, with tabs between them."""
        if answer.several and top is None:
            return ", ".join(answer.labels) or "-"
        return "\t".join(f"{name}\t{share:.4f}" for name, share in answer.ranked[: top or 1])

    def to_json(self, answer: Label, top: int | None = None) -> dict[str, Any]:
        """All of it."""
        return answer.to_json(top)

    def ranked(self, shares: Sequence[float]) -> tuple[tuple[str, float], ...]:
        """Classes with their probabilities, the most probable first."""
        order = sorted(range(len(shares)), key=lambda at: -shares[at])
        return tuple((self.classes[at], shares[at]) for at in order)

    @property
    def _inputs(self) -> dict[str, Any]:
        return read_fronts(self.fronts, LABEL)

    @property
    def _texts(self) -> bool:
        return len(self._inputs) == 1 and is_text(next(iter(self._inputs.values())))

    def _raw(self, inputs: Iterable[Any]) -> Iterator[tuple[Any, str | None]]:
        """What can be encoded, and what it is called."""
        return (raw_input(self._inputs, one, self._data) for one in inputs)

    def _block(self, block: list[tuple[Any, str | None]]) -> Iterator[Label]:
        rows = [encode_inputs(self._inputs, raw, "predict", self._data)[0] for raw, _ in block]
        shares = log_probabilities(self.model, rows).exp()
        several = bool(self.model.config.several)
        for (_, called), row, said in zip(block, rows, shares.tolist(), strict=True):
            yield Label(called, self.ranked(said), several, *self._symbols(row))

    def _symbols(self, row: ExampleRow) -> tuple[int | None, int | None]:
        if not any(map(is_text, self._inputs.values())):
            return None, None
        unknown, symbols = unknown_of(self._inputs, [row])
        return symbols, unknown


class Listener:
    """A classifier that answers after every part of a stream, as if it ended there.

    Parts may be cut anywhere: after each the answer is the one that all of the parts so far, given
    whole, would get. Of a sound that is what is in whole frames by now; where slopes stand beside
    its features (``data.deltas``) a frame waits for those after it, and :meth:`finish` reads the
    rest.

    Args:
        answering: the model.
        front: of what it reads.

    Raises:
        SettingError: of recordings that are each scaled whole.
        ShapeError: it reads both ways.
    """

    def __init__(self, answering: ClassifyingModel, front: Series | Sound) -> None:
        self._answering = answering
        try:
            self._incoming = Incoming(front)
        except ValueError as problem:
            raise SettingError(f"listen: {problem}") from None
        self._heard: Any = None
        self._last: Label | None = None
        self.push_encoded(np.zeros((0, 1, *front.shape), np.float32))  # whether it can listen

    def push(self, part: Any) -> Label | None:
        """What the model says by now; None until there is a step to read.

        Args:
            part: steps ``[time, channels]`` of a series; of a sound samples ``[samples]``, of the
                rate of the model's recordings.

        Raises:
            DataError: something else.
        """
        return self.push_encoded(self._incoming.push(part)[:, None])

    def finish(self) -> Label | None:
        """What it says of all of it: the frames of a sound that waited are read."""
        return self.push_encoded(self._incoming.finish()[:, None])

    def push_encoded(self, frames: npt.NDArray[np.float32]) -> Label | None:
        """As :meth:`push`, of what the front made: ``[time, 1, ...]``."""
        model = cast(Classifier, self._answering.model)
        said, heard = model.listen(torch.from_numpy(frames), self._heard)
        if len(frames):
            self._heard = heard
            shares = model.label_head.log_probabilities(said[-1, 0].double()).exp().tolist()
            ranked = self._answering.ranked(shares)
            self._last = Label(None, ranked, model.config.several)
        return self._last
