"""What the commands share: how mistakes are said, how results are shown, a user's own modules."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from recurra.errors import (
    DataError,
    FewWarning,
    RecurraError,
    SettingError,
    ShapeError,
    SlowerWarning,
    UnknownWarning,
    meant,
)
from recurra.families import DEFAULT, SHIPPED
from recurra.given import one_path

if TYPE_CHECKING:
    from recurra.data import ComingLines
    from recurra.tasks.base import Table

__all__ = [
    "Commands",
    "WithSettings",
    "arriving",
    "command",
    "fail",
    "free",
    "friendly",
    "import_cells",
    "is_input",
    "keep_memory",
    "one_or_more",
    "only",
    "open_streams",
    "option_changes",
    "print_json",
    "print_table",
    "print_texts",
    "progress",
    "say",
    "say_warnings",
    "source_of",
    "with_imports",
    "write",
]


@contextmanager
def friendly() -> Iterator[None]:
    """Turn what a user can mend into a sentence and an exit code."""
    try:
        yield
        sys.stdout.flush()  # here, where a full disk or a closed pipe is still a sentence
    except (SettingError, DataError, ShapeError) as problem:
        fail(problem, 2)
    except RecurraError as problem:
        fail(problem, 1)
    except KeyboardInterrupt:
        say("\nStopped.")
        raise typer.Exit(130) from None
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        _drop_output()
        raise typer.Exit(0) from None
    except OSError as problem:
        _drop_output()
        fail(f"{problem.filename or 'output'}: {problem.strerror or problem}.", 1)
    except (MemoryError, RuntimeError) as problem:
        said = ("allocate memory", "out of memory", "size calculation overflowed")
        if isinstance(problem, MemoryError) or any(word in str(problem) for word in said):
            fail("out of memory. Smaller: model.hidden_size, training.batch_size or .window.", 1)
        raise


_WRONG_USE: type[Exception] = typer.BadParameter.__mro__[1]  # click's own, wherever typer has it


class Commands(TyperGroup):
    """The commands; of what is an option or another command it is said where it is."""

    def resolve_command(self, context: Any, args: list[str]) -> Any:
        """As typer does."""
        try:
            return super().resolve_command(context, args)
        except _WRONG_USE:
            told = _ELSEWHERE.get(args[0])
            if told is None:
                raise
            fail(f"no command {args[0]!r}; that is: {told}", 2)


_ELSEWHERE = {
    name: told
    for names, told in (
        ("distil distill distillation teach", "recurra train TASK --data X --teacher RUN"),
        ("search tune sweep", "recurra compare TASK --data X --out FOLDER --search 20"),
        ("resume", "recurra train --resume RUN"),
        ("translate transcribe recognize classify tag forecast", "recurra predict RUN"),
    )
    for name in names.split()
}


class WithSettings(TyperCommand):
    """A command that takes settings with ``--set``, and says so of one written as an option."""

    def parse_args(self, context: Any, args: list[str]) -> list[str]:
        """As typer does; the arguments are looked at again where they hold an unknown option."""
        given = list(args)
        try:
            return super().parse_args(context, args)
        except _WRONG_USE as problem:
            name = getattr(problem, "option_name", None)
            if not hasattr(problem, "possibilities") or name is None:
                raise
            written = next(word for word in given if word.startswith(name))
            own = [option.lstrip("-") for each in self.params for option in each.opts]
            task = next((word for word in given if word in SHIPPED), DEFAULT)
            told = _instead(written, given[given.index(written) + 1 :], own, task)
            if not told:
                raise
            fail(f"{self.name}: no option {written.partition('=')[0]}; {told}", 2)


def _instead(written: str, following: list[str], own: list[str], task: str) -> str:
    """What to write for an option that a command does not have; empty if nothing is near."""
    from recurra.training import load_recipe, setting_names

    name, equals, value = written.lstrip("-").partition("=")
    found = meant(name, [*setting_names(task), *own])
    if found is None:
        return ""
    if found in own:
        return f"did you mean --{found}?"
    for each in [value] if equals else [*following[:1], "true"]:
        with suppress(SettingError):
            load_recipe(task, [f"{found}={each}"])
            break
    else:
        each = "..."
    return f"it is a setting: --set {found}={each}"


def import_cells(names: list[str] | None) -> None:
    """Run a user's own modules, so that the cells they register are known."""
    for name in names or ():
        path = Path(name)
        try:
            if path.suffix == ".py":
                if not path.is_file():
                    raise ImportError("there is no such file")
                if path.stem in sys.modules or path.stem in sys.stdlib_module_names:
                    raise ImportError(f"{path.stem!r} is a module already; rename the file")
                spec = importlib.util.spec_from_file_location(path.stem, path)
                assert spec is not None
                assert spec.loader is not None
                module = importlib.util.module_from_spec(spec)
                sys.modules[path.stem] = module
                spec.loader.exec_module(module)
            else:
                if os.getcwd() not in sys.path:
                    sys.path.insert(0, os.getcwd())  # as `python -m` does
                importlib.import_module(name)
        except (Exception, SystemExit) as problem:
            frames = traceback.extract_tb(problem.__traceback__)
            own = [f for f in frames[1:] if not f.filename.startswith("<frozen")]  # the user's
            place = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
            what = "" if isinstance(problem, ImportError) else f"{type(problem).__name__}: "
            raise SettingError(f"--import {name}: {what}{problem}{place}") from None


