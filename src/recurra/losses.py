"""Losses over lengths, and the one rule of how they are reduced.

A loss has one value for each valid step. What becomes of them is the same for every loss:

============  ======================================================================
reduction     result
============  ======================================================================
``"mean"``    sum over valid steps / number of valid steps (0 if there is none)
``"sum"``     sum over valid steps
``"rows"``    sum over each row's steps, then the mean over rows (an empty row counts 0)
``"none"``    the values themselves, a PaddedSequence ``[time, batch]``
============  ======================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from recurra.engine.projected_loss import can_project, fused_cross_entropy
from recurra.errors import ShapeError, kind_of
from recurra.sequences import PaddedSequence

__all__ = [
    "Reduction",
    "absolute_error",
    "cross_entropy",
    "divergence",
    "projected_cross_entropy",
    "reduce",
    "squared_error",
]

Reduction = Literal["mean", "sum", "rows", "none"]
"""How losses over steps become one number, or stay apart."""
Sequenced = PaddedSequence | Tensor
_NEVER_IGNORED = torch.iinfo(torch.int64).min  # torch would leave out -100 without a word


def cross_entropy(
    logits: Sequenced,
    targets: Sequenced,
    *,
    lengths: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Any:
    r"""Cross-entropy in nats: :math:`-\log\,\mathrm{softmax}(z_t)[y_t]` at each valid step.

    Args:
        logits: ``[time, batch, classes]``, a tensor or a PaddedSequence.
        targets: class numbers ``[time, batch]``, integers.
        lengths: beside tensors only.
        reduction: see :mod:`recurra.losses`.

    Raises:
        ShapeError: sizes or lengths of the two differ; lengths beside a PaddedSequence; a target
            that is no class.
    """

    def each(z: Tensor, y: Tensor, how: str = "none") -> Tensor:
        if y.is_floating_point() or y.dtype == torch.bool:
            raise ShapeError(f"cross_entropy: expected whole numbers as targets, got {y.dtype}.")
        try:
            return functional.cross_entropy(z, y.long(), ignore_index=_NEVER_IGNORED, reduction=how)
        except IndexError:
            wrong = y[(y < 0) | (y >= z.shape[1])]
            raise ShapeError(
                f"cross_entropy: expected targets 0 to {z.shape[1] - 1}, got {int(wrong[0])}."
            ) from None

    if (
        lengths is None
        and reduction in ("sum", "mean")
        and isinstance(logits, Tensor)
        and isinstance(targets, Tensor)
        and logits.dim() == 3
        and logits.shape[:2] == targets.shape
        and targets.numel()
    ):  # every step is valid: a quarter less time for a small vocabulary
        return each(logits.flatten(0, 1), targets.flatten(), reduction)
    return _over_lengths(each, logits, targets, lengths, reduction, element_axes=1)


def projected_cross_entropy(
    features: Sequenced,
    weight: Tensor,
    bias: Tensor | None,
    targets: Sequenced,
    *,
    lengths: Tensor | None = None,
) -> Tensor:
    r"""Cross-entropy of ``W x + b`` in nats, summed over valid steps.

    The same as :func:`cross_entropy` of a linear layer's scores. On a CPU, where there are more
    labels than features, no tensor of all scores is kept: products, softmax and gradients are
    computed for a block of labels at a time.

    Args:
        features: ``[time, batch, h]``, a tensor or a PaddedSequence.
        weight: ``[classes, h]``.
        bias: ``[classes]``, or None.
        targets: class numbers ``[time, batch]``, integers.
        lengths: beside tensors only.

    Raises:
        ShapeError: as :func:`cross_entropy`.
    """
    given, wanted = _pair(features, targets, lengths, element_axes=1)
    x, y = given.valid(), wanted.valid()
    _check_projection(x, weight, bias)
    if y.is_floating_point() or y.dtype == torch.bool:
        raise ShapeError(
            f"projected_cross_entropy: expected whole numbers as targets, got {y.dtype}."
        )
    y = y.long()
    if y.numel() and (int(y.min()) < 0 or int(y.max()) >= len(weight)):
        wrong = y[(y < 0) | (y >= len(weight))]
        raise ShapeError(
            f"projected_cross_entropy: expected targets 0 to {len(weight) - 1}, got "
            f"{int(wrong[0])}."
        )
    if can_project(x, weight, bias):
        return fused_cross_entropy(x, weight, bias, y)
    scores = functional.linear(x, weight, bias)
    return functional.cross_entropy(scores, y, ignore_index=_NEVER_IGNORED, reduction="sum")


def divergence(scores: Tensor, taught: Sequence[Tensor], temperature: float = 1.0) -> Tensor:
    r"""How far labels are from those of teachers, summed over all rows, in nats.

    .. math::

        T^2\,\mathrm{KL}(p \,\|\, \mathrm{softmax}(z / T)), \qquad
        p = \frac1n \sum_i \mathrm{softmax}(z_i / T)

    T² keeps its gradient as large as that of a cross-entropy (Hinton, Vinyals & Dean 2015). None
    reaches the teachers.

    Args:
        scores: z, ``[..., labels]``.
        taught: the scores of each teacher, of the same shape.
        temperature: T.

    Raises:
        ShapeError: a teacher has other rows or labels.
    """
    for other in taught:
        if other.shape != scores.shape:
            raise ShapeError(
                f"distil.teacher: expected scores {list(scores.shape)}, as the student's, got "
                f"{list(other.shape)}."
            )
    with torch.no_grad():
        every = [(_wide(other) / temperature).softmax(-1) for other in taught]
        wanted = every[0] if len(every) == 1 else torch.stack(every).mean(0)
    said = (_wide(scores) / temperature).log_softmax(-1)
    return temperature**2 * functional.kl_div(said, wanted, reduction="sum")


def _wide(scores: Tensor) -> Tensor:
    """At least float32: a softmax of bfloat16 is coarse."""
    return scores if scores.dtype == torch.float64 else scores.float()


def _check_projection(x: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Weight and bias must fit rows of features."""
    for name, tensor in (("weight", weight), ("bias", bias)):
        if not isinstance(tensor, Tensor) and (name == "weight" or tensor is not None):
            raise ShapeError(
                f"projected_cross_entropy: expected a tensor as {name}, got {kind_of(tensor)}."
            )
        mixed = torch.is_autocast_enabled(x.device.type)
        if (
            not mixed
            and tensor is not None
            and (tensor.dtype, tensor.device) != (x.dtype, x.device)
        ):
            raise ShapeError(
                f"projected_cross_entropy: expected a {name} of {x.dtype} on {x.device}, like the "
                f"features, got {tensor.dtype} on {tensor.device}."
            )
    if weight.dim() != 2 or weight.shape[1] != x.shape[-1]:
        raise ShapeError(
            f"projected_cross_entropy: expected a weight [classes, {x.shape[-1]}], as wide as the "
            f"features, got {list(weight.shape)}."
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(
            f"projected_cross_entropy: expected a bias [{len(weight)}], one number a class, got "
            f"{list(bias.shape)}."
        )


def squared_error(
    predictions: Sequenced,
    targets: Sequenced,
    *,
    lengths: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Any:
    r""":math:`(\hat y_t - y_t)^2` at each valid step, averaged over the element's own axes.

    Args:
        predictions: ``[time, batch, ...]``, a tensor or a PaddedSequence.
        targets: of the same shape.
        lengths: beside tensors only.
        reduction: see :mod:`recurra.losses`.

    Raises:
        ShapeError: sizes or lengths of the two differ; lengths beside a PaddedSequence.
    """

    def each(a: Tensor, b: Tensor) -> Tensor:
        return _over_elements((_real(a) - _real(b)).square())

    return _over_lengths(each, predictions, targets, lengths, reduction, element_axes=0)


def absolute_error(
    predictions: Sequenced,
    targets: Sequenced,
    *,
    lengths: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Any:
    r""":math:`|\hat y_t - y_t|` at each valid step, averaged over the element's own axes.

    Arguments, result and errors are those of :func:`squared_error`.
    """

    def each(a: Tensor, b: Tensor) -> Tensor:
        return _over_elements((_real(a) - _real(b)).abs())

    return _over_lengths(each, predictions, targets, lengths, reduction, element_axes=0)


def reduce(losses: PaddedSequence, reduction: Reduction) -> Any:
    """Apply the rule of reduction to one loss for each step, ``[time, batch]``.

    Raises:
        ShapeError: an unknown reduction.
    """
    if reduction == "none":
        return losses.masked()
    if reduction == "mean":
        return losses.valid().sum() / max(losses.count, 1)
    if reduction == "sum":
        return losses.valid().sum()
    if reduction == "rows":
        return losses.sum().sum() / max(losses.batch, 1)
    raise ShapeError(f"reduction: expected 'mean', 'sum', 'rows' or 'none', got {reduction!r}")


def _over_lengths(
    each: Callable[[Tensor, Tensor], Tensor],
    predictions: Sequenced,
    targets: Sequenced,
    lengths: Tensor | None,
    reduction: Reduction,
    element_axes: int,
) -> Any:
    """``each`` on the valid elements of both, then the rule."""
    given, wanted = _pair(predictions, targets, lengths, element_axes)
    values = each(given.valid(), wanted.valid())
    return reduce(given.with_valid(values), reduction)


def _pair(
    predictions: Sequenced, targets: Sequenced, lengths: Tensor | None, element_axes: int
) -> tuple[PaddedSequence, PaddedSequence]:
    """Both with the same lengths, checked against each other."""
    given, wanted = _sequence(predictions, lengths), _sequence(targets, lengths)
    if isinstance(predictions, PaddedSequence) != isinstance(targets, PaddedSequence):
        # One of the two knows the lengths; the other is read with them.
        known = given if isinstance(predictions, PaddedSequence) else wanted
        given = PaddedSequence(given.values, known.lengths)
        wanted = PaddedSequence(wanted.values, known.lengths)
    got, want = given.values.shape, wanted.values.shape
    if got[: len(got) - element_axes] != want:
        raise ShapeError(
            f"loss: predictions are {list(got)} and targets {list(want)}; expected "
            + ("[time, batch, classes] and [time, batch]." if element_axes else "equal shapes.")
        )
    if not torch.equal(given.lengths, wanted.lengths):
        raise ShapeError("loss: predictions and targets have different lengths; they must agree.")
    return given, wanted


def _sequence(values: Sequenced, lengths: Tensor | None) -> PaddedSequence:
    if not isinstance(values, PaddedSequence | Tensor):
        raise ShapeError(
            f"loss: expected a tensor or a PaddedSequence, got {type(values).__name__}."
        )
    if not isinstance(values, PaddedSequence):
        return PaddedSequence.from_padded(values, lengths)
    if lengths is not None:
        raise ShapeError("lengths: given beside a PaddedSequence, which has its own; leave out.")
    return values


def _real(values: Tensor) -> Tensor:
    """Whole numbers as torch's default float, before they can overflow in a difference."""
    if values.is_complex():
        raise ShapeError(f"loss: expected real numbers, got {values.dtype}.")
    return values if values.is_floating_point() else values.to(torch.get_default_dtype())


def _over_elements(values: Tensor) -> Tensor:
    """Mean over all axes but the first."""
    return values.flatten(1).mean(1) if values.dim() > 1 else values
