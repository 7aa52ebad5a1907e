"""Streams of ids on disk: equal to those in memory, whole or not there, and never held."""

from __future__ import annotations

import json
import os
import resource
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.data import (
    ByteVocabulary,
    CharacterVocabulary,
    Document,
    Documents,
    Normalizer,
    Windows,
    WordVocabulary,
    encode_to_file,
    open_documents,
    open_stream,
    read_stream_header,
    stream,
    tokens,
)
from recurra.errors import DataError, RunError, SettingError

LETTERS = CharacterVocabulary("abc")


def known(path: Path) -> list[int]:
    """Ids without start symbols."""
    ids: list[int] = open_stream(path).tolist()
    return [index for index in ids if index != 1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "corpus.ids"


def files(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_layout_by_hand(path: Path) -> None:
    header = encode_to_file(["ab", "", "xc"], LETTERS, path)
    assert path.read_bytes() == bytes([1, 3, 4, 1, 1, 0, 5, 1])
    assert (header.count, header.documents, header.unknown, header.dtype) == (8, 3, 1, "uint8")
    assert files(path.parent) == {"corpus.ids", "corpus.ids.json"}
    assert read_stream_header(str(path)) == header
    ids = open_stream(path, LETTERS)
    assert isinstance(ids, np.memmap)
    assert ids.tolist() == [1, 3, 4, 1, 1, 0, 5, 1]
    with pytest.raises(ValueError, match="read-only"):
        ids[0] = 2
    assert encode_to_file("ab", LETTERS, path).documents == 1


@pytest.mark.parametrize(
    ("size", "dtype", "last"),
    [
        (256, "uint8", b"\xff"),
        (257, "uint16", b"\x00\x01"),
        (65536, "uint16", b"\xff\xff"),
        (65537, "uint32", b"\x00\x00\x01\x00"),
    ],
)
def test_ids_are_as_small_as_the_vocabulary_lets_them(
    path: Path, size: int, dtype: str, last: bytes
) -> None:
    made = CharacterVocabulary(chr(0x10000 + n) for n in range(size - 3))
    assert encode_to_file([made.characters[-1]], made, path).dtype == dtype
    start = (1).to_bytes(len(last), "little")
    assert path.read_bytes() == start + last + start
    assert open_stream(path, made).tolist() == [1, size - 1, 1]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("abcx", max_size=20), min_size=1, max_size=8))
def test_a_stream_on_disk_is_the_one_in_memory(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.ids"
    header = encode_to_file((Document(text, "x") for text in texts), LETTERS, path)
    held = stream([LETTERS.encode(text) for text in texts])
    mapped = open_stream(path, LETTERS)
    assert mapped.tolist() == held.tolist()
    assert (header.count, header.documents) == (len(held), len(texts))
    assert header.unknown == "".join(texts).count("x")
    for one, other in zip(
        Windows(mapped, rows=1, size=3), Windows(held, rows=1, size=3), strict=True
    ):
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.targets, other.targets)
        assert (one.resets is None) == (other.resets is None)


def test_fingerprints_tell_what_differs(tmp_path: Path) -> None:
    def header(texts: list[str], vocabulary: Any = LETTERS) -> tokens.StreamHeader:
        return encode_to_file(texts, vocabulary, tmp_path / "some.ids")

    one = header(["ab", "c"])
    assert header(["ab", "c"]) == one
    assert len({header(texts).source for texts in (["ab", "c"], ["a", "bc"], ["c", "ab"])}) == 3
    assert header(["x"]).ids == header(["y"]).ids  # both unknown
    assert header(["x"]).source != header(["y"]).source
    other = header(["ab", "c"], CharacterVocabulary("acb"))
    assert other.source == one.source
    assert other.vocabulary != one.vocabulary
    words = header(["ab c"], WordVocabulary(["ab"]))
    assert words.unknown == 1


# ------------------------------------------------------------------------------------ in one piece


