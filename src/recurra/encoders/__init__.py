"""What is read."""

from recurra.encoders.base import Encoder
from recurra.encoders.tokens import TokenEncoder

__all__ = ["Encoder", "TokenEncoder"]
