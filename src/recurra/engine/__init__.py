"""How a step is run through time.

``run`` is the door. A call is checked once (``call``), and a backend is chosen for it (``choose``):
``loop`` calls the step again and again, ``aten`` hands whole sequences to torch's kernels (both in
``segments`` of whole rows, and in ``checkpoints``), ``native`` makes a program of the step.

That goes in order: ``record`` what it calls, ``lower`` that to a ``graph`` of instructions and hold
it against the step (``proof``), name its inputs for a kind of call (``bind``), ``derive`` its
gradient, ``plan`` what is computed before, through and after time, ``cut`` what is kept for the
gradient, ``assemble`` a program (``programs``), and run it on the ``machine``, ``through`` time.
``recordings`` keeps all this with the cell, and the ``fingerprint`` of the cell tells when it fits.
``interpreter`` says what a graph means, in plain torch.

Beside it: ``frozen`` makes a program of one step, ``projected`` runs the loss of a head, ``watch``
reads what a step named, ``explain`` and ``report`` tell which backend runs a cell, and why.
"""

from recurra.engine.call import Run
from recurra.engine.explain import Choice, Explanation, explain
from recurra.engine.probe import NamedValues, named_values
from recurra.engine.run import BackendName, run

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
