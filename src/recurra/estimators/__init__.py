"""Models by the conventions of scikit-learn, which is loaded when one is asked for."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recurra.estimators.sequence import SequenceClassifier

__all__ = ["SequenceClassifier"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from recurra.estimators.sequence import SequenceClassifier

    return SequenceClassifier
