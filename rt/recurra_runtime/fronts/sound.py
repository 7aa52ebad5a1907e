"""Sounds: what the ear tells apart, frame by frame; whole or as it comes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from recurra_runtime.fronts.moments import Given, Moments, numbers, scale_of, scaled
from recurra_runtime.fronts.resampling import Resampler
from recurra_runtime.missing import imported

__all__ = ["Framed", "Sound", "SoundStream"]

_KINDS = ("log-mel", "mfcc")
_NORMALIZATIONS = ("global", "recording")

Frames = npt.NDArray[np.float32]


class Framed(NamedTuple):
    """Frames of a recording that :meth:`Sound.frames` computed, to be scaled.

    Args:
        frames: ``[frames, numbers]``.
        rate: samples a second of the front that computed them.
    """

    frames: Frames
    rate: int


class Sound:
    """Frames of a recording: energies on the mel scale, or cepstral coefficients of them.

    kaldi-native-fbank computes them, without dither: frame n begins at sample n * shift, and what
    is left at the end, shorter than a frame, is not read. A recording that is shorter than one
    frame is filled with zeros to one; one without a sample has no frame. Energies below 1.2e-7 are
    that (the steps of 16 bits), so that silence is a number.

    Args:
        rate: samples a second.
        resample: whether a recording of another rate is brought to this one; else it is refused.
        features: ``"log-mel"`` or ``"mfcc"``.
        bins: of the mel scale.
        coefficients: of ``"mfcc"``, how many.
        frame: length of a frame in ms.
        shift: from frame to frame in ms.
        deltas: 0, or how many times the slope over five frames is set beside them, 1 or 2.
        normalization: ``"global"``, by mean and deviation of the training part (:meth:`fit`), or
            ``"recording"``, by those of each recording, which cannot be done while it comes.
        mean: of each number of a frame, for ``"global"``; 0 if None, until it is fitted.
        deviation: likewise; 1 if None.

    Raises:
        ValueError: a setting that cannot be.
    """

    kind: ClassVar[str] = "sound"

    def __init__(
        self,
        rate: int,
        features: str = "log-mel",
        *,
        bins: int = 40,
        coefficients: int = 13,
        frame: float = 25.0,
        shift: float = 10.0,
        deltas: int = 0,
        normalization: str = "global",
        resample: bool = False,
        mean: Given = None,
        deviation: Given = None,
    ) -> None:
        self.rate, self.features, self.bins, self.coefficients = rate, features, bins, coefficients
        self.frame, self.shift, self.deltas = float(frame), float(shift), deltas
        self.normalization, self.resample = normalization, resample
        self._check()
        size = self.shape[0]
        self.mean, self.deviation = scale_of("sound", size, mean, deviation)

    def _check(self) -> None:
        for name, known in (("features", _KINDS), ("normalization", _NORMALIZATIONS)):
            if getattr(self, name) not in known:
                told = " or ".join(map(repr, known))
                raise ValueError(f"sound: expected {name} {told}, got {getattr(self, name)!r}")
        if not isinstance(self.resample, bool):
            raise ValueError(f"sound: expected resample true or false, got {self.resample!r}")
        for name, least in (("rate", 100), ("bins", 3), ("coefficients", 1), ("deltas", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"sound: expected {name} of at least {least}, got {value!r}")
        if self.deltas > 2:
            raise ValueError(f"sound: expected deltas 0, 1 or 2, got {self.deltas}")
        if self.features == "mfcc" and self.coefficients > self.bins:
            raise ValueError(
                f"sound: expected at most as many coefficients as bins, {self.bins}, got "
                f"{self.coefficients}"
            )
        for name in ("frame", "shift"):
            value = getattr(self, name)
            if not math.isfinite(value) or value * self.rate < 2000:
                raise ValueError(f"sound: expected a {name} of two samples or more, got {value} ms")

    @property
    def shape(self) -> tuple[int]:
        """Of what is encoded of one frame."""
        size = self.coefficients if self.features == "mfcc" else self.bins
        return (size * (1 + self.deltas),)

    def fit(self, rows: Iterable[Any]) -> Self:
        """This front with the scale of some recordings; itself, if each has its own.

        Raises:
            ValueError: none with a frame, or one that cannot be encoded.
            MissingLibraryError: kaldi-native-fbank is not installed.
        """
        if self.normalization == "recording":
            return self
        moments, frames = Moments(self.shape[0]), 0
        for row in rows:
            found = self.frames(row)
            moments.add(found)
            frames += len(found)
        if not frames:
            raise ValueError("sound: expected recordings to take the scale from, got none")
        return type(self)(**self._settings(), mean=moments.mean, deviation=moments.deviation)

    def encode(self, raw: Any) -> Frames:
        """A recording to ``[frames, *shape]``.

        Args:
            raw: samples and rate, as a pair or with these names; or samples of the front's rate.
                ``[samples]``, floating from -1 to 1, or int16.

        Raises:
            ValueError: no samples, several channels, or another rate.
            MissingLibraryError: kaldi-native-fbank is not installed.
        """
        return self._normalized(self.frames(raw))

    def stream(self, rate: int | None = None) -> SoundStream:
        """What gives the same frames while the samples come.

        Args:
            rate: of the samples; that of the front if None.

        Raises:
            ValueError: the normalization needs all of the recording, or a rate that is refused.
        """
        if self.normalization == "recording":
            raise ValueError(
                "sound: normalization 'recording' needs all of a recording; for one that comes "
                "train with 'global'"
            )
        return SoundStream(self, self.rate if rate is None else self._checked_rate(rate))

    def frames(self, raw: Any) -> Frames:
        """A recording to frames as they are before they are scaled; arguments as :meth:`encode`."""
        if isinstance(raw, Framed):
            return raw.frames
        samples, rate = self._samples(raw)
        extractor = _Extractor(self, rate)
        return np.concatenate([extractor.push(samples), extractor.finish()])

    def _normalized(self, frames: Frames) -> Frames:
        if self.normalization == "global" or not len(frames):
            return scaled(frames, self.mean, self.deviation)
        moments = Moments(frames.shape[1])
        moments.add(frames)
        return scaled(frames, moments.mean, moments.deviation)

    def _samples(self, raw: Any) -> tuple[Frames, int]:
        """Samples of a recording, float32 from -1 to 1, and their rate."""
        rate = getattr(raw, "rate", None)
        if rate is not None:
            raw = raw.samples
        elif isinstance(raw, tuple) and len(raw) == 2:
            raw, rate = raw
        return _samples_of(raw), self.rate if rate is None else self._checked_rate(rate)

    def _checked_rate(self, rate: Any) -> int:
        if isinstance(rate, bool) or not isinstance(rate, int | np.integer) or rate < 1:
            raise ValueError(f"sound: expected a whole number of samples a second, got {rate!r}")
        if rate != self.rate and not self.resample:
            raise ValueError(
                f"sound: expected {self.rate:,} samples a second, got {rate:,}; resample it first, "
                "or train with resample"
            )
        return int(rate)

    def _settings(self) -> dict[str, Any]:
        names = ("rate", "features", "bins", "coefficients", "frame", "shift", "deltas")
        return {name: getattr(self, name) for name in (*names, "normalization", "resample")}

    def to_json(self) -> dict[str, Any]:
        """Kind, settings and scale."""
        scale = {"mean": self.mean.tolist(), "deviation": self.deviation.tolist()}
        return {"kind": self.kind, **self._settings(), **scale}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The front that :meth:`to_json` wrote.

        Raises:
            ValueError: data of another shape.
        """
        names = [*cls(16000)._settings()]
        if missing := [name for name in names if name not in data]:
            raise ValueError(f"sound: expected {', '.join(missing)}")
        for name in ("frame", "shift"):
            if isinstance(data[name], bool) or not isinstance(data[name], int | float):
                raise ValueError(f"sound: expected {name} in ms, got {data[name]!r}")
        plain = cls(**{name: data[name] for name in names})
        mean, deviation = (
            numbers(data, name, plain.shape[0], "sound") for name in ("mean", "deviation")
        )
        return cls(**plain._settings(), mean=mean, deviation=deviation)


