"""N-grams where the answer is known: sums of one, Markov chains, a corpus, and as decoders."""

from __future__ import annotations

import functools
import math
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from splitting import split_documents

from recurra.data import (
    END,
    START,
    UNKNOWN,
    CharacterVocabulary,
    MarkovChain,
    read_text,
)
from recurra.decoding import generate
from recurra.models import AddK, KneserNey, NGram
from recurra.states import select_rows

NAMES = Path(__file__).parents[3] / "shared" / "data" / "names" / "names.txt"

Smoothing = KneserNey | AddK
smoothings = st.one_of(
    st.builds(KneserNey, modified=st.booleans()),
    st.builds(AddK, st.sampled_from([0, 0.01, 1]) | st.floats(0, 100)),
)


@st.composite
def models(draw: st.DrawFn, orders: st.SearchStrategy[int]) -> tuple[NGram, list[int]]:
    """A fitted model and what may stand in its documents."""
    size = draw(st.integers(3, 5))
    start, end = draw(st.permutations(range(size)))[:2]
    alphabet = [symbol for symbol in range(size) if symbol not in (start, end)]
    document = st.lists(st.sampled_from(alphabet), max_size=15)
    documents = draw(st.lists(document, min_size=1, max_size=5))
    has_end = draw(st.booleans())
    assume(has_end or any(documents))
    model = NGram.fit(
        documents,
        order=draw(orders),
        vocabulary_size=size,
        start=start,
        end=end if has_end else None,
        smoothing=draw(smoothings),
    )
    return model, alphabet


# ------------------------------------------------------------------------------------ properties


@settings(max_examples=80, deadline=None)
@given(models(st.integers(1, 5)))
def test_continuations_sum_to_one_after_every_history(made: tuple[NGram, list[int]]) -> None:
    """All that can be written with the ids: seen, unseen, at the start, behind an end."""
    model, _ = made
    length = model.order - 1
    histories = torch.tensor(list(product(range(model.vocabulary_size), repeat=max(length, 1))))
    # A step reads the newest symbol; what falls out of the state on the left is nobody's.
    older = torch.cat([histories[:, :1], histories[:, :-1]], 1)[:, :length]
    log_probs, _ = model.step(histories[:, -1], older)
    assert bool((log_probs[:, model.start_symbol] == -math.inf).all())
    torch.testing.assert_close(log_probs.exp().sum(1), torch.ones(len(histories)))
    for row in torch.randperm(len(histories), generator=torch.Generator().manual_seed(0))[:40]:
        odds = model.distribution(histories[row].numpy())
        assert odds.min() >= 0
        assert odds.sum() == pytest.approx(1, abs=1e-12)
        np.testing.assert_allclose(log_probs[row].exp(), odds, rtol=1e-6, atol=1e-7)
    for beginning in range(model.order):
        odds = model.distribution([model.start_symbol] * beginning)
        assert (odds == model.distribution([])).all()


@settings(max_examples=80, deadline=None)
@given(models(st.integers(1, 6)), st.data())
def test_the_markov_property(made: tuple[NGram, list[int]], data: st.DataObject) -> None:
    """What came before the last order - 1 symbols changes not one bit, whoever asks."""
    model, alphabet = made
    symbol = st.sampled_from(alphabet)
    length = model.order - 1
    shared = data.draw(st.lists(symbol, min_size=length, max_size=length))
    rest = data.draw(st.lists(symbol, min_size=1, max_size=4))
    pasts = data.draw(st.lists(st.lists(symbol, max_size=9), min_size=2, max_size=3))
    odds = [model.distribution([*past, *shared]) for past in pasts]
    # From the distribution after the shared symbols on, the ends of documents included.
    scores = [model.score([*past, *shared, *rest])[len(past) + length :] for past in pasts]
    states, steps = [], []
    for past in pasts:
        state = model.start(1)
        for token in [model.start_symbol, *past, *shared]:
            log_probs, state = model.step([token], state)
        steps.append(log_probs)
        states.append(state)
    for number in range(1, len(pasts)):
        assert (odds[number] == odds[0]).all()
        assert (scores[number] == scores[0]).all()
        assert torch.equal(steps[number], steps[0])
        assert torch.equal(states[number], states[0])
    assert states[0][0].tolist() == shared


