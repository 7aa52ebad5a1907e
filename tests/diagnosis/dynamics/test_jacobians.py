"""Jacobians of every cell against torch's and against finite differences, and products of them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

import recurra
from recurra import Cell, HiddenState, states
from recurra.cells import cell_by_name, cell_names
from recurra.cells.gaps import GappedInput
from recurra.diagnosis import fixed_points, jacobians, visited_states
from recurra.diagnosis.dynamics import steps
from recurra.errors import SettingError, ShapeError

PLAIN = [
    name for name in cell_names() if isinstance(cell_by_name(name, 3, 4).example_input(1), Tensor)
]
TIME, BATCH = 6, 5
LENGTHS = [6, 0, 3, 5, 1]


class OddState(NamedTuple):
    """A state inside the state, trailing axes, a whole number."""

    inner: HiddenState
    grid: Tensor
    count: Tensor


class OddCell(Cell):
    """Carries what no other cell does, and counts."""

    def __init__(self, input_size: int = 3, hidden_size: int = 2) -> None:
        super().__init__(input_size, hidden_size)
        self.read = nn.Linear(input_size + 6, hidden_size)

    def initial_state(self, batch: int) -> OddState:
        count = torch.zeros(batch, dtype=torch.int64)
        return OddState(HiddenState(self.zeros(batch)), self.zeros(batch, 2, 3), count)

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        seen = torch.cat([x, state.grid.flatten(1)], 1)
        h = torch.tanh(self.read(seen) * (1 + state.count.unsqueeze(1)))
        grid = 0.5 * state.grid.tanh() + h[:, :, None] * state.inner.h[:, :1, None]
        return h, OddState(HiddenState(h), grid, state.count + 1)


class Topic(NamedTuple):
    topic: Tensor


class ContextCell(Cell):
    """Reads a context."""

    takes_context = True

    def __init__(self) -> None:
        super().__init__(3, 4)
        self.read = nn.Linear(5, 4)
        self.keep = nn.Linear(4, 4)

    def initial_state(self, batch: int) -> HiddenState:
        return HiddenState(self.zeros(batch))

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        h = torch.tanh(self.read(torch.cat([x, context.topic], 1)) * self.keep(state.h))
        return h, HiddenState(h)


def flat(state: Any) -> Tensor:
    """One row's real fields, side by side."""
    return torch.cat(
        [leaf.flatten(1) for leaf in states.leaves(state) if leaf.is_floating_point()], 1
    )


def map_of(cell: Cell, x: Tensor, like: Any, context: Any = None) -> Any:
    """F of one row as a function of its flat state."""
    sizes = [leaf[0].numel() for leaf in states.leaves(like) if leaf.is_floating_point()]

    def step(units: Tensor) -> Tensor:
        parts = iter(units.split(sizes))
        made = [
            next(parts).view(leaf.shape) if leaf.is_floating_point() else leaf
            for leaf in states.leaves(like)
        ]
        return flat(cell.step(x, states.with_leaves(like, made), context)[1])[0]

    return step


def walk(cell: Cell, inputs: Tensor, row: int, steps: int, context: Any = None) -> Any:
    """States of one row before each step, by the cell's own step."""
    state = cell.initial_state(1)
    for t in range(steps):
        yield inputs[t, row : row + 1], state
        state = states.detach(cell.step(inputs[t, row : row + 1], state, context)[1])


def relative(found: Tensor, wanted: Tensor) -> float:
    wanted = wanted.detach()
    return float((found - wanted).norm() / wanted.norm().clamp(min=1e-300))


@pytest.mark.parametrize("name", PLAIN)
def test_every_cell_is_as_torch_differentiates_it(name: str) -> None:
    cell = cell_by_name(name, 3, 4).double()
    inputs = torch.randn(TIME, BATCH, 3, dtype=torch.float64)
    found = jacobians(cell, inputs, lengths=LENGTHS)
    assert found.matrices.dtype == torch.float64
    assert len(found.units) == flat(cell.initial_state(1)).shape[1]
    for row, length in enumerate(LENGTHS):
        for t, (x, state) in enumerate(walk(cell, inputs, row, length)):
            torch.testing.assert_close(found.states[t, row], flat(state)[0], rtol=1e-9, atol=1e-12)
            # At the very state that was visited.
            step = map_of(cell, x, state)
            wanted = torch.func.jacrev(step)(found.states[t, row])
            assert relative(found.matrices[t, row], wanted) <= 1e-10
    assert not found.matrices[~found.valid].any()
    assert found.valid.sum(0).tolist() == LENGTHS


