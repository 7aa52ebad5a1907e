"""A label at every step, of which those beside each other are chosen together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra.cells.base import Cell, HiddenState, Noise
from recurra.engine import run
from recurra.errors import SettingError, ShapeError
from recurra.heads.base import LabelingHead, Shown
from recurra.layers import LayerOutput, Projection
from recurra.sequences import PaddedSequence
from recurra.states import Tree
from recurra.twins import without_memory

__all__ = ["CRFHead", "Paths"]

_NEVER = -1e4  # in place of minus infinity, whose gradients are no numbers: exp of it is 0


class Paths(NamedTuple):
    """The most probable labels of rows, each row's chosen together.

    Args:
        labels: of the best path ``[time, batch]``; of equally good ones that with the lowest number
            at the last step where they differ.
        score: of that path ``[batch]``, the sum of its emissions and transitions.
        log_probability: of that path among all paths ``[batch]``.
        marginals: how probable each label is at a step over all paths, ``[time, batch, labels]``.
    """

    labels: PaddedSequence
    score: Tensor
    log_probability: Tensor
    marginals: PaddedSequence


class _Forward(Cell):
    r"""All paths that end in each label.

    .. math:: \alpha_{t,k} = \log \sum_j \exp(\alpha_{t-1,j} + A_{j,k}) + x_{t,k}
    """

    def __init__(self, labels: int) -> None:
        super().__init__(labels, labels)
        self.transitions = nn.Parameter(torch.empty(labels, labels))

    def initial_state(self, batch: int) -> HiddenState:
        """Zeros; a run begins with the scores of the first step."""
        return HiddenState(self.zeros(batch))

    def step(
        self, x: Tensor, state: HiddenState, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, HiddenState]:
        """The equation of the class."""
        h = self.joined(state.h.unsqueeze(2) + self.transitions) + x
        return h, HiddenState(h)

    def joined(self, paths: Tensor) -> Tensor:
        """Of all labels before, ``[batch, before, now]`` to ``[batch, now]``."""
        return paths.logsumexp(1)


class _Best(_Forward):
    r"""The best path that ends in each label: the maximum in place of the sum (Viterbi 1967)."""

    def joined(self, paths: Tensor) -> Tensor:
        """As of the class above."""
        return paths.amax(1)


class CRFHead(LabelingHead):
    r"""A linear-chain conditional random field (Lafferty et al. 2001; Lample et al. 2016).

    .. math::

        s(y \mid x) = b_{y_1} + \sum_t (W x_t + c)_{y_t} + \sum_{t > 1} A_{y_{t-1}, y_t} + e_{y_n},
        \qquad p(y \mid x) = \frac{\exp s(y \mid x)}{\sum_{y'} \exp s(y' \mid x)}

    All labels of a row are scored together, so that one may say what follows it. The sum over all
    paths and the best of them are recurrences over scores of labels, which the engine runs like any
    cell. An empty row has one path, of score 0.

    Args:
        input_size: width of a step's output.
        labels: number of labels k.
        dropout: rate of dropout on what it reads, in training only.
        held: whether it leaves out the same elements at every step of a row.
        forbidden: pairs of labels of which the second never follows the first; None as the first
            is the start of a row, as the second its end. Their scores are not learned.

    Parameters:
        those of :class:`recurra.Projection`, which makes the emissions; ``transitions`` A [k, k],
        from a row's label to a column's; ``start`` b [k]; ``end`` e [k].

    Raises:
        SettingError: a rate out of range, or a forbidden pair of other labels.
    """

    never: Tensor

    def __init__(
        self,
        input_size: int,
        labels: int,
        *,
        dropout: float = 0.0,
        held: bool = False,
        forbidden: Iterable[tuple[int | None, int | None]] = (),
    ) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, labels
        self.projection = Projection(input_size, labels, dropout=dropout, held=held)
        self.transitions = nn.Parameter(torch.zeros(labels, labels))
        self.start, self.end = (nn.Parameter(torch.zeros(labels)) for _ in range(2))
        # The row behind the labels' is of starts, the column of ends.
        self.register_buffer("never", _forbidden(forbidden, labels), persistent=False)
        # Outside of the modules: they have no memory, and take what the head has.
        with without_memory():
            self._recursions = _Forward(labels), _Best(labels)

    def parameter_formula(self) -> tuple[str, dict[str, int]]:
        """``k*k + 2*k``."""
        return "k*k + 2*k", {"k": self.output_size}

    def forward(self, read: LayerOutput, embedding: Tensor | None = None) -> Any:
        """Outputs ``[time, batch, input_size]`` to emissions ``[time, batch, labels]``."""
        return self.projection(read.outputs)

    def score(self, predictions: Any, targets: Any) -> tuple[Tensor, int]:
        """Minus the log-probability of the paths in nats, summed over rows; number of valid steps.

        Args:
            predictions: emissions ``[time, batch, labels]``.
            targets: labels ``[time, batch]``; of the two, one or both may be a PaddedSequence.

        Raises:
            ShapeError: targets of other rows, or one that is no label.
        """
        return self.row_losses(predictions, targets).sum(), _rows(predictions, targets).count

    def row_losses(self, predictions: Any, targets: Any) -> Tensor:
        """Of each row, as :meth:`score` sums them; arguments as there."""
        emissions = _rows(predictions, targets)
        wanted = _rows(targets, emissions)
        self._check(emissions, wanted)
        return self.log_partition(emissions) - self.path_scores(emissions, wanted)

    def numbers(self, answer: Paths, targets: Any = None) -> PaddedSequence:
        """Marginals of labels at every step."""
        return answer.marginals

    def predict(self, read: LayerOutput, embedding: Tensor | None = None) -> Paths:
        """The best path of each row."""
        emissions = _rows(self(read, embedding)).masked()
        with torch.enable_grad():  # what a label's emission adds to the sum is its probability
            given = emissions._with(emissions.values.detach().requires_grad_())
            every = self.log_partition(given)
            (marginals,) = torch.autograd.grad(every.sum(), given.values)
        labels, score = self.best(emissions)
        return Paths(labels, score, score - every.detach(), emissions._with(marginals))

    def show(self, read: LayerOutput, targets: Any, embedding: Tensor | None = None) -> Shown:
        """The best path, and minus the logarithm of the marginal of each true label."""
        paths = self.predict(read, embedding)
        wanted = _rows(targets, paths.marginals)
        own = paths.marginals.valid().gather(1, wanted.valid().clamp(min=0).unsqueeze(1))
        nats = -own.squeeze(1).clamp(min=torch.finfo(own.dtype).tiny).log()
        nats = nats.masked_fill(wanted.valid() < 0, torch.nan)
        return Shown(paths.labels, wanted, wanted.with_valid(nats))

    def path_scores(self, emissions: PaddedSequence, labels: PaddedSequence) -> Tensor:
        """The score of one path of each row, ``[batch]``; 0 of an empty row.

        Args:
            emissions: ``[time, batch, labels]``.
            labels: ``[time, batch]``.
        """
        path = labels.masked().values
        found = emissions.masked().values.gather(2, path.unsqueeze(2)).squeeze(2)
        transitions, start, end = self._scores()
        if len(path) > 1:
            moves = transitions[path[:-1], path[1:]] * emissions.mask[1:]
            found = torch.cat([found[:1], found[1:] + moves])
        some = emissions.lengths > 0
        edges = start[path[0]] + end[labels.last()] if len(path) else end[labels.last()]
        return found.sum(0) + edges * some

    def log_partition(self, emissions: PaddedSequence) -> Tensor:
        """The logarithm of the sum over all paths of exp of their score, ``[batch]``."""
        upto = self._through(self._recursions[0], emissions)
        _, _, end = self._scores()
        found = (_at_ends(upto, emissions.lengths) + end).logsumexp(1)
        return found.masked_fill(emissions.lengths == 0, 0)

    @torch.no_grad()
    def best(self, emissions: PaddedSequence) -> tuple[PaddedSequence, Tensor]:
        """The path with the highest score of each row ``[time, batch]``, and its score ``[batch]``.

        Args:
            emissions: ``[time, batch, labels]``.
        """
        transitions, _, end = self._scores()
        lengths, upto = emissions.lengths, self._through(self._recursions[1], emissions)
        score, last = (_at_ends(upto, lengths) + end).max(1)
        path = [last]
        for step in reversed(range(len(upto) - 1)):
            before = (upto[step] + transitions.t()[path[-1]]).argmax(1)
            path.append(torch.where(step + 1 < lengths, before, last))
        steps = torch.stack(path[::-1])[: emissions.time]
        return emissions._with(steps).masked(), score.masked_fill(lengths == 0, 0)

    def _scores(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of transitions, starts and ends, where forbidden ones cannot be paid for."""
        never = self.never
        return (
            self.transitions.masked_fill(never[:-1, :-1], _NEVER),
            self.start.masked_fill(never[-1, :-1], _NEVER),
            self.end.masked_fill(never[:-1, -1], _NEVER),
        )

    def _through(self, recursion: Cell, emissions: PaddedSequence) -> Tensor:
        """What a recursion says at each step, ``[time, batch, labels]``; at least at one."""
        transitions, start, _ = self._scores()
        values = emissions.masked()._resized(max(emissions.time, 1)).values
        first = start + values[0]
        rest = run(
            recursion,
            values[1:],
            HiddenState(first),
            lengths=(emissions.lengths - 1).clamp(min=0),
            parameters={"transitions": transitions},
        )
        return torch.cat([first.unsqueeze(0), rest.outputs])

    def _check(self, emissions: PaddedSequence, targets: PaddedSequence) -> None:
        if emissions.values.shape[:2] != targets.values.shape or not torch.equal(
            emissions.lengths, targets.lengths
        ):
            raise ShapeError(
                f"CRFHead: expected a label for each of {emissions.lengths.tolist()} steps, got "
                f"targets {list(targets.values.shape)} of {targets.lengths.tolist()} steps."
            )
        given = targets.valid()
        wrong = (given < 0) | (given >= self.output_size)
        if bool(wrong.any()):
            raise ShapeError(
                f"CRFHead: expected targets 0 to {self.output_size - 1}, got "
                f"{int(given[wrong][0])}."
            )