# --------------------------------------------------------------------------------- Markov chains


@functools.cache
def learned(order: int) -> tuple[MarkovChain, npt.NDArray[np.int64]]:
    """A chain and 100,000 of its symbols."""
    chain = MarkovChain.drawn(3, order, concentration=0.7, seed=order)
    sample = chain.source(rows=20, seed=1).take(5000).T.numpy()
    return chain, sample


def cross_entropy(chain: MarkovChain, model: NGram) -> float:
    """Nats per symbol of the model in the long run, exactly: no sample, so no chance."""
    seen, table = chain.stationary.numpy(), chain.table.numpy()
    return -sum(
        seen[context] * float(table[context] @ np.log(model.distribution(context)[: chain.symbols]))
        for context in np.ndindex(seen.shape)
    )


def conditional_entropy(chain: MarkovChain, length: int) -> float:
    """Nats per symbol that must stay for whoever knows the last ``length`` symbols alone."""
    joint = (chain.stationary[..., None] * chain.table).numpy()
    joint = joint.sum(tuple(range(chain.order - length)))
    return -float((joint * np.log(joint / joint.sum(-1, keepdims=True))).sum())


@pytest.mark.parametrize("smoothing", [KneserNey(), KneserNey(modified=False), AddK(0.5)], ids=str)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_ngrams_come_down_to_what_is_known_of_a_chain(order: int, smoothing: Smoothing) -> None:
    chain, sample = learned(order)
    assert conditional_entropy(chain, order) == pytest.approx(chain.entropy_rate, rel=1e-9)
    for length in (order - 1, order):
        floor = conditional_entropy(chain, length)
        for steps in (50, 500, 5000):
            model = NGram.fit(
                list(sample[:, :steps]),
                order=length + 1,
                vocabulary_size=4,
                start=3,
                smoothing=smoothing,
            )
            above = cross_entropy(chain, model) - floor
            # From n symbols, p free probabilities are learned with a loss of about p / 2n nats.
            usual = 2 * 3**length / (2 * 20 * steps)
            assert 0 < above < 4 * usual
    # One symbol less of history, and the chain's own rate is out of reach.
    assert conditional_entropy(chain, order - 1) > chain.entropy_rate + 0.05


@pytest.mark.parametrize("order", [1, 2, 3])
def test_scores_of_a_chain_are_its_own(order: int) -> None:
    chain, sample = learned(order)
    model = NGram.fit(list(sample), order=order + 1, vocabulary_size=4, start=3)
    fresh = chain.source(seed=2).take(20_000)[:, 0]
    mine, best = model.score(fresh.numpy()), chain.log_probabilities(fresh).numpy()
    lost = (best - mine)[order:]
    error = lost.std() / math.sqrt(len(lost))
    expected = cross_entropy(chain, model) - chain.entropy_rate
    assert error < 1e-3
    assert abs(lost.mean() - expected) < 4 * error


# ---------------------------------------------------------------------------------------- corpus


@pytest.mark.skipif(not NAMES.exists(), reason=f"the list of names is not at {NAMES}")
@pytest.mark.parametrize(
    ("order", "validation", "single", "modified"),
    [
        (1, True, 2.8180, 2.8180),
        (2, True, 2.4551, 2.4550),
        (5, True, 2.0365, 2.0178),
        (5, False, 2.0274, 2.0090),
    ],
)
def test_names_held_out(order: int, validation: bool, single: float, modified: float) -> None:
    """Distinct names, a tenth held out by hash, with and without a tenth set apart to choose by."""
    names = list(dict.fromkeys(read_text(NAMES).split()))
    split = split_documents(names, kind="hash", validation=validation)
    assert (len(split.training), len(split.test)) == (23_601 if validation else 26_588, 2_906)
    vocabulary = CharacterVocabulary.of(split.training)
    assert len(vocabulary) == 29
    for smoothing, nats in ((KneserNey(modified=False), single), (KneserNey(), modified)):
        model = NGram.fit(
            map(vocabulary.encode, split.training),
            order=order,
            vocabulary_size=len(vocabulary),
            start=START,
            end=END,
            smoothing=smoothing,
        )
        total, count = model.total(map(vocabulary.encode, split.test))
        assert count == sum(map(len, split.test)) + len(split.test)
        assert total / count == pytest.approx(nats, abs=1e-4)


