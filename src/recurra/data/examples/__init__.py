"""Examples with what is to be said of them, from every kind of source."""

from recurra.data.examples.base import Example, Examples, Kind, Sound, content_key
from recurra.data.examples.opening import open_examples
from recurra.data.examples.reading import Reading

__all__ = [
    "Example",
    "Examples",
    "Kind",
    "Reading",
    "Sound",
    "content_key",
    "open_examples",
]
