"""Where the probabilities of an n-gram model come from: what each count keeps, and what it gives.

A smoothing splits the counts of one order. What a gram keeps is its own; what the grams of one
history give away is spread over all symbols by the order below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from recurra.errors import SettingError
from recurra.settings import check_flag, check_number

__all__ = ["AddK", "KneserNey", "Smoothing"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class KneserNey:
    r"""Interpolated Kneser-Ney smoothing; the modified one, with three discounts, unless told.

    .. math::

        \mathrm{mass}(hw) = \frac{c(hw) - D_{c(hw)}}{c(h)}, \qquad
        \mathrm{backoff}(h) = \frac{D_1 N_1(h) + D_2 N_2(h) + D_3 N_3(h)}{c(h)}

    for every counted gram hw. :math:`N_k(h)` is how many symbols follow h with count k (3 or more
    where k is 3), c(h) the sum of c(hw) over w. At the top order c(hw) is how often the gram was
    seen; below, it is how many different symbols stood to its left. Every order has discounts of
    its own, from the numbers :math:`n_k` of its grams with count k:

    .. math:: Y = \frac{n_1}{n_1 + 2 n_2}, \qquad D_k = k - (k + 1) Y \frac{n_{k+1}}{n_k}

    The last, :math:`D_3`, is that of all counts from 3 on; :math:`D_1` is Y. With one discount Y is
    taken from every count. An order with any of :math:`n_1` to :math:`n_4` 0, or where a
    :math:`D_k` is not above 0, has one discount; and where :math:`n_1` or :math:`n_2` is 0, Y would
    leave nothing for the unseen (0) or for what was seen once (1), so it is then 1/2.

    Below the top, a gram that begins with the start symbol has count 1: only start symbols stand to
    its left. Kneser and Ney's constraint on the marginals asks for just this. Raw counts there
    would be discounted once per order (distinct names, 5-grams, a tenth held out by hash: 2.016
    instead of 2.009 nats per symbol, with one discount 2.039 instead of 2.027).

    Sources: Kneser and Ney, "Improved backing-off for m-gram language modeling", ICASSP 1995. The
    interpolated form, and the three discounts, are those of Chen and Goodman, "An empirical study
    of smoothing techniques for language modeling", TR-10-98, Harvard 1998. The rule for
    discounts that cannot be had is ours. A uniform distribution stands below the single symbols.

    kenlm (Heafield et al. 2013) has the same three discounts and the same uniform distribution, but
    other numbers come out: it counts a gram that begins with the start symbol by how often it was
    seen, at every order, and knows one start symbol before a line where here ``order - 1`` stand.
    It refuses text with :math:`n_1`, :math:`n_2` or :math:`n_3` of 0 unless it is given discounts.
    Its logarithms are to the base 10, those here natural.

    Args:
        modified: whether an order has three discounts, or one.

    Raises:
        SettingError: ``modified`` is not True or False.
    """

    modified: bool = True
    lower_orders: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the setting."""
        check_flag("KneserNey: modified", self.modified)

    def split(self, counts: Ints, history: Ints, given: Floats, size: int) -> tuple[Floats, Floats]:
        """Split the counts of one order into what each gram keeps and what its history gives away.

        Args:
            counts: of each gram, ``[grams]``.
            history: number of each gram's history, ``[grams]``.
            given: zeros to add to, ``[histories]``.
            size: number V of symbols that may be predicted.

        Returns:
            kept ``[grams]`` and given ``[histories]``, both in counts.
        """
        discounts = self._discounts(counts)
        group = np.minimum(counts, len(discounts))  # the last one is for all larger counts
        for number, discount in enumerate(discounts, start=1):
            followers = np.bincount(history[group == number], minlength=len(given))
            given = given + discount * followers
        return counts - np.array([0.0, *discounts])[group], given

    def _discounts(self, counts: Ints) -> list[float]:
        """The discounts of counts 1, 2, ... of one order; the last is that of all larger ones."""
        once, twice, *more = (int(np.sum(counts == k)) for k in range(1, 5))
        if not (once and twice):
            return [0.5]
        single = once / (once + 2 * twice)
        if not (self.modified and all(more)):
            return [single]
        numbers = [once, twice, *more]
        three = [k - (k + 1) * single * numbers[k] / numbers[k - 1] for k in (1, 2, 3)]
        return three if min(three) > 0 else [single]


@dataclass(frozen=True)
class AddK:
    r"""Additive smoothing at the full order alone.

    .. math:: P(w \mid h) = \frac{c(hw) + k}{c(h) + k V}

    With k = 0 this is plain counting: what was never seen after a known history has probability 0
    (log-probability -inf). After a history that was never seen P is 1 / V, for k = 0 too.

    Source: Lidstone, Transactions of the Faculty of Actuaries 8, 1920; k = 1 is Laplace's rule.

    Args:
        k: at least 0, such as 0.01.

    Raises:
        SettingError: k is below 0 or not finite.
    """

    k: float
    lower_orders: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check k."""
        if check_number("AddK: k", self.k) < 0:
            raise SettingError(
                f"AddK: k: expected a number of at least 0, got {self.k!r}; 0 is plain counting, a "
                "small number such as 0.01 smooths"
            )

    def split(self, counts: Ints, history: Ints, given: Floats, size: int) -> tuple[Floats, Floats]:
        """Keep each count whole and give k V to the uniform distribution.

        Args:
            counts: of each gram, ``[grams]``.
            history: number of each gram's history, ``[grams]``.
            given: zeros to add to, ``[histories]``.
            size: number V of symbols that may be predicted.

        Returns:
            kept ``[grams]`` and given ``[histories]``, both in counts.
        """
        return counts.astype(np.float64), given + self.k * size


Smoothing = KneserNey | AddK
"""How counts become probabilities."""
