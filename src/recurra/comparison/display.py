"""How many runs at once look: what is done, what runs and how far, and the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from recurra.columns import number
from recurra.comparison.runner import Outcome, Told
from recurra.progress import tell

__all__ = ["Bars", "Board", "Lines"]


_LONGEST = 40  # characters of a sentence of one of them


class Board:
    """What is known of all runs; one that shows nothing.

    Args:
        total: runs in all, those of before included.
        done: of them, those that are finished already.
        jobs: how many run at a time.
        clock: seconds.
    """

    def __init__(
        self,
        total: int = 0,
        done: int = 0,
        jobs: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.done, self.jobs, self.failed = total, done, jobs, 0
        self.running: dict[str, Told] = {}
        self._began: dict[str, float] = {}
        self._took: list[float] = []
        self._clock = clock

    def open(self) -> None:
        """Begin to show."""

    def close(self) -> None:
        """Leave the last picture standing."""

    def refresh(self) -> None:
        """Show what is known now."""

    def say(self, text: str) -> None:
        """A sentence."""

    def tell(self, name: str, told: Told) -> None:
        """A run tells how far it is."""
        if name not in self.running:
            self._began[name] = self._clock()
            self.running[name] = told
        elif told.steps or not self.running[name].steps:
            self.running[name] = told
        self.refresh()

    def end(self, name: str, outcome: Outcome) -> None:
        """A run has ended."""
        self.running.pop(name, None)
        began = self._began.pop(name, None)
        if outcome.state == "done":
            self.done += 1
            if began is not None:
                self._took.append(self._clock() - began)
        elif outcome.state == "failed":
            self.failed += 1
            self.say(f"{name} failed: {outcome.reason}")
        self.refresh()

    @property
    def left(self) -> float | None:
        """Seconds until all are done, as far as can be told."""
        now = self._clock()
        rest, whole = [], list(self._took)
        for name, told in self.running.items():
            if told.left is not None:
                rest.append(told.left)
                whole.append(now - self._began[name] + told.left)
        if not whole:
            return None
        mean = sum(whole) / len(whole)
        unknown = len(self.running) - len(rest)
        waiting = max(0, self.total - self.done - self.failed - len(self.running))
        return (sum(rest) + (unknown + waiting) * mean) / max(1, min(self.jobs, self.total))

    @property
    def summary(self) -> str:
        """Of all in a line."""
        said = f"{self.done}/{self.total} runs done"
        said += f", {self.failed} failed" if self.failed else ""
        left = self.left
        return said if left is None else f"{said}, {_clock_time(left)} left"

    @staticmethod
    def words(told: Told) -> str:
        """How far one is."""
        if not told.steps:
            said = told.message or "begins"
            return said if len(said) <= _LONGEST else said[: _LONGEST - 1] + "…"
        loss = "" if told.loss is None else f" loss {number(told.loss, 3)}"
        return f"step {told.step:,}/{told.steps:,}{loss}"


class Lines(Board):
    """A line every few seconds, for logs."""

    _seconds, _last = 5.0, -5.0

    def say(self, text: str) -> None:
        """A line."""
        tell(text)

    def refresh(self) -> None:
        """A line, if the last one is some time ago."""
        now = self._clock()
        if now - self._last < self._seconds:
            return
        self._last = now
        runs = [f"{name}: {self.words(told)}" for name, told in self.running.items()]
        tell("; ".join([self.summary, *runs]))

    def end(self, name: str, outcome: Outcome) -> None:
        """A line for each that is done."""
        super().end(name, outcome)
        if outcome.state == "done":
            tell(f"{name} is done; {self.summary}")


class Bars(Board):
    """A bar for all and one for each that runs, for a terminal."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        from rich.progress import BarColumn, Progress, TextColumn

        from recurra.progress import patient_console

        words = TextColumn("{task.description}", markup=False)
        console = patient_console(sys.stderr)
        self._bars = Progress(BarColumn(24), words, console=console)
        self._all = self._bars.add_task("", total=self.total, completed=self.done)
        self._each: dict[str, Any] = {}

    def open(self) -> None:
        """Show the bars."""
        self._bars.start()
        self.refresh()

    def close(self) -> None:
        """Leave the last picture standing."""
        for task in self._each.values():
            self._bars.remove_task(task)
        self._each.clear()
        self.refresh()
        self._bars.stop()

    def say(self, text: str) -> None:
        """A line above the bars."""
        self._bars.console.print(text, markup=False, highlight=False)

    def refresh(self) -> None:
        """Move the bars."""
        self._bars.update(self._all, completed=self.done + self.failed, description=self.summary)
        for name in [name for name in self._each if name not in self.running]:
            self._bars.remove_task(self._each.pop(name))
        for name, told in self.running.items():
            if name not in self._each:
                self._each[name] = self._bars.add_task("", total=None)
            words = f"{name}: {self.words(told)}"
            total = told.steps or None
            self._bars.update(self._each[name], total=total, completed=told.step, description=words)


def _clock_time(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 60}:{whole % 60:02d}"
