"""A recognizer: rows stand alone, a stream is as the whole, and how many steps are left."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from recurra import Batch, PaddedSequence, Recognizer, RecognizerSettings
from recurra.errors import ShapeError

LENGTHS = [7, 4, 0]


def make(reads: tuple[int, ...] = (3,), **settings: Any) -> Recognizer:
    torch.manual_seed(0)
    config = RecognizerSettings(hidden_size=5, layers=1, **settings)
    return Recognizer(config, reads=reads, symbols=4).double().eval()


@pytest.mark.parametrize("more", [{}, {"bidirectional": False, "stride": 3, "filters": 6}])
def test_rows_stand_alone(more: dict[str, Any]) -> None:
    model, values = make(**more), torch.randn(7, 3, 3, dtype=torch.float64)
    said = model.predict(Batch(PaddedSequence(values, torch.tensor(LENGTHS)), None))
    assert said.lengths.tolist() == [model.steps(length) for length in LENGTHS]
    for row, length in enumerate(LENGTHS):
        one = PaddedSequence(values[:length, row : row + 1], torch.tensor([length]))
        alone = model.predict(Batch(one, None)).to_list()[0]
        torch.testing.assert_close(alone, said.to_list()[row])


@pytest.mark.parametrize(
    ("reads", "settings", "frames", "steps"),
    [
        ((3,), {}, 7, 4),
        ((3,), {"stride": 3}, 7, 3),
        ((8, 16, 1), {}, 16, 4),
        ((8, 16, 1), {"stride": 2}, 16, 2),
        ((8, 16, 1), {"picture_as": "columns"}, 16, 8),
        ((8, 16, 1), {"across": 2}, 16, 8),
        ((8, 0, 1), {}, 18, 5),
        ((8, 0, 1), {"across": 2, "stride": 2}, 18, 5),
        ((8, 0, 1), {"picture_as": "columns"}, 18, 9),
    ],
)
def test_steps_are_those_that_it_says(
    reads: tuple[int, ...], settings: dict[str, Any], frames: int, steps: int
) -> None:
    model = make(reads, **settings)
    shape = (1, 1, *reads) if len(reads) == 3 and reads[1] else (frames, 1, reads[0], *reads[2:])
    rows = torch.zeros(shape, dtype=torch.float64)
    said = model.predict(Batch(PaddedSequence(rows, torch.tensor([len(rows)])), None))
    assert said.lengths.tolist() == [steps]
    assert model.steps(frames) == steps


@pytest.mark.parametrize("cuts", [[], [1], [3, 4, 4, 9], list(range(11))])
def test_a_stream_is_as_the_whole(cuts: list[int]) -> None:
    model = make(bidirectional=False, stride=2, cell="lstm")
    values = torch.randn(11, 1, 3, dtype=torch.float64)
    whole = model.predict(Batch(PaddedSequence(values, torch.tensor([11])), None)).values
    heard, parts = None, []
    for part in torch.tensor_split(values, cuts):
        said, heard = model.listen(part, heard)
        parts.append(said)
    assert heard is not None
    together = torch.cat([*parts, model.finish(heard)])
    torch.testing.assert_close(together, whole, rtol=0, atol=1e-12)


def test_what_reads_both_ways_does_not_listen() -> None:
    for model in (make(), make((8, 16, 1), bidirectional=False)):
        with pytest.raises(ShapeError, match=r"model\.bidirectional=false"):
            model.listen(torch.zeros(1, 1, 3, dtype=torch.float64))
