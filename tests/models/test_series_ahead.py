"""Many steps ahead: patches in parallel, answers that are read again, what is known ahead."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from models.series_rows import ALL, NAN, future_of, lstm, made, rows, targets, vectors_of
from torch import Tensor, nn

import recurra
from recurra.encoders import SeriesSteps
from recurra.heads import Samples
from recurra.heads.densities import raw_of
from recurra.models import SeriesModel
from recurra.models.horizon import PatchesAhead

AHEAD: dict[str, Any] = {"known": 2, "categories": [3, 6], "ahead": [True, True]}
DECODINGS = ("direct", "parallel", "autoregressive")


def said_of(model: SeriesModel, steps: SeriesSteps) -> Tensor:
    """What is said, with draws that are always the same."""
    found, _ = model.forecast(steps, paths=7, generator=torch.Generator().manual_seed(0))
    return found.mean


def head_of(model: SeriesModel, h: Tensor) -> Tensor:
    projection = model.numbers_head.projection
    assert projection.bias is not None
    return h @ projection.weight.T + projection.bias


# ---- patches in parallel -------------------------------------------------------------------------


@pytest.mark.parametrize("patch", [1, 2])
@pytest.mark.parametrize("known", [True, False])
def test_patches_by_hand(patch: int, known: bool) -> None:
    """Five steps ahead; the last patch is read with zeros behind its end, and cut."""
    more = ALL if known else {}
    model = made(
        look_back=8, horizon=5, patch=patch, decoding="parallel", distribution="squared",
        normalize="mean", **more,
    )  # fmt: skip
    steps = rows(model)
    said, _ = model.forecast(steps)
    mean, scale = steps.values.nanmean(0), steps.values.abs().nanmean(0)
    each = vectors_of(model, steps, (steps.values - mean) / scale)
    joined = [torch.cat(each[at : at + patch], 1) for at in range(0, 8, patch)]
    ahead: Any = model.ahead
    assert isinstance(ahead, PatchesAhead)
    future = nn.functional.pad(future_of(model, steps), (0, 0, 0, -5 % patch)) if known else None
    for number in range(-(-5 // patch)):
        vector = ahead.numbers[number].expand(3, -1)
        if future is not None:
            own = future[:, number * patch : (number + 1) * patch].flatten(1)
            vector = vector + own @ ahead.known.weight.T + ahead.known.bias
        h, _ = lstm(model, [*joined, vector])[-1]
        wanted = head_of(model, h).view(3, patch, 2) * scale[:, None] + mean[:, None]
        found = said.mean[:, number * patch : (number + 1) * patch]
        torch.testing.assert_close(found, wanted[:, : found.shape[1]])


# ---- answers that are read again -----------------------------------------------------------------


@pytest.mark.parametrize("apart", [False, True])
def test_paths_of_a_first_order_autoregression(apart: bool) -> None:
    """x' = c + a x + e, of which mean and variance k steps ahead are known."""
    a, c, noise = 0.8, 0.5, 0.3
    model = made(
        look_back=1, horizon=6, decoding="autoregressive", distribution="gaussian", linear=True,
        apart=apart, channels=2,
    )  # fmt: skip
    with torch.no_grad():
        model.numbers_head.projection.weight.zero_()
        bias = [0.0, raw_of(noise)] * (1 if apart else 2)
        model.numbers_head.projection.bias.copy_(torch.tensor(bias))
        assert model.linear is not None
        model.linear.weight.fill_(a)
        model.linear.bias.fill_(c)
    steps, paths = rows(model, 1, missing=0), 4000
    drawn = model.forecast(steps, paths=paths, generator=torch.Generator().manual_seed(0))[0].values
    assert drawn.shape == (3, 6, 2, paths)
    for step in range(1, 7):
        mean = a**step * steps.values[0] + c * (1 - a**step) / (1 - a)
        deviation = noise * math.sqrt((1 - a ** (2 * step)) / (1 - a**2))
        found = drawn[:, step - 1]
        assert (found.mean(-1) - mean).abs().max() < 4.5 * deviation / math.sqrt(paths)
        assert (found.std(-1) - deviation).abs().max() < 4.5 * deviation / math.sqrt(2 * paths)
        if step > 1:  # of one path the steps hang together
            both = torch.stack([drawn[0, step - 2, 0], found[0, 0]])
            before = noise * math.sqrt((1 - a ** (2 * step - 2)) / (1 - a**2))
            assert float(torch.corrcoef(both)[0, 1]) == pytest.approx(
                a * before / deviation, abs=0.05
            )


