"""A mixture's probabilities are those of its two models, joined, wherever it is asked."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from recurra.data import END, START, document_batches
from recurra.decoding import beam_search, generate, read
from recurra.errors import DataError, SettingError
from recurra.models import AddK, LanguageModel, LanguageModelConfig, Mixture, NGram
from recurra.models.mixture import best_weight, best_weights, document_scores
from recurra.models.trust import _begun, _follow
from recurra.states import select_rows

SIZE = 7
TEXTS = [[3, 4, 5, 3, 4, 6], [], [5, 5, 3], [4] * 40, [6, 3, 4, 5, 3]]


def network(**settings: Any) -> LanguageModel:
    torch.manual_seed(3)
    config = LanguageModelConfig(hidden_size=5, layers=1, vocabulary_size=SIZE, **settings)
    model = LanguageModel(config).double()
    with torch.no_grad():
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.7)
    return model.eval()


def counted(order: int = 3, **settings: Any) -> NGram:
    return NGram.fit(TEXTS, order=order, vocabulary_size=SIZE, start=START, end=END, **settings)


def mixture(weight: float = 0.3, **settings: Any) -> Mixture:
    return Mixture(network(), counted(), weight, **settings)


FOLLOWING = {"weights": np.random.default_rng(5).uniform(0, 1, 36), "doubt": 0.4}


@torch.no_grad()
def of_both(model: Mixture, document: list[int]) -> tuple[list[float], list[float]]:
    """Each symbol's probability from the two models alone."""
    own, state = [], model.network.start(1)
    for token, following in zip([START, *document], [*document, END], strict=True):
        log_probs, state = model.network.step(torch.tensor([token]), state)
        own.append(math.exp(float(log_probs[0, following])))
    return own, np.exp(model.ngram.score(document)).tolist()


def by_hand(model: Mixture, document: list[int]) -> list[float]:
    """Each symbol's log-probability as the docstrings say."""
    own, counts = of_both(model, document)
    begun = [1 - model.doubt, model.doubt / 2, model.doubt / 2]
    shares, found = begun, []
    weights = model.weights[model.ngram.familiarity(document)].tolist()
    for t, (p, q, w) in enumerate(zip(own, counts, weights, strict=True), 1):
        each = [w * p + (1 - w) * q, p, q]
        total = sum(v * x for v, x in zip(shares, each, strict=True))
        found.append(math.log(total) if total else -math.inf)
        shares = [
            (1 - 1 / (t + 1)) * v * x / total + first / (t + 1)
            for v, x, first in zip(shares, each, begun, strict=True)
        ]
    return found


@pytest.mark.parametrize("settings", [{}, FOLLOWING])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("document", TEXTS)
def test_a_score_is_that_of_interpolated_probabilities(
    document: list[int], weight: float, settings: dict[str, Any]
) -> None:
    model = mixture(weight, **settings)
    assert model.score(document).tolist() == pytest.approx(by_hand(model, document), abs=1e-12)
    if not settings:
        own, counts = of_both(model, document)
        simple = weight * np.array(own) + (1 - weight) * np.array(counts)
        assert model.score(document).tolist() == pytest.approx(np.log(simple).tolist(), abs=1e-12)


def test_shares_by_hand() -> None:
    # Shares 1/2, 1/4, 1/4; the three say 2/5, 3/5, 1/5 of the first symbol: together 2/5, of which
    # 1/2, 3/8 and 1/8 are theirs. Half of that, and half of what they began with:
    # 1/2, 5/16, 3/16. Of the next 0, 4/5, 2/5: together 13/40, of which 0, 10/13 and 3/13 are
    # theirs; two thirds of that and one third of the first shares: 1/6, 93/156, 37/156.
    begun = (0.5, 0.25, 0.25)
    (start,) = _follow(_begun(begun), begun, [(1.0, 1.0, 1.0)])
    assert start == (*begun, 1.0)
    first, second = _follow(start, begun, [(0.4, 0.6, 0.2), (0.0, 0.8, 0.4)])
    assert first == pytest.approx((1 / 2, 5 / 16, 3 / 16, 2))
    assert second == pytest.approx((1 / 6, 93 / 156, 37 / 156, 3))
    (same,) = _follow(second, begun, [(0.0, 0.0, 0.0)])  # what all find impossible
    assert same == pytest.approx((1 / 4, (3 * 93 / 156 + 1 / 4) / 4, (3 * 37 / 156 + 1 / 4) / 4, 4))


