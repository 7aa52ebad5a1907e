"""Films of what moves, in which a frame alone tells nothing of the answer."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from recurra.batch import Batch
from recurra.data.rows import imported
from recurra.data.synthetic.base import (
    Baseline,
    Floats,
    Seed,
    SyntheticTask,
    draws,
    seed_number,
)
from recurra.data.synthetic.scenes import SHAPES, drawn
from recurra.errors import SettingError
from recurra.settings import check_number, check_size

__all__ = ["BALLS", "MOTIONS", "Clips", "FilmQuestion", "FilmQuestions", "write_video"]

MOTIONS = ("circle", "down", "left", "right", "up")
BALLS = ("red", "green", "blue")  # one for each color channel: none hides another
_STEPS = {"down": (1.0, 0.0), "left": (0.0, -1.0), "right": (0.0, 1.0), "up": (-1.0, 0.0)}
_COUNTS = ("one", "two", "three")
_BALL = 3 / 32  # its radius, of the height
_CLEAR = 1 / 8  # of the height, between a ball at the end and the middle
_GRAIN, _DARK = 8.0, 30.0  # deviation and light of the ground

Pixels = npt.NDArray[np.uint8]


@dataclasses.dataclass(frozen=True)
class Clips(SyntheticTask):
    """Films of a shape that goes left, right, up or down, or around in a circle.

    A batch has as inputs films ``[frames, rows, size, size]``, 0 to 1, and as targets the places of
    their motions in :data:`MOTIONS` ``[rows]``. What leaves on one side comes back on the other,
    and where the shape is at the end is drawn uniformly, as are its kind, size, light and speed. So
    any one frame looks alike for all motions.

    Baseline, of whoever sees one frame: ln 5 nats, and a fifth of the answers is right.

    Args:
        frames: of a film, at least 2.
        size: height and width in pixels, at least 16.
        speed: pixels a frame, on average.

    Raises:
        SettingError: a setting outside its range.
    """

    frames: int = 16
    size: int = 32
    speed: float = 1.0

    def __post_init__(self) -> None:
        check_size("frames", self.frames, 2)
        check_size("size", self.size, 16)
        if not 0 < check_number("speed", self.speed) <= 4:
            raise SettingError(f"speed: expected above 0 and up to 4 pixels, got {self.speed!r}")

    @property
    def baseline(self) -> Baseline:
        """Cross-entropy in nats and accuracy of a uniform guess."""
        return Baseline(math.log(len(MOTIONS)), 1 / len(MOTIONS))

    def examples(self, number: int, *, seed: Seed = 0) -> tuple[list[Pixels], list[str]]:
        """Films ``[frames, size, size]``, and their motions; a film hangs on its number alone.

        Args:
            number: of films.
            seed: a number of at least 0, or a generator.

        Raises:
            SettingError: a number below 1, or no seed.
        """
        number, seed = check_size("number", number), seed_number(seed)
        made = [self._film(draws(seed, place)) for place in range(number)]
        return [film for film, _ in made], [MOTIONS[motion] for _, motion in made]

    def _draw(self, rows: int, chance: np.random.Generator) -> Batch:
        made = [self._film(chance) for _ in range(rows)]
        films = np.stack([film for film, _ in made], 1).astype(np.float32) / 255
        motions = torch.tensor([motion for _, motion in made])
        return Batch(torch.from_numpy(films), motions, target_axis=0)

    def _film(self, chance: np.random.Generator) -> tuple[Pixels, int]:
        motion = int(chance.integers(len(MOTIONS)))
        shape = SHAPES[chance.integers(len(SHAPES))]
        path = self._path(MOTIONS[motion], chance)
        path += chance.uniform(0, self.size, 2) - path[-1]  # so that its end is anywhere
        radius, light = chance.uniform(2.5, 4.5), chance.uniform(150, 255)
        covered = drawn(shape, path, radius, self.size, wrapped=True)
        return _grainy(covered * light, chance), motion

    def _path(self, motion: str, chance: np.random.Generator) -> Floats:
        steps = np.arange(self.frames)[:, None] * self.speed * chance.uniform(0.8, 1.2)
        if motion in _STEPS:
            straight: Floats = steps * np.array(_STEPS[motion])
            return straight
        radius = chance.uniform(3.0, 5.0)
        turned = chance.uniform(0, 2 * math.pi) + (-1) ** chance.integers(2) * steps / radius
        return radius * np.concatenate([np.sin(turned), np.cos(turned)], 1)


class FilmQuestion(NamedTuple):
    """A film, and something that is asked of it.

    Args:
        film: uint8 ``[frames, size, size, 3]``.
        question: in words.
        answer: one word.
    """

    film: Pixels
    question: str
    answer: str


@dataclasses.dataclass(frozen=True)
class FilmQuestions:
    """Questions of three balls, some of which begin to move, one after the other.

    ==============================  ============================================
    what moved first                red, green, blue
    how many moved                  one, two, three
    where is the red ball now       northwest, northeast, southwest, southeast
    ==============================  ============================================

    Balls rest; one to three of them begin to go left, right, up or down, each at a time of its own.
    The light goes out before the end, and what moves goes on: "now" is the last frame, in which
    nothing is seen. So what was seen must be kept, and at a place taken further.

    Args:
        frames: of a film, at least 10.
        size: height and width in pixels, at least 16.
        dark: frames without light at the end, at least 1 and at most half of them.

    Raises:
        SettingError: a setting outside its range.
    """

    frames: int = 16
    size: int = 32
    dark: int = 4

    def __post_init__(self) -> None:
        check_size("frames", self.frames, 10)
        check_size("size", self.size, 16)
        if check_size("dark", self.dark) > self.frames // 2:
            raise SettingError(
                f"dark: expected at most half of {self.frames} frames, got {self.dark}"
            )

    @property
    def baseline(self) -> Baseline:
        """Cross-entropy in nats and accuracy of one who knows the question and sees a dark frame.

        The three kinds of questions are drawn alike, and of each kind all answers.
        """
        kinds = (len(BALLS), len(_COUNTS), 4)
        return Baseline(
            sum(map(math.log, kinds)) / len(kinds), sum(1 / size for size in kinds) / len(kinds)
        )

    def questions(self, number: int, *, seed: Seed = 0) -> list[FilmQuestion]:
        """Draw films, each with one question.

        Args:
            number: of them.
            seed: a number of at least 0, or a generator.

        Raises:
            SettingError: a number below 1, or no seed.
        """
        number, seed = check_size("number", number), seed_number(seed)
        return [self._question(draws(seed, place)) for place in range(number)]

    def examples(self, number: int, *, seed: Seed = 0) -> tuple[dict[str, list[Any]], list[str]]:
        """Films and questions by name, and answers: what the task ``classification`` reads.

        Args:
            number: of them.
            seed: as of :meth:`questions`.
        """
        made = self.questions(number, seed=seed)
        inputs: dict[str, list[Any]] = {
            "film": [one.film for one in made],
            "question": [one.question for one in made],
        }
        return inputs, [one.answer for one in made]

    def _question(self, chance: np.random.Generator) -> FilmQuestion:
        movers = chance.permutation(len(BALLS))[: chance.integers(1, len(BALLS) + 1)]
        latest = self.frames - self.dark - 3
        begins = dict(
            zip(movers.tolist(), sorted(chance.permutation(latest)[: len(movers)] + 1), strict=True)
        )
        paths = [self._path(begins.get(ball), chance) for ball in range(len(BALLS))]
        kind = int(chance.integers(3))
        if kind == 0:
            asked, answer = "what moved first", BALLS[movers[0]]
        elif kind == 1:
            asked, answer = "how many moved", _COUNTS[len(movers) - 1]
        else:
            ball = int(chance.integers(len(BALLS)))
            asked = f"where is the {BALLS[ball]} ball now"
            down, right = paths[ball][-1] > self.size / 2
            answer = ("south" if down else "north") + ("east" if right else "west")
        return FilmQuestion(self._film(paths, chance), asked, answer)

    def _path(self, begins: int | None, chance: np.random.Generator) -> Floats:
        """Where a ball is at each frame: in the picture, and at the end clearly in a quarter."""
        steps = np.zeros(self.frames)
        if begins is not None:
            steps = np.maximum(np.arange(self.frames) - begins + 1, 0)
        radius = _BALL * self.size
        while True:
            way = np.array(list(_STEPS.values())[chance.integers(len(_STEPS))])
            path: Floats = chance.uniform(radius, self.size - radius, 2) + steps[:, None] * way
            inside = radius <= path[-1].min() and path[-1].max() <= self.size - radius
            if inside and np.abs(path[-1] - self.size / 2).min() >= _CLEAR * self.size:
                return path

    def _film(self, paths: list[Floats], chance: np.random.Generator) -> Pixels:
        covered = [drawn("circle", path, _BALL * self.size, self.size) for path in paths]
        light = np.stack(covered, -1) * 200.0
        light[self.frames - self.dark :] = 0
        return _grainy(light, chance)


def write_video(file: Path, frames: Pixels, *, rate: int = 8) -> None:
    """Write a film as H.264, which loses a little of it.

    Args:
        file: whose ending says the container, such as .mp4.
        frames: uint8 ``[time, height, width(, 3)]`` of an even height and width.
        rate: frames a second.

    Raises:
        DataError: the library av, which ``recurra[video]`` brings, is missing.
        SettingError: an odd height or width.
    """
    library = imported("av", "Videos in one file", "video")
    height, width = frames.shape[1:3]
    if height % 2 or width % 2:
        raise SettingError(f"frames: expected an even height and width, got {height} x {width}")
    colors = frames if frames.ndim == 4 else np.repeat(frames[..., None], 3, -1)
    with library.open(str(file), "w") as opened:
        stream = opened.add_stream("libx264", rate=rate, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in colors:
            opened.mux(stream.encode(library.VideoFrame.from_ndarray(frame, format="rgb24")))
        opened.mux(stream.encode())


def _grainy(light: Floats, chance: np.random.Generator) -> Pixels:
    """Light on a ground that is never quite dark."""
    ground = chance.normal(_DARK, _GRAIN, light.shape)
    return np.clip(light + ground, 0, 255).round().astype(np.uint8)
