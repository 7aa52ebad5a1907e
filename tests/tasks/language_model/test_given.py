"""Validation and test that have files of their own, and how often a source is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from recurra.data import Document, Documents, divide
from recurra.errors import DataError
from recurra.pipeline.ngrams import fit_ngrams
from recurra.tasks.language_model import Corpus, DataSettings, compare_encoded, prepare

TEXT = "the cat sat on the mat\nthe dog ran off\nno bird sang at noon\n" * 60


def perplexities(corpus: Corpus) -> list[float]:
    ngrams = fit_ngrams(corpus.parts["training"].documents(), corpus.vocabulary)
    part = corpus.parts["test"]
    return [row.perplexity for row in compare_encoded(ngrams, part.documents(), part.characters)]


@pytest.mark.parametrize("vocabulary", ["characters", "words", "bytes"])
def test_three_files_are_the_joined_text(tmp_path: Path, vocabulary: str) -> None:
    how = {"vocabulary": vocabulary, "split": "tail"}
    whole = vocabulary == "words"
    for part, document in divide([Document(TEXT, "it")], [len(TEXT)], whole_words=whole):
        with open(tmp_path / f"{part}.txt", "a") as file:
            file.write(document.text)
    joined = prepare([TEXT], DataSettings(**how), tmp_path / "joined")
    files = {name: str(tmp_path / f"{name}.txt") for name in ("validation", "test")}
    training = [(tmp_path / "training.txt").read_text()]
    given = prepare(training, DataSettings(**how, **files), tmp_path / "given")
    assert given.vocabulary.to_json() == joined.vocabulary.to_json()
    for name, part in joined.parts.items():
        assert np.array_equal(part.ids, given.parts[name].ids)
    assert perplexities(given) == perplexities(joined)


def test_what_overlaps_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recurra.data.readers._CHUNK", 16)  # lines are cut by pieces
    (tmp_path / "test.txt").write_text("the dog ran off\n\nsomething else here\nthe dog ran off\n")
    data = DataSettings(test=str(tmp_path / "test.txt"))
    corpus = prepare([TEXT], data, tmp_path / "ids")
    assert corpus.known == {"test": (2, 1)}
    assert "of the 2 different lines of test 1 are in the training text" in corpus.sizes(100)
    assert "different lines" not in prepare([TEXT], DataSettings(), tmp_path / "ids").sizes(100)


def test_only_the_training_text_makes_the_vocabulary(tmp_path: Path) -> None:
    for name in ("test", "validation"):
        (tmp_path / f"{name}.txt").write_text("the cat sat on Q\n" * 9)
    files = {name: str(tmp_path / f"{name}.txt") for name in ("validation", "test")}
    corpus = prepare(["the cat sat on"], DataSettings(**files), tmp_path / "ids")
    assert "Q" not in str(corpus.vocabulary.to_json())
    assert corpus.parts["test"].header.unknown > 0
    assert corpus.parts["training"].count == 15  # and nothing of it is set apart


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.txt: no such file"):
        prepare([TEXT], DataSettings(test=str(tmp_path / "gone.txt")), tmp_path / "ids")


@pytest.mark.parametrize(
    "how", [{}, {"conditions": ["kind"]}, {"distinct": True}, {"vocabulary": "words"}]
)
def test_a_source_is_read_once(tmp_path: Path, how: dict[str, object]) -> None:
    readings = 0

    def read() -> Iterator[Document]:
        nonlocal readings
        readings += 1
        for number in range(40):
            fields = {"kind": "even" if number % 2 == 0 else "odd", "other": object()}
            yield Document(f"text \ud800 {number} " * 9, f"row {number}", fields)

    corpus = prepare(Documents("it", read), DataSettings(**how), tmp_path / "ids")  # type: ignore[arg-type]
    assert readings == 1
    left = {part.name.removesuffix(".json") for part in (tmp_path / "ids").iterdir()}
    assert left == {f"{name}.ids" for name in corpus.parts}  # and no text
