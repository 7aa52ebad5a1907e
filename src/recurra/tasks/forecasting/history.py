"""The ends of the series that a model was trained on, from which its forecasts go on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from recurra.data.panels import Roles, Track, Tracks
from recurra.errors import ArtifactError, DataError
from recurra.pipeline.beside import read_beside, write_beside
from recurra.tasks.forecasting.windows import BEFORE
from recurra_runtime.fronts import Frequency, Panel

if TYPE_CHECKING:
    from recurra.tasks.forecasting.corpus import SeriesCorpus

__all__ = ["grown", "keep_history", "read_history", "tail", "write_history"]

_FILE = "history"
_MOST_APART = 100_000  # steps that may be missing


def tail(track: Track, panel: Panel) -> Track:
    """The end of a series, as long as is read of it."""
    # One more, as of some columns the step before is read.
    keep = max((panel.look_back or 0) + panel.patch, panel.season, BEFORE) + 1
    begin = max(len(track.values) - keep, 0)
    return track._replace(
        stamps=track.stamps[begin:],
        values=track.values[begin:],
        past=track.past[begin:],
        known=track.known[begin:],
        codes={name: cells[begin:] for name, cells in track.codes.items()},
    )


def write_history(folder: Path, prepared: SeriesCorpus) -> None:
    """Keep the end of each series in a run.

    Raises:
        RunError: it cannot be written.
    """
    keep_history(folder, prepared.tracks, prepared.panel)


def keep_history(folder: Path, tracks: Tracks, panel: Panel) -> None:
    """Keep the end of each of some series in a run; those that it has are replaced.

    Raises:
        RunError: it cannot be written.
    """
    ends = [tail(each, panel) for each in tracks.each]
    write_beside(folder, _FILE, {"tracks": _arrays(ends, panel), "table": _about(tracks)})


def _arrays(ends: Sequence[Track], panel: Panel) -> dict[str, npt.NDArray[Any]]:
    def joined(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        return np.concatenate(parts) if parts else np.zeros((0, 0))

    stamps = joined([each.stamps for each in ends])
    found = {
        "values": joined([each.values for each in ends]),
        "past": joined([each.past for each in ends]),
        "known": joined([each.known for each in ends]),
        "sizes": np.array([len(each.values) for each in ends], np.int64),
        "ahead": np.array([len(each.known) for each in ends], np.int64),
        "stamps": stamps.view(np.int64) if stamps.dtype.kind == "M" else stamps,
        "dates": np.array(stamps.dtype.kind == "M"),
        "names": _text([each.name for each in ends]),
    }
    for number, name in enumerate(panel.categories):
        cells = [cell for each in ends for cell in each.codes[name]]
        found[f"codes.{number}"] = _text(cells)
    return found


def _about(tracks: Tracks) -> dict[str, npt.NDArray[Any]]:
    """What its columns were called, and what names of series were in the table."""
    roles = tracks.roles
    plain = {
        name: each if isinstance(each, str | int | float) else str(each)
        for name, each in tracks.ids.items()
    }
    names = [roles.id, roles.time, tracks.like, tracks.form]
    return {"names": _text(names), "ids": _text(plain)}


def _text(value: Any) -> npt.NDArray[np.uint8]:
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


def _read(array: npt.NDArray[Any]) -> Any:
    return json.loads(array.tobytes())


def read_history(path: str | Path, panel: Panel) -> Tracks | None:
    """What a run keeps; None if it keeps nothing.

    Raises:
        ArtifactError: it is damaged.
    """
    kept = read_beside(path, _FILE)
    if not kept:
        return None
    try:
        return _tracks(kept["tracks"], kept["table"], panel)
    except (KeyError, ValueError, IndexError, TypeError) as problem:
        raise ArtifactError(f"{path}: {_FILE}.safetensors: damaged ({problem}).") from None


def _tracks(arrays: dict[str, Any], about: dict[str, Any], panel: Panel) -> Tracks:
    stamps = arrays["stamps"]
    if bool(arrays["dates"]):
        stamps = stamps.view("datetime64[ns]")
    names = _read(arrays["names"])
    codes = {name: _read(arrays[f"codes.{number}"]) for number, name in enumerate(panel.categories)}
    each, at, beyond = [], 0, 0
    for name, size, ahead in zip(names, arrays["sizes"], arrays["ahead"], strict=True):
        here, there = slice(at, at + int(size)), slice(beyond, beyond + int(ahead))
        each.append(
            Track(
                name,
                name or "the series",
                stamps[here],
                arrays["values"][here],
                arrays["past"][here],
                arrays["known"][there],
                {key: cells[there] for key, cells in codes.items()},
            )
        )
        at, beyond = at + int(size), beyond + int(ahead)
    column, time, like, form = _read(about["names"])
    roles = Roles(column, time, panel.channels)
    numbers = tuple(panel.past.channels), tuple(panel.known.channels)
    return Tracks(
        each,
        roles,
        numbers,
        tuple(panel.categories),
        panel.ahead,
        panel.frequency,
        panel.zone,
        _read(about["ids"]),
        like,
        form,
    )


def grown(known: Tracks, more: Tracks, still: Sequence[str] = ()) -> Tracks:
    """Series with what has come since: what both have is there once.

    Args:
        known: series.
        more: the same, and others; where they have no names, as many in the same order.
        still: columns that never change.

    Raises:
        DataError: another number of series without names, or steps that are not on their grid.
    """
    later = more.each
    if known.roles.id is None:
        if len(later) != len(known.each):
            raise DataError(
                f"update: expected {len(known.each):,} series, as these have no names, got "
                f"{len(later):,}."
            )
        named = zip(known.each, later, strict=True)
        later = [new._replace(name=old.name) for old, new in named]
    by_name = {each.name: each for each in later}
    fixed = [number for number, name in enumerate(known.numbers[1]) if name in still]
    each = []
    for old in known.each:
        new = by_name.pop(old.name, None)
        each.append(old if new is None else _longer(old, new, known, fixed, still))
    return dataclasses.replace(
        known, each=[*each, *by_name.values()], ids={**known.ids, **more.ids}
    )


def _longer(
    old: Track, new: Track, known: Tracks, fixed: Sequence[int], still: Sequence[str]
) -> Track:
    if not len(old.stamps):
        return new
    steps, begin = len(old.values), 0
    if known.roles.time is None and new.stamps.dtype.kind != "M":  # rows that are numbered
        new = new._replace(stamps=old.stamps[-1] + 1 + np.arange(len(new.values)))
    else:
        begin = int(np.searchsorted(new.stamps, old.stamps[-1], side="right"))
    lost = _between(old, new, begin, known.frequency)
    apart = np.full((len(lost), 1), np.nan)
    ahead = old.known[: steps + len(lost)]
    gap = np.full((steps + len(lost) - len(ahead), old.known.shape[1]), np.nan)
    gap[:, fixed] = old.known[steps - 1, fixed]
    beside = np.concatenate([ahead, gap, new.known[begin:]])
    codes = {}
    for name, cells in old.codes.items():
        own = list(cells)[: steps + len(lost)]
        own += [own[-1] if name in still else None] * (steps + len(lost) - len(own))
        own += list(new.codes[name])[begin:]
        codes[name] = own + list(cells)[len(own) :]
    return old._replace(
        stamps=np.concatenate([old.stamps, lost, new.stamps[begin:]]),
        values=np.concatenate(
            [old.values, apart.repeat(old.values.shape[1], 1), new.values[begin:]]
        ),
        past=np.concatenate([old.past, apart.repeat(old.past.shape[1], 1), new.past[begin:]]),
        known=np.concatenate([beside, old.known[len(beside) :]]),
        codes=codes,
    )


def _between(old: Track, new: Track, begin: int, frequency: Frequency | None) -> npt.NDArray[Any]:
    """Stamps of the steps that are missing between two stretches."""
    if frequency is None or begin == len(new.stamps):
        return old.stamps[:0]
    try:
        apart = int(frequency.positions(np.array([old.stamps[-1], new.stamps[begin]]))[1])
        if apart > _MOST_APART + 50 * len(new.stamps):
            raise DataError(
                f"{new.place}: {apart:,} steps of {frequency.name} lie between "
                f"{old.stamps[-1]}, the last that is known, and {new.stamps[begin]}. Give what "
                "lies between, or train anew."
            )
        return frequency.between(old.stamps[-1], new.stamps[begin])[1:-1]
    except DataError:
        raise
    except ValueError as problem:
        raise DataError(f"{new.place}: {problem}.") from None
