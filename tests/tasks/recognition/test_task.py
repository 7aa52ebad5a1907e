"""A recognizer from both doors, its scores, and what it refuses."""

from __future__ import annotations

import csv
import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import recurra
from recurra import artifact
from recurra.cli import app
from recurra.comparison.pairs import compare_pair
from recurra.errors import DataError, SettingError
from recurra.tasks import task_by_name
from recurra.tasks.recognition import RecognitionData, RecognizingModel
from recurra.tasks.recognition.corpus import numbers_of, text_of_symbols
from recurra.training import evaluate, load_recipe, train
from recurra_runtime.vocabulary import RESERVED, CharacterVocabulary

from .conftest import Bumps, bumps


def quiet(told: Any) -> None:
    """Nobody listens."""


def prepared(source: Any, **settings: Any) -> Any:
    task, data = task_by_name("recognition"), RecognitionData(**settings)
    return task.prepare(task.open(source, data), data, Path(), quiet)


# ---- training ------------------------------------------------------------------------------------


def test_letters_are_read_and_scored_beside_rivals(run: Path) -> None:
    rows = json.loads((run / "summary.json").read_text())["evaluations"]
    names = ["gru", "most frequent text", "window of frames"]
    assert [row["name"] for row in rows] == names
    assert rows[0]["cer"] < 0.1
    assert rows[0]["nats_per_symbol"] < 0.3
    assert rows[1]["cer"] > 0.5
    assert rows[0]["characters"]["total"] == rows[1]["characters"]["total"] == rows[0]["scored"]
    assert rows[0]["short"] == rows[0]["strange"] == 0
    assert rows[1]["nats_per_symbol"] is None
    assert rows[2]["scored"] == rows[0]["scored"]


def test_the_loss_is_that_of_the_head_and_the_rates_those_of_the_answers(run: Path) -> None:
    some = bumps(12, seed=7)
    row, *_ = evaluate(run, some)
    model = recurra.load(run)
    said = [found.text for found in model.predict([one for one, _ in some], width=1)]
    wrong = sum(distance(one, other) for (_, one), other in zip(some, said, strict=True))
    assert row.characters.rate == pytest.approx(wrong / sum(len(text) for _, text in some))
    assert row.whole == sum(one == other for (_, one), other in zip(some, said, strict=True))
    nats = 0.0
    for logs, (_, text) in zip(model.log_probabilities([o for o, _ in some]), some, strict=True):
        symbols = torch.from_numpy(numbers_of(text, model.fronts["text"]))
        nats += float(
            torch.nn.functional.ctc_loss(
                torch.from_numpy(logs),
                symbols,
                torch.tensor(len(logs)),
                torch.tensor(len(symbols)),
                blank=logs.shape[1] - 1,
                reduction="sum",
            )
        )
    assert row.loss == pytest.approx(nats / sum(len(text) for _, text in some), rel=1e-4)


def test_rates_of_a_pair_are_those_of_the_table(run: Path, rows: Bumps) -> None:
    held = json.loads((run / "summary.json").read_text())["evaluations"][0]
    found = {row.name: row for row in compare_pair(run, run, rows).rows}
    assert found["cer"].one == pytest.approx(held["cer"])
    assert found["wer"].one == pytest.approx(held["wer"])


def test_rivals_come_back_as_they_were(run: Path, rows: Bumps) -> None:
    kept = json.loads((run / "summary.json").read_text())["evaluations"][1:]
    held = [(pair.example, pair.target) for pair in prepared(rows).parts["test"].raw]
    found = evaluate(run, held)[1:]
    assert [json.loads(json.dumps(row.to_json())) for row in found] == kept


def test_the_window_reads_the_steps_that_the_model_does(rows: Bumps) -> None:
    """As many frames become one, also where texts are too long for them; training is its own."""
    own = {"model.stride": 5, "model.filters": 7, "model.mask_steps": 3, "data.rival_examples": 8}
    recipe, task = load_recipe("recognition", own), task_by_name("recognition")
    found = prepared(rows)
    rivals = task.rivals(found, recipe, quiet)
    window = rivals["window of frames"].model
    assert (window.stride, window.encoder.stem.output_size) == (5, 7)
    assert window.config.mask_steps == 0
    model = task.build(recipe.model, found.fronts)
    first, frequent, last = task.evaluate({"gru": model, **rivals}, found.parts["test"])
    assert first.short == last.short > 0
    assert first.scored == last.scored
    assert frequent.short == 0


