"""What may change a step: told apart by its cell's attributes, found again by where they stand."""

from __future__ import annotations

import abc
import dataclasses
import dis
import math
from array import array
from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from torch import Tensor, nn

from recurra.engine.record.unrecordable import Unrecordable

__all__ = ["Path", "fingerprint", "own_tensors"]

_TORCHS = frozenset(vars(nn.Module())) - {"training"}
_PLAIN = frozenset({bool, int, float, str, type(None)})
_CONTAINERS = (dict, list, tuple, deque)
_BYTES = (bytearray, memoryview, array)
# What is what it is: what functions and modules of Python hold is outside of the cell.
_WHOLE = (type, FunctionType, BuiltinFunctionType, MethodType, ModuleType, np.generic)
_LOADS = ("LOAD_GLOBAL", "LOAD_NAME")
_DEEPEST = 8  # objects in objects that are looked into
_LARGEST = 1 << 16  # bytes of an array whose numbers are looked at in every call


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
            at = at[key] if isinstance(at, _CONTAINERS) else getattr(at, key)
        found: Tensor = at
        return found


def own_tensors(module: nn.Module) -> Iterator[tuple[Tensor, Path]]:
    """All tensors of a module and its parts, also plain ones and those in objects that it holds."""
    seen = {id(part): 0 for part in module.modules()}
    for name, part in module.named_modules():
        modules = tuple(name.split(".")) if name else ()
        for kind in ("_parameters", "_buffers", ""):
            held = part.__dict__[kind] if kind else part.__dict__
            for own, value in held.items():
                if isinstance(value, Tensor):
                    yield value, Path(modules, kind, own)
                elif not kind and own not in _TORCHS:
                    for keys, tensor in _inside(value, (), seen):
                        yield tensor, Path(modules, kind, own, keys)


def _inside(
    value: Any, keys: tuple[Any, ...], seen: dict[int, int]
) -> Iterator[tuple[tuple[Any, ...], Tensor]]:
    parts = _parts(value)
    if parts is None or len(keys) > _DEEPEST or not _is_new(value, seen):
        return
    for key, part in parts:
        if isinstance(part, Tensor):
            yield (*keys, key), part
        else:
            yield from _inside(part, (*keys, key), seen)


def _parts(value: Any) -> Iterable[tuple[Any, Any]] | None:
    """What an object holds, by key or name; None for one that is looked at as a whole."""
    if isinstance(value, dict):
        return value.items()
    if isinstance(value, list | tuple | deque):
        return enumerate(value)
    if type(value) in _PLAIN or isinstance(value, _WHOLE):
        return None
    slots = [
        (name, getattr(value, name))
        for kind in type(value).__mro__
        for name in _names(vars(kind).get("__slots__", ()))
        if name not in ("__dict__", "__weakref__") and hasattr(value, name)
    ]
    if not hasattr(value, "__dict__"):
        return slots or None
    if isinstance(value, nn.Module):
        # Their own tensors and parts are attributes too, by names that no two of them share.
        held = {**value._parameters, **value._buffers, **value._modules}
        own = {name: part for name, part in vars(value).items() if name not in _TORCHS}
        return (held | own).items()
    return [*vars(value).items(), *slots]


