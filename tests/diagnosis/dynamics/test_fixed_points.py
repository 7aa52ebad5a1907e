"""Fixed and slow points of cells that are made for them, and of every registered cell."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

import recurra
from recurra import Cell, HiddenState
from recurra.cells import cell_by_name, cell_names
from recurra.diagnosis import FixedPoints, fixed_points, visited_states
from recurra.diagnosis.dynamics import search
from recurra.errors import SettingError, ShapeError


class Map(Cell):
    """A cell that only maps its state; it has no weights."""

    def __init__(self, size: int, function: Any) -> None:
        super().__init__(1, size)
        self.function = function

    def initial_state(self, batch: int) -> HiddenState:
        return HiddenState(self.zeros(batch))

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        h = self.function(state.h + 0 * x)
        return h, HiddenState(h)


def cloud(size: int, spread: float = 1.0, count: int = 200) -> HiddenState:
    drawn = torch.randn(count, size, generator=torch.Generator().manual_seed(0))
    return HiddenState(spread * drawn.double())


def of(function: Any, size: int, **settings: Any) -> FixedPoints:
    """Found where ``function`` maps states, from a cloud around 0."""
    return fixed_points(Map(size, function), torch.zeros(1), cloud(size), **settings)


def root() -> float:
    """x > 0 with x = tanh 2 x, by bisection."""
    low, high = 0.5, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if math.tanh(2 * middle) > middle else (low, middle)
    return low


@pytest.mark.parametrize("size", [1, 2, 3])
def test_all_points_of_independent_units_are_found(size: int) -> None:
    """h' = tanh 2 h rests where each unit is 0, r or -r, and is stable where none is 0."""
    found = of(lambda h: torch.tanh(2 * h), size)
    r = root()
    places = torch.tensor([-r, 0.0, r], dtype=torch.float64)
    wanted = torch.cartesian_prod(*[places] * size).view(-1, size)
    assert len(found.kinds) == 3**size
    for point in wanted:
        nearest = int((found.points - point).norm(dim=1).argmin())
        torch.testing.assert_close(found.points[nearest], point, rtol=0, atol=1e-9)
        zeros = int((point == 0).sum())
        kind = "stable" if not zeros else "unstable" if zeros == size else "saddle"
        assert found.kinds[nearest] == kind
        # Known in closed form: 2 at 0, 2 (1 - r^2) at r.
        slopes = (2 * (1 - point**2)).sort(descending=True).values
        torch.testing.assert_close(found.eigenvalues[nearest].real, slopes, rtol=0, atol=1e-7)
        taus = 1 / slopes.log().abs()
        torch.testing.assert_close(found.time_constants()[nearest], taus, rtol=1e-6, atol=0)
    assert found.residuals.max() <= 1e-12
    assert found.of("stable").shape == (2**size, size)
    assert int(found.counts.sum()) + found.unsettled + found.far == 1024
    assert found.kinds[: 2**size] == ("stable",) * 2**size  # by kind


def test_a_line_of_fixed_points_is_marginal() -> None:
    found = of(lambda h: torch.stack([h[:, 0], 0.5 * h[:, 1]], 1), 2, apart=1e-2)
    assert set(found.kinds) == {"marginal"}
    assert len(found.kinds) > 50  # all along it
    assert found.points[:, 1].abs().max() < 1e-8
    assert found.points[:, 0].std() > 0.5
    assert found.time_constants()[:, 0].min() > 1e5


def test_where_two_points_have_just_vanished_there_is_a_slow_one() -> None:
    """h' = h + e + h^2 has no fixed point; its speed e + h^2 is least at 0, and e there."""
    e = 0.01

    def flow(h: Tensor) -> Tensor:
        return torch.stack([h[:, 0] + e + h[:, 0] ** 2, 0.5 * h[:, 1]], 1)

    found = of(flow, 2)
    assert found.kinds == ("slow",)
    torch.testing.assert_close(found.points[0], torch.zeros(2).double(), rtol=0, atol=1e-5)
    assert float(found.residuals[0]) == pytest.approx(e, rel=1e-6)
    assert found.eigenvalues[0].real.tolist() == pytest.approx([1.0, 0.5], abs=1e-4)


def test_a_drift_along_a_line_has_no_point_at_all() -> None:
    found = of(lambda h: torch.stack([h[:, 0] + torch.exp(h[:, 0]), 0.5 * h[:, 1]], 1), 2)
    assert found.points.shape == (0, 2)
    assert found.kinds == ()
    assert found.far + found.unsettled == 1024
    assert found.time_constants().shape == (0, 2)
    assert found.of("stable").shape == (0, 2)
    assert "no fixed and no slow point was found" in str(found)


def test_the_top_of_a_speed_is_no_slow_point() -> None:
    """q of h' = h + 1 + 1 / (1 + h^2) is flat at 0, where it is most."""
    found = fixed_points(
        Map(1, lambda h: h + 1 + 1 / (1 + h**2)), torch.zeros(1),
        HiddenState(torch.zeros(3, 1).double()), starts=5, noise=0.0,
    )  # fmt: skip
    assert found.kinds == ()
    assert found.unsettled == 5


