"""The card of a model: counts against torch's own, laws, slopes, checks that can fail, pictures."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import recurra
from recurra import (
    Bidirectional,
    Cell,
    ElmanCell,
    GRUCell,
    HiddenState,
    LSTMCell,
    Recurrent,
    Stack,
)
from recurra.diagnosis import Card, card
from recurra.diagnosis.cards.checks import Check, checks
from recurra.diagnosis.cards.costs import cost_of, law_of
from recurra.diagnosis.cards.scaling import kept_bytes, resized, slope
from recurra.diagnosis.charts.unrolled import Beside, Row, unrolled
from recurra.errors import SettingError, ShapeError
from recurra.models import LanguageModel, LanguageModelConfig

IN, H, T, B = 6, 10, 5, 3


class Leaky(Cell):
    """A cell of one's own."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.read = nn.Linear(input_size, hidden_size)
        self.keep = nn.Linear(hidden_size, hidden_size, bias=False)

    def initial_state(self, batch: int) -> HiddenState:
        return HiddenState(self.zeros(batch))

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        h = 0.9 * state.h + 0.1 * torch.tanh(self.read(x) + self.keep(state.h))
        return h, HiddenState(h)


def loops(make: Any) -> dict[str, nn.Module]:
    """Layers of a kind of cell, all of the backend that calls steps."""
    one = Recurrent(make(IN, H), backend="loop")
    both = Bidirectional(make(IN, H), make(IN, H))
    both.forward_layer.backend = both.backward_layer.backend = "loop"
    stack = Stack([Recurrent(make(IN, H), backend="loop"), Recurrent(make(H, H), backend="loop")])
    return {"one": one, "stack": stack, "both": both}


KINDS = {"lstm": (LSTMCell, 4), "gru": (GRUCell, 3), "elman": (ElmanCell, 1), "own": (Leaky, 1)}


@pytest.mark.parametrize("shape", ["one", "stack", "both"])
@pytest.mark.parametrize("kind", KINDS)
def test_counts_are_those_of_torch_and_of_the_textbook(kind: str, shape: str) -> None:
    make, gates = KINDS[kind]
    layer = loops(make)[shape]
    told = card(layer, T, B, measure=False)
    assert told.parameters == sum(p.numel() for p in layer.parameters())
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        layer(torch.randn(T, B, IN))
    assert 2 * T * B * told.multiply_adds == counter.get_total_flops()
    first, above = gates * (IN * H + H * H), gates * 2 * H * H
    wanted = {"one": first, "stack": first + above, "both": 2 * first}
    assert told.multiply_adds == wanted[shape]


@pytest.mark.parametrize(("kind", "make"), [("LSTM", recurra.LSTM), ("GRU", recurra.GRU)])
def test_a_drop_in_counts_as_torch_does(kind: str, make: Any) -> None:
    layer = make(IN, H, 2, bidirectional=True, backend="loop")
    told = card(layer, T, B, measure=False)
    theirs = getattr(nn, kind)(IN, H, 2, bidirectional=True)
    assert told.parameters == sum(p.numel() for p in theirs.parameters())
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        layer(torch.randn(T, B, IN))
    assert 2 * T * B * told.multiply_adds == counter.get_total_flops()


@pytest.mark.parametrize("tied", [False, True])
def test_a_model_counts_its_embedding_and_projection(tied: bool) -> None:
    model = model_of(tied=tied)
    told = card(model, T, B, measure=False)
    cells = 2 * 4 * (H * H + H * H)
    assert told.multiply_adds == cells + H * 12
    # A tied projection has a bias alone.
    assert told.parameters == 12 * H + 2 * (4 * 2 * H * H + 4 * H) + (12 if tied else 12 * H + 12)
    assert told.parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("cell", "law"),
    [
        (LSTMCell(IN, H), "4*i*h + 4*h*h"),
        (GRUCell(IN, H), "3*i*h + 3*h*h"),
        (ElmanCell(IN, H), "i*h + h*h"),
        (Leaky(IN, H), "i*h + h*h"),
        (recurra.Zoneout(LSTMCell(IN, H), 0.1), ""),  # which is not made of two sizes
    ],
)
def test_the_law_of_a_cell(cell: Cell, law: str) -> None:
    assert law_of(cell) == law