def test_paths_of_a_row_go_on_from_its_own_state() -> None:
    """Nearly without noise each row has the forecast that it has alone."""
    model = made(
        look_back=8, horizon=5, decoding="autoregressive", distribution="gaussian",
        normalize="mean", around="last", **AHEAD,
    )  # fmt: skip
    with torch.no_grad():
        projection = model.numbers_head.projection
        assert projection.bias is not None
        projection.weight[1::2] = 0  # of the scales
        projection.bias[1::2] = -50
    steps = rows(model)
    together, _ = model.forecast(steps, paths=3)
    for row in range(3):
        own = SeriesSteps(*(part[:, row : row + 1] for part in steps))
        alone, _ = model.forecast(own, paths=3)
        torch.testing.assert_close(together.mean[row], alone.mean[0], atol=0.03, rtol=0)
    apart = (together.mean[0] - together.mean[1]).abs().amin(0)
    assert float(apart.max()) > 0.1


def test_draws_are_those_of_their_seed() -> None:
    model = made(look_back=8, horizon=4, decoding="autoregressive", **AHEAD)
    steps = rows(model)
    one, other, third = (
        model.forecast(steps, paths=5, generator=torch.Generator().manual_seed(seed))[0].values
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, other)
    assert not torch.equal(one, third)
    found, _ = model.forecast(steps, paths=5, generator=torch.Generator().manual_seed(0))
    assert isinstance(found, Samples)
    assert torch.equal(found.values, one)


@pytest.mark.parametrize("around", ["level", "last", "season"])
@pytest.mark.parametrize("kind", ["squared", "absolute"])
def test_a_number_alone_is_trained_on_what_it_reads_of_itself(kind: str, around: str) -> None:
    """Loss and gradient are those of a forecast that is rolled by hand."""
    model = made(
        look_back=8, horizon=5, decoding="autoregressive", distribution=kind,
        normalize="standard", around=around, season=3, linear=True, **AHEAD,
    )  # fmt: skip
    assert model.rolls
    steps, comes = rows(model, missing=0.0), targets(model)
    found = model(recurra.Batch(steps, comes))
    found.total.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()

    mean = steps.values.mean(0)
    scale = (steps.values - mean).square().mean(0).sqrt()
    vectors = vectors_of(model, steps, (steps.values - mean) / scale)
    values, said = list(steps.values), []
    assert model.linear is not None
    for step in range(5):
        h, _ = lstm(model, vectors)[-1]
        last = {"level": mean, "last": values[-1], "season": values[-3]}[around]
        window = (torch.stack(values[-8:]) - mean) / scale
        mapped = torch.einsum("trc,t->rc", window, model.linear.weight[0]) + model.linear.bias
        value = last + scale * (head_of(model, h) + mapped)
        said.append(value)
        values.append(value)
        if step < 4:
            read = (value - mean) / scale
            parts = [read, torch.zeros_like(read), steps.future[-1, :, step + 1].nan_to_num(0.0)]
            for place, table in enumerate(model.vectors.embeddings):
                parts.append(table.weight[steps.future_codes[-1, :, step + 1, place]])
            vectors.append(torch.cat(parts, 1))
    errors = torch.stack(said, 1) - comes[0]
    errors = errors[~comes[0].isnan()]
    total = (errors.square() if kind == "squared" else errors.abs()).sum()
    torch.testing.assert_close(found.total, total)
    assert found.count == len(errors)
    total.backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(gradients[name], parameter.grad)
    rolled, _ = model.forecast(steps)
    torch.testing.assert_close(rolled.mean, torch.stack(said, 1).detach())


def test_a_density_is_trained_by_the_chain_rule() -> None:
    """Each step after those that came, not after those that were said."""
    model = made(
        look_back=8, horizon=5, decoding="autoregressive", distribution="gaussian", **AHEAD
    )
    steps = rows(model, 10, 3, 3)
    comes = targets(model, 3, 3)
    losses, _, _ = model.losses(recurra.Batch(steps, comes))
    assert losses.shape == (3, 3, 1, 2)
    assert not model.rolls
    for origin in range(3):
        stop = 8 + origin
        some = SeriesSteps(*(each[:stop] for each in steps[:4]), *steps[4:])
        one, _, _ = model.losses(recurra.Batch(some, comes[origin : origin + 1]))
        torch.testing.assert_close(one[0], losses[origin])


