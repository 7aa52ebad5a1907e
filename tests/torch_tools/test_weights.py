"""What works on parameters: parametrizations, masks, optimizers, averages, hooks."""

import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_, parametrizations, parametrize, prune
from torch.optim.swa_utils import AveragedModel
from torch_tools.table import (
    LENGTHS,
    backends,
    check_backends,
    close,
    gradients,
    layers,
    outputs_of,
    own,
    row,
    sample,
)

import recurra
from recurra.errors import BackendError


def recurrent(module):
    """Module and name of every weight that feeds back."""
    found = []
    for part in module.modules():
        for name, _ in list(part.named_parameters(recurse=False)):
            if name == "recurrent_weight" or name.startswith("weight_hh"):
                found.append((part, name))
        if type(part).__name__ == "Leaky":
            found.append((part.keep, "weight"))
    assert len(found) >= 3
    return found


@row("parametrizations")
@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm", "orthogonal"])
def test_parametrizations(make, verdict, kind):
    """The weight that torch computes is the one used, and gradients reach what is behind it."""
    module = make()
    plain = make()
    for part, name in recurrent(module):
        getattr(parametrizations, kind)(part, name)
    module.eval()  # spectral norm moves with every call in training
    with torch.no_grad():
        for name, parameter in plain.named_parameters():
            path, _, own_name = name.rpartition(".")
            parameter.copy_(getattr(module.get_submodule(path), own_name))
    with backends() as names:
        got = outputs_of(module, sample(), lengths=LENGTHS)
    check_backends(names, verdict, make)
    assert close(got, outputs_of(plain, sample(), lengths=LENGTHS))
    found = gradients(module.train(), outputs_of(module, sample()))
    originals = [name for name in found if "parametrizations" in name]
    assert originals
    assert all(found[name].any() for name in originals)


@row("recurra.weight_drop")
def test_weight_drop(make, verdict):
    module = make()
    whole = outputs_of(module, sample())
    names_of = None
    if make is own:
        names_of = [n for n, _ in module.named_parameters() if n.endswith("keep.weight")]
    recurra.weight_drop(module, 0.5, names_of and tuple(names_of))
    torch.manual_seed(0)
    with backends() as names:
        one, two = (outputs_of(module, sample()) for _ in range(2))
    check_backends(names, verdict, make)
    assert not close(one, two), "another draw a run"
    assert close(outputs_of(module.eval(), sample()), whole)
    for part in list(module.modules()):
        if parametrize.is_parametrized(part):
            for name in list(part.parametrizations):
                parametrize.remove_parametrizations(part, name)
    assert close(outputs_of(module.train(), sample()), whole)


@row("recurra.convert, recurra.revert")
def test_to_torchs_layers_and_back(make, verdict):
    module = make()
    wanted = outputs_of(module, sample(), lengths=LENGTHS)
    slopes = gradients(module, wanted)
    alone = outputs_of(module.one, sample())
    recurra.revert(module)
    assert [type(part) for part in module.children()] == [nn.LSTM, nn.GRU, nn.RNN]
    assert close(outputs_of(module.one, sample()), alone)
    recurra.convert(module)
    with backends() as names:
        got = outputs_of(module, sample(), lengths=LENGTHS)
    check_backends(names, verdict, make)
    assert close(got, wanted)
    assert close(gradients(module, got), slopes)


def hooked(make, change):
    """A module whose cells carry the hooks of an old tool."""
    module = make()
    if make is own:  # of the cell itself: its Linear is called, and may be hooked
        for part in module.modules():
            if isinstance(part, recurra.Cell):
                part.own_scale = nn.Parameter(torch.ones(2, 2))
                change(part, "own_scale")
    else:
        for part, name in recurrent(module):
            change(part, name)
    return module


@row("torch.nn.utils.prune", only="refused by name")
def test_pruning_a_cell_is_refused(make, verdict):
    module = hooked(make, lambda part, name: prune.random_unstructured(part, name, 0.5))
    with pytest.raises(BackendError, match=r"prune .* torch\.nn\.utils\.parametrizations works"):
        outputs_of(module, sample())
    for part in list(module.modules()):
        for name in [n.removesuffix("_orig") for n, _ in part.named_parameters(recurse=False)]:
            if hasattr(part, f"{name}_mask"):
                prune.remove(part, name)
    outputs_of(module, sample())


def test_pruning_the_linear_of_a_users_cell():
    """What the step calls has its hooks called."""
    module = own()
    for part, name in recurrent(module):
        prune.l1_unstructured(part, name, 0.5)
    got = outputs_of(module, sample())
    for part in module.modules():
        if hasattr(part, "weight_mask"):
            assert (part.weight == 0).sum() == (part.weight_mask == 0).sum() > 0
            prune.remove(part, "weight")
    assert close(outputs_of(module, sample()), got)


@row("torch.nn.utils.prune", only="works")
def test_pruning_a_drop_in(make, verdict):
    module = make()
    before = outputs_of(module, sample())
    for part, name in recurrent(module):
        prune.l1_unstructured(part, name, 0.5)
    with backends() as names:
        got = outputs_of(module, sample())
    check_backends(names, verdict, make)
    assert not close(got, before)
    loss = got.square().sum()
    loss.backward()
    for part in list(module.modules()):
        for name in [n.removesuffix("_mask") for n, _ in part.named_buffers(recurse=False)]:
            mask, gradient = getattr(part, f"{name}_mask"), getattr(part, f"{name}_orig").grad
            assert not gradient[mask == 0].any()
            assert gradient[mask == 1].any()
            prune.remove(part, name)
            assert not getattr(part, name)[mask == 0].any()
    assert close(outputs_of(module, sample()), got)


