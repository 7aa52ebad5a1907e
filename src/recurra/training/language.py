"""The task ``language-model``: from texts to a run that can score and write."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from recurra import artifact
from recurra.data import Split, Windows, split_documents
from recurra.errors import RunError
from recurra.models import KneserNey, LanguageModel, LanguageModelConfig, Model, NGram
from recurra.training.evaluation import Evaluation, compare
from recurra.training.loop import Progress, fit, interruptible
from recurra.training.recipe import Recipe
from recurra.training.run import RunFolder
from recurra_runtime.vocabulary import (
    END,
    START,
    ByteVocabulary,
    CharacterVocabulary,
    Ids,
    Vocabulary,
)

__all__ = ["Report", "Trained", "train_language_model"]

NGRAMS = {"bigram": 2, "5-gram": 5}


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
) -> Trained:
    """Train a language model and n-grams on the same text, and score them on what is held out.

    Args:
        recipe: every setting.
        texts: documents.
        out: folder of the run, absent or empty.
        report: is told how it goes.

    Raises:
        DataError: too little text.
        RunError: the folder cannot be written, or the loss is no longer finite.
        SettingError: a setting that the model does not take.
    """
    data = recipe.data
    split = split_documents(
        list(texts), kind=data.split, block=data.block, validation=data.validation
    )
    vocabulary: Vocabulary = (
        ByteVocabulary() if data.vocabulary == "bytes" else CharacterVocabulary.of(split.training)
    )
    torch.manual_seed(recipe.training.seed)
    config = LanguageModelConfig(**recipe.model.model_dump(), vocabulary_size=len(vocabulary))
    model = LanguageModel(config)
    documents = [vocabulary.encode(text) for text in split.training]
    windows = Windows(documents, rows=recipe.training.batch_size, size=recipe.training.window)
    run = RunFolder(out)  # after all that a wrong setting or too little text can stop
    try:
        run.write_json("recipe.json", recipe.model_dump())
        report(Report(message=_sizes(split, vocabulary, model)))
        report(Report(message="counting n-grams"))
        ngrams = fit_ngrams(documents, vocabulary)
        run.write_ngrams(ngrams)
    except BaseException:  # Ctrl-C: nothing was learned yet, and the folder is free again
        run.remove()
        raise
    # A long text in several rows, which is many times faster than one; each is long enough that
    # what its start costs does not change what is best. The test is scored exactly.
    chosen_by = [vocabulary.encode(text) for text in split.validation]
    symbols = sum(len(ids) + 1 for ids in chosen_by)
    validation = (
        Windows(chosen_by, rows=max(1, min(32, symbols // 2048)), size=256) if symbols else None
    )
    keeper = _Keeper(run, model, vocabulary, validation, recipe.training.evaluations, report)
    with interruptible() as asked:
        fit(model, windows, recipe.training, lambda done: keeper(done, asked()))
    if keeper.interrupted:
        return Trained(run.path, [], True, keeper.seconds)
    report(Report(message="scoring the held-out text"))
    best = artifact.load(run.path, which="best").model
    models: dict[str, Model | NGram] = {recipe.model.cell: best, **ngrams}
    evaluations = compare(models, vocabulary, split.test)
    run.write_json("summary.json", [evaluation.to_json() for evaluation in evaluations])
    return Trained(run.path, evaluations, False, keeper.seconds)


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
        model: LanguageModel,
        vocabulary: Vocabulary,
        validation: Windows | None,
        evaluations: int,
        report: Callable[[Report], None],
    ) -> None:
        self.run, self.model, self.vocabulary = run, model, vocabulary
        self.validation, self.evaluations, self.report = validation, evaluations, report
        self.best = float("inf")
        self.interrupted = False
        self.seconds = 0.0
        self.losses: list[float] = []

    def __call__(self, done: Progress, asked: bool) -> bool:
        """After a step; False to stop."""
        self.seconds = done.seconds
        self.losses.append(done.loss)
        every = max(1, -(-done.steps // self.evaluations))
        due = done.step % every == 0 or done.step == done.steps
        self.interrupted = asked and done.step < done.steps
        value = self._keep(done, score=not self.interrupted) if due or asked else None
        self.report(Report(progress=done, validation=value))
        return not self.interrupted

    def _keep(self, done: Progress, *, score: bool) -> float | None:
        if not all(bool(p.isfinite().all()) for p in self.model.parameters()):
            raise RunError(
                f"training: weights are no longer finite at step {done.step} of {done.steps}. "
                "Checkpoints that were saved are kept. A smaller training.learning_rate usually "
                "helps."
            )
        value = self._validate() if score and self.validation is not None else None
        # Without a validation text there is nothing to choose by: the last is the best. With one,
        # the first is the best so far, whatever its score: even one that is no finite number.
        better = value is not None and value < self.best
        best = better or self.validation is None or not (self.run.path / "best").exists()
        if best:
            self.best = value if value is not None and better else self.best
        self.run.checkpoint(done.step, self.model, {"text": self.vocabulary}, best=best)
        self.run.log(
            {
                "step": done.step,
                "symbols": done.symbols,
                "seconds": round(done.seconds, 2),
                "training_nats": round(sum(self.losses) / len(self.losses), 5),
                "validation_nats": "" if value is None else round(value, 5),
                "learning_rate": f"{done.learning_rate:.3g}",
                "gradient_norm": round(done.gradient_norm, 4),
            }
        )
        self.losses.clear()
        return value

    def _validate(self) -> float:
        assert self.validation is not None
        total, count = self.model.score([self.validation])
        return total / max(count, 1)


def _sizes(split: Split, vocabulary: Vocabulary, model: LanguageModel) -> str:
    counts = [sum(map(len, part)) for part in split]
    parameters = sum(p.numel() for p in model.parameters())
    return (
        f"{counts[0]:,} characters to train on, {counts[1]:,} to choose by, "
        f"{counts[2]:,} held out; {len(vocabulary)} symbols; {parameters:,} parameters"
    )
