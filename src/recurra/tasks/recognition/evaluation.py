"""How well recognizers read the same recordings or pictures."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from recurra.columns import aligned
from recurra.data.rows import imported
from recurra.models import Model
from recurra.tasks.recognition.corpus import RecognitionPart, Rival, said_of

__all__ = ["Errors", "Evaluation", "compare_recognizers", "errors_of", "example_lines", "library"]

_SHOWN = 3  # examples with mistakes
_CONFUSED = 8  # characters taken for others


@dataclasses.dataclass(frozen=True)
class Errors:
    """What was taken for something else, left out and added.

    Args:
        total: symbols that are there.
        hits: of which right.
        substitutions: taken for another.
        deletions: left out.
        insertions: said, and not there.
    """

    total: int
    hits: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def mistakes(self) -> int:
        """All of them."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Mistakes by symbols that are there; may be above 1."""
        return self.mistakes / max(self.total, 1)

    def to_json(self) -> dict[str, Any]:
        """All numbers, given and derived."""
        return dataclasses.asdict(self) | {"rate": self.rate}


def library() -> Any:
    """What counts mistakes.

    Raises:
        DataError: it is not installed.
    """
    return imported("jiwer", "Error rates of texts", "recognition")


def errors_of(wanted: Sequence[str], said: Sequence[str], *, words: bool = False) -> Errors:
    """Mistakes in texts by Levenshtein's distance, of characters or of words.

    Args:
        wanted: what is right, none of them empty.
        said: one for each.
        words: whether words are counted, parted by white space.
    """
    process = library().process_words if words else library().process_characters
    found = process(list(wanted), list(said))
    total = found.hits + found.substitutions + found.deletions
    return Errors(total, found.hits, found.substitutions, found.deletions, found.insertions)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What one model said of examples whose texts are known.

    Args:
        name: of the model.
        characters: mistakes in characters.
        words: mistakes in words.
        whole: how many texts are without a mistake.
        examples: how many there are.
        nats: sum of the losses of the texts that the model can say; None without probabilities.
        scored: symbols of these.
        short: texts that need more steps than the model has: they are in no loss.
        strange: texts with symbols that the models lack: they are in no loss.
        samples: the first texts with mistakes, each with what was said.
        confused: what was taken for what, with how often.
    """

    name: str
    characters: Errors
    words: Errors
    whole: int
    examples: int
    nats: float | None
    scored: int
    short: int
    strange: int
    samples: tuple[tuple[str, str], ...]
    confused: tuple[tuple[str, str, int], ...]

    @property
    def value(self) -> float:
        """By which models are compared."""
        return self.characters.rate

    @property
    def loss(self) -> float | None:
        """Nats a symbol; None where there are none."""
        return self.nats / self.scored if self.nats is not None and self.scored else None

    def to_json(self) -> dict[str, Any]:
        """All numbers, given and derived."""
        return {
            "name": self.name,
            "cer": self.characters.rate,
            "wer": self.words.rate,
            "characters": self.characters.to_json(),
            "words": self.words.to_json(),
            "whole": self.whole,
            "examples": self.examples,
            "nats_per_symbol": self.loss,
            "scored": self.scored,
            "short": self.short,
            "strange": self.strange,
            "confused": [list(each) for each in self.confused],
        }


def compare_recognizers(
    compared: Mapping[str, Model | Rival], part: RecognitionPart
) -> list[Evaluation]:
    """A row for each model, on the same examples."""
    return [_evaluation(name, model, part) for name, model in compared.items()]


def _evaluation(name: str, model: Any, part: RecognitionPart) -> Evaluation:
    found = dict(said_of(model, part))
    wanted, said = part.texts, [found[number] for number in range(len(part.inputs))]
    wrong = [(one, other) for one, other in zip(wanted, said, strict=True) if one != other]
    if isinstance(model, Model):
        nats: tuple[float, int] | None = model.score(part.groups())
        short = part.short(model)  # type: ignore[arg-type]
    else:
        nats, short = model.nats(part), model.short(part)
    return Evaluation(
        name,
        errors_of(wanted, said),
        errors_of(wanted, said, words=True),
        len(wanted) - len(wrong),
        len(wanted),
        None if nats is None else nats[0],
        0 if nats is None else nats[1],
        short,
        part.strange,
        tuple(wrong[:_SHOWN]),
        _confused(wrong),
    )


def _confused(wrong: Sequence[tuple[str, str]]) -> tuple[tuple[str, str, int], ...]:
    """What was taken for what in texts with mistakes, the most frequent first; "" is nothing."""
    if not wrong:
        return ()
    found = library().process_characters([one for one, _ in wrong], [other for _, other in wrong])
    counts = Counter[tuple[str, str]]()
    rows = zip(found.references, found.hypotheses, found.alignments, strict=True)
    for one, other, chunks in rows:
        for chunk in chunks:
            if chunk.type == "substitute":
                places = zip(
                    range(chunk.ref_start_idx, chunk.ref_end_idx),
                    range(chunk.hyp_start_idx, chunk.hyp_end_idx),
                    strict=True,
                )
                counts.update((one[at], other[to]) for at, to in places)
            elif chunk.type == "delete":
                counts.update((c, "") for c in one[chunk.ref_start_idx : chunk.ref_end_idx])
            elif chunk.type == "insert":
                counts.update(("", c) for c in other[chunk.hyp_start_idx : chunk.hyp_end_idx])
    order = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple((*pair, count) for pair, count in order)


def example_lines(row: Evaluation) -> list[str]:
    """Some texts with mistakes above what was said, and what is taken for what, below a table."""
    if not row.samples:
        return []
    wanted, said = zip(*row.samples, strict=True)
    drawn = library().visualize_alignment(
        library().process_characters(list(wanted), list(said)), show_measures=False
    )
    pairs = [[_shown(a), _shown(b), f"{n:,}"] for a, b, n in row.confused[:_CONFUSED]]
    table = aligned([["there", "said", "times"], *pairs], right=(2,))
    return [
        f"Mistakes of {row.name}, the first of {row.examples - row.whole:,} texts with some:",
        *(line.rstrip() for line in drawn.rstrip().split("\n") if line.strip()),
        "The most frequent:",
        *table.split("\n"),
    ]


def _shown(character: str) -> str:
    return {"": "nothing", " ": "space"}.get(character, character)
