"""The docs page and the tests say the same: every row, every verdict."""

import ast
import inspect
import textwrap
from pathlib import Path

from torch_tools.table import COLUMNS, NONE, ROWS, backends, close, on_loop, outputs_of, sample

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "torch-tools.md"


def rows_of_page(text):
    """Cells of the table's rows, by the first, without the marks of code."""
    found = {}
    for line in text.splitlines():
        if line.startswith("| "):
            name, *rest = [cell.strip() for cell in line.strip("|").split(" | ")]
            found[name.replace("`", "")] = [cell.strip(" |") for cell in rest]
    found.pop("tool")
    return {name: rest for name, rest in found.items() if not set(name) <= set("- |")}


def rows_tested():
    """By row the verdicts that tests run; None stands for all."""
    found = {}
    for path in HERE.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            for mark in getattr(node, "decorator_list", []):
                if isinstance(mark, ast.Call) and getattr(mark.func, "id", "") == "row":
                    only = next((k.value.value for k in mark.keywords if k.arg == "only"), None)
                    found.setdefault(mark.args[0].value, set()).add(only)
    return found


def test_the_page_is_the_table():
    page = rows_of_page(PAGE.read_text(encoding="utf-8"))
    assert list(page) == list(ROWS)
    for name, (*verdicts, remark) in page.items():
        assert tuple(verdicts) == ROWS[name], name
        assert remark or set(verdicts) <= {"works", NONE}, f"{name}: say what to do"


def test_every_verdict_has_a_test():
    tested = rows_tested()
    assert set(tested) == set(ROWS)
    for name, verdicts in ROWS.items():
        assert None in tested[name] or set(verdicts) - {NONE} <= tested[name], name


def test_the_page_is_read_as_it_stands():
    page = "| tool | a | b |\n|---|---|---|\n| `x.y`, with z | works | - | |\n"
    assert rows_of_page(page) == {"x.y, with z": ["works", "-", ""]}


def test_the_snippet_that_forces_a_backend():
    """The page's own lines are those of the tests, and change what runs and nothing else."""
    source = textwrap.dedent("\n".join(inspect.getsource(on_loop).splitlines()[2:-1]))
    assert source.count("\n") == 2
    assert f"```python\n{source}\n```" in PAGE.read_text(encoding="utf-8")
    for make in COLUMNS.values():
        model = make()
        wanted = outputs_of(model, sample())
        with backends() as names:
            got = outputs_of(on_loop(model), sample())
        assert set(names) == {"loop"}
        assert close(got, wanted)
