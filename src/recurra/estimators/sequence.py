"""Recurrent models by the conventions of scikit-learn: ``fit``, ``predict``, ``score``."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from recurra.errors import DataError, SettingError, ShapeError
from recurra.estimators.base import Estimator

__all__ = ["SequenceClassifier"]

_LEAST = 2  # examples of a class, one of which may be set apart


class SequenceClassifier(Estimator):
    """The task ``classification`` as an estimator: which of some classes a sequence is of.

    It stands in pipelines, ``GridSearchCV``, ``cross_val_score`` and ``clone`` as any other, and is
    pickled; it needs nothing of scikit-learn itself. X is an array ``[cases, time, channels]`` or
    ``[cases, time]``, or a list of arrays ``[time, channels]`` of any lengths; with
    ``axes="channels"`` ``[cases, channels, time]`` and ``[channels, time]``, as aeon and sktime
    have them. A list of texts is read as texts. Missing values are NaN. Nothing can be learned from
    an empty sequence, but one is answered.

    Args:
        cell: any registered cell.
        hidden_size: of each direction.
        layers: above each other.
        bidirectional: whether sequences are read from both ends.
        body: ``"recurrent"``, or what stands in place of it, see ``recurra new classification``.
        pool: how the outputs of all steps become one vector: ``"max"``, ``"mean"``, ``"last"`` or
            ``"attention"``.
        dropout: rate of it.
        epochs: passes over the examples; those of the recipe if None, of which few examples get
            more.
        batch_size: examples read beside each other.
        learning_rate: at its highest.
        validation_fraction: share of each class that is set apart to choose the best pass and to
            calibrate probabilities; 0 trains on all.
        axes: of X, whether ``"time"`` or ``"channels"`` come first in a case.
        random_state: of every draw: a whole number, or a ``RandomState`` of NumPy; None begins
            otherwise every time.
        settings: others of the recipe by name, as ``{"weight_decay": 0.1}``.
        verbose: whether it tells how it goes.

    Attributes:
        classes_: the labels, sorted.
        n_features_in_: channels of a series; absent for texts.
        model_: what :func:`recurra.load` gives of the run.

    Example:
        >>> from sklearn.model_selection import cross_val_score
        >>> model = recurra.SequenceClassifier(cell="gru", random_state=0)
        >>> cross_val_score(model, X, y)  # doctest: +SKIP

    """

    _estimator_type = "classifier"

    def __init__(
        self,
        cell: str = "gru",
        *,
        hidden_size: int = 64,
        layers: int = 1,
        bidirectional: bool = True,
        body: str = "recurrent",
        pool: str = "max",
        dropout: float = 0.5,
        epochs: float | None = None,
        batch_size: int = 32,
        learning_rate: float = 0.004,
        validation_fraction: float = 0.1,
        axes: Literal["time", "channels"] = "time",
        random_state: int | np.random.RandomState | None = 0,
        settings: dict[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        self.cell = cell
        self.hidden_size = hidden_size
        self.layers = layers
        self.bidirectional = bidirectional
        self.body = body
        self.pool = pool
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.axes = axes
        self.random_state = random_state
        self.settings = settings
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> Self:
        """Train on sequences and their labels.

        Args:
            X: sequences, see above.
            y: a label of each, ``[cases]``.

        Raises:
            DataError: other labels than sequences, one that is missing, one class, or an empty
                sequence.
            ShapeError: something that is no sequence.
            SettingError: a parameter that cannot be.
        """
        from recurra.doors import load, train

        cases = self._cases(X)
        labels, seed = _labels(y, len(cases)), _seed(self.random_state)
        for number, case in enumerate(cases):
            if not len(case.strip() if isinstance(case, str) else case):
                raise DataError(f"fit: X: case {number} is empty: nothing can be learned from it.")
        self.classes_, numbers = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(f"fit: expected two classes or more, got {self.classes_.tolist()}.")
        # The task sorts names of classes as texts: of one length these sort as the labels do.
        width = len(str(len(self.classes_)))
        named = [f"{number:0{width}d}" for number in numbers]
        held = self._held(numbers, seed)
        with tempfile.TemporaryDirectory() as folder:
            done = train(
                "classification",
                _parts(cases, named, held),
                out=Path(folder) / "run",
                report=None if self.verbose else lambda told: None,
                **self._settings(seed, bool(held.any())),
            )
            self.model_ = load(done.path)
        series = self.model_.fronts.get("series")
        if series is not None:
            self.n_features_in_ = len(series.channels)
        return self

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """The probability of each class, ``[cases, classes]``, in the order of ``classes_``."""
        if not hasattr(self, "model_"):
            raise SettingError("SequenceClassifier: is not fitted yet; call fit(X, y) first")
        found = np.zeros((len(cases := self._cases(X)), len(self.classes_)))
        if len(cases):
            for row, answer in zip(found, self.model_.predict(cases), strict=True):
                for name, share in answer.ranked:
                    row[int(name)] = share
        return found

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The most probable label of each case, ``[cases]``."""
        shares = self.predict_proba(X)
        chosen: npt.NDArray[Any] = self.classes_[shares.argmax(1)]
        return chosen

    def score(self, X: Any, y: Any) -> float:
        """The share of cases whose label is named."""
        said, wanted = self.predict(X), np.asarray(y)
        if wanted.shape != said.shape:
            raise DataError(
                f"score: expected a label for each of {len(said)} cases, got y of shape "
                f"{list(wanted.shape)}."
            )
        return float((said == wanted).mean()) if len(said) else 0.0

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks of an estimator; only it does."""
        from sklearn.utils import (  # type: ignore[import-untyped]
            ClassifierTags,
            InputTags,
            Tags,
            TargetTags,
        )

        reads = InputTags(two_d_array=True, three_d_array=True, string=True, allow_nan=True)
        target = TargetTags(required=True)
        return Tags(
            estimator_type="classifier",
            target_tags=target,
            classifier_tags=ClassifierTags(),
            input_tags=reads,
        )

    def __sklearn_is_fitted__(self) -> bool:
        """Whether :meth:`fit` was called."""
        return hasattr(self, "model_")

    def _settings(self, seed: int, chooses: bool) -> dict[str, Any]:
        names = ["cell", "hidden_size", "layers", "bidirectional", "body", "pool", "dropout"]
        names += ["batch_size", "learning_rate"] + ([] if self.epochs is None else ["epochs"])
        found = {name: getattr(self, name) for name in names} | {"seed": seed}
        found |= {"split": "given", "validation": chooses, "rival_examples": 0}
        return {name: _plain(value) for name, value in (found | dict(self.settings or {})).items()}

    def _held(self, numbers: npt.NDArray[np.integer], seed: int) -> npt.NDArray[np.bool_]:
        """Which cases choose: a share of each class, and of none the only ones."""
        share = _plain(self.validation_fraction)
        if not isinstance(share, int | float) or not 0 <= share < 1:
            raise SettingError(f"validation_fraction: expected 0 to below 1, got {share!r}")
        held = np.zeros(len(numbers), bool)
        draw = np.random.default_rng(seed)
        for number in range(len(self.classes_)):
            own = draw.permutation(np.flatnonzero(numbers == number))
            count = round(share * len(own)) if len(own) >= _LEAST else 0
            held[own[: min(count, len(own) - 1)]] = True
        if share and not held.any():  # the first case of the largest class
            counts = np.bincount(numbers)
            if counts.max() >= _LEAST:
                held[np.flatnonzero(numbers == counts.argmax())[0]] = True
        return held

    def _cases(self, X: Any) -> list[Any]:
        """Texts, or arrays ``[time, channels]``."""
        if isinstance(X, str | bytes) or not hasattr(X, "__len__"):
            raise ShapeError(f"X: expected a list of sequences, got {type(X).__name__}.")
        if isinstance(X, Mapping) or hasattr(X, "columns"):
            raise ShapeError(
                f"X: expected a list of sequences or an array, got a {type(X).__name__}, whose "
                "items are columns. Give X.to_numpy() if a row is a case, or a list of one column."
            )
        found = list(X)
        if not found or isinstance(found[0], str):
            return found
        return [self._case(case, number) for number, case in enumerate(found)]

    def _case(self, case: Any, number: int) -> npt.NDArray[np.float32]:
        try:
            array = np.asarray(case, np.float32)
        except (TypeError, ValueError) as problem:
            raise ShapeError(f"X: case {number} is no array of numbers ({problem}).") from None
        if array.ndim == 1:
            return array[:, None]
        if array.ndim != 2:
            raise ShapeError(
                f"X: case {number}: expected [time, channels] or [time], got {list(array.shape)}."
            )
        if self.axes not in ("time", "channels"):
            raise SettingError(f"axes: expected 'time' or 'channels', got {self.axes!r}")
        return array if self.axes == "time" else np.ascontiguousarray(array.T)


def _plain(value: Any) -> Any:
    """A number or text of NumPy as Python's own."""
    return value.item() if isinstance(value, np.generic) else value


