"""Who runs: processes of this machine, some at a time; several machines could stand behind it."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Literal, Protocol

from recurra.errors import SettingError, kind_of

__all__ = ["Job", "Outcome", "ProcessRunner", "Runner", "Told", "cores", "packed"]

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_ALONE = ("WORLD_SIZE", "RANK", "LOCAL_RANK")  # of a launch of several processes, which none is
_ERROR = 2000  # characters of what a process said that broke without a sentence


@dataclasses.dataclass(frozen=True)
class Job:
    """A run to be made, or gone on with.

    Args:
        name: what it is called.
        path: its folder.
        recipe: every setting, as a recipe dumps them.
        source: what it is trained on, as :func:`packed` made it.
        imports: modules that register what the recipe names.
    """

    name: str
    path: Path
    recipe: Mapping[str, Any]
    source: bytes
    imports: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Told:
    """How far a run is.

    Args:
        step: steps done.
        steps: in all; 0 before that is known.
        loss: of late.
        left: seconds to its end, or None.
        validation: what its metric says, where it has just been scored.
        message: a sentence.
    """

    step: int = 0
    steps: int = 0
    loss: float | None = None
    left: float | None = None
    validation: float | None = None
    message: str = ""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Args:
        state: whether it is ``"done"``.
        reason: why not.
        result: what :func:`recurra.comparison.results.result_of` says of it.
    """

    state: Literal["done", "interrupted", "failed"]
    reason: str = ""
    result: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class Runner(Protocol):
    """What makes runs. All that a comparison asks of machines is here."""

    def submit(self, job: Job, tell: Callable[[Told], None]) -> Future[Outcome]:
        """Begin a run as soon as there is room; ``tell`` may be called from any thread."""

    def stop(self, name: str | None = None) -> None:
        """Let a run, or all, keep what they have and end; what has not begun does not begin."""

    def close(self) -> None:
        """End what still runs at once."""


def cores() -> int:
    """How many this process may use."""
    mine = getattr(os, "sched_getaffinity", None)
    return len(mine(0)) if mine else os.cpu_count() or 1


def packed(source: Any) -> bytes:
    """Data as other processes get them.

    Raises:
        SettingError: they cannot be handed over.
    """
    try:
        return pickle.dumps(source)
    except Exception as problem:  # whatever an object of somebody's own raises
        said = " ".join(str(problem).split())[:200]
        raise SettingError(
            f"data: expected what can be handed to other processes (paths, lists, frames), got "
            f"{kind_of(source)} ({said})"
        ) from None


class ProcessRunner:
    """Each run has a process of its own with one thread: ``python -m recurra.worker``.

    A process is in a session of its own, so that a terminal's Ctrl-C is not its business. It ends
    after its step, with all that it has learned kept, when its standard input closes: because it is
    asked to, or because this process is no more.

    Args:
        jobs: how many at a time.
        held: file descriptors that stay open as long as a process lives, such as of a lock.
    """

    def __init__(self, jobs: int, held: tuple[int, ...] = ()) -> None:
        self._held = held
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="run")
        self._lock = threading.Lock()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._stopped: set[str] = set()
        self._closed = False

    def submit(self, job: Job, tell: Callable[[Told], None]) -> Future[Outcome]:
        """Begin a run as soon as there is room."""
        return self._pool.submit(self._run, job, tell)

    def stop(self, name: str | None = None) -> None:
        """Close the standard input of one or all."""
        with self._lock:
            self._closed = self._closed or name is None
            self._stopped.update([name] if name else self._running)
            chosen = [p for each, p in self._running.items() if name in (None, each)]
        for process in chosen:
            _hang_up(process)

    def close(self) -> None:
        """Kill what still runs."""
        self.stop()
        with self._lock:
            for process in self._running.values():
                process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, job: Job, tell: Callable[[Told], None]) -> Outcome:
        with tempfile.TemporaryFile() as errors:
            with self._lock:
                if self._closed:
                    return Outcome("interrupted")
                process = self._start(errors)
                self._running[job.name] = process
                self._stopped.discard(job.name)
            tell(Told())
            try:
                _send(process, job)
                found = _listen(process, tell)
                code = process.wait()
            finally:
                with self._lock:
                    del self._running[job.name]
                    asked = job.name in self._stopped
                _hang_up(process)
            if found is not None:
                return found
            if asked:
                return Outcome("interrupted")
            return Outcome("failed", _reason(errors, code))

    def _start(self, errors: IO[bytes]) -> subprocess.Popen[bytes]:
        environment = {k: v for k, v in os.environ.items() if k not in _ALONE} | _ONE_THREAD
        return subprocess.Popen(
            [sys.executable, "-m", "recurra.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            start_new_session=True,
            pass_fds=self._held,
        )


def _send(process: subprocess.Popen[bytes], job: Job) -> None:
    """Where modules are, then the job: its data may need the modules to be read."""
    assert process.stdin is not None
    with suppress(BrokenPipeError, ValueError):  # it is gone, or was asked to stop: its end says so
        pickle.dump([*sys.path], process.stdin)
        pickle.dump(job, process.stdin)
        process.stdin.flush()


def _listen(process: subprocess.Popen[bytes], tell: Callable[[Told], None]) -> Outcome | None:
    """Hand on what a process tells; how it ended, if it says so."""
    assert process.stdout is not None
    found = None
    with process.stdout:
        for line in process.stdout:
            said = json.loads(line)
            if "state" in said:
                found = Outcome(**said)
            else:
                tell(Told(**said))
    return found


def _hang_up(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with suppress(OSError, ValueError):  # ValueError: another thread writes to it, and closes it
        process.stdin.close()


def _reason(errors: IO[bytes], code: int) -> str:
    """Why a process broke, in what it said last."""
    errors.seek(0)
    said = errors.read().decode("utf-8", "replace").strip()
    last = said.splitlines()[-1].strip() if said else ""
    how = f"its process was ended by signal {-code}" if code < 0 else f"its process ended ({code})"
    return f"{how}{': ' + last[:_ERROR] if last else ''}"
