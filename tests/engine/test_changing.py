"""Values moved on their way: every backend moves the same, and what is asked is what happens."""

import asyncio

import numpy as np
import pytest
import torch

import recurra
from recurra import Bidirectional, Change, GRUCell, LSTMCell, Recurrent, Stack, changing
from recurra.cells import cell_by_name, cell_names
from recurra.engine import probe, run
from recurra.errors import SettingError, ShapeError

TIME, BATCH = 7, 3
LENGTHS = [7, 0, 4]


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    torch.manual_seed(0)
    yield
    assert not probe.looking()


def rows(width=4):
    return torch.randn(TIME, BATCH, width, dtype=torch.float64)


def made(kind=LSTMCell, *sizes):
    return kind(*(sizes or (4, 5))).double()


def test_nothing_changed_changes_nothing():
    layer, x = Recurrent(made()), rows()
    with changing(layer, {}):
        moved = layer(x, lengths=LENGTHS)
    assert torch.allclose(moved.outputs, layer(x, lengths=LENGTHS).outputs, rtol=0, atol=1e-14)


@pytest.mark.parametrize("backend", ["native", "loop"])
def test_a_gate_by_hand(backend):
    """One unit of the forget gate is shut from the third step on; the equation by hand."""
    cell, x = made(), rows()
    layer = Recurrent(cell, backend=backend)
    with changing(layer, {"cell: forget gate": Change(scale=0, units=1, since=2)}):
        found = layer(x).outputs
    state = cell.initial_state(BATCH)
    for t in range(TIME):
        before = cell.input_product(x[t]) + cell.recurrent_product(state.h)
        i, f, g, o = before.chunk(4, dim=1)
        f = torch.sigmoid(f)
        if t >= 2:
            f = torch.cat([f[:, :1], torch.zeros(BATCH, 1).double(), f[:, 2:]], dim=1)
        c = f * state.c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        state = recurra.LSTMState(h, c)
        assert torch.allclose(found[t], h, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", cell_names())
def test_every_value_of_every_cell_can_be_moved(name):
    """By the machine as by the definition, with its gradient."""
    cell = cell_by_name(name, 4, 5).double().eval()
    if cell.takes_context or not isinstance(cell.example_input(1), torch.Tensor):
        pytest.skip("needs more than one tensor")
    x = rows()
    plain = recurra.named_values(run, cell, x)
    labels = [key.partition(": ")[2] for key, value in plain.items() if value.is_floating_point()]
    moved_something = 0
    for label in ["input", *labels]:
        like = x if label == "input" else plain[f"{type(cell).__name__}: {label}"]
        found = {}
        for backend in ("native", "loop"):
            shift = torch.full_like(like, 0.25).requires_grad_()
            change = Change(scale=0.5, shift=shift, since=1)
            with changing(holder := Recurrent(cell, backend=backend), {label: change}):
                outputs = holder(x, lengths=LENGTHS).outputs
            gradient = torch.autograd.grad(outputs.sin().sum(), shift, allow_unused=True)[0]
            found[backend] = outputs.detach(), gradient
        for one, other in zip(found["native"], found["loop"], strict=True):
            assert torch.allclose(one, other, rtol=0, atol=1e-12), label
        gradient = found["loop"][1]
        assert not gradient[0].any(), "moved from the second step on"
        assert not gradient[:, 1].any(), "an empty row"
        moved_something += bool(gradient.any())
    assert moved_something > 1


def test_the_gradient_of_a_shift_is_that_of_the_state():
    """Against finite differences, and zero behind what is scored."""
    layer, x = Recurrent(made(GRUCell)), rows()
    shift = torch.zeros(TIME, BATCH, 5, dtype=torch.float64)

    def scored(shift):
        with changing(layer, {"state.h": Change(shift=shift)}):
            return layer(x).outputs[4].pow(2).sum()

    gradient = torch.autograd.grad(scored(shift.requires_grad_()), shift)[0]
    assert not gradient[5:].any()
    for place in ((0, 0, 0), (2, 1, 3), (4, 2, 4)):
        step = torch.zeros_like(shift)
        step[place] = 1e-6
        slope = (scored(shift.detach() + step) - scored(shift.detach() - step)) / 2e-6
        assert float(gradient[place]) == pytest.approx(float(slope.detach()), rel=1e-6)


def test_a_state_patched_from_another_input():
    """From the step on where one input's state is put into another, both go on alike."""
    layer, x, other = Recurrent(made()), rows(), rows()
    states = recurra.named_values(layer, x)
    other[4:] = x[4:]
    patches = {
        f"cell: state.{field}": Change(scale=0, shift=states[f"state.{field}"], since=3, until=4)
        for field in ("h", "c")
    }
    with changing(layer, patches):
        found = layer(other).outputs
    plain = layer(x).outputs
    assert torch.allclose(found[3:], plain[3:], rtol=0, atol=1e-13)
    assert not torch.allclose(found[2], plain[2])


def test_reverse_layers_count_steps_from_the_first():
    both, x = Bidirectional(made(GRUCell), made(GRUCell)), rows()
    with changing(both, {"backward_layer.cell: state.h": Change(scale=0, since=5)}):
        moved = both(x).outputs
    plain = both(x).outputs
    assert torch.equal(moved[:, :, :5], plain[:, :, :5])
    assert not moved[5:, :, 5:].any()
    with changing(both, {"state.h": Change(scale=0)}):
        assert not both(x).outputs.any(), "a label alone moves it wherever it is"


def test_rows_and_units():
    layer, x = Recurrent(made(GRUCell)), rows()
    with changing(layer, {"state.h": Change(scale=0, shift=2.0, rows=[0, -1], units=[1, 3])}):
        moved = layer(x).outputs
    assert (moved[:, [0, 2]][:, :, [1, 3]] == 2).all()
    assert not (moved[:, 1] == 2).any()
    assert not (moved[:, 0][:, [0, 2, 4]] == 2).any()


def test_changes_follow_each_other():
    layer, x = Recurrent(made(GRUCell)), rows()
    with (
        changing(layer, {"state.h": Change(scale=0, shift=1.0)}),
        changing(layer, {"state.h": Change(scale=3, shift=0.5)}),
    ):
        assert torch.allclose(layer(x).outputs, torch.full((), 3.5).double())


def test_what_is_seen_is_what_was_changed():
    stack, x = Stack([Recurrent(made(GRUCell)), Recurrent(made(LSTMCell, 5, 5))]), rows()
    with changing(stack, {"layers.0.cell: update gate": Change(scale=0, shift=0.75)}):
        seen = recurra.named_values(stack, x)
    assert (seen["update gate"] == 0.75).all()


def test_another_model_and_another_thread_go_on():
    layer, other, x = Recurrent(made(GRUCell)), Recurrent(made(GRUCell)), rows()
    plain = other(x).outputs
    with changing(layer, {"state.h": Change(scale=0)}):
        assert torch.equal(other(x).outputs, plain)
        assert not layer(x).outputs.any()
    assert layer(x).outputs.any()


def test_in_training_with_dropout():
    """Noise is drawn as it is without changes."""
    layer, x = Recurrent(GRUCell(4, 5, recurrent_dropout=0.5).double()), rows()
    torch.manual_seed(3)
    plain = layer(x).outputs
    torch.manual_seed(3)
    with changing(layer, {"state.h": Change()}):
        assert torch.allclose(layer(x).outputs, plain, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"update gat": Change()}, SettingError, "no 'update gat'; did you mean 'cell: update gat"),
        (None, SettingError, "expected changes by key, got"),
        ({"update gate": 0.5}, SettingError, r"'update gate': expected a recurra.Change, got"),
        ({"state.h": Change(units=5)}, ShapeError, "units: expected whole numbers of 0 to 4"),
        ({"state.h": Change(rows=[0.5])}, ShapeError, "rows: expected whole numbers of 0 to 2"),
        ({"state.h": Change(shift=torch.zeros(6))}, ShapeError, r"spreads over \[7, 3, 5\]"),
        ({"state.h": Change(scale="no")}, ShapeError, "'state.h': expected a number"),
    ],
)
def test_bad_changes(changes, error, words):
    layer = Recurrent(made(GRUCell))
    with pytest.raises(error, match=words), changing(layer, changes):
        layer(rows())


