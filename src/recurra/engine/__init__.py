"""How a step is run through time.

A call is checked once (``call``), and a backend is chosen for it (``choose``): ``loop`` calls the
step again and again, ``aten`` hands whole sequences to torch's kernels, ``native`` makes a program
of the step. That goes in order: ``record`` what it calls, ``lower`` that to a ``graph`` of
instructions, ``derive`` its gradient, ``plan`` what is computed before, through and after time,
``cut`` what is kept for the gradient, ``assemble`` a program, and run it on the ``machine``,
``through`` time.
"""

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
