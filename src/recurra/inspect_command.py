"""``recurra inspect``; only what ``--help`` needs is imported here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from recurra.console import friendly, import_cells, print_json, say
from recurra.options import Import, Json, Which, path_argument, path_option

__all__ = ["inspect"]


def inspect(
    run: Annotated[Path, path_argument(help="A run's folder, or one of its checkpoints.")],
    data: Annotated[
        Path | None,
        path_option(
            help="What the model reads; the data of its training if not given.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        path_option(
            help="The page, .html; report.html in the run if not given.", show_default=False
        ),
    ] = None,
    pictures: Annotated[
        Path | None,
        path_option(help="A folder for its pictures, as SVG and PNG.", show_default=False),
    ] = None,
    which: Which = "best",
    json: Json = False,
    import_: Import = None,
) -> None:
    """Look inside a model: what is wrong with it, in words and on one page."""
    with friendly():
        import_cells(import_)
        from recurra.errors import SettingError
        from recurra.inspection import inspect as look

        page = out or run / "report.html"
        if page.suffix != ".html":
            raise SettingError(f"--out: expected a name that ends in .html, got {page}")
        if page.is_dir() or not page.absolute().parent.is_dir():
            raise SettingError(f"--out: expected a file in a folder that is there, got {page}")
        if pictures is not None and pictures.exists() and not pictures.is_dir():
            raise SettingError(f"--pictures: expected a folder, got the file {pictures}")
        report = look(run, data, which=which, report=say)
        report.save(page)
        drawn = report.save_pictures(pictures) if pictures is not None else []
        print_json(report.to_json()) if json else print(report)
        say(f"The page: {page}" + (f"; {len(drawn)} pictures in {pictures}" if drawn else ""))
