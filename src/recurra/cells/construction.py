"""What a cell says to arguments that it does not take: what gives them instead."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from recurra.errors import SettingTypeError, meant
from recurra.synonyms import SYNONYMS

__all__ = ["checks_call", "refusal"]

_INSTEAD = {
    "batch_first": "a cell knows no time; sequences are [time, batch, ...], and recurra.LSTM, GRU "
    "and RNN take batch_first",
    "bidirectional": "write recurra.Bidirectional(cell)",
    "device": "write cell.to(device)",
    "dropout": "write recurra.HeldDropout(cell, input=0.1, output=0.1) for x and y, "
    "recurra.Stack(layers, dropout=0.1) between layers",
    "dtype": "write cell.to(dtype)",
    "layers": "write recurra.Stack([...]) of several",
    "norm": "write recurra.Normalized(cell), which normalizes x and y",
    "peepholes": "write recurra.PeepholeLSTMCell(...)",
    "projection_size": "write recurra.ProjectedLSTMCell(..., projection_size=...)",
    "reset_after": "write recurra.GRUCell(...), or recurra.GRUResetBeforeCell(...) for False",
    "residual": "write recurra.Residual(cell)",
    "return_states": "a run takes it: recurra.run(cell, inputs, return_states=True)",
    "reverse": "the layer takes it: recurra.Recurrent(cell, reverse=True)",
    "weight_drop": "write recurra.weight_drop(cell, 0.5)",
    "zoneout": "write recurra.Zoneout(cell, 0.1)",
}
_NAMES = {
    "dropout": "dropouth dropouti dropout_input dropout_output output_dropout variational_dropout",
    "layers": "num_layers n_layers nlayers",
    "norm": "layer_norm layernorm normalization rms_norm use_layer_norm",
    "peepholes": "peephole use_peephole use_peepholes",
    "projection_size": "num_proj proj_size projection",
    "residual": "skip skip_connection",
    "return_states": "return_sequences return_state",
    "reverse": "go_backwards",
    "weight_drop": "wdrop weight_dropout",
    "zoneout": "zoneout_prob zoneout_rate",
    # of cells that have them
    "activation": "nonlinearity",
    "bias": "use_bias with_bias",
    "forget_bias": "unit_forget_bias",
    "input_init": "kernel_initializer",
    "recurrent_dropout": "dropout_recurrent",
    "recurrent_init": "recurrent_initializer",
}
_MEANT = {other: name for name, others in _NAMES.items() for other in others.split()}

Self = TypeVar("Self")
Given = ParamSpec("Given")


def checks_call(
    init: Callable[Concatenate[Self, Given], None],
) -> Callable[Concatenate[Self, Given], None]:
    """Of ``__init__``: what does not fit is said in the name of the class that was called.

    Python names the one that has the ``__init__``, which a user may never have heard of.
    """
    signature = inspect.signature(init)

    @functools.wraps(init)
    def checked(self: Self, *args: Given.args, **given: Given.kwargs) -> None:
        try:
            init(self, *args, **given)
        except TypeError:
            told = refusal(signature, (self, *args), given, places=1)
            if told is None:  # it comes from inside
                raise
            raise SettingTypeError(f"{type(self).__name__}: {told}") from None

    return cast(Callable[Concatenate[Self, Given], None], checked)


def refusal(
    signature: inspect.Signature, args: tuple[Any, ...], given: dict[str, Any], places: int
) -> str | None:
    """Why a call does not fit a signature, and what to write; None if it does.

    Args:
        signature: what can be called.
        args: given by place.
        given: given by name.
        places: number of parameters in front that are no settings.
    """
    try:
        signature.bind(*args, **given)
    except TypeError as problem:
        names = list(signature.parameters)[places:]
        known = f"its settings are: {', '.join(names) or 'none'}."
        wrong = next((name for name in given if name not in signature.parameters), None)
        hint = "" if wrong is None else _hint(wrong, names)
        return f"{problem}; {known}{f' {hint}' if hint else ''}"
    return None


def _hint(wrong: str, names: list[str]) -> str:
    """What to write for a setting that is not among those of a cell; empty if that is not known."""
    name = _MEANT.get(wrong, wrong)
    if name not in names and name in _INSTEAD:
        said = _INSTEAD[name]
        return f"{said[0].upper()}{said[1:]}."
    found = [each for each in (name, *SYNONYMS.get(name, ())) if each in names]
    if found:
        return f"Did you mean {found[0]!r}?"
    close = meant(wrong, names)
    return f"Did you mean {close!r}?" if close else ""