def _at_ends(values: Tensor, lengths: Tensor) -> Tensor:
    """Each row's value at its last step; at the first of an empty row."""
    rows = torch.arange(len(lengths), device=lengths.device)
    return values[(lengths - 1).clamp(min=0), rows]


def _rows(values: Any, beside: Any = None) -> PaddedSequence:
    """Rows as they are, or whole ones of a tensor; of the lengths of what is beside it if known."""
    lengths = beside.lengths if isinstance(beside, PaddedSequence) else None
    known = isinstance(values, PaddedSequence)
    rows: PaddedSequence = values if known else PaddedSequence.from_padded(values, lengths)
    half = rows.values.dtype in (torch.bfloat16, torch.float16)  # too coarse for sums over time
    return rows._with(rows.values.float()) if half else rows


def _forbidden(pairs: Iterable[tuple[int | None, int | None]], labels: int) -> Tensor:
    """``[labels + 1, labels + 1]``, True where the second never follows the first."""
    found = torch.zeros(labels + 1, labels + 1, dtype=torch.bool)
    for pair in pairs:
        known = [place is None or (0 <= place < labels) for place in pair]
        if len(known) != 2 or not all(known):
            raise SettingError(
                f"forbidden: expected pairs of labels 0 to {labels - 1}, or None for a start or "
                f"end, got {pair!r}"
            )
        found[tuple(labels if place is None else place for place in pair)] = True
    return found
