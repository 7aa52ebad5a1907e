"""What each operation of ATen is in instructions: one table, a row for each operation."""

from recurra.engine.lower.rules import (
    activations,
    choices,
    convolutions,
    elementwise,
    functions,
    moving,
    norms,
    products,
    reductions,
    scans,
    shapes,
)
from recurra.engine.lower.rules.base import Lowering, Operand, Rules, features

__all__ = ["TABLE", "Lowering", "Operand", "Rules", "features"]

_ROOMS = (
    elementwise, choices, functions, activations, shapes, moving, products, convolutions,
    reductions, norms, scans,
)  # fmt: skip
TABLE = Rules({name: rule for room in _ROOMS for name, rule in room.RULES.items()})
"""The rule of each operation, by its name without its overload."""
