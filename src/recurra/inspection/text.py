"""A text as a model reads it: what surprises it, what its units do, and what they follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recurra.batch import Batch
from recurra.diagnosis.changed import steps_of
from recurra.diagnosis.examination.gates import verb_of
from recurra.diagnosis.explanation.ablating import correlations
from recurra.diagnosis.subject import called
from recurra.engine.probe import reading
from recurra.inspection.examples import Example
from recurra.models import Model
from recurra.twins import evaluating

__all__ = ["FEATURES", "Follower", "Read", "followers", "read_text", "with_unknown"]

Floats = npt.NDArray[np.float64]

_CLOSERS = {")": "(", "]": "[", "}": "{"}
_MOST = 512  # units of a layer that are shown


class Follower(NamedTuple):
    """A unit that moves with something visible.

    Args:
        place: of its cell.
        unit: its number.
        feature: what it moves with.
        correlation: with the unit's value, -1 to 1.
    """

    place: str
    unit: int
    feature: str
    correlation: float


class Read(NamedTuple):
    """A text, and what went on at each of its symbols.

    Args:
        symbols: as they are seen.
        surprises: of each symbol, or of what was wanted there, in nats: how little it was expected;
            NaN where nobody knows.
        states: of each cell's first state field, ``[time, units]``.
        gates: of each cell the mean of each gate at each step, ``[time]``, by label.
        said: what was answered at each symbol, or expected in its place; empty where nothing is.
        wanted: what should have been.
        speaks: how much each symbol speaks for the answer, less than 0 against it; empty where
            nobody asked.
        unknown: steps of symbols that the model does not know, and reads as ``<unk>``.
    """

    symbols: Sequence[str]
    surprises: Floats
    states: Mapping[str, Floats]
    gates: Mapping[str, Mapping[str, Floats]]
    said: Sequence[str] = ()
    wanted: Sequence[str] = ()
    speaks: Floats = np.zeros(0)
    unknown: frozenset[int] = frozenset()

    @property
    def right(self) -> list[bool]:
        """Of each symbol whether what was said there is what was wanted."""
        return [one == other for one, other in zip(self.said, self.wanted, strict=True)]

    def most_surprising(self, number: int = 12) -> list[tuple[int, str, float]]:
        """Step, symbol and nats, the most surprising first."""
        order = np.argsort(-np.nan_to_num(self.surprises, nan=-np.inf))[:number]
        return [
            (int(n), self.symbols[n], float(self.surprises[n])) for n in order if self._knows(n)
        ]

    def least_surprising(self, number: int = 12) -> list[tuple[int, str, float]]:
        """The same from the other end."""
        order = np.argsort(np.nan_to_num(self.surprises, nan=np.inf))[:number]
        return [
            (int(n), self.symbols[n], float(self.surprises[n])) for n in order if self._knows(n)
        ]

    def _knows(self, step: int) -> bool:
        return bool(np.isfinite(self.surprises[step]))

    def told(self, step: int) -> str:
        """What is answered and what the gates do at a step, in a sentence."""
        head = f"Step {step}, {self.symbols[step]!r}"
        head += ", unknown to the model" if step in self.unknown else ""
        if self.said and self.wanted[step]:
            said, wanted = self.said[step], self.wanted[step]
            follows = wanted == self.symbols[step]
            verb = "expected" if follows else "said"
            right = "right" if said == wanted else f"wrong, it is {wanted!r}"
            head += f": {verb} {said!r}, which is {right}"
        parts = []
        for place, gates in self.gates.items():
            does = [f"{verb_of(label)} {values[step]:.0%}" for label, values in gates.items()]
            if does:
                parts.append(f"{place} {', '.join(does)}")
        return f"{head}. {'; '.join(parts)}." if parts else f"{head}."


def read_text(
    model: Model,
    batch: Batch,
    rows: Sequence[Sequence[str]],
    examples: Sequence[Example] = (),
    speaks: Floats | None = None,
) -> Read:
    """Look at the first rows of a batch, one behind another.

    Args:
        model: reads it, in evaluation mode.
        batch: what it reads.
        rows: as a person sees the steps of so many of its rows.
        examples: what is answered of each, as far as it is shown.
        speaks: how much each step speaks for the answer ``[time, batch]``, or None.
    """
    time, lengths = steps_of(batch)
    with evaluating(model), torch.no_grad(), reading(model) as seen:
        model(batch)
    states: dict[str, Floats] = {}
    gates: dict[str, dict[str, Floats]] = {}
    for key, value in seen.items():
        place, label = called(key.where), key.label
        steps = value.dim() == 3 and value.shape[:2] == (time, len(lengths))
        if not steps or not value.is_floating_point():
            continue
        if label.startswith("state.") and place not in states:
            states[place] = _behind(value[..., :_MOST], rows)
        elif label.endswith(" gate"):
            gates.setdefault(place, {})[label] = _behind(value, rows).mean(1)
    pairs = list(zip(rows, examples, strict=False))
    # Of a text that is written on, what is wanted at a step is read at the next one.
    ahead = any(len(symbols) > 1 for symbols, _ in pairs) and all(
        list(example.wanted[:-1]) == list(symbols[1:]) for symbols, example in pairs
    )
    told = [_told(symbols, example, ahead) for symbols, example in pairs]
    told = told or [_Told(np.full(len(symbols), np.nan)) for symbols in rows]
    known = all(each.said for each in told)
    return Read(
        [symbol for symbols in rows for symbol in _ended(symbols, len(rows) > 1)],
        np.concatenate([each.nats for each in told]),
        states,
        gates,
        [word for each in told for word in each.said] if known else (),
        [word for each in told for word in each.wanted] if known else (),
        np.zeros(0)
        if speaks is None
        else np.concatenate([speaks[: len(row), at] for at, row in enumerate(rows)]),
    )


def with_unknown(
    read: Read, rows: Sequence[Sequence[str]], unknown: Sequence[Mapping[int, str]]
) -> Read:
    """What stands in the text in place of what a model shows of ``<unk>``.

    Args:
        read: the text as the model has it.
        rows: that it is made of.
        unknown: of each row, as of :meth:`recurra.tasks.Task.unknown`.
    """
    symbols, said, wanted = list(read.symbols), list(read.said), list(read.wanted)
    first, steps = 0, set()
    for row, own in zip(rows, unknown, strict=False):
        for step in sorted({*own} & {*range(len(row))}):
            at, shown = first + step, row[step]
            ours = shown[: len(shown) - len(shown.lstrip(" "))] + own[step]
            symbols[at] = symbols[at].replace(shown, ours)
            if wanted and wanted[at] == shown:
                said[at], wanted[at] = (
                    ours if each == shown else each for each in (said[at], shown)
                )
            steps.add(at)
        first += len(row)
    return read._replace(symbols=symbols, said=said, wanted=wanted, unknown=frozenset(steps))


def _behind(value: Tensor, rows: Sequence[Sequence[str]]) -> Floats:
    """The steps of some rows, one row behind another, ``[steps, units]``."""
    parts = [value[: len(row), at] for at, row in enumerate(rows)]
    found: Floats = torch.cat(parts).double().cpu().numpy()
    return found


def _ended(symbols: Sequence[str], several: bool) -> list[str]:
    """With a break behind the last, where other rows follow."""
    return [*symbols[:-1], f"{symbols[-1]}\n"] if several and symbols else list(symbols)


class _Told(NamedTuple):
    nats: Floats
    said: Sequence[str] = ()
    wanted: Sequence[str] = ()


def _told(symbols: Sequence[str], example: Example, ahead: bool) -> _Told:
    """What belongs to each symbol of a row."""
    if example.by != "step":
        return _Told(np.full(len(symbols), np.nan))
    if not ahead:
        return _Told(example.nats, example.said, example.wanted)
    # What was said of the next one belongs to it; of the first nothing was.
    nats = np.concatenate([np.full(1, np.nan), example.nats[:-1]])
    return _Told(nats, ["", *example.said[:-1]], ["", *example.wanted[:-1]])


# ---- what is visible -----------------------------------------------------------------------------


def _inside_quotes(symbols: Sequence[str]) -> Floats:
    inside, found = False, []
    for symbol in symbols:
        found.append(float(inside))
        if symbol.count('"') % 2:
            inside = not inside
    return np.array(found)


def _brackets(symbols: Sequence[str]) -> Floats:
    depth, found = 0, []
    for symbol in symbols:
        depth += sum(each in "([{" for each in symbol)
        found.append(float(depth))
        depth = max(0, depth - sum(each in _CLOSERS for each in symbol))
    return np.array(found)


def _since(ends: str) -> Callable[[Sequence[str]], Floats]:
    def count(symbols: Sequence[str]) -> Floats:
        since, found = 0, []
        for symbol in symbols:
            found.append(float(since))
            since = 0 if any(each in ends for each in symbol) else since + 1
        return np.array(found)

    return count


def _are(test: Callable[[str], bool]) -> Callable[[Sequence[str]], Floats]:
    return lambda symbols: np.array([float(bool(symbol) and test(symbol)) for symbol in symbols])


FEATURES: dict[str, Callable[[Sequence[str]], Floats]] = {
    "inside quotes": _inside_quotes,
    "depth of brackets": _brackets,
    "place in the line": _since("\n"),
    "place in the word": _since(" \n\t.,;:!?"),
    "place in the sentence": _since(".!?"),
    "upper case": _are(lambda symbol: symbol.strip().isupper()),
    "digits": _are(lambda symbol: symbol.strip().isdigit()),
    "blanks": _are(str.isspace),
    "vowels": _are(lambda symbol: symbol.lower() in "aeiou"),
    "punctuation": _are(lambda symbol: bool(symbol.strip()) and not symbol.strip().isalnum()),
}
"""What is visible in a text, by name: numbers at each symbol."""


def followers(read: Read, number: int = 12) -> list[Follower]:
    """Units that move with something visible, the closest first: of each feature the best two.

    A correlation says that both go together, not that the unit does anything:
    :func:`recurra.diagnosis.ablations` says what is lost without it.
    """
    found = []
    for name, of in FEATURES.items():
        values = of(read.symbols)
        if values.std() == 0:
            continue
        best: list[Follower] = []
        for place, states in read.states.items():
            held = correlations(torch.from_numpy(states), torch.from_numpy(values))
            for unit, correlation in enumerate(held.tolist()):
                best.append(Follower(place, unit, name, correlation))
        best.sort(key=lambda each: -abs(each.correlation))
        found += best[:2]
    return sorted(found, key=lambda each: -abs(each.correlation))[:number]


def packed(states: Mapping[str, Floats]) -> dict[str, Any]:
    """By place: states as bytes ``[units, time]``, 0 to 255 for -size to size; and the size."""
    found = {}
    for place, values in states.items():
        most = max(1.0, float(np.abs(values).max(initial=0.0)))
        bytes_ = np.clip(np.round((values / most + 1) * 127.5), 0, 255).astype(np.uint8)
        found[place] = (bytes_.T.copy(), most)
    return found
