"""Models without memory beside a recognizer: fitted on what it was trained on, kept in its run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from recurra.decoding import best_path
from recurra.engine.torch_internals import without_compiler
from recurra.layers.settings import LayerSettings
from recurra.models import Recognizer, RecognizerSettings
from recurra.models.packed_texts import packed_texts, unpacked_texts
from recurra.tasks.recognition.corpus import (
    RecognitionExamples,
    RecognitionPart,
    input_of,
    text_of_symbols,
)
from recurra.tasks.recognition.settings import RecognitionData
from recurra.tasks.rivals import FrequentText
from recurra.tasks.rows import collate_rows
from recurra_runtime.vocabulary import RESERVED, Vocabulary

__all__ = ["KINDS", "FrequentReading", "WindowOfFrames", "fit_rivals"]

_PASSES, _RATE, _ROWS = 8, 0.003, 16
_SETTINGS: dict[str, Any] = {"body": "window", "kernel_size": 9, "layers": 2, "hidden_size": 128}
_OF_STEPS = {*RecognizerSettings.model_fields} - {*LayerSettings.model_fields}


class FrequentReading(FrequentText):
    """The most frequent text, whatever is read."""

    def texts(self, rows: list[Any], vocabulary: Vocabulary) -> list[str]:
        """The same for each."""
        return self.say(rows)

    def nats(self, part: RecognitionPart) -> None:
        """It gives no probabilities."""

    def short(self, part: RecognitionPart) -> int:
        """None: it needs no steps."""
        return 0


class WindowOfFrames:
    """A feed-forward net on nine steps around each, trained by the same loss as the model.

    Steps are what they are to the model beside it: as many frames of a recording, the same network
    of convolutions over a picture.

    Args:
        model: that one.
        reads: see :class:`recurra.Recognizer`.
    """

    def __init__(self, model: Recognizer, reads: tuple[int, ...]) -> None:
        self.model, self.reads = model.eval(), reads

    @classmethod
    def fit(
        cls, part: RecognitionPart, beside: RecognizerSettings, symbols: int, examples: int
    ) -> Self:
        """Eight passes over some of the examples, in the same order each time.

        Args:
            part: that is trained on.
            beside: of the model; it says what a step is, how it is trained is its own affair.
            symbols: how many there are.
            examples: at most; every second, third, ... of them.
        """
        reads = tuple(input_of(part.fronts)[1].shape)
        steps = beside.model_dump(include=_OF_STEPS - beside.LOOSE)
        settings = RecognizerSettings(**_SETTINGS, **steps)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = Recognizer(settings, reads=reads, symbols=symbols)
        every = -(-len(part.inputs) // examples)
        some = range(0, len(part.inputs), every)
        order = sorted(some, key=part.frames)
        batches = [order[at : at + _ROWS] for at in range(0, len(order), _ROWS)]
        optimizer = without_compiler(torch.optim.AdamW)(model.parameters(), _RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _PASSES * len(batches))
        draw = np.random.default_rng(0)
        for _ in range(_PASSES):
            for number in draw.permutation(len(batches)):
                optimizer.zero_grad()
                loss = model.loss(part.batch(batches[number]))
                if loss.requires_grad:
                    loss.backward()  # type: ignore[no-untyped-call]
                    torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
                    optimizer.step()
                schedule.step()
        return cls(model, reads)

    def texts(self, rows: list[Any], vocabulary: Vocabulary) -> list[str]:
        """Of the best path of each."""
        said = self.model.predict(collate_rows(rows)).to_list()
        blank = self.model.alignment.blank
        return [text_of_symbols(best_path(one, blank=blank).symbols, vocabulary) for one in said]

    def nats(self, part: RecognitionPart) -> tuple[float, int]:
        """Sum of the losses of the texts that it can say, and number of their symbols."""
        return self.model.score(part.groups())

    def short(self, part: RecognitionPart) -> int:
        """Texts that need more steps than the model makes of an example."""
        return part.short(self.model)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Settings, sizes and weights."""
        sizes = np.array([self.model.alignment.blank, *self.reads], np.int64)
        settings = packed_texts([self.model.config.model_dump_json()])
        weights = {name: p.numpy() for name, p in self.model.state_dict().items()}
        return {"settings": settings, "sizes": sizes, **weights}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """What :meth:`arrays` gave."""
        weights = {name: torch.from_numpy(one.copy()) for name, one in arrays.items()}
        settings = RecognizerSettings(**json.loads(unpacked_texts(arrays["settings"])[0]))
        symbols, *reads = weights.pop("sizes").tolist()
        del weights["settings"]
        model = Recognizer(settings, reads=reads, symbols=symbols)
        model.load_state_dict(weights)
        return cls(model, tuple(reads))


KINDS: dict[str, Any] = {
    "most frequent text": FrequentReading.from_arrays,
    "window of frames": WindowOfFrames.from_arrays,
}
"""By name, the simplest first."""


def fit_rivals(
    prepared: RecognitionExamples,
    data: RecognitionData,
    beside: RecognizerSettings,
    report: Callable[[str], None],
) -> dict[str, Any]:
    """The most frequent text, and a window of frames; its passes are not chosen.

    Args:
        prepared: the examples.
        data: on how many of them the window is fitted.
        beside: of the model; of the window steps are the same.
        report: is told what takes long.
    """
    training = prepared.parts["training"]
    if not data.rival_examples:
        return {}
    fitted = min(len(training.inputs), data.rival_examples)
    report(f"fitting rivals on {fitted:,} examples")
    symbols = len(training.vocabulary) - len(RESERVED)
    return {
        "most frequent text": FrequentReading.fit(training.texts),
        "window of frames": WindowOfFrames.fit(training, beside, symbols, data.rival_examples),
    }
