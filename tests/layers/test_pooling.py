"""What is pooled after every step is what is pooled of a row that ends there."""

import pytest
import torch

from recurra import PaddedSequence
from recurra.errors import SettingError, ShapeError
from recurra.layers import LayerOutput, Pooling
from recurra.lengths import last_step

TIME, WIDTH, LENGTHS = 7, 3, (7, 0, 4, 1)
POOLS = ("last", "mean", "max", "attention")


def pooling(pool: str) -> Pooling:
    torch.manual_seed(0)
    return Pooling(WIDTH, pool).double()


def values() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return 5 * torch.randn(TIME, len(LENGTHS), WIDTH, generator=generator, dtype=torch.float64)


def output(steps: PaddedSequence) -> LayerOutput:
    return LayerOutput(steps, last_step(steps.values, steps.lengths), None)


def rows(fill: float = 0.0, lengths: tuple[int, ...] = LENGTHS) -> PaddedSequence:
    found = PaddedSequence(values(), torch.tensor(lengths))
    return found.masked(fill)


@pytest.mark.parametrize("pool", POOLS)
def test_running_is_that_of_a_row_that_ends_there(pool: str) -> None:
    made = pooling(pool)
    found, _ = made.running(output(rows(float("nan"))))
    assert found.isfinite().all()
    for row, length in enumerate(LENGTHS):
        for step in range(TIME):
            if step >= length:
                assert not found[step, row].any()
                continue
            alone = PaddedSequence.from_padded(values()[: step + 1, row : row + 1])
            torch.testing.assert_close(found[step, row], made(output(alone))[0])


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("cuts", [(3,), (1, 2, 3, 4, 5, 6), (0, 5)])
def test_whole_is_parts_is_steps(pool: str, cuts: tuple[int, ...]) -> None:
    """Rows that are over give nothing more, and do not change what was pooled of them."""
    made, whole = pooling(pool), rows(float("nan"))
    wanted, end = made.running(output(whole))
    before, parts = None, []
    for start, stop in zip((0, *cuts), (*cuts, TIME), strict=True):
        lengths = (whole.lengths - start).clamp(0, stop - start)
        part, before = made.running(
            output(PaddedSequence(whole.values[start:stop], lengths)), before
        )
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts), wanted)
    assert before is not None
    if pool != "last":
        torch.testing.assert_close(before.vector, end.vector)


def test_attention_stays_finite_where_a_late_step_outweighs_all() -> None:
    """Scores far apart: what came first is weighed by nothing, and what comes after by one."""
    made = pooling("attention")
    assert made.attention is not None
    with torch.no_grad():
        made.attention[0].weight.mul_(100)
        made.attention[2].weight.mul_(1e6)
    found, _ = made.running(output(rows()))
    assert found.isfinite().all()
    for step in range(TIME):
        alone = PaddedSequence.from_padded(values()[: step + 1, :1])
        torch.testing.assert_close(found[step, 0], made(output(alone))[0])


def test_gradients_at_padding_that_is_no_number_are_finite() -> None:
    for pool in POOLS:
        steps = rows(float("nan"))
        steps.values.requires_grad_()
        found, _ = pooling(pool).running(output(steps))
        found.square().sum().backward()
        assert steps.values.grad is not None
        assert steps.values.grad.isfinite().all()


# ---- hops ----------------------------------------------------------------------------------------


def several(hops: int) -> Pooling:
    torch.manual_seed(0)
    return Pooling(WIDTH, "attention", hops).double()


def by_hand(made: Pooling, row: torch.Tensor) -> torch.Tensor:
    """The equation, of one row ``[time, size]``."""
    assert made.attention is not None
    first, _, score = made.attention
    found = torch.zeros(WIDTH, dtype=torch.float64)
    weights = [(torch.zeros(WIDTH, WIDTH, dtype=torch.float64), score.weight[0])]
    weights += [(hop.query.weight, hop.score.weight[0]) for hop in made.more]  # type: ignore[union-attr,index,misc]
    for query, u in weights:
        scores = torch.tanh(row @ first.weight.T + first.bias + query @ found) @ u
        found = scores.softmax(0) @ row
    return found


def test_each_hop_looks_with_what_was_found_before_in_mind() -> None:
    made = several(3)
    found = made(output(rows(float("nan"))))
    for row, length in enumerate(LENGTHS):
        if length:
            torch.testing.assert_close(found[row], by_hand(made, values()[:length, row]))
        else:
            assert not found[row].any()
    once = several(1)
    once.load_state_dict(made.state_dict(), strict=False)
    assert not torch.allclose(once(output(rows())), found)


def test_padding_that_is_no_number_reaches_no_hop() -> None:
    results = []
    for fill in (0.0, float("nan"), float("inf")):
        made, steps = several(2), rows(fill)
        steps.values.requires_grad_()
        found = made(output(steps))
        found.square().sum().backward()
        assert steps.values.grad is not None
        results.append([found, steps.values.grad, *(each.grad for each in made.parameters())])
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))  # type: ignore[arg-type]


def test_a_stream_and_what_does_not_look_have_one_hop() -> None:
    with pytest.raises(ShapeError, match=r"looks 2 times.*hops=1"):
        several(2).running(output(rows()))
    with pytest.raises(SettingError, match=r"hops: an attention alone .* pool is 'max'"):
        Pooling(WIDTH, "max", 2)