# -------------------------------------------------------------------------------------- decoding


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_rows_of_a_state_can_be_selected(order: int) -> None:
    draw = np.random.default_rng(order)
    documents = draw.integers(3, 6, (6, 40))
    model = NGram.fit(documents, order=order, vocabulary_size=6, start=START, end=END)
    tokens = torch.tensor([[START] * 4, [3, 4, 5, 3], [4, 4, 3, 5], [5, 3, 3, 4]])
    state = model.start(4)
    for token in tokens:
        _, state = model.step(token, state)
    # As beams do: a row twice, one not at all, inside a tree.
    kept, rows = torch.tensor([2, 0, 2]), torch.tensor([3, 5, 4])
    (chosen,) = select_rows((state,), kept)
    assert chosen.shape == (3, order - 1)
    both, after = model.step(rows, chosen)
    for row in range(3):
        alone = model.start(1)
        for token in [*tokens[:, kept[row]], rows[row]]:
            log_probs, alone = model.step(token[None], alone)
        assert torch.equal(both[row], log_probs[0])
        assert torch.equal(after[row], alone[0])


def test_a_step_does_not_change_the_state_it_was_given() -> None:
    model = NGram.fit([[3, 4, 3]], order=3, vocabulary_size=5, start=START, end=END)
    _, state = model.step([START], model.start(1))
    first, _ = model.step([3], state)
    second, _ = model.step([3], state)
    assert state.tolist() == [[START, START]]
    assert torch.equal(first, second)


def test_greedy_writing_takes_the_most_probable() -> None:
    vocabulary = CharacterVocabulary.of(["banana"])
    learn = [vocabulary.encode(text) for text in ("banana", "banana", "bana")]
    model = NGram.fit(learn, order=5, vocabulary_size=len(vocabulary), start=START, end=END)
    written = list(generate(model, [START], end=END, temperature=0))
    assert vocabulary.decode(written) == "banana"
    read: list[int] = []
    while (best := int(model.distribution(read).argmax())) != END:
        read.append(best)
    assert written == read


def test_what_is_written_has_the_probability_it_is_scored_with() -> None:
    learn = [[3, 4], [3, 4], [3], [4, 4], []]
    model = NGram.fit(learn, order=3, vocabulary_size=5, start=START, end=END, smoothing=AddK(0.1))
    number = 1500
    torch.manual_seed(0)
    written = [tuple(generate(model, [START], end=END, never=[UNKNOWN])) for _ in range(number)]
    for line in [(), (3,), (3, 4), (4, 4)]:
        # Without the unknown symbol the others share what it had.
        chance = math.exp(model.score(line).sum())
        for place in range(len(line) + 1):
            chance /= 1 - model.distribution(line[:place])[UNKNOWN]
        error = math.sqrt(chance * (1 - chance) / number)
        assert abs(written.count(line) / number - chance) < 4 * error
    assert not any(UNKNOWN in line or START in line for line in written)


def test_familiarity_by_hand() -> None:
    begin, end, a, b, c, d = range(6)
    texts = [[a, b], [a, b, b], [b], [b, c]]
    kind = {"vocabulary_size": 6, "start": begin, "end": end}
    bigram = NGram.fit(texts, order=2, **kind)
    # <s> stands before a symbol 4 times, a 2 times, b 5 times (in the third power of two), c once;
    # d never: then it is the empty history, of the 7 left neighbors there are.
    assert bigram.familiarity([a, b]).tolist() == [12 + 2, 12 + 1, 12 + 3]
    assert bigram.familiarity([c, d, d]).tolist() == [12 + 2, 12, 3, 3]
    assert bigram.familiarities == 24
    trigram = NGram.fit(texts, order=3, **kind)
    # <s><s> 4 times, <s>a 2, ab 2, bb once; then bd is unknown, and so is d.
    assert trigram.familiarity([a, b, b, d]).tolist() == [24 + 2, 24 + 1, 24 + 1, 24, 3]
    single = NGram.fit([[a] * 5000], order=1, **kind)
    assert single.familiarity([a, b]).tolist() == [11, 11, 11]  # beyond 1,024
