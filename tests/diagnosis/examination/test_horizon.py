"""How far back is remembered, what is ignored, and what is needed: of cells that are known."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

import recurra
from recurra import Batch, ElmanCell, PaddedSequence, Recurrent
from recurra.diagnosis.changed import other_step
from recurra.diagnosis.examination.gates import gates
from recurra.diagnosis.examination.horizon import Response, distances, ignored, response
from recurra.diagnosis.examination.needs import needs
from recurra.diagnosis.subject import subject_of

TIME, BATCH = 20, 6


class Line(NamedTuple):
    held: Tensor


class DelayLine(recurra.Cell):
    """y_t = x_{t-n}."""

    def __init__(self, steps):
        super().__init__(1, steps, 1)

    def initial_state(self, batch):
        return Line(self.zeros(batch, self.hidden_size))

    def step(self, x, state, context=None, noise=None):
        return state.held[:, -1:], Line(torch.cat([x, state.held[:, :-1]], dim=1))


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def subject(module, inputs=None, **settings):
    inputs = torch.randn(TIME, BATCH, 1) if inputs is None else inputs
    loss = settings.pop("loss", lambda outputs, _: outputs[-1].pow(2).mean())
    return subject_of(module, Batch(inputs, settings.pop("targets", None)), loss, **settings)


def test_a_delay_line_remembers_one_step():
    found = response(subject(Recurrent(DelayLine(5))), number=TIME)
    assert list(found.at) == list(range(TIME))
    assert not np.delete(found.values, 5).any()
    assert found.horizon() == pytest.approx(5.0, abs=0.02)
    assert not found.open_ended
    many = response(subject(Recurrent(DelayLine(5)), torch.randn(TIME, 2000, 1)), number=TIME)
    assert many.values[5] == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("left", [0.5, 0.9, 0.97])
def test_a_leak_is_forgotten_as_it_is_calculated(left):
    r"""Of h_t = a h_{t-1} + x_t: r_k = a^k sqrt(1 - a^2), if all has been forgotten at the end."""
    cell = ElmanCell(1, 1, activation=None)
    with torch.no_grad():
        cell.recurrent_weight.fill_(left)
        cell.input_weight.fill_(1.0)
        cell.bias.zero_()
    found = response(subject(Recurrent(cell), torch.randn(200, 4000, 1)))
    start = (1 - left**2) ** 0.5
    near = found.at <= 10
    assert found.values[near] == pytest.approx(start * left ** found.at[near], rel=0.05)
    assert found.horizon() == pytest.approx(np.log(0.01 / start) / np.log(left), rel=0.05)


def test_a_reversed_line_remembers_as_far():
    """Of what reads from the end the first output is looked at, and the input behind it."""
    found = response(subject(Recurrent(DelayLine(5), reverse=True)), number=TIME)
    assert np.flatnonzero(found.values).tolist() == [5]
    assert found.horizon() == pytest.approx(5.0, abs=0.02)
    both = recurra.Bidirectional(DelayLine(2), DelayLine(7))
    found = response(subject(both), number=TIME)
    assert set(np.flatnonzero(found.values)) >= {2, 7}
    assert found.horizon() == pytest.approx(7.0, abs=0.02)


def test_what_has_no_steps_is_left_alone():
    """A row's own numbers, also where there are as many rows as steps."""

    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = Recurrent(DelayLine(2))

        def forward(self, inputs):
            return self.layer(inputs[0]).outputs + inputs[1]

    still = torch.randn(6, 1)
    batch = Batch((torch.randn(6, 6, 1), still), None, input_axis=(1, 0))
    steps = torch.full((6,), 3)
    changed = other_step(batch, steps)
    assert torch.equal(changed.inputs[1], still)
    made = subject_of(Two(), batch, lambda outputs, _: outputs[-1].sum())
    assert response(made).horizon() == pytest.approx(2.0, abs=0.02)


def test_lengths_count_from_each_rows_end():
    x = torch.randn(TIME, BATCH, 1)
    lengths = [20, 7, 12, 0, 1, 6]
    for row, length in enumerate(lengths):
        x[length:, row] = torch.nan
    padded = PaddedSequence(x, lengths)
    layer = Recurrent(DelayLine(5))
    made = subject(layer, padded, loss=lambda outputs, _: outputs.values.nan_to_num().sum())
    found = response(made, number=TIME)
    assert found.values[5] > 0
    assert not np.delete(found.values, 5).any()


def test_distances_are_all_of_few_and_some_of_many():
    assert list(distances(0)) == [0]
    assert list(distances(5)) == [0, 1, 2, 3, 4, 5]
    many = distances(1000)
    assert many[0] == 0
    assert many[-1] == 1000
    assert (np.diff(many) > 0).all()
    assert len(many) < 40


def test_a_horizon_between_two_distances():
    found = Response(np.array([0, 10, 20]), np.array([1.0, 0.1, 0.001]), 1.0)
    assert found.horizon(0.01) == pytest.approx(15.0)
    assert Response(np.array([0, 1]), np.array([0.0, 0.0]), 1.0).horizon() == 0.0


