"""Models by the conventions of other libraries: scikit-learn, and those that forecast."""

from recurra.estimators.forecaster import Forecaster
from recurra.estimators.sequence import SequenceClassifier

__all__ = ["Forecaster", "SequenceClassifier"]
