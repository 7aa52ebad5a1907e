"""The layers in torch.nn's shape: the product of all settings against torch.nn itself."""

from __future__ import annotations

import copy
import dataclasses
import io
import itertools
import math
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import parametrizations, prune
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence

import recurra
from recurra import GRU, LSTM, RNN, GRUCell, LSTMCell, PaddedSequence, Recurrent, Stack
from recurra.errors import BackendError, RecurraError, SettingError, ShapeError

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

BOUND = {torch.float32: 2e-5, torch.float64: 1e-12}
INPUT, HIDDEN, PROJECTION = 3, 4, 2
SORTED, SHUFFLED = [5, 3, 3, 1], [3, 5, 1, 3]
TIME, BATCH = 5, 4

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "RNN tanh": ("RNN", {}),
    "RNN relu": ("RNN", {"nonlinearity": "relu"}),
    "LSTM": ("LSTM", {}),
    "LSTM projected": ("LSTM", {"proj_size": PROJECTION}),
    "GRU": ("GRU", {}),
}
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
BACKENDS = ("loop", "aten")
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


# ---- what torch.nn does not have ------------------------------------------------------------


def twins(kind: str, layers: int = 2, **settings: Any) -> tuple[Any, Any]:
    """Two layers of the same weights, of ours and of torch.nn's, in evaluation."""
    name, more = KINDS[kind]
    torch.manual_seed(0)
    theirs = getattr(nn, name)(INPUT, HIDDEN, layers, **more, **settings).eval()
    torch.manual_seed(0)
    ours = getattr(recurra, name)(INPUT, HIDDEN, layers, **more, **settings).eval()
    return ours, theirs


def start(layer: Any, batch: int) -> list[Tensor]:
    """States to start from, one tensor or two."""
    count = layer.num_layers * (1 + layer.bidirectional)
    widths = [layer.proj_size or HIDDEN] + [HIDDEN] * (layer.mode == "LSTM")
    return [torch.randn(count, batch, width) for width in widths]


def as_hx(parts: list[Tensor]) -> Any:
    return tuple(parts) if len(parts) == 2 else parts[0]


def as_list(state: Any) -> list[Tensor]:
    return list(state) if isinstance(state, tuple) else [state]


