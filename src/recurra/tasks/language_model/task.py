"""What training, artifacts and commands ask of language models."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from recurra import models
from recurra.batch import Batch
from recurra.columns import number
from recurra.data import Documents, document_batches, is_hub, joined
from recurra.errors import SettingError
from recurra.given import inputs_of
from recurra.models import (
    LanguageModel,
    LanguageModelConfig,
    LanguageModelSettings,
    Mixture,
    NGram,
    NGramModel,
)
from recurra.pipeline import (
    Correction,
    LineScore,
    PredictiveText,
    Suggestion,
    TextModel,
    Writer,
    correct_lines,
    known_words,
    score_lines,
    score_symbols,
)
from recurra.pipeline.mixing import (
    MIXTURE,
    fit_mixture,
    has_mixture,
    read_mixture,
    write_mixture,
)
from recurra.pipeline.ngrams import fit_ngrams, read_ngrams, write_ngrams
from recurra.pipeline.text_model import text_model_of
from recurra.sections import Section, contradiction, default
from recurra.surprises import Surprise
from recurra.tasks.base import Answer, Metric, Table, Task, register_task, symbols_of
from recurra.tasks.language_model.corpus import Corpus, CorpusPart, Held, held, prepare
from recurra.tasks.language_model.documents import Source, of_columns, open_source
from recurra.tasks.language_model.evaluation import (
    Evaluation,
    compare_encoded,
    each_document,
    symbol_surprises,
)
from recurra.tasks.language_model.settings import DataSettings
from recurra.tasks.language_model.unknown import unknown_symbols
from recurra.tasks.texts import has_columns, vocabulary_settings
from recurra_runtime.vocabulary import Ids, Vocabulary

__all__ = ["LanguageModelTask", "WritingModel"]


class WritingModel(Answer):
    """A language model that scores texts, completes them and writes.

    Conditions of the model are given by name: ``given={"topic": "war"}``.
    """

    @property
    def text(self) -> TextModel:
        """The model and its vocabulary."""
        return text_model_of(self.model, self.fronts)

    def mixed(self) -> MixedModel:
        """What answers as this one does, with the probabilities of the run's mixture.

        Raises:
            SettingError: the run has none.
        """
        return MixedModel(self.model, self.fronts, self.path, self.kind)

    def predict(self, inputs: Iterable[str]) -> Iterator[LineScore]:
        """How probable each text is, as :meth:`score`."""
        return self.score(inputs)

    def show(self, answer: LineScore, top: int | None = None) -> str:
        """Log-probability, and nats a symbol."""
        self._no_top(top)
        return f"{answer.log_prob:.4f}\t{answer.nats_per_symbol:.4f}"

    def surprises(
        self, inputs: Any, *, given: Mapping[str, str] | None = None
    ) -> Iterator[Surprise]:
        """Minus the log-probability of each symbol of each text, its end included.

        Behind one that the model does not know stands ``<unk>``, as which it is read.

        Args:
            inputs: texts, each from its start symbol on.
            given: condition -> label, for all texts.
        """
        ours, theirs = itertools.tee(inputs_of("surprise", inputs))
        scores = score_symbols(self.text, ours, given=given)
        for text, found in zip(theirs, scores, strict=True):
            ids = np.array(found.ids)
            own = unknown_symbols(self.text.vocabulary, text, ids)
            steps = [
                f"{own[at]} {symbol}" if own.get(at, symbol) != symbol else symbol
                for at, symbol in enumerate(found.symbols)
            ]
            yield Surprise(text, -np.array(found.log_probs), steps=steps)

    def score(
        self, texts: Iterable[str], *, end: bool = True, given: Mapping[str, str] | None = None
    ) -> Iterator[LineScore]:
        """How probable each text is: :func:`recurra.score_lines`."""
        return score_lines(self.text, texts, end=end, given=given)

    def complete(
        self, prompt: str, count: int = 3, *, given: Mapping[str, str] | None = None
    ) -> list[Suggestion]:
        """What the word that was begun may become, the likeliest first.

        What the model has never seen it reads as ``<unk>``, and an ``UnknownWarning`` says so.
        """
        entry = PredictiveText(self.text, given=given)
        entry.type(prompt)
        entry.model.warn_unknown(entry.unknown())
        return entry.suggestions(count)

    def correct(
        self, texts: Iterable[str], *, words: str | Path | None = None, **how: Any
    ) -> Iterator[Correction]:
        """English sentences with the small edits that make them much more probable.

        Args:
            texts: sentences.
            words: a file whose words are spelled well; those of the vocabulary if None.
            how: ``margin`` and ``given`` of :func:`recurra.correct_lines`.
        """
        return correct_lines(self.text, texts, words=known_words(self.text, words), **how)

    def generate(self, prompt: str = "", **how: Any) -> str:
        """What the model writes after a prompt; arguments as of :meth:`recurra.Writer.write`."""
        return "".join(Writer(self.text).write(prompt, **how))


class MixedModel(WritingModel):
    """A language model and an n-gram of its run that answer together."""

    def __init__(self, *loaded: Any) -> None:
        super().__init__(*loaded)
        self._mixture = read_mixture(self.path, self.model)

    @property
    def text(self) -> TextModel:
        """The mixture and its vocabulary."""
        return TextModel(self._mixture, self.fronts["text"], MIXTURE, self.fronts)


@register_task("language-model")
class LanguageModelTask(Task):
    """The next symbol of a text (Mikolov et al. 2010), beside n-grams of the same text."""

    Data = DataSettings
    Model: ClassVar[type[Section]] = LanguageModelSettings
    metric = Metric("nats", "nats/symbol")
    unit = "symbols"
    examples = "documents"
    several = True
    verb = "generate"

    def open(self, source: Any, data: DataSettings) -> Source:
        """Documents of files, folders or the Hub; texts as they are."""
        if isinstance(source, list) and source and all(isinstance(part, Path) for part in source):
            return joined([open_source(part, data) for part in source])
        if isinstance(source, Path) or (isinstance(source, str) and is_hub(source)):
            return open_source(source, data)
        if has_columns(source):
            return of_columns(source, data)
        given: Source = source
        return given

    def prepare(
        self, source: Source, data: DataSettings, folder: Path, report: Callable[[str], None]
    ) -> Corpus:
        """Read, divide, make vocabularies and encode."""
        return prepare(source, data, folder, report)

    def prepare_in(
        self,
        source: Source,
        fronts: Mapping[str, Vocabulary],
        data: DataSettings,
        folder: Path,
        report: Callable[[str], None],
    ) -> Corpus:
        """Read, divide and encode; what the vocabularies lack is counted."""
        return prepare(source, data, folder, report, fronts)

    def read(
        self,
        source: Source,
        fronts: Mapping[str, Vocabulary],
        data: DataSettings,
        report: Callable[[str], None],
    ) -> Held:
        """Documents in the ids of a model."""
        found = held(source, fronts)
        if isinstance(source, Documents) and source.blank:
            report(f"left out because they are blank: {source.blank:,}")
        return found

    def build(self, settings: Any, fronts: Mapping[str, Vocabulary]) -> models.Model:
        """A model of so many symbols, and of so many labels of each condition."""
        sizes = {name: len(front) for name, front in fronts.items()}
        size = sizes.pop("text")
        config = LanguageModelConfig(
            **settings.model_dump(), vocabulary_size=size, conditions=sizes
        )
        return LanguageModel(config)

    def restore(self, config: Any, fronts: Mapping[str, Vocabulary]) -> models.Model:
        """The model of a configuration that tells its sizes itself."""
        known = LanguageModelConfig.model_validate(config)
        for field, size in {"text": known.vocabulary_size, **known.conditions}.items():
            got = len(fronts[field]) if field in fronts else "none"
            if got != size:
                raise ValueError(
                    f"expected a vocabulary {field!r} of {size} symbols beside this model, got "
                    f"{got}. It belongs to another model"
                )
        return LanguageModel(known)

    def settled(self, loaded: Any) -> dict[str, Any]:
        """Also how texts fall into symbols, and the conditions in their order."""
        found = vocabulary_settings(loaded.fronts["text"], self.Data)
        conditions = {"data.conditions": list(loaded.model.conditions)}
        return super().settled(loaded) | found | conditions

    def trial(self, recipe: Any) -> models.Model | None:
        """A model of four symbols."""
        conditions = dict.fromkeys(recipe.data.conditions, 4)
        settings = recipe.model.model_dump()
        return LanguageModel(
            LanguageModelConfig(**settings, vocabulary_size=4, conditions=conditions)
        )

    def begin(self, model: models.Model, prepared: Corpus) -> None:
        """Each symbol as likely as it is in the training text."""
        assert isinstance(model, LanguageModel)
        counts = prepared.parts["training"].counts(model.config.vocabulary_size)
        model.starts_at(torch.from_numpy(counts))

    def reference(self, model: models.Model, prepared: Corpus) -> float:
        """Nobody predicts the start symbol."""
        return math.log(len(prepared.vocabulary) - 1)

    def surprises(
        self, model: models.Model, part: CorpusPart, limit: int | None = None
    ) -> npt.NDArray[np.float64]:
        """Of each symbol, ends included."""
        if isinstance(model, NGramModel):
            scores = [model.ngram.score(ids) for ids in part.documents(limit)]
            return -np.concatenate([np.zeros(0), *scores])
        assert isinstance(model, LanguageModel)
        return symbol_surprises(model, part.groups(limit))

    def evaluate(
        self, compared: Mapping[str, models.Model | NGram | Mixture], part: CorpusPart | Held
    ) -> list[Evaluation]:
        """Each document from its start symbol to its end symbol."""
        given = _given(part, next(iter(compared.values())))
        return compare_encoded(compared, part.documents(), part.characters, given)

    def sample(self, part: CorpusPart | Held, rows: int, steps: int) -> Batch:
        """Pieces of documents beside each other, from the first on; each as if a document began."""
        documents, given = part.documents(), getattr(part, "given", None)
        if isinstance(part, Held) and part.labels:
            given = part.ordered(list(part.labels))
        some = _pieces(documents, rows, steps)
        if not some:
            raise SettingError("inspect: expected data with text, got none")
        labels = None if given is None else given[[number for number, _ in some]]
        pieces = [documents[number][start : start + steps] for number, start in some]
        windows = document_batches(pieces, rows=rows, size=steps, given=labels)
        return next(iter(next(iter(windows))))

    def unknown(self, part: CorpusPart | Held, rows: int, steps: int) -> list[Mapping[int, str]]:
        """Of documents that were read for this; those of a training are numbers alone."""
        if not isinstance(part, Held) or not any(part.texts):
            return []
        some = _pieces(part.ids, rows, steps)
        known = {
            number: unknown_symbols(part.vocabulary, part.texts[number], part.ids[number])
            for number, _ in some
            if part.texts[number]
        }
        return [
            {
                place - start + 1: symbol  # behind the start symbol
                for place, symbol in known.get(number, {}).items()
                if start <= place < start + steps
            }
            for number, start in some
        ]

    def read_fronts(self, fronts: Mapping[str, Any]) -> dict[str, Any]:
        """The vocabulary; conditions stand beside what is read."""
        return {"text": fronts["text"]}

    def worded(self, numbers: Sequence[int], fronts: Mapping[str, Any]) -> list[str]:
        """Each symbol alone."""
        return symbols_of(numbers, fronts["text"])

    def by_example(self, model: models.Model, part: CorpusPart | Held) -> dict[str, Any]:
        """Nats of each document."""
        read = getattr(model, "ngram", model)
        return {self.loss.name: each_document(read, part.documents(), _given(part, model))}

    def unpaired(self, source: Source, data: DataSettings) -> str | None:
        """A book of one piece: what is held out of it is one document."""
        if data.test is not None:
            source = open_source(data.test, data)
        elif data.split not in ("tail", "tails"):
            return None
        begun = (each for each in source if isinstance(each, str) or not each.goes_on)
        if len(list(itertools.islice(begun, 2))) > 1:
            return None
        return (
            "the text that is held out is one document, and pairs are drawn from at least 2. "
            "data.split=blocks holds out a document for every ten blocks (data.block)."
        )

    def table(self, rows: Sequence[Evaluation], title: str) -> Table:
        """Nats and bits a character, nats a symbol, perplexity."""
        first = rows[0]
        notes = []
        if first.unknown:
            notes.append(
                f"{first.unknown:,} symbols were unknown to the models, and counted as <unk>."
            )
        return Table(
            f"{title}: {first.characters:,} characters",
            ("model", "nats/character", "bits/character", "nats/symbol", "perplexity"),
            [
                (
                    row.name,
                    number(row.nats_per_character, 4),
                    number(row.bits_per_character, 4),
                    number(row.loss, 4),
                    number(row.perplexity, 3),
                )
                for row in rows
            ],
            notes,
        )

    def rivals(
        self, prepared: Corpus, recipe: Any, report: Callable[[str], None]
    ) -> dict[str, NGram]:
        """Kneser-Ney n-grams of the training text."""
        data: DataSettings = recipe.data
        if not data.ngram_orders:
            return {}
        part, limit = prepared.parts["training"], data.ngram_symbols
        few = f" on the first {limit:,} symbols" if part.count > limit else ""
        report(f"counting n-grams{few}")
        return fit_ngrams(part.documents(limit), prepared.vocabulary, data.ngram_orders)

    def write_rivals(self, folder: Path, rivals: Mapping[str, NGram]) -> None:
        """In files of their own."""
        write_ngrams(folder, rivals)

    def read_rivals(self, folder: Path) -> dict[str, NGram]:
        """The simplest first."""
        return read_ngrams(folder)

    def joined(
        self,
        model: models.Model,
        rivals: Mapping[str, NGram],
        prepared: Corpus,
        report: Callable[[str], None],
    ) -> dict[str, Mixture]:
        """The mixture with the n-gram with which it predicts the validation part best."""
        part = prepared.parts.get("validation")
        if not rivals:
            return {}
        if part is None:
            report("no mixture with an n-gram: its weight is chosen on a validation part")
            return {}
        assert isinstance(model, LanguageModel)
        groups = document_batches(part.documents(), given=part.given)
        return {MIXTURE: fit_mixture(model, rivals, groups)}

    def write_joined(self, folder: Path, joined: Mapping[str, Mixture]) -> None:
        """Name of the n-gram and weight."""
        write_mixture(folder, joined.get(MIXTURE))

    def read_joined(self, folder: Path, model: models.Model) -> dict[str, Mixture]:
        """The mixture."""
        assert isinstance(model, LanguageModel)
        return {MIXTURE: read_mixture(folder, model)} if has_mixture(folder) else {}

    def beaten(self, rows: Sequence[Evaluation]) -> str:
        """All are n-grams, but for the mixture, which has the model in it."""
        rivals = [row for row in rows if row.name != MIXTURE]
        return "n-grams are better" if super().beaten(rivals) else ""

    def check(self, recipe: Any) -> None:
        """A width of conditions where there is none."""
        if not recipe.data.conditions and recipe.model.condition_size != default(
            recipe.model, "condition_size"
        ):
            raise contradiction(
                recipe.model, "condition_size", "data.conditions names none", section="model."
            )

    def reads_windows(self, data: Any) -> bool:
        """Unless it reads document by document."""
        found: bool = data.reading != "documents"
        return found

    def answer(self, loaded: Any) -> WritingModel:
        """Scores, completions, texts."""
        return WritingModel(loaded.model, loaded.fronts, loaded.path, self.name)


def _given(part: CorpusPart | Held, model: Any) -> Ids | None:
    """Ids of conditions: an artifact keeps them by name, a model in its order."""
    if isinstance(part, Held):
        return part.ordered(getattr(model, "conditions", ()))
    return part.given


def _pieces(documents: Sequence[Ids], rows: int, steps: int) -> list[tuple[int, int]]:
    """Number and first place of pieces of so many steps, in the order of a batch of them."""
    found = [
        (number, start)
        for number, ids in enumerate(documents)
        for start in range(0, len(ids), steps)
    ][: 4 * rows]
    # The shortest of a few would be padded: the longest come first where there are enough.
    return sorted(found, key=lambda piece: -min(steps, len(documents[piece[0]]) - piece[1]))[:rows]
