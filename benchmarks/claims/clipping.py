"""Clipping rescues what explodes; a unit that saturates does not come back.

``clipping``: a ReLU cell whose recurrent matrix starts at the identity times 1 to 1.2, trained by
plain gradient descent on the adding problem of 30 steps, with the norm of a gradient clipped and
without: how many trainings come apart (a loss that is not finite), and the error of the others.

``saturated``: cells of tanh and of sigmoid whose biases start at plus or minus b, trained on rows
of 4 steps by Adam and by gradient descent: what share of units and steps is saturated afterwards,
and the error. Adam divides a gradient by its own size, so that what is small moves too; what is 0
in float32 does not, as the derivative of a tanh from about b = 9 on.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from typing import Any

import torch
from claim import CLIP, Claim, Network, begun, drawn
from torch import Tensor, nn

from recurra.batch import Batch
from recurra.cells import ElmanCell
from recurra.data.synthetic import AddingTask
from recurra.diagnosis import Axis, Chart

SEEDS = (0, 1, 2)
LENGTH, WIDTH, ROWS, SCORED, TEST = 30, 32, 32, 1000, 2
SCALES, STEPS = (1.0, 1.05, 1.1, 1.2), 3_000
RATES = (0.00001, 0.0001, 0.001, 0.01, 0.03, 0.1)  # small ones for large gradients
LEARNED = 0.01  # an error that says so
BIASES, SHORT, SATURATED_STEPS = (0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 15.0, 20.0), 4, 3_000
OPTIMIZERS = {
    "Adam": lambda weights: torch.optim.Adam(weights, 0.01),
    "SGD": lambda weights: torch.optim.SGD(weights, 0.02),
}
EDGE = 0.99  # of its range, beyond which a unit counts as saturated
MEASURED = [
    "src/recurra/cells/affine.py",
    "src/recurra/cells/elman.py",
    "src/recurra/cells/initializers.py",
    "src/recurra/data/synthetic/tasks.py",
    "src/recurra/layers/recurrent.py",
]


def error(network: Network, batch: Batch) -> Tensor:
    return network.squared(network(batch.inputs), batch.targets)


def finite(network: Network, task: AddingTask, seed: int) -> float:
    """Error on fresh rows, inf if it is no number."""
    with torch.no_grad():
        found = float(error(network, task.batch(SCORED, seed=seed)))
    return found if math.isfinite(found) else math.inf


# ---- clipping ------------------------------------------------------------------------------------


def exploding(scale: float, clip: float | None, rate: float, seed: int) -> dict[str, float]:
    """Errors on two sets of fresh rows, the steps until it came apart, the largest gradient."""
    torch.manual_seed(seed)
    cell = ElmanCell.irnn(2, WIDTH)
    with torch.no_grad():
        cell.recurrent_weight.mul_(scale)
    network, task = Network(cell), AddingTask(LENGTH)
    optimizer = torch.optim.SGD(network.parameters(), rate)
    largest, done = 0.0, 0
    batches = task.batches(ROWS, seed=seed + 10)
    while done < STEPS:
        optimizer.zero_grad()
        loss = error(network, next(batches))
        if not math.isfinite(float(loss.detach())):
            break
        done += 1
        torch.autograd.backward(loss)
        norm = float(nn.utils.clip_grad_norm_(network.parameters(), clip or math.inf))
        largest = max(largest, norm) if math.isfinite(norm) else math.inf
        optimizer.step()
    score, test = (finite(network, task, part) for part in (1, TEST))
    return {"score": score, "error": test, "steps": done, "largest": largest}


def clipped(scale: float, clip: float | None) -> dict[str, Any]:
    """At the rate that is best on rows for validation with the first seed."""
    tried = {rate: exploding(scale, clip, rate, SEEDS[0]) for rate in RATES}
    rate = min(tried, key=lambda each: tried[each]["score"])
    runs = [tried[rate], *(exploding(scale, clip, rate, seed) for seed in SEEDS[1:])]
    print(scale, clip, rate, runs, flush=True)
    return {
        "rate": rate,
        "apart": sum(not math.isfinite(run["error"]) for run in runs),
        "tried apart": sum(not math.isfinite(each["error"]) for each in tried.values()),
        "error": statistics.median(run["error"] for run in runs),
        "largest": max(run["largest"] for run in runs),
        "runs": runs,
    }


WAYS: dict[str, float | None] = {"clipped": CLIP, "not clipped": None}


def of_clipping() -> Claim:
    found = {
        way: {str(scale): clipped(scale, clip) for scale in SCALES} for way, clip in WAYS.items()
    }
    rows = [
        [
            way,
            *(
                f"{each['error']:.4f} ({each['apart']} of {len(SEEDS)} apart)"
                if math.isfinite(each["error"])
                else f"{each['apart']} of {len(SEEDS)} apart"
                for each in own.values()
            ),
        ]
        for way, own in found.items()
    ]
    told = []
    for way, own in found.items():
        apart = sum(each["apart"] for each in own.values())
        errors = ", ".join(f"{each['error']:.3f}" for each in own.values())
        told.append(
            f"{way} {apart} of {len(SEEDS) * len(SCALES)} trainings come apart, errors {errors}"
        )
    worst = max(each["largest"] for each in found["clipped"].values())
    return Claim(
        "clipping",
        "Clipping rescues what explodes.",
        f"squared error on the adding problem of {LENGTH} steps (1/6 without memory) of a ReLU "
        f"cell of {WIDTH} units that starts at the identity times a number, {STEPS:,} steps of "
        f"gradient descent, the norm clipped at {CLIP:g} or not, the best of {len(RATES)} rates, "
        f"median of {len(SEEDS)} seeds",
        f"{'; '.join(told)}; the largest norm that was clipped is {worst:.1e}",
        ["gradient", *(f"times {scale:g}" for scale in SCALES)],
        rows,
        {"ways": found},
        MEASURED,
    )


# ---- saturation ----------------------------------------------------------------------------------


def saturated(network: Network, batch: Batch, kind: str) -> float:
    """Share of units and steps at an edge of their range."""
    with torch.no_grad():
        outputs = network(batch.inputs)
    middle, half = (0.0, 1.0) if kind == "tanh" else (0.5, 0.5)
    return float((((outputs - middle) / half).abs() > EDGE).float().mean())


def started(kind: str, optimizer: str, bias: float, seed: int) -> dict[str, float]:
    """Error and share of saturated units after a training that starts with such biases."""
    torch.manual_seed(seed)
    network, task = Network(ElmanCell(2, WIDTH, activation=kind)), AddingTask(SHORT)
    own = network.layer.cell.bias
    with torch.no_grad():
        own.copy_(bias * (2.0 * torch.randint(2, own.shape) - 1))
    held = task.batch(SCORED, seed=TEST)
    before = saturated(network, held, kind)
    steps = OPTIMIZERS[optimizer](network.parameters())
    batches = task.batches(ROWS, seed=seed + 10)
    for _ in range(SATURATED_STEPS):
        steps.zero_grad()
        torch.autograd.backward(error(network, next(batches)))
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        steps.step()
    return {
        "before": before,
        "after": saturated(network, held, kind),
        "error": finite(network, task, TEST),
        "moved": float((own.detach().abs() - bias).abs().max()),
    }


def of_saturated() -> Claim:
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    for kind in ("tanh", "sigmoid"):
        for optimizer in OPTIMIZERS:
            name = f"{kind}, {optimizer}"
            found[name] = {
                f"{bias:g}": [started(kind, optimizer, bias, seed) for seed in SEEDS]
                for bias in BIASES
            }
            print(
                name, {bias: mean(runs, "error") for bias, runs in found[name].items()}, flush=True
            )
    rows = [
        [name, *(f"{mean(runs, 'error'):.4f} ({mean(runs, 'after'):.0%})" for runs in own.values())]
        for name, own in found.items()
    ]
    told = []
    for name, own in found.items():
        learned = [bias for bias, runs in own.items() if mean(runs, "error") <= LEARNED]
        far = own[f"{BIASES[-1]:g}"]
        told.append(
            f"{name} learns from b = {', '.join(learned) or 'none of them'}, and of the last "
            f"{mean(far, 'after'):.0%} stay saturated (error {mean(far, 'error'):.3f})"
        )
    return Claim(
        "saturated",
        "A unit that starts saturated does not recover.",
        f"squared error on the adding problem of {SHORT} steps after {SATURATED_STEPS:,} steps of "
        f"training, and the share of units beyond {EDGE:.0%} of their range, by the size b of the "
        f"biases at the start; {WIDTH} units, mean of {len(SEEDS)} seeds; an error of "
        f"{LEARNED:g} counts as learned, 1/6 is that without memory",
        "; ".join(told),
        ["cell", *(f"b = {bias:g}" for bias in BIASES)],
        rows,
        {"cells": found},
        MEASURED,
    )


def mean(runs: Any, what: str) -> float:
    return statistics.mean(run[what] for run in runs)


# ---- drawing -------------------------------------------------------------------------------------


def draw_clipping(figures: Mapping[str, Any]) -> Chart:
    top = 1.0
    series = {
        way: {float(scale): each["error"] for scale, each in own.items()}
        for way, own in figures["ways"].items()
    }
    return drawn(
        series,
        title="Clipping rescues what explodes",
        about=f"Squared error after {STEPS:,} steps of gradient descent, median of {len(SEEDS)} "
        f"seeds; {top:g} stands for a training that came apart.",
        x=Axis("what the identity is multiplied by at the start", 1, 1.2, ticks=SCALES),
        y=Axis("squared error", 0.005, top, log=True, ticks=[0.01, 0.1, 1]),
        levels={"without memory": 1 / 6},
    )


def draw_saturated(figures: Mapping[str, Any]) -> Chart:
    series = {
        name: {float(bias): mean(runs, "error") for bias, runs in own.items()}
        for name, own in figures["cells"].items()
    }
    return drawn(
        series,
        title="What starts saturated stays so",
        about=f"Squared error after {SATURATED_STEPS:,} steps of training, mean of {len(SEEDS)} "
        "seeds, by the size of the biases at the start.",
        x=Axis("size of biases at the start", 0, BIASES[-1]),
        y=Axis("squared error", 0.00005, 0.5, log=True, ticks=[0.0001, 0.001, 0.01, 0.1]),
        levels={"without memory": 1 / 6},
    )


CASES = {"clipping": (of_clipping, draw_clipping), "saturated": (of_saturated, draw_saturated)}


def main() -> None:
    """Measure, print, keep and draw."""
    for name in begun(__doc__, {name: draw for name, (_, draw) in CASES.items()}).names:
        measure, draw = CASES[name]
        measure().keep(draw, SEEDS[0])


if __name__ == "__main__":
    main()
