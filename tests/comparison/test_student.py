"""How probable a t is: against closed forms, tables, and scipy where it is there."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest

from recurra.comparison.student import two_sided


@pytest.mark.parametrize("t", [0.0, 1e-9, 0.3, 1.0, 3.108, 40.0, 1e6])
def test_closed_forms(t: float) -> None:
    """One degree of freedom is Cauchy's density, two are algebraic, very many are the normal."""
    assert two_sided(t, 1) == pytest.approx(1 - 2 / math.pi * math.atan(t), rel=1e-9, abs=1e-12)
    root = math.sqrt(2 + t * t)
    assert two_sided(t, 2) == pytest.approx(2 / (root * (root + t)), rel=1e-9)
    normal = 2 * NormalDist().cdf(-t)
    assert two_sided(t, 1e7) == pytest.approx(normal, rel=1e-5, abs=1e-12)
    assert two_sided(-t, 3.6) == two_sided(t, 3.6)


@pytest.mark.parametrize(
    ("point", "freedom"),
    [(12.7062, 1), (4.30265, 2), (3.18245, 3), (2.77645, 4), (2.22814, 10), (2.04227, 30)],
)
def test_tables(point: float, freedom: int) -> None:
    assert two_sided(point, freedom) == pytest.approx(0.05, abs=1e-6)


def test_degrees_of_freedom_between_whole_numbers_as_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for freedom in (1.02, 2.94, 3.6, 17.3, 512.7, 4e5):
        for t in (0.01, 0.7, 1.96, 3.108, 12.0):
            wanted = 2 * stats.t.sf(t, freedom)
            assert two_sided(t, freedom) == pytest.approx(wanted, rel=1e-8)
