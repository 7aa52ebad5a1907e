"""What the claims share: small networks, a training that stops when a task is solved, the keeping.

A claim is a sentence that courses on recurrent networks assert. A script measures one, prints a
table and a sentence, keeps both in ``benchmarks/results/claims_*.json``, and draws its picture
into ``docs/claims``. ``scripts/scoreboard.py`` writes docs/claims.md from what is kept. With
``--draw`` a script measures nothing, and draws what is kept.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness import RESULTS, ROOT, data, keep, machine_in_words, quartiles

from recurra.batch import Batch
from recurra.diagnosis import Axis, Chart
from recurra.diagnosis.charts.chart import heading
from recurra.diagnosis.charts.colors import SERIES_COLORS
from recurra.diagnosis.charts.panels import Line, panel
from recurra.diagnosis.examination.cases import Network

__all__ = [
    "CLIP",
    "MINUTES",
    "Claim",
    "Finished",
    "Network",
    "Trained",
    "begun",
    "data",
    "drawn",
    "kept",
    "parameters",
    "quartiles",
    "table",
    "train",
]

PICTURES = ROOT / "docs" / "claims"
CLIP, MINUTES = 1.0, 20.0


class Trained(NamedTuple):
    """How a training went.

    Args:
        steps: of the optimizer.
        seconds: of the whole, scoring included.
        score: of the validation part, at its end.
        solved: whether it reached what was asked for.
        curve: scores by step.
    """

    steps: int
    seconds: float
    score: float
    solved: bool
    curve: dict[int, float]


def train(
    network: nn.Module,
    batches: Iterator[Batch],
    loss: Callable[[Batch], Tensor],
    *,
    rate: float,
    steps: int,
    score: Callable[[], float],
    solved: Callable[[float], bool],
    every: int = 200,
    clip: float | None = CLIP,
    minutes: float = MINUTES,
) -> Trained:
    """Adam, the norm of a gradient clipped, until it is solved or steps or minutes are at an end.

    Args:
        network: what is trained.
        batches: what it reads, without end.
        loss: of a batch.
        rate: of Adam.
        steps: the most.
        score: of the validation part.
        solved: whether a score is enough.
        every: steps between two looks at the score.
        clip: the largest norm of a gradient, None for any.
        minutes: the most.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    began, curve = time.perf_counter(), {}
    done, reached = 0, False
    while done < steps and not reached and time.perf_counter() - began < 60 * minutes:
        for batch in (next(batches) for _ in range(min(every, steps - done))):
            optimizer.zero_grad()
            torch.autograd.backward(loss(batch))
            if clip is not None:
                nn.utils.clip_grad_norm_(network.parameters(), clip)
            optimizer.step()
            done += 1
        with torch.no_grad():
            curve[done] = score()
        reached = solved(curve[done])
        if not math.isfinite(curve[done]):
            break  # it came apart, and stays so
    return Trained(done, time.perf_counter() - began, curve[done], reached, curve)


def parameters(network: nn.Module) -> int:
    """How many numbers are learned."""
    return sum(parameter.numel() for parameter in network.parameters())


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of text, its columns as wide as they must be."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    lines = [
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
        for row in (columns, *rows)
    ]
    return "\n".join(lines)


class Claim(NamedTuple):
    """A claim that was measured.

    Args:
        name: of its files.
        claim: what is asserted.
        question: what was asked, with all that must be known of how.
        figure: the answer in a sentence.
        columns: of its table.
        rows: of its table, as text.
        figures: all numbers.
        measured: places of the code.
    """

    name: str
    claim: str
    question: str
    figure: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    figures: Mapping[str, Any]
    measured: Sequence[str]

    def keep(
        self,
        draw: Callable[[Mapping[str, Any]], Chart],
        seed: int | None = 0,
        *,
        void: bool = False,
    ) -> None:
        """Print it, keep it, and draw its picture from what was kept.

        Args:
            draw: makes the picture of ``figures``.
            seed: of every draw, or the first of several.
            void: whether times in it are too unsteady to say anything.
        """
        print(f"{self.claim}\n{table(self.columns, self.rows)}\n{self.figure}")
        facts = {
            "claim": self.claim,
            "question": self.question,
            "figure": self.figure,
            "columns": self.columns,
            "rows": self.rows,
            "figures": _plain(self.figures),
        }
        keep(f"claims_{self.name}", facts, self.measured, seed=seed, void=void)
        picture(self.name, draw)


