"""A run: a folder with a recipe, a log, rivals on the same data, and checkpoints.

::

    runs/book/
        recipe.json            every setting, and their checksum
        log.csv                one line a report: step, predictions, seconds, losses
        monitors.csv           step, measure, place, value: gradients and updates by layer, and more
        ngrams.safetensors     of texts, bigram and 5-gram of the training text; other tasks keep
        ngrams.json            their rivals in other files
        mixture.json           of texts, how the model is mixed with an n-gram
        data.json              where the data came from, and a fingerprint of them
        origin/                the artifact that the run began with, of a run that begins with one
        data/                  the data in numbers, only while the training runs
        checkpoints/000123/    artifacts, written once and never changed; beside each the state
                               of the training (training.json, training.safetensors)
        best  last             one-line files that name a checkpoint
        summary.json           scores of what was held out
        pictures.json          what pictures show beside that, of tasks that have such
        curve.svg              losses by step; confusion.svg beside it where there are classes,
                               forecast.svg of a forecaster
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from recurra import artifact
from recurra.errors import ArtifactError, RunError
from recurra.files import write_file
from recurra.given import path_of
from recurra.models import Model
from recurra.tasks.base import Task
from recurra.training.origin import ORIGIN
from recurra.training.processes import processes

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["DATA", "MONITORS", "RunFolder", "TrainingState"]

DATA = "data"
LOG, MONITORS = "log.csv", "monitors.csv"
_RECIPE = "recipe.json"
_END = ("summary.json", "pictures.json", "*.svg")  # written behind the last step
_TENSORS, _STATE = "training.safetensors", "training.json"
TrainingState = tuple[Mapping[str, Tensor], Mapping[str, Any]]


class RunFolder:
    """A run that is being written; of several processes only the main one writes.

    Args:
        path: its folder, which must be absent or empty.
        keep: how many checkpoints to keep beside the best and the last.

    Raises:
        RunError: there is something already, or the folder cannot be made.
    """

    def __init__(self, path: str | Path, *, keep: int = 1) -> None:
        self.path = path_of("out", path)
        self.keep = keep
        self._claimed: int | None = None
        self.writes = processes().main
        if self.writes:
            self._make()
        processes().broadcast(None)  # the others wait until it is there

    def _make(self) -> None:
        self._new = not self.path.exists()
        try:
            if not self._new and not self._is_free():
                raise RunError(
                    f"{self.path}: expected a new folder for the run, there is something already. "
                    "Choose another --out, remove it, or go on with it: --resume."
                )
            (self.path / "checkpoints").mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise RunError(f"{self.path}: cannot be made ({problem.strerror}).") from problem

    def _is_free(self) -> bool:
        """An empty folder, or one that was just being made when all was stopped."""
        return self.path.is_dir() and all(
            part.name == "checkpoints" and part.is_dir() and not any(part.iterdir())
            for part in self.path.iterdir()
        )

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """A run that is there already, to go on with.

        Raises:
            RunError: this is no run.
        """
        run = cls.__new__(cls)
        run.path, run.keep, run.writes = path_of("run", path), 1, processes().main
        run._claimed, run._new = None, False
        if not (run.path / _RECIPE).is_file() or not (run.path / "checkpoints").is_dir():
            raise RunError(
                f"{run.path}: expected the folder of a run (with recipe.json and checkpoints), "
                "this is none."
            )
        return run

    def read_json(self, name: str) -> Any:
        """A JSON file of the run.

        Raises:
            ArtifactError: it is missing or damaged.
        """
        try:
            return json.loads((self.path / name).read_bytes())
        except (OSError, ValueError, RecursionError) as problem:
            raise ArtifactError(f"{self.path / name}: missing or damaged ({problem}).") from None

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file whole or not at all.

        Raises:
            RunError: it cannot be written.
        """
        if self.writes:
            write_file(self.path / name, content.encode() if isinstance(content, str) else content)

    def write_json(self, name: str, data: Any) -> None:
        """Write a JSON file."""
        self.write(name, json.dumps(data, indent=1) + "\n")

    def write_recipe(self, settings: Mapping[str, Any]) -> None:
        """Write every setting of the run, and their checksum."""
        self.write_json(_RECIPE, {**settings, "check": _checksum(settings)})

    def read_recipe(self) -> Any:
        """Every setting of the run; one of an older version has no checksum, and is taken as it is.

        Raises:
            ArtifactError: it is missing, damaged, or was changed.
        """
        settings = self.read_json(_RECIPE)
        if isinstance(settings, dict) and "check" in settings:
            check = settings.pop("check")
            if check != _checksum(settings):
                raise ArtifactError(
                    f"{self.path / _RECIPE}: was changed, its checksum is not its own. Put back "
                    "what it was: how long and where a run goes on is said with --set (or recipe=),"
                    " and for other settings begin a new run."
                )
        return settings

    def write_origin(self, path: Path) -> None:
        """Keep a copy of the artifact that the run begins with.

        Raises:
            ArtifactError: it is no longer there.
            RunError: it cannot be written.
        """
        if self.writes:
            artifact.copy(path, self.path / ORIGIN)

    def log(self, values: Mapping[str, Any], name: str = LOG) -> None:
        """Add a line to a log; the first brings the header."""
        if not self.writes:
            return
        path = self.path / name
        try:
            header = "" if path.exists() else ",".join(values) + "\n"
            with open(path, "a", encoding="utf-8") as file:
                file.write(header + ",".join(map(str, values.values())) + "\n")
        except OSError as problem:
            raise RunError(f"{path}: cannot be written ({problem.strerror}).") from problem

    def remove(self) -> None:
        """Take away what was made: nothing was learned. A folder that was there before stays."""
        if not self.writes:
            return
        if self._new:
            shutil.rmtree(self.path.resolve(), ignore_errors=True)
            return
        for part in self.path.iterdir():
            if part.is_dir() and not part.is_symlink():
                shutil.rmtree(part, ignore_errors=True)
            else:
                part.unlink(missing_ok=True)

    def claim(self) -> None:
        """Be the only one that trains this run, until :meth:`release` or the end of the process.

        Raises:
            RunError: another process does.
        """
        if not self.writes or fcntl is None:
            return
        self._claimed = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(self._claimed, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise RunError(f"{self.path}: another process is training this run.") from None
        except OSError:  # a file system without locks
            self.release()

    def release(self) -> None:
        """Let others train this run."""
        if self._claimed is not None:
            os.close(self._claimed)
            self._claimed = None

    def drop_data(self) -> None:
        """Take the encoded data away: they are made again when the run goes on."""
        if self.writes:
            shutil.rmtree(self.path / DATA, ignore_errors=True)

    def rewind(self, step: int, best: str | None) -> None:
        """Take back what came after a step: it is done again.

        Args:
            step: of the last checkpoint; -1 before the first, which may be that of step 0.
            best: the checkpoint that was the best one then.

        Raises:
            RunError: it cannot be written.
        """
        if not self.writes:
            return
        for name in (LOG, MONITORS):
            self._cut_log(name, step)
        for pattern in _END:
            for end in self.path.glob(pattern):
                end.unlink(missing_ok=True)
        # A run that was killed while it kept a checkpoint has more than ``last`` tells, and may go
        # on in another way now: for longer, with another learning rate.
        if best is not None and (self.path / "checkpoints" / best).is_dir():
            self.write("best", best + "\n")
        for folder in (self.path / "checkpoints").iterdir():
            if not folder.name.isdigit() or int(folder.name) > step:
                shutil.rmtree(folder, ignore_errors=True)

    def _cut_log(self, name: str, step: int) -> None:
        path = self.path / name
        if not path.exists():
            return
        text = path.read_text(encoding="utf-8", errors="replace")
        header, *lines = text.splitlines(keepends=True) or [""]
        # A line that was being written when the run was killed may be half there.
        whole = [n for n in lines if n.endswith("\n") and n.count(",") == header.count(",")]
        steps = [(line.partition(",")[0], line) for line in whole]
        kept = [line for number, line in steps if number.isdecimal() and int(number) <= step]
        if kept:
            self.write(name, header + "".join(kept))
        else:
            path.unlink()

    @staticmethod
    def name_of(step: int) -> str:
        """The name of the checkpoint of a step."""
        return f"{step:06d}"

    def checkpoint(
        self,
        step: int,
        kept: tuple[Model, Mapping[str, Any], Task],
        *,
        best: bool,
        training: TrainingState | None = None,
        about: Mapping[str, Any] | None = None,
        beside: Mapping[str, bytes] | None = None,
    ) -> None:
        """Save the model as ``last``, and as ``best`` if it is; older ones are removed.

        Args:
            step: names the checkpoint.
            kept: the model, its fronts, and whose model it is.
            best: whether it is the best so far.
            training: tensors and numbers that the training needs to go on from here.
            about: what the artifact tells of the model.
            beside: further files.

        Raises:
            RunError: it cannot be written; earlier checkpoints are still there.
        """
        if not self.writes:
            return
        name = self.name_of(step)
        folder = self.path / "checkpoints" / name
        if not folder.exists():
            files = {**_training_files(training), **(beside or {})}
            artifact.save(folder, *kept, about, files)
        self.write("last", name + "\n")
        if best or not (self.path / "best").exists():
            self.write("best", name + "\n")
        self._prune()

    def last_training(self) -> tuple[Path, TrainingState] | None:
        """The last checkpoint and the state of the training there; None before the first.

        Raises:
            ArtifactError: it is damaged.
        """
        if not (self.path / "last").exists():
            names = sorted(part.name for part in (self.path / "checkpoints").iterdir())
            if names and (self.path / "best").exists():  # which is written behind it
                raise ArtifactError(
                    f"{self.path / 'last'}: is missing, though there are checkpoints. Write the "
                    f"name of the newest into it, {names[-1]}, to go on from there."
                )
            return None
        folder = artifact.resolve(self.path, "last")
        facts = self.read_json(str((folder / _STATE).relative_to(self.path)))
        if not isinstance(facts, dict) or not isinstance(facts.get("sha256"), str):
            raise ArtifactError(f"{folder / _STATE}: damaged, it does not tell of a training.")
        if facts.get("check") != _checksum(facts):
            raise ArtifactError(f"{folder / _STATE}: damaged, its checksum is not its own.")
        try:
            raw = (folder / _TENSORS).read_bytes()
            if facts["sha256"] != hashlib.sha256(raw).hexdigest():
                raise ValueError(f"its checksum is not the one in {_STATE}")
            return folder, (safetensors.torch.load(raw), facts)
        except FileNotFoundError as problem:
            raise ArtifactError(
                f"{problem.filename}: is missing; this checkpoint cannot be gone on from."
            ) from None
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as problem:
            raise ArtifactError(f"{folder / _TENSORS}: damaged ({problem}).") from None

    def _prune(self) -> None:
        kept = {(self.path / pointer).read_text().strip() for pointer in ("best", "last")}
        folders = sorted((self.path / "checkpoints").iterdir(), key=lambda f: (len(f.name), f.name))
        others = [folder for folder in folders if folder.name not in kept]
        for folder in others[: len(others) - self.keep] if self.keep else others:
            shutil.rmtree(folder, ignore_errors=True)


def _training_files(training: TrainingState | None) -> dict[str, bytes]:
    if training is None:
        return {}
    tensors, facts = training
    raw = safetensors.torch.save({name: value.contiguous() for name, value in tensors.items()})
    told = {**facts, "sha256": hashlib.sha256(raw).hexdigest()}
    told["check"] = _checksum(told)
    return {_TENSORS: raw, _STATE: (json.dumps(told, indent=1) + "\n").encode()}


def _checksum(facts: Mapping[str, Any]) -> str:
    """Of all facts but the checksum itself."""
    others = {name: value for name, value in facts.items() if name != "check"}
    return hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()
