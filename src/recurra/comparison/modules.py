"""Which modules another process imports, so that it knows what a recipe names."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from recurra.cells import cell_names, cell_origin
from recurra.errors import SettingError
from recurra.tasks.base import task_origin
from recurra.training.recipe import Recipe

__all__ = ["modules_of"]


def modules_of(recipes: Iterable[Recipe]) -> tuple[str, ...]:
    """Modules, other than those of the package, that define the cells and tasks of recipes.

    Raises:
        SettingError: one is defined in the script itself, which no other process can import.
    """
    found: dict[str, str] = {}
    known = set(cell_names())
    for recipe in recipes:
        found[task_origin(recipe.of_task).partition(":")[0]] = f"task {recipe.task!r}"
        cell = getattr(recipe.model, "cell", None)
        if cell in known:
            found[_module(cell_origin(cell))] = f"cell {cell!r}"
    for module, what in found.items():
        if module == "__main__":
            raise SettingError(
                f"compare: the {what} is defined in the script that runs, which other processes "
                "cannot import. Move it into a module of its own and import that."
            )
    return tuple(name for name in found if name.partition(".")[0] != "recurra")


def _module(origin: str) -> str:
    """The module of ``module.Class``, whose class may be within another one."""
    name = origin
    while name and name not in sys.modules:
        name = name.rpartition(".")[0]
    return name
