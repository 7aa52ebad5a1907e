"""Steps of shapes that no layer of torch has: how much faster than a loop over the same step?

Training, forward and backward to floating inputs, context and weights, of cells that are written in
this file: a small memory that is read and written by content and by shifting, a clockwork RNN that
counts its steps, one that looks up ids inside the step, a decoder that attends to a memory of 30,
and convolutional LSTMs. The rivals are the same step called by ``backend="loop"``, and a plain
Python loop over it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from findings import Findings
from harness import keep, machine_in_words, measure
from rivals import LAYER_CODE, must_agree, trained
from torch import Tensor, nn
from torch.nn.functional import softmax

import recurra
from recurra.states import leaves

SEED = 0
ROWS, STEPS, WIDTH = 16, 100, 64
PLACES, WORD = 16, 16  # of the small memory
MEMORY = 30  # steps of what a decoder attends to
# Steps that are compared; rounding grows along the steps.
COMPARED = 20


class Tape(NamedTuple):
    """A hidden state, a memory ``[batch, places, word]``, and where it was read last."""

    h: Tensor
    memory: Tensor
    where: Tensor


class TapeCell(recurra.Cell):
    r"""A small neural Turing machine (Graves et al. 2014, arXiv:1410.5401): content, then shifting.

    .. math::

        w_t &= g_t \, \mathrm{softmax}(\beta_t \, M_{t-1} k_t) + (1 - g_t) w_{t-1}, \qquad
        \hat w_t = s_{t,0} \mathrm{roll}(w_t, 1) + s_{t,1} w_t + s_{t,2} \mathrm{roll}(w_t, -1) \\
        M_t &= M_{t-1} \odot (1 - \hat w_t e_t^\top) + \hat w_t a_t^\top
    """

    def __init__(self) -> None:
        super().__init__(WIDTH, WIDTH)
        self.read = nn.Linear(2 * WIDTH + WORD, WIDTH)
        self.head = nn.Linear(WIDTH, 3 * WORD + 5)

    def initial_state(self, batch: int) -> Tape:
        """An empty memory, read at its first place."""
        memory = self.zeros(batch, PLACES, WORD) + 0.01
        where = torch.eye(PLACES)[0].expand(batch, PLACES)
        return Tape(self.zeros(batch), memory, where)

    def step(
        self, x: Tensor, state: Tape, context: object = None, noise: object = None
    ) -> tuple[Tensor, Tape]:
        """The equations of the class."""
        read = (state.where.unsqueeze(1) @ state.memory).squeeze(1)
        h = torch.tanh(self.read(torch.cat([x, state.h, read], 1)))
        key, erase, add, more = self.head(h).split([WORD, WORD, WORD, 5], 1)
        scores = (state.memory @ key.unsqueeze(2)).squeeze(2)
        content = softmax(torch.exp(more[:, :1]) * scores, 1)
        gate = torch.sigmoid(more[:, 1:2])
        where = gate * content + (1 - gate) * state.where
        back, stay, ahead = softmax(more[:, 2:], 1).split(1, 1)
        where = back * where.roll(1, 1) + stay * where + ahead * where.roll(-1, 1)
        at = where.unsqueeze(2)
        memory = state.memory * (1 - at * torch.sigmoid(erase).unsqueeze(1))
        return h, Tape(h, memory + at * torch.tanh(add).unsqueeze(1), where)


class Counted(NamedTuple):
    """A hidden state and how many steps there were."""

    h: Tensor
    t: Tensor


class ClockworkCell(recurra.Cell):
    """Units that change at every step, every second, fourth, eighth (Koutník et al. 2014)."""

    def __init__(self) -> None:
        super().__init__(WIDTH, WIDTH)
        self.read = nn.Linear(2 * WIDTH, WIDTH)
        self.register_buffer("period", 2 ** (torch.arange(WIDTH) // (WIDTH // 4)))

    def initial_state(self, batch: int) -> Counted:
        """Nothing yet."""
        return Counted(self.zeros(batch), torch.zeros(batch, 1, dtype=torch.int64))

    def step(
        self, x: Tensor, state: Counted, context: object = None, noise: object = None
    ) -> tuple[Tensor, Counted]:
        """A unit changes where its period divides the step."""
        new = torch.tanh(self.read(torch.cat([x, state.h], 1)))
        h = torch.where(state.t % self.period == 0, new, state.h)
        return h, Counted(h, state.t + 1)


class ReadingCell(recurra.Cell):
    """A gated cell of ids, which it looks up itself."""

    def __init__(self) -> None:
        super().__init__(1, WIDTH)
        self.table = nn.Embedding(1000, WIDTH)
        self.gates = nn.Linear(2 * WIDTH, 2 * WIDTH)

    def example_input(self, batch: int) -> Tensor:
        """Ids."""
        return torch.zeros(batch, dtype=torch.int64)

    def initial_state(self, batch: int) -> recurra.HiddenState:
        """Zeros."""
        return recurra.HiddenState(self.zeros(batch))

    def step(
        self, x: Tensor, state: recurra.HiddenState, context: object = None, noise: object = None
    ) -> tuple[Tensor, recurra.HiddenState]:
        """A step of minGRU's kind."""
        keep, new = self.gates(torch.cat([self.table(x), state.h], 1)).chunk(2, 1)
        h = torch.lerp(torch.tanh(new), state.h, torch.sigmoid(keep))
        return h, recurra.HiddenState(h)