def _seed(given: Any) -> int:
    """What ``random_state`` stands for; as of scikit-learn None is NumPy's own state."""
    given = np.random if given is None else _plain(given)
    if given is np.random or isinstance(given, np.random.RandomState):
        return int(given.randint(2**31))
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise SettingError(
            f"random_state: expected a whole number from 0 on, a RandomState of NumPy or None, got "
            f"{given!r}"
        )
    return given


def _labels(y: Any, count: int) -> npt.NDArray[Any]:
    """One of each case, none missing."""
    labels = np.asarray(y)
    if labels.shape != (count,):
        raise DataError(
            f"fit: expected a label for each of {count} cases, got y of shape {list(labels.shape)}."
        )
    # Of a list NumPy makes texts, NaN too.
    for number, label in enumerate(y if isinstance(y, list | tuple) else labels.tolist()):
        same = label == label  # which NaN is not, and of pandas.NA nobody knows it
        if label is None or not (isinstance(same, bool | np.bool_) and same):
            raise DataError(
                f"fit: y: case {number} has no label, got {label!r}. Leave out those without one."
            )
    return labels


def _parts(
    cases: Sequence[Any], labels: Sequence[str], held: npt.NDArray[np.bool_]
) -> dict[str, tuple[list[Any], list[str]]]:
    """By part; what nobody scores, since the caller does, is one of those that choose."""

    def those(places: Sequence[int]) -> tuple[list[Any], list[str]]:
        return [cases[n] for n in places], [labels[n] for n in places]

    chosen, rest = np.flatnonzero(held).tolist(), np.flatnonzero(~held).tolist()
    parts = {"train": those(rest), "test": those((chosen or rest)[:1])}
    return parts | ({"validation": those(chosen)} if chosen else {})
