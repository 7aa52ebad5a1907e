"""Small checks of settings, and the sentences that go with them."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Mapping, Sequence
from typing import Any

from recurra.errors import (
    InputTypeError,
    RecurraError,
    SettingError,
    SettingTypeError,
    ShapeError,
    kind_of,
)

__all__ = [
    "check_flag",
    "check_kind",
    "check_least",
    "check_list",
    "check_number",
    "check_numbers",
    "check_rate",
    "check_side",
    "check_size",
]


def check_size(
    name: str,
    value: Any,
    least: int = 1,
    most: int | None = None,
    *,
    error: type[RecurraError] = SettingError,
) -> int:
    """A whole number of at least ``least``, and at most ``most`` if given; NumPy's integers count.

    Raises:
        SettingError: anything else; or ``error``, where something else than a setting is wrong. Of
            a value of another type it is a TypeError too.
    """
    try:
        size = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        size = None
    if size is None or size < least or (most is not None and size > most):
        limits = f"at least {least}" if most is None else f"{least} to {most}"
        kind = _OF_TYPES.get(error, error) if size is None else error
        raise kind(f"{name}: expected a whole number of {limits}, got {value!r}")
    return size


_REAL = (float, numbers.Real)  # the first is found much faster

_OF_TYPES: dict[type[RecurraError], type[RecurraError]] = {
    SettingError: SettingTypeError,
    ShapeError: InputTypeError,
}


def check_number(name: str, value: Any) -> float:
    """A finite number, and not True or False; NumPy's count.

    Raises:
        SettingError: anything else.
    """
    number = _number(name, value)
    if not math.isfinite(number):
        raise SettingError(f"{name}: expected a finite number, got {value!r}")
    return number


def check_least(name: str, value: Any, least: float = 0.0) -> float:
    """A finite number of at least ``least``.

    Raises:
        SettingError: anything else.
    """
    number = check_number(name, value)
    if number < least:
        raise SettingError(f"{name}: expected at least {least:g}, got {value!r}")
    return number


def check_rate(name: str, value: Any) -> float:
    """A share, at least 0 and below 1.

    Raises:
        SettingError: anything else.
    """
    rate = _number(name, value)
    if not 0 <= rate < 1:
        raise SettingError(f"{name}: expected 0 <= rate < 1, got {value!r}")
    return rate


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, _REAL):
        raise SettingTypeError(f"{name}: expected a number, got {value!r}")
    return float(value)


def check_flag(name: str, value: Any) -> bool:
    """True or False, and not a word that would count as true.

    Raises:
        SettingError: anything else.
    """
    if not isinstance(value, bool):
        raise SettingTypeError(f"{name}: expected true or false, got {value!r}")
    return value


def check_kind(name: str, value: Any, kind: type | tuple[type, ...], told: str) -> None:
    """An object of a class, which ``told`` names, with how one is made where that helps.

    Raises:
        SettingTypeError: anything else.
    """
    if not isinstance(value, kind):
        raise SettingTypeError(f"{name}: expected {told}, got {kind_of(value)}")


def check_list(name: str, value: Any, kind: type | tuple[type, ...], told: str) -> None:
    """A list, or another sequence, of objects of a class; ``told`` names what is expected.

    Raises:
        SettingTypeError: anything else.
    """
    listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if not listed:
        raise SettingTypeError(f"{name}: expected {told}, got {kind_of(value)}")
    for each in value:
        if not isinstance(each, kind):
            raise SettingTypeError(f"{name}: expected {told}, got a {kind_of(each)} in it")


def check_numbers(name: str, value: Any) -> None:
    """Numbers by numbers or by name, such as heights by place; NaN and infinite ones may be there.

    Raises:
        SettingTypeError: anything else.
    """
    if not isinstance(value, Mapping):
        raise SettingTypeError(f"{name}: expected a dictionary of numbers, got {kind_of(value)}")
    for number in value.values():
        _number(name, number)


def check_side(side: Any) -> None:
    """On which side of a row something stands.

    Raises:
        ShapeError: neither left nor right.
    """
    if side not in ("left", "right"):
        raise ShapeError(f"side: expected 'left' or 'right', got {side!r}")
