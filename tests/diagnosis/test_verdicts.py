"""Every verdict is said of what has it and not of what has not; benchmarks/verdicts.py counts."""

import pytest
import torch

import recurra
from recurra import Batch, Recurrent
from recurra.diagnosis import examine
from recurra.diagnosis.cases import CASES
from recurra.diagnosis.verdicts import CONDITIONS

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
