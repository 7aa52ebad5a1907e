"""Calls of operations that are functions, scans, norms and moves by constants: a line for each."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from engine.lower.corners import ROWS, TWO, Case
from torch import Tensor
from torch.nn import functional as F

__all__ = ["RARER"]

ENDS = "torch's float32 overflows or vanishes on the way"
POWERS = "powers, and their sums, round several times"
SHORT = "torch's logarithm of 10 is a digit short"
EPS = "of equal numbers it gives the rounding of their mean, 1 / sqrt(eps) = 316 times"


def _tame(x: Tensor) -> Tensor:
    """Numbers whose products in a row are numbers too."""
    return torch.where(x.abs() < 2e3, x, x.detach().sign())


def _large(x: Tensor) -> Tensor:
    """Numbers whose powers do not vanish."""
    return torch.where((x.abs() > 1e-10) | (x == 0) | x.isnan(), x, 0.25)


def _apart(a: Tensor, b: Tensor) -> Tensor:
    """What is no 1e50 times b: how much is left of that, torch's vectors do not say."""
    return torch.where((a.abs() > 1e20) & (b.abs() < 1e-10), 2.5, a)


def _tiny(x: Tensor) -> Tensor:
    """What is small is so small that its square is 0 in float32, not a number below the normal."""
    return torch.where(x.abs() < 1e-10, x * 1e-10, x)


def _inside(a: Tensor, b: Tensor) -> Tensor:
    """Where log(b) is a number, or a is 0: else torch's slope is 0 where nothing comes in."""
    return torch.where((b < math.inf) & ((b > 0) | (a == 0)), b, 1.5)


