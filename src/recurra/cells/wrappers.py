"""Cells around a cell: they know the inner one by its contract alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra.cells.affine import Norm, check_norm, normalize
from recurra.cells.base import Cell, Noise, draw_noise
from recurra.errors import SettingError, kind_of, nearest
from recurra.masks import mask_like
from recurra.settings import check_flag, check_rate
from recurra.states import Tree, first, map_tree, rebuild, with_first

__all__ = [
    "Forced",
    "ForcedInput",
    "HeldDropout",
    "Normalized",
    "Residual",
    "Wrapper",
    "Zoneout",
]


class Wrapper(Cell):
    """Base of wrappers: sizes, context and initial state are the inner cell's.

    A wrapper draws its own noise in :meth:`own_noise`; the inner cell's travels beside it, and
    :meth:`split` takes the two apart again.

    Args:
        cell: the cell inside.
    """

    def __init__(self, cell: Cell) -> None:
        if not isinstance(cell, Cell):
            raise SettingError(
                f"{type(self).__name__}: expected a recurra.Cell, got {kind_of(cell)}."
            )
        super().__init__(cell.input_size, cell.hidden_size, cell.output_size)
        self.cell = cell

    @property
    def bookkeeping(self) -> tuple[str, ...]:  # type: ignore[override]
        """The inner cell's."""
        return self.cell.bookkeeping

    @property
    def takes_context(self) -> bool:  # type: ignore[override]
        """The inner cell's answer."""
        return self.cell.takes_context

    def initial_state(self, batch: int) -> Tree:
        """The inner cell's."""
        return self.cell.initial_state(batch)

    def example_input(self, batch: int) -> Tree:
        """The inner cell's."""
        return self.cell.example_input(batch)

    def own_noise(self, time: int, batch: int) -> Noise | None:
        """What the wrapper itself draws for a whole call; None if nothing."""
        return None

    def noise(self, time: int, batch: int) -> Noise | None:
        """The wrapper's own noise beside the inner cell's."""
        own, inner = self.own_noise(time, batch), draw_noise(self.cell, time, batch)
        if own is None and inner is None:
            return None
        own, inner = own or Noise(), inner or Noise()
        return Noise((own.step, inner.step), (own.held, inner.held))

    @staticmethod
    def split(noise: Noise | None) -> tuple[Noise | None, Noise | None]:
        """One step's noise as (the wrapper's own, the inner cell's)."""
        if noise is None:
            return None, None
        steps, held = noise.step or (None, None), noise.held or (None, None)
        own, inner = (
            None if step is None and keep is None else Noise(step, keep)
            for step, keep in zip(steps, held, strict=True)
        )
        return own, inner

    def extra_repr(self) -> str:
        """Nothing: the inner cell prints its sizes."""
        return ""

    def parameter_formula(self) -> tuple[str, dict[str, int]] | None:
        """The inner cell's: a wrapper has no parameters unless it says so."""
        return self.cell.parameter_formula()


class Zoneout(Wrapper):
    r"""Zoneout (Krueger et al. 2017): some units keep their old value for a step.

    .. math::

        s_t = m_t \odot s_{t-1} + (1 - m_t) \odot \tilde s_t, \qquad m_t \sim \mathrm{Bernoulli}(p)

    in training, one draw a step, row and unit; in evaluation :math:`m_t` is replaced by its
    expectation p. Where y is a field of the state, y is what that field becomes.

    Args:
        cell: the cell inside.
        rate: p, at least 0 and below 1; one for all fields of the state but its bookkeeping, or a
            mapping from field names to rates (``{"c": 0.5, "h": 0.05}``), fields left out being 0.

    Raises:
        SettingError: a rate out of range, or a field that the cell's state does not have.
    """

    def __init__(self, cell: Cell, rate: float | Mapping[str, float] = 0.1) -> None:
        super().__init__(cell)
        fields = _fields("Zoneout", cell)
        units = [field for field in fields if field not in cell.bookkeeping]
        rates = rate if isinstance(rate, Mapping) else dict.fromkeys(units, rate)
        for field, value in rates.items():
            _check_field("Zoneout", cell, field, fields)
            check_rate(f"Zoneout, {field}", value)
        self.rates = {field: float(rates.get(field, 0)) for field in fields}

    def own_noise(self, time: int, batch: int) -> Noise:
        """A mask ``[time, batch, ...]`` for each field with a rate, True to keep the old value."""
        state = self.cell.initial_state(1)

        def mask(leaf: Tensor, rate: float) -> Tensor | None:
            if rate == 0 or not leaf.is_floating_point():
                return None
            return torch.rand(time, batch, *leaf.shape[1:], device=leaf.device) < rate

        masks = [
            map_tree(lambda leaf, rate=rate: mask(leaf, rate), field)
            for rate, field in zip(self.rates.values(), state, strict=True)
        ]
        return Noise(rebuild(state, masks))

    def step(
        self, x: Any, state: Any, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, Any]:
        """The inner step, then the mix of old and new."""
        own, inner = self.split(noise)
        y, new = self.cell.step(x, state, context, inner)
        read = y

        def mix(rate: float, fresh: Tensor, old: Tensor, keep: Tensor | None) -> Tensor:
            nonlocal read
            if rate == 0 or not fresh.is_floating_point():  # a counter is not a unit
                return fresh
            if keep is None:
                mixed = rate * old + (1 - rate) * fresh
            else:
                mixed = torch.where(keep, old, fresh)
            if fresh is y and read is y:
                read = mixed
            return mixed

        masks = own.step if own is not None else map_tree(lambda leaf: None, new)
        fields = [
            map_tree(lambda f, o, k, rate=rate: mix(rate, f, o, k), *parts)
            for rate, *parts in zip(self.rates.values(), new, state, masks, strict=True)
        ]
        return read, rebuild(new, fields)

    def extra_repr(self) -> str:
        """The rates."""
        return ", ".join(f"{field}={rate}" for field, rate in self.rates.items())


