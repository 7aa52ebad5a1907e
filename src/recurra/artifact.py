"""A trained model on disk.

An artifact is a folder, written once beside its place and renamed there, never changed:

=====================  ==========================================================================
``config.json``        format number, task, the model's configuration, what is told of it, checksums
``model.safetensors``  the weights
``vocabulary.json``    field of the data -> what turns it into numbers: a vocabulary, class names
=====================  ==========================================================================

Nothing in it is code, and nothing is unpickled. In a run, artifacts are ``checkpoints/000123``, and
``best`` and ``last`` are one-line files that name one. Models without memory on the same data
belong to the run, in files of their own.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import pydantic
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import Parameter

from recurra.cells import cell_names
from recurra.errors import ArtifactError, RecurraError, SettingError, dtype_name
from recurra.files import write_folder
from recurra.given import path_of
from recurra.models import Model
from recurra.tasks.base import Task, task_by_name, task_names, task_origin
from recurra.twins import without_memory
from recurra_runtime.vocabulary import (
    MissingLibraryError,
    front_names,
    front_origin,
    vocabulary_from_json,
)

__all__ = ["Artifact", "copy", "fingerprint", "load", "resolve", "run_folder", "save", "task_of"]

_FORMAT = 2
_READ = (1, 2)  # of the first nothing is told but the model
_FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
_CONFIG, _WEIGHTS, _VOCABULARY = "config.json", "model.safetensors", "vocabulary.json"
T = TypeVar("T")


def run_folder(path: str | Path) -> Path:
    """The folder of a run, also from that of one of its checkpoints."""
    folder = path_of("run", path).absolute()
    return folder.parent.parent if folder.parent.name == "checkpoints" else folder


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A model that was loaded.

    Args:
        model: in evaluation mode, on the CPU.
        fronts: field of the data -> vocabulary, class names.
        path: the folder it was read from.
        task: whose model it is.
        about: what is told of it: the data's fingerprint and licence, scores, the command,
            versions.
    """

    model: Model
    fronts: Mapping[str, Any]
    path: Path
    task: Task
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Name of the task."""
        return self.task.name


def save(
    path: str | Path,
    model: Model,
    fronts: Mapping[str, Any],
    task: Task | str,
    about: Mapping[str, Any] | None = None,
    beside: Mapping[str, bytes] | None = None,
) -> None:
    """Write an artifact; the folder must not be there yet.

    Args:
        path: the folder to make.
        model: with its ``config``.
        fronts: field of the data -> vocabulary, class names.
        task: whose model it is, or its name.
        about: what is told of it, such as that JSON can hold; versions are added.
        beside: further files of the folder, which :func:`load` does not read.

    Raises:
        SettingError: a front whose class is not registered.
        RunError: it cannot be written; nothing half-written stays behind.
    """
    task = task_by_name(task) if isinstance(task, str) else task
    tensors, shared = _tensors(model)
    weights = safetensors.torch.save(tensors)
    origins, told = {}, {}
    for field, front in fronts.items():
        try:
            origin = front_origin(front)
        except ValueError as problem:
            raise SettingError(f"{field}: {problem}.") from None
        origins[front.kind], told[field] = origin, {**front.to_json(), "kind": front.kind}
    files = {_WEIGHTS: weights, _VOCABULARY: _json(told)}
    config = {
        "format": _FORMAT,
        "kind": task.name,
        "made_as": task_origin(task),
        "model": model.config.model_dump(),
        "cells": model.origins,
        "fronts": origins,
        **({"shared": shared} if shared else {}),
        "about": {**(about or {}), "versions": _versions()},
        "sha256": {name: hashlib.sha256(raw).hexdigest() for name, raw in files.items()},
    }
    write_folder(Path(path), {**files, _CONFIG: _json(config), **(beside or {})})


def copy(path: Path, out: Path) -> None:
    """Copy an artifact, byte for byte, to a folder that must not be there yet.

    Raises:
        ArtifactError: it is incomplete.
        RunError: the copy cannot be written.
    """
    write_folder(out, {name: _read(path / name) for name in (_CONFIG, _WEIGHTS, _VOCABULARY)})


def fingerprint(path: Path) -> str:
    """What tells an artifact from any other: the configuration has the checksums of the rest."""
    return hashlib.sha256(_read(path / _CONFIG)).hexdigest()


def _tensors(model: Model) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a model, and the names that are others of a tensor with one already.

    They stand in the configuration: the order of what safetensors tells beside tensors is not the
    same at every writing.
    """
    tensors: dict[str, Tensor] = {}
    shared: dict[str, str] = {}
    first: dict[int, str] = {}
    memory: set[int] = set()
    for name, value in model.state_dict(keep_vars=True).items():
        kept = first.setdefault(id(value), name)
        if kept != name:
            shared[name] = kept
            continue
        tensors[name] = value.detach().cpu().contiguous()
        place = tensors[name].untyped_storage().data_ptr()
        if place in memory:  # a part of another one, which the format does not know
            tensors[name] = tensors[name].clone()
        memory.add(place)
    return tensors, shared


