"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Data", "Encoding", "Given", "Import", "Json", "Mix", "NGramName", "Run", "Which"]

Run = Annotated[Path, typer.Argument(help="A run's folder, or one of its checkpoints.")]
Data = Annotated[
    list[Path], typer.Option(help="As for train: a file, a folder, or hub:owner/name.")
]
Which = Annotated[str, typer.Option(help="Which checkpoint of a run: best or last.")]
Import = Annotated[
    list[str] | None,
    typer.Option("--import", help="A module or .py file whose cells are registered; your code."),
]
Encoding = Annotated[str | None, typer.Option(help="How characters are stored, e.g. latin-1.")]
Given = Annotated[
    list[str] | None, typer.Option(help="A condition of the model, as topic=war; once for each.")
]
NGramName = Annotated[
    str | None,
    typer.Option(help="An n-gram of the run instead: 5-gram, bigram.", show_default=False),
]
Mix = Annotated[bool, typer.Option("--mix", help="The mixture of the model and an n-gram.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
