"""Pictures and videos: one size, one mode, one scale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from recurra_runtime.fronts.moments import Given, numbers, scale_of
from recurra_runtime.missing import imported

__all__ = ["Picture"]

_CHANNELS = {"L": 1, "RGB": 3}
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


class Picture:
    """Pictures of one size and mode; light from 0 to 1, less its mean and by its deviation.

    A picture of another size is stretched to this one (Pillow's bilinear filter, antialiased where
    it becomes smaller); one of another mode is converted (what is transparent loses that).
    ``resized`` and ``converted`` count these.

    Args:
        size: height and width, in pixels; of a width of 0 each picture keeps its ratio, as lines of
            text need it.
        mode: ``"L"`` (shades of gray) or ``"RGB"``.
        mean: of each color channel; 0 if None, until it is fitted.
        deviation: of each color channel; 1 if None.
        video: whether an example is a video, ``[time, height, width(, channels)]``.
        deltas: of a video, 0, or how many times the difference from the frame before is set beside
            the channels, 1 or 2; that of the first frame is 0.
        mirrored: whether left and right change places, so that the right column comes first.

    Raises:
        ValueError: a size, a mode or numbers that cannot be.
    """

    kind: ClassVar[str] = "picture"

    def __init__(
        self,
        size: Sequence[int],
        mode: str = "L",
        mean: Given = None,
        deviation: Given = None,
        *,
        video: bool = False,
        deltas: int = 0,
        mirrored: bool = False,
    ) -> None:
        self.size = tuple(int(side) for side in size)
        free = self.size[1:] == (0,) and not video
        if len(self.size) != 2 or self.size[0] < 1 or (self.size[1] < 1 and not free):
            raise ValueError(f"picture: expected a size (height, width) of pixels, got {size}")
        if mode not in _CHANNELS:
            raise ValueError(f"picture: expected a mode 'L' or 'RGB', got {mode!r}")
        if type(deltas) is not int or not 0 <= deltas <= 2 * video:
            known = "0, 1 or 2" if video else "0, as a picture has no frame before it"
            raise ValueError(f"picture: expected deltas {known}, got {deltas!r}")
        self.mode, self.video, self.deltas, self.mirrored = mode, video, deltas, mirrored
        self.mean, self.deviation = scale_of("picture", _CHANNELS[mode], mean, deviation)
        light = np.arange(256)[:, None] / 255
        self._light = ((light - self.mean) / self.deviation).astype(np.float32)
        self.resized = self.converted = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width (0 if each picture has its own) and channels of what is encoded."""
        return (self.size[0], self.size[1], _CHANNELS[self.mode] * (1 + self.deltas))

    def fit(self, rows: Iterable[Any]) -> Self:
        """This front with the scale of some pictures or videos.

        Raises:
            ValueError: none, or one that cannot be encoded.
        """
        counts = np.zeros((_CHANNELS[self.mode], 256), np.int64)
        for row in rows:
            pixels = self._pixels(row)[0]
            for channel, count in enumerate(counts):
                count += np.bincount(pixels[..., channel].ravel(), minlength=256)
        total = counts.sum(1)
        if not total.all():
            raise ValueError("picture: expected pictures to take the scale from, got none")
        light = np.arange(256) / 255
        mean = counts @ light / total
        deviation = np.sqrt((counts * (light - mean[:, None]) ** 2).sum(1) / total)
        constant = (counts > 0).sum(1) == 1
        scale = np.where(constant, 1.0, deviation)
        how: dict[str, Any] = {
            "video": self.video,
            "deltas": self.deltas,
            "mirrored": self.mirrored,
        }
        return type(self)(self.size, self.mode, mean, scale, **how)

    def encode(self, raw: Any) -> npt.NDArray[np.float32]:
        """A picture to ``[height, width, channels]``; a video to ``[time, height, ...]``.

        Args:
            raw: uint8, ``[height, width]`` or ``[height, width, channels]``, of a video with time
                before it.

        Raises:
            ValueError: something else.
            MissingLibraryError: Pillow, which another size or mode needs, is not installed.
        """
        pixels, resized, converted = self._pixels(raw)
        self.resized += resized
        self.converted += converted
        if self.mirrored:
            pixels = pixels[..., ::-1, :]
        channels = [self._light[pixels[..., c], c] for c in range(_CHANNELS[self.mode])]
        found = [np.stack(channels, -1)]
        for _ in range(self.deltas):
            found.append(np.diff(found[-1], axis=0, prepend=found[-1][:1]))
        return np.concatenate(found, -1)

    def _pixels(self, raw: Any) -> tuple[npt.NDArray[np.uint8], bool, bool]:
        """Those of the front's size and mode, and whether size and mode were others."""
        pixels = np.asarray(raw)
        least = 3 if self.video else 2
        known = pixels.ndim == least or (pixels.ndim == least + 1 and pixels.shape[-1] in _MODES)
        if pixels.dtype != np.uint8 or not known or 0 in pixels.shape[least - 2 : least]:
            what = "a video [time, height, width" if self.video else "a picture [height, width"
            raise ValueError(
                f"picture: expected {what}] or with 1 to 4 channels behind, uint8; got "
                f"{list(pixels.shape)}, {pixels.dtype}"
            )
        if pixels.ndim == least:
            pixels = pixels[..., None]
        size = self._size_of(*pixels.shape[least - 2 : least])
        resized = pixels.shape[least - 2 : least] != size
        converted = pixels.shape[-1] != _CHANNELS[self.mode]
        if resized or converted:
            frames = pixels if self.video else pixels[None]
            made = np.empty((len(frames), *size, _CHANNELS[self.mode]), np.uint8)
            for number, frame in enumerate(frames):
                made[number] = self._drawn(frame, size)
            pixels = made if self.video else made[0]
        return pixels, resized, converted

    def _size_of(self, height: int, width: int) -> tuple[int, int]:
        """To which size a picture of this one is brought."""
        to, wide = self.size
        return to, wide or max(1, round(width * to / height))

    def _drawn(self, pixels: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        library = imported("PIL.Image", "picture: another size or mode needs", "pictures")
        drawn = library.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
        drawn = drawn.convert(self.mode)  # of L and RGB to themselves: nothing
        if pixels.shape[:2] != size:
            drawn = drawn.resize(size[::-1], library.Resampling.BILINEAR)
        return np.asarray(drawn, np.uint8).reshape(*size, _CHANNELS[self.mode])

    def to_json(self) -> dict[str, Any]:
        """Kind, size, mode and scale; differences and mirrored, where they are."""
        return {
            "kind": self.kind,
            "size": list(self.size),
            "mode": self.mode,
            "mean": self.mean.tolist(),
            "deviation": self.deviation.tolist(),
            "video": self.video,
            **({"deltas": self.deltas} if self.deltas else {}),
            **({"mirrored": True} if self.mirrored else {}),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The front that :meth:`to_json` wrote.

        Raises:
            ValueError: data of another shape.
        """
        size, mode, video = data.get("size"), data.get("mode"), data.get("video")
        if not isinstance(size, list) or not all(type(side) is int for side in size):
            raise ValueError("picture: expected a list 'size' of height and width")
        if not isinstance(mode, str) or mode not in _CHANNELS or not isinstance(video, bool):
            raise ValueError("picture: expected 'mode' to be L or RGB, and 'video' true or false")
        mirrored = data.get("mirrored", False)  # since there are such
        if not isinstance(mirrored, bool):
            raise ValueError("picture: expected 'mirrored' to be true or false")
        found = (numbers(data, n, _CHANNELS[mode], "picture") for n in ("mean", "deviation"))
        return cls(size, mode, *found, video=video, deltas=data.get("deltas", 0), mirrored=mirrored)
