"""What every benchmark needs: rivals in turn, the machine beside the figure, results that stay."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
DATA = ROOT.parent / "shared" / "data"
_STARTED = time.time()


def machine() -> dict[str, Any]:
    """CPU, instruction set, threads and versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    facts = dict(line.split("\t: ", 1) for line in lines if "\t: " in line)
    return {
        "cpu": facts.get("model name", platform.processor()).strip(),
        "cores": os.cpu_count(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def matrix_rate(size: int = 2048) -> float:
    """GFLOP/s of torch.mm right now: shows how busy the machine is."""
    a = torch.randn(size, size)
    torch.mm(a, a)
    times = [timed(lambda: torch.mm(a, a)) for _ in range(5)]
    return 2 * size**3 / statistics.median(times) / 1e9


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turn(rivals: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every call: rivals one after the other in each round, in alternating order."""
    times: dict[str, list[float]] = {name: [] for name in rivals}
    names = list(rivals)
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            times[name].append(timed(rivals[name]))
    return times


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """First quartile, median, third quartile."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def data(name: str) -> Path:
    """A file of the shared data, or the end of the benchmark with a reason."""
    path = DATA / name
    if not path.exists():
        sys.exit(f"skipped: {path.relative_to(ROOT.parent)} is not here")
    return path


def code_hash(*places: str) -> str:
    """One number for the code that was measured; the scoreboard marks what is older.

    Args:
        places: files, or folders of Python files, from the root of the repository.
    """
    digest = hashlib.sha256()
    for file in _files(*places):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _files(*places: str) -> Iterator[Path]:
    for place in places:
        path = ROOT / place
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def keep(name: str, figures: Mapping[str, Any], measured: Sequence[str]) -> None:
    """Keep a result with all that is needed to get it again.

    Args:
        name: of the file in ``benchmarks/results``.
        figures: ``question``, ``figure`` and whatever else the scoreboard prints.
        measured: files and folders of the code that was measured.
    """
    for file in _files(*measured):
        if file.stat().st_mtime > _STARTED:
            sys.exit(f"not kept: {file.relative_to(ROOT)} was changed while it was measured")
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    result = {
        "command": " ".join(["python", *sys.argv]),
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit,
        "measured": list(measured),
        "code": code_hash(*measured),
        "machine": machine(),
        **figures,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"kept in benchmarks/results/{name}.json")
