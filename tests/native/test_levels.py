"""Cells run on every level that this CPU has, not only on the one that tests use by default."""

from __future__ import annotations

from pathlib import Path

import pytest
from runtime.environment import run_python

import recurra_runtime

TESTS = Path(__file__).parents[1]
# The highest is what all other tests run on.
LEVELS = recurra_runtime.isa_levels()[:-1]


@pytest.mark.skipif(not LEVELS, reason="this CPU has one level, or there is no native module")
@pytest.mark.parametrize("level", LEVELS)
def test_cells_on_lower_levels(level):
    done = run_python("-m", "native.levels", folder=TESTS, RECURRA_ISA=level)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == level
