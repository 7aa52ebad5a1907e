"""``recurra describe``; only what ``--help`` needs is imported here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recurra.console import friendly, import_cells, print_json
from recurra.errors import SettingError
from recurra.options import Changes, Import, Json, Which, path_argument, path_option

__all__ = ["describe"]


def describe(
    run: Annotated[
        Path, path_argument(help="A run's folder, one of its checkpoints, or a recipe.")
    ],
    which: Which = "best",
    card: Annotated[
        bool,
        typer.Option("--card", help="Costs, how they grow (measured), and checks; some seconds."),
    ] = False,
    set_: Changes = None,
    steps: Annotated[
        int | None, typer.Option(help="Of --card: steps of a window.", show_default=False)
    ] = None,
    rows: Annotated[
        int | None, typer.Option(help="Of --card: rows beside each other.", show_default=False)
    ] = None,
    unrolled: Annotated[
        Path | None,
        path_option(help="Of --card: draw the graph through time into a file."),
    ] = None,
    json: Json = False,
    import_: Import = None,
) -> None:
    """Show a model's layers and parameters, what it was trained on and how, and its scores."""
    with friendly():
        import_cells(import_)
        from recurra.training import about, card_of, is_recipe

        if not card and not is_recipe(run):
            given = {"steps": steps, "rows": rows, "unrolled": unrolled, "set": set_}
            for name, value in given.items():
                if value is not None:
                    raise SettingError(f"describe: --{name} is of --card; say both")
            told = about(run, which=which)
            print_json(told.to_json()) if json else print(told)
            return
        if unrolled is not None:
            from recurra.diagnosis.charts.chart import check_ending

            check_ending(unrolled)
        found = card_of(run, set_ or (), which=which, steps=steps, rows=rows)
        print_json(found.to_json()) if json else print(found)
        if unrolled is not None:
            path = found.chart(f"{run.name}, unrolled through time").save(unrolled)
            if not json:
                print(path)