# ---- channels apart ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["student", "mixture", "quantiles", "squared"])
@pytest.mark.parametrize("decoding", DECODINGS)
def test_channels_apart_are_series_of_their_own(decoding: str, kind: str) -> None:
    if decoding == "autoregressive" and kind != "squared":
        return  # drawn: see the paths above
    settings: dict[str, Any] = {
        "look_back": 8, "horizon": 3, "decoding": decoding, "distribution": kind,
        "normalize": "standard", "around": "last", "linear": True,
    }  # fmt: skip
    together = made(apart=True, **settings, **AHEAD)
    ahead = [*AHEAD["ahead"], decoding == "parallel"]
    alone = made(channels=1, **settings | AHEAD | {"categories": [3, 6, 2], "ahead": ahead})
    weights = {n: p for n, p in together.state_dict().items() if n not in ("widening", "ranks")}
    alone.load_state_dict(weights, strict=False)
    steps, comes = rows(together), targets(together)
    said, _ = together.forecast(steps)
    losses, known, _ = together.losses(recurra.Batch(steps, comes))
    for channel in range(2):

        def numbered(codes: Tensor, channel: int = channel) -> Tensor:
            return torch.cat([codes, torch.full_like(codes[..., :1], channel)], -1)

        own = steps._replace(
            values=steps.values[..., channel : channel + 1],
            codes=numbered(steps.codes),
            future_codes=numbered(steps.future_codes),
        )
        found, _ = alone.forecast(own)
        for mine, theirs in zip(found, said, strict=True):
            if isinstance(mine, Tensor):
                torch.testing.assert_close(mine[:, :, 0], theirs[:, :, channel])
        one, there, _ = alone.losses(recurra.Batch(own, comes[..., channel : channel + 1]))
        torch.testing.assert_close(one[..., 0], losses[..., channel])
        assert torch.equal(there[..., 0], known[..., channel])


# ---- what is known ahead, and what is not --------------------------------------------------------


@pytest.mark.parametrize("step", [0, 2, 4])
@pytest.mark.parametrize(("decoding", "patch"), [("direct", 1), ("parallel", 1), ("parallel", 2),
                                                 ("autoregressive", 1)])  # fmt: skip
def test_what_is_known_of_a_step_reaches_it(decoding: str, patch: int, step: int) -> None:
    model = made(look_back=8, horizon=5, decoding=decoding, patch=patch, **AHEAD)
    steps = rows(model)
    before = said_of(model, steps)
    future, codes = steps.future.clone(), steps.future_codes.clone()
    future[:, :, step, 1] += 1
    codes[:, :, step, 0] = (codes[:, :, step, 0] + 1) % 3
    for changed in (steps._replace(future=future), steps._replace(future_codes=codes)):
        reached = (said_of(model, changed) != before).flatten(2).any(-1).any(0).tolist()
        wanted = [other == step for other in range(5)]
        if decoding == "parallel":
            wanted = [other // patch == step // patch for other in range(5)]
        if decoding == "autoregressive":  # of the first step it stands in the last row
            wanted = [step > 0 and other >= step for other in range(5)]
        assert reached == wanted


@pytest.mark.parametrize("decoding", DECODINGS)
def test_what_is_known_of_the_next_step_is_read_with_the_last(decoding: str) -> None:
    model = made(look_back=8, horizon=3, decoding=decoding, **AHEAD)
    steps = rows(model, missing=0.0)
    ahead = steps.ahead.clone()
    ahead[-1, :, 0] += 1
    assert (said_of(model, steps._replace(ahead=ahead)) != said_of(model, steps)).all()


@pytest.mark.parametrize("bad", [NAN, math.inf, 1e30])
@pytest.mark.parametrize(
    "settings",
    [
        {"normalize": "standard", "around": "last", "linear": True},
        {"normalize": "last", "around": "season", "patch": 2},
        {"decoding": "autoregressive", "normalize": "robust", "missing": "forward"},
        {"apart": True, "normalize": "mean", "linear": True},
        {"cell": "grud", "missing": "forward"},
        {"look_back": None},
    ],
)
def test_no_step_reads_what_comes_after_it(settings: dict[str, Any], bad: float) -> None:
    """Of several origins the first does not change by a bit, whatever stands behind it."""
    model = made(horizon=3, season=3, **{"look_back": 8} | ALL | settings)
    patch = model.config.patch
    steps = rows(model, 8 + 2 * patch, 3, 3)
    changed = SeriesSteps(*(each.clone() for each in steps))
    for part in (changed.values, changed.past, changed.ahead):
        part[8:] = bad
    changed.codes[8:] = 0
    changed.future[1:] = bad
    changed.future_codes[1:] = 0
    one, other = (model.densities(each, 3)[0] for each in (steps, changed))
    for mine, theirs in zip(one, other, strict=True):
        assert torch.equal(mine[0], theirs[0])
        assert not torch.equal(mine[2], theirs[2])
