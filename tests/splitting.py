"""Whole texts of each part, from what ``divide`` yields piece by piece."""

from __future__ import annotations

from typing import Any, NamedTuple

from recurra.data import Document, divide


class Split(NamedTuple):
    """Documents of each part; a cut inside a document makes two."""

    training: list[str]
    validation: list[str]
    test: list[str]


def split_documents(texts: list[str], **settings: Any) -> Split:
    parts = Split([], [], [])
    documents = [Document(text, "text") for text in texts]
    for name, document in divide(documents, [len(text) for text in texts], **settings):
        part: list[str] = getattr(parts, name)
        if document.goes_on:
            part[-1] += document.text
        else:
            part.append(document.text)
    return parts
