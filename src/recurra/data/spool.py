"""Documents that were read once and are kept on disk, so that a source is not asked again."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from recurra.data.readers import Document
from recurra.errors import RunError

__all__ = ["Spool"]

_HEAD = struct.Struct(
    "<QQQ?"
)  # bytes of the text, of its source, of its fields; whether it goes on


class Spool:
    """A file of documents, that goes away with the ``with`` statement around it.

    A source may be slow: a data set far away, compressed tables, a great many small files. It is
    read once, into this file; everything after that reads the file.

    Args:
        path: of the file.

    Raises:
        RunError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        """Nothing is written yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the file away."""
        self._path.unlink(missing_ok=True)

    def written(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The same documents, which are in the file when all of them were taken.

        Their fields must be such that JSON can hold them.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(self._path, "wb") as file:
                for document in documents:
                    parts = [
                        document.text.encode("utf-8", "surrogatepass"),
                        document.source.encode("utf-8", "surrogatepass"),
                        json.dumps(dict(document.fields)).encode() if document.fields else b"",
                    ]
                    file.write(_HEAD.pack(*map(len, parts), document.goes_on))
                    file.writelines(parts)
                    yield document
        except OSError as problem:
            raise RunError(f"{self._path}: cannot be written ({problem.strerror}).") from problem

    def __iter__(self) -> Iterator[Document]:
        """From the file."""
        with open(self._path, "rb") as file:
            while head := file.read(_HEAD.size):
                *sizes, goes_on = _HEAD.unpack(head)
                text, source, fields = (file.read(size) for size in sizes)
                yield Document(
                    text.decode("utf-8", "surrogatepass"),
                    source.decode("utf-8", "surrogatepass"),
                    json.loads(fields) if fields else {},
                    goes_on,
                )
