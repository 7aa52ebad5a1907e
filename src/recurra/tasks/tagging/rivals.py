"""Models without memory beside a tagger: fitted on what it was trained on, kept in its run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from recurra.models import FrequentTags, MajorityOfSteps, WindowOfSteps, WindowTagger
from recurra.tasks.examples import Examples
from recurra.tasks.tagging.corpus import TaggingPart
from recurra.tasks.tagging.settings import TaggingData
from recurra_runtime.vocabulary import Ids

__all__ = ["KINDS", "fit_rivals"]

KINDS: dict[str, Any] = {
    "word's own tag": FrequentTags.from_arrays,
    "window of words": WindowTagger.from_arrays,
    "majority": MajorityOfSteps.from_arrays,
    "window of steps": WindowOfSteps.from_arrays,
}
"""By name, of each kind of input the simplest first."""


def fit_rivals(
    prepared: Examples, data: TaggingData, report: Callable[[str], None]
) -> dict[str, Any]:
    """Most frequent tag and logistic regression; which pass of the latter, held sentences say.

    Args:
        prepared: the sentences; without a validation part every tenth of the others chooses.
        data: on how many words they are fitted.
        report: is told what takes long.
    """
    training, held = prepared.parts["training"], prepared.parts.get("validation")
    assert isinstance(training, TaggingPart)
    every = -(-training.count // data.rival_steps)  # sentences may stand in an order
    some = range(0, len(training.inputs), every)
    report("fitting rivals" + (f" on {len(some):,} examples" if every > 1 else ""))
    if held is not None:
        assert isinstance(held, TaggingPart)
        chosen = _of(held, range(len(held.inputs)))  # unknown tags are wrong
    else:
        chosen = _of(training, some[::10])
        some = [n for place, n in enumerate(some) if place % 10]  # type: ignore[assignment]
    read, size = _of(training, some), len(training.tags)
    if training.words is None:
        return {
            "majority": MajorityOfSteps.fit(read[1], size),
            "window of steps": WindowOfSteps.fit(*read, chosen, size),
        }
    return {
        "word's own tag": FrequentTags.fit(*read, size),
        "window of words": WindowTagger.fit(*read, chosen, size),
    }


def _of(part: TaggingPart, numbers: Sequence[int]) -> tuple[list[Any], list[Ids]]:
    """Sentences or series, and their tags."""
    return part.plain(numbers), [part.targets[n] for n in numbers]
