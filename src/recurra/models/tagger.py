"""The tagger: words or steps in, a tag for each of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Literal

import pydantic
from torch import Tensor

from recurra.encoders import FrameEncoder, Frames, SpelledEmbedding
from recurra.heads import CRFHead, LabelsHead
from recurra.layers.settings import LayerSettings, build_layers
from recurra.models.base import Model
from recurra.sections import default

__all__ = ["Tagger", "TaggerSettings"]


class TaggerSettings(LayerSettings):
    """What a person chooses about a tagger, beside its layers.

    Args:
        head: ``"crf"`` chooses the tags of a sentence together, ``"softmax"`` each by itself.
        embedding_size: width of a word's own vector.
        letter_size: width of a letter's vector.
        spelling_size: width of what the letters say of a word, of each direction; 0 reads none.
        embedding_spread: deviation of the normal numbers that vectors start with.
        dropout_word: rate at which words of a batch are taken for unknown.
        spans: whether a CRF is bound to tags that make spans, where tags are of that kind (IOB2):
            no ``I-X`` but after ``B-X`` or ``I-X``.
    """

    LOOSE: ClassVar[frozenset[str]] = LayerSettings.LOOSE | {"embedding_spread"}

    cell: str = "lstm"
    layers: int = pydantic.Field(2, ge=1, le=1000)
    hidden_size: int = pydantic.Field(200, ge=1, le=10**6)
    bidirectional: bool = True
    head: Literal["crf", "softmax"] = "crf"
    embedding_size: int = pydantic.Field(100, ge=1, le=10**6)
    letter_size: int = pydantic.Field(30, ge=1, le=10**6)
    spelling_size: int = pydantic.Field(50, ge=0, le=10**6)
    embedding_spread: float = pydantic.Field(0.1, gt=0, allow_inf_nan=False)
    dropout_word: float = pydantic.Field(0.0, ge=0, lt=1)
    spans: bool = True

    def idle(self) -> list[tuple[str, str]]:
        """Also what is said of letters that are not read, and of a chain that is not there."""
        own = (
            ("letter_size", not self.spelling_size, "no letters are read (model.spelling_size=0)"),
            ("spans", self.head == "softmax", "tags are chosen each by itself"),
        )
        chosen = ((name, why) for name, idle, why in own if idle and self._chose(name))
        return [*super().idle(), *chosen]

    def unread(self, words: bool) -> Iterator[tuple[str, str]]:
        """Settings that words, or series, leave without effect, each with why."""
        names = ("embedding_size", "letter_size", "spelling_size", "embedding_spread")
        for name in () if words else (*names, "dropout_word"):
            yield name, "no words are read"

    def _chose(self, name: str) -> bool:
        return bool(getattr(self, name) != default(self, name))


class Tagger(Model):
    r"""A recurrent tagger of words or steps, which by default reads them from both ends.

    .. math:: p(y_1 \dots y_n \mid x) = \mathrm{head}(\mathrm{layers}(v_1 \dots v_n))

    v are vectors of words and their letters (:class:`recurra.SpelledEmbedding`), or the numbers of
    a series as they are.

    Args:
        config: settings.
        tags: how many there are.
        words: of words, the number of their ids and that of letters' ids.
        channels: of a series, numbers in a step.
        forbidden: pairs of tags that never follow each other, see :class:`recurra.CRFHead`.

    Raises:
        SettingError: an unknown cell, a setting it does not take, or sizes that do not join.
    """

    config: TaggerSettings
    head: CRFHead | LabelsHead

    def __init__(
        self,
        config: TaggerSettings,
        *,
        tags: int,
        words: tuple[int, int] | None = None,
        channels: int = 1,
        forbidden: Iterable[tuple[int | None, int | None]] = (),
    ) -> None:
        stem = _frames(config, channels) if words is None else _spelled(config, *words)
        encoder = FrameEncoder(stem, build_layers(config, stem.output_size))
        width, rate = encoder.output_size, config.rate("output")
        head: CRFHead | LabelsHead
        if config.head == "crf":
            pairs = forbidden if config.spans else ()
            head = CRFHead(width, tags, dropout=rate, held=config.held, forbidden=pairs)
        else:
            head = LabelsHead(width, tags, dropout=rate, held=config.held)
        super().__init__(encoder, head)
        self.config = config

    def starts_at(self, counts: Sequence[int] | Tensor) -> None:
        """Begin with what the tags' frequencies alone say.

        Args:
            counts: how often each tag occurs in what is trained on.
        """
        self.head.starts_at(counts)


def _spelled(config: TaggerSettings, words: int, letters: int) -> SpelledEmbedding:
    return SpelledEmbedding(
        words,
        letters,
        word_size=config.embedding_size,
        letter_size=config.letter_size,
        spelling_size=config.spelling_size,
        word_dropout=config.dropout_word,
        dropout=config.rate("input"),
        held=config.held,
        deviation=config.embedding_spread,
    )


def _frames(config: TaggerSettings, channels: int) -> Frames:
    """Numbers are dropped only where that is said: one that is missing is another measurement."""
    return Frames(channels, dropout=config.dropout_input or 0.0, held=config.held)
