"""Layers inside a model change their class, and nothing else."""

from __future__ import annotations

import copy
import gc
import io
import itertools
import pickle
import warnings
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import recurra
from recurra.errors import SettingError
from recurra.interop.convert import _Swap

INPUT, HIDDEN, TIME, BATCH = 3, 4, 5, 3
LENGTHS = torch.tensor([2, 5, 3])

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "tanh": ("RNN", {}),
    "relu": ("RNN", {"nonlinearity": "relu"}),
    "LSTM": ("LSTM", {}),
    "projected": ("LSTM", {"proj_size": 2}),
    "GRU": ("GRU", {}),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "deep": {"num_layers": 2, "bidirectional": True, "dropout": 0.5},
    "batch first": {"batch_first": True, "num_layers": 3, "bias": False},
}
FORMS = ("tensor", "one row", "packed", "packed unsorted")

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


def made(kind: str = "LSTM", seed: int = 0, **options: Any) -> nn.Module:
    """A layer of torch's."""
    name, more = KINDS[kind]
    torch.manual_seed(seed)
    return getattr(nn, name)(INPUT, HIDDEN, **more, **options)


def flat(value: Any) -> list[Tensor]:
    """All tensors of what a layer gives or takes, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, PackedSequence):
        return [part for part in value if part is not None]
    return [tensor for part in value for tensor in flat(part)]


def called(layer: Any, form: str, with_state: bool) -> list[Tensor]:
    """Outputs, states and the gradients of a loss of all of them."""
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(TIME, BATCH, INPUT, generator=draw, requires_grad=True)
    count = layer.num_layers * (1 + layer.bidirectional)
    widths = [layer.proj_size or HIDDEN] + [HIDDEN] * (layer.mode == "LSTM")
    state = [torch.randn(count, BATCH, w, generator=draw, requires_grad=True) for w in widths]
    given: Any = x.transpose(0, 1) if layer.batch_first else x
    starts = state
    if form == "one row":
        given, starts = x[:, 0], [leaf[:, 0] for leaf in state]
    elif form.startswith("packed"):
        unsorted = form.endswith("unsorted")
        lengths = LENGTHS if unsorted else LENGTHS.sort(descending=True)[0]
        given = pack_padded_sequence(x, lengths, enforce_sorted=not unsorted)
    hx = (tuple(starts) if len(starts) == 2 else starts[0]) if with_state else None
    torch.manual_seed(2)  # dropout
    results = flat(layer(given, hx))
    floats = [value for value in results if value.is_floating_point()]
    loss = sum(
        (value * torch.sin(torch.arange(value.numel())).view_as(value)).sum() for value in floats
    )
    leaves = [x, *(state if with_state else []), *layer.parameters()]
    return [*results, *torch.autograd.grad(loss, leaves, materialize_grads=True)]


def same(got: list[Tensor], wanted: list[Tensor], exact: bool = False) -> bool:
    bound = {"rtol": 0, "atol": 0} if exact else {"rtol": 1e-4, "atol": 1e-5}
    return len(got) == len(wanted) and all(
        a.shape == b.shape and torch.allclose(a, b, **bound)
        for a, b in zip(got, wanted, strict=True)
    )


class Tagger(nn.Module):
    """A model such as people write: what it reads of its layer is what torch's layers have."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(INPUT, HIDDEN, 2, batch_first=True, bidirectional=True)
        self.above = nn.ModuleDict(
            {"a": nn.Sequential(nn.GRU(8, 6)), "b": nn.ModuleList([nn.RNN(6, 2)])}
        )
        self.out = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        self.rnn.flatten_parameters()
        count = self.rnn.num_layers * (2 if self.rnn.bidirectional else 1)
        start = self.rnn.weight_ih_l0.new_zeros(count, len(x), self.rnn.hidden_size)
        packed = pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
        hidden, _ = pad_packed_sequence(self.rnn(packed, (start, start))[0])
        hidden = self.above["a"](hidden)[0]
        return self.out(self.above["b"][0](hidden)[0])


def tagger() -> Tagger:
    torch.manual_seed(0)
    return Tagger()


