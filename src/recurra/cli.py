"""The command line: each subcommand parses, calls one public function and prints.

Exit code 2 is wrong use, 1 a failed run, 130 Ctrl-C. A user's mistake is a sentence, never a
traceback. Only what ``--help`` needs is imported here; the rest comes with the command using it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recurra.errors import DataError, RecurraError, SettingError, ShapeError

if TYPE_CHECKING:
    from recurra.training import Evaluation

__all__ = ["app", "main"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Recurrent networks: train, evaluate, describe, and write.",
)

Run = Annotated[Path, typer.Argument(help="A run's folder, or one of its checkpoints.")]
Data = Annotated[Path, typer.Option(help="A text file, or a folder of them.")]
Which = Annotated[str, typer.Option(help="Which checkpoint of a run: best or last.")]
Encoding = Annotated[str | None, typer.Option(help="How characters are stored, e.g. latin-1.")]


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="language-model, or a TOML file.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder of the run; must be new.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change a setting: model.cell=gru")
    ] = None,
    encoding: Encoding = None,
) -> None:
    """Train a model on a text, beside n-grams of the same text."""
    with friendly():
        from recurra.data import read_documents
        from recurra.training import load_recipe, train_language_model

        changes = list(set_ or [])
        if encoding is not None:
            changes.append(f'data.encoding="{encoding}"')
        chosen = load_recipe(recipe, changes)
        documents = read_documents(data, pattern=chosen.data.pattern, encoding=chosen.data.encoding)
        with _progress() as report:
            done = train_language_model(chosen, [d.text for d in documents], out, report)
        if done.interrupted:
            print(f"Stopped. What was learned is kept: recurra generate {out}", file=sys.stderr)
            raise typer.Exit(130)
        _table(done.evaluations, "held-out text")
        print(f"{out} is ready. Try: recurra generate {out}")


@app.command()
def evaluate(
    run: Run,
    data: Data,
    which: Which = "best",
    encoding: Encoding = None,
    pattern: Annotated[str, typer.Option(help="Which files of a folder to read.")] = "*.txt",
) -> None:
    """Score a run on a text: nats and bits per character, perplexity, beside its n-grams."""
    with friendly():
        from recurra.data import read_documents
        from recurra.training import evaluate as score

        documents = read_documents(data, pattern=pattern, encoding=encoding or "utf-8")
        _table(score(run, [d.text for d in documents], which=which), str(data))


@app.command()
def generate(
    run: Run,
    prompt: Annotated[str, typer.Option(help="Text to go on from.")] = "",
    temperature: Annotated[float, typer.Option(help="0 always takes the likeliest.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(help="Draw among the k likeliest only.")] = None,
    length: Annotated[int, typer.Option(help="Largest number of symbols.")] = 500,
    seed: Annotated[int | None, typer.Option(help="The same seed writes the same text.")] = None,
    which: Which = "best",
) -> None:
    """Write on from a prompt; the text appears as it is written."""
    with friendly():
        from recurra.pipeline import Writer

        pieces = Writer(run, which=which).write(
            prompt, limit=length, temperature=temperature, top_k=top_k, seed=seed
        )
        _write(prompt)
        for piece in pieces:
            _write(piece)
        _write("\n")


@app.command()
def describe(run: Run, which: Which = "best") -> None:
    """Show a model's layers, shapes, and parameters with their arithmetic."""
    with friendly():
        from recurra import artifact
        from recurra.description import describe as explain

        loaded = artifact.load(run, which=which)
        print(f"{loaded.kind} in {loaded.path}")
        print(explain(loaded.model))


@contextmanager
def friendly() -> Iterator[None]:
    """Turn what a user can mend into a sentence and an exit code."""
    try:
        yield
    except (SettingError, DataError, ShapeError) as problem:
        _fail(problem, 2)
    except RecurraError as problem:
        _fail(problem, 1)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        raise typer.Exit(130) from None
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        sys.stderr.close()
        raise typer.Exit(0) from None


def _fail(problem: Exception, code: int) -> None:
    print(f"recurra: {problem}", file=sys.stderr)
    raise typer.Exit(code) from None


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _table(evaluations: list[Evaluation], title: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    first = evaluations[0]
    table = Table(title=f"{title}: {first.characters:,} characters", box=box.SIMPLE_HEAD)
    table.add_column("model")
    for name in ("nats/character", "bits/character", "perplexity a symbol"):
        table.add_column(name, justify="right")
    for row in evaluations:
        table.add_row(
            row.name,
            f"{row.nats_per_character:.4f}",
            f"{row.bits_per_character:.4f}",
            f"{row.perplexity:.3f}",
        )
    Console().print(table)
    if first.unknown:
        print(f"{first.unknown:,} characters were unknown to the models, and counted as <unk>.")


@contextmanager
def _progress() -> Iterator[Any]:
    """A bar where a person looks on, and a line now and then where a file does."""
    from recurra.progress import Bar, Lines

    kind = Bar if sys.stderr.isatty() else Lines
    with kind() as show:
        yield show


def main() -> None:
    """Entry point of the ``recurra`` command."""
    app()
