"""Models that tag a word by itself, or by those about it: by hand, and on rules they can learn."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch

from recurra.models.packed_texts import packed_texts, unpacked_texts
from recurra.models.words import FrequentTags, WindowTagger, _shape
from recurra_runtime.vocabulary import Ids

Data = tuple[list[list[str]], list[Ids]]


def numbered(*pairs: tuple[str, list[int]]) -> Data:
    return [text.split() for text, _ in pairs], [np.array(tags) for _, tags in pairs]


def test_a_known_word_has_its_own_tag() -> None:
    fitted = FrequentTags.fit(*numbered(("a b a", [0, 1, 0]), ("a", [1])), 2)
    (logs,) = fitted.log_probabilities([["a", "b"]])
    # All: 2 of 0, 2 of 1. Of "a" (3 times: 2 and 1), which is its own end, first that end.
    everywhere = (2 + 0.5) / 5
    end = (2 + everywhere) / 4
    assert logs[0, 0] == pytest.approx(math.log((2 + end) / 4))
    assert np.exp(logs).sum(1) == pytest.approx([1, 1])
    assert logs.argmax(1).tolist() == [0, 1]


def test_an_unknown_word_is_told_by_its_end() -> None:
    fitted = FrequentTags.fit(*numbered(("going doing cats dogs", [1, 1, 2, 2])), 3)
    (logs,) = fitted.log_probabilities([["seeing", "birds", "xyz"]])
    assert logs.argmax(1).tolist()[:2] == [1, 2]
    assert logs[2, 1] == logs[2, 2] > logs[2, 0]  # as all words together


def test_ends_are_those_of_rare_words() -> None:
    often = [("the", [0])] * 20
    fitted = FrequentTags.fit(*numbered(*often, ("lathe", [1])), 2)
    (logs,) = fitted.log_probabilities([["bathe"]])
    assert logs[0].argmax() == 1
    assert "the" in fitted.words
    assert fitted.ends["the"].tolist() == [0, 1]


def context(number: int, seed: int) -> Data:
    """The tag of a word is told by the word before it alone."""
    draw = random.Random(seed)
    found: list[tuple[str, list[int]]] = []
    for _ in range(number):
        words, tags = ["a"], [0]
        for _ in range(draw.randint(2, 6)):
            before = words[-1]
            words.append(draw.choice("abcd"))
            tags.append("abcd".index(before))
        found.append((" ".join(words), tags))
    return numbered(*found)


def test_a_window_reads_the_words_beside() -> None:
    train, held = context(300, 0), context(100, 1)
    fitted = WindowTagger.fit(*train, held, 4)
    said = np.concatenate([logs.argmax(1) for logs in fitted.log_probabilities(held[0])])
    alone = FrequentTags.fit(*train, 4).log_probabilities(held[0])
    wanted = np.concatenate(held[1])
    assert (said == wanted).mean() > 0.95
    assert (np.concatenate([logs.argmax(1) for logs in alone]) == wanted).mean() < 0.6
    assert np.exp(np.concatenate(fitted.log_probabilities(held[0]))).sum(1) == pytest.approx(1)


def test_what_is_seen_once_is_left_out() -> None:
    fitted = WindowTagger.fit(*numbered(("ab zq ab", [0, 1, 0])), context(1, 0), 4)
    assert "0 ab" in fitted.names
    assert not any("zq" in name for name in fitted.names)


def test_its_gradient_is_that_of_the_cross_entropy() -> None:
    """One step of Adagrad moves each number by the rate, against the sign of its slope."""
    from recurra.models import words

    sentences, tags = context(4, 2)
    names = sorted(words._counted(sentences))
    model = WindowTagger(names, torch.zeros(len(names), 4), torch.zeros(4))
    read = model._read(sentences)
    weight = torch.zeros(len(names), 4, requires_grad=True)
    scores = words._scores(*read, weight, torch.zeros(4))
    torch.nn.functional.cross_entropy(scores, torch.from_numpy(np.concatenate(tags))).backward()
    squares = torch.zeros_like(model.weight), torch.zeros(4)
    words._one_pass(model, squares, read, torch.from_numpy(np.concatenate(tags)))
    assert weight.grad is not None
    torch.testing.assert_close(squares[0], weight.grad.square())
    sure = weight.grad.abs() > 1e-6  # of what rounding leaves, the sign says nothing
    assert float(sure.double().mean()) > 0.7
    torch.testing.assert_close(model.weight[sure], -words._RATE * weight.grad[sure].sign())


def test_nobody_elses_draws_change() -> None:
    torch.manual_seed(3)
    WindowTagger.fit(*context(20, 0), context(5, 1), 4)
    after = torch.rand(1)
    torch.manual_seed(3)
    assert torch.rand(1).equal(after)


@pytest.mark.parametrize("kind", [FrequentTags, WindowTagger])
def test_kept_in_arrays(kind: type[FrequentTags] | type[WindowTagger]) -> None:
    train = context(30, 0)
    more = () if kind is FrequentTags else (train,)
    fitted = kind.fit(*train, *more, 4)  # type: ignore[call-overload]
    again = kind.from_arrays(fitted.arrays())
    read = [["a", "new", "d"], []]
    for one, other in zip(
        fitted.log_probabilities(read), again.log_probabilities(read), strict=True
    ):
        assert one.tolist() == other.tolist()
        assert one.shape == (len(one), 4)


def test_texts_in_bytes() -> None:
    for texts in ([], [""], ["a", "", "ß\n\0", "\ud800", "x" * 300]):
        assert unpacked_texts(packed_texts(texts)) == texts


@pytest.mark.parametrize(
    ("word", "shape"),
    [("Anna", "Xx"), ("U.S.", "X.X."), ("1,000", "0.0"), ("e-mail", "x.x"), ("", "")],
)
def test_shapes(word: str, shape: str) -> None:
    assert _shape(word) == shape
