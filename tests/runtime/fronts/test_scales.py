"""Scales of many series, each kind against sums written out."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from recurra_runtime.fronts import Scale, Scales

NAN = math.nan
KINDS = ("standard", "mean", "robust", "none")


def draw(steps: int = 40, seed: int = 0, shift: float = 5.0) -> np.ndarray:
    values = np.random.default_rng(seed).standard_normal((steps, 2)) * [1, 100] + shift
    values[3, 0] = values[[7, 9], 1] = NAN
    return values


def by_hand(how: str, values: np.ndarray) -> tuple[list[float], list[float]]:
    level, size = [], []
    for column in values.T:
        own = column[~np.isnan(column)]
        if how == "standard":
            mean = own.sum() / len(own)
            level.append(mean)
            size.append(math.sqrt(((own - mean) ** 2).sum() / len(own)))
        elif how == "mean":
            level.append(0.0)
            size.append(np.abs(own).sum() / len(own))
        elif how == "robust":
            level.append(float(np.median(own)))
            size.append(float(np.percentile(own, 75) - np.percentile(own, 25)) / 1.349)
        else:
            level.append(0.0)
            size.append(1.0)
    return level, size


@pytest.mark.parametrize("how", KINDS)
def test_each_kind_of_all_and_of_each(how):
    one, other = draw(), 3 * draw(60, 1)
    together = Scales(["x", "y"], how).fit([("a", one), ("b", other)])
    level, size = by_hand(how, np.concatenate([one, other]))
    for name in ("a", "b", "unknown"):
        found = together.of(name, draw(19, 4))
        np.testing.assert_allclose(found.level, level, rtol=1e-12)
        np.testing.assert_allclose(found.size, size, rtol=1e-12)
    apart = Scales(["x", "y"], how, each=True).fit([("a", one), ("b", other)])
    new = draw(50, 2)
    for name, values in (("a", one), ("b", other), ("unknown", new)):
        level, size = by_hand(how, values)
        found = apart.of(name, new)  # of a series that is known its own, whatever it holds now
        np.testing.assert_allclose(found.level, level, rtol=1e-12)
        np.testing.assert_allclose(found.size, size, rtol=1e-12)


@pytest.mark.parametrize("transform", ["none", "log", "log1p"])
@pytest.mark.parametrize("how", KINDS)
def test_inward_and_outward_undo_each_other(how, transform):
    values = np.exp(0.01 * draw())
    scales = Scales(["x", "y"], how, transform, each=True).fit([("a", values)])
    scale = scales.of("a", values)
    inward = scales.inward(values, scale)
    assert inward.dtype == np.float32
    assert np.array_equal(np.isnan(inward), np.isnan(values))
    through = {"none": lambda x: x, "log": np.log, "log1p": np.log1p}[transform](values)
    np.testing.assert_allclose(inward, (through - scale.level) / scale.size, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(scales.outward(inward, scale), values, rtol=1e-5)


@pytest.mark.parametrize("how", ["standard", "robust", "none"])
def test_what_never_changes_has_the_scale_1(how):
    values = np.full((20, 1), 0.1)
    values[4] = NAN
    scale = Scales(["x"], how, each=True).fit([("a", values)]).of("a", values)
    assert scale.size.tolist() == [1]
    assert scale.level.tolist() == pytest.approx([0 if how == "none" else 0.1])
    zeros = np.zeros((5, 1))
    assert Scales(["x"], "mean").fit([("a", zeros)]).common.size.tolist() == [1]


@pytest.mark.parametrize("how", KINDS)
def test_a_channel_without_a_value_has_the_scale_of_all(how):
    lost = draw(20, 3)
    lost[:, 1] = NAN
    scales = Scales(["x", "y"], how, each=True).fit([("a", draw()), ("b", lost)])
    for scale in (scales.of("b", lost), scales.of("unknown", np.full((4, 2), NAN))):
        assert scale.level[1] == scales.common.level[1]
        assert scale.size[1] == scales.common.size[1]
    nothing = Scales(["x"], how).fit([("a", np.full((4, 1), NAN))]).common
    assert (nothing.level.tolist(), nothing.size.tolist()) == ([0], [1])
    assert Scales(["x"], how).fit([]).common.size.tolist() == [1]


def test_logarithms_of_what_has_none():
    values = np.array([[1.0, 2.0], [NAN, 0.5], [3.0, 0.0], [-1.0, 1.0]])
    assert Scales(["x", "y"], transform="log").check(values) == 2
    assert Scales(["x", "y"], transform="log1p").check(values) == 3
    assert Scales(["x", "y"]).check(values) is None
    assert Scales(["x", "y"], transform="log").check(values[:2]) is None
    assert Scales(["x", "y"], transform="log").check(np.zeros((0, 2))) is None


def test_what_is_far_is_finite():
    scales = Scales(["x"], transform="log")
    scale = Scale(np.zeros(1), np.ones(1))
    assert scales.inward(np.array([[1e-300]]), scale).tolist() == [[pytest.approx(-690.8, 1e-3)]]
    assert np.isfinite(scales.outward(np.array([[1e15], [-1e15]]), scale)).all()
    plain = Scales(["x"])
    assert plain.inward(np.array([[1e30], [-1e30]]), scale).ravel().tolist() == [np.float32(1e15), np.float32(-1e15)]


@pytest.mark.parametrize("each", [False, True])
def test_json(each):
    scales = Scales(["x", "y"], "robust", "log1p", each=each).fit([("a", draw() ** 2)])
    one = Scales.from_json(json.loads(json.dumps(scales.to_json())))
    assert one.to_json() == scales.to_json()
    assert (one.how, one.transform, one.each) == ("robust", "log1p", each)
    assert set(one.known) == ({"a"} if each else set())
    values = draw() ** 2
    assert np.array_equal(
        one.inward(values, one.of("a", values)), scales.inward(values, scales.of("a", values)),
        equal_nan=True,
    )  # fmt: skip
    for name, wrong in (
        ("channels", [1, 2]), ("how", "median"), ("transform", "sqrt"), ("each", 1),
        ("common", {"level": [0, 0], "size": [1, 0]}), ("common", {"level": [0], "size": [1]}),
        ("known", []), ("known", {"a": None}),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="scales"):
            Scales.from_json(scales.to_json() | {name: wrong})
    with pytest.raises(ValueError, match="each channel once"):
        Scales(["x", "x"])
