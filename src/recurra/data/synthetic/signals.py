"""Sequences that a formula gives: progressions, sines, a ball between walls."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recurra.data.synthetic.base import (
    BLOCK,
    Floats,
    Seed,
    SyntheticSource,
    block_draws,
    draws,
    seed_number,
)
from recurra.errors import SettingError
from recurra.settings import check_number, check_size

__all__ = ["Arithmetic", "BallPictures", "BouncingBall", "Sine"]


class Arithmetic(SyntheticSource):
    r"""Arithmetic progressions: :math:`x_t = a + d\,t`, elements are numbers, ``[time, rows]``.

    The next value follows from the last two: :math:`x_{t+1} = 2 x_t - x_{t-1}`.

    Args:
        start: a, a number or one for each row. Whole numbers for start and step give int64,
            exactly; others are computed in float64.
        step: d, a number or one for each row.
        dtype: of the values; None is int64 for whole numbers, else float32.

    Raises:
        SettingError: not finite numbers, or not one for each row. :meth:`steps` raises it where
            whole numbers go beyond 64 bits.
    """

    def __init__(self, start: Any = 0, step: Any = 1, *, dtype: torch.dtype | None = None) -> None:
        self.start, self.step = _for_rows(start=start, step=step)
        self.rows = len(self.start)
        whole = self.start.dtype == self.step.dtype == np.int64
        self.dtype = dtype or (torch.int64 if whole else torch.float32)

    def _make(self, start: int, stop: int) -> Tensor:
        if self.start.dtype == self.step.dtype == np.int64:
            largest = max(
                abs(a) + abs(d) * stop
                for a, d in zip(self.start.tolist(), self.step.tolist(), strict=True)
            )
            if largest >= 2**63:
                raise SettingError(
                    f"Arithmetic: expected whole numbers below 2**63, got up to {largest} before "
                    f"step {stop}. Give start or step as a float."
                )
        time = np.arange(start, stop)[:, None]
        return torch.from_numpy(self.start + self.step * time).to(self.dtype)


class Sine(SyntheticSource):
    r"""Sines, with noise if asked: elements are numbers, ``[time, rows]``.

    .. math::
        x_t = A \sin(2 \pi f t / r + \varphi) + \sigma \varepsilon_t,
        \qquad \varepsilon_t \sim N(0, 1) \text{ independent}

    Without noise the next value follows from the last two:
    :math:`x_{t+1} = 2 \cos(2 \pi f / r)\, x_t - x_{t-1}`. With it no forecast has a mean squared
    error below :math:`\sigma^2`; always answering 0 has :math:`A^2 / 2 + \sigma^2` over whole
    periods of at least three samples.

    Args:
        frequency: f in Hz, at least 0 and below half the sampling rate: a faster sine cannot be
            told from a slower one. A number or one for each row, like the next three.
        amplitude: A.
        phase: :math:`\varphi` in radians.
        noise: :math:`\sigma`, at least 0.
        sampling_rate: r in Hz, above 0.
        seed: of the noise.
        dtype: of the values, which are computed in float64.

    Raises:
        SettingError: a setting outside its range, or not one for each row.
    """

    def __init__(
        self,
        frequency: Any,
        *,
        amplitude: Any = 1.0,
        phase: Any = 0.0,
        noise: Any = 0.0,
        sampling_rate: float,
        seed: Seed = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.sampling_rate = check_number("sampling_rate", sampling_rate)
        if self.sampling_rate <= 0:
            raise SettingError(f"sampling_rate: expected more than 0 Hz, got {sampling_rate!r}")
        self.frequency, self.amplitude, self.phase, self.noise = _for_rows(
            frequency=frequency, amplitude=amplitude, phase=phase, noise=noise
        )
        self.rows, self.dtype = len(self.frequency), dtype
        if not ((self.frequency >= 0) & (self.frequency < self.sampling_rate / 2)).all():
            raise SettingError(
                "frequency: expected at least 0 and below half the sampling rate, "
                f"{self.sampling_rate / 2:g} Hz, got {frequency!r}"
            )
        if not (self.noise >= 0).all():
            raise SettingError(f"noise: expected at least 0, got {noise!r}")
        self._seed = seed_number(seed)

    def _make(self, start: int, stop: int) -> Tensor:
        time = np.arange(start, stop)[:, None]
        # Whole turns are left out before they cost digits: this remainder is exact.
        turns = np.mod(self.frequency * time, self.sampling_rate) / self.sampling_rate
        values = self.amplitude * np.sin(2 * math.pi * turns + self.phase)
        if self.noise.any():
            values = values + self.noise * block_draws(
                self._seed, start, stop, lambda chance: chance.standard_normal((BLOCK, self.rows))
            )
        return torch.from_numpy(values).to(self.dtype)


class BouncingBall(SyntheticSource):
    r"""A ball in a box with elastic walls; elements are vectors, ``[time, rows, 2 axes]``.

    An element holds the position of the ball's center along every axis, then its velocities, which
    at the moment of touching a wall are those after it. Along an axis of length L, with radius r,
    the center stays in [r, L - r]. The position is exact, by reflection: with s = L - 2 r,

    .. math::
        u_t = (x_0 - r + v_0 t) \bmod 2 s, \qquad x_t = r + s - |u_t - s|, \qquad |v_t| = |v_0|

    Args:
        box: length of every axis, at least one. For pictures: (height, width) in pixels.
        radius: r, at least 0, below half of every length.
        position: :math:`x_0`, ``[axes]`` or ``[rows, axes]``; None draws it, uniform where the
            ball fits.
        velocity: :math:`v_0` in lengths a step, ``[axes]`` or ``[rows, axes]``; None draws its
            direction, uniform.
        speed: length of a drawn velocity, at least 0.
        rows: number of balls; None takes it from position and velocity, or is 1.
        seed: of what is drawn.
        dtype: of the values, which are computed in float64.

    Raises:
        SettingError: a setting outside its range or of another shape.
    """

    def __init__(
        self,
        box: Any = (16, 16),
        *,
        radius: float = 2.0,
        position: Any = None,
        velocity: Any = None,
        speed: float = 1.0,
        rows: int | None = None,
        seed: Seed = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.box = _numbers("box", box).astype(np.float64)
        if self.box.ndim != 1 or len(self.box) == 0:
            raise SettingError(f"box: expected the length of every axis, got {box!r}")
        self.radius, speed = check_number("radius", radius), check_number("speed", speed)
        if not (self.radius >= 0 and (2 * self.radius < self.box).all()):
            raise SettingError(
                f"radius: expected at least 0 and below half of every length of the box "
                f"{self.box.tolist()}, got {radius!r}"
            )
        if speed < 0:
            raise SettingError(f"speed: expected at least 0, got {speed!r}")
        axes = len(self.box)
        given = {"position": position, "velocity": velocity}
        known = {
            name: _vectors(name, value, axes) for name, value in given.items() if value is not None
        }
        counts = {len(value) for value in known.values()} - {1}
        if rows is not None:
            counts.add(check_size("rows", rows))
        if len(counts) > 1:
            raise SettingError(
                f"rows: expected one number of rows, got {sorted(counts)} (position, velocity and "
                "rows together)"
            )
        self.rows, self.dtype = max(counts, default=1), dtype
        chance = draws(seed_number(seed), 0)
        places = self.radius + (self.box - 2 * self.radius) * chance.random((self.rows, axes))
        headings = chance.standard_normal((self.rows, axes))
        headings *= speed / np.linalg.norm(headings, axis=1, keepdims=True)
        shape = (self.rows, axes)
        self.position: Floats = np.broadcast_to(known.get("position", places), shape)
        self.velocity: Floats = np.broadcast_to(known.get("velocity", headings), shape)
        low, high = self.radius, self.box - self.radius
        if not ((self.position >= low) & (self.position <= high)).all():
            raise SettingError(
                f"position: expected {low:g} to {high.tolist()} along the axes, where the ball "
                f"fits the box, got {position!r}"
            )

    def motion(self, start: int, stop: int) -> tuple[Floats, Floats]:
        """Positions and velocities of steps start to stop - 1, float64 ``[time, rows, axes]``.

        Raises:
            SettingError: not 0 <= start <= stop.
        """
        start = check_size("start", start, 0)
        time = np.arange(start, check_size("stop", stop, start))[:, None, None]
        return self._flown(self.position, self.velocity, time)

    def ahead(self, element: Tensor, steps: int) -> Tensor:
        """What follows an element so many steps later, exactly: position and velocity.

        Args:
            element: ``[..., 2 axes]``, of a ball within the box.
            steps: at least 0.

        Returns:
            float64 of that shape.

        Raises:
            SettingError: another number of axes, or steps below 0.
        """
        axes, steps = len(self.box), check_size("steps", steps, 0)
        if element.ndim == 0 or element.shape[-1] != 2 * axes:
            raise SettingError(
                f"element: expected [..., {2 * axes}], positions and velocities along {axes} axes, "
                f"got {list(element.shape)}"
            )
        known = element.double().numpy()
        flown = self._flown(known[..., :axes], known[..., axes:], np.array(steps))
        return torch.from_numpy(np.concatenate(flown, -1))

    def straight_errors(self, horizon: int, *, start: int = 0, stop: int = 1000) -> Tensor:
        r"""Mean squared distance of one who knows no walls, ``[horizon]``, float64.

        :math:`|x_t + k v_t - x_{t+k}|^2` for k = 1 to horizon, over steps start to stop - 1 and
        all rows. Who knows them has 0.

        Raises:
            SettingError: a horizon below 1, or not 0 <= start < stop.
        """
        horizon, start = check_size("horizon", horizon), check_size("start", start, 0)
        count = check_size("stop", stop, start + 1) - start
        places, speeds = self.motion(start, start + count + horizon)
        errors = [
            np.square(places[:count] + k * speeds[:count] - places[k : k + count]).sum(-1).mean()
            for k in range(1, horizon + 1)
        ]
        return torch.tensor(errors, dtype=torch.float64)

    def _flown(self, position: Floats, velocity: Floats, time: Any) -> tuple[Floats, Floats]:
        span = self.box - 2 * self.radius
        unfolded = np.mod(position - self.radius + velocity * time, 2 * span)
        # On a wall the direction hangs on where the ball goes: there it has bounced already.
        ahead = (unfolded > 0) & (unfolded <= span)
        ahead = np.where(velocity >= 0, unfolded % (2 * span) < span, ahead)
        return (
            self.radius + span - np.abs(unfolded - span),
            np.where(ahead, velocity, -velocity),
        )

    def _make(self, start: int, stop: int) -> Tensor:
        return torch.from_numpy(np.concatenate(self.motion(start, stop), -1)).to(self.dtype)


class BallPictures(SyntheticSource):
    r"""Pictures of a bouncing ball; elements are ``[height, width]``, values 0 to 1.

    The pixel in line i and column j has its center at (i + 1/2, j + 1/2). At distance q from the
    ball's center its value is :math:`\min(1, \max(0, r + 1/2 - q))`: 1 inside, 0 outside, and an
    edge one pixel wide. So the picture moves with the ball between pixels too.

    Args:
        ball: in a box of (height, width) whole pixels, its radius at least 1/2.

    Raises:
        SettingError: another box or radius.
    """

    def __init__(self, ball: BouncingBall) -> None:
        sides = ball.box.tolist()
        if len(sides) != 2 or any(side != int(side) for side in sides):
            raise SettingError(
                f"box: expected (height, width) in whole pixels for pictures, got {sides}"
            )
        if ball.radius < 0.5:
            raise SettingError(
                f"radius: expected at least 1/2 pixel for pictures, got {ball.radius:g}; a smaller "
                "ball would vanish between pixels"
            )
        self.ball, self.rows, self.dtype = ball, ball.rows, ball.dtype
        self.height, self.width = int(sides[0]), int(sides[1])

    def _make(self, start: int, stop: int) -> Tensor:
        positions, _ = self.ball.motion(start, stop)
        lines = np.arange(self.height)[:, None] + 0.5 - positions[..., 0, None, None]
        columns = np.arange(self.width)[None, :] + 0.5 - positions[..., 1, None, None]
        values = np.clip(self.ball.radius + 0.5 - np.hypot(lines, columns), 0.0, 1.0)
        return torch.from_numpy(values).to(self.dtype)


def _numbers(name: str, value: Any) -> Any:
    """An array of finite numbers: int64 if all are whole by type, else float64."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        array = np.array(None)
    if array.dtype.kind in "iu" and (array <= np.iinfo(np.int64).max).all():
        return array.astype(np.int64)
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise SettingError(f"{name}: expected finite numbers, got {value!r}")
    return array.astype(np.float64)


def _for_rows(**settings: Any) -> list[Any]:
    """Settings as ``[rows]``; each is a number or one for each row."""
    arrays = {name: _numbers(name, value) for name, value in settings.items()}
    rows = max(array.size for array in arrays.values())
    for name, array in arrays.items():
        if array.ndim > 1 or array.size not in (1, rows) or array.size == 0:
            raise SettingError(
                f"{name}: expected a number or one for each of {rows} rows, got shape "
                f"{list(array.shape)}"
            )
    return [np.broadcast_to(array, rows) for array in arrays.values()]


def _vectors(name: str, value: Any, axes: int) -> Floats:
    """``[rows, axes]`` from ``[axes]`` or ``[rows, axes]``."""
    array: Floats = np.atleast_2d(_numbers(name, value).astype(np.float64))
    if array.ndim != 2 or array.shape[1] != axes or len(array) == 0:
        raise SettingError(
            f"{name}: expected [axes] or [rows, axes] with {axes} axes as the box has, got shape "
            f"{list(np.shape(value))}"
        )
    return array