def test_a_document_that_cannot_be_read_leaves_nothing(path: Path) -> None:
    before = encode_to_file(["abc"], LETTERS, path)

    def broken(problem: Exception) -> Iterator[str]:
        yield "ab" * 1_000_000
        assert [n for n in files(path.parent) if n[0] == "." and n.endswith(".partial")]
        raise problem

    absent = FileNotFoundError(2, "No such file", "theirs.txt")
    for problem in (DataError("line 7"), KeyboardInterrupt(), absent):
        with pytest.raises(type(problem)) as caught:
            encode_to_file(broken(problem), LETTERS, path)  # type: ignore[arg-type]
        assert caught.value is problem
        assert files(path.parent) == {"corpus.ids", "corpus.ids.json"}
        assert read_stream_header(path) == before
        assert open_stream(path).tolist() == [1, 3, 4, 5, 1]


def test_nothing_to_encode(path: Path) -> None:
    with pytest.raises(DataError, match="expected at least one document to encode, got none"):
        encode_to_file([], LETTERS, path)
    with pytest.raises(DataError, match="here: expected text, found none"):
        encode_to_file(Documents("here", list), LETTERS, path)
    assert files(path.parent) == set()


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"none/a\.ids: cannot be written \(No such file or dir"):
        encode_to_file(["a"], LETTERS, tmp_path / "none" / "a.ids")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunError, match=r"folder: cannot be written \(Is a directory\)"):
        encode_to_file(["a"], LETTERS, tmp_path / "folder")
    assert files(tmp_path) == {"folder"}


def test_a_disk_without_room(path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        for size in (10, 2 << 20):  # the limit is met while writing, or with the last bytes
            texts = ["a" * size] * (3 << 20 if size > 10 else 1 << 17)
            with pytest.raises(RunError, match=r"corpus\.ids: cannot be written \(File too large"):
                encode_to_file(texts, LETTERS, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(path.parent) == set()


@pytest.mark.parametrize("step", range(2))
def test_stopped_between_the_two_names(
    path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_to_file(["abc"], LETTERS, path)
    done: list[Path] = []
    replace = os.replace

    def stop(source: Path, target: Path) -> None:
        if len(done) == step:
            raise KeyboardInterrupt
        done.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        encode_to_file(["cba"], LETTERS, path)
    # Old ids or new ones: without a header neither is taken for the other.
    assert files(path.parent) == {"corpus.ids"}
    with pytest.raises(DataError, match="its writing was stopped"):
        open_stream(path)


# ------------------------------------------------------------------------------ damaged or foreign


def change(path: Path, **fields: Any) -> None:
    beside = path.with_name(path.name + ".json")
    told = json.loads(beside.read_text()) | fields
    beside.write_text(json.dumps({key: value for key, value in told.items() if value != "-"}))


def test_a_stream_that_is_not_there(path: Path) -> None:
    with pytest.raises(DataError, match=r"corpus\.ids: no such file\. encode_to_file writes one"):
        open_stream(path)
    with pytest.raises(DataError, match="no such file"):
        open_stream(path.parent)
    path.write_bytes(b"\1\3\1")
    with pytest.raises(DataError, match=r"expected its header corpus\.ids\.json beside it"):
        open_stream(path)


def test_a_stream_of_another_vocabulary(path: Path) -> None:
    encode_to_file(["abc"], LETTERS, path)
    for other in (ByteVocabulary(), CharacterVocabulary("acb"), CharacterVocabulary("abcd")):
        with pytest.raises(DataError, match=f"another vocabulary than the one of {len(other)} ids"):
            open_stream(path, other)
    assert len(open_stream(path, CharacterVocabulary("abc"))) == 5


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("raw", [b"", b"\1\3\4\5", b"\1\3\4\5\1\1"])
def test_a_file_of_another_length(path: Path, raw: bytes, verify: bool) -> None:
    encode_to_file(["abc"], LETTERS, path)
    path.write_bytes(raw)
    with pytest.raises(DataError, match=f"damaged, expected 5 bytes, found {len(raw)}"):
        open_stream(path, verify=verify)


@pytest.mark.parametrize("place", range(5))
def test_a_changed_byte(path: Path, place: int) -> None:
    encode_to_file(["abc"], LETTERS, path)
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)
    with pytest.raises(DataError, match="damaged, its bytes are not those that were written"):
        open_stream(path)
    assert len(open_stream(path, verify=False)) == 5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"recurra-stream": 2}, "expected a stream of format 1, got 2"),
        ({"recurra-stream": "-"}, "expected a stream of format 1, got None"),
        ({"count": "-"}, "damaged .*missing.*count"),
        ({"more": 1}, "damaged .*unexpected.*more"),
        ({"count": -1}, "damaged, expected numbers"),
        ({"count": 2.0}, "damaged, expected numbers"),
        ({"count": True}, "damaged, expected numbers"),
        ({"documents": 5}, "damaged, expected numbers"),
        ({"dtype": "float32"}, "damaged, expected numbers"),
        ({"dtype": "O"}, "damaged, expected numbers"),
        ({"ids": None}, "damaged, expected numbers"),
        ({"count": 10**30}, "damaged, expected 1000000"),
    ],
)
def test_a_changed_header(path: Path, fields: dict[str, Any], message: str) -> None:
    encode_to_file(["abc"], LETTERS, path)
    change(path, **fields)
    with pytest.raises(DataError, match=message):
        open_stream(path)


