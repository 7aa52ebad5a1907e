"""A cell that looks back at a memory at every step."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from recurra.cells.base import Cell, Noise
from recurra.cells.construction import checks_call
from recurra.cells.wrappers import Wrapper
from recurra.errors import SettingError, ShapeError
from recurra.labels import named
from recurra.lengths import valid_mask
from recurra.sequences import PaddedSequence
from recurra.settings import check_flag, check_size
from recurra.states import Tree

__all__ = [
    "Attending",
    "AttentionCell",
    "Aware",
    "Memory",
    "Score",
]

Score = Literal["additive", "general", "dot"]
"""How much a place of the memory is looked at."""
Aware = Literal["coverage", "location"]
"""What an attention knows of where it has looked before."""

_NEVER = -1e30  # the score of a place that is not there; finite, as a row may have none at all
_KERNEL, _FILTERS = 7, 8  # of the convolution over the last weights


class Memory(NamedTuple):
    """What a row may look at: the context of an :class:`AttentionCell`, which makes it.

    Args:
        values: ``[batch, places, memory_size]``, zero where there is nothing.
        keys: what queries are held against, ``[batch, places, attention_size]``.
        absent: ``[batch, places]``, 0 where something is, else a number that no score outweighs.
    """

    values: Tensor
    keys: Tensor
    absent: Tensor


class Attending(NamedTuple):
    """What an :class:`AttentionCell` carries.

    Args:
        y: its last output, ``[batch, hidden_size]``; of a cell that feeds it back.
        inner: what the cell inside carries.
        looked: of each place how much it was looked at ``[batch, places]``, of a cell that is
            aware of that: all together (``"coverage"``), or at the last step (``"location"``).
    """

    y: Tensor | None
    inner: Tree
    looked: Tensor | None = None


class AttentionCell(Wrapper):
    r"""A cell that looks at a memory at every step (Bahdanau et al. 2015, Luong et al. 2015).

    .. math::

        h_t, s_t &= \mathrm{cell}([x_t; y_{t-1}], s_{t-1}) \\
        a_{t} &= \mathrm{softmax}_m\,\mathrm{score}(h_t, m), \qquad c_t = \sum_m a_{tm} m \\
        y_t &= \tanh(W [h_t; c_t])

    ================  ============================================================================
    ``"additive"``    :math:`v^\top \tanh(Q h_t + K m)`
    ``"general"``     :math:`h_t^\top K m`
    ``"dot"``         :math:`h_t^\top m`, of a memory as wide as h
    ================  ============================================================================

    The order is Luong's: the cell steps first and asks then. With ``feeding`` it reads what was
    said with the last step's help (input feeding); without, the attention stands after the
    recurrence, and is computed for all steps at once.

    An attention that is aware of where it has looked adds to the additive score, inside its tanh,
    :math:`F f_{tm}`: f is the sum of all weights before (coverage; Tu et al. 2016, See et al.
    2017), or a convolution over the weights of the last step (location; Chorowski et al. 2015, for
    memories that are read from one end to the other).

    A row whose memory is empty looks at nothing: its c is 0.

    Args:
        cell: the cell inside; it reads ``hidden_size`` more numbers than x has with ``feeding``.
        memory_size: width of what is looked at.
        attention_size: width of keys and queries of the additive score; ``hidden_size`` of the cell
            unless given.
        score: see the table.
        feeding: whether y is read at the next step.
        aware: of where it has looked, with the additive score alone.
        places: how many places a memory has, where ``aware`` is given: the state has as many.

    Parameters:
        ``keys`` [a, memory_size], but not for "dot"; ``query`` [a, h] and ``scores`` [a], of the
        additive score; ``mix`` [h, h + memory_size]; with ``aware`` ``looks`` [a, 1 or filters]
        and, for location, ``filters``.

    Raises:
        SettingError: sizes that do not fit, or an unknown score.
    """

    takes_context = True

    @checks_call
    def __init__(
        self,
        cell: Cell,
        memory_size: int,
        *,
        attention_size: int | None = None,
        score: Score = "additive",
        feeding: bool = True,
        aware: Aware | None = None,
        places: int | None = None,
    ) -> None:
        super().__init__(cell)
        width = cell.output_size
        self.memory_size = check_size("memory_size", memory_size)
        self.score, self.feeding = _checked(score, Score), check_flag("feeding", feeding)
        self.aware = None if aware is None else _checked(aware, Aware)
        own = width if attention_size is None else check_size("attention_size", attention_size)
        size = own if score == "additive" else width
        self.attention_size = size
        if score == "dot" and memory_size != width:
            raise SettingError(
                f"AttentionCell: the score 'dot' needs a memory as wide as the cell's output, got "
                f"{memory_size} and {width}. Take 'general' or 'additive'."
            )
        if aware is not None and (score != "additive" or places is None):
            raise SettingError(
                "AttentionCell: an attention that is aware of where it has looked has the score "
                f"'additive', and says how many places a memory has; got {score!r} and {places}."
            )
        self.places = None if aware is None else check_size("places", places)
        if feeding:
            read = (cell.input_size or 0) - width
            if read < 1:
                raise SettingError(
                    f"AttentionCell: with feeding the cell reads x and its own output, "
                    f"{width} numbers, got a cell that reads {cell.input_size}."
                )
            self.input_size = read
        self.keys = None if score == "dot" else _weight(size, memory_size)
        self.query = self.scores = self.looks = self.filters = None
        if score == "additive":
            self.query, self.scores = _weight(size, width), nn.Parameter(torch.zeros(size))
            nn.init.uniform_(self.scores, -(size**-0.5), size**-0.5)
        if aware is not None:
            self.looks = _weight(size, 1 if aware == "coverage" else _FILTERS)
        if aware == "location":
            self.filters = nn.Parameter(torch.randn(_FILTERS, 1, _KERNEL) * _KERNEL**-0.5)
        self.mix = _weight(width, width + memory_size)
        self.output_size = width

    def example_input(self, batch: int) -> Tree:
        """Of its own width."""
        return self.zeros(batch, self.input_size or 1)

    def initial_state(self, batch: int) -> Attending:
        """The inner cell's; nothing was said, and nothing looked at."""
        said = self.zeros(batch, self.output_size) if self.feeding else None
        looked = None if self.places is None else self.zeros(batch, self.places)
        return Attending(said, self.cell.initial_state(batch), looked)

    def memory(self, read: PaddedSequence) -> Memory:
        """What is looked at.

        Args:
            read: ``[places, batch, memory_size]``; what is padding is never seen, NaN too.

        Raises:
            ShapeError: of another width, or of more places than there are.
        """
        values = read.to_padded(self._room(read)).transpose(0, 1)
        keys = values if self.keys is None else functional.linear(values, self.keys)
        there = valid_mask(read.lengths, values.shape[1]).T
        absent = torch.zeros_like(values[..., 0]).masked_fill(~there, _NEVER)
        return Memory(values, keys, absent)

    def _room(self, read: PaddedSequence) -> int:
        if read.values.dim() != 3 or read.values.shape[2] != self.memory_size:
            raise ShapeError(
                f"memory: expected [places, batch, {self.memory_size}], got "
                f"{list(read.values.shape)}."
            )
        if self.places is not None and read.time > self.places:
            raise ShapeError(
                f"memory: expected at most {self.places} places, got {read.time}. Shorten what is "
                "read, or allow more places (model.places)."
            )
        return self.places or _rounded(read.time)

    def step(
        self,
        x: Tensor,
        state: Attending,
        context: Memory | None = None,
        noise: Noise | None = None,
    ) -> tuple[Tensor, Attending]:
        """The equations of the class."""
        if context is None:
            raise ShapeError(
                "AttentionCell: expected a memory as context; AttentionCell.memory makes one."
            )
        inner = self.split(noise)[1]
        read = x if state.y is None else torch.cat([x, state.y], -1)
        h, carried = self.cell.step(read, state.inner, None, inner)
        weights = named("attention", self._weights(h, context, state.looked))
        found = (weights.unsqueeze(-1) * context.values).sum(1)
        y = torch.tanh(functional.linear(torch.cat([h, found], -1), self.mix))
        looked = state.looked
        if looked is not None:
            looked = looked + weights if self.aware == "coverage" else weights
        return y, Attending(y if self.feeding else None, carried, looked)

    def _weights(self, h: Tensor, memory: Memory, looked: Tensor | None) -> Tensor:
        if self.query is None or self.scores is None:
            scores = (h.unsqueeze(1) * memory.keys).sum(-1)
        else:
            inside = functional.linear(h, self.query).unsqueeze(1) + memory.keys
            if looked is not None:
                inside = inside + self._traces(looked)
            scores = (torch.tanh(inside) * self.scores).sum(-1)
        return torch.softmax(scores + memory.absent, -1)

    def _traces(self, looked: Tensor) -> Tensor:
        """What is known of where it has looked, ``[batch, places, attention_size]``."""
        assert self.looks is not None
        if self.filters is None:
            features = looked.unsqueeze(-1)
        else:
            around = functional.conv1d(looked.unsqueeze(1), self.filters, padding=_KERNEL // 2)
            features = around.transpose(1, 2)
        return functional.linear(features, self.looks)

    def parameter_formula(self) -> None:
        """Not stated: it hangs on the cell inside."""
        return


def _rounded(places: int) -> int:
    """Upward to one of four numbers between powers of 2: each is a program of its own."""
    step = max(4, 1 << max(places - 1, 0).bit_length() - 3) if places > 4 else 4
    return max(-(-places // step), 1) * step


def _weight(rows: int, columns: int) -> nn.Parameter:
    weight = nn.Parameter(torch.empty(rows, columns))
    nn.init.xavier_uniform_(weight)
    return weight


def _checked(value: Any, known: Any) -> Any:
    if value not in get_args(known):
        names = ", ".join(map(repr, get_args(known)))
        raise SettingError(f"AttentionCell: expected one of {names}, got {value!r}.")
    return value