class SoundStream:
    """Frames of a recording that comes, made by :meth:`Sound.stream`.

    All that :meth:`push` and :meth:`finish` give together is what :meth:`Sound.encode` gives of
    the whole, bit for bit. With deltas frames come so much later as they look ahead.
    """

    def __init__(self, front: Sound, rate: int) -> None:
        self._front, self._extractor = front, _Extractor(front, rate)

    def push(self, samples: Any) -> Frames:
        """The frames that further samples complete, ``[frames, *shape]``.

        Raises:
            ValueError: as of :meth:`Sound.encode`, or it has finished.
        """
        return self._front._normalized(self._extractor.push(_samples_of(samples)))

    def finish(self) -> Frames:
        """The frames that waited for more; after it nothing can be pushed.

        Raises:
            ValueError: it has finished before.
        """
        return self._front._normalized(self._extractor.finish())


class _Extractor:
    """Frames before normalization."""

    def __init__(self, front: Sound, rate: int) -> None:
        self._front = front
        self._online = _online(front)
        self._resampler = None if rate == front.rate else Resampler(rate, front.rate)
        self._taken = 0  # frames that were taken from the library
        self._samples = 0  # that were given to it
        self._slopes = [_Slope(place) for place in range(front.deltas)]
        self._finished = False

    def push(self, samples: Frames) -> Frames:
        if self._finished:
            raise ValueError("sound: this recording has finished; begin another by stream()")
        if self._resampler is not None:
            samples = self._resampler.push(samples)
        self._accept(samples)
        return self._with_slopes(self._new())

    def finish(self) -> Frames:
        if self._finished:
            raise ValueError("sound: this recording has finished; begin another by stream()")
        if self._resampler is not None:
            self._accept(self._resampler.finish())
        last = self._new()
        if self._samples and not self._taken:
            length = math.ceil(self._front.frame * self._front.rate / 1000)
            self._accept(np.zeros(length - self._samples, np.float32))
            last = self._new()
        self._finished = True
        return self._with_slopes(last)

    def _accept(self, samples: Frames) -> None:
        self._samples += len(samples)
        if len(samples):
            self._online.accept_waveform(self._front.rate, samples)

    def _new(self) -> Frames:
        """Frames that have become ready."""
        ready = self._online.num_frames_ready
        size = self._front.shape[0] // (1 + self._front.deltas)
        found = np.empty((ready - self._taken, size), np.float32)
        for number in range(self._taken, ready):
            found[number - self._taken] = self._online.get_frame(number)
        self._online.pop(ready - self._taken)
        self._taken = ready
        return found

    def _with_slopes(self, frames: Frames) -> Frames:
        for slope in self._slopes:
            frames = slope.push(frames, last=self._finished)
        return frames


