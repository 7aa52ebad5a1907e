"""Tables of plain text."""

from __future__ import annotations

import pytest

from recurra.columns import aligned, number, shown


def test_numbers_stand_at_the_right_unless_it_is_said_which() -> None:
    rows = [("name", "count", "kind"), ("a", "7", "x"), ("long", "1234", "9y")]
    assert aligned(rows) == "name  count  kind\na         7  x\nlong   1234    9y"
    assert aligned(rows, right=(0,)) == "name  count  kind\n   a  7      x\nlong  1234   9y"
    assert aligned(rows, right=()) == "name  count  kind\na     7      x\nlong  1234   9y"


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.0, "0.00"), (-1.005e6, "-1.00e+06"), (999999.994, "999999.99"), (1e6, "1.00e+06")],
)
def test_numbers(value: float, written: str) -> None:
    assert number(value, 2) == shown(value, 2) == written
    assert shown(None, 2) == "-"
