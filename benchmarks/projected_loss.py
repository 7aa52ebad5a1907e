"""Cross-entropy of projected features: how much faster, and in how much less memory, than torch?

``recurra.projected_cross_entropy`` against ``nn.Linear`` and ``cross_entropy``: forward and
backward to features, weight and bias. Memory is measured in a fresh process for each: what is kept
between forward and backward beside inputs and parameters, and how far the first training step's
peak rises above the size after imports and inputs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

import torch
from findings import Findings
from harness import keep, machine_in_words, measure
from processes import Saved, forget_peak, in_fresh_process, peak, resident
from rivals import must_agree, trained
from torch import Tensor
from torch.nn import functional

from recurra import projected_cross_entropy
from recurra.columns import aligned

SEED = 0
TOKENS, WIDTH = 700, 256
# By number of labels, how many times as fast it is to be, and passes in a timed run.
LABELS = {9000: (1.5, 1), 30000: (None, 1), 100: (None, 10)}
RIVALS = ("recurra", "torch")


def given(labels: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features, weight, bias and targets."""
    torch.manual_seed(SEED)
    x = torch.randn(TOKENS, 1, WIDTH).requires_grad_()
    weight = (torch.randn(labels, WIDTH) / WIDTH**0.5).requires_grad_()
    bias = torch.randn(labels).requires_grad_()
    return x, weight, bias, torch.randint(labels, (TOKENS, 1))


def losses(
    x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor
) -> dict[str, Callable[[], Tensor]]:
    """The sum over all tokens, in both ways."""

    def plain() -> Tensor:
        scores = functional.linear(x.flatten(0, 1), weight, bias)
        return functional.cross_entropy(scores, targets.flatten(), reduction="sum")

    return {
        "recurra": lambda: projected_cross_entropy(x, weight, bias, targets),
        "torch": plain,
    }


def rivals_of(labels: int, passes: int) -> dict[str, Callable[[], object]]:
    """Training in both ways; ends the benchmark if their results differ."""
    inputs = given(labels)
    one, read = torch.ones(()), inputs[:3]
    ways = losses(*inputs)
    found = [(way().detach(), *trained(way, read, one)()) for way in ways.values()]
    must_agree(f"{labels} labels", *found)
    return {name: trained(way, read, one, passes) for name, way in ways.items()}


def memory(rival: str, labels: int) -> dict[str, int]:
    """Bytes that are kept, and the rise of the peak, of the first step of this process."""
    inputs = given(labels)
    way = losses(*inputs)[rival]
    forget_peak()
    before = resident()
    with Saved(inputs) as saved:
        loss = way()
    kept = saved.bytes()
    gradients = torch.autograd.grad(loss, inputs[:3])
    assert all(map(torch.is_tensor, gradients))
    return {"kept": kept, "rise": peak() - before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--threads", type=int, help="of both; torch's own choice if not given")
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.threads is not None:
        torch.set_num_threads(asked.threads)
    if asked.memory:
        print(json.dumps(memory(asked.memory[0], int(asked.memory[1]))))
        return
    print(machine_in_words())
    found, bytes_of = Findings(), {}
    table = [("labels", "", "kept, MB", "rise, MB")]
    threads = [] if asked.threads is None else ["--threads", asked.threads]
    for labels, (goal, passes) in LABELS.items():
        done = measure(rivals_of(labels, passes), asked.runs)
        both = {r: in_fresh_process("--memory", r, labels, *threads) for r in RIVALS}
        bytes_of[labels] = both
        ours, theirs = (both[rival] for rival in RIVALS)
        share = {what: ours[what] / max(theirs[what], 1) for what in ours}
        told = f"{labels:,} labels (keeps {share['kept']:.0%}, rises {share['rise']:.0%})"
        found.add(f"{labels:,} labels", done, {"torch": goal}, told=told)
        table += [
            (str(labels), rival, f"{b['kept'] / 1e6:.2f}", f"{b['rise'] / 1e6:.2f}")
            for rival, b in both.items()
        ]
        table.append((str(labels), "share", f"{share['kept']:.0%}", f"{share['rise']:.0%}"))
    print(found.table(), aligned(table), sep="\n\n")
    keep(
        "projected_loss",
        {
            "question": f"cross-entropy of {TOKENS} projected features, {WIDTH} wide, forward and "
            "backward, times as fast as linear and cross_entropy of torch (bytes kept between, "
            "and rise of the peak, as a share of torch's)",
            **found.to_json(),
            "memory": bytes_of,
        },
        [
            "src/recurra/losses.py",
            "src/recurra/engine",
            "runtime/native",
        ],
        seed=SEED,
        by_kind=True,
        void=found.void,
    )


if __name__ == "__main__":
    main()
