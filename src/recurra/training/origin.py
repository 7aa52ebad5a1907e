"""The model of another run that a run begins with: what it settles of a recipe, and its copy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recurra import artifact
from recurra.artifact import Artifact
from recurra.errors import SettingError
from recurra.models import Model
from recurra.tasks.base import Task

__all__ = ["ORIGIN", "begin_with", "check_origin", "told_of", "with_settled"]

ORIGIN = "origin"
"""The folder of a run with the model that it began with: nothing else is needed to go on."""


def with_settled(data: dict[str, Any], origin: Artifact, task: Any, *, shipped: bool) -> None:
    """Put what a model has settled into the settings of a recipe.

    Args:
        data: the settings as they were read; they are changed.
        origin: the model.
        task: name of the recipe's task.
        shipped: whether nobody chose these settings; else those that stand there stay.

    Raises:
        SettingError: it is a model of another task.
    """
    _check_task(origin, task)
    for path, value in origin.task.settled(origin).items():
        section, _, name = path.partition(".")
        place = data.setdefault(section, {})
        if isinstance(place, dict) and (shipped or name not in place):
            place[name] = value


def check_origin(recipe: Any, origin: Artifact) -> None:
    """Hold a recipe against the model that a run begins with.

    Raises:
        SettingError: it is of another task, or a setting is not that of the model.
    """
    _check_task(origin, recipe.task)
    for path, value in origin.task.settled(origin).items():
        section, _, name = path.partition(".")
        asked = getattr(getattr(recipe, section), name)
        if asked != value and name not in _loose(origin.task):
            raise SettingError(
                f"{path}: the model of {origin.path} has {value!r}, which a run that begins with "
                f"it keeps; got {asked!r}. Leave {path} out, or train without --from."
            )


def _loose(task: Task) -> frozenset[str]:
    """Settings of a task's model that say how it is trained, and not what it is."""
    found: frozenset[str] = getattr(task.Model, "LOOSE", frozenset())
    return found


def _check_task(origin: Artifact, task: Any) -> None:
    if origin.kind != task:
        raise SettingError(
            f"from: {origin.path} is a model of the task {origin.kind}, the recipe is of {task}. "
            f"Begin with a run of {task}, or train {origin.kind}."
        )


def begin_with(model: Model, origin: Artifact) -> None:
    """Give a model the weights of the one that it begins with.

    Raises:
        SettingError: its layers are others.
    """
    try:
        model.load_state_dict(origin.model.state_dict())
    except RuntimeError as problem:
        said = " ".join(str(problem).split())[:300]  # torch takes several lines
        raise SettingError(
            f"from: the weights of {origin.path} do not fit the model of this recipe ({said}). "
            "Give its model the same settings, or train without --from."
        ) from None


def told_of(origin: Artifact) -> Mapping[str, str]:
    """Where a model came from: its checkpoint and what tells it from any other."""
    place = origin.path.absolute()
    return {"path": str(place), "sha256": artifact.fingerprint(place)}
