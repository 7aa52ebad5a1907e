"""One file, or the frames in one folder, to what is in it: sounds, pictures, videos."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recurra.data.absent import no_file
from recurra.data.examples.base import Kind, Sound
from recurra.data.readers import inside
from recurra.data.rows import imported
from recurra.errors import DataError

__all__ = [
    "ENDINGS",
    "check_sound",
    "is_frame",
    "is_video",
    "kind_of_file",
    "read_picture",
    "read_sound",
    "read_video",
]

ENDINGS: dict[str, Kind] = {
    ".avi": "video",
    ".bmp": "picture",
    ".conll": "words",
    ".conllu": "words",
    ".flac": "sound",
    ".jpeg": "picture",
    ".jpg": "picture",
    ".m4v": "video",
    ".mkv": "video",
    ".mov": "video",
    ".mp4": "video",
    ".ogg": "sound",
    ".png": "picture",
    ".ts": "series",
    ".txt": "text",
    ".wav": "sound",
    ".webm": "video",
}
"""Endings of files -> what is in them. Tables are whatever their columns say."""


_LOUD = 1e4  # far beyond the amplitude of anything that is no fault
_FAST = 10_000_000  # samples a second; ultrasound has fewer


def kind_of_file(name: str | Path) -> Kind | None:
    """What a file holds, by its ending; None of others."""
    return ENDINGS.get(inside(Path(name)).suffix.lower())


def read_sound(source: Path | bytes, place: str, rate: int | None = None) -> Sound:
    """A recording of one channel.

    Args:
        source: the file, or its bytes.
        place: what errors call it.
        rate: samples a second that are expected.

    Raises:
        DataError: soundfile is missing, it cannot be read, has several channels, another
            rate, or an amplitude or rate beyond any.
    """
    library = imported("soundfile", "Sounds", "sound")
    opened = _opened(source, place)
    with _decoding("a sound", place):
        samples, found = library.read(opened, dtype="float32", always_2d=True)
    if samples.shape[1] != 1:
        raise DataError(
            f"{place}: expected a recording of one channel, this has {samples.shape[1]}. Mix or "
            "part them first."
        )
    if rate is not None and found != rate:
        raise DataError(
            f"{place}: expected {rate:,} samples a second, this has {found:,}. Resample it first, "
            "or change the rate."
        )
    if not np.isfinite(samples).all():
        raise DataError(f"{place}: expected finite samples, found NaN or infinity.")
    check_sound(samples, int(found), place)
    return Sound(np.ascontiguousarray(samples[:, 0]), int(found))


def check_sound(samples: npt.NDArray[np.float32], rate: int, place: str) -> None:
    """Whether samples and their rate may be those of a sound.

    Raises:
        DataError: an amplitude or a rate beyond any.
    """
    loud = float(np.abs(samples).max(initial=0))
    if loud > _LOUD:
        raise DataError(
            f"{place}: expected samples from -1 to 1, got an amplitude of {loud:.3g}. Divide them "
            "by the largest number that they can be, or leave the file out."
        )
    if not 1 <= rate <= _FAST:
        raise DataError(
            f"{place}: expected from 1 to {_FAST:,} samples a second, got {rate:,}. Write it with "
            "its true rate, or leave it out."
        )


def read_picture(source: Path | bytes, place: str) -> npt.NDArray[np.uint8]:
    """A picture, ``[height, width]`` of gray, or ``[height, width, channels]``.

    Palettes become colors, black and white gray; a picture that a camera has turned stands upright.

    Raises:
        DataError: Pillow is missing, it cannot be read, or has more than 8 bits for a color.
    """
    library = imported("PIL.Image", "Pictures", "pictures")
    operations = imported("PIL.ImageOps", "Pictures", "pictures")
    opened = _opened(source, place)
    with _decoding("a picture", place), library.open(opened) as picture:
        return as_pixels(operations.exif_transpose(picture), place)


def as_pixels(picture: Any, place: str) -> npt.NDArray[np.uint8]:
    """Those of a picture of Pillow.

    Raises:
        DataError: it cannot be read, or has more than 8 bits for a color.
    """
    if picture.mode.startswith(("I", "F")):
        raise DataError(
            f"{place}: expected 8 bits for a color, this picture has mode {picture.mode}. Convert "
            "it first."
        )
    with _decoding("a picture", place):  # Pillow reads pixels when they are asked for
        if picture.mode not in ("L", "LA", "RGB", "RGBA"):
            clear = picture.mode in ("P", "PA") and "transparency" in picture.info
            gray = picture.mode == "1"
            picture = picture.convert("RGBA" if clear else "L" if gray else "RGB")
        return np.array(picture, np.uint8)


def is_frame(file: Path) -> bool:
    """Whether a file is one of a video; what systems leave there, ._0.png, is none."""
    return kind_of_file(file) == "picture" and not file.name.startswith(".")


def is_video(file: Path) -> bool:
    """Whether it is one file with a whole video."""
    return kind_of_file(file) == "video" and not file.name.startswith(".")


def read_video(source: Path, place: str) -> npt.NDArray[np.uint8]:
    """The frames of a file, or of a folder, ``[time, height, width(, channels)]``.

    Those of a folder are sorted by the numbers in their names; those of a file are all of its first
    video stream, of gray ``[time, height, width]``.

    Args:
        source: a file (.mp4, .mkv, .webm, .avi, .mov), or a folder with pictures.
        place: what errors call it.

    Raises:
        DataError: no frame, one that cannot be read, frames of several sizes, or a library is
            missing.
    """
    if source.is_file():
        return _decoded(source, place)
    if not source.is_dir():
        raise DataError(
            f"{place}: expected a video, or a folder with the frames of one, found none."
        )
    files = sorted(filter(is_frame, source.iterdir()), key=_numbered)
    if not files:
        raise DataError(f"{place}: expected frames (.png, .jpg) in this folder, found none.")
    frames = []
    for file in files:
        frames.append(read_picture(file, f"{place}: {file.name}"))
        if frames[-1].shape != frames[0].shape:
            raise DataError(
                f"{place}: expected frames of one size and mode, {files[0].name} has "
                f"{list(frames[0].shape)} and {file.name} {list(frames[-1].shape)}."
            )
    return np.stack(frames)


def _decoded(file: Path, place: str) -> npt.NDArray[np.uint8]:
    library = imported("av", "Videos in one file", "video")
    how = {"metadata_errors": "replace"}  # a title may be in any encoding
    with _decoding("a video", place), library.open(str(file), **how) as opened:
        if not opened.streams.video:
            raise DataError(f"{place}: expected a video, this has no stream with pictures.")
        frames = [
            frame.to_ndarray(format="gray" if frame.format.name.startswith("gray") else "rgb24")
            for frame in opened.decode(video=0)
        ]
        if not frames:
            raise DataError(f"{place}: expected frames in this video, found none.")
        return np.stack(frames)


@contextlib.contextmanager
def _decoding(what: str, place: str) -> Iterator[None]:
    """Whatever a library raises of what a file holds becomes an error that names the file.

    A few damaged bytes are a length beyond all memory, a type that is none, an index out of range.
    """
    try:
        yield
    except DataError:
        raise
    except Exception as problem:
        said = getattr(problem, "strerror", None) or str(problem)
        told = re.sub(r"^Error (opening .*)?: ", "", said)  # its name is there already
        told = re.sub(r"'[^']*[/.][^']*'|<[^>]*>", "it", told).strip().rstrip(".")
        if told in ("", "it"):
            told = type(problem).__name__
        raise DataError(f"{place}: cannot be read as {what} ({told}).") from None


def _numbered(file: Path) -> list[Any]:
    """Parts of a name: 2.png before 10.png."""
    parts = re.split(r"(\d+)", file.name)
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in parts if p]


def _opened(source: Path | bytes, place: str) -> Any:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if not os.path.isfile(source):
        raise no_file(source, place)
    return source
