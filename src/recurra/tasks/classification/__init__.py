"""Classes of examples: which of some names fits a whole text, series, sound or picture."""

from recurra.tasks.classification.answer import ClassifyingModel, Label, Listener
from recurra.tasks.classification.corpus import ClassCorpus, ClassPart, prepare_classes
from recurra.tasks.classification.evaluation import Evaluation, compare_classifiers
from recurra.tasks.classification.settings import ClassificationData
from recurra.tasks.classification.task import ClassificationTask

__all__ = [
    "ClassCorpus",
    "ClassPart",
    "ClassificationData",
    "ClassificationTask",
    "ClassifyingModel",
    "Evaluation",
    "Label",
    "Listener",
    "compare_classifiers",
    "prepare_classes",
]
