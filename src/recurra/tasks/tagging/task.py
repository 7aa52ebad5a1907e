"""What training, artifacts and commands ask of taggers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from recurra.batch import Batch
from recurra.models import Model, Tagger, TaggerSettings
from recurra.tasks.base import Metric, register_task
from recurra.tasks.examples import Examples, ExamplesPart, ExamplesTask
from recurra.tasks.tagging.settings import TaggingData
from recurra_runtime.fronts import Spelled, SpelledWords
from recurra_runtime.vocabulary import ClassNames

__all__ = ["TaggingTask"]

_WORDS, _TAG = "words", "tag"


@register_task("tagging")
class TaggingTask(ExamplesTask):
    """A tag for each word, beside models that look at a word and its neighbors alone."""

    Data = TaggingData
    Model = TaggerSettings
    metric = Metric("accuracy", "accuracy", less=False)
    unit = "tags"

    def fit_by(
        self, data: TaggingData, inputs: Sequence[Any], targets: Sequence[Any]
    ) -> dict[str, Any]:
        """Known words, letters, and the names of the tags."""
        words = SpelledWords.of(
            inputs, size=data.vocabulary_size, minimum=data.minimum_count, lower=data.lower
        )
        return {_WORDS: words, _TAG: ClassNames.of(tag for tags in targets for tag in tags)}

    def encode(self, example: Sequence[str], fronts: Mapping[str, Any]) -> Spelled:
        """Words in numbers."""
        found: Spelled = fronts[_WORDS].encode(example)
        return found

    def target(self, target: Sequence[str], fronts: Mapping[str, Any]) -> Any:
        """Tags in numbers; -1 where the model has no such tag."""
        numbers = map(fronts[_TAG].number, target)
        return np.array([-1 if number is None else number for number in numbers], np.int64)

    def collate(self, inputs: Sequence[Spelled], targets: Sequence[Any] | None = None) -> Batch:
        """Sentences beside each other, with as many letters as the longest word of all has."""
        longest = max(row.letters.shape[1] for row in inputs)

        def wide(letters: Any) -> Any:
            return np.pad(letters, ((0, 0), (0, longest - letters.shape[1])))

        return super().collate([row._replace(letters=wide(row.letters)) for row in inputs], targets)

    def build(self, settings: TaggerSettings, fronts: Mapping[str, Any]) -> Tagger:
        """A model of so many words, letters and tags."""
        words, tags = fronts[_WORDS], fronts[_TAG]
        return Tagger(settings, words=len(words), letters=words.letters, tags=len(tags))

    def begin(self, model: Model, prepared: Examples) -> None:
        """Each tag as likely as it is among the words that are trained on."""
        assert isinstance(model, Tagger)
        tags = np.concatenate(prepared.parts["training"].targets)
        model.starts_at(torch.from_numpy(np.bincount(tags, minlength=len(prepared.fronts[_TAG]))))

    def score(self, model: Model, part: ExamplesPart, limit: int | None = None) -> float:
        """Accuracy."""
        right = count = 0
        for numbers in part.order(limit):
            batch = part.batch(numbers)
            said = _labels(model.predict(batch)).cpu()
            hit = (said == batch.targets.values) & batch.targets.mask
            right, count = right + int(hit.sum()), count + batch.targets.count
        return right / max(count, 1)


def _labels(said: Any) -> torch.Tensor:
    return said.labels.values if hasattr(said, "labels") else said.values.argmax(-1)
