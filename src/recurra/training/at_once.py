"""A model that its task makes of the data at once, kept as a training keeps its checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from recurra.models import Model
from recurra.training.keeper import Ready, surprises_of
from recurra.training.run import RunFolder
from recurra.training.runs import name_of

__all__ = ["make_at_once"]


def make_at_once(
    settings: Any, ready: Ready, run: RunFolder, report: Callable[[str], None]
) -> tuple[Model, float]:
    """Make the model, score it on what is chosen by, and keep it as the checkpoint of step 0.

    Args:
        settings: the section ``[model]``.
        ready: the data.
        run: where all is written.
        report: is told what takes long.

    Returns:
        the model, and the seconds that it took.
    """
    began = time.perf_counter()
    task, prepared = ready.task, ready.prepared
    model = task.make(settings, prepared, report)
    seconds = time.perf_counter() - began
    part, count = prepared.parts.get("validation"), prepared.parts["training"].count
    value = None
    if part is not None:
        value = float(task.evaluate({name_of(model): model}, part)[0].value)
    known = value if value is not None and math.isfinite(value) else None
    facts = {
        "step": 0,
        "steps": 0,
        "symbols": count,
        "seconds": seconds,
        "best": known,
        "chosen": run.name_of(0),
        "since": 0,
        "values": [] if known is None else [known],
    }
    scores: dict[str, float] = {"step": 0, task.unit: count}
    if known is not None:
        scores[f"validation_{task.metric.name}"] = round(known, 6)
    run.checkpoint(
        0,
        (model, prepared.fronts, task),
        best=True,
        training=({}, facts),
        about={**ready.about, "scores": scores},
        beside=surprises_of(ready, model),
    )
    return model, seconds
