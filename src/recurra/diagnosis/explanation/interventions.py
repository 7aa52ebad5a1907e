"""Values inside a model that are moved, and what becomes of its answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from recurra.columns import aligned
from recurra.diagnosis.checked import check_call, check_module, check_not_nan
from recurra.diagnosis.subject import Subject, encoded
from recurra.engine import Change, changing
from recurra.engine.changes import Chosen
from recurra.errors import InputTypeError, SettingError, ShapeError, kind_of
from recurra.heads.base import whole_rows
from recurra.lengths import mask_padding
from recurra.sequences import PaddedSequence

__all__ = [
    "MOST",
    "Intervened",
    "Loss",
    "ablate",
    "clamp",
    "intervene",
    "losses_of",
    "patch",
    "predictions",
    "scale",
]

Loss = Callable[[Any, Tensor], Tensor] | None
"""Of an answer, and the numbers of its rows; None: what a model says of its targets."""
MOST = 12  # lines of a table


def clamp(
    value: Any, *, units: Chosen = None, since: int = 0, until: int | None = None,
    rows: Chosen = None, steps: Chosen = None,
) -> Change:  # fmt: skip
    r"""Hold a value at others: :math:`v_t \leftarrow c`.

    Args:
        value: c, a number or a tensor that spreads over ``[time, batch, ...]``.
        units: as of :class:`recurra.Change`, like the others.
        since: as there.
        until: as there.
        rows: as there.
        steps: as there.
    """
    return Change(0.0, _number("value", value), units, since, until, rows, steps)


def scale(
    factor: Any, *, units: Chosen = None, since: int = 0, until: int | None = None,
    rows: Chosen = None, steps: Chosen = None,
) -> Change:  # fmt: skip
    r"""Make a value larger or smaller: :math:`v_t \leftarrow a v_t`.

    Args:
        factor: a, a number or a tensor that spreads over ``[time, batch, ...]``.
        units: as of :class:`recurra.Change`, like the others.
        since: as there.
        until: as there.
        rows: as there.
        steps: as there.
    """
    return Change(_number("factor", factor), 0.0, units, since, until, rows, steps)


def _number(name: str, value: Any) -> Any:
    return value if isinstance(value, Tensor) else check_not_nan(name, value)


def ablate(
    *, units: Chosen = None, since: int = 0, until: int | None = None, rows: Chosen = None,
    steps: Chosen = None,
) -> Change:  # fmt: skip
    r"""Take a value away: :math:`v_t \leftarrow 0`.

    Args:
        units: as of :class:`recurra.Change`, like the others.
        since: as there.
        until: as there.
        rows: as there.
        steps: as there.
    """
    return Change(0.0, 0.0, units, since, until, rows, steps)


def patch(
    values: Tensor, *, units: Chosen = None, since: int = 0, until: int | None = None,
    rows: Chosen = None, steps: Chosen = None,
) -> Change:  # fmt: skip
    """Put the values of another input in place of a value.

    ::

        seen = recurra.named_values(model, other)
        intervene(model, batch, {"state.h": patch(seen["state.h"], since=5)})

    Args:
        values: ``[time, batch, ...]`` as :func:`recurra.named_values` gave them of another input of
            as many steps; of one row they are of all.
        units: as of :class:`recurra.Change`, like the others.
        since: as there.
        until: as there.
        rows: as there.
        steps: as there.

    Raises:
        ShapeError: no tensor.
    """
    if not isinstance(values, Tensor):
        raise InputTypeError(
            f"values: patch: expected a tensor [time, batch, ...], got {kind_of(values)}."
        )
    return Change(0.0, values.detach(), units, since, until, rows, steps)


@dataclasses.dataclass(frozen=True, eq=False)
class Intervened:
    """What became of answers.

    Args:
        loss: mean loss of a prediction before and after; None where nothing says a loss.
        row_losses: of each row, summed, before and after ``[2, batch]``; or None.
        before: what was answered.
        after: what is answered with the changes.
        by_row: mean absolute change of the numbers of an answer ``[batch]``.
        by_step: the same of each step ``[time, batch]``, 0 at padded ones: of the answer; where it
            has no steps of what the layers gave; None where neither has some.
    """

    loss: tuple[float, float] | None
    row_losses: Tensor | None
    before: Any
    after: Any
    by_row: Tensor
    by_step: Tensor | None

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("row", "loss before", "after", "change of output", "most")]
        count = len(self.by_row)
        order = self.by_row.argsort(descending=True)[:MOST].tolist()
        for row in order:
            lost = [f"{float(n):.4f}" for n in self._losses(row)] or ["-", "-"]
            rows.append((str(row), *lost, f"{float(self.by_row[row]):.4g}", self._most(row)))
        mean = [f"{n:.4f}" for n in self.loss] if self.loss else ["-", "-"]
        rows.append(("all", *mean, f"{float(self.by_row.mean()) if count else 0.0:.4g}", ""))
        more = f"\n{count - len(order)} more rows, which change less" if count > len(order) else ""
        return aligned(rows, right=(0, 1, 2, 3)) + more

    def _losses(self, row: int) -> list[float]:
        return [] if self.row_losses is None else self.row_losses[:, row].tolist()

    def _most(self, row: int) -> str:
        if self.by_step is None or not len(self.by_step) or not bool(self.by_step[:, row].any()):
            return ""
        return f"step {int(self.by_step[:, row].argmax())}"


@torch.no_grad()
def intervene(
    model: Any,
    batch: Any,
    changes: Mapping[str, Change],
    *,
    of: nn.Module | None = None,
    loss: Loss = None,
    lengths: Any = None,
    batch_first: bool = False,
) -> Intervened:
    """Answer a batch as it is, and with values inside moved; ``print`` shows a table.

    In evaluation mode, which modules leave as they had it, and without gradients.

    Args:
        model: a :class:`recurra.models.Model`, a layer, a module, or a function of inputs.
        batch: a :class:`recurra.Batch`; of what is no model also its inputs alone.
        changes: as of :func:`recurra.changing`, by the keys of :func:`recurra.named_values`.
        of: whose cells are moved; the model itself if None.
        loss: a function of an answer and the numbers of its rows in the batch, which gives each
            row a number; that of a model and its targets if None.
        lengths: ``[batch]``, which what is no model is called with.
        batch_first: whether tensors are ``[batch, time, ...]``, of what is no model.

    Raises:
        SettingError: no such value, or a function without ``of``.
        ShapeError: a change that does not fit.
    """
    asked = Subject(model, batch, lengths=lengths, batch_first=batch_first)
    moved = asked.owner if of is None else check_module("of", of)
    with asked.asking():
        before, lost, inside = _asked_once(asked, loss)
        with changing(moved, changes):
            after, lost_after, inside_after = _asked_once(asked, loss)
        said = _said(asked, before), _said(asked, after)
        asked.check_said(lost, said[0].values if isinstance(said[0], PaddedSequence) else said[0])
        by_row, by_step = _change(*said)
        if by_step is None and inside is not None and inside_after is not None:
            by_step = _change(inside, inside_after)[1]
        losses = None if lost is None or lost_after is None else torch.stack([lost, lost_after])
        count = 1 if losses is None else predictions(asked, loss)
    mean = None if losses is None else [float(each.double().sum()) / count for each in losses]
    ends = None if mean is None else (mean[0], mean[1])
    return Intervened(ends, losses, before, after, by_row, by_step)


def _asked_once(asked: Subject, loss: Loss) -> tuple[Any, Tensor | None, Any]:
    """The answer, the loss of each row, and what the layers of a model gave."""
    with encoded(asked.model) as read:
        answer = asked.answer(asked.every)
    inside = whole_rows(read[0].outputs) if read else None
    return answer, losses_of(asked, asked.every, loss, answer), inside


def losses_of(asked: Subject, rows: Tensor, loss: Loss, answer: Any = None) -> Tensor | None:
    """The loss of each row; None where nothing says it.

    Raises:
        ShapeError: another number of losses.
    """
    if loss is not None:
        check_call("loss", loss, "a function of an answer and the numbers of its rows")
        found = loss(asked.answer(rows) if answer is None else answer, rows)
        if not isinstance(found, Tensor) or found.shape != rows.shape:
            got = list(found.shape) if isinstance(found, Tensor) else kind_of(found)
            raise ShapeError(f"loss: expected a number of each of {len(rows)} rows, got {got}.")
        return found
    return asked.row_losses(rows)


def predictions(asked: Subject, loss: Loss) -> int:
    """Predictions among which a loss is shared."""
    if loss is not None or asked.model is None:
        return max(asked.rows, 1)
    return max(int(asked.model(asked.batch).count), 1)


def _said(asked: Subject, answer: Any) -> Any:
    """The numbers of an answer: of rows, a tensor; of steps of rows, a PaddedSequence."""
    if asked.model is not None:
        return asked.model.numbers(answer, asked.batch)
    while isinstance(answer, tuple):  # of a layer what it gives at every step
        answer = answer[0] if answer else None
    if isinstance(answer, Tensor) and answer.dim() == 3:
        return asked.steps_of(answer, asked.every)
    return answer


def _change(before: Any, after: Any) -> tuple[Tensor, Tensor | None]:
    """Mean absolute change of rows ``[batch]``, and of steps ``[time, batch]`` if there are any."""
    if isinstance(before, PaddedSequence):
        lengths = before.lengths
        off = (after.to_padded() - before.to_padded()).abs()
        steps = mask_padding(off.flatten(2).mean(2) if off.dim() > 2 else off, lengths)
        return steps.sum(0) / lengths.clamp(min=1), steps
    if isinstance(before, Tensor) and before.dim():
        off = (after - before).abs()
        return off.flatten(1).mean(1) if off.dim() > 1 else off, None
    raise SettingError(
        f"intervene: expected an answer of numbers of rows, got {kind_of(before)}. Give a function "
        "that answers with a tensor [batch, ...], and the module as of=."
    )
