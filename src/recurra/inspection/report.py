"""What is known of a run at work on some data: numbers, sentences and pictures."""

from __future__ import annotations

import dataclasses
import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from recurra import artifact
from recurra.batch import Batch
from recurra.diagnosis import (
    Axis,
    Chart,
    Examination,
    attribute,
    examine,
    gradients,
    lines,
    pictures,
    watched,
)
from recurra.diagnosis import card as describe
from recurra.diagnosis.charts.colors import SERIES_COLORS
from recurra.diagnosis.charts.watching import WATCHED
from recurra.diagnosis.examination.evidence import Evidence
from recurra.errors import RecurraError, SettingError
from recurra.files import write_file
from recurra.given import path_of
from recurra.inspection.examples import Example, examples_of
from recurra.inspection.page import page
from recurra.inspection.places import called
from recurra.inspection.text import Follower, Read, followers, read_text
from recurra.settings import check_size
from recurra.training import data_of, run_source
from recurra.training.runs import opened

__all__ = ["Picture", "Report", "inspect", "save_pictures"]

_ROWS, _STEPS, _SHOWN = 16, 128, 2000
T = TypeVar("T")


class Picture(NamedTuple):
    """A chart and how to read it.

    Args:
        chart: the picture.
        title: above it.
        how: a sentence on how to read it.
    """

    chart: Chart
    title: str
    how: str


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
    scores: Sequence[Mapping[str, Any]]
    measures: tuple[str, str]
    card: str
    said: Sequence[str]
    seconds: float

    def __str__(self) -> str:
        head = f"{self.name}: {self.task}, {self.model}; looked at {self.data}"
        told = [head, *([str(self.examination)] if self.examination else []), *self.said]
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
        path = Path(path)
        if path.suffix == ".html":
            write_file(path, self.html().encode())
        elif path.suffix == ".json":
            write_file(path, (json.dumps(self.to_json(), indent=1) + "\n").encode())
        else:
            raise SettingError(f"inspect: expected a name that ends in .html or .json, got {path}")
        return path

    def save_pictures(self, folder: str | Path) -> list[Path]:
        """Write every chart as SVG and as PNG into a folder."""
        return save_pictures(self.pictures, folder)


def save_pictures(pictures: Mapping[str, Picture], folder: str | Path) -> list[Path]:
    """Write charts as SVG and as PNG into a folder.

    Args:
        pictures: by the names of their files.
        folder: is made where it is not there.
    """
    folder = path_of("pictures", folder)
    folder.mkdir(parents=True, exist_ok=True)
    return [
        picture.chart.save(folder / f"{name}.{kind}")
        for name, picture in pictures.items()
        for kind in ("svg", "png")
    ]


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
    began, home = time.perf_counter(), _home(path)
    task = artifact.task_of(path, which=which)
    source = path_of("data", data) if isinstance(data, str) else data
    if data is None:
        source = _own_data(home)
    said: list[str] = []
    report("reading")
    examples = opened(task, source, data_of(path, **settings).undivided)
    loaded = artifact.load(path, which=which)
    part = task.read(examples, loaded.fronts, data_of(path, **settings).undivided, said.append)
    batch = task.sample(part, rows, steps)
    report("looking at gradients, memory and units")
    window = _window(home)
    examination = _tried(lambda: examine(loaded.model, batch, window=window), said)
    report("reading examples")
    examples = _tried(lambda: examples_of(task, loaded, batch), said) or []
    read = _tried(lambda: _read(task, loaded, part, batch, said), said)
    found: dict[str, Picture] = {}
    if examination is not None:
        found["reach"] = Picture(
            examination.chart(),
            "How far back",
            "Where a line has fallen below the dashed one, next to nothing is left. A gradient "
            "that is lost there cannot teach what happened before; an output that does not move "
            "has forgotten it.",
        )
        gates = _gates(examination.evidence)
        if gates is not None:
            found["gates"] = Picture(
                gates,
                "What gates do",
                "Each line has the units of one gate, sorted by how open it is on the average. A "
                "forget or update gate near the top remembers for long; one of 90 % has lost two "
                "thirds after ten steps.",
            )
    if read is not None and np.isfinite(read.surprises).any():
        found["surprise"] = Picture(
            _surprise(read),
            "Surprise",
            "High where the model did not expect what is right. One of texts that has learned is "
            "low inside of words, and high where something new begins.",
        )
    card = ""
    if (described := _tried(lambda: describe(loaded.model, measure=False), said)) is not None:
        card = str(described)
        if (unrolled := _tried(described.chart, said)) is not None:
            found["unrolled"] = Picture(
                unrolled,
                "Unrolled",
                "One box a layer and step. A state goes along a row, what is read goes up; where a "
                "training window ends the gradient is cut.",
            )
    for name, chart in _of_training(home, said).items():
        found[name] = Picture(chart, name.capitalize(), _HOW.get(name, ""))
    return Report(
        home.resolve().name,
        task.name,
        _model(loaded.model),
        _data(source, data is None),
        examination,
        found,
        read,
        followers(read) if read is not None else [],
        examples,
        _scores(home),
        _measures(task),
        card,
        said,
        time.perf_counter() - began,
    )


