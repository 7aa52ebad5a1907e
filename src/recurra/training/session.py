"""A training from beginning to end, of any task: from data to a run that can answer."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

import torch

from recurra import artifact
from recurra.artifact import Artifact
from recurra.data import Batches
from recurra.diagnosis.charts import of_run
from recurra.errors import ArtifactError, DataError, RunError, SettingError
from recurra.models import Model
from recurra.training.at_once import make_at_once
from recurra.training.distil import load_teachers, teachers_again
from recurra.training.interrupts import interruptible
from recurra.training.keeper import Keeper, Ready, Report, tensorboard_writer
from recurra.training.length import longer, passes_of, predictions_of
from recurra.training.loop import Training
from recurra.training.optimizers import check_device, optimizer_of
from recurra.training.origin import ORIGIN, Others, begin_with
from recurra.training.processes import processes
from recurra.training.recipe import Recipe, TrainingSettings, unread, without_effect
from recurra.training.rehearsal import rehearse
from recurra.training.run import DATA, RunFolder, TrainingState
from recurra.training.runs import name_of, opened, run_recipe, source_of
from recurra.twins import without_memory

__all__ = ["Report", "Trained", "resume", "train", "try_settings"]

_VALIDATED = 0.5  # predictions that all evaluations score, as a share of those that are trained on
_LEAST_SCORED = 1000  # by an evaluation: fewer say too little
_OTHERS = ("from", "teachers")  # models of other runs, as data.json and each artifact tell them
_MAY_CHANGE = ("training.symbols", "training.epochs", "training.minimum_steps", "training.device")


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a training left.

    Args:
        path: the run's folder.
        evaluations: scores on the test part, recurrent model first; empty if interrupted, and in
            processes beside the main one.
        interrupted: whether Ctrl-C stopped it; the run is usable all the same.
        seconds: time from the first step to the last, evaluations included.
        verdict: whether the model fits too little, too much or well; empty if interrupted.
    """

    path: Path
    evaluations: list[Any]
    interrupted: bool
    seconds: float
    verdict: str = ""


def train(
    recipe: Recipe,
    source: Any,
    out: str | Path,
    report: Callable[[Report], None] = lambda report: None,
    *,
    place: str | list[str] | None = None,
    origin: Artifact | None = None,
) -> Trained:
    """Train a model and its rivals on the same data, and score them on what is held out.

    Args:
        recipe: every setting.
        source: what the task reads: a path, or objects; it may be read several times.
        out: folder of the run, absent or empty.
        report: is told how it goes.
        place: where the data come from, which the run remembers; a list where there are several.
        origin: a trained model whose weights and fronts the run begins with, see
            :func:`recurra.training.load_recipe`; the run keeps a copy.

    Raises:
        DataError: too little data, or something wrong in it.
        RunError: the folder cannot be written, or the loss is no longer finite.
        SettingError: a setting that the model does not take, or that is not that of the origin.
        ArtifactError: a teacher is not there or damaged.
    """
    others = Others(origin, load_teachers(recipe.distil.teachers))
    others.check(recipe)
    source = _open(recipe, source)  # what is not there makes no folder
    try_settings(recipe)
    report = report if processes().main else _silent
    for told in without_effect(recipe):
        report(Report(message=told))
    run = RunFolder(out)
    run.claim()  # before anything is taken away: another process may be making the same run
    try:
        # Killed while the data are read, it can go on as any other run.
        kept = {"source": place, "blake2b": None, "versions": _versions(), **others.told()}
        if origin is not None:
            run.write_origin(origin.path)
        run.write_json("data.json", kept)
        run.write_recipe(recipe.model_dump())
        ready = _prepare(recipe, source, run, report, others)
        training = _begin(recipe, ready) if ready.task.by_steps else None
        run.write_json("data.json", kept | {"blake2b": ready.prepared.fingerprint})
        if run.writes:
            ready.task.keep(ready.prepared, run.path)
        report(Report(message=_sizes(ready, training)))
        for told in unread(recipe, ready.prepared):
            report(Report(message=told))
        if training is not None:
            rehearse(run, training, ready)
        rivals = _rivals(recipe, ready, run, report)
    except BaseException:  # Ctrl-C: nothing was learned yet, and the folder is free again
        run.remove()
        run.release()
        raise
    try:
        if training is None:
            return _make(recipe, ready, run, report, rivals)
        return _train(Keeper(run, training, ready, report), ready, rivals)
    finally:
        run.drop_data()
        run.release()


