"""Small files of every kind, for tests that read examples."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def table(path: Path, rows: Sequence[Sequence[Any]], separator: str = ",") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=separator).writerows(rows)
    return path


def lines(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def noise(length: int, seed: int = 0) -> np.ndarray:
    """Samples that 16 bits hold exactly."""
    drawn = np.random.default_rng(seed).integers(-3000, 3000, length)
    return (drawn / 32768).astype(np.float32)


def sound(path: Path, samples: np.ndarray, rate: int = 8000) -> Path:
    library = pytest.importorskip("soundfile", reason="the extra `sound` is not installed")
    path.parent.mkdir(parents=True, exist_ok=True)
    library.write(path, samples, rate)
    return path


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def picture(path: Path, values: np.ndarray, mode: str | None = None) -> Path:
    library = pytest.importorskip("PIL.Image", reason="the extra `pictures` is not installed")
    path.parent.mkdir(parents=True, exist_ok=True)
    made = library.fromarray(values)
    (made if mode is None else made.convert(mode)).save(path)
    return path
