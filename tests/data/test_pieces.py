"""Texts piece by piece: the same text, the same symbols and the same parts as whole."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from splitting import split_documents

from recurra.data import (
    BytePairVocabulary,
    ByteVocabulary,
    CharacterVocabulary,
    Document,
    Normalizer,
    Vocabulary,
    WordVocabulary,
    divide,
    encode_to_file,
    hash_part,
    open_documents,
    open_stream,
    read_pieces,
    read_text,
    readers,
)
from recurra.errors import DataError, SettingError

# Runs of every white space, line ends of all kinds, and what byte pairs and words take together.
ALPHABET = ["\r", "\n", " ", "\t", "\x1f", "\u2028", "a", "b's", "é", "Σ", "!", ".", "3", "𝄞"]
texts = st.lists(st.sampled_from(ALPHABET), max_size=40).map("".join)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "_CHUNK", 4)


def pieces_of(text: str, size: int) -> list[str]:
    """Pieces as they are read, with a place to end looked for after every two characters."""

    def chunks(path: Path, encoding: str, nul: bool) -> Iterator[str]:
        yield from (text[at : at + 2] for at in range(0, len(text), 2))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "_chunks", chunks)
        return list(read_pieces("", size=size))


def as_pieces(text: str, size: int, number: int = 0) -> list[Document]:
    parts = pieces_of(text, size)
    return [Document(part, f"document {number}", goes_on=n > 0) for n, part in enumerate(parts)]


# ------------------------------------------------------------------------------------------- text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "latin-1"])
@settings(max_examples=40, deadline=None)
@given(text=texts, chunk=st.integers(1, 9), size=st.integers(1, 30))
def test_pieces_are_the_file(
    tmp_path_factory: pytest.TempPathFactory, encoding: str, text: str, chunk: int, size: int
) -> None:
    file = tmp_path_factory.getbasetemp() / "pieces.txt"
    kept = text if encoding != "latin-1" else text.encode("latin-1", "ignore").decode("latin-1")
    file.write_bytes(kept.encode(encoding))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "_CHUNK", chunk)
        pieces = list(read_pieces(file, encoding=encoding, size=size))
    assert "".join(pieces) == read_text(file, encoding=encoding)
    assert "" not in pieces
    for before, after in pairwise(pieces):
        assert not before[-1].isspace()
        assert after[0].isspace()
        assert not after[1].isspace()


def test_pieces_by_hand() -> None:
    assert pieces_of("ab cde fg", 5) == ["ab", " cde", " fg"]
    assert pieces_of("ab\ncde\nfg", 5) == ["ab", "\ncde", "\nfg"]
    assert pieces_of("ab\n\ncd  ef\t\tgh", 4) == ["ab\n\ncd  ef\t\tgh"]
    assert pieces_of("ab\x1fcd\x1fef", 4) == ["ab\x1fcd\x1fef"]


@pytest.mark.parametrize("word", ["", "palace "])
def test_one_line_of_ten_megabytes(tmp_path: Path, word: str) -> None:
    file = tmp_path / "line.txt"
    line = "x" * 10_000_000 if not word else word * (10_000_000 // len(word))
    file.write_text(line)
    tracemalloc.start()
    count, longest = 0, 0
    for piece in read_pieces(file):
        assert line.startswith(piece, count)
        count, longest = count + len(piece), max(longest, len(piece))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == len(line)
    if word:
        assert longest < 1 << 20
        assert peak < 5_000_000
    else:
        assert peak < 4 * len(line)


def test_a_long_word_before_many_short_ones() -> None:
    text = "x" * 4000 + " ab" * 20_000 + "  " + "y" * 2000
    pieces = pieces_of(text, 100)
    assert "".join(pieces) == text
    assert len(pieces[0]) <= 16_000
    assert max(map(len, pieces[1:-1])) <= 200


def test_what_is_wrong_is_said_where_it_is_reached(tmp_path: Path, small_chunks: None) -> None:
    file = tmp_path / "wrong.txt"
    file.write_bytes(b"one\ntwo three\r\nfour \xff five")
    read = read_pieces(file, size=4)
    assert next(read) == "one"
    with pytest.raises(DataError, match=r"wrong\.txt: line 3, byte 20 \(0xff\) is not utf-8"):
        list(read)
    file.write_bytes(b"one two\0")
    with pytest.raises(DataError, match="NUL byte at byte 7"):
        list(read_pieces(file))


def test_a_file_in_pieces_is_one_document(tmp_path: Path, small_chunks: None) -> None:
    file = tmp_path / "some.txt"
    file.write_text("word " * 200_000)
    (tmp_path / "other.txt").write_text("other")
    documents = list(open_documents(tmp_path, pieces=True))
    own = [d for d in documents if d.fields["file"] == "some"]
    assert len(own) > 2
    assert [d.goes_on for d in own] == [False] + [True] * (len(own) - 1)
    assert "".join(d.text for d in own) == read_text(file)
    assert [d.goes_on for d in documents if d.fields["file"] == "other"] == [False]


# ---------------------------------------------------------------------------------------- symbols


def byte_pairs() -> BytePairVocabulary:
    pytest.importorskip("tokenizers")
    likely = [
        "a",
        " a",
        "a a",
        "b's a",
        " b's",
        "é é",
        " é",
        "!!",
        " !",
        "\x1f!",
        "a\na",
        "..",
        "  ",
    ]
    return BytePairVocabulary.of([part * 20 for part in likely], 320)


def words(breaks: Any, *, lower: bool = False) -> WordVocabulary:
    rules = Normalizer(breaks=breaks, lower=lower)
    return WordVocabulary.of(["a b's é ! . 3 a3 aΣ σ aς \n\n a"], normalizer=rules)


VOCABULARIES = {
    "characters": lambda: CharacterVocabulary("\n ab'é!.3"),
    "bytes": ByteVocabulary,
    "words": lambda: words("none"),
    "lower words": lambda: words("none", lower=True),
    "words and lines": lambda: words("lines"),
    "words and paragraphs": lambda: words("paragraphs"),
    "byte pairs": byte_pairs,
}


@pytest.fixture(scope="module", params=VOCABULARIES)
def vocabulary(request: pytest.FixtureRequest) -> Vocabulary:
    return VOCABULARIES[request.param]()


@settings(max_examples=150, deadline=None)
@given(text=texts, size=st.integers(1, 12))
def test_encoded_piecewise_as_whole(vocabulary: Vocabulary, text: str, size: int) -> None:
    whole = vocabulary.encode(text)
    found = [vocabulary.encode(piece) for piece in pieces_of(text, size)]
    assert np.concatenate([whole[:0], *found]).tolist() == whole.tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(texts, min_size=1, max_size=4), st.integers(1, 12))
def test_a_stream_of_pieces_is_that_of_the_documents(
    tmp_path_factory: pytest.TempPathFactory, some: list[str], size: int
) -> None:
    made, path = words("paragraphs"), tmp_path_factory.getbasetemp() / "pieces.ids"
    kept = [text for text in some if text]
    if not kept:
        return
    whole = encode_to_file(kept, made, path)
    ids = open_stream(path).tolist()
    pieces = [piece for n, text in enumerate(kept) for piece in as_pieces(text, size, n)]
    assert encode_to_file(pieces, made, path) == whole  # its fingerprint of the texts too
    assert open_stream(path).tolist() == ids


def test_a_first_piece_that_goes_on_begins_a_document(tmp_path: Path) -> None:
    pieces = [Document("ab", "x", goes_on=True), Document("c", "x", goes_on=True)]
    header = encode_to_file(pieces, CharacterVocabulary("abc"), tmp_path / "some.ids")
    assert header.documents == 1
    assert open_stream(tmp_path / "some.ids").tolist() == [1, 3, 4, 5, 1]


@pytest.mark.parametrize(
    ("side", "expected"), [("right", [1, 3, 4, 5, 1, 6, 1]), ("left", [1, 5, 6, 7, 1, 6, 1])]
)
def test_pieces_are_truncated_together(tmp_path: Path, side: Any, expected: list[int]) -> None:
    pieces = [Document("ab", "x"), Document("cd", "x", goes_on=True)]
    pieces += [Document("e", "x", goes_on=True), Document("d", "y")]
    path = tmp_path / "some.ids"
    header = encode_to_file(pieces, CharacterVocabulary("abcde"), path, maximum=3, truncate=side)
    assert open_stream(path).tolist() == expected
    assert (header.documents, header.truncated, header.count) == (2, 1, 7)


def test_a_limit_is_reached_inside_a_piece(tmp_path: Path) -> None:
    pieces = [Document("abc", "x"), *[Document("abc", "x", goes_on=True)] * 9]
    header = encode_to_file(pieces, CharacterVocabulary("abc"), tmp_path / "some.ids", limit=7)
    assert (header.count, header.characters, header.documents) == (9, 7, 1)
    assert open_stream(tmp_path / "some.ids").tolist() == [1, 3, 4, 5, 3, 4, 5, 3, 1]


# ------------------------------------------------------------------------------------------ parts

divided = st.lists(texts.filter(bool), min_size=1, max_size=5).filter(
    lambda some: sum(map(len, some)) >= 20
)
kinds = st.sampled_from(["tail", "tails", "blocks"])


def parts_of(documents: list[Document], lengths: list[int], **how: Any) -> list[tuple[str, str]]:
    """Every stretch of a document that stays in one part."""
    found: list[tuple[str, str]] = []
    for name, document in divide(documents, lengths, **how):
        if document.goes_on:
            assert found[-1][0] == name
            found[-1] = (name, found[-1][1] + document.text)
        else:
            found.append((name, document.text))
    return found


@settings(max_examples=300, deadline=None)
@given(divided, kinds, st.integers(1, 12), st.booleans(), st.booleans())
def test_pieces_are_divided_as_the_whole(
    some: list[str], kind: Any, size: int, validation: bool, whole_words: bool
) -> None:
    lengths = [len(text) for text in some]
    how = {"kind": kind, "block": 2, "validation": validation, "whole_words": whole_words}
    documents = [Document(text, f"document {n}") for n, text in enumerate(some)]
    pieces = [piece for n, text in enumerate(some) for piece in as_pieces(text, size, n)]
    whole = parts_of(documents, lengths, **how)
    assert parts_of(pieces, lengths, **how) == whole
    assert "".join(text for _, text in whole) == "".join(some)
    if whole_words:
        cut = "|".join(text for _, text in whole)
        for place in (n for n, character in enumerate(cut) if character == "|"):
            inside = not cut[place - 1].isspace() and not cut[place + 1].isspace()
            assert not inside or cut[:place].replace("|", "") in before_each(some)


def before_each(some: list[str]) -> list[str]:
    """The text up to the end of each document."""
    return ["".join(some[: n + 1]) for n in range(len(some))]


@settings(max_examples=100, deadline=None)
@given(divided, st.integers(1, 12))
def test_whole_words_are_the_same_symbols(some: list[str], block: int) -> None:
    made = byte_pairs(), words("paragraphs")
    lengths = [len(text) for text in some]
    if sum(lengths) < 10 * block:
        return
    documents = [Document(text, "x") for text in some]
    split = list(divide(documents, lengths, kind="blocks", block=block, whole_words=True))
    for vocabulary in made:
        found = [vocabulary.encode(document.text) for _, document in split]
        want = [vocabulary.encode(text) for text in some]
        assert np.concatenate(found).tolist() == np.concatenate(want).tolist()


def test_whole_words_keep_a_break_at_the_end() -> None:
    # The cut at 18 falls into the white space, behind which no other begins.
    text = "aaaa aaaa aaaaaa\n\n\n\n"
    split = list(divide([Document(text, "x")], [20], whole_words=True))
    assert [(name, document.text) for name, document in split if name != "training"] == [
        ("validation", "\n\n\n\n")
    ]
    assert "".join(document.text for _, document in split) == text


def test_tails_are_of_each_document() -> None:
    some = ["abcdefghij" * 2, "klmnopqrst"]
    documents = [Document(text, text[:1], {"n": n}) for n, text in enumerate(some)]
    found = list(divide(documents, [20, 10], kind="tails"))
    for name, expected in {
        "training": ["abcdefghijabcdef", "klmnopqr"],
        "validation": ["gh", "s"],
        "test": ["ij", "t"],
    }.items():
        own = [document for of, document in found if of == name]
        for number, text in enumerate(expected):
            assert "".join(d.text for d in own if d.fields["n"] == number) == text
            assert [d.goes_on for d in own if d.fields["n"] == number][:1] == [False]
    assert split_documents(some, kind="tails").test == ["ij", "t"]


def test_a_hash_sorts_whole_documents() -> None:
    some = [f"line {number % 50}" for number in range(200)]
    found = list(divide([Document(t, "x") for t in some], [], kind="hash", validation=False))
    assert [(name, document.text) for name, document in found] == [
        (hash_part(text, validation=False), text) for text in some
    ]
    split = split_documents(some, kind="hash")
    sides = [set(part) for part in split]
    assert sum(map(len, sides)) == len(set().union(*sides)) == 50
    pieces = [Document("ab", "the place"), Document("c", "the place", goes_on=True)]
    with pytest.raises(SettingError, match="whole documents, got a piece of the place"):
        list(divide(pieces, [3], kind="hash"))
