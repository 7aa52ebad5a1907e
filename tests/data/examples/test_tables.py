"""One table for all: cells are texts, words, numbers, or name files of every kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_files import lines, noise, picture, pixels, sound, table

from recurra.data.examples import Example, Reading, Sound, open_examples
from recurra.errors import DataError, SettingError


def read(source: Any, **settings: Any) -> list[Example]:
    return list(open_examples(source, Reading(**settings)))


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_sounds(ending: str, tmp_path: Path) -> None:
    for number in range(2):
        sound(tmp_path / f"a/{number}.{ending}", noise(300 + number, number))
    rows = [("path", "label"), (f"a/0.{ending}", "yes"), (tmp_path / f"a/1.{ending}", "no")]
    source = table(tmp_path / "all.csv", rows)
    found = read(source, rate=8000)
    assert [e.target for e in found] == ["yes", "no"]
    assert [e.place for e in found] == [f"{source}: line 2", f"{source}: line 3"]
    for number, each in enumerate(found):
        assert isinstance(each.input, Sound)
        assert each.input.rate == 8000
        assert each.input.samples.dtype == np.float32
        assert np.array_equal(each.input.samples, noise(300 + number, number))
    assert open_examples(source).kinds == {"input": "sound"}


def test_ogg(tmp_path: Path) -> None:
    sound(tmp_path / "a.ogg", noise(4000))
    found = read(table(tmp_path / "t.csv", [("file", "label"), ("a.ogg", "x")]))
    assert (len(found[0].input.samples), found[0].input.rate) == (4000, 8000)


@pytest.mark.parametrize(
    ("mode", "shape"), [(None, (5, 7)), (None, (5, 7, 3)), (None, (5, 7, 4)), (None, (5, 7, 2))]
)
def test_pictures(mode: str | None, shape: tuple[int, ...], tmp_path: Path) -> None:
    picture(tmp_path / "a b.png", pixels(*shape), mode)
    found = read(table(tmp_path / "t.csv", [("file_name", "label"), ("a b.png", "x")]))
    assert found[0].input.dtype == np.uint8
    assert np.array_equal(found[0].input, pixels(*shape))


def test_modes_of_pictures(tmp_path: Path) -> None:
    gray, color = pixels(4, 4), pixels(4, 4, 3)
    picture(tmp_path / "bw.png", gray, "1")
    picture(tmp_path / "palette.png", color, "P")
    picture(tmp_path / "a.jpg", color)
    names = [("path", "label"), *((f, "x") for f in ("bw.png", "palette.png", "a.jpg"))]
    found = [e.input for e in read(table(tmp_path / "t.csv", names))]
    assert [each.shape for each in found] == [(4, 4), (4, 4, 3), (4, 4, 3)]
    assert {*np.unique(found[0])} <= {0, 255}


def test_a_picture_that_was_turned_stands_upright(tmp_path: Path) -> None:
    library = pytest.importorskip("PIL.Image", reason="the extra `pictures` is not installed")
    made = library.fromarray(pixels(4, 6))
    tags = made.getexif()
    tags[0x0112] = 6  # turned by a quarter
    made.save(tmp_path / "a.png", exif=tags)
    found = read(table(tmp_path / "t.csv", [("path", "label"), ("a.png", "x")]))
    assert np.array_equal(found[0].input, np.rot90(pixels(4, 6), -1))


def test_videos_and_series_and_texts_in_files(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        picture(tmp_path / f"clip/f{number}.png", pixels(3, 4, seed=number))
    table(tmp_path / "s.csv", [("x", "y"), (1, 2), (3, "")])
    (tmp_path / "a.txt").write_text("a\nb")
    named = {"clip": "clip", "s": "s.csv", "t": "a.txt"}
    inputs = {name: name for name in named}
    source = table(tmp_path / "t.csv", [(*named, "label"), (*named.values(), "x")])
    examples = open_examples(source, Reading(inputs=inputs))
    assert examples.kinds == {"clip": "video", "s": "series", "t": "text"}
    (found,) = examples
    assert np.array_equal(found.input["clip"], [pixels(3, 4, seed=n) for n in (1, 9, 10)])
    np.testing.assert_array_equal(found.input["s"], np.array([[1, 2], [3, np.nan]], np.float32))
    assert found.input["t"] == "a\nb"


def test_an_empty_cell_is_a_missing_input(tmp_path: Path) -> None:
    sound(tmp_path / "a.wav", noise(9))
    picture(tmp_path / "a.png", pixels(3, 4))
    rows = [
        ("wav", "png", "said", "label"),
        ("", "a.png", "", "x"),
        ("a.wav", "", "hello", "y"),
        ("", "", "", "z"),
    ]
    examples = open_examples(
        table(tmp_path / "t.csv", rows),
        Reading(inputs={"sound": "wav", "picture": "png", "text": "said"}),
    )
    assert examples.kinds == {"sound": "sound", "picture": "picture", "text": "text"}
    found = list(examples)
    assert [{k for k, v in e.input.items() if v is not None} for e in found] == [
        {"picture"},
        {"sound", "text"},
    ]
    assert [e.target for e in found] == ["x", "y"]
    assert examples.blank == 1


def test_parts_and_groups(tmp_path: Path) -> None:
    rows = [
        ("text", "label", "split", "who"),
        ("a", "x", "train", "ann"),
        ("b", "y", "Dev", ""),
        ("c", "x", "test", 7),
    ]
    source = table(tmp_path / "t.csv", rows)
    given = read(source, split="given", group="who")
    assert [(e.part, e.group) for e in given] == [
        ("training", "ann"),
        ("validation", None),
        ("test", "7"),
    ]
    assert [(e.part, e.group) for e in read(source)] == [(None, None)] * 3
    other = table(tmp_path / "o.csv", [("text", "label", "set"), ("a", "x", "later")])
    with pytest.raises(DataError, match=r"line 2: expected one of train, .* in 'set' .* 'later'"):
        read(other, split="given", split_column="set")
    with pytest.raises(DataError, match=r"no column 'split' \(data\.split_column\)"):
        read(other, split="given")
    with pytest.raises(DataError, match=r"no column 'whom' \(data\.group\); did you mean 'who'"):
        read(source, group="whom")


def test_several_labels(tmp_path: Path) -> None:
    rows = [("text", "a", "b"), ("t", "x|y", "1"), ("u", "", "2")]
    source = table(tmp_path / "t.csv", rows)
    assert [e.target for e in read(source, label=("b", "a"), unknown=True)] == [("1", "x|y"), None]
    assert read(source, label="a", label_separator="|", unknown=True)[0].target == ("x", "y")
    with pytest.raises(DataError, match=r"line 3: expected a label in 'a' \(data.label\), got not"):
        read(source, label="a")
    listed = lines(tmp_path / "t.jsonl", [{"text": "t", "label": ["x", 3]}])
    assert read(listed)[0].target == ("x", "3")


def test_without_labels(tmp_path: Path) -> None:
    source = table(tmp_path / "t.csv", [("text",), ("a",), ("b",)])
    assert [(e.input, e.target) for e in read(source, label=None)] == [("a", None), ("b", None)]
    with pytest.raises(DataError, match=r"t.csv: line 2: no column 'label' \(data\.label\)"):
        read(source)


def test_json_holds_words_and_numbers(tmp_path: Path) -> None:
    rows = [
        {"text": ["the", "dog"], "label": ["DET", "NOUN"]},
        {"text": ["it"], "label": ["PRON"]},
    ]
    examples = open_examples(lines(tmp_path / "w.jsonl", rows))
    assert examples.kinds == {"input": "words"}
    assert [(e.input, e.target) for e in examples] == [
        (("the", "dog"), ("DET", "NOUN")),
        (("it",), ("PRON",)),
    ]
    rows = [{"x": [[1, 2], [3, None]], "label": "a"}, {"x": [[5, 6]], "label": ["b"]}]
    examples = open_examples(lines(tmp_path / "s.jsonl", rows), Reading(column="x"))
    assert (examples.kinds, examples.channels) == ({"input": "series"}, ("0", "1"))
    found = list(examples)
    np.testing.assert_array_equal(found[0].input, np.array([[1, 2], [3, np.nan]], np.float32))
    assert [e.target for e in found] == ["a", ("b",)]
    rows[1]["label"] = ["b", "c"]
    steps = lines(tmp_path / "t.jsonl", rows)
    with pytest.raises(DataError, match="line 2: expected a tag for each step, got 1 steps"):
        read(steps, column="x", steps=True)
    wrong = lines(tmp_path / "v.jsonl", [{"text": ["a", "b"], "label": ["X"]}])
    with pytest.raises(DataError, match="line 1: expected a tag for each word, got 2 words and 1"):
        read(wrong)


def test_words_between_blanks(tmp_path: Path) -> None:
    rows = [("text", "label"), ("the dog", "DET NOUN")]
    found = read(table(tmp_path / "w.tsv", rows, "\t"), input="words")
    assert (found[0].input, found[0].target) == (("the", "dog"), ("DET", "NOUN"))


def test_parquet(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="the extra `data` is not installed")
    sound(tmp_path / "a.wav", noise(50))
    held = {"bytes": (tmp_path / "a.wav").read_bytes(), "path": "a.wav"}
    made = {
        "audio": [held, {"bytes": None, "path": "a.wav"}],
        "x": [[[1.0, 2.0]], [[3.0, 4.0]]],
        "label": [0, 1],
    }
    path = tmp_path / "t.parquet"
    pytest.importorskip("pyarrow.parquet").write_table(arrow.table(made), path)
    examples = open_examples(path, Reading(inputs={"sound": "audio", "series": "x"}))
    assert examples.kinds == {"sound": "sound", "series": "series"}
    for number, each in enumerate(examples):
        assert np.array_equal(each.input["sound"].samples, noise(50))
        assert each.input["series"].tolist() == [[2 * number + 1, 2 * number + 2]]
        assert (each.target, each.place) == (str(number), f"{path}: row {number + 1}")


def test_series_of_other_channels(tmp_path: Path) -> None:
    table(tmp_path / "a.csv", [("x", "y"), (1, 2)])
    table(tmp_path / "b.csv", [("y", "x"), (2, 1)])
    source = table(tmp_path / "t.csv", [("path", "label"), ("a.csv", "a"), ("b.csv", "b")])
    with pytest.raises(DataError, match=r"line 3: .*b.csv: expected the channels x, y as in the"):
        read(source)
    examples = open_examples(source, Reading(channels=("x", "y")))
    assert examples.channels == ("x", "y")
    assert [e.input.tolist() for e in examples] == [[[1, 2]], [[1, 2]]]
    rows = [{"x": [[1, 2]], "label": "a"}, {"x": [[1, 2, 3]], "label": "b"}]
    wide = lines(tmp_path / "t.jsonl", rows)
    with pytest.raises(DataError, match=r"line 2: column 'x': expected the channels 0, 1 as in"):
        read(wide, column="x")
    skipping = open_examples(wide, Reading(column="x", on_error="skip"))
    assert ([e.target for e in skipping], skipping.skipped) == (["a"], 1)


def test_bytes_are_what_their_input_is_called(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="the extra `data` is not installed")
    held = picture(tmp_path / "a.png", pixels(2, 3)).read_bytes()
    path = tmp_path / "t.parquet"
    made = arrow.table({"a": [held], "b": [{"bytes": held}], "label": ["x"]})
    pytest.importorskip("pyarrow.parquet").write_table(made, path)
    for column in "ab":
        (found,) = read(path, inputs={"picture": column})
        assert np.array_equal(found.input["picture"], pixels(2, 3))
        (found,) = read(path, input="picture", column=column)
        assert np.array_equal(found.input, pixels(2, 3))


def test_what_a_column_holds_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "odd.xyz").write_bytes(sound(tmp_path / "a.wav", noise(9)).read_bytes())
    source = table(tmp_path / "t.csv", [("path", "label"), ("odd.xyz", "x")])
    assert np.array_equal(read(source, input="sound")[0].input.samples, noise(9))
    with pytest.raises(DataError, match=r"column 'path': nothing is known of .* end in '\.xyz'"):
        read(source)
    said = table(tmp_path / "u.csv", [("text", "label"), ("song.wav is loud", "x"), ("b.wav", "y")])
    assert [e.input for e in read(said)] == ["song.wav is loud", "b.wav"]


def test_columns_that_are_not_there(tmp_path: Path) -> None:
    source = table(tmp_path / "t.csv", [("wave", "label"), ("a.wav", "x")])
    with pytest.raises(DataError, match=r"t.csv: no column 'text' \(data\.column\)"):
        read(source)
    with pytest.raises(DataError, match=r"no column 'wav' \(data\.inputs\); did you mean 'wave'"):
        read(source, inputs={"sound": "wav"})
    with pytest.raises(SettingError, match="column: inputs name a column"):
        Reading(column="a", inputs={"b": "c"})


def test_tables_are_read_as_often_as_they_are_asked_for(tmp_path: Path) -> None:
    examples = open_examples(table(tmp_path / "t.csv", [("text", "label"), ("a", "x"), ("", "y")]))
    assert [len(list(examples)) for _ in range(3)] == [1, 1, 1]
    assert (examples.blank, examples.skipped) == (1, 0)


def test_a_cell_that_names_nothing(tmp_path: Path) -> None:
    sound(tmp_path / "a.wav", noise(9))
    rows = [("path", "label"), ("a.wav", "x"), ("", "y"), (" ", "z")]
    source = table(tmp_path / "t.csv", rows)
    with pytest.raises(DataError, match=r"line 3: expected an input in 'path', got nothing"):
        read(source)
    examples = open_examples(source, Reading(on_error="skip"))
    assert ([e.target for e in examples], examples.skipped) == (["x"], 2)


def test_without_a_header_columns_have_numbers(tmp_path: Path) -> None:
    source = table(tmp_path / "t.csv", [("a text", "x"), ("# two", "y")])
    found = read(source, header=False, column="0", label="1")
    assert [e[:2] for e in found] == [("a text", "x"), ("# two", "y")]


def test_a_data_set_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("datasets", reason="the extra `data` is not installed")
    rows = [{"text": "a", "label": 1}, {"text": " ", "label": 1}, {"text": "b", "label": 0}]

    def load(name: str, config: None, *, split: str, streaming: bool) -> Any:
        assert (name, config, split, streaming) == ("some/reviews", None, "test", True)
        return library.IterableDataset.from_generator(lambda: iter(rows))

    monkeypatch.setattr(library, "load_dataset", load)
    examples = open_examples("hub:some/reviews:test")
    assert [e[:2] for e in examples] == [("a", "1"), ("b", "0")]
    assert (examples.kinds, examples.blank) == ({"input": "text"}, 1)
