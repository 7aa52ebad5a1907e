"""Made sequences: every answer is checked by a second way to it."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from recurra.data import (
    ARMA,
    AddingTask,
    Arithmetic,
    BallPictures,
    BouncingBall,
    BracketsTask,
    CopyTask,
    CuedSentence,
    CuedSentences,
    Endless,
    FlipFlopTask,
    Gappy,
    GivingSentences,
    Logistic,
    MarkovChain,
    OriginSentences,
    ParityTask,
    RandomWalk,
    SeasonalTrend,
    Sine,
    SyntheticSource,
    SyntheticTask,
)
from recurra.data.synthetic import markov
from recurra.errors import SettingError
from recurra.models import NGram
from recurra.sequences import PaddedSequence


class _Filled(SyntheticSource):
    """With a number where one is missing, so that pieces can be compared."""

    def __init__(self, gappy: Gappy) -> None:
        self.gappy, self.rows = gappy, gappy.rows

    def _make(self, start: int, stop: int) -> torch.Tensor:
        return self.gappy.steps(start, stop).nan_to_num(99.0)


SOURCES: dict[str, Callable[[Any], SyntheticSource]] = {
    "arithmetic": lambda seed: Arithmetic([0, 5], [1, -3]),
    "sine": lambda seed: Sine(0.3, phase=[0.0, 1.0], sampling_rate=7),
    "noisy sine": lambda seed: Sine([0.3, 2], noise=0.5, sampling_rate=7, seed=seed),
    "ball": lambda seed: BouncingBall((5, 7), radius=1, rows=2, seed=seed),
    "pictures": lambda seed: BallPictures(BouncingBall((5, 7), radius=1, rows=2, seed=seed)),
    "markov 0": lambda seed: MarkovChain.drawn(4, 0, seed=1).source(rows=2, seed=seed),
    "markov 2": lambda seed: MarkovChain.drawn(3, 2, seed=1).source(rows=2, seed=seed),
    "arma": lambda seed: ARMA([0.5, 0.2], [0.4], rows=2, seed=seed),
    "walk": lambda seed: RandomWalk(0.1, rows=2, seed=seed),
    "season": lambda seed: SeasonalTrend(7, 2, 0.1, 0.5, rows=2, seed=seed),
    "logistic": lambda seed: Logistic(noise=0.1, rows=2, seed=seed),
    "gappy": lambda seed: _Filled(Gappy(ARMA([0.5], rows=2, seed=seed), 0.3, seed=seed)),
}
SEEDED = [name for name in SOURCES if name not in ("arithmetic", "sine")]
TASKS: dict[str, SyntheticTask] = {
    "copy": CopyTask(length=3, delay=4),
    "adding": AddingTask(6),
    "adding, lengths": AddingTask(6, shortest=2),
    "parity": ParityTask(6),
    "parity, lengths": ParityTask(6, shortest=1, every_step=False),
    "brackets": BracketsTask(length=8),
    "brackets, lengths": BracketsTask(length=8, shortest=2, target="balanced"),
    "flip-flops": FlipFlopTask(2, 9, 0.4),
    "origin": OriginSentences(4),
    "giving": GivingSentences(4),
}


def plain(value: Any) -> Any:
    """A batch's inputs or targets as lists."""
    if isinstance(value, PaddedSequence):
        return [row.tolist() for row in value.to_list()]
    return value.tolist()


def contents(batch: Any) -> Any:
    return plain(batch.inputs), plain(batch.targets)


# ---- what all share ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOURCES)
def test_the_finite_is_the_beginning_of_the_endless(name: str) -> None:
    whole = SOURCES[name](3).take(2100)  # over two borders of blocks
    assert whole.shape[:2] == (2100, 2)
    chunks = SOURCES[name](3).chunks(700)
    assert torch.equal(torch.cat([next(chunks) for _ in range(3)]), whole)
    assert chunks.position == 2100
    assert SOURCES[name](3).take(0).shape == (0, *whole.shape[1:])


@pytest.mark.parametrize("name", SOURCES)
def test_an_endless_one_goes_on_from_any_position(name: str) -> None:
    whole = SOURCES[name](3).take(1200)
    first = SOURCES[name](3).chunks(500)
    next(first)
    later = SOURCES[name](3).chunks(500, start=first.position)
    assert torch.equal(next(later), whole[500:1000])
    assert torch.equal(next(first), whole[500:1000])
    later.seek(7)
    assert torch.equal(next(later), whole[7:507])


@pytest.mark.parametrize("name", SOURCES)
@settings(max_examples=20, deadline=None)
@given(
    spans=st.lists(st.tuples(st.integers(1000, 1060), st.integers(0, 40)), min_size=1, max_size=4)
)
def test_steps_in_any_order(name: str, spans: list[tuple[int, int]]) -> None:
    source, fresh = SOURCES[name](3), SOURCES[name](3)
    whole = fresh.take(1110)
    for start, size in spans:
        assert torch.equal(source.steps(start, start + size), whole[start : start + size])


def test_pieces_of_one_step_pass_the_borders_of_blocks() -> None:
    make = SOURCES["markov 2"]
    chunks = make(3).chunks(1, start=1020)
    pieces = torch.cat([next(chunks) for _ in range(10)])
    assert torch.equal(pieces, make(3).take(1030)[1020:])


@pytest.mark.parametrize("name", SOURCES)
def test_batches_ask_for_what_comes(name: str) -> None:
    whole = SOURCES[name](3).take(40)
    batches = SOURCES[name](3).batches(8, ahead=3, start=4)
    for start in (4, 12, 20):
        batch = next(batches)
        assert torch.equal(batch.inputs, whole[start : start + 8])
        assert torch.equal(batch.targets, whole[start + 3 : start + 11])
    assert batches.position == 28


@pytest.mark.parametrize("name", TASKS)
def test_batches_of_a_task_go_on_from_any_position(name: str) -> None:
    task = TASKS[name]
    batches = task.batches(5, seed=2)
    made = [contents(next(batches)) for _ in range(4)]
    assert batches.position == 4
    assert contents(next(task.batches(5, seed=2, start=2))) == made[2]
    assert contents(task.batch(5, seed=2)) == made[0]
    assert len({str(content) for content in made}) == 4


