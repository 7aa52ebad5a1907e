"""A decoder that may say a symbol by copying it from what was read."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra.decoding import Kept
from recurra.errors import ShapeError
from recurra.heads.decoder import DecoderHead, Decoding
from recurra.layers import LayerOutput
from recurra.lengths import valid_mask
from recurra.sequences import PaddedSequence

__all__ = ["Copies", "CopyingHead", "ReadSymbols"]


class ReadSymbols(NamedTuple):
    """A :class:`recurra.LayerOutput` beside the symbols that were read.

    Args:
        outputs: as there, like the next two.
        last: as there.
        state: as there.
        symbols: PaddedSequence ``[time, batch]`` of ids, in the numbers of what is said.
    """

    outputs: Any
    last: Tensor
    state: Any
    symbols: PaddedSequence


class Copies(NamedTuple):
    """Symbols that may be copied.

    Args:
        keys: what outputs are held against, ``[batch, places, size]``.
        ids: ``[batch, places]``.
        absent: ``[batch, places]``, bool, where there is none.
    """

    keys: Tensor
    ids: Tensor
    absent: Tensor


class CopyingHead(DecoderHead):
    r"""A decoder whose symbols are said or copied (Gu et al. 2016).

    .. math::

        p(y \mid \cdot) = \frac{1}{Z} \Big(e^{z_y} + \sum_{m:\,x_m = y} e^{o_t^\top K r_m}\Big)

    z are the scores of all symbols, o the layers' output, r what the encoder gave at each symbol x
    that was read; Z makes it sum to 1. The paper squashes :math:`K r_m`, and feeds back what was
    copied; both are left out. What is read and said shares a vocabulary.

    Args:
        input_size: as of :class:`recurra.DecoderHead`, like all others.
        symbols: as there.
        layers: as there.
        how: as there.

    Raises:
        SettingError: as there.
    """

    def __init__(self, input_size: int, symbols: int, layers: Any, **how: Any) -> None:
        super().__init__(input_size, symbols, layers, **how)
        self.copying = nn.Linear(input_size, layers.output_size, bias=False)

    def forward(  # type: ignore[override]  # it needs the symbols too
        self, read: ReadSymbols, embedding: Tensor | None = None
    ) -> Decoding:
        """What the decoder begins from; arguments as of :class:`DecoderHead`.

        Raises:
            ShapeError: no symbols beside what was read, or not as many as places.
        """
        symbols, outputs = getattr(read, "symbols", None), read.outputs
        if symbols is None or not torch.equal(symbols.lengths, outputs.lengths):
            raise ShapeError(
                "copying: expected a symbol for each place that was read; only a text that is read "
                "symbol by symbol is copied from."
            )
        begun = super().forward(LayerOutput(outputs, read.last, read.state))
        keys = self.copying(outputs.masked().values).transpose(0, 1)
        absent = ~valid_mask(symbols.lengths, symbols.time).T
        return begun._replace(copies=Kept(Copies(keys, symbols.masked().values.T, absent)))

    def total(self, outputs: PaddedSequence, wanted: PaddedSequence, begun: Decoding) -> Tensor:
        """Sum of the nats of targets; arguments as of :class:`DecoderHead`."""
        said, (scores, ids) = self._of_symbols(outputs), _of_valid(outputs, _copies(begun))
        y = wanted.valid()
        norm = torch.cat([said, scores], 1).logsumexp(1)
        others = ids != y.unsqueeze(1)
        own = torch.cat(
            [said.gather(1, y.unsqueeze(1)), scores.masked_fill(others, -torch.inf)], 1
        ).logsumexp(1)
        nats = (norm - own).sum()
        if self.smoothing and self.training:
            every = (norm - said.mean(1)).sum()
            nats = (1 - self.smoothing) * nats + self.smoothing * every
        return nats

    def log_probs(self, outputs: Tensor, state: Decoding) -> Tensor:
        """Of every symbol, said or copied; arguments as of :class:`DecoderHead`."""
        copies = _copies(state)
        said, scores = self.projection(outputs, self._table), _scores(outputs, copies)
        return _together(said, scores, copies.ids.expand(len(outputs), -1, -1))

    def _said(self, outputs: PaddedSequence, begun: Decoding) -> Tensor:
        return _together(self._of_symbols(outputs), *_of_valid(outputs, _copies(begun)))


def _copies(state: Decoding) -> Copies:
    assert state.copies is not None
    copies: Copies = state.copies.tree
    return copies


def _together(said: Tensor, scores: Tensor, ids: Tensor) -> Tensor:
    """Log-probabilities of symbols ``[..., v]``, of which places ``[..., places]`` have some."""
    shares = torch.cat([said, scores], -1).softmax(-1)
    symbols = said.shape[-1]
    together: Tensor = shares[..., :symbols].scatter_add(-1, ids, shares[..., symbols:])
    return together.log()


def _of_valid(outputs: PaddedSequence, copies: Copies) -> tuple[Tensor, Tensor]:
    """Scores and symbols of places at valid steps, both ``[count, places]``."""
    scores = PaddedSequence(_scores(outputs.masked().values, copies), outputs.lengths)
    ids = PaddedSequence(copies.ids.expand(outputs.time, -1, -1), outputs.lengths)
    return scores.valid(), ids.valid()


def _scores(outputs: Tensor, copies: Copies) -> Tensor:
    """Of each place, ``[time, batch, places]``."""
    scores = torch.einsum("tbd,bmd->tbm", outputs, copies.keys)
    return scores.masked_fill(copies.absent, -torch.inf)
