"""Runs side by side: what differs between them, their scores in pairs, and what happens inside."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from recurra.columns import aligned, number
from recurra.comparison.beside_charts import charts
from recurra.comparison.beside_page import page
from recurra.comparison.conduct import read_comparison
from recurra.comparison.pairs import Paired, compare_pairs
from recurra.comparison.results import Comparison
from recurra.comparison.searched import SEARCH, Searched, read_search
from recurra.comparison.study import flat
from recurra.comparison.variants import short_names, told
from recurra.diagnosis.charts.colors import SERIES_COLORS
from recurra.errors import RecurraError, SettingError
from recurra.given import path_of
from recurra.inspection import Picture, Report, inspect, save_pictures
from recurra.inspection.shell import save_page
from recurra.settings import check_kind
from recurra.training import about, run_source

__all__ = ["Cost", "SideBySide", "side_by_side"]

_MOST = len(SERIES_COLORS)  # runs whose lines can be told apart
T = TypeVar("T")


class Cost(NamedTuple):
    """What a run costs.

    Args:
        parameters: of the model.
        epochs: passes over what it was trained on.
        seconds: of one of them; None where nobody knows.
    """

    parameters: int
    epochs: float | None
    seconds: float | None


@dataclasses.dataclass(frozen=True)
class SideBySide:
    """Runs beside each other; ``print`` shows them in a table.

    Args:
        title: what is compared.
        names: of the runs, each its own.
        paths: of them.
        settings: those that differ: name -> what each run has, None for a setting that it has not.
        reports: what is known of each, see :func:`recurra.inspect`.
        paired: of each run but the first how it differs from the first on the same held-out
            examples; None where there are no pairs.
        costs: of each.
        pictures: all runs in the same axes, by name.
        study: of a folder what all of its runs came to, or None.
        said: what could not be compared, and why.
        seconds: that all of it took.
    """

    title: str
    names: Sequence[str]
    paths: Sequence[Path]
    settings: Mapping[str, Sequence[Any]]
    reports: Sequence[Report]
    paired: Sequence[Paired | None]
    costs: Sequence[Cost]
    pictures: Mapping[str, Picture]
    study: Comparison | Searched | None
    said: Sequence[str]
    seconds: float

    @property
    def short_settings(self) -> set[str]:
        """Settings that differ, by the names of :attr:`rows`."""
        return {*short_names(self.settings).values()}

    @property
    def rows(self) -> list[tuple[str, list[str]]]:
        """What stands in a line for each run: its name, and what each has."""
        short = short_names(self.settings)
        found = [
            (short[name], ["" if value is None else told(value) for value in values])
            for name, values in self.settings.items()
        ]
        found.append(("parameters", [f"{each.parameters:,}" for each in self.costs]))
        epochs = ["" if each.epochs is None else f"{each.epochs:g}" for each in self.costs]
        seconds = ["" if each.seconds is None else number(each.seconds, 2) for each in self.costs]
        found += [("epochs", epochs), ("seconds an epoch", seconds)]
        for field, words in zip(("loss", "value"), self.reports[0].measures, strict=True):
            if words:
                values = [_told(_score(each, field)) for each in self.reports]
                found.append((f"held out: {words}", values))
        return found + _inside(self.reports)

    def __str__(self) -> str:
        table = [("", *self.names), *((name, *values) for name, values in self.rows)]
        drawn = aligned(table, range(1, len(self.names) + 1))
        pairs = [str(paired) for paired in self.paired if paired is not None]
        return "\n\n".join([self.title, drawn, *pairs, *self.said])

    def to_json(self) -> dict[str, Any]:
        """All numbers."""
        return {
            "title": self.title,
            "runs": list(self.names),
            "paths": list(map(str, self.paths)),
            "settings": {name: list(values) for name, values in self.settings.items()},
            "costs": [each._asdict() for each in self.costs],
            "paired": [None if each is None else each.to_json() for each in self.paired],
            "reports": [each.to_json() for each in self.reports],
            "study": None if self.study is None else dataclasses.asdict(self.study.table),
            "said": list(self.said),
        }

    def html(self) -> str:
        """One page that needs nothing else."""
        return page(self)

    def save(self, path: str | Path) -> Path:
        """Write it: ``.html`` is the page, ``.json`` the numbers; whole or not at all.

        Raises:
            SettingError: another ending.
        """
        return save_page("compare", path, self.html, self.to_json)

    def save_pictures(self, folder: str | Path) -> list[Path]:
        """Write every chart as SVG and as PNG into a folder."""
        return save_pictures(self.pictures, folder)


def side_by_side(
    runs: str | Path | Sequence[str | Path],
    data: Any = None,
    *,
    which: str = "best",
    report: Callable[[str], None] = lambda said: None,
    **how: Any,
) -> SideBySide:
    """Runs of one task side by side: settings, scores in pairs, curves, gradients, gates, examples.

    ::

        found = recurra.side_by_side(["runs/lstm", "runs/gru"], "other.txt")
        print(found)
        found.save("compare.html")

    Args:
        runs: two or more runs' folders; or the folder of a comparison or of a search, of which
            the best variants are taken, each by its run of the middle score.
        data: what all of them read, as of :func:`recurra.inspect`; if None, what each was tested or
            trained on. Pairs are always of the examples that were held out in training.
        which: of each run, ``"best"`` or ``"last"``.
        report: is told what is being done.
        how: ``rows``, ``steps`` and settings, as of :func:`recurra.inspect`.

    Raises:
        SettingError: fewer than two runs or more than six, or runs of several tasks.
        RunError: one is no run.
        DataError: something is wrong with the data.
        ArtifactError: a model is damaged.
    """
    began = time.perf_counter()
    if not isinstance(runs, str | Path):
        check_kind("runs", runs, Sequence, "paths of runs, or a folder")
    study, paths = (
        _of_folder(path_of("run", runs))
        if isinstance(runs, str | Path)
        else (None, [path_of("run", run) for run in runs])
    )
    if not 2 <= len(paths) <= _MOST:
        raise SettingError(f"compare: expected 2 to {_MOST} runs, got {len(paths)}")
    tasks = list(dict.fromkeys(run_source(path)[0].task for path in paths))
    if len(tasks) > 1:
        raise SettingError(f"compare: expected runs of one task, got {', '.join(tasks)}")
    said: list[str] = []
    names = _names(paths, None if study is None else study.path)
    report("scoring held-out examples in pairs")
    source = run_source(paths[0])[1]
    paired = _tried(lambda: compare_pairs(paths, None if source else data, which=which), said)
    pairs: list[Paired | None] = [*paired] if paired else [None] * (len(paths) - 1)
    for why in said:  # the rest takes longer
        report(why)
    reports = []
    for name, path in zip(names, paths, strict=True):
        report(f"looking into {name}")
        reports.append(inspect(path, data, which=which, **how))
    pictures = charts(names, paths, reports, said)
    return SideBySide(
        f"{tasks[0]}: {', '.join(names)}" if study is None else f"{tasks[0]} in {study.path}",
        names,
        paths,
        _differing(paths),
        reports,
        pairs,
        [_cost(path, which) for path in paths],
        pictures,
        study,
        said,
        time.perf_counter() - began,
    )


def _of_folder(path: Path) -> tuple[Comparison | Searched, list[Path]]:
    """A comparison or search of before, and the runs of it that are shown."""
    if (path / "recipe.json").is_file():
        raise SettingError(f"compare: {path} is a run; give a second one to compare it with")
    if (path / SEARCH).is_file():
        search = read_search(path)
        return search, [path / trial.name for trial in search.ranked[:_MOST]]
    found = read_comparison(path)
    chosen = []
    for row in found.rows[:_MOST]:
        own = [run for run in found.runs if run.settings == row.settings]
        own.sort(key=lambda run: (math.isnan(run.value), run.value))
        chosen.append(path / own[(len(own) - 1) // 2].name)
    return found, chosen


def _names(paths: Sequence[Path], folder: Path | None) -> list[str]:
    """Of folders, as much of their path as tells them apart; or their place in a folder."""
    if folder is not None:
        return [str(path.relative_to(folder)) for path in paths]
    parts = [path.resolve().parts for path in paths]
    if len({*parts}) < len(parts):
        raise SettingError("compare: expected runs that are not the same, got one twice")
    for count in range(1, max(map(len, parts)) + 1):
        names = ["/".join(each[-count:]) for each in parts]
        if len({*names}) == len(names):
            break
    return names


def _tried(look: Callable[[], T], said: list[str]) -> T | None:
    try:
        return look()
    except RecurraError as problem:
        said.append(f"Not in pairs: {str(problem).removeprefix('compare: ')}")
        return None


def _differing(paths: Sequence[Path]) -> dict[str, list[Any]]:
    """Settings that not all have alike."""
    known = [flat(run_source(path)[0].model_dump()) for path in paths]
    names = dict.fromkeys(name for each in known for name in each)
    found = {name: [each.get(name) for each in known] for name in names}
    return {name: row for name, row in found.items() if any(each != row[0] for each in row)}


def _cost(path: Path, which: str) -> Cost:
    known, recipe = about(path, which=which), run_source(path)[0]
    epochs = getattr(recipe.training, "epochs", None)
    seconds = known.trained.get("seconds")
    done, steps = known.trained.get("step"), known.trained.get("steps")
    share = done / steps if done and steps else None
    passes = epochs * share if epochs and share else None
    return Cost(known.parameters, passes, seconds / passes if seconds and passes else None)


def _score(report: Report, field: str) -> float | None:
    value = report.scores[0].get(field) if report.scores else None
    return float(value) if isinstance(value, int | float) else None


def _told(value: float | None) -> str:
    return "" if value is None else number(value, 4)


def _inside(reports: Sequence[Report]) -> list[tuple[str, list[str]]]:
    """What was seen inside of each, in a few letters."""
    seen = [each.examination for each in reports]
    if not any(seen):
        return []
    gradient = [f"times {each.evidence.flow.factor:.3f}" if each else "" for each in seen]
    memory = [f"{each.evidence.response.horizon():.0f} steps" if each else "" for each in seen]
    verdicts = [", ".join(v.name for v in each.verdicts) if each else "" for each in seen]
    return [
        ("gradient, each step back", gradient),
        ("a changed input is felt for", memory),
        ("verdict", verdicts),
    ]
