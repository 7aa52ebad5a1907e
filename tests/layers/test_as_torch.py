"""What may be done with torch.nn's recurrent layers, done with ours: right, wrong and in place."""

from __future__ import annotations

import copy
import decimal
import fractions
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import recurra
from recurra import GRU, LSTM, PaddedSequence
from recurra.errors import SettingError, ShapeError

INPUT, HIDDEN, TIME, BATCH = 3, 4, 5, 3
LENGTHS = [2, 5, 3]  # an order that is not its own inverse
KINDS = ("RNN", "LSTM", "GRU")
X = torch.randn(TIME, BATCH, INPUT, generator=torch.Generator().manual_seed(0))
HX = torch.zeros(1, BATCH, HIDDEN)


def pair(kind: str, *sizes: int, **settings: Any) -> tuple[Any, Any]:
    """Ours and torch's, of the same weights."""
    sizes = sizes or (INPUT, HIDDEN)
    theirs = getattr(nn, kind)(*sizes, **settings)
    ours = getattr(recurra, kind)(*sizes, **settings)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def as_list(state: Any) -> list[Tensor]:
    return list(state) if isinstance(state, tuple) else [state]


def close(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, atol=1e-6)


def problem_of(call: Callable[[], Any]) -> Exception | None:
    """What a call raises."""
    try:
        call()
    except Exception as problem:
        return problem
    return None


# ---- what is given belongs to whoever gets it -----------------------------------------------

IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {
    "add": lambda o: o.add_(torch.ones_like(o)),
    "relu": lambda o: F.relu(o, inplace=True),
    "dropout": lambda o: F.dropout(o, 0.5, inplace=True),
    "a part": lambda o: o[..., :2].mul_(2),
}
NOT_IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {
    "add": lambda o: o + torch.ones_like(o),
    "relu": F.relu,
    "dropout": lambda o: F.dropout(o, 0.5),
    "a part": lambda o: torch.cat([o[..., :2] * 2, o[..., 2:]], -1),
}
FORMS = ("tensor", "one row", "packed", "padded", "lengths")


def given_as(form: str, x: Tensor, batch_first: bool) -> tuple[Any, dict[str, Any]]:
    """An input of one form, and what stands beside it."""
    turned = x.transpose(0, 1) if batch_first else x
    if form == "packed":
        lengths = torch.tensor(LENGTHS)
        return pack_padded_sequence(turned, lengths, batch_first, enforce_sorted=False), {}
    if form == "padded":
        return PaddedSequence(x, LENGTHS), {}
    if form == "one row":
        return x[:, 0], {}
    return turned, {"lengths": LENGTHS} if form == "lengths" else {}


def gradients(layer: Any, form: str, change: str, in_place: bool) -> list[Tensor]:
    """Of a loss of an output and a state that were changed, in place or not."""
    x = X.clone().requires_grad_()
    given, beside = given_as(form, x, layer.batch_first)
    output, ends = layer(given, **beside)
    output = getattr(output, "data", output) if form == "packed" else output
    output = output.values if form == "padded" else output
    torch.manual_seed(1)
    loss: Any = 0
    for value in (output, *as_list(ends)):
        if not in_place:
            value = NOT_IN_PLACE[change](value)
        else:
            IN_PLACE[change](value)
        loss = loss + (value * torch.sin(torch.arange(float(value.numel())).view_as(value))).sum()
    return list(torch.autograd.grad(loss, [x, *layer.parameters()]))


@pytest.mark.parametrize("backend", ["native", "loop", "aten"])
@pytest.mark.parametrize("kind", KINDS)
def test_outputs_and_states_may_be_changed(kind: str, backend: Any) -> None:
    cases = [*(("tensor", change) for change in IN_PLACE), *((form, "relu") for form in FORMS[1:])]
    for layers, both, first in ((1, False, False), (1, False, True), (2, True, True)):
        layer = getattr(recurra, kind)(
            INPUT, HIDDEN, layers, bidirectional=both, batch_first=first, backend=backend
        )
        for form, change in cases:
            found = gradients(layer, form, change, in_place=True)
            wanted = gradients(layer, form, change, in_place=False)
            for got, want in zip(found, wanted, strict=True):
                assert torch.equal(got, want), (form, change, layers, first)


