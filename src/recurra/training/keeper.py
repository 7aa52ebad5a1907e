"""What happens beside the steps of a training: validation, checkpoints, logs, early stops."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, cast

import numpy as np

from recurra.data import Batches
from recurra.errors import RunError, SettingError
from recurra.models import Model
from recurra.surprises import FILE, Quantiles
from recurra.tasks.base import Prepared, Task
from recurra.training.length import longer, passes_of
from recurra.training.loop import Progress, Training
from recurra.training.origin import Others
from recurra.training.processes import processes
from recurra.training.run import MONITORS, RunFolder
from recurra.training.verdict import ENOUGH, Losses, verdict

__all__ = ["Keeper", "Ready", "Report", "surprises_of", "tensorboard_writer"]

_SURPRISES = 20_000  # of the validation part, of which a checkpoint keeps quantiles


@dataclasses.dataclass(frozen=True)
class Report:
    """What a training tells while it runs.

    Args:
        message: a sentence at a turning point, or None.
        progress: after a step, or None.
        left: seconds to the last step after this one, evaluations included, or None.
        validation: what the task's metric says on the validation part where it has just been
            scored, or None.
        metric: the unit of that.
        loss: the unit of the loss.
        unit: what is counted.
        monitored: what the monitors say, in a few words, where they have just been read.
    """

    message: str | None = None
    progress: Progress | None = None
    validation: float | None = None
    left: float | None = None
    metric: str = "nats"
    loss: str = "nats"
    unit: str = "predictions"
    monitored: str = ""


@dataclasses.dataclass(frozen=True)
class Ready:
    """A task's data, ready to be trained on.

    Args:
        task: whose they are.
        prepared: all of them.
        batches: of the training part.
        scored: how many predictions of the validation part are scored at a time.
        about: what artifacts tell of the data.
        others: models of other runs that this one learns from.
    """

    task: Task
    prepared: Prepared
    batches: Batches
    scored: int = 0
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    others: Others = dataclasses.field(default_factory=Others)


class Keeper:
    """What happens beside the steps: validation, checkpoints, logs, interruption.

    Args:
        run: where all is written.
        training: whose steps they are.
        ready: its data.
        report: is told how it goes.
    """

    def __init__(
        self,
        run: RunFolder,
        training: Training,
        ready: Ready,
        report: Callable[[Report], None],
    ) -> None:
        self.run, self.training, self.report = run, training, report
        self.ready, self.metric = ready, ready.task.metric
        self.best: float | None = None
        self.tie = math.inf  # the loss of that model, which decides between equal ones
        self.chosen: str | None = None  # the best checkpoint
        self.since = 0  # evaluations without a better one
        self.values: list[float] = []  # of all evaluations so far
        self.losses: list[float] = []  # since the last evaluation
        self.late = 0.0  # their mean over as many steps as stand between two evaluations
        self.took: float | None = None  # seconds of the last evaluation
        self._board: Any = None
        self._monitored = ""  # in words, where they were just read

    def __enter__(self) -> Self:
        """Open the log of TensorBoard, if it is wanted."""
        if self.training.settings.tensorboard and self.run.writes:
            self._board = _tensorboard(self.run.path / "tensorboard", self.training.step)
        return self

    def __exit__(self, *problem: object) -> None:
        """Close it."""
        if self._board is not None:
            self._board.close()

    def load(self, facts: Mapping[str, Any]) -> None:
        """Go on from what :meth:`_save` kept."""
        self.best, self.since = facts["best"], int(facts["since"])
        self.tie = float(facts.get("tie", math.inf))
        self.chosen = str(facts["chosen"])
        self.late = float(facts["late"])
        self.losses = [float(loss) for loss in facts["losses"]]
        self.values = [float(value) for value in facts["values"]]

    def begin(self) -> None:
        """Score and keep what another run has learned, before the first step changes it."""
        if self.ready.others.origin is None or self.chosen is not None:
            return
        value = self._score(Progress(0, self.training.steps, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0))
        if value is not None:
            self.tell(f"before the first step: {value:.4f} {self.metric.unit} of what is chosen by")

    def __call__(self, done: Progress, asked: bool) -> Literal["on", "interrupted"]:
        """After a step."""
        self.losses.append(done.loss)
        due = done.step % self._every == 0 or done.step == done.steps
        stop = asked and done.step < done.steps
        value, self._monitored = None, ""
        if due:
            self._check_weights(done)
            self._watch(done)
            value = self._score(done)
        elif stop:
            self._check_weights(done)
            self._save(best=self.best is None)
        self.report(
            Report(
                progress=done,
                validation=value,
                left=self._left(done),
                metric=self.metric.unit,
                loss=self.ready.task.loss.unit,
                unit=self.ready.task.unit,
                monitored=self._monitored,
            )
        )
        return "interrupted" if stop else "on"

    def tell(self, message: str) -> None:
        """Report a sentence."""
        self.report(Report(message=message))

    @property
    def _every(self) -> int:
        """Steps between two evaluations."""
        return max(1, -(-self.training.steps // self.training.settings.evaluations))

    @property
    def _passes(self) -> float:
        """In all."""
        return passes_of(self.training.settings, self.ready.batches)

    def _left(self, done: Progress) -> float:
        """Seconds to the last step: those of the steps, and of the evaluations still to come."""
        steps, rate = done.steps - done.step, max(done.rate, 1e-9)
        evaluations = -(-done.steps // self._every) - done.step // self._every
        one = self.ready.scored / rate if self.took is None else self.took  # no backward pass
        return done.symbols / done.step * steps / rate + (one * evaluations if steps else 0.0)

    def stale(self) -> bool:
        """Whether it is time for an early stop."""
        patience = self.training.settings.early_stop
        return patience is not None and self.since >= patience

    def _check_weights(self, done: Progress) -> None:
        if not all(bool(p.isfinite().all()) for p in self.training.model.parameters()):
            raise RunError(
                f"training: weights are no longer finite at step {done.step} of {done.steps}. "
                "Checkpoints that were saved are kept. A smaller training.learning_rate usually "
                "helps."
            )

    def _watch(self, done: Progress) -> None:
        """Read the monitors, write what they say, and warn of what is wrong."""
        training, monitors = self.training, self.training.monitors
        if monitors is None or not monitors.due:
            return
        rate = done.learning_rate / training.settings.learning_rate
        seen = monitors.report(training.model, *training.looked_at(), rate=rate)
        for row in seen.rows:
            told = row._asdict() | {"value": f"{row.value:.6g}"}
            self.run.log({"step": done.step, **told}, MONITORS)
            if self._board is not None:
                name = "/".join(filter(None, ("monitors", row.measure, row.place)))
                self._board.add_scalar(name, row.value, done.step)
        self._monitored = str(seen)
        for warning in seen.warnings:
            self.tell(f"step {done.step:,}: {warning}")

    def _score(self, done: Progress) -> float | None:
        """Validate, log, keep."""
        began = time.perf_counter()
        value = self._validate()
        self.took = time.perf_counter() - began
        total, count = sum(self.losses), len(self.losses)
        mean = total / max(count, 1)
        # The few steps behind the last evaluation say little; one may predict a symbol or two.
        few = self._every - count if self.late and count < self._every else 0
        self.late = (few * self.late + total) / (few + count) if few else mean
        # Without a validation part there is nothing to choose by: the last is the best. With one,
        # the first is the best so far, whatever its score: even one that is no finite number.
        tie = self._loss(value)
        best = value is None or self.best is None or self.metric.better(value, self.best)
        best = best or (value == self.best and tie < self.tie)
        self.tie = tie if best else self.tie
        if best:
            worst = math.inf if self.metric.less else -math.inf
            self.best = worst if value is None or not math.isfinite(value) else value
        self.since = 0 if best else self.since + 1
        if value is not None:
            self.values.append(value)
        self.losses.clear()
        stepped = done.step > 0
        numbers = {
            self.ready.task.unit: done.symbols,
            "seconds": round(done.seconds, 2),
            f"training_{self.ready.task.loss.name}": round(mean, 5) if stepped else "",
            f"validation_{self.metric.name}": "" if value is None else round(value, 5),
            "learning_rate": f"{done.learning_rate:.3g}" if stepped else "",
            "gradient_norm": round(done.gradient_norm, 4) if stepped else "",
            "clipped": round(done.clipped, 4) if stepped else "",
            f"{self.ready.task.unit}_per_second": round(done.rate) if stepped else "",
        }
        # The log first: what it has beyond the last checkpoint is cut off when the run goes on.
        self.run.log({"step": done.step, **numbers})
        if self._board is not None:
            for name, number in numbers.items():
                if number != "":
                    self._board.add_scalar(name, float(number), done.step)
        self._save(best=best, value=value)
        return value

    def _save(self, *, best: bool, value: float | None = None) -> None:
        if best:
            self.chosen = self.run.name_of(self.training.step)
            part = self.ready.prepared.parts.get("validation")
            if part is not None and self.run.writes:
                self.ready.task.tune(self.training.kept, part, self.ready.scored)
        tensors, facts = self.training.state()
        facts |= {
            "best": self.best,
            "tie": self.tie,
            "chosen": self.chosen,
            "since": self.since,
            "steps": self.training.steps,
            "passes": self._passes,
            "losses": self.losses,
            "late": self.late,
            "scored": self.ready.scored,
            "values": self.values,
        }
        self.run.checkpoint(
            self.training.step,
            (self.training.kept, self.ready.prepared.fronts, self.ready.task),
            best=best,
            training=(tensors, facts),
            about={**self.ready.about, "scores": self._scores(value)},
            beside=surprises_of(self.ready, self.training.kept) if self.run.writes else None,
        )

    def _scores(self, value: float | None) -> dict[str, Any]:
        """How well the model does by now, and how much it has read."""
        found = {"step": self.training.step, self.ready.task.unit: self.training.symbols}
        if value is not None and math.isfinite(value):
            return {**found, f"validation_{self.metric.name}": round(value, 6)}
        return found

    def _loss(self, value: float | None) -> float:
        """Of the validation part, where models are chosen by something coarser."""
        task, part = self.ready.task, self.ready.prepared.parts.get("validation")
        if value is None or part is None or task.metric.name == task.loss.name:
            return math.inf
        found = None
        if processes().main:
            found = task.mean_loss(self.training.kept, part, self.ready.scored)
        return cast(float, processes().broadcast(found))

    def _validate(self) -> float | None:
        part = self.ready.prepared.parts.get("validation")
        if part is None:
            return None
        value = None
        if processes().main:
            value = self.ready.task.score(self.training.kept, part, self.ready.scored)
        return cast(float, processes().broadcast(value))

    def verdict(self, best: Model, rows: Sequence[Any]) -> str:
        """Whether the model fits too little, too much or well, or came apart, in a sentence.

        Args:
            best: the kept model.
            rows: its score on the test part, then those of its rivals.
        """
        task, prepared = self.ready.task, self.ready.prepared
        if rows[0].loss is None:
            return "Nothing of what is held out tells how well it fits."
        part = prepared.parts["training"]
        known = task.kept_loss(best, part, prepared.parts["test"].count)
        return verdict(
            Losses(
                known,
                rows[0].loss,
                task.beaten(rows),
                task.reference(best, prepared),
                self.late,
                self.values if self.metric.less else [-value for value in self.values],
                task.unit,
                task.loss.unit,
                longer(self._passes, ENOUGH / self.training.step),
                task.remark(rows),
                self.training.step,
            )
        )


def surprises_of(ready: Ready, model: Model) -> dict[str, bytes]:
    """A file with how surprising what is chosen by is to a model; none where nobody can tell."""
    part = ready.prepared.parts.get("validation")
    found = None if part is None else ready.task.surprises(model, part, _SURPRISES)
    if found is None or np.isnan(found).all():
        return {}
    return {FILE: Quantiles.of(found).to_bytes()}


def _tensorboard(path: Path, step: int) -> Any:
    # What an earlier part of the run wrote behind its last checkpoint is written again.
    return tensorboard_writer()(str(path), purge_step=step + 1)


def tensorboard_writer() -> Any:
    """The class that writes logs for TensorBoard.

    Raises:
        SettingError: the library is missing; the message says what brings it.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as problem:
        raise SettingError(
            "training.tensorboard: needs the library tensorboard, which cannot be imported "
            f"({problem}); pip install 'recurra[tensorboard]' brings it."
        ) from None
    return SummaryWriter
