"""The Python door of every task: what the command line does, in a few calls.

::

    recurra.train("classification", (texts, labels), out="runs/reviews", epochs=5)
    recurra.load("runs/reviews").predict(["Not bad at all."])
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from recurra import artifact
from recurra.comparison import (
    Comparison,
    Searched,
    compare_pair,
    compare_variants,
    default_space,
    search_settings,
    side_by_side,
)
from recurra.comparison.display import Board
from recurra.comparison.display import Lines as ManyLines
from recurra.errors import SettingError, nearest
from recurra.given import path_of
from recurra.inspection import inspect
from recurra.tasks.base import Answer, register_task
from recurra.training import Report, Trained, data_of, load_recipe, place_of, run_source
from recurra.training import evaluate as evaluate_run
from recurra.training import resume as resume_run
from recurra.training import train as train_recipe
from recurra.training.recipe import changed
from recurra_runtime.vocabulary import register_front

__all__ = [
    "compare",
    "compare_pair",
    "evaluate",
    "inspect",
    "load",
    "register_front",
    "register_task",
    "resume",
    "search",
    "side_by_side",
    "train",
]


def train(
    recipe: str,
    data: Any,
    *,
    out: str | Path,
    from_run: str | Path | None = None,
    report: Callable[[Report], None] | None = None,
    **settings: Any,
) -> Trained:
    """Train a model of a task, as ``recurra train`` does.

    Args:
        recipe: a task (``"classification"``), a recipe of the package, or a TOML file.
        data: a path, a list of paths where the task takes several, or objects: of texts a list of
            them, of classes a tuple of two lists (inputs and labels), of both a data frame of
            pandas or polars or a dict of lists.
        out: folder of the run, absent or empty.
        from_run: another run, or one of its checkpoints, with whose model and fronts this one
            begins.
        report: is told how it goes; a line now and then on standard error if None.
        settings: of the recipe by their own name, such as ``epochs=5`` or ``hidden_size=64``; by
            that of their section too where two have one: ``**{"model.window": 5}``.

    Returns:
        where the run is, its scores beside those of its rivals, and a sentence about them.

    Raises:
        SettingError: a setting that the task has not, the nearest is named; that two sections
            have; or that the model of ``from_run`` has otherwise.
        DataError: too little data, or something wrong in it.
        RunError: the folder cannot be written, or the loss is no longer finite.

    >>> import tempfile
    >>> texts = [f"a {mood} film, number {n}" for n in range(100) for mood in ("good", "bad")]
    >>> labels = ["yes", "no"] * 100
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = recurra.train("classification", (texts, labels), out=f"{folder}/run",
    ...                          hidden_size=16, epochs=15, report=lambda report: None)
    ...     [answer.label for answer in recurra.load(done.path).predict(["one good film"])]
    ['yes']
    """
    origin = None if from_run is None else artifact.load(from_run)
    chosen = _chosen("train", recipe, settings, origin)
    source = _source(data)
    place = place_of(source)
    with nullcontext(report) if report is not None else _lines() as told:
        return train_recipe(chosen, source, out, told, place=place, origin=origin)


def resume(
    path: str | Path,
    data: Any = None,
    *,
    report: Callable[[Report], None] | None = None,
    **settings: Any,
) -> Trained:
    """Go on with a run, as ``recurra train --resume`` does.

    Args:
        path: the run's folder.
        data: what it was trained on; not needed where that is a path that it remembers.
        report: as of :func:`train`.
        settings: as of :func:`train`, of how long and where it trains.

    Raises:
        SettingError: the data are not given, or a setting that may not change.
        DataError: other data.
        RunError: this is no run, or it is at its end.
    """
    recipe, known = run_source(path)
    if settings:
        recipe = changed(recipe, _placed("resume", recipe, settings), str(path))
    source = known if data is None else _source(data)
    if source is None:
        raise SettingError("resume: data is missing: this run does not say where its own is")
    with nullcontext(report) if report is not None else _lines() as told:
        return resume_run(path, source, told, recipe=recipe)


def evaluate(path: str | Path, data: Any, *, which: str = "best", **settings: Any) -> list[Any]:
    """Score a run on other data, beside its rivals, as ``recurra evaluate`` does.

    Args:
        path: a run's folder, or one of its checkpoints.
        data: as of :func:`train`.
        which: of a run, ``"best"`` or ``"last"``.
        settings: of how the data are read, where they are not read as the run's own.

    Returns:
        a row for the model, then one for each rival.

    Raises:
        SettingError: a setting that the task has not.
        DataError: something is wrong with the data.
        ArtifactError: the model is damaged.
    """
    return evaluate_run(path, _source(data), which=which, data=data_of(path, **settings))


def compare(
    recipe: str,
    data: Any,
    *,
    out: str | Path,
    vary: Mapping[str, Sequence[Any]] | None = None,
    rivals: Sequence[str] = (),
    seeds: int = 1,
    jobs: int | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Comparison:
    """Train variants of a recipe with several seeds each, as ``recurra compare`` does.

    Each is an ordinary run in its own folder and process. Called again it goes on: what is finished
    stays.

    Args:
        recipe: as of :func:`train`.
        data: as of :func:`train`; objects must be such that they can be pickled.
        out: folder of the comparison.
        vary: values by setting, as ``{"cell": ["lstm", "gru"], "hidden_size": [64, 128]}``; every
            combination is a variant.
        rivals: values of ``model.body``, each one more variant.
        seeds: runs of each variant; the first seed is ``seed``.
        jobs: runs at a time, one thread each; as many as there are cores if None.
        quiet: whether nothing is said of how it goes.
        settings: of all variants, as of :func:`train`.

    Returns:
        rows, a ``table`` and the ``best`` of them; ``print`` shows it.

    Raises:
        SettingError: a setting or a value that cannot be, before anything begins.
        DataError: something is wrong with the data.
        RunError: the folder holds something else.
    """
    chosen = _chosen("compare", recipe, settings)
    values = _placed("compare", chosen, vary or {})
    return compare_variants(
        chosen,
        _source(data),
        out,
        vary=values,
        rivals=rivals,
        seeds=seeds,
        jobs=jobs,
        name=recipe,
        shown=Board if quiet else ManyLines,
    )


def search(
    recipe: str,
    data: Any,
    *,
    out: str | Path,
    trials: int,
    space: Mapping[str, Any] | None = None,
    jobs: int | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Searched:
    """Search the settings with the best validation, as ``recurra compare --search`` does.

    Args:
        recipe: as of :func:`train`.
        data: as of :func:`compare`.
        out: folder of the search; with one of before it goes on.
        trials: how many in all.
        space: by setting a list of choices, or a tuple (low, high) or (low, high, "log"); widths
            and learning rates if None.
        jobs: as of :func:`compare`.
        quiet: as of :func:`compare`.
        settings: that are not searched, as of :func:`train`.

    Returns:
        the trials, the ``best`` of them, a ``table``, and the ``recipe`` of the best, a file.

    Raises:
        SettingError: a setting or a value that cannot be, or Optuna is missing.
        DataError: something is wrong with the data.
        RunError: the folder holds something else.
    """
    chosen = _chosen("search", recipe, settings)
    where = default_space(chosen) if space is None else _placed("search", chosen, space)
    return search_settings(
        chosen,
        _source(data),
        out,
        trials=trials,
        space=where,
        jobs=jobs,
        name=recipe,
        shown=Board if quiet else ManyLines,
    )


def _chosen(
    door: str, recipe: str, settings: Mapping[str, Any], origin: artifact.Artifact | None = None
) -> Any:
    chosen = load_recipe(recipe, origin=origin)
    if not settings:
        return chosen
    return load_recipe(recipe, _placed(door, chosen, settings), origin=origin)


def _source(data: Any) -> Any:
    """Data as a task takes them: a text is a path."""
    return path_of("data", data) if isinstance(data, str) else data


def _lines() -> Any:
    from recurra.progress import Lines

    return Lines()


def _placed(door: str, recipe: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by section, a point and their name."""
    sections = {part: getattr(recipe, part) for part in ("data", "model", "training", "distil")}
    names = {part: set(type(own).model_fields) for part, own in sections.items()}
    placed = {}
    for name, value in _by_name(settings, names).items():
        section, point, rest = name.partition(".")
        found = [part for part, own in names.items() if (rest if point else name) in own]
        if point:
            found = [part for part in found if part == section]
        if len(found) > 1:
            forms = " or ".join(f'**{{"{part}.{name}": ...}}' for part in found)
            raise SettingError(f"{door}: {name!r} is a setting of two sections; write {forms}")
        if not found:
            plain = sorted(set().union(*names.values()))
            known = [f"{part}.{each}" for part, own in names.items() for each in own]
            near = nearest(name, sorted(known) if point else plain)
            raise SettingError(f"{door}: {recipe.task} has no setting {name!r}; {near}")
        placed[name if point else f"{found[0]}.{name}"] = _plain(value)
    return placed


def _plain(value: Any) -> Any:
    """Paths as texts, wherever they lead from."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return str(value.absolute()) if isinstance(value, Path) else value


def _by_name(settings: Mapping[str, Any], sections: Iterable[str]) -> dict[str, Any]:
    """With what a section is given as a whole, ``distil={"teacher": ...}``, one by one."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if name in sections and isinstance(value, Mapping):
            found |= {f"{name}.{inner}": one for inner, one in value.items()}
        else:
            found[name] = value
    return found


def load(path: str | Path, *, which: str = "best") -> Answer:
    """A trained model that answers; its task says what it can do beside ``predict``.

    Args:
        path: a run's folder, or one of its checkpoints.
        which: of a run, ``"best"`` or ``"last"``.

    Returns:
        an :class:`recurra.tasks.Answer` with the ``model`` and its ``fronts``.

    Raises:
        ArtifactError: nothing there, or it is damaged or newer; the message says what.
        SettingError: ``which`` is neither.
    """
    loaded = artifact.load(path, which=which)
    return loaded.task.answer(loaded)
