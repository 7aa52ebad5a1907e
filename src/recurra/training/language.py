"""The task ``language-model``: from texts to a run that can score and write."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pydantic
import torch

from recurra import artifact
from recurra.data import Split, Windows, split_documents
from recurra.errors import ArtifactError, DataError, RunError, SettingError
from recurra.models import KneserNey, LanguageModel, LanguageModelConfig, Model, NGram
from recurra.training.evaluation import Evaluation, compare
from recurra.training.loop import Progress, Training, interruptible
from recurra.training.recipe import Recipe, changed
from recurra.training.run import RunFolder, read_ngrams
from recurra_runtime.vocabulary import (
    END,
    START,
    ByteVocabulary,
    CharacterVocabulary,
    Ids,
    Vocabulary,
)

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
        evaluations: scores of the held-out text, recurrent model first; empty if interrupted.
        interrupted: whether Ctrl-C stopped it; the run is usable all the same.
        seconds: time from the first step to the last, evaluations included.
    """

    path: Path
    evaluations: list[Evaluation]
    interrupted: bool
    seconds: float


def train_language_model(
    recipe: Recipe,
    texts: Sequence[str],
    out: str | Path,
    report: Callable[[Report], None] = lambda report: None,
    *,
    source: str | None = None,
) -> Trained:
    """Train a language model and n-grams on the same text, and score them on what is held out.

    Args:
        recipe: every setting.
        texts: documents.
        out: folder of the run, absent or empty.
        report: is told how it goes.
        source: where the texts come from, which the run remembers.

    Raises:
        DataError: too little text.
        RunError: the folder cannot be written, or the loss is no longer finite.
        SettingError: a setting that the model does not take.
    """
    ready = _prepare(recipe, texts)
    training = _begin(recipe, ready)
    run = RunFolder(out)  # after all that a wrong setting or too little text can stop
    try:
        run.write_json("recipe.json", recipe.model_dump())
        run.write_json("data.json", {"source": source, "blake2b": fingerprint(texts)})
        report(Report(message=_sizes(ready.split, ready.vocabulary, training.model)))
        report(Report(message="counting n-grams"))
        ngrams = fit_ngrams(ready.documents, ready.vocabulary)
        run.write_ngrams(ngrams)
    except BaseException:  # Ctrl-C: nothing was learned yet, and the folder is free again
        run.remove()
        raise
    return _train(_Keeper(run, training, ready, report), ready, ngrams)


def resume_language_model(
    path: str | Path,
    texts: Sequence[str],
    report: Callable[[Report], None] = lambda report: None,
    *,
    recipe: Recipe | None = None,
) -> Trained:
    """Go on with a run from its last checkpoint, as if it had never stopped.

    Args:
        path: the run.
        texts: the same documents as before.
        report: is told how it goes.
        recipe: the run's own if None. Another may only train for longer (``training.symbols``,
            ``training.epochs``), or elsewhere (``training.device``).

    Raises:
        DataError: the texts are not those of the run.
        SettingError: the recipe differs in what may not differ.
        ArtifactError: the last checkpoint is damaged.
        RunError: the run is at its end, cannot be written, or the loss is no longer finite.
    """
    run = RunFolder.open(path)
    own = run_recipe(run)
    recipe = recipe or own
    _check_same(own, recipe)
    if run.read_json("data.json").get("blake2b") != fingerprint(texts):
        raise DataError(
            f"{run.path}: the text is not the one that this run was trained on. Give the same "
            "files, unchanged, or begin a new run."
        )
    ready = _prepare(recipe, texts)
    training = _begin(recipe, ready)
    keeper = _Keeper(run, training, ready, report)
    last = run.last_training()
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
        raise RunError(
            f"{run.path}: is at its end ({training.step} of {training.steps} steps). To go on for "
            "longer set training.symbols or training.epochs higher."
        )
    run.cut_log(training.step)
    run.write_json("recipe.json", recipe.model_dump())
    report(Report(message=f"going on after step {training.step:,} of {training.steps:,}"))
    ngrams = read_ngrams(run.path)
    if not ngrams:  # it was killed before they were counted
        ngrams = fit_ngrams(ready.documents, ready.vocabulary)
        run.write_ngrams(ngrams)
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


def fingerprint(texts: Sequence[str]) -> str:
    """What tells these documents, in this order, from any others."""
    found = hashlib.blake2b(digest_size=16)
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass")
        found.update(len(raw).to_bytes(8, "little") + raw)
    return found.hexdigest()


@dataclasses.dataclass(frozen=True)
class _Ready:
    """Data of a training, cut and numbered."""

    split: Split
    vocabulary: Vocabulary
    documents: list[Ids]
    windows: Windows
    validation: Windows | None


