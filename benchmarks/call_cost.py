"""What does a training call of a small layer cost, and how much of it is not arithmetic?

Calls per second, forward and backward, of LSTM and GRU at the size tiny, and at one row, step and
number of each, where next to nothing is computed: what is left is Python's and autograd's. Beside
torch.nn, and with ``--beside`` beside another checkout of this repository that has been set up
(``make setup`` there): both run in processes of their own, which take turns.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import torch
from torch import nn

import recurra

SEED = 0
SIZES = {"tiny": (8, 50, 16, 32), "one number": (1, 1, 1, 1)}
KINDS = {"LSTM": (recurra.LSTMCell, nn.LSTM), "GRU": (recurra.GRUCell, nn.GRU)}
CALLS = 200


def calls_of(case: str, rival: bool) -> Callable[[], object]:
    """A training call of a case."""
    kind, size = case.split(" ", 1)
    rows, steps, into, hidden = SIZES[size]
    cell, plain = KINDS[kind]
    torch.manual_seed(SEED)
    layer = plain(into, hidden) if rival else recurra.Recurrent(cell(into, hidden))
    x = torch.randn(steps, rows, into, requires_grad=True)
    gradient = torch.randn(steps, rows, hidden)
    read = [x, *layer.parameters()]

    def call() -> object:
        return torch.autograd.grad(layer(x)[0], read, gradient)

    return call


def serve() -> None:
    """Answer each case that comes in with the seconds of a call."""
    known: dict[str, Callable[[], object]] = {}
    for line in sys.stdin:
        case, _, rival = line.rstrip("\n").partition(" of ")
        call = known.setdefault(line, calls_of(case, rival == "torch.nn"))
        start = perf_counter()
        for _ in range(CALLS):
            call()
        print((perf_counter() - start) / CALLS, flush=True)


class Server:
    """A process that serves with the interpreter of a checkout."""

    def __init__(self, python: Path | str) -> None:
        self.process = subprocess.Popen(
            [str(python), __file__, "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def seconds(self, case: str) -> float:
        """Of one call."""
        assert self.process.stdin
        assert self.process.stdout
        print(case, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"the process for {case!r} ended; its error is above")
        return float(answer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--beside", type=Path, help="another checkout, set up")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve()
        return
    # Only here: another checkout serves with this file, and its recurra may have other names.
    from findings import Findings
    from harness import keep, machine_in_words, measure_rounds
    from rivals import LAYER_CODE

    print(machine_in_words())
    ours = Server(sys.executable)
    servers = {"recurra": (ours, ""), "torch.nn": (ours, " of torch.nn")}
    if given.beside:
        servers["before"] = (Server(given.beside / ".venv/bin/python"), "")
    found, least = Findings(), []
    for kind in KINDS:
        for size in SIZES:
            case = f"{kind} {size}"

            def once(case: str = case) -> dict[str, float]:
                return {name: one.seconds(case + more) for name, (one, more) in servers.items()}

            done = measure_rounds(once, given.runs, warm=True)
            goals = {name: None for name in servers if name != "recurra"}
            micro = 1e6 * done.median("recurra")
            found.add(case, done, goals, told=f"{case} {1e6 / micro:,.0f} calls a second,")
            if size == "one number":
                least.append((kind, micro))
    print(found.table())
    parts = ", ".join(f"{kind} {micro:.0f} us" for kind, micro in least)
    print(f"not arithmetic, a training call: {parts}")
    print(f"mean {statistics.mean(micro for _, micro in least):.0f} us")
    if given.beside:
        return
    keep(
        "call_cost",
        {
            "question": "training calls a second, and times as fast as torch.nn",
            **found.to_json(),
            "least_microseconds": dict(least),
        },
        LAYER_CODE,
        seed=SEED,
        by_kind=True,
        void=found.void,
    )


if __name__ == "__main__":
    main()
