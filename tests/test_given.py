"""What Python gives: paths, texts, inputs one after another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import recurra
from recurra.errors import DataError, SettingError, SettingTypeError
from recurra.given import ahead, inputs_of, path_of, text_of


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_is_no_list_of_inputs(library: str) -> None:
    frame = pytest.importorskip(library).DataFrame({"text": ["a"], "label": ["b"]})
    for given in (frame, frame[["text"]], {"text": ["a"]}):
        with pytest.raises(DataError, match=r"with columns \('text'.*as frame\['text'\]"):
            inputs_of("predict", given)
    assert list(inputs_of("predict", frame["text"])) == ["a"]


def test_a_path_is_a_text_or_an_object_that_is_one() -> None:
    assert path_of("run", "a/b") == path_of("run", Path("a/b")) == Path("a/b")
    assert path_of("run", ".") == Path()
    with pytest.raises(SettingError, match=r"^run: expected a path, got an empty text$"):
        path_of("run", "")
    for value, shown in ((None, "None"), (5, "int"), (b"x", "bytes"), (["a"], "list")):
        with pytest.raises(SettingTypeError, match=rf"^run: expected a path, .*got {shown}$"):
            path_of("run", value)


def test_inputs_are_a_list_or_one_text() -> None:
    assert list(inputs_of("predict", "abc")) == ["abc"]
    assert list(inputs_of("predict", iter("abc"))) == ["a", "b", "c"]
    for value, shown in ((None, "None"), (5, "int"), (b"x", "bytes")):
        with pytest.raises(DataError, match=rf"^predict: expected a list of inputs.*got {shown}\."):
            inputs_of("predict", value)
    with pytest.raises(DataError, match=r"^prompt: expected a text, got None\.$"):
        text_of("prompt", None)
    with pytest.raises(DataError, match=r"got '?\[0, 0, .{60,}\.\.\.\.$"):
        text_of("prompt", [0] * 100)


def test_what_came_before_an_error_comes_before_it() -> None:
    def read() -> Any:
        yield from "abcde"
        raise DataError("line 6")

    some = ahead(read(), 2)
    assert [next(some) for _ in range(3)] == [["a", "b"], ["c", "d"], ["e"]]
    with pytest.raises(DataError, match="line 6"):
        next(some)
    assert list(ahead("abcde", 2)) == [["a", "b"], ["c", "d"], ["e"]]
    assert list(ahead(["aa", "b", "c"], 9, len, 2)) == [["aa"], ["b", "c"]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: recurra.train("classification", "", out="x"), "data: expected a path, got an emp"),
        (lambda: recurra.train("classification", (["a"], ["b"]), out=""), "out: .*an empty text"),
        (lambda: recurra.train("classification", (["a"], ["b"]), out=None), "out: .*got None"),
        (lambda: recurra.train("classification", (["a"], ["b"]), out=b"x"), "out: .*got bytes"),
        (
            lambda: recurra.train("language-model", ["a"], out="x", test=""),
            r"data\.test: .*an empty text",
        ),
        (lambda: recurra.train(None, ["a"], out="x"), "recipe: .*got None"),
        (lambda: recurra.load(None), "run: .*got None"),
        (lambda: recurra.load(""), "run: .*an empty text"),
        (lambda: recurra.resume(5), "run: .*got int"),
        (lambda: recurra.evaluate(None, "x"), "run: .*got None"),
    ],
)
def test_every_door_says_what_is_no_path(
    call: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("never read")
    with pytest.raises(SettingError, match=message):
        call()
    assert not (tmp_path / "x").exists()