class Source(NamedTuple):
    """What a decoder attends to: ``[batch, MEMORY, WIDTH]``, and how much of it there is."""

    memory: Tensor
    lengths: Tensor


class AttendingCell(recurra.Cell):
    """A decoder's step with additive attention (Bahdanau et al. 2015, arXiv:1409.0473)."""

    takes_context = True

    def __init__(self) -> None:
        super().__init__(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.query = nn.Linear(WIDTH, WIDTH, bias=False)
        self.score = nn.Linear(WIDTH, 1, bias=False)
        self.gates = nn.Linear(3 * WIDTH, 2 * WIDTH)

    def initial_state(self, batch: int) -> recurra.HiddenState:
        """Zeros."""
        return recurra.HiddenState(self.zeros(batch))

    def step(
        self, x: Tensor, state: recurra.HiddenState, context: Any = None, noise: object = None
    ) -> tuple[Tensor, recurra.HiddenState]:
        """Attend, then a gated step."""
        asked = self.key(context.memory) + self.query(state.h).unsqueeze(1)
        scores = self.score(torch.tanh(asked)).squeeze(2)
        over = torch.arange(MEMORY) >= context.lengths.unsqueeze(1)
        weights = softmax(scores.masked_fill(over, -torch.inf), 1)
        found = torch.bmm(weights.unsqueeze(1), context.memory).squeeze(1)
        keep, new = self.gates(torch.cat([x, found, state.h], 1)).chunk(2, 1)
        h = torch.lerp(torch.tanh(new), state.h, torch.sigmoid(keep))
        return h, recurra.HiddenState(h)


class Pictures(NamedTuple):
    """What a convolutional LSTM carries, both ``[batch, channels, size, size]``."""

    h: Tensor
    c: Tensor


class ConvLSTMCell(recurra.Cell):
    """A convolutional LSTM (Shi et al. 2015, arXiv:1506.04214), of square pictures."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__(channels, channels)
        self.size = size
        self.gates = nn.Conv2d(2 * channels, 4 * channels, 3, padding=1)

    def example_input(self, batch: int) -> Tensor:
        """A picture."""
        return self.zeros(batch, self.input_size, self.size, self.size)

    def initial_state(self, batch: int) -> Pictures:
        """Zeros."""
        zeros = self.zeros(batch, self.hidden_size, self.size, self.size)
        return Pictures(zeros, zeros)

    def step(
        self, x: Tensor, state: Pictures, context: object = None, noise: object = None
    ) -> tuple[Tensor, Pictures]:
        """An LSTM's step, with a convolution for its products."""
        i, f, g, o = self.gates(torch.cat([x, state.h], 1)).chunk(4, 1)
        c = torch.sigmoid(f) * state.c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, Pictures(h, c)


class Case(NamedTuple):
    """A cell and what it is measured with.

    Args:
        cell: makes it.
        goal: how many times as fast as either loop.
        rows: of a batch.
        steps: of a row.
    """

    cell: Callable[[], recurra.Cell]
    goal: float
    rows: int = ROWS
    steps: int = STEPS


CASES = {
    "content and shift": Case(TapeCell, 5.0),
    "clockwork": Case(ClockworkCell, 5.0),
    "ids": Case(ReadingCell, 5.0),
    "attention": Case(AttendingCell, 4.0),
    "ConvLSTM 8 of 8x8": Case(lambda: ConvLSTMCell(8, 8), 1.0, steps=20),
    # The loop, which is chosen here, cannot be faster than itself: the rest is what measuring errs.
    "ConvLSTM 32 of 32x32": Case(lambda: ConvLSTMCell(32, 32), 0.95, rows=4, steps=10),
}


def inputs_of(cell: recurra.Cell, rows: int, steps: int) -> tuple[Tensor, Source | None]:
    """Random x of a call, and a context for the cell that reads one."""
    like = cell.example_input(1)
    assert isinstance(like, Tensor)
    shape = (steps, rows, *like.shape[1:])
    if not like.is_floating_point():
        return torch.randint(0, 1000, shape), None
    x = torch.randn(shape, requires_grad=True)
    if not cell.takes_context:
        return x, None
    memory = torch.randn(rows, MEMORY, WIDTH, requires_grad=True)
    return x, Source(memory, torch.arange(rows) % MEMORY + 1)


def rivals_of(name: str) -> dict[str, Callable[[], object]]:
    """Ours and both loops; ends the benchmark if their results differ."""
    case = CASES[name]
    torch.manual_seed(SEED)
    cell = case.cell()
    x, context = inputs_of(cell, case.rows, case.steps)

    def called(x: Tensor) -> Tensor:
        state, outputs = cell.initial_state(case.rows), []
        for now in x.unbind():
            y, state = cell.step(now, state, context)
            outputs.append(y)
        return torch.stack(outputs)

    def through(backend: str | None) -> Callable[[Tensor], Tensor]:
        return lambda x: recurra.run(cell, x, context=context, backend=backend).outputs

    runs = {"recurra": through(None), "loop": through("loop"), "eager loop": called}
    gradient = torch.randn_like(called(x).detach())
    given = [leaf for leaf in leaves(context) if leaf.is_floating_point()]

    def training(rival: str, x: Tensor) -> Callable[[], tuple[Tensor, ...]]:
        read = [*([x] if x.requires_grad else []), *given, *cell.parameters()]
        return trained(lambda: runs[rival](x), read, gradient[: len(x)])

    some = x[:COMPARED].detach().requires_grad_(x.requires_grad)
    for rival in ("loop", "eager loop"):
        must_agree(f"{name}, outputs", [runs["recurra"](some)], [runs[rival](some)])
        pair = (training(one, some)() for one in ("recurra", rival))
        must_agree(f"{name}, gradients", *pair, tolerance=5e-4)
    return {rival: training(rival, x) for rival in runs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=CASES)
    parser.add_argument("--threads", type=int, help="of all; torch's own choice if not given")
    given = parser.parse_args()
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    print(machine_in_words())
    found = Findings()
    for name in given.cases:
        goals = dict.fromkeys(("loop", "eager loop"), CASES[name].goal)
        found.add(name, measure(rivals_of(name), given.runs), goals)
    print(found.table())
    if len(found) < len(CASES):
        return
    keep(
        "own_steps",
        {
            "question": "training of steps of own shapes (a memory addressed by content and "
            "shifting, a counter, ids, attention over 30 steps, convolutional LSTMs), times as "
            f"fast as the same step in a loop ({ROWS} rows, {STEPS} steps, width {WIDTH}; "
            "pictures as named, with 16 rows of 20 steps and 4 of 10)",
            **found.to_json(),
        },
        [*LAYER_CODE, "benchmarks/own_steps.py"],
        seed=SEED,
        by_kind=True,
        void=found.void,
    )


if __name__ == "__main__":
    main()