@pytest.mark.parametrize("name", PLAIN)
def test_spectra_are_those_of_finite_differences(name: str) -> None:
    cell = cell_by_name(name, 3, 4).double()
    inputs = torch.randn(TIME, 2, 3, dtype=torch.float64)
    found = jacobians(cell, inputs)
    radius, stretched = found.spectral_radius(), found.singular_values()
    for t, (x, state) in enumerate(walk(cell, inputs, 1, TIME)):
        step, at = map_of(cell, x, state), found.states[t, 1]
        width = 1e-5
        sides = [[step(at + sign * width * unit) for unit in torch.eye(len(at)).double()]
                 for sign in (1, -1)]  # fmt: skip
        with torch.no_grad():
            near = ((torch.stack(sides[0]) - torch.stack(sides[1])) / (2 * width)).T
        wanted = torch.linalg.svdvals(near)
        assert relative(stretched[t, 1], wanted) <= 1e-6
        largest = float(torch.linalg.eigvals(near).abs().max())
        # An sLSTM carries a scale: its eigenvalue 1 is double and has one vector, so that an error
        # of the differences comes back as its root.
        bound = 1e-6 if name != "slstm" else 1e-4
        assert abs(float(radius[t, 1]) - largest) <= bound * max(largest, float(wanted[0]))
        # For what is not normal: each is an eigenvalue of a matrix so near.
        shifted = near - found.eigenvalues()[t, 1][:, None, None] * torch.eye(len(at))
        assert torch.linalg.svdvals(shifted)[:, -1].max() <= 1e-6 * wanted[0]


def test_a_step_that_is_wrong_by_a_little_is_seen() -> None:
    """The bound of the first test can fail: a Jacobian at a state beside is not within it."""
    cell = cell_by_name("gru", 3, 4).double()
    inputs = torch.randn(TIME, 1, 3, dtype=torch.float64)
    found = jacobians(cell, inputs)
    x, state = list(walk(cell, inputs, 0, TIME))[3]
    wanted = torch.func.jacrev(map_of(cell, x, state))(found.states[3, 0] + 1e-8)
    assert relative(found.matrices[3, 0], wanted) > 1e-10


def test_padding_is_never_read() -> None:
    cell = recurra.LSTMCell(3, 4)
    inputs = torch.randn(TIME, BATCH, 3)
    wanted = jacobians(cell, inputs, lengths=LENGTHS)
    for row, length in enumerate(LENGTHS):
        inputs[length:, row] = math.nan
    for layer in (cell, recurra.Stack([recurra.Recurrent(cell)])):
        found = jacobians(layer, inputs, lengths=LENGTHS)
        torch.testing.assert_close(found.matrices, wanted.matrices)
    assert wanted.matrices.isfinite().all()


@pytest.mark.parametrize(("time", "batch"), [(0, 2), (3, 0), (0, 0)])
def test_nothing_gives_nothing(time: int, batch: int) -> None:
    inputs = torch.zeros(time, batch, 3)
    for module in (recurra.GRUCell(3, 4), recurra.Stack([recurra.Recurrent(OddCell(3, 2))])):
        found = jacobians(module, inputs)
        size = len(found.units)
        assert found.matrices.shape == (time, batch, size, size)
        assert found.spectral_radius().shape == (time, batch)
        assert found.singular_values().shape == (time, batch, size)
        assert found.log_norms(2).shape == (3, time, batch)
        assert visited_states(module, inputs).states.shape == (time, batch, size)


def test_fields_stand_side_by_side_and_whole_numbers_are_left_out() -> None:
    cell = OddCell().double()
    inputs = torch.randn(TIME, 2, 3, dtype=torch.float64)
    found = jacobians(cell, inputs)
    grid = [f"grid[{i},{j}]" for i in range(2) for j in range(3)]
    assert found.units == ("inner.h[0]", "inner.h[1]", *grid)
    assert found.left_out == ("count",)
    for t, (x, state) in enumerate(walk(cell, inputs, 1, TIME)):
        assert int(state.count) == t  # which each step is told
        wanted = torch.func.jacrev(map_of(cell, x, state))(flat(state)[0])
        assert relative(found.matrices[t, 1], wanted) <= 1e-10


