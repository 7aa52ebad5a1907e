"""A forecaster in tensors: one step, chunks, resets, what is judged and what is expected."""

from __future__ import annotations

import copy
import io
import itertools
from typing import Any, get_args

import pytest
import torch
from models.series_rows import ALL, NAN, future_of, lstm, made, rows, targets, vectors_of

import recurra
from recurra.encoders import SeriesSteps
from recurra.errors import ShapeError
from recurra.heads import Distribution
from recurra.heads.densities import LEAST_RATE
from recurra.models import SeriesModel, SeriesModelConfig, SeriesModelSettings
from recurra.models.frames import spread_of
from recurra.models.horizon import next_of
from recurra.models.intervals import LEVELS

KINDS = ("student", "gaussian", "mixture")


def part(steps: SeriesSteps, some: slice) -> SeriesSteps:
    return SeriesSteps(*(each[some] for each in steps))


def series(steps: int = 12, **settings: Any) -> tuple[SeriesModel, recurra.Batch]:
    """A model that carries its state, and what it reads: a step before each origin."""
    model = made(layers=2, **ALL | settings)
    return model, recurra.Batch(rows(model, steps, 3, steps), targets(model, 3, steps))


@pytest.mark.parametrize("cell", ["lstm", "gru", "grud"])
@pytest.mark.parametrize("kind", KINDS)
def test_whole_chunks_and_steps(kind: str, cell: str) -> None:
    model, batch = series(distribution=kind, cell=cell)
    whole = model.judge(batch)
    total = model(batch).total.detach()
    assert float(whole.surprise.nansum()) == pytest.approx(float(total), abs=1e-9)
    for sizes in ((5, 7), (1,) * 12):
        state, found, said, at = None, [], [], 0
        for size in sizes:
            some = slice(at, at + size)
            steps = part(batch.inputs, some)
            judged = model.judge(recurra.Batch(steps, batch.targets[some]), state)
            expected, _ = model.expect(steps, state)
            torch.testing.assert_close(expected.mean, judged.expected.mean)
            found.append(judged.surprise)
            said.append(judged.expected.deviation)
            state, at = judged.state, at + size
        torch.testing.assert_close(torch.cat(found), whole.surprise, equal_nan=True)
        torch.testing.assert_close(torch.cat(said), whole.expected.deviation)


def test_a_reset_begins_anew() -> None:
    model, batch = series()
    resets = torch.zeros(12, 3, dtype=torch.bool)
    resets[5] = True
    whole = model.judge(recurra.Batch(batch.inputs, batch.targets, resets)).surprise
    alone = model.judge(recurra.Batch(part(batch.inputs, slice(5, None)), batch.targets[5:]))
    torch.testing.assert_close(whole[5:], alone.surprise, equal_nan=True)
    assert not torch.equal(whole[5:], model.judge(batch).surprise[5:])


def test_missing_values_are_in_no_loss_and_no_gradient() -> None:
    model, batch = series(horizon=2)
    losses, known, _ = model.losses(batch)
    assert torch.equal(known, ~batch.targets.isnan())
    assert not losses[~known].any()
    score = model(batch)
    assert score.count == int(known.sum())
    torch.testing.assert_close(score.total, losses.sum())
    score.total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    nothing = recurra.Batch(batch.inputs, torch.full_like(batch.targets, NAN))
    assert (float(model(nothing).total.detach()), model(nothing).count) == (0.0, 0)
    assert model.judge(nothing).surprise.isnan().all()


@pytest.mark.parametrize("missing", ["mark", "forward"])
@pytest.mark.parametrize("normalize", ["none", "last", "mean", "standard", "robust"])
def test_rows_without_a_value_have_finite_gradients(normalize: str, missing: str) -> None:
    model = made(look_back=8, horizon=2, normalize=normalize, missing=missing, linear=True)
    steps = rows(model)
    steps.values[:, 0] = NAN
    steps.values[:, 1] = 4.0
    model(recurra.Batch(steps, targets(model))).total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_it_learns_a_line() -> None:
    model = made(distribution="gaussian", layers=2, cell="gru").train()
    steps = rows(model, 40, 8)
    comes = (steps.values + 0.5)[:, :, None]  # what comes is what was, and half more
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = model.loss(recurra.Batch(steps, comes))
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.5


# ---- by hand -------------------------------------------------------------------------------------


