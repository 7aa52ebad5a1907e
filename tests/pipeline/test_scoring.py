"""Scores of lines: the chain rule by hand, sums to one, order, and how much is held."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from pipeline.toys import TEXT, next_log_probs, ngram, recurrent, vocabularies

from recurra.data import ComingLines
from recurra.errors import DataError, RunError, SettingError
from recurra.models import AddK
from recurra.pipeline import (
    FilledLines,
    LineScore,
    TextModel,
    rank_lines,
    score_lines,
    score_symbols,
    scoring,
)
from recurra.tasks.language_model.evaluation import compare_encoded
from recurra_runtime.vocabulary import (
    END,
    CharacterVocabulary,
    LabelVocabulary,
    Normalizer,
    WordVocabulary,
)

TINY = CharacterVocabulary("ab")
TOLERANCE = 1e-5  # nats a line: the model's float32


def by_hand(model: TextModel, line: str, *, end: bool = True, state: Any = None) -> float:
    """From a document's start to its end; between two breaks where these are a word."""
    ids = model.vocabulary.encode(line).tolist()
    mark = model.vocabulary.encode("\n").tolist() if "lines" in str(rules(model)) else []
    after = [next_log_probs(model, mark + ids[:n], state) for n in range(len(ids) + 1)]
    total = sum(after[n][each] for n, each in enumerate(ids))
    return total + (after[-1][mark[0] if mark else END] if end else 0.0)


def rules(model: TextModel) -> Any:
    return getattr(model.vocabulary, "normalizer", None)


def models() -> dict[str, TextModel]:
    made = {f"3-gram of {name}": ngram(each) for name, each in vocabularies().items()}
    return made | {f"lstm of {name}": recurrent(each) for name, each in vocabularies().items()}


MODELS = models()
LINES = ["the cat sat", "a", "the dog's bone isn't there.", "", "mat the", "zebras \u2603", "a"]


def test_scores_keep_no_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    model: Any = MODELS["lstm of characters"]
    seen, steps = [], model.model.steps
    told = lambda *given: seen.append(torch.is_grad_enabled()) or steps(*given)  # noqa: E731
    monkeypatch.setattr(model.model, "steps", told)
    assert len(list(score_lines(model, LINES, rows=3))) == len(LINES)
    assert seen
    assert not any(seen)


