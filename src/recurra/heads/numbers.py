"""A density of a vector at every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from recurra.errors import SettingError, ShapeError, nearest
from recurra.heads.base import Head
from recurra.heads.densities import LEAST_FREEDOM, Gaussian, GaussianMixture, Student, raw_of
from recurra.layers import LayerOutput, Projection
from recurra.sequences import PaddedSequence
from recurra.settings import check_size

__all__ = ["Distribution", "Numbers", "NumbersHead"]

Distribution = Literal["student", "gaussian", "mixture"]
"""What is said of a number: see :mod:`recurra.heads.densities`."""

_FREEDOM = 8.0  # at the start: tails a little heavier than normal ones
_KINDS: dict[str, Any] = {"student": Student, "gaussian": Gaussian, "mixture": GaussianMixture}


class Numbers(NamedTuple):
    """What is expected of the channels of a step.

    Args:
        mean: ``[time, batch, channels]``.
        deviation: the same.
        parameters: of the density, a named tuple such as :class:`recurra.heads.densities.Student`.
    """

    mean: Any
    deviation: Any
    parameters: Any


class NumbersHead(Head):
    r"""A density of the next vector at every step, each channel by itself.

    .. math:: \log p(x_t \mid y_t) = \sum_c \log p_c(x_{tc}; W y_t + b)

    It begins with about a mean of 0 and a deviation of 1. A target that is NaN is missing: it takes
    no part.

    Args:
        input_size: width of a step's output.
        channels: numbers in a vector.
        distribution: ``"student"`` (Student-t with more than 2 degrees of freedom, learned at each
            step), ``"gaussian"``, or ``"mixture"`` (of Gaussians).
        components: of a mixture.
        dropout: rate of dropout on what it reads, in training only.
        held: whether it leaves out the same elements at every step of a row.

    Raises:
        SettingError: an unknown distribution, a size below 1, or a rate out of range.
    """

    def __init__(
        self,
        input_size: int,
        channels: int,
        distribution: Distribution = "student",
        *,
        components: int = 5,
        dropout: float = 0.0,
        held: bool = False,
    ) -> None:
        super().__init__()
        if distribution not in _KINDS:
            known = nearest(str(distribution), get_args(Distribution))
            raise SettingError(f"distribution: {known}")
        self.input_size, self.channels = input_size, check_size("channels", channels)
        self.distribution, self.components = distribution, check_size("components", components)
        start = self._start()
        self._each = len(start)  # numbers that say what is said of a channel
        self.projection = Projection(input_size, channels * len(start), dropout=dropout, held=held)
        with torch.no_grad():
            self.projection.bias.copy_(torch.tensor(start).repeat(channels))

    def _start(self) -> list[float]:
        """What the parameters of a channel begin with."""
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
        """Outputs to real numbers ``[time, batch, channels * n]``, from which densities are made.

        :meth:`predict` gives these.
        """
        return self.projection(read.outputs)

    def density(self, numbers: Tensor) -> Any:
        """Densities ``[..., channels]`` of what :meth:`forward` gave, ``[..., channels * n]``."""
        wide = numbers if numbers.dtype == torch.float64 else numbers.float()
        shape = (*wide.shape[:-1], self.channels, self._each)
        return _KINDS[self.distribution].of(wide.reshape(shape))

    def score(self, predictions: Any, targets: Any) -> tuple[Tensor, int]:
        """Minus the log density in nats, summed over valid steps and channels, and their number.

        Args:
            predictions: what :meth:`forward` gave.
            targets: ``[time, batch, channels]``, NaN where a value is missing; of the two, one or
                both may be a PaddedSequence.

        Raises:
            ShapeError: other steps, rows or channels.
        """
        numbers, wanted = _beside(predictions, targets, self.channels)
        losses, known = self._losses(_valid(numbers), _valid(wanted))
        return losses.sum(), int(known.sum())

    def surprise(self, read: LayerOutput, targets: Any) -> Any:
        """Minus the log density of each step in nats, ``[time, batch]``; NaN where all is missing.

        Of a step of which some channels are missing it is that of the others.

        Args:
            read: the layer's result.
            targets: as of :meth:`score`.
        """
        numbers, wanted = _beside(self(read), targets, self.channels)
        losses, known = self._losses(_valid(numbers), _valid(wanted))
        found = losses.sum(-1).masked_fill(~known.any(-1), torch.nan)
        if isinstance(numbers, PaddedSequence):
            return numbers.with_valid(found)
        return found.view(numbers.shape[:2])

    def _losses(self, numbers: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Of each channel, 0 where it is missing, and where it is not; ``[steps, channels]``."""
        density = self.density(numbers)
        known = ~wanted.isnan()
        x = wanted.masked_fill(~known, 0).to(density.mean.dtype)
        return -density.log_density(x).masked_fill(~known, 0), known

    def predict(self, read: LayerOutput, embedding: Tensor | None = None) -> Numbers:
        """Mean, deviation and parameters of the densities, as the outputs are."""
        numbers = self(read)
        density = self.density(_valid(numbers))

        def steps(part: Tensor) -> Any:
            if isinstance(numbers, PaddedSequence):
                return numbers.with_valid(part)
            return part.view(*numbers.shape[:2], *part.shape[1:])

        kept = density._make(steps(part) for part in density)
        return Numbers(steps(density.mean), steps(density.deviation), kept)

    def quantile(self, read: LayerOutput, share: float) -> Any:
        """Below which so great a share of the density lies, ``[time, batch, channels]``.

        Raises:
            SettingError: a share that is not between 0 and 1.
        """
        return self._of_steps(read, lambda density: density.quantile(share))

    def cdf(self, read: LayerOutput, x: Any) -> Any:
        """How probable a value of at most ``x`` is, ``[time, batch, channels]``.

        Args:
            read: the layer's result.
            x: numbers of that shape; of the two, one or both may be a PaddedSequence.
        """
        numbers, wanted = _beside(self(read), x, self.channels)
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
        """What is said of how many channels."""
        of = f", components={self.components}" if self.distribution == "mixture" else ""
        return f"channels={self.channels}, {self.distribution}{of}"


def _valid(values: Any) -> Tensor:
    """Steps that are there, ``[steps, ...]``."""
    found: Tensor = values.valid() if isinstance(values, PaddedSequence) else values.flatten(0, 1)
    return found


def _beside(numbers: Any, targets: Any, channels: int) -> tuple[Any, Any]:
    """Both tensors, or both with the lengths that either knows."""
    shape = [*_shape(numbers)[:2], channels]
    padded = [each for each in (targets, numbers) if isinstance(each, PaddedSequence)]
    same = len(padded) < 2 or torch.equal(padded[0].lengths, padded[1].lengths)
    if _shape(targets) != shape or not same:
        told = "" if same else " with other lengths"
        raise ShapeError(
            f"NumbersHead: expected targets {shape}, [time, batch, channels], got "
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
