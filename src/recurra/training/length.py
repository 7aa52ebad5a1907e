"""How long a training is: in passes, predictions and steps, and how a longer one is asked for."""

from __future__ import annotations

import math

from recurra.data import Batches
from recurra.errors import DataError, SettingError
from recurra.training.recipe import TrainingSettings

__all__ = ["longer", "passes_of", "predictions_of", "steps_of"]


def passes_of(settings: TrainingSettings, batches: Batches) -> float:
    """Passes over what is trained on; of few examples whole ones, until the steps are enough."""
    if settings.symbols is not None:
        return settings.symbols / batches.symbols
    least = math.ceil(settings.minimum_steps * settings.accumulate / len(batches))
    return max(settings.epochs, least)


def predictions_of(settings: TrainingSettings, batches: Batches) -> int:
    """Predictions to train on in all."""
    return settings.symbols or math.ceil(passes_of(settings, batches) * batches.symbols)


def steps_of(settings: TrainingSettings, batches: Batches) -> int:
    """Steps of the optimizer.

    Raises:
        DataError: there is nothing to train on.
        SettingError: a step takes more batches than there are.
    """
    if not batches.symbols:
        raise DataError("data: expected something to predict in the training part, there is none.")
    passes, rest = divmod(predictions_of(settings, batches), batches.symbols)
    count = passes * len(batches) + batches.count(rest)
    if settings.accumulate > count:
        raise SettingError(
            f"training.accumulate: expected at most {count}, the batches of the whole training, "
            f"got {settings.accumulate}"
        )
    return math.ceil(count / settings.accumulate)


def longer(passes: float, times: float = 2) -> str:
    """The option of a training so many times as long as one of so many passes, twice or more."""
    return f"--epochs {_short(max(2, times) * passes)}"


def _short(number: float) -> str:
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"
