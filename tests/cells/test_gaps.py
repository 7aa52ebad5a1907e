"""GRU-D: from time stamps, and what its gaps, flags and mean do."""

import numpy as np
import torch
from cells.oracles import (
    BATCH,
    EXACT,
    HIDDEN,
    INPUT,
    TIME,
    grud_step,
    numbers,
    random_cell,
    random_inputs,
    worst,
)

import recurra
from recurra.cells import GappedInput, GRUDState
from recurra.engine import run


def grud_from_stamps(cell, values, seen, stamps):
    """The paper's recipe: intervals and last values are made from the time stamps beforehand."""
    p, h, outputs = numbers(cell), np.zeros((BATCH, HIDDEN)), []
    delta, last = np.zeros((TIME, BATCH, INPUT)), np.zeros((TIME, BATCH, INPUT))
    for b in range(BATCH):
        for d in range(INPUT):
            for t in range(TIME):
                before = [s for s in range(t) if seen[s, b, d]]
                since = before[-1] if before else 0
                delta[t, b, d] = stamps[t, b] - stamps[since, b]
                last[t, b, d] = values[before[-1], b, d] if before else p["mean"][d]
    for t in range(TIME):
        h = grud_step(p, values[t], seen[t], delta[t], last[t], h)
        outputs.append(h)
    return np.stack(outputs), delta


def test_grud_from_time_stamps():
    cell = random_cell("grud")
    values, seen, _ = random_inputs(cell)
    seen[:, 0, 0] = False  # a feature that never comes
    seen[0, 1] = False  # a row that starts with nothing
    seen[1:4, 2, 1] = False  # unseen for several steps between two sights
    seen[0, 2, 1] = seen[4, 2, 1] = True
    values = torch.randn_like(values).masked_fill(~seen, float("nan"))
    stamps = torch.tensor([[0.0, 2.0, 7.5], [1.0, 2.5, 7.5], [1.5, 9.0, 8.0]]).double()
    stamps = torch.cat([stamps, stamps[2:] + 0.25, stamps[2:] + 4])
    gap = torch.diff(stamps, dim=0, prepend=stamps[:1]).unsqueeze(2)
    got = recurra.named_values(run, cell, GappedInput(values, seen, gap))
    wanted, delta = grud_from_stamps(cell, values.numpy(), seen.numpy(), stamps.numpy())
    assert np.isfinite(wanted).all()
    assert worst(got["time unseen"], delta) <= EXACT
    assert worst(got.result.outputs, wanted) <= EXACT
    assert delta[4, 2, 1] == 4.5


def test_grud_flags_may_be_numbers():
    cell = random_cell("grud")
    x = random_inputs(cell)
    wanted = run(cell, x).outputs
    for dtype in (torch.float64, torch.int64):
        got = run(cell, x._replace(observed=x.observed.to(dtype))).outputs
        torch.testing.assert_close(got, wanted, rtol=EXACT, atol=EXACT)


def test_grud_takes_no_gradient_from_what_is_missing():
    cell = random_cell("grud")
    x = random_inputs(cell)
    values = x.x.requires_grad_()
    run(cell, x._replace(x=values)).outputs.sum().backward()
    assert not values.grad[~x.observed].any()
    assert values.grad[x.observed].all()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in cell.parameters())


def test_grud_keeps_its_mean():
    mean = torch.tensor([1.0, -2.0, 3.0])
    cell = recurra.GRUDCell(3, 4, mean=mean)
    mean.zero_()
    assert cell.mean.tolist() == [1.0, -2.0, 3.0]
    assert "mean" not in dict(cell.named_parameters())
    other = recurra.GRUDCell(3, 4)
    assert not other.mean.any()
    other.load_state_dict(cell.state_dict())
    assert other.mean.tolist() == [1.0, -2.0, 3.0]
    start = other.initial_state(2)
    assert isinstance(start, GRUDState)
    assert start.last.tolist() == [[1.0, -2.0, 3.0]] * 2
    # A value that was never seen is at its mean, however long ago nothing was seen.
    gap = 1 + torch.rand(4, 2, 1)
    nothing = GappedInput(torch.full((4, 2, 3), float("nan")), torch.zeros(4, 2, 3), gap)
    seen = recurra.named_values(run, other, nothing)
    assert torch.allclose(seen["filled input"], cell.mean.expand(4, 2, 3))


def test_grud_far_from_a_sight_is_at_the_mean():
    cell = random_cell("grud")
    with torch.no_grad():
        cell.input_decay.fill_(1.0)
        cell.hidden_decay.fill_(1.0)
    seen = torch.tensor([True, False]).view(2, 1, 1).expand(2, 1, INPUT)
    x = GappedInput(torch.ones(2, 1, INPUT).double(), seen, torch.tensor([0.0, 1e4]).view(2, 1, 1))
    found = recurra.named_values(run, cell, x._replace(gap=x.gap.double()))
    assert torch.allclose(found["filled input"][1, 0], cell.mean)
    assert (found["hidden decay"][1] == 0).all()
