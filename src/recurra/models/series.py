"""The forecaster: what the next steps of a series hold, said at every step."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Self, cast

import pydantic
import torch
from torch import Tensor, nn

from recurra.batch import Batch
from recurra.encoders import FrameEncoder, Frames, Stem
from recurra.encoders.steps import GappedSteps, SeriesSteps, StepVectors, beside_channels
from recurra.errors import ShapeError
from recurra.heads import (
    Distribution,
    Gaussian,
    Numbers,
    NumbersHead,
    Point,
    Quantiles,
    Samples,
    Student,
)
from recurra.heads.numbers import COUNTS, POINTS
from recurra.heads.quick import quick_quantile
from recurra.layers import LayerOutput
from recurra.layers.settings import LayerSettings, build_layers, check_reads_on
from recurra.models.base import Model, Scored
from recurra.models.frames import Around, Frame, Normalize, frame_of, surroundings
from recurra.sections import contradiction, default
from recurra.states import Tree, map_tree
from recurra.twins import evaluating

__all__ = ["LEVELS", "RANKS", "Judged", "SeriesModel", "SeriesModelConfig", "SeriesModelSettings"]

LEVELS = (0.2, 0.4, 0.6, 0.8, 0.9, 0.95)
"""Of intervals whose width is corrected by what was seen on a part that was not trained on."""


RANKS = 64
"""Stretches of the part that chose of which is kept how probable what came there was."""


class SeriesModelSettings(LayerSettings):
    """What a person chooses about a forecaster.

    Args:
        distribution: what is said of a value, see :class:`recurra.NumbersHead`.
        components: of a mixture.
        decoding: ``"direct"`` says all steps of the horizon at once, of what the layers give;
            ``"parallel"`` has them go one more step for each patch of the horizon, all from where
            they are, with its number and what is known of it (Lin et al. 2023), and says the patch
            of what they give then; ``"autoregressive"`` says the
            next one, and reads what it said to say the one after. Then a density is trained by the
            chain rule and used by drawing from it, path by path; a number alone is trained as it is
            used, on what comes of reading its own answers.
        filters: numbers that a map of them makes of a patch; None for no such map.
        normalize: by what of the steps that are read a row is shifted and scaled, and what is said
            of it is shifted and scaled back: ``"none"``, where a state is carried; else
            ``"standard"`` (of counts ``"mean"``) unless said: ``"last"`` value, not scaled;
            ``"mean"`` and mean of the sizes; mean and deviation (``"standard"``); or median and
            spread of the middle half (``"robust"``).
        around: what forecasts are said as differences from: the ``"level"`` that the row is shifted
            by, the ``"last"`` value, or that of one ``"season"`` ago; the season where one is
            read, else the last value, unless said.
        linear: whether a linear map of all that is read stands beside the layers (Lai et al. 2018);
            where no state is carried, unless said.
        apart: whether each channel is a series of its own, read by the same layers.
        missing: what is read where a value is missing: 0 (``"mark"``), or the last that was there
            (``"forward"``, where no state is carried); a mark stands beside both.
        embedding_size: of the vector of a category, at most.
    """

    cell: str = "gru"
    layers: int = pydantic.Field(1, ge=1, le=1000)
    hidden_size: int = pydantic.Field(64, ge=1, le=10**6)
    distribution: Distribution = "student"
    components: int = pydantic.Field(5, ge=1, le=10**4)
    decoding: Literal["direct", "parallel", "autoregressive"] = "direct"
    filters: int | None = pydantic.Field(None, ge=1, le=10**6)
    normalize: Normalize | Literal["auto"] = "auto"
    around: Around | Literal["auto"] = "auto"
    linear: bool | Literal["auto"] = "auto"
    apart: bool = False
    missing: Literal["mark", "forward"] = "mark"
    embedding_size: int = pydantic.Field(8, ge=1, le=10**6)

    @pydantic.model_validator(mode="after")
    def _fits(self) -> Self:
        """What comes is to be said of what was; and what excludes what."""
        check_reads_on(self, "value")
        if self.decoding == "autoregressive" and self.distribution == "quantiles":
            why = "no path can be drawn from quantiles (model.decoding)"
            raise contradiction(self, "distribution", why, "a density or a single number")
        if self.distribution in COUNTS:
            counts = f"model.distribution={self.distribution} says whole numbers from 0 on"
            for name in ("linear", "around"):
                if getattr(self, name) not in ("auto", False, "level"):
                    raise contradiction(self, name, counts, "it to be left out")
            if self.normalize not in ("auto", "none", "mean"):
                raise contradiction(self, "normalize", counts, "'mean' or 'none'")
        return self

    def idle(self) -> list[tuple[str, str]]:
        """Also what says something about what is not there."""
        found = super().idle()
        if self.components != default(self, "components") and self.distribution != "mixture":
            found.append(("components", f"distribution is {self.distribution}"))
        return found


class SeriesModelConfig(SeriesModelSettings):
    """All that decides the shape of a forecaster.

    Args:
        channels: numbers of a step that are to be said.
        horizon: steps that are said.
        look_back: steps that are read; None where the state is carried on from the first.
        patch: steps that are read together as one.
        season: steps of one.
        past: numbers of a step that are known up to now.
        known: those that are known ahead.
        categories: how many each of the categories has.
        ahead: which of these are known ahead.
        gaps: whether the first of ``past`` is the time since the step before.
    """

    channels: int = pydantic.Field(ge=1, le=10**6)
    horizon: int = pydantic.Field(1, ge=1, le=10**6)
    look_back: int | None = pydantic.Field(None, ge=1, le=10**7)
    patch: int = pydantic.Field(1, ge=1, le=10**6)
    season: int = pydantic.Field(1, ge=1, le=10**6)
    past: int = pydantic.Field(0, ge=0, le=10**6)
    known: int = pydantic.Field(0, ge=0, le=10**6)
    categories: list[int] = pydantic.Field(default_factory=list)
    ahead: list[bool] = pydantic.Field(default_factory=list)
    gaps: bool = False

    normalize: Normalize = "none"
    around: Around = "level"
    linear: bool = False

    @classmethod
    def of(cls, settings: SeriesModelSettings, **sizes: Any) -> Self:
        """With what is left to the data settled.

        Args:
            settings: what a person chose.
            sizes: the rest.
        """
        counts = settings.distribution in COUNTS
        reads, season = sizes.get("look_back"), sizes.get("season", 1)
        around = "level" if counts or reads is None else "last"
        if around == "last" and 1 < season <= reads:
            around = "season"
        usual = {
            "normalize": "none" if reads is None else "mean" if counts else "standard",
            "around": around,
            "linear": reads is not None and not counts,
        }
        chosen = settings.model_dump()
        chosen |= {name: usual[name] for name in usual if chosen[name] == "auto"}
        return cls(**chosen, **sizes)

    @property
    def rows_read(self) -> int | None:
        """Steps of a row that has one origin: whole patches."""
        return None if self.look_back is None else -(-self.look_back // self.patch) * self.patch


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
        self.ahead: _Ahead | None = None
        if parallel:
            self.ahead = _Ahead(config.horizon, config.patch, vectors.future_size, stem.output_size)
        self.future: nn.Module | None = None
        if config.decoding == "direct" and vectors.future_size:
            self.future = _Future(encoder.output_size, vectors.future_size, together * head.each)
        self.linear: nn.Linear | None = None
        if config.linear and config.rows_read is not None:
            self.linear = nn.Linear(config.rows_read, self.said)
            nn.init.zeros_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)
        sizes = config.horizon, config.channels
        self.register_buffer("widening", torch.zeros(len(LEVELS), *sizes))
        self.register_buffer("ranks", torch.full((RANKS, *sizes), torch.nan))

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
            density, state = self._roll(batch.inputs, state, resets=batch.resets)
            _check_targets(density, batch.targets[-1])
            losses, known = self.numbers_head.losses(density, batch.targets[-1])
            return losses[None], known[None], state
        density, state = self.densities(batch.inputs, len(wanted), state, batch.resets)
        _check_targets(density, wanted)
        return (*self.numbers_head.losses(density, wanted), state)

    def densities(
        self, steps: SeriesSteps, origins: int, state: Tree = None, resets: Tensor | None = None
    ) -> tuple[Any, Tree]:
        """What is said after each of the last ``origins`` steps, and what is carried on.

        Returns:
            densities ``[origins, batch, steps, channels]``.
        """
        rows = steps.values.shape[1]
        steps, resets = self._spread(steps, resets)
        frame = self._frame(steps.values)
        read = self.encoder(self._vectors(steps, frame), state, None, resets)
        if self.ahead is not None:
            density = self._patches(steps, read.state)
            density = self._outward(density, steps, frame, 1)
        else:
            density = self._said(read.outputs[-origins:], steps, frame, origins)
        return self._joined(density, rows), read.state

    def _patches(self, steps: SeriesSteps, state: Tree) -> Any:
        """All patches of the horizon, each a step from a state ``[1, batch, steps, channels]``."""
        assert self.ahead is not None
        vectors = self.ahead(self.vectors.future(steps)[-1])  # [batch, patches, size]
        rows, count = vectors.shape[:2]
        begun = map_tree(lambda leaf: leaf.repeat_interleave(count, 0), state)
        read = cast(FrameEncoder, self.encoder).layer(vectors.flatten(0, 1)[None], begun)
        density = self.numbers_head.density(self.numbers_head(read))

        def joined(part: Any) -> Any:
            if not isinstance(part, Tensor):
                return part
            found = torch.unflatten(part, 1, (rows, count)).flatten(2, 3)
            return found[:, :, : self.config.horizon]

        return density._make(joined(part) for part in density)

    def _spread(
        self, steps: SeriesSteps, resets: Tensor | None
    ) -> tuple[SeriesSteps, Tensor | None]:
        """Each channel as a row of its own, where they stand apart."""
        if not self.config.apart:
            return steps, resets
        channels = self.config.channels
        marks = None if resets is None else resets.repeat_interleave(channels, 1)
        return beside_channels(steps), marks

    def _joined(self, density: Any, rows: int) -> Any:
        """Channels beside each other again, ``[..., batch, steps, channels]``."""
        if not self.config.apart:
            return density

        def join(part: Any) -> Any:
            if not isinstance(part, Tensor):
                return part
            found = torch.unflatten(part, 1, (rows, self.config.channels))
            return found.transpose(2, 3).squeeze(4)  # [origins, batch, steps, channels, ...]

        return density._make(join(part) for part in density)

    def _frame(self, values: Tensor) -> Frame:
        read = self.config.rows_read or 0
        counts = self.config.distribution in COUNTS
        return frame_of(values[:read] if read else values[:0], self.config.normalize, counts)

    def _vectors(self, steps: SeriesSteps, frame: Frame) -> Any:
        return self.vectors(steps, frame.inward(steps.values))

    def interval(self, density: Any, level: float) -> tuple[Tensor, Tensor]:
        """Between what a value lies with such a probability, ``[batch, horizon, channels]``.

        Quantiles of the density, and as many of its spreads more (or less) as were missing on the
        part that chose: conformal (Romano, Patterson & Candes 2019), between the levels where that
        was measured in a straight line.

        Args:
            density: as of :meth:`forecast`.
            level: above 0 and below 1.
        """
        low, high = (quick_quantile(density, (1 + side * level) / 2) for side in (-1, 1))
        more = self._more(level) * spread_of(density)
        middle = (low + high) / 2
        return torch.minimum(low - more, middle), torch.maximum(high + more, middle)

    def _more(self, level: float) -> Tensor:
        places = (0.0, *LEVELS)
        known = torch.cat([torch.zeros_like(self.widening[:1]), self.widening])
        for place in range(1, len(places)):
            if level <= places[place] or place == len(places) - 1:
                share = (level - places[place - 1]) / (places[place] - places[place - 1])
                return torch.lerp(known[place - 1], known[place], min(share, 1.0))
        return known[-1]

    def _said(self, outputs: Tensor, steps: SeriesSteps, frame: Frame, origins: int) -> Any:
        """Densities after the last steps, in the units of what is read."""
        head = self.numbers_head
        numbers = head(LayerOutput(outputs, outputs[-1:], None))
        if self.future is not None:
            more = self.future(outputs, self.vectors.future(steps))
            numbers = numbers + more.flatten(2)
        return self._outward(head.density(numbers), steps, frame, origins)

    def _outward(self, density: Any, steps: SeriesSteps, frame: Frame, origins: int) -> Any:
        """With the level and the scale of the rows, and the linear map."""
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

    # ---- answers ---------------------------------------------------------------------------------

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
                return _pick(density, 0), state
            if self.config.distribution in POINTS:
                return self._roll(steps, state)
            return self._drawn(steps, state, paths, generator)

    def simulate(
        self, steps: SeriesSteps, paths: int, generator: torch.Generator | None = None
    ) -> Tensor:
        """Paths that go step by step, ``[batch, horizon, channels, paths]``."""
        found, _ = self.forecast(steps, paths=paths, generator=generator)
        return cast(Tensor, found.values)

    def _drawn(
        self, steps: SeriesSteps, state: Tree, paths: int, generator: torch.Generator | None
    ) -> tuple[Any, Tree]:
        rows = steps.values.shape[1]
        spread, _ = self._spread(steps, None)
        frame = self._frame(spread.values)
        read = self.encoder(self._vectors(spread, frame), state)
        kept = read.state
        every = [_repeated(part, paths, 1) for part in spread]
        wide = SeriesSteps(*every)
        begun = map_tree(lambda leaf: leaf.repeat_interleave(paths, 0), read.state)
        outputs = read.outputs[-1:].repeat_interleave(paths, 1)
        drawn = self._steps_ahead(
            wide, frame.repeated(paths), outputs, begun, lambda density: density.sample(generator)
        )
        values = torch.cat(drawn, 0).transpose(0, 1)  # [rows * paths, horizon, channels]
        values = values.view(-1, paths, *values.shape[1:]).movedim(1, -1)
        return self._joined_rows(Samples(values), rows), kept

    def _roll(
        self, steps: SeriesSteps, state: Tree, resets: Tensor | None = None
    ) -> tuple[Any, Tree]:
        """A number alone, reading its own answers: ``[batch, horizon, channels]``."""
        rows = steps.values.shape[1]
        spread, marks = self._spread(steps, resets)
        frame = self._frame(spread.values)
        read = self.encoder(self._vectors(spread, frame), state, None, marks)
        said = self._steps_ahead(
            spread, frame, read.outputs[-1:], read.state, lambda density: density.value
        )
        found = Point(torch.cat(said, 0).transpose(0, 1))
        return self._joined_rows(found, rows), read.state

    def _joined_rows(self, density: Any, rows: int) -> Any:
        if not self.config.apart:
            return density
        return _pick(self._joined(density._make(part[None] for part in density), rows), 0)

    def _steps_ahead(
        self, steps: SeriesSteps, frame: Frame, outputs: Tensor, state: Tree, choose: Any
    ) -> list[Tensor]:
        """What is chosen at each step of the horizon ``[1, batch, channels]``, reading it."""
        values, found = steps.values, []
        keep = max(self.config.season, self.config.rows_read or 1)
        for step in range(self.config.horizon):
            own = steps._replace(values=values)
            density = self._said(outputs, own, frame, 1)  # [1, batch, 1, channels]
            value = choose(density)[:, :, 0]
            found.append(value)
            if step + 1 == self.config.horizon:
                break
            values = torch.cat([values[-keep:], value], 0)
            read = steps.one_ahead(value, step + 1)
            result = self.encoder(self._vectors(read, frame), state)
            outputs, state = result.outputs, result.state
        return found

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


class _Ahead(nn.Module):
    """What is read at a step for each patch of the horizon: its number, and what is known of it."""

    def __init__(self, horizon: int, patch: int, future_size: int, output_size: int) -> None:
        super().__init__()
        self.patch, self.patches = patch, -(-horizon // patch)
        self.numbers = nn.Parameter(torch.empty(self.patches, output_size))
        nn.init.normal_(self.numbers, std=0.3)
        self.known = nn.Linear(patch * future_size, output_size) if future_size else None

    def forward(self, future: Tensor) -> Tensor:
        """``[batch, horizon, future_size]`` to ``[batch, patches, output_size]``."""
        rows = future.shape[0]
        if self.known is None:
            return self.numbers.expand(rows, -1, -1)
        more = self.patches * self.patch - future.shape[1]
        whole = nn.functional.pad(future, (0, 0, 0, more)) if more else future
        found: Tensor = self.numbers + self.known(whole.reshape(rows, self.patches, -1))
        return found


class _Future(nn.Module):
    """What is known of each step of the horizon, beside the outputs, to numbers of that step.

    It begins with 0.
    """

    def __init__(
        self, input_size: int, future_size: int, output_size: int, width: int = 32
    ) -> None:
        super().__init__()
        self.state = nn.Linear(input_size, width)
        self.known = nn.Linear(future_size, width, bias=False)
        self.out = nn.Linear(width, output_size)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, outputs: Tensor, future: Tensor) -> Tensor:
        """``[k, batch, input_size]`` and ``[k, batch, steps, future_size]``."""
        joined = self.state(outputs).unsqueeze(2) + self.known(future)
        found: Tensor = self.out(joined.relu())
        return found


def _check_targets(density: Any, targets: Tensor) -> None:
    said = next(part for part in density if isinstance(part, Tensor))
    if said.shape[: targets.dim()] != targets.shape:  # they would broadcast
        raise ShapeError(
            f"targets: expected {list(said.shape[: targets.dim()])}, [origins, batch, steps, "
            f"channels] as they are said, got {list(targets.shape)}."
        )


def spread_of(density: Any) -> Tensor:
    """By what the widths of intervals are measured: the scale, if a density has one.

    Of quantiles it is half of the width of the outermost, of a number alone 1.
    """
    if isinstance(density, Point):
        return torch.ones_like(density.value)
    if isinstance(density, Gaussian | Student):
        return density.scale
    if isinstance(density, Quantiles):
        return (density.values[..., -1] - density.values[..., 0]) / 2
    found: Tensor = density.deviation
    return found.clamp(min=1e-6)


def next_of(density: Any) -> Any:
    """Of ``[time, batch, steps, channels]`` the first step."""
    return density._make(part[:, :, 0] if isinstance(part, Tensor) else part for part in density)


def _pick(density: Any, place: int) -> Any:
    return density._make(part[place] if isinstance(part, Tensor) else part for part in density)


def _repeated(part: Tensor, times: int, axis: int) -> Tensor:
    return part.repeat_interleave(times, axis)
