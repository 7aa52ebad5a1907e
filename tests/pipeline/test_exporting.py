"""n-grams of a run leave it as files of other toolkits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from typer.testing import CliRunner

from recurra.cli import app
from recurra.models import NGram
from recurra.pipeline import open_text_model


def test_an_ngram_of_a_run_is_written_and_read(tiny_run: Any, tmp_path: Path) -> None:
    for model, options in (("bigram", ["--model", "bigram"]), ("5-gram", [])):
        words = ["export-ngram", str(tiny_run.path), "--out", str(tmp_path / model)]
        done = CliRunner().invoke(app, [*words, *options])
        assert done.exit_code == 0, done.output
        own = open_text_model(tiny_run.path, model=model)
        again = NGram.from_arpa(tmp_path / model, own.vocabulary)
        ids = own.vocabulary.encode("anna sees a dog.\n")
        assert isinstance(own.model, NGram)
        np.testing.assert_allclose(again.score(ids), own.model.score(ids), rtol=0, atol=1e-6)


def test_what_is_no_ngram(tiny_run: Any, tmp_path: Path) -> None:
    for model in ("lstm", "mixture", "7-gram"):
        words = ["export-ngram", str(tiny_run.path), "--out", str(tmp_path / "x"), "--model", model]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 2
        assert repr(model) in done.stderr
    assert not (tmp_path / "x").exists()
