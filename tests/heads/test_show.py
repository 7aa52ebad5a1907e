"""What heads show: what is said, what was wanted, and how little it was expected."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

import recurra
from recurra.heads import (
    AlignmentHead,
    CRFHead,
    DecoderHead,
    Head,
    LabelHead,
    LabelsHead,
    NumbersHead,
    Shown,
)
from recurra.layers import LayerOutput
from recurra.sequences import PaddedSequence
from recurra_runtime.vocabulary import END, START

WIDTH, LENGTHS = 5, [4, 1, 3]


def read() -> LayerOutput:
    """Rows with no number behind their ends."""
    torch.manual_seed(1)
    values = torch.randn(max(LENGTHS), len(LENGTHS), WIDTH)
    for row, length in enumerate(LENGTHS):
        values[length:, row] = math.nan
    padded = PaddedSequence(values, torch.tensor(LENGTHS))
    return LayerOutput(padded, padded.last(), None)


def labels(count: int, lengths: list[int] = LENGTHS) -> PaddedSequence:
    torch.manual_seed(2)
    return PaddedSequence(torch.randint(count, (max(lengths), len(lengths))), torch.tensor(lengths))


def random(head: Head) -> Head:
    torch.manual_seed(3)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    return head.eval()


def show(head: Head, targets: object) -> Shown:
    with torch.no_grad():
        found = head.show(read(), targets)
    assert found is not None
    return found


def test_a_head_of_ones_own_shows_nothing() -> None:
    class Own(Head):
        input_size = WIDTH

        def forward(self, read: LayerOutput, embedding: Tensor | None = None) -> Tensor:
            return read.last

        def score(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, int]:
            return predictions.sum(), 1

    assert Own().show(read(), None) is None


def test_a_label_of_a_row() -> None:
    head, wanted = random(LabelHead(WIDTH, 4)), torch.tensor([2, -1, 0])
    found = show(head, wanted)
    scores = head(read())
    assert found.said.tolist() == scores.argmax(1).tolist()
    expected = -scores.log_softmax(1)[[0, 2], [2, 0]]
    assert found.nats[[0, 2]].tolist() == pytest.approx(expected.tolist())
    assert found.nats[1].isnan()  # there is no such class


def test_several_labels_of_a_row() -> None:
    head = random(LabelHead(WIDTH, 4, several=True))
    wanted = torch.tensor([[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]])
    found = show(head, wanted)
    scores = head(read())
    assert torch.equal(found.said, scores >= 0)
    likely = torch.where(wanted == 1, scores.sigmoid(), 1 - scores.sigmoid())
    assert found.nats.tolist() == pytest.approx((-likely.log().sum(1)).tolist(), rel=1e-5)


def test_a_label_of_each_step() -> None:
    head, wanted = random(LabelsHead(WIDTH, 4)), labels(4)
    wanted.values[0, 2] = -1  # one without a name
    found = show(head, wanted)
    for row, length in enumerate(LENGTHS):
        own = head(read()).values[:length, row].log_softmax(1).detach()
        assert found.said.values[:length, row].tolist() == own.argmax(1).tolist()
        for step in range(length):
            label = int(wanted.values[step, row])
            nats = float(found.nats.values[step, row])
            if label < 0:
                assert math.isnan(nats)
            else:
                assert nats == pytest.approx(-float(own[step, label]), rel=1e-5)


def test_labels_that_are_chosen_together() -> None:
    """A label's nats are those of all paths through it, written out."""
    head, wanted = random(CRFHead(WIDTH, 3)), labels(3)
    found = show(head, wanted)
    emissions = head(read()).map(lambda valid: valid.detach())
    for row, length in enumerate(LENGTHS):
        paths = list(itertools.product(range(3), repeat=length))
        one = emissions.select_rows(torch.tensor([row])).truncate(length)
        scores = (
            torch.stack(
                [
                    head.path_scores(one, PaddedSequence(torch.tensor(path)[:, None], one.lengths))[
                        0
                    ]
                    for path in paths
                ]
            )
            .softmax(0)
            .tolist()
        )
        assert found.said.values[:length, row].tolist() == list(paths[scores.index(max(scores))])
        pairs = list(zip(scores, paths, strict=True))
        for step in range(length):
            label = int(wanted.values[step, row])
            through = sum(p for p, path in pairs if path[step] == label)
            nats = float(found.nats.values[step, row])
            assert nats == pytest.approx(-math.log(through), rel=1e-4, abs=1e-5)


def test_numbers() -> None:
    head = random(NumbersHead(WIDTH, 2, "gaussian"))
    torch.manual_seed(4)
    wanted = PaddedSequence(torch.randn(4, 3, 2), torch.tensor(LENGTHS))
    found = show(head, wanted)
    expected = head.predict(read())
    for row, length in enumerate(LENGTHS):
        mean, own = expected.mean.values[:length, row], wanted.values[:length, row]
        assert torch.equal(found.said.values[:length, row], mean)
        density = torch.distributions.Normal(mean, expected.deviation.values[:length, row])
        nats = -density.log_prob(own).sum(1)
        assert found.nats.values[:length, row].tolist() == pytest.approx(nats.tolist(), rel=1e-4)


def test_symbols_of_steps() -> None:
    head = random(AlignmentHead(WIDTH, 2))
    wanted = labels(2, [1, 3, 1])  # the second has one step for three symbols
    found = show(head, wanted)
    said = [row.tolist() for row in found.said.to_list()]
    for row, length in enumerate(LENGTHS):
        best = head(read()).values[:length, row].argmax(1).tolist()
        joined = [label for label, _ in itertools.groupby(best) if label != head.blank]
        assert said[row] == joined
    assert found.nats.isnan().tolist() == [False, True, False]
    own = head.row_losses(head(read()), wanted)
    assert found.nats[[0, 2]].tolist() == pytest.approx(own[[0, 2]].tolist())


def test_a_sequence_that_is_said() -> None:
    layers = recurra.Recurrent(recurra.GRUCell(6, 7))
    head = random(DecoderHead(WIDTH, 6, layers, embedding_size=6))
    wanted = labels(6, [3, 2, 4])
    found = show(head, wanted)
    begun = head(read())
    for row in range(3):
        one = recurra.states.map_tree(lambda leaf, at=row: leaf[at : at + 1], begun)
        state, token, said = one, torch.tensor([START]), []
        for _ in range(2 * 4 + 8):
            log_probs, state = head.step(token, state)
            token = log_probs.argmax(1)
            if int(token) == END:
                break
            said.append(int(token))
        assert found.said.to_list()[row].tolist() == said
    total = head.row_losses(begun, wanted)
    assert found.nats.to_padded().sum(0).tolist() == pytest.approx(total.tolist(), rel=1e-5)
