"""The command line: each subcommand parses, calls public functions and prints.

Exit code 2 is wrong use, 1 a failed run, 130 Ctrl-C. A user's mistake is a sentence, never a
traceback. Only what ``--help`` needs is imported here; the rest comes with the command using it.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recurra.console import (
    command,
    free,
    friendly,
    import_cells,
    keep_memory,
    only,
    open_streams,
    print_json,
    print_table,
    print_texts,
    progress,
    say,
    with_imports,
    write,
)
from recurra.errors import SettingError
from recurra.families import DEFAULT, SHIPPED

if TYPE_CHECKING:
    from recurra.pipeline import ClozeAnswer

__all__ = ["app", "main"]

# Threads that wait by spinning cost most where other programs take the cores: with a neighbor on
# one of two cores a training ran at 11,600 symbols/s with GNU OpenMP's default, 17,400 with this,
# and 23,900 with none; on quiet cores this is as fast as the default, and none 40 % slower. It must
# be said before torch is loaded, and a user's own choice stands.
if not {"OMP_WAIT_POLICY", "OMP_NUM_THREADS", "GOMP_SPINCOUNT"} & set(os.environ):
    os.environ["GOMP_SPINCOUNT"] = "1000"

TASKS = ", ".join(SHIPPED)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Recurrent networks: train, evaluate, describe, and write.",
)

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
    recipe: Annotated[str, typer.Argument(help="A recipe of the package.")],
) -> None:
    """Print a commented recipe, to be changed: recurra new TASK > my.toml."""
    with friendly():
        from recurra.training import recipe_text

        write(recipe_text(recipe))


@app.command()
def train(
    recipe: Annotated[
        str | None, typer.Argument(help=f"{TASKS}; or a TOML file.", show_default=False)
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="A file or folder: text, JSON lines, CSV, Parquet; or hub:owner/name.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; must be new.", show_default=False)
    ] = None,
    validation: Annotated[
        Path | None, typer.Option(help="What to choose by; else a tenth.", show_default=False)
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="What is held out; else a tenth.", show_default=False)
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with this run.", show_default=False)
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change a setting: model.cell=gru")
    ] = None,
    encoding: Encoding = None,
    import_: Import = None,
) -> None:
    """Train a model of a task beside its rivals, or go on with a run."""
    with friendly():
        given = only("train: --data", data)
        keep_memory()
        import_cells(import_)
        from recurra.data import is_hub
        from recurra.training import load_recipe, run_source
        from recurra.training import resume as go_on
        from recurra.training import train as begin

        changes = list(set_ or [])
        if encoding is not None:
            changes.append(f'data.encoding="{encoding}"')
        for name, path in (("validation", validation), ("test", test)):
            if path is not None:
                changes.append(f"data.{name}={json.dumps(str(path.absolute()))}")
        if resume is not None:
            if recipe is not None or out is not None:
                raise SettingError("train: --resume goes on with a run; leave recipe and --out out")
            chosen, source = run_source(resume, changes)
            given = given or source
        elif recipe is None or out is None:
            missing = "a recipe" if recipe is None else "--out"
            raise SettingError(
                f"train: {missing} is missing; for example recurra train {DEFAULT} --data "
                "book.txt --out runs/book; or --resume runs/book"
            )
        else:
            chosen = load_recipe(recipe, changes)
        if given is None:
            raise SettingError(
                "train: --data is missing, a file or a folder of them"
                + ("; this run does not say where its own is" if resume is not None else "")
            )
        folder = resume or out
        assert folder is not None
        done = None
        try:
            with progress() as report:
                if resume is not None:
                    done = go_on(folder, given, report, recipe=chosen)
                else:
                    place = str(given if is_hub(given) else given.absolute())
                    done = begin(chosen, given, folder, report, place=place)
        except KeyboardInterrupt:  # before the first step, or after the last
            if not (folder / "last").exists():
                raise
        if done is None or done.interrupted:
            say(f"Stopped. To go on: {command()} train --resume {folder}{with_imports(import_)}")
            raise typer.Exit(130)
        if not done.evaluations:  # a process beside the main one
            return
        task = chosen.of_task
        print_table(task.table(done.evaluations, "held out"))
        print(done.verdict)
        print(f"{folder} is ready. Try: {command()} {task.verb} {folder}{with_imports(import_)}")


@app.command()
def demo(
    out: Annotated[Path | None, typer.Option(help="Folder of the run; runs/demo if free.")] = None,
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
        print_table(chosen.of_task.table(done.evaluations, "held-out source text"))
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
    pattern: Annotated[str | None, typer.Option(help="Which files of a folder to read.")] = None,
    import_: Import = None,
) -> None:
    """Score a run on other data, beside its rivals."""
    with friendly():
        import_cells(import_)
        from recurra.data import is_hub

        given = only("evaluate: --data", data)
        assert given is not None
        if pattern is not None and (is_hub(given) or given.is_file()):
            raise SettingError(
                f"evaluate: --pattern says which files of a folder to read, and {given} is no "
                "folder; leave --pattern out"
            )
        from recurra.artifact import load
        from recurra.training import data_of
        from recurra.training import evaluate as score

        data = data_of(run, pattern=pattern, encoding=encoding)
        rows = score(run, given, which=which, data=data, report=say)
        print_table(load(run, which=which).task.table(rows, str(given)))


@app.command()
def generate(
    run: Run,
    prompt: Annotated[str, typer.Option(help="Text to go on from.")] = "",
    temperature: Annotated[
        float | None,
        typer.Option(help="0 always takes the likeliest; 1 if not given.", show_default=False),
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw among the k likeliest only.")] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Draw among the likeliest that reach this share together.")
    ] = None,
    beam: Annotated[
        int | None, typer.Option(help="Search the likeliest text, following so many at once.")
    ] = None,
    length_penalty: Annotated[
        float | None, typer.Option(help="With --beam: the larger, the longer the texts.")
    ] = None,
    count: Annotated[int, typer.Option(help="Number of texts.")] = 1,
    length: Annotated[int, typer.Option(help="Largest number of symbols.")] = 500,
    seed: Annotated[int | None, typer.Option(help="The same seed writes the same text.")] = None,
    given: Given = None,
    model: NGramName = None,
    mix: Mix = False,
    which: Which = "best",
    import_: Import = None,
) -> None:
    """Write on from a prompt; one text appears as it is written, several or --beam at the end."""
    with friendly():
        import_cells(import_)
        draws = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
        drawn = [name for name, value in draws.items() if value is not None]
        if beam is not None and drawn:
            raise SettingError(
                f"generate: --beam searches and draws nothing; leave --{drawn[0].replace('_', '-')}"
                " out, or --beam"
            )
        if beam is None and length_penalty is not None:
            raise SettingError("generate: --length-penalty is of --beam, which is not given")
        if count < 1:
            raise SettingError(f"generate: expected a --count of at least 1, got {count}")
        if length < (least := int(beam is not None)):  # a search looks for an end
            raise SettingError(f"generate: expected a --length of at least {least}, got {length}")
        from recurra.pipeline import Writer, given_conditions, open_text_model

        writer = Writer(open_text_model(run, which=which, model=model, mix=mix))
        options: dict[str, Any] = {"limit": length, "given": given_conditions(given or ())}
        options |= {name: draws[name] for name in drawn}
        if beam is not None:
            found = writer.search(
                prompt, width=beam, count=count, length_penalty=length_penalty or 0.0, **options
            )
            told = [
                f"log-probability {text.log_prob:.4f}{'' if text.finished else ', cut off'}"
                for text in found
            ]
            print_texts([prompt + text.text for text in found], told, several=count > 1)
        elif count > 1:
            texts = writer.write_several(prompt, count, **options)
            print_texts([prompt + text for text in texts], [""] * count, several=True)
        else:
            pieces = writer.write(prompt, **options)
            write(prompt)
            for piece in pieces:
                write(piece)
            write("\n")


@app.command()
def score(
    run: Run,
    file: Annotated[
        list[Path] | None, typer.Option(help="Score each line of a file.", show_default=False)
    ] = None,
    text: Annotated[str | None, typer.Option(help="Score one line.", show_default=False)] = None,
    choices: Annotated[
        Path | None,
        typer.Option(help="Fill gaps: JSON lines with text, choices, answer.", show_default=False),
    ] = None,
    rank: Annotated[bool, typer.Option("--rank", help="The likeliest line first.")] = False,
    no_end: Annotated[bool, typer.Option("--no-end", help="The end does not count.")] = False,
    json: Json = False,
    given: Given = None,
    model: NGramName = None,
    mix: Mix = False,
    which: Which = "best",
    encoding: Encoding = None,
    import_: Import = None,
) -> None:
    """Log-probability of each line; or which of some words fits a gap."""
    with friendly():
        import_cells(import_)
        path = only("score: --file", file)
        if sum(source is not None for source in (path, text, choices)) != 1:
            raise SettingError("score: expected one of --file, --text and --choices")
        if choices is not None and rank:
            raise SettingError("score: --rank is of --file and --text")
        from recurra.pipeline import (
            answer_cloze,
            given_conditions,
            open_text_model,
            read_cloze,
        )

        opened = open_text_model(run, which=which, model=model, mix=mix)
        conditions = given_conditions(given or ())
        if choices is not None:
            questions = read_cloze(choices, encoding=encoding or "utf-8")
            answers = answer_cloze(opened, questions, end=not no_end, given=conditions)
            _print_answers(answers, json=json)
            return
        from recurra.data import read_lines
        from recurra.pipeline import FilledLines, rank_lines, score_lines

        # Bytes know a NUL byte like any other.
        nul = opened.vocabulary.kind == "bytes"
        source: Iterable[str] = [text or ""]
        if path is not None:
            source = read_lines(path, encoding=encoding or "utf-8", nul=nul)
        lines = FilledLines(source, str(path or "--text"))
        scores = score_lines(opened, lines, end=not no_end, given=conditions)
        unknown = 0
        for number, each in enumerate(rank_lines(scores) if rank else scores):
            unknown += each.unknown
            if json:
                print_json(each.to_json())
                continue
            if number == 0:
                print("log-probability  symbols  nats/symbol  line")
            numbers = f"{each.log_prob:15.4f}  {each.symbols:7}  {each.nats_per_symbol:11.4f}"
            print(f"{numbers}  {each.text}")
        if lines.blank:
            say(f"skipped blank lines: {lines.blank:,}")
        if unknown:
            say(f"unknown symbols, counted as <unk>: {unknown:,}")


@app.command()
def complete(
    run: Run,
    prompt: Annotated[str, typer.Option(help="What was typed so far.")] = "",
    count: Annotated[int, typer.Option(help="Number of suggestions.")] = 3,
    length: Annotated[int, typer.Option(help="Largest number of symbols of a line.")] = 100,
    json: Json = False,
    given: Given = None,
    model: NGramName = None,
    mix: Mix = False,
    which: Which = "best",
    import_: Import = None,
) -> None:
    """Predictive typing: what the word and the line may become, with probabilities."""
    with friendly():
        import_cells(import_)
        if length < 1:
            raise SettingError(f"complete: expected a --length of at least 1, got {length}")
        from recurra.pipeline import PredictiveText, given_conditions, open_text_model

        opened = open_text_model(run, which=which, model=model, mix=mix)
        entry = PredictiveText(opened, given=given_conditions(given or ()))
        entry.type_known(prompt)
        found = {
            "words": entry.suggestions(count),
            "lines": entry.lines(count, limit=length),
        }
        if json:
            print_json(
                {"prompt": prompt}
                | {kind: [vars(each) for each in rows] for kind, rows in found.items()}
            )
            return
        for kind, rows in found.items():
            print(kind if rows else f"{kind}: none")
            for each in rows:
                print(f"{each.probability:12.4g}  {each.text}{'' if each.finished else ' ...'}")


@app.command()
def export_ngram(
    run: Run,
    out: Annotated[Path, typer.Option(help="The file to write.")],
    model: Annotated[str, typer.Option(help="Which n-gram of the run.")] = "5-gram",
) -> None:
    """Write an n-gram of a run as an ARPA file, for other toolkits."""
    with friendly():
        from recurra.pipeline import export_ngram as export

        export(run, out, model=model)


@app.command()
def describe(run: Run, which: Which = "best", import_: Import = None) -> None:
    """Show a model's layers, shapes, and parameters with their arithmetic."""
    with friendly():
        import_cells(import_)
        from recurra import artifact
        from recurra.description import describe as explain

        loaded = artifact.load(run, which=which)
        print(f"{loaded.kind} in {loaded.path}")
        print(explain(loaded.model))


def _print_answers(answers: Iterable[ClozeAnswer], *, json: bool) -> None:
    right = asked = unknown = tied = 0
    for each in answers:
        if each.correct is not None:
            right, asked, tied = right + each.correct, asked + 1, tied + each.tied
        unknown += sum(each.unknown)
        if json:
            print_json(each.to_json())
        else:
            mark = {None: "", True: "right  ", False: "wrong  "}[each.correct]
            pairs = zip(each.cloze.choices, each.posterior, strict=True)
            shares = ", ".join(f"{choice} {share:.4f}" for choice, share in pairs)
            print(f"{'tied   ' if each.tied else mark}{each.choice}  ({shares})  {each.cloze.text}")
    if asked:
        told = f"accuracy: {right / asked:.4f} ({right} of {asked})"
        say(told) if json else print(told)
    if tied:
        say(f"ties, counted as wrong: {tied:,}")
    if unknown:
        say(f"unknown symbols, counted as <unk>: {unknown:,}")


def main() -> None:
    """Run the command line, with the arguments of the process."""
    open_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal may not have every character
        sys.stdout.reconfigure(errors="replace")
    app()
