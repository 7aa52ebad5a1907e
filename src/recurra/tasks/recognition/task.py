"""What training, artifacts and commands ask of recognizers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recurra import models
from recurra.columns import shown
from recurra.data import examples as data_examples
from recurra.errors import DataError, kind_of
from recurra.models import Recognizer, RecognizerSettings
from recurra.tasks.base import Metric, Table, register_task, symbols_of
from recurra.tasks.division import Pair
from recurra.tasks.encoding import encode_inputs
from recurra.tasks.examples import Examples
from recurra.tasks.inputs import fit_inputs, kind_of_front
from recurra.tasks.reading import ReadingTask, changed_examples, grouped
from recurra.tasks.recognition.answer import RecognizingModel
from recurra.tasks.recognition.corpus import (
    TEXT,
    RecognitionExamples,
    RecognitionPart,
    input_of,
    numbers_of,
    said_of,
)
from recurra.tasks.recognition.evaluation import (
    Evaluation,
    compare_recognizers,
    errors_of,
    example_lines,
    library,
)
from recurra.tasks.recognition.rivals import KINDS, fit_rivals
from recurra.tasks.recognition.settings import RecognitionData
from recurra.tasks.rivals import RivalsTask
from recurra.tasks.sums import Sums, ratio
from recurra.tasks.texts import check_vocabulary, vocabulary_of, vocabulary_settings
from recurra.tasks.unread import SYMBOLS, unread_data
from recurra_runtime.vocabulary import RESERVED

__all__ = ["RecognitionTask"]

_KINDS = ("sound", "picture", "series")


@register_task("recognition")
class RecognitionTask(ReadingTask, RivalsTask):
    """A text for each recording or picture of a line; nobody says which step says which symbol."""

    Data = RecognitionData
    Model = RecognizerSettings
    kinds_of_rivals = KINDS
    Part = RecognitionPart
    target_front = TEXT
    target_kind = "sequence"
    metric = Metric("cer", "character error rate")
    unit = "symbols"

    def open(self, source: Any, data: RecognitionData) -> data_examples.Examples:
        """Recordings, pictures or series with their texts, in the form that was chosen."""
        library()  # told before anything is read
        if isinstance(source, data_examples.Examples):
            return source
        found = data_examples.open_examples(source, data.reading())
        kinds = tuple(found.kinds.values())
        if len(kinds) > 1 or not {*kinds} <= {*_KINDS}:
            raise DataError(
                f"{found.source}: expected recordings, pictures or series with their texts, got "
                f"{', '.join(kinds)}. data.column names the column of the files, data.label that "
                "of the texts."
            )
        return changed_examples(found, lambda each: _formed(each, data))

    def worded(self, numbers: Sequence[int], fronts: Mapping[str, Any]) -> list[str]:
        """Symbols, which are numbered from 0."""
        return symbols_of([n + len(RESERVED) if n >= 0 else n for n in numbers], fronts[TEXT])

    def checked(self, pair: Pair) -> Pair:
        """Something to read, and a text."""
        if not isinstance(pair.target, str) or not pair.target:
            got = "nothing" if not pair.target else kind_of(pair.target)
            raise DataError(
                f"{pair.place}: expected the text that is said or written there, got {got}."
            )
        return pair

    def fit_by(
        self, source: Any, data: RecognitionData, inputs: Sequence[Any], targets: Sequence[Any]
    ) -> dict[str, Any]:
        """The scale of what is read, and the symbols of the texts."""
        kind = next(iter(source.kinds.values()))
        fronts = fit_inputs({kind: kind}, inputs, data, source.channels)
        vocabulary = vocabulary_of(targets, data)
        if len(vocabulary) <= len(RESERVED):
            raise DataError("data: expected texts to train on, all of them are blank.")
        return {**fronts, TEXT: vocabulary}

    def encode(self, example: Any, fronts: Mapping[str, Any]) -> Any:
        """Frames, pixels or numbers."""
        return self.encode_pair(Pair(example, None, "data", None), fronts, RecognitionData())

    def encode_pair(self, pair: Pair, fronts: Mapping[str, Any], data: RecognitionData) -> Any:
        """As :meth:`encode`; errors begin with the example's place."""
        name, front = input_of(fronts)
        return encode_inputs({name: front}, pair.example, pair.place, data)[0]

    def target(self, target: str, fronts: Mapping[str, Any]) -> Any:
        """Symbols in numbers; -1 where the model has no such symbol."""
        return numbers_of(target, fronts[TEXT])

    def prepare(
        self, source: Any, data: RecognitionData, folder: Path, report: Callable[[str], None]
    ) -> Examples:
        """Divide, fit the fronts, and encode."""
        return RecognitionExamples.of(super().prepare(source, data, folder, report))

    def prepare_in(
        self,
        source: Any,
        fronts: Mapping[str, Any],
        data: RecognitionData,
        folder: Path,
        report: Callable[[str], None],
    ) -> Examples:
        """Divide and encode; texts that the model cannot say are refused where it would learn them.

        Raises:
            DataError: an example to train on has one.
        """
        check_vocabulary(fronts[TEXT], data, report)
        inside = super().prepare_in(source, fronts, data, folder, report)
        found = RecognitionExamples.of(inside)
        training = found.parts["training"]
        for pair, target in zip(training.raw, training.targets, strict=True):
            if (target < 0).any():
                raise DataError(
                    f"{pair.place}: expected symbols that the model has, got {pair.target!r:.80}. "
                    "Leave it out, or train without --from."
                )
        return found

    def build(self, settings: Any, fronts: Mapping[str, Any]) -> Recognizer:
        """A model of what is read, and of so many symbols."""
        _, front = input_of(fronts)
        symbols = len(fronts[TEXT]) - len(RESERVED)
        return Recognizer(settings, reads=front.shape, symbols=symbols)

    def unread(self, recipe: Any, prepared: Any) -> list[tuple[str, str]]:
        """What the kind of the input leaves unread."""
        kind = kind_of_front(input_of(prepared.fronts)[1])
        model = ((f"model.{name}", why) for name, why in recipe.model.unread(kind == "picture"))
        return [*unread_data(recipe.data, [kind], said=SYMBOLS), *model]

    def settled(self, loaded: Any) -> dict[str, Any]:
        """Also the symbols that texts are made of."""
        return super().settled(loaded) | vocabulary_settings(loaded.fronts[TEXT], self.Data)

    def trial(self, recipe: Any) -> Recognizer:
        """A model of eight numbers a step and of two symbols."""
        return Recognizer(recipe.model, reads=[8], symbols=2)

    def begin(self, model: models.Model, prepared: Any) -> None:
        """Each symbol as likely as it is among the steps that are trained on.

        Raises:
            DataError: no text fits the steps that the model has for it.
        """
        assert isinstance(model, Recognizer)
        training: RecognitionPart = prepared.parts["training"]
        steps = [model.steps(training.frames(n)) for n in range(len(training.inputs))]
        short = training.short(model)
        if short == len(steps):
            raise DataError(
                f"data: expected examples that are longer than their texts, all {len(steps):,} are "
                f"too short: of {training.raw[0].place} {steps[0]:,} steps are left for "
                f"{len(training.targets[0]):,} symbols. Take a smaller model.stride or data.shift."
            )
        if short:
            prepared.told.append(
                f"{short:,} of {len(steps):,} examples to train on are too short for their texts "
                "and in no loss"
            )
        symbols = np.concatenate(training.targets)
        counts = np.bincount(symbols[symbols >= 0], minlength=model.alignment.blank)
        model.alignment.starts_at(torch.from_numpy(counts), sum(steps))

    def score(self, model: models.Model, part: Any, limit: int | None = None) -> float:
        """Character error rate of the best paths."""
        found = dict(said_of(model, part, limit))
        texts = part.texts
        return errors_of([texts[n] for n in found], [*found.values()]).rate

    def by_example(self, model: models.Model, part: Any) -> dict[str, Any]:
        """Mistakes in the characters and in the words of each text."""
        found = {self.metric.name: False, "wer": True}
        counts = {name: np.zeros((len(part.targets), 2)) for name in found}
        for number, said in said_of(model, part):
            for name, words in found.items():
                errors = errors_of([part.texts[number]], [said], words=words)
                counts[name][number] = errors.mistakes, errors.total
        return {name: Sums(values, ratio) for name, values in counts.items()}

    def evaluate(  # type: ignore[override]  # rows of its own
        self, compared: Mapping[str, Any], part: Any
    ) -> list[Evaluation]:
        """Best paths, without a language model."""
        return compare_recognizers(compared, part)

    def table(self, rows: Sequence[Any], title: str) -> Table:
        """Error rates, share of texts without a mistake, nats; mistakes of the first below."""
        first: Evaluation = rows[0]
        notes = example_lines(first)
        if first.strange:
            notes.append(
                f"{first.strange:,} texts have symbols that the model lacks: they are in no nats."
            )
        if first.short:
            notes.append(
                f"{first.short:,} texts need more steps than there are: they are in no nats."
            )
        return Table(
            f"{title}: {first.characters.total:,} characters in {first.examples:,} examples",
            ("model", "CER", "WER", "whole texts", "nats/symbol"),
            [
                (
                    row.name,
                    f"{row.characters.rate:.4f}",
                    f"{row.words.rate:.4f}",
                    f"{row.whole / max(row.examples, 1):.4f}",
                    shown(row.loss, 4),
                )
                for row in rows
            ],
            notes,
        )

    def rivals(self, prepared: Any, recipe: Any, report: Callable[[str], None]) -> dict[str, Any]:
        """See :func:`recurra.tasks.recognition.rivals.fit_rivals`."""
        for told in prepared.told:
            report(told)
        return fit_rivals(prepared, recipe.data, recipe.model, report)

    def answer(self, loaded: Any) -> RecognizingModel:
        """Texts with their rivals, symbols and times."""
        return RecognizingModel(loaded.model, loaded.fronts, loaded.path, self.name)


def _formed(example: data_examples.Example, data: RecognitionData) -> data_examples.Example:
    """Its text in the form, and its part by its group, where one is held out."""
    if isinstance(example.target, str):
        example = example._replace(target=data.formed(example.target))
    return grouped(example, data)
