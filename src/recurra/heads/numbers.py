"""What is said of numbers at every step: a density, a set of quantiles, or one number."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn import functional

from recurra.errors import SettingError, ShapeError, nearest
from recurra.heads.base import Explained, Head, Shown, whole_rows
from recurra.heads.densities import (
    LEAST_FREEDOM,
    Gaussian,
    GaussianMixture,
    NegativeBinomial,
    Point,
    Poisson,
    Quantiles,
    Student,
    map_density,
    raw_of,
)
from recurra.layers import LayerOutput, Projection
from recurra.sequences import PaddedSequence
from recurra.settings import check_size

__all__ = [
    "COUNTS",
    "POINTS",
    "SHARES",
    "Distribution",
    "Numbers",
    "NumbersHead",
    "between_means",
    "losses_of",
]

Distribution = Literal[
    "student",
    "gaussian",
    "mixture",
    "negative-binomial",
    "poisson",
    "quantiles",
    "squared",
    "absolute",
    "huber",
]
"""What is said of a number: a density (see :mod:`recurra.heads.densities`), quantiles, or the
number alone, fitted by its squared or absolute error, or by Huber's."""

COUNTS = ("negative-binomial", "poisson")
"""Densities of whole numbers from 0 on."""
POINTS = ("squared", "absolute", "huber")
"""Losses of a number alone."""
SHARES = (0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975)
"""Of the quantiles."""

_FREEDOM = 8.0  # at the start: tails a little heavier than normal ones
_KINDS: dict[str, Any] = {
    "student": Student,
    "gaussian": Gaussian,
    "mixture": GaussianMixture,
    "negative-binomial": NegativeBinomial,
    "poisson": Poisson,
} | dict.fromkeys(POINTS, Point)


class Numbers(NamedTuple):
    """What is expected of the numbers of a step.

    Args:
        mean: ``[time, batch, *shape]``.
        deviation: the same.
        parameters: of the density, a named tuple such as :class:`recurra.heads.densities.Student`.
    """

    mean: Any
    deviation: Any
    parameters: Any


