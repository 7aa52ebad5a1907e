"""What stands in a text where a model reads ``<unk>``."""

from __future__ import annotations

import numpy as np

from recurra_runtime.vocabulary import UNKNOWN, CharacterVocabulary, Ids, Vocabulary, WordVocabulary

__all__ = ["unknown_symbols"]


def unknown_symbols(vocabulary: Vocabulary, text: str, ids: Ids) -> dict[int, str]:
    """Symbols that a vocabulary does not know, as the text has them, by their place among its ids.

    Args:
        vocabulary: of characters or words; the others know every text.
        text: what was read.
        ids: of its symbols, as the vocabulary has them.
    """
    places = np.flatnonzero(ids == UNKNOWN).tolist()
    if places and isinstance(vocabulary, CharacterVocabulary):
        return {place: text[place] for place in places}
    if places and isinstance(vocabulary, WordVocabulary):
        words = vocabulary.normalizer.split(text)
        # A mark tells by blanks what is beside it, which is no part of the symbol.
        return {place: words[place].strip(" \t") for place in places}
    return {}
