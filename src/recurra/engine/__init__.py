"""How a step is run through time."""

from recurra.engine.call import Run
from recurra.engine.explain import Choice, Explanation, explain
from recurra.engine.run import BackendName, run

__all__ = ["BackendName", "Choice", "Explanation", "Run", "explain", "run"]
