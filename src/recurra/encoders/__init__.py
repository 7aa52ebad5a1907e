"""What is read. An encoder turns a batch's inputs into what a layer returns."""

from recurra.encoders.base import Encoder
from recurra.encoders.tokens import TokenEncoder
from recurra.encoders.words import SpelledEmbedding, WordEncoder

__all__ = ["Encoder", "SpelledEmbedding", "TokenEncoder", "WordEncoder"]
