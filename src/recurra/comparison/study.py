"""The folder of a comparison: its runs, and ``compare.json`` with what they came to.

::

    runs/study/
        compare.json                    what is compared, every finished run, the table
        compare.svg                     quality against parameters, and against seconds
        cell-gru_hidden_size-64/seed-0/ an ordinary run
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from recurra.errors import ArtifactError, RunError
from recurra.files import write_file
from recurra.given import path_of
from recurra.training.recipe import Recipe
from recurra.training.run import RunFolder
from recurra.training.runs import run_recipe

__all__ = ["FILE", "Study", "clear", "flat", "read_study", "state_of"]

FILE = "compare.json"
_FIRST = ("space", "task", "varied")  # of what differs, what says most
_WAIT = 30.0  # seconds in which runs of a comparison that was killed end
_OWN = ("data.json", "origin", "data")  # what a run has before it has a recipe


class Study:
    """A folder in which one comparison is made, by one process at a time.

    Args:
        path: absent, empty, or with the same comparison.
        identity: what makes it the same: all that is not varied.
        file: what it is kept in.

    Raises:
        RunError: there is something else in it, another process works there, or it cannot be made.
    """

    def __init__(self, path: str | Path, identity: Mapping[str, Any], file: str = FILE) -> None:
        self.path, self.file = path_of("out", path), file
        self._identity = json.loads(json.dumps(identity, default=str))
        self._lock: int | None = None
        self.known: dict[str, Any] = {}

    def __enter__(self) -> Self:
        """Make the folder and be the only one in it."""
        try:
            fresh = not self.path.exists() or not any(self.path.iterdir())
            if not fresh and not (self.path / self.file).is_file():
                raise RunError(
                    f"{self.path}: expected a new folder, or one of this comparison with "
                    f"{self.file}; there is something else. Choose another --out."
                )
            if not fresh:
                self.known = read_study(self.path, self.file)
                self._check()
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise RunError(f"{self.path}: cannot be made ({problem.strerror}).") from problem
        self._claim()
        return self

    def __exit__(self, *problem: object) -> None:
        """Let others work here."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def held(self) -> tuple[int, ...]:
        """What processes hold open that belong to it, so that no other begins before they end."""
        return () if self._lock is None else (self._lock,)

    def write(self, told: Mapping[str, Any]) -> None:
        """Keep what is known by now.

        Raises:
            RunError: it cannot be written.
        """
        content = json.dumps({"study": self._identity, **told}, indent=1, default=str) + "\n"
        write_file(self.path / self.file, content.encode())

    def _check(self) -> None:
        """Refuse another comparison than the one that is there."""
        there = self.known.get("study")
        if not isinstance(there, dict):
            raise ArtifactError(f"{self.path / self.file}: damaged, it does not say what it is of.")
        for name in sorted({*there, *self._identity}, key=lambda name: (name not in _FIRST, name)):
            one, other = there.get(name), self._identity.get(name)
            if one != other:
                raise RunError(
                    f"{self.path}: holds another comparison: {name} is {_shown(one)} there, "
                    f"{_shown(other)} here. Choose another --out."
                )

    def _claim(self) -> None:
        if sys.platform == "win32":
            return
        import fcntl

        self._lock = os.open(self.path, os.O_RDONLY)
        until = time.monotonic() + _WAIT
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < until:
                    time.sleep(0.2)
                    continue
                self.__exit__()
                raise RunError(f"{self.path}: another process is working in this folder.") from None
            except OSError:  # a file system without locks
                self.__exit__()
            return


def _shown(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."


def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a recipe by name with their section."""
    found: dict[str, Any] = {}
    for section, values in settings.items():
        if isinstance(values, Mapping):
            found |= {f"{section}.{name}": value for name, value in values.items()}
        else:
            found[section] = values
    return found


def read_study(path: Path, file: str = FILE) -> dict[str, Any]:
    """What a folder keeps of its comparison.

    Raises:
        ArtifactError: it is damaged.
    """
    try:
        found = json.loads((path / file).read_bytes())
    except (OSError, ValueError, RecursionError) as problem:
        raise ArtifactError(f"{path / file}: missing or damaged ({problem}).") from None
    if not isinstance(found, dict):
        raise ArtifactError(f"{path / file}: damaged, expected an object.")
    return found


def state_of(path: Path, recipe: Recipe) -> Literal["new", "begun", "finished"]:
    """How far the run of a folder is.

    Raises:
        RunError: it is another run.
        ArtifactError: it is damaged.
    """
    if not (path / "recipe.json").is_file():
        return "new"
    if run_recipe(RunFolder.open(path)) != recipe:
        raise RunError(
            f"{path}: holds a run with other settings. Remove it, or choose another out."
        )
    return "finished" if (path / "summary.json").is_file() else "begun"


def clear(path: Path) -> None:
    """Take away what a run left that was killed before it had a recipe; nothing else."""
    parts = list(path.iterdir()) if path.is_dir() else []
    empty = not any((path / "checkpoints").glob("*"))
    own = all(part.name in (*_OWN, "checkpoints") or part.name[0] == "." for part in parts)
    if parts and empty and own:
        shutil.rmtree(path, ignore_errors=True)