def test_around_a_limit_cycle_nothing_is_stable() -> None:
    """Turned by 0.3 and driven to a circle: the only fixed point is the middle, and repels."""

    def turn(h: Tensor) -> Tensor:
        c, s = math.cos(0.3), math.sin(0.3)
        radius = h.norm(dim=1, keepdim=True).clamp(min=1e-30)
        grown = h * torch.tanh(1.5 * radius) / radius
        return grown @ torch.tensor([[c, s], [-s, c]]).to(h)

    found = of(turn, 2)
    assert found.kinds == ("unstable",)
    assert found.points.abs().max() < 1e-9
    assert found.eigenvalues[0].abs().tolist() == pytest.approx([1.5, 1.5])
    assert found.eigenvalues[0].angle().abs().tolist() == pytest.approx([0.3, 0.3])
    # The cycle is there: states that are let go end on it.
    state = HiddenState(torch.full((1, 2), 0.01).double())
    for _ in range(200):
        _, state = Map(2, turn).step(torch.zeros(1, 1).double(), state)
    assert 0.5 < float(state.h.norm()) < 1


def test_where_there_is_no_derivative_nothing_rests() -> None:
    """h' = sqrt |h| rests at 0, where its slope is infinite, and at 1, which is stable."""
    found = of(lambda h: h.abs().sqrt(), 1)
    assert found.points.tolist() == [[pytest.approx(1.0)]]
    assert found.kinds == ("stable",)
    at_it = fixed_points(
        Map(1, lambda h: h.abs().sqrt()), torch.zeros(1),
        HiddenState(torch.zeros(1, 1).double()), starts=3,
    )  # fmt: skip
    assert at_it.kinds == ()
    assert at_it.unsettled == 3


def test_what_is_far_from_all_visited_states_is_left_out() -> None:
    far = fixed_points(
        Map(1, lambda h: 0.5 * h + 50), torch.zeros(1), cloud(1), starts=10
    )  # rests at 100
    assert far.kinds == ()
    assert far.far == 10
    near = fixed_points(
        Map(1, lambda h: 0.5 * h + 50), torch.zeros(1), cloud(1), starts=10, reach=200
    )
    assert near.points.tolist() == [[pytest.approx(100)]]
    assert float(near.distances[0]) == pytest.approx(100, rel=0.05)


NAMES = [n for n in cell_names() if isinstance(cell_by_name(n, 3, 4).example_input(1), Tensor)]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_found_in_any_cell_does_rest(name: str) -> None:
    cell = cell_by_name(name, 3, 4)
    x = torch.randn(3)
    visited = visited_states(cell, torch.randn(20, 4, 3))
    found = fixed_points(cell, x, visited, starts=50)
    assert found.units == visited.units
    assert found.points.dtype == torch.float64
    assert int(found.counts.sum()) + found.unsettled + found.far == 50
    twin = cell_by_name(name, 3, 4).double()
    twin.load_state_dict(cell.state_dict())
    parts = found.points.split([leaf.shape[1] for leaf in cell.initial_state(1)], 1)
    state = type(cell.initial_state(1))(*parts)
    _, after = twin.step(x.double().expand(len(found.kinds), 3), state)
    moved = (torch.cat(list(after), 1) - found.points).norm(dim=1).detach()
    fixed = torch.tensor([kind != "slow" for kind in found.kinds], dtype=torch.bool)
    assert bool((moved[fixed] <= 1e-9 * (1 + found.points[fixed].norm(dim=1))).all())
    torch.testing.assert_close(moved, found.residuals, rtol=1e-6, atol=1e-14)


class Counted(NamedTuple):
    h: Tensor
    count: Tensor


class Counter(Cell):
    """Rests at half of what it has counted to, if that is held."""

    def __init__(self) -> None:
        super().__init__(1, 1)

    def initial_state(self, batch: int) -> Counted:
        return Counted(self.zeros(batch), torch.full((batch,), 6))

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        h = 0.5 * state.h + 0.25 * state.count.unsqueeze(1) + x
        return h, Counted(h, state.count + 1)


def test_whole_numbers_are_held_and_that_is_told() -> None:
    state = Counted(torch.linspace(-9, 9, 20).double()[:, None], torch.arange(20) % 2 * 4)
    found = fixed_points(Counter(), torch.zeros(1), state, starts=64)
    assert found.points[:, 0].sort().values.tolist() == pytest.approx([0.0, 2.0])
    assert found.left_out == ("count",)
    assert "held, being whole numbers: count" in str(found)
    # Visited states keep none: that of the beginning is held.
    visited = visited_states(Counter(), torch.randn(4, 5, 1))
    from_them = fixed_points(Counter(), torch.zeros(1), visited, starts=8, reach=9)
    assert from_them.points.tolist() == [[pytest.approx(3.0)]]


class Topic(NamedTuple):
    topic: Tensor


