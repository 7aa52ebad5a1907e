"""What a trained encoder-decoder answers."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from recurra.batch import Batch
from recurra.data import ExampleRow
from recurra.data.examples import Example
from recurra.decoding import Hypothesis, LengthRule, beam_search_batch
from recurra.diagnosis import Looked
from recurra.engine.probe import named_values
from recurra.errors import DataError, SettingError, kind_of
from recurra.given import ahead, inputs_of, text_of
from recurra.heads.base import whole_rows
from recurra.models import EncoderDecoder, Model
from recurra.settings import check_kind, check_number, check_size
from recurra.tasks.base import Answer, read_fronts
from recurra.tasks.division import Pair
from recurra.tasks.encoding import cut
from recurra.tasks.examples import ExamplesTask
from recurra.tasks.inputs import is_text
from recurra.tasks.offered import opened_inputs, raw_input, value_of_line
from recurra.tasks.rows import steps_of
from recurra.tasks.transduction.settings import TransductionData
from recurra.training import data_of
from recurra_runtime.vocabulary import END, START, UNKNOWN

__all__ = ["TARGET", "Said", "TransducingModel", "searched"]

TARGET = "target"
"""The field of what is said; every other field is an input."""

_MEAN = LengthRule(1.0)  # of log-probabilities
_UNSEEN = 1e-10  # weight of a place at least, whose logarithm is taken
_NONE: Any = object()  # in place of an input or a target that is missing
_BLOCK, _ROWS = 512, 64  # inputs that are read ahead; beside each other


@dataclasses.dataclass(frozen=True)
class Said:
    """What was said of an input, and how probable that is.

    Args:
        text: what was said.
        log_prob: of it, in nats, its end included.
        score: by which it was chosen, see :class:`recurra.LengthRule`.
        finished: whether it came to its end; else it was cut off.
        symbols: its ids.
        others: further answers, the best first.
    """

    text: str
    log_prob: float
    score: float
    finished: bool
    symbols: tuple[int, ...]
    others: tuple[Said, ...] = ()

    def ranked(self, top: int | None = None) -> list[Said]:
        """It and the others, so many or all, the best first."""
        return [self, *self.others][:top]

    def to_json(self, top: int | None = None) -> dict[str, Any]:
        """All of it, but ids."""
        told = [
            {name: getattr(each, name) for name in ("text", "log_prob", "score", "finished")}
            for each in self.ranked(top)
        ]
        return {**told[0], "others": told[1:]}


class TransducingModel(Answer):
    """An encoder-decoder with what it reads and says.

    Args:
        model: in evaluation mode.
        fronts: of what is read, and of what is said.
        path: the folder it was loaded from.
        task: which encodes.
    """

    takes = ("keep",)
    beside = (
        "score, by which they are ranked (mean log-probability of a symbol), and log-probability "
        "of all of it, in nats"
    )
    model: EncoderDecoder

    def __init__(
        self, model: Model, fronts: Mapping[str, Any], path: Path, task: ExamplesTask
    ) -> None:
        super().__init__(model, fronts, path, task.name)
        self._task = task
        self._data: TransductionData = data_of(path).undivided  # as the run read its data

    def predict(
        self,
        inputs: Iterable[Any],
        *,
        width: int = 5,
        keep: int | None = None,
        length_penalty: float = 1.0,
        coverage_penalty: float = 0.0,
        limit: int = 200,
    ) -> Iterator[Said]:
        r"""What is said of each input, in their order; some are read ahead.

        Args:
            inputs: texts; or whatever the model reads, perhaps names of files.
            width: open texts of the search; 1 takes the most probable symbol every time.
            keep: how many answers, the best first, and as many open texts at least; ``width`` if
                None.
            length_penalty: see :class:`recurra.LengthRule`.
            coverage_penalty: beta, by which the answers that the search has found are ranked anew:
                their scores gain :math:`\beta \sum_i \log \min(\sum_t a_{ti}, 1)` of the weight
                a of place i at symbol t: what was not looked at costs (Wu et al. 2016, who also
                prune by it). 0: not.
            limit: symbols after which an answer is cut off.

        Raises:
            DataError: something else.
            SettingError: a number out of its range.
        """
        width = check_size("predict: width", width)
        keep = width if keep is None else check_size("predict: keep", keep)
        check_size("predict: limit", limit)
        if check_number("predict: coverage_penalty", coverage_penalty) < 0:
            raise SettingError(
                f"predict: expected a coverage_penalty of 0 or more, got {coverage_penalty}"
            )
        if coverage_penalty:
            self._check_looks("predict: coverage_penalty")
        width = max(width, keep)
        how = {"width": width, "keep": width if coverage_penalty else keep, "limit": limit}
        rule = LengthRule(length_penalty)

        def said(block: list[Any]) -> Iterator[Said]:
            rows = [self._encoded(each) for each in block]
            found = searched(self.model, self._task.collate, rows, rule=rule, **how)
            if coverage_penalty:
                found = self._covering(rows, found, coverage_penalty, keep)
            return map(self._said, found)

        return chain.from_iterable(
            map(said, ahead(map(self._raw, inputs_of("predict", inputs)), _BLOCK))
        )

    def score(self, inputs: Iterable[Any], targets: Iterable[str]) -> Iterator[float]:
        """The log-probability of each target after its input, in nats, its end included.

        Args:
            inputs: as of :meth:`predict`.
            targets: a text for each.

        Raises:
            DataError: more of one than of the other, or something else.
        """
        pairs = itertools.zip_longest(
            inputs_of("score", inputs), inputs_of("score", targets), fillvalue=_NONE
        )
        for number, (one, target) in enumerate(pairs):
            if one is _NONE or target is _NONE:
                more, fewer = ("targets", "inputs") if one is _NONE else ("inputs", "targets")
                raise DataError(
                    f"score: expected a target for each input, got {number:,} {fewer} and more "
                    f"{more}."
                )
            batch = self._batch(one, target)
            yield -float(self.model.score_rows(batch)[0])

    def choose(self, value: Any, candidates: Sequence[str]) -> list[tuple[str, float]]:
        """Candidates by how probable they are after an input, the most probable first.

        Probabilities are among the candidates. One idea serves a caption, a topic, an answer of
        several: p(s | c) of each s.

        Args:
            value: an input, as of :meth:`predict`.
            candidates: texts, at least one.

        Raises:
            SettingError: none.
            DataError: something else than texts.
        """
        candidates = list(inputs_of("choose", candidates))
        if not candidates:
            raise SettingError("choose: expected at least one candidate, got none")
        nats = np.array(list(self.score([value] * len(candidates), candidates)))
        shares = np.exp(nats - nats.max())
        shares /= shares.sum()
        order = np.argsort(-shares, kind="stable").tolist()
        return [(candidates[n], float(shares[n])) for n in order]

    def alignment(self, value: Any, target: str) -> npt.NDArray[np.float32]:
        """Where the decoder looks at each symbol that it says, ``[said, read]``.

        The last symbol is the end.

        Args:
            value: an input, as of :meth:`predict`.
            target: what is said of it.

        Raises:
            SettingError: a model without attention.
        """
        self._check_looks("alignment")
        return self._looks(self._batch(value, target))[0]

    def _check_looks(self, what: str) -> None:
        if not self.looks:
            raise SettingError(f"{what}: this model looks at nothing (model.attention='none')")

    def _looks(self, batch: Batch) -> list[npt.NDArray[np.float32]]:
        """The weights of each row ``[said, read]``."""
        seen = named_values(self.model.score_rows, batch)["attention"].detach().float().cpu()
        read = whole_rows(self.model.encoder(batch.inputs).outputs).lengths.tolist()
        said = batch.targets.lengths.tolist()
        return [
            seen[:t, row, :m].numpy() for row, (t, m) in enumerate(zip(said, read, strict=True))
        ]

    def _said_looks(
        self, row: ExampleRow, said: Sequence[Hypothesis | Said]
    ) -> list[npt.NDArray[np.float32]]:
        """The weights ``[said, read]`` of the very symbols that were said, which spell a text."""
        targets = [np.array([*each.symbols, *([END] * each.finished)]) for each in said]
        return self._looks(self._task.collate([row] * len(targets), targets))

    def _names_of(self, said: Said) -> list[str]:
        """The symbols that were said, as a picture names them."""
        return [*_names(self.fronts[TARGET], said.symbols), *(["</s>"] * said.finished)]

    def _covering(
        self,
        rows: Sequence[ExampleRow],
        found: list[list[Hypothesis]],
        penalty: float,
        keep: int,
    ) -> list[list[Hypothesis]]:
        """The best of what was found, by scores that gain from what was looked at."""
        ranked = []
        for row, texts in zip(rows, found, strict=True):
            looks = self._said_looks(row, texts)
            gains = (np.log(np.clip(look.sum(0), _UNSEEN, 1)).sum() for look in looks)
            scored = [
                text._replace(score=text.score + penalty * float(gain))
                for text, gain in zip(texts, gains, strict=True)
            ]
            ranked.append(sorted(scored, key=lambda text: -text.score)[:keep])
        return ranked

    @property
    def looks(self) -> bool:
        """Whether its decoder looks at what was read."""
        return self.model.decoder.attention is not None

    def looked(self, value: Any, said: Said | None = None) -> Looked:
        """Where it looked when it said an answer.

        Args:
            value: an input, as of :meth:`predict`.
            said: the answer; the best one if None.

        Raises:
            SettingError: a model without attention.
        """
        said = next(iter(self.predict([value]))) if said is None else said
        check_kind("looked: said", said, Said, "an answer of predict, or None")
        weights = self._said_looks(self._encoded(self._raw(value)), [said])[0]
        title = f"{value} → {said.text}" if isinstance(value, str) else said.text
        return Looked(title, weights, self.places(value), self._names_of(said))

    def symbols(self, target: str) -> list[str]:
        """The symbols of a text that is said, as a picture names them; the end is the last."""
        front = self.fronts[TARGET]
        return [*_names(front, front.encode(text_of("target", target))), "</s>"]

    def places(self, value: Any) -> list[str]:
        """What is read, as a picture names it: symbols of a text, else numbers of steps.

        Args:
            value: an input, as of :meth:`predict`.
        """
        read = [*self._inputs.values()]
        if len(read) == 1 and is_text(read[0]) and not self.model.config.sentences:
            text = text_of("input", value.input if isinstance(value, Example) else value)
            return _names(read[0], cut(read[0].encode(text), self._data))
        batch = Batch(self._batch(value, "").inputs, None)
        count = int(whole_rows(self.model.encoder(batch.inputs).outputs).lengths[0])
        return [str(number) for number in range(count)]

    def opened(self, file: Path, encoding: str | None) -> Iterable[Any] | None:
        """What a table, a folder, a recording, a picture holds; see :func:`opened_inputs`."""
        return opened_inputs(self._inputs, file, self._data, encoding)

    def of_line(self, line: str) -> Any:
        """A text; where something else is read the file of that name, of several a JSON object."""
        return value_of_line(self._inputs, line)

    def show(self, answer: Said, top: int | None = None) -> str:
        """The text; of several each with its score, which ranks them, and its log-probability."""
        if top is None:
            return answer.text
        told = (f"{e.text}\t{e.score:.4f}\t{e.log_prob:.4f}" for e in answer.ranked(top))
        return "\t".join(told)

    def to_json(self, answer: Said, top: int | None = None) -> dict[str, Any]:
        """All of it."""
        return answer.to_json(top)

    def _batch(self, value: Any, target: str) -> Batch:
        row = self._encoded(self._raw(value))
        said = self._task.target(text_of("target", target), self.fronts)
        return self._task.collate([row], [np.asarray(said)])

    def _encoded(self, raw: Any) -> Any:
        """An input in numbers, cut as those were that the model was trained on."""
        return self._task.encode_pair(Pair(raw, None, "predict", None), self.fronts, self._data)

    def _raw(self, value: Any) -> Any:
        read = self._inputs
        if len(read) == 1 or isinstance(value, Example):
            return raw_input(read, value)[0]
        if not isinstance(value, Mapping) or not {*read} <= {*value}:
            got = ", ".join(map(repr, value)) if isinstance(value, Mapping) else kind_of(value)
            raise DataError(
                f"predict: expected all inputs of an example by name, {{{', '.join(read)}}}, got "
                f"{got}."
            )
        return raw_input(read, {name: value[name] for name in read})[0]

    @property
    def _inputs(self) -> dict[str, Any]:
        return read_fronts(self.fronts, TARGET)

    def _said(self, found: list[Hypothesis]) -> Said:
        front = self.fronts[TARGET]
        told = [
            Said(
                front.decode(list(each.symbols)),
                each.log_prob,
                each.score,
                each.finished,
                each.symbols,
            )
            for each in found
        ]
        return dataclasses.replace(told[0], others=tuple(told[1:]))


def _names(front: Any, ids: Iterable[int]) -> list[str]:
    return [front.decode([int(number)]) for number in ids]


@torch.no_grad()
def searched(
    model: EncoderDecoder,
    collate: Any,
    rows: Sequence[ExampleRow],
    *,
    width: int,
    keep: int,
    limit: int,
    rule: LengthRule = _MEAN,
) -> list[list[Hypothesis]]:
    """The best answers to each of some rows, those of like length beside each other.

    Args:
        model: says them.
        collate: makes a batch of some rows.
        rows: in numbers.
        width: of the search.
        keep: answers of each.
        limit: symbols of one.
        rule: how they compare.
    """
    order = sorted(range(len(rows)), key=lambda n: steps_of(rows[n]))
    found: dict[int, list[Hypothesis]] = {}
    for at in range(0, len(order), _ROWS):
        some = order[at : at + _ROWS]
        inputs = collate([rows[n] for n in some]).inputs
        said = beam_search_batch(
            model.decoder,
            [[START]] * len(some),
            width=width,
            keep=keep,
            end=END,
            never=(START, UNKNOWN),
            limit=limit,
            length_rule=rule,
            state=model.begin(inputs),
        )
        found.update(zip(some, said, strict=True))
    return [found[n] for n in range(len(rows))]
