"""Scores are exact: every symbol once, from the start symbol to the end symbol, with its past."""

from __future__ import annotations

import copy
import math
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from recurra import artifact
from recurra.data import CharacterVocabulary, document_batches
from recurra.errors import ArtifactError, SettingError
from recurra.models import KneserNey, LanguageModel, LanguageModelConfig, NGram
from recurra.pipeline.ngrams import read_ngrams
from recurra.tasks.language_model import DataSettings, Evaluation, LanguageModelTask, prepare
from recurra.tasks.language_model.evaluation import compare_encoded
from recurra.training import evaluate, load_recipe, train
from recurra_runtime.vocabulary import END, START, UNKNOWN, Ids

TOLERANCE = 1e-9  # of totals of some thousand nats in float64, relative


@torch.no_grad()
def one_by_one(model: Any, documents: Sequence[Ids]) -> tuple[float, int]:
    """The definition: minus the logarithm of each next symbol's probability, step by step."""
    total, count = 0.0, 0
    for ids in documents:
        state = model.start(1)
        for read, next_ in zip([START, *ids.tolist()], [*ids.tolist(), END], strict=True):
            log_probs, state = model.step(torch.tensor([read]), state)
            total -= float(log_probs[0, next_])
            count += 1
    return total, count


@torch.no_grad()
def without_memory(model: LanguageModel, documents: Sequence[Ids], size: int) -> float:
    """The broken twin: every window starts anew."""
    groups = document_batches(documents, rows=32, size=size)
    return sum(float(model(batch, None).total) for group in groups for batch in group)


def compare(models: Any, vocabulary: Any, texts: Sequence[str]) -> list[Evaluation]:
    """Models on the same texts with the same symbols."""
    documents = [vocabulary.encode(text) for text in texts]
    return compare_encoded(models, documents, sum(map(len, texts)))


@pytest.fixture(scope="module")
def trained(tiny_run: Any) -> tuple[LanguageModel, CharacterVocabulary]:
    """The trained model in float64, so that a tight tolerance can be held."""
    loaded = artifact.load(tiny_run.path)
    assert isinstance(loaded.model, LanguageModel)
    vocabulary = loaded.fronts["text"]
    assert isinstance(vocabulary, CharacterVocabulary)
    return copy.deepcopy(loaded.model).double(), vocabulary


@pytest.fixture(scope="module")
def texts(text: str) -> list[str]:
    """Documents of very different lengths, one longer than two windows of the scorer."""
    return [text[:40], "", text[100:101], text[200:1000], text[50:306], text[7:263], "anna"]


def test_the_total_is_the_sum_over_single_steps(trained: Any, texts: list[str]) -> None:
    model, vocabulary = trained
    total, count = one_by_one(model, [vocabulary.encode(text) for text in texts])
    (score,) = compare({"m": model}, vocabulary, texts)
    assert score.symbols == count == sum(len(text) + 1 for text in texts)
    assert score.nats == pytest.approx(total, rel=TOLERANCE)


@pytest.mark.parametrize("rows", [1, 2, 5, 32])
@pytest.mark.parametrize("size", [1, 3, 64, 1000])
def test_windows_and_rows_change_nothing(
    rows: int, size: int, trained: Any, texts: list[str]
) -> None:
    model, vocabulary = trained
    documents = [vocabulary.encode(text[:150]) for text in texts]
    total, count = one_by_one(model, documents)
    got, symbols = model.score(document_batches(documents, rows=rows, size=size))
    assert symbols == count
    assert got == pytest.approx(total, rel=TOLERANCE)


def test_a_twin_that_forgets_at_window_borders_is_seen(trained: Any, texts: list[str]) -> None:
    model, vocabulary = trained
    documents = [vocabulary.encode(text) for text in texts]
    total, _ = one_by_one(model, documents)
    assert abs(without_memory(model, documents, 64) - total) > 1e6 * TOLERANCE * total
    assert without_memory(model, documents, 10_000) == pytest.approx(total, rel=TOLERANCE)


