"""The error tree. Every error Recurra raises on purpose is one of these.

::

    RecurraError
    ├── ShapeError        a tensor, a length or a state does not fit
    │   └── InputTypeError    something else stands where one is due
    ├── SettingError      an unknown setting, or a value it cannot take
    │   └── SettingTypeError  a value of another type
    ├── BackendError      a backend was forced that cannot run this call
    ├── DataError         a user's file or sequence cannot be read as asked
    ├── ArtifactError     a saved model or run is damaged, newer or incomplete
    └── RunError          a training run cannot go on

A warning is a SlowerWarning, of a cell that runs step by step in Python and that somebody may think
is fast, or an UnknownWarning, of a prompt with something that the model has never seen.

Each is also what Python and torch raise there: ShapeError and SettingError are ValueErrors,
ShapeError is a RuntimeError too, and an error of types a TypeError.

A message says what was expected, what came, where, and what to do.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = [
    "ArtifactError",
    "BackendError",
    "DataError",
    "FewWarning",
    "InputTypeError",
    "RecurraError",
    "RunError",
    "SettingError",
    "SettingTypeError",
    "ShapeError",
    "SlowerWarning",
    "UnknownWarning",
    "callers_level",
    "dtype_name",
    "kind_of",
    "meant",
    "nearest",
    "symbols_hint",
]


class RecurraError(Exception):
    """Base of every error that Recurra raises on purpose."""


class ShapeError(RecurraError, ValueError, RuntimeError):
    """A tensor, a length or a state does not fit what it is used for."""


class InputTypeError(ShapeError, TypeError):
    """Something stands where a tensor, a length or a state is due, and is none."""


class SettingError(RecurraError, ValueError):
    """A setting is unknown, or has a value it cannot take."""


class SettingTypeError(SettingError, TypeError):
    """A setting has a value of a type it cannot take."""


class BackendError(RecurraError):
    """A backend was forced that cannot run this call; the message says why."""


class DataError(RecurraError, ValueError):
    """A user's file or sequence cannot be read as asked."""


class ArtifactError(RecurraError):
    """A saved model or a run is damaged, incomplete or too new."""


class RunError(RecurraError):
    """A training run cannot go on; what it had is kept."""


class SlowerWarning(UserWarning):
    """A cell runs on ``loop`` because of how its step is written; the message says what to write.

    Once for each class of cells and process. A run with ``backend="loop"`` does not warn.
    """


class FewWarning(UserWarning):
    """There is too little of something to tell what was asked."""


class UnknownWarning(UserWarning):
    """A prompt has something that the model has never seen, and reads as ``<unk>``."""


def kind_of(value: object) -> str:
    """What a value is, for a message: ``torch.nn.modules.rnn.LSTMCell``, ``int``, ``the class X``.

    >>> kind_of(3)
    'int'
    """
    if isinstance(value, type):
        return f"the class {value.__name__} (not an object of it)"
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def dtype_name(dtype: object) -> str:
    """``float32`` for ``torch.float32``, as NumPy and people say it."""
    return str(dtype).removeprefix("torch.")


def symbols_hint(given: Any) -> str:
    """A sentence for a tensor of whole numbers where vectors are due; nothing for another one."""
    if given.is_floating_point() or given.is_complex() or dtype_name(given.dtype) == "bool":
        return ""
    return (
        " Whole numbers that stand for symbols become vectors first: recurra.TokenEmbedding, or "
        "torch.nn.Embedding; a cell that reads them gives some in example_input."
    )


def callers_level() -> int:
    """The ``stacklevel`` of a warning that is of the nearest line outside of recurra and torch."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in _INSIDE:
        level, frame = level + 1, frame.f_back
    return level


_INSIDE = ("recurra", "torch")
_MANY = 30  # names that nobody reads, where one of them is near


def nearest(name: object, known: Iterable[str]) -> str:
    """A sentence that helps with an unknown name: the nearest known one, then all, if not many.

    Of names with points, as ``model.cell``, the last parts are compared. What other libraries call
    a setting counts as near; what only looks a little alike does not.

    >>> nearest("lstmm", ["gru", "lstm"])
    "did you mean 'lstm'? Known: gru, lstm"
    >>> nearest("lr", ["training.learning_rate", "training.clip"])
    "did you mean 'training.learning_rate'? Known: training.clip, training.learning_rate"
    """
    name, names = str(name), sorted(known)
    close = meant(name, names)
    guess = f"did you mean {close!r}? " if close else ""
    if guess and len(names) > _MANY:
        return guess.rstrip()
    if len(names) > _MANY:
        section = name.rpartition(".")[0]
        names = [known for known in names if known.rpartition(".")[0] == section] or names
    return f"{guess}Known: {', '.join(names) or 'none'}"


def meant(name: str, names: Sequence[str]) -> str | None:
    """The one of some names that is meant, as :func:`nearest` compares; None if none is near.

    >>> meant("max_epochs", ["training.epochs", "training.clip"])
    'training.epochs'
    """
    from recurra.synonyms import SYNONYMS  # `--help` does without

    last = name.rpartition(".")[2]
    by_last = {each.rpartition(".")[2]: each for each in names}
    here = SYNONYMS.get(last.lower().replace("-", "_"), ())
    if found := next((by_last[each] for each in here if each in by_last), None):
        return found
    cutoff = 0.7 if len(by_last) > _MANY else 0.5  # among many one always looks a little alike
    close = difflib.get_close_matches(last.lower(), by_last, n=1, cutoff=cutoff)
    return by_last[close[0]] if close else None