X = torch.randn(BATCH, TIME, INPUT, generator=torch.Generator().manual_seed(3))


def layers(model: nn.Module) -> list[nn.Module]:
    known = (nn.RNNBase, recurra.RNNBase)
    return [part for part in model.modules() if isinstance(part, known)]


# ---- results --------------------------------------------------------------------------------


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_results_stay(kind: str, options: str) -> None:
    layer = made(kind, **OPTIONS[options])
    calls = list(itertools.product(FORMS, (False, True)))
    before = [called(layer, *call) for call in calls]
    converted: Any = recurra.convert(layer)
    assert type(converted) is getattr(recurra, KINDS[kind][0])
    for call, wanted in zip(calls, before, strict=True):
        assert same(called(converted, *call), wanted), call
    back = recurra.revert(converted)
    assert type(back) is getattr(nn, KINDS[kind][0])
    for call, wanted in zip(calls, before, strict=True):
        assert same(called(back, *call), wanted, exact=True), call


def test_the_comparison_can_fail() -> None:
    layer = made(num_layers=2, dropout=0.5)
    wanted = called(layer, "packed", True)
    assert not same(called(layer.eval(), "packed", True), wanted)
    assert not same(called(recurra.convert(layer), "packed", True), wanted)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_type_mode_and_frozen_weights_stay(dtype: torch.dtype) -> None:
    model = tagger().to(dtype)
    model.rnn.eval().weight_hh_l1.requires_grad_(False)
    recurra.convert(model)
    assert {p.dtype for p in model.parameters()} == {dtype}
    assert [part.training for part in layers(model)] == [False, True, True]
    assert [n for n, p in model.named_parameters() if not p.requires_grad] == ["rnn.weight_hh_l1"]
    assert model(X.to(dtype)).dtype == dtype


def test_no_random_number_is_drawn() -> None:
    model, state = tagger(), torch.get_rng_state()
    recurra.revert(recurra.convert(model))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_dropout_without_effect_is_not_warned_of_again() -> None:
    with pytest.warns(UserWarning, match="dropout option adds dropout"):
        layer: Any = made(dropout=0.5)
    recurra.revert(recurra.convert(layer))  # warnings are errors here
    assert layer.dropout == 0.5


def test_without_memory() -> None:
    with torch.device("meta"):
        layer: Any = recurra.convert(nn.Sequential(nn.GRU(2, 3)))[0]
    assert layer.weight_ih_l0.is_meta
    assert layer(torch.empty(4, 1, 2, device="meta"))[0].shape == (4, 1, 3)


# ---- what a layer is made of ----------------------------------------------------------------


def test_parameters_are_the_same_objects() -> None:
    model = tagger()
    model.above["a"][0].weight_hh_l0 = nn.Parameter(torch.randn(18, 6))
    tied = nn.ModuleList([model, nn.GRU(8, 6)])
    tied[1].weight_hh_l0 = model.above["a"][0].weight_hh_l0
    before, state = dict(tied.named_parameters(remove_duplicate=False)), tied.state_dict()
    for change in (recurra.convert, recurra.revert):
        assert change(tied) is tied
        after = dict(tied.named_parameters(remove_duplicate=False))
        assert list(after) == list(before)
        assert all(after[name] is before[name] for name in before)
        assert list(tied.state_dict()) == list(state)
        assert tied.state_dict()._metadata == state._metadata
        tied.load_state_dict(state)


def test_an_optimizer_made_before_goes_on() -> None:
    ends = []
    for change in (None, recurra.convert, lambda m: recurra.revert(recurra.convert(m))):
        model = tagger()
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
        for step in range(4):
            if step == 2 and change is not None:
                change(model)
            optimizer.zero_grad()
            model(X).square().sum().backward()
            optimizer.step()
        ends.append([p.detach() for p in model.parameters()])
    assert same(ends[1], ends[0])
    assert same(ends[2], ends[0], exact=True)
    assert not same(ends[0], [p.detach() for p in tagger().parameters()])


