"""Change the code one token at a time and see whether a test notices.

Usage: mutants [--number N] [--seed S] [--jobs J] [--tests PATH ...] [FILE or FOLDER ...]

The changes are those of cosmic-ray, and two more: a statement is left out, a named argument is
left out. Each runs in a fork of a process that has collected the tests, and only on the tests
that reach its line; what runs at import is changed before the import instead. A change counts as
noticed if a test fails, or takes far longer than it did. What no test can notice is listed in
equivalent_mutants.txt, with the reason.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import hashlib
import importlib
import itertools
import json
import multiprocessing
import multiprocessing.connection
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest
from mutations import ROOT, SRC, Mutant, equivalent, sample, shares

ALIVE = ("survived", "no test")
CACHE = ROOT / "build" / "mutants"
# Loaded once, before any change: none of it is ours.
PRELOADED = ["torch", "numpy", "pytest", "pydantic", "rich", "typer"]


# ---------------------------------------------------------------------------------- what is run


@dataclass
class Known:
    """What a test reaches when nothing is changed.

    Args:
        passed: whether it passes.
        seconds: of the processor.
        lines: by file.
    """

    passed: bool
    seconds: float
    lines: dict[str, list[int]] = field(default_factory=dict)


def mirrored(file: str) -> list[Path]:
    """The tests of a file: its own, else those of its room, else of the room around that."""
    inside = Path(file).relative_to("src/recurra")
    own = ROOT / "tests" / inside.parent / f"test_{inside.stem}.py"
    found = [own] if own.exists() else []
    for room in [inside.parent, *inside.parent.parents][:-1]:
        found += [one for one in sorted((ROOT / "tests" / room).glob("test_*.py")) if one != own]
        if found:
            break
    return found


def traced() -> Any:
    """What notes the lines of ours that run."""
    import coverage

    return coverage.Coverage(data_file=None, config_file=False, source=[str(SRC)])


class Runner:
    """A plugin of pytest: once the tests are collected, they run on one change after another."""

    def __init__(self, mutants: list[Mutant], options: argparse.Namespace, scratch: Path) -> None:
        self.mutants, self.options, self.scratch = mutants, options, scratch
        self.coverage = traced()
        self.known: dict[str, Known] = {}
        self.failed = False
        self.context = ""
        self.results: list[tuple[Mutant, str]] = []
        self.written: dict[int, Mutant] = {}

    # --- what pytest calls

    def pytest_runtestloop(self, session: Any) -> bool:
        """Instead of pytest's own loop."""
        if session.testsfailed:
            pytest.exit("the tests could not be collected; pytest says why")
        for file in sorted({mutant.file for mutant in self.mutants}):
            module = Path(file).relative_to("src").with_suffix("")
            importlib.import_module(".".join(module.parts))
        self.coverage.stop()
        data = self.coverage.get_data()
        self.at_import = {file: set(data.lines(file) or ()) for file in data.measured_files()}
        self.items = {item.nodeid: item for item in session.items}
        self.functions = defaultdict(list)
        for one in gc.get_objects():
            if type(one) is FunctionType and one.__code__.co_filename.startswith(str(SRC)):
                code = one.__code__
                self.functions[code.co_filename, code.co_qualname, code.co_firstlineno].append(one)
        self.learn()
        self.run_all()
        return True

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Does a test fail?"""
        self.failed = self.failed or report.failed

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[None]:
        """A shared fixture's lines are reached by all tests that ask for it."""
        shared = self.context and fixturedef.scope != "function"
        if shared:
            self.coverage.switch_context(f"fixture {fixturedef.argname}")
        try:
            return (yield)
        finally:
            if shared:
                self.coverage.switch_context(self.context)

    # --- the tests as they are

    def cache(self, item: Any) -> Path:
        """Where it is kept what the tests of this file reach."""
        files = [*sorted(SRC.rglob("*.py")), *sorted((ROOT / "tests").glob("conftest.py"))]
        text = b"".join(file.read_bytes() for file in [*files, item.path])
        return CACHE / f"{item.path.stem}-{hashlib.sha256(text).hexdigest()[:16]}.json"

    def learn(self) -> None:
        """Run each test once, and note what it reaches."""
        by_file: dict[Path, list[Any]] = defaultdict(list)
        for item in self.items.values():
            by_file[item.path].append(item)
        CACHE.mkdir(parents=True, exist_ok=True)
        for path, items in by_file.items():
            kept = self.cache(items[0])
            if not kept.exists():
                say(f"runs {path.relative_to(ROOT)} to see what it reaches")
                process = multiprocessing.get_context("fork").Process(
                    target=self.record, args=(items, kept)
                )
                process.start()
                process.join()
            if kept.exists():
                for name, (passed, seconds, lines) in json.loads(kept.read_text()).items():
                    self.known[name] = Known(passed, seconds, lines)
        for name in self.items:
            if not self.known.get(name, Known(False, 0)).passed:
                say(f"leaves out {name}, which does not pass as it is")

    def record(self, items: list[Any], kept: Path) -> None:
        """In a process of its own: the tests of one file."""
        isolate(self.scratch / "recorded", SRC, 3600)
        self.coverage = traced()
        self.coverage.start()
        taken: dict[str, tuple[bool, float]] = {}
        for item, after in zip(items, [*items[1:], None], strict=True):
            before, self.failed, self.context = time.process_time(), False, item.nodeid
            self.coverage.switch_context(item.nodeid)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            taken[item.nodeid] = (not self.failed, time.process_time() - before)
        self.coverage.stop()
        reached: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        data = self.coverage.get_data()
        for file in data.measured_files():
            name = str(Path(file).relative_to(ROOT))
            for line, contexts in data.contexts_by_lineno(file).items():
                for context in contexts:
                    reached[context][name].append(line)
        out = {}
        for item in items:
            lines = {file: set(found) for file, found in reached[item.nodeid].items()}
            for fixture in item.fixturenames:
                for file, found in reached.get(f"fixture {fixture}", {}).items():
                    lines.setdefault(file, set()).update(found)
            passed, seconds = taken[item.nodeid]
            out[item.nodeid] = (passed, seconds, {f: sorted(n) for f, n in lines.items()})
        kept.write_text(json.dumps(out))

    # --- the tests on each change

    def tests(self, mutant: Mutant) -> list[str]:
        """Those that reach the change, its own file's first, then the quick ones."""

        def reach(lines: range) -> list[str]:
            return [
                name for name, known in self.known.items()
                if known.passed and not set(lines).isdisjoint(known.lines.get(mutant.file, ()))
            ]  # fmt: skip

        own = {str(path.relative_to(ROOT)) for path in mirrored(mutant.file)[:1]}
        found = reach(mutant.lines) or reach(mutant.statement)
        if not found and not self.runs_at_import(mutant).isdisjoint(mutant.statement):
            found = reach(range(1, len(mutant.before)))  # of a class: whoever uses its file
        if not found or mutant.lines[0] in self.runs_at_import(mutant):
            # Its own tests may run it in a process that they start, or use what an import made.
            mine = [name for name, known in self.known.items() if known.passed]
            found = list({*found, *(name for name in mine if name.split("::")[0] in own)})
        found.sort(key=lambda n: (n.split("::")[0] not in own, self.known[n].seconds))
        total = list(itertools.accumulate(self.known[name].seconds for name in found))
        return [n for n, sum_ in zip(found, total, strict=True) if sum_ <= self.options.budget]

    def run_all(self) -> None:
        """One process a change, some at a time."""
        listed, began = equivalent(), time.monotonic()
        waiting = [one for one in self.mutants if one.key not in listed]
        self.results = [(one, "equivalent") for one in self.mutants if one.key in listed]
        running: dict[BaseProcess, tuple[Mutant, float, int]] = {}
        free = list(range(self.options.jobs))
        done = 0
        while waiting or running:
            while waiting and free:
                mutant = waiting.pop(0)
                names = self.tests(mutant)
                if not names:
                    self.finish(mutant, "no test")
                    done += 1
                    continue
                slot = free.pop()
                process, seconds = self.start(mutant, names, slot)
                running[process] = (mutant, time.monotonic() + seconds, slot)
            multiprocessing.connection.wait([p.sentinel for p in running], timeout=1)
            for process, (mutant, until, slot) in list(running.items()):
                late = time.monotonic() > until
                if process.is_alive() and not late:
                    continue
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.join()
                code = process.exitcode
                slow = late or code == -signal.SIGXCPU
                self.finish(mutant, "survived" if code == 0 else "too slow" if slow else "noticed")
                del running[process]
                free.append(slot)
                done += 1
                self.progress(done, len(waiting) + len(running), time.monotonic() - began)

    def finish(self, mutant: Mutant, verdict: str) -> None:
        """Keep what came of a change."""
        self.results.append((mutant, verdict))
        if verdict in ALIVE:
            show(mutant, verdict)
        if self.options.out:
            told = [[*m.key, m.lines.start, verdict] for m, verdict in self.results]
            self.options.out.write_text(json.dumps(told, indent=0) + "\n", encoding="utf-8")

    def progress(self, done: int, left: int, seconds: float) -> None:
        """Say how far it is."""
        if done % 5 == 0 or not left:
            noticed = sum(verdict in ("noticed", "too slow") for _, verdict in self.results)
            say(f"{done} of {done + left}, {noticed} noticed, {60 * done / seconds:.0f} a minute, "
                f"{left * seconds / done / 60:.1f} minutes left")  # fmt: skip

    def start(self, mutant: Mutant, names: list[str], slot: int) -> tuple[BaseProcess, float]:
        """The change in a process, and how long to wait for it at most."""
        usual = sum(self.known[name].seconds for name in names)
        folder = self.scratch / str(slot)
        copy = folder / "src"
        if not copy.exists():
            shutil.copytree(SRC, copy, ignore=shutil.ignore_patterns("__pycache__"))
        if slot in self.written:
            write(copy.parent / self.written[slot].file, self.written[slot].before)
        write(copy.parent / mutant.file, mutant.source)
        self.written[slot] = mutant
        swaps = self.swaps(mutant)
        target: Callable[..., None]
        if swaps is not None:
            context, target, args = "fork", self.warm, (swaps, names, folder, 3 * usual + 10)
        else:
            context, target, args = "forkserver", cold, (names, folder, 3 * usual + 20)
        process = multiprocessing.get_context(context).Process(target=target, args=args)
        process.start()
        return process, 20 * usual + 300

    def runs_at_import(self, mutant: Mutant) -> set[int]:
        """The lines of its file that have run before the first test."""
        return self.at_import.get(str(ROOT / mutant.file), set())

    def swaps(self, mutant: Mutant) -> list[tuple[FunctionType, CodeType]] | None:
        """The functions whose code is another now; None if the change is of what an import runs."""
        path = str(ROOT / mutant.file)
        if not self.runs_at_import(mutant).isdisjoint(mutant.statement):
            return None
        old = compile(mutant.before, path, "exec")
        made = []
        for before, after in pairs(old, compile(mutant.source, path, "exec")):
            if before is None:
                return None
            key = (path, before.co_qualname, before.co_firstlineno)
            for function in self.functions.get(key, ()):
                if before.co_freevars != after.co_freevars:
                    return None
                made.append((function, after))
        return made or None

    def warm(self, swaps: Any, names: list[str], folder: Path, seconds: float) -> None:
        """In a fork: the tests until one fails."""
        isolate(folder, folder / "src", seconds)
        for function, code in swaps:
            function.__code__ = code
        items = [self.items[name] for name in names]
        for item, after in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if self.failed:
                os._exit(1)
        os._exit(0)


