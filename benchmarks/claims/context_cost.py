"""What a long context costs: a state of one size, a window, or all that was read.

Three language models of about as many parameters: two recurrent layers (LSTM), four layers of
attention to the last 128 symbols, and a plain Transformer of four layers that looks at all symbols.

``context``: bytes that are carried and microseconds of a step with 100 to 100,000 symbols behind
it. The first two are frozen sessions of this library; the plain Transformer is written in torch
below, its keys and values kept in place and looked at by torch's own kernel.

``context_quality``: nats a character of tinyshakespeare held out after as many seconds of CPU time.
The rate of each is the best of two on the validation part after a fourth of the time. Attention
looks at the window, or at 256 symbols for the plain one, which is what its training can afford.
"""

from __future__ import annotations

import csv
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from claim import Claim, begun, data, drawn, parameters, quartiles
from torch import Tensor, nn

import recurra
from recurra import artifact
from recurra.diagnosis import Axis, Chart
from recurra.diagnosis.charts.panels import axis_over
from recurra.models import LanguageModel, LanguageModelConfig
from recurra.states import leaves

CONTEXTS, STEPS, WARM = (100, 1_000, 10_000, 100_000), 40, 5
SYMBOLS, EMBEDDING, LAYERS, WINDOW, AFFORDED = 68, 64, 4, 128, 256
SECONDS, TRIED, RATES = 60.0, (20_000, 20_000, 200_000), (0.002, 0.005)
RECURRENT: dict[str, Any] = {"layers": 2, "hidden_size": 128, "embedding_size": EMBEDDING}
COST = [
    "src/recurra/cells/lstm.py",
    "src/recurra/engine",
    "src/recurra/layers",
    "src/recurra/models/language.py",
]
QUALITY = [
    *COST,
    "src/recurra/recipes/language-model.toml",
    "src/recurra/tasks/language_model",
    "src/recurra/training/loop.py",
]


# ---- models of about as many parameters ----------------------------------------------------------


def attending(window: int) -> dict[str, Any]:
    """Settings of attention layers, as wide as it takes to have as many parameters."""
    most = count(RECURRENT)

    def settings(width: int) -> dict[str, Any]:
        layers = {"body": "transformer", "layers": LAYERS, "attention_window": window}
        return {**layers, "hidden_size": width, "embedding_size": EMBEDDING}

    widths = range(16, 257, 4)
    return min(map(settings, widths), key=lambda each: abs(count(each) - most))


def count(settings: Mapping[str, Any]) -> int:
    return parameters(model_of(settings))


def model_of(settings: Mapping[str, Any]) -> LanguageModel:
    return LanguageModel(LanguageModelConfig(vocabulary_size=SYMBOLS, **settings)).eval()


