"""A recurrent language model and an n-gram that answer together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from recurra.batch import Batch
from recurra.errors import SettingError
from recurra.models.grams import Floats, Ints, _ids
from recurra.models.language import LanguageModel, LanguageModelState
from recurra.models.ngram import NGram
from recurra.models.trust import _begun, _follow, _said
from recurra.sequences import PaddedSequence
from recurra.settings import check_number
from recurra.twins import evaluating
from recurra_runtime.vocabulary import START

__all__ = ["Mixture", "MixtureState", "best_weight", "best_weights", "document_scores"]

_SPAN = 256  # symbols read at once, whose log-probabilities are all made
_HALVINGS = 60  # of [0, 1], after which float64 knows no closer
_PULL = 20.0  # symbols that the one weight counts for, where another one is chosen


class MixtureState(NamedTuple):
    """What a mixture carries from symbol to symbol; rows of it can be selected.

    Args:
        network: the recurrent model's.
        ngram: the n-gram's, the last symbols ``[batch, order - 1]``.
        trust: float64 ``[batch, 4]``: shares of the interpolation, of the network alone and of the
            n-gram alone, and how many symbols were read.
        weight: of the network in the interpolation that was last said, float64 ``[batch]``.
        ours: log-probabilities that the network last said, ``[batch, vocabulary_size]``.
        theirs: the same of the n-gram.
    """

    network: LanguageModelState
    ngram: Tensor
    trust: Tensor
    weight: Tensor
    ours: Tensor
    theirs: Tensor


class Mixture(nn.Module):
    r"""A recurrent language model and an n-gram, their probabilities interpolated.

    .. math::

        P(s_t \mid h) = w_{k(h)} \, P_{network}(s_t \mid h)
            + (1 - w_{k(h)}) \, P_{ngram}(s_t \mid h)

    A network knows what is far back, an n-gram what stood there word for word; what both say is
    better than either on almost any text (Jelinek and Mercer 1980; Mikolov et al. 2010). k(h) is
    how well the n-gram knows the history h (:meth:`NGram.familiarity`): it is sure where a long one
    was often counted, and there alone (Jelinek and Mercer 1980 have a weight for each count, too).

    On a text of another kind either may be right alone. With a doubt d, the shares of this
    interpolation, of the network alone and of the n-gram alone begin at 1 - d, d / 2 and d / 2 in
    every document and follow what comes, so that of T symbols the document costs at most
    :math:`\log(2T/d)` nats more than with the better of the two alone (``recurra.models.trust``).

    Args:
        network: over the same vocabulary.
        ngram: counted on the same text, with an end symbol; it knows no conditions.
        weight: w, from 0 (the n-gram alone) to 1 (the network alone).
        weights: w of each degree to which the n-gram knows a history, ``[familiarities]``;
            ``weight`` for all if None.
        doubt: d, from 0 to 1; without it shares stay as they are.

    Raises:
        SettingError: a weight or a doubt outside [0, 1], another number of weights, or models of
            different vocabularies.
    """

    def __init__(
        self,
        network: LanguageModel,
        ngram: NGram,
        weight: float,
        weights: npt.ArrayLike | None = None,
        doubt: float = 0.0,
    ) -> None:
        super().__init__()
        for name, number in (("weight", weight), ("doubt", doubt)):
            if not 0 <= check_number(f"Mixture: {name}", number) <= 1:
                raise SettingError(f"Mixture: {name}: expected 0 to 1, got {number!r}")
        size = network.config.vocabulary_size
        if (ngram.vocabulary_size, ngram.start_symbol) != (size, START):
            raise SettingError(
                f"Mixture: expected an n-gram of the network's {size} symbols that starts with "
                f"{START}, got one of {ngram.vocabulary_size} that starts with "
                f"{ngram.start_symbol}; count it on the ids of the network's vocabulary"
            )
        self.network, self.ngram, self.weight = network, ngram, float(weight)
        self.weights = _weights(weights, self.weight, ngram.familiarities)
        self.doubt = float(doubt)
        self._prior = (1 - self.doubt, self.doubt / 2, self.doubt / 2)

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
        nothing = torch.zeros(batch, self.network.config.vocabulary_size, device=place)
        trust = torch.tensor([_begun(self._prior)], dtype=torch.float64, device=place)
        return MixtureState(
            self.network.start(batch, given),
            self.ngram.start(batch).to(place),
            trust.expand(batch, -1),
            torch.full((batch,), self.weight, dtype=torch.float64, device=place),
            nothing,
            nothing,
        )

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
        said = network, ngram[None], ours[None], theirs[None]
        joined, after = self._join(token[None], state, *said)
        return joined[0], after

    def steps(self, tokens: Tensor, state: MixtureState) -> tuple[Tensor, MixtureState]:
        """Several calls of :meth:`step`; the network reads them at once.

        Args:
            tokens: ids ``[time, batch]``.
            state: as :meth:`start` or an earlier step gave it.

        Returns:
            log-probabilities after each symbol ``[time, batch, vocabulary_size]``, and the state.
        """
        ours, network = self.network.steps(tokens, state.network)
        theirs, histories = list[Tensor](), [state.ngram]
        for token in tokens:
            log_probs, history = self.ngram.step(token, histories[-1])
            theirs.append(log_probs)
            histories.append(history)
        return self._join(
            tokens, state, network, torch.stack(histories[1:]), ours, torch.stack(theirs)
        )

    def _join(
        self,
        tokens: Tensor,
        state: MixtureState,
        network: LanguageModelState,
        histories: Tensor,
        ours: Tensor,
        theirs: Tensor,
    ) -> tuple[Tensor, MixtureState]:
        """What both say after each symbol ``[time, batch, vocabulary_size]``, joined."""
        known = self.ngram._familiarity(histories.cpu().numpy())[..., -1]
        weights = torch.from_numpy(self.weights[known]).to(ours.device)
        before = [
            torch.cat([last[None], said[:-1]]).gather(2, tokens[..., None])[..., 0]
            for last, said in ((state.ours, ours), (state.theirs, theirs))
        ]
        before.append(torch.cat([state.weight[None], weights[:-1]]))
        said = _said(*(each.detach().double().cpu().numpy() for each in before))
        trust = torch.tensor(
            [
                _follow(row, self._prior, said[:, number].tolist())
                for number, row in enumerate(state.trust.tolist())
            ],
            dtype=torch.float64,
            device=ours.device,
        ).transpose(0, 1)
        shares = torch.stack(_shares(trust, weights)).log().to(ours.dtype)[..., None]
        joined = torch.logaddexp(ours + shares[0], theirs + shares[1])
        return joined, MixtureState(
            network, histories[-1], trust[-1], weights[-1], ours[-1].clone(), theirs[-1].clone()
        )

    def join(self, document: npt.ArrayLike, ours: Floats) -> Floats:
        """The log-probabilities of a document's symbols from those of the network.

        Args:
            document: ids ``[time]``, without start and end symbols.
            ours: what the network says of each, the end symbol last where the n-gram has one.

        Raises:
            DataError: an id that may not be predicted.
        """
        theirs = self.ngram.score(document)
        return self._shared(ours, theirs, self.weights[self.ngram.familiarity(document)])

    def _shared(self, ours: Floats, theirs: Floats, weights: Floats) -> Floats:
        """A whole document's log-probabilities ``[time]``."""
        (begun,) = _follow(_begun(self._prior), self._prior, [(1.0, 1.0, 1.0)])
        after = _follow(begun, self._prior, _said(ours, theirs, weights).tolist())
        one, other = _shares(np.array([begun, *after])[:-1], weights)
        with np.errstate(divide="ignore"):
            joined: Floats = np.logaddexp(ours + np.log(one), theirs + np.log(other))
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
        known = self.ngram.familiarity(document)
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
        return self._shared(np.concatenate(found), theirs, self.weights[known])

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
                total -= float(self.join(ids[:-1], log_probs).sum())
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


