"""Forecasts of series in data frames, by the conventions of forecasting libraries."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np

from recurra.errors import DataError, SettingError
from recurra.estimators.base import Estimator
from recurra.settings import check_size

__all__ = ["Forecaster"]

_SMALL = 64  # numbers of a layer that one thread computes as fast as several


class Forecaster(Estimator):
    """The task ``forecasting`` as an estimator: the next steps of many series, by one network.

    A table has a row for each series and step: ``unique_id`` names the series (it may be left out
    where there is one), ``ds`` has time stamps or whole numbers, ``y`` is what is forecast; other
    names by argument. It is a frame of pandas or polars, a mapping of lists, or the path of a file,
    and forecasts come as it came.

    Args:
        horizon: steps that are forecast.
        look_back: steps that are read before them. If None twice the season or the horizon, which
            is longer, and of short series fewer; one step ahead a state is carried along instead.
        cell: any registered cell.
        hidden_size: of a layer.
        layers: above each other.
        distribution: what is said of a value, see :class:`recurra.NumbersHead`.
        frequency: from one time stamp to the next, as pandas writes it; told by them if None.
        season: steps of one; by the frequency if None.
        id: the column that says to which series a row belongs.
        time: the column with time stamps.
        target: the column that is forecast, or several of them.
        past: columns that are known up to now.
        known: columns that are known ahead.
        static: columns that are the same in all rows of a series.
        epochs: passes over what is trained on; 5, and of few series as many as make 300 steps, if
            None.
        learning_rate: at its highest. Short series are soon known by heart: a small one does least
            harm there, many long ones are learned sooner with 0.004.
        validation_steps: of each series, that choose the best pass and correct the intervals; a
            tenth, and at least the horizon, if None.
        random_state: of every draw.
        settings: others of the recipe by name, as ``{"around": "last"}``.
        out: folder of the run, absent or empty; one that goes with the estimator if None.
        verbose: whether it tells how it goes.

    Attributes:
        model_: what :func:`recurra.load` gives of the run.
        held_: steps at the end of the longest series that were not trained on.
        verdict_: what the training says of itself beside models without memory.

    Example:
        >>> import pandas
        >>> table = pandas.read_csv("airline-passengers.csv", names=["ds", "y"], header=0)
        >>> forecaster = recurra.Forecaster(horizon=12).fit(table)  # doctest: +SKIP
        >>> forecaster.predict(level=[80, 95])  # doctest: +SKIP

    """

    def __init__(
        self,
        horizon: int = 1,
        *,
        look_back: int | None = None,
        cell: str = "gru",
        hidden_size: int = 64,
        layers: int = 1,
        distribution: str = "student",
        frequency: str | None = None,
        season: int | None = None,
        id: str | None = None,
        time: str | None = None,
        target: str | Sequence[str] | None = None,
        past: Sequence[str] = (),
        known: Sequence[str] = (),
        static: Sequence[str] = (),
        epochs: float | None = None,
        learning_rate: float = 0.001,
        validation_steps: int | None = None,
        random_state: int = 0,
        settings: Mapping[str, Any] | None = None,
        out: str | Path | None = None,
        verbose: bool = True,
    ) -> None:
        self.horizon = horizon
        self.look_back = look_back
        self.cell = cell
        self.hidden_size = hidden_size
        self.layers = layers
        self.distribution = distribution
        self.frequency = frequency
        self.season = season
        self.id = id
        self.time = time
        self.target = target
        self.past = past
        self.known = known
        self.static = static
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.validation_steps = validation_steps
        self.random_state = random_state
        self.settings = settings
        self.out = out
        self.verbose = verbose

    # ---- learning --------------------------------------------------------------------------------

    model_: Any

    def fit(self, data: Any) -> Self:
        """Train on the series of a table; the last steps of each choose and calibrate.

        Raises:
            DataError: something in the table that cannot be; the message says in which row.
            SettingError: an argument that cannot be.
        """
        from recurra.doors import load, train
        from recurra.tasks.forecasting.settings import steps_apart

        tracks = self._opened(data)
        longest = max((len(each.values) for each in tracks.each), default=0)
        held = steps_apart(longest, self.horizon, self.validation_steps)
        chosen = self._settings() | self._by_size(longest, held)
        kept = None if self.out is not None else tempfile.mkdtemp(prefix="recurra-")
        try:
            with _few_threads(self.hidden_size):
                done = train(
                    "forecasting",
                    tracks,
                    out=Path(self.out or f"{kept}/run"),
                    report=None if self.verbose else lambda told: None,
                    **chosen,
                )
            self.model_ = load(done.path)
        except BaseException:
            if kept is not None:
                shutil.rmtree(kept, ignore_errors=True)
            raise
        if kept is not None:  # as long as somebody has the model
            weakref.finalize(self.model_, shutil.rmtree, kept, ignore_errors=True)
        self.held_ = held if chosen.get("validation", True) else 0
        self.verdict_ = done.verdict
        return self

    def _opened(self, data: Any) -> Any:
        """The series of a table."""
        from recurra.data.panels import Tracks
        from recurra.training import load_recipe
        from recurra.training.recipe import changed

        if isinstance(data, Tracks):
            return data
        recipe = load_recipe("forecasting")
        known = {*type(recipe.data).model_fields}
        chosen = {f"data.{k}": value for k, value in self._settings().items() if k in known}
        section = changed(recipe, chosen, "forecasting").data
        source = Path(data) if isinstance(data, str) else data
        return recipe.of_task.open(source, section).tracks(section)

    def _settings(self) -> dict[str, Any]:
        """Of the recipe, but for what hangs on the size of the data."""
        found: dict[str, Any] = {
            "horizon": check_size("horizon", self.horizon),
            "cell": self.cell,
            "hidden_size": self.hidden_size,
            "layers": self.layers,
            "distribution": self.distribution,
            "past": _several("past", self.past),
            "known": _several("known", self.known),
            "static": _several("static", self.static),
            "learning_rate": self.learning_rate,
            "seed": self.random_state,
            "split": "time",
        }
        given = {
            "frequency": self.frequency,
            "season": self.season,
            "id": self.id,
            "time": self.time,
            "channels": None if self.target is None else _several("target", self.target),
            "epochs": self.epochs,
            "validation_steps": self.validation_steps,
            "look_back": self.look_back,
        }
        found |= {name: value for name, value in given.items() if value is not None}
        return found | self._named()

    def _named(self) -> dict[str, Any]:
        """The settings that have no argument of their own.

        Raises:
            SettingError: no mapping of names.
        """
        named = {} if self.settings is None else self.settings
        if not isinstance(named, Mapping) or not all(isinstance(name, str) for name in named):
            raise SettingError(f"settings: expected a dictionary by name, got {self.settings!r}")
        return dict(named)

    def _by_size(self, longest: int, held: int) -> dict[str, Any]:
        """What few or short series leave room for, of which the longest has ``held`` set apart."""
        from recurra.heads.numbers import COUNTS

        found: dict[str, Any] = {"test_steps": 0}
        if longest - held <= 2 * self.horizon:
            found["validation"] = False
        if self.distribution in COUNTS:
            found["scale"] = "none"
        named = self._named()
        return {name: value for name, value in found.items() if name not in named}

    # ---- answering -------------------------------------------------------------------------------

    def predict(
        self, data: Any = None, *, future: Any = None, level: Sequence[float] = (80,)
    ) -> Any:
        """The next steps of each series.

        Args:
            data: a table of series, which may be others than those of :meth:`fit`; these, and what
                :meth:`update` added, if None.
            future: a table with the columns ``known`` of the steps that are forecast.
            level: of the intervals, in percent.

        Returns:
            a table as the one that was given, with a column ``cutoff`` (the last step that was
            read), one called as the model, and ``-lo-80``, ``-hi-80`` beside it.
        """
        from recurra.tasks.forecasting.answer import check_levels
        from recurra.tasks.forecasting.frames import columns_of_forecasts, frame_like

        check_levels(level)
        tracks = self._fitted().whole(data)
        found = self.model_.forecasts(tracks, future, level)
        return frame_like(columns_of_forecasts(found, tracks, self.name), tracks)

    def simulate(
        self, paths: int = 100, data: Any = None, *, future: Any = None, seed: int = 0
    ) -> Any:
        """Paths that may come, as a table with a column ``path``.

        Args:
            paths: of each series.
            data: as of :meth:`predict`.
            future: the same.
            seed: of the draws.
        """
        from recurra.tasks.forecasting.frames import frame_like, next_stamps

        check_size("paths", paths)
        check_size("seed", seed, 0)
        tracks = self._fitted().whole(data)
        columns: dict[str, list[Any]] = {}
        for track, (_, drawn) in zip(
            tracks.each, self.model_.simulate(paths, tracks, future=future, seed=seed), strict=True
        ):
            stamps = next_stamps(track, self.model_.panel, tracks.zone)
            own: dict[str, Any] = {}
            if tracks.roles.id is not None:
                own[tracks.roles.id] = [tracks.ids[track.name]] * (paths * len(stamps))
            own[tracks.roles.time or "ds"] = np.tile(stamps, paths)
            own["path"] = np.repeat(np.arange(paths), len(stamps))
            for number, channel in enumerate(self.model_.panel.channels):
                own[channel] = drawn[:, :, number].ravel()
            for name, values in own.items():
                columns.setdefault(name, []).append(values)
        return frame_like({name: np.concatenate(parts) for name, parts in columns.items()}, tracks)

    def update(self, data: Any) -> Self:
        """Go on with what has come since; nothing is trained.

        Args:
            data: a table with rows behind those that are known, or of further series.
        """
        self._fitted().update(data)
        return self

    def cross_validation(
        self,
        data: Any,
        *,
        n_windows: int = 1,
        step_size: int | None = None,
        refit: bool | int = False,
        level: Sequence[float] = (80,),
    ) -> Any:
        """Forecasts from several places, each with what came before it.

        The last of them has the horizon before the end, the one before it ``step_size`` fewer.

        Args:
            data: a table, as of :meth:`fit`.
            n_windows: places.
            step_size: steps from one to the next; the horizon if None.
            refit: whether the model is trained again at each place (True), at every so many (a
                number), or at the first alone (False).
            level: of the intervals, in percent.

        Returns:
            a table of all forecasts, with ``cutoff`` and what came, called as the column that is
            forecast.
        """
        from recurra.tasks.forecasting.rolling import rolled

        step = self.horizon if step_size is None else step_size
        other = type(self)(**self.get_params() | {"out": None})  # this one stays as it is
        found = rolled(other, data, n_windows, step, refit, level)
        if not hasattr(self, "model_"):
            self.verdict_ = other.verdict_
        return found

    @property
    def name(self) -> str:
        """What its column is called: the cell, or what stands in place of recurrence."""
        if hasattr(self, "model_"):
            return str(self.model_.model.name)
        body = self._named().get("body", "recurrent")
        return str(self.cell if body == "recurrent" else body)

    def _fitted(self) -> Any:
        if not hasattr(self, "model_"):
            raise SettingError("Forecaster: is not fitted yet; call fit(data) first")
        return self.model_

    # ---- as others do ----------------------------------------------------------------------------

    @classmethod
    def load(cls, run: str | Path) -> Self:
        """The forecaster of a run, with its settings.

        Raises:
            ArtifactError: there is none, or it is damaged.
            SettingError: a run of another task.
        """
        from recurra.artifact import run_folder
        from recurra.doors import load
        from recurra.training import load_recipe, run_source

        model = load(run)
        if model.kind != "forecasting":
            raise SettingError(f"Forecaster: {run} is a run of the task {model.kind}")
        recipe, _ = run_source(run_folder(run))
        usual = load_recipe("forecasting")
        chosen: dict[str, Any] = {}
        for section in ("data", "model", "training"):
            own, other = getattr(recipe, section), getattr(usual, section)
            for name in type(own).model_fields:
                if getattr(own, name) != getattr(other, name):
                    chosen[name] = getattr(own, name)
        for name in ("split", "test_steps", "validation"):  # as a fit says them by itself
            chosen.pop(name, None)
        chosen |= {"random_state": chosen.pop("seed", 0), "target": chosen.pop("channels", None)}
        chosen.setdefault("learning_rate", recipe.training.learning_rate)
        settings = {name: chosen.pop(name) for name in [*chosen] if name not in cls._parameters()}
        if isinstance(chosen.get("look_back"), str):
            settings["look_back"] = chosen.pop("look_back")
        found = cls(**chosen, settings=settings or None)
        found.model_ = model
        return found

    def save(self, path: str | Path) -> Path:
        """Copy the run, and what came since, with which :meth:`load` begins.

        Args:
            path: a folder that is not there yet.

        Raises:
            DataError: it is there already.
        """
        from recurra.artifact import run_folder
        from recurra.tasks.forecasting.history import keep_history

        if Path(path).exists():
            raise DataError(f"{path}: is there already; expected a folder that is not.")
        model = self._fitted()
        shutil.copytree(run_folder(model.path), path)
        keep_history(Path(path), model.history, model.panel)  # with what came since
        return Path(path)

    def __getstate__(self) -> dict[str, Any]:
        """What is learned lies in a run.

        Raises:
            SettingError: it is fitted.
        """
        if hasattr(self, "model_"):
            raise SettingError(
                "Forecaster: a fitted one is not pickled or copied, its run is a folder; "
                "save(folder) and Forecaster.load(folder) instead"
            )
        return dict(self.__dict__)


@contextmanager
def _few_threads(size: int) -> Iterator[None]:
    """One thread while a small network is trained: several would wait for each other."""
    import torch

    before = torch.get_num_threads()
    if size <= _SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _several(setting: str, names: Any) -> list[str]:
    """Names of columns.

    Raises:
        SettingError: something else.
    """
    if isinstance(names, str):
        return [names]
    if not isinstance(names, Iterable):
        raise SettingError(f"{setting}: expected names of columns, got {names!r}")
    return list(names)
