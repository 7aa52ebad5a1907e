"""The card of a model: what it is made of, what it costs, how that grows, and what is checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from threading import Lock
from typing import Any, NamedTuple, cast

import torch
from torch import nn

from recurra.cells.base import Cell, cells_of
from recurra.columns import aligned
from recurra.description import Part, describe
from recurra.diagnosis.cards.checks import Check, checks, recurrent_layers, runs_alone
from recurra.diagnosis.cards.costs import Cost, cost_of, law_of
from recurra.diagnosis.cards.scaling import Growth, Remake, growths, resized, slope
from recurra.diagnosis.charts.chart import Chart
from recurra.diagnosis.charts.unrolled import Beside, Row, unrolled
from recurra.diagnosis.checked import check_call, check_module, check_optional
from recurra.encoders import (
    AlignedEncoder,
    AskingEncoder,
    SeveralEncoder,
    SpelledEmbedding,
    StepVectors,
    TokenEncoder,
)
from recurra.layers import Bidirectional, Projection, Recurrent, RNNBase, Stack, TokenEmbedding
from recurra.settings import check_flag, check_size
from recurra.twins import own_parts, twin

__all__ = ["Card", "CardPart", "card"]

_TRAINED = 3
"""Products of a training step by those of a forward pass: the gradient of a product is two."""
_SMALL = (16, 8)  # steps and rows from which growth is measured


class CardPart(NamedTuple):
    """A part of the model.

    Args:
        part: its name, kind, sizes and parameters with their arithmetic.
        shape: of what it gives, in numbers; empty if it does not say.
        cost: of one step of one row, forward; None where it cannot be told.
        law: its multiply-adds in letters; empty if no law was found.
    """

    part: Part
    shape: str
    cost: Cost | None
    law: str


@dataclasses.dataclass(frozen=True)
class Card:
    """What is known of a model; ``print`` shows it.

    Args:
        parts: from the input upward.
        steps: of the window, T.
        rows: beside each other, B.
        itemsize: bytes of a number.
        kept: bytes kept for the gradient, for one row and step of the recurrent layers, measured;
            None where nothing was measured.
        growths: how time, memory and multiply-adds of the recurrent layers grow.
        checks: whether the model does what its settings say.
        picture: rows of the unrolled graph, from below, and what stands beside each other.
        carried: whether a state goes on from window to window.
        notes: what could not be told.
    """

    parts: tuple[CardPart, ...]
    steps: int
    rows: int
    itemsize: int
    kept: float | None
    growths: tuple[Growth, ...]
    checks: tuple[Check, ...]
    picture: tuple[Row | Beside, ...]
    carried: bool
    notes: tuple[str, ...]

    @property
    def parameters(self) -> int:
        """Their number; a shared one counts once."""
        return sum(each.part.parameters for each in self.parts)

    @property
    def multiply_adds(self) -> int:
        """Of one step of one row, forward, in all parts that can be told."""
        return sum(each.cost.multiply_adds for each in self.parts if each.cost)

    @property
    def bytes(self) -> int:
        """That a step of all rows moves: each weight once, and what each row reads and writes."""
        moved = sum(each.cost.moved for each in self.parts if each.cost)
        return self.itemsize * (self.parameters + self.rows * moved)

    def to_json(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        parts = [
            {
                **dataclasses.asdict(each.part),
                "shape": each.shape,
                "cost": each.cost and each.cost._asdict(),
                "law": each.law,
            }
            for each in self.parts
        ]
        return {
            "parts": parts,
            "parameters": self.parameters,
            "steps": self.steps,
            "rows": self.rows,
            "multiply_adds": self.multiply_adds,
            "bytes": self.bytes,
            "kept_bytes": self.kept,
            "growths": [each._asdict() for each in self.growths],
            "checks": [each._asdict() for each in self.checks],
            "notes": list(self.notes),
        }

    def chart(self, title: str = "") -> Chart:
        """The graph through time, layers by steps, with what is carried and where it is cut."""
        return unrolled(self.picture, self.steps, carried=self.carried, title=title)

    def __str__(self) -> str:
        blocks = [self._table(), self._window(), self._growths(), self._checks()]
        blocks.append("\n".join(f"not told: {note}" for note in self.notes))
        return "\n\n".join(block for block in blocks if block)

    def _table(self) -> str:
        header = ("part", "kind", "gives", "parameters", "arithmetic")
        rows = [(*header, "multiply-adds", "law", "other", "state")]
        for part, shape, cost, law in self.parts:
            told = ("-",) * 3
            if cost is not None:
                told = (f"{cost.multiply_adds:,}", f"{cost.elementwise:,}", f"{cost.state:,}")
            own = (part.name, part.kind, shape, f"{part.parameters:,}", part.arithmetic)
            rows.append((*own, told[0], law, *told[1:]))
        total = (f"{self.parameters:,}", "", f"{self.multiply_adds:,}")
        rows.append(("all", "", "", *total, "", "", ""))
        return aligned(rows, right=(3, 5, 7, 8)) + (
            "\nmultiply-adds, other operations and state: of one step of one row, forward"
        )

    def _window(self) -> str:
        places = self.steps * self.rows
        forward = places * self.multiply_adds
        size = f"T={self.steps:,} B={self.rows:,}"
        weights = self.itemsize * self.parameters
        rows = [
            ("a step of all rows", "W + B*moved", f"{self.bytes:,} bytes"),
            (f"forward, {size}", "T*B*multiply-adds", f"{forward:,} multiply-adds"),
            ("training", f"{_TRAINED}*T*B*multiply-adds", f"{_TRAINED * forward:,} multiply-adds"),
            ("weights and gradients", "2*W", f"{2 * weights:,} bytes"),
            ("memory of Adam", "2*W", f"{2 * weights:,} bytes"),
        ]
        if self.kept is not None:
            law = f"T*B*{self.kept:,.0f}, measured"
            rows.append(("kept by recurrent layers", law, f"{round(places * self.kept):,} bytes"))
        return aligned([("what", "law", "here"), *rows], right=()) + (
            "\nW: bytes of the weights; moved: bytes that a row reads and writes in a step"
        )

    def _growths(self) -> str:
        if not self.growths:
            return ""
        rows = [("grows", "with", "law", "measured", "of")]
        for each in self.growths:
            found = "-" if each.slope is None else f"{each.slope:.2f}"
            of = each.note or ", ".join(f"{x}: {_short(each.what, y)}" for x, y in each.points)
            rows.append((each.what, each.by, f"{each.by}^{each.law:g}", found, of))
        return aligned(rows, right=(3,)) + (
            "\nlaw: for large sizes; measured: slope on logarithmic axes, of the recurrent layers"
        )

    def _checks(self) -> str:
        if not self.checks:
            return ""
        rows = [("check", "said", "found", "")]
        for each in self.checks:
            rows.append((each.name, each.said, each.found, "yes" if each.holds else "NO"))
        return aligned(rows, right=())


def _short(what: str, value: float) -> str:
    if what == "time":
        return f"{value * 1e3:.3g} ms"
    return f"{value:,.0f}" + (" bytes" if what == "memory" else "")


def card(
    model: nn.Module,
    steps: int = 64,
    rows: int = 32,
    *,
    carried: bool | None = None,
    measure: bool = True,
    remake: Remake | None = None,
) -> Card:
    """Describe a model in full: layers, costs, growth, and whether it does what it says.

    ::

        told = recurra.diagnosis.card(recurra.Recurrent(recurra.LSTMCell(64, 128)))
        print(told)
        told.chart().save("unrolled.svg")

    Growth is measured on the first stack of recurrent layers, by forward and backward passes of a
    few small sizes, which takes some seconds. The model, its modes, gradients and the random
    numbers are as they were. Cards that several threads ask for are made one after another; random
    numbers are drawn from those of the process, which threads share.

    Args:
        model: a model, layer or cell.
        steps: of a training window.
        rows: that are trained on beside each other.
        carried: whether a state goes on from window to window; if None, where the model is causal.
        measure: whether growth is measured and the checks are made.
        remake: makes the recurrent layers of other input and hidden sizes; of layers whose cells
            take their sizes alone it is known.

    Raises:
        ShapeError: something that is no module.
        SettingError: no number of steps or rows.
    """
    check_module("model", model)
    check_size("steps", steps), check_size("rows", rows)
    check_flag("measure", measure)
    check_optional(carried=carried)
    if remake is not None:
        check_call("remake", remake, "a function of input and hidden size")
    with _ONE:
        return _card(model, steps, rows, carried, measure, remake)


_ONE = Lock()  # what times itself, and draws, waits for others that do


def _card(
    named: nn.Module,
    steps: int,
    rows: int,
    carried: bool | None,
    measure: bool,
    remake: Remake | None,
) -> Card:
    # A twin has modes of its own, so that who uses the model meanwhile sees none of this.
    model = named if own_parts(named) else twin(named)
    layers = list(recurrent_layers(model))
    alone = Recurrent(model) if isinstance(model, Cell) and model.input_size is not None else None
    known = [(place, layer) for place, layer in layers if runs_alone(layer)] if measure else []
    known.sort(key=lambda pair: pair[0] != "encoder.layer")  # of several the main one
    measured = alone if alone is not None else known[0][1] if known else None
    if carried is None:
        carried = all(getattr(layer, "causal", True) for _, layer in layers)
        carried = carried and not any(getattr(layer, "bidirectional", 0) for _, layer in layers)
    parts, notes = _parts(named, steps, rows)
    told: tuple[Growth, ...] = ()
    kept = None
    if measure and measured is not None:
        told, kept, notes = _measured(measured, remake, notes)
    elif measure:
        notes.append("growth: no recurrent layer reads one vector a step and nothing else.")
    others = [place for place, layer in layers if layer is not measured] if measure else []
    if others and known:
        notes.append(f"growth of {', '.join(others)}: it is measured of {known[0][0]} alone.")
    outside = [place for place, layer in layers if measure and (place, layer) not in known]
    if outside:
        notes.append(f"checks of {', '.join(outside)}: they cannot be run alone.")
    itemsize = max((p.element_size() for p in model.parameters()), default=4)
    verified = checks(alone or model) if measure else ()
    picture = tuple(_rows(alone or model))
    return Card(parts, steps, rows, itemsize, kept, told, verified, picture, carried, tuple(notes))


def _parts(model: nn.Module, steps: int, rows: int) -> tuple[tuple[CardPart, ...], list[str]]:
    found, notes = [], []
    for part in describe(model).parts:
        module = model
        if part.name != type(model).__name__:
            module = model.get_submodule(part.name)
        cost = _cost(module)
        if cost is None and (part.parameters or part.arithmetic.startswith("shared")):
            notes.append(
                f"operations of {part.name} ({part.kind}): no step of it can be run alone."
            )
        width = getattr(module, "output_size", getattr(module, "embedding_dim", None))
        width = getattr(module, "out_features", width)
        shape = f"[{steps}, {rows}, {width}]" if width is not None else ""
        law = law_of(module) if isinstance(module, Cell) else ""
        found.append(CardPart(part, shape, cost, law))
    return tuple(found), notes


def _cost(module: nn.Module) -> Cost | None:
    if not isinstance(module, RNNBase):
        return cost_of(module)
    each = [cost_of(cell) for _, cell in cells_of(module, nested=False)]
    known = [cost for cost in each if cost is not None]
    return Cost(*map(sum, zip(*known, strict=True))) if len(known) == len(each) else None


def _measured(
    layer: nn.Module, remake: Remake | None, notes: list[str]
) -> tuple[tuple[Growth, ...], float | None, list[str]]:
    """How it grows, and bytes kept for a row and step."""
    cells = [cell for _, cell in cells_of(layer, nested=False)]
    into: Any = layer.input_size
    width, hidden = int(into), cells[0].hidden_size

    several = any(cell.hidden_size != hidden for cell in cells)
    if several and remake is None:
        notes.append("growth with I and H: the layers have several widths; give remake=.")

    def same(into: int, out: int) -> nn.Module | None:
        return None if several else resized(layer, into, out)

    sizes = {"T": _SMALL[0], "B": _SMALL[1], "I": width, "H": hidden}
    try:
        found, kept = growths(layer, sizes, remake or same)
        found += tuple(_counted(remake or same, width, hidden))
    except Exception as problem:  # a layer that needs a context, or whatever a user's cell needs
        said = " ".join(str(problem).split())
        return (), None, [*notes, f"growth: the layers cannot be run alone ({said})."]
    note = "peak memory of the process, which keeps what was freed; kept bytes stand for it."
    return found, kept, [*notes, note]


def _counted(remake: Remake, width: int, hidden: int) -> Iterable[Growth]:
    """Multiply-adds by I and by H, counted."""
    with torch.random.fork_rng(devices=[]):
        for by, law in (("I", 1.0), ("H", 2.0)):
            points = []
            for factor in (1, 2, 4):
                into, out = (factor * width, hidden) if by == "I" else (width, factor * hidden)
                made = remake(into, out)
                costs = [cost_of(cell) for _, cell in cells_of(made, nested=False)] if made else []
                known = [cost.multiply_adds for cost in costs if cost is not None]
                if known and len(known) == len(costs) and sum(known):
                    points.append((out if by == "H" else into, float(sum(known))))
            if len(points) == 3:
                yield Growth("multiply-adds", by, law, slope(points), tuple(points))


# ---- the picture ---------------------------------------------------------------------------------


def _rows(module: nn.Module) -> Iterable[Row | Beside]:
    """Layers from below, as far as they read step by step."""
    beside = _branches(module)
    if beside is not None:
        branches = tuple(tuple(branch) for branch in beside)
        if any(branches):
            yield Beside(branches)
        if isinstance(module, AlignedEncoder | AskingEncoder | TokenEncoder):
            yield from _rows(module.layer)
    elif isinstance(module, TokenEmbedding | nn.Embedding):
        yield Row("embedding", inside=str(module.weight.shape[1]))
    elif isinstance(module, Projection | nn.Linear):
        yield Row("projection", inside=str(getattr(module, "output_size", "")))
    elif isinstance(module, Stack):
        for layer in module.layers:
            yield from _rows(layer)
    elif isinstance(module, Bidirectional):
        cell = module.forward_layer.cell
        yield Row(f"{type(cell).__name__} both ways", True, True, f"2 x {cell.hidden_size}")
    elif isinstance(module, Recurrent):
        cell, back = module.cell, module.reverse
        yield Row(type(cell).__name__, not back, back, str(cell.hidden_size))
    elif isinstance(module, RNNBase):
        for number in range(module.num_layers):
            both = bool(module.bidirectional)
            inside = f"{'2 x ' if both else ''}{module.hidden_size}"
            yield Row(f"{module.mode} {number}", True, both, inside)
    else:
        for child in module.children():
            yield from _rows(child)


def _branches(module: nn.Module) -> list[Iterable[Row | Beside]] | None:
    """What reads a step beside each other; None where all of the module is a chain."""
    if isinstance(module, SeveralEncoder):
        return [_rows(each) for each in module.encoders.values()]
    if isinstance(module, AlignedEncoder):
        return [_rows(each) for each in module.stems.values()]
    if isinstance(module, AskingEncoder):
        return [_rows(module.question), _rows(cast(nn.Module, module.stem))]
    if isinstance(module, SpelledEmbedding) and module.letters and module.spelling:
        # Its states run from letter to letter, none from step to step.
        cell = module.spelling.forward_layer.cell
        spelled = Row(f"{type(cell).__name__} of letters", inside=f"2 x {cell.hidden_size}")
        return [[_table("words", [module.words])], [_table("letters", [module.letters]), spelled]]
    if isinstance(module, TokenEncoder) and len(module.conditions):
        return [_rows(module.embedding), [_table("conditions", module.conditions)]]
    if isinstance(module, StepVectors) and len(module.embeddings):
        return [[], [_table("categories", module.embeddings)]]
    return None


def _table(name: str, tables: Iterable[Any]) -> Row:
    return Row(name, inside=str(sum(table.weight.shape[1] for table in tables)))
