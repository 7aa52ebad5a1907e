"""Drop-ins: what torch.nn does not have."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from layers.dropins import BACKENDS, HIDDEN, INPUT, KINDS, as_hx, as_list, near, start, twins
from torch.nn.utils.rnn import pack_padded_sequence

from recurra import GRU, LSTM, PaddedSequence

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_lengths_are_each_row_alone(
    kind: str, bidirectional: bool, batch_first: bool, backend: Any
) -> None:
    ours, theirs = twins(kind, bidirectional=bidirectional)
    ours.batch_first, ours.backend = batch_first, backend
    lengths = [3, 0, 5, 1]
    x = torch.randn(6, 4, INPUT)
    for row, length in enumerate(lengths):
        x[length:, row] = float("nan")
    x.requires_grad_()
    hx = [leaf.requires_grad_() for leaf in start(ours, 4)]
    output, ends = ours(x.transpose(0, 1) if batch_first else x, as_hx(hx), lengths=lengths)
    output = output.transpose(0, 1) if batch_first else output
    assert output.shape[:2] == (6, 4)
    weight = torch.randn_like(output)
    loss = (output * weight).sum() + sum(leaf.sum() for leaf in as_list(ends))
    wanted_loss: Any = 0
    for row, length in enumerate(lengths):
        assert not output[length:, row].any()
        first = [leaf[:, row : row + 1] for leaf in hx]
        after: Any = as_hx(first)
        if length:
            alone, after = theirs(x[:length, row : row + 1], as_hx(first))
            assert near(output[:length, row], alone[:, 0])
            wanted_loss = wanted_loss + (alone[:, 0] * weight[:length, row]).sum()
        for end, wanted in zip(as_list(ends), as_list(after), strict=True):
            assert near(end[:, row], wanted[:, 0])
            wanted_loss = wanted_loss + wanted.sum()
    got = torch.autograd.grad(loss, [x, *hx, *ours.parameters()])
    want = torch.autograd.grad(wanted_loss, [x, *hx, *theirs.parameters()])
    for a, b in zip(got, want, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_resets_are_sequences_of_their_own(kind: str, bidirectional: bool) -> None:
    """Rows cut where they are reset; a direction that reads from the end starts at the end."""
    ours, theirs = twins(kind, bidirectional=bidirectional)
    marks = [[2], [0, 3], [], [1, 2, 4]]
    x = torch.randn(5, 4, INPUT)
    resets = torch.zeros(5, 4, dtype=torch.bool)
    for row, times in enumerate(marks):
        resets[times, row] = True
    hx = start(ours, 4)
    output, ends = ours(x, as_hx(hx), resets=resets)
    backward = torch.arange(len(hx[0])) % 2 == 1 if bidirectional else torch.zeros(2).bool()
    for row, times in enumerate(marks):
        cuts = sorted({0, 5, *times})
        lasts = []
        for begin, end in itertools.pairwise(cuts):
            first = [torch.zeros_like(leaf[:, :1]) for leaf in hx]
            for part, given in zip(first, hx, strict=True):
                if begin == 0 and 0 not in times:
                    part[~backward, 0] = given[~backward, row]
                if end == 5:
                    part[backward, 0] = given[backward, row]
            alone, after = theirs(x[begin:end, row : row + 1], as_hx(first))
            assert near(output[begin:end, row], alone[:, 0])
            lasts.append(as_list(after))
        for got, first_piece, last_piece in zip(as_list(ends), lasts[0], lasts[-1], strict=True):
            assert near(got[~backward, row], last_piece[~backward, 0])
            at_start = 0 if 0 in times else first_piece[backward, 0]
            assert near(got[backward, row], at_start * torch.ones_like(got[backward, row]))


def test_resets_of_every_form() -> None:
    layer = GRU(INPUT, HIDDEN, 2)
    x = torch.randn(5, 3, INPUT)
    resets = torch.rand(5, 3) < 0.4
    wanted = layer(x, resets=resets)[0]
    turned = GRU(INPUT, HIDDEN, 2, batch_first=True)
    turned.load_state_dict(layer.state_dict())
    assert near(turned(x.transpose(0, 1), resets=resets.T)[0].transpose(0, 1), wanted)
    assert near(turned(x[:, 1], resets=resets[:, 1].tolist())[0], wanted[:, 1])
    packed = pack_padded_sequence(x, torch.tensor([3, 5, 2]), enforce_sorted=False)
    got = PaddedSequence.from_packed(turned(packed, resets=resets)[0])
    assert near(got.values, PaddedSequence(wanted, got.lengths).masked().values)


@pytest.mark.parametrize("kind", KINDS)
def test_states_are_those_after_each_prefix(kind: str) -> None:
    x = torch.randn(5, 3, INPUT)
    ours, theirs = twins(kind)
    hx = as_hx(start(ours, 3))
    output, ends, states = ours(x, hx, return_states=True)
    assert near(output, ours(x, hx)[0])
    for leaf, end in zip(as_list(states), as_list(ends), strict=True):
        assert leaf.shape == (2, 5, *end.shape[1:])
        assert near(leaf[:, -1], end)
    for time in range(5):
        after = as_list(theirs(x[: time + 1], hx)[1])
        assert all(near(a[:, time], b) for a, b in zip(as_list(states), after, strict=True))

    ours, theirs = twins(kind, 1, bidirectional=True)
    states = ours(x, return_states=True)[2]
    for time in range(5):
        after = as_list(theirs(x[time:])[1])
        assert all(near(a[1, time], b[1]) for a, b in zip(as_list(states), after, strict=True))


def test_states_of_every_form() -> None:
    layer, turned = LSTM(INPUT, HIDDEN, 2), LSTM(INPUT, HIDDEN, 2, batch_first=True)
    turned.load_state_dict(layer.state_dict())
    x, lengths = torch.randn(5, 3, INPUT), [2, 5, 1]
    wanted = layer(x, lengths=lengths, return_states=True)[2]
    mask = torch.arange(5)[:, None] < torch.tensor(lengths)
    for leaf in wanted:
        assert not leaf[:, ~mask].any()
        assert leaf[:, mask].all()
    packed = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
    found = {
        "turned": turned(x.transpose(0, 1), lengths=lengths, return_states=True)[2],
        "packed": turned(packed, return_states=True)[2],
        "padded": turned(PaddedSequence(x, lengths), return_states=True)[2],
    }
    for form, states in found.items():
        for got, want in zip(states, wanted, strict=True):
            assert near(got.transpose(1, 2) if form == "turned" else got, want), form
    for got, want in zip(turned(x[:2, 0], return_states=True)[2], wanted, strict=True):
        assert near(got, want[:, :2, 0])


@pytest.mark.parametrize("batch_first", [False, True])
def test_padded_rows_and_lists(batch_first: bool) -> None:
    layer = LSTM(INPUT, HIDDEN, 2, bidirectional=True, batch_first=batch_first)
    lengths = [2, 0, 4]
    rows = [torch.randn(n, INPUT) for n in lengths]
    padded = PaddedSequence.from_list(rows)
    hx = as_hx(start(layer, 3))
    values = padded.values.transpose(0, 1) if batch_first else padded.values
    wanted, (h_n, c_n) = layer(values, hx, lengths=torch.tensor(lengths, dtype=torch.int32))
    wanted = wanted.transpose(0, 1) if batch_first else wanted
    for given in (rows, padded):
        output, ends = layer(given, hx)
        assert isinstance(output, PaddedSequence)
        assert output.lengths.tolist() == lengths
        assert near(output.values, wanted)
        assert near(ends[0], h_n)
        assert near(ends[1], c_n)
    assert torch.equal(h_n[:, 1], hx[0][:, 1])


def test_nothing_to_read() -> None:
    layer = LSTM(INPUT, HIDDEN, 2, bidirectional=True)
    for x in (torch.randn(0, 3, INPUT), torch.randn(5, 0, INPUT)):
        hx = as_hx(start(layer, x.shape[1]))
        output, (h_n, c_n), states = layer(x, hx, return_states=True)
        assert output.shape == (*x.shape[:2], 2 * HIDDEN)
        assert torch.equal(h_n, hx[0])
        assert torch.equal(c_n, hx[1])
        assert states[0].shape == (4, *x.shape[:2], HIDDEN)
        output.sum().backward()
        assert all(p.grad is not None and not p.grad.any() for p in layer.parameters())
