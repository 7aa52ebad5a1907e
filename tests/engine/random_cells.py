"""Cells nobody has written: steps drawn at random from everything a step may be made of."""

from __future__ import annotations

import random
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

import recurra


class One(NamedTuple):
    a: torch.Tensor


class Two(NamedTuple):
    a: torch.Tensor
    b: torch.Tensor


class Three(NamedTuple):
    a: torch.Tensor
    b: torch.Tensor
    c: torch.Tensor


STATES = {1: One, 2: Two, 3: Three}


class Context(NamedTuple):
    topic: torch.Tensor


SMOOTH = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "gelu": functional.gelu,
    "gelu tanh": lambda v: functional.gelu(v, approximate="tanh"),
    "silu": functional.silu,
    "softplus": functional.softplus,
    "softsign": functional.softsign,
    "mish": functional.mish,
    "elu": functional.elu,
    "logsigmoid": functional.logsigmoid,
    "exp": lambda v: torch.exp(torch.tanh(v)),
    "log": lambda v: torch.log(functional.softplus(v) + 0.5),
    "sqrt": lambda v: torch.sqrt(torch.sigmoid(v) + 0.1),
    "rsqrt": lambda v: torch.rsqrt(v * v + 1),
    "square": lambda v: (v**2).tanh(),
    "cube": lambda v: torch.tanh(v) ** 3,
    "root": lambda v: (torch.sigmoid(v) + 0.2) ** 1.5,
    "power": lambda v: (torch.sigmoid(v) + 0.2) ** torch.sigmoid(v),
    "log1p": lambda v: torch.log1p(torch.sigmoid(v)),
    "expm1": lambda v: torch.expm1(torch.tanh(v)),
    "sin": torch.sin,
    "cos": lambda v: torch.cos(v) - 1,
    "neg": lambda v: 1 - v,
    "reciprocal": lambda v: 1 / (1 + v * v),
}
# Each with the places of its kinks.
KINKED = {
    "relu": (torch.relu, (0.0,)),
    "abs": (torch.abs, (0.0,)),
    "leaky": (functional.leaky_relu, (0.0,)),
    "hardtanh": (functional.hardtanh, (-1.0, 1.0)),
    "hardsigmoid": (functional.hardsigmoid, (-3.0, 3.0)),
    "hardswish": (functional.hardswish, (-3.0, 3.0)),
    "clamp": (lambda v: v.clamp(-0.7, 0.4), (-0.7, 0.4)),
    "clamp below": (lambda v: v.clamp(min=-0.2), (-0.2,)),
}
ROWS = {
    "softmax": lambda v: v.softmax(1),
    "log softmax": lambda v: v.log_softmax(-1) / 4,
    "centered": lambda v: v - v.mean(1, keepdim=True),
    "spread": lambda v: v / (v.std(1, keepdim=True) + 1) if v.shape[1] > 1 else v,
    "variance": lambda v: v * v.var(-1, keepdim=True, unbiased=False).tanh(),
    "sum": lambda v: torch.tanh(v.sum(1, keepdim=True)) * v,
    "logsumexp": lambda v: v - v.logsumexp(1, keepdim=True),
    "norm": lambda v: v / (1 + torch.linalg.vector_norm(v, dim=1, keepdim=True)),
}


