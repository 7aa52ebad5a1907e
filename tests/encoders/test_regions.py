"""Pictures as places beside each other."""

from __future__ import annotations

import pytest
import torch

from recurra.encoders import Pictures, Regions
from recurra.errors import ShapeError
from recurra.models import ClassifierConfig, EncoderDecoderConfig, Reads, build_encoder
from recurra.sequences import PaddedSequence

SHAPE = (8, 12, 3)
READS = {"picture": Reads(form="pictures", sizes=[*SHAPE], steps=False)}


def regions(**more: int) -> Regions:
    torch.manual_seed(0)
    return Regions(SHAPE, 5, filters=4, **more).double().eval()


def pictures(rows: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(1, rows, *SHAPE, generator=generator, dtype=torch.float64)


def test_a_place_has_what_is_seen_there_and_where_it_is() -> None:
    stem, values = regions(), pictures(2)
    found = stem(PaddedSequence(values, torch.tensor([1, 1])))
    assert found.values.shape == (6, 2, 5)  # 2 x 3 of twice halved 8 x 12
    assert found.lengths.tolist() == [6, 6]
    seen = stem.blocks(values[0].permute(0, 3, 1, 2))
    for place, (line, column) in enumerate((i, j) for i in range(2) for j in range(3)):
        where = torch.tensor([2.0 * line - 1, column - 1.0]).double().expand(2, -1)
        told = torch.cat([seen[:, :, line, column], where], 1)
        torch.testing.assert_close(found.values[place], stem.map(told).relu())


def test_what_is_moved_is_seen_at_another_place() -> None:
    stem = regions(blocks=1)
    values = torch.zeros(1, 2, *SHAPE, dtype=torch.float64)
    values[0, 0, 2, 2] = values[0, 1, 2, 8] = 1.0
    seen = stem.blocks(values[0].permute(0, 3, 1, 2))
    torch.testing.assert_close(seen[0, :, :, :3], seen[1, :, :, 3:])


def test_a_missing_picture_has_no_places() -> None:
    stem, values = regions(), pictures(2)
    values[0, 1] = torch.nan
    found = stem(PaddedSequence(values, torch.tensor([1, 0])))
    assert found.lengths.tolist() == [6, 0]
    alone = stem(PaddedSequence(values[:, :1], torch.tensor([1])))
    torch.testing.assert_close(found.values[:, :1], alone.values)
    assert found.to_padded()[:, 1].abs().sum() == 0
    with pytest.raises(ShapeError, match=r"a picture a row.*\[8, 12, 3\], got \[2, 1, 8, 12, 3\]"):
        stem(PaddedSequence(torch.cat([values, values])[:, :1], torch.tensor([2])))


def test_settings_of_regions() -> None:
    known = {"hidden_size": 4, "picture_as": "regions", "filters": 2}
    encoder = build_encoder(ClassifierConfig(reads=READS, classes=2, **known), READS).double()
    read = encoder(PaddedSequence(pictures(2), torch.tensor([1, 1])))
    assert read.outputs.values.shape == (6, 2, 8)
    config = EncoderDecoderConfig(reads=READS, symbols=5, **known)
    idle = dict(config.unread(READS))
    assert "body" in idle
    assert not {"cell", "pool", "picture_as"} & {*idle}
    assert "cell" in dict(ClassifierConfig(reads=READS, classes=2, **known).unread(READS))
    assert config.reader(READS) == "network of pictures"
    assert Pictures(*SHAPE, 4, filters=2).blocks[0].out_channels == 2
