"""A recording is used only where it fits: what changed is seen, what cannot be seen is refused."""

from __future__ import annotations

import gc
import weakref
from array import array
from collections import deque
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import recurra
import recurra_runtime
from recurra.engine import explain

pytestmark = pytest.mark.skipif(
    not recurra_runtime.native_available(), reason="there is no native module"
)

X = torch.linspace(-2, 2, 24).view(4, 2, 3)


class Slotted:
    __slots__ = ("gain", "rate")

    def __init__(self) -> None:
        self.rate, self.gain = 1.0, torch.tensor(1.0)


class Plain:
    def factor(self) -> float:
        return 1.0


class Doubled(Plain):
    def factor(self) -> float:
        return 2.0


class Adds(recurra.Cell):
    """h + what ``add`` gives."""

    rate = 0.25
    gain = torch.tensor(1.0)

    def __init__(self) -> None:
        super().__init__(3, 3)
        self.mask = torch.ones(3)
        self.masks = [torch.ones(3)]
        self.settings = SimpleNamespace(rate=0.5, deeper=SimpleNamespace(rate=1.0))
        self.numbers = np.array([1.0, 2.0])
        self.settings.gain = torch.tensor(1.0)
        gain = SimpleNamespace(gain=torch.tensor(1.0))
        self.held = [gain, nn.Linear(3, 3), nn.LeakyReLU()]
        self.slotted, self.mode = Slotted(), Plain()
        self.queue, self.array = deque([1.0]), array("f", [1.0])

    def initial_state(self, batch: int) -> Any:
        return recurra.HiddenState(self.zeros(batch))

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        h = torch.tanh(x * self.mask + self.settings.rate * state.h * self.masks[0])
        h = h * self.settings.deeper.rate + float(self.numbers[0]) * self.rate
        gains = self.settings.gain * self.held[0].gain * self.slotted.gain * self.gain
        h = self.held[2](self.held[1](h) - 0.3) * gains
        h = h * self.queue[0] * self.array[0] * self.slotted.rate * self.mode.factor()
        return h, recurra.HiddenState(h)


def both(cell: recurra.Cell, x: Tensor = X) -> tuple[Tensor, Tensor]:
    return tuple(recurra.run(cell, x, backend=b).outputs for b in ("native", "loop"))  # type: ignore[arg-type, return-value]


def patch_class(cell: Adds) -> None:
    cell.__class__ = type("Patched", (Adds,), {"rate": 3.0})
    type(cell).rate = 4.0


def patch_step(cell: Adds) -> None:
    kind = type("Stepped", (Adds,), {})
    cell.__class__ = kind
    both(cell)
    before = Adds.step
    kind.step = lambda *given: before(*given)  # type: ignore[attr-defined]
    kind.step = lambda self, x, state, *rest: (x, recurra.HiddenState(x))  # type: ignore[attr-defined]


