"""English sentences of several kinds, one a line and all tokenized alike."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from harness import data

__all__ = ["references", "sources", "written"]

T = TypeVar("T")

_LONGEST = 80  # words of a sentence
_CLITICS = r"(?i)\b(ca|wo|do|does|did|is|are|was|were|have|has|had|could|would|should|need)(n't)\b"


def tokenized(text: str) -> str:
    """Plain text with marks and clitics as words of their own, as the Penn Treebank has them."""
    text = re.sub(r"([.,!?;:()\[\]\"/]|--+)(?=\s|$|[\"')])", r" \1 ", text)
    text = re.sub(r"(^|\s)([\"'(\[]+)(?=\w)", r"\1\2 ", text)
    text = re.sub(r"(\w)('(?:s|m|re|ve|ll|d))\b", r"\1 \2", text)
    return " ".join(re.sub(_CLITICS, r"\1 \2", text).split())


def _sentences(text: str) -> Iterator[str]:
    """Cut after a mark that ends a sentence, where a capital letter follows."""
    yield from re.split(r"(?<= [.!?]) (?=[\"'(]? ?[A-Z])", text)


def _wikipedia() -> Iterator[str]:
    """Sentences of articles without headings; those with rare words left out of them are not."""
    for name in ("valid", "test"):
        for line in data(f"wikitext2-sample/{name}.txt").read_text().splitlines():
            if not line.strip().startswith("="):
                line = re.sub(r" @(.)@ ", r"\1", line.strip()).replace("n 't", " n't")
                yield from (each for each in _sentences(line) if "<unk>" not in each)


def _web(text: str) -> Iterator[str]:
    """Sentences of a part of the English Web Treebank."""
    for block in text.split("\n\n"):
        rows = (line.split("\t") for line in block.splitlines() if line[:1].isdigit())
        yield " ".join(row[1] for row in rows if row[0].isdigit())


def _mail() -> Iterator[str]:
    for name in ("train", "dev"):
        for line in data(f"aeslc/{name}.jsonl").read_text().splitlines():
            for sentence in json.loads(line)["body"].splitlines():
                yield from _sentences(tokenized(sentence))


def _captions() -> Iterator[str]:
    for line in data("multi30k-en-de/train.lc.norm.tok.en").read_text().splitlines():
        yield line[:1].upper() + line[1:].replace("&apos;", "'").replace("&quot;", '"')


def _novel() -> Iterator[str]:
    text = data("warandpeace/warandpeace.txt").read_text()
    text = text.translate(str.maketrans("\u201c\u201d\u2018\u2019", "\"\"''"))
    body = text[text.index("CHAPTER I\n") : text.index("*** END")]
    for paragraph in body.split("\n\n"):
        yield from _sentences(tokenized(" ".join(paragraph.split())))


def references(part: str, half: int | None = None) -> list[list[str]]:
    """The four corrections of each sentence of JFLEG.

    Args:
        part: ``"dev"`` or ``"test"``.
        half: of its sentences, the first (0) or the second (1); all if None.
    """
    files = [_lines(f"{part}.ref{n}") for n in range(4)]
    return _half([list(row) for row in zip(*files, strict=True)], half)


def sources(part: str, half: int | None = None) -> list[str]:
    """The sentences of JFLEG as learners wrote them; arguments as of :func:`references`."""
    return _half(_lines(f"{part}.src"), half)


def _lines(name: str) -> list[str]:
    return [line.strip() for line in data(f"jfleg/{name}").read_text().split("\n")[:-1]]


def _half(rows: list[T], half: int | None) -> list[T]:
    middle = len(rows) // 2
    return rows if half is None else rows[:middle] if half == 0 else rows[middle:]


def _kept(lines: Iterable[str]) -> list[str]:
    """Sentences of some words, without those that are mostly numbers and marks."""
    kept = []
    for line in lines:
        words = line.split()
        plain = sum(word.isalpha() for word in words)
        if 2 <= len(words) <= _LONGEST and 2 * plain > len(words):
            kept.append(" ".join(words))
    return kept


def written(folder: Path) -> Path:
    """Write ``training.txt``, ``validation.txt`` and ``test.txt`` into a folder; the folder.

    The corrections of the first half of JFLEG's dev part are trained on, those of the second are
    validated on, so that what is chosen on the second half is chosen on unseen sentences. Nothing
    of its test part is read: the test is web text.
    """
    folder.mkdir(parents=True, exist_ok=True)
    learner = (line for row in references("dev", 0) for line in row)
    web = gzip.open(data("ud-english-ewt/en_ewt-ud-train.conllu.gz"), "rt").read()  # noqa: SIM115
    kinds = (_wikipedia(), _web(web), _mail(), _captions(), _novel(), learner)
    held = {line for row in references("dev", 1) for line in row}
    lines = [line for kind in kinds for line in _kept(kind) if line not in held]
    random.Random(0).shuffle(lines)
    (folder / "training.txt").write_text("\n".join(lines) + "\n")
    (folder / "validation.txt").write_text("\n".join(sorted(held)) + "\n")
    web = data("ud-english-ewt/en_ewt-ud-dev.conllu").read_text()
    (folder / "test.txt").write_text("\n".join(_kept(_web(web))) + "\n")
    return folder