class NumbersHead(Head):
    r"""What numbers come, said at every step: of each by itself.

    .. math:: \log p(x_t \mid y_t) = \sum_c \log p_c(x_{tc}; W y_t + b)

    It begins with about a mean of 0 and a deviation of 1. A target that is NaN is missing: it takes
    no part. The loss of a density is minus its logarithm in nats; of quantiles the mean of their
    pinball losses, twice; of a number alone :math:`(x - m)^2`, :math:`|x - m|`, or Huber's with
    :math:`\delta = 1`.

    Args:
        input_size: width of a step's output.
        shape: of the numbers: how many, or several axes, as ``(24, 3)`` for 24 steps ahead of 3
            channels.
        distribution: ``"student"`` (Student-t with more than 2 degrees of freedom, learned at each
            step), ``"gaussian"``, ``"mixture"`` (of Gaussians), ``"negative-binomial"`` or
            ``"poisson"`` (of counts), ``"quantiles"``, or one number: ``"squared"``,
            ``"absolute"``, ``"huber"``.
        components: of a mixture.
        dropout: rate of dropout on what it reads, in training only.
        held: whether it leaves out the same elements at every step of a row.

    Raises:
        SettingError: an unknown distribution, a size below 1, or a rate out of range.
    """

    def __init__(
        self,
        input_size: int,
        shape: int | Sequence[int],
        distribution: Distribution = "student",
        *,
        components: int = 5,
        dropout: float = 0.0,
        held: bool = False,
    ) -> None:
        super().__init__()
        if distribution not in get_args(Distribution):
            known = nearest(str(distribution), get_args(Distribution))
            raise SettingError(f"distribution: {known}")
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
        self.shape = tuple(check_size("shape", size) for size in sizes)
        self.input_size = input_size
        self.distribution, self.components = distribution, check_size("components", components)
        start = self._start()
        self.each = len(start)  # numbers that say what is said of one
        count = math.prod(self.shape)
        self.projection = Projection(input_size, count * self.each, dropout=dropout, held=held)
        with torch.no_grad():
            self.projection.bias.copy_(torch.tensor([*start] * count))

    def _start(self) -> list[float]:
        """What the parameters of a number begin with."""
        if self.distribution in POINTS:
            return [0.0]
        if self.distribution == "quantiles":
            return Quantiles.normal(SHARES)
        if self.distribution == "poisson":
            return [raw_of(1.0)]
        if self.distribution == "negative-binomial":
            return [raw_of(1.0), raw_of(0.5)]
        if self.distribution == "gaussian":
            return [0.0, raw_of(1.0)]
        if self.distribution == "student":
            narrower = ((_FREEDOM - 2) / _FREEDOM) ** 0.5
            return [0.0, raw_of(narrower), raw_of(_FREEDOM, LEAST_FREEDOM)]
        count = self.components  # apart from each other, or they would learn the same
        means = [2.0 * (k + 0.5) / count - 1 for k in range(count)]
        spread = 1 - sum(mean**2 for mean in means) / count
        return [0.0] * count + means + [raw_of(spread**0.5)] * count

    def forward(self, read: LayerOutput, embedding: Tensor | None = None) -> Any:
        """Outputs to real numbers ``[time, batch, n]``, from which densities are made.

        :meth:`predict` gives these.
        """
        return self.projection(read.outputs)

    def density(self, numbers: Tensor) -> Any:
        """Densities ``[..., *shape]`` of what :meth:`forward` gave, ``[..., n]``."""
        wide = numbers if numbers.dtype == torch.float64 else numbers.float()
        parts = wide.reshape(*wide.shape[:-1], *self.shape, self.each)
        if self.distribution == "quantiles":
            return Quantiles.of(parts, SHARES)
        return _KINDS[self.distribution].of(parts)

    def losses(self, density: Any, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Of each number, 0 where it is missing, and where it is not.

        Args:
            density: as of :meth:`density`, perhaps moved.
            targets: of its shape; NaN is missing.
        """
        return losses_of(self.distribution, density, targets)

    def score(self, predictions: Any, targets: Any) -> tuple[Tensor, int]:
        """The losses of all numbers that are there, summed, and how many these are.

        Args:
            predictions: what :meth:`forward` gave.
            targets: ``[time, batch, *shape]``, NaN where a value is missing; of the two, one or
                both may be a PaddedSequence.

        Raises:
            ShapeError: other steps, rows or numbers.
        """
        numbers, wanted = _beside(predictions, targets, self.shape)
        losses, known = self.losses(self.density(_valid(numbers)), _valid(wanted))
        return losses.sum(), int(known.sum())

    def row_losses(self, predictions: Any, targets: Any) -> Tensor:
        """Of each row, as :meth:`score` sums them; arguments as there."""
        numbers, wanted = map(whole_rows, _beside(predictions, targets, self.shape))
        losses, _ = self.losses(self.density(numbers.valid()), wanted.valid())
        return numbers.with_valid(losses.flatten(1).sum(1)).to_padded().sum(0)

    def numbers(self, answer: Numbers, targets: Any = None) -> PaddedSequence:
        """Means at every step."""
        return whole_rows(answer.mean)

    def explained(self, answer: Numbers, *, step: bool = False) -> Explained:
        """Means at every step."""
        return Explained(whole_rows(answer.mean), labels=False)

    def show(self, read: LayerOutput, targets: Any, embedding: Tensor | None = None) -> Shown:
        """Means of each step, and its loss."""
        said, wanted = _beside(self.predict(read, embedding).mean, targets, self.shape)
        return Shown(*map(whole_rows, (said, wanted, self.surprise(read, targets))))

    def surprise(self, read: LayerOutput, targets: Any) -> Any:
        """The loss of each step, ``[time, batch]``; NaN where all is missing.

        Of a step of which some numbers are missing it is that of the others.

        Args:
            read: the layer's result.
            targets: as of :meth:`score`.
        """
        numbers, wanted = _beside(self(read), targets, self.shape)
        losses, known = self.losses(self.density(_valid(numbers)), _valid(wanted))
        found = losses.flatten(1).sum(-1).masked_fill(~known.flatten(1).any(-1), torch.nan)
        if isinstance(numbers, PaddedSequence):
            return numbers.with_valid(found)
        return found.view(numbers.shape[:2])

    def predict(self, read: LayerOutput, embedding: Tensor | None = None) -> Numbers:
        """Mean, deviation and parameters of the densities, as the outputs are."""
        numbers = self(read)
        density = self.density(_valid(numbers))

        def steps(part: Tensor) -> Any:
            if isinstance(numbers, PaddedSequence):
                return numbers.with_valid(part)
            return part.view(*numbers.shape[:2], *part.shape[1:])

        kept = map_density(steps, density)
        return Numbers(steps(density.mean), steps(density.deviation), kept)

    def teach(self, read: LayerOutput, embedding: Tensor | None = None) -> Any:
        """Means, ``[time, batch, *shape]``: of a density of any kind."""
        return self.predict(read, embedding).mean

    def distilled(
        self, predictions: Any, taught: Sequence[Any], targets: Any, temperature: float
    ) -> Tensor:
        """Squares of what lies between means, summed over numbers that are there; T is not used.

        Args:
            predictions: what :meth:`forward` gave.
            taught: means of each teacher, of which the mean is taken.
            targets: as of :meth:`score`.
            temperature: of labels.
        """
        numbers, wanted = _beside(predictions, targets, self.shape)
        means = [_valid(_beside(numbers, mean, self.shape)[1]) for mean in taught]
        return between_means(self.density(_valid(numbers)).mean, means, _valid(wanted))

    def quantile(self, read: LayerOutput, share: float) -> Any:
        """Below which so great a share of the density lies, ``[time, batch, *shape]``.

        Raises:
            SettingError: a share that is not between 0 and 1.
        """
        return self._of_steps(read, lambda density: density.quantile(share))

    def cdf(self, read: LayerOutput, x: Any) -> Any:
        """How probable a value of at most ``x`` is, ``[time, batch, *shape]``.

        Args:
            read: the layer's result.
            x: numbers of that shape; of the two, one or both may be a PaddedSequence.
        """
        numbers, wanted = _beside(self(read), x, self.shape)
        found = self.density(_valid(numbers)).cdf(_valid(wanted))
        if isinstance(numbers, PaddedSequence):
            return numbers.with_valid(found)
        return found.view(numbers.shape[:2] + found.shape[1:])

    def _of_steps(self, read: LayerOutput, ask: Callable[[Any], Tensor]) -> Any:
        numbers = self(read)
        if isinstance(numbers, PaddedSequence):
            return numbers.map(lambda valid: ask(self.density(valid)))
        return ask(self.density(numbers))

    def extra_repr(self) -> str:
        """What is said of how many numbers."""
        of = f", components={self.components}" if self.distribution == "mixture" else ""
        sizes = self.shape[0] if len(self.shape) == 1 else self.shape
        return f"shape={sizes}, {self.distribution}{of}"


def losses_of(distribution: str, density: Any, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Of each number the loss (see :class:`NumbersHead`), 0 if it is missing, and if it is not.

    Args:
        distribution: what is said.
        density: which says it.
        targets: of its shape; NaN is missing.
    """
    known = ~targets.isnan()
    x = targets.masked_fill(~known, 0).to(density.mean.dtype)
    if distribution == "squared":
        found = (x - density.mean).square()
    elif distribution == "absolute":
        found = (x - density.mean).abs()
    elif distribution == "huber":
        found = functional.huber_loss(density.mean, x, reduction="none")
    elif distribution == "quantiles":
        found = density.pinball(x)
    else:
        found = -density.log_density(x)
    return found.masked_fill(~known, 0), known


def between_means(mean: Tensor, taught: Sequence[Tensor], targets: Tensor) -> Tensor:
    """Squared distance to the mean of what teachers expect, summed where a target is no NaN.

    Raises:
        ShapeError: a teacher expects numbers of another shape.
    """
    for other in taught:
        if other.shape != mean.shape:
            raise ShapeError(
                f"distil.teacher: expected means {list(mean.shape)}, as the student's, got "
                f"{list(other.shape)}."
            )
    known = ~targets.isnan()
    wanted = torch.stack([other[known] for other in taught]).mean(0)
    return (mean[known] - wanted).square().sum()


def _valid(values: Any) -> Tensor:
    """Steps that are there, ``[steps, ...]``."""
    found: Tensor = values.valid() if isinstance(values, PaddedSequence) else values.flatten(0, 1)
    return found


def _beside(numbers: Any, targets: Any, sizes: Sequence[int]) -> tuple[Any, Any]:
    """Both tensors, or both with the lengths that either knows."""
    shape = [*_shape(numbers)[:2], *sizes]
    padded = [each for each in (targets, numbers) if isinstance(each, PaddedSequence)]
    same = len(padded) < 2 or torch.equal(padded[0].lengths, padded[1].lengths)
    if _shape(targets) != shape or not same:
        told = "" if same else " with other lengths"
        raise ShapeError(
            f"NumbersHead: expected targets {shape}, [time, batch, *shape], got "
            f"{_shape(targets)}{told}."
        )
    if not padded:
        return numbers, targets
    lengths = padded[0].lengths

    def with_lengths(each: Any) -> PaddedSequence:
        return each if isinstance(each, PaddedSequence) else PaddedSequence(each, lengths)

    return with_lengths(numbers), with_lengths(targets)


def _shape(values: Any) -> list[int]:
    return list((values.values if isinstance(values, PaddedSequence) else values).shape)