CHANGES = {
    "a tensor in an object": lambda cell: setattr(cell.settings, "gain", torch.tensor(3.0)),
    "a tensor in an object in a list": lambda cell: setattr(
        cell.held[0], "gain", torch.tensor(3.0)
    ),
    "a parameter of a module in a list": lambda cell: setattr(
        cell.held[1], "weight", nn.Parameter(torch.full((3, 3), -0.5))
    ),
    "an attribute of a module in a list": lambda cell: setattr(cell.held[2], "negative_slope", 9.0),
    "a slot": lambda cell: setattr(cell.slotted, "rate", 5.0),
    "a tensor in a slot": lambda cell: setattr(cell.slotted, "gain", torch.tensor(4.0)),
    "a queue": lambda cell: cell.queue.__setitem__(0, 7.0),
    "an array of Python": lambda cell: cell.array.__setitem__(0, 7.0),
    "the class of an object": lambda cell: setattr(cell.mode, "__class__", Doubled),
    "a tensor of the class": lambda cell: setattr(type(cell), "gain", torch.tensor(2.5)),
    "a narrower tensor": lambda cell: setattr(cell, "mask", torch.full((1,), 0.5)),
    "a tensor in a list": lambda cell: cell.masks.__setitem__(0, torch.full((3,), -1.0)),
    "an object": lambda cell: setattr(cell.settings, "rate", 0.1),
    "an object in an object": lambda cell: setattr(cell.settings.deeper, "rate", 0.1),
    "an array in place": lambda cell: cell.numbers.__setitem__(0, -3.0),
    "the class": patch_class,
    "the step": patch_step,
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_is_used(change: str) -> None:
    cell = Adds()
    before, _ = both(cell)
    CHANGES[change](cell)
    ours, theirs = both(cell)
    torch.testing.assert_close(ours, theirs)
    assert not torch.equal(ours, before)


class Two(recurra.Cell):
    """Reads of two modules what may be one: all, a weight, a buffer; or one's in a list."""

    def __init__(self) -> None:
        super().__init__(3, 3)
        self.one, self.other = nn.Linear(3, 3), nn.Linear(3, 3)
        for part in (self.one, self.other):
            part.register_buffer("gain", torch.rand(3))
        self.listed = [torch.rand(3)]

    def initial_state(self, batch: int) -> Any:
        return recurra.HiddenState(self.zeros(batch))

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        h = self.one(x) * self.one.gain - 2 * self.other(state.h) * self.other.gain
        h = torch.tanh(h * self.listed[0])
        return h, recurra.HiddenState(h)


SHARED = {
    "a module": (
        lambda cell: setattr(cell, "other", cell.one),
        lambda cell: setattr(cell, "other", Two().other),
    ),
    "a weight": (
        lambda cell: setattr(cell.other, "weight", cell.one.weight),
        lambda cell: setattr(cell.other, "weight", nn.Parameter(torch.randn(3, 3))),
    ),
    "a buffer": (
        lambda cell: setattr(cell.other, "gain", cell.one.gain),
        lambda cell: setattr(cell.other, "gain", torch.rand(3)),
    ),
    "what a list has": (
        lambda cell: setattr(cell, "listed", [cell.one.gain]),
        lambda cell: setattr(cell, "listed", [torch.rand(3)]),
    ),
}


@pytest.mark.parametrize("what", SHARED)
def test_what_is_shared_no_more_is_read_where_it_stands(what: str) -> None:
    """Of the same shapes, so that who is one with whom is all that changes; there and back."""
    share, part = SHARED[what]
    cell = Two()
    for change in (share, part, share):
        change(cell)
        torch.testing.assert_close(*both(cell))
        ours, theirs = (
            torch.autograd.grad(
                recurra.run(cell, X, backend=backend).outputs.sum(), list(cell.parameters())
            )
            for backend in ("native", "loop")
        )
        torch.testing.assert_close(ours, theirs)


def test_modules_in_a_circle_are_stepped() -> None:
    cell = Two()
    cell.one.around = nn.Module()
    cell.one.around.back = cell.one
    assert recurra.run(cell, X, backend="loop").outputs.shape == (4, 2, 3)


def test_a_default_device_is_not_that_of_the_call() -> None:
    cell = recurra.GRUCell(3, 3)
    before, _ = both(cell)
    with torch.device("meta"):
        again, _ = both(cell)
    assert torch.equal(again, before)


SCALE = 1.0
TABLE = {"scale": 1.0}


def helper(h: Tensor) -> Tensor:
    return h * SCALE


def other_helper(h: Tensor) -> Tensor:
    return h * -2.0


@pytest.mark.parametrize(
    ("name", "value"), [("SCALE", 3.0), ("helper", other_helper), ("TABLE", {"scale": 0.5})]
)
def test_what_a_step_reads_of_its_module_is_the_one_used(
    name: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    factor = 1.0

    class Own(recurra.GRUCell):
        @property
        def table(self) -> float:
            return TABLE["scale"]

        def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
            _, new = super().step(x, state, context, noise)
            h = helper(new.h) * self.table * factor
            return h, recurra.HiddenState(h)

    cell = Own(3, 4)
    before, _ = both(cell)
    monkeypatch.setitem(globals(), name, value)
    ours, theirs = both(cell)
    torch.testing.assert_close(ours, theirs)
    assert not torch.equal(ours, before)
    factor = 0.25
    torch.testing.assert_close(*both(cell))
    assert not torch.equal(both(cell)[0], ours)


@pytest.mark.parametrize("hook", ["register_forward_hook", "register_forward_pre_hook"])
def test_a_part_with_hooks_is_stepped(hook: str) -> None:
    """One that comes after the first run is called too; so is one of all modules."""

    class Own(recurra.GRUCell):
        def __init__(self) -> None:
            super().__init__(3, 4)
            self.read = nn.Linear(3, 3)

        def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
            return super().step(self.read(x), state, context, noise)

    cell, calls = Own(), []
    for count in (1, 2):
        assert explain(cell, X).choices[0].backend == "native"
        handle = getattr(cell.read, hook)(lambda *given: calls.append(1))
        recurra.run(cell, X)
        assert len(calls) == count * len(X)
        handle.remove()
    with nn.modules.module.register_module_forward_hook(lambda *given: calls.append(1)):
        assert explain(cell, X).choices[0].backend != "native"


def test_a_large_array_is_refused() -> None:
    cell = Adds()
    cell.numbers = np.ones(100_000)
    choice = explain(cell, X).choices[0]
    assert choice.backend == "loop"
    assert "make it a buffer" in choice.reason


@pytest.mark.parametrize("training", [False, True])
def test_a_cell_and_its_batch_are_not_kept(training: bool) -> None:
    cell, x = recurra.GRUCell(3, 4), torch.randn(5, 2, 3)
    with torch.set_grad_enabled(training):
        outputs = recurra.run(cell, x, backend="native").outputs
    gone = [weakref.ref(cell), weakref.ref(x)]
    del cell, x, outputs
    gc.collect()
    assert [ref() for ref in gone] == [None, None]


class Applies(recurra.Cell):
    """A function of x + h, kinks included: everything is zero."""

    def __init__(self, function: Any) -> None:
        super().__init__(3, 3)
        self.function = function

    def initial_state(self, batch: int) -> Any:
        return recurra.HiddenState(self.zeros(batch))

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        h = self.function(x + state.h)
        return h, recurra.HiddenState(h)


KINKS = [
    functional.relu,
    functional.relu6,
    functional.hardtanh,
    functional.hardsigmoid,
    functional.hardswish,
    functional.leaky_relu,
    functional.elu,
    functional.softshrink,
    functional.threshold,
    torch.abs,
    lambda v: v.clamp(0, 1),
    lambda v: torch.maximum(v, torch.zeros_like(v)),
]


@pytest.mark.parametrize("number", range(len(KINKS)))
def test_gradients_at_kinks_are_those_of_torch(number: int) -> None:
    function = KINKS[number]
    if function is functional.threshold:
        function = lambda v: functional.threshold(v, 0.0, 0.0)  # noqa: E731
    cell = Applies(function)
    corners = (
        torch.tensor([0.0, 1.0, -1.0, 3.0, -3.0, 6.0, 0.5, -0.5]).view(1, 8, 1).expand(1, 8, 3)
    )
    grads = []
    for backend in (None, "loop"):
        x = corners.clone().requires_grad_()
        recurra.run(cell, x, backend=backend).outputs.sum().backward()  # type: ignore[arg-type]
        grads.append(x.grad)
    torch.testing.assert_close(grads[0], grads[1])


def refused(cell: recurra.Cell, words: str) -> None:
    choice = explain(cell, X).choices[0]
    assert choice.backend == "loop"
    assert words in choice.reason
    outputs = recurra.run(cell, X.clone().requires_grad_()).outputs
    if outputs.requires_grad:
        outputs.sum().backward()


def test_numbers_of_two_types_are_left_to_the_loop() -> None:
    refused(Applies(lambda v: (v.double() * 2).float()), "float64")


def test_a_step_without_gradients_runs() -> None:
    class Echo(recurra.ElmanCell):
        def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
            with torch.no_grad():
                return super().step(x, state)

    cell, read, grads = Echo(3, 4), nn.Linear(4, 1), []
    for backend in (None, "loop"):
        scores = read(recurra.run(cell, X, backend=backend).outputs)  # type: ignore[arg-type]
        grads.append(torch.autograd.grad(scores.sum(), read.weight)[0])
    torch.testing.assert_close(*grads)


def test_named_values_beside_checkpoints() -> None:
    layer = recurra.Recurrent(recurra.GRUCell(3, 4), checkpoint_every=2)
    plain = recurra.Recurrent(layer.cell)
    seen, wanted = recurra.named_values(layer, X), recurra.named_values(plain, X)
    assert list(seen) == list(wanted)
    assert list(seen)


def test_a_name_for_what_all_rows_share_costs_nothing() -> None:
    class Named(recurra.GRUCell):
        def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
            recurra.named("weights", self.recurrent_weight)
            return super().step(x, state)

    assert explain(Named(3, 4)).choices[0].backend == "native"


class Flat(recurra.Cell):
    """Reads its weight as it lies in memory, and what else the weight has."""

    def __init__(self) -> None:
        super().__init__(6, 6)
        self.weight = nn.Parameter(torch.randn(6, 6))

    def initial_state(self, batch: int) -> Any:
        return recurra.HiddenState(self.zeros(batch))

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        weight = self.weight.flatten()[:36].reshape(6, 6)
        h = torch.tanh(x @ weight + state.h)
        return h, recurra.HiddenState(h)


def test_a_weight_that_lies_otherwise_is_stepped() -> None:
    cell, x = Flat(), torch.randn(4, 2, 6)
    torch.testing.assert_close(*both(cell, x))
    cell.weight = nn.Parameter(torch.randn(6, 6).t())
    choice = explain(cell, x).choices[0]
    assert choice.backend == "loop"
    assert "lies otherwise in memory" in choice.reason
    assert torch.equal(recurra.run(cell, x).outputs, recurra.run(cell, x, backend="loop").outputs)


@pytest.mark.parametrize("kind", ["parameter", "buffer", "of a part"])
def test_attributes_of_a_weight_are_read(kind: str) -> None:
    class Rated(Flat):
        def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
            y, new = super().step(x * self.rated.rate, state)
            return y, new

    cell, x = Rated(), torch.randn(4, 2, 6)
    if kind == "buffer":
        cell.register_buffer("rated", torch.ones(()))
    elif kind == "parameter":
        cell.rated = cell.weight
    else:
        cell.part = nn.Linear(6, 6)
        Rated.rated = property(lambda self: self.part.weight)  # type: ignore[attr-defined]
    grads = []
    for rate in (0.5, 2.0):
        cell.rated.rate = rate
        for backend in ("native", "loop"):
            run = recurra.run(cell, x, backend=backend)  # type: ignore[arg-type]
            grads.append(torch.autograd.grad(run.outputs.sum(), cell.weight)[0])
        torch.testing.assert_close(*grads[-2:])
    assert explain(cell, x).choices[0].backend == "native"
    assert not torch.equal(grads[0], grads[2])
