"""Evaluation mode for a while, what relies on it, and twins with other tensors."""

import functools
import subprocess
import sys
import threading
import time

import pytest
import torch
from torch import nn

import recurra
from recurra import diagnosis, twins
from recurra.twins import evaluating, hooked, in_mode, own_parts
from recurra.twins import twin as twin_of


def test_every_module_gets_its_own_mode_back():
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout(), nn.Linear(2, 2)))
    model.train()
    model[1].eval()
    with evaluating(model):
        assert not any(part.training for part in model.modules())
    assert [part.training for part in model.modules()] == [True, True, False, False, False]
    with pytest.raises(KeyError), evaluating(model):
        raise KeyError
    assert model.training
    with evaluating("no module"):
        pass


def test_modes_are_put_back_in_whatever_order_they_end():
    """By the last one; and what was set in between belongs to whoever set it."""
    model = nn.Sequential(nn.Dropout(), nn.Linear(2, 2))
    model[1].eval()
    modes = [part.training for part in model.modules()]
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)):
        holders = [evaluating(model) for _ in range(3)]
        for each in holders:
            each.__enter__()
        for number in order:
            assert not model.training
            holders[number].__exit__(None, None, None)
        assert [part.training for part in model.modules()] == modes
    with evaluating(model):
        model.train()
        with evaluating(model):
            assert not model[0].training
        assert model[0].training
    assert [part.training for part in model.modules()] == modes
    with evaluating(model), in_mode(model, training=True):
        assert model[1].training
    assert [part.training for part in model.modules()] == modes
    assert not twins._SET


def test_many_threads_put_modes_back():
    model = nn.Sequential(*(nn.Dropout() for _ in range(20)))

    def often():
        for _ in range(50):
            with evaluating(model):
                assert not model.training
                time.sleep(0)

    together(*[often] * 6)
    assert all(part.training for part in model.modules())
    assert not twins._SET


def test_a_hook_is_of_its_thread():
    model, seen = nn.Linear(1, 1), []
    other = threading.Thread(target=lambda: seen.append(float(model(torch.ones(1)).detach())))
    with hooked([model], lambda module, given, result: torch.zeros(1)):
        other.start()
        other.join()
        assert float(model(torch.ones(1))) == 0
    assert seen == [float(model(torch.ones(1)).detach())] != [0.0]
    assert not model._forward_hooks


def together(*calls):
    """Calls in threads at once; what one of them raises is raised."""
    wrong = []

    def told(call):
        try:
            call()
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=told, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]


def test_two_threads_look_into_one_model():
    """What each finds is what it finds alone; modes, hooks and gradients are as they were."""
    torch.manual_seed(0)
    told = {"vocabulary_size": 9, "classes": 3, "hidden_size": 6, "dropout": 0.5}
    model = recurra.models.Classifier(recurra.models.ClassifierConfig(**told)).train()
    model.head.eval()
    modes = [part.training for part in model.modules()]
    batches = [
        recurra.Batch(torch.randint(9, (6, 4)), torch.tensor([0, 1, 2, 0]), target_axis=0)
        for _ in range(3)
    ]
    key = "encoder.layer.layers.0.forward_layer.cell: state.h"

    def looked(batch):
        seen = diagnosis.examine(model, batch, anchors=2)
        parts = diagnosis.attribute(model, batch, alphas=4, most=4, method="occlusion").parts
        moved = diagnosis.intervene(model, batch, {key: diagnosis.ablate()}).loss
        return str(seen), [part.tolist() for part in parts.values()], moved

    alone, found = [looked(batch) for batch in batches], {}

    def look(number):
        found[number] = looked(batches[number])

    together(*(functools.partial(look, number) for number in range(3)))
    assert [found[number] for number in range(3)] == alone
    assert [part.training for part in model.modules()] == modes
    assert not any(part._forward_hooks for part in model.modules())
    assert torch.backends.cudnn.enabled
    assert not twins._SET


