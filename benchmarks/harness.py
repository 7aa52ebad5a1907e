"""What every benchmark needs: rivals in turn, the machine beside the figure, results that stay.

Rivals run in one process with the same threads, one call each in every round: A B A B ... What is
told of them is medians, and as their spread the third quartile over the first. The same product of
matrices is timed in the same minutes; where it varies, so does the machine. A measurement with a
spread above 1.5, of whatever was timed, is void: it is repeated, and if it never succeeds, the best
one is told and marked as void.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

import recurra

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
DATA = ROOT.parent / "shared" / "data"
LEAST_RUNS = 15
LARGEST_SPREAD = 1.5
ATTEMPTS = 5
_BLOCK = 5  # rounds between two looks at the machine
_STARTED = time.time()
_CPP = (".cc", ".h", ".def")
_CODE = (".py", ".toml", ".html", ".js", *_CPP)  # of a folder, what may change a result
_VECTORS = ("avx", "fma", "f16c", "amx", "asimd", "sve")
_ENVIRONMENT = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "RECURRA_ISA",
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "MKL_ENABLE_INSTRUCTIONS",
)


def machine() -> dict[str, Any]:
    """CPU, its instructions for vectors, what torch uses of them, threads and versions."""
    info = Path("/proc/cpuinfo")
    facts = _facts(info.read_text() if info.exists() else "")
    flags = facts.get("flags", facts.get("Features", "")).split()
    return {
        "cpu": facts.get("model name", platform.processor()),
        "vendor": facts.get("vendor_id", platform.machine()),
        "family": facts.get("cpu family", ""),
        "model": facts.get("model", ""),
        "cores": os.cpu_count(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "flags": [flag for flag in flags if flag.startswith(_VECTORS)],
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "recurra": recurra.__version__,
    }


def kind_of(machine: Mapping[str, Any]) -> str:
    """Vendor and widest instructions: ``amd-avx2``, ``amd-avx512``, ``intel-amx``."""
    vendors = {"AuthenticAMD": "amd", "GenuineIntel": "intel"}
    told = str(machine.get("vendor", ""))
    vendor = vendors.get(told) or str(machine["cpu"]).split(" ")[0].lower() or "unknown"
    if any(flag.startswith("amx") for flag in machine["flags"]):
        return f"{vendor}-amx"
    return f"{vendor}-{machine['capability'].lower().replace(' ', '-')}"


def cpu_of(machine: Mapping[str, Any]) -> str:
    """The CPU by its name, family and model: names of servers do not tell one generation's."""
    if not machine.get("family"):
        return str(machine["cpu"])
    return f"{machine['cpu']} (family {machine['family']}, model {machine['model']})"


