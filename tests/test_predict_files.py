"""recurra predict of what is in files: a table that names them, a list, a folder, one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_predict_command import call

import recurra

image = pytest.importorskip("PIL.Image", reason="the extra `pictures` is not installed")
TASKS = {"classification": "label", "recognition": "text", "transduction": "target"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table in a folder, and pictures in a folder below."""
    root, chance = tmp_path_factory.mktemp("drawn"), np.random.default_rng(0)
    (root / "below").mkdir()
    rows = [f"file,{','.join(TASKS.values())}"]
    for number in range(40):
        name, said = f"below/{number:02}.png", "ab"[number % 2]
        picture = chance.integers(0, 90, (8, 12)) + 160 * (number % 2)
        image.fromarray(picture.astype(np.uint8)).save(root / name)
        rows.append(f"{name},{said},{said},{said}")
    (root / "all.csv").write_text("\n".join(rows) + "\n")
    (root / "three.csv").write_text("\n".join(row.partition(",")[0] for row in rows[:4]) + "\n")
    (root / "three.txt").write_text("\n".join(row.partition(",")[0] for row in rows[1:4]) + "\n")
    return root


@pytest.fixture(scope="module", params=TASKS)
def run(request: Any, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("runs") / request.param
    how = {"column": "file", "label": TASKS[request.param], "hidden_size": 4, "epochs": 1}
    recurra.train(request.param, folder / "all.csv", out=out, report=lambda told: None, **how)
    return out


def test_names_are_beside_what_lists_them(
    run: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [call("predict", run, folder / f"below/0{n}.png").stdout for n in range(3)]
    assert all(alone)
    monkeypatch.chdir(tmp_path)  # where none of them is
    for source in ("three.csv", "three.txt"):
        done = call("predict", run, folder / source)
        assert done.stdout == "".join(alone), done.stderr
    whole = call("predict", run, folder / "below").stdout.splitlines()
    assert (len(whole), whole[:3]) == (40, [line.rstrip("\n") for line in alone])
    monkeypatch.chdir(folder)
    (elsewhere := tmp_path / "list.txt").write_text("below/01.png\n")
    assert call("predict", run, elsewhere).stdout == alone[1]
    assert call("predict", run, input="below/01.png\n").stdout == alone[1]


def test_what_is_not_there_is_told_with_the_places(
    run: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (away := tmp_path / "away").mkdir()
    (away / "list.txt").write_text("below/00.png\n")
    (away / "table.csv").write_text("file\nbelow/00.png\n")
    (away / "other.csv").write_text("picture\nbelow/00.png\n")
    monkeypatch.chdir(tmp_path)
    for source, said in (
        ("list.txt", f"'below/00.png': no such file in {away} or {tmp_path}."),
        ("table.csv", f"{Path('away') / 'below/00.png'}: no such file"),
        ("other.csv", "expected a table with the column 'file', as the run reads it, got 'pict"),
        ("none.png", "none.png: no such file"),
    ):
        done = call("predict", run, Path("away") / source)
        assert (done.exit_code, done.stdout) == (2, ""), (source, done.stderr)
        assert said in " ".join(done.stderr.split()), done.stderr
    done = call("predict", run, input="file,label\n")
    assert "expected the name of a file in each line, got 'file,label'" in done.stderr


def test_a_table_of_texts_is_read_by_its_column(tmp_path: Path) -> None:
    texts = [f"{word} {n}" for n in range(30) for word in ("good", "bad")]
    how = {"hidden_size": 4, "epochs": 1, "report": lambda told: None}
    out = tmp_path / "run"
    recurra.train("classification", (texts, ["yes", "no"] * 30), out=out, **how)
    (table := tmp_path / "new.csv").write_text("label,text\n?,good 1\n?,bad 2\n")
    (lines := tmp_path / "new.txt").write_text("good 1\nbad 2\n")
    for more in ((), ("--json",)):
        said = call("predict", out, table, *more).stdout
        assert said
        assert said == call("predict", out, lines, *more).stdout
    (tmp_path / "odd.csv").write_text("said\ngood 1\n")
    done = call("predict", out, tmp_path / "odd.csv")
    assert "expected a table with the column 'text' or" in done.stderr


def test_series_are_read_as_a_tagger_reads_its_own(tmp_path: Path) -> None:
    """A long table: those of a column of ids, with their tags or without."""
    draw = np.random.default_rng(0)
    rows = [(f"c{n}", *draw.normal(size=2), "AB"[step % 2]) for n in range(30) for step in range(5)]
    (known := tmp_path / "known.csv").write_text(
        "case,x,y,label\n" + "".join(f"{c},{x},{y},{tag}\n" for c, x, y, tag in rows)
    )
    (plain := tmp_path / "plain.csv").write_text(
        "case,x,y\n" + "".join(f"{c},{x},{y}\n" for c, x, y, _ in rows)
    )
    how = {"input": "series", "id": "case", "hidden_size": 4, "epochs": 1}
    recurra.train("tagging", known, out=tmp_path / "run", report=lambda told: None, **how)
    said = call("predict", tmp_path / "run", plain).stdout
    assert [len(line.split()) for line in said.splitlines()] == [5] * 30
    assert call("predict", tmp_path / "run", known).stdout == said