def test_each_row_has_its_context() -> None:
    cell = ContextCell().double()
    inputs = torch.randn(TIME, 2, 3, dtype=torch.float64)
    begin = HiddenState(torch.randn(2, 4, dtype=torch.float64))
    topic = torch.randn(2, 2, dtype=torch.float64)
    found = jacobians(cell, inputs, begin, lengths=[2, 6], context=Topic(topic))
    assert torch.equal(found.states[0], begin.h)
    for row, length in ((0, 2), (1, 6)):
        for t in range(length):
            state = HiddenState(found.states[t, row : row + 1])
            step = map_of(cell, inputs[t, row : row + 1], state, Topic(topic[row : row + 1]))
            wanted = torch.func.jacrev(step)(found.states[t, row])
            assert relative(found.matrices[t, row], wanted) <= 1e-10
    with pytest.raises(ShapeError, match="reads a context"):
        jacobians(cell, inputs)


def test_inputs_of_several_fields() -> None:
    cell = recurra.GRUDCell(3, 4).double()
    shown = torch.rand(TIME, 2, 3) < 0.5
    values = torch.randn(TIME, 2, 3, dtype=torch.float64).masked_fill(~shown, math.nan)
    inputs = GappedInput(values, shown, torch.rand(TIME, 2, 1, dtype=torch.float64))
    found = jacobians(cell, inputs, lengths=[6, 4])
    assert found.units[4:8] == ("last[0]", "last[1]", "last[2]", "unseen[0]")
    assert found.matrices.isfinite().all()
    state = cell.initial_state(1)
    for t in range(4):
        x = states.map_tree(lambda leaf, t=t: leaf[t, 1:], inputs)
        wanted = torch.func.jacrev(map_of(cell, x, state))(found.states[t, 1])
        assert relative(found.matrices[t, 1], wanted) <= 1e-10
        state = states.detach(cell.step(x, state)[1])


def test_an_attention_looks_at_the_memory_of_its_row() -> None:
    cell = recurra.AttentionCell(recurra.GRUCell(3 + 4, 4), 2).double()
    read = recurra.PaddedSequence(torch.randn(5, 2, 2, dtype=torch.float64), torch.tensor([5, 3]))
    memory = cell.memory(read)
    inputs = torch.randn(TIME, 2, 3, dtype=torch.float64)
    found = jacobians(cell, inputs, context=memory)
    own = states.select_rows(memory, torch.tensor([1]))
    state = states.map_tree(lambda leaf: leaf[1:], cell.initial_state(2))
    for t in range(TIME):
        wanted = torch.func.jacrev(map_of(cell, inputs[t, 1:], state, own))(found.states[t, 1])
        assert relative(found.matrices[t, 1], wanted) <= 1e-10
        state = states.detach(cell.step(inputs[t, 1:], state, own)[1])
    begin = visited_states(cell, inputs, context=memory)
    points = fixed_points(cell, torch.zeros(3), begin, context=own, starts=5)
    assert points.units == found.units


def test_a_cell_without_weights_computes_as_its_inputs() -> None:
    class Sum(Cell):
        def initial_state(self, batch: int) -> HiddenState:
            return HiddenState(self.zeros(batch))

        def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
            return x, HiddenState(0.5 * state.h + x)

    for dtype in (torch.float32, torch.float64):
        found = jacobians(Sum(2, 2), torch.ones(3, 1, 2, dtype=dtype))
        assert found.matrices.dtype == found.states.dtype == dtype
        assert torch.equal(found.matrices[2, 0], 0.5 * torch.eye(2, dtype=dtype))


