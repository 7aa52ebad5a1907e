"""How texts of a recipe are read and fall into symbols: what every task of texts has in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, Literal, Self

import pydantic

from recurra.data import (
    BytePairVocabulary,
    ByteVocabulary,
    CharacterVocabulary,
    Normalizer,
    Vocabulary,
    WordVocabulary,
)
from recurra.data.examples.columns import columns_of, has_columns
from recurra.data.examples.labels import label_text
from recurra.errors import DataError, RecurraError, SettingError
from recurra.sections import contradiction, default
from recurra.tasks.base import DataSection
from recurra_runtime.vocabulary import RESERVED, MissingLibraryError

__all__ = [
    "TextSection",
    "check_vocabulary",
    "columns_of",
    "has_columns",
    "label_text",
    "vocabulary_of",
    "vocabulary_settings",
]

_BYTE_PAIRS = 8000


class TextSection(DataSection):
    """What is read, and how it falls into symbols.

    Args:
        pattern: which files of a folder are read.
        encoding: how their characters are stored.
        column: of JSON lines, CSV and Parquet, the field with the text; ``"text"`` if not given.
        separator: of tables in text, what stands between cells; a tab in ``.tsv``, a comma in
            ``.csv`` if not given.
        vocabulary: ``"characters"`` (those of the training text), ``"bytes"``, ``"words"`` or
            ``"byte-pairs"``.
        vocabulary_size: of words, how many ids at most, the most frequent words first; of byte
            pairs, how many ids (8,000 if not given); of characters, at most so many are expected.
        minimum_count: words seen less often in the training text become ``<unk>``.
        lower: of words, whether all letters become lower case.
        punctuation: of words, whether punctuation marks are words of their own.
    """

    pattern: str = "*.txt"
    encoding: str = "utf-8"
    column: str | None = None
    separator: str | None = pydantic.Field(None, min_length=1, max_length=1)
    vocabulary: Literal["characters", "bytes", "words", "byte-pairs"] = "characters"
    vocabulary_size: int | None = pydantic.Field(None, ge=4, le=10**8)
    minimum_count: int = pydantic.Field(1, ge=1)
    lower: bool = False
    punctuation: bool = True

    @pydantic.model_validator(mode="after")
    def _symbols_agree(self) -> Self:
        """Settings that contradict each other are refused, not ignored."""
        if self.vocabulary != "words":
            for name in ("lower", "punctuation", "breaks", "minimum_count"):
                if hasattr(self, name) and getattr(self, name) != default(self, name):
                    raise contradiction(
                        self, name, f"the vocabulary is of {self.vocabulary}, not of words"
                    )
        if self.vocabulary == "bytes" and self.vocabulary_size is not None:
            raise contradiction(self, "vocabulary_size", "a vocabulary of bytes always has 259 ids")
        return self

    @property
    def normalizer(self) -> Normalizer:
        """How texts become words."""
        return Normalizer(self.lower, self.punctuation, getattr(self, "breaks", "none"))


def vocabulary_of(texts: Iterable[str], data: TextSection) -> Vocabulary:
    """The vocabulary of the texts that are trained on.

    Raises:
        DataError: one of a size that cannot be, or whose library is missing.
    """
    size = data.vocabulary_size
    if data.vocabulary == "bytes":
        return ByteVocabulary()
    if data.vocabulary == "byte-pairs":
        return _byte_pairs(texts, size or _BYTE_PAIRS)
    if data.vocabulary == "characters":
        characters = CharacterVocabulary.of(texts)
        if size is not None and len(characters) > size:
            raise DataError(
                f"data: expected at most {size} ids (data.vocabulary_size), the training text has "
                f"{len(characters)} with the {len(RESERVED)} reserved ones. Allow more, or take "
                "data.vocabulary=bytes."
            )
        return characters
    return WordVocabulary.of(
        texts, size=size, minimum=data.minimum_count, normalizer=data.normalizer
    )


def vocabulary_settings(vocabulary: Vocabulary, data: type[TextSection]) -> dict[str, Any]:
    """What a vocabulary has settled of the section ``[data]``, by name with the section."""
    found = {"vocabulary": vocabulary.kind}
    if isinstance(vocabulary, WordVocabulary):
        found |= dataclasses.asdict(vocabulary.normalizer)
    return {f"data.{name}": value for name, value in found.items() if name in data.model_fields}


def check_vocabulary(
    vocabulary: Vocabulary, data: TextSection, report: Callable[[str], None]
) -> None:
    """Hold settings that make a vocabulary against one that is there already.

    Raises:
        SettingError: it is larger than asked for.
    """
    if data.vocabulary_size is not None and len(vocabulary) > data.vocabulary_size:
        raise SettingError(
            f"data.vocabulary_size: the vocabulary of the model has {len(vocabulary):,} ids, which "
            f"a run that begins with it or learns from it keeps; got {data.vocabulary_size:,}. "
            "Leave it out, or train without --from or a teacher."
        )
    if data.minimum_count != default(data, "minimum_count"):
        report("data.minimum_count has no effect: the vocabulary is that of the model")


def _byte_pairs(texts: Iterable[str], size: int) -> BytePairVocabulary:
    try:
        return BytePairVocabulary.of(texts, size)
    except RecurraError:  # of the texts, and already a sentence
        raise
    except MissingLibraryError as problem:
        raise DataError(f"data.{problem}.") from None
    except ValueError as problem:
        raise DataError(f"data.{problem}. Change data.vocabulary_size.") from None
