"""Classical forecasters from rolling origins, run under an interpreter that has statsforecast.

Usage: PYTHON classical.py SERIES SETTINGS, where ``pip install statsforecast utilsforecast`` made
the interpreter. It imports nothing of the project; what it finds is printed as JSON.

SERIES is a long table, a row for each step of a series: ``.csv`` or ``.parquet`` with the columns
``unique_id``, ``ds`` and ``y``, or ``.npz`` with three such arrays. Only the order of ``ds`` within
a series counts. SETTINGS is JSON:

* ``h``: steps forecast from each origin.
* ``n_windows``, ``step_size``: how many origins, and how far apart; the last is ``h`` before the
  end. A model is fitted again at each, on all that lies before it.
* ``season_length``: of the models, and of the scale of MASE (mean absolute difference of values so
  far apart, before the origin); 1 if left out.
* ``models``: names from ``MODELS``; all if left out.
* ``levels``: central intervals, in percent; [80] if left out. Their ends and the mean are the
  quantiles that the scaled CRPS is computed of.
* ``forecasts``: whether each step of each forecast is told; true if left out.

Scores are utilsforecast's: of a series and origin, then the mean of these.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from statsforecast import StatsForecast
from statsforecast import models as classical
from utilsforecast import losses

MODELS = {
    "AutoETS": lambda m: classical.AutoETS(season_length=m),
    "AutoTheta": lambda m: classical.AutoTheta(season_length=m),
    "SeasonalNaive": lambda m: classical.SeasonalNaive(season_length=m),
    "Naive": lambda m: classical.Naive(),
    "Drift": lambda m: classical.RandomWalkWithDrift(alias="Drift"),
}


def read(path: Path) -> pd.DataFrame:
    """A long table with whole numbers from 0 as ``ds``, in the order of series and steps."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            table = pd.DataFrame({name: arrays[name] for name in ("unique_id", "ds", "y")})
    else:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    table = table.sort_values(["unique_id", "ds"], kind="stable", ignore_index=True)
    table["ds"] = table.groupby("unique_id").cumcount()
    return table.astype({"y": "float64"})[["unique_id", "ds", "y"]]


def forecast(table: pd.DataFrame, settings: dict[str, Any]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Every model's forecasts from every origin; and the seconds and warnings of each."""
    season, found, facts = settings.get("season_length", 1), None, {}
    for name in settings.get("models", MODELS):
        began = time.perf_counter()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            one = StatsForecast([MODELS[name](season)], freq=1, n_jobs=1).cross_validation(
                df=table,
                h=settings["h"],
                n_windows=settings["n_windows"],
                step_size=settings["step_size"],
                level=settings.get("levels", [80]),
                refit=True,
            )
        told = sorted({str(warning.message).strip() for warning in said})
        facts[name] = {"seconds": time.perf_counter() - began, "warnings": told}
        on = ["unique_id", "ds", "cutoff"]
        found = one if found is None else found.merge(one.drop(columns="y"), on=on)
    return found, facts


def scores(table: pd.DataFrame, found: pd.DataFrame, settings: dict[str, Any]) -> dict[str, Any]:
    """Scores by model, the means of those of all series and origins; and MASE by series."""
    names = [*settings.get("models", MODELS)]
    levels = sorted(settings.get("levels", [80]))
    ends = {name: {f: f"{name}-{f}" for f in _ends(levels)} for name in names}
    columns = {name: [ends[name].get(f, name) for f in _order(levels)] for name in names}
    quantiles = np.array([_quantile(f) for f in _order(levels)])
    # A series at an origin is a series of its own, whose training part is what lies before.
    at, past = [], []
    for number, cutoff in enumerate(sorted(found["cutoff"].unique())):
        here = found[found["cutoff"] == cutoff]
        before = table[table["unique_id"].isin(here["unique_id"]) & (table["ds"] <= cutoff)]
        at.append(here.assign(unique_id=here["unique_id"].astype(str) + f"@{number}"))
        past.append(before.assign(unique_id=before["unique_id"].astype(str) + f"@{number}"))
    rows, train = pd.concat(at, ignore_index=True).drop(columns="cutoff"), pd.concat(past)
    season = settings.get("season_length", 1)
    mase = losses.mase(rows, names, seasonality=season, train_df=train)
    by = {
        "mase": mase,
        "mae": losses.mae(rows, names),
        "mse": losses.mse(rows, names),
        "scaled_crps": losses.scaled_crps(rows, columns, quantiles),
        **{f"coverage_{one}": losses.coverage(rows, names, level=one) for one in levels},
    }
    told = {score: {name: float(one[name].mean()) for name in names} for score, one in by.items()}
    series = mase.groupby(mase["unique_id"].str.rsplit("@", n=1).str[0])[names].mean()
    told["mase_by_series"] = series.to_dict("index")
    return told


def _ends(levels: list[int]) -> list[str]:
    return [f"{side}-{level}" for level in levels for side in ("lo", "hi")]


def _order(levels: list[int]) -> list[str]:
    """Ends of intervals and the mean between them, ascending."""
    return [*(f"lo-{one}" for one in levels[::-1]), "mean", *(f"hi-{one}" for one in levels)]


def _quantile(end: str) -> float:
    if end == "mean":
        return 0.5
    side, level = end.split("-")
    return 0.5 + (1 if side == "hi" else -1) * int(level) / 200


def in_words(found: pd.DataFrame, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each series and origin: what came, and each model's mean and intervals."""
    rows = []
    for (name, cutoff), part in found.groupby(["unique_id", "cutoff"], sort=True):
        row = {"unique_id": str(name), "origin": int(cutoff) + 1, "y": part["y"].tolist()}
        for model in settings.get("models", MODELS):
            row[model] = {"mean": part[model].tolist()}
            for end in _ends(settings.get("levels", [80])):
                row[model][end] = part[f"{model}-{end}"].tolist()
        rows.append(row)
    return rows


def main() -> None:
    table, settings = read(Path(sys.argv[1])), json.loads(sys.argv[2])
    found, facts = forecast(table, settings)
    told = {
        "settings": settings,
        "versions": {n: version(n) for n in ("statsforecast", "utilsforecast", "pandas", "numpy")},
        "load": os.getloadavg(),
        "facts": facts,
        "scores": scores(table, found, settings),
    }
    if settings.get("forecasts", True):
        told["forecasts"] = in_words(found, settings)
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
