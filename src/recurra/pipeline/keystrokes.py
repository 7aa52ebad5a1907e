"""How much typing a model saves: a text is typed with its suggestions, and keys are counted."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from recurra.pipeline.predictive import PredictiveText
from recurra.pipeline.text_model import TextModel
from recurra.settings import check_size

__all__ = ["KeystrokeSavings", "keystrokes_saved"]


@dataclasses.dataclass(frozen=True)
class KeystrokeSavings:
    """What typing a text with suggestions cost.

    Args:
        typed: keys that typed one character.
        accepted: keys that accepted a suggestion.
        characters: of the text, the keys it takes without suggestions.
    """

    typed: int
    accepted: int
    characters: int

    @property
    def saved(self) -> float:
        """Keystroke savings, 1 - (typed + accepted) / characters; 0 for an empty text."""
        return 1 - (self.typed + self.accepted) / self.characters if self.characters else 0.0


def keystrokes_saved(
    model: TextModel,
    text: str,
    suggestions: int = 3,
    *,
    given: Mapping[str, str] | None = None,
) -> KeystrokeSavings:
    """Type a text as a person would who takes every suggestion that helps.

    At every position, also before a word's first letter, so many suggestions are shown. If what is
    left of the word is among them, one key accepts it and types the space behind it too, where the
    text has one; but only if that saves at least a key. Otherwise a key types one character.

    Args:
        model: what suggests.
        text: is typed from its beginning, as a document of its own.
        suggestions: how many are shown.
        given: condition -> label.

    Raises:
        SettingError: fewer than one suggestion, a condition that is missing or unknown.
        DataError: a label that the model does not know.
    """
    check_size("suggestions", suggestions)
    entry = PredictiveText(model, given=given)
    typed = accepted = place = 0
    while place < len(text):
        rest = entry.rest_of_word(text, place)
        space = text.startswith(" ", place + len(rest))
        shown = entry.suggestions(suggestions) if rest and len(rest) + space > 1 else []
        if any(suggestion.rest == rest for suggestion in shown):
            accepted += 1
            piece = text[place : place + len(rest) + space]
        else:
            typed += 1
            piece = text[place]
        entry.type(piece)
        place += len(piece)
    return KeystrokeSavings(typed, accepted, len(text))
