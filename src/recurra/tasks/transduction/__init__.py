"""Sequences in, sequences with steps of their own out: translation, summaries, captions."""

from recurra.tasks.transduction.answer import Said, TransducingModel
from recurra.tasks.transduction.settings import TransductionData
from recurra.tasks.transduction.task import TransductionTask

__all__ = ["Said", "TransducingModel", "TransductionData", "TransductionTask"]
