"""Runs that are there already: their settings, where their data came from, scores on other data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from recurra import artifact
from recurra.data import check_path, is_hub
from recurra.errors import ArtifactError, DataError, SettingError, nearest
from recurra.given import one_path, path_of
from recurra.models import Model
from recurra.tasks.base import Task
from recurra.training.recipe import Recipe, changed, checked
from recurra.training.run import RunFolder

__all__ = [
    "data_of",
    "evaluate",
    "name_of",
    "opened",
    "place_of",
    "recipe_of",
    "run_recipe",
    "run_source",
    "source_of",
]


def place_of(source: Any) -> str | list[str] | None:
    """Where data come from, as a run remembers it: from this folder or another; None of objects."""
    if isinstance(source, str | Path):
        return str(source if is_hub(source) else Path(source).absolute())
    if isinstance(source, list) and source and all(isinstance(part, Path) for part in source):
        return [str(place_of(part)) for part in source]
    return None


def opened(task: Task, source: Any, data: Any, beside: Mapping[Any, str] | None = None) -> Any:
    """Raw examples of a task: what is not there is said before anything is made or read.

    Args:
        task: opens them.
        source: a path, a list of paths, or objects.
        data: the section ``[data]``.
        beside: paths of parts that will be read later, by name.

    Raises:
        SettingError: several paths, of a task that takes one.
        DataError: a path that leads to nothing, or to what cannot be read.
    """
    several = source if isinstance(source, list) else [source]
    paths = [part for part in several if isinstance(part, Path)]
    if len(paths) == len(several) > 1 and not task.several:
        one_path("data", paths)
    paths += [path_of(f"data.{name}", place) for name, place in (beside or {}).items()]
    try:
        for path in paths:
            if not is_hub(path):
                check_path(path)
        return task.open(source, data)
    except OSError as problem:
        raise DataError(
            f"{problem.filename or source}: cannot be read ({problem.strerror})."
        ) from None


def run_source(
    path: str | Path, changes: Iterable[str] = ()
) -> tuple[Recipe, Path | list[Path] | None]:
    """The recipe of a run, with changes like ``training.epochs=20``, and where its data came from.

    Of several sources that is a list.

    Raises:
        RunError: this is no run.
        ArtifactError: the run is damaged.
        SettingError: a change that no recipe takes.
    """
    run = RunFolder.open(path)
    source = source_of(run).get("source")
    recipe = run_recipe(run)
    if changes:
        recipe = changed(recipe, changes, f"{run.path / 'recipe.json'}")
    if isinstance(source, list):
        return recipe, list(map(Path, source))
    return recipe, None if source is None else Path(source)


def source_of(run: RunFolder) -> dict[str, Any]:
    """Where the data of a run came from, and their fingerprint."""
    told: Any = run.read_json("data.json")
    source = told.get("source") if isinstance(told, dict) else 0
    several = isinstance(source, list) and all(isinstance(part, str) for part in source)
    if not several and not isinstance(source, str | None):
        raise ArtifactError(f"{run.path / 'data.json'}: damaged, it does not name its data.")
    return dict(told)


def run_recipe(run: RunFolder) -> Recipe:
    """The recipe of a run.

    Raises:
        ArtifactError: it is damaged.
    """
    told = run.read_recipe()
    if not isinstance(told, dict) or "task" not in told:  # no default is meant
        raise ArtifactError(f"{run.path / 'recipe.json'}: damaged: it does not say its task.")
    try:
        return checked(told, str(run.path / "recipe.json"))
    except SettingError as problem:
        raise ArtifactError(f"{problem}.") from None


def evaluate(
    path: str | Path,
    source: Any,
    *,
    which: str = "best",
    data: Any = None,
    report: Callable[[str], None] = lambda said: None,
) -> list[Any]:
    """Score a run's model, and its rivals, on other data.

    Args:
        path: a run, or an artifact (which has no rivals beside it).
        source: what the task reads: a path, or objects.
        which: of a run, ``"best"`` or ``"last"``.
        data: how it is read, the section ``[data]`` of a recipe; that of the run if None.
        report: is told what is odd about them.

    Returns:
        the model first, then its rivals.

    Raises:
        ArtifactError: the model is damaged.
        DataError: something is wrong with the data.
    """
    task = artifact.task_of(path, which=which)
    data = (data_of(path) if data is None else data).undivided
    examples = opened(task, source, data)  # what is not there is said before a model is read
    loaded = artifact.load(path, which=which)
    part = task.read(examples, loaded.fronts, data, report)
    models = {name_of(loaded.model): loaded.model, **task.read_rivals(Path(path))}
    models |= task.read_joined(Path(path), loaded.model)
    return task.evaluate(models, part)


def recipe_of(path: str | Path) -> Recipe | None:
    """The recipe of a run, also from one of its checkpoints; None of an artifact alone.

    Raises:
        ArtifactError: the run is damaged.
    """
    folder = artifact.run_folder(path)
    return run_recipe(RunFolder.open(folder)) if (folder / "recipe.json").is_file() else None


def data_of(path: str | Path, **changes: Any) -> Any:
    """How the data of a run were read, with changes; the defaults for an artifact without a run.

    Args:
        path: a run, or one of its checkpoints.
        changes: settings by name; None stands for no change.

    Raises:
        SettingError: a setting that the task has not.
        ArtifactError: the run is damaged.
    """
    recipe = recipe_of(path)
    if recipe is None:
        recipe = checked({"task": artifact.task_of(path).name}, str(path))
    wanted = {name: value for name, value in changes.items() if value is not None}
    known = type(recipe.data).model_fields
    for name in wanted:
        if name not in known:
            raise SettingError(f"data: this task has no setting {name!r}; {nearest(name, known)}")
    return changed(
        recipe, {f"data.{name}": value for name, value in wanted.items()}, str(path)
    ).data


def name_of(model: Model) -> str:
    """What a model is called in a table."""
    return str(getattr(model, "name", type(model).__name__))
