"""Writing: sequences from any model that gives the next symbol's probabilities step by step."""

from recurra.decoding.aligned import Aligned, align
from recurra.decoding.beam import Hypothesis, LengthRule, beam_search, beam_search_batch
from recurra.decoding.continuations import Continuation, continuations
from recurra.decoding.ctc import PrefixSearch, Transcript, best_path, prefix_search
from recurra.decoding.frozen import Frozen
from recurra.decoding.fusion import Fusion
from recurra.decoding.generate import generate, generate_batch
from recurra.decoding.hot_words import HotWords
from recurra.decoding.protocol import Kept, Read, Steps, read

__all__ = [
    "Aligned",
    "Continuation",
    "Frozen",
    "Fusion",
    "HotWords",
    "Hypothesis",
    "Kept",
    "LengthRule",
    "PrefixSearch",
    "Read",
    "Steps",
    "Transcript",
    "align",
    "beam_search",
    "beam_search_batch",
    "best_path",
    "continuations",
    "generate",
    "generate_batch",
    "prefix_search",
    "read",
]