@pytest.mark.parametrize("across", [4, 2])
def test_the_window_sees_pictures_as_the_model_does(across: int, tmp_path: Path) -> None:
    found = prepared(write(tmp_path, "picture", ["ab", "ba"] * 10))
    task, recipe = (
        task_by_name("recognition"),
        load_recipe("recognition", [f"model.across={across}"]),
    )
    window = task.rivals(found, recipe, quiet)["window of frames"].model
    assert window.steps(40) == task.build(recipe.model, found.fronts).steps(40)
    assert (window.config.across, window.config.distort) == (across, 0)


def distance(one: str, other: str) -> int:
    """Levenshtein's."""
    row = list(range(len(other) + 1))
    for n, a in enumerate(one, 1):
        last, row[0] = row[0], n
        for m, b in enumerate(other, 1):
            last, row[m] = row[m], min(row[m] + 1, row[m - 1] + 1, last + (a != b))
    return row[-1]


def test_both_doors_give_the_same(rows: Bumps, changes: list[str], tmp_path: Path) -> None:
    own = [*changes, "training.epochs=1"]
    recurra.train(
        "recognition",
        rows,
        out=tmp_path / "one",
        report=quiet,
        **{n.partition(".")[2]: json.loads(v) for n, v in (change.split("=") for change in own)},
    )
    train(load_recipe("recognition", own), rows, tmp_path / "two")
    one, two = (
        (artifact.resolve(tmp_path / name, "last") / "model.safetensors").read_bytes()
        for name in ("one", "two")
    )
    assert one == two


def test_another_run_goes_on_with_its_model(run: Path, rows: Bumps, tmp_path: Path) -> None:
    def further(examples: Bumps) -> Any:
        given = {"from_run": run, "epochs": 1, "minimum_steps": 0, "report": quiet}
        return recurra.train("recognition", examples, out=tmp_path / "on", **given)

    strange = bumps(20, "xyz")
    with pytest.raises(DataError, match=r"expected symbols that the model has, got '[xyz]+'"):
        further(strange)
    assert further(rows[:40]).evaluations[0].value < 0.2


# ---- what is read --------------------------------------------------------------------------------


def write(folder: Path, kind: str, texts: list[str]) -> Path:
    """A table of files and texts."""
    from PIL import Image

    draw = np.random.default_rng(0)
    with open(folder / "lines.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file", "text"])
        for number, text in enumerate(texts):
            if kind == "picture":
                name, pixels = f"{number}.png", draw.integers(0, 255, (8, 40), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / name)
            else:
                import soundfile

                name = f"{number}.wav"
                soundfile.write(folder / name, draw.normal(0, 0.1, 4000), 8000)
            table.writerow([name, text])
    return folder / "lines.csv"


@pytest.mark.parametrize(("kind", "shape"), [("picture", [8, 40, 1]), ("sound", [40])])
def test_a_table_of_files_and_texts_is_read(kind: str, shape: list[int], tmp_path: Path) -> None:
    changes = ["training.epochs=1", "training.minimum_steps=0", "model.hidden_size=4"]
    done = train(
        load_recipe("recognition", changes),
        write(tmp_path, kind, ["an ox", "a bee"] * 10),
        tmp_path / "run",
    )
    assert done.evaluations[0].characters.total == 5 * done.evaluations[0].examples > 0
    model = recurra.load(tmp_path / "run")
    assert list(model.fronts[kind].shape) == shape
    ending = "png" if kind == "picture" else "wav"
    (found,) = model.predict([tmp_path / f"0.{ending}"])
    times = [symbol.time for symbol in found.symbols]
    assert all((time is None) == (kind == "picture") for time in times)
    ran = CliRunner().invoke(
        app, ["predict", str(tmp_path / "run"), str(tmp_path / f"0.{ending}"), "--top", "2"]
    )
    assert ran.exit_code == 0, ran.output
    assert len(ran.stdout.strip("\n").split("\t")) == 4


