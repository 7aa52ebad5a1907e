"""What a user gives that cannot be, through the command line: a sentence, and nothing left behind.

Exit code 2 is wrong use or data, 1 a run that failed or a file that is damaged.
"""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import recurra
from recurra import artifact
from recurra.cli import app
from recurra.errors import RunError
from recurra.models import Scored
from recurra.tasks.language_model import task as task_module
from recurra.training import RunFolder, run_source
from recurra_runtime.vocabulary import START

QUICK = [
    "model.hidden_size=8",
    "model.layers=1",
    "training.symbols=1280",
    "training.batch_size=4",
    "training.window=16",
    "training.evaluations=5",
]


def call(*args: object) -> Any:
    result = CliRunner().invoke(app, list(map(str, args)), env={"COLUMNS": "100"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception  # what a user would see as a traceback
    return result


def sets(*changes: str) -> list[str]:
    return [word for change in changes for word in ("--set", change)]


def train(data: Path, out: Path, *changes: str) -> Any:
    return call("train", "language-model", "--data", data, "--out", out, *sets(*QUICK, *changes))


def resume(run: Path, *args: object) -> Any:
    return call("train", "--resume", run, *args)


def refused(result: Any, code: int, *said: str) -> None:
    told = result.stderr.splitlines()
    assert result.exit_code == code, result.stderr
    assert "Traceback" not in result.stderr
    sentences = [line for line in told if line.startswith("recurra: ")]
    assert sentences == told[-1:]
    for words in said:
        assert words in sentences[0], sentences
    assert len(sentences[0]) < 1500


# -------------------------------------------------------------------------------------------- data

ROWS = [{"text": "anna sees a dog. " * 3, "topic": "animals", "number": n} for n in range(40)]


def as_json_lines(path: Path) -> Path:
    path = path.with_suffix(".jsonl")
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def as_csv(path: Path) -> Path:
    path = path.with_suffix(".csv")
    lines = [",".join(map(str, row.values())) for row in ROWS]
    path.write_text("\n".join(["text,topic,number", *lines]) + "\n")
    return path


def as_parquet(path: Path) -> Path:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = path.with_suffix(".parquet")
    parquet.write_table(arrow.Table.from_pylist(ROWS), path)
    return path


@pytest.mark.parametrize("write", [as_json_lines, as_csv, as_parquet])
def test_no_such_column(write: Callable[[Path], Path], tmp_path: Path) -> None:
    path, out = write(tmp_path / "rows"), tmp_path / "run"
    for changes in (["data.column=txet"], ["data.conditions=['topik']"]):
        wrong = "txet" if "column" in changes[0] else "topik"
        right = "text" if "column" in changes[0] else "topic"
        refused(train(path, out, *changes), 2, path.name, repr(wrong), f"did you mean '{right}'?")
        assert not out.exists()
    if write is not as_csv:  # in which all is text
        refused(train(path, out, "data.column=number"), 2, path.name, "number", "text")
        assert not out.exists()
    done = train(path, out, "data.conditions=['topic']")
    assert done.exit_code == 0, done.stderr
    assert artifact.load(out).model.conditions == ("topic",)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.txt", b"", ["empty.txt", "expected text"]),
        ("old.txt", b"one\ntwo caf\xe9\n", ["old.txt", "line 2, byte 11", "0xe9", "--encoding"]),
        ("none.txt", None, ["none.txt", "no such file or folder"]),
        ("rows.jsonl", b'{"text": "one"}\n{"text": \n', ["rows.jsonl", "line 2"]),
    ],
)
def test_a_file_that_is_no_text(
    name: str, content: bytes | None, said: list[str], tmp_path: Path
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    refused(train(path, tmp_path / "runs" / "run"), 2, *said)
    assert not (tmp_path / "runs" / "run").exists()


def test_a_folder_without_text(tmp_path: Path) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    refused(train(tmp_path / "data", tmp_path / "run"), 2, "expected files *.txt, found none")
    (tmp_path / "data" / "deep" / "a.txt").write_bytes(b"")
    refused(train(tmp_path / "data", tmp_path / "run"), 2, "data", "expected text")
    assert not (tmp_path / "run").exists()


def test_a_line_of_ten_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("anna sees a dog and my owl. " * 375_000)
    changes = ["data.ngram_symbols=2000", "data.scored=1000", "data.validation=false"]
    done = train(path, tmp_path / "run", *changes, "data.vocabulary=bytes")
    assert done.exit_code == 0, done.stderr
    assert "10,500,000 characters" in done.stderr
    assert "MB on disk while it trains" in done.stderr
    whole = train(path, tmp_path / "line", *changes, "data.unit=line")
    refused(whole, 2, "the longest document has ", "data.maximum_length", "data.batches=windows")
    done = train(path, tmp_path / "cut", *changes, "data.unit=line", "data.maximum_length=100")
    assert done.exit_code == 0, done.stderr
    assert "101 symbols to train on" in done.stderr
    assert "truncated documents: 1" in done.stderr


def test_a_vocabulary_larger_than_asked(tmp_path: Path, text_file: Path) -> None:
    out = tmp_path / "run"
    said = ["at most 10 ids (data.vocabulary_size)", "data.vocabulary=bytes"]
    refused(train(text_file, out, "data.vocabulary_size=10"), 2, *said)
    assert not out.exists()
    changes = ["data.vocabulary=words", "data.vocabulary_size=10"]
    assert train(text_file, out, *changes).exit_code == 0  # the rare ones are unknown
    assert len(artifact.load(out).fronts["text"]) == 10


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["data.minimum_count=3"], "data.minimum_count: expected it to be left out, got 3: the"),
        (["data.maximum_length=9"], "data.maximum_length: expected it to be left out, got 9"),
        (["data.block=9"], "data.block: expected it to be left out, got 9: data.split is 'tail'"),
        (["data.truncate=left"], "data.truncate: expected it to be left out, got 'left': there"),
        (["model.condition_size=9"], "model.condition_size: expected it to be left out, got 9"),
        (["training.epochs=3"], "training.epochs: expected it to be left out, got 3"),
        (["training.early_stop=1", "data.validation=false"], "training.early_stop: expected it"),
        (["training.optimizer=sgdd"], "training.optimizer: expected 'adadelta', 'adagrad',"),
        (["training.optimizer_settings={momentum=1}"], "adamw: momentum: there is no such arg"),
        (
            ["training.precision=float16"],
            "expected 'float32' or 'bfloat16', got 'float16'; did you mean 'bfloat16'?",
        ),
        (["training.schedule=step"], "expected 'cosine', 'linear' or 'constant', got 'step'"),
        (["training.clip_value=0"], "training.clip_value: expected greater than 0, got 0"),
        (["training.accumulate=99999999"], "training.accumulate: expected at most 20, the batches"),
        (["training.accumulate=0"], "training.accumulate: expected greater than or equal to 1"),
        (["training.device=cuda:99"], "training.device: 'cuda:99' cannot be used here"),
        (["model.tied=true", "model.cell=gruu"], "did you mean 'gru'?"),
    ],
    ids=str,
)
def test_settings_that_cannot_be(
    changes: list[str], said: str, tmp_path: Path, text_file: Path
) -> None:
    refused(train(text_file, tmp_path / "run", *changes), 2, said)
    assert not (tmp_path / "run").exists()


