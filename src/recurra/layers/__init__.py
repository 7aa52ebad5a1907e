"""Recurrences over whole sequences."""

from recurra.layers.attention import SelfAttention
from recurra.layers.base import Layer, LayerOutput
from recurra.layers.bidirectional import Bidirectional
from recurra.layers.dropin import GRU, LSTM, RNN
from recurra.layers.dropin_base import RNNBase
from recurra.layers.pooling import Pool, Pooled, Pooling
from recurra.layers.recurrent import Recurrent
from recurra.layers.stack import Stack
from recurra.layers.tokens import Projection, TokenEmbedding
from recurra.layers.window import Window
from recurra.layers.window_attention import WindowAttention

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Bidirectional",
    "Layer",
    "LayerOutput",
    "Pool",
    "Pooled",
    "Pooling",
    "Projection",
    "RNNBase",
    "Recurrent",
    "SelfAttention",
    "Stack",
    "TokenEmbedding",
    "Window",
    "WindowAttention",
]
