"""N-grams that a run keeps beside its model."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from recurra.data import CharacterVocabulary
from recurra.errors import ArtifactError
from recurra.models import AddK, KneserNey, NGram
from recurra.pipeline.ngrams import read_ngrams, write_ngrams

VOCABULARY = CharacterVocabulary("abc")


def bigrams() -> dict[str, NGram]:
    documents = [VOCABULARY.encode(text) for text in ("abcabc", "abab", "c")]
    size, start, end = len(VOCABULARY), 1, 2
    return {
        "bigram": NGram.fit(
            documents, order=2, vocabulary_size=size, start=start, end=end, smoothing=KneserNey()
        ),
        "3-gram": NGram.fit(
            documents, order=3, vocabulary_size=size, start=start, end=end, smoothing=AddK(0.5)
        ),
    }


def test_ngrams_score_the_same_after_they_are_saved(tmp_path: Path) -> None:
    written = bigrams()
    write_ngrams(tmp_path, written)
    read = read_ngrams(tmp_path)
    assert list(read) == list(written) == ["bigram", "3-gram"]  # the file has no order
    texts = [VOCABULARY.encode(text) for text in ("abcab", "", "ca", "x")]
    for name, ngram in written.items():
        assert read[name].total(texts) == ngram.total(texts)  # to the last bit


def test_a_folder_without_ngrams_has_none(tmp_path: Path) -> None:
    assert read_ngrams(tmp_path) == {}


def cut(raw: bytes) -> bytes:
    return raw[: len(raw) // 2]


def without_a_part(raw: bytes) -> bytes:
    arrays = safetensors.numpy.load(raw)
    del arrays["bigram/counts.2"]
    return safetensors.numpy.save(arrays)


def of_another_shape(raw: bytes) -> bytes:
    arrays: dict[str, Any] = safetensors.numpy.load(raw)
    arrays["bigram/counts.2"] = np.concatenate([arrays["bigram/counts.2"]] * 2)
    return safetensors.numpy.save(arrays)


@pytest.mark.parametrize("summed", [False, True], ids=["", "with its checksum"])
@pytest.mark.parametrize(
    "damage", [cut, without_a_part, of_another_shape, lambda raw: b"", lambda raw: b"{}" * 20]
)
def test_damaged_ngrams_are_refused(
    damage: Callable[[bytes], bytes], summed: bool, tmp_path: Path
) -> None:
    write_ngrams(tmp_path, bigrams())
    file = tmp_path / "ngrams.safetensors"
    raw = damage(file.read_bytes())
    file.write_bytes(raw)
    if summed:
        sums = {"sha256": hashlib.sha256(raw).hexdigest()}
        (tmp_path / "ngrams.json").write_text(json.dumps(sums))
    with pytest.raises(ArtifactError, match="damaged") as problem:
        read_ngrams(tmp_path)
    assert ("checksum" in str(problem.value)) is not summed


@pytest.mark.parametrize("text", ["", "[]", "{}", "3", '{"sha256": 3}', "\xff"])
def test_a_damaged_checksum_of_ngrams_is_refused(text: str, tmp_path: Path) -> None:
    write_ngrams(tmp_path, bigrams())
    (tmp_path / "ngrams.json").write_text(text, encoding="latin-1")
    with pytest.raises(ArtifactError, match=r"ngrams\.safetensors: damaged"):
        read_ngrams(tmp_path)


def test_a_checkpoint_has_the_ngrams_of_its_run(tmp_path: Path) -> None:
    write_ngrams(tmp_path, bigrams())
    assert list(read_ngrams(tmp_path / "checkpoints" / "000001")) == ["bigram", "3-gram"]
    assert read_ngrams(tmp_path / "checkpoints") == {}
    for elsewhere in ("attic", "zoo"):
        assert read_ngrams(tmp_path / elsewhere / "000001") == {}


def test_the_simplest_ngram_comes_first_whatever_its_name(tmp_path: Path) -> None:
    first, second = bigrams().values()
    write_ngrams(tmp_path, {"a": second, "b": first})
    assert list(read_ngrams(tmp_path)) == ["b", "a"]


def test_a_flipped_bit_in_the_ngrams_is_seen(tiny_run: Any, tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(tiny_run.path, path)
    assert set(read_ngrams(path)) == {"bigram", "5-gram"}
    file = path / "ngrams.safetensors"
    raw = bytearray(file.read_bytes())
    raw[-3] ^= 1
    file.write_bytes(raw)
    with pytest.raises(ArtifactError, match="checksum"):
        read_ngrams(path)
    file.unlink()
    with pytest.raises(ArtifactError, match="must both be files"):
        read_ngrams(path)
