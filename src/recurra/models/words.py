"""Rivals of recurrence that tag words: one looks at a word alone, one at its neighbors too."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from recurra.models.packed_texts import packed_texts, unpacked_texts
from recurra_runtime.vocabulary import Ids

__all__ = ["FrequentTags", "WindowTagger"]

Sentences = Sequence[Sequence[str]]
Logs = list[npt.NDArray[np.float64]]

_SUFFIX = 5  # letters of an end by which unknown words are told
_RARE = 10  # words seen up to so often tell of unknown ones
_WEIGHT = 1.0  # of what an end says, in words seen
_PASSES, _ROWS, _RATE, _TINY = 8, 64, 0.1, 1e-10  # of the window


class FrequentTags:
    r"""Each word has the tag it has most often; an unknown one that of words with its end.

    .. math:: p(k \mid w) = \frac{n_{w,k} + p(k \mid \text{end of } w)}{n_w + 1}

    The end is the longest of up to 5 letters that rare words of the training part have (Brants
    2000); what shorter ends say is added to it in the same way, down to the tags' frequencies.

    Args:
        words: how often each word has each tag, ``[tags]`` by word.
        ends: the same of ends of rare words; the empty one is of all words.
    """

    def __init__(self, words: Mapping[str, Ids], ends: Mapping[str, Ids]) -> None:
        self.words, self.ends = words, ends

    @classmethod
    def fit(cls, sentences: Sentences, tags: Sequence[Ids], size: int) -> Self:
        """From sentences and numbers of their tags, of so many."""
        words: dict[str, Ids] = defaultdict(lambda: np.zeros(size, np.int64))
        for sentence, own in zip(sentences, tags, strict=True):
            for word, tag in zip(sentence, own.tolist(), strict=True):
                words[word][tag] += 1
        ends: dict[str, Ids] = defaultdict(lambda: np.zeros(size, np.int64))
        ends[""] = sum(words.values(), np.zeros(size, np.int64))
        for word, counts in words.items():
            if counts.sum() <= _RARE:
                for length in range(1, min(_SUFFIX, len(word)) + 1):
                    ends[word[-length:]] += counts
        return cls(dict(words), dict(ends))

    def log_probabilities(self, sentences: Sentences) -> Logs:
        """``[words, tags]`` of each."""
        size = len(self.ends[""])
        known = {word: self._shares(word) for sentence in sentences for word in set(sentence)}
        return [
            np.log(np.array([known[word] for word in sentence]).reshape(-1, size))
            for sentence in sentences
        ]

    def _shares(self, word: str) -> npt.NDArray[np.float64]:
        size = len(self.ends[""])
        shares = np.full(size, 1 / size)
        ends = (word[len(word) - length :] for length in range(min(_SUFFIX, len(word)) + 1))
        for counts in (*map(self.ends.get, ends), self.words.get(word)):
            if counts is not None:
                shares = (counts + _WEIGHT * shares) / (counts.sum() + _WEIGHT)
        return shares

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All that it is."""
        found = {}
        for name, table in (("words", self.words), ("ends", self.ends)):
            found[name], found[f"{name}_counts"] = packed_texts(table), np.array([*table.values()])
        return found

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """What :meth:`arrays` gave."""
        tables = (
            dict(zip(unpacked_texts(arrays[name]), arrays[f"{name}_counts"], strict=True))
            for name in ("words", "ends")
        )
        return cls(*tables)