def test_a_step_that_is_none():
    with pytest.raises(SettingError, match=r"since: expected a step such as 10, got 1\.5"):
        Change(since=1.5)
    with pytest.raises(SettingError, match="expected a layer or model, got"), changing(7, {}):
        pass


def test_one_run_of_several_is_moved():
    """By its number; without one all runs are."""
    cell = made(GRUCell)
    layer, x = Recurrent(cell), rows()
    plain = layer(x).outputs
    for moved in (layer, cell):  # where a cell is the module, its place is empty
        place = "cell" if moved is layer else ""
        for key, runs in (
            (f"{place} (2): state.h".lstrip(), [1]),
            (f"{place} (1): state.h".lstrip(), [0]),
            (f"{place}: state.h" if place else "state.h", [0, 1, 2]),
        ):
            with changing(moved, {key: Change(scale=0, shift=7.0)}):
                found = [layer(x).outputs for _ in range(3)]
            for number, outputs in enumerate(found):
                wanted = torch.full_like(plain, 7.0) if number in runs else plain
                assert torch.equal(outputs, wanted)
    with (
        pytest.raises(SettingError, match=r"no 'cell \(3\): state.h'"),
        changing(layer, {"cell (3): state.h": Change()}),
    ):
        layer(x), layer(x)


def test_each_ends_for_itself():
    """In whatever order they end, and in tasks that take turns."""
    layer, x = Recurrent(made(GRUCell)), rows()
    plain = layer(x).outputs
    one, two = (
        changing(layer, {"state.h": Change(scale=0, shift=n)}, required=False) for n in (1.0, 2.0)
    )
    one.__enter__()
    two.__enter__()
    one.__exit__(None, None, None)
    assert (layer(x).outputs == 2).all()
    two.__exit__(None, None, None)
    assert torch.equal(layer(x).outputs, plain)

    async def held(value):
        with changing(layer, {"state.h": Change(scale=0, shift=value)}):
            await asyncio.sleep(0)
            return float(layer(x).outputs.detach().mean())

    async def both():
        return await asyncio.gather(held(1.0), held(2.0))

    assert asyncio.run(both()) == [1.0, 2.0]
    assert torch.equal(layer(x).outputs, plain)


