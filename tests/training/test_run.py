"""The folder of a run: written whole or not at all, and nothing of value is ever lost."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from recurra import artifact
from recurra.data import CharacterVocabulary
from recurra.errors import ArtifactError, RunError
from recurra.models import LanguageModel, LanguageModelConfig
from recurra.tasks import Task, task_by_name
from recurra.training import RunFolder

VOCABULARY = CharacterVocabulary("abc")
CONFIG = LanguageModelConfig(hidden_size=4, layers=1, vocabulary_size=len(VOCABULARY))


def model(seed: int = 0) -> LanguageModel:
    torch.manual_seed(seed)
    return LanguageModel(CONFIG)


def kept(model: LanguageModel) -> tuple[LanguageModel, dict[str, CharacterVocabulary], Task]:
    """A model, its fronts, and whose it is."""
    return model, {"text": VOCABULARY}, task_by_name("language-model")


def steps(run: RunFolder) -> list[str]:
    return sorted(path.name for path in (run.path / "checkpoints").iterdir())


def full_disk(after: int) -> Callable[[int], None]:
    """An fsync that finds the disk full when it is called for the ``after``-th time."""
    calls = 0

    def fsync(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls >= after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return fsync


def test_a_new_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "a" / "b")
    assert (run.path / "checkpoints").is_dir()


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert RunFolder(tmp_path / "run").path == tmp_path / "run"


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine")
    with pytest.raises(RunError, match="there is something already"):
        RunFolder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine")
    with pytest.raises(RunError, match="there is something already"):
        RunFolder(tmp_path / "note")
    with pytest.raises(RunError, match="cannot be made"):
        RunFolder(tmp_path / "note" / "run")
    assert (tmp_path / "note").read_text() == "mine"


def test_files_are_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "run")
    run.write("note", "first\n")
    monkeypatch.setattr(os, "fsync", full_disk(1))
    with pytest.raises(RunError, match="note: cannot be written \\(No space left on device\\)"):
        run.write("note", "second\n")
    assert (run.path / "note").read_text() == "first\n"
    assert not list(run.path.glob(".*"))


def test_json_can_be_read_back(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.write_json("note.json", {"é": [1, 2.5, None]})
    assert json.loads((run.path / "note.json").read_text()) == {"é": [1, 2.5, None]}


def test_the_log_has_one_header(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.log({"step": 1, "loss": 2.5})
    run.log({"step": 2, "loss": ""})
    assert (run.path / "log.csv").read_text() == "step,loss\n1,2.5\n2,\n"


def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    (run.path / "log.csv").mkdir()
    with pytest.raises(RunError, match=r"log\.csv: cannot be written"):
        run.log({"step": 1})


def test_pointers_and_which_checkpoints_are_kept(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", keep=1)
    for step, best in ((1, True), (2, False), (3, False), (4, False)):
        run.checkpoint(step, kept(model(step)), best=best)
    assert (run.path / "last").read_text() == "000004\n"
    assert (run.path / "best").read_text() == "000001\n"
    assert steps(run) == ["000001", "000003", "000004"]
    run.checkpoint(5, kept(model(5)), best=True)
    assert (run.path / "best").read_text() == (run.path / "last").read_text() == "000005\n"
    assert steps(run) == ["000004", "000005"]


def test_nothing_but_the_pointed_at_is_kept_if_asked(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", keep=0)
    for step in range(1, 5):
        run.checkpoint(step, kept(model(step)), best=step == 2)
    assert steps(run) == ["000002", "000004"]


def test_the_first_checkpoint_is_the_best_so_far(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.checkpoint(7, kept(model()), best=False)
    assert (run.path / "best").read_text() == "000007\n"


def test_a_checkpoint_is_never_changed(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.checkpoint(1, kept(model(0)), best=True)
    before = (run.path / "checkpoints/000001/model.safetensors").read_bytes()
    run.checkpoint(1, kept(model(1)), best=True)
    assert (run.path / "checkpoints/000001/model.safetensors").read_bytes() == before


@pytest.mark.parametrize("after", [1, 2, 3, 4, 5])
def test_a_disk_that_is_full_leaves_the_earlier_checkpoint(
    after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "run")
    first = model(0)
    run.checkpoint(1, kept(first), best=True)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk(after))
        with pytest.raises(RunError, match="No space left on device"):
            run.checkpoint(2, kept(model(1)), best=True)
    assert not list(run.path.rglob(".*"))
    loaded = artifact.load(run.path)
    assert loaded.path.name == "000001"
    assert torch.equal(loaded.model.encoder.embedding_weight, first.encoder.embedding_weight)  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_run_that_is_killed_at_any_moment_still_loads(tmp_path: Path) -> None:
    # Each child writes a second checkpoint and is killed at its n-th call of the file system.
    script = """
import os, shutil, signal, sys, torch
from pathlib import Path
from recurra.data import CharacterVocabulary
from recurra.models import LanguageModel, LanguageModelConfig
from recurra.tasks import task_by_name
from recurra.training import RunFolder
words, task = {"text": CharacterVocabulary("abc")}, task_by_name("language-model")
config = LanguageModelConfig(hidden_size=4, layers=1, vocabulary_size=6)
make = lambda: (LanguageModel(config), words, task)
torch.set_num_threads(1)
killed = 0
for moment in range(1, 40):
    run = RunFolder(Path(sys.argv[1]) / f"{moment:02d}", keep=0)
    run.checkpoint(1, make(), best=True)
    child = os.fork()
    if child == 0:
        calls = 0
        def killing(real):
            def call(*args, **kwargs):
                global calls
                calls += 1
                if calls == moment:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **kwargs)
            return call
        for name in ("fsync", "replace", "mkdir", "unlink", "rmdir", "open"):
            setattr(os, name, killing(getattr(os, name)))
        run.checkpoint(2, make(), best=True)
        os._exit(0)
    killed += os.waitpid(child, 0)[1] == signal.SIGKILL
print(killed)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    killed = int(done.stdout)
    assert 8 < killed < 39  # so many moments there are, and all of them were tried
    runs = sorted(tmp_path.iterdir())
    loaded = [artifact.load(run).path.name for run in runs]
    assert loaded == sorted(loaded)  # first the old checkpoint, from some moment on the new one
    assert set(loaded) == {"000001", "000002"}
    half_written = [run for run in runs if list((run / "checkpoints").glob(".*"))]
    assert half_written  # what was under way has another name, which no loader takes


@pytest.mark.parametrize("by_link", [False, True])
def test_a_folder_that_was_there_stays(tmp_path: Path, by_link: bool) -> None:
    place = mine = tmp_path / "mine"
    mine.mkdir()
    if by_link:
        place = tmp_path / "link"
        place.symlink_to(mine)
    run = RunFolder(place)
    run.write("data.json", "{}")
    run.remove()
    assert mine.is_dir()
    assert not any(mine.iterdir())
    RunFolder(tmp_path / "new").remove()
    assert not (tmp_path / "new").exists()


def test_checkpoints_without_the_name_of_the_last_are_not_nothing(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    assert run.last_training() is None
    (run.path / "checkpoints" / "000012").mkdir()  # killed before the name was written
    assert run.last_training() is None
    run.write("best", "000012\n")
    with pytest.raises(ArtifactError, match=r"last: is missing, .* the newest into it, 000012,"):
        run.last_training()


def test_what_is_of_the_end_is_gone_when_a_run_goes_on(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    for name in ("summary.json", "pictures.json", "forecast.svg", "data.json"):
        run.write(name, "{}\n")
    run.rewind(-1, None)
    assert {path.name for path in run.path.iterdir() if path.is_file()} == {"data.json"}