def _prepare(recipe: Recipe, texts: Sequence[str]) -> _Ready:
    data = recipe.data
    split = split_documents(
        list(texts), kind=data.split, block=data.block, validation=data.validation
    )
    vocabulary: Vocabulary = (
        ByteVocabulary() if data.vocabulary == "bytes" else CharacterVocabulary.of(split.training)
    )
    documents = [vocabulary.encode(text) for text in split.training]
    windows = Windows(documents, rows=recipe.training.batch_size, size=recipe.training.window)
    # A long text in several rows, which is many times faster than one; each is long enough that
    # what its start costs does not change what is best. The test is scored exactly.
    chosen_by = [vocabulary.encode(text) for text in split.validation]
    symbols = sum(len(ids) + 1 for ids in chosen_by)
    validation = (
        Windows(chosen_by, rows=max(1, min(32, symbols // 2048)), size=256) if symbols else None
    )
    return _Ready(split, vocabulary, documents, windows, validation)


def _begin(recipe: Recipe, ready: _Ready) -> Training:
    """The training before its first step; the same one each time."""
    torch.manual_seed(recipe.training.seed)
    size = len(ready.vocabulary)
    config = LanguageModelConfig(**recipe.model.model_dump(), vocabulary_size=size)
    return Training(LanguageModel(config), ready.windows, recipe.training)


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
    with interruptible() as asked:
        for done in training:
            if not keeper(done, asked()):
                return Trained(run.path, [], True, training.seconds)
    keeper.report(Report(message="scoring the held-out text"))
    best = artifact.load(run.path, which="best").model
    name = cast(LanguageModel, best).config.cell
    models: dict[str, Model | NGram] = {name: best, **ngrams}
    evaluations = compare(models, ready.vocabulary, ready.split.test)
    run.write_json("summary.json", [evaluation.to_json() for evaluation in evaluations])
    return Trained(run.path, evaluations, False, training.seconds)


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
    """What happens beside the steps: validation, checkpoints, log, interruption."""

    def __init__(
        self,
        run: RunFolder,
        training: Training,
        ready: _Ready,
        report: Callable[[Report], None],
    ) -> None:
        self.run, self.training, self.report = run, training, report
        self.vocabulary, self.validation = ready.vocabulary, ready.validation
        self.best: float | None = None
        self.losses: list[float] = []

    def load(self, facts: Mapping[str, Any]) -> None:
        """Go on from what :meth:`_save` kept."""
        self.best, self.losses = facts["best"], [float(loss) for loss in facts["losses"]]

    def __call__(self, done: Progress, asked: bool) -> bool:
        """After a step; False to stop."""
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
        return not stop

    def _check_weights(self, done: Progress) -> None:
        if not all(bool(p.isfinite().all()) for p in self.training.model.parameters()):
            raise RunError(
                f"training: weights are no longer finite at step {done.step} of {done.steps}. "
                "Checkpoints that were saved are kept. A smaller training.learning_rate usually "
                "helps."
            )

    def _score(self, done: Progress) -> float | None:
        """Validate, log, keep."""
        value = self._validate() if self.validation is not None else None
        mean = sum(self.losses) / len(self.losses)
        # Without a validation text there is nothing to choose by: the last is the best. With one,
        # the first is the best so far, whatever its score: even one that is no finite number.
        best = value is None or self.best is None or value < self.best
        if best:
            self.best = math.inf if value is None or not math.isfinite(value) else value
        self.losses.clear()
        # The log first: what it has beyond the last checkpoint is cut off when the run goes on.
        self.run.log(
            {
                "step": done.step,
                "symbols": done.symbols,
                "seconds": round(done.seconds, 2),
                "training_nats": round(mean, 5),
                "validation_nats": "" if value is None else round(value, 5),
                "learning_rate": f"{done.learning_rate:.3g}",
                "gradient_norm": round(done.gradient_norm, 4),
            }
        )
        self._save(best=best)
        return value

    def _save(self, *, best: bool) -> None:
        tensors, facts = self.training.state()
        facts |= {"best": self.best, "losses": self.losses}
        self.run.checkpoint(
            self.training.step,
            self.training.model,
            {"text": self.vocabulary},
            best=best,
            training=(tensors, facts),
        )

    def _validate(self) -> float:
        assert self.validation is not None
        total, count = self.training.model.score([self.validation])
        return total / max(count, 1)


def _sizes(split: Split, vocabulary: Vocabulary, model: Model) -> str:
    counts = [sum(map(len, part)) for part in split]
    parameters = sum(p.numel() for p in model.parameters())
    return (
        f"{counts[0]:,} characters to train on, {counts[1]:,} to choose by, "
        f"{counts[2]:,} held out; {len(vocabulary)} symbols; {parameters:,} parameters"
    )
