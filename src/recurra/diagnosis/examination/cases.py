"""Networks of which it is known what is wrong: for each condition one that has it, and one not.

They are what verdicts are held against; and something to look into, for those who learn.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from recurra.batch import Batch
from recurra.cells import Cell, ElmanCell, LSTMCell
from recurra.data.synthetic import AddingTask
from recurra.diagnosis.examination.examining import Examination, examine
from recurra.engine.torch_internals import without_compiler
from recurra.layers import Recurrent, Stack

__all__ = ["CASES", "Case", "Network", "Pair"]

_STEPS, _ROWS, _UNITS = 120, 16, 24


class Network(nn.Module):
    """A cell through time, or several above each other, and a linear map of the last output.

    Args:
        cell: what one step is; or the cells of layers, from below.
        answers: numbers that are said.
        deaf: a step whose input it never gets, or None.
    """

    def __init__(
        self, cell: Cell | Sequence[Cell], answers: int = 1, deaf: int | None = None
    ) -> None:
        super().__init__()
        cells = [cell] if isinstance(cell, Cell) else list(cell)
        layers = [Recurrent(each) for each in cells]
        self.layer = layers[0] if len(layers) == 1 else Stack(layers)
        self.deaf = deaf
        self.said = nn.Linear(cells[-1].output_size, answers)

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs ``[time, batch, hidden_size]``."""
        if self.deaf is not None:
            there = torch.ones(len(inputs), 1, 1)
            there[self.deaf] = 0
            inputs = inputs * there
        outputs: Tensor = self.layer(inputs).outputs
        return outputs

    def squared(self, outputs: Tensor, targets: Any) -> Tensor:
        """Mean squared error of what is said at the end."""
        return nn.functional.mse_loss(self.said(outputs[-1]), targets)

    def entropy(self, outputs: Tensor, targets: Any) -> Tensor:
        """Cross-entropy of what is said at the end."""
        return nn.functional.cross_entropy(self.said(outputs[-1]), targets)

    def fit(self, draw: Callable[[], Batch], steps: int, loss: Callable[..., Tensor]) -> None:
        """Some steps of Adam."""
        optimizer = without_compiler(torch.optim.Adam)(self.parameters(), lr=0.01)
        for _ in range(steps):
            batch = draw()
            optimizer.zero_grad()
            torch.autograd.backward(loss(self(batch.inputs), batch.targets))
            nn.utils.clip_grad_norm_(self.parameters(), 1.0)
            optimizer.step()


class Pair(nn.Module):
    """Two inputs, each read by a cell of its own, and a linear map of both last outputs.

    Args:
        first: reads the first input.
        second: reads the other.
        cut: whether the graph ends behind the second.
    """

    def __init__(self, first: Cell, second: Cell, cut: bool = False) -> None:
        super().__init__()
        self.cut = cut
        self.first, self.second = Recurrent(first), Recurrent(second)
        self.said = nn.Linear(first.output_size + second.output_size, 1)

    def forward(self, inputs: tuple[Tensor, Tensor]) -> Tensor:
        """Outputs side by side, ``[time, batch, both sizes]``."""
        one, other = inputs
        beside = self.second(other).outputs
        beside = beside.detach() if self.cut else beside
        return torch.cat([self.first(one).outputs, beside], -1)

    def squared(self, outputs: Tensor, targets: Any) -> Tensor:
        """As of :class:`Network`."""
        return nn.functional.mse_loss(self.said(outputs[-1]), targets)


class Case(NamedTuple):
    """A network with a condition, and one without.

    Args:
        has: of a seed one of which it must be said.
        lacks: of a seed one of which it must not.
        story: what they are.
    """

    has: Callable[[int], Examination]
    lacks: Callable[[int], Examination]
    story: str


def _adding(seed: int) -> Batch:
    return AddingTask(length=_STEPS).batch(_ROWS, seed=seed)


def _of_adding(
    seed: int, cell: Callable[[], Cell | Sequence[Cell]], deaf: int | None = None
) -> Examination:
    """An untrained network on the adding problem."""
    torch.manual_seed(seed)
    network = Network(cell(), deaf=deaf)
    return examine(network, _adding(seed), loss=network.squared, anchors=4)


def _of_two(seed: int, second: Callable[[int], Cell], cut: bool = False) -> Examination:
    """An untrained network on the adding problem, whose numbers and marks are two inputs."""
    torch.manual_seed(seed)
    network, batch = Pair(_gated(1), second(1), cut), _adding(seed)
    batch = dataclasses.replace(batch, inputs=(batch.inputs[..., :1], batch.inputs[..., 1:]))
    return examine(network, batch, loss=network.squared, anchors=4)


def _tanh(reads: int = 2) -> ElmanCell:
    return ElmanCell(reads, _UNITS)


def _fading(reads: int) -> ElmanCell:
    cell = _tanh(reads)
    with torch.no_grad():
        cell.recurrent_weight.mul_(0.8)  # orthogonal before
    return cell


def _gated(reads: int = 2) -> Cell:
    return LSTMCell(reads, _UNITS, forget_bias=5.0)


