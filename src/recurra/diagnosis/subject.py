"""What is looked into: a model, module or function at work on a batch."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra.batch import Batch
from recurra.cells.base import cells_of
from recurra.diagnosis.changed import leaves_of, steps_of, values_of
from recurra.diagnosis.checked import check_call, check_finite, check_module
from recurra.engine.keys import Key
from recurra.errors import InputTypeError, SettingError, ShapeError, kind_of
from recurra.heads import DecoderHead
from recurra.heads.base import whole_rows
from recurra.layers import LayerOutput
from recurra.lengths import check_lengths, valid_mask
from recurra.models import Model
from recurra.sequences import PaddedSequence
from recurra.settings import check_flag, check_number
from recurra.states import rebuild
from recurra.twins import evaluating, hooked, set_for_a_while

__all__ = [
    "InputLeaf",
    "Leaves",
    "Ran",
    "Subject",
    "called",
    "check_subject",
    "encoded",
    "is_state",
    "subject_of",
]

_CUDNN = (
    "cudnn",
    lambda: torch.backends.cudnn.enabled,
    lambda value: torch.backends.cudnn.set_flags(_enabled=value),  # type: ignore[no-untyped-call]
)
_LAYER = re.compile(r"encoder\.layer\.layers\.(\d+)(?:\.(forward|backward)_layer)?\.cell")


Leaves = Mapping[int, Any]
"""What stands in place of some of the inputs' leaves, by number."""


class InputLeaf(NamedTuple):
    """A tensor, or a PaddedSequence, of what is read.

    Args:
        name: where it stands in the inputs.
        value: of all rows.
    """

    name: str
    value: Any


class Ran(NamedTuple):
    """What one call gave.

    Args:
        outputs: of the topmost recurrent layer, ``[time, batch, ...]``.
        total: sum of the losses.
        count: number of predictions.
        last: each row's own last output, where that is no part of ``outputs``; else None.
        lengths: how many outputs each row has, ``[batch]``; None if all are whole. Rows and steps
            may be others than those of the inputs, where an encoder leaves out steps or reads each
            channel by itself.
    """

    outputs: Tensor
    total: Tensor
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody needs here
    last: Tensor | None = None
    lengths: Tensor | None = None

    @property
    def ends(self) -> Tensor:
        """How many outputs each row has, ``[batch]``."""
        time, rows = self.outputs.shape[:2]
        return torch.full((rows,), time) if self.lengths is None else self.lengths.cpu()

    @property
    def valid(self) -> Tensor:
        """Which outputs are there, bool ``[time, batch]``."""
        return valid_mask(self.ends, self.outputs.shape[0])


