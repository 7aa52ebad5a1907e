"""Gradients by distance: of cells whose gradients are known, of any layer, of padded rows."""

import numpy as np
import pytest
import torch
from torch import nn

import recurra
from recurra import Batch, Bidirectional, ElmanCell, GRUCell, LSTMCell, PaddedSequence, Recurrent
from recurra.diagnosis.examination.flow import gradient_flow
from recurra.diagnosis.subject import Ran, Subject, subject_of
from recurra.errors import ShapeError

TIME, BATCH = 12, 4


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def linear(weight):
    """h_t = W h_{t-1} + x_t."""
    cell = ElmanCell(3, 3, activation=None).double()
    with torch.no_grad():
        cell.recurrent_weight.copy_(weight)
        cell.input_weight.copy_(torch.eye(3))
        cell.bias.zero_()
    return cell


def rows(width=3):
    return torch.randn(TIME, BATCH, width, dtype=torch.float64)


def last_sum(outputs, targets):
    return outputs[-1].sum() / outputs.shape[1]


def test_a_linear_cell_has_the_norms_of_its_powers():
    weight = 0.5 * torch.randn(3, 3, dtype=torch.float64)
    flow = gradient_flow(subject_of(Recurrent(linear(weight)), Batch(rows(), None), last_sum))
    (norms,) = flow.norms.values()
    asked = torch.ones(3, dtype=torch.float64) / BATCH
    for distance in range(TIME):
        wanted = (torch.linalg.matrix_power(weight.T, distance) @ asked).norm()
        assert norms[distance] == pytest.approx(float(wanted), rel=1e-12)
    assert flow.furthest == TIME - 1
    assert flow.finite


def test_the_factor_is_that_of_a_step():
    flow = gradient_flow(
        subject_of(Recurrent(linear(0.8 * torch.eye(3).double())), Batch(rows(), None), last_sum)
    )
    assert flow.factor == pytest.approx(0.8, rel=1e-9)
    assert flow.kept == pytest.approx(0.8 ** np.arange(TIME), rel=1e-9)
    assert flow.within(0.5) == 3


def test_a_loss_at_every_step_is_followed_from_several():
    """Each anchor sees the loss of its own step alone: what later steps add is not in it."""
    layer = Recurrent(linear(0.8 * torch.eye(3).double()))
    subject = subject_of(layer, Batch(rows(), None), lambda outputs, _: outputs.sum())
    flow = gradient_flow(subject, anchors=3)
    (norms,) = flow.norms.values()
    assert norms == pytest.approx(3**0.5 * 0.8 ** np.arange(TIME), rel=1e-9)
    (low,) = flow.low.values()
    assert low == pytest.approx(norms)


def test_padding_takes_no_part():
    """Of rows of other lengths, with NaN behind, as of each alone."""
    layer, x, lengths = Recurrent(LSTMCell(3, 5).double()), rows(), [12, 0, 5, 9]
    for row, length in enumerate(lengths):
        x[length:, row] = torch.nan

    def ends(outputs, _):
        return sum(outputs.values[n - 1, r].sum() for r, n in enumerate(lengths) if n)

    flow = gradient_flow(subject_of(layer, Batch(PaddedSequence(x, lengths), None), ends))
    alone = []
    for row, length in enumerate(lengths):
        if length:
            one = Batch(x[:length, row : row + 1], None)
            (norms,) = gradient_flow(
                subject_of(layer, one, lambda o, _: o[-1].sum())
            ).norms.values()
            alone.append(np.pad(norms, (0, TIME - length), constant_values=np.nan))
    (norms,) = flow.norms.values()
    assert norms == pytest.approx(np.nanmedian(alone, axis=0), rel=1e-9)


def test_layers_and_directions_have_their_own():
    stack = recurra.Stack([Recurrent(GRUCell(3, 4)), Recurrent(GRUCell(4, 4))]).double()
    flow = gradient_flow(subject_of(stack, Batch(rows(), None), last_sum))
    assert list(flow.norms) == ["layers.0.cell", "layers.1.cell"]
    both = Bidirectional(GRUCell(3, 4), GRUCell(3, 4)).double()
    flow = gradient_flow(
        subject_of(both, Batch(rows(), None), lambda outputs, _: outputs[[0, -1]].sum())
    )
    assert list(flow.norms) == ["forward_layer.cell", "backward_layer.cell"]
    for norms in flow.norms.values():
        assert (norms > 0).all(), "one direction from the last step, the other from the first"


