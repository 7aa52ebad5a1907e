"""A comparison from beginning to end: every variant with every seed, side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recurra.comparison.crew import Crew
from recurra.comparison.display import Board
from recurra.comparison.modules import modules_of
from recurra.comparison.results import Comparison, RunResult, VariantRow, compared, result_of
from recurra.comparison.runner import Job, Outcome, ProcessRunner, Runner, cores, packed
from recurra.comparison.study import FILE, Study, flat, read_study, state_of
from recurra.comparison.variants import Variant, variants_of
from recurra.errors import ArtifactError, DataError, RecurraError
from recurra.settings import check_size
from recurra.tasks.base import Metric
from recurra.training import place_of
from recurra.training.recipe import Recipe
from recurra.training.runs import opened

__all__ = [
    "Shown",
    "compare_variants",
    "default_jobs",
    "modules_for",
    "read_comparison",
    "shared_settings",
]

_SEED = "training.seed"
Shown = Callable[[int, int, int], Board]
"""Makes a board of so many runs in all, done, and at a time."""


def compare_variants(
    recipe: Recipe,
    source: Any,
    out: str | Path,
    *,
    vary: Mapping[str, Sequence[Any]] | None = None,
    rivals: Sequence[str] = (),
    seeds: int = 1,
    jobs: int | None = None,
    imports: Sequence[str] | None = None,
    shown: Shown = Board,
    runner: Runner | None = None,
    name: str = "",
) -> Comparison:
    """Train every combination of values with every seed, each a run in a folder of its own.

    Done again it goes on: finished runs stay, interrupted ones go on, failed ones are tried again.

    Args:
        recipe: what all have in common; its seed is the first one.
        source: what the task reads: paths, or objects that can be pickled.
        out: folder of the comparison: absent, empty, or the same one before.
        vary: values by setting, as ``{"model.cell": ["lstm", "gru"]}``.
        rivals: values of ``model.body``, each one more variant.
        seeds: runs of each variant.
        jobs: runs at a time, one thread each; as many as there are cores if None.
        imports: modules for the processes; those that define what is named if None.
        shown: makes what shows how it goes.
        runner: who makes the runs; processes of this machine if None.
        name: what errors call the recipe.

    Raises:
        SettingError: a value that cannot be, of any variant, before the first run begins.
        DataError: data that are not there, or others than those of runs that are finished.
        RunError: the folder holds something else, or cannot be written.
    """
    check_size("seeds", seeds)
    jobs = default_jobs(recipe) if jobs is None else jobs
    check_size("jobs", jobs)
    variants = variants_of(recipe, vary or {}, rivals, name or recipe.task)
    data, modules = packed(source), modules_for([each.recipe for each in variants], imports)
    examples = opened(recipe.of_task, source, recipe.data, recipe.data.given)
    varied = sorted({each for variant in variants for each in variant.settings})
    identity = shared_settings(recipe, varied, source) | {"varied": varied}
    first = recipe.training.seed
    every = [(variant, first + number) for number in range(seeds) for variant in variants]
    with Study(out, identity) as study:
        planned = [_Planned(study, *each, data, modules) for each in every]
        kept = _Kept(study, recipe.of_task.metric, recipe.task, planned)
        board = shown(len(planned), len(kept.runs), jobs)
        if why := recipe.of_task.unpaired(examples, recipe.data):
            board.say(f"Two of these runs will not be compared in pairs: {why}")
        runner = runner or ProcessRunner(min(jobs, max(len(kept.todo), 1)), study.held)
        with Crew(runner, board) as crew:
            for job in kept.todo:
                crew.submit(job)
            for job, event in crew.events():
                if isinstance(event, Outcome):
                    kept.take(job, event)
        kept.draw(board)
        return dataclasses.replace(kept.comparison, interrupted=crew.stopped)


def modules_for(recipes: Sequence[Recipe], given: Sequence[str] | None) -> tuple[str, ...]:
    """Modules that are given, or those that define what recipes name."""
    return modules_of(recipes) if given is None else tuple(given)


def default_jobs(recipe: Recipe) -> int:
    """As many runs at a time as there are cores; one on another device."""
    return cores() if recipe.training.device == "cpu" else 1


def shared_settings(recipe: Recipe, varied: Sequence[str], source: Any) -> dict[str, Any]:
    """What makes a comparison the same one: where its data are, and all that is not varied."""
    settings = flat(recipe.model_dump())
    return {"source": place_of(source)} | {k: v for k, v in settings.items() if k not in varied}


def read_comparison(path: str | Path) -> Comparison:
    """A comparison of before, from its folder.

    Raises:
        ArtifactError: there is none, or it is damaged.
    """
    path = Path(path)
    told = read_study(path)
    try:
        return Comparison(
            path,
            told["task"],
            Metric(**told["metric"]),
            tuple(VariantRow(**row) for row in told["rows"]),
            tuple(VariantRow(**row) for row in told["rivals"]),
            tuple(RunResult(**run) for run in told["runs"]),
            told["failed"],
            told["missing"],
        )
    except (KeyError, TypeError) as problem:
        raise ArtifactError(f"{path / FILE}: damaged ({problem}).") from None


class _Planned:
    """A run of a comparison: which variant, which seed, and what is to be done for it."""

    def __init__(
        self, study: Study, variant: Variant, seed: int, data: bytes, modules: tuple[str, ...]
    ) -> None:
        self.variant, self.seed, self.recipe = variant, seed, variant.seeded(seed)
        name = "/".join(filter(None, [variant.name, f"seed-{seed}"]))
        self.job = Job(name, study.path / name, self.recipe.model_dump(), data, modules)

    def result(self, found: Mapping[str, Any]) -> RunResult:
        """What it came to."""
        own = {"name": self.job.name, "settings": dict(self.variant.settings), "seed": self.seed}
        return RunResult(**{**found, **own})


class _Kept:
    """What is known of a comparison while it goes on; in its file after every run."""

    def __init__(
        self, study: Study, metric: Metric, task: str, planned: Sequence[_Planned]
    ) -> None:
        self.study, self.metric, self.task = study, metric, task
        self._planned = {each.job.name: each for each in planned}
        self._found: dict[str, RunResult] = {}
        self.failed: dict[str, str] = {}
        before = study.known.get("runs")
        known = {run["name"]: run for run in before} if isinstance(before, list) else {}
        for each in planned:
            self._look(each, known.get(each.job.name))
        self.write()

    @property
    def runs(self) -> tuple[RunResult, ...]:
        """Those that are finished, in the order of the plan."""
        return tuple(self._found[name] for name in self._planned if name in self._found)

    @property
    def todo(self) -> list[Job]:
        """Those that are not finished, and have not failed."""
        known = {*self._found, *self.failed}
        return [each.job for name, each in self._planned.items() if name not in known]

    def _look(self, planned: _Planned, known: Mapping[str, Any] | None) -> None:
        """Take a run that is finished already."""
        path = planned.job.path
        try:
            if state_of(path, planned.recipe) == "finished":
                self._found[planned.job.name] = planned.result(known or result_of(path))
        except (RecurraError, OSError) as problem:
            self.failed[planned.job.name] = str(problem)

    def take(self, job: Job, outcome: Outcome) -> None:
        """What became of a run.

        Raises:
            DataError: it was trained on other data than one that reads the same way.
        """
        if outcome.state == "done":
            self._found[job.name] = self._planned[job.name].result(outcome.result)
        elif outcome.state == "failed":
            self.failed[job.name] = outcome.reason
        self.write()
        self._check_data()

    @property
    def comparison(self) -> Comparison:
        """As far as it is."""
        runs, failed = self.runs, dict(self.failed)
        rows, rivals = compared(runs, self.metric)
        missing = len(self.todo)
        return Comparison(
            self.study.path, self.task, self.metric, rows, rivals, runs, failed, missing
        )

    def write(self) -> None:
        """Keep it."""
        self.study.write(self.comparison.to_json())

    def _check_data(self) -> None:
        seen: dict[str, RunResult] = {}
        for run in self.runs:
            how = str({k: v for k, v in run.settings.items() if k.startswith("data.")})
            other = seen.setdefault(how, run)
            if run.data != other.data:
                raise DataError(
                    f"{self.study.path}: {run.name} and {other.name} were trained on different "
                    "data, so that nothing can be compared. Give the same data as before, or "
                    "choose another --out."
                )

    def draw(self, board: Board) -> None:
        """The picture; no comparison fails by it."""
        from recurra.diagnosis import pictures

        if not self.runs:
            return
        try:
            pictures(self.study.path)["compare"].save(self.study.path / "compare.svg")
        except Exception as problem:  # also what the library makes of a machine it does not know
            said = " ".join(str(problem).split())[:300]
            board.say(f"no picture of the comparison: {said or type(problem).__name__}")
