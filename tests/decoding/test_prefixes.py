"""The native prefix search beside its definition in arrays: the same texts and the same bits."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from recurra import HotWords, NGram, PrefixSearch, Transcript, best_path, prefix_search
from recurra.decoding import Fusion, ctc
from recurra.errors import SettingError
from recurra_runtime.backend import core

Logs = NDArray[np.float64]
Draw = np.random.Generator

pytestmark = pytest.mark.skipif(core() is None, reason="the native module is off")


def searched(way: Any, parts: list[Logs], keep: int, **how: Any) -> list[Transcript]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ctc, "core", lambda: way)
        search = PrefixSearch(**how)
        for part in parts:
            search.push(part)
        return search.texts(keep)


def agree(logs: Logs, *, keep: int = 100, cuts: list[int] | None = None, **how: Any) -> None:
    native = searched(core(), np.split(logs, cuts or []), keep, **how)
    assert native == searched(None, [logs], keep, **how)


def unsure(draw: Draw, time: int, size: int, blank: int) -> Logs:
    return draw.normal(0, draw.choice([0.5, 3, 10]), (time, size))


def with_gaps(draw: Draw, time: int, size: int, blank: int) -> Logs:
    logs = unsure(draw, time, size, blank)
    logs[draw.random((time, size)) < 0.3] = -np.inf
    return logs


def tied(draw: Draw, time: int, size: int, blank: int) -> Logs:
    return np.round(draw.normal(0, 1, (time, size)))


def silent(draw: Draw, time: int, size: int, blank: int) -> Logs:
    logs = unsure(draw, time, size, blank)
    logs[draw.random(time) < 0.7] = -50
    logs[:, blank] = 0
    return logs


def stuttering(draw: Draw, time: int, size: int, blank: int) -> Logs:
    said = draw.integers(0, min(size, 2), time)
    return np.where(said[:, None] == np.arange(size), 0.0, draw.normal(-6, 2, (time, size)))


def beyond(draw: Draw, time: int, size: int, blank: int) -> Logs:
    """What is no log-probability, and makes NaN of sums."""
    logs = with_gaps(draw, time, size, blank)
    logs[draw.random((time, size)) < 0.02] = np.inf
    return logs


@pytest.mark.parametrize("width", [1, 2, 3, 8, 100])
@pytest.mark.parametrize("make", [unsure, with_gaps, tied, silent, stuttering, beyond])
@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_native_and_arrays_say_the_same(
    make: Callable[[Draw, int, int, int], Logs], width: int
) -> None:
    draw = np.random.default_rng(width)
    for _ in range(60):
        time, size = int(draw.integers(0, 20)), int(draw.integers(1, 7))
        blank = int(draw.integers(0, size))
        hot = None
        if size > 1 and draw.random() < 0.4:
            words = [draw.integers(0, size - 1, int(draw.integers(1, 4))) for _ in range(3)]
            hot = HotWords([w.tolist() for w in words], size - (blank == size - 1), 1.5)
        agree(
            make(draw, time, size, blank),
            blank=blank,
            width=width,
            threshold=[None, 0.0, 1.0, 15.0][draw.integers(0, 4)],
            least=[None, None, -8.0, 0.0][draw.integers(0, 4)],
            hot=hot,
            cuts=sorted(draw.integers(0, time + 1, 2).tolist()),
        )


@pytest.mark.parametrize("least", [None, -6.0])
@pytest.mark.parametrize("width", [1, 20, 64])
def test_they_say_the_same_of_many_symbols_and_steps(width: int, least: float | None) -> None:
    draw = np.random.default_rng(width)
    for size in (16, 17, 33, 70):  # around whole blocks of symbols
        logs = draw.normal(0, 2, (80, size))
        logs[:, 0] += 4
        logs -= np.logaddexp.reduce(logs, 1, keepdims=True)
        agree(logs, blank=0, width=width, least=least)
        agree(np.round(logs), blank=0, width=width, least=least)


@pytest.mark.parametrize("way", ["native", "arrays"])
def test_of_equal_texts_the_first_stay(way: str) -> None:
    native = core() if way == "native" else None
    even = np.zeros((1, 4))
    found = searched(native, [even], 9, blank=3, width=3)
    assert [text.symbols for text in found] == [(), (0,), (1,)]
    found = searched(native, [even[:, ::-1]], 9, blank=0, width=2)
    assert [text.symbols for text in found] == [(), (1,)]


@pytest.mark.parametrize("way", ["native", "arrays"])
@pytest.mark.parametrize("threshold", [None, 3.0])
def test_where_nothing_can_be_said_no_text_is_left(way: str, threshold: float | None) -> None:
    native = core() if way == "native" else None
    parts = [np.zeros((2, 3)), np.full((1, 3), -np.inf), np.zeros((2, 3))]
    assert searched(native, parts, 9, blank=2, width=4, threshold=threshold) == []


@pytest.mark.parametrize("way", ["native", "arrays"])
def test_before_the_first_step_there_is_the_empty_text(way: str) -> None:
    native = core() if way == "native" else None
    empty = [Transcript((), 0.0, 0.0)]
    assert searched(native, [], 3, blank=2, width=4) == empty
    assert searched(native, [np.zeros((0, 3))], 3, blank=2, width=4) == empty
    assert searched(native, [np.zeros((0, 0))], 3, blank=0, width=4) == empty


def test_any_layout_is_read() -> None:
    logs = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
    wanted = searched(None, [logs.astype(np.float64)], 9, blank=4, width=9)
    for same in (logs, logs.T.copy().T, np.repeat(logs, 2, 0)[::2], logs.tolist()):
        assert searched(core(), [same], 9, blank=4, width=9) == wanted


def test_a_copy_goes_its_own_way() -> None:
    logs = np.random.default_rng(1).normal(size=(20, 5))
    search = PrefixSearch(blank=4, width=6, hot=HotWords([[0, 1]], 4))
    search.push(logs[:10])
    other, before = copy.deepcopy(search), search.texts(6)
    other.push(logs[10:])
    assert search.texts(6) == before
    search.push(logs[10:])
    assert search.texts(6) == other.texts(6) != before


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
@pytest.mark.parametrize("way", ["native", "arrays", "language"])
def test_copies_of_what_has_begun_share_no_texts(
    copied: Callable[[Any], Any], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "arrays":
        monkeypatch.setattr(ctc, "core", lambda: None)
    gram = NGram.fit([[0, 1, 1, 0]], order=2, vocabulary_size=6, start=4, end=5)
    how = {"language": Fusion(gram, start=4, end=5)} if way == "language" else {}
    draw = np.random.default_rng(1)
    first, one, two = draw.normal(size=(3, 10, 5))

    def begun(*more: Logs) -> PrefixSearch:
        search = PrefixSearch(blank=4, width=6, hot=HotWords([[0, 1]], 4), **how)
        for steps in (first, *more):
            search.push(steps)
        return search

    search = begun()
    other, before = copied(search), search.texts(6)
    other.push(one)
    assert search.texts(6) == before
    search.push(two)
    assert other.texts(6) == begun(one).texts(6)
    assert search.texts(6) == begun(two).texts(6)
    unread = PrefixSearch(blank=4, width=6, **how)
    begins = copied(unread)
    begins.push(first)
    assert unread.texts() == [Transcript((), 0.0, 0.0)]


def test_what_has_begun_is_pickled_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    first, more = np.random.default_rng(1).normal(size=(2, 10, 5))
    search = PrefixSearch(blank=4, width=6)
    back = pickle.loads(pickle.dumps(search))
    search.push(first)
    with pytest.raises(SettingError, match=r"one that has begun is not pickled.*push them again"):
        pickle.dumps(search)
    monkeypatch.setattr(ctc, "core", lambda: None)
    back.push(first)
    again = pickle.loads(pickle.dumps(back))
    again.push(more)
    assert back.texts(6) == search.texts(6)
    search.push(more)
    assert again.texts(6) == search.texts(6)


def test_threads_wait_for_each_other() -> None:
    step = np.random.default_rng(2).normal(size=(5, 20))
    search, alone = (PrefixSearch(blank=0, width=20) for _ in range(2))
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(search.push, step) for _ in range(40)]:
            done.result()
    for _ in range(40):
        alone.push(step)
    assert search.texts(20) == alone.texts(20)


def test_what_would_leave_memory_is_refused() -> None:
    make: Any = core().PrefixSearch  # type: ignore[union-attr]
    rest = (4, np.inf, -np.inf)
    none = (None, None, None)
    for size, blank, width in ((3, 3, 4), (3, -1, 4), (0, 0, 4), (3, 0, 0), (1 << 50, 0, 4)):
        with pytest.raises(ValueError, match="a blank below the size"):
            make(size, blank, width, *rest[1:], *none)
    search = make(3, 2, *rest, *none)
    with pytest.raises(ValueError, match="steps of another size"):
        search.push(np.zeros((2, 4)))
    with pytest.raises(TypeError):
        search.push(np.zeros((2, 3), np.float32))
    states, bonus, begun = np.zeros((2, 3), np.int64), np.zeros((2, 3)), np.zeros(2)
    for tables in (
        (states, None, begun),
        (states, bonus[:1], begun),
        (states, bonus[:, :2].copy(), begun),
        (states, bonus, begun[:1]),
        (states[:0], bonus[:0], begun[:0]),
    ):
        with pytest.raises(ValueError, match="hot words of different sizes"):
            make(3, 2, *rest, *tables)
    for size, blank in ((4, 2), (5, 4)):
        with pytest.raises(ValueError, match="hot words of all symbols"):
            make(size, blank, *rest, states, bonus, begun)
    changed = make(3, 2, *rest, states + 2, bonus, begun)
    with pytest.raises(IndexError, match="hot words were changed"):
        changed.push(np.zeros((1, 3)))


def test_log_probabilities_in_bfloat16() -> None:
    steps = torch.randn(5, 4).log_softmax(1).bfloat16()
    found = prefix_search(steps, blank=3, width=8)
    assert found == prefix_search(steps.float(), blank=3, width=8)
    assert best_path(steps, blank=3) == best_path(steps.float(), blank=3)
