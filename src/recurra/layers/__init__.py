"""Recurrences over whole sequences."""

from recurra.layers.base import Layer, LayerOutput
from recurra.layers.bidirectional import Bidirectional
from recurra.layers.recurrent import Recurrent
from recurra.layers.stack import Stack
from recurra.layers.tokens import Projection, TokenEmbedding

__all__ = [
    "Bidirectional",
    "Layer",
    "LayerOutput",
    "Projection",
    "Recurrent",
    "Stack",
    "TokenEmbedding",
]
