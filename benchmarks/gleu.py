"""GLEU of corrections, as Napoles et al. (2015, 2016) have it; JFLEG's measure."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np

__all__ = ["gleu"]

_ORDER = 4
_DRAWS = 500


def gleu(
    sources: Sequence[str], references: Sequence[Sequence[str]], corrected: Sequence[str]
) -> float:
    r"""What share of the n-grams of corrections are in a reference, those of mistakes subtracted.

    .. math::
        p_n = \frac{\sum |C_n \cap R_n| - |C_n \cap (S_n \setminus R_n)|}{\sum |C_n|}, \qquad
        \mathrm{GLEU} = e^{\min(0, 1 - r / c)} \, \Bigl(\prod_{n=1}^4 p_n\Bigr)^{1/4}

    over all sentences, of which each has one reference by chance; the mean of 500 such draws. In
    :math:`S_n \setminus R_n` are n-grams that the reference nowhere has.

    Args:
        sources: before they were corrected.
        references: of each sentence, equally many.
        corrected: what is measured.

    Returns:
        from 0 to 1.
    """
    table = np.array(
        [
            [_counts(source, reference, text) for reference in row]
            for source, row, text in zip(sources, references, corrected, strict=True)
        ]
    )  # [sentences, references, 2 + 2 * orders]
    scores = []
    for draw in range(_DRAWS):
        chance = random.Random(draw * 101)  # these seeds are those of the paper's own script
        chosen = [int(chance.random() * len(references[0])) for _ in sources]
        scores.append(_score(table[np.arange(len(sources)), chosen].sum(0).tolist()))
    return sum(scores) / len(scores)


def _counts(source: str, reference: str, text: str) -> list[int]:
    """Lengths, then for each order what matches and how many there are."""
    written, right, wrong = text.split(), reference.split(), source.split()
    found = [len(written), len(right)]
    for order in range(1, _ORDER + 1):
        ours, theirs = _grams(written, order), _grams(right, order)
        mistaken = Counter({g: n for g, n in _grams(wrong, order).items() if g not in theirs})
        match = (ours & theirs).total() - (ours & mistaken).total()
        found += [max(match, 0), max(len(written) + 1 - order, 0)]
    return found


def _grams(words: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[at : at + order]) for at in range(len(words) + 1 - order))


def _score(sums: Sequence[int]) -> float:
    if not all(sums):
        return 0.0
    ours, theirs = sums[:2]
    shares = (match / count for match, count in zip(sums[2::2], sums[3::2], strict=True))
    return math.exp(min(0.0, 1 - theirs / ours) + sum(map(math.log, shares)) / _ORDER)
