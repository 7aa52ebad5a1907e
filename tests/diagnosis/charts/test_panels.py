"""Names that make way for each other, lines that are thinned, axes that show all there is."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from recurra.diagnosis.charts.panels import Axis, Line, Mark, axis_over, panel, spread, thinned

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ([], []),
        ([50.0], [50.0]),
        ([10.0, 40.0, 70.0], [10.0, 40.0, 70.0]),  # there is room: nothing moves
        ([70.0, 10.0], [70.0, 10.0]),
        ([50.0, 50.0], [45.0, 55.0]),
        ([50.0, 52.0, 48.0], [50.0, 60.0, 40.0]),
        ([0.0, 1.0], [0.0, 10.0]),  # not above the top
        ([100.0, 99.0], [100.0, 90.0]),  # nor below the bottom
        ([20.0, 20.0, 31.0], [41 / 3, 71 / 3, 101 / 3]),  # those moved push a third one
    ],
)
def test_names_make_way(wanted: list[float], places: list[float]) -> None:
    assert spread(wanted, 100, 10) == pytest.approx(places)


def test_names_keep_their_order_and_their_gap() -> None:
    draw = random.Random(0)
    for _ in range(100):
        wanted = [draw.uniform(-20, 120) for _ in range(draw.randint(2, 11))]
        places = spread(wanted, 100, 10)
        assert min(places) >= 0
        assert max(places) <= 100 + 1e-9
        ordered = [place for _, place in sorted(zip(wanted, places, strict=True))]
        assert all(b - a >= 10 - 1e-9 for a, b in itertools.pairwise(ordered))


def test_too_many_names_stand_closer() -> None:
    assert spread([5.0] * 21, 100, 10) == pytest.approx([5.0 * rank for rank in range(21)])


def test_few_points_are_left_as_they_are() -> None:
    points = [(0.0, 1.0), (1.0, NAN), (2.0, 3.0)]
    assert thinned(points) == points


def test_thinned_points_keep_ends_spikes_and_gaps() -> None:
    points = [(float(at), 1.0) for at in range(5000)]
    points[1234], points[3210] = (1234.0, 9.0), (3210.0, -7.0)
    points[2000:2500] = [(float(at), NAN) for at in range(2000, 2500)]
    kept = thinned(points, 100)
    assert len(kept) <= 102
    assert kept[0] == points[0]
    assert kept[-1] == points[-1]
    assert {points[1234], points[3210]} <= set(kept)
    assert any(math.isnan(value) for at, value in kept if 2000 <= at < 2500)
    assert not any(2000 <= at < 2500 and math.isfinite(value) for at, value in kept)
    assert [at for at, _ in kept] == sorted({at for at, _ in kept})


@pytest.mark.parametrize(
    ("values", "log"),
    [
        ([1.0, 2.0, 3.0], False),
        ([1.0, 8.0], True),
        ([0.001, 0.5, NAN, INF], True),
        ([1.0, 1e30], True),
        ([0.0, 100.0], False),  # there is no logarithm of nothing
        ([-5.0, 100.0], False),
        ([2.0], False),
        ([0.0], False),
        ([-3.0, -3.0], False),
        ([NAN, -INF], False),
        ([], False),
    ],
)
def test_an_axis_shows_all_that_is_finite(values: list[float], log: bool) -> None:
    axis = axis_over("loss", values)
    assert axis.log == log
    assert axis.low < axis.high
    shown = [axis.share(value) for value in values if math.isfinite(value)]
    assert all(0 < share < 1 for share in shown)
    assert all(axis.low <= tick <= axis.high for tick in axis.ticks)
    assert (2 <= len(axis.ticks) <= 9) == log


@pytest.mark.parametrize("axis", [Axis("", -1.0, 3.0), Axis("", 0.1, 10.0, log=True)])
def test_shares_of_an_axis(axis: Axis) -> None:
    assert axis.share(axis.low) == 0
    assert axis.share(axis.high) == pytest.approx(1)
    assert axis.value(axis.share(0.7)) == pytest.approx(0.7)
    assert axis.share(1.0) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("at", "align"), [(0.0, "left"), (10.0, "left"), (50.0, "center"), (90.0, "right")]
)
def test_what_is_told_of_a_place_stays_within_the_panel(at: float, align: str) -> None:
    axis = Axis("step", 0.0, 100.0)
    drawn = panel([], axis, axis, mark=Mark(at, "kept: step 10, the best validation (1.23)"))
    (told,) = [layer for layer in drawn["layer"] if layer["mark"]["type"] == "text"]
    assert told["mark"]["align"] == align


def test_a_line_is_parted_where_there_is_a_gap() -> None:
    points = [(0.0, 1.0), (1.0, NAN), (2.0, 3.0), (3.0, INF), (4.0, 2.0), (5.0, 1.0)]
    axis = Axis("", 0.0, 5.0)
    line, dots, *_ = panel([Line("a", points, "#000")], axis, axis)["layer"]
    assert [row["part"] for row in line["data"]["values"]] == [0, 1, 2, 2]
    assert line["encoding"]["detail"] == {"field": "part"}
    assert len(dots["data"]["values"]) == 4  # one alone is seen too