def near(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_lengths_are_each_row_alone(
    kind: str, bidirectional: bool, batch_first: bool, backend: Any
) -> None:
    ours, theirs = twins(kind, bidirectional=bidirectional)
    ours.batch_first, ours.backend = batch_first, backend
    lengths = [3, 0, 5, 1]
    x = torch.randn(6, 4, INPUT)
    for row, length in enumerate(lengths):
        x[length:, row] = float("nan")
    x.requires_grad_()
    hx = [leaf.requires_grad_() for leaf in start(ours, 4)]
    output, ends = ours(x.transpose(0, 1) if batch_first else x, as_hx(hx), lengths=lengths)
    output = output.transpose(0, 1) if batch_first else output
    assert output.shape[:2] == (6, 4)
    weight = torch.randn_like(output)
    loss = (output * weight).sum() + sum(leaf.sum() for leaf in as_list(ends))
    wanted_loss: Any = 0
    for row, length in enumerate(lengths):
        assert not output[length:, row].any()
        first = [leaf[:, row : row + 1] for leaf in hx]
        after: Any = as_hx(first)
        if length:
            alone, after = theirs(x[:length, row : row + 1], as_hx(first))
            assert near(output[:length, row], alone[:, 0])
            wanted_loss = wanted_loss + (alone[:, 0] * weight[:length, row]).sum()
        for end, wanted in zip(as_list(ends), as_list(after), strict=True):
            assert near(end[:, row], wanted[:, 0])
            wanted_loss = wanted_loss + wanted.sum()
    got = torch.autograd.grad(loss, [x, *hx, *ours.parameters()])
    want = torch.autograd.grad(wanted_loss, [x, *hx, *theirs.parameters()])
    for a, b in zip(got, want, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_resets_are_sequences_of_their_own(kind: str, bidirectional: bool) -> None:
    """Rows cut where they are reset; a direction that reads from the end starts at the end."""
    ours, theirs = twins(kind, bidirectional=bidirectional)
    marks = [[2], [0, 3], [], [1, 2, 4]]
    x = torch.randn(5, 4, INPUT)
    resets = torch.zeros(5, 4, dtype=torch.bool)
    for row, times in enumerate(marks):
        resets[times, row] = True
    hx = start(ours, 4)
    output, ends = ours(x, as_hx(hx), resets=resets)
    backward = torch.arange(len(hx[0])) % 2 == 1 if bidirectional else torch.zeros(2).bool()
    for row, times in enumerate(marks):
        cuts = sorted({0, 5, *times})
        lasts = []
        for begin, end in itertools.pairwise(cuts):
            first = [torch.zeros_like(leaf[:, :1]) for leaf in hx]
            for part, given in zip(first, hx, strict=True):
                if begin == 0 and 0 not in times:
                    part[~backward, 0] = given[~backward, row]
                if end == 5:
                    part[backward, 0] = given[backward, row]
            alone, after = theirs(x[begin:end, row : row + 1], as_hx(first))
            assert near(output[begin:end, row], alone[:, 0])
            lasts.append(as_list(after))
        for got, first_piece, last_piece in zip(as_list(ends), lasts[0], lasts[-1], strict=True):
            assert near(got[~backward, row], last_piece[~backward, 0])
            at_start = 0 if 0 in times else first_piece[backward, 0]
            assert near(got[backward, row], at_start * torch.ones_like(got[backward, row]))


def test_resets_of_every_form() -> None:
    layer = GRU(INPUT, HIDDEN, 2)
    x = torch.randn(5, 3, INPUT)
    resets = torch.rand(5, 3) < 0.4
    wanted = layer(x, resets=resets)[0]
    turned = GRU(INPUT, HIDDEN, 2, batch_first=True)
    turned.load_state_dict(layer.state_dict())
    assert near(turned(x.transpose(0, 1), resets=resets.T)[0].transpose(0, 1), wanted)
    assert near(turned(x[:, 1], resets=resets[:, 1].tolist())[0], wanted[:, 1])
    packed = pack_padded_sequence(x, torch.tensor([3, 5, 2]), enforce_sorted=False)
    got = PaddedSequence.from_packed(turned(packed, resets=resets)[0])
    assert near(got.values, PaddedSequence(wanted, got.lengths).masked().values)


@pytest.mark.parametrize("kind", KINDS)
def test_states_are_those_after_each_prefix(kind: str) -> None:
    x = torch.randn(5, 3, INPUT)
    ours, theirs = twins(kind)
    hx = as_hx(start(ours, 3))
    output, ends, states = ours(x, hx, return_states=True)
    assert near(output, ours(x, hx)[0])
    for leaf, end in zip(as_list(states), as_list(ends), strict=True):
        assert leaf.shape == (2, 5, *end.shape[1:])
        assert near(leaf[:, -1], end)
    for time in range(5):
        after = as_list(theirs(x[: time + 1], hx)[1])
        assert all(near(a[:, time], b) for a, b in zip(as_list(states), after, strict=True))

    ours, theirs = twins(kind, 1, bidirectional=True)
    states = ours(x, return_states=True)[2]
    for time in range(5):
        after = as_list(theirs(x[time:])[1])
        assert all(near(a[1, time], b[1]) for a, b in zip(as_list(states), after, strict=True))


def test_states_of_every_form() -> None:
    layer, turned = LSTM(INPUT, HIDDEN, 2), LSTM(INPUT, HIDDEN, 2, batch_first=True)
    turned.load_state_dict(layer.state_dict())
    x, lengths = torch.randn(5, 3, INPUT), [2, 5, 1]
    wanted = layer(x, lengths=lengths, return_states=True)[2]
    mask = torch.arange(5)[:, None] < torch.tensor(lengths)
    for leaf in wanted:
        assert not leaf[:, ~mask].any()
        assert leaf[:, mask].all()
    packed = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
    found = {
        "turned": turned(x.transpose(0, 1), lengths=lengths, return_states=True)[2],
        "packed": turned(packed, return_states=True)[2],
        "padded": turned(PaddedSequence(x, lengths), return_states=True)[2],
    }
    for form, states in found.items():
        for got, want in zip(states, wanted, strict=True):
            assert near(got.transpose(1, 2) if form == "turned" else got, want), form
    for got, want in zip(turned(x[:2, 0], return_states=True)[2], wanted, strict=True):
        assert near(got, want[:, :2, 0])


@pytest.mark.parametrize("batch_first", [False, True])
def test_padded_rows_and_lists(batch_first: bool) -> None:
    layer = LSTM(INPUT, HIDDEN, 2, bidirectional=True, batch_first=batch_first)
    lengths = [2, 0, 4]
    rows = [torch.randn(n, INPUT) for n in lengths]
    padded = PaddedSequence.from_list(rows)
    hx = as_hx(start(layer, 3))
    values = padded.values.transpose(0, 1) if batch_first else padded.values
    wanted, (h_n, c_n) = layer(values, hx, lengths=torch.tensor(lengths, dtype=torch.int32))
    wanted = wanted.transpose(0, 1) if batch_first else wanted
    for given in (rows, padded):
        output, ends = layer(given, hx)
        assert isinstance(output, PaddedSequence)
        assert output.lengths.tolist() == lengths
        assert near(output.values, wanted)
        assert near(ends[0], h_n)
        assert near(ends[1], c_n)
    assert torch.equal(h_n[:, 1], hx[0][:, 1])


def test_nothing_to_read() -> None:
    layer = LSTM(INPUT, HIDDEN, 2, bidirectional=True)
    for x in (torch.randn(0, 3, INPUT), torch.randn(5, 0, INPUT)):
        hx = as_hx(start(layer, x.shape[1]))
        output, (h_n, c_n), states = layer(x, hx, return_states=True)
        assert output.shape == (*x.shape[:2], 2 * HIDDEN)
        assert torch.equal(h_n, hx[0])
        assert torch.equal(c_n, hx[1])
        assert states[0].shape == (4, *x.shape[:2], HIDDEN)
        output.sum().backward()
        assert all(p.grad is not None and not p.grad.any() for p in layer.parameters())


# ---- what a module must do ------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"bias": False}, {"bidirectional": True}])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_start_and_are_named_as_in_torch(kind: str, settings: dict[str, Any]) -> None:
    ours, theirs = twins(kind, **settings)
    mine, other = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(other) == [name for name, _ in ours.named_parameters()]
    assert all(torch.equal(mine[name], other[name]) for name in mine)
    weights = zip(ours.all_weights, theirs.all_weights, strict=True)
    assert all(a.shape == b.shape for one, two in weights for a, b in zip(one, two, strict=True))
    assert repr(ours) == repr(theirs)
    torch.manual_seed(5)
    ours.reset_parameters()
    torch.manual_seed(5)
    theirs.reset_parameters()
    for name, value in ours.state_dict().items():
        assert torch.equal(value, theirs.state_dict()[name])
    for parameter in ours.parameters():
        nn.init.normal_(parameter)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x = torch.randn(4, 2, INPUT)
    assert near(ours(x)[0], theirs(x)[0])
    assert ours.flatten_parameters() is None
    with pytest.raises(RuntimeError, match="Missing key"):
        ours.load_state_dict({}, strict=True)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("RNN", (3, 4, 2, "relu", False, True, 0.5, True)),
        ("LSTM", (3, 4, 2, False, True, 0.5, True, 2, "cpu", torch.float64)),
        ("GRU", (3, 4, 2, False, True, 0.5, True)),
    ],
)
def test_arguments_by_place(name: str, arguments: Any) -> None:
    ours, theirs = getattr(recurra, name)(*arguments), getattr(nn, name)(*arguments)
    assert repr(ours) == repr(theirs)
    for key in (*theirs.__constants__, *(["nonlinearity"] if name == "RNN" else [])):
        assert getattr(ours, key) == getattr(theirs, key), key
    assert {p.dtype for p in ours.parameters()} == {p.dtype for p in theirs.parameters()}