def hooked(layer: nn.Module, heard: list[str]) -> list[Any]:
    """Every hook that a module can have; the handles."""

    def hear(name: str) -> Any:
        return lambda *given, **named: heard.append(name)

    return [
        layer.register_forward_pre_hook(hear("before")),
        layer.register_forward_pre_hook(hear("before, named"), with_kwargs=True),
        layer.register_forward_hook(hear("after")),
        layer.register_forward_hook(hear("after, named"), with_kwargs=True, always_call=True),
        layer.register_full_backward_pre_hook(hear("before backward")),
        layer.register_full_backward_hook(hear("after backward")),
        layer.register_state_dict_pre_hook(hear("before state")),
        layer.register_state_dict_post_hook(hear("after state")),
        layer.register_load_state_dict_pre_hook(hear("before load")),
        layer.register_load_state_dict_post_hook(hear("after load")),
        layer.weight_hh_l0.register_hook(hear("gradient")),
    ]


@pytest.mark.parametrize("kind", ["tanh", "LSTM", "GRU"])
def test_hooks_stay_and_can_be_removed(kind: str) -> None:
    model, heard = nn.Sequential(made(kind)), list[str]()
    handles = hooked(model[0], heard)

    def heard_now() -> Counter[str]:
        for _ in range(2):  # at its first call a layer's step is recorded
            heard.clear()
            model(X.clone().requires_grad_())[0].sum().backward()
        model.load_state_dict(model.state_dict())
        return Counter(heard)

    wanted = heard_now()
    assert len(wanted) == len(handles)
    assert set(wanted.values()) == {1}
    for change in (recurra.convert, recurra.revert):
        change(model)
        assert heard_now() == wanted
    recurra.convert(model)
    for handle in handles:
        handle.remove()
    assert not heard_now()


def test_what_users_attach_stays() -> None:
    layer: Any = made()
    layer.note = {"speaker": 3}
    layer.register_buffer("mean", torch.ones(3))
    layer.register_buffer("scratch", torch.ones(3), persistent=False)
    layer.norm = nn.LayerNorm(HIDDEN)
    layer.scale = nn.Parameter(torch.ones(1))
    layer.qconfig = None
    kept = [layer.note, layer.mean, layer.scratch, layer.norm, layer.scale]
    state = list(layer.state_dict())
    for change in (recurra.convert, recurra.revert):
        change(layer)
        now = [layer.note, layer.mean, layer.scratch, layer.norm, layer.scale]
        assert all(a is b for a, b in zip(now, kept, strict=True))
        assert layer.qconfig is None
        assert list(layer.state_dict()) == state


def test_nothing_of_the_other_class_stays_behind() -> None:
    for kind in KINDS:
        layer = made(kind)
        names = set(vars(layer))
        own = set(vars(getattr(recurra, type(layer).__name__)(3, 4)))
        assert set(vars(recurra.convert(layer))) == own
        assert set(vars(recurra.revert(layer))) == names


def test_old_weights_are_not_held() -> None:
    """A weight that was replaced after converting is free, and never read."""
    layer: Any = recurra.convert(made())
    size = layer.weight_hh_l0.numel()
    layer.weight_hh_l0 = nn.Parameter(torch.zeros(4 * HIDDEN, HIDDEN))
    gc.collect()
    assert layer._flat_weights[1] is layer.weight_hh_l0
    back: Any = recurra.revert(layer)
    assert all(a is b for a, b in zip(back._flat_weights, back.parameters(), strict=True))
    assert size == back._flat_weights[1].numel()


def test_what_code_reads_of_a_layer() -> None:
    layer: Any = made("projected", num_layers=2, bidirectional=True, dropout=0.1)
    names = ["mode", "input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout"]
    names += ["bidirectional", "proj_size", "_all_weights", "_flat_weights_names"]

    def read() -> list[Any]:
        layer.flatten_parameters()
        return [getattr(layer, name) for name in names]

    before, weights, flat_weights = read(), layer.all_weights, layer._flat_weights
    shown = repr(layer)
    recurra.convert(layer)
    assert read() == before
    assert repr(layer) == shown
    for now, then in zip(layer.all_weights, weights, strict=True):
        assert all(a is b for a, b in zip(now, then, strict=True))
    assert all(a is b for a, b in zip(layer._flat_weights, flat_weights, strict=True))
    with pytest.raises(TypeError):
        layer._flat_weights[0] = None  # torch would use it; here it is refused


