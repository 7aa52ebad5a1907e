"""What runs are, as their folders tell it: one in full, or all of a folder side by side."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from recurra import artifact
from recurra.columns import aligned, shown
from recurra.description import describe
from recurra.errors import ArtifactError, RecurraError, RunError
from recurra.given import path_of
from recurra.tasks.base import Task
from recurra.training.recipe import Recipe, load_recipe
from recurra.training.run import RunFolder
from recurra.training.runs import recipe_of, run_recipe
from recurra_runtime.vocabulary import RESERVED

__all__ = ["About", "HeldOut", "RunRow", "about", "list_runs"]

_FIRST = 10  # symbols of a vocabulary that are shown


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """A score of what was held out.

    Args:
        name: the model.
        value: what the task's metric says; None where an older run does not tell.
        loss: mean of a prediction.
        unit: of the value.
    """

    name: str
    value: float | None
    loss: float | None
    unit: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, [self.name, shown(self.value, 4), self.unit]))


@dataclasses.dataclass(frozen=True)
class About:
    """What is known of a trained model.

    Args:
        task: name of its task.
        path: the checkpoint.
        fronts: field -> kind, size and first symbols of what turns it into numbers.
        parts: layers, shapes and parameters, a row each.
        parameters: their number.
        settings: of the recipe, those that are not the task's own, by name; None without a run.
        trained: steps, predictions and seconds so far, the best validation, and of what unit.
        scores: of what was held out, the model first.
        verdict: the sentence at the end of the training; empty before it.
        versions: of the libraries that trained it; of an older run nothing is known.
        origin: checkpoint and fingerprint of the model that it began with; empty for one that
            began anew.
        teachers: the same of each model that it learned from.
    """

    task: str
    path: Path
    fronts: Mapping[str, Mapping[str, Any]]
    parts: str
    parameters: int
    settings: Mapping[str, Any] | None = None
    trained: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    scores: tuple[HeldOut, ...] = ()
    verdict: str = ""
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    origin: Mapping[str, str] = dataclasses.field(default_factory=dict)
    teachers: Sequence[Mapping[str, str]] = ()

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return dataclasses.asdict(self) | {"path": str(self.path)}

    def __str__(self) -> str:
        rows = [("task", self.task)]
        for field, told in self.fronts.items():
            first = ", ".join(json.dumps(each, ensure_ascii=False) for each in told["first"])
            size = f", {told['size']:,} ids" if told["size"] is not None else ""
            rows.append((field, f"{told['kind']}{size}{': ' + first if first else ''}"))
        if self.settings is not None:
            changed = (f"{name}={json.dumps(value)}" for name, value in self.settings.items())
            rows.append(("settings", " ".join(changed) or "those of the recipe"))
        if self.origin:
            rows.append(("began with", _place(self.origin)))
        rows += [("learned from", _place(teacher)) for teacher in self.teachers]
        if self.trained:
            rows.append(("trained", _trained(self.trained)))
        rows += [("held out", str(each)) for each in self.scores if _is_told(each)]
        if self.verdict:
            rows.append(("verdict", self.verdict))
        if self.versions:
            with_ = ", ".join(f"{name} {version}" for name, version in self.versions.items())
            rows.append(("made with", with_))
        return f"{self.task} in {self.path}\n{self.parts}\n\n{aligned(rows, right=())}"


def _is_told(score: Any) -> bool:
    """Whether there is a number: a model that says a text alone has no loss."""
    return score.value is None or not math.isnan(score.value)


@dataclasses.dataclass(frozen=True)
class RunRow:
    """A run beside others.

    Args:
        path: its folder.
        date: when it was last written to, in local time.
        error: why it cannot be read; empty if it can.
        task: name of its task.
        cell: of its recurrent layers, or what reads in their place: the model's name.
        step: steps done.
        steps: of so many; None before the first checkpoint, 0 where a model is made at once.
        validation: the best so far.
        metric: what the scores count.
        model: the score of the model on what was held out; None before the end.
        other: that of the best of what was scored beside it, rivals and mixtures with one.
    """

    path: Path
    date: str
    error: str = ""
    task: str = ""
    cell: str = ""
    step: int = 0
    steps: int | None = None
    metric: str = ""
    validation: float | None = None
    model: HeldOut | None = None
    other: HeldOut | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return dataclasses.asdict(self) | {"path": str(self.path)}

    def cells(self) -> tuple[str, ...]:
        """As a row of a table shows it."""
        done = f"{self.step:,}/{'?' if self.steps is None else f'{self.steps:,}'}"
        done = "at once" if self.steps == 0 else done
        model = "-" if self.model is None else shown(self.model.value, 4)
        other = "-" if self.other is None else f"{shown(self.other.value, 4)} ({self.other.name})"
        if self.error:
            return (str(self.path), "unreadable", "", "", "", "", "", "", self.date)
        scores = (shown(self.validation, 4), model, other, self.metric)
        return (str(self.path), self.task, self.cell, done, *scores, self.date)


def about(path: str | Path, *, which: str = "best") -> About:
    """What is known of a model: of a run also how it was trained and what it scored.

    Args:
        path: a run, or one of its checkpoints.
        which: of a run, ``"best"`` or ``"last"``.

    Raises:
        ArtifactError: it cannot be loaded.
        SettingError: ``which`` is neither.
    """
    loaded = artifact.load(path, which=which)
    parts = describe(loaded.model)
    fronts = {field: _front(front) for field, front in loaded.fronts.items()}
    known = About(
        loaded.kind,
        loaded.path,
        fronts,
        str(parts),
        parts.parameters,
        origin=loaded.about.get("from", {}),
        teachers=loaded.about.get("teachers", ()),
    )
    recipe = recipe_of(path)
    if recipe is None:
        return known
    run = RunFolder.open(artifact.run_folder(path))
    summary = _summary(run)
    versions = _object(run, "data.json").get("versions", {})
    if not isinstance(versions, dict):
        raise _damaged(run, "data.json", f"versions: expected an object, got {versions!r}")
    return dataclasses.replace(
        known,
        settings=_changed(recipe),
        trained=_training(run, loaded.task),
        scores=_scores(run, loaded.task),
        verdict=str(summary.get("verdict", "")),
        versions=versions,
    )


def list_runs(folder: str | Path = ".") -> list[RunRow]:
    """All runs in a folder and below it, by path; one that cannot be read says why.

    Raises:
        RunError: there is no such folder.
    """
    folder = path_of("runs", folder)
    if not folder.is_dir():
        raise RunError(f"{folder}: expected a folder with runs, there is none.")
    return [_row(path) for path in _runs(folder)]


def _runs(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders.sort()
        if "recipe.json" in files and "checkpoints" in folders:
            folders.clear()  # nothing of a run is another one
            yield Path(place)


def _row(path: Path) -> RunRow:
    date = ""
    try:
        newest = max(
            (path / name).stat().st_mtime
            for name in ("recipe.json", "last", "summary.json")
            if (path / name).exists()
        )
        date = datetime.datetime.fromtimestamp(newest).isoformat(" ", "minutes")
        run = RunFolder.open(path)
        recipe = run_recipe(run)
        task = recipe.of_task
        told = _training(run, task)
        scores = _scores(run, task)
        others = [each for each in scores[1:] if each.value is not None]
        sign = 1 if task.metric.less else -1
        return RunRow(
            path,
            date,
            task=recipe.task,
            cell=scores[0].name if scores else _reader(recipe.model),
            step=told.get("step", 0),
            steps=told.get("steps"),
            metric=task.metric.unit,
            validation=told.get("best"),
            model=scores[0] if scores else None,
            other=min(others, key=lambda each: sign * (each.value or 0.0), default=None),
        )
    except (RecurraError, OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        return RunRow(path, date, error=" ".join(str(problem).split()))


def _reader(settings: Any) -> str:
    """What will be the name of a model that is not scored yet, as far as its settings tell."""
    body = getattr(settings, "body", "recurrent")
    return str(getattr(settings, "cell", "") if body == "recurrent" else body)


def _front(front: Any) -> dict[str, Any]:
    size = len(front) if hasattr(front, "__len__") else None
    symbol = getattr(front, "symbol", None)
    first = []
    if size is not None and callable(symbol):
        first = [symbol(n) for n in range(len(RESERVED), min(size, len(RESERVED) + _FIRST))]
    elif size is not None and hasattr(front, "names"):
        first = list(front.names[:_FIRST])
    return {"kind": front.kind, "size": size, "first": first}


def _changed(recipe: Recipe) -> dict[str, Any]:
    """Settings that are not those of the task's own recipe."""
    own, given = load_recipe(recipe.task).model_dump(), recipe.model_dump()
    return {
        f"{section}.{name}": value
        for section, values in given.items()
        if isinstance(values, dict)
        for name, value in values.items()
        if value != own[section].get(name)
    }


