"""The training loop: windows with a carried state, truncated backpropagation."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from recurra import states
from recurra.batch import Batch
from recurra.data import Batches
from recurra.engine.torch_internals import norms_of
from recurra.errors import RunError
from recurra.models import Model, Scored
from recurra.training.distil import DistilSettings, Lesson
from recurra.training.length import steps_of
from recurra.training.monitors import Monitors
from recurra.training.not_finite import where_it_began
from recurra.training.optimizers import check_device, optimizer_of, precision, rate_at
from recurra.training.processes import processes
from recurra.training.recipe import TrainingSettings

__all__ = ["Progress", "Stepped", "Training", "train_step"]


_ALMOST = 1e-6  # torch adds it to a norm that it divides by
_OF_LATE = 0.98  # what a step counts for, one step later


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a training stands after a step.

    Args:
        step: steps done.
        steps: steps in all.
        symbols: symbols trained on.
        loss: mean loss of a prediction in this step.
        learning_rate: of this step.
        gradient_norm: before clipping.
        clipped: share of the steps so far whose gradient was clipped.
        seconds: since the start, evaluations included.
        rate: symbols per second of late (some fifty steps), evaluations left out.
    """

    step: int
    steps: int
    symbols: int
    loss: float
    learning_rate: float
    gradient_norm: float
    clipped: float
    seconds: float
    rate: float