def test_torch_does_not_allow_all_of_it() -> None:
    """As docs/coming-from-torch.md says."""
    output, _ = nn.LSTM(INPUT, INPUT)(X)
    output += X
    assert "modified by an inplace operation" in str(problem_of(output.sum().backward))


@pytest.mark.parametrize("kind", KINDS)
def test_a_residual_in_place_after_convert(kind: str) -> None:
    theirs = getattr(nn, kind)(INPUT, INPUT)
    ours = recurra.convert(copy.deepcopy(theirs))
    outputs = []
    for layer in (ours, theirs):
        output, _ = layer(X)
        output = output + X if layer is theirs else output.add_(X)
        output.square().sum().backward()
        outputs.append(output)
    assert close(*outputs)
    for own, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(own.grad, other.grad, atol=1e-5)


# ---- settings -------------------------------------------------------------------------------

SETTINGS: list[dict[str, Any]] = [
    *({"bias": value} for value in (0, 1, "True", None, np.True_)),
    *({"batch_first": value} for value in (0, 1, "False", None)),
    *({"bidirectional": value} for value in (0, 1, False, True)),
    *({"num_layers": value} for value in (0, -1, 2, 2.0, "2", None, np.int64(2), torch.tensor(2))),
    *({"input_size": value} for value in (0, -1, 3.0, "3", None, [3])),
    *({"hidden_size": value} for value in (0, -1, 4.0, "4", None)),
    *({"proj_size": value} for value in (-1, 2, 4, 5, 2.0, "2", None, True)),
    *({"num_layers": 2, "dropout": value} for value in (0, 1, 0.5, 1.5, -0.1, float("nan"))),
    *({"num_layers": 2, "dropout": value} for value in (True, "0.5", "a", None, 0.5j, [0.5])),
    *({"num_layers": 2, "dropout": v} for v in (np.float32(0.5), fractions.Fraction(1, 2))),
    {"num_layers": 2, "dropout": decimal.Decimal("0.5")},
    *({"dtype": value} for value in (torch.float64, torch.bfloat16, torch.int64, "float32")),
    {"device": "nowhere"},
    {"unknown": 1},
]
RNN_SETTINGS: list[dict[str, Any]] = [
    *({"nonlinearity": value} for value in ("relu", "tahn", None, "")),
]


@pytest.mark.parametrize("kind", KINDS)
def test_settings_are_taken_and_refused_as_torch_does(kind: str) -> None:
    """By an error of the same type, which is one of ours wherever the setting is."""
    for settings in SETTINGS + RNN_SETTINGS * (kind == "RNN"):
        sizes = {"input_size": INPUT, "hidden_size": HIDDEN, **settings}
        problem = problem_of(lambda: getattr(recurra, kind)(**sizes))  # noqa: B023
        wanted = problem_of(lambda: getattr(nn, kind)(**sizes))  # noqa: B023
        assert (problem is None) == (wanted is None), (settings, problem, wanted)
        if wanted is not None:
            assert isinstance(problem, type(wanted)), (settings, problem, wanted)
            if not settings.keys() & {"dtype", "device", "unknown"}:
                assert isinstance(problem, SettingError), settings
                assert next(reversed(settings)) in str(problem)
        elif "bidirectional" not in settings:  # which is shown as true or false
            assert repr(getattr(recurra, kind)(**sizes)) == repr(getattr(nn, kind)(**sizes))


def test_arguments_by_place_are_those_of_torch() -> None:
    rest = (True, False, 0.0, False, 0, "cpu", torch.float64)
    for kind, first in (("LSTM", (1,)), ("GRU", (1,)), ("RNN", (1, "relu"))):
        ours, theirs = (getattr(lib, kind)(3, 4, *first, *rest) for lib in (recurra, nn))
        assert {p.dtype for p in ours.parameters()} == {p.dtype for p in theirs.parameters()}
        assert ours.mode == theirs.mode


