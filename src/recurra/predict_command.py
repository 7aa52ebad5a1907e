"""``recurra predict``; only what ``--help`` needs is imported here."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from recurra.console import arriving, friendly, import_cells, is_input, print_json, say
from recurra.errors import DataError, SettingError
from recurra.options import (
    Encoding,
    FalseAlarms,
    Import,
    Json,
    Run,
    Which,
    path_argument,
    path_option,
)
from recurra.surprise_commands import print_surprises, surprising

__all__ = ["predict"]

_DRAWN = 20  # inputs in a picture


def predict(
    run: Run,
    file: Annotated[
        Path | None, path_argument(help="Lines, or series; standard input if - or left out.")
    ] = None,
    data: Annotated[Path | None, path_option(help="The same as FILE.", show_default=False)] = None,
    text: Annotated[
        list[str] | None, typer.Option(help="A line; may be repeated.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        path_option(
            help="A file for the answers: .txt, .tsv, .jsonl; of forecasts .csv, .tsv, .parquet.",
            show_default=False,
        ),
    ] = None,
    future: Annotated[
        Path | None,
        path_option(help="Of a forecaster: a table with what is known ahead.", show_default=False),
    ] = None,
    level: Annotated[
        list[float] | None,
        typer.Option(
            help="Of a forecaster: intervals, in percent; 80 if not given; may be repeated.",
            show_default=False,
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            "--top", "--n-best", min=1, help="Alternatives, the best first.", show_default=False
        ),
    ] = None,
    attention: Annotated[
        Path | None,
        path_option(
            help="A picture (.html, .svg, .png) of where the model looked, beside its answers.",
            show_default=False,
        ),
    ] = None,
    surprise: Annotated[
        bool,
        typer.Option("--surprise", help="How surprising each step or symbol is, in nats."),
    ] = False,
    false_alarms: FalseAlarms = None,
    json: Json = False,
    which: Which = "best",
    encoding: Encoding = None,
    import_: Import = None,
) -> None:
    """Answer each line or series: with a label, what comes next, or what the task says.

    A forecaster without a file goes on from what it was trained on.
    """
    with friendly():
        import_cells(import_)
        file = _file(file, data, text)
        from recurra.doors import load

        answer = load(run, which=which)
        more = _more(answer, {"future": future, "level": level or None})
        _check(surprise, top, false_alarms, out, json, attention, more)
        if top is not None and "keep" in answer.takes:
            more["keep"] = top
        if surprise:
            found = surprising(_given(answer, text, file, encoding), answer, false_alarms)
            print_surprises(found, json=json)
            return
        if out is not None:
            _check_apart(out, file)
            _write(answer, out, _whole(answer, text, file, encoding), more, top)
            return
        goes_on = answer.goes_on and not text and file is None
        blocks: Iterable[Any] = [None] if goes_on else _given(answer, text, file, encoding)
        if attention is not None:
            _check_looks(answer, attention)
            blocks = [[each for block in blocks for each in block]]
        if top is not None and not json and answer.beside:
            say(f"Behind each answer: {answer.beside}.")
        first = _print(answer, blocks, more, top, json)
        if attention is not None and first:
            _draw(answer, zip(*blocks, first, strict=False), attention)


def _print(
    answer: Any, blocks: Iterable[Any], more: dict[str, Any], top: int | None, json: bool
) -> list[Any]:
    """Every answer as it comes; the first of them are given back, to be drawn."""
    first: list[Any] = []
    for block in blocks:
        for each in answer.predict(block, **more):
            print_json(answer.to_json(each, top)) if json else print(answer.show(each, top))
            first += [each] if len(first) < _DRAWN else []
        sys.stdout.flush()  # whoever waits for an answer before the next line gets it
    return first


def _check_looks(answer: Any, out: Path) -> None:
    """Refuse to draw where nobody looked, or into no picture, before anything is searched."""
    from recurra.diagnosis.charts.chart import check_ending

    check_ending(out)
    if not getattr(answer, "looks", False):
        raise SettingError(
            f"predict: this {answer.kind} model looks at nothing; leave --attention out"
        )


def _draw(answer: Any, said: Iterable[tuple[Any, Any]], out: Path) -> None:
    """Draw where a decoder looked when it said these answers to some inputs."""
    from recurra.diagnosis import attention

    print(attention([answer.looked(*each) for each in said]).save(out), file=sys.stderr)


def _file(file: Path | None, data: Path | None, text: list[str] | None) -> Path | None:
    """The one file that is read.

    Raises:
        SettingError: several are, or one and lines.
    """
    named = (("FILE", file), ("--data", data), ("--text", text or None))
    given = [name for name, value in named if value is not None]
    if len(given) > 1:
        raise SettingError(f"predict: expected a file or --text, got {' and '.join(given)}")
    return file if data is None else data


def _check_apart(out: Path, file: Path | None) -> None:
    """Refuse to write over what is read."""
    if file is not None and out.exists() and file.exists() and out.samefile(file):
        raise SettingError(f"predict: --out {out} is what is read; give another name")


def _more(answer: Any, options: dict[str, Any]) -> dict[str, Any]:
    """What only some tasks take beside inputs.

    Raises:
        SettingError: this one does not.
    """
    more = {name: value for name, value in options.items() if value is not None}
    for name in more:
        if name not in answer.takes:
            raise SettingError(f"predict: a {answer.kind} model takes no --{name}; leave it out")
    return more


def _check(
    surprise: bool,
    top: int | None,
    false_alarms: float | None,
    out: Path | None,
    json: bool,
    attention: Path | None,
    more: dict[str, Any],
) -> None:
    """Options that exclude each other."""
    if surprise and top is not None:
        raise SettingError("predict: --surprise ranks no alternatives; leave --top out")
    if surprise and out is not None:
        raise SettingError("predict: --surprise is printed; leave --out out, and write > FILE")
    if surprise and more:
        raise SettingError(f"predict: --{next(iter(more))} is of forecasts; leave --surprise out")
    if false_alarms is not None and not surprise:
        raise SettingError("predict: --false-alarms is of --surprise; say both")
    if json and out is not None:
        raise SettingError("predict: the name of --out says what is written; leave --json out")
    if attention is not None and (surprise or out is not None):
        raise SettingError("predict: --attention stands beside answers that are printed alone")


def _write(answer: Any, out: Path, inputs: Any, more: dict[str, Any], top: int | None) -> None:
    """Every answer in a file, and its name."""
    if not out.absolute().parent.is_dir():
        raise SettingError(f"predict: --out: there is no folder {out.parent}; make it first")
    answer.write(answer.predict(inputs, **more), out, inputs, top)
    print(out)


def _whole(answer: Any, text: list[str] | None, file: Path | None, encoding: str | None) -> Any:
    """All inputs together; None where a forecaster goes on.

    Raises:
        SettingError: a table of forecasts of several tables.
    """
    if not answer.goes_on:
        return (each for block in _given(answer, text, file, encoding) for each in block)
    if text or (file is not None and is_input(str(file))):
        raise SettingError("predict: --out writes the forecasts of one table; give it with --data")
    if file is None:
        return None
    (whole,) = answer.opened(file, encoding)
    return whole


def _given(
    answer: Any, text: list[str] | None, file: Path | None, encoding: str | None
) -> Iterator[Iterable[Any]]:
    """Inputs of the command line: some at a time, as they come."""
    whole = None
    if not text and file is not None and not is_input(str(file)):
        whole = answer.opened(file, encoding)
        if whole is None and file.is_dir():
            raise SettingError(
                f"predict: expected a file, {file} is a folder; give its files one after another, "
                f"for example: cat {file}/*.txt | recurra predict RUN"
            )
    if whole is not None:
        yield whole
        return
    beside = None if file is None or is_input(str(file)) else file.parent
    for block in [text] if text else arriving(None if file is None else str(file), encoding):
        yield (_found(answer.of_line(line), beside) for line in block)


def _found(value: Any, beside: Path | None) -> Any:
    """What a line says; the files that it names are beside the list of them, or here.

    Raises:
        DataError: such a file is in neither.
    """
    if isinstance(value, Mapping):
        return {name: _found(one, beside) for name, one in value.items()}
    if not isinstance(value, Path):
        return value
    places = [Path.cwd()] if beside is None else [beside, Path.cwd()]
    found = next((place / value for place in places if (place / value).exists()), None)
    if found is None:
        looked = " or ".join(dict.fromkeys(str(place.absolute()) for place in places))
        raise DataError(
            f"predict: expected the name of a file in each line, got {str(value)!r:.80}: no such "
            f"file in {looked}."
        )
    return value if found == Path.cwd() / value else found