class WindowTagger:
    r"""Logistic regression on a word, its ends and beginnings, and the two words on either side.

    .. math:: z_t = b + \sum_{f \in F(w_{t-2} \dots w_{t+2})} W_f

    The features F of a word are itself, its beginnings of 1 to 3 letters and ends of 1 to 4, and
    its shape (capitals, digits, marks); of its neighbors themselves, their last 3 letters and their
    shape, and of those behind these themselves. Those seen once in training are left out; how often
    all of it is read is chosen on sentences that are not trained on.

    Args:
        names: of the features.
        weight: W ``[features, tags]``.
        bias: b ``[tags]``.
    """

    def __init__(self, names: Sequence[str], weight: Tensor, bias: Tensor) -> None:
        self.names, self.weight, self.bias = list(names), weight, bias
        self._numbers = {name: number for number, name in enumerate(names)}
        self._of: dict[tuple[int, str], list[int]] = {}

    @classmethod
    def fit(
        cls,
        sentences: Sentences,
        tags: Sequence[Ids],
        held: tuple[Sentences, Sequence[Ids]],
        size: int,
        *,
        seed: int = 0,
    ) -> Self:
        """The best of its passes.

        Args:
            sentences: of words.
            tags: numbers of their tags.
            held: sentences and tags to choose by.
            size: how many tags there are.
            seed: of every draw; nobody else's draws change.
        """
        names = sorted(name for name, count in _counted(sentences).items() if count > 1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = cls(names, torch.zeros(len(names), size), torch.zeros(size))
            read, wanted = model._read(sentences), torch.from_numpy(np.concatenate([*tags]))
            squares = torch.zeros_like(model.weight), torch.zeros_like(model.bias)
            best, kept = -1.0, (model.weight, model.bias)
            for _ in range(_PASSES):
                _one_pass(model, squares, read, wanted)
                right = _share_right(model, *held)
                if right > best:
                    best, kept = right, (model.weight.clone(), model.bias.clone())
            model.weight, model.bias = kept
        return model

    @torch.no_grad()
    def log_probabilities(self, sentences: Sentences) -> Logs:
        """``[words, tags]`` of each."""
        features, begins = self._read(sentences)
        scores = _scores(features, begins, self.weight, self.bias).double().log_softmax(1)
        sizes = [len(sentence) for sentence in sentences]
        return [part.numpy() for part in torch.split(scores, sizes)]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All that it is."""
        return {
            "names": packed_texts(self.names),
            "weight": self.weight.numpy(),
            "bias": self.bias.numpy(),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """What :meth:`arrays` gave."""
        weight, bias = (torch.from_numpy(arrays[name].copy()) for name in ("weight", "bias"))
        return cls(unpacked_texts(arrays["names"]), weight, bias)

    def _read(self, sentences: Sentences) -> tuple[Tensor, Tensor]:
        """Numbers of the features of all words, and where each word's begin."""
        found = [
            [number for place, near in window for number in self._features(place, near)]
            for sentence in sentences
            for window in _windows(sentence)
        ]
        sizes = torch.tensor([len(features) for features in found], dtype=torch.int64)
        flat = torch.tensor([n for features in found for n in features], dtype=torch.int64)
        return flat, sizes.cumsum(0) - sizes

    def _features(self, place: int, word: str) -> list[int]:
        found = self._of.get((place, word))
        if found is None:
            named = map(self._numbers.get, _named(place, word))
            found = self._of[place, word] = [number for number in named if number is not None]
        return found


def _windows(sentence: Sequence[str]) -> Iterator[list[tuple[int, str]]]:
    """For each word the words about it, and where they stand."""
    edged = ["", "", *sentence, "", ""]
    return (
        [(place, edged[at + 2 + place]) for place in range(-2, 3)] for at in range(len(sentence))
    )


def _named(place: int, word: str) -> Iterator[str]:
    """Names of the features of a word at a place of the window."""
    yield f"{place} {word.lower()}"
    if abs(place) == 2:
        return
    yield f"{place} shape {_shape(word)}"
    ends = range(1, min(4, len(word)) + 1) if place == 0 else (3,)
    yield from (f"{place} -{word[-length:]}" for length in ends)
    if place == 0:
        yield from (f"0 {word[:length]}-" for length in range(1, min(3, len(word)) + 1))


def _shape(word: str) -> str:
    """Kinds of letters, each run of a kind once: ``Xx`` of "Anna", ``X.X.`` of "U.S."."""
    kinds = (
        "X" if letter.isupper() else "x" if letter.isalpha() else "0" if letter.isdigit() else "."
        for letter in word
    )
    found = ""
    for kind in kinds:
        found += kind if not found.endswith(kind) else ""
    return found


def _counted(sentences: Sentences) -> Counter[str]:
    """How often each feature occurs."""
    seen = Counter(
        pair for sentence in sentences for window in _windows(sentence) for pair in window
    )
    counts: Counter[str] = Counter()
    for (place, word), count in seen.items():
        for name in _named(place, word):
            counts[name] += count
    return counts


def _scores(features: Tensor, begins: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    found: Tensor = nn.functional.embedding_bag(features, weight, begins, mode="sum")
    return found + bias


def _one_pass(
    model: WindowTagger, squares: tuple[Tensor, Tensor], read: tuple[Tensor, Tensor], wanted: Tensor
) -> None:
    """Adagrad (Duchi et al. 2011), of the features alone that some words have."""
    features, begins = read
    ends = torch.cat([begins[1:], torch.tensor([len(features)])])
    for chosen in torch.split(torch.randperm(len(wanted)), _ROWS):
        sizes = ends[chosen] - begins[chosen]
        starts = sizes.cumsum(0) - sizes
        places = torch.arange(int(sizes.sum())) + (begins[chosen] - starts).repeat_interleave(sizes)
        wrong = _scores(features[places], starts, model.weight, model.bias).softmax(1)
        wrong[torch.arange(len(chosen)), wanted[chosen]] -= 1
        wrong /= len(chosen)
        some, at = torch.unique(features[places], return_inverse=True)
        slope = wrong.new_zeros(len(some), wrong.shape[1])
        slope.index_add_(0, at, wrong.repeat_interleave(sizes, dim=0))
        total = squares[0][some] + slope.square()
        squares[0][some] = total
        model.weight[some] -= _RATE * slope / (total.sqrt() + _TINY)
        slope = wrong.sum(0)
        squares[1].add_(slope.square())
        model.bias -= _RATE * slope / (squares[1].sqrt() + _TINY)


def _share_right(model: WindowTagger, sentences: Sentences, tags: Sequence[Ids]) -> float:
    said = np.concatenate([logs.argmax(1) for logs in model.log_probabilities(sentences)])
    return float((said == np.concatenate([*tags])).mean())
