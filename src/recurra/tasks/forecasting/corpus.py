"""From series to what a forecaster trains on, is chosen by and is tested on."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from recurra.data import Batches, PartName, Reading, content_key, open_examples
from recurra.data.examples import Example, Examples
from recurra.data.examples.columns import columns_of, has_columns
from recurra.data.examples.series import open_long
from recurra.data.examples.sources import Rows
from recurra.data.splits import PART_NAMES
from recurra.errors import DataError
from recurra.tasks.base import Groups
from recurra.tasks.division import divide_examples
from recurra.tasks.forecasting.settings import ForecastingData
from recurra.tasks.forecasting.windows import SeriesWindows, Stretch, Values, groups_of
from recurra_runtime.fronts import Series

__all__ = [
    "SERIES",
    "SeriesCorpus",
    "SeriesPart",
    "encode_series",
    "listed",
    "open_series",
    "prepare_series",
    "scaled",
]

SERIES = "series"
"""The field of the scaler."""
_FEW = 10  # series, from which on some are kept for each part
_FAR = 1e6  # deviations from the mean; what is further is as far, so that its square is finite
_USES = {"training": "to train on", "validation": "to choose by", "test": "held out"}


# ---- from sources --------------------------------------------------------------------------------


def open_series(source: Any, how: Reading) -> Examples:
    """Series of files or of Python.

    Args:
        source: a path; a data frame whose rows are steps; an array ``[time]`` or ``[time,
            channels]``, which is one series; a list of such, or an array of three axes; or any of
            these by part.
        how: it is read.

    Raises:
        DataError: something else.
    """
    if isinstance(source, Examples | str | os.PathLike):
        return open_examples(source, how)
    if isinstance(source, Mapping) and source and {*source} <= {*PART_NAMES}:
        parts = [(PART_NAMES[name], open_series(own, how)) for name, own in source.items()]
        first = parts[0][1]

        def read() -> Iterator[Example | DataError]:
            for part, own in parts:
                for each in own.every():
                    yield each._replace(part=part) if isinstance(each, Example) else each

        return Examples("data", first.kinds, read, skip=how.skip, channels=first.channels)
    if has_columns(source):
        return _of_frame(source, how)
    return open_examples(listed(source), how)


def _of_frame(source: Any, how: Reading) -> Examples:
    names = list(map(str, getattr(source, "columns", source)))
    columns = columns_of(source, [("data.channels", name) for name in names])

    def rows() -> Rows:
        for number, cells in enumerate(zip(*columns, strict=True)):
            yield f"data: row {number}", dict(zip(names, map(_cell, cells), strict=True))

    return open_long("data", rows, how, None)


def _cell(cell: Any) -> Any:
    """A date of a frame as ISO writes it; others as they are."""
    return cell.isoformat() if hasattr(cell, "isoformat") else cell


def listed(source: Any) -> Any:
    """Series one after another; what is one series alone, as a list of it."""
    several = getattr(getattr(source, "dtype", None), "kind", "") == "O"  # arrays in an array
    if getattr(source, "ndim", None) in (1, 2) and not several:
        return [source]
    if isinstance(source, list | tuple):
        numbers = all(
            isinstance(each, int | float) and not isinstance(each, bool) for each in source
        )
        return [source] if source and numbers else list(source)
    return source


# ---- in numbers ----------------------------------------------------------------------------------


def scaled(front: Series, raw: Any, place: str) -> Values:
    """A series by the scale of the training part ``[time, channels]``, NaN where it is missing.

    Raises:
        DataError: other channels, or infinity.
    """
    try:
        values = front.checked(raw)
    except ValueError as problem:
        raise DataError(f"{place}: {problem}.") from None
    found = np.clip((values - front.mean) / front.deviation, -_FAR, _FAR)
    return found.astype(np.float32)


@dataclasses.dataclass(frozen=True)
class SeriesPart:
    """Series of one part, in memory.

    Args:
        stretches: what is scored of each, and what is read before it.
        deviation: of each channel, in the data's units.
    """

    stretches: list[Stretch]
    deviation: npt.NDArray[np.float64]

    @property
    def count(self) -> int:
        """Values that are predicted: those that are not missing."""
        return sum(one.known for one in self.stretches)

    @property
    def steps(self) -> int:
        """Steps that are scored."""
        return sum(len(one.scored) for one in self.stretches)

    def batches(self, *, rows: int, window: int, seed: int) -> Batches:
        """For training: windows of all series, end to end."""
        return SeriesWindows([one.scored for one in self.stretches], rows=rows, size=window)

    def some(self, limit: int | None = None) -> list[Stretch]:
        """All, each whole; or pieces from all over them that have about so many values."""
        if limit is None or limit >= self.count:
            return self.stretches
        pieces = [piece for one in self.stretches for piece in one.pieces()]
        return pieces[:: -(-self.count // max(limit, 1))]

    def groups(self, limit: int | None = None) -> Groups:
        """Windows of those."""
        return (windows for _, windows in groups_of(self.some(limit)))


@dataclasses.dataclass(frozen=True)
class SeriesCorpus:
    """Series of all parts.

    Args:
        parts: by name.
        scaler: fitted on what is trained on.
        fingerprint: tells these series, in this order, from any others.
        by_time: whether the parts are stretches of the same series.
        skipped: series that could not be read and were left out.
    """

    parts: dict[PartName, SeriesPart]
    scaler: Series
    fingerprint: str
    by_time: bool
    skipped: int = 0

    @property
    def fronts(self) -> dict[str, Any]:
        """What an artifact keeps."""
        return {SERIES: self.scaler}

    def sizes(self, scored: int) -> str:
        """How many steps there are."""
        names = self.scaler.channels
        counts = [f"{part.steps:,} {_USES[name]}" for name, part in self.parts.items()]
        counts[0] = f"{self.parts['training'].steps:,} steps {_USES['training']}"
        total = sum(part.steps for part in self.parts.values()) * len(names)
        missing = total - sum(part.count for part in self.parts.values())
        held = self.parts.get("validation")
        few = f"; chooses by {scored:,} values" if held and scored < held.count else ""
        series = sum(len(part.stretches) for part in self.parts.values())
        if self.by_time:
            series = len(self.parts["training"].stretches)
        how = "divided by time" if self.by_time else "whole series in each part"
        left = f"; left out because they cannot be read: {self.skipped:,}" if self.skipped else ""
        return (
            ", ".join(counts)
            + few
            + f"; {series:,} series, {how}; {len(names):,} channels"
            + (f"; missing values: {missing / max(total, 1):.1%}" if missing else "")
            + left
        )


def prepare_series(
    source: Examples,
    given: Mapping[PartName, Examples],
    data: ForecastingData,
    front: Series | None = None,
) -> SeriesCorpus:
    """Read, divide, and scale by what is trained on.

    Args:
        source: series.
        given: those of parts that have files of their own.
        data: how they are divided.
        front: the scaler of a model that is there already.

    Raises:
        DataError: no series, too few steps in one of the parts, no value to train on, or other
            channels.
    """
    examples = list(source)
    for part, own in given.items():
        examples += [each._replace(part=part) for each in own]
    unnamed = [each for each in examples if each.part is None]
    by_time = data.split == "time" or (data.split == "auto" and len(unnamed) < _FEW)
    if by_time:
        named = _by_time(examples, data)
    else:
        divided = divide_examples(
            examples, data, lambda each: each.part, lambda each: content_key(each.input)
        )
        named = {name: [(each, 0) for each in some] for name, some in divided.items()}
    for name, some in named.items():
        if not any(len(each.input) > first for each, first in some):
            raise DataError(
                f"data: expected series in every part, none is left for {name}. Give more of them, "
                "or divide them otherwise with data.split."
            )
    if front is None:
        front = _fitted(named, source.channels)
    parts = {name: _part(some, front) for name, some in named.items()}
    if not parts["training"].count:
        raise DataError(
            "data: expected values to train on, all of the training part are missing (NaN). Give "
            "series that have some there, or divide them otherwise with data.split."
        )
    return SeriesCorpus(parts, front, _fingerprint(named), by_time, source.skipped)


Named = dict[PartName, list[tuple[Example, int]]]
"""Of each part its series up to their last step, and from which on they are scored."""


def _by_time(examples: Sequence[Example], data: ForecastingData) -> Named:
    """The last tenth of each series is tested on, the one before it is chosen by."""
    found: Named = {"training": [], "validation": [], "test": []}
    if data.validation is False:
        del found["validation"]
    for each in examples:
        if each.part is not None:
            found[each.part if each.part in found else "training"].append((each, 0))
            continue
        steps = len(each.input)
        tenth = max(steps // 10, 1)
        stop = steps - (tenth if data.test is None else 0)
        held = stop - (tenth if data.validation is True else 0)
        if held < 1:
            raise DataError(
                f"{each.place}: expected a series of at least 3 steps, which can be divided by "
                f"time, got {steps}. data.split says how else they are divided."
            )
        found["training"].append((each._replace(input=each.input[:held]), 0))
        if held < stop:
            found["validation"].append((each._replace(input=each.input[:stop]), held))
        if stop < steps:
            found["test"].append((each, stop))
    return found


def _fitted(named: Named, channels: Sequence[str]) -> Series:
    """The scaler, of what is trained on; then every series is as wide as the first."""
    front = Series(channels, mask=True)
    for each, _ in (pair for some in named.values() for pair in some):
        if channels:
            scaled(front, each.input, each.place)
    try:
        return front.fit([each.input for each, _ in named["training"]])
    except ValueError as problem:
        raise DataError(f"data: {problem}.") from None


def _part(some: Iterable[tuple[Example, int]], front: Series) -> SeriesPart:
    found = [Stretch(scaled(front, each.input, each.place), first) for each, first in some]
    return SeriesPart(found, front.deviation)


def _fingerprint(named: Named) -> str:
    found = hashlib.blake2b(digest_size=16)
    for name, some in named.items():
        for each, first in some:
            found.update(f"{name} {first} {content_key(each.input)}\n".encode())
    return found.hexdigest()


def encode_series(source: Examples, front: Series, report: Callable[[str], None]) -> SeriesPart:
    """Series from outside in the numbers of a model, each whole."""
    found = [Stretch(scaled(front, each.input, each.place)) for each in source]
    if source.skipped:
        report(f"left out because they cannot be read: {source.skipped:,}")
    return SeriesPart(found, front.deviation)