def resume(
    path: str | Path,
    source: Any,
    report: Callable[[Report], None] = lambda report: None,
    *,
    recipe: Recipe | None = None,
) -> Trained:
    """Go on with a run from its last checkpoint, as if it had never stopped.

    Args:
        path: the run.
        source: the same data as before.
        report: is told how it goes.
        recipe: the run's own if None. Another may only train for longer (``training.symbols``,
            ``training.epochs``), or elsewhere (``training.device``).

    Raises:
        DataError: the data are not those of the run.
        SettingError: the recipe differs in what may not differ.
        ArtifactError: the last checkpoint is damaged.
        RunError: the run is at its end, cannot be written, or the loss is no longer finite.
    """
    report = report if processes().main else _silent
    run = RunFolder.open(path)
    own = run_recipe(run)
    recipe = recipe or own
    source = _open(recipe, source)
    _check_same(own, recipe)
    try_settings(recipe)
    run.claim()
    try:
        last = run.last_training()
        if recipe == own:  # said before all of the data are read
            _check_end(run, recipe, last)
        try:
            return _resume(recipe, source, run, report, last)
        finally:
            run.drop_data()
    finally:
        run.release()


def _resume(
    recipe: Recipe,
    source: Any,
    run: RunFolder,
    report: Callable[[Report], None],
    last: tuple[Path, TrainingState] | None,
) -> Trained:
    told = source_of(run)
    begun = artifact.load(run.path / ORIGIN) if "from" in told else None
    others = Others(begun, teachers_again(told.get("teachers", [])))
    scored = last and last[1][1].get("scored")
    ready = _prepare(recipe, source, run, report, others, scored)
    if told.get("blake2b") is None and last is None:  # it was killed before its data were read
        told["blake2b"] = ready.prepared.fingerprint
        run.write_json("data.json", told)
    if told.get("blake2b") != ready.prepared.fingerprint:
        raise DataError(
            f"{run.path}: these are not the data that this run was trained on. Give the same "
            "files, unchanged, or begin a new run."
        )
    if not ready.task.by_steps:
        _check_end(run, recipe, last)
        run.rewind(-1, None)
        return _make(recipe, ready, run, report, _rivals(recipe, ready, run, report))
    training = _begin(recipe, ready)
    keeper = Keeper(run, training, ready, report)
    if last is not None:
        folder, (tensors, facts) = last
        loaded = artifact.load(folder)
        try:
            training.model.load_state_dict(loaded.model.state_dict())
            training.load(tensors, facts)
            keeper.load(facts)
        except (KeyError, ValueError, TypeError, RuntimeError) as problem:
            said = " ".join(str(problem).split())  # torch takes several lines
            raise ArtifactError(
                f"{folder}: what it has does not fit {run.path / 'recipe.json'} ({said})."
            ) from None
    else:
        rehearse(run, training, ready)
    _check_end(run, recipe, last, training.steps)
    run.rewind(training.step if last is not None else -1, keeper.chosen)
    run.write_recipe(recipe.model_dump())
    report(Report(message=f"going on after step {training.step:,} of {training.steps:,}"))
    # Before the first checkpoint it may have been killed while they were counted or written.
    rivals = ready.task.read_rivals(run.path) if last is not None else {}
    rivals = rivals or _rivals(recipe, ready, run, report)
    return _train(keeper, ready, rivals)


def _check_end(
    run: RunFolder,
    recipe: Recipe,
    last: tuple[Path, TrainingState] | None,
    steps: int | None = None,
) -> None:
    """Refuse to go on with a run that has nothing left to do.

    Args:
        run: the run.
        recipe: how it would go on.
        last: its last checkpoint.
        steps: in all; as the checkpoint knows them if None.
    """
    if last is None or not (run.path / "summary.json").exists():
        return
    facts = last[1][1]
    step, since = int(facts["step"]), int(facts["since"])
    steps = int(facts["steps"]) if steps is None else steps
    if not recipe.of_task.by_steps:
        raise RunError(f"{run.path}: is at its end: it was made at once. Begin a new run.")
    said = f"{run.path}: is at its end ({step} of {steps} steps)"
    if step >= steps:
        passes = float(facts.get("passes", recipe.training.epochs))
        raise RunError(f"{said}. To go on for longer say how long in all: {longer(passes)}.")
    if recipe.training.early_stop is not None and since >= recipe.training.early_stop:
        raise RunError(f"{said}: it was no better for {since} evaluations (training.early_stop).")


