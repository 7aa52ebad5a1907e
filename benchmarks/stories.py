"""Questions of stories whose facts lie a known way back, answered by 10,000 of them.

``one`` and ``two`` facts (``recurra.data.Stories``) are read sentence by sentence beside the
question, and what is read is looked at by attention. For ``distance`` a cell reads the story once
from its beginning, and answers by what it holds at its end: by how many sentences lie between
the fact and the question. Settings of two facts were chosen on the validation part with seed 0;
none was searched for the cells, which are all trained alike.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from harness import RESULTS, keep, machine_in_words

import recurra
from recurra.data import Stories, Story
from recurra.diagnosis import Axis, Chart, lines

SEEDS = (0, 1, 2)
TRAINING, CHOSEN, SCORED = 10_000, 1_000, 2_000
SHORT, LONG = 12, 26  # sentences of a story
BUCKETS = ((0, 0), (1, 2), (3, 5), (6, 10), (11, 15), (16, 20), (21, 25))  # of distances
MEASURED = [
    "src/recurra/data/synthetic/stories.py",
    "src/recurra/encoders",
    "src/recurra/heads/label.py",
    "src/recurra/layers",
    "src/recurra/models/classifier.py",
    "src/recurra/models/reading.py",
    "src/recurra/recipes/classification.toml",
    "src/recurra/tasks/classification",
    "src/recurra/tasks/inputs.py",
    "src/recurra/training/loop.py",
]
READ = {
    "split": "given",
    "minimum_steps": 0,
    "fuse": "ask",
    "asks": "question",
    "sentences": True,
    "dropout_word": 0.0,
    "embedding_spread": 1.0,
    "batch_size": 50,
    "learning_rate": 0.003,
}
ATTENDING = {**READ, "pool": "attention", "dropout": 0.1}
SETTINGS = {
    1: {**ATTENDING, "epochs": 6},
    2: {**ATTENDING, "hops": 2, "epochs": 10},
}
REMEMBERING = {**READ, "pool": "last", "bidirectional": False, "dropout": 0.0, "epochs": 10}
CELLS = {"LSTM": "lstm", "GRU": "gru", "Elman": "elman"}


class Measured(NamedTuple):
    """Accuracy of all models of a run, the recurrent one first; of that by distance; seconds."""

    scores: dict[str, float]
    by_distance: dict[int, float]
    seconds: float


def parts(task: Stories) -> dict[str, list[Story]]:
    """The same stories whatever the seed of a training."""
    numbers = {"train": TRAINING, "validation": CHOSEN, "test": SCORED}
    return {part: task.stories(n, seed=s) for s, (part, n) in enumerate(numbers.items())}


def measured(task: Stories, seed: int, **settings: Any) -> Measured:
    """Train, and ask what was never seen."""
    drawn = parts(task)
    data = {part: columns(stories) for part, stories in drawn.items()}
    with tempfile.TemporaryDirectory() as place:
        began = time.perf_counter()
        done = recurra.train("classification", data, out=Path(place) / "run", seed=seed, **settings)
        seconds = time.perf_counter() - began
        asked = [{"story": one.text, "question": one.question} for one in drawn["test"]]
        said = [answer.label for answer in recurra.load(done.path).predict(asked)]
    right: dict[int, list[bool]] = defaultdict(list)
    for one, answer in zip(drawn["test"], said, strict=True):
        right[one.distance].append(answer == one.answer)
    scores = {row.name: row.accuracy for row in done.evaluations}
    found = {distance: statistics.mean(hits) for distance, hits in sorted(right.items())}
    return Measured(scores, found, seconds)


def columns(stories: Sequence[Story]) -> tuple[dict[str, list[str]], list[str]]:
    """What the task ``classification`` reads."""
    inputs = {"story": [one.text for one in stories], "question": [one.question for one in stories]}
    return inputs, [one.answer for one in stories]


def of_facts(facts: int, seeds: Sequence[int]) -> None:
    """By attention, beside what reads no order."""
    task = Stories(facts, SHORT)
    found = {}
    for number, seed in enumerate(seeds):
        own = SETTINGS[facts] | ({} if number == 0 else {"rival_examples": 0})
        found[seed] = measured(task, seed, **own)
        print(facts, seed, found[seed], flush=True)
    first = found[seeds[0]]
    ours = next(iter(first.scores))
    shares = [next(iter(one.scores.values())) for one in found.values()]
    spread = f" (of {len(shares)} seeds {min(shares):.1%} to {max(shares):.1%})"
    rivals = [f"{name} {share:.1%}" for name, share in first.scores.items() if name != ours]
    told = [f"with attention {statistics.mean(shares):.1%}" + (spread if shares[1:] else "")]
    keep(
        f"stories_{('one', 'two')[facts - 1]}",
        {
            "question": f"share of questions of drawn stories answered that take {facts} of "
            f"{SHORT} sentences, after {TRAINING:,} others",
            "figure": ", ".join([*told, *rivals, f"the last place named {task.last:.1%}"]),
            "figures": {seed: one._asdict() for seed, one in found.items()},
        },
        MEASURED,
        seed=seeds[0],
    )


def in_buckets(by_distance: Mapping[int, float]) -> dict[float, float]:
    """Accuracy by the middle of each bucket; distances are drawn alike."""
    return {
        (low + high) / 2: statistics.mean(by_distance[n] for n in range(low, high + 1))
        for low, high in BUCKETS
    }


def chart(found: Mapping[str, Mapping[float, float]], chance: float) -> Chart:
    """The accuracies over the distances."""
    return lines(
        {name: found[name] for name in CELLS},
        title="How far back may the fact be that answers a question?",
        about="Places of persons in fresh stories, by what a cell holds at the end",
        x=Axis("sentences between the fact and the question", 0, LONG - 1),
        y=Axis("", 0, 1, ticks=[tenth / 10 for tenth in range(0, 11, 2)], format="%"),
        levels={f"chance, {100 * chance:.0f} %": chance},
    )


def of_distance(seeds: Sequence[int]) -> None:
    """Without attention: a cell reads on, and what it holds at the end answers."""
    task = Stories(1, LONG)
    found = {}
    for name, cell in CELLS.items():
        found[name] = measured(task, seeds[0], cell=cell, rival_examples=0, **REMEMBERING)
        print(name, found[name], flush=True)
    curves = {name: in_buckets(one.by_distance) for name, one in found.items()}
    told = [f"{name} {next(iter(one.scores.values())):.1%}" for name, one in found.items()]
    low, high = BUCKETS[-1]
    far = [f"{name} {list(curve.values())[-1]:.1%}" for name, curve in curves.items()]
    keep(
        "stories_distance",
        {
            "question": "share of questions of one fact answered by what a cell holds at the end "
            f"of {LONG} sentences",
            "figure": f"{', '.join(told)}; with {low} to {high} sentences between: "
            f"{', '.join(far)}; chance {task.baseline.accuracy:.1%}",
            "accuracy": curves,
            "chance": task.baseline.accuracy,
            "figures": {name: one._asdict() for name, one in found.items()},
        },
        MEASURED,
        seed=seeds[0],
    )
    chart(curves, task.baseline.accuracy or 0.0).save(RESULTS / "stories_distance.svg")


def main() -> None:
    cases = {
        "one": lambda seeds: of_facts(1, seeds),
        "two": lambda seeds: of_facts(2, seeds),
        "distance": of_distance,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=[*cases], help="which; all if none")
    parser.add_argument("--seeds", type=int, nargs="*", default=[*SEEDS], help="of trainings")
    given = parser.parse_args()
    print(machine_in_words())
    for name in given.cases:
        cases[name](given.seeds)


if __name__ == "__main__":
    torch.set_num_threads(1)  # the products are too small to share
    main()
