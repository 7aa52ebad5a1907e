"""What several files of this folder need."""

from __future__ import annotations

from pathlib import Path

import pytest
from runtime.environment import run_python

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def file(tmp_path_factory):
    """Programs of several cells, as they are assembled."""
    path = tmp_path_factory.mktemp("native") / "programs.json"
    done = run_python("-m", "native.programs", str(path), folder=TESTS)
    assert done.returncode == 0, done.stderr
    return path
