"""One run of a comparison, in a process of its own: ``python -m recurra.worker``.

What to do comes pickled by standard input, from the process that started this one. JSON lines go
back by standard output; what others print goes to standard error. When standard input closes, the
training keeps what it has and ends, also where the other process was killed.
"""

from __future__ import annotations

import _thread
import dataclasses
import json
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from recurra.errors import RecurraError

__all__ = ["main"]

_SECONDS = 0.3  # between two reports of steps


def main() -> None:
    """Do what standard input says."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(told: Mapping[str, Any]) -> None:
        with suppress(OSError):  # nobody listens any more: standard input says the same
            out.write(json.dumps(told) + "\n")
            out.flush()

    try:
        sys.path[:] = pickle.load(sys.stdin.buffer)
        job = pickle.load(sys.stdin.buffer)
        threading.Thread(target=_watch, args=(sys.stdin.buffer,), daemon=True).start()
        say(_run(job, say))
    except KeyboardInterrupt:
        say({"state": "interrupted"})
    except EOFError:  # it ended before it had said all
        say({"state": "interrupted"})
    except RecurraError as problem:
        say({"state": "failed", "reason": str(problem)})
    except (MemoryError, OSError) as problem:
        said = str(problem) or "out of memory"
        say({"state": "failed", "reason": f"{type(problem).__name__}: {said}"})


def _watch(stream: IO[bytes]) -> None:
    """Ctrl-C, as soon as there is nothing left to be read."""
    while stream.read(1):
        pass
    _thread.interrupt_main()


def _run(job: Any, say: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
    """Make the run or go on with it."""
    from recurra.console import import_cells, keep_memory

    keep_memory()
    import_cells(list(job.imports))
    import torch

    from recurra.comparison.results import result_of
    from recurra.comparison.study import clear, state_of
    from recurra.training import place_of, resume, train
    from recurra.training.recipe import checked

    torch.set_num_threads(1)
    recipe, source = checked(dict(job.recipe), job.name), pickle.loads(job.source)
    state, path = state_of(job.path, recipe), Path(job.path)
    if state == "new":
        clear(path)
        done = train(recipe, source, path, _Reports(say), place=place_of(source))
    elif state == "begun":
        done = resume(path, source, _Reports(say))
    else:
        return {"state": "done", "result": result_of(path)}
    if done.interrupted:
        return {"state": "interrupted"}
    return {"state": "done", "result": result_of(path)}


class _Reports:
    """Reports of a training as lines, some steps left out."""

    def __init__(self, say: Callable[[Mapping[str, Any]], None]) -> None:
        self._say, self._last = say, -_SECONDS

    def __call__(self, report: Any) -> None:
        from recurra.comparison.runner import Told

        done, now = report.progress, time.monotonic()
        told = Told(message=report.message or "")
        if done is not None:
            if report.validation is None and now - self._last < _SECONDS:
                return
            self._last = now
            told = Told(done.step, done.steps, done.loss, report.left, report.validation)
        self._say(dataclasses.asdict(told))


if __name__ == "__main__":
    main()
