"""What a cell reads is checked against its example: a tensor of vectors, or a named tuple."""

import re
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

import recurra
from recurra import Forced, ForcedInput, GRUDCell, HiddenState, PaddedSequence, Recurrent
from recurra.cells import GappedInput
from recurra.engine import run
from recurra.errors import ShapeError

TIME, BATCH = 6, 3
LENGTHS = [6, 0, 4]
X = torch.randn(TIME, BATCH, 4, generator=torch.Generator().manual_seed(0))
SEEN = X > -0.5
GAP = X[..., :1].abs()
GAPPED = GappedInput(X, SEEN, GAP)


class Other(NamedTuple):
    """As wide as what GRU-D reads, and something else."""

    x: Tensor
    observed: Tensor
    gap: Tensor


def grud():
    torch.manual_seed(0)
    return GRUDCell(4, 5)


def same(a, b):
    return torch.allclose(a, b, rtol=0, atol=1e-6)


# ---- what is refused ----------------------------------------------------------------------------


def refused(inputs, *words, cell=None):
    """A ShapeError whose message has all of these words, in order."""
    with pytest.raises(ShapeError) as error:
        run(cell or grud(), inputs)
    at = 0
    for word in words:
        found = re.search(re.escape(word), str(error.value)[at:])
        assert found, f"no {word!r} in {error.value}"
        at += found.end()


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (X, ["expected a GappedInput", "(x, observed, gap)", "got Tensor"]),
        (tuple(GAPPED), ["expected a GappedInput", "got tuple"]),
        (Other(*GAPPED), ["expected a GappedInput", "got Other"]),
        ((X,), ["expected a GappedInput", "got tuple"]),
        (ForcedInput(X, X), ["expected a GappedInput", "got ForcedInput"]),
    ],
)
def test_another_type_than_the_cell_reads(inputs, words):
    refused(inputs, "inputs of GRUDCell", *words)


@pytest.mark.parametrize(
    ("change", "field", "expected", "came"),
    [
        ({"x": X[..., :3]}, ".x", "4]", "3]"),
        ({"observed": SEEN[..., :1]}, ".observed", "4]", "1]"),
        ({"gap": X}, ".gap", "1]", "4]"),
        ({"gap": GAP.squeeze(2)}, ".gap", "1]", "]"),
        ({"x": X.unsqueeze(2)}, ".x", "4]", "1, 4]"),
    ],
)
def test_a_field_of_another_width(change, field, expected, came):
    words = [f"inputs of GRUDCell{field}: expected", expected, "got", came]
    refused(GAPPED._replace(**change), *words)


@pytest.mark.parametrize("change", [{"gap": None}, {"observed": (SEEN, SEEN)}])
def test_fields_that_are_no_tensor(change):
    field = next(iter(change))
    refused(GAPPED._replace(**change), f"inputs of GRUDCell.{field}: expected a tensor", "got ")


@pytest.mark.parametrize(
    ("change", "came"),
    [
        ({"gap": torch.zeros(TIME + 1, BATCH, 1)}, "[7, 3, 1]"),
        ({"observed": SEEN[:, :2]}, "[6, 2, 4]"),
        ({"observed": SEEN[:-1]}, "[5, 3, 4]"),
        ({"gap": torch.zeros(BATCH, TIME, 1)}, "[3, 6, 1]"),
    ],
)
def test_fields_of_other_times_or_batches(change, came):
    field = next(iter(change))
    words = [f"inputs of GRUDCell.{field}", "expected [time=6, batch=3, ...]", f"got {came}"]
    refused(GAPPED._replace(**change), *words)


@pytest.mark.parametrize("part", ["no tensor", 1.5])
def test_a_field_that_is_no_tensor(part):
    came = type(part).__name__
    refused(GAPPED._replace(gap=part), "inputs of GRUDCell", "expected tensors", f"got {came}")


def test_values_of_another_type():
    refused(
        GAPPED._replace(x=X.double()),
        "inputs of GRUDCell",
        "expected torch.float32",
        "got torch.float64",
    )
    refused(GAPPED._replace(x=X.long()), "inputs of GRUDCell", "torch.float32", "got torch.int64")
    refused(GAPPED, "inputs of GRUDCell", "torch.float64", "torch.float32", cell=grud().double())


