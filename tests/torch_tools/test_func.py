"""torch.func: transforms have no rule for torch's kernels, so they run on the loop."""

import copy

import pytest
import torch
from torch.func import (
    functional_call,
    grad,
    jacfwd,
    jacrev,
    jvp,
    stack_module_state,
    vjp,
    vmap,
)
from torch_tools.table import (
    LENGTHS,
    backends,
    check_backends,
    close,
    gradients,
    outputs_of,
    row,
    sample,
)

import recurra
from recurra.errors import BackendError

# Torch's own jvp still scripts its formulas.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")


def parameters_of(module):
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def loss_of(module, parameters, x):
    outputs = functional_call(module, parameters, (x,))[0]
    return (outputs * torch.sin(torch.arange(outputs.numel()).view_as(outputs))).sum()


@row("torch.func.functional_call")
def test_functional_call(make, verdict):
    module, other = make(), make()
    assert not close(outputs_of(module, sample()), outputs_of(other, sample()))
    for settings in ({}, {"lengths": LENGTHS}):
        with backends() as names:
            got = functional_call(module, parameters_of(other), (sample(),), settings)[0]
        check_backends(names, verdict, make)
        assert close(got, outputs_of(other, sample(), **settings))


@row("torch.func.grad")
def test_grad(make, verdict):
    module = make()
    with backends() as names:
        got = grad(lambda p: loss_of(module, p, sample()))(parameters_of(module))
    check_backends(names, verdict, make)
    assert close(got, gradients(module, outputs_of(module, sample())))


@row("torch.func.grad")
def test_grad_with_lengths(make, verdict):
    """A transform without vmap can read lengths."""
    module = make()

    def loss(x):
        return outputs_of(module, x, lengths=LENGTHS).square().sum()

    x = sample().requires_grad_()
    (wanted,) = torch.autograd.grad(loss(x), x)
    assert close(grad(loss)(sample()), wanted)
    assert not wanted[2:, 1].any()


@row("torch.func.jvp")
def test_jvp(make, verdict):
    module = make().double()
    x, along = sample().double(), sample(seed=1).double()
    with backends() as names:
        _, change = jvp(lambda x: outputs_of(module, x), (x,), (along,))
    check_backends(names, verdict, make)
    near = [outputs_of(module, x + sign * 1e-5 * along) for sign in (1, -1)]
    assert close(change, (near[0] - near[1]) / 2e-5, 1e-8)


@row("torch.func.jacrev")
def test_jacobians(make, verdict):
    """Backward and forward agree, and sum to a product with a vector."""
    module = make()

    def last(x):
        return module(x)[0][-1]

    x = sample(time=4)
    with backends() as names:
        back = jacrev(last)(x)
    check_backends(names, verdict, make)
    assert close(back, jacfwd(last)(x))
    value, pull = vjp(last, x)
    assert close(back.sum((0, 1)), pull(torch.ones_like(value))[0])


@row("torch.func.vmap over rows")
def test_vmap_over_rows(make, verdict):
    module = make()
    many = torch.stack([sample(seed=seed) for seed in range(3)])
    with backends() as names:
        together = vmap(lambda x: outputs_of(module, x))(many)
    check_backends(names, verdict, make)
    for x, outputs in zip(many, together, strict=True):
        assert close(outputs, outputs_of(module, x))


@row("torch.func.vmap over models")
def test_an_ensemble(make, verdict):
    members = [make().eval() for _ in range(3)]
    stacked, buffers = stack_module_state(members)
    base = copy.deepcopy(members[0]).to("meta")

    def call(parameters, buffers, x):
        return functional_call(base, (parameters, buffers), (x,))[0]

    with backends() as names:
        together = vmap(call, (0, 0, None))(stacked, buffers, sample())
    check_backends(names, verdict, make)
    for member, outputs in zip(members, together, strict=True):
        assert close(outputs, outputs_of(member, sample()))


@row("torch.func.vmap, same lengths")
def test_vmap_with_the_same_lengths(make, verdict):
    module, many = make(), torch.stack([sample(), sample(seed=1)])
    with backends() as names:
        together = vmap(lambda x: outputs_of(module, x, lengths=LENGTHS))(many)
    check_backends(names, verdict, make)
    for x, outputs in zip(many, together, strict=True):
        assert close(outputs, outputs_of(module, x, lengths=LENGTHS))


@row("torch.func.vmap over lengths")
def test_vmap_cannot_read_lengths(make, verdict):
    module, many = make(), torch.stack([sample(), sample(seed=1)])
    lengths = torch.stack([LENGTHS, LENGTHS])
    with pytest.raises(BackendError, match=r"lengths.* numbers can be read"):
        vmap(lambda x, n: outputs_of(module, x, lengths=n))(many, lengths)


def test_the_engine_says_why_not():
    cell, many = recurra.GRUCell(4, 3), torch.stack([sample(), sample(seed=1)])
    with pytest.raises(BackendError, match="side by side in the batch"):
        vmap(lambda x, n: recurra.run(cell, x, lengths=n).outputs)(many, LENGTHS.expand(2, 3))
    with pytest.raises(BackendError, match="resets of GRUCell"):
        vmap(lambda x, r: recurra.run(cell, x, resets=r).outputs)(many, many[..., 0] > 0)
    shared = many[0, ..., 0] > 0
    got = vmap(lambda x: recurra.run(cell, x, resets=shared).outputs)(many)
    assert close(got[1], recurra.run(cell, many[1], resets=shared).outputs)


@row("gradients of each row")
def test_gradients_of_each_row(make, verdict):
    module = make()
    parameters = parameters_of(module)

    def loss(parameters, x):
        return functional_call(module, parameters, (x.unsqueeze(1),))[0].square().sum()

    with backends() as names:
        each = vmap(grad(loss), (None, 1))(parameters, sample())
    check_backends(names, verdict, make)
    for number in range(3):
        x = sample()[:, number : number + 1]
        alone = torch.autograd.grad(outputs_of(module, x).square().sum(), list(module.parameters()))
        assert close(
            {n: g[number] for n, g in each.items()},
            dict(zip(parameters, alone, strict=True)),
        )
