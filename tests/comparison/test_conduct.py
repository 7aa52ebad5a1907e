"""A comparison from beginning to end, with runs that are done at once."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from comparison.fakes import TEXTS, FakeRunner, begin, finish, result

from recurra.comparison import compare_variants, read_comparison
from recurra.comparison import study as studies
from recurra.comparison.display import Board
from recurra.comparison.runner import Job, Outcome
from recurra.comparison.study import Study, clear, state_of
from recurra.errors import ArtifactError, DataError, RunError, SettingError
from recurra.training import load_recipe

RECIPE = load_recipe("classification", ["training.epochs=2"])
CELLS = {"model.cell": ["elman", "gru"]}
SCORES = {"elman": 0.6, "gru": 0.8, "lstm": 0.7}


def scored(job: Job) -> dict[str, Any]:
    return result(SCORES[job.recipe["model"]["cell"]] + job.recipe["training"]["seed"] / 100)


def study(
    path: Path,
    does: Callable[[Job], Any] = scored,
    data: Any = TEXTS,
    recipe: Any = RECIPE,
    **more: Any,
) -> tuple[Any, FakeRunner]:
    runner = FakeRunner(does)
    settings = {"vary": CELLS, "seeds": 2} | more
    return compare_variants(recipe, data, path, runner=runner, **settings), runner


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(studies, "_WAIT", 0.0)
    return tmp_path / "study"


def test_every_variant_with_every_seed(out: Path) -> None:
    found, runner = study(out)
    # A seed after the other: what is there after a while is of all variants.
    assert runner.names == [f"cell-{c}/seed-{s}" for s in (0, 1) for c in ("elman", "gru")]
    assert [job.recipe["training"]["seed"] for job in runner.jobs] == [0, 0, 1, 1]
    assert runner.jobs[3].path == out / "cell-gru" / "seed-1"
    assert runner.closed
    assert found.best.settings == {"model.cell": "gru"}
    assert found.best.value == pytest.approx(0.805)
    assert not found.interrupted
    assert read_comparison(out) == found
    assert (out / "compare.svg").read_text().startswith("<svg")


def test_the_first_seed_is_that_of_the_recipe(out: Path) -> None:
    recipe = load_recipe("classification", ["training.epochs=2", "training.seed=5"])
    _, runner = study(out, recipe=recipe)
    assert [job.recipe["training"]["seed"] for job in runner.jobs] == [5, 5, 6, 6]


@pytest.mark.parametrize(
    ("texts", "changes", "pairs"),
    [
        (["one book, " * 40], [], False),
        (["one book, " * 40, "another"], [], True),
        (["one book, " * 40], ["data.split=blocks", "data.block=10"], True),
    ],
)
def test_that_there_will_be_no_pairs_is_said_before_the_first_run(
    out: Path, texts: list[str], changes: list[str], pairs: bool
) -> None:
    told: list[str] = []

    class Told(Board):
        def say(self, text: str) -> None:
            told.append(text)

    def begun(job: Job) -> dict[str, Any]:
        told.append("run")
        return result(0.5)

    study(out, begun, texts, load_recipe("language-model", changes), seeds=1, shown=Told)
    runs = ["run"] * 2
    assert told[-2:] == runs
    assert [said for said in told if "not be compared in pairs" in said] == told[:-2]
    assert (told == runs) is pairs


def test_what_is_finished_is_not_run_again(out: Path) -> None:
    first, _ = study(out)
    again, runner = study(out, lambda job: pytest.fail("it was run again"))
    assert (again, runner.jobs) == (first, [])
    more, runner = study(out, vary={"model.cell": ["elman", "gru", "lstm"]}, seeds=3)
    assert runner.names == ["cell-lstm/seed-0", "cell-lstm/seed-1"] + [
        f"cell-{c}/seed-2" for c in ("elman", "gru", "lstm")
    ]
    assert len(more.runs) == 9


def test_one_that_is_finished_and_not_noted_is_looked_at(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the end of a run and the note of it."""
    study(out)
    told = json.loads((out / "compare.json").read_text())
    told["runs"] = []
    (out / "compare.json").write_text(json.dumps(told))
    monkeypatch.setattr("recurra.comparison.conduct.result_of", lambda path: result(0.7))
    found, runner = study(out)
    assert runner.jobs == []
    assert [run.value for run in found.runs] == [0.7] * 4


