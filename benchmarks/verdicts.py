"""How often verdicts are right: of each condition networks that have it, and networks that do not.

Beside it, how far the measured memory is from that of brute force: every distance, and several
other inputs at each, where a verdict looks at some distances once.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from harness import keep, machine_in_words

from recurra.cells import ElmanCell, GRUCell, LSTMCell
from recurra.data.synthetic import AddingTask
from recurra.diagnosis.examination.cases import CASES, Network
from recurra.diagnosis.examination.horizon import Response, response
from recurra.diagnosis.subject import subject_of

MEASURED = ["src/recurra/diagnosis", "src/recurra/engine/probe.py", "src/recurra/engine/opened.py"]
CELLS = {
    "tanh": lambda: ElmanCell(2, 32),
    "ReLU from identity times 0.95": lambda: _identity(),
    "GRU": lambda: GRUCell(2, 32),
    "LSTM": lambda: LSTMCell(2, 32),
    "LSTM, forget bias 3": lambda: LSTMCell(2, 32, forget_bias=3.0),
}


def _identity() -> ElmanCell:
    cell = ElmanCell.irnn(2, 32)
    with torch.no_grad():
        cell.recurrent_weight.mul_(0.95)
    return cell


def rates(seeds: int) -> dict[str, dict[str, float]]:
    """Of each condition in how many networks it was said."""
    found = {}
    for name, case in CASES.items():
        began = time.perf_counter()
        said = {
            which: sum(name in [each.name for each in make(seed).verdicts] for seed in range(seeds))
            for which, make in (("has", case.has), ("lacks", case.lacks))
        }
        found[name] = {**said, "seconds": (time.perf_counter() - began) / seeds / 2}
        print(
            f"{name:22} {said['has']:3d} of {seeds} that have it, {said['lacks']:3d} that do not "
            f"({case.story})",
            flush=True,
        )
    return found


def horizons(seed: int = 0, times: int = 5) -> dict[str, list[float]]:
    """Of each cell what is measured, and what brute force says, on 400 steps of the adding task."""
    found = {}
    batch = AddingTask(length=400).batch(32, seed=seed)
    for name, make in CELLS.items():
        torch.manual_seed(seed)
        network = Network(make())
        subject = subject_of(network, batch, network.squared)
        quick = response(subject)
        all_of_them = [response(subject, number=4096, seed=n).values for n in range(1, times + 1)]
        mean = np.sqrt(np.mean(np.square(all_of_them), axis=0))
        brute = Response(np.arange(len(mean)), mean, quick.spread)
        found[name] = [quick.horizon(), brute.horizon()]
        print(f"{name:30} measured {found[name][0]:6.1f}, brute force {found[name][1]:6.1f}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    given = parser.parse_args()
    print(machine_in_words())
    far = horizons()
    worst = max(max(a / b, b / a) for a, b in far.values() if min(a, b) > 0)
    said = rates(given.seeds)
    least = min(each["has"] for each in said.values()) / given.seeds
    most = max(each["lacks"] for each in said.values()) / given.seeds
    figure = (
        f"said of at least {least:.0%} of the networks that have it, and of at most {most:.0%} of "
        f"those that do not; measured memory within a factor {worst:.2f} of brute force"
    )
    print(figure)
    facts = {
        "question": f"of {len(CASES)} verdicts, how often each is right, {given.seeds} seeds; "
        "goals 95 %, 5 %, and a factor of 1.5",
        "figure": figure,
        "rates": said,
        "horizons": far,
    }
    keep("verdicts", facts, MEASURED, seed=0)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
