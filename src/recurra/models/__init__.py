"""Models: one encoder and one head, and the n-grams that stand beside them."""

from recurra.models.base import Model, Scored
from recurra.models.language import (
    LanguageModel,
    LanguageModelConfig,
    LanguageModelSettings,
    LanguageModelState,
)
from recurra.models.mixture import Mixture, MixtureState
from recurra.models.ngram import AddK, KneserNey, NGram

__all__ = [
    "AddK",
    "KneserNey",
    "LanguageModel",
    "LanguageModelConfig",
    "LanguageModelSettings",
    "LanguageModelState",
    "Mixture",
    "MixtureState",
    "Model",
    "NGram",
    "Scored",
]
