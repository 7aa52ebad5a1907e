"""How a long training looks while it runs."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from recurra.training import Progress, Report

__all__ = ["Bar", "Lines"]


class Lines:
    """A line every few seconds, for logs.

    Args:
        seconds: time between two lines.
    """

    def __init__(self, seconds: float = 5.0) -> None:
        self.seconds = seconds
        self._last = -seconds

    def __enter__(self) -> Self:
        """Nothing to open."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to close."""

    def __call__(self, report: Report) -> None:
        """Print what is new."""
        if report.message is not None:
            print(report.message, file=sys.stderr, flush=True)
        done = report.progress
        if done is None:
            return
        now = time.monotonic()
        last = done.step == done.steps
        if report.validation is None and not last and now - self._last < self.seconds:
            return
        self._last = now
        print(f"step {done.step}/{done.steps}  {_words(report, done)}", file=sys.stderr, flush=True)


class Bar:
    """A bar with loss, rate and time left, for a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self._bar = Progress(
            BarColumn(30),
            TaskProgressColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("", total=None)
        self._validation: float | None = None

    def __enter__(self) -> Self:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last picture standing."""
        self._bar.stop()

    def __call__(self, report: Report) -> None:
        """Move the bar."""
        if report.message is not None:
            self._bar.console.print(report.message)
        if report.progress is not None:
            done = report.progress
            self._bar.update(
                self._task,
                total=done.steps,
                completed=done.step,
                description=_words(report, done),
            )
        if report.validation is not None and report.progress is not None:
            self._bar.console.print(
                f"step {report.progress.step}: validation {report.validation:.4f} nats/symbol"
            )


def _words(report: Report, done: Progress) -> str:
    left = done.seconds / done.step * (done.steps - done.step)
    known = done.step >= 20 or done.step >= 0.1 * done.steps  # the first steps are slow
    remaining = f"{int(left) // 60}:{int(left) % 60:02d} left" if known else "..."
    score = "" if report.validation is None else f"  validation {report.validation:.4f}"
    return f"loss {done.loss:.3f} nats{score}  {done.rate:,.0f} symbols/s  {remaining}"
