"""What the commands share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from recurra import console


def test_what_the_command_calls_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "recurra" / "__main__.py")])
    assert console.command() == "python -m recurra"
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "bin" / "recurra")])
    monkeypatch.chdir(tmp_path)
    assert console.command() == "bin/recurra"


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
