"""From phases to a program of the machine: where each value lies, and instructions in order.

A value that is only a part or another shape of one that is there lies in the memory of that one.
What is put side by side is computed where it will stand. A sum is where a product starts from. So
most copies and additions of a step vanish here.

``fusion`` decides that, ``layout`` says where a value lies, with ``strides`` in ``memory``;
``instructions`` writes those of a value into the ``code``, and ``program`` all values in order.
"""

from recurra.engine.assemble.memory import Argument
from recurra.engine.assemble.program import Assembled, assemble

__all__ = ["Argument", "Assembled", "assemble"]
