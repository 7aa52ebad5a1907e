"""One number of each row of a batch, which is asked about again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from recurra.diagnosis.checked import check_choice
from recurra.diagnosis.subject import Leaves, Subject
from recurra.errors import SettingError, ShapeError, kind_of
from recurra.heads.base import Explained
from recurra.lengths import last_step
from recurra.sequences import PaddedSequence

__all__ = ["Choice", "Numbers", "Output", "numbers_of"]

Output = Callable[[Any], Tensor] | str | None
"""What of an answer is explained: a function of it, ``"loss"``, or what its head suggests."""
Choice = int | Sequence[int] | Tensor | None
"""A step or a label: the same for all rows, one of each, or what the answer itself suggests."""


Numbers = Callable[[Tensor, Leaves | None], Tensor]
"""Of rows, by their numbers, one number each."""


def numbers_of(
    asked: Subject, output: Output, step: Choice = None, label: Choice = None
) -> Numbers:
    """What is explained: a number of each of the rows that are asked about.

    Args:
        asked: a model and a batch.
        output: a function of the answer that gives ``[rows]``, or ``[rows, labels]`` of which one
            is picked; ``"loss"``; or None: see
            :func:`recurra.diagnosis.attribute`.
        step: of the answer, counted from the end where it is below 0.
        label: of the answer, or number that is said.

    Raises:
        SettingError: nothing that is known suggests itself.
    """
    step = None if step is None else check_choice("step", step, asked.rows)
    label = None if label is None else check_choice("label", label, asked.rows)
    if callable(output):
        if step is not None:
            raise SettingError("step: expected none beside a function, which says what is meant.")
        return _picked(asked, output, None, label)
    if output not in (None, "loss"):
        raise SettingError(f"output: expected a function, 'loss' or None, got {output!r}")
    told = step is not None
    found = None if output == "loss" else _first(asked, told)
    if found is None:
        if told or label is not None:
            raise SettingError(
                f"step, label: expected none of them where the loss is explained, of "
                f"{type(asked.model or asked.call).__name__}; output= may be a function of the "
                "answer."
            )
        return asked.losses
    return _picked(asked, None, step, label, named=found.labels)


def _first(asked: Subject, step: bool) -> Explained | None:
    """What is explained of the answer to all rows."""
    with torch.no_grad():
        return _table(asked, asked.answer(asked.every), asked.every, step)


def _picked(
    asked: Subject,
    function: Callable[[Any], Tensor] | None,
    step: Tensor | None,
    label: Tensor | None,
    *,
    named: bool = True,
) -> Numbers:
    """The chosen number of a table; unless told the highest, or where none is named their mean."""

    def table(rows: Tensor, leaves: Leaves | None) -> Tensor:
        answer = asked.answer(rows, leaves)
        if function is not None:
            return _each_row(function(answer), len(rows))
        found = _table(asked, answer, rows, step is not None)
        assert found is not None
        if not isinstance(found.values, PaddedSequence):
            if step is not None:
                raise SettingError("step: expected none, as the answer is one of a whole row.")
            whole: Tensor = found.values
            return whole
        if step is None and not found.last:
            return found.values.mean()
        return _at_step(found.values, None if step is None else _of(step, rows))

    if label is None and named:
        with torch.no_grad():
            whole = table(asked.every, None)
        label = whole.argmax(1) if whole.dim() > 1 else None

    def chosen(rows: Tensor, leaves: Leaves | None) -> Tensor:
        found = table(rows, leaves)
        if label is None:  # of numbers that are expected, all
            return found.reshape(len(rows), -1).mean(1) if len(rows) else found.flatten()
        if found.dim() == 1:
            raise SettingError("label: expected none, as the answer is one number of a row.")
        places = _of(label, rows).to(found.device)
        wrong = (places < 0) | (places >= found.shape[1])
        if bool(wrong.any()):
            raise ShapeError(
                f"label: expected 0 to {found.shape[1] - 1}, got {int(places[wrong][0])}."
            )
        flat = found.flatten(2).mean(2) if found.dim() > 2 else found
        return flat.gather(1, places.unsqueeze(1)).squeeze(1)

    return chosen


def _of(choice: Tensor, rows: Tensor) -> Tensor:
    """The choice of each row."""
    chosen = choice.to(rows.device)
    return chosen.expand(len(rows)) if chosen.dim() == 0 else chosen[rows]


def _table(asked: Subject, answer: Any, rows: Tensor, step: bool) -> Explained | None:
    """What is explained of an answer; None: its loss."""
    if asked.model is not None:
        return asked.model.explained(answer, step=step)
    return Explained(_of_no_model(asked, answer, rows))


def _of_no_model(asked: Subject, answer: Any, rows: Tensor) -> Any:
    """A tensor ``[rows, ...]``, or, as a PaddedSequence, steps of rows."""
    if isinstance(answer, PaddedSequence):
        return answer
    if not isinstance(answer, Tensor) or not 1 <= answer.dim() <= 3:
        got = list(answer.shape) if isinstance(answer, Tensor) else kind_of(answer)
        raise SettingError(
            f"output: of what is no Model expected an answer [batch, scores], got {got}. Say with "
            "output= which number of each row is explained, such as output=lambda a: a[0][-1, :, 3]"
        )
    if answer.dim() == 3:
        return asked.steps_of(answer, rows)
    return _each_row(answer, len(rows))


def _at_step(table: PaddedSequence, step: Tensor | None) -> Tensor:
    """The chosen step of each row, or its last."""
    if step is None:
        return last_step(table.values, table.lengths)
    at = torch.where(step < 0, table.lengths + step, step)
    wrong = (at < 0) | (at >= table.lengths)
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0])
        raise ShapeError(
            f"step: expected 0 to {int(table.lengths[row]) - 1} in row {row}, got {int(step[row])}."
        )
    return table.values[at, torch.arange(table.batch, device=at.device)]


def _each_row(found: Any, rows: int) -> Tensor:
    if not isinstance(found, Tensor) or found.dim() not in (1, 2) or len(found) != rows:
        got = list(found.shape) if isinstance(found, Tensor) else kind_of(found)
        raise ShapeError(
            f"output: expected [{rows}] or [{rows}, labels], numbers of each row, got {got}. What "
            "is explained is asked about rows again and again, so it takes any number of them."
        )
    return found