def _facts(text: str) -> dict[str, str]:
    """What Linux writes as ``name : value``; of many processors the last."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def machine_in_words() -> str:
    """The same in two lines."""
    m = machine()
    return (
        f"machine: {cpu_of(m)}, {m['cores']} cores, {m['threads']} threads for each rival; torch "
        f"uses {m['capability']}, the CPU has {' '.join(m['flags']) or 'no flags that it tells'}\n"
        f"versions: recurra {m['recurra']}, torch {m['torch']}, numpy {m['numpy']}, "
        f"python {m['python']}"
    )


# ---- time ----------------------------------------------------------------------------------------


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = perf_counter()
    work()
    return perf_counter() - start


def in_turn(
    rivals: Mapping[str, Callable[[], object]], rounds: int, rest: float = 0.0
) -> dict[str, list[float]]:
    """Seconds of every call; in each round every rival is called once, always in this order.

    Args:
        rivals: what is timed.
        rounds: how often.
        rest: seconds before each call, in which the threads of another library stop to wait for
            work; without it they would take the cores from the next one.
    """
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(rounds):
        for name, work in rivals.items():
            if rest:
                time.sleep(rest)
            seconds[name].append(timed(work))
    return seconds


def sgemm_rates(count: int = 5, size: int = 2048) -> list[float]:
    """GFLOP/s of a float32 product of two matrices, several times: shows how busy a machine is."""
    a, b, c = torch.randn(size, size), torch.randn(size, size), torch.empty(size, size)
    torch.mm(a, b, out=c)
    return [2 * size**3 / timed(lambda: torch.mm(a, b, out=c)) / 1e9 for _ in range(count)]


def matrix_rate() -> float:
    """GFLOP/s of sgemm 2048 right now, the median of five."""
    return statistics.median(sgemm_rates())


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """First quartile, median, third quartile."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def spread(values: Sequence[float]) -> float:
    """Third quartile over the first."""
    low, _, high = quartiles(values)
    return high / low


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What rivals took, and what the machine could do meanwhile.

    Args:
        seconds: of every call, by rival.
        sgemm: GFLOP/s of sgemm 2048 before, between and after the calls.
        attempts: how many measurements this one is the best of.
    """

    seconds: Mapping[str, Sequence[float]]
    sgemm: Sequence[float]
    attempts: int = 1

    @property
    def worst_spread(self) -> float:
        """The largest spread of all that was timed, sgemm included."""
        return max(map(spread, (*self.seconds.values(), self.sgemm)))

    @property
    def void(self) -> bool:
        """Whether a spread is too large for the figures to say anything."""
        return self.worst_spread > LARGEST_SPREAD

    @property
    def mark(self) -> str:
        """What stands behind a figure: nothing, or that it is void."""
        return f" *(void: spread {self.worst_spread:.2f})*" if self.void else ""

    def median(self, name: str) -> float:
        """Seconds of a rival's call."""
        return statistics.median(self.seconds[name])

    def speed(self, name: str, rival: str) -> tuple[float, float, float]:
        """How many times as fast as the rival, round by round: quartiles and median."""
        pairs = zip(self.seconds[name], self.seconds[rival], strict=True)
        return quartiles([theirs / ours for ours, theirs in pairs])

    def __str__(self) -> str:
        """A line for each rival, and one for the machine."""
        lines = [
            f"  {name:12} {self.median(name) * 1e3:9.2f} ms, spread {spread(values):.2f}, "
            f"{len(values)} runs"
            for name, values in self.seconds.items()
        ]
        rate = statistics.median(self.sgemm)
        lines.append(f"  sgemm 2048   {rate:9.0f} GFLOP/s, spread {spread(self.sgemm):.2f}")
        if self.void:
            lines.append(
                f"  VOID: the best of {self.attempts} measurements has a spread of "
                f"{self.worst_spread:.2f}; expected at most {LARGEST_SPREAD}. Let the machine rest."
            )
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """What a result keeps: quartiles in seconds and GFLOP/s, spreads, how it came about."""
        return {
            "seconds": {name: quartiles(values) for name, values in self.seconds.items()},
            "spread": {name: spread(values) for name, values in self.seconds.items()},
            "runs": {name: len(values) for name, values in self.seconds.items()},
            "sgemm_2048_gflops": quartiles(self.sgemm),
            "sgemm_2048_spread": spread(self.sgemm),
            "attempts": self.attempts,
            "void": self.void,
        }


def measure(
    rivals: Mapping[str, Callable[[], object]], runs: int = LEAST_RUNS, rest: float = 0.0
) -> Measurement:
    """Rivals in turn, by the rules of this file; ends the benchmark if there are too few runs.

    Args:
        rivals: what is timed. Each is also called a few times that are not counted.
        runs: how often each counts, at least 15.
        rest: seconds before each call, see :func:`in_turn`.

    Returns:
        the first measurement that is not void, or the best of five.
    """

    def once() -> dict[str, float]:
        return {name: values[0] for name, values in in_turn(rivals, 1, rest).items()}

    return measure_rounds(once, runs, warm=True)


def measure_rounds(
    once: Callable[[], Mapping[str, float]], runs: int = LEAST_RUNS, *, warm: bool = False
) -> Measurement:
    """The same of rivals that take their time themselves, as in processes of their own.

    Args:
        once: a round; seconds by rival.
        runs: rounds that count, at least 15.
        warm: whether a round that does not count goes before every few.
    """
    if runs < LEAST_RUNS:
        sys.exit(f"runs: expected at least {LEAST_RUNS}, got {runs}; a spread of fewer says little")
    found: list[Measurement] = []
    for number in range(1, ATTEMPTS + 1):
        found.append(_measure_once(once, runs, warm))
        if not found[-1].void:
            return dataclasses.replace(found[-1], attempts=number)
        print(f"measurement {number} is void, spread {found[-1].worst_spread:.2f}", flush=True)
    best = min(found, key=lambda one: one.worst_spread)
    return dataclasses.replace(best, attempts=ATTEMPTS)


