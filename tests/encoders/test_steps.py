"""Vectors of the steps of series, against loops written out."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from recurra.cells import GRUDCell
from recurra.encoders import GappedSteps, SeriesSteps, StepVectors
from recurra.encoders.steps import beside_channels, last_known
from recurra.engine import explain, run

NAN = math.nan
TIME, ROWS, HORIZON = 7, 2, 3


def draw(*shape: int, seed: int = 0, missing: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(*shape, generator=generator, dtype=torch.float64)
    lost = torch.rand(*shape, generator=generator) < missing
    return values.masked_fill(lost, NAN)


def whole(*shape: int, count: int, seed: int = 0) -> Tensor:
    return torch.randint(0, count, shape, generator=torch.Generator().manual_seed(seed))


def rows(**more: Any) -> SeriesSteps:
    known = {
        "values": draw(TIME, ROWS, 2, missing=0.3),
        "past": draw(TIME, ROWS, 1, seed=1, missing=0.3),
        "ahead": draw(TIME, ROWS, 2, seed=2, missing=0.1),
        "codes": torch.stack([whole(TIME, ROWS, count=c) for c in (3, 40)], -1),
        "future": draw(4, ROWS, HORIZON, 2, seed=3),
        "future_codes": torch.stack(
            [whole(4, ROWS, HORIZON, count=c, seed=1) for c in (3, 40)], -1
        ),
    }
    return SeriesSteps(**known | more)


def made(**more: Any) -> StepVectors:
    torch.manual_seed(0)
    known = {"channels": 2, "past": 1, "known": 2, "categories": [3, 40], "ahead": [False, True]}
    return StepVectors(**known | more).double()  # type: ignore[arg-type]


@pytest.mark.parametrize("forward", [False, True])
def test_a_vector_by_hand(forward: bool) -> None:
    vectors, steps = made(forward=forward), rows()
    found = vectors(steps, steps.values)
    assert found.shape == (TIME, ROWS, vectors.output_size)
    assert vectors.output_size == 2 * (2 + 1) + 2 + 2 + 8
    for row in range(ROWS):
        last = [NAN, NAN]
        for step in range(TIME):
            values, wanted = steps.values[step, row].tolist(), []
            for channel, value in enumerate(values):
                last[channel] = last[channel] if math.isnan(value) else value
                read = last[channel] if forward else value
                wanted.append(0.0 if math.isnan(read) else read)
            wanted += [float(math.isnan(value)) for value in values]
            past = float(steps.past[step, row])
            wanted += [0.0 if math.isnan(past) else past, float(math.isnan(past))]
            wanted += [0.0 if math.isnan(x) else x for x in steps.ahead[step, row].tolist()]
            for table, code in zip(vectors.embeddings, steps.codes[step, row], strict=True):
                wanted += table.weight[code].tolist()
            assert found[step, row].tolist() == wanted


def test_what_is_known_of_the_steps_to_come() -> None:
    vectors, steps = made(), rows()
    found = vectors.future(steps)
    assert vectors.future_size == 2 + 8
    wanted = torch.cat([steps.future, vectors.embeddings[1].weight[steps.future_codes[..., 1]]], -1)
    assert torch.equal(found, wanted)
    lost = steps._replace(future=steps.future.masked_fill(steps.future > 0, NAN))
    assert torch.equal(vectors.future(lost)[..., :2], steps.future.clamp(max=0))


def test_what_is_not_known_ahead_is_not_read_of_the_future() -> None:
    vectors, steps = made(), rows()
    other = steps.future_codes.clone()
    other[..., 0] = 2 - other[..., 0]
    assert torch.equal(vectors.future(steps), vectors.future(steps._replace(future_codes=other)))


def test_a_category_that_was_not_there_is_one() -> None:
    vectors, steps = made(), rows(codes=torch.zeros(TIME, ROWS, 2, dtype=torch.int64))
    vectors(steps, steps.values).sum().backward()
    for table in vectors.embeddings:
        assert table.weight.grad is not None
        assert table.weight.grad[0].eq(TIME * ROWS).all()
        assert not table.weight.grad[1:].any()


def test_vectors_of_few_categories_are_narrow() -> None:
    widths = [
        t.embedding_dim for t in made(categories=[1, 2, 5, 100], ahead=[False] * 4).embeddings
    ]
    assert widths == [1, 1, 3, 8]


@pytest.mark.parametrize("missing", [0.0, 0.5, 1.0])
def test_last_known(missing: float) -> None:
    values = draw(TIME, ROWS, 3, missing=missing)
    found = last_known(values)
    for row in range(ROWS):
        for channel in range(3):
            last = NAN
            for step in range(TIME):
                value = float(values[step, row, channel])
                last = last if math.isnan(value) else value
                assert str(float(found[step, row, channel])) == str(last)


def test_channels_as_rows() -> None:
    steps = rows()
    apart = beside_channels(steps)
    assert apart.values.shape == (TIME, 2 * ROWS, 1)
    for row in range(ROWS):
        for channel in range(2):
            place = row * 2 + channel
            for part, own in zip(apart[1:3], steps[1:3], strict=True):
                torch.testing.assert_close(part[:, place], own[:, row], equal_nan=True)
            torch.testing.assert_close(
                apart.values[:, place, 0], steps.values[:, row, channel], equal_nan=True
            )
            assert torch.equal(apart.future[:, place], steps.future[:, row])
            assert torch.equal(apart.codes[:, place, :2], steps.codes[:, row])
            assert apart.codes[:, place, 2].eq(channel).all()
            assert torch.equal(apart.future_codes[:, place, :, :2], steps.future_codes[:, row])
            assert apart.future_codes[:, place, :, 2].eq(channel).all()


def test_one_step_on() -> None:
    steps, value = rows(), draw(1, ROWS, 2, seed=9)
    one = steps.one_ahead(value, 2)
    assert torch.equal(one.values, value)
    assert one.past.isnan().all()
    assert one.past.shape == (1, ROWS, 1)
    assert torch.equal(one.ahead[0], steps.future[-1, :, 2])  # known of the third step
    assert torch.equal(one.codes[0], steps.future_codes[-1, :, 2])


# ---- gaps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("gaps", [False, True])
def test_what_a_cell_with_decay_reads(gaps: bool) -> None:
    vectors, steps = made(), rows(past=draw(TIME, ROWS, 1, seed=5).abs())
    stem = GappedSteps(vectors, gaps=gaps)
    x, observed, gap = stem(vectors(steps, steps.values))
    assert x.shape == observed.shape == (TIME, ROWS, stem.output_size)
    assert torch.equal(x[..., :2], steps.values.nan_to_num(0.0))
    assert torch.equal(observed[..., :2], (~steps.values.isnan()).double())
    assert torch.equal(x[..., 2:3], steps.past)
    assert observed[..., 2:].eq(1).all()
    assert torch.equal(gap, steps.past if gaps else torch.ones_like(steps.past))
    everything = vectors(steps, steps.values)
    assert torch.equal(x[..., 3:], everything[..., 6:])


def test_a_cell_with_decay_runs_native_and_as_the_loop() -> None:
    vectors, steps = made(), rows()
    stem = GappedSteps(vectors, gaps=True)
    read = stem(vectors(steps, steps.values).detach())
    cell = GRUDCell(stem.output_size, 5).double()
    (choice,) = explain(cell, read).choices
    assert choice.backend == "native", choice.reason
    found = {}
    for backend in ("native", "loop"):
        cell.zero_grad()
        result = run(cell, read, backend=backend)
        result.outputs.square().sum().backward()
        found[backend] = [result.outputs, *(p.grad.clone() for p in cell.parameters())]
    for one, other in zip(*found.values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
