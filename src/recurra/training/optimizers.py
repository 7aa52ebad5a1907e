"""Torch's optimizers by name, and how the learning rate goes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from recurra.errors import SettingError
from recurra.training.recipe import TrainingSettings

__all__ = ["optimizer_of", "rate_at"]

_KINDS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    kind.__name__.lower(): kind
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


def optimizer_of(model: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """The optimizer of a model's parameters; weight decay on matrices alone.

    Args:
        model: whose parameters it changes.
        settings: its name and numbers. AdamW and Adam have betas (0.9, 0.99) unless given.

    Raises:
        SettingError: an argument it does not take.
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
    chosen |= settings.optimizer_settings
    if isinstance(chosen.get("betas"), list):  # TOML has no tuples
        chosen["betas"] = tuple(chosen["betas"])
    try:
        return _KINDS[name](groups, lr=settings.learning_rate, **chosen)
    except (TypeError, ValueError, RuntimeError) as problem:
        raise SettingError(f"training.optimizer_settings: {name}: {problem}") from None


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
