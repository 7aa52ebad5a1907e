"""Stories of who goes where with what, and questions whose facts lie a known way back."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from recurra.data.synthetic.base import Baseline, Seed, draws, seed_number
from recurra.errors import SettingError
from recurra.settings import check_size

__all__ = ["Stories", "Story"]

_PERSONS = ("mary", "john", "emma", "paul", "anna", "david", "laura", "peter")
_PLACES = ("kitchen", "garden", "office", "hall", "bedroom", "cellar", "attic", "library")
_THINGS = ("ball", "book", "lamp", "apple", "key", "cup")
_SAID = {
    "move": ("went to", "moved to", "walked to"),
    "take": ("took", "lifted"),
    "drop": ("dropped", "left"),
}
_MOVES = 0.6  # share of sentences that are moves, where things can be taken or dropped too
_HIDDEN = 100  # a place of its own in which nobody meets the one who is asked about


class Story(NamedTuple):
    """A story, and a question that some of its sentences answer.

    Args:
        sentences: without a point.
        question: in words.
        answer: one word.
        facts: places of the sentences that answer, from 0 and in this order: of one fact the move;
            of two the last sentence that names the thing, and the move that says where.
    """

    sentences: tuple[str, ...]
    question: str
    answer: str
    facts: tuple[int, ...]

    @property
    def text(self) -> str:
        """All sentences, each with a point."""
        return " ".join(f"{sentence}." for sentence in self.sentences)

    @property
    def distance(self) -> int:
        """Sentences between the farthest of the facts and the question."""
        return len(self.sentences) - 1 - min(self.facts)


class _Act(NamedTuple):
    """What one person does: ``what`` is the number of a place or of a thing."""

    person: int
    verb: str
    what: int
    hidden: bool = False


class _Plan(NamedTuple):
    """What must be in a story: acts by sentence, who may not move in which span, what is asked."""

    acts: dict[int, _Act]
    stays: list[tuple[int, int, int]]
    facts: tuple[int, ...]
    asked: int


@dataclasses.dataclass(frozen=True)
class Stories:
    """Persons move, and take, carry and drop things; it is asked where somebody or something is.

    =====  =================  ==============================================================
    facts  question           answer
    =====  =================  ==============================================================
    1      where is mary      where her last move led
    2      where is the ball  where the person who has it is now, or was when it was dropped
    =====  =================  ==============================================================

    (In the manner of the first two tasks of Weston et al. 2015, "Towards AI-complete question
    answering", with words and rules of its own.) The distance of a story, the sentences between the
    farthest of its facts and the question, is drawn uniformly from a range.

    All places are drawn uniformly, each by itself; one may be told to go where one is. During the
    stay that is asked about nobody else takes what is left there, and nothing is taken there that
    somebody else left: so with any other place in the deciding move the story is as good and as
    probable, and all its other sentences together do not tell the answer. Two facts have three
    forms: the thing was taken and carried on, taken where it is, or dropped; somebody else may have
    had it before.

    Baseline: a guess is right in one of so many ``places``. So is the last place that was named,
    except in stories of one fact at a distance of 0, where it is always right: see :attr:`last`.

    Args:
        facts: 1 or 2.
        sentences: of a story, at least one more than the least distance.
        distances: the least and the greatest; all that there can be if None. Of one fact the least
            is at least 0, of two at least 2.
        persons: how many, 3 to 8.
        places: how many, 2 to 8.
        things: how many, 1 to 6.

    Raises:
        SettingError: a setting outside its range.
    """

    facts: int = 1
    sentences: int = 12
    distances: tuple[int, int] | None = None
    persons: int = 4
    places: int = 6
    things: int = 3

    def __post_init__(self) -> None:
        if self.facts not in (1, 2):
            raise SettingError(f"facts: expected 1 or 2, got {self.facts!r}")
        check_size("sentences", self.sentences, 1 + self._least)
        low, high = self._range
        check_size("distances", low, self._least)
        if check_size("distances", high, low) >= self.sentences:
            raise SettingError(
                f"distances: expected below the {self.sentences} sentences of a story, got {high}"
            )
        for name, least, words in (
            ("persons", 3, _PERSONS),
            ("places", 2, _PLACES),
            ("things", 1, _THINGS),
        ):
            number = check_size(name, getattr(self, name), least)
            if number > len(words):
                raise SettingError(f"{name}: expected at most {len(words)}, got {number}")

    @property
    def _least(self) -> int:
        """The least distance that does not tell the answer of two facts at once."""
        return 0 if self.facts == 1 else 2

    @property
    def _range(self) -> tuple[int, int]:
        return (self._least, self.sentences - 1) if self.distances is None else self.distances

    @property
    def baseline(self) -> Baseline:
        """Cross-entropy in nats and accuracy of a uniform guess."""
        return Baseline(math.log(self.places), 1 / self.places)

    @property
    def last(self) -> float:
        """Accuracy of whoever answers with the last place that was named."""
        low, high = self._range
        at_once = 1 / (high - low + 1) if low == 0 else 0.0
        return at_once + (1 - at_once) / self.places

    def stories(self, number: int, *, seed: Seed = 0) -> list[Story]:
        """Draw stories, each with one question; a story hangs on the seed and its number alone.

        Args:
            number: of them.
            seed: a number of at least 0, or a generator.

        Raises:
            SettingError: a number below 1, or no seed.
        """
        number, seed = check_size("number", number), seed_number(seed)
        return [self._story(draws(seed, place)) for place in range(number)]

    def examples(self, number: int, *, seed: Seed = 0) -> tuple[dict[str, list[str]], list[str]]:
        """Stories and questions by name, and answers: what the task ``classification`` reads.

        Args:
            number: of them.
            seed: as of :meth:`stories`.
        """
        made = self.stories(number, seed=seed)
        inputs = {"story": [one.text for one in made], "question": [one.question for one in made]}
        return inputs, [one.answer for one in made]

    def _story(self, chance: np.random.Generator) -> Story:
        low, high = self._range
        first = self.sentences - 1 - int(chance.integers(low, high + 1))
        plan = (self._one if self.facts == 1 else self._two)(first, chance)
        asked = _PERSONS[plan.asked] if self.facts == 1 else f"the {_THINGS[plan.asked]}"
        told = tuple(_said(act, chance) for act in self._acts(plan, chance))
        move = plan.acts[plan.facts[-1]]
        return Story(told, f"where is {asked}", _PLACES[move.what], plan.facts)

    def _place(self, chance: np.random.Generator) -> int:
        return int(chance.integers(self.places))

    # ---- what must be in a story -----------------------------------------------------------------

    def _one(self, first: int, chance: np.random.Generator) -> _Plan:
        asked, other = chance.permutation(self.persons)[:2].tolist()
        acts = {first: _Act(asked, "move", self._place(chance), hidden=True)}
        if first + 1 < self.sentences:  # the last place that is named is another one's
            later = int(chance.integers(first + 1, self.sentences))
            acts[later] = _Act(other, "move", self._place(chance))
        return _Plan(acts, [(asked, first + 1, self.sentences)], (first,), asked)

    def _two(self, first: int, chance: np.random.Generator) -> _Plan:
        who, other = chance.permutation(self.persons)[:2].tolist()
        thing = int(chance.integers(self.things))
        form, place = ("carried", "found", "dropped")[chance.integers(3)], self._place(chance)
        behind = first + 1 + chance.permutation(self.sentences - 1 - first)[:2]
        near, far = sorted(behind.tolist()) if form == "carried" else behind.tolist()
        move, named = (near, first) if form == "carried" else (first, near)
        taken = named
        if form == "dropped":
            free = [*range(first), *(n for n in range(first + 1, named) if n != far)]
            if free:
                taken = free[chance.integers(len(free))]
        acts = {
            move: _Act(who, "move", place, hidden=True),
            far: _Act(other, "move", self._place(chance)),
            taken: _Act(who, "take", thing),
        }
        if taken != named:
            acts[named] = _Act(who, "drop", thing)
        left = form == "dropped" and taken != named
        stays = [(who, move + 1, named if left else self.sentences)]
        if 4 <= taken <= first and chance.integers(2):
            before, more = self._before(taken, who, other, thing, chance)
            acts, stays = {**acts, **before}, stays + more
        return _Plan(acts, stays, (named, move), thing)

    def _before(
        self, taken: int, who: int, other: int, thing: int, chance: np.random.Generator
    ) -> tuple[dict[int, _Act], list[tuple[int, int, int]]]:
        """Another one leaves the thing where it is taken; when that person comes is drawn."""
        place, steps = self._place(chance), sorted(chance.permutation(taken)[:4].tolist())
        comes = steps.pop(chance.integers(4))
        goes, lifts, drops = steps
        acts = {
            comes: _Act(who, "move", place),
            goes: _Act(other, "move", place),
            lifts: _Act(other, "take", thing),
            drops: _Act(other, "drop", thing),
        }
        return acts, [(who, comes + 1, taken), (other, goes + 1, drops)]

    # ---- what else happens -----------------------------------------------------------------------

    def _acts(self, plan: _Plan, chance: np.random.Generator) -> Iterator[_Act]:
        """One a sentence; nobody takes what is elsewhere, or in the hands of another one."""
        where = [-1 - person for person in range(self.persons)]  # until they move nobody meets
        holder: list[int | None] = [None] * self.things
        left: list[int | None] = [None] * self.things  # at which place; before it is named anywhere
        asked = plan.asked if self.facts == 2 else None
        for step in range(self.sentences):
            act = plan.acts.get(step)
            if act is None:
                free = [
                    _Act(person, "drop" if holder[thing] == person else "take", thing)
                    for thing in range(self.things)
                    for person in range(self.persons)
                    if thing != asked
                    and (
                        holder[thing] == person
                        or (holder[thing] is None and left[thing] in (None, where[person]))
                    )
                ]
                if free and chance.random() >= _MOVES:
                    act = free[chance.integers(len(free))]
                else:
                    act = self._moved(step, plan, chance)
            if act.verb == "move":
                where[act.person] = _HIDDEN if act.hidden else act.what
            else:
                holder[act.what] = act.person if act.verb == "take" else None
                left[act.what] = where[act.person]
            yield act

    def _moved(self, step: int, plan: _Plan, chance: np.random.Generator) -> _Act:
        stays = {person for person, start, stop in plan.stays if start <= step < stop}
        free = [person for person in range(self.persons) if person not in stays]
        return _Act(free[chance.integers(len(free))], "move", self._place(chance))


def _said(act: _Act, chance: np.random.Generator) -> str:
    words = _SAID[act.verb]
    what = (_PLACES if act.verb == "move" else _THINGS)[act.what]
    return f"{_PERSONS[act.person]} {words[chance.integers(len(words))]} the {what}"