def _training(run: RunFolder, task: Task) -> dict[str, Any]:
    """How far a run is; empty before its first checkpoint."""
    if not (run.path / "last").exists():
        return {}
    folder = artifact.resolve(run.path, "last")
    name = str((folder / "training.json").relative_to(run.path))
    facts = _object(run, name)
    values = facts.get("values", [])
    if not isinstance(values, list):
        raise _damaged(run, name, f"values: expected a list, got {values!r}")
    told = {each: _number(run, name, facts, each) for each in ("step", "steps", "symbols")}
    told["seconds"] = _number(run, name, facts, "seconds", needed=False)
    best = None  # without a validation part there is none
    if any(value is not None for value in values):
        best = _number(run, name, facts, "best")
    chosen = facts.get("chosen")  # the name of a folder, of digits alone
    if best is not None and not str(chosen).isdecimal():
        raise _damaged(run, name, f"chosen: expected a number, got {chosen!r}")
    told["chosen"] = chosen
    return told | {"best": best, "unit": task.unit, "metric": task.metric.unit}


def _object(run: RunFolder, name: str) -> dict[str, Any]:
    """A file of a run; nothing where there is none.

    Raises:
        ArtifactError: it is no object of JSON.
    """
    found = run.read_json(name) if (run.path / name).exists() else {}
    if not isinstance(found, dict):
        raise _damaged(run, name, f"expected an object, got {found!r}")
    return found


