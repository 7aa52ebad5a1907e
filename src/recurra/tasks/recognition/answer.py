"""What a trained recognizer answers."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recurra.decoding import (
    Fusion,
    HotWords,
    PrefixSearch,
    Transcript,
    best_path,
    prefix_search,
)
from recurra.errors import SettingTypeError, kind_of
from recurra.given import ahead, inputs_of, text_of
from recurra.models import Recognizer
from recurra.settings import check_size
from recurra.tasks.base import Answer, read_fronts
from recurra.tasks.encoding import encode_inputs
from recurra.tasks.offered import opened_inputs, raw_input
from recurra.tasks.recognition.corpus import TEXT, input_of, numbers_of
from recurra.tasks.recognition.listening import EndRules, Listener
from recurra.tasks.recognition.recognized import Recognized, recognized
from recurra.tasks.recognition.settings import RecognitionData
from recurra.tasks.rows import collate_rows
from recurra.training import data_of
from recurra_runtime.vocabulary import RESERVED

__all__ = ["RecognizingModel"]

_BLOCK, _ROWS = 256, 16  # examples read ahead; beside each other
_WIDTH, _THRESHOLD = 32, 20.0  # of the search for other texts


class RecognizingModel(Answer):
    """A recognizer of recordings, pictures of lines, or series."""

    takes = ("keep",)
    beside = "score, by which they are ranked (log-probability of all of it, in nats)"
    model: Recognizer

    def predict(
        self,
        inputs: Iterable[Any],
        *,
        width: int = _WIDTH,
        keep: int = 5,
        threshold: float | None = _THRESHOLD,
        language: Fusion | None = None,
        hot: HotWords | Sequence[str] = (),
    ) -> Iterator[Recognized]:
        """The text of each input, in their order; some are read ahead.

        Args:
            inputs: sounds, pairs of samples and their rate; pictures, uint8 arrays; series, arrays
                ``[time, channels]``; or files of any of these.
            width: texts that are open at each step, see :func:`recurra.prefix_search`; of 1 the
                best symbol of each step is taken; else as many as are kept at least.
            keep: texts that are given.
            threshold: how far behind the best a text may fall, in nats; None: any.
            language: scores the texts too; :meth:`fused` makes one of a language model.
            hot: words that are expected, as texts; or with a bonus of their own.

        Raises:
            DataError: something that is none of these, or cannot be read.
        """
        if isinstance(inputs, os.PathLike):
            inputs = [inputs]
        hot_words = self._hot(hot)
        width, keep = check_size("predict: width", width), check_size("predict: keep", keep)
        width = width if width == 1 else max(width, keep)
        PrefixSearch(blank=0, width=width, threshold=threshold, language=language)  # told at once
        raw = map(self._raw, inputs_of("predict", inputs))

        def searched(logs: npt.NDArray[np.float64]) -> list[Transcript]:
            blank = self.model.alignment.blank
            if width == 1 and language is None and hot_words is None:
                return [best_path(logs, blank=blank)]
            return prefix_search(
                logs,
                blank=blank,
                width=width,
                keep=keep,
                threshold=threshold,
                language=language,
                hot=hot_words,
            )

        blocks = ahead(raw, _BLOCK)
        return itertools.chain.from_iterable(self._block(block, searched) for block in blocks)

    def listen(
        self, *, hot: HotWords | Sequence[str] = (), ends: EndRules | None = None, **how: Any
    ) -> Listener:
        """What answers while a recording or a series comes, for a model that reads one way.

        Args:
            hot: as of :meth:`predict`.
            ends: where an utterance ends; by the rules of :class:`EndRules` unless given.
            how: width, keep, threshold and language, as of :meth:`predict`.

        Raises:
            SettingError: a model of pictures.
            ShapeError: it reads both ways.
        """
        return Listener(self.model, self.fronts, hot=self._hot(hot), ends=ends, **how)

    def _hot(self, hot: HotWords | Sequence[str]) -> HotWords | None:
        if isinstance(hot, HotWords):
            return hot
        return self.hot_words(hot) if hot else None

    def hot_words(self, words: Iterable[str], bonus: float = 2.0) -> HotWords:
        """Words that are expected, in symbols of the model; those that it cannot say are left out.

        Args:
            words: texts.
            bonus: of each symbol, in nats.
        """
        given = inputs_of("hot", words)  # a text is one of them, not its letters
        found = [numbers_of(text_of("hot", word), self.fronts[TEXT]) for word in given]
        own = [each.tolist() for each in found if len(each) and (each >= 0).all()]
        return HotWords(own, self.model.alignment.blank, bonus)

    def fused(self, language: Any, alpha: float = 0.5, beta: float = 0.0) -> Fusion:
        """A language model beside this one, of whatever vocabulary.

        Args:
            language: an n-gram over the ids of this model's vocabulary, or what
                :func:`recurra.load` gives of a run of a language model.
            alpha: its weight.
            beta: bonus of each symbol.

        Raises:
            SettingError: it gives no log-probabilities of symbols.
        """
        own = self.fronts[TEXT]
        ids = list(range(len(RESERVED), len(own)))
        vocabulary = getattr(language, "vocabulary", None)
        if vocabulary is not None:
            known = {vocabulary.symbol(n): n for n in range(len(vocabulary))}
            ids = [known.get(own.symbol(n), 0) for n in ids]  # <unk> is 0
        model = getattr(language, "model", language)
        if not all(hasattr(model, name) for name in ("start", "step")):
            raise SettingTypeError(
                "fused: expected a language model, as recurra.load gives of its run, or an n-gram, "
                f"got {kind_of(language)}"
            )
        return Fusion(model, alpha, beta, ids=ids)

    def log_probabilities(self, inputs: Iterable[Any]) -> list[npt.NDArray[np.float64]]:
        """Of each input ``[steps, symbols + 1]``, the blank last, for a search of one's own."""
        rows = [self._encoded(self._raw(one)[0]) for one in inputs_of("predict", inputs)]
        return self._logs(rows)

    def opened(self, file: Path, encoding: str | None) -> Iterable[Any] | None:
        """What a table, a folder, a recording, a picture holds; see :func:`opened_inputs`."""
        return opened_inputs(self._inputs, file, data_of(self.path).undivided, encoding)

    def of_line(self, line: str) -> Any:
        """The file of that name."""
        return Path(line)

    def show(self, answer: Recognized, top: int | None = None) -> str:
        """The text; of several each with its score, with tabs between them."""
        if top is None:
            return answer.text
        return "\t".join(f"{each.text}\t{each.score:.4f}" for each in answer.ranked[:top])

    def to_json(self, answer: Recognized, top: int | None = None) -> dict[str, Any]:
        """All of it."""
        return answer.to_json(top)

    def _raw(self, one: Any) -> tuple[Any, str | None]:
        """What can be encoded, and what it is called."""
        return raw_input(self._inputs, one)

    @property
    def _inputs(self) -> dict[str, Any]:
        return read_fronts(self.fronts, TEXT)

    def _encoded(self, raw: Any) -> Any:
        name, front = input_of(self.fronts)
        return encode_inputs({name: front}, raw, "predict", RecognitionData())[0]

    def _logs(self, rows: list[Any]) -> list[npt.NDArray[np.float64]]:
        order = sorted(range(len(rows)), key=lambda n: len(rows[n]))
        found: dict[int, Any] = {}
        for at in range(0, len(order), _ROWS):
            some = order[at : at + _ROWS]
            said = self.model.predict(collate_rows([rows[n] for n in some]))
            logs = [row.double().cpu().numpy() for row in said.to_list()]
            found.update(zip(some, logs, strict=True))
        return [found[number] for number in range(len(rows))]

    def _block(self, block: list[tuple[Any, str | None]], searched: Any) -> Iterator[Recognized]:
        rows = [self._encoded(raw) for raw, _ in block]
        for (_, called), logs in zip(block, self._logs(rows), strict=True):
            yield recognized(self.model, self.fronts, logs, searched(logs), called)