@pytest.mark.parametrize("better", [0.0, 1.0])
def test_it_is_never_much_worse_than_the_better_of_the_two(better: float) -> None:
    def write(model: Mixture, after: list[int]) -> list[int]:
        how: Any = {"end": END, "never": (START, END), "limit": 120, "seed": 2}
        return list(generate(model, [START, *after], **how))

    def nats(text: list[int], weight: float, **settings: Any) -> float:
        return -float(mixture(weight, **settings).score(text).sum())

    text = write(mixture(better), [])
    other = 1 - better
    wrong = 0.998 * other + 0.001  # the validation part said that the other one is right
    regret = math.log(2 * (len(text) + 1) / 0.1)
    assert nats(text, wrong) > nats(text, better) + 5 * regret
    assert nats(text, better) < nats(text, wrong, doubt=0.1) < nats(text, better) + regret
    turned = text + write(mixture(other), text)  # where first the one is better, then the other
    assert nats(turned, wrong, doubt=0.1) < min(nats(turned, better), nats(turned, other))


@pytest.mark.parametrize("settings", [{}, FOLLOWING])
@torch.no_grad()
def test_steps_say_what_scores_say_whatever_the_window(settings: dict[str, Any]) -> None:
    model = mixture(**settings)
    document = TEXTS[3] + TEXTS[0]
    read_ids = torch.tensor([START, *document])[:, None]
    one, state = [], model.start(1)
    for token in read_ids:
        log_probs, state = model.step(token, state)
        one.append(log_probs)
    first, half = model.steps(read_ids[:9], model.start(1))
    rest, whole = model.steps(read_ids[9:], half)
    torch.testing.assert_close(torch.cat([first, rest]), torch.stack(one), rtol=0, atol=1e-9)
    torch.testing.assert_close(whole, state, rtol=0, atol=1e-9)
    said = torch.stack(one)[:, 0].gather(1, torch.tensor([*document, END])[:, None])[:, 0]
    assert said.tolist() == pytest.approx(model.score(document).tolist(), abs=1e-6)  # float32
    sums = torch.stack(one).exp().sum(2)
    torch.testing.assert_close(sums, torch.ones_like(sums), rtol=0, atol=1e-6)


@pytest.mark.parametrize("settings", [{}, FOLLOWING])
@torch.no_grad()
def test_rows_of_the_state_can_be_selected(settings: dict[str, Any]) -> None:
    model = mixture(**settings)
    _, state = model.steps(torch.tensor([[START, START], [3, 5], [4, 5]]), model.start(2))
    both, _ = model.step(torch.tensor([5, 3]), state)
    swapped, _ = model.step(torch.tensor([3, 5]), select_rows(state, torch.tensor([1, 0])))
    torch.testing.assert_close(swapped, both.flip(0))
    assert not torch.equal(both[0], both[1])
    assert torch.equal(state.trust[0], state.trust[1]) == (not settings)


@torch.no_grad()
def test_what_both_find_impossible_and_what_one_does() -> None:
    counts = counted(order=2, smoothing=AddK(0))
    never = [3, 3]  # 3 never followed 3
    assert counts.score(never)[1] == -math.inf
    own = network()
    assert Mixture(own, counts, 0.0).score(never)[1] == -math.inf
    half = Mixture(own, counts, 0.5).score(never)
    alone = Mixture(own, counts, 1.0).score(never)
    assert half[1] == pytest.approx(alone[1] - math.log(2), abs=1e-12)
    log_probs, _ = Mixture(own, counts, 0.0).step(
        torch.tensor([START]), Mixture(own, counts, 0.0).start(1)
    )
    assert log_probs[0, START] == -math.inf
    assert not log_probs.isnan().any()


@pytest.mark.parametrize("settings", [{}, FOLLOWING])
def test_one_pass_says_what_both_score(settings: dict[str, Any]) -> None:
    model = mixture(**settings)
    own, both, count = model.totals(
        document_batches([np.array(t, np.int64) for t in TEXTS], size=8)
    )
    total, symbols = model.total(TEXTS)
    assert both == pytest.approx(total, rel=1e-12)
    groups = document_batches([np.array(t, np.int64) for t in TEXTS], size=8)
    assert (own, count) == model.network.score(groups)
    assert count == symbols == sum(map(len, TEXTS)) + len(TEXTS)
    assert both != own


def test_conditions_go_to_the_network() -> None:
    model = Mixture(network(conditions={"topic": 5}), counted(), 0.6)
    assert model.conditions == ("topic",)
    given = np.array([[3], [4], [3], [4], [4]])
    documents = [np.array(t, np.int64) for t in TEXTS]
    _, both, _ = model.totals(document_batches(documents, given=given))
    total, _ = model.total(TEXTS, torch.from_numpy(given))
    other, _ = model.total(TEXTS, torch.from_numpy(7 - given))
    assert both == pytest.approx(total, rel=1e-12)
    assert both != pytest.approx(other, rel=1e-3)


