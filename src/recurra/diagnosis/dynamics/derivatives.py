"""How a state hangs on the state before: Jacobians along a path, and products of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.diagnosis.dynamics.steps import check_memory, mapping
from recurra.settings import check_size
from recurra.states import Tree

__all__ = ["MEMORY", "Jacobians", "Products", "Visited", "jacobians", "visited_states"]

MEMORY = 1 << 30
"""Bytes that a result may take unless more is granted."""


class Visited(NamedTuple):
    """The states of some sequences, flattened.

    Args:
        states: after every step, ``[time, batch, units]``; zero at padded steps.
        valid: bool ``[time, batch]``, False at padded steps.
        units: what each unit is, as ``"h[3]"``, in the order of the state's fields.
        left_out: fields of whole numbers, which are no units.
    """

    states: Tensor
    valid: Tensor
    units: tuple[str, ...]
    left_out: tuple[str, ...]


class Products(NamedTuple):
    r"""Products of Jacobians over some steps, none of which overflows.

    Args:
        matrices: ``[starts, batch, units, units]`` with a Frobenius norm of 1, or zero.
        log_scales: natural logarithms of the factors that are left out, ``[starts, batch]``; NaN
            where a row ends before.
    """

    matrices: Tensor
    log_scales: Tensor


class Jacobians(NamedTuple):
    r"""Jacobians of a step along a path.

    .. math:: (J_t)_{ij} = \partial s_{t+1, i} / \partial s_{t, j}

    Args:
        matrices: ``[time, batch, units, units]``; zero at padded steps.
        states: before each step, ``[time, batch, units]``; zero at padded steps.
        valid: bool ``[time, batch]``, False at padded steps.
        units: what each unit is, as ``"h[3]"``, in the order of the state's fields.
        left_out: fields of whole numbers, which have no derivative and are no units.
    """

    matrices: Tensor
    states: Tensor
    valid: Tensor
    units: tuple[str, ...]
    left_out: tuple[str, ...]

    def singular_values(self) -> Tensor:
        """How far each step stretches: ``[time, batch, units]``, largest first; 0 at padding."""
        return _of_finite(torch.linalg.svdvals, self.matrices)

    def eigenvalues(self) -> Tensor:
        """Complex ``[time, batch, units]``, largest modulus first; 0 at padding."""
        return sorted_eigenvalues(self.matrices)

    def spectral_radius(self) -> Tensor:
        """The largest modulus of the eigenvalues, ``[time, batch]``; 0 at padding."""
        if not self.matrices.numel():
            return self.matrices.new_zeros(self.valid.shape)
        return self.eigenvalues()[..., 0].abs()

    def products(self, steps: int) -> Products:
        r"""Over so many steps, from every start.

        .. math:: P_t = J_{t+k-1} \cdots J_{t+1} J_t = \partial s_{t+k} / \partial s_t

        Args:
            steps: k, at least 1. The product that begins at step t is at place t; there are
                ``time - k + 1`` places, or none.

        Raises:
            SettingError: no such number.
        """
        check_size("steps", steps)
        made = self._identity()
        for distance in range(
            1, min(steps, self.valid.shape[0] + 1) + 1
        ):  # behind it there are none
            made = self._longer(made, distance)
        return made

    def log_norms(self, furthest: int) -> Tensor:
        r"""How much of a change is left by distance: :math:`\ln \lVert P_t \rVert_2`.

        A slope below 0 is a gradient that vanishes, one above 0 one that explodes.

        Args:
            furthest: largest number of steps, at least 1.

        Returns:
            ``[furthest + 1, time, batch]``: distance, start, row. NaN where a row ends before, and
            minus infinity where nothing is left.

        Raises:
            SettingError: no such number.

        Source: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural
        networks", ICML 2013.
        """
        check_size("furthest", furthest)
        time, batch = self.valid.shape
        size = (furthest + 1) * time * batch * self.matrices.element_size()
        check_memory(size, MEMORY, f"log_norms: furthest={furthest}", "Ask for fewer steps.")
        found = self.matrices.new_full((furthest + 1, time, batch), math.nan)
        found[0] = torch.where(self.valid, 0.0, math.nan)
        made = self._identity()
        for distance in range(1, min(furthest, time) + 1):
            made = self._longer(made, distance)
            if made.matrices.numel():
                largest = torch.linalg.matrix_norm(made.matrices, 2)
                found[distance, : time - distance + 1] = largest.log() + made.log_scales
        return found

    def _identity(self) -> Products:
        one = torch.eye(len(self.units), dtype=self.matrices.dtype, device=self.matrices.device)
        scales = torch.where(self.valid, 0.0, math.nan).to(self.matrices)
        return Products(one.expand(self.matrices.shape), scales)

    def _longer(self, made: Products, distance: int) -> Products:
        """Products over ``distance`` steps from those over one step less."""
        starts = max(self.valid.shape[0] - distance + 1, 0)
        last = slice(distance - 1, distance - 1 + starts)
        product = self.matrices[last] @ made.matrices[:starts]
        scale = torch.linalg.matrix_norm(product)
        alive = self.valid[last] & self.valid[:starts]
        logs = torch.where(alive, made.log_scales[:starts] + scale.log(), math.nan)
        divided = product / scale.masked_fill(scale == 0, 1.0)[..., None, None]
        return Products(divided, logs)


def sorted_eigenvalues(matrices: Tensor) -> Tensor:
    """Complex ``[..., units]``, largest modulus first."""
    values = _of_finite(torch.linalg.eigvals, matrices)
    order = values.abs().argsort(dim=-1, descending=True, stable=True)
    return values.gather(-1, order)


def _of_finite(function: Callable[[Tensor], Tensor], matrices: Tensor) -> Tensor:
    """What LAPACK says of each matrix; NaN of one that is not finite, at which it would stop."""
    finite = matrices.isfinite().flatten(-2).all(-1)
    values = function(torch.where(finite[..., None, None], matrices, 0.0))
    return torch.where(finite.unsqueeze(-1), values, math.nan)


def jacobians(
    cell: Any,
    inputs: Tree,
    state: Tree = None,
    lengths: Any = None,
    context: Tree = None,
    *,
    dtype: torch.dtype | None = None,
    memory: int = MEMORY,
) -> Jacobians:
    r"""Jacobians from state to state along the path of some sequences, in evaluation.

    .. math:: J_t = \partial s_{t+1} / \partial s_t, \qquad s_{t+1} = F(s_t, x_t)

    The fields of the state stand side by side, left to right, each flattened with its last axis
    fastest. A step never mixes rows, so all steps of all rows are one batch.

    Args:
        cell: a cell; a layer that runs forward, or a model with one such layer, of which what the
            layer reads is given. A layer of torch.nn is converted first (:func:`recurra.convert`).
        inputs: ``[time, batch, ...]``, or a named tuple of such tensors.
        state: before the first step, a tree of ``[batch, ...]`` tensors; of layers above each
            other, and of a layer of several, a tuple of one for each. The initial state if None.
        lengths: whole numbers ``[batch]``; every row is whole if None. Padding is never read.
        context: a named tuple of ``[batch, ...]`` tensors, for a cell that reads one.
        dtype: the precision to compute in, the path included; that of the weights if None.
        memory: bytes that the matrices may take.

    Returns:
        the matrices with the states at which they were taken, and what can be asked of them.

    Raises:
        SettingError: no recurrence that runs forward, or several.
        ShapeError: something does not fit, or the matrices would need more memory.
    """
    with mapping(cell, dtype) as step:
        path = step.path(inputs, state, lengths, context)
        (time, batch), size = path.valid.shape, step.size
        check_memory(
            time * batch * size**2 * path.units.element_size(),
            memory,
            f"jacobians of {time} x {batch} steps of {size} units",
            "Take fewer steps or rows, or ask lyapunov, which keeps a part of them at a time.",
        )
        found = step.jacobian(path.units, path.rows)[1]
        matrices = found.new_zeros(time, batch, size, size)
        matrices[path.valid] = found
        before = found.new_zeros(time, batch, size)
        before[path.valid] = path.units
        return Jacobians(matrices, before, path.valid, step.units, step.left_out)


def visited_states(
    cell: Any,
    inputs: Tree,
    state: Tree = None,
    lengths: Any = None,
    context: Tree = None,
    *,
    dtype: torch.dtype | None = None,
) -> Visited:
    """The states of a cell or layer after every step, flattened: where a search may begin.

    Args:
        cell: as of :func:`jacobians`, and so are the others.
        inputs: ``[time, batch, ...]``, or a named tuple of such tensors.
        state: before the first step; the initial state if None.
        lengths: whole numbers ``[batch]``; every row is whole if None.
        context: a named tuple of ``[batch, ...]`` tensors, for a cell that reads one.
        dtype: the precision to compute in; that of the weights if None.

    Raises:
        SettingError: no recurrence that runs forward, or several.
        ShapeError: something does not fit.
    """
    with mapping(cell, dtype) as step:
        path = step.path(inputs, state, lengths, context)
        found = path.units.new_zeros(*path.valid.shape, step.size)
        with torch.no_grad():
            found[path.valid] = step.next(path.units, path.rows)
        return Visited(found, path.valid, step.units, step.left_out)
