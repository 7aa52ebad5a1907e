"""Small models over every kind of vocabulary, and sums over all that they may say, done by hand."""

from __future__ import annotations

import math
from typing import Any

import torch

from recurra.models import LanguageModel, LanguageModelConfig, NGram
from recurra.pipeline import TextModel
from recurra_runtime.vocabulary import (
    END,
    START,
    BytePairVocabulary,
    ByteVocabulary,
    CharacterVocabulary,
    Normalizer,
    Vocabulary,
    WordVocabulary,
)

TEXT = (
    "the cat sat on the mat. the cattle can't see the cats, and the dog's bone isn't there.\n"
    "a dog that sees the cat's mat sat there: \u201cthe caf\u00e9 can wait\u201d (12 dogs)\n"
) * 3


def vocabularies() -> dict[str, Vocabulary]:
    return {
        "characters": CharacterVocabulary.of([TEXT]),
        "bytes": ByteVocabulary(),
        "byte-pairs": BytePairVocabulary.of([TEXT], 300),
        "words": WordVocabulary.of([TEXT], normalizer=Normalizer(breaks="lines")),
        "lower words": WordVocabulary.of([TEXT], normalizer=Normalizer(lower=True)),
        "split words": WordVocabulary.of([TEXT], normalizer=Normalizer(punctuation=False)),
    }


def ngram(vocabulary: Vocabulary, order: int = 3, text: str = TEXT, **settings: Any) -> TextModel:
    documents = [vocabulary.encode(text)]
    size = len(vocabulary)
    counted = NGram.fit(
        documents, order=order, vocabulary_size=size, start=START, end=END, **settings
    )
    return TextModel(counted, vocabulary, f"{order}-gram")


def recurrent(
    vocabulary: Vocabulary, seed: int = 0, sharpness: float = 3.0, **settings: Any
) -> TextModel:
    """Random weights, large enough that the past matters."""
    torch.manual_seed(seed)
    config = LanguageModelConfig(
        hidden_size=6, layers=1, vocabulary_size=len(vocabulary), **settings
    )
    model = LanguageModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(sharpness)
    return TextModel(model.eval(), vocabulary, "lstm")


@torch.no_grad()
def next_log_probs(model: TextModel, ids: list[int], state: Any = None) -> list[float]:
    """Of each symbol after ``ids``, which are read from the start symbol on, one by one."""
    state = model.model.start(1) if state is None else state
    for symbol in [START, *ids]:
        log_probs, state = model.model.step(torch.tensor([symbol]), state)
    return log_probs[0].double().tolist()


def summed(values: list[float]) -> float:
    """Logarithm of the sum of exponentials."""
    top = max(values, default=-math.inf)
    return top if top == -math.inf else top + math.log(sum(math.exp(v - top) for v in values))
