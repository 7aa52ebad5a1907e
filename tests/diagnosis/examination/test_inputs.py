"""Several inputs, each followed by itself: what is known of each network is what is found."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

import recurra
from recurra import Batch, PaddedSequence
from recurra.batch import Tokens
from recurra.diagnosis import examine
from recurra.diagnosis.changed import input_of, inputs_of, last_steps, other_step, steps_of
from recurra.models import Classifier, ClassifierConfig, Reads

TIME, ROWS = 12, 6


class Read(NamedTuple):
    """Two series and a topic of each row."""

    near: Any
    far: Any
    topic: Any


class Known(nn.Module):
    """Says the last of ``near``, ``far`` of 5 steps before, and the first number of the topic."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = recurra.Recurrent(recurra.GRUCell(1, 4))

    def forward(self, read: Read) -> torch.Tensor:
        late = torch.cat([torch.zeros_like(read.far[:5]), read.far[:-5]])
        seen = self.layer(read.near).outputs[..., :1]
        return 0.1 * seen + read.near + late + read.topic[:, :1]


def batch() -> Batch:
    draw = torch.Generator().manual_seed(0)
    near, far = (torch.randn(TIME, ROWS, 1, generator=draw) for _ in range(2))
    read = Read(near, far, torch.randn(ROWS, 2, generator=draw))
    said = near[-1] + far[-6] + read.topic[:, :1]
    return Batch(read, said, input_axis=(1, 1, 0), target_axis=0)


def squared(outputs: torch.Tensor, targets: Any) -> torch.Tensor:
    return nn.functional.mse_loss(outputs[-1], targets)


def test_each_input_is_found_to_be_what_it_is() -> None:
    torch.manual_seed(0)
    seen = examine(Known(), batch(), loss=squared, reference=3.0).evidence.by_input
    assert list(seen) == ["near", "far", "topic"]
    # At its own last step alone far does nothing; 5 steps before it does all.
    far = seen["far"].response
    assert far.values[[at in (0, 1, 2, 3, 4) for at in far.at]].max() == 0
    assert far.values[list(far.at).index(5)] > 0.1
    kept = seen["far"].flow.kept
    assert kept[:5].max() == 0
    assert seen["near"].flow.norms["near"][0] > 0
    assert seen["far"].needs.steps >= 6
    assert seen["near"].needs.steps < 4
    assert (seen["topic"].steps, seen["topic"].flow) == (1, None)
    assert seen["topic"].needs.steps == 1
    assert seen["topic"].response.values[0] > 0.1


def test_what_is_ignored_is_named() -> None:
    torch.manual_seed(0)

    class Deaf(Known):
        def forward(self, read: Read) -> torch.Tensor:
            near = read.near * (torch.arange(TIME) != 3)[:, None, None]
            return super().forward(read._replace(near=near, topic=torch.zeros_like(read.topic)))

    seen = examine(Deaf(), batch(), loss=squared)
    (said,) = [each for each in seen.verdicts if each.name == "input ignored"]
    assert "near at step 3" in said.sentence
    assert "topic" in said.sentence.replace("topic at", "")
    assert "memory of far: " in str(seen)


def test_one_input_alone_is_not_told_twice() -> None:
    torch.manual_seed(0)
    x = torch.randn(TIME, ROWS, 2)
    layer = recurra.Recurrent(recurra.GRUCell(2, 3))
    seen = examine(layer, Batch(x, None), loss=lambda outputs, _: outputs[-1].square().mean())
    assert not seen.evidence.by_input
    assert "memory of" not in str(seen)


def test_a_condition_beside_symbols_and_a_context() -> None:
    torch.manual_seed(0)
    config = recurra.LanguageModelConfig(vocabulary_size=9, hidden_size=8, conditions={"topic": 3})
    ids = torch.randint(9, (TIME, ROWS))
    topic = torch.randint(1, 3, (1, ROWS, 1)).expand(TIME, -1, -1)
    seen = examine(recurra.LanguageModel(config), Batch(Tokens(ids, topic), ids))
    assert list(seen.evidence.by_input) == ["ids", "given"]

    class Attending(recurra.GRUCell):
        takes_context = True

        def step(self, x, state, context=None, noise=None):
            y, state = super().step(x, state)
            return y + context.h, state

    given = recurra.HiddenState(torch.randn(ROWS, 4))
    layer = recurra.Recurrent(Attending(2, 4))

    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x, context=given).outputs

    held = Batch(torch.randn(TIME, ROWS, 2), None, context=given)
    assert inputs_of(held) == ["input", "context.h"]
    changed = other_step(held, torch.zeros(ROWS, dtype=torch.int64), name="context.h")
    assert torch.equal(changed.inputs, held.inputs)
    assert not torch.equal(changed.context.h, held.context.h)
    assert sorted(map(tuple, changed.context.h.tolist())) == sorted(map(tuple, given.h.tolist()))


FRAMES = {"film": Reads(form="frames", sizes=[2])}


@pytest.mark.parametrize("fuse", ["late", "ask"])
def test_a_sequence_and_a_picture_are_told_apart(fuse: str) -> None:
    """By the names that the encoder has for them; and cells in steps of their own are followed."""
    torch.manual_seed(0)
    reads = FRAMES | {"still": Reads(form="pictures", sizes=[4, 4, 1], steps=False)}
    asks = {"asks": "still"} if fuse == "ask" else {}
    told = {"hidden_size": 6, "classes": 3, "bidirectional": False, "pool": "last", "layers": 1}
    model = Classifier(ClassifierConfig(reads=reads, fuse=fuse, **told, **asks))
    film = PaddedSequence(torch.randn(9, 4, 2), torch.tensor([9, 9, 5, 2]))
    still = PaddedSequence(torch.rand(1, 4, 4, 4, 1), torch.tensor([1, 1, 0, 1]))
    read = Batch((film, still), torch.tensor([0, 1, 0, 1]), target_axis=0)
    seen = examine(model, read)
    assert list(seen.evidence.by_input) == ["film", "still"]
    assert seen.evidence.by_input["film"].steps == 9
    (place,) = seen.evidence.flow.norms
    assert seen.evidence.flow.furthest == (8 if fuse == "late" else 9)
    if fuse == "late":
        # The state at a row's end is what is read of it: nothing keeps more.
        assert "film" in place
        assert seen.evidence.flow.norms[place][0] > 0


def test_the_last_steps_of_an_input() -> None:
    values = torch.arange(8.0).view(4, 2, 1)
    whole = Batch((PaddedSequence(values, torch.tensor([4, 2])), values + 100), None)
    cut = last_steps(whole, "input 0", 1)
    read, _ = input_of(cut, "input 0")
    assert read.values[:, 0, 0].tolist() == [1, 3, 5, 6]
    assert read.values[:2, 1, 0].tolist() == [0, 3]
    assert torch.equal(input_of(cut, "input 1")[0], values + 100)
    assert steps_of(whole, "input 0")[1].tolist() == [4, 2]
    assert torch.equal(input_of(last_steps(whole, "input 1", 4), "input 1")[0], values + 100)
