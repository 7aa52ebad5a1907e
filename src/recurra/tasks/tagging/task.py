"""What training, artifacts and commands ask of taggers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recurra import models
from recurra.batch import Batch
from recurra.columns import shown
from recurra.data import examples as data_examples
from recurra.data.examples.contents import kind_of_file
from recurra.data.rows import rows_of
from recurra.errors import DataError
from recurra.models import Tagger, TaggerSettings
from recurra.sections import default
from recurra.tasks.base import Metric, Table, names_of, register_task
from recurra.tasks.division import Pair
from recurra.tasks.examples import Examples, ExamplesTask
from recurra.tasks.rivals import RivalsTask
from recurra.tasks.tagging.answer import TaggingModel
from recurra.tasks.tagging.corpus import (
    SERIES,
    TAG,
    UNKNOWN_TAG,
    WORDS,
    TaggingExamples,
    TaggingPart,
    said_of,
)
from recurra.tasks.tagging.evaluation import (
    Evaluation,
    compare_taggers,
    confusion_lines,
    span_lines,
)
from recurra.tasks.tagging.rivals import KINDS, fit_rivals
from recurra.tasks.tagging.sentences import checked
from recurra.tasks.tagging.settings import TaggingData
from recurra.tasks.unread import unread_data
from recurra_runtime.fronts import Series
from recurra_runtime.vocabulary import CharacterVocabulary, Spelled, SpelledWords, TagNames

__all__ = ["TaggingTask"]


@register_task("tagging")
class TaggingTask(ExamplesTask, RivalsTask):
    """A tag for each word or step, beside models that look at it and its neighbors alone."""

    Data = TaggingData
    Model = TaggerSettings
    kinds_of_rivals = KINDS
    Part = TaggingPart
    target_front = TAG
    metric = Metric("accuracy", "accuracy", less=False)
    unit = "tags"
    examples = "sentences"

    def open(self, source: Any, data: TaggingData) -> data_examples.Examples:
        """Sentences with their tags, or series with a label for each step."""
        if isinstance(source, data_examples.Examples):
            return source
        how = data.reading()
        if how.input == "auto" and _is_text(source):  # of sentences in columns, of any name
            how = dataclasses.replace(how, input="words")
        return data_examples.open_examples(source, how)

    def checked(self, pair: Pair) -> Pair:
        """Words, and as many tags."""
        return checked(pair)

    def fit_by(
        self, source: Any, data: TaggingData, inputs: Sequence[Any], targets: Sequence[Any]
    ) -> dict[str, Any]:
        """Known words and letters, or the scale of a series; and the names of the tags."""
        tags = {TAG: TagNames.of_sentences(targets)}
        if isinstance(inputs[0], np.ndarray):
            channels = getattr(source, "channels", ())
            return {SERIES: Series(channels, mask=data.missing).fit(inputs), **tags}
        words = SpelledWords.of(
            inputs,
            size=data.vocabulary_size,
            minimum=data.minimum_count,
            lower=data.lower,
            punctuation=data.punctuation,
        )
        return {WORDS: words, **tags}

    def unread(self, recipe: Any, prepared: Any) -> list[tuple[str, str]]:
        """What words or series leave unread."""
        kind = "words" if WORDS in prepared.fronts else "series"
        model = recipe.model.unread(kind == "words")
        return [*unread_data(recipe.data, [kind]), *((f"model.{name}", why) for name, why in model)]

    def encode(self, example: Any, fronts: Mapping[str, Any]) -> Any:
        """Words in numbers, or a series by its scale."""
        front = fronts.get(WORDS) or fronts[SERIES]
        if isinstance(example, np.ndarray) != (WORDS not in fronts):
            raise DataError(f"data: expected {front.kind}, which the model reads, got others.")
        try:
            return front.encode(example)
        except ValueError as problem:
            raise DataError(f"data: {problem}.") from None

    def target(self, target: Sequence[str], fronts: Mapping[str, Any]) -> Any:
        """Tags in numbers; -1 where the model has no such tag."""
        numbers = map(fronts[TAG].number, target)
        return np.array([UNKNOWN_TAG if n is None else n for n in numbers], np.int64)

    def collate(self, inputs: Sequence[Any], targets: Sequence[Any] | None = None) -> Batch:
        """Sentences beside each other, with as many letters as the longest word of all has."""
        if not isinstance(inputs[0], Spelled):
            return super().collate(inputs, targets)
        longest = max(row.letters.shape[1] for row in inputs)

        def wide(letters: Any) -> Any:
            return np.pad(letters, ((0, 0), (0, longest - letters.shape[1])))

        return super().collate([row._replace(letters=wide(row.letters)) for row in inputs], targets)

    def prepare(
        self, source: Any, data: TaggingData, folder: Path, report: Callable[[str], None]
    ) -> Examples:
        """Divide, make vocabulary and names of tags, and encode."""
        return TaggingExamples.of(super().prepare(source, data, folder, report), source)

    def prepare_in(
        self,
        source: Any,
        fronts: Mapping[str, Any],
        data: TaggingData,
        folder: Path,
        report: Callable[[str], None],
    ) -> Examples:
        """Divide and encode; tags that the model cannot say are refused where it would learn them.

        Raises:
            DataError: a sentence to train on has some.
        """
        for name in ("minimum_count", "vocabulary_size"):
            if getattr(data, name) != default(data, name):
                report(f"data.{name} has no effect: the vocabulary is that of the model")
        inside = super().prepare_in(source, fronts, data, folder, report)
        found = TaggingExamples.of(inside, source)
        training = found.parts["training"]
        for number, pair in enumerate(training.raw):
            if number not in training.sayable:
                raise DataError(
                    f"{pair.place}: expected tags that the model can say, each known and in an "
                    f"order that may be, got {' '.join(pair.target[:20])}. Leave the sentence out, "
                    "or train without --from or a teacher."
                )
        return found

    def seen(self, batch: Batch, fronts: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Words as their letters spell them, also those that are not known."""
        if WORDS not in fronts:
            return super().seen(batch, fronts)
        spell = fronts[WORDS].characters.decode  # ids of letters begin behind 0, which is none
        rows = [row.tolist() for row in batch.inputs.letters.to_list()]
        return {WORDS: [[f"{spell(n - 1 for n in word if n)} " for word in row] for row in rows]}

    def worded(self, numbers: Sequence[int], fronts: Mapping[str, Any]) -> list[str]:
        """Names of tags."""
        return names_of(numbers, fronts[TAG])

    def build(self, settings: Any, fronts: Mapping[str, Any]) -> Tagger:
        """A model of so many words and letters, or channels, and of so many tags."""
        words, tags = fronts.get(WORDS), fronts[TAG]
        return Tagger(
            settings,
            tags=len(tags),
            words=None if words is None else (len(words), words.letters),
            channels=fronts[SERIES].shape[0] if words is None else 1,
            forbidden=tags.forbidden(),
        )

    def settled(self, loaded: Any) -> dict[str, Any]:
        """Also how words are looked up and texts parted, or whether what is missing is marked."""
        words = loaded.fronts.get(WORDS)
        if words is None:
            found = {"data.missing": loaded.fronts[SERIES].mask}
        else:
            found = {"data.lower": words.lower, "data.punctuation": words.punctuation}
        return super().settled(loaded) | found

    def trial(self, recipe: Any) -> Tagger:
        """A model of one letter and two tags."""
        words = SpelledWords([], CharacterVocabulary("a"))
        return self.build(recipe.model, {WORDS: words, TAG: TagNames(["a", "b"])})

    def begin(self, model: models.Model, prepared: Examples) -> None:
        """Each tag as likely as it is among the words that are trained on."""
        assert isinstance(model, Tagger)
        tags = np.concatenate(prepared.parts["training"].targets)
        model.starts_at(torch.from_numpy(np.bincount(tags, minlength=len(prepared.fronts[TAG]))))

    def score(self, model: models.Model, part: Any, limit: int | None = None) -> float:
        """Accuracy."""
        right = count = 0
        for number, said in said_of(model, part, limit):
            right += int((said.tags == part.targets[number]).sum())
            count += len(said.tags)
        return right / max(count, 1)

    def by_example(self, model: models.Model, part: Any) -> dict[str, Any]:
        """Of each sentence or series which share of its tags is right."""
        shares = np.zeros(len(part.targets))
        for number, said in said_of(model, part):
            shares[number] = (said.tags == part.targets[number]).mean()
        return {self.metric.name: shares}

    def evaluate(  # type: ignore[override]  # rows of its own
        self, compared: Mapping[str, Any], part: Any
    ) -> list[Evaluation]:
        """Each sentence by itself."""
        return compare_taggers(compared, part)

    def table(self, rows: Sequence[Any], title: str) -> Table:
        """Accuracy, of unknown words too, F1 of spans, nats; what the first takes for what."""
        first: Evaluation = rows[0]
        spans, words = first.all_spans is not None, bool(first.unknown[0])
        strange, (unknown, _) = first.strange, first.unknown
        notes = [*span_lines(first), *confusion_lines(first)]
        if unknown:
            notes.append(f"Unknown are {unknown:,} words that the vocabulary of the run lacks.")
        if strange:
            notes.append(
                f"{strange:,} words have tags that the models have no name for: they are wrong."
            )
        if first.scored < first.count:
            notes.append(
                f"Nats are of {first.scored:,} words, in sentences whose tags can be said."
            )
        return Table(
            f"{title}: {first.count:,} words in {first.sentences[0]:,} sentences",
            (
                "model",
                "accuracy",
                *(["unknown"] if words else []),
                *(["span F1"] if spans else []),
                "nats/tag",
            ),
            [
                (
                    row.name,
                    f"{row.accuracy:.4f}",
                    *([shown(row.accuracy_unknown, 4)] if words else []),
                    *([f"{row.all_spans.f1:.4f}"] if spans else []),
                    shown(row.loss, 4),
                )
                for row in rows
            ],
            notes,
        )

    def rivals(self, prepared: Any, recipe: Any, report: Callable[[str], None]) -> dict[str, Any]:
        """The most frequent tag of a word, and a window of words."""
        return fit_rivals(prepared, recipe.data, report)

    def answer(self, loaded: Any) -> TaggingModel:
        """Words with their tags."""
        return TaggingModel(loaded.model, loaded.fronts, loaded.path, self)


def _is_text(source: Any) -> bool:
    """Whether it is a file that no ending tells to be something else."""
    path = Path(source) if isinstance(source, str | Path) else None
    if path is None or not path.is_file():
        return False
    return rows_of(path) is None and kind_of_file(path) in (None, "text")