def keep_memory() -> None:
    """Let the C library keep memory that was freed, where it is glibc's.

    By default it gives blocks of 32 MiB and more back to the system each time, which fills the next
    ones with zeros, page by page. A step of training makes the same large tensors as the one
    before, so that it was a quarter of the time of a model of characters or of words.
    """
    import ctypes

    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        trim_threshold, mmap_threshold, largest = -1, -3, 2**31 - 1
        mallopt(mmap_threshold, largest)
        mallopt(trim_threshold, largest)


def command() -> str:
    """How this command can be called again from here: it may not be on the path."""
    if Path(sys.argv[0]).name == "__main__.py":
        return "python -m recurra"
    return "recurra" if shutil.which("recurra") else os.path.relpath(sys.argv[0])


def with_imports(names: list[str] | None) -> str:
    """The options that import the same modules again."""
    return "".join(f" --import {name}" for name in names or ())


def free(path: Path) -> Path:
    """``path``, or the first of ``path-2``, ``path-3``, ... that is not there."""
    folder, number = path, 1
    while folder.exists():
        number += 1
        folder = path.with_name(f"{path.name}-{number}")
    return folder


def open_streams() -> None:
    """Where a standard stream was closed, open one without content that takes everything.

    All three, in the order of their numbers: each then has its own, and no file of the user's has.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nothing = open(os.devnull, mode, encoding="utf-8", errors="replace")  # noqa: SIM115
            setattr(sys, name, nothing)


def say_warnings() -> None:
    """Let this library's own warnings be lines like any other, without a place in its code."""
    show = warnings.showwarning

    def shown(message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, SlowerWarning | UnknownWarning | FewWarning):
            say(f"recurra: {message}")
        else:
            show(message, category, *place, **more)

    warnings.showwarning = shown


def only(option: str, paths: list[Path] | None) -> Path | None:
    """The path of an option that takes one.

    Raises:
        SettingError: there are several, of which a shell's pattern may be the reason.
    """
    return one_path(option, paths) if paths else None


def is_input(path: str | Path) -> bool:
    """Whether a path stands for standard input."""
    return str(path) == "-"


