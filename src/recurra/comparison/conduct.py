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
    opened(recipe.of_task, source, recipe.data, recipe.data.given)
    varied = sorted({each for variant in variants for each in variant.settings})
    identity = shared_settings(recipe, varied, source) | {"varied": varied}
    with Study(out, identity) as study:
        first = recipe.training.seed
        wanted = [(each, first + n) for n in range(seeds) for each in variants]
        jobs_of = [(_job(study, each, seed, data, modules), each, seed) for each, seed in wanted]
        names = [job.name for job, _, _ in jobs_of]
        kept = _Kept(study, recipe.of_task.metric, recipe.task, names)
        todo = []
        for job, variant, seed in jobs_of:
            if not kept.is_known(job, variant, seed):
                todo.append((job, variant, seed))
        kept.write()
        told = {job.name: (variant, seed) for job, variant, seed in todo}
        board = shown(len(wanted), len(kept.runs), jobs)
        runner = runner or ProcessRunner(min(jobs, max(len(todo), 1)), study.held)
        with Crew(runner, board) as crew:
            for job, _, _ in todo:
                crew.submit(job)
            for job, event in crew.events():
                if isinstance(event, Outcome):
                    kept.take(job, *told[job.name], event)
                    kept.check_data()
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


def _job(study: Study, variant: Variant, seed: int, data: bytes, imports: Sequence[str]) -> Job:
    name = "/".join(filter(None, [variant.name, f"seed-{seed}"]))
    recipe = variant.seeded(seed).model_dump()
    return Job(name, study.path / name, recipe, data, tuple(imports))


class _Kept:
    """What is known of a comparison while it goes on; in its file after every run."""

    def __init__(self, study: Study, metric: Metric, task: str, wanted: Sequence[str]) -> None:
        self.study, self.metric, self.task, self.wanted = study, metric, task, wanted
        self.runs: list[RunResult] = []
        self.failed: dict[str, str] = {}
        before = study.known.get("runs")
        self._before = {run["name"]: run for run in before} if isinstance(before, list) else {}

    def is_known(self, job: Job, variant: Variant, seed: int) -> bool:
        """Whether a run is finished already; then it is taken."""
        try:
            if state_of(job.path, variant.seeded(seed)) != "finished":
                return False
            found = self._before.get(job.name) or result_of(job.path)
            self._add(job, variant, seed, found)
        except (RecurraError, OSError) as problem:
            self.failed[job.name] = str(problem)
        return True

    def take(self, job: Job, variant: Variant, seed: int, outcome: Outcome) -> None:
        """What became of a run."""
        if outcome.state == "done":
            self._add(job, variant, seed, outcome.result)
        elif outcome.state == "failed":
            self.failed[job.name] = outcome.reason
        self.write()

    def _add(self, job: Job, variant: Variant, seed: int, found: Mapping[str, Any]) -> None:
        own = {"name": job.name, "settings": dict(variant.settings), "seed": seed}
        self.runs.append(RunResult(**{**found, **own}))

    @property
    def comparison(self) -> Comparison:
        """As far as it is."""
        missing = len(self.wanted) - len(self.runs) - len(self.failed)
        runs = tuple(sorted(self.runs, key=lambda run: self.wanted.index(run.name)))
        rows, rivals = compared(runs, self.metric)
        failed = dict(self.failed)
        return Comparison(
            self.study.path, self.task, self.metric, rows, rivals, runs, failed, missing
        )

    def write(self) -> None:
        """Keep it."""
        self.study.write(self.comparison.to_json())

    def check_data(self) -> None:
        """Refuse to compare runs that read the same way and were trained on different data."""
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
