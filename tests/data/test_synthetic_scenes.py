"""Pictures and films: captions and answers are found again from the pixels."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from recurra.data import Clips, FilmQuestions, Scenes, write_video
from recurra.data.examples.contents import read_video
from recurra.data.synthetic.films import BALLS, MOTIONS
from recurra.data.synthetic.scenes import COLORS, SHAPES, drawn
from recurra.errors import DataError, SettingError


def centers(film: np.ndarray) -> np.ndarray:
    """Of what is light in each frame, ``[time, 2]``, on a torus; NaN where all is dark."""
    light = np.clip(film.astype(float) - 90, 0, None)
    size, total = film.shape[1], light.sum((1, 2))
    turned = np.exp(2j * np.pi * (np.arange(size) + 0.5) / size)
    with np.errstate(invalid="ignore"):
        mean = np.stack([light.sum(2) @ turned, light.sum(1) @ turned], 1) / total[:, None]
    return np.where(total[:, None] > 0, np.angle(mean) % (2 * np.pi) * size / (2 * np.pi), np.nan)


# ---- scenes ------------------------------------------------------------------------------------


def seen_in(picture: np.ndarray) -> dict[str, tuple[float, float, int]]:
    """Center and number of pixels of each color that is there."""
    found = {}
    for color, light in COLORS.items():
        there = np.abs(picture.astype(int) - light).sum(-1) < 60
        if there.sum() >= 12:
            line, column = np.argwhere(there).mean(0)
            found[color] = (line, column, int(there.sum()))
    return found


def test_captions_say_what_is_in_the_pixels() -> None:
    for scene in Scenes().scenes(60, seed=3):
        seen, words = seen_in(scene.picture), scene.caption.split()
        colors = [word for word in words if word in COLORS]
        assert colors == sorted(seen)
        for thing in scene.things:
            line, column, area = seen[thing.color]
            assert np.hypot(line - thing.place[0], column - thing.place[1]) < 1.5
            assert (thing.size == "large") == (area > 75)
            assert thing.named in scene.caption
        for one, other in itertools.pairwise(colors):
            down, right = np.subtract(seen[one][:2], seen[other][:2])
            between = scene.caption.split(one)[1].split(other)[0]
            if abs(right) > abs(down):
                assert ("left of" if right < 0 else "right of") in between
            else:
                assert ("above" if down < 0 else "below") in between


def test_shapes_are_told_apart_by_their_edges() -> None:
    """Of one area, about; a circle reaches as far in all directions, a triangle is wide below."""
    made = {shape: drawn(shape, (12.0, 12.0), 7.0, 24) for shape in SHAPES}
    areas = [shape.sum() for shape in made.values()]
    assert max(areas) < 1.1 * min(areas)
    assert made["square"][6, 6] > 0.5 > made["circle"][6, 6]
    lines = made["triangle"].sum(1)
    assert (np.diff(lines[2:16]) >= -0.01).all()
    assert lines[16] > 2 * lines[8]
    wrapped = drawn("circle", (0.0, 12.0), 5.0, 24, wrapped=True)
    np.testing.assert_allclose(np.roll(wrapped, 12, 0), drawn("circle", (12.0, 12.0), 5.0, 24))


@pytest.mark.parametrize("held", ["pairs", "kinds"])
def test_what_is_held_out_is_never_seen(held: str) -> None:
    scenes = Scenes(held=held)

    def combinations(unseen: bool) -> set[tuple[tuple[str, str], ...]]:
        """All that occur; of what is unseen each picture has one that is not among the seen."""
        size = 2 if held == "pairs" else 1
        kinds = (
            [(thing.color, thing.shape) for thing in scene.things]
            for scene in scenes.scenes(250, seed=1, unseen=unseen)
        )
        each = [{*itertools.combinations(found, size)} for found in kinds]
        if unseen:
            assert all(found - seen for found in each)
        return set().union(*each)

    seen = combinations(False)
    new = combinations(True) - seen
    words = {word for scene in scenes.scenes(250, seed=1) for word in scene.caption.split()}
    assert words == {*scenes.words}
    if held == "kinds":
        assert new == {(("red", "circle"),), (("green", "square"),), (("blue", "triangle"),)}
    assert len(new) >= 3


def test_scenes_hang_on_their_seed_and_number_alone() -> None:
    few, many = Scenes().examples(2, seed=7), Scenes().examples(4, seed=7)
    assert few[1] == many[1][:2]
    assert all(map(np.array_equal, few[0], many[0]))
    assert Scenes().examples(2, seed=8)[1] != few[1]
    assert (few[0][0].shape, few[0][0].dtype) == ((48, 48, 3), np.uint8)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"size": 20}, "size"),
        ({"most": 4}, "most: expected 1 to 3 shapes, got 4"),
        ({"most": 1}, "held: expected 'kinds' where a picture has one shape"),
        ({"held": "none"}, "held: expected 'pairs' or 'kinds', got 'none'"),
    ],
)
def test_scenes_refuse(settings: dict[str, object], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        Scenes(**settings)  # type: ignore[arg-type]


# ---- films -------------------------------------------------------------------------------------


def test_motions_are_found_in_the_pixels() -> None:
    films, motions = Clips().examples(60, seed=2)
    for film, motion in zip(films, motions, strict=True):
        size = film.shape[1]
        went = (np.diff(centers(film), axis=0) + size / 2) % size - size / 2
        down, right = went.sum(0)
        if abs(down) + abs(right) < 0.8 * np.abs(went).sum():
            found = "circle"
        elif abs(down) > abs(right):
            found = "down" if down > 0 else "up"
        else:
            found = "right" if right > 0 else "left"
        assert found == motion


def test_the_last_frame_tells_nothing_of_the_motion() -> None:
    films, motions = Clips().examples(800, seed=0)
    ends = np.stack([centers(film[-1:])[0] for film in films])
    assert {*motions} == {*MOTIONS}
    for motion in MOTIONS:  # as many in every quarter: of 160 a deviation of 3.4 %
        own = ends[np.array(motions) == motion] > 16
        counts = Counter(map(tuple, own.tolist()))
        assert len(counts) == 4
        assert all(abs(count / len(own) - 0.25) < 0.11 for count in counts.values())


def test_batches_of_films_are_the_examples() -> None:
    batch = Clips().batch(3, seed=4)
    assert batch.inputs.shape == (16, 3, 32, 32)
    assert batch.inputs.amin() >= 0
    assert batch.inputs.amax() <= 1
    assert batch.targets.shape == (3,)
    assert Clips().baseline.accuracy == pytest.approx(0.2)


def answered(film: np.ndarray, question: str, dark: int) -> str:
    """The answer, of the light that is there."""
    lit = film[: len(film) - dark]
    paths = np.stack([centers(lit[..., channel]) for channel in range(3)], 1)  # [time, ball, 2]
    steps = np.diff(paths, axis=0)
    moved = np.hypot(*steps.transpose(2, 0, 1)) > 0.5
    if question == "what moved first":
        return BALLS[int(np.argmin([m.argmax() if m.any() else 99 for m in moved.T]))]
    if question == "how many moved":
        return ("one", "two", "three")[int(moved.any(0).sum()) - 1]
    ball = BALLS.index(question.split()[3])
    down, right = paths[-1, ball] + dark * steps[-1, ball].round() > film.shape[1] / 2
    return ("south" if down else "north") + ("east" if right else "west")


def test_answers_are_found_in_the_pixels() -> None:
    made = FilmQuestions().questions(80, seed=5)
    assert len({one.question for one in made}) == 5
    for film, question, answer in made:
        assert answered(film, question, 4) == answer
        assert film[-4:].max() < 90  # and nothing is seen at the end


def test_answers_are_drawn_alike() -> None:
    made = FilmQuestions(12, 16, 3).questions(600, seed=0)
    by_kind: dict[str, Counter[str]] = {}
    for _, question, answer in made:
        by_kind.setdefault(question.split()[0], Counter())[answer] += 1
    best = sum(max(counts.values()) for counts in by_kind.values()) / len(made)
    chance = FilmQuestions(12, 16, 3).baseline.accuracy
    assert chance == pytest.approx((1 / 3 + 1 / 3 + 1 / 4) / 3)
    assert best == pytest.approx(chance, abs=0.05)


def test_films_refuse() -> None:
    for make, said in (
        (lambda: Clips(frames=1), "frames"),
        (lambda: Clips(speed=0), "speed: expected above 0"),
        (lambda: FilmQuestions(size=8), "size"),
        (lambda: FilmQuestions(dark=9), "dark: expected at most half of 16 frames, got 9"),
    ):
        with pytest.raises(SettingError, match=said):
            make()


# ---- files -------------------------------------------------------------------------------------


def test_a_film_is_read_from_its_file(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="the extra video is not installed")
    film = FilmQuestions().questions(1)[0].film
    write_video(tmp_path / "film.mp4", film)
    found = read_video(tmp_path / "film.mp4", "film.mp4")
    assert (found.shape, found.dtype) == (film.shape, np.uint8)
    assert np.abs(found.astype(int) - film).mean() < 12  # colors at half of the pixels
    gray = Clips().examples(1)[0][0]
    write_video(tmp_path / "gray.mp4", gray)
    found = read_video(tmp_path / "gray.mp4", "gray.mp4")
    assert np.abs(found[..., 0].astype(int) - gray).mean() < 3
    (tmp_path / "none.mp4").write_bytes(b"no film" * 20)
    with pytest.raises(DataError, match=r"none\.mp4: cannot be read as a video \(Invalid data"):
        read_video(tmp_path / "none.mp4", "none.mp4")
    with pytest.raises(SettingError, match="even height and width, got 31 x 32"):
        write_video(tmp_path / "odd.mp4", gray[:, 1:])


def test_without_the_library_the_install_line_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    (tmp_path / "film.mp4").write_bytes(b"")
    with pytest.raises(DataError, match=r"av, which cannot.*pip install 'recurra\[video\]'"):
        read_video(tmp_path / "film.mp4", "film.mp4")
