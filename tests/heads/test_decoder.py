"""A decoder's loss against steps taken one by one; what it reads, and what never counts."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from recurra.cells import AttentionCell, GRUCell
from recurra.decoding import beam_search_batch
from recurra.errors import SettingError, ShapeError
from recurra.heads import CopyingHead, DecoderHead, ReadSymbols
from recurra.layers import LayerOutput, Recurrent, Stack
from recurra.sequences import PaddedSequence
from recurra.states import leaves, select_rows
from recurra_runtime.vocabulary import END, START

WIDTH, SIZE, SYMBOLS, ROWS = 4, 5, 7, 3
READ, SAID = [3, 1, 2], [4, 0, 2]


def head(attends: bool = True, seed: int = 0, **settings: Any) -> DecoderHead:
    torch.manual_seed(seed)
    size = SIZE
    lowest: Any = GRUCell(6 + (size if attends else 0), size)
    if attends:
        lowest = AttentionCell(lowest, WIDTH)
    layers = Stack([Recurrent(lowest), Recurrent(GRUCell(size, size))])
    made = DecoderHead(WIDTH, SYMBOLS, layers, embedding_size=6, deviation=0.5, **settings)
    torch.nn.init.normal_(made.projection.bias)
    return made.double().eval()


def read() -> LayerOutput:
    """What an encoder gave, NaN behind each row."""
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(3, ROWS, WIDTH, dtype=torch.float64, generator=generator)
    last = torch.stack([values[length - 1, row] for row, length in enumerate(READ)])
    for row, length in enumerate(READ):
        values[length:, row] = math.nan
    return LayerOutput(PaddedSequence(values, READ), last, ())


def targets() -> PaddedSequence:
    """Symbols that end with the end, of several lengths; one is empty."""
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(3, SYMBOLS, (4, ROWS), generator=generator)
    for row, length in enumerate(SAID):
        ids[length - 1 if length else 0, row] = END
        ids[length:, row] = 10**6  # never looked up
    return PaddedSequence(ids, SAID)


@pytest.mark.parametrize("attends", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_the_loss_is_that_of_steps_one_by_one(attends: bool, tied: bool) -> None:
    model = head(attends, tied=tied)
    begun = model(read())
    assert (begun.memory is not None) == attends
    total, count = model.score(begun, targets())
    assert count == sum(SAID)
    by_hand, ids = torch.zeros(ROWS, dtype=torch.float64), targets().values
    state, token = begun, torch.full((ROWS,), START)
    for step in range(max(SAID)):
        log_probs, state = model.step(token, state)
        assert log_probs.exp().sum(1).detach().tolist() == pytest.approx([1.0] * ROWS)
        token = torch.where(torch.tensor(SAID) > step, ids[step], END)
        for row, length in enumerate(SAID):
            if step < length:
                by_hand[row] -= log_probs[row, token[row]]
    assert total.item() == pytest.approx(by_hand.sum().item(), rel=1e-12)
    assert model.surprise(begun, targets()).to_padded().sum(0).detach().tolist() == pytest.approx(
        by_hand.detach().tolist()
    )
    assert model.row_losses(begun, targets()).tolist() == pytest.approx(by_hand.tolist())
    many, _ = model.steps(torch.full((1, ROWS), START), begun)
    torch.testing.assert_close(many[0], model.step(torch.full((ROWS,), START), begun)[0])


def test_it_begins_with_what_was_read() -> None:
    model = head()
    begun = model(read())
    wanted = torch.tanh(model.bridge(read().last))
    torch.testing.assert_close(torch.cat(leaves(begun.carried), 1), wanted)


@pytest.mark.parametrize("places", [SIZE, 9])
def test_looks_that_are_counted_begin_at_zero(places: int) -> None:
    """Also where a memory has as many places as the state has numbers."""
    torch.manual_seed(0)
    cell = AttentionCell(GRUCell(6 + SIZE, SIZE), WIDTH, aware="coverage", places=places)
    model = DecoderHead(WIDTH, SYMBOLS, Recurrent(cell), embedding_size=6).double().eval()
    begun = model(read()).carried
    assert not begun.looked.any()
    found = torch.cat([begun.y, *leaves(begun.inner)], 1)
    torch.testing.assert_close(found, torch.tanh(model.bridge(read().last)))


def test_smoothing_is_of_training_alone() -> None:
    model, begun = head(smoothing=0.3), head(smoothing=0.3)(read())
    plain = head().score(begun, targets())[0]
    assert model.score(begun, targets())[0].item() == plain.item()
    model.train()
    found = model.score(begun, targets())[0].item()
    outputs = model.layers(
        model.embedding(targets().shift(1, START)), begun.carried, begun.memory.tree
    )
    log_probs = model.projection(outputs.outputs, None).valid().log_softmax(-1)
    wanted = -0.3 * log_probs.mean(1).sum()
    own = -log_probs.gather(1, targets().valid()[:, None]).sum()
    assert found == pytest.approx((0.7 * own + wanted).item(), rel=1e-12)


@pytest.mark.parametrize("call", ["forced", "surprise", "score"])
def test_padding_costs_nothing(call: str) -> None:
    """Steps behind the longest target enter no product: all are as many multiplications."""
    model = head(attends=False, sampling=0.5).train()
    costs = []
    for time in (4, 40):
        said = targets()
        ids = torch.full((time, ROWS), 10**6)
        ids[: said.time] = said.values
        with FlopCounterMode(display=False) as counter:
            getattr(model, call)(model(read()), PaddedSequence(ids, SAID))
        costs.append(counter.get_total_flops())
    assert costs[0] == costs[1] > 0


def test_sampling_reads_what_the_model_says() -> None:
    model = head(sampling=0.999999)
    begun = model(read())
    plain = model.score(begun, targets())[0].item()
    model.train()
    torch.manual_seed(0)
    found = model.score(begun, targets())[0].item()
    model.eval()
    outputs = model._outputs(targets().shift(1, START), begun)
    said = outputs.with_valid(model.projection(outputs).valid().argmax(-1)).shift(1, START)
    outputs = model._outputs(said, begun)
    log_probs = model.projection(outputs).valid().log_softmax(-1)
    wanted = (-log_probs.gather(1, targets().valid()[:, None]).sum()).item()
    assert found == pytest.approx(wanted, rel=1e-12)
    assert found != pytest.approx(plain, rel=1e-6)


def test_gradients_reach_all_that_it_has() -> None:
    model = head(tied=True)
    outputs = read()
    values = outputs.outputs.values.requires_grad_()
    total, _ = model.loss(outputs, targets())
    total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    for row, length in enumerate(READ):
        assert not values.grad[length:, row].any()


def test_a_student_is_held_against_what_its_teachers_say() -> None:
    student, teachers = head(), [head(seed=1), head(attends=False, seed=2)]
    taught = [teacher.forced(teacher(read()), targets()) for teacher in teachers]
    found = student.distilled(student(read()), taught, targets(), 2.0)
    own = (student.forced(student(read()), targets()).valid() / 2).log_softmax(1)
    shares = torch.stack([(each.valid() / 2).softmax(1) for each in taught]).mean(0)
    assert found.item() == pytest.approx(4 * (shares * (shares.log() - own)).sum().item())
    same = student.forced(student(read()), targets())
    assert student.distilled(student(read()), [same], targets(), 3.0).item() == pytest.approx(0)


def test_nothing_to_say_costs_nothing() -> None:
    model = head()
    none = PaddedSequence(torch.zeros(0, ROWS, dtype=torch.int64), [0] * ROWS)
    total, count = model.score(model(read()), none)
    assert (total.item(), count) == (0.0, 0)
    total.backward()


def test_it_is_searched() -> None:
    model = head()
    begun = model(read())
    found = beam_search_batch(
        model, [[START]] * ROWS, width=3, keep=2, end=END, never=(START,), limit=6, state=begun
    )
    for row, hypotheses in enumerate(found):
        for each in hypotheses:
            ids = [*each.symbols, END] if each.finished else [*each.symbols]
            one = select_rows(begun, torch.tensor([row]))
            total, _ = model.score(one, PaddedSequence(torch.tensor(ids)[:, None], [len(ids)]))
            assert each.log_prob == pytest.approx(-total.item(), rel=1e-9)


def test_what_is_refused() -> None:
    layers = Recurrent(GRUCell(6, SIZE))
    with pytest.raises(SettingError, match="vectors of symbols have 5 numbers, the layers read 6"):
        DecoderHead(WIDTH, SYMBOLS, layers, embedding_size=5)
    with pytest.raises(SettingError, match="smoothing"):
        DecoderHead(WIDTH, SYMBOLS, layers, embedding_size=6, smoothing=1.0)
    with pytest.raises(ShapeError, match="a decoder begins from what was read"):
        head().start(2)
    with pytest.raises(ShapeError, match="expected counts of 7 labels"):
        head().starts_at([1, 2])


# ---- copies --------------------------------------------------------------------------------------


def copying(seed: int = 0, **settings: Any) -> tuple[CopyingHead, ReadSymbols]:
    """A head that copies, and what it reads; one row has the same symbol twice."""
    torch.manual_seed(seed)
    layers = Recurrent(AttentionCell(GRUCell(6 + SIZE, SIZE), WIDTH))
    made = CopyingHead(WIDTH, SYMBOLS, layers, embedding_size=6, deviation=0.5, **settings)
    torch.nn.init.normal_(made.projection.bias)
    ids = torch.tensor([[5, 4, 3], [4, 10**6, 3], [5, 10**6, 10**6]])
    return made.double().eval(), ReadSymbols(*read(), PaddedSequence(ids, READ))


def test_copies_by_hand() -> None:
    model, given = copying()
    begun = model(given)
    start = torch.full((1, ROWS), START)
    log_probs, _ = model.step(start[0], begun)
    outputs = model.layers(model.embedding(start), begun.carried, begun.memory.tree).outputs[0]
    for row, length in enumerate(READ):
        said = model.projection(outputs[row]).exp()
        for place in range(length):
            key = model.copying.weight @ given.outputs.values[place, row]
            said = said.clone()
            said[given.symbols.values[place, row]] += (outputs[row] @ key).exp()
        torch.testing.assert_close(log_probs[row], (said / said.sum()).log())
    plain = -sum(
        model.log_probs(model._outputs(targets().shift(1, START), begun).values, begun)[
            t, row, targets().values[t, row]
        ].item()
        for row, length in enumerate(SAID)
        for t in range(length)
    )
    total, count = model.score(begun, targets())
    assert count == sum(SAID)
    assert total.item() == pytest.approx(plain, rel=1e-12)


def test_smoothed_copies() -> None:
    model, given = copying(smoothing=0.2)
    begun = model(given)
    plain = model.score(begun, targets())[0].item()
    model.train()
    outputs = model._outputs(targets().shift(1, START), begun)
    said = model.projection(outputs).valid()
    own = [
        (outputs.values[t, row] @ (model.copying.weight @ given.outputs.values[p, row])).item()
        for row, length in enumerate(SAID)
        for t in range(length)
        for p in range(READ[row])
    ]
    assert len(own) == sum(SAID[row] * READ[row] for row in range(ROWS))
    log_probs = model.log_probs(outputs.values, begun)
    norm = said[:, 0] - _share_of_saying(model, outputs, begun, targets())
    assert log_probs.isfinite().all()
    wanted = 0.8 * plain + 0.2 * (norm - said.mean(1)).sum().item()
    assert model.score(begun, targets())[0].item() == pytest.approx(wanted, rel=1e-10)


def _share_of_saying(model: Any, outputs: Any, begun: Any, said: PaddedSequence) -> Any:
    """The log-probability of saying symbol 0, which nobody can copy."""
    return PaddedSequence(model.log_probs(outputs.values, begun)[..., 0], said.lengths).valid()


def test_copies_have_gradients_and_no_padding() -> None:
    model, given = copying()
    values = given.outputs.values.requires_grad_()
    total, _ = model.score(model(given), targets())
    total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert model.copying.weight.grad.any()
    for row, length in enumerate(READ):
        assert not values.grad[length:, row].any()


def test_what_is_copied_must_have_been_read() -> None:
    model, given = copying()
    with pytest.raises(ShapeError, match="a symbol for each place that was read"):
        model(read())
    with pytest.raises(ShapeError, match="a symbol for each place that was read"):
        model(given._replace(symbols=PaddedSequence(given.symbols.values, [2, 1, 2])))
