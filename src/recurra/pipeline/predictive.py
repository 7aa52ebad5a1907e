"""Predictive text entry: while a person types, what the word and the line may become."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from recurra.decoding import Continuation, Hypothesis, Read, beam_search, continuations, read
from recurra.errors import SettingError
from recurra.given import inputs_of, text_of
from recurra.pipeline.bounded import Bounded, prefix_log_prob, prefix_masks
from recurra.pipeline.text_model import TextModel
from recurra.settings import check_size
from recurra.twins import evaluating
from recurra_runtime.vocabulary import END, START

__all__ = ["Completion", "PredictiveText", "Suggestion", "complete_lines"]

_LONGEST_WORD = 40  # symbols
_MOST = 100  # suggestions at once; a search for more follows too many words and lines
_STEPS = 60  # of the model, after which a person would wait too long


@dataclasses.dataclass(frozen=True)
class Suggestion:
    """What a word or a line may become.

    Args:
        text: all of the word or line, what was typed of it included.
        rest: what is still to be typed.
        probability: of it, among all that may follow what was typed.
        finished: False for a line that was cut off at the limit.
    """

    text: str
    rest: str
    probability: float
    finished: bool = True


@dataclasses.dataclass(frozen=True)
class Completion:
    """What a prompt may become.

    Args:
        prompt: what was typed.
        words: how its last word may end, or the next may be; the likeliest first.
        lines: how it may go on to the end of the line.
        unknown: characters or words of it that the model has never seen, each once.
    """

    prompt: str
    words: Sequence[Suggestion] = ()
    lines: Sequence[Suggestion] = ()
    unknown: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """Prompt, words and lines, and what is unknown where something is."""
        told: dict[str, Any] = {"prompt": self.prompt}
        told |= {kind: [vars(s) for s in getattr(self, kind)] for kind in ("words", "lines")}
        return told | ({"unknown": list(self.unknown)} if self.unknown else {})


def complete_lines(
    model: TextModel,
    prompts: Iterable[str],
    *,
    count: int = 3,
    limit: int = 100,
    given: Mapping[str, str] | None = None,
) -> Iterator[Completion]:
    """What each of some prompts may become.

    Args:
        model: what gives the probabilities.
        prompts: read one by one; each is answered before the next is read.
        count: how many words and lines at most, 1 to 100.
        limit: symbols after which a line is cut off.
        given: condition -> label, for all prompts.

    Yields:
        an answer for each prompt, in their order.

    Raises:
        SettingError: a number out of range, a condition that is missing or that the model does
            not have.
        DataError: a label that the model does not know.
    """
    _check_count(count)
    check_size("limit", limit)
    asked = inputs_of("complete", prompts)
    model.start(1, given)
    return (_completion(model, prompt, count, limit, given) for prompt in asked)


def _completion(
    model: TextModel, prompt: str, count: int, limit: int, given: Mapping[str, str] | None
) -> Completion:
    entry = PredictiveText(model, given=given)
    entry.type(prompt)
    words, lines = entry.suggestions(count), entry.lines(count, limit=limit)
    return Completion(prompt, words, lines, entry.unknown())


class PredictiveText:
    """A person types, a model suggests; what was typed is read once.

    A word is letters, digits, and apostrophes after them; with a vocabulary of words that were
    split before, it is what stands between white space. The probability of a word sums over all
    that may follow it. What the vocabulary does not know is read as ``<unk>``.

    Symbols may stand for several characters, so an unfinished word cannot be read yet. With byte
    pairs the last word, and the space before it, is spelled anew by the suggested symbols, summed
    over all ways to spell it; with words it says which words may come.

    Args:
        model: what gives the probabilities, with the weights that it has when typing begins.
        given: condition -> label.

    Attributes:
        text: all that was typed.

    Raises:
        SettingError: a condition that is missing or that the model does not have.
        DataError: a label that the model does not know.
    """

    def __init__(self, model: TextModel, *, given: Mapping[str, str] | None = None) -> None:
        self.model, self.text = model, ""
        self._pieces = model.pieces
        self._steps = model.steps  # as it is when typing begins
        self._search = _Whole(self) if model.spelling.whole else _Spelled(self)
        self._settled = read(self._steps, [self._before()], model.start(1, given))
        self._now = self._settled  # before the prefix
        self._open = self._prefix = ""  # the end of the text that is not settled; not read

    def _before(self) -> list[int]:
        """What is read before the text: a line begins where another has ended."""
        mark = self.model.line_break
        return [START] if mark is None else [START, mark]

    def type(self, text: str) -> None:
        """Go on typing."""
        self.text += text_of("prompt", text)
        self._open += text
        settled, before = self.model.spelling.cut(self._open)
        self._settled = self._read(self._open[:settled], self._settled)
        begun = before < len(self._open)
        self._now = self._read(self._open[settled:before], self._settled, touching=begun)
        self._prefix = self._open[before:]
        self._open = self._open[settled:]

    def unknown(self) -> list[str]:
        """The characters or words typed that the model has never seen, each once.

        A word that is not finished is one of them where no word of the model begins so.
        """
        begun = self.model.spelling.unfinished(self._open)
        whole = self.text[: len(self.text) - len(begun)] if begun else self.text
        found = self.model.unknown(whole)
        if begun and not self._pieces.starting(
            self.model.spelling.known(begun).encode("utf-8", "surrogatepass")
        ):
            found = sorted({*found, *self.model.unknown(begun)})
        return found

    def suggestions(self, count: int = 3) -> list[Suggestion]:
        """The most probable ways to finish the word, or to begin the next; best first.

        The word as it stands is not among them: there would be nothing to type.

        Args:
            count: how many at most, 1 to 100.

        Raises:
            SettingError: a count below 1 or above 100.
        """
        _check_count(count)
        found, weight = self._search.words(count)
        return self._joined(found, weight, self._word, count, empty=False)

    def lines(self, count: int = 1, *, limit: int = 100, width: int = 8) -> list[Suggestion]:
        """Probable ways to finish the line, found by beam search; best first.

        Args:
            count: how many at most, 1 to 100.
            limit: symbols after which a line is cut off.
            width: lines that are followed at once; at least ``count`` are.

        Raises:
            SettingError: a number below 1, or a count above 100.
        """
        _check_count(count)
        check_size("limit", limit), check_size("width", width)
        pieces = self._pieces
        going = (pieces.usable & ~pieces.breaks) | _only(END, len(pieces.raw))
        bounded, weight = self._search.bounded(going, going, pieces.breaks, line=True)
        begin = bounded.begin(self._now)
        if not _possible(begin):
            return []
        with evaluating(self._steps):
            found = beam_search(
                bounded, begin, width=max(count, width), end=END, limit=limit, keep=count
            )
        return self._joined(found, weight, self.text.rpartition("\n")[2], count, empty=True)

    def rest_of_word(self, text: str, place: int) -> str:
        """What is still to come of the word, where ``text[place:]`` is what a person wants to type.

        Empty where the next character goes on with no word and begins none.
        """
        return self._pieces.rule.rest(text, place, bool(self._word))

    @property
    def _word(self) -> str:
        """What was typed of the word; empty between words."""
        return self._pieces.rule.current(self.text)

    def _read(self, text: str, before: Read, *, touching: bool = False) -> Read:
        ids = self.model.encode_begun(text, touching=touching).tolist() if text else []
        return read(self._steps, [ids], before.state) if ids else before

    def _joined(
        self,
        found: Iterable[Continuation | Hypothesis],
        weight: float,
        typed: str,
        count: int,
        *,
        empty: bool,
    ) -> list[Suggestion]:
        """Suggestions from what a search found, those of the same text made one."""
        shares: dict[tuple[str, bool], float] = {}
        for each in found:
            key = self._search.text(each.symbols), getattr(each, "finished", True)
            if (key[0] or empty) and "\ufffd" not in key[0]:
                shares[key] = shares.get(key, 0.0) + math.exp(min(each.log_prob - weight, 0.0))
        best = sorted(shares.items(), key=lambda pair: -pair[1])[:count]
        return [Suggestion(typed + rest, rest, share, whole) for (rest, whole), share in best]


class _Spelled:
    """Searches among symbols that spell words, some of which may be a part of one.

    Args:
        entry: what was typed.
    """

    def __init__(self, entry: PredictiveText) -> None:
        self._entry, self._pieces, self._steps = entry, entry._pieces, entry._steps
        self._spellings: dict[tuple[bytes, bool], tuple[Tensor, Tensor, Tensor]] = {}

    def words(self, count: int) -> tuple[list[Continuation], float]:
        """Ends of the word, or words to come, and the log-probability of what was typed of it."""
        pieces = self._pieces
        going = (pieces.inside & pieces.usable) | _only(END, len(pieces.raw))
        first = going if self._entry._word else pieces.begins & pieces.usable
        ends = pieces.usable & ~pieces.inside
        bounded, weight = self.bounded(first, going, ends, line=False)
        # The word as it stands, one word spelled in two ways, and characters that are cut off are
        # found too where symbols are not characters.
        asked = 2 * count + 4 if self._entry.model.spelling.ways else count
        begin = bounded.begin(self._entry._now)
        if not _possible(begin):
            return [], weight
        with evaluating(self._steps):
            found = continuations(
                bounded, begin, ends=[END], count=asked, limit=_LONGEST_WORD, steps=_STEPS
            )
        return found, weight

    def bounded(
        self, first: Tensor, going: Tensor, ends: Tensor, *, line: bool
    ) -> tuple[Bounded, float]:
        """The model of what follows the text, and the log-probability of the prefix.

        Args:
            first: what may come first behind the prefix, bool ``[v]``.
            going: what may come after that, the end included.
            ends: what is summed as the end.
            line: whether the end is that of the line, and not of the word.
        """
        parts, covers, fitting = self._masks(line=line)
        weight = prefix_log_prob(self._steps, self._entry._now, self._pieces, parts, covers)
        allowed = torch.cat([parts | fitting, torch.stack([first, going])])
        return Bounded(self._steps, allowed, self._pieces.sizes, ends), weight

    def _masks(self, *, line: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Masks ``[len(prefix), v]``: parts of it, all of it and more, and what of that fits."""
        pieces, prefix = self._pieces, self._entry._prefix.encode("utf-8", "surrogatepass")
        key = (prefix, line)
        if key in self._spellings:
            return self._spellings[key]
        begun = bool(self._entry._word)
        parts, covers = prefix_masks(pieces, prefix)
        fitting = covers.clone()
        for place, row in enumerate(fitting):
            for index in row.nonzero().flatten().tolist():
                rest = pieces.raw[index][len(prefix) - place :]
                row[index] = b"\n" not in rest if line else pieces.goes_on(rest, begun)
        if prefix.isspace():  # before every word, and what most symbols begin with
            self._spellings[key] = parts, covers, fitting
        return parts, covers, fitting

    def text(self, symbols: Sequence[int]) -> str:
        """What symbols add to the text that was typed."""
        raw = b"".join(self._pieces.raw[index] for index in symbols)
        typed = self._entry._prefix.encode("utf-8", "surrogatepass")
        return raw[len(typed) :].decode("utf-8", "replace")


