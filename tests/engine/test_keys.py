"""What named values are called."""

import pytest

from recurra.engine.keys import Key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("layers.0.cell: forget gate", ("layers.0.cell", "forget gate", 0)),
        ("layers.0.cell (2): forget gate", ("layers.0.cell", "forget gate", 2)),
        ("(12): state.h", ("", "state.h", 12)),
        ("state.h", ("", "state.h", 0)),
        ("half (2)", ("", "half (2)", 0)),
        ("cell: at: odd (3)", ("cell", "at: odd (3)", 0)),
    ],
)
def test_a_key_is_read_as_it_is_written(text, key):
    assert Key.of(text) == key
    assert str(Key(*key)) == text


def test_parts_of_a_key():
    key = Key.of("cell (2): half (3)")
    assert (key.where, key.name, str(key.alone)) == ("cell (2)", "half", str(key))
    assert str(Key.of("cell: h").alone) == "cell (1): h"
