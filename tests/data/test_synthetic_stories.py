"""Stories are replayed by rules written a second time; answers, facts and distances must agree."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from recurra.data import Stories, Story
from recurra.errors import SettingError

MOVES, TAKES, DROPS = ("went to", "moved to", "walked to"), ("took", "lifted"), ("dropped", "left")
TASKS = [Stories(1), Stories(2), Stories(1, 24, (0, 20), persons=3, places=8, things=6)]
TASKS += [Stories(2, 4), Stories(2, 20, (2, 18), persons=3, places=2, things=1), Stories(1, 1)]


def parsed(sentence: str) -> tuple[str, str, str]:
    """Who, what is done (move, take, drop) and with what."""
    who, *verb, what = sentence.split()
    assert verb.pop() == "the"
    kinds = {"move": MOVES, "take": TAKES, "drop": DROPS}
    (kind,) = (kind for kind, words in kinds.items() if " ".join(verb) in words)
    return who, kind, what


class World:
    """Where everybody and everything is after some sentences; complains of what cannot be."""

    def __init__(self) -> None:
        self.person: dict[str, tuple[str, int]] = {}  # place, and the sentence that led there
        self.thing: dict[str, tuple[str, int]] = {}  # who named it last, and where that was said
        self.held: dict[str, bool] = {}
        self.left: dict[str, tuple[str, int]] = {}  # place of a thing that was dropped

    def here(self, who: str) -> tuple[str, int]:
        return self.person.get(who, (f"where {who} began", -1))

    def read(self, place: int, sentence: str) -> None:
        who, kind, what = parsed(sentence)
        if kind == "move":
            self.person[who] = (what, place)
            return
        if kind == "take":
            assert not self.held.get(what), f"{sentence}: it is in somebody's hands"
            there = self.left.get(what)
            assert there is None or there[0] == self.here(who)[0], f"{sentence}: it is elsewhere"
        else:
            assert self.held.get(what), f"{sentence}: nobody has it"
            assert self.thing[what][0] == who, f"{sentence}: another one has it"
            self.left[what] = self.here(who)
        self.thing[what], self.held[what] = (who, place), kind == "take"


def replayed(sentences: tuple[str, ...], question: str) -> tuple[str, tuple[int, ...]]:
    """The answer, and the sentences that it hangs on."""
    world = World()
    for place, sentence in enumerate(sentences):
        world.read(place, sentence)
    asked = question.split()
    assert asked[:2] == ["where", "is"]
    if asked[2] != "the":
        answer, fact = world.person[asked[2]]
        return answer, (fact,)
    who, named = world.thing[asked[3]]
    answer, fact = world.here(who) if world.held[asked[3]] else world.left[asked[3]]
    return answer, (named, fact)


@pytest.mark.parametrize("task", TASKS, ids=repr)
def test_a_second_reading_finds_answer_facts_and_distance(task: Stories) -> None:
    seen = set()
    for seed in range(20):
        for one in task.stories(30, seed=seed):
            assert len(one.sentences) == task.sentences
            assert (one.answer, one.facts) == replayed(one.sentences, one.question)
            assert one.distance == task.sentences - 1 - min(one.facts)
            seen.add(one.distance)
    low, high = task.distances or (0 if task.facts == 1 else 2, task.sentences - 1)
    assert seen == set(range(low, high + 1))


def with_place(one: Story, place: str) -> tuple[str, ...]:
    """The story with another place in the move that decides."""
    told, fact = list(one.sentences), one.facts[-1]
    told[fact] = told[fact].replace(one.answer, place)
    return tuple(told)


@pytest.mark.parametrize("task", TASKS, ids=repr)
def test_nothing_but_the_facts_tells_the_answer(task: Stories) -> None:
    """With every other place in its stead the story can be, and that place is the answer."""
    made = task.stories(300, seed=3)
    places = {one.answer for one in made}
    assert len(places) == task.places
    for one in made:
        for place in places:
            assert replayed(with_place(one, place), one.question) == (place, one.facts)


def test_the_simulator_complains_of_what_cannot_be() -> None:
    moved = ("mary went to the hall", "john went to the hall", "mary took the ball")
    fine = (*moved, "mary dropped the ball", "john lifted the ball")
    assert replayed(fine, "where is the ball") == ("hall", (4, 1))
    for story, said in (
        ((*moved, "john took the ball"), "hands"),
        ((*moved, "john dropped the ball"), "another"),
        (("mary left the ball",), "nobody"),
        ((*fine[:4], "john moved to the attic", "john took the ball"), "elsewhere"),
    ):
        with pytest.raises(AssertionError, match=said):
            replayed(story, "where is the ball")


def last_place(one: Story) -> str:
    acts = [parsed(sentence) for sentence in one.sentences]
    return [what for _, kind, what in acts if kind == "move"][-1]


@pytest.mark.parametrize("facts", [1, 2])
def test_answers_are_drawn_alike_and_shortcuts_are_guesses(facts: int) -> None:
    task = Stories(facts, 8)
    made = task.stories(6000, seed=0)
    counts = Counter(one.answer for one in made)
    chance = task.baseline.accuracy
    assert chance == 1 / 6
    for count in counts.values():
        assert count / len(made) == pytest.approx(1 / 6, abs=0.02)
    by_distance: dict[int, list[bool]] = defaultdict(list)
    for one in made:
        by_distance[one.distance].append(last_place(one) == one.answer)
    for distance, right in by_distance.items():
        wanted = 1.0 if distance == 0 else chance
        assert np.mean(right) == pytest.approx(wanted, abs=4 * (chance / len(right)) ** 0.5)
    found = np.mean([last_place(one) == one.answer for one in made])
    assert found == pytest.approx(task.last, abs=0.02)


def test_two_facts_have_three_forms_and_the_obvious_reading_fails() -> None:
    """Neither the last move of who took it last, nor where it was taken first, is the answer."""
    forms: Counter[str] = Counter()
    earlier = 0
    for one in Stories(2).stories(1500, seed=1):
        named, move = one.facts
        kind = parsed(one.sentences[named])[1]
        forms["dropped" if kind == "drop" else "carried" if move > named else "found"] += 1
        thing = one.question.split()[-1]
        holders = {parsed(said)[0] for said in one.sentences if parsed(said)[2] == thing}
        earlier += len(holders) > 1
    assert min(forms.values()) > 300
    assert earlier > 150


def test_a_story_hangs_on_its_seed_and_number_alone() -> None:
    task = Stories(2)
    made = task.stories(20, seed=4)
    assert made[:5] == task.stories(5, seed=4)
    assert made != task.stories(20, seed=5)
    assert len(set(made)) == 20
    again = task.stories(20, seed=np.random.default_rng(1))
    assert again == task.stories(20, seed=np.random.default_rng(1))


def test_examples_are_stories_and_questions_by_name() -> None:
    task = Stories(1, 3)
    inputs, answers = task.examples(10, seed=2)
    made = task.stories(10, seed=2)
    assert inputs["question"] == [one.question for one in made]
    assert answers == [one.answer for one in made]
    assert inputs["story"][0] == ". ".join(made[0].sentences) + "."


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"facts": 3}, "facts: expected 1 or 2, got 3"),
        ({"facts": 2, "sentences": 2}, "sentences"),
        ({"facts": 2, "distances": (1, 4)}, "distances"),
        ({"distances": (3, 2)}, "distances"),
        ({"distances": (0, 12)}, "distances: expected below the 12 sentences of a story, got 12"),
        ({"persons": 2}, "persons"),
        ({"places": 9}, "places: expected at most 8, got 9"),
        ({"things": 0}, "things"),
    ],
)
def test_stories_refuse(settings: dict[str, object], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        Stories(**settings)  # type: ignore[arg-type]
