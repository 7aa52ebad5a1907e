"""What runs of a comparison came to: a row for each variant, over all of its seeds."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recurra import artifact
from recurra.columns import aligned, number
from recurra.comparison.student import two_sided
from recurra.comparison.variants import short_names, shown, told
from recurra.tasks.base import Metric, Table
from recurra.training import about
from recurra.training.run import RunFolder
from recurra.training.runs import source_of

__all__ = ["Comparison", "RunResult", "VariantRow", "compared", "result_of", "within_noise"]

_LEAST = 0.05  # of what is more improbable than that, seeds alone are not the reason


@dataclasses.dataclass(frozen=True)
class RunResult:
    """What one run came to.

    Args:
        name: of its folder within the study.
        settings: those in which variants differ.
        seed: of its draws.
        value: what the task's metric says of what was held out.
        loss: mean of a prediction there.
        validation: the best validation, or None.
        parameters: of the model.
        seconds: of training, or None where a model is made at once.
        data: fingerprint of what it was trained on.
        rivals: what others scored on the same held-out part, by name.
    """

    name: str
    settings: Mapping[str, Any]
    seed: int
    value: float
    loss: float | None
    validation: float | None
    parameters: int
    seconds: float | None
    data: str
    rivals: Mapping[str, float | None] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class VariantRow:
    """A variant, over its seeds; or a rival, which has neither settings nor parameters.

    Args:
        name: its settings in a line, or the rival's name.
        settings: those in which variants differ.
        runs: how many there are.
        value: mean of what the metric says of what was held out.
        deviation: of it (n - 1); None of a single run.
        validation: mean of the best validations, or None.
        validation_deviation: as of the value.
        parameters: of the model; None of a rival.
        seconds: mean of training; None of a rival.
        verdict: beside the first row: ``"best"``, ``"within the noise"``, ``"worse"``; empty where
            nothing tells.
    """

    name: str
    settings: Mapping[str, Any]
    runs: int
    value: float
    deviation: float | None = None
    validation: float | None = None
    validation_deviation: float | None = None
    parameters: int | None = None
    seconds: float | None = None
    verdict: str = ""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What a comparison came to.

    Args:
        path: its folder.
        task: name of the task.
        metric: of the scores.
        rows: of the variants that have a finished run, the best first.
        rivals: rows of models without memory, the best first.
        runs: every finished run.
        failed: why runs failed, by name.
        missing: how many runs are not finished.
        interrupted: whether Ctrl-C stopped it.
    """

    path: Path
    task: str
    metric: Metric
    rows: tuple[VariantRow, ...]
    rivals: tuple[VariantRow, ...]
    runs: tuple[RunResult, ...]
    failed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    missing: int = 0
    interrupted: bool = False

    @property
    def best(self) -> VariantRow:
        """The row with the best mean on what was held out.

        Raises:
            IndexError: no run is finished.
        """
        return self.rows[0]

    @property
    def table(self) -> Table:
        """The rows as they are shown."""
        varied = list(dict.fromkeys(name for row in self.rows for name in row.settings))
        names = short_names(varied)
        header = [*names.values()] or ["model"]
        header += ["held out", "validation", "parameters", "seconds", "runs", ""]
        rows = [[*_settings(row, varied), *_numbers(row)] for row in self.rows]
        blank = [""] * max(len(varied) - 1, 0)
        rows += [[row.name, *blank, *_numbers(row)] for row in self.rivals]
        return Table(self.title, header, rows, self.notes)

    @property
    def title(self) -> str:
        """What is compared, and by what."""
        way = "less" if self.metric.less else "more"
        return f"{self.task} in {self.path}: {self.metric.unit} ({way} is better)"

    @property
    def notes(self) -> list[str]:
        """What a reader must know of the numbers."""
        return _notes(self)

    def to_json(self) -> dict[str, Any]:
        """All of it but the path."""
        found = dataclasses.asdict(self)
        found["metric"] = self.metric._asdict()
        return {name: value for name, value in found.items() if name != "path"}

    def __str__(self) -> str:
        table = self.table
        right = range(len(table.header) - 6, len(table.header) - 1)
        drawn = aligned([table.header, *table.rows], right) if table.rows else "no run is finished"
        return "\n".join([table.title, "", drawn, "", *table.notes])


def result_of(path: Path) -> dict[str, Any]:
    """What a finished run's folder says, as :class:`RunResult` takes it.

    Raises:
        ArtifactError: something in it is damaged.
    """
    known, loaded = about(path), artifact.load(path)
    run = RunFolder.open(path)
    joined = loaded.task.read_joined(path, loaded.model)
    model, *others = known.scores
    return {
        "value": model.value,
        "loss": model.loss,
        "validation": known.trained.get("best"),
        "parameters": known.parameters,
        "seconds": known.trained.get("seconds"),
        "data": source_of(run).get("blake2b") or "",
        "rivals": {each.name: each.value for each in others if each.name not in joined},
    }


def compared(
    runs: Sequence[RunResult], metric: Metric
) -> tuple[tuple[VariantRow, ...], tuple[VariantRow, ...]]:
    """Rows of variants and of rivals, each the best first."""
    groups: dict[str, list[RunResult]] = {}
    for run in runs:
        groups.setdefault(shown(run.settings), []).append(run)
    rows = _sorted([_row(name, some) for name, some in groups.items()], metric)
    rows = [
        dataclasses.replace(row, verdict=_verdict(row, rows[0]) if at else _first(rows))
        for at, row in enumerate(rows)
    ]
    return tuple(rows), tuple(_sorted(_rivals(runs), metric))


