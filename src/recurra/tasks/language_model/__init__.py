"""The task ``language-model``: the next symbol of a text, beside n-grams of the same text."""

from recurra.tasks.language_model.corpus import Corpus, CorpusPart, prepare
from recurra.tasks.language_model.documents import Source, as_documents, label_of, open_source
from recurra.tasks.language_model.evaluation import Evaluation, compare_encoded
from recurra.tasks.language_model.settings import DataSettings
from recurra.tasks.language_model.task import LanguageModelTask, WritingModel

__all__ = [
    "Corpus",
    "CorpusPart",
    "DataSettings",
    "Evaluation",
    "LanguageModelTask",
    "Source",
    "WritingModel",
    "as_documents",
    "compare_encoded",
    "label_of",
    "open_source",
    "prepare",
]
