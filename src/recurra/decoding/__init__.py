"""Writing: sequences from any model that gives the next symbol's probabilities step by step."""

from recurra.decoding.beam import Hypothesis, LengthRule, beam_search, beam_search_batch
from recurra.decoding.continuations import Continuation, continuations
from recurra.decoding.frozen import Frozen
from recurra.decoding.generate import generate, generate_batch
from recurra.decoding.protocol import Kept, Read, Steps, read

__all__ = [
    "Continuation",
    "Frozen",
    "Hypothesis",
    "Kept",
    "LengthRule",
    "Read",
    "Steps",
    "beam_search",
    "beam_search_batch",
    "continuations",
    "generate",
    "generate_batch",
    "read",
]
