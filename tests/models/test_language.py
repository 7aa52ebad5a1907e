"""The language model: its settings, its two faces (a batch and a step), and its sizes."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pydantic
import pytest
import torch

from recurra import states
from recurra.batch import Batch
from recurra.cells import cell_names
from recurra.decoding import generate
from recurra.errors import SettingError, ShapeError
from recurra.layers import LayerOutput
from recurra.models import LanguageModel, LanguageModelConfig, LanguageModelSettings
from recurra_runtime.vocabulary import START, UNKNOWN


def make(seed: int = 0, **settings: Any) -> LanguageModel:
    torch.manual_seed(seed)
    chosen: dict[str, Any] = {"hidden_size": 6, "layers": 2, "vocabulary_size": 9} | settings
    return LanguageModel(LanguageModelConfig(**chosen))


def ids(time: int, batch: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(9, (time, batch), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("cell", [name for name in cell_names() if name != "grud"])
@pytest.mark.parametrize(
    "settings",
    [{}, {"tied": True}, {"residual": True, "layers": 3}, {"embedding_size": 4, "tied": True}],
    ids=str,
)
def test_step_by_step_is_the_whole(cell: str, settings: dict[str, Any]) -> None:
    if cell == "irnn":
        settings = settings | {"embedding_size": None}
    model = make(cell=cell, **settings).double().eval()
    given = ids(8, 3)
    whole = model.predict(Batch(given, None)).log_softmax(-1)
    state = model.start(3)
    with torch.no_grad():
        for step in range(8):
            log_probs, state = model.step(given[step], state)
            torch.testing.assert_close(log_probs, whole[step], rtol=1e-10, atol=1e-12)
            torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(3).double())


def test_a_model_starts_at_the_frequencies_of_its_symbols() -> None:
    model = make()
    model.starts_at([0, 0, 5, 1, 0, 3, 0, 0, 2])
    with torch.no_grad():
        bias = model.head(LayerOutput(torch.zeros(1, 1, 6), None, None)).softmax(-1).flatten()
    assert bias[START] < 1e-12  # it follows nothing
    rest = [i for i in range(9) if i != START]
    expected = torch.tensor([1.0, 1.0, 6.0, 2.0, 1.0, 4.0, 1.0, 1.0, 3.0])[rest]
    torch.testing.assert_close(bias[rest], expected / expected.sum())


@pytest.mark.parametrize(
    ("tied", "symbols", "spread"),
    [(False, 1001, 1.0), (False, 1000, 0.3), (True, 1001, 0.1), (True, 500, 0.1)],
)
def test_vectors_of_symbols_and_conditions_spread_alike(
    tied: bool, symbols: int, spread: float
) -> None:
    model = make(vocabulary_size=symbols, tied=tied, conditions={"topic": 300})
    for name in ("embedding", "conditions.0"):
        table = model.encoder.get_submodule(name).get_parameter("weight")[4:]
        assert float(table.detach().std()) == pytest.approx(spread, rel=0.1)


def test_a_step_does_not_change_the_state_it_was_given() -> None:
    model = make().eval()
    with torch.no_grad():
        _, state = model.step(ids(1, 2)[0], model.start(2))
        before = [leaf.clone() for leaf in states.leaves(state)]
        first, _ = model.step(ids(1, 2)[0], state)
        second, _ = model.step(ids(1, 2)[0], state)
    assert torch.equal(first, second)
    assert all(torch.equal(a, b) for a, b in zip(before, states.leaves(state), strict=True))


def test_rows_of_a_state_can_be_selected() -> None:
    model = make().double().eval()
    with torch.no_grad():
        _, state = model.step(torch.tensor([3, 4, 5]), model.start(3))
        both, _ = model.step(torch.tensor([7, 8]), states.select_rows(state, torch.tensor([2, 0])))
        _, lone = model.step(torch.tensor([5]), model.start(1))
        alone, _ = model.step(torch.tensor([7]), lone)
    torch.testing.assert_close(both[:1], alone)


def test_all_symbols_before_count_and_none_after() -> None:
    model = make().double().eval()
    given = ids(6, 1)
    changed = given.clone()
    changed[2] = (changed[2] + 1) % 9
    first, second = (model.predict(Batch(x, None)) for x in (given, changed))
    assert torch.equal(first[:2], second[:2])
    assert all(not torch.equal(a, b) for a, b in zip(first[2:], second[2:], strict=True))


def test_predictions_keep_no_graph() -> None:
    assert not make().predict(Batch(ids(2, 1), None)).requires_grad


def test_predictions_are_those_of_evaluation() -> None:
    model = make(dropout=0.5).train()
    batch = Batch(ids(4, 2), None)
    assert torch.equal(model.predict(batch), model.predict(batch))
    assert model.training


def test_a_symbol_that_is_not_in_the_vocabulary() -> None:
    model = make()
    with pytest.raises(ShapeError, match="expected 0 to 8, got 9"):
        model.predict(Batch(torch.full((2, 1), 9), None))


def test_parameters_are_counted_by_hand() -> None:
    count = lambda **s: sum(p.numel() for p in make(**s).parameters())  # noqa: E731
    lstm = lambda i, h: 4 * h * (i + h) + 4 * h  # noqa: E731
    v, h = 9, 6
    assert count() == v * h + lstm(h, h) * 2 + v * h + v
    assert count(layers=1, embedding_size=4) == v * 4 + lstm(4, h) + v * h + v
    assert count(tied=True) == v * h + lstm(h, h) * 2 + v
    assert count(tied=True, embedding_size=4) == v * 4 + lstm(4, h) + lstm(h, h) + 4 * h + v
    assert count(cell_settings={"bias": False}) == count() - 2 * 4 * h


def test_tied_weights_are_one_tensor_on_disk() -> None:
    tied, apart = make(tied=True).state_dict(), make().state_dict()
    assert set(apart) - set(tied) == {"head.projection.weight"}


def test_residual_adds_what_a_layer_reads() -> None:
    plain, residual = (make(residual=r, layers=2).double().eval() for r in (False, True))
    residual.load_state_dict(plain.state_dict())
    first, second = (m.predict(Batch(ids(4, 2), None)) for m in (plain, residual))
    assert not torch.allclose(first, second)


def test_dropout_acts_in_training_alone() -> None:
    model = make(dropout=0.5)
    batch = Batch(ids(5, 4), ids(5, 4, 2))
    assert float(model(batch).total.detach()) != float(model(batch).total.detach())
    model.eval()
    assert float(model(batch).total.detach()) == float(model(batch).total.detach())


def rates(model: Any) -> dict[str, float]:
    embedding, stack = model.encoder.embedding, model.encoder.layer
    return {
        "dropout_input": embedding.dropout,
        "dropout_word": embedding.word_dropout,
        "dropout_between": stack.dropout,
        "dropout_output": model.head.projection.dropout,
    }


@pytest.mark.parametrize("place", rates(make()))
def test_each_rate_has_a_place_of_its_own(place: str) -> None:
    others = dict.fromkeys(rates(make()), 0.0)
    assert rates(make(**{place: 0.25})) == others | {place: 0.25}
    spread = {"dropout_input": 0.5, "dropout_between": 0.5, "dropout_output": 0.5}
    assert rates(make(dropout=0.5)) == others | spread
    assert rates(make(dropout=0.5, **{place: 0.0})) == others | spread | {place: 0.0}


def test_weight_drop_is_of_the_recurrent_weights_of_every_layer() -> None:
    batch = Batch(ids(5, 4), ids(5, 4, 2))
    model = make(dropout_recurrent=0.5)
    assert float(model(batch).total.detach()) != float(model(batch).total.detach())
    dropped = {name for name, part in model.named_modules() if name.endswith("parametrizations")}
    assert len(dropped) == 2
    assert not any("parametrizations" in name for name, _ in make().named_modules())


@pytest.mark.parametrize("held", [False, True])
def test_held_is_so_at_every_place(held: bool) -> None:
    model: Any = make(held=held)
    parts = (model.encoder.embedding, model.encoder.layer, model.head.projection)
    assert [part.held for part in parts] == [held] * 3


def test_a_label_that_no_text_has_says_nothing_at_first() -> None:
    model: Any = make(conditions={"topic": 5, "author": 7})
    for condition in model.encoder.conditions:
        zero = (condition.weight == 0).all(1).tolist()
        assert zero == [number == UNKNOWN for number in range(len(zero))]


def test_cell_settings_reach_every_layer() -> None:
    biases = [
        value
        for name, value in make(cell_settings={"forget_bias": 3.0}).state_dict().items()
        if name.endswith("cell.bias")
    ]
    assert len(biases) == 2
    assert all(value[6:12].tolist() == [3.0] * 6 for value in biases)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"cell": "lstmm"}, "did you mean 'lstm'"),
        ({"cell": "transformer"}, "Known: cornn, elman"),
        ({"cell": "grud"}, "cell 'grud': reads a GappedInput"),
        ({"cell_settings": {"nrom": True}}, "cell 'lstm': .*nrom"),
        ({"cell_settings": {"input_size": 3}}, "cell 'lstm': .*input_size"),
        ({"cell_settings": {"name": "x"}}, "cell 'lstm': .*name"),
        ({"cell_settings": {"forget_bias": "high"}}, "forget_bias: expected a number, got 'high'"),
        ({"cell_settings": {"input_init": "glorott"}}, "did you mean 'glorot'"),
    ],
)
def test_what_a_cell_does_not_take(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        make(**settings)


DROPOUTS = ("", "_input", "_between", "_output", "_word", "_recurrent")
BOUNDS: dict[str, tuple[Any, Any]] = {
    "layers": (1, 1000),
    "hidden_size": (1, 10**6),
    "embedding_size": (1, 10**6),
    "condition_size": (1, 10**6),
    "vocabulary_size": (1, 10**9),
    **{f"dropout{place}": (0.0, math.nextafter(1, 0)) for place in DROPOUTS},
}


@pytest.mark.parametrize("name", BOUNDS)
def test_the_bounds_of_a_setting(name: str) -> None:
    low, high = BOUNDS[name]
    step = 1 if isinstance(low, int) else 1e-9
    for value in (low, high):
        config = LanguageModelConfig(**{"vocabulary_size": 9} | {name: value})
        assert getattr(config, name) == value
    for value in (low - step, high + step):
        with pytest.raises(pydantic.ValidationError, match=name):
            LanguageModelConfig(**{"vocabulary_size": 9} | {name: value})


@pytest.mark.parametrize("body", ["feed-forward", "window", "convolution", "transformer", "hybrid"])
def test_what_remembers_little_goes_on_from_where_it_was(body: str) -> None:
    """Whole = windows."""
    torch.manual_seed(0)
    known = {"vocabulary_size": 9, "hidden_size": 6, "kernel_size": 3}
    model = LanguageModel(LanguageModelConfig(**known, body=body)).double().eval()
    ids = torch.randint(0, 9, (8, 2))
    whole = model(Batch(ids, ids))
    state, total = None, 0.0
    for span in (slice(0, 1), slice(1, 5), slice(5, 8)):
        part = model(Batch(ids[span], ids[span]), state)
        state, total = part.state, total + float(part.total.detach())
    assert total == pytest.approx(float(whole.total.detach()))


def test_what_is_chosen_unless_told() -> None:
    told = LanguageModelSettings().model_dump()
    assert {name: value for name, value in told.items() if value} == {
        "body": "recurrent",
        "kernel_size": 5,
        "attention_window": 128,
        "cell": "lstm",
        "layers": 2,
        "hidden_size": 256,
        "condition_size": 32,
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"hidden_size": 6.0},
        {"hiden_size": 6},
        {"tied": 1},
        {"conditions": {"topic": 0}},
    ],
    ids=str,
)
def test_a_config_is_strict(wrong: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        LanguageModelConfig(**({"vocabulary_size": 9} | wrong))


@pytest.mark.parametrize("wrong", [[["topic", 3, 4]], [["topic"]], ["to"], [["a", 3], "b"]])
def test_conditions_of_a_file_are_pairs(wrong: Any) -> None:
    with pytest.raises(pydantic.ValidationError, match="pairs of a name and how many values"):
        LanguageModelConfig(vocabulary_size=9, conditions=wrong)


def test_a_config_does_not_change_and_can_be_written_down() -> None:
    config = LanguageModelConfig(vocabulary_size=9, cell="gru", cell_settings={"bias": False})
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        config.layers = 3  # type: ignore[misc]
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        LanguageModelSettings().layers = 3  # type: ignore[misc]
    assert LanguageModelConfig.model_validate_json(config.model_dump_json()) == config
    settings = set(LanguageModelSettings.model_fields)
    own = set(LanguageModelConfig.model_fields) - settings
    assert own == {"vocabulary_size", "conditions"}


def test_defaults_can_be_built() -> None:
    model = LanguageModel(LanguageModelConfig(vocabulary_size=9))
    assert model.config.hidden_size == model.encoder.output_size


def test_a_model_of_one_symbol() -> None:
    model = make(vocabulary_size=1)
    batch = Batch(torch.zeros(3, 2, dtype=torch.long), torch.zeros(3, 2, dtype=torch.long))
    assert float(model.loss(batch).detach()) == 0.0


def test_a_fresh_model_knows_next_to_nothing() -> None:
    model = make(hidden_size=16)
    assert float(model.loss(Batch(ids(20, 4), ids(20, 4, 2))).detach()) == pytest.approx(
        math.log(9), abs=0.3
    )


def test_it_is_one_of_the_models_that_can_be_decoded() -> None:
    model = make().eval()
    written = list(generate(model, [1, 4], limit=5, temperature=0))
    with torch.no_grad():
        state, read, expected = model.start(1), [1, 4], []
        for _ in range(5):
            state = model.start(1)
            for symbol in read + expected:
                log_probs, state = model.step(torch.tensor([symbol]), state)
            expected.append(int(log_probs.argmax()))
    assert written == expected


def test_a_batch_on_its_way_to_a_device_keeps_its_fields() -> None:
    batch = Batch(ids(2, 1), ids(2, 1), resets=torch.zeros(2, 1, dtype=torch.bool))
    moved = batch.to("cpu")
    for field in dataclasses.fields(Batch):
        first, second = getattr(batch, field.name), getattr(moved, field.name)
        same = torch.equal(first, second) if isinstance(first, torch.Tensor) else first == second
        assert same
