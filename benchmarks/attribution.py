"""Where it is known which steps matter: are these the steps that an attribution names?

* ``adding``: rows of 40 numbers, of which two are marked; a GRU says the sum of these two.
* ``copying``: five symbols of eight, which a GRU says again 20 steps later; which symbol it says at
  a step (its log-probability among the eight) hangs on one step of 30.

As many steps of a row are named as matter, those of the largest attributions without sign, so that
precision and recall are one number. Beside it stand both where that number is not known: named are
steps of at least a share of the row's largest. Baseline and share are chosen on rows of their own,
for each method alone, and scored on further ones. Rivals are gradient times input, which needs one
pass, and steps that are named at random.
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from harness import keep, machine_in_words
from torch import Tensor, nn

import recurra
from recurra.data.synthetic import AddingTask, CopyTask
from recurra.diagnosis import attribute
from recurra.diagnosis.explanation.attribution import METHODS

SEEDS = (0, 1, 2)
ROWS = 60  # that are explained
FEW, MANY = 8, 32  # other rows that are a baseline together
SHARES = (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0)
ADDING, COPYING = AddingTask(40), CopyTask(8, 5, 20)
MEASURED = [
    "benchmarks/attribution.py",
    "src/recurra/cells/affine.py",
    "src/recurra/cells/gru.py",
    "src/recurra/data/synthetic/tasks.py",
    "src/recurra/diagnosis/explanation/answering.py",
    "src/recurra/diagnosis/explanation/attribution.py",
    "src/recurra/diagnosis/explanation/places.py",
    "src/recurra/diagnosis/subject.py",
]


class Case(NamedTuple):
    """Rows whose steps are explained.

    Args:
        scores: of a method and a baseline, attributions ``[time, cases]``.
        truth: which steps matter ``[time, cases]``.
        baselines: by name.
    """

    scores: Callable[[Any, Any], Tensor]
    truth: Tensor
    baselines: Mapping[str, Any]


class Adder(nn.Module):
    """Two numbers a step to one number a row."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = recurra.Recurrent(recurra.GRUCell(2, 32)), nn.Linear(32, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """``[time, rows, 2]`` to ``[rows, 1]``."""
        return self.head(self.layer(inputs).last)


class Copier(nn.Module):
    """Ids to scores of ids at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = recurra.TokenEmbedding(COPYING.symbols + 2, 16)
        self.layer, self.head = recurra.Recurrent(recurra.GRUCell(16, 64)), nn.Linear(64, 10)

    def forward(self, ids: Tensor) -> Tensor:
        """``[time, rows]`` to ``[time, rows, symbols]``."""
        return self.head(self.layer(self.embedding(ids)).outputs)


def trained(
    model: nn.Module, task: Any, loss: Callable[[Tensor, Tensor], Tensor], steps: int, rate: float,
    seed: int,
) -> None:  # fmt: skip
    """Adam, with a rate that falls to a fiftieth."""
    optimizer = torch.optim.Adam(model.parameters(), rate)
    for step, batch in zip(range(steps), task.batches(64, seed=seed), strict=False):
        optimizer.param_groups[0]["lr"] = rate * max(0.02, 1 - step / steps)
        optimizer.zero_grad()
        loss(model(batch.inputs), batch.targets).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def adding(seed: int) -> tuple[float, Callable[[int], Case]]:
    """The root of the squared error, and rows of a seed."""
    model = Adder()
    trained(model, ADDING, nn.functional.mse_loss, 1500, 0.01, seed)
    test = ADDING.batch(1000, seed=9000 + seed)
    with torch.no_grad():
        error = float(nn.functional.mse_loss(model(test.inputs), test.targets)) ** 0.5

    def case(number: int) -> Case:
        inputs = ADDING.batch(ROWS, seed=number).inputs
        others = ADDING.batch(ROWS * FEW, seed=50_000 + number).inputs
        middle = inputs.clone()
        middle[..., 0] = 0.5
        return Case(
            lambda method, base: attribute(model, inputs, method, baseline=base).steps(),
            inputs[..., 1] > 0,
            {"0": 0.0, "mean": "mean", "others": [*others.split(ROWS, 1)], "middle": middle},
        )

    return error, case


