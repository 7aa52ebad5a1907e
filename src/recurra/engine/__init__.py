"""How a step is run through time.

Doors: ``run`` (a cell through a sequence), ``explain`` (which backend, and why), ``probe`` (values
that a step named, read or moved by ``changes`` of an ``opened`` cell), ``freeze`` (one step as a
program), ``projected_loss`` (a head's loss).
``call`` is what backends are asked about, ``prepare`` checks it once, ``kept`` keeps recordings
with their cells.

Stages, in the order in which ``pipeline`` calls them: ``record`` (what a step calls), ``lower`` (to
a graph, which is compared with the step), ``plan`` (inputs bound to a call, what is computed when,
what is kept), ``assemble`` (a program), ``machine`` (programs through time, and autograd around
them). Beneath them is ``graph`` (values, laws, gradients, what they mean), above them ``backends``
(ways to run a call: the machine, torch's kernels, a loop; and the choice).
"""

from recurra.engine.call import Run
from recurra.engine.changes import Change
from recurra.engine.explain import Choice, Explanation, explain
from recurra.engine.probe import NamedValues, changing, named_values
from recurra.engine.run import BackendName, run

__all__ = [
    "BackendName",
    "Change",
    "Choice",
    "Explanation",
    "NamedValues",
    "Run",
    "changing",
    "explain",
    "named_values",
    "run",
]
