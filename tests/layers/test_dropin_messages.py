"""Drop-ins: what they say of themselves, and of what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from layers.dropins import HIDDEN, INPUT, KINDS, twins
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

import recurra
from recurra import GRU, LSTM, RNN, GRUCell, LSTMCell, PaddedSequence, Recurrent, Stack
from recurra.errors import BackendError, RecurraError, SettingError, ShapeError

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


def test_explain_finds_the_held_cells() -> None:
    layer = LSTM(INPUT, HIDDEN, 2, bidirectional=True, proj_size=2)
    found = recurra.explain(layer).choices
    assert [(c.name, c.cell, c.backend) for c in found] == [
        (name, "ProjectedLSTMCell", "native") for name in ("l0", "l0_reverse", "l1", "l1_reverse")
    ]
    model = nn.ModuleDict({"above": nn.Sequential(GRU(3, 4, backend="loop")), "below": layer})
    text = str(recurra.explain(model))
    assert "above.0.l0: GRUCell runs on 'loop': it is forced" in text
    assert "below.l1_reverse: ProjectedLSTMCell runs on 'native'" in text
    with_states = recurra.explain(layer, return_states=True)
    assert {choice.backend for choice in with_states.choices} == {"native"}


def test_named_values_say_which_layer() -> None:
    layer = GRU(INPUT, HIDDEN, 2, bidirectional=True)
    seen = recurra.named_values(layer, torch.randn(5, 2, INPUT))
    assert seen["l1_reverse: reset gate"].shape == (5, 2, HIDDEN)
    seen = recurra.named_values(nn.Sequential(layer), torch.randn(5, 2, INPUT))
    assert "0.l0: update gate" in seen


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_counted(kind: str, bias: bool, bidirectional: bool, layers: int) -> None:
    layer, _ = twins(kind, layers, bias=bias, bidirectional=bidirectional)
    (part,) = recurra.describe(layer).parts
    assert part.parameters == sum(p.numel() for p in layer.parameters())
    formula, sizes = layer.parameter_formula()
    assert eval(formula, {}, dict(sizes)) == part.parameters
    assert part.arithmetic.startswith(formula)


def test_one_layer_counts_as_the_docs_say() -> None:
    assert LSTM(3, 4).parameter_formula() == ("4*h*(i+h) + 8*h", {"i": 3, "h": 4})
    assert "3 -> 8" in str(recurra.describe(GRU(3, 4, bidirectional=True)))


X = torch.randn(5, 4, INPUT, generator=torch.Generator().manual_seed(0))
PACKED = pack_sequence([X[:, 0], X[:2, 1]])


def by_hand(**parts: Any) -> PackedSequence:
    """A PackedSequence as nobody should make it; its own class would see nothing wrong."""
    return PACKED._replace(**parts)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: LSTM(0, 4), SettingError, "input_size: expected a whole number of at least 1"),
        (lambda: LSTM(3, 4.0), SettingError, "hidden_size"),
        (lambda: LSTM(3, 4, 0), SettingError, "num_layers"),
        (lambda: LSTM(3, 4, bias=1), SettingError, "bias: expected true or false, got 1"),
        (lambda: LSTM(3, 4, batch_first="yes"), SettingError, "batch_first"),
        (lambda: LSTM(3, 4, 2, dropout=1.5), SettingError, "dropout: expected 0 to 1"),
        (lambda: LSTM(3, 4, 2, dropout=True), SettingError, "dropout: expected a number"),
        (lambda: LSTM(3, 4, proj_size=-1), SettingError, "proj_size"),
        (lambda: LSTM(3, 4, proj_size=4), SettingError, "less than hidden_size"),
        (lambda: RNN(3, 4, nonlinearity="tahn"), SettingError, "did you mean 'tanh'"),
        (lambda: GRU(3, 4, backend="fast"), BackendError, "no 'fast'"),
        (lambda: LSTM(3, 4)(X[..., :2]), ShapeError, r"expected \[time, batch, 3\], got"),
        (lambda: LSTM(3, 4)(X[0, 0]), ShapeError, r"expected \[time, batch, 3\], got \[3\]"),
        (lambda: LSTM(3, 4)(X[0, :, :2]), ShapeError, r"\[time, 3\] for one row"),
        (lambda: LSTM(3, 4)("words"), ShapeError, "a list of rows, got str"),
        (lambda: LSTM(3, 4)(X.double()), ShapeError, "torch.float32, as its weights"),
        (
            lambda: LSTM(3, 4)(PaddedSequence(X[..., 0], [1, 2, 3, 4])),
            ShapeError,
            "PaddedSequence with values",
        ),
        (lambda: LSTM(2, 4)(PACKED), ShapeError, r"data \[elements, 2\], got \[7, 3\]"),
        (lambda: LSTM(3, 4)(X, lengths=[5] * 5), ShapeError, "one for each of 4 rows"),
        (
            lambda: LSTM(3, 4, batch_first=True)(X, lengths=[5] * 4),
            ShapeError,
            r"This LSTM has batch_first=True: it reads \[batch, time, ...\]",
        ),
        (lambda: LSTM(3, 4)(X, lengths=[6, 1, 1, 1]), ShapeError, "expected 0 to 5"),
        (lambda: LSTM(3, 4)(X[:, 0], lengths=[5]), ShapeError, "no batch axis"),
        (lambda: LSTM(3, 4)(PACKED, lengths=[5, 2]), ShapeError, "beside a PackedSequence"),
        (
            lambda: LSTM(3, 4)(PaddedSequence(X, [1, 2, 3, 4]), lengths=[1, 2, 3, 4]),
            ShapeError,
            "beside a PaddedSequence",
        ),
        (lambda: LSTM(3, 4)(X, torch.zeros(1, 4, 4)), ShapeError, r"a pair of tensors \(h, c\)"),
        (lambda: LSTM(3, 4)(X, (torch.zeros(1, 4, 4), None)), ShapeError, "Tensor, NoneType"),
        (lambda: LSTM(3, 4)(X, (torch.zeros(1, 4, 4),) * 3), ShapeError, "a pair of tensors"),
        (lambda: GRU(3, 4)(X, (torch.zeros(1, 4, 4),) * 2), ShapeError, "one tensor"),
        (
            lambda: LSTM(3, 4, proj_size=2)(X, (torch.zeros(1, 4, 2),) * 2),
            ShapeError,
            r"c in hx of LSTM: expected \[1, 4, 4\]",
        ),
        (lambda: GRU(3, 4)(X, torch.zeros(2, 4, 4)), ShapeError, r"expected \[1, 4, 4\]"),
        (lambda: GRU(3, 4)(X, torch.zeros(1, 4)), ShapeError, r"expected \[1, 4, 4\]"),
        (lambda: GRU(3, 4)(X[:, 0], torch.zeros(1, 1, 4)), ShapeError, r"expected \[1, 4\]"),
        (lambda: GRU(3, 5)(X, torch.zeros(4, 1, 5)), ShapeError, r"hx.transpose\(0, 1\)"),
        (lambda: GRU(3, 4)(X, torch.zeros(1, 4, 4).double()), ShapeError, r"h\.to\(torch.float32"),
        (
            lambda: GRU(3, 4)(X, torch.zeros(1, 4, 4, device="meta")),
            ShapeError,
            "expected on cpu, where the weights are, got on meta",
        ),
        (
            lambda: GRU(3, 4)(X, resets=torch.zeros(4, 5).bool()),
            ShapeError,
            r"expected bool \[time=5, batch=4\], got bool \[4, 5\]",
        ),
        (
            lambda: GRU(3, 4, batch_first=True)(X, resets=torch.zeros(4, 5).bool()),
            ShapeError,
            r"expected bool \[batch=5, time=4\]",
        ),
        (lambda: GRU(3, 4)(X[:, 0], resets=[1] * 5), ShapeError, r"bool \[time=5\], got int64"),
        (
            lambda: GRU(3, 4)(by_hand(sorted_indices=torch.tensor([2, 0, 3, 1]))),
            ShapeError,
            r"rows \[1, 3\] are empty",
        ),
        (
            lambda: GRU(3, 4)(by_hand(unsorted_indices=torch.tensor([0, 1, 2]))),
            ShapeError,
            "whose indices order its 2 rows",
        ),
        (
            lambda: GRU(3, 4)(by_hand(sorted_indices=torch.tensor([0]))),
            ShapeError,
            "whose indices order its 2 rows",
        ),
        (lambda: GRU(3, 4)(by_hand(data=PACKED.data[:5])), ShapeError, "7 elements, the sum"),
        (
            lambda: GRU(3, 4)(by_hand(batch_sizes=PACKED.batch_sizes[:0])),
            ShapeError,
            "at least one row",
        ),
        (
            lambda: LSTM(3, 4, backend="aten")(X, return_states=True),
            BackendError,
            "all-step states",
        ),
        (
            lambda: Stack([Recurrent(LSTMCell(3, 4)), LSTM(4, 4)]),
            SettingError,
            r"layer 1, LSTM, has torch.nn's .* Recurrent\(LSTMCell\(...\)\), .* num_layers=2",
        ),
        (lambda: Stack([RNN(3, 4)]), SettingError, r"Recurrent\(ElmanCell"),
        (
            lambda: Stack([Recurrent(GRUCell(3, 4)), nn.GRU(4, 4)]),
            SettingError,
            "layer 1, GRU, has",
        ),
    ],
)
def test_what_does_not_fit_is_named(
    make: Callable[[], Any], error: type[RecurraError], words: str
) -> None:
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
def test_dropout_of_one_layer_is_warned_of(kind: type[LSTM | GRU | RNN]) -> None:
    with pytest.warns(UserWarning, match="with num_layers=1 there is none") as seen:
        kind(3, 4, dropout=0.5)
    assert seen[0].filename == __file__
