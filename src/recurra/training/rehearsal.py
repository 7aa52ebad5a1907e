"""A checkpoint is saved and loaded before the first step: what cannot be kept is found then."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from typing import Any

import torch

from recurra import artifact
from recurra.errors import ArtifactError, RecurraError, RunError
from recurra.training.keeper import Ready
from recurra.training.loop import Training
from recurra.training.run import DATA, RunFolder

__all__ = ["rehearse"]


def rehearse(run: RunFolder, training: Training, ready: Ready) -> None:
    """Save the untrained model, load it, and hold it against what was saved.

    Args:
        run: where the checkpoint stands for a moment.
        training: before its first step.
        ready: its data.

    Raises:
        ArtifactError: something cannot be saved or loaded, or comes back otherwise.
        RunError: the folder cannot be written.
    """
    if not run.writes:
        return
    model, fronts, task = training.kept, ready.prepared.fronts, ready.task
    folder = run.path / DATA / "rehearsal"
    try:
        artifact.save(folder, model, fronts, task)
        loaded = artifact.load(folder)
    except RunError:
        raise
    except Exception as problem:  # whatever a model or a front of one's own does
        said = str(problem) if isinstance(problem, RecurraError) else _named(problem)
        raise _refusal(task.name, said.replace(f"{folder}/", "").removesuffix(".")) from problem
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for field, front in fronts.items():
        if _text(loaded.fronts[field].to_json()) != _text(front.to_json()):
            raise _refusal(task.name, f"the front {field!r} is another one once it was loaded")
    with torch.random.fork_rng(devices=[]):  # who draws in a score changes no training
        batch = [[ready.batches.batch(0)]]
        first, again = model.score(batch), model.score(batch)
        back = loaded.model.to(training.settings.device).score(batch)
    if _same(first, again) and not _same(first, back):
        said = (
            f"it loses {first[0]:.6g} on the first batch, and {back[0]:.6g} once it was loaded: "
            "something that it computes with is neither in its config nor a parameter or a buffer"
        )
        raise _refusal(task.name, said)


def _refusal(task: str, said: str) -> ArtifactError:
    return ArtifactError(
        f"checkpoint: this model of the task {task} cannot be kept: {said}. No step was trained."
    )


def _named(problem: Exception) -> str:
    return f"{type(problem).__name__}: {' '.join(str(problem).split())}"


def _text(front: Mapping[str, Any]) -> str:
    return json.dumps(front, sort_keys=True)


def _same(one: tuple[float, int], other: tuple[float, int]) -> bool:
    (total, count), (back, again) = one, other
    close = math.isclose(total, back, rel_tol=1e-4, abs_tol=1e-4 * count)
    return count == again and (close or not math.isfinite(total))
