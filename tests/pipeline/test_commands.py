"""``score``, ``complete`` and ``generate`` as a person calls them, and what is said of mistakes."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import recurra
from recurra import artifact
from recurra.cli import app
from recurra.errors import SettingError, UnknownWarning
from recurra.models import LanguageModel, LanguageModelConfig
from recurra.pipeline import (
    PredictiveText,
    Writer,
    open_text_model,
    rank_lines,
    score_lines,
)
from recurra_runtime.vocabulary import CharacterVocabulary

COMMAND = str(Path(sys.executable).with_name("recurra"))


def call(*args: Any, typed: str | bytes | None = None) -> Any:
    result = CliRunner().invoke(app, list(map(str, args)), typed, env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception  # what a user would see as a traceback
    return result


def refused(result: Any, said: str, code: int = 2) -> None:
    assert "Traceback" not in result.stderr
    assert said in result.stderr, result.stderr
    assert result.exit_code == code
    assert result.stdout == ""


LINES = ["my owl finds anna.", "finds owl anna my.", "a dog sees the cat."]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "lines.txt"
    path.write_text("\n".join([LINES[0], "", LINES[1], "  ", LINES[2], ""]), encoding="utf-8")
    return path


# ------------------------------------------------------------------------------------- score


@pytest.mark.parametrize("model", [None, "5-gram", "bigram"])
def test_lines_of_a_file(model: str | None, tiny_run: Any, lines: Path) -> None:
    options = [] if model is None else ["--model", model]
    scores = list(score_lines(open_text_model(tiny_run.path, model=model), LINES))
    result = call("score", tiny_run.path, "--file", lines, *options)
    assert result.exit_code == 0, result.stderr
    header, *rows = result.stdout.splitlines()
    assert header.split() == ["log-probability", "symbols", "nats/symbol", "line"]
    for row, score in zip(rows, scores, strict=True):
        numbers = rf"\s+{score.log_prob:.4f}\s+{score.symbols}\s+{score.nats_per_symbol:.4f}"
        assert re.fullmatch(rf"{numbers}  {re.escape(score.text)}", row)
    assert result.stderr == "skipped blank lines: 2\n"
    ranked = call("score", tiny_run.path, "--file", lines, "--rank", "--json", *options)
    told = [json.loads(row) for row in ranked.stdout.splitlines()]
    assert [row["text"] for row in told] == [score.text for score in rank_lines(scores)]
    assert told[-1]["text"] == LINES[1]
    assert told[0]["log_prob"] == pytest.approx(max(s.log_prob for s in scores))


def test_a_line_given_as_it_is(tiny_run: Any) -> None:
    model = open_text_model(tiny_run.path)
    for options, end in (([], True), (["--no-end"], False)):
        (score,) = score_lines(model, ["my owl."], end=end)
        result = call("score", tiny_run.path, "--text", "my owl.", "--json", *options)
        assert json.loads(result.stdout) == score.to_json()
        assert result.stderr == ""


def test_unknown_symbols_are_told(tiny_run: Any) -> None:
    result = call("score", tiny_run.path, "--text", "my \u2603\u2603 owl")
    assert result.exit_code == 0
    assert result.stderr == "unknown symbols, counted as <unk>: 2\n"


def test_minimal_pairs(tiny_run: Any, tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("my owl finds anna.\tym wol finds anna.\ntac.\tcat.\na \u2603.\ta \u2602.\n")
    got = call("score", tiny_run.path, "--pairs", path)
    assert got.stdout == "accuracy: 0.3333 (1 of 3)\n"
    assert got.stderr == ("ties, counted as wrong: 1\nunknown symbols, counted as <unk>: 2\n")
    told = call("score", tiny_run.path, "--pairs", path, "--json")
    rows = [json.loads(row) for row in told.stdout.splitlines()]
    assert [(row["correct"], row["tied"]) for row in rows] == [
        (True, False),
        (False, False),
        (False, True),
    ]
    assert told.stderr.startswith("accuracy: 0.3333 (1 of 3)\n")
    path = tmp_path / "pairs.csv"
    rows = ["UID,bad,good", "cats,tac.,cat.", "owls,my owl finds anna.,nna finds owl my."]
    path.write_text("\n".join([*rows, "cats,eht cat.,the cat."]))
    first, *table = call("score", tiny_run.path, "--pairs", path).stdout.splitlines()
    assert first == "accuracy: 0.6667 (2 of 3)"
    assert [row.split() for row in table] == [
        ["phenomenon", "accuracy", "right", "pairs", "ties"],
        ["cats", "1.0000", "2", "2", "0"],
        ["owls", "0.0000", "0", "1", "0"],
    ]


@pytest.mark.parametrize("model", [None, "5-gram"])
def test_what_each_symbol_costs(model: str | None, tiny_run: Any, lines: Path) -> None:
    options = ["--tokens"] if model is None else ["--tokens", "--model", model]
    got = call("score", tiny_run.path, lines, *options)
    rows = list(csv.reader(io.StringIO(got.stdout), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert rows.pop(0) == ["line", "position", "symbol", "id", "log_prob", "bits"]
    assert {int(row[0]) for row in rows} == {1, 3, 5}  # blank lines are counted
    scores = score_lines(open_text_model(tiny_run.path, model=model), LINES)
    for number, score in zip((1, 3, 5), scores, strict=True):
        own = [row for row in rows if int(row[0]) == number]
        assert [int(row[1]) for row in own] == list(range(1, score.symbols + 1))
        assert [json.loads(row[2]) for row in own] == [*score.text, "</s>"]
        assert sum(float(row[4]) for row in own) == pytest.approx(score.log_prob, abs=1e-4)
        assert sum(float(row[5]) for row in own) == pytest.approx(
            -score.log_prob / math.log(2), abs=1e-4
        )
    assert got.stderr == "skipped blank lines: 2\n"
    told = call("score", tiny_run.path, lines, "--json", *options).stdout.splitlines()
    assert [json.loads(row)["id"] for row in told] == [int(row[3]) for row in rows]
    short = call("score", tiny_run.path, lines, "--no-end", *options).stdout
    assert len(short.splitlines()) == 1 + len(rows) - 3


def test_no_symbol_breaks_the_table(tiny_run: Any, tmp_path: Path) -> None:
    strange = ["\t", " ", "\r", '"', "\\", "\u2028", "\u2603", "a"]
    vocabulary = CharacterVocabulary(strange)
    model = LanguageModel(
        LanguageModelConfig(hidden_size=2, layers=1, vocabulary_size=len(vocabulary))
    )
    artifact.save(tmp_path / "odd", model, {"text": vocabulary}, "language-model")
    text = "".join(sorted(set(strange) - {"\r"})) + "\0"
    got = call("score", tmp_path / "odd", "--text", text, "--tokens").stdout
    for quoting in (csv.QUOTE_NONE, csv.QUOTE_MINIMAL):
        table = csv.reader(io.StringIO(got, newline=""), delimiter="\t", quoting=quoting)
        rows = list(table)[1:]
        assert [len(row) for row in rows] == [6] * (len(text) + 1)
        symbols = [row[2] if quoting == csv.QUOTE_NONE else f'"{row[2]}"' for row in rows]
        assert [json.loads(symbol) for symbol in symbols] == [*text[:-1], "<unk>", "</s>"]


# --------------------------------------------------------------------------- standard input


class Typed(io.RawIOBase):
    """Lines that come one by one; keeps what had been answered when the next one was asked for."""

    def __init__(self, *lines: str) -> None:
        self.lines, self.shown = list(lines), []

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        self.shown.append(sys.stdout.buffer.getvalue().decode())  # type: ignore[attr-defined]
        return (self.lines.pop(0) + "\n").encode() if self.lines else b""


@pytest.mark.parametrize("command", ["score", "complete"])
def test_a_line_is_answered_before_the_next_one_is_there(
    command: str, tiny_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = Typed("my owl", "anna s", "", "the c")
    monkeypatch.setattr("typer.testing.make_input_stream", lambda given, charset: typed)
    got = call(command, tiny_run.path, "-", "--json")
    rows = got.stdout.splitlines(keepends=True)
    blank = [rows.pop(2)] if command == "complete" else []  # score leaves it out
    after = [0, 1, 2, 2 + len(blank), 3 + len(blank)]
    answers = [*rows[:2], *blank, *rows[2:]]
    assert typed.shown == ["".join(answers[:number]) for number in after]


def test_lines_without_end_and_a_reader_that_goes_away(tiny_run: Any) -> None:
    score = f"{COMMAND} score {tiny_run.path} -"
    shell = f"set -o pipefail; yes 'my owl.' | ({score}; echo $? >&2) | head -n 3"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=60)
    assert len(done.stdout.splitlines()) == 3
    assert done.stderr == "0\n"


def test_standard_input_is_a_file_like_any_other(tiny_run: Any, lines: Path) -> None:
    expected = call("score", tiny_run.path, "--file", lines)
    for args, typed in ((["-"], lines.read_bytes()), ([lines], None), (["--file", "-"], lines)):
        typed = lines.read_bytes() if isinstance(typed, Path) else typed
        got = call("score", tiny_run.path, *args, typed=typed)
        assert (got.stdout, got.stderr) == (expected.stdout, expected.stderr)
    ranked = call("score", tiny_run.path, "-", "--rank", typed=lines.read_bytes())
    assert ranked.stdout == call("score", tiny_run.path, lines, "--rank").stdout
    latin = call("score", tiny_run.path, "-", "--encoding", "latin-1", typed=b"caf\xe9")
    assert latin.stdout.endswith("caf\u00e9\n")
    refused(call("score", tiny_run.path, "-", typed=b"caf\xe9"), "standard input: line 1, byte 3")
    refused(call("score", tiny_run.path, "-", typed="\n"), "standard input: expected a line with")
    refused(call("score", tiny_run.path, "-", "-"), "can be read once")


@pytest.mark.parametrize(
    ("option", "row", "empty"),
    [
        (
            "--choices",
            {"text": "my ___ finds anna. caf\u00e9", "choices": ["owl", "dog"], "answer": "owl"},
            "standard input: expected lines with a text and choices",
        ),
        (
            "--pairs",
            {"good": "my owl finds anna. caf\u00e9", "bad": "owl my finds anna.", "UID": "order"},
            "standard input: expected pairs of sentences",
        ),
    ],
)
def test_gaps_and_pairs_come_from_standard_input_as_from_a_file(
    option: str, row: dict[str, Any], empty: str, tiny_run: Any, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    raw = json.dumps(row, ensure_ascii=False) + "\n"
    for encoding in ("utf-8", "latin-1"):
        path.write_text(raw + "\n" + raw, encoding=encoding)
        how = (tiny_run.path, "--encoding", encoding)
        for more in ((), ("--json",)):
            expected = call("score", *how, option, path, *more)
            got = call("score", *how, option, "-", *more, typed=path.read_bytes())
            assert expected.exit_code == 0
            assert "caf\u00e9" in expected.stdout or option == "--pairs"
            assert (got.stdout, got.stderr) == (expected.stdout, expected.stderr)
    given = ("score", tiny_run.path, option, "-")
    refused(call(*given, typed=""), empty)
    refused(call(*given, typed=raw + '\n{"text": 1}'), "standard input")
    refused(call(*given, typed=b"caf\xe9"), "standard input: line 1, byte 3")
    refused(call(*given, "-", typed=raw), "expected one of --file")


def test_files_one_after_the_other(tiny_run: Any, lines: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("my dog.", encoding="utf-8")
    told = [call("score", tiny_run.path, path, "--json").stdout for path in (other, lines)]
    for paths in ([other, lines], ["--file", other, "--file", lines]):
        assert call("score", tiny_run.path, *paths, "--json").stdout == "".join(told)


def test_prompts_line_by_line(tiny_run: Any) -> None:
    prompts = ["my o", "", "the c"]
    got = call("complete", tiny_run.path, "-", "--json", typed="\n".join(prompts) + "\n")
    alone = [call("complete", tiny_run.path, "--prompt", p, "--json").stdout for p in prompts]
    assert got.stdout == "".join(alone)
    shown = call("complete", tiny_run.path, "-", typed="my o\n").stdout
    assert shown == "--- my o\n" + call("complete", tiny_run.path, "--prompt", "my o").stdout
    refused(call("complete", tiny_run.path, "-", "--prompt", "x"), "a file or --prompt, got both")


def test_what_a_prompt_has_that_is_unknown_is_said(tiny_run: Any) -> None:
    got = call("complete", tiny_run.path, "-", "--json", typed="my o\n\u2603 th\nthe c\n")
    rows = [json.loads(row) for row in got.stdout.splitlines()]
    assert [row["prompt"] for row in rows] == ["my o", "\u2603 th", "the c"]
    assert [row.get("unknown") for row in rows] == [None, ["\u2603"], None]
    assert rows[1]["words"][0]["text"] == "the"
    assert rows[1]["lines"][0]["text"].startswith("\u2603 the")
    assert "line 2: the model has never seen '\u2603', and reads it as <unk>" in got.stderr
    assert got.exit_code == 0
    one = call("complete", tiny_run.path, "--prompt", "\u2603 th")
    assert "prompt: the model has never seen '\u2603'" in one.stderr


def cloze(path: Path, *rows: Any) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_gaps(tiny_run: Any, tmp_path: Path) -> None:
    path = cloze(
        tmp_path / "q.jsonl",
        {"text": "my ___ finds anna.", "choices": ["wol", "owl"], "answer": "owl"},
        {"text": "the ___ sees anna.", "choices": ["cat", "tac"], "answer": 1},
        {"text": "a ___.", "choices": ["dog", "gdo"]},
    )
    result = call("score", tiny_run.path, "--choices", path, "--model", "5-gram")
    assert result.exit_code == 0, result.stderr
    rows = result.stdout.splitlines()
    number = r"[01]\.\d{4}"
    assert re.fullmatch(
        rf"right  owl  \(wol {number}, owl {number}\)  my ___ finds anna\.", rows[0]
    )
    assert rows[1].startswith("wrong  cat  (cat ")
    assert rows[2].startswith("dog  (dog ")
    assert rows[3] == "accuracy: 0.5000 (1 of 2)"
    told = call("score", tiny_run.path, "--choices", path, "--json").stdout.splitlines()
    assert [json.loads(row)["text"] for row in told] == [r.rpartition("  ")[2] for r in rows[:3]]
    assert sum(json.loads(told[0])["posterior"].values()) == pytest.approx(1)
    path = cloze(path, {"text": "a ___.", "choices": ["dog", "gdo"]})
    assert "accuracy" not in call("score", tiny_run.path, "--choices", path).stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "expected one of --file, --text, --choices and --pairs"),
        (["--text", "a", "--choices", "b"], "expected one of"),
        (["--choices", "b", "--rank"], "--rank is of --file and --text"),
        (["--choices", "b", "--tokens"], "--tokens is of --file and --text"),
        (["--pairs", "b", "--tokens"], "--tokens is of --file and --text"),
        (["--pairs", "none.csv"], "none.csv: cannot be read"),
        (["--text", "b", "--tokens", "--rank"], "--tokens of their symbols"),
        (["--text", " "], "--text: expected a line with text, found none"),
        (["--file", "none.txt"], "none.txt: cannot be read"),
        (["--choices", "none.jsonl"], "none.jsonl: cannot be read"),
        (["--text", "a", "--model", "6-gram"], "no '6-gram'; did you mean '5-gram'"),
        (["--text", "a", "--given", "topic=war"], "lstm has no condition 'topic'"),
        (["--text", "a", "--given", "topic"], "expected name=label"),
        (["--text", "a", "--which", "worst"], "'best' or 'last'"),
    ],
    ids=str,
)
def test_scores_that_cannot_be(options: list[str], said: str, tiny_run: Any) -> None:
    refused(call("score", tiny_run.path, *options), said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "expected a line with text"),
        (b"\n \n", "expected a line with text"),
        (b"caf\xe9", "line 1, byte 3"),
        (b"a\0b", "NUL"),
    ],
)
def test_files_without_lines(content: bytes, said: str, tmp_path: Path, tiny_run: Any) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(content)
    refused(call("score", tiny_run.path, "--file", path), said)


def test_gaps_in_longer_texts(tiny_run: Any, tmp_path: Path) -> None:
    file = tmp_path / "gaps.jsonl"
    file.write_text('{"text": "anna ___ a", "choices": ["sees", "dog"]}\n')
    result = call("score", tiny_run.path, "--choices", file, "--no-end", "--json")
    assert result.exit_code == 0, result.stderr
    scores = score_lines(open_text_model(tiny_run.path), ["anna sees a", "anna dog a"], end=False)
    shares = torch.softmax(torch.tensor([score.log_prob for score in scores]), 0).tolist()
    assert json.loads(result.stdout)["posterior"] == pytest.approx(
        dict(zip(["sees", "dog"], shares, strict=True)), rel=1e-4
    )


def test_several_paths_of_a_task_that_reads_one_are_told(
    tiny_run: Any, lines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recurra.tasks.language_model.LanguageModelTask.several", False)
    for command in (
        ("evaluate", tiny_run.path, "--data", lines, "--data", "b"),
        ("train", "language-model", "--out", "x", "--data", lines, "--data", "b"),
    ):
        said = f"{command[0]}: {command[-2]}: expected one file or folder, got 2: {lines}, b. Put"
        refused(call(*command), said)
    said = f"data: expected one file or folder, got 2: {lines}, b. Put"
    with pytest.raises(SettingError, match=re.escape(said)):
        recurra.evaluate(tiny_run.path, [lines, Path("b")])
    other = shutil.copytree(tiny_run.path, lines.parent / "other")
    page = ("--out", lines.with_suffix(".html"), "--data", lines, "--data", "b")
    refused(call("compare", tiny_run.path, other, *page), said)


def test_blank_lines_are_told(tiny_run: Any, lines: Path, tmp_path: Path) -> None:
    """By score, by evaluate, and in the sizes of a training."""
    assert "skipped blank lines: 2" in call("score", tiny_run.path, "--file", lines).stderr
    long = tmp_path / "long.txt"
    long.write_text("a dog sees anna.\n\n" * 200)
    options = [
        word
        for change in ("data.unit=line", "training.symbols=500", "model.hidden_size=4")
        for word in ("--set", change)
    ]
    out = tmp_path / "run"
    result = call("train", "language-model", "--data", long, "--out", out, *options)
    assert result.exit_code == 0, result.stderr
    assert "; left out because they are blank: 200" in result.stderr
    result = call("evaluate", out, "--data", lines)
    assert result.exit_code == 0, result.stderr
    assert "left out because they are blank: 2\n" in result.stderr


def test_an_encoding(tmp_path: Path, tiny_run: Any) -> None:
    (tmp_path / "x.txt").write_bytes("my owl\xa0".encode("latin-1"))
    result = call("score", tiny_run.path, "--file", tmp_path / "x.txt", "--encoding", "latin-1")
    assert result.exit_code == 0


# ---------------------------------------------------------------------------------- complete


@pytest.mark.parametrize("model", [None, "5-gram"])
@pytest.mark.parametrize("prompt", ["", "my o", "my owl "])
def test_words_and_lines(model: str | None, prompt: str, tiny_run: Any) -> None:
    options = ["--prompt", prompt, "--count", 2, "--length", 30]
    options += [] if model is None else ["--model", model]
    entry = PredictiveText(open_text_model(tiny_run.path, model=model))
    entry.type(prompt)
    found = entry.suggestions(2), entry.lines(2, limit=30)
    told = json.loads(call("complete", tiny_run.path, "--json", *options).stdout)
    assert told["prompt"] == prompt
    for rows, expected in zip((told["words"], told["lines"]), found, strict=True):
        assert rows == [vars(each) for each in expected]
    shown = call("complete", tiny_run.path, *options).stdout
    assert re.findall(r"^\w+$", shown, re.MULTILINE) == ["words", "lines"]
    if prompt == "my o":
        assert re.search(r"^ +0\.\d+  owl$", shown, re.MULTILINE)
        assert "  my owl" in shown


def test_a_line_that_goes_on(tiny_run: Any) -> None:
    result = call("complete", tiny_run.path, "--prompt", "my o", "--length", 2, "--count", 1)
    assert result.stdout.endswith("  my owl ...\n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--count", "0"], "count: expected a whole number of at least 1, got 0"),
        (["--length", "0"], "complete: expected a --length of at least 1, got 0"),
        (["--model", "lstmm"], "did you mean 'lstm'"),
        (["--given", "a=b"], "no condition 'a'"),
    ],
    ids=str,
)
def test_completions_that_cannot_be(options: list[str], said: str, tiny_run: Any) -> None:
    refused(call("complete", tiny_run.path, *options), said)


# ---------------------------------------------------------------------------------- generate


def test_a_beam(tiny_run: Any) -> None:
    (found,) = Writer(tiny_run.path).search("my o", width=4, limit=20, length_penalty=0.6)
    options = ["--prompt", "my o", "--beam", 4, "--length", 20, "--length-penalty", 0.6]
    assert call("generate", tiny_run.path, *options).stdout == f"my o{found.text}\n"
    many = call("generate", tiny_run.path, *options, "--count", 2).stdout
    heading = f"--- 1 log-probability {found.log_prob:.4f}, cut off\nmy o{found.text}\n--- 2 "
    assert many.startswith(heading)


def test_several_texts(tiny_run: Any) -> None:
    texts = Writer(tiny_run.path).write_several("my ", 2, seed=1, limit=9, top_p=0.9)
    options = ["--prompt", "my ", "--count", 2, "--seed", 1, "--length", 9, "--top-p", 0.9]
    told = call("generate", tiny_run.path, *options).stdout
    assert told == f"--- 1\nmy {texts[0]}\n--- 2\nmy {texts[1]}\n"
    one = call("generate", tiny_run.path, *options[:2], *options[4:]).stdout
    assert one == f"my {texts[0]}\n"


@pytest.mark.parametrize("how", [["--temperature", 0], ["--beam", 2], ["--count", 2, "--seed", 1]])
def test_the_prompt_is_written_as_it_was_typed(how: list[Any], tiny_run: Any) -> None:
    prompt = "my \u2603\u20ac o"
    with pytest.warns(
        UnknownWarning, match=r"^prompt: the model has never seen '\u20ac', '\u2603', "
    ):
        got = call("generate", tiny_run.path, "--prompt", prompt, "--length", 2, *how)
    assert got.exit_code == 0
    assert prompt in got.stdout
    assert "<unk>" not in got.stdout
    if "--temperature" in how:
        assert got.stdout.startswith(prompt)
        assert len(got.stdout) == len(prompt) + 3  # two characters, and the end of the line


def test_an_ngram_writes(tiny_run: Any) -> None:
    options = ["--prompt", "my o", "--temperature", 0, "--length", 2]
    assert call("generate", tiny_run.path, "--model", "5-gram", *options).stdout == "my owl\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--beam", "4", "--temperature", "1"], "leave --temperature out, or --beam"),
        (["--beam", "4", "--top-k", "3"], "leave --top-k out"),
        (["--beam", "4", "--top-p", "0.5"], "leave --top-p out"),
        (["--beam", "4", "--seed", "1"], "leave --seed out"),
        (["--beam", "0"], "--beam"),
        (["--beam", "2", "--count", "3"], "--beam): expected a whole number of at least 3, got 2"),
        (["--beam", "2", "--length-penalty", "-1"], "alpha"),
        (["--length-penalty", "1"], "--length-penalty is of --beam"),
        (["--count", "0"], "--count of at least 1, got 0"),
        (["--length", "-1"], "--length of at least 0, got -1"),
        (["--length", "0", "--beam", "2"], "--length of at least 1, got 0"),
        (["--top-p", "0"], "top_p above 0"),
        (["--top-p", "1.5"], "top_p above 0 and at most 1"),
        (["--model", "3-gram"], "no '3-gram'"),
        (["--given", "topic=war"], "no condition 'topic'"),
    ],
    ids=str,
)
def test_texts_that_cannot_be(options: list[str], said: str, tiny_run: Any) -> None:
    refused(call("generate", tiny_run.path, *options), said)


@pytest.mark.parametrize("command", ["score", "complete", "generate"])
def test_no_model_there(command: str, tmp_path: Path) -> None:
    options = ["--text", "a"] if command == "score" else []
    refused(call(command, tmp_path / "nothing", *options), "there is none", code=1)
