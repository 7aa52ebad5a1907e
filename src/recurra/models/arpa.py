r"""N-grams in ARPA files, which other toolkits read and write.

A file has of every gram hw the logarithm to the base 10 of its probability, and, if another symbol
may follow, that of a backoff weight:

.. math::

    P(w \mid h) = 10^{p(hw)} \ \text{if hw is listed, else} \ 10^{b(h)} P(w \mid h')

(b is 0 where h is not listed). That says all that an interpolated model says: a gram that was
counted has its whole probability there, and what was not counted has mass 0, so that the backoff
alone is left of its formula.

In such files a document begins with one ``<s>``, here with ``order - 1``. A gram that begins with
several is written with one: it is counted exactly where that one is, so nothing is lost. -99 stands
for a probability of 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recurra.errors import DataError
from recurra.files import write_file
from recurra.models.grams import Floats, Ints, _endings, _Frame, _Level
from recurra_runtime.vocabulary import END, RESERVED, START, Vocabulary

__all__ = ["read_arpa", "write_arpa"]

_ZERO = -99.0


def _names_of(vocabulary: Vocabulary) -> list[str]:
    r"""What a file calls each symbol: no white space is in it, and no two are alike.

    What is white space or cannot be seen is written as Python writes it, ``\n`` or ``\x20``.
    """
    names = list(RESERVED)
    known = set(names)
    for index in range(len(RESERVED), len(vocabulary)):
        name = "".join(map(_written, vocabulary.symbol(index)))
        if not name or name in known:
            name = f"\\#{index}"
        names.append(name)
        known.add(name)
    return names


def _written(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character == " ":
        return "\\x20"
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode()


def write_arpa(
    path: str | Path, frame: _Frame, levels: Sequence[_Level], vocabulary: Vocabulary
) -> None:
    """Write a model; see :meth:`NGram.to_arpa`."""
    names = _names_of(vocabulary)
    if (frame.vocabulary_size, frame.start) != (len(names), START):
        raise DataError(
            f"to_arpa: expected the vocabulary of the n-gram's {frame.vocabulary_size} symbols, "
            f"got one of {len(names)}"
        )
    sections = [_listed(frame, levels, k) for k in range(1, frame.order + 1)]
    lines = ["\\data\\"]
    lines += [f"ngram {k}={len(rows)}" for k, (rows, _, _) in enumerate(sections, 1)]
    for k, (rows, probability, backoff) in enumerate(sections, 1):
        lines += ["", f"\\{k}-grams:"]
        logs, weights = _log10(probability), _log10(backoff)
        last = k == frame.order
        for row, log, weight in zip(rows.tolist(), logs.tolist(), weights.tolist(), strict=True):
            gram = " ".join([names[symbol] for symbol in row])
            lines.append(f"{log:.9g}\t{gram}" + ("" if last else f"\t{weight:.9g}"))
    lines += ["", "\\end\\", ""]
    write_file(Path(path), "\n".join(lines).encode("utf-8", "surrogatepass"))


def _listed(frame: _Frame, levels: Sequence[_Level], k: int) -> tuple[Ints, Floats, Floats]:
    """Grams of a length ``[grams, k]`` as a file lists them, their probabilities and backoffs."""
    size, start = frame.vocabulary_size, frame.start
    if k == 1:
        rows = np.arange(size)[:, None]
    else:
        rows = np.zeros((1, 0), np.int64)
        for level in levels[:k]:
            rows = np.concatenate([rows[level.keys // size], level.keys[:, None] % size], axis=1)
        rows = rows[rows[:, 1] != start]  # of those with several start symbols one is there already
    begins = rows[:, 0] == start
    probability, backoff = np.zeros(len(rows)), np.ones(len(rows))
    for chosen, more in ((~begins, 0), (begins, frame.order - k)):
        if chosen.any():
            before = np.full((int(chosen.sum()), more), start)
            whole = np.concatenate([before, rows[chosen]], axis=1)
            probability[chosen] = _probability(levels, whole, size)
            # As a history it has one symbol behind it, so one start symbol less before it.
            backoff[chosen] = _weights(levels, whole[:, min(more, 1) :], size, k)
    return rows, np.where((rows == start).all(1), 0.0, probability), backoff


def _probability(levels: Sequence[_Level], rows: Ints, size: int) -> Floats:
    """Of the last symbol of each row ``[grams, time]`` after the others."""
    numbers = list(_endings(levels, rows, size))
    found = np.full(len(rows), 1.0 / (size - 1))
    for level, history, gram in zip(levels, numbers, numbers[1:], strict=False):
        found = found * level.backoff[history[:, -2]] + level.mass[gram[:, -1]]
    return found


def _weights(levels: Sequence[_Level], rows: Ints, size: int, k: int) -> Floats:
    """What histories give away: of their own length k, and of longer ones with start symbols."""
    found = np.ones(len(rows))
    for length, number in enumerate(_endings(levels, rows, size)):
        if k <= length < len(levels) and length <= rows.shape[1]:
            found = found * levels[length].backoff[number[:, -1]]
    return found


def _log10(values: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.maximum(np.log10(values), _ZERO)


def read_arpa(path: str | Path, vocabulary: Vocabulary) -> tuple[_Frame, list[_Level]]:
    """The settings and levels of a file; see :meth:`NGram.from_arpa`."""
    place = {name: index for index, name in enumerate(_names_of(vocabulary))}
    levels: list[_Level] = []
    weights = np.array([0.0])  # single symbols have their whole probability in the file
    try:
        text = Path(path).read_bytes().decode("utf-8", "surrogatepass")
        for k, lines in enumerate(_sections(text), 1):
            level, weights = _level(lines, k, place, levels, weights)
            levels.append(level)
    except OSError as problem:
        raise DataError(f"{path}: cannot be read ({problem.strerror})") from None
    except ValueError as problem:  # a UnicodeDecodeError too
        raise DataError(f"{path}: expected an ARPA file, {problem}") from None
    return _Frame(len(levels), len(place), START, END).checked(), levels


def _sections(text: str) -> Iterator[list[str]]:
    """The lines of every length of grams, in order."""
    head, *parts = text.replace("\r\n", "\n").split("-grams:\n")
    if "\\data\\" not in head or not parts or "\\end\\" not in parts[-1]:
        raise ValueError("from \\data\\ to \\end\\, with \\1-grams: in between; it is another file")
    told = [line.partition("=")[2] for line in head.split("\n") if line.startswith("ngram ")]
    for k, part in enumerate(parts):
        lines = [line for line in part.split("\n") if line and not line.startswith("\\")]
        if k >= len(told) or told[k].strip() != str(len(lines)):
            raise ValueError(f"with as many {k + 1}-grams as it says, got {len(lines):,}")
        yield lines


def _level(
    lines: Sequence[str],
    k: int,
    place: dict[str, int],
    lower: Sequence[_Level],
    weights: Floats,
) -> tuple[_Level, Floats]:
    """Grams of one length, and the backoff weights of those one longer."""
    rows, values = _rows(lines, k, place)
    size, history = len(place), np.zeros(len(rows), np.int64)
    for number, level in enumerate(lower):
        history = level.find(history, rows[:, number], size)
    if (history < 0).any():
        line = lines[int(np.argmax(history < 0))]
        raise ValueError(f"with the beginning of every gram as a gram of its own, not of {line!r}")
    keys = history * size + rows[:, -1]
    order = np.argsort(keys)
    rows, values, keys = rows[order], values[order], keys[order]
    if k == 1 and len(keys) != size:
        raise ValueError(f"with the vocabulary's {size:,} symbols, got {len(keys):,} of them")
    if (np.diff(keys) == 0).any():
        raise ValueError(f"with every {k}-gram once")
    probability = np.where(values[:, 0] <= _ZERO, 0.0, 10.0 ** values[:, 0])
    backoff = np.append(weights, 1.0)
    if k > 1:  # what the lower orders say of it is in its probability already
        probability = probability - backoff[history[order]] * _probability(lower, rows[:, 1:], size)
    counts = np.zeros(len(keys), np.int64)
    level = _Level(keys, counts, np.append(probability, 0.0), backoff)
    return level, np.where(values[:, 1] <= _ZERO, 0.0, 10.0 ** values[:, 1])


def _rows(lines: Sequence[str], k: int, place: dict[str, int]) -> tuple[Ints, Floats]:
    """Symbols ``[grams, k]``, and logarithms of probability and backoff ``[grams, 2]``."""
    rows: npt.NDArray[np.int64] = np.zeros((len(lines), k), np.int64)
    values = np.zeros((len(lines), 2))
    for number, line in enumerate(lines):
        # Cut only where such a file cuts: other white space may be a part of a symbol.
        parts = line.replace("\t", " ").split(" ")
        if len(parts) not in (k + 1, k + 2):
            raise ValueError(f"with {k} symbols and one or two numbers in a line, got {line!r}")
        unknown = [name for name in parts[1 : k + 1] if name not in place]
        if unknown:
            raise ValueError(f"of the vocabulary's symbols, got {unknown[0]!r} in {line!r}")
        rows[number] = [place[name] for name in parts[1 : k + 1]]
        values[number, : len(parts) - k] = [float(parts[0]), *map(float, parts[k + 1 :])]
    return rows, values
