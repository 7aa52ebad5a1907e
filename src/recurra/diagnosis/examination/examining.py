"""The door of diagnosis: look into a model at work, and say what is wrong with it."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recurra.batch import Batch
from recurra.diagnosis.changed import steps_of
from recurra.diagnosis.charts.chart import Chart
from recurra.diagnosis.charts.curves import lines
from recurra.diagnosis.charts.panels import Axis, axis_over, large
from recurra.diagnosis.checked import MANY
from recurra.diagnosis.examination.evidence import Evidence
from recurra.diagnosis.examination.flow import gradient_flow
from recurra.diagnosis.examination.gates import gates
from recurra.diagnosis.examination.horizon import Response, ignored, response
from recurra.diagnosis.examination.inputs import OfInput, by_input
from recurra.diagnosis.examination.needs import needs
from recurra.diagnosis.examination.reached import unreached
from recurra.diagnosis.examination.verdicts import LEFT, Verdict, verdicts
from recurra.diagnosis.subject import Subject, called, subject_of
from recurra.errors import ShapeError
from recurra.settings import check_size
from recurra.twins import evaluating

__all__ = ["Examination", "examine"]


@dataclasses.dataclass(frozen=True)
class Examination:
    """What was found; ``print`` shows it in words.

    Args:
        evidence: what was measured.
    """

    evidence: Evidence

    @property
    def verdicts(self) -> list[Verdict]:
        """All that is to be said, the worst first."""
        return verdicts(self.evidence)

    def __str__(self) -> str:
        lines = [str(each) for each in self.verdicts]
        lines.append(f"gradient: {self._gradient()}")
        lines.append(f"memory: {self._memory()}")
        lines += [f"memory of {n}: {_of(each)}" for n, each in self.evidence.by_input.items()]
        return "\n".join(lines)

    def _gradient(self) -> str:
        flow = self.evidence.flow
        kept, far = flow.kept, flow.furthest
        if not far:
            return "there is one step alone"
        shares = ", ".join(f"{kept[k]:.2g} at {k}" for k in sorted({min(10, far), far // 2, far}))
        return f"each step back multiplies it by {flow.factor:.3f}; what is left: {shares}"

    def _memory(self) -> str:
        if self.evidence.steps == 1:
            return f"one step is read; {_another(self.evidence.response)}"
        horizon = self.evidence.response.horizon()
        least = "at least " if self.evidence.response.open_ended else ""
        told = f"a changed input still moves the output {least}{horizon:.0f} steps later"
        if self.evidence.window is not None and self.evidence.window < self.evidence.steps:
            told += f"; training lets gradients cross {self.evidence.window:,} steps"
        return f"{told} (of {self.evidence.steps:,})"

    def chart(self) -> Chart:
        """Gradient by distance, of each layer, and what a changed input does."""
        series: dict[str, dict[float, float]] = {}
        for place, norms in list(self.evidence.flow.norms.items())[:5]:
            first = max([norm for norm in norms[:3] if norm > 0], default=1.0)
            where = called(place) if place else ""
            shares = large((k, norm / first) for k, norm in enumerate(norms))
            series[f"gradient, {where}" if where else "gradient"] = dict(shares)
        moved = self.evidence.response
        series["output"] = dict(large(zip(moved.at, moved.values, strict=True)))
        every = [value for points in series.values() for value in points.values()]
        # What is said may have more steps than what is read.
        furthest = max(self.evidence.steps - 1, self.evidence.flow.furthest, 1)
        worst = self.verdicts[0].sentence if self.verdicts else ""
        if (more := len(self.evidence.flow.norms) - 5) > 0:
            worst += f" {more} more cells are not drawn."
        return lines(
            series,
            title="How far back a gradient and a memory reach",
            x=Axis("steps back", 0.0, float(furthest), format=",d"),
            y=axis_over("share of what it is at 0 steps", [*every, LEFT])._replace(log=True),
            about=f"{worst} Gradient: that of the loss by the state so many steps before; output: "
            "how much it moves if an input so many steps before is another.",
            levels={"lost": LEFT},
        )


def _another(response: Response) -> str:
    """What a change of the only step does, in words."""
    return f"another one moves the output by {response.values[0]:.2g} of its spread"


def _of(one: OfInput) -> str:
    """How far back one of several inputs is read, in words."""
    whole = len(one.ignored.steps) == one.ignored.looked
    if not whole and not one.response.values.any():
        told = "the layers do not read it, but what stands behind them does"
    elif not one.response.horizon() and not one.response.open_ended:
        told = "a change hardly moves the output"
    elif one.steps == 1:
        told = _another(one.response)
    else:
        least = "at least " if one.response.open_ended else ""
        told = f"a change moves the output {least}{one.response.horizon():.0f} steps later"
        told += f" (of {one.steps:,})"
    if one.flow is not None and one.flow.furthest:
        told += f"; its gradient changes by {one.flow.factor:.3f} a step back"
    if one.needs is not None and one.needs.steps is not None:
        steps = one.needs.steps
        told += (
            f"; its last {steps:,} steps are enough" if steps else "; the loss is no worse without"
        )
    return told


def examine(
    model: nn.Module,
    batch: Batch,
    *,
    loss: Callable[[Tensor, Any], Tensor] | None = None,
    reference: float | None = None,
    window: int | None = None,
    anchors: int = 8,
) -> Examination:
    """Look into a model at work on a batch it was not trained on.

    ::

        seen = recurra.diagnosis.examine(model, batch)
        print(seen)
        seen.chart().save("reach.svg")

    In evaluation mode; the model and its modes are as they were.

    Args:
        model: of this library, or any module that gives outputs ``[time, batch, ...]``, which may
            hold torch.nn layers after :func:`recurra.convert`.
        batch: some 32 rows, whose steps are looked at.
        loss: of outputs and targets, the mean over predictions; for a module that is no model.
        reference: the mean loss of one that knows nothing; the model's own if None.
        window: steps that a gradient of training crosses, for the text.
        anchors: steps of a row at which the loss is followed back.

    Raises:
        ShapeError: something that has no steps, no cell, or no loss.
    """
    check_size("anchors", anchors, 1, MANY)
    if window is not None:
        check_size("window", window)
    subject = subject_of(model, batch, loss, reference)
    lengths = steps_of(batch)[1]
    steps = int(lengths.max()) if lengths.numel() else 0
    if not steps:
        raise ShapeError("batch: expected rows that have steps to look at, got none.")
    with torch.inference_mode(False):
        with evaluating(model), torch.no_grad():
            ran = subject.run(batch)
        subject.check_said(ran.total, ran.outputs)
        mean = float(ran.total) / max(ran.count, 1)
        flow, noise = gradient_flow(subject, anchors), _noise(subject)
        evidence = Evidence(
            flow,
            response(subject),
            ignored(subject),
            gates(subject),
            mean,
            subject.reference,
            needs(subject, mean, noise),
            steps,
            window,
            noise,
            unreached(subject),
            by_input(subject, mean, noise),
        )
    return Examination(evidence)


def _noise(subject: Subject, parts: int = 8) -> float:
    """The standard error of the mean loss, by that of parts of the rows; 0 of a single row."""
    rows = len(steps_of(subject.batch)[1])
    cuts = sorted({round(rows * part / parts) for part in range(parts + 1)})
    losses = []
    with subject.asking(), torch.no_grad():
        for low, high in itertools.pairwise(cuts):
            try:
                part = subject.batch.part(_rows(low, high))
            except (ShapeError, IndexError):  # targets that do not say where their rows are
                return 0.0
            ran = subject.run(part)
            if ran.count:
                losses.append(float(ran.total) / ran.count)
    if len(losses) < 2 or not np.isfinite(losses).all():
        return 0.0
    return float(np.std(losses, ddof=1)) / math.sqrt(len(losses))


def _rows(low: int, high: int) -> Callable[[int], slice]:
    return lambda count: slice(low, high)
