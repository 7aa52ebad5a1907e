"""Evaluation mode for a while, and what relies on it."""

import pytest
import torch
from torch import nn

import recurra
from recurra.modules import evaluating


def test_every_module_gets_its_own_mode_back():
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout(), nn.Linear(2, 2)))
    model.train()
    model[1].eval()
    with evaluating(model):
        assert not any(part.training for part in model.modules())
    assert [part.training for part in model.modules()] == [True, True, False, False, False]
    with pytest.raises(KeyError), evaluating(model):
        raise KeyError
    assert model.training
    with evaluating("no module"):
        pass


def test_generation_in_training_hangs_on_its_seed_alone():
    """Dropout would draw numbers that the seed does not decide."""
    config = recurra.LanguageModelConfig(vocabulary_size=9, hidden_size=8, dropout=0.5)
    model = recurra.LanguageModel(config).train()
    texts = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        texts.append(list(recurra.generate(model, [1], limit=30, seed=5)))
    assert texts[0] == texts[1]
    assert model.training


def test_a_context_lives_in_the_decoding_state():
    from laws.subjects import ContextCell, Topic

    recurra.register("with context")(ContextCell)
    try:
        config = recurra.LanguageModelConfig(
            vocabulary_size=9, hidden_size=8, cell="with context", layers=1
        )
        model = recurra.LanguageModel(config).eval()
    finally:
        from recurra.cells import base

        del base._REGISTERED["with context"]
    tokens = torch.tensor([3, 3])
    state = model.start(2, Topic(torch.tensor([[0.0, 0.0], [5.0, -5.0]])))
    first, state = model.step(tokens, state)
    assert not torch.allclose(first[0], first[1])
    swapped = recurra.states.select_rows(state, torch.tensor([1, 0]))
    a, _ = model.step(tokens, state)
    b, _ = model.step(tokens, swapped)
    assert torch.allclose(a[[1, 0]], b)


def test_star_import_brings_the_public_names():
    names: dict = {}
    exec("from recurra import *", names)
    assert names["LSTMCell"] is recurra.LSTMCell
    assert names["run"] is recurra.run
    assert "cells" not in names


def test_arithmetic_that_does_not_add_up_is_not_printed():
    cell = recurra.LSTMCell(3, 4)
    torch.nn.utils.parametrizations.weight_norm(cell, "recurrent_weight")
    text = str(recurra.describe(cell))
    assert "4*h*(i+h)" not in text
    assert str(sum(p.numel() for p in cell.parameters())) in text