def printed(number: int, height: int = 12) -> list[tuple[np.ndarray, str]]:
    """Lines of squares, high ones for a and low ones for b, of several widths and heights."""
    draw, found = np.random.default_rng(0), []
    for _ in range(number):
        text = "".join("ab"[n] for n in draw.integers(0, 2, draw.integers(1, 5)))
        high = height * int(draw.integers(1, 3))
        # No two are the same, as the same ones would all stand in one part.
        page = draw.integers(230, 256, (high, high // 2 * (len(text) + 1), 1)).astype(np.uint8)
        for place, letter in enumerate(text):
            left, top = high // 2 * place + high // 4, 0 if letter == "a" else high // 2
            page[top : top + high // 2, left : left + high // 3] = 0
        found.append((page, text))
    return found


def test_lines_are_as_wide_as_they_are(tmp_path: Path, changes: list[str]) -> None:
    rows = printed(120)
    found = prepared(rows, picture_height=12)
    assert found.fronts["picture"].shape == (12, 0, 1)
    training = found.parts["training"]
    shapes = {
        (row.shape, len(text)) for row, text in zip(training.inputs, training.texts, strict=True)
    }
    assert shapes == {((6 * (n + 1), 12, 1), n) for n in range(1, 5)}
    assert [training.frames(n) for n in range(3)] == [len(row) for row in training.inputs[:3]]
    assert "picture: 12 x any x 1 numbers" in found.sizes(0)
    kept = [c for c in changes if "stride" not in c]
    recipe = load_recipe(
        "recognition",
        [
            *kept,
            "training.epochs=15",
            "data.picture_height=12",
            "model.across=2",
            "model.distort=0",
            "model.filters=4",
        ],
    )
    done = train(recipe, rows, tmp_path / "run")
    assert done.evaluations[0].characters.rate < 0.1
    model = recurra.load(tmp_path / "run")
    together = [one.text for one in model.predict([page for page, _ in rows[:9]], width=1)]
    assert together == [next(model.predict([page], width=1)).text for page, _ in rows[:9]]


def test_a_right_to_left_text_stays_in_logical_order() -> None:
    texts = ["שלום עולם", "مرحبا 12", "אבג"]
    pictures = [np.full((8, 60 + n), 255, np.uint8) for n in range(60)]
    for picture in pictures[::3]:
        picture[:, -10:] = 0  # the first letter stands at the right
    found = prepared(
        [*zip(pictures, texts * 20, strict=True)], picture_height=8, right_to_left=True
    )
    training = found.parts["training"]
    number = next(n for n, pair in enumerate(training.raw) if pair.target == texts[0])
    row = training.inputs[number]
    assert row[:10].max() < row[10:].min()
    vocabulary = found.fronts["text"]
    for part in found.parts.values():
        for pair, target in zip(part.raw, part.targets, strict=True):
            assert pair.target in texts
            assert [vocabulary.symbol(n + len(RESERVED)) for n in target] == [*pair.target]
            assert text_of_symbols(tuple(target), vocabulary) == pair.target


def test_texts_are_brought_to_one_form(rows: Bumps) -> None:
    apart = [(one, unicodedata.normalize("NFD", text)) for one, text in rows]
    joined = prepared(apart).fronts["text"]
    assert joined.characters == ("a", "b", "ä")
    assert prepared(apart, form="none").fronts["text"].characters == ("a", "b", "\u0308")
    assert prepared(rows, form="NFD").fronts["text"].characters == ("a", "b", "\u0308")


def test_words_may_be_the_symbols(rows: Bumps) -> None:
    spelled = [
        (one, " ".join({"a": "one", "b": "two"}.get(c, "three") for c in text))
        for one, text in rows
    ]
    found = prepared(spelled, vocabulary="words")
    assert sorted(found.fronts["text"].words) == ["one", "three", "two"]
    texts = found.parts["test"].texts
    assert [len(t) for t in found.parts["test"].targets] == [len(t.split()) for t in texts]
    assert "3 words" in found.sizes(0)


def test_a_group_is_held_out(tmp_path: Path) -> None:
    table = write(tmp_path, "picture", ["ab", "ba"] * 10)
    lines = table.read_text().splitlines()
    said = ["speaker", *["ann", "bob"] * 10]
    table.write_text("\n".join(f"{a},{b}" for a, b in zip(lines, said, strict=True)))
    found = prepared(table, group="speaker", test_group="bob")
    assert {*found.parts["test"].texts} == {"ba"}
    assert len(found.parts["test"].inputs) == 10
    assert {*found.parts["training"].texts} | {*found.parts["validation"].texts} == {"ab"}


# ---- what is odd ---------------------------------------------------------------------------------


def test_symbols_that_nobody_trained_on_are_in_no_loss_and_told(run: Path) -> None:
    strange = [*bumps(6, seed=3), (bumps(1)[0][0], "q")]
    row, rival, _ = evaluate(run, strange)
    assert row.strange == rival.strange == 1
    assert row.scored == sum(len(text) for _, text in strange[:-1])
    assert row.characters.total == row.scored + 1  # and it counts as a mistake
    notes = task_by_name("recognition").table([row, rival], "x").notes
    assert "1 texts have symbols that the model lacks: they are in no nats." in notes


def test_texts_that_are_too_long_for_their_steps_are_in_no_loss_and_told(run: Path) -> None:
    short = [*bumps(6, seed=3), (np.zeros((3, 3), np.float32), "abab")]
    row, *_ = evaluate(run, short)
    assert row.short == 1
    assert row.scored == sum(len(text) for _, text in short[:-1])
    notes = task_by_name("recognition").table([row], "x").notes
    assert "1 texts need more steps than there are: they are in no nats." in notes


def test_some_that_are_too_short_are_told_and_all_are_refused(
    rows: Bumps, changes: list[str], tmp_path: Path
) -> None:
    said: list[str] = []

    def listen(told: Any) -> None:
        said.append(told.message or "")

    cut = [(one[:4], text) if n % 2 else (one, text) for n, (one, text) in enumerate(rows)]
    recipe = load_recipe("recognition", [*changes, "training.epochs=0.1"])
    train(recipe, cut, tmp_path / "one", listen)
    told = next(one for one in said if "too short" in one)
    assert told.endswith("to train on are too short for their texts and in no loss")
    with pytest.raises(
        DataError, match=r"all \d+ are too short: .* 1 steps are left for 3 symbols"
    ):
        train(recipe, [(one[:1], "aba") for one, _ in rows], tmp_path / "two")


def bad() -> Iterator[tuple[Any, dict[str, Any], str]]:
    """Sources, settings, and what is said of them."""
    rows = bumps(20)
    array = rows[0][0]
    yield [*rows, (array, "")], {}, "example 20: expected a label in its place, got nothing"
    yield [*rows, (array, "  ")], {}, "example 20: expected a label in its place, got nothing"
    yield [*rows, (array, ["a", "b"])], {}, "example 20: expected the text that is said .* tuple"
    yield [("a text", "a")] * 20, {}, "expected recordings, pictures or series .* got text"
    yield rows, {"test_group": "ann"}, "example 0: expected a group"


@pytest.mark.parametrize(("source", "settings", "told"), [*bad()])
def test_bad_examples_are_told_with_their_places(
    source: Any, settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(DataError, match=told):
        prepared(source, **settings)


@pytest.mark.parametrize(
    "change",
    ["data.inputs={a='b'}", "data.unit='line'", "data.maximum_length=3", "data.column='text'"],
)
def test_settings_that_nothing_reads_are_refused(change: str) -> None:
    with pytest.raises(SettingError, match=change.split("=")[0].replace("column", "label")):
        load_recipe("recognition", [change])


def test_a_height_alone_contradicts_a_size() -> None:
    with pytest.raises(SettingError, match=r"picture_size.*picture_height says how high"):
        load_recipe("recognition", ["data.picture_size=[8, 40]", "data.picture_height=8"])


def test_numbers_of_symbols_begin_behind_the_reserved_ones() -> None:
    vocabulary = CharacterVocabulary("ab")
    assert numbers_of("abz", vocabulary).tolist() == [0, 1, -1]


def test_the_answer_is_of_its_kind(run: Path) -> None:
    assert isinstance(recurra.load(run), RecognizingModel)