def test_a_card_leaves_alone_what_another_thread_uses():
    model = recurra.LanguageModel(
        recurra.LanguageModelConfig(vocabulary_size=9, hidden_size=8, dropout=0.5)
    ).eval()
    trained, done = [], threading.Event()

    def watch():
        while not done.is_set():
            trained.extend(part for part in model.modules() if part.training)
            time.sleep(0.002)

    def cards():
        try:
            together(*[lambda: diagnosis.card(model, measure=True)] * 2)
        finally:
            done.set()

    together(watch, cards)
    assert not trained


def test_generation_in_training_hangs_on_its_seed_alone():
    """Dropout would draw numbers that the seed does not decide."""
    config = recurra.LanguageModelConfig(vocabulary_size=9, hidden_size=8, dropout=0.5)
    model = recurra.LanguageModel(config).train()
    texts = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        texts.append(list(recurra.generate(model, [1], limit=30, seed=5)))
    assert texts[0] == texts[1]
    assert model.training


def test_a_context_lives_in_the_decoding_state():
    from laws.subjects import ContextCell, Topic

    recurra.register("with context")(ContextCell)
    try:
        config = recurra.LanguageModelConfig(
            vocabulary_size=9, hidden_size=8, cell="with context", layers=1
        )
        model = recurra.LanguageModel(config).eval()
    finally:
        from recurra.cells import base

        del base._REGISTERED["with context"]
    tokens = torch.tensor([3, 3])
    state = model.start(2, context=Topic(torch.tensor([[0.0, 0.0], [5.0, -5.0]])))
    first, state = model.step(tokens, state)
    assert not torch.allclose(first[0], first[1])
    swapped = recurra.states.select_rows(state, torch.tensor([1, 0]))
    a, _ = model.step(tokens, state)
    b, _ = model.step(tokens, swapped)
    assert torch.allclose(a[[1, 0]], b)


def test_star_import_brings_the_public_names():
    names: dict = {}
    exec("from recurra import *", names)
    assert names["LSTMCell"] is recurra.LSTMCell
    assert names["run"] is recurra.run
    assert "cells" not in names


def test_arithmetic_that_does_not_add_up_is_not_printed():
    cell = recurra.LSTMCell(3, 4)
    torch.nn.utils.parametrizations.weight_norm(cell, "recurrent_weight")
    text = str(recurra.describe(cell))
    assert "4*h*(i+h)" not in text
    assert str(sum(p.numel() for p in cell.parameters())) in text


# ---- a twin with other tensors ------------------------------------------------------------------


class Tied(nn.Module):
    """One tensor under two names, a buffer, and a plain attribute."""

    def __init__(self):
        super().__init__()
        self.there = nn.Parameter(torch.tensor([[2.0, 1.0]]))
        self.back = self.there
        self.shift = nn.Parameter(torch.ones(1))
        self.register_buffer("scale", torch.tensor(3.0))
        self.power = 2

    def forward(self, x):
        return self.scale * (x @ self.there.T) ** self.power @ self.back + self.shift


def test_a_twin_uses_the_tensors_it_is_given():
    module, x = Tied(), torch.tensor([[1.0, -3.0]])
    given = {"shift": torch.full((1,), 5.0), "scale": torch.tensor(-1.0)}
    twin = twin_of(module, given)
    assert type(twin) is Tied
    assert twin.shift is given["shift"]
    assert twin.scale is given["scale"]
    assert twin.there is module.there, "what is not given stays its own"
    wanted = torch.func.functional_call(module, given, (x,))
    assert torch.equal(twin(x), wanted)
    assert not torch.equal(twin(x), module(x))
    assert set(twin.state_dict()) == set(module.state_dict())


def test_a_twin_sends_the_gradient_to_the_tensors_it_was_given():
    module, x = Tied(), torch.tensor([[1.0, -3.0]])
    start = torch.full((1, 2), 0.5, requires_grad=True)
    made = 2 * start  # tensors that were computed keep their graph
    twin_of(module, {"there": made})(x).sum().backward()
    assert start.grad.all()
    assert module.there.grad is None
    assert module.shift.grad is not None


