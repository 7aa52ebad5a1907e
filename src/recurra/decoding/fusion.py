"""A language model beside the steps of a recognizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.decoding.protocol import Steps, read
from recurra.errors import SettingError
from recurra.settings import check_number
from recurra.states import map_tree, select_rows

__all__ = ["Fusion", "Scorer"]

Floats = NDArray[np.float64]
Wholes = NDArray[np.int64]


class Fusion(NamedTuple):
    r"""A language model beside the steps (shallow fusion; Hannun et al. 2014).

    .. math:: \log p(y \mid x) + \alpha \log p_{\mathrm{LM}}(y) + \beta\,|y|

    Args:
        model: gives the next symbol's log-probabilities; a :class:`recurra.LanguageModel`, an
            n-gram, or anything else of :class:`recurra.decoding.Steps`.
        alpha: its weight, at least 0.
        beta: bonus of each symbol, which makes up for what the model takes from long texts.
        start: its id of the symbol before a text.
        end: its id of the symbol behind one, scored once all is read; None for none.
        ids: its id of each symbol ``[symbols]``; the symbols' own numbers if None.
    """

    model: Steps
    alpha: float = 0.5
    beta: float = 0.0
    start: int = 1
    end: int | None = 2
    ids: Sequence[int] | None = None


class Scorer:
    """What a language model says after each of the open texts."""

    def __init__(self, fusion: Fusion) -> None:
        alpha = check_number("prefix_search: alpha", fusion.alpha)
        if alpha < 0:
            raise SettingError(f"prefix_search: expected an alpha of at least 0, got {alpha}")
        self._beta = check_number("prefix_search: beta", fusion.beta)
        self._fusion = fusion

    def begin(self, symbols: Wholes) -> None:
        """Read the start symbol.

        Raises:
            SettingError: ids that the model does not have.
        """
        fusion = self._fusion
        ids = symbols if fusion.ids is None else np.asarray(fusion.ids, np.int64)
        if ids.shape != symbols.shape:
            raise SettingError(
                f"prefix_search: expected an id for each of {len(symbols)} symbols, got "
                f"{list(ids.shape)}"
            )
        self._ids = np.zeros(int(symbols.max(initial=-1)) + 1, np.int64)
        self._ids[symbols] = ids
        self._read = read(fusion.model, [[fusion.start]])
        size = self._read.log_probs.shape[1]
        if wrong := [int(one) for one in ids if not 0 <= one < size]:
            raise SettingError(
                f"prefix_search: expected ids from 0 to {size - 1}, which the language model has, "
                f"got {wrong[0]}. Fusion(ids=...) says its id of each symbol."
            )
        self._weigh()

    def advance(self, stays: Wholes, rows: Wholes, tokens: Wholes) -> None:
        """The texts of these rows stay, and then come those that these symbols make longer."""
        kept = select_rows(self._read, torch.from_numpy(stays))
        if len(rows):
            before = select_rows(self._read.state, torch.from_numpy(rows))
            new = read(self._fusion.model, self._ids[tokens][:, None].tolist(), before)
            self._read = map_tree(lambda *parts: torch.cat(parts), kept, new)
        else:
            self._read = kept
        self._weigh()

    def ends(self) -> Floats:
        """What the end of each text adds."""
        end, alpha = self._fusion.end, self._fusion.alpha
        if end is None or not alpha:
            return np.zeros(len(self._read.log_probs))
        found: Floats = alpha * self._read.log_probs[:, end].double().cpu().numpy()
        return found

    def _weigh(self) -> None:
        """``scores[text, symbol]``, of all numbers below the largest symbol's."""
        alpha = self._fusion.alpha
        if not alpha:  # 0 times minus infinity would be none
            self.scores: Floats = np.full((len(self._read.log_probs), len(self._ids)), self._beta)
            return
        own = self._read.log_probs.double().cpu().numpy()
        self.scores = alpha * own[:, self._ids] + self._beta
