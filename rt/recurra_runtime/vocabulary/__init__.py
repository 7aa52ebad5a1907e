"""Vocabularies of finished models: text to ids and back, with NumPy alone.

Three ids are reserved in every vocabulary: ``<unk>`` (0), an unknown symbol; ``<s>`` (1), the start
of a document; ``</s>`` (2), its end. There is no pad symbol: padding is never read.
"""

from recurra_runtime.vocabulary.base import (
    END,
    RESERVED,
    START,
    UNKNOWN,
    Ids,
    MissingLibraryError,
    Vocabulary,
)
from recurra_runtime.vocabulary.byte_pairs import BytePairVocabulary
from recurra_runtime.vocabulary.byte_values import ByteVocabulary
from recurra_runtime.vocabulary.characters import CharacterVocabulary
from recurra_runtime.vocabulary.classes import ClassNames
from recurra_runtime.vocabulary.kinds import (
    front_names,
    front_origin,
    register_front,
    vocabulary_from_json,
)
from recurra_runtime.vocabulary.labels import LabelVocabulary
from recurra_runtime.vocabulary.spelled import Spelled, SpelledWords
from recurra_runtime.vocabulary.tags import Span, TagNames
from recurra_runtime.vocabulary.words import Normalizer, WordVocabulary

__all__ = [
    "BytePairVocabulary",
    "ByteVocabulary",
    "CharacterVocabulary",
    "ClassNames",
    "END",
    "Ids",
    "LabelVocabulary",
    "MissingLibraryError",
    "Normalizer",
    "RESERVED",
    "START",
    "Span",
    "Spelled",
    "SpelledWords",
    "TagNames",
    "UNKNOWN",
    "Vocabulary",
    "WordVocabulary",
    "front_names",
    "front_origin",
    "register_front",
    "vocabulary_from_json",
]
