"""A tag for each word of a sentence."""

from recurra.tasks.tagging.answer import Tagged, TaggingModel
from recurra.tasks.tagging.settings import TaggingData
from recurra.tasks.tagging.task import TaggingTask

__all__ = ["Tagged", "TaggingData", "TaggingModel", "TaggingTask"]
