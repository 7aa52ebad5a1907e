"""Words: how a text falls into them, which are known, and how they become a text again."""

from __future__ import annotations

import json
import re
import time
import unicodedata
from collections import Counter
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra_runtime.vocabulary import (
    END,
    START,
    UNKNOWN,
    Normalizer,
    WordVocabulary,
    vocabulary_from_json,
)
from recurra_runtime.vocabulary import words as word_module

WORDS = WordVocabulary(["the", ",", "Cat", "\n\n", "."], Normalizer(breaks="paragraphs"))


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
    assert Normalizer(**settings).tokens(text) == (words.split(" ") if words else [])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, World! (Yes.)", "Hello|,|World|!|(|Yes|.|)"),
        ("U.S.A. x", "U|>.<|S|>.<|A|.|x"),
        ("C++ a+b", "C|>+ |>+ |a|>+<|b"),
        ("the dogs' house", "the|dogs|>' |house"),
        ('"so" he', ' "<|so|>" |he'),
        ('("so.")', '(| "<|so|.|>" |)'),
        ("a well-known - one", "a|well|-|known| - |one"),
        ("x , y", "x| , |y"),
        ("$5 5$ -5", "$|5|5|>$ | -<|5"),
        ("كيف، نعم؟ है। हाँ", "كيف|،|نعم|؟|है|।|हाँ"),
        ("今日は、晴れ。「はい」", "今日は|、|晴れ|。|「|はい|>」 "),
        ("a\n\n(b", "a|\n\n|(|b"),
        ("<unk>, (<unk>) a+<unk>", "<unk>|,|(|<unk>|)|a|>+<|<unk>"),
    ],
)
def test_a_mark_tells_where_it_stands_unless_that_is_usual(text: str, words: str) -> None:
    """``>`` and ``<`` are tabs here: nothing between the mark and its neighbor."""
    rules = Normalizer(breaks="paragraphs")
    tabs = str.maketrans("><", "\t\t")
    expected = [w.translate(tabs) if len(w) == 3 else w for w in words.split("|")]
    assert rules.split(text) == expected
    assert rules.join(expected) == text


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


@pytest.mark.parametrize(
    ("size", "breaks", "words"),
    [
        (None, "paragraphs", ["c", "b", "\n\n", "a", "d"]),
        (100, "paragraphs", ["c", "b", "\n\n", "a", "d"]),
        (8, "paragraphs", ["c", "b", "\n\n", "a", "d"]),
        (7, "paragraphs", ["c", "b", "\n\n", "a"]),
        (6, "paragraphs", ["c", "b", "\n\n"]),
        (5, "paragraphs", ["c", "\n\n"]),
        (4, "paragraphs", ["\n\n"]),
        (5, "lines", ["c", "\n"]),
        (5, "none", ["c", "b"]),
        (3, "none", []),
    ],
)
def test_the_mark_of_a_break_takes_a_place_among_a_limited_number_of_words(
    size: int | None, breaks: Any, words: list[str]
) -> None:
    text = "c c c c c b b b b\n\na a c b d"
    made = WordVocabulary.of(iter([text]), size=size, normalizer=Normalizer(breaks=breaks))
    assert list(made.words) == words
    assert size is None or len(made) <= size


def test_a_limit_and_a_minimum_of_words() -> None:
    rules = Normalizer(breaks="paragraphs")
    assert WordVocabulary.of("a a b b b c", size=9, minimum=2).words == ("b", "a")
    assert WordVocabulary.of("a a b b b c", size=4, minimum=2).words == ("b",)
    assert WordVocabulary.of("a b", size=5, minimum=9, normalizer=rules).words == ("\n\n",)


@pytest.mark.parametrize(("size", "breaks", "least"), [(2, "none", 3), (3, "lines", 4)])
def test_too_few_words_are_refused(size: int, breaks: Any, least: int) -> None:
    with pytest.raises(ValueError, match=f"size of at least {least}, the 3 reserved .*got {size}"):
        WordVocabulary.of("a b", size=size, normalizer=Normalizer(breaks=breaks))


RULES = st.builds(
    Normalizer,
    lower=st.booleans(),
    punctuation=st.booleans(),
    breaks=st.sampled_from(["none", "lines", "paragraphs"]),
)
MIXED = st.text(
    st.sampled_from(
        "aBé12 \n.,;:!?…()[]{}\"'_*+<=>/\\@&#%$€-–—“”„‘’«»¿¡ß\u0301"
        "日本、。「」！？，（）（한국어·русский№"
        "عربي،؛؟۔हिन्दी।॥אב־׳ไทยฯ😀→§።"
    ),
    max_size=30,
)