def load(path: str | Path, *, which: str = "best") -> Artifact:
    """Load a model from a run or from one of its checkpoints.

    Args:
        path: a run's folder or an artifact's.
        which: of a run, ``"best"`` or ``"last"``.

    Raises:
        ArtifactError: nothing there, or it is damaged, incomplete or newer, or needs a library that
            is missing; the message says what.
        SettingError: ``which`` is neither.
    """
    return _of(path, which, _load)


def _of(path: str | Path, which: str, read: Callable[[Path], T]) -> T:
    """What is read from an artifact's folder."""
    if which not in ("best", "last"):
        raise SettingError(f"which: expected 'best' or 'last', got {which!r}.")
    place = path_of("run", path)
    while True:
        folder = resolve(place, which)
        try:
            return read(folder)
        except ArtifactError:
            # A training that goes on beside this may have made a better one and removed it.
            if folder.is_dir() or resolve(place, which) == folder:
                raise


def _load(folder: Path) -> Artifact:
    config = _read_config(folder)
    task = _task(folder, config)
    weights = _read_weights(folder, config)
    fronts = _read_fronts(folder, config)
    model = _build(folder, task, config, fronts, weights)
    about = config.get("about")
    return Artifact(model.eval(), fronts, folder, task, about if isinstance(about, dict) else {})


def task_of(path: str | Path, *, which: str = "best") -> Task:
    """The task of a run or of one of its checkpoints; no weights are read.

    Raises:
        ArtifactError: as :func:`load`, of the configuration alone.
    """
    return _of(path, which, lambda folder: _task(folder, _read_config(folder)))


def _read_config(folder: Path) -> dict[str, Any]:
    config = _read_json(folder / _CONFIG)
    if config.get("format") not in _READ:
        raise ArtifactError(
            f"{folder / _CONFIG}: expected format 1 to {_FORMAT}, got {config.get('format')!r}. It "
            "was written by another version of Recurra; load it with that one."
        )
    return config


def _task(folder: Path, config: Mapping[str, Any]) -> Task:
    """The task by its name; where it was made is told, never imported."""
    kind = config.get("kind")
    if not isinstance(kind, str):
        raise ArtifactError(f"{folder / _CONFIG}: expected the name of a task, got {kind!r}.")
    try:
        return task_by_name(kind)
    except SettingError:
        origin = config.get("made_as")
        told = f" {kind!r} was made as {origin}: import that module first." if origin else ""
        raise ArtifactError(
            f"{folder / _CONFIG}: expected a task among {', '.join(task_names())}, got {kind!r}."
            f"{told}"
        ) from None


def resolve(path: Path, which: str) -> Path:
    """The artifact's folder of a run or of an artifact.

    Raises:
        ArtifactError: there is none.
    """
    if not path.is_dir():
        what = "this is a file" if path.exists() else "there is none"
        raise ArtifactError(f"{path}: expected a run or an artifact's folder, {what}.")
    if (path / _CONFIG).exists():
        return path
    pointer = path / which
    if not pointer.exists() and (path / "checkpoints").is_dir():
        pointer = path / ("last" if which == "best" else "best")
    if not pointer.is_file():
        raise ArtifactError(
            f"{path}: expected a run (with a file {which!r}) or an artifact (with {_CONFIG}), "
            "found neither. A run that was stopped before its first checkpoint has none."
        )
    name = pointer.read_text(errors="replace").strip()
    folder = path / "checkpoints" / name
    if not name.isdigit() or not folder.is_dir():
        raise ArtifactError(f"{pointer}: names {name[:40]!r}, which is no checkpoint of this run.")
    return folder


def _read(path: Path, config: Mapping[str, Any] | None = None) -> bytes:
    """A file's content, held against its checksum in the configuration, if one is given."""
    try:
        if path.exists() and not path.is_file():  # a pipe would never end
            raise ArtifactError(f"{path}: expected a file, this is none.")
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ArtifactError(f"{path}: is missing; the artifact is incomplete.") from None
    except OSError as problem:
        raise ArtifactError(f"{path}: cannot be read ({problem.strerror}).") from None
    if config is not None:
        sums = config.get("sha256")
        if not isinstance(sums, dict) or sums.get(path.name) != hashlib.sha256(raw).hexdigest():
            raise ArtifactError(
                f"{path}: damaged, its checksum is not the one in {_CONFIG}. It was cut short or "
                "changed after it was written."
            )
    return raw


def _read_json(path: Path, config: Mapping[str, Any] | None = None) -> dict[str, Any]:
    raw = _read(path, config)
    try:
        data = json.loads(raw.decode())
    except (ValueError, RecursionError) as problem:
        raise ArtifactError(f"{path}: damaged, not JSON ({problem}).") from None
    if not isinstance(data, dict):
        raise ArtifactError(f"{path}: damaged, expected an object, got {type(data).__name__}.")
    return data


