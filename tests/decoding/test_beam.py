"""Beam search against every text there is, and where it stops."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from decoding.tiny import Recurrence, Told, after
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from recurra.decoding import (
    Hypothesis,
    Kept,
    LengthRule,
    beam,
    beam_search,
    beam_search_batch,
    generate,
)
from recurra.errors import RecurraError, SettingError

RULES = [LengthRule(), LengthRule(1), LengthRule(0.5), LengthRule(0.6, 5), LengthRule(2, 5)]
END = 0


def texts(
    model: Any, prompt: list[int], limit: int, never: list[int], log_prob: float = 0.0
) -> Iterator[tuple[tuple[int, ...], float, bool]]:
    """Every possible text of up to ``limit`` symbols: symbols, log-probability, finished."""
    for symbol, more in enumerate(after(model, prompt).tolist()):
        total = log_prob + more
        if symbol in never or total == -math.inf:
            continue
        if symbol == END:
            yield (), total, True
        elif limit == 1:
            yield (symbol,), total, False
        else:
            for rest, whole, finished in texts(model, [*prompt, symbol], limit - 1, never, total):
                yield (symbol, *rest), whole, finished


def ranked(model: Any, prompt: list[int], limit: int, never: list[int], rule: LengthRule) -> Any:
    """All texts with their scores, best first, the formula being written out once more."""
    found = []
    for symbols, log_prob, finished in texts(model, prompt, limit, never):
        length = len(symbols) + finished
        score = log_prob / ((rule.k + length) / (rule.k + 1)) ** rule.alpha
        found.append(Hypothesis(symbols, log_prob, score, finished))
    return sorted(found, key=lambda text: -text.score)


def same(found: list[Hypothesis], expected: list[Hypothesis]) -> None:
    assert [(text.symbols, text.finished) for text in found] == [
        (text.symbols, text.finished) for text in expected
    ]
    for one, other in zip(found, expected, strict=True):
        assert one.log_prob == pytest.approx(other.log_prob, abs=1e-12)
        assert one.score == pytest.approx(other.score, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(3, 4),
    limit=st.integers(1, 4),
    seed=st.integers(0, 10**6),
    sharpness=st.sampled_from([0.3, 1.5, 4.0]),
    rule=st.sampled_from(RULES),
    keep=st.sampled_from([1, 2, 5, 1000]),
    never=st.sampled_from([[], [2], [END]]),
    impossible=st.sampled_from([[], [1]]),
)
def test_wide_enough_it_is_exact(
    size: int,
    limit: int,
    seed: int,
    sharpness: float,
    rule: LengthRule,
    keep: int,
    never: list[int],
    impossible: list[int],
) -> None:
    model = Recurrence(size, seed, sharpness, impossible)
    width = max(size**limit, keep)
    how: dict[str, Any] = {"never": never, "limit": limit, "length_rule": rule, "keep": keep}
    found = beam_search(model, [1], width=width, end=END, **how)
    same(found, ranked(model, [1], limit, never, rule)[:keep])


@pytest.mark.parametrize("rule", RULES)
def test_exact_with_longer_texts(rule: LengthRule) -> None:
    model = Recurrence(3, 5)
    found = beam_search(model, [2], width=3**5, end=END, limit=5, length_rule=rule, keep=9)
    expected = ranked(model, [2], 5, [], rule)
    same(found, expected[:9])
    assert {text.finished for text in expected[:9]} == {True, False}


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    width=st.integers(1, 6),
    rule=st.sampled_from(RULES),
    keep=st.integers(1, 6),
)
def test_narrow_searches_say_the_truth(seed: int, width: int, rule: LengthRule, keep: int) -> None:
    model, keep = Recurrence(4, seed), min(keep, width)
    found = beam_search(model, [3], width=width, end=END, limit=3, length_rule=rule, keep=keep)
    everything = ranked(model, [3], 3, [], rule)
    assert len(found) == keep
    places = [
        [t.symbols for t in everything if t.finished == f.finished].index(f.symbols) for f in found
    ]
    assert len(set(zip(places, [f.finished for f in found], strict=True))) == keep
    kept = {(text.symbols, text.finished) for text in found}
    same(found, [text for text in everything if (text.symbols, text.finished) in kept])


@pytest.mark.parametrize("seed", range(20))
def test_a_width_of_1_takes_the_most_probable_symbols(seed: int) -> None:
    model = Recurrence(5, seed)
    greedy = list(generate(model, [1], end=END, temperature=0, limit=6))
    for rule in RULES:
        [found] = beam_search(model, [1], width=1, end=END, limit=6, length_rule=rule)
        assert list(found.symbols) == greedy
        assert found.finished == (len(greedy) < 6)


# After 1 comes 2 or 3; what follows 2 is spread out, what follows 3 is certain.
PATHS = Told(
    [1, 0, 0, 0, 0],
    [0, 0, 0.6, 0.4, 0],
    [0.3, 0.2, 0.2, 0.2, 0.1],
    [0, 0, 0, 0, 1],
    [0.9, 0.1, 0, 0, 0],
)


def test_a_second_text_finds_what_the_first_misses() -> None:
    [greedy] = beam_search(PATHS, [1], width=1, end=END)
    assert greedy.symbols == (2,)
    assert greedy.log_prob == pytest.approx(math.log(0.18))
    [best] = beam_search(PATHS, [1], width=2, end=END)
    assert best.symbols == (3, 4)
    assert best.log_prob == best.score == pytest.approx(math.log(0.36))


def test_scores_by_hand() -> None:
    rules = RULES[:4]
    found = {rule: beam_search(PATHS, [1], width=2, end=END, length_rule=rule)[0] for rule in rules}
    log_prob = math.log(0.36)
    assert found[RULES[1]].score == pytest.approx(log_prob / 3)  # 3, 4 and the end symbol
    assert found[RULES[2]].score == pytest.approx(log_prob / math.sqrt(3))
    assert found[RULES[3]].score == pytest.approx(log_prob / (8 / 6) ** 0.6)
    assert {text.symbols for text in found.values()} == {(3, 4)}


def test_it_stops_as_soon_as_no_open_text_can_win() -> None:
    model = Told([1, 0], [0.9, 0.1])
    beam_search(model, [1], width=2, end=END, limit=50)
    assert model.asked == [[1]]
    # By the mean a longer text may still win: 0.9 over 1 against 0.1 over as many as 50.
    model = Told([1, 0, 0], [0.9, 0, 0.1], [0.001, 0, 0.999])
    how: dict[str, Any] = {"width": 3, "end": END, "length_rule": LengthRule(1)}
    [found] = beam_search(model, [1], limit=50, **how)
    assert found.symbols == (2,) * 50
    assert not found.finished
    assert found.score == pytest.approx((math.log(0.1) + 49 * math.log(0.999)) / 50)
    model.asked.clear()
    [found] = beam_search(model, [1], limit=20, **how)
    assert found.symbols == ()
    # The text of twos is given up once even all of 20 symbols are too few.
    assert model.asked == [[1]]


@pytest.mark.parametrize("rule", RULES)
def test_a_batch_is_each_prompt_alone(rule: LengthRule) -> None:
    model, prompts = Recurrence(5, 3), [[1], [2, 3, 1], [4, 4], [1]]
    how: dict[str, Any] = {
        "width": 3,
        "end": END,
        "limit": 5,
        "length_rule": rule,
        "keep": 3,
        "never": [4],
    }
    together = beam_search_batch(model, prompts, **how)
    assert len(together) == 4
    alone = [beam_search(model, prompt, **how) for prompt in prompts]
    for one, other in zip(together, alone, strict=True):
        same(one, other)
    assert alone[0] != alone[1] != alone[2]


class Fitted:
    """What is said hangs on a number of each row, which never changes."""

    def __init__(self, keep: Any) -> None:
        self.keep, self.given = keep, list[Any]()

    def begin(self, rows: int) -> Any:
        return torch.zeros(rows, 1), self.keep(torch.arange(rows * 2.0).view(rows, 2))

    def step(self, token: Tensor, state: Any) -> tuple[Tensor, Any]:
        h, memory = state
        own = memory.tree if isinstance(memory, Kept) else memory
        self.given.append(own)
        h = 0.5 * h + token[:, None]
        scores = torch.outer(own.sum(1) + h[:, 0], torch.tensor([0.4, 1.0, 3.0, 1.7])).sin()
        return scores.log_softmax(1), (h, memory)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("end", [END, None])
def test_what_no_step_changes_stays_with_its_prompt(end: int | None, seed: int) -> None:
    found, given = {}, {}
    for name, keep in {"moved": lambda tree: tree, "kept": Kept}.items():
        model = Fitted(keep)
        how: dict[str, Any] = {"width": 3, "end": end, "limit": 6, "keep": 2}
        found[name] = beam_search_batch(
            model, [[1 + (n + seed) % 3] for n in range(4)], state=model.begin(4), **how
        )
        given[name] = model.given
    assert found["moved"] == found["kept"]
    for one, other in zip(*given.values(), strict=True):
        assert torch.equal(one, other)
    places = [id(each) for each in given["kept"]]
    assert end == END or len({*places}) == 2  # of one text a prompt, and of three


def test_many_symbols_that_are_never_written() -> None:
    model = Recurrence(40, 3)
    for never in ([1, 2], list(range(1, 30))):
        (found,) = beam_search(model, [1], width=3, end=END, limit=2, never=never)
        assert found == ranked(model, [1], 2, never, LengthRule())[0]._replace(
            log_prob=found.log_prob, score=found.score
        )


def test_prompts_that_are_done_cost_nothing() -> None:
    model = Told([1, 0, 0], [1, 0, 0], [0, 0, 1])
    found = beam_search_batch(model, [[1], [2], [1]], width=2, end=END, limit=4)
    assert [text.symbols for [text] in found] == [(), (2, 2, 2, 2), ()]
    assert model.asked == [[1, 2, 1], [2], [2], [2]]


def test_nothing_is_possible() -> None:
    dead = Told([0, 0], [0, 1])  # after 0 comes nothing
    assert beam_search(dead, [1], width=2, end=None, never=[1]) == []
    assert beam_search_batch(dead, [[0], [1]], width=2, end=None, limit=2) == [
        [],
        [Hypothesis((1, 1), 0.0, 0.0, False)],
    ]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"width": 0}, "beam_search: width.* at least 1, got 0"),
        ({"width": 2, "keep": 3}, "beam_search: width.* at least 3, got 2"),
        ({"keep": 0}, "beam_search: keep.* got 0"),
        ({"limit": 0}, "beam_search: limit.* got 0"),
        ({"end": 7}, "beam_search: end: expected ids of 0 to 4, got 7"),
    ],
)
def test_wrong_settings(how: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=f"^{message}"):
        beam_search(PATHS, [1], **{"width": 1, "end": END} | how)


@pytest.mark.parametrize("alpha", [-0.1, 11, math.nan, "x"])
def test_wrong_rules(alpha: Any) -> None:
    with pytest.raises(SettingError, match=r"^LengthRule: .*alpha"):
        LengthRule(alpha)
    with pytest.raises(SettingError, match=r"^LengthRule: .*k of at least 0, got -1"):
        LengthRule(1, -1)


def test_a_text_shares_what_was_written_before_with_those_it_came_from() -> None:
    """A copy of it at each step would make time and memory grow with the square of its length."""
    before = None
    for symbol in range(1000):
        before = (before, symbol)
    log_probs, symbols = np.log([[0.6, 0.3]]), np.array([[1, 2]])
    ranked = beam._ranked([beam._Open(before, 0.0, 0)], 0, log_probs, symbols, 2)
    assert len(ranked) == 2
    assert all(text.written[0] is before for text in ranked)
    for text, last in zip(ranked, (1, 2), strict=True):
        found = beam._Found(text.written, text.log_prob, 0.0, False).spelled()
        assert found.symbols == (*range(1000), last)


def test_long_texts_are_those_of_every_step() -> None:
    """Thousands of symbols, which are let go of without running out of the stack."""
    model = Told([0.4, 0.6], [0.3, 0.7])
    found = beam_search(model, [1], width=3, end=None, limit=10_000, keep=3)
    assert found[0].symbols == (1,) * 10_000
    assert len(found[2].symbols) == 10_000


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"length_rule": 1.0}, "length_rule: expected a LengthRule, got float"),
        ({"length_rule": None}, "length_rule: expected a LengthRule, got NoneType"),
        ({"width": None}, "width.*, got None"),
        ({"limit": -1}, "limit.*, got -1"),
        ({"state": 5}, "state: expected what the model's `start` gives, got int"),
        ({"prompts": 5}, "prompts: expected lists of ids, got int"),
        ({"model": 5}, "expected a model with `start` and `step`, got int"),
    ],
)
def test_what_is_of_another_type_is_told(given: dict[str, Any], told: str) -> None:
    how: dict[str, Any] = {"model": Recurrence(5), "prompts": [[1]], "width": 2, "end": END}
    how |= given
    with pytest.raises(RecurraError, match=told):
        beam_search_batch(how.pop("model"), how.pop("prompts"), **how)
