"""What a run holds, what is given beside a text, and symbols that nobody knows."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pipeline.toys import ngram, recurrent, vocabularies

from recurra import artifact
from recurra.errors import ArtifactError, SettingError, UnknownWarning
from recurra.models import LanguageModel, NGram
from recurra.pipeline import TextModel, given_conditions, open_text_model
from recurra.pipeline.ngrams import write_ngrams
from recurra_runtime.vocabulary import CharacterVocabulary, LabelVocabulary

VOCABULARIES = vocabularies()


def test_the_models_of_a_run(tiny_run: Any) -> None:
    own = open_text_model(tiny_run.path)
    assert isinstance(own.model, LanguageModel)
    assert open_text_model(tiny_run.path, model="lstm").name == own.name == "lstm"
    for name, order in (("bigram", 2), ("5-gram", 5)):
        found = open_text_model(tiny_run.path, model=name)
        assert isinstance(found.model, NGram)
        assert (found.name, found.model.order) == (name, order)
        assert len(found.vocabulary) == found.model.vocabulary_size


def test_a_model_that_the_run_does_not_have(tiny_run: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"no '5gram'; did you mean '5-gram'\? Known: 5-gram, "):
        open_text_model(tiny_run.path, model="5gram")
    checkpoint = artifact.load(tiny_run.path).path
    assert open_text_model(checkpoint, model="bigram").name == "bigram"
    shutil.copytree(checkpoint, tmp_path / "alone")
    with pytest.raises(SettingError, match="no 'bigram'; Known: lstm"):
        open_text_model(tmp_path / "alone", model="bigram")


def test_ngrams_of_another_vocabulary(tiny_run: Any, tmp_path: Path) -> None:
    shutil.copytree(tiny_run.path, tmp_path / "run")
    other = ngram(CharacterVocabulary("ab"), 2, "ab").model
    assert isinstance(other, NGram)
    write_ngrams(tmp_path / "run", {"bigram": other})
    with pytest.raises(ArtifactError, match="bigram counts 5 symbols"):
        open_text_model(tmp_path / "run", model="bigram")


def test_conditions_in_words() -> None:
    assert given_conditions([]) == {}
    told = given_conditions(["topic=war", "author=Leo = Tolstoy", "mood="])
    assert told == {"topic": "war", "author": "Leo = Tolstoy", "mood": ""}


@pytest.mark.parametrize("words", [["topic"], ["=war"], [""], ["topic=war", "topic=art"]])
def test_conditions_that_are_none(words: list[str]) -> None:
    with pytest.raises(SettingError, match="given: "):
        given_conditions(words)


def test_rows_begin_with_what_is_given() -> None:
    labels = {"topic": LabelVocabulary(["art", "war"]), "mood": LabelVocabulary(["sad"])}
    sizes = {name: len(each) for name, each in labels.items()}
    made = recurrent(CharacterVocabulary("ab"), conditions=sizes).model
    model = TextModel(made, CharacterVocabulary("ab"), "lstm", labels)
    assert model.conditions == ("topic", "mood")
    state = model.start(3, {"mood": "sad", "topic": "war"})
    assert torch.equal(state.given, torch.tensor([[4, 3]] * 3))


@pytest.mark.parametrize(
    ("name", "text", "unknown"),
    [
        ("characters", "the \u2603 cat \u2603 z", ["z", "\u2603"]),
        ("bytes", "\u2603", []),
        ("byte-pairs", "\u2603", []),
        ("words", "the zebra, the mats", ["mats", "zebra"]),
        ("lower words", "THE Zebra", ["zebra"]),
    ],
)
def test_what_the_model_has_never_seen(name: str, text: str, unknown: list[str]) -> None:
    model = ngram(VOCABULARIES[name], 2)
    assert model.unknown(text) == unknown
    if not unknown:
        assert model.encode(text) == model.vocabulary.encode(text).tolist()
        return
    with pytest.warns(UnknownWarning) as warned:
        assert model.encode(text) == model.vocabulary.encode(text).tolist()
    said = str(warned[0].message)
    assert ", ".join(map(repr, unknown)) in said
    assert ("data.vocabulary=bytes" in said) == (name == "characters")


@pytest.mark.parametrize(
    ("name", "after", "ids", "written"),
    [
        ("words", "the cat", "sat on", " sat on"),
        ("words", "the cat ", "sat on", "sat on"),
        ("words", "the cat", ", and", ", and"),
        ("words", "", "the cat", "the cat"),
        ("words", "(", "the", "the"),
        ("words", "the\n", "the", "the"),
        ("characters", "the cat", "sat on", "sat on"),
        ("byte-pairs", "the cat", " sat on", " sat on"),
    ],
)
def test_the_space_between(name: str, after: str, ids: str, written: str) -> None:
    model = ngram(VOCABULARIES[name], 2)
    write = model.writer(after)
    assert "".join(write(index) for index in model.vocabulary.encode(ids).tolist()) == written