def _grown() -> Cell:
    cell = ElmanCell(2, _UNITS, activation="relu")
    with torch.no_grad():
        cell.recurrent_weight.normal_().abs_()  # of both signs half of the units would be shut
        radius = torch.linalg.eigvals(cell.recurrent_weight).abs().max()
        cell.recurrent_weight.mul_(1.5 / radius)
    return cell


def _loud() -> Cell:
    cell = _tanh()
    with torch.no_grad():
        cell.input_weight.mul_(500.0)
        if cell.bias is not None:
            cell.bias.uniform_(-100.0, 100.0)
    return cell


def _identity(dead: int = 0) -> Cell:
    cell = ElmanCell.irnn(2, _UNITS)
    with torch.no_grad():
        cell.recurrent_weight.mul_(0.9)
        cell.input_weight.abs_()
        if cell.bias is not None:
            cell.bias[:dead] = -1e4
    return cell


def _recalled(seed: int, back: int) -> Examination:
    """A plain network that was trained to say what it read so many steps before the end."""
    torch.manual_seed(seed)
    chance, steps = np.random.default_rng(seed), 60

    def draw(rows: int = _ROWS) -> Batch:
        numbers = torch.from_numpy(chance.standard_normal((steps, rows, 1), np.float32))
        return Batch(numbers, numbers[steps - 1 - back], target_axis=0)

    cell = ElmanCell(1, _UNITS)
    with torch.no_grad():
        cell.recurrent_weight.mul_(0.7)
    network = Network(cell)
    network.fit(draw, 300, network.squared)
    return examine(network, draw(8 * _ROWS), loss=network.squared, reference=1.0, anchors=4)


def _labels(seed: int, shuffled: bool) -> Examination:
    """A network that was trained to say which of two sums is larger, or what nobody can know."""
    torch.manual_seed(seed)
    chance, steps = np.random.default_rng(seed), 12

    def draw(rows: int = 4 * _ROWS) -> Batch:
        numbers = torch.from_numpy(chance.standard_normal((steps, rows, 2), np.float32))
        labels = (numbers.sum(0)[:, 0] > numbers.sum(0)[:, 1]).long()
        if shuffled:
            labels = labels[torch.from_numpy(chance.permutation(rows))]
        return Batch(numbers, labels, target_axis=0)

    network = Network(LSTMCell(2, _UNITS), answers=2)
    network.fit(draw, 150, network.entropy)
    batch = draw(256)
    return examine(network, batch, loss=network.entropy, reference=float(np.log(2)), anchors=4)


CASES = {
    "exploding": Case(
        lambda seed: _of_adding(seed, _grown),
        lambda seed: _of_adding(seed, _gated),
        "ReLU with a recurrent matrix above 0 of spectral radius 1.5; an LSTM with forget bias 5",
    ),
    "vanishing": Case(
        lambda seed: _of_adding(seed, _tanh),
        lambda seed: _of_adding(seed, _gated),
        "tanh from an orthogonal start, 120 steps; an LSTM with forget bias 5",
    ),
    "healthy": Case(
        lambda seed: _of_adding(seed, _gated),
        lambda seed: _of_adding(seed, _tanh),
        "an LSTM with forget bias 5, 120 steps; tanh from an orthogonal start",
    ),
    "healthy for this task": Case(
        lambda seed: _recalled(seed, 5),
        lambda seed: _recalled(seed, 55),
        "tanh, trained to say what it read 5 steps before; the same, 55 steps before",
    ),
    "vanishing in a layer": Case(
        lambda seed: _of_adding(seed, lambda: [_gated(), _tanh(_UNITS)]),
        lambda seed: _of_adding(seed, lambda: [_gated(), _gated(_UNITS)]),
        "an LSTM with forget bias 5, above it tanh from an orthogonal start; two such LSTMs",
    ),
    "vanishing of an input": Case(
        lambda seed: _of_two(seed, _fading),
        lambda seed: _of_two(seed, _gated),
        "one input read by an LSTM with forget bias 5, the other by tanh of spectral radius 0.8; "
        "both by such LSTMs",
    ),
    "unreached": Case(
        lambda seed: _of_two(seed, _gated, cut=True),
        lambda seed: _of_two(seed, _gated),
        "two LSTMs beside each other, the outputs of one cut from the graph; the same, not cut",
    ),
    "no signal": Case(
        lambda seed: _labels(seed, shuffled=True),
        lambda seed: _labels(seed, shuffled=False),
        "an LSTM, trained on shuffled labels; on those that belong to the inputs",
    ),
    "input ignored": Case(
        lambda seed: _of_adding(seed, _tanh, deaf=seed % 60),
        lambda seed: _of_adding(seed, _tanh),
        "a mask that drops one step; none",
    ),
    "saturated": Case(
        lambda seed: _of_adding(seed, _loud),
        lambda seed: _of_adding(seed, _tanh),
        "tanh with weights and biases of 100 and more; from the usual start",
    ),
    "dead": Case(
        lambda seed: _of_adding(seed, lambda: _identity(_UNITS // 3)),
        lambda seed: _of_adding(seed, _identity),
        "ReLU, a third of whose units have a bias of -10,000; biases of 0",
    ),
}
"""By the name of the condition."""
