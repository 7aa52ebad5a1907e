"""tanh and sigmoid of arrays: shapes, memory, special values, refusals. Not accuracy."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import recurra_runtime

from .environment import output_of

Activation = Callable[..., NDArray[np.float32]]
LEVELS = ("numpy", *recurra_runtime.isa_levels())
both = pytest.mark.parametrize("function", [recurra_runtime.tanh, recurra_runtime.sigmoid])


def numbers(*shape: int) -> NDArray[np.float32]:
    """Reproducible numbers on both sides of zero."""
    return np.random.default_rng(0).normal(0, 3, shape).astype(np.float32)


# Run on each level: one element alone, at every position of arrays of every small length.
POSITION = """
import numpy as np, recurra_runtime as r
values = np.random.default_rng(1).normal(0, 3, 37).astype(np.float32)
for f in (r.tanh, r.sigmoid):
    alone = np.array([f(values[i:i + 1])[0] for i in range(37)])
    for first in range(37):
        for last in range(first, 38):
            part = f(values[first:last])
            assert part.tobytes() == alone[first:last].tobytes(), (r.isa(), first, last)
print(r.isa())
"""


@pytest.mark.parametrize("level", LEVELS)
def test_result_depends_on_neither_position_nor_length(level: str) -> None:
    variables = {"RECURRA_NATIVE": "0"} if level == "numpy" else {"RECURRA_ISA": level}
    assert output_of(POSITION, **variables) == level


SPECIAL = """
import numpy as np, recurra_runtime as r
x = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45], np.float32)
print(r.tanh(x).tolist(), np.signbit(r.tanh(x)).tolist()[2:], r.sigmoid(x).tolist())
print(r.sigmoid(np.array([-103, -104, -3e38, 3e38, 20], np.float32)).tolist())
"""


@pytest.mark.parametrize("level", LEVELS)
def test_special_values(level: str) -> None:
    variables = {"RECURRA_NATIVE": "0"} if level == "numpy" else {"RECURRA_ISA": level}
    tiny = float(np.float32(1e-45))
    signs = [False, True, False, True, False, True]
    tanh = f"[nan, nan, 1.0, -1.0, 0.0, -0.0, {tiny}, {-tiny}]"
    sigmoid = "[nan, nan, 1.0, 0.0, 0.5, 0.5, 0.5, 0.5]"
    ends = f"[{tiny}, 0.0, 0.0, 1.0, 1.0]"
    assert output_of(SPECIAL, **variables) == f"{tanh} {signs} {sigmoid}\n{ends}"


@both
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (5, 7), (2, 3, 4, 5)])
def test_any_shape(function: Activation, shape: tuple[int, ...]) -> None:
    x = numbers(*shape)
    x = np.asarray(x, np.float32)
    y = function(x)
    assert isinstance(y, np.ndarray)
    assert (y.shape, y.dtype) == (shape, np.dtype(np.float32))
    assert y.tobytes() == function(x.reshape(-1)).tobytes()


@both
def test_input_that_is_not_contiguous_is_copied(function: Activation) -> None:
    x = numbers(6, 8)
    for view in (x.T, x[::2, ::-3], np.broadcast_to(x[0], (4, 8)), np.asfortranarray(x)):
        before = view.copy()
        assert function(view).tobytes() == function(view.copy(order="C")).tobytes()
        assert np.array_equal(view, before)


@both
def test_input_that_is_not_aligned_is_copied(function: Activation) -> None:
    x = numbers(9)
    shifted = np.frombuffer(b"\0" + x.tobytes(), np.float32, offset=1)
    assert not shifted.flags.aligned
    assert function(shifted).tobytes() == function(x).tobytes()


@both
def test_read_only_input(function: Activation) -> None:
    x = numbers(5)
    x.flags.writeable = False
    assert function(x).tobytes() == function(x.copy()).tobytes()


@both
@given(count=st.integers(0, 70))
def test_in_place_equals_out_of_place(function: Activation, count: int) -> None:
    x = numbers(count)
    expected = function(x).tobytes()
    other_view = x[:]
    assert function(x, out=other_view) is other_view
    assert x.tobytes() == expected


@both
def test_nothing_is_written_beyond_out(function: Activation) -> None:
    for count in range(40):
        room = np.full(count + 2, 7, np.float32)
        function(numbers(count), out=room[1:-1])
        assert room[0] == room[-1] == 7


@both
@pytest.mark.parametrize("shift", [1, 3, 15, 16, 17])
def test_partial_overlap_is_refused(function: Activation, shift: int) -> None:
    memory = numbers(40)
    for x, out in ((memory[:-shift], memory[shift:]), (memory[shift:], memory[:-shift])):
        before = memory.copy()
        with pytest.raises(ValueError, match="out overlaps the memory of x in part: pass x itself"):
            function(x, out=out)
        assert np.array_equal(memory, before)


@both
def test_neighbors_in_one_buffer_are_no_overlap(function: Activation) -> None:
    memory = numbers(40)
    expected = function(memory[:20]).tobytes()
    assert function(memory[:20], out=memory[20:]).tobytes() == expected


@both
@pytest.mark.parametrize("kind", [np.float64, np.float16, np.int32, ">f4", np.complex64])
def test_another_dtype_is_refused(function: Activation, kind: str) -> None:
    name = function.__name__
    with pytest.raises(
        TypeError, match=rf"{name}: x must be .* got one of {np.dtype(kind)}: convert"
    ):
        function(np.zeros(3, kind))
    with pytest.raises(TypeError, match=f"{name}: out must be .* float32"):
        function(numbers(3), out=np.zeros(3, kind))


@both
@pytest.mark.parametrize("value", [1.0, [1.0, 2.0], np.float32(1), None])
def test_what_is_no_array_is_refused(function: Activation, value: object) -> None:
    with pytest.raises(
        TypeError, match=f"x must be .* got {type(value).__name__}: convert it with"
    ):
        function(value)


@both
def test_out_of_another_shape_is_refused(function: Activation) -> None:
    with pytest.raises(ValueError, match=r"shape of x, \(2, 3\), got \(3, 2\): pass"):
        function(numbers(2, 3), out=numbers(3, 2))


@both
def test_out_that_cannot_be_written_is_refused(function: Activation) -> None:
    frozen = numbers(4)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match=r"must be C-contiguous, .*writeable=False"):
        function(numbers(4), out=frozen)
    with pytest.raises(ValueError, match=r"must be C-contiguous, .* got strides \(8,\)"):
        function(numbers(4), out=numbers(8)[::2])


@both
def test_large_arrays_and_numpy_strictness(function: Activation) -> None:
    """Past the size where the interpreter lock is released; every NumPy warning is an error."""
    x = numbers(100_000)
    with np.errstate(all="raise"):
        assert function(x)[-9:].tobytes() == function(x[-9:]).tobytes()