def best_weights(
    network: Floats, ngram: Floats, familiarity: Ints, weight: float, size: int
) -> Floats:
    r"""A weight for each degree to which an n-gram knows a history, each pulled towards one weight.

    .. math::

        \arg\max_{w} \sum_{t: k_t = k} \log(w \, p_t + (1 - w) \, q_t)
            + 20 \, (w_0 \log w + (1 - w_0) \log(1 - w))

    as if each degree had been there 20 times more. Where it never was, the weight is :math:`w_0`,
    and because of the pull the sum of the logarithms is never below that with :math:`w_0` alone.

    Args:
        network: log-probabilities of symbols, :math:`\log p_t`.
        ngram: of the same symbols, :math:`\log q_t`.
        familiarity: of their histories, :math:`k_t`.
        weight: :math:`w_0`, as :func:`best_weight` gives it.
        size: number of degrees.
    """
    _, p, q = _said(network, ngram, np.zeros(len(network))).T
    known = np.maximum(p, q) > 0
    p, q, familiarity = p[known], q[known], familiarity[known]
    low, high = np.zeros(size), np.ones(size)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        each = middle[familiarity]
        data = np.bincount(familiarity, (p - q) / (each * p + (1 - each) * q), size)
        slope = middle * (1 - middle) * data + _PULL * (weight - middle)  # by w (1 - w) > 0
        low, high = np.where(slope > 0, middle, low), np.where(slope > 0, high, middle)
    found: Floats = (low + high) / 2
    return found


def _weights(weights: npt.ArrayLike | None, weight: float, size: int) -> Floats:
    """``[size]``, checked."""
    if weights is None:
        return np.full(size, weight)
    found = np.array(weights, np.float64)
    if found.shape != (size,) or not ((found >= 0) & (found <= 1)).all():
        raise SettingError(
            f"Mixture: weights: expected {size} from 0 to 1, one for each familiarity of the "
            f"n-gram, got {list(found.shape)} of them: {weights!r:.80}"
        )
    return found


def _shares(trust: Any, weights: Any) -> tuple[Any, Any]:
    """Shares of the network and of the n-gram in what is said, from those of all three."""
    interpolated, one, other = trust[..., 0], trust[..., 1], trust[..., 2]
    return interpolated * weights + one, interpolated * (1 - weights) + other