class Training:
    """A training that can stop after any step and go on as if it had not.

    All that it needs for that is in :meth:`state`: optimizer, carried state, random numbers, and
    where it stands. Batches are found by their number and the learning rate by the step, so there
    is nothing else to remember. On one machine, with as many threads and the same data, the
    weights come out bit for bit the same.

    Args:
        model: is changed in place, and moved to ``settings.device``.
        batches: of the training part.
        settings: how weights are fitted.
        teachers: models that it is held against.
        distil: how.

    Raises:
        SettingError: there is no such device, an argument that the optimizer does not take, more
            batches in a step than there are, or a teacher that it cannot learn from.
    """

    def __init__(
        self,
        model: Model,
        batches: Batches,
        settings: TrainingSettings,
        teachers: Sequence[Model] = (),
        distil: DistilSettings | None = None,
    ) -> None:
        self.model, self.batches, self.settings = model, batches, settings
        self.steps = steps_of(settings, batches)
        self.step = self.symbols = self.clipped = 0
        self.seconds = 0.0
        self._carried: states.Tree = None
        self._into: states.Tree = None  # what was carried into the last step
        check_device(settings.device)
        model.to(settings.device)
        distil = distil or DistilSettings()
        # Who gives a teacher no weight trains as if there was none, bit for bit.
        taught = bool(teachers) and distil.weight > 0
        self._lesson = Lesson(model, teachers, distil) if taught else None
        self._optimizer = optimizer_of(model, settings)
        self.monitors = Monitors(model) if settings.monitors else None
        self._average = None
        if settings.average:
            self._average = AveragedModel(model, multi_avg_fn=_following(settings.average))
            self._average.n_averaged.fill_(1)  # the weights it starts with count
        if processes().rank:  # the weights are the same ones, the draws from here on are not
            torch.manual_seed(settings.seed + processes().rank)

    def __iter__(self) -> Iterator[Progress]:
        """Go on to the last step.

        Raises:
            RunError: the loss is no longer a finite number; the message says at which step, and
                where it began.
        """
        self.model.train()
        started = time.perf_counter() - self.seconds
        read = worked = 0.0  # symbols and seconds of late: a machine may sleep for a while
        while self.step < self.steps:
            before = time.perf_counter()
            rate = rate_at(self.step, self.steps, self.settings)
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            some = self.settings.accumulate
            batches = _Some(self.batches, self.step * some, some, self.settings.device)
            learn = self._lesson or self.model
            self._into = self._own
            done = train_step(
                learn, batches, self._carried, self._optimizer, self.settings, self.monitors
            )
            if not (math.isfinite(done.loss) and math.isfinite(done.norm)):
                raise RunError(
                    f"training: the loss is {done.loss}, its gradient {done.norm}, at step "
                    f"{self.step + 1} of {self.steps}; "
                    f"{where_it_began(self.model, batches, self._own, self.settings)}. "
                    "Checkpoints that were saved are kept. A smaller training.learning_rate or "
                    "training.clip usually helps."
                )
            self.step += 1
            self._carried = None if self.batches.begins(self.step * some) else done.state
            if self._average is not None:
                self._average.update_parameters(self.model)
            self.symbols += done.count
            self.clipped += done.clipped
            now = time.perf_counter()
            read, worked = _OF_LATE * read + done.count, _OF_LATE * worked + now - before
            self.seconds = now - started
            yield Progress(
                step=self.step,
                steps=self.steps,
                symbols=self.symbols,
                loss=done.loss,
                learning_rate=rate,
                gradient_norm=done.norm,
                clipped=self.clipped / self.step,
                seconds=self.seconds,
                rate=read / max(worked, 1e-9),
            )

    @property
    def _own(self) -> states.Tree:
        """What the model itself carries."""
        return self._carried[0] if self._lesson and self._carried else self._carried

    def looked_at(self) -> tuple[Batch, states.Tree]:
        """What the next step will read first, and what the model carries into it.

        Where a pass begins, so that nothing is carried, it is what the last step read instead; the
        state is None if nothing was carried into that either.
        """
        step = self.step
        begins = self.batches.begins(step * self.settings.accumulate)
        if begins and self._into is not None:
            step -= 1
        first = step * self.settings.accumulate
        batch, _ = _Some(self.batches, first, 1, self.settings.device)[0]
        return batch, self._into if begins else self._own

    @property
    def kept(self) -> Model:
        """The model that is validated and kept: with the average of the weights, if there is one.

        Of what is trained it is a copy then, and nothing that happens to it changes the training.
        """
        return self.model if self._average is None else cast(Model, self._average.module)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that is needed to go on from here: tensors, and numbers that JSON can hold.

        Of the weights it has those that an average hides: the model is saved with the average.
        """
        tensors: dict[str, Tensor] = {}
        for number, state in enumerate(processes().gather(torch.get_rng_state())):
            tensors[f"random/{number}"] = state
        if torch.cuda.is_available() and self.settings.device.startswith("cuda"):
            own = torch.cuda.get_rng_state(self.settings.device)
            for number, state in enumerate(processes().gather(own)):
                tensors[f"random/cuda/{number}"] = state
        own_rows = [leaf.cpu() for leaf in states.leaves(self._carried)]
        for number, parts in enumerate(zip(*processes().gather(own_rows), strict=True)):
            tensors[f"carried/{number}"] = torch.cat(parts)
        for number, kept in self._optimizer.state_dict()["state"].items():
            for name, value in kept.items():
                tensors[f"optimizer/{number}/{name}"] = torch.as_tensor(value).cpu()
        if self._average is not None:
            for number, parameter in enumerate(self.model.parameters()):
                tensors[f"weights/{number}"] = parameter.detach().cpu().clone()
        facts: dict[str, Any] = {
            "step": self.step,
            "symbols": self.symbols,
            "clipped": self.clipped,
            "seconds": self.seconds,
        }
        if self.monitors is not None:
            facts["monitors"] = self.monitors.state()
        return tensors, facts

    def load(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state` was asked for; the model has the saved weights already.

        Raises:
            KeyError: something is missing.
            ValueError: something does not fit.
        """
        self.step, self.symbols = int(facts["step"]), int(facts["symbols"])
        self.clipped = int(facts["clipped"])
        self.seconds = float(facts["seconds"])
        if self.monitors is not None and "monitors" in facts:  # an older run has none
            self.monitors.load(facts["monitors"])
        place, number = self.settings.device, processes().rank
        carried = _numbered(tensors, "carried")
        self._carried = None
        if carried:
            like = (self._lesson or self.model).initial_state(self.batches.rows)
            if len(carried) != len(states.leaves(like)):
                raise ValueError("the carried state is of another model")
            rows = processes().rows(self.batches.rows)
            self._carried = states.with_leaves(like, [leaf[rows].to(place) for leaf in carried])
        kept: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            kind, _, rest = key.partition("/")
            if kind == "optimizer":
                which, _, name = rest.partition("/")
                kept.setdefault(int(which), {})[name] = value
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": kept, "param_groups": groups})
        if self._average is not None:
            self._average.module.load_state_dict(self.model.state_dict())
            self._average.n_averaged.fill_(self.step + 1)
            own = _numbered(tensors, "weights")
            for parameter, value in zip(self.model.parameters(), own, strict=True):
                parameter.detach().copy_(value)
        # With more processes than before the new ones draw what they drew at the start.
        if f"random/{number}" in tensors or number == 0:
            torch.set_rng_state(tensors[f"random/{number}"])
        if f"random/cuda/{number}" in tensors:
            torch.cuda.set_rng_state(tensors[f"random/cuda/{number}"], place)