@pytest.mark.parametrize("raw", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b"[]", b"7"])
def test_a_header_that_is_none(path: Path, raw: bytes) -> None:
    encode_to_file(["abc"], LETTERS, path)
    path.with_name("corpus.ids.json").write_bytes(raw)
    with pytest.raises(
        DataError, match=r"corpus\.ids\.json: (damaged, not JSON|expected a stream)"
    ):
        open_stream(path)


# ------------------------------------------------------------------------------------------ memory


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    def peak(lines: int) -> int:
        source, path = tmp_path / "some.txt", tmp_path / "some.ids"
        with open(source, "w") as file:
            for number in range(lines):
                file.write(f"row {number} of a corpus, " * 4 + "\n")
        documents = open_documents(source, unit="line")
        tracemalloc.start()
        try:
            header = encode_to_file(documents, ByteVocabulary(), path)
            windows = Windows(open_stream(path, ByteVocabulary()), rows=4, size=64)
            symbols = sum(int(window.inputs.numel()) for window in windows)
            assert header.count - 5 <= symbols <= header.count - 1
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(100)  # what is imported and cached once
    small, large = peak(4_000), peak(24_000)  # 0.4 and 2.5 million symbols, of two bytes each
    assert large < small + 500_000
    assert large < 3_500_000


TEXT = "The cat, and the dog: a  cat (again)."
KEPT = {"right": {4: "The cat, and ", 1: "The "}, "left": {4: " (again).", 1: "."}}


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("size", [1, 4])
def test_a_truncated_document_has_the_characters_that_are_left(
    path: Path, side: Any, size: int
) -> None:
    words = WordVocabulary.of(["the cat and"], normalizer=Normalizer(True))
    header = encode_to_file([TEXT, "a"], words, path, maximum=size, truncate=side)
    left = KEPT[side][size]
    assert known(path) == [*words.encode(left), 0]
    assert (header.characters, header.truncated) == (len(left) + 1, 1)
    header = encode_to_file([TEXT], CharacterVocabulary.of([TEXT]), path, maximum=9, truncate=side)
    assert header.characters == header.count - 2 == 9
    # A character of two bytes is not cut in two.
    header = encode_to_file(["äöü"], ByteVocabulary(), path, maximum=5, truncate=side)
    assert (header.characters, header.count - 2) == (2, 4)


@pytest.mark.parametrize("limit", [1, 3, 4, 5, 6])
def test_no_more_is_encoded_than_asked(path: Path, limit: int) -> None:
    header = encode_to_file(["abc", "", "ab", "c"], LETTERS, path, limit=limit)
    assert known(path) == [3, 4, 5, 3, 4, 5][:limit]
    assert header.characters == limit


@pytest.mark.parametrize(
    "wrong", [{"maximum": 0}, {"maximum": -1}, {"limit": 0}, {"truncate": "up"}], ids=str
)
def test_a_length_that_cannot_be(path: Path, wrong: Any) -> None:
    with pytest.raises(SettingError, match=next(iter(wrong))):
        encode_to_file(["abc"], LETTERS, path, **wrong)
    assert files(path.parent) == set()