# ---- computed weights -----------------------------------------------------------------------


@pytest.mark.parametrize("how", ["weight_norm", "spectral_norm", "orthogonal", "twice"])
def test_parametrized_weights(how: str) -> None:
    layer: Any = made(num_layers=2).eval()
    for name in ("weight_hh_l0", "weight_ih_l1") if how == "twice" else ("weight_hh_l0",):
        getattr(parametrizations, "weight_norm" if how == "twice" else how)(layer, name)
    wanted, state = called(layer, "packed", True), layer.state_dict()
    parameters = list(layer.parameters())
    recurra.convert(layer)
    assert isinstance(layer, recurra.LSTM)
    assert parametrize.is_parametrized(layer)
    assert same(called(layer, "packed", True), wanted)
    assert same(called(copy.deepcopy(layer), "packed", True), wanted)
    assert list(layer.state_dict()) == list(state)
    assert all(a is b for a, b in zip(layer.parameters(), parameters, strict=True))
    with pytest.raises(RuntimeError, match="parametrized modules is only"):
        pickle.dumps(layer)  # as torch has it
    again = copy.deepcopy(layer)
    recurra.revert(layer)
    assert parametrize.is_parametrized(layer)
    assert same(called(copy.deepcopy(layer), "packed", True), wanted, exact=True)
    assert same(called(layer, "packed", True), wanted, exact=True)
    for left in (layer, again):
        for name in list(left.parametrizations):
            parametrize.remove_parametrizations(left, name)
        assert type(left) is (nn.LSTM if left is layer else recurra.LSTM)
        assert same(called(left, "packed", True)[:4], wanted[:4])


