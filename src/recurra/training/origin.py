"""Models of other runs that a run learns from: the one it begins with, and those that teach it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from recurra import artifact
from recurra.artifact import Artifact
from recurra.errors import SettingError
from recurra.models import Model
from recurra.tasks.base import Task

__all__ = ["ORIGIN", "Others", "begin_with", "check_settled", "told_of", "with_settled"]

ORIGIN = "origin"
"""The folder of a run with the model that it began with: nothing else is needed to go on."""
Role = Literal["from", "distil.teacher"]
"""What another run's model is to a run; errors begin with it."""
_ADVICE = {"from": "train without --from", "distil.teacher": "learn from another teacher"}


@dataclasses.dataclass(frozen=True)
class Others:
    """Models of other runs, all of which read the same numbers.

    Args:
        origin: the one whose weights the run begins with.
        teachers: those that it is held against.
    """

    origin: Artifact | None = None
    teachers: tuple[Artifact, ...] = ()

    def check(self, recipe: Any) -> None:
        """Hold a recipe against them, and them against each other.

        Raises:
            SettingError: one is of another task or has another setting, or their fronts differ.
        """
        if self.origin is not None:
            check_settled(recipe, self.origin, "from")
        for teacher in self.teachers:
            check_settled(recipe, teacher, "distil.teacher")
        for other in self._every[1:]:
            _check_fronts(self._every[0], other)

    @property
    def _every(self) -> tuple[Artifact, ...]:
        return (*(() if self.origin is None else (self.origin,)), *self.teachers)

    @property
    def fronts(self) -> Mapping[str, Any] | None:
        """What all of them read with; None where there are none."""
        return self._every[0].fronts if self._every else None

    def told(self) -> dict[str, Any]:
        """Where they are and what tells them from any others, as a run remembers it."""
        found: dict[str, Any] = {}
        if self.origin is not None:
            found["from"] = told_of(self.origin)
        if self.teachers:
            found["teachers"] = [told_of(teacher) for teacher in self.teachers]
        return found


def _check_fronts(one: Artifact, other: Artifact) -> None:
    mine, its = ({n: f.to_json() for n, f in each.fronts.items()} for each in (one, other))
    for name in sorted({*mine, *its}):
        if mine.get(name) != its.get(name):
            raise SettingError(
                f"distil.teacher: expected models that read and answer in the same numbers, "
                f"{one.path} and {other.path} differ in {name!r} (vocabulary, scaler or names of "
                "classes). Take models that were trained on the same data."
            )


def _settled(other: Artifact, role: Role) -> dict[str, Any]:
    """What a model has settled of a recipe; one that teaches how data are read alone."""
    if role == "distil.teacher" and not other.task.by_steps:  # which the recipe refuses
        return {}
    found = other.task.settled(other)
    if role == "from":
        return found
    return {path: value for path, value in found.items() if path.startswith("data.")}


def with_settled(
    data: dict[str, Any], other: Artifact, task: Any, *, shipped: bool, role: Role = "from"
) -> None:
    """Put what a model has settled into the settings of a recipe.

    Args:
        data: the settings as they were read; they are changed.
        other: the model.
        task: name of the recipe's task.
        shipped: whether nobody chose these settings; else those that stand there stay.
        role: what it is to the run.

    Raises:
        SettingError: it is a model of another task.
    """
    _check_task(other, task, role)
    for path, value in _settled(other, role).items():
        section, _, name = path.partition(".")
        place = data.setdefault(section, {})
        if isinstance(place, dict) and (shipped or name not in place):
            place[name] = value


def check_settled(recipe: Any, other: Artifact, role: Role) -> None:
    """Hold a recipe against a model of another run.

    Raises:
        SettingError: it is of another task, or a setting is not that of the model.
    """
    _check_task(other, recipe.task, role)
    for path, value in _settled(other, role).items():
        section, _, name = path.partition(".")
        asked = getattr(getattr(recipe, section), name)
        if asked != value and name not in _loose(other.task):
            who = "begins with" if role == "from" else "learns from"
            raise SettingError(
                f"{path}: the model of {other.path} has {value!r}, which a run that {who} "
                f"it keeps; got {asked!r}. Leave {path} out, or {_ADVICE[role]}."
            )


def _loose(task: Task) -> frozenset[str]:
    """Settings of a task's model that say how it is trained, and not what it is."""
    found: frozenset[str] = getattr(task.Model, "LOOSE", frozenset())
    return found


def _check_task(other: Artifact, task: Any, role: Role) -> None:
    if other.kind != task:
        does = "Begin with" if role == "from" else "Learn from"
        raise SettingError(
            f"{role}: {other.path} is a model of the task {other.kind}, the recipe is of {task}. "
            f"{does} a run of {task}, or train {other.kind}."
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


def told_of(other: Artifact) -> Mapping[str, str]:
    """Where a model came from: its checkpoint and what tells it from any other."""
    place = other.path.absolute()
    return {"path": str(place), "sha256": artifact.fingerprint(place)}