@pytest.mark.parametrize("kind", ["RNN", "GRU"])
def test_only_an_lstm_projects(kind: str) -> None:
    wanted = problem_of(lambda: getattr(nn, kind)(3, 4, proj_size=2))
    with pytest.raises(SettingError, match=str(wanted)):
        getattr(recurra, kind)(3, 4, proj_size=2)


def test_where_torch_takes_more() -> None:
    """The lines of docs/coming-from-torch.md."""
    for settings in ({"hidden_size": True}, {"bidirectional": "no"}, {"bidirectional": 2}):
        sizes = {"input_size": 3, "hidden_size": 4, **settings}
        assert problem_of(lambda: nn.GRU(**sizes)) is None  # noqa: B023
        with pytest.raises(SettingError):
            GRU(**sizes)
    with pytest.raises(SettingError, match=r"dtype: expected .*real numbers, got complex64"):
        GRU(3, 4, dtype=torch.complex64)
    with pytest.warns(UserWarning, match="Complex modules"):
        layer = GRU(3, 4).to(torch.complex64)
    with pytest.raises(ShapeError, match="weights of GRU: expected real numbers, got complex64"):
        layer(X.to(torch.complex64))


def test_where_torch_takes_less() -> None:
    """The lines of docs/coming-from-torch.md."""
    assert isinstance(problem_of(lambda: nn.GRU(3, np.int64(4))), TypeError)
    assert GRU(3, np.int64(4)).hidden_size == 4
    assert isinstance(problem_of(lambda: nn.GRU(3, 4)(X[:0])), RuntimeError)
    assert GRU(3, 4)(X[:0])[0].shape == (0, BATCH, 4)
    changed = nn.RNN(3, 4)
    before = changed(X)[0]
    changed.nonlinearity = "relu"
    assert torch.equal(changed(X)[0], before)
    for name, value in (("num_layers", 2), ("hidden_size", 5), ("bidirectional", True)):
        setattr(nn.GRU(3, 4), name, value)
    assert isinstance(problem_of(lambda: nn.GRU(3, 4, proj_size=0)), ValueError)
    assert GRU(3, 4, proj_size=0).proj_size == 0
    assert isinstance(problem_of(lambda: nn.GRU(3, 4)(X.numpy())), AttributeError)
    layer = GRU(3, 4)
    assert torch.equal(layer(X.numpy())[0], layer(X)[0])
    assert torch.equal(layer(X, (HX,))[0], layer(X, HX)[0])


# ---- calls ----------------------------------------------------------------------------------

BAD_CALLS: list[tuple[str, Callable[[Any], Any]]] = [
    ("RNN LSTM GRU", lambda layer: layer()),
    ("RNN LSTM GRU", lambda layer: layer(X[0, 0])),
    ("RNN LSTM GRU", lambda layer: layer(X[None])),
    ("RNN LSTM GRU", lambda layer: layer(X[..., :2])),
    ("RNN LSTM GRU", lambda layer: layer(X.double())),
    ("RNN LSTM GRU", lambda layer: layer(X.long())),
    ("RNN GRU", lambda layer: layer(X, torch.zeros(1, HIDDEN))),
    ("RNN GRU", lambda layer: layer(X[:, 0], HX)),
    ("RNN GRU", lambda layer: layer(X, torch.zeros(1, BATCH, 5))),
    ("RNN GRU", lambda layer: layer(X, torch.zeros(2, BATCH, HIDDEN))),
    ("RNN GRU", lambda layer: layer(X, torch.zeros(1, 2, HIDDEN))),
    ("RNN GRU", lambda layer: layer(X, HX.double())),
    ("LSTM", lambda layer: layer(X, (HX, torch.zeros(1, BATCH, 5)))),
    ("LSTM", lambda layer: layer(X, (torch.zeros(1, BATCH, 5), HX))),
    ("LSTM", lambda layer: layer(X, (torch.zeros(1, HIDDEN),) * 2)),
    ("LSTM", lambda layer: layer(X[:, 0], (HX, HX))),
    ("LSTM", lambda layer: layer(X, torch.zeros(2, 1, BATCH, HIDDEN))),
    ("RNN LSTM GRU", lambda layer: layer(pack_padded_sequence(X[..., :2], LENGTHS, False, False))),
]


