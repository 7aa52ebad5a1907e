"""Cells whose steps have shapes and types of their own: what tests of the backends run."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import recurra
from recurra import HiddenState


class Plain(recurra.Cell):
    """A hidden state of 6, and what :meth:`seen` makes of x beside it."""

    def __init__(self, width: int, *, ids: tuple[int, ...] | None = None) -> None:
        super().__init__(3, 6)
        self.ids = ids
        self.mix = nn.Linear(width + 6, 6)

    def example_input(self, batch: int) -> Tensor:
        return self.zeros(batch, 3) if self.ids is None else self.whole(batch)

    def whole(self, batch: int) -> Tensor:
        return torch.zeros(batch, *self.ids or (), dtype=torch.int64)

    def initial_state(self, batch: int) -> Any:
        return HiddenState(self.zeros(batch))

    def seen(self, x: Tensor, state: Any, context: Any) -> Tensor:
        return x

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        seen = self.seen(x, state, context)
        h = torch.tanh(self.mix(torch.cat([seen, state.h], 1)))
        return h, HiddenState(h)


class Ids(Plain):
    """Reads ids ``[batch]``, or several ``[batch, n]`` whose vectors are added up."""

    def __init__(self, n: int = 0, rows: int = 10, **settings: Any) -> None:
        super().__init__(4, ids=(n,) if n else ())
        self.table = nn.Embedding(rows, 4, **settings)

    def seen(self, x: Tensor, state: Any, context: Any) -> Tensor:
        found: Tensor = self.table(x)
        return found.sum(1) if self.ids else found


class FromTheEnd(Ids):
    """Indexes the table itself, with numbers that count from its end."""

    def seen(self, x: Tensor, state: Any, context: Any) -> Tensor:
        return self.table.weight[x - 3]


class Counted(NamedTuple):
    """A vector, a counter, and which units were ever large."""

    h: Tensor
    t: Tensor
    seen: Tensor


class Clock(Plain):
    """A unit changes where its period divides the step; positions are looked up by the counter."""

    def __init__(self, grow: int = 1) -> None:
        super().__init__(3)
        self.grow = grow
        self.place = nn.Embedding(200, 6)
        self.register_buffer("period", torch.tensor([1, 1, 2, 2, 3, 5]))

    def initial_state(self, batch: int) -> Counted:
        seen = torch.zeros(batch, 6, dtype=torch.bool)
        return Counted(self.zeros(batch), torch.zeros(batch, 1, dtype=torch.int64), seen)

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        new = torch.tanh(self.mix(torch.cat([x, state.h], 1)))
        rounds = state.t.div(self.period, rounding_mode="floor")
        on = state.t - rounds * self.period == 0
        if self.grow == 1:
            new = new + self.place(state.t.squeeze(1))
        h = torch.where(on, new, state.h)
        t = self.grow * state.t + 1 + (new[:, :1] * 3).long().clamp(0, 0)
        return h, Counted(h, t, state.seen | (h > 0.1))


class Source(NamedTuple):
    """A memory ``[batch, time, 5]``, and how much of it there is."""

    memory: Tensor
    lengths: Tensor


class Attending(Plain):
    """Attends to a memory in one of several ways."""

    takes_context = True

    def __init__(self, how: str) -> None:
        super().__init__(3 + 5)
        self.how = how
        self.key, self.query = nn.Linear(5, 6), nn.Linear(6, 6)
        self.score = nn.Linear(6, 1, bias=False)

    def scores(self, keys: Tensor, query: Tensor) -> Tensor:
        if self.how == "additive":
            return self.score(torch.tanh(keys + query.unsqueeze(1))).squeeze(2)
        if self.how == "einsum":
            return torch.einsum("btk,bk->bt", keys, query)
        if self.how == "at":
            return (keys @ query.unsqueeze(2)).squeeze(2)
        return torch.bmm(query.unsqueeze(1), keys.transpose(1, 2)).squeeze(1)

    def seen(self, x: Tensor, state: Any, context: Any) -> Tensor:
        memory = context.memory
        scores = self.scores(self.key(memory), self.query(state.h))
        over = torch.arange(memory.shape[1]) >= context.lengths.unsqueeze(1)
        weights = torch.softmax(scores.masked_fill(over, -torch.inf), 1)
        if self.how == "einsum":
            found = torch.einsum("bt,btk->bk", weights, memory)
        else:
            found = (weights.unsqueeze(1) @ memory).squeeze(1)
        return torch.cat([x, found], 1)


class Heads(Plain):
    """Two heads, whose products stand merged with the batch."""

    takes_context = True

    def __init__(self) -> None:
        super().__init__(3 + 6)
        self.key, self.value = nn.Linear(5, 6), nn.Linear(5, 6, bias=False)

    def seen(self, x: Tensor, state: Any, context: Any) -> Tensor:
        def heads(tensor: Tensor) -> Tensor:
            return tensor.unflatten(-1, (2, 3)).transpose(-3, -2)

        keys, values = heads(self.key(context.memory)), heads(self.value(context.memory))
        query = heads(state.h.unsqueeze(1))
        weights = torch.softmax(query @ keys.transpose(-1, -2), -1)
        return torch.cat([x, (weights @ values).transpose(1, 2).flatten(1)], 1)


class Memory(NamedTuple):
    """A vector, and a matrix of 4 by 3."""

    h: Tensor
    m: Tensor


class Writing(Plain):
    """Writes outer products into a matrix, reads rows of it, and multiplies it by itself."""

    def __init__(self) -> None:
        super().__init__(3 + 3)
        self.where, self.what = nn.Linear(6, 4), nn.Linear(6, 3)

    def initial_state(self, batch: int) -> Memory:
        return Memory(self.zeros(batch), self.zeros(batch, 4, 3) + 0.1)

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        where = torch.softmax(self.where(state.h), 1)
        read = torch.einsum("bn,bnk->bk", where, state.m)
        h = torch.tanh(self.mix(torch.cat([x, read, state.h], 1)))
        new = torch.bmm(where.unsqueeze(2), self.what(h).unsqueeze(1))
        both = state.m.transpose(1, 2) @ state.m  # [3, 3]
        m = 0.5 * state.m + new + 0.1 * new @ torch.tanh(both)
        return h, Memory(h, torch.tanh(m))


class Shaped(Plain):
    """Gives out its state in another shape; () is a number a row."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(3)
        self.shape = shape

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        h, state = super().step(x, state)
        return (h.view(-1, *self.shape) if self.shape else h.sum(1)), state