class Counted(nn.Module):
    """A parametrization that counts."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor, self.count = factor, 0

    def forward(self, weight: Tensor) -> Tensor:
        self.count += 1
        return weight * self.factor


def test_a_parametrization_added_after_converting_and_a_cache() -> None:
    model: Any = nn.Sequential(made("GRU"), made("GRU", seed=1))
    for factor, layer in enumerate(model, 2):
        parametrize.register_parametrization(layer, "weight_hh_l0", Counted(factor))
    recurra.convert(model)
    for factor, layer in enumerate(model, 2):
        parametrize.register_parametrization(layer, "weight_ih_l0", Counted(factor))
    with torch.no_grad():
        wanted = [layer(X)[0] for layer in model]
        with parametrize.cached():  # by layer and name: no layer reads what is another's
            for _ in range(3):
                for layer, want in zip(model, wanted, strict=True):
                    assert torch.equal(layer(X)[0], want)
    counts = [layer.parametrizations.weight_hh_l0[0].count for layer in model]
    assert counts == [3, 3]  # registering looks once


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
@pytest.mark.parametrize("how", ["weight_norm", "spectral_norm", "prune"])
def test_weights_that_hooks_compute(how: str) -> None:
    layer: Any = made("GRU").eval()
    if how == "prune":
        prune.random_unstructured(layer, "weight_hh_l0", 0.5)
    else:
        getattr(nn.utils, how)(layer, "weight_hh_l0")
    wanted = called(layer, "tensor", True)
    recurra.convert(layer)
    assert same(called(layer, "tensor", True), wanted)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(0.5)
    halved = called(layer, "tensor", True)
    assert not same(halved, wanted)
    recurra.revert(layer)
    assert same(called(layer, "tensor", True), halved)


# ---- where a layer stands -------------------------------------------------------------------


def test_every_place_and_both_ways() -> None:
    model = tagger()
    model.cell = nn.LSTMCell(3, 4)  # type: ignore[assignment]
    names = [name for name, _ in model.named_modules()]
    wanted = model(X)
    assert recurra.convert(model) is model
    assert [type(part) for part in layers(model)] == [recurra.LSTM, recurra.GRU, recurra.RNN]
    assert type(model.cell) is nn.LSTMCell
    assert [name for name, _ in model.named_modules()] == names
    assert torch.allclose(model(X), wanted, atol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recurra.convert(model)  # again: nothing to do, and nothing to say
    recurra.revert(model)
    assert [type(part) for part in layers(model)] == [nn.LSTM, nn.GRU, nn.RNN]
    assert torch.equal(model(X), wanted)


def test_a_layer_under_two_names_is_one() -> None:
    shared = made()
    model = nn.ModuleDict({"a": shared, "b": nn.Sequential(shared)})
    held = [shared]  # as code may do, unseen by torch
    recurra.convert(model)
    assert model["a"] is model["b"][0] is held[0] is shared
    assert type(shared) is recurra.LSTM
    assert len(list(model.parameters())) == 4


def test_the_model_itself_is_a_layer() -> None:
    layer = made("GRU")
    assert recurra.convert(layer) is layer
    assert isinstance(layer, recurra.GRU)
    assert not isinstance(layer, nn.GRU)
    assert not isinstance(layer, nn.RNNBase)


def test_layers_that_were_never_torchs_can_be_reverted() -> None:
    ours = recurra.LSTM(INPUT, HIDDEN, 2, bidirectional=True, backend="loop")
    wanted = called(ours, "packed", True)
    theirs = recurra.revert(ours)
    assert type(theirs) is nn.LSTM
    assert same(called(theirs, "packed", True), wanted)
    assert recurra.convert(theirs).backend is None  # type: ignore[attr-defined]


def test_copies_and_files_of_a_converted_model() -> None:
    model = recurra.convert(tagger())
    wanted, file = model(X), io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    for other in (copy.deepcopy(model), torch.load(file, weights_only=False)):
        assert type(other.rnn) is recurra.LSTM
        assert torch.equal(other(X), wanted)
        assert torch.allclose(recurra.revert(other)(X), wanted, atol=1e-6)
    assert type(model.rnn) is recurra.LSTM


def test_a_compiled_and_a_traced_graph() -> None:
    model = nn.Sequential(made("GRU"))
    graph = torch.fx.symbolic_trace(model)
    compiled = torch.compile(graph, backend="eager")
    with torch.no_grad():
        wanted = compiled(X)[0]
        recurra.convert(compiled)
        assert type(model[0]) is recurra.GRU
        seen = []
        model[0].register_forward_hook(lambda layer, *_: seen.append(type(layer)))
        for form in (graph, compiled):
            assert torch.allclose(form(X)[0], wanted, atol=1e-6)
    assert seen == [recurra.GRU] * 2


# ---- what is left as it is ------------------------------------------------------------------


class Own(nn.LSTM):
    """A layer with steps of its own."""

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        return super().forward(input * 2, hx)


class OwnOfOurs(recurra.GRU):
    """The same of Recurra's."""


def replaced() -> nn.Module:
    layer = made()
    layer.forward = lambda *given: given  # type: ignore[method-assign]
    return layer


def broken() -> nn.Module:
    layer: Any = made()
    layer.hidden_size = 0
    return layer


def clashing() -> nn.Module:
    layer: Any = made()
    layer.output_size = 7
    return layer


LEFT: dict[str, tuple[Any, str]] = {
    "subclass": (lambda: Own(3, 4), r"Own\): a subclass of torch\.nn\.LSTM"),
    "replaced": (replaced, r"LSTM\): its forward was replaced"),
    "clashing": (clashing, r"'output_size' means something else to recurra\.LSTM; rename"),
    "broken": (broken, r"LSTM\): .*hidden_size"),
}


@pytest.mark.parametrize("what", LEFT)
def test_what_is_left_is_told(what: str) -> None:
    make, reason = LEFT[what]
    model = nn.ModuleDict({"good": made("GRU"), "other": nn.Sequential(make())})
    left = model["other"][0]
    kind, attributes = type(left), dict(vars(left))
    with pytest.warns(
        UserWarning, match=rf"recurra\.convert leaves .*:\n  other\.0 .*{reason}"
    ) as told:
        recurra.convert(model)
    assert len(told) == 1
    assert told[0].filename == __file__
    assert type(model["good"]) is recurra.GRU
    assert type(left) is kind
    assert vars(left) == attributes


