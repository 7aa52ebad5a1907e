"""The recurrent layers inside a model: torch.nn's to Recurra's, and back.

A layer stays the object that it was and changes its class, as it does under
``torch.nn.utils.parametrize``. So all that hangs on the object stays as it is without being copied:
parameters, buffers, hooks and their handles, names that other code has for it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn
from torch.nn.utils import parametrize

from recurra.errors import SettingError, kind_of
from recurra.layers import GRU, LSTM, RNN

__all__ = ["convert", "revert"]

M = TypeVar("M", bound=nn.Module)

_OURS: dict[type[nn.Module], type[nn.Module]] = {nn.RNN: RNN, nn.LSTM: LSTM, nn.GRU: GRU}
_TORCHS = {ours: theirs for theirs, ours in _OURS.items()}
_NAMES = {kind.__name__ for kind in _OURS}
# What says how many weights there are, and of which shape.
_SETTINGS = ("input_size", "hidden_size", "num_layers", "bias", "bidirectional")
_MORE_SETTINGS = {"RNN": ("nonlinearity",), "LSTM": ("proj_size",)}


def convert(model: M) -> M:
    """Swap every torch.nn.RNN, LSTM and GRU inside a model for Recurra's, in place.

    A layer stays the same object with the same parameters, buffers, hooks, mode and attributes, and
    is of another class afterwards: ``isinstance(layer, torch.nn.LSTM)`` turns false,
    ``isinstance(layer, recurra.LSTM)`` true. So optimizers, ties between layers, checkpoints, other
    names of the layer and the code that calls it go on working. Parametrized, pruned and frozen
    weights stay what they are.

    Left as they are, and named in one warning together with the reason: subclasses of torch's
    layers, layers whose ``forward`` was replaced, TorchScript and quantized layers, and layers with
    an attribute that means something else here. Cells (``torch.nn.LSTMCell``) are no layers. If
    anything fails, nothing is changed, nor where that warning is made an error.
    :func:`recurra.revert` is the way back.

    Args:
        model: any module, also a layer by itself. ``convert(copy.deepcopy(model))`` leaves the
            original alone.

    Returns:
        the model.

    Raises:
        SettingError: no module.

    Warns:
        UserWarning: layers were left as they are, or there was none.

    Example:
        >>> model = torch.nn.ModuleDict({"lstm": torch.nn.LSTM(8, 16, batch_first=True)})
        >>> recurra.convert(model)
        ModuleDict(
          (lstm): LSTM(8, 16, batch_first=True)
        )
        >>> type(model["lstm"]) is recurra.LSTM
        True
    """
    return _changed(model, _OURS, "recurra.convert")


def revert(model: M) -> M:
    """Swap every recurra.RNN, LSTM and GRU inside a model for torch.nn's, in place.

    The way back from :func:`recurra.convert`, and of layers that were never torch's. What that says
    of parameters, hooks and what is left as it is holds here too. A forced ``backend`` is lost.

    Args:
        model: any module, also a layer by itself.

    Returns:
        the model.

    Raises:
        SettingError: no module.

    Warns:
        UserWarning: layers were left as they are, or there was none.

    Example:
        >>> layer = recurra.revert(recurra.GRU(8, 16))
        >>> type(layer) is torch.nn.GRU
        True
    """
    return _changed(model, _TORCHS, "recurra.revert")


_Kinds = Mapping[type[nn.Module], type[nn.Module]]


class _Swap(NamedTuple):
    """All that has to be done to one layer, which is not changed before all swaps are known.

    Args:
        layer: what changes its class.
        kind: its new class.
        weights: names of the weights, in torch's order.
        dropped: names of what the old class keeps in its layers for itself.
        added: what the new class does.
    """

    layer: nn.Module
    kind: type[nn.Module]
    weights: tuple[str, ...]
    dropped: set[str]
    added: dict[str, Any]

    def carry_out(self) -> None:
        attributes = vars(self.layer)
        for name in self.dropped:
            attributes.pop(name, None)
        attributes.update(self.added)
        self.layer.__class__ = self.kind
        if isinstance(self.layer, nn.RNNBase):
            # Torch's layers keep a list of their weights, which they fill as these are set. What is
            # computed they look up at the next call.
            for name in self.weights:
                if name in attributes["_parameters"] or name in attributes:
                    setattr(self.layer, name, getattr(self.layer, name))


def _changed(model: M, kinds: _Kinds, caller: str) -> M:
    """The work of both: look at everything, then tell, then change everything."""
    if not isinstance(model, nn.Module):
        raise SettingError(f"{caller}: expected a torch.nn.Module, got {kind_of(model)}.")
    swaps, left, others = [], [], set()
    for name, module in model.named_modules():  # each once, however many names it has
        kind = parametrize.type_before_parametrizations(module)
        reason = _in_the_way(module, kind, kinds)
        if reason is None and kind in kinds:
            try:
                swaps.append(_swap(module, kind, kinds[kind]))
            except (AttributeError, TypeError, ValueError) as problem:
                reason = str(problem)
        if reason is not None:
            left.append(f"\n  {name or 'the model itself'} ({type(module).__name__}): {reason}")
        others.add(kind)
    if left:
        warnings.warn(f"{caller} leaves as they are:{''.join(left)}", stacklevel=3)
    elif not swaps and not others & set(kinds.values()):
        sought = ", ".join(map(_shown, kinds))
        cells = any(issubclass(kind, nn.RNNCellBase) for kind in others)
        hint = " Its cells are no layers: each call of one is a single step." if cells else ""
        warnings.warn(
            f"{caller}: nothing to do, {type(model).__name__} holds none of {sought}.{hint}",
            stacklevel=3,
        )
    _carry_out(swaps)  # last: where warnings are errors, nothing is changed
    return model


def _carry_out(swaps: list[_Swap]) -> None:
    """All of them, or none."""
    before = [(swap.layer, type(swap.layer), dict(vars(swap.layer))) for swap in swaps]
    try:
        for swap in swaps:
            swap.carry_out()
    except BaseException:
        for layer, kind, attributes in before:
            layer.__class__ = kind
            vars(layer).clear()
            vars(layer).update(attributes)
        raise


def _in_the_way(module: nn.Module, kind: type[nn.Module], kinds: _Kinds) -> str | None:
    """Why something that looks like a recurrent layer stays as it is; None if nothing says so."""
    if isinstance(module, torch.jit.ScriptModule):
        if getattr(module, "original_name", None) not in _NAMES:
            return None
        return "TorchScript does not change any more; do this before torch.jit sees the model"
    if kind.__module__.startswith("torch.ao.") and kind.__name__ in _NAMES and kinds is _OURS:
        return "it is quantized, or will be; the engine computes with floats"
    if not isinstance(module, tuple(kinds)):
        return None
    if kind not in kinds:
        base = next(known for known in kinds if isinstance(module, known))
        return f"a subclass of {_shown(base)} may compute something else"
    return "its forward was replaced" if "forward" in vars(module) else None


def _swap(layer: nn.Module, kind: type[nn.Module], target: type[nn.Module]) -> _Swap:
    """What turns a layer of one class into one of the other.

    A new layer of each class, without memory, shows what a class keeps in its layers for itself.

    Raises:
        AttributeError, TypeError, ValueError: what stands in the way.
    """
    names = (*_SETTINGS, *_MORE_SETTINGS.get(kind.__name__, ()))
    settings = {name: getattr(layer, name) for name in names}
    nonlinearity = settings.get("nonlinearity")
    if kind is nn.RNN and layer.mode != f"RNN_{str(nonlinearity).upper()}":
        raise SettingError(
            f"it computes {layer.mode}, which its nonlinearity {nonlinearity!r} does not say"
        )
    old, new = (made(**settings, device="meta") for made in (kind, target))
    own = set(dir(layer)) - set(dir(old))
    if clash := sorted(own & set(dir(new))):
        raise SettingError(
            f"its attribute {clash[0]!r} means something else to {_shown(target)}; rename it"
        )
    weights = tuple(name for name, _ in new.named_parameters())
    added = {name: value for name, value in vars(new).items() if name not in vars(old)}
    if parametrize.is_parametrized(layer):
        target = _parametrized(type(layer), target)
    return _Swap(layer, target, weights, vars(old).keys() - vars(new).keys(), added)


def _parametrized(kind: type[nn.Module], base: type[nn.Module]) -> type[nn.Module]:
    """The class that parametrizations made for one layer, upon another base.

    The properties that it holds know their layer, so they are moved and not made anew.
    """
    held = {
        name: value
        for name, value in vars(kind).items()
        if isinstance(value, property) or name in ("__deepcopy__", "__getstate__")
    }
    return type(f"Parametrized{base.__name__}", (base,), held)


def _shown(kind: type[nn.Module]) -> str:
    """``torch.nn.LSTM``, ``recurra.LSTM``."""
    return f"{'recurra' if kind in _TORCHS else 'torch.nn'}.{kind.__name__}"
