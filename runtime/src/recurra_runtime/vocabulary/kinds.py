"""All kinds of vocabularies and of class names, and how any of them is read."""

from __future__ import annotations

from typing import Any

from recurra_runtime.vocabulary.byte_pairs import BytePairVocabulary
from recurra_runtime.vocabulary.byte_values import ByteVocabulary
from recurra_runtime.vocabulary.characters import CharacterVocabulary
from recurra_runtime.vocabulary.classes import ClassNames
from recurra_runtime.vocabulary.labels import LabelVocabulary
from recurra_runtime.vocabulary.words import WordVocabulary

__all__ = ["vocabulary_from_json"]

_KINDS: dict[str, Any] = {
    CharacterVocabulary.kind: CharacterVocabulary,
    ByteVocabulary.kind: ByteVocabulary,
    WordVocabulary.kind: WordVocabulary,
    BytePairVocabulary.kind: BytePairVocabulary,
    LabelVocabulary.kind: LabelVocabulary,
    ClassNames.kind: ClassNames,
}


def vocabulary_from_json(data: Any) -> Any:
    """The vocabulary, or the class names, that ``to_json`` wrote.

    Raises:
        MissingLibraryError: it needs a library that is not installed.
        ValueError: an unknown kind, or data of another shape.
    """
    kind = data.get("kind") if isinstance(data, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        known = ", ".join(map(repr, _KINDS))
        raise ValueError(f"vocabulary: expected a kind among {known}, got {kind!r}")
    return _KINDS[kind].from_json(data)
