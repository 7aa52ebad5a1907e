"""What Python gives: lists, arrays, tensors, frames, tables, data sets, by part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from example_files import noise, pixels, sound, table

from recurra.data.examples import Example, Reading, Sound, open_examples
from recurra.errors import DataError


def read(source: Any, **settings: Any) -> list[Example]:
    return list(open_examples(source, Reading(**settings)))


def test_arrays_of_any_lengths() -> None:
    inputs = [np.arange(3), np.arange(8.0).reshape(4, 2)[:, :1], [[1], [2]]]
    examples = open_examples((inputs, ["a", "b", 3]))
    assert (examples.kinds, examples.channels) == ({"input": "series"}, ("0",))
    found = list(examples)
    assert [e.input.shape for e in found] == [(3, 1), (4, 1), (2, 1)]
    assert {e.input.dtype for e in found} == {np.dtype(np.float32)}
    assert [e.target for e in found] == ["a", "b", "3"]
    assert [e.place for e in found] == [f"example {n}" for n in range(3)]


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor])
def test_an_array_of_all(make: Any) -> None:
    given = np.arange(24.0).reshape(2, 3, 4)
    found = read((make(given), make(np.array([0, 1]))))
    assert [e.target for e in found] == ["0", "1"]
    assert np.array_equal([e.input for e in found], given)
    turned = read((make(given), [0, 1]), axes="channels")
    assert np.array_equal(turned[1].input, given[1].T)
    assert open_examples((make(given), [0, 1]), Reading(channels=tuple("abcd"))).channels == (
        "a",
        "b",
        "c",
        "d",
    )


def test_tensors_with_gradients_and_half_precision() -> None:
    given = [torch.ones(2, 3, requires_grad=True), torch.ones(2, 3, dtype=torch.bfloat16)]
    assert [e.input.tolist() for e in read(given, label=None)] == [[[1, 1, 1]] * 2] * 2


def test_texts_and_words() -> None:
    assert [e[:2] for e in read((["a b", "c"], ["x", "y"]))] == [("a b", "x"), ("c", "y")]
    words = read(([["a", "b"], ("c",)], [["X", "Y"], ["Z"]]))
    assert [e[:2] for e in words] == [(("a", "b"), ("X", "Y")), (("c",), ("Z",))]
    assert read((["a b"], [["X", "Y"]]), input="words")[0].input == ("a", "b")
    with pytest.raises(DataError, match="example 0: expected a tag for each word, got 2 wo"):
        read(([["a", "b"]], [["X"]]))
    with pytest.raises(DataError, match="example 0: expected a list of words, got 7"):
        read(([["a", 7]], [["X", "Y"]]))


def test_pairs() -> None:
    assert [e[:2] for e in read([("a", "x"), ("b", "y")])] == [("a", "x"), ("b", "y")]
    assert [e[:2] for e in read(zip("ab", "xy", strict=True))] == [("a", "x"), ("b", "y")]
    with pytest.raises(DataError, match=r"got list, whose example 1 is no pair\. Make it a tuple"):
        read([("a", "x"), "b"])


def test_sounds_pictures_and_videos() -> None:
    sounds = [
        Sound(noise(9), 8000),
        (noise(9), 8000),
        {"array": noise(9), "sampling_rate": 8000},
        ((noise(9) * 32768).astype(np.int16), 8000),
        torch.as_tensor(noise(9)),
    ]
    found = read((sounds, "abcde"[:0] or list("abcde")), input="sound", rate=8000)
    for each in found:
        assert np.array_equal(each.input.samples, noise(9))
        assert each.input.rate == 8000
    assert open_examples((sounds[:1], ["a"])).kinds == {"input": "sound"}
    library = pytest.importorskip("PIL.Image", reason="the extra `pictures` is not installed")
    drawn = [pixels(3, 4), pixels(3, 4, 3), library.fromarray(pixels(3, 4))]
    examples = open_examples((drawn, [1, 2, 3]))
    assert examples.kinds == {"input": "picture"}
    assert [e.input.shape for e in examples] == [(3, 4), (3, 4, 3), (3, 4)]
    assert open_examples((pixels(2, 5, 3, 6), [1, 2])).kinds == {"input": "video"}
    moving = [pixels(2, 5, 6), torch.as_tensor(pixels(3, 5, 6, 3))]
    assert [e.input.shape for e in read((moving, [1, 2]), input="video")] == [
        (2, 5, 6),
        (3, 5, 6, 3),
    ]
    assert open_examples(([pixels(2, 5, 3, 4)], [1])).kinds == {"input": "video"}
    assert read((pixels(2, 3, 4, 3), [1, 2]), input="picture")[0].input.shape == (3, 4, 3)


@pytest.mark.parametrize(
    ("inputs", "settings", "said"),
    [
        ([np.zeros((2, 2)), np.zeros((2, 2, 2))], {}, r"example 1: .* got 3 axes, \[2, 2, 2\]"),
        ([np.zeros(2), [1.0, np.inf]], {}, "example 1: expected finite .* got inf at step 1, cha"),
        ([np.zeros(2), [1.0, 1e300]], {}, "example 1: expected finite numbers that fit into 32"),
        ([np.zeros(2), [[1.0, 2.0], [3.0]]], {}, "example 1: expected numbers, with as many chan"),
        ([np.zeros(2), ["a"]], {}, "example 1: expected numbers"),
        (["a", 7], {}, "example 1: expected a text, got 7"),
        (["a", None], {}, "example 1: expected a text, got None"),
        ([(noise(3), 8000), noise(3)], {"input": "sound"}, r"example 1: .* pair \(samples, rate\)"),
        ([(noise(3), 8000), (noise(3), 9)], {"input": "sound", "rate": 8000}, "1: .* got 9"),
        (
            [(noise(3), 8000), (np.zeros((3, 2)), 9)],
            {"input": "sound"},
            r"1: .*one channel.*\[3, 2",
        ),
        ([pixels(2, 2), np.zeros((2, 2))], {"input": "picture"}, r"1: .*a picture .* float64"),
        (
            [pixels(2, 2, 2), pixels(2, 2)],
            {"input": "video"},
            r"a video \[time, .*\[2, 2\]",
        ),
        ([pixels(2, 2), pixels(2, 2, 2, 2)], {}, r"1: expected a picture .*\[2, 2, 2, 2\]"),
    ],
)
def test_an_input_that_is_wrong(inputs: list[Any], settings: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        read((inputs, ["a", "b"]), **settings)
    examples = open_examples((inputs, ["a", "b"]), Reading(**settings, on_error="skip"))
    assert ([e.target for e in examples], examples.skipped) == (["a"], 1)


@pytest.mark.parametrize("label", [None, float("nan"), " ", 1.5])
def test_a_label_that_is_wrong(label: Any) -> None:
    with pytest.raises(DataError, match="example 1: expected a label in its place"):
        read((["a", "b"], ["x", label]))
    if label != 1.5:
        assert read((["a", "b"], ["x", label]), unknown=True)[1].target is None


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (None, "expected a path, a pair of lists .* got nothing"),
        (7, "expected a path, .* got int"),
        ((["a"], ["b"], ["c"]), "got tuple of 3"),
        ((["a", "b"], ["x"]), "a label for each input, got 2 text inputs and 1 labels"),
        (("text", ["x"]), "expected a list of inputs, got str"),
        ((["a"], "x"), "expected a list of labels, got str"),
        (({"a": [1.0], "b": [1.0, 2.0]}, ["x"]), "lists of one length, got 1 in 'a', 2 in 'b', 1"),
        ({"train": None}, "train, data: expected a path"),
    ],
)
def test_what_is_no_source(source: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        open_examples(source)


def test_several_inputs() -> None:
    inputs = {"x": [np.zeros((2, 1)), None], "said": ["hello", "you"]}
    examples = open_examples((inputs, ["a", "b"]))
    assert examples.kinds == {"x": "series", "said": "text"}
    one, other = examples
    assert (one.input["x"].shape, one.input["said"], one.target) == ((2, 1), "hello", "a")
    assert (other.input["x"], other.input["said"], other.target) == (None, "you", "b")


def test_paths_of_files(tmp_path: Path) -> None:
    files = [sound(tmp_path / f"{n}.wav", noise(9 + n)) for n in range(2)]
    for given, settings in ((files, {}), (list(map(str, files)), {"input": "sound"})):
        found = read((given, ["a", "b"]), **settings)
        assert [len(e.input.samples) for e in found] == [9, 10]
    with pytest.raises(DataError, match=r"example 1: .*2.wav: no such file"):
        read(([files[0], tmp_path / "2.wav"], ["a", "b"]))
    table(tmp_path / "s.csv", [("x", "y"), (1, 2)])
    examples = open_examples(([tmp_path / "s.csv"], ["a"]))
    assert (examples.kinds, examples.channels) == ({"input": "series"}, ("x", "y"))
    (tmp_path / "t.txt").write_text("hello")
    assert read(([tmp_path / "t.txt"], ["a"]))[0].input == "hello"


def test_columns_with_an_index_of_their_own() -> None:
    library = pytest.importorskip("pandas")
    frame = library.DataFrame({"text": ["a", "b"], "label": [0, 1]}, index=[7, 9])
    found = read((frame["text"], frame["label"]))
    assert [e[:2] for e in found] == [("a", "0"), ("b", "1")]


def test_arrays_of_other_channels() -> None:
    inputs = [np.zeros((2, 3)), np.zeros((2, 2))]
    with pytest.raises(DataError, match="example 1: expected the channels 0, 1, 2 as in the fir"):
        read((inputs, ["a", "b"]))
    examples = open_examples((inputs, ["a", "b"]), Reading(on_error="skip"))
    assert ([e.target for e in examples], examples.skipped) == (["a"], 1)
    with pytest.raises(DataError, match="example 0: expected the channels x, y as in"):
        read((inputs[:1], ["a"]), channels=("x", "y"))
    with pytest.raises(DataError, match="example 0: expected a tag for each step, got 2 steps"):
        read((inputs[:1], [["a", "b", "c"]]), steps=True)
    assert read((inputs[:1], [["a", "b", "c"]]))[0].target == ("a", "b", "c")


def test_by_part(tmp_path: Any) -> None:
    (tmp_path / "t.csv").write_text("text,label\nc,x\n")
    source = {"train": (["a"], ["x"]), "dev": [("b", "y")], "test": tmp_path / "t.csv"}
    examples = open_examples(source)
    assert [(e.input, e.target, e.part) for e in examples] == [
        ("a", "x", "training"),
        ("b", "y", "validation"),
        ("c", "x", "test"),
    ]
    assert next(iter(examples)).place == "train, example 0"
    assert open_examples(examples) is examples
    again = open_examples({"test": open_examples((["a"], ["x"]))})
    assert [e.part for e in again] == ["test"]
    some = {"train": (["a", 7], ["x", "y"]), "test": (["b"], ["x"])}
    skipping = open_examples(some, Reading(on_error="skip"))
    assert ([e.input for e in skipping], skipping.skipped) == (["a", "b"], 1)
    with pytest.raises(DataError, match=r"expected text as in .*, got series"):
        open_examples({"train": (["a"], ["x"]), "test": ([np.zeros(2)], ["x"])})


COLUMNS = {"x": [[1.0, 2.0], [3.0]], "label": ["a", "b"], "who": [1, 2]}


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames(library: str) -> None:
    frame = pytest.importorskip(library).DataFrame(COLUMNS)
    examples = open_examples(frame, Reading(column="x", group="who"))
    assert examples.kinds == {"input": "series"}
    assert [(e.input[:, 0].tolist(), e.target, e.group) for e in examples] == [
        ([1, 2], "a", "1"),
        ([3], "b", "2"),
    ]
    with pytest.raises(DataError, match=r"data: no column 'label' \(data\.label\)"):
        open_examples(frame[["x"]], Reading(column="x"))
    with pytest.raises(DataError, match=r"data: no column 'text' \(data\.column\)"):
        open_examples(frame)


def test_frames_of_steps() -> None:
    library = pytest.importorskip("pandas")
    frame = library.DataFrame(
        {"id": [1, 1, 2], "t": [0, 1, 0], "x": [1, 2, np.nan], "label": ["a", "a", "b"]}
    )
    examples = open_examples(frame, Reading(id="id", time="t"))
    assert examples.channels == ("x",)
    assert [(e.input.shape, e.target) for e in examples] == [((2, 1), "a"), ((1, 1), "b")]
    with pytest.raises(DataError, match=r"no column 'ix' \(data\.id\)"):
        open_examples(frame, Reading(id="ix", time="t"))


def test_tables_of_arrow() -> None:
    arrow = pytest.importorskip("pyarrow", reason="the extra `data` is not installed")
    examples = open_examples(arrow.table(COLUMNS), Reading(column="x"))
    assert [(e.input.shape, e.target, e.place) for e in examples] == [
        ((2, 1), "a", "row 0"),
        ((1, 1), "b", "row 1"),
    ]
    long = arrow.table({"id": [1, 1, 2], "x": [1, 2, 3], "label": ["a", "a", "b"]})
    assert [e.input.shape for e in open_examples(long, Reading(id="id"))] == [(2, 1), (1, 1)]


def test_data_sets() -> None:
    library = pytest.importorskip("datasets", reason="the extra `data` is not installed")
    pytest.importorskip("PIL.Image", reason="the extra `pictures` is not installed")
    texts = library.Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]})
    assert [e[:2] for e in read(texts)] == [("a", "1"), ("b", "0")]
    both = library.DatasetDict({"train": texts, "test": texts})
    assert [e.part for e in read(both)] == ["training"] * 2 + ["test"] * 2
    drawn = library.Dataset.from_dict(
        {"image": list(pixels(2, 3, 4)), "label": [1, 0]},
        features=library.Features({"image": library.Image(), "label": library.Value("int64")}),
    )
    examples = open_examples(drawn, Reading(column="image"))
    assert examples.kinds == {"input": "picture"}
    assert [e.input.shape for e in examples] == [(3, 4)] * 2
