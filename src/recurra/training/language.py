"""The task ``language-model``: from texts to a run that can score and write."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch

from recurra import artifact
from recurra.batch import Batch
from recurra.data import Batches, Buckets, PartName, Windows, document_batches
from recurra.errors import ArtifactError, DataError, RunError, SettingError
from recurra.models import KneserNey, LanguageModel, LanguageModelConfig, Model, NGram
from recurra.training.corpus import CorpusPart, Source, prepare
from recurra.training.evaluation import Evaluation, compare_encoded
from recurra.training.interrupts import interruptible
from recurra.training.keeper import Keeper, Ready, Report, tensorboard_writer
from recurra.training.loop import Training
from recurra.training.optimizers import check_device, optimizer_of
from recurra.training.processes import processes
from recurra.training.recipe import (
    DataSettings,
    Recipe,
    TrainingSettings,
    changed,
    checked,
    without_effect,
)
from recurra.training.run import DATA, RunFolder, TrainingState
from recurra_runtime.vocabulary import END, START, UNKNOWN, Ids, Vocabulary

__all__ = [
    "Report",
    "Trained",
    "data_settings",
    "resume_language_model",
    "run_source",
    "train_language_model",
]

NGRAMS = {"bigram": 2, "5-gram": 5}
_VALIDATED = 0.5  # symbols that all evaluations score, as a share of those that are trained on
_LEAST_SCORED = 1000  # by an evaluation: fewer say too little
_MAY_CHANGE = ("training.symbols", "training.epochs", "training.device")


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a training left.

    Args:
        path: the run's folder.
        evaluations: scores of the held-out text, recurrent model first; empty if interrupted, and
            in processes beside the main one.
        interrupted: whether Ctrl-C stopped it; the run is usable all the same.
        seconds: time from the first step to the last, evaluations included.
        verdict: whether the model fits too little, too much or well; empty if interrupted.
    """

    path: Path
    evaluations: list[Evaluation]
    interrupted: bool
    seconds: float
    verdict: str = ""


def train_language_model(
    recipe: Recipe,
    source: Source,
    out: str | Path,
    report: Callable[[Report], None] = lambda report: None,
    *,
    place: str | None = None,
) -> Trained:
    """Train a language model and n-grams on the same text, and score them on what is held out.

    Args:
        recipe: every setting.
        source: documents, or their texts; they are read several times.
        out: folder of the run, absent or empty.
        report: is told how it goes.
        place: where the texts come from, which the run remembers.

    Raises:
        DataError: too little text, or something wrong in it.
        RunError: the folder cannot be written, or the loss is no longer finite.
        SettingError: a setting that the model does not take.
    """
    _try_settings(recipe)
    report = report if processes().main else _silent
    for told in without_effect(recipe):
        report(Report(message=told))
    run = RunFolder(out)
    try:
        run.claim()
        # Killed while the text is read, it can go on as any other run.
        run.write_json("data.json", {"source": place, "blake2b": None})
        run.write_recipe(recipe.model_dump())
        ready = _prepare(recipe, source, run, report)
        training = _begin(recipe, ready)
        run.write_json("data.json", {"source": place, "blake2b": ready.corpus.fingerprint})
        report(Report(message=_sizes(ready, training.model)))
        ngrams = _count(recipe, ready, run, report)
    except BaseException:  # Ctrl-C: nothing was learned yet, and the folder is free again
        run.remove()
        run.release()
        raise
    try:
        return _train(Keeper(run, training, ready, report), ready, ngrams)
    finally:
        run.drop_data()
        run.release()


def resume_language_model(
    path: str | Path,
    source: Source,
    report: Callable[[Report], None] = lambda report: None,
    *,
    recipe: Recipe | None = None,
) -> Trained:
    """Go on with a run from its last checkpoint, as if it had never stopped.

    Args:
        path: the run.
        source: the same documents as before.
        report: is told how it goes.
        recipe: the run's own if None. Another may only train for longer (``training.symbols``,
            ``training.epochs``), or elsewhere (``training.device``).

    Raises:
        DataError: the texts are not those of the run.
        SettingError: the recipe differs in what may not differ.
        ArtifactError: the last checkpoint is damaged.
        RunError: the run is at its end, cannot be written, or the loss is no longer finite.
    """
    report = report if processes().main else _silent
    run = RunFolder.open(path)
    own = run_recipe(run)
    recipe = recipe or own
    _check_same(own, recipe)
    _try_settings(recipe)
    run.claim()
    try:
        last = run.last_training()
        if recipe == own:  # said before all of the text is read
            _check_end(run, recipe, last)
        try:
            return _resume(recipe, source, run, report, last)
        finally:
            run.drop_data()
    finally:
        run.release()


