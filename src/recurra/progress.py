"""How a long training looks while it runs; it goes on where nobody takes what it says."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, TextIO, cast

from recurra.columns import number

if TYPE_CHECKING:
    from recurra.training import Progress, Report

__all__ = ["Bar", "Lines", "drop", "patient_console", "tell"]


def tell(text: str) -> None:
    """A line on standard error, or nothing where nobody takes it: what is told stops no work."""
    if sys.stderr is not None:  # as it is where it was closed
        try:
            print(text, file=sys.stderr, flush=True)
        except OSError:
            drop(sys.stderr)


def drop(stream: IO[str]) -> None:
    """Let what is written to a stream vanish from now on, and what is still in its buffer.

    On leaving Python writes the buffer once more, and a failure then has an exit code of its own.
    """
    with suppress(OSError):
        number = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)


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
            tell(report.message)
        done = report.progress
        if done is None:
            return
        now = time.monotonic()
        last = done.step == done.steps
        if report.validation is None and not last and now - self._last < self.seconds:
            return
        self._last = now
        tell(f"step {done.step}/{done.steps}  {_words(report, done)}")
        if report.monitored:
            tell(f"step {done.step}/{done.steps}  {report.monitored}")


class Bar:
    """A bar with loss, rate and time left, for a terminal."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self._bar = Progress(
            BarColumn(30),
            TaskProgressColumn(),
            TextColumn("{task.description}"),
            console=patient_console(sys.stderr),
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
                f"step {report.progress.step}: validation {number(report.validation, 4)} "
                f"{report.metric}"
            )
            if report.monitored:
                self._bar.console.print(f"step {report.progress.step}: {report.monitored}")


def patient_console(stream: TextIO) -> Any:
    """A console of rich on a stream that may be lost while it is written to."""
    from rich.console import Console

    return Console(file=cast("IO[str]", _Patient(stream)))


class _Patient:
    """A stream that may be lost while it is written to: rich would end the program."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = stream.encoding
        self.fileno, self.isatty = stream.fileno, stream.isatty

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except OSError:
            drop(self._stream)
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            drop(self._stream)


def _words(report: Report, done: Progress) -> str:
    left = report.left or 0.0
    known = done.step >= 20 or done.step >= 0.1 * done.steps  # the first steps are slow
    remaining = f"{int(left) // 60}:{int(left) % 60:02d} left" if known else "..."
    score = "" if report.validation is None else f"  validation {number(report.validation, 4)}"
    rate = f"{done.rate:,.0f} {report.unit}/s"
    clipped = f", {done.clipped:.0%} clipped" if done.clipped else ""
    unit = f" {report.loss}" if report.loss else ""
    gradient = f"gradient {done.gradient_norm:.2g}{clipped}"
    return f"loss {number(done.loss, 3)}{unit}{score}  {gradient}  {rate}  {remaining}"
