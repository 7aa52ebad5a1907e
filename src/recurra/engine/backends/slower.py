"""The warning that a step runs in Python because of how it is written."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from weakref import WeakSet

from recurra.cells.base import Cell
from recurra.engine.backends.native import NATIVE
from recurra.engine.call import Call, Run
from recurra.engine.kept import is_refused
from recurra.errors import SlowerWarning, callers_level

__all__ = ["warning_first"]

_TOLD: WeakSet[type] = WeakSet()


def warning_first(
    run: Callable[[], Run], cell: Cell, call: Call, obstacles: Mapping[str, str]
) -> Callable[[], Run]:
    """How ``loop`` runs a call that no faster backend takes; the first time of a class with a word.

    Nothing is said where the step is not to blame: of a type or a device that only torch knows, of
    a single step, or where torch is faster.
    """
    reason = obstacles.get(NATIVE.name)
    kinds = [type(part) for part in (call.source or cell).modules() if isinstance(part, Cell)]
    if reason is None or call.one_step or _TOLD.issuperset(kinds):
        return run
    if not is_refused(call.source or cell, reason):
        return run

    def told() -> Run:
        result = run()  # a step that does not work says that, and nothing of its speed
        first, *inner = [kind.__name__ for kind in kinds]
        name = f"{first}({', '.join(inner)})" if inner else first
        warnings.warn(
            f"{name} runs step by step in Python, usually several times more slowly than in native "
            f"code, because {reason}. Where that is as wanted, backend='loop' says so.",
            SlowerWarning,
            stacklevel=callers_level(),
        )
        _TOLD.update(kinds)  # behind the warning: where it is an error it stays one
        return result

    return told