def test_a_later_field_of_another_type():
    cell = grud()
    for gap in (GAP.double(), GAP.half()):
        wanted = recurra.run(cell, GAPPED._replace(gap=gap.float())).outputs
        got = recurra.run(cell, GAPPED._replace(gap=gap)).outputs
        torch.testing.assert_close(got, wanted)


def test_any_field_on_another_device():
    for change in ({"x": X.to("meta")}, {"observed": SEEN.to("meta")}, {"gap": GAP.to("meta")}):
        refused(GAPPED._replace(**change), "inputs of GRUDCell", "on cpu", "got on meta")


def test_a_wrapper_reads_what_its_cell_reads():
    for wrap in (recurra.Zoneout, recurra.HeldDropout, recurra.Normalized):
        cell = wrap(grud())
        name = type(cell).__name__
        refused(X, f"inputs of {name}", "GappedInput", "got Tensor", cell=cell)
        wrong = GAPPED._replace(gap=X)
        refused(wrong, f"inputs of {name}.gap", "expected", "got", cell=cell)
        assert run(cell.eval(), GAPPED).outputs.isfinite().all()


def test_a_tuple_inside_a_tuple():
    forced = Forced(grud(), "h")
    target = torch.zeros(TIME, BATCH, 5)
    for inputs, words in [
        (GAPPED, ["inputs of Forced", "expected a ForcedInput", "got GappedInput"]),
        (X, ["inputs of Forced", "expected a ForcedInput", "got Tensor"]),
        (ForcedInput(X, target), ["inputs of Forced.x", "expected a GappedInput", "got Tensor"]),
        (ForcedInput(GAPPED, X), ["inputs of Forced.target", "5]", "got", "4]"]),
        (
            ForcedInput(GAPPED._replace(observed=GAP), target),
            ["inputs of Forced.x.observed", "4]", "got", "1]"],
        ),
        (ForcedInput(GAPPED, target[:-1]), ["inputs of Forced", "time=6", "got [5, 3, 5]"]),
        (ForcedInput(GAPPED._replace(x=X.half()), target), ["inputs of Forced", "torch.float16"]),
    ]:
        refused(inputs, *words, cell=forced)
    assert run(forced, ForcedInput(GAPPED, target)).outputs.shape == (TIME, BATCH, 5)


def test_a_layer_says_the_same():
    layer = Recurrent(grud())
    with pytest.raises(ShapeError, match=r"inputs of GRUDCell: expected a GappedInput\("):
        layer(X, lengths=LENGTHS)
    with pytest.raises(ShapeError, match=r"inputs of GRUDCell\.gap"):
        layer(GAPPED._replace(gap=X))


# ---- what is let through ------------------------------------------------------------------------


class Free(recurra.Cell):
    """Reads a tuple of numbers and does not say so."""

    def __init__(self, input_size=None):
        super().__init__(input_size, 4)
        self.scale = torch.nn.Parameter(torch.ones(()))

    def initial_state(self, batch):
        return HiddenState(self.zeros(batch))

    def step(self, x, state, context=None, noise=None):
        h = state.h + self.scale * x[0] * x[1].to(self.scale.dtype)
        return h, HiddenState(h)


class Pair(NamedTuple):
    """What :class:`Free` may read."""

    value: Tensor
    weight: Tensor


def test_a_cell_that_does_not_say_what_it_reads_is_not_checked():
    wanted = (X * GAP).cumsum(0)
    for inputs in (Pair(X, GAP), (X, GAP), Other(X, GAP, SEEN), Pair(X, GAP.double())):
        assert same(run(Free(), inputs).outputs, wanted)
    narrow = Pair(X[..., :1], GAP)
    assert same(run(Free(), narrow).outputs, wanted[..., :1].expand(-1, -1, 4))


def test_a_width_alone_says_nothing_about_a_tuple_but_its_types():
    assert same(run(Free(4), Pair(X, GAP)).outputs, (X * GAP).cumsum(0))
    refused(X[..., :3], "inputs of Free", "[time, batch, 4]", "got [6, 3, 3]", cell=Free(4))


def test_times_are_checked_in_any_tuple():
    refused(Pair(X, GAP[:-1]), "inputs of Free", "time=6", "got [5, 3, 1]", cell=Free())


