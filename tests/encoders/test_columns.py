"""Pictures read from left to right, and what training hides of steps and numbers."""

from __future__ import annotations

import math

import pytest
import torch

from recurra import Frames, PaddedSequence, PictureColumns, PictureLines
from recurra.errors import SettingError, ShapeError


def columns(width: int = 16, **more: float) -> PictureColumns:
    torch.manual_seed(0)
    return PictureColumns((8, width, 1), lambda size: Frames(size), filters=8, **more)  # type: ignore[arg-type]


def test_four_columns_are_a_step_and_padding_is_not_read() -> None:
    stem, pictures = columns().eval(), torch.randn(1, 3, 8, 16, 1)
    read = stem(PaddedSequence(pictures, torch.tensor([1, 1, 0])))
    assert read.lengths.tolist() == [4, 4, 0]
    assert read.values.shape == (4, 3, stem.output_size)
    pictures[0, 2] = math.nan
    again = stem(PaddedSequence(pictures, torch.tensor([1, 1, 0])))
    torch.testing.assert_close(again.valid(), read.valid(), rtol=0, atol=0)
    alone = stem(PaddedSequence(pictures[:, 1:2], torch.tensor([1])))
    torch.testing.assert_close(alone.values[:, 0], read.values[:, 1])


def test_what_stands_at_the_left_comes_first() -> None:
    stem, pictures = columns(32).eval(), torch.zeros(1, 2, 8, 32, 1)
    pictures[0, 1, :, 20:24] = 1.0
    plain, marked = stem(PaddedSequence(pictures, torch.tensor([1, 1]))).to_list()
    changed = (plain != marked).any(1)
    # Its step, and those that the three convolutions reach: 1, 2 and 4 pixels on either side.
    assert changed.nonzero()[:, 0].tolist() == [3, 4, 5, 6, 7]


WIDTHS = [13, 0, 1, 8, 22]


def lines(height: int = 8) -> PaddedSequence:
    """Pictures of several widths, behind which stand numbers that are none."""
    torch.manual_seed(1)
    rows = PaddedSequence(torch.randn(25, 5, height, 1).double(), torch.tensor(WIDTHS))
    rows.values[~rows.mask] = math.nan
    return rows


def stems() -> dict[str, PictureColumns | PictureLines]:
    """What reads pictures of any width."""
    found: dict[str, PictureColumns | PictureLines] = {
        f"{across} columns": columns(0, across=across).double().eval() for across in (4, 2)
    }
    return found | {"lines": PictureLines((8, 0, 1), Frames(8, stride=2, filters=3)).double()}


@pytest.mark.parametrize("name", ["4 columns", "2 columns", "lines"])
def test_each_line_has_its_own_width_and_is_read_as_if_alone(name: str) -> None:
    stem, rows = stems()[name], lines()
    each = 4 if name == "4 columns" else 2
    read = stem(rows)
    assert read.lengths.tolist() == [-(-width // each) for width in WIDTHS]
    assert read.valid().isfinite().all()
    for row, width in enumerate(WIDTHS):
        alone = stem(PaddedSequence(rows.values[:width, row : row + 1], torch.tensor([width])))
        torch.testing.assert_close(alone.to_list()[0], read.to_list()[row])
    read.valid().square().sum().backward()
    assert all(weight.grad.isfinite().all() for weight in stem.parameters())


def test_lines_are_distorted_each_within_its_own_width() -> None:
    stem, rows = columns(0, distort=0.3).double(), lines()
    torch.manual_seed(2)
    one = stem.train()(rows)
    assert one.valid().isfinite().all()
    torch.manual_seed(2)
    again = stem(PaddedSequence(torch.cat([rows.values, rows.values]), rows.lengths))
    torch.testing.assert_close(again.valid(), one.valid())
    assert not torch.allclose(stem.eval()(rows).valid(), one.valid())
    even = PaddedSequence(torch.ones(25, 5, 8, 1).double(), rows.lengths)
    # What stands beyond the edges of each is what stands there: of one light nothing changes.
    torch.testing.assert_close(stem.train()(even).valid(), stem.eval()(even).valid())


def test_pictures_are_distorted_in_training_alone() -> None:
    stem = columns(distort=0.2)
    rows = PaddedSequence(torch.randn(1, 2, 8, 16, 1), torch.tensor([1, 1]))
    one, other = stem.train()(rows).values, stem(rows).values
    assert not torch.equal(one, other)
    one, other = stem.eval()(rows).values, stem(rows).values
    assert torch.equal(one, other)


def test_pictures_that_are_too_small_or_others_are_refused() -> None:
    with pytest.raises(ShapeError, match="at least 8 x 4 pixels, got 8 x 3"):
        columns(3)
    with pytest.raises(ShapeError, match=r"of \[8, 16, 1\], got \[1, 1, 8, 12, 1\]"):
        columns()(PaddedSequence(torch.zeros(1, 1, 8, 12, 1), torch.tensor([1])))
    with pytest.raises(ShapeError, match=r"at least 8 x 4 pixels, got 7 x 0"):
        PictureColumns((7, 0, 1), lambda size: Frames(size))
    with pytest.raises(SettingError, match="across: expected 4 or 2 columns, got 3"):
        columns(across=3)
    with pytest.raises(SettingError, match="one width to read their rows"):
        PictureLines((8, 0, 1), Frames(1), rows=True)
    for stem in stems().values():
        with pytest.raises(ShapeError, match=r"\[columns, batch, height, channels\] of \[8, 1\]"):
            stem(lines(9))


def test_runs_of_steps_and_numbers_are_hidden_in_training_alone() -> None:
    torch.manual_seed(0)
    frames, values = Frames(12, mask_steps=3, mask_numbers=2), torch.ones(30, 40, 12)
    hidden = frames.train()(PaddedSequence(values, torch.full((40,), 20))).values[:20] == 0
    steps, numbers = hidden.all(2), hidden.all(0)
    assert int(steps.sum(0).max()) == 6  # two runs of three
    assert int(numbers.sum(1).max()) == 4
    assert torch.equal(hidden, steps[:, :, None] | numbers[None])
    assert len({tuple(row.tolist()) for row in steps.T}) > 20  # each row has runs of its own
    assert steps[-3:].any()  # also at its end
    assert torch.equal(frames.eval()(values), values)
    few = Frames(3, mask_steps=9, mask_numbers=9).train()(torch.ones(3, 40, 3))
    assert few.all()  # a quarter of three is none