def test_the_order_of_documents_changes_nothing(trained: Any, texts: list[str]) -> None:
    model, vocabulary = trained
    (score,) = compare({"m": model}, vocabulary, texts)
    (other,) = compare({"m": model}, vocabulary, texts[::-1])
    assert other.nats == pytest.approx(score.nats, rel=TOLERANCE)
    assert (other.symbols, other.characters) == (score.symbols, score.characters)


def test_ngrams_are_scored_in_the_same_units(tiny_run: Any, texts: list[str]) -> None:
    vocabulary = artifact.load(tiny_run.path).fronts["text"]
    documents = [vocabulary.encode(text) for text in texts]
    ngrams = read_ngrams(tiny_run.path)
    assert sorted(ngrams) == ["5-gram", "bigram"]
    for row in compare(ngrams, vocabulary, texts):
        total, count = one_by_one(ngrams[row.name], documents)
        assert row.symbols == count
        assert row.nats == pytest.approx(total, rel=1e-5)  # steps are float32


def test_a_run_is_scored_with_its_ngrams(tiny_run: Any, texts: list[str], trained: Any) -> None:
    rows = {row.name: row for row in evaluate(tiny_run.path, texts)}
    assert set(rows) == {"lstm", "bigram", "5-gram", "mixture"}
    model, vocabulary = trained
    total, _ = one_by_one(model, [vocabulary.encode(text) for text in texts])
    assert rows["lstm"].nats == pytest.approx(total, rel=1e-5)  # float32
    assert next(iter(rows)) == "lstm"


def test_the_held_out_text_is_scored_as_training_said(tiny_run: Any) -> None:
    from splitting import split_documents

    again = {
        row.name: row for row in evaluate(tiny_run.path, split_documents([tiny_run.text]).test)
    }
    for row in tiny_run.trained.evaluations:
        assert again[row.name].nats == pytest.approx(row.nats, rel=1e-6)
        assert again[row.name].symbols == row.symbols


def test_a_checkpoint_is_scored_beside_the_ngrams_of_its_run(
    tiny_run: Any, texts: list[str], tmp_path: Path
) -> None:
    checkpoint = artifact.load(tiny_run.path).path
    assert evaluate(checkpoint, texts) == evaluate(tiny_run.path, texts)
    shutil.copytree(checkpoint, tmp_path / "alone")  # away from its run it has none
    assert evaluate(tmp_path / "alone", texts) == evaluate(tiny_run.path, texts)[:1]


