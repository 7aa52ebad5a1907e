"""How good corrections are: GLEU, as Napoles et al. (2015, 2016) have it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["gleu", "gleu_counts", "gleu_of"]

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
    :math:`S_n \setminus R_n` are n-grams that the reference nowhere has. r and c are the lengths
    of references and of corrections in words, which are what stands between blanks.

    Args:
        sources: before they were corrected.
        references: of each sentence, equally many.
        corrected: what is measured.

    Returns:
        from 0 to 1; 0 where nothing of four words is right.
    """
    if not sources:
        return 0.0
    table = np.stack(
        [gleu_counts(sources, row, corrected) for row in zip(*references, strict=True)]
    )
    if len(table) == 1:
        return float(gleu_of(table[0].sum(0)))
    scores = []
    for draw in range(_DRAWS):
        chance = random.Random(draw * 101)  # these seeds are those of the paper's own script
        chosen = [int(chance.random() * len(table)) for _ in sources]
        scores.append(float(gleu_of(table[chosen, np.arange(len(sources))].sum(0))))
    return sum(scores) / len(scores)


def gleu_counts(
    sources: Sequence[str], references: Sequence[str], corrected: Sequence[str]
) -> npt.NDArray[np.float64]:
    """What adds up over sentences, ``[sentences, 2 + 2 * 4]``.

    Lengths of corrections and references, then for each order what matches and how many there are.
    """
    rows = zip(sources, references, corrected, strict=True)
    found = [_counts(*row) for row in rows]
    return np.array(found, np.float64).reshape(-1, 2 + 2 * _ORDER)


def gleu_of(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """GLEU ``[...]`` of sums ``[..., 10]`` of what :func:`gleu_counts` counts."""
    some = np.asarray((sums > 0).all(-1))
    known = np.where(some[..., None], sums, 1.0)
    short = np.minimum(0.0, 1 - known[..., 1] / known[..., 0])
    shares = np.log(known[..., 2::2] / known[..., 3::2]).mean(-1)
    return np.where(some, np.exp(short + shares), 0.0)


def _counts(source: str, reference: str, text: str) -> list[int]:
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
