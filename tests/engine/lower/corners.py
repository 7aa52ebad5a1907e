"""Calls of every operation that is lowered: a line for each, at the points where numbers go wrong.

A new operation needs one line, ``Case("name", function)``: of one number a row. ``TWO`` gives the
function two tensors, ``ROWS`` one with ``WIDTH`` features; both ``[rows, features]``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["CASES", "COMPOSED", "ONE", "POINTS", "ROWS", "TWO", "WIDTH", "Case"]

ONE, TWO, ROWS = "one", "two", "rows"
INF, NAN = math.inf, math.nan

_ONE = [0.0, 1.5e-38, 1e-20, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 6.0, 10.0, 20.0, 20.5]
_ONE += [50.0, 87.0, 88.5, 89.0, 100.0, 104.0, 700.0, 709.5, 745.0, 1000.0, 1e10, 1e19, 1e30, INF]
_TWO = [0.0, 1e-20, 0.5, 1.0, 2.0, 3.0, 20.0, 89.0, 1000.0, 1e30, INF]

WIDTH = 18
"""Features of a row: more than a vector has, and not a multiple."""
_EIGHT = [
    *([number] * 9 for number in (0.0, -0.0, 1e-30, 0.1, 3.0, -3.0, 1e19, 1e30, -1e30, INF, -INF)),
    [NAN] * 9,
    [NAN, *[1.0] * 8],
    [*[1.0] * 8, NAN],
    [NAN, *[INF] * 8],
    [-INF, *[1.0] * 8],
    [*[1.0] * 7, INF, 2.0],
    [INF, -INF, *[1.0] * 7],
    [0.0, -0.0, *[0.0] * 7],
    [1.0, 2.0, 2.0, -1.0, -1.0, 0.5, 0.25, 2.0, 1.0],
    [0.1, -0.2, 0.3, 1.7, -2.4, 0.6, 0.01, 3.2, -0.9],
    [100.0, -100.0, 0.0, 88.0, 50.0, 1.0, 2.0, -6.0, 20.0],
    [1000.0, 999.0, 0.0, 1.0, -1000.0, -1.0, 20.0, 500.0, -700.0],
    [1e30, 1.0, 0.0, -1.0, 1e-20, 1e10, 2.0, 0.5, -1e-20],
    [0.0, *[1e-20] * 8],
    [0.0, *[1.0] * 8],
]

POINTS: dict[str, Tensor] = {
    ONE: torch.tensor([sign * at for at in _ONE for sign in (1.0, -1.0)] + [NAN]).double()[:, None],
    TWO: torch.tensor(
        list(product([*_TWO, *(-at for at in _TWO), NAN, 0.25], repeat=2)), dtype=torch.float64
    ),
    ROWS: torch.tensor([[*row, *row[::-1]] for row in _EIGHT], dtype=torch.float64),
}
"""By kind: ``[points, features]``."""


class Case(NamedTuple):
    """A call.

    Args:
        name: of the operation of ATen.
        of: what is computed.
        points: ``ONE``, ``TWO`` or ``ROWS``.
        ulp: how far value and gradient may be from torch's, in units in the last place.
        why: there must be a reason for more than 2, or for another measure.
        level: where distances are measured: at the ``"number"`` itself; where terms cancel, at
            least at ``"one"``, the gradient alone at the ``"slope"`` of one, or at the largest
            number of the ``"row"``.
        truth: a function for float64 that is right where torch's overflows or cancels on the way.
        flat: it has no gradient.
        vague: torch's gradient at NaN hangs on where the number stands, so none is asked for.
    """

    name: str
    of: Callable[..., Any]
    points: str = ONE
    ulp: float = 2
    why: str = ""
    level: str = "number"
    truth: Callable[..., Any] | None = None
    flat: bool = False
    vague: bool = False

    @property
    def width(self) -> int:
        """Features that it reads."""
        return {ONE: 1, TWO: 2, ROWS: WIDTH}[self.points]


def _weight(*shape: int) -> Tensor:
    """Positive numbers with short mantissas."""
    numbers = torch.arange(math.prod(shape)) % 5 + 1.0
    return (numbers / 4).reshape(shape)


def _like(x: Tensor, *shape: int) -> Tensor:
    return _KEPT.setdefault((shape, x.dtype), _weight(*shape).to(x.dtype))


_KEPT: dict[Any, Tensor] = {}  # a step's own tensors are known by who they are


def _pair(x: Tensor) -> Tensor:
    """Nine features, each twice: what is reduced does not lie side by side."""
    return x.reshape(-1, 9, 2)


def _nothing(x: Tensor) -> Tensor:
    """0, whatever there was in memory that nobody has written."""
    return (x > 0).to(x.dtype) * 0


def _laid(function: Callable[..., Any], *, many: bool = False) -> list[Callable[[Tensor], Any]]:
    """A reduction of an axis that lies side by side, of one that does not, of several."""
    found: list[Callable[[Tensor], Any]] = [
        lambda x: function(x, 1),
        lambda x: function(x.reshape(-1, 2, 9), 2),
        lambda x: function(_pair(x), 1),
    ]
    if many:
        found.append(lambda x: function(_pair(x), (1, 2)))
        found.append(lambda x: function(x.reshape(-1, 3, 3, 2), (1, 3)))
    return found


_SCALAR_POWERS = [1, 2, 3, 0.5, -0.5, -1, -2, 0, 4, 1.5, -3]


def _var(x: Tensor, d: Any) -> Tensor:
    centered = x - x.mean(d, keepdim=True)
    total = (centered * centered).sum(d)
    return total / (x.numel() // total.numel() - 1)


def _and_mean(name: str) -> Callable[..., Any]:
    spread = _var if name == "var" else torch.std
    return lambda x, d: (spread(x, d), torch.mean(x, d))


OVER = "torch's slope overflows in float32 where what comes in is 0"
EPS = "of equal numbers it gives the rounding of their mean, 1 / sqrt(eps) = 316 times"
SUMS = "sums round, and terms of the slope cancel"
REST = "1 - y or 1 + y feels the last digit of y, as torch's does"


def _sixth(x: Tensor) -> Tensor:
    return torch.where(x.abs() < 3, (x + 3) / 6, F.hardsigmoid(x.detach()))


def _tame(x: Tensor) -> Tensor:
    """Without numbers whose squares overflow in float32: there torch's slope is NaN, ours 0."""
    size = x.abs()
    return x.masked_fill((size > 1e18) & (size < INF), 2.0)