@pytest.mark.parametrize("horizon", [1, 3])
def test_a_forecast_by_hand(horizon: int) -> None:
    """Level, scale, state, what is known ahead, the last value, and the linear map."""
    model = made(
        look_back=8, horizon=horizon, distribution="gaussian", normalize="standard", around="last",
        linear=True, **ALL,
    )  # fmt: skip
    steps = rows(model)
    said, _ = model.forecast(steps)
    mean = steps.values.nanmean(0)
    scale = (steps.values - mean).square().nanmean(0).sqrt()
    inward = (steps.values - mean) / scale
    h, _ = lstm(model, vectors_of(model, steps, inward))[-1]
    numbers = (
        h @ model.numbers_head.projection.weight.T + model.numbers_head.projection.bias
    ).view(3, horizon, 2, 2)
    net: Any = model.future
    wide = h @ net.state.weight.T + net.state.bias
    wide = (wide[:, None] + future_of(model, steps) @ net.known.weight.T).clamp(min=0)
    numbers = numbers + (wide @ net.out.weight.T + net.out.bias).view(3, horizon, 2, 2)
    assert model.linear is not None
    for row in range(3):
        for channel in range(2):
            own = steps.values[:, row, channel]
            last = own[~own.isnan()][-1]
            mapped = model.linear.weight @ inward[:, row, channel].nan_to_num(0.0)
            level = last + scale[row, channel] * (mapped + model.linear.bias)
            raw = numbers[row, :, channel]
            torch.testing.assert_close(
                said.mean[row, :, channel], level + scale[row, channel] * raw[:, 0],
                rtol=0, atol=1e-6,
            )  # fmt: skip
            spread = scale[row, channel] * (raw[:, 1].exp().log1p() + 1e-3)
            torch.testing.assert_close(said.scale[row, :, channel], spread, rtol=0, atol=1e-6)


def test_several_origins_are_as_many_forecasts() -> None:
    """Of a carried state each is what was said after so many steps; patches stand apart."""
    for patch, settings in (
        (1, {}),
        (2, {"look_back": 4, "normalize": "mean", "around": "season"}),
    ):
        model = made(horizon=3, patch=patch, season=3, **ALL | settings)  # type: ignore[arg-type]
        steps = rows(model, 10, 3, 3)
        many, _ = model.densities(steps, 3)
        for origin in range(3):
            stop = 10 - (2 - origin) * patch
            some = SeriesSteps(
                *(each[:stop] for each in steps[:4]),
                *(each[origin : origin + 1] for each in steps[4:]),
            )
            (one, _) = model.densities(some, 1)
            torch.testing.assert_close(many.mean[origin], one.mean[0])
            torch.testing.assert_close(many.scale[origin], one.scale[0])


# ---- distributions -------------------------------------------------------------------------------


@pytest.mark.parametrize("decoding", ["direct", "parallel", "autoregressive"])
@pytest.mark.parametrize("kind", get_args(Distribution))
def test_every_distribution_learns_and_says(kind: str, decoding: str) -> None:
    if kind == "quantiles" and decoding == "autoregressive":
        with pytest.raises(ValueError, match="quantiles"):
            SeriesModelSettings(distribution=kind, decoding=decoding)
        return
    more = {"normalize": "mean"} if decoding == "direct" else {}
    known = {key: ALL[key] for key in ("known", "categories", "ahead")} | {"ahead": [True, True]}
    model = made(
        distribution=kind, decoding=decoding, look_back=8, horizon=4, **known | more
    ).train()
    batch = recurra.Batch(rows(model), targets(model))
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    before = float(model.loss(batch).detach())
    for _ in range(5):
        optimizer.zero_grad()
        model.loss(batch).backward()
        optimizer.step()
    assert float(model.loss(batch).detach()) < before
    said, _ = model.forecast(batch.inputs, paths=20, generator=torch.Generator().manual_seed(0))
    shares = [said.quantile(share) for share in (0.05, 0.5, 0.95)]
    for found in (*shares, said.mean, said.deviation):
        assert found.shape == (3, 4, 2)
        assert found.isfinite().all()
    assert all((low <= high).all() for low, high in itertools.pairwise(shares))
    low, high = model.interval(said, 0.8)
    assert (low <= high).all()
    if kind in ("poisson", "negative-binomial") and decoding != "autoregressive":
        assert all((found >= 0).all() and torch.equal(found, found.round()) for found in shares)


def test_counts_by_hand() -> None:
    model = made(look_back=8, horizon=2, distribution="poisson", normalize="mean")
    steps = rows(model)
    said, _ = model.forecast(steps)
    scale = 1 + steps.values.abs().nanmean(0)
    h, _ = lstm(model, vectors_of(model, steps, steps.values / scale))[-1]
    raw = h @ model.numbers_head.projection.weight.T + model.numbers_head.projection.bias
    rate = raw.view(3, 2, 2).exp().log1p() + LEAST_RATE
    torch.testing.assert_close(said.mean, rate * scale[:, None])
    for wrong in ({"linear": True}, {"around": "last"}, {"normalize": "standard"}):
        with pytest.raises(ValueError, match="whole numbers"):
            SeriesModelConfig(channels=1, distribution="poisson", **wrong)  # type: ignore[arg-type]