class Pictures(NamedTuple):
    """What a convolutional LSTM carries."""

    h: Tensor
    c: Tensor


class ConvLSTM(recurra.Cell):
    """A convolutional LSTM of 3 channels."""

    def __init__(self) -> None:
        super().__init__(2, 3)
        self.gates = nn.Conv2d(2 + 3, 12, 3, padding=1)

    def example_input(self, batch: int) -> Tensor:
        return self.zeros(batch, 2, 5, 4)

    def initial_state(self, batch: int) -> Pictures:
        return Pictures(self.zeros(batch, 3, 5, 4), self.zeros(batch, 3, 5, 4))

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        i, f, g, o = self.gates(torch.cat([x, state.h], 1)).chunk(4, 1)
        c = torch.sigmoid(f) * state.c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, Pictures(h, c)


class Convolved(recurra.Cell):
    """A convolution of x and the state, whose sum goes on."""

    def __init__(self, convolution: nn.Module, *shape: int) -> None:
        super().__init__(shape[0], shape[0])
        self.convolution, self.shape = convolution, shape

    def example_input(self, batch: int) -> Tensor:
        return self.zeros(batch, *self.shape)

    def initial_state(self, batch: int) -> HiddenState:
        return HiddenState(self.zeros(batch, *self.shape))

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        y = self.convolution(x + torch.tanh(state.h))
        more = y.flatten(1).mean(1).view(-1, *(1,) * len(self.shape))
        return y, HiddenState(0.5 * state.h + more + x)


class Wide(recurra.Cell):
    """Narrow values behind wide ones: their steps run some at a time, in memory used again."""

    def __init__(self) -> None:
        super().__init__(65, 33)
        self.picked = nn.Parameter(torch.randn(4, 33) * 0.2)
        self.fed_back = nn.Parameter(torch.randn(11 * 33, 33) * 0.05)

    def initial_state(self, batch: int) -> Any:
        return recurra.HiddenState(self.zeros(batch))

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        read = x[:, 37:58:2]
        y = read[:, :, None] * state.h[:, None]
        h = 0.5 * state.h + torch.tanh(read[:, [4, 2, 7, 1]] @ self.picked)
        return y, recurra.HiddenState(h + 0.2 * torch.tanh(y.flatten(1) @ self.fed_back))


class OfConstants(recurra.Cell):
    """Products whose operands are the same for all rows and steps."""

    def __init__(self) -> None:
        super().__init__(4, 4)
        self.linear, self.table = nn.Linear(4, 4), nn.Embedding(3, 4)

    def initial_state(self, batch: int) -> Any:
        return recurra.HiddenState(self.zeros(batch))

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        none = torch.zeros(len(x), dtype=torch.int64)
        ones = torch.ones(len(x), 4, dtype=x.dtype)
        h = self.linear(torch.zeros_like(state.h)) + self.linear(ones)
        h = h + torch.ones_like(x[:, :1]) @ self.table.weight[:1]
        h = h + self.linear(self.table(none)) + self.linear(self.table.weight[1].expand(len(x), -1))
        h = torch.tanh(x + h + 0.5 * state.h)
        return h, recurra.HiddenState(h)
