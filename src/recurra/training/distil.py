r"""Distillation: a small model learns what larger ones say, beside what is true.

.. math:: (1 - a)\,\mathrm{CE}(y, z) + a\,T^2\,\mathrm{KL}(\mathrm{softmax}(z' / T) \,\|\,
    \mathrm{softmax}(z / T))

z' are the scores of a teacher, whose weights stay as they are, and z those of the student (Hinton,
Vinyals & Dean 2015); at every step where there are labels at every step (Kim & Rush 2016). Of
several teachers the probabilities are averaged. What stands for the second term is said by the
head, :meth:`recurra.heads.Head.distilled`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import pydantic
from torch import Tensor

from recurra import artifact
from recurra.artifact import Artifact
from recurra.batch import Batch
from recurra.errors import ArtifactError
from recurra.models import Model, Scored
from recurra.sections import Section, contradiction, default
from recurra.states import Tree

__all__ = ["DistilSettings", "Lesson", "load_teachers", "teachers_again"]

Told = Mapping[str, str]


class DistilSettings(Section):
    """Whom a model learns from, beside the data.

    Args:
        teacher: a run of the same task or one of its checkpoints, or several; None: nobody.
        temperature: T, by which the scores of both are divided.
        weight: a, the share of the teachers.
    """

    teacher: str | list[str] | None = None
    temperature: float = pydantic.Field(2.0, gt=0, le=1000, allow_inf_nan=False)
    weight: float = pydantic.Field(0.5, ge=0, le=1)

    @pydantic.model_validator(mode="after")
    def _taught(self) -> Self:
        """How one learns from nobody is no setting."""
        if not self.teachers:
            for name in ("temperature", "weight"):
                if getattr(self, name) != default(self, name):
                    raise contradiction(self, name, "there is no teacher (distil.teacher)")
        return self

    @property
    def teachers(self) -> list[str]:
        """All of them."""
        given = [] if self.teacher is None else self.teacher
        return [given] if isinstance(given, str) else list(given)


def load_teachers(places: Sequence[str]) -> tuple[Artifact, ...]:
    """The best models of runs.

    Raises:
        ArtifactError: one is not there or damaged.
    """
    return tuple(_loaded(Path(place)) for place in places)


def teachers_again(told: Sequence[Told]) -> tuple[Artifact, ...]:
    """The very models that a run has learned from so far.

    Args:
        told: as :func:`recurra.training.origin.told_of` told it.

    Raises:
        ArtifactError: one is gone, damaged, or another one now.
    """
    found = []
    for each in told:
        path = Path(each["path"])
        found.append(_loaded(path))
        if artifact.fingerprint(path) != each["sha256"]:
            raise ArtifactError(
                f"distil.teacher: {path} is another model than the one that this run has learned "
                "from so far. Put that one back, or begin a new run."
            )
    return tuple(found)


def _loaded(path: Path) -> Artifact:
    try:
        return artifact.load(path)
    except ArtifactError as problem:
        raise ArtifactError(f"distil.teacher: {problem}") from None


class Lesson:
    """What a student is trained on: its own loss, and how far it is from its teachers.

    What is carried from window to window is a pair: the student's state and those of its teachers.

    Args:
        student: is trained.
        teachers: are not changed.
        settings: the section ``[distil]``.

    Raises:
        SettingError: the student cannot learn from one of them.
    """

    def __init__(self, student: Model, teachers: Sequence[Model], settings: DistilSettings) -> None:
        for teacher in teachers:
            student.check_teacher(teacher)
        device = next(student.parameters()).device
        self.student, self.settings = student, settings
        self.teachers = tuple(teacher.to(device) for teacher in teachers)

    def __call__(self, batch: Batch, carried: Tree) -> tuple[Scored, Tensor]:
        """What the student makes of a batch, with what both carry on; and what is minimized."""
        own, theirs = carried or (None, (None,) * len(self.teachers))
        pairs = zip(self.teachers, theirs, strict=True)
        taught, states = zip(*(t.teach(batch, state) for t, state in pairs), strict=True)
        scored, soft = self.student.distilled(batch, own, taught, self.settings.temperature)
        share = self.settings.weight
        found = (1 - share) * scored.total + share * soft
        return scored._replace(state=(scored.state, states)), found

    def initial_state(self, rows: int) -> Tree:
        """What is carried into the first window."""
        every = (model.initial_state(rows) for model in self.teachers)
        return self.student.initial_state(rows), tuple(every)
