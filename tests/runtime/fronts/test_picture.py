"""Pictures and videos of one size, mode and scale."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from recurra_runtime.fronts import Picture
from recurra_runtime.missing import MissingLibraryError
from recurra_runtime.vocabulary import vocabulary_from_json

pillow = pytest.importorskip("PIL.Image", reason="the extra `pictures` is not installed")


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def test_light_is_from_0_to_1() -> None:
    front = Picture((2, 3))
    pixels = np.array([[0, 51, 255], [1, 2, 3]], np.uint8)
    encoded = front.encode(pixels)
    assert encoded.dtype == np.float32
    np.testing.assert_allclose(encoded[..., 0], pixels / 255, rtol=1e-6)
    assert encoded.shape == front.shape == (2, 3, 1)
    assert np.array_equal(front.encode(pixels[..., None]), encoded)
    assert (front.resized, front.converted) == (0, 0)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
@pytest.mark.parametrize("video", [False, True])
def test_the_scale(mode: str, channels: int, video: bool) -> None:
    rows = [drawn(*([2 + n] if video else []), 4, 5, channels, seed=n) for n in range(3)]
    front = Picture((4, 5), mode, video=video).fit(iter(rows))
    every = np.concatenate([row.reshape(-1, channels) for row in rows]) / 255
    np.testing.assert_allclose(front.mean, every.mean(0), rtol=1e-12)
    np.testing.assert_allclose(front.deviation, every.std(0), rtol=1e-12)
    encoded = front.encode(rows[1])
    np.testing.assert_allclose(encoded, (rows[1] / 255 - front.mean) / front.deviation, atol=1e-5)
    assert encoded.shape == ((3,) if video else ()) + (4, 5, channels)


def test_what_never_changes_is_not_divided_by_nothing() -> None:
    front = Picture((2, 2)).fit([np.full((2, 2), 51, np.uint8)])
    assert front.deviation.tolist() == [1.0]
    assert not front.encode(np.full((2, 2), 51, np.uint8)).any()


def test_another_size_and_mode_is_brought_to_this_one_and_counted() -> None:
    front = Picture((4, 6))
    wide = drawn(8, 12)
    expected = pillow.fromarray(wide).resize((6, 4), pillow.Resampling.BILINEAR)
    np.testing.assert_allclose(front.encode(wide)[..., 0], np.asarray(expected) / 255, rtol=1e-6)
    assert (front.resized, front.converted) == (1, 0)
    color = drawn(4, 6, 3)
    gray = np.asarray(pillow.fromarray(color).convert("L"))
    np.testing.assert_allclose(front.encode(color)[..., 0], gray / 255, rtol=1e-6)
    assert (front.resized, front.converted) == (1, 1)
    clear = np.concatenate([color, drawn(4, 6, 1)], -1)
    for other in (clear, clear[:, :, [0, 3]]):
        assert front.encode(other).shape == (4, 6, 1)
    assert (front.resized, front.converted) == (1, 3)
    both = Picture((4, 6), "RGB")
    encoded = both.encode(wide)
    assert np.array_equal(encoded[..., 0], encoded[..., 2])
    assert (both.resized, both.converted) == (1, 1)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_what_changed_since_the_frame_before(mode: str) -> None:
    film = drawn(5, 3, 4, 3)
    plain = Picture((3, 4), mode, video=True).fit([film])
    front = Picture((3, 4), mode, video=True, deltas=2).fit([film])
    assert front.shape == (3, 4, 3 * plain.shape[2])
    seen, encoded = plain.encode(film), front.encode(film)
    pixels, once, twice = np.split(encoded, 3, axis=-1)
    assert np.array_equal(pixels, seen)
    assert not once[0].any()
    assert not twice[0].any()
    np.testing.assert_allclose(once[1:], seen[1:] - seen[:-1], atol=1e-6)
    np.testing.assert_allclose(twice[2:], seen[2:] - 2 * seen[1:-1] + seen[:-2], atol=1e-5)
    # What has been seen says it all: frames to come change nothing.
    assert np.array_equal(front.encode(film[:3]), encoded[:3])
    for frames in (0, 1):
        assert front.encode(film[:frames]).shape == (frames, *front.shape)
    again = vocabulary_from_json(json.loads(json.dumps(front.to_json())))
    assert np.array_equal(again.encode(film), encoded)
    assert front.encode(drawn(2, 6, 8)).shape == (2, *front.shape)  # another size, and gray


@pytest.mark.parametrize("deltas", [-1, 3, 1.0, True, "1", None])
def test_differences_that_cannot_be(deltas: Any) -> None:
    with pytest.raises(ValueError, match=r"picture: expected deltas 0, 1 or 2, got "):
        Picture((3, 4), video=True, deltas=deltas)
    with pytest.raises(ValueError, match=r"deltas 0, as a picture has no frame before it, got 1"):
        Picture((3, 4), deltas=1)


def test_a_line_keeps_its_ratio() -> None:
    front = Picture((4, 0)).fit([drawn(8, 30), drawn(4, 9)])
    assert front.shape == (4, 0, 1)
    assert [front.encode(drawn(*size)).shape for size in ((8, 30), (4, 9), (400, 3))] == [
        (4, 15, 1),
        (4, 9, 1),
        (4, 1, 1),  # at least one column
    ]
    assert front.resized == 2
    one = Picture((4, 15)).encode(drawn(8, 30))
    same = Picture((4, 0)).encode(drawn(8, 30))
    assert np.array_equal(one, same)
    read = vocabulary_from_json(json.loads(json.dumps(front.to_json())))
    assert read.to_json() == front.to_json()


def test_the_right_side_may_come_first() -> None:
    for picture, video in ((drawn(4, 6), False), (drawn(2, 4, 6, 3), True)):
        front = Picture((4, 6), video=video, mirrored=True).fit([picture])
        plain = Picture((4, 6), video=video).fit([picture])
        assert np.array_equal(front.encode(picture), plain.encode(picture)[..., ::-1, :])
        read = vocabulary_from_json(json.loads(json.dumps(front.to_json())))
        assert np.array_equal(read.encode(picture), front.encode(picture))
    assert "mirrored" not in plain.to_json()


def test_frames_of_a_video_are_pictures() -> None:
    video, picture = Picture((3, 4), video=True), Picture((3, 4))
    frames = drawn(5, 6, 8, 3)
    assert np.array_equal(video.encode(frames), [picture.encode(frame) for frame in frames])
    assert (video.resized, picture.resized) == (1, 5)
    assert video.encode(drawn(0, 3, 4)).shape == (0, 3, 4, 1)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_back_from_json(mode: str) -> None:
    front = Picture((4, 5), mode, video=True).fit([drawn(2, 4, 5)])
    read = vocabulary_from_json(json.loads(json.dumps(front.to_json())))
    assert isinstance(read, Picture)
    assert read.to_json() == front.to_json()
    assert np.array_equal(read.encode(drawn(2, 4, 5)), front.encode(drawn(2, 4, 5)))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (np.zeros((4, 5)), "a picture [height, width] or with 1 to 4 channels behind, uint8; got"),
        (drawn(4), "got [4], uint8"),
        (drawn(4, 5, 5), "got [4, 5, 5], uint8"),
        (drawn(0, 5), "got [0, 5], uint8"),
    ],
)
def test_what_is_no_picture(raw: Any, said: str) -> None:
    for call in (Picture((4, 5)).encode, lambda row: Picture((4, 5)).fit([row])):
        with pytest.raises(ValueError, match=re.escape(said)):
            call(raw)
    with pytest.raises(ValueError, match=r"a video \[time, height, width\]"):
        Picture((4, 5), video=True).encode(drawn(4, 5))


def test_nothing_to_fit_on() -> None:
    with pytest.raises(ValueError, match="got none"):
        Picture((4, 5)).fit([])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": [4]}, "size (height, width)"),
        ({"size": [4, -1]}, "size (height, width)"),
        ({"size": [0, 4]}, "size (height, width)"),
        ({"size": [4, 0], "video": True}, "size (height, width)"),
        ({"size": [4, 5.0]}, "'size'"),
        ({"mode": "CMYK"}, "L or RGB"),
        ({"video": None}, "'video'"),
        ({"mirrored": 1}, "'mirrored'"),
        ({"mean": [0.0, 1.0]}, "'mean' of 1"),
        ({"deviation": [-1.0]}, "above 0"),
    ],
)
def test_damaged(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        vocabulary_from_json({**Picture((4, 5)).to_json(), **change})


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    assert Picture((4, 5)).encode(drawn(4, 5)).shape == (4, 5, 1)
    with pytest.raises(MissingLibraryError, match=r"PIL.*'recurra\[pictures\]'"):
        Picture((4, 5)).encode(drawn(8, 5))
