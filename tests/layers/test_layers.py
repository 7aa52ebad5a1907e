"""Layers by hand: what the laws do not say."""

import pytest
import torch
from laws.subjects import Leaky
from torch import nn

import recurra
from recurra import Bidirectional, GRUCell, LSTMCell, PaddedSequence, Recurrent, Stack, Zoneout
from recurra.errors import BackendError, SettingError, ShapeError
from recurra.lengths import Marks

X = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))


def test_stack_is_layer_after_layer():
    one, two = Recurrent(LSTMCell(4, 6)), Recurrent(GRUCell(6, 2))
    got = Stack([one, two])(X)
    below = one(X)
    above = two(below.outputs)
    assert torch.equal(got.outputs, above.outputs)
    assert torch.equal(got.last, above.last)
    assert torch.equal(got.state[0].c, below.state.c)
    assert torch.equal(got.state[1].h, above.state.h)


def test_residual_by_hand():
    one, two, three = Recurrent(GRUCell(4, 6)), Recurrent(GRUCell(6, 6)), Recurrent(GRUCell(6, 6))
    got = Stack([one, two, three], residual=True)(X, lengths=[5, 2, 0])
    a = one(X, lengths=[5, 2, 0]).outputs
    b = two(a, lengths=[5, 2, 0]).outputs + a
    c = three(b, lengths=[5, 2, 0]).outputs + b
    assert torch.equal(got.outputs, c)
    assert torch.equal(got.last, torch.stack([c[4, 0], c[1, 1], torch.zeros(6)]))


def test_residual_above_both_directions():
    """Each part of `last` is read where its direction ends, the residual with it; widths differ."""
    one = Recurrent(GRUCell(4, 4))
    two = Bidirectional(GRUCell(4, 3), GRUCell(4, 1))
    got = Stack([one, two], residual=True)(X, lengths=[5, 2, 0])
    outputs = got.outputs
    wanted = torch.stack(
        [
            torch.cat([outputs[4, 0, :3], outputs[0, 0, 3:]]),
            torch.cat([outputs[1, 1, :3], outputs[0, 1, 3:]]),
            torch.zeros(4),
        ]
    )
    assert torch.allclose(got.last, wanted, atol=1e-6)


def test_dropout_stands_between_layers_only():
    one, two = Recurrent(GRUCell(4, 50)), Recurrent(GRUCell(50, 50))
    stack = Stack([one, two], dropout=0.5)
    seen = []
    two.register_forward_hook(lambda *args: None)
    inner = two.through_time
    two.through_time = lambda inputs, *rest: (seen.append(inputs), inner(inputs, *rest))[1]
    torch.manual_seed(0)
    outputs = stack(X).outputs
    below = one(X).outputs
    dropped = seen[0] == 0
    assert 0.4 < dropped.float().mean() < 0.6
    assert torch.allclose(seen[0][~dropped], 2 * below[~dropped])
    assert (outputs != 0).all(), "nothing is dropped after the last layer"
    stack.eval()
    assert torch.equal(stack(X).outputs, inner(below, None, None, None).outputs)
    assert torch.equal(seen[-1], below)


def test_bidirectional_by_hand():
    ahead, behind = LSTMCell(4, 3), GRUCell(4, 2)
    layer = Bidirectional(ahead, behind)
    lengths = [5, 2, 0]
    got = layer(X, lengths=lengths)
    assert got.outputs.shape == (5, 3, 5)
    for row, length in enumerate(lengths):
        words = X[:length, row : row + 1]
        forward = Recurrent(ahead)(words)
        backward = Recurrent(behind)(words.flip(0))
        assert torch.allclose(got.outputs[:length, row, :3], forward.outputs[:, 0], atol=1e-6)
        assert torch.allclose(
            got.outputs[:length, row, 3:], backward.outputs.flip(0)[:, 0], atol=1e-6
        )
        joined = torch.cat([forward.last, backward.last], 1)
        assert torch.allclose(got.last[row], joined[0], atol=1e-6)
    summed = Bidirectional(GRUCell(4, 3), GRUCell(4, 3), merge="sum")
    parts = [summed.forward_layer(X), summed.backward_layer(X)]
    assert torch.equal(summed(X).outputs, parts[0].outputs + parts[1].outputs)
    assert torch.equal(summed(X).last, parts[0].outputs[-1] + parts[1].outputs[0])


