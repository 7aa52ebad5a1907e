"""Byte pairs: pieces that a library finds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra_runtime.vocabulary import (
    END,
    RESERVED,
    START,
    UNKNOWN,
    BytePairVocabulary,
    MissingLibraryError,
    vocabulary_from_json,
)

PAIR_TEXTS = ["the cat sat on the mat, the cat sat.\n", "été: the hat and the cat 😀\n"] * 20


@pytest.fixture(scope="module")
def pairs() -> BytePairVocabulary:
    pytest.importorskip("tokenizers", reason="the extra `tokens` is not installed")
    return BytePairVocabulary.of(iter(PAIR_TEXTS), 280)


def test_byte_pairs_by_hand(pairs: BytePairVocabulary) -> None:
    assert len(pairs) == 280
    shown = [pairs.symbol(i) for i in pairs.encode("the cat sat")]
    assert shown == ["the", " cat", " sat"]
    assert pairs.encode("the").dtype == np.int64
    assert pairs.encode("").tolist() == []
    assert [pairs.symbol(i) for i in range(3)] == list(RESERVED)
    assert "0xff" in [pairs.symbol(i) for i in range(len(pairs))]
    assert pairs.decode([START, *pairs.encode("été"), UNKNOWN, END]) == "été"
    assert len(BytePairVocabulary.of(PAIR_TEXTS, 259)) == 259
    # Little text has fewer pairs than were asked for.
    assert 259 < len(BytePairVocabulary.of("ab ab ab", 400)) < 270


def test_bytes_of_byte_pairs(pairs: BytePairVocabulary) -> None:
    raw = [pairs.raw(i) for i in range(len(pairs))]
    assert raw[:3] == [b"", b"", b""]
    assert sorted(each for each in raw[3:] if len(each) == 1) == [bytes([n]) for n in range(256)]
    for each, shown in zip(raw[3:], [pairs.symbol(i) for i in range(3, len(pairs))], strict=True):
        assert shown.encode() == each or bytes.fromhex(shown[2:]) == each
    assert [pairs.raw(int(i)) for i in pairs.encode("the cat")] == [b"the", b" cat"]


def test_byte_pairs_are_the_same_every_time(pairs: BytePairVocabulary) -> None:
    assert BytePairVocabulary.of(PAIR_TEXTS, 280).to_json() == pairs.to_json()


def test_reserved_names_in_a_text_are_text(pairs: BytePairVocabulary) -> None:
    ids = pairs.encode("<s>the</s><unk>")
    assert min(ids) >= len(RESERVED)
    assert pairs.decode(ids) == "<s>the</s><unk>"


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.sampled_from("the catsé😀\n\t <>\0\u3000"), max_size=30) | st.text())
def test_byte_pairs_round_trip(pairs: BytePairVocabulary, text: str) -> None:
    ids = pairs.encode(text)
    assert pairs.decode(ids) == text
    write = pairs.writer()
    assert "".join(write(int(i)) for i in ids) == text
    assert b"".join(pairs.raw(int(i)) for i in ids) == text.encode()
    assert all(len(RESERVED) <= i < len(pairs) for i in ids)


def test_byte_pairs_of_a_lone_surrogate(pairs: BytePairVocabulary) -> None:
    assert pairs.decode(pairs.encode("a\ud800b")) == "a\ufffdb"
    assert len(BytePairVocabulary.of(["a\ud800b"], 300)) >= 259


def test_byte_pairs_from_json(pairs: BytePairVocabulary) -> None:
    told = json.dumps(pairs.to_json(), sort_keys=True)
    back = vocabulary_from_json(json.loads(told))
    assert isinstance(back, BytePairVocabulary)
    for text in PAIR_TEXTS[:2]:
        assert back.encode(text).tolist() == pairs.encode(text).tolist()
    assert back.to_json() == pairs.to_json()


def test_an_error_of_the_texts_comes_through(pairs: BytePairVocabulary) -> None:
    def texts() -> Iterator[str]:
        yield "fine"
        raise LookupError("line 7 is broken")

    with pytest.raises(LookupError, match="line 7 is broken"):
        BytePairVocabulary.of(texts(), 300)


@pytest.mark.parametrize("size", [-1, 0, 258])
def test_more_byte_pairs_than_asked_for_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"size of at least 259, .* got {size}"):
        BytePairVocabulary.of(PAIR_TEXTS, size)


def test_tokenizers_of_another_kind_are_refused(pairs: BytePairVocabulary) -> None:
    def changed(**fields: Any) -> dict[str, Any]:
        return {**pairs.to_json()["tokenizer"], **fields}

    model = changed()["model"]
    special = {"id": 277, "content": "<eot>", "special": True}
    flags = dict.fromkeys(["single_word", "lstrip", "rstrip", "normalized"], False)
    cut = {"max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    gap = {piece: index + (index == 276) for piece, index in model["vocab"].items()}
    empty = {"" if index == 276 else piece: index for piece, index in model["vocab"].items()}
    few = {piece: index for piece, index in model["vocab"].items() if index < 200}
    BytePairVocabulary(changed())
    for data, message in [
        (changed(added_tokens=[{**special, **flags}]), "got another"),
        (changed(truncation=cut), "got another"),
        (changed(model={**model, "vocab": gap}), "got another"),
        (changed(model={**model, "vocab": few, "merges": []}), "got another"),
        (changed(model={**model, "vocab": empty, "merges": []}), "got another"),
        (changed(model={"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}), "got another"),
        (changed(model=None), r"expected a tokenizer's JSON \("),
        ({}, r"expected a tokenizer's JSON \("),
    ]:
        with pytest.raises(ValueError, match=message):
            BytePairVocabulary(data)


def test_byte_pairs_without_their_library(
    pairs: BytePairVocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = pairs.to_json()
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    for make in (lambda: BytePairVocabulary.of(["a"], 300), lambda: vocabulary_from_json(told)):
        with pytest.raises(MissingLibraryError, match=r"the library tokenizers.*recurra\[tokens\]"):
            make()


def test_the_library_of_byte_pairs_is_loaded_only_when_used() -> None:
    code = "import sys, recurra_runtime.vocabulary; print('tokenizers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_byte_pair_ids_out_of_range(pairs: BytePairVocabulary) -> None:
    for index in (-1, 280):
        with pytest.raises(ValueError, match=f"expected 0 to 279, got {index}"):
            pairs.decode([3, index])
        with pytest.raises(ValueError, match=f"expected 0 to 279, got {index}"):
            pairs.symbol(index)
        with pytest.raises(ValueError, match=f"expected 0 to 279, got {index}"):
            pairs.raw(index)
