"""Folders of files: labels by folder, by name, by expression; parts; what is odd in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_files import noise, picture, pixels, sound, table

from recurra.data import Clips, write_video
from recurra.data.examples import Example, Reading, open_examples
from recurra.errors import DataError, SettingError


def read(source: Any, **settings: Any) -> list[Example]:
    return list(open_examples(source, Reading(**settings)))


def named(found: list[Example]) -> list[tuple[Any, ...]]:
    return [(Path(e.place).name, e.target, e.part, e.group) for e in found]


def test_a_folder_for_each_label(tmp_path: Path) -> None:
    for label in ("yes", "no"):
        sound(tmp_path / "deep" / label / "1.wav", noise(20, len(label)))
    (tmp_path / "README.txt").write_text("about")
    (tmp_path / "LICENSE").write_text("free")
    examples = open_examples(tmp_path)
    assert examples.kinds == {"input": "sound"}
    assert [(e.target, len(e.input.samples)) for e in examples] == [("no", 20), ("yes", 20)]


def test_labels_in_names(tmp_path: Path) -> None:
    for name in ("7_ann_0.wav", "7_ann_12.wav", "3_bob_4.wav"):
        sound(tmp_path / name, noise(9))
    assert {e.target for e in read(tmp_path, label_from="name")} == {"7", "3"}
    rule = r"(?P<label>\d)_(?P<group>[a-z]+)_(?P<take>\d+)"
    assert named(read(tmp_path, label_from=rule)) == [
        ("3_bob_4.wav", "3", None, "bob"),
        ("7_ann_0.wav", "7", None, "ann"),
        ("7_ann_12.wav", "7", None, "ann"),
    ]
    rule = r"(?P<label>\d)_[a-z]+_(?:(?P<test>[0-4])|(?P<dev>5)|\d+)\."
    parts = named(read(tmp_path, label_from=rule, split="given"))
    assert [part for _, _, part, _ in parts] == ["test", "test", "training"]
    sound(tmp_path / "odd.wav", noise(9))
    with pytest.raises(DataError, match=r"odd.wav: expected a name in which .* is found"):
        read(tmp_path, label_from=rule)
    examples = open_examples(tmp_path, Reading(label_from=rule, on_error="skip"))
    assert (len(list(examples)), examples.skipped) == (3, 1)


@pytest.mark.parametrize("name", ["cat.12.png", "cat 12.png", "cat-12.png", "cat_12.png"])
def test_a_label_ends_before_the_first_mark(name: str, tmp_path: Path) -> None:
    picture(tmp_path / name, pixels(2, 2))
    assert read(tmp_path, label_from="name")[0].target == "cat"


def test_nothing_says_the_label(tmp_path: Path) -> None:
    sound(tmp_path / "a.wav", noise(9))
    with pytest.raises(DataError, match=r"a.wav: expected a folder for each label, .*label_from"):
        read(tmp_path)
    for how in ({"label": None}, {"unknown": True}):
        assert [e.target for e in read(tmp_path, **how)] == [None]
    assert [e.target for e in read(tmp_path / "a.wav", label=None)] == [None]


def test_parts_by_folders(tmp_path: Path) -> None:
    for part in ("train-clean", "valid"):
        for label in ("a", "b"):
            picture(tmp_path / part / label / "0.png", pixels(2, 2))
    found = read(tmp_path, split="given")
    assert [(e.part, e.target) for e in found] == [
        ("training", "a"),
        ("training", "b"),
        ("validation", "a"),
        ("validation", "b"),
    ]
    picture(tmp_path / "more" / "a" / "0.png", pixels(2, 2))
    with pytest.raises(DataError, match=r"more/a/0.png: expected a file or folder named train"):
        read(tmp_path, split="given")


def test_folders_of_frames(tmp_path: Path) -> None:
    for clip in ("x", "y"):
        for number in range(11):
            picture(tmp_path / "jump" / clip / f"{number}.png", pixels(2, 3, seed=number))
    examples = open_examples(tmp_path, Reading(input="video"))
    assert [(e.target, e.input.shape) for e in examples] == [("jump", (11, 2, 3))] * 2
    assert np.array_equal(next(iter(examples)).input[10], pixels(2, 3, seed=10))
    picture(tmp_path / "jump" / "y" / "11.png", pixels(3, 3))
    said = r"jump/y: expected frames of one size .* 0.png has \[2, 3\] and 11.png \[3, 3\]"
    with pytest.raises(DataError, match=said):
        read(tmp_path, input="video")
    with pytest.raises(DataError, match="this is another file"):
        read(tmp_path / "jump" / "y" / "11.png", input="video")
    with pytest.raises(DataError, match="no such file or folder"):
        read(tmp_path / "more", input="video")
    clips = [tmp_path / "jump" / "x", tmp_path / "jump"]
    examples = open_examples((clips, ["a", "b"]), Reading(on_error="skip"))
    assert examples.kinds == {"input": "video"}
    assert ([e.input.shape for e in examples], examples.skipped) == ([(11, 2, 3)], 1)
    assert "jump: expected frames (.png, .jpg) in this folder, found none" in examples.problems[0]
    (tmp_path / "jump" / "x" / "note.txt").write_text("not a frame")
    assert len(list(examples)) == 1
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "a.txt").write_text("a")
    with pytest.raises(DataError, match=r"expected videos .*or folders with the frames"):
        read(tmp_path / "none", input="video")


def test_files_of_several_kinds(tmp_path: Path) -> None:
    sound(tmp_path / "a" / "1.wav", noise(9))
    picture(tmp_path / "a" / "1.png", pixels(2, 2))
    with pytest.raises(DataError, match="files of one kind, found picture, sound"):
        read(tmp_path)
    assert read(tmp_path, input="picture")[0].input.shape == (2, 2)
    assert len(read(tmp_path, pattern="*.wav")) == 1


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="It is empty"):
        read(tmp_path)
    (tmp_path / "a.xyz").write_text("a")
    with pytest.raises(DataError, match=r"files that end in .*\.wav.*; found the endings \.xyz"):
        read(tmp_path)
    with pytest.raises(DataError, match=r"files that end in \.flac, \.ogg, \.wav, or tables"):
        read(tmp_path, input="sound")
    with pytest.raises(DataError, match="no such file or folder"):
        read(tmp_path / "b")
    with pytest.raises(DataError, match=r"expected files \*\.mp3, found none"):
        read(tmp_path, pattern="*.mp3")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"label_from": "("}, "label_from: expected 'folder', 'name' or a regular expression"),
        ({"label_from": r"(\d)"}, r"a group \(\?P<label>...\) .* got no named group"),
        ({"label_from": "(?P<label>a)", "labels": "t.csv"}, r"a group \(\?P<id>...\) .* got label"),
        ({"input": "sounds"}, "input: did you mean 'sound'"),
        ({"split": "random"}, "split: .*Known: given, hash"),
        ({"axes": "batch"}, "axes: .*Known: channels, time"),
        ({"on_error": "ignore"}, "on_error: .*Known: skip, stop"),
        ({"rows": "step"}, "rows: did you mean 'steps'"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        Reading(**settings)


# ---- what is odd in a file -----------------------------------------------------------------------


def damaged(folder: Path, kind: str) -> Path:
    """A folder with a good file and a damaged one."""
    if kind == "sound":
        good = sound(folder / "a" / "good.wav", noise(99))
        bad = folder / "a" / "bad.wav"
    else:
        good = picture(folder / "a" / "good.png", pixels(9, 9))
        bad = folder / "a" / "bad.png"
    bad.write_bytes(good.read_bytes()[:30])
    return bad


@pytest.mark.parametrize("kind", ["sound", "picture"])
@pytest.mark.parametrize("by", ["folder", "table"])
def test_a_damaged_file(kind: str, by: str, tmp_path: Path) -> None:
    bad = damaged(tmp_path, kind)
    source, said = tmp_path, rf"{bad.name}: cannot be read as a {kind} \(.+\)\."
    if by == "table":
        rows = [("path", "label"), (f"a/good{bad.suffix}", "a"), (f"a/{bad.name}", "b")]
        source, said = table(tmp_path / "t.csv", rows), rf"t.csv: line 3: .*{said}"
    with pytest.raises(DataError, match=said):
        read(source)
    examples = open_examples(source, Reading(on_error="skip"))
    assert ([e.target for e in examples], examples.skipped) == (["a"], 1)
    bad.write_bytes(b"")
    assert (len(list(examples)), examples.skipped) == (1, 1)
    bad.unlink()
    if by == "table":
        with pytest.raises(DataError, match=rf"t.csv: line 3: .*{bad.name}: no such file"):
            read(source)


def test_sounds_that_are_refused(tmp_path: Path) -> None:
    sound(tmp_path / "stereo" / "1.wav", np.stack([noise(9), noise(9)], 1))
    with pytest.raises(DataError, match="expected a recording of one channel, this has 2"):
        read(tmp_path)
    sound(tmp_path / "mono" / "1.wav", noise(9), 16000)
    with pytest.raises(DataError, match="expected 8,000 samples a second, this has 16,000"):
        read(tmp_path / "mono", rate=8000, label=None)
    sound(tmp_path / "none" / "1.wav", noise(0))
    examples = open_examples(tmp_path, Reading(on_error="skip"))
    assert ([e.target for e in examples], examples.skipped, examples.blank) == (["mono"], 1, 1)


def test_pictures_that_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "1.png", pixels(4, 4).astype(np.int32), "I;16")
    with pytest.raises(DataError, match="expected 8 bits for a color, this picture has mode I;16"):
        read(tmp_path)
    with pytest.raises(DataError, match=r"expected examples, found none\. 1 could not be read: "):
        read(tmp_path, on_error="skip")


@pytest.mark.parametrize(
    ("library", "kind", "extra"),
    [("soundfile", "sound", "sound"), ("PIL.Image", "picture", "pictures")],
)
def test_without_the_library(
    library: str, kind: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged(tmp_path, kind)
    monkeypatch.setitem(__import__("sys").modules, library, None)
    name = library.partition(".")[0]
    with pytest.raises(DataError, match=rf"need the library {name}, .*'recurra\[{extra}\]'"):
        read(tmp_path)
    with pytest.raises(DataError, match=rf"need the library {name}"):
        read(tmp_path, on_error="skip")


@pytest.mark.parametrize("kind", ["auto", "video"])
def test_videos_in_files(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("av", reason="the extra video is not installed")
    films, motions = Clips(frames=3).examples(2)
    for number, (film, motion) in enumerate(zip(films, motions, strict=True)):
        (tmp_path / motion).mkdir(exist_ok=True)
        write_video(tmp_path / motion / f"{number}.mp4", film)
    how = Reading(input=kind)  # type: ignore[arg-type]
    examples = open_examples(tmp_path, how)
    assert examples.kinds == {"input": "video"}
    found = [(each.target, each.input.shape) for each in examples]
    assert sorted(found) == sorted((motion, (3, 32, 32, 3)) for motion in motions)
    listed = tmp_path / "films.csv"
    listed.write_text(f"file,label\n{motions[0]}/0.mp4,here\n")
    (one,) = open_examples(listed, how)
    assert (one.target, one.input.shape) == ("here", (3, 32, 32, 3))