@pytest.mark.parametrize("name", ["there", "back"])
def test_a_tensor_of_two_names_is_replaced_under_both(name):
    module, x = Tied(), torch.tensor([[1.0, -3.0]])
    given = torch.tensor([[0.5, 4.0]])
    twin = twin_of(module, {name: given})
    assert twin.there is given
    assert twin.back is given
    assert torch.equal(twin(x), torch.func.functional_call(module, {name: given}, (x,)))


def test_the_module_of_a_twin_is_left_as_it_was():
    module, x = Tied(), torch.tensor([[1.0, -3.0]])
    before, own = module(x), dict(module._parameters)
    twin = twin_of(module, {"there": torch.zeros(1, 2), "scale": torch.tensor(0.0)})
    twin.power = 7
    twin.eval()
    assert module.power == 2
    assert module.training
    assert module._parameters == own
    assert all(module._parameters[name] is own[name] for name in own)
    assert torch.equal(module(x), before)
    # Nor is a tensor copied: what changes the module's own later is seen by its twin.
    with torch.no_grad():
        module.shift.fill_(-1.0)
    assert twin(x).tolist() == [[-1.0, -1.0]]


def test_a_twin_of_a_cell_without_a_bias():
    """A parameter that is None is there by name, and no tensor."""
    cell = recurra.LSTMCell(2, 3, bias=False)
    weight = torch.zeros(12, 2)
    twin = twin_of(cell, {"input_weight": weight})
    assert twin.bias is None
    assert twin.cell_gain is None
    x = torch.ones(4, 2)
    assert not twin(x)[0].any()
    assert cell(x)[0].any()


def test_a_twin_of_a_tree():
    """Submodules, one of them under two names, a torch GRU with its list of weights, buffers."""
    inner = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    module = nn.ModuleDict({"a": inner, "b": inner, "gru": nn.GRU(3, 4)})
    given = {name: torch.zeros_like(p) for name, p in module.named_parameters()}
    before = [p.clone() for p in module.parameters()]
    other = twin_of(module, given)
    x = torch.randn(5, 3)
    assert not other["a"](x).any()
    assert other["a"] is other["b"]
    assert not other["gru"](x)[0].any()
    assert module["gru"](x)[0].any()
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))
    assert all(isinstance(p, nn.Parameter) for p in module.parameters())
    with pytest.raises(ValueError, match=r"no 'a\.9\.weight'"):
        twin_of(module, {"a.9.weight": x})


def test_a_twin_has_what_a_parametrization_computes():
    linear = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    other = twin_of(linear)
    assert torch.equal(other.weight, linear.weight)
    assert other.weight is other.weight  # computed once
    other.weight.sum().backward()
    assert linear.parametrizations.weight.original1.grad is not None
    names = {name: torch.zeros_like(p) for name, p in linear.named_parameters()}
    names["parametrizations.weight.original0"] += 1.0
    names["parametrizations.weight.original1"] += 1.0
    wanted = torch.full((2, 3), 3**-0.5)
    assert torch.allclose(twin_of(linear, names).weight, wanted)


class Listed(recurra.Cell):
    """Keeps its parts in a plain list beside the registered ones."""

    def __init__(self):
        super().__init__(3, 4)
        self.read, self.keep = nn.Linear(3, 4), nn.Linear(4, 4)
        self.both = [self.read, self.keep]

    def initial_state(self, batch):
        return recurra.HiddenState(self.zeros(batch))

    def step(self, x, state, context=None, noise=None):
        h = torch.tanh(self.both[0](x) + self.both[1](state.h))
        return h, recurra.HiddenState(h)


