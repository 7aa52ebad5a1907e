"""Values that are moved, units that are taken away, and what becomes of answers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import recurra
from recurra.diagnosis import ablate, ablations, clamp, intervene, patch, scale
from recurra.errors import SettingError, ShapeError
from recurra.models import Classifier, ClassifierConfig, LanguageModel, LanguageModelConfig


def rows(*given):
    return recurra.PaddedSequence.from_list([torch.tensor(r, dtype=torch.int64) for r in given])


def classifier(**settings):
    torch.manual_seed(0)
    told = {"vocabulary_size": 20, "classes": 3, "hidden_size": 6, "bidirectional": False}
    return Classifier(ClassifierConfig(**told | settings))


BATCH = recurra.Batch(rows([1, 2, 3, 4], [5, 6], [7]), torch.tensor([0, 1, 2]), target_axis=0)


def test_ready_made_changes_are_what_they_say():
    layer, x = recurra.GRU(2, 3), torch.randn(4, 2, 2)
    with torch.no_grad():
        before = layer(x)[0]
        for change, wanted in (
            (clamp(0.5, units=1, since=2), 0.5),
            (ablate(units=1, since=2), 0.0),
        ):
            with recurra.changing(layer, {"state.h": change}):
                after = layer(x)[0]
            assert bool((after[2:, :, 1] == wanted).all())
            assert torch.equal(after[:2], before[:2])
        with recurra.changing(layer, {"state.h": scale(2.0, rows=1, until=1)}):
            after = layer(x)[0]
        torch.testing.assert_close(after[0, 1], 2 * before[0, 1])
        assert torch.equal(after[:, 0], before[:, 0])


def test_what_is_patched_answers_as_the_other_input():
    """From a patched state on all is as it was there."""
    model = classifier()
    other = recurra.Batch(rows([9, 8, 3, 4]), None)
    batch = recurra.Batch(rows([1, 2, 3, 4]), torch.tensor([0]), target_axis=0)
    seen = recurra.named_values(
        model.eval(), recurra.Batch(other.inputs, batch.targets, target_axis=0)
    )
    (key,) = [key for key in seen if key.endswith("state.h")]
    found = intervene(model, batch, {key: patch(seen[key], until=2)})
    torch.testing.assert_close(found.after, model.predict(other))
    assert not torch.allclose(found.before, found.after)
    with pytest.raises(ShapeError, match="patch: expected a tensor"):
        patch([1.0])


def test_losses_and_changes_of_rows_and_steps():
    model = classifier(dropout=0.5)
    key = next(k for k in recurra.named_values(model, BATCH) if k.endswith("state.h"))
    model.train()
    model.head.eval()
    found = intervene(model, BATCH, {key: ablate(since=2)})
    assert model.training
    assert not model.head.training
    assert found.loss[0] == pytest.approx(float(model.eval().loss(BATCH).detach()), rel=1e-5)
    assert found.row_losses.shape == (2, 3)
    assert found.by_row[0] > 0
    assert found.by_row[1:].tolist() == [0, 0]  # they end before
    assert found.by_step.shape == (4, 3)
    assert bool((found.by_step[:2] == 0).all())
    assert bool((found.by_step[2:, 0] > 0).all())
    lines = str(found).splitlines()
    assert lines[0].split()[:4] == ["row", "loss", "before", "after"]
    assert lines[1].split()[0] == "0"
    assert lines[-1].split()[0] == "all"


def test_answers_with_steps():
    model = LanguageModel(LanguageModelConfig(vocabulary_size=20, hidden_size=8))
    text = rows([1, 2, 3, 4], [5, 6])
    found = intervene(model, recurra.Batch(text, text), {"state.h": scale(0.5, since=3)})
    assert bool((found.by_step[:3] == 0).all())
    assert found.by_step[3, 0] > 0
    assert found.by_step[3, 1] == 0


@pytest.mark.parametrize("batch_first", [False, True])
def test_layers_and_functions(batch_first):
    layer = recurra.LSTM(2, 3, batch_first=batch_first)
    x = torch.randn(4, 2, 2)
    change = {"state.h": ablate(since=1, rows=0)}
    found = intervene(
        layer, x.transpose(0, 1) if batch_first else x, change, batch_first=batch_first
    )
    assert found.loss is None
    assert found.by_row[0] > 0
    assert found.by_row[1] == 0
    assert found.by_step[0].tolist() == [0, 0]
    assert str(found).splitlines()[1].split()[1] == "-"

    def last(v):
        return layer(v)[0].select(1 if batch_first else 0, -1)

    told = intervene(
        last, x.transpose(0, 1) if batch_first else x, change, of=layer, batch_first=batch_first,
        loss=lambda answer, rows: answer.sum(1),
    )  # fmt: skip
    assert told.loss[1] == pytest.approx(float(told.row_losses[1].mean()))
    with pytest.raises(SettingError, match="expected of="):
        intervene(last, x, change)


def test_what_does_not_fit_is_said():
    model = classifier()
    with pytest.raises(SettingError, match=r"no 'state\.q'"):
        intervene(model, BATCH, {"state.q": ablate()})
    with pytest.raises(ShapeError, match="units"):
        intervene(model, BATCH, {"state.h": ablate(units=6)})
    with pytest.raises(ShapeError, match="loss: expected a number of each of 3 rows"):
        intervene(model, BATCH, {"state.h": ablate()}, loss=lambda answer, rows: answer)
    assert model.training


# ---- units in turn -------------------------------------------------------------------------------


class Counter(nn.Module):
    """Unit 0 adds up what it reads and is read; unit 1 does the same, and nothing reads it."""

    def __init__(self):
        super().__init__()
        self.layer = recurra.RNN(1, 3, nonlinearity="relu")
        self.out = nn.Linear(3, 1)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.zero_()
            self.layer.weight_ih_l0.copy_(torch.tensor([[1.0], [1.0], [0.0]]))
            self.layer.weight_hh_l0.copy_(torch.diag(torch.tensor([1.0, 1.0, 0.0])))
            self.out.weight.copy_(torch.tensor([[1.0, 0.0, 1.0]]))

    def forward(self, x):
        return self.out(self.layer(x)[0][-1])


@pytest.mark.parametrize("budget", [1, 65_536])
def test_a_unit_that_goes_along_is_not_one_that_matters(budget):
    model, x = Counter(), torch.rand(5, 40, 1)
    wanted = x.sum((0, 2))
    found = ablations(
        model,
        x,
        against=wanted,
        loss=lambda a, r: (a[:, 0] - wanted[r]).square(),
        steps_at_once=budget,
    )
    assert found.loss == pytest.approx(0, abs=1e-10)
    assert found[0].unit == 0
    assert found.of(0).change == pytest.approx(float(wanted.square().mean()), rel=1e-5)
    assert found.of(0).correlation == pytest.approx(1, abs=1e-5)
    assert found.of(1).correlation == pytest.approx(1, abs=1e-5)
    assert found.of(1).change == pytest.approx(0, abs=1e-10)
    assert found.of(2).correlation == 0
    assert str(found).splitlines()[1].split()[-1] == "correlation"


def test_units_at_once_are_those_one_by_one():
    model = classifier(layers=2, bidirectional=True, cell="lstm")
    at_once, alone = (
        ablations(model, BATCH, "state.c", to="mean", steps_at_once=n) for n in (65_536, 1)
    )
    assert len(at_once) == 4 * 6
    assert len({one.key for one in at_once}) == 4
    for one in at_once:
        assert one.change == pytest.approx(alone.of(one.unit, one.key).change, abs=1e-6)
    key = at_once[0].key
    by_hand = intervene(
        model, BATCH, {key: clamp(held(model, key)[at_once[0].unit], units=at_once[0].unit)}
    )
    assert at_once[0].change == pytest.approx(by_hand.loss[1] - by_hand.loss[0], abs=1e-5)
    with pytest.raises(SettingError, match="found 4"):
        at_once.of(0)


def held(model, key):
    """The mean of each unit over the steps of the batch, padding left out."""
    values = recurra.named_values(model.eval(), BATCH)[key].detach()
    return torch.cat([values[:n, row] for row, n in enumerate((4, 2, 1))]).mean(0).tolist()


def test_gates_too_and_numbers_at_every_step():
    model = LanguageModel(
        LanguageModelConfig(vocabulary_size=20, hidden_size=5, cell="gru", layers=1)
    )
    text = rows([1, 2, 3, 4], [5, 6])
    against = torch.randn(4, 2)
    found = ablations(model, recurra.Batch(text, text), "update gate", against=against)
    assert len(found) == 5
    values = recurra.named_values(model.eval(), recurra.Batch(text, text))["update gate"]
    pairs = torch.stack([values[:, :, 2][text.mask], against[text.mask]]).detach()
    assert found.of(2).correlation == pytest.approx(float(torch.corrcoef(pairs)[0, 1]), abs=1e-5)


def test_what_cannot_be_ablated_is_said():
    model = classifier()
    with pytest.raises(SettingError, match=r"ablations: no 'state\.q'"):
        ablations(model, BATCH, "state.q")
    with pytest.raises(SettingError, match="loss: expected a Model and a batch with targets"):
        ablations(recurra.LSTM(2, 3), torch.randn(4, 2, 2))
    with pytest.raises(ShapeError, match="against: expected numbers of"):
        ablations(model, BATCH, against=torch.ones(5))
    with pytest.raises(SettingError, match="'mean', got 'median'"):
        ablations(model, BATCH, to="median")
