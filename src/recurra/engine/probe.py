"""Named values of a whole run, read with one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from threading import get_ident
from typing import Any

from torch import Tensor, nn

from recurra.cells.base import Cell
from recurra.columns import aligned
from recurra.errors import SettingError, kind_of, nearest
from recurra.labels import collecting, numbered, of_thread

__all__ = ["NamedValues", "named_values"]

Watch = list[tuple[Cell, dict[str, Tensor]]]
_WATCHING: dict[int, Watch] = {}  # by thread


def watching() -> Watch | None:
    """Where this thread's runs leave their named values, or None if nobody looks."""
    return _WATCHING.get(get_ident()) if _WATCHING else None


class NamedValues(Mapping[str, Tensor]):
    """The values that the cells of a module named during one call; ``print`` shows a table.

    A key is ``"layers.0.cell: forget gate"``: where the cell stands in the module, then the label;
    where a step was called by itself, as ``cell(x)`` does, the label alone, and there the value is
    ``[batch, ...]``. A cell that ran more than once is told apart by a number: ``"cell (2): forget
    gate"``. A label that only one cell has is enough by itself.

    Args:
        values: the values by their keys.
        result: what the call returned.
    """

    def __init__(self, values: Mapping[str, Tensor], result: Any) -> None:
        self._values = dict(values)
        self.result = result

    def __getitem__(self, key: str) -> Tensor:
        """``[time, batch, ...]``, zero at padded steps; a part of the graph of the call.

        Raises:
            SettingError: no such value, or one that several cells have.
        """
        if key in self._values:
            return self._values[key]
        ends = [full for full in self._values if full.endswith(f": {key}")]
        if len(ends) == 1:
            return self._values[ends[0]]
        if ends:
            raise SettingError(f"named values: {key!r} is in several cells: {', '.join(ends)}")
        raise SettingError(f"named values: no {key!r}; {nearest(key, self._values)}")

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key or of a label that one cell has, or ``default``."""
        try:
            return self[key]
        except SettingError:
            return default

    def __contains__(self, key: object) -> bool:
        return key in self._values or sum(f.endswith(f": {key}") for f in self._values) == 1

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("value", "shape", "least", "mean", "most")]
        for key, tensor in self._values.items():
            shape = "x".join(str(size) for size in tensor.shape)
            value = tensor.detach().double()
            some = [value.min(), value.mean(), value.max()] if value.numel() else []
            rows.append((key, shape, *(f"{float(n):.4g}" for n in some), *("",) * (3 - len(some))))
        return aligned(rows, right=(2, 3, 4))


def named_values(call: Callable[..., Any], *args: Any, **kwargs: Any) -> NamedValues:
    """Call a layer or model and read what its cells named: gates, candidates, pre-activations.

    ::

        seen = recurra.named_values(layer, inputs, lengths=lengths)
        seen["forget gate"]  # [time, batch, hidden_size], zero at padded steps
        print(seen)

    Every cell runs on ``loop`` meanwhile, also where another backend is forced: torch's kernels
    give none of these values. What is computed is the same up to rounding.

    Args:
        call: a module, a method of one, or any function that runs cells.
        args: its arguments.
        kwargs: its keyword arguments.

    Raises:
        SettingError: a name that is asked for and not there, when it is read.
    """
    if not callable(call):
        raise SettingError(f"named_values: expected something to call, got {kind_of(call)}.")
    owner = call if isinstance(call, nn.Module) else getattr(call, "__self__", None)
    with of_thread(_WATCHING) as found, collecting() as loose:
        result = call(*args, **kwargs)
    places = _places(owner) if isinstance(owner, nn.Module) else {}
    times: dict[str, int] = {}
    values = numbered(loose)  # what was named outside of any run
    for cell, labels in found:
        place = places.get(id(cell), type(cell).__name__)
        times[place] = times.get(place, 0) + 1
        if times[place] > 1:
            place = f"{place} ({times[place]})"
        for label, value in labels.items():
            values[f"{place}: {label}" if place else label] = value
    return NamedValues(values, result)


def _places(module: nn.Module) -> dict[int, str]:
    """Where each cell stands in a module, those included that are held without being submodules."""
    places = {}
    for name, part in module.named_modules():
        if isinstance(part, Cell):
            places[id(part)] = name
        for own, cell in getattr(part, "held_cells", dict)().items():
            places[id(cell)] = f"{name}.{own}" if name else own
    return places