def test_layers_are_as_their_cells() -> None:
    inputs = torch.randn(TIME, BATCH, 3)
    below, above = recurra.GRUCell(3, 4), recurra.LSTMCell(4, 2)
    alone = jacobians(below, inputs, lengths=LENGTHS)
    layer = recurra.Recurrent(below)
    torch.testing.assert_close(jacobians(layer, inputs, lengths=LENGTHS).matrices, alone.matrices)
    stack = recurra.Stack([layer, recurra.Recurrent(above)], dropout=0.5).train()
    found = jacobians(nn.ModuleDict({"body": stack}), inputs, lengths=LENGTHS)
    assert stack.training
    assert found.units[:4] == tuple(f"[0].h[{unit}]" for unit in range(4))
    assert found.units[4] == "[1].h[0]"
    torch.testing.assert_close(found.matrices[:, :, :4, :4], alone.matrices)
    assert not found.matrices[:, :, :4, 4:].any()  # nothing comes down
    assert found.matrices[:, :, 4:, :4][found.valid].abs().sum() > 0


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM, nn.RNN])
def test_layers_of_torch_are_converted(kind: Any, layers: int) -> None:
    theirs = kind(3, 4, num_layers=layers).double()
    with pytest.raises(SettingError, match="convert"):
        jacobians(theirs, torch.zeros(1, 1, 3))
    ours = recurra.convert(theirs)
    inputs = torch.randn(TIME, 1, 3, dtype=torch.float64)
    found = jacobians(ours, inputs)
    parts = 2 if kind is nn.LSTM else 1
    assert len(found.units) == 4 * layers * parts

    def step(units: Tensor) -> Tensor:
        """Layer by layer, in each h and then c."""
        leaves = units.view(layers, parts, 1, 4).unbind(1)
        twin = kind(3, 4, num_layers=layers).double()
        twin.load_state_dict(ours.state_dict())
        _, end = twin(inputs[3:4], leaves if parts == 2 else leaves[0])
        end = end if parts == 2 else (end,)
        return torch.stack(end, 1).flatten()

    wanted = torch.autograd.functional.jacobian(step, found.states[3, 0])
    assert relative(found.matrices[3, 0], wanted) <= 1e-9


def test_what_is_no_single_forward_recurrence_is_refused() -> None:
    x = torch.zeros(1, 1, 3)
    two = nn.ModuleDict({"a": recurra.Recurrent(recurra.GRUCell(3, 4)), "b": recurra.GRUCell(3, 4)})
    with pytest.raises(SettingError, match="expected one recurrence inside, got a, b"):
        jacobians(two, x)
    with pytest.raises(SettingError, match="got none"):
        jacobians(nn.Linear(3, 4), x)
    with pytest.raises(SettingError, match="got int"):
        jacobians(3, x)
    for backward in (
        recurra.Recurrent(recurra.GRUCell(3, 4), reverse=True),
        recurra.GRU(3, 4, bidirectional=True),
    ):
        with pytest.raises(SettingError, match="reads from the end"):
            jacobians(backward, x)
    with pytest.raises(ShapeError, match="state of GRUCell"):
        jacobians(recurra.GRUCell(3, 4), x, HiddenState(torch.zeros(1, 5)))


def test_a_change_that_would_not_be_seen_is_refused() -> None:
    layer = recurra.Recurrent(recurra.GRUCell(3, 4))
    with (
        recurra.changing(layer, {"state.h": recurra.Change(scale=0.0)}, required=False),
        pytest.raises(SettingError, match="outside of them"),
    ):
        jacobians(layer, torch.zeros(2, 1, 3))


def test_inference_mode_is_left() -> None:
    cell, inputs = recurra.GRUCell(3, 4), torch.randn(2, 1, 3)
    wanted = jacobians(cell, inputs).matrices
    with torch.inference_mode():
        assert torch.equal(jacobians(cell, inputs * 1).matrices, wanted)


def test_precision_is_the_cells_unless_another_is_asked_for() -> None:
    cell, inputs = recurra.LSTMCell(3, 8), torch.randn(20, 2, 3)
    single = jacobians(cell, inputs)
    double = jacobians(cell, inputs, dtype=torch.float64)
    assert single.matrices.dtype == torch.float32
    assert double.matrices.dtype == torch.float64
    assert all(parameter.dtype == torch.float32 for parameter in cell.parameters())
    error = relative(single.matrices.double(), double.matrices)
    assert 1e-9 < error < 1e-5
    with pytest.raises(SettingError, match=r"got bfloat16.*dtype=torch\.float32 is given"):
        jacobians(recurra.GRUCell(3, 8).bfloat16(), inputs.bfloat16())
    two = recurra.LSTM(3, 4, num_layers=2)
    assert jacobians(two, inputs, dtype=torch.float64).matrices.dtype == torch.float64
    assert two.weight_hh_l1.dtype == torch.float32


