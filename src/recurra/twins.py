"""Small tools for ``nn.Module``."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import chain
from threading import RLock, get_ident
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode

__all__ = [
    "evaluating",
    "hooked",
    "in_mode",
    "of_zeros",
    "own_parts",
    "set_for_a_while",
    "twin",
    "without_memory",
]


# Of each thing that somebody has set for a while what it was before each of them, in the order in
# which they came. It is shared by threads, which leave in any order.
_SET: dict[Hashable, list[list[Any]]] = {}
_LOCK = RLock()


@contextmanager
def set_for_a_while(
    things: Iterable[tuple[Hashable, Callable[[], Any], Callable[[Any], None]]], value: Any
) -> Iterator[None]:
    """Values for a while, of several threads in any order; at the end they are as before.

    Whoever leaves first hands what was before to the next one that came; the last one puts it back.

    Args:
        things: of each what tells it from others, what reads it, and what sets it.
        value: of all.
    """
    things, mine = list(things), []
    with _LOCK:
        for key, read, put in things:
            before = [read()]
            _SET.setdefault(key, []).append(before)
            mine.append(before)
            put(value)
    try:
        yield
    finally:
        with _LOCK:
            for (key, _, put), before in zip(things, mine, strict=True):
                every = _SET[key]
                (at,) = (number for number, each in enumerate(every) if each is before)
                del every[at]
                if at < len(every):
                    every[at][0] = before[0]
                else:
                    put(before[0])
                if not every:
                    del _SET[key]


def in_mode(module: object, training: bool) -> AbstractContextManager[None]:
    """Training or evaluation mode for a while; then every submodule is in the mode it was in.

    Threads may do so at once, and end in any order. The mode is the module's, and so one for all
    threads: who trains it meanwhile draws no noise while another one evaluates it.

    Args:
        module: anything; what is no ``nn.Module`` has no modes.
        training: which mode.
    """
    parts = module.modules() if isinstance(module, nn.Module) else ()
    modes = (
        (id(p), partial(getattr, p, "training"), partial(setattr, p, "training")) for p in parts
    )
    return set_for_a_while(modes, training)


def evaluating(module: object) -> AbstractContextManager[None]:
    """Evaluation mode for a while, see :func:`in_mode`."""
    return in_mode(module, training=False)


@contextmanager
def hooked(
    modules: Iterable[nn.Module], hook: Callable[[nn.Module, Any, Any], Any]
) -> Iterator[None]:
    """A forward hook for a while, of this thread's calls alone.

    Args:
        modules: that are hooked.
        hook: of a module, its inputs and its result; what it gives stands in place of that, unless
            it is None.
    """
    mine = get_ident()

    def own(module: nn.Module, given: Any, result: Any) -> Any:
        return hook(module, given, result) if get_ident() == mine else None

    handles = [module.register_forward_hook(own) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def twin(module: nn.Module, tensors: Mapping[str, Tensor] | None = None) -> nn.Module:
    """The same module over other tensors, with what a parametrization computes as a plain tensor.

    It does what ``torch.func.functional_call`` and ``torch.nn.utils.parametrize.cached`` do, and
    leaves the module alone: those change it, and a cache of the whole process, under the eyes of
    other threads. It also costs a tenth of the former (some 10 µs for a cell).

    Args:
        module: is not changed; the twin shares all that is no tensor with it.
        tensors: stand in for parameters and buffers, by name; a tensor that has several names is
            replaced under all of them.

    Raises:
        ValueError: no tensor of such a name.
    """
    replaced: dict[int, Tensor] = {}
    if tensors:
        known = dict(
            chain(
                module.named_parameters(remove_duplicate=False),
                module.named_buffers(remove_duplicate=False),
            )
        )
        if unknown := [name for name in tensors if name not in known]:
            raise ValueError(f"twin: no {unknown[0]!r}; there are {', '.join(known)}")
        replaced = {id(known[name]): tensor for name, tensor in tensors.items()}
    return _twin(module, replaced, {})


def _twin(
    module: nn.Module, replaced: Mapping[int, Tensor], made: dict[int, nn.Module]
) -> nn.Module:
    if id(module) in made:
        return made[id(module)]
    # The class that the module had before torch gave it one whose weights are computed.
    other: nn.Module = object.__new__(parametrize.type_before_parametrizations(module))
    made[id(module)] = other
    other.__dict__.update(module.__dict__)
    for kind in ("_parameters", "_buffers"):
        own = module.__dict__[kind]
        other.__dict__[kind] = {name: replaced.get(id(t), t) for name, t in own.items()}
    parts = {
        name: part if part is None else _twin(part, replaced, made)
        for name, part in module._modules.items()
    }
    other.__dict__["_modules"] = parts
    if parametrize.is_parametrized(module):
        computed = parts.pop("parametrizations")
        assert computed is not None
        for name, compute in computed.named_children():
            other.__dict__["_parameters"][name] = compute()
    if isinstance(other, nn.RNNBase):  # it keeps its weights in a list of its own
        other.__dict__["_flat_weights"] = [
            getattr(other, name, None) for name in other._flat_weights_names
        ]
    return other


def own_parts(module: nn.Module) -> str | None:
    """The name of an attribute that a :func:`twin` would share though it belongs to the module.

    That is a method set on the object, as ``cell.step = torch.compile(cell.step)`` does, or a plain
    list of its submodules: both would go on with the tensors of the module itself.
    """
    inside = {id(part) for part in module.modules()}
    for part in module.modules():
        for name, value in vars(part).items():
            if name.startswith("_"):
                continue
            if callable(value) and hasattr(type(part), name):
                return name
            held = value.values() if isinstance(value, dict) else value
            if isinstance(held, list | tuple) and any(id(one) in inside for one in held):
                return name
    return None


@contextmanager
def without_memory() -> Iterator[None]:
    """Modules that are made meanwhile are on the device ``meta``; no numbers are drawn for them.

    What torch does to draw numbers that are nowhere is written in Python, for which it loads its
    compiler: seconds.
    """
    with torch.device("meta"), _Zeros():
        yield


@contextmanager
def of_zeros() -> Iterator[None]:
    """Modules that are made meanwhile have zeros for random numbers, and draw none of anybody's."""
    with torch.random.fork_rng(devices=[]), _Zeros():
        yield


class _Zeros(TorchFunctionMode):
    """Puts zeros where numbers are drawn into a tensor that is there."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        filled = args[0] if args else kwargs.get("tensor")
        fills = func in _FILLS or getattr(func, "__module__", "") == nn.init.__name__
        if not fills or not isinstance(filled, Tensor):
            return func(*args, **kwargs)
        filled.detach().zero_()
        return filled


_FILLS = {
    *(Tensor.bernoulli_, Tensor.cauchy_, Tensor.exponential_, Tensor.geometric_),
    *(Tensor.log_normal_, Tensor.normal_, Tensor.random_, Tensor.uniform_),
}
