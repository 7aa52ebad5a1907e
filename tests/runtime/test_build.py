"""Without a working compiler the distribution still builds: a pure wheel that says so."""

import importlib.metadata
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "runtime"
NEEDS = ("nanobind", "pip", "scikit-build-core")
# Asked of the metadata: looking for the module of pip makes setuptools leave distutils alone for
# the rest of the process, and then it refuses to be imported.
INSTALLED = {one.name.lower().replace("_", "-") for one in importlib.metadata.distributions()}
MISSING = ", ".join(name for name in NEEDS if name not in INSTALLED)
WHEEL = "pip wheel --no-deps --no-build-isolation --no-index --disable-pip-version-check -v"


@pytest.mark.skipif(MISSING != "", reason=f"{MISSING} not installed here")
@pytest.mark.skipif(not SOURCE.exists(), reason="the source tree is not here")
def test_broken_compiler_gives_a_pure_wheel(tmp_path: Path) -> None:
    broken = {"CXX": "/bin/false", "CC": "/bin/false"}
    done = subprocess.run(
        [sys.executable, "-m", *WHEEL.split(), "-w", str(tmp_path), str(SOURCE)],
        env=os.environ | broken,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WITHOUT its native module" in done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    wanted = ("ops.def", "py.typed", "vocabulary/__init__.py", "vocabulary/kinds.py")
    assert {f"recurra_runtime/{name}" for name in wanted} <= set(names)
    assert not [name for name in names if name.endswith((".so", ".pyd", ".dylib", ".cc", ".h"))]
    assert_works(tmp_path / "site")


def assert_works(site: Path) -> None:
    """Import the package from this folder alone and compute."""
    code = """
import numpy as np, recurra_runtime as r
print(r.__file__)
print(r.isa(), r.instructions.TABLE[0].name, r.tanh(np.zeros(2, np.float32)), r.native_reason())"""
    variables = {key: value for key, value in os.environ.items() if not key.startswith("RECURRA_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=variables | {"PYTHONPATH": str(site)},
        cwd=site,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    path, line = done.stdout.splitlines()
    assert Path(path).is_relative_to(site)
    assert line.startswith(
        "numpy copy [0. 0.] The native module could not be imported (No module named"
    )
