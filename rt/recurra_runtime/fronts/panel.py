"""Many series with what is known beside them: all that a forecaster needs to read some more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from recurra_runtime.fronts.calendar import Calendar
from recurra_runtime.fronts.frequency import Frequency
from recurra_runtime.fronts.moments import near
from recurra_runtime.fronts.scales import Scales
from recurra_runtime.fronts.series import Series

__all__ = ["Panel"]

Floats = npt.NDArray[np.float32]


class Panel:
    """What series are, in numbers.

    Args:
        scales: of the channels that are forecast.
        past: scale of the numbers that are known up to now, None if there are none.
        known: of those known ahead.
        categories: by name the categories that were there in training.
        ahead: names of those that are known ahead.
        calendar: what is read of time stamps.
        frequency: from one time stamp to the next; None where steps are numbered.
        zone: where clocks say the time stamps; None if nobody knows.
        horizon: steps that are forecast.
        look_back: steps that are read; None where all are.
        patch: steps that are read together as one.
        season: steps of one.
        gaps: whether the time since the step before is the first of ``past``.
        gap: the usual time between two steps.

    Raises:
        ValueError: a horizon, a look-back or a season below 1.
    """

    kind: ClassVar[str] = "panel"

    def __init__(
        self,
        scales: Scales,
        *,
        past: Series | None = None,
        known: Series | None = None,
        categories: Mapping[str, Sequence[str]] | None = None,
        ahead: Sequence[str] = (),
        calendar: Calendar | None = None,
        frequency: Frequency | None = None,
        zone: str | None = None,
        horizon: int = 1,
        look_back: int | None = None,
        patch: int = 1,
        season: int = 1,
        gaps: bool = False,
        gap: float = 1.0,
    ) -> None:
        self.scales = scales
        self.past, self.known = past or Series(), known or Series()
        self.categories = {name: tuple(each) for name, each in (categories or {}).items()}
        self.ahead = tuple(ahead)
        self.calendar, self.frequency, self.zone = calendar or Calendar(()), frequency, zone
        self.horizon, self.look_back, self.patch, self.season = horizon, look_back, patch, season
        self.gaps, self.gap = gaps, gap
        if min(horizon, patch, season, 1 if look_back is None else look_back) < 1 or not gap > 0:
            raise ValueError("panel: expected horizon, look_back, patch, season and gap above 0")
        self._numbers = {
            name: {each: number for number, each in enumerate(values, 1)}
            for name, values in self.categories.items()
        }

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of what is forecast."""
        return self.scales.channels

    @property
    def past_size(self) -> int:
        """Numbers of a step that are known up to now."""
        return len(self.past.channels) + self.gaps

    @property
    def known_size(self) -> int:
        """Numbers of a step that are known ahead, the calendar's too."""
        return len(self.known.channels) + self.calendar.shape[0]

    @property
    def sizes(self) -> list[int]:
        """How many each of the categories has, and one that was not there."""
        return [len(each) + 1 for each in self.categories.values()]

    @property
    def are_ahead(self) -> list[bool]:
        """Which of the categories are known ahead."""
        return [name in self.ahead for name in self.categories]

    def encode_past(self, values: npt.NDArray[Any], since: npt.NDArray[Any]) -> Floats:
        """``[time, past]``, and times since the step before ``[time]``; NaN is missing.

        What is far off is as far as values that are forecast can be (:meth:`Scales.inward`).
        """
        scaled = (values - self.past.mean) / self.past.deviation
        parts = [(since / self.gap)[:, None]] if self.gaps else []
        return near(np.concatenate([*parts, scaled], 1))

    def encode_known(self, values: npt.NDArray[Any], stamps: npt.NDArray[Any]) -> Floats:
        """``[time, known]``, and time stamps ``[time]``; NaN is missing.

        What is far off is as far as in :meth:`encode_past`.
        """
        scaled = (values - self.known.mean) / self.known.deviation
        parts = [near(scaled)]
        if self.calendar.shape[0]:
            parts.append(self.calendar.encode(stamps))
        return np.concatenate(parts, 1)

    def encode_codes(
        self, values: Mapping[str, Sequence[Any]], steps: int
    ) -> npt.NDArray[np.int64]:
        """Categories ``[time, categories]``; 0 is one that was not there in training, or None."""
        found = np.zeros((steps, len(self.categories)), np.int64)
        for place, (name, numbers) in enumerate(self._numbers.items()):
            cells = values[name]
            found[:, place] = [numbers.get(cell, 0) for cell in cells]
        return found

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "kind": self.kind,
            "scales": self.scales.to_json(),
            "past": self.past.to_json(),
            "known": self.known.to_json(),
            # In their order, which the model's embeddings have too; a mapping may be sorted.
            "categories": [[name, *each] for name, each in self.categories.items()],
            "ahead": list(self.ahead),
            "calendar": self.calendar.to_json(),
            "frequency": None if self.frequency is None else self.frequency.name,
            "zone": self.zone,
            "horizon": self.horizon,
            "look_back": self.look_back,
            "patch": self.patch,
            "season": self.season,
            "gaps": self.gaps,
            "gap": self.gap,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """What :meth:`to_json` wrote.

        Raises:
            ValueError: data of another shape.
        """
        try:
            name = data["frequency"]
            if not all(isinstance(each, list) and each for each in data["categories"]):
                raise TypeError("'categories': each a list of its name and its values")
            return cls(
                Scales.from_json(data["scales"]),
                past=Series.from_json(data["past"]),
                known=Series.from_json(data["known"]),
                categories={str(name): list(map(str, each)) for name, *each in data["categories"]},
                ahead=[str(each) for each in data["ahead"]],
                calendar=Calendar.from_json(data["calendar"]),
                frequency=None if name is None else Frequency.parse(name),
                zone=data["zone"],
                horizon=int(data["horizon"]),
                look_back=None if data["look_back"] is None else int(data["look_back"]),
                patch=int(data["patch"]),
                season=int(data["season"]),
                gaps=bool(data["gaps"]),
                gap=float(data["gap"]),
            )
        except (KeyError, TypeError, AttributeError) as problem:
            raise ValueError(f"panel: expected all of its parts ({problem!r})") from None
