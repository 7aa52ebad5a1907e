"""How long is a command of the command line, from its start to its end?

A small run of texts is trained, asked and described, a small book trained and gone on with, all as
processes of their own. Beside them, in turn: Python that imports torch and no more, which is the
least that anything on torch takes; and a script of torch alone that reads the same table and trains
a GRU as long with one of torch's optimizers (no rivals, no scores, no run that is kept).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from harness import keep, machine_in_words, measure_rounds

SEED = 0
ROWS = [(f"a {mood} film, number {n}", mood) for n in range(60) for mood in ("good", "bad")]
TABLE = "text,label\n" + "\n".join(f'"{text}",{label}' for text, label in ROWS) + "\n"
BOOK = "to be or not to be said the prince of words. " * 200
RECURRA = (sys.executable, "-m", "recurra")
SMALL = (
    "--set",
    "model.hidden_size=16",
    "--set",
    "training.epochs=2",
    "--set",
    f"training.seed={SEED}",
)
IMPORT = "import torch"
BY_HAND = """
import csv
import torch
from torch import nn

rows = list(csv.DictReader(open("reviews.csv")))
words = sorted({word for row in rows for word in row["text"].split()})
labels = sorted({row["label"] for row in rows})
x = torch.tensor([[words.index(word) for word in row["text"].split()] for row in rows])
y = torch.tensor([labels.index(row["label"]) for row in rows])
embed, layer = nn.Embedding(len(words), 32), nn.GRU(32, 16, batch_first=True)
read = nn.Linear(16, 2)
parts = nn.ModuleList([embed, layer, read])
optimizer = torch.optim.AdamW(parts.parameters(), lr=0.01)
for _ in range(2):
    for chosen in torch.randperm(len(x)).split(32):
        loss = nn.functional.cross_entropy(read(layer(embed(x[chosen]))[0][:, -1]), y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
torch.save(parts.state_dict(), "by-hand.pt")
"""
COMMANDS: dict[str, tuple[str, ...]] = {
    "train classification": ("train", "classification", "--data", "reviews.csv", *SMALL),
    "predict": ("predict", "trained", "one.txt"),
    "describe": ("describe", "trained"),
    "inspect": ("inspect", "trained", "--data", "reviews.csv", "--out", "page.html"),
    "train language-model": ("train", "language-model", "--data", "book.txt", *SMALL),
    "generate 100": ("generate", "book", "--limit", "100"),
    "--help": ("--help",),
}
FLOOR = "import torch"
RIVALS = {"train classification": "torch by hand"}
CODE = ["src/recurra", "runtime/src"]


def seconds(command: tuple[str, ...], folder: Path) -> float:
    """Of a process, from its start to its end."""
    began = perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")
    return perf_counter() - began


def once(folder: Path) -> dict[str, float]:
    """Each command, and what stands beside them, one after another."""
    found = {
        FLOOR: seconds((sys.executable, "-c", IMPORT), folder),
        "torch by hand": seconds((sys.executable, "-c", BY_HAND), folder),
    }
    for name, words in COMMANDS.items():
        out = ("--out", tempfile.mkdtemp(dir=folder) + "/run") if words[0] == "train" else ()
        found[name] = seconds((*RECURRA, *words, *out), folder)
    return found


def main() -> None:
    """Print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    given = parser.parse_args()
    print(machine_in_words())
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a package is compiled once, as with pip
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        (folder / "reviews.csv").write_text(TABLE)
        (folder / "book.txt").write_text(BOOK)
        (folder / "one.txt").write_text(ROWS[0][0] + "\n")
        for name, run in (("train classification", "trained"), ("train language-model", "book")):
            seconds((*RECURRA, *COMMANDS[name], "--out", run), folder)
        done = measure_rounds(lambda: once(folder), given.runs, warm=True)
    told = []
    for name in COMMANDS:
        rival = RIVALS.get(name, FLOOR)
        median = done.median(name)
        told.append(f"{name} {median:.1f} s")
        print(f"{name}: {median:.2f} s; {rival}: {done.median(rival):.2f} s")
    told += [f"{name} {done.median(name):.1f} s" for name in (FLOOR, "torch by hand")]
    print(done)
    keep(
        "commands",
        {
            "question": "seconds of a command from its start to its end, small models and data, "
            "beside an import of torch and a script of torch alone that trains as long",
            "figure": f"{'; '.join(told)}{done.mark}",
            "measurement": done.to_json(),
        },
        [*CODE, "benchmarks/commands.py"],
        seed=SEED,
        by_kind=True,
        void=done.void,
    )


if __name__ == "__main__":
    main()