def _soft(x: Tensor, d: Any) -> Tensor:
    """logsumexp with the gradient of a softmax: torch's, exp(x - y), feels the size of y."""
    most = x.detach().amax(d, keepdim=True)
    most = torch.where(most.isfinite(), most, 0)
    return ((x - most).exp().sum(d, keepdim=True).log() + most).squeeze(d)


CASES: list[Case] = [
    # ---- numbers at one place
    Case("neg", torch.neg),
    Case("abs", torch.abs),
    Case("exp", torch.exp),
    Case("expm1", torch.expm1, why="y + 1 cancels below", truth=lambda x: torch.exp(x) - 1),
    Case("log", torch.log),
    Case("log1p", torch.log1p),
    Case("sqrt", torch.sqrt),
    Case("rsqrt", torch.rsqrt, ulp=4, why="cubes round", truth=torch.rsqrt),
    Case("reciprocal", torch.reciprocal, why=OVER, truth=torch.reciprocal),
    Case("square", torch.square),
    Case("sigmoid", torch.sigmoid, level="slope", why=REST),
    Case("tanh", torch.tanh, level="slope", why=REST),
    Case("relu", torch.relu),
    Case("erf", torch.erf),
    Case("floor", torch.floor),
    Case("sin", torch.sin),
    Case("cos", torch.cos),
    Case("sign", torch.sign),
    Case("sgn", torch.sgn),
    Case("silu", F.silu, ulp=3, level="slope", why=REST),
    Case("gelu", F.gelu, ulp=4, level="one", why=REST, truth=F.gelu),
    Case("gelu", lambda x: F.gelu(x, approximate="tanh"), ulp=4, level="one", why=REST),
    Case("softplus", F.softplus),
    Case("softplus", lambda x: F.softplus(x, beta=2)),
    Case("softplus", lambda x: F.softplus(x, beta=0.5, threshold=6)),
    Case("softplus", lambda x: F.softplus(x, beta=-1.5)),
    Case("log_sigmoid_forward", F.logsigmoid),
    Case("mish", F.mish, ulp=4, level="slope", why=REST),
    Case("hardsigmoid", F.hardsigmoid, why="1 / 6 is a float", truth=_sixth),
    Case("hardswish", F.hardswish, vague=True),
    Case("hardtanh", F.hardtanh, vague=True),
    Case("hardtanh", F.relu6, vague=True),
    Case("hardtanh", torch.ops.aten.hardtanh, vague=True),
    Case("leaky_relu", F.leaky_relu),
    Case("leaky_relu", lambda x: F.leaky_relu(x, 0.0)),
    Case("elu", F.elu, vague=True),
    Case("elu", F.selu, vague=True),
    Case("elu", lambda x: F.elu(x, 2.0), vague=True),
    Case("threshold", lambda x: F.threshold(x, 1.0, -7.0)),
    Case("clamp", lambda x: x.clamp(-1, 2)),
    Case("clamp", lambda x: x.clamp(2, 1)),
    Case("clamp", lambda x: x.clamp(0)),
    Case("clamp_min", lambda x: torch.clamp_min(x, 0.0)),
    Case("clamp_max", lambda x: torch.clamp_max(x, 6.0)),
    *(
        Case("pow", of, ulp=4, why=OVER, truth=torch.rsqrt if b == -0.5 else of)
        for b in _SCALAR_POWERS
        for of in [lambda x, b=b: x**b]
    ),
    *(Case("pow", lambda x, a=a: a**x) for a in (2, 0.5, 1, 0, -2)),
    Case("add", lambda x: torch.add(x, 1.0, alpha=0.5)),
    Case("sub", lambda x: torch.sub(1.0, x, alpha=2)),
    Case("rsub", lambda x: torch.rsub(x, 1.0, alpha=3)),
    Case("mul", lambda x: x * 0.0),
    Case("div", lambda x: x / 3),
    Case("div", lambda x: 1 / x, why=OVER, truth=torch.reciprocal),
    Case("div", lambda x: torch.div(x, 0.0)),
    Case("masked_fill", lambda x: x.masked_fill(x > 1, 0.5)),
    Case("logical_not", torch.logical_not, flat=True),
    Case("bitwise_not", lambda x: ~(x > 1), flat=True),
    *(
        Case(of.__name__, lambda x, of=of: of(x, 1.0), flat=True)
        for of in (torch.gt, torch.ge, torch.lt, torch.le, torch.eq, torch.ne)
    ),
    # ---- of two
    Case("add", torch.add, TWO),
    Case("sub", torch.sub, TWO),
    Case("mul", torch.mul, TWO),
    Case("div", torch.div, TWO, why=OVER, truth=torch.div),
    Case("maximum", torch.maximum, TWO),
    Case("minimum", torch.minimum, TWO),
    Case("pow", torch.pow, TWO),
    Case("where", lambda a, b: torch.where(a > b, a, b), TWO),
    Case("where", lambda a, b: torch.where(a > 0, b, 1.0), TWO),
    Case("lerp", lambda a, b: torch.lerp(a, b, 0.25), TWO),
    *(
        Case("lerp", lambda a, b, w=w: torch.lerp(a, b, w), TWO)
        for w in (-0.75, 0.5, 0.75, 1.0, 2.0)
    ),
    Case("lerp", lambda a, b: torch.lerp(a, b, b), TWO),
    Case("addcmul", lambda a, b: torch.addcmul(a, b, a, value=0.5), TWO),
    Case(
        "addcdiv",
        lambda a, b: torch.addcdiv(a, a, b, value=2),
        TWO,
        why=OVER,
        truth=lambda a, b: torch.addcdiv(a, a, b, value=2),
    ),
    # Multiplied in another order they round otherwise and overflow elsewhere. To nothing, as what
    # cancels is rounding.
    *(
        Case("addcmul", lambda a, b, v=v: torch.addcmul(_nothing(a), a, b, value=v), TWO)
        for v in (0.3, 1e-30)
    ),
    *(
        Case(
            "addcdiv",
            lambda a, b, v=v: torch.addcdiv(_nothing(a), a, b, value=v),
            TWO,
            why=OVER,
            truth=lambda a, b, v=v: torch.addcdiv(_nothing(a), a, b, value=v),
        )
        for v in (0.3, 1e-30)
    ),
    Case("clamp", lambda a, b: a.clamp(b, b + 1), TWO),
    Case("clamp", lambda a, b: a.clamp(b, -b), TWO),
    Case("clamp", lambda a, b: b.clamp(a, b / 2), TWO),
    Case("clamp", lambda a, b: torch.clamp(a / 2, a, b), TWO),
    Case("clamp_min", lambda a, b: a.clamp(min=b), TWO),
    *(
        Case(name, getattr(torch, name), TWO, flat=True)
        for name in ["gt", "ge", "lt", "le", "eq", "ne"]
    ),
    *(
        Case(name, getattr(torch, name), TWO, flat=True)
        for name in ("logical_and", "logical_or", "logical_xor")
    ),
    *(
        Case(of.__name__, lambda a, b, of=of: of(a > 1, b > 1), TWO, flat=True)
        for of in (torch.bitwise_and, torch.bitwise_or, torch.bitwise_xor)
    ),
    # ---- over features
    *(Case("sum", of, ROWS, level="row") for of in _laid(torch.sum, many=True)),
    *(Case("mean", of, ROWS, level="row") for of in _laid(torch.mean, many=True)),
    *(
        Case("var", of, ROWS, 4, "beside infinity torch's slope is infinite", "row", true)
        for of, true in zip(_laid(torch.var, many=True), _laid(_var, many=True), strict=True)
    ),
    *(Case("std", of, ROWS, 4, SUMS, "row") for of in _laid(torch.std, many=True)),
    *(
        Case(f"{name}_mean", of, ROWS, 4, "torch's mean runs: infinity is NaN", "row", true)
        for name in ("var", "std")
        for of, true in zip(
            _laid(getattr(torch, f"{name}_mean")), _laid(_and_mean(name)), strict=True
        )
    ),
    *(Case("amax", of, ROWS) for of in _laid(torch.amax, many=True)),
    *(Case("amin", of, ROWS) for of in _laid(torch.amin, many=True)),
    *(Case("_softmax", of, ROWS, 4, SUMS, "slope") for of in _laid(torch.softmax)),
    *(Case("_log_softmax", of, ROWS, 4, SUMS, "slope") for of in _laid(torch.log_softmax)),
    *(
        Case("logsumexp", of, ROWS, 8, SUMS, truth=true)
        for of, true in zip(_laid(torch.logsumexp, many=True), _laid(_soft, many=True), strict=True)
    ),
    *(
        Case("linalg_vector_norm", of, ROWS, 4, "torch's squares overflow and vanish", truth=of)
        for order in (1, 2)
        for of in _laid(lambda x, d, o=order: torch.linalg.vector_norm(x, o, d), many=True)
    ),
    Case("native_layer_norm", lambda x: F.layer_norm(_tame(x), (WIDTH,)), ROWS, 400, EPS, "row"),
    Case(
        "native_layer_norm",
        lambda x: F.layer_norm(_pair(_tame(x)), (9, 2), _like(x, 9, 2), _like(x, 9, 2)),
        ROWS,
        400,
        EPS,
        "row",
    ),
    # ---- products
    Case("mm", lambda x: torch.mm(x, _like(x, WIDTH, 3)), ROWS, level="row"),
    Case("matmul", lambda x: torch.matmul(x, _like(x, WIDTH, 3)), ROWS, level="row"),
    Case("matmul", lambda x: torch.matmul(_like(x, 4, 6), x.reshape(-1, 6, 3)), ROWS, level="row"),
    Case("linear", lambda x: F.linear(x, _like(x, 3, WIDTH)), ROWS, level="row"),
    Case("mv", lambda x: torch.mv(x, _like(x, WIDTH))[:, None], ROWS, level="row"),
    Case(
        "addmm",
        lambda x: torch.addmm(_like(x, 3), x, _like(x, WIDTH, 3), beta=2, alpha=0.5),
        ROWS,
        level="row",
    ),
    Case(
        "addmv",
        lambda x: torch.addmv(x[:, 0], x, _like(x, WIDTH), alpha=0.5)[:, None],
        ROWS,
        level="row",
    ),
    Case(
        "bmm",
        lambda x: torch.bmm(x.reshape(-1, 3, 6), x.reshape(-1, 6, 3)),
        ROWS,
        level="row",
    ),
    Case(
        "baddbmm",
        lambda x: torch.baddbmm(
            x[:, :9].reshape(-1, 3, 3), x.reshape(-1, 3, 6), x.reshape(-1, 6, 3), beta=2, alpha=0.5
        ),
        ROWS,
        level="row",
    ),
    # ---- what moves numbers
    Case("detach", lambda x: x + x.detach()),
    Case("alias", torch.ops.aten.alias),
    Case("clone", torch.clone),
    Case("lift_fresh", torch.ops.aten.lift_fresh),
    Case("contiguous", lambda x: x.contiguous()),
    Case("_to_copy", lambda x: (x > 1).to(x.dtype), flat=True),
    Case("to", lambda x: x.to(torch.bool).to(x.dtype), flat=True),
    Case("view", lambda x: x.view(-1, 9, 2)[:, :, 1], ROWS),
    Case("_unsafe_view", lambda x: torch.ops.aten._unsafe_view(x, [len(x), 2, 9])[:, 1], ROWS),
    Case("reshape", lambda x: x.reshape(-1, 9, 2)[:, 1], ROWS),
    Case("unsqueeze", lambda x: x.unsqueeze(1)[:, 0], ROWS),
    Case("squeeze", lambda x: x[:, None].squeeze(1), ROWS),
    Case("flatten", lambda x: _pair(x).flatten(1), ROWS),
    Case("t", lambda x: x.t().t(), ROWS),
    Case("transpose", lambda x: _pair(x).transpose(1, 2).flatten(1), ROWS),
    Case("permute", lambda x: _pair(x).permute(0, 2, 1).flatten(1), ROWS),
    Case("movedim", lambda x: _pair(x).movedim(1, 2).flatten(1), ROWS),
    Case("expand", lambda x: x[:, :1].expand(-1, 5), ROWS),
    Case("expand_as", lambda x: x[:, :1].expand_as(x), ROWS),
    Case("repeat", lambda x: x[:, :1].repeat(1, 5), ROWS),
    Case("repeat", lambda x: x[:, :3] * _like(x, 3).repeat(len(x), 1), ROWS),
    Case("slice", lambda x: x[:, 2:9:3], ROWS),
    Case("narrow", lambda x: x.narrow(1, 2, 5), ROWS),
    Case("select", lambda x: _pair(x).select(2, 1), ROWS),
    Case("split", lambda x: x.split(7, 1), ROWS),
    Case("split_with_sizes", lambda x: x.split([3, 15], 1), ROWS),
    Case("unbind", lambda x: _pair(x).unbind(2), ROWS),
    Case("chunk", lambda x: x.chunk(3, 1), ROWS),
    Case("unsafe_split", lambda x: x.unsafe_split(7, 1), ROWS),
    Case("unsafe_chunk", lambda x: x.unsafe_chunk(3, 1), ROWS),
    Case("cat", lambda x: torch.cat([x[:, 9:], x[:, :12]], 1), ROWS),
    Case("concat", lambda x: torch.concat([x[:, 9:], x[:, :12]], 1), ROWS),
    Case("stack", lambda x: torch.stack([x[:, 9:], x[:, :9]], 2).flatten(1), ROWS),
    Case("zeros", lambda x: x + torch.zeros(x.shape, dtype=x.dtype)),
    Case("new_zeros", lambda x: x + x.new_zeros(x.shape)),
    Case("zeros_like", lambda x: x + torch.zeros_like(x)),
    Case("zero", lambda x: x + x.clone().zero_()),
    Case("empty", lambda x: x + _nothing(torch.empty(x.shape, dtype=x.dtype))),
    Case("empty_like", lambda x: x + _nothing(torch.empty_like(x))),
    Case("new_empty", lambda x: x + _nothing(x.new_empty(x.shape))),
    Case("ones", lambda x: x + torch.ones(x.shape, dtype=x.dtype)),
    Case("new_ones", lambda x: x + x.new_ones(x.shape)),
    Case("ones_like", lambda x: x + torch.ones_like(x)),
    Case("full", lambda x: x + torch.full(x.shape, 2.0, dtype=x.dtype)),
    Case("new_full", lambda x: x + x.new_full(x.shape, 2.0)),
    Case("full_like", lambda x: x + torch.full_like(x, 2.0)),
    Case("fill", lambda x: x + x.clone().fill_(2.0)),
]

COMPOSED = frozenset(
    [
        "chunk", "concat", "contiguous", "expand_as", "flatten", "linear", "matmul", "movedim",
        "narrow", "reshape", "square", "to", "unsafe_chunk",
    ]
)  # fmt: skip
"""Operations that torch shows as others; a mode sees them whole where there is no autograd."""
