"""Files and folders that are there whole, or not at all, whoever else writes them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from recurra.errors import RunError
from recurra.files import partial_of, write_file, write_folder

DAY = 24 * 3600


def names(folder: Path) -> set[str]:
    return {part.name for part in folder.iterdir()}


def test_writers_of_the_same_file_do_not_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has written its own when the first names it: that of the last one stays, whole."""
    both, plain = threading.Barrier(2), os.replace
    written = []

    def replace(source: Path, target: Path) -> None:
        both.wait(timeout=10)
        written.append(Path(source).read_bytes())
        plain(source, target)

    monkeypatch.setattr(os, "replace", replace)
    contents = [letter * 100_000 for letter in (b"a", b"b")]
    path, failed = tmp_path / "page.html", []

    def write(content: bytes) -> None:
        try:
            write_file(path, content)
        except RunError as problem:
            failed.append(problem)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failed == []
    assert sorted(written) == contents
    assert path.read_bytes() in contents
    assert names(tmp_path) == {"page.html"}


def test_one_that_fails_leaves_the_other_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    other = partial_of(path)
    other.write_bytes(b"half")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "full").touch()
    with pytest.raises(RunError, match="cannot be written"):
        write_file(tmp_path / "folder", b"no file takes the name of a folder")
    write_file(path, b"whole")
    assert (path.read_bytes(), other.read_bytes()) == (b"whole", b"half")
    assert names(tmp_path) == {"a.json", "folder", other.name}


def test_a_process_that_is_killed_while_it_writes_does_no_harm(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom recurra import files\n"
        "os.fsync = lambda number: os.kill(os.getpid(), signal.SIGKILL)\n"
        "files.write_file(Path(sys.argv[1]), b'half')\n"
    )
    path = tmp_path / "a.json"
    write_file(path, b"before")
    done = subprocess.run([sys.executable, "-c", code, str(path)], timeout=60)
    assert done.returncode == -signal.SIGKILL
    (rest,) = names(tmp_path) - {"a.json"}
    assert path.read_bytes() == b"before"
    write_file(path, b"after")
    assert path.read_bytes() == b"after"
    # Nobody knows whether another machine still writes it; a day later it is known.
    assert names(tmp_path) == {"a.json", rest}
    old = time.time() - 2 * DAY
    os.utime(tmp_path / rest, (old, old))
    write_file(path, b"later")
    assert names(tmp_path) == {"a.json"}


def test_the_rest_of_a_folder_is_swept_away_and_nothing_else(tmp_path: Path) -> None:
    rest, own, others = (
        tmp_path / ".model.1-ab.partial",
        tmp_path / ".model.txt",
        tmp_path / "x.partial",
    )
    rest.mkdir()
    (rest / "stale").write_text("half")
    own.write_text("a person's")
    others.write_text("a person's")
    old = time.time() - 2 * DAY
    for path in (rest, own, others):
        os.utime(path, (old, old))
    write_folder(tmp_path / "model", {"config.json": b"{}"})
    assert names(tmp_path) == {"model", own.name, others.name}
    assert names(tmp_path / "model") == {"config.json"}


@pytest.mark.parametrize("name", ["a" * 250, "\N{SNOWMAN}" * 80])
def test_names_as_long_as_they_can_be(tmp_path: Path, name: str) -> None:
    write_file(tmp_path / name, b"whole")
    assert names(tmp_path) == {name}