_HOW = {
    "gradients": "Of each layer the size of its gradient, and how far a step moves its weights as "
    "a share of their size: about a thousandth is usual. One far below the others learns slowly.",
    "curve": "The ring is the checkpoint that was kept, where the validation is best. Where "
    "training goes on to improve and validation does not, the model learns its examples by heart. "
    "Dashed is what the others score.",
    "confusion": "Rows are true classes, columns what was said: the diagonal is right.",
    "forecast": "The line is what came, the bands are where it was expected.",
}


def _home(path: str | Path) -> Path:
    """The folder of a run, also of one of its checkpoints."""
    folder = path_of("run", path)
    inside = folder.absolute().parent.name == "checkpoints"
    return folder.absolute().parent.parent if inside else folder


def _own_data(home: Path) -> Any:
    """What the run was tested on, if that has a file of its own; else what it was trained on."""
    recipe, source = run_source(home)
    held_out: str | None = recipe.data.test
    found = source if held_out is None else Path(held_out)
    if found is None:
        raise SettingError("inspect: the run was trained on data given in Python: give it data")
    return found


def _tried(look: Callable[[], T], said: list[str]) -> T | None:
    try:
        return look()
    except RecurraError as problem:  # a picture has no steps, an n-gram no cells
        said.append(f"not looked into: {problem}")
        return None


def _window(path: str | Path) -> int | None:
    try:
        recipe, _ = run_source(path)
    except RecurraError:
        return None
    window: int = recipe.training.window
    return window


def _read(task: Any, loaded: Any, part: Any, batch: Batch, said: list[str]) -> Read | None:
    """A text of some length in one row, or several rows where none is long."""
    model, fronts = loaded.model, loaded.fronts
    if not hasattr(model, "encoder") or _symbols(task, batch, fronts) is None:
        return None
    one = task.sample(part, 1, _SHOWN)
    rows = _symbols(task, one, fronts)
    if rows is None or len(rows[0]) < _SHOWN // 8:
        one, rows = batch, _symbols(task, batch, fronts)
    assert rows is not None
    examples = examples_of(task, loaded, one)
    whole = bool(examples) and examples[0].by == "whole"
    speaks = _tried(lambda: _speaks(model, one), said) if whole else None
    return read_text(model, one, rows, examples, speaks)


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


def _gates(seen: Evidence) -> Chart | None:
    """Units in the order of how open their gates are."""
    series: dict[str, dict[float, float]] = {}
    for row in seen.gates.rows:
        if row.kind == "gate" and len(series) < len(SERIES_COLORS) and row.units > 1:
            ranks = np.linspace(0.0, 1.0, row.units)
            heights = np.sort(row.means)
            series[called(row.key)] = dict(zip(map(float, ranks), map(float, heights), strict=True))
    if not series:
        return None
    return lines(
        series,
        title="What gates do",
        x=Axis(
            "units, from the one whose gate is most shut to the most open", 0.0, 1.0, format=".0%"
        ),
        y=Axis("mean openness", 0.0, 1.0, format=".0%"),
    )


def _surprise(read: Read) -> Chart:
    some = read.surprises[: min(len(read.symbols), 300)]
    heights = {float(n): float(value) for n, value in enumerate(some) if np.isfinite(value)}
    return lines(
        {"": heights},
        title="How surprising each symbol is",
        x=Axis("place in the text", 0.0, float(max(len(some) - 1, 1)), format=",d"),
        y=Axis("surprise, nats", 0.0, max(heights.values()) * 1.05),
        about="The beginning of the text.",
    )


def _of_training(path: str | Path, said: list[str]) -> dict[str, Chart]:
    folder = Path(path)
    if not (folder / "log.csv").is_file():
        return {}
    try:
        found: dict[str, Chart] = dict(pictures(folder))
    except RecurraError as problem:
        said.append(f"no curve: {problem}")
        found = {}
    found.pop("gradients", None)
    if (folder / WATCHED).is_file():
        try:
            if _reports(folder) > 1:  # one alone is no curve
                found["gradients"] = gradients(folder)
        except RecurraError as problem:
            said.append(f"no gradients: {problem}")
    return found


def _reports(folder: Path) -> int:
    """How often the monitors of a training wrote."""
    places = (points for found in watched(folder).values() for points in found.values())
    return max(map(len, places), default=0)


def _scores(path: str | Path) -> list[Mapping[str, Any]]:
    try:
        told = json.loads((Path(path) / "summary.json").read_bytes())
        return [row for row in told.get("scores", []) if isinstance(row, dict)]
    except (OSError, ValueError, AttributeError):
        return []


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
