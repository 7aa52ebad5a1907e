"""Recurra: write the equation of one step; it is unrolled, differentiated, trained and run.

Public names load when they are first used, so ``import recurra`` costs next to nothing.
"""

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recurra.batch import *
    from recurra.cells import *
    from recurra.decoding import *
    from recurra.description import *
    from recurra.doors import *
    from recurra.encoders import *
    from recurra.engine import *
    from recurra.errors import *
    from recurra.estimators import *
    from recurra.heads import *
    from recurra.interop import *
    from recurra.labels import *
    from recurra.layers import *
    from recurra.losses import *
    from recurra.models import *
    from recurra.pipeline import *
    from recurra.sequences import *

__version__ = "0.1.0"

# Rooms by floor, lowest first: a name is looked for where it costs least to find.
_ROOMS = (
    "errors",
    "states",
    "lengths",
    "labels",
    "sequences",
    "batch",
    "cells",
    "losses",
    "description",
    "decoding",
    "engine",
    "layers",
    "interop",  # sees layers alone
    "encoders",
    "heads",
    "models",
    "data",
    "tasks",
    "doors",
    "artifact",
    "diagnosis",
    "training",
    "pipeline",
    "comparison",
    "estimators",
)
# Rooms whose names stay their own: recurra.data.windows, recurra.training.load_recipe.
_INSIDE = ("states", "lengths", "data", "tasks", "artifact", "diagnosis", "training", "comparison")


def __getattr__(name: str) -> Any:
    if name == "__all__":  # for `from recurra import *`
        return [public for public in __dir__() if public not in (*_ROOMS, "__version__")]
    if name in _ROOMS:
        return import_module(f"recurra.{name}")
    if not name.startswith("_"):
        for room in _ROOMS:
            module = import_module(f"recurra.{room}")
            if room not in _INSIDE and name in module.__all__:
                globals()[name] = getattr(module, name)  # found once, not looked for again
                return globals()[name]
        close = get_close_matches(name, __dir__(), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise AttributeError(f"module 'recurra' has no attribute {name!r}{hint}")
    raise AttributeError(f"module 'recurra' has no attribute {name!r}")


def __dir__() -> list[str]:
    names = {"__version__", *_ROOMS}
    for room in _ROOMS:
        if room not in _INSIDE:
            names.update(import_module(f"recurra.{room}").__all__)
    return sorted(names)
