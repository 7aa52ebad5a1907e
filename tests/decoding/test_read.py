"""Reading prompts: rows of different lengths, states to begin from, and what is refused."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from decoding.tiny import Broken, Carried, Recurrence, Told, after
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra import LanguageModel, LanguageModelConfig
from recurra.decoding import (
    Read,
    beam_search,
    beam_search_batch,
    continuations,
    generate,
    generate_batch,
    read,
)
from recurra.errors import RunError, SettingError, ShapeError
from recurra.models.ngram import NGram
from recurra.states import leaves, select_rows

MODEL = Recurrence(4, sharpness=0.5)
PROMPTS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5), min_size=1, max_size=5)


@settings(max_examples=40, deadline=None)
@given(PROMPTS)
def test_each_row_is_as_if_read_alone(prompts: list[list[int]]) -> None:
    model = Recurrence(4, sharpness=0.5)
    now = read(model, prompts)
    assert isinstance(now, Read)
    assert isinstance(now.state, Carried)
    # As many symbols are read as there are: no row goes on after its end.
    assert sorted(chain(*model.asked)) == sorted(chain(*prompts))
    assert len(model.asked) == max(map(len, prompts))
    assert now.state.inner[0].tolist() == [len(prompt) for prompt in prompts]
    for row, prompt in enumerate(prompts):
        torch.testing.assert_close(now.log_probs[row], after(MODEL, prompt))
        alone = read(model, [prompt])
        torch.testing.assert_close(now.state.h[row], alone.state.h[0])


class OneByOne:
    """A model that can only step."""

    def __init__(self, model: LanguageModel) -> None:
        self.start, self.step = model.start, model.step


@pytest.mark.parametrize("lengths", [[150], [1, 64, 65], [3, 200, 128, 3]], ids=str)
def test_several_symbols_at_once_are_those_one_by_one(lengths: list[int]) -> None:
    torch.manual_seed(0)
    model = LanguageModel(LanguageModelConfig(vocabulary_size=5, hidden_size=8)).double().eval()
    prompts = [torch.randint(5, (length,)).tolist() for length in lengths]
    asked: list[int] = []
    model.step = lambda token, state: asked.append(1) or type(model).step(model, token, state)  # type: ignore[method-assign, func-returns-value]
    now = read(model, prompts)
    assert len(asked) <= len(lengths)
    del model.step
    for one, other in zip(leaves(now), leaves(read(OneByOne(model), prompts)), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("lengths", [[1, 1], [3, 1, 2], [1, 2, 3], [2, 2, 1]])
def test_reading_on_from_a_state(lengths: list[int]) -> None:
    head = [[row, 3] for row in range(len(lengths))]
    tail = [[1, 0, 2][:length] for length in lengths]
    whole = read(MODEL, [a + b for a, b in zip(head, tail, strict=True)])
    parts = read(MODEL, tail, read(MODEL, head).state)
    for one, other in zip(leaves(whole), leaves(parts), strict=True):
        torch.testing.assert_close(one, other)
    assert read(MODEL, parts) is parts


def test_states_of_other_kinds() -> None:
    told = Told([0.2, 0.8], [0.5, 0.5])
    now = read(told, [[0], [1, 0], [1]])
    assert now.state is None
    torch.testing.assert_close(now.log_probs.exp()[:, 1].tolist(), [0.8, 0.8, 0.5])
    ngram = NGram.fit([[0, 1, 0], [1, 1]], order=3, vocabulary_size=3, start=2)
    now = read(ngram, [[2, 0], [2], [2, 0, 1]])
    assert now.state.tolist() == [[2, 0], [2, 2], [0, 1]]
    for row, history in enumerate(([0], [], [0, 1])):
        np.testing.assert_allclose(now.log_probs[row].exp(), ngram.distribution(history), 1e-6)
    language = LanguageModel(LanguageModelConfig(vocabulary_size=5, hidden_size=8))
    now = read(language, [[1], [1, 2, 3]])
    alone = read(language, [[1, 2, 3]])
    torch.testing.assert_close(now.log_probs[1:], alone.log_probs)
    torch.testing.assert_close(select_rows(now.state, torch.tensor([1])), alone.state)


FUNCTIONS: dict[str, Any] = {
    "generate": lambda model, prompt, **more: list(
        generate(model, prompt, limit=9, seed=1, **more)
    ),
    "beam_search": lambda model, prompt, **more: beam_search(
        model, prompt, width=4, end=0, limit=4, **more
    ),
    "continuations": lambda model, prompt, **more: continuations(
        model, prompt, ends=[0], limit=4, **more
    ),
}
BATCHES: dict[str, Any] = {
    "generate_batch": lambda model, prompts, **more: generate_batch(
        model, prompts, limit=4, seed=1, **more
    ),
    "beam_search_batch": lambda model, prompts, **more: beam_search_batch(
        model, prompts, width=4, end=0, limit=4, **more
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_goes_on_from_what_was_read(name: str) -> None:
    function, now = FUNCTIONS[name], read(MODEL, [[3, 1, 2]])
    expected = function(MODEL, [3, 1, 2])
    assert expected
    assert expected != function(MODEL, [0])
    kept = [leaf.clone() for leaf in leaves(tuple(now))]
    assert function(MODEL, now) == function(MODEL, now) == expected
    assert all(map(torch.equal, kept, leaves(tuple(now))))  # it can be used again
    assert function(MODEL, [2], state=read(MODEL, [[3, 1]]).state) == expected
    assert function(MODEL, torch.tensor([3, 1, 2])) == function(MODEL, np.array([3, 1, 2]))


@pytest.mark.parametrize("name", BATCHES)
def test_so_do_those_for_many_rows(name: str) -> None:
    function, prompts = BATCHES[name], [[3, 1], [2], [0, 0, 1]]
    expected = function(MODEL, prompts)
    assert function(MODEL, read(MODEL, prompts)) == expected
    state = read(MODEL, [[1], [3]]).state
    assert function(MODEL, [[1, 1], [3, 2, 2]]) == function(MODEL, [[1], [2, 2]], state=state)
    assert function(MODEL, []) == []


@pytest.mark.parametrize("name", [*FUNCTIONS, *BATCHES])
def test_modules_are_asked_in_evaluation_mode(name: str) -> None:
    model = Recurrence(4, sharpness=0.5, dropout=0.5)
    assert model.training
    prompt: Any = [1, 2] if name in FUNCTIONS else [[1, 2], [3]]
    function = (FUNCTIONS | BATCHES)[name]
    assert function(model, prompt) == function(MODEL, prompt)
    assert model.training
    assert model.dropout.training


@pytest.mark.parametrize("name", [*FUNCTIONS, *BATCHES])
def test_nan_is_refused(name: str) -> None:
    model = Broken([0.1, 0.9], [0.5, 0.5])
    for prompt in ([1], [0]):  # at once, and after a symbol that was written
        with pytest.raises(RunError, match="gives NaN"):
            (FUNCTIONS | BATCHES)[name](model, prompt if name in FUNCTIONS else [prompt])


@pytest.mark.parametrize("name", [*FUNCTIONS, *BATCHES])
@pytest.mark.parametrize(
    ("prompt", "more", "error", "message"),
    [
        ([], {}, SettingError, "expected a prompt of at least the start symbol, got none"),
        ([0.5], {}, SettingError, r"expected ids \(whole numbers\) to read, got \[\[0.5\]\]"),
        (["a"], {}, SettingError, "expected ids"),
        ([1], {"state": MODEL.start(3)}, ShapeError, "expected a state of 1 rows.* got 3"),
        ([1], {"never": [0, 4]}, SettingError, "never: expected ids of 0 to 3, got 4"),
        ([1], {"never": [-1]}, SettingError, "never: expected ids of 0 to 3, got -1"),
        ([1], {"never": ["b"]}, SettingError, "never: expected ids"),
        ([1], {"never": torch.ones(3) > 0}, ShapeError, r"never: expected a mask \[4\], got \[3\]"),
    ],
)
def test_wrong_prompts_and_symbols(
    name: str, prompt: Any, more: Any, error: type[Exception], message: str
) -> None:
    function = (FUNCTIONS | BATCHES)[name]
    with pytest.raises(error, match=f"^{name}: {message}"):
        function(MODEL, prompt if name in FUNCTIONS else [prompt], **more)


def test_wrong_reads() -> None:
    now = read(MODEL, [[1], [2]])
    for name, function in FUNCTIONS.items():
        with pytest.raises(ShapeError, match=f"^{name}: expected a Read of one row, got 2"):
            function(MODEL, now)
        with pytest.raises(ShapeError, match=f"^{name}: expected a Read of one row, got 0"):
            function(MODEL, select_rows(now, torch.tensor([], dtype=torch.int64)))
    with pytest.raises(SettingError, match=r"^read: a Read has its own state"):
        read(MODEL, now, now.state)
    with pytest.raises(SettingError, match=r"^read: expected at least one prompt, got none"):
        read(MODEL, [])
    with pytest.raises(SettingError, match=r"^read: expected ids .* got \[1, 2\]"):
        read(MODEL, [1, 2])  # type: ignore[list-item]


def test_a_step_that_gives_something_else() -> None:
    model = Told([0.5, 0.5])
    model.log_probs = torch.zeros(1, 2, 2)
    with pytest.raises(ShapeError, match=r"expected log-probabilities \[1, v\].* got \[1, 2, 2\]"):
        read(model, [[0]])


def test_never_takes_ids_or_a_mask() -> None:
    mask = torch.tensor([False, True, True, False])
    for function in FUNCTIONS.values():
        assert function(MODEL, [1], never=[1, 2]) == function(MODEL, [1], never=mask)
        assert function(MODEL, [1], never={2, 1}) == function(MODEL, [1], never=mask)
