"""Two runs on the same examples: the bootstrap, and where its numbers come from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from comparison.fakes import TEXTS

import recurra
from recurra import artifact
from recurra.comparison.pairs import bootstrap, compare_pair
from recurra.errors import DataError, InputTypeError, RunError, SettingError
from recurra.tasks.base import Task, task_by_name
from recurra.tasks.classification.corpus import ClassPart
from recurra.tasks.classification.evaluation import compare_classifiers
from recurra.tasks.sums import Sums, ratio
from recurra.training import evaluate, load_recipe, train
from recurra_runtime.vocabulary import ClassNames


def interval(values: Any, *, less: bool, **how: Any) -> tuple[float, float, float]:
    """Of the mean of differences."""
    ones = np.ones(len(values))
    one, other = (Sums(np.stack([each, ones], 1), ratio, less) for each in (0 * values, values))
    return bootstrap(one, other, **how)


def test_the_interval_is_that_of_the_mean() -> None:
    """Of many examples means are normal: m ± 1.96 s / sqrt(n)."""
    values = np.random.default_rng(1).normal(0.05, 1.0, 800)
    low, high, better = interval(values, less=False)
    error = values.std() / np.sqrt(800)
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)
    from statistics import NormalDist

    share = NormalDist().cdf(values.mean() / error)
    assert better == pytest.approx(share, abs=0.02)
    assert interval(values, less=True)[2] == pytest.approx(1 - better)


def test_a_resample_of_two_is_worked_out_by_hand() -> None:
    """Means of two draws from (-1, 3): -1, 1, 1, 3, each one in four."""
    _, _, better = interval(np.array([-1.0, 3.0]), less=False, resamples=40_000)
    assert better == pytest.approx(0.75, abs=0.01)


def test_ties_count_half_and_draws_are_seeded() -> None:
    assert interval(np.zeros(5), less=True) == (0.0, 0.0, 0.5)
    tiny = np.array([5e-17, 0.0])  # which is a difference like any other
    assert interval(tiny, less=False)[2] > 0.5
    values = np.arange(10.0) - 4
    assert interval(values, less=True, seed=3) == interval(values, less=True, seed=3)
    assert interval(values, less=True, seed=3) != interval(values, less=True, seed=4)


def test_a_rate_is_drawn_with_its_parts() -> None:
    """One text of ten words with one mistake, one of a word with one: draws give 1/10, 2/11 and 1.

    A mean of each text's rate would be 0.55 where the whole has 2/11.
    """
    one = Sums(np.array([[1.0, 10.0], [1.0, 1.0]]), ratio)
    none = Sums(np.array([[0.0, 10.0], [0.0, 1.0]]), ratio)
    low, high, better = bootstrap(none, one, resamples=20_000)
    assert (low, high, better) == (0.1, 1.0, 0.0)
    assert bootstrap(one, none, resamples=100)[2] == 1.0
    assert ratio(np.zeros((3, 2))).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("one", "said"),
    [
        ([[1.0, 1.0], [np.nan, 1.0], [2.0, 1.0]], r"one: expected finite .* of example 1 \(and 0"),
        (np.zeros((0, 2)), r"one: expected numbers of at least one example.*shape \[0, 2\]"),
        ([1.0, 2.0, 3.0], r"one: expected numbers of at least one example.*shape \[3\]"),
        ([[1.0, 1.0]] * 2, r"of the same examples, got 2 \(less=True\) and 3 "),
        ([[1.0], [1.0, 2.0]], r"one: expected numbers \[examples, numbers\], got "),
        ([["a", "b"]] * 3, r"one: expected numbers \[examples, numbers\], got "),
    ],
)
def test_scores_that_cannot_be_drawn(one: Any, said: str) -> None:
    other = Sums(np.ones((3, 2)), ratio)
    with pytest.raises(DataError, match=said):
        bootstrap(Sums(one, ratio), other)
    with pytest.raises(DataError, match="of the same examples"):
        bootstrap(other._replace(less=False), other)
    with pytest.raises(InputTypeError, match=r"other: expected .*Sums, got list"):
        bootstrap(other, [1.0])  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two classifiers of other seeds, and one of other data."""
    folder = tmp_path_factory.mktemp("pairs")
    changes = ["model.hidden_size=4", "training.epochs=1", "data.rival_examples=1"]
    found = []
    for name, seed, texts in (
        ("a", 0, TEXTS),
        ("b", 1, TEXTS),
        ("c", 0, (TEXTS[0][4:], TEXTS[1][4:])),
    ):
        recipe = load_recipe("classification", [*changes, f"training.seed={seed}"])
        found.append(train(recipe, texts, folder / name).path)
    return found


def test_means_are_those_of_the_run(runs: list[Path]) -> None:
    found = compare_pair(runs[0], runs[1], TEXTS)
    accuracy, nats = found.rows
    assert (accuracy.name, accuracy.less, nats.name, nats.less) == ("accuracy", False, "nats", True)
    for path, value in zip(runs, (accuracy.one, accuracy.other), strict=False):
        score = json.loads((path / "summary.json").read_text())["scores"][0]
        assert value == pytest.approx(score["value"])
    assert nats.difference == pytest.approx(nats.other - nats.one)
    assert nats.low <= nats.difference <= nats.high
    mirror = compare_pair(runs[1], runs[0], TEXTS).rows[1]
    assert mirror.difference == pytest.approx(-nats.difference)
    assert "A: " in str(found)
    assert f"{found.examples} held-out examples" in str(found)
    assert found.to_json()["rows"][1]["difference"] == nats.difference