def test_a_warning_that_is_an_error_changes_nothing() -> None:
    model = nn.Sequential(made(), Own(3, 4))
    with pytest.raises(UserWarning, match="a subclass"):
        recurra.convert(model)  # warnings are errors here
    assert [type(layer) for layer in model] == [nn.LSTM, Own]


def test_the_model_itself_is_left() -> None:
    with pytest.warns(UserWarning, match=r"the model itself \(Own\): a subclass of torch.nn.LSTM"):
        recurra.convert(Own(3, 4))
    with pytest.warns(
        UserWarning,
        match=r"revert leaves as they are:\n  0 \(OwnOfOurs\): a subclass of recurra.GRU",
    ):
        recurra.revert(nn.Sequential(OwnOfOurs(3, 4)))


@pytest.mark.filterwarnings(
    "ignore:.*torch.jit:DeprecationWarning", "ignore::torch.jit.TracerWarning"
)
def test_torchscript_is_left() -> None:
    whole = nn.Sequential(made())
    wanted = whole(X)[0]
    for script in (torch.jit.script(whole), torch.jit.trace(whole, X)):
        for model, name in ((script, "0"), (nn.Sequential(script, nn.Linear(1, 1)), "0.0")):
            with pytest.warns(UserWarning, match=rf"as they are:\n  {name} .*: TorchScript does"):
                recurra.convert(model)
        assert torch.equal(script(X)[0], wanted)
    with pytest.warns(UserWarning, match="the model itself .*: TorchScript"):
        recurra.convert(torch.jit.script(made()))
    with pytest.warns(UserWarning, match="nothing to do"):
        recurra.convert(torch.jit.script(nn.Linear(1, 1)))


@pytest.mark.filterwarnings(
    "ignore:.*(torch.ao|torch.quantize_per_tensor|reduce_range|TypedStorage)"
)
def test_quantized_layers_are_left() -> None:
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        pytest.skip("this torch quantizes nothing here")
    model = torch.ao.quantization.quantize_dynamic(nn.Sequential(made()), {nn.LSTM})
    wanted = model(X)[0]
    with pytest.warns(UserWarning, match=r"0 \(LSTM\): it is quantized"):
        recurra.convert(model)
    assert torch.equal(model(X)[0], wanted)


def test_nothing_to_do_is_told() -> None:
    with pytest.warns(
        UserWarning, match=r"nothing to do, Linear holds none of torch\.nn\.RNN,"
    ) as told:
        recurra.convert(nn.Linear(1, 1))
    assert "cells" not in str(told[0].message)
    with pytest.warns(UserWarning, match="Its cells are no layers"):
        recurra.convert(nn.Sequential(nn.GRUCell(1, 1)))
    with pytest.warns(UserWarning, match=r"revert: nothing to do, .* none of recurra\.RNN"):
        recurra.revert(nn.Linear(1, 1))


@pytest.mark.parametrize("given", [nn.LSTM, None, [nn.LSTM(1, 1)], torch.ones(2)])
def test_only_modules(given: Any) -> None:
    for change in (recurra.convert, recurra.revert):
        with pytest.raises(SettingError, match=r"expected a torch\.nn\.Module, got"):
            change(given)


# ---- all or nothing -------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_in_the_middle_changes_nothing(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tagger()
    wanted, begun = model(X), []

    def carry_out(swap: _Swap) -> None:
        begun.append(type(swap.layer))
        if len(begun) == 3:
            vars(swap.layer).pop("_flat_weights", None)  # half done
            raise error("stop")
        original(swap)

    original = _Swap.carry_out
    for change, kind in ((recurra.convert, nn.RNNBase), (recurra.revert, recurra.RNNBase)):
        before = [dict(vars(part)) for part in layers(model)]
        with monkeypatch.context() as patched:
            patched.setattr(_Swap, "carry_out", carry_out)
            with pytest.raises(error):
                change(model)
        assert len(begun) == 3
        begun.clear()
        assert all(isinstance(part, kind) for part in layers(model))
        assert [vars(part) for part in layers(model)] == before
        assert torch.allclose(model(X), wanted, atol=1e-6)
        recurra.convert(model)