def test_repr_tells_a_forced_backend() -> None:
    assert repr(GRU(3, 4, backend="loop")) == "GRU(3, 4, backend='loop')"


def saved(layer: nn.Module) -> Any:
    file = io.BytesIO()
    torch.save(layer, file)
    return torch.load(io.BytesIO(file.getvalue()), weights_only=False)


@pytest.mark.parametrize(
    "twin", [copy.deepcopy, saved, lambda layer: pickle.loads(pickle.dumps(layer))]
)
@pytest.mark.parametrize("kind", KINDS)
def test_copies_stand_alone(kind: str, twin: Callable[[Any], Any]) -> None:
    layer, _ = twins(kind, bidirectional=True, batch_first=True)
    x = torch.randn(4, 2, INPUT)
    before = layer(x)[0]
    other = twin(layer)
    assert torch.equal(other(x)[0], before)
    with torch.no_grad():
        other.bias_hh_l0.add_(1)
    assert torch.equal(layer(x)[0], before)
    assert not torch.equal(other(x)[0], before)
    assert repr(other) == repr(layer)
    assert list(other.modules()) == [other]
    assert b"recurra.cells" not in pickle.dumps(layer), "the cells follow from the settings"


@pytest.mark.parametrize("kind", KINDS)
def test_the_weights_of_now_are_used(kind: str) -> None:
    """By whatever way they came."""
    layer, reference = twins(kind, bidirectional=True)
    x = torch.randn(4, 2, INPUT)
    new = {name: torch.randn_like(p).requires_grad_() for name, p in layer.named_parameters()}
    reference.load_state_dict(new)
    wanted = reference(x)[0]
    before = layer(x)[0]
    output = functional_call(layer, new, (x,))[0]
    assert near(output, wanted)
    assert all(g.any() for g in torch.autograd.grad(output.square().sum(), list(new.values())))
    assert torch.equal(layer(x)[0], before)

    other = copy.deepcopy(layer)
    other.load_state_dict(new, assign=True)
    assert near(other(x)[0], wanted)
    other = copy.deepcopy(layer)
    for name, parameter in other.named_parameters():
        parameter.data = new[name].data
    assert near(other(x)[0], wanted)
    with torch.device("meta"):
        name, more = KINDS[kind]
        other = getattr(recurra, name)(INPUT, HIDDEN, 2, bidirectional=True, **more)
    assert other(x.to("meta"))[0].device.type == "meta"
    other.to_empty(device="cpu").load_state_dict(new)
    assert near(other(x)[0], wanted)
    assert near(other.double()(x.double())[0].float(), wanted)