def test_a_run_and_itself_are_alike(runs: list[Path]) -> None:
    for row in compare_pair(runs[0], runs[0], TEXTS).rows:
        assert (row.difference, row.low, row.high, row.better) == (0, 0, 0, 0.5)
    again = runs[0].parent / "b" / ".." / "a"
    told = str(compare_pair(runs[0], again, TEXTS))
    assert "A and B are the same run" in told
    assert "within the noise" not in told
    copy = shutil.copytree(runs[0], runs[0].parent / "copy")
    told = str(compare_pair(runs[0], copy, TEXTS))
    assert "nats: the difference is within the noise." in told
    assert "same run" not in told


def test_pairs_need_the_same_data(runs: list[Path], tiny_run: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="was trained on other data than"):
        compare_pair(runs[0], runs[2], TEXTS)
    with pytest.raises(DataError, match="these are not the data that both runs were trained on"):
        compare_pair(runs[0], runs[1], (TEXTS[0][2:], TEXTS[1][2:]))
    with pytest.raises(SettingError, match="data is missing"):
        compare_pair(runs[0], runs[1])
    with pytest.raises(SettingError, match="expected two runs of one task"):
        compare_pair(runs[0], tiny_run.path, TEXTS)
    with pytest.raises(RunError, match="expected the folder of a run"):
        compare_pair(runs[0], tmp_path, TEXTS)


def test_pairs_need_the_same_vocabulary(tmp_path: Path) -> None:
    """Letters that stand for others are the same numbers, and other texts."""
    texts = [["ab", "ba"][n % 2] * (1 + n % 3) for n in range(40)]
    runs = []
    for name, letters in (("one", "ab"), ("other", "xy")):
        changed = str.maketrans("ab", letters)
        pairs = [(text.translate(changed), text[::-1].translate(changed)) for text in texts]
        parts = {"train": pairs, "valid": pairs, "test": pairs}
        changes = ["data.vocabulary=characters", "model.hidden_size=4", "training.symbols=200"]
        runs.append(train(load_recipe("transduction", changes), parts, tmp_path / name).path)
    with pytest.raises(DataError, match=r"a vocabulary or a scale: input, target\. There are no"):
        compare_pair(*runs, parts)


def test_documents_of_a_language_model(tmp_path: Path) -> None:
    """Nats of each document are those of the model that reads it alone, and add up to the score."""
    draw = np.random.default_rng(0)
    lines = ["".join(draw.choice(list("abc "), size)) for size in draw.integers(3, 200, 70)]
    changes = ["data.split=hash", "data.unit=line", "model.hidden_size=8", "model.layers=1"]
    changes += ["training.symbols=500", "data.ngram_orders=[2]"]
    path = tmp_path / "text.txt"
    path.write_text("\n".join(lines) + "\n")
    recipe = load_recipe("language-model", changes)
    run = train(recipe, path, tmp_path / "run", place=str(path)).path
    loaded = artifact.load(run)
    task = task_by_name("language-model")
    part = task.read(task.open(path, recipe.data), loaded.fronts, recipe.data, print)
    (whole, bigram, *_) = evaluate(run, path, data=recipe.data)
    each = task.by_example(loaded.model, part)["nats"]
    assert each.shape == (70,)
    assert each.sum() == pytest.approx(whole.nats, rel=1e-5)
    answer = recurra.load(run)
    alone = [-score.log_prob for score in answer.predict(lines)]
    np.testing.assert_allclose(each, alone, rtol=1e-4)
    rival = task.read_rivals(run)["bigram"]
    counted = task.by_example(rival, part)["nats"]
    assert counted.sum() == pytest.approx(bigram.nats, rel=1e-6)
    shutil.copytree(run, tmp_path / "copy")
    found = compare_pair(run, tmp_path / "copy")  # the file is where the run remembers it
    assert found.rows[0].difference == 0
    assert found.unit == "documents"


def test_a_task_without_scores_of_examples_is_refused() -> None:
    task = task_by_name("classification")
    with pytest.raises(SettingError, match="the task classification scores no examples one by"):
        Task.by_example(task, None, None)  # type: ignore[arg-type]


class _Saying:
    """A rival that says the same of every row as it was told."""

    def __init__(self, shares: list[list[float]]) -> None:
        self.said = torch.tensor(shares, dtype=torch.float64).log()

    def log_probabilities(self, rows: Any) -> torch.Tensor:
        return self.said[: len(rows)]


@pytest.mark.parametrize("several", [False, True])
def test_scores_of_examples_add_up_to_those_of_all(several: bool) -> None:
    """One label with a class that has no name among them; and several labels."""
    labels = [[1, 0], [1, 1], [0, 0], [0, 1]] if several else [0, 1, -1, 1]
    part = ClassPart(
        [np.arange(2)] * 4, np.array(labels), ClassNames(("a", "b"), several=several), {}
    )
    rival = _Saying([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]])
    found = task_by_name("classification").by_example(rival, part)  # type: ignore[arg-type]
    (row,) = compare_classifiers({"rival": rival}, part)
    assert found["accuracy"].tolist() == [1, 0, 0, 1]
    assert found["accuracy"].mean() == row.accuracy
    assert len(found["nats"]) == 4 - row.unknown
    assert found["nats"].sum() == pytest.approx(row.nats)
    wanted = -np.log(0.9 * 0.9) if several else -np.log(0.9)
    assert found["nats"][0] == pytest.approx(wanted)


@pytest.mark.parametrize("number", [0, -1, 2.5])
def test_a_bootstrap_draws_at_least_once(number: Any) -> None:
    some = Sums(np.ones((5, 2)), ratio)
    with pytest.raises(SettingError, match="resamples: expected a whole number of at least 1"):
        bootstrap(some, some, resamples=number)
