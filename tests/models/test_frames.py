"""Level and scale of rows, and what forecasts are differences from, against loops."""

from __future__ import annotations

import math
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from recurra.models.frames import (
    Around,
    Frame,
    Normalize,
    frame_of,
    spread_of,
    surroundings,
)

NAN = math.nan


def rows(steps: int = 11, seed: int = 0) -> Tensor:
    """A row with gaps, one without a value in a channel, and one that never changes."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(steps, 4, 2, generator=generator, dtype=torch.float64) * 3 + 10
    values[[0, 4, -1], 0] = NAN
    values[:, 1, 1] = NAN
    values[:, 2] = 7.0
    return values


def by_hand(normalize: str, own: np.ndarray) -> tuple[float, float]:
    own = own[~np.isnan(own)]
    if normalize == "none" or not len(own):
        return 0.0, 1.0
    if normalize == "last":
        return own[-1], 1.0
    if normalize == "robust":
        low, middle, high = np.percentile(own, [25, 50, 75])
        level, scale = middle, (high - low) / 1.349
    elif normalize == "mean":
        level, scale = own.mean(), np.abs(own).mean()
    else:
        level, scale = own.mean(), own.std()
    return level, scale if scale > 1e-3 else 1.0


@pytest.mark.parametrize("normalize", get_args(Normalize))
def test_frames_by_hand(normalize: Any) -> None:
    values = rows()
    frame = frame_of(values, normalize)
    for row in range(4):
        for channel in range(2):
            level, scale = by_hand(normalize, values[:, row, channel].numpy())
            assert float(frame.level[row, channel]) == pytest.approx(level, abs=1e-9)
            assert float(frame.scale[row, channel]) == pytest.approx(scale, abs=1e-9)
    assert frame.plain == (normalize == "none")
    inward = frame.inward(values)
    assert torch.equal(inward.isnan(), values.isnan())
    torch.testing.assert_close(inward * frame.scale + frame.level, values, equal_nan=True)


def test_frames_of_counts_keep_0() -> None:
    values = torch.tensor([[[2.0, 0.0]], [[NAN, 0.0]], [[4.0, 0.0]]])
    frame = frame_of(values, "mean", True)
    assert frame.level.tolist() == [[0, 0]]
    assert frame.scale.tolist() == [[4, 1]]
    assert frame_of(values.fill_(NAN), "mean", True).scale.tolist() == [[1, 1]]


def test_frames_of_no_step_are_plain() -> None:
    for normalize in get_args(Normalize):
        frame = frame_of(torch.zeros(0, 3, 2), normalize)
        assert frame.plain
        assert frame.scale.eq(1).all()


def test_rows_repeated_stand_beside_themselves() -> None:
    frame = Frame(torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [4.0]]), False).repeated(3)
    assert frame.level.ravel().tolist() == [1, 1, 1, 2, 2, 2]
    assert frame.scale.ravel().tolist() == [3, 3, 3, 4, 4, 4]


@pytest.mark.parametrize("around", get_args(Around))
@pytest.mark.parametrize(
    ("origins", "patch", "season"), [(1, 1, 4), (3, 1, 4), (3, 2, 5), (2, 3, 30)]
)
def test_surroundings_by_hand(around: Any, origins: int, patch: int, season: int) -> None:
    values, horizon = rows(), 6
    frame = frame_of(values, "mean")
    found = surroundings(values, frame, around, origins, horizon, patch, season)
    assert found.shape == (origins, 4, horizon, 2)
    for origin in range(origins):
        read = values[: len(values) - (origins - 1 - origin) * patch]  # up to it
        for row in range(4):
            for channel in range(2):
                own = read[:, row, channel]
                there = own[~own.isnan()]
                level = float(frame.level[row, channel])
                last = float(there[-1]) if len(there) else level
                for step in range(horizon):
                    wanted = level if around == "level" else last
                    place = len(own) - season + step % season
                    if around == "season" and place >= 0 and not own[place].isnan():
                        wanted = float(own[place])
                    assert float(found[origin, row, step, channel]) == wanted


@pytest.mark.parametrize("around", get_args(Around))
def test_surroundings_know_nothing_of_what_comes(around: Any) -> None:
    values = rows()
    frame = frame_of(values[:5], "mean")
    before = surroundings(values, frame, around, 4, 3, 2, 4)
    later = values.clone()
    later[-4:] = 1e30
    after = surroundings(later, frame, around, 4, 3, 2, 4)
    assert torch.equal(before[:2], after[:2])
    assert around == "level" or not torch.equal(before[2:], after[2:])


def test_a_spread_counts_by_how_much_was_seen() -> None:
    nan = math.nan
    values = torch.tensor([[3.0, nan, nan, 7.0], [5.0, 2.0, nan, 7.0], [7.0, nan, nan, 7.0]])
    by_hand = [math.sqrt((8 + 4) / 7), math.sqrt(4 / 5), 1.0, math.sqrt(4 / 7)]
    assert spread_of(values[:, None])[0].tolist() == pytest.approx(by_hand)
