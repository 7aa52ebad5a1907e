"""Which examples are trained on, which choose and which are scored, for every task of examples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from recurra.data import PartName, hash_part, is_hub, tenth_part
from recurra.data.examples import Example
from recurra.data.splits import PART_NAMES
from recurra.errors import DataError, kind_of
from recurra.tasks.base import DataSection

__all__ = ["PART_NAMES", "Pair", "divide_examples", "given_sources", "pairs_of", "read_pairs"]

T = TypeVar("T")


class Pair(NamedTuple):
    """An example and what is to be said of it; where it is from, and for which part."""

    example: Any
    target: Any
    place: str
    part: PartName | None


def given_sources(data: DataSection) -> Iterator[tuple[PartName, str | Path]]:
    """The parts that have files of their own, and where those are."""
    for name, place in data.given.items():
        yield name, place if is_hub(place) else Path(place)


def divide_examples(
    examples: Iterable[T],
    data: DataSection,
    named: Callable[[T], PartName | None],
    text: Callable[[T], str] | None = None,
) -> dict[PartName, list[T]]:
    """Whole examples by part; one of the parts may be empty.

    What is named for a part, by itself or by the file that it is from, belongs there. Of all others
    a tenth is set apart for each part that has no file: by what they hold
    (:func:`recurra.data.hash_part`), or every tenth in their order. Where some are named to train
    on and none to choose by, a tenth of the former is set apart too.

    Args:
        examples: all of them.
        data: which parts have files of their own, and whether there is one to choose by.
        named: for which part, or None.
        text: what an example holds; None where its place decides.
    """
    every = list(examples)
    names: list[PartName] = ["training", "validation", "test"]
    if data.validation is False:
        names.remove("validation")
    own = [named(example) for example in every]
    parts: dict[PartName, list[T]] = {name: [] for name in names}
    number = 0  # among those that are not named for the other parts
    for part, example in zip(own, every, strict=True):
        if part is None or (part == "training" and "validation" not in own):
            flags = {"validation": data.validation is True, "test": data.test is None}
            apart = (
                tenth_part(number % 10, **flags)
                if text is None
                else hash_part(text(example), **flags)
            )
            number += 1
            if part is None or apart == "validation":
                part = apart
        parts[part if part in parts else "training"].append(example)
    return parts


def pairs_of(source: Any) -> list[Pair]:
    """The pairs of a list of them, or of such lists by part.

    Raises:
        DataError: as :func:`read_pairs`.
    """
    if isinstance(source, Mapping) and {*source} <= {*PART_NAMES}:
        parts = source.items()
        return [p for name, own in parts for p in read_pairs(own, f"{name}, ", PART_NAMES[name])]
    return read_pairs(source, "data, ", None)


def read_pairs(source: Any, place: str, part: PartName | None) -> list[Pair]:
    """The pairs of a list of them, or of :class:`recurra.data.examples.Example`.

    Args:
        source: the list.
        place: what messages say before the number of an example.
        part: to which they belong, where that is said.

    Raises:
        DataError: something that is none, with its number.
    """
    if isinstance(source, str | bytes) or not isinstance(source, Iterable):
        raise DataError(
            f"{place.removesuffix(', ')}: expected pairs of an example and what is to be said of "
            f"it, got {kind_of(source)}."
        )
    found = []
    for number, pair in enumerate(source):
        if isinstance(pair, Example):  # its place is known
            found.append(Pair(pair.input, pair.target, pair.place, part or pair.part))
            continue
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            size = f" of {len(pair):,}" if hasattr(pair, "__len__") else ""
            raise DataError(
                f"{place}example {number}: expected a pair, an example and what is to be said of "
                f"it, got {kind_of(pair)}{size}. Of two lists zip(inputs, targets) makes pairs."
            )
        found.append(Pair(pair[0], pair[1], f"{place}example {number}", part))
    return found
