"""The command ``compare``: variants with several seeds, a search, or runs side by side."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from recurra.console import (
    friendly,
    import_cells,
    one_or_more,
    option_changes,
    print_json,
    say,
)
from recurra.errors import SettingError
from recurra.options import (
    BatchSize,
    Changes,
    Device,
    Encoding,
    Epochs,
    Hidden,
    Import,
    Json,
    Layers,
    Rate,
    Seed,
    Source,
    Test,
    Validation,
    Which,
    path_option,
)

__all__ = ["compare"]


What = Annotated[
    list[str],
    typer.Argument(help="A task or recipe; a folder of a comparison; or two to six runs."),
]
Folder = Annotated[
    Path | None,
    path_option(
        help="Folder of the comparison; or the page, .html, of runs or of such a folder.",
        show_default=False,
    ),
]
Pictures = Annotated[
    Path | None,
    path_option(help="A folder for the page's pictures, as SVG and PNG.", show_default=False),
]
Vary = Annotated[list[str] | None, typer.Option(help="A setting's values: model.cell=lstm,gru")]
Rival = Annotated[list[str] | None, typer.Option(help="One more variant, with this model.body.")]
Seeds = Annotated[
    int | None, typer.Option(min=1, help="Runs of each variant; 1.", show_default=False)
]
Search = Annotated[int | None, typer.Option(min=1, help="Look for settings, in so many trials.")]
Where = Annotated[
    list[str] | None,
    typer.Option(help="Where: model.hidden_size=32..512:log or model.cell=lstm,gru"),
]
Jobs = Annotated[
    int | None, typer.Option(min=1, help="Runs at a time; all cores.", show_default=False)
]


def compare(
    what: What,
    data: Source = None,
    out: Folder = None,
    vary: Vary = None,
    rival: Rival = None,
    seeds: Seeds = None,
    search: Search = None,
    space: Where = None,
    jobs: Jobs = None,
    validation: Validation = None,
    test: Test = None,
    set_: Changes = None,
    epochs: Epochs = None,
    lr: Rate = None,
    hidden: Hidden = None,
    layers: Layers = None,
    batch: BatchSize = None,
    seed: Seed = None,
    device: Device = None,
    encoding: Encoding = None,
    pictures: Pictures = None,
    which: Which = "best",
    json: Json = False,
    import_: Import = None,
) -> None:
    """Compare variants of a model, search the best settings, or show runs side by side."""
    options = dict(locals())
    with friendly():
        import_cells(import_)
        page = pictures is not None or (out is not None and out.suffix == ".html")
        shown = page or len(what) > 1
        if shown and out is not None and out.suffix != ".html":
            raise SettingError(f"--out: expected the name of a page that ends in .html, got {out}")
        if shown or (data is None and out is None and _is_study(what[0])):
            _no_training(options)
        if page or len(what) > 2:
            _side_by_side(what, data, out, pictures, which, json)
            return
        if shown:
            _pair(what, data, which, json)
            return
        given = (data, out, vary, rival, search)
        if not any(given) and _is_folder(what[0]):
            _again(Path(what[0]), json)
            return
        if search is None and space:
            raise SettingError("compare: --space belongs to --search N, how many trials")
        if search is not None and (vary or rival or seeds is not None):
            raise SettingError("compare: --search chooses itself; leave --vary, --rival, --seeds")
        short = {"epochs": epochs, "lr": lr, "hidden": hidden, "layers": layers, "batch": batch}
        files = {"validation": validation, "test": test}
        changes = option_changes(set_, short | {"seed": seed, "device": device}, encoding, files)
        if not _is_recipe(what[0]) and _is_folder(what[0]):
            raise SettingError(
                "compare: expected a task or a recipe beside such options, got the folder "
                f"{what[0]}; alone it is shown again"
            )
        recipe, source, folder = _begun(what[0], changes, data, out)
        how = {"jobs": jobs, "imports": _modules(import_), "shown": _board, "name": what[0]}
        if search is not None:
            _search(recipe, source, folder, search, space, json, how)
        else:
            _vary(recipe, source, folder, vary or [], rival or [], seeds or 1, json, how, changes)


def _begun(
    what: str, changes: list[str], data: list[Path] | None, out: Path | None
) -> tuple[Any, Any, Path]:
    """Recipe, data and folder."""
    from recurra.training import load_recipe

    recipe = load_recipe(what, changes)
    if data is None or out is None:
        missing = "--data" if data is None else "--out"
        raise SettingError(
            f"compare: {missing} is missing; for example recurra compare {what} --data "
            "texts.csv --out runs/study --vary model.cell=lstm,gru --seeds 3"
        )
    return recipe, one_or_more("compare: --data", data, several=recipe.of_task.several), out


def _vary(
    recipe: Any,
    source: Any,
    out: Path,
    vary: list[str],
    rivals: list[str],
    seeds: int,
    json: bool,
    how: dict[str, Any],
    changes: list[str],
) -> None:
    from recurra.comparison import compare_variants, parsed_vary

    values = parsed_vary(vary)
    for change in changes:
        name = change.partition("=")[0].strip()
        if name in values:
            raise SettingError(f"compare: {name} is set and varied; leave one out")
    found = compare_variants(recipe, source, out, vary=values, rivals=rivals, seeds=seeds, **how)
    _show(found, json)
    if (out / "compare.svg").exists():
        say(f"Quality by size and time: {out / 'compare.svg'}")
    _end(found.interrupted, bool(found.failed))


def _search(
    recipe: Any,
    source: Any,
    out: Path,
    trials: int,
    space: list[str] | None,
    json: bool,
    how: dict[str, Any],
) -> None:
    from recurra.comparison import default_space, parsed_space, search_settings

    where = parsed_space(space) if space else default_space(recipe)
    found = search_settings(recipe, source, out, trials=trials, space=where, **how)
    _show(found, json)
    if not json and found.ranked:
        print(found.recipe.read_text("utf-8"), end="")
    _end(found.interrupted, not found.ranked)


def _again(folder: Path, json: bool) -> None:
    """What a comparison or a search of before came to."""
    from recurra.comparison import read_comparison, read_search

    search = (folder / "search.json").is_file()
    _show(read_search(folder) if search else read_comparison(folder), json)


def _side_by_side(
    what: list[str],
    data: list[Path] | None,
    out: Path | None,
    pictures: Path | None,
    which: str,
    json: bool,
) -> None:
    """Runs, or those of a comparison of before, on one page."""
    from recurra.comparison import side_by_side

    if out is not None and (out.is_dir() or not out.absolute().parent.is_dir()):
        raise SettingError(f"--out: expected a file in a folder that is there, got {out}")
    if pictures is not None and pictures.exists() and not pictures.is_dir():
        raise SettingError(f"--pictures: expected a folder, got the file {pictures}")
    source = one_or_more("compare: --data", data or [], several=True)
    found = side_by_side(what[0] if len(what) == 1 else what, source, which=which, report=say)
    drawn = found.save_pictures(pictures) if pictures is not None else []
    _show(found, json)
    if out is not None:
        say(f"The page: {found.save(out)}")
    if drawn:
        say(f"{len(drawn)} pictures in {pictures}")


def _pair(what: list[str], data: list[Path] | None, which: str, json: bool) -> None:
    from recurra.comparison import compare_pair

    source = one_or_more("compare: --data", data or [], several=True)
    _show(compare_pair(what[0], what[1], source, which=which), json)


_OF_RUNS = {"what", "data", "out", "pictures", "which", "json", "import_"}


def _no_training(options: Mapping[str, Any]) -> None:
    """Refuse what says how something is trained, of what is there already."""
    named = [
        f"--{name.rstrip('_')}"
        for name, value in options.items()
        if name not in _OF_RUNS and value not in (None, [])
    ]
    if named:
        raise SettingError(
            f"compare: {', '.join(named)}: what is shown is there already, and nothing is trained. "
            "Leave it out; or compare first: recurra compare TASK --data FILE --out FOLDER with "
            "such options, then recurra compare FOLDER --out page.html"
        )


def _is_recipe(name: str) -> bool:
    """Whether a name is that of a recipe or a task, whatever folder may be called so."""
    from recurra.tasks import task_names
    from recurra.training import recipe_names

    return name in {*recipe_names(), *task_names()}


def _is_study(name: str) -> bool:
    """A folder that keeps a comparison or a search."""
    return any((Path(name) / file).is_file() for file in ("compare.json", "search.json"))


def _is_folder(name: str) -> bool:
    """A folder of a comparison; a run alone has nothing to be compared with."""
    folder = Path(name)
    if (folder / "recipe.json").is_file():
        raise SettingError(f"compare: {name} is a run; give a second one to compare it with")
    return folder.is_dir()


class _Told(Protocol):
    """What came of any comparison: it is printed, or told in JSON."""

    def to_json(self) -> dict[str, Any]: ...


def _show(found: _Told, json: bool) -> None:
    print_json(found.to_json()) if json else print(found)  # as wide as it is: no cell is broken


def _end(interrupted: bool, failed: bool) -> None:
    if interrupted:
        say("Stopped. To go on: the same command again.")
        raise typer.Exit(130)
    if failed:
        raise typer.Exit(1)


def _modules(names: list[str] | None) -> list[str]:
    """What --import names, as another process finds it."""
    return [str(Path(name).absolute()) if name.endswith(".py") else name for name in names or ()]


def _board(total: int, done: int, jobs: int) -> Any:
    from recurra.comparison.display import Bars, Lines

    kind = Bars if sys.stderr.isatty() else Lines
    return kind(total, done, jobs)
