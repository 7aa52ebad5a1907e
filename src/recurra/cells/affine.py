"""What most cells share: stacked affine maps of x and of the value that is fed back."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from recurra.cells.base import Cell, HiddenState, Noise
from recurra.cells.construction import checks_call
from recurra.cells.initializers import Initializer, initializer
from recurra.errors import SettingError, nearest
from recurra.labels import named
from recurra.masks import mask_like
from recurra.settings import check_flag, check_number, check_rate, check_size

__all__ = ["AffineCell", "ForgettingCell", "GatedCell"]

Norm = Literal["layer", "rms"]

linear = nn.functional.linear


class AffineCell(Cell):
    r"""Base of cells that are made of :math:`W x_t + U h_{t-1} + b`, one block of rows a gate.

    A subclass says its blocks and writes its equation with :meth:`input_product`,
    :meth:`recurrent_product` and :meth:`dropped`; it gets the settings below from here.

    Layer norm (Ba, Kiros & Hinton 2016) acts on each product before they are added,

    .. math::

        \mathrm{LN}(W x_t) \odot g_x + \mathrm{LN}(U h_{t-1}) \odot g_h + b

    over all blocks of a group at once, as in the paper, whose shifts of both norms are one with b
    here. RMS norm (Zhang & Sennrich 2019) is the same without the mean.

    Recurrent dropout (Gal & Ghahramani 2016) drops units of the operand of the recurrent product,
    the same ones at every step of a call, all gates alike; never the state that is carried. A call
    is what the mask is held for: rows that go on in the next window get a new one.

    Args:
        input_size: width i of x.
        hidden_size: width h of a block.
        bias: whether there is a b.
        norm: ``"layer"``, ``"rms"`` or None.
        recurrent_dropout: share of h dropped in front of U, at least 0 and below 1.
        input_init: how W starts, a name of :func:`recurra.initializer`.
        recurrent_init: how U starts.
        recurrent_size: width r of what is fed back and given out; ``hidden_size`` unless given.

    Parameters:
        ``input_weight`` [k*h, i], ``recurrent_weight`` [k*h, r], ``bias`` [k*h], with k blocks;
        with ``norm`` also ``input_gain`` [k*h] and ``recurrent_gain`` [k*h].

    Raises:
        SettingError: an unknown norm or initializer, a size below 1, or a rate out of range.
    """

    recurrent_parameters: ClassVar[tuple[str, ...]] = ("recurrent_weight",)
    groups: ClassVar[tuple[int, ...]] = (1,)
    """How many blocks there are in each group; a group is multiplied and normalized at once."""

    input_size: int

    @checks_call
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        norm: Norm | None = None,
        recurrent_dropout: float = 0.0,
        input_init: str | Initializer = "glorot",
        recurrent_init: str | Initializer = "orthogonal",
        recurrent_size: int | None = None,
    ) -> None:
        check_size("input_size", input_size)
        fed_back = hidden_size if recurrent_size is None else recurrent_size
        super().__init__(input_size, hidden_size, fed_back)
        self.recurrent_size = fed_back
        self.norm = check_norm(norm)
        self.recurrent_dropout = check_rate("recurrent_dropout", recurrent_dropout)
        blocks = sum(self.groups)
        rows = blocks * hidden_size
        self.input_weight = nn.Parameter(torch.empty(rows, input_size))
        self.recurrent_weight = nn.Parameter(torch.empty(rows, fed_back))
        input_init, recurrent_init = initializer(input_init), initializer(recurrent_init)
        input_init(self.input_weight, blocks)
        recurrent_init(self.recurrent_weight, blocks)
        self.bias = nn.Parameter(torch.zeros(rows)) if check_flag("bias", bias) else None
        self.input_gain = nn.Parameter(torch.ones(rows)) if norm else None
        self.recurrent_gain = nn.Parameter(torch.ones(rows)) if norm else None
        self.add_parameters(input_init, recurrent_init)

    def add_parameters(self, input_init: Initializer, recurrent_init: Initializer) -> None:
        """Add what a subclass has beside W, U, b and gains; nothing unless it says so.

        Args:
            input_init: how maps of x start, called with a weight and its number of blocks.
            recurrent_init: how maps of what is fed back start.
        """

    def noise(self, time: int, batch: int) -> Noise | None:
        """A held mask ``[batch, r]`` for :meth:`dropped`: 0, or 1 / (1 - rate)."""
        if not self.recurrent_dropout:
            return None
        like = self.zeros(batch, self.recurrent_size)
        return Noise(held=mask_like(like, self.recurrent_dropout))

    def dropped(self, value: Tensor, noise: Noise | None) -> Tensor:
        """What is fed back, with recurrent dropout: the operand of the recurrent product."""
        return value if noise is None or noise.held is None else value * noise.held

    def input_product(self, x: Tensor) -> Tensor:
        """:math:`W x + b` of all blocks, normalized as the cell says, ``[batch, k*h]``."""
        if self.input_gain is None:
            return linear(x, self.input_weight, self.bias)
        value = self._normalized(linear(x, self.input_weight), self.input_gain, self.groups)
        return value if self.bias is None else value + self.bias

    def recurrent_product(self, value: Tensor, group: int | None = None) -> Tensor:
        """:math:`U h` of all blocks or of one group, normalized as the cell says.

        Args:
            value: ``[batch, r]``, what is fed back.
            group: number of a group, for a cell that feeds something else to each.
        """
        weight: Tensor = self.recurrent_weight
        gain: Tensor | None = self.recurrent_gain
        groups = self.groups
        if group is not None:
            rows = slice(self._rows(groups[:group]), self._rows(groups[: group + 1]))
            weight, groups = weight[rows], (groups[group],)
            gain = None if gain is None else gain[rows]
        product = linear(value, weight)
        return product if gain is None else self._normalized(product, gain, groups)

    def _torch_weights(self) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor] | None]:
        """The first fields of a TorchForm: torch has two biases where a cell has one."""
        biases = None if self.bias is None else (self.bias, torch.zeros_like(self.bias))
        return self.input_weight, self.recurrent_weight, biases

    def _rows(self, groups: tuple[int, ...]) -> int:
        return sum(groups) * self.hidden_size

    def _normalized(self, value: Tensor, gain: Tensor, groups: tuple[int, ...]) -> Tensor:
        if len(groups) == 1:
            return normalize(value, gain, self.norm)
        sizes = [self._rows((count,)) for count in groups]
        parts = zip(torch.split(value, sizes, 1), torch.split(gain, sizes), strict=True)
        return torch.cat([normalize(part, own, self.norm) for part, own in parts], 1)

    def parameter_formula(self) -> tuple[str, dict[str, int]]:
        """``k*h*(i+h) + k*h``, with ``norm`` also ``2*k*h``."""
        blocks = sum(self.groups)
        k = "" if blocks == 1 else f"{blocks}*"
        fed_back = "h" if self.recurrent_size == self.hidden_size else "r"
        terms = [f"{k}h*(i+{fed_back})"]
        terms += [f"{k}h"] * (self.bias is not None)
        terms += [f"{2 * blocks}*h"] * (self.norm is not None)
        sizes = {"i": self.input_size, "h": self.hidden_size}
        if fed_back == "r":
            sizes["r"] = self.recurrent_size
        return " + ".join(terms), sizes

    def extra_repr(self) -> str:
        """Sizes, and the settings that change the equation."""
        settings = f", norm={self.norm!r}" if self.norm else ""
        if self.recurrent_dropout:
            settings += f", recurrent_dropout={self.recurrent_dropout}"
        return super().extra_repr() + settings


class ForgettingCell(AffineCell):
    """An :class:`AffineCell` with a forget gate, whose part of b starts where it is told.

    Args:
        input_size: width i of x.
        hidden_size: width h of a block.
        bias: whether there is a b.
        forget_bias: where the forget gate's part of b starts; without a bias it has no effect.
        norm: see :class:`AffineCell`.
        recurrent_dropout: see there.
        input_init: how W starts, a name of :func:`recurra.initializer`.
        recurrent_init: how U starts.
    """

    forget_block: ClassVar[int] = 1
    """Number of the forget gate's block."""

    @checks_call
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        forget_bias: float = 1.0,
        norm: Norm | None = None,
        recurrent_dropout: float = 0.0,
        input_init: str | Initializer = "glorot",
        recurrent_init: str | Initializer = "orthogonal",
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            bias=bias,
            norm=norm,
            recurrent_dropout=recurrent_dropout,
            input_init=input_init,
            recurrent_init=recurrent_init,
        )
        start = check_number("forget_bias", forget_bias)
        if self.bias is not None:
            with torch.no_grad():
                self.bias.view(-1, hidden_size)[self.forget_block] = start


