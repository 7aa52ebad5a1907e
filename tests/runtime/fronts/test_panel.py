"""What a forecaster reads of series, in numbers."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from recurra_runtime.fronts import Calendar, Frequency, Panel, Scales, Series

NAN = math.nan


def made(**more) -> Panel:
    known = {
        "past": Series(["p", "q"], [1, 10], [2, 5]),
        "known": Series(["k"], [100], [10]),
        "categories": {"town": ["X", "Y"], "day": ["no", "yes"]},
        "ahead": ["day"],
        "calendar": Calendar(["hour"]),
        "frequency": Frequency.parse("h"),
        "zone": "Europe/Berlin",
        "horizon": 24,
        "look_back": 48,
        "patch": 6,
        "season": 24,
    }
    return Panel(Scales(["x", "y"], "mean", "log1p", each=True), **known | more)


def test_sizes():
    panel = made(gaps=True, gap=2.0)
    assert panel.channels == ("x", "y")
    assert (panel.past_size, panel.known_size) == (3, 3)
    assert panel.sizes == [3, 3]
    assert panel.are_ahead == [False, True]
    bare = Panel(Scales(["x"]))
    assert (bare.past_size, bare.known_size, bare.sizes, bare.are_ahead) == (0, 0, [], [])


def test_numbers_beside():
    values = np.array([[1.0, 10], [3, NAN], [NAN, 0]])
    since = np.array([0.0, 1, 4])
    wanted = np.array([[0, 0], [1, NAN], [NAN, -2]])
    np.testing.assert_array_equal(made().encode_past(values, since), wanted)
    found = made(gaps=True, gap=2.0).encode_past(values, since)
    np.testing.assert_array_equal(found, np.concatenate([[[0], [0.5], [2]], wanted], 1))
    assert found.dtype == np.float32
    stamps = np.array(["2024-01-01T00", "2024-01-01T06"], "M8[ns]")
    found = made().encode_known(np.array([[110.0], [NAN]]), stamps)
    np.testing.assert_allclose(found, [[1, 0, 1], [NAN, 1, 0]], atol=1e-6)
    alone = Panel(Scales(["x"])).encode_known(np.zeros((3, 0)), np.arange(3))
    assert alone.shape == (3, 0)


def test_numbers_beside_that_are_far_are_as_far_as_values_can_be():
    rows = np.array([[1e30, -1e30], [NAN, 1]])
    found = made(gaps=True).encode_past(rows, np.array([0.0, 1e30]))
    np.testing.assert_array_equal(found, np.float32([[0, 1e15, -1e15], [1e15, NAN, -1.8]]))
    stamps = np.array(["2024-01-01T00", "2024-01-01T06"], "M8[ns]")
    found = made().encode_known(np.array([[1e30], [-1e300]]), stamps)
    assert found[:, 0].tolist() == [np.float32(1e15), np.float32(-1e15)]
    plain = Scales(["x"])
    assert plain.inward(np.array([[1e30]]), plain.common).tolist() == [[np.float32(1e15)]]


def test_categories():
    panel = made()
    cells = {"day": ["no", "yes", None], "town": ["Y", "Z", "X"], "other": [1, 2, 3]}
    assert panel.encode_codes(cells, 3).tolist() == [[2, 1], [0, 2], [1, 0]]
    assert Panel(Scales(["x"])).encode_codes({}, 4).shape == (4, 0)


def test_json():
    panel = made(gaps=True, gap=0.25)
    one = Panel.from_json(json.loads(json.dumps(panel.to_json())))
    assert one.to_json() == panel.to_json()
    for name in ("frequency", "zone", "horizon", "look_back", "patch", "season", "gaps", "gap"):
        assert getattr(one, name) == getattr(panel, name)
    assert one.categories == panel.categories
    assert list(one.categories) == ["town", "day"]
    bare = Panel.from_json(json.loads(json.dumps(Panel(Scales(["x"])).to_json())))
    assert (bare.look_back, bare.frequency, bare.zone, bare.calendar.features) == (None,) * 3 + (
        (),
    )
    whole = panel.to_json()
    for name in whole.keys() - {"kind"}:
        with pytest.raises(ValueError, match="panel"):
            Panel.from_json({key: value for key, value in whole.items() if key != name})
    for wrong in (["town"], {"town": ["X"]}, [[]], None):
        with pytest.raises(ValueError, match="panel"):
            Panel.from_json(whole | {"categories": wrong})


@pytest.mark.parametrize(
    "wrong", [{"horizon": 0}, {"look_back": 0}, {"patch": 0}, {"season": 0}, {"gap": 0.0},
              {"gap": NAN}]
)  # fmt: skip
def test_refuses(wrong):
    with pytest.raises(ValueError, match="above 0"):
        made(**wrong)