def test_what_fails_is_told_and_tried_again(out: Path) -> None:
    def does(job: Job) -> Any:
        if job.name == "cell-elman/seed-0":
            return Outcome("failed", "the loss is no longer finite")
        if job.name == "cell-gru/seed-1":
            raise OSError("no space left")
        return scored(job)

    found, _ = study(out, does)
    assert found.failed == {
        "cell-elman/seed-0": "the loss is no longer finite",
        "cell-gru/seed-1": "OSError: no space left",
    }
    assert (len(found.runs), found.missing) == (2, 0)
    again, runner = study(out)
    assert sorted(runner.names) == sorted(found.failed)
    assert (again.failed, len(again.runs)) == ({}, 4)


def test_an_interrupted_one_goes_on(out: Path) -> None:
    def does(job: Job) -> Any:
        if "seed-1" in job.name:
            begin(job.path, job.recipe)
            return Outcome("interrupted")
        return scored(job)

    found, _ = study(out, does)
    assert (len(found.runs), found.missing, dict(found.failed)) == (2, 2, {})
    again, runner = study(out, lambda job: finish_begun(job) or Outcome("done", "", scored(job)))
    assert runner.names == ["cell-elman/seed-1", "cell-gru/seed-1"]
    assert again.missing == 0


def finish_begun(job: Job) -> None:
    assert state_of(job.path, RECIPE.__class__.model_validate(job.recipe)) == "begun"
    (job.path / "summary.json").write_text("{}")


def test_ctrl_c_stops_all(out: Path) -> None:
    class Slow(FakeRunner):
        def submit(self, job: Job, tell: Any) -> Any:
            done = super().submit(job, tell)
            if len(self.jobs) < 4:
                return done
            self.held: Any = Future()
            return self.held

        def stop(self, name: str | None = None) -> None:
            super().stop(name)
            self.held.set_result(Outcome("interrupted"))

    runner = Slow(scored)
    board = _Interrupting()
    found = compare_variants(
        RECIPE, TEXTS, out, vary=CELLS, seeds=2, runner=runner, shown=lambda *how: board
    )
    assert found.interrupted
    assert runner.stopped == [None]
    assert runner.closed
    assert board.said == ["Stopping: each run keeps what it has. Ctrl-C again: at once."]
    assert found.missing == 1


class _Interrupting(Board):
    def __init__(self) -> None:
        super().__init__(4)
        self.said: list[str] = []

    def end(self, name: str, outcome: Outcome) -> None:
        super().end(name, outcome)
        if not self.said:
            os.kill(os.getpid(), signal.SIGINT)

    def say(self, text: str) -> None:
        self.said.append(text)


def test_a_folder_with_another_comparison_is_refused(out: Path) -> None:
    study(out)
    before = (out / "compare.json").read_bytes()
    recipe = load_recipe("classification", ["training.epochs=3"])
    with pytest.raises(RunError, match=r"holds another.*training\.epochs is 2(\.0)? there, 3"):
        study(out, recipe=recipe)
    with pytest.raises(RunError, match="holds another comparison"):
        study(out, vary={"model.hidden_size": [8]})
    assert (out / "compare.json").read_bytes() == before


def test_a_folder_with_something_else_is_refused(out: Path) -> None:
    out.mkdir()
    (out / "thesis.tex").write_text("x")
    with pytest.raises(RunError, match=r"expected a new folder, or one of this comparison"):
        study(out)
    assert os.listdir(out) == ["thesis.tex"]


def test_a_run_with_other_settings_in_its_place_is_told(out: Path) -> None:
    other = load_recipe("classification", ["training.epochs=9"])
    study(out)
    shutil.rmtree(out / "cell-gru" / "seed-0")
    finish(out / "cell-gru" / "seed-0", other.model_dump())
    found, runner = study(out)
    assert runner.jobs == []
    assert "holds a run with other settings" in found.failed["cell-gru/seed-0"]


def test_runs_on_different_data_are_not_compared(out: Path) -> None:
    with pytest.raises(DataError, match="were trained on different data"):
        study(out, lambda job: result(0.5, data=f"d{job.recipe['training']['seed']}"))
    # Where variants read otherwise, that is what is compared.
    vary = {"data.lower": [True, False]}
    found, _ = study(
        out.with_name("other"), lambda job: result(0.5, data=str(job.recipe["data"])), vary=vary
    )
    assert len(found.runs) == 4