def _resume(
    recipe: Recipe,
    source: Source,
    run: RunFolder,
    report: Callable[[Report], None],
    last: tuple[Path, TrainingState] | None,
) -> Trained:
    ready = _prepare(recipe, source, run, report, last and last[1][1].get("scored"))
    told = _source(run)
    if told.get("blake2b") is None and last is None:  # it was killed before its text was read
        told["blake2b"] = ready.corpus.fingerprint
        run.write_json("data.json", told)
    if told.get("blake2b") != ready.corpus.fingerprint:
        raise DataError(
            f"{run.path}: the text is not the one that this run was trained on. Give the same "
            "files, unchanged, or begin a new run."
        )
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
    _check_end(run, recipe, last, training.steps)
    run.rewind(training.step, keeper.chosen)
    run.write_recipe(recipe.model_dump())
    report(Report(message=f"going on after step {training.step:,} of {training.steps:,}"))
    # Before the first checkpoint it may have been killed while they were counted or written.
    ngrams = artifact.read_ngrams(run.path) if last is not None else {}
    ngrams = ngrams or _count(recipe, ready, run, report)
    return _train(keeper, ready, ngrams)


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
    said = f"{run.path}: is at its end ({step} of {steps} steps)"
    if step >= steps:
        rules = "epochs" if recipe.training.symbols is None else "symbols"
        raise RunError(f"{said}. To go on for longer set training.{rules} higher.")
    if recipe.training.early_stop is not None and since >= recipe.training.early_stop:
        raise RunError(f"{said}: it was no better for {since} evaluations (training.early_stop).")


def run_source(path: str | Path, changes: Iterable[str] = ()) -> tuple[Recipe, Path | None]:
    """The recipe of a run, with changes like ``training.epochs=20``, and where its text came from.

    Raises:
        RunError: this is no run.
        ArtifactError: the run is damaged.
        SettingError: a change that no recipe takes.
    """
    run = RunFolder.open(path)
    source = _source(run).get("source")
    recipe = run_recipe(run)
    if changes:
        recipe = changed(recipe, changes, f"{run.path / 'recipe.json'}")
    return recipe, None if source is None else Path(source)


def _source(run: RunFolder) -> dict[str, str | None]:
    """Where the text of a run came from, and its fingerprint."""
    told = run.read_json("data.json")
    if not isinstance(told, dict) or not isinstance(told.get("source"), str | None):
        raise ArtifactError(f"{run.path / 'data.json'}: damaged, it does not name a text.")
    return told


def data_settings(path: str | Path, **changes: Any) -> DataSettings:
    """How the text of a run was read, with changes; the defaults for an artifact without a run.

    Args:
        path: a run, or one of its checkpoints.
        changes: settings by name; None stands for no change.
    """
    folder = Path(path).absolute()
    if folder.parent.name == "checkpoints":
        folder = folder.parent.parent
    known = (folder / "recipe.json").is_file()
    data = run_recipe(RunFolder.open(folder)).data if known else DataSettings()
    return data.model_copy(update={k: v for k, v in changes.items() if v is not None})


def run_recipe(run: RunFolder) -> Recipe:
    """The recipe of a run.

    Raises:
        ArtifactError: it is damaged.
    """
    try:
        return checked(run.read_recipe(), str(run.path / "recipe.json"))
    except SettingError as problem:
        raise ArtifactError(f"{problem}.") from None


def _silent(report: Report) -> None:
    """What processes beside the main one say."""


def _try_settings(recipe: Recipe) -> None:
    """Build the model without memory: what cannot be is said before a text is read."""
    check_device(recipe.training.device)
    if recipe.training.tensorboard:
        tensorboard_writer()
    conditions = dict.fromkeys(recipe.data.conditions, 4)
    config = LanguageModelConfig(
        **recipe.model.model_dump(), vocabulary_size=4, conditions=conditions
    )
    try:
        with torch.device("meta"):
            model = LanguageModel(config)
    except (NotImplementedError, RuntimeError):  # a cell that needs memory to be built
        return
    optimizer_of(model, recipe.training)


def _prepare(
    recipe: Recipe,
    source: Source,
    run: RunFolder,
    report: Callable[[Report], None],
    scored_before: int | None = None,
) -> Ready:
    """The data of a training; one that goes on scores as much of the validation text as before."""
    data = recipe.data
    folder = run.path / DATA
    if not processes().main:  # each has files of its own
        folder /= str(processes().rank)
    corpus = prepare(source, data, folder, lambda said: report(Report(message=said)))
    batches = corpus.batches(data, recipe.training)
    part, scored, validation = corpus.parts.get("validation"), 0, None
    if part is not None:
        scored = min(part.symbols, scored_before or _scored(recipe.training, batches))
        validation = _validation(part, scored, data.reading)
    return Ready(corpus, batches, validation, scored)


def _scored(settings: TrainingSettings, batches: Batches) -> int:
    """How many symbols of the validation text are scored each time, at most.

    Where a training is short beside its validation text, scoring all of it would take most of the
    time. A symbol that is scored costs about a third of one that is trained on.
    """
    trained = settings.symbols or math.ceil(settings.epochs * batches.symbols)
    return max(_LEAST_SCORED, int(_VALIDATED * trained / settings.evaluations))


