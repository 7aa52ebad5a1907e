"""The layers in torch.nn's shape: the product of all settings against torch.nn itself."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from layers.dropins import BACKENDS, BATCH, HIDDEN, INPUT, KINDS, TIME
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import recurra
from recurra import GRU, LSTM

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

BOUND = {torch.float32: 2e-5, torch.float64: 1e-12}
SORTED, SHUFFLED = [5, 3, 3, 1], [3, 5, 1, 3]
FORMS = ("tensor", "one row", "packed", "packed unsorted", "packed batch first")


@dataclasses.dataclass(frozen=True)
class Setting:
    """One way to make and call a layer.

    Args:
        dropout: the rate, and whether the layer is in training.
    """

    kind: str
    layers: int
    bias: bool
    bidirectional: bool
    batch_first: bool = False
    dropout: tuple[float, bool] = (0.0, False)
    given_state: bool = True
    form: str = "tensor"
    dtype: torch.dtype = torch.float32

    def make(self, library: Any, **more: Any) -> Any:
        """The layer of one of the two libraries, or of a class of its own."""
        name, settings = KINDS[self.kind]
        make = getattr(library, name) if hasattr(library, name) else library
        layer = make(
            INPUT,
            HIDDEN,
            num_layers=self.layers,
            bias=self.bias,
            bidirectional=self.bidirectional,
            batch_first=self.batch_first,
            dropout=self.dropout[0],
            dtype=self.dtype,
            **settings,
            **more,
        )
        return layer.train(self.dropout[1])


def settings_of(kind: str, layers: int, bias: bool, bidirectional: bool) -> Iterator[Setting]:
    """All settings of one group."""
    rates = [(0.0, False)] if layers == 1 else [(0.0, True), (0.5, False), (0.5, True)]
    for rest in itertools.product((False, True), rates, (False, True), FORMS):
        yield Setting(kind, layers, bias, bidirectional, *rest)
        # Where the most happens, also in another type.
        if layers == 2 and rest[1] == (0.5, True) and rest[2]:
            yield Setting(kind, layers, bias, bidirectional, *rest, dtype=torch.float64)


GROUPS = list(itertools.product(KINDS, (1, 2, 3), (False, True), (False, True)))
TALLY: dict[str, Any] = {"settings": 0, "largest": (0.0, "nowhere")}


def random(*sizes: int, seed: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def called(layer: Any, setting: Setting) -> dict[str, Tensor]:
    """Everything that one call gives: outputs, states, and the gradients of a loss of them.

    The loss weighs each element by a number of its own.
    """
    count = setting.layers * (1 + setting.bidirectional)
    one_row = setting.form == "one row"
    dtype = setting.dtype
    x = random(TIME, BATCH, INPUT, seed=1, dtype=dtype)
    widths = [layer.proj_size or HIDDEN] + [HIDDEN] * (layer.mode == "LSTM")
    state = [random(count, BATCH, width, seed=2 + n, dtype=dtype) for n, width in enumerate(widths)]
    if one_row:
        x, state = x[:, 0], [leaf[:, 0] for leaf in state]
    elif setting.form == "packed batch first" or (setting.form, setting.batch_first) == (
        "tensor",
        True,
    ):
        x = x.transpose(0, 1)
    leaves = {"x": x.clone().requires_grad_()}
    hx = None
    if setting.given_state:
        state = [leaf.clone().requires_grad_() for leaf in state]
        leaves |= dict(zip(("h_0", "c_0"), state, strict=False))
        hx = tuple(state) if len(state) == 2 else state[0]
    given: Any = leaves["x"]
    if setting.form.startswith("packed"):
        given = pack_padded_sequence(
            given,
            torch.tensor(SHUFFLED if setting.form == "packed unsorted" else SORTED),
            batch_first=setting.form == "packed batch first",
            enforce_sorted=setting.form != "packed unsorted",
        )
    torch.manual_seed(3)
    output, ends = layer(given, hx)
    if setting.form.startswith("packed"):
        assert isinstance(output, PackedSequence)
        for now, before in zip(output[1:], given[1:], strict=True):
            assert (now is None and before is None) or torch.equal(now, before)
        output = output.data
    ends = ends if layer.mode == "LSTM" else (ends,)
    found = {"output": output, **dict(zip(("h_n", "c_n"), ends, strict=False))}
    loss = sum(
        (value * random(*value.shape, seed=5 + n, dtype=dtype)).sum()
        for n, value in enumerate(found.values())
    )
    leaves |= dict(layer.named_parameters())
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    return found | {
        f"gradient of {name}": gradient for name, gradient in zip(leaves, gradients, strict=True)
    }


def difference(got: dict[str, Tensor], wanted: dict[str, Tensor]) -> tuple[float, str]:
    """The largest difference, as a part of the largest number of its tensor, and where it is."""
    assert list(got) == list(wanted)
    largest = (0.0, "nowhere")
    for name, want in wanted.items():
        assert got[name].shape == want.shape, name
        assert got[name].dtype == want.dtype, name
        scale = want.abs().max().item()
        off = (got[name] - want).abs().max().item()
        assert math.isfinite(scale), name
        assert math.isfinite(off), name
        largest = max(largest, (off / scale if scale else off and float("inf"), name))
    return largest


@pytest.mark.parametrize(("kind", "layers", "bias", "bidirectional"), GROUPS)
def test_product_of_settings(kind: str, layers: int, bias: bool, bidirectional: bool) -> None:
    settings = list(settings_of(kind, layers, bias, bidirectional))
    for setting in settings:
        torch.manual_seed(0)
        theirs = setting.make(nn)
        wanted = called(theirs, setting)
        for backend in BACKENDS:
            ours = setting.make(recurra, backend=backend)
            ours.load_state_dict(theirs.state_dict(), strict=True)
            off, name = difference(called(ours, setting), wanted)
            assert off <= BOUND[setting.dtype], (off, name, backend, setting)
            TALLY["settings"] += 1
            if setting.dtype == torch.float32:
                place = f"{name}, {backend}, {setting}"
                TALLY["largest"] = max(TALLY["largest"], (off, place))


def test_product_in_total() -> None:
    """After all groups: what was compared. Shown with ``pytest -s -k product``."""
    off, place = TALLY["largest"]
    print(f"\nsettings compared: {TALLY['settings']}, largest relative difference: {off} ({place})")
    every = sum(len(list(settings_of(*group))) for group in GROUPS) * len(BACKENDS)
    assert every >= 6000
    if "PYTEST_XDIST_WORKER" in os.environ:  # groups may have run in other processes
        assert TALLY["settings"] <= every
    else:
        assert TALLY["settings"] in (0, every)  # 0: this test alone


def test_the_comparison_sees_what_is_no_number() -> None:
    bad = {"output": torch.full((2,), float("nan"))}
    for got, wanted in ((bad, {"output": torch.ones(2)}), (bad, bad)):
        with pytest.raises(AssertionError):
            difference(got, wanted)


class SumOfBiases(GRU):
    """Broken: n's second bias is outside the reset gate."""

    def _cell_biases(self, read: Tensor, kept: Tensor) -> dict[str, Tensor]:
        return {"bias": read + kept, "recurrent_bias": torch.zeros_like(kept[: self.hidden_size])}


