"""What the laws hold for: every registered cell, wrappers around each, and a cell written here."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import recurra
from recurra import Cell, HiddenState, Recurrent
from recurra.cells import cell_by_name, cell_names
from recurra.cells.base import _REGISTERED

INPUT, HIDDEN, TIME, BATCH = 3, 4, 6, 5
LENGTHS = (6, 0, 3, 5, 1)


class Settled(NamedTuple):
    """A state of two fields of different widths."""

    h: Tensor
    trace: Tensor


class UserCell(Cell):
    """A cell nobody has seen: two widths, a nested module, a state that is not the output."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, output_size=hidden_size + 1)
        self.read = nn.Linear(input_size + hidden_size, hidden_size)
        self.norm = nn.LayerNorm(hidden_size)
        self.say = nn.Linear(hidden_size + 2, hidden_size + 1)

    def initial_state(self, batch: int) -> Settled:
        return Settled(self.zeros(batch), self.zeros(batch, 2) + 0.5)

    def step(self, x, state, context=None, noise=None):
        h = torch.tanh(self.norm(self.read(torch.cat([x, state.h], 1))))
        trace = 0.9 * state.trace + 0.1 * torch.stack([h.mean(1), x.sum(1)], 1)
        return self.say(torch.cat([h, trace], 1)), Settled(h, trace)


class Leaky(Cell):
    """The ten lines of README."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.read = nn.Linear(input_size, hidden_size)
        self.keep = nn.Linear(hidden_size, hidden_size, bias=False)

    def initial_state(self, batch: int) -> HiddenState:
        return HiddenState(self.zeros(batch))

    def step(self, x, state, context=None, noise=None):
        h = 0.9 * state.h + 0.1 * torch.tanh(self.read(x) + self.keep(state.h))
        return h, HiddenState(h)


class Topic(NamedTuple):
    topic: Tensor


class ContextCell(Cell):
    """Reads a context, and starts from a learnt state."""

    takes_context = True

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.read = nn.Linear(input_size + 2, hidden_size)
        self.keep = nn.Linear(hidden_size, hidden_size)
        self.first = nn.Parameter(torch.randn(hidden_size))

    def initial_state(self, batch: int) -> HiddenState:
        return HiddenState(self.first.expand(batch, -1))

    def step(self, x, state, context=None, noise=None):
        topic = x.new_zeros(x.shape[0], 2) if context is None else context.topic
        h = torch.tanh(self.read(torch.cat([x, topic], 1)) + self.keep(state.h))
        return h, HiddenState(h)


Make = Callable[[int, int], Cell]


def named(name: str) -> Make:
    return lambda input_size, hidden_size: cell_by_name(name, input_size, hidden_size)


def without_bias(name: str) -> Make:
    return lambda i, h: cell_by_name(name, i, h, bias=False)


def has_bias(name: str) -> bool:
    """Whether a registered cell can be built without one."""
    return "bias" in inspect.signature(_REGISTERED[name]).parameters


PLAIN: dict[str, Make] = {name: named(name) for name in cell_names()}
PLAIN |= {f"{name} without bias": without_bias(name) for name in cell_names() if has_bias(name)}
PLAIN |= {
    "linear elman": lambda i, h: recurra.ElmanCell(i, h, activation=None),
    "user": UserCell,
    "leaky": Leaky,
    "context": ContextCell,
}
WRAPPERS: dict[str, Callable[[Cell], Cell]] = {
    "zoneout": lambda cell: recurra.Zoneout(cell, 0.3),
    "zoneout of h": lambda cell: recurra.Zoneout(cell, {"h": 0.3}),
    "zoneout of zoneout": lambda cell: recurra.Zoneout(recurra.Zoneout(cell, 0.2), 0.3),
}


def wrapped(wrap: Callable[[Cell], Cell], make: Make) -> Make:
    return lambda i, h: wrap(make(i, h))


CELLS: dict[str, Make] = PLAIN | {
    f"{wrapper} {name}": wrapped(wrap, make)
    for wrapper, wrap in WRAPPERS.items()
    for name, make in PLAIN.items()
}


def cell(name: str, dtype: torch.dtype = torch.float64, seed: int = 0) -> Cell:
    torch.manual_seed(seed)
    made = CELLS[name](INPUT, HIDDEN).to(dtype)
    with torch.no_grad():  # biases that start at zero would hide a bias that is not used
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made


def layers(make: Make) -> dict[str, Callable[[], recurra.Layer]]:
    """Every layer around a cell."""

    def two() -> list[recurra.Layer]:
        first = make(INPUT, HIDDEN)
        return [Recurrent(first), Recurrent(make(first.output_size, HIDDEN))]

    def both() -> recurra.Bidirectional:
        return recurra.Bidirectional(make(INPUT, HIDDEN), make(INPUT, HIDDEN))

    return {
        "recurrent": lambda: Recurrent(make(INPUT, HIDDEN)),
        "reverse": lambda: Recurrent(make(INPUT, HIDDEN), reverse=True),
        "stack": lambda: recurra.Stack(two()),
        "bidirectional": both,
        "sum": lambda: recurra.Bidirectional(
            make(INPUT, HIDDEN), recurra.Zoneout(make(INPUT, HIDDEN)), merge="sum"
        ),
        "residual": lambda: recurra.Stack(
            [
                first := both(),
                Recurrent(make(first.output_size, first.output_size - _grown(make))),
            ],
            residual=True,
        ),
    }


def _grown(make: Make) -> int:
    """By how much a cell's output is wider than its state."""
    probe = make(INPUT, HIDDEN)
    return probe.output_size - probe.hidden_size


def rows(dtype: torch.dtype = torch.float64, seed: int = 1, **sizes: int) -> Tensor:
    """Inputs ``[time, batch, INPUT]`` that require a gradient."""
    generator = torch.Generator().manual_seed(seed)
    shape = (sizes.get("time", TIME), sizes.get("batch", BATCH), INPUT)
    return torch.randn(shape, generator=generator, dtype=dtype).requires_grad_()


def some_resets() -> Tensor:
    resets = torch.zeros(TIME, BATCH, dtype=torch.bool)
    for time, row in ((0, 0), (2, 0), (2, 2), (4, 3), (5, 0), (5, 2), (0, 1)):
        resets[time, row] = True
    return resets


def context_of(subject: Any, batch: int = BATCH, dtype: torch.dtype = torch.float64) -> Any:
    if not subject.takes_context:
        return None
    return Topic(torch.linspace(-1, 1, 2 * batch, dtype=dtype).view(batch, 2))
