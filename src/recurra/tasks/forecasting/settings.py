"""The section ``[data]`` of a forecaster's recipe."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, Self

from recurra.data import Reading
from recurra.sections import default
from recurra.tasks.base import DataSection

__all__ = ["ForecastingData"]


class ForecastingData(DataSection):
    """Which series are read, and how they are divided.

    How files are read is said in full by :class:`recurra.data.examples.Reading`.

    Args:
        rows: of a table, what a row is: one of the ``"steps"`` of a series, or one of the
            ``"sequences"``.
        id: the column that says to which series a row belongs, where there are several.
        time: the column with time stamps, which must ascend; one that is called time, timestamp,
            date or datetime if None.
        channels: the columns that are read; all others if None.
        axes: of arrays in Python, which axis is first, ``"time"`` or ``"channels"``.
        pattern: which files of a folder are read; those with known endings if None.
        encoding: how characters are stored.
        separator: of tables in text, what stands between cells.
        header: of tables in text, whether the first row has names; told by itself if None.
        on_error: whether a series that cannot be read ends the reading (``"stop"``) or is left out
            and counted (``"skip"``).
        split: ``"time"`` tests on the last tenth of each series and chooses on the tenth before,
            ``"hash"`` on tenths of the series, by what they hold; ``"given"`` on what is said to be
            a part, in the column ``split_column`` or by names of files and folders. ``"auto"`` is
            by time where there are fewer than ten series, and by hash otherwise.
        split_column: the column with the part.
    """

    rows: Literal["steps", "sequences"] = "steps"
    id: str | None = None
    time: str | None = None
    channels: list[str] | None = None
    axes: Literal["time", "channels"] = "time"
    pattern: str | None = None
    encoding: str = "utf-8"
    separator: str | None = None
    header: bool | None = None
    on_error: Literal["stop", "skip"] = "stop"
    split: Literal["auto", "time", "hash", "given"] = "auto"
    split_column: str = "split"

    @property
    def undivided(self) -> Self:
        """Without names of parts, which a part alone has not."""
        return self.model_copy(update={"split": default(self, "split")})

    def reading(self, **more: Any) -> Reading:
        """How files are read."""
        names = [each.name for each in dataclasses.fields(Reading)]
        known = {name: getattr(self, name) for name in names if hasattr(self, name)}
        known |= {"input": "series", "label": None}
        known["channels"] = None if self.channels is None else tuple(self.channels)
        known["split"] = "given" if self.split == "given" else "hash"
        return Reading(**known | more)