class PaddedDropout(LSTM):
    """Broken: it draws for padding too."""

    def _dropped(self, values: Tensor, rows: Any) -> Tensor:
        return nn.functional.dropout(values, self.dropout)


class LateDropout(LSTM):
    """Broken: it draws for the states of the two directions one after the other."""

    def _dropped(self, values: Tensor, rows: Any) -> Tensor:
        halves = values.chunk(2, -1)
        return torch.cat([nn.functional.dropout(half, self.dropout) for half in halves], -1)


@pytest.mark.parametrize(
    ("broken", "setting"),
    [
        (SumOfBiases, Setting("GRU", 1, True, False)),
        (PaddedDropout, Setting("LSTM", 2, True, False, False, (0.5, True), form="packed")),
        (LateDropout, Setting("LSTM", 2, True, True, False, (0.5, True))),
    ],
)
def test_what_is_broken_is_seen(broken: type, setting: Setting) -> None:
    theirs = setting.make(nn)
    for kind, wrong in ((broken, True), (broken.__base__, False)):
        ours = setting.make(kind)
        ours.load_state_dict(theirs.state_dict())
        off, _ = difference(called(ours, setting), called(theirs, setting))
        assert (off > 100 * BOUND[torch.float32]) is wrong


@pytest.mark.parametrize("kind", KINDS)
def test_wide_rows_and_their_masks(kind: str) -> None:
    """Sizes at which torch takes other ways through its kernels and its random numbers."""
    name, more = KINDS[kind]
    theirs = getattr(nn, name)(40, 65, 3, dropout=0.3, bidirectional=True, **more)
    ours = getattr(recurra, name)(40, 65, 3, dropout=0.3, bidirectional=True, **more)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(37, 19, 40)
    for given in (x, pack_padded_sequence(x, torch.arange(19) + 5, enforce_sorted=False)):
        found = []
        for layer in (ours, theirs):
            torch.manual_seed(0)
            output, _ = layer(given)
            found.append(output.data if isinstance(output, PackedSequence) else output)
        assert torch.allclose(*found, atol=1e-5)
