"""A classifier from both doors, its answers, its rivals, and going on with it bit for bit."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stopping import stopped_at
from typer.testing import CliRunner

import recurra
from recurra import artifact
from recurra.cli import app
from recurra.data.examples import open_examples
from recurra.errors import ArtifactError, DataError, SettingError
from recurra.tasks import task_by_name
from recurra.tasks.classification import (
    ClassificationData,
    ClassifyingModel,
    Evaluation,
    prepare_classes,
)
from recurra.tasks.classification.evaluation import class_lines, log_probabilities
from recurra.tasks.classification.rivals import fit_rivals
from recurra.training import evaluate, load_recipe, resume, train
from recurra_runtime.vocabulary import ClassNames

Reviews = tuple[list[str], list[str]]


def summary(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return found


def weights(run: Path) -> bytes:
    return (artifact.resolve(run, "last") / "model.safetensors").read_bytes()


def call(*args: Any) -> Any:
    """A command, in this process."""
    result = CliRunner().invoke(app, list(map(str, args)), env={"COLUMNS": "100"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception  # what a user would see as a traceback
    return result


def written(reviews: Reviews, path: Path) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *zip(*reviews, strict=True)])
    return path


# ---- training ------------------------------------------------------------------------------------


def test_a_run_of_given_parts_is_scored_on_any_file(
    reviews: Reviews, changes: list[str], tmp_path: Path
) -> None:
    texts, labels = reviews
    parts = {"train": (texts[:80], labels[:80]), "test": (texts[80:], labels[80:])}
    recipe = load_recipe("classification", [*changes, "data.split=given"])
    train(recipe, parts, tmp_path / "run")
    file = written((texts[80:], labels[80:]), tmp_path / "others.csv")
    assert evaluate(tmp_path / "run", file) == evaluate(tmp_path / "run", (texts[80:], labels[80:]))
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["evaluations"][0][
        "accuracy"
    ] == pytest.approx(evaluate(tmp_path / "run", file)[0].accuracy)


def test_it_learns_and_says_so(run: Path) -> None:
    told = summary(run)
    rows = {row["name"]: row for row in told["evaluations"]}
    assert list(rows) == ["gru", "majority", "bag of words", "feed-forward"]
    assert rows["gru"]["accuracy"] > 0.75 > rows["majority"]["accuracy"]
    assert rows["bag of words"]["accuracy"] > 0.75
    assert rows["feed-forward"]["accuracy"] > 0.75
    for row in rows.values():
        confusion = np.array(row["confusion"])
        assert row["accuracy"] == np.trace(confusion) / confusion.sum()
        assert row["examples"] == confusion.sum()
        assert sum(count for count, _, _ in row["bins"]) == row["examples"]
    log = list(csv.DictReader((run / "log.csv").read_text().splitlines()))
    # The checkpoint is one with the highest accuracy.
    best = max(float(row["validation_accuracy"]) for row in log)
    assert int((run / "best").read_text()) in {
        int(row["step"]) for row in log if float(row["validation_accuracy"]) == best
    }
    assert "examples" in log[0]


def test_both_doors_give_the_same_bits(
    reviews: Reviews, changes: list[str], run: Path, tmp_path: Path
) -> None:
    lists, table = tmp_path / "lists", tmp_path / "table"
    flat = dict(change.partition(".")[2].split("=") for change in changes)
    recurra.train(
        "classification",
        reviews,
        out=lists,
        report=lambda report: None,
        **{name: float(value) if "." in value else int(value) for name, value in flat.items()},
    )
    file = written(reviews, tmp_path / "reviews.csv")
    options = [word for change in changes for word in ("--set", change)]
    done = call("train", "classification", f"--data={file}", f"--out={table}", *options)
    assert done.exit_code == 0
    assert re.search(r"^ *gru( +0\.\d{4}){4} *$", done.stdout, re.MULTILINE)
    assert re.search(r"^bad +\d+ +\d+( +[01]\.\d{3}){3}$", done.stdout, re.MULTILINE)
    assert f"predict {table}" in done.stdout
    for made in (lists, table):
        assert weights(made) == weights(run)
        for name in ("rivals.safetensors", "summary.json"):
            assert (made / name).read_bytes() == (run / name).read_bytes()


@pytest.mark.parametrize("steps", [[1], [11, 30]])
def test_stopped_and_gone_on(
    steps: list[int], reviews: Reviews, changes: list[str], run: Path, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    recipe = load_recipe("classification", changes)
    assert train(recipe, reviews, path, stopped_at(steps[0])).interrupted
    for step in steps[1:]:
        assert resume(path, reviews, stopped_at(step)).interrupted
    assert not resume(path, reviews).interrupted
    assert weights(path) == weights(run)
    assert (path / "summary.json").read_bytes() == (run / "summary.json").read_bytes()
    assert (path / "best").read_text() == (run / "best").read_text()


def test_other_texts_are_not_gone_on_with(
    reviews: Reviews, changes: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "run"
    train(load_recipe("classification", changes), reviews, path, stopped_at(2))
    texts, labels = reviews
    with pytest.raises(DataError, match="not the data that this run was trained on"):
        resume(path, (texts, [*labels[1:], labels[0]]))


@pytest.mark.parametrize("pool", ["last", "mean", "attention"])
def test_other_models_train(
    pool: str, reviews: Reviews, changes: list[str], tmp_path: Path
) -> None:
    more = [f"model.pool={pool}", "model.cell=lstm", "model.bidirectional=false"]
    more += ["data.vocabulary=characters", "data.validation=false"]
    recipe = load_recipe("classification", [*changes, *more, "training.epochs=1"])
    done = train(recipe, (reviews[0][:60], reviews[1][:60]), tmp_path / "run")
    assert [row.name for row in done.evaluations] == [
        "lstm",
        "majority",
        "bag of characters",
        "5-grams of classes",
        "feed-forward",
    ]
    assert all(math.isfinite(row.loss) for row in done.evaluations)


def test_a_window_changes_nothing_and_that_is_told() -> None:
    recipe = load_recipe("classification", ["training.window=7"])
    assert ("training.window", "examples are read whole") in recipe.of_task.idle(recipe)
    assert recipe.of_task.idle(load_recipe("classification")) == []


# ---- answers -------------------------------------------------------------------------------------


def test_answers(run: Path, tmp_path: Path) -> None:
    alone = tmp_path / "artifact"
    shutil.copytree(artifact.resolve(run, "best"), alone)  # nothing of the run beside it
    model = recurra.load(alone)
    assert isinstance(model, ClassifyingModel)
    texts = ["a great, fine film", "an awful actor", "", "zzz"]
    answers = list(model.predict(texts))
    assert [answer.label for answer in answers][:2] == ["good", "bad"]
    vocabulary = model.fronts["text"]
    for text, answer in zip(texts, answers, strict=True):
        ids = torch.from_numpy(vocabulary.encode(text)).unsqueeze(1)
        said = model.model.predict(recurra.Batch(ids, None)).softmax(-1)[0].tolist()
        want = dict(zip(model.classes, said, strict=True))
        assert dict(answer.ranked) == pytest.approx(want, rel=1e-5)
        assert answer.probability == max(share for _, share in answer.ranked)
        assert answer.text == text
    assert (answers[3].symbols, answers[3].unknown) == (1, 1)
    assert list(model.predict([])) == []
    assert [answer.label for answer in model.predict("awful")] == ["bad"]
    with pytest.raises(DataError, match="predict: expected a list of inputs"):
        model.predict(None)  # type: ignore[arg-type]
    some = model.predict(["awful", 7])  # type: ignore[list-item]
    assert next(some).label == "bad"
    with pytest.raises(DataError, match="predict: expected a text, got 7"):
        list(model.predict([7]))  # type: ignore[list-item]


def test_answers_come_while_inputs_still_do(run: Path) -> None:
    def endless():
        while True:
            yield "great"

    answers = recurra.load(run).predict(endless())
    assert [next(answers).label for _ in range(3)] == ["good"] * 3


def test_predict(run: Path, tmp_path: Path) -> None:
    told = call("predict", run, "--text", "great film", "--text=awful", "--top=2").stdout
    first, second = (line.split("\t") for line in told.splitlines())
    assert (first[0], first[2], second[0]) == ("good", "bad", "bad")
    assert float(first[1]) + float(first[3]) == pytest.approx(1, abs=1e-3)
    file = tmp_path / "lines"
    file.write_bytes("gre\u00e4t\nawful\n\nfine".encode("latin-1"))
    rows = [
        json.loads(line)
        for line in call("predict", run, file, "--json", "--encoding=latin-1").stdout.splitlines()
    ]
    assert [row["text"] for row in rows] == ["gre\u00e4t", "awful", "", "fine"]
    assert {"label", "probability", "ranked", "symbols", "unknown"} < rows[0].keys()
    one = call("predict", run, "--json", "--top=1", "--text=fine").stdout
    assert len(json.loads(one)["ranked"]) == 1
    for wrong, said in (
        (["--text=a", str(file)], "expected a file or --text, got FILE and --text"),
        ([str(file)], "line 1, byte 3"),
        ([str(tmp_path / "absent")], "absent"),
    ):
        done = call("predict", run, *wrong)
        assert (done.exit_code, said in done.stderr) == (2, True), done.stderr


def test_predict_answers_a_pipe_before_it_ends(run: Path) -> None:
    """Who writes a line and waits is answered."""
    child = subprocess.Popen(
        [sys.executable, "-m", "recurra", "predict", str(run)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    late = threading.Timer(120, child.kill)  # one that waits for more would never end
    late.start()
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        for text, label in (("great", b"good"), ("awful", b"bad")):
            child.stdin.write(f"{text}\n".encode())
            child.stdin.flush()
            assert child.stdout.readline().startswith(label)
        child.stdin.write(b"fine")  # and a last line that does not end
        child.stdin.close()
        assert child.stdout.read().startswith(b"good")
    late.cancel()
    assert child.returncode == 0


# ---- scores --------------------------------------------------------------------------------------


def test_numbers_by_hand() -> None:
    """Three classes: of the last there is no text, and nobody names it."""
    confusion = [[3, 1, 0], [2, 2, 0], [0, 0, 0]]
    bins = ((2, 0.5, 1), (8, 7.0, 4))
    counts = (3, 2, 0), (6, 4, 0), (4, 4, 0)
    row = Evaluation("m", ("a", "b", "c"), 10, 5, *counts, 4.0, 2, bins, confusion)
    assert row.accuracy == 5 / 10  # the two of unknown classes are wrong
    assert row.loss == 4 / 8  # and have no loss
    precision, recall = 3 / 6, 3 / 4  # of a: 3 + 2 + 1 were taken for it
    assert row.f1[0] == pytest.approx(2 * precision * recall / (precision + recall))
    assert row.f1[1] == pytest.approx(2 * (2 / 4) * (2 / 4) / (2 / 4 + 2 / 4))
    assert row.f1[2] == 0
    assert row.macro_f1 == pytest.approx(sum(row.f1) / 3)
    assert (row.precision, row.recall) == ((3 / 6, 2 / 4, 0), (3 / 4, 2 / 4, 0))
    assert class_lines(row)[2].split() == ["a", "3", "1", "0", "0.500", "0.750", "0.600"]
    assert row.micro_f1 == 10 / 18
    assert row.calibration == pytest.approx((0.5 + 3.0) / 10)  # of 0.25 a half, of 7/8 a half
    assert row.to_json()["macro_f1"] == row.macro_f1


def test_evaluate_on_other_texts(run: Path, tmp_path: Path) -> None:
    others = (["great", "awful", "great"], ["good", "good", "neither"])
    rows = evaluate(run, others)
    assert [row.name for row in rows] == ["gru", "majority", "bag of words", "feed-forward"]
    assert rows[0].confusion == [[0, 0], [1, 1]]
    assert (rows[0].unknown, rows[0].accuracy) == (1, pytest.approx(1 / 3))
    file = written(others, tmp_path / "others.csv")
    done = call("evaluate", run, f"--data={file}")
    assert "1 examples are of classes that the models have no name for" in done.stdout
    assert "3 examples" in done.stdout


def test_log_probabilities_stand_in_the_order_of_the_texts(run: Path) -> None:
    model = artifact.load(run).model
    rows = [np.full(n, 5 + n) for n in (3, 0, 9, 1, 4)]
    together = log_probabilities(model, rows, size=2)
    for row, said in zip(rows, together, strict=True):
        torch.testing.assert_close(log_probabilities(model, [row])[0], said, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(together.exp().sum(1), torch.ones(5).double())


# ---- rivals --------------------------------------------------------------------------------------


def test_rivals_are_read_back_as_they_were(reviews: Reviews, run: Path) -> None:
    read = task_by_name("classification").read_rivals(run)
    data = ClassificationData()
    part = prepare_classes(open_examples(reviews, data.reading()), data).parts["test"]
    rows = load_recipe("classification").of_task.evaluate(read, part)
    assert [row.to_json() for row in rows] == summary(run)["evaluations"][1:]


def test_rivals_of_few_texts_know_all_classes(reviews: Reviews) -> None:
    """Also where one class stands behind the other, and nothing is set apart to choose by."""
    pairs = sorted(zip(*reviews, strict=True), key=lambda pair: pair[1])
    data = ClassificationData(rival_examples=100, validation=False)
    ordered = open_examples(tuple(map(list, zip(*pairs, strict=True))), data.reading())
    made = prepare_classes(ordered, data)
    told: list[str] = []
    rivals = fit_rivals(made, data, told.append)
    assert told == ["fitting rivals on 90 examples"]
    rows = load_recipe("classification").of_task.evaluate(rivals, made.parts["test"])
    assert all(row.accuracy > 0.7 for row in rows[1:])


@pytest.mark.parametrize("how", ["changed", "cut", "another"])
def test_damaged_rivals_are_refused(how: str, run: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(run, path)
    file = path / "rivals.safetensors"
    raw = bytearray(file.read_bytes())
    if how == "changed":
        raw[-1] ^= 1
    file.write_bytes(raw[:-8] if how == "cut" else raw)
    if how == "another":
        (path / "rivals.json").unlink()
    with pytest.raises(ArtifactError, match=r"rivals\.safetensors: damaged"):
        evaluate(path, (["great"], ["good"]))


def test_other_fronts_do_not_fit(run: Path, tmp_path: Path) -> None:
    loaded = artifact.load(run)
    fronts = {**loaded.fronts, "label": ClassNames(["a", "b", "c"])}
    artifact.save(tmp_path / "made", loaded.model, fronts, loaded.task)
    with pytest.raises(ArtifactError, match="a front 'label' of 2 beside this model, got 3"):
        artifact.load(tmp_path / "made")


def test_too_few_settings() -> None:
    with pytest.raises(SettingError, match="classification has no setting 'hiden_size'"):
        recurra.train("classification", ([], []), out="x", hiden_size=3)


def test_answers_read_as_much_of_a_text_as_was_trained_on(
    reviews: tuple[list[str], list[str]], changes: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "run"
    train(load_recipe("classification", [*changes, "data.maximum_length=2"]), reviews, path)
    model = recurra.load(path)
    long, short = model.predict(["great film it was dull poor awful", "great film"])
    assert long.symbols == short.symbols == 2
    assert long.ranked == short.ranked
