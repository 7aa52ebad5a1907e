"""Runs that go on beside each other, as one sequence of events."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any, Self

from recurra.comparison.display import Board
from recurra.comparison.runner import Job, Outcome, Runner, Told
from recurra.training.interrupts import interruptible

__all__ = ["Crew"]

_SECONDS = 0.25  # between two looks at Ctrl-C


class Crew:
    """Hands runs to a runner and tells what becomes of them, in one thread.

    Ctrl-C once: every run keeps what it has, and what has not begun does not begin. A second one
    ends all at once.

    Args:
        runner: makes the runs.
        board: shows them.
    """

    def __init__(self, runner: Runner, board: Board) -> None:
        self.runner, self.board = runner, board
        self.stopped = False
        self._events: queue.SimpleQueue[tuple[Job, Told | Future[Outcome]]] = queue.SimpleQueue()
        self._pending = 0

    def __enter__(self) -> Self:
        """Show what comes."""
        self.board.open()
        return self

    def __exit__(self, *problem: object) -> None:
        """End all that still runs."""
        self.runner.close()
        self.board.close()

    def submit(self, job: Job) -> None:
        """Begin a run as soon as there is room."""
        self._pending += 1
        future = self.runner.submit(job, lambda told: self._events.put((job, told)))
        future.add_done_callback(lambda done: self._events.put((job, done)))

    def events(self) -> Iterator[tuple[Job, Told | Outcome]]:
        """What runs tell and how they end, until none is left; more may be submitted meanwhile."""
        with interruptible() as asked:
            while self._pending:
                if asked() and not self.stopped:
                    self.stopped = True
                    self.board.say("Stopping: each run keeps what it has. Ctrl-C again: at once.")
                    self.runner.stop()
                try:
                    job, event = self._events.get(timeout=_SECONDS)
                except queue.Empty:
                    self.board.refresh()
                    continue
                if isinstance(event, Told):
                    self.board.tell(job.name, event)
                    yield job, event
                    continue
                self._pending -= 1
                outcome = _outcome(event)
                self.board.end(job.name, outcome)
                yield job, outcome


def _outcome(future: Future[Any]) -> Outcome:
    if future.cancelled():
        return Outcome("interrupted")
    problem = future.exception()
    if problem is not None:  # of the runner itself, such as a process that cannot be begun
        return Outcome("failed", f"{type(problem).__name__}: {problem}")
    found: Outcome = future.result()
    return found