@pytest.mark.parametrize("number", range(len(BAD_CALLS)))
def test_bad_calls_are_refused_as_torch_does(number: int) -> None:
    kinds, call = BAD_CALLS[number]
    for kind in kinds.split():
        ours, theirs = pair(kind)
        problem, wanted = problem_of(lambda: call(ours)), problem_of(lambda: call(theirs))  # noqa: B023
        assert wanted is not None
        assert isinstance(problem, type(wanted)), (problem, wanted)
        assert isinstance(problem, ShapeError) or number == 0


@pytest.mark.parametrize("given", ["words", None, 3, (X, X), object()])
def test_what_is_no_tensor_is_an_error_of_types(given: Any) -> None:
    """Where torch fails with an AttributeError."""
    for kind in KINDS:
        ours, theirs = pair(kind)
        calls = [lambda layer: layer(given)]
        if given is not None:
            calls.append(lambda layer: layer(X, given))
        for call in calls[: 2 - isinstance(given, tuple)]:
            assert problem_of(lambda: call(theirs)) is not None  # noqa: B023
            with pytest.raises(ShapeError) as found:
                call(ours)
            assert isinstance(found.value, TypeError)
        with pytest.raises(TypeError, match=r"resets of \w+: expected a tensor of bools"):
            ours(X, resets="words")


def test_whole_numbers_hear_of_an_embedding() -> None:
    symbols = torch.zeros(TIME, BATCH, dtype=torch.int64)
    for call in (
        lambda: GRU(3, 4)(symbols),
        lambda: GRU(3, 4)(torch.zeros_like(X).long()),
        lambda: recurra.Recurrent(recurra.GRUCell(3, 4))(symbols),
        lambda: recurra.Recurrent(recurra.GRUCell(3, 4))(torch.zeros_like(X).long()),
        lambda: recurra.GRUCell(3, 4)(symbols[0]),
        lambda: recurra.GRUCell(3, 4)(symbols),
    ):
        with pytest.raises(ShapeError, match=r"become vectors first: recurra\.TokenEmbedding"):
            call()
    for given in (X[..., :2], X.double()):
        assert "TokenEmbedding" not in str(problem_of(lambda: GRU(3, 4)(given)))  # noqa: B023


def test_a_sentence_ends_before_the_next_begins() -> None:
    for lengths in ([1.0, 2.0, 3.0], [1, 2], [9, 1, 1], "words"):
        problem = problem_of(lambda: LSTM(3, 4)(X, lengths=lengths))  # noqa: B023
        assert ". This LSTM has batch_first=False" in str(problem)
        assert ".. " not in str(problem)


# ---- a layer that is made -------------------------------------------------------------------


