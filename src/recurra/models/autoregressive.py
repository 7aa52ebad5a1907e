"""Answers that are read again, step by step: numbers alone, or paths that are drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from recurra.encoders.steps import SeriesSteps
from recurra.heads import Point, Samples
from recurra.heads.densities import map_density
from recurra.layers import LayerOutput
from recurra.models.frames import Frame
from recurra.models.horizon import picked
from recurra.models.series_settings import SeriesModelConfig
from recurra.states import Tree, map_tree

__all__ = ["RowsRead", "drawn", "rolled"]


class RowsRead(NamedTuple):
    """Rows that were read, from which answers go on.

    Args:
        steps: what was read; each channel is a row of its own where they stand apart.
        frame: level and scale of the rows.
        outputs: of the layers ``[time, batch, size]``.
        state: of the layers.
    """

    steps: SeriesSteps
    frame: Frame
    outputs: Tensor
    state: Tree

    def repeated(self, times: int) -> RowsRead:
        """Each row so many times, beside itself, with the last of its outputs."""
        return RowsRead(
            SeriesSteps(*(part.repeat_interleave(times, 1) for part in self.steps)),
            self.frame.repeated(times),
            self.outputs[-1:].repeat_interleave(times, 1),
            map_tree(lambda leaf: leaf.repeat_interleave(times, 0), self.state),
        )


class _Model(Protocol):
    """What is asked of :class:`recurra.models.SeriesModel`."""

    @property
    def config(self) -> SeriesModelConfig: ...

    def said_after(self, read: RowsRead, origins: int) -> Any: ...

    def read_on(self, steps: SeriesSteps, frame: Frame, state: Tree) -> LayerOutput: ...

    def joined(self, density: Any, rows: int) -> Any: ...


def rolled(model: _Model, read: RowsRead, rows: int) -> Point:
    """A number alone ``[batch, horizon, channels]``, reading its own answers.

    Args:
        model: says them.
        read: what it has read.
        rows: in the batch.
    """
    said = _ahead(model, read, lambda density: density.value)
    found: Point = _joined(model, Point(torch.cat(said, 0).transpose(0, 1)), rows)
    return found


def drawn(
    model: _Model, read: RowsRead, rows: int, paths: int, generator: torch.Generator | None
) -> Samples:
    """Paths of the horizon, each step drawn from what is said after those before it.

    Args:
        model: says them.
        read: what it has read.
        rows: in the batch.
        paths: of each.
        generator: of the draws.
    """
    said = _ahead(model, read.repeated(paths), lambda density: density.sample(generator))
    values = torch.cat(said, 0).transpose(0, 1)  # [rows * paths, horizon, channels]
    values = values.view(-1, paths, *values.shape[1:]).movedim(1, -1)
    found: Samples = _joined(model, Samples(values), rows)
    return found


def _ahead(model: _Model, read: RowsRead, choose: Callable[[Any], Tensor]) -> list[Tensor]:
    """What is chosen at each step of the horizon ``[1, batch, channels]``, reading it."""
    config, now, found = model.config, read, []
    keep = max(config.season, config.rows_read or 1)
    for step in range(config.horizon):
        value = choose(model.said_after(now, 1))[:, :, 0]  # of [1, batch, 1, channels]
        found.append(value)
        if step + 1 == config.horizon:
            break
        values = torch.cat([now.steps.values[-keep:], value], 0)
        ahead = read.steps.one_ahead(value, step + 1)
        result = model.read_on(ahead, read.frame, now.state)
        steps = read.steps._replace(values=values)
        now = RowsRead(steps, read.frame, result.outputs, result.state)
    return found


def _joined(model: _Model, density: Any, rows: int) -> Any:
    """Channels beside each other again, ``[batch, horizon, channels]``."""
    return picked(model.joined(map_density(lambda part: part[None], density), rows), 0)
