"""What is known of a run at work on some data: numbers, sentences and pictures."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from recurra import artifact
from recurra.batch import Batch
from recurra.diagnosis import (
    Examination,
    attribute,
    examine,
)
from recurra.diagnosis.charts.history import summary
from recurra.errors import RecurraError, SettingError
from recurra.given import path_of
from recurra.inspection.examples import Example, examples_of
from recurra.inspection.page import page
from recurra.inspection.pictures import Picture, pictures_of, save_pictures
from recurra.inspection.shell import save_page
from recurra.inspection.text import Follower, Read, followers, read_text, with_unknown
from recurra.settings import check_size
from recurra.training import Recipe, card_for, data_of, run_source
from recurra.training.runs import opened, recipe_of

__all__ = ["Report", "inspect"]

_ROWS, _STEPS, _SHOWN = 16, 128, 2000
T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Report:
    """A run, looked into; ``print`` shows it in words.

    Args:
        name: of the run.
        task: its task.
        model: what the model is, in words.
        data: what it was looked at with, in words.
        examination: what is right and wrong with it; None where it has no steps to look at.
        pictures: by name.
        read: a text as it reads it, or None.
        followers: units that move with something visible in that text.
        examples: what was read and answered, row by row.
        trained: what its training said at its end; empty where nothing is known.
        scores: of its training's end, the model first: name, loss and value.
        measures: what loss and value are, in words.
        card: what the model is made of and costs, in words; empty where nobody knows.
        said: what could not be looked at, and why.
        seconds: that all of it took.
    """

    name: str
    task: str
    model: str
    data: str
    examination: Examination | None
    pictures: Mapping[str, Picture]
    read: Read | None
    followers: Sequence[Follower]
    examples: Sequence[Example]
    trained: str
    scores: Sequence[Mapping[str, Any]]
    measures: tuple[str, str]
    card: str
    said: Sequence[str]
    seconds: float

    def __str__(self) -> str:
        head = f"{self.name}: {self.task}, {self.model}; looked at {self.data}"
        told = [head, *([f"its training: {self.trained}"] if self.trained else [])]
        told += [*([str(self.examination)] if self.examination else []), *self.said]
        if self.read is not None and len(self.followers):
            first = self.followers[0]
            told.append(
                f"unit {first.unit} of {first.place} moves with {first.feature} "
                f"(correlation {first.correlation:+.2f})"
            )
        return "\n".join(told)

    def to_json(self) -> dict[str, Any]:
        """All numbers."""
        seen = self.examination
        found: dict[str, Any] = _plain(
            {
                "run": self.name,
                "task": self.task,
                "model": self.model,
                "data": self.data,
                "trained": self.trained,
                "scores": list(self.scores),
                "verdicts": list(seen.verdicts) if seen else [],
                "evidence": seen.evidence if seen else {},
                "followers": list(self.followers),
                "surprising": self.read.most_surprising() if self.read else [],
                "examples": list(self.examples),
                "card": self.card,
                "said": list(self.said),
            }
        )
        return found

    def html(self) -> str:
        """One page that needs nothing else."""
        return page(self)

    def save(self, path: str | Path) -> Path:
        """Write it: ``.html`` is the page, ``.json`` the numbers; whole or not at all.

        Raises:
            SettingError: another ending.
        """
        return save_page("inspect", path, self.html, self.to_json)

    def save_pictures(self, folder: str | Path) -> list[Path]:
        """Write every chart as SVG and as PNG into a folder."""
        return save_pictures(self.pictures, folder)


def _plain(value: Any) -> Any:
    """As JSON has it; what is no finite number is null."""
    if isinstance(value, np.ndarray):
        return [_plain(each) for each in value.tolist()]
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def inspect(
    path: str | Path,
    data: Any = None,
    *,
    which: str = "best",
    rows: int = _ROWS,
    steps: int = _STEPS,
    report: Callable[[str], None] = lambda said: None,
    **settings: Any,
) -> Report:
    """Look into a run of any task.

    ::

        report = recurra.inspect("runs/book", "other.txt")
        print(report)
        report.save("report.html")

    Args:
        path: a run's folder, or one of its checkpoints.
        data: what the model reads: a file or folder, or objects, as of :func:`recurra.evaluate`;
            if None, the run's own test file, or else the data of its training.
        which: of a run, ``"best"`` or ``"last"``.
        rows: examples beside each other that are looked at.
        steps: of each, where a text can be cut.
        report: is told what is being done.
        settings: of how the data are read, where they are not read as the run's own.

    Raises:
        SettingError: a setting that the task has not, or no examples.
        DataError: something is wrong with the data.
        ArtifactError: the model is damaged.
    """
    check_size("rows", rows), check_size("steps", steps)
    began, home = time.perf_counter(), artifact.run_folder(path)
    task = artifact.task_of(path, which=which)
    source = path_of("data", data) if isinstance(data, str) else data
    if data is None:
        source = _own_data(home)
    said: list[str] = []
    report("reading")
    how = data_of(path, **settings).undivided
    examples = opened(task, source, how)
    loaded = artifact.load(path, which=which)
    part = task.read(examples, loaded.fronts, how, said.append)
    batch = task.sample(part, rows, steps)
    report("looking at gradients, memory and units")
    recipe = recipe_of(home)
    window = _window(task, recipe)
    examination = _tried(lambda: examine(loaded.model, batch, window=window), said)
    report("reading examples")
    examples = _tried(lambda: examples_of(task, loaded, batch), said) or []
    read = _tried(lambda: _read(task, loaded, part, batch, (rows, steps), said), said)
    card = _tried(lambda: card_for(loaded.model, recipe, measure=False), said)
    pictures = pictures_of(examination, read, card, home, said)
    return Report(
        home.resolve().name,
        task.name,
        _model(loaded.model),
        _data(source, data is None),
        examination,
        pictures,
        read,
        followers(read) if read is not None else [],
        examples,
        str(summary(home).get("verdict", "")),
        _scores(home),
        _measures(task),
        "" if card is None else str(card),
        said,
        time.perf_counter() - began,
    )


def _own_data(home: Path) -> Any:
    """What the run was tested on, if that has a file of its own; else what it was trained on."""
    recipe, source = run_source(home)
    held_out: str | None = recipe.data.test
    found = source if held_out is None else Path(held_out)
    if found is None:
        raise SettingError(
            "inspect: the run was trained on data given in Python: give some, by data= or --data"
        )
    return found


def _tried(look: Callable[[], T], said: list[str]) -> T | None:
    try:
        return look()
    except RecurraError as problem:  # a picture has no steps, an n-gram no cells
        said.append(f"not looked into: {problem}")
        return None


def _window(task: Any, recipe: Recipe | None) -> int | None:
    """Steps that a gradient of its training crosses; None where examples were read whole."""
    if recipe is None or not task.reads_windows(recipe.data):
        return None
    return recipe.training.window


def _read(
    task: Any, loaded: Any, part: Any, batch: Batch, looked: tuple[int, int], said: list[str]
) -> Read | None:
    """A text of some length in one row, or several rows where none is long."""
    model, fronts = loaded.model, loaded.fronts
    if not hasattr(model, "encoder") or _symbols(task, batch, fronts) is None:
        return None
    one, size = task.sample(part, 1, _SHOWN), (1, _SHOWN)
    rows = _symbols(task, one, fronts)
    if rows is None or len(rows[0]) < _SHOWN // 8:
        one, rows, size = batch, _symbols(task, batch, fronts), looked
    assert rows is not None
    examples = examples_of(task, loaded, one)
    whole = bool(examples) and examples[0].by == "whole"
    speaks = _tried(lambda: _speaks(model, one), said) if whole else None
    read = read_text(model, one, rows, examples, speaks)
    return with_unknown(read, rows, task.unknown(part, *size))


def _speaks(model: Any, batch: Batch) -> Any:
    """How much each step speaks for the answer ``[time, batch]``: colors need no closer sums."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return attribute(model, batch).steps().double().numpy()


