"""The mixture that a training leaves in its run, and what every command does with it."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from splitting import split_documents
from typer.testing import CliRunner

import recurra
from recurra.cli import app
from recurra.data import document_batches
from recurra.errors import ArtifactError, SettingError
from recurra.models import Mixture
from recurra.pipeline import open_text_model, score_lines
from recurra.pipeline.mixing import fit_mixture, read_mixture, write_mixture
from recurra.pipeline.ngrams import read_ngrams
from recurra.training import evaluate, load_recipe, train


def call(*words: Any) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def kept(run: Any) -> Mixture:
    model = open_text_model(run.path, mix=True).model
    assert isinstance(model, Mixture)
    return model


def validation(run: Any) -> list[Any]:
    vocabulary = open_text_model(run.path).vocabulary
    return [vocabulary.encode(text) for text in split_documents([run.text]).validation]


def test_the_mixture_of_a_run_is_the_best_on_the_validation_part(tiny_run: Any) -> None:
    mixture, documents = kept(tiny_run), validation(tiny_run)
    assert len(set(mixture.weights.tolist())) > 10
    assert mixture.doubt == 0.02
    best, _ = mixture.total(documents)
    for ngram in read_ngrams(tiny_run.path).values():
        for weight in (0.0, *np.linspace(0, 1, 21), 1.0):
            assert best <= Mixture(mixture.network, ngram, float(weight)).total(documents)[0] + 1e-6


def test_a_weight_is_found_again(tiny_run: Any) -> None:
    mixture = kept(tiny_run)
    groups = document_batches(validation(tiny_run))
    again = fit_mixture(mixture.network, read_ngrams(tiny_run.path), groups)
    assert (again.weight, again.ngram.order) == (mixture.weight, mixture.ngram.order)
    assert again.weights.tolist() == mixture.weights.tolist()


def test_it_is_a_row_of_both_tables(tiny_run: Any) -> None:
    rows = {row.name: row for row in tiny_run.trained.evaluations}
    assert list(rows) == ["lstm", "bigram", "5-gram", "mixture"]
    again = {
        row.name: row for row in evaluate(tiny_run.path, split_documents([tiny_run.text]).test)
    }
    assert again["mixture"].nats == pytest.approx(rows["mixture"].nats, rel=1e-6)
    assert again["mixture"].symbols == rows["lstm"].symbols
    assert "n-gram" not in tiny_run.trained.verdict  # the mixture is no rival


def test_every_command_has_it(tiny_run: Any, text_file: Path) -> None:
    line = "anna sees the cat.\n"
    told = json.loads(call("score", tiny_run.path, "--text", line, "--mix", "--json").stdout)
    mixture, vocabulary = kept(tiny_run), open_text_model(tiny_run.path).vocabulary
    assert told["log_prob"] == pytest.approx(
        float(mixture.score(vocabulary.encode(line)).sum()), abs=1e-4
    )
    plain = json.loads(call("score", tiny_run.path, "--text", line, "--json").stdout)
    assert plain["log_prob"] != told["log_prob"]
    each = call("score", tiny_run.path, "--text", line, "--mix", "--tokens", "--json").stdout
    assert [row["log_prob"] for row in map(json.loads, each.splitlines())] == pytest.approx(
        mixture.score(vocabulary.encode(line)).tolist(), abs=1e-5
    )
    same = call("score", tiny_run.path, "--text", line, "--model", "mixture", "--json")
    assert json.loads(same.stdout) == told
    for words in (
        ("generate", "--seed", "1", "--length", "20"),
        ("generate", "--beam", "2", "--length", "20"),
        ("complete", "--prompt", "ann"),
    ):
        done = call(words[0], tiny_run.path, *words[1:], "--mix")
        assert done.exit_code == 0, done.output
        assert done.stdout
    both = call("generate", tiny_run.path, "--mix", "--model", "5-gram")
    assert both.exit_code == 2
    assert "got both" in both.stderr
    assert "mixture" in call("evaluate", tiny_run.path, "--data", text_file).stdout


def test_gaps_are_filled_with_it(tiny_run: Any, tmp_path: Path) -> None:
    file = tmp_path / "cloze.jsonl"
    file.write_text('{"text": "anna ___ my owl.", "choices": ["sees", "owl"], "answer": "sees"}\n')
    done = call("score", tiny_run.path, "--choices", file, "--mix", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)["posterior"]
    mixture = open_text_model(tiny_run.path, mix=True)
    first, second = score_lines(mixture, ["anna sees my owl.", "anna owl my owl."])
    share = 1 / (1 + math.exp(second.log_prob - first.log_prob))
    assert told["sees"] == pytest.approx(share, abs=1e-6)


def test_python_has_it(tiny_run: Any) -> None:
    loaded = recurra.load(tiny_run.path)
    (plain,) = loaded.score(["anna sees a dog."])
    (mixed,) = loaded.mixed().score(["anna sees a dog."])
    mixture = kept(tiny_run)
    vocabulary = open_text_model(tiny_run.path).vocabulary
    expected = float(mixture.score(vocabulary.encode("anna sees a dog.")).sum())
    assert mixed.log_prob == pytest.approx(expected, abs=1e-4)
    assert mixed.log_prob != plain.log_prob
    assert loaded.mixed().complete("ann")
    assert loaded.mixed().generate("anna", limit=5, seed=0)


def test_without_a_validation_part_there_is_none(tmp_path: Path, text: str) -> None:
    changes = ["training.symbols=500", "model.hidden_size=4", "model.layers=1"]
    told: list[str] = []
    done = train(
        load_recipe("language-model", [*changes, "data.validation=false"]),
        [text],
        tmp_path / "run",
        lambda report: told.append(report.message or ""),
    )
    assert [row.name for row in done.evaluations] == ["lstm", "bigram", "5-gram"]
    assert any("no mixture" in message and "validation" in message for message in told)
    with pytest.raises(SettingError, match=r"has no mixture.*validation"):
        open_text_model(done.path, mix=True)
    with pytest.raises(SettingError, match="has no mixture"):
        recurra.load(done.path).mixed()


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.replace(b'"weight": ', b'"weight": 0'),
        lambda raw: raw[: len(raw) // 2],
        lambda raw: b"[]",
        lambda raw: b'{"ngram": "5-gram", "weight": 0.5}',
    ],
)
def test_a_damaged_file_is_told(tiny_run: Any, tmp_path: Path, change: Any) -> None:
    shutil.copytree(tiny_run.path, tmp_path / "run")
    file = tmp_path / "run" / "mixture.json"
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(ArtifactError, match=r"mixture\.json: damaged"):
        open_text_model(tmp_path / "run", mix=True)


def test_what_is_written_is_read(tiny_run: Any, tmp_path: Path) -> None:
    shutil.copytree(tiny_run.path, tmp_path / "run")
    mixture = kept(tiny_run)
    bigram = read_ngrams(tiny_run.path)["bigram"]
    weights = np.linspace(0, 1, bigram.familiarities)
    write_mixture(tmp_path / "run", Mixture(mixture.network, bigram, 1 / 3, weights, 1 / 7))
    again = read_mixture(tmp_path / "run", mixture.network)
    assert (again.weight, again.doubt, again.ngram.order) == (1 / 3, 1 / 7, 2)
    assert again.weights.tolist() == weights.tolist()
    write_mixture(tmp_path / "run", None)
    with pytest.raises(SettingError, match="no mixture"):
        read_mixture(tmp_path / "run", mixture.network)


def test_a_file_with_one_weight_is_read_as_it_was_meant(tiny_run: Any, tmp_path: Path) -> None:
    shutil.copytree(tiny_run.path, tmp_path / "run")
    told = {"ngram": "5-gram", "weight": 0.25}
    check = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    (tmp_path / "run" / "mixture.json").write_text(json.dumps(told | {"check": check}))
    mixture = kept(tiny_run)
    old = read_mixture(tmp_path / "run", mixture.network)
    document = validation(tiny_run)[0]
    ours, theirs = Mixture(mixture.network, old.ngram, 1.0), old.ngram
    expected = np.logaddexp(
        ours.score(document) + math.log(0.25), theirs.score(document) + math.log(0.75)
    )
    assert old.score(document).tolist() == pytest.approx(expected.tolist(), abs=1e-12)


def test_another_number_of_weights_is_a_damaged_file(tiny_run: Any, tmp_path: Path) -> None:
    shutil.copytree(tiny_run.path, tmp_path / "run")
    told = {"ngram": "5-gram", "weight": 0.25, "weights": [0.25], "doubt": 0.1}
    check = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    (tmp_path / "run" / "mixture.json").write_text(json.dumps(told | {"check": check}))
    with pytest.raises(ArtifactError, match=r"mixture\.json: damaged.*expected 60"):
        open_text_model(tmp_path / "run", mix=True)
