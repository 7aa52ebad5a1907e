"""What a recurrence does as a dynamical system: how its state moves, and where it rests.

``steps`` makes a map of flat states of any cell or layer; on it stand ``jacobians``, ``exponents``
(Lyapunov's), ``search`` and ``points`` (fixed and slow ones), and ``plane``, their picture.
"""

from recurra.diagnosis.dynamics.exponents import Lyapunov, lyapunov
from recurra.diagnosis.dynamics.jacobians import (
    Jacobians,
    Products,
    Visited,
    jacobians,
    visited_states,
)
from recurra.diagnosis.dynamics.points import FixedPoints, fixed_points

__all__ = [
    "FixedPoints",
    "Jacobians",
    "Lyapunov",
    "Products",
    "Visited",
    "fixed_points",
    "jacobians",
    "lyapunov",
    "visited_states",
]
