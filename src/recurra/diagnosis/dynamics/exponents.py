"""How fast neighboring states part: Lyapunov exponents."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.diagnosis.checked import check_seed
from recurra.diagnosis.dynamics.derivatives import MEMORY
from recurra.diagnosis.dynamics.steps import Path, StepMap, check_memory, mapping
from recurra.settings import check_size
from recurra.states import Tree

__all__ = ["Lyapunov", "lyapunov"]

_BLOCK = 1 << 27  # bytes of the Jacobians that are there at a time


class Lyapunov(NamedTuple):
    """Lyapunov exponents of each row, in nats a step.

    Args:
        exponents: float64 ``[batch, leading]``, the mean of ``growth`` over the steps that count;
            NaN for a row that has none, minus infinity for a direction that a step wipes out.
        growth: of each direction at every step, float64 ``[time, batch, leading]``; NaN at padded
            steps.
        counted: steps that count, int64 ``[batch]``.
        units: what each unit of the state is.
        left_out: fields of whole numbers, which are no units.
    """

    exponents: Tensor
    growth: Tensor
    counted: Tensor
    units: tuple[str, ...]
    left_out: tuple[str, ...]


def lyapunov(
    cell: Any,
    inputs: Tree,
    state: Tree = None,
    lengths: Any = None,
    context: Tree = None,
    *,
    leading: int | None = None,
    transient: int = 0,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    memory: int = MEMORY,
) -> Lyapunov:
    r"""The Lyapunov exponents along the path of some sequences, by QR.

    .. math::

        J_t Q_t = Q_{t+1} R_{t+1}, \qquad
        \lambda_i = \frac{1}{T - t_0} \sum_{t = t_0}^{T - 1} \ln \lvert (R_{t+1})_{ii} \rvert

    The first is how fast the distance of two neighboring paths under the same inputs grows; all
    below 0: the state forgets where it began. Jacobians are in the precision of the weights unless
    ``dtype`` says otherwise, what is made of them in float64.

    Args:
        cell: as of :func:`recurra.diagnosis.jacobians`, and so are the next four.
        inputs: ``[time, batch, ...]``, or a named tuple of such tensors.
        state: before the first step; the initial state if None.
        lengths: whole numbers ``[batch]``; every row is whole if None.
        context: a named tuple of ``[batch, ...]`` tensors, for a cell that reads one.
        leading: how many of the largest; all if None.
        transient: steps at the start that turn the directions and do not count.
        seed: of the first directions.
        dtype: the precision to compute in, the path included; that of the weights if None.
        memory: bytes that the Jacobians of one step of all rows may take.

    Raises:
        SettingError: no recurrence that runs forward, or a number out of range.
        ShapeError: something does not fit, or more memory is needed.

    Source: Benettin, Galgani, Giorgilli and Strelcyn, "Lyapunov characteristic exponents for smooth
    dynamical systems", Meccanica 15, 1980; for recurrent networks Engelken, Wolf and Abbott,
    "Lyapunov spectra of chaotic recurrent neural networks", Physical Review Research 5, 2023.
    """
    with mapping(cell, dtype) as step:
        count = step.size if leading is None else check_size("leading", leading, 1, step.size)
        path = step.path(inputs, state, lengths, context)
        begin = check_size("transient", transient, 0, max(path.valid.shape[0] - 1, 0))
        growth = _growth(step, path, count, check_seed(seed), memory)
        valid = path.valid[begin:]
        counted = valid.sum(0)
        mean = torch.where(valid[..., None], growth[begin:], 0.0).sum(0) / counted.unsqueeze(1)
        return Lyapunov(mean, growth, counted, step.units, step.left_out)


def _growth(step: StepMap, path: Path, count: int, seed: int, memory: int) -> Tensor:
    """Logarithms of R's diagonal at every step."""
    (time, batch), size = path.valid.shape, step.size
    one = max(batch, 1) * size**2 * path.units.element_size()
    check_memory(
        one, memory, f"lyapunov of {batch} rows of {size} units", "Take fewer rows at a time."
    )
    chance = torch.Generator().manual_seed(seed)
    drawn = torch.randn(batch, size, count, generator=chance, dtype=torch.float64)
    directions = torch.linalg.qr(drawn)[0].to(path.units.device)
    growth: Tensor = directions.new_full((time, batch, count), math.nan)
    ends = [0, *path.valid.sum(1).cumsum(0).tolist()]
    block = max(1, _BLOCK // one)
    for start in range(0, time, block):
        stop = min(start + block, time)
        index = torch.arange(ends[start], ends[stop], device=path.units.device)
        made = step.jacobian(path.units[index], path.rows.at(index))[1]
        for t in range(start, stop):
            rows = path.valid[t].nonzero()[:, 0]
            matrices = made[ends[t] - ends[start] : ends[t + 1] - ends[start]].double()
            turned, upper = torch.linalg.qr(matrices @ directions[rows])
            directions[rows] = turned
            growth[t, rows] = upper.diagonal(dim1=-2, dim2=-1).abs().log()
    return growth
