"""Training and loading from Python, as the command line does it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import recurra
from recurra.errors import ArtifactError, DataError, SettingError


def quick(changes: list[str]) -> dict[str, Any]:
    pairs = [change.rpartition("=") for change in changes]
    return {name.partition(".")[2]: json.loads(value) for name, _, value in pairs}


def test_a_path_is_read_and_remembered(
    text_file: Path, tmp_path: Path, tiny_changes: list[str]
) -> None:
    settings = quick(tiny_changes) | {"symbols": 1000, "report": lambda report: None}
    done = recurra.train("language-model", str(text_file), out=tmp_path / "run", **settings)
    assert done.evaluations[0].name == "lstm"
    told = json.loads((tmp_path / "run" / "data.json").read_text())
    assert told["source"] == str(text_file.absolute())
    model = recurra.load(tmp_path / "run")
    assert model.kind == "language-model"
    assert len(list(model.predict(["anna", "anna sees a dog."]))) == 2
    text = text_file.read_text()
    again = recurra.train("language-model", [text], out=tmp_path / "texts", **settings)
    assert again.evaluations == done.evaluations
    assert json.loads((tmp_path / "texts" / "data.json").read_text())["source"] is None


def test_a_path_that_is_none_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.txt: no such file or folder"):
        recurra.train("language-model", "nothing.txt", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_nearest_setting_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"no setting 'hiden_size'; did you mean 'hidden_size'"):
        recurra.train("language-model", ["text"], out=tmp_path / "run", hiden_size=3)
    with pytest.raises(ArtifactError, match="expected a run"):
        recurra.load(tmp_path)
