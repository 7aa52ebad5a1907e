"""Scores are those of a distribution over whole lines, and no symbol of them is lost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise, product
from typing import Any

import numpy as np
import pytest
import torch

from recurra.batch import Batch
from recurra.data import END, START, UNKNOWN, Windows, document_batches
from recurra.models import AddK, KneserNey, LanguageModel, LanguageModelConfig, NGram
from recurra.states import select_rows

EXACT = 1e-9  # in float64, of probabilities, and of totals in relation to them
SINGLE = 1e-5  # in float32

CELLS = ["lstm", "elman"]
Line = tuple[int, ...]


def make(cell: str, size: int, *, layers: int = 1, ends: float = 0.0) -> LanguageModel:
    """Random weights, large enough for the past to matter, and a bias towards the end."""
    torch.manual_seed(len(cell))
    config = LanguageModelConfig(cell=cell, layers=layers, hidden_size=5, vocabulary_size=size)
    model = LanguageModel(config).double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            torch.nn.init.normal_(parameter, std=0.2 if "head" in name else 1.0)
            if name == "head.projection.bias":
                parameter[END] += ends
    return model


@torch.no_grad()
def one_by_one(model: Any, documents: Sequence[Any]) -> tuple[float, int]:
    """The definition: minus the logarithm of each next symbol's probability, step by step."""
    total, count = 0.0, 0
    for document in documents:
        state = model.start(1)
        for read, following in zip([START, *document], [*document, END], strict=True):
            log_probs, state = model.step(torch.tensor([read]), state)
            total, count = total - float(log_probs[0, following]), count + 1
    return total, count


# ----------------------------------------------------------------------------------- whole lines


def lines(alphabet: Sequence[int], longest: int) -> Iterator[Line]:
    for length in range(longest + 1):
        yield from product(alphabet, repeat=length)


def ended(nats: Callable[[Line], float], alphabet: Sequence[int], longest: int) -> list[float]:
    """For each n up to ``longest``: the sum of the probabilities of all lines up to length n."""
    by_length = [0.0] * (longest + 1)
    for line in lines(alphabet, longest):
        by_length[len(line)] += math.exp(-nats(line))
    return list(accumulate(by_length))


@torch.no_grad()
def not_ended(model: Any, alphabet: Sequence[int], longest: int) -> list[float]:
    """For each n: the probability that none of the first n + 1 predicted symbols is the end."""
    symbols, left = torch.tensor(alphabet), []
    state, token, mass = model.start(1), torch.tensor([START]), torch.ones(1).double()
    for _ in range(longest + 1):
        log_probs, state = model.step(token, state)
        mass = (mass[:, None] * log_probs.double().exp()[:, symbols]).flatten()
        left.append(float(mass.sum()))
        rows = torch.arange(len(token)).repeat_interleave(len(symbols))
        state, token = select_rows(state, rows), symbols.repeat(len(token))
    return left


def check(sums: list[float], missing: list[float], tolerance: float) -> None:
    np.testing.assert_allclose(np.add(sums, missing), 1.0, rtol=0, atol=tolerance)
    assert max(sums) <= 1 + tolerance
    assert all(earlier < later for earlier, later in pairwise(sums))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", EXACT), ("float32", SINGLE)])
