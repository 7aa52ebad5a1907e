"""Rivals of recurrence that name a class: they read which symbols a row has, in no order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from recurra.engine.torch_internals import without_compiler
from recurra.heads.base import log_frequencies
from recurra_runtime.vocabulary import Ids

__all__ = ["BagOfSymbols", "Majority", "MeanOfVectors"]

_PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # of the bag's weights, the strongest fitted first
_ITERATIONS = 100
_WIDTH, _HIDDEN, _RATE = 64, 64, 0.003  # of the feed-forward net
_DROPPED, _NO_WORD = 0.5, 0.3  # dropout before the output; share of symbols left out of a row
_PASSES, _PATIENCE, _ROWS = 30, 5, 32


class Majority:
    """Every row is of the most frequent class, of several labels of those that most rows have.

    Args:
        log_priors: ``[classes]``.
    """

    def __init__(self, log_priors: Tensor) -> None:
        self.log_priors = log_priors

    @classmethod
    def fit(cls, labels: Ids, classes: int) -> Self:
        """From the classes of rows that are trained on; 0 or 1 for each where there are several."""
        if labels.ndim == 2:
            counts = torch.from_numpy(labels.sum(0)).double()
            return cls(((counts + 1) / (len(labels) + 2)).log())
        return cls(log_frequencies(np.bincount(labels, minlength=classes).tolist(), classes))

    def log_probabilities(self, rows: Sequence[Ids]) -> Tensor:
        """``[rows, classes]``."""
        return self.log_priors.expand(len(rows), -1)

    def arrays(self) -> dict[str, Tensor]:
        """All that it is."""
        return {"log_priors": self.log_priors}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Tensor]) -> Self:
        """What :meth:`arrays` gave."""
        return cls(**arrays)


class _Sparse(NamedTuple):
    """Rows of numbers of which most are 0, as :func:`torch.nn.functional.embedding_bag` reads them.

    Args:
        columns: of the others, row by row.
        begins: where each row begins.
        values: of them.
    """

    columns: Tensor
    begins: Tensor
    values: Tensor

    def times(self, matrix: Tensor) -> Tensor:
        """The product with a matrix; each sum in one order, however many threads there are."""
        product: Tensor = nn.functional.embedding_bag(
            self.columns, matrix, self.begins, mode="sum", per_sample_weights=self.values
        )
        return product

    def transposed(self, columns: int) -> _Sparse:
        """The same numbers, column by column."""
        counts = torch.diff(self.begins, append=torch.tensor([len(self.columns)]))
        rows = torch.repeat_interleave(torch.arange(len(self.begins)), counts)
        order = self.columns.argsort(stable=True)
        sizes = torch.bincount(self.columns, minlength=columns)
        return _Sparse(rows[order], sizes.cumsum(0) - sizes, self.values[order])


class BagOfSymbols:
    r"""Logistic regression on which symbols a row has, and how often.

    .. math:: z = W \frac{x}{|x|} + b, \qquad x_s = \log(1 + n_s) \log \frac{N + 1}{N_s + 1}

    :math:`n_s` is how often symbol s is in the row, :math:`N_s` in how many of N rows it is. The
    penalty of the squares of W is chosen on rows that are not trained on.

    Args:
        weight: ``[symbols, classes]``.
        bias: ``[classes]``.
        rarity: :math:`\log \frac{N + 1}{N_s + 1}`, ``[symbols]``.
    """

    def __init__(self, weight: Tensor, bias: Tensor, rarity: Tensor) -> None:
        self.weight, self.bias, self.rarity = weight, bias, rarity

    @classmethod
    def fit(
        cls,
        rows: Sequence[Ids],
        labels: Ids,
        held: tuple[Sequence[Ids], Ids],
        *,
        symbols: int,
        classes: int,
    ) -> Self:
        """The best of several penalties.

        Args:
            rows: ids of each.
            labels: numbers of their classes.
            held: rows and labels to choose by.
            symbols: how many ids there are.
            classes: how many classes.
        """
        counted = _counted(rows)
        seen = torch.bincount(counted.columns, minlength=symbols)
        rarity = ((len(rows) + 1) / (seen + 1.0)).log().double()
        bag = cls(
            torch.zeros(symbols, classes, dtype=torch.float64),
            log_frequencies(np.bincount(labels, minlength=classes).tolist(), classes),
            rarity,
        )
        read = bag._weighted(counted)
        across, answers = read.transposed(symbols), torch.from_numpy(labels)
        best, chosen = -1.0, bag
        for penalty in reversed(_PENALTIES):
            bag = cls(*_descend(bag, read, across, answers, penalty), rarity)
            right = _share_right(bag, *held)
            if right > best:
                best, chosen = right, bag
        return chosen

    def log_probabilities(self, rows: Sequence[Ids]) -> Tensor:
        """``[rows, classes]``."""
        read = self._weighted(_counted(rows))
        return (read.times(self.weight) + self.bias).log_softmax(1)

    def _weighted(self, counted: _Sparse) -> _Sparse:
        values = counted.values.log1p() * self.rarity[counted.columns]
        squares = counted._replace(values=values.square())
        norms = squares.times(torch.ones(len(self.rarity), 1, dtype=torch.float64)).sqrt()[:, 0]
        counts = torch.diff(counted.begins, append=torch.tensor([len(values)]))
        return counted._replace(
            values=values / torch.repeat_interleave(norms.clamp(min=1e-12), counts)
        )

    def arrays(self) -> dict[str, Tensor]:
        """All that it is."""
        return {"weight": self.weight, "bias": self.bias, "rarity": self.rarity}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Tensor]) -> Self:
        """What :meth:`arrays` gave."""
        return cls(**arrays)


def _counted(rows: Sequence[Ids]) -> _Sparse:
    """How often each symbol is in each row."""
    pairs = [np.unique(ids, return_counts=True) for ids in rows]
    sizes = np.array([len(ids) for ids, _ in pairs], np.int64)
    flat = [np.concatenate([*parts, np.zeros(0, np.int64)]) for parts in zip(*pairs, strict=True)]
    columns, counts = flat or (np.zeros(0), np.zeros(0))
    return _Sparse(
        torch.from_numpy(columns.astype(np.int64)),
        torch.from_numpy(np.cumsum(sizes) - sizes),
        torch.from_numpy(counts.astype(np.float64)),
    )


def _descend(
    bag: BagOfSymbols, read: _Sparse, across: _Sparse, labels: Tensor, penalty: float
) -> tuple[Tensor, Tensor]:
    """Weights and bias at the least loss, from those of another penalty."""
    weight, bias = (value.clone().requires_grad_() for value in (bag.weight, bag.bias))
    wanted = nn.functional.one_hot(labels, len(bias)).double()
    optimizer = without_compiler(torch.optim.LBFGS)(
        [weight, bias], max_iter=_ITERATIONS, line_search_fn="strong_wolfe", tolerance_grad=1e-6
    )

    @torch.no_grad()
    def loss() -> float:
        said = (read.times(weight) + bias).log_softmax(1)
        wrong = (said.exp() - wanted) / len(labels)
        weight.grad = across.times(wrong) + penalty / len(labels) * weight
        bias.grad = wrong.sum(0)
        nats = -said.gather(1, labels.unsqueeze(1)).mean()
        return float(nats + penalty / len(labels) / 2 * weight.square().sum())

    optimizer.step(loss)
    return weight.detach(), bias.detach()


def _share_right(model: BagOfSymbols | MeanOfVectors, rows: Sequence[Ids], labels: Ids) -> float:
    return float((model.log_probabilities(rows).argmax(1).numpy() == labels).mean())


class MeanOfVectors:
    r"""A feed-forward net on the mean of a row's vectors (Iyyer et al. 2015).

    .. math:: z = W \max(0, V \frac{1}{n} \sum_t E s_t + c) + b

    In training symbols are left out of rows, and the pass is chosen on rows that are not trained
    on.

    Args:
        net: E, V, W as a module.
    """

    def __init__(self, net: _Net) -> None:
        self.net = net.eval()

    @classmethod
    def fit(
        cls,
        rows: Sequence[Ids],
        labels: Ids,
        held: tuple[Sequence[Ids], Ids],
        *,
        symbols: int,
        classes: int,
        seed: int = 0,
    ) -> Self:
        """The best of its passes; arguments as of :meth:`BagOfSymbols.fit`.

        Args:
            rows: ids of each.
            labels: numbers of their classes.
            held: rows and labels to choose by.
            symbols: how many ids there are.
            classes: how many classes.
            seed: of every draw; nobody else's draws change.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = cls(_Net(symbols, classes))
            optimizer = without_compiler(torch.optim.Adam)(model.net.parameters(), lr=_RATE)
            best, kept, since = -1.0, model.net.state_dict(), 0
            for _ in range(_PASSES):
                _one_pass(model.net, optimizer, rows, torch.from_numpy(labels))
                right = _share_right(model, *held)
                since += 1
                if right > best:
                    best, since = right, 0
                    kept = {name: part.clone() for name, part in model.net.state_dict().items()}
                if since == _PATIENCE:
                    break
            model.net.load_state_dict(kept)
        return model

    @torch.no_grad()
    def log_probabilities(self, rows: Sequence[Ids]) -> Tensor:
        """``[rows, classes]``."""
        self.net.eval()
        said: Tensor = self.net(*_flat(rows)).log_softmax(1)
        return said

    def arrays(self) -> dict[str, Tensor]:
        """All that it is."""
        return dict(self.net.state_dict())

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Tensor]) -> Self:
        """What :meth:`arrays` gave."""
        (symbols, _), (classes, _) = arrays["vectors.weight"].shape, arrays["output.weight"].shape
        with torch.random.fork_rng(devices=[]):
            net = _Net(symbols, classes)
        net.load_state_dict(arrays)
        return cls(net)


