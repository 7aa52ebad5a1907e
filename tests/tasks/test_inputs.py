"""What is said of inputs when they become numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recurra.tasks import task_by_name
from recurra.tasks.inputs import grayed_of
from recurra_runtime.fronts import Picture


def drawn(count: int, *shape: int) -> list[np.ndarray]:
    return [np.random.default_rng(n).integers(0, 256, shape, np.uint8) for n in range(count)]


def test_colors_that_are_lost_are_counted() -> None:
    gray = [np.repeat(one[..., None], 3, -1) for one in drawn(4, 5, 6)]  # three alike
    front = {"picture": Picture((5, 6))}
    assert grayed_of(front, [*drawn(2, 5, 6), *gray, *drawn(2, 5, 6, 2)]) == []
    (told,) = grayed_of(front, [*drawn(3, 5, 6, 3), *drawn(2, 5, 6, 4), *gray])
    assert told.endswith("(data.picture_mode=L; RGB keeps colors): 5")
    assert grayed_of({"picture": Picture((5, 6), "RGB")}, drawn(3, 5, 6, 3)) == []
    film = {"video": Picture((5, 3), video=True)}
    assert grayed_of(film, drawn(2, 4, 5, 3)) == []  # three pixels wide
    assert grayed_of(film, drawn(2, 4, 5, 3, 3))[0].endswith(": 2")
    several = {"picture": Picture((5, 6)), "text": object()}
    some = [{"picture": one, "text": ""} for one in drawn(2, 5, 6, 3)]
    assert grayed_of(several, [*some, {"picture": None, "text": ""}])[0].endswith(": 2")


@pytest.mark.parametrize("name", ["classification", "recognition", "transduction"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_task_tells_it_once(name: str, mode: str, tmp_path: Path) -> None:
    task = task_by_name(name)
    settings = task.Data(input="picture", picture_mode=mode)
    source = task.open((drawn(40, 5, 6, 3), ["a", "b"] * 20), settings)
    reported: list[str] = []
    told = task.prepare(source, settings, tmp_path, reported.append).sizes(0)
    assert told.count("(data.picture_mode=L; RGB keeps colors): 40") == (mode == "L")
    assert not any("gray" in each for each in reported)
