"""The command line: each subcommand parses, calls public functions and prints.

Exit code 2 is wrong use, 1 a failed run, 130 Ctrl-C. A user's mistake is a sentence, never a
traceback. Only what ``--help`` needs is imported here; the rest comes with the command using it.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from recurra.chart_command import chart
from recurra.compare_command import compare
from recurra.console import (
    Commands,
    WithSettings,
    command,
    free,
    friendly,
    import_cells,
    keep_memory,
    one_or_more,
    open_streams,
    option_changes,
    print_json,
    print_table,
    progress,
    say,
    say_warnings,
    with_imports,
    write,
)
from recurra.describe_command import describe
from recurra.errors import SettingError
from recurra.families import DEFAULT, SHIPPED
from recurra.inspect_command import inspect
from recurra.options import (
    BatchSize,
    Changes,
    Data,
    Device,
    Encoding,
    Epochs,
    From,
    Hidden,
    Import,
    Json,
    Layers,
    OnError,
    Out,
    Rate,
    Resume,
    Run,
    Seed,
    Source,
    Teacher,
    Test,
    Validation,
    Which,
    path_argument,
    path_option,
)
from recurra.predict_command import predict
from recurra.text_commands import complete, correct, export_ngram, generate, score

__all__ = ["app", "main"]

# Threads that wait by spinning cost most where other programs take the cores: with a neighbor on
# one of two cores a training ran at 11,600 symbols/s with GNU OpenMP's default, 17,400 with this,
# and 23,900 with none; on quiet cores this is as fast as the default, and none 40 % slower. It must
# be said before torch is loaded, and a user's own choice stands.
if not {"OMP_WAIT_POLICY", "OMP_NUM_THREADS", "GOMP_SPINCOUNT"} & set(os.environ):
    os.environ["GOMP_SPINCOUNT"] = "1000"

TASKS = ", ".join(SHIPPED)

app = typer.Typer(
    cls=Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Recurrent networks: train, evaluate, describe, and write.",
)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"recurra {version('recurra')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Options of the command itself."""


@app.command()
def new(
    recipe: Annotated[str, typer.Argument(help="A recipe of the package.")] = DEFAULT,
    import_: Import = None,
) -> None:
    """Print a commented recipe, to be changed: recurra new TASK > my.toml."""
    with friendly():
        import_cells(import_)
        from recurra.training import recipe_text

        write(recipe_text(recipe))


@app.command(cls=WithSettings)
def train(
    recipe: Annotated[
        str | None, typer.Argument(help=f"{TASKS}; or a TOML file.", show_default=False)
    ] = None,
    data: Source = None,
    out: Out = None,
    validation: Validation = None,
    test: Test = None,
    resume: Resume = None,
    from_: From = None,
    teacher: Teacher = None,
    set_: Changes = None,
    epochs: Epochs = None,
    lr: Rate = None,
    hidden: Hidden = None,
    layers: Layers = None,
    batch: BatchSize = None,
    seed: Seed = None,
    device: Device = None,
    encoding: Encoding = None,
    on_error: OnError = None,
    import_: Import = None,
) -> None:
    """Train a model of a task beside its rivals, or go on with a run."""
    with friendly():
        keep_memory()
        import_cells(import_)
        short = {"epochs": epochs, "lr": lr, "hidden": hidden, "layers": layers, "batch": batch}
        files = {"validation": validation, "test": test}
        taught = [str(place.absolute()) for place in teacher or []]
        teachers = taught[0] if len(taught) == 1 else taught or None
        named = {**short, "seed": seed, "device": device, "teacher": teachers}
        changes = option_changes(set_, named, encoding, files, on_error)
        chosen, folder, source, begun = _planned(recipe, out, resume, from_, changes)
        given = one_or_more("train: --data", data or [], several=chosen.of_task.several) or source
        if given is None:
            raise SettingError(
                "train: --data is missing, a file or a folder of them"
                + ("; this run does not say where its own is" if resume is not None else "")
            )
        done = _trained(chosen, given, folder, begun, resumed=resume is not None)
        if done is None or done.interrupted:
            say(f"Stopped. To go on: {command()} train --resume {folder}{with_imports(import_)}")
            raise typer.Exit(130)
        if done.evaluations:  # a process beside the main one has none
            _say_done(done, chosen.of_task, "held out")
            verb = chosen.of_task.verb
            print(f"{folder} is ready. Try: {command()} {verb} {folder}{with_imports(import_)}")


def _planned(
    recipe: str | None,
    out: Path | None,
    resume: Path | None,
    from_: Path | None,
    changes: list[str],
) -> tuple[Any, Path, Any, Any]:
    """What is trained: a recipe, the run's folder, data it knows, and the model it begins with."""
    from recurra.artifact import load
    from recurra.training import load_recipe, run_source

    if resume is not None:
        if recipe is not None or out is not None:
            raise SettingError("train: --resume goes on with a run; leave recipe and --out out")
        if from_ is not None:
            raise SettingError("train: --resume knows what a run began with; leave --from out")
        chosen, source = run_source(resume, changes)
        return chosen, resume, source, None
    if recipe is None or out is None:
        missing = "a recipe" if recipe is None else "--out"
        raise SettingError(
            f"train: {missing} is missing; for example recurra train {DEFAULT} --data "
            "book.txt --out runs/book; or --resume runs/book"
        )
    begun = None if from_ is None else load(from_)
    return load_recipe(recipe, changes, origin=begun), out, None, begun


