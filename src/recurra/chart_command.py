"""``recurra chart``; only what ``--help`` needs is imported here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from recurra.console import friendly, import_cells
from recurra.errors import SettingError
from recurra.options import FalseAlarms, Import, path_argument, path_option
from recurra.surprise_commands import draw_surprise

__all__ = ["chart"]

_OF = {  # what a run must be for a picture of it to be there
    "confusion": "a finished run that tells classes apart",
    "gradients": "a run with monitors (training.monitors), some evaluations of which are 150 steps "
    "apart",
    "forecast": "a finished run of a forecaster",
    "errors": "a finished run of a forecaster whose series have a scale",
    "coverage": "a finished run of a forecaster",
    "residuals": "a finished run of a forecaster whose places are one step apart, and not few",
}

Run = Annotated[Path, path_argument(help="A run's folder, or a comparison's.")]
Out = Annotated[
    Path | None,
    path_option(
        help="A file, .svg, .png or .html; in the run if not given.",
        show_default=False,
    ),
]
Confusion = Annotated[bool, typer.Option("--confusion", help="Which class was taken for which.")]
Forecast = Annotated[
    bool, typer.Option("--forecast", help="What a forecaster expects, and what came.")
]
OfSeries = Annotated[
    list[str] | None,
    typer.Option(help="Of --forecast: a series or channel.", show_default=False),
]
Data = Annotated[
    Path | None,
    path_option(
        help="Of --forecast: a table, to go on from its end.",
        show_default=False,
    ),
]
Future = Annotated[
    Path | None,
    path_option(help="Of --data: what is known ahead.", show_default=False),
]
Errors = Annotated[bool, typer.Option("--errors", help="Errors by step ahead, and by series.")]
Coverage = Annotated[bool, typer.Option("--coverage", help="How much intervals hold, and should.")]
Residuals = Annotated[bool, typer.Option("--residuals", help="Autocorrelation of the errors.")]
Gradients = Annotated[
    bool, typer.Option("--gradients", help="Gradients and updates of each layer by step.")
]
Attention = Annotated[
    str | None,
    typer.Option(help="A text: where the model looked when it answered that.", show_default=False),
]
Surprise = Annotated[
    Path | None,
    path_option(help="A file, of which each step is drawn with its surprise."),
]


def chart(
    run: Run,
    out: Out = None,
    confusion: Confusion = False,
    forecast: Forecast = False,
    series: OfSeries = None,
    data: Data = None,
    future: Future = None,
    errors: Errors = False,
    coverage: Coverage = False,
    residuals: Residuals = False,
    gradients: Gradients = False,
    attention: Attention = None,
    surprise: Surprise = None,
    false_alarms: FalseAlarms = None,
    import_: Import = None,
) -> None:
    """Draw how a run learned, what it says or what surprises it; or what variants are worth."""
    with friendly():
        import_cells(import_)
        asked = {
            "confusion": confusion,
            "forecast": forecast,
            "errors": errors,
            "coverage": coverage,
            "residuals": residuals,
            "gradients": gradients,
            "attention": attention is not None,
            "surprise": surprise is not None,
        }
        name = _one([each for each, wanted in asked.items() if wanted])
        _check("series", bool(series), "forecast", name == "forecast")
        _check("data", data is not None, "forecast", name == "forecast")
        _check("future", future is not None, "data", data is not None)
        _check("false-alarms", false_alarms is not None, "surprise", surprise is not None)
        if surprise is not None:
            print(draw_surprise(run, surprise, out or run / "surprise.svg", false_alarms))
            return
        if attention is not None:
            drawn = _looked(run, attention)
        elif series or data is not None:
            drawn = _forecast(run, data, future, series or [])
        else:
            drawn, name = _of_run(run, name)
        print(drawn.save(out or run / f"{name}.svg"))


def _one(asked: list[str]) -> str:
    """Which picture; empty for the run's first."""
    if len(asked) > 1:
        raise SettingError(f"chart: expected --{asked[0]} or --{asked[1]}, got both")
    return asked[0] if asked else ""


def _check(name: str, given: bool, other: str, there: bool) -> None:
    """Refuse an option that is of another one, which is not given."""
    if given and not there:
        raise SettingError(f"chart: --{name} is of --{other}; say both")


def _of_run(run: Path, name: str) -> tuple[Any, str]:
    """A picture of what the run keeps, and its name.

    Raises:
        SettingError: the run has no such picture.
    """
    from recurra.diagnosis import pictures

    found = pictures(run)
    name = name or next(iter(found))
    if name not in found:
        why = " table of them" if name == "confusion" else "thing of that"
        files = {"forecast": "pictures.json", "gradients": "monitors.csv"}
        where = files.get(name, "summary.json")
        raise SettingError(f"chart: --{name} is of {_OF[name]}; {run} has no{why} in {where}")
    return found[name], name


def _looked(run: Path, text: str) -> Any:
    """Where a decoder looked when it said its best answer.

    Raises:
        SettingError: another task, or a model that looks at nothing.
    """
    from recurra.diagnosis import attention
    from recurra.doors import load

    looked = getattr(answer := load(run), "looked", None)
    if looked is None:
        raise SettingError(
            f"chart: --attention is of a model that says a text of what it reads, {run} is a "
            f"{answer.kind} model"
        )
    return attention([looked(text)])


def _forecast(run: Path, data: Path | None, future: Path | None, series: list[str]) -> Any:
    """What a model expects: of its own series beside what came, of a table behind its end.

    Raises:
        SettingError: another task.
    """
    from recurra.diagnosis import fan
    from recurra.doors import load

    answer: Any = load(run)
    if not answer.goes_on:
        raise SettingError(f"chart: --forecast is of a forecaster, {run} is a {answer.kind} model")
    found = answer.fans(data, future=future, series=series, came=data is None)
    return fan(found, run.resolve().name)
