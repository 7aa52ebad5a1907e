"""Every verdict is said of what has it and not of what has not; benchmarks/verdicts.py counts."""

import numpy as np
import pytest
import torch

import recurra
from recurra import Batch, Recurrent
from recurra.diagnosis import examine
from recurra.diagnosis.examination.cases import CASES, Network
from recurra.diagnosis.examination.evidence import Evidence
from recurra.diagnosis.examination.flow import Flow
from recurra.diagnosis.examination.gates import Gates, UnitsOf
from recurra.diagnosis.examination.horizon import Ignored, Response
from recurra.diagnosis.examination.needs import Needs
from recurra.diagnosis.examination.verdicts import CONDITIONS, verdicts
from recurra.errors import ShapeError

SEEDS = 2


def names(seen):
    return [each.name for each in seen.verdicts]


def test_every_condition_has_its_cases():
    assert {each.name for each in CONDITIONS} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_said_where_it_is_so_and_only_there(name):
    case = CASES[name]
    for seed in range(1000, 1000 + SEEDS):
        seen = case.has(seed)
        assert name in names(seen), str(seen)
        (said,) = [each for each in seen.verdicts if each.name == name]
        assert any(letter.isdigit() for letter in said.sentence)
        assert said.sentence.endswith(".")
        assert bool(said.advice) == ("healthy" not in name)
        other = case.lacks(seed)
        assert name not in names(other), str(other)


@pytest.mark.parametrize("name", ["vanishing", "healthy", "vanishing in a layer"])
def test_one_of_five_is_always_said_of_the_gradient(name):
    for seen in (CASES[name].has(7), CASES[name].lacks(7)):
        of_flow = {"exploding", "vanishing", "vanishing in a layer"}
        of_flow |= {"healthy", "healthy for this task"}
        assert len(of_flow & set(names(seen))) == 1


def test_a_model_of_the_library():
    """With its own reference and its own loss; in words, and in a picture."""
    torch.manual_seed(0)
    config = recurra.LanguageModelConfig(vocabulary_size=9, hidden_size=8, layers=2, cell="gru")
    model = recurra.LanguageModel(config)
    ids = torch.randint(9, (30, 5))
    seen = examine(model, Batch(ids[:-1], ids[1:]), window=10)
    assert "no signal" in names(seen) or "vanishing" in names(seen)
    text = str(seen)
    assert "training lets gradients cross 10 steps" in text
    assert "(of 29)" in text
    assert len(seen.evidence.flow.norms) == 2
    drawn = seen.chart().svg()
    assert "steps back" in drawn
    assert model.training


def test_an_infinite_gradient_is_exploding():
    cell = recurra.ElmanCell(2, 4, activation=None)
    with torch.no_grad():
        cell.recurrent_weight.copy_(1e30 * torch.eye(4))
    seen = examine(
        Recurrent(cell),
        Batch(torch.randn(8, 3, 2), None),
        loss=lambda outputs, _: outputs[-1].sum(),
    )
    assert "exploding" in names(seen)


def found(*norms, needs=None, loss=0.5, reference=None, noise=0.0, gates=()):
    """What is said of layers with such gradients by distance."""
    flows = {f"layers.{n}.cell": np.asarray(each, float) for n, each in enumerate(norms)}
    evidence = Evidence(
        Flow(flows, flows, flows),
        Response(np.array([0]), np.array([1.0]), 1.0),
        Ignored([], [], 0),
        Gates(tuple(gates)),
        loss,
        reference,
        needs,
        len(norms[0]),
        noise=noise,
    )
    return {each.name: each.sentence for each in verdicts(evidence)}


def falling(to, steps=101):
    """From 1, to so much at the last step."""
    return np.geomspace(1.0, to, steps)


def growing(times):
    """To what it grows in 100 steps, if so many times from the largest of the first three on."""
    return times ** (100 / 98)


FLAT = np.ones(101)


@pytest.mark.parametrize(
    ("norms", "said"),
    [
        ([falling(1.01e-3)], "healthy"),
        ([falling(0.99e-3)], "vanishing"),
        ([falling(growing(99))], "healthy"),
        ([falling(growing(101))], "exploding"),
        ([FLAT, falling(1e-5)], "healthy"),  # reaches 60 of 100 steps
        ([FLAT, falling(0.9e-6)], "vanishing in a layer"),  # 49
        ([falling(0.9e-6), FLAT], "vanishing in a layer"),
        ([FLAT, 0 * FLAT], "healthy"),  # no part of what is answered
        ([falling(1e-4), falling(1e-9)], "vanishing"),
        ([falling(growing(101)), falling(1e-9)], "exploding"),
    ],
)
def test_near_the_borders_of_a_gradient(norms, said):
    assert list(found(*norms)) == [said]


