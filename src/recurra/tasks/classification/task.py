"""What training, artifacts and commands ask of classifiers of text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from recurra import models
from recurra.columns import shown
from recurra.models import Classifier, ClassifierConfig, ClassifierSettings
from recurra.tasks.base import Metric, Table, Task, register_task
from recurra.tasks.classification.answer import ClassifyingModel
from recurra.tasks.classification.corpus import ClassCorpus, ClassPart, encode, prepare_classes
from recurra.tasks.classification.evaluation import (
    Evaluation,
    compare_classifiers,
    confusion_lines,
    each_text,
)
from recurra.tasks.classification.examples import Examples, open_examples
from recurra.tasks.classification.rivals import fit_rivals, read_rivals, write_rivals
from recurra.tasks.classification.settings import ClassificationData
from recurra.tasks.division import given_sources
from recurra.tasks.texts import vocabulary_settings

__all__ = ["ClassificationTask"]


@register_task("classification")
class ClassificationTask(Task):
    """One class for a whole text, beside models that read its words in no order."""

    Data = ClassificationData
    Model = ClassifierSettings
    metric = Metric("accuracy", "accuracy", less=False)
    unit = examples = "texts"
    verb = "predict"

    def open(self, source: Any, data: ClassificationData) -> Examples:
        """Texts with their classes."""
        return open_examples(source, data)

    def prepare(
        self,
        source: Any,
        data: ClassificationData,
        folder: Path,
        report: Callable[[str], None],
    ) -> ClassCorpus:
        """Divide, make vocabulary and names of classes, and encode."""
        return prepare_classes(_with_given(source, data), data, report)

    def prepare_in(
        self,
        source: Any,
        fronts: Mapping[str, Any],
        data: ClassificationData,
        folder: Path,
        report: Callable[[str], None],
    ) -> ClassCorpus:
        """Divide and encode; a class that the model has no name for is refused."""
        return prepare_classes(_with_given(source, data), data, report, fronts)

    def read(
        self,
        source: Any,
        fronts: Mapping[str, Any],
        data: ClassificationData,
        report: Callable[[str], None],
    ) -> ClassPart:
        """Texts in the ids of a model."""
        examples = open_examples(source, data)
        if examples.blank:
            report(f"left out because they are blank: {examples.blank:,}")
        classes = fronts["label"]
        return encode(examples, fronts["text"], classes, data.maximum_length, data.truncate)

    def build(self, settings: Any, fronts: Mapping[str, Any]) -> Classifier:
        """A model of so many symbols and classes."""
        size, classes = len(fronts["text"]), len(fronts["label"])
        known = settings.model_dump()
        return Classifier(ClassifierConfig(**known, vocabulary_size=size, classes=classes))

    def restore(self, config: Any, fronts: Mapping[str, Any]) -> Classifier:
        """The model of a configuration that tells its sizes itself."""
        known = ClassifierConfig.model_validate(config)
        for field, size in (("text", known.vocabulary_size), ("label", known.classes)):
            got = len(fronts[field]) if field in fronts else "none"
            if got != size:
                raise ValueError(
                    f"expected a front {field!r} of {size} beside this model, got {got}. It "
                    "belongs to another model"
                )
        return Classifier(known)

    def settled(self, loaded: Any) -> dict[str, Any]:
        """Also how texts fall into symbols."""
        found = vocabulary_settings(loaded.fronts["text"], self.Data)
        return super().settled(loaded) | found

    def trial(self, recipe: Any) -> Classifier:
        """A model of four symbols and two classes."""
        settings = recipe.model.model_dump()
        return Classifier(ClassifierConfig(**settings, vocabulary_size=4, classes=2))

    def begin(self, model: models.Model, prepared: ClassCorpus) -> None:
        """Each class as likely as it is among the texts that are trained on."""
        assert isinstance(model, Classifier)
        model.starts_at(torch.from_numpy(prepared.parts["training"].counts()))

    def score(self, model: models.Model, part: ClassPart, limit: int | None = None) -> float:
        """Accuracy."""
        right = count = 0
        for group in part.groups(limit):
            for batch in group:
                said = model.predict(batch).argmax(-1).cpu()
                right, count = right + int((said == batch.targets).sum()), count + len(said)
        return right / max(count, 1)

    def evaluate(self, compared: Mapping[str, Any], part: ClassPart) -> list[Evaluation]:
        """Each text by itself."""
        return compare_classifiers(compared, part)

    def by_example(self, model: models.Model, part: ClassPart) -> dict[str, Any]:
        """Whether each text's class was named, and nats; none of a class without a name."""
        hits, nats = each_text(model, part)
        return {self.metric.name: hits, self.loss.name: nats}

    def table(self, rows: Sequence[Evaluation], title: str) -> Table:
        """Accuracy, macro F1, nats a text; below it what the first takes for what."""
        first = rows[0]
        notes = confusion_lines(first)
        notes.append("Macro F1 is the mean of the classes'; one never named and never there is 0.")
        if first.unknown:
            notes.append(
                f"{first.unknown:,} texts are of classes that the models have no name for: they "
                "count as wrong, and not in nats."
            )
        return Table(
            f"{title}: {first.texts:,} texts",
            ("model", "accuracy", "macro F1", "nats/text"),
            [
                (row.name, f"{row.accuracy:.4f}", f"{row.macro_f1:.4f}", shown(row.loss, 4))
                for row in rows
            ],
            notes,
        )

    def rivals(
        self, prepared: ClassCorpus, data: ClassificationData, report: Callable[[str], None]
    ) -> dict[str, Any]:
        """Majority, a bag of symbols, and a feed-forward net on the mean of their vectors."""
        return fit_rivals(prepared, data, report)

    def write_rivals(self, folder: Path, rivals: Mapping[str, Any]) -> None:
        """In files of their own."""
        write_rivals(folder, rivals)

    def read_rivals(self, folder: Path) -> dict[str, Any]:
        """The simplest first."""
        return read_rivals(folder)

    def answer(self, loaded: Any) -> ClassifyingModel:
        """Labels and their probabilities."""
        return ClassifyingModel(loaded.model, loaded.fronts, loaded.path, self.name)


def _with_given(source: Any, data: ClassificationData) -> Examples:
    """Texts with their classes, those of parts with files of their own among them."""
    examples = open_examples(source, data)
    for part, place in given_sources(data):
        own = open_examples(place, data)
        examples.take(example._replace(part=part) for example in own)
        examples.blank += own.blank
    return examples
