"""Every verdict is said of what has it and not of what has not; benchmarks/verdicts.py counts."""

import pytest
import torch

import recurra
from recurra import Batch, Recurrent
from recurra.diagnosis import examine
from recurra.diagnosis.examination.cases import CASES, Network
from recurra.diagnosis.examination.verdicts import CONDITIONS

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


@pytest.mark.parametrize("name", ["vanishing", "healthy"])
def test_one_of_four_is_always_said_of_the_gradient(name):
    for seen in (CASES[name].has(7), CASES[name].lacks(7)):
        of_flow = {"exploding", "vanishing", "healthy", "healthy for this task"}
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


def tiny(rows=3, steps=6, **settings):
    """A plain network, and a batch."""
    torch.manual_seed(0)
    network = Network(recurra.GRUCell(2, 4))
    return network, Batch(torch.randn(steps, rows, 2), torch.randn(rows, 1), target_axis=0)


@pytest.mark.parametrize("what", ["weights", "inputs", "one step"])
def test_what_is_no_number_is_said(what):
    network, batch = tiny()
    if what == "weights":
        torch.nn.init.constant_(network.said.weight, torch.nan)
    elif what == "inputs":
        batch.inputs.fill_(torch.nan)
    else:
        batch.inputs[2, 1] = torch.inf
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
