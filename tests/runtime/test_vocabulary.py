"""Vocabularies: text to ids and back, whole and piece by piece."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
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
    BytePairVocabulary,
    ByteVocabulary,
    CharacterVocabulary,
    Normalizer,
    WordVocabulary,
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


# ----------------------------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("settings", "text", "words"),
    [
        ({}, "Hello, World! (Yes.)", "Hello , World ! ( Yes . )"),
        ({"lower": True}, "Hello, ÉTÉ", "hello , été"),
        ({"punctuation": False}, "Hello, World\n\n(x)\t y ", "Hello, World (x) y"),
        ({}, "don't I’ll 'tis o’ rock-n-roll", "don't I’ll ' tis o ’ rock - n - roll"),
        ({}, "1,000.5 3.14. a.b 5, 6", "1,000.5 3.14 . a . b 5 , 6"),
        ({}, "$5 _so_ a+b «x» 😀😀", "$ 5 _ so _ a + b « x » 😀 😀"),
        ({}, "हिन्दी, ภาษา", "हिन्दी , ภาษา"),  # with vowel signs that are no letters
        ({}, "a <unk>b <s> </s>", "a <unk> b < s > < / s >"),
        ({"punctuation": False}, "a <unk> <s>", "a <unk> <s>"),
        ({"breaks": "none"}, "a\n\nb\nc", "a b c"),
        ({"breaks": "lines"}, "a\n\nb\n c", "a \n \n b \n c"),
        ({"breaks": "paragraphs"}, "a\nb \n \t\n\n  c\n\n", "a b \n\n c \n\n"),
        ({"breaks": "paragraphs", "punctuation": False}, "\n\na b.\n\nc", "\n\n a b. \n\n c"),
        ({}, " \t\n\u3000", ""),
    ],
)
def test_normalizer_by_hand(settings: dict[str, Any], text: str, words: str) -> None:
    assert Normalizer(**settings).split(text) == (words.split(" ") if words else [])


@pytest.mark.parametrize(
    "text",
    [
        'He said: "Yes, I know (well, nearly)." She didn\'t.',
        "“Well, Prince—so ‘Genoa’ is now $5,000!” the well-known man’s reply; 50% of it…",
        "_Italics_ and *stars*, 'quoted' and \"quoted\".",
        'One <unk> more.\n\n"A new paragraph\n\n"opens anew."',
    ],
)
def test_decoded_words_read_as_they_were_written(text: str) -> None:
    made = WordVocabulary.of([text], normalizer=Normalizer(breaks="paragraphs"))
    assert made.decode([START, *made.encode(text), END]) == text


def test_words_by_hand() -> None:
    assert len(WORDS) == 8
    ids = WORDS.encode("the dog, the Cat\n \nThe.")
    assert ids.tolist() == [3, UNKNOWN, 4, 3, 5, 6, UNKNOWN, 7]
    assert ids.dtype == np.int64
    assert WORDS.decode(ids) == "the <unk>, the Cat\n\n<unk>."
    assert WORDS.encode("").tolist() == []
    assert WORDS.encode("").dtype == np.int64
    assert WORDS.encode("<unk>the").tolist() == [UNKNOWN, 3]
    assert [WORDS.symbol(i) for i in range(3, 8)] == ["the", ",", "Cat", "¶", "."]
    write = WORDS.writer()
    written = [write(i) for i in (START, 3, UNKNOWN, 4, 3, 6, 5, END)]
    assert written == ["", "the", " <unk>", ",", " the", "\n\n", "Cat", ""]


def test_words_of_texts_by_count() -> None:
    texts = ["b a a c", "a b\n\nd <unk> <unk>"]
    rules = Normalizer(breaks="paragraphs")
    made = WordVocabulary.of(iter(texts), minimum=2, normalizer=rules)
    # A break is known however rare it is, and what stands for unknown words is no word.
    assert set(made.words) == {"a", "b", "\n\n"}
    assert made.words[0] == "\n\n"
    assert [made.symbol(i) for i in made.encode("a b c d")] == ["a", "b", "<unk>", "<unk>"]
    assert WordVocabulary.of(texts).words == ("a", "b", "c", "d")
    assert WordVocabulary.of("a b b").words == ("b", "a")
    assert WordVocabulary.of([], normalizer=rules).words == ("\n\n",)
    lower = WordVocabulary.of(["The the THE cat"], minimum=2, normalizer=Normalizer(lower=True))
    assert lower.words == ("the",)
    assert lower.encode("THE Cat").tolist() == [3, UNKNOWN]
    with pytest.raises(ValueError, match="minimum of at least 1, got 0"):
        WordVocabulary.of(texts, minimum=0)


RULES = st.builds(
    Normalizer,
    lower=st.booleans(),
    punctuation=st.booleans(),
    breaks=st.sampled_from(["none", "lines", "paragraphs"]),
)
PROSE = st.lists(
    st.sampled_from(
        [*"aBé12.,;:!?()[]\"'_*“”‘’—-–/$%<>&😀\u0301ß \n\t", "  ", "\n\n", "<unk>", "Wort"]
    ),
    max_size=25,
).map("".join)


@settings(max_examples=400, deadline=None)
@given(PROSE, PROSE, RULES)
def test_decoded_words_fall_into_the_same_words(text: str, other: str, rules: Normalizer) -> None:
    made = WordVocabulary.of([text], normalizer=rules)
    ids = made.encode(text)
    assert made.encode(made.decode(ids)).tolist() == ids.tolist()
    seen = made.encode(other)
    assert made.encode(made.decode(seen)).tolist() == seen.tolist()
    words = rules.split(other)
    assert [made.symbol(i) for i in seen] == [
        ("¶" if word == rules.mark else word) if word in made.words else "<unk>" for word in words
    ]
    # Nothing but white space is lost.
    whole = other.lower() if rules.lower else other
    assert "".join("".join(words).split()) == "".join(whole.split())
    back = vocabulary_from_json(json.loads(json.dumps(made.to_json(), sort_keys=True)))
    assert isinstance(back, WordVocabulary)
    assert (back.words, back.normalizer) == (made.words, rules)
    assert back.encode(other).tolist() == seen.tolist()


@pytest.mark.parametrize("unit", ["x", "'", "a'", "\n", " ", "\n ", "1,", "<unk", "é-"])
def test_words_of_a_huge_line_take_no_longer_than_its_length(unit: str) -> None:
    rules = Normalizer(lower=True, breaks="paragraphs")
    times = []
    for size in (30_000, 240_000):
        text = unit * size
        started = time.process_time()
        rules.split(text)
        times.append(time.process_time() - started)
    # Eight times the text; if it were quadratic, 64 times the time.
    assert times[1] < 24 * times[0] + 0.2


@pytest.mark.parametrize(
    ("words", "rules", "message"),
    [
        (["a", "b", "a"], {}, "each word once"),
        (["a", "<s>"], {}, "none reserved, got '<s>'"),
        (["a", 7], {}, "expected words, none reserved, got 7"),
        (["a", "b c"], {}, "makes them, got 'b c'"),
        (["a", ""], {}, "makes them, got ''"),
        (["a", "A"], {"lower": True}, "makes them, got 'A'"),
        (["a."], {}, r"makes them, got 'a\.'"),
        (["\n\n"], {"breaks": "lines"}, "makes them"),
    ],
)
def test_words_that_are_refused(words: Any, rules: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WordVocabulary(words, Normalizer(**rules))


@pytest.mark.parametrize(
    "settings", [{"breaks": "pages"}, {"breaks": None}, {"lower": 1}, {"punctuation": "yes"}]
)
def test_normalizers_that_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^normalizer: expected"):
        Normalizer(**settings)


# ------------------------------------------------------------------------------------ byte pairs

PAIR_TEXTS = ["the cat sat on the mat, the cat sat.\n", "été: the hat and the cat 😀\n"] * 20


@pytest.fixture(scope="module")
def pairs() -> BytePairVocabulary:
    pytest.importorskip("tokenizers", reason="the extra `tokens` is not installed")
    return BytePairVocabulary.of(iter(PAIR_TEXTS), 280)


def test_byte_pairs_by_hand(pairs: BytePairVocabulary) -> None:
    assert len(pairs) == 280
    shown = [pairs.symbol(i) for i in pairs.encode("the cat sat")]
    assert shown == ["the", " cat", " sat"]
    assert pairs.encode("the").dtype == np.int64
    assert pairs.encode("").tolist() == []
    assert [pairs.symbol(i) for i in range(3)] == list(RESERVED)
    assert "0xff" in [pairs.symbol(i) for i in range(len(pairs))]
    assert pairs.decode([START, *pairs.encode("été"), UNKNOWN, END]) == "été"
    assert len(BytePairVocabulary.of(PAIR_TEXTS, 259)) == 259
    # Little text has fewer pairs than were asked for.
    assert 259 < len(BytePairVocabulary.of("ab ab ab", 400)) < 270


def test_byte_pairs_are_the_same_every_time(pairs: BytePairVocabulary) -> None:
    assert BytePairVocabulary.of(PAIR_TEXTS, 280).to_json() == pairs.to_json()


def test_reserved_names_in_a_text_are_text(pairs: BytePairVocabulary) -> None:
    ids = pairs.encode("<s>the</s><unk>")
    assert min(ids) >= len(RESERVED)
    assert pairs.decode(ids) == "<s>the</s><unk>"


@some
@given(text=st.text(st.sampled_from("the catsé😀\n\t <>\0\u3000"), max_size=30) | st.text())
def test_byte_pairs_round_trip(pairs: BytePairVocabulary, text: str) -> None:
    ids = pairs.encode(text)
    assert pairs.decode(ids) == text
    write = pairs.writer()
    assert "".join(write(int(i)) for i in ids) == text
    assert all(len(RESERVED) <= i < len(pairs) for i in ids)


def test_byte_pairs_of_a_lone_surrogate(pairs: BytePairVocabulary) -> None:
    assert pairs.decode(pairs.encode("a\ud800b")) == "a\ufffdb"
    assert len(BytePairVocabulary.of(["a\ud800b"], 300)) >= 259


def test_byte_pairs_from_json(pairs: BytePairVocabulary) -> None:
    told = json.dumps(pairs.to_json(), sort_keys=True)
    back = vocabulary_from_json(json.loads(told))
    assert isinstance(back, BytePairVocabulary)
    for text in PAIR_TEXTS[:2]:
        assert back.encode(text).tolist() == pairs.encode(text).tolist()
    assert back.to_json() == pairs.to_json()


def test_an_error_of_the_texts_comes_through(pairs: BytePairVocabulary) -> None:
    def texts() -> Iterator[str]:
        yield "fine"
        raise LookupError("line 7 is broken")

    with pytest.raises(LookupError, match="line 7 is broken"):
        BytePairVocabulary.of(texts(), 300)


@pytest.mark.parametrize("size", [-1, 0, 258])
def test_more_byte_pairs_than_asked_for_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"size of at least 259, .* got {size}"):
        BytePairVocabulary.of(PAIR_TEXTS, size)


def test_tokenizers_of_another_kind_are_refused(pairs: BytePairVocabulary) -> None:
    def changed(**fields: Any) -> dict[str, Any]:
        return {**pairs.to_json()["tokenizer"], **fields}

    model = changed()["model"]
    special = {"id": 277, "content": "<eot>", "special": True}
    flags = dict.fromkeys(["single_word", "lstrip", "rstrip", "normalized"], False)
    cut = {"max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    gap = {piece: index + (index == 276) for piece, index in model["vocab"].items()}
    few = {piece: index for piece, index in model["vocab"].items() if index < 200}
    BytePairVocabulary(changed())
    for data, message in [
        (changed(added_tokens=[{**special, **flags}]), "got another"),
        (changed(truncation=cut), "got another"),
        (changed(model={**model, "vocab": gap}), "got another"),
        (changed(model={**model, "vocab": few, "merges": []}), "got another"),
        (changed(model={"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}), "got another"),
        (changed(model=None), r"expected a tokenizer's JSON \("),
        ({}, r"expected a tokenizer's JSON \("),
    ]:
        with pytest.raises(ValueError, match=message):
            BytePairVocabulary(data)


def test_byte_pairs_without_their_library(
    pairs: BytePairVocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = pairs.to_json()
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    for make in (lambda: BytePairVocabulary.of(["a"], 300), lambda: vocabulary_from_json(told)):
        with pytest.raises(ValueError, match=r"need the library tokenizers.*recurra\[tokens\]"):
            make()


def test_the_library_of_byte_pairs_is_loaded_only_when_used() -> None:
    code = "import sys, recurra_runtime.vocabulary; print('tokenizers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


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
    ]
    for use in uses:
        with pytest.raises(ValueError, match=f"expected 0 to {len(vocabulary) - 1}, got {index}"):
            use()


def test_byte_pair_ids_out_of_range(pairs: BytePairVocabulary) -> None:
    for index in (-1, 280):
        with pytest.raises(ValueError, match=f"expected 0 to 279, got {index}"):
            pairs.decode([3, index])
        with pytest.raises(ValueError, match=f"expected 0 to 279, got {index}"):
            pairs.symbol(index)
