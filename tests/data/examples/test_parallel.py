"""Files side by side whose lines belong together."""

from __future__ import annotations

from pathlib import Path

import pytest

from recurra.data.examples import Reading
from recurra.data.examples.parallel import (
    endings_of,
    open_parallel,
    parallel_files,
    what_to_say,
)
from recurra.errors import DataError
from recurra.tasks.transduction import TransductionData, TransductionTask

HOW = Reading(column="en", label="de", split="given")


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_bytes(text.encode())
    return folder


def test_lines_belong_together_and_names_say_the_part(tmp_path: Path) -> None:
    write(
        tmp_path,
        train_lc_en="a dog\r\n\nthe \x0c end \n",
        train_lc_de="ein hund\nleer\ndas ende",
        val_en="one",
        val_de="eins",
        readme_md="nothing",
        lonely_en="nobody",
    )
    (tmp_path / "test-2016.en").write_text("x\n")
    (tmp_path / "test-2016.de").write_text("y\n")
    found = open_parallel(tmp_path, HOW)
    told = [(each.input, each.target, each.part) for each in found]
    assert told == [
        ("x", "y", "test"),
        ("a dog", "ein hund", "training"),
        ("the \x0c end", "das ende", "training"),
        ("one", "eins", "validation"),
    ]
    assert found.blank == 1
    assert [each.place.rpartition("/")[2] for each in found][1:3] == [
        "train.lc.en:1",
        "train.lc.en:3",
    ]
    undivided = open_parallel(tmp_path, Reading(column="en", label="de"))
    assert {each.part for each in undivided} == {None}


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"such as train\.en and train\.de, found none"):
        open_parallel(tmp_path, HOW)
    assert parallel_files(tmp_path, Reading(label="de")) == []
    write(tmp_path, train_en="a\nb\nc\n", train_de="a\nb\n")
    with pytest.raises(DataError, match=r"train\.de: expected as many lines as .*train\.en has"):
        list(open_parallel(tmp_path, HOW))
    (tmp_path / "train.de").write_bytes(b"a\n\xff\nc\n")
    with pytest.raises(DataError, match="expected utf-8, byte 2 is none"):
        list(open_parallel(tmp_path, HOW))


def test_files_that_nobody_named_say_what_to_type(tmp_path: Path) -> None:
    for name in ("train.en", "train.de", "test.en", "test.de", "notes.en"):
        (tmp_path / name).write_text("a\n" * 20)
    for name in ("a.wav", "a.csv", "a.txt"):  # known by their endings
        (tmp_path / name).touch()
    assert endings_of(tmp_path) == ["de", "en"]
    told = what_to_say(tmp_path)
    assert "--set data.column=de --set data.label=en --set data.split=given" in told
    assert endings_of(tmp_path / "train.en") == []
    for name in ("train.de", "test.de"):
        (tmp_path / name).unlink()
    assert what_to_say(tmp_path) == ""


def test_a_task_says_it(tmp_path: Path) -> None:
    for ending in ("src", "tgt"):
        (tmp_path / f"lines.{ending}").write_text("a\n" * 20)
    task = TransductionTask()
    for how in (TransductionData(), TransductionData(column="fr", label="tgt")):
        with pytest.raises(DataError, match=r"column=src --set data\.label=tgt, or the other way"):
            task.open(tmp_path, how)
    found = task.open(tmp_path, TransductionData(column="src", label="tgt"))
    assert len(list(found)) == 20
