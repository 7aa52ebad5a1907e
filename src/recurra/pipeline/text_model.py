"""A language model and the vocabulary it reads: what every use of one begins with."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from recurra import artifact
from recurra.decoding import Steps
from recurra.errors import (
    ArtifactError,
    DataError,
    SettingError,
    UnknownWarning,
    callers_level,
    nearest,
)
from recurra.given import text_of
from recurra.models import LanguageModel, Mixture, Model, NGram, NGramModel
from recurra.pipeline.freezing import Freezer
from recurra.pipeline.mixing import MIXTURE, read_mixture
from recurra.pipeline.ngrams import read_ngrams
from recurra.pipeline.spelling import Spelling, spelling_of
from recurra.pipeline.words import Pieces
from recurra.states import Tree
from recurra_runtime.vocabulary import RESERVED, UNKNOWN, Ids, Vocabulary

__all__ = [
    "TextModel",
    "chosen_model",
    "given_conditions",
    "open_text_model",
    "text_model_of",
]


@dataclasses.dataclass(frozen=True, eq=False)
class TextModel:
    """A model of text and the vocabulary it reads.

    Args:
        model: recurrent, an n-gram, or a mixture of both.
        vocabulary: of its symbols.
        name: what a user calls it, such as ``"lstm"`` or ``"5-gram"``.
        labels: of each condition of the model, the vocabulary of its labels.
    """

    model: LanguageModel | NGram | Mixture
    vocabulary: Vocabulary
    name: str = "model"
    labels: Mapping[str, Vocabulary] = dataclasses.field(default_factory=dict)

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of what must be given beside the text; mostly none."""
        return tuple(getattr(self.model, "conditions", ()))

    @property
    def steps(self) -> Steps:
        """What decodes: the model's frozen steps, of the weights it has now; else the model."""
        return self.model if self._freezer is None else self._freezer.now()

    @functools.cached_property
    def _freezer(self) -> Freezer | None:
        return Freezer(self.model) if isinstance(self.model, LanguageModel) else None

    @functools.cached_property
    def pieces(self) -> Pieces:
        """What each symbol can be in a word and a line."""
        return Pieces(self.vocabulary, self.spelling.rule)

    @functools.cached_property
    def spelling(self) -> Spelling:
        """How the vocabulary's symbols spell a text that goes on."""
        return spelling_of(self.vocabulary)

    @property
    def line_break(self) -> int | None:
        """The symbol that parts lines, where line ends are words; else a line is a document."""
        return self.spelling.line_break

    def start(self, batch: int, given: Mapping[str, str] | None = None) -> Tree:
        """The state before the start symbol, of rows that all have the same conditions.

        Args:
            batch: number of rows.
            given: condition -> label.

        Raises:
            SettingError: a condition that is missing, or that the model does not have.
            DataError: a label that the model does not know.
        """
        ids = self._given(given or {})
        if ids is None:
            return self.model.start(batch)
        assert not isinstance(self.model, NGram)
        return self.model.start(batch, ids.expand(batch, -1))

    def _given(self, given: Mapping[str, str]) -> Tensor | None:
        """Ids of the conditions ``[1, conditions]``; None where the model has none."""
        if unknown := [name for name in given if name not in self.conditions]:
            known = nearest(unknown[0], self.conditions) if self.conditions else "It has none."
            raise SettingError(f"given: {self.name} has no condition {unknown[0]!r}; {known}")
        if not self.conditions:
            return None
        if missing := [name for name in self.conditions if name not in given]:
            known = _shown(_labels(self.labels[missing[0]]))
            raise SettingError(
                f"given: {self.name} needs {missing[0]!r}, for example --given "
                f"{missing[0]}={known.partition(',')[0]}. Known: {known}"
            )
        ids = [self._label(name, given[name]) for name in self.conditions]
        place = next(self.model.parameters()).device if isinstance(self.model, nn.Module) else None
        return torch.tensor([ids], device=place)

    def _label(self, name: str, label: str) -> int:
        found = self.labels[name].encode(label).tolist()
        if len(found) != 1 or found[0] == UNKNOWN:
            raise DataError(
                f"given: {name} has no {label!r}; {nearest(label, _labels(self.labels[name]))}"
            )
        return int(found[0])

    def encode(self, prompt: str) -> list[int]:
        """Ids of a prompt, without start and end; what the model has never seen is ``<unk>``.

        An :class:`recurra.UnknownWarning` says what that is.
        """
        ids: list[int] = self.encode_begun(text_of("prompt", prompt)).tolist()
        if UNKNOWN in ids:
            self.warn_unknown(self.unknown(prompt))
        return ids

    def warn_unknown(self, unknown: Iterable[str]) -> None:
        """Warn of characters or words of a prompt that the model has never seen, if there are."""
        if said := self.of_unknown(unknown):
            warnings.warn(f"prompt: {said}", UnknownWarning, stacklevel=callers_level())

    def of_unknown(self, unknown: Iterable[str]) -> str:
        """What is said of characters or words that the model has never seen; empty of none."""
        shown = _shown(map(repr, unknown))
        hint = (
            f" (one trained with {self.spelling.hint} reads any text)" if self.spelling.hint else ""
        )
        return f"the model has never seen {shown}, and reads it as <unk>{hint}" if shown else ""

    def encode_begun(self, text: str, *, touching: bool = False) -> Ids:
        """Ids of a text that goes on; ``touching`` if with a letter and no space before it."""
        return self.spelling.encode_begun(text, touching=touching)

    def unknown(self, text: str) -> list[str]:
        """The characters or words of a text that the vocabulary does not know, each once."""
        # Bytes and byte pairs know everything, so their ids need not stand beside characters.
        pieces, ids = self.spelling.split(text), self.vocabulary.encode(text).tolist()
        return sorted({p for p, i in zip(pieces, ids, strict=False) if i == UNKNOWN})

    def writer(self, after: str) -> Callable[[int], str]:
        """A function from one id to its text, with the space that belongs between it and ``after``.

        Args:
            after: what the first id follows.
        """
        return self.spelling.writer(after)


