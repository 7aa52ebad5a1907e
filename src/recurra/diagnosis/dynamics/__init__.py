"""What a recurrence does as a dynamical system: how its state moves, and where it rests.

``steps`` makes a map of flat states of any cell or layer. On it stand ``derivatives`` (Jacobians),
``exponents`` (Lyapunov's), ``search`` and ``points`` (fixed and slow ones), and their ``plane``.
"""

from recurra.diagnosis.dynamics.derivatives import (
    Jacobians,
    Products,
    Visited,
    jacobians,
    visited_states,
)
from recurra.diagnosis.dynamics.exponents import Lyapunov, lyapunov
from recurra.diagnosis.dynamics.plane import phase_plane
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
    "phase_plane",
    "visited_states",
]
