"""Where functions have kinks, bounds and ends, values and gradients are torch's own.

All calls of a kind are one step, each on features of its own, so that each type is recorded once.
"""

from __future__ import annotations

import functools
import math
from functools import cache
from typing import Any, NamedTuple

import pytest
import torch
from engine.lower.by_hand import BY_HAND
from engine.lower.corners import CASES, COMPOSED, ONE, POINTS, ROWS, TWO, Case
from engine.lower.rarer import RARER
from torch import Tensor

import recurra
import recurra_runtime
from recurra.engine.graph.derive import derive
from recurra.engine.graph.interpreter import evaluate
from recurra.engine.graph.values import STEP
from recurra.engine.lower.lowering import lower
from recurra.engine.lower.rules import TABLE
from recurra.engine.record.tape import record

DTYPES = [torch.float32, torch.float64]
# What comes in for a value: nothing too, for much is masked before it is summed.
COMES = (1.0, -0.75, 0.0)


class Found(NamedTuple):
    """Of one call: its results side by side, and the gradient of what it read."""

    value: Tensor
    slope: Tensor


class Many(recurra.Cell):
    """y = what many functions give, each of its own part of x."""

    def __init__(self, kind: str, dtype: torch.dtype, without: str = "") -> None:
        sizes = zip(of(kind), sizes_of(kind, dtype), strict=True)
        kept = [(case, size) for case, size in sizes if case.name != without]
        self.cases = [case for case, _ in kept]
        super().__init__(sum(case.width for case, _ in kept), sum(size for _, size in kept))

    def initial_state(self, batch: int) -> Any:
        return recurra.HiddenState(self.zeros(batch))

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        parts = x.split([case.width for case in self.cases], 1)
        return torch.cat([applied(*each) for each in zip(self.cases, parts, strict=True)], 1), state


def applied(case: Case, x: Tensor, *, truly: bool = False) -> Tensor:
    """The numbers that a call gives, ``[rows, features]``."""
    function = case.truth if truly and case.truth else case.of
    result = function(*x.split(1, 1)) if case.points == TWO else function(x)
    several = result if isinstance(result, tuple | list) else [result]
    numbers = [r.to(x.dtype) if r.dtype != x.dtype else r for r in several]
    flat = [r.reshape(len(x), math.prod(r.shape[1:])) for r in numbers]
    return torch.cat(flat, 1) if len(flat) > 1 else flat[0]


def comes(result: Tensor) -> Tensor:
    """What comes in for results: each of ``COMES`` for a third of the rows, not all alike."""
    third = len(result) // len(COMES)
    rows = torch.tensor(COMES, dtype=result.dtype).repeat_interleave(third)
    return rows[:, None] * (1 - torch.arange(result.shape[1], dtype=result.dtype) % 3 / 4)


def asked(kind: str, dtype: torch.dtype) -> Tensor:
    """Numbers that a float has: in both types the same."""
    return POINTS[kind].float().to(dtype).repeat(len(COMES), 1)


def of(kind: str) -> list[Case]:
    return [case for case in (*CASES, *RARER, *BY_HAND) if case.points == kind]


def parted(cases: list[Case], sizes: list[int], y: Tensor, dx: Tensor) -> list[Found]:
    slopes = dx.split([case.width for case in cases], 1)
    return [Found(*pair) for pair in zip(y.split(sizes, 1), slopes, strict=True)]


@cache
def by_torch(kind: str, dtype: torch.dtype, truly: bool = False) -> list[Found]:
    found = []
    for case in of(kind):
        x = asked(kind, dtype).requires_grad_()
        value, slope = applied(case, x, truly=truly), None
        if value.requires_grad:
            (slope,) = torch.autograd.grad(value, x, comes(value), allow_unused=True)
        found.append(Found(value.detach(), torch.zeros_like(x) if slope is None else slope))
    return found


def sizes_of(kind: str, dtype: torch.dtype) -> list[int]:
    return [found.value.shape[1] for found in by_torch(kind, dtype)]


def all_comes(kind: str, dtype: torch.dtype) -> Tensor:
    return torch.cat([comes(found.value) for found in by_torch(kind, dtype)], 1)


def by_native(kind: str, dtype: torch.dtype) -> list[Found]:
    if not recurra_runtime.native_available():
        pytest.skip("there is no native module")
    cases, cell = of(kind), Many(kind, dtype).to(dtype)
    x = asked(kind, dtype).repeat(1, len(cases))[None].requires_grad_()
    y = recurra.run(cell, x, backend="native").outputs
    (dx,) = torch.autograd.grad(y, x, all_comes(kind, dtype)[None])
    return parted(cases, sizes_of(kind, dtype), y[0].detach(), dx[0])


@cache
def lowered(kind: str, dtype: torch.dtype) -> tuple[Any, list[str]]:
    cell = Many(kind, dtype).to(dtype)

    def example(batch: int) -> Tensor:
        return torch.rand(batch, cell.input_size, dtype=dtype) + 0.5

    recording = record(lambda x: (cell.step(x, ())[0], ()), lambda batch: (example(batch),))
    names = [call.name.removesuffix("_") for call in recording.calls]
    return lower(recording, [STEP]), names


def by_interpreter(kind: str, dtype: torch.dtype) -> list[Found]:
    cases, (low, _) = of(kind), lowered(kind, dtype)
    graph, (output,) = low.graph, low.outputs
    inputs = {value.settings[0]: value for value in graph if value.op == "input"}
    x = inputs.pop(("given", 0))
    dy = graph.input(("dy", dtype), output.shape, STEP)
    (slope,) = derive(graph, {output: dy}, [x])
    batch = asked(kind, dtype).repeat(1, len(cases))
    given = {x.number: batch, dy.number: all_comes(kind, dtype)}
    shared = low.shared.tensors({})
    given |= {value.number: shared[place] for (_, place), value in inputs.items()}
    with torch.no_grad():
        found = evaluate(graph.values, given, len(batch))
    return parted(cases, sizes_of(kind, dtype), found[output.number], found[slope.number])