def test_state_and_bytes() -> None:
    cost = cost_of(LSTMCell(IN, H))
    assert cost is not None
    assert cost.state == 2 * H
    assert cost.moved == IN + H + 2 * 2 * H  # input, output, and h and c read and written
    told = card(LSTMCell(IN, H), T, B, measure=False)
    assert told.bytes == 4 * (told.parameters + B * cost.moved)
    assert cost_of(nn.Dropout()) is None


def test_counting_leaves_modes_and_numbers_alone() -> None:
    layer = recurra.LSTM(IN, H, 2, dropout=0.5)
    before, numbers = layer.state_dict(), torch.get_rng_state()
    layer.train()
    card(layer, T, B)
    assert layer.training
    assert torch.equal(numbers, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())
    assert all(p.grad is None for p in layer.parameters())


# ------------------------------------------------------------------------------------------- growth


def test_a_slope_is_the_exponent() -> None:
    assert slope([(x, 3 * x**2.5) for x in (1, 2, 4)]) == pytest.approx(2.5)


def test_kept_bytes_are_those_of_the_tensors_kept() -> None:
    linear = nn.Linear(IN, H, bias=False)
    layer = nn.Sequential(linear, nn.Tanh())  # tanh keeps its result, and linear its input
    inputs = torch.randn(T, B, IN, requires_grad=True)

    class First(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return layer(x)

    assert kept_bytes(First(), inputs) - IN * H * 4 == T * B * H * 4  # weights are not First's own
    assert kept_bytes(layer, inputs) == T * B * H * 4


def test_memory_grows_as_the_law_says() -> None:
    told = card(Recurrent(LSTMCell(8, 8)), T, B)
    found = {(each.what, each.by): each for each in told.growths}
    assert found["memory", "B"].slope == pytest.approx(1.0, abs=1e-6)
    assert found["memory", "T"].slope == pytest.approx(1.0, abs=0.05)  # the first state is one more
    assert found["memory", "H"].slope == pytest.approx(1.0, abs=0.05)
    assert found["memory", "I"].slope == pytest.approx(0.0, abs=0.05)
    assert found["multiply-adds", "H"].slope == pytest.approx(
        slope([(h, 4 * 8 * h + 4 * h * h) for h in (8, 16, 32)])
    )
    times = found["time", "T"]
    assert times.slope is not None
    assert all(seconds > 0 for _, seconds in times.points)
    assert told.kept is not None


def test_layers_of_other_sizes_are_the_same_layers() -> None:
    stack = Stack([Bidirectional(GRUCell(IN, H), GRUCell(IN, H)), Recurrent(LSTMCell(2 * H, H))])
    made = resized(stack, 7, 4)
    assert made is not None
    wanted = Stack([Bidirectional(GRUCell(7, 4), GRUCell(7, 4)), Recurrent(LSTMCell(8, 4))])
    shapes = {name: p.shape for name, p in wanted.named_parameters()}
    assert {name: p.shape for name, p in made.named_parameters()} == shapes
    assert resized(Recurrent(recurra.Zoneout(LSTMCell(IN, H), 0.1)), 7, 4) is None


def test_what_cannot_be_measured_is_said() -> None:
    told = card(Recurrent(recurra.Zoneout(LSTMCell(IN, H), 0.1)), T, B)
    notes = {each.by: each.note for each in told.growths if each.slope is None}
    assert set(notes) == {"I", "H"}
    assert "give remake=" in notes["H"]
    made = card(
        Recurrent(recurra.Zoneout(LSTMCell(IN, H), 0.1)),
        T,
        B,
        remake=lambda i, h: Recurrent(recurra.Zoneout(LSTMCell(i, h), 0.1)),
    )
    assert all(each.slope is not None for each in made.growths if each.what == "memory")
    assert "no recurrent layer" in " ".join(card(nn.Linear(2, 3)).notes)


# ------------------------------------------------------------------------------------------- checks


def model_of(**settings: Any) -> LanguageModel:
    torch.manual_seed(0)
    chosen: dict[str, Any] = {"hidden_size": H, "layers": 2} | settings
    return LanguageModel(LanguageModelConfig(vocabulary_size=12, **chosen))


def by_name(model: nn.Module) -> dict[str, Check]:
    return {each.name: each for each in checks(model)}


@pytest.mark.parametrize("settings", [{}, {"tied": True, "dropout": 0.3, "cell": "gru"}])
def test_a_model_does_what_its_settings_say(settings: dict[str, Any]) -> None:
    found = by_name(model_of(**settings))
    names = {"cell", "layers", "reach of encoder.layer", "chance in encoder.layer"}
    assert set(found) == names | {"tied embedding"}
    assert all(each.holds for each in found.values())


def lies(**settings: Any) -> Any:
    """A model whose settings are those of another one."""

    def lie(model: LanguageModel) -> None:
        model.config = model.config.model_copy(update=settings)

    return lie


def untie(model: LanguageModel) -> None:
    own = model.encoder.embedding.weight
    model.encoder.embedding.weight = nn.Parameter(own.detach().clone())
    model.encoder.__class__ = type(
        "Other", (type(model.encoder),), {"embedding_weight": property(lambda self: own)}
    )


def leaky_dropout(model: LanguageModel) -> None:
    """Dropout that acts in evaluation too."""
    layer: Any = model.encoder.layer
    plain = layer.through_time
    layer.through_time = lambda inputs, *rest: plain(
        nn.functional.dropout(inputs, 0.5, training=True), *rest
    )


def sees_ahead(model: LanguageModel) -> None:
    layer: Any = model.encoder.layer
    plain = layer.through_time
    layer.through_time = lambda inputs, *rest: plain(inputs + inputs.mean(0), *rest)


@pytest.mark.parametrize(
    ("break_it", "name"),
    [
        (lies(cell="gru"), "cell"),
        (lies(layers=3), "layers"),
        (lies(hidden_size=H + 1), "layers"),
        (lies(bidirectional=True), "reach of encoder.layer"),
        (sees_ahead, "reach of encoder.layer"),
        (lies(dropout_between=0.5), "chance in encoder.layer"),
        (leaky_dropout, "chance in encoder.layer"),
        (lies(tied=False), "tied embedding"),
        (untie, "tied embedding"),
    ],
)
def test_a_broken_model_is_found(break_it: Any, name: str) -> None:
    model = model_of(tied=True)
    assert by_name(model)[name].holds
    break_it(model)
    assert not by_name(model)[name].holds


def test_a_bidirectional_layer_reads_the_future() -> None:
    (reach, chance) = checks(Bidirectional(GRUCell(IN, H), GRUCell(IN, H)))
    assert (reach.said, reach.holds, chance.holds) == ("reads the future", True, True)
    (reach, chance) = checks(recurra.GRU(IN, H, 2, batch_first=True, dropout=0.4))
    assert (reach.said, reach.holds) == ("causal", True)
    assert (chance.said, chance.found, chance.holds) == ("in training only",) * 2 + (True,)


# --------------------------------------------------------------------------------- shown and drawn


@pytest.fixture(scope="module")
def told() -> Card:
    return card(model_of(), 64, 32)


def test_it_prints_and_becomes_json(told: Card) -> None:
    words = str(told)
    assert "4*i*h + 4*h*h" in words
    assert f"{64 * 32 * told.multiply_adds:,} multiply-adds" in words
    assert "not told: peak memory" in words
    back = json.loads(json.dumps(told.to_json()))
    assert back["parameters"] == told.parameters
    assert back["multiply_adds"] == told.multiply_adds
    assert {each["name"] for each in back["checks"]} >= {"cell", "tied embedding"}


def test_the_graph_is_drawn_with_its_cut(told: Card) -> None:
    drawn = told.chart("a model").svg()
    for words in ("embedding", "LSTMCell", "projection", "the state goes on", "64"):
        assert words in drawn
    assert [row.ahead for row in told.picture] == [False, True, True, False]


def test_states_are_cut_only_where_they_are_carried() -> None:
    def arrows(kind: str, **how: Any) -> int:
        chart = unrolled([Row("a", True), Row("b", True, True)], 3, **how)
        return sum(
            each["kind"] == kind
            for layer in chart.description["layer"]
            for each in layer.get("data", {}).get("values", [])
            if "kind" in each
        )

    assert arrows("cut", carried=True) == 2
    assert arrows("cut", carried=False) == 0
    assert arrows("ahead", carried=False) == 2 * 2
    assert arrows("behind", carried=False) == 2


def drawn(chart: Any, *fields: str) -> list[dict[str, Any]]:
    """What is drawn from values that have these fields."""
    inner = (layer.get("data", {}).get("values", []) for layer in chart.description["layer"])
    return [each for values in inner for each in values if set(fields) <= set(each)]


def read_at_first(chart: Any) -> list[tuple[str, str]]:
    """Of each thin arrow of the first step what it comes from and what it leads to, by words."""
    boxes = [b for b in drawn(chart, "x2", "y2") if b["y2"] - b["y"] == 0.5]
    words = drawn(chart, "t")

    def inside(x: float, y: float) -> str:
        hit = [b for b in boxes if b["x"] <= x <= b["x2"] and b["y"] - 0.05 <= y <= b["y2"] + 0.05]
        for box in hit:
            place = ((box["x"] + box["x2"]) / 2, (box["y"] + box["y2"]) / 2)
            return next(w["t"] for w in words if (w["x"], w["y"]) == pytest.approx(place))
        return ""

    first = min(w["x"] for w in words if w["t"] == "1" and w["y"] == -1) + 1
    arrows = [a for a in drawn(chart, "kind") if a["kind"] == "read" and a["x"] < first]
    return sorted((inside(a["x"], a["y"]), inside(a["x2"], a["y2"])) for a in arrows)


def test_branches_stand_beside_each_other_and_join() -> None:
    letters = Row("letters", inside="L"), Row("spelled", inside="S")
    beside = Beside(((Row("words", inside="W"),), letters, ()))
    chart = unrolled(
        [beside, Row("layer", True, inside="A"), Row("out", inside="O")], 9, carried=True
    )
    joined = [("W", "A"), ("S", "A"), ("", "A")]
    assert read_at_first(chart) == sorted(
        [*joined, ("", "W"), ("", "L"), ("L", "S"), ("A", "O"), ("O", "")]
    )
    assert "words  |  letters" in {each["t"] for each in drawn(chart, "t")}


def test_no_state_runs_through_the_box_of_another_branch() -> None:
    one, other = (Row("a", True, inside="a"),), (Row("b", True, True, inside="b"),)
    chart = unrolled([Beside((one, other)), Row("out", inside="O")], 3, carried=False)
    boxes = [b for b in drawn(chart, "x2", "y2") if b["y2"] - b["y"] == 0.5]
    states = [a for a in drawn(chart, "kind") if a["kind"] != "read"]
    assert len(states) == 2 * 3
    for state in states:
        left, right = sorted((state["x"], state["x2"]))
        across = [b for b in boxes if b["y"] < state["y"] < b["y2"]]
        assert not [b for b in across if left < (b["x"] + b["x2"]) / 2 < right]
    assert ("a", "O") in read_at_first(chart)
    assert ("a", "b") not in read_at_first(chart)


def branches(model: nn.Module) -> list[list[str]]:
    """Names of the rows of each branch of the lowest part of a model's picture."""
    lowest = card(model, measure=False).picture[0]
    assert isinstance(lowest, Beside)
    return [[row.name for row in branch if isinstance(row, Row)] for branch in lowest.branches]


def test_encoders_of_several_parts_say_that_none_feeds_the_other() -> None:
    spelled = recurra.SpelledEmbedding(
        9, 9, word_size=4, letter_size=3, spelling_size=2, cell="gru"
    )
    assert branches(spelled) == [["words"], ["letters", "GRUCell of letters"]]
    text = recurra.TokenEncoder(recurra.TokenEmbedding(9, 4), Recurrent(GRUCell(4, 5)))
    sound = recurra.FrameEncoder(recurra.Frames(3), Recurrent(LSTMCell(3, 6)))
    several = recurra.SeveralEncoder({"text": text, "sound": sound})
    assert branches(several) == [["embedding", "GRUCell"], ["LSTMCell"]]
    stems = {"text": recurra.TokenEmbedding(9, 4), "sound": recurra.Frames(3)}
    aligned = recurra.AlignedEncoder(stems, Recurrent(GRUCell(9, 5)))
    assert branches(aligned) == [["embedding"], []]
    assert [row.name for row in card(aligned, measure=False).picture[1:]] == ["GRUCell"]
    asking = recurra.AskingEncoder(
        ("text", "sound"), "text", text, recurra.Frames(3), Recurrent(GRUCell(9, 5))
    )
    assert branches(asking) == [["embedding", "GRUCell"], []]
    given = recurra.TokenEncoder(
        recurra.TokenEmbedding(9, 4), Recurrent(GRUCell(7, 5)), [recurra.TokenEmbedding(2, 3)]
    )
    assert branches(given) == [["embedding"], ["conditions"]]


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"rows": 1.5}, {"measure": 1}])
def test_wrong_sizes_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        card(LSTMCell(2, 3), **wrong)


def test_something_else_is_refused() -> None:
    given: Any = "runs/book"
    with pytest.raises(ShapeError, match="expected a cell, layer or model"):
        card(given)
