"""What is shown of many runs: counts, and the time that is left, with a clock of the test's own."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from recurra.comparison.display import Bars, Board, Lines
from recurra.comparison.runner import Outcome, Told


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_time_left_is_that_of_what_runs_and_waits() -> None:
    clock = Clock()
    board = Board(5, 0, 2, clock)
    assert board.left is None
    board.tell("a", Told())
    board.tell("b", Told())
    assert board.left is None  # nobody knows yet
    clock.now = 10.0
    board.tell("a", Told(50, 100, 0.5, left=10.0))
    # a takes 20 s in all, of which 10 are left; b and three that wait take as long; two at a time
    assert board.left == pytest.approx((10 + 4 * 20) / 2)
    clock.now = 20.0
    board.end("a", Outcome("done"))
    board.tell("b", Told(90, 100, 0.5, left=2.0))
    # runs take (20 + 22) / 2 = 21 s: 2 are left of b, and three wait
    assert board.left == pytest.approx((2 + 3 * 21) / 2)
    board.end("b", Outcome("failed", "x"))
    assert board.summary == "1/5 runs done, 1 failed, 0:30 left"


def test_those_of_before_count_as_done() -> None:
    board = Board(4, 3, 2, Clock())
    assert board.summary == "3/4 runs done"
    board.tell("d", Told())
    board.end("d", Outcome("done"))
    assert board.summary == "4/4 runs done, 0:00 left"


def test_a_message_does_not_hide_how_far_a_run_is() -> None:
    board = Board(1, 0, 1, Clock())
    board.tell("a", Told())
    assert board.words(board.running["a"]) == "begins"
    board.tell("a", Told(message="counting n-grams on the first 1,000,000 symbols"))
    assert board.words(board.running["a"]) == "counting n-grams on the first 1,000,000…"
    board.tell("a", Told(5, 10, 0.25))
    board.tell("a", Told(message="scoring what is held out"))
    assert board.words(board.running["a"]) == "step 5/10 loss 0.250"


def test_lines_for_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    board = Lines(2, 0, 2, clock)
    board.tell("a", Told())
    board.tell("b", Told(3, 1200, 0.5, 60.0))  # a moment later: no line
    clock.now = 6.0
    board.tell("b", Told(1000, 1200, 0.5, 3.0))
    board.end("a", Outcome("done"))
    board.end("b", Outcome("failed", "too hot"))
    assert capsys.readouterr().err.splitlines() == [
        "0/2 runs done; a: begins",
        "0/2 runs done, 0:06 left; a: begins; b: step 1,000/1,200 loss 0.500",
        "a is done; 1/2 runs done, 0:01 left",
        "b failed: too hot",
    ]


def test_bars_for_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        encoding: Any = "utf-8"

        def isatty(self) -> bool:
            return True

        def fileno(self) -> int:
            raise OSError

    shown = Terminal()
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", shown)
    board = Bars(2, 0, 2, Clock())
    board.open()
    board.tell("a", Told(3, 12, 0.5, 60.0))
    board.tell("b [x]", Told(3, 12, 0.5, 60.0))
    board.say("a word in [brackets]")
    board.end("a", Outcome("done"))
    board._bars.refresh()
    board.end("b [x]", Outcome("failed", "too hot"))
    board.close()
    text = shown.getvalue()
    for words in ("step 3/12 loss 0.500", "a word in [brackets]", "b [x] failed: too hot"):
        assert words in text
    assert text.rindex("1/2 runs done, 1 failed") > text.rindex("b [x]: step")