PROSE = st.lists(
    st.sampled_from(
        [*"aBé12.,;:!?()[]\"'_*“”‘’—-–/$%<>&😀\u0301ß \n\t", "  ", "\n\n", "<unk>", "Wort"]
    ),
    max_size=25,
).map("".join)


def one_space(text: str, breaks: str) -> str:
    """A text with one space for white space, or the breaks that are in it."""
    if breaks == "paragraphs":
        text = re.sub(r"\s*\n\s*\n\s*", "\x00", text)
    elif breaks == "lines":
        text = re.sub(r"[^\S\n]*\n[^\S\n]*", "\x00", text)
    mark = {"none": "", "lines": "\n", "paragraphs": "\n\n"}[breaks]
    parts = [" ".join(part.split()) for part in text.split("\x00")]
    return mark.join(parts)


def is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS"


def plain_parts(text: str, rules: Normalizer) -> list[tuple[int, str]]:
    """Where the words of a whole text begin and what they are, marks as they are."""
    text = text.lower() if rules.lower else text
    if rules.breaks == "paragraphs":
        text = re.sub(r"\n\s*\n\s*", "\n\n", text)
    marks = "".join(map(re.escape, filter(is_mark, sorted(set(text)))))
    patterns = [re.escape(rules.mark)] if rules.mark else []
    if rules.punctuation:
        word = rf"[^\s{marks}]+"
        patterns += ["<unk>", rf"{word}(?:(?:['’]|(?<=\d)[.,](?=\d)){word})*", r"\S"]
    else:
        patterns += [r"\S+"]
    return [(found.start(), found[0]) for found in re.finditer("|".join(patterns), text)]


def plain_words(text: str, rules: Normalizer) -> list[str]:
    """The words of a text, found one after the other in all of it."""
    parts = plain_parts(text, rules)
    words = []
    stop, touches = -1, False
    for number, (start, word) in enumerate(parts):
        after = parts[number + 1] if number + 1 < len(parts) else (-1, "")
        left, right, beside = start == stop, False, after[0] == start + len(word)
        stop = -1 if word == rules.mark else start + len(word)
        if rules.punctuation and len(word) == 1 and is_mark(word):
            usually = word_module._usual(word)
            if left and touches:
                left = usually[0]
            right = beside and after[1] != rules.mark
            if right and len(after[1]) == 1 and is_mark(after[1]):
                right = not left if word in "\"'_*" else usually[1]
            if word in "\"'_*" or (left, right) != usually:
                word = " \t"[left] + word + " \t"[right]
        words.append(word)
        touches = right
    return words


TEXTS = st.lists(st.one_of(MIXED, PROSE, st.text(max_size=9)), min_size=1, max_size=4)


@pytest.mark.parametrize("limit", [2, 1 << 20])
@settings(max_examples=150, deadline=None)
@given(TEXTS, RULES)
def test_words_are_those_found_one_after_the_other(
    limit: int, texts: list[str], rules: Normalizer
) -> None:
    """Whatever is done once for all that comes again, and however much of it is remembered."""
    counts = Counter({rules.mark: 2} if rules.mark else {})
    with mock.patch.multiple(word_module, _SHORT=limit, _MOST=limit, _COUNTED=limit):
        for text in texts:
            words = plain_words(text, rules)
            counts.update(words)
            assert rules.split(text) == words
            assert rules.tokens(text) == [word for _, word in plain_parts(text, rules)]
        made = WordVocabulary.of(texts, minimum=2, normalizer=rules)
        known = [word for word, count in counts.items() if count >= 2 and word != "<unk>"]
        assert list(made.words) == sorted(known, key=lambda word: (-counts[word], word))
        ids = {word: number for number, word in enumerate(made.words, 3)}
        placed = any(len(word) == 3 and word[0] in " \t" for word in made.words)
        for text in [*texts, " ".join(texts), "".join(texts)]:
            words = plain_words(text, rules)
            if not placed:  # as older vocabularies, which have marks as they are
                words = [word for _, word in plain_parts(text, rules)]
            expected = [ids.get(word, ids.get(word.strip(" \t"), UNKNOWN)) for word in words]
            assert made.encode(text).tolist() == expected
            found = [word if word in ids else word.strip(" \t") for word in made.split(text)]
            assert [ids.get(word, UNKNOWN) for word in found] == expected


