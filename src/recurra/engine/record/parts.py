"""What objects hold: their parts by name, and where in a module each of its tensors stands."""

from __future__ import annotations

import ctypes
import dataclasses
from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, MethodWrapperType, ModuleType
from typing import Any

import numpy as np
from torch import Tensor, nn

__all__ = [
    "BYTES",
    "CONTAINERS",
    "DEEPEST",
    "FIRST",
    "PLAIN",
    "TORCHS",
    "Path",
    "is_new",
    "own_tensors",
    "parts_of",
]

FIRST = tuple(vars(nn.Module()))
"""What a module has before all else, in its order."""
TORCHS = frozenset(FIRST) - {"training"}
"""What every module of torch has of its own."""
PLAIN = frozenset({bool, int, float, str, type(None)})
"""What is its own key."""
CONTAINERS = (dict, list, tuple, deque)
"""What is nothing but its parts."""
BYTES: tuple[Any, ...] = (bytearray, memoryview, array, ctypes.Structure.__base__)
"""What is nothing but numbers, beside arrays of NumPy."""
DEEPEST = 8
"""Objects in objects that are looked into."""
# What is what it is: what these read is no part of them.
_WHOLE = (type, FunctionType, ModuleType, np.generic)
_OF_OBJECTS = (BuiltinFunctionType, MethodWrapperType, MethodType)


@dataclasses.dataclass(frozen=True)
class Path:
    """Where a tensor stands in a module.

    Args:
        modules: names on the way.
        kind: of attribute: ``"_parameters"``, ``"_buffers"``, or empty for a plain one.
        name: of the attribute.
        keys: into lists, dicts and objects, where it is one of those.
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
            at = at[key] if isinstance(at, CONTAINERS) else getattr(at, key)
        found: Tensor = at
        return found


def own_tensors(module: nn.Module) -> Iterator[tuple[Tensor, Path]]:
    """All tensors of a module and its parts, also plain ones and those in objects that it holds."""
    seen = {id(part): 0 for part in module.modules()}
    for name, part in module.named_modules():
        modules = tuple(name.split(".")) if name else ()
        for kind in ("_parameters", "_buffers", ""):
            there = part.__dict__[kind] if kind else part.__dict__
            for own, value in there.items():
                if isinstance(value, Tensor):
                    yield value, Path(modules, kind, own)
                elif not kind and own not in TORCHS:
                    for keys, tensor in _inside(value, (), seen):
                        yield tensor, Path(modules, kind, own, keys)


def _inside(
    value: Any, keys: tuple[Any, ...], seen: dict[int, int]
) -> Iterator[tuple[tuple[Any, ...], Tensor]]:
    parts = parts_of(value)
    if parts is None or len(keys) > DEEPEST or not is_new(value, seen):
        return
    for key, part in parts:
        if isinstance(part, Tensor):
            yield (*keys, key), part
        else:
            yield from _inside(part, (*keys, key), seen)


def parts_of(value: Any) -> Iterable[tuple[Any, Any]] | None:
    """What an object holds, by key or name; None for one that is looked at as a whole."""
    if isinstance(value, dict):
        return value.items()
    if isinstance(value, list | tuple | deque):
        return enumerate(value)
    if type(value) in PLAIN or isinstance(value, _WHOLE):
        return None
    if isinstance(value, partial):
        return [("func", value.func), ("args", value.args), ("keywords", value.keywords)]
    if isinstance(value, _OF_OBJECTS):
        owner = value.__self__
        whole = owner is None or isinstance(owner, _WHOLE)
        return None if whole else [("__self__", owner), ("__func__", _function_of(value))]
    slots = [
        (name, getattr(value, name))
        for kind in type(value).__mro__
        for name in _slots(kind)
        if name not in ("__dict__", "__weakref__") and hasattr(value, name)
    ]
    if not hasattr(value, "__dict__"):
        return slots or None
    if isinstance(value, nn.Module):
        # Their own tensors and parts are attributes too, by names that no two of them share.
        theirs = {**value._parameters, **value._buffers, **value._modules}
        own = {name: part for name, part in vars(value).items() if name not in TORCHS}
        return (theirs | own).items()
    return [*vars(value).items(), *slots]


def _function_of(method: Any) -> Any:
    """The function of a bound method; of one of C its name says all."""
    return getattr(method, "__func__", None) or method.__name__


def _slots(kind: type) -> list[str]:
    """Names of a class's slots, private ones as the class calls them."""
    given = vars(kind).get("__slots__", ())
    names = [given] if isinstance(given, str) else list(given)
    private = "_" + kind.__name__.lstrip("_")
    return [
        private + name if name.startswith("__") and not name.endswith("__") else name
        for name in names
    ]


def is_new(value: Any, seen: dict[int, int]) -> bool:
    """Has an object not been looked into? Containers are, as often as they come."""
    if isinstance(value, CONTAINERS):
        return True
    new = id(value) not in seen
    seen.setdefault(id(value), len(seen))
    return new
