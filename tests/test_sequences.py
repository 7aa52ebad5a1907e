"""PaddedSequence against plain Python lists of rows; what stands in the padding is poison."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence, unpack_sequence

from recurra import sequences
from recurra.errors import ShapeError
from recurra.lengths import valid_mask
from recurra.sequences import PaddedSequence

NUMBERS = (torch.float64, torch.float32, torch.int64, torch.int32)
POISON = {torch.float64: math.nan, torch.float32: math.nan, torch.bool: True}
SIDES = ("left", "right")
some = settings(max_examples=60, deadline=None)


# ------------------------------------------------------------------------------------- the model


class Case(NamedTuple):
    """The same rows twice: as lists, and in a tensor with poison behind them."""

    rows: list[list[Any]]
    sequence: PaddedSequence
    shape: tuple[int, ...]
    dtype: torch.dtype


def element(shape: tuple[int, ...], dtype: torch.dtype, numbers: Iterator[int]) -> Any:
    """Nested lists of numbers that no other element has (booleans have few to choose from)."""
    if shape:
        return [element(shape[1:], dtype, numbers) for _ in range(shape[0])]
    number = next(numbers)
    if dtype == torch.bool:
        return number % 3 == 0
    return float(number) if dtype.is_floating_point else number


def case(
    lengths: list[int],
    shape: tuple[int, ...] = (),
    dtype: torch.dtype = torch.float64,
    more: int = 0,
) -> Case:
    numbers = count(1)
    rows = [[element(shape, dtype, numbers) for _ in range(length)] for length in lengths]
    time = max(lengths, default=0) + more
    values = torch.full((time, len(rows), *shape), POISON.get(dtype, 99), dtype=dtype)
    for b, row in enumerate(rows):
        for t, one in enumerate(row):
            values[t, b] = torch.tensor(one, dtype=dtype)
    return Case(
        rows, PaddedSequence(values, torch.tensor(lengths, dtype=torch.int64)), shape, dtype
    )


def cases(
    dtypes: Sequence[torch.dtype] = (*NUMBERS, torch.bool),
    shapes: Sequence[tuple[int, ...]] = ((), (2,), (2, 1, 3)),
    least: int = 0,
) -> Any:
    """Cases of any lengths, no rows included, whose tensors may be longer than every row."""
    return st.builds(
        case,
        st.lists(st.integers(least, 5), min_size=least, max_size=4),
        st.sampled_from(shapes),
        st.sampled_from(dtypes),
        st.integers(0, 2),
    )


def listed(sequence: PaddedSequence) -> list[list[Any]]:
    values = sequence.values.tolist()
    return [[values[t][b] for t in range(n)] for b, n in enumerate(sequence.lengths.tolist())]


def constant(shape: tuple[int, ...], value: Any) -> Any:
    return [constant(shape[1:], value) for _ in range(shape[0])] if shape else value


def paired(function: Callable[..., Any], *elements: Any) -> Any:
    """``function`` on the numbers of nested lists of one shape."""
    if isinstance(elements[0], list):
        return [paired(function, *parts) for parts in zip(*elements, strict=True)]
    return function(*elements)


def test_the_model_reads_what_was_written() -> None:
    rows, sequence, *_ = case([2, 0, 1], (2,), more=1)
    assert rows == [[[1, 2], [3, 4]], [], [[5, 6]]]
    assert sequence.values.shape == (3, 3, 2)
    assert sequence.values[0].tolist()[::2] == [[1, 2], [5, 6]]
    assert sequence.values.isnan().sum() == 2 * (9 - 3)
    assert listed(sequence) == rows


# ------------------------------------------------------------------------------------ in and out


@some
@given(cases())
def test_from_list_and_to_list(c: Case) -> None:
    tensors = [torch.tensor(row, dtype=c.dtype).reshape(-1, *c.shape) for row in c.rows]
    if not tensors:
        assert c.sequence.to_list() == []
        return
    for given_rows in (tensors, [tensor.numpy() for tensor in tensors]):
        made = PaddedSequence.from_list(given_rows)
        assert listed(made) == c.rows
        assert made.values.dtype == c.dtype
        assert made.values.shape == (max(map(len, c.rows)), len(c.rows), *c.shape)
    for back, row in zip(c.sequence.to_list(), c.rows, strict=True):
        assert back.tolist() == row
        assert back.dtype == c.dtype
        assert back.shape == (len(row), *c.shape)


@some
@given(cases())
def test_from_list_of_plain_lists(c: Case) -> None:
    if not any(c.rows):
        return
    before = copy.deepcopy(c.rows)
    made = PaddedSequence.from_list(c.rows)
    default = {torch.bool: torch.bool, torch.int64: torch.int64, torch.int32: torch.int64}
    assert listed(made) == before == c.rows
    assert made.values.dtype == default.get(c.dtype, torch.float32)
    assert made.values.shape[2:] == c.shape  # an empty list takes the shape of its mates'
    assert PaddedSequence.from_list(c.rows, dtype=torch.float16).values.dtype == torch.float16


def test_from_list_of_arrays_that_torch_does_not_share() -> None:
    frozen = np.arange(3.0)
    frozen.flags.writeable = False
    made = PaddedSequence.from_list([frozen, np.arange(4.0)[::-1], [np.float64(7)] * 2])
    assert listed(made) == [[0, 1, 2], [3, 2, 1, 0], [7, 7]]
    made.values[0] = 5
    assert frozen.tolist() == [0, 1, 2]
    steps = [[torch.tensor([1, 2]), torch.tensor([3, 4])], [torch.tensor([5, 6])]]
    assert listed(PaddedSequence.from_list(steps)) == [[[1, 2], [3, 4]], [[5, 6]]]


@some
@given(cases(), st.sampled_from(SIDES))
def test_from_padded(c: Case, side: Any) -> None:
    values = c.sequence.values.clone()
    lengths = [len(row) for row in c.rows]
    if side == "left":
        time = len(values)
        values = torch.full_like(values, POISON.get(c.dtype, 99))
        for b, row in enumerate(c.rows):
            for t, one in enumerate(row):
                values[time - len(row) + t, b] = torch.tensor(one, dtype=c.dtype)
    made = PaddedSequence.from_padded(values, lengths, side=side)
    assert listed(made) == c.rows
    assert made.lengths.dtype == torch.int64


def test_from_padded_without_lengths_takes_all() -> None:
    made = PaddedSequence.from_padded(torch.tensor([[1, 2], [3, 4], [5, 6]]))
    assert listed(made) == [[1, 3, 5], [2, 4, 6]]


@some
@given(cases(), st.sampled_from(SIDES), st.sampled_from([None, 0, 2]))
def test_to_padded(c: Case, side: Any, more: int | None) -> None:
    longest = max(map(len, c.rows), default=0)
    time = c.sequence.time if more is None else longest + more
    got = c.sequence.to_padded(None if more is None else time, fill=1, side=side)
    filler = constant(c.shape, 1)
    want = [
        [filler] * (time - len(row)) + row if side == "left" else row + [filler] * (time - len(row))
        for row in c.rows
    ]
    assert got.transpose(0, 1).tolist() == want
    assert got.shape == (time, len(c.rows), *c.shape)
    assert got.dtype == c.dtype
    again = PaddedSequence.from_padded(got, c.sequence.lengths, side=side)
    assert listed(again) == c.rows


@some
@given(cases(least=1))
def test_packed(c: Case) -> None:
    packed = c.sequence.to_packed()
    assert [row.tolist() for row in unpack_sequence(packed)] == c.rows
    rows = [torch.tensor(row, dtype=c.dtype) for row in c.rows]
    theirs = pack_sequence(rows, enforce_sorted=False)
    assert packed.batch_sizes.tolist() == theirs.batch_sizes.tolist()
    back = PaddedSequence.from_packed(theirs)
    assert listed(back) == c.rows
    assert back.values.dtype == c.dtype


@some
@given(cases())
def test_nested(c: Case) -> None:
    if not c.rows:
        return
    nested = c.sequence.to_nested()
    assert nested.is_nested
    assert nested.layout == torch.jagged
    assert [row.tolist() for row in nested.unbind()] == c.rows
    rows = [torch.tensor(row, dtype=c.dtype).reshape(-1, *c.shape) for row in c.rows]
    back = PaddedSequence.from_nested(torch.nested.as_nested_tensor(rows, layout=torch.jagged))
    assert listed(back) == c.rows
    assert back.values.shape[2:] == c.shape
    assert back.values.dtype == c.dtype


def test_gradients_come_back_from_packed_and_nested() -> None:
    values = case([3, 1], (2,), more=1).sequence.values.requires_grad_()
    for carry in (lambda s: s.to_packed().data, lambda s: s.to_nested().values()):
        (gradient,) = torch.autograd.grad(carry(PaddedSequence(values, [3, 1])).sum(), values)
        assert gradient[:, 0].tolist() == [[1, 1]] * 3 + [[0, 0]]
        assert gradient[:, 1].tolist() == [[1, 1]] + [[0, 0]] * 3


@some
@given(cases())
def test_facts(c: Case) -> None:
    time = max(map(len, c.rows), default=0)
    assert c.sequence.batch == len(c.rows)
    assert c.sequence.time >= time
    assert c.sequence.count == sum(map(len, c.rows))
    mask = [[t < len(row) for row in c.rows] for t in range(c.sequence.time)]
    assert c.sequence.mask.tolist() == mask
    ordered = [row[t] for t in range(time) for row in c.rows if t < len(row)]
    assert c.sequence.valid().tolist() == ordered


# -------------------------------------------------------------------------------------- elements


@some
@given(cases(NUMBERS))
def test_map_sees_valid_elements_alone(c: Case) -> None:
    seen = []

    def twice(elements: Tensor) -> Tensor:
        seen.append(elements)
        return 2 * elements + 1

    made = c.sequence.map(twice, fill=7)
    assert listed(made) == [[paired(lambda x: 2 * x + 1, one) for one in row] for row in c.rows]
    assert seen[0].shape == (c.sequence.count, *c.shape)
    assert not seen[0].isnan().any()
    assert made.values[~made.mask].tolist() == [constant(c.shape, 7)] * int((~made.mask).sum())


@some
@given(cases(NUMBERS, shapes=[(2,), (2, 1, 3)]))
def test_map_may_change_shape_and_type(c: Case) -> None:
    def above(one: Any) -> bool:
        return any(map(above, one)) if isinstance(one, list) else one > 3

    made = c.sequence.map(lambda elements: (elements > 3).flatten(1).any(1))
    assert made.values.dtype == torch.bool
    assert listed(made) == [[above(one) for one in row] for row in c.rows]


@pytest.mark.parametrize("lengths", [[3, 0, 1], [0, 0], [2, 2], []])
def test_linear_over_padding_of_nan(lengths: list[int]) -> None:
    torch.manual_seed(0)
    c = case(lengths, (3,), more=1)
    values = c.sequence.values.requires_grad_()
    linear = nn.Linear(3, 2).double()
    made = PaddedSequence(values, c.sequence.lengths).map(linear)
    made.values.square().sum().backward()
    got = [linear.weight.grad, linear.bias.grad]

    weight = [[0.0] * 3 for _ in range(2)]
    bias = [0.0, 0.0]
    w, b = linear.weight.tolist(), linear.bias.tolist()
    for one in (one for row in c.rows for one in row):
        y = [sum(w[o][i] * one[i] for i in range(3)) + b[o] for o in range(2)]
        for o in range(2):
            bias[o] += 2 * y[o]
            for i in range(3):
                weight[o][i] += 2 * y[o] * one[i]
    torch.testing.assert_close(got, [torch.tensor(weight).double(), torch.tensor(bias).double()])
    assert values.grad is not None
    assert not values.grad.isnan().any()
    assert not values.grad[~made.mask].any()

    if 0 < sum(lengths) < made.time * made.batch:  # the same over all steps is poisoned
        twin = nn.Linear(3, 2).double()
        twin(values).masked_fill(~made.mask.unsqueeze(2), 0).square().sum().backward()
        assert twin.weight.grad.isnan().any()


def test_map_refuses_another_number_of_elements() -> None:
    sequence = case([2, 1]).sequence
    for wrong in (lambda e: e[:-1], lambda e: e.sum(), lambda e: torch.cat([e, e[:1]])):
        with pytest.raises(ShapeError, match=r"keeps the first axis \(3 elements\), got .*\["):
            sequence.map(wrong)


def test_with_valid() -> None:
    sequence = case([2, 0, 1]).sequence
    assert listed(sequence.with_valid(torch.tensor([7, 8, 9]))) == [[7, 9], [], [8]]
    for wrong in (torch.ones(2), torch.ones(6), torch.tensor(1.0)):  # 6 = time * batch
        with pytest.raises(ShapeError, match="expected 3 elements, got"):
            sequence.with_valid(wrong)


@some
@given(cases())
def test_masked(c: Case) -> None:
    made = c.sequence.masked(1)
    assert listed(made) == c.rows
    assert made.values[~made.mask].tolist() == [constant(c.shape, 1)] * int((~made.mask).sum())
    assert made.values.dtype == c.dtype


@some
@given(cases(), st.lists(st.integers(0, 100), max_size=5))
def test_select_rows(c: Case, wanted: list[int]) -> None:
    wanted = [row % len(c.rows) for row in wanted] if c.rows else []
    made = c.sequence.select_rows(torch.tensor(wanted, dtype=torch.int64))
    assert listed(made) == [c.rows[row] for row in wanted]


def test_to_changes_the_type_of_values_alone() -> None:
    made = case([2, 1]).sequence.to(torch.float32)
    assert made.values.dtype == torch.float32
    assert made.lengths.dtype == torch.int64
    assert listed(made) == [[1, 2], [3]]


# ------------------------------------------------------------------------------------------ time


@some
@given(cases(), st.integers(0, 6), st.sampled_from(SIDES))
def test_truncate(c: Case, length: int, side: Any) -> None:
    want = [row[:length] if side == "right" else row[max(len(row) - length, 0) :] for row in c.rows]
    made = c.sequence.truncate(length, side)
    assert listed(made) == want
    assert made.time == min(length, c.sequence.time)


@some
@given(cases(), st.integers(0, 7), st.sampled_from(SIDES))
def test_pad(c: Case, length: int, side: Any) -> None:
    made = c.sequence.pad(length, 1, side)
    want = []
    for row in c.rows:
        more = [constant(c.shape, 1)] * (length - len(row))
        want.append(row + more if side == "right" else more + row)
    assert listed(made) == want


@some
@given(cases(), st.integers(-7, 7))
def test_shift(c: Case, steps: int) -> None:
    made = c.sequence.shift(steps, 1)
    filler = constant(c.shape, 1)
    want = [
        [row[t - steps] if 0 <= t - steps < len(row) else filler for t in range(len(row))]
        for row in c.rows
    ]
    assert listed(made) == want
    assert made.time == c.sequence.time
    assert not made.values[~made.mask].any()


@some
@given(cases())
def test_reverse(c: Case) -> None:
    once = c.sequence.reverse()
    assert listed(once) == [row[::-1] for row in c.rows]
    outside = ~c.sequence.mask
    for made in (once, once.reverse()):
        torch.testing.assert_close(
            made.values[outside], c.sequence.values[outside], equal_nan=True, rtol=0, atol=0
        )
    assert listed(once.reverse()) == c.rows


@some
@given(cases(), st.integers(1, 6), st.none() | st.integers(1, 6))
def test_windows(c: Case, size: int, stride: int | None) -> None:
    step = stride or size
    got = list(c.sequence.windows(size, stride))
    starts = []
    for start in range(0, c.sequence.time, step):
        starts.append(start)
        if start + size >= c.sequence.time:
            break
    assert len(got) == len(starts)
    for window, start in zip(got, starts, strict=True):
        assert listed(window) == [row[start : start + size] for row in c.rows]
        assert window.time == min(size, c.sequence.time - start)
    if step == size and got:
        assert listed(PaddedSequence.concatenate(*got)) == c.rows


def test_windows_carry_a_state_past_finished_rows() -> None:
    c = case([5, 0, 2])
    total = torch.zeros(3, dtype=torch.float64)
    lengths = []
    for window in c.sequence.windows(2):
        lengths.append(window.lengths.tolist())
        total = 10 * total * window.mask.any(0) + total * ~window.mask.any(0) + window.sum()
    assert lengths == [[2, 0, 2], [2, 0, 0], [1, 0, 0]]
    assert total.tolist() == [10 * (10 * (1 + 2) + 3 + 4) + 5, 0, 6 + 7]


@some
@given(cases(NUMBERS))
def test_sum_mean_last(c: Case) -> None:
    zero = constant(c.shape, 0)
    sums = [paired(lambda *e: sum(e), zero, *row) for row in c.rows]
    steps = [max(len(row), 1) for row in c.rows]
    means = [paired(lambda x, n=n: x / n, one) for n, one in zip(steps, sums, strict=True)]
    lasts = [row[-1] if row else zero for row in c.rows]
    assert c.sequence.sum().tolist() == sums
    assert c.sequence.last().tolist() == lasts
    assert c.sequence.last().dtype == c.dtype
    mean = c.sequence.mean()
    assert mean.shape == (len(c.rows), *c.shape)
    want = torch.tensor(means, dtype=torch.float64).reshape(mean.shape)
    torch.testing.assert_close(mean.double(), want, rtol=1e-6, atol=0)


def test_sum_mean_last_of_booleans() -> None:
    made = PaddedSequence.from_list([[True, True, False], [], [False, True]])
    assert made.sum().tolist() == [2, 0, 1]
    assert made.mean().tolist() == pytest.approx([2 / 3, 0, 1 / 2])
    assert made.last().tolist() == [False, False, True]
    empty = PaddedSequence(torch.zeros(0, 2, dtype=torch.bool), [0, 0])
    assert empty.last().dtype == torch.bool


@some
@given(st.data(), st.integers(0, 4), st.integers(1, 3))
def test_concatenate(data: st.DataObject, batch: int, number: int) -> None:
    lengths = st.lists(st.integers(0, 4), min_size=batch, max_size=batch)
    dtype = data.draw(st.sampled_from([torch.float64, torch.int64, torch.bool]))
    shape = data.draw(st.sampled_from([(), (2,)]))
    parts = [
        case(data.draw(lengths), shape, dtype, data.draw(st.integers(0, 2))) for _ in range(number)
    ]
    made = PaddedSequence.concatenate(*(part.sequence for part in parts))
    assert listed(made) == [[one for part in parts for one in part.rows[b]] for b in range(batch)]
    assert made.values.dtype == dtype
    assert not made.values[~made.mask].any()
    if batch:
        assert made.time == max(sum(len(part.rows[b]) for part in parts) for b in range(batch))


def test_concatenate_from_an_instance() -> None:
    first, second = case([2, 1]), case([0, 2])
    made = first.sequence.concatenate(first.sequence, second.sequence)
    assert listed(made) == [a + b for a, b in zip(first.rows, second.rows, strict=True)]


# ------------------------------------------------------------------------- gradients and no rows


OPERATIONS: dict[str, Callable[[PaddedSequence], Tensor]] = {
    "masked": lambda s: s.masked().values,
    "to_padded left": lambda s: s.to_padded(5, side="left"),
    "map": lambda s: s.map(torch.sin).values,
    "truncate left": lambda s: s.truncate(2, "left").masked().values,
    "pad left": lambda s: s.pad(3, 1.0, "left").masked().values,
    "shift": lambda s: s.shift(1).values,
    "shift back": lambda s: s.shift(-1).values,
    "reverse": lambda s: s.reverse().masked().values,
    "concatenate": lambda s: PaddedSequence.concatenate(s, s.reverse()).values,
    "select rows": lambda s: s.select_rows(s.lengths.new_tensor([2, 0, 0])).masked().values,
    "sum": lambda s: s.sum(),
    "mean": lambda s: s.mean(),
    "last": lambda s: s.last(),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_gradients_are_right_and_padding_gets_none(name: str) -> None:
    lengths = torch.tensor([3, 0, 1, 4])
    torch.manual_seed(0)
    values = torch.randn(4, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda v: OPERATIONS[name](PaddedSequence(v, lengths)), values, raise_exception=True
    )
    outside = ~PaddedSequence(values, lengths).mask
    poisoned = values.detach().masked_fill(outside.unsqueeze(2), math.nan).requires_grad_()
    clean, dirty = (OPERATIONS[name](PaddedSequence(v, lengths)) for v in (values, poisoned))
    torch.testing.assert_close(dirty, clean, rtol=0, atol=0)
    weights = torch.randn_like(clean)
    (want,) = torch.autograd.grad((clean * weights).sum(), values)
    (got,) = torch.autograd.grad((dirty * weights).sum(), poisoned)
    torch.testing.assert_close(got, want, rtol=0, atol=0)
    assert not want[outside].any()
    assert want.any()


@pytest.mark.parametrize("name", OPERATIONS)
def test_all_stays_on_the_device_of_the_values(name: str) -> None:
    def run() -> Tensor:
        values = torch.arange(24.0, device="cpu").reshape(4, 3, 2)
        return OPERATIONS[name](PaddedSequence(values, [3, 0, 4]))

    want = run()
    with torch.device("meta"):  # where a tensor is made without a word about its device
        got = run()
    torch.testing.assert_close(got, want, rtol=0, atol=0)


def test_what_is_read_stays_on_the_device_of_the_values() -> None:
    rows = [torch.ones(2), torch.ones(1)]
    with torch.device("meta"):
        made = PaddedSequence.from_list(rows)
        assert listed(made) == [[1, 1], [1]]
        assert listed(PaddedSequence.from_padded(made.values)) == [[1, 1], [1, 0]]


SIZES = [(0, 0), (0, 2), (3, 0)]


@pytest.mark.parametrize(("time", "batch"), SIZES)
def test_nothing_at_all(time: int, batch: int) -> None:
    values = torch.ones(time, batch, 2, requires_grad=True)
    empty = PaddedSequence(values, [0] * batch)
    made = {
        "masked": empty.masked().values,
        "map": empty.map(torch.sin).values,
        "reverse": empty.reverse().values,
        "shift": empty.shift(1).values,
        "truncate": empty.truncate(5, "left").values,
        "to_padded": empty.to_padded(side="left"),
        "from_padded": PaddedSequence.from_padded(values, [0] * batch, side="left").values,
    }
    for name, result in made.items():
        assert result.shape == (time, batch, 2), name
    assert empty.map(lambda e: torch.cat([e, e], 1)).values.shape == (time, batch, 4)
    assert empty.pad(4).values.shape == (4, batch, 2)
    assert empty.count == 0
    for whole in (empty.sum(), empty.mean(), empty.last()):
        assert whole.tolist() == [[0, 0]] * batch
        (gradient,) = torch.autograd.grad(whole.sum(), values)
        assert not gradient.any()
    assert listed(PaddedSequence.concatenate(empty, empty)) == [[]] * batch


# ---------------------------------------------------------------------------------------- errors


def four(**change: Any) -> PaddedSequence:
    return PaddedSequence(**({"values": torch.zeros(4, 2), "lengths": [4, 1]} | change))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: four(values=torch.zeros(3)), r"expected a tensor \[time, batch, ...\], got \[3\]"),
        (lambda: four(values=[[1.0]]), r"got <class 'list'>.*from_list"),
        (lambda: four(lengths=[4, 5]), r"expected 0 to 4 \(the time axis.*got 5 in row 1"),
        (lambda: four(lengths=[-1, 2]), "got -1 in row 0"),
        (
            lambda: four(lengths=[1]),
            r"each of 2 rows \(values are \[time=4, batch=2.*got shape \[1\]",
        ),
        (lambda: four(lengths=[4.0, 1.0]), "expected whole numbers, got torch.float32"),
        (lambda: four(lengths=[True, False]), "expected whole numbers, got torch.bool"),
        (lambda: four(lengths=[1, 1, 0, 2]), r"first axis \(4\), which is time.*transpose"),
        (
            lambda: PaddedSequence(torch.zeros(2, 5), [5, 5, 1, 3, 2]),
            r"second axis \(5\), which is the batch.*transpose",
        ),
        (lambda: PaddedSequence.from_list([]), r"at least one row, got none.*\[time, 0, ...\]"),
        (lambda: PaddedSequence.from_list([[1], 2]), "row 1 is a single number"),
        (lambda: PaddedSequence.from_list([torch.tensor(2)]), "row 0 is a single number"),
        (lambda: PaddedSequence.from_list([["a"]]), r"row 0 is no array of numbers"),
        (lambda: PaddedSequence.from_list([[1], [[1, 2], [3]]]), "row 1 is no array of numbers"),
        (
            lambda: PaddedSequence.from_list([[1, 2], [[1, 2]]]),
            r"row 1 has elements \[2\] int64, row 0 has \[\] int64",
        ),
        (
            lambda: PaddedSequence.from_list([[1], [1.5]]),
            r"row 1 has elements \[\] float32, row 0 has \[\] int64.*pass dtype=",
        ),
        (lambda: PaddedSequence.from_nested(torch.zeros(2, 3)), r"nested tensor, got \[2, 3\]"),
        (lambda: four().to_padded(3), "a row of 4 steps does not fit 3; truncate"),
        (lambda: four().to_padded(side="top"), "expected 'left' or 'right', got 'top'"),
        (lambda: PaddedSequence.from_padded(torch.zeros(1, 1), side="Left"), "got 'Left'"),
        (lambda: four().truncate(2, "up"), "got 'up'"),
        (lambda: four().pad(2, side="up"), "got 'up'"),
        (lambda: four(lengths=[0, 0]).to_packed(), r"rows \[0, 1\] are empty.*select_rows"),
        (lambda: PaddedSequence(torch.zeros(4, 0), []).to_packed(), r"to_packed.*at least one row"),
        (lambda: PaddedSequence(torch.zeros(4, 0), []).to_nested(), r"to_nested.*at least one row"),
        (lambda: four().truncate(-1), "truncate: expected a whole number of at least 0, got -1"),
        (lambda: four().pad(-2), "pad: expected .* at least 0, got -2"),
        (lambda: next(four().windows(0)), "windows: expected .* at least 1, got 0"),
        (lambda: next(four().windows(1, 0)), r"windows \(stride\): expected .* got 0"),
        (lambda: PaddedSequence.concatenate(), "at least one PaddedSequence, got none"),
        (
            lambda: PaddedSequence.concatenate(four(), four(values=torch.zeros(4, 2, 3))),
            r"part 1 is \[time, 2, 3\], part 0 is \[time, 2\]",
        ),
    ],
)
def test_errors(wrong: Callable[[], Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        wrong()


def test_lengths_that_fit_both_axes_say_nothing_of_axes() -> None:
    with pytest.raises(ShapeError) as caught:
        PaddedSequence(torch.zeros(3, 3), [1, 2, 4])
    assert "axis (3)" not in str(caught.value)


def test_what_was_checked_is_not_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lengths are checked where they come in, and the valid places are looked for once."""
    sequence = case([2, 0, 3], (2,), more=1).sequence
    masks: list[int] = []

    def refuse(*given: Any) -> None:
        raise AssertionError("checked again")

    def mask(lengths: Tensor, time: int) -> Tensor:
        masks.append(time)
        return valid_mask(lengths, time)

    monkeypatch.setattr(sequences, "check_lengths", refuse)
    monkeypatch.setattr(sequences, "valid_mask", mask)
    mapped = sequence.map(torch.neg).map(torch.abs)
    assert torch.equal(mapped.with_valid(mapped.valid()).valid(), sequence.valid())
    assert torch.equal(sequence.to_padded(3), sequence.to_padded()[:3])
    assert masks == [4]
    assert PaddedSequence.from_list([[1], [2, 3]]).lengths.tolist() == [1, 2]
    assert sequence.select_rows(torch.tensor([2, 0])).lengths.tolist() == [3, 2]
    assert sequence.truncate(1, "left").lengths.tolist() == [1, 0, 1]
    assert sequence.pad(3, side="left").pad(4).lengths.tolist() == [4, 4, 4]
    assert [window.lengths.tolist() for window in sequence.windows(2)] == [[2, 0, 2], [0, 0, 1]]
    assert PaddedSequence.concatenate(sequence, sequence.to("cpu")).lengths.tolist() == [4, 0, 6]
    with pytest.raises(AssertionError, match="checked again"):
        PaddedSequence(sequence.values, sequence.lengths)
