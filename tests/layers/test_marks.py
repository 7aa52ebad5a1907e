"""Lengths and resets are checked once a call, at the door it came through, and alike at each."""

import functools
from typing import Any

import pytest
import torch
from torch import Tensor

import recurra
from recurra import Bidirectional, GRUCell, PaddedSequence, Recurrent, Stack
from recurra.errors import BackendError, RecurraError, ShapeError
from recurra.layers import base
from recurra.layers.base import LayerOutput

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]

X = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
LENGTHS = torch.tensor([5, 2, 0])
RESETS = torch.zeros(5, 3, dtype=torch.bool)
RESETS[1] = True


def stack(below: type[Recurrent] = Recurrent) -> Stack:
    both = Bidirectional(GRUCell(6, 2), GRUCell(6, 3))
    return Stack([below(GRUCell(4, 6)), both, Recurrent(GRUCell(5, 5))])


DOORS = {
    "run": lambda: functools.partial(recurra.run, GRUCell(4, 3)),
    "recurrent": lambda: Recurrent(GRUCell(4, 3)),
    "bidirectional": lambda: Bidirectional(GRUCell(4, 3), GRUCell(4, 3)),
    "stack": stack,
    "drop-in": lambda: recurra.GRU(4, 3, num_layers=2, bidirectional=True),
}


@pytest.mark.parametrize("make", [DOORS["stack"], DOORS["drop-in"]])
@pytest.mark.parametrize("padded", [False, True])
def test_marks_are_checked_once_a_call(make: Any, padded: bool, monkeypatch: Any) -> None:
    layer, checked = make(), []
    inputs = PaddedSequence(X, LENGTHS) if padded else X
    wanted = layer(inputs, lengths=None if padded else LENGTHS, resets=RESETS)

    def counted(name: str, check: Any) -> Any:
        return lambda *given: (checked.append(name), check(*given))[1]

    checks = base.read_marks.__globals__
    for name in ("check_lengths", "_check_resets"):
        monkeypatch.setitem(checks, name, counted(name, checks[name]))
    monkeypatch.setattr("recurra.sequences.check_lengths", checks["check_lengths"])
    got = layer(inputs, lengths=None if padded else LENGTHS, resets=RESETS)
    assert sorted(checked) == ["_check_resets", "check_lengths"]
    outputs = [found[0].values if padded else found[0] for found in (got, wanted)]
    assert torch.equal(*outputs)
    checked.clear()
    layer(X)
    assert not checked


@pytest.mark.parametrize("make", DOORS.values(), ids=DOORS.keys())
@pytest.mark.parametrize(
    "marks",
    [
        {"lengths": [5, 6, 0]},
        {"lengths": [5, -1, 0]},
        {"lengths": [1, 2, 3, 4, 5]},
        {"lengths": [[5, 2, 0]]},
        {"lengths": [5.0, 2.0, 0.0]},
        {"lengths": "abc"},
        {"lengths": LENGTHS.to("meta")},
        {"resets": RESETS[:4]},
        {"resets": RESETS.long()},
    ],
    ids=lambda marks: f"{next(iter(marks))}",
)
def test_every_door_says_what_is_wrong_alike(make: Any, marks: dict[str, Any]) -> None:
    with pytest.raises(RecurraError) as plain:
        DOORS["run"]()(X, **marks)
    with pytest.raises(type(plain.value)) as caught:
        make()(X, **marks)
    got, wanted = str(caught.value), str(plain.value)
    if make is DOORS["drop-in"]:  # it says which axis it takes for time, and where resets went
        got = got.replace(" This GRU has batch_first=False: it reads [time, batch, ...].", "")
        got, wanted = got.replace("resets of GRU:", "resets:"), wanted
    assert got.rstrip(".") == wanted.rstrip(".")


def test_a_drop_in_speaks_of_lengths_first() -> None:
    """Where both fit the other axis, that message says how the axes are read."""
    layer = recurra.GRU(4, 3, batch_first=True)
    with pytest.raises(ShapeError, match=r"^lengths: .* This GRU has batch_first=True"):
        layer(X, lengths=LENGTHS, resets=RESETS.T)
    with pytest.raises(ShapeError, match=r"^resets of GRU: expected bool \[batch=5, time=3\]"):
        layer(X, resets=RESETS.T)


@pytest.mark.parametrize("make", DOORS.values(), ids=DOORS.keys())
@pytest.mark.parametrize(
    ("marks", "what"),
    [
        ({"resets": RESETS}, "resets"),
        ({"lengths": LENGTHS, "resets": RESETS}, "lengths and resets"),
        ({"lengths": [5, 5, 5], "resets": RESETS}, "lengths and resets"),
    ],
)
def test_what_cannot_be_read_is_said_of_the_cell(make: Any, marks: Any, what: str) -> None:
    layer = make()
    with pytest.raises(BackendError, match=f"^{what} of GRUCell: torch.jit.trace keeps one path"):
        torch.jit.trace(lambda x: layer(x, **marks)[0], (X,))
    lengths = marks.get("lengths")
    with pytest.raises(BackendError, match=f"^{what} of GRUCell: expected tensors whose numbers"):
        torch.func.vmap(lambda r: layer(X, lengths=lengths, resets=r)[0])(torch.stack([RESETS]))


class Halved(Recurrent):
    """Gives every second step alone, which a layer should not."""

    def through_time(self, *given: Any) -> LayerOutput:
        found = super().through_time(*given)
        return found._replace(outputs=found.outputs[::2])


def test_marks_of_other_steps_are_checked_again() -> None:
    with pytest.raises(ShapeError, match=r"expected 0 to 3 .* got 5 in row 0"):
        stack(Halved)(X, lengths=LENGTHS)
    with pytest.raises(ShapeError, match=r"resets: expected bool \[time=3, batch=3\], got .*5, 3"):
        stack(Halved)(X, resets=RESETS)
    assert stack(Halved)(X, lengths=[3, 2, 0]).outputs.shape == (3, 3, 5)


def test_a_layer_without_cells_names_itself() -> None:
    class Still(base.Layer):
        input_size, output_size, causal = None, 4, True

        def initial_state(self, batch: int) -> None:
            return None

        def through_time(self, inputs: Any, marks: Any, state: Any, context: Any) -> LayerOutput:
            return LayerOutput(inputs, self.read_last(inputs, marks.lengths), None)

        def read_last(self, outputs: Tensor, lengths: Tensor | None) -> Tensor:
            return outputs[-1]

    assert Still()(X, lengths=LENGTHS).outputs is X
    with pytest.raises(BackendError, match=r"^lengths of Still: torch.jit.trace"):
        torch.jit.trace(lambda x: Still()(x, lengths=LENGTHS).outputs, (X,))