def _number(
    run: RunFolder, name: str, facts: Mapping[str, Any], key: str, *, needed: bool = True
) -> Any:
    """A number of a file, or None where none is needed."""
    value = facts.get(key)
    if (value is None and needed) or isinstance(value, bool | str | list | dict):
        got = repr(value) if key in facts else "none"
        raise _damaged(run, name, f"{key}: expected a number, got {got}")
    return value


def _damaged(run: RunFolder, name: str, why: str) -> ArtifactError:
    return ArtifactError(f"{run.path / name}: damaged, {why[:200]}.")


def _summary(run: RunFolder) -> dict[str, Any]:
    return _object(run, "summary.json")


def _scores(run: RunFolder, task: Task) -> tuple[HeldOut, ...]:
    try:
        return _scores_of(_summary(run), task)
    except (TypeError, KeyError, AttributeError, ZeroDivisionError) as problem:
        why = f"its scores do not have a name, a value and a loss each ({problem!r})"
        raise _damaged(run, "summary.json", why) from None


def _scores_of(summary: Mapping[str, Any], task: Task) -> tuple[HeldOut, ...]:
    if "scores" in summary:
        return tuple(
            HeldOut(each["name"], each["value"], each["loss"], task.metric.unit)
            for each in summary["scores"]
        )
    found = []
    for each in summary.get("evaluations", ()):  # of an older run
        counted = "nats" in each and each.get(task.unit)
        loss = each["nats"] / each[task.unit] if counted else None
        value = loss if task.metric.name == task.loss.name else None
        found.append(HeldOut(each["name"], value, loss, task.metric.unit))
    return tuple(found)


def _place(told: Mapping[str, str]) -> str:
    return f"{told['path']} (sha256 {told['sha256'][:12]}...)"


def _trained(told: Mapping[str, Any]) -> str:
    said = f"{told['step']:,} of {told['steps']:,} steps, " if told["steps"] else "at once, "
    said += f"{told['symbols']:,} {told['unit']}"
    if told["seconds"] is not None:
        said += f", {told['seconds']:,.0f} s"
    if told["best"] is not None:
        said += f"; best validation {shown(told['best'], 4)} {told['metric']}"
        said += f" at step {int(told['chosen']):,}" if told["steps"] else ""
    return said
