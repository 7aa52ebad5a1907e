"""How a step is run through time."""

from recurra.engine.call import Run
from recurra.engine.explain import Choice, Explanation, explain
from recurra.engine.run import BackendName, run
from recurra.engine.watch import NamedValues, named_values

__all__ = [
    "BackendName",
    "Choice",
    "Explanation",
    "NamedValues",
    "Run",
    "explain",
    "named_values",
    "run",
]