def test_no_comparison_fails_by_its_picture(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> None:
        raise ValueError("what the library\n makes of it")

    monkeypatch.setattr("recurra.diagnosis.pictures", broken)
    board = _Interrupting()
    board.said.append("")
    runner = FakeRunner(scored)
    how = {"vary": CELLS, "runner": runner, "shown": lambda *how: board}
    assert len(compare_variants(RECIPE, TEXTS, out, **how).runs) == 2
    assert board.said[1:] == ["no picture of the comparison: what the library makes of it"]
    assert not (out / "compare.svg").exists()


def test_data_that_cannot_be_handed_over(out: Path) -> None:
    with pytest.raises(SettingError, match="expected what can be handed to other processes"):
        study(out, data=((text for text in TEXTS[0]), TEXTS[1]))
    with pytest.raises(DataError, match="no such file"):
        study(out, data=Path("nothing.csv"))
    assert not out.exists()


@pytest.mark.parametrize("wrong", [{"seeds": 0}, {"jobs": 0}, {"vary": {"model.cell": ["x"]}}])
def test_wrong_settings_make_no_folder(out: Path, wrong: Any) -> None:
    with pytest.raises(SettingError):
        study(out, **wrong)
    assert not out.exists()


def test_a_folder_that_cannot_be_made(out: Path) -> None:
    out.write_text("a file")
    with pytest.raises(RunError, match="cannot be made"):
        study(out)


def test_one_process_at_a_time(out: Path) -> None:
    with Study(out, {"a": 1}) as one:
        one.write({})
        with pytest.raises(RunError, match="another process is working in this folder"):
            Study(out, {"a": 1}).__enter__()
    with Study(out, {"a": 1}):
        pass


def test_a_disk_that_is_full_ends_it_with_a_sentence(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the runs have is theirs; the next time they are taken as they are."""
    runner, write = FakeRunner(scored), studies.write_file

    def full(path: Path, content: bytes) -> None:
        if len(runner.jobs) > 2:
            raise RunError(f"{path}: cannot be written (No space left on device)")
        write(path, content)

    monkeypatch.setattr(studies, "write_file", full)
    with pytest.raises(RunError, match=r"compare\.json: cannot be written \(No space left"):
        compare_variants(RECIPE, TEXTS, out, vary=CELLS, seeds=2, runner=runner)
    assert runner.closed
    monkeypatch.setattr(studies, "write_file", write)
    monkeypatch.setattr("recurra.comparison.conduct.result_of", lambda path: result(0.7))
    again, runner = study(out)
    assert runner.jobs == []
    assert len(again.runs) == 4


def test_a_damaged_file_is_told(out: Path) -> None:
    study(out)
    (out / "compare.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"compare\.json: missing or damaged"):
        study(out)
    (out / "compare.json").write_text("{}")
    with pytest.raises(ArtifactError, match="does not say what it is of"):
        study(out)
    with pytest.raises(ArtifactError, match="damaged"):
        read_comparison(out)


def test_states_of_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "run"
    assert state_of(path, RECIPE) == "new"
    (path / "checkpoints").mkdir(parents=True)
    (path / "data.json").write_text("{}")
    assert state_of(path, RECIPE) == "new"
    clear(path)  # killed before it had a recipe: a training takes an empty folder alone
    assert not path.exists()
    begin(path, RECIPE.model_dump())
    assert state_of(path, RECIPE) == "begun"
    (path / "summary.json").write_text("{}")
    assert state_of(path, RECIPE) == "finished"


def test_nothing_but_leftovers_is_taken_away(tmp_path: Path) -> None:
    for name in ("notes.txt", "checkpoints/000001"):
        path = tmp_path / name.partition("/")[0]
        (path / name).mkdir(parents=True)
        clear(path)
        assert (path / name).is_dir()


def test_modules_of_cells_of_ones_own_are_imported_there(out: Path) -> None:
    import recurra
    from recurra.cells.base import _REGISTERED

    @recurra.register("compared-cell")
    class Own(recurra.ElmanCell):
        pass

    try:
        vary = {"model.cell": ["gru", "compared-cell"]}
        _, runner = study(out, lambda job: result(0.5), vary=vary)
        assert runner.jobs[0].imports == (Own.__module__,)
        Own.__module__ = "__main__"
        with pytest.raises(SettingError, match="is defined in the script that runs"):
            study(out, vary=vary)
        _, runner = study(out.with_name("b"), lambda job: result(0.5), vary=vary, imports=["m"])
        assert runner.jobs[0].imports == ("m",)
    finally:
        del _REGISTERED["compared-cell"]
