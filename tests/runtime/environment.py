"""Runs Python in a fresh process, where the environment variables of the package are read anew."""

import os
import subprocess
import sys
from pathlib import Path


def run_python(
    *arguments: str, folder: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the interpreter, in a folder, with these RECURRA_ variables only."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("RECURRA_")}
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        env=inherited | variables,
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )


def output_of(code: str, **variables: str) -> str:
    """What a program prints; fails with its traceback if it does."""
    done = run_python("-c", code, folder=None, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