def made_from(name: str, seed: Any) -> Any:
    if name in TASKS:
        return contents(TASKS[name].batch(6, seed=seed))
    return SOURCES[name](seed).take(9).tolist()


@pytest.mark.parametrize("name", [*SEEDED, *TASKS])
def test_chance_comes_from_the_seed_alone(name: str) -> None:
    outside = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    made = made_from(name, 3)
    assert (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == outside
    assert made_from(name, 3) == made != made_from(name, 4)
    assert made_from(name, np.int64(3)) == made
    for generator in (np.random.default_rng, torch.Generator().manual_seed):
        mine, yours = generator(5), None
        first, second = made_from(name, mine), made_from(name, mine)
        yours = generator(5)
        assert first == made_from(name, yours) != second == made_from(name, yours)


@pytest.mark.parametrize("seed", [-1, 1.0, "a", None, True])
def test_a_seed_is_a_number_or_a_generator(seed: Any) -> None:
    message = f"seed: expected a whole number of at least 0, or a generator.*got {seed!r}"
    with pytest.raises(SettingError, match=message):
        made_from("ball", seed)


def test_places_are_checked() -> None:
    source, task = Arithmetic(), CopyTask()
    with pytest.raises(SettingError, match="start: expected a whole number of at least 0, got -1"):
        source.steps(-1, 2)
    with pytest.raises(SettingError, match="stop: expected a whole number of at least 3, got 2"):
        source.steps(3, 2)
    with pytest.raises(SettingError, match=r"length: .* at least 0"):
        source.take(-1)
    for wrong in (lambda: source.chunks(0), lambda: source.batches(0)):
        with pytest.raises(SettingError, match=r"size: .* at least 1, got 0"):
            wrong()
    with pytest.raises(SettingError, match=r"ahead: .* at least 1, got 0"):
        source.batches(2, ahead=0)
    with pytest.raises(SettingError, match=r"rows: .* at least 1, got 0"):
        task.batch(0)
    with pytest.raises(SettingError, match=r"start: .* at least 0, got -2"):
        task.batches(1, start=-2)
    with pytest.raises(SettingError, match=r"stride: .* at least 1, got 0"):
        Endless(lambda place: place, 0)
    assert list(itertools.islice(Endless(lambda place: place, 3, 1), 3)) == [1, 4, 7]


# ---- signals -----------------------------------------------------------------------------------


def test_arithmetic_by_hand() -> None:
    assert Arithmetic(2, 3).take(4).tolist() == [[2], [5], [8], [11]]
    two = Arithmetic([0, 10], -1)
    assert two.take(3).tolist() == [[0, 10], [-1, 9], [-2, 8]]
    assert (two.rows, two.take(1).dtype) == (2, torch.int64)
    assert Arithmetic(0.5, 0.25).take(2).dtype == torch.float32
    assert Arithmetic(1, 2, dtype=torch.float64).take(3).tolist() == [[1.0], [3.0], [5.0]]
    # Beyond 2**53 floats skip whole numbers.
    far = 2**54
    assert Arithmetic(1, 1).steps(far, far + 2).tolist() == [[far + 1], [far + 2]]


def test_arithmetic_beyond_64_bits() -> None:
    with pytest.raises(SettingError, match=r"below 2\*\*63, got up to 9223372036854775810"):
        Arithmetic(2**63 - 2, 1).take(4)
    with pytest.raises(SettingError, match="start: expected finite numbers"):
        Arithmetic(2**63, 1)


@pytest.mark.parametrize("phase", [0.0, 1.3])
def test_a_sine_by_its_formula(phase: float) -> None:
    sine = Sine(50, amplitude=3, phase=phase, sampling_rate=8000, dtype=torch.float64)
    values = sine.take(400).flatten().tolist()
    for step in (0, 1, 40, 399):
        seconds = step / 8000
        expected = 3 * math.sin(2 * math.pi * 50 * seconds + phase)
        assert values[step] == pytest.approx(expected, abs=1e-12)
    turn = 2 * math.cos(2 * math.pi * 50 / 8000)
    for past, now, then in zip(values, values[1:], values[2:], strict=False):
        assert then == pytest.approx(turn * now - past, abs=1e-12)
    assert values[160:320] == pytest.approx(values[:160], abs=1e-12)  # 160 samples are a period
    assert np.mean(np.square(values[:160])) == pytest.approx(9 / 2)
    assert Sine(50, sampling_rate=8000).take(2).dtype == torch.float32


def test_a_sine_stays_exact_far_out() -> None:
    step = 10**12 + 7
    sine = Sine(441, sampling_rate=48_000, dtype=torch.float64).steps(step, step + 1)
    angle = 2 * math.pi * float(Fraction(441 * step, 48_000) % 1)
    assert sine.item() == pytest.approx(math.sin(angle), abs=1e-14)
    sine = Sine(0.3, sampling_rate=0.7, dtype=torch.float64).take(50).flatten()
    expected = [math.sin(2 * math.pi * 0.3 * n / 0.7) for n in range(50)]
    assert sine.tolist() == pytest.approx(expected, abs=1e-12)


def test_noise_has_the_variance_it_is_given() -> None:
    shared: dict[str, Any] = {"amplitude": 2, "sampling_rate": 50, "dtype": torch.float64}
    noisy = Sine(3, noise=[0.5, 0.0, 2.0], seed=1, **shared)
    noise = noisy.take(20_000) - Sine(3, **shared).take(20_000)
    assert noise.mean(0).abs().max() < 0.06
    assert noise.std(0).tolist() == pytest.approx([0.5, 0.0, 2.0], rel=0.02)
    assert abs(float((noise[1:, 0] * noise[:-1, 0]).mean())) < 0.25 * 0.03


def bounced(x: Fraction, v: Fraction, low: Fraction, high: Fraction, steps: int) -> Any:
    """From wall to wall, in exact numbers: position and velocity after each step."""
    for _ in range(steps):
        yield x, v
        left = Fraction(1)
        while left > 0 and v != 0:
            wall = high if v > 0 else low
            needed = (wall - x) / v
            if needed > left:
                x, left = x + v * left, Fraction(0)
            else:
                x, v, left = wall, -v, left - needed


@settings(max_examples=60, deadline=None)
@given(
    x=st.integers(0, 32), v=st.integers(-80, 80), radius=st.integers(0, 16), more=st.integers(1, 32)
)
def test_a_ball_flies_from_wall_to_wall(x: int, v: int, radius: int, more: int) -> None:
    # Eighths are exact in floats too.
    low, high = Fraction(radius, 8), Fraction(radius + more, 8)
    start = low + Fraction(min(x, more), 8)
    # A ball that begins on a wall and flies into it has bounced: so does the first step say.
    expected = list(bounced(start, Fraction(v, 8), low, high, 40))
    ball = BouncingBall(
        [float(low + high)],
        radius=float(low),
        position=[float(start)],
        velocity=[v / 8],
        dtype=torch.float64,
    )
    made = ball.take(40)[:, 0].tolist()
    assert [p for p, _ in made] == [float(p) for p, _ in expected]
    assert [abs(s) for _, s in made] == [abs(v / 8)] * 40
    for (_, speed), (place, exact) in zip(made, expected, strict=True):
        if low < place < high:
            assert speed == float(exact)
        elif v:
            assert (speed > 0) == (place == low)


def test_a_ball_by_hand() -> None:
    ball = BouncingBall((6, 10), radius=1, position=(2, 8), velocity=(1, 2))
    assert ball.take(4)[:, 0].tolist() == [
        [2, 8, 1, 2],
        [3, 8, 1, -2],  # at 9 it turned, half way through the step
        [4, 6, 1, -2],
        [5, 4, -1, -2],  # on the wall the velocity is that of leaving it
    ]


def test_drawn_balls_fit_the_box_and_have_the_speed() -> None:
    ball = BouncingBall((5, 30), radius=2, speed=1.5, rows=400, dtype=torch.float64)
    start = ball.take(1)[0]
    assert torch.linalg.vector_norm(start[:, 2:], dim=1).tolist() == pytest.approx([1.5] * 400)
    for axis, high in ((0, 3.0), (1, 28.0)):
        assert 2 <= start[:, axis].min() < 2.05 * high / 3
        assert 0.95 * high < start[:, axis].max() <= high
    assert start[:, 2:].mean(0).abs().max() < 0.2
    given = BouncingBall((9, 9), radius=1, position=[[2, 3], [4, 5]], velocity=(0, 0))
    assert given.take(9)[-1].tolist() == [[2, 3, 0, 0], [4, 5, 0, 0]]


def test_pictures_show_the_ball_where_it_is() -> None:
    ball = BouncingBall((12, 17), radius=3, rows=3, speed=0.7, seed=2, dtype=torch.float64)
    pictures = BallPictures(ball).take(60)
    assert pictures.shape == (60, 3, 12, 17)
    assert pictures.min() == 0
    assert pictures.max() == 1
    area = pictures.sum((2, 3))
    assert area.flatten().tolist() == pytest.approx([math.pi * 3**2] * 180, rel=0.03)
    lines = (pictures.sum(3) * (torch.arange(12) + 0.5)).sum(2) / area
    columns = (pictures.sum(2) * (torch.arange(17) + 0.5)).sum(2) / area
    # The soft edge reaches half a pixel beyond the ball, so a wall cuts a little off.
    assert (torch.stack([lines, columns], 2) - ball.take(60)[..., :2]).abs().max() < 0.12


def test_a_picture_by_hand() -> None:
    ball = BouncingBall((3, 4), radius=1, position=(1.5, 1.5), velocity=(0, 0))
    corner = 1.5 - math.sqrt(2)
    assert BallPictures(ball).take(1)[0, 0].tolist() == [
        pytest.approx([corner, 0.5, corner, 0]),
        pytest.approx([0.5, 1, 0.5, 0]),
        pytest.approx([corner, 0.5, corner, 0]),
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Arithmetic("a"), "start: expected finite numbers, got 'a'"),
        (lambda: Arithmetic(1, math.nan), "step: expected finite numbers"),
        (lambda: Arithmetic([1, 2], [1, 2, 3]), "start: .* one for each of 3 rows, got shape .2."),
        (lambda: Arithmetic([], 1), "start: expected a number or one for each"),
        (lambda: Sine(5, sampling_rate=10), "below half the sampling rate, 5 Hz, got 5"),
        (lambda: Sine(-1, sampling_rate=10), "frequency: expected at least 0"),
        (lambda: Sine(1, sampling_rate=0), "sampling_rate: expected more than 0 Hz, got 0"),
        (lambda: Sine(1, sampling_rate=9, noise=-1), "noise: expected at least 0, got -1"),
        (lambda: BouncingBall((4, 9), radius=2), "radius: .* below half .*4.0, 9.0.*got 2"),
        (lambda: BouncingBall(5), "box: expected the length of every axis, got 5"),
        (lambda: BouncingBall(position=(1, 5)), "position: expected 2 to .14.0, 14.0. along"),
        (lambda: BouncingBall(velocity=(1, 5, 2)), "velocity: .*with 2 axes .*got shape .3."),
        (lambda: BouncingBall(speed=-1), "speed: expected at least 0, got -1"),
        (lambda: BouncingBall(velocity=[[1, 1]] * 2, rows=3), r"rows: .* got \[2, 3\]"),
        (lambda: BallPictures(BouncingBall((9, 9.5))), r"whole pixels .*got \[9.0, 9.5\]"),
        (lambda: BallPictures(BouncingBall((9, 9, 9))), "height, width"),
        (lambda: BallPictures(BouncingBall(radius=0.4)), "at least 1/2 pixel .*got 0.4"),
    ],
)
def test_signals_say_what_is_wrong(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        make()


# ---- Markov chains -----------------------------------------------------------------------------

chains = st.builds(
    MarkovChain.drawn,
    st.integers(1, 3),
    st.integers(0, 3),
    concentration=st.sampled_from([0.1, 1.0, 5.0]),
    seed=st.integers(0, 1000),
)
TWO = [[0.9, 0.1], [0.3, 0.7]]


def entropy(shares: Any) -> float:
    return -sum(p * math.log(p) for p in shares if p > 0)


def all_sequences(chain: MarkovChain, length: int) -> torch.Tensor:
    """Every sequence of a length, ``[length, rows]``."""
    every = list(itertools.product(range(chain.symbols), repeat=length))
    return torch.tensor(every, dtype=torch.int64).T.reshape(length, len(every))


def test_two_states_by_their_formulas() -> None:
    chain = MarkovChain(TWO, alphabet="ab")
    assert chain.stationary.tolist() == pytest.approx([3 / 4, 1 / 4])
    rate = 3 / 4 * entropy([0.9, 0.1]) + 1 / 4 * entropy([0.3, 0.7])
    assert chain.entropy_rate == pytest.approx(rate)
    assert chain.next_distribution([]).tolist() == pytest.approx([3 / 4, 1 / 4])
    assert chain.next_distribution([0, 0, 1]).tolist() == pytest.approx([0.3, 0.7])
    steps = [math.log(p) for p in (3 / 4, 0.1, 0.7, 0.3)]
    assert chain.log_probabilities([0, 1, 1, 0]).tolist() == pytest.approx(steps)
    assert chain.log_probability([0, 1, 1, 0]).item() == pytest.approx(sum(steps))
    assert chain.text([0, 1, 1, 0]) == "abba"
    assert torch.allclose(chain.table, torch.tensor(TWO, dtype=torch.float64))
    assert (chain.symbols, chain.order) == (2, 1)


def test_order_is_the_number_of_symbols_before() -> None:
    # The next symbol is the sum of the last two, or is not, modulo 2.
    table = torch.tensor([[[0.9, 0.1], [0.1, 0.9]], [[0.1, 0.9], [0.9, 0.1]]])
    chain = MarkovChain(table)
    assert chain.order == 2
    assert chain.next_distribution([0, 1]).tolist() == pytest.approx([0.1, 0.9])
    assert chain.next_distribution([1, 1]).tolist() == pytest.approx([0.9, 0.1])
    assert chain.entropy_rate == pytest.approx(entropy([0.9, 0.1]))
    # The oldest symbol comes first.
    table = torch.zeros(2, 2, 2)
    table[0, :, 0], table[1, :, 1] = 1, 1
    repeating = MarkovChain(table, initial=[[0, 1], [0, 0]])
    assert repeating.source().take(6).flatten().tolist() == [0, 1, 0, 1, 0, 1]


def test_order_zero_draws_alone() -> None:
    chain = MarkovChain([0.2, 0.8])
    assert (chain.order, chain.stationary.shape) == (0, ())
    assert chain.stationary.item() == 1
    assert chain.entropy_rate == pytest.approx(entropy([0.2, 0.8]))
    assert chain.log_probability([1, 1, 0]).item() == pytest.approx(math.log(0.8 * 0.8 * 0.2))
    assert chain.next_distribution([1, 0]).tolist() == pytest.approx([0.2, 0.8])


@settings(max_examples=60, deadline=None)
@given(chains, st.integers(0, 5))
def test_probabilities_of_all_sequences_sum_to_one(chain: MarkovChain, length: int) -> None:
    every = all_sequences(chain, length)
    assert chain.log_probability(every).exp().sum().item() == pytest.approx(1)


@settings(max_examples=60, deadline=None)
@given(chains, st.lists(st.integers(0, 2), max_size=5))
def test_the_next_symbol_is_a_ratio_of_probabilities(chain: MarkovChain, past: list[int]) -> None:
    past = [symbol % chain.symbols for symbol in past]
    before = chain.log_probability(past)
    assume(chain.log_probability(past[::-1]).isfinite().all() and before.isfinite().all())
    joined = torch.tensor([[*past, symbol] for symbol in range(chain.symbols)]).T
    expected = (chain.log_probability(joined) - before).exp()
    assert torch.allclose(chain.next_distribution(past), expected)
    both = torch.tensor([past, past[::-1]], dtype=torch.int64).T
    rows = chain.next_distribution(both)
    assert torch.equal(rows[0], chain.next_distribution(past))
    assert torch.equal(rows[1], chain.next_distribution(past[::-1]))


@settings(max_examples=40, deadline=None)
@given(chains)
def test_the_entropy_rate_is_what_a_longer_block_adds(chain: MarkovChain) -> None:
    # H(x_0 ... x_n) - H(x_0 ... x_n-1) over all blocks, for n of at least the order.
    blocks = [
        entropy(chain.log_probability(all_sequences(chain, length)).exp().tolist())
        for length in (chain.order, chain.order + 1, chain.order + 2)
    ]
    assert blocks[1] - blocks[0] == pytest.approx(chain.entropy_rate, abs=1e-9)
    assert blocks[2] - blocks[1] == pytest.approx(chain.entropy_rate, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(chains)
def test_a_step_does_not_change_the_stationary_distribution(chain: MarkovChain) -> None:
    assert chain.stationary.sum().item() == pytest.approx(1)
    if chain.order:
        moved = (chain.stationary.unsqueeze(-1) * chain.table).sum(0)
        assert torch.allclose(moved, chain.stationary, atol=1e-12)


def test_large_chains_are_followed_to_the_same_distribution(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    swing = [[0, 0.3, 0.7], [1, 0, 0], [1, 0, 0]]  # never rests, if taken in whole steps
    made = [MarkovChain.drawn(3, 3, seed=4), MarkovChain(TWO), MarkovChain(swing)]
    made.append(MarkovChain([[0.5, 0.5, 0], [0.2, 0.8, 0], [0.5, 0, 0.5]]))  # leaves the last
    monkeypatch.setattr(markov, "_DENSE", 0)
    for chain in made:
        again = MarkovChain(chain.table)
        assert torch.allclose(again.stationary, chain.stationary, atol=1e-12)
        assert torch.equal(again.stationary == 0, chain.stationary == 0)
    monkeypatch.setattr(markov, "_STEPS", 3)
    with pytest.raises(SettingError, match="forgets its start within 3 steps"):
        MarkovChain(TWO)


def test_a_long_sample_reaches_the_entropy_rate() -> None:
    chain = MarkovChain.drawn(4, 2, concentration=0.5, seed=7)
    sample = chain.source(rows=1000, seed=8).take(150)
    losses = -chain.log_probabilities(sample)[2:].mean(0)  # the first two know no context
    # Rows are independent: the mean of 1000 has a known error.
    error = losses.std().item() / math.sqrt(1000)
    assert error < 0.01 * chain.entropy_rate
    assert abs(losses.mean().item() - chain.entropy_rate) < 4 * error
    # Step by step as well: the first symbols are drawn as all others.
    ends = torch.stack([sample[2], sample[-1]])
    shares = [torch.bincount(end, minlength=4) / 1000 for end in ends]
    expected = chain.stationary.sum(0)
    assert all((share - expected).abs().max() < 4 * 0.5 / math.sqrt(1000) for share in shares)


def test_a_sample_has_the_probabilities_of_the_table() -> None:
    chain = MarkovChain.drawn(3, 2, seed=2)
    sample = chain.source(rows=500, seed=1).take(200)
    seen = torch.zeros(3, 3, 3)
    for index in itertools.product(range(3), repeat=3):
        a, b, c = (sample[n : n + 198] == symbol for n, symbol in enumerate(index))
        seen[index] = (a & b & c).sum()
    shares = seen / seen.sum(-1, keepdim=True)
    error = (chain.table * (1 - chain.table) / seen.sum(-1, keepdim=True)).sqrt()
    assert ((shares - chain.table).abs() < 4.5 * error + 1e-9).all()


def test_rows_and_seeds_are_different_sequences() -> None:
    sample = MarkovChain.drawn(5, 1, seed=1).source(rows=50, seed=1).take(30)
    assert len(set(map(tuple, sample.T.tolist()))) == 50


def test_what_cannot_be_is_never_drawn() -> None:
    table = [[0, 0.5, 0.5, 0], [0, 0, 1, 0], [1 / 3, 1 / 3, 1 / 3, 0], [1, 0, 0, 0]]
    chain = MarkovChain(table)
    assert chain.stationary[3].item() == 0
    sample = chain.source(rows=200, seed=0).take(200)
    assert torch.isfinite(chain.log_probabilities(sample)).all()
    assert chain.log_probabilities([1, 1, 2]).tolist()[1:] == [-math.inf, 0]
    assert chain.log_probability([3, 0]).item() == -math.inf
    assert MarkovChain(np.roll(np.eye(3), 1, axis=1)).entropy_rate == 0


def test_the_ends_of_chance_draw_what_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    # Ten tenths add up to a little less than 1 in floats.
    chain = MarkovChain([0.0, *[0.1] * 10, 0.0])
    for chance, symbol in ((0.0, 1), (1 - 2**-53, 10)):
        monkeypatch.setattr(
            markov, "block_draws", lambda *_, value=chance: np.full((markov.BLOCK, 1), value)
        )
        assert chain.source().take(3).flatten().tolist() == [symbol] * 3


def test_an_initial_distribution() -> None:
    chain = MarkovChain(np.eye(3), initial=[0, 0.5, 0.5])  # every symbol stays for ever
    sample = chain.source(rows=64, seed=1).take(9)
    assert (sample == sample[0]).all()
    assert set(sample[0].tolist()) == {1, 2}
    assert chain.log_probability([1, 1, 1]).item() == pytest.approx(math.log(0.5))
    with pytest.raises(SettingError, match="long run hangs on the start"):
        _ = chain.entropy_rate
    order_two = MarkovChain.drawn(2, 2, seed=0).table
    chain = MarkovChain(order_two, initial=[[0, 1], [0, 0]])
    assert chain.next_distribution([0]).tolist() == [0, 1]
    with pytest.raises(SettingError, match="past: expected a beginning that can happen"):
        chain.next_distribution([1])


@pytest.mark.parametrize(
    ("blocks", "unique"),
    [
        ([[1, 0], [0, 1]], False),
        ([[0, 1], [0, 1]], True),
        ([[0.5, 0.5, 0], [0, 1, 0], [0, 0, 1]], False),
        ([[0, 0.5, 0.5], [0, 1, 0], [0, 1, 0]], True),
        ([[0, 0, 1], [0.5, 0.5, 0], [1, 0, 0]], True),
        ([[1, 0, 0], [0.2, 0.3, 0.5], [0, 0, 1]], False),
    ],
)
def test_only_a_unique_stationary_distribution_counts(blocks: Any, unique: bool) -> None:
    table = np.array(blocks)
    # The number of eigenvalues 1 says the same.
    assert (np.isclose(np.linalg.eigvals(table), 1).sum() == 1) == unique
    for order in ([], list(reversed(range(len(table))))):
        shown = table[np.ix_(order, order)] if order else table
        if unique:
            MarkovChain(shown)
        else:
            with pytest.raises(SettingError, match="can all reach a common one"):
                MarkovChain(shown)


def test_concentration_says_how_uneven_rows_are() -> None:
    rates = [MarkovChain.drawn(6, 1, concentration=c, seed=3).entropy_rate for c in (0.05, 1, 500)]
    assert rates[0] < 0.5 * rates[1]
    assert rates[1] < rates[2] < math.log(6)
    assert rates[2] == pytest.approx(math.log(6), rel=0.01)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MarkovChain(1.0), r"table: expected \[m, ..., m\].*got \[\]"),
        (lambda: MarkovChain([[0.5, 0.5]]), r"table: expected \[m, ..., m\].*got \[1, 2\]"),
        (lambda: MarkovChain([[0.5, 0.5], [1, 1]]), r"sum to 1, got 2 after \[1\]"),
        (lambda: MarkovChain([[1.5, -0.5], [1, 0]]), "at least 0, got -0.5"),
        (lambda: MarkovChain([["a"]]), "table: expected an array of numbers"),
        (lambda: MarkovChain(TWO, alphabet="a"), "alphabet: expected 2 different names, got 'a'"),
        (lambda: MarkovChain(TWO, alphabet="aa"), "alphabet: expected 2 different"),
        (lambda: MarkovChain(TWO, initial=[1, 1]), r"initial: expected \[2\] with sum 1"),
        (lambda: MarkovChain(TWO, initial=[[1, 0]]), r"initial: .*got \[1, 2\]"),
        (lambda: MarkovChain.drawn(0), "symbols: .*at least 1, got 0"),
        (lambda: MarkovChain.drawn(2, -1), "order: .*at least 0, got -1"),
        (lambda: MarkovChain.drawn(2, concentration=0), "concentration: expected more than 0"),
        (lambda: MarkovChain(TWO).source(rows=0), "rows: .*at least 1, got 0"),
        (lambda: MarkovChain(TWO).log_probability([0, 2]), "symbols 0 to 1, got 2"),
        (lambda: MarkovChain(TWO).log_probability([0.5]), "whole numbers .time. or .time, rows."),
        (lambda: MarkovChain(TWO).next_distribution(1), "past: expected whole numbers"),
        (lambda: MarkovChain(TWO).text([[0]]), r"sequence: expected \[time\], got \[1, 1\]"),
    ],
)
def test_chains_say_what_is_wrong(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        make()


# ---- tasks -------------------------------------------------------------------------------------


def test_copying_by_hand() -> None:
    task = CopyTask(symbols=5, length=3, delay=2)
    batch = task.batch(40, seed=1)
    blank, mark = 5, 6
    for inputs, targets in zip(batch.inputs.T.tolist(), batch.targets.T.tolist(), strict=True):
        said = inputs[:3]
        assert inputs == [*said, blank, mark, blank, blank, blank]
        assert targets == [blank] * 5 + said
    assert set(batch.inputs[:3].flatten().tolist()) == set(range(5))


def test_copying_without_memory() -> None:
    task = CopyTask(symbols=4, length=3, delay=5)
    targets = task.batch(4000).targets
    probabilities = torch.zeros(11, 5, dtype=torch.float64)
    probabilities[:8, 4], probabilities[8:, :4] = 1, 0.25
    likely = probabilities.gather(1, targets)
    assert -likely.log().mean().item() == pytest.approx(task.baseline.loss)
    assert (targets == probabilities.argmax(1)[:, None]).double().mean().item() == pytest.approx(
        task.baseline.accuracy, abs=0.01
    )


@pytest.mark.parametrize("shortest", [None, 2, 7])
def test_adding_by_hand(shortest: int | None) -> None:
    batch = AddingTask(9, shortest=shortest).batch(300, seed=1)
    inputs = batch.inputs
    assert isinstance(inputs, PaddedSequence) == (shortest is not None)
    rows = inputs.to_list() if isinstance(inputs, PaddedSequence) else list(inputs.unbind(1))
    assert {len(row) for row in rows} == set(range(shortest or 9, 10))
    first, second = set(), set()
    for row, target in zip(rows, batch.targets, strict=True):
        one, two = row[:, 1].nonzero().flatten().tolist()
        assert one < len(row) // 2 <= two
        assert row[:, 1].sum() == 2
        assert target.item() == pytest.approx((row[one, 0] + row[two, 0]).item())
        if len(row) == 9:
            first.add(one), second.add(two)
    assert (first, second) == ({0, 1, 2, 3}, {4, 5, 6, 7, 8})
    assert batch.targets.shape == (300, 1)
    assert {batch.targets.dtype, rows[0].dtype} == {torch.float32}


def test_adding_without_memory() -> None:
    task = AddingTask(6)
    targets = task.batch(40_000).targets
    assert (targets - 1).square().mean().item() == pytest.approx(task.baseline.loss, rel=0.02)
    assert task.baseline == (1 / 6, None)


@pytest.mark.parametrize("shortest", [None, 1])
def test_parity_by_counting(shortest: int | None) -> None:
    every = ParityTask(7, shortest=shortest).batch(200, seed=4)
    last = ParityTask(7, shortest=shortest, every_step=False).batch(200, seed=4)
    assert plain(every.inputs) == plain(last.inputs)
    rows = plain(every.inputs) if shortest else every.inputs.T.tolist()
    odds = plain(every.targets) if shortest else every.targets.T.tolist()
    assert {len(row) for row in rows} == set(range(shortest or 7, 8))
    for row, odd, whole in zip(rows, odds, last.targets.tolist(), strict=True):
        assert odd == [row[: n + 1].count(1) % 2 for n in range(len(row))]
        assert whole == row.count(1) % 2
    assert 0.4 < last.targets.double().mean() < 0.6
    assert ParityTask().baseline == (pytest.approx(math.log(2)), 0.5)


def written(ids: list[int], kinds: int) -> str:
    return "".join("([{"[i] if i < kinds else ")]}"[i - kinds] for i in ids)


def balances(text: str) -> bool:
    """Take out neighbors that fit until nothing changes."""
    while text != (text := re.sub(r"\(\)|\[\]|\{\}", "", text)):
        pass
    return not text


def nesting(text: str) -> int:
    return max(itertools.accumulate((1 if c in "([{" else -1 for c in text), initial=0))


def bracket_rows(batch: Any) -> list[list[int]]:
    if isinstance(batch.inputs, PaddedSequence):
        rows: list[list[int]] = plain(batch.inputs)
        return rows
    return batch.inputs.T.tolist()  # type: ignore[no-any-return]


@settings(max_examples=60, deadline=None)
@given(
    kinds=st.integers(1, 3),
    depth=st.integers(1, 4),
    half=st.integers(1, 6),
    several=st.booleans(),
    seed=st.integers(0, 99),
)
def test_brackets_balance_and_say_what_may_follow(
    kinds: int, depth: int, half: int, several: bool, seed: int
) -> None:
    task = BracketsTask(kinds, depth, 2 * half, shortest=2 if several else None)
    batch = task.batch(12, seed=seed)
    targets = batch.targets
    allowed = targets.to_list() if several else list(targets.unbind(1))
    for ids, sets in zip(bracket_rows(batch), allowed, strict=True):
        text = written(ids, kinds)
        assert balances(text)
        assert nesting(text) <= depth
        assert len(text) % 2 == 0
        for step, row in enumerate(sets.tolist()):
            begun = text[: step + 1]
            # What may follow is what a balanced text of this depth can go on with.
            expected = [
                float(completes(begun + written([symbol], kinds), kinds, depth))
                for symbol in range(2 * kinds)
            ]
            assert row == [*expected, float(balances(begun))]


def completes(begun: str, kinds: int, depth: int) -> bool:
    """Can it be closed to a balanced text? Try every way of closing."""
    if nesting(begun) > depth:
        return False
    open_now = sum(1 if c in "([{" else -1 for c in begun)
    endings = itertools.product(")]}"[:kinds], repeat=max(open_now, 0))
    return open_now >= 0 and any(balances(begun + "".join(end)) for end in endings)


def test_every_balanced_text_is_equally_likely() -> None:
    kinds, depth, length = 2, 2, 6
    every = [
        text
        for text in map("".join, itertools.product("([)]", repeat=length))
        if balances(text) and nesting(text) <= depth
    ]
    assert len(every) == 4 * 2**3  # four shapes of three pairs, each of either kind
    rows = bracket_rows(BracketsTask(kinds, depth, length).batch(16_000))
    counts = Counter(written(ids, kinds) for ids in rows)
    assert set(counts) == set(every)
    assert all(abs(count - 500) < 4.5 * math.sqrt(500) for count in counts.values())


@pytest.mark.parametrize(("kinds", "depth", "shortest"), [(1, 1, None), (2, 3, None), (3, 2, 4)])
def test_brackets_without_memory(kinds: int, depth: int, shortest: int | None) -> None:
    task = BracketsTask(kinds, depth, 12, shortest=shortest)
    targets = task.batch(8000).targets
    sets = (targets.valid() if shortest else targets.flatten(0, 1)).double()
    share = sets.mean(0)
    certain = torch.where((share == 0) | (share == 1), 1.0, share)
    loss = -(share * certain.log() + (1 - share) * (1 - share).clamp(min=1e-300).log()).mean()
    common = Counter(map(tuple, sets.tolist())).most_common(1)[0][1] / len(sets)
    assert task.baseline.loss == pytest.approx(loss.item(), rel=0.01)
    assert task.baseline.accuracy == pytest.approx(common, rel=0.03)


def test_long_brackets_stay_within_floats() -> None:
    (row,) = bracket_rows(BracketsTask(2, 3, 4000).batch(1))
    assert balances(written(row, 2))
    assert nesting(written(row, 2)) == 3


@pytest.mark.parametrize(("kinds", "length"), [(1, 2), (1, 10), (3, 10)])
def test_half_of_the_texts_balance(kinds: int, length: int) -> None:
    task = BracketsTask(kinds, 4, length, target="balanced")
    batch = task.batch(1000, seed=3)
    texts = [written(ids, kinds) for ids in bracket_rows(batch)]
    assert batch.targets.tolist() == [int(balances(text)) for text in texts]
    assert 0.44 < batch.targets.double().mean() < 0.56
    # As often opened as closed, kind by kind: counting alone finds nothing.
    assert all(text.count(a) == text.count(b) for text in texts for a, b in ("()", "[]", "{}"))
    assert task.baseline == (pytest.approx(math.log(2)), 0.5)


@pytest.mark.parametrize("kinds", [1, 2])
def test_two_symbols_back_and_it_balances(kinds: int) -> None:
    task = BracketsTask(kinds, 1, 8, target="balanced")
    batch = task.batch(60, seed=3)
    for ids, good in zip(bracket_rows(batch), batch.targets.tolist(), strict=True):
        ways = [written(swapped, kinds) for swapped in swaps(ids)]
        assert good or any(balances(text) and nesting(text) == 1 for text in ways)


def swaps(ids: list[int]) -> Any:
    for a, b in itertools.combinations(range(len(ids)), 2):
        swapped = ids.copy()
        swapped[a], swapped[b] = ids[b], ids[a]
        yield swapped


def test_flip_flops_step_by_step() -> None:
    task = FlipFlopTask(3, 40, 0.2)
    batch = task.batch(300, seed=4)
    assert batch.inputs.dtype == batch.targets.dtype == torch.float32
    assert set(batch.inputs.unique().tolist()) == {-1.0, 0.0, 1.0}
    held = torch.zeros(300, 3)
    for x, target in zip(batch.inputs, batch.targets, strict=True):
        held = torch.where(x != 0, x, held)
        assert torch.equal(target, held)
    assert bool((batch.inputs[0] != 0).all())
    assert float((batch.inputs[1:] != 0).double().mean()) == pytest.approx(0.2, abs=0.01)
    assert abs(float(batch.inputs.mean())) < 0.01
    # Saying the input again is what can be had without memory.
    error = float((batch.inputs - batch.targets).square().double().mean())
    assert error == pytest.approx(task.baseline.loss, abs=0.01)
    assert task.baseline.accuracy == pytest.approx(1 - task.baseline.loss / 2)


def test_memories_are_all_signs() -> None:
    memories = FlipFlopTask(3).memories
    assert memories.shape == (8, 3)
    assert len({tuple(row) for row in memories.tolist()}) == 8
    assert FlipFlopTask(1).memories.tolist() == [[-1.0], [1.0]]


@pytest.mark.parametrize("name", [name for name in TASKS if "lengths" in name])
def test_padding_is_zero(name: str) -> None:
    inputs = TASKS[name].batch(50).inputs
    assert not inputs.mask.all()
    assert (inputs.values[~inputs.mask] == 0).all()
    assert any((row != 0).any() for row in inputs.to_list())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CopyTask(delay=0), "delay: .*at least 1, got 0"),
        (lambda: CopyTask(symbols=0), "symbols: .*at least 1"),
        (lambda: AddingTask(1), "length: .*at least 2, got 1"),
        (lambda: AddingTask(5, shortest=6), "shortest: expected at most the length 5, got 6"),
        (lambda: ParityTask(5, shortest=0), "shortest: .*at least 1, got 0"),
        (lambda: FlipFlopTask(pulse=1.0), "pulse: expected 0 <= rate < 1, got 1.0"),
        (lambda: FlipFlopTask(bits=0), "bits: .*at least 1, got 0"),
        (lambda: FlipFlopTask(21).memories, "memories: expected at most 20 bits"),
        (lambda: ParityTask(every_step=1), "every_step: expected true or false, got 1"),  # type: ignore[arg-type]
        (lambda: BracketsTask(length=7), "length: expected an even number, got 7"),
        (lambda: BracketsTask(shortest=3), "shortest: expected an even number, got 3"),
        (lambda: BracketsTask(depth=0), "depth: .*at least 1, got 0"),
        (lambda: BracketsTask(target="all"), "expected 'next' or 'balanced', got 'all'"),  # type: ignore[arg-type]
    ],
)
def test_tasks_say_what_is_wrong(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        make()


# ---- sentences ---------------------------------------------------------------------------------

KINDS: list[type[CuedSentences]] = [OriginSentences, GivingSentences]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("distance", range(1, 61))
def test_cue_and_answer_stand_apart(kind: type[CuedSentences], distance: int) -> None:
    task = kind(distance)
    for sentence in task.sentences(10, seed=distance):
        words = sentence.text.split(" ")
        assert sentence.position == len(words) - 1
        assert sentence.position - sentence.cue - 1 == distance
        assert words[sentence.position] == sentence.answer
        between = words[sentence.cue + 1 : -1]
        # Nothing between says anything: no name, no country, no language.
        assert not set(between) & set(task._keys())
        assert len(between) == distance
        assert right(sentence) == sentence.answer
        assert len(set(sentence.candidates)) == len(sentence.candidates)
        assert sentence.candidates.count(sentence.answer) == 1


def right(sentence: CuedSentence) -> str:
    """The answer, from the text before it."""
    words = sentence.text.split(" ")[: sentence.position]
    cue = words[sentence.cue]
    if words[:4] == ["i", "was", "born", "in"]:
        assert sentence.cue == 4
        languages = [language for country, language in OriginSentences(1).pairs if country == cue]
        assert len(languages) == 1
        return languages[0]
    named = {word for word in words if word in GivingSentences(1).names}
    assert named == set(sentence.candidates)
    assert [n for n, word in enumerate(words) if word == cue][-1] == sentence.cue
    (other,) = named - {cue}
    assert words.count(other) == 1
    return other


def test_sentences_read_as_they_should() -> None:
    (origin,) = OriginSentences(5, fillers=("well",)).sentences(1)
    country = origin.text.split()[4]
    expected = f"i was born in {country} well well so i speak {origin.answer}"
    assert origin.text == expected
    (giving,) = GivingSentences(4, fillers=("well",), names=("john", "mary")).sentences(1)
    giver = giving.text.split()[5]
    assert giving.text.endswith(f" met and {giver} gave well well to {giving.answer}")
    assert {giver, giving.answer} == {"john", "mary"} == set(giving.candidates)
    short = [OriginSentences(d).sentences(1)[0].text.split()[5:-1] for d in (1, 2, 3)]
    assert short == [["speak"], ["i", "speak"], ["so", "i", "speak"]]


def test_no_place_and_no_name_is_a_hint() -> None:
    sentences = GivingSentences(3).sentences(4000, seed=1)
    firsts = np.mean([s.answer == s.candidates[0] for s in sentences])
    assert abs(firsts - 0.5) < 4 * 0.5 / math.sqrt(4000)
    for task in (OriginSentences(3), GivingSentences(3)):
        answers = Counter(s.answer for s in task.sentences(4000, seed=1))
        share = 4000 / len(answers)
        assert len(answers) == (10 if isinstance(task, OriginSentences) else 16)
        assert all(abs(count - share) < 4.5 * math.sqrt(share) for count in answers.values())


def answered(task: CuedSentences, orders: list[int]) -> dict[int, float]:
    """Share of the answers that n-grams of these orders get right, among the candidates."""
    number = {word: n + 1 for n, word in enumerate(task.words)}  # 0 is the start symbol
    learned = [[number[w] for w in s.text.split()] for s in task.sentences(2500, seed=1)]
    asked = task.sentences(800, seed=2)
    shares = {}
    for order in orders:
        model = NGram.fit(learned, order=order, vocabulary_size=len(number) + 1, start=0)
        hits = 0
        for sentence in asked:
            before = [number[w] for w in sentence.text.split()[:-1]]
            odds = model.distribution(before)[[number[w] for w in sentence.candidates]]
            hits += sentence.candidates[int(odds.argmax())] == sentence.answer
        shares[order] = hits / len(asked)
    return shares


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("distance", [1, 2, 3, 5])
def test_an_ngram_knows_nothing_before_it_sees_the_cue(
    kind: type[CuedSentences], distance: int
) -> None:
    task = kind(distance)
    chance = task.baseline.accuracy
    assert chance is not None
    assert chance == 1 / len(task.sentences(1)[0].candidates)
    assert task.baseline.loss == pytest.approx(-math.log(chance))
    shares = answered(task, list(range(1, distance + 2)))
    for order, share in shares.items():
        assert abs(share - chance) < 4 * math.sqrt(chance * (1 - chance) / 800), order
    if distance <= 3:  # one word more, and it sees the cue
        # Few fillers, or 2500 sentences would not show it each of their orders.
        seeing = kind(distance, fillers=("well", "then"))
        assert answered(seeing, [distance + 2])[distance + 2] > 0.98


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_has_the_sentences_as_ids(kind: type[CuedSentences]) -> None:
    task = kind(6)
    batch = task.batch(7, seed=9)
    assert list(task.words) == sorted(set(task.words))
    columns = torch.cat([batch.inputs, batch.targets[None]]).T.tolist()
    texts = [" ".join(task.words[n] for n in column) for column in columns]
    assert texts == [sentence.text for sentence in task.sentences(7, seed=9)]
    assert batch.targets.shape == (7,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OriginSentences(0), "distance: .*at least 1, got 0"),
        (lambda: OriginSentences(3, fillers=()), "fillers: expected at least 1 different words"),
        (lambda: OriginSentences(3, fillers=("a b",)), "without spaces, got .'a b'"),
        (lambda: OriginSentences(3, fillers=("well", "well")), "different words"),
        (lambda: OriginSentences(3, fillers=("french",)), "got .'french'. as both"),
        (lambda: OriginSentences(3, pairs=(("a", "b"),)), "at least two of .country, language."),
        (lambda: OriginSentences(3, pairs=(("a", "b"), ("c", "b"))), "cues and answers: .*'b'"),
        (lambda: OriginSentences(3, pairs=(("a", "b"), ("c", "so"))), "got .'so'. as both"),
        (lambda: OriginSentences(3, pairs=(1, 2)), "pairs: expected"),  # type: ignore[arg-type]
        (lambda: GivingSentences(3, names=("mary",)), "at least 2 different words .*'mary'"),
        (lambda: GivingSentences(3, names=("mary", "gave")), "got .'gave'. as both"),
        (lambda: GivingSentences(3).sentences(0), "number: .*at least 1, got 0"),
    ],
)
def test_sentences_say_what_is_wrong(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        make()
