"""What happens beside the steps of a training: validation, checkpoints, logs, early stops."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self, cast

from recurra.batch import Batch
from recurra.data import Batches
from recurra.errors import RunError, SettingError
from recurra.models import Model
from recurra.training.corpus import Corpus
from recurra.training.evaluation import Evaluation, compare_encoded
from recurra.training.loop import Progress, Training
from recurra.training.processes import processes
from recurra.training.run import RunFolder
from recurra.training.verdict import Losses, verdict

__all__ = ["Keeper", "Ready", "Report", "tensorboard_writer"]


@dataclasses.dataclass(frozen=True)
class Report:
    """What a training tells while it runs.

    Args:
        message: a sentence at a turning point, or None.
        progress: after a step, or None.
        left: seconds to the last step after this one, evaluations included, or None.
        validation: nats per symbol on the validation text where it has just been scored, or None.
    """

    message: str | None = None
    progress: Progress | None = None
    validation: float | None = None
    left: float | None = None


@dataclasses.dataclass(frozen=True)
class Ready:
    """Data of a training, cut and numbered.

    Args:
        corpus: all of it.
        batches: of the training text.
        validation: gives groups of windows of the validation text; None where there is none.
        scored: how many symbols they have.
    """

    corpus: Corpus
    batches: Batches
    validation: Callable[[], Iterable[Iterable[Batch]]] | None
    scored: int = 0


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
        self.ready = ready
        self.best: float | None = None
        self.chosen: str | None = None  # the best checkpoint
        self.since = 0  # evaluations without a better one
        self.values: list[float] = []  # of all evaluations so far
        self.losses: list[float] = []  # since the last evaluation
        self.late = 0.0  # their mean at the last one
        self.took: float | None = None  # seconds of the last evaluation
        self._board: Any = None

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
        self.chosen = str(facts["chosen"])
        self.late = float(facts["late"])
        self.losses = [float(loss) for loss in facts["losses"]]
        self.values = [float(value) for value in facts["values"]]

    def __call__(self, done: Progress, asked: bool) -> Literal["on", "interrupted"]:
        """After a step."""
        self.losses.append(done.loss)
        due = done.step % self._every == 0 or done.step == done.steps
        stop = asked and done.step < done.steps
        value = None
        if due:
            self._check_weights(done)
            value = self._score(done)
        elif stop:
            self._check_weights(done)
            self._save(best=self.best is None)
        self.report(Report(progress=done, validation=value, left=self._left(done)))
        return "interrupted" if stop else "on"

    @property
    def _every(self) -> int:
        """Steps between two evaluations."""
        return max(1, -(-self.training.steps // self.training.settings.evaluations))

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

    def _score(self, done: Progress) -> float | None:
        """Validate, log, keep."""
        began = time.perf_counter()
        value = self._validate()
        self.took = time.perf_counter() - began
        self.late = mean = sum(self.losses) / len(self.losses)
        # Without a validation text there is nothing to choose by: the last is the best. With one,
        # the first is the best so far, whatever its score: even one that is no finite number.
        best = value is None or self.best is None or value < self.best
        if best:
            self.best = math.inf if value is None or not math.isfinite(value) else value
        self.since = 0 if best else self.since + 1
        if value is not None:
            self.values.append(value)
        self.losses.clear()
        numbers = {
            "symbols": done.symbols,
            "seconds": round(done.seconds, 2),
            "training_nats": round(mean, 5),
            "validation_nats": "" if value is None else round(value, 5),
            "learning_rate": f"{done.learning_rate:.3g}",
            "gradient_norm": round(done.gradient_norm, 4),
            "clipped": round(done.clipped, 4),
            "symbols_per_second": round(done.rate),
        }
        # The log first: what it has beyond the last checkpoint is cut off when the run goes on.
        self.run.log({"step": done.step, **numbers})
        if self._board is not None:
            for name, number in numbers.items():
                if number != "":
                    self._board.add_scalar(name, float(number), done.step)
        self._save(best=best)
        return value

    def _save(self, *, best: bool) -> None:
        if best:
            self.chosen = self.run.name_of(self.training.step)
        tensors, facts = self.training.state()
        facts |= {
            "best": self.best,
            "chosen": self.chosen,
            "since": self.since,
            "steps": self.training.steps,
            "losses": self.losses,
            "late": self.late,
            "scored": self.ready.scored,
            "values": self.values,
        }
        self.run.checkpoint(
            self.training.step,
            self.training.kept,
            self.ready.corpus.vocabularies,
            best=best,
            training=(tensors, facts),
        )

    def _validate(self) -> float | None:
        if self.ready.validation is None:
            return None
        value = None
        if processes().main:
            total, count = self.training.kept.score(self.ready.validation())
            value = total / max(count, 1)
        return cast(float, processes().broadcast(value))

    def verdict(self, best: Model, evaluations: list[Evaluation]) -> str:
        """Whether the model fits too little, too much or well, or came apart, in a sentence."""
        limit = evaluations[0].symbols
        part = self.ready.corpus.parts["training"]
        documents = part.documents(limit)
        given = None if part.given is None else part.given[: len(documents)]
        (seen,) = compare_encoded({"": best}, documents, 1, given)
        known, held = seen.nats / max(seen.symbols, 1), evaluations[0].nats / max(limit, 1)
        ngram = min((row.nats for row in evaluations[1:]), default=math.inf) / max(limit, 1)
        uniform = math.log(len(self.ready.corpus.vocabulary) - 1)  # nobody predicts the start
        return verdict(Losses(known, held, ngram, uniform, self.late, self.values))


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
