"""The page of operations says what happens: each step on it is run, and each refusal is its own."""

import ast
import importlib.util
from pathlib import Path

import pytest

import recurra_runtime
from recurra.engine import lower
from recurra.engine.lower.rules import TABLE
from recurra.engine.record.instead import INSTEAD, instead

ROOT = Path(__file__).resolve().parent.parent
_SPEC = importlib.util.spec_from_file_location("operations", ROOT / "scripts" / "operations.py")
operations = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(operations)
PAGE = operations.PAGE.read_text(encoding="utf-8")
needs_native = pytest.mark.skipif(
    not recurra_runtime.native_available(), reason="there is no native module"
)


@needs_native
def test_the_page_is_the_table():
    assert operations.with_table(PAGE) == PAGE, "run scripts/operations.py"


@needs_native
@pytest.mark.parametrize("group", operations.GROUPS)
def test_native_is_loop_or_says_what_to_write(group):
    for step in operations.STEPS:
        if step.group == group:
            why = operations.refusal(step)
            if why is None:
                assert operations.problem(step) is None, step.code
            else:
                assert "; " in why, f"{step.code}: {why}: what is to be written instead?"


@needs_native
def test_most_steps_are_native():
    native = sum(operations.refusal(step) is None for step in operations.STEPS)
    assert native >= 150


@needs_native
def test_broken_twin_another_step_is_told_apart(monkeypatch):
    """The comparison can fail: here native runs a step that is a little different."""
    results = operations._results

    def other(step, backend, *given):
        code = f"{step.code} * (1 + 1e-6)" if backend == "native" else step.code
        return results(step._replace(code=code), backend, *given)

    monkeypatch.setattr(operations, "_results", other)
    assert operations.problem(operations.Step("", "torch.tanh(x + h)")) is not None


def test_every_refusal_says_what_to_write():
    """``now.refuse`` takes it as its second argument; everything else in lower names it."""
    for path in Path(lower.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            if getattr(node.func, "attr", "") == "refuse":
                assert len(node.args) == 2, f"{path.name}, line {node.lineno}"
            elif getattr(node.func, "id", "") == "Unrecordable":
                told = ast.unparse(node.args[0])
                assert "; " in told or "instead(" in told, f"{path.name}, line {node.lineno}"


def test_advice_is_for_what_has_no_rule():
    assert not set(INSTEAD) & set(TABLE)
    assert all(text.startswith(("write ", "draw ")) for text in INSTEAD.values())
    assert instead("erfinv") != instead("an operation that nobody knows")
