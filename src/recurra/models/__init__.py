"""Models: one encoder and one head, and the n-grams that stand beside them or alone."""

from recurra.models.bags import BagOfSymbols, Majority, MeanOfVectors
from recurra.models.base import Model, Scored
from recurra.models.bayes import NGramOfClasses
from recurra.models.classifier import Classifier, ClassifierConfig, ClassifierSettings, Heard
from recurra.models.counted import NGramConfig, NGramModel, NGramSettings
from recurra.models.encoder_decoder import (
    EncoderDecoder,
    EncoderDecoderConfig,
    EncoderDecoderSettings,
)
from recurra.models.language import (
    LanguageModel,
    LanguageModelConfig,
    LanguageModelSettings,
    LanguageModelState,
)
from recurra.models.linear import Autoregression, LinearMap
from recurra.models.mixture import Mixture, MixtureState
from recurra.models.naive import Drift, LastValue, MeanValue, SeasonalNaive, Unconditional
from recurra.models.ngram import AddK, KneserNey, NGram
from recurra.models.reading import ReadingSettings, Reads, build_encoder
from recurra.models.recognizer import Recognizer, RecognizerSettings
from recurra.models.rivals import Rival, Walk
from recurra.models.series import Judged, SeriesModel
from recurra.models.series_settings import SeriesModelConfig, SeriesModelSettings
from recurra.models.summaries import MeanOfSteps
from recurra.models.tagger import Tagger, TaggerSettings
from recurra.models.windows import MajorityOfSteps, WindowOfSteps
from recurra.models.words import FrequentTags, WindowTagger

__all__ = [
    "AddK",
    "Autoregression",
    "BagOfSymbols",
    "Classifier",
    "ClassifierConfig",
    "ClassifierSettings",
    "Drift",
    "EncoderDecoder",
    "EncoderDecoderConfig",
    "EncoderDecoderSettings",
    "FrequentTags",
    "Heard",
    "Judged",
    "KneserNey",
    "LanguageModel",
    "LanguageModelConfig",
    "LanguageModelSettings",
    "LanguageModelState",
    "LastValue",
    "LinearMap",
    "Majority",
    "MajorityOfSteps",
    "MeanOfSteps",
    "MeanOfVectors",
    "MeanValue",
    "Mixture",
    "MixtureState",
    "Model",
    "NGram",
    "NGramConfig",
    "NGramModel",
    "NGramOfClasses",
    "NGramSettings",
    "ReadingSettings",
    "Reads",
    "Recognizer",
    "RecognizerSettings",
    "Rival",
    "Scored",
    "SeasonalNaive",
    "SeriesModel",
    "SeriesModelConfig",
    "SeriesModelSettings",
    "Tagger",
    "TaggerSettings",
    "Unconditional",
    "Walk",
    "WindowOfSteps",
    "WindowTagger",
    "build_encoder",
]
