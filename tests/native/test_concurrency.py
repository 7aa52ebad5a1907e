"""The machine on threads of its own: those of torch are asked where torch is there, so not here."""

from __future__ import annotations

from pathlib import Path

import pytest
from runtime.environment import run_python

import recurra_runtime

TESTS = Path(__file__).parents[1]


@pytest.mark.skipif(not recurra_runtime.native_available(), reason="there is no native module")
def test_threads_callers_and_forks_change_no_bit(file):
    done = run_python("-m", "native.concurrency", str(file), "15", folder=TESTS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("15 programs")
