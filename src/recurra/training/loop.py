"""The training loop: windows of text with a carried state, truncated backpropagation."""

from __future__ import annotations

import dataclasses
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from recurra import states
from recurra.data import Windows
from recurra.errors import RunError, SettingError
from recurra.models import Model
from recurra.sequences import Batch
from recurra.training.recipe import TrainingSettings

__all__ = ["Progress", "fit", "interruptible", "optimizer_of", "train_step"]


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
    steps = _steps(windows, settings)
    _move(model, settings.device)
    optimizer = optimizer_of(model, settings)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _schedule(step, steps, settings.warmup)
    )
    model.train()
    symbols, working, state = 0, 0.0, None
    started = time.perf_counter()
    batches = _endless(windows)
    for step in range(1, steps + 1):
        before = time.perf_counter()
        rate = float(schedule.get_last_lr()[0])
        batch, fresh = next(batches)
        state = None if fresh else state
        loss, norm, state = train_step(
            model, batch.to(settings.device), state, optimizer, settings.clip
        )
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise RunError(
                f"training: the loss is {loss}, its gradient {norm}, at step {step} of {steps}. "
                "Checkpoints that were saved are kept. A smaller training.learning_rate or "
                "training.clip usually helps."
            )
        schedule.step()
        symbols += batch.targets.numel()
        now = time.perf_counter()
        working += now - before
        done = Progress(
            step, steps, symbols, loss, rate, norm, now - started, symbols / max(working, 1e-9)
        )
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


def _endless(windows: Windows) -> Iterator[tuple[Batch, bool]]:
    """Windows, pass after pass, each with whether a pass begins, where no state is carried over."""
    while True:
        for number, batch in enumerate(windows):
            yield batch, number == 0


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
