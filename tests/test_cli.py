"""The command line as a person uses it: real processes, real signals, real mistakes."""

from __future__ import annotations

import errno
import inspect
import json
import math
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from typer.testing import CliRunner

from recurra import artifact, console
from recurra.cli import app
from recurra.data import Document, Documents
from recurra.doors import load
from recurra.errors import DataError
from recurra.models import LanguageModel
from recurra.training import evaluate, load_recipe, run_source
from recurra_runtime.vocabulary import END

COMMAND = str(Path(sys.executable).with_name("recurra"))
WAIT = 60  # seconds after which a child that does not answer has failed


def recurra(*args: str | Path, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run the installed command to its end."""
    done = subprocess.run(
        [COMMAND, *map(str, args)], capture_output=True, text=True, timeout=WAIT, **settings
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def call(*args: str | Path) -> Any:
    """Run a command in this process: for the many cases that need no process of their own."""
    result = CliRunner().invoke(app, list(map(str, args)), env={"COLUMNS": "100"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception  # what a user would see as a traceback
    return result


def sets(changes: list[str]) -> list[str]:
    return [word for change in changes for word in ("--set", change)]


def refused(result: Any, code: int, *said: str) -> None:
    """Was it told in a sentence, with the right exit code?"""
    stderr = result.stderr
    assert "Traceback" not in stderr
    for words in said:
        assert words in stderr, stderr
    got = result.exit_code if hasattr(result, "exit_code") else result.returncode
    assert got == code, stderr
    assert result.stdout == ""


@pytest.fixture
def quick(tiny_changes: list[str]) -> list[str]:
    """Settings of a training of a few steps, as options."""
    return sets([*tiny_changes, "model.hidden_size=8", "training.symbols=1000"])


@pytest.fixture
def endless(tiny_run: Any, tmp_path: Path) -> Path:
    """A model that never ends its text."""
    loaded = artifact.load(tiny_run.path)
    assert isinstance(loaded.model, LanguageModel)
    with torch.no_grad():
        loaded.model.head.projection.bias[END] = -1e9  # type: ignore[index,union-attr]
    artifact.save(tmp_path / "endless", loaded.model, loaded.fronts, "language-model")
    return tmp_path / "endless"


# ------------------------------------------------------------------------------ from end to end


def test_train_evaluate_generate_and_describe(
    text_file: Path, tiny_changes: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "runs" / "book"
    options = sets([*tiny_changes, "training.symbols=8000"])
    done = recurra("train", "language-model", "--data", text_file, "--out", out, *options)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^step (\d+)/\1 ", done.stderr, re.MULTILINE)  # to the last one
    sizes = r"symbols to train on, .* held out; \d+ ids; .* while it trains; [\d,]+ parameters"
    assert re.search(sizes, done.stderr)
    assert re.search(r"^held out: [\d,]+ characters$", done.stdout, re.MULTILINE)
    assert f"recurra generate {out}" in done.stdout.replace("\n", "")
    told = json.loads((out / "summary.json").read_text())
    assert told["verdict"] in done.stdout.splitlines()
    summary = {row["name"]: row for row in told["evaluations"]}
    assert set(summary) == {"lstm", "bigram", "5-gram", "mixture"}
    for name, row in summary.items():
        assert re.search(rf"{name} +{row['nats_per_character']:.4f} ", done.stdout)

    done = recurra("evaluate", out, "--data", text_file)
    assert done.returncode == 0, done.stderr
    assert {"lstm", "bigram", "5-gram", "mixture"} <= set(done.stdout.split())
    assert done.stderr == ""

    done = recurra("generate", out, "--prompt", "anna ", "--length", "30", "--seed", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("anna ")
    assert len(done.stdout) == len("anna ") + 30 + 1
    again = call("generate", out, "--prompt", "anna ", "--length", 30, "--seed", 1)
    assert again.stdout == done.stdout
    other = call("generate", out, "--prompt", "anna ", "--length", 30, "--seed", 2)
    assert other.stdout != done.stdout

    done = recurra("describe", out)
    assert done.returncode == 0, done.stderr
    total = sum(p.numel() for p in artifact.load(out).model.parameters())
    assert re.search(rf"^all +{total:,}$", done.stdout, re.MULTILINE)
    assert "4*h*(i+h) + 4*h  (i=16, h=16)" in done.stdout


def test_numbers_of_evaluate(tiny_run: Any, tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_text("anna sees a dog.\n")
    result = call("evaluate", tiny_run.path, "--data", path)
    rows = {
        line.split()[0]: line.split()[1:] for line in result.stdout.splitlines() if line.strip()
    }
    for name in ("lstm", "bigram", "5-gram"):
        nats, bits, each, perplexity = map(float, rows[name])
        assert bits == pytest.approx(nats / math.log(2), abs=2e-4)
        assert each == pytest.approx(nats * 17 / 18, abs=2e-4)  # with the end of the text
        assert perplexity == pytest.approx(math.exp(each), rel=1e-3)
    assert "17 characters" in result.stdout


def test_unknown_characters_are_told(tiny_run: Any, tmp_path: Path) -> None:
    path = tmp_path / "strange.txt"
    path.write_text("anna ☃☃ sees", encoding="utf-8")
    assert "2 symbols were unknown" in call("evaluate", tiny_run.path, "--data", path).stdout


def test_a_checkpoint_will_do_where_a_run_would(tiny_run: Any) -> None:
    checkpoint = artifact.load(tiny_run.path).path
    assert call("describe", checkpoint).exit_code == 0
    first, second = (
        call("generate", path, "--seed", 1, "--length", 20) for path in (checkpoint, tiny_run.path)
    )
    assert first.stdout == second.stdout != ""


def test_last_instead_of_best(tiny_run: Any) -> None:
    last = artifact.load(tiny_run.path, which="last").path
    assert str(last) in call("describe", tiny_run.path, "--which", "last").stdout


@pytest.mark.parametrize("command", ["train", "evaluate", "generate", "describe"])
def test_every_command_explains_itself(command: str) -> None:
    result = call(command, "--help")
    assert result.exit_code == 0
    assert "--help" in result.stdout
    assert command in call("--help").stdout


@pytest.mark.parametrize("columns", ["20", "40", "200"])
def test_no_number_is_cut_in_a_narrow_window(
    columns: str, tiny_run: Any, text_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    result = CliRunner().invoke(app, ["evaluate", str(tiny_run.path), "--data", str(text_file)])
    assert result.exit_code == 0
    for name in ("lstm", "bigram", "5-gram"):
        row = rf"^ *{name}( +\d+\.\d{{4}}){{3}} +\d+\.\d{{3}} *$"
        assert re.search(row, result.stdout, re.MULTILINE)
    assert "…" not in result.stdout


# ------------------------------------------------------------------------------- texts of all kinds


def learned(data: Path, out: Path, options: list[str]) -> str:
    """Train, describe and write: what was written."""
    result = call("train", "language-model", "--data", data, "--out", out, *options)
    assert result.exit_code == 0, result.stderr
    assert call("describe", out).exit_code == 0
    assert call("evaluate", out, "--data", data).exit_code == 0
    written = call("generate", out, "--seed", 1, "--length", 40, "--temperature", 0.5)
    assert written.exit_code == 0, written.stderr
    return str(written.stdout)


def test_any_script(tmp_path: Path, quick: list[str]) -> None:
    path = tmp_path / "ünï☃.txt"
    words = "日本語 русский עברית العربية e\u0301 👩\u200d👩\u200d👧 ☃\n"
    path.write_text(words * 30, encoding="utf-8")
    written = learned(path, tmp_path / "rün", quick)
    assert set(written) <= set(words)
    assert call("generate", tmp_path / "rün", "--prompt", "日本").stdout.startswith("日本")


def test_one_character_over_and_over(tmp_path: Path, quick: list[str]) -> None:
    (tmp_path / "a.txt").write_text("a" * 400)
    assert set(learned(tmp_path / "a.txt", tmp_path / "run", quick)) <= {"a", "\n"}


def test_bytes_know_every_character(text_file: Path, tmp_path: Path, quick: list[str]) -> None:
    options = [*quick, "--set", "data.vocabulary=bytes"]
    learned(text_file, tmp_path / "run", options)
    result = call("generate", tmp_path / "run", "--prompt", "☃", "--seed", 1)
    assert result.exit_code == 0
    assert result.stdout.startswith("☃")


@pytest.mark.parametrize(("characters", "rows", "enough"), [
    (20, 1, True), (19, 1, False), (20, 17, True), (20, 18, False)
])  # fmt: skip
def test_a_text_just_large_enough_and_just_too_small(
    characters: int, rows: int, enough: bool, tmp_path: Path, quick: list[str]
) -> None:
    (tmp_path / "a.txt").write_text(("abcde" * 4)[:characters])
    options = [*quick, "--set", f"training.batch_size={rows}"]
    if enough:
        learned(tmp_path / "a.txt", tmp_path / "run", options)
        return
    result = call(
        "train", "language-model", "--data", tmp_path / "a.txt", "--out", tmp_path / "run", *options
    )
    refused(result, 2, "recurra: data: expected at least", "got")
    assert not (tmp_path / "run").exists()


def test_a_folder_of_texts(tmp_path: Path, text: str, quick: list[str]) -> None:
    folder = tmp_path / "texts"
    (folder / "deep").mkdir(parents=True)
    (folder / "one.md").write_text(text[:700])
    (folder / "deep" / "two.md").write_text(text[700:1500])
    (folder / "empty.md").write_text("")
    (folder / "other.py").write_text("import")
    options = [*quick, "--set", "data.pattern=*.md"]
    args = ["train", "language-model", "--data", folder, "--out", tmp_path / "run"]
    result = call(*args, *options)
    assert result.exit_code == 0, result.stderr
    scored = call("evaluate", tmp_path / "run", "--data", folder, "--pattern", "*.md")
    assert "1,500 characters" in scored.stdout


def test_several_files_are_read_in_their_order(tmp_path: Path, text: str, quick: list[str]) -> None:
    one, two, both = (tmp_path / f"{name}.txt" for name in ("one", "two", "both"))
    one.write_text(text, encoding="utf-8")
    two.write_text(text[::-1], encoding="utf-8")
    out = tmp_path / "run"
    given = ["--data", one, "--data", two]
    done = call("train", "language-model", *given, "--out", out, *quick)
    assert done.exit_code == 0, done.stderr
    told = json.loads((out / "data.json").read_text())
    assert told["source"] == [str(one), str(two)]
    longer = ["train", "--resume", out, "--set", "training.symbols=2000"]
    refused(call(*longer, "--data", two, "--data", one), 2, "not the data that this run")
    refused(call(*longer, "--data", one), 2, "not the data that this run")
    assert call(*longer).exit_code == 0  # it remembers both
    texts = Documents("both", lambda: iter([Document(text, "1"), Document(text[::-1], "2")]))
    expected = evaluate(out, texts)[0]
    got = call("evaluate", out, *given)
    assert f"{one}, {two}: {2 * len(text):,} characters" in got.stdout
    assert f"{expected.nats_per_character:.4f}" in got.stdout
    both.write_text("")
    refused(call("evaluate", out, *given, "--data", both), 2, f"{both}: expected text, found none")


def test_a_file_may_have_any_name(tiny_run: Any, tmp_path: Path) -> None:
    path = tmp_path / "[" / "bold].txt"
    path.parent.mkdir()
    path.write_text("anna sees a dog.\n")
    result = call("evaluate", tiny_run.path, "--data", path)
    assert result.stdout.startswith(f"{path}: 17 characters\n")


def test_a_pattern_is_of_folders(tiny_run: Any, text_file: Path) -> None:
    for data in (text_file, "hub:owner/name"):
        result = call("evaluate", tiny_run.path, "--data", data, "--pattern", "*.md")
        refused(result, 2, "evaluate: --pattern", f"{data} is no folder", "leave --pattern out")


def test_gaps_that_the_model_cannot_tell(tiny_run: Any, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    rows = [
        {"text": "a ___", "choices": ["é", "ü"], "answer": "é"},
        {"text": "a ___ é", "choices": ["dog", "gdo"], "answer": "dog"},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    unknown = "unknown symbols, counted as <unk>: 4\n"
    result = call("score", tiny_run.path, "--choices", path)
    assert re.match("tied   é  .*\nright  dog  .*\naccuracy: 0.5000 ", result.stdout)
    assert result.stderr == f"ties, counted as wrong: 1\n{unknown}"
    result = call("score", tiny_run.path, "--choices", path, "--json")
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["tied"], row["correct"]) for row in told] == [(True, False), (False, True)]
    assert [row["unknown"] for row in told] == [{"é": 1, "ü": 1}, {"dog": 1, "gdo": 1}]
    assert result.stderr.startswith("accuracy: 0.5000 ")
    assert result.stderr.endswith(unknown)


# ---------------------------------------------------------------------------------- data that fails


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.txt", b"", ["empty.txt", "expected text, "]),
        ("picture.txt", b"\x89PNG\r\n\x1a\n\0\0\0", ["picture.txt", "this is a picture"]),
        ("binary.txt", b"\x01\n\0\0\0", ["binary.txt", "NUL", "byte 2", "binary"]),
        ("old.txt", b"one\ntwo caf\xe9\n", ["old.txt", "line 2, byte 11", "0xe9", "--encoding"]),
        ("cut.txt", "abc\n☃".encode()[:-1], ["cut.txt", "line 2, byte 4"]),
    ],
)  # fmt: skip
def test_a_file_that_is_no_text(
    name: str, content: bytes, said: list[str], tmp_path: Path, tiny_run: Any
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    out = tmp_path / "run"
    refused(call("train", "language-model", "--data", path, "--out", out), 2, "recurra: ", *said)
    assert not out.exists()
    refused(call("evaluate", tiny_run.path, "--data", path), 2, "recurra: ", *said)


def test_the_encoding_can_be_said(tmp_path: Path, quick: list[str], tiny_run: Any) -> None:
    path = tmp_path / "old.txt"
    path.write_bytes("le café est là, ça va\n".encode("latin-1") * 40)
    args = ["train", "language-model", "--data", path, "--out", tmp_path / "run", *quick]
    refused(call(*args), 2, "byte 6 (0xe9)", "--encoding latin-1")
    result = call(*args, "--encoding", "latin-1")
    assert result.exit_code == 0, result.stderr
    assert "é" in artifact.load(tmp_path / "run").fronts["text"].to_json()["characters"]
    scored = call("evaluate", tmp_path / "run", "--data", path, "--encoding", "latin-1")
    assert scored.exit_code == 0
    assert "unknown" not in scored.stdout
    args[args.index("--out") + 1] = tmp_path / "other"
    refused(call(*args, "--encoding", "klingon"), 2, "'klingon'")
    refused(call(*args, "--encoding", 'a"b'), 2, "recurra: ")
    assert not (tmp_path / "other").exists()


def test_no_file_and_no_text_in_a_folder(tmp_path: Path) -> None:
    out = tmp_path / "run"
    train = ["train", "language-model", "--out", out, "--data"]
    refused(call(*train, tmp_path / "nothing.txt"), 2, "nothing.txt", "no such file or folder")
    folder = tmp_path / "texts"
    folder.mkdir()
    refused(call(*train, folder), 2, "expected files *.txt, found none", "empty")
    (folder / "a.md").write_text("# a")
    refused(call(*train, folder), 2, "expected files *.txt, found none", ".md (1)", "pattern")
    (folder / "a.txt").write_text("")
    refused(call(*train, folder), 2, "texts: expected text, found none")
    assert not out.exists()
    out.mkdir()  # a folder of the user's stays where nothing was begun in it
    refused(call(*train, tmp_path / "nothing.txt"), 2, "no such file or folder")
    assert out.is_dir()


def test_what_is_not_there_is_said_before_a_model_is_read(tmp_path: Path, tiny_run: Any) -> None:
    shutil.copytree(tiny_run.path, tmp_path / "run")
    for weights in (tmp_path / "run" / "checkpoints").glob("*/*.safetensors"):
        weights.unlink()
    missing = ["--data", tmp_path / "nothing.txt"]
    refused(call("evaluate", tmp_path / "run", *missing), 2, "no such file or folder")
    changes = sets(["training.symbols=48000"])
    refused(call("train", "--resume", tmp_path / "run", *missing, *changes), 2, "no such file")


def test_a_folder_that_is_taken(tmp_path: Path, text_file: Path, quick: list[str]) -> None:
    (tmp_path / "note").write_text("mine")
    result = call("train", "language-model", "--data", text_file, "--out", tmp_path, *quick)
    refused(result, 1, str(tmp_path), "expected a new folder", "--out")
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_a_folder_that_cannot_be(tmp_path: Path, text_file: Path, quick: list[str]) -> None:
    (tmp_path / "note").write_text("mine")
    out = tmp_path / "note" / "run"
    result = call("train", "language-model", "--data", text_file, "--out", out, *quick)
    refused(result, 1, str(out), "cannot be made")


# ------------------------------------------------------------------------------------- wrong use


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("model.hiden_size=3", ["no setting 'model.hiden_size'", "mean 'model.hidden_size'"]),
        ("modell.layers=3", ["no setting 'modell'", "'model'?", "Known: data, distil, model, tr"]),
        ("model.cell=lstmm", ["no 'lstmm'", "did you mean 'lstm'", "@recurra.register"]),
        ("model.hidden_size=big", ["model.hidden_size: expected a valid integer, got 'big'"]),
        ("model.layers=true", ["model.layers: expected a valid integer, got True"]),
        ("model.hidden_size=0", ["model.hidden_size: expected greater than or equal to 1"]),
        ("model.dropout=1", ["model.dropout: expected less than 1"]),
        ("model.layers", ["--set 'model.layers': expected name=value"]),
        ("=3", ["--set '=3': expected name=value"]),
        ("model.cell.bias=false", ["cell is a setting, not a section"]),
        ("model.cell_settings.nrom=true", ["cell 'lstm'", "nrom"]),
        ("model.cell_settings.input_size=3", ["cell 'lstm'", "input_size"]),
        ("model.cell_settings.forget_bias=high", ["forget_bias: expected a number, got 'high'"]),
        ("model.cell_settings.bias=3", ["bias: expected true or false, got 3"]),
        ("data.split=blocks", ["expected at least 100000 characters", "data.split=tail"]),
        ("data.split=half", ["data.split: expected 'tail', ", "got 'half'"]),
        ("data.vocabulary=letters", ["data.vocabulary: expected 'characters', "]),
        ("data.encoding=klingon", ["'klingon'", "utf-8"]),
        ("training.batch_size=1000000", ["each of 1000000 rows", "training.batch_size"]),
        ("training.epochs=inf", ["training.epochs: expected a finite number"]),
        ("training.symbols=-5", ["training.symbols: expected greater than or equal to 1"]),
        ("training.seed=99999999999999999999", ["training.seed: expected less than"]),
        ("task=taging", ["recipe language-model: task: none is called 'taging'"]),
        ("task=language-mode", ["did you mean 'language-model'"]),
        ("task=3", ["task: expected the name of one", "got 3"]),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be(
    change: str, said: list[str], tmp_path: Path, text_file: Path
) -> None:
    out = tmp_path / "run"
    result = call("train", "language-model", "--data", text_file, "--out", out, "--set", change)
    refused(result, 2, "recurra: ", *said)
    assert not out.exists()


@pytest.mark.parametrize(
    "changes",
    [
        ["model.tied=true", "model.embedding_size=5"],
        ["model.residual=true", "model.layers=3", "model.embedding_size=5"],
        ["training.symbols=1"],
        ["training.window=100000", "training.warmup=1"],
        ["training.evaluations=100000", "training.symbols=300"],
        ["training.clip=inf", "training.weight_decay=0"],
        ["data.validation=false", "training.batch_size=1"],
        ["data.split=blocks", "data.block=1"],
        ["model.cell=irnn", "model.embedding_size=3", "model.layers=2"],
    ],
    ids=str,
)
def test_odd_settings_work(
    changes: list[str], tmp_path: Path, text_file: Path, quick: list[str]
) -> None:
    options = [*quick, *sets(changes)]
    result = call(
        "train", "language-model", "--data", text_file, "--out", tmp_path / "run", *options
    )
    assert result.exit_code == 0, result.stderr
    assert call("describe", tmp_path / "run").exit_code == 0


def test_a_model_beyond_all_memory(tmp_path: Path, text_file: Path) -> None:
    out = tmp_path / "run"
    options = ["--set", "model.hidden_size=1000000"]
    result = call("train", "language-model", "--data", text_file, "--out", out, *options)
    refused(result, 1, "out of memory", "model.hidden_size")
    assert not out.exists()


def test_a_training_that_explodes(tmp_path: Path, text_file: Path, quick: list[str]) -> None:
    options = [*quick, "--set", "training.learning_rate=1e30", "--set", "training.evaluations=100"]
    out = tmp_path / "run"
    result = call("train", "language-model", "--data", text_file, "--out", out, *options)
    refused(result, 1, "at step", "learning_rate")
    assert "ready" not in result.stdout
    # Its weights are finite or not: in any case generating from them is told, not thrown.
    assert "Traceback" not in call("generate", out, "--seed", 1).stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--length", "-1"], "--length of at least 0"),
        (["--length", "many"], "--length"),
        (["--temperature", "-1"], "temperature"),
        (["--temperature", "nan"], "temperature"),
        (["--temperature", "inf"], "temperature"),
        (["--top-k", "0"], "top_k"),
        (["--seed", "99999999999999999999"], "seed"),
        (["--which", "worst"], "'best' or 'last', got 'worst'"),
        (["--which", "log.csv"], "'best' or 'last'"),
        (["--tempreature", "1"], "--temperature"),
        (["--endless", "--length", "5"], "leave --length out"),
        (["--endless", "--count", "2"], "leave --count out"),
        (["--endless", "--beam", "2"], "leave --beam out"),
    ],
)
def test_options_of_generate_that_cannot_be(options: list[str], said: str, tiny_run: Any) -> None:
    refused(call("generate", tiny_run.path, *options), 2, said)


def test_what_is_unknown_of_a_prompt_is_said(
    tiny_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # and put back
    console.say_warnings()
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        result = call("generate", tiny_run.path, "--prompt", "anna ☃", "--length", 3)
    assert result.exit_code == 0
    said = "recurra: prompt: the model has never seen '☃', and reads it as <unk> (one trained"
    assert result.stderr.startswith(said)
    assert result.stdout.startswith("anna ☃")


@pytest.mark.parametrize("temperature", ["0", "1e-300", "1e-50", "1e300"])
def test_odd_temperatures(temperature: str, tiny_run: Any) -> None:
    options = ["--temperature", temperature, "--length", "10", "--seed", "1"]
    assert call("generate", tiny_run.path, *options).exit_code == 0


def test_nothing_to_write_is_an_empty_line(tiny_run: Any) -> None:
    assert call("generate", tiny_run.path, "--length", 0, "--prompt", "anna").stdout == "anna\n"
    assert call("generate", tiny_run.path, "--length", 0).stdout == "\n"
    assert call("generate", tiny_run.path, "--length", 0, "--prompt", "").stdout == "\n"


@pytest.mark.parametrize(
    "args",
    [
        ["trian"],
        ["evaluate"],
        ["evaluate", "x"],
        ["generate"],
        ["describe"],
        ["describe", "x", "y"],
    ],
    ids=" ".join,
)
def test_wrong_use_is_exit_code_2(args: list[str]) -> None:
    result = call(*args)
    assert result.exit_code == 2
    assert "Usage" in result.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "a recipe is missing"),
        (["language-model"], "--out is missing"),
        (["language-model", "--data", "x"], "--out is missing"),
        (["language-model", "--out", "x"], "--data is missing"),
        (["language-model", "--resume", "x"], "leave recipe and --out out"),
        (["--resume", "x", "--out", "y"], "leave recipe and --out out"),
    ],
    ids=str,
)
def test_what_train_needs(args: list[str], said: str) -> None:
    refused(call("train", *args), 2, "recurra: train: ", said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--wd 0.1", "no option --wd; it is a setting: --set training.weight_decay=0.1"),
        ("--max-epochs 3", "no option --max-epochs; did you mean --epochs?"),
        ("--training.window 9", "--set training.window=9"),
        ("--tied language-model", "--set model.tied=true"),
        ("--charset latin-1", "no option --charset; did you mean --encoding?"),
        ("--distil RUN", "no option --distil; did you mean --teacher?"),
        ("--xyzzy 3", "No such option: --xyzzy"),
        ("--set", "requires an argument"),
    ],
)
def test_a_setting_written_as_an_option(words: str, said: str) -> None:
    refused(call("train", *words.split()), 2, said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("distil RUN", "no command 'distil'; that is: recurra train TASK --data X --teacher RUN"),
        ("resume", "that is: recurra train --resume RUN"),
        ("xyzzy", "No such command 'xyzzy'"),
    ],
)
def test_a_command_that_is_another(words: str, said: str) -> None:
    refused(call(*words.split()), 2, said)


def test_usual_settings_are_options_of_their_own(
    tmp_path: Path, text_file: Path, quick: list[str]
) -> None:
    given = {"lr": 0.015, "hidden": 6, "layers": 2, "batch": 4, "seed": 7, "device": "cpu"}
    options = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    own = ("learning_rate", "hidden_size", "layers", "batch_size", "symbols")
    others = [change for change in quick[1::2] if change.partition("=")[0].split(".")[1] not in own]
    args = ["train", "language-model", "--data", text_file, "--out", tmp_path / "run"]
    result = call(*args, *sets(others), *options, "--epochs", "0.4")
    assert result.exit_code == 0, result.stderr
    recipe, _ = run_source(tmp_path / "run")
    assert recipe.training.learning_rate == 0.015
    assert (recipe.model.hidden_size, recipe.model.layers) == (6, 2)
    assert (recipe.training.batch_size, recipe.training.seed) == (4, 7)
    assert (recipe.training.epochs, recipe.training.symbols) == (0.4, None)
    longer = call("train", "--resume", tmp_path / "run", "--epochs", "0.6")
    assert longer.exit_code == 0, longer.stderr
    refused(call("train", "--resume", tmp_path / "run", "--lr", "1"), 2, "learning_rate: the run")
    refused(call(*args, "--lr", "0"), 2, "training.learning_rate: expected greater than 0")
    same = call(*args, "--lr", "0.1", "--set", "training.learning_rate = 1")
    refused(same, 2, "--lr and --set training.learning_rate are the same setting")


def test_new_prints_a_recipe_that_trains(tmp_path: Path) -> None:
    for args in ([], ["demo"]):
        printed = call("new", *args)
        assert printed.exit_code == 0
        path = tmp_path / "my.toml"
        path.write_text(printed.stdout)
        assert load_recipe(str(path)) == load_recipe(*(args or ["language-model"]))
    refused(call("new", "demmo"), 2, "none is called 'demmo'", "did you mean 'demo'?")


def test_a_recipe_that_is_none(tmp_path: Path, text_file: Path) -> None:
    out = tmp_path / "run"
    train = ["--data", text_file, "--out", out]
    refused(call("train", "language-modle", *train), 2, "did you mean 'language-model'")
    (tmp_path / "bad.toml").write_text("[model\n")
    refused(call("train", tmp_path / "bad.toml", *train), 2, "bad.toml", "not TOML")
    refused(call("train", tmp_path, *train), 2, "no file and no recipe")


# ------------------------------------------------------------------------------- damaged artifacts


def change_config(path: Path, **changes: Any) -> None:
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | changes))


def flip(path: Path, name: str) -> None:
    raw = bytearray((path / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (path / name).write_bytes(raw)


def resize(path: Path) -> None:
    config = json.loads((path / "config.json").read_text())
    change_config(path, model=config["model"] | {"hidden_size": 17})


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "truncated weights": (lambda p: os.truncate(p / "model.safetensors", 100), "checksum"),
    "a flipped bit of the weights": (lambda p: flip(p, "model.safetensors"), "checksum"),
    "a flipped bit of the vocabulary": (lambda p: flip(p, "vocabulary.json"), "checksum"),
    "no weights": (lambda p: (p / "model.safetensors").unlink(), "is missing"),
    "no vocabulary": (lambda p: (p / "vocabulary.json").unlink(), "is missing"),
    "config is no JSON": (lambda p: (p / "config.json").write_text("{,}"), "not JSON"),
    "newer format": (lambda p: change_config(p, format=99), "another version of Recurra"),
    "wrong shape": (resize, "the configuration wants"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_is_told(
    damage: str, tmp_path: Path, tiny_run: Any, text_file: Path
) -> None:
    change, said = DAMAGES[damage]
    run = tmp_path / "run"
    shutil.copytree(tiny_run.path, run)
    change(run / "checkpoints" / (run / "best").read_text().strip())
    for args in (["generate", run], ["describe", run], ["evaluate", run, "--data", text_file]):
        refused(call(*args), 1, "recurra: ", str(run), said)


def test_a_pointer_that_names_nothing(tmp_path: Path, tiny_run: Any) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run.path, run)
    (run / "best").write_text("999999\n")
    refused(call("generate", run), 1, "best: names '999999'")
    assert call("generate", run, "--which", "last", "--length", 5).exit_code == 0


def test_no_model_there(tmp_path: Path, text_file: Path) -> None:
    refused(call("generate", tmp_path / "nothing"), 1, "nothing", "there is none")
    refused(call("describe", tmp_path), 1, "expected a run")
    refused(call("evaluate", text_file, "--data", text_file), 1, "this is a file")


# ------------------------------------------------------------------------------------ the disk


def clean(run: Path) -> bool:
    """Is nothing half-written left?"""
    return not list(run.rglob(".*"))


FULL_LATER = """
import resource, signal
from recurra import progress
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
real, seen = progress.Lines.__call__, 0
def call(self, report):
    global seen
    real(self, report)
    seen += report.validation is not None
    if seen == {after} or {after} == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
progress.Lines.__call__ = call
from recurra.cli import main
main()
"""


@pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_FSIZE)[1] != resource.RLIM_INFINITY,
    reason="files are limited here already",
)
@pytest.mark.parametrize("after", [0, 2])
def test_a_file_that_may_not_grow(
    after: int, tmp_path: Path, text_file: Path, quick: list[str]
) -> None:
    out = tmp_path / "run"
    args = ["train", "language-model", "--data", str(text_file), "--out", str(out), *quick]
    done = subprocess.run(
        [sys.executable, "-c", FULL_LATER.format(after=after), *args],
        capture_output=True,
        text=True,
        timeout=WAIT,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"cannot be written ({os.strerror(errno.EFBIG)})" in done.stderr
    assert clean(out)
    if after:
        assert len(artifact.load(out).path.name) == 6
        assert call("generate", out, "--length", 5).exit_code == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system with room for two checkpoints of the test."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small file system can only be mounted by root")
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1200k", "tmpfs", str(place)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_runs_full(small_disk: Path, text_file: Path, quick: list[str]) -> None:
    out = small_disk / "run"
    options = [*quick, "--set", "model.hidden_size=64"]
    done = recurra("train", "language-model", "--data", text_file, "--out", out, *options)
    assert done.returncode == 1
    assert f"cannot be written ({os.strerror(errno.ENOSPC)})" in done.stderr
    assert "What was saved before is still there" in done.stderr
    assert clean(out)
    assert call("generate", out, "--length", 5).exit_code == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("command", ["generate", "describe"])
def test_output_into_a_full_disk(command: str, tiny_run: Any) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [COMMAND, command, str(tiny_run.path)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=WAIT,
        )
    assert done.returncode == 1
    assert done.stderr == f"recurra: output: {os.strerror(errno.ENOSPC)}.\n"


# ----------------------------------------------------------------------------------- pipes


def test_text_appears_as_it_is_written(endless: Path) -> None:
    with subprocess.Popen(
        [COMMAND, "generate", str(endless), "--endless", "--prompt", "anna "],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        # A buffer of Python's would hold back about 8,192 bytes; single characters come through.
        first = os.read(child.stdout.fileno(), 65536)
        assert first.startswith(b"anna ")
        assert len(first) < 4096
        sizes = [len(os.read(child.stdout.fileno(), 65536)) for _ in range(21)]
        assert 0 < sorted(sizes)[10] < 4096
        assert child.poll() is None
        child.send_signal(signal.SIGINT)
        while os.read(child.stdout.fileno(), 65536):
            pass
        assert child.wait(WAIT) == 130
        said = child.stderr.read().decode()
    assert "Stopped." in said
    assert "Traceback" not in said


def test_a_reader_that_goes_away(endless: Path) -> None:
    args = [COMMAND, "generate", str(endless), "--length", "1000000000", "--seed", "1"]
    with (
        subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child,
        subprocess.Popen(["head", "-c", "10"], stdin=child.stdout, stdout=subprocess.PIPE) as head,
    ):
        assert child.stdout is not None
        child.stdout.close()  # head alone holds it now
        assert len(head.communicate(timeout=WAIT)[0]) == 10
        assert child.stderr is not None
        assert child.wait(WAIT) == 0
        assert child.stderr.read() == b""


@pytest.mark.parametrize("command", ["describe", "evaluate"])
def test_a_reader_that_was_never_there(command: str, tiny_run: Any, text_file: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    data = ["--data", str(text_file)] if command == "evaluate" else []
    with os.fdopen(writing, "w") as pipe:
        done = subprocess.run(
            [COMMAND, command, str(tiny_run.path), *data],
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
            timeout=WAIT,
        )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_without_the_characters(tiny_run: Any, tmp_path: Path, text_file: Path) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    path = tmp_path / "ünï.txt"
    path.write_bytes(text_file.read_bytes()[:200])
    done = recurra("evaluate", tiny_run.path, "--data", path, env=environment)
    assert done.returncode == 0
    assert "?n?.txt" in done.stdout
    assert "lstm" in done.stdout
    for code, line in (
        ("ascii", r"\u00fc \u2603"),
        ("latin-1", r"\u00fc \u2603"),
        ("utf-8", "ü ☃"),
    ):
        environment = os.environ | {"PYTHONIOENCODING": code}
        done = recurra("score", tiny_run.path, "--text", "ü ☃", "--json", env=environment)
        assert done.returncode == 0, done.stderr
        assert f'"text": "{line}"' in done.stdout
        assert json.loads(done.stdout)["text"] == "ü ☃"


def test_a_bar_where_a_person_looks_on(text_file: Path, tmp_path: Path, quick: list[str]) -> None:
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    args = ["train", "language-model", "--data", str(text_file), "--out", str(tmp_path / "run")]
    with subprocess.Popen(
        [COMMAND, *args, *quick],
        stdout=subprocess.DEVNULL,
        stderr=follower,
        env=os.environ | {"COLUMNS": "100", "TERM": "xterm"},
    ) as child:
        os.close(follower)
        shown = b""
        while True:
            try:
                piece = os.read(leader, 4096)
            except OSError:  # Linux says so at the end
                break
            if not piece:
                break
            shown += piece
        assert child.wait(WAIT) == 0
    os.close(leader)
    assert b"100%" in shown
    assert b"nats" in shown
    assert b"validation" in shown
    assert b"Traceback" not in shown


# ---------------------------------------------------------------------------------- signals


class Training:
    """A training in a process of its own that would take hours."""

    def __init__(self, text_file: Path, out: Path, options: list[str]) -> None:
        self.out = out
        args = ["train", "language-model", "--data", str(text_file), "--out", str(out), *options]
        changes = sets(["training.symbols=1000000000", "training.evaluations=2000000"])
        self.child = subprocess.Popen(
            [COMMAND, *args, *changes], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def wait_for_checkpoints(self, steps: int) -> None:
        """Until so many steps have been kept."""
        until = time.monotonic() + WAIT
        while time.monotonic() < until:
            if (self.out / "best").exists() and int((self.out / "last").read_text()) >= steps:
                return
            assert self.child.poll() is None, self.child.communicate()
            time.sleep(0.01)
        raise AssertionError("no checkpoint")

    def end(self) -> str:
        """What it said, once it has ended."""
        said = self.child.communicate(timeout=WAIT)[1]
        assert "Traceback" not in said, said
        return said


@pytest.fixture
def training(text_file: Path, tmp_path: Path, quick: list[str]) -> Iterator[Training]:
    made = Training(text_file, tmp_path / "run", quick)
    yield made
    made.child.kill()
    made.child.communicate()


def usable(run: Path) -> bool:
    for which in ("best", "last"):
        loaded = artifact.load(run, which=which)
        assert all(bool(value.isfinite().all()) for value in loaded.model.state_dict().values())
    return call("generate", run, "--length", 5, "--seed", 1).exit_code == 0


def test_ctrl_c_once(training: Training) -> None:
    training.wait_for_checkpoints(3)
    training.child.send_signal(signal.SIGINT)
    said = training.end()
    assert training.child.returncode == 130
    assert re.search(rf"To go on: \S*recurra train --resume {training.out}", said)
    assert usable(training.out)
    assert clean(training.out)


def test_ctrl_c_twice(training: Training) -> None:
    training.wait_for_checkpoints(3)
    for _ in range(2):
        training.child.send_signal(signal.SIGINT)
        time.sleep(0.001)
    said = training.end()
    assert training.child.returncode == 130
    assert "Stopped." in said
    assert usable(training.out)


def test_ctrl_c_before_the_first_step(text_file: Path, tmp_path: Path, quick: list[str]) -> None:
    # While the n-grams are counted: nothing was learned, and the folder is free again.
    script = """
import os, signal
from recurra.tasks.language_model import task
task.fit_ngrams = lambda *args: os.kill(os.getpid(), signal.SIGINT)
from recurra.cli import main
main()
"""
    out = tmp_path / "run"
    args = ["train", "language-model", "--data", str(text_file), "--out", str(out), *quick]
    done = subprocess.run(
        [sys.executable, "-c", script, *args], capture_output=True, text=True, timeout=WAIT
    )
    assert done.returncode == 130
    assert "Stopped." in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_is_ended(number: signal.Signals, training: Training) -> None:
    training.wait_for_checkpoints(5)
    training.child.send_signal(number)
    training.end()
    assert training.child.returncode == -number
    assert usable(training.out)


OWN_CELL = """
import torch
import typer
from torch import nn
import recurra

@recurra.register("tired")
class Tired(recurra.Cell):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.read = nn.Linear(input_size + hidden_size, hidden_size)

    def initial_state(self, batch):
        return recurra.HiddenState(self.zeros(batch))

    def step(self, x, state, context=None, noise=None):
        h = torch.tanh(self.read(torch.cat([x, state.h], 1)))
        return h, recurra.HiddenState(h)
"""


def test_a_cell_of_ones_own(tmp_path: Path, text_file: Path, quick: list[str]) -> None:
    """Known by its module, which the user names and no file does."""
    (tmp_path / "tired_cells.py").write_text(OWN_CELL)
    train = ["train", "language-model", "--data", text_file, *quick, "--set", "model.cell=tired"]
    refused(recurra(*train, "--out", "a", cwd=tmp_path), 2, "no 'tired'", "--import")
    for name, out in (("tired_cells", "a"), ("tired_cells.py", "b")):
        done = recurra(*train, "--out", out, "--import", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    refused(recurra("describe", "a", cwd=tmp_path), 1, "'tired' was made as tired_cells.Tired")
    told = recurra("describe", "a", "--import", "tired_cells", cwd=tmp_path)
    assert "Tired" in told.stdout
    for command in (["generate", "a", "--length", "5"], ["evaluate", "b", "--data", text_file]):
        assert recurra(*command, "--import", "tired_cells.py", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing", None, "missing"),
        ("missing.py", None, "missing.py"),
        ("broken.py", "x = (", "broken.py"),
        ("fails.py", "\n1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_module_that_cannot_be_imported(
    tmp_path: Path, name: str, content: str | None, said: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    given = name if name == "missing" else path
    refused(call("describe", tmp_path, "--import", given), 2, "--import", said)


def test_no_command_takes_an_empty_path(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("never read")
    for info in app.registered_commands:
        for parameter in inspect.signature(info.callback, eval_str=True).parameters.values():
            kind, told = parameter.annotation.__origin__, parameter.annotation.__metadata__[0]
            if "Path" in str(kind):
                assert told.parser("a") == Path("a")
                with pytest.raises(typer.BadParameter, match="expected a path, got an empty text"):
                    told.parser("")
    for words in (["train", "--data", "", "--out", "x", "ngram"], ["describe", ""]):
        done = call(*words)
        assert (done.exit_code, "expected a path, got an empty text" in done.stderr) == (2, True)


def test_lines_before_what_is_no_text_are_answered(tiny_run, tmp_path) -> None:
    (tmp_path / "bad.txt").write_bytes(b"anna\nanna\n\xff\nanna\n")
    for command in ("predict", "score", "complete"):
        done = call(command, tiny_run.path, tmp_path / "bad.txt", "--json")
        assert len(done.stdout.splitlines()) == 2
        assert (done.exit_code, "line 3, byte 10 (0xff)" in done.stderr) == (2, True)


def test_one_text_is_a_text_and_not_its_letters(tiny_run) -> None:
    model = load(tiny_run.path)
    assert list(model.score("anna")) == list(model.predict("anna")) == list(model.score(["anna"]))
    for ask in (model.score, model.predict):
        for wrong in (None, 5, b"a", [None], [b"a"]):
            with pytest.raises(DataError, match="expected a"):
                list(ask(wrong))
    for ask in (model.generate, model.complete):
        with pytest.raises(DataError, match="prompt: expected a text, got None"):
            ask(None)


def test_a_language_model_predicts_how_probable_lines_are(tiny_run) -> None:
    done = call("predict", tiny_run.path, "--text=anna")
    assert re.fullmatch(r"-\d+\.\d{4}\t\d+\.\d{4}\n", done.stdout)
    done = call("predict", tiny_run.path, "--text=anna", "--top=2")
    assert (done.exit_code, "ranks no alternatives" in done.stderr) == (2, True)