def copying(seed: int) -> tuple[float, Callable[[int], Case]]:
    """The share of wrong symbols, and rows of a seed."""
    model = Copier()

    def loss(scores: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(scores.flatten(0, 1), targets.flatten())

    trained(model, COPYING, loss, 8000, 0.003, seed)
    test = COPYING.batch(1000, seed=9000 + seed)
    with torch.no_grad():
        said = model(test.inputs).argmax(-1)
    wrong = float((said != test.targets)[-COPYING.length :].float().mean())

    def case(number: int) -> Case:
        batch = COPYING.batch(ROWS, seed=number)
        others = COPYING.batch(ROWS * MANY, seed=50_000 + number).inputs
        with torch.no_grad():
            vectors, some = model.embedding(batch.inputs), model.embedding(others)
        middle = vectors.clone()
        middle[: COPYING.length] = model.embedding.weight[: COPYING.symbols].mean(0).detach()
        truth = torch.zeros(len(vectors), COPYING.length, ROWS, dtype=torch.bool)
        for place in range(COPYING.length):
            truth[place, place] = True

        def scores(method: Any, base: Any) -> Tensor:
            found = []
            for place in range(-COPYING.length, 0):
                told = attribute(
                    model,
                    batch.inputs,
                    method,
                    output=lambda said, at=place: said[at, :, : COPYING.symbols].log_softmax(-1),
                    label=batch.targets[place],
                    baseline=base,
                    most=16,
                )
                found.append(told.steps())
            return torch.cat(found, 1)

        given = {"0": 0.0, "mean": "mean", "others": [*some.split(ROWS, 1)], "middle": middle}
        return Case(scores, truth.flatten(1), given)

    return wrong, case


def named(scores: Tensor, truth: Tensor, share: float) -> tuple[float, float]:
    """Precision and recall of the steps that are named, over all rows."""
    size = scores.abs()
    said = (size >= share * size.amax(0)) & (size > 0)
    right = float((said & truth).sum())
    return right / max(float(said.sum()), 1.0), right / float(truth.sum())


def f1(pair: tuple[float, float]) -> float:
    """Precision and recall as one number."""
    return 2 * pair[0] * pair[1] / max(sum(pair), 1e-9)


def first(scores: Tensor, truth: Tensor) -> float:
    """Which part of the steps that matter is among as many that are named."""
    count = int(truth[:, 0].sum())
    return float(truth.gather(0, scores.abs().topk(count, 0).indices).float().mean())


def scored(chosen_on: Case, case: Case) -> dict[str, dict[str, Any]]:
    """Of each method what the first rows choose, and what that scores on the others."""
    found: dict[str, dict[str, Any]] = {}
    for method in METHODS:
        known = {n: chosen_on.scores(method, base) for n, base in chosen_on.baselines.items()}
        by_base = {n: case.scores(method, base) for n, base in case.baselines.items()}
        best = max(known, key=lambda name: first(known[name], chosen_on.truth))
        pairs = [
            (f1(named(scores, chosen_on.truth, share)), name, share)
            for name, scores in known.items()
            for share in SHARES
        ]
        _, base, share = max(pairs)
        precision, recall = named(by_base[base], case.truth, share)
        found[method] = {
            "first": first(by_base[best], case.truth),
            "baseline": best,
            "by baseline": {n: first(scores, case.truth) for n, scores in by_base.items()},
            "by share": {"precision": precision, "recall": recall, "of": base, "share": share},
        }
        print(f"  {method}: {found[method]}", flush=True)
    chance = torch.rand(case.truth.shape, generator=torch.Generator().manual_seed(0))
    found["at random"] = {"first": first(chance, case.truth)}
    return found


CASES: dict[str, tuple[str, Callable[[int], Any]]] = {
    "adding": (
        "precision and recall of the two marked steps of 40 of the adding problem; goal: at least "
        "0.95 of integrated gradients",
        adding,
    ),
    "copying": (
        "precision and recall of the one step of 30 whose symbol is said again; goal: at least "
        "0.95 of integrated gradients",
        copying,
    ),
}


def main() -> None:
    """Print each, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all if none")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="fewer are not kept")
    given = parser.parse_args()
    print(machine_in_words())
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of gaps: off-road baselines have some
    for name in given.cases or CASES:
        question, make = CASES[name]
        runs = {}
        for seed in SEEDS[: given.seeds]:
            torch.manual_seed(seed)
            error, case = make(seed)
            print(f"{name}, seed {seed}: error of the model {error:.4f}", flush=True)
            runs[seed] = {"error": error, **scored(case(1000 + seed), case(2000 + seed))}

        told = [
            f"{method} {statistics.mean(run[method]['first'] for run in runs.values()):.3f}"
            for method in (*METHODS, "at random")
        ]
        print(f"{name}: {'; '.join(told)}", flush=True)
        if given.seeds == len(SEEDS):
            figures = {"question": question, "figure": "; ".join(told), "runs": runs}
            keep(f"attribution_{name}", figures, MEASURED)


if __name__ == "__main__":
    main()
