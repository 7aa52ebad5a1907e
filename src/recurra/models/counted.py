"""An n-gram as a model of its own: what an artifact keeps of one."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

import numpy as np
import pydantic
import torch
from torch import Tensor, nn

from recurra.batch import Batch
from recurra.errors import SettingError
from recurra.models.base import Model
from recurra.models.ngram import AddK, KneserNey, NGram, Smoothing, ngram_name
from recurra.sections import Section, contradiction
from recurra_runtime.vocabulary import END, START, Ids

__all__ = ["NGramConfig", "NGramModel", "NGramSettings"]

_KINDS = ("keys", "counts")
_TYPES = {1: torch.uint8, 2: torch.uint16, 4: torch.uint32, 8: torch.uint64}
_Count = Annotated[int, pydantic.Field(ge=1, le=10**12)]


class NGramSettings(Section):
    """What a person chooses about an n-gram.

    Args:
        order: n: a symbol is predicted from the n - 1 before it; 2 is a bigram.
        modified: whether Kneser-Ney smoothing has three discounts an order, or one.
        add_k: what is added to each count instead of Kneser-Ney smoothing; 0 is plain counting.
    """

    order: int = pydantic.Field(5, ge=1, le=64)
    modified: bool = True
    add_k: float | None = pydantic.Field(None, ge=0, le=1e6, allow_inf_nan=False)

    @pydantic.model_validator(mode="after")
    def _agree(self) -> Self:
        """One smoothing."""
        if self.add_k is not None and not self.modified:
            raise contradiction(self, "modified", "add_k is another smoothing")
        return self

    @property
    def smoothing(self) -> Smoothing:
        """Where the probabilities come from."""
        return KneserNey(self.modified) if self.add_k is None else AddK(self.add_k)


class NGramConfig(NGramSettings):
    """All that decides the shape of an n-gram.

    Args:
        vocabulary_size: number of symbols.
        grams: number of grams that are kept, of each length from 1 on.
        widths: bytes of a key and of a count, of each length.
    """

    vocabulary_size: int = pydantic.Field(ge=2, le=10**9)
    grams: list[_Count]
    widths: list[list[Literal[1, 2, 4, 8]]]

    @pydantic.model_validator(mode="after")
    def _lengths(self) -> Self:
        """A number for each length."""
        if len(self.grams) != self.order:
            raise ValueError(f"expected {self.order} numbers of grams, got {len(self.grams)}")
        if [len(pair) for pair in self.widths] != [2] * self.order:
            raise ValueError(f"expected {self.order} pairs of widths, got {self.widths}")
        return self


class NGramModel(Model):
    """An n-gram (:class:`recurra.models.NGram`) that is kept and loaded as any other model.

    Its counts are buffers, of whole numbers; it has no encoder, no head and no parameters, and
    everything that decodes or scores asks :attr:`ngram`.

    Args:
        config: sizes and settings.
        ngram: whose counts it has; None where they are still to be loaded.
    """

    config: NGramConfig

    def __init__(self, config: NGramConfig, ngram: NGram | None = None) -> None:
        nn.Module.__init__(self)
        self.config = config
        arrays = None if ngram is None else ngram.arrays()
        for length, (grams, widths) in enumerate(zip(config.grams, config.widths, strict=True), 1):
            for kind, width in zip(_KINDS, widths, strict=True):
                value = torch.empty(grams, dtype=_TYPES[width])
                if arrays is not None:
                    value = torch.from_numpy(arrays[f"{kind}.{length}"])
                self.register_buffer(f"{kind}_{length}", value)
        if ngram is not None:
            self.__dict__["ngram"] = ngram

    def show(self, batch: Batch) -> None:
        """Nothing: there is no head that would show an answer."""
        return

    @classmethod
    def fit(cls, documents: Iterable[Ids], settings: NGramSettings, vocabulary_size: int) -> Self:
        """Count the grams of documents, each between a start and an end symbol.

        Args:
            documents: ids of each.
            settings: order and smoothing.
            vocabulary_size: number of ids.
        """
        ngram = NGram.fit(
            documents,
            order=settings.order,
            vocabulary_size=vocabulary_size,
            start=START,
            end=END,
            smoothing=settings.smoothing,
        )
        arrays, lengths = ngram.arrays(), range(1, settings.order + 1)
        sizes = {
            "vocabulary_size": vocabulary_size,
            "grams": list(ngram.counts),
            "widths": [[arrays[f"{kind}.{k}"].itemsize for kind in _KINDS] for k in lengths],
        }
        return cls(NGramConfig.model_validate(settings.model_dump() | sizes), ngram)

    @functools.cached_property
    def ngram(self) -> NGram:
        """The n-gram of these counts."""
        config = self.config
        found: dict[str, Any] = {
            "settings": np.array([config.order, config.vocabulary_size, START, END]),
            "add_k": np.array([] if config.add_k is None else [config.add_k], np.float64),
        }
        if config.add_k is None and config.modified:
            found["discounts"] = np.array([3])
        for name, value in self.state_dict().items():
            found[name.replace("_", ".")] = value.numpy()
        return NGram.from_arrays(found)

    @property
    def name(self) -> str:
        """``"bigram"``, ``"5-gram"``."""
        return ngram_name(self.config.order)

    @property
    def origins(self) -> dict[str, str]:
        """It names no cell."""
        return {}

    def score(self, sequences: Iterable[Iterable[Batch]]) -> tuple[float, int]:
        """Not of windows: ``model.ngram.total(documents)`` scores whole documents.

        Raises:
            SettingError: always.
        """
        raise SettingError("score: an n-gram scores whole documents: model.ngram.total(documents)")

    def start(self, batch: int) -> Tensor:
        """The state before the start symbol, of the decoding protocol."""
        return self.ngram.start(batch)

    def step(self, token: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read one symbol a row, of the decoding protocol."""
        return self.ngram.step(token, state)
