"""Writing on from a prompt: what is drawn, how often, and when it stops."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from decoding.tiny import Told
from torch import Tensor

from recurra.decoding import generate, generate_batch
from recurra.decoding.generate import _first_above
from recurra.errors import SettingError
from recurra.models.ngram import AddK, NGram

START, END = 3, 4
NAMES = [[0, 1, 2], [0, 1, 1, 2], [2, 1, 0], [1, 2], [0, 0, 1], [2, 2, 1]]
MODEL = NGram.fit(NAMES, order=3, vocabulary_size=5, start=START, end=END)


class Table:
    """Steps whose next symbol depends on the last one alone; notes what it was asked."""

    def __init__(self, *rows: Sequence[float]) -> None:
        self.log_probs = torch.tensor(rows).log()
        self.kept = self.log_probs.clone()
        self.read: list[int] = []
        self.states: list[int] = []

    def start(self, batch: int) -> Tensor:
        return torch.zeros(batch, dtype=torch.int64)

    def step(self, token: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        assert token.shape == state.shape == (1,)
        assert not torch.is_grad_enabled()
        self.read.append(int(token))
        self.states.append(int(state))
        return self.log_probs[token % len(self.log_probs)], state + 1


def write(model: Any, prompt: Sequence[int], **how: Any) -> list[int]:
    return list(generate(model, prompt, **how))


def test_prompt_is_read_in_order_and_the_state_carried() -> None:
    model = Table([0, 1, 0], [0, 0, 1], [1, 0, 0])
    assert write(model, [2, 2, 0], limit=4) == [1, 2, 0, 1]
    assert model.read == [2, 2, 0, 1, 2, 0]
    assert model.states == [0, 1, 2, 3, 4, 5]


def test_each_symbol_comes_as_soon_as_it_is_drawn() -> None:
    model = Table([0, 1], [1, 0])
    text = generate(model, [0], limit=10)
    assert model.read == []
    for number in range(1, 4):
        assert next(text) == number % 2
        assert len(model.read) == number


def test_same_seed_same_text() -> None:
    texts = [write(MODEL, [START], seed=seed, limit=60) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert len(texts[0]) == 60
    torch.manual_seed(5)
    first, second = (write(MODEL, [START], limit=60) for _ in range(2))
    torch.manual_seed(5)
    assert write(MODEL, [START], limit=60) == first != second
    before = torch.get_rng_state()
    write(MODEL, [START], seed=1, limit=5)
    assert torch.equal(torch.get_rng_state(), before)


def test_temperature_0_takes_the_most_probable() -> None:
    history = [START]
    for _ in range(12):
        chances = MODEL.distribution(history).tolist()
        chances[END] = -1
        history.append(chances.index(max(chances)))
    assert write(MODEL, [START], temperature=0, never=[END], limit=12) == history[1:]
    assert set(write(Table([0.5, 0.5]), [0], temperature=0, limit=9)) == {0}


@pytest.mark.parametrize("temperature", [1e-30, 1e-46, 1e-300, 1e300])
def test_extreme_temperatures(temperature: float) -> None:
    text = write(Table([0.2, 0.35, 0.45]), [0], temperature=temperature, limit=50, seed=0)
    assert set(text) == ({2} if temperature < 1 else {0, 1, 2})


def test_a_text_without_an_end_stops_after_1000_symbols() -> None:
    model = Table([0, 1], [1, 0])
    assert write(model, [0], temperature=0) == [1, 0] * 500
    assert generate_batch(model, [[0]], temperature=0) == [[1, 0] * 500]


def test_end_stops_and_is_not_given_out() -> None:
    model = Table([0, 1, 0], [0, 0, 1], [0, 0, 1])
    assert write(model, [0], end=2) == [1]
    assert write(model, [1], end=2) == []
    assert write(model, [2, 0], end=2) == [1]  # in the prompt it ends nothing
    assert len(write(model, [0], limit=7)) == 7
    assert set(write(MODEL, [START], end=END, seed=0)) <= {0, 1, 2}


@pytest.mark.parametrize("limit", [0, 1, 5])
def test_limit(limit: int) -> None:
    assert len(write(MODEL, [START], limit=limit, seed=0)) == limit


def test_never() -> None:
    model = Table([0.1, 0.1, 0.7, 0.1])
    for how in ({"temperature": 0}, {"seed": 0}, {"seed": 0, "top_k": 2}):
        assert 2 not in write(model, [0], never=[2], limit=50, **how)
    assert write(model, [0], never=[0, 1, 3], limit=5, seed=0) == [2] * 5
    assert set(write(model, [0], never=(), limit=100, seed=0)) == {0, 1, 2, 3}
    assert torch.equal(model.log_probs, model.kept)  # the model's own numbers are left alone


@pytest.mark.parametrize("temperature", [0, 1])
def test_nothing_left_to_write(temperature: float) -> None:
    how = {"temperature": temperature, "seed": 0}
    with pytest.raises(SettingError, match="no symbol is left"):
        write(Table([0.5, 0.5]), [0], never=[0, 1], **how)
    counted = NGram.fit([[0]], order=2, vocabulary_size=3, start=2, smoothing=AddK(0))
    with pytest.raises(SettingError, match="no symbol is left"):
        write(counted, [2], never=[0], **how)


CHANCES = [0.5, 0.3, 0.15, 0.05, 0.0]
DRAWS = 4000


def expected(temperature: float, kept: Sequence[int]) -> list[float]:
    raised = [p ** (1 / temperature) if i in kept else 0.0 for i, p in enumerate(CHANCES)]
    return [p / sum(raised) for p in raised]


def fits(text: list[int], chances: list[float]) -> bool:
    """Whether every share is within 4.5 standard deviations of its expectation."""
    counts = Counter(text)
    bounds = [4.5 * math.sqrt(p * (1 - p) / len(text)) for p in chances]
    return all(
        abs(counts[i] / len(text) - p) <= bound
        for i, (p, bound) in enumerate(zip(chances, bounds, strict=True))
    )


SETTINGS: list[tuple[dict[str, Any], list[float]]] = [
    ({}, expected(1, range(5))),
    ({"temperature": 0.5}, expected(0.5, range(5))),
    ({"temperature": 3.0}, expected(3, range(5))),
    ({"top_k": 2}, expected(1, [0, 1])),
    ({"top_k": 5}, expected(1, range(5))),
    ({"top_k": 99}, expected(1, range(5))),
    ({"never": [0]}, expected(1, [1, 2, 3])),
    ({"never": [1], "top_k": 2, "temperature": 2.0}, expected(2, [0, 2])),
    ({"top_p": 0.4}, expected(1, [0])),
    ({"top_p": 0.75}, expected(1, [0, 1])),
    ({"top_p": 1.0}, expected(1, range(5))),
    ({"top_p": 0.6, "top_k": 2}, expected(1, [0])),  # 0.5 of 0.8 is enough
    ({"top_p": 0.65, "temperature": 3.0}, expected(3, [0, 1, 2])),  # 0.5 + 0.3 are 0.62 by then
    ({"top_p": 0.5, "never": [0]}, expected(1, [1])),
]


def test_symbols_are_drawn_as_often_as_they_should() -> None:
    texts = [write(Table(CHANCES), [0], limit=DRAWS, seed=7, **how) for how, _ in SETTINGS]
    for text, (how, chances) in zip(texts, SETTINGS, strict=True):
        for other, wanted in SETTINGS:
            assert fits(text, wanted) == (wanted == chances), (how, other)


def test_a_draw_is_where_the_chances_add_up_to_a_number_of_torch() -> None:
    chances = torch.tensor([CHANCES], dtype=torch.float64).log().softmax(1)[0]

    def drawn(generator: torch.Generator | None) -> list[int]:
        numbers = torch.rand(300, dtype=torch.float64, generator=generator)
        return [int((chances.cumsum(0) <= number).sum()) for number in numbers]

    wanted = drawn(torch.Generator().manual_seed(3))
    table = Told(CHANCES, *[CHANCES] * 4)
    assert write(table, [0], limit=300, seed=3) == wanted
    torch.manual_seed(5)
    wanted = drawn(None)
    torch.manual_seed(5)
    assert write(table, [0], limit=300) == wanted


@pytest.mark.parametrize("total", [1.0, 1.0 + 2**-52, 1.5, 0.7, 5e-324])
def test_the_first_and_the_last_number_draw_symbols_that_are_possible(total: float) -> None:
    sums = np.array([[0.0, 0.0, total / 2, total / 2, total, total]] * 2)
    low, high = _first_above(sums, np.array([0.0, 1 - 2**-53]))
    assert (low, high) == ((2, 4) if total / 2 else (4, 4))


def test_the_nucleus_is_never_empty_and_takes_no_more_than_it_needs() -> None:
    for sharp in ({"top_p": 1e-9}, {"top_p": 0.99, "temperature": 1e-30}):
        assert set(write(Table([0.2, 0.35, 0.45]), [0], limit=20, **sharp)) == {2}
    exact = write(Table([0.25] * 4), [0], top_p=0.5, limit=300, seed=0)
    assert len(set(exact)) == 2  # the sum reaches it with the second
    flat = write(Table([0.25] * 4), [0], top_p=0.4, limit=300, seed=0)
    assert len(set(flat)) == 2


def test_top_k_draws_among_k_even_where_chances_are_equal() -> None:
    text = write(Table([0.25] * 4), [0], top_k=2, limit=200, seed=0)
    assert len(set(text)) == 2
    assert len(set(write(Table([0.25] * 4), [0], top_k=1, limit=50, seed=0))) == 1


@pytest.mark.parametrize(
    ("prompt", "how", "message"),
    [
        ([], {}, "a prompt of at least the start symbol, got none"),
        ([0], {"limit": -1}, "limit: expected a whole number of at least 0, got -1"),
        ([0], {"limit": 2.5}, "limit: expected a whole number .* got 2.5"),
        ([0], {"limit": None}, "limit: expected a whole number .* got None"),
        ([0], {"temperature": -0.5}, "a temperature of at least 0, got -0.5"),
        ([0], {"temperature": math.nan}, "temperature: expected a finite number, got nan"),
        ([0], {"temperature": math.inf}, "temperature: expected a finite number, got inf"),
        ([0], {"temperature": "a"}, "temperature: expected a number, got 'a'"),
        ([0], {"top_k": 0}, "top_k: expected a whole number of at least 1, got 0"),
        ([0], {"top_k": 1.5}, "top_k: expected a whole number .* got 1.5"),
        ([0], {"top_p": 0}, "top_p above 0 and at most 1, got 0"),
        ([0], {"top_p": 1.1}, "top_p .* got 1.1"),
        ([0], {"top_p": math.nan}, "top_p: expected a finite number, got nan"),
        ([0], {"top_p": "half"}, "top_p: expected a number, got 'half'"),
        ([0], {"seed": 2**63}, "seed: expected a whole number of -9223372036854775808 to"),
        ([0], {"seed": 1.5}, "seed: expected .* got 1.5"),
        ([0], {"seed": "x"}, "seed: expected .* got 'x'"),
    ],
)
def test_errors_come_at_the_call(prompt: list[int], how: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=f"^generate: .*{message}"):
        generate(MODEL, prompt, **how)
    with pytest.raises(SettingError, match=f"^generate_batch: .*{message}"):
        generate_batch(MODEL, [[START], prompt], **how)


def test_numbers_of_numpy_are_numbers() -> None:
    how: dict[str, Any] = {"limit": 9, "top_k": 2, "seed": 4, "temperature": 0.5, "top_p": 0.75}
    other = {
        "limit": np.int64(9),
        "top_k": np.uint8(2),
        "seed": np.int32(4),
        "temperature": np.float32(0.5),
        "top_p": np.float64(0.75),
    }
    assert write(MODEL, [START], **other) == write(MODEL, [START], **how)
    prompts = [[START], [START, 1]]
    assert generate_batch(MODEL, prompts, **other) == generate_batch(MODEL, prompts, **how)


PROMPTS = [[START], [START, 0, 1], [START, 2], [START], [START, 1, 1]]


@pytest.mark.parametrize("how", [{}, {"top_p": 0.7}, {"temperature": 0.5, "top_k": 2}])
def test_a_text_does_not_depend_on_those_beside_it(how: dict[str, Any]) -> None:
    how = {"end": END, "never": [1], "limit": 30, "seed": 3} | how
    together = generate_batch(MODEL, PROMPTS, **how)
    assert together[0] == write(MODEL, PROMPTS[0], **how)
    assert len({len(text) for text in together}) > 2
    for row in range(1, len(PROMPTS)):
        others: list[list[int]] = [[START, 0, 0, 0]] * row
        assert generate_batch(MODEL, [*others, PROMPTS[row]], **how)[row] == together[row]
    assert generate_batch(MODEL, PROMPTS[:2], **how) == together[:2]


def test_rows_draw_each_for_itself() -> None:
    how: dict[str, Any] = {"limit": 30, "never": [END]}
    texts = generate_batch(MODEL, [[START]] * 4, seed=3, **how)
    assert len(set(map(tuple, texts))) == 4
    following = generate_batch(MODEL, [[START]] * 4, seed=4, **how)
    assert not set(map(tuple, texts)) & set(map(tuple, following))
    torch.manual_seed(5)
    first, second = (generate_batch(MODEL, [[START]] * 2, **how) for _ in range(2))
    torch.manual_seed(5)
    assert generate_batch(MODEL, [[START]] * 2, **how) == first != second


def test_greedy_rows_are_greedy_texts() -> None:
    texts = generate_batch(MODEL, PROMPTS, temperature=0, limit=8, end=END)
    assert texts == [write(MODEL, prompt, temperature=0, limit=8, end=END) for prompt in PROMPTS]


def test_texts_that_ended_leave_the_batch() -> None:
    model = Told([0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0])
    assert generate_batch(model, [[0], [2], [1], [3, 2]], end=3) == [[1, 2], [], [2], []]
    assert model.asked == [[3, 0, 2, 1], [2], [1, 2], [2]]
    assert generate_batch(model, [[0], [1]], limit=0) == [[], []]


def test_an_end_that_cannot_come() -> None:
    with pytest.raises(SettingError, match=r"^generate: end: expected ids of 0 to 1, got 2"):
        write(Table([0.5, 0.5]), [0], end=2)
