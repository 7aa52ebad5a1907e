"""Slots: what a step's programs read and write, by kind and number; 0 where there is only one.

With the axes in front of its features, where it has any:

| kind | what it is |
|---|---|
| `x` | time, batch: a leaf of the input |
| `noise` | time, batch: what was drawn for each step |
| `held` | batch: what was drawn for the whole sequence |
| `context` | batch: a leaf of the context |
| `shared` | what all rows share: weights, and what is computed from them alone |
| `reset` | time, batch: 1 where the state starts anew |
| `initial` | batch: a leaf of what it starts with |
| `state`, `state_out` | time, batch: a leaf of the state before and after each step |
| `from`, `to` | batch: where the first state is read, and each row's last one is left |
| `y` | time, batch: the output, if it is no leaf of the state |
| `saved` | as its span says: a value that is kept for the gradient |
| `dy`, `dstates` | time, batch: the gradient of the output, and of a leaf of every state |
| `dstate`, `dstate_out` | time, batch: what comes from the step after, and goes to the one before |
| `dfrom`, `dto` | batch: the gradient of a leaf of the last state, and of the first |
| `left` | batch: in a frozen step, a leaf of the state after it |

The gradient of a slot is `("d", slot)`.
"""

from __future__ import annotations

from typing import Literal

__all__ = ["COTANGENTS", "LEADS", "Kind", "Slot"]

Kind = Literal[
    "x", "noise", "held", "context", "shared", "reset", "initial", "state", "state_out", "from",
    "to", "y", "saved", "dy", "dstates", "dstate", "dstate_out", "dfrom", "dto", "left",
]  # fmt: skip
Slot = tuple[Kind, int]

COTANGENTS: tuple[Kind, ...] = ("dy", "dstate", "dstates")
"""Inputs of the gradient's program alone."""

LEADS: dict[str, int] = {"shared": 0, "x": 2, "noise": 2, "reset": 2, "dy": 2, "dstates": 2}
"""Axes in front of a row's features, of what a call is given; 1 for the kinds that are not here."""