def pairs(old: CodeType, new: CodeType) -> Iterator[tuple[CodeType | None, CodeType]]:
    """Functions that differ, before and after; None before, if the code around them does."""
    inner = [[c for c in code.co_consts if isinstance(c, CodeType)] for code in (old, new)]
    if not old.co_flags & 1:  # of a module or a class
        plain = [[repr(c) for c in code.co_consts if not isinstance(c, CodeType)]
                 for code in (old, new)]  # fmt: skip
        if (old.co_code, old.co_names) != (new.co_code, new.co_names) or plain[0] != plain[1]:
            yield None, new
        elif len(inner[0]) == len(inner[1]):
            for before, after in zip(*inner, strict=True):
                yield from pairs(before, after)
    elif old != new:
        yield old, new
        for before, after in zip(*inner, strict=False):
            yield from pairs(before, after)


def isolate(folder: Path, source: Path, seconds: float) -> None:
    """In a new process: nothing printed, files of its own, no more time than that."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    rooms = folder / "temporary"
    shutil.rmtree(rooms, ignore_errors=True)
    rooms.mkdir(parents=True)
    os.environ["PYTEST_DEBUG_TEMPROOT"] = os.environ["TMPDIR"] = str(rooms)
    tempfile.tempdir = None
    os.environ["PYTHONPATH"] = str(source)
    limit = int(seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))


def cold(names: list[str], folder: Path, seconds: float) -> None:
    """In a process without ours: import the change, then the tests until one fails."""
    isolate(folder, folder / "src", seconds)
    sys.path.insert(0, str(folder / "src"))
    by_file: dict[str, list[str]] = defaultdict(list)
    for name in names:
        by_file[name.split("::")[0]].append(name)
    for chosen in by_file.values():  # one after another: most changes are noticed by the first
        code = pytest.main([*SETTINGS, "-x", *chosen])
        if code:
            os._exit(code)
    os._exit(0)


SETTINGS = ["-s", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0", "-qq"]


def write(path: Path, text: str) -> None:
    """A source file, without what was compiled of it: that goes by size and whole seconds."""
    path.write_text(text, encoding="utf-8")
    for old in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        old.unlink()


# ------------------------------------------------------------------------------------- what is said


def say(text: str) -> None:
    """Told beside the results."""
    sys.__stderr__.write(f"mutants: {text}\n")
    sys.__stderr__.flush()


def show(mutant: Mutant, verdict: str) -> None:
    """One that no test noticed, as it goes into the list of equivalent ones."""
    print(f"\n# line {mutant.lines.start}, {verdict}\n{mutant.file}")
    for sign, text in zip(" -+", mutant.key[1:], strict=True):
        for line in text.splitlines():
            print(f"{sign} {line}")
    sys.stdout.flush()


def table(results: list[tuple[Mutant, str]]) -> str:
    """A summary by file."""
    files: dict[str, list[str]] = defaultdict(list)
    for mutant, verdict in sorted(results, key=lambda one: one[0].file):
        files[mutant.file].append(verdict)
        files["in all"].append(verdict)
    files["in all"] = files.pop("in all", [])
    rows = [f"{'file':52} mutants noticed (too slow) equivalent survivors (no test)"]
    for file, verdicts in files.items():
        slow, none = verdicts.count("too slow"), verdicts.count("no test")
        noticed, equal = verdicts.count("noticed") + slow, verdicts.count("equivalent")
        rows.append(
            f"{file:52} {len(verdicts):7} {noticed:7} {slow:10} {equal:10} "
            f"{len(verdicts) - noticed - equal:9} {none:9}"
        )
    return "\n".join(rows)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, default=[SRC / "recurra"])
    parser.add_argument("--number", type=int, default=40, help="of changes, over all files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--budget", type=float, default=20, help="seconds of tests for a change")
    parser.add_argument("--tests", nargs="*", default=None, help="instead of the mirrored ones")
    parser.add_argument("--again", type=Path, help="only those that survived in this file")
    parser.add_argument("--out", type=Path, help="a file for the results, as JSON")
    options = parser.parse_args()
    chosen = [one.resolve() for one in options.files]
    files = [f for one in chosen for f in (sorted(one.rglob("*.py")) if one.is_dir() else [one])]
    files = [file for file in files if file.name != "__init__.py"]
    mutants = [m for file, n in shares(files, options.number).items()
               for m in sample(file, n, options.seed)]  # fmt: skip
    if options.again:
        alive = [
            tuple(one[:-2]) for one in json.loads(options.again.read_text()) if one[-1] in ALIVE
        ]
        mutants = [mutant for mutant in mutants if mutant.key in alive]
    tests = options.tests or sorted({str(p) for m in mutants for p in mirrored(m.file)})
    say(f"{len(mutants)} changes of {len(files)} files, {len(tests)} files of tests")
    sys.path.insert(0, str(SRC))
    os.environ["OMP_NUM_THREADS"] = "1"  # a fork does not inherit threads that wait
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = scratch
        multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)
        for name in PRELOADED:
            importlib.import_module(name)
        runner = Runner(mutants, options, Path(scratch))
        runner.coverage.start()
        pytest.main([*SETTINGS, *tests], plugins=[runner])
    print("\n" + table(runner.results))


if __name__ == "__main__":
    main()
