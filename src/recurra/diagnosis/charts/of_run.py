"""All pictures of a run, from its folder alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from recurra.diagnosis.charts.chart import Chart
from recurra.diagnosis.charts.curves import confusion, curve
from recurra.diagnosis.charts.fans import Fan, fan
from recurra.diagnosis.charts.forecasters import coverage, forecast_errors, residuals
from recurra.diagnosis.charts.history import summary
from recurra.diagnosis.charts.tradeoff import COMPARED, read_variants
from recurra.diagnosis.charts.watching import WATCHED, gradients
from recurra.errors import RunError, SettingError, SettingTypeError
from recurra.given import path_of

__all__ = ["AT_END", "pictures"]

AT_END = ("curve", "confusion", "forecast")
"""Those that a training draws; the others are there for who asks."""

_KEPT = "pictures.json"


def pictures(run: str | Path) -> dict[str, Chart]:
    """All pictures of a run, by name.

    Its ``curve``; ``gradients`` where monitors wrote; ``confusion`` where classes are told; of a
    forecaster ``forecast``, ``errors``, ``coverage`` and ``residuals`` of what is held out, as
    far as the run tells them.

    Args:
        run: its folder; that of a comparison has one picture, ``compare``.

    Raises:
        RunError: as for :func:`curve`, or its summary.json, pictures.json or compare.json is
            damaged.
    """
    folder = path_of("run", run)
    if (folder / COMPARED).is_file():
        return {"compare": read_variants(Path(run))}
    found, told = {"curve": curve(run)}, summary(folder, needed=True)
    if (folder / WATCHED).is_file():
        found["gradients"] = gradients(run)
    listed = told.get("evaluations")
    rows = [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []
    # The run's own model is the first of them.
    for row in (told, *rows[:1]):
        if {"confusion", "classes"} <= set(row):
            with_file = folder / "summary.json"
            found["confusion"] = _drawn(with_file, confusion, row["confusion"], row["classes"])
    return found | _of_forecaster(folder, rows)


def _of_forecaster(folder: Path, rows: list[dict[str, Any]]) -> dict[str, Chart]:
    found: dict[str, Chart] = {}
    name, kept = folder.resolve().name, _kept(folder)
    if kept.get("forecast"):
        some = _drawn(folder / _KEPT, lambda all_: [*map(Fan.from_json, all_)], kept["forecast"])
        total = kept.get("total")
        found["forecast"] = fan(some, name, total if isinstance(total, int) else None)
    if not rows or not {"mase", "by_step", "by_series"} <= set(rows[0]):
        return found
    series = kept.get("series") if isinstance(kept.get("series"), list) else []
    kinds: dict[str, Callable[[], Chart]] = {
        "errors": lambda: forecast_errors(rows, [*map(str, series or ())], name),
        "coverage": lambda: coverage(rows, name),
        "residuals": lambda: residuals(rows, name),
    }
    for kind, draw in kinds.items():
        try:
            found[kind] = _drawn(folder / "summary.json", draw)
        except SettingError:  # it tells nothing of the kind
            continue
    return found


def _drawn(file: Path, draw: Callable[..., Any], *given: Any) -> Any:
    try:
        return draw(*given)
    except SettingTypeError as problem:
        raise RunError(f"{file}: damaged ({problem}).") from None
    except SettingError:
        raise
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as problem:
        raise RunError(f"{file}: damaged ({problem}).") from None


def _kept(folder: Path) -> Mapping[str, Any]:
    """What a run keeps for its pictures; nothing if it keeps none."""
    path = folder / _KEPT
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError("expected an object")
    except (OSError, ValueError) as problem:
        raise RunError(f"{path}: damaged ({problem}).") from None
    return found
