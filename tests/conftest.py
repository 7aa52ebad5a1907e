"""One tiny trained run on generated text, shared by all tests that need a finished model."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from recurra.training import Recipe, Report, Trained

# Where other programs take the cores, threads that wait by spinning make a tiny model
# fifty times slower. To be said before torch is loaded; child processes inherit it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Of several workers each has a core.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# Child processes buffer their output, as a user's do.
os.environ.pop("PYTHONUNBUFFERED", None)
# A shell's background job ignores Ctrl-C, and so would all that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

TINY = [
    "model.hidden_size=16",
    "model.layers=1",
    "model.dropout=0.0",
    "training.symbols=24000",
    "training.batch_size=8",
    "training.window=16",
    "training.learning_rate=0.02",
    "training.evaluations=6",
]


@pytest.fixture(autouse=True)
def seed() -> None:
    """What a test draws on the CPU is the same at every run, or as RECURRA_TEST_SEED asks."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.default_generator.manual_seed(int(os.environ.get("RECURRA_TEST_SEED", "0")))


@dataclasses.dataclass(frozen=True)
class TinyRun:
    """A finished run, what it was told, and what it told.

    Args:
        path: its folder; tests must not change it.
        text: all of its text, one document.
        changes: what its recipe changes, as --set takes it.
        recipe: every setting.
        trained: what the training returned.
        reports: what it said while it ran.
    """

    path: Path
    text: str
    changes: list[str]
    recipe: Recipe
    trained: Trained
    reports: list[Report]


def sentences(number: int, seed: int = 0) -> str:
    """Simple sentences in random order."""
    draw = random.Random(seed)
    who, does = ["anna", "the cat", "a dog", "my owl"], ["sees", "hears", "likes", "finds"]
    return "".join(
        f"{draw.choice(who)} {draw.choice(does)} {draw.choice(who)}.\n" for _ in range(number)
    )


@pytest.fixture(scope="session")
def text() -> str:
    """About 4,000 characters."""
    return sentences(200)


@pytest.fixture(scope="session")
def text_file(text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same text in a file."""
    path = tmp_path_factory.mktemp("data") / "sentences.txt"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tiny_changes() -> list[str]:
    """Settings of a model that trains in a second."""
    return list(TINY)


@pytest.fixture(scope="session")
def tiny_run(text: str, tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """A finished run; copy it before changing anything in it."""
    from recurra.training import load_recipe, train

    path = tmp_path_factory.mktemp("runs") / "tiny"
    recipe = load_recipe("language-model", TINY)
    reports: list[Report] = []
    trained = train(recipe, [text], path, reports.append)
    return TinyRun(path, text, list(TINY), recipe, trained, reports)