def test_no_steps_and_no_rows():
    layer = Recurrent(made(GRUCell))
    for time, batch in ((0, 3), (4, 0)):
        with changing(layer, {"state.h": Change(scale=0, units=2)}):
            assert layer(torch.zeros(time, batch, 4).double()).outputs.shape == (time, batch, 5)


def test_what_does_not_run_is_told_unless_it_need_not():
    layer, other, x = Recurrent(made(GRUCell)), Recurrent(made(GRUCell)), rows()
    change = {"state.h": Change(scale=0)}
    with pytest.raises(SettingError, match="no cell of the Recurrent ran"), changing(layer, change):
        other(x)
    with changing(layer, change, required=False):
        other(x)
    with changing(layer, {"stat.h": Change()}, required=False):
        layer(x)
    with changing(layer, {}):
        pass
    with pytest.raises(SettingError, match="required: expected true or false"):
        changing(layer, change, required="no").__enter__()
    with pytest.raises(KeyError), changing(layer, change):
        raise KeyError("of the block, and not hidden by what did not run")


# ---- a cell that is called by itself -------------------------------------------------------------


@pytest.mark.parametrize("kind", cell_names())
def test_steps_that_are_called_are_moved_as_a_run_is(kind):
    """By hand through time as by a layer, with everything that can be moved."""
    cell = cell_by_name(kind, 4, 5).double().eval()
    if cell.takes_context or not isinstance(cell.example_input(1), torch.Tensor):
        pytest.skip("needs more than one tensor")
    x = rows()
    seen = recurra.named_values(run, cell, x)
    labels = [key.partition(": ")[2] for key, value in seen.items() if value.is_floating_point()]
    for label in ["input", *labels]:
        changes = {label: Change(scale=0.5, shift=0.25, rows=[0, 2])}
        with changing(cell, changes):
            wanted = run(cell, x).outputs
        state, found = cell.initial_state(BATCH), []
        with changing(cell, changes):
            for now in x:
                y, state = cell(now, state)
                found.append(y)
        assert torch.allclose(torch.stack(found), wanted, rtol=0, atol=1e-12), label


