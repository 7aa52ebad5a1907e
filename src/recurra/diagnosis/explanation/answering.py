"""Rows of a batch, asked again and again: what is answered, one number of each row, its loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra.batch import Batch
from recurra.errors import InputTypeError, SettingError, ShapeError, kind_of
from recurra.heads.base import Explained, whole_rows
from recurra.lengths import last_step
from recurra.models import Model
from recurra.sequences import PaddedSequence
from recurra.states import rebuild
from recurra.twins import evaluating

__all__ = ["Asked", "Choice", "InputLeaf", "Leaves", "Numbers", "Output", "numbers_of"]

Output = Callable[[Any], Tensor] | str | None
"""What of an answer is explained: a function of it, ``"loss"``, or what its head suggests."""
Choice = int | Tensor | None
"""A step or a label: the same for all rows, one of each, or what the answer itself suggests."""


Leaves = Mapping[int, Any]
"""What stands in place of some of the inputs' leaves, by number."""
Numbers = Callable[[Tensor, Leaves | None], Tensor]
"""Of rows, by their numbers, one number each."""


class InputLeaf(NamedTuple):
    """A tensor, or a PaddedSequence, of what is read.

    Args:
        name: where it stands in the inputs.
        value: of all rows.
    """

    name: str
    value: Any


