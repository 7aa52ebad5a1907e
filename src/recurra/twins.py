"""Small tools for ``nn.Module``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain

from torch import Tensor, nn
from torch.nn.utils import parametrize

__all__ = ["evaluating", "own_parts", "twin"]


@contextmanager
def evaluating(module: object) -> Iterator[None]:
    """Evaluation mode for a while; after it every submodule is in the mode it was in.

    Args:
        module: anything; what is no ``nn.Module`` has no modes.
    """
    modes = [(p, p.training) for p in module.modules()] if isinstance(module, nn.Module) else []
    try:
        for part, _ in modes:
            part.training = False
        yield
    finally:
        for part, mode in modes:
            part.training = mode


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
