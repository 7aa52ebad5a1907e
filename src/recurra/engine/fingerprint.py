"""What may change a step: told apart by its cell's attributes, found again by where they stand."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from torch import Tensor, nn

from recurra.cells.base import Cell
from recurra.engine.record import Unrecordable

__all__ = ["Path", "fingerprint", "own_tensors"]

_TORCHS = frozenset(vars(nn.Module())) - {"training"}
_PLAIN = (bool, int, float, str, type(None))
_DEEPEST = 8  # objects in objects that are looked into
_LARGEST = 1 << 16  # bytes of an array whose numbers are looked at in every call


@dataclasses.dataclass(frozen=True)
class Path:
    """Where a tensor stands in a module.

    Args:
        modules: names on the way.
        kind: of attribute: ``"_parameters"``, ``"_buffers"``, or empty for a plain one.
        name: of the attribute.
        keys: into lists and dicts, where it is one of those.
    """

    modules: tuple[str, ...]
    kind: str
    name: str
    keys: tuple[Any, ...] = ()

    def of(self, module: nn.Module) -> Tensor:
        """What stands there now."""
        at: Any = module
        for name in self.modules:
            at = at._modules[name]
        at = at.__dict__[self.kind][self.name] if self.kind else at.__dict__[self.name]
        for key in self.keys:
            at = at[key]
        found: Tensor = at
        return found


def own_tensors(module: nn.Module) -> Iterator[tuple[Tensor, Path]]:
    """All tensors of a module and its parts, also plain ones and those in lists and dicts."""
    for name, part in module.named_modules():
        modules = tuple(name.split(".")) if name else ()
        for kind in ("_parameters", "_buffers", ""):
            held = part.__dict__[kind] if kind else part.__dict__
            for own, value in held.items():
                if isinstance(value, Tensor):
                    yield value, Path(modules, kind, own)
                elif not kind and own not in _TORCHS and isinstance(value, list | tuple | dict):
                    for keys, tensor in _inside(value, ()):
                        yield tensor, Path(modules, kind, own, keys)


def _inside(value: Any, keys: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Tensor]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in pairs:
        if isinstance(part, Tensor):
            yield (*keys, key), part
        elif isinstance(part, list | tuple | dict) and len(keys) < _DEEPEST:
            yield from _inside(part, (*keys, key))


def fingerprint(module: nn.Module, running: nn.Module) -> Hashable:
    """All that a module and its parts are but numbers of tensors: equal where a step is the same.

    Args:
        module: what is asked about.
        running: itself, or a twin of it over other tensors.

    Raises:
        Unrecordable: an attribute that may change without a trace.
    """
    return _print(module), _tensors(running)


class _Same:
    """An object that is equal to itself alone; it is held, so that its id cannot come again."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def __hash__(self) -> int:
        return id(self.held)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.held is other.held


def _print(module: nn.Module) -> Hashable:
    """All attributes of a module and its parts that are no tensors."""
    found: list[Any] = [type(module)]
    for kind in _users_classes(type(module)):  # type: ignore[arg-type]
        found += [
            (name, value if type(value) in _PLAIN else _frozen(value))
            for name, value in vars(kind).items()
            if not name.startswith("__")
        ]
    for name, value in module.__dict__.items():
        if name not in _TORCHS:
            found += (name, value if type(value) in _PLAIN else _frozen(value))
    for name, part in module._modules.items():
        found += (name, part if part is None else _print(part))
    return tuple(found)


@lru_cache(maxsize=1024)
def _users_classes(kind: type) -> tuple[type, ...]:
    """Classes that a user wrote: those of torch and of Recurra stay as they are."""
    return tuple(
        base
        for base in kind.__mro__
        if base not in (object, Cell) and base.__module__.split(".")[0] not in ("torch", "recurra")
    )


def _frozen(value: Any, depth: int = 0) -> Hashable:
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value
    if type(value) in _PLAIN:
        plain: Hashable = value
        return plain
    if isinstance(value, Tensor):
        return "tensor", value.shape, value.dtype, value.device
    if isinstance(value, np.ndarray):
        if value.nbytes > _LARGEST or value.dtype.hasobject:
            raise Unrecordable(
                f"the cell holds a NumPy array of {value.nbytes} bytes, which may change without a "
                "trace; make it a buffer (register_buffer)"
            )
        shape: Any = value.shape
        return ("array", *shape, str(value.dtype), bytes(value.tobytes()))
    if depth > _DEEPEST:
        return _Same(value)
    if isinstance(value, list | tuple):
        return (type(value), *(_frozen(part, depth + 1) for part in value))
    if isinstance(value, dict):
        pairs = value.items()
        return (type(value), *((_frozen(k, depth + 1), _frozen(v, depth + 1)) for k, v in pairs))
    if isinstance(value, set | frozenset):
        return type(value), frozenset(_frozen(part, depth + 1) for part in value)
    if callable(value) or isinstance(value, type | nn.Module) or not hasattr(value, "__dict__"):
        return _Same(value)
    found: Hashable = (_Same(value), _frozen(vars(value), depth + 1))
    return found


def _tensors(module: nn.Module) -> Hashable:
    """Which tensors a module has, of what shapes and types."""
    found: list[Hashable] = []
    for part in module.modules():
        for kind in (part._parameters, part._buffers):
            for name, tensor in kind.items():
                found += (name, None) if tensor is None else (name, tensor.shape, tensor.dtype)
    return tuple(found)
