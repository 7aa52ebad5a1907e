"""How a run went, read from its folder alone: log.csv, the kept checkpoint and summary.json."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from recurra.errors import RunError
from recurra.given import path_of

__all__ = ["History", "Score", "history", "summary"]

Point = tuple[float, float]


class Score(NamedTuple):
    """What a model scored on the test part.

    Args:
        name: of the model.
        loss: mean of a prediction.
        value: what the metric says.
    """

    name: str
    loss: float
    value: float


class History(NamedTuple):
    """A run so far.

    Args:
        name: of its folder.
        unit: what is counted, as "symbols".
        metric: by which its checkpoint was chosen.
        loss: what it was trained by, as "nats".
        training: step and loss of a prediction, the mean since the evaluation before; nothing at
            step 0, where a run is that begins with another's model.
        validation: step and metric; empty without a validation part.
        chosen: the step of the kept checkpoint, or None.
        scores: on the test part, the run's own model first; empty before its end.
        verdict: the sentence at its end; empty before that.
        unread: lines of the log that are damaged.
    """

    name: str
    unit: str
    metric: str
    loss: str
    training: Sequence[Point]
    validation: Sequence[Point]
    chosen: int | None
    scores: Sequence[Score]
    verdict: str
    unread: int


def history(run: str | Path) -> History:
    """Read how a run went.

    Args:
        run: its folder.

    Raises:
        RunError: it has no log, as before the first evaluation, or this one is damaged.
    """
    folder = path_of("run", run)
    header, rows, unread = _log(folder / "log.csv")
    trained = _column(header, "training_")
    loss = trained.removeprefix("training_")
    column = _column(header, "validation_") or f"validation_{loss}"
    validation = [(step, row[column]) for step, row in rows.items() if column in row]
    told = summary(folder)
    listed = told.get("scores")
    scores = [_score(row) for row in (listed if isinstance(listed, list) else ())]
    return History(
        name=folder.resolve().name,
        unit=header[1],
        metric=column.removeprefix("validation_"),
        loss=loss,
        training=[(step, row[trained]) for step, row in rows.items() if trained in row],
        validation=validation,
        chosen=_chosen(folder / "best"),
        scores=scores,
        verdict=str(told.get("verdict", "")),
        unread=unread,
    )


def summary(folder: Path, *, needed: bool = False) -> Mapping[str, Any]:
    """What is known at the end of a run; nothing before that.

    Args:
        folder: of the run.
        needed: whether it is an error if it is damaged; else nothing is known.

    Raises:
        RunError: it is damaged, and needed.
    """
    path = folder / "summary.json"
    try:
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError(f"expected an object, got {str(found)[:80]!r}")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as problem:
        if needed:
            raise RunError(f"{path}: damaged ({problem}).") from None
        return {}
    return found


def _score(row: Any) -> Score:
    known = row if isinstance(row, dict) else {}
    loss, value = (known.get(name) for name in ("loss", "value"))
    return Score(str(known.get("name", "")), _number(loss), _number(value))


def _column(header: Sequence[str], kind: str) -> str:
    """The first one whose name begins so; empty if there is none."""
    return next((name for name in header if name.startswith(kind)), "")


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _chosen(pointer: Path) -> int | None:
    try:
        text = pointer.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    return int(text) if text.isdecimal() else None


def _log(path: Path) -> tuple[list[str], dict[int, dict[str, float]], int]:
    """The header, a row for each step in their order, and how many lines cannot be read."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise RunError(
            f"{path}: expected the log of a run, which begins with its first evaluation; there is "
            "none."
        ) from None
    except OSError as problem:
        raise RunError(f"{path}: cannot be read ({problem.strerror}).") from None
    header, *lines = [line.split(",") for line in text.splitlines()] or [[]]
    trained = _column(header, "training_")
    if header[:1] != ["step"] or not trained or len(header) < 3:
        raise RunError(
            f"{path}: damaged, its first line should name the columns, among them step and "
            f"training_nats (or another loss); it is {','.join(header)[:80]!r}."
        )
    rows: dict[int, dict[str, float]] = {}
    unread = 0
    for line in lines:
        try:
            named = dict(zip(header, line, strict=True))
            # A column without a number was not measured; one with "nan" was.
            numbers = {name: float(value) for name, value in named.items() if value != ""}
            rows[int(named["step"])] = numbers
        except ValueError:
            unread += 1
    return header, dict(sorted(rows.items())), unread
