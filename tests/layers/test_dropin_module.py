"""Drop-ins: what a module of torch must do."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from layers.dropins import HIDDEN, INPUT, KINDS, near, twins
from torch import nn
from torch.func import functional_call
from torch.nn.utils import parametrizations, prune

import recurra
from recurra import GRU, RNN

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


@pytest.mark.parametrize("settings", [{}, {"bias": False}, {"bidirectional": True}])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_start_and_are_named_as_in_torch(kind: str, settings: dict[str, Any]) -> None:
    ours, theirs = twins(kind, **settings)
    mine, other = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(other) == [name for name, _ in ours.named_parameters()]
    assert all(torch.equal(mine[name], other[name]) for name in mine)
    weights = zip(ours.all_weights, theirs.all_weights, strict=True)
    assert all(a.shape == b.shape for one, two in weights for a, b in zip(one, two, strict=True))
    assert repr(ours) == repr(theirs)
    torch.manual_seed(5)
    ours.reset_parameters()
    torch.manual_seed(5)
    theirs.reset_parameters()
    for name, value in ours.state_dict().items():
        assert torch.equal(value, theirs.state_dict()[name])
    for parameter in ours.parameters():
        nn.init.normal_(parameter)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x = torch.randn(4, 2, INPUT)
    assert near(ours(x)[0], theirs(x)[0])
    assert ours.flatten_parameters() is None
    with pytest.raises(RuntimeError, match="Missing key"):
        ours.load_state_dict({}, strict=True)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("RNN", (3, 4, 2, "relu", False, True, 0.5, True)),
        ("LSTM", (3, 4, 2, False, True, 0.5, True, 2, "cpu", torch.float64)),
        ("GRU", (3, 4, 2, False, True, 0.5, True)),
    ],
)
def test_arguments_by_place(name: str, arguments: Any) -> None:
    ours, theirs = getattr(recurra, name)(*arguments), getattr(nn, name)(*arguments)
    assert repr(ours) == repr(theirs)
    for key in (*theirs.__constants__, *(["nonlinearity"] if name == "RNN" else [])):
        assert getattr(ours, key) == getattr(theirs, key), key
    assert {p.dtype for p in ours.parameters()} == {p.dtype for p in theirs.parameters()}


def test_repr_tells_a_forced_backend() -> None:
    assert repr(GRU(3, 4, backend="loop")) == "GRU(3, 4, backend='loop')"


def saved(layer: nn.Module) -> Any:
    file = io.BytesIO()
    torch.save(layer, file)
    return torch.load(io.BytesIO(file.getvalue()), weights_only=False)


@pytest.mark.parametrize(
    "twin", [copy.deepcopy, saved, lambda layer: pickle.loads(pickle.dumps(layer))]
)
@pytest.mark.parametrize("kind", KINDS)
def test_copies_stand_alone(kind: str, twin: Callable[[Any], Any]) -> None:
    layer, _ = twins(kind, bidirectional=True, batch_first=True)
    x = torch.randn(4, 2, INPUT)
    before = layer(x)[0]
    other = twin(layer)
    assert torch.equal(other(x)[0], before)
    with torch.no_grad():
        other.bias_hh_l0.add_(1)
    assert torch.equal(layer(x)[0], before)
    assert not torch.equal(other(x)[0], before)
    assert repr(other) == repr(layer)
    assert list(other.modules()) == [other]
    assert b"recurra.cells" not in pickle.dumps(layer), "the cells follow from the settings"


@pytest.mark.parametrize("kind", KINDS)
def test_the_weights_of_now_are_used(kind: str) -> None:
    """By whatever way they came."""
    layer, reference = twins(kind, bidirectional=True)
    x = torch.randn(4, 2, INPUT)
    new = {name: torch.randn_like(p).requires_grad_() for name, p in layer.named_parameters()}
    reference.load_state_dict(new)
    wanted = reference(x)[0]
    before = layer(x)[0]
    output = functional_call(layer, new, (x,))[0]
    assert near(output, wanted)
    assert all(g.any() for g in torch.autograd.grad(output.square().sum(), list(new.values())))
    assert torch.equal(layer(x)[0], before)

    other = copy.deepcopy(layer)
    other.load_state_dict(new, assign=True)
    assert near(other(x)[0], wanted)
    other = copy.deepcopy(layer)
    for name, parameter in other.named_parameters():
        parameter.data = new[name].data
    assert near(other(x)[0], wanted)
    with torch.device("meta"):
        name, more = KINDS[kind]
        other = getattr(recurra, name)(INPUT, HIDDEN, 2, bidirectional=True, **more)
    assert other(x.to("meta"))[0].device.type == "meta"
    other.to_empty(device="cpu").load_state_dict(new)
    assert near(other(x)[0], wanted)
    assert near(other.double()(x.double())[0].float(), wanted)


def test_parametrized_and_pruned_weights() -> None:
    x = torch.randn(4, 2, INPUT)
    layer, reference = twins("LSTM")
    parametrizations.weight_norm(layer, "weight_hh_l1")
    with torch.no_grad():
        layer.parametrizations.weight_hh_l1.original0.mul_(2)
        reference.weight_hh_l1.mul_(2)
    assert near(layer(x)[0], reference(x)[0])
    layer(x)[0].sum().backward()
    assert layer.parametrizations.weight_hh_l1.original1.grad.any()
    assert near(copy.deepcopy(layer)(x)[0], reference(x)[0])

    layer, reference = twins("GRU")
    prune.l1_unstructured(layer, "weight_ih_l0", 0.5)
    with torch.no_grad():
        reference.weight_ih_l0.mul_(layer.weight_ih_l0_mask)
    assert near(layer(x)[0], reference(x)[0])


def test_weight_drop_draws_once_a_call() -> None:
    layer = recurra.weight_drop(RNN(INPUT, HIDDEN, nonlinearity="relu"), 0.5)
    x = torch.randn(6, 2, INPUT)
    reference = nn.RNN(INPUT, HIDDEN, nonlinearity="relu")
    names = {name: p for name, p in layer.named_parameters() if "." not in name}
    torch.manual_seed(1)
    dropped = layer.weight_hh_l0
    reference.load_state_dict({**names, "weight_hh_l0": dropped})
    assert (dropped == 0).any()
    torch.manual_seed(1)
    assert near(layer(x)[0], reference(x)[0])
    assert not torch.equal(layer(x)[0], layer(x)[0])
    layer.eval()
    assert torch.equal(layer(x)[0], layer(x)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_under_autocast(kind: str) -> None:
    layer, _ = twins(kind, bidirectional=True)
    x = torch.randn(4, 3, INPUT)
    with torch.autocast("cpu"):
        output, hx = layer(x, lengths=[4, 0, 2])
        again, _ = layer(x, hx)
        output.float().square().mean().backward()
    assert torch.allclose(output.float(), layer(x, lengths=[4, 0, 2])[0], atol=0.05)
    assert again.shape == output.shape
    assert all(p.grad is not None for p in layer.parameters())
