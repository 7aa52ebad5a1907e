"""What a step changes of its cell: looked for where it is known to change something."""

from __future__ import annotations

from typing import Any

from torch import nn

from recurra.engine.record.parts import TORCHS

__all__ = ["changed", "held_now"]

Held = dict[str, tuple[Any, Any]]


def held_now(cell: nn.Module) -> Held:
    """What the attributes of a cell and its parts hold, by path; of a collection its elements too.

    References alone are kept, and no code of a user's is called.
    """
    return {
        f"self.{part}.{name}" if part else f"self.{name}": (value, _elements(value))
        for part, module in cell.named_modules()
        for name, value in vars(module).items()
        if name not in TORCHS
    }


def changed(cell: nn.Module, before: Held) -> list[str]:
    """Paths of the attributes that hold something else than before."""
    now = held_now(cell)
    names = [*now, *(name for name in before if name not in now)]
    return [name for name in names if not _same(now.get(name), before.get(name))]


def _elements(value: Any) -> Any:
    if type(value) is dict:
        return [*value, *value.values()]
    return list(value) if type(value) in (list, set, tuple) else [value]


def _same(now: tuple[Any, Any] | None, then: tuple[Any, Any] | None) -> bool:
    if now is None or then is None:
        return now is then
    one, other = now[1], then[1]
    return (
        now[0] is then[0]
        and len(one) == len(other)
        and all(a is b for a, b in zip(one, other, strict=True))
    )
