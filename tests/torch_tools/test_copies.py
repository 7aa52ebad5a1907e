"""Copies, files, devices without memory, and types of numbers."""

import copy
import io
import pickle

import pytest
import torch
from torch_tools.table import (
    LENGTHS,
    backends,
    check_backends,
    close,
    gradients,
    outputs_of,
    own,
    row,
    sample,
)

import recurra
from recurra.engine.backends.native import bfloat16_products


def change(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.5


@row("copy.deepcopy")
def test_a_copy_stands_alone(make, verdict):
    module = make()
    wanted = outputs_of(module, sample())
    twin = copy.deepcopy(module)
    with backends() as names:
        assert torch.equal(outputs_of(twin, sample()), wanted)
    check_backends(names, verdict, make)
    change(module)
    assert torch.equal(outputs_of(twin, sample()), wanted)
    assert gradients(twin, outputs_of(twin, sample()))
    assert all(p.grad is None for p in module.parameters())


@row("torch.save of a module")
def test_a_module_in_a_file(make, verdict):
    """Torch asks for weights_only=False, since a module is more than tensors."""
    module = make().eval()
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError, match="weights_only"):
        torch.load(file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    assert not loaded.training
    with backends() as names:
        got = outputs_of(loaded, sample(), lengths=LENGTHS)
    check_backends(names, verdict, make)
    assert torch.equal(got, outputs_of(module, sample(), lengths=LENGTHS))


@row("torch.save of a module")
def test_a_state_dict_in_a_file(make, verdict):
    module, other = make(), make()
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    with torch.device("meta"):
        empty = make()
    loaded = torch.load(file)
    other.load_state_dict(loaded)
    empty.load_state_dict(loaded, assign=True)
    for model in (other, empty):
        with backends() as names:
            got = outputs_of(model, sample())
        check_backends(names, verdict, make)
        assert torch.equal(got, outputs_of(module, sample()))


@row("pickle of states")
def test_a_state_is_carried_through_a_pickle(make, verdict):
    """A stream that goes on in another process."""
    if make is own:
        model = recurra.Recurrent(own().layers[0].cell)
    elif verdict and make.__name__ == "layers":
        model = recurra.Stack(
            [recurra.Recurrent(recurra.LSTMCell(4, 5)), recurra.Recurrent(recurra.GRUCell(5, 3))]
        )
    else:
        model = recurra.LSTM(4, 5, num_layers=2)
    state = model(sample()[:2])[-1]
    loaded = pickle.loads(pickle.dumps(state))
    assert type(loaded) is type(state)
    with backends() as names:
        got = model(sample()[2:], loaded)[0]
    check_backends(names, verdict, make)
    assert close(got, model(sample())[0][2:])
    assert not close(got, model(sample()[2:])[0])


@row("device meta, to_empty")
def test_a_module_without_memory(make, verdict):
    """Shapes without numbers, then memory, then weights."""
    module = make()
    with torch.device("meta"):
        empty = make()
    assert all(p.is_meta for p in empty.parameters())
    shape = outputs_of(empty, sample().to("meta"))
    assert shape.is_meta
    assert shape.shape == outputs_of(module, sample()).shape
    empty.to_empty(device="cpu")
    empty.load_state_dict(module.state_dict())
    with backends() as names:
        got = outputs_of(empty, sample(), lengths=LENGTHS)
    check_backends(names, verdict, make)
    assert torch.equal(got, outputs_of(module, sample(), lengths=LENGTHS))
    assert gradients(empty, outputs_of(empty, sample()))


@row("half and bfloat16 modules")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 4e-3), (torch.bfloat16, 2e-2)])
def test_short_numbers(make, verdict, dtype, tolerance):
    module = make()
    short = copy.deepcopy(module).to(dtype)
    with backends() as names:
        got = outputs_of(short, sample().to(dtype), lengths=LENGTHS)
    check_backends(names, verdict, make)
    assert got.dtype == dtype
    wanted = outputs_of(module, sample(), lengths=LENGTHS)
    assert close(got, wanted, tolerance)
    assert not torch.equal(got.float(), wanted)
    found = gradients(short, outputs_of(short, sample().to(dtype)))
    assert close(found, gradients(module, outputs_of(module, sample())), 4 * tolerance)
    state = short(sample().to(dtype))[-1]
    assert all(leaf.dtype == dtype for leaf in recurra.states.leaves(state))


@row("set_default_dtype")
def test_another_default_type(make, verdict):
    x = sample().double()
    torch.set_default_dtype(torch.float64)
    try:
        module = make()
        assert all(p.dtype == torch.float64 for p in module.parameters())
        with backends() as names:
            got = outputs_of(module, x, lengths=LENGTHS)
        check_backends(names, verdict, make)
        assert got.dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(outputs_of(module, x, lengths=LENGTHS), got)
    with pytest.raises(recurra.ShapeError, match="float64"):
        outputs_of(module, sample())


@row("autocast")
def test_autocast(make, verdict):
    """Near float32 in outputs and gradients; the state stays float32, so it can be carried on."""
    module = make()
    for settings in ({}, {"lengths": LENGTHS}):
        wanted = outputs_of(module, sample(), **settings)
        with torch.autocast("cpu", dtype=torch.bfloat16), backends() as names:
            result = module(sample(), **settings)
        check_backends(names, verdict, make)
        got = result[0]
        assert close(got, wanted, 2e-2)
        if bfloat16_products():
            assert not torch.equal(got.float(), wanted), "nothing was computed in short numbers"
        assert all(leaf.dtype == torch.float32 for leaf in recurra.states.leaves(result[-1]))
        found = gradients(module, got.float())
        assert all(gradient.dtype == torch.float32 for gradient in found.values())
        assert close(found, gradients(module, wanted), 6e-2)


@row("autocast")
def test_training_under_autocast(make, verdict):
    torch.manual_seed(0)
    module = make()
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    losses = []
    for _ in range(40):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = outputs_of(module, sample())
            loss = (outputs.float() - 0.3).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