def _trained(chosen: Any, given: Any, folder: Path, begun: Any, *, resumed: bool) -> Any:
    """What came of a training, or of going on with it; None if it was stopped beside its steps."""
    from recurra.training import place_of, resume, train

    done = None
    try:
        with progress() as report:
            if resumed:
                done = resume(folder, given, report, recipe=chosen)
            else:
                done = train(chosen, given, folder, report, place=place_of(given), origin=begun)
    except KeyboardInterrupt:  # before the first step, or after the last
        if not (folder / "last").exists():
            raise
    return done


def _say_done(done: Any, task: Any, heading: str) -> None:
    """The table of a training that has ended, what it says of the model, and its picture."""
    print_table(task.table(done.evaluations, heading))
    if done.verdict:
        print(done.verdict)
    _say_where(done.path)


@app.command()
def demo(
    out: Annotated[Path | None, path_option(help="Folder of the run; runs/demo if free.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed, another model.")] = 0,
    symbols: Annotated[
        int | None, typer.Option(help="Symbols to train on; fewer are faster.", show_default=False)
    ] = None,
) -> None:
    """Train for about two minutes on the source of Python's standard library, and write some."""
    with friendly():
        keep_memory()
        from recurra.data import standard_library
        from recurra.pipeline import Writer
        from recurra.training import load_recipe, train

        changes = [f"training.seed={seed}"]
        if symbols is not None:
            changes.append(f"training.symbols={symbols}")
        folder = out or free(Path("runs/demo"))
        print("A recurrent model and n-grams learn the source text of Python's standard library.")
        chosen = load_recipe("demo", changes)
        with progress() as report:
            done = train(chosen, [standard_library()], folder, report)
        if done.interrupted:
            print(f"Stopped. What was learned is kept: {command()} generate {folder}")
            raise typer.Exit(130)
        _say_done(done, chosen.of_task, "held-out source text")
        print("It writes:\n")
        prompt = "    def "
        write(prompt)
        for piece in Writer(folder).write(prompt, limit=400, temperature=0.5, seed=seed):
            write(piece)
        print(f"""

The run is in {folder}. Where to look next:
  {command()} generate {folder} --prompt "class " --temperature 0.5
  {command()} describe {folder}
  {command()} train {DEFAULT} --data YOUR_TEXT.txt --out runs/book""")


@app.command()
def evaluate(
    run: Run,
    data: Data,
    which: Which = "best",
    encoding: Encoding = None,
    on_error: OnError = None,
    pattern: Annotated[str | None, typer.Option(help="Which files of a folder to read.")] = None,
    import_: Import = None,
) -> None:
    """Score a run on other data, beside its rivals."""
    with friendly():
        import_cells(import_)
        from recurra.artifact import task_of
        from recurra.data import is_hub
        from recurra.training import data_of
        from recurra.training import evaluate as compare

        task = task_of(run, which=which)
        given = one_or_more("evaluate: --data", data, several=task.several)
        for path in data if pattern is not None else ():
            if is_hub(path) or path.is_file():
                raise SettingError(
                    f"evaluate: --pattern says which files of a folder to read, and {path} is no "
                    "folder; leave --pattern out"
                )
        how = data_of(run, pattern=pattern, encoding=encoding, on_error=on_error)
        rows = compare(run, given, which=which, data=how, report=say)
        print_table(task.table(rows, ", ".join(map(str, data))))


app.command()(predict)
app.command()(generate)
app.command()(score)
app.command()(complete)
app.command()(correct)


app.command()(describe)


@app.command()
def runs(
    folder: Annotated[Path, path_argument(help="Where they are; folders below it too.")] = Path(),
    json: Json = False,
    import_: Import = None,
) -> None:
    """List the runs of a folder: how far they are, and their scores beside the best other's."""
    with friendly():
        import_cells(import_)
        from recurra.columns import aligned
        from recurra.training import list_runs

        found = list_runs(folder)
        for each in found:
            if json:
                print_json(each.to_json())
        scores = ("validation", "held out", "best other", "metric")
        header = ("run", "task", "cell", "steps", *scores, "date")
        if found and not json:
            print(aligned([header, *(each.cells() for each in found)], right=(3, 4, 5)))
        for each in found:
            if each.error:
                say(f"{each.path}: cannot be read: {each.error}")
        if not found:
            say(f"{folder}: no run here or below.")


app.command()(chart)
app.command()(inspect)
app.command(cls=WithSettings)(compare)
app.command()(export_ngram)


def _say_where(folder: Path) -> None:
    """Where it can be seen how a run learned."""
    if (folder / "curve.svg").exists():
        print(f"How it learned: {folder / 'curve.svg'}")


def main() -> None:
    """Run the command line, with the arguments of the process."""
    open_streams()
    say_warnings()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal may not have every character
        sys.stdout.reconfigure(errors="replace")
    app()