def test_outputs_that_never_differ():
    class Silent(DelayLine):
        def step(self, x, state, context=None, noise=None):
            y, state = super().step(x, state)
            return 0 * y + 3, state

    found = response(subject(Recurrent(Silent(2))))
    assert found.spread == 0
    assert found.horizon() == 0


def test_one_row_alone_takes_from_its_other_steps():
    found = response(subject(Recurrent(DelayLine(5)), torch.randn(TIME, 1, 1)), number=TIME)
    assert list(np.flatnonzero(found.values)) == [5]


@pytest.mark.parametrize("shape", [(TIME, BATCH), (TIME, BATCH, 2, 3)])
def test_another_step_is_that_of_another_row(shape):
    values = torch.arange(float(np.prod(shape))).reshape(shape)
    steps = torch.tensor([0, 5, TIME - 1, -1, TIME, 3])
    changed = other_step(Batch(values, None), steps).inputs
    for row, step in enumerate(steps):
        same = (changed[:, row] == values[:, row]).reshape(TIME, -1).all(1)
        wanted = [int(step)] if 0 <= step < TIME else []
        assert torch.flatten((~same).nonzero()).tolist() == wanted
        for at in wanted:
            others = [values[at, other] for other in range(BATCH) if other != row]
            assert any(torch.equal(changed[at, row], other) for other in others)


def test_ignored_steps_and_features():
    class Deaf(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = Recurrent(recurra.GRUCell(3, 4))

        def forward(self, inputs):
            inputs = inputs.clone()
            inputs[[3, 7]] = 0
            inputs[..., 1] = 0
            return self.layer(inputs).outputs

    x = torch.randn(TIME, BATCH, 3)
    found = ignored(subject(Deaf(), x))
    assert list(found.steps) == [3, 7]
    assert list(found.features) == [1]
    assert found.looked == TIME
    hearing = ignored(subject(Recurrent(recurra.GRUCell(3, 4)), x))
    assert (list(hearing.steps), list(hearing.features)) == ([], [])
    constant = ignored(subject(Recurrent(recurra.GRUCell(3, 4)), torch.ones(TIME, BATCH, 3)))
    assert not constant.steps, "where every row reads the same nothing can be said"


def test_needs_of_a_delay_line():
    """A window of six steps holds what was read five steps before."""
    x = torch.randn(TIME, BATCH, 1)
    made = subject(
        Recurrent(DelayLine(5)),
        x,
        loss=lambda outputs, targets: (outputs[-1] - targets).pow(2).mean(),
        targets=x[TIME - 6],
        reference=float(x[TIME - 6].pow(2).mean()),
    )
    found = needs(made, 0.0, number=TIME)
    assert found.steps == 6
    assert found.loss == pytest.approx(0.0)


def test_needs_where_every_step_is_scored():
    """A module that is scored at every step: windows of w have read (w + 1) / 2 on the average."""

    class Scaled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.size = Recurrent(DelayLine(5)), torch.nn.Parameter(torch.ones(1))

        def forward(self, inputs):
            return self.size * self.layer(inputs).outputs

    x = torch.randn(210, BATCH, 1)
    targets = torch.cat([torch.zeros(5, BATCH, 1), x[:-5]])

    def loss(outputs, targets):
        return (outputs - targets).pow(2).mean()

    found = needs(subject_of(Scaled(), Batch(x, targets), loss, reference=1.0), 0.0, number=210)

    def missed(window):
        """Behind each cut the five symbols before it are not said."""
        cuts = [209 - behind for behind in range(1, 210) if behind % window == 0]
        lost = sum(float(targets[at + 1 : at + 6].pow(2).sum()) for at in cuts)
        return lost / targets.numel()

    first = next(window for window in range(6, 210) if missed(window) <= 0.05)
    assert found.steps == (first + 1) // 2
    assert found.loss == pytest.approx(missed(first), rel=1e-4)


def test_needs_are_unknown_where_nothing_was_gained():
    assert needs(subject(Recurrent(DelayLine(5))), 1.0) is None
    assert needs(subject(Recurrent(DelayLine(5)), reference=1.0), 0.99) is None


def test_gates_and_units():
    cell = ElmanCell(1, 4)
    with torch.no_grad():
        cell.recurrent_weight.zero_()
        cell.input_weight.fill_(0.1)
        cell.bias.copy_(torch.tensor([0.0, 20.0, -20.0, 0.0]))
        cell.input_weight[3] = 0
    (row,) = gates(subject(Recurrent(cell))).rows
    assert (row.key, row.kind, row.units) == ("cell: state.h", "state", 4)
    assert row.stuck == (1, 2)
    assert set(row.still) == {1, 2, 3}
    lstm = recurra.LSTMCell(1, 4, forget_bias=50.0)
    table = gates(subject(Recurrent(lstm)))
    rows = {each.key: each for each in table.rows}
    assert rows["cell: forget gate"].open == 1.0
    assert rows["cell: forget gate"].shut == 0.0
    assert rows["cell: forget gate"].stuck == (0, 1, 2, 3)
    assert "forget gate" in str(table)
