"""The settings of a forecaster."""

from __future__ import annotations

from typing import Any, Literal, Self

import pydantic

from recurra.heads import Distribution
from recurra.heads.numbers import COUNTS
from recurra.layers.settings import LayerSettings, check_reads_on
from recurra.models.frames import Around, Normalize
from recurra.sections import contradiction, default

__all__ = ["SeriesModelConfig", "SeriesModelSettings", "whole_patches"]


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
        return None if self.look_back is None else whole_patches(self.look_back, self.patch)


def whole_patches(steps: int, patch: int) -> int:
    """Steps of as many patches as hold these."""
    return -(-steps // patch) * patch
