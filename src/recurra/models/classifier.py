"""The classifier: tokens in, one label for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

import pydantic
from torch import Tensor

from recurra.encoders import TokenEncoder
from recurra.heads import LabelHead, Pool
from recurra.layers import TokenEmbedding
from recurra.layers.settings import LayerSettings, build_layers
from recurra.models.base import Model

__all__ = ["Classifier", "ClassifierConfig", "ClassifierSettings"]


class ClassifierSettings(LayerSettings):
    """What a person chooses about a classifier, beside its layers.

    Args:
        embedding_size: width of a symbol's vector; ``hidden_size`` if None.
        embedding_spread: deviation of the normal numbers that these vectors start with. Of words
            that are seen a few times the start is most of what is ever read: large ones are noise
            by which texts are learned by heart.
        dropout_word: rate at which symbols have no vector at all, the same ones in all of a batch.
        pool: how the outputs of all steps become one vector, see :class:`recurra.LabelHead`.
    """

    LOOSE: ClassVar[frozenset[str]] = LayerSettings.LOOSE | {"embedding_spread"}

    cell: str = "gru"
    layers: int = pydantic.Field(1, ge=1, le=1000)
    hidden_size: int = pydantic.Field(64, ge=1, le=10**6)
    bidirectional: bool = True
    embedding_size: int | None = pydantic.Field(None, ge=1, le=10**6)
    embedding_spread: float = pydantic.Field(0.1, gt=0, allow_inf_nan=False)
    dropout_word: float = pydantic.Field(0.0, ge=0, lt=1)
    pool: Pool = "max"


class ClassifierConfig(ClassifierSettings):
    """All that decides the shape of a classifier.

    Args:
        vocabulary_size: number of symbols.
        classes: number of labels.
    """

    vocabulary_size: int = pydantic.Field(ge=1, le=10**9)
    classes: int = pydantic.Field(ge=1, le=10**9)


class Classifier(Model):
    r"""A recurrent classifier of sequences of symbols.

    .. math:: p(k \mid s_1 \dots s_n) = \mathrm{softmax}(W\,\mathrm{pool}(y_1 \dots y_n) + b)_k

    y are the outputs of the layers, which by default read from both ends.

    Args:
        config: sizes and settings.

    Raises:
        SettingError: an unknown cell, a setting it does not take, or sizes that do not join.
    """

    config: ClassifierConfig

    def __init__(self, config: ClassifierConfig) -> None:
        width = config.embedding_size or config.hidden_size
        embedding = TokenEmbedding(
            config.vocabulary_size,
            width,
            dropout=config.rate("input"),
            word_dropout=config.dropout_word,
            held=config.held,
            deviation=config.embedding_spread,
        )
        encoder = TokenEncoder(embedding, build_layers(config, width))
        head = LabelHead(
            encoder.output_size, config.classes, config.pool, dropout=config.rate("output")
        )
        super().__init__(encoder, head)
        self.config = config

    def starts_at(self, counts: Sequence[int] | Tensor) -> None:
        """Begin with what the classes' frequencies alone say.

        Args:
            counts: how often each class occurs in what is trained on.
        """
        cast(LabelHead, self.head).starts_at(counts)
