"""How well taggers tag the same sentences."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recurra.columns import aligned
from recurra.models import Model
from recurra.tasks.tagging.corpus import UNKNOWN_TAG, Rival, TaggingPart, said_of
from recurra_runtime.vocabulary import Ids, TagNames

__all__ = ["Evaluation", "SpanCounts", "compare_taggers", "confusion_lines", "span_lines"]

_SHOWN = 8  # of the most frequent confusions


@dataclasses.dataclass(frozen=True)
class SpanCounts:
    """Spans of one type, or of all of them.

    Args:
        there: how many there are.
        said: how many the model says.
        right: how many of these are there, with the same first and last word and type.
    """

    there: int
    said: int
    right: int

    @property
    def precision(self) -> float:
        """Share of those said that are right; 0 where none is said."""
        return self.right / self.said if self.said else 0.0

    @property
    def recall(self) -> float:
        """Share of those there that were found; 0 where there are none."""
        return self.right / self.there if self.there else 0.0

    @property
    def f1(self) -> float:
        """2 right / (there + said); 0 where there are neither."""
        return 2 * self.right / max(self.there + self.said, 1)

    def to_json(self) -> dict[str, Any]:
        """All numbers, given and derived."""
        own = dataclasses.asdict(self)
        return own | {"precision": self.precision, "recall": self.recall, "f1": self.f1}


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What one model said of sentences whose tags are known.

    Args:
        name: of the model.
        tags: their names.
        confusion: how many words of each tag (a row) were taken for each tag (a column).
        nats: sum of the losses of sentences whose tags the model can say.
        scored: words of these.
        strange: words of tags that it has no name for: all are wrong.
        unknown: how many words its vocabulary does not know, and of how many the tag is right.
        sentences: how many, and how many are without a mistake.
        spans: by type, where tags make some.
    """

    name: str
    tags: tuple[str, ...]
    confusion: list[list[int]]
    nats: float
    scored: int
    strange: int
    unknown: tuple[int, int]
    sentences: tuple[int, int]
    spans: dict[str, SpanCounts]

    @property
    def count(self) -> int:
        """All words."""
        return sum(map(sum, self.confusion)) + self.strange

    @property
    def accuracy(self) -> float:
        """Share of the words whose tag is right."""
        right = sum(row[at] for at, row in enumerate(self.confusion))
        return right / max(self.count, 1)

    @property
    def value(self) -> float:
        """By which models are compared."""
        return self.accuracy

    @property
    def loss(self) -> float | None:
        """Nats a word of the sentences that were scored; None if there are none."""
        return self.nats / self.scored if self.scored else None

    @property
    def accuracy_unknown(self) -> float | None:
        """Of words that the vocabulary does not know; None if there are none."""
        return self.unknown[1] / self.unknown[0] if self.unknown[0] else None

    @property
    def all_spans(self) -> SpanCounts | None:
        """Of all types together; None where tags make none."""
        if not self.spans:
            return None
        each = self.spans.values()
        return SpanCounts(*(sum(getattr(s, n) for s in each) for n in ("there", "said", "right")))

    def confused(self) -> list[tuple[str, str, int]]:
        """Tag, the wrong one it was taken for, and how often; the most frequent first."""
        pairs = [
            (count, one, other)
            for one, row in zip(self.tags, self.confusion, strict=True)
            for other, count in zip(self.tags, row, strict=True)
            if count and one != other
        ]
        order = sorted(pairs, key=lambda pair: (-pair[0], *pair[1:]))
        return [(one, other, count) for count, one, other in order]

    def to_json(self) -> dict[str, Any]:
        """All numbers, given and derived; tags are called classes, as those of every task."""
        spans = self.all_spans
        return {
            "name": self.name,
            "classes": list(self.tags),
            "confusion": self.confusion,
            "words": self.count,
            "accuracy": self.accuracy,
            "nats_per_tag": self.loss,
            "scored": self.scored,
            "strange": self.strange,
            "unknown": list(self.unknown),
            "accuracy_unknown": self.accuracy_unknown,
            "sentences": list(self.sentences),
            "spans": {name: counts.to_json() for name, counts in self.spans.items()},
            "span_f1": None if spans is None else spans.f1,
        }


def compare_taggers(compared: Mapping[str, Model | Rival], part: TaggingPart) -> list[Evaluation]:
    """A row for each model, on the same sentences.

    Args:
        compared: by name.
        part: sentences with their tags.
    """
    return [_evaluation(name, model, part) for name, model in compared.items()]


def _evaluation(name: str, model: Model | Rival, part: TaggingPart) -> Evaluation:
    size = len(part.tags)
    confusion = np.zeros((size, size), np.int64)
    strange = unknown = hit = whole = scored = 0
    nats = 0.0
    counts = {kind: Counter[str]() for kind in ("there", "said", "right")}
    for number, said in said_of(model, part):
        wanted, strangers = part.targets[number], part.unknown[number]
        known, right = wanted != UNKNOWN_TAG, said.tags == wanted
        np.add.at(confusion, (wanted[known], said.tags[known]), 1)
        strange += int((~known).sum())
        unknown, hit = unknown + int(strangers.sum()), hit + int((right & strangers).sum())
        whole += bool(right.all())
        if number in part.sayable and not isinstance(model, Model):
            shares = said.shares[np.arange(len(wanted)), wanted]
            nats, scored = nats - float(np.log(shares).sum()), scored + len(wanted)
        _count_spans(part.tags, part.raw[number].target, said.tags, counts)
    if isinstance(model, Model):
        nats, scored = model.score(part.groups())
    types = sorted({*part.tags.types, *counts["there"]})
    return Evaluation(
        name,
        part.tags.names,
        confusion.tolist(),
        nats,
        scored,
        strange,
        (unknown, hit),
        (len(part.inputs), whole),
        {kind: SpanCounts(*(found[kind] for found in counts.values())) for kind in types},
    )


def _count_spans(
    tags: TagNames, wanted: Sequence[str], said: Ids, counts: dict[str, Counter[str]]
) -> None:
    there = set(tags.spans(wanted))
    found = set(tags.spans([tags.name(number) for number in said.tolist()]))
    for kind, spans in (("there", there), ("said", found), ("right", there & found)):
        counts[kind].update(span.type for span in spans)


def confusion_lines(row: Evaluation) -> list[str]:
    """Which tags were taken for which, as lines below a table."""
    pairs = row.confused()
    if not pairs:
        return []
    drawn = [[one, other, f"{count:,}"] for one, other, count in pairs[:_SHOWN]]
    table = aligned([["tag", "taken for", "words"], *drawn], right=(2,))
    wrong = sum(count for _, _, count in pairs)
    few = f"; {len(pairs):,} pairs in all are in summary.json" if len(pairs) > _SHOWN else ""
    return [f"Of {wrong:,} mistakes of {row.name} the most frequent{few}:", *table.split("\n")]


def span_lines(row: Evaluation) -> list[str]:
    """How well spans of each type are found, as lines below a table."""
    if not row.spans:
        return []
    drawn = [
        [
            kind,
            f"{s.there:,}",
            f"{s.said:,}",
            f"{s.precision:.4f}",
            f"{s.recall:.4f}",
            f"{s.f1:.4f}",
        ]
        for kind, s in row.spans.items()
    ]
    header = ["spans", "there", "said", "precision", "recall", "F1"]
    table = aligned([header, *drawn], right=range(1, len(header)))
    return [f"Spans of {row.name}:", *table.split("\n")]
