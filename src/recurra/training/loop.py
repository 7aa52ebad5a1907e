"""The training loop: windows of text with a carried state, truncated backpropagation."""

from __future__ import annotations

import dataclasses
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from recurra import states
from recurra.data import Windows
from recurra.errors import RunError, SettingError
from recurra.models import Model
from recurra.sequences import Batch
from recurra.training.recipe import TrainingSettings

__all__ = ["Progress", "Training", "fit", "interruptible", "optimizer_of", "train_step"]


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a training stands after a step.

    Args:
        step: steps done.
        steps: steps in all.
        symbols: symbols trained on.
        loss: mean loss of this step, nats per symbol.
        learning_rate: of this step.
        gradient_norm: before clipping.
        seconds: since the start, evaluations included.
        rate: symbols per second, evaluations left out.
    """

    step: int
    steps: int
    symbols: int
    loss: float
    learning_rate: float
    gradient_norm: float
    seconds: float
    rate: float


class Training:
    """A training that can stop after any step and go on as if it had not.

    All that it needs for that is in :meth:`state`: optimizer, carried state, random numbers, and
    where it stands. Windows are found by their number and the learning rate by the step, so there
    is nothing else to remember. On one machine, with as many threads and the same data, the
    weights come out bit for bit the same.

    Args:
        model: is changed in place, and moved to ``settings.device``.
        windows: of the training text.
        settings: how weights are fitted.

    Raises:
        SettingError: there is no such device.
    """

    def __init__(self, model: Model, windows: Windows, settings: TrainingSettings) -> None:
        self.model, self.windows, self.settings = model, windows, settings
        self.steps = _steps(windows, settings)
        self.step = self.symbols = 0
        self.working = self.seconds = 0.0
        self._carried: states.Tree = None
        _move(model, settings.device)
        self._optimizer = optimizer_of(model, settings)

    def __iter__(self) -> Iterator[Progress]:
        """Go on to the last step.

        Raises:
            RunError: the loss is no longer a finite number; the message says at which step.
        """
        self.model.train()
        started = time.perf_counter() - self.seconds
        while self.step < self.steps:
            before = time.perf_counter()
            rate = self.settings.learning_rate * _schedule(
                self.step, self.steps, self.settings.warmup
            )
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            number = self.step % len(self.windows)
            batch = self.windows[number].to(self.settings.device)
            loss, norm, self._carried = train_step(
                self.model,
                batch,
                self._carried if number else None,  # a pass begins with nothing carried
                self._optimizer,
                self.settings.clip,
            )
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise RunError(
                    f"training: the loss is {loss}, its gradient {norm}, at step {self.step + 1} "
                    f"of {self.steps}. Checkpoints that were saved are kept. A smaller "
                    "training.learning_rate or training.clip usually helps."
                )
            self.step += 1
            self.symbols += batch.targets.numel()
            now = time.perf_counter()
            self.working += now - before
            self.seconds = now - started
            speed = self.symbols / max(self.working, 1e-9)
            yield Progress(
                self.step, self.steps, self.symbols, loss, rate, norm, self.seconds, speed
            )

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that is needed to go on from here: tensors, and numbers that JSON can hold."""
        tensors = {"random": torch.get_rng_state()}
        if torch.cuda.is_available() and self.settings.device.startswith("cuda"):
            tensors["random/cuda"] = torch.cuda.get_rng_state(self.settings.device)
        for number, leaf in enumerate(states.leaves(self._carried)):
            tensors[f"carried/{number}"] = leaf.cpu()
        for number, kept in self._optimizer.state_dict()["state"].items():
            for name, value in kept.items():
                tensors[f"optimizer/{number}/{name}"] = torch.as_tensor(value).cpu()
        facts = {
            "step": self.step,
            "symbols": self.symbols,
            "working": self.working,
            "seconds": self.seconds,
        }
        return tensors, facts

    def load(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state` was asked for.

        Raises:
            KeyError: something is missing.
            ValueError: something does not fit.
        """
        self.step, self.symbols = int(facts["step"]), int(facts["symbols"])
        self.working, self.seconds = float(facts["working"]), float(facts["seconds"])
        carried = [
            tensors[f"carried/{n}"] for n in range(len(tensors)) if f"carried/{n}" in tensors
        ]
        self._carried = None
        if carried:
            like = self.model.initial_state(self.windows.rows)
            if len(carried) != len(list(states.leaves(like))):
                raise ValueError("the carried state is of another model")
            self._carried = states.with_leaves(
                like, [leaf.to(self.settings.device) for leaf in carried]
            )
        kept: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            kind, _, rest = key.partition("/")
            if kind == "optimizer":
                number, _, name = rest.partition("/")
                kept.setdefault(int(number), {})[name] = value
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": kept, "param_groups": groups})
        torch.set_rng_state(tensors["random"])
        if "random/cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random/cuda"], self.settings.device)


def fit(
    model: Model,
    windows: Windows,
    settings: TrainingSettings,
    after_step: Callable[[Progress], bool],
) -> None:
    """Train on windows, pass after pass, the state carried from each to the next.

    Args:
        model: is changed in place, and moved to ``settings.device``.
        windows: of the training text.
        settings: how weights are fitted.
        after_step: is told of every step; what it returns says whether to go on.

    Raises:
        SettingError: there is no such device.
        RunError: the loss is no longer a finite number; the message says at which step.
    """
    for done in Training(model, windows, settings):
        if not after_step(done):
            return


def optimizer_of(model: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """AdamW; weight decay on matrices alone."""
    matrices = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.99), fused=True)


def _steps(windows: Windows, settings: TrainingSettings) -> int:
    """How many steps it takes; the last window of a pass may be shorter than the others."""
    wanted = settings.symbols or math.ceil(settings.epochs * windows.symbols)
    passes, rest = divmod(wanted, windows.symbols)
    return passes * len(windows) + math.ceil(rest / (windows.rows * windows.size))


def _move(model: nn.Module, device: str) -> None:
    try:
        model.to(device)
    except (RuntimeError, AssertionError) as problem:
        raise SettingError(
            f"training.device: {device!r} cannot be used here ({str(problem).splitlines()[0]})"
        ) from None


def train_step(
    model: Model, batch: Batch, state: states.Tree, optimizer: torch.optim.Optimizer, clip: float
) -> tuple[float, float, states.Tree]:
    """One step on one window; with a loss that is not finite the weights stay as they are.

    Args:
        model: is changed in place.
        batch: the window.
        state: carried from the window before, or None.
        optimizer: of the model's parameters.
        clip: largest norm of the gradient.

    Returns:
        mean loss in nats, norm of the gradient before clipping, and the state to carry on.
    """
    scored = model(batch, state)
    loss: Tensor = scored.total / max(scored.count, 1)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(model.parameters(), clip).item()
    value = loss.item()
    # A step on NaN would spoil the weights that are still good.
    if math.isfinite(value) and math.isfinite(norm):
        optimizer.step()
    return value, norm, states.detach(scored.state)


def _schedule(step: int, steps: int, warmup: float) -> float:
    """Factor of the learning rate: up to 1 in a straight line, then to 0 along a cosine."""
    rising = max(1, round(steps * warmup))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Ctrl-C once: finish the step, then stop; the yielded function says whether that was asked.

    A second Ctrl-C stops at once. Outside the main thread Ctrl-C stays as it is.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
