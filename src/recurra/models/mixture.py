"""A recurrent language model and an n-gram that answer together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from recurra.batch import Batch
from recurra.errors import SettingError
from recurra.models.grams import Floats, Ints, _ids
from recurra.models.language import LanguageModel, LanguageModelState
from recurra.models.ngram import NGram
from recurra.sequences import PaddedSequence
from recurra.settings import check_number
from recurra.twins import evaluating
from recurra_runtime.vocabulary import START

__all__ = ["Mixture", "MixtureState", "best_weight", "document_scores"]

_SPAN = 256  # symbols read at once, whose log-probabilities are all made
_HALVINGS = 60  # of [0, 1], after which float64 knows no closer


class MixtureState(NamedTuple):
    """What a mixture carries from symbol to symbol; rows of it can be selected.

    Args:
        network: the recurrent model's.
        ngram: the n-gram's, the last symbols ``[batch, order - 1]``.
    """

    network: LanguageModelState
    ngram: Tensor


class Mixture(nn.Module):
    r"""A recurrent language model and an n-gram, their probabilities interpolated.

    .. math:: P(s_t \mid h) = w \, P_{network}(s_t \mid h) + (1 - w) \, P_{ngram}(s_t \mid h)

    A network knows what is far back, an n-gram what stood there word for word; what both say is
    better than either on almost any text (Jelinek and Mercer 1980; Mikolov et al. 2010).

    Args:
        network: over the same vocabulary.
        ngram: counted on the same text, with an end symbol; it knows no conditions.
        weight: w, from 0 (the n-gram alone) to 1 (the network alone).

    Raises:
        SettingError: a weight outside [0, 1], or models of different vocabularies.
    """

    def __init__(self, network: LanguageModel, ngram: NGram, weight: float) -> None:
        super().__init__()
        if not 0 <= check_number("Mixture: weight", weight) <= 1:
            raise SettingError(f"Mixture: weight: expected 0 to 1, got {weight!r}")
        size = network.config.vocabulary_size
        if (ngram.vocabulary_size, ngram.start_symbol) != (size, START):
            raise SettingError(
                f"Mixture: expected an n-gram of the network's {size} symbols that starts with "
                f"{START}, got one of {ngram.vocabulary_size} that starts with "
                f"{ngram.start_symbol}; count it on the ids of the network's vocabulary"
            )
        self.network, self.ngram, self.weight = network, ngram, float(weight)

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of what is given beside every symbol, to the network."""
        return self.network.conditions

    def start(self, batch: int, given: Tensor | None = None) -> MixtureState:
        """The state before the first symbol.

        Args:
            batch: number of rows.
            given: ids of the conditions ``[batch, conditions]``, where the network has some.

        Raises:
            ShapeError: conditions that do not fit.
        """
        place = next(self.network.parameters()).device
        return MixtureState(self.network.start(batch, given), self.ngram.start(batch).to(place))

    def step(self, token: Tensor, state: MixtureState) -> tuple[Tensor, MixtureState]:
        """Read one symbol a row.

        Args:
            token: ids ``[batch]``.
            state: as :meth:`start` or an earlier step gave it.

        Returns:
            log-probabilities of the next symbol ``[batch, vocabulary_size]``, and the state.
        """
        ours, network = self.network.step(token, state.network)
        theirs, ngram = self.ngram.step(token, state.ngram)
        return self._join(ours, theirs), MixtureState(network, ngram)

    def steps(self, tokens: Tensor, state: MixtureState) -> tuple[Tensor, MixtureState]:
        """Several calls of :meth:`step`; the network reads them at once.

        Args:
            tokens: ids ``[time, batch]``.
            state: as :meth:`start` or an earlier step gave it.

        Returns:
            log-probabilities after each symbol ``[time, batch, vocabulary_size]``, and the state.
        """
        ours, network = self.network.steps(tokens, state.network)
        theirs, ngram = [], state.ngram
        for token in tokens:
            log_probs, ngram = self.ngram.step(token, ngram)
            theirs.append(log_probs)
        return self._join(ours, torch.stack(theirs)), MixtureState(network, ngram)

    def _join(self, ours: Tensor, theirs: Tensor) -> Tensor:
        return torch.logaddexp(ours + _log(self.weight), theirs + _log(1 - self.weight))

    def join(self, ours: Floats, theirs: Floats) -> Floats:
        """The log-probabilities of symbols from those of the network and of the n-gram."""
        joined: Floats = np.logaddexp(ours + _log(self.weight), theirs + _log(1 - self.weight))
        return joined

    @torch.no_grad()
    def score(self, document: npt.ArrayLike, given: Tensor | None = None) -> Floats:
        """The log-probabilities of a document's symbols, in nats.

        Args:
            document: ids ``[time]``, without start and end symbols.
            given: ids of the conditions ``[1, conditions]``, where the network has some.

        Returns:
            ``[time]``, or ``[time + 1]`` with the end symbol last where the n-gram has one.

        Raises:
            DataError: an id that may not be predicted.
            ShapeError: conditions that do not fit.
        """
        theirs = self.ngram.score(document)  # which checks the ids
        ids, end = _ids(document, "document"), self.ngram.end_symbol
        said = np.append(ids, [] if end is None else [end]).astype(np.int64)
        place = next(self.network.parameters()).device
        read, wanted = (torch.from_numpy(a).to(place) for a in (np.append(START, said)[:-1], said))
        found, state = [np.zeros(0)], self.network.start(1, given)
        with evaluating(self.network):
            for first in range(0, len(said), _SPAN):
                span = slice(first, first + _SPAN)
                log_probs, state = self.network.steps(read[span, None], state)
                own = log_probs[:, 0].gather(1, wanted[span, None])[:, 0]
                found.append(own.double().cpu().numpy())
        return self.join(np.concatenate(found), theirs)

    def total(
        self, documents: Iterable[npt.ArrayLike], given: Tensor | None = None
    ) -> tuple[float, int]:
        """The negative log-probability of all documents, and how many symbols were predicted.

        Args:
            documents: ids ``[time]`` each, without start and end symbols.
            given: ids of the conditions of each ``[documents, conditions]``, or None.

        Raises:
            DataError: an id that may not be predicted.
        """
        total, count = 0.0, 0
        for number, document in enumerate(documents):
            scores = self.score(document, None if given is None else given[number : number + 1])
            total, count = total - float(scores.sum()), count + len(scores)
        return total, count

    def totals(self, groups: Iterable[Iterable[Batch]]) -> tuple[float, float, int]:
        """One pass of the network over whole documents for two scores.

        Args:
            groups: for each group of documents its windows, as :meth:`LanguageModel.score` takes
                them; every row is a document from its start symbol to its end.

        Returns:
            nats of the network, exactly as its own ``score`` says, nats of the mixture, and the
            number of predicted symbols.
        """
        own, total, count = 0.0, 0.0, 0
        for nats, rows in document_scores(self.network, groups):
            own += nats
            for ids, log_probs in rows:
                total -= float(self.join(log_probs, self.ngram.score(ids[:-1])).sum())
                count += len(ids)
        return own, total, count