@pytest.mark.parametrize("end", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_a_line_is_the_sum_of_its_symbols(name: str, end: bool) -> None:
    model = MODELS[name]
    scores = list(score_lines(model, LINES, end=end, rows=3))
    assert [score.text for score in scores] == LINES
    for score in scores:
        assert score.log_prob == pytest.approx(by_hand(model, score.text, end=end), abs=TOLERANCE)
        assert score.symbols == len(model.vocabulary.encode(score.text)) + end
        assert score.unknown == (model.vocabulary.encode(score.text) == 0).sum()


def test_rows_that_end_inside_a_chunk_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    model = MODELS["lstm of characters"]
    whole = [score.log_prob for score in score_lines(model, LINES)]
    for steps in (2, 3, 5):
        monkeypatch.setattr(scoring, "_SCORES", steps * len(LINES) * len(model.vocabulary))
        found = [score.log_prob for score in score_lines(model, LINES)]
        assert found == pytest.approx(whole, abs=TOLERANCE)


BREAKS = WordVocabulary.of([TEXT], normalizer=Normalizer(breaks="lines"))
VERSE = "the cat sat.\nthe dog sat on the mat.\nthe zebra sat\n\n"


@pytest.mark.parametrize("model", [recurrent(BREAKS), ngram(BREAKS, 2, VERSE)], ids=["lstm", "2"])
def test_a_line_between_breaks_has_the_score_it_has_in_a_text(model: TextModel) -> None:
    ids = BREAKS.encode("\nthe cat sat.\n").tolist()
    told = [next_log_probs(model, ids[:n])[each] for n, each in enumerate(ids)]
    (score,) = score_lines(model, ["the cat sat."])
    assert score.log_prob == pytest.approx(sum(told[1:]), abs=TOLERANCE)
    (open_end,) = score_lines(model, ["the cat sat."], end=False)
    assert open_end.log_prob == pytest.approx(sum(told[1:-1]), abs=TOLERANCE)
    assert (score.symbols, open_end.symbols) == (5, 4)
    rows = list(score_lines(model, ["", "the cat sat.", "the"], rows=3))
    assert rows[1].log_prob == pytest.approx(score.log_prob, abs=TOLERANCE)
    assert rows[0].log_prob == pytest.approx(next_log_probs(model, ids[:1])[ids[0]], abs=TOLERANCE)


def test_scores_of_all_lines_are_that_of_their_text() -> None:
    """A bigram sees no further than the break, so the sum is exact."""
    model = ngram(BREAKS, 2, VERSE)
    lines = VERSE.split("\n")[:-1]
    total = sum(line.log_prob for line in score_lines(model, lines))
    whole = "\n" + VERSE
    (score,) = compare_encoded({"2": model.model}, [BREAKS.encode(whole)], len(whole))
    start = next_log_probs(model, [])[BREAKS.encode("\n")[0]]
    end = next_log_probs(model, BREAKS.encode("\n").tolist())[END]
    assert score.nats == pytest.approx(-(total + start + end), abs=1e-6)


@pytest.mark.parametrize("model", [recurrent(TINY), ngram(TINY, 3, "abba ab")], ids=["lstm", "3"])
def test_the_probabilities_of_all_lines_sum_to_one(model: TextModel) -> None:
    # All lines of up to 5 symbols, and all that are longer, by what they begin with.
    words = [""] + [
        "".join(w) for n in range(1, 6) for w in itertools.product("ab\ufffd", repeat=n)
    ]
    whole = sum(math.exp(score.log_prob) for score in score_lines(model, words))
    longest = [word for word in words if len(word) == 5]
    begun = list(score_lines(model, longest, end=False))
    ended = list(score_lines(model, longest))
    longer = sum(
        math.exp(b.log_prob) - math.exp(e.log_prob) for b, e in zip(begun, ended, strict=True)
    )
    # <s> is never a symbol of a line; an n-gram never predicts it, a recurrent model does.
    lost = starts(model, 5)
    assert whole + longer + lost == pytest.approx(1, abs=1e-6)


def starts(model: TextModel, longest: int) -> float:
    """Probability that ``<s>`` is predicted as one of the first symbols."""
    total = 0.0
    for n in range(longest):
        for ids in itertools.product((0, 3, 4), repeat=n):
            so_far = sum(next_log_probs(model, list(ids[:i]))[each] for i, each in enumerate(ids))
            total += math.exp(so_far + next_log_probs(model, list(ids))[1])
    return total


def test_neighbors_change_nothing() -> None:
    model = MODELS["lstm of characters"]
    lines = TEXT.split(" ")
    alone = [score.log_prob for score in score_lines(model, lines, rows=1)]
    assert [s.log_prob for s in score_lines(model, lines)] == pytest.approx(alone, abs=TOLERANCE)


def test_lines_are_read_as_they_are_needed() -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield "the cat"

    scores = score_lines(MODELS["3-gram of characters"], endless(), rows=2)
    assert taken == 0
    next(scores)
    assert taken == 32


def test_a_few_lines_of_great_length_are_read_ahead() -> None:
    taken = 0

    def long() -> Iterator[str]:
        nonlocal taken
        for _ in range(5):
            taken += 1
            yield "the " * 150_000

    next(iter(score_lines(ngram(vocabularies()["split words"], 1), long())))
    assert taken == 2


def test_no_line_no_score() -> None:
    assert list(score_lines(MODELS["lstm of bytes"], [])) == []


def test_ranks() -> None:
    scores = [LineScore(t, p, 1) for t, p in (("a", -2.0), ("b", -1.0), ("c", -2.0), ("d", -0.5))]
    assert [score.text for score in rank_lines(scores)] == ["d", "b", "a", "c"]


def test_numbers_derived() -> None:
    assert LineScore("ab", -6.0, 3).nats_per_symbol == 2
    assert LineScore("", 0.0, 0).nats_per_symbol == 0
    assert LineScore("ab", -6.0, 3, 1).to_json() == {
        "text": "ab", "log_prob": -6.0, "symbols": 3, "unknown": 1, "nats_per_symbol": 2.0
    }  # fmt: skip


def test_blank_lines_are_left_out_and_counted() -> None:
    lines = FilledLines(["", "a", " \t", "b ", ""], "x.txt")
    assert list(lines) == ["a", "b "]
    assert lines.blank == 3
    for nothing in ([], ["", " "]):
        with pytest.raises(DataError, match=r"x\.txt: expected a line with text, found none"):
            list(FilledLines(nothing, "x.txt"))


def test_dropout_is_off_and_comes_back() -> None:
    model = recurrent(TINY, dropout=0.5)
    expected = [score.log_prob for score in score_lines(model, ["abab"])]
    model.model.train()
    assert [score.log_prob for score in score_lines(model, ["abab"])] == expected
    assert model.model.training


def test_a_broken_model_is_told() -> None:
    model = recurrent(TINY)
    with torch.no_grad():
        model.model.head.projection.bias.fill_(math.nan)
    with pytest.raises(RunError, match="NaN"):
        list(score_lines(model, ["ab"]))


def test_what_plain_counts_exclude_is_impossible() -> None:
    model = ngram(TINY, 2, "ab", smoothing=AddK(0))
    assert [s.log_prob for s in score_lines(model, ["ab", "ba"])] == [0.0, -math.inf]


@pytest.mark.parametrize("rows", [0, -1, 1.5])
def test_rows_out_of_range(rows: Any) -> None:
    with pytest.raises(SettingError, match="rows"):
        score_lines(MODELS["lstm of bytes"], ["a"], rows=rows)


# --------------------------------------------------------------------------------- conditions

TOPICS = LabelVocabulary(["art", "war", "sea"])


def conditional() -> TextModel:
    model = recurrent(TINY, conditions={"topic": len(TOPICS)})
    return TextModel(model.model, TINY, "lstm", {"text": TINY, "topic": TOPICS})


def test_what_is_given_is_read() -> None:
    model = conditional()
    found = {}
    for number, topic in enumerate(TOPICS.labels, 3):
        (score,) = score_lines(model, ["abba"], given={"topic": topic})
        state = model.model.start(1, torch.tensor([[number]]))
        assert score.log_prob == pytest.approx(by_hand(model, "abba", state=state), abs=TOLERANCE)
        found[topic] = score.log_prob
    assert len({round(value, 3) for value in found.values()}) == 3


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({}, SettingError, "needs 'topic', for example --given topic=art. Known: art, war, sea"),
        ({"tpoic": "war"}, SettingError, "no condition 'tpoic'; did you mean 'topic'"),
        ({"topic": "wars"}, DataError, "topic has no 'wars'; did you mean 'war'"),
        ({"topic": "<unk>"}, DataError, "topic has no '<unk>'"),
    ],
)
def test_conditions_that_cannot_be(
    given: dict[str, str], error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as problem:
        score_lines(conditional(), ["a"], given=given)
    assert said in str(problem.value)


def test_a_model_without_conditions() -> None:
    with pytest.raises(SettingError, match="no condition 'topic'; It has none"):
        score_lines(MODELS["3-gram of bytes"], ["a"], given={"topic": "war"})


@pytest.mark.parametrize("most", [1, 2, 3, 100])
def test_filled_lines_keep_their_numbers(most: int) -> None:
    lines = FilledLines(["", "a", " ", "", "b", "c", ""], "x.txt")
    assert [each for block in lines.numbered(most) for each in block] == [
        (2, "a"),
        (5, "b"),
        (6, "c"),
    ]
    assert lines.blank == 4


class Slow(io.BytesIO):
    """Bytes that come by fives."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(5)

    read1 = read


@pytest.mark.parametrize("kind", ["characters", "words"])
def test_symbols_of_lines_that_come_one_by_one(kind: str) -> None:
    model = recurrent(vocabularies()[kind])
    coming = FilledLines(ComingLines(Slow(b"the cat\n\na dog\r\nthe mat"), "pipe"), "pipe")
    found = list(score_symbols(model, coming))
    assert [each.number for each in found] == [1, 3, 4]
    for each, score in zip(found, score_lines(model, ["the cat", "a dog", "the mat"]), strict=True):
        assert len(each.ids) == len(each.log_probs) == score.symbols
        assert sum(each.log_probs) == pytest.approx(score.log_prob, abs=1e-5)
        assert [row["line"] for row in each.rows()] == [each.number] * score.symbols
