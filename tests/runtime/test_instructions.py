"""ops.def: Python and C++ read the same rows; a damaged table is refused with its line."""

import keyword

import pytest

import recurra_runtime
from recurra_runtime import fallback, instructions


def test_native_table_has_the_same_rows_in_the_same_order() -> None:
    if not recurra_runtime.native_available():
        pytest.skip("the native module is not there")
    from recurra_runtime import _native

    assert tuple(_native.rows()) == tuple(tuple(row) for row in instructions.TABLE)


def test_every_row_can_be_run() -> None:
    assert sorted(fallback.KERNELS) == sorted(row.name for row in instructions.TABLE)
    for row in instructions.TABLE:
        assert row.name.isidentifier()
        assert not keyword.iskeyword(row.name)
        assert row.meaning.startswith("y = ")


def test_native_functions_are_those_of_the_table() -> None:
    if not recurra_runtime.native_available():
        pytest.skip("the native module is not there")
    from recurra_runtime import _native

    public = {name for name in dir(_native) if not name.startswith("_")}
    assert public == {"isa", "isa_levels", "rows"} | {row.name for row in instructions.TABLE}


def test_parse_reads_rows_comments_and_blank_lines() -> None:
    text = '// a comment\n\nRECURRA_OP(add, 2, same, "y = a + b")\n'
    assert instructions.parse(text) == (instructions.Instruction("add", 2, "same", "y = a + b"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "RECURRA_OP(add, two, same)",
            r"here, line 1: expected RECURRA_OP\(name.* got 'RECURRA_OP",
        ),
        (
            '\nRECURRA_OP(add, 2, wide, "m")',
            "here, line 2: shape rule 'wide' is not known; expected one of same",
        ),
        ('RECURRA_OP(a, 1, same, "m")\n' * 2, "here, line 2: 'a' has a row already"),
    ],
)
def test_parse_refuses_a_damaged_table(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        instructions.parse(text, "here")