old_norm = pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")


@old_norm
@row("old weight_norm", only="refused by name")
def test_the_old_weight_norm_is_refused(make, verdict):
    module = hooked(make, nn.utils.weight_norm)
    with pytest.raises(BackendError, match=r"old weight_norm use them; .*parametrizations works"):
        outputs_of(module, sample())


@old_norm
@row("old weight_norm", only="works")
def test_the_old_weight_norm_of_a_drop_in(make, verdict):
    module = make()
    before = outputs_of(module, sample())
    for part, name in recurrent(module):
        nn.utils.weight_norm(part, name)
    with backends() as names:
        got = outputs_of(module, sample())
    check_backends(names, verdict, make)
    assert close(got, before)
    lengths = [(n, p) for n, p in module.named_parameters() if n.endswith("_g")]
    assert lengths
    with torch.no_grad():
        for _, parameter in lengths:
            parameter *= 2
    assert not close(outputs_of(module, sample()), before)
    found = gradients(module, outputs_of(module, sample()))
    assert all(found[name].any() for name, _ in lengths)


@row("hooks on layers")
def test_hooks_on_layers(make, verdict):
    module, seen = make(), []
    handles = [
        module.register_forward_pre_hook(lambda part, args: (args[0] * 2,)),
        module.register_forward_hook(lambda part, args, result: seen.append(result[0])),
        module.register_full_backward_hook(lambda part, inner, outer: seen.append(outer[0])),
    ]
    x = sample().requires_grad_()
    got = outputs_of(module, x)
    got.sum().backward()
    assert seen[0] is got or torch.equal(seen[0], got)
    assert torch.equal(seen[1], torch.ones_like(got))
    for handle in handles:
        handle.remove()
    with backends() as names:
        assert close(got, outputs_of(module, 2 * sample()))
    check_backends(names, verdict, make)


@row("hooks on cells")
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("register_forward_hook", "has forward hooks, which a run does not call"),
        ("register_forward_pre_hook", "has forward hooks"),
        ("register_full_backward_hook", "has backward hooks.* Hook the layer"),
        ("register_full_backward_pre_hook", "has backward hooks"),
    ],
)
def test_hooks_on_cells(make, verdict, kind, words):
    module = make()
    cell = next(part for part in module.modules() if isinstance(part, recurra.Cell))
    handle = getattr(cell, kind)(lambda *args: None)
    with pytest.raises(BackendError, match=words):
        outputs_of(module, sample())
    handle.remove()
    outputs_of(module, sample())


@row("clip_grad_norm_")
def test_clipping(make, verdict):
    module = make()
    with backends() as names:
        outputs_of(module, sample()).square().sum().backward()
    check_backends(names, verdict, make)
    before = torch.cat([p.grad.flatten() for p in module.parameters()])
    norm = clip_grad_norm_(module.parameters(), 0.01)
    after = torch.cat([p.grad.flatten() for p in module.parameters()])
    assert close(norm, before.norm())
    assert close(after, before * 0.01 / norm, 1e-6)


@row("optimizers with foreach, fused")
@pytest.mark.parametrize("how", ["foreach", "fused"])
def test_optimizers(make, verdict, how):
    """One step equals the plain one; the weights that changed are the ones used."""
    module = make()
    plain = make()
    plain.load_state_dict(module.state_dict())
    for model, settings in ((module, {how: True}), (plain, {"foreach": False})):
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, **settings)
        with backends() as names:
            before = outputs_of(model, sample())
        check_backends(names, verdict, make)
        before.square().sum().backward()
        optimizer.step()
        assert not close(outputs_of(model, sample()), before)
    assert close(outputs_of(module, sample()), outputs_of(plain, sample()))


@row("AveragedModel")
def test_averages(make, verdict):
    module = make()
    average = AveragedModel(module)
    first = {name: p.detach().clone() for name, p in module.named_parameters()}
    average.update_parameters(module)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 1
    average.update_parameters(module)
    for name, parameter in average.module.named_parameters():
        assert close(parameter, first[name] + 0.5)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter -= 0.5
    with backends() as names:
        got = outputs_of(average, sample(), lengths=LENGTHS)
    check_backends(names, verdict, make)
    assert close(got, outputs_of(module, sample(), lengths=LENGTHS))


def test_two_weights_that_are_one():
    """Tied cells: one tensor, two places, one gradient."""
    module = layers()
    cell = recurra.LSTMCell(5, 5)
    other = recurra.LSTMCell(5, 5)
    other.recurrent_weight = cell.recurrent_weight
    stack = recurra.Stack([module.layers[0], recurra.Recurrent(cell), recurra.Recurrent(other)])
    outputs_of(stack, sample()).sum().backward()
    alone = [
        torch.autograd.grad(
            outputs_of(stack, sample()).sum(), stack.layers[0].cell.recurrent_weight
        )[0]
    ]
    assert close(stack.layers[0].cell.recurrent_weight.grad, alone[0])
    assert sum(1 for _ in stack.parameters()) == 3 + 3 + 2
