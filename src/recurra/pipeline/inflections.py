"""Forms of English words: which words of a list are the same noun, verb or adjective."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

__all__ = ["Inflections"]

_SHORTEST = 3  # letters of a word that rules inflect; shorter ones are little words, or in the table
_VOWELS = "aeiou"
_IRREGULAR = """
be is are was were been being am; have has had having; do does did done doing
go goes went gone going; say said; make made making; take took taken taking; come came coming
see saw seen seeing; know knew known; get got gotten getting; give gave given giving
find found; think thought; tell told; become became becoming; leave left leaving; feel felt
bring brought; begin began begun beginning; keep kept; hold held; write wrote written writing
stand stood; hear heard; mean meant; meet met meeting; run ran running; pay paid; sit sat sitting
speak spoke spoken; lead led; grow grew grown; lose lost losing; fall fell fallen; send sent
build built; understand understood; draw drew drawn; break broke broken; spend spent
rise rose risen rising; drive drove driven driving; buy bought; wear wore worn
choose chose chosen choosing; teach taught; eat ate eaten; fly flew flown flies; sell sold
win won winning; catch caught; fight fought; forget forgot forgotten; sing sang sung; sleep slept
throw threw thrown; swim swam swum; drink drank drunk; seek sought; lie lay lain lying
man men; woman women; child children; person people; foot feet; tooth teeth; mouse mice
life lives; wife wives; leaf leaves; half halves; knife knives; shelf shelves; thief thieves
good better best well; bad worse worst badly; far further; easy easily; true truly; possible possibly
"""
_CLOSED = frozenset(
    """a an the in on at of for to with by from as is are was were this that these those there here
    their his her its our your my they them then than when where what which who how why and but or
    not no so if all any can may will would could should must might shall we you he she it one her
    some such very into over under once other others thing things nothing something does during
    per less many much more most only even ever every each both own same too also just""".split()
)


class Inflections:
    """Which words of a list are forms of one another, by rules and a table of exceptions.

    Args:
        words: of which forms are known.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._words = frozenset(words)
        self._families: dict[str, set[str]] = {}
        for line in _IRREGULAR.replace("\n", ";").split(";"):
            for lemma in line.split()[:1]:
                self._join(lemma, [*line.split()[1:], *_regular(lemma)])
        for lemma in self._words - _CLOSED:
            if len(lemma) >= _SHORTEST and lemma.isalpha():
                self._join(lemma, _regular(lemma))

    def _join(self, lemma: str, forms: Iterable[str]) -> None:
        known = {form for form in (lemma, *forms) if form in self._words}
        for form in known:
            self._families.setdefault(form, set()).update(known)

    def of(self, word: str) -> list[str]:
        """The other forms of a word in small letters, sorted; none of a word that is not known."""
        return sorted(self._families.get(word, set()) - {word})


def _regular(lemma: str) -> Iterator[str]:
    """What the rules of spelling make with -s, -ed, -ing, -ly and -er."""
    before, last = lemma[-2:-1], lemma[-1]
    if last == "y" and before not in _VOWELS:
        stem = lemma[:-1] + "i"
        yield from (stem + "es", stem + "ed", lemma + "ing", stem + "ly", stem + "er")
        return
    hissing = lemma.endswith(("s", "x", "z", "ch", "sh", "o"))
    yield lemma + ("es" if hissing else "s")
    yield lemma + "ly"
    if last == "e":
        yield from (lemma + "d", lemma[:-1] + "ing", lemma + "r")
        return
    yield from (lemma + "ed", lemma + "ing", lemma + "er")
    if last not in "aeiouwxy" and before in _VOWELS and lemma[-3:-2] not in _VOWELS:
        yield from (lemma + last + "ed", lemma + last + "ing", lemma + last + "er")
