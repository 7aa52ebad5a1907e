"""What can be foreseen, and what cannot: a model comes down to the entropy rate and never below.

Chains over eight symbols whose next one hangs on the last two (``recurra.data.MarkovChain``), with
rows drawn from Dirichlet distributions of falling concentration: from chance to none at all. A GRU
and a bigram learn from the same stream; scored are their nats on other symbols of the chain, beside
what the true probabilities give on these very symbols. The last chain is a table of ones and zeros:
a sequence without chance, whose start is drawn.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from claim import Claim, Network, begun, drawn, train
from torch import Tensor, nn

from recurra.batch import Batch
from recurra.cells import GRUCell
from recurra.data.synthetic import MarkovChain
from recurra.diagnosis import Axis, Chart
from recurra.models import KneserNey, NGram

SEEDS = (0, 1, 2)
SYMBOLS, ORDER = 8, 2
CONCENTRATIONS: dict[str, float | None] = {"1": 1.0, "0.3": 0.3, "0.1": 0.1, "no chance": None}
WIDTH, ROWS, TIME, STEPS, RATE = 64, 32, 50, 2_000, 0.003
SCORED_TIME, SCORED_ROWS = 1_000, 50  # symbols that are scored
COUNTED = 10_000  # steps of as many rows as are trained on, for the bigram
MEASURED = [
    "src/recurra/cells/affine.py",
    "src/recurra/cells/gru.py",
    "src/recurra/data/synthetic/markov.py",
    "src/recurra/layers/recurrent.py",
    "src/recurra/models/grams.py",
    "src/recurra/models/ngram.py",
    "src/recurra/models/smoothing.py",
]


def chain_of(concentration: float | None, seed: int) -> MarkovChain:
    """Drawn; without chance a walk through all pairs of symbols that comes back (de Bruijn)."""
    if concentration is not None:
        return MarkovChain.drawn(SYMBOLS, ORDER, concentration=concentration, seed=seed)
    chance = np.random.default_rng(seed)
    # Every pair of symbols comes once in a round if each way out of a symbol is taken once: the
    # last way out of each leads down a tree to the first (Hierholzer).
    ways = [list(chance.permutation(SYMBOLS)) for _ in range(SYMBOLS)]
    stack, round_ = [0], []
    while stack:
        if ways[stack[-1]]:
            stack.append(int(ways[stack[-1]].pop()))
        else:
            round_.append(stack.pop())
    walk = round_[::-1][:-1]
    table = np.zeros((SYMBOLS,) * 3)
    for at in range(len(walk)):
        table[walk[at - 2], walk[at - 1], walk[at]] = 1.0
    return MarkovChain(table)


def nats(network: Network, ids: Tensor) -> Tensor:
    """Of every symbol but the first of each row, ``[time - 1, rows]``."""
    said = network.said(network(nn.functional.one_hot(ids[:-1], SYMBOLS).float()))
    return nn.functional.cross_entropy(said.flatten(0, 1), ids[1:].flatten(), reduction="none")


def once(concentration: float | None, seed: int) -> dict[str, Any]:
    """Nats of all of them on the same symbols, and by how much the best score beat the truth."""
    chain = chain_of(concentration, seed)
    held = chain.source(rows=SCORED_ROWS, seed=seed + 1000).take(SCORED_TIME)
    late = slice(ORDER, None)  # the first ones hang on where a row begins
    truth = -chain.log_probabilities(held)[late].numpy()
    torch.manual_seed(seed)
    network = Network(GRUCell(SYMBOLS, WIDTH), SYMBOLS)

    def scores() -> Any:
        every = nats(network, held).reshape(SCORED_TIME - 1, SCORED_ROWS)
        return every[ORDER - 1 :].double().numpy()

    source = chain.source(rows=ROWS, seed=seed).chunks(TIME + 1)
    done = train(
        network,
        (Batch(ids, ids) for ids in source),
        lambda batch: nats(network, batch.inputs).mean(),
        rate=RATE,
        steps=STEPS,
        score=lambda: float(scores().mean()),
        solved=lambda score: False,
        every=100,
    )
    with torch.no_grad():
        rows = (scores() - truth).mean(0)
    bigram = counted(chain, seed, held)
    best = float(truth.mean())
    return {
        "rate": chain.entropy_rate,
        "truth": best,
        "network": done.score,
        "bigram": bigram,
        "least over the truth": min(done.curve.values()) - best,
        "standard error": float(rows.std(ddof=1) / np.sqrt(len(rows))),
        "curve": {step: score - best for step, score in done.curve.items()},
    }


def counted(chain: MarkovChain, seed: int, held: Tensor) -> float:
    """Nats of a bigram, counted on more than a network reads, on the same symbols."""
    read = chain.source(rows=ROWS, seed=seed).take(COUNTED)
    model = NGram.fit(
        [row.numpy() + 1 for row in read.T],  # 0 is what stands before a row
        order=2,
        vocabulary_size=SYMBOLS + 1,
        start=0,
        smoothing=KneserNey(),
    )
    table = np.log([model.distribution([past + 1])[1:] for past in range(SYMBOLS)])
    ids = held.numpy()
    return -float(table[ids[ORDER - 1 : -1], ids[ORDER:]].mean())


def mean(runs: Any, what: str) -> float:
    return statistics.mean(run[what] for run in runs)


def of_determinism() -> Claim:
    found: dict[str, list[dict[str, Any]]] = {}
    for name, concentration in CONCENTRATIONS.items():
        found[name] = [once(concentration, seed) for seed in SEEDS]
        facts = {key: mean(found[name], key) for key in found[name][0] if key != "curve"}
        print(name, facts, flush=True)
    rows = [
        [
            name,
            *(f"{mean(runs, what):.4f}" for what in ("rate", "truth", "network", "bigram")),
            f"{min(run['least over the truth'] for run in runs):+.5f}",
            f"{max(run['standard error'] for run in runs):.5f}",
        ]
        for name, runs in found.items()
    ]
    chances = [run for name, runs in found.items() if CONCENTRATIONS[name] for run in runs]
    least = min(run["least over the truth"] for run in chances)
    most = max(run["network"] - run["truth"] for run in chances)
    sure = mean(found["no chance"], "network")
    return Claim(
        "determinism",
        "What is certain is learned to a loss of 0; what is chance is approached, never beaten.",
        f"nats a symbol of chains over {SYMBOLS} symbols, order {ORDER}, on "
        f"{SCORED_TIME * SCORED_ROWS:,} other symbols: a GRU of {WIDTH} units after "
        f"{STEPS:,} steps of {ROWS} by {TIME} symbols, a bigram, and the true probabilities; "
        f"{len(SEEDS)} seeds",
        f"without chance {sure:.5f} nats; with chance at most {most:.4f} above what the true "
        "probabilities give on the same symbols, and at no time of any training below "
        f"{least:+.4f}",
        ["concentration", "entropy rate", "true probabilities", "GRU", "bigram",
         "least ever over the true ones", "standard error"],
        rows,
        {"runs": found},
        MEASURED,
    )  # fmt: skip


def draw(figures: Mapping[str, Any]) -> Chart:
    series = {}
    for name, runs in figures["runs"].items():
        curves = [run["curve"] for run in runs]
        title = name if name == "no chance" else f"concentration {name}"
        series[title] = {
            float(at): max(statistics.mean(one[at] for one in curves), 1e-5) for at in curves[0]
        }
    return drawn(
        series,
        title="Down to the entropy of a source, and never below",
        about="Nats a symbol above what the true probabilities give on the same symbols, by the "
        f"step of training; mean of {len(SEEDS)} chains each. Without chance these are 0.",
        x=Axis("training step", 0, STEPS, format=",d"),
        y=Axis("nats above the best", 1e-5, 3, log=True, ticks=[1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1]),
    )


def main() -> None:
    """Measure, print, keep and draw."""
    for _ in begun(__doc__, {"determinism": draw}).names:
        of_determinism().keep(draw, SEEDS[0])


if __name__ == "__main__":
    main()
