"""A sequence with steps of its own: what is said symbol by symbol, of what was read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from recurra.cells.attention import Attending, AttentionCell
from recurra.decoding import Kept
from recurra.errors import SettingError, ShapeError
from recurra.heads.base import LabelingHead, Shown, whole_rows
from recurra.layers import Layer, LayerOutput, Pool, Pooling, Projection, TokenEmbedding
from recurra.losses import divergence, projected_cross_entropy
from recurra.sequences import PaddedSequence
from recurra.settings import check_rate, check_size
from recurra.states import Tree, map_tree
from recurra_runtime.vocabulary import END, START

__all__ = [
    "DecoderHead",
    "Decoding",
]


class Decoding(NamedTuple):
    """What a decoder goes on from; rows of it can be selected.

    Args:
        carried: the states of its layers.
        memory: the :class:`recurra.Memory` that it looks at; None without attention.
        copies: the symbols that it may copy, of a :class:`recurra.CopyingHead`.
    """

    carried: Tree
    memory: Kept | None
    copies: Kept | None = None


class DecoderHead(LabelingHead):
    r"""Says a sequence of symbols, each after those before it (Sutskever et al. 2014).

    .. math::

        s_0 = \tanh(B\,r), \qquad
        p(y_1 \dots y_n \mid x) = \prod_t \mathrm{softmax}(z_t)_{y_t}, \qquad
        z_t = W\,\mathrm{layers}(E y_{t-1}, s_{t-1}, m) + b

    r is what the encoder's outputs are pooled to, m the memory of all of them. Trained
    with the true :math:`y_{t-1}` (teacher forcing). With ``sampling`` some of them are what the
    model itself finds most probable there, read off a first pass over the true ones (Bengio et al.
    2015, in the parallel form of Mihaylova & Martins 2019). With ``smoothing`` :math:`\epsilon` the
    loss in training is :math:`(1 - \epsilon)` of the true symbol's and :math:`\epsilon` of the mean
    of all symbols' (Szegedy et al. 2016); scores are never smoothed.

    It follows the decoding protocol: ``head(read)`` is the state to begin from, :meth:`step` reads
    a symbol of each row. A sequence begins after the start symbol, 1, and its last symbol ends it.

    Args:
        input_size: width of what the encoder gives.
        symbols: number of symbols v.
        layers: which read vectors of symbols; their cells may be :class:`recurra.AttentionCell`.
        embedding_size: width of these vectors.
        pool: how the encoder's outputs become r, see :class:`recurra.Pooling`.
        tied: whether the projection shares the embedding's weights.
        smoothing: :math:`\epsilon`, at least 0 and below 1.
        sampling: rate at which true symbols give way to the model's own in training.
        dropout: rate of dropout on what the projection reads, in training only.
        dropout_input: rate of dropout on the vectors.
        held: whether dropout leaves out the same elements at every step of a row.
        deviation: of the normal numbers that the vectors start with.

    Raises:
        SettingError: a rate or size out of range, or layers that read another width.
    """

    def __init__(
        self,
        input_size: int,
        symbols: int,
        layers: Layer,
        *,
        embedding_size: int,
        pool: Pool = "last",
        tied: bool = False,
        smoothing: float = 0.0,
        sampling: float = 0.0,
        dropout: float = 0.0,
        dropout_input: float = 0.0,
        held: bool = False,
        deviation: float = 0.1,
    ) -> None:
        super().__init__()
        self.input_size, self.output_size = check_size("input_size", input_size), symbols
        if layers.input_size not in (None, embedding_size):
            raise SettingError(
                f"DecoderHead: vectors of symbols have {embedding_size} numbers, the layers read "
                f"{layers.input_size}"
            )
        self.smoothing = check_rate("smoothing", smoothing)
        self.sampling = check_rate("sampling", sampling)
        self.embedding = TokenEmbedding(
            symbols, embedding_size, dropout=dropout_input, held=held, deviation=deviation
        )
        self.layers = layers
        self.projection = Projection(
            layers.output_size,
            symbols,
            tied_size=embedding_size if tied else None,
            dropout=dropout,
            held=held,
        )
        begun = sum(leaf.numel() for leaf in _begun(layers.initial_state(1)))
        self.pool, self.bridge = Pooling(input_size, pool), nn.Linear(input_size, begun)

    @property
    def attention(self) -> AttentionCell | None:
        """The cell that looks back, or None."""
        return next((m for m in self.layers.modules() if isinstance(m, AttentionCell)), None)

    # ---- training --------------------------------------------------------------------------------

    def forward(self, read: LayerOutput, embedding: Tensor | None = None) -> Decoding:
        """What the decoder begins from.

        Args:
            read: of the encoder; its outputs are the memory.
            embedding: not used: the decoder has a table of its own.
        """
        initial = self.layers.initial_state(read.last.shape[0])
        begun = torch.tanh(self.bridge(self.pool(read)))
        own = _begun(initial)
        parts = iter(torch.split(begun, [leaf[0].numel() for leaf in own], 1))
        places = {id(leaf) for leaf in own}
        carried = map_tree(lambda leaf: next(parts) if id(leaf) in places else leaf, initial)
        cell = self.attention
        memory = None if cell is None else Kept(cell.memory(whole_rows(read.outputs)))
        return Decoding(carried, memory)

    def score(self, predictions: Decoding, targets: Any) -> tuple[Tensor, int]:
        """Cross-entropy in nats of what is said from there, and the number of its symbols.

        In training it is smoothed, and some symbols that are read are the model's own.

        Args:
            predictions: as :meth:`forward` gives it.
            targets: PaddedSequence ``[time, batch]`` of ids, the end symbol of each included.
        """
        wanted = whole_rows(targets)
        if not wanted.count:
            return self.projection.bias.sum() * 0, 0
        before = wanted.shift(1, START)
        if self.sampling and self.training:
            before = self._own(before, wanted, predictions)
        return self.total(self._outputs(before, predictions), wanted, predictions), wanted.count

    def total(self, outputs: PaddedSequence, wanted: PaddedSequence, begun: Decoding) -> Tensor:
        """Sum of the nats of targets, of what the layers gave for each.

        Args:
            outputs: ``[time, batch, size]``.
            wanted: ``[time, batch]``.
            begun: what the decoder began with.
        """
        features, weight = self.projection.parts(outputs, self._table)
        total = projected_cross_entropy(features, weight, self.projection.bias, wanted)
        if self.smoothing and self.training:
            total = total + self.smoothing * self._smoothed(features, weight, wanted)
        return total

    def log_probs(self, outputs: Tensor, state: Decoding) -> Tensor:
        """Of every symbol, ``[time, batch, v]``, of what the layers gave.

        Args:
            outputs: ``[time, batch, size]``.
            state: of the decoder.
        """
        return functional.log_softmax(self.projection(outputs, self._table), -1)

    def forced(self, begun: Decoding, targets: PaddedSequence) -> PaddedSequence:
        """Log-probabilities of all symbols after each true one, ``[time, batch, v]``.

        Args:
            begun: as :meth:`forward` gives it.
            targets: as of :meth:`score`.
        """
        return targets.with_valid(self._forced(begun, targets))

    def distilled(
        self, predictions: Decoding, taught: Sequence[Any], targets: Any, temperature: float
    ) -> Tensor:
        """T² KL(teachers ‖ student), summed over symbols (Kim & Rush 2016).

        Args:
            predictions: as :meth:`forward` gives it.
            taught: of each teacher what :meth:`forced` gave.
            targets: as of :meth:`score`.
            temperature: T.
        """
        said = self._forced(predictions, whole_rows(targets))
        return divergence(said, [other.valid() for other in taught], temperature)

    def surprise(self, begun: Decoding, targets: PaddedSequence) -> PaddedSequence:
        """Minus the log-probability of each target ``[time, batch]`` in nats.

        Args:
            begun: as :meth:`forward` gives it.
            targets: as of :meth:`score`.
        """
        own = self._forced(begun, targets).gather(1, targets.valid().unsqueeze(1))
        return targets.with_valid(-own.squeeze(1))

    def row_losses(self, predictions: Decoding, targets: Any) -> Tensor:
        """Of each row, as :meth:`score` sums them in evaluation; arguments as there."""
        return self.surprise(predictions, whole_rows(targets)).to_padded().sum(0)

    def show(self, read: LayerOutput, targets: Any, embedding: Tensor | None = None) -> Shown:
        """What is said where each symbol is the most probable one, and the nats of what should be.

        At most about twice as many symbols as should be; ends are left out of what is said.
        """
        begun, wanted = self(read, embedding), whole_rows(targets)
        token, state = wanted.values.new_full((wanted.batch,), START), begun
        said = []
        for _ in range(2 * wanted.time + 8):
            log_probs, state = self.step(token, state)
            token = log_probs.argmax(1)
            said.append(token)
        ended = torch.stack([*said, torch.full_like(token, END)]) == END
        rows = [torch.stack(said)[:n, row] for row, n in enumerate(ended.int().argmax(0).tolist())]
        return Shown(PaddedSequence.from_list(rows), wanted, self.surprise(begun, wanted))

    def numbers(self, answer: Decoding, targets: Any = None) -> PaddedSequence | None:
        """As :meth:`forced`; None without targets."""
        return None if targets is None else self.forced(answer, whole_rows(targets))

    def _forced(self, begun: Decoding, targets: PaddedSequence) -> Tensor:
        """As :meth:`forced`, of valid steps alone ``[count, v]``."""
        return self._said(self._outputs(targets.shift(1, START), begun), begun)

    def _said(self, outputs: PaddedSequence, begun: Decoding) -> Tensor:
        """As :meth:`log_probs`, of valid steps alone ``[count, v]``; no other enters a product."""
        return functional.log_softmax(self._of_symbols(outputs), -1)

    def _of_symbols(self, outputs: PaddedSequence) -> Tensor:
        """Of every symbol at valid steps ``[count, v]``."""
        features, weight = self.projection.parts(outputs, self._table)
        return functional.linear(features.valid(), weight, self.projection.bias)

    def _outputs(self, before: PaddedSequence, begun: Decoding) -> PaddedSequence:
        found = self.layers(self.embedding(before), begun.carried, _context(begun))
        outputs: PaddedSequence = found.outputs
        return outputs

    def _smoothed(self, features: PaddedSequence, weight: Tensor, wanted: PaddedSequence) -> Tensor:
        """By how much the true symbols' scores are above the mean of all symbols'."""
        x, y = features.valid(), wanted.valid()
        bias = self.projection.bias
        own = (x * functional.embedding(y, weight)).sum(-1) + bias[y]
        return (own - (x @ weight.mean(0) + bias.mean())).sum()

    @torch.no_grad()
    def _own(
        self, before: PaddedSequence, wanted: PaddedSequence, begun: Decoding
    ) -> PaddedSequence:
        """Symbols that are read, some of which are what the model says itself."""
        best = self._said(self._outputs(before, begun), begun).argmax(-1)
        said = before.with_valid(best).shift(1, START).values
        swapped = torch.rand(said.shape, device=said.device) < self.sampling
        return PaddedSequence(torch.where(swapped, said, before.values), before.lengths)

    @property
    def _table(self) -> Tensor | None:
        return None if self.projection.tied_size is None else self.embedding.weight

    # ---- decoding --------------------------------------------------------------------------------

    def start(self, batch: int) -> Decoding:
        """Refused: there is none without something that was read.

        Raises:
            ShapeError: always; ``head(read)`` is where a decoder begins.
        """
        raise ShapeError("start: a decoder begins from what was read: state=head(read).")

    def step(self, token: Tensor, state: Decoding) -> tuple[Tensor, Decoding]:
        """Read one symbol a row: log-probabilities of the next ``[batch, v]``, and the state.

        Args:
            token: ids ``[batch]``.
            state: as :meth:`forward` or an earlier step gave it.
        """
        log_probs, state = self.steps(token.unsqueeze(0), state)
        return log_probs[0], state

    def steps(self, tokens: Tensor, state: Decoding) -> tuple[Tensor, Decoding]:
        """Several calls of :meth:`step` at once.

        Args:
            tokens: ids ``[time, batch]``.
            state: as :meth:`forward` or an earlier step gave it.
        """
        found = self.layers(self.embedding(tokens), state.carried, _context(state))
        return self.log_probs(found.outputs, state), state._replace(carried=found.state)


def _begun(state: Tree) -> list[Tensor]:
    """What the bridge says the start of: vectors, but not what counts looks at places."""
    if isinstance(state, Attending):
        state = state._replace(looked=None)
    if isinstance(state, tuple):
        return [leaf for part in state for leaf in _begun(part)]
    return [state] if state is not None and state.dim() == 2 and state.is_floating_point() else []


def _context(state: Decoding) -> Tree:
    return None if state.memory is None else state.memory.tree
