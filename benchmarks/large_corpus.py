"""How much memory and disk does a corpus of 2 GB take? Anonymous memory, sampled each second."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import keep, machine


def write(path: Path, size: int) -> None:
    """Lines that repeat with a number that does not, so that nothing can be shared."""
    block = "".join(f"line {n} of a text that goes on and on, as texts do.\n" for n in range(20000))
    with open(path, "w") as file:
        written = number = 0
        while written < size:
            piece = f"part {number}\n{block}"
            file.write(piece)
            written, number = written + len(piece), number + 1


def anonymous(process: int) -> int:
    """RssAnon in bytes."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def peak(data: Path, out: Path, changes: list[str]) -> tuple[int, int]:
    """Largest anonymous memory of a training, and largest size of its folder, in bytes."""
    settings = [word for change in changes for word in ("--set", change)]
    command = [sys.executable, "-m", "recurra", "train", "language-model"]
    process = subprocess.Popen([*command, f"--data={data}", f"--out={out}", *settings])
    memory = disk = 0
    while process.poll() is None:
        try:
            memory = max(memory, anonymous(process.pid))
            disk = max(disk, sum(f.stat().st_size for f in out.rglob("*") if f.is_file()))
        except (FileNotFoundError, ProcessLookupError):
            pass
        time.sleep(1)
    if process.returncode:
        sys.exit(process.returncode)
    return memory, disk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=2 * 10**9)
    size = parser.parse_args().bytes
    print(f"machine: {machine()}")
    changes = ["training.symbols=2000000", "training.evaluations=2"]
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small.txt", Path(folder) / "large.txt"
        write(small, 5 * 10**6)
        # The model, its optimizer and the libraries, and as many symbols of n-grams and of tests.
        base, _ = peak(small, Path(folder) / "one", changes)
        write(large, size)
        began = time.perf_counter()
        memory, disk = peak(large, Path(folder) / "two", changes)
        seconds = time.perf_counter() - began
    figure = (
        f"{(memory - base) / 1e9:.2f} GB above the {base / 1e9:.2f} GB of the same on 5 MB; "
        f"{disk / 1e9:.2f} GB on disk while it trains; {seconds:.0f} s"
    )
    print(figure)
    keep(
        "large_corpus",
        {
            "question": f"anonymous memory of a training on {size / 1e9:.1f} GB of characters",
            "figure": figure,
            "memory": memory,
            "base": base,
            "disk": disk,
            "seconds": round(seconds),
        },
        measured=[
            "src/recurra/data",
            "src/recurra/tasks/base.py",
            "src/recurra/tasks/language_model",
            "src/recurra/tasks/texts.py",
            "src/recurra/training",
            "src/recurra/engine",
        ],
    )


if __name__ == "__main__":
    main()