@settings(max_examples=500, deadline=None)
@given(MIXED, st.booleans(), st.sampled_from(["none", "lines", "paragraphs"]))
def test_words_become_the_text_that_they_were(text: str, lower: bool, breaks: Any) -> None:
    """In any script, but for white space that is not one space, and for case if asked for."""
    rules = Normalizer(lower=lower, breaks=breaks)
    whole = one_space(text.lower() if lower else text, breaks)
    assert rules.join(rules.split(text)) == whole
    made = WordVocabulary.of([text], normalizer=rules)
    assert made.decode(made.encode(text)) == whole
    assert Normalizer(punctuation=False).join(text.split()) == " ".join(text.split())


def test_where_words_do_not_become_the_text_that_they_were() -> None:
    rules = Normalizer()
    for text, back in (("a  b\t c\n", "a b c"), ("a<unk>", "a <unk>"), ("a <unk>b", "a <unk> b")):
        assert rules.join(rules.split(text)) == back
    assert Normalizer(lower=True).join(Normalizer(lower=True).split("A (B)")) == "a (b)"


@settings(max_examples=200, deadline=None)
@given(MIXED, MIXED)
def test_pieces_that_end_before_white_space_have_the_words_of_the_whole(a: str, b: str) -> None:
    rules = Normalizer()
    assert rules.split(a) + rules.split(" " + b) == rules.split(a + " " + b)


def test_a_vocabulary_of_an_older_version_reads_as_it_did() -> None:
    """It has marks as they are, and quotes that come in pairs."""
    rules = {"lower": False, "punctuation": True, "breaks": "none"}
    words = ["he", "said", ",", '"', "yes", ".", "(", ")", "+"]
    old = vocabulary_from_json({"kind": "words", "normalizer": rules, "words": words})
    text = 'he said, "yes." (he+yes)'
    shown = [old.symbol(index) for index in old.encode(text)]
    assert shown == ["he", "said", ",", '"', "yes", ".", '"', "(", "he", "+", "yes", ")"]
    assert old.decode(old.encode(text)) == 'he said, "yes." (he + yes)'


@pytest.mark.parametrize(
    ("text", "touching", "like"),
    [
        ('he said "', False, 'he said "x'),
        ("he (", False, "he (x"),
        ('he ("', False, 'he ("x'),
        ("he,", False, "he, x"),
        ('said "x"', False, 'said "x" x'),
        ("he ", False, "he x"),
        ("he", False, "he x"),
        ("U.", True, "U.S"),
        ("U.", False, "U. S"),
        ("he's", True, "he's x"),
    ],
)
def test_a_text_that_goes_on_ends_as_it_will_have_been(
    text: str, touching: bool, like: str
) -> None:
    made = WordVocabulary.of(['he said "x" "x. (x) ("x, U.S. he\'s he ( U. S x S'])
    ids = made.encode_begun(text, touching=touching)
    assert ids.tolist() == made.encode(like).tolist()[: len(ids)]
    assert len(ids) == len(made.encode(like)) - 1
    assert made.encode_begun("").tolist() == []


def test_a_mark_in_a_place_that_is_not_known_is_the_mark() -> None:
    made = WordVocabulary.of(["a, b, (c) a.b"])
    assert [made.symbol(i) for i in made.encode("a , b.b .")] == ["a", ",", "b", ".", "b", "<unk>"]
    assert [made.raw(i) for i in made.encode("a.b")] == [b"a", b".", b"b"]


@settings(max_examples=400, deadline=None)
@given(PROSE, PROSE, RULES)
def test_decoded_words_fall_into_the_same_words(text: str, other: str, rules: Normalizer) -> None:
    made = WordVocabulary.of([text], normalizer=rules)
    ids = made.encode(text)
    assert made.encode(made.decode(ids)).tolist() == ids.tolist()
    seen = made.encode(other)
    # A mark whose place is not known may come to stand in one that is.
    again = [made.raw(i) for i in made.encode(made.decode(seen))]
    # Or in one that is not: then it is unknown, as it would be in any text.
    if b"" not in again:
        assert again == [made.raw(i) for i in seen]
    words = made.split(other)
    for index, word in zip(seen, words, strict=True):
        assert made.raw(index) == (word.strip(" \t").encode() if word in made.words else b"")
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