def test_equal_to_torch_with_packed_rows():
    """Bidirectional LSTM over ragged rows against torch.nn and its PackedSequence."""
    theirs = nn.LSTM(4, 6, bidirectional=True)
    ours = Bidirectional(LSTMCell(4, 6), LSTMCell(4, 6))
    state = theirs.state_dict()
    for cell, end in ((ours.forward_layer.cell, ""), (ours.backward_layer.cell, "_reverse")):
        cell.load_state_dict(
            {
                "input_weight": state["weight_ih_l0" + end],
                "recurrent_weight": state["weight_hh_l0" + end],
                "bias": state["bias_ih_l0" + end] + state["bias_hh_l0" + end],
            }
        )
    sequence = PaddedSequence(X, torch.tensor([2, 5, 1]))
    got = ours(sequence)
    want, (h, c) = theirs(sequence.to_packed())
    want = PaddedSequence.from_packed(want)
    assert torch.allclose(got.outputs.values, want.values, atol=1e-6)
    assert torch.allclose(got.last, torch.cat([h[0], h[1]], 1), atol=1e-6)
    assert torch.allclose(got.state[1].c, c[1], atol=1e-6)


def test_a_users_cell_everywhere():
    """Ten lines: stacked, bidirectional, ragged, with resets, with zoneout around it, trained."""
    torch.manual_seed(0)
    layer = Stack(
        [
            Bidirectional(Zoneout(Leaky(1, 24), 0.05), Leaky(1, 24)),
            Recurrent(Zoneout(Leaky(48, 24), 0.05)),
        ],
        dropout=0.05,
    )
    read = nn.Linear(24, 1)
    generator = torch.Generator().manual_seed(1)
    rows = [torch.randn(n, 1, generator=generator) for n in torch.arange(40) % 12 + 1]
    sequence = PaddedSequence.from_list(rows)
    targets = sequence.mean()
    resets = torch.zeros(sequence.time, sequence.batch, dtype=torch.bool)
    resets[0] = True
    optimizer = torch.optim.Adam([*layer.parameters(), *read.parameters()], lr=0.01)
    losses = []
    for _ in range(150):
        _, last, _ = layer(sequence, resets=resets)
        loss = (read(last) - targets).square().mean()
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.25 * losses[0]
    with torch.no_grad():
        changed = [r.clone() for r in rows]
        changed[3][0] += 1
        other = layer.eval()(PaddedSequence.from_list(changed)).last
        same = layer(sequence).last
    differs = (other != same).any(1).nonzero().flatten().tolist()
    assert differs == [3]


def test_context_reaches_every_cell():
    from laws.subjects import ContextCell, Topic

    stack = Stack([Recurrent(ContextCell(4, 4)), Recurrent(ContextCell(4, 4))])
    one = stack(X, context=Topic(torch.zeros(3, 2))).outputs
    two = stack(X, context=Topic(torch.tensor([[0.0, 0], [0, 1], [0, 0]]))).outputs
    assert (one != two).any(0).any(1).tolist() == [False, True, False]


