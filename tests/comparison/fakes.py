"""Runs that are done at once, and what they came to: for all logic around them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from recurra.comparison.runner import Job, Outcome, Told
from recurra.training.recipe import checked
from recurra.training.run import RunFolder

TEXTS = ([f"{mood} film {n}" for n in range(40) for mood in ("good", "bad")], ["yes", "no"] * 40)


def result(value: float, **more: Any) -> dict[str, Any]:
    known = {"value": value, "loss": 0.5, "validation": value - 0.1, "parameters": 100}
    return {**known, "seconds": 2.0, "data": "d1", "rivals": {"majority": 0.5}, **more}


def finish(path: Path, recipe: Mapping[str, Any]) -> None:
    """What a finished run has in its folder that a comparison looks at."""
    begin(path, recipe)
    (path / "summary.json").write_text("{}")


def begin(path: Path, recipe: Mapping[str, Any]) -> None:
    run = RunFolder(path)
    run.write_recipe(checked(dict(recipe), "test").model_dump())


class FakeRunner:
    """Does what a function says: of a job it gives what the run came to, or an outcome."""

    def __init__(
        self, does: Callable[[Job], Any], tells: Callable[[Job], list[Told]] | None = None
    ):
        self.does, self.tells = does, tells
        self.jobs: list[Job] = []
        self.stopped: list[str | None] = []
        self.closed = False

    @property
    def names(self) -> list[str]:
        return [job.name for job in self.jobs]

    def submit(self, job: Job, tell: Callable[[Told], None]) -> Future[Outcome]:
        self.jobs.append(job)
        tell(Told())
        for told in self.tells(job) if self.tells else ():
            tell(told)
        done: Future[Outcome] = Future()
        try:
            found = self.does(job)
        except OSError as problem:
            done.set_exception(problem)
            return done
        if not isinstance(found, Outcome):
            finish(job.path, job.recipe)
            found = Outcome("done", result=json.loads(json.dumps(found)))
        done.set_result(found)
        return done

    def stop(self, name: str | None = None) -> None:
        self.stopped.append(name)

    def close(self) -> None:
        self.closed = True