def _symbols(task: Any, batch: Batch, fronts: Any) -> list[list[str]] | None:
    """Of each row the symbols of the one input that has some."""
    read = task.seen(batch, fronts)
    texts = [rows for rows in read.values() if rows and isinstance(rows[0], list)]
    return texts[0] if len(texts) == len(read) == 1 and any(texts[0]) else None


def _scores(path: str | Path) -> list[Mapping[str, Any]]:
    rows = summary(Path(path)).get("scores")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _measures(task: Any) -> tuple[str, str]:
    """What a loss and a value are, and which way is better; of a value that is the loss nothing."""
    loss, value = task.loss, task.metric
    unit = "" if "/" in loss.unit else f" per {task.unit.removesuffix('s')}"
    ways = [f"({'less' if each.less else 'more'} is better)" for each in (loss, value)]
    told = f"{loss.unit or loss.name}{unit} {ways[0]}"
    return told, "" if value.name == loss.name else f"{value.unit or value.name} {ways[1]}"


def _model(model: Any) -> str:
    count = sum(parameter.numel() for parameter in model.parameters())
    return f"{getattr(model, 'name', type(model).__name__)} of {count:,} parameters"


def _data(source: Any, own: bool) -> str:
    name = Path(source).name if isinstance(source, str | Path) else "data given in Python"
    return f"{name}, of its training: other data say more of what it has learned" if own else name