# -------------------------------------------------------------------------------- a run that fails


def test_a_loss_that_is_no_number(
    tmp_path: Path, text_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = task_module.LanguageModel

    class Failing(plain):  # type: ignore[misc, valid-type]
        steps = 0

        def forward(self, batch: Any, state: Any = None) -> Scored:
            Failing.steps += self.training
            if Failing.steps == 15:
                with torch.no_grad():
                    self.head.projection.bias[2] = math.nan
            scored: Scored = super().forward(batch, state)
            return scored

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(task_module, "LanguageModel", Failing)
        said = ["at step 15 of 20", "the weight head.projection.bias", "training.learning_rate"]
        refused(train(text_file, out), 1, *said)
    assert int((out / "last").read_text()) == 12
    assert not (out / "data").exists()
    assert call("generate", out, "--length", 5, "--seed", 1).exit_code == 0
    done = resume(out)
    assert done.exit_code == 0, done.stderr
    assert "going on after step 12 of 20" in done.stderr


def full_disk(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    """No space is left when a file of such a name is written for so many times."""
    plain, seen = open, 0

    def write(path: Any, *args: Any, **settings: Any) -> Any:
        nonlocal seen
        opened = plain(path, *args, **settings)
        mode = args[0] if args else settings.get("mode", "r")
        if name in str(path) and any(letter in mode for letter in "wax+"):
            seen += 1
            if seen >= number:
                opened.close()
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return opened

    monkeypatch.setattr("builtins.open", write)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("training.ids", 1),
        ("test.ids", 1),
        ("recipe.json", 1),
        ("ngrams.safetensors", 1),
    ],
)
def test_a_full_disk_before_the_first_step(
    name: str, number: int, tmp_path: Path, text_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_disk(monkeypatch, name, number)
    refused(train(text_file, tmp_path / "run"), 1, "run", name, os.strerror(errno.ENOSPC))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "number"),
    [  # a model is written once before the first step too
        ("model.safetensors", 4),
        ("training.safetensors", 3),
        ("training.json", 3),
        ("log.csv", 3),
    ],
)
def test_a_full_disk_after_some_steps(
    name: str, number: int, tmp_path: Path, text_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        full_disk(patch, name, number)
        refused(train(text_file, out), 1, str(out), os.strerror(errno.ENOSPC))
    assert not list(out.rglob(".*"))
    assert not (out / "data").exists()
    assert int((out / "last").read_text()) == 8
    assert call("generate", out, "--length", 5, "--seed", 1).exit_code == 0
    assert resume(out).exit_code == 0  # there is space again
    whole = tmp_path / "whole"
    assert train(text_file, whole).exit_code == 0
    for run in (out, whole):
        assert int((run / "last").read_text()) == 20
    assert (out / "summary.json").read_bytes() == (whole / "summary.json").read_bytes()


# ----------------------------------------------------------------------------------- going on


@pytest.fixture(scope="module")
def finished(text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a text and a run of it that is at its end."""
    place = tmp_path_factory.mktemp("finished")
    (place / "text.txt").write_text(text)
    assert train(place / "text.txt", place / "run").exit_code == 0
    return place


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished / "run", tmp_path / "run")
    return tmp_path / "run"


def listed(run: Path) -> dict[str, bytes]:
    return {str(p.relative_to(run)): p.read_bytes() for p in run.rglob("*") if p.is_file()}


def test_a_run_at_its_end(run: Path) -> None:
    before = listed(run)
    refused(resume(run), 1, "is at its end (20 of 20 steps)", "--epochs")
    assert listed(run) == before
    done = resume(run, *sets("training.symbols=1600"))
    assert done.exit_code == 0, done.stderr
    assert "going on after step 20 of 25" in done.stderr
    assert run_source(run)[0].training.symbols == 1600


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (sets("model.cell=gru"), ["model.cell: the run has 'lstm', which cannot become 'gru'"]),
        (sets("data.vocabulary=bytes"), ["data.vocabulary: the run has 'characters'"]),
        (sets("training.optimizer=sgd"), ["training.optimizer: the run has 'adamw'"]),
        (["--encoding", "latin-1"], ["data.encoding: the run has 'utf-8'"]),
        (sets("model.cel=gru"), ["no setting 'model.cel'"]),
        (sets("data.lower=true"), ["data.lower: expected it to be left out"]),
        (sets("training.device=cuda:99"), ["training.device: 'cuda:99' cannot be used here"]),
    ],
    ids=str,
)
def test_another_recipe(args: list[str], said: list[str], run: Path) -> None:
    before = listed(run)
    refused(resume(run, *args), 2, *said)
    assert listed(run) == before


def test_other_data(run: Path, tmp_path: Path, finished: Path) -> None:
    before = listed(run)
    other = tmp_path / "other.txt"
    other.write_text((finished / "text.txt").read_text() + "x")
    longer = sets("training.symbols=1600")
    refused(resume(run, "--data", other, *longer), 2, "these are not the data that this run")
    refused(resume(run, "--data", tmp_path / "none.txt"), 2, "none.txt", "no such file")
    assert listed(run) == before


def test_a_text_that_is_gone(run: Path, finished: Path, tmp_path: Path) -> None:
    told = json.loads((run / "data.json").read_text())
    assert told["source"] == str(finished / "text.txt")
    (run / "data.json").write_text(json.dumps(told | {"source": str(tmp_path / "gone.txt")}))
    refused(resume(run, *sets("training.symbols=1600")), 2, "gone.txt", "no such file")
    (run / "data.json").write_text(json.dumps(told | {"source": None}))
    refused(resume(run), 2, "train: --data is missing")
    longer = ["--data", finished / "text.txt", *sets("training.symbols=1600")]
    assert resume(run, *longer).exit_code == 0


def test_a_folder_that_is_no_run(tmp_path: Path, finished: Path) -> None:
    (tmp_path / "empty").mkdir()
    checkpoint = artifact.resolve(finished / "run", "last")
    for place in (tmp_path / "none", tmp_path / "empty", finished / "text.txt", checkpoint):
        refused(resume(place), 1, str(place), "expected the folder of a run")
    assert not (tmp_path / "none").exists()
    assert not list((tmp_path / "empty").iterdir())


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [cut, Path.unlink, lambda path: path.write_text("[3]")])
@pytest.mark.parametrize("name", ["recipe.json", "data.json", "training.json", "model.safetensors"])
def test_a_file_that_is_damaged(name: str, damage: Callable[[Path], Any], run: Path) -> None:
    path = run / name
    if not path.exists():
        path = artifact.resolve(run, "last") / name
    damage(path)
    before = listed(run)
    expected = "expected the folder of a run" if not (run / "recipe.json").exists() else name
    refused(resume(run, *sets("training.symbols=1600")), 1, str(run), expected)
    assert listed(run) == before


@pytest.mark.parametrize("change", [{"training": {"learning_rate": 0.5}}, {"check": "0"}])
def test_a_recipe_edited_by_hand(change: dict[str, Any], run: Path) -> None:
    path = run / "recipe.json"
    told = json.loads(path.read_text())
    for name, value in change.items():
        told[name] = told[name] | value if isinstance(value, dict) else value
    path.write_text(json.dumps(told))
    before = listed(run)
    refused(resume(run, *sets("training.symbols=1600")), 1, str(path), "was changed", "Put back")
    assert listed(run) == before


def test_a_recipe_without_a_checksum_is_taken_as_it_is(run: Path) -> None:
    """As older versions wrote it; what goes on has one."""
    path = run / "recipe.json"
    told = json.loads(path.read_text())
    del told["check"]
    path.write_text(json.dumps(told))
    assert resume(run, *sets("training.symbols=1600")).exit_code == 0
    assert "check" in json.loads(path.read_text())


def test_an_older_recipe_that_cannot_be(run: Path) -> None:
    recipe = json.loads((run / "recipe.json").read_text())
    del recipe["check"]
    for section, name, value, said in (
        ("model", "hidden_size", "big", "model.hidden_size: expected a valid integer, got 'big'"),
        ("training", "sede", 3, "no setting 'training.sede'; did you mean 'training.seed'?"),
        ("data", "lower", True, "data.lower: expected it to be left out, got True"),
        ("model", "hidden_size", 9, "what it has does not fit"),
    ):
        changed = recipe | {section: recipe[section] | {name: value}}
        (run / "recipe.json").write_text(json.dumps(changed))
        refused(resume(run, *sets("training.symbols=1600")), 1, said)
    for pointer, said in (("999999", "names '999999'"), ("../..", "names '../..'")):
        (run / "recipe.json").write_text(json.dumps(recipe))
        (run / "last").write_text(pointer)
        refused(resume(run), 1, "last", said)


@pytest.mark.parametrize("change", [{"step": 13}, {"step": -1}, {"best": []}, {"values": "x"}])
def test_a_checkpoint_edited_by_hand(change: dict[str, Any], run: Path) -> None:
    path = artifact.resolve(run, "last") / "training.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    before = listed(run)
    refused(resume(run, *sets("training.symbols=1600")), 1, str(path), "its checksum")
    assert listed(run) == before


def test_one_at_a_time(run: Path) -> None:
    before = listed(run)
    other = RunFolder.open(run)
    other.claim()
    said = "another process is training this run"
    refused(resume(run, *sets("training.symbols=1600")), 1, str(run), said)
    assert listed(run) == before
    other.release()
    assert resume(run, *sets("training.symbols=1600")).exit_code == 0


def test_killed_while_the_text_was_read(run: Path, tmp_path: Path, finished: Path) -> None:
    begun = tmp_path / "begun"
    (begun / "checkpoints").mkdir(parents=True)
    (begun / "data").mkdir()
    shutil.copy(run / "recipe.json", begun)
    told = json.loads((run / "data.json").read_text())
    (begun / "data.json").write_text(json.dumps(told | {"blake2b": None}))
    (begun / "data" / ".training.ids.partial").write_bytes(b"half")
    done = resume(begun)
    assert done.exit_code == 0, done.stderr
    both = [artifact.resolve(each, "last") / "model.safetensors" for each in (begun, run)]
    assert both[0].read_bytes() == both[1].read_bytes()
    assert json.loads((begun / "data.json").read_text()) == told
    # Killed before even the recipe was written.
    (tmp_path / "empty" / "checkpoints").mkdir(parents=True)
    assert train(finished / "text.txt", tmp_path / "empty").exit_code == 0


def test_how_long_is_said_in_one_of_two_ways(run: Path) -> None:
    refused(resume(run, *sets("training.symbols=1600", "training.epochs=2")), 2, "training.epochs")
    done = resume(run, *sets("training.epochs=0.5"))
    assert done.exit_code == 0, done.stderr
    training = run_source(run)[0].training
    assert (training.symbols, training.epochs) == (None, 0.5)
    done = resume(run, *sets("training.symbols=4000"))
    assert done.exit_code == 0, done.stderr
    training = run_source(run)[0].training
    assert (training.symbols, training.epochs) == (4000, 10)


def test_nothing_is_expected_of_the_start_symbol(run: Path) -> None:
    model = artifact.load(run).model
    state = model.start(1)
    with torch.no_grad():
        log_probs, _ = model.step(torch.tensor([START]), state)
    assert float(log_probs[0, START].exp()) < 1e-12


def test_a_run_that_another_process_just_makes_is_left_to_it(tmp_path: Path) -> None:
    out = tmp_path / "run"
    other = RunFolder(out)
    other.claim()
    with pytest.raises(RunError, match="another process is training this run"):
        recurra.train("transduction", [("a", "b")] * 40, out=out, report=lambda _: None)
    assert (out / "checkpoints").is_dir()
    other.release()
