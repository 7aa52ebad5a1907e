"""Gradients of gradients, gradients by hand, gradients computed twice."""

import copy

import pytest
import torch
from torch.utils.checkpoint import checkpoint
from torch_tools.table import (
    LENGTHS,
    backends,
    check_backends,
    close,
    gradients,
    on_loop,
    outputs_of,
    own,
    row,
    sample,
)

import recurra


def penalty(module, x):
    """A gradient penalty: the loss holds the gradient of the outputs."""
    x = x.clone().requires_grad_()
    outputs = outputs_of(module, x)
    (gradient,) = torch.autograd.grad(outputs.square().sum(), x, create_graph=True)
    return gradient.square().sum()


@row("double backward")
def test_a_gradient_penalty(make, verdict):
    """Torch's CPU kernels have second derivatives; they equal the loop's."""
    module = make()
    found = []
    for model in (module, on_loop(copy.deepcopy(module))):
        with backends() as names:
            loss = penalty(model, sample())
        if model is module:
            check_backends(names, verdict, make)
        loss.backward()
        found.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert close(*found)
    assert len(found[0]) > 4


@row("double backward on loop")
def test_a_gradient_penalty_on_loop(make, verdict):
    module = on_loop(make()).double()
    with backends() as names:
        penalty(module, sample().double()).backward()
    check_backends(names, verdict, make)
    weight = next(p for p in module.parameters() if p.dim() == 2)
    step = torch.zeros_like(weight)
    step[0, 0] = 1e-5
    near = []
    for sign in (1, -1):
        with torch.no_grad():
            weight += sign * step
        near.append(penalty(module, sample().double()).item())
        with torch.no_grad():
            weight -= sign * step
    assert weight.grad[0, 0].item() == pytest.approx((near[0] - near[1]) / 2e-5, rel=1e-5)


@row("gradcheck, gradgradcheck on loop")
def test_gradcheck(make, verdict):
    module = on_loop(make()).double()
    x = sample(batch=2, time=2).double().requires_grad_()

    def outputs(x):
        return outputs_of(module, x)

    with backends() as names:
        assert torch.autograd.gradcheck(outputs, (x,), fast_mode=True)
        assert torch.autograd.gradgradcheck(outputs, (x,), fast_mode=True)
    check_backends(names, verdict, make)


@row("torch.utils.checkpoint")
def test_activation_checkpointing(make, verdict):
    module = make()
    for settings in ({}, {"lengths": LENGTHS}):
        with backends() as names:
            outputs = checkpoint(outputs_of, module, sample(), use_reentrant=False, **settings)
            found = gradients(module, outputs)
        check_backends(names, verdict, make)
        wanted = gradients(module, outputs_of(module, sample(), **settings))
        assert close(found, wanted)
        cells = [part for part in module.modules() if isinstance(part, recurra.Cell)]
        assert not cells or len(names) == 2 * len(cells), "it runs again for the gradient"


def test_checkpointing_repeats_noise():
    layer = recurra.Recurrent(recurra.Zoneout(recurra.GRUCell(4, 5), 0.5))
    torch.manual_seed(0)
    twice = gradients(layer, checkpoint(outputs_of, layer, sample(), use_reentrant=False))
    torch.manual_seed(0)
    assert close(twice, gradients(layer, outputs_of(layer, sample())))


@row("frozen weights")
def test_some_weights_frozen(make, verdict):
    module = make()
    wanted = gradients(module, outputs_of(module, sample()))
    frozen = set(list(wanted)[::2])
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name not in frozen)
    with backends() as names:
        outputs = outputs_of(module, sample())
    check_backends(names, verdict, make)
    (outputs * torch.sin(torch.arange(outputs.numel()).view_as(outputs))).sum().backward()
    for name, parameter in module.named_parameters():
        assert (parameter.grad is None) == (name in frozen)
        assert parameter.grad is None or close(parameter.grad, wanted[name])


def test_all_weights_frozen():
    """An input alone still gets its gradient."""
    for make in (lambda: recurra.Recurrent(recurra.LSTMCell(4, 5)), own):
        module = make().requires_grad_(False)
        x = sample().requires_grad_()
        outputs_of(module, x).sum().backward()
        assert x.grad.any()


@row("no_grad, inference_mode")
def test_without_gradients(make, verdict):
    module = make()
    wanted = outputs_of(module, sample(), lengths=LENGTHS)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode(), backends() as names:
            got = outputs_of(module, sample(), lengths=LENGTHS)
        check_backends(names, verdict, make)
        assert close(got, wanted)
        assert not got.requires_grad
    gradients(module, outputs_of(module, sample()))


@row("use_deterministic_algorithms")
def test_deterministic_algorithms(make, verdict):
    module = make()
    torch.use_deterministic_algorithms(True)
    try:
        with backends() as names:
            found = [outputs_of(module, sample(), lengths=LENGTHS) for _ in range(2)]
        check_backends(names, verdict, make)
        first, second = (gradients(module, outputs) for outputs in found)
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(*found)
    assert all(torch.equal(first[name], second[name]) for name in first)
