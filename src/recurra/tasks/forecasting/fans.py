"""Forecasts beside what was seen, and what came, as pictures show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from recurra.data.panels import Track
from recurra.diagnosis import Fan
from recurra.errors import SettingError, nearest
from recurra.models import Rival, SeriesModel
from recurra.tasks.forecasting.corpus import in_numbers
from recurra.tasks.forecasting.evaluation import densities_of, forecasts_of, intervals_of
from recurra.tasks.forecasting.frames import next_stamps, said_steps
from recurra.tasks.forecasting.parts import SeriesPart
from recurra.tasks.forecasting.units import middle_of
from recurra.tasks.forecasting.windows import longer
from recurra_runtime.fronts import Panel

__all__ = ["MOST", "ahead_of", "fans", "named", "some_of"]

Floats = npt.NDArray[np.float64]

MOST = 6
"""Pictures beside each other."""
_LEVELS = (50.0, 80.0, 95.0)
_SHARES = (0.025, 0.1, 0.25, 0.75, 0.9, 0.975)
_SHOWN = ("last value", "seasonal naive", "linear map", "autoregression")
_ONE_BY_ONE = 48  # steps, each forecast after the one before it, of a model of one
_SEEN, _LONGEST = 24, 400  # steps before a forecast


def ahead_of(panel: Panel) -> int:
    """Steps that are drawn behind what was seen."""
    return panel.horizon if panel.horizon > 1 else _ONE_BY_ONE


def some_of(held: Sequence[tuple[Track, int]], most: int) -> list[tuple[Track, int]]:
    """Those with the most values."""
    return sorted(held, key=lambda each: -int((~np.isnan(each[0].values)).sum()))[:most]


def named(
    tracks: Sequence[Track], panel: Panel, names: Sequence[str]
) -> tuple[list[Track], list[int]]:
    """Series, and numbers of channels: all that have one of the names, or all if there are none.

    Raises:
        SettingError: no series and no channel has a name.
    """
    channels = list(range(len(panel.channels)))
    if not names:
        return list(tracks), channels
    known = {each.name for each in tracks}
    for name in names:
        if name not in known | set(panel.channels):
            near = nearest(name, sorted((known | set(panel.channels)) - {""}))
            raise SettingError(f"series: expected a series or a channel, got {name!r}; {near}")
    of_tracks = [each for each in tracks if each.name in names] or list(tracks)
    return of_tracks, [n for n in channels if panel.channels[n] in names] or channels


def fans(
    model: SeriesModel,
    rivals: Mapping[str, Rival],
    panel: Panel,
    held: Sequence[tuple[Track, int]],
    channels: Sequence[int] | None = None,
    *,
    zone: str | None,
) -> list[Fan]:
    """A forecast for each channel of each series.

    Args:
        model: says what comes.
        rivals: those beside it.
        panel: what series are in numbers.
        held: series, and the step at which a forecast begins: their end, or one before it; 0 is as
            late as what came lets see all of it.
        channels: numbers of those that are drawn; all if None.
        zone: where clocks say the time stamps.
    """
    begun = [(track, first or _late(track, panel)) for track, first in held]
    begun = [(track, first) for track, first in begun if first]
    cuts = [(_until(track, first, panel), first) for track, first in begun]
    stretches = [
        longer(one) if first >= len(track.values) else one
        for one, (track, first) in zip(in_numbers(cuts, panel), cuts, strict=True)
    ]
    if not stretches:
        return []
    part = SeriesPart(stretches, panel)
    told = {"": _of_model(model, part, panel)}
    for name, rival in rivals.items():
        if name.startswith(_SHOWN):
            told[name] = _of_rival(rival, part, panel)
    found = []
    for number, (track, first) in enumerate(cuts):
        for channel in range(len(panel.channels)) if channels is None else channels:
            own = {name: rows[number][..., channel] for name, rows in told.items()}
            found.append(_fan(track, first, panel, channel, own, zone))
    return found


def _late(track: Track, panel: Panel) -> int:
    """The origin from which all steps are there; at least one is seen."""
    size = len(track.values)
    return max(size - ahead_of(panel), min(size - 1, max(size // 2, 1)), 0)


def _until(track: Track, first: int, panel: Panel) -> Track:
    return track.cut(first + ahead_of(panel))


def _of_model(model: SeriesModel, part: SeriesPart, panel: Panel) -> list[Floats]:
    """Of each series the middle and the quantiles ``[7, steps, channels]``, in the data's units."""
    found: list[list[Floats]] = [[] for _ in part.stretches]
    for origins, density, _ in densities_of(model, part):
        middle = middle_of(density, panel.scales)
        told = np.concatenate(
            [
                each.double().cpu().numpy()
                for each in (middle[None], intervals_of(model, density, _SHARES))
            ]
        )
        for row, number in enumerate(origins.numbers.tolist()):
            found[number].append(told[:, row])
    return [_outward(rows, part, panel, number) for number, rows in enumerate(found)]


def _of_rival(rival: Rival, part: SeriesPart, panel: Panel) -> list[Floats]:
    found: list[list[Floats]] = [[] for _ in part.stretches]
    for said in forecasts_of(rival, part, "gaussian"):
        for row, number in enumerate(said.origins.numbers.tolist()):
            found[number].append(said.mean[None, row])
    return [_outward(rows, part, panel, number) for number, rows in enumerate(found)]


def _outward(rows: list[Floats], part: SeriesPart, panel: Panel, number: int) -> Floats:
    # A model of one step has as many origins, in their order, as steps are drawn.
    joined = np.concatenate(rows, 1)
    scale = part.stretches[number].scale
    found: Floats = panel.scales.outward(joined, scale) if scale is not None else joined
    return found


def _fan(
    track: Track,
    first: int,
    panel: Panel,
    channel: int,
    own: Mapping[str, Floats],
    zone: str | None,
) -> Fan:
    mean, *ends = own[""]
    steps = len(mean)
    back = _SEEN if panel.horizon == 1 else max(_SEEN, 2 * steps, 2 * panel.season)
    begin = max(first - min(back, _LONGEST), 0)
    came = track.values[first : first + steps, channel]
    seen, coming = track.stamps[begin:first], next_stamps(track.cut(first), panel, None)
    if panel.horizon == 1 and len(came):
        coming = track.stamps[first : first + steps]
    if seen.dtype.kind == coming.dtype.kind:
        called = said_steps(np.concatenate([seen, coming[:steps]]), panel, zone)
    else:  # nobody knows when steps come that are apart as they like
        called = [*said_steps(seen, panel, zone), *(f"+{each}" for each in coming[:steps])]
    names = [track.name] if track.name else []
    names += [panel.channels[channel]] if len(panel.channels) > 1 else []
    return Fan(
        " · ".join(names),
        called,
        track.values[begin:first, channel].tolist(),
        mean.tolist(),
        {level: (ends[2 - n].tolist(), ends[3 + n].tolist()) for n, level in enumerate(_LEVELS)},
        {name: rows[0].tolist() for name, rows in own.items() if name},
        came.tolist(),
        panel.horizon == 1,
    )
