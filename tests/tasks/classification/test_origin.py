"""A classifier that begins with another run's: the same classes, other texts."""

from __future__ import annotations

from pathlib import Path

import pytest

import recurra
from recurra import artifact
from recurra.errors import DataError, SettingError

QUICK = {"epochs": 2, "batch_size": 16, "evaluations": 2, "report": lambda told: None}


def log_of(run: Path) -> list[list[str]]:
    return [line.split(",") for line in (run / "log.csv").read_text().splitlines()]


def test_it_begins_as_good_as_the_other_was(
    run: Path, reviews: tuple[list[str], list[str]], tmp_path: Path
) -> None:
    recurra.train("classification", reviews, out=tmp_path / "new", from_run=run, **QUICK)
    # On the very texts that the first run was chosen by it has its accuracy.
    old = artifact.load(run)
    assert log_of(tmp_path / "new")[1][4] == str(
        round(old.about["scores"]["validation_accuracy"], 5)
    )
    new = artifact.load(tmp_path / "new")
    assert new.model.config == old.model.config.model_copy(
        update={name: getattr(new.model.config, name) for name in new.task.Model.LOOSE}
    )
    assert new.fronts["label"].names == old.fronts["label"].names
    (answer,) = recurra.load(tmp_path / "new").predict(["a lovely film"])
    assert answer.label in ("good", "bad")


def test_some_of_the_classes_are_enough(
    run: Path, reviews: tuple[list[str], list[str]], tmp_path: Path
) -> None:
    good = [text for text, label in zip(*reviews, strict=True) if label == "good"]
    data = (good, ["good"] * len(good))
    recurra.train("classification", data, out=tmp_path / "new", from_run=run, **QUICK)
    assert artifact.load(tmp_path / "new").model.config.classes == 2


def test_another_class_is_refused(
    run: Path, reviews: tuple[list[str], list[str]], tmp_path: Path
) -> None:
    texts, labels = reviews
    data = (texts, ["mixed" if n % 50 == 0 else label for n, label in enumerate(labels)])
    with pytest.raises(DataError) as problem:
        recurra.train("classification", data, out=tmp_path / "new", from_run=run, **QUICK)
    said = str(problem.value)
    assert (
        "expected classes of the model that the run begins with or learns from ('bad', 'good')"
        in said
    )
    assert "got 'mixed' (6); " in said
    assert not (tmp_path / "new").exists()


def test_words_fall_as_they_did(
    run: Path, reviews: tuple[list[str], list[str]], tmp_path: Path
) -> None:
    with pytest.raises(SettingError, match=r"data\.lower: the model of .* has True, which"):
        recurra.train("classification", reviews, out=tmp_path / "n", from_run=run, lower=False)
