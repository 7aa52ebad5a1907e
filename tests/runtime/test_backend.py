"""Which kernels are used: levels, forced levels, and the fallback to NumPy."""

import os
import shutil

import pytest

import recurra_runtime

from .environment import output_of, run_python

native_only = pytest.mark.skipif(
    not recurra_runtime.native_available(), reason="the native module is not there"
)
REPORT = """
import recurra_runtime as r
print(r.isa(), r.isa_levels(), r.native_available(), r.native_reason())"""
USES = {
    "isa": "r.isa()",
    "tanh": "r.tanh(np.zeros(3, np.float32))",
    "sigmoid": "r.sigmoid(np.zeros(3, np.float32))",
}


def compiler() -> str | None:
    """A C++ compiler that a build would find."""
    names = (os.environ.get("CXX"), "c++", "g++", "clang++")
    return next((found for name in names if name and (found := shutil.which(name))), None)


@pytest.mark.skipif(compiler() is None, reason="no C++ compiler on PATH")
def test_native_module_is_there_where_a_compiler_is() -> None:
    line = output_of("import recurra_runtime as r; print(r.native_available(), r.native_reason())")
    assert line == "True None"


@native_only
def test_highest_level_is_the_one_in_use() -> None:
    levels = recurra_runtime.isa_levels()
    assert levels == tuple(x for x in ("baseline", "avx2", "avx512") if x in levels)
    assert levels[0] == "baseline"
    assert output_of(REPORT).split()[0] == levels[-1]
    assert output_of(REPORT, RECURRA_ISA="").split()[0] == levels[-1]


@pytest.mark.parametrize("level", recurra_runtime.isa_levels())
def test_forced_level(level: str) -> None:
    assert output_of(REPORT, RECURRA_ISA=level).split()[0] == level


@native_only
@pytest.mark.parametrize("use", USES)
def test_unknown_level_is_an_error_at_use_that_lists_the_legal_ones(use: str) -> None:
    code = (
        f"import numpy as np, recurra_runtime as r; print('imported', r.isa_levels()); {USES[use]}"
    )
    done = run_python("-c", code, RECURRA_ISA="avx9")
    assert done.stdout.startswith("imported ('baseline'")
    assert done.returncode == 1
    legal = ", ".join(recurra_runtime.isa_levels())
    assert (
        f"ValueError: RECURRA_ISA is 'avx9', but this build on this CPU has {legal}: set"
        in done.stderr
    )


@native_only
def test_corrected_level_is_taken_after_an_error() -> None:
    code = """
import os, recurra_runtime as r
try:
    r.isa()
except ValueError:
    os.environ["RECURRA_ISA"] = "baseline"
print(r.isa())
os.environ["RECURRA_ISA"] = "nonsense"
print(r.isa())"""
    assert output_of(code, RECURRA_ISA="avx9").split() == ["baseline", "baseline"]


def test_fallback_when_the_native_module_is_turned_off() -> None:
    assert output_of(REPORT, RECURRA_NATIVE="0") == (
        "numpy () False The environment variable RECURRA_NATIVE is 0: the native module is off."
    )


def test_fallback_when_the_native_module_cannot_be_imported() -> None:
    code = f"import sys; sys.modules['recurra_runtime._native'] = None{REPORT}"
    line = output_of(code)
    assert line.startswith(
        "numpy () False The native module could not be imported (import of recurra_runtime._native "
    )
    assert line.endswith("Install GCC or Clang, then install recurra-runtime again.")


def test_fallback_computes_the_same_functions() -> None:
    code = """
import numpy as np, recurra_runtime as r
x = np.array([[-1.0, 0.0, 2.0]], np.float32)
y = r.tanh(x)
assert r.sigmoid(x, out=x) is x
assert np.allclose(y, np.tanh([[-1, 0, 2]]))
assert np.allclose(x, 1 / (1 + np.exp([[1.0, 0, -2]])))
print(x.dtype)"""
    assert output_of(code, RECURRA_NATIVE="0") == "float32"


@pytest.mark.parametrize("use", USES)
def test_forcing_a_level_without_the_native_module_is_an_error(use: str) -> None:
    code = f"import numpy as np, recurra_runtime as r; print('imported'); {USES[use]}"
    done = run_python("-c", code, RECURRA_NATIVE="0", RECURRA_ISA="avx2")
    assert (done.returncode, done.stdout.strip()) == (1, "imported")
    assert "ValueError: RECURRA_ISA is 'avx2', but no level can be forced" in done.stderr


def test_import_loads_numpy_and_the_standard_library_alone() -> None:
    code = """
import sys
before = set(sys.modules)
import recurra_runtime
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(loaded - sys.stdlib_module_names), "torch" in sys.modules)"""
    assert output_of(code) == "['numpy', 'recurra_runtime'] False"
