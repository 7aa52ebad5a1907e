"""What of reading series and of saying what comes excludes each other in a recipe."""

from __future__ import annotations

import functools

from recurra.heads.numbers import COUNTS, POINTS
from recurra.models import SeriesModelSettings
from recurra.sections import contradiction
from recurra.tasks.forecasting.settings import ForecastingData

__all__ = ["check_recipe"]

_of_data = functools.partial(contradiction, section="data.")
_of_model = functools.partial(contradiction, section="model.")


def check_recipe(data: ForecastingData, model: SeriesModelSettings) -> None:
    """Refuse what cannot go together.

    Args:
        data: what is read.
        model: what is said of it.

    Raises:
        PydanticCustomError: as :func:`recurra.sections.contradiction` makes it.
    """
    if data.carried:
        _check_carried(data, model)
    if model.decoding == "autoregressive":
        _check_autoregressive(data, model)
    if model.decoding == "parallel":
        _check_parallel(data, model)
    if model.cell == "grud" and data.patch > 1:
        raise _of_data(data, "patch", "the cell grud reads step by step", "1")
    if model.distribution in COUNTS:
        why = f"model.distribution={model.distribution} says counts as they are"
        for name in ("scale", "transform"):
            if getattr(data, name) != "none":
                raise _of_data(data, name, why, "'none'")


def _check_carried(data: ForecastingData, model: SeriesModelSettings) -> None:
    """A state is carried along a series: no row of so many steps is read."""
    why = "it is of the steps that are read, which only data.look_back says"
    _check_plain(model, why, normalize="none", linear=False, apart=False)
    why = "what was last known is not carried from part to part, which data.look_back mends"
    _check_plain(model, why, around="level", missing="mark")
    if model.decoding == "autoregressive" and data.horizon > 1:
        why = "rows of so many steps are read where answers are read again (data.look_back)"
        raise _of_data(data, "look_back", why, "a number of steps")


def _check_autoregressive(data: ForecastingData, model: SeriesModelSettings) -> None:
    """What is said is read, step by step."""
    if data.patch > 1:
        raise _of_data(data, "patch", "answers are read one step at a time (model.decoding)", "1")
    if data.past or data.gaps:
        why = "nobody knows them of the steps that are said (model.decoding=autoregressive)"
        raise _of_data(data, "past" if data.past else "gaps", why)
    if model.distribution in POINTS and data.origins > 1:
        why = "each row is trained on as it is used, from its end on (model.decoding)"
        raise _of_data(data, "origins", why, "1")


def _check_parallel(data: ForecastingData, model: SeriesModelSettings) -> None:
    """The layers go on from the end of a row."""
    why = "the layers go on from the end of a row (model.decoding=parallel)"
    if data.carried:
        raise _of_data(data, "look_back", why, "a number of steps")
    if data.origins > 1:
        raise _of_data(data, "origins", why, "1")
    if model.body != "recurrent" or model.cell == "grud":
        name = "body" if model.body != "recurrent" else "cell"
        why = "only a recurrent state goes on by what is read for a patch (model.decoding=parallel)"
        raise _of_model(model, name, why, "another one")


def _check_plain(model: SeriesModelSettings, why: str, **plain: str | bool) -> None:
    """That settings are left to the data, or are as they are without any."""
    for name, value in plain.items():
        if getattr(model, name) not in ("auto", value):
            raise _of_model(model, name, why, repr(value))
