"""What turns raw examples of other kinds than text into numbers, with NumPy alone."""

from recurra_runtime.fronts.spelled import Spelled, SpelledWords

__all__ = ["Spelled", "SpelledWords"]
