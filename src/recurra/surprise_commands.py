"""What the command line does with surprises; only what ``--help`` needs is imported here."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from recurra.console import arriving, print_json, say

__all__ = ["draw_surprise", "print_surprises", "surprising"]

_FALSE_ALARMS = 0.01


def surprising(
    blocks: Iterable[Iterable[Any]], answer: Any, false_alarms: float | None
) -> Iterator[Any]:
    """The surprises of inputs as they come.

    Args:
        blocks: inputs, some at a time.
        answer: the loaded model.
        false_alarms: share of usual steps that may be flagged.
    """
    share = _FALSE_ALARMS if false_alarms is None else false_alarms
    for block in blocks:
        yield from answer.surprise(block, share)
        sys.stdout.flush()


def print_surprises(found: Iterable[Any], *, json: bool) -> None:
    """A line for each step, or an object for each input; then how many are flagged.

    A line has the number of the input, the number of the step, what it is called (its symbol or
    time stamp), its nats, and ``!`` where it is flagged, with tabs between them.
    """
    steps = flagged = 0
    threshold = 0.0
    for number, each in enumerate(found, 1):
        steps, flagged = steps + len(each.nats), flagged + len(each.flagged)
        threshold = each.threshold
        if json:
            print_json(each.to_json())
            continue
        for row in each.rows():
            print(number, *row, sep="\t")
    if steps:
        share = f"{flagged / steps:.2%}"
        say(f"above {threshold:.4f} nats: {flagged:,} of {steps:,} steps ({share})")


def draw_surprise(run: Path, file: Path, out: Path, false_alarms: float | None) -> Path:
    """Draw the steps of a file's first input, and how surprising each is.

    Args:
        run: a run or one of its checkpoints.
        file: of series, or of lines.
        out: where the picture goes.
        false_alarms: share of usual steps that may be flagged.
    """
    from recurra.diagnosis import surprise
    from recurra.doors import load

    answer = load(run)
    whole = answer.opened(file, None)
    blocks: Iterable[Any] = [whole]
    if whole is None:
        blocks = (map(answer.of_line, block) for block in arriving(str(file), None))
    return surprise(next(surprising(blocks, answer, false_alarms))).save(out)
