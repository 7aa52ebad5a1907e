"""What training, artifacts and commands ask of classifiers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from recurra import models
from recurra.batch import Batch
from recurra.columns import shown
from recurra.data import PartName, row_batches
from recurra.data.examples import Examples, open_examples
from recurra.models import Classifier, ClassifierConfig, ClassifierSettings, Reads
from recurra.tasks.base import Metric, Table, names_of, register_task
from recurra.tasks.classification.answer import ClassifyingModel
from recurra.tasks.classification.corpus import (
    LABEL,
    ClassCorpus,
    ClassPart,
    encode,
    prepare_classes,
)
from recurra.tasks.classification.evaluation import (
    Evaluation,
    class_lines,
    compare_classifiers,
    each_example,
)
from recurra.tasks.classification.rivals import KINDS, fit_rivals
from recurra.tasks.classification.settings import ClassificationData
from recurra.tasks.division import given_sources
from recurra.tasks.inputs import check_restored, is_text, kind_of_front, reads_of
from recurra.tasks.rivals import RivalsTask
from recurra.tasks.rows import of_all_lengths, steps_of
from recurra.tasks.texts import vocabulary_settings
from recurra.tasks.unread import unread_data

__all__ = ["ClassificationTask"]


@register_task("classification")
class ClassificationTask(RivalsTask):
    """One class for a whole example, or several, beside models that forget its order."""

    Data = ClassificationData
    Model = ClassifierSettings
    kinds_of_rivals = KINDS
    target_front = LABEL
    metric = Metric("accuracy", "accuracy", less=False)
    unit = "examples"
    verb = "predict"

    def open(self, source: Any, data: ClassificationData) -> Examples:
        """Examples with their classes."""
        if isinstance(source, Examples):
            return source
        return open_examples(source, data.reading(label_separator=data.label_separator))

    def prepare(
        self,
        source: Any,
        data: ClassificationData,
        folder: Path,
        report: Callable[[str], None],
    ) -> ClassCorpus:
        """Divide, fit fronts, name the classes, and encode."""
        examples = self.open(source, data)
        return prepare_classes(examples, data, report, given=self._given(data))

    def prepare_in(
        self,
        source: Any,
        fronts: Mapping[str, Any],
        data: ClassificationData,
        folder: Path,
        report: Callable[[str], None],
    ) -> ClassCorpus:
        """Divide and encode; a class that the model has no name for is refused."""
        examples = self.open(source, data)
        return prepare_classes(examples, data, report, fronts, self._given(data))

    def _given(self, data: ClassificationData) -> dict[PartName, Examples]:
        """Of parts with files of their own."""
        return {part: self.open(place, data) for part, place in given_sources(data)}

    def read(
        self,
        source: Any,
        fronts: Mapping[str, Any],
        data: ClassificationData,
        report: Callable[[str], None],
    ) -> ClassPart:
        """Examples in the numbers of a model."""
        examples = self.open(source, data)
        found = list(examples)
        for what, number in (("are blank", examples.blank), ("cannot be read", examples.skipped)):
            if number:
                report(f"left out because they {what}: {number:,}")
        return encode(found, self.read_fronts(fronts), fronts[LABEL], data)

    def sample(self, part: ClassPart, rows: int, steps: int) -> Batch:
        """Whole examples of all lengths."""
        some = of_all_lengths([steps_of(row) for row in part.rows], rows)
        own = [part.rows[number] for number in some]
        batch = next((batch for _, batch in row_batches(own, part.labels[some], size=rows)), None)
        return super().sample(part, rows, steps) if batch is None else batch

    def worded(self, numbers: Sequence[int], fronts: Mapping[str, Any]) -> list[str]:
        """Names of classes."""
        return names_of(numbers, fronts[LABEL])

    def build(self, settings: Any, fronts: Mapping[str, Any]) -> Classifier:
        """A model of what these fronts give, and of so many classes."""
        reads, classes = reads_of(self.read_fronts(fronts)), fronts[LABEL]
        known = settings.model_dump()
        own = {"classes": len(classes), "several": classes.several}
        return Classifier(ClassifierConfig(**known, reads=reads, **own))

    def restore(self, config: Any, fronts: Mapping[str, Any]) -> Classifier:
        """The model of a configuration that tells its sizes itself."""
        known = ClassifierConfig.model_validate(config)
        check_restored(known.reads, LABEL, known.classes, fronts)
        return Classifier(known)

    def unread(self, recipe: Any, prepared: ClassCorpus) -> list[tuple[str, str]]:
        """What the kinds of the inputs leave unread."""
        kinds = [kind_of_front(front) for front in prepared.inputs.values()]
        model = recipe.model.unread(reads_of(prepared.inputs))
        return [*unread_data(recipe.data, kinds), *((f"model.{name}", why) for name, why in model)]

    def settled(self, loaded: Any) -> dict[str, Any]:
        """Also how texts fall into symbols."""
        found = super().settled(loaded)
        for front in self.read_fronts(loaded.fronts).values():
            if is_text(front):
                found |= vocabulary_settings(front, self.Data)
        return found

    def trial(self, recipe: Any) -> Classifier:
        """A model of four symbols and two classes."""
        settings, reads = recipe.model.model_dump(), Reads(form="tokens", sizes=[4], ends=[3])
        return Classifier(ClassifierConfig(**settings, reads={"text": reads}, classes=2))

    def begin(self, model: models.Model, prepared: ClassCorpus) -> None:
        """Each class as likely as it is among the examples that are trained on."""
        assert isinstance(model, Classifier)
        training = prepared.parts["training"]
        model.starts_at(torch.from_numpy(training.counts()), training.count)

    def score(self, model: models.Model, part: ClassPart, limit: int | None = None) -> float:
        """Accuracy: of several labels the share of examples where all are as they should be."""
        assert isinstance(model, Classifier)
        right = count = 0
        for group in part.groups(limit):
            for batch in group:
                said = model.predict(batch).cpu()
                hit = model.label_head.named(said) == batch.targets
                hit = hit.all(1) if part.several else hit
                right, count = right + int(hit.sum()), count + len(said)
        return right / max(count, 1)

    def kept_loss(self, model: models.Model, part: ClassPart, limit: int | None = None) -> float:
        """Of calibrated probabilities."""
        some = slice(None, None, -(-part.count // (limit or part.count)))
        few = dataclasses.replace(part, rows=part.rows[some], labels=part.labels[some])
        return float(each_example(model, few)[1].mean())

    def tune(self, model: models.Model, part: ClassPart, limit: int | None = None) -> None:
        """Fit the temperature, where the model keeps one."""
        assert isinstance(model, Classifier)
        if not model.config.calibrate:
            return
        head, said, known = model.label_head, [], []
        for group in part.groups(limit):
            for batch in group:
                said.append(model.predict(batch).cpu() * head.temperature.cpu())
                known.append(batch.targets)
        head.calibrate(torch.cat(said), torch.cat(known))

    def evaluate(self, compared: Mapping[str, Any], part: ClassPart) -> list[Evaluation]:
        """Each example by itself."""
        return compare_classifiers(compared, part)

    def by_example(self, model: models.Model, part: ClassPart) -> dict[str, Any]:
        """Whether each example was named as it should be, and nats; none of an unknown class."""
        hits, nats = each_example(model, part)
        return {self.metric.name: hits, self.loss.name: nats}

    def table(self, rows: Sequence[Evaluation], title: str) -> Table:
        """Accuracy, F1, calibration, nats; below it how the first finds each class."""
        first = rows[0]
        notes = class_lines(first)
        notes.append("Macro F1 is the mean of the classes'; one never named and never there is 0.")
        notes.append("Calibration error: how far probabilities are from shares that are right.")
        if first.unknown:
            notes.append(
                f"{first.unknown:,} examples are of classes that the models have no name for: they "
                "count as wrong, and not in nats."
            )
        several = first.confusion is None
        micro = ("micro F1",) if several else ()
        return Table(
            f"{title}: {first.examples:,} examples",
            ("model", "accuracy", *micro, "macro F1", "calibration error", "nats/example"),
            [
                (
                    row.name,
                    f"{row.accuracy:.4f}",
                    *([f"{row.micro_f1:.4f}"] if several else []),
                    f"{row.macro_f1:.4f}",
                    f"{row.calibration:.4f}",
                    shown(row.loss, 4),
                )
                for row in rows
            ],
            notes,
        )

    def rivals(
        self, prepared: ClassCorpus, recipe: Any, report: Callable[[str], None]
    ) -> dict[str, Any]:
        """See :func:`recurra.tasks.classification.rivals.fit_rivals`."""
        return fit_rivals(prepared, recipe.data, report)

    def answer(self, loaded: Any) -> ClassifyingModel:
        """Labels and their probabilities."""
        return ClassifyingModel(loaded.model, loaded.fronts, loaded.path, self.name)