class Asked:
    """Something that can be asked about any rows of a batch, in evaluation mode.

    Args:
        call: a :class:`recurra.models.Model`; else anything that is called with the inputs: a
            layer, a module, a function of a user, which takes any number of rows.
        batch: a :class:`recurra.Batch`; of what is no model also its inputs alone.
        lengths: of the rows ``[batch]``, which a call that is no model gets as ``lengths=``.
        batch_first: whether tensors are ``[batch, time, ...]``, of what is no model.

    Raises:
        InputTypeError: nothing to call, or no batch.
        ShapeError: lengths or ``batch_first`` beside a model.
    """

    def __init__(
        self, call: Any, batch: Any, *, lengths: Any = None, batch_first: bool = False
    ) -> None:
        if not callable(call):
            raise InputTypeError(f"expected a model or something to call, got {kind_of(call)}.")
        self.model = call if isinstance(call, Model) else None
        if self.model is not None and (lengths is not None or batch_first):
            raise ShapeError(
                "lengths, batch_first: expected none of them beside a Model, whose batch says it: "
                "a PaddedSequence has its lengths."
            )
        owner = call if isinstance(call, nn.Module) else getattr(call, "__self__", None)
        self.module = owner if isinstance(owner, nn.Module) else None
        self.call, self.axis = call, 0 if batch_first else 1
        if not isinstance(batch, Batch):
            batch = Batch(batch, None, input_axis=self.axis)
        device = None if self.module is None else _device(self.module)
        self.batch = batch if device is None else batch.to(device)
        self.leaves = list(_leaves(self.batch.inputs))
        if not self.leaves:
            raise InputTypeError(f"inputs: expected a tensor, got {kind_of(batch.inputs)}.")
        self.rows = self._rows()
        given = None if lengths is None else torch.as_tensor(lengths, dtype=torch.int64)
        self.lengths = given if given is None or device is None else given.to(device)

    def _rows(self) -> int:
        value, axis = self.leaves[0].value, self.batch.input_axis
        axis = axis[0] if isinstance(axis, tuple) else axis
        return int(value.batch if isinstance(value, PaddedSequence) else value.shape[axis])

    @property
    def every(self) -> Tensor:
        """Numbers of all rows."""
        value = self.leaves[0].value
        device = (value.values if isinstance(value, PaddedSequence) else value).device
        return torch.arange(self.rows, device=device)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Evaluation mode, and gradients even where cuDNN gives none of such a model."""
        with evaluating(self.module), torch.backends.cudnn.flags(enabled=False):
            yield

    def some(self, rows: Tensor, leaves: Leaves | None = None) -> Batch:
        """Rows of the batch, in any order and as often as wanted.

        Args:
            rows: their numbers.
            leaves: of these rows, in place of those of the batch, by number.
        """
        part: Batch = self.batch.part(lambda size: rows)
        if not leaves:
            return part
        counted = iter(range(len(self.leaves)))

        def walk(value: Any) -> Any:
            if isinstance(value, tuple):
                return rebuild(value, [walk(each) for each in value])
            number = next(counted)
            return leaves.get(number, value)

        return Batch(
            walk(part.inputs), part.targets, part.resets, part.context, part.input_axis,
            part.target_axis,
        )  # fmt: skip

    def answer(self, rows: Tensor, leaves: Leaves | None = None) -> Any:
        """What is answered to rows.

        Args:
            rows: as of :meth:`some`, like the other.
            leaves: as of :meth:`some`.
        """
        some = self.some(rows, leaves)
        if self.model is not None:
            return self.model.answer(some)
        if self.lengths is not None:
            return self.call(some.inputs, lengths=self.lengths[rows])
        return self.call(some.inputs)

    def row_losses(self, rows: Tensor, leaves: Leaves | None = None) -> Tensor | None:
        """The loss of each row, summed over what it predicts, ``[rows]``; None if nothing says it.

        Args:
            rows: as of :meth:`some`, like the other.
            leaves: as of :meth:`some`.
        """
        if self.model is None or self.batch.targets is None:
            return None
        return self.model.row_losses(self.some(rows, leaves))

    def losses(self, rows: Tensor, leaves: Leaves | None = None) -> Tensor:
        """As :meth:`row_losses`.

        Raises:
            SettingError: no model, no targets, or a head that does not say the loss of a row.
        """
        found = self.row_losses(rows, leaves)
        if found is None:
            got = kind_of(self.call) if self.model is None else "no targets"
            if self.model is not None and self.batch.targets is not None:
                got = f"{type(self.model.head).__name__}, which has no row_losses of its own"
            raise SettingError(
                f"loss: expected a Model and a batch with targets, got {got}. Say with output= "
                "which number of each row is meant."
            )
        return found


def _leaves(value: Any, name: str = "input") -> Iterator[InputLeaf]:
    if isinstance(value, tuple):
        fields = getattr(value, "_fields", None) or [f"{name} {n}" for n in range(len(value))]
        for field, each in zip(fields, value, strict=True):
            yield from _leaves(each, field)
    else:
        yield InputLeaf(name, value)


def _device(module: nn.Module) -> torch.device | None:
    one = next(module.parameters(), None)
    return None if one is None else one.device


# ---- one number of each row ----------------------------------------------------------------------


def numbers_of(asked: Asked, output: Output, step: Choice = None, label: Choice = None) -> Numbers:
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


def _first(asked: Asked, step: bool) -> Explained | None:
    """What is explained of the answer to all rows."""
    with torch.no_grad():
        return _table(asked, asked.answer(asked.every), asked.rows, step)


def _picked(
    asked: Asked,
    function: Callable[[Any], Tensor] | None,
    step: Choice,
    label: Choice,
    *,
    named: bool = True,
) -> Numbers:
    """The chosen number of a table; unless told the highest, or where none is named their mean."""

    def table(rows: Tensor, leaves: Leaves | None) -> Tensor:
        answer = asked.answer(rows, leaves)
        if function is not None:
            return _each_row(function(answer), len(rows))
        found = _table(asked, answer, len(rows), step is not None)
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


def _of(choice: int | Tensor, rows: Tensor) -> Tensor:
    """The choice of each row."""
    chosen = torch.as_tensor(choice, device=rows.device)
    return chosen.expand(len(rows)) if chosen.dim() == 0 else chosen[rows]


def _table(asked: Asked, answer: Any, rows: int, step: bool) -> Explained | None:
    """What is explained of an answer; None: its loss."""
    if asked.model is not None:
        return asked.model.explained(answer, step=step)
    return Explained(_of_no_model(asked, answer, rows))


def _of_no_model(asked: Asked, answer: Any, rows: int) -> Any:
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
        return whole_rows(answer if asked.axis else answer.transpose(0, 1))
    return _each_row(answer, rows)


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
