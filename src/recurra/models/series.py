"""The forecaster: what the next steps of a series hold, said at every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from recurra.batch import Batch
from recurra.encoders import FrameEncoder, Frames, Stem
from recurra.encoders.steps import GappedSteps, SeriesSteps, StepVectors, beside_channels
from recurra.errors import SettingError
from recurra.heads import Numbers, NumbersHead, Point
from recurra.heads.base import Explained, Shown, whole_rows
from recurra.heads.densities import map_density
from recurra.heads.numbers import COUNTS, POINTS, between_means
from recurra.layers import LayerOutput
from recurra.layers.settings import build_layers
from recurra.models.autoregressive import RowsRead, drawn, rolled
from recurra.models.base import Model, Scored
from recurra.models.frames import Frame, frame_of, spread_of, surroundings
from recurra.models.horizon import KnownAhead, PatchesAhead, check_targets, next_of, picked
from recurra.models.intervals import LEVELS, RANKS, widened
from recurra.models.series_settings import SeriesModelConfig
from recurra.states import Tree, map_tree
from recurra.twins import evaluating

__all__ = ["Judged", "SeriesModel"]


class Judged(NamedTuple):
    """What a forecaster says of steps that have come.

    Args:
        surprise: minus the log density of each ``[time, batch]``, in nats; NaN where all is
            missing.
        expected: of each, ``[time, batch, channels]``, before it came.
        state: what is carried on.
    """

    surprise: Any
    expected: Numbers
    state: Tree


class SeriesModel(Model):
    r"""A recurrent model of series.

    .. math:: p(x_{t+1} \dots x_{t+h} \mid x_1 \dots x_t) = \prod_{k, c} p_{kc}(x_{t+k,c};
        s_{c}\,(W_k y_t + V g(A y_t + B u_{t+k}) + L z) + l_{kc})

    y are the outputs of the layers over :math:`z = (x - l) / s` with marks of what is missing, and
    over what else is read; u is what is known ahead of the step that is said, l and s are the level
    and the scale of the row, L the linear map if there is one. Step by step (``autoregressive``) h
    is 1, and z goes on with what was drawn.

    Args:
        config: sizes and settings.

    Raises:
        SettingError: an unknown cell, a setting it does not take, or sizes that do not join.
    """

    config: SeriesModelConfig
    widening: Tensor
    ranks: Tensor

    def __init__(self, config: SeriesModelConfig) -> None:
        together = 1 if config.apart else config.channels
        categories = [*config.categories, *([config.channels] if config.apart else [])]
        parallel = config.decoding == "parallel"
        ahead = [*config.ahead, *([parallel] if config.apart else [])]
        vectors = StepVectors(
            channels=together,
            past=config.past,
            known=config.known,
            categories=categories,
            ahead=ahead,
            embedding_size=config.embedding_size,
            forward=config.missing == "forward",
        )
        gapped = config.cell == "grud"
        stem: Stem = (
            GappedSteps(vectors, gaps=config.gaps)
            if gapped
            else Frames(
                vectors.output_size,
                stride=config.patch,
                filters=config.filters,
                dropout=config.dropout_input or 0.0,
                held=config.held,
            )
        )
        encoder = FrameEncoder(stem, build_layers(config, stem.output_size, gapped=gapped))
        said = {"direct": config.horizon, "parallel": config.patch}.get(config.decoding, 1)
        head = NumbersHead(
            encoder.output_size,
            (said, together),
            config.distribution,
            components=config.components,
            dropout=config.rate("output"),
            held=config.held,
        )
        super().__init__(encoder, head)
        self.config, self.vectors = config, vectors
        self.said = 1 if config.decoding == "autoregressive" else config.horizon
        self.ahead: PatchesAhead | None = None
        if parallel:
            self.ahead = PatchesAhead(
                config.horizon, config.patch, vectors.future_size, stem.output_size
            )
        self.future: nn.Module | None = None
        if config.decoding == "direct" and vectors.future_size:
            self.future = KnownAhead(encoder.output_size, vectors.future_size, together * head.each)
        self.linear: nn.Linear | None = None
        if config.linear and config.rows_read is not None:
            self.linear = nn.Linear(config.rows_read, self.said)
            nn.init.zeros_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)
        shape = config.horizon, config.channels
        self.register_buffer("widening", torch.zeros(len(LEVELS), *shape))
        self.register_buffer("ranks", torch.full((RANKS, *shape), torch.nan))

    @property
    def numbers_head(self) -> NumbersHead:
        """What gives the densities."""
        return cast(NumbersHead, self.head)

    @property
    def rolls(self) -> bool:
        """Whether it is trained on what comes of reading its own answers."""
        config = self.config
        points = config.decoding == "autoregressive" and config.distribution in POINTS
        return points and config.look_back is not None

    # ---- scores ----------------------------------------------------------------------------------

    def forward(self, batch: Batch, state: Tree = None) -> Scored:
        """Score the targets ``[origins, batch, steps, channels]``; NaN is missing.

        The last ``origins`` steps (or patches) of the inputs are those after which they come.
        """
        losses, known, state = self.losses(batch, state)
        return Scored(losses.sum(), int(known.sum()), state)

    def losses(self, batch: Batch, state: Tree = None) -> tuple[Tensor, Tensor, Tree]:
        """Of each target, 0 where it is missing; where it is not; and what is carried on."""
        wanted = batch.targets[:, :, : self.said]
        if self.rolls:
            read = self.read(batch.inputs, state, batch.resets)
            density, state = rolled(self, read, batch.inputs.values.shape[1]), read.state
            check_targets(density, batch.targets[-1])
            losses, known = self.numbers_head.losses(density, batch.targets[-1])
            return losses[None], known[None], state
        density, state = self.densities(batch.inputs, len(wanted), state, batch.resets)
        check_targets(density, wanted)
        return (*self.numbers_head.losses(density, wanted), state)

    @torch.no_grad()
    def teach(self, batch: Batch, state: Tree = None) -> tuple[Tensor, Tree]:
        """Means ``[origins, batch, steps, channels]``, in the units of what is read."""
        with evaluating(self):
            density, state = self.densities(batch.inputs, len(batch.targets), state, batch.resets)
            return density.mean, state

    def check_teacher(self, teacher: Model) -> None:
        """Also whether both say as many steps at a time, from what came alone."""
        super().check_teacher(teacher)
        assert isinstance(teacher, SeriesModel)
        if self.rolls or self.said != teacher.said:
            raise SettingError(
                f"distil.teacher: expected student and teacher to say {self.said} steps at a time, "
                f"and not to be trained on their own answers, got model.decoding "
                f"{self.config.decoding!r} and {teacher.config.decoding!r}"
            )

    def distilled(
        self, batch: Batch, state: Tree, taught: Sequence[Any], temperature: float
    ) -> tuple[Scored, Tensor]:
        """As of :class:`recurra.models.Model`: squared distance of means; T is not used."""
        wanted = batch.targets[:, :, : self.said]
        density, state = self.densities(batch.inputs, len(wanted), state, batch.resets)
        check_targets(density, wanted)
        losses, known = self.numbers_head.losses(density, wanted)
        soft = between_means(density.mean, taught, wanted)
        return Scored(losses.sum(), int(known.sum()), state), soft

    def densities(
        self, steps: SeriesSteps, origins: int, state: Tree = None, resets: Tensor | None = None
    ) -> tuple[Any, Tree]:
        """What is said after each of the last ``origins`` steps, and what is carried on.

        Returns:
            densities ``[origins, batch, steps, channels]``.
        """
        read = self.read(steps, state, resets)
        if self.ahead is not None:
            density = self._patches(read.steps, read.state)
            density = self._outward(density, read.steps, read.frame, 1)
        else:
            density = self.said_after(read, origins)
        return self.joined(density, steps.values.shape[1]), read.state

    def read(
        self, steps: SeriesSteps, state: Tree = None, resets: Tensor | None = None
    ) -> RowsRead:
        """Read rows, from which answers go on.

        Args:
            steps: ``[time, batch, ...]``.
            state: what is carried on.
            resets: where rows begin anew.
        """
        steps, resets = self._spread(steps, resets)
        frame = self._frame(steps.values)
        read = self.read_on(steps, frame, state, resets)
        return RowsRead(steps, frame, read.outputs, read.state)

    def read_on(
        self, steps: SeriesSteps, frame: Frame, state: Tree, resets: Tensor | None = None
    ) -> LayerOutput:
        """What the layers give of further steps of rows whose frame is known."""
        vectors = self.vectors(steps, frame.inward(steps.values))
        found: LayerOutput = self.encoder(vectors, state, None, resets)
        return found

    def _patches(self, steps: SeriesSteps, state: Tree) -> Any:
        """All patches of the horizon, each a step from a state ``[1, batch, steps, channels]``."""
        assert self.ahead is not None
        vectors = self.ahead(self.vectors.future(steps)[-1])  # [batch, patches, size]
        rows, count = vectors.shape[:2]
        begun = map_tree(lambda leaf: leaf.repeat_interleave(count, 0), state)
        read = cast(FrameEncoder, self.encoder).layer(vectors.flatten(0, 1)[None], begun)
        density = self.numbers_head.density(self.numbers_head(read))

        def joined(part: Tensor) -> Tensor:
            found = torch.unflatten(part, 1, (rows, count)).flatten(2, 3)
            return found[:, :, : self.config.horizon]

        return map_density(joined, density)

    def _spread(
        self, steps: SeriesSteps, resets: Tensor | None
    ) -> tuple[SeriesSteps, Tensor | None]:
        """Each channel as a row of its own, where they stand apart."""
        if not self.config.apart:
            return steps, resets
        channels = self.config.channels
        marks = None if resets is None else resets.repeat_interleave(channels, 1)
        return beside_channels(steps), marks

    def joined(self, density: Any, rows: int) -> Any:
        """Channels beside each other again, ``[..., batch, steps, channels]``."""
        if not self.config.apart:
            return density

        def join(part: Tensor) -> Tensor:
            found = torch.unflatten(part, 1, (rows, self.config.channels))
            return found.transpose(2, 3).squeeze(4)  # [origins, batch, steps, channels, ...]

        return map_density(join, density)

    def _frame(self, values: Tensor) -> Frame:
        read = self.config.rows_read or 0
        counts = self.config.distribution in COUNTS
        return frame_of(values[:read] if read else values[:0], self.config.normalize, counts)

    def intervals(self, density: Any, levels: Sequence[float]) -> list[tuple[Tensor, Tensor]]:
        """Between what a value lies with such probabilities, ``[batch, horizon, channels]`` each.

        As wide as :attr:`widening` says, see :func:`recurra.models.intervals.widened`; counts are
        never below 0.

        Args:
            density: as of :meth:`forecast`.
            levels: above 0 and below 1.
        """
        found = widened(density, self.widening, levels)
        if self.config.distribution in COUNTS:
            return [(low.clamp(min=0), high) for low, high in found]
        return found

    def interval(self, density: Any, level: float) -> tuple[Tensor, Tensor]:
        """The one of :meth:`intervals`."""
        return self.intervals(density, [level])[0]

    def said_after(self, read: RowsRead, origins: int) -> Any:
        """Densities after the last steps, in the units of what is read."""
        head, outputs = self.numbers_head, read.outputs[-origins:]
        numbers = head(LayerOutput(outputs, outputs[-1:], None))
        if self.future is not None:
            more = self.future(outputs, self.vectors.future(read.steps))
            numbers = numbers + more.flatten(2)
        return self._outward(head.density(numbers), read.steps, read.frame, origins)

    def _outward(self, density: Any, steps: SeriesSteps, frame: Frame, origins: int) -> Any:
        """With the level and the scale of the rows, the linear map, and what widths go by."""
        moved = self._moved(density, steps, frame, origins)
        if isinstance(moved, Point) and self.config.rows_read is not None and not self.training:
            spread = spread_of(steps.values[: self.config.rows_read])
            return moved._replace(unit=spread[None, :, None].expand_as(moved.value))
        return moved

    def _moved(self, density: Any, steps: SeriesSteps, frame: Frame, origins: int) -> Any:
        config = self.config
        if frame.plain and self.linear is None and config.around == "level":
            return density
        level = surroundings(
            steps.values, frame, config.around, origins, self.said, config.patch, config.season
        )
        if self.linear is not None:
            width = self.linear.in_features
            inward = frame.inward(steps.values).nan_to_num(0.0)
            windows = inward.unfold(0, width, config.patch)[
                -origins:
            ]  # [k, batch, channels, width]
            level = level + frame.scale[None, :, None] * self.linear(windows).transpose(2, 3)
        shift = None if config.distribution in COUNTS else level
        return density.moved(shift, frame.scale[None, :, None])

    @torch.no_grad()
    def show(self, batch: Batch) -> Shown:
        """What is expected after the last step ``[rows, steps, channels]``, beside what came."""
        with evaluating(self):
            batch = batch.to(next(self.parameters()).device)
            losses, known, _ = self.losses(batch)
            said = self.answer(batch).mean
        wanted = batch.targets[-1][:, : said.shape[1]]
        nats = losses[-1].sum((1, 2)) / known[-1].sum((1, 2)).clamp(min=1)
        return Shown(said.cpu(), wanted.cpu(), nats.cpu())

    # ---- answers ---------------------------------------------------------------------------------

    def row_losses(self, batch: Batch) -> Tensor:
        """The loss of each row, of all numbers that are there."""
        return self.losses(batch)[0].sum((0, 2, 3))

    def numbers(self, answer: Any, batch: Batch) -> Any:
        """What is expected ``[batch, steps, channels]``."""
        return answer.mean

    def explained(self, answer: Any, *, step: bool = False) -> Explained:
        """What is expected; unless a step is told, of all that are ahead."""
        return Explained(whole_rows(answer.mean.transpose(0, 1)), labels=False, last=False)

    def answer(self, batch: Batch) -> Any:
        """A density of what is said after the last step ``[batch, steps, channels]``.

        With gradients; of a model that reads its own answers the next step alone.
        """
        return picked(self.densities(batch.inputs, 1, None, batch.resets)[0], 0)

    @torch.no_grad()
    def forecast(
        self,
        steps: SeriesSteps,
        state: Tree = None,
        *,
        paths: int = 100,
        generator: torch.Generator | None = None,
    ) -> tuple[Any, Tree]:
        """What comes after the last step that is read.

        In evaluation mode and without gradients.

        Args:
            steps: ``[time, batch, ...]``.
            state: what an earlier call returned.
            paths: that are drawn where a density goes step by step.
            generator: of these.

        Returns:
            a density ``[batch, horizon, channels]`` (:class:`recurra.heads.Samples` where it was
            drawn), and what is carried on.
        """
        with evaluating(self):
            device = next(self.parameters()).device
            steps = SeriesSteps(*(part.to(device) for part in steps))
            if self.config.decoding != "autoregressive":
                density, state = self.densities(steps, 1, state)
                return picked(density, 0), state
            read, rows = self.read(steps, state), steps.values.shape[1]
            if self.config.distribution in POINTS:
                return rolled(self, read, rows), read.state
            return drawn(self, read, rows, paths, generator), read.state

    @torch.no_grad()
    def judge(self, batch: Batch, state: Tree = None) -> Judged:
        """What was expected of each step, and how surprising it is.

        In evaluation mode and without gradients. Whole = parts = steps.

        Args:
            batch: what is read before each step, and what comes, ``[time, batch, steps,
                channels]``, of which the first step counts.
            state: what an earlier call returned.
        """
        with evaluating(self):
            batch = batch.to(next(self.parameters()).device)
            found, state = self.densities(batch.inputs, len(batch.targets), state, batch.resets)
            density = next_of(found)
            losses, known = self.numbers_head.losses(density, batch.targets[:, :, 0])
            surprise = losses.sum(-1).masked_fill(~known.any(-1), torch.nan)
            return Judged(surprise, Numbers(density.mean, density.deviation, density), state)

    @torch.no_grad()
    def expect(self, steps: SeriesSteps, state: Tree = None) -> tuple[Numbers, Tree]:
        """What is expected of the next value after each step that is read, and what is carried on.

        Args:
            steps: ``[time, batch, ...]``.
            state: what an earlier call returned.
        """
        with evaluating(self):
            device = next(self.parameters()).device
            steps = SeriesSteps(*(part.to(device) for part in steps))
            found, state = self.densities(steps, len(steps.values), state)
            density = next_of(found)
            return Numbers(density.mean, density.deviation, density), state