class _Whole:
    """Searches among symbols that are whole words: what was typed of one says which may come.

    Args:
        entry: what was typed.
    """

    def __init__(self, entry: PredictiveText) -> None:
        self._entry, self._pieces, self._steps = entry, entry._pieces, entry._steps

    def words(self, count: int) -> tuple[list[Continuation], float]:
        """As of :class:`_Spelled`."""
        chosen, weight = self._chosen()
        scores = self._entry._now.log_probs[0].double().cpu()
        whole = self._typed()
        scores = scores.masked_fill(~(chosen & self._pieces.begins), -math.inf)
        best = scores.topk(min(count + 1, len(scores)))
        found = [
            Continuation((index,), score, True)
            for score, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
            if score > -math.inf and self._pieces.raw[index] != whole
        ]
        return found, weight

    def bounded(
        self, first: Tensor, going: Tensor, ends: Tensor, *, line: bool
    ) -> tuple[Bounded, float]:
        """As of :class:`_Spelled`."""
        chosen, weight = self._chosen()
        allowed = torch.stack([first & chosen, going])
        sizes = torch.ones(len(going), dtype=torch.int64)
        return Bounded(self._steps, allowed, sizes, ends), weight

    def text(self, symbols: Sequence[int]) -> str:
        """As of :class:`_Spelled`."""
        entry = self._entry
        write = entry.model.writer(entry._open[: len(entry._open) - len(entry._prefix)])
        text = "".join(map(write, symbols))
        known = entry.model.spelling.known(entry._prefix)
        return text.removeprefix(" ")[len(known) :] if known else text

    def _typed(self) -> bytes:
        """What was typed of the word, as the vocabulary has it."""
        return self._entry.model.spelling.known(self._entry._prefix).encode(
            "utf-8", "surrogatepass"
        )

    def _chosen(self) -> tuple[Tensor, float]:
        """Which words may come after what was typed of one, and the log-probability of all."""
        prefix, chosen = self._typed(), self._pieces.usable
        if prefix:
            chosen = _only(self._pieces.starting(prefix), len(chosen))
        scores = self._entry._now.log_probs[0].double().cpu()
        return chosen, float(scores.masked_fill(~chosen, -math.inf).logsumexp(0))


def _check_count(count: int) -> None:
    if check_size("count", count) > _MOST:
        raise SettingError(f"count: expected 1 to {_MOST} suggestions, got {count}")


def _only(symbols: int | list[int], size: int) -> Tensor:
    mask = torch.zeros(size, dtype=torch.bool)
    mask[symbols] = True
    return mask


def _possible(begin: Read) -> bool:
    return bool(begin.log_probs.max() > -math.inf)
