"""Kinds of vocabularies and of whatever else is a front, by name, and how any of them is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from recurra_runtime.fronts.calendar import Calendar
from recurra_runtime.fronts.panel import Panel
from recurra_runtime.fronts.picture import Picture
from recurra_runtime.fronts.series import Series
from recurra_runtime.fronts.sound import Sound
from recurra_runtime.vocabulary.byte_pairs import BytePairVocabulary
from recurra_runtime.vocabulary.byte_values import ByteVocabulary
from recurra_runtime.vocabulary.characters import CharacterVocabulary
from recurra_runtime.vocabulary.classes import ClassNames
from recurra_runtime.vocabulary.labels import LabelVocabulary
from recurra_runtime.vocabulary.spelled import SpelledWords
from recurra_runtime.vocabulary.tags import TagNames
from recurra_runtime.vocabulary.words import WordVocabulary

__all__ = ["front_names", "front_origin", "register_front", "vocabulary_from_json"]

_KINDS: dict[str, Any] = {
    kind.kind: kind
    for kind in (
        CharacterVocabulary,
        ByteVocabulary,
        WordVocabulary,
        BytePairVocabulary,
        LabelVocabulary,
        ClassNames,
        TagNames,
        SpelledWords,
        Series,
        Sound,
        Picture,
        Panel,
        Calendar,
    )
}
_T = TypeVar("_T", bound=type[Any])


def register_front(name: str) -> Callable[[_T], _T]:
    """Give a front of one's own a name, its ``kind``, so that a saved model finds it again.

    A front turns raw examples into numbers, or numbers into an answer: a vocabulary, say. Put this
    before its class, which has ``to_json()``, a dictionary of all that it is, and the class method
    ``from_json(data)``, which makes it of that again.

    Args:
        name: what artifacts call it.

    Raises:
        ValueError: another front has that name already, or there is no name, or the class lacks a
            method.
    """
    if not isinstance(name, str) or not name or name != name.strip():
        raise ValueError(f"register_front: expected a name such as 'syllables', got {name!r}")

    def register(cls: _T) -> _T:
        known = _KINDS.get(name)
        # A notebook or an interactive session runs the same definition again: that is no clash.
        if known is not None and _origin(known) != _origin(cls):
            raise ValueError(
                f"register_front: {name!r} is taken by {_origin(known)}; choose another"
            )
        for method in ("to_json", "from_json"):
            if not callable(getattr(cls, method, None)):
                raise ValueError(f"register_front: expected {_origin(cls)} to have {method}")
        cls.kind = name
        _KINDS[name] = cls
        return cls

    return register


def front_names() -> tuple[str, ...]:
    """Names of all registered fronts, sorted."""
    return tuple(sorted(_KINDS))


def front_origin(front: Any) -> str:
    """Where the class of a front was defined, ``module.Class``; an artifact keeps it to say so.

    Raises:
        ValueError: it is not registered, so that nobody could read the front again.
    """
    origin, known = _origin(type(front)), _KINDS.get(getattr(front, "kind", ""))
    if known is None or _origin(known) != origin:
        raise ValueError(
            f"front: {origin} is not registered; put @recurra.register_front('NAME') before it"
        )
    return origin


def vocabulary_from_json(data: Any) -> Any:
    """The vocabulary, the class names, or the front of one's own that ``to_json`` wrote.

    Args:
        data: with the name of its class as ``kind``.

    Raises:
        MissingLibraryError: it needs a library that is not installed.
        ValueError: an unknown kind, or data of another shape.
    """
    kind = data.get("kind") if isinstance(data, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        known = ", ".join(map(repr, _KINDS))
        raise ValueError(f"vocabulary: expected a kind among {known}, got {kind!r}")
    return _KINDS[kind].from_json(data)


def _origin(cls: type[Any]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
