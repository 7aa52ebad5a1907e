"""The measure of corrections that the benchmarks have: by hand, and as it is published."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
JFLEG = ROOT.parent / "shared" / "data" / "jfleg"


@pytest.fixture(scope="module")
def gleu() -> Any:
    spec = importlib.util.spec_from_file_location("gleu", ROOT / "benchmarks" / "gleu.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.gleu


def test_by_hand(gleu: Any) -> None:
    source, right = "a b c d e f", "a b x d e f"
    assert gleu([source], [[right]], [right]) == pytest.approx(1.0)
    # Of 9, 8, 7, 6 n-grams those with the first word are wrong: subtracted, and no match either.
    wrong = "a b c d e f g h i"
    shares = [7 / 9, 6 / 8, 5 / 7, 4 / 6]
    assert gleu([wrong], [["x" + wrong[1:]]], [wrong]) == pytest.approx(math.prod(shares) ** 0.25)
    # A word that was never in the source is no match, and nothing is subtracted.
    shares = [8 / 9, 7 / 8, 6 / 7, 5 / 6]
    other = "y" + wrong[1:]
    assert gleu([wrong], [["x" + wrong[1:]]], [other]) == pytest.approx(math.prod(shares) ** 0.25)


def test_what_is_short_is_worth_less(gleu: Any) -> None:
    right = "a b c d e f g h"
    assert gleu([right], [[right]], ["a b c d e f"]) == pytest.approx(math.exp(1 - 8 / 6))
    assert gleu([right], [[right]], [right + " i"]) < 1


@pytest.mark.parametrize(("part", "published"), [("dev", 38.21), ("test", 40.54)])
def test_sources_as_they_are_score_as_published(gleu: Any, part: str, published: float) -> None:
    if not JFLEG.is_dir():
        pytest.skip("shared/data/jfleg is not here")
    kinds = ["src", *(f"ref{n}" for n in range(4))]
    texts = [(JFLEG / f"{part}.{kind}").read_text("utf-8").splitlines() for kind in kinds]
    references = list(zip(*texts[1:], strict=True))
    assert round(100 * gleu(texts[0], references, texts[0]), 2) == published
