"""Text in, text out: what a writer reads, draws, leaves out and refuses."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from pipeline.toys import ngram, vocabularies

import recurra
from recurra import artifact
from recurra.data import ByteVocabulary, CharacterVocabulary
from recurra.errors import ArtifactError, DataError, SettingError, UnknownWarning
from recurra.models import LanguageModel, LanguageModelConfig, NGram
from recurra.pipeline import TextModel, Writer, score_lines, writing
from recurra_runtime.vocabulary import END, START, UNKNOWN, LabelVocabulary, WordVocabulary


@pytest.fixture(scope="module")
def writer(tiny_run: Any) -> Writer:
    return Writer(tiny_run.path)


def saved(path: Path, vocabulary: Any, favorite: int, seed: int = 0) -> Path:
    """An artifact that nearly always predicts one symbol."""
    torch.manual_seed(seed)
    config = LanguageModelConfig(hidden_size=4, layers=1, vocabulary_size=len(vocabulary))
    model = LanguageModel(config)
    with torch.no_grad():
        model.head.projection.bias[favorite] = 50.0  # type: ignore[index,union-attr]
    artifact.save(path, model, {"text": vocabulary}, "language-model")
    return path


def test_the_same_seed_writes_the_same_text(writer: Writer) -> None:
    first, second, other = ("".join(writer.write("anna ", seed=s, limit=200)) for s in (5, 5, 6))
    assert first == second != other
    assert len(first) == 200


def test_without_a_seed_it_follows_the_one_of_torch(writer: Writer) -> None:
    torch.manual_seed(1)
    first = "".join(writer.write(limit=100))
    second = "".join(writer.write(limit=100))
    torch.manual_seed(1)
    assert first == "".join(writer.write(limit=100)) != second


def test_it_writes_like_what_it_read(writer: Writer, tiny_run: Any) -> None:
    words = set(tiny_run.text.replace(".", " ").split())
    text = "".join(writer.write("anna ", temperature=0.3, seed=0, limit=300))
    written = text.replace(".", " ").split()[1:-1]
    assert sum(word in words for word in written) > 0.8 * len(written)


def test_the_prompt_is_read(writer: Writer) -> None:
    assert "".join(writer.write("my o", temperature=0, limit=2)) == "wl"
    assert "".join(writer.write("the c", temperature=0, limit=2)) == "at"


def test_the_prompt_is_not_written_again(writer: Writer) -> None:
    assert not "".join(writer.write("anna sees", temperature=0, limit=20)).startswith("anna")


def test_an_empty_prompt_starts_a_document(writer: Writer) -> None:
    text = "".join(writer.write("", temperature=0.2, seed=0, limit=8))
    assert text.split()[0] in {"anna", "the", "a", "my"}


def test_pieces_come_one_by_one(writer: Writer) -> None:
    pieces = writer.write("a", seed=0, limit=10**9)
    assert isinstance(pieces, Iterator)
    assert all(len(next(pieces)) == 1 for _ in range(5))


@pytest.mark.parametrize("limit", [0, 1, 17])
def test_the_limit_counts_symbols(writer: Writer, limit: int) -> None:
    assert len("".join(writer.write(seed=0, limit=limit))) == limit


def test_unknown_characters_of_a_prompt_are_told_at_once(writer: Writer) -> None:
    with pytest.warns(UnknownWarning) as warned:
        writer.write("anna ☃ Ω ☃")
    said = str(warned[0].message)
    assert said.count("☃") == 1
    assert "'Ω', '☃'" in said
    assert "data.vocabulary=bytes" in said


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_k": 0},
        {"limit": -1},
        {"seed": 2**63},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused_at_once(writer: Writer, wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=f"{next(iter(wrong))}"):
        writer.write("a", **wrong)


@pytest.mark.parametrize("temperature", [0.0, 1e-300, 1e-50, 1e-5, 1e5, 1e300])
def test_odd_temperatures_still_write(writer: Writer, temperature: float) -> None:
    text = "".join(writer.write("anna ", temperature=temperature, seed=0, limit=30))
    greedy = "".join(writer.write("anna ", temperature=0, limit=30))
    assert (text == greedy) == (temperature < 1e-2)


@pytest.mark.parametrize("how", [{"top_k": 1}, {"top_p": 1e-9}, {"temperature": 0}], ids=str)
def test_several_texts_are_drawn_as_one_is(writer: Writer, how: dict[str, Any]) -> None:
    greedy = "".join(writer.write("anna ", temperature=0, limit=30))
    assert writer.write_several("anna ", limit=30, seed=1, **how) == [greedy] * 3
    assert writer.write_several("anna ", limit=30, seed=1) != [greedy] * 3


def test_texts_are_of_500_symbols_unless_told(tmp_path: Path) -> None:
    vocabulary = CharacterVocabulary("ab")
    writer = Writer(saved(tmp_path / "model", vocabulary, len(vocabulary) - 1))
    assert "".join(writer.write(seed=0)) == "b" * 500
    assert writer.write_several(count=1, seed=0) == ["b" * 500]
    assert [found.text for found in writer.search(width=1)] == ["b" * 500]


def test_top_k_of_one_is_the_likeliest(writer: Writer) -> None:
    first = "".join(writer.write("anna ", top_k=1, seed=0, limit=30))
    assert first == "".join(writer.write("anna ", temperature=0, limit=30))


def test_the_end_symbol_ends_and_is_not_written(tmp_path: Path) -> None:
    path = saved(tmp_path / "a", CharacterVocabulary("ab"), END)
    assert "".join(Writer(path).write("ab", seed=0)) == ""


@pytest.mark.parametrize("never", [UNKNOWN, START])
def test_reserved_symbols_are_never_written(never: int, tmp_path: Path) -> None:
    path = saved(tmp_path / "a", CharacterVocabulary("ab"), never)
    texts = ["".join(Writer(path).write("ab", seed=seed)) for seed in range(20)]
    assert set("".join(texts)) == {"a", "b"}


def test_a_character_of_many_bytes_appears_with_its_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabulary = ByteVocabulary()
    path = saved(tmp_path / "a", vocabulary, END)
    drawn = vocabulary.encode("ü☃ 日").tolist()
    monkeypatch.setattr(writing, "generate", lambda *args, **settings: iter(drawn))
    assert list(Writer(path).write("ä")) == ["", "ü", "", "", "☃", " ", "", "", "日"]


def test_bytes_know_every_prompt(tmp_path: Path) -> None:
    path = saved(tmp_path / "a", ByteVocabulary(), 3 + ord("x"))
    assert "".join(Writer(path).write("日本\udcff", seed=0, limit=5)) == "xxxxx"


def test_bytes_that_are_no_character_become_a_mark(tmp_path: Path) -> None:
    vocabulary = ByteVocabulary()
    path = saved(tmp_path / "a", vocabulary, 3 + 0xFF)
    assert set("".join(Writer(path).write("a", seed=0, limit=5))) == {"\ufffd"}


def test_best_or_last(tiny_run: Any, tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(tiny_run.path, path)
    names = sorted(folder.name for folder in (path / "checkpoints").iterdir())
    (path / "best").write_text(names[0])
    (path / "last").write_text(names[-1])
    best, last = (
        "".join(Writer(path, which=which).write(seed=0, limit=500)) for which in ("best", "last")
    )
    checkpoint = Writer(path / "checkpoints" / names[-1])
    assert last == "".join(checkpoint.write(seed=0, limit=500)) != best


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="there is none"):
        Writer(tmp_path / "run")


# --------------------------------------------------------------------------- several and searched


def test_several_texts(writer: Writer) -> None:
    texts = writer.write_several("anna ", 4, seed=3, limit=30)
    assert len(set(texts)) == 4
    assert texts[0] == "".join(writer.write("anna ", seed=3, limit=30))
    assert writer.write_several("anna ", 2, seed=3, limit=30) == texts[:2]


def test_a_nucleus_of_nothing_is_the_likeliest(writer: Writer) -> None:
    greedy = "".join(writer.write("anna ", temperature=0, limit=30))
    assert "".join(writer.write("anna ", top_p=1e-9, seed=0, limit=30)) == greedy
    assert writer.write_several("anna ", 2, top_p=1e-9, limit=30) == [greedy, greedy]


def test_a_search_finds_what_is_likelier(writer: Writer) -> None:
    model = open_text_model_of(writer)
    found = writer.search("my owl ", width=16, count=3, limit=12)
    assert [each.score for each in found] == sorted((f.score for f in found), reverse=True)
    greedy = "".join(writer.write("my owl ", temperature=0, limit=12))
    (first,) = score_lines(model, ["my owl " + found[0].text], end=found[0].finished)
    (other,) = score_lines(model, ["my owl " + greedy], end=False)
    (before,) = score_lines(model, ["my owl "], end=False)
    assert first.log_prob - before.log_prob == pytest.approx(found[0].log_prob, abs=1e-4)
    assert found[0].log_prob >= other.log_prob - before.log_prob - 1e-4


def open_text_model_of(writer: Writer) -> TextModel:
    return TextModel(cast(LanguageModel, writer.model), writer.vocabulary)


def test_the_length_penalty_ranks(tmp_path: Path) -> None:
    # The end is likely at every step: alone, the empty text is the most probable.
    path = saved(tmp_path / "a", CharacterVocabulary("ab"), END)
    model = artifact.load(path).model
    with torch.no_grad():
        model.head.projection.bias[END] = 1.0
    writer = Writer(TextModel(model, CharacterVocabulary("ab")))
    (plain,) = writer.search(width=4, limit=6)
    (long,) = writer.search(width=4, limit=6, length_penalty=5.0)
    assert plain.text == ""
    assert plain.finished
    assert plain.score == plain.log_prob
    assert len(long.text) > 0
    assert long.score != long.log_prob


def test_what_a_search_cuts_off(tmp_path: Path) -> None:
    path = saved(tmp_path / "a", CharacterVocabulary("ab"), 3)
    (found,) = Writer(path).search("b", width=2, limit=5)
    assert (found.text, found.finished) == ("aaaaa", False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0},
        {"count": 0},
        {"width": 2, "count": 3},
        {"limit": 0},
        {"length_penalty": -1},
    ],
)
def test_searches_that_cannot_be(writer: Writer, wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        writer.search("a", **wrong)
    with pytest.raises(SettingError, match="count"):
        writer.write_several("a", 0)


def test_ngrams_write_too(tiny_run: Any) -> None:
    writer = Writer(tiny_run.path, model="5-gram")
    assert "".join(writer.write("my o", temperature=0, limit=2)) == "wl"
    assert writer.search("the c", width=4, limit=2)[0].text == "at"
    assert len(writer.write_several("the ", 3, limit=5)) == 3


def test_words_with_the_space_between() -> None:
    words = WordVocabulary(["the", "cat", "sat", "."])
    counted = NGram.fit(
        [words.encode("the cat sat.")], order=2, vocabulary_size=len(words), start=START, end=END
    )
    writer = Writer(TextModel(counted, words))
    assert "".join(writer.write("the", temperature=0)) == " cat sat."
    assert "".join(writer.write("the ", temperature=0)) == "cat sat."
    assert writer.search("the cat")[0].text == " sat."


def test_unknown_words_are_read_as_such() -> None:
    words = WordVocabulary(["the", "cat", "sat", "ran", "."])
    texts = [words.encode(text) for text in ("the cat sat.", "the <unk> ran.")]
    counted = NGram.fit(texts, order=3, vocabulary_size=len(words), start=START, end=END)
    writer = Writer(TextModel(counted, words))
    assert "".join(writer.write("the cat", temperature=0)) == " sat."
    for write in (writer.write, writer.write_on, writer.search):
        with pytest.warns(UnknownWarning, match="never seen 'dog', and reads it as <unk>$") as seen:
            write("the dog")
        assert seen[0].filename == __file__  # the line that asked
    with pytest.warns(UnknownWarning, match="never seen 'The', 'dog', 'so'"):
        assert "".join(writer.write("The dog so dog", temperature=0)) == " ran."
    with pytest.warns(UnknownWarning, match="'dog'"):
        assert "".join(writer.write("the dog", temperature=0)) == " ran."


def test_unknown_characters_too(tiny_run: Any) -> None:
    book = recurra.load(tiny_run.path)
    with pytest.warns(
        UnknownWarning, match="'\u2603', .* trained with data.vocabulary=bytes reads"
    ):
        assert book.generate("\u2603 my o", limit=2, temperature=0) == "wl"
    with pytest.warns(UnknownWarning, match="'\u2603'"):
        assert book.complete("\u2603 my o")[0].text == "owl"


def test_what_is_given_is_read() -> None:
    topics = LabelVocabulary(["art", "war"])
    letters = CharacterVocabulary("ab")
    torch.manual_seed(0)
    size, sizes = len(letters), {"topic": len(topics)}
    model = LanguageModel(
        LanguageModelConfig(hidden_size=4, vocabulary_size=size, conditions=sizes)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    writer = Writer(TextModel(model, letters, "lstm", {"topic": topics}))
    found = {}
    for topic in topics.labels:
        given = {"topic": topic}
        found[topic] = "".join(writer.write(seed=0, limit=40, given=given))
        assert writer.write_several(count=2, seed=0, limit=40, given=given)[0] == found[topic]
    art, war = (writer.search(given={"topic": t}, limit=5)[0].log_prob for t in topics.labels)
    assert art != war
    assert found["art"] != found["war"]
    for act in (writer.write, writer.write_several, writer.search):
        with pytest.raises(SettingError, match="needs 'topic'"):
            act()
        with pytest.raises(DataError, match="did you mean 'war'"):
            act(given={"topic": "wars"})


@pytest.mark.parametrize("seed", [None, 3])
def test_writing_on_begins_the_next_text_where_one_ends(seed: int | None) -> None:
    vocabulary = vocabularies()["characters"]
    writer = Writer(ngram(vocabulary, text="ab"))
    (first,) = ["".join(writer.write("a", seed=seed, temperature=0))]
    alone = "".join(writer.write(seed=seed, temperature=0))
    expected = f"{first}\n{alone}\n{alone}\n"
    assert len(alone) < 500
    pieces = writer.write_on("a", seed=seed, temperature=0)
    assert "".join(itertools.islice(pieces, len(expected))) == expected


def test_texts_written_on_differ_and_begin_as_the_seed_says() -> None:
    writer = Writer(ngram(CharacterVocabulary("abc"), 2, text="abcabcbacbbacab"))
    pieces = list(itertools.islice(writer.write_on(seed=1), 2000))
    texts = "".join(pieces).split("\n")
    assert texts[0] == "".join(writer.write(seed=1))
    assert len(set(texts[:10])) > 5
    assert pieces == list(itertools.islice(writer.write_on(seed=1), 2000))
    with pytest.raises(SettingError, match="temperature"):
        writer.write_on(temperature=-1)
