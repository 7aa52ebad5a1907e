"""Windows of series: every step once, in its order, with what belongs to it and nothing later."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from recurra.encoders import SeriesSteps
from recurra.errors import SettingError
from recurra.tasks.forecasting.windows import (
    RandomWindows,
    SeriesWindows,
    Shape,
    Shelf,
    Stretch,
    groups_of,
    longer,
)

NAN = math.nan


def count_up(steps: int, begin: int = 0) -> np.ndarray:
    return np.arange(begin, begin + steps, dtype=np.float32)[:, None]


def stretch(steps: int, begin: int = 0, more: int = 0, **settings: Any) -> Stretch:
    """Values that tell their step, and the same of all that is beside them, told apart."""
    longer = count_up(steps + more, begin)
    return Stretch(
        count_up(steps, begin),
        past=count_up(steps, begin) + 0.25,
        known=longer + 0.5,
        codes=longer.astype(np.int64) + 7,
        **settings,
    )


def seen(part: torch.Tensor) -> list[list[float]]:
    """``[time, rows, 1]`` as a list for each row; NaN as None."""
    return [[None if math.isnan(x) else x for x in row] for row in part[..., 0].double().T.tolist()]  # type: ignore[misc]


def none_before(values: np.ndarray, place: int, size: int, empty: Any = None) -> list[Any]:
    """``size`` values before a place of a column, and what stands before the first."""
    return [
        float(values[n, 0]) if 0 <= n < len(values) else empty for n in range(place - size, place)
    ]


# ---- rows ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("look_back", "patch", "origins"), [(4, 1, 1), (4, 1, 3), (5, 2, 2)])
def test_rows_are_slices(look_back: int, patch: int, origins: int) -> None:
    """Against slices of each series by hand, also where it has not begun or has ended."""
    series = [stretch(9, 100, more=5), stretch(3, 200), stretch(12, 300, more=1)]
    shape = Shape(3, look_back, patch)
    reads = -(-look_back // patch) * patch + (origins - 1) * patch
    shelf = Shelf(series, shape, reads)
    for number, one in enumerate(series):
        assert one.past is not None
        assert one.known is not None
        assert one.codes is not None
        for step in range(len(one.values) + 1):
            ends = shelf.origins(number, step, step + 1)
            row = shelf.row(ends, origins)
            assert seen(row.values) == [none_before(one.values, step, reads)]
            assert seen(row.past) == [none_before(one.past, step, reads)]
            known = one.known[: len(one.values) + 3]  # so far as it may be asked for
            assert seen(row.ahead) == [none_before(known, step + 1, reads, 0.0)]
            assert seen(row.codes) == [none_before(one.codes[: len(known)], step + 1, reads, 0.0)]
            wanted = shelf.wanted(ends, origins)
            assert row.future.shape == (origins, 1, 3, 1)
            for origin in range(origins):
                at = step - (origins - 1 - origin) * patch
                if at < 0:
                    continue
                said = [float(x) for x in row.future[origin, 0, :, 0]]
                assert said == none_before(known, at + 3, 3, 0.0)
                came = [None if math.isnan(x) else x for x in wanted[origin, 0, :, 0].tolist()]
                assert came == none_before(one.values, at + 3, 3)
                codes = row.future_codes[origin, 0, :, 0].tolist()
                assert codes == none_before(one.codes[: len(known)], at + 3, 3, 0)


@pytest.mark.parametrize("bad", [NAN, 1e30, np.inf])
def test_nothing_of_a_row_is_of_later(bad: float) -> None:
    """But what is known of the next step and of the horizon."""
    one, other = stretch(20, more=4), stretch(20, more=4)
    origin = 11
    for part in (other.values, other.past):
        assert part is not None
        part[origin:] = bad
    assert other.known is not None
    assert other.codes is not None
    other.known[origin + 3 :] = bad
    other.codes[origin + 3 :] = 0
    rows = []
    for series in (one, other):
        shelf = Shelf([series], Shape(3, 6))
        rows.append(shelf.row(shelf.origins(0, origin, origin + 1)))
    for mine, theirs in zip(*rows, strict=True):
        assert torch.equal(mine, theirs)


def test_one_step_before_each() -> None:
    shelf = Shelf([stretch(5, 10, more=2)], Shape(2))
    at = shelf.at(shelf.origins(0, 0, 5)[:, None])
    assert seen(at.values) == [[None, 10, 11, 12, 13]]
    assert seen(at.ahead) == [[10.5, 11.5, 12.5, 13.5, 14.5]]
    assert at.future[:, 0, :, 0].tolist()[0] == [10.5, 11.5]


def test_a_step_that_nobody_knows_yet() -> None:
    more = longer(stretch(4, 10))
    assert more.first == 4
    assert seen(torch.from_numpy(more.values)[:, None]) == [[10, 11, 12, 13, None]]
    assert len(more.past if more.past is not None else ()) == 5
    assert more.there == 0


# ---- rows in an order that is drawn --------------------------------------------------------------


def ends_of(windows: RandomWindows, number: int) -> list[int]:
    """The first value that comes after each row of a pass; the series count up."""
    found = []
    for step in range(number * len(windows), (number + 1) * len(windows)):
        found += windows.batch(step).targets[-1, :, 0, 0].tolist()
    return [int(value) for value in found]


def covered(windows: RandomWindows, number: int) -> Counter[int]:
    """The first value after each origin of a pass."""
    found: Counter[int] = Counter()
    for step in range(number * len(windows), (number + 1) * len(windows)):
        found.update(windows.batch(step).targets[:, :, 0, 0].ravel().nan_to_num(-1).long().tolist())
    return found


SERIES = [(40, 1000), (3, 2000), (1, 3000), (11, 4000), (23, 5000), (9, 6000)]
SHAPE = Shape(3, 8)
# Of those that are shorter than what is read and said: from the middle of what there is.
ORIGINS = [
    *range(1008, 1038),
    2001,
    3000,
    *range(4008, 4009),
    *range(5008, 5021),
    *range(6003, 6007),
]


def drawn(shape: Shape = SHAPE, **settings: Any) -> RandomWindows:
    series = [stretch(steps, begin) for steps, begin in SERIES]
    left = shape.reads + (settings.get("origins", 1) - 1) * shape.patch
    return RandomWindows(Shelf(series, shape, left), **{"rows": 7, "seed": 3} | settings)


def test_every_origin_once_a_pass() -> None:
    windows = drawn()
    passes = [ends_of(windows, number) for number in range(3)]
    for found in passes:
        assert sorted(found) == ORIGINS
    assert passes[0] != passes[1] != passes[2]
    assert passes[0] == ends_of(drawn(), 0)
    assert passes[0] != ends_of(drawn(seed=4), 0)
    assert len(windows) == -(-len(ORIGINS) // 7)
    assert windows.symbols == len(ORIGINS) * 3
    assert windows.count(windows.symbols) == len(windows)
    assert windows.begins(5)
    assert len(windows.batch(len(windows) - 1).targets[0]) == len(ORIGINS) % 7


@pytest.mark.parametrize("patch", [1, 2, 5])
def test_patches_change_no_origin(patch: int) -> None:
    assert sorted(ends_of(drawn(Shape(3, 8, patch)), 0)) == ORIGINS


@pytest.mark.parametrize("patch", [1, 2, 4])
@pytest.mark.parametrize("origins", [2, 3, 8])
def test_all_origins_are_covered(origins: int, patch: int) -> None:
    """In some passes; in each nearly all, and of a long series after enough is read."""
    windows = drawn(Shape(3, 8, patch), origins=origins)
    every = [covered(windows, number) for number in range(24)]
    assert set(ORIGINS) <= set().union(*every)
    for found in every:
        of_first = {place for place in found if 1000 <= place < 2000}
        assert len(of_first) >= 30 - origins * patch
        if origins * patch <= 30:
            assert min(of_first) >= 1008
    rows = sum(len(windows.batch(step).targets[0]) for step in range(len(windows)))
    assert rows == sum(-(-count // origins) for count in (30, 1, 1, 1, 13, 4))


@pytest.mark.parametrize("patch", [1, 2])
def test_rows_of_several_origins_read_one_series(patch: int) -> None:
    windows = drawn(Shape(3, 8, patch), origins=6)
    for step in range(3 * len(windows)):
        batch = windows.batch(step)
        for row in range(batch.targets.shape[1]):
            for part in (batch.inputs.values[:, row], batch.targets[:, row]):
                there = part[~part.isnan()]
                assert len({int(value) // 1000 for value in there.tolist()}) <= 1
            last = batch.inputs.values[-1, row, 0]
            came = batch.targets[-1, row, 0, 0]
            assert last.isnan() or float(came) == float(last) + 1


def test_a_window_and_what_comes_after_each_of_its_origins() -> None:
    windows = drawn(Shape(3, 8, 2), origins=3)
    for step in range(len(windows)):
        batch = windows.batch(step)
        assert batch.inputs.values.shape[0] == 8 + 2 * 2
        for origin in range(3):
            read = batch.inputs.values[: 8 + 2 * origin]
            came, last = batch.targets[origin, :, :, 0], read[-1, :, 0]
            both = ~last.isnan() & ~came[:, 0].isnan()
            assert torch.equal(came[both, 0], last[both] + 1)


def test_parts_of_several_processes_add_up() -> None:
    windows = drawn(origins=2)
    for step in range(len(windows)):
        batch = windows.batch(step)
        halves = [batch.part(lambda rows, k=k: slice(k, rows, 2)) for k in range(2)]
        for name in SeriesSteps._fields:
            whole = getattr(batch.inputs, name)
            for k, half in enumerate(halves):
                torch.testing.assert_close(
                    getattr(half.inputs, name), whole[:, k::2], equal_nan=True, rtol=0, atol=0
                )
        rows = [half.targets.shape[1] for half in halves]
        assert sum(rows) == batch.targets.shape[1]


def test_no_series_and_wrong_sizes() -> None:
    shelf = Shelf([], SHAPE)
    assert RandomWindows(shelf, rows=4).symbols == 0
    for wrong in ({"rows": 0}, {"rows": 1, "origins": 0}):
        with pytest.raises(SettingError):
            RandomWindows(shelf, **wrong)


# ---- a state that is carried ---------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "size"), [(1, 7), (3, 5), (4, 100), (50, 2)])
@pytest.mark.parametrize("horizon", [1, 3])
def test_every_step_is_read_once_and_in_order(rows: int, size: int, horizon: int) -> None:
    series = [stretch(23, 1), stretch(0), stretch(1, 100), stretch(31, 1000)]
    windows = SeriesWindows(Shelf(series, Shape(horizon)), rows=rows, size=size)
    assert windows.symbols == 55 * horizon
    assert windows.rows == max(1, min(rows, 55 // size))
    found: list[list[float]] = [[] for _ in range(windows.rows)]
    for step in range(len(windows)):
        batch = windows.batch(step)
        firsts = batch.resets
        for row in range(windows.rows):
            for at in range(len(batch.targets)):
                target = float(batch.targets[at, row, 0, 0])
                if math.isnan(target):  # the row has come to its end
                    assert firsts is None or not firsts[at, row]
                    continue
                read = float(batch.inputs.values[at, row, 0])
                first = firsts is not None and bool(firsts[at, row])
                # A series begins with nothing known, and only then.
                assert math.isnan(read) == (target in (1, 100, 1000)) == first
                assert first or read == target - 1
                assert float(batch.inputs.ahead[at, row, 0]) == target + 0.5
                later = batch.targets[at, row, :, 0]
                there = later[~later.isnan()]
                assert torch.equal(there, target + torch.arange(len(there)))
                found[row].append(target)
    every = [float(v) for one in series for v in one.values.ravel()]
    assert [target for row in found for target in row] == every


def test_passes_are_the_same_and_can_begin_anywhere() -> None:
    windows = SeriesWindows(Shelf([stretch(50), stretch(20, 100)], Shape(2)), rows=3, size=8)
    begins = [step for step in range(3 * len(windows)) if windows.begins(step)]
    assert begins == [0, len(windows), 2 * len(windows)]
    for step in range(len(windows)):
        one, other = windows.batch(step), windows.batch(step + 2 * len(windows))
        for mine, theirs in zip((*one.inputs, one.targets), (*other.inputs, other.targets),
                                strict=True):  # fmt: skip
            torch.testing.assert_close(mine, theirs, equal_nan=True, rtol=0, atol=0)
    assert windows.count(windows.symbols) == len(windows)


@pytest.mark.parametrize("first", [0, 1, 40, 1500, 2499])
def test_a_stretch_reads_what_is_before_it_and_scores_its_own(first: int) -> None:
    one = stretch(2500, first=first)
    ((some, windows),) = groups_of([one], Shape())
    assert [each.number for each in some] == [0]
    begin = max(first - 1000, 0)
    assert some[0].skipped == begin
    reads, targets = [], []
    for batch in windows:
        reads += batch.inputs.values[:, 0, 0].tolist()
        targets += batch.targets[:, 0, 0, 0].tolist()
    assert len(targets) == 2500 - begin
    assert all(math.isnan(target) for target in targets[: first - begin])
    assert targets[first - begin :] == list(range(first, 2500))
    assert math.isnan(reads[0])  # nothing, from the initial state
    assert reads[1:] == list(range(begin, 2499))


def test_groups_are_of_like_length_and_score_each_series() -> None:
    some = [stretch(n, 1000 * n, first=n // 2) for n in (3, 70, 1, 300, 30)]
    found: Counter[int] = Counter()
    for group, windows in groups_of(some, Shape(2)):
        assert [len(one.values) for one in group] == [300, 70, 30, 3, 1]
        for batch in windows:
            first = batch.targets[:, :, 0, 0]
            found.update(first[~first.isnan()].long().tolist())
    assert found == Counter(
        {1000 * n + step: 1 for n in (3, 70, 1, 300, 30) for step in range(n // 2, n)}
    )


def test_pieces_are_the_whole() -> None:
    one = stretch(2500, first=100)
    pieces = list(one.pieces(1000))
    assert [(piece.first, len(piece.values)) for piece in pieces] == [
        (100, 1100), (1100, 2100), (2100, 2500)
    ]  # fmt: skip
    assert sum(piece.there for piece in pieces) == one.there == 2400


def test_what_is_missing_is_not_there() -> None:
    values = count_up(10)
    values[[3, 7]] = NAN
    assert Stretch(values, 5).there == 4
    assert SeriesWindows(Shelf([Stretch(values)], Shape()), rows=1, size=4).symbols == 8
