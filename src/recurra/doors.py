"""The Python door of every task: what the command line does, in two calls.

::

    recurra.train("classification", (texts, labels), out="runs/reviews", epochs=5)
    recurra.load("runs/reviews").predict(["Not bad at all."])
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from recurra import artifact
from recurra.errors import SettingError, nearest
from recurra.tasks.base import Answer, register_task
from recurra.training import Report, Trained, load_recipe, place_of
from recurra.training import train as train_recipe
from recurra.training.recipe import changed
from recurra_runtime.vocabulary import register_front

__all__ = ["load", "register_front", "register_task", "train"]


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
            them, of classes a pair of lists (inputs and labels) or a data frame of pandas or
            polars.
        out: folder of the run, absent or empty.
        from_run: another run, or one of its checkpoints, with whose model and fronts this one
            begins.
        report: is told how it goes; a line now and then on standard error if None.
        settings: of the recipe by their own name, such as ``epochs=5`` or ``hidden_size=64``.

    Returns:
        where the run is, its scores beside those of its rivals, and a sentence about them.

    Raises:
        SettingError: a setting that the task has not (the nearest is named), or that the model of
            ``from_run`` has otherwise.
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
    chosen = load_recipe(recipe, origin=origin)
    if settings:
        flat = {}
        for name, value in settings.items():
            flat[_place(chosen, name)] = value
        chosen = changed(chosen, flat, recipe)
    place = place_of(data)
    source = Path(data) if isinstance(data, str) else data
    with nullcontext(report) if report is not None else _lines() as told:
        return train_recipe(chosen, source, out, told, place=place, origin=origin)


def _lines() -> Any:
    from recurra.progress import Lines

    return Lines()


def _place(recipe: Any, name: str) -> str:
    """The section of a setting, with a point and its name."""
    sections = {part: getattr(recipe, part) for part in ("data", "model", "training")}
    found = [part for part, own in sections.items() if name in type(own).model_fields]
    if len(found) != 1:
        known = [each for own in sections.values() for each in type(own).model_fields]
        raise SettingError(f"train: {recipe.task} has no setting {name!r}; {nearest(name, known)}")
    return f"{found[0]}.{name}"


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
