"""A model joins an encoder and a head, and its sums add up over windows, rows and documents."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from recurra.batch import Batch
from recurra.cells import LSTMCell
from recurra.encoders import TokenEncoder
from recurra.errors import SettingError, ShapeError
from recurra.heads import LabelsHead
from recurra.layers import Bidirectional, Recurrent, Stack, TokenEmbedding
from recurra.models import Model, Scored
from recurra.sequences import PaddedSequence

SYMBOLS, WIDTH = 7, 5


def encoder(*, dropout: float = 0.0) -> TokenEncoder:
    return TokenEncoder(
        TokenEmbedding(SYMBOLS, WIDTH, dropout=dropout),
        Stack([Recurrent(LSTMCell(WIDTH, WIDTH)), Recurrent(LSTMCell(WIDTH, WIDTH))]),
    )


def model(*, dropout: float = 0.0) -> Model:
    torch.manual_seed(0)
    return Model(encoder(dropout=dropout), LabelsHead(WIDTH, SYMBOLS)).double()


def batch(time: int = 6, rows: int = 3, seed: int = 0) -> Batch:
    torch.manual_seed(seed)
    ids = torch.randint(SYMBOLS, (2, time, rows))
    return Batch(ids[0], ids[1])


def by_hand(made: Model, given: Batch) -> Tensor:
    """Losses of all steps, ``[time, rows]``."""
    scores = made.head(made.encoder(given.inputs))
    return -scores.log_softmax(-1).gather(-1, given.targets.unsqueeze(-1)).squeeze(-1)


def test_a_head_must_read_what_the_encoder_gives() -> None:
    with pytest.raises(SettingError, match="LabelsHead reads 6 numbers, TokenEncoder gives 5"):
        Model(encoder(), LabelsHead(6, SYMBOLS))


def test_a_tied_head_needs_an_embedding_of_its_width() -> None:
    with pytest.raises(SettingError, match="width 4, TokenEncoder has one of width 5"):
        Model(encoder(), LabelsHead(WIDTH, SYMBOLS, tied_size=4))

    class Blind(TokenEncoder):
        @property
        def embedding_weight(self) -> None:  # type: ignore[override]
            return None

    blind = Blind(TokenEmbedding(SYMBOLS, WIDTH), Recurrent(LSTMCell(WIDTH, WIDTH)))
    with pytest.raises(SettingError, match="Blind has none"):
        Model(blind, LabelsHead(WIDTH, SYMBOLS, tied_size=WIDTH))


def test_total_and_count_by_hand() -> None:
    made, given = model(), batch()
    scored = made(given)
    assert isinstance(scored, Scored)
    torch.testing.assert_close(scored.total, by_hand(made, given).sum())
    assert scored.count == 18
    torch.testing.assert_close(made.loss(given), scored.total / 18)


def test_an_empty_batch_has_no_loss() -> None:
    made = model()
    empty = Batch(torch.zeros(0, 3, dtype=torch.long), torch.zeros(0, 3, dtype=torch.long))
    assert made(empty).count == 0
    assert made.loss(empty).item() == 0


def test_padding_is_not_scored() -> None:
    made, given = model(), batch()
    lengths = torch.tensor([6, 0, 2])
    garbage = given.inputs.clone()
    garbage[torch.arange(6)[:, None] >= lengths] = 999  # no such symbol
    padded = Batch(PaddedSequence(garbage, lengths), PaddedSequence(given.targets, lengths))
    scored = made(padded)
    losses = by_hand(made, given)
    torch.testing.assert_close(scored.total, losses[:, 0].sum() + losses[:2, 2].sum())
    assert scored.count == 8


def test_windows_with_the_carried_state_add_up_to_the_whole() -> None:
    made, given = model(), batch(time=11)
    whole = made(given)
    state, total, count = None, torch.zeros((), dtype=torch.float64), 0
    for start in range(0, 11, 4):
        part = Batch(given.inputs[start : start + 4], given.targets[start : start + 4])
        scored = made(part, state)
        state, total, count = scored.state, total + scored.total, count + scored.count
    torch.testing.assert_close(total, whole.total, rtol=1e-12, atol=0)
    assert count == whole.count
    # The broken twin: no state is carried.
    forgetful = sum(
        made(Batch(given.inputs[s : s + 4], given.targets[s : s + 4])).total for s in (0, 4, 8)
    )
    assert abs((forgetful - whole.total).item()) > 1e-4


def test_resets_are_new_documents() -> None:
    made, given = model(), batch(time=9, rows=1)
    resets = torch.zeros(9, 1, dtype=torch.bool)
    resets[4] = True
    joined = made(Batch(given.inputs, given.targets, resets))
    apart = sum(
        made(Batch(given.inputs[span], given.targets[span])).total
        for span in (slice(0, 4), slice(4, 9))
    )
    torch.testing.assert_close(joined.total, apart, rtol=1e-12, atol=0)
    assert abs((joined.total - made(given).total).item()) > 1e-4  # and they make a difference


def test_score_sums_groups_of_windows_in_evaluation_mode() -> None:
    made = model(dropout=0.5).train()
    first, second = batch(time=4), batch(time=3, rows=2, seed=1)
    total, count = made.score([[first], [second]])
    assert made.training
    made.eval()
    assert count == 12 + 6
    assert total == pytest.approx((made(first).total + made(second).total).item(), rel=1e-12)
    # Windows of one group share a state, groups do not.
    together, _ = made.score([[first, Batch(first.inputs, first.targets)]])
    apart, _ = made.score([[first], [first]])
    assert abs(together - apart) > 1e-4


def test_score_keeps_no_graph() -> None:
    made = model()
    seen: list[bool] = []
    made.register_forward_hook(lambda module, args, out: seen.append(out.total.requires_grad))
    made.score([[batch()]])
    assert seen == [False]


def test_score_gives_the_mode_back_when_something_fails() -> None:
    made = model().train()

    def broken() -> Iterator[list[Batch]]:
        yield [batch()]
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        made.score(broken())
    assert made.training


def test_nothing_to_score() -> None:
    assert model().score([]) == (0.0, 0)


def test_predictions_are_scores_before_softmax() -> None:
    made, given = model(), batch()
    predicted = made.predict(given)
    assert predicted.shape == (6, 3, SYMBOLS)
    picked = predicted.log_softmax(-1).gather(-1, given.targets.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(-picked, by_hand(made, given))


def test_a_tied_head_trains_the_embedding_from_both_ends() -> None:
    torch.manual_seed(0)
    made = Model(encoder(), LabelsHead(WIDTH, SYMBOLS, tied_size=WIDTH))
    ids = torch.zeros(2, 1, dtype=torch.long)  # only symbol 0 is read
    made.loss(Batch(ids, ids)).backward()
    gradient = made.encoder.embedding_weight.grad  # type: ignore[union-attr]
    assert gradient is not None
    assert bool((gradient[1:].abs().sum(1) > 0).all())  # symbols that were only scored


def test_the_initial_state_fits_the_rows() -> None:
    made, given = model(), batch()
    torch.testing.assert_close(made(given, made.initial_state(3)).total, made(given).total)
    with pytest.raises(ShapeError):
        made(given, made.initial_state(2))


def test_a_model_that_reads_both_ways_cannot_go_step_by_step() -> None:
    both = Bidirectional(LSTMCell(WIDTH, 3), LSTMCell(WIDTH, 3))
    made = Model(TokenEncoder(TokenEmbedding(SYMBOLS, WIDTH), both), LabelsHead(6, SYMBOLS))
    assert math.isfinite(made.loss(batch()).item())
    with pytest.raises(ShapeError, match="reads both ways"):
        made.initial_state(1)


def test_a_head_may_answer_with_something_else_than_it_scores() -> None:
    class Best(LabelsHead):
        def predict(self, read: Any, embedding: Tensor | None = None) -> Any:
            return self(read, embedding).argmax(-1)

    torch.manual_seed(0)
    made, given = Model(encoder(), Best(WIDTH, SYMBOLS)), batch()
    said = made.predict(given)
    assert said.equal(made.head(made.encoder(given.inputs)).argmax(-1))
    assert made(given).count == given.targets.numel()  # scores are as they were
