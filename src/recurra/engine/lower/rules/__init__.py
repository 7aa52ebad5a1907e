"""What each operation of ATen is in instructions: one table, a row for each operation."""

from recurra.engine.lower.rules import (
    activations,
    convolutions,
    elementwise,
    products,
    reductions,
    shapes,
)
from recurra.engine.lower.rules.base import Lowering, Operand, Rules, features

__all__ = ["TABLE", "Lowering", "Operand", "Rules", "features"]

TABLE = Rules(
    elementwise.RULES | activations.RULES | shapes.RULES | products.RULES | reductions.RULES
    | convolutions.RULES
)
"""The rule of each operation, by its name without its overload."""