def text_model_of(model: Model, fronts: Mapping[str, Vocabulary]) -> TextModel:
    """What reads and writes text with the model of an artifact.

    Args:
        model: recurrent, or an n-gram that stands alone.
        fronts: the vocabularies beside it.
    """
    if isinstance(model, NGramModel):
        return TextModel(model.ngram, fronts["text"], model.name)
    assert isinstance(model, LanguageModel)
    return TextModel(model, fronts["text"], model.name, fronts)


def open_text_model(
    path: str | Path, *, which: str = "best", model: str | None = None, mix: bool = False
) -> TextModel:
    """Load a language model, an n-gram that is kept in the same run, or the mixture of both.

    Args:
        path: a run, or one of its checkpoints.
        which: of a run, ``"best"`` or ``"last"``.
        model: name of an n-gram, such as ``"5-gram"``, or ``"mixture"``; the recurrent model if
            None.
        mix: the mixture, as ``model="mixture"``.

    Raises:
        ArtifactError: it cannot be loaded, or is no language model.
        SettingError: no model of that name, no mixture, or both are asked for.
    """
    model = chosen_model(model, mix)
    loaded = artifact.load(path, which=which)
    if not isinstance(loaded.model, LanguageModel | NGramModel):
        raise ArtifactError(f"{loaded.path}: expected a language model, got {loaded.kind}.")
    vocabulary = loaded.fronts["text"]
    own = loaded.model.name
    if model is None or model == own:
        return text_model_of(loaded.model, loaded.fronts)
    if model == MIXTURE:
        mixture = read_mixture(path, loaded.model)
        return TextModel(mixture, vocabulary, MIXTURE, loaded.fronts)
    ngrams = read_ngrams(path)
    if model not in ngrams:
        raise SettingError(f"model: {path} has no {model!r}; {nearest(model, [own, *ngrams])}")
    if ngrams[model].vocabulary_size != len(vocabulary):
        raise ArtifactError(
            f"{path}: its {model} counts {ngrams[model].vocabulary_size} symbols, its vocabulary "
            f"has {len(vocabulary)}. They belong to different runs."
        )
    return TextModel(ngrams[model], vocabulary, model)


def chosen_model(model: str | None, mix: bool) -> str | None:
    """The name of a model of a run, where the mixture can be asked for in two ways.

    Raises:
        SettingError: another model beside the mixture.
    """
    if mix and model not in (None, MIXTURE):
        raise SettingError(f"model: expected {model!r} or the mixture (mix), got both")
    return MIXTURE if mix else model


def given_conditions(words: Iterable[str]) -> dict[str, str]:
    """Conditions as ``--given`` takes them, ``["topic=war"]``, by name.

    Raises:
        SettingError: a word without ``=``, or a condition that is given twice.
    """
    given: dict[str, str] = {}
    for word in words:
        name, equals, label = word.partition("=")
        if not (name and equals):
            raise SettingError(f"given: expected name=label, for example topic=war, got {word!r}")
        if name in given:
            raise SettingError(f"given: {name!r} is given twice, {given[name]!r} and {label!r}")
        given[name] = label
    return given


def _labels(vocabulary: Vocabulary) -> list[str]:
    return [vocabulary.symbol(index) for index in range(len(RESERVED), len(vocabulary))]


def _shown(words: Iterable[str], most: int = 20) -> str:
    listed = list(words)
    return ", ".join(listed[:most]) + (", ..." if len(listed) > most else "")