def test_another_nonlinearity_is_obeyed() -> None:
    ours, theirs = pair("RNN", INPUT, HIDDEN, 2)
    wanted = nn.RNN(INPUT, HIDDEN, 2, nonlinearity="relu")
    wanted.load_state_dict(theirs.state_dict())
    ours(X)
    for name, value in (("nonlinearity", "relu"), ("mode", "RNN_RELU")):
        setattr(ours, name, value)
        assert (ours.mode, ours.nonlinearity) == ("RNN_RELU", "relu")
        assert close(ours(X)[0], wanted(X)[0])
        assert close(pickle.loads(pickle.dumps(ours))(X)[0], wanted(X)[0])
        ours.mode = "RNN_TANH"
        assert close(ours(X)[0], theirs(X)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_other_settings_of_a_made_layer(kind: str) -> None:
    ours, theirs = pair(kind, INPUT, HIDDEN, 2)
    for rate in (0, 0.5, 1, 0.2, 0):
        ours.dropout = theirs.dropout = rate
        outputs = []
        for layer in (ours, theirs):
            torch.manual_seed(0)
            outputs.append(layer(X)[0])
        assert close(*outputs)
    ours.batch_first = theirs.batch_first = True
    assert close(ours(X)[0], theirs(X)[0])
    other: dict[str, Any] = {
        "input_size": 4,
        "hidden_size": 3,
        "num_layers": 3,
        "bias": False,
        "bidirectional": True,
        "proj_size": 2,
        "mode": "LSTM" if kind == "GRU" else "GRU",
        "dropout": 1.5,
        "batch_first": "yes",
    }
    if kind == "RNN":
        other["nonlinearity"] = "tahn"
    before = ours(X)[0]
    for name, value in other.items():
        said = "nonlinearity" if (kind, name) == ("RNN", "mode") else name
        with pytest.raises(SettingError, match=said):
            setattr(ours, name, value)
        setattr(ours, name, getattr(ours, name))  # what it is it may be set to
    assert torch.equal(ours(X)[0], before)


def test_a_layer_that_computes_another_mode_is_not_converted() -> None:
    layer = nn.RNN(INPUT, HIDDEN)
    layer.mode = "RNN_RELU"
    with pytest.warns(UserWarning, match="it computes RNN_RELU, which its nonlinearity 'tanh'"):
        recurra.convert(layer)
    assert type(layer) is nn.RNN


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_tied_or_taken_away(kind: str) -> None:
    ours, theirs = pair(kind, bidirectional=True)
    for layer in (ours, theirs):
        layer.bias_ih_l0_reverse = layer.bias_ih_l0
    assert close(ours(X)[0], theirs(X)[0])
    weight = ours.weight_hh_l0
    del ours.weight_hh_l0
    ours.double()
    ours.weight_hh_l0 = nn.Parameter(weight.detach().double())
    assert close(ours(X.double())[0].float(), theirs(X)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_weights_may_be_swapped(kind: str) -> None:
    """Torch refuses to, while a graph of a call that is over holds on to one."""
    ours, theirs = pair(kind)
    for layer in (ours, theirs):
        layer(X)[0].sum().backward()
        torch.__future__.set_swap_module_params_on_conversion(True)
        try:
            layer.double()
        finally:
            torch.__future__.set_swap_module_params_on_conversion(False)
    assert close(ours(X.double())[0], theirs(X.double())[0])


# ---- nothing to read ------------------------------------------------------------------------


@pytest.mark.parametrize("backend", [None, "loop", "aten"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_rows_have_gradients_of_zeros(kind: str, backend: Any) -> None:
    """Of the last state too, as torch's; also where there are rows, and none has a step."""
    ours, theirs = pair(kind, INPUT, HIDDEN, 2, bidirectional=True)
    ours.backend = backend
    for given, beside in ((X[:, :0], {}), (X[:0], {}), (X, {"lengths": [0, 0, 0]})):
        for place in range(3 if kind == "LSTM" else 2):
            x = given.clone().requires_grad_()
            output, ends = ours(x, **beside)
            value = (output, *as_list(ends))[place]
            value.sum().backward()
            assert x.grad is not None
            assert not x.grad.any()
            for parameter in ours.parameters():
                assert parameter.grad is not None
                assert not parameter.grad.any()
                parameter.grad = None
    theirs(X[:, :0])[1][0].sum().backward()
    assert theirs.weight_hh_l0.grad is not None


# ---- resets of packed rows ------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_resets_go_with_their_rows(kind: str) -> None:
    """Of packed rows given in an order that is not its own inverse, each by itself."""
    ours, _ = pair(kind, bidirectional=True)
    resets = torch.zeros(TIME, BATCH, dtype=torch.bool)
    resets[1, 0] = resets[3, 1] = resets[2, 2] = True
    packed = pack_padded_sequence(X, torch.tensor(LENGTHS), enforce_sorted=False)
    output, ends = ours(packed, resets=resets)
    assert isinstance(output, PackedSequence)
    rows = PaddedSequence.from_packed(output)
    for row, length in enumerate(LENGTHS):
        alone, last = ours(X[:length, row], resets=resets[:length, row])
        assert close(rows.values[:length, row], alone)
        for got, wanted in zip(as_list(ends), as_list(last), strict=True):
            assert close(got[:, row], wanted)
