"""Prefix beam search beside the enumeration of every alignment, in float64."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from recurra import (
    Fusion,
    HotWords,
    NGram,
    PrefixSearch,
    RunError,
    SettingError,
    ShapeError,
    align,
    best_path,
    prefix_search,
)
from recurra.decoding import ctc
from recurra.errors import InputTypeError
from recurra_runtime.backend import core

Logs = NDArray[np.float64]
ALL = 10_000  # texts, more than there are
GRAM = NGram.fit([[0, 1, 1, 0], [1, 0, 0]], order=2, vocabulary_size=4, start=2, end=3)


@pytest.fixture(autouse=True, params=["native", "arrays"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "arrays":
        monkeypatch.setattr(ctc, "core", lambda: None)
    elif core() is None:
        pytest.skip("the native module is off")


def logs_of(time: int, symbols: int = 2, seed: int = 0) -> Logs:
    draw = np.random.default_rng(seed)
    with np.errstate(divide="ignore"):
        found: Logs = np.log(draw.dirichlet([0.5] * (symbols + 1), size=time))
    return found.reshape(time, symbols + 1)


def joined(path: tuple[int, ...], blank: int) -> tuple[int, ...]:
    kept = [s for at, s in enumerate(path) if not at or path[at - 1] != s]
    return tuple(s for s in kept if s != blank)


def every(logs: Logs, blank: int) -> dict[tuple[int, ...], float]:
    """The log-probability of each text, alignment by alignment."""
    found: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(logs.shape[1]), repeat=len(logs)):
        total = float(sum(logs[t, s] for t, s in enumerate(path)))
        text = joined(path, blank)
        found[text] = float(np.logaddexp(found.get(text, -np.inf), total))
    return found


@pytest.mark.parametrize("blank", [0, 1, 2])
@pytest.mark.parametrize("time", range(7))
def test_what_leaves_nothing_out_is_exact(time: int, blank: int) -> None:
    logs = logs_of(time, seed=time)
    wanted = every(logs, blank)
    found = prefix_search(logs, blank=blank, width=ALL, keep=ALL)
    assert {text.symbols for text in found} == set(wanted)
    for text in found:
        assert text.log_prob == pytest.approx(wanted[text.symbols], abs=1e-12)
    assert [text.score for text in found] == sorted((t.score for t in found), reverse=True)


def test_a_text_that_left_the_beam_and_comes_back_is_one_text() -> None:
    for seed in range(40):
        found = prefix_search(logs_of(12, 3, seed), blank=3, width=3, keep=3)
        assert len({text.symbols for text in found}) == len(found)


def test_a_narrow_beam_never_says_more_than_all_alignments() -> None:
    for seed in range(20):
        logs = logs_of(6, seed=seed)
        wanted = every(logs, 2)
        for text in prefix_search(logs, blank=2, width=2, keep=2):
            assert text.log_prob <= wanted[text.symbols] + 1e-12


def test_a_language_model_weighs_in_with_alpha_beta_and_its_end() -> None:
    logs = logs_of(5)
    wanted = every(logs, 2)
    fusion = Fusion(GRAM, 0.7, 0.3, start=2, end=3)
    for text in prefix_search(logs, blank=2, width=ALL, keep=ALL, language=fusion):
        of_text = float(GRAM.score(list(text.symbols)).sum())
        score = wanted[text.symbols] + 0.7 * of_text + 0.3 * len(text.symbols)
        assert text.score == pytest.approx(score, abs=1e-5)  # the n-gram steps in float32
        assert text.log_prob == pytest.approx(wanted[text.symbols], abs=1e-12)


def test_ids_of_a_language_model_may_be_others() -> None:
    class Swapped:
        """The same n-gram, whose 0 is 1."""

        def start(self, batch: int) -> Any:
            return GRAM.start(batch)

        def step(self, token: torch.Tensor, state: Any) -> Any:
            swap = torch.tensor([1, 0, 2, 3])
            logs, state = GRAM.step(swap[token], state)
            return logs[:, swap], state

    logs = logs_of(5)
    plain, swapped = (
        prefix_search(logs, blank=2, width=9, keep=9, language=fusion)
        for fusion in (
            Fusion(GRAM, start=2, end=3),
            Fusion(Swapped(), start=2, end=3, ids=[1, 0]),
        )
    )
    assert plain == swapped
    with pytest.raises(SettingError, match="ids from 0 to 3"):
        prefix_search(logs, blank=2, width=9, language=Fusion(GRAM, start=2, ids=[0, 9]))
    with pytest.raises(SettingError, match="an id for each of 2 symbols"):
        prefix_search(logs, blank=2, width=9, language=Fusion(GRAM, start=2, ids=[0]))


def test_an_alpha_of_0_leaves_what_a_model_forbids() -> None:
    logs = logs_of(4, 3)  # symbol 2 is the n-gram's start, of probability 0
    plain = prefix_search(logs, blank=3, width=ALL, keep=ALL)
    beside = Fusion(GRAM, 0.0, 0.0, start=2, end=3)
    assert prefix_search(logs, blank=3, width=ALL, keep=ALL, language=beside) == plain
    forbids = prefix_search(
        logs, blank=3, width=ALL, keep=ALL, language=Fusion(GRAM, 0.1, start=2, end=3)
    )
    assert all(2 not in text.symbols for text in forbids)


def worth(text: tuple[int, ...], words: list[list[int]]) -> int:
    """Symbols of the longest word that ends at each place, together."""
    ends = (
        max((len(w) for w in words if list(text[max(0, n - len(w)) : n]) == w), default=0)
        for n in range(1, len(text) + 1)
    )
    return sum(ends)


@pytest.mark.parametrize(
    "words",
    [
        [[0, 1]],
        [[0, 1], [1, 1, 0]],
        [[0], [0, 1, 0]],
        [[1, 0, 1, 0]],
        [[0, 1, 0], [1]],
        [[0, 1, 1, 0], [1, 1]],
    ],
)
def test_hot_words_add_their_bonus_and_what_breaks_off_takes_it_back(
    words: list[list[int]],
) -> None:
    logs = logs_of(6)
    wanted = every(logs, 2)
    hot = HotWords(words, 2, 1.5)
    for text in prefix_search(logs, blank=2, width=ALL, keep=ALL, hot=hot):
        score = wanted[text.symbols] + 1.5 * worth(text.symbols, words)
        assert text.score == pytest.approx(score, abs=1e-9)


def test_hot_words_of_other_symbols_are_refused() -> None:
    for words in ([], [[]], [[2]]):
        with pytest.raises(SettingError, match="expected words of symbols from 0 to 1"):
            HotWords(words, 2)
    with pytest.raises(SettingError, match="words of 3 symbols"):
        prefix_search(logs_of(3, 3), blank=3, width=4, hot=HotWords([[0]], 2))
    with pytest.raises(SettingError, match="words of 2 symbols"):  # the numbers behind the blank
        prefix_search(logs_of(3), blank=0, width=4, hot=HotWords([[0]], 2))


def test_parts_give_what_the_whole_gives() -> None:
    logs = logs_of(30, 4)
    fusion = Fusion(NGram.fit([[0, 1]], order=2, vocabulary_size=6, start=4, end=5), start=4, end=5)
    whole = prefix_search(logs, blank=4, width=8, keep=8, language=fusion)
    search = PrefixSearch(blank=4, width=8, language=fusion)
    for part in np.split(logs, [0, 1, 7, 7, 20]):
        search.push(part)
    assert search.texts(8) == whole
    assert search.texts() == whole[:1]
    with pytest.raises(ShapeError, match="steps of 5 log-probabilities as before, got 6"):
        search.push(np.zeros((1, 6)))


def test_a_threshold_gives_up_what_is_far_behind() -> None:
    logs = logs_of(6)
    found = prefix_search(logs, blank=2, width=ALL, keep=ALL)
    near = prefix_search(logs, blank=2, width=ALL, keep=ALL, threshold=2.0)
    assert 0 < len(near) < len(found)
    assert all(text.score >= near[0].score - 2 for text in near)


def test_symbols_below_the_least_begin_nothing() -> None:
    logs = np.log(np.array([[0.9, 0.01, 0.09], [0.01, 0.9, 0.09]]))
    found = prefix_search(logs, blank=2, width=ALL, keep=ALL, least=np.log(0.05))
    assert {text.symbols for text in found} == {(0, 1), (0,), (1,), ()}


def test_the_best_path_is_that_of_the_best_symbols() -> None:
    logs = np.log(np.array([[0.6, 0.3, 0.1], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.5, 0.3, 0.2]]))
    found = best_path(logs, blank=2)
    assert found.symbols == (0, 0)
    assert found.log_prob == pytest.approx(float(np.log(0.6 * 0.6 * 0.7 * 0.5)))
    assert best_path(np.zeros((0, 3)), blank=2).symbols == ()


def test_the_sum_of_alignments_may_beat_the_best_path() -> None:
    logs = np.log(np.array([[0.4, 0.6], [0.4, 0.6]]))
    assert best_path(logs, blank=1).symbols == ()
    assert prefix_search(logs, blank=1, width=4)[0].symbols == (0,)


@pytest.mark.parametrize("time", range(1, 7))
def test_an_alignment_is_the_best_of_all_that_say_the_text(time: int) -> None:
    logs = logs_of(time, seed=time)
    best: dict[tuple[int, ...], tuple[float, tuple[int, ...]]] = {}
    for path in itertools.product(range(3), repeat=time):
        total = float(sum(logs[t, s] for t, s in enumerate(path)))
        text = joined(path, 2)
        best[text] = max(best.get(text, (-np.inf, path)), (total, path))
    for text, (total, path) in best.items():
        found = align(logs, text, blank=2)
        assert found.log_prob == pytest.approx(total, abs=1e-12)
        begins = [t for t in range(time) if path[t] != 2 and (not t or path[t - 1] != path[t])]
        assert list(found.first) == begins
        for first, last, peak, sure, symbol in zip(*found[:4], text, strict=True):
            assert sure == pytest.approx(np.exp(logs[first : last + 1, symbol].max()))
            assert logs[peak, symbol] == logs[first : last + 1, symbol].max()


def test_what_steps_cannot_say_is_not_aligned() -> None:
    with pytest.raises(SettingError, match="2 steps cannot say this text of 2 symbols"):
        align(logs_of(2), [0, 0], blank=2)
    with pytest.raises(SettingError, match="0 steps cannot say"):
        align(logs_of(0), [0], blank=2)
    for symbol in (2, 3, 4, -1):
        with pytest.raises(SettingError, match=f"symbols beside the blank 2, got {symbol}"):
            align(logs_of(3), [symbol], blank=2)
    assert align(logs_of(0), [], blank=2).log_prob == 0.0


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"width": 0}, "width"),
        ({"threshold": -1.0}, "threshold of at least 0"),
        ({"threshold": np.inf}, "threshold: expected a finite number"),
        ({"least": np.nan}, "least: expected a finite number"),
        ({"language": Fusion(GRAM, -1.0)}, "alpha of at least 0"),
        ({"language": GRAM}, r"language: expected a recurra\.decoding\.Fusion or None, got "),
        ({"hot": ["a"]}, r"hot: expected recurra\.HotWords or None, got list"),
        ({"width": None}, "width: .*, got None"),
        ({"keep": "2"}, "keep: .*, got '2'"),
    ],
)
def test_numbers_out_of_range_are_refused(how: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingError, match=told):
        prefix_search(logs_of(3), blank=2, **{"width": 4, **how})


@pytest.mark.parametrize("what", ["ab", [["a"]], [[0.1], [0.1, 0.2]], [[1j, 2]], {"a": 1}])
def test_what_are_no_numbers_is_refused(what: Any) -> None:
    told = r"log_probs: expected numbers \[time, symbols \+ 1\], got "
    with pytest.raises(InputTypeError, match=told):
        prefix_search(what, blank=0, width=3)
    with pytest.raises(InputTypeError, match=told):
        PrefixSearch(blank=0, width=3).push(what)
    with pytest.raises(InputTypeError, match=told):
        best_path(what, blank=0)
    with pytest.raises(SettingError, match=r"best_path: blank: .*, got '0'"):
        best_path(logs_of(2), blank="0")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "size", "told"),
    [
        (["ab"], 3, r"expected runs of symbols, whole numbers, got \['ab'\]"),
        (5, 3, "expected runs of symbols, whole numbers, got 5"),
        ([5], 3, r"expected runs of symbols, whole numbers, got \[5\]"),
        ([[0]], "3", "HotWords: size: .*, got '3'"),
    ],
)
def test_what_are_no_hot_words_is_refused(words: Any, size: Any, told: str) -> None:
    with pytest.raises(SettingError, match=told):
        HotWords(words, size)


def test_what_are_no_log_probabilities_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"\[time, symbols \+ 1\]"):
        prefix_search(np.zeros(3), blank=0, width=4)
    with pytest.raises(ShapeError, match="the blank 3 among them"):
        best_path(np.zeros((2, 3)), blank=3)
    for blank in (0, 3):
        with pytest.raises(ShapeError, match=f"the blank {blank} among them"):
            prefix_search(np.zeros((2, 3 * (blank > 0))), blank=blank, width=4)
    with pytest.raises(RunError, match="NaN"):
        prefix_search(np.full((2, 3), np.nan), blank=2, width=4)
    logs = logs_of(4)
    search = PrefixSearch(blank=2, width=4)
    search.push(logs)
    before = search.texts(4)
    with pytest.raises(RunError, match="NaN"):
        search.push(np.append(logs, np.full((1, 3), np.nan), 0))
    assert search.texts(4) == before