def test_a_step_alone_is_a_run_of_its_own():
    """By its number, of its cell alone, and not twice where a step calls that of its base."""

    class Derived(GRUCell):
        def step(self, x, state, context=None, noise=None):
            return super().step(x, state, context=context, noise=noise)

    cell, x = made(Derived), rows()[0]
    plain = cell(x)[0]
    with changing(cell, {"(2): state.h": Change(scale=0, shift=7.0)}):
        assert [torch.equal(cell(x)[0], plain) for _ in range(3)] == [True, False, True]
    with changing(cell, {"state.h": Change(shift=1.0)}):
        assert torch.equal(cell.step(x, cell.initial_state(BATCH))[0], plain), "the equation alone"
        assert torch.equal(cell(x)[1].h, plain + 1)
    outer = recurra.Zoneout(cell, 0.0)
    with changing(cell, {"state.h": Change(shift=1.0)}, required=False):
        assert torch.equal(outer(x)[0], plain), "a part of another one's step"
    with changing(outer, {"state.h": Change(shift=1.0), "input": Change(scale=1)}):
        seen = recurra.named_values(outer, x)
        assert torch.equal(seen.result[0], plain + 1)
        assert "update gate" in seen


@pytest.mark.parametrize("every", [None, 2])
def test_a_gradient_that_runs_steps_again_is_not_moved_twice(every):
    cell, x = made(GRUCell), rows()
    layer = Recurrent(cell, backend="loop", checkpoint_every=every)
    weight = cell.recurrent_weight
    (wanted,) = torch.autograd.grad(layer(x).outputs.sum(), weight)
    total = layer(x).outputs.sum()
    with changing(cell, {"state.h": Change(shift=1.0)}, required=False):
        (found,) = torch.autograd.grad(total, weight)
    assert torch.equal(found, wanted)


# ---- some of so many -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "same"),
    [
        (slice(1, 3), [1, 2]),
        (slice(None, None, 2), [0, 2, 4]),
        (slice(None, None, -1), [0, 1, 2, 3, 4]),
        (slice(-2, None), [3, 4]),
        ([False, True, False, False, True], [1, 4]),
        (torch.tensor([True, False, False, False, False]), [0]),
        ([], []),
        (slice(9, 12), []),
    ],
)
def test_slices_and_masks(chosen, same):
    layer, x = Recurrent(made(GRUCell)), rows()[:5]
    for what in ("units", "steps"):
        found = []
        for some in (chosen, same):
            with changing(layer, {"update gate": Change(scale=0, **{what: some})}):
                found.append(layer(x).outputs)
        assert torch.equal(*found), what
        assert torch.equal(found[0], layer(x).outputs) == (not same)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"units": [True, False]}, "units: expected a mask of 5, got one of"),
        ({"steps": torch.zeros(3, dtype=torch.bool)}, "steps: expected a mask of 7, got one of"),
        ({"rows": slice("a", None)}, "rows: expected a slice of whole numbers"),
        ({"units": slice(0, 5, 0)}, "units: expected a slice of whole numbers"),
        ({"units": True}, "units: expected whole numbers of 0 to 4, got True"),
        ({"steps": [7]}, "steps: expected whole numbers of 0 to 6"),
        ({"units": "all"}, "units: expected whole numbers of 0 to 4, got 'all'"),
    ],
)
def test_wrong_choices(change, words):
    layer = Recurrent(made(GRUCell))
    with pytest.raises(ShapeError, match=words), changing(layer, {"state.h": Change(**change)}):
        layer(rows())


def test_changes_that_say_too_much_or_nothing():
    with pytest.raises(SettingError, match="steps: expected none beside since=2"):
        Change(since=2, steps=[3])
    for number in (float("nan"), np.float32("nan"), torch.tensor([0.0, float("nan")])):
        with pytest.raises(SettingError, match="scale: expected a number, got NaN"):
            Change(scale=number)
    for step in ({"since": -1}, {"until": -1}):
        with pytest.raises(SettingError, match="expected a step such as 10, got -1"):
            Change(**step)


def test_an_imaginary_part_is_not_lost():
    layer = Recurrent(made(GRUCell))
    change = {"state.h": Change(scale=torch.tensor(1j))}
    with pytest.raises(ShapeError, match="expected a number"), changing(layer, change):
        layer(rows())


def test_steps_of_numpy_are_steps() -> None:
    for kind in (np.int64, np.uint8):
        change = Change(since=kind(3), until=kind(5))
        assert (change.since, change.until) == (3, 5)
        assert type(change.since) is type(change.until) is int
    for wrong in (np.float64(3), np.bool_(True), True, -1):
        with pytest.raises(SettingError, match="since: expected a step such as 10"):
            Change(since=wrong)