def test_a_backend_can_be_forced():
    cell = GRUCell(4, 3)
    a = Recurrent(cell, backend="loop")(X).outputs
    assert torch.allclose(a, Recurrent(cell, backend="aten")(X).outputs, atol=1e-6)
    with pytest.raises(BackendError, match="cannot run this call"):
        Recurrent(Leaky(4, 3), backend="aten")(X)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Stack([]), SettingError, "at least one layer"),
        (lambda: Stack([GRUCell(2, 3)]), SettingError, "layer 0 is a GRUCell"),
        (
            lambda: Stack([Recurrent(GRUCell(2, 3)), Recurrent(GRUCell(2, 3))]),
            SettingError,
            "layer 1 reads 2 numbers, but layer 0 gives 3",
        ),
        (
            lambda: Stack([Recurrent(GRUCell(2, 3)), Recurrent(GRUCell(3, 4))], residual=True),
            SettingError,
            "3 -> 4",
        ),
        (
            lambda: Stack([Recurrent(GRUCell(2, 3))], dropout=1.0),
            SettingError,
            "expected 0 <= rate < 1, got 1.0",
        ),
        (lambda: Bidirectional(GRUCell(2, 3), GRUCell(3, 3)), SettingError, "2 and 3"),
        (
            lambda: Bidirectional(GRUCell(2, 3), GRUCell(2, 4), merge="sum"),
            SettingError,
            "3 and 4",
        ),
        (
            lambda: Bidirectional(GRUCell(2, 3), GRUCell(2, 3), merge="add"),
            SettingError,
            "'concatenate' or 'sum'",
        ),
        (lambda: Bidirectional(cell := GRUCell(2, 3), cell), SettingError, "Pass two cells"),
        (
            lambda: Recurrent(GRUCell(4, 3), reverse=True)(X, recurra.HiddenState(X[0])),
            ShapeError,
            "not causal",
        ),
        (
            lambda: Stack([Recurrent(GRUCell(4, 3))])(X, recurra.HiddenState(X[0])),
            ShapeError,
            "state of GRUCell|tuple of 1",
        ),
        (
            lambda: Recurrent(GRUCell(4, 3))(PaddedSequence(X, [1, 2, 3]), lengths=[1, 2, 3]),
            ShapeError,
            "beside a PaddedSequence",
        ),
        (
            lambda: Recurrent(GRUCell(4, 3))(X.transpose(0, 1), lengths=[5, 4, 3]),
            ShapeError,
            "which is time",
        ),
        (lambda: Recurrent(GRUCell(4, 3))(X[:, 0]), ShapeError, r"inputs\.unsqueeze\(1\)"),
        (lambda: Recurrent(GRUCell(4, 3))(X[0, 0]), ShapeError, "time, batch"),
    ],
)
def test_what_does_not_fit_is_named(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_each_direction_begins_from_its_own_state():
    both = Bidirectional(GRUCell(4, 3), LSTMCell(4, 2))
    h, c = torch.randn(3, 3, requires_grad=True), torch.randn(3, 2, requires_grad=True)
    start = (recurra.HiddenState(h), recurra.LSTMState(c.tanh(), c))
    lengths = torch.tensor([5, 2, 0])
    got = both(X, start, lengths=lengths)
    ahead = both.forward_layer(X, start[0], lengths=lengths)
    marks = Marks((5, 3, X.device), lengths)
    behind = both.backward_layer.through_time(X, marks, start[1], None)
    assert torch.equal(got.outputs, torch.cat([ahead.outputs, behind.outputs], -1))
    assert torch.equal(got.state[1].c, behind.state.c)
    assert not torch.equal(got.outputs, both(X, lengths=lengths).outputs)
    assert all(grad.abs().sum() > 0 for grad in torch.autograd.grad(got.outputs.sum(), [h, c]))
    own = both(X, both.initial_state(3), lengths=lengths)
    assert torch.equal(own.outputs, both(X, (None, None), lengths=lengths).outputs)
    assert torch.equal(own.outputs, both(X, lengths=lengths).outputs)
    stack = Stack([both, Recurrent(GRUCell(5, 2))])
    above = recurra.HiddenState(torch.randn(3, 2))
    wanted = stack.layers[1](got.outputs, above, lengths=lengths)
    assert torch.equal(stack(X, (start, above), lengths=lengths).outputs, wanted.outputs)
    assert torch.equal(
        stack(X, (None, above), lengths=lengths).outputs,
        stack.layers[1](own.outputs, above, lengths=lengths).outputs,
    )


def test_where_directions_ended_is_no_state_to_go_on_from():
    both = Bidirectional(GRUCell(4, 3), GRUCell(4, 3))
    stack = Stack([both, Bidirectional(GRUCell(6, 3), GRUCell(6, 3))])
    ended = both(X).state
    for layer, state in ((both, ended), (stack, stack(X).state)):
        with pytest.raises(ShapeError, match=r"Bidirectional is not causal .* a plain pair"):
            layer(X, state)
    assert both(X, tuple(ended)).outputs.shape == (5, 3, 6)  # said in so many words
    for wrong in (ended[0], ended[0].h, [None, None], (None,)):
        with pytest.raises(ShapeError, match="state of Bidirectional: expected a pair"):
            both(X, wrong)


def test_packed_rows_and_arrays_are_read():
    layer = Recurrent(GRUCell(4, 3))
    sequence = PaddedSequence(X, torch.tensor([2, 5, 1]))
    wanted = layer(sequence)
    got = layer(sequence.to_packed())
    assert isinstance(got.outputs, PaddedSequence)
    assert torch.equal(got.outputs.values, wanted.outputs.values)
    assert torch.equal(layer(X.numpy()).outputs, layer(X).outputs)
