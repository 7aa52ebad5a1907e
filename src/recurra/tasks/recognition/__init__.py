"""A text for each recording or picture of a line: speech and handwriting."""

from recurra.tasks.recognition.answer import RecognizingModel
from recurra.tasks.recognition.settings import RecognitionData
from recurra.tasks.recognition.task import RecognitionTask

__all__ = ["RecognitionData", "RecognitionTask", "RecognizingModel"]
