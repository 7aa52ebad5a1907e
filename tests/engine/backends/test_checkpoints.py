"""``checkpoint_every``: the same results and gradients, with less kept between them."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

import recurra
from recurra import states
from recurra.engine import run
from recurra.errors import SettingError

TIME, BATCH = 13, 5
LENGTHS = torch.tensor([13, 4, 0, 9, 1])


class Speaker(NamedTuple):
    """What belongs to a row."""

    voice: Tensor


class Listening(recurra.Cell):
    """A cell whose context meets a weight of its own, before time."""

    takes_context = True

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.read = torch.nn.Linear(input_size + hidden_size, hidden_size)
        self.hear = torch.nn.Linear(2, hidden_size, bias=False)

    def initial_state(self, batch: int) -> recurra.HiddenState:
        return recurra.HiddenState(self.zeros(batch))

    def step(self, x, state, context=None, noise=None):  # type: ignore[no-untyped-def]
        heard = torch.sigmoid(self.hear(context.voice))
        h = torch.tanh(self.read(torch.cat([x, state.h], 1))) * heard + context.voice[:, :1]
        return h, recurra.HiddenState(h)


def _results(cell: recurra.Cell, every: int | None, **settings: object) -> list[Tensor]:
    """All that a call gives, and the gradients of a loss of all of it."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(TIME, BATCH, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    state = states.map_tree(
        lambda leaf: torch.randn(
            leaf.shape, generator=generator, dtype=leaf.dtype
        ).requires_grad_(),
        cell.initial_state(BATCH),
    )
    voice = torch.randn(BATCH, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    if cell.takes_context:
        settings["context"] = Speaker(voice)
    found = run(cell, x, state, return_states=True, checkpoint_every=every, **settings)  # type: ignore[arg-type]
    results = [*states.leaves(found)]
    weights = [torch.randn(r.shape, generator=generator, dtype=r.dtype) for r in results]
    loss = torch.stack([(r * w).sum() for r, w in zip(results, weights, strict=True)]).sum()
    sources = [x, *states.leaves(state), *cell.parameters(), *[voice][: cell.takes_context]]
    return [*results, *torch.autograd.grad(loss, sources)]


@pytest.mark.parametrize("backend", ["native", "loop"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
@pytest.mark.parametrize("resets", [False, True])
@pytest.mark.parametrize("make", [recurra.LSTMCell, recurra.GRUCell, recurra.SLSTMCell, Listening])
def test_windows_change_nothing(
    make: type[recurra.Cell], resets: bool, lengths: Tensor | None, reverse: bool, backend: str
) -> None:
    torch.manual_seed(0)
    cell = make(3, 4).double()  # type: ignore[call-arg]
    marks = torch.rand(TIME, BATCH) < 0.2 if resets else None
    settings = {"lengths": lengths, "resets": marks, "reverse": reverse, "backend": backend}
    whole = _results(cell, None, **settings)
    for every in (1, 4, 12, TIME, 100):
        parts = _results(cell, every, **settings)
        for a, b in zip(whole, parts, strict=True):
            torch.testing.assert_close(b, a, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("backend", ["native", "loop"])
@pytest.mark.parametrize("wrapper", [recurra.HeldDropout, recurra.Zoneout])
def test_noise_is_the_same_in_both_runs_of_a_window(
    wrapper: type[recurra.Cell], backend: str
) -> None:
    """One draw for all steps, and one for each step."""
    torch.manual_seed(0)
    cell = wrapper(recurra.GRUCell(3, 4), 0.5).double()  # type: ignore[arg-type, call-arg]
    noise = cell.noise(TIME, BATCH)
    assert noise is not None
    whole = _results(cell, None, noise=noise, backend=backend)
    for every in (1, 3, 5):
        parts = _results(cell, every, noise=noise, backend=backend)
        for a, b in zip(whole, parts, strict=True):
            torch.testing.assert_close(b, a, rtol=1e-10, atol=1e-12)


def test_a_layer_keeps_states_between_windows() -> None:
    layer = recurra.Recurrent(recurra.GRUCell(3, 4), checkpoint_every=4)
    x = torch.randn(TIME, BATCH, 3)
    expected = recurra.Recurrent(layer.cell)(x).outputs
    torch.testing.assert_close(layer(x).outputs, expected)
    assert "checkpoint_every=4" in repr(layer)


@pytest.mark.parametrize("every", [0, -3, 2.0, True, "ten"])
def test_a_number_of_steps_is_wanted(every: object) -> None:
    with pytest.raises(SettingError, match="checkpoint_every"):
        run(recurra.GRUCell(3, 4), torch.randn(5, 2, 3), checkpoint_every=every)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="checkpoint_every"):
        recurra.Recurrent(recurra.GRUCell(3, 4), checkpoint_every=every)  # type: ignore[arg-type]
