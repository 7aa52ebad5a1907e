"""A search: what it proposes, ends early, keeps, and goes on with."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from comparison.fakes import TEXTS, FakeRunner, begin, result

from recurra.comparison import default_space, parsed_space, read_search, search_settings
from recurra.comparison import study as studies
from recurra.comparison.runner import Job, Outcome, Told
from recurra.comparison.space import checked_space
from recurra.errors import ArtifactError, RunError, SettingError
from recurra.training import load_recipe

RECIPE = load_recipe("classification", ["training.epochs=2", "training.evaluations=4"])
SPACE: dict[str, Any] = {"model.hidden_size": (4, 64, "log"), "model.cell": ["elman", "gru"]}


def scored(job: Job) -> dict[str, Any]:
    """Best by validation at the width 20; what is held out says the opposite."""
    model = job.recipe["model"]
    value = 0.9 - abs(model["hidden_size"] - 20) / 100 - 0.2 * (model["cell"] == "elman")
    return result(1 - value, validation=value)


def search(
    path: Path,
    does: Callable[[Job], Any] = scored,
    tells: Any = None,
    trials: int = 6,
    recipe: Any = RECIPE,
    **more: Any,
) -> tuple[Any, FakeRunner]:
    runner = FakeRunner(does, tells)
    settings = {"space": SPACE, "jobs": 1} | more
    return search_settings(recipe, TEXTS, path, trials=trials, runner=runner, **settings), runner


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(studies, "_WAIT", 0.0)
    return tmp_path / "search"


def test_the_best_is_chosen_by_validation(out: Path) -> None:
    found, runner = search(out, trials=6)
    assert len(found.trials) <= 6
    assert runner.names[:2] == ["trial-0000", "trial-0001"]
    for job in runner.jobs:
        assert 4 <= job.recipe["model"]["hidden_size"] <= 64
        assert job.recipe["model"]["cell"] in ("elman", "gru")
        assert job.recipe["training"] == runner.jobs[0].recipe["training"]
    best = max(found.trials, key=lambda trial: trial.validation)
    assert found.best == best
    assert found.best.settings["model.cell"] == "gru"
    assert found.ranked[1].validation <= best.validation
    kept = load_recipe(str(found.recipe))
    assert kept.model.hidden_size == best.settings["model.hidden_size"]
    assert kept.model_copy(update={"model": RECIPE.model}) == RECIPE
    assert read_search(out) == found
    assert f"Chosen by validation: {best.name}" in str(found)


def test_it_goes_on(out: Path) -> None:
    first, _ = search(out, trials=3)
    same, runner = search(out, trials=3)
    assert (same, runner.jobs) == (first, [])
    more, runner = search(out, trials=5)
    assert len(runner.jobs) <= 2
    assert more.trials[: len(first.trials)] == first.trials


def test_what_was_interrupted_is_the_same_trial(out: Path) -> None:
    def does(job: Job) -> Any:
        if job.name != "trial-0001":
            return scored(job)
        begin(job.path, job.recipe)
        return Outcome("interrupted")

    def goes_on(job: Job) -> Any:
        if job.name == "trial-0001":
            (job.path / "summary.json").write_text("{}")
            return Outcome("done", result=scored(job))
        return scored(job)

    _, before = search(out, does, trials=3)
    found, runner = search(out, goes_on, trials=3)
    assert runner.names == ["trial-0001"]
    assert runner.jobs[0].recipe == before.jobs[1].recipe
    assert len(found.trials) == 3


def test_a_bad_curve_ends_early(out: Path) -> None:
    """Each trial tells its curve; the last is below the half of the others from the second on."""
    names = [f"trial-{n:04d}" for n in range(7)]

    def tells(job: Job) -> list[Told]:
        low = job.name == names[-1]
        return [Told(n, 4, 0.5, 1.0, 0.1 if low else 0.5 + n / 10) for n in (1, 2, 3, 4)]

    runner_of: list[FakeRunner] = []

    def does(job: Job) -> Any:
        if job.name == names[-1]:
            begin(job.path, job.recipe)
            return Outcome("interrupted")
        return scored(job)

    space = {"training.learning_rate": (1e-4, 1e-2, "log")}
    found, runner = search(out, does, tells, trials=7, space=space)
    runner_of.append(runner)
    assert runner.stopped == [names[-1]]
    assert [trial.state for trial in found.trials] == ["done"] * 6 + ["pruned"]
    assert "1 ended early" in str(found)
    assert found.ranked[-1].name != names[-1]
    _, runner = search(out, trials=7, space=space)  # it is over, and is not gone on with
    assert runner.jobs == []


def test_settings_that_were_tried_are_not_run_again(out: Path) -> None:
    found, runner = search(out, trials=6, space={"model.cell": ["elman", "gru"]})
    assert len(runner.jobs) == 2
    assert [trial.settings["model.cell"] for trial in found.ranked] == ["gru", "elman"]


def test_what_fails_is_told(out: Path) -> None:
    def does(job: Job) -> Any:
        if job.name == "trial-0000":
            return Outcome("failed", "too hot")
        if job.name == "trial-0001":
            return result(0.5, validation=float("nan"))
        return scored(job)

    found, _ = search(out, does, trials=3)
    assert [trial.state for trial in found.trials] == ["failed", "failed", "done"]
    assert "trial-0000 failed: too hot" in found.notes
    assert "trial-0001 failed: its validation is no finite number" in found.notes


def test_nothing_is_done(out: Path) -> None:
    found, _ = search(out, lambda job: Outcome("failed", "no"), trials=1)
    with pytest.raises(RunError, match="no trial is done"):
        _ = found.best
    assert not found.recipe.exists()
    assert "1 failed" in str(found)


def test_less_may_be_better(out: Path) -> None:
    text = ["anna sees a dog. " * 300]
    recipe = load_recipe("language-model", ["training.symbols=1000"])
    runner = FakeRunner(lambda job: result(1.0, validation=job.recipe["training"]["clip"]))
    space = {"training.clip": [0.5, 1.0, 2.0]}
    found = search_settings(recipe, text, out, trials=6, space=space, runner=runner, jobs=2)
    assert found.best.settings == {"training.clip": 0.5}


def test_another_search_is_refused(out: Path) -> None:
    search(out, trials=1)
    with pytest.raises(RunError, match="holds another comparison: space is"):
        search(out, trials=1, space={"model.cell": ["gru", "lstm"]})


def test_forms_of_a_space() -> None:
    given = ["model.hidden_size=32..512:log", "training.clip=0.5..2", "model.cell=lstm, gru"]
    assert parsed_space([*given, "training.learning_rate=1e-4..1e-2:log"]) == {
        "model.hidden_size": (32, 512, "log"),
        "training.clip": (0.5, 2),
        "model.cell": ["lstm", "gru"],
        "training.learning_rate": (1e-4, 1e-2, "log"),
    }
    spaces = checked_space(RECIPE, {"model.dropout": (0, 0.9), "model.layers": (1, 3)}, "c")
    assert [space.whole for space in spaces.values()] == [False, True]
    assert str(spaces["model.layers"]) == "1..3"
    clip = checked_space(RECIPE, {"training.clip": (1, 4)}, "c")["training.clip"]
    assert not clip.whole  # a setting with parts has parts between whole ends too
    none = checked_space(RECIPE, {"model.embedding_size": [None, 8]}, "c")["model.embedding_size"]
    assert (none.choices, none.size, clip.size) == ((None, 8), 2, float("inf"))
    default = checked_space(RECIPE, default_space(RECIPE), "c")
    assert set(default) == {"training.learning_rate", "model.hidden_size"}


@pytest.mark.parametrize("wrong", ["model.cell", "model.cell=", "=1..2"])
def test_what_is_no_space(wrong: str) -> None:
    with pytest.raises(SettingError, match="expected a range or choices"):
        parsed_space([wrong])
    with pytest.raises(SettingError, match="there twice"):
        parsed_space(["a=1..2", "a=1..3"])


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({}, "expected a setting to search"),
        ({"training.lr": (1, 2)}, r"did you mean 'training\.learning_rate'"),
        ({"model.hidden_size": (0, 8)}, r"model\.hidden_size: expected .*greater than or equal"),
        ({"model.hidden_size": (8, 4)}, "expected low < high, got 8 and 4"),
        ({"model.hidden_size": (0, 4, "log")}, "expected 0 < low < high"),
        ({"model.hidden_size": (4, 8, "lin")}, "expected a list of choices, or"),
        ({"model.hidden_size": (True, 8)}, "expected a list of choices, or"),
        ({"model.cell": "gru"}, "expected a list of choices, or"),
        ({"model.cell": ["gru", "gru"]}, "expected different plain values"),
        ({"model.cell": []}, "expected different plain values"),
        ({"model.cell": ["gru", ["lstm"]]}, "expected different plain values"),
        ({"model.cell": ["gru", "grux"]}, r"with model\.cell=grux"),
    ],
)
def test_what_cannot_be_searched(out: Path, space: Any, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        search(out, space=space)
    assert not out.exists()


def test_without_validation_nothing_is_chosen(out: Path) -> None:
    recipe = load_recipe("classification", ["data.validation=false"])
    with pytest.raises(SettingError, match="leaves nothing to choose by"):
        search(out, recipe=recipe)


def test_without_optuna_the_install_line_is_told(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SettingError, match=r"pip install 'recurra\[search\]' brings it"):
        search(out)


def test_a_damaged_file_is_told(out: Path) -> None:
    out.mkdir()
    (out / "search.json").write_text(json.dumps({"trials": []}))
    with pytest.raises(ArtifactError, match="damaged"):
        read_search(out)
