"""Optimizers, schedules, clipping, accumulated batches, and numbers of lower precision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, get_args

import pytest
import torch

from recurra import states
from recurra.batch import Batch
from recurra.data import Batches, Buckets, CharacterVocabulary, Windows
from recurra.errors import SettingError
from recurra.models import LanguageModel, LanguageModelConfig
from recurra.training import Progress, Training, TrainingSettings, load_recipe
from recurra.training.loop import train_step
from recurra.training.optimizers import optimizer_of, rate_at
from recurra.training.recipe import OptimizerName

TEXTS = ["anna sees a dog. ", "the cat hears my owl. ", "my owl likes anna. "] * 6
VOCABULARY = CharacterVocabulary.of(TEXTS)
DOCUMENTS = [VOCABULARY.encode(text) for text in TEXTS]

# Rates at which each learns in fifty steps; settings which bring every kind of memory.
KINDS: list[tuple[str, float, dict[str, Any]]] = [
    ("adadelta", 4.0, {"rho": 0.9}),
    ("adagrad", 0.15, {"lr_decay": 0.001, "initial_accumulator_value": 0.01}),
    ("adam", 0.02, {"amsgrad": True}),
    ("adamax", 0.03, {"betas": [0.9, 0.99]}),
    ("adamw", 0.02, {}),
    ("asgd", 2.0, {"t0": 5, "alpha": 0.7}),
    ("nadam", 0.02, {"momentum_decay": 0.01}),
    ("radam", 0.1, {"decoupled_weight_decay": True}),
    ("rmsprop", 0.01, {"centered": True, "momentum": 0.5}),
    ("sgd", 1.5, {}),
    ("sgd", 0.1, {"momentum": 0.9, "nesterov": True}),
    ("adam", 0.02, {"foreach": True}),
]


def make(**settings: Any) -> LanguageModel:
    torch.manual_seed(0)
    chosen: dict[str, Any] = {"hidden_size": 12, "layers": 1} | settings
    return LanguageModel(LanguageModelConfig(vocabulary_size=len(VOCABULARY), **chosen))


def chosen(**settings: Any) -> TrainingSettings:
    return TrainingSettings(**({"symbols": 3200, "batch_size": 4, "window": 16} | settings))


def training(settings: TrainingSettings, **model: Any) -> Training:
    batches = Windows(DOCUMENTS, rows=settings.batch_size, size=settings.window)
    return Training(make(**model), batches, settings)


@pytest.mark.parametrize("name", get_args(OptimizerName))
def test_they_are_those_of_torch(name: str) -> None:
    """To the bit, hooks and all: what is left out is the compiler alone."""
    plain, own = make(), make()
    ours = optimizer_of(own, chosen(optimizer=name))
    kind = getattr(torch.optim, type(ours).__name__)
    assert kind.__name__.lower() == name
    assert isinstance(ours, kind)
    groups = [{**group, "params": []} for group in ours.param_groups]
    for group, mine in zip(groups, ours.param_groups, strict=True):
        places = {id(p): n for n, p in own.named_parameters()}
        named = dict(plain.named_parameters())
        group["params"] = [named[places[id(p)]] for p in mine["params"]]
    rival = kind(groups)
    seen: list[object] = []
    ours.register_step_post_hook(lambda *given: seen.append(given[0]))
    for step in range(3):
        for model, optimizer in ((plain, rival), (own, ours)):
            optimizer.zero_grad()
            for number, p in enumerate(model.parameters()):
                p.grad = (p.detach() + number + step).cos()
            optimizer.step()
        if step == 1:
            ours.load_state_dict(ours.state_dict())
    assert seen == [ours] * 3
    assert all(map(torch.equal, weights(own), weights(plain)))


def weights(model: torch.nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def same(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


# -------------------------------------------------------------------------------------- optimizers


def test_every_name_is_tried_here() -> None:
    assert {name for name, _, _ in KINDS} == set(get_args(OptimizerName))


@pytest.mark.parametrize(("name", "rate", "arguments"), KINDS, ids=str)
def test_an_optimizer_learns_and_goes_on_exactly(
    name: str, rate: float, arguments: dict[str, Any]
) -> None:
    settings = chosen(
        optimizer=name, optimizer_settings=arguments, learning_rate=rate, clip_value=0.5
    )
    whole = training(settings, dropout=0.1)
    losses = [done.loss for done in whole]
    assert len(losses) == 53
    assert sum(losses[-8:]) / 8 < 0.9 * losses[0]

    first = training(settings, dropout=0.1)
    for done in first:
        if done.step == 23:
            break
    tensors, facts = first.state()
    second = training(settings, dropout=0.1)
    second.model.load_state_dict(first.model.state_dict())
    torch.manual_seed(99)  # what is drawn from here on was kept, too
    second.load(tensors, facts)
    assert [done.loss for done in second] == losses[23:]
    assert same(weights(second.model), weights(whole.model))
    # A broken twin: without the optimizer's memory the weights are others.
    if name != "sgd" or arguments:
        third = training(settings, dropout=0.1)
        third.model.load_state_dict(first.model.state_dict())
        third.load({k: v for k, v in tensors.items() if "optimizer" not in k}, facts)
        assert [done.loss for done in third] != losses[23:]


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("sgd", {"momentun": 0.9}, "sgd: momentun: there is no such argument; did you mean 'mom"),
        ("sgd", {"momentum": "high"}, "sgd: momentum: expected a finite number, got 'high'"),
        ("sgd", {"momentum": True}, "sgd: momentum: expected a finite number, got True"),
        ("sgd", {"momentum": math.nan}, "sgd: momentum: expected a finite number, got nan"),
        ("sgd", {"momentum": -1}, "sgd: Invalid momentum value"),
        ("sgd", {"nesterov": True}, "sgd: Nesterov momentum requires"),
        ("sgd", {"nesterov": 1}, "sgd: nesterov: expected true or false, got 1"),
        ("adam", {"betas": [0.9]}, r"adam: betas: expected a list \(a finite number, a finite"),
        ("adam", {"betas": 0.9}, r"adam: betas: expected a list \(.*\), got 0.9"),
        ("adam", {"betas": [0.9, "b"]}, r"adam: betas: expected a list \(.*\), got"),
        ("adam", {"betas": [0.9, 2]}, "adam: Invalid beta parameter at index 1"),
        ("adamw", {"foreach": True, "fused": True}, "adamw: `fused` and `foreach` cannot be"),
        ("asgd", {"t0": "late"}, "asgd: t0: expected a finite number, got 'late'"),
        ("adamw", {"lr": 0.1}, "adamw: lr is training.learning_rate; set it there"),
        ("sgd", {"weight_decay": 0.1}, "sgd: weight_decay is training.weight_decay"),
        ("sgd", {"maximize": True}, "sgd: maximize: there is no such argument"),
        ("adam", {"capturable": True}, "adam: capturable: there is no such argument"),
    ],
    ids=str,
)
def test_an_argument_that_cannot_be(name: str, arguments: dict[str, Any], said: str) -> None:
    settings = TrainingSettings(optimizer=name, optimizer_settings=arguments)
    with pytest.raises(SettingError, match=rf"^training\.optimizer_settings: {said}"):
        optimizer_of(make(), settings)


def test_arguments_reach_the_optimizer() -> None:
    recipe = load_recipe(
        "language-model",
        ["training.optimizer=sgd", "training.optimizer_settings={momentum = 0.5}"],
    )
    group = optimizer_of(make(), recipe.training).param_groups[0]
    assert (group["momentum"], group["fused"]) == (0.5, True)


# --------------------------------------------------------------------------------------- schedules


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.4] * 9),
        ("linear", [0.4 * (8 - k) / 8 for k in range(8)]),
        ("cosine", [0.2 * (1 + math.cos(math.pi * k / 8)) for k in range(8)]),
    ],
)
def test_schedules(schedule: str, expected: list[float]) -> None:
    settings = chosen(schedule=schedule, learning_rate=0.4, warmup=0.2)
    rates = [rate_at(step, 10, settings) for step in range(10)]
    assert rates == pytest.approx([0.2, 0.4, *expected[: len(rates) - 2]], rel=1e-12)


def test_a_warmup_that_is_no_whole_number_of_steps_is_rounded() -> None:
    settings = chosen(schedule="constant", learning_rate=0.6, warmup=0.27)  # of ten: 2.7 steps
    rates = [rate_at(step, 10, settings) for step in range(4)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.6], rel=1e-12)
    settings = chosen(schedule="constant", learning_rate=0.6, warmup=0.24)
    assert rate_at(0, 10, settings) == pytest.approx(0.3, rel=1e-12)


def test_the_rate_of_the_schedule_is_the_one_of_the_step() -> None:
    settings = chosen(optimizer="sgd", schedule="linear", symbols=640, clip=1e9, weight_decay=0.0)
    runner = training(settings)
    before = weights(runner.model)
    for done in runner:
        gradients = [p.grad for p in runner.model.parameters()]
        for old, new, gradient in zip(before, runner.model.parameters(), gradients, strict=True):
            assert gradient is not None
            torch.testing.assert_close(new, old - done.learning_rate * gradient)
        before = weights(runner.model)


# ---------------------------------------------------------------------------------------- clipping


def clipped_shares(**settings: Any) -> list[Progress]:
    return list(training(chosen(symbols=640, **settings)))


def test_the_share_of_clipped_steps() -> None:
    norms = [done.gradient_norm for done in clipped_shares(learning_rate=1e-9)]
    below, above = sorted(norms)[len(norms) // 2 - 1 :][:2]
    limit = (below + above) / 2  # at a norm itself its last bit would decide
    seen = clipped_shares(learning_rate=1e-9, clip=limit)
    over = [sum(norm > limit for norm in norms[:n]) / n for n in range(1, len(norms) + 1)]
    assert [done.clipped for done in seen] == pytest.approx(over)
    assert 0 < seen[-1].clipped < 1
    assert {done.clipped for done in clipped_shares(clip=math.inf)} == {0.0}


def test_elements_are_clipped_before_the_norm() -> None:
    batch = [(Windows(DOCUMENTS, rows=4, size=16)[0], True)]
    gradients: dict[float | None, list[torch.Tensor]] = {}
    norms = set()
    for limit in (None, 0.003):
        model = make()
        settings = chosen(optimizer="sgd", clip_value=limit, clip=1e9)
        done = train_step(model, batch, None, optimizer_of(model, settings), settings)
        gradients[limit] = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        norms.add(round(done.norm, 5))
        assert done.clipped == (limit is not None)
    assert len(norms) == 1  # told as it was
    for plain, cut in zip(gradients[None], gradients[0.003], strict=True):
        torch.testing.assert_close(cut, plain.clamp(-0.003, 0.003), rtol=1e-5, atol=1e-9)
    model, settings = make(), chosen(clip_value=0.003, clip=0.001)
    train_step(model, batch, None, optimizer_of(model, settings), settings)
    parts = [float(p.grad.norm()) for p in model.parameters() if p.grad is not None]
    assert math.hypot(*parts) == pytest.approx(0.001, rel=1e-3)


# --------------------------------------------------------------------------------- several batches


def gradients_of(batches: list[tuple[Batch, bool]]) -> tuple[list[torch.Tensor], float, int]:
    model, settings = make(), chosen(clip=1e9, optimizer="sgd")
    done = train_step(model, batches, None, optimizer_of(model, settings), settings)
    found = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    return found, done.loss, done.count


def test_several_batches_of_documents_are_one_larger() -> None:
    small, large = Buckets(DOCUMENTS, rows=6), Buckets(DOCUMENTS, rows=18)
    assert (len(small), len(large)) == (3, 1)
    split, loss, count = gradients_of([(small.batch(n), True) for n in range(3)])
    joined, mean, whole = gradients_of([(large.batch(0), True)])
    assert count == whole == sum(len(ids) + 1 for ids in DOCUMENTS)
    assert loss == pytest.approx(mean, rel=1e-6)
    for one, other in zip(split, joined, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)
    few, _, _ = gradients_of([(small.batch(n), True) for n in range(2)])
    assert not all(torch.allclose(a, b, rtol=1e-4) for a, b in zip(few, joined, strict=True))


def test_several_windows_are_their_mean_and_carry_the_state() -> None:
    windows = Windows(DOCUMENTS, rows=4, size=16)
    both, loss, count = gradients_of([(windows[0], True), (windows[1], False)])
    model = make()
    first = model(windows[0])
    second = model(windows[1], states.detach(first.state))
    mean = (first.total + second.total) / (first.count + second.count)
    expected = torch.autograd.grad(mean, list(model.parameters()))
    assert (loss, count) == (pytest.approx(float(mean.detach()), rel=1e-6), 128)
    for one, other in zip(both, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("documents", [False, True])
def test_steps_of_several_batches_read_all_of_the_text(documents: bool) -> None:
    settings = chosen(accumulate=3, epochs=2, symbols=None)
    batches: Batches = Windows(DOCUMENTS, rows=4, size=16)
    if documents:
        batches = Buckets(DOCUMENTS, rows=4)
    seen = list(Training(make(), batches, settings))
    assert len(seen) == math.ceil(2 * len(batches) / 3)
    assert seen[-1].symbols >= 2 * batches.symbols


# --------------------------------------------------------------------------------------- precision


def trained(precision: str, texts: str) -> tuple[Training, float]:
    vocabulary = CharacterVocabulary.of([texts])
    torch.manual_seed(3)
    model = LanguageModel(
        LanguageModelConfig(vocabulary_size=len(vocabulary), hidden_size=32, layers=1)
    )
    settings = TrainingSettings(
        symbols=76_800, batch_size=8, window=32, learning_rate=0.01, precision=precision
    )
    windows = Windows([vocabulary.encode(texts)], rows=8, size=32)
    runner = Training(model, windows, settings)
    losses = [done.loss for done in runner]
    assert len(losses) >= 300
    return runner, sum(losses[-50:]) / 50


def test_bfloat16_learns_as_float32_does(text: str) -> None:
    runner, rough = trained("bfloat16", text)
    _, exact = trained("float32", text)
    assert rough != exact  # it was used
    assert rough == pytest.approx(exact, abs=0.01)
    tensors, _ = runner.state()
    numbers = [value for key, value in tensors.items() if not key.startswith("random")]
    assert len(numbers) > 8
    assert any(key.startswith("carried") for key in tensors)
    for kept in (*numbers, *runner.model.parameters()):
        assert kept.dtype == torch.float32


def test_losses_and_states_of_bfloat16_are_float32() -> None:
    settings = chosen(precision="bfloat16")
    model = make()
    batch = Windows(DOCUMENTS, rows=4, size=16)[0]
    kinds: list[torch.dtype] = []
    model.head.register_forward_hook(lambda head, inputs, output: kinds.append(output.dtype))
    done = train_step(model, [(batch, True)], None, optimizer_of(model, settings), settings)
    assert kinds == [torch.bfloat16]
    assert {leaf.dtype for leaf in states.leaves(done.state)} == {torch.float32}
    with torch.autocast("cpu", torch.bfloat16):
        assert model(batch).total.dtype == torch.float32
    assert {p.grad.dtype for p in model.parameters() if p.grad is not None} == {torch.float32}


@pytest.mark.parametrize("cell", ["lstm", "gru", "elman", "mgu"])
def test_bfloat16_goes_on_exactly(cell: str) -> None:
    settings = chosen(precision="bfloat16", symbols=1280)
    whole = training(settings, cell=cell, dropout=0.2)
    losses = [done.loss for done in whole]
    first = training(settings, cell=cell, dropout=0.2)
    for done in first:
        if done.step == 9:
            break
    kept = first.state()
    second = training(settings, cell=cell, dropout=0.2)
    second.model.load_state_dict(first.model.state_dict())
    second.load(*kept)
    assert [done.loss for done in second] == losses[9:]
    assert same(weights(second.model), weights(whole.model))