def _plain(value: Any) -> Any:
    """As JSON has it, where a number that is not finite is none."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def kept(name: str) -> dict[str, Any]:
    """What was kept of a claim."""
    found: dict[str, Any] = json.loads((RESULTS / f"claims_{name}.json").read_text())
    return found


def picture(name: str, draw: Callable[[Mapping[str, Any]], Chart]) -> None:
    """Draw a claim from what is kept of it."""
    PICTURES.mkdir(exist_ok=True)
    draw(kept(name)["figures"]).save(PICTURES / f"{name}.svg")


def drawn(
    series: Mapping[str, Mapping[float, float | None]],
    *,
    title: str,
    about: str,
    x: Axis,
    y: Axis,
    levels: Mapping[str, float] | None = None,
) -> Chart:
    """Lines as of :func:`recurra.diagnosis.lines`, all of them thin: these lie apart.

    Args:
        series: heights by place, by name.
        title: above the picture.
        about: a sentence below the title.
        x: the axis of the places.
        y: the axis of the heights; a height beyond it is drawn at its edge, and so is None,
            at the upper one.
        levels: heights to compare with, by name.
    """
    rows = []
    for (name, heights), (color, ink) in zip(series.items(), SERIES_COLORS, strict=False):
        points = [
            (at, y.high if value is None else min(max(value, y.low), y.high))
            for at, value in sorted(heights.items())
        ]
        rows.append(Line(name, points, color, 2.8, ink=ink))
    for name, height in (levels or {}).items():
        ends = [(x.low, height), (x.high, height)]
        rows.append(Line(name, ends, "#333", 1.4, [7, 4], flat=True))
    return Chart({**panel(rows, x, y, size=(560, 300)), **heading(title, [about])})


class Finished:
    """Trainings that are finished, in a file: a benchmark that was stopped goes on with the others.

    Args:
        path: of lines of JSON, or None to keep nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path is not None and path.exists() else []
        self._known: dict[str, Any] = dict(map(json.loads, lines))

    def once(self, key: Sequence[Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What was found before, or is found now.

        Args:
            key: all that the result hangs on.
            make: finds it.
        """
        name = json.dumps(key)
        if name not in self._known:
            self._known[name] = _plain(make())
            if self.path is not None:
                with self.path.open("a") as file:
                    file.write(json.dumps([name, self._known[name]]) + "\n")
        found: dict[str, Any] = self._known[name]
        return found


class Given(NamedTuple):
    """What was said on the command line.

    Args:
        names: of the cases to be measured.
        finished: trainings that need not be done again.
    """

    names: list[str]
    finished: Finished


def begun(about: str | None, cases: Mapping[str, Callable[[Mapping[str, Any]], Chart]]) -> Given:
    """What is to be measured; cases that are only to be drawn are drawn here.

    Args:
        about: the text of the script.
        cases: what draws the picture of each.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(cases)}; all if none")
    parser.add_argument("--draw", action="store_true", help="only draw what is kept")
    parser.add_argument("--out", type=Path, help="file of finished trainings, to go on with")
    given = parser.parse_args()
    wrong = [name for name in given.cases if name not in cases]
    if wrong:
        parser.error(f"no case {wrong[0]!r}; expected some of {', '.join(cases)}")
    named = given.cases or [*cases]
    torch.set_num_threads(1)  # the products are too small to share
    if given.draw:
        for name in named:
            picture(name, cases[name])
        return Given([], Finished(None))
    print(machine_in_words())
    return Given(named, Finished(given.out))