def _build(
    folder: Path,
    task: Task,
    config: Mapping[str, Any],
    fronts: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
) -> Model:
    """The model of a configuration with the weights of the file."""
    settings = config.get("model")
    try:
        _check_sizes(folder, task, settings, fronts, tensors)
        with torch.random.fork_rng(devices=[]):  # to load a model draws nothing from a user's seed
            model = task.restore(settings, fronts)
    except pydantic.ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(map(str, first["loc"])) or "model"
        raise ArtifactError(
            f"{folder / _CONFIG}: damaged, model.{place}: {first['msg']}."
        ) from None
    except ArtifactError:
        raise
    except (RecurraError, RuntimeError) as problem:  # torch's own, for a size beyond all memory
        missing = _missing(config, "cells", cell_names())
        raise ArtifactError(f"{folder / _CONFIG}: {problem}{missing}") from problem
    except (KeyError, ValueError) as problem:
        raise ArtifactError(f"{folder / _VOCABULARY}: {problem}.") from None
    _compare(folder / _WEIGHTS, model, tensors)
    # One parameter under all of its names, as it was saved.
    named = dict(model.named_parameters(remove_duplicate=False))
    weights = {id(value): Parameter(value, requires_grad=False) for value in tensors.values()}
    model.load_state_dict(
        {name: weights[id(v)] if name in named else v for name, v in tensors.items()}, assign=True
    )
    return model


def _missing(config: Mapping[str, Any], what: str, registered: Iterable[str]) -> str:
    """Which of a user's modules to import, if something that the model names is not registered.

    The name is told, never imported: no file may make a machine run something.
    """
    named = config.get(what)
    if not isinstance(named, dict):
        return ""
    return "".join(
        f" {name!r} was made as {named[name]}: import that module first."
        for name in sorted(set(named) - set(registered))
    )


def _check_sizes(
    folder: Path,
    task: Task,
    settings: Any,
    fronts: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
) -> None:
    """Compare all shapes with the file's before memory is taken for them.

    A cell that cannot be built without memory is compared later.
    """
    try:
        with without_memory():
            model = task.restore(settings, fronts)
    except (NotImplementedError, RuntimeError):
        return
    _compare(folder / _WEIGHTS, model, tensors)


def _compare(path: Path, model: Model, tensors: Mapping[str, Tensor]) -> None:
    """Hold names, shapes and types of tensors against a model's."""
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    got = {name: tuple(value.shape) for name, value in tensors.items()}
    if expected != got:
        name = sorted(set(expected.items()) ^ set(got.items()))[0][0]
        raise ArtifactError(
            f"{path}: tensor {name!r}: the configuration wants {expected.get(name, 'none')}, "
            f"on disk is {got.get(name, 'none')}."
        )
    for name, value in model.state_dict().items():  # a model may be of another float type
        floats = value.is_floating_point() and tensors[name].is_floating_point()
        if value.dtype != tensors[name].dtype and not floats:
            raise ArtifactError(
                f"{path}: tensor {name!r}: the configuration wants {dtype_name(value.dtype)}, on "
                f"disk is {dtype_name(tensors[name].dtype)}."
            )
    parameters = (tensors[name] for name, _ in model.named_parameters() if name in tensors)
    types = {value.dtype for value in parameters if value.is_floating_point()}
    if len(types) > 1 or types - _FLOATS:
        names = ", ".join(sorted(map(dtype_name, types)))
        raise ArtifactError(f"{path}: expected weights of one float type, got {names}.")


def _read_weights(folder: Path, config: Mapping[str, Any]) -> dict[str, Tensor]:
    path = folder / _WEIGHTS
    try:
        tensors = safetensors.torch.load(_read(path, config))
    except SafetensorError as problem:
        raise ArtifactError(f"{path}: damaged ({problem}).") from None
    shared = config.get("shared", {})
    if not isinstance(shared, dict) or not set(map(str, shared.values())) <= {*tensors}:
        raise ArtifactError(f"{folder / _CONFIG}: damaged, shared: expected names of tensors.")
    return tensors | {name: tensors[str(kept)] for name, kept in shared.items()}


def _read_fronts(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    path = folder / _VOCABULARY
    data = _read_json(path, config)
    try:
        return {field: vocabulary_from_json(words) for field, words in data.items()}
    except MissingLibraryError as problem:
        raise ArtifactError(f"{path}: {problem}.") from None
    except ValueError as problem:
        if missing := _missing(config, "fronts", front_names()):
            raise ArtifactError(f"{path}: {problem}.{missing}") from None
        raise ArtifactError(f"{path}: damaged, {problem}.") from None


def _versions() -> dict[str, str]:
    """Of what a model was made with."""
    return {
        "recurra": version("recurra"),
        "torch": version("torch"),
        "numpy": version("numpy"),
        "python": platform.python_version(),
    }


def _json(data: Any) -> bytes:
    return (json.dumps(data, indent=1, sort_keys=True) + "\n").encode()
