"""ops.def: Python and C++ read the same rows; a damaged table is refused with its line."""

import keyword

import numpy as np
import pytest

import recurra_runtime
from recurra_runtime import fallback, instructions


def test_native_table_has_the_same_rows_in_the_same_order() -> None:
    if not recurra_runtime.native_available():
        pytest.skip("the native module is not there")
    from recurra_runtime import _native

    assert tuple(_native.rows()) == tuple(tuple(row) for row in instructions.TABLE)


def test_every_row_can_be_run() -> None:
    elementwise = [row.name for row in instructions.TABLE if row.kind == "elementwise"]
    assert sorted(fallback.KERNELS) == sorted(elementwise)
    for row in instructions.TABLE:
        assert row.name.isidentifier()
        assert not keyword.iskeyword(row.name)
        assert row.meaning.startswith(("y = ", "y += ", "y[x] += "))


def test_numpy_has_torchs_sign_of_nan() -> None:
    numbers = np.array([-np.inf, -0.0, np.nan, 2], np.float32)
    assert fallback.apply("sign", [numbers]).tolist() == [-1, 0, 0, 1]


def test_native_functions_are_those_of_the_table() -> None:
    if not recurra_runtime.native_available():
        pytest.skip("the native module is not there")
    from recurra_runtime import _native

    for number, row in enumerate(instructions.TABLE):
        inputs = [np.full(3, 0.5, np.float32)] * row.arity
        out = np.zeros(3, np.float32)
        if row.kind == "elementwise":
            _native.apply(number, inputs, out)
            wanted = np.zeros(3, np.float32)
            fallback.KERNELS[row.name](*inputs, wanted)
            np.testing.assert_allclose(out, wanted, rtol=1e-6)
        else:
            with pytest.raises(ValueError, match="no elementwise instruction"):
                _native.apply(number, inputs, out)


def test_parse_reads_rows_comments_and_blank_lines() -> None:
    text = '// a comment\n\nRECURRA_OP(add, 2, elementwise, "y = a + b")\n'
    assert instructions.parse(text) == (
        instructions.Instruction("add", 2, "elementwise", "y = a + b"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "RECURRA_OP(add, two, elementwise)",
            r"here, line 1: expected RECURRA_OP\(name.* got 'RECURRA_OP",
        ),
        (
            '\nRECURRA_OP(add, 2, wide, "m")',
            "here, line 2: kind 'wide' is not known; expected one of elementwise",
        ),
        ('RECURRA_OP(a, 1, elementwise, "m")\n' * 2, "here, line 2: 'a' has a row already"),
    ],
)
def test_parse_refuses_a_damaged_table(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        instructions.parse(text, "here")