def _moved(function: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
    return lambda x: function(x.view(-1, 9, 2)).flatten(1)


def _norm(x: Tensor) -> Tensor:
    return torch.ops.aten.norm(x, 2, [1], True)


RARER: list[Case] = [
    # ---- functions of one number
    Case("ceil", torch.ceil),
    Case("round", torch.round),
    Case("round", lambda x: torch.round(x, decimals=1)),
    Case("round", lambda x: torch.round(x, decimals=-1)),
    Case("trunc", torch.trunc),
    Case("frac", torch.frac),
    Case("exp2", torch.exp2),
    Case("log2", torch.log2),
    Case("log10", torch.log10, ulp=4, why=SHORT),
    Case("erfc", torch.erfc),
    Case("sinc", torch.sinc),
    Case("logit", lambda x: torch.logit(x + 0.0)),
    Case("logit", lambda x: torch.logit(x, eps=0.1), vague=True),
    Case("tan", torch.tan),
    Case("asin", torch.asin),
    Case("acos", torch.acos),
    Case("atan", torch.atan),
    Case("sinh", torch.sinh, why=ENDS, truth=torch.sinh),
    Case("cosh", torch.cosh, why=ENDS, truth=torch.cosh),
    Case("asinh", torch.asinh),
    Case("acosh", torch.acosh),
    Case("atanh", torch.atanh),
    Case("deg2rad", torch.deg2rad),
    Case("rad2deg", torch.rad2deg),
    Case("remainder", lambda x: torch.remainder(x, 0.75)),
    Case("remainder", lambda x: torch.remainder(x, -0.75)),
    Case("fmod", lambda x: torch.fmod(x, 0.75)),
    Case("nan_to_num", torch.nan_to_num),
    Case("nan_to_num", lambda x: torch.nan_to_num(x, 1.0, 2.0, 3.0)),
    Case("isnan", torch.isnan, flat=True),
    Case("isinf", torch.isinf, flat=True),
    Case("ne", torch.isfinite, flat=True),
    Case("isposinf", torch.isposinf, flat=True),
    Case("isneginf", torch.isneginf, flat=True),
    Case("signbit", lambda x: torch.where(x == x, x, 1.0).signbit(), flat=True),
    Case("celu", lambda x: F.celu(x, 0.75), vague=True),
    Case("_prelu_kernel", lambda x: F.prelu(x, torch.full((1,), 0.25, dtype=x.dtype))),
    Case("hardshrink", F.hardshrink),
    Case("softshrink", F.softshrink),
    Case("diag_embed", torch.diag_embed),
    # ---- of two
    Case("atan2", lambda a, b: torch.atan2(_tiny(a), _tiny(b)), TWO),
    Case("hypot", torch.hypot, TWO),
    Case("logaddexp", torch.logaddexp, TWO, level="one"),
    Case("logaddexp2", torch.logaddexp2, TWO, level="one", why=ENDS, truth=torch.logaddexp2),
    Case("xlogy", lambda a, b: torch.xlogy(_apart(a, b), _inside(a, b)), TWO),
    Case("copysign", torch.copysign, TWO),
    Case("fmax", torch.fmax, TWO),
    Case("fmin", torch.fmin, TWO),
    Case("fmod", lambda a, b: torch.fmod(_apart(a, b), b), TWO),
    Case("remainder", lambda a, b: torch.remainder(_apart(a, b), b), TWO),
    Case("div", lambda a, b: torch.div(_apart(a, b), b, rounding_mode="floor"), TWO),
    Case("div", lambda a, b: torch.div(a, b, rounding_mode="trunc"), TWO),
    Case("floor_divide", lambda a, b: _apart(a, b).detach() // b.detach(), TWO, flat=True),
    Case("heaviside", lambda a, b: torch.heaviside(a.detach(), b.detach()), TWO, flat=True),
    # ---- over features
    Case("any", lambda x: (x > 1).any(1, keepdim=True), ROWS, flat=True),
    Case("all", lambda x: (x > -1).all(1, keepdim=True), ROWS, flat=True),
    Case("nansum", lambda x: x.nansum(1, keepdim=True), ROWS, level="row"),
    Case("max", lambda x: x.max(1, keepdim=True).values, ROWS),
    Case("min", lambda x: x.view(-1, 9, 2).min(1).values, ROWS),
    Case("max", lambda x: x.max(1, keepdim=True).indices, ROWS, flat=True),
    Case("argmax", lambda x: x.argmax(1, keepdim=True), ROWS, flat=True),
    Case("argmin", lambda x: x.argmin(1, keepdim=True), ROWS, flat=True),
    Case("aminmax", lambda x: torch.cat(torch.aminmax(x, dim=1, keepdim=True), 1), ROWS),
    Case("cummax", lambda x: x.cummax(1).values, ROWS),
    Case("cummin", lambda x: x.cummin(1).values, ROWS),
    Case("cummax", lambda x: x.cummax(1).indices, ROWS, flat=True),
    Case("cumsum", lambda x: x.cumsum(1), ROWS, level="row"),
    Case("cumprod", lambda x: _tame(x).cumprod(1), ROWS, 16, POWERS, "row"),
    Case(
        "logcumsumexp",
        lambda x: x.clamp(-8, 8).nan_to_num(1.0).logcumsumexp(1),
        ROWS,
        16,
        POWERS,
        "row",
    ),
    Case("prod", lambda x: _tame(x).prod(1, keepdim=True), ROWS, 16, POWERS),
    *(
        Case(
            "linalg_vector_norm",
            lambda x, o=o: torch.linalg.vector_norm(_large(x), o, 1, True),
            ROWS,
            16,
            POWERS,
        )
        for o in (0, 0.5, 1.5, 3, math.inf, -math.inf)
    ),
    Case("norm", _norm, ROWS, 4, ENDS, truth=_norm),
    Case("native_group_norm", lambda x: F.group_norm(_tame(x), 2), ROWS, 400, EPS, "row"),
    Case("glu", lambda x: F.glu(x, 1), ROWS),
    Case(
        "linalg_cross",
        lambda x: torch.linalg.cross(_tame(x)[:, :3], _tame(x)[:, 3:6]),
        ROWS,
        level="row",
    ),
    # ---- what moves numbers
    Case("index_select", lambda x: x.index_select(1, torch.tensor([5, 1, 1, 2, 4, 6, 17])), ROWS),
    Case("index", lambda x: x[:, [5, 1, 1, 1, 2, 4, 6, -1]], ROWS),
    Case("index", _moved(lambda x: x[:, [5, 1, 8], [0, 1, 1]]), ROWS),
    Case("gather", lambda x: x.gather(1, x.argmax(1, True)), ROWS),
    Case("flip", _moved(lambda x: x.flip(1, 2)), ROWS),
    Case("roll", _moved(lambda x: x.roll((2, 1), (1, 2))), ROWS),
    Case("constant_pad_nd", lambda x: F.pad(x, (2, -1), value=0.5), ROWS),
    Case("constant_pad_nd", lambda x: F.pad(x, (-1, 3), value=0.5), ROWS),
    Case("reflection_pad1d", _moved(lambda x: F.pad(x.mT, (2, 3), mode="reflect")), ROWS),
    Case("replication_pad1d", _moved(lambda x: F.pad(x.mT, (2, 3), mode="replicate")), ROWS),
    Case(
        "reflection_pad2d", lambda x: F.pad(x.view(-1, 1, 3, 6), (2, 1, 0, 2), mode="reflect"), ROWS
    ),
    Case(
        "replication_pad2d",
        lambda x: F.pad(x.view(-1, 1, 3, 6), (2, 1, 0, 2), mode="replicate"),
        ROWS,
    ),
    Case(
        "reflection_pad3d",
        lambda x: F.pad(x.view(-1, 1, 3, 3, 2), (1, 1, 0, 2, 1, 0), mode="reflect"),
        ROWS,
    ),
    Case(
        "replication_pad3d",
        lambda x: F.pad(x.view(-1, 1, 3, 3, 2), (1, 1, 0, 2, 1, 0), mode="replicate"),
        ROWS,
    ),
    Case("repeat", _moved(lambda x: x.repeat(1, 2, 3)), ROWS),
    Case("unfold", lambda x: x.unfold(1, 4, 3), ROWS),
    Case("diagonal", lambda x: x.view(-1, 3, 6).diagonal(1, 1, 2), ROWS),
    Case("diagonal", lambda x: x.view(-1, 3, 6).diagonal(-1, 2, 1), ROWS),
    Case("tril", lambda x: x.view(-1, 3, 6).tril(1), ROWS),
    Case("triu", lambda x: x.view(-1, 3, 6).triu(1), ROWS),
]
