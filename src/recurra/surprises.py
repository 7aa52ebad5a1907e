"""How surprising each step of something is under a model, and from where on that is a lot.

The surprise of a step is minus the logarithm of its probability, or of its density, after all steps
before it: nats. Which surprise is a lot is a matter of how many false alarms one bears:
:class:`Quantiles` keeps how surprising data were that hold what is usual, so that any rate has its
threshold.
"""

from __future__ import annotations

import dataclasses
import json
import math
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from recurra.errors import ArtifactError, FewWarning, SettingError

__all__ = ["FILE", "Quantiles", "Surprise"]

FILE = "surprises.json"
"""What a checkpoint keeps its quantiles in."""
_TOP = 500  # of the largest surprises, that are kept one by one
_OTHERS = 500  # of all others, evenly

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class Surprise:
    """How surprising the steps of an input are.

    Args:
        place: the file and row, or the text; None of what is from nowhere.
        nats: of each step; NaN where nothing was there.
        threshold: above which a step is flagged.
        steps: what each is called: symbols, time stamps; their numbers from 0 on if None.
        values: of a series ``[steps, channels]``.
        channels: their names.
    """

    place: str | None
    nats: Floats
    threshold: float = math.inf
    steps: Sequence[Any] | None = None
    values: npt.NDArray[Any] | None = None
    channels: tuple[str, ...] = ()

    @property
    def flagged(self) -> npt.NDArray[np.int64]:
        """Numbers of the steps that are above the threshold."""
        return np.flatnonzero(self.nats > self.threshold)

    def name(self, step: int) -> str:
        """What a step is called."""
        return str(step if self.steps is None else self.steps[step])

    def rows(self) -> Iterator[tuple[str, str, str, str]]:
        """Of each step its number, what it is called, its surprise, and whether it is flagged."""
        for step, nats in enumerate(self.nats.tolist()):
            shown = "-" if math.isnan(nats) else f"{nats:.4f}"
            yield str(step), self.name(step), shown, "!" * (nats > self.threshold)

    def to_json(self) -> dict[str, Any]:
        """All of it; None where nothing was there."""
        found: dict[str, Any] = {} if self.place is None else {"input": self.place}
        found |= {"threshold": self.threshold, "flagged": self.flagged.tolist()}
        if self.steps is not None:
            found["steps"] = [str(each) for each in self.steps]
        found["nats"] = [None if math.isnan(nats) else nats for nats in self.nats.tolist()]
        return found


@dataclasses.dataclass(frozen=True)
class Quantiles:
    """How surprising data were: some of all surprises, in order.

    Args:
        count: how many there were.
        ranks: whose place among all they have, the largest has 0; ascending.
        values: so surprising; descending.
    """

    count: int
    ranks: Sequence[int]
    values: Sequence[float]

    @classmethod
    def of(cls, surprises: npt.NDArray[Any]) -> Self:
        """Of surprises; what is NaN was not there, and what is infinite is more than all others."""
        there = np.sort(surprises[~np.isnan(surprises)].astype(np.float64))[::-1]
        count = len(there)
        finite = there[np.isfinite(there)]
        most = float(finite[0]) if len(finite) else 0.0
        there = np.minimum(there, most)  # JSON has no infinity
        ranks = np.arange(count)
        if count > _TOP + _OTHERS:
            rest = np.linspace(_TOP, count - 1, _OTHERS).round().astype(int)
            ranks = np.concatenate([np.arange(_TOP), rest])
        return cls(count, ranks.tolist(), there[ranks].tolist())

    def threshold(self, false_alarms: float) -> float:
        """Above which at most so great a share of these surprises is.

        Where there are fewer than 1 / share it is the largest of them.

        Args:
            false_alarms: the share, above 0 and below 1.

        Raises:
            SettingError: another one.
        """
        given = isinstance(false_alarms, int | float) and not isinstance(false_alarms, bool)
        if not given or not 0 < false_alarms < 1:
            raise SettingError(
                f"false_alarms: expected a share between 0 and 1, got {false_alarms!r}"
            )
        if false_alarms * self.count < 1:
            warnings.warn(
                f"the model was chosen by {self.count:,} steps, which cannot tell a share of "
                f"{false_alarms:g}: what is more surprising than all of them is flagged",
                FewWarning,
                stacklevel=3,
            )
        rank = math.floor(false_alarms * self.count + 1e-9)
        return float(np.interp(rank, self.ranks, self.values))

    def to_bytes(self) -> bytes:
        """As a file has it."""
        return (json.dumps(dataclasses.asdict(self)) + "\n").encode()

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Those that a checkpoint keeps.

        Raises:
            ArtifactError: it keeps none, or they are damaged.
        """
        path = folder / FILE
        if not path.exists():
            raise ArtifactError(
                f"{path}: is missing: this model does not know how surprising usual data are. A "
                "training writes it where a part is set apart to choose by (data.validation)."
            )
        try:
            found = json.loads(path.read_bytes())
            made = cls(int(found["count"]), list(found["ranks"]), list(found["values"]))
            values, ranks = np.array(made.values, float), np.array(made.ranks, int)
            if len(values) != len(ranks) or not len(ranks) or not np.isfinite(values).all():
                raise ValueError("expected as many finite values as ranks")
            if (np.diff(ranks) <= 0).any() or (np.diff(values) > 0).any():
                raise ValueError("expected ranks that rise, and values that fall")
            if ranks[0] != 0 or ranks[-1] != made.count - 1:
                raise ValueError("expected all of them, from the first to the last")
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise ArtifactError(f"{path}: damaged ({problem}).") from None
        return made
