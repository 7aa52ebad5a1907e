"""Arguments of the doors of diagnosis: checked once, and named in what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from recurra import states
from recurra.cells.base import cells_of
from recurra.errors import (
    InputTypeError,
    RecurraError,
    SettingError,
    SettingTypeError,
    ShapeError,
    dtype_name,
    kind_of,
)
from recurra.settings import check_flag, check_kind, check_size
from recurra.states import Tree

__all__ = [
    "CONVERT",
    "MANY",
    "check_call",
    "check_choice",
    "check_dtype",
    "check_finite",
    "check_module",
    "check_not_nan",
    "check_optional",
    "check_seed",
    "check_tree",
    "without_cells",
]

MANY = 4096
"""Of anything that is looked at one after another: more is a mistake."""
CONVERT = "Layers of torch.nn have cells after recurra.convert."


def check_module(
    name: str,
    value: Any,
    told: str = "a cell, layer or model",
    error: type[RecurraError] = InputTypeError,
) -> nn.Module:
    """A module, and not its class.

    Raises:
        InputTypeError: anything else; or ``error``.
    """
    if not isinstance(value, nn.Module):
        raise error(f"{name}: expected {told}, got {kind_of(value)}.")
    return value


def without_cells(name: str, module: nn.Module | None) -> str:
    """What is to be said of a module in which no cell ran."""
    kind = "a function" if module is None else f"a {type(module).__name__}"
    some = module is not None and any(True for _ in cells_of(module))
    ran = ", none of whose cells ran" if some else ""
    return f"{name}: expected cells to look into, got {kind}{ran}. {CONVERT}"


def check_call(name: str, value: Any, told: str) -> Callable[..., Any]:
    """Something to call.

    Raises:
        SettingTypeError: anything else.
    """
    if not callable(value):
        raise SettingTypeError(f"{name}: expected {told}, got {kind_of(value)}.")
    found: Callable[..., Any] = value
    return found


def check_optional(**flags: Any) -> None:
    """Each of them True, False or None.

    Raises:
        SettingTypeError: anything else.
    """
    for name, value in flags.items():
        if value is not None:
            check_flag(name, value)


def check_seed(seed: Any) -> int:
    """What random numbers begin with.

    Raises:
        SettingError: no whole number of 0 to 2^63 - 1.
    """
    return check_size("seed", seed, 0, (1 << 63) - 1)


def check_dtype(dtype: Any) -> None:
    """A precision, or None.

    Raises:
        SettingTypeError: anything else.
    """
    if dtype is not None:
        told = "a precision of torch, such as torch.float64"
        check_kind("dtype", dtype, torch.dtype, told)


def check_tree(name: str, tree: Any) -> Tree:
    """A tensor, a (named) tuple of trees, or None.

    Raises:
        InputTypeError: anything else, naming where it stands.
    """
    for place, leaf in states.paths(tree):
        if not isinstance(leaf, Tensor):
            raise InputTypeError(
                f"{name}: expected a tensor or a named tuple of tensors, got {kind_of(leaf)}"
                f"{f' at {place}' if place else ''}."
            )
    return tree


def check_finite(name: str, tree: Tree, valid: Tensor | None = None, *, nan: bool = False) -> None:
    """No number that is infinite, or NaN.

    Args:
        name: of the argument.
        tree: of tensors.
        valid: where it counts, bool ``[time, batch]``; everywhere if None.
        nan: whether NaN may be there, for what is missing.

    Raises:
        ShapeError: naming the first place.
    """
    for path, leaf in states.paths(tree):
        if not leaf.is_floating_point():
            continue
        wrong = leaf.isinf() if nan else ~leaf.isfinite()
        if not bool(wrong.any()):
            continue
        if valid is not None and wrong.shape[:2] == valid.shape:
            wrong = wrong & valid.to(wrong.device).reshape(*valid.shape, *[1] * (wrong.dim() - 2))
        at = wrong.nonzero()[:1].tolist()
        if at:
            value = float(leaf[tuple(at[0])])
            raise ShapeError(f"{name}: expected finite numbers, got {value} at {at[0]}{path}.")


def check_not_nan(name: str, value: Any) -> Any:
    """A number, perhaps infinite, or numbers such as a list of them.

    Raises:
        SettingTypeError: anything else.
        SettingError: NaN.
    """
    try:
        found = None if isinstance(value, str | bool) else torch.as_tensor(value)
    except (RuntimeError, TypeError, ValueError):
        found = None
    if found is None:
        raise SettingTypeError(f"{name}: expected a number or a tensor, got {kind_of(value)}.")
    if bool(found.isnan().any()):
        raise SettingError(f"{name}: expected a number, got NaN.")
    return value if found.dim() == 0 else found


def check_choice(name: str, value: Any, rows: int) -> Tensor:
    """A whole number, or one of each row.

    Raises:
        ShapeError: anything else, or of another number of rows.
    """
    what = f"{name}: expected a whole number, or one of each of {rows} rows"
    try:
        found = torch.as_tensor(value)
    except (RuntimeError, TypeError, ValueError, OverflowError):
        raise InputTypeError(f"{what}, got {value!r}.") from None
    whole = not found.is_floating_point() and not found.is_complex() and found.dtype != torch.bool
    if not whole:
        shown = dtype_name(found.dtype) if isinstance(value, Tensor) else repr(value)
        raise InputTypeError(f"{what}, got {shown}.")
    if found.dim() and found.shape != (rows,):
        raise ShapeError(f"{what}, got {list(found.shape)}.")
    return found.long()
