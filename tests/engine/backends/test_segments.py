"""Time cut into whole rows, held to what is alive at each step and where it begins anew."""

from __future__ import annotations

import random

import pytest
import torch

import recurra
from recurra.engine.backends.segments import segments
from recurra.engine.call import Call
from recurra.engine.prepare import prepare


class Adds(recurra.Cell):
    """h + x, so that every step that was taken shows in the numbers."""

    def __init__(self) -> None:
        super().__init__(1, 1)

    def initial_state(self, batch: int) -> recurra.HiddenState:
        return recurra.HiddenState(torch.full((batch, 1), 1000.0))

    def step(self, x, state, context=None, noise=None):  # type: ignore[no-untyped-def]
        h = 2 * state.h + x
        return h, recurra.HiddenState(h)


def drawn(seed: int) -> tuple[list[int], list[list[bool]]]:
    """Lengths and marks of resets; some rows are empty, some steps nobody's."""
    chance = random.Random(seed)
    time, batch = chance.randint(1, 7), chance.randint(1, 5)
    lengths = [chance.randint(0, time) for _ in range(batch)]
    return lengths, [[chance.random() < 0.2 for _ in range(batch)] for _ in range(time)]


def called(lengths: list[int], resets: list[list[bool]], reverse: bool) -> Call:
    time, batch = len(resets), len(lengths)
    x = torch.zeros(time, batch, 1)
    given = torch.tensor(lengths), torch.tensor(resets)
    return prepare(Adds(), Call(x, lengths=given[0], resets=given[1], reverse=reverse))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("seed", range(40))
def test_segments_are_the_longest_in_which_nothing_happens(seed: int, reverse: bool) -> None:
    lengths, resets = drawn(seed)
    lengths.sort(reverse=True)
    alive = [sum(length > t for length in lengths) for t in range(len(resets))]
    # A row that has ended is reset no more.
    anew = [any(mark[: alive[t]]) for t, mark in enumerate(resets)]
    expected: list[tuple[int, int, int]] = []
    for t, rows in enumerate(alive):
        if rows == 0:
            break
        if expected and expected[-1][2] == rows and not anew[t]:
            expected[-1] = (expected[-1][0], t + 1, rows)
        else:
            expected.append((t, t + 1, rows))
    assert [tuple(one) for one in segments(called(lengths, resets, reverse))] == expected


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("seed", range(40))
def test_rows_are_run_as_if_each_were_alone(seed: int, reverse: bool) -> None:
    """In whatever order they come, one step at a time, by plain numbers."""
    lengths, resets = drawn(seed)
    time, batch = len(resets), len(lengths)
    x = torch.arange(1.0, time * batch + 1).view(time, batch, 1)
    ran = recurra.run(
        Adds(),
        x,
        lengths=torch.tensor(lengths),
        resets=torch.tensor(resets),
        reverse=reverse,
        return_states=True,
        backend="loop",
    )
    for row, length in enumerate(lengths):
        h = 1000.0
        said = [0.0] * time
        for t in reversed(range(length)) if reverse else range(length):
            if resets[t][row] and not reverse:
                h = 1000.0
            h = said[t] = 2 * h + float(x[t, row, 0])
            if resets[t][row] and reverse:
                h = 1000.0
        assert ran.outputs[:, row, 0].tolist() == said
        assert ran.states.h[:, row, 0].tolist() == said
        assert float(ran.state.h[row, 0]) == h


def test_whole_rows_are_one_segment() -> None:
    call = called([4, 4], [[False, False]] * 4, False)
    assert [tuple(one) for one in segments(call)] == [(0, 4, 2)]
    nobody = called([0, 0], [[False, False]] * 4, False)
    assert list(segments(nobody)) == []
