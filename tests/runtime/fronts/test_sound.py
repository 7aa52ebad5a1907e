"""Frames of recordings: whole and as they come, short, silent, at another rate."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import numpy as np
import pytest

from recurra_runtime.fronts import Sound
from recurra_runtime.fronts.resampling import Resampler
from recurra_runtime.missing import MissingLibraryError
from recurra_runtime.vocabulary import vocabulary_from_json

library = pytest.importorskip("kaldi_native_fbank", reason="the extra `sound` is not installed")
RATE = 8000
FRAME, SHIFT = 200, 80  # samples


class Recording(NamedTuple):
    """What the readers give."""

    samples: Any
    rate: int


def noise(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, length).astype(np.float32)


def chunks(samples: np.ndarray, seed: int) -> list[np.ndarray]:
    drawn = np.random.default_rng(seed)
    cuts = np.sort(drawn.integers(0, len(samples) + 1, 9))
    return np.split(samples, cuts)


SETTINGS: list[dict[str, Any]] = [
    {},
    {"deltas": 1},
    {"deltas": 2},
    {"features": "mfcc", "bins": 23, "coefficients": 12, "deltas": 2},
    {"frame": 32.0, "shift": 12.5, "bins": 20},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("rate", [RATE, 11025])
def test_the_whole_is_its_chunks(settings: dict[str, Any], rate: int) -> None:
    front = Sound(RATE, resample=True, **settings).fit([noise(4000, 1)])
    for length in (0, 1, FRAME - 1, FRAME, FRAME + SHIFT - 1, FRAME + SHIFT, 700, 3001):
        samples = noise(length, length)
        whole = front.encode((samples, rate))
        stream = front.stream(rate)
        parts = [stream.push(chunk) for chunk in chunks(samples, length)]
        parts.append(stream.finish())
        together = np.concatenate(parts)
        assert together.dtype == whole.dtype == np.float32
        assert np.array_equal(together, whole), length
        assert np.isfinite(whole).all()
        assert whole.shape[1:] == front.shape


def test_frames_are_counted() -> None:
    front = Sound(RATE)
    lengths = {0: 0, 1: 1, FRAME - 1: 1, FRAME: 1, FRAME + SHIFT - 1: 1, FRAME + SHIFT: 2, 5000: 61}
    assert {n: len(front.encode(noise(n))) for n in lengths} == lengths


def test_a_short_recording_is_filled_with_zeros() -> None:
    front, short = Sound(RATE), noise(50)
    filled = np.concatenate([short, np.zeros(FRAME - 50, np.float32)])
    assert np.array_equal(front.encode(short), front.encode(filled))


def test_frames_are_those_of_the_library() -> None:
    options = library.FbankOptions()
    options.frame_opts.samp_freq, options.frame_opts.dither = RATE, 0
    options.mel_opts.num_bins = 40
    computer, samples = library.OnlineFbank(options), noise(1000)
    computer.accept_waveform(RATE, samples)
    expected = [computer.get_frame(n) for n in range(computer.num_frames_ready)]
    assert np.array_equal(Sound(RATE).encode(samples), expected)
    cepstra = library.MfccOptions()
    cepstra.frame_opts = options.frame_opts
    cepstra.frame_opts.frame_length_ms, cepstra.frame_opts.frame_shift_ms = 32.0, 12.5
    cepstra.mel_opts.num_bins, cepstra.num_ceps, cepstra.use_energy = 23, 12, False
    computer = library.OnlineMfcc(cepstra)
    computer.accept_waveform(RATE, samples)
    expected = [computer.get_frame(n) for n in range(computer.num_frames_ready)]
    front = Sound(RATE, "mfcc", bins=23, coefficients=12, frame=32, shift=12.5)
    assert np.array_equal(front.encode(samples), expected)


def test_a_tone_is_in_its_bin() -> None:
    tones = (300, 1000, 3000)
    time = np.arange(RATE) / RATE
    loudest = [
        int(Sound(RATE).encode(np.sin(2 * np.pi * f * time) / 2).mean(0).argmax()) for f in tones
    ]
    edges = np.linspace(1127 * np.log(1 + 20 / 700), 1127 * np.log(1 + 4000 / 700), 42)
    centers = 700 * (np.exp(edges[1:-1] / 1127) - 1)
    assert loudest == [int(np.abs(centers - f).argmin()) for f in tones]


def test_silence_is_a_number() -> None:
    encoded = Sound(RATE, deltas=2).encode(np.zeros(1000, np.float32))
    np.testing.assert_allclose(encoded[:, :40], np.log(np.finfo(np.float32).eps), rtol=1e-6)
    assert not encoded[:, 40:].any()
    own = Sound(RATE, normalization="recording").encode(np.zeros(1000, np.float32))
    assert not own.any()


def test_deltas_are_slopes() -> None:
    plain, both = Sound(RATE).encode(noise(2000)), Sound(RATE, deltas=2).encode(noise(2000))
    assert np.array_equal(both[:, :40], plain)

    def slope(x: np.ndarray) -> np.ndarray:
        wide = np.concatenate([x[:1], x[:1], x, x[-1:], x[-1:]])
        return (2 * (wide[4:] - wide[:-4]) + wide[3:-1] - wide[1:-3]) / 10

    np.testing.assert_allclose(both[:, 40:80], slope(plain), atol=1e-5)
    np.testing.assert_allclose(both[:, 80:], slope(slope(plain)), atol=1e-5)


def test_the_scale() -> None:
    rows = [noise(900, 1), noise(0), noise(3000, 2) * 3]
    front = Sound(RATE).fit(rows)
    every = np.concatenate([front.encode(row) for row in rows])
    np.testing.assert_allclose(every.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(every.std(0), 1, atol=1e-4)
    own = Sound(RATE, normalization="recording").fit(rows).encode(rows[2])
    np.testing.assert_allclose(own.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(own.std(0), 1, atol=1e-4)


def test_kinds_of_samples() -> None:
    front = Sound(RATE)
    whole = np.round(noise(1000) * 32768).astype(np.int16)
    floating = whole.astype(np.float64) / 32768
    expected = front.encode(floating)
    for raw in (whole, (whole, RATE), Recording(whole, RATE), (floating, np.int64(RATE))):
        assert np.array_equal(front.encode(raw), expected)


@pytest.mark.parametrize(("rate", "target"), [(16000, 8000), (8000, 11025), (44100, 16000)])
def test_resampling_keeps_a_tone_and_its_length(rate: int, target: int) -> None:
    made = Resampler(rate, target)
    tone = 0.2 * min(rate, target)
    samples = np.sin(2 * np.pi * tone * np.arange(rate) / rate).astype(np.float32)
    found = np.concatenate([made.push(samples), made.finish()])
    assert len(found) == target
    expected = np.sin(2 * np.pi * tone * np.arange(target) / target)
    np.testing.assert_allclose(found[100:-100], expected[100:-100], atol=1e-4)
    if target < rate:  # what the new rate cannot hold is gone
        for tone in (0.53 * target, 0.49 * rate):
            high = np.sin(2 * np.pi * tone * np.arange(rate) / rate).astype(np.float32)
            made = Resampler(rate, target)
            found = np.concatenate([made.push(high), made.finish()])
            assert np.abs(found[100:-100]).max() < 1e-4, tone


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_back_from_json(settings: dict[str, Any]) -> None:
    front = Sound(RATE, **settings).fit([noise(4000)])
    read = vocabulary_from_json(json.loads(json.dumps(front.to_json())))
    assert isinstance(read, Sound)
    assert read.to_json() == front.to_json()
    assert np.array_equal(read.encode(noise(900)), front.encode(noise(900)))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ((noise(9), 16000), "expected 8,000 samples a second, got 16,000; resample it first"),
        ((noise(9), 8000.5), "whole number of samples a second, got 8000.5"),
        (noise(8).reshape(4, 2), "one channel, floating or int16, got [4, 2], float32"),
        (np.arange(9), "got [9], int64"),
        ([float("nan")], "finite samples"),
    ],
)
def test_what_is_no_recording(raw: Any, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Sound(RATE).encode(raw)
    with pytest.raises(ValueError, match=re.escape(said)):
        Sound(RATE).fit([raw])


def test_what_cannot_come_bit_by_bit() -> None:
    with pytest.raises(ValueError, match="train with 'global'"):
        Sound(RATE, normalization="recording").stream()
    with pytest.raises(ValueError, match="got 16,000; resample"):
        Sound(RATE).stream(16000)
    stream = Sound(RATE).stream()
    stream.finish()
    for again in (stream.finish, lambda: stream.push(noise(3))):
        with pytest.raises(ValueError, match="has finished; begin another"):
            again()
    with pytest.raises(ValueError, match="got none"):
        Sound(RATE).fit([noise(0)])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rate": 8000.0}, "rate of at least 100"),
        ({"rate": None}, "rate of at least 100"),
        ({"features": "wav"}, "'log-mel' or 'mfcc', got 'wav'"),
        ({"normalization": "none"}, "'global' or 'recording'"),
        ({"deltas": 3}, "0, 1 or 2, got 3"),
        ({"bins": 2}, "bins of at least 3"),
        ({"features": "mfcc", "coefficients": 41}, "as many coefficients as bins, 40, got 41"),
        ({"frame": 0.1}, "two samples or more"),
        ({"frame": "25"}, "frame in ms, got '25'"),
        ({"shift": float("inf")}, "two samples or more"),
        ({"resample": 1}, "resample true or false"),
        ({"mean": [0.0]}, "'mean' of 40"),
        ({"deviation": [0.0] * 40}, "above 0"),
    ],
)
def test_damaged(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        vocabulary_from_json({**Sound(RATE).to_json(), **change})
    with pytest.raises(ValueError, match="expected bins"):
        vocabulary_from_json({k: v for k, v in Sound(RATE).to_json().items() if k != "bins"})


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "kaldi_native_fbank", None)
    front = Sound.from_json(Sound(RATE).to_json())  # all but its frames
    with pytest.raises(MissingLibraryError, match=r"kaldi_native_fbank.*'recurra\[sound\]'"):
        front.encode(noise(300))