def test_flags_and_whole_numbers_beside_the_values():
    cell = grud()
    wanted = run(cell, GAPPED).outputs
    assert same(run(cell, GAPPED._replace(observed=SEEN.long())).outputs, wanted)
    assert same(run(cell, GAPPED._replace(observed=SEEN.double())).outputs, wanted)
    whole = GAPPED._replace(gap=torch.ones(TIME, BATCH, 1, dtype=torch.int64))
    assert same(run(cell, whole).outputs, run(cell, GAPPED._replace(gap=whole.gap.float())).outputs)


# ---- rows of a tuple, through layers ------------------------------------------------------------


def cut(values):
    return [values[:length, row] for row, length in enumerate(LENGTHS)]


def test_rows_inside_a_tuple():
    """Lists of rows, padded sequences, or both: as with tensors and lengths."""
    layer = Recurrent(grud())
    wanted = layer(GAPPED, lengths=LENGTHS)
    lists = GappedInput(*(cut(field) for field in GAPPED))
    padded = GappedInput(*(PaddedSequence(field, torch.tensor(LENGTHS)) for field in GAPPED))
    for inputs in (lists, padded, lists._replace(gap=padded.gap)):
        got = layer(inputs)
        assert isinstance(got.outputs, PaddedSequence)
        assert got.outputs.lengths.tolist() == LENGTHS
        assert same(got.outputs.values, wanted.outputs)
        assert same(got.last, wanted.last)
        assert same(got.state.unseen, wanted.state.unseen)


def test_arrays_inside_a_tuple():
    layer = Recurrent(grud())
    got = layer(GappedInput(*(field.numpy() for field in GAPPED)), lengths=np.array(LENGTHS))
    assert same(got.outputs, layer(GAPPED, lengths=LENGTHS).outputs)


def test_rows_inside_a_tuple_inside_a_tuple():
    layer = Recurrent(Forced(grud(), "h"))
    target = torch.randn(TIME, BATCH, 5)
    wanted = layer(ForcedInput(GAPPED, target), lengths=LENGTHS)
    got = layer(ForcedInput(GappedInput(*(cut(field) for field in GAPPED)), cut(target)))
    assert same(got.outputs.values, wanted.outputs)


@pytest.mark.parametrize(
    ("inputs", "lengths", "words"),
    [
        (
            GappedInput(cut(X), cut(SEEN), [gap[:2] for gap in cut(GAP)]),
            None,
            "every part .* of the same lengths",
        ),
        (GappedInput(cut(X), cut(SEEN), GAP), None, "every part to be a PaddedSequence"),
        (GappedInput(cut(X), cut(SEEN), cut(GAP)), LENGTHS, "beside a PaddedSequence"),
        (GappedInput(cut(X), cut(SEEN), cut(X)), None, r"inputs of GRUDCell\.gap"),
        (GappedInput(cut(X), cut(SEEN), cut(GAP)[:2]), None, "same lengths"),
    ],
)
def test_rows_that_do_not_fit(inputs, lengths, words):
    with pytest.raises(ShapeError, match=words):
        Recurrent(grud())(inputs, lengths=lengths)


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (lambda b: None, "expected a named tuple of tensors .* got NoneType"),
        (lambda b: torch.zeros(b, 5), "expected a named tuple of tensors .* got Tensor"),
        (lambda b: HiddenState(torch.zeros(7, 5)), r"\[batch=3, ...\], got \[7, 5\]"),
        (lambda b: HiddenState(torch.zeros(1, b, 5)), r"\[batch=3, ...\], got \[1, 3, 5\]"),
        (lambda b: HiddenState(torch.zeros(5)), r"\[batch=3, ...\], got \[5\]"),
    ],
)
@pytest.mark.parametrize("backend", ["loop", None])
def test_an_initial_state_that_is_none(start, words, backend):
    cell = recurra.GRUCell(4, 5)
    cell.initial_state = start
    with pytest.raises(ShapeError, match=f"initial_state of GRUCell: .*{words}"):
        run(cell, X, backend=backend)


def test_noise_that_is_none():
    cell = recurra.GRUCell(4, 5)
    cell.noise = lambda time, batch: torch.zeros(time, batch)
    with pytest.raises(ShapeError, match=r"noise of GRUCell: expected recurra\.Noise, got Tensor"):
        run(cell, X)
    cell.noise = lambda time, batch: recurra.Noise(step=torch.zeros(batch, time, 2))
    with pytest.raises(ShapeError, match=r"noise of GRUCell: .*time=6, batch=3"):
        run(cell, X)