class _Slope:
    """The slope of the newest part of each frame, set beside it; at both ends frames repeat."""

    def __init__(self, place: int) -> None:
        self._parts = place + 1  # what is in a frame already
        self._held: Frames | None = None

    def push(self, frames: Frames, *, last: bool) -> Frames:
        if self._held is None:
            if not len(frames):
                size = frames.shape[1] // self._parts * (self._parts + 1)
                return np.empty((0, size), np.float32)
            self._held = np.repeat(frames[:1], 2, 0)
        held = np.concatenate([self._held, frames])
        if last:
            held = np.concatenate([held, np.repeat(held[-1:], 2, 0)])
        count = max(0, len(held) - 4)
        size = held.shape[1] // self._parts
        earlier, before, _, after, later = (held[n : n + count, -size:] for n in range(5))
        slope = ((after - before) + 2 * (later - earlier)) / np.float32(10)
        self._held = held[count:]
        return np.concatenate([held[2 : 2 + count], slope], 1)


def _samples_of(raw: Any) -> Frames:
    samples = np.asarray(raw)
    if samples.ndim != 1 or (samples.dtype.kind != "f" and samples.dtype != np.int16):
        raise ValueError(
            "sound: expected [samples] of one channel, floating or int16, got "
            f"{list(samples.shape)}, {samples.dtype}"
        )
    found = samples.astype(np.float32)
    if samples.dtype == np.int16:
        found /= 32768
    elif not np.isfinite(found).all():
        raise ValueError("sound: expected finite samples, got NaN or infinity")
    return found


def _online(front: Sound) -> Any:
    library = imported("kaldi_native_fbank", "sound: features need", "sound")
    options = library.MfccOptions() if front.features == "mfcc" else library.FbankOptions()
    options.frame_opts.samp_freq = front.rate
    options.frame_opts.frame_length_ms = front.frame
    options.frame_opts.frame_shift_ms = front.shift
    options.frame_opts.dither = 0
    options.frame_opts.snip_edges = True
    options.mel_opts.num_bins = front.bins
    options.use_energy = False
    if front.features == "mfcc":
        options.num_ceps = front.coefficients
        return library.OnlineMfcc(options)
    return library.OnlineFbank(options)