def test_the_layer_is_named():
    assert found(FLAT, falling(1e-9))["vanishing in a layer"].startswith("layers.1.cell: of the")
    assert found(falling(1e-9), FLAT)["vanishing in a layer"].startswith("layers.0.cell: of the")
    assert found(FLAT, falling(1e4))["exploding"].startswith("layers.1.cell: the gradient grows")
    assert found(falling(1e4))["exploding"].startswith("the gradient grows")


def test_near_the_border_of_what_is_needed():
    lost = falling(1e-6)  # a thousandth is left at 50
    assert list(found(lost, needs=Needs(50, 0.5))) == ["healthy for this task"]
    assert list(found(lost, needs=Needs(51, 0.5))) == ["vanishing"]
    assert list(found(lost, needs=Needs(None, 0.5))) == ["vanishing"]
    some = falling(1e-9)  # at 33
    assert list(found(FLAT, some, needs=Needs(33, 0.5))) == ["healthy"]
    assert list(found(FLAT, some, needs=Needs(34, 0.5))) == ["vanishing in a layer"]


def test_near_the_border_of_what_was_learned():
    assert list(found(FLAT, loss=0.951, reference=1.0)) == ["no signal"]
    assert list(found(FLAT, loss=0.949, reference=1.0)) == ["healthy"]
    assert list(found(FLAT, loss=0.9, reference=1.0, noise=0.034)) == ["no signal"]
    assert list(found(FLAT, loss=0.9, reference=1.0, noise=0.033)) == ["healthy"]


def units(kind, stuck, still):
    return UnitsOf("cell: it", kind, 0.0, 0.0, 0.0, range(stuck), range(still), 100)


@pytest.mark.parametrize(
    ("kind", "stuck", "still", "said"),
    [
        ("state", 50, 0, "healthy"),
        ("state", 51, 0, "saturated"),
        ("gate", 100, 100, "healthy"),
        ("state", 0, 25, "healthy"),
        ("state", 0, 26, "dead"),
        ("candidate", 0, 100, "healthy"),
    ],
)
def test_near_the_borders_of_units(kind, stuck, still, said):
    assert list(found(FLAT, gates=[units(kind, stuck, still)])) == [said]


def tiny(rows=3, steps=6, **settings):
    """A plain network, and a batch."""
    torch.manual_seed(0)
    network = Network(recurra.GRUCell(2, 4))
    return network, Batch(torch.randn(steps, rows, 2), torch.randn(rows, 1), target_axis=0)


def test_what_is_read_and_no_number_is_refused():
    for value in (torch.nan, torch.inf):
        network, batch = tiny()
        batch.inputs[2, 1] = value
        with pytest.raises(ShapeError, match=rf"batch: input: .*got {value} at \[2, 1, 0\]"):
            examine(network, batch, loss=network.squared)


def test_what_is_no_number_is_said():
    network, batch = tiny()
    torch.nn.init.constant_(network.said.weight, torch.nan)
    seen = examine(network, batch, loss=network.squared)
    assert names(seen)[0] == "exploding"
    assert "no number" in str(seen)
    seen.chart().svg()


def test_of_a_single_value_nothing_is_dead():
    network, batch = tiny(rows=1, steps=1)
    assert names(examine(network, batch, loss=network.squared)) == ["healthy"]


def test_healthy_is_said_alone():
    network, batch = tiny()
    assert names(examine(network, batch, loss=network.squared, reference=0.0)) == ["no signal"]


def test_without_gradients_around():
    network, batch = tiny()
    with torch.no_grad():
        quiet = examine(network, batch, loss=network.squared)
    with torch.inference_mode():
        quieter = examine(network, batch, loss=network.squared)
    assert str(quiet) == str(quieter) == str(examine(network, batch, loss=network.squared))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"anchors": 0}, "anchors"),
        ({"loss": lambda outputs, _: outputs[-1]}, r"one number.*got \[3, 4\]"),
        ({"loss": lambda outputs, _: 0.5}, "one number.*got the number 0.5|one number.*got"),
        (
            {"batch": Batch(torch.zeros(6, 0, 2), torch.zeros(0, 1), target_axis=0)},
            "rows that have",
        ),
        (
            {"batch": Batch(torch.zeros(0, 3, 2), torch.zeros(3, 1), target_axis=0)},
            "rows that have",
        ),
    ],
)
def test_wrong_arguments(change, words):
    network, batch = tiny()
    known = {"loss": network.squared, "batch": batch} | change
    with pytest.raises(recurra.errors.RecurraError, match=words):
        examine(network, known.pop("batch"), **known)
