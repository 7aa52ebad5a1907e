"""Two runs on the same held-out examples: how sure it is that one is better."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recurra import artifact
from recurra.columns import aligned, number
from recurra.errors import DataError, InputTypeError, RunError, SettingError, kind_of
from recurra.settings import check_size
from recurra.tasks.base import Metric, Table, Task, front_told
from recurra.tasks.sums import Sums, ratio
from recurra.training.run import RunFolder
from recurra.training.runs import opened, run_recipe, run_source, source_of

__all__ = ["Paired", "PairedRow", "bootstrap", "compare_pair", "compare_pairs"]

_RESAMPLES = 10_000
_AT_ONCE = 1 << 22  # draws that are held together
_SURE = 0.975  # share of resamples from which on the other side of the 95 % interval is left

Values = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class PairedRow:
    """One number of every example, of both runs.

    Args:
        name: what is counted, as ``accuracy`` or ``nats``.
        less: whether less is better.
        one: that of the first run, of all examples.
        other: that of the second.
        difference: second minus first.
        low: of the 95 % interval of the difference.
        high: of it.
        better: share of the resamples in which the second is better; a tie counts half.
    """

    name: str
    less: bool
    one: float
    other: float
    difference: float
    low: float
    high: float
    better: float


@dataclasses.dataclass(frozen=True)
class Paired:
    """Two runs, example by example.

    Args:
        paths: of both runs.
        examples: how many were held out.
        unit: what one is.
        resamples: how often they were drawn anew.
        rows: one a number.
    """

    paths: tuple[Path, Path]
    examples: int
    unit: str
    resamples: int
    rows: tuple[PairedRow, ...]

    @property
    def table(self) -> Table:
        """As it is shown."""
        one, other = self.paths
        header = ("", "A", "B", "B - A", "95 % interval", "B is better in")
        rows = [
            (
                f"{row.name} ({'less' if row.less else 'more'} is better)",
                number(row.one, 4),
                number(row.other, 4),
                f"{row.difference:+.4f}",
                f"{row.low:+.4f} to {row.high:+.4f}",
                f"{row.better:.1%}",
            )
            for row in self.rows
        ]
        title = f"A: {one}\nB: {other}\n{self.examples:,} held-out {self.unit}"
        notes = [self._said(row) for row in self.rows]
        if one.resolve() == other.resolve():
            notes = ["A and B are the same run, which can differ in nothing."]
        notes.append(
            f"Paired bootstrap: {self.resamples:,} resamples of the same {self.unit}. It tells the "
            "noise of these, not of seeds."
        )
        return Table(title, header, rows, notes)

    def _said(self, row: PairedRow) -> str:
        if row.low <= 0 <= row.high:
            return f"{row.name}: the difference is within the noise."
        return f"{row.name}: {'A' if (row.difference > 0) == row.less else 'B'} is better."

    def __str__(self) -> str:
        table = self.table
        drawn = aligned([table.header, *table.rows], range(1, len(table.header)))
        return "\n".join([table.title, "", drawn, "", *table.notes])

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return dataclasses.asdict(self) | {"paths": list(map(str, self.paths))}


def compare_pair(
    one: str | Path,
    other: str | Path,
    data: Any = None,
    *,
    which: str = "best",
    resamples: int = _RESAMPLES,
    seed: int = 0,
) -> Paired:
    """Score two runs on every held-out example of the data that both were trained on.

    Args:
        one: a run.
        other: another, of the same task and data.
        data: what they were trained on, where that is no path that the first remembers.
        which: of each, ``"best"`` or ``"last"``.
        resamples: how often examples are drawn anew.
        seed: of these draws.

    Raises:
        DataError: other data than each other's or than given, or fewer than two examples.
        SettingError: two tasks, or one whose examples have no scores of their own.
        RunError: one is no run.
        ArtifactError: one is damaged.
    """
    (found,) = compare_pairs([one, other], data, which=which, resamples=resamples, seed=seed)
    return found


def compare_pairs(
    runs: Sequence[str | Path],
    data: Any = None,
    *,
    which: str = "best",
    resamples: int = _RESAMPLES,
    seed: int = 0,
) -> list[Paired]:
    """Each run but the first beside the first, as :func:`compare_pair`; data are read once.

    Args:
        runs: two or more, of the same task and data.
        data: as of :func:`compare_pair`, like the rest.
        which: of each.
        resamples: of the draws.
        seed: of these.
    """
    paths = [Path(run) for run in runs]
    folders = [RunFolder.open(path) for path in paths]
    prints = [source_of(run).get("blake2b") for run in folders]
    recipe = run_recipe(folders[0])
    task = recipe.of_task
    for folder, path, print_ in zip(folders[1:], paths[1:], prints[1:], strict=True):
        if (other := run_recipe(folder).task) != recipe.task:
            raise SettingError(
                f"compare: expected two runs of one task, got {recipe.task} ({folders[0].path}) "
                f"and {other} ({folder.path})"
            )
        if prints[0] is None or prints[0] != print_:
            raise DataError(_apart((paths[0], path), which))
    loaded = [artifact.load(path, which=which) for path in paths]
    _, source = run_source(paths[0])
    source = source if data is None else data
    if source is None:
        raise SettingError(f"compare: data is missing: {paths[0]} does not say where its own is")
    with tempfile.TemporaryDirectory() as place:
        examples = opened(task, source, recipe.data, recipe.data.given)
        if why := task.unpaired(examples, recipe.data):  # before all of it is read and scored
            raise DataError(f"compare: {why}")
        others = {"from", "teachers"} & set(source_of(folders[0]))  # whose fronts it has
        fronts = loaded[0].fronts if others else None
        prepared = (
            task.prepare(examples, recipe.data, Path(place), _silent)
            if fronts is None
            else task.prepare_in(examples, fronts, recipe.data, Path(place), _silent)
        )
        if prepared.fingerprint != prints[0]:
            raise DataError(f"{source}: these are not the data that both runs were trained on.")
        part = prepared.parts["test"]
        first, *rest = (task.by_example(each.model, part) for each in loaded)
    return [
        _paired((paths[0], path), task, (first, found), resamples, seed)
        for path, found in zip(paths[1:], rest, strict=True)
    ]


def _apart(paths: tuple[Path, Path], which: str) -> str:
    """What to say of two runs that have no examples in common."""
    told = [source_of(RunFolder.open(path)).get("blake2b") for path in paths]
    known = [artifact.load(path, which=which).fronts for path in paths] if all(told) else [{}, {}]
    one, other = known
    names = [
        name
        for name in sorted({*one, *other})
        if front_told(one.get(name)) != front_told(other.get(name))
    ]
    if not names:
        return (
            f"{paths[1]}: was trained on other data than {paths[0]} (their fingerprints differ): "
            "there are no pairs. Train both on the same data, divided the same way."
        )
    return (
        f"{paths[1]}: was trained on other data than {paths[0]}, or on the same with other "
        f"settings. What makes numbers of them differs, a vocabulary or a scale: "
        f"{', '.join(names)}. There are no pairs. Train both on the same data, divided the same "
        "way, with the same settings of the section [data]."
    )


def _silent(message: str) -> None:
    """What reading the data again says was said before."""


def _paired(
    paths: tuple[Path, Path],
    task: Task,
    found: Sequence[Mapping[str, Any]],
    resamples: int,
    seed: int,
) -> Paired:
    metrics = {each.name: each for each in (task.metric, task.loss)}
    rows, size = [], 0
    for name, first in found[0].items():
        less = metrics.get(name, Metric(name, name)).less
        one, other = (_sums(values, less) for values in (first, found[1][name]))
        less, size = one.less, max(size, len(one.values))  # of some a score may be unknown
        if len(one.values) < 2:
            raise DataError(
                f"compare: expected at least 2 held-out {task.examples}, from which to draw, got "
                f"{len(one.values)}."
            )
        if not (np.isfinite(one.values).all() and np.isfinite(other.values).all()):
            raise RunError(f"compare: the {name} of some examples is no finite number.")
        low, high, better = bootstrap(one, other, resamples=resamples, seed=seed)
        a, b = (float(each.of(each.values.sum(0))) for each in (one, other))
        rows.append(PairedRow(name, less, a, b, b - a, low, high, better))
    return Paired(paths, size, task.examples, resamples, tuple(rows))


def _sums(values: Any, less: bool) -> Sums:
    """What adds up; of a number of each example that itself, and how many there are."""
    if isinstance(values, Sums):
        return values._replace(values=np.asarray(values.values, np.float64))
    known = np.asarray(values, np.float64)
    return Sums(np.stack([known, np.ones_like(known)], 1), ratio, less)


def _numbers(name: str, given: Any) -> Sums:
    """Sums whose values are finite, ``[examples, numbers]``."""
    if not isinstance(given, Sums):
        raise InputTypeError(
            f"bootstrap: {name}: expected recurra.tasks.sums.Sums, got {kind_of(given)}."
        )
    try:
        values = np.asarray(given.values, np.float64)
    except (TypeError, ValueError) as problem:
        raise DataError(
            f"bootstrap: {name}: expected numbers [examples, numbers], got {problem}."
        ) from None
    if values.ndim != 2 or not values.size:
        raise DataError(
            f"bootstrap: {name}: expected numbers of at least one example, [examples, numbers], "
            f"got shape {list(values.shape)}."
        )
    bad = np.flatnonzero(~np.isfinite(values).all(1))
    if len(bad):
        raise DataError(
            f"bootstrap: {name}: expected finite numbers, got {values[bad[0]].tolist()} of example "
            f"{bad[0]} (and {len(bad) - 1:,} more). Leave them out of both, or mend their scores."
        )
    return given._replace(values=values)


def bootstrap(
    one: Sums, other: Sums, *, resamples: int = _RESAMPLES, seed: int = 0
) -> tuple[float, float, float]:
    """The 95 % interval of a difference, and how often it is an improvement (Efron 1979).

    Examples are drawn with replacement, as many as there are; both runs' scores of an example stay
    together, as in Koehn (2004).

    Args:
        one: what the first run has of each example.
        other: what the second has of the same ones.
        resamples: how many draws.
        seed: of these.

    Returns:
        2.5 and 97.5 % points of second minus first, and the share of the draws in which the second
        is better; where both are alike counts half.

    Raises:
        SettingError: fewer than one draw.
        InputTypeError: something else than :class:`Sums`.
        DataError: no examples, not as many of both, or something that is no finite number.
    """
    check_size("resamples", resamples)
    one, other = _numbers("one", one), _numbers("other", other)
    if len(one.values) != len(other.values) or one.less != other.less:
        raise DataError(
            "bootstrap: expected one number of the same examples, got "
            f"{len(one.values):,} (less={one.less}) and {len(other.values):,} (less={other.less}). "
            "Score both on the same ones, in the same order."
        )
    whole = np.array([each.of(each.values.sum(0)) for each in (one, other)])
    draw, size = np.random.default_rng(seed), len(one.values)
    both, width = np.concatenate([one.values, other.values], 1), one.values.shape[1]
    found = np.empty(resamples)
    step = max(1, _AT_ONCE // size)
    for first in range(0, resamples, step):
        some = found[first : first + step]
        drawn = draw.integers(0, size, (len(some), size))
        sums = np.stack([column[drawn].sum(1) for column in both.T], 1)
        some[:] = other.of(sums[:, width:]) - one.of(sums[:, :width])
    # Sums of equal numbers differ in their last bits: what is 0 but for these is a tie.
    found[np.abs(found) <= 1e-15 * np.abs(whole).max()] = 0.0
    low, high = np.quantile(found, [1 - _SURE, _SURE])
    better = (found < 0) if one.less else (found > 0)
    return float(low), float(high), float((better + 0.5 * (found == 0)).mean())
