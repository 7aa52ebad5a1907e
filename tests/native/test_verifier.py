"""Whatever the numbers of a program are, it is refused or stays within its memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from native import fuzz
from native.calls import Call, Memory, Plain, load
from runtime.environment import run_python

import recurra_runtime
from recurra_runtime.backend import core

pytestmark = pytest.mark.skipif(
    not recurra_runtime.native_available(), reason="there is no native module"
)
TESTS = Path(__file__).parents[1]


def test_changed_programs_are_refused_or_harmless(file):
    """In a process of its own: one that died would say at which change."""
    done = run_python("-m", "native.fuzz", str(file), "4000", folder=TESTS)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["refused"] > 1000, found
    assert found["ran"] > 1000, found


def instruction(op, *, outer=1, n=4, count=0, step=-1, out=(0, 0, 0, 0), reads=()):
    names = [row.name for row in recurra_runtime.instructions.TABLE]
    operands = [out, *reads, *[(-1, 0, 0, 0)] * (3 - len(reads))]
    return [names.index(op), outer, n, count, step, *(n for o in operands for n in o)]


SECTIONS = ("shared", "held", "before", "through", "after", "sums", "held_after", "final")
# Buffers of every place: two arguments of 4 numbers first.
PLACES = {"shared": 2, "held": 3, "chunk": 4, "step": 5, "total": 6, "held_total": 7}


def small(section, *instructions, matrices=(), moves=(), carries=(), padded=()):
    """A program of few instructions on a buffer of 4 numbers in each place."""
    buffers = [[0, 4, 0, -1], [0, 4, 0, -1], *([place, 4, 0, -1] for place in range(1, 7))]
    sections = [list(instructions) if name == section else [] for name in SECTIONS]
    rest = [[list(row) for row in table] for table in (matrices, moves, carries)]
    return [buffers, sections, *rest, list(padded), 2, [0, *[4] * 6]]


def on(buffer, offset=0, stride=0, single=0):
    return (PLACES.get(buffer, buffer), offset, stride, single)


def copy(out, read, **sizes):
    return instruction("copy", out=out, reads=[read], **sizes)


FAR = (1 << 62) + (1 << 61)
REFUSED = {
    "behind its buffer": small("before", copy(on("chunk"), on(0, 1))),
    "before its buffer": small("before", copy(on("chunk"), on(0, -1))),
    "outer rows behind": small("before", copy(on("chunk"), on(0, 0, 4), outer=2, n=2)),
    "an operand that is missing": small("before", instruction("add", out=on(0), reads=[on(1)])),
    "no buffer for a sum": small("sums", instruction("row_sum", out=(-1, 0, 0, 0), reads=[on(0)])),
    "an outer product without a result": small(
        "sums", instruction("outer", count=1, out=(-1, 0, 0, 0), reads=[on(0), on(1)])
    ),
    "an outer product larger than its sum": small(
        "sums", instruction("outer", n=4, count=2, out=on("total", 0, 4), reads=[on(0), on(1)])
    ),
    "one number for all of a reduction": small(
        "before", instruction("sum", n=1, count=9, step=1, out=on("chunk"), reads=[on(0, single=1)])
    ),
    "one number for all of a sum's result": small(
        "before", instruction("sum", n=9, count=1, step=0, out=on(0, single=1), reads=[on(1)])
    ),
    "a window's value in the sums of a chunk": small(
        "sums", instruction("row_sum", out=on("total"), reads=[on("step")])
    ),
    "sums for each row by many threads": small(
        "after", instruction("time_sum", out=on("held_total"), reads=[on(0)])
    ),
    "a product before matrices are packed": small(
        "shared",
        instruction("linear", n=2, count=2, step=0, out=on("shared"), reads=[on(0)]),
        matrices=[(1, 0, 2, 2, 2, 1)],
    ),
    "rows where there are none": small("final", copy(on(0), on("held"))),
    "steps where there are none": small("held_after", copy(on(0), on("chunk"))),
    "a copy that is too far": small(
        "before",
        copy(on("chunk", FAR), on(0), step=0),
        moves=[(1, 1, 1, 4, 0, 0, 0, 1, 0, 0, 0, 1)],
    ),
    "a copy without an end": small(
        "before",
        copy(on("chunk"), on(0), step=0),
        moves=[(*[(1 << 30) - 1] * 4, *[0] * 8)],
    ),
    "a product of rows that reads too far": small(
        "before",
        instruction("matmul", step=0, out=on("chunk"), reads=[on(0), on(1)]),
        moves=[(2, 2, 2, 1, 2, 1, 2, 1, 2, 2, 0, 0)],
    ),
    "a product of rows that writes too far": small(
        "before",
        instruction("matmul", step=0, out=on("chunk", 1), reads=[on(0), on(1)]),
        moves=[(2, 2, 2, 1, 2, 1, 2, 1, 2, 1, 0, 0)],
    ),
    "a product of rows without strides": small(
        "before", instruction("matmul", step=0, out=on("chunk"), reads=[on(0), on(1)])
    ),
    "lines that end behind all": small(
        "before",
        instruction("fold", step=0, out=on("chunk"), reads=[on(0)]),
        moves=[(2, 2, 1, 1, 1, 2, 4, 0, 2, 0, 0, 0)],
    ),
    "more lines than are there": small(
        "before",
        instruction("fold", step=0, out=on("chunk"), reads=[on(0)]),
        moves=[(2, 3, 1, 1, 1, 0, 4, 0, 2, 0, 0, 0)],
    ),
    "a table without a sum": small(
        "sums", instruction("scatter", n=2, count=2, out=on(0, 0, 2), reads=[on(1), on(0)])
    ),
    "a table larger than its sum": small(
        "sums", instruction("scatter", n=2, count=3, out=on("total", 0, 2), reads=[on(1), on(0)])
    ),
    "matrices that no memory holds": small(
        "before", matrices=[(1, 0, (1 << 30) - 1, (1 << 30) - 1, 0, 0)] * 16
    ),
    "a matrix behind its buffer": small("before", matrices=[(1, 0, 2, 3, 3, 1)]),
    "a carry from nowhere": small("before", carries=[(-1, 0, 1, -1, 4)]),
    "a carry to itself": small("before", carries=[(0, 0, 1, -1, 4)]),
    "a carry larger than its argument": small("before", carries=[(0, 1, 0, -1, 5)]),
    "padding of what is no argument": small("before", padded=[2]),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_is_refused(why):
    with pytest.raises(ValueError, match="program: "):
        core().Program.make(*REFUSED[why])


def test_the_same_within_bounds_is_run():
    """The broken programs above differ from good ones in one number."""
    good = small(
        "before", copy(on("chunk"), on(0)), copy(on(1), on("chunk")), carries=[(0, 1, 0, -1, 4)]
    )
    program = Plain("copy", good, [("x", 0, 2), ("y", 0, 2)], [])
    memory = Memory(program, good, Call(5, 3), 0)
    values = memory.run(core().Program.make(*good))
    assert (values["x", 0][:, :, :4] == values["y", 0][:, :, :4]).all()


CALLS = {
    "no steps": {"time": 0},
    "no rows": {"batch": 0},
    "no chunk": {"chunk": 0},
    "no window": {"window": -1},
    "no threads": {"threads": 0},
    "a million threads": {"threads": 1 << 20},
    "more memory than there is": {"batch": 1 << 39},
    "a length below zero": {"lengths": (4, 2, -1)},
    "a length above time": {"lengths": (9, 2, 1)},
    "lengths that rise": {"lengths": (2, 4, 1)},
    "lengths that rise in a share": {"lengths": (4, 1, 2), "threads": 2},
    "a row that is not there": {"order": (0, 1, 3)},
    "a row twice": {"order": (0, 1, 1)},
}


@pytest.mark.parametrize("why", CALLS)
def test_calls_that_are_refused(file, why):
    program = load(file)[0]
    made = core().Program.make(*program.parts)
    memory = Memory(program, program.parts, Call(5, 3), 0)
    memory.run(made)
    memory.call = Call(**{"time": 5, "batch": 3} | CALLS[why])
    with pytest.raises(ValueError, match="program: expected"):
        memory.run(made)


@pytest.mark.parametrize("change", [(0, 0), (3, 2), (3, -1), (4, 1)])
def test_arguments_that_are_refused(file, change):
    """No address, a wrong shift, two steps only of what is read for many."""
    program = next(p for p in load(file) if p.name == "lstm, gradient, forward")
    made = core().Program.make(*program.parts)
    memory = Memory(program, program.parts, Call(5, 3), 0)
    at = [kind for kind, *_ in program.arguments].index("x") * 6
    memory.flat[at + change[0]] = change[1]
    with pytest.raises(ValueError, match="program: expected argument"):
        memory.run(made)


def test_the_guard_zones_notice(file):
    """A program that was verified for larger arguments than it gets writes outside of them."""
    good = small("before", copy(on(1), on(0)))
    program = Plain("copy", good, [("x", 0, 2), ("y", 0, 2)], [])
    smaller = fuzz.copied(good)
    smaller[0][1][1] = 3
    with pytest.raises(AssertionError, match="written outside of"):
        Memory(program, smaller, Call(5, 3), 0).run(core().Program.make(*good))
