"""A model at work looked into: gradients, memory, needs and units, and verdicts on them."""

from recurra.diagnosis.examination.border import border_share
from recurra.diagnosis.examination.examining import Examination, examine

__all__ = ["Examination", "border_share", "examine"]
