"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from recurra.errors import SettingError
from recurra.given import path_of

__all__ = [
    "BatchSize",
    "Changes",
    "Data",
    "Device",
    "Encoding",
    "Epochs",
    "FalseAlarms",
    "From",
    "Given",
    "Hidden",
    "Import",
    "Json",
    "Layers",
    "Length",
    "Mix",
    "NGramName",
    "OnError",
    "Out",
    "Rate",
    "Resume",
    "Run",
    "Seed",
    "Source",
    "Test",
    "Validation",
    "Which",
    "path_argument",
    "path_option",
]


def _path(text: str | Path) -> Path:
    """A path; an empty one, as an unset variable of a shell leaves it, would be this folder."""
    try:
        return path_of("path", text)
    except SettingError as problem:
        raise typer.BadParameter(str(problem).removeprefix("path: ")) from None


def path_option(*names: str, **how: Any) -> Any:
    """An option with a path, as :func:`typer.Option`."""
    return typer.Option(*names, parser=_path, metavar="<path>", **how)


def path_argument(**how: Any) -> Any:
    """An argument that is a path, as :func:`typer.Argument`."""
    return typer.Argument(parser=_path, **how)


Run = Annotated[Path, path_argument(help="A run's folder, or one of its checkpoints.")]
Data = Annotated[
    list[Path], path_option(help="As for train: a file, a folder, hub:owner/name; or several.")
]
Source = Annotated[
    list[Path] | None,
    path_option(
        help="A file or folder: text, JSON lines, CSV, Parquet; hub:owner/name; or several.",
        show_default=False,
    ),
]
Out = Annotated[
    Path | None, path_option(help="Folder of the run; must be new.", show_default=False)
]
Validation = Annotated[
    Path | None, path_option(help="What to choose by; else a tenth.", show_default=False)
]
Test = Annotated[
    Path | None, path_option(help="What is held out; else a tenth.", show_default=False)
]
Resume = Annotated[Path | None, path_option(help="Go on with this run.", show_default=False)]
From = Annotated[
    Path | None,
    path_option("--from", help="Begin with the model of this run.", show_default=False),
]
Teacher = Annotated[
    list[Path] | None,
    path_option(
        help="A run of this task to learn from too (distillation); again for each.",
        show_default=False,
    ),
]
Changes = Annotated[
    list[str] | None, typer.Option("--set", help="Change a setting: model.cell=gru")
]
Which = Annotated[str, typer.Option(help="Which checkpoint of a run: best or last.")]
Import = Annotated[
    list[str] | None,
    typer.Option(
        "--import", help="A module or .py file that registers cells, tasks, fronts; your code."
    ),
]
Encoding = Annotated[str | None, typer.Option(help="How characters are stored, e.g. latin-1.")]
Given = Annotated[
    list[str] | None, typer.Option(help="A condition of the model, as topic=war; once for each.")
]
NGramName = Annotated[
    str | None,
    typer.Option(help="An n-gram of the run instead: 5-gram, bigram.", show_default=False),
]
Length = Annotated[  # ``limit`` in Python
    int | None,
    typer.Option(
        "--length",
        "--limit",
        help="Largest number of symbols; 500 if not given.",
        show_default=False,
    ),
]
Mix = Annotated[bool, typer.Option("--mix", help="The mixture of the model and an n-gram.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

# Settings that nearly every training wants, as options of their own; `--set` has all others.
OnError = Annotated[
    str | None,
    typer.Option(help="What cannot be read: 'stop', or 'skip' it and count.", show_default=False),
]
Epochs = Annotated[float | None, typer.Option(help="Passes over the data.", show_default=False)]
Rate = Annotated[float | None, typer.Option(help="Learning rate.", show_default=False)]
Hidden = Annotated[int | None, typer.Option(help="Width of the layers.", show_default=False)]
Layers = Annotated[int | None, typer.Option(help="Their number.", show_default=False)]
BatchSize = Annotated[int | None, typer.Option(help="Rows beside each other.", show_default=False)]
Seed = Annotated[int | None, typer.Option(help="Of every draw.", show_default=False)]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1.", show_default=False)]

FalseAlarms = Annotated[
    float | None,
    typer.Option(
        help="Share of usual steps that may be flagged; 0.01 if not given.", show_default=False
    ),
]
