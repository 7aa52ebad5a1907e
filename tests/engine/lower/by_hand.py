"""What users write by hand of these operations, at the same points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from engine.lower.corners import ROWS, TWO, Case
from torch import Tensor
from torch.nn import functional as F

__all__ = ["BY_HAND"]

ROUND = "several roundings"
ENDS = "torch's float32 overflows or vanishes on the way"


def _softmax(x: Tensor) -> Tensor:
    powers = (x - x.amax(1, keepdim=True)).exp()
    return powers / powers.sum(1, keepdim=True)


def _logsumexp(x: Tensor) -> Tensor:
    most = x.amax(1, keepdim=True)
    return (x - most).exp().sum(1).log() + most[:, 0]


def _standard(x: Tensor) -> Tensor:
    # Eighths: what rounds their mean is not what is asked for here.
    x = x.masked_fill(x.abs() > 100, 3.0).masked_fill(x.abs() < 1, 0.5)
    return (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 0.5)


def _quotient(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(b != 0, a / b, 0.0)


def _turned(x: Tensor) -> Tensor:
    return x / torch.linalg.vector_norm(x, 2, 1, keepdim=True)


def _safe(x: Tensor) -> Tensor:
    """Without numbers whose square or exponential's reciprocal is below the normal ones.

    For the machine these are 0, for torch nearly what they should be.
    """
    size = x.abs()
    small = (size > 0) & (size < 1e-18)
    return x.masked_fill(small | ((x > 87) & (x < 89)) | ((x > 708) & (x < 710)), 0.5)


def _cases(functions: dict[str, Callable[..., Any]], *more: Any, **named: Any) -> list[Case]:
    return [Case(name, function, *more, **named) for name, function in functions.items()]


BY_HAND: list[Case] = [
    *_cases(
        {
            "softplus": lambda x: torch.log1p(torch.exp(-x.abs())) + F.relu(x),
            "softplus that overflows": lambda x: torch.log(1 + torch.exp(_safe(x))),
            "times a mask": lambda x: x * (x > 0),
            "times a mask of floats": lambda x: x * (x > 0).to(x.dtype),
            "a logarithm where it is one": lambda x: torch.where(x > 0, torch.log(x), 0.0),
            "a logarithm of what is one": lambda x: torch.log(torch.where(x > 0, x, 1.0)),
            "a root where it is one": lambda x: torch.where(x > 0, torch.sqrt(x), x),
            "exp where it is small": lambda x: torch.where(x > 1, x, torch.exp(x)),
            "at both bounds": lambda x: x.clamp(-1, 1) * x.clamp(-3, 6),
            "clamped and its logarithm": lambda x: x.clamp(min=1e-8).log(),
            "the larger of both signs": lambda x: torch.maximum(x, -x),
            "the larger of two alike": lambda x: torch.maximum(x, x.clone()),
            "relu by maximum": lambda x: torch.maximum(x, torch.zeros_like(x)),
            "relu by minimum": lambda x: -torch.minimum(-x, torch.zeros_like(x)),
            "a root of a square": lambda x: (_safe(x) * _safe(x)).sqrt(),
            "a root of a size": lambda x: x.abs().sqrt(),
            "without itself": lambda x: x - x,
            "a mask filled with infinity": lambda x: x.masked_fill(x > 1, float("-inf")).exp(),
        },
        ulp=4,
        why=ROUND,
    ),
    *_cases(
        {
            "a quotient where it is one": lambda x: torch.where(x == 0, 1.0, torch.sin(x) / x),
            "by its size": lambda x: x / (1 + x.abs()),
            "by itself": lambda x: x / x,
        },
        ulp=8,
        why="two terms of the slope cancel, divided by x",
        level="slope",
    ),
    *_cases(
        {
            "the larger": lambda a, b: torch.where(a > b, a, b),
            "the larger of shifted ones": lambda a, b: torch.maximum(a + 1, b),
            "the sum of both": lambda a, b: torch.maximum(a, b) + torch.minimum(a, b),
        },
        TWO,
        ulp=4,
        why=ROUND,
    ),
    Case("a quotient or 0", _quotient, TWO, why=ENDS, truth=_quotient),
    *_cases({"softmax": _softmax, "logsumexp": _logsumexp}, ROWS, 8, ROUND, "slope"),
    *_cases({"standardized": _standard}, ROWS, 8, ROUND, "row"),
    *_cases({"turned": _turned}, ROWS, 16, ENDS, "row", truth=_turned),
    *_cases({"normalize": F.normalize}, ROWS, 16, ENDS, "row", truth=F.normalize),
]
