"""What does training in bfloat16 cost in the loss that is reached?

A language model of letters of each of two texts, trained in float32 and with products rounded to
bfloat16, from the same seed, over the same symbols; scored in float32 on what was held out. A CPU
without instructions for bfloat16 rounds in the same way here, only more slowly, so that what is
reached can be measured on any machine.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

os.environ.setdefault("RECURRA_BFLOAT16", "1")  # read as the native module is loaded

from harness import data, keep, machine_in_words

import recurra

SEED = 0
SYMBOLS = 1_200_000
TEXTS = {
    "names": ("names/names.txt", {"embedding_size": 32}),
    "tinyshakespeare": (
        "tinyshakespeare/input.txt",
        {"embedding_size": 64, "learning_rate": 0.004},
    ),
}
GOAL = 0.01  # nats a symbol
MEASURED = [
    "runtime/native",
    "src/recurra/engine/backends/native.py",
    "src/recurra/models",
    "src/recurra/training/loop.py",
    "src/recurra/training/optimizers.py",
]


def loss_of(name: str, precision: str, folder: Path) -> float:
    """Nats a symbol held out, after the training."""
    place, settings = TEXTS[name]
    done = recurra.train(
        "language-model",
        data(place),
        out=folder / f"{name}-{precision}",
        precision=precision,
        seed=SEED,
        layers=1,
        hidden_size=128,
        symbols=SYMBOLS,
        **settings,
    )
    return float(done.evaluations[0].loss)


def main() -> None:
    print(machine_in_words())
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in TEXTS:
            found[name] = {
                precision: loss_of(name, precision, Path(folder))
                for precision in ("float32", "bfloat16")
            }
            print(name, found[name], flush=True)
    told = []
    for name, losses in found.items():
        more = losses["bfloat16"] - losses["float32"]
        missed = "" if more <= GOAL else " (missed)"
        told.append(f"{name} {losses['float32']:.4f}, in bfloat16 {more:+.4f}{missed}")
    keep(
        "short_losses",
        {
            "question": f"nats a symbol held out after {SYMBOLS:,} symbols of training, an LSTM of "
            f"128 units, and what products in bfloat16 add; goal: at most {GOAL}",
            "figure": "; ".join(told),
            "losses": found,
        },
        MEASURED,
        seed=SEED,
    )


if __name__ == "__main__":
    main()
