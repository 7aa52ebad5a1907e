"""What may change a step: what the cell holds, and what its functions read of their surroundings.

Two kinds of things are looked at, at every call. All that the cell holds: attributes, and what
stands in them, objects, lists and functions included. And what the functions that the step was seen
to call (its :class:`Reach`) find outside of it: variables of their modules and of functions around
them, defaults, and through other modules whatever has a name that they mention. Functions that no
step has called are what they are.
"""

from __future__ import annotations

import builtins
import datetime
import decimal
import re
import sys
import types
import weakref
from collections.abc import Hashable, Iterable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from functools import cached_property, lru_cache
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recurra.cells.base import HiddenState
from recurra.engine.record.parts import (
    BYTES,
    CONTAINERS,
    DEEPEST,
    FIRST,
    PLAIN,
    TORCHS,
    is_new,
    parts_of,
)
from recurra.engine.record.reach import NOTHING, Reach, inner, is_installed, is_theirs
from recurra.engine.record.unrecordable import Unrecordable

__all__ = ["Look", "fingerprint"]

_LARGEST = 1 << 16  # bytes of an array whose numbers are looked at in every call
_MISSING = object()
# What holds a function.
_WRAPPERS: dict[Any, str] = {
    property: "fget",
    cached_property: "func",
    classmethod: "__func__",
    staticmethod: "__func__",
}
_CACHED = type(lru_cache(len))
# What cannot change, though it does not say what it holds.
_FIXED: tuple[Any, ...] = (
    *(complex, bytes, range, slice, type(...), type(NotImplemented)),
    *(np.ufunc, torch.dtype, torch.device, torch.layout, torch.memory_format, re.Pattern),
    *(decimal.Decimal, datetime.date, datetime.timedelta, datetime.time, datetime.tzinfo),
    *(types.CodeType, types.GenericAlias, types.GetSetDescriptorType, types.BuiltinFunctionType),
    *(types.MemberDescriptorType, types.MethodDescriptorType, types.WrapperDescriptorType),
    *(types.ClassMethodDescriptorType, types.MethodWrapperType, ModuleType, object),
    type(HiddenState.h),  # what reads a field of a named tuple
)


class Look:
    """What a closer look finds, once a recording.

    Args:
        codes: ids of all functions that are looked into.
        doubts: what may change without a trace, with the name under which it was found.
    """

    def __init__(self) -> None:
        self.codes: set[int] = set()
        self.doubts: list[tuple[str, str]] = []

    def check(self, reach: Reach) -> None:
        """Refuse what may change without a trace where the step can read it.

        Raises:
            Unrecordable: naming it.
        """
        for name, what in self.doubts:
            if reach.computed or name in reach.names:
                raise Unrecordable(f"the step reads {name}, {what}")


def fingerprint(
    module: nn.Module,
    running: nn.Module,
    reach: Reach = NOTHING,
    kinds: tuple[type, ...] = (),
    look: Look | None = None,
) -> Hashable:
    """All that a module and its parts are but numbers of tensors: equal where a step is the same.

    Args:
        module: what is asked about.
        running: itself, or a twin of it over other tensors.
        reach: the functions that are looked into.
        kinds: classes that the step meets beside.
        look: gets what a closer look finds.

    Raises:
        Unrecordable: something that may change without a trace.
    """
    walk = _Walk(reach, look)
    found = walk.module(module)
    users = _users_kinds(kinds)
    members = tuple([walk.members(kind) for kind in users]) if users else ()
    return found, walk.tensors(running), kinds, members


def _itself(thing: Any) -> None:
    """Makes of a thing what is equal where it is the very same; see :func:`_same`."""


def _same(thing: Any) -> Hashable:
    """A key that is equal to itself alone, and holds the thing, so that its id cannot come again.

    So are bound methods, in C: they compare and hash what they are bound to by identity.
    """
    return MethodType(_itself, thing)