def test_it_is_asked_in_evaluation_mode() -> None:
    model = Mixture(network(dropout=0.5).train(), counted(), 0.5)
    assert model.score(TEXTS[0]).tolist() == model.score(TEXTS[0]).tolist()
    batches = [np.array(t, np.int64) for t in TEXTS]
    assert model.totals(document_batches(batches)) == model.totals(document_batches(batches))
    torch.testing.assert_close(
        read(model, [[START, 3]]).log_probs, read(model, [[START, 3]]).log_probs
    )
    assert model.network.training


@pytest.mark.parametrize("settings", [{}, FOLLOWING])
def test_it_writes_and_is_searched(settings: dict[str, Any]) -> None:
    model = mixture(**settings)
    (best,) = beam_search(model, [START], width=8, end=END, limit=4, never=(START,))
    assert best.log_prob == pytest.approx(float(model.score(best.symbols).sum()), abs=1e-5)
    text = list(generate(model, [START, 3], end=END, limit=20, seed=1))
    assert text == list(generate(model, [START, 3], end=END, limit=20, seed=1))


@pytest.mark.parametrize("weight", [0.05, 0.5, 0.83])
def test_the_weight_is_the_likeliest(weight: float) -> None:
    draw = np.random.default_rng(0)
    p, q = draw.uniform(0.01, 1, 4000), draw.uniform(0.01, 1, 4000)
    keep = draw.uniform(0, 1.6, 4000) < weight * p + (1 - weight) * q  # likelier where both say so
    p, q = np.log(p[keep]), np.log(q[keep])
    found = best_weight(p, q)

    def nats(w: float) -> float:
        with np.errstate(divide="ignore"):
            return -float(np.logaddexp(p + np.log(w), q + np.log1p(-w)).sum())

    grid = [nats(w) for w in np.linspace(0, 1, 1001)]
    assert nats(found) <= min(grid) + 1e-9
    assert found == best_weight(p, q)


def test_the_weight_of_one_that_is_always_better_is_an_end() -> None:
    assert best_weight([-1.0, -2.0], [-1.5, -2.5]) == 1.0
    assert best_weight([-1.5, -2.5], [-1.0, -2.0]) == 0.0
    assert best_weight([-math.inf, -1.0], [-1.0, -math.inf]) == pytest.approx(0.5, abs=1e-12)
    assert best_weight([-math.inf, -1.0, -1.0], [-math.inf, -2.0, -2.0]) == 1.0
    assert best_weight([-1000.0, -1.0], [-999.0, -4.0]) > 0.5  # no underflow


def test_each_degree_has_its_likeliest_weight_pulled_towards_the_one() -> None:
    draw = np.random.default_rng(0)
    ours, theirs = np.log(draw.uniform(0.01, 1, (2, 600)))
    known = draw.choice([0, 2, 2, 3], 600)
    ours[known == 3] -= 3
    one = best_weight(ours, theirs)
    found = best_weights(ours, theirs, known, one, 5)
    assert found[[1, 4]].tolist() == pytest.approx([one, one], abs=1e-15)  # never there
    assert found[3] < 0.1 < found[2]

    def value(degree: int, w: float) -> float:
        here = known == degree
        data = np.logaddexp(ours[here] + math.log(w), theirs[here] + math.log1p(-w)).sum()
        return float(data) + 20 * (one * math.log(w) + (1 - one) * math.log1p(-w))

    for degree in (0, 2, 3):
        grid = [value(degree, w) for w in np.linspace(0.001, 0.999, 999)]
        assert value(degree, found[degree]) >= max(grid) - 1e-9
    sure = best_weights(np.array([-1.0, -1.0]), np.array([-9.0, -1e4]), np.array([0, 1]), 1.0, 2)
    assert sure.tolist() == [1.0, 1.0]


def test_symbols_stand_beside_those_that_were_predicted() -> None:
    documents = [np.array(t, np.int64) for t in TEXTS]
    rows = [
        row for _, group in document_scores(network(), document_batches(documents)) for row in group
    ]
    said = sorted(ids.tolist() for ids, _ in rows)
    assert said == sorted([*text, END] for text in TEXTS)


def test_what_does_not_fit() -> None:
    own = network()
    for weight in (-0.1, 1.1, math.nan):
        with pytest.raises(SettingError, match="weight"):
            Mixture(own, counted(), weight)
        with pytest.raises(SettingError, match="doubt"):
            Mixture(own, counted(), 0.5, doubt=weight)
    for weights in ([0.5] * 35, [1.5] * 36, [math.nan] * 36):
        with pytest.raises(SettingError, match="weights: expected 36 from 0 to 1"):
            Mixture(own, counted(), 0.5, weights)
    other = NGram.fit([[3]], order=2, vocabulary_size=4, start=START, end=END)
    with pytest.raises(SettingError, match="of the network's 7 symbols"):
        Mixture(own, other, 0.5)
    with pytest.raises(DataError):
        mixture().score([SIZE])