class RandomCell(recurra.Cell):
    """A step of ``count`` drawn operations on x, one to three states, and perhaps a context.

    Args:
        seed: of everything that is drawn.
    """

    def __init__(self, seed: int) -> None:
        draw = random.Random(seed)
        sizes = (1, 2, 3, 5, 8, 12, 17)
        self_widths = [draw.choice(sizes) for _ in range(draw.randint(1, 3))]
        super().__init__(draw.choice(sizes), self_widths[0], draw.choice(sizes))
        self.widths = self_widths
        self.takes_context = draw.random() < 0.4
        self.topic = draw.choice(sizes)
        self.distances: list[torch.Tensor] | None = None
        torch.manual_seed(seed)
        self.weights = nn.ParameterList()
        self.plan: list[tuple] = []
        pool = [self.input_size, *self.widths] + [self.topic] * self.takes_context
        for _ in range(draw.randint(3, 12)):
            self._draw(draw, pool)
        # Every state and y hang on the pool through a product, and stay bounded.
        for width in (*self.widths, self.output_size):
            at = draw.randrange(len(pool))
            self.plan.append(("end", at, self._weight(width, pool[at]), self._weight(width)))

    def _weight(self, *shape: int) -> int:
        scale = 0.7 / (shape[-1] ** 0.5 if len(shape) > 1 else 1)
        self.weights.append(nn.Parameter(torch.randn(*shape) * scale))
        return len(self.weights) - 1

    def _draw(self, draw: random.Random, pool: list[int]) -> None:
        kind = draw.choice(
            [
                *("linear", "linear", "joined", "transposed", "smooth", "smooth", "kinked", "rows"),
                "binary",
                "binary",
                "where",
                "chunk",
                "slice",
                "stack",
                "scale",
                "norm",
                "mix",
                "max",
            ]
        )
        at, other = draw.randrange(len(pool)), draw.randrange(len(pool))
        width, size = pool[at], draw.choice((1, 3, 4, 8, 11))
        if kind == "linear":
            bias = self._weight(size) if draw.random() < 0.6 else None
            self.plan.append((kind, at, self._weight(size, width), bias))
            pool.append(size)
        elif kind == "joined":
            self.plan.append((kind, at, other, self._weight(size, width + pool[other])))
            pool.append(size)
        elif kind == "transposed":
            self.plan.append((kind, at, self._weight(width, size)))
            pool.append(size)
        elif kind in ("smooth", "kinked", "rows"):
            names = {"smooth": SMOOTH, "kinked": KINKED, "rows": ROWS}[kind]
            self.plan.append((kind, at, draw.choice(sorted(names))))
            pool.append(width)
        elif kind in ("binary", "where", "mix", "max"):
            map_to = None if pool[other] in (width, 1) else self._weight(width, pool[other])
            name = draw.choice(["add", "sub", "mul", "div"])
            self.plan.append((kind, at, other, map_to, name))
            pool.append(width)
        elif kind == "chunk" and width >= 2:
            parts = draw.randint(2, min(3, width))
            self.plan.append((kind, at, parts))
            pool.append(-(-width // parts))
        elif kind == "slice" and width >= 2:
            step = draw.choice((1, 1, 2))
            start = draw.randrange(width - 1)
            self.plan.append((kind, at, start, step))
            pool.append(len(range(start, width, step)))
        elif kind == "stack":
            self.plan.append((kind, at, draw.choice(("sum", "cat"))))
            pool.append(width if self.plan[-1][2] == "sum" else 2 * width)
        elif kind == "scale":
            self.plan.append((kind, at, self._weight(width)))
            pool.append(width)
        elif kind == "norm":
            self.plan.append((kind, at, self._weight(width), draw.choice(("layer", "rms"))))
            pool.append(width)

    def initial_state(self, batch: int):
        return STATES[len(self.widths)](*(self.zeros(batch, width) for width in self.widths))

    def _kinks(self, value: torch.Tensor, *places: float) -> None:
        if self.distances is not None:
            for place in places:
                self.distances.append((value - place).abs().min().detach())

    def step(self, x, state, context=None, noise=None):
        w = self.weights
        pool = [x, *state]
        if self.takes_context:
            pool.append(context.topic)
        ends = []
        for kind, at, *more in self.plan:
            v = pool[at]
            if kind == "end":
                ends.append(torch.tanh(functional.linear(v, w[more[0]], w[more[1]])))
                continue
            if kind == "linear":
                new = functional.linear(v, w[more[0]], None if more[1] is None else w[more[1]])
            elif kind == "joined":
                new = functional.linear(torch.cat([v, pool[more[0]]], 1), w[more[1]])
            elif kind == "transposed":
                new = v @ w[more[0]]
            elif kind == "smooth":
                new = SMOOTH[more[0]](v)
            elif kind == "kinked":
                function, places = KINKED[more[0]]
                self._kinks(v, *places)
                new = function(v)
            elif kind == "rows":
                new = ROWS[more[0]](v)
            elif kind in ("binary", "where", "mix", "max"):
                other = pool[more[0]]
                if more[1] is not None:
                    other = functional.linear(other, w[more[1]])
                if kind == "where":
                    self._kinks(v - other, 0.0)
                    new = torch.where(v > other, v, other * 0.5)
                elif kind == "max":
                    if at != more[0]:
                        self._kinks(v - other, 0.0)
                    new = torch.maximum(v, other.expand_as(v))
                elif kind == "mix":
                    new = torch.lerp(v, torch.tanh(v), torch.sigmoid(other))
                elif more[2] == "div":
                    new = v / (1 + other * other)
                else:
                    new = getattr(torch, more[2])(v, other)
            elif kind == "chunk":
                new = v.chunk(more[0], 1)[0]
            elif kind == "slice":
                new = v[:, more[0] :: more[1]]
            elif kind == "stack":
                new = torch.stack([v, torch.sin(v)], 1)
                new = new.sum(1) if more[0] == "sum" else new.flatten(1)
            elif kind == "scale":
                new = v * w[more[0]]
            elif kind == "norm":
                if more[1] == "layer":
                    if v.shape[1] > 1:  # of numbers that hardly differ it is what rounding leaves
                        self._kinks(v.std(1, unbiased=False) / 1000, 0.0)
                    new = functional.layer_norm(v, v.shape[1:], w[more[0]])
                else:
                    new = functional.rms_norm(v, v.shape[1:], w[more[0]], eps=1e-3)
            pool.append(new)
        *new_state, y = ends
        return y, STATES[len(self.widths)](*new_state)
