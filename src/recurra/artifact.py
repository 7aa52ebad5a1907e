"""A trained model on disk.

An artifact is a folder, written once beside its place and renamed there, never changed:

=====================  ==========================================================================
``config.json``        format number, kind of model, its configuration, checksums of the others
``model.safetensors``  the weights
``vocabulary.json``    field of the data -> vocabulary
=====================  ==========================================================================

Nothing in it is code, and nothing is unpickled. In a run, artifacts are ``checkpoints/000123``, and
``best`` and ``last`` are one-line files that name one. N-grams of the same text belong to the run:
``ngrams.safetensors``, and its checksum in ``ngrams.json``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pydantic
import safetensors
import safetensors.numpy
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from recurra.cells import cell_names
from recurra.errors import ArtifactError, RecurraError, RunError, SettingError
from recurra.files import write_file, write_folder
from recurra.models import LanguageModel, LanguageModelConfig, Model, NGram
from recurra_runtime.vocabulary import MissingLibraryError, Vocabulary, vocabulary_from_json

__all__ = ["Artifact", "load", "read_ngrams", "resolve", "save", "write_ngrams"]

_FORMAT = 1
_KINDS: dict[str, tuple[type[pydantic.BaseModel], Any]] = {
    "language-model": (LanguageModelConfig, LanguageModel)
}
_CONFIG, _WEIGHTS, _VOCABULARY = "config.json", "model.safetensors", "vocabulary.json"
_NGRAMS, _SUM = "ngrams.safetensors", "ngrams.json"


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A model that was loaded.

    Args:
        model: in evaluation mode, on the CPU.
        vocabularies: field of the data -> vocabulary.
        path: the folder it was read from.
        kind: kind of model, such as ``"language-model"``.
    """

    model: Model
    vocabularies: Mapping[str, Vocabulary]
    path: Path
    kind: str


