"""The machine on several threads, called by several, and after a fork; without torch.

As a module: ``python -m native.concurrency FILE [COUNT]``, where FILE is what ``native.programs``
wrote, and COUNT how many of its programs are run. This is what runs under the thread sanitizer.
Exits with an error if a result differs.
"""

from __future__ import annotations

import os
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from native.calls import Call, Memory, Plain, dealt, load
from numpy.typing import NDArray

from recurra_runtime.backend import core

Values = dict[Any, NDArray[Any]]
THREADS = (1, 2, 4)
TIME = 13


def call_of(batch: int, threads: int, lengths: list[int] | None, *, descending: bool) -> Call:
    """The same call for any number of threads: rows are dealt to them as lengths ask for."""
    told = order = None
    if lengths is not None:
        told = dealt(lengths, threads)
        rows: dict[int, list[int]] = {}
        for row, length in enumerate(lengths):
            rows.setdefault(length, []).append(row)
        order = tuple(rows[length].pop(0) for length in told)
    return Call(TIME, batch, told, order, descending, threads, 5, 2)


def results(program: Plain, call: Call) -> Values:
    made: Any = core()
    return Memory(program, program.parts, call, 7).run(made.Program.make(*program.parts))


def same(one: Values, other: Values, program: Plain, *, sums: bool) -> None:
    """What belongs to a row is the same bit for bit; so are sums, at one number of threads."""
    spans = {(kind, place): span for kind, place, span in program.arguments}
    for name, values in one.items():
        if sums or spans.get(name, 0) > 0:
            equal = np.array_equal(values, other[name], equal_nan=True)
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


def call_after_fork(program: Plain) -> None:
    """A child has no threads of its parent's pool: it makes its own."""
    call = call_of(5, 3, None, descending=False)
    wanted = results(program, call)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            same(wanted, results(program, call), program, sums=True)
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "the child's result differs"
    same(wanted, results(program, call), program, sums=True)


def main(path: str, count: str = "") -> None:
    programs = load(Path(path))
    programs = programs[: int(count or len(programs))]
    compare_threads(programs)
    call_at_once(programs)
    for program in programs[:2]:
        call_after_fork(program)
    print(f"{len(programs)} programs on {', '.join(map(str, THREADS))} threads")


if __name__ == "__main__":
    main(*sys.argv[1:])
