"""The task ``language-model``: from texts to a run that can score and write."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, cast

import pydantic
import torch

from recurra import artifact
from recurra.data import Batches, PartName, Windows, document_batches
from recurra.errors import ArtifactError, DataError, RunError, SettingError
from recurra.models import KneserNey, LanguageModel, LanguageModelConfig, Model, NGram
from recurra.sequences import Batch
from recurra.training.corpus import Corpus, Source, prepare
from recurra.training.evaluation import Evaluation, compare_encoded
from recurra.training.loop import Progress, Training, interruptible
from recurra.training.optimizers import optimizer_of
from recurra.training.processes import processes
from recurra.training.recipe import Recipe, changed
from recurra.training.run import DATA, RunFolder
from recurra_runtime.vocabulary import END, START, Ids, Vocabulary

__all__ = ["Report", "Trained", "resume_language_model", "run_source", "train_language_model"]

NGRAMS = {"bigram": 2, "5-gram": 5}
_MAY_CHANGE = ("training.symbols", "training.epochs", "training.device")


@dataclasses.dataclass(frozen=True)
class Report:
    """What a training tells while it runs.

    Args:
        message: a sentence at a turning point, or None.
        progress: after a step, or None.
        validation: nats per symbol on the validation text where it has just been scored, or None.
    """

    message: str | None = None
    progress: Progress | None = None
    validation: float | None = None


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
    run = RunFolder(out)
    try:
        ready = _prepare(recipe, source, run, report)
        training = _begin(recipe, ready)
        run.write_json("recipe.json", recipe.model_dump())
        run.write_json("data.json", {"source": place, "blake2b": ready.corpus.fingerprint})
        report(Report(message=_sizes(ready.corpus, training.model)))
        ngrams = _count(recipe, ready, run, report)
    except BaseException:  # Ctrl-C: nothing was learned yet, and the folder is free again
        run.remove()
        raise
    return _train(_Keeper(run, training, ready, report), ready, ngrams)


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
    last = run.last_training()
    ready = _prepare(recipe, source, run, report)
    if run.read_json("data.json").get("blake2b") != ready.corpus.fingerprint:
        raise DataError(
            f"{run.path}: the text is not the one that this run was trained on. Give the same "
            "files, unchanged, or begin a new run."
        )
    training = _begin(recipe, ready)
    keeper = _Keeper(run, training, ready, report)
    if last is not None:
        folder, (tensors, facts) = last
        loaded = artifact.load(folder)
        try:
            training.model.load_state_dict(loaded.model.state_dict())
            training.load(tensors, facts)
            keeper.load(facts)
        except (KeyError, ValueError, TypeError, RuntimeError) as problem:
            raise ArtifactError(f"{folder}: what it has does not fit ({problem}).") from None
    if training.step >= training.steps and (run.path / "summary.json").exists():
        run.drop_data()
        raise RunError(
            f"{run.path}: is at its end ({training.step} of {training.steps} steps). To go on for "
            "longer set training.symbols or training.epochs higher."
        )
    run.cut_log(training.step)
    run.write_json("recipe.json", recipe.model_dump())
    report(Report(message=f"going on after step {training.step:,} of {training.steps:,}"))
    ngrams = artifact.read_ngrams(run.path)
    if not ngrams:  # it was killed before they were counted
        ngrams = _count(recipe, ready, run, report)
    return _train(keeper, ready, ngrams)


def run_source(path: str | Path, changes: Iterable[str] = ()) -> tuple[Recipe, Path | None]:
    """The recipe of a run, with changes like ``training.epochs=20``, and where its text came from.

    Raises:
        RunError: this is no run.
        ArtifactError: the run is damaged.
        SettingError: a change that no recipe takes.
    """
    run = RunFolder.open(path)
    source = run.read_json("data.json").get("source")
    recipe = run_recipe(run)
    if changes:
        recipe = changed(recipe, changes, f"{run.path / 'recipe.json'}")
    return recipe, None if source is None else Path(source)


def run_recipe(run: RunFolder) -> Recipe:
    """The recipe of a run.

    Raises:
        ArtifactError: it is damaged.
    """
    try:
        return Recipe.model_validate(run.read_json("recipe.json"))
    except pydantic.ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ArtifactError(f"{run.path / 'recipe.json'}: {place}: {first['msg']}.") from None


def _silent(report: Report) -> None:
    """What processes beside the main one say."""


@dataclasses.dataclass(frozen=True)
class _Ready:
    """Data of a training, cut and numbered."""

    corpus: Corpus
    batches: Batches
    validation: Callable[[], Iterable[Iterable[Batch]]] | None


def _try_settings(recipe: Recipe) -> None:
    """Build the model without memory: what it does not take is said before a text is read."""
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
    recipe: Recipe, source: Source, run: RunFolder, report: Callable[[Report], None]
) -> _Ready:
    data = recipe.data
    folder = run.path / DATA
    if not processes().main:  # each has files of its own
        folder /= str(processes().number)
    corpus = prepare(source, data, folder, lambda said: report(Report(message=said)))
    part = corpus.parts.get("validation")
    if part is None:
        validation = None
    elif data.reading == "documents":
        documents = part.documents()

        def validation() -> Iterable[Iterable[Batch]]:
            return document_batches(documents, given=part.given)
    else:
        # A long text in several rows, which is many times faster than one; each is long enough that
        # what its start costs does not change what is best. The test is scored exactly.
        rows = max(1, min(32, part.symbols // 2048))
        windows = Windows(part.ids, rows=rows, size=256, given=part.given)

        def validation() -> Iterable[Iterable[Batch]]:
            return [windows]

    return _Ready(corpus, corpus.batches(data, recipe.training), validation)


def _begin(recipe: Recipe, ready: _Ready) -> Training:
    """The training before its first step; the same one each time."""
    torch.manual_seed(recipe.training.seed)
    config = LanguageModelConfig(
        **recipe.model.model_dump(),
        vocabulary_size=len(ready.corpus.vocabulary),
        conditions={name: len(known) for name, known in ready.corpus.labels.items()},
    )
    return Training(LanguageModel(config), ready.batches, recipe.training)


def _count(
    recipe: Recipe, ready: _Ready, run: RunFolder, report: Callable[[Report], None]
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


def _train(keeper: _Keeper, ready: _Ready, ngrams: dict[str, NGram]) -> Trained:
    run, training = keeper.run, keeper.training
    with interruptible() as asked, keeper:
        for done in training:
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
    run.drop_data()
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


class _Keeper:
    """What happens beside the steps: validation, checkpoints, logs, interruption."""

    def __init__(
        self,
        run: RunFolder,
        training: Training,
        ready: _Ready,
        report: Callable[[Report], None],
    ) -> None:
        self.run, self.training, self.report = run, training, report
        self.ready = ready
        self.best: float | None = None
        self.since = 0  # evaluations without a better one
        self.values: list[float] = []  # of all evaluations so far
        self.losses: list[float] = []  # since the last evaluation
        self._board: Any = None

    def __enter__(self) -> Self:
        """Open the log of TensorBoard, if it is wanted."""
        if self.training.settings.tensorboard and self.run.writes:
            self._board = _tensorboard(self.run.path / "tensorboard", self.training.step)
        return self

    def __exit__(self, *problem: object) -> None:
        """Close it."""
        if self._board is not None:
            self._board.close()

    def load(self, facts: Mapping[str, Any]) -> None:
        """Go on from what :meth:`_save` kept."""
        self.best, self.since = facts["best"], int(facts["since"])
        self.losses = [float(loss) for loss in facts["losses"]]
        self.values = [float(value) for value in facts["values"]]

    def __call__(self, done: Progress, asked: bool) -> Literal["on", "interrupted"]:
        """After a step."""
        self.losses.append(done.loss)
        every = max(1, -(-done.steps // self.training.settings.evaluations))
        due = done.step % every == 0 or done.step == done.steps
        stop = asked and done.step < done.steps
        value = None
        if due:
            self._check_weights(done)
            value = self._score(done)
        elif stop:
            self._check_weights(done)
            self._save(best=self.best is None)
        self.report(Report(progress=done, validation=value))
        return "interrupted" if stop else "on"

    def stale(self) -> bool:
        """Whether it is time for an early stop."""
        patience = self.training.settings.early_stop
        return patience is not None and self.since >= patience

    def _check_weights(self, done: Progress) -> None:
        if not all(bool(p.isfinite().all()) for p in self.training.model.parameters()):
            raise RunError(
                f"training: weights are no longer finite at step {done.step} of {done.steps}. "
                "Checkpoints that were saved are kept. A smaller training.learning_rate usually "
                "helps."
            )

    def _score(self, done: Progress) -> float | None:
        """Validate, log, keep."""
        with self.training.averaged():
            value = self._validate()
        mean = sum(self.losses) / len(self.losses)
        # Without a validation text there is nothing to choose by: the last is the best. With one,
        # the first is the best so far, whatever its score: even one that is no finite number.
        best = value is None or self.best is None or value < self.best
        if best:
            self.best = math.inf if value is None or not math.isfinite(value) else value
        self.since = 0 if best else self.since + 1
        if value is not None:
            self.values.append(value)
        self.losses.clear()
        numbers = {
            "symbols": done.symbols,
            "seconds": round(done.seconds, 2),
            "training_nats": round(mean, 5),
            "validation_nats": "" if value is None else round(value, 5),
            "learning_rate": f"{done.learning_rate:.3g}",
            "gradient_norm": round(done.gradient_norm, 4),
            "clipped": round(done.clipped, 4),
            "symbols_per_second": round(done.rate),
        }
        # The log first: what it has beyond the last checkpoint is cut off when the run goes on.
        self.run.log({"step": done.step, **numbers})
        if self._board is not None:
            for name, number in numbers.items():
                if number != "":
                    self._board.add_scalar(name, float(number), done.step)
        self._save(best=best)
        return value

    def _save(self, *, best: bool) -> None:
        tensors, facts = self.training.state()
        facts |= {
            "best": self.best,
            "since": self.since,
            "losses": self.losses,
            "values": self.values,
        }
        with self.training.averaged():
            self.run.checkpoint(
                self.training.step,
                self.training.model,
                self.ready.corpus.vocabularies,
                best=best,
                training=(tensors, facts),
            )

    def _validate(self) -> float | None:
        if self.ready.validation is None:
            return None
        value = None
        if processes().main:
            total, count = self.training.model.score(self.ready.validation())
            value = total / max(count, 1)
        return cast(float, processes().told(value))

    def verdict(self, best: Model, evaluations: list[Evaluation]) -> str:
        """Whether the model fits too little, too much or well, in a sentence with its reasons."""
        limit = evaluations[0].symbols
        part = self.ready.corpus.parts["training"]
        documents = part.documents(limit)
        given = None if part.given is None else part.given[: len(documents)]
        (seen,) = compare_encoded({"": best}, documents, 1, given)
        known, held = seen.nats / max(seen.symbols, 1), evaluations[0].nats / max(limit, 1)
        facts = f"{known:.3f} nats a symbol on text it was trained on, {held:.3f} on held-out text"
        ngram = min((row.nats for row in evaluations[1:]), default=math.inf)
        late = self.values[-2:]
        if len(late) == 2 and late[1] < 0.99 * late[0]:
            return f"It fits too little yet ({facts}) and was still improving: train for longer."
        if held > 1.15 * known:
            return (
                f"It fits too much ({facts}): more text, more dropout or a smaller model would "
                "help."
            )
        if evaluations[0].nats > ngram:
            return (
                f"It fits too little ({facts}): n-grams are better. Try a larger model, or train "
                "for longer."
            )
        return f"It fits well ({facts})."


def _tensorboard(path: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as problem:
        raise SettingError(
            "training.tensorboard: needs the library tensorboard, which cannot be imported "
            f"({problem}); pip install 'recurra[tensorboard]' brings it."
        ) from None
    # What an earlier part of the run wrote behind its last checkpoint is written again.
    return SummaryWriter(str(path), purge_step=step + 1)


def _sizes(corpus: Corpus, model: Model) -> str:
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
    unknown = header.unknown / max(header.count - header.documents - 1, 1)
    disk = sum(part.ids.nbytes for part in corpus.parts.values())
    parameters = sum(p.numel() for p in model.parameters())
    return (
        f"{', '.join(counts)}; {len(corpus.vocabulary):,} ids"
        + (f", {unknown:.1%} unknown" if unknown else "")
        + (f"; {header.truncated:,} documents truncated" if header.truncated else "")
        + f"; {parameters:,} parameters; {disk / 1e6:,.1f} MB on disk while it trains"
    )