def _row(name: str, runs: Sequence[RunResult]) -> VariantRow:
    chosen = [run.validation for run in runs if run.validation is not None]
    seconds = [run.seconds for run in runs if run.seconds is not None]
    value, deviation = _spread([run.value for run in runs])
    known = _spread(chosen) if len(chosen) == len(runs) else (None, None)
    return VariantRow(
        name or "the recipe",
        runs[0].settings,
        len(runs),
        value,
        deviation,
        validation=known[0],
        validation_deviation=known[1],
        parameters=max(run.parameters for run in runs),
        seconds=statistics.fmean(seconds) if seconds else None,
    )


def _rivals(runs: Sequence[RunResult]) -> list[VariantRow]:
    """Each once; where data are read in several ways, once for each of them."""
    found: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        how = shown({k: v for k, v in run.settings.items() if k.startswith("data.")})
        for name, value in run.rivals.items():
            if value is not None:
                found.setdefault((name, how), []).append(value)
    return [
        VariantRow(f"{name} ({how})" if how else name, {}, len(values), *_spread(values))
        for (name, how), values in found.items()
    ]


def _sorted(rows: Iterable[VariantRow], metric: Metric) -> list[VariantRow]:
    """The best first; what is no number last."""
    sign = 1 if metric.less else -1
    return sorted(rows, key=lambda row: (math.isnan(row.value), sign * row.value))


def _spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and deviation (n - 1)."""
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, None
    return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))


def _first(rows: Sequence[VariantRow]) -> str:
    return "best" if len(rows) > 1 else ""


def _verdict(row: VariantRow, best: VariantRow) -> str:
    inside = within_noise(row, best)
    return "" if inside is None else "within the noise" if inside else "worse"


def within_noise(one: VariantRow, other: VariantRow) -> bool | None:
    r"""Whether the seeds alone may explain a difference of means, at 95 % (Welch 1947).

    .. math:: |m_1 - m_2| \le t_{0.975, f} \sqrt{s_1^2 / n_1 + s_2^2 / n_2}

    with the degrees of freedom f of Welch and Satterthwaite, which need not be whole. None where a
    variant has one run, of which nobody knows how much it would differ with another seed.
    """
    if one.deviation is None or other.deviation is None:
        return None
    shares = [row.deviation**2 / row.runs for row in (one, other) if row.deviation is not None]
    error = sum(shares)
    if error == 0 or not math.isfinite(error):
        return one.value == other.value or not math.isfinite(error)
    pairs = zip(shares, (one, other), strict=True)
    freedom = 1 / sum((share / error) ** 2 / (row.runs - 1) for share, row in pairs)
    return two_sided((one.value - other.value) / math.sqrt(error), freedom) >= _LEAST


def _settings(row: VariantRow, varied: Sequence[str]) -> list[str]:
    if not varied:
        return [row.name]
    return [told(row.settings[name]) if name in row.settings else "" for name in varied]


def _numbers(row: VariantRow) -> list[str]:
    unknown = row.parameters is None and math.isnan(row.value)  # a rival that gives none
    return [
        "-" if unknown else _with(row.value, row.deviation),
        "" if row.validation is None else _with(row.validation, row.validation_deviation),
        "" if row.parameters is None else f"{row.parameters:,}",
        "" if row.seconds is None else number(row.seconds, 1),
        "" if row.parameters is None else str(row.runs),
        row.verdict if row.parameters is not None else "rival",
    ]


def _with(value: float, deviation: float | None) -> str:
    return number(value, 4) + (f" ± {number(deviation, 4)}" if deviation else "")


def _notes(found: Comparison) -> list[str]:
    rows, notes = found.rows, []
    if len(rows) > 1:
        inside = [row.name for row in rows[1:] if row.verdict == "within the noise"]
        if any(row.deviation is None for row in rows):
            notes.append(
                "One run a variant says nothing of how much a seed changes: take --seeds 3 or more."
            )
        elif len(inside) == len(rows) - 1:
            notes.append(f"All differences to {rows[0].name} are within the noise of the seeds.")
        elif inside:
            notes.append(f"Within the noise beside {rows[0].name}: {'; '.join(inside)}.")
        else:
            notes.append(f"{rows[0].name} is better than all others, beyond the noise of seeds.")
        notes += _chosen(found)
    if any(row.deviation is not None for row in rows):
        notes.append(
            "± is the deviation over seeds; noise: Welch's t test at 95 % beside the first."
        )
    if len({run.data for run in found.runs}) > 1:
        notes.append("The data are read in several ways: what is counted may differ.")
    notes += [f"{name} failed: {reason}" for name, reason in found.failed.items()]
    if found.missing:
        notes.append(f"Runs that are not finished: {found.missing}.")
    return notes


def _chosen(found: Comparison) -> list[str]:
    """Who was best by validation, where that is somebody else."""
    judged = [row for row in found.rows if row.validation is not None]
    if len(judged) < 2:
        return []
    sign = 1 if found.metric.less else -1
    best = min(judged, key=lambda row: sign * (row.validation or 0.0))
    if best.name == found.rows[0].name:
        return []
    return [f"By validation, which is what to choose by, {best.name} is the best."]