def test_a_tuple_for_a_cell_that_reads_one_tensor():
    with pytest.raises(ShapeError, match=r"GRUCell: got a tuple, which its step cannot read"):
        run(recurra.GRUCell(4, 5), (X, X))


def test_a_cell_called_by_hand():
    cell = recurra.LSTMCell(4, 5)
    h, c = torch.randn(3, 5), torch.randn(3, 5)
    y, state = cell(X[0], (h, c))  # a plain tuple, as torch's cells take it
    wanted, _ = cell.step(X[0], recurra.LSTMState(h, c))
    assert torch.equal(y, wanted)
    assert isinstance(state, recurra.LSTMState)
    for given, words in (
        ((X[0], h), "state of LSTMCell: expected LSTMState"),
        ((X[0], (h, c[:2])), r"state of LSTMCell\.c: expected \[3, 5\], got \[2, 5\]"),
        ((X[0, :, :2],), r"x of LSTMCell: expected \[batch, 4\], got \[3, 2\]"),
        ((X[0, 0],), r"x of LSTMCell: expected \[batch, 4\], got \[4\]"),
    ):
        with pytest.raises(ShapeError, match=words):
            cell(*given)


@pytest.mark.parametrize("make", [lambda c: recurra.Recurrent(c), lambda c: recurra.GRU(4, 5)])
def test_nested_tensors_and_arrays(make):
    layer = make(recurra.GRUCell(4, 5))
    rows = [torch.randn(n, 4) for n in (3, 1, 5)]
    nested = torch.nested.as_nested_tensor(rows, layout=torch.jagged)
    got, wanted = layer(nested)[0], layer(rows)[0]
    assert torch.equal(got.values, wanted.values)
    assert got.lengths.tolist() == [3, 1, 5]
    assert torch.equal(layer(X.numpy())[0], layer(X)[0])


def test_a_state_is_not_the_cells_own_buffer():
    cell = recurra.GRUDCell(3, 4, mean=torch.ones(3))
    cell.initial_state(1).last.fill_(7.0)
    assert torch.equal(cell.mean, torch.ones(3))


class Pictures(recurra.Cell):
    """Reads pictures, and does not say so."""

    def __init__(self):
        super().__init__(None, 4)
        self.read = torch.nn.Linear(6, 4)

    def initial_state(self, batch):
        return HiddenState(self.zeros(batch))

    def step(self, x, state, context=None, noise=None):
        h = torch.tanh(self.read(x.flatten(1)) + state.h)
        return h, HiddenState(h)


class Counted(Pictures):
    """Reads whole numbers."""

    def example_input(self, batch):
        return torch.zeros(batch, 6, dtype=torch.int64)

    def step(self, x, state, context=None, noise=None):
        return super().step(x.float(), state)


def test_inputs_that_are_no_vectors():
    pictures = torch.randn(5, 2, 2, 3)
    forced = Forced(Pictures(), "h")
    assert run(forced, ForcedInput(pictures, torch.zeros(5, 2, 4))).outputs.shape == (5, 2, 4)
    assert run(Counted(), torch.ones(5, 2, 6, dtype=torch.int64)).outputs.shape == (5, 2, 4)


@pytest.mark.parametrize("words", ["no", 1, None])
def test_flags_are_flags(words):
    with pytest.raises(recurra.SettingError, match="reverse: expected true or false"):
        run(recurra.GRUCell(4, 5), X, reverse=words)
    with pytest.raises(recurra.SettingError, match="reverse"):
        Recurrent(recurra.GRUCell(4, 5), reverse=words)


@pytest.mark.parametrize("given", [{"bias": None}, {"bias": 1}, [1], "bias"])
def test_parameters_that_are_none(given):
    with pytest.raises(ShapeError, match="parameters: "):
        run(recurra.GRUCell(4, 5), X, parameters=given)


def test_normalized_is_of_its_cells_kind():
    cell = recurra.Normalized(recurra.GRUCell(4, 5).double())
    assert run(cell, X.double()).outputs.dtype == torch.float64
