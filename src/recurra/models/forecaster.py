"""The forecaster: a density of the next value of a series, at every step."""

from __future__ import annotations

from typing import Any, NamedTuple, Self, cast

import pydantic
import torch
from torch import Tensor

from recurra.batch import Batch
from recurra.encoders import FrameEncoder, Frames
from recurra.heads import Distribution, Numbers, NumbersHead
from recurra.layers.settings import LayerSettings, build_layers, check_reads_on
from recurra.models.base import Model
from recurra.sections import default
from recurra.states import Tree
from recurra.twins import evaluating

__all__ = ["Forecaster", "ForecasterConfig", "ForecasterSettings", "Judged"]


class ForecasterSettings(LayerSettings):
    """What a person chooses about a forecaster.

    Args:
        distribution: what is said of a value, see :class:`recurra.NumbersHead`.
        components: of a mixture.
    """

    cell: str = "gru"
    layers: int = pydantic.Field(1, ge=1, le=1000)
    hidden_size: int = pydantic.Field(64, ge=1, le=10**6)
    distribution: Distribution = "student"
    components: int = pydantic.Field(5, ge=1, le=10**4)

    @pydantic.model_validator(mode="after")
    def _causal(self) -> Self:
        """What comes is to be said of what was."""
        check_reads_on(self, "value")
        return self

    def idle(self) -> list[tuple[str, str]]:
        """Also the number of components where nothing has some."""
        chosen = self.components != default(self, "components")
        if chosen and self.distribution != "mixture":
            return [*super().idle(), ("components", f"distribution is {self.distribution}")]
        return super().idle()


class ForecasterConfig(ForecasterSettings):
    """All that decides the shape of a forecaster.

    Args:
        channels: numbers of a step.
    """

    channels: int = pydantic.Field(ge=1, le=10**6)


class Judged(NamedTuple):
    """What a forecaster says of steps that have come.

    Args:
        surprise: minus the log density of each ``[time, batch]``, in nats; NaN where all is
            missing. A PaddedSequence if the inputs are one, like the next.
        expected: of each, before it came.
        state: what is carried on.
    """

    surprise: Any
    expected: Numbers
    state: Tree


class Forecaster(Model):
    r"""A recurrent model of series.

    .. math:: p(x_1 \dots x_n) = \prod_t p(x_t \mid x_1 \dots x_{t-1}), \qquad
        p(x_t \mid \cdot) = \prod_c p_c(x_{tc};\, W y_t + b)

    Step t reads the values before :math:`x_t`, of which each channel has a mark beside it where the
    value is missing; at first all are. y is what the layers give.

    Args:
        config: sizes and settings.

    Raises:
        SettingError: an unknown cell, a setting it does not take, or sizes that do not join.
    """

    config: ForecasterConfig

    def __init__(self, config: ForecasterConfig) -> None:
        stem = Frames(2 * config.channels, dropout=config.dropout_input or 0.0, held=config.held)
        encoder = FrameEncoder(stem, build_layers(config, stem.output_size))
        head = NumbersHead(
            encoder.output_size,
            config.channels,
            config.distribution,
            components=config.components,
            dropout=config.rate("output"),
            held=config.held,
        )
        super().__init__(encoder, head)
        self.config = config

    @property
    def numbers_head(self) -> NumbersHead:
        """What gives the densities."""
        return cast(NumbersHead, self.head)

    @torch.no_grad()
    def judge(self, batch: Batch, state: Tree = None) -> Judged:
        """What was expected of each step, and how surprising it is.

        In evaluation mode and without gradients. Whole = parts = steps.

        Args:
            batch: what is read before each step, and what comes.
            state: what an earlier call returned.
        """
        with evaluating(self):
            batch = batch.to(next(self.parameters()).device)
            read, _, state = self._read(batch, state)
            head = self.numbers_head
            return Judged(head.surprise(read, batch.targets), head.predict(read), state)

    @torch.no_grad()
    def expect(self, inputs: Tensor, state: Tree = None) -> tuple[Numbers, Tree]:
        """What is expected after each step that is read, and what is carried on.

        Args:
            inputs: ``[time, batch, 2 * channels]``, values and marks of what is missing.
            state: what an earlier call returned.
        """
        with evaluating(self):
            batch = Batch(inputs, None).to(next(self.parameters()).device)
            read, _, state = self._read(batch, state)
            return self.numbers_head.predict(read), state