class Plain(nn.Module):
    """A step of a plain Transformer, its keys and values of all steps before kept in place.

    Args:
        width: of every layer.
        layers: how many.
        context: steps that there is room for.
        heads: that attend beside each other.
    """

    def __init__(self, width: int, layers: int, context: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.read, self.said = nn.Embedding(SYMBOLS, width), nn.Linear(width, SYMBOLS)
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm": nn.LayerNorm(width),
                    "attend": nn.Linear(width, 3 * width),
                    "joined": nn.Linear(width, width),
                    "after": nn.LayerNorm(width),
                    "wide": nn.Linear(width, 4 * width),
                    "narrow": nn.Linear(4 * width, width),
                }
            )
            for _ in range(layers)
        )
        shape = (layers, 2, 1, heads, context, width // heads)
        self.kept = torch.randn(shape)

    def forward(self, symbol: Tensor, at: int) -> Tensor:
        """Scores ``[1, symbols]`` of what follows a symbol ``[1]``, which has ``at`` before it."""
        x: Tensor = self.read(symbol)
        for number, layer in enumerate(self.layers):
            parts = layer["attend"](layer["norm"](x)).reshape(3, 1, self.heads, -1)
            self.kept[number, :, :, :, at] = parts[1:]
            keys, values = self.kept[number, :, :, :, : at + 1]
            looked = nn.functional.scaled_dot_product_attention(parts[0].unsqueeze(2), keys, values)
            x = x + layer["joined"](looked.reshape(1, -1))
            x = x + layer["narrow"](torch.relu(layer["wide"](layer["after"](x))))
        scores: Tensor = self.said(x)
        return scores


def plain(context: int) -> Plain:
    """As wide as it takes to have as many parameters."""
    most = count(RECURRENT)
    widths = range(16, 257, 4)
    width = min(widths, key=lambda each: abs(parameters(Plain(each, LAYERS, 1)) - most))
    return Plain(width, LAYERS, context).eval()


# ---- what a step costs ---------------------------------------------------------------------------


def timed(step: Callable[[], object]) -> list[float]:
    """Quartiles of a step's microseconds of CPU time."""
    for _ in range(WARM):
        step()
    taken = []
    for _ in range(STEPS):
        began = time.thread_time()
        step()
        taken.append((time.thread_time() - began) * 1e6)
    return [*quartiles(taken)]


def of_session(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A stream that has read more than the longest window; it costs the same at any context."""
    model = model_of(settings)
    session, ids = model.frozen(), np.zeros(1, np.int64)
    for _ in range(2 * WINDOW):
        session.step(ids)
    carried = sum(leaf.numel() * leaf.element_size() for leaf in leaves(model.initial_state(1)))
    return {
        "parameters": parameters(model),
        **{str(context): {"bytes": carried, "us": timed(lambda: session.step(ids))}
           for context in CONTEXTS},
    }  # fmt: skip


@torch.no_grad()
def of_plain() -> dict[str, Any]:
    found: dict[str, Any] = {}
    symbol = torch.zeros(1, dtype=torch.int64)
    for context in CONTEXTS:
        model = plain(context)
        carried = model.kept.numel() * model.kept.element_size()
        last = context - 1
        found["parameters"] = parameters(model)
        found[str(context)] = {"bytes": carried, "us": timed(lambda: model(symbol, last))}  # noqa: B023
    return found


def size_of(number: float) -> str:
    """Bytes in words."""
    return f"{number / 1e6:,.1f} MB" if number >= 1e6 else f"{number / 1e3:,.0f} kB"


def of_context() -> Claim:
    found = {
        "recurrent": of_session(RECURRENT),
        f"attention to {WINDOW}": of_session(attending(WINDOW)),
        "plain Transformer": of_plain(),
    }
    rows = [
        [name, f"{each['parameters']:,}",
         *(f"{size_of(each[str(n)]['bytes'])}, {each[str(n)]['us'][1]:,.0f} µs" for n in CONTEXTS)]
        for name, each in found.items()
    ]  # fmt: skip
    far = str(CONTEXTS[-1])
    told = [
        f"{name} {size_of(each[far]['bytes'])} and {each[far]['us'][1]:,.0f} µs"
        for name, each in found.items()
    ]
    return Claim(
        "context",
        "A recurrent state costs the same however long the context; attention to all of it grows.",
        "bytes that are carried and microseconds of CPU time of one step of one row (median of "
        f"{STEPS}), with so many symbols behind it, at about as many parameters",
        f"with {CONTEXTS[-1]:,} symbols behind: {'; '.join(told)}",
        ["model", "parameters", *(f"{n:,} symbols" for n in CONTEXTS)],
        rows,
        {"models": found},
        COST,
    )


# ---- what it is worth ----------------------------------------------------------------------------


def trained(out: Path, settings: Mapping[str, Any], rate: float, symbols: int) -> tuple[Any, float]:
    """A run, and its seconds of CPU time."""
    began = time.process_time()
    done = recurra.train(
        "language-model",
        data("tinyshakespeare/input.txt"),
        out=out,
        dropout=0.0,
        learning_rate=rate,
        symbols=symbols,
        ngram_orders=[],
        scored=50_000,
        evaluations=8,
        report=lambda told: None,
        **settings,
    )
    return done, time.process_time() - began


def validated(out: Path) -> dict[int, float]:
    """Scores of the validation part in nats, by the symbols that were read."""
    rows = list(csv.DictReader((out / "log.csv").read_text().splitlines()))
    return {
        int(row["symbols"]): float(row["validation_nats"]) for row in rows if row["validation_nats"]
    }


def quality(place: Path, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Nats after a training that takes as long as the others'."""
    # What a run takes beside its symbols (reading, scoring) is the same for all, and is left out;
    # and so is what the very first one takes.
    taken = [trained(place / f"{name} try {n}", settings, RATES[0], size)[1]
             for n, size in enumerate(TRIED)]  # fmt: skip
    a_second = (TRIED[2] - TRIED[1]) / (taken[2] - taken[1])
    print(f"{name}: {a_second:,.0f} symbols a second", flush=True)
    tried = {}
    for rate in RATES:
        out = place / f"{name} at {rate}"
        trained(out, settings, rate, int(a_second * SECONDS / 4))
        tried[rate] = min(validated(out).values())
        print(f"{name} at {rate}: {tried[rate]:.4f}", flush=True)
    rate = min(tried, key=lambda each: tried[each])
    symbols = int(a_second * SECONDS)
    done, seconds = trained(place / name, settings, rate, symbols)
    return {
        "nats": done.evaluations[0].loss,
        "parameters": parameters(artifact.load(place / name).model),
        "symbols": symbols,
        "seconds": seconds,
        "learning_rate": rate,
        "tried": tried,
        "curve": {read / a_second: nats for read, nats in validated(place / name).items()},
    }


def of_quality() -> Claim:
    cases = {
        "recurrent": RECURRENT,
        f"attention to {WINDOW}": attending(WINDOW) | {"window": WINDOW},
        f"plain Transformer, {AFFORDED}": attending(AFFORDED) | {"window": AFFORDED},
    }
    with tempfile.TemporaryDirectory() as place:
        found = {name: quality(Path(place), name, each) for name, each in cases.items()}
    rows = [
        [name, f"{each['parameters']:,}", f"{each['symbols']:,}", f"{each['seconds']:.0f}",
         f"{each['nats']:.4f}"]
        for name, each in found.items()
    ]  # fmt: skip
    return Claim(
        "context_quality",
        "At equal parameters and equal time a small recurrent model is no worse than attention.",
        f"nats a character of tinyshakespeare held out, after {SECONDS:g} seconds of CPU time for "
        f"the symbols of the training, the best of {len(RATES)} rates, one seed",
        "; ".join(f"{name} {each['nats']:.4f} after {each['symbols'] / 1e3:,.0f} thousand symbols"
                  for name, each in found.items()),
        ["model", "parameters", "symbols", "CPU seconds", "nats"],
        rows,
        {"models": found},
        QUALITY,
    )  # fmt: skip


# ---- drawing -------------------------------------------------------------------------------------


def draw_context(figures: Mapping[str, Any]) -> Chart:
    series = {
        name: {float(n): each[str(n)]["us"][1] for n in CONTEXTS}
        for name, each in figures["models"].items()
    }
    return drawn(
        series,
        title="What a step costs with a long context behind it",
        about="Microseconds of CPU time of one step of one row, one thread, at about as many "
        "parameters.",
        x=Axis("symbols behind", CONTEXTS[0], CONTEXTS[-1], log=True, ticks=CONTEXTS, format=",d"),
        y=Axis(
            "µs a step", 10, 100_000, log=True, ticks=[10, 100, 1_000, 10_000, 100_000], format=",d"
        ),
    )


def draw_quality(figures: Mapping[str, Any]) -> Chart:
    series = {
        name: {float(at): nats for at, nats in each["curve"].items()}
        for name, each in figures["models"].items()
    }
    every = [nats for points in series.values() for nats in points.values()]
    return drawn(
        series,
        title="What it is worth at equal parameters and equal time",
        about="Nats a character of the validation part of tinyshakespeare, one seed.",
        x=Axis("seconds of CPU time", 0, SECONDS),
        y=axis_over("nats", every),
    )


CASES = {"context": (of_context, draw_context), "context_quality": (of_quality, draw_quality)}


def main() -> None:
    """Measure, print, keep and draw."""
    for name in begun(__doc__, {name: draw for name, (_, draw) in CASES.items()}).names:
        measure, draw = CASES[name]
        measure().keep(draw)


if __name__ == "__main__":
    main()
