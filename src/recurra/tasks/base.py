"""What a task is. Training, artifacts, the command line and pipelines know this, and no task.

A task says which settings its recipe has, how raw examples become batches, which model reads them,
by which number checkpoints are chosen, which models without memory stand beside it, and what it
answers. One file is a task: :func:`register_task` makes it known by name, and everything else
(training and going on, several processes, checkpoints, artifacts, commands) is there.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from recurra import models
from recurra.batch import Batch
from recurra.errors import SettingError, nearest
from recurra.families import SHIPPED
from recurra.sections import Section, default
from recurra.tasks.answers import Answer
from recurra.tasks.contracts import (
    DataSection,
    Front,
    Groups,
    Metric,
    Part,
    Prepared,
    Row,
    Table,
    front_told,
    names_of,
    read_fronts,
    seen_rows,
    symbols_of,
)

__all__ = [
    "Answer",
    "DataSection",
    "Front",
    "Groups",
    "Metric",
    "Part",
    "Prepared",
    "Row",
    "Table",
    "Task",
    "front_told",
    "names_of",
    "read_fronts",
    "register_task",
    "symbols_of",
    "task_by_name",
    "task_names",
    "task_origin",
]


class Task(abc.ABC):
    """One family of problems; an instance has no state."""

    name: ClassVar[str]
    """Of its recipe, and of the kind of model in an artifact."""
    Data: ClassVar[type[DataSection]] = DataSection
    """The section ``[data]`` of its recipe."""
    Model: ClassVar[type[Section]]
    """The section ``[model]``; most begin with :class:`recurra.tasks.LayerSettings`."""
    loss: ClassVar[Metric] = Metric("nats", "nats")
    """What the model's loss is called; the unit is that of one prediction."""
    metric: ClassVar[Metric] = loss
    """By what a checkpoint is chosen."""
    unit: ClassVar[str] = "predictions"
    """What is counted."""
    examples: ClassVar[str] = "examples"
    """What :meth:`by_example` scores one by one."""
    several: ClassVar[bool] = False
    """Whether :meth:`open` takes a list of paths too, which are read in that order."""
    by_steps: ClassVar[bool] = True
    """Whether a model learns by steps of an optimizer; else :meth:`make` makes it at once."""
    verb: ClassVar[str] = "predict"
    """The command to try when a training is done."""
    target_front: ClassVar[str | None] = None
    """Name of the front of targets, where one is of them alone."""

    def __init_subclass__(cls) -> None:
        """A checkpoint is chosen by the loss, unless another metric is declared."""
        if cls.metric is super(cls, cls).loss:  # type: ignore[misc]
            cls.metric = cls.loss

    # ---- data ------------------------------------------------------------------------------------

    def open(self, source: Any, data: Any) -> Any:
        """Raw examples of a path, or of objects as they are.

        Args:
            source: a file, a folder, a list of them (see :attr:`several`), or whatever
                :meth:`prepare` takes.
            data: the section ``[data]``.
        """
        return source

    @abc.abstractmethod
    def prepare(
        self, source: Any, data: Any, folder: Path, report: Callable[[str], None]
    ) -> Prepared:
        """Read, divide, fit the fronts on the training part, and encode.

        Args:
            source: what :meth:`open` gave.
            data: the section ``[data]``.
            folder: where encoded examples may be written.
            report: is told what takes long.
        """

    def prepare_in(
        self,
        source: Any,
        fronts: Mapping[str, Any],
        data: Any,
        folder: Path,
        report: Callable[[str], None],
    ) -> Prepared:
        """As :meth:`prepare`, in the numbers of a model that a run begins with or learns from."""
        raise SettingError(
            f"from, distil.teacher: the task {self.name} reads nothing in the numbers of another "
            "run's model"
        )

    def read(
        self, source: Any, fronts: Mapping[str, Any], data: Any, report: Callable[[str], None]
    ) -> Any:
        """Raw examples in the numbers of fronts that are there already, to be scored.

        Args:
            source: what :meth:`open` gave.
            fronts: of the model.
            data: the section ``[data]``.
            report: is told what is odd.

        Raises:
            SettingError: this task scores nothing from outside.
        """
        raise SettingError(f"evaluate: the task {self.name} scores no other data")

    def keep(self, prepared: Any, folder: Path) -> None:  # noqa: B027
        """Keep in a run what answers need of its data, such as the ends of series, in files."""

    # ---- model -----------------------------------------------------------------------------------

    @abc.abstractmethod
    def build(self, settings: Any, fronts: Mapping[str, Any]) -> models.Model:
        """The model, at its start.

        Args:
            settings: the section ``[model]``.
            fronts: which say how many symbols, numbers or classes there are.
        """

    def restore(self, config: Any, fronts: Mapping[str, Any]) -> models.Model:
        """The model of what an artifact keeps as its ``config``.

        Raises:
            pydantic.ValidationError: something is wrong in it.
            ValueError: it does not fit the fronts; the message says how.
        """
        return self.build(self.Model.model_validate(config), fronts)

    def make(self, settings: Any, prepared: Any, report: Callable[[str], None]) -> models.Model:
        """The model, made of all that was prepared at once, where :attr:`by_steps` is False."""
        raise NotImplementedError(f"{type(self).__name__}: by_steps is False, and make is missing")

    def settled(self, loaded: Any) -> dict[str, Any]:
        """Settings that the model of an artifact has settled, as ``{"model.cell": "lstm"}``.

        A run that begins with it may change those alone that a class ``Model`` names in ``LOOSE``.
        """
        config = loaded.model.config
        known = self.Model.model_fields
        return {f"model.{name}": getattr(config, name) for name in known if hasattr(config, name)}

    def trial(self, recipe: Any) -> models.Model | None:
        """A model of the recipe over the smallest fronts, to find what is wrong in the settings."""
        return None

    def begin(self, model: models.Model, prepared: Any) -> None:  # noqa: B027
        """What is known before the first step, such as frequencies, put into the model."""

    def check_data(self, model: models.Model, prepared: Any) -> None:  # noqa: B027
        """Refuse, before the first step, data of which the model cannot read some.

        Raises:
            SettingError: there are such examples; the message names one.
        """

    # ---- scores ----------------------------------------------------------------------------------

    def score(self, model: models.Model, part: Any, limit: int | None = None) -> float:
        """What the metric says of a model on a part, or on about so many of its predictions.

        Its mean loss, unless another one is declared.
        """
        return self.mean_loss(model, part, limit)

    def mean_loss(self, model: models.Model, part: Any, limit: int | None = None) -> float:
        """Mean loss of a prediction on a part, or on about so many of its predictions."""
        total, count = model.score(part.groups(limit))
        return total / max(count, 1)

    def kept_loss(self, model: models.Model, part: Any, limit: int | None = None) -> float:
        """As :meth:`mean_loss`, of a kept model, as :meth:`evaluate` scores it."""
        return self.mean_loss(model, part, limit)

    def tune(self, model: models.Model, part: Any, limit: int | None = None) -> None:  # noqa: B027
        """Fit what a model that is kept has beside its weights, such as a temperature.

        Args:
            model: is changed.
            part: that chooses.
            limit: about so many predictions of it.
        """

    def surprises(
        self, model: models.Model, part: Any, limit: int | None = None
    ) -> npt.NDArray[np.float64] | None:
        """How surprising each step of a part is, or about so many of them, in nats; NaN for none.

        A checkpoint keeps their quantiles, for :meth:`Answer.surprise`. None where a model gives
        nothing of the kind.
        """
        return None

    def reference(self, model: models.Model, prepared: Any) -> float | None:
        """The mean loss of what has learned nothing, by which the last sentence judges a model.

        That of the model's head, see :attr:`recurra.heads.Head.reference`; a task may know another
        one. None where nothing is known: then nothing is judged.
        """
        return model.head.reference

    @abc.abstractmethod
    def evaluate(self, compared: Mapping[str, Any], part: Any) -> list[Any]:
        """A row for each model and rival, on the same part."""

    @abc.abstractmethod
    def table(self, rows: Sequence[Any], title: str) -> Table:
        """The rows as they are shown."""

    def by_example(self, model: models.Model, part: Any) -> dict[str, Any]:
        """Scores of each example of a part, so that two models can be compared in pairs.

        Of arrays ``[examples]`` by the name of :attr:`metric` or :attr:`loss`, in an order that
        does not hang on the model; or :class:`recurra.tasks.sums.Sums`, by any name.

        Raises:
            SettingError: this task scores no examples one by one.
        """
        raise SettingError(
            f"compare: the task {self.name} scores no examples one by one, which pairs need; a "
            "`by_example` of its own makes it do so"
        )

    def unpaired(self, source: Any, data: Any) -> str | None:
        """Why what is held out of these data has no pairs, as far as that can be told at once.

        None where nothing speaks against it: what :meth:`by_example` finds decides.

        Args:
            source: raw examples, as :meth:`open` gives them.
            data: the section ``[data]``.
        """
        return None

    # ---- what is looked into ---------------------------------------------------------------------

    def sample(self, part: Any, rows: int, steps: int) -> Batch:
        """A few rows of a part that diagnosis looks into.

        Args:
            part: as :meth:`read` gave it.
            rows: at most so many.
            steps: about so many each, where a part can be cut; rows are whole otherwise.

        Raises:
            SettingError: there are none.
        """
        batch: Batch | None = next(chain.from_iterable(part.groups(rows * steps)), None)
        if batch is None:
            raise SettingError("inspect: expected data with examples, got none")
        return batch.part(lambda number: slice(min(rows, number)))

    def unknown(self, part: Any, rows: int, steps: int) -> list[Mapping[int, str]]:
        """Of each row of :meth:`sample` what stands in the text where ``<unk>`` is read, by step.

        Of no row where that is not known.

        Args:
            part: as of :meth:`sample`.
            rows: as there.
            steps: as there.
        """
        return []

    def read_fronts(self, fronts: Mapping[str, Any]) -> dict[str, Any]:
        """Those of what is read, by name, in the order in which a model reads them."""
        return read_fronts(fronts, self.target_front)

    def seen(self, batch: Batch, fronts: Mapping[str, Any]) -> dict[str, list[Any]]:
        """What is read, as people see it: of each row its symbols, or numbers ``[time, ...]``.

        Args:
            batch: as :meth:`sample` gave it.
            fronts: of the model.
        """
        read, whole = self.read_fronts(fronts) or {"input": None}, batch.inputs
        parts = whole if isinstance(whole, tuple) and len(whole) == len(read) > 1 else (whole,)
        axes = batch.input_axis
        return {
            name: seen_rows(part, front, axes if isinstance(axes, int) else axes[at])
            for at, ((name, front), part) in enumerate(zip(read.items(), parts, strict=False))
        }

    def worded(self, numbers: Sequence[int], fronts: Mapping[str, Any]) -> list[str]:
        """What labels or symbols that a model says are called; their numbers unless a task says it.

        Args:
            numbers: as :class:`recurra.heads.Shown` has them; -1 has no name.
            fronts: of the model.
        """
        return list(map(str, numbers))

    # ---- rivals ----------------------------------------------------------------------------------

    def rivals(self, prepared: Any, recipe: Any, report: Callable[[str], None]) -> dict[str, Any]:
        """Models without memory on the same data, by name.

        Args:
            prepared: what the model is trained on.
            recipe: of the model.
            report: is told what takes long.
        """
        return {}

    def write_rivals(self, folder: Path, rivals: Mapping[str, Any]) -> None:  # noqa: B027
        """Keep them in a run, in files of their own."""

    def read_rivals(self, folder: Path) -> dict[str, Any]:
        """Those that a run keeps; none if it has none."""
        return {}

    def joined(
        self,
        model: models.Model,
        rivals: Mapping[str, Any],
        prepared: Any,
        report: Callable[[str], None],
    ) -> dict[str, Any]:
        """Models made of the trained one and its rivals, by name.

        Args:
            model: the best checkpoint.
            rivals: as :meth:`rivals` gave them.
            prepared: what it was trained on, and the part by which it was chosen.
            report: is told what takes long, or why there are none.
        """
        return {}

    def write_joined(self, folder: Path, joined: Mapping[str, Any]) -> None:  # noqa: B027
        """Keep in a run what :meth:`joined` found, in files of their own."""

    def read_joined(self, folder: Path, model: models.Model) -> dict[str, Any]:
        """Those that a run keeps, made of a model of it; none if it has none."""
        return {}

    def to_draw(self, compared: Mapping[str, Any], prepared: Any) -> dict[str, Any]:
        """What pictures of a run show beside its scores, such as JSON can hold; it keeps that.

        Args:
            compared: the trained model first, then its rivals, by name.
            prepared: what it was trained on.
        """
        return {}

    def beaten(self, rows: Sequence[Any]) -> str:
        """Who of the rivals is better than the first row, in words; empty if nobody is."""
        better = [row for row in rows[1:] if self.metric.better(row.value, rows[0].value)]
        best = min(
            better, key=lambda row: row.value if self.metric.less else -row.value, default=None
        )
        return "" if best is None else f"{best.name} is better"

    def remark(self, rows: Sequence[Any]) -> str:
        """What the scores of a model and its rivals say, a sentence or more; empty if nothing.

        It follows what the losses alone say of the model.
        """
        return ""

    # ---- settings and answers --------------------------------------------------------------------

    def check(self, recipe: Any) -> None:  # noqa: B027
        """Settings of two sections that contradict each other.

        Raises:
            PydanticCustomError: as :func:`recurra.sections.contradiction` makes it.
        """

    def idle(self, recipe: Any) -> list[tuple[str, str]]:
        """Settings that somebody chose and that change nothing beside the others, each with why.

        Those that the section ``[model]`` names itself, and a window where none is read.
        """
        of_model: list[tuple[str, str]] = getattr(recipe.model, "idle", list)()
        found = [(f"model.{name}", why) for name, why in of_model]
        training = recipe.training
        if not self.reads_windows(recipe.data) and training.window != default(training, "window"):
            found.append(("training.window", "examples are read whole"))
        return found

    def unread(self, recipe: Any, prepared: Any) -> list[tuple[str, str]]:
        """Settings that data of this kind leave without effect, each with why, chosen or not."""
        return []

    def reads_windows(self, data: Any) -> bool:
        """Whether a training reads windows of a stream, and no whole examples."""
        return False

    def answer(self, loaded: Any) -> Answer:
        """What a person asks of a trained model.

        Args:
            loaded: the artifact.
        """
        return Answer(loaded.model, loaded.fronts, loaded.path, self.name)