class GatedCell(AffineCell):
    """An :class:`AffineCell` that feeds back, gives out and carries one vector h and nothing else.

    Args:
        input_size: width i of x.
        hidden_size: width h of the state.
        bias: whether there is a b.
        norm: see :class:`AffineCell`.
        recurrent_dropout: see there.
        input_init: how W starts, a name of :func:`recurra.initializer`.
        recurrent_init: how U starts.
    """

    @checks_call
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        norm: Norm | None = None,
        recurrent_dropout: float = 0.0,
        input_init: str | Initializer = "glorot",
        recurrent_init: str | Initializer = "orthogonal",
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            bias=bias,
            norm=norm,
            recurrent_dropout=recurrent_dropout,
            input_init=input_init,
            recurrent_init=recurrent_init,
        )

    def initial_state(self, batch: int) -> HiddenState:
        """Zeros."""
        return HiddenState(self.zeros(batch))


def gate(label: str, before: Tensor) -> Tensor:
    r"""A gate from its pre-activation, both named: :math:`\sigma(a)`."""
    return named(label, torch.sigmoid(named(f"{label} pre-activation", before)))


def candidate(before: Tensor) -> Tensor:
    r"""What may be written, from its pre-activation, both named: :math:`\tanh(a)`."""
    return named("candidate", torch.tanh(named("candidate pre-activation", before)))


def normalize(
    value: Tensor, gain: Tensor, norm: Norm | None, shift: Tensor | None = None
) -> Tensor:
    """Layer or RMS norm over the last axis, as torch computes it."""
    if norm == "rms":
        normal = nn.functional.rms_norm(value, gain.shape, gain, eps=1e-5)
        return normal if shift is None else normal + shift
    return nn.functional.layer_norm(value, gain.shape, gain, shift)


def check_norm(norm: str | None) -> Norm | None:
    """One of the norms, or None.

    Raises:
        SettingError: an unknown one.
    """
    if norm not in (None, "layer", "rms"):
        raise SettingError(f"norm: no {norm!r}; {nearest(str(norm), ('layer', 'rms'))}")
    return norm  # type: ignore[return-value]