def _open(recipe: Recipe, source: Any) -> Any:
    return opened(recipe.of_task, source, recipe.data, recipe.data.given)


def _versions() -> dict[str, str]:
    """Of what trains."""
    return {"recurra": version("recurra"), "torch": version("torch"), "python": python_version()}


def _silent(report: Report) -> None:
    """What processes beside the main one say."""


def try_settings(recipe: Recipe) -> None:
    """Build the model without memory: what cannot be is said before any data are read.

    Raises:
        SettingError: the model, the optimizer or this machine does not take a setting.
    """
    check_device(recipe.training.device)
    if recipe.training.tensorboard:
        tensorboard_writer()
    try:
        with without_memory():
            model = recipe.of_task.trial(recipe)
    except (NotImplementedError, RuntimeError):  # a cell that needs memory to be built
        return
    if model is not None:
        optimizer_of(model, recipe.training)


def _prepare(
    recipe: Recipe,
    source: Any,
    run: RunFolder,
    report: Callable[[Report], None],
    others: Others,
    scored_before: int | None = None,
) -> Ready:
    """The data of a training; one that goes on scores as much of the validation part as before."""
    folder, task, settings = run.path / DATA, recipe.of_task, recipe.training
    if not processes().main:  # each has files of its own
        folder /= str(processes().rank)

    def say(message: str) -> None:
        report(Report(message=message))

    if others.fronts is None:
        prepared = task.prepare(source, recipe.data, folder, say)
    else:
        prepared = task.prepare_in(source, others.fronts, recipe.data, folder, say)
    batches: Any = None
    part = prepared.parts.get("validation")
    scored = 0 if part is None else part.count
    if task.by_steps:
        batches = prepared.parts["training"].batches(
            rows=settings.batch_size, window=settings.window, seed=settings.seed
        )
        scored = min(scored, scored_before or _scored(settings, batches))
    about: dict[str, Any] = {
        "data": {"blake2b": prepared.fingerprint, "licence": recipe.data.licence},
        "command": _command(),
    }
    if run.writes:
        about |= {name: told for name, told in source_of(run).items() if name in _OTHERS}
    return Ready(task, prepared, batches, scored, about, others)


def _command() -> str | None:
    """What was typed, where the command line trains."""
    program = Path(sys.argv[0])
    named = program.name == "__main__.py" or program.stem == "recurra"
    return f"recurra {shlex.join(sys.argv[1:])}" if named else None


def _scored(settings: TrainingSettings, batches: Batches) -> int:
    """How many predictions of the validation part are scored each time, at most.

    Where a training is short beside its validation part, scoring all of it would take most of the
    time. A prediction that is scored costs about a third of one that is trained on.
    """
    trained = predictions_of(settings, batches)
    return max(_LEAST_SCORED, int(_VALIDATED * trained / settings.evaluations))


def _begin(recipe: Recipe, ready: Ready) -> Training:
    """The training before its first step; the same one each time."""
    torch.manual_seed(recipe.training.seed)
    model = ready.task.build(recipe.model, ready.prepared.fronts)
    if ready.others.origin is None:
        ready.task.begin(model, ready.prepared)
    else:
        begin_with(model, ready.others.origin)
    ready.task.check_data(model, ready.prepared)
    teachers = [teacher.model for teacher in ready.others.teachers]
    return Training(model, ready.batches, recipe.training, teachers, recipe.distil)


def _rivals(
    recipe: Recipe, ready: Ready, run: RunFolder, report: Callable[[Report], None]
) -> dict[str, Any]:
    """Fit models without memory and keep them."""
    if not run.writes:
        return {}
    found = ready.task.rivals(ready.prepared, recipe, lambda said: report(Report(message=said)))
    if found:
        ready.task.write_rivals(run.path, found)
    return found


def _check_same(own: Recipe, given: Recipe) -> None:
    """Only how long and where a run trains may change."""
    before, now = _flat(own.model_dump()), _flat(given.model_dump())
    for name, value in now.items():
        if name not in _MAY_CHANGE and value != before[name]:
            raise SettingError(
                f"{name}: the run has {before[name]!r}, which cannot become {value!r}; only "
                f"{', '.join(_MAY_CHANGE)} can. Begin a new run."
            )


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for section, values in settings.items():
        if isinstance(values, dict):
            found |= {f"{section}.{name}": value for name, value in values.items()}
        else:
            found[section] = values
    return found