@pytest.mark.parametrize("wide", [1, 5, 30, 2048])
@pytest.mark.parametrize("rows", [1, 5, 100])
def test_chunks_change_nothing(rows: int, wide: int, monkeypatch: pytest.MonkeyPatch) -> None:
    cell, inputs = recurra.LSTMCell(3, 4).double(), torch.randn(TIME, 2, 3, dtype=torch.float64)
    stack = recurra.Stack([recurra.Recurrent(cell)])
    whole = jacobians(cell, inputs).matrices
    monkeypatch.setattr(steps, "_CHUNK", 8 * 32 * 8 * rows)  # rows of eight units
    monkeypatch.setattr(steps, "_WIDE", wide)
    for module in (cell, stack):
        found = jacobians(module, inputs).matrices
        torch.testing.assert_close(found, whole, rtol=1e-12, atol=1e-14)


def test_too_much_memory_is_refused_before_it_is_taken() -> None:
    cell = recurra.LSTMCell(3, 1024)
    with pytest.raises(ShapeError, match=r"8 GiB, expected at most memory=1 GiB.*lyapunov"):
        jacobians(cell, torch.zeros(128, 4, 3))
    small = jacobians(recurra.GRUCell(3, 4), torch.zeros(2, 2, 3), memory=4 * 4 * 4 * 4)
    assert small.matrices.numel() == 64


def test_products_are_derivatives_over_several_steps() -> None:
    cell = recurra.GRUCell(3, 4).double()
    inputs = torch.randn(TIME, 2, 3, dtype=torch.float64)
    found = jacobians(cell, inputs, lengths=[6, 4])
    begin = found.states[1, 0]

    def three(units: Tensor) -> Tensor:
        state = HiddenState(units.unsqueeze(0))
        for t in range(1, 4):
            _, state = cell.step(inputs[t, :1], state)
        return state.h[0]

    wanted = torch.func.jacrev(three)(begin).detach()
    made = found.products(3)
    assert made.matrices.shape == (4, 2, 4, 4)
    product = made.matrices[1, 0] * made.log_scales[1, 0].exp()
    assert relative(product, wanted) <= 1e-10
    assert made.log_scales.isnan().tolist() == [
        [False, False],
        [False, False],
        [False, True],
        [False, True],
    ]
    norms = found.log_norms(6)
    assert float(norms[3, 1, 0]) == pytest.approx(math.log(torch.linalg.matrix_norm(wanted, 2)))
    assert torch.equal(norms[0][:, 0], torch.zeros(6, dtype=torch.float64))
    assert norms[4, :, 1].isnan().tolist() == [False, *[True] * 5]
    assert found.products(7).matrices.shape == (0, 2, 4, 4)


def test_a_row_that_diverges_spoils_no_other() -> None:
    cell = recurra.ElmanCell(1, 2, activation=None)
    with torch.no_grad():
        cell.recurrent_weight.copy_(0.5 * torch.eye(2))
    found = jacobians(cell, torch.zeros(3, 2, 1))
    found.matrices[1, 0, 0, 0] = math.inf
    assert found.spectral_radius().isnan().sum() == 1
    assert found.singular_values().isnan().all(-1).tolist() == [
        [False] * 2,
        [True, False],
        [False] * 2,
    ]
    assert found.spectral_radius()[:, 1].tolist() == [0.5] * 3


@pytest.mark.parametrize("factor", [30.0, 1 / 30, 0.0])
def test_products_neither_overflow_nor_vanish(factor: float) -> None:
    cell = recurra.ElmanCell(1, 3, activation=None)
    with torch.no_grad():
        cell.recurrent_weight.copy_(factor * torch.eye(3))
    time = 400  # 30^400 is no float
    norms = jacobians(cell, torch.zeros(time, 1, 1)).log_norms(time)
    wanted = time * math.log(factor) if factor else -math.inf
    assert float(norms[time, 0, 0]) == pytest.approx(wanted, rel=1e-4)