class Topical(Cell):
    takes_context = True

    def __init__(self) -> None:
        super().__init__(1, 2)

    def initial_state(self, batch: int) -> HiddenState:
        return HiddenState(self.zeros(batch))

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        h = 0.5 * state.h + 0.5 * context.topic + x
        return h, HiddenState(h)


def test_a_context_is_held() -> None:
    topic = Topic(torch.tensor([[0.3, -0.2]]))
    for x in (torch.tensor([0.1]), torch.tensor([[0.1]])):
        found = fixed_points(Topical(), x, cloud(2), context=topic, starts=9)
        assert found.points.tolist() == [pytest.approx([0.5, 0.0], abs=1e-7)]
    for wrong in (None, Topic(torch.zeros(2, 2))):
        with pytest.raises(ShapeError, match="context of Topical: expected tensors of one row"):
            fixed_points(Topical(), torch.zeros(1), cloud(2), context=wrong)


def test_a_stack_rests_as_a_whole() -> None:
    stack = recurra.Stack([recurra.Recurrent(recurra.GRUCell(3, 4)),
                           recurra.Recurrent(recurra.LSTMCell(4, 2))])  # fmt: skip
    inputs = torch.randn(30, 4, 3)
    found = fixed_points(stack, torch.zeros(3), visited_states(stack, inputs), starts=20)
    assert "stable" in found.kinds
    # It is where the stack goes by itself.
    end = stack(torch.zeros(3000, 1, 3)).state
    units = torch.cat([end[0].h, end[1].h, end[1].c], 1)[0].detach().double()
    assert float((found.of("stable") - units).norm(dim=1).min()) < 1e-5


def test_single_precision_can_be_asked_for() -> None:
    cell = recurra.GRUCell(3, 4)
    visited = visited_states(cell, torch.randn(20, 4, 3))
    single = fixed_points(cell, torch.zeros(3), visited, dtype=torch.float32, starts=20)
    double = fixed_points(cell, torch.zeros(3), visited, starts=20)
    assert single.points.dtype == torch.float32
    assert single.tolerance == 1e-5 > double.tolerance
    assert single.kinds == double.kinds == ("stable",)
    torch.testing.assert_close(single.points.double(), double.points, rtol=0, atol=1e-5)
    assert "computed in float32" in str(single)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = of(lambda h: torch.tanh(2 * h), 2, starts=50)
    monkeypatch.setattr(search, "_BLOCK", 4 * 8 * 4 * 7)  # seven starts
    parts = of(lambda h: torch.tanh(2 * h), 2, starts=50)
    assert torch.equal(parts.points, whole.points)


def test_the_same_seed_finds_the_same() -> None:
    cell = recurra.LSTMCell(3, 4)
    visited = visited_states(cell, torch.randn(20, 4, 3))
    one, other = (fixed_points(cell, torch.zeros(3), visited, starts=20) for _ in range(2))
    assert torch.equal(one.points, other.points)


def test_the_cell_stays_as_it_was() -> None:
    cell = nn.Sequential(recurra.HeldDropout(recurra.GRUCell(3, 4), 0.3, 0.4)).train()
    before = [parameter.clone() for parameter in cell.parameters()]
    visited = visited_states(cell, torch.randn(5, 2, 3))
    fixed_points(cell, torch.zeros(3), visited, starts=5)
    assert all(module.training for module in cell.modules())
    for parameter, was in zip(cell.parameters(), before, strict=True):
        assert torch.equal(parameter, was)
        assert parameter.grad is None
        assert parameter.requires_grad


def test_what_does_not_fit_is_refused() -> None:
    cell = recurra.GRUCell(3, 4)
    visited = visited_states(cell, torch.randn(5, 2, 3))
    with pytest.raises(ShapeError, match=r"x of GRUCell: expected \[1, 3\], got \[1, 2\]"):
        fixed_points(cell, torch.zeros(2), visited)
    with pytest.raises(ShapeError, match="they are of another cell"):
        fixed_points(recurra.GRUCell(3, 5), torch.zeros(3), visited)
    with pytest.raises(ShapeError, match="at least one state"):
        fixed_points(cell, torch.zeros(3), visited_states(cell, torch.zeros(0, 2, 3)))
    with pytest.raises(ShapeError, match="visited, states of GRUCell"):
        fixed_points(cell, torch.zeros(3), HiddenState(torch.zeros(2, 5)))
    with pytest.raises(ShapeError, match=r"got torch\.Tensor"):
        fixed_points(cell, torch.zeros(3), torch.zeros(2, 4))
    with pytest.raises(ShapeError, match="expected finite states"):
        fixed_points(cell, torch.zeros(3), HiddenState(torch.full((2, 4), math.nan)))
    with pytest.raises(ShapeError, match=r"expected at most memory=.*lyapunov"):
        fixed_points(cell, torch.zeros(3), visited, memory=100)
    with pytest.raises(SettingError, match="noise: expected at least 0"):
        fixed_points(cell, torch.zeros(3), visited, noise=-1.0)
    with pytest.raises(SettingError, match="kind: expected one of stable"):
        fixed_points(cell, torch.zeros(3), visited, starts=3).of("calm")
