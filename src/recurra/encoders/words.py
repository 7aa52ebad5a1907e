"""Words with the letters inside."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from recurra.cells import cell_by_name
from recurra.errors import ShapeError
from recurra.layers import Bidirectional, TokenEmbedding
from recurra.layers.dropout import dropout
from recurra.masks import mask_like
from recurra.sequences import PaddedSequence
from recurra.settings import check_flag, check_rate, check_size
from recurra_runtime.vocabulary import UNKNOWN

__all__ = ["SpelledEmbedding"]


class SpelledEmbedding(nn.Module):
    r"""A vector for each word: one of its own beside what its letters say.

    .. math:: x_t = [E w_t; \overrightarrow{c}(l_{t,1} \dots l_{t,n}); \overleftarrow{c}(\dots)]

    c are the ends of a layer that reads the letters from both sides (Ling et al. 2015, Lample et
    al. 2016), once for each spelling of a batch. In training some words are taken for unknown ones,
    so that letters learn to carry what the word's own vector would say.

    Args:
        words: number of ids of words; 0 stands for all that are unknown.
        letters: number of ids of letters; 0 is no letter.
        word_size: width of a word's own vector.
        letter_size: width of a letter's vector.
        spelling_size: width of what its letters say of a word, of each direction; 0 reads none.
        cell: which reads the letters, a registered one.
        word_dropout: rate at which words of a batch are taken for unknown, in training only.
        dropout: rate of dropout on both, in training only.
        held: whether dropout leaves out the same elements at every step of a row.
        deviation: of the normal numbers that vectors of words and letters start with.

    Raises:
        SettingError: a rate or size out of range, or an unknown cell.
    """

    def __init__(
        self,
        words: int,
        letters: int,
        *,
        word_size: int,
        letter_size: int,
        spelling_size: int,
        cell: str = "gru",
        word_dropout: float = 0.0,
        dropout: float = 0.0,
        held: bool = False,
        deviation: float = 1.0,
    ) -> None:
        super().__init__()
        self.word_dropout = check_rate("word_dropout", word_dropout)
        self.dropout = check_rate("dropout", dropout)
        self.held = check_flag("held", held)
        size = check_size("spelling_size", spelling_size, 0)
        self.words = TokenEmbedding(words, word_size, deviation=deviation)
        self.letters = self.spelling = None
        if size:
            self.letters = TokenEmbedding(letters, letter_size, deviation=deviation)
            self.spelling = Bidirectional(
                cell_by_name(cell, letter_size, size), cell_by_name(cell, letter_size, size)
            )
        self.spelling_size = size
        self.output_size = word_size + 2 * size

    def forward(self, inputs: Any) -> Any:
        """Words ``[time, batch]`` to vectors ``[time, batch, output_size]``.

        Args:
            inputs: :class:`recurra_runtime.vocabulary.Spelled` of two PaddedSequences, or of two
                tensors: ids ``[time, batch]`` and letters ``[time, batch, letters]``.

        Raises:
            ShapeError: ids or letters without the other, or of other shapes.
        """
        ids, letters = _both(inputs)
        own = self.words(ids.map(self._forgotten))
        if self.spelling_size:
            own = own.with_valid(torch.cat([own.valid(), self.spelled(letters.valid())], -1))
        found: PaddedSequence = dropout(own, self.dropout, self.training, held=self.held)
        padded = any(isinstance(part, PaddedSequence) for part in inputs)
        return found if padded else found.values

    def spelled(self, letters: Tensor) -> Tensor:
        """What letters ``[words, letters]`` say of each word, ``[words, 2 * spelling_size]``."""
        if self.letters is None or self.spelling is None or not letters.numel():
            return self.words.weight.new_zeros(letters.shape[0], 2 * self.spelling_size)
        distinct, places = torch.unique(letters, dim=0, return_inverse=True)
        rows = PaddedSequence(distinct.t().contiguous(), (distinct > 0).sum(1))
        found: Tensor = self.spelling(self.letters(rows)).last
        return nn.functional.embedding(places, found)

    def _forgotten(self, ids: Tensor) -> Tensor:
        """Ids, some of which are taken for unknown."""
        if not self.word_dropout or not self.training:
            return ids
        kept = mask_like(ids.to(self.words.weight.dtype), self.word_dropout)
        return torch.where(kept > 0, ids, UNKNOWN)


def _both(inputs: Any) -> tuple[PaddedSequence, PaddedSequence]:
    """Ids and letters, held against each other."""
    parts = tuple(inputs) if isinstance(inputs, tuple) else ()
    rows = [p if isinstance(p, PaddedSequence) else PaddedSequence.from_padded(p) for p in parts]
    shapes = [list(part.values.shape) for part in rows]
    if len(rows) != 2 or len(shapes[0]) != 2 or len(shapes[1]) != 3 or shapes[1][:2] != shapes[0]:
        raise ShapeError(
            "inputs: expected Spelled(ids [time, batch], letters [time, batch, letters]), got "
            f"{' and '.join(map(str, shapes)) or type(inputs).__name__}."
        )
    if not torch.equal(rows[0].lengths, rows[1].lengths):
        raise ShapeError(
            f"inputs: expected ids and letters of the same lengths, got "
            f"{rows[0].lengths.tolist()} and {rows[1].lengths.tolist()}."
        )
    return rows[0], rows[1]