def _names(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _is_new(value: Any, seen: dict[int, int]) -> bool:
    """Has an object not been looked into? Containers are, as often as they come."""
    if isinstance(value, _CONTAINERS):
        return True
    new = id(value) not in seen
    seen.setdefault(id(value), len(seen))
    return new


def fingerprint(module: nn.Module, running: nn.Module) -> Hashable:
    """All that a module and its parts are but numbers of tensors: equal where a step is the same.

    Args:
        module: what is asked about.
        running: itself, or a twin of it over other tensors.

    Raises:
        Unrecordable: an attribute that may change without a trace.
    """
    seen: dict[int, int] = {}
    return _print(module, seen, {}), _tensors(running, seen)


class _Same:
    """An object that is equal to itself alone; it is held, so that its id cannot come again."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def __hash__(self) -> int:
        return id(self.held)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.held is other.held


def _print(module: nn.Module, seen: dict[int, int], parts: dict[int, int]) -> Hashable:
    """All attributes of a module and its parts that are no parameters or buffers.

    Args:
        module: what is asked about.
        seen: objects that have been looked into, numbered as they come.
        parts: the same of modules that were asked about.
    """
    if id(module) in parts:  # a part of two, or of itself
        return parts[id(module)]
    _refuse_hooks(module)
    parts[id(module)] = len(parts)
    seen.setdefault(id(module), len(seen))
    found: list[Any] = [type(module)]
    add = found.append  # of every call, so counted in microseconds
    for kind in _users_classes(type(module)):  # type: ignore[arg-type]
        for name, value in vars(kind).items():
            function = getattr(value, "__func__", getattr(value, "fget", value))
            if isinstance(function, FunctionType):
                add(_Same(function))
                add(_outside(function, seen))
            elif not name.startswith("__"):
                add(name)
                add(value if type(value) in _PLAIN else _frozen(value, seen, reached=False))
    for name, value in module.__dict__.items():
        if name not in _TORCHS:
            add(name)
            add(value if type(value) in _PLAIN else _frozen(value, seen))
    for name, part in module._modules.items():
        add(name)
        add(part if part is None else _print(part, seen, parts))
    return tuple(found)


def _refuse_hooks(module: nn.Module) -> None:
    """What hooks a part has: a program cannot call them."""
    if (
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    ):
        raise Unrecordable(f"a {type(module).__name__} in the cell has hooks, which steps call")


def _outside(function: FunctionType, seen: dict[int, int]) -> Hashable:
    """What a function reads from outside: variables of its module, and of functions around it."""
    if id(function) in seen:
        return None
    seen[id(function)] = len(seen)
    there, found = function.__globals__, list[Any]()
    read = [there[name] for name in _global_names(function.__code__) if name in there]
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # a cell that has nothing yet
            read.append(cell.cell_contents)
    for value in read:
        if type(value) in _PLAIN:
            found.append(value)
        elif isinstance(value, FunctionType):
            found.append(_Same(value))
            if not _is_theirs(value):
                found.append(_outside(value, seen))
        elif isinstance(value, nn.Module):
            found.append(_Same(value))
        else:
            found.append(_frozen(value, seen, _DEEPEST - 1, reached=False))
    return tuple(found)


@lru_cache(maxsize=4096)
def _global_names(code: CodeType) -> tuple[str, ...]:
    """Names that a function, and those inside of it, may read from their module."""
    inner = (
        name for own in code.co_consts if isinstance(own, CodeType) for name in _global_names(own)
    )
    read = (i.argval for i in dis.get_instructions(code) if i.opname in _LOADS)
    return tuple(dict.fromkeys((*read, *inner)))


def _is_theirs(thing: Any) -> bool:
    """Is it of torch or of Recurra?"""
    return str(thing.__module__).split(".")[0] in ("torch", "recurra")


@lru_cache(maxsize=1024)
def _users_classes(kind: type) -> tuple[type, ...]:
    """Classes that a user wrote: those of torch and of Recurra stay as they are."""
    return tuple(
        base for base in kind.__mro__ if base not in (object, abc.ABC) and not _is_theirs(base)
    )


def _frozen(value: Any, seen: dict[int, int], depth: int = 0, *, reached: bool = True) -> Hashable:
    """An attribute.

    Args:
        value: of the attribute.
        seen: objects that have been looked into.
        depth: objects that it is in.
        reached: whether its tensors are looked up in every call; else they must stay the same.
    """
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value
    if type(value) in _PLAIN:
        plain: Hashable = value
        return plain
    if isinstance(value, Tensor):
        if not reached:
            return _Same(value)
        number = seen.setdefault(id(value), len(seen))
        return ("tensor", value.shape, value.dtype, value.device, number)
    if isinstance(value, (np.ndarray, *_BYTES)):
        return _numbers(value, reached=reached)
    if isinstance(value, set | frozenset):
        return type(value), frozenset(
            _frozen(part, seen, depth + 1, reached=False) for part in value
        )
    parts = _parts(value)
    if parts is None or not _is_new(value, seen):
        return _Same(value)
    plainly = isinstance(value, _CONTAINERS)
    if depth > _DEEPEST:
        if plainly and reached:
            raise Unrecordable(
                f"the cell holds lists or dicts that are more than {_DEEPEST} deep, which may "
                "change without a trace"
            )
        return _Same(value)
    if isinstance(value, nn.Module):
        _refuse_hooks(value)
    found = [
        (_frozen(key, seen, depth + 1), _frozen(part, seen, depth + 1, reached=reached))
        for key, part in parts
    ]
    return (type(value), None if plainly else _Same(value), *found)


def _numbers(value: Any, *, reached: bool) -> Hashable:
    """The numbers of an array: few enough to be looked at in every call."""
    given = value if isinstance(value, np.ndarray) else np.asarray(memoryview(value))
    if given.nbytes > _LARGEST or given.dtype.hasobject:
        if not reached:
            return _Same(value)
        raise Unrecordable(
            f"the cell holds a {type(value).__name__} of {given.nbytes} bytes, which may change "
            "without a trace; make it a buffer (register_buffer)"
        )
    shape: Any = given.shape
    return ("array", *shape, str(given.dtype), bytes(given.tobytes()))


def _tensors(module: nn.Module, seen: dict[int, int]) -> Hashable:
    """Which tensors a module has, of what shapes and types, and which of them are one."""
    return tuple(
        [
            (name, None)
            if tensor is None
            else (name, tensor.shape, tensor.dtype, seen.setdefault(id(tensor), len(seen)))
            for part in module.modules()
            for kind in (part._parameters, part._buffers)
            for name, tensor in kind.items()
        ]
    )
