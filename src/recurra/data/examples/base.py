"""What an example is, and examples that are read one at a time, as often as they are asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from recurra.data.splits import PartName
from recurra.errors import DataError

__all__ = ["Example", "Examples", "Found", "Kind", "Sound", "Target", "content_key", "tried"]

Kind = Literal["text", "words", "series", "sound", "picture", "video"]
"""What an input is."""

Target = str | tuple[str, ...] | None


class Sound(NamedTuple):
    """A recording.

    Args:
        samples: ``[samples]``, float32, from -1 to 1, of one channel.
        rate: samples a second.
    """

    samples: npt.NDArray[np.float32]
    rate: int


class Example(NamedTuple):
    """Something raw, and what is to be said of it.

    Args:
        input: a text; a tuple of words; a series, float32 ``[time, channels]``, NaN where a value
            is missing; a :class:`Sound`; a picture, uint8 ``[height, width]`` or ``[height, width,
            channels]``; a video, with time before that; or of several inputs one of these by name,
            None where it is missing.
        target: a label; a tuple of several, or of one for each word or step; None if not known.
        place: the file, and the line or row in it.
        part: where it is said to which part it belongs.
        group: who or what it is of, such as its speaker: what may be left out together.
        stamps: of a series with a column of time what stands there, a cell for each step.
    """

    input: Any
    target: Target
    place: str
    part: PartName | None = None
    group: str | None = None
    stamps: tuple[Any, ...] = ()


Found = Iterator[Example | DataError]
"""Examples, and errors in place of those that cannot be read."""


def tried(make: Callable[..., Example], *given: Any) -> Example | DataError:
    """The example that is made of what is given, or why it cannot be."""
    try:
        return make(*given)
    except DataError as problem:
        return problem


class Examples:
    """Examples that are read when they are asked for, as often as they are asked for.

    Each iteration reads the source from the start and holds one example at a time.

    Args:
        source: what errors call it.
        kinds: of each input, by name; a single one is called ``"input"``.
        read: begins to read from the start; called once for each iteration.
        skip: whether one that cannot be read is left out and counted; else its error ends it.
        channels: names of the channels of a series.

    Attributes:
        skipped: how many the last iteration has left out so far as they could not be read.
        blank: how many it has left out as there was nothing in them.
        problems: why the first few were skipped.
    """

    def __init__(
        self,
        source: str,
        kinds: Mapping[str, Kind],
        read: Callable[[], Iterable[Example | DataError]],
        *,
        skip: bool = False,
        channels: Iterable[str] = (),
    ) -> None:
        self.source, self.kinds, self.channels = source, dict(kinds), tuple(channels)
        self.skipped = self.blank = 0
        self.problems: list[str] = []
        self.skip = skip
        self._read = read

    def every(self) -> Found:
        """From the start, blank ones too, and errors in place of what cannot be read."""
        yield from self._read()

    def __iter__(self) -> Iterator[Example]:
        """From the start, without those that are blank.

        Raises:
            DataError: no example at all, or one that cannot be read.
        """
        self.skipped = self.blank = 0
        self.problems = []
        empty = True
        for example in self._read():
            if isinstance(example, DataError):
                if not self.skip:
                    raise example
                self.skipped += 1
                if len(self.problems) < _TOLD:
                    self.problems.append(str(example))
            elif _is_blank(example.input):
                self.blank += 1
            else:
                empty = False
                yield example
        if empty:
            told = f" {self.skipped:,} could not be read: " if self.skipped else ""
            raise DataError(
                f"{self.source}: expected examples, found none.{told}{' '.join(self.problems[:1])}"
            )


_TOLD = 5


def _is_blank(value: Any) -> bool:
    """Whether there is nothing in it."""
    if isinstance(value, str):
        return not value or value.isspace()
    if isinstance(value, Mapping):
        return all(each is None or _is_blank(each) for each in value.values())
    return not len(value.samples if isinstance(value, Sound) else value)


def content_key(value: Any) -> str:
    """What an input holds, as a text that is the same in every process and on every machine.

    Equal inputs have equal keys, wherever they stand: :func:`recurra.data.hash_part` of it divides
    them. Of a text it is the text.

    Args:
        value: as of :class:`Example`.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, Sound):
        return f"{value.rate} {content_key(value.samples)}"
    if isinstance(value, Mapping):
        return "\0".join(
            f"{name} {'' if value[name] is None else content_key(value[name])}"
            for name in sorted(value)
        )
    if isinstance(value, np.ndarray):
        plain = np.ascontiguousarray(value)
        held = plain.astype(plain.dtype.newbyteorder("<"), copy=False).tobytes()
        return f"{list(plain.shape)} {hashlib.blake2b(held, digest_size=32).hexdigest()}"
    return "\n".join(value)