def _plain(value: Any) -> Hashable:
    """A number, a text or None: 1, 1.0 and True are equal, but a step may tell them apart."""
    kind = type(value)
    if kind is float:  # -0.0 equals 0.0, and NaN nothing
        return kind, value if value and value == value else str(value)
    return (kind, value) if kind is bool else value


@lru_cache(maxsize=1024)
def _users_classes(kind: type) -> tuple[type, ...]:
    """Classes that a user wrote: those of Python, torch, NumPy and Recurra stay as they are."""
    return _users(kind.__mro__)


@lru_cache(maxsize=1024)
def _users(kinds: tuple[type, ...]) -> tuple[type, ...]:
    """The same, of an order that may change."""
    return tuple(base for base in kinds if not is_theirs(base.__module__) and not _is_pythons(base))


@lru_cache(maxsize=1024)
def _users_kinds(kinds: tuple[type, ...]) -> tuple[type, ...]:
    """Those of some classes that are a user's."""
    return tuple(kind for kind in kinds if _users_classes(kind))


def _is_pythons(kind: type) -> bool:
    """Does Python come with a class? One that is made while it runs may say so of itself."""
    module = str(kind.__module__)
    at: Any = sys.modules.get(module)
    for name in kind.__qualname__.split("."):
        at = getattr(at, name, None)
    return at is kind and module.split(".")[0] in sys.stdlib_module_names


@lru_cache(maxsize=1024)
def _stays(module: ModuleType) -> bool:
    """Is it a module of Python, torch, NumPy or Recurra, which stays as it is?"""
    name = module.__name__
    return is_theirs(name) or (name.split(".")[0] in sys.stdlib_module_names and name != "sys")


@lru_cache(maxsize=1024)
def _is_large(module: ModuleType) -> bool:
    """Is it Python's own or an installed one, which leads to all others?"""
    return module is sys or is_installed(str(getattr(module, "__file__", "")))


