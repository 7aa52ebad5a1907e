"""Cells around a cell: they know the inner one by its contract alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from recurra.cells.base import Cell, Noise, draw_noise
from recurra.checks import check_rate
from recurra.errors import SettingError, nearest
from recurra.states import Tree, map_tree, rebuild

__all__ = ["Wrapper", "Zoneout"]


class Wrapper(Cell):
    """Base of wrappers: sizes, context and initial state are the inner cell's.

    A wrapper draws its own noise in :meth:`own_noise`; the inner cell's travels beside it, and
    :meth:`split` takes the two apart again.

    Args:
        cell: the cell inside.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell.input_size, cell.hidden_size, cell.output_size)
        self.cell = cell

    @property
    def takes_context(self) -> bool:  # type: ignore[override]
        """The inner cell's answer."""
        return self.cell.takes_context

    def initial_state(self, batch: int) -> Tree:
        """The inner cell's."""
        return self.cell.initial_state(batch)

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
        rate: p, at least 0 and below 1; one for all fields of the state, or a mapping from field
            names to rates (``{"c": 0.5, "h": 0.05}``), fields left out being 0.

    Raises:
        SettingError: a rate outside 0 to 1, or a field that the cell's state does not have.
    """

    def __init__(self, cell: Cell, rate: float | Mapping[str, float] = 0.1) -> None:
        super().__init__(cell)
        fields = getattr(cell.initial_state(1), "_fields", None)
        if fields is None:
            raise SettingError(
                f"Zoneout: expected a cell whose state is a named tuple, {type(cell).__name__} "
                f"has a {type(cell.initial_state(1)).__name__}"
            )
        rates = rate if isinstance(rate, Mapping) else dict.fromkeys(fields, rate)
        for field, value in rates.items():
            if field not in fields:
                raise SettingError(
                    f"Zoneout: no field {field!r} in the state of "
                    f"{type(cell).__name__}; {nearest(field, fields)}"
                )
            check_rate(f"Zoneout, {field}", value)
        self.rates = {field: float(rates.get(field, 0)) for field in fields}

    def own_noise(self, time: int, batch: int) -> Noise:
        """A mask ``[time, batch, ...]`` for each field with a rate, True to keep the old value."""
        state = self.cell.initial_state(1)

        def mask(rate: float, leaf: Tensor) -> Tensor | None:
            if rate == 0 or not leaf.is_floating_point():
                return None
            return torch.rand(time, batch, *leaf.shape[1:], device=leaf.device) < rate

        masks = [
            map_tree(
                lambda leaf, rate=rate: (
                    mask(rate, leaf) if rate and leaf.is_floating_point() else None
                ),
                field,
            )
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
