"""Models by the conventions of scikit-learn."""

from recurra.estimators.sequence import SequenceClassifier

__all__ = ["SequenceClassifier"]
