"""What a search found: its trials, the best by validation, and the recipe of that."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recurra.columns import aligned, number, shown
from recurra.comparison.study import read_study
from recurra.comparison.variants import short_names, told
from recurra.errors import ArtifactError, RunError
from recurra.tasks.base import Metric, Table

__all__ = ["SEARCH", "Searched", "Trial", "read_search"]

SEARCH = "search.json"
_BEST = "best.toml"
_SHOWN = 10  # trials


@dataclasses.dataclass(frozen=True)
class Trial:
    """Settings that were tried.

    Args:
        name: of its folder.
        settings: those that are searched.
        state: ``"done"``, ``"pruned"`` or ``"failed"``.
        validation: the best of it; by this it is chosen.
        result: what else its run came to, see :class:`recurra.comparison.RunResult`.
        reason: why it failed.
    """

    name: str
    settings: Mapping[str, Any]
    state: str
    validation: float | None = None
    result: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Searched:
    """What a search found.

    Args:
        path: its folder.
        task: name of the task.
        metric: of the scores.
        space: where it looked, in words, by setting.
        trials: all that have ended.
        interrupted: whether Ctrl-C stopped it.
    """

    path: Path
    task: str
    metric: Metric
    space: Mapping[str, str]
    trials: tuple[Trial, ...]
    interrupted: bool = False

    @property
    def ranked(self) -> list[Trial]:
        """Those with a validation score, the best first."""
        sign = 1 if self.metric.less else -1
        done = [trial for trial in self.trials if trial.state == "done"]
        return sorted(done, key=lambda trial: sign * (trial.validation or 0.0))

    @property
    def best(self) -> Trial:
        """The best by validation.

        Raises:
            RunError: no trial is done.
        """
        if not self.ranked:
            raise RunError(f"{self.path}: no trial is done, so that there is no best one.")
        return self.ranked[0]

    @property
    def recipe(self) -> Path:
        """The file with the recipe of the best."""
        return self.path / _BEST

    @property
    def table(self) -> Table:
        """The best trials."""
        names = short_names(self.space)
        header = ["trial", *names.values(), f"validation ({self.metric.unit})", "parameters"]
        rows = [
            [
                trial.name,
                *map(_short, map(trial.settings.get, self.space)),
                shown(trial.validation, 4),
                f"{trial.result.get('parameters', 0):,}",
            ]
            for trial in self.ranked[:_SHOWN]
        ]
        return Table(
            f"{self.task} in {self.path}", [*header, "seconds"], self._timed(rows), self.notes
        )

    def _timed(self, rows: Sequence[list[str]]) -> list[list[str]]:
        seconds = (trial.result.get("seconds") for trial in self.ranked)
        return [[*row, shown(value, 1)] for row, value in zip(rows, seconds, strict=False)]

    @property
    def notes(self) -> list[str]:
        """What a reader must know."""
        states = [trial.state for trial in self.trials]
        said = f"{len(states)} trials: {states.count('done')} done, {states.count('pruned')} ended "
        notes = [said + f"early as worse than half of the others, {states.count('failed')} failed."]
        notes += [f"{t.name} failed: {t.reason}" for t in self.trials if t.state == "failed"]
        if self.ranked:
            value = self.best.result.get("value")
            held = (
                ""
                if value is None
                else f" On what was held out, which was not asked: {number(value, 4)}."
            )
            notes.append(f"Chosen by validation: {self.best.name}.{held}")
            notes.append(f"Its recipe: {self.recipe}")
        return notes

    def to_json(self) -> dict[str, Any]:
        """All of it but the path."""
        found = dataclasses.asdict(self) | {"metric": self.metric._asdict()}
        return {name: value for name, value in found.items() if name != "path"}

    def __str__(self) -> str:
        table = self.table
        drawn = aligned([table.header, *table.rows])
        return "\n".join([table.title, "", drawn, "", *table.notes])


def read_search(path: str | Path) -> Searched:
    """A search of before, from its folder.

    Raises:
        ArtifactError: there is none, or it is damaged.
    """
    path = Path(path)
    told = read_study(path, SEARCH)
    try:
        trials = tuple(Trial(**trial) for trial in told["trials"])
        return Searched(path, told["task"], Metric(**told["metric"]), told["space"], trials)
    except (KeyError, TypeError) as problem:
        raise ArtifactError(f"{path / SEARCH}: damaged ({problem}).") from None


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else told(value)
