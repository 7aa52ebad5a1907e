"""Texts read sentence by sentence: the words of each become one vector."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from recurra.errors import ShapeError
from recurra.layers import TokenEmbedding
from recurra.sequences import PaddedSequence

__all__ = ["Sentences"]


class Sentences(nn.Module):
    r"""One step for each sentence: the vectors of its symbols, weighed by their places, added up.

    .. math:: v_k = \sum_{j=1}^{n} l_j \circ E s_{kj}, \qquad
        l_{ji} = \left(1 - \frac{j}{n}\right) - \frac{i}{e} \left(1 - \frac{2j}{n}\right)

    s are the n symbols of a sentence, the one that ends it included, and e is the width of a
    vector, i from 1 to e. By l the order of the symbols is not lost (position encoding of
    Sukhbaatar et al. 2015, section 4.1). Of a text that no symbol ends the rest is a sentence too;
    so a text without any of them is one. A part of a stream may end in the middle of a sentence:
    texts are read whole.

    Args:
        embedding: gives a vector for each symbol.
        ends: ids of the symbols that end a sentence.
    """

    ends: Tensor
    together = True  # several steps become one

    def __init__(self, embedding: TokenEmbedding, ends: Iterable[int]) -> None:
        super().__init__()
        self.embedding, self.output_size = embedding, embedding.output_size
        found = torch.tensor(sorted(set(ends)), dtype=torch.int64)
        self.register_buffer("ends", found, persistent=False)

    def forward(self, inputs: Any) -> PaddedSequence:
        """A PaddedSequence of ids ``[time, batch]`` to one of vectors ``[sentences, batch, e]``.

        Raises:
            ShapeError: a tensor, or an id outside the vocabulary.
        """
        if not isinstance(inputs, PaddedSequence):
            raise ShapeError(
                "inputs: rows have each so many sentences as they have; expected a "
                f"PaddedSequence, got {type(inputs).__name__}; its from_padded makes one."
            )
        vectors, mask = self.embedding(inputs).to_padded(), inputs.mask
        sentence, place, size = _places(inputs, self.ends)
        weighed = vectors * self._weights(place, size, vectors.dtype)
        if not bool(mask.any()):
            return PaddedSequence(weighed[:0], inputs.lengths)
        lengths = torch.where(mask, sentence + 1, 0).amax(0)
        made = vectors.new_zeros(int(lengths.max()), *vectors.shape[1:])
        # What stands in the padding is zero by now, and adds nothing to a row's first sentence.
        where = torch.where(mask, sentence, 0).unsqueeze(-1).expand_as(weighed)
        return PaddedSequence(made.scatter_add(0, where, weighed), lengths)

    def _weights(self, place: Tensor, size: Tensor, dtype: torch.dtype) -> Tensor:
        share = (place / size).to(dtype).unsqueeze(-1)
        steps = torch.arange(1, self.output_size + 1, dtype=dtype, device=share.device)
        return (1 - share) - steps / self.output_size * (1 - 2 * share)


def _places(ids: PaddedSequence, ends: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each symbol the number of its sentence, its place in it from 1, and the sentence's size.

    All are ``[time, batch]``; in the padding they mean nothing, but are numbers of this range.
    """
    last = torch.isin(ids.values, ends) & ids.mask
    sentence = last.cumsum(0) - last.to(torch.int64)
    counted = torch.zeros_like(sentence).scatter_add(0, sentence, ids.mask.to(torch.int64))
    before = counted.cumsum(0) - counted  # symbols of the sentences before
    steps = torch.arange(1, ids.time + 1, device=sentence.device).unsqueeze(1)
    size = counted.gather(0, sentence).clamp(min=1)
    return sentence, steps - before.gather(0, sentence), size
