"""The machine on several threads, called by several, and after a fork; without torch.

As a module: ``python -m native.concurrency FILE [COUNT]``, where FILE is what ``native.programs``
wrote, and COUNT how many of its programs are run. This is what runs under the thread sanitizer.
Nothing is forked under the address sanitizer: a child may wait for ever for memory, as its lock can
have been another thread's when the process was forked. Exits with an error if a result differs.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from native.calls import LARGE, Call, Memory, Plain, dealt, load
from numpy.typing import NDArray

from recurra_runtime.backend import core

Values = dict[Any, NDArray[Any]]
THREADS = (1, 2, 4)
FORKS = "libasan" not in os.environ.get("LD_PRELOAD", "")
TIME, LONG = 13, 200
STEPS = 500


def call_of(
    batch: int,
    threads: int,
    lengths: list[int] | None,
    *,
    descending: bool,
    time: int = TIME,
    chunk: int = 5,
) -> Call:
    """The same call for any number of threads: rows are dealt to them as lengths ask for."""
    told = order = None
    if lengths is not None:
        told = dealt(lengths, threads)
        rows: dict[int, list[int]] = {}
        for row, length in enumerate(lengths):
            rows.setdefault(length, []).append(row)
        order = tuple(rows[length].pop(0) for length in told)
    return Call(time, batch, told, order, descending, threads, chunk, 2)


def results(program: Plain, call: Call) -> Values:
    made: Any = core()
    return Memory(program, program.parts, call, 7).run(made.Program.make(*program.parts))


def same(one: Values, other: Values, program: Plain, *, sums: bool | None) -> None:
    """What belongs to a row is the same bit for bit; so are sums, at one number of threads.

    None does not look at sums: those of many steps of large numbers differ by more than a little.
    """
    spans = {(kind, place): span for kind, place, span in program.arguments}
    for name, values in one.items():
        if sums or spans.get(name, 0) > 0:
            equal = np.array_equal(values, other[name], equal_nan=True)
        elif sums is None:
            continue
        else:
            equal = np.allclose(values, other[name], rtol=1e-3, atol=1e-3, equal_nan=True)
        assert equal, f"{program.name}: {name} differs"


def calls() -> list[dict[int, Call]]:
    """Whole and ragged rows, more and fewer than threads, both directions; by number of threads."""
    draw = random.Random(0)
    found = []
    for batch in (1, 3, 6):
        for lengths in (None, [draw.randint(0, TIME) for _ in range(batch)]):
            for descending in (False, True):
                found.append(
                    {n: call_of(batch, n, lengths, descending=descending) for n in THREADS}
                )
    return found


def compare_threads(programs: list[Plain]) -> None:
    for program in programs:
        for call in calls():
            first = results(program, call[1])
            for count in THREADS[1:]:
                several = results(program, call[count])
                same(first, several, program, sums=False)
                same(several, results(program, call[count]), program, sums=True)


def call_at_once(programs: list[Plain]) -> None:
    """Several threads of Python, each with calls of several threads."""
    jobs = [(program, call_of(5, 2, None, descending=False)) for program in programs]
    wanted = [results(*job) for job in jobs]

    def again(index: int) -> None:
        program, call = jobs[index % len(jobs)]
        same(wanted[index % len(jobs)], results(program, call), program, sums=True)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(again, range(4 * len(jobs))))


def in_a_child(compare: Callable[[], None]) -> None:
    """A child has no threads of its parent's pool: it makes its own."""
    if not FORKS:
        return
    child = os.fork()
    if child == 0:
        status = 1
        try:
            compare()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "in the child it differs"


def call_after_fork(program: Plain) -> None:
    """In the child and, afterwards, here."""
    call = call_of(5, 3, None, descending=False)
    wanted = results(program, call)

    def compare() -> None:
        same(wanted, results(program, call), program, sums=True)

    in_a_child(compare)
    compare()


def stepper(threads: int, weights: NDArray[np.float32], held: list[Any]) -> Callable[[], bytes]:
    """Steps of one product with a matrix that is large enough to be shared: what each gives."""
    native: Any = core()
    size = len(weights)
    x, y = np.empty(size, np.float32), np.empty(size, np.float32)
    linear = next(n for n, row in enumerate(native.rows()) if row[0] == "linear")
    nothing = [-1, 0, 0, 0]
    product = [linear, 1, size, size, 0, 2, 0, 0, 0, 0, 0, 0, 0, *nothing, *nothing]
    program = native.Program.make(
        [[0, size, 0, -1], [0, size * size, 0, -1], [0, size, 0, -1]],
        [[], [], [], [product], [], [], [], []],
        [[1, 0, size, size, size, 1]],
        [],
        [],
        [],
        3,
        [0] * 7,
    )
    shape = [x.nbytes, 0, 1, size]
    arguments = [[x.ctypes.data, size], [weights.ctypes.data, 0], [y.ctypes.data, size]]
    place = [x.ctypes.data, *shape]
    made = native.Stepper(
        program, False, 1, arguments, [place], [y.ctypes.data, *shape], [], threads, 0
    )
    held += [x, y]
    draw = np.random.default_rng(0)

    def step() -> bytes:
        given = draw.standard_normal((1, size), np.float32)
        out = np.empty((1, size), np.float32)
        made.step(given, out)
        return out.tobytes()

    return step


def share_steps() -> None:
    """Bits do not depend on who takes a part, or comes too late for it."""
    weights = np.random.default_rng(1).standard_normal((300, 300), np.float32)
    held: list[Any] = []
    alone = stepper(1, weights, held)
    wanted = [alone() for _ in range(STEPS)]

    def together(threads: int) -> None:
        step = stepper(threads, weights, held)
        for place, said in enumerate(wanted):
            if place % 97 == 0:
                time.sleep(0.002)  # the others fall asleep
            assert step() == said, f"step {place} on {threads} threads differs"

    for threads in THREADS[1:]:
        together(threads)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(together, (2, 3, 4)))
    in_a_child(lambda: together(2))


def share_a_row(program: Plain) -> None:
    """Threads stand by for the products of a single row, in both directions, called by several."""

    def compare(descending: bool) -> None:
        for threads in THREADS[1:]:
            one, several = (
                results(
                    program,
                    call_of(1, count, None, descending=descending, time=LONG, chunk=LONG // 3),
                )
                for count in (1, threads)
            )
            same(one, several, program, sums=None)

    for _ in range(5):
        compare(False)
        compare(True)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(compare, [True, False] * 4))


def main(path: str, count: str = "") -> None:
    programs = load(Path(path))
    large = [program for program in programs if program.name.startswith(LARGE)]
    programs = [program for program in programs if program not in large]
    programs = programs[: int(count or len(programs))]
    compare_threads(programs)
    call_at_once(programs)
    for program in programs[:2]:
        call_after_fork(program)
    share_steps()
    for program in large:
        share_a_row(program)
    print(f"{len(programs)} programs on {', '.join(map(str, THREADS))} threads")


if __name__ == "__main__":
    main(*sys.argv[1:])
