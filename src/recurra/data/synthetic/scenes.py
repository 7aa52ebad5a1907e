"""Pictures of a few shapes, and what is to be seen in each."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from recurra.data.synthetic.base import Floats, Seed, draws, seed_number
from recurra.errors import SettingError
from recurra.settings import check_size

__all__ = ["COLORS", "SHAPES", "Scene", "Scenes", "Thing", "drawn"]

COLORS = {
    "blue": (50, 70, 255),
    "cyan": (40, 220, 230),
    "green": (40, 180, 60),
    "pink": (250, 120, 220),
    "red": (235, 45, 35),
    "white": (245, 245, 245),
    "yellow": (245, 225, 40),
}
SHAPES = ("circle", "square", "triangle")
_KINDS = sorted(itertools.product(COLORS, SHAPES))
_RARE = {("red", "circle"), ("green", "square"), ("blue", "triangle")}
_FIFTH = 5
_RADII = {"small": (3.0, 4.0), "large": (6.5, 7.5)}  # pixels
_SMALL_WORDS = ("a", "left", "right", "of", "above", "below")
_CLEAR = 1.5  # how much farther apart along one axis than along the other
_ROOM = 2.0  # pixels between two shapes, at least
_TRIES = 200  # places that are drawn for the same shapes
_DARK, _GRAIN = 30.0, 8.0  # light behind the shapes, and its deviation


class Thing(NamedTuple):
    """A shape in a picture.

    Args:
        size: small or large.
        color: of :data:`COLORS`.
        shape: of :data:`SHAPES`.
        place: its center, line and column, in pixels.
        radius: of a circle of its area, about.
    """

    size: str
    color: str
    shape: str
    place: tuple[float, float]
    radius: float

    @property
    def named(self) -> str:
        """As in "a small red circle"."""
        return f"a {self.size} {self.color} {self.shape}"


class Scene(NamedTuple):
    """A picture and what is in it.

    Args:
        picture: uint8 ``[size, size, 3]``.
        caption: the only right one.
        things: in the order in which the caption names them.
    """

    picture: npt.NDArray[np.uint8]
    caption: str
    things: tuple[Thing, ...]


@dataclasses.dataclass(frozen=True)
class Scenes:
    """Pictures of one to three shapes with captions: "a small red circle left of a large blue ...".

    Shapes of one picture differ in color and are named in the alphabetical order of these; between
    two that follow each other stands where the first lies as seen from the second: left of, right
    of, above or below, along the axis on which their centers are clearly farther apart. So each
    picture has one right caption. Sizes, places and a grain of the ground are drawn.

    Some combinations occur in no picture but those that are asked for as ``unseen``, each of which
    has one or more of them. Every word of these captions is known, not so what stands beside it:

    =============  ===================================================================
    ``"pairs"``    a fifth of all pairs of things that differ in color, or color and shape
    ``"kinds"``    three colors with a shape: red circles, green squares, blue triangles
    =============  ===================================================================

    Of ``"pairs"`` both things are known, each from other pictures.

    Args:
        size: height and width in pixels, at least 40.
        most: shapes in a picture, 1 to 3.
        held: what is held out.

    Raises:
        SettingError: a setting outside its range, or pairs of pictures with one shape.
    """

    size: int = 48
    most: int = 3
    held: Literal["pairs", "kinds"] = "pairs"

    def __post_init__(self) -> None:
        check_size("size", self.size, 40)
        if check_size("most", self.most) > len(SHAPES):
            raise SettingError(f"most: expected 1 to {len(SHAPES)} shapes, got {self.most}")
        if self.held not in ("pairs", "kinds"):
            raise SettingError(f"held: expected 'pairs' or 'kinds', got {self.held!r}")
        if self.held == "pairs" and self.most == 1:
            raise SettingError("held: expected 'kinds' where a picture has one shape, got 'pairs'")

    @property
    def words(self) -> tuple[str, ...]:
        """All words that occur, sorted."""
        return tuple(sorted({*COLORS, *SHAPES, *_RADII, *_SMALL_WORDS}))

    def scenes(self, number: int, *, seed: Seed = 0, unseen: bool = False) -> list[Scene]:
        """Draw pictures with their captions.

        Args:
            number: of pictures.
            seed: a number of at least 0, or a generator.
            unseen: whether each has something that is held out; else none has.

        Raises:
            SettingError: a number below 1, or no seed.
        """
        number, seed = check_size("number", number), seed_number(seed)
        return [self._scene(draws(seed, place), unseen) for place in range(number)]

    def examples(
        self, number: int, *, seed: Seed = 0, unseen: bool = False
    ) -> tuple[list[npt.NDArray[np.uint8]], list[str]]:
        """Pictures, and their captions: what the task ``transduction`` is trained on.

        Args:
            number: of pictures.
            seed: as of :meth:`scenes`.
            unseen: as of :meth:`scenes`.
        """
        made = self.scenes(number, seed=seed, unseen=unseen)
        return [scene.picture for scene in made], [scene.caption for scene in made]

    def _scene(self, chance: np.random.Generator, unseen: bool) -> Scene:
        while True:
            kinds = self._kinds(chance, unseen)
            for _ in range(_TRIES):
                things = tuple(self._placed(kind, chance) for kind in kinds)
                if _apart(things) and all(map(_relation, things, things[1:])):
                    return Scene(self._picture(things, chance), _caption(things), things)

    def _kinds(self, chance: np.random.Generator, unseen: bool) -> list[tuple[str, str]]:
        """Colors with shapes, in the order of their names."""
        count = int(chance.integers(1, self.most + 1))
        while True:
            found = sorted(_KINDS[n] for n in chance.integers(len(_KINDS), size=count))
            if len({color for color, _ in found}) == count and self._is_held(found) == unseen:
                return found
            if unseen and self.held == "pairs":
                count = max(count, 2)

    def _is_held(self, kinds: list[tuple[str, str]]) -> bool:
        if self.held == "kinds":
            return any(kind in _RARE for kind in kinds)
        numbers = map(_KINDS.index, kinds)
        return any((i + 2 * j) % _FIFTH == 0 for i, j in itertools.combinations(numbers, 2))

    def _placed(self, kind: tuple[str, str], chance: np.random.Generator) -> Thing:
        size = ("small", "large")[chance.integers(2)]
        radius = chance.uniform(*_RADII[size])
        edge = radius + _ROOM
        line, column = chance.uniform(edge, self.size - edge, 2).tolist()
        return Thing(size, *kind, (line, column), float(radius))

    def _picture(
        self, things: tuple[Thing, ...], chance: np.random.Generator
    ) -> npt.NDArray[np.uint8]:
        light = chance.normal(_DARK, _GRAIN, (self.size, self.size, 1)).repeat(3, 2)
        for thing in things:
            share = drawn(thing.shape, thing.place, thing.radius, self.size)[..., None]
            light += share * (np.array(COLORS[thing.color]) - light)
        return np.clip(light, 0, 255).round().astype(np.uint8)


def drawn(shape: str, place: Any, radius: float, size: int, *, wrapped: bool = False) -> Floats:
    """How much of each pixel a shape covers, 0 to 1, ``[..., size, size]``.

    Its edge is one pixel wide, as of :class:`BallPictures`; the three shapes have areas alike.

    Args:
        shape: of :data:`SHAPES`.
        place: its center, line and column ``[..., 2]``; the pixel in line i has its center at
            i + 1/2.
        radius: of the circle.
        size: height and width.
        wrapped: whether what leaves on one side comes back on the other.
    """
    steps = np.arange(size) + 0.5
    place = np.asarray(place, np.float64)
    down = steps[:, None] - place[..., 0, None, None]
    right = steps[None, :] - place[..., 1, None, None]
    if wrapped:
        down, right = ((one + size / 2) % size - size / 2 for one in (down, right))
    if shape == "circle":
        beyond = np.hypot(down, right) - radius
    elif shape == "square":
        beyond = np.maximum(np.abs(down), np.abs(right)) - 0.886 * radius
    else:  # of equal sides, standing on one
        beyond = np.maximum(down, 0.866 * np.abs(right) - 0.5 * down) - 0.777 * radius
    covered: Floats = np.clip(0.5 - beyond, 0.0, 1.0)
    return covered


def _apart(things: tuple[Thing, ...]) -> bool:
    return all(
        np.hypot(*np.subtract(one.place, other.place)) >= one.radius + other.radius + 2 * _ROOM
        for one, other in itertools.combinations(things, 2)
    )


def _relation(one: Thing, other: Thing) -> str:
    """Where one lies as seen from the other; empty where that is not clear."""
    down, right = np.subtract(one.place, other.place)
    if abs(right) >= _CLEAR * abs(down):
        return "left of" if right < 0 else "right of"
    if abs(down) >= _CLEAR * abs(right):
        return "above" if down < 0 else "below"
    return ""


def _caption(things: tuple[Thing, ...]) -> str:
    words = [things[0].named]
    for one, other in itertools.pairwise(things):
        words += [_relation(one, other), other.named]
    return " ".join(words)
