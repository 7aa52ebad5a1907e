"""Suggestions against sums over all that a model may say, done by hand; typing in pieces."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pipeline.toys import TEXT, next_log_probs, ngram, recurrent, summed, vocabularies

from recurra.errors import SettingError
from recurra.models import LanguageModel
from recurra.pipeline import PredictiveText, Suggestion, TextModel
from recurra.pipeline.words import Pieces, WordRule
from recurra_runtime.vocabulary import (
    END,
    BytePairVocabulary,
    ByteVocabulary,
    CharacterVocabulary,
    LabelVocabulary,
    Vocabulary,
)

VOCABULARIES = vocabularies()
TOLERANCE = 2e-5  # relative, of probabilities in float32
TYPED = ["", "the", "the ca", "the cat ", "the cat's", "a dog, ", "the cats, an", "(", "sat.\nth"]


def typed(model: TextModel, text: str, **given: Any) -> PredictiveText:
    entry = PredictiveText(model, **given)
    entry.type(text)
    return entry


def table(found: list[Suggestion]) -> dict[str, float]:
    return {each.rest: each.probability for each in found}


# -------------------------------------------------------------------- words of characters, bytes

SMALL = CharacterVocabulary("ab' .\n")


def is_letter(character: str, begun: bool) -> bool:
    return character in "ab" or (character == "'" and begun)


def words_by_hand(model: TextModel, text: str, longest: int) -> dict[str, float]:
    """Every rest of a word of up to some characters, and its probability."""
    start = model.vocabulary.encode(text).tolist()
    begun = bool(re.search(r"[ab][ab']*\Z", text))
    found: dict[str, float] = {}

    def follow(rest: str, so_far: float) -> None:
        ids = start + model.vocabulary.encode(rest).tolist()
        after = next_log_probs(model, ids)
        inside = [
            i for i in range(3, 9) if is_letter(model.vocabulary.symbol(i), begun or bool(rest))
        ]
        if rest:
            others = [after[i] for i in range(2, 9) if i not in inside]
            found[rest] = math.exp(so_far + summed(others))
        if len(rest) < longest:
            for index in inside:
                follow(rest + model.vocabulary.symbol(index), so_far + after[index])

    follow("", 0.0)
    return found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("text", ["", "a", "ab ", "ab'", "b.", " '", "a\n", "abba ba"])
def test_words_are_the_most_probable_ones(text: str, seed: int) -> None:
    model = recurrent(SMALL, seed)
    found = typed(model, text).suggestions(4)
    by_hand = words_by_hand(model, text, 4)
    word = re.search(r"(?:[ab][ab']*)?\Z", text)
    assert word
    for each in found:
        assert each.text == word[0] + each.rest
        if len(each.rest) <= 4:
            assert each.probability == pytest.approx(by_hand[each.rest], rel=TOLERANCE)
    assert len(found) == 4
    shares = [each.probability for each in found]
    assert shares == sorted(shares, reverse=True)
    missed = {rest: p for rest, p in by_hand.items() if rest not in table(found)}
    assert max(missed.values()) <= shares[-1] * (1 + TOLERANCE)


def test_an_apostrophe_begins_no_word() -> None:
    model = recurrent(SMALL)
    assert not any(each.rest.startswith("'") for each in typed(model, "a ").suggestions(30))
    assert any(each.rest.startswith("'") for each in typed(model, "a").suggestions(30))


def test_bytes_suggest_what_characters_do() -> None:
    # The same counts, over symbols that stand for the same characters.
    text = TEXT.replace("\u201c", "").replace("\u201d", "").replace("\xe9", "e")
    letters = CharacterVocabulary.of([text])
    of_letters, of_bytes = ngram(letters, 4, text), ngram(ByteVocabulary(), 4, text)
    for start in TYPED:
        first = typed(of_letters, start).suggestions(3)
        second = typed(of_bytes, start).suggestions(3)
        assert [each.text for each in first][:1] == [each.text for each in second][:1]


def test_a_letter_of_many_bytes() -> None:
    found = typed(ngram(ByteVocabulary(), 5), "the caf").suggestions(1)
    assert [(each.text, each.rest) for each in found] == [("caf\xe9", "\xe9")]
    found = typed(ngram(ByteVocabulary(), 5), "the ca").suggestions(20)
    assert not any("\u201d" in each.text or "\ufffd" in each.text for each in found)


# ------------------------------------------------------------------------------- byte pairs

PAIRS = VOCABULARIES["byte-pairs"]
PIECE = {i: PAIRS.decode([i]) for i in range(3, len(PAIRS))}
PREFIXES = {
    "": ("", ""), "the": ("", "the"), "the ca": ("the", " ca"), "the cat ": ("the cat", " "),
    "the cat's": ("the", " cat's"), "a dog, ": ("a dog,", " "), "sat.\nth": ("sat.", "\nth"),
    "(": ("(", ""), "sat\n\n": ("sat\n", "\n"),
}  # fmt: skip


def spelled(model: TextModel, before: str, text: str, *, more: bool) -> float:
    """Log-probability of all ways to spell a text, the last symbol perhaps going beyond it."""

    def follow(ids: list[int], left: str) -> list[float]:
        after = next_log_probs(model, ids)
        found = []
        for index, piece in PIECE.items():
            if piece and (piece == left or (more and piece.startswith(left))):
                found.append(after[index])
            elif piece and left.startswith(piece):
                inner = follow([*ids, index], left[len(piece) :])
                found += [after[index] + value for value in inner]
        return found

    return summed(follow(PAIRS.encode(before).tolist(), text))


@pytest.mark.parametrize("text", PREFIXES)
def test_words_of_byte_pairs_sum_over_their_spellings(text: str) -> None:
    model = ngram(PAIRS, 2)
    before, prefix = PREFIXES[text]
    whole = spelled(model, before, prefix, more=True) if prefix else 0.0
    found = typed(model, text).suggestions(3)
    assert found
    for each in found:
        # A bigram knows the last symbol alone, so each spelling's end has its own probability.
        total = 0.0
        for ids in spellings(prefix + each.rest):
            at = PAIRS.encode(before).tolist()
            steps = [next_log_probs(model, at + ids[:n])[i] for n, i in enumerate(ids)]
            after = next_log_probs(model, at + ids)
            ends = [after[END]] + [after[i] for i in PIECE if not goes_on(i)]
            total += math.exp(sum(steps) + summed(ends) - whole)
        # What the search did not find of the spellings is small, but not nothing.
        assert total * 0.98 <= each.probability <= total * (1 + 1e-3)


def goes_on(index: int) -> bool:
    first = PIECE[index][:1]
    return (
        first.isalnum() or first == "'" or (first == "\ufffd" and lead(index) not in (0xC2, 0xE2))
    )


def lead(index: int) -> int:
    return int(PAIRS.symbol(index)[2:4], 16)


def spellings(text: str) -> Iterator[list[int]]:
    if not text:
        yield []
    for index, piece in PIECE.items():
        if piece and text.startswith(piece):
            for rest in spellings(text[len(piece) :]):
                yield [index, *rest]


def test_the_symbols_of_a_whole_text_are_read() -> None:
    # Not those of pieces that were typed: "the prin" is not what a text of "the princess" holds.
    model = ngram(PAIRS, 3)
    entry = PredictiveText(model)
    for character in TEXT[:300]:
        entry.type(character)
    entry.type(" x")
    ids = PAIRS.encode(TEXT[:300] + " x").tolist()
    settled = PAIRS.encode(TEXT[:300]).tolist()
    assert ids[: len(settled)] == settled
    at_once = next_log_probs(model, settled)
    assert entry._settled.log_probs[0].double().tolist() == pytest.approx(at_once, rel=1e-6)


# ------------------------------------------------------------------------------------- words


def test_words_with_the_prefix() -> None:
    vocabulary = VOCABULARIES["words"]
    model = ngram(vocabulary, 3)
    at = vocabulary.encode("the cat sat on the").tolist()
    after = [math.exp(value) for value in next_log_probs(model, at)]
    known = {vocabulary.symbol(i): after[i] for i in range(3, len(vocabulary))}
    some = {word: p for word, p in known.items() if word.startswith("ca")}
    found = typed(model, "the cat sat on the ca").suggestions(9)
    expected = {word[2:]: p / sum(some.values()) for word, p in some.items()}
    assert table(found) == pytest.approx(expected, rel=TOLERANCE)
    assert found[0].text == max(some, key=lambda word: some[word])
    # Before the first letter marks and the end count too, but are not suggested.
    found = typed(model, "the cat sat on the ").suggestions(100)
    whole = sum(after[2:])
    words = {word: p / whole for word, p in known.items() if word[0].isalnum()}
    assert table(found) == pytest.approx(words, rel=TOLERANCE)


@pytest.mark.parametrize(
    ("name", "text", "before", "first"),
    [
        ("words", "the cat's ma", "the cat's", "ma"),
        ("words", "the ca", "the", "ca"),
        ("words", "sat.\nth", "sat.\n", "th"),
        ("words", "sat.\n", "sat.\n", ""),
        ("words", "(12 do", "(12", "do"),
        ("lower words", "The CA", "the", "ca"),
        ("split words", "the mat. the cat", "the mat. the", "cat"),
        ("split words", "on the mat", "on the", "mat"),
    ],
)
def test_what_was_typed_of_a_word(name: str, text: str, before: str, first: str) -> None:
    vocabulary = VOCABULARIES[name]
    model = ngram(vocabulary, 3)
    after = next_log_probs(model, vocabulary.encode(before).tolist())
    words = {vocabulary.symbol(i): after[i] for i in range(3, len(vocabulary))}
    fit = {
        w: p
        for w, p in words.items()
        if w.startswith(first) and w != first and w[0] not in "(),.\u201c\u201d:\xb6"
    }
    found = typed(model, text).suggestions(1)
    best = max(fit, key=lambda word: fit[word])
    assert (found[0].rest, found[0].text) == (
        best[len(first) :],
        text[-len(first) :] * bool(first) + best[len(first) :],
    )


def test_a_line_begins_behind_a_break() -> None:
    vocabulary = VOCABULARIES["words"]
    model = ngram(vocabulary, 2)
    after = next_log_probs(model, vocabulary.encode("\n").tolist())
    (best,) = PredictiveText(model).suggestions(1)
    share = after[vocabulary.encode(best.text)[0]] - summed(after[END:])
    assert best.probability == pytest.approx(math.exp(share))
    assert best.text == "a"  # behind the break in the text, where a document begins with "the"


def test_no_word_begins_so() -> None:
    model = ngram(VOCABULARIES["words"], 2)
    assert typed(model, "the zz").suggestions() == []
    assert typed(model, "the zz").lines() == []


def test_the_space_that_belongs_before_the_next_word() -> None:
    model = ngram(VOCABULARIES["words"], 2)
    assert [each.rest[0] for each in typed(model, "the cats,").suggestions(2)] == [" ", " "]
    assert typed(model, "the cats, ").suggestions(1)[0].rest == "and"
    assert typed(model, "\u201c").suggestions(1)[0].rest == "the"


# ------------------------------------------------------------------------------------- lines


@pytest.mark.parametrize("name", VOCABULARIES)
def test_the_rest_of_a_line(name: str) -> None:
    entry = typed(ngram(VOCABULARIES[name], 12), "there.\nthe cat sat on")
    lines = entry.lines(2, limit=200)
    assert lines[0].probability >= lines[1].probability
    found = max(lines, key=lambda line: len(line.text))
    if name in ("lower words", "split words"):  # their lines end with the document
        assert " sat on the mat. the cattle can't see the cats," in found.text
        return
    wanted = TEXT.partition("\n")[0]
    assert (found.text, found.finished) == (wanted, True)
    assert found.rest == wanted.removeprefix("the cat sat on")
    assert 0 < found.probability < 1


def test_a_line_ends_in_every_way_it_can() -> None:
    model = recurrent(SMALL)
    at = SMALL.encode("a\nab").tolist()
    after = next_log_probs(model, at)
    lines = typed(model, "a\nab").lines(8, limit=1, width=8)
    (found,) = [each for each in lines if each.finished]
    ends = [after[END], after[SMALL.encode("\n")[0]]]
    assert found.probability == pytest.approx(math.exp(summed(ends)), rel=TOLERANCE)
    assert (found.text, found.rest) == ("ab", "")


def test_a_line_that_is_cut_off() -> None:
    found = typed(ngram(VOCABULARIES["characters"], 4), "the c").lines(1, limit=6)
    assert len(found[0].rest) == 6
    assert not found[0].finished


def test_a_finished_line_may_stay_as_it_is() -> None:
    text = TEXT.partition("\n")[0]
    for name in ("characters", "bytes", "byte-pairs", "words"):
        (found,) = typed(ngram(VOCABULARIES[name], 5), text).lines()
        assert (found.text, found.rest) == (text, "")


# ------------------------------------------------------------------------------------ typing


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(sorted(VOCABULARIES)),
    st.lists(st.text("acdeht '.\n(\u201c\xe9", max_size=8), max_size=6),
)
def test_in_pieces_or_at_once(name: str, pieces: list[str]) -> None:
    model = MODELS[name]
    entry, whole = PredictiveText(model), typed(model, "".join(pieces))
    for piece in pieces:
        entry.type(piece)
    assert entry.text == whole.text
    assert entry._prefix == whole._prefix
    assert torch.equal(entry._now.log_probs, whole._now.log_probs)
    assert entry.suggestions(2) == whole.suggestions(2)


MODELS = {name: ngram(each, 3) for name, each in VOCABULARIES.items()}


@pytest.mark.parametrize("name", VOCABULARIES)
def test_what_was_typed_is_not_read_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, read = recurrent(VOCABULARIES[name]), 0
    assert isinstance(model.model, LanguageModel)
    steps = model.model.steps

    def counted(tokens: torch.Tensor, *args: Any) -> Any:
        nonlocal read
        read += len(tokens)
        return steps(tokens, *args)

    monkeypatch.setattr(model.model, "steps", counted)
    entry = PredictiveText(model)
    assert read == 1 + (name == "words")  # and the break before the line
    entry.type(TEXT[:200])
    assert read > 20
    for character in "the cat's mat":
        read = 0
        entry.type(character)
        assert read <= 3


def test_a_very_long_word() -> None:
    for vocabulary in VOCABULARIES.values():
        entry = typed(ngram(vocabulary, 2), "the " + "cat" * 40)
        assert len(entry.suggestions(2)) <= 2


@pytest.mark.parametrize("name", VOCABULARIES)
def test_unknown_symbols_are_read_as_such(name: str) -> None:
    entry = typed(ngram(VOCABULARIES[name], 3), "the \u2603 ca")
    assert all(each.text.startswith("ca") for each in entry.suggestions())


def test_what_is_unknown_is_told() -> None:
    entry = PredictiveText(ngram(VOCABULARIES["characters"]))
    entry.type("the c")
    assert entry.unknown() == []
    entry.type("at \u2603 \u2603")
    assert entry.unknown() == ["\u2603"]
    words = PredictiveText(ngram(VOCABULARIES["words"]))
    words.type("the ca")
    assert words.unknown() == []  # a word of the model begins so
    words.type("zz")
    assert words.unknown() == ["cazz"]  # none does, whatever comes next
    words.type(" sat zz")
    assert words.unknown() == ["cazz", "zz"]
    words.type(" ")
    assert words.unknown() == ["cazz", "zz"]


def test_dropout_is_off_and_comes_back() -> None:
    model = recurrent(SMALL, dropout=0.5)
    expected = typed(model, "ab ").suggestions()
    model.model.train()
    assert typed(model, "ab ").suggestions() == expected
    assert typed(model, "ab ").lines(limit=5) == typed(model, "ab ").lines(limit=5)
    assert model.model.training


def test_what_is_given_is_read() -> None:
    topics = LabelVocabulary(["art", "war"])
    made = recurrent(SMALL, conditions={"topic": len(topics)}).model
    model = TextModel(made, SMALL, "lstm", {"topic": topics})
    art, war = (typed(model, "a", given={"topic": t}).suggestions() for t in topics.labels)
    assert [each.probability for each in art] != [each.probability for each in war]
    with pytest.raises(SettingError, match="needs 'topic'"):
        PredictiveText(model)


def test_numbers_out_of_range() -> None:
    entry = PredictiveText(MODELS["bytes"])
    for wrong in (0, -1, 1.5):
        with pytest.raises(SettingError, match="count"):
            entry.suggestions(wrong)  # type: ignore[arg-type]
    for name in ("count", "limit", "width"):
        with pytest.raises(SettingError, match=name):
            entry.lines(**{name: 0})


# ------------------------------------------------------------------------------------ pieces


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("the prin", "prin"), ("the ", ""), ("don't", "don't"), ("don'", "don'"), ("'don", "don"),
        ("a-b", "b"), ("x_1", "1"), ("caf\xe9", "caf\xe9"), ("e\u0301", "e\u0301"), ("", ""),
        ("''", ""), ("don\u2019t", "don\u2019t"), ("3.5", "5"), ("\u65e5\u672c", "\u65e5\u672c"),
    ],
)  # fmt: skip
def test_the_word_a_text_ends_in(text: str, word: str) -> None:
    assert WordRule().current(text) == word


@pytest.mark.parametrize(
    ("text", "place", "begun", "rest"),
    [
        ("the cat", 0, False, "the"), ("the cat", 1, True, "he"), ("the cat", 3, True, ""),
        ("'tis", 0, False, ""), ("'tis", 0, True, "'tis"), ("can't.", 2, True, "n't"),
        ("x", 1, True, ""),
    ],
)  # fmt: skip
def test_what_is_to_come_of_a_word(text: str, place: int, begun: bool, rest: str) -> None:
    assert WordRule().rest(text, place, begun) == rest


def test_words_between_white_space() -> None:
    rule = WordRule(punctuation=False)
    assert rule.current("the (cat),") == "(cat),"
    assert rule.rest("the (cat), x", 4, False) == "(cat),"


@pytest.mark.parametrize("name", VOCABULARIES)
def test_bytes_of_symbols(name: str) -> None:
    vocabulary: Vocabulary = VOCABULARIES[name]
    pieces = Pieces(vocabulary)
    text = "the cat sees caf\xe9 dogs)"
    joined = (b" " if "words" in name else b"").join(pieces.raw[i] for i in vocabulary.encode(text))
    assert joined.decode().replace(" ", "") == text.replace(" ", "")
    for prefix in (b"t", b"ca", b"\xe2\x80", b"zzz"):
        every = [i for i, raw in enumerate(pieces.raw) if i > 2 and raw.startswith(prefix)]
        assert sorted(pieces.starting(prefix)) == every
    parts = [
        i for i, raw in enumerate(pieces.raw) if raw and b"cats".startswith(raw) and raw != b"cats"
    ]
    assert sorted(pieces.parts(b"cats")) == sorted(parts)
    assert not pieces.usable[:2].any()
    assert bool(pieces.breaks[END])


def test_lead_bytes() -> None:
    pieces = Pieces(ByteVocabulary())
    inside = {i - 3 for i in range(3, 259) if pieces.inside[i]}
    begins = {i - 3 for i in range(3, 259) if pieces.begins[i]}
    letters = {*b"0123456789", *range(65, 91), *range(97, 123)}
    leads = {*range(0xC0, 0x100)} - {0xC2, 0xE2}
    assert begins == letters | leads
    assert inside == begins | {*range(0x80, 0xC0)} | {ord("'")}
    assert list(itertools.compress(range(259), pieces.breaks)) == [END, 3 + 10]


def test_a_symbol_of_a_space_and_a_mark_begins_no_word() -> None:
    text = "the (cat) (sat) (on) a - mat - (the) end " * 4
    pairs = BytePairVocabulary.of([text], 300)
    assert {" (", " -"} <= {pairs.symbol(i) for i in range(3, len(pairs))}
    model = ngram(pairs, 2, text)
    found = typed(model, "the ").suggestions(20)
    assert found
    assert all(each.rest[0].isalnum() for each in found)
    assert all("-" not in each.rest for each in typed(model, "the (ca").suggestions(20))


def test_more_suggestions_than_anyone_reads() -> None:
    entry = typed(ngram(SMALL, 2, "ab a. "), "a")
    assert len(entry.suggestions(100)) > 10
    for ask in (entry.suggestions, entry.lines):
        with pytest.raises(SettingError, match="count: expected 1 to 100 suggestions, got 101"):
            ask(101)
