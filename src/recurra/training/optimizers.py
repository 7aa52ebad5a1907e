"""What settings mean to torch: optimizer, learning rate, precision, device."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from recurra.engine.torch_internals import without_compiler
from recurra.errors import SettingError, nearest
from recurra.training.recipe import TrainingSettings

__all__ = ["check_device", "optimizer_of", "precision", "rate_at"]

_KINDS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    kind.__name__.lower(): without_compiler(kind)
    for kind in (
        torch.optim.ASGD,
        torch.optim.Adadelta,
        torch.optim.Adagrad,
        torch.optim.Adam,
        torch.optim.AdamW,
        torch.optim.Adamax,
        torch.optim.NAdam,
        torch.optim.RAdam,
        torch.optim.RMSprop,
        torch.optim.SGD,
    )
}
_FUSED = ("adam", "adamw", "sgd")
_ELSEWHERE = {"lr": "training.learning_rate", "weight_decay": "training.weight_decay"}
# What a training here has no use for: losses that grow, steps with a gradient, CUDA graphs.
_NEVER = ("params", "maximize", "differentiable", "capturable")


def optimizer_of(model: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """The optimizer of a model's parameters; weight decay on matrices alone.

    Args:
        model: whose parameters it changes.
        settings: its name and numbers. AdamW and Adam have betas (0.9, 0.99) unless given.

    Raises:
        SettingError: an argument it does not take, or a value that the argument cannot have.
    """
    matrices = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    name = settings.optimizer
    chosen: dict[str, Any] = {}
    if name in ("adam", "adamw"):
        chosen["betas"] = (0.9, 0.99)
    if name in _FUSED:
        chosen["fused"] = True
    if settings.optimizer_settings.get("foreach"):  # torch takes one of the two
        chosen.pop("fused", None)
    chosen |= _checked(name, settings.optimizer_settings)
    try:
        return _KINDS[name](groups, lr=settings.learning_rate, **chosen)
    except (TypeError, ValueError, RuntimeError) as problem:
        raise SettingError(f"training.optimizer_settings: {name}: {problem}") from None


def _checked(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of an optimizer, each of its default's kind: torch takes what it cannot use."""
    known = {
        key: argument.default
        for key, argument in inspect.signature(_KINDS[name]).parameters.items()
        if key not in (*_ELSEWHERE, *_NEVER)
    }
    for key, value in given.items():
        place = f"training.optimizer_settings: {name}: {key}"
        if key in _ELSEWHERE:
            raise SettingError(f"{place} is {_ELSEWHERE[key]}; set it there")
        if key not in known:
            raise SettingError(f"{place}: there is no such argument; {nearest(key, known)}")
        if _kind(value) != _kind(known[key]):
            raise SettingError(f"{place}: expected {_kind(known[key])}, got {value!r}")
    # TOML has no tuples.
    return {key: tuple(v) if isinstance(v, list) else v for key, v in given.items()}


def _kind(value: Any) -> str:
    """What a value is, in words; a flag that torch sets by itself unless told is None."""
    if isinstance(value, list | tuple):
        return f"a list ({', '.join(map(_kind, value))})"
    if isinstance(value, bool | None):
        return "true or false"
    finite = isinstance(value, int | float) and math.isfinite(value)
    return "a finite number" if finite else "something else"


def rate_at(step: int, steps: int, settings: TrainingSettings) -> float:
    """The learning rate of a step: up in a straight line, then as ``schedule`` says."""
    rising = max(1, round(steps * settings.warmup))
    if step < rising:
        return settings.learning_rate * (step + 1) / rising
    done = (step - rising) / max(1, steps - rising)
    falling = {
        "cosine": 0.5 * (1 + math.cos(math.pi * done)),
        "linear": 1 - done,
        "constant": 1.0,
    }
    return settings.learning_rate * falling[settings.schedule]


def precision(settings: TrainingSettings) -> torch.autocast:
    """What a forward pass runs in."""
    kind = settings.device.partition(":")[0]
    return torch.autocast(kind, torch.bfloat16, enabled=settings.precision == "bfloat16")


def check_device(device: str) -> None:
    """Try whether numbers can be kept on a device.

    Raises:
        SettingError: there is no such device here.
    """
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as problem:
        raise SettingError(
            f"training.device: {device!r} cannot be used here; expected cpu, or cuda, cuda:1, mps "
            f"where there is one ({str(problem).splitlines()[0]:.80})"
        ) from None
