"""A classifier of texts: shapes, padding, chance, and what its settings change."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from recurra import Batch, Classifier, ClassifierConfig, PaddedSequence

IDS = torch.tensor([[3, 4, 5], [6, 0, 99], [7, 0, 99]])
LENGTHS = [3, 1, 0]  # what no vocabulary has is padding


def make(**settings: Any) -> Classifier:
    torch.manual_seed(0)
    return Classifier(ClassifierConfig(vocabulary_size=9, classes=4, hidden_size=5, **settings))


def batch() -> Batch:
    return Batch(PaddedSequence(IDS, LENGTHS), torch.tensor([2, 0, 3]), target_axis=0)


@pytest.mark.parametrize("pool", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("more", [{}, {"cell": "lstm", "layers": 2, "bidirectional": False}])
def test_rows_stand_alone(pool: str, more: dict[str, Any]) -> None:
    model = make(pool=pool, **more).double()
    model.starts_at([1, 2, 3, 4])
    together = model.predict(batch())
    assert together.shape == (3, 4)
    for row, length in enumerate(LENGTHS):
        alone = model.predict(Batch(IDS[:length, row : row + 1], None))
        torch.testing.assert_close(alone[0], together[row])
    scored = model(batch())
    want = torch.nn.functional.cross_entropy(together, batch().targets, reduction="sum")
    torch.testing.assert_close(scored.total, want)
    assert scored.count == 3
    scored.total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    # An empty row is given what the frequencies say.
    assert together[2].softmax(-1).tolist() == pytest.approx([n / 14 for n in (2, 3, 4, 5)])


@pytest.mark.parametrize("setting", ["dropout", "dropout_word", "dropout_recurrent"])
def test_every_rate_draws_in_training_alone(setting: str) -> None:
    model = make(**{setting: 0.5})
    totals = {float(model.train()(batch()).total.detach()) for _ in range(8)}
    assert len(totals) > 1
    assert len({float(model.eval()(batch()).total.detach()) for _ in range(3)}) == 1


def test_sizes() -> None:
    model = make(embedding_size=3, embedding_spread=0.25)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert shapes["encoder.embedding.weight"] == (9, 3)
    assert shapes["head.projection.weight"] == (4, 10)
    wide = Classifier(ClassifierConfig(vocabulary_size=9999, classes=4, embedding_spread=0.25))
    assert wide.encoder.embedding_weight is not None
    assert float(wide.encoder.embedding_weight.detach().std()) == pytest.approx(0.25, rel=0.01)
