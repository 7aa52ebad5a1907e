"""Validation and test that have files of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from recurra.tasks import task_by_name
from recurra.training import load_recipe


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    return path


@pytest.mark.parametrize("both", [False, True])
def test_parts_come_from_their_files(tmp_path: Path, both: bool) -> None:
    rows = [
        (f"word{n} is {'good' if n % 2 else 'bad'}", "yes" if n % 2 else "no") for n in range(80)
    ]
    train = write(tmp_path / "a.csv", rows[:60])
    test = write(tmp_path / "b.csv", [*rows[60:70], rows[0]])
    valid = write(tmp_path / "c.csv", rows[70:])
    changes = [f'data.test="{test}"'] + ([f'data.validation="{valid}"'] if both else [])
    recipe = load_recipe("classification", changes)
    task = task_by_name("classification")
    found = task.prepare(task.open(train, recipe.data), recipe.data, tmp_path, print)
    counts = {name: part.count for name, part in found.parts.items()}
    assert counts["test"] == 11
    assert counts["training"] + (0 if both else counts["validation"]) == 60
    assert counts["validation"] == 10 if both else 0 < counts["validation"] < 20
    known = found.sizes(counts["validation"])
    trained = {tuple(ids) for ids in found.parts["training"].rows}
    again = sum(tuple(ids) in trained for ids in found.parts["test"].rows)
    assert again == 1 or not both
    assert (f"examples of test that are trained on too: {again}" in known) == (again > 0)
    assert "word75" not in str(found.inputs["text"].to_json())  # of training alone
