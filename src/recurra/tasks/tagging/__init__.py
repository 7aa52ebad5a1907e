"""A tag for each word of a sentence."""

from recurra.tasks.tagging.settings import TaggingData
from recurra.tasks.tagging.task import TaggingTask

__all__ = ["TaggingData", "TaggingTask"]