def test_what_a_twin_cannot_reach_is_refused():
    x = torch.randn(5, 2, 3)
    own_step = recurra.GRUCell(3, 4)
    own_step.step = own_step.step
    for cell, name in ((own_step, "step"), (Listed(), "both")):
        recurra.run(cell, x)
        assert own_parts(cell) == name
        with pytest.raises(recurra.BackendError, match=f"'{name}', which was set on the object"):
            recurra.run(cell, x, parameters=dict(cell.named_parameters()))
    for cell in (recurra.GRUCell(3, 4), recurra.Zoneout(recurra.LSTMCell(3, 4))):
        assert own_parts(cell) is None


class Waits(recurra.Cell):
    """A step that waits until it is told to go on."""

    def __init__(self, inside, go):
        super().__init__(3, 4)
        self.recurrent_weight = nn.Parameter(torch.eye(4))
        self._inside, self._go = inside, go

    recurrent_parameters = ("recurrent_weight",)

    def initial_state(self, batch):
        return recurra.HiddenState(self.zeros(batch))

    def step(self, x, state, context=None, noise=None):
        self._inside.set()
        assert self._go.wait(30)
        h = torch.tanh(state.h @ self.recurrent_weight + x.sum(1, keepdim=True))
        return h, recurra.HiddenState(h)


@pytest.mark.parametrize("how", ["weight drop", "parameters"])
def test_a_run_leaves_other_threads_alone(how):
    """While one is in the middle of a step, others see neither its tensors nor a cache."""
    inside, go = threading.Event(), threading.Event()
    waits = recurra.Zoneout(Waits(inside, go), 0.0).eval()
    zeros = {name: torch.zeros_like(p) for name, p in waits.named_parameters()}
    if how == "weight drop":
        recurra.weight_drop(waits).train()
    settings = {"parameters": zeros} if how == "parameters" else {}
    one = threading.Thread(target=recurra.run, args=(waits, torch.zeros(2, 2, 3)), kwargs=settings)
    one.start()
    try:
        assert inside.wait(30)
        assert torch.equal(waits.cell.state_dict().popitem()[1], torch.eye(4))
        dropped, x = recurra.weight_drop(recurra.LSTM(3, 4)), torch.randn(5, 2, 3)
        assert not torch.equal(dropped(x)[0], dropped(x)[0]), "the same draw twice"
        dropped.eval()
        dropped.load_state_dict({k: torch.zeros_like(v) for k, v in dropped.state_dict().items()})
        assert not dropped.weight_hh_l0.any()
    finally:
        go.set()
        one.join()


def test_a_projection_says_nothing_and_leaves_the_filters_alone():
    code = """
import warnings, torch, recurra
warnings.simplefilter("error")
before = list(warnings.filters)
recurra.LSTM(3, 8, proj_size=4, backend="aten")(torch.randn(5, 2, 3))
assert warnings.filters == before
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def drawing():
    cells = (recurra.LSTMCell(3, 4), recurra.ElmanCell(4, 4, recurrent_init="identity"))
    layers = (torch.nn.Embedding(5, 2), torch.nn.LSTM(2, 3), torch.nn.BatchNorm1d(3))
    mine = torch.nn.Linear(2, 2)
    torch.nn.init.trunc_normal_(tensor=mine.weight, std=0.1)
    mine.bias.detach().exponential_()
    return torch.nn.ModuleList([*cells, *layers, mine])


@pytest.mark.parametrize("place", ["meta", "cpu"])
def test_modules_for_which_no_numbers_are_drawn(place):
    plain = drawing()
    before = torch.get_rng_state()
    with twins.without_memory() if place == "meta" else twins.of_zeros():
        made = drawing()
    assert torch.equal(torch.get_rng_state(), before)
    wanted, found = plain.state_dict(), made.state_dict()
    assert {name: value.shape for name, value in found.items()} == {
        name: value.shape for name, value in wanted.items()
    }
    assert {value.device.type for value in found.values()} == {place}
    if place == "cpu":
        assert not any(value.any() for name, value in found.items() if "2." in name)
    with torch.random.fork_rng():
        assert drawing().state_dict()["2.weight"].any()
