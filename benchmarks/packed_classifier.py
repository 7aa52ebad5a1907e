"""Training a classifier on ragged rows: how much faster than plain torch.nn with a PackedSequence?

Both learn the sentences of rt-polarity with an LSTM of 128 (one direction, and both), vectors of
128, the highest output of each row's own steps, 32 rows in a batch, AdamW and a clipped gradient.
``torch.nn`` is written as its manual has it: rows drawn at random, padded to the longest of the
batch and packed. ``sorted`` gives it rows of like length, in the very batches that Recurra reads.
Both read ids that are made beforehand.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from findings import Findings
from harness import data, keep, machine_in_words, measure
from rivals import LAYER_CODE
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from recurra.tasks import task_by_name
from recurra.tasks.classification import ClassPart
from recurra.training import load_recipe
from recurra.training.loop import Training

SEED, ROWS, SIZE = 0, 32, 128
STEPS = 20  # of the optimizer in one timed run
GOAL = 4.0
MEASURED = [
    *LAYER_CODE,
    "src/recurra/data/labeled.py",
    "src/recurra/data/order.py",
    "src/recurra/encoders",
    "src/recurra/heads",
    "src/recurra/models/classifier.py",
    "src/recurra/models/reading.py",
    "src/recurra/training/loop.py",
    "src/recurra/training/optimizers.py",
]


class Plain(nn.Module):
    """The same model in torch.nn."""

    def __init__(self, symbols: int, both: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, SIZE)
        self.lstm = nn.LSTM(SIZE, SIZE, bidirectional=both)
        self.linear = nn.Linear(SIZE * (2 if both else 1), 2)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Scores ``[rows, 2]``."""
        packed = pack_padded_sequence(self.embedding(ids), lengths, enforce_sorted=False)
        outputs, _ = pad_packed_sequence(self.lstm(packed)[0], padding_value=-torch.inf)
        scores: Tensor = self.linear(outputs.amax(0))
        return scores


def batches(part: ClassPart, ordered: bool) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Ids ``[time, rows]``, lengths and labels, pass after pass."""
    draw = np.random.default_rng(SEED)
    rows = [torch.from_numpy(row.astype(np.int64)) for row in part.rows]
    labels = torch.from_numpy(part.labels)
    own = part.batches(rows=ROWS, window=1, seed=SEED)
    step = 0
    while True:
        if ordered:
            chosen = own._order.rows_of(step)  # what Recurra reads in this step
            step += 1
            groups = [chosen]
        else:
            order = draw.permutation(len(rows))
            groups = [order[n : n + ROWS] for n in range(0, len(order), ROWS)]
        for group in groups:
            some = [rows[n] for n in group]
            yield pad_sequence(some), torch.tensor([len(r) for r in some]), labels[group]


def plain(part: ClassPart, symbols: int, both: bool, ordered: bool) -> Callable[[], object]:
    torch.manual_seed(SEED)
    model = Plain(symbols, both).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.004)
    read = batches(part, ordered)

    def steps() -> None:
        for _ in range(STEPS):
            ids, lengths, labels = next(read)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(ids, lengths), labels).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

    return steps


def ours(part: ClassPart, symbols: int, both: bool) -> Callable[[], object]:
    changes = ["model.cell=lstm", f"model.hidden_size={SIZE}", "training.epochs=1000"]
    changes += ["model.dropout=0.0", "model.dropout_word=0.0", f"training.batch_size={ROWS}"]
    recipe = load_recipe("classification", [*changes, f"model.bidirectional={str(both).lower()}"])
    torch.manual_seed(SEED)
    model = recipe.of_task.build(recipe.model, {"text": _Size(symbols), "label": part.classes})
    training = Training(model, part.batches(rows=ROWS, window=1, seed=SEED), recipe.training)
    going = iter(training)

    def steps() -> None:
        for _ in range(STEPS):
            next(going)

    return steps


class _Size(list[None]):
    """A vocabulary of which the size alone is asked."""

    def __init__(self, symbols: int) -> None:
        super().__init__([None] * symbols)

    def decode(self) -> None:
        """What tells a vocabulary."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--threads", type=int, help="of both; torch's own choice if not given")
    given = parser.parse_args()
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    print(machine_in_words())
    task = task_by_name("classification")
    recipe = load_recipe(
        "classification",
        ["data.pattern=rt-polarity.*", "data.encoding=latin-1", "data.rival_examples=0"],
    )
    folder = data("rt-polarity/rt-polarity.neg").parent
    with tempfile.TemporaryDirectory() as place:
        corpus = task.prepare(
            task.open(folder, recipe.data), recipe.data, Path(place), lambda said: None
        )
    part, symbols = corpus.parts["training"], len(corpus.fronts["text"])
    found = Findings()
    for both in (False, True):
        rivals = {
            "recurra": ours(part, symbols, both),
            "torch.nn": plain(part, symbols, both, False),
            "sorted": plain(part, symbols, both, True),
        }
        name = "both directions" if both else "one direction"
        done = measure(rivals, given.runs)
        found.add(name, done, {"torch.nn": GOAL, "sorted": None})
        rate = {rival: STEPS * ROWS / done.median(rival) for rival in rivals}
        print(name, ", ".join(f"{rival} {each:,.0f} examples/s" for rival, each in rate.items()))
    print(found.table())
    keep(
        "packed_classifier",
        {
            "question": "training an LSTM of 128 on the sentences of rt-polarity, times as fast as "
            "torch.nn with a PackedSequence",
            **found.to_json(),
        },
        MEASURED,
        seed=SEED,
        by_kind=True,
        void=found.void,
    )


if __name__ == "__main__":
    main()
