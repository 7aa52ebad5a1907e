"""English words that are confused with each other, and word forms that no rule makes."""

from __future__ import annotations

__all__ = [
    "ADDED",
    "ARTICLES",
    "CLOSED",
    "DELETED",
    "IRREGULAR",
    "NO_ARTICLE",
    "PREPOSITIONS",
    "SETS",
    "WRITTEN",
]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ARTICLES = ("a", "an", "the")
PREPOSITIONS = ("in", "on", "at", "of", "for", "to", "with", "by", "from", "about", "into")
ADDED = ("to", "of", "in", "for")  # prepositions that are left out most
SETS = [
    PREPOSITIONS,
    ("is", "are", "was", "were", "be", "been", "being"),
    ("has", "have", "had"),
    ("do", "does", "did"),
    ("this", "these"),
    ("that", "those"),
    ("that", "which", "who", "what", "where"),
    ("much", "many", "lot of"),
    ("few", "little", "less"),
    ("other", "another", "others"),
    ("their", "there", "they"),
    ("they", "them"),
    ("then", "than"),
    ("to", "too"),
    ("its", "it", "it 's"),
    ("your", "you", "you 're"),
    ("can", "could", "will", "would", "should", "may"),
    ("and", "but", "or"),
    ("some", "any"),
    ("no", "not"),
    ("very", "really"),
    ("because", "because of"),
    ("people", "peoples", "person"),
    ("every", "all", "each"),
]
WRITTEN = {  # what no list of words need know to be wrong
    "i": ["I"], "im": ["I 'm"], "ive": ["I 've"], "dont": ["do n't"], "doesnt": ["does n't"],
    "didnt": ["did n't"], "isnt": ["is n't"], "arent": ["are n't"], "wasnt": ["was n't"],
    "cant": ["ca n't", "can not"], "wont": ["wo n't"], "couldnt": ["could n't"],
    "wouldnt": ["would n't"], "havent": ["have n't"], "hasnt": ["has n't"], "thats": ["that 's"],
    "lets": ["let 's"], "theyre": ["they 're"], "youre": ["you 're"], "alot": ["a lot"],
    "infact": ["in fact"], "eachother": ["each other"], "u": ["you"], "ur": ["your"],
    "n't": ["not"], "wheather": ["whether", "weather"], "english": ["English"],
}  # fmt: skip
DELETED = frozenset((*ARTICLES, *PREPOSITIONS, "that", "being", "very", "so", "also"))
# Before these no article stands.
NO_ARTICLE = frozenset((*ARTICLES, *PREPOSITIONS)) | _words("""
is are was were be been being has have had do does did my your his her its our their this that
these those some any no every each and or but not i you he she it we they me him us them who
which what where when why how if because as than then there here will would can could should may
might must n't
""")
# What rules would inflect wrongly: "thing" is no form of "the".
CLOSED = _words("""
a an the in on at of for to with by from as is are was were this that these those there here
their his her its our your my they them then than when where what which who how why and but or
not no so if all any can may will would could should must might shall we you he she it one her
some such very into over under once other others thing things nothing something does during per
less many much more most only even ever every each both own same too also just
""")
# Families of a word and its forms, the word first.
IRREGULAR = """
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
good better best well; bad worse worst badly; far further; easy easily; true truly
possible possibly
"""
