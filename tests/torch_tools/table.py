"""The table of docs/torch-tools.md as data, the three columns as modules, and the mark of a row."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import Literal

import pytest
import torch
from laws.subjects import Leaky
from torch import nn

import recurra
from recurra import Bidirectional, ElmanCell, GRUCell, LSTMCell, Recurrent, Stack

Verdict = Literal["works", "runs on aten", "runs on loop", "refused by name", "-"]

WORKS, ATEN, LOOP, REFUSED, NONE = (
    "works",
    "runs on aten",
    "runs on loop",
    "refused by name",
    "-",
)

# Columns: layers around Recurra's cells; your own cell; RNN, LSTM, GRU.
ROWS: dict[str, tuple[Verdict, Verdict, Verdict]] = {
    "torch.compile": (WORKS, WORKS, WORKS),
    "torch.compile, with lengths": (WORKS, WORKS, WORKS),
    "torch.compile(fullgraph=True)": (REFUSED, REFUSED, REFUSED),
    "torch.compile of one cell": (WORKS, WORKS, NONE),
    "torch.compile of a cell's step": (WORKS, WORKS, NONE),
    "torch.export": (ATEN, LOOP, ATEN),
    "torch.export, any batch": (ATEN, LOOP, ATEN),
    "torch.export, any number of steps": (REFUSED, REFUSED, REFUSED),
    "torch.export, with lengths": (REFUSED, REFUSED, REFUSED),
    "torch.export(strict=True)": (REFUSED, REFUSED, REFUSED),
    "torch.jit.trace": (ATEN, LOOP, ATEN),
    "torch.jit.trace, with lengths": (REFUSED, REFUSED, REFUSED),
    "torch.func.functional_call": (WORKS, WORKS, WORKS),
    "torch.func.grad": (LOOP, LOOP, LOOP),
    "torch.func.jvp": (LOOP, LOOP, LOOP),
    "torch.func.jacrev": (LOOP, LOOP, LOOP),
    "torch.func.vmap over rows": (LOOP, LOOP, LOOP),
    "torch.func.vmap over models": (LOOP, LOOP, LOOP),
    "torch.func.vmap, same lengths": (LOOP, LOOP, LOOP),
    "torch.func.vmap over lengths": (REFUSED, REFUSED, REFUSED),
    "gradients of each row": (LOOP, LOOP, LOOP),
    "double backward": (WORKS, WORKS, WORKS),
    "double backward on loop": (LOOP, LOOP, LOOP),
    "gradcheck, gradgradcheck on loop": (LOOP, LOOP, LOOP),
    "torch.utils.checkpoint": (WORKS, WORKS, WORKS),
    "frozen weights": (WORKS, WORKS, WORKS),
    "clip_grad_norm_": (WORKS, WORKS, WORKS),
    "optimizers with foreach, fused": (WORKS, WORKS, WORKS),
    "AveragedModel": (WORKS, WORKS, WORKS),
    "no_grad, inference_mode": (WORKS, WORKS, WORKS),
    "use_deterministic_algorithms": (WORKS, WORKS, WORKS),
    "parametrizations": (WORKS, WORKS, WORKS),
    "recurra.weight_drop": (WORKS, WORKS, WORKS),
    "recurra.convert, recurra.revert": (NONE, NONE, WORKS),
    "torch.nn.utils.prune": (REFUSED, REFUSED, WORKS),
    "old weight_norm": (REFUSED, REFUSED, WORKS),
    "hooks on layers": (WORKS, WORKS, WORKS),
    "hooks on cells": (REFUSED, REFUSED, NONE),
    "copy.deepcopy": (WORKS, WORKS, WORKS),
    "torch.save of a module": (WORKS, WORKS, WORKS),
    "pickle of states": (WORKS, WORKS, WORKS),
    "device meta, to_empty": (WORKS, WORKS, WORKS),
    "half and bfloat16 modules": (ATEN, LOOP, ATEN),
    "set_default_dtype": (WORKS, WORKS, WORKS),
    "autocast": (WORKS, WORKS, WORKS),
    "DistributedDataParallel": (WORKS, WORKS, WORKS),
    "forked workers": (WORKS, WORKS, WORKS),
    "several threads": (WORKS, WORKS, WORKS),
    "share_memory, spawned processes": (WORKS, WORKS, WORKS),
}


class DropIns(nn.Module):
    """The three drop-ins above each other, called and read like a layer."""

    def __init__(self):
        super().__init__()
        self.one = recurra.LSTM(4, 5, num_layers=2)
        self.two = recurra.GRU(5, 5)
        self.three = recurra.RNN(5, 3, bidirectional=True)

    def forward(self, inputs, lengths=None):
        outputs, state = self.one(inputs, lengths=lengths)
        outputs, _ = self.two(outputs, lengths=lengths)
        outputs, last = self.three(outputs, lengths=lengths)
        return outputs, last, state


def layers():
    """Every kernel of torch, both directions."""
    both = Bidirectional(GRUCell(5, 3), ElmanCell(5, 3))
    return Stack([Recurrent(LSTMCell(4, 5)), both])


def own():
    """A cell that a user wrote, both directions."""
    return Stack([Recurrent(Leaky(4, 5)), Bidirectional(Leaky(5, 3), Leaky(5, 3))])


def on_loop(model):
    """The snippet of the docs page."""
    for part in model.modules():
        if hasattr(part, "backend"):
            part.backend = "loop"
    return model


COLUMNS = {"layers": layers, "own cell": own, "drop-ins": DropIns}
LENGTHS = torch.tensor([6, 2, 4])


def sample(batch=3, time=6, seed=0):
    """Inputs ``[time, batch, 4]``."""
    return torch.randn(time, batch, 4, generator=torch.Generator().manual_seed(seed))


def row(name, only=None):
    """Run a test once for each column of a row; it gets ``make`` and ``verdict``.

    Args:
        name: the row, as the docs page calls it.
        only: a verdict: columns of others are left to another test of the row.
    """
    cases = [
        pytest.param(make, verdict, id=column)
        for (column, make), verdict in zip(COLUMNS.items(), ROWS[name], strict=True)
        if verdict != NONE and only in (None, verdict)
    ]
    return pytest.mark.parametrize(("make", "verdict"), cases)


def outputs_of(module, x, *state, **settings):
    """What every column gives first."""
    return module(x, *state, **settings)[0]


def gradients(module, outputs):
    """By parameter, of a loss that is no sum."""
    named = dict(module.named_parameters())
    loss = (outputs * torch.sin(torch.arange(outputs.numel()).view_as(outputs))).sum()
    return dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))


def close(a, b, tolerance=2e-5):
    """Equal up to rounding: tensors, or mappings of them."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        return all(close(a[name], b[name], tolerance) for name in a)
    assert a.shape == b.shape
    return bool((a.float() - b.float()).abs().max() <= tolerance * max(1.0, b.abs().max().item()))


def same_as_eager(module, used, x, tolerance=2e-5, **settings):
    """Do outputs and gradients of ``used`` equal those of the module it was made of?"""
    ours = outputs_of(used, x, **settings)
    theirs = outputs_of(module, x, **settings)
    return close(ours, theirs, tolerance) and close(
        gradients(module, ours), gradients(module, theirs), tolerance
    )


@contextmanager
def backends():
    """The names of the backends that run meanwhile."""
    door = sys.modules["recurra.engine.run"]
    before, names = door.choose, []

    def choose(*args):
        chosen = before(*args)
        names.append(chosen.name)
        return chosen

    door.choose = choose
    try:
        yield names
    finally:
        door.choose = before


def check_backends(names, verdict, make):
    """The backend that the row says: the machine where no other is named."""
    assert names, "nothing ran"
    assert set(names) == {{WORKS: "native", ATEN: "aten", LOOP: "loop"}[verdict]}