def _numbered(tensors: Mapping[str, Tensor], kind: str) -> list[Tensor]:
    return [tensors[f"{kind}/{n}"] for n in range(len(tensors)) if f"{kind}/{n}" in tensors]


def _following(most: float) -> Callable[..., None]:
    """How an average of weights follows them, faster while there are few."""

    def follow(averages: list[Tensor], weights: list[Tensor], step: Tensor | int) -> None:
        decay = min(most, (1 + int(step)) / (10 + int(step)))
        for average, weight in zip(averages, weights, strict=True):
            average.lerp_(weight, 1 - decay)

    return follow


class _Some(Sequence[tuple[Batch, bool]]):
    """The batches of a step, cut when they are asked for: one at a time is held."""

    def __init__(self, batches: Batches, first: int, count: int, device: str) -> None:
        self._batches, self._numbers, self._device = batches, range(first, first + count), device

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, place: Any) -> Any:
        number = self._numbers[place]
        batch = processes().part(self._batches.batch(number))
        return batch.to(self._device), self._batches.begins(number)


class Stepped(NamedTuple):
    """What a step of training gave.

    Args:
        loss: mean loss of a prediction.
        norm: of the gradient before clipping.
        clipped: whether it was clipped.
        count: symbols predicted.
        state: to carry on.
    """

    loss: float
    norm: float
    clipped: bool
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody needs here
    state: states.Tree


def train_step(
    learn: Model | Lesson,
    batches: Sequence[tuple[Batch, bool]],
    state: states.Tree,
    optimizer: torch.optim.Optimizer,
    settings: TrainingSettings,
    monitors: Monitors | None = None,
) -> Stepped:
    """One step on one batch or several; if a number is not finite the weights stay as they are.

    Args:
        learn: a model, or one with its teachers; is changed in place.
        batches: each with whether nothing is carried into it. Their gradients are those of the mean
            over all of their symbols.
        state: carried from the batch before, or None.
        optimizer: of the model's parameters.
        settings: clipping and precision.
        monitors: are shown the norms of the gradients, and the weights around the step.
    """
    group, model = processes(), learn.student if isinstance(learn, Lesson) else learn
    optimizer.zero_grad(set_to_none=True)
    total, count = 0.0, 0
    alone = len(batches) == 1 and group.world_size == 1
    for batch, begins in batches:
        with precision(settings):
            scored, minimized = _learned(learn, batch, None if begins else state)
        # The mean at once saves a division of every gradient.
        share = max(scored.count, 1) if alone else 1
        (minimized / share).backward()  # type: ignore[no-untyped-call]
        total, count = total + (scored.total / share).item(), count + scored.count
        state = states.detach(scored.state)
    if not alone:
        for parameter in model.parameters():  # a process without rows has none
            parameter.grad = (
                torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            )
        total, summed = group.total(total, count)
        count = int(summed)
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        group.all_reduce(gradients)
        for gradient in gradients:
            gradient /= max(count, 1)
        total /= max(count, 1)
    parameters = [p for p in model.parameters() if p.grad is not None]
    norms = norms_of([p.grad for p in parameters if p.grad is not None])
    norm, clipped = _clip(parameters, norms, settings)
    # A step on NaN would spoil the weights that are still good.
    if math.isfinite(total) and math.isfinite(norm):
        with nullcontext() if monitors is None else monitors.step(parameters, norms, clipped):
            optimizer.step()
    return Stepped(total, norm, clipped, count, state)


def _learned(learn: Model | Lesson, batch: Batch, state: states.Tree) -> tuple[Scored, Tensor]:
    """What a model makes of a batch, and the sum that is minimized."""
    if isinstance(learn, Lesson):
        return learn(batch, state)
    scored: Scored = learn(batch, state)
    return scored, scored.total


def _clip(
    parameters: list[nn.Parameter], norms: Sequence[Tensor], settings: TrainingSettings
) -> tuple[float, bool]:
    """Clip by value, then by norm; the norm before, and whether anything was clipped."""
    limit = settings.clip_value
    total = torch.linalg.vector_norm(torch.stack(list(norms))) if norms else torch.tensor(0.0)
    norm = total.item()
    if limit is None:
        if not norm + _ALMOST <= settings.clip:  # else all would be multiplied by 1
            nn.utils.clip_grads_with_norm_(parameters, settings.clip, total)
        return norm, norm > settings.clip
    largest = max(float(p.grad.abs().max()) for p in parameters if p.grad is not None)
    nn.utils.clip_grad_value_(parameters, limit)
    after = nn.utils.clip_grad_norm_(parameters, settings.clip).item()
    return norm, largest > limit or after > settings.clip
