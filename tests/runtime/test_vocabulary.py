"""Vocabularies: text to ids and back, whole and piece by piece."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra_runtime.vocabulary import (
    END,
    RESERVED,
    START,
    UNKNOWN,
    ByteVocabulary,
    CharacterVocabulary,
    LabelVocabulary,
    Normalizer,
    WordVocabulary,
    front_names,
    front_origin,
    kinds,
    register_front,
    vocabulary_from_json,
)

some = settings(max_examples=60, deadline=None)
BYTES = ByteVocabulary()
LETTERS = CharacterVocabulary("ba😀é")
WORDS = WordVocabulary(["the", ",", "Cat", "\n\n", "."], Normalizer(breaks="paragraphs"))


def test_reserved_ids() -> None:
    assert (UNKNOWN, START, END) == (0, 1, 2)
    assert RESERVED == ("<unk>", "<s>", "</s>")
    for vocabulary in (BYTES, LETTERS, CharacterVocabulary([]), WORDS, WordVocabulary([])):
        assert [vocabulary.symbol(i) for i in range(3)] == ["<unk>", "<s>", "</s>"]


# ------------------------------------------------------------------------------------ characters


def test_characters_by_hand() -> None:
    assert len(LETTERS) == 7
    ids = LETTERS.encode("ab😀éxba\n")
    assert ids.tolist() == [4, 3, 5, 6, UNKNOWN, 3, 4, UNKNOWN]
    assert ids.dtype == np.int64
    assert LETTERS.encode("").tolist() == []
    assert LETTERS.encode("").dtype == np.int64
    assert LETTERS.decode([START, 4, UNKNOWN, 5, END, 3]) == "a\ufffd😀b"
    assert [LETTERS.symbol(i) for i in range(3, 7)] == ["b", "a", "😀", "é"]


def test_characters_of_texts_are_sorted() -> None:
    made = CharacterVocabulary.of(["cab", "", "b😀\n", "é"])
    assert made.characters == ("\n", "a", "b", "c", "é", "😀")
    assert CharacterVocabulary.of([]).characters == ()


@some
@given(st.text(), st.text())
def test_characters_round_trip(text: str, other: str) -> None:
    known = CharacterVocabulary.of([text])
    ids = known.encode(text)
    assert len(ids) == len(text)
    assert known.decode(ids) == text
    assert known.decode(ids.tolist()) == text
    assert all(i >= len(RESERVED) for i in ids)
    assert len(known) == len(set(text)) + 3
    seen = known.encode(other)
    assert [i == UNKNOWN for i in seen] == [character not in text for character in other]
    assert known.decode(seen) == "".join(c if c in text else "\ufffd" for c in other)


@some
@given(st.permutations("abcxyz😀é\n\0"))
def test_characters_keep_the_order_given(characters: list[str]) -> None:
    made = CharacterVocabulary(characters)
    assert made.encode("".join(characters)).tolist() == list(range(3, 13))


def test_a_lone_surrogate_is_a_character() -> None:
    odd = "a\ud800"
    made = CharacterVocabulary.of([odd])
    assert made.decode(made.encode(odd)) == odd
    assert made.encode("\udfff").tolist() == [UNKNOWN]


def test_characters_written_one_by_one() -> None:
    write = LETTERS.writer()
    assert [write(i) for i in (START, 4, 5, UNKNOWN, END)] == ["", "a", "😀", "\ufffd", ""]


# ----------------------------------------------------------------------------------------- bytes


def test_bytes_by_hand() -> None:
    assert len(BYTES) == 259
    ids = BYTES.encode("aé\0")
    assert ids.tolist() == [0x61 + 3, 0xC3 + 3, 0xA9 + 3, 3]
    assert ids.dtype == np.int64
    assert BYTES.encode("").tolist() == []
    assert BYTES.decode([START, 0xC3 + 3, 0xA9 + 3, END, UNKNOWN]) == "é"
    assert BYTES.decode([0xC3 + 3, 0x61 + 3, 0xFF + 3]) == "\ufffda\ufffd"
    assert (BYTES.symbol(3), BYTES.symbol(0x61 + 3), BYTES.symbol(258)) == ("0x00", "0x61", "0xff")


@some
@given(st.text())
def test_bytes_round_trip(text: str) -> None:
    ids = BYTES.encode(text)
    assert ids.tolist() == [byte + 3 for byte in text.encode()]
    assert BYTES.decode(ids) == text


@some
@given(st.text())
def test_bytes_written_one_by_one(text: str) -> None:
    write = BYTES.writer()
    for character in text:
        *before, last = character.encode()
        assert [write(byte + 3) for byte in before] == [""] * len(before)
        assert write(START) == ""  # a reserved id in the middle of a character disturbs nothing
        assert write(last + 3) == character


def test_writers_do_not_share_what_they_have_begun() -> None:
    first, second = BYTES.writer(), BYTES.writer()
    assert first(0xC3 + 3) == ""
    assert second(0x61 + 3) == "a"
    assert first(0xA9 + 3) == "é"


def test_writer_puts_a_mark_for_bytes_that_are_no_text() -> None:
    write = BYTES.writer()
    assert [write(byte + 3) for byte in (0xFF, 0x61, 0xC3, 0x61)] == ["\ufffd", "a", "", "\ufffda"]


# ------------------------------------------------------------------------------------------- raw


@pytest.mark.parametrize(
    ("vocabulary", "raw"),
    [
        (
            CharacterVocabulary("aé😀\ud800"),
            [b"a", b"\xc3\xa9", b"\xf0\x9f\x98\x80", b"\xed\xa0\x80"],
        ),
        (LabelVocabulary(["War and Peace", "", "é"]), [b"War and Peace", b"", b"\xc3\xa9"]),
        (BYTES, [bytes([value]) for value in range(256)]),
        (WORDS, [b"the", b",", b"Cat", b"\n\n", b"."]),
        (WordVocabulary(["0x61", "é\ud800"]), [b"0x61", b"\xc3\xa9\xed\xa0\x80"]),
    ],
)
def test_bytes_of_symbols_by_hand(vocabulary: Any, raw: list[bytes]) -> None:
    assert [vocabulary.raw(i) for i in range(len(vocabulary))] == [b"", b"", b"", *raw]
    assert vocabulary.raw(np.int64(3)) == raw[0]


@some
@given(st.text())
def test_bytes_of_symbols_are_those_of_the_text(text: str) -> None:
    for vocabulary in (CharacterVocabulary.of([text]), LabelVocabulary([text]), BYTES):
        assert b"".join(vocabulary.raw(int(i)) for i in vocabulary.encode(text)) == text.encode()


# ------------------------------------------------------------------------------------------ json


@some
@given(st.text())
def test_json_round_trip(text: str) -> None:
    made = CharacterVocabulary.of([text])
    back = vocabulary_from_json(json.loads(json.dumps(made.to_json())))
    assert isinstance(back, CharacterVocabulary)
    assert back.characters == made.characters
    assert back.encode(text).tolist() == made.encode(text).tolist()


def test_surrogates_do_not_join_in_a_file() -> None:
    made = CharacterVocabulary(["\ud83d", "\ude00", "\U0001f600"])
    back = vocabulary_from_json(json.loads(json.dumps(made.to_json())))
    assert back.encode("\U0001f600").tolist() == [5]


@pytest.mark.parametrize(
    "made", [LETTERS, BYTES, WORDS, LabelVocabulary("ab")], ids=lambda made: made.kind
)
def test_a_class_reads_what_it_wrote(made: Any) -> None:
    back = type(made).from_json(json.loads(json.dumps(made.to_json())))
    assert type(back) is type(made)
    assert back.to_json() == made.to_json()
    assert type(vocabulary_from_json(made.to_json())) is type(made)


def test_an_unknown_kind_is_told_all_kinds() -> None:
    known = "'characters', 'bytes', 'words', 'byte-pairs', 'labels', 'classes'"
    with pytest.raises(ValueError, match=f"a kind among {known}.*, got 'syllables'"):
        vocabulary_from_json({"kind": "syllables"})


@pytest.fixture
def kinds_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "_KINDS", dict(kinds._KINDS))


def front(name: str = "Own", module: str = "mine", **methods: Any) -> Any:
    """A class of a front."""
    known = {"to_json": lambda self: {}, "from_json": classmethod(lambda cls, data: cls())}
    return type(name, (), {"__module__": module, **known, **methods})


@pytest.mark.usefixtures("kinds_of_the_test")
def test_a_front_of_ones_own_is_read_by_its_name() -> None:
    cls = register_front("own")(front())
    assert cls.kind == "own"
    assert type(vocabulary_from_json({"kind": "own"})) is cls
    assert "own" in front_names()
    assert front_origin(cls()) == "mine.Own"
    assert front_origin(LETTERS).endswith("characters.CharacterVocabulary")
    with pytest.raises(ValueError, match=r"'own' is taken by mine\.Own; choose another"):
        register_front("own")(front("Other"))
    again = register_front("own")(front())  # its module was loaded again, and changed perhaps
    assert type(vocabulary_from_json({"kind": "own"})) is again
    assert front_origin(cls()) == "mine.Own"


@pytest.mark.usefixtures("kinds_of_the_test")
def test_what_is_no_front_is_not_registered() -> None:
    for name in ("", " own", 3, None):
        with pytest.raises(ValueError, match="register_front: expected a name such as"):
            register_front(name)  # type: ignore[arg-type]
    for method in ("to_json", "from_json"):
        with pytest.raises(ValueError, match=rf"expected mine\.Own to have {method}"):
            register_front("own")(front(**{method: None}))
    with pytest.raises(ValueError, match="'words' is taken by recurra_runtime"):
        register_front("words")(front())
    assert "own" not in front_names()
    with pytest.raises(ValueError, match=r"front: mine\.Own is not registered"):
        front_origin(front()())
    named = front(kind="words")  # which would come back as another class
    with pytest.raises(ValueError, match=r"front: mine\.Own is not registered"):
        front_origin(named())


def test_json_by_hand() -> None:
    assert LETTERS.to_json() == {"kind": "characters", "characters": ["b", "a", "😀", "é"]}
    assert BYTES.to_json() == {"kind": "bytes"}
    assert isinstance(vocabulary_from_json({"kind": "bytes"}), ByteVocabulary)
    back = vocabulary_from_json({"kind": "characters", "characters": ["b", "a"]})
    assert back.encode("ab").tolist() == [4, 3]


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "bytes",
        {},
        {"kind": "words"},
        {"kind": "words", "words": "ab", "normalizer": {}},
        {"kind": "words", "words": ["ab"]},
        {"kind": "words", "words": ["ab"], "normalizer": {"lower": False}},
        {
            "kind": "words",
            "words": ["A"],
            "normalizer": {"lower": True, "punctuation": True, "breaks": "none"},
        },
        {"kind": "byte-pairs"},
        {"kind": "byte-pairs", "tokenizer": "{}"},
        {"kind": "syllables"},
        {"kind": ["bytes"]},
        {"kind": None},
        {"kind": "characters"},
        {"kind": "characters", "characters": "ab"},
        {"kind": "characters", "characters": ["ab"]},
        {"kind": "characters", "characters": ["a", "a"]},
        {"kind": "characters", "characters": [1]},
    ],
)
def test_json_of_another_shape(data: Any) -> None:
    with pytest.raises(ValueError, match=r"^vocabulary: expected"):
        vocabulary_from_json(data)


# ---------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("characters", "message"),
    [
        (["a", "bc"], "expected single characters, got 'bc' at 1"),
        ([""], "expected single characters, got '' at 0"),
        ([7], "expected single characters, got 7 at 0"),
        ("aba", "each character once"),
    ],
)
def test_characters_that_are_refused(characters: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CharacterVocabulary(characters)


@pytest.mark.parametrize(
    "vocabulary", [BYTES, LETTERS, WORDS], ids=["bytes", "characters", "words"]
)
@pytest.mark.parametrize("over", [True, False])
def test_ids_out_of_range(vocabulary: Any, over: bool) -> None:
    index = len(vocabulary) if over else -1
    uses: list[Callable[[], Any]] = [
        lambda: vocabulary.decode([3, index]),
        lambda: vocabulary.writer()(index),
        lambda: vocabulary.symbol(index),
        lambda: vocabulary.raw(index),
    ]
    for use in uses:
        with pytest.raises(ValueError, match=f"expected 0 to {len(vocabulary) - 1}, got {index}"):
            use()