def _measure_once(once: Callable[[], Mapping[str, float]], runs: int, warm: bool) -> Measurement:
    seconds: dict[str, list[float]] = {}
    sgemm: list[float] = []
    for done in range(0, runs, _BLOCK):
        sgemm += sgemm_rates()
        if warm:
            once()  # the caches are theirs again
        for _ in range(min(_BLOCK, runs - done)):
            for name, value in once().items():
                seconds.setdefault(name, []).append(value)
    return Measurement(seconds, sgemm + sgemm_rates())


# ---- data and results ----------------------------------------------------------------------------


def data(name: str) -> Path:
    """A file of the shared data, or the end of the benchmark with a reason."""
    path = DATA / name
    if not path.exists():
        place = path.relative_to(ROOT.parent)
        sys.exit(f"skipped: {place} is not here; docs/benchmarks.md says what belongs there")
    return path


def code_hash(*places: str) -> str:
    """One number for the code that was measured; the scoreboard marks what is older.

    Args:
        places: files, or folders of Python files, from the root of the repository.
    """
    digest = hashlib.sha256()
    for file in _files(*places):
        digest.update(_meaning(file.suffix, file.read_bytes()))
    return digest.hexdigest()[:12]


@cache  # a file is measured by many results
def _meaning(ending: str, raw: bytes) -> bytes:
    """What of a file can change a result: no comment, no docstring of Python, and no layout."""
    if ending in _CPP:
        lines = (line.partition(b"//")[0].strip() for line in raw.splitlines())
        return b"\n".join(filter(None, lines))
    if ending != ".py":
        return raw
    tree = ast.parse(raw)
    for node in ast.walk(tree):
        for name, value in ast.iter_fields(node):
            if isinstance(value, list):
                setattr(node, name, [part for part in value if not _is_text(part)])
    return ast.unparse(tree).encode()


def _is_text(node: Any) -> bool:
    """A statement that is a string, which does nothing."""
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _files(*places: str) -> Iterator[Path]:
    for place in places:
        path = ROOT / place
        if not path.is_dir():
            yield path
            continue
        yield from sorted(file for file in path.rglob("*") if file.suffix in _CODE)


def keep(
    name: str,
    figures: Mapping[str, Any],
    measured: Sequence[str],
    *,
    seed: int | None = None,
    by_kind: bool = False,
    void: bool = False,
) -> None:
    """Keep a result with all that is needed to get it again.

    A void one never takes the place of a good one of the same code.

    Args:
        name: of the file in ``benchmarks/results``.
        figures: ``question``, ``figure`` and whatever else the scoreboard prints.
        measured: files and folders of the code that was measured.
        seed: of every draw, if there was one.
        by_kind: whether each kind of machine has a file of its own, see :func:`kind_of`.
        void: whether the measurement is void; the figure says so.
    """
    for file in _files(*measured):
        if file.stat().st_mtime > _STARTED:
            sys.exit(f"not kept: {file.relative_to(ROOT)} was changed while it was measured")
    result = {
        "command": _command(),
        "date": time.strftime("%Y-%m-%d"),
        "commit": _commit(measured),
        "seed": seed,
        "measured": list(measured),
        "code": code_hash(*measured),
        "machine": machine(),
        "void": void,
        **figures,
    }
    if by_kind:
        name += "." + kind_of(result["machine"])
    path = RESULTS / f"{name}.json"
    if void and path.exists():
        before = json.loads(path.read_text())
        if before["code"] == result["code"] and not before.get("void"):
            sys.exit(f"not kept: void, and {path.name} has a good one of the same code")
    RESULTS.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"kept in benchmarks/results/{path.name}")


def _command() -> str:
    """What to type at the root of the repository to run this again."""
    script = Path(sys.argv[0]).resolve()
    shown = str(script.relative_to(ROOT)) if script.is_relative_to(ROOT) else sys.argv[0]
    settings = [f"{key}={os.environ[key]}" for key in _ENVIRONMENT if key in os.environ]
    words = sys.argv[1:]
    if "--out" in words:  # where a run lies changes nothing
        del words[words.index("--out") : words.index("--out") + 2]
    words = ["PYTHON" if Path(word).is_absolute() else word for word in words]  # of this machine
    return " ".join([*settings, "python", shown, *words])


def _commit(measured: Sequence[str]) -> str:
    """The commit, with a + if the code that was measured is not the one committed there."""

    def git(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)

    changed = git("--no-optional-locks", "status", "--porcelain", "--", *measured).stdout
    return git("rev-parse", "--short", "HEAD").stdout.strip() + ("+" if changed.strip() else "")