def _validation(
    part: CorpusPart, scored: int, reading: str
) -> Callable[[], Iterable[Iterable[Batch]]]:
    """Groups of windows that have so many symbols of a text, from all over it."""
    if reading == "documents":
        every = -(-part.symbols // scored)
        documents = part.documents()[::every]
        given = None if part.given is None else part.given[: part.header.documents : every]
        return lambda: document_batches(documents, given=given)
    # A long text in several rows, which is many times faster than one; each is long enough that
    # what its start costs does not change what is best. The test is scored exactly.
    rows = max(1, min(32, scored // 512))
    windows = Windows(part.ids, rows=rows, size=256, given=part.given)
    return lambda: [map(windows.batch, range(windows.count(scored)))]


def _begin(recipe: Recipe, ready: Ready) -> Training:
    """The training before its first step; the same one each time."""
    torch.manual_seed(recipe.training.seed)
    config = LanguageModelConfig(
        **recipe.model.model_dump(),
        vocabulary_size=len(ready.corpus.vocabulary),
        conditions={name: len(known) for name, known in ready.corpus.labels.items()},
    )
    model = LanguageModel(config)
    model.starts_at(torch.from_numpy(ready.corpus.parts["training"].counts(config.vocabulary_size)))
    return Training(model, ready.batches, recipe.training)


def _count(
    recipe: Recipe, ready: Ready, run: RunFolder, report: Callable[[Report], None]
) -> dict[str, NGram]:
    """Count n-grams and keep them."""
    if not run.writes:
        return {}
    part, limit = ready.corpus.parts["training"], recipe.data.ngram_symbols
    few = f" on the first {limit:,} symbols" if part.symbols > limit else ""
    report(Report(message=f"counting n-grams{few}"))
    ngrams = fit_ngrams(part.documents(limit), ready.corpus.vocabulary)
    run.write_ngrams(ngrams)
    return ngrams


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


def _train(keeper: Keeper, ready: Ready, ngrams: dict[str, NGram]) -> Trained:
    run, training = keeper.run, keeper.training
    with interruptible() as asked, keeper:
        for done in () if keeper.stale() else training:  # it was killed after its last step
            if keeper(done, any(processes().total(asked()))) == "interrupted":
                return Trained(run.path, [], True, training.seconds)
            if keeper.stale():
                keeper.report(Report(message=f"no better for {keeper.since} evaluations: stopped"))
                break
    if not run.writes:
        return Trained(run.path, [], False, training.seconds)
    keeper.report(Report(message="scoring the held-out text"))
    best = artifact.load(run.path, which="best").model
    name = cast(LanguageModel, best).config.cell
    test = ready.corpus.parts["test"]
    evaluations = compare_encoded(
        {name: best, **ngrams}, test.documents(), test.header.characters, test.given
    )
    verdict = keeper.verdict(best, evaluations)
    told = {"verdict": verdict, "evaluations": [row.to_json() for row in evaluations]}
    run.write_json("summary.json", told)
    return Trained(run.path, evaluations, False, training.seconds, verdict)


def fit_ngrams(documents: Sequence[Ids], vocabulary: Vocabulary) -> dict[str, NGram]:
    """Kneser-Ney bigram and 5-gram of documents."""
    return {
        name: NGram.fit(
            documents,
            order=order,
            vocabulary_size=len(vocabulary),
            start=START,
            end=END,
            smoothing=KneserNey(),
        )
        for name, order in NGRAMS.items()
    }


def _sizes(ready: Ready, model: Model) -> str:
    corpus = ready.corpus
    counts = [
        f"{part.symbols:,} {what}"
        for name, what in (
            ("training", "symbols to train on"),
            ("validation", "to choose by"),
            ("test", "held out"),
        )
        if (part := corpus.parts.get(cast(PartName, name))) is not None
    ]
    header = corpus.parts["training"].header
    strange = sum(
        int((part.given == UNKNOWN).any(1).sum())
        for part in corpus.parts.values()
        if part.given is not None
    )
    unknown = header.unknown / max(header.count - header.documents - 1, 1)
    held, few = corpus.parts.get("validation"), ""
    if held is not None and ready.scored < held.symbols:
        few = f"; so short a training chooses by {ready.scored:,} symbols from all over that text"
    disk = sum(part.ids.nbytes for part in corpus.parts.values())
    parameters = sum(p.numel() for p in model.parameters())
    padding = ""
    if isinstance(ready.batches, Buckets):
        padding = f"; {ready.batches.padding:.1%} of the batches is padding"
    return (
        f"{', '.join(counts)}{few}; {len(corpus.vocabulary):,} ids"
        + (f", {unknown:.1%} unknown" if unknown else "")
        + (f"; left out because they are blank: {corpus.blank:,}" if corpus.blank else "")
        + (f"; truncated documents: {header.truncated:,}" if header.truncated else "")
        + (f"; given what no training document has: {strange:,} documents" if strange else "")
        + padding
        + f"; {parameters:,} parameters; {disk / 1e6:,.1f} MB on disk while it trains"
    )
