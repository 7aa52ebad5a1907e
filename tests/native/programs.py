"""Programs of real cells, as plain numbers. As a module: ``python -m native.programs FILE``."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from unittest import mock

import torch
from engine.backends.own_cells import Convolved, Writing
from engine.random_cells import Context, RandomCell
from native.calls import HELD, LARGE, SHARED, STEP, Plain

import recurra
from recurra.engine.assemble import Argument, Assembled, assemble
from recurra.engine.machine import compiled
from recurra.states import map_tree

HELD_KINDS = ("from", "to", "dfrom", "dto")


def programs() -> list[Plain]:
    """Forward and backward programs of several cells, and those of inference alone."""
    torch.manual_seed(0)
    cells = {
        "lstm": recurra.LSTMCell(3, 5),
        "wide lstm": recurra.LSTMCell(18, 20),
        "gru": recurra.GRUCell(4, 3),
        "norm lstm": recurra.LSTMCell(3, 4, norm="layer"),
        "reset-before gru": recurra.GRUResetBeforeCell(2, 5),
        "oscillator": recurra.CoRNNCell(3, 4),
        "matrix": Writing(),
        "convolution": Convolved(torch.nn.Conv1d(2, 3, 3, padding=1), 2, 4),
        **{f"random {seed}": RandomCell(seed) for seed in (0, 3, 5, 11)},
    }
    found: list[Plain] = []
    for name, cell in cells.items():
        for kind in ("inference", "gradient", "resets"):
            found += _programs(cell, f"{name}, {kind}", kind)
    # One whose matrices are large enough to be shared by threads where there is one row.
    return found + _programs(recurra.GRUCell(4, 80), f"{LARGE} gru, gradient", "gradient")


def _programs(cell: recurra.Cell, name: str, kind: str) -> list[Plain]:
    """What is assembled for one kind of call."""
    seen: list[Assembled] = []

    def keep(*args: object, **named: object) -> Assembled:
        seen.append(assemble(*args, **named))  # type: ignore[arg-type]
        return seen[-1]

    x = map_tree(lambda leaf: torch.randn(3, *leaf.shape), cell.example_input(2))
    context = Context(torch.randn(2, cell.topic)) if getattr(cell, "takes_context", False) else None
    resets = torch.rand(3, 2) < 0.5 if kind == "resets" else None
    with (
        mock.patch.object(compiled, "assemble", keep),
        torch.set_grad_enabled(kind != "inference"),
    ):
        recurra.run(
            cell,
            x,
            context=context,
            resets=resets,
            return_states=kind == "resets",
            backend="native",
        )
    directions = ("forward", "backward")
    return [_plain(f"{name}, {d}", a) for d, a in zip(directions, seen, strict=False)]


def _plain(name: str, assembled: Assembled) -> Plain:
    arguments = []
    for argument in assembled.arguments:
        kind, place = argument.name
        if kind == "d":  # the gradient of something, which has a name of its own
            kind, place = f"d {place[0]}", place[1]
        arguments.append((kind, place, _span(argument)))
    parts = json.loads(json.dumps(assembled.parts))
    return Plain(name, parts, arguments, list(assembled.constants))


def _span(argument: Argument) -> int:
    if argument.name[0] in HELD_KINDS:
        return HELD
    if argument.name[0].removesuffix("_out") in ("state", "dstate"):
        return STEP
    spans = [value.span for value in (argument.value, argument.result) if value is not None]
    return max(spans, default=SHARED)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps([dataclasses.asdict(p) for p in programs()]))
