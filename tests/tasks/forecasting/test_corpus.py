"""Series from every kind of source, and how they are divided."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from recurra.errors import DataError
from recurra.tasks.forecasting.corpus import prepare_series
from recurra.tasks.forecasting.settings import ForecastingData
from recurra.tasks.forecasting.sources import open_source

NAN = math.nan


def prepared(source, **settings):
    data = ForecastingData(**settings)
    return prepare_series(open_source(source, data), {}, data)


def opened(source, **settings):
    data = ForecastingData(**settings)
    return open_source(source, data).tracks(data).each


def scored(corpus, part):
    scales = corpus.panel.scales
    return [scales.outward(one.scored, one.scale) for one in corpus.parts[part].stretches]


def test_a_long_series_is_divided_by_time():
    series = np.arange(100.0)
    corpus = prepared(series)
    assert corpus.by_time
    for part, span in {"training": (0, 80), "validation": (80, 90), "test": (90, 100)}.items():
        (found,) = scored(corpus, part)
        np.testing.assert_allclose(found.ravel(), np.arange(*span), atol=1e-4)
    assert corpus.panel.scales.common.level.item() == pytest.approx(
        39.5
    )  # of what is trained on alone
    assert [len(p.stretches[0].values) for p in corpus.parts.values()] == [80, 90, 100]
    without = prepared(series, validation=False)
    assert list(without.parts) == ["training", "test"]
    assert without.parts["training"].steps == 90


def test_many_series_are_divided_by_what_they_hold():
    series = [np.random.default_rng(n).standard_normal(5 + n % 3) for n in range(60)]
    corpus = prepared(series)
    assert not corpus.by_time
    assert sum(len(part.stretches) for part in corpus.parts.values()) == 60
    turned = prepared(series[::-1])
    for part in corpus.parts:
        ours, theirs = scored(corpus, part), scored(turned, part)
        assert sorted(len(one) for one in ours) == sorted(len(one) for one in theirs)
        assert {round(float(one[0, 0]), 4) for one in ours} == {
            round(float(one[0, 0]), 4) for one in theirs
        }
    by_time = prepared(series, split="time")
    assert [len(part.stretches) for part in by_time.parts.values()] == [60, 60, 60]
    assert corpus.fingerprint != turned.fingerprint


def test_fingerprints_tell_other_times_and_names():
    steps = np.arange("2024-01-01", "2024-04-10", dtype="M8[D]")

    def table(first=0, column="load", **settings):
        source = {"time": steps + first, column: np.arange(100.0)}
        return prepared(source, time="time", **settings)

    found = [table(), table(1), table(column="price")]
    values = [[scored(each, part)[0].tolist() for part in each.parts] for each in found]
    assert values[0] == values[1] == values[2]
    assert len({each.fingerprint for each in found}) == 3
    assert table(calendar=[]).fingerprint == table().fingerprint


def test_named_parts_are_those():
    parts = {"train": [np.arange(9.0)], "valid": [np.arange(4.0)], "test": [np.arange(3.0)] * 2}
    corpus = prepared(parts)
    assert {name: part.steps for name, part in corpus.parts.items()} == {
        "training": 9, "validation": 4, "test": 6
    }  # fmt: skip


@pytest.mark.parametrize(
    "source",
    [
        {"time": ["2024-01-01", "2024-01-02", "2024-01-03"], "x": [1, NAN, 3], "y": [4, 5, 6]},
        np.array([[1, 4], [NAN, 5], [3, 6]]),
        [[[1, 4], [NAN, 5], [3, 6]]],
        [np.array([[1, 4], [NAN, 5], [3, 6]])],
    ],
)
def test_one_series_of_two_channels(source):
    (found,) = opened(source, channels=["x", "y"] if isinstance(source, dict) else None)
    np.testing.assert_array_equal(found.values, np.array([[1, 4], [NAN, 5], [3, 6]]))


def test_frames_and_files(tmp_path: Path):
    rows = ["id,time,x", "a,1,0.5", "a,2,", "b,1,7", "b,2,8", "b,3,9"]
    file = tmp_path / "long.csv"
    file.write_text("\n".join(rows) + "\n")
    frame = {"id": list("aabbb"), "time": [1, 2, 1, 2, 3], "x": [0.5, None, 7, 8, 9]}
    for source in (file, frame):
        one, other = opened(source, id="id")
        assert one.values.ravel().tolist()[0] == 0.5
        assert math.isnan(one.values[1, 0])
        assert other.values.ravel().tolist() == [7, 8, 9]
        assert [str(stamp) for stamp in other.stamps] == ["1", "2", "3"]
    alone = tmp_path / "alone.csv"
    alone.write_text("x,z\n1,2\n3,4\n")
    (found,) = opened(alone)
    assert found.values.tolist() == [[1, 2], [3, 4]]
    wide = opened(alone, rows="sequences")
    assert [each.values.ravel().tolist() for each in wide] == [[1, 2], [3, 4]]
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.csv").write_text("x\n1\n2\n")
    (folder / "b.csv").write_text("x\n3\n")
    found = list(opened(folder))
    assert [each.values.ravel().tolist() for each in found] == [[1, 2], [3]]


def test_a_frame_of_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"time": [1, 2], "x": [1.5, None]})
    (found,) = opened(frame)
    assert found.values[0, 0] == 1.5
    assert math.isnan(found.values[1, 0])


def test_a_frame_of_pandas():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"time": pandas.date_range("2024-01-01", periods=2), "x": [1.5, NAN]})
    (found,) = opened(frame)
    assert [str(each)[:10] for each in found.stamps] == ["2024-01-01", "2024-01-02"]


def test_refuses():
    with pytest.raises(DataError, match=r"example 0: expected a series of at least 3 steps.*got 2"):
        prepared([np.arange(2.0)])
    with pytest.raises(DataError, match="none is left for validation"):
        prepared({"train": [np.arange(3.0)], "test": [np.arange(3.0)]})
    with pytest.raises(
        DataError, match="expected the channels 0 as in the first example, got 0, 1"
    ):
        prepared([np.arange(30.0), np.zeros((30, 2))])
    with pytest.raises(DataError, match="expected finite numbers"):
        prepared(np.array([*range(30), math.inf]))
    with pytest.raises(DataError, match="time stamps that ascend"):
        opened({"time": [2, 1], "x": [1, 2]})


@pytest.mark.parametrize("last", [160, 200])
def test_a_training_part_without_a_value_is_told(last: int) -> None:
    series = np.arange(200.0)
    series[:last] = NAN
    with pytest.raises(DataError, match=r"all of the training part are missing \(NaN\)"):
        prepared(series)
    assert prepared([series, np.arange(200.0)]).parts["training"].count == 160


def test_what_is_far_is_as_far_as_can_be():
    series = np.concatenate([np.random.default_rng(0).standard_normal(99), [1e30]])
    corpus = prepared(series)
    assert float(corpus.parts["test"].stretches[0].values.max()) == np.float32(1e15)