class _Net(nn.Module):
    def __init__(self, symbols: int, classes: int) -> None:
        super().__init__()
        self.vectors = nn.EmbeddingBag(symbols, _WIDTH, mode="mean")
        nn.init.normal_(self.vectors.weight, std=0.1)
        self.hidden = nn.Linear(_WIDTH, _HIDDEN)
        self.output = nn.Linear(_HIDDEN, classes)

    def forward(self, ids: Tensor, begins: Tensor) -> Tensor:
        mean = self.vectors(ids, begins)
        hidden = nn.functional.dropout(self.hidden(mean).relu(), _DROPPED, self.training)
        said: Tensor = self.output(hidden)
        return said


def _flat(rows: Sequence[Ids]) -> tuple[Tensor, Tensor]:
    """Ids of all rows, and where each begins."""
    sizes = torch.tensor([len(ids) for ids in rows], dtype=torch.int64)
    joined = np.concatenate([*rows, np.zeros(0, np.int64)]).astype(np.int64)
    return torch.from_numpy(joined), sizes.cumsum(0) - sizes


def _one_pass(
    net: _Net, optimizer: torch.optim.Optimizer, rows: Sequence[Ids], labels: Tensor
) -> None:
    net.train()
    for chosen in torch.split(torch.randperm(len(rows)), _ROWS):
        some = [rows[n] for n in chosen.tolist()]
        some = [ids[(torch.rand(len(ids)) >= _NO_WORD).numpy()] for ids in some]
        loss = nn.functional.cross_entropy(net(*_flat(some)), labels[chosen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
