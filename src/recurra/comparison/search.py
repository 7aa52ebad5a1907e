"""A search for settings by Optuna, on the validation part, with the same runs as a comparison."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recurra.comparison.conduct import Shown, default_jobs, modules_for, shared_settings
from recurra.comparison.crew import Crew
from recurra.comparison.display import Board
from recurra.comparison.runner import Job, Outcome, ProcessRunner, Runner, Told, packed
from recurra.comparison.searched import SEARCH, Searched, Trial
from recurra.comparison.space import Space, checked_space
from recurra.comparison.study import Study, state_of
from recurra.comparison.variants import check_variant
from recurra.errors import SettingError
from recurra.files import write_file
from recurra.settings import check_size
from recurra.training.recipe import Recipe, as_toml, changed
from recurra.training.runs import opened

__all__ = ["search_settings"]

_BASE = "search.db"
_REPEATS = 20  # proposals of what was tried already, after which there seems to be nothing else


def search_settings(
    recipe: Recipe,
    source: Any,
    out: str | Path,
    *,
    trials: int,
    space: Mapping[str, Any],
    jobs: int | None = None,
    imports: Sequence[str] | None = None,
    shown: Shown = Board,
    runner: Runner | None = None,
    name: str = "",
) -> Searched:
    """Look for the settings with the best validation; the held-out part is never asked.

    Optuna (Akiba et al. 2019) proposes them and ends those early that are worse than half of the
    others. Done again it goes on until there are so many trials.

    Args:
        recipe: what is not searched.
        source: as of :func:`recurra.comparison.compare_variants`, and the others too.
        out: folder of the search.
        trials: how many, those of before included.
        space: by setting a list of choices, or a tuple (low, high) or (low, high, "log").
        jobs: runs at a time.
        imports: modules for the processes; those that define what is named if None.
        shown: makes what shows how it goes.
        runner: who makes the runs.
        name: what errors call the recipe.

    Raises:
        SettingError: a setting or value that cannot be, no validation part, or no Optuna.
        DataError: data that are not there.
        RunError: the folder holds something else, or cannot be written.
    """
    check_size("search", trials)
    library = _library()
    if recipe.data.validation is False:
        raise SettingError("search: data.validation=false leaves nothing to choose by")
    jobs = default_jobs(recipe) if jobs is None else jobs
    check_size("jobs", jobs)
    spaces = checked_space(recipe, space, name or recipe.task)
    data, modules = packed(source), modules_for([recipe], imports)
    opened(recipe.of_task, source, recipe.data, recipe.data.given)
    words = {setting: str(each) for setting, each in spaces.items()}
    identity = shared_settings(recipe, list(spaces), source) | {"space": words}
    with Study(out, identity, SEARCH) as study:
        search = _Search(library, study, recipe, spaces, trials)
        board = shown(trials, search.ended, jobs)
        runner = runner or ProcessRunner(jobs, study.held)
        with Crew(runner, board) as crew:
            for number, settings in search.begun():
                crew.submit(search.job(number, settings, data, modules))
            search.fill(crew, jobs, data, modules)
            for job, event in crew.events():
                search.take(job, event, runner)
                board.done = search.ended
                if isinstance(event, Outcome) and not crew.stopped:
                    search.fill(crew, jobs, data, modules)
        search.write()
        return dataclasses.replace(search.found, interrupted=crew.stopped)


class _Search:
    """A study of Optuna's, and what its trials came to."""

    def __init__(
        self, library: Any, study: Study, recipe: Recipe, spaces: Mapping[str, Space], wanted: int
    ) -> None:
        self.library, self.study, self.recipe = library, study, recipe
        self.wanted = min(wanted, math.prod(space.size for space in spaces.values()))
        self.spaces = spaces
        self.metric = recipe.of_task.metric
        self.trials = [Trial(**each) for each in study.known.get("trials", ())]
        self.running: dict[str, Any] = {}
        self._pruned: set[str] = set()
        self._distributions = {name: _distribution(library, s) for name, s in spaces.items()}
        self.optuna = self._open()
        self.write()

    def _open(self) -> Any:
        library = self.library
        library.logging.set_verbosity(library.logging.WARNING)
        url = f"sqlite:///{self.study.path.absolute() / _BASE}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", library.exceptions.ExperimentalWarning)
            storage = library.storages.RDBStorage(url)
            found = library.create_study(
                study_name="recurra",
                storage=storage,
                load_if_exists=True,
                direction="minimize" if self.metric.less else "maximize",
                pruner=library.pruners.MedianPruner(n_warmup_steps=1),
            )
            seed = (self.recipe.training.seed + len(found.trials)) % 2**32  # not the same again
            found.sampler = library.samplers.TPESampler(seed=seed, constant_liar=True)
        return found

    @property
    def ended(self) -> int:
        """Trials that are over."""
        return sum(trial.state.is_finished() for trial in self.optuna.trials)

    def begun(self) -> list[tuple[int, Mapping[str, Any]]]:
        """Trials that were interrupted; one that was killed before it had its settings is none."""
        found = []
        for frozen in self.optuna.trials:
            if frozen.state.is_finished():
                continue
            if set(frozen.params) == set(self.spaces):
                self.running[_name(frozen.number)] = self.library.trial.Trial(
                    self.optuna, frozen._trial_id
                )
                found.append((frozen.number, frozen.params))
            else:
                self._fail(frozen.number)
        return found

    def fill(self, crew: Crew, jobs: int, data: bytes, modules: Sequence[str]) -> None:
        """Begin trials until there are enough at once, or in all, or nothing new is proposed."""
        again = 0
        while len(self.running) < jobs and self._tried < self.wanted and again < _REPEATS:
            trial = self.optuna.ask(self._distributions)
            if self._repeated(trial):
                again += 1
                continue
            again = 0
            try:
                recipe = changed(self.recipe, trial.params, self.recipe.task)
                check_variant(trial.params, recipe)
            except SettingError as problem:  # each of its settings can be, but not together
                self._fail(trial.number, trial.params, str(problem))
                continue
            self.running[_name(trial.number)] = trial
            crew.submit(self.job(trial.number, trial.params, data, modules))

    @property
    def _tried(self) -> int:
        """How many different settings there were."""
        every = self.optuna.get_trials(deepcopy=False)
        whole = (trial.params for trial in every if set(trial.params) == set(self.spaces))
        return len({repr(sorted(params.items())) for params in whole})

    def _repeated(self, trial: Any) -> bool:
        """Settings that were tried already end as they did then; nothing is run for that."""
        states = self.library.trial.TrialState
        for other in self.optuna.get_trials(deepcopy=False):
            if other.number != trial.number and other.params == trial.params:
                over = other.state if other.state.is_finished() else states.FAIL
                value = other.value if over == states.COMPLETE else None
                self.optuna.tell(trial.number, value, state=over)
                return True
        return False

    def job(
        self, number: int, settings: Mapping[str, Any], data: bytes, modules: Sequence[str]
    ) -> Job:
        """The run of a trial."""
        recipe = changed(self.recipe, settings, self.recipe.task)
        path = self.study.path / _name(number)
        state_of(path, recipe)  # a folder with another run is said at once
        return Job(_name(number), path, recipe.model_dump(), data, tuple(modules))

    def take(self, job: Job, event: Told | Outcome, runner: Runner) -> None:
        """What a trial tells, or how it ended."""
        trial = self.running.get(job.name)
        if trial is None:
            return
        if isinstance(event, Told):
            self._report(job.name, trial, event, runner)
            return
        del self.running[job.name]
        value = event.result.get("validation")
        if event.state == "done" and value is not None and math.isfinite(value):
            self.optuna.tell(trial.number, value)
            self._add(Trial(job.name, trial.params, "done", value, dict(event.result)))
        elif event.state == "interrupted" and job.name in self._pruned:
            self.optuna.tell(trial.number, state=self.library.trial.TrialState.PRUNED)
            self._add(Trial(job.name, trial.params, "pruned"))
        elif event.state != "interrupted":
            reason = event.reason or "its validation is no finite number"
            self._fail(trial.number, trial.params, reason)

    def _report(self, name: str, trial: Any, told: Told, runner: Runner) -> None:
        """A point of the validation curve, by the number of the evaluation."""
        if told.validation is None or not told.steps or name in self._pruned:
            return
        at = round(told.step / told.steps * self.recipe.training.evaluations)
        known = self.optuna.get_trials(deepcopy=False)[trial.number].intermediate_values
        if at not in known:
            trial.report(told.validation, at)
        if told.step < told.steps and trial.should_prune():
            self._pruned.add(name)
            runner.stop(name)

    def _fail(
        self, number: int, settings: Mapping[str, Any] | None = None, reason: str = ""
    ) -> None:
        self.optuna.tell(number, state=self.library.trial.TrialState.FAIL)
        if settings is not None:
            self._add(Trial(_name(number), dict(settings), "failed", reason=reason))

    def _add(self, trial: Trial) -> None:
        self.trials = [each for each in self.trials if each.name != trial.name] + [trial]
        self.write()

    @property
    def found(self) -> Searched:
        """As far as it is."""
        words = {name: str(space) for name, space in self.spaces.items()}
        return Searched(self.study.path, self.recipe.task, self.metric, words, tuple(self.trials))

    def write(self) -> None:
        """Keep it, and the recipe of the best."""
        found = self.found
        self.study.write(found.to_json())
        if found.ranked:
            recipe = changed(self.recipe, found.best.settings, self.recipe.task)
            write_file(found.recipe, as_toml(recipe.model_dump()).encode())


def _name(number: int) -> str:
    return f"trial-{number:04d}"


def _distribution(library: Any, space: Space) -> Any:
    known = library.distributions
    if space.choices:
        return known.CategoricalDistribution(space.choices)
    if space.whole:
        return known.IntDistribution(int(space.low), int(space.high), log=space.log)
    return known.FloatDistribution(space.low, space.high, log=space.log)


def _library() -> Any:
    try:
        import optuna
    except ImportError as problem:
        raise SettingError(
            f"search: needs the library optuna, which cannot be imported ({problem}); pip install "
            "'recurra[search]' brings it."
        ) from None
    return optuna
