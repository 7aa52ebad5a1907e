"""Classes of texts: which of some names fits a whole text."""

from recurra.tasks.classification.answer import ClassifyingModel, Label
from recurra.tasks.classification.corpus import ClassCorpus, ClassPart, prepare_classes
from recurra.tasks.classification.evaluation import Evaluation, compare_classifiers
from recurra.tasks.classification.examples import Example, Examples, open_examples
from recurra.tasks.classification.settings import ClassificationData
from recurra.tasks.classification.task import ClassificationTask

__all__ = [
    "ClassCorpus",
    "ClassPart",
    "ClassificationData",
    "ClassificationTask",
    "ClassifyingModel",
    "Evaluation",
    "Example",
    "Examples",
    "Label",
    "compare_classifiers",
    "open_examples",
    "prepare_classes",
]
