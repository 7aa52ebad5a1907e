"""What the commands share."""

from __future__ import annotations

import io
import math
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from recurra import artifact, console
from recurra.errors import SlowerWarning, UnknownWarning
from recurra.progress import Bar, Lines, number
from recurra.tasks.language_model import Evaluation
from recurra.training import Progress, Report

COMMAND = [sys.executable, "-m", "recurra"]
WAIT = 60  # seconds after which a child that does not answer has failed


def test_a_huge_number_is_short() -> None:
    told = Evaluation("m", 5e4, 71, 70)
    assert told.perplexity == pytest.approx(math.exp(5e4 / 71))
    assert Evaluation("m", 5e4, 70, 70).perplexity == math.inf
    assert math.isnan(Evaluation("m", math.nan, 70, 70).perplexity)
    found = [number(told.perplexity, 3), number(math.inf, 3), number(math.nan, 3), number(3, 3)]
    assert found == ["6.937e+305", "inf", "nan", "3.000"]


def test_what_the_command_calls_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "recurra" / "__main__.py")])
    assert console.command() == "python -m recurra"
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "bin" / "recurra")])
    monkeypatch.chdir(tmp_path)
    assert console.command() == "bin/recurra"


def test_own_warnings_are_lines_like_any_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    others: list[Any] = []
    monkeypatch.setattr(warnings, "showwarning", lambda *given: others.append(given[1]))
    console.say_warnings()
    warnings.showwarning("it is slow", SlowerWarning, "file.py", 3)
    warnings.showwarning("it is unknown", UnknownWarning, "file.py", 3)
    warnings.showwarning("it is old", DeprecationWarning, "file.py", 3)
    assert capsys.readouterr().err == "recurra: it is slow\nrecurra: it is unknown\n"
    assert others == [DeprecationWarning]


FAULTS = """
import resource, torch
from recurra import console
{keep}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def step():
    return torch.ones(40_000_000)  # 160 MB
step(), step()  # the heap grows
before = faults()
for _ in range(5):
    step()
print(faults() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc is asked")
def test_memory_that_was_freed_is_kept() -> None:
    """The second tensor of a size needs no new pages."""

    def faults(keep: str) -> int:
        code = FAULTS.format(keep=keep)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

    assert faults("console.keep_memory()") * 20 < faults("")


# ------------------------------------------------------------------- streams that nobody reads


@pytest.fixture
def short(text_file: Path, tmp_path: Path, tiny_changes: list[str]) -> list[str]:
    """A training of some steps, with several lines of progress."""
    changes = [*tiny_changes, "model.hidden_size=8", "training.symbols=2000"]
    options = [word for change in changes for word in ("--set", change)]
    return ["train", "language-model", "--data", str(text_file), "--out", "run", *options]


def finished(run: Path) -> bool:
    return (run / "summary.json").is_file() and artifact.load(run, which="last").path.is_dir()


def shell(line: str, args: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command with its arguments as ``"$@"`` of a line of bash."""
    return subprocess.run(
        ["bash", "-c", line, "bash", *COMMAND, *args],
        cwd=cwd, capture_output=True, text=True, timeout=WAIT,
    )  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        '"$@" 2>&1 | head -n 1; exit ${PIPESTATUS[0]}',
        pytest.param(
            '"$@" 2>/dev/full',
            marks=pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here"),
        ),
        '"$@" <&- >&- 2>&-',
    ],
)
def test_a_training_goes_on_though_nobody_reads(
    line: str, short: list[str], tmp_path: Path
) -> None:
    done = shell(line, short, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert finished(tmp_path / "run")
    assert ("run is ready" in done.stdout) == ("/dev/full" in line)


def test_results_into_a_closed_output(tiny_run: Any, text_file: Path, tmp_path: Path) -> None:
    args = ["evaluate", str(tiny_run.path), "--data", str(text_file)]
    done = shell('"$@" >&-', args, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "2>/dev/full"])
def test_a_mistake_that_nobody_reads_keeps_its_exit_code(closed: str, tmp_path: Path) -> None:
    done = shell(f'"$@" {closed}', ["score", "run"], tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert ("score: expected one of" in done.stderr) == (closed == ">&-")


def test_files_do_not_take_the_numbers_of_closed_streams() -> None:
    code = (
        "import os; from recurra import console; console.open_streams()\n"
        "fd = os.open(os.devnull, os.O_RDONLY); os._exit(fd)"
    )
    line = f"exec {sys.executable} -c '{code}' <&- >&- 2>&-"
    assert subprocess.run(["bash", "-c", line], timeout=WAIT).returncode >= 3


class Lost(io.StringIO):
    """A terminal that is gone for a while."""

    gone = True

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self.gone:
            raise BrokenPipeError
        return super().write(text)


@pytest.mark.parametrize("kind", [Lines, Bar])
def test_progress_that_cannot_be_shown(
    kind: type[Lines | Bar], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Lost()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        with kind() as show:
            for step in (1, 2):
                show(Report("some words"))
                done = Progress(step, 2, 9, 1.0, 0.1, 1.0, 0.0, 1.0, 10.0)
                show(Report(progress=done, validation=2.0))
            terminal.gone = False
            show(Report("later words"))
    assert "some words" not in terminal.getvalue()
    assert "later words" in terminal.getvalue()


# ----------------------------------------------------------------------------------- Ctrl-C

EARLY = """
import os, signal, sys
class Finder:
    def find_spec(self, name, *rest):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
from recurra.__main__ import main
main()
"""


@pytest.mark.parametrize("name", ["recurra.cli", "typer", "recurra.errors", "recurra.artifact"])
def test_ctrl_c_while_modules_are_imported(name: str, tiny_run: Any) -> None:
    args = ["describe", str(tiny_run.path)]
    done = subprocess.run(
        [sys.executable, "-c", EARLY.format(name=name), *args],
        capture_output=True, text=True, timeout=WAIT,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "\nStopped.\n")


def test_the_first_folder_that_is_free(tmp_path: Path) -> None:
    path = tmp_path / "demo"
    names = []
    for _ in range(3):
        names.append(console.free(path).name)
        console.free(path).mkdir()
    assert names == ["demo", "demo-2", "demo-3"]
