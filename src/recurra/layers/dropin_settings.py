"""What torch.nn's recurrent layers may be set to, when they are made and later."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import torch

from recurra.errors import SettingError, SettingTypeError, callers_level, dtype_name
from recurra.settings import check_flag, check_size

__all__ = [
    "SETTINGS",
    "changed_setting",
    "check_direction",
    "check_dropout",
    "check_dtype",
    "check_projection",
    "warn_of_dropout",
]


def check_dropout(rate: Any) -> float:
    """Torch's range, which has its end in it, and torch's types.

    Raises:
        SettingError: no number, or one out of range.
    """
    real = isinstance(rate, numbers.Real | Decimal) and not isinstance(rate, bool)
    if not real:
        raise SettingTypeError(f"dropout: expected a number, got {rate!r}")
    checked = float(rate)
    if not 0 <= checked <= 1:
        raise SettingError(f"dropout: expected 0 to 1, the share left out, got {rate!r}")
    return checked


def warn_of_dropout(rate: float, layers: int) -> None:
    """Torch's warning, to who made the layer."""
    if rate and layers == 1:
        warnings.warn(
            "dropout stands between layers, so with num_layers=1 there is none: got "
            f"dropout={rate!r}. Leave it out, or use more layers.",
            stacklevel=callers_level(),
        )


def check_direction(value: Any) -> bool:
    """``bidirectional``, which torch takes as a number too.

    Raises:
        SettingError: neither true nor false, 1 nor 0.
    """
    if isinstance(value, np.bool_) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    return check_flag("bidirectional", value)


def check_projection(kind: str, size: Any, hidden_size: int) -> int:
    """``proj_size``, which only an LSTM has.

    Raises:
        SettingError: one for another kind, or as wide as what it projects.
    """
    checked = check_size("proj_size", size, 0)
    if checked and kind != "LSTM":
        raise SettingError(
            "proj_size argument is only supported for LSTM, not RNN or GRU: got "
            f"proj_size={checked}. Leave it out."
        )
    if checked >= hidden_size:
        raise SettingError(
            f"proj_size: expected less than hidden_size ({hidden_size}), got {checked}. "
            "A projection makes h narrower; 0 is none."
        )
    return checked


def check_dtype(dtype: torch.dtype | None) -> None:
    """Torch makes layers of complex numbers, too.

    Raises:
        SettingError: such a type.
    """
    if isinstance(dtype, torch.dtype) and dtype.is_complex:
        raise SettingError(f"dtype: expected one of real numbers, got {dtype_name(dtype)}.")


_CHANGEABLE: dict[str, Callable[[Any], Any]] = {
    "batch_first": lambda value: check_flag("batch_first", value),
    "dropout": check_dropout,
}
SETTINGS = frozenset(
    [
        "input_size",
        "hidden_size",
        "num_layers",
        "bias",
        "batch_first",
        "dropout",
        "bidirectional",
        "proj_size",
        "mode",
    ]
)
"""Names of the settings of a layer that say something about its cells or its calls."""


def changed_setting(layer: torch.nn.Module, name: str, value: Any) -> Any:
    """What a setting of a layer that is made becomes.

    Raises:
        SettingError: it cannot be what is asked for any more.
    """
    if name in _CHANGEABLE:
        return _CHANGEABLE[name](value)
    now = getattr(layer, name)
    if value != now:
        raise SettingError(
            f"{name} of {type(layer).__name__}: expected {now!r}, as it was made, since its "
            f"weights hang on it, got {value!r}. Make a new layer."
        )
    return now
