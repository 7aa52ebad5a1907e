"""The folder of a run: written whole or not at all, and nothing of value is ever lost."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch

from recurra import artifact
from recurra.data import CharacterVocabulary
from recurra.errors import ArtifactError, RunError
from recurra.models import AddK, KneserNey, LanguageModel, LanguageModelConfig, NGram
from recurra.pipeline.ngrams import read_ngrams
from recurra.training import RunFolder

VOCABULARY = CharacterVocabulary("abc")
CONFIG = LanguageModelConfig(hidden_size=4, layers=1, vocabulary_size=len(VOCABULARY))


def model(seed: int = 0) -> LanguageModel:
    torch.manual_seed(seed)
    return LanguageModel(CONFIG)


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
        run.checkpoint(step, model(step), {"text": VOCABULARY}, best=best)
    assert (run.path / "last").read_text() == "000004\n"
    assert (run.path / "best").read_text() == "000001\n"
    assert steps(run) == ["000001", "000003", "000004"]
    run.checkpoint(5, model(5), {"text": VOCABULARY}, best=True)
    assert (run.path / "best").read_text() == (run.path / "last").read_text() == "000005\n"
    assert steps(run) == ["000004", "000005"]


def test_nothing_but_the_pointed_at_is_kept_if_asked(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", keep=0)
    for step in range(1, 5):
        run.checkpoint(step, model(step), {"text": VOCABULARY}, best=step == 2)
    assert steps(run) == ["000002", "000004"]


def test_the_first_checkpoint_is_the_best_so_far(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.checkpoint(7, model(), {"text": VOCABULARY}, best=False)
    assert (run.path / "best").read_text() == "000007\n"


def test_a_checkpoint_is_never_changed(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.checkpoint(1, model(0), {"text": VOCABULARY}, best=True)
    before = (run.path / "checkpoints/000001/model.safetensors").read_bytes()
    run.checkpoint(1, model(1), {"text": VOCABULARY}, best=True)
    assert (run.path / "checkpoints/000001/model.safetensors").read_bytes() == before


@pytest.mark.parametrize("after", [1, 2, 3, 4, 5])
def test_a_disk_that_is_full_leaves_the_earlier_checkpoint(
    after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "run")
    first = model(0)
    run.checkpoint(1, first, {"text": VOCABULARY}, best=True)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk(after))
        with pytest.raises(RunError, match="No space left on device"):
            run.checkpoint(2, model(1), {"text": VOCABULARY}, best=True)
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
from recurra.training import RunFolder
words = {"text": CharacterVocabulary("abc")}
make = lambda: LanguageModel(LanguageModelConfig(hidden_size=4, layers=1, vocabulary_size=6))
torch.set_num_threads(1)
killed = 0
for moment in range(1, 40):
    run = RunFolder(Path(sys.argv[1]) / f"{moment:02d}", keep=0)
    run.checkpoint(1, make(), words, best=True)
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
        run.checkpoint(2, make(), words, best=True)
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


def bigrams() -> dict[str, NGram]:
    documents = [VOCABULARY.encode(text) for text in ("abcabc", "abab", "c")]
    size, start, end = len(VOCABULARY), 1, 2
    return {
        "bigram": NGram.fit(
            documents, order=2, vocabulary_size=size, start=start, end=end, smoothing=KneserNey()
        ),
        "3-gram": NGram.fit(
            documents, order=3, vocabulary_size=size, start=start, end=end, smoothing=AddK(0.5)
        ),
    }


def test_ngrams_score_the_same_after_they_are_saved(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    written = bigrams()
    run.write_ngrams(written)
    read = read_ngrams(run.path)
    assert list(read) == list(written) == ["bigram", "3-gram"]  # the file has no order
    texts = [VOCABULARY.encode(text) for text in ("abcab", "", "ca", "x")]
    for name, ngram in written.items():
        assert read[name].total(texts) == ngram.total(texts)  # to the last bit


def test_a_folder_without_ngrams_has_none(tmp_path: Path) -> None:
    assert read_ngrams(tmp_path) == {}


def cut(raw: bytes) -> bytes:
    return raw[: len(raw) // 2]


def without_a_part(raw: bytes) -> bytes:
    arrays = safetensors.numpy.load(raw)
    del arrays["bigram/counts.2"]
    return safetensors.numpy.save(arrays)


def of_another_shape(raw: bytes) -> bytes:
    arrays: dict[str, Any] = safetensors.numpy.load(raw)
    arrays["bigram/counts.2"] = np.concatenate([arrays["bigram/counts.2"]] * 2)
    return safetensors.numpy.save(arrays)


@pytest.mark.parametrize("summed", [False, True], ids=["", "with its checksum"])
@pytest.mark.parametrize(
    "damage", [cut, without_a_part, of_another_shape, lambda raw: b"", lambda raw: b"{}" * 20]
)
def test_damaged_ngrams_are_refused(
    damage: Callable[[bytes], bytes], summed: bool, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    run.write_ngrams(bigrams())
    file = run.path / "ngrams.safetensors"
    raw = damage(file.read_bytes())
    file.write_bytes(raw)
    if summed:
        sums = {"sha256": hashlib.sha256(raw).hexdigest()}
        (run.path / "ngrams.json").write_text(json.dumps(sums))
    with pytest.raises(ArtifactError, match="damaged") as problem:
        read_ngrams(run.path)
    assert ("checksum" in str(problem.value)) is not summed


@pytest.mark.parametrize("text", ["", "[]", "{}", "3", '{"sha256": 3}', "\xff"])
def test_a_damaged_checksum_of_ngrams_is_refused(text: str, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.write_ngrams(bigrams())
    (run.path / "ngrams.json").write_text(text, encoding="latin-1")
    with pytest.raises(ArtifactError, match=r"ngrams\.safetensors: damaged"):
        read_ngrams(run.path)


def test_a_checkpoint_has_the_ngrams_of_its_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.write_ngrams(bigrams())
    assert list(read_ngrams(run.path / "checkpoints" / "000001")) == ["bigram", "3-gram"]
    assert read_ngrams(run.path / "checkpoints") == {}
    for elsewhere in ("attic", "zoo"):
        assert read_ngrams(run.path / elsewhere / "000001") == {}


def test_the_simplest_ngram_comes_first_whatever_its_name(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    first, second = bigrams().values()
    run.write_ngrams({"a": second, "b": first})
    assert list(read_ngrams(run.path)) == ["b", "a"]


def test_a_flipped_bit_in_the_ngrams_is_seen(tiny_run: Any, tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(tiny_run.path, path)
    assert set(read_ngrams(path)) == {"bigram", "5-gram"}
    file = path / "ngrams.safetensors"
    raw = bytearray(file.read_bytes())
    raw[-3] ^= 1
    file.write_bytes(raw)
    with pytest.raises(ArtifactError, match="checksum"):
        read_ngrams(path)
    file.unlink()
    with pytest.raises(ArtifactError, match="must both be files"):
        read_ngrams(path)