def test_a_recurrent_model_is_a_distribution_over_lines(
    cell: str, dtype: str, tolerance: float
) -> None:
    # All that the softmax knows but the end may stand in a line, the reserved symbols too.
    alphabet, longest = [UNKNOWN, START, 3], 4
    model = make(cell, 4, ends=1.5).to(getattr(torch, dtype))

    def nats(line: Line) -> float:
        return model.score(document_batches([np.array(line, np.int64)]))[0]

    sums = ended(nats, alphabet, longest)
    check(sums, not_ended(model, alphabet, longest), tolerance)
    assert sums[-1] > 0.9
    # The past matters, or these lines would not tell much.
    assert abs(nats((0, 3)) - nats((3, 0))) > 1e-3


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("smoothing", [KneserNey(), AddK(0.5)], ids=str)
def test_an_ngram_is_a_distribution_over_lines(order: int, smoothing: KneserNey | AddK) -> None:
    alphabet, longest = [UNKNOWN, 3, 4], 6
    draw = np.random.default_rng(order)
    documents = [draw.choice([3, 4], draw.integers(0, 5)) for _ in range(12)]
    documents.append(np.array([UNKNOWN, 4]))
    model = NGram.fit(
        documents, order=order, vocabulary_size=5, start=START, end=END, smoothing=smoothing
    )
    sums = ended(lambda line: -float(model.score(line).sum()), alphabet, longest)
    left, alive = [], {(): 1.0}
    for _ in range(longest + 1):
        alive = {
            (*line, symbol): mass * odds[symbol]
            for line, mass in alive.items()
            for odds in [model.distribution(line)]
            for symbol in alphabet
        }
        left.append(sum(alive.values()))
    check(sums, left, EXACT)
    check(sums, not_ended(model, alphabet, longest), SINGLE)  # steps are in float32
    assert sums[-1] > 0.7


# ------------------------------------------------------------------------- windows and documents


@pytest.fixture(scope="module")
def documents() -> list[np.ndarray[Any, Any]]:
    """Shorter and longer than windows, of their very lengths, and empty ones at all places."""
    draw = np.random.default_rng(0)
    lengths = [0, 6, 1, 0, 0, 20, 7, 2, 3, 33, 8, 0]
    return [draw.choice([0, 3, 4, 5], length) for length in lengths]


@pytest.fixture(scope="module", params=CELLS)
def model(request: pytest.FixtureRequest) -> LanguageModel:
    return make(request.param, 6, layers=2)


@pytest.fixture(scope="module")
def exact(model: LanguageModel, documents: list[Any]) -> tuple[float, int]:
    return one_by_one(model, documents)


@pytest.mark.parametrize("rows", [1, 3, 7, 256])
@pytest.mark.parametrize("size", [1, 3, 7, 256])
def test_no_symbol_is_lost_at_borders(
    rows: int, size: int, model: LanguageModel, documents: list[Any], exact: tuple[float, int]
) -> None:
    total, count = model.score(document_batches(documents, rows=rows, size=size))
    assert count == exact[1] == sum(map(len, documents)) + len(documents)
    assert total == pytest.approx(exact[0], rel=EXACT)


@pytest.mark.parametrize("size", [1, 3, 7, 256])
def test_truncated_windows_of_one_row_are_exact(
    size: int, model: LanguageModel, documents: list[Any], exact: tuple[float, int]
) -> None:
    windows = Windows(documents, rows=1, size=size)
    assert windows.symbols == exact[1]
    total, count = model.score([windows])
    assert count == exact[1]
    assert total == pytest.approx(exact[0], rel=EXACT)


def test_windows_that_forget_or_do_not_reset_are_seen(
    model: LanguageModel, documents: list[Any], exact: tuple[float, int]
) -> None:
    windows = Windows(documents, rows=1, size=7)
    forgetful, _ = model.score([window] for window in windows)
    endless, _ = model.score([[Batch(window.inputs, window.targets) for window in windows]])
    assert abs(forgetful - exact[0]) > 1e-3 * exact[0]
    assert abs(endless - exact[0]) > 1e-3 * exact[0]


@pytest.mark.parametrize("empty", [1, 5])
def test_empty_documents_predict_their_ends(empty: int, model: LanguageModel) -> None:
    nothing = [np.zeros(0, np.int64)] * empty
    total, count = one_by_one(model, nothing)
    assert count == empty
    for rows in (1, 3):
        assert model.score(document_batches(nothing, rows=rows)) == (pytest.approx(total), empty)
    assert model.score([Windows(nothing, rows=1, size=2)]) == (pytest.approx(total), empty)