class _Walk:
    """One look at everything.

    Args:
        reach: the functions that are looked into.
        look: gets what a closer look finds; None where there is none.
    """

    name = ""
    """Of what is looked at."""

    def __init__(self, reach: Reach, look: Look | None) -> None:
        self.reach, self.look = reach, look
        self.seen: dict[int, int] = {}  # numbered as they come
        self.known: dict[int, int] = {}  # modules that were asked about

    def module(self, module: nn.Module) -> Hashable:
        """All attributes of a module and its parts that are no parameters or buffers."""
        if id(module) in self.known:  # a part of two, or of itself
            return self.known[id(module)]
        _refuse_hooks(module)
        seen = self.seen
        self.known[id(module)] = len(self.known)
        seen.setdefault(id(module), len(seen))
        kind = type(module)
        found: list[Any] = [kind]
        add = found.append  # of every call, so counted in microseconds
        if _users_classes(kind):  # type: ignore[arg-type]
            add(self.members(kind))
        names, values = tuple(module.__dict__), tuple(module.__dict__.values())
        if names[: len(FIRST)] == FIRST:  # as torch makes them, before all others
            add(module.training)
            names, values = names[len(FIRST) :], values[len(FIRST) :]
        if PLAIN.issuperset(map(type, values)):
            add(names)
            kinds = tuple(map(type, values))
            add(kinds)  # 1, 1.0 and True are equal
            found += map(_plain, values) if float in kinds else values
        else:
            for name, value in zip(names, values, strict=True):
                if name not in TORCHS:
                    self.name = name
                    found += (name, self.whole(value))
        for name, part in module._modules.items():
            add(name)
            add(part if part is None else self.module(part))
        return tuple(found)

    def members(self, kind: type) -> Hashable:
        """What the user's classes of an object have, but for what Python makes of its own."""
        if id(kind) in self.seen:
            return None
        self.seen[id(kind)] = len(self.seen)
        found: list[Any] = [kind.__mro__, meta := type(kind)]
        add = found.append
        if meta is not type and _users_classes(meta):
            add(self.members(meta))
        for base in _users(kind.__mro__):
            for name, value in vars(base).items():
                if type(value) is FunctionType:
                    add(name)
                    add(self.function(value))
                elif not name.startswith(("__", "_abc_")):
                    add(name)
                    if type(value) in PLAIN:
                        add(_plain(value))
                    else:
                        self.name = name
                        add(self.whole(value, reached=False))
        return tuple(found)

    def function(self, function: FunctionType) -> Hashable:
        """A function, and what it reads from outside: of its module, of functions around it."""
        if id(function) in self.seen:
            return _same(function)
        self.seen[id(function)] = len(self.seen)
        code = function.__code__
        found: list[Any] = [_same(function), _same(code)]
        for name, value in function.__dict__.items():
            self.name = name  # what it wraps, or a variable of its own
            found.append((name, self.whole(value, reached=False)))
        reads = self.reach.codes.get(id(code))
        if reads is None:
            return tuple(found)
        if self.look is not None:
            self.look.codes.update(map(id, inner(code)))
        for name, value in self.outside(function, reads.outside, reads.imports):
            if type(value) in PLAIN:
                found.append(_plain(value))
            else:
                self.name = name
                found.append(self.whole(value, reached=False))
        return tuple(found)

    def outside(
        self, function: FunctionType, names: Iterable[str], imports: Iterable[str]
    ) -> Iterable[tuple[str, Any]]:
        """What a function that was called reads, by name."""
        there = function.__globals__
        if self.reach.computed and "globals" in self.reach.names:
            yield from ((n, v) for n, v in list(there.items()) if not n.startswith("__"))
        for name in names:
            value = there.get(name, _MISSING)
            yield name, vars(builtins).get(name) if value is _MISSING else value
        for name in imports:
            for home in (name, f"{there.get('__package__')}.{name}".rstrip(".")):
                while home:
                    yield home.rpartition(".")[2], sys.modules.get(home)
                    home = home.rpartition(".")[0]
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            with suppress(ValueError):  # a cell that has nothing yet
                yield name, cell.cell_contents
        for value in function.__defaults__ or ():
            yield function.__name__, value
        yield from (function.__kwdefaults__ or {}).items()

    def names(self, module: ModuleType) -> Hashable:
        """What a module of the user's has of all that is mentioned."""
        if _stays(module) or id(module) in self.seen:
            return _same(module)
        self.seen[id(module)] = len(self.seen)
        there, found = vars(module), [_same(module)]
        every = self.reach.computed and not _is_large(module)
        mentioned = list(there) if every else [n for n in self.reach.names if n in there]
        for name in mentioned:
            if there[name] is sys.modules:
                self.name = name
                self.doubt("of sys, where each may change without a trace; import the one it needs")
            elif not name.startswith("__"):
                self.name = name
                found.append((name, self.whole(there[name], reached=False)))
        if "__getattr__" in there:
            found.append(self.whole(there["__getattr__"], reached=False))
        return tuple(found)

    def whole(self, value: Any, depth: int = 0, *, reached: bool = True) -> Hashable:
        """Anything.

        Args:
            value: what is looked at.
            depth: objects that it is in.
            reached: whether its tensors are looked up in every call; else they must stay the same.
        """
        kind = type(value)
        if kind in PLAIN:
            return _plain(value)
        if isinstance(value, Tensor):
            return self.tensor(value, reached=reached)
        if kind is FunctionType:
            return self.function(value)
        if isinstance(value, ModuleType):
            return self.names(value)
        if isinstance(value, type):
            return (_same(value), self.members(value)) if _users_classes(value) else _same(value)
        if isinstance(value, np.generic):
            return kind, value.tobytes()
        if isinstance(value, (np.ndarray, *BYTES)):
            return _numbers(value)
        if isinstance(value, set | frozenset):
            return kind, frozenset(self.whole(part, depth + 1, reached=False) for part in value)
        if kind in _WRAPPERS:
            return kind, self.whole(getattr(value, _WRAPPERS[kind]), depth, reached=False)
        if kind is _CACHED and not is_theirs(value.__module__):
            self.doubt("whose results functools.lru_cache keeps, and may forget")
        parts = parts_of(value)
        if parts is None:
            return self.opaque(value, depth)
        if not is_new(value, self.seen):
            return _same(value)
        plainly = isinstance(value, CONTAINERS)
        if depth > DEEPEST:
            self.doubt(f"in which something is more than {DEEPEST} deep, and may change")
            if plainly and reached:
                raise Unrecordable(
                    f"the cell holds lists or dicts that are more than {DEEPEST} deep, which may "
                    "change without a trace"
                )
            return _same(value)
        if isinstance(value, nn.Module):
            _refuse_hooks(value)
        found = self.pairs(parts, depth, reached, named=not plainly)
        if kind in CONTAINERS:
            return (kind, *found)
        if plainly and hasattr(value, "__dict__"):  # attributes beside the parts
            found += self.pairs(vars(value).items(), depth, False, named=True)
        members = self.members(kind) if _users_kinds((kind,)) else None
        return (kind, None if plainly else _same(value), members, *found)

    def pairs(
        self, parts: Iterable[tuple[Any, Any]], depth: int, reached: bool, *, named: bool
    ) -> list[Any]:
        """What an object holds."""
        found = []
        for key, part in parts:
            if named:
                self.name = key
            told = key if type(key) is str else self.whole(key, depth + 1)
            found.append((told, self.whole(part, depth + 1, reached=reached)))
        return found

    def tensor(self, value: Tensor, *, reached: bool = True) -> Hashable:
        """A tensor whose numbers are looked up in every call, or that must stay the same."""
        own = vars(value)
        beside = self.pairs(own.items(), DEEPEST, False, named=True) if own else ()
        if not reached:
            return (_same(value), *beside)
        number = self.seen.setdefault(id(value), len(self.seen))
        return ("tensor", value.shape, value.dtype, value.device, number, *beside)

    def tensors(self, module: nn.Module) -> Hashable:
        """Which tensors a module has, of what shapes and types, and which of them are one."""
        seen = self.seen
        return tuple(
            [
                (name, None)
                if tensor is None
                else (name, tensor.shape, tensor.dtype, seen.setdefault(id(tensor), len(seen)))
                if not tensor.__dict__
                else (name, self.tensor(tensor))
                for part in (module.modules() if module._modules else (module,))
                for kind in (part._parameters, part._buffers)
                for name, tensor in kind.items()
            ]
        )

    def opaque(self, value: Any, depth: int) -> Hashable:
        """What does not say what it holds, or says so in a way of its own."""
        inside = _opened(value)
        if inside is not _MISSING and depth <= DEEPEST:
            return _same(value), self.whole(inside, depth + 1, reached=False)
        if not isinstance(value, type | np.dtype) and type(value) not in _FIXED:
            self.doubt(f"a {type(value).__name__}, which may change without a trace")
        return _same(value)

    def doubt(self, what: str) -> None:
        """Something may change without a trace; only a closer look minds."""
        if self.look is not None:
            self.look.doubts.append((self.name, what))


def _opened(value: Any) -> Any:
    """What Python's own wrappers hold, or that it is none."""
    if isinstance(value, weakref.ref):
        return (value(),)
    if isinstance(value, ContextVar):
        return (value.get(None),)
    if isinstance(value, Mapping):
        return dict(value)
    return _MISSING


def _refuse_hooks(module: nn.Module) -> None:
    """What hooks a part has: a program cannot call them."""
    if (
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    ):
        raise Unrecordable(f"a {type(module).__name__} in the cell has hooks, which steps call")


def _numbers(value: Any) -> Hashable:
    """The numbers of an array: few enough to be looked at in every call."""
    given = value if isinstance(value, np.ndarray) else memoryview(value)
    if given.nbytes > _LARGEST or (isinstance(given, np.ndarray) and given.dtype.hasobject):
        raise Unrecordable(
            f"the cell holds a {type(value).__name__} of {given.nbytes} bytes, which may change "
            "without a trace; make it a buffer (register_buffer)"
        )
    shape: Any = given.shape
    kind = str(given.dtype) if isinstance(given, np.ndarray) else given.format
    return ("array", *shape, kind, given.tobytes())