def apart(ours: Tensor, theirs: Tensor, level: Tensor, x: Tensor) -> Tensor:
    """Units in the last place of a level between numbers; infinite where one is not finite.

    What lies below the normal numbers is 0 for the machine, and so is x times it.
    """
    kind = torch.finfo(ours.dtype)
    _, exponents = level.double().frexp()
    read = x.abs().nan_to_num(0, 0, 0).double().amax(1, keepdim=True).clamp(1, 1000)
    nothing = kind.smallest_normal * read
    unit = torch.maximum(2.0 ** (exponents - 1).double() * kind.eps, nothing)
    found = (ours.double() - theirs.double()).abs() / unit
    found = torch.where((ours == theirs) | (ours.isnan() & theirs.isnan()), 0.0, found)
    return torch.where(found.isnan(), torch.inf, found)


def level_of(case: Case, part: str, theirs: Tensor, x: Tensor) -> Tensor:
    """At which size distances are measured."""
    level = theirs.abs().nan_to_num(0, 0, 0)
    if case.level == "number" or (case.level == "slope" and part == "value"):
        return level
    if case.level != "row":
        return level.clamp(min=1)
    read = torch.where(x.isfinite(), x, 0).abs().amax(1, keepdim=True)
    if part == "slope":
        read = read.clamp(max=1)
    return torch.maximum(level.amax(1, keepdim=True), read).expand_as(theirs)


def distance(case: Case, part: str, row: tuple[Found, Found, Found], x: Tensor) -> Tensor:
    """From torch's or, where that is nearer, from the truth."""
    ours, theirs, true = (getattr(found, part) for found in row)
    true = true.to(ours.dtype)
    far = apart(ours, theirs, level_of(case, part, theirs, x), x)
    to_true = apart(ours, true, level_of(case, part, true, x), x)
    if case.truth is None:  # what is not finite is torch's then
        to_true = torch.where(theirs.isfinite() & ours.isfinite(), to_true, torch.inf)
    far = torch.minimum(far, to_true)
    return far.masked_fill(x.isnan(), 0) if case.vague and part == "slope" else far


def faults(kind: str, dtype: torch.dtype, found: list[Found]) -> list[str]:
    wrong, x = [], asked(kind, dtype)
    truth = [by_torch(kind, dtype), by_torch(kind, torch.float64, True)]
    for case, *row in zip(of(kind), found, *truth, strict=True):
        for part in Found._fields[: 1 if case.flat else 2]:
            far = distance(case, part, tuple(row), x).amax(1)
            for at in (far > case.ulp).nonzero()[:, 0].tolist():
                ours, theirs, true = (getattr(each, part)[at].tolist() for each in row)
                wrong.append(
                    f"{case.name} {part} at {[float(f'{n:.6g}') for n in x[at].tolist()]}: {ours}, "
                    f"torch {theirs}, in truth {true}, {far[at]:.3g} ULP apart"
                )
    return wrong


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", [ONE, TWO, ROWS])
@pytest.mark.parametrize("run", [by_native, by_interpreter])
def test_corners_are_torchs(run: Any, kind: str, dtype: torch.dtype) -> None:
    wrong = faults(kind, dtype, run(kind, dtype))
    assert not wrong, f"{len(wrong)} places\n" + "\n".join(wrong)


@pytest.mark.parametrize("kind", [ONE, TWO, ROWS])
def test_second_derivatives_are_torchs(kind: str) -> None:
    """At points without corners: what no gradient goes through must not hang on x."""
    cell = Many(kind, torch.float64, "hardsigmoid").double()  # of which torch has none
    x = torch.rand(4, cell.input_size).double() * 1.3 + 0.2

    def slopes_of(x: Tensor, y: Tensor) -> Tensor:
        weight = 1 - torch.arange(y.shape[1]).double() % 3 / 4
        (first,) = torch.autograd.grad((y * weight).sin().sum(), x, create_graph=True)
        return torch.autograd.grad((first * first).sum(), x)[0]

    x.requires_grad_()
    theirs = slopes_of(x, cell.step(x, ())[0])
    ours = slopes_of(x, recurra.run(cell, x[None], backend="native").outputs[0])
    widths = [case.width for case in cell.cases]
    for case, *pair in zip(cell.cases, ours.split(widths, 1), theirs.split(widths, 1), strict=True):
        told = functools.partial("{}: {}".format, case.name)
        torch.testing.assert_close(*pair, rtol=1e-5, atol=1e-9, equal_nan=True, msg=told)


def test_every_operation_has_a_case() -> None:
    """And each case calls the operation that it says."""
    seen = {name for kind in (ONE, TWO, ROWS) for name in lowered(kind, torch.float32)[1]}
    # Of own shapes: the tests of the backends ask them.
    shaped = {"convolution", "embedding"}
    assert {case.name for case in (*CASES, *RARER)} == set(TABLE) - shaped
    assert set(TABLE) - seen == COMPOSED | shaped
    kinds = {kind: len(of(kind)) * len(POINTS[kind]) for kind in (ONE, TWO, ROWS)}
    print(
        f"{len(TABLE)} names in {len(CASES) + len(RARER)} calls, {len(BY_HAND)} more by hand: "
        f"{sum(kinds.values())} places, {len(COMES)} gradients, {len(DTYPES)} types, 2 machines"
    )


def test_reasons() -> None:
    """A wider bound has a reason."""
    assert all(case.why for case in (*CASES, *RARER, *BY_HAND) if case.ulp > 2 or case.truth)
