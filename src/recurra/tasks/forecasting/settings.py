"""The section ``[data]`` of a forecaster's recipe."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal, Self

import pydantic

from recurra.data import Reading
from recurra.sections import contradiction, default
from recurra.tasks.base import DataSection
from recurra_runtime.fronts import Calendar, Frequency

__all__ = ["ForecastingData", "steps_apart"]


class ForecastingData(DataSection):
    """Which series are read, and how they are divided.

    How files are read is said in full by :class:`recurra.data.examples.Reading`.

    Args:
        horizon: steps that are forecast.
        look_back: steps that are read before them; ``"all"``, where the state is carried on from
            the first; ``"auto"`` is twice the season or the horizon, which is longer, as far as the
            series leave room for that, or all where one step is forecast.
        patch: steps that are read together as one.
        origins: of each row that is trained on: how many places, ``patch`` steps apart, a forecast
            begins at. The first of them has read ``look_back`` steps, the others more.
        season: steps of one; by the frequency if None, 1 if there is none.
        rows: of a table, what a row is: one of the ``"steps"`` of a series, or one of the
            ``"sequences"``.
        id: the column that says to which series a row belongs; ``unique_id`` where that is there.
        time: the column with time stamps, which must ascend; one that is called time, timestamp,
            date, datetime or ds if None.
        channels: the columns that are forecast; ``y`` where that is there, else all others.
        past: columns that are known up to now.
        known: columns that are known ahead.
        static: columns that are the same in all rows of a series. Of all three, those that are no
            numbers are categories.
        frequency: from one time stamp to the next, as pandas writes it; told by the time stamps if
            None.
        gaps: whether steps may be apart as they like: then the time since the step before is read.
        calendar: what is read of time stamps, see :class:`recurra_runtime.fronts.Calendar`; what
            goes with the frequency if None, where more than one step is forecast.
        scale: by what of what is trained on series are scaled, see
            :class:`recurra_runtime.fronts.Scales`.
        scale_by: whether each ``"series"`` has a scale of its own, or ``"all"`` the same; each of
            those with a name if None.
        transform: what is done to values before: ``"none"``, ``"log"`` or ``"log1p"``.
        step_size: steps between the places at which forecasts begin that are scored.
        axes: of arrays in Python, which axis is first, ``"time"`` or ``"channels"``.
        pattern: which files of a folder are read; those with known endings if None.
        encoding: how characters are stored.
        separator: of tables in text, what stands between cells.
        header: of tables in text, whether the first row has names; told by itself if None.
        on_error: whether a series that cannot be read ends the reading (``"stop"``) or is left out
            and counted (``"skip"``).
        split: ``"time"`` tests on the last steps of each series and chooses on those before,
            ``"hash"`` on tenths of the series, by what they hold; ``"given"`` on what is said to be
            a part, in the column ``split_column`` or by names of files and folders. ``"auto"`` is
            by time where there are fewer than ten series, or more than one step is forecast, and by
            hash otherwise.
        split_column: the column with the part.
        validation_steps: of each series; a tenth, and at least the horizon, if None.
        test_steps: the same of those that are tested on; 0 if none is to be held out: then the
            part that chooses is scored, or the last steps of all.
    """

    horizon: int = pydantic.Field(1, ge=1, le=10**6)
    look_back: Annotated[int, pydantic.Field(ge=1, le=10**7)] | Literal["auto", "all"] = "auto"
    patch: int = pydantic.Field(1, ge=1, le=10**6)
    origins: int = pydantic.Field(1, ge=1, le=10**6)
    season: int | None = pydantic.Field(None, ge=1, le=10**6)
    rows: Literal["steps", "sequences"] = "steps"
    id: str | None = None
    time: str | None = None
    channels: list[str] | None = None
    past: list[str] = pydantic.Field(default_factory=list)
    known: list[str] = pydantic.Field(default_factory=list)
    static: list[str] = pydantic.Field(default_factory=list)
    frequency: str | None = None
    gaps: bool = False
    calendar: list[str] | None = None
    scale: Literal["standard", "mean", "robust", "none"] = "standard"
    scale_by: Literal["series", "all"] | None = None
    transform: Literal["none", "log", "log1p"] = "none"
    step_size: int = pydantic.Field(1, ge=1, le=10**6)
    axes: Literal["time", "channels"] = "time"
    pattern: str | None = None
    encoding: str = "utf-8"
    separator: str | None = None
    header: bool | None = None
    on_error: Literal["stop", "skip"] = "stop"
    split: Literal["auto", "time", "hash", "given"] = "auto"
    split_column: str = "split"
    validation_steps: int | None = pydantic.Field(None, ge=1, le=10**9)
    test_steps: int | None = pydantic.Field(None, ge=0, le=10**9)

    @pydantic.model_validator(mode="after")
    def _fits(self) -> Self:
        if self.carried:
            for name in ("patch", "origins"):
                if getattr(self, name) != 1:
                    why = "rows of so many steps are read only with data.look_back"
                    raise contradiction(self, name, why, "1")
        if self.frequency is not None:
            try:
                Frequency.parse(self.frequency)
            except ValueError as problem:
                raise contradiction(self, "frequency", str(problem), "a known frequency") from None
            if self.gaps:
                raise contradiction(
                    self, "frequency", "with data.gaps steps may be apart as they like", "none"
                )
        if self.calendar:
            if self.gaps:
                why = "with data.gaps nobody knows when the next steps come"
                raise contradiction(self, "calendar", why)
            try:
                Calendar(self.calendar)
            except ValueError as problem:
                raise contradiction(self, "calendar", str(problem), "known cycles") from None
        return self

    @property
    def carried(self) -> bool:
        """Whether a state is carried along a series from its first step."""
        return self.look_back == "all" or (self.look_back == "auto" and self.horizon == 1)

    def steps_read(self, longest: int, season: int) -> int | None:
        """How many are read before those that are forecast; None for all.

        Args:
            longest: steps of the longest series that is trained on.
            season: steps of one.
        """
        if self.carried:
            return None
        if isinstance(self.look_back, int):
            return self.look_back
        room = max((longest - self.horizon) // 2, 1)
        return max(min(2 * max(season, self.horizon), room), 1)

    @property
    def undivided(self) -> Self:
        """Without names of parts, which a part alone has not."""
        return self.model_copy(update={"split": default(self, "split")})

    @property
    def beside(self) -> dict[str, tuple[str, ...]]:
        """Columns that are read beside those that are forecast."""
        return {name: tuple(getattr(self, name)) for name in ("past", "known", "static")}

    def reading(self, **more: Any) -> Reading:
        """How files are read."""
        names = [each.name for each in dataclasses.fields(Reading)]
        known = {name: getattr(self, name) for name in names if hasattr(self, name)}
        known |= {"input": "series", "label": None}
        known["channels"] = None if self.channels is None else tuple(self.channels)
        known["split"] = "given" if self.split == "given" else "hash"
        return Reading(**known | more)


def steps_apart(steps: int, horizon: int, given: int | None = None) -> int:
    """How many of a series' last steps are set apart: a tenth, and at least the horizon.

    Args:
        steps: of the series.
        horizon: steps that are forecast.
        given: what somebody said instead.
    """
    return max(steps // 10, horizon) if given is None else given