class Subject:
    """A model at work on a batch: run as a whole, or asked about any of its rows.

    Args:
        call: a :class:`recurra.models.Model`; else anything that is called with the inputs: a
            layer, a module, a function of a user, which takes any number of rows.
        batch: a :class:`recurra.Batch`; of what is no model also its inputs alone.
        lengths: of the rows ``[batch]``, which a call that is no model gets as ``lengths=``.
        batch_first: whether tensors are ``[batch, time, ...]``, of what is no model.
        loss: of outputs and targets of what is no model, one number, the mean over predictions.
        reference: the mean loss of one that knows nothing; that of a model's head if None.

    Raises:
        InputTypeError: nothing to call, or no batch.
        ShapeError: lengths or ``batch_first`` beside a model.
    """

    def __init__(
        self,
        call: Any,
        batch: Any,
        *,
        lengths: Any = None,
        batch_first: bool = False,
        loss: Callable[[Tensor, Any], Tensor] | None = None,
        reference: float | None = None,
    ) -> None:
        if not callable(call) or isinstance(call, type):
            raise InputTypeError(
                f"model: expected a model or something to call, got {kind_of(call)}."
            )
        check_flag("batch_first", batch_first)
        if loss is not None:
            check_call("loss", loss, "a function of outputs and targets")
        if reference is not None:
            check_number("reference", reference)
        self.model = call if isinstance(call, Model) else None
        if self.model is not None and (lengths is not None or batch_first):
            raise ShapeError(
                "lengths, batch_first: expected none of them beside a Model, whose batch says it: "
                "a PaddedSequence has its lengths."
            )
        owner = call if isinstance(call, nn.Module) else getattr(call, "__self__", None)
        self.module = owner if isinstance(owner, nn.Module) else None
        self.call, self.axis = call, 0 if batch_first else 1
        self._loss, self._reference = loss, reference
        if not isinstance(batch, Batch):
            if self.model is not None:
                raise InputTypeError(
                    f"batch: expected a recurra.Batch beside a Model, got {kind_of(batch)}."
                )
            batch = Batch(batch, None, input_axis=self.axis)
        names = getattr(getattr(self.model, "encoder", None), "names", ())
        if names and type(batch.inputs) is tuple and len(names) == len(batch.inputs):
            batch = dataclasses.replace(batch, inputs=_named(batch.inputs, names))
        device = None if self.module is None else _device(self.module)
        self.batch = batch if device is None else batch.to(device)
        every = list(leaves_of(self.batch.inputs, self.batch.input_axis))
        self.leaves = [InputLeaf(name, value) for name, value, _ in every]
        first = next(((value, axis) for _, value, axis in every if value is not None), None)
        self.rows, time = _sizes(first, self.batch.inputs)
        self.lengths = None if lengths is None else check_lengths(lengths, time, self.rows, device)
        for leaf in self.leaves:
            self._check_leaf(leaf, nan=True)

    def _check_leaf(self, leaf: InputLeaf, *, nan: bool) -> None:
        if not isinstance(leaf.value, Tensor | PaddedSequence):
            return
        values, lengths = values_of(leaf.value), self.lengths
        if isinstance(leaf.value, PaddedSequence):
            lengths = leaf.value.lengths
        elif not self.axis and values.dim() > 1:
            values = values.transpose(0, 1)
        valid = None if lengths is None else valid_mask(lengths, len(values))
        check_finite(f"batch: {leaf.name}", values, valid, nan=nan)

    def check_said(self, *said: Any) -> None:
        """Where an answer is no number because of what is read, say so.

        What is missing may stand as NaN in what a model reads, so that by itself it is no error.

        Raises:
            ShapeError: an answer that is not finite, of inputs that are not.
        """
        numbers = [each for each in said if isinstance(each, Tensor) and each.is_floating_point()]
        if not all(bool(each.isfinite().all()) for each in numbers):
            for leaf in self.leaves:
                self._check_leaf(leaf, nan=False)

    @property
    def every(self) -> Tensor:
        """Numbers of all rows."""
        return torch.arange(self.rows, device=values_of(self.leaves[0].value).device)

    def steps_of(self, answer: Tensor, rows: Tensor) -> PaddedSequence:
        """What a call that is no model answers at every step, of these rows."""
        steps = answer if self.axis else answer.transpose(0, 1)
        if self.lengths is None:
            return whole_rows(steps)
        return PaddedSequence(steps, self.lengths[rows])

    @property
    def owner(self) -> nn.Module:
        """The module whose cells are looked into.

        Raises:
            SettingError: it is a function, which does not say.
        """
        if self.module is None:
            raise SettingError(
                "of: expected of=, the module whose cells are looked into, beside a function."
            )
        return self.module

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Evaluation mode, and gradients even where cuDNN gives none of such a model."""
        with evaluating(self.module), set_for_a_while([_CUDNN], False):
            yield

    @property
    def reference(self) -> float | None:
        """The mean loss of one that knows nothing, or None."""
        known = None if self.model is None else self.model.head.reference
        return known if self._reference is None else self._reference

    def run(self, batch: Batch) -> Ran:
        """Outputs and loss of a batch like the own one, in the mode in which the module is."""
        if self.model is not None:
            return _of_model(self.model, batch)
        assert self._loss is not None
        return _of_module(self.call, batch, self._loss)

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


def subject_of(
    model: nn.Module,
    batch: Batch,
    loss: Callable[[Tensor, Any], Tensor] | None = None,
    reference: float | None = None,
) -> Subject:
    """A subject that can be run: a model, or any module that reads sequences, with its loss.

    Args:
        model: a :class:`recurra.models.Model`; or a layer or module that gives outputs ``[time,
            batch, ...]``, alone or as the first of a tuple, which needs a ``loss``.
        batch: what it reads.
        loss: of outputs and targets of a module, the mean over predictions.
        reference: the mean loss of one that knows nothing; that of a model's head if None.

    Raises:
        ShapeError: a batch without steps, or something that is no batch or no module.
    """
    check_module("model", model, "a model or layer")
    if not isinstance(batch, Batch):
        raise InputTypeError(f"batch: expected a recurra.Batch, got {kind_of(batch)}.")
    if isinstance(model, Model) and not hasattr(model, "head"):
        raise ShapeError(
            f"model: there is no recurrent layer to look into in a {type(model).__name__}."
        )
    if loss is None and not isinstance(model, Model):
        raise ShapeError(
            "loss: expected loss=, a function of outputs and targets, beside a module that is no "
            f"recurra model ({type(model).__name__}), got none."
        )
    found = Subject(model, batch, loss=loss, reference=reference)
    steps_of(batch)
    return found


def check_subject(subject: Any) -> Subject:
    """What :func:`subject_of` gave.

    Raises:
        InputTypeError: anything else.
    """
    if not isinstance(subject, Subject):
        raise InputTypeError(
            f"subject: expected what subject_of(model, batch) gives, got {kind_of(subject)}."
        )
    return subject


def _sizes(first: tuple[Any, int] | None, inputs: Any) -> tuple[int, int]:
    """Rows and steps of the first thing that is read."""
    value, axis = (None, 0) if first is None else first
    if isinstance(value, PaddedSequence):
        return value.batch, len(value.values)
    if not isinstance(value, Tensor):
        got = kind_of(inputs if value is None else value)
        raise InputTypeError(
            f"batch: expected a recurra.Batch, or inputs: a tensor, a PaddedSequence or a tuple of "
            f"these, got {'no inputs' if inputs is None else got}."
        )
    if value.dim() <= axis:
        wanted = "[time, batch, ...]" if axis else "[batch, ...]"
        raise ShapeError(f"batch: expected inputs {wanted}, got {list(value.shape)}.")
    return value.shape[axis], value.shape[1 - axis] if value.dim() > 1 else 0


@contextmanager
def encoded(model: Model | None) -> Iterator[list[LayerOutput]]:
    """What a model's layers give meanwhile, of their calls in order; nothing of no model.

    They are those of its encoder; where that has no cells, as one of pictures, a decoder's.
    """
    found: list[LayerOutput] = []
    if model is None:
        yield found
        return
    layers: nn.Module = model.encoder
    if isinstance(model.head, DecoderHead) and not any(cells_of(layers)):
        layers = model.head.layers
    with hooked([layers], lambda _, given, result: found.append(result)):
        yield found


def _of_model(model: Model, batch: Batch) -> Ran:
    with encoded(model) as read:
        scored = model(batch)
    outputs, last = read[0].outputs, read[0].last
    values = values_of(outputs)
    inside = last is not None and last.requires_grad and values.requires_grad
    (found,) = (
        torch.autograd.grad(last.sum(), values, allow_unused=True, retain_graph=True)
        if inside
        else (values,)
    )
    lengths = outputs.lengths if isinstance(outputs, PaddedSequence) else None
    return Ran(values, scored.total, scored.count, last if found is None else None, lengths)


def _of_module(module: nn.Module, batch: Batch, loss: Callable[[Tensor, Any], Tensor]) -> Ran:
    said = module(batch.inputs)
    outputs = said[0] if isinstance(said, tuple) else said
    lengths = outputs.lengths if isinstance(outputs, PaddedSequence) else None
    total = loss(outputs, batch.targets)
    if not isinstance(total, Tensor) or total.numel() != 1:
        got = list(total.shape) if isinstance(total, Tensor) else kind_of(total)
        raise ShapeError(f"loss: expected a function that gives one number, a tensor, got {got}.")
    values, rows = values_of(outputs), len(steps_of(batch)[1])
    if values.dim() < 3 or values.shape[1] != rows:
        raise ShapeError(
            f"model: expected outputs [time, batch={rows}, ...], got {list(values.shape)}: give "
            "the outputs of every step, and choose among them in loss="
        )
    return Ran(values, total.reshape(()), 1, None, lengths)


def _named(inputs: tuple[Any, ...], names: Sequence[str]) -> tuple[Any, ...]:
    """The same tuple, whose fields have any names, as those of columns are."""
    own = {"_fields": tuple(names), "_make": classmethod(lambda kind, parts: kind(parts))}
    found: tuple[Any, ...] = type("Inputs", (tuple,), own)(inputs)
    return found


def _device(module: nn.Module) -> torch.device | None:
    one = next(module.parameters(), None)
    return None if one is None else one.device


def is_state(key: Key, value: Tensor, ran: Ran) -> bool:
    """Is a named value a state of a cell that takes the steps of the outputs?"""
    same = value.shape[:2] == ran.outputs.shape[:2]
    return key.label.startswith("state.") and value.is_floating_point() and same


def called(place: str) -> str:
    """A cell's place in words: which layer from below, and in which direction it reads.

    >>> called("encoder.layer.layers.0.backward_layer.cell: forget gate")
    'layer 1 backward: forget gate'
    """
    cell, colon, rest = place.partition(": ")
    found = _LAYER.fullmatch(cell)
    if found is None:
        return f"{cell or 'the cell'}{colon}{rest}"
    direction = f" {found[2]}" if found[2] else ""
    return f"layer {int(found[1]) + 1}{direction}{colon}{rest}"