def test_levels_are_those_that_models_on_disk_have_widths_of() -> None:
    assert LEVELS == (0.2, 0.4, 0.6, 0.8, 0.9, 0.95)


def test_intervals_are_as_much_wider_as_was_measured() -> None:
    model = made(look_back=8, horizon=2, distribution="gaussian")
    said, _ = model.forecast(rows(model))
    plain = {level: model.interval(said, level) for level in (0.5, 0.8, 0.9, 0.99)}
    for level, (low, high) in plain.items():
        torch.testing.assert_close(low, said.quantile((1 - level) / 2))
        torch.testing.assert_close(high, said.quantile((1 + level) / 2))
    model.widening.copy_(torch.arange(1.0, 25.0).view(len(LEVELS), 2, 2))
    found, beyond = model.widening[LEVELS.index(0.8)], model.widening[-1]
    between = (model.widening[1] + model.widening[2]) / 2  # of 0.4 and 0.6
    for level, more in ((0.8, found), (0.5, between), (0.99, beyond)):
        low, high = model.interval(said, level)
        torch.testing.assert_close(low, plain[level][0] - more * said.scale)
        torch.testing.assert_close(high, plain[level][1] + more * said.scale)
    model.widening.fill_(-1e6)  # never the wrong way round
    low, high = model.interval(said, 0.8)
    torch.testing.assert_close(low, high)


@pytest.mark.parametrize("apart", [False, True])
def test_intervals_of_points_go_by_how_far_their_rows_have_moved(apart: bool) -> None:
    model = made(look_back=8, horizon=2, distribution="squared", normalize="last", apart=apart)
    model.widening.fill_(1.0)
    steps = rows(model)
    said, _ = model.forecast(steps)
    low, high = model.interval(said, 0.8)
    spread = spread_of(steps.values[-8:])[:, None].expand_as(low)
    torch.testing.assert_close(high - low, 2 * spread)


# ---- copies and refusals -------------------------------------------------------------------------


def test_copies_and_files_say_the_same() -> None:
    model = made(look_back=8, horizon=3, normalize="robust", apart=True, linear=True, **ALL)
    model.widening.fill_(0.5)
    steps = rows(model)
    said, _ = model.forecast(steps)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = SeriesModel(model.config).double()
    other.load_state_dict(torch.load(file))
    for one in (copy.deepcopy(model), other):
        found, _ = one.forecast(steps)
        for mine, theirs in zip(found, said, strict=True):
            assert torch.equal(mine, theirs)
        assert torch.equal(one.interval(found, 0.7)[0], model.interval(said, 0.7)[0])
    again = SeriesModelConfig.model_validate(model.config.model_dump())
    assert again == model.config


def test_next_of_keeps_what_is_no_tensor() -> None:
    model = made(look_back=8, horizon=3, distribution="quantiles")
    density, _ = model.densities(rows(model), 1)
    assert torch.equal(next_of(density).values, density.values[:, :, 0])
    assert next_of(density).shares == density.shares


@pytest.mark.parametrize("decoding", ["direct", "parallel", "autoregressive"])
def test_wrong_shapes(decoding: str) -> None:
    model = made(look_back=8, horizon=3, decoding=decoding, distribution="squared")
    steps, comes = rows(model), targets(model)
    with pytest.raises(ShapeError, match="expected 4 numbers a step"):
        model(recurra.Batch(steps._replace(values=steps.values[..., :1]), comes))
    for wrong in (comes[:, :1], comes[..., :1], comes[:, :, :2]):
        if decoding == "autoregressive" and wrong.shape[2] < 3:
            continue
        with pytest.raises(ShapeError, match=r"targets: expected"):
            model(recurra.Batch(steps, wrong))
    if decoding == "parallel":
        with pytest.raises(
            ShapeError, match=r"targets: expected \[1, 3, 3, 2\].*got \[2, 3, 3, 2\]"
        ):
            model(recurra.Batch(steps, torch.cat([comes, comes])))


def test_refuses() -> None:
    for wrong in (
        {"channels": 0},
        {"channels": 1, "horizon": 0},
        {"channels": 1, "around": "mean"},
    ):
        with pytest.raises(ValueError, match=r"channels|horizon|around"):
            SeriesModelConfig(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="has seen the value it predicts"):
        SeriesModelConfig(channels=1, bidirectional=True)
