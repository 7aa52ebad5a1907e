"""Weight drop: connections that are left out for a whole run."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn.utils import parametrize

from recurra.cells.base import Cell
from recurra.errors import SettingError, kind_of, nearest
from recurra.masks import drop
from recurra.settings import check_rate

__all__ = ["WeightDrop", "weight_drop"]


class WeightDrop(nn.Module):
    r"""The parametrization behind :func:`weight_drop`.

    .. math::

        W \leftarrow m \odot W / (1 - p), \qquad m \sim \mathrm{Bernoulli}(1 - p)

    in training, one draw a run; W itself in evaluation.

    Args:
        rate: p, at least 0 and below 1.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = check_rate("weight drop", rate)

    def forward(self, weight: Tensor) -> Tensor:
        """``weight`` with connections left out."""
        return drop(weight, self.rate) if self.training and self.rate else weight

    def extra_repr(self) -> str:
        """The rate."""
        return f"rate={self.rate}"


def weight_drop(
    module: nn.Module, rate: float = 0.5, names: str | tuple[str, ...] | None = None
) -> nn.Module:
    """Drop connections of the recurrent weights (DropConnect, Wan et al. 2013; Merity et al. 2018).

    It is a parametrization of torch's (``torch.nn.utils.parametrize``), so
    ``remove_parametrizations`` takes it off again, and the weight that is saved and trained is the
    whole one. The engine evaluates it once a run, so the same connections are missing at every
    step, and for all rows.

    Args:
        module: a cell, or anything with parameters: a layer, a drop-in LSTM, a model.
        rate: share of connections left out in training, at least 0 and below 1.
        names: parameters to drop, as ``named_parameters()`` calls them; if None the
            ``recurrent_parameters`` of every cell, and all whose own name begins with
            ``weight_hh``, as torch.nn's do.

    Returns:
        ``module``, changed in place.

    Raises:
        SettingError: a rate out of range, or no such parameter.
    """
    if not isinstance(module, nn.Module):
        raise SettingError(f"weight_drop: expected a module, got {kind_of(module)}.")
    known = [name for name, _ in module.named_parameters()]
    if names is None:
        wanted = tuple(name for name in _recurrent(module) if name in known)
    else:
        wanted = (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
    if not wanted and any(parametrize.is_parametrized(part) for part in module.modules()):
        raise SettingError(
            f"weight_drop: {type(module).__name__}: its recurrent weights have a parametrization "
            "already. Take it off with torch.nn.utils.parametrize.remove_parametrizations."
        )
    if not wanted:
        raise SettingError(
            f"weight_drop: {type(module).__name__} does not say which of its parameters are "
            f"recurrent; say it with names=. Known: {', '.join(known)}"
        )
    check_rate("weight_drop", rate)
    for name in wanted:
        if name not in known:
            raise SettingError(f"weight_drop: no parameter {name!r}; {nearest(name, known)}")
    for name in wanted:
        path, _, own = name.rpartition(".")
        parametrize.register_parametrization(module.get_submodule(path), own, WeightDrop(rate))
    return module


def _recurrent(module: nn.Module) -> Iterator[str]:
    """Names of the recurrent weights of all cells and torch-named layers in a module."""
    for path, part in module.named_modules():
        own = [name for name, _ in part.named_parameters(recurse=False)]
        found = [name for name in own if name.startswith("weight_hh")]
        if isinstance(part, Cell):
            found += part.recurrent_parameters
        yield from (f"{path}.{name}" if path else name for name in found)
