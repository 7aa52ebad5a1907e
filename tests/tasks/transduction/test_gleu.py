"""The measure of corrections: by hand, and as it is published."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from recurra.tasks.transduction.gleu import gleu, gleu_counts, gleu_of

JFLEG = Path(__file__).parents[4] / "shared" / "data" / "jfleg"


def test_by_hand() -> None:
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


def test_what_is_short_is_worth_less() -> None:
    right = "a b c d e f g h"
    assert gleu([right], [[right]], ["a b c d e f"]) == pytest.approx(math.exp(1 - 8 / 6))
    assert gleu([right], [[right]], [right + " i"]) < 1


def test_nothing_and_nothing_right() -> None:
    assert gleu([], [], []) == 0
    assert gleu(["a b c d"], [["a b c d"]], [""]) == 0
    assert gleu(["a b c d"], [["a b c d"]], ["e f g h"]) == 0
    assert gleu([""], [[""]], [""]) == 0


def test_what_adds_up_says_the_same() -> None:
    texts = ["a b c d e", "x a b c d", "a b q d e f"]
    rights = ["a b c d e", "y a b c d e", "a b c d e f"]
    said = ["a b c d", "y a b c d e", "a b c d e g"]
    found = gleu_counts(texts, rights, said)
    assert found.shape == (3, 10)
    whole = gleu(texts, [[right] for right in rights], said)
    assert gleu_of(found.sum(0)) == pytest.approx(whole)
    several = gleu_of(np.stack([found.sum(0), found[1], 0 * found[0]]))
    assert several == pytest.approx([whole, 1.0, 0.0])


@pytest.mark.parametrize(("part", "published"), [("dev", 38.21), ("test", 40.54)])
def test_sources_as_they_are_score_as_published(part: str, published: float) -> None:
    if not JFLEG.is_dir():
        pytest.skip("shared/data/jfleg is not here")
    kinds = ["src", *(f"ref{n}" for n in range(4))]
    texts = [(JFLEG / f"{part}.{kind}").read_text("utf-8").splitlines() for kind in kinds]
    references = list(zip(*texts[1:], strict=True))
    assert round(100 * gleu(texts[0], references, texts[0]), 2) == published
