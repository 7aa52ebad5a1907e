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
from recurra.states import first, map_tree

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


class OddState(NamedTuple):
    """Fields of any kind: a state inside the state, trailing axes, a whole number."""

    inner: HiddenState
    grid: Tensor
    count: Tensor


class OddCell(Cell):
    """Carries what no other cell here carries."""

    on_loop = "it counts in whole numbers"

    bookkeeping = ("count",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.read = nn.Linear(input_size + 6, hidden_size)
        self.keep = nn.Linear(hidden_size, hidden_size)

    def initial_state(self, batch: int) -> OddState:
        count = torch.zeros(batch, dtype=torch.int64)
        return OddState(HiddenState(self.zeros(batch)), self.zeros(batch, 2, 3), count)

    def step(self, x, state, context=None, noise=None):
        seen = torch.cat([x, state.grid.flatten(1)], 1)
        h = torch.tanh(self.read(seen) + self.keep(state.inner.h) + 0.1 * state.count.unsqueeze(1))
        grid = 0.5 * state.grid + 0.5 * torch.einsum("bi,j->bij", h[:, :2], h.new_ones(3))
        return h, OddState(HiddenState(h), grid, state.count + 1)


Make = Callable[[int, int], Cell]


def takes(name: str, setting: str) -> bool:
    """Whether a registered cell has a setting."""
    return setting in inspect.signature(_REGISTERED[name]).parameters


def registered(name: str, **settings: Any) -> Make:
    return lambda input_size, hidden_size: cell_by_name(name, input_size, hidden_size, **settings)


PLAIN: dict[str, Make] = {name: registered(name) for name in cell_names()}
PLAIN |= {"user": UserCell, "leaky": Leaky, "context": ContextCell, "odd": OddCell}

SETTINGS: dict[str, tuple[str, Any]] = {
    "without bias": ("bias", False),
    "with layer norm": ("norm", "layer"),
    "with rms norm": ("norm", "rms"),
    "with recurrent dropout": ("recurrent_dropout", 0.3),
}
VARIANTS: dict[str, Make] = {
    f"{name} {words}": registered(name, **{setting: value})
    for name in cell_names()
    for words, (setting, value) in SETTINGS.items()
    if takes(name, setting)
}
VARIANTS |= {
    "linear elman": registered("elman", activation=None),
    "sigmoid elman": registered("elman", activation="sigmoid"),
    "jordan 2 wide": registered("jordan", output_size=2, output_activation="tanh"),
    "projected as wide": registered("lstm_projected", projection_size=HIDDEN),
    "lstm with all": registered("lstm", norm="layer", recurrent_dropout=0.3, bias=False),
}


def zoneout(make: Make) -> Make:
    return lambda i, h: recurra.Zoneout(make(i, h), 0.3)


def zoneout_of_one(make: Make) -> Make:
    def wrap(i: int, h: int) -> Cell:
        inner = make(i, h)
        return recurra.Zoneout(inner, {inner.initial_state(1)._fields[0]: 0.3})

    return wrap


def held_dropout(make: Make) -> Make:
    return lambda i, h: recurra.HeldDropout(make(i, h), 0.3, 0.4)


def normalized(make: Make) -> Make:
    return lambda i, h: recurra.Normalized(make(i, h))


def residual(make: Make) -> Make:
    """As wide as it must be: y as wide as x."""

    def wrap(i: int, h: int) -> Cell:
        fits = next(h for h in range(1, 2 * i + 2) if make(i, h).output_size == i)
        return recurra.Residual(make(i, fits))

    return wrap


def forced(make: Make) -> Make:
    def wrap(i: int, h: int) -> Cell:
        inner = make(i, h)
        state = inner.initial_state(1)
        return recurra.Forced(inner, next(n for n in state._fields if _floats(state, n)))

    return wrap


def _floats(state: Any, name: str) -> bool:
    field = getattr(state, name)
    return isinstance(field, Tensor) and field.is_floating_point()


def dropped(make: Make) -> Make:
    def wrap(i: int, h: int) -> Cell:
        inner = make(i, h)
        free = [n for n, p in inner.named_parameters() if p.dim() == 2 and "original" not in n]
        wanted = [n for n in free if "recurrent" in n] or free
        return recurra.weight_drop(inner, 0.4, wanted[0])

    return wrap


WRAPPERS: dict[str, Callable[[Make], Make]] = {
    "zoneout": zoneout,
    "zoneout of one field": zoneout_of_one,
    "held dropout": held_dropout,
    "normalized": normalized,
    "residual": residual,
    "forced": forced,
    "weight drop": dropped,
}
WRAPPED: dict[str, Make] = {
    f"{words} {name}": wrap(make)
    for words, wrap in WRAPPERS.items()
    for name, make in PLAIN.items()
}
PAIRS: dict[str, Make] = {
    f"{outer} of {words} {name}": WRAPPERS[outer](wrap(PLAIN[name]))
    for outer in WRAPPERS
    for words, wrap in WRAPPERS.items()
    for name in ("lstm", "user")
}
CELLS: dict[str, Make] = PLAIN | VARIANTS | WRAPPED | PAIRS


def cell(name: str, dtype: torch.dtype = torch.float64, seed: int = 0) -> Cell:
    torch.manual_seed(seed)
    made = CELLS[name](INPUT, HIDDEN).to(dtype)
    with torch.no_grad():  # biases that start at zero would hide a bias that is not used
        for value in (*made.parameters(), *made.buffers()):
            value.add_(0.1 * torch.randn_like(value))
    return made


def _rivals() -> dict[str, Callable[[], recurra.Layer]]:
    """Layers that remember nothing, or a few steps."""
    window, attention = recurra.Window, recurra.SelfAttention
    return {
        "feed-forward": lambda: window(INPUT, HIDDEN),
        "window": lambda: window(INPUT, HIDDEN, 3),
        "dilated": lambda: window(INPUT, INPUT, 2, dilation=3, residual=True),
        "longer than rows": lambda: window(INPUT, HIDDEN, 5, dilation=3),
        "centered": lambda: window(INPUT, HIDDEN, 4, dilation=2, centered=True),
        "convolutions": lambda: recurra.Stack(
            [window(INPUT, HIDDEN, 2), window(HIDDEN, HIDDEN, 2, dilation=2, residual=True)]
        ),
        "attention": lambda: attention(INPUT, 4, 2),
        "attention to a window": lambda: recurra.WindowAttention(INPUT, 4, 2, window=3),
        "attention to more than rows have": lambda: recurra.Stack(
            [
                recurra.WindowAttention(INPUT, 4, 2, window=9),
                recurra.WindowAttention(4, 4, window=1),
            ]
        ),
        "attention between": lambda: recurra.Stack(
            [
                recurra.Recurrent(recurra.GRUCell(INPUT, 4)),
                recurra.WindowAttention(4, 4, 2, window=4),
                recurra.Recurrent(recurra.LSTMCell(4, HIDDEN)),
            ]
        ),
        "attention behind": lambda: recurra.Stack(
            [attention(INPUT, 4, 2, ahead=False), attention(4, 4, 2, ahead=False, positions=False)]
        ),
    }


def _seeded(make: Callable[[], recurra.Layer]) -> Callable[[], recurra.Layer]:
    def made() -> recurra.Layer:
        torch.manual_seed(0)
        layer = make().double()
        with torch.no_grad():  # a bias of zero would hide one that is not used
            for value in layer.parameters():
                value.add_(0.1 * torch.randn_like(value))
        return layer

    return made


RIVALS = {name: _seeded(make) for name, make in _rivals().items()}


def layers(make: Make) -> dict[str, Callable[[], recurra.Layer]]:
    """Every layer around a cell."""

    def two() -> list[recurra.Layer]:
        first = make(INPUT, HIDDEN)
        return [Recurrent(first), Recurrent(make(first.output_size, HIDDEN))]

    def above(layer: recurra.Layer) -> Cell:
        """A cell as wide in as out, on top of a layer."""
        size = layer.output_size
        return next(
            made for h in range(1, 2 * size + 2) if (made := make(size, h)).output_size == size
        )

    def both() -> recurra.Bidirectional:
        return recurra.Bidirectional(make(INPUT, HIDDEN), make(INPUT, HIDDEN))

    found: dict[str, Callable[[], recurra.Layer]] = {
        "recurrent": lambda: Recurrent(make(INPUT, HIDDEN)),
        "reverse": lambda: Recurrent(make(INPUT, HIDDEN), reverse=True),
        "bidirectional": both,
        "sum": lambda: recurra.Bidirectional(
            make(INPUT, HIDDEN), recurra.Zoneout(make(INPUT, HIDDEN)), merge="sum"
        ),
    }
    if not isinstance(make(INPUT, HIDDEN).example_input(1), Tensor):
        # What a layer says is one tensor: such a cell can only stand at the bottom.
        above_it = recurra.LSTMCell(make(INPUT, HIDDEN).output_size, HIDDEN)
        return found | {
            "stack": lambda: recurra.Stack([Recurrent(make(INPUT, HIDDEN)), Recurrent(above_it)])
        }
    return found | {
        "stack": lambda: recurra.Stack(two()),
        "residual": lambda: recurra.Stack(
            [first := both(), Recurrent(above(first))], residual=True
        ),
    }


def rows(seed: int = 1, *sizes: int, time: int = TIME, batch: int = BATCH) -> Tensor:
    """Inputs ``[time, batch, *sizes]`` that require a gradient; one vector unless given."""
    generator = torch.Generator().manual_seed(seed)
    shape = (time, batch, *(sizes or (INPUT,)))
    return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()


def inputs_of(subject: nn.Module, *, time: int = TIME, batch: int = BATCH) -> Any:
    """What a cell, or a layer of such cells, reads: numbers that require a gradient, and flags."""
    seeds = iter(range(1, 9))

    def leaf(example: Tensor) -> Tensor:
        numbers = rows(next(seeds), *example.shape[1:], time=time, batch=batch)
        return numbers.detach() > -0.3 if example.dtype == torch.bool else numbers

    return map_tree(leaf, example_of(subject))


def example_of(subject: Any) -> Any:
    """What it reads in a step: what its first cell does, or a vector."""
    cells = (part for part in subject.modules() if isinstance(part, Cell))
    found = next(cells, None)
    return torch.zeros(1, subject.input_size) if found is None else found.example_input(1)


def widths_of(subject: nn.Module) -> int:
    return first(example_of(subject)).shape[1]


def some_resets() -> Tensor:
    resets = torch.zeros(TIME, BATCH, dtype=torch.bool)
    for time, row in ((0, 0), (2, 0), (2, 2), (4, 3), (5, 0), (5, 2), (0, 1)):
        resets[time, row] = True
    return resets


def context_of(subject: Any, batch: int = BATCH, dtype: torch.dtype = torch.float64) -> Any:
    if not subject.takes_context:
        return None
    return Topic(torch.linspace(-1, 1, 2 * batch, dtype=dtype).view(batch, 2))