def save(
    path: str | Path,
    model: Model,
    vocabularies: Mapping[str, Vocabulary],
    beside: Mapping[str, bytes] | None = None,
) -> None:
    """Write an artifact; the folder must not be there yet.

    Args:
        path: the folder to make.
        model: a model of a known kind, with its ``config``.
        vocabularies: field of the data -> vocabulary.
        beside: further files of the folder, which :func:`load` does not read.

    Raises:
        RunError: it cannot be written; nothing half-written stays behind.
    """
    kinds = [name for name, (_, made) in _KINDS.items() if isinstance(model, made)]
    if not kinds:
        raise RunError(
            f"{path}: expected a model of a kind that can be saved ({', '.join(_KINDS)}), got "
            f"{type(model).__name__}."
        )
    kind = kinds[0]
    weights = safetensors.torch.save(
        {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    )
    words = {field: vocabulary.to_json() for field, vocabulary in vocabularies.items()}
    files = {_WEIGHTS: weights, _VOCABULARY: _json(words)}
    config = {
        "format": _FORMAT,
        "kind": kind,
        "model": cast(pydantic.BaseModel, model.config).model_dump(),
        "cells": model.origins,
        "sha256": {name: hashlib.sha256(raw).hexdigest() for name, raw in files.items()},
    }
    write_folder(Path(path), {**files, _CONFIG: _json(config), **(beside or {})})


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
    if which not in ("best", "last"):
        raise SettingError(f"which: expected 'best' or 'last', got {which!r}.")
    while True:
        folder = resolve(Path(path), which)
        try:
            return _load(folder)
        except ArtifactError:
            # A training that goes on beside this may have made a better one and removed it.
            if folder.is_dir() or resolve(Path(path), which) == folder:
                raise


def _load(folder: Path) -> Artifact:
    config = _read_json(folder / _CONFIG)
    if config.get("format") != _FORMAT:
        raise ArtifactError(
            f"{folder / _CONFIG}: expected format {_FORMAT}, got {config.get('format')!r}. "
            "It was written by another version of Recurra; load it with that one."
        )
    kind = config.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ArtifactError(
            f"{folder / _CONFIG}: expected a kind of model among {', '.join(_KINDS)}, got {kind!r}."
        )
    model = _build(folder, kind, config, _read_weights(folder, config))
    return Artifact(model.eval(), _read_vocabularies(folder, model, config), folder, kind)


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
    folder: Path, kind: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> Model:
    """The model of a configuration with the weights of the file."""
    make_config, make_model = _KINDS[kind]
    try:
        settings = make_config.model_validate(config.get("model"))
        _check_sizes(folder, make_model, settings, tensors)
        with torch.random.fork_rng(devices=[]):  # to load a model draws nothing from a user's seed
            model: Model = make_model(settings)
    except pydantic.ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(map(str, first["loc"])) or "model"
        raise ArtifactError(
            f"{folder / _CONFIG}: damaged, model.{place}: {first['msg']}."
        ) from None
    except ArtifactError:
        raise
    except (RecurraError, RuntimeError) as problem:  # torch's own, for a size beyond all memory
        raise ArtifactError(f"{folder / _CONFIG}: {problem}{_missing(config)}") from problem
    _compare(folder / _WEIGHTS, model, tensors)
    model.load_state_dict(tensors, assign=True)
    return model


def _missing(config: Mapping[str, Any]) -> str:
    """Which of a user's modules to import, if a cell that the model names is not registered.

    The name is told, never imported: no file may make a machine run something.
    """
    cells = config.get("cells")
    if not isinstance(cells, dict):
        return ""
    unknown = set(cells) - set(cell_names())
    return "".join(
        f" {name!r} was made as {cells[name]}: import that module first."
        for name in sorted(unknown)
    )


def _check_sizes(
    folder: Path,
    make_model: Any,
    settings: pydantic.BaseModel,
    tensors: Mapping[str, Tensor],
) -> None:
    """Compare all shapes with the file's before memory is taken for them.

    A cell that cannot be built without memory is compared later.
    """
    try:
        with torch.device("meta"):
            model: Model = make_model(settings)
    except (NotImplementedError, RuntimeError):
        return
    _compare(folder / _WEIGHTS, model, tensors)


def _compare(path: Path, model: Model, tensors: Mapping[str, Tensor]) -> None:
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    got = {name: tuple(value.shape) for name, value in tensors.items()}
    if expected != got:
        name = sorted(set(expected.items()) ^ set(got.items()))[0][0]
        raise ArtifactError(
            f"{path}: tensor {name!r}: the configuration wants {expected.get(name, 'none')}, "
            f"on disk is {got.get(name, 'none')}."
        )


def _read_weights(folder: Path, config: Mapping[str, Any]) -> dict[str, Tensor]:
    path = folder / _WEIGHTS
    try:
        tensors = safetensors.torch.load(_read(path, config))
    except SafetensorError as problem:
        raise ArtifactError(f"{path}: damaged ({problem}).") from None
    types = {value.dtype for value in tensors.values()}
    known = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
    if len(types) > 1 or types - known:
        names = ", ".join(sorted(str(kind) for kind in types))
        raise ArtifactError(f"{path}: expected weights of one float type, got {names}.")
    return tensors


def _read_vocabularies(
    folder: Path, model: Model, config: Mapping[str, Any]
) -> dict[str, Vocabulary]:
    path = folder / _VOCABULARY
    data = _read_json(path, config)
    try:
        found = {field: vocabulary_from_json(words) for field, words in data.items()}
    except MissingLibraryError as problem:
        raise ArtifactError(f"{path}: {problem}.") from None
    except ValueError as problem:
        raise ArtifactError(f"{path}: damaged, {problem}.") from None
    if isinstance(model, LanguageModel):
        wanted = {"text": model.config.vocabulary_size, **model.config.conditions}
        for field, size in wanted.items():
            got = len(found[field]) if field in found else "none"
            if got != size:
                raise ArtifactError(
                    f"{path}: expected a vocabulary {field!r} of {size} symbols beside this "
                    f"model, got {got}. It belongs to another model."
                )
    return found


def write_ngrams(path: str | Path, models: Mapping[str, NGram]) -> None:
    """Keep n-grams in a run, beside its checkpoints; ones that are there already are replaced.

    Args:
        path: the run.
        models: by name.

    Raises:
        RunError: they cannot be written.
    """
    arrays = {
        f"{name}/{key}": np.ascontiguousarray(array)
        for name, model in models.items()
        for key, array in model.arrays().items()
    }
    raw = safetensors.numpy.save(arrays)
    write_file(Path(path) / _NGRAMS, raw)
    write_file(Path(path) / _SUM, _json({"sha256": hashlib.sha256(raw).hexdigest()}))


def read_ngrams(path: str | Path) -> dict[str, NGram]:
    """The n-grams of a run by name; none if it has none.

    Args:
        path: a run, or one of its checkpoints.

    Raises:
        ArtifactError: the file is damaged.
    """
    folder = Path(path).absolute()
    if folder.parent.name == "checkpoints":
        folder = folder.parent.parent
    file, sums = folder / _NGRAMS, folder / _SUM
    if not file.exists() and not sums.exists():
        return {}
    try:
        if not (file.is_file() and sums.is_file()):
            raise ValueError(f"{_NGRAMS} and {_SUM} must both be files")
        raw = file.read_bytes()
        if json.loads(sums.read_bytes())["sha256"] != hashlib.sha256(raw).hexdigest():
            raise ValueError(f"its checksum is not the one in {_SUM}")
        arrays = safetensors.numpy.load(raw)
        named: dict[str, dict[str, Any]] = {}
        for key, array in arrays.items():
            name, _, part = key.rpartition("/")
            named.setdefault(name, {})[part] = array
        models = {name: NGram.from_arrays(parts) for name, parts in named.items()}
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as problem:
        raise ArtifactError(f"{file}: damaged ({problem}).") from None
    # The file gives them in any order: the simplest comes first.
    return dict(sorted(models.items(), key=lambda item: item[1].order))


def _json(data: Any) -> bytes:
    return (json.dumps(data, indent=1, sort_keys=True) + "\n").encode()