class HeldDropout(Wrapper):
    r"""Dropout whose mask is the same at every step of a call (Gal & Ghahramani 2016).

    .. math::

        \tilde y_t, s_t = \text{cell}(m_x \odot x_t, s_{t-1}), \qquad y_t = m_y \odot \tilde y_t

    in training; masks are 0, or 1 / (1 - rate). It is also called variational or locked dropout.
    The state is never masked: a mask on a carry would multiply it at every step. So to a wrapper
    around this one y is no field of the state. Rows that go on in the next window get a new mask
    there, and a reset does not change it. Dropout of the operand of the recurrent product is
    ``recurrent_dropout=`` of the cells themselves.

    Args:
        cell: the cell inside.
        input: rate for x, at least 0 and below 1; of a named tuple its first field is x.
        output: rate for y.

    Raises:
        SettingError: a rate out of range, or one for the input of a cell that does not say what it
            reads.
    """

    def __init__(self, cell: Cell, input: float = 0.1, output: float = 0.1) -> None:
        super().__init__(cell)
        self.input = check_rate("HeldDropout, input", input)
        self.output = check_rate("HeldDropout, output", output)
        if self.input and cell.example_input(1) is None:
            raise SettingError(
                f"HeldDropout: {type(cell).__name__} does not say what it reads, so no mask can be "
                "drawn for it. Give it an input_size or an example_input, or set input=0."
            )

    def own_noise(self, time: int, batch: int) -> Noise | None:
        """Two held masks, for x and for y, None where the rate is 0."""
        x, y = None, None
        if self.input:
            x = mask_like(first(self.cell.example_input(batch)), self.input)
        if self.output:
            y = mask_like(self.zeros(batch, self.output_size), self.output)
        return Noise(held=(x, y))

    def step(
        self, x: Any, state: Any, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, Any]:
        """The inner step between the masks."""
        own, inner = self.split(noise)
        mask_x, mask_y = (None, None) if own is None else own.held
        if mask_x is not None:
            x = with_first(x, first(x) * mask_x)
        y, state = self.cell.step(x, state, context, inner)
        if not self.output:
            return y, state
        # A tensor of its own in evaluation too: to a wrapper outside, a y that may be masked is no
        # field of the state, whichever the mode.
        return (y.view_as(y) if mask_y is None else y * mask_y), state

    def extra_repr(self) -> str:
        """The rates."""
        return f"input={self.input}, output={self.output}"


class Normalized(Wrapper):
    r"""Layer or RMS norm around a cell, on what it reads and on what it says.

    .. math::

        \tilde y_t, s_t = \text{cell}(\mathrm{N}(x_t), s_{t-1}), \qquad y_t = \mathrm{N}(\tilde y_t)

    Where y is a field of the state, the field becomes the normalized y too, so what is fed back is
    normalized. Norm inside the gates (Ba et al. 2016) is ``norm=`` of the cells themselves. A
    feature that is NaN makes all features of its step NaN: fill in what is missing before, or set
    ``input=False``.

    Args:
        cell: the cell inside.
        input: whether x is normalized; of a named tuple its first field is x.
        output: whether y is.
        norm: ``"layer"`` or ``"rms"``.

    Parameters:
        ``input_gain`` and ``input_shift`` [i], ``output_gain`` and ``output_shift`` [o], beside the
        inner cell's.

    Raises:
        SettingError: an unknown norm, or an input to normalize of a cell without an input size.
    """

    def __init__(
        self, cell: Cell, *, input: bool = True, output: bool = True, norm: Norm = "layer"
    ) -> None:
        super().__init__(cell)
        if check_norm(norm) is None:
            raise SettingError("Normalized, norm: expected 'layer' or 'rms', got None")
        self.norm = norm
        self.input_gain = self.input_shift = self.output_gain = self.output_shift = None
        if check_flag("Normalized, input", input):
            if cell.input_size is None:
                raise SettingError(
                    f"Normalized: {type(cell).__name__} has no input_size, so its input cannot be "
                    "normalized. Set input=False."
                )
            self.input_gain = nn.Parameter(torch.ones_like(cell.zeros(1, cell.input_size)[0]))
            self.input_shift = nn.Parameter(torch.zeros_like(self.input_gain))
        if check_flag("Normalized, output", output):
            self.output_gain = nn.Parameter(torch.ones_like(cell.zeros(1, cell.output_size)[0]))
            self.output_shift = nn.Parameter(torch.zeros_like(self.output_gain))

    def step(
        self, x: Any, state: Any, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, Any]:
        """The inner step between the norms."""
        if self.input_gain is not None:
            normal = normalize(first(x), self.input_gain, self.norm, self.input_shift)
            x = with_first(x, normal)
        y, state = self.cell.step(x, state, context, self.split(noise)[1])
        if self.output_gain is None:
            return y, state
        normal = normalize(y, self.output_gain, self.norm, self.output_shift)
        return normal, map_tree(lambda field: normal if field is y else field, state)

    def extra_repr(self) -> str:
        """Which norm."""
        return f"norm={self.norm!r}"

    def parameter_formula(self) -> tuple[str, dict[str, int]] | None:
        """The inner cell's and two vectors for each norm."""
        inner = self.cell.parameter_formula()
        if inner is None:
            return None
        formula, sizes = inner
        for gain in (self.input_gain, self.output_gain):
            formula += "" if gain is None else f" + 2*{gain.numel()}"
        return formula, sizes


