"""Layers that learn nothing: cut off, frozen, or with an output that nobody uses."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import recurra
from recurra import Batch
from recurra.diagnosis import examine
from recurra.diagnosis.examination.reached import places_of, unreached
from recurra.diagnosis.subject import subject_of
from recurra.models import Classifier, ClassifierConfig


def model(**settings):
    torch.manual_seed(0)
    told = {"vocabulary_size": 9, "classes": 3, "hidden_size": 4, "bidirectional": False}
    return Classifier(ClassifierConfig(**told | settings))


BATCH = Batch(torch.arange(24).view(6, 4) % 9, torch.tensor([0, 1, 2, 0]), target_axis=0)


def found(module, batch=BATCH, **loss):
    return unreached(subject_of(module, batch, **loss))


def test_all_of_a_model_is_reached():
    assert found(model(layers=2)) == ()


def test_a_frozen_layer_is_told_with_its_size():
    made = model()
    made.encoder.embedding.requires_grad_(False)
    (one,) = found(made)
    assert one == ("encoder.embedding", made.encoder.embedding.weight.numel(), True)
    seen = examine(made, BATCH)
    (said,) = [each for each in seen.verdicts if each.name == "unreached"]
    assert "frozen (requires_grad=False): encoder.embedding (" in said.sentence
    made.requires_grad_(False)
    assert found(made) == (), "nobody trains it"


def test_a_bias_alone_that_is_frozen_is_no_layer():
    made = model()
    made.head.projection.bias.requires_grad_(False)
    assert found(made) == ()


@pytest.mark.parametrize("how", ["detach", "no grad", "unused"])
def test_what_is_cut_off(how):
    class Holder(nn.Module):
        def __init__(self):
            super().__init__()
            self.lower = recurra.Recurrent(recurra.GRUCell(2, 3))
            self.upper = recurra.Recurrent(recurra.GRUCell(3, 3))

        def forward(self, x):
            if how == "no grad":
                with torch.no_grad():
                    low = self.lower(x).outputs
            else:
                low = self.lower(x).outputs
                low = low.detach() if how == "detach" else 0 * low + 1
            return self.upper(low).outputs

    torch.manual_seed(0)
    (one,) = found(
        Holder(), Batch(torch.randn(5, 2, 2), None), loss=lambda out, _: out.square().mean()
    )
    assert (one.place, one.frozen) == ("lower.cell", False)


def test_where_parameters_stand():
    """Of what a parametrization computes too; a shared one where it is first met."""
    made = recurra.LanguageModel(
        recurra.LanguageModelConfig(vocabulary_size=9, hidden_size=4, tied=True)
    )
    recurra.weight_drop(made.encoder.layer.layers[0].cell, 0.5)
    places = [place for _, place in places_of(made)]
    assert len(places) == len(list(made.parameters()))
    assert "encoder.layer.layers.0.cell" in places
    assert not any("parametrizations" in place for place in places)