def source_of(path: str | Path, encoding: str | None, *, nul: bool = False) -> Path | ComingLines:
    """What lines are read from: a file, or standard input for ``-``, whose lines come."""
    from recurra.data import ComingLines

    if not is_input(path):
        return Path(path)
    stream: Any = sys.stdin.buffer
    stream = getattr(stream, "raw", stream)  # beneath a buffer, which waits until it is full
    return ComingLines(stream, "standard input", encoding=encoding or "utf-8", nul=nul)


def arriving(file: str | None, encoding: str | None) -> Iterator[list[str]]:
    """Lines as they come: from a file, or from standard input where there is none or ``-``."""
    from recurra.data import read_blocks

    path = "-" if file is None else file
    if is_input(path) and sys.stdin.isatty():
        say("Each line is answered; Ctrl-D ends.")
    return read_blocks(source_of(path, encoding), encoding=encoding or "utf-8")


def option_changes(
    given: Sequence[str] | None,
    short: Mapping[str, Any],
    encoding: str | None,
    files: Mapping[str, Path | None],
    on_error: str | None = None,
) -> list[str]:
    """All options that are settings, as changes of a recipe.

    Args:
        given: what ``--set`` says.
        short: options with a name of their own, by that name.
        encoding: of the data.
        files: parts with files of their own.
        on_error: what becomes of examples that cannot be read.
    """
    from recurra.training import short_changes

    told = {"encoding": encoding, "on_error": on_error}
    told |= {name: None if path is None else str(path.absolute()) for name, path in files.items()}
    more = [f"data.{n}={json.dumps(value)}" for n, value in told.items() if value is not None]
    return short_changes(short, [*(given or ()), *more])


def one_or_more(option: str, paths: list[Path], *, several: bool) -> Path | list[Path] | None:
    """The path of an option, or all of them where a task takes several.

    Raises:
        SettingError: there are several, and the task takes one.
    """
    return paths if several and len(paths) > 1 else only(option, paths)


def _drop_output() -> None:
    from recurra.progress import drop

    drop(sys.stdout)


def fail(problem: Exception | str, code: int) -> NoReturn:
    """Say what is wrong, and end."""
    say(f"recurra: {problem}")
    raise typer.Exit(code) from None


def say(text: str) -> None:
    """A line on standard error, beside the results."""
    from recurra.progress import tell  # `--help` does without

    tell(text)


def write(text: str) -> None:
    """Show text at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def print_json(row: dict[str, Any]) -> None:
    """One JSON object in a line; what the output cannot encode is escaped as JSON does it."""
    import json

    text = json.dumps(row, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # also of half a character, which no encoding has
        text = json.dumps(row)
    print(text)


def print_texts(texts: list[str], told: list[str], *, several: bool) -> None:
    """Whole texts, each under a heading where there may be several."""
    for number, (text, words) in enumerate(zip(texts, told, strict=True), 1):
        if several:
            print(f"--- {number} {words}".rstrip())
        print(text)


def print_table(scores: Table) -> None:
    """Scores of models on the same data, side by side."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as Drawn
    from rich.text import Text

    # Flushed, so that a closed pipe is met here: rich would leave with an exit code of its own.
    print(scores.title, flush=True)
    table = Drawn(box=box.SIMPLE_HEAD)
    for number, name in enumerate(scores.header):
        widest = max((len(row[number]) for row in scores.rows), default=0) if number else None
        table.add_column(name, justify="right" if number else "left", min_width=widest)
    for row in scores.rows:
        table.add_row(*map(Text, row))  # not str, in which rich would read [x] as markup
    console = Console()
    console.width = max(console.width, 72)  # no number is cut in a narrower window
    with console.capture() as drawn:
        console.print(table)
    print(drawn.get(), end="")
    for note in scores.notes:
        print(note)


@contextmanager
def progress() -> Iterator[Any]:
    """A bar where a person looks on, and a line now and then where a file does."""
    from recurra.progress import Bar, Lines

    kind = Bar if sys.stderr.isatty() else Lines
    with kind() as show:
        yield show
