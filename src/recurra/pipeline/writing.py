"""Text that goes on from a prompt: drawn symbol by symbol, or searched for as a whole."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from recurra.decoding import LengthRule, beam_search, generate, generate_batch
from recurra.pipeline.text_model import TextModel, open_text_model
from recurra.settings import check_size
from recurra_runtime.vocabulary import END, START, UNKNOWN

__all__ = ["Writer", "Written"]

_NEVER = (UNKNOWN, START)
_ENDLESS = 2**62  # symbols; nobody waits for so many


@dataclasses.dataclass(frozen=True)
class Written:
    """A text that a search found.

    Args:
        text: without the prompt.
        log_prob: its log-probability after the prompt in nats, its end included.
        score: what texts were ranked by: ``log_prob`` under the length rule.
        finished: whether it ends by itself, and not at the limit.
    """

    text: str
    log_prob: float
    score: float
    finished: bool


class Writer:
    """A trained language model that writes text.

    Args:
        path: a run, or an artifact; or a model that is open already.
        which: of a run, ``"best"`` or ``"last"``.
        model: name of an n-gram that is kept in the run; the recurrent model if None.

    Raises:
        ArtifactError: it cannot be loaded, or is no language model.
        SettingError: no model of that name.
    """

    def __init__(
        self, path: str | Path | TextModel, *, which: str = "best", model: str | None = None
    ) -> None:
        if not isinstance(path, TextModel):
            path = open_text_model(path, which=which, model=model)
        self._text = path
        self.model, self.vocabulary = self._text.model, self._text.vocabulary

    def write(
        self,
        prompt: str = "",
        *,
        limit: int = 500,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        given: Mapping[str, str] | None = None,
    ) -> Iterator[str]:
        """Go on from a prompt, piece by piece as it is drawn; arguments as in ``generate``.

        What the model has never seen it reads as ``<unk>``, and an ``UnknownWarning`` says so.

        Args:
            prompt: what to go on from.
            limit: largest number of symbols.
            temperature: 0 takes the most probable symbol every time.
            top_k: draw among the k most probable symbols only.
            top_p: draw among the most probable symbols that together reach this probability.
            seed: the same one gives the same text.
            given: condition -> label.

        Raises:
            DataError: a condition has a label that the model has never seen.
            SettingError: a temperature, top_k, top_p or limit out of range, or a condition that is
                missing or that the model does not have.
        """
        drawn = generate(
            self._text.steps,
            [START, *self._text.encode(prompt)],
            end=END,
            never=_NEVER,
            limit=limit,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
            state=self._text.start(1, given),
        )
        return map(self._text.writer(prompt), drawn)

    def write_on(
        self,
        prompt: str = "",
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        given: Mapping[str, str] | None = None,
    ) -> Iterator[str]:
        """Go on from a prompt without an end.

        Behind the end of a text comes a line end, then the next text, without the prompt.

        Arguments and errors as of :meth:`write`; the first text is that of it.
        """
        how: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        how |= {"given": given, "limit": _ENDLESS}
        first = self.write(prompt, seed=seed, **how)  # what is wrong is said now

        def texts() -> Iterator[Iterator[str]]:
            yield first
            for number in itertools.count(1):
                yield iter("\n")
                yield self.write(seed=None if seed is None else (seed + number) % 2**63, **how)

        return itertools.chain.from_iterable(texts())

    def write_several(
        self,
        prompt: str = "",
        count: int = 3,
        *,
        limit: int = 500,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        given: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Several texts after one prompt, written at once; the first is that of :meth:`write`.

        Arguments and errors as there; ``count`` is the number of texts.
        """
        check_size("count", count)
        written = generate_batch(
            self._text.steps,
            [[START, *self._text.encode(prompt)]] * count,
            end=END,
            never=_NEVER,
            limit=limit,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
            state=self._text.start(count, given),
        )
        return ["".join(map(self._text.writer(prompt), ids)) for ids in written]

    def search(
        self,
        prompt: str = "",
        *,
        width: int = 8,
        count: int = 1,
        limit: int = 500,
        length_penalty: float = 0.0,
        given: Mapping[str, str] | None = None,
    ) -> list[Written]:
        """The most probable texts after a prompt, found by beam search; best first.

        Args:
            prompt: what to go on from.
            width: texts that are followed at once.
            count: how many to give, at most ``width``.
            limit: largest number of symbols, the end included.
            length_penalty: alpha of GNMT's length rule, see :class:`recurra.LengthRule`; 0 ranks by
                probability alone, larger numbers favor longer texts.
            given: condition -> label.

        Raises:
            DataError: as in :meth:`write`.
            SettingError: a number out of range, or as in :meth:`write`.
        """
        found = beam_search(
            self._text.steps,
            [START, *self._text.encode(prompt)],
            width=check_size("width (--beam)", width, check_size("count", count)),
            end=END,
            never=_NEVER,
            limit=limit,
            length_rule=LengthRule(length_penalty, 5),
            keep=count,
            state=self._text.start(1, given),
        )
        return [
            Written(
                "".join(map(self._text.writer(prompt), each.symbols)),
                each.log_prob,
                each.score,
                each.finished,
            )
            for each in found
        ]
