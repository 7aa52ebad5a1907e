"""Damaged files of every kind: what a library makes of them is an error that names the file."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_files import noise, pixels, sound, table

from recurra.data.examples import Reading, open_examples
from recurra.data.examples.contents import kind_of_file
from recurra.data.examples.values import content_of, kind_of_path, value_of
from recurra.errors import DataError

DRAWS = 150
ENDINGS = ["wav", "flac", "ogg", "png", "jpg", "bmp", "mp4", "avi", "csv", "ts", "parquet"]


def whole(path: Path) -> Path:
    """A small file of a kind."""
    kind = kind_of_file(path)
    if kind == "sound":
        return sound(path, noise(500))
    if kind == "picture":
        library = pytest.importorskip("PIL.Image", reason="the extra `pictures` is not installed")
        turned = library.Exif()
        turned[0x0112], turned[0x010E], turned[0x011A] = 6, "a leaf", 72.0
        how = {} if path.suffix == ".bmp" else {"exif": turned}
        library.fromarray(pixels(12, 16, 3)).save(path, **how)
        return path
    if kind == "video":
        return video(path)
    if path.suffix == ".parquet":
        arrow = pytest.importorskip("pyarrow", reason="the extra `data` is not installed")
        rows = arrow.table({"text": ["ab", "cdé"] * 20, "label": ["x", "y"] * 20})
        pytest.importorskip("pyarrow.parquet").write_table(rows, path)
        return path
    if path.suffix == ".ts":
        path.write_text("@problemName a\n@univariate false\n@classLabel false\n@data\n1,2:3,4\n")
        return path
    rows = np.random.default_rng(0).normal(0, 1, (9, 2)).tolist()
    return table(path, [("time", "a", "b"), *((n, *row) for n, row in enumerate(rows))])


def video(path: Path) -> Path:
    library = pytest.importorskip("av", reason="the extra `video` is not installed")
    with library.open(str(path), "w") as opened:
        stream = opened.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        for number in range(4):
            frame = library.VideoFrame.from_ndarray(pixels(16, 32, 3, seed=number), format="rgb24")
            opened.mux(stream.encode(frame))
        opened.mux(stream.encode())
    return path


def damaged(raw: bytes, draw: np.random.Generator) -> bytes:
    """Cut short, or with some bytes changed; as often as not among the first, which say sizes."""
    if draw.random() < 0.2:
        return raw[: draw.integers(len(raw))]
    changed = bytearray(raw)
    within = len(raw) if draw.random() < 0.5 else min(len(raw), 200)
    for _ in range(draw.integers(1, 5)):
        changed[draw.integers(within)] = draw.choice([0, 255, draw.integers(256)])
    return bytes(changed)


@pytest.mark.filterwarnings("ignore")  # libraries warn of what they mend
@pytest.mark.parametrize("ending", ENDINGS)
def test_damaged_files_are_told(ending: str, tmp_path: Path) -> None:
    good = whole(tmp_path / f"good.{ending}")
    draw, refused = np.random.default_rng(5), []
    read(good)
    for number in range(DRAWS):
        bad = tmp_path / f"{number}.{ending}"
        bad.write_bytes(damaged(good.read_bytes(), draw))
        try:
            read(bad)
        except DataError as problem:
            refused.append((bad.name, str(problem)))
    assert refused
    assert all(name in said for name, said in refused)


def read(path: Path) -> None:
    kind = kind_of_path(path)
    if kind is None:
        list(open_examples(path, Reading()))
    else:
        content_of(path, kind, Reading(), str(path))


def test_a_picture_whose_resolution_is_a_text(tmp_path: Path) -> None:
    """It comes out where the picture is turned upright, and is counted as any that is damaged."""
    folder = tmp_path / "leaves"
    (folder / "oak").mkdir(parents=True)
    good = whole(folder / "oak" / "good.jpg").read_bytes()
    place = good.index(struct.pack(">HH", 0x011A, 5))  # a rational number
    bad = folder / "oak" / "bad.jpg"
    bad.write_bytes(good[: place + 2] + struct.pack(">H", 2) + good[place + 4 :])
    with pytest.raises(DataError, match=r"bad\.jpg: cannot be read as a picture \(bad operand"):
        list(open_examples(folder, Reading()))
    examples = open_examples(folder, Reading(on_error="skip"))
    assert (len(list(examples)), examples.skipped) == (1, 1)


def test_a_recording_of_a_length_beyond_all_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """36 bits of a FLAC file say how long it is, and so much memory is asked for."""
    folder = tmp_path / "calls"
    whole(folder / "loud" / "a.wav")
    bad = whole(folder / "loud" / "b.flac")
    raw = bytearray(bad.read_bytes())
    raw[21:26] = bytes([raw[21] | 0x0F, 255, 255, 255, 255])
    bad.write_bytes(raw)
    empty, most = np.empty, 1 << 30

    def small(shape: Any, *given: Any, **named: Any) -> Any:
        if np.prod(shape, dtype=float) > most:  # as on a machine without so much
            raise MemoryError(f"Unable to allocate {shape}")
        return empty(shape, *given, **named)

    monkeypatch.setattr(np, "empty", small)
    with pytest.raises(DataError, match=r"b\.flac: cannot be read as a sound \(Unable to alloc"):
        list(open_examples(folder, Reading()))
    examples = open_examples(folder, Reading(on_error="skip"))
    assert (len(list(examples)), examples.skipped) == (1, 1)


def test_a_picture_that_is_open_and_cut_short(tmp_path: Path) -> None:
    """Pillow opens a file by its first bytes."""
    good = whole(tmp_path / "good.png")
    library = pytest.importorskip("PIL.Image")
    bad = tmp_path / "bad.png"
    bad.write_bytes(good.read_bytes()[:300])
    with (
        library.open(bad) as opened,
        pytest.raises(DataError, match="there: cannot be read as a picture"),
    ):
        value_of(opened, "picture", Reading(), "there")


def test_frames_of_several_sizes_in_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = video(tmp_path / "a.mp4")
    library = pytest.importorskip("av")
    sizes = iter(range(1, 9))

    class Opened:
        """A file whose frames grow."""

        def __init__(self, inside: Any) -> None:
            self.inside, self.streams = inside, inside.streams

        def __enter__(self) -> Opened:
            return self

        def __exit__(self, *_: object) -> None:
            self.inside.close()

        def decode(self, **which: int) -> Any:
            for frame in self.inside.decode(**which):
                size = 16 * next(sizes)
                yield frame.reformat(width=size, height=size)

    opening = library.open
    monkeypatch.setattr(library, "open", lambda *given, **how: Opened(opening(*given, **how)))
    with pytest.raises(DataError, match=r"a\.mp4: cannot be read as a video \(.*same shape"):
        content_of(path, "video", Reading(), str(path))