def test_a_cell_that_runs_twice_is_followed_in_each_run():
    """Of h_t = a h_{t-1} + x_t above itself: a^k in the upper run, (k + 1) a^k in the lower."""
    layer = Recurrent(linear(0.8 * torch.eye(3).double()))
    flow = gradient_flow(
        subject_of(recurra.Stack([layer, layer]), Batch(rows(), None), last_sum), anchors=1
    )
    assert list(flow.norms) == ["layers.0.cell", "layers.0.cell (2)"]
    steps = np.arange(TIME)
    asked = 3**0.5 / BATCH
    assert flow.norms["layers.0.cell (2)"] == pytest.approx(asked * 0.8**steps, rel=1e-9)
    assert flow.norms["layers.0.cell"] == pytest.approx(asked * (steps + 1) * 0.8**steps, rel=1e-9)


def test_the_last_outputs_of_both_directions():
    """Each direction's own last output: the loss is followed from both ends."""
    encoder = Bidirectional(GRUCell(3, 6), GRUCell(3, 6)).double()
    said = nn.Linear(12, 1).double()

    class Ends(Subject):
        def run(self, batch):
            read = encoder(batch.inputs)
            return Ran(read.outputs, said(read.last).sum(), 1, read.last)

    flow = gradient_flow(Ends(encoder, Batch(rows(), None)))
    for place, norms in flow.norms.items():
        assert norms[0] > 0, place
        assert (norms > 0).all(), place


def test_torch_modules_after_conversion():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.LSTM(3, 4, num_layers=2)

        def forward(self, inputs):
            return self.rnn(inputs)[0]

    net = recurra.convert(Net().double())
    flow = gradient_flow(subject_of(net, Batch(rows(), None), last_sum))
    assert len(flow.norms) == 2
    assert all((norms > 0).all() for norms in flow.norms.values())


def test_modes_and_gradients_are_left_as_they_were():
    layer = Recurrent(GRUCell(3, 4, recurrent_dropout=0.5).double()).train()
    gradient_flow(subject_of(layer, Batch(rows(), None), last_sum))
    assert layer.training
    assert all(p.grad is None for p in layer.parameters())


def test_one_step():
    flow = gradient_flow(
        subject_of(Recurrent(GRUCell(3, 4).double()), Batch(rows()[:1], None), last_sum)
    )
    assert flow.furthest == 0
    assert flow.kept == pytest.approx([1.0])


def test_what_has_nothing_to_follow():
    with pytest.raises(ShapeError, match=r"no cell ran through.*recurra\.convert"):
        gradient_flow(subject_of(nn.Linear(3, 3).double(), Batch(rows(), None), last_sum))
    with pytest.raises(ShapeError, match="expected loss="):
        subject_of(nn.Linear(3, 3), Batch(rows(), None))
    with pytest.raises(ShapeError, match=r"expected a recurra\.Batch"):
        subject_of(nn.Linear(3, 3), rows())
    with pytest.raises(ShapeError, match="which have steps"):
        subject_of(nn.Linear(3, 3), Batch(torch.zeros(4, 3), None, input_axis=0), last_sum)


class Last(nn.Module):
    """Gives its last step alone."""

    def __init__(self):
        super().__init__()
        self.layer = Recurrent(GRUCell(3, 5))

    def forward(self, x):
        return self.layer(x)[0][-1]


def test_outputs_without_steps():
    batch = Batch(torch.randn(6, 4, 3), torch.zeros(4, 5), target_axis=0)
    with pytest.raises(ShapeError, match=r"expected outputs \[time, batch=4, ...\], got \[4, 5\]"):
        recurra.diagnosis.examine(Last(), batch, loss=nn.functional.mse_loss)
