"""N-grams against arithmetic by hand, against a slow reference, and against a real corpus."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from recurra.errors import ArtifactError, DataError, SettingError, ShapeError
from recurra.models.ngram import AddK, KneserNey, NGram

NAMES = Path(__file__).parents[3] / "shared" / "data" / "names" / "names.txt"
TOLERANCE = 1e-12
SINGLE = KneserNey(modified=False)

A, B, C, START, END = range(5)
TINY = [[A, B], [A, B, B], [B], [B, C]]


def tiny(order: int, smoothing: KneserNey | AddK) -> NGram:
    return NGram.fit(
        TINY, order=order, vocabulary_size=5, start=START, end=END, smoothing=smoothing
    )


# ---------------------------------------------------------------------------------------- by hand


def test_kneser_ney_bigram_by_hand() -> None:
    # <s> a b </s>   <s> a b b </s>   <s> b </s>   <s> b c </s>
    # Bigrams: <s>a 2, <s>b 2, ab 2, bb 1, b</s> 3, bc 1, c</s> 1; n1 = 3, n2 = 3, D2 = 3/9 = 1/3.
    # Left neighbors: a {<s>} 1, b {<s>, a, b} 3, c {b} 1, </s> {b, c} 2; sum 7;
    # n1 = 2 (a, c), n2 = 1 (</s>), D1 = 2/4 = 1/2. V = 4 (a, b, c, </s>).
    # P1(w) = (left - 1/2) / 7 + (1/2 * 4 / 7) / 4 = (left - 1/2) / 7 + 1/14 = left / 7.
    single = [Fraction(1, 7), Fraction(3, 7), Fraction(1, 7), Fraction(0), Fraction(2, 7)]
    # After a: b 2, sum 2, one follower: backoff 1/3 * 1/2 = 1/6; P(b|a) = (5/3)/2 + 1/6 P1(b).
    after_a = [Fraction(1, 6) * p for p in single]
    after_a[B] += Fraction(5, 6)
    assert after_a[B] == Fraction(19, 21)
    # After b: b 1, </s> 3, c 1, sum 5, three followers: backoff 1/3 * 3/5 = 1/5.
    after_b = [Fraction(1, 5) * p for p in single]
    after_b[B] += Fraction(2, 3) / 5
    after_b[C] += Fraction(2, 3) / 5
    after_b[END] += Fraction(8, 3) / 5
    assert after_b[END] == Fraction(62, 105)
    # After <s>: a 2, b 2, sum 4, two followers: backoff 1/3 * 2/4 = 1/6.
    after_start = [
        Fraction(37, 84),
        Fraction(41, 84),
        Fraction(2, 84),
        Fraction(0),
        Fraction(4, 84),
    ]

    model = tiny(2, SINGLE)
    for history, expected in ((A, after_a), (B, after_b), (START, after_start)):
        assert sum(expected) == 1
        np.testing.assert_allclose(
            model.distribution([history]), [float(p) for p in expected], rtol=TOLERANCE
        )
    # A history never seen backs off with weight 1.
    np.testing.assert_allclose(model.distribution([END]), [float(p) for p in single], rtol=1e-12)
    expected_score = [Fraction(37, 84), Fraction(19, 21), Fraction(62, 105)]
    np.testing.assert_allclose(
        model.score([A, B]), [math.log(p) for p in expected_score], rtol=TOLERANCE
    )


def test_kneser_ney_trigram_by_hand_at_the_start_of_a_document() -> None:
    # Trigrams: <s><s>a 2, <s><s>b 2, <s>ab 2, ab</s> 1, abb 1, bb</s> 1, <s>b</s> 1, <s>bc 1,
    # bc</s> 1; n1 = 6, n2 = 3, D3 = 6/12 = 1/2.
    # Bigrams by left neighbors: <s>a 1, <s>b 1 (a start symbol each), ab 1, bb 1, b</s> 3, bc 1,
    # c</s> 1; n1 = 6 but n2 = 0, so D2 = 1/2.
    # P2(a|<s>) = (1 - 1/2)/2 + (1/2 * 2/2) P1(a) = 1/4 + 1/2 * 1/7 = 9/28, with P1 as above.
    # P3(a|<s><s>) = (2 - 1/2)/4 + (1/2 * 2/4) P2(a|<s>) = 3/8 + 1/4 * 9/28 = 51/112.
    model = tiny(3, SINGLE)
    assert model.distribution([])[A] == pytest.approx(51 / 112, rel=TOLERANCE)
    assert model.distribution([START])[A] == pytest.approx(51 / 112, rel=TOLERANCE)
    # <s> after a symbol was never seen, so <s> alone speaks: (1 - 1/2)/2 + 1/2 * 1/7.
    assert model.distribution([B, START])[A] == pytest.approx(9 / 28, rel=TOLERANCE)


def test_kneser_ney_with_one_order_uses_raw_counts() -> None:
    # a 2, b 5, c 1, </s> 4, sum 12; n1 = 1, n2 = 1, D = 1/3; backoff 1/3 * 4/12 = 1/9, a quarter
    # of it each.
    expected = [(count - 1 / 3) / 12 + 1 / 36 for count in (2, 5, 1)]
    np.testing.assert_allclose(tiny(1, SINGLE).distribution([])[:3], expected, rtol=TOLERANCE)


@pytest.mark.parametrize(
    ("documents", "why"),
    [([[A, A], [A, A]], "no gram counted once"), ([[A, B, C]], "no gram counted twice")],
)
def test_degenerate_discounts_leave_something_for_seen_and_unseen(
    documents: list[list[int]], why: str
) -> None:
    model = NGram.fit(documents, order=3, vocabulary_size=5, start=START, end=None)
    for history in ([], [A], [A, A], [A, B], [C, C]):
        probability = model.distribution(history)
        assert probability.sum() == pytest.approx(1, abs=TOLERANCE), why
        assert (np.delete(probability, START) > 0).all(), why


def test_add_k_by_hand() -> None:
    # After b: b 1, </s> 3, c 1, sum 5; V = 4; k = 1/2: (c + 1/2) / (5 + 2).
    model = tiny(2, AddK(0.5))
    np.testing.assert_allclose(
        model.distribution([B]), [0.5 / 7, 1.5 / 7, 1.5 / 7, 0, 3.5 / 7], rtol=TOLERANCE
    )
    # The full order alone counts: an unseen history says nothing, whatever its last symbol.
    model = tiny(3, AddK(0.5))
    np.testing.assert_allclose(model.distribution([C, B]), [0.25, 0.25, 0.25, 0, 0.25])


def test_plain_counting_bigram() -> None:
    model = tiny(2, AddK(0))
    np.testing.assert_allclose(model.score([B, C]), np.log([2 / 4, 1 / 5, 1]), rtol=TOLERANCE)
    assert model.score([A, C]).tolist() == [math.log(2 / 4), -math.inf, 0.0]
    assert model.total([[A, C]]) == (math.inf, 3)
    np.testing.assert_allclose(model.distribution([END]), [0.25, 0.25, 0.25, 0, 0.25])


# ---------------------------------------------------------------------------------- the reference

Gram = tuple[int, ...]


def reference(
    documents: Sequence[Sequence[int]],
    order: int,
    size: int,
    start: int,
    end: int | None,
    lower_counts: str = "left",
) -> Callable[[Gram, int], float]:
    """Kneser-Ney from its definition, with dictionaries: (history, symbol) -> probability."""
    seen: dict[int, Counter[Gram]] = {k: Counter() for k in range(1, order + 1)}
    neighbors: dict[Gram, set[int]] = defaultdict(set)
    for document in documents:
        padded = [start] * (order - 1) + list(document) + ([] if end is None else [end])
        for last in range(order - 1, len(padded)):
            for k in range(1, order + 1):
                gram = tuple(padded[last - k + 1 : last + 1])
                seen[k][gram] += 1
                if k < order:
                    neighbors[gram].add(padded[last - k])
    counts = {
        k: {
            gram: len(neighbors[gram]) if k < order and lower_counts == "left" else count
            for gram, count in grams.items()
        }
        for k, grams in seen.items()
    }
    discounts = {}
    followers: dict[Gram, list[int]] = defaultdict(list)
    for k, grams in counts.items():
        once = sum(count == 1 for count in grams.values())
        twice = sum(count == 2 for count in grams.values())
        discounts[k] = once / (once + 2 * twice) if once and twice else 0.5
        for gram, count in grams.items():
            followers[gram[:-1]].append(count)

    def probability(history: Gram, symbol: int) -> float:
        if symbol == start:
            return 0.0
        result = 1 / (size - 1)
        for k in range(1, order + 1):
            suffix = history[len(history) - k + 1 :]
            if suffix in followers:
                total, kinds = sum(followers[suffix]), len(followers[suffix])
                kept = max(counts[k].get((*suffix, symbol), 0) - discounts[k], 0)
                result = kept / total + discounts[k] * kinds / total * result
        return result

    return probability


@st.composite
def corpora(draw: st.DrawFn) -> tuple[list[list[int]], int, int, int | None]:
    """Documents, vocabulary_size, start, end; ids in any arrangement."""
    size = draw(st.integers(3, 6))
    start, end = draw(st.permutations(range(size)))[:2]
    symbols = [symbol for symbol in range(size) if symbol not in (start, end)]
    document = st.lists(st.sampled_from(symbols), max_size=12)
    documents = draw(st.lists(document, min_size=1, max_size=6))
    has_end = draw(st.booleans()) or not any(documents)
    return documents, size, start, end if has_end else None


def histories_of(documents: list[list[int]], order: int, start: int, size: int) -> list[Gram]:
    """Every history seen in the documents, and a few more."""
    seen = {
        tuple(([start] * (order - 1) + document)[i : i + order - 1])
        for document in documents
        for i in range(len(document) + 1)
    }
    others = list(product(range(size), repeat=order - 1))
    return [*seen, *others[:: max(1, len(others) // 7)]]


@settings(max_examples=150, deadline=None)
@given(corpora(), st.integers(1, 5))
def test_kneser_ney_is_the_reference(
    corpus: tuple[list[list[int]], int, int, int | None], order: int
) -> None:
    documents, size, start, end = corpus
    model = NGram.fit(
        documents, order=order, vocabulary_size=size, start=start, end=end, smoothing=SINGLE
    )
    expected = reference(documents, order, size, start, end)
    for history in histories_of(documents, order, start, size):
        probability = model.distribution(history)
        slow = [expected(history, symbol) for symbol in range(size)]
        np.testing.assert_allclose(probability, slow, rtol=0, atol=TOLERANCE)
        assert probability.sum() == pytest.approx(1, abs=TOLERANCE)


@settings(max_examples=80, deadline=None)
@given(corpora(), st.integers(1, 5), st.sampled_from([KneserNey(), SINGLE, AddK(0.3), AddK(0)]))
def test_score_is_step_by_step_is_distribution(
    corpus: tuple[list[list[int]], int, int, int | None], order: int, smoothing: KneserNey | AddK
) -> None:
    documents, size, start, end = corpus
    assume(end is not None or any(documents[:3]))
    model = NGram.fit(
        documents[:3], order=order, vocabulary_size=size, start=start, end=end, smoothing=smoothing
    )
    for document in documents:
        symbols = document + ([] if end is None else [end])
        pure = [model.distribution(document[:i])[symbol] for i, symbol in enumerate(symbols)]
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose(model.score(document), np.log(pure), rtol=TOLERANCE)
        # Decoding is in float32.
        stepped, state = [], model.start(1)
        for token, symbol in zip([start, *symbols], symbols, strict=False):
            log_probs, state = model.step(torch.tensor([token]), state)
            stepped.append(float(log_probs[0, symbol]))
        np.testing.assert_allclose(stepped, model.score(document), rtol=1e-6, atol=1e-6)
    scores = [model.score(document) for document in documents]
    total, count = model.total(documents)
    assert count == sum(map(len, scores))
    assert total == pytest.approx(-sum(score.sum() for score in scores))


def test_a_reference_with_raw_counts_below_the_top_disagrees() -> None:
    random = np.random.default_rng(0)
    documents = random.integers(0, 4, (5, 30)).tolist()
    model = NGram.fit(documents, order=3, vocabulary_size=6, start=4, end=5, smoothing=SINGLE)
    histories = histories_of(documents, 3, 4, 6)
    for lower_counts, agrees in (("left", True), ("raw", False)):
        slow = reference(documents, 3, 6, 4, 5, lower_counts)
        gap = max(
            abs(model.distribution(history)[symbol] - slow(history, symbol))
            for history in histories
            for symbol in range(6)
        )
        assert gap < TOLERANCE if agrees else gap > 1e-3


# ------------------------------------------------------------------------------------- properties


@pytest.mark.parametrize("smoothing", [KneserNey(), AddK(0.1)])
def test_only_the_last_symbols_matter(smoothing: KneserNey | AddK) -> None:
    random = np.random.default_rng(1)
    documents = random.integers(0, 3, (4, 40))
    model = NGram.fit(documents, order=3, vocabulary_size=5, start=3, end=4, smoothing=smoothing)
    assert model.order == 3
    for a, b in product(range(3), repeat=2):
        short = model.distribution([a, b])
        for before in ([0], [1, 2, 2], [3, 2]):
            assert (model.distribution([*before, a, b]) == short).all()
    # One symbol fewer is not enough: the model does look at all of order - 1.
    assert (model.distribution([0, 1]) != model.distribution([1, 1])).any()


def test_decoding_protocol() -> None:
    model = tiny(3, KneserNey())
    state = model.start(3)
    assert state.tolist() == [[START, START]] * 3
    log_probs, state = model.step(torch.full((3,), START), state)
    assert log_probs.shape == (3, 5)
    assert log_probs.dtype == torch.float32
    np.testing.assert_allclose(log_probs[1].exp(), model.distribution([]), rtol=1e-6)
    assert (log_probs[:, START] == -math.inf).all()
    log_probs, state = model.step(np.array([A, B, C]), state)
    assert state.tolist() == [[START, A], [START, B], [START, C]]
    # Selecting rows of the state selects hypotheses.
    log_probs, state = model.step([B, B], state[[2, 0]])
    np.testing.assert_allclose(log_probs[0].exp(), model.distribution([C, B]), rtol=1e-6)
    np.testing.assert_allclose(log_probs[1].exp(), model.distribution([A, B]), rtol=1e-6)
    # A finished row may read its end symbol and go on; what it says then is nobody's.
    model.step([END, END], state)
    assert model.step([], model.start(0))[0].shape == (0, 5)
    assert tiny(1, KneserNey()).step([START], torch.zeros(1, 0, dtype=torch.int64))[1].shape == (
        1,
        0,
    )


@pytest.mark.parametrize("shape", [(2, 1), (2, 3), (1, 2), (3, 2), (2,), (2, 2, 1)])
def test_a_state_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    model = tiny(3, KneserNey())
    message = r"expected \[batch, order - 1\] = \[2, 2\] beside 2 tokens, got .*`start\(batch\)`"
    with pytest.raises(ShapeError, match=message):
        model.step([A, B], torch.full(shape, START))


def test_empty_documents_predict_the_end_alone() -> None:
    model = NGram.fit([[], []], order=3, vocabulary_size=5, start=START, end=END)
    assert model.score([]).shape == (1,)
    # </s> is all there is: 1/2 per order is discounted from counts 2, 1, 1.
    single = 1 / 2 + 1 / 2 * 1 / 4
    double = 1 / 2 + 1 / 2 * single
    assert math.exp(model.score([])[0]) == pytest.approx(3 / 4 + 1 / 4 * double, rel=TOLERANCE)
    no_end = NGram.fit([[A], []], order=3, vocabulary_size=5, start=START)
    assert no_end.score([]).shape == (0,)
    assert no_end.total([]) == no_end.total([[]]) == (0.0, 0)


def test_documents_do_not_see_each_other() -> None:
    # The shortest document is shorter than a history; b must not stand to the left of <s>.
    model = NGram.fit([[A], [B], [A]], order=4, vocabulary_size=5, start=START)
    assert model.counts == (3, 3, 3, 2)  # <s> and a, b; <s><s> and <s>a, <s>b; and so on
    swapped = NGram.fit([[B], [A], [A]], order=4, vocabulary_size=5, start=START)
    assert (model.distribution([]) == swapped.distribution([])).all()


@pytest.mark.parametrize("smoothing", [KneserNey(), SINGLE, AddK(0.25)])
@pytest.mark.parametrize("end", [END, None])
def test_round_trip(smoothing: KneserNey | AddK, end: int | None) -> None:
    random = np.random.default_rng(2)
    documents = random.integers(0, 3, (6, 50))
    model = NGram.fit(
        documents, order=4, vocabulary_size=300, start=START, end=end, smoothing=smoothing
    )
    again = NGram.from_arrays(load(save(model.arrays())))
    assert (again.order, again.vocabulary_size) == (4, 300)
    assert (again.start_symbol, again.end_symbol, again.smoothing) == (START, end, smoothing)
    assert again.counts == model.counts
    assert (again.score(documents[0]) == model.score(documents[0])).all()
    assert (again.distribution([0, 299, 1]) == model.distribution([0, 299, 1])).all()
    assert model.arrays()["counts.4"].dtype == np.uint8


def test_large_vocabulary() -> None:
    # 50,000 ** 5 is far beyond 64 bits; keys must not be.
    random = np.random.default_rng(3)
    words = random.choice(49_998, 20, replace=False)
    documents = words[random.integers(0, 20, (8, 60))]
    model = NGram.fit(
        documents,
        order=5,
        vocabulary_size=50_000,
        start=49_998,
        end=49_999,
        smoothing=SINGLE,
    )
    slow = reference(documents.tolist(), 5, 50_000, 49_998, 49_999)
    new = words[random.integers(0, 20, 100)]
    padded = (*[49_998] * 4, *new.tolist(), 49_999)
    expected = [math.log(slow(padded[i : i + 4], padded[i + 4])) for i in range(101)]
    np.testing.assert_allclose(model.score(new), expected, rtol=1e-12)
    assert model.distribution(documents[0, :4]).sum() == pytest.approx(1, abs=1e-9)


def test_bigram_of_all_names() -> None:
    if not NAMES.exists():
        pytest.skip(f"needs the list of names at {NAMES}")
    letters = "abcdefghijklmnopqrstuvwxyz"
    names = [[letters.index(letter) for letter in name] for name in NAMES.read_text().split()]
    assert len(names) == 32_033
    model = NGram.fit(names, order=2, vocabulary_size=28, start=26, end=27, smoothing=AddK(0))
    total, count = model.total(names)
    assert count == sum(map(len, names)) + len(names)
    assert total / count == pytest.approx(2.454, abs=0.005)


# ----------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([[A, B], [A, 7]], r"^document 1: expected ids of 0 to 4.*got 7 at position 1"),
        ([[A], [], [B, -1]], r"^document 2: expected ids of 0 to 4.*got -1 at position 1"),
        ([[A, START]], r"without the start and end symbols \[3, 4\], got 3 at position 1"),
        ([[END]], r"^document 0: .*got 4 at position 0"),
        ([[A], [0.5]], r"^document 1: .*integer ids, got float64 of shape \[1\]"),
        ([[[A, B]]], r"1-d array.*shape \[1, 2\]"),
        ([[[A], [A, B]]], r"^document 0: expected a 1-d array of integer ids"),
        ([A, B], r"shape \[\].*list of one array"),
    ],
)
def test_bad_documents(documents: list[object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        NGram.fit(documents, order=2, vocabulary_size=5, start=START, end=END)
    with pytest.raises(DataError, match=message):
        tiny(2, KneserNey()).total(documents)


@pytest.mark.parametrize("documents", [[], [[], []]])
def test_nothing_to_count(documents: list[list[int]]) -> None:
    with pytest.raises(DataError, match="at least one symbol to predict"):
        NGram.fit(documents, order=2, vocabulary_size=5, start=START)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"order": 0}, r"order: expected a whole number of 1 to 64, got 0"),
        ({"order": 65}, "order: .*got 65"),
        ({"order": True}, "order: .*got True"),
        ({"order": 2.0}, r"order: expected a whole number of 1 to 64, got 2.0"),
        (
            {"vocabulary_size": 1},
            r"vocabulary_size, start included: expected .* 2 to 2147483647, got 1",
        ),
        ({"start": 5}, r"start: expected a whole number of 0 to 4, got 5"),
        ({"end": -1}, r"end: expected a whole number of 0 to 4, got -1"),
        ({"end": START}, r"end: expected another id than start, or None for no end, got 3"),
    ],
)
def test_bad_settings(wrong: dict[str, int], message: str) -> None:
    right = {"order": 2, "vocabulary_size": 5, "start": START, "end": END}
    with pytest.raises(SettingError, match=message):
        NGram.fit(TINY, **(right | wrong))


@pytest.mark.parametrize("k", [-0.1, math.nan, math.inf, "1", None])
def test_bad_k(k: float) -> None:
    with pytest.raises(SettingError, match=r"AddK: k: expected .*number.*, got"):
        AddK(k)


def test_bad_decoding() -> None:
    model = tiny(3, KneserNey())
    with pytest.raises(DataError, match=r"^token: .*got 5 at position 1"):
        model.step([A, 5], model.start(2))
    with pytest.raises(ShapeError, match=r"\[2, 2\].*got \[3, 2\]"):
        model.step([A, B], model.start(3))
    with pytest.raises(DataError, match=r"^history: .*got -2 at position 0"):
        model.distribution([-2])


def test_damaged_arrays_are_refused() -> None:
    arrays = tiny(3, AddK(1)).arrays()
    for name in arrays:
        others = {other: values for other, values in arrays.items() if other != name}
        with pytest.raises(ArtifactError, match=f"KeyError.*{name}.*damaged"):
            NGram.from_arrays(others)
        if name != "add_k":  # an empty one is that of a Kneser-Ney model
            with pytest.raises(ArtifactError, match="damaged"):
                NGram.from_arrays(others | {name: arrays[name][:-1]})
    with pytest.raises(ArtifactError, match=r"keys.2 and counts.2 do not fit"):
        NGram.from_arrays(arrays | {"keys.2": arrays["keys.2"] * 0})
