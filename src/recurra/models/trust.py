r"""How far each of several predictions is trusted, from what they said of the symbols before.

The probabilities of K models are mixed with shares v that follow what comes, and each symbol moves
a little of them back to where they began, so that who was wrong for long can soon be right again:

.. math::

    P(s_t) = \sum_i v_{t,i} \, p_i(s_t), \qquad
    v_{t+1,i} = \Big(1 - \frac{1}{t + 1}\Big) \frac{v_{t,i} \, p_i(s_t)}{P(s_t)} +
        \frac{\pi_i}{t + 1}, \qquad v_1 = \pi

Nothing has to be fitted, and whatever the text, the mixture is never much worse than the best:

.. math:: -\sum_{t=1}^T \log P(s_t) \le -\sum_{t=1}^T \log p_i(s_t) + \log \frac{T}{\pi_i}

for every i: share i keeps a factor of 1 - 1 / (t + 1) at least at each of T - 1 symbols, and these
multiply to 1 / T.

Sources: Herbster and Warmuth, "Tracking the best expert", Machine Learning 32, 1998 ("fixed
share"). Rates that fall, so that there is none to choose, are in Koolen and de Rooij, "Universal
codes from switching strategies", IEEE Transactions on Information Theory 59, 2013.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from recurra.models.grams import Floats

__all__: list[str] = []

Trust = tuple[float, float, float, float]
"""Three shares, and how many symbols were read, the start symbol among them."""


def _begun(prior: Sequence[float]) -> Trust:
    """Before the start symbol, whose rate is 1: it leaves the shares where they begin."""
    a, b, c = prior
    return (a, b, c, 0.0)


def _follow(trust: Trust, prior: Sequence[float], said: Iterable[Sequence[float]]) -> list[Trust]:
    """The shares after each symbol.

    Args:
        trust: before the first.
        prior: the shares they began with.
        said: of each symbol what each of the three said, up to a factor.
    """
    found = []
    a, b, c, count = trust
    first, second, third = prior
    for x, y, z in said:
        x, y, z = a * x, b * y, c * z
        total = x + y + z
        if total > 0:  # what all find impossible says nothing of them
            a, b, c = x / total, y / total, z / total
        count += 1.0
        rate = 1.0 / count
        a, b, c = a + rate * (first - a), b + rate * (second - b), c + rate * (third - c)
        found.append((a, b, c, count))
    return found


def _said(ours: Floats, theirs: Floats, weights: Floats) -> Floats:
    """The probabilities of symbols ``[..., 3]``: interpolated, of the one, of the other.

    They are those up to a factor that keeps them from underflow; 0 where both are.
    """
    top = np.maximum(np.maximum(ours, theirs), -1e300)
    p, q = np.exp(ours - top), np.exp(theirs - top)
    return np.stack([weights * p + (1 - weights) * q, p, q], axis=-1)
