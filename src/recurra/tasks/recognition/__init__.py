"""A text for each recording or picture of a line: speech and handwriting."""

from recurra.tasks.recognition.answer import RecognizingModel
from recurra.tasks.recognition.listening import EndRules, Listener
from recurra.tasks.recognition.recognized import Candidate, Recognized, Symbol
from recurra.tasks.recognition.settings import RecognitionData
from recurra.tasks.recognition.task import RecognitionTask

__all__ = [
    "Candidate",
    "EndRules",
    "Listener",
    "RecognitionData",
    "RecognitionTask",
    "Recognized",
    "RecognizingModel",
    "Symbol",
]
