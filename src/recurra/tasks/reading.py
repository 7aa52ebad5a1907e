"""Tasks whose examples are read from files: texts, series, sounds, pictures, films."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from recurra.data import PartName
from recurra.data.examples import Example
from recurra.data.examples import Examples as RawExamples
from recurra.data.examples.base import content_key
from recurra.errors import DataError
from recurra.tasks.division import Pair
from recurra.tasks.examples import Examples, ExamplesTask
from recurra.tasks.inputs import InputSection, grayed_of, heard

__all__ = ["ReadingTask", "changed_examples", "grouped", "said_part"]


class ReadingTask(ExamplesTask):
    """Divides examples by what they hold, or by what is said of them; counts what was left out."""

    def held(self, pairs: Sequence[Pair], data: InputSection) -> list[str]:
        """What each example holds."""
        return [content_key(pair.example) for pair in pairs]

    def part_of(self, pair: Pair, data: InputSection) -> PartName | None:
        """What is said of it.

        Raises:
            DataError: nothing, where all are said to be given.
        """
        return said_part(pair, data)

    def ready(self, source: Any, data: InputSection, pairs: list[Pair]) -> list[Pair]:
        """Sounds are frames from here on: what is costly is computed once."""
        kinds = getattr(source, "kinds", {})
        values = heard(kinds, [p.example for p in pairs], [p.place for p in pairs], data)
        return [pair._replace(example=one) for pair, one in zip(pairs, values, strict=True)]

    def _prepare(self, source: Any, data: Any, fronts: Mapping[str, Any] | None) -> Examples:
        found = super()._prepare(source, data, fronts)
        skipped = getattr(source, "skipped", 0)
        read = self.read_fronts(found.fronts)
        raw = (pair.example for part in found.parts.values() for pair in part.raw)
        return dataclasses.replace(found, skipped=skipped, remarks=grayed_of(read, raw))


def changed_examples(found: RawExamples, change: Callable[[Example], Example]) -> RawExamples:
    """Examples, each as a change makes it when it is read."""

    def read() -> Iterator[Example | DataError]:
        for each in found.every():
            yield each if isinstance(each, DataError) else change(each)

    return RawExamples(found.source, found.kinds, read, skip=found.skip, channels=found.channels)


def said_part(example: Pair | Example, data: InputSection) -> PartName | None:
    """The part that an example is said to belong to.

    Raises:
        DataError: none, where all are said to be given.
    """
    if data.split == "given" and example.part is None:
        raise DataError(
            f"{example.place}: belongs to no part, as data.split=given has it. Give files or "
            "folders named train, validation and test, or take data.split=hash."
        )
    return example.part


def grouped(example: Example, data: InputSection) -> Example:
    """An example with its part by its group, where one group is held out.

    Raises:
        DataError: it has none.
    """
    if data.test_group is None:
        return example
    if example.group is None:
        raise DataError(
            f"{example.place}: expected a group, of which data.test_group={data.test_group!r} is "
            "one. data.group names the column, or label_from has a group called `group`."
        )
    return example._replace(part="test" if example.group == data.test_group else "training")