class Residual(Wrapper):
    r"""What the cell reads is added to what it says (He et al. 2016; Wu et al. 2016 in LSTMs).

    .. math::

        \tilde y_t, s_t = \text{cell}(x_t, s_{t-1}), \qquad y_t = \tilde y_t + x_t

    The state is left as it is. What is NaN in x is NaN in y: fill in what is missing before.

    Args:
        cell: the cell inside, as wide in as out.

    Raises:
        SettingError: the cell reads another width than it gives.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        if cell.input_size != cell.output_size:
            raise SettingError(
                f"Residual: expected a {type(cell).__name__} that reads as much as it gives, got "
                f"{cell.input_size} -> {cell.output_size}"
            )

    def step(
        self, x: Any, state: Any, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, Any]:
        """The inner step and the sum."""
        y, state = self.cell.step(x, state, context, self.split(noise)[1])
        return y + first(x), state


class ForcedInput(NamedTuple):
    """What :class:`Forced` reads.

    Args:
        x: what the inner cell reads.
        target: what its state's field should be after this step ``[batch, ...]``.
    """

    x: Any
    target: Tensor


class Forced(Wrapper):
    r"""Teacher forcing (Williams & Zipser 1989): a given target is fed back in place of a field.

    .. math::

        y_t, s_t = \text{cell}(x_t, s_{t-1}), \qquad s_t[\text{field}] \leftarrow \text{target}_t

    y stays the cell's own, so a loss compares it with the same target. The next step starts from
    the truth. If the field is all that the cell carries, as in :class:`recurra.JordanCell`, then
    nothing is on a path through time: the gradient of a step is of that step alone. To run freely,
    on what it said itself, run the inner ``cell``: the weights are the same.

    Args:
        cell: the cell inside.
        field: name of the field of its state, such as ``"y"``.

    Raises:
        SettingError: the state has no such field, or it is no single tensor.

    Example:
        >>> cell = recurra.JordanCell(3, 16, 2)
        >>> x, target = torch.randn(7, 4, 3), torch.randn(7, 4, 2)
        >>> forced = recurra.Forced(cell, "y")
        >>> y = recurra.run(forced, recurra.ForcedInput(x, target)).outputs  # [7, 4, 2]
        >>> free = recurra.run(cell, x).outputs
    """

    def __init__(self, cell: Cell, field: str) -> None:
        super().__init__(cell)
        fields = _fields("Forced", cell)
        _check_field("Forced", cell, field, fields)
        if not isinstance(getattr(cell.initial_state(1), field), Tensor):
            raise SettingError(f"Forced: the field {field!r} is not one tensor")
        self.field = field

    def example_input(self, batch: int) -> ForcedInput:
        """The inner cell's, and zeros like the field."""
        field = getattr(self.cell.initial_state(batch), self.field)
        return ForcedInput(self.cell.example_input(batch), torch.zeros_like(field))

    def step(
        self, x: ForcedInput, state: Any, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, Any]:
        """The inner step, then the target in place of the field."""
        y, new = self.cell.step(x.x, state, context, self.split(noise)[1])
        target = x.target.to(getattr(new, self.field).dtype)
        return y, new._replace(**{self.field: target})

    def extra_repr(self) -> str:
        """The field."""
        return f"field={self.field!r}"


def _fields(wrapper: str, cell: Cell) -> tuple[str, ...]:
    """Names of the fields of a cell's state."""
    state = cell.initial_state(1)
    fields: tuple[str, ...] | None = getattr(state, "_fields", None)
    if fields is None:
        raise SettingError(
            f"{wrapper}: expected a cell whose state is a named tuple, {type(cell).__name__} "
            f"has a {type(state).__name__}"
        )
    return fields


def _check_field(wrapper: str, cell: Cell, field: str, fields: tuple[str, ...]) -> None:
    if field not in fields:
        raise SettingError(
            f"{wrapper}: no field {field!r} in the state of {type(cell).__name__}; "
            f"{nearest(field, fields)}"
        )