def _train(keeper: Keeper, ready: Ready, rivals: Mapping[str, Any]) -> Trained:
    run, training = keeper.run, keeper.training
    try:
        with interruptible() as asked, keeper:
            keeper.begin()
            for done in () if keeper.stale() else training:  # it was killed after its last step
                if keeper(done, any(processes().total(asked()))) == "interrupted":
                    _draw(run, keeper.tell)
                    return Trained(run.path, [], True, training.seconds)
                if keeper.stale():
                    keeper.tell(f"no better for {keeper.since} evaluations: stopped")
                    break
    except RunError:  # it came apart: that is looked at too
        _draw(run, keeper.tell)
        raise
    if not run.writes:
        return Trained(run.path, [], False, training.seconds)
    keeper.tell("scoring what is held out")
    best = artifact.load(run.path, which="best").model
    joined = ready.task.joined(best, rivals, ready.prepared, keeper.tell)
    ready.task.write_joined(run.path, joined)
    test = ready.prepared.parts["test"]
    compared = {name_of(best): best, **rivals, **joined}
    evaluations = ready.task.evaluate(compared, test)
    verdict = keeper.verdict(best, evaluations)
    _keep_drawn(run, ready, compared, keeper.tell)
    _write_end(run, evaluations, verdict, keeper.tell)
    return Trained(run.path, evaluations, False, training.seconds, verdict)


def _make(
    recipe: Recipe,
    ready: Ready,
    run: RunFolder,
    report: Callable[[Report], None],
    rivals: Mapping[str, Any],
) -> Trained:
    """Of a task that makes its model at once; the main process does."""
    if not run.writes:
        return Trained(run.path, [], False, 0.0)

    def say(message: str) -> None:
        report(Report(message=message))

    model, seconds = make_at_once(recipe.model, ready, run, say)
    say("scoring what is held out")
    compared = {name_of(model): model, **rivals}
    evaluations = ready.task.evaluate(compared, ready.prepared.parts["test"])
    _keep_drawn(run, ready, compared, say)
    _write_end(run, evaluations, "", say)
    return Trained(run.path, evaluations, False, seconds)


def _write_end(
    run: RunFolder, evaluations: Sequence[Any], verdict: str, tell: Callable[[str], None]
) -> None:
    told = {
        "verdict": verdict,
        "scores": [{"name": r.name, "loss": r.loss, "value": r.value} for r in evaluations],
        "evaluations": [row.to_json() for row in evaluations],
    }
    run.write_json("summary.json", told)
    _draw(run, tell)


def _keep_drawn(
    run: RunFolder, ready: Ready, compared: Mapping[str, Any], tell: Callable[[str], None]
) -> None:
    """Keep what pictures show beside scores. No training fails by its pictures."""
    try:
        found = ready.task.to_draw(compared, ready.prepared)
        if found:
            run.write_json("pictures.json", found)
    except Exception as problem:
        said = " ".join(str(problem).split())[:300]
        tell(f"nothing is kept for pictures: {said or type(problem).__name__}")


def _draw(run: RunFolder, tell: Callable[[str], None]) -> None:
    """Draw how it went, if there is something to be seen. No training fails by its pictures."""
    if not run.writes or not (run.path / "log.csv").exists():
        return
    try:
        for name, chart in of_run.pictures(run.path).items():
            if name in of_run.AT_END:
                run.write(f"{name}.svg", chart.svg())
    except Exception as problem:  # also what the library makes of a machine it does not know
        said = " ".join(str(problem).split())[:300]
        tell(f"no picture of how it learned: {said or type(problem).__name__}")


def _sizes(ready: Ready, training: Training | None) -> str:
    said = [ready.prepared.sizes(ready.scored)]
    if padding := getattr(ready.batches, "padding", 0.0):
        said.append(f"{padding:.1%} of the batches is padding")
    if training is not None:
        said.append(f"{_parameters(training.model):,} parameters")
        for teacher in ready.others.teachers:
            said.append(f"a teacher of {_parameters(teacher.model):,}")
        passes = passes_of(training.settings, ready.batches)
        one = "pass" if passes == 1 else "passes"
        said.append(f"{training.steps:,} steps, {passes:,.4g} {one}")
    return "; ".join(said)


def _parameters(model: Model) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
