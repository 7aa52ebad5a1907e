"""A forecaster in tensors: windows, resets, what is judged and what is expected."""

from __future__ import annotations

import math

import pytest
import torch

import recurra
from recurra.models import SeriesModel, SeriesModelConfig
from recurra.sequences import PaddedSequence

KINDS = ("student", "gaussian", "mixture")


def made(kind: str = "student", **settings: object) -> SeriesModel:
    torch.manual_seed(0)
    known = {"channels": 2, "hidden_size": 6, "layers": 2, "components": 3, "distribution": kind}
    return SeriesModel(SeriesModelConfig(**known | settings)).double().eval()  # type: ignore[arg-type]


def series(steps: int = 12, rows: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """What is read (values and marks of what is missing), and what comes."""
    values = torch.randn(steps + 1, rows, 2, generator=torch.Generator().manual_seed(1)).double()
    values[4, 1, 0] = values[6, 2] = math.nan
    missing = values.isnan()
    read = torch.cat([values.masked_fill(missing, 0), missing.double()], -1)
    return read[:-1], values[1:]


@pytest.mark.parametrize("kind", KINDS)
def test_whole_chunks_and_steps(kind: str) -> None:
    model, (read, comes) = made(kind), series()
    whole = model.judge(recurra.Batch(read, comes))
    total = model(recurra.Batch(read, comes)).total.detach()
    assert float(whole.surprise.nansum()) == pytest.approx(float(total), abs=1e-9)
    for sizes in ((5, 7), (1,) * 12):
        state, found, said, at = None, [], [], 0
        for size in sizes:
            part = recurra.Batch(read[at : at + size], comes[at : at + size])
            judged = model.judge(part, state)
            expected, _ = model.expect(read[at : at + size], state)
            torch.testing.assert_close(expected.mean, judged.expected.mean)
            found.append(judged.surprise)
            said.append(judged.expected.deviation)
            state, at = judged.state, at + size
        torch.testing.assert_close(torch.cat(found), whole.surprise, equal_nan=True)
        torch.testing.assert_close(torch.cat(said), whole.expected.deviation)


def test_a_reset_begins_anew_and_padding_is_not_there() -> None:
    model, (read, comes) = made(), series()
    resets = torch.zeros(12, 3, dtype=torch.bool)
    resets[5] = True
    whole = model.judge(recurra.Batch(read, comes, resets)).surprise
    alone = model.judge(recurra.Batch(read[5:], comes[5:])).surprise
    torch.testing.assert_close(whole[5:], alone, equal_nan=True)
    lengths = torch.tensor([12, 3, 7])
    behind = (torch.arange(12).unsqueeze(1) >= lengths).unsqueeze(2)
    ragged = recurra.Batch(
        PaddedSequence(read.masked_fill(behind, math.nan), lengths),
        PaddedSequence(comes.masked_fill(behind, math.nan), lengths),
    )
    rows = model.judge(ragged).surprise.to_list()
    every = model.judge(recurra.Batch(read, comes)).surprise
    for row, found in enumerate(rows):
        torch.testing.assert_close(found, every[: len(found), row], equal_nan=True)


def test_it_learns_a_line() -> None:
    model = made("gaussian").train()
    read, comes = series(40, 8)
    comes = read[..., :2] + 0.5  # what comes is what was, and half more
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = model.loss(recurra.Batch(read, comes))
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.5