@torch.no_grad()
def document_scores(
    network: LanguageModel, groups: Iterable[Iterable[Batch]]
) -> Iterator[tuple[float, list[tuple[Ints, Floats]]]]:
    """What a network says of whole documents, symbol by symbol.

    Args:
        network: is asked in evaluation mode.
        groups: for each group of documents its windows; every row is a document.

    Yields:
        of each group its nats as :meth:`LanguageModel.score` adds them up, and of each document
        that was predicted its symbols ``[time]``, the end among them, with their log-probabilities.
    """
    device = next(network.parameters()).device
    for group in groups:
        state, nats = None, 0.0
        parts: list[tuple[list[Ints], list[Floats]]] = []
        for batch in group:
            batch = batch.to(device)
            with evaluating(network):
                read, shared, state = network._read(batch, state)
                nats += float(network.head.loss(read, batch.targets, shared)[0])
                scores = network.head(read, shared)
            targets, lengths = _parted(batch.targets)
            values = scores.values if isinstance(scores, PaddedSequence) else scores
            own = values.gather(2, targets[..., None])[..., 0] - values.logsumexp(2)
            ids, log_probs = targets.cpu().numpy(), own.double().cpu().numpy()
            parts = parts or [([], []) for _ in lengths]
            for row, length in enumerate(lengths):
                parts[row][0].append(ids[:length, row])
                parts[row][1].append(log_probs[:length, row])
        yield nats, [(np.concatenate(ids), np.concatenate(said)) for ids, said in parts]


def _parted(targets: Tensor | PaddedSequence) -> tuple[Tensor, list[int]]:
    """Labels ``[time, batch]``, and how many of each row are there."""
    if isinstance(targets, PaddedSequence):
        return targets.values, targets.lengths.tolist()
    return targets, [len(targets)] * targets.shape[1]


def best_weight(network: Sequence[float] | Floats, ngram: Sequence[float] | Floats) -> float:
    r"""The weight of the network under which symbols are the likeliest, within one in 2**60.

    .. math:: \arg\max_{w \in [0, 1]} \sum_t \log(w \, p_t + (1 - w) \, q_t)

    The sum is concave in w, so the sign of its slope says on which side the best lies. The ends
    are compared too: no rounding makes the mixture worse than the better of the two.

    Args:
        network: log-probabilities of symbols, :math:`\log p_t`.
        ngram: of the same symbols, :math:`\log q_t`.
    """
    ours, theirs = (np.asarray(each, np.float64) for each in (network, ngram))
    top = np.maximum(ours, theirs)
    known = top > -math.inf  # what neither expects costs the same under every weight
    ours, theirs, top = ours[known], theirs[known], top[known]
    p, q = np.exp(ours - top), np.exp(theirs - top)
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        slope = float(((p - q) / (middle * p + (1 - middle) * q)).sum())
        low, high = (middle, high) if slope > 0 else (low, middle)

    def said(weight: float) -> float:
        with np.errstate(divide="ignore"):
            return float((np.log(weight * p + (1 - weight) * q) + top).sum())

    return max((1.0, 0.0, (low + high) / 2), key=said)


def _log(weight: float) -> float:
    return math.log(weight) if weight > 0 else -math.inf
