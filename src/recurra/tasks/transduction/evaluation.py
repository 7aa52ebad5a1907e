"""How good answers are that are texts: by symbol, by likeness, and whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from recurra.tasks.sums import Sums

__all__ = ["Evaluation", "bleu_sums", "exact", "exact_each", "likeness", "rouge_each", "rouge_l"]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One model's score.

    Args:
        name: the model.
        loss: nats of a symbol; None where none was said to be probable.
        count: symbols that were scored.
        decoded: answers that were held against what should be said.
        exact: share of these that are right, white space aside.
        rouge: mean ROUGE-L of words, see :func:`rouge_l`.
        bleu: of all together, as sacrebleu says it; None where it is not installed.
        chrf: the same.
        signature: of how BLEU was computed.
        gleu: from 0 to 1, where texts are read that are mostly what should be said, see
            :func:`recurra.tasks.transduction.gleu.gleu`; else None.
    """

    name: str
    loss: float | None
    count: int
    decoded: int
    exact: float
    rouge: float
    bleu: float | None = None
    chrf: float | None = None
    signature: str = ""
    gleu: float | None = None

    @property
    def value(self) -> float:
        """What checkpoints are chosen by: nats."""
        return float("nan") if self.loss is None else self.loss

    def to_json(self) -> dict[str, Any]:
        """All numbers."""
        return dataclasses.asdict(self)


def exact(said: Sequence[str], wanted: Sequence[str]) -> float:
    """Share of texts that are the same, white space aside."""
    return sum(exact_each(said, wanted)) / max(len(said), 1)


def exact_each(said: Sequence[str], wanted: Sequence[str]) -> list[float]:
    """Of each text 1 where it is the same, white space aside."""
    pairs = zip(said, wanted, strict=True)
    return [float(one.split() == other.split()) for one, other in pairs]


def rouge_l(said: Sequence[str], wanted: Sequence[str]) -> float:
    """Mean of :func:`rouge_each`."""
    return sum(rouge_each(said, wanted)) / max(len(said), 1)


def rouge_each(said: Sequence[str], wanted: Sequence[str]) -> list[float]:
    r""":math:`F = 2PR / (P + R)` of the longest common subsequence of words (Lin 2004).

    P and R are its length by that of what was said, and of what should be; words are what stands
    between blanks, in lower case. 0 where one of the two is empty.
    """
    scores = []
    for one, other in zip(said, wanted, strict=True):
        a, b = one.lower().split(), other.lower().split()
        scores.append(2 * _common(a, b) / (len(a) + len(b)) if a or b else 0.0)
    return scores


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    row = [0] * (len(b) + 1)
    for one in a:
        before = row
        row = [0]
        for place, other in enumerate(b):
            row.append(before[place] + 1 if one == other else max(before[place + 1], row[-1]))
    return row[-1]


def likeness(
    said: Sequence[str], wanted: Sequence[str], *, lower: bool = False, tokenize: str = "13a"
) -> tuple[float | None, float | None, str]:
    """BLEU (Papineni et al. 2002) and chrF (Popovic 2015) of all texts together, in percent.

    Args:
        said: by the model.
        wanted: one for each.
        lower: whether letters are held against each other in lower case.
        tokenize: of sacrebleu.

    Returns:
        both, and sacrebleu's signature of the first; None and "" where it is not installed.
    """
    bleu = _bleu(lower, tokenize)
    if bleu is None:
        return None, None, ""
    from sacrebleu.metrics.chrf import CHRF

    chrf = CHRF(lowercase=lower)
    found = bleu.corpus_score(list(said), [list(wanted)]).score
    likes = chrf.corpus_score(list(said), [list(wanted)]).score
    return float(found), float(likes), str(bleu.get_signature())


def bleu_sums(said: Sequence[str], wanted: Sequence[str]) -> Sums | None:
    """What BLEU is made of, as :func:`likeness` computes it; None without sacrebleu."""
    bleu = _bleu(False, "13a")
    if bleu is None:
        return None
    rows = [bleu.corpus_score([one], [[other]]) for one, other in zip(said, wanted, strict=True)]
    values = [[row.sys_len, row.ref_len, *row.counts, *row.totals] for row in rows]

    def of(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        flat = sums.reshape(-1, sums.shape[-1]).astype(np.int64).tolist()
        found = [_bleu_of(bleu, row) for row in flat]
        return np.array(found).reshape(sums.shape[:-1])

    return Sums(np.array(values, np.float64), of, less=False)


def _bleu_of(bleu: Any, sums: Sequence[int]) -> float:
    said, wanted, *grams = sums
    orders = len(grams) // 2
    found = bleu.compute_bleu(
        grams[:orders],
        grams[orders:],
        said,
        wanted,
        smooth_method=bleu.smooth_method,
        smooth_value=bleu.smooth_value,
        effective_order=bleu.effective_order,
        max_ngram_order=bleu.max_ngram_order,
    )
    return float(found.score)


def _bleu(lower: bool, tokenize: str) -> Any:
    """What computes it; None where it is not installed."""
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError:
        return None
    return BLEU(lowercase=lower, tokenize=tokenize, force=True)
