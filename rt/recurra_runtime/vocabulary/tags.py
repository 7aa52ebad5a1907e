"""The names of tags, and the spans that some of them make."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, NamedTuple, Self

from recurra_runtime.vocabulary.base import listed
from recurra_runtime.vocabulary.classes import ClassNames

__all__ = ["Span", "TagNames"]

_OUTSIDE = "O"
_SCHEMES = ("iob1", "iob2")


class Span(NamedTuple):
    """Words beside each other that are one thing, such as a name.

    Args:
        type: what it is.
        start: its first word, counted from 0.
        end: the word behind its last.
    """

    type: str
    start: int
    end: int


class TagNames(ClassNames):
    """One number for each tag, from 0; perhaps such tags as make spans.

    ``B-X`` begins a span of the type X, ``I-X`` goes on with one, ``O`` is outside of all. Where
    tags are ``iob2``, a span always begins with ``B-X``; where they are ``iob1`` (Ramshaw & Marcus
    1995), ``I-X`` begins one too, and ``B-X`` only parts it from one of its type before it.

    Args:
        names: of the tags, each once.
        scheme: ``"iob1"``, ``"iob2"``, or None where they make no spans.

    Raises:
        ValueError: as of :class:`ClassNames`; an unknown scheme, or a tag that is none of it.
    """

    kind: ClassVar[str] = "tags"

    def __init__(self, names: Iterable[str], scheme: str | None = None) -> None:
        super().__init__(names)
        if scheme is not None and scheme not in _SCHEMES:
            raise ValueError(f"tags: expected a scheme 'iob1', 'iob2' or None, got {scheme!r}")
        self.scheme = scheme
        for name in self.names if scheme else ():
            if name != _OUTSIDE and not _parts(name):
                raise ValueError(f"tags: expected 'O', 'B-TYPE' or 'I-TYPE', got {name!r}")

    @classmethod
    def of_sentences(cls, sentences: Iterable[Sequence[str]]) -> Self:
        """The tags that occur, sorted, and the spans they make where all are of that kind."""
        every = list(sentences)
        names = sorted({tag for tags in every for tag in tags})
        inside = [name for name in names if name != _OUTSIDE]
        if not inside or not all(map(_parts, inside)):
            return cls(names)
        strict = all(map(_begins_well, every))
        return cls(names, "iob2" if strict else "iob1")

    @property
    def types(self) -> tuple[str, ...]:
        """Of spans, sorted; none where tags make none."""
        if self.scheme is None:
            return ()
        return tuple(sorted({name[2:] for name in self.names if name != _OUTSIDE}))

    def forbidden(self) -> list[tuple[int | None, int]]:
        """Pairs of tags of which the second never follows the first; None is the start.

        Those of ``iob2``: ``I-X`` after anything but ``B-X`` and ``I-X``.
        """
        if self.scheme != "iob2":
            return []
        before = (None, *range(len(self)))
        return [
            (one, other)
            for one, other in itertools.product(before, range(len(self)))
            if not _goes(None if one is None else self.names[one], self.names[other])
        ]

    def spans(self, tags: Sequence[str]) -> list[Span]:
        """The spans of a sentence's tags, as CoNLL's own script counts them.

        ``I-X`` that goes on with nothing begins a span; a tag of another kind is outside of all.
        """
        found: list[Span] = []
        if self.scheme is None:
            return found
        start: int | None = None
        for place, (last, tag) in enumerate(itertools.pairwise([_OUTSIDE, *tags, _OUTSIDE])):
            if start is not None and tag.startswith("I-") and last[2:] == tag[2:]:
                continue
            if start is not None:
                found.append(Span(last[2:], start, place))
            start = place if _parts(tag) else None
        return found

    def to_json(self) -> dict[str, Any]:
        """Kind, names and scheme."""
        return super().to_json() | {"scheme": self.scheme}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The tags that :meth:`to_json` wrote.

        Raises:
            ValueError: data of another shape.
        """
        return cls(listed(data, "names"), data.get("scheme"))


def _parts(name: str) -> bool:
    """Whether it is ``B-`` or ``I-`` and a type."""
    return len(name) > 2 and name[:2] in ("B-", "I-")


def _goes(last: str | None, tag: str) -> bool:
    """Whether the second may follow the first, or begin, where tags are ``iob2``."""
    return not tag.startswith("I-") or (last is not None and last[2:] == tag[2:])


def _begins_well(tags: Sequence[str]) -> bool:
    return all(map(_goes, (None, *tags), tags))