def test_parametrized_and_pruned_weights() -> None:
    x = torch.randn(4, 2, INPUT)
    layer, reference = twins("LSTM")
    parametrizations.weight_norm(layer, "weight_hh_l1")
    with torch.no_grad():
        layer.parametrizations.weight_hh_l1.original0.mul_(2)
        reference.weight_hh_l1.mul_(2)
    assert near(layer(x)[0], reference(x)[0])
    layer(x)[0].sum().backward()
    assert layer.parametrizations.weight_hh_l1.original1.grad.any()
    assert near(copy.deepcopy(layer)(x)[0], reference(x)[0])

    layer, reference = twins("GRU")
    prune.l1_unstructured(layer, "weight_ih_l0", 0.5)
    with torch.no_grad():
        reference.weight_ih_l0.mul_(layer.weight_ih_l0_mask)
    assert near(layer(x)[0], reference(x)[0])


def test_weight_drop_draws_once_a_call() -> None:
    layer = recurra.weight_drop(RNN(INPUT, HIDDEN, nonlinearity="relu"), 0.5)
    x = torch.randn(6, 2, INPUT)
    reference = nn.RNN(INPUT, HIDDEN, nonlinearity="relu")
    names = {name: p for name, p in layer.named_parameters() if "." not in name}
    torch.manual_seed(1)
    dropped = layer.weight_hh_l0
    reference.load_state_dict({**names, "weight_hh_l0": dropped})
    assert (dropped == 0).any()
    torch.manual_seed(1)
    assert near(layer(x)[0], reference(x)[0])
    assert not torch.equal(layer(x)[0], layer(x)[0])
    layer.eval()
    assert torch.equal(layer(x)[0], layer(x)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_under_autocast(kind: str) -> None:
    layer, _ = twins(kind, bidirectional=True)
    x = torch.randn(4, 3, INPUT)
    with torch.autocast("cpu"):
        output, hx = layer(x, lengths=[4, 0, 2])
        again, _ = layer(x, hx)
        output.float().square().mean().backward()
    assert torch.allclose(output.float(), layer(x, lengths=[4, 0, 2])[0], atol=0.05)
    assert again.shape == output.shape
    assert all(p.grad is not None for p in layer.parameters())


# ---- what it says ---------------------------------------------------------------------------


def test_explain_finds_the_held_cells() -> None:
    layer = LSTM(INPUT, HIDDEN, 2, bidirectional=True, proj_size=2)
    found = recurra.explain(layer).choices
    assert [(c.name, c.cell, c.backend) for c in found] == [
        (name, "ProjectedLSTMCell", "native") for name in ("l0", "l0_reverse", "l1", "l1_reverse")
    ]
    model = nn.ModuleDict({"above": nn.Sequential(GRU(3, 4, backend="loop")), "below": layer})
    text = str(recurra.explain(model))
    assert "above.0.l0: GRUCell runs on 'loop': it is forced" in text
    assert "below.l1_reverse: ProjectedLSTMCell runs on 'native'" in text
    with_states = recurra.explain(layer, return_states=True)
    assert {choice.backend for choice in with_states.choices} == {"native"}


def test_named_values_say_which_layer() -> None:
    layer = GRU(INPUT, HIDDEN, 2, bidirectional=True)
    seen = recurra.named_values(layer, torch.randn(5, 2, INPUT))
    assert seen["l1_reverse: reset gate"].shape == (5, 2, HIDDEN)
    seen = recurra.named_values(nn.Sequential(layer), torch.randn(5, 2, INPUT))
    assert "0.l0: update gate" in seen


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_counted(kind: str, bias: bool, bidirectional: bool, layers: int) -> None:
    layer, _ = twins(kind, layers, bias=bias, bidirectional=bidirectional)
    (part,) = recurra.describe(layer).parts
    assert part.parameters == sum(p.numel() for p in layer.parameters())
    formula, sizes = layer.parameter_formula()
    assert eval(formula, {}, dict(sizes)) == part.parameters
    assert part.arithmetic.startswith(formula)


def test_one_layer_counts_as_the_docs_say() -> None:
    assert LSTM(3, 4).parameter_formula() == ("4*h*(i+h) + 8*h", {"i": 3, "h": 4})
    assert "3 -> 8" in str(recurra.describe(GRU(3, 4, bidirectional=True)))


X = torch.randn(5, 4, INPUT, generator=torch.Generator().manual_seed(0))
PACKED = pack_sequence([X[:, 0], X[:2, 1]])


def by_hand(**parts: Any) -> PackedSequence:
    """A PackedSequence as nobody should make it; its own class would see nothing wrong."""
    return PACKED._replace(**parts)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: LSTM(0, 4), SettingError, "input_size: expected a whole number of at least 1"),
        (lambda: LSTM(3, 4.0), SettingError, "hidden_size"),
        (lambda: LSTM(3, 4, 0), SettingError, "num_layers"),
        (lambda: LSTM(3, 4, bias=1), SettingError, "bias: expected true or false, got 1"),
        (lambda: LSTM(3, 4, batch_first="yes"), SettingError, "batch_first"),
        (lambda: LSTM(3, 4, 2, dropout=1.5), SettingError, "dropout: expected 0 to 1"),
        (lambda: LSTM(3, 4, 2, dropout=True), SettingError, "dropout: expected a number"),
        (lambda: LSTM(3, 4, proj_size=-1), SettingError, "proj_size"),
        (lambda: LSTM(3, 4, proj_size=4), SettingError, "less than hidden_size"),
        (lambda: RNN(3, 4, nonlinearity="tahn"), SettingError, "did you mean 'tanh'"),
        (lambda: GRU(3, 4, backend="fast"), BackendError, "no 'fast'"),
        (lambda: LSTM(3, 4)(X[..., :2]), ShapeError, r"expected \[time, batch, 3\], got"),
        (lambda: LSTM(3, 4)(X[0, 0]), ShapeError, r"expected \[time, batch, 3\], got \[3\]"),
        (lambda: LSTM(3, 4)(X[0, :, :2]), ShapeError, r"\[time, 3\] for one row"),
        (lambda: LSTM(3, 4)("words"), ShapeError, "a list of rows, got str"),
        (lambda: LSTM(3, 4)(X.double()), ShapeError, "torch.float32, as its weights"),
        (
            lambda: LSTM(3, 4)(PaddedSequence(X[..., 0], [1, 2, 3, 4])),
            ShapeError,
            "PaddedSequence with values",
        ),
        (lambda: LSTM(2, 4)(PACKED), ShapeError, r"data \[elements, 2\], got \[7, 3\]"),
        (lambda: LSTM(3, 4)(X, lengths=[5] * 5), ShapeError, "one for each of 4 rows"),
        (
            lambda: LSTM(3, 4, batch_first=True)(X, lengths=[5] * 4),
            ShapeError,
            r"This LSTM has batch_first=True: it reads \[batch, time, ...\]",
        ),
        (lambda: LSTM(3, 4)(X, lengths=[6, 1, 1, 1]), ShapeError, "expected 0 to 5"),
        (lambda: LSTM(3, 4)(X[:, 0], lengths=[5]), ShapeError, "no batch axis"),
        (lambda: LSTM(3, 4)(PACKED, lengths=[5, 2]), ShapeError, "beside a PackedSequence"),
        (
            lambda: LSTM(3, 4)(PaddedSequence(X, [1, 2, 3, 4]), lengths=[1, 2, 3, 4]),
            ShapeError,
            "beside a PaddedSequence",
        ),
        (lambda: LSTM(3, 4)(X, torch.zeros(1, 4, 4)), ShapeError, r"a pair of tensors \(h, c\)"),
        (lambda: LSTM(3, 4)(X, (torch.zeros(1, 4, 4), None)), ShapeError, "Tensor, NoneType"),
        (lambda: LSTM(3, 4)(X, (torch.zeros(1, 4, 4),) * 3), ShapeError, "a pair of tensors"),
        (lambda: GRU(3, 4)(X, (torch.zeros(1, 4, 4),) * 2), ShapeError, "one tensor"),
        (
            lambda: LSTM(3, 4, proj_size=2)(X, (torch.zeros(1, 4, 2),) * 2),
            ShapeError,
            r"c in hx of LSTM: expected \[1, 4, 4\]",
        ),
        (lambda: GRU(3, 4)(X, torch.zeros(2, 4, 4)), ShapeError, r"expected \[1, 4, 4\]"),
        (lambda: GRU(3, 4)(X, torch.zeros(1, 4)), ShapeError, r"expected \[1, 4, 4\]"),
        (lambda: GRU(3, 4)(X[:, 0], torch.zeros(1, 1, 4)), ShapeError, r"expected \[1, 4\]"),
        (lambda: GRU(3, 5)(X, torch.zeros(4, 1, 5)), ShapeError, r"hx.transpose\(0, 1\)"),
        (lambda: GRU(3, 4)(X, torch.zeros(1, 4, 4).double()), ShapeError, r"h\.to\(torch.float32"),
        (
            lambda: GRU(3, 4)(X, torch.zeros(1, 4, 4, device="meta")),
            ShapeError,
            "expected on cpu, where the weights are, got on meta",
        ),
        (
            lambda: GRU(3, 4)(X, resets=torch.zeros(4, 5).bool()),
            ShapeError,
            r"expected bool \[time=5, batch=4\], got bool \[4, 5\]",
        ),
        (
            lambda: GRU(3, 4, batch_first=True)(X, resets=torch.zeros(4, 5).bool()),
            ShapeError,
            r"expected bool \[batch=5, time=4\]",
        ),
        (lambda: GRU(3, 4)(X[:, 0], resets=[1] * 5), ShapeError, r"bool \[time=5\], got int64"),
        (
            lambda: GRU(3, 4)(by_hand(sorted_indices=torch.tensor([2, 0, 3, 1]))),
            ShapeError,
            r"rows \[1, 3\] are empty",
        ),
        (
            lambda: GRU(3, 4)(by_hand(unsorted_indices=torch.tensor([0, 1, 2]))),
            ShapeError,
            "whose indices order its 2 rows",
        ),
        (
            lambda: GRU(3, 4)(by_hand(sorted_indices=torch.tensor([0]))),
            ShapeError,
            "whose indices order its 2 rows",
        ),
        (lambda: GRU(3, 4)(by_hand(data=PACKED.data[:5])), ShapeError, "7 elements, the sum"),
        (
            lambda: GRU(3, 4)(by_hand(batch_sizes=PACKED.batch_sizes[:0])),
            ShapeError,
            "at least one row",
        ),
        (
            lambda: LSTM(3, 4, backend="aten")(X, return_states=True),
            BackendError,
            "all-step states",
        ),
        (
            lambda: Stack([Recurrent(LSTMCell(3, 4)), LSTM(4, 4)]),
            SettingError,
            r"layer 1, LSTM, has torch.nn's .* Recurrent\(LSTMCell\(...\)\), .* num_layers=2",
        ),
        (lambda: Stack([RNN(3, 4)]), SettingError, r"Recurrent\(ElmanCell"),
        (
            lambda: Stack([Recurrent(GRUCell(3, 4)), nn.GRU(4, 4)]),
            SettingError,
            "layer 1, GRU, has",
        ),
    ],
)
def test_what_does_not_fit_is_named(
    make: Callable[[], Any], error: type[RecurraError], words: str
) -> None:
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
def test_dropout_of_one_layer_is_warned_of(kind: type[LSTM | GRU | RNN]) -> None:
    with pytest.warns(UserWarning, match="with num_layers=1 there is none") as seen:
        kind(3, 4, dropout=0.5)
    assert seen[0].filename == __file__