def test_best_or_last(tiny_run: Any, texts: list[str], tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(tiny_run.path, path)
    names = sorted(folder.name for folder in (path / "checkpoints").iterdir())
    (path / "best").write_text(names[-1])
    (path / "last").write_text(names[0])
    best, last = (evaluate(path, texts, which=which)[0] for which in ("best", "last"))
    assert best.nats != last.nats
    assert best == evaluate(path / "checkpoints" / names[-1], texts)[0]
    with pytest.raises(SettingError, match="expected 'best' or 'last', got 'worst'"):
        evaluate(path, texts, which="worst")


def test_characters_the_models_do_not_know_count_as_unknown(tiny_run: Any, trained: Any) -> None:
    model, vocabulary = trained
    strange = "anna ☃ sees Ω."
    ids = vocabulary.encode(strange)
    assert ids.tolist().count(UNKNOWN) == 2
    total, count = one_by_one(model, [ids])
    for row in evaluate(tiny_run.path, [strange]):
        assert row.unknown == 2
        assert (row.symbols, row.characters) == (count, len(strange))
        assert math.isfinite(row.nats)
        if row.name == "lstm":
            assert row.nats == pytest.approx(total, rel=1e-5)


def test_units_by_hand() -> None:
    row = Evaluation("m", nats=8 * math.log(2), symbols=5, characters=4)
    assert row.nats_per_character == 2 * math.log(2)
    assert row.bits_per_character == pytest.approx(2)
    assert row.perplexity == pytest.approx(2 ** (8 / 5))
    assert row.to_json() == {
        "name": "m",
        "nats": row.nats,
        "symbols": 5,
        "characters": 4,
        "unknown": 0,
        "nats_per_character": row.nats_per_character,
        "bits_per_character": row.bits_per_character,
        "perplexity": row.perplexity,
    }


def test_odd_scores_do_not_overflow() -> None:
    assert Evaluation("m", nats=1e9, symbols=1, characters=1).perplexity == math.inf
    assert Evaluation("m", nats=1.0, symbols=0, characters=0).nats_per_character == 1.0


def test_a_uniform_model_scores_the_logarithm_of_its_vocabulary() -> None:
    vocabulary = CharacterVocabulary("ab")
    model = LanguageModel(LanguageModelConfig(hidden_size=3, vocabulary_size=len(vocabulary)))
    torch.nn.init.zeros_(model.head.projection.weight)  # type: ignore[union-attr,arg-type]
    (row,) = compare({"m": model}, vocabulary, ["abba", ""])
    assert row.nats == pytest.approx(6 * math.log(5), rel=1e-6)
    assert row.perplexity == pytest.approx(5, rel=1e-6)


def test_training_mode_is_given_back_and_dropout_is_off() -> None:
    vocabulary = CharacterVocabulary("ab")
    config = LanguageModelConfig(hidden_size=8, dropout=0.5, vocabulary_size=len(vocabulary))
    model = LanguageModel(config).train()
    first, second = (compare({"m": model}, vocabulary, ["abba"])[0] for _ in range(2))
    assert model.training
    assert first == second


def test_models_are_scored_in_the_order_given() -> None:
    vocabulary = CharacterVocabulary("ab")
    ids = [vocabulary.encode("abab")]
    ngram = NGram.fit(ids, order=2, vocabulary_size=5, start=START, end=END, smoothing=KneserNey())
    assert [row.name for row in compare({"b": ngram, "a": ngram}, vocabulary, ["ab"])] == ["b", "a"]


def test_damaged_ngrams_are_told(tiny_run: Any, tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(tiny_run.path, path)
    (path / "ngrams.safetensors").write_bytes(b"no")
    with pytest.raises(ArtifactError, match=r"ngrams\.safetensors: damaged"):
        evaluate(path, ["anna"])


def test_what_it_was_trained_on_is_scored_all_over_the_text(tmp_path: Path) -> None:
    """A beginning that is like nothing else, as a license, says little of the rest."""
    draw = random.Random(0)
    noise = "".join(draw.choice("cdefghijklmnopqrstuvwxyz") for _ in range(8000))
    corpus = prepare([noise + "ab" * 40_000], DataSettings(split="tail"), tmp_path)
    part, task = corpus.parts["training"], LanguageModelTask()
    size = len(corpus.vocabulary)
    config = LanguageModelConfig(hidden_size=4, layers=1, vocabulary_size=size)
    model = LanguageModel(config)
    task.begin(model.eval(), corpus)  # it knows how often each symbol occurs, and no more
    whole = task.mean_loss(model, part, part.count)
    assert task.mean_loss(model, part, 16_384) == pytest.approx(whole, rel=0.2)
    beginning = compare_encoded({"": model}, part.documents(16_384), 1)[0].loss
    assert beginning > 2 * whole  # which is what must not be taken for it


def test_ngrams_of_the_orders_that_are_asked_for(tmp_path: Path, text: str) -> None:
    changes = ["training.symbols=200", "model.hidden_size=4", "model.layers=1"]
    recipe = load_recipe("language-model", [*changes, "data.ngram_orders=[3, 1]"])
    done = train(recipe, [text], tmp_path / "run")
    assert [row.name for row in done.evaluations] == ["lstm", "unigram", "3-gram", "mixture"]
    assert [each.order for each in read_ngrams(done.path).values()] == [1, 3]
    recipe = load_recipe("language-model", [*changes, "data.ngram_orders=[]"])
    done = train(recipe, [text], tmp_path / "alone")
    assert [row.name for row in done.evaluations] == ["lstm"]
    assert read_ngrams(done.path) == {}


@pytest.mark.parametrize("orders", ["[2, 2]", "[0]", "[65]", "5"])
def test_orders_that_cannot_be(orders: str) -> None:
    with pytest.raises(SettingError, match="ngram_orders"):
        load_recipe("language-model", [f"data.ngram_orders={orders}"])