# ---- by name -------------------------------------------------------------------------------------

_known: dict[str, Task] = {}
T = TypeVar("T", bound=type[Task])


def register_task(name: str) -> Callable[[T], T]:
    """Make a task known by name, as a decorator of its class.

    Args:
        name: what recipes, artifacts and the command line call it.

    Raises:
        SettingError: another task has that name, or it is none.
    """
    if not isinstance(name, str) or not name or name != name.strip() or name.endswith(".toml"):
        raise SettingError(f"register_task: expected a name such as 'my-task', got {name!r}")

    def register(cls: T) -> T:
        known = _known.get(name)
        same = known is None or task_origin(known) == f"{cls.__module__}:{cls.__qualname__}"
        if not same or not cls.__module__.startswith(SHIPPED.get(name, "")):
            raise SettingError(f"register_task: {name!r} is another task already")
        if not issubclass(cls, Task):
            raise SettingError(f"register_task: expected a recurra.tasks.Task, got {cls.__name__}")
        cls.name = name
        _known[name] = cls()
        return cls

    return register


def task_names() -> list[str]:
    """All tasks that are known."""
    return sorted({*SHIPPED, *_known})


def task_by_name(name: str) -> Task:
    """A task; those of the package are loaded when they are asked for.

    Raises:
        SettingError: there is none; the nearest name is told.
    """
    if name not in _known and name in SHIPPED:
        import_module(SHIPPED[name])
    if name not in _known:
        raise SettingError(
            f"task: none is called {name!r}; {nearest(str(name), task_names())}. One of your own "
            "is known once its module is imported (--import)"
        )
    return _known[name]


def task_origin(task: Task) -> str:
    """Where a task was defined."""
    return f"{type(task).__module__}:{type(task).__qualname__}"
