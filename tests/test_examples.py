"""Examples and the code of README run as they stand."""

import importlib.util
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
_SPEC = importlib.util.spec_from_file_location("pictures", ROOT / "scripts" / "pictures.py")
pictures = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(pictures)
GUIDE = ROOT / "docs" / "guide"
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SAYS = {
    "another_order": r"e ( 0\.[0-4]\d){4} +[01]\.(?s:.)*width 2: \(3,\) with probability 0\.36",
    "language_model": r"epoch 6: 0\.\d+ nats per symbol",
    "one_label": r"good with probability 0\.[89]\d|good with probability 1\.00",
    "own_cell": r"Zoneout runs on 'native'",
}


def run(code, tmp_path):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
    )


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path, tmp_path):
    done = run(path.read_text(), tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(SAYS[path.stem], done.stdout), done.stdout


def pages():
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        if pictures.code_of(page):
            yield pytest.param(page, id=f"{page.parent.name}/{page.name}")


def write_data(folder):
    """What pages read: a table of reviews, and a text."""
    good, bad = ("warm", "funny", "great"), ("dull", "cold", "nothing")
    rows = [
        f"a {word} {noun} no {n}"
        for n in range(20)
        for word in good + bad
        for noun in ("film", "story")
    ]
    table = [f"{row},{'good' if row.split()[1] in good else 'bad'}" for row in rows]
    (folder / "reviews.csv").write_text("\n".join(["text,label", *table]) + "\n")
    (folder / "book.txt").write_text("to be or not to be said the prince of words. " * 100)


_NUMBER = re.compile(r"[-\u2212]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
_DRAWN = re.compile(r"<(?:path|text)\b[^>]*>[^<]*")
_SHIFT = 1  # points of a picture: what two processors may make of the same numbers


def unlike(one, other, shift=_SHIFT):
    """How an SVG differs from another: in what it draws and says, or by how far; "" if alike."""
    parts = ["".join(_DRAWN.findall(text)) for text in (one, other)]
    said = [_NUMBER.sub("#", part) for part in parts]
    if said[0] != said[1]:
        return "other lines or words"
    numbers = [
        np.array([float(n.replace("\u2212", "-")) for n in _NUMBER.findall(part)]) for part in parts
    ]
    apart = float(np.abs(numbers[0] - numbers[1]).max(initial=0))
    return f"{apart:.1f} points apart" if apart > shift else ""


@pytest.mark.parametrize("page", list(pages()))
def test_code_of_pages(page, tmp_path):
    """All Python of a page, block after block; and what it draws is what the page shows."""
    write_data(tmp_path)
    done = run(pictures.code_of(page), tmp_path)
    assert done.returncode == 0, done.stderr
    # A network that is trained elsewhere is not the same to the bit.
    shift = math.inf if "optimizer.step" in pictures.code_of(page) else _SHIFT
    for name in pictures.drawn(page):
        drawn = (tmp_path / name).read_text(encoding="utf-8")
        kept = (page.parent / name).read_text(encoding="utf-8")
        assert unlike(drawn, kept, shift) == "", f"{name}: run scripts/pictures.py {page}"


def test_no_page_writes_a_run_where_another_does():
    """Who tries one page after another in one folder is never told that a run is there already."""
    readme = (ROOT / "README.md").read_text()
    written = re.findall(r"--out (runs/\S+)", readme)
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        written += {*re.findall(r'out="(runs/[^"]+)"', page.read_text(encoding="utf-8"))}
    assert len(written) > 10
    assert sorted(written) == sorted({*written})


def test_pages_of_the_course_draw_their_pictures():
    pages = {page.stem: pictures.drawn(page) for page in pictures.PAGES}
    course = re.findall(r"^\| \d+ \|.*?\]\(([\w-]+)\.md\)", (GUIDE / "index.md").read_text(), re.M)
    assert len(course) == 10
    for name in course:
        text = (GUIDE / f"{name}.md").read_text(encoding="utf-8")
        assert text.count("![") == len(pages[name]) > 0


def test_another_picture_is_seen():
    kept = (GUIDE / "slopes.svg").read_text(encoding="utf-8")
    other = (GUIDE / "activations.svg").read_text(encoding="utf-8")
    assert unlike(kept, kept) == ""
    assert unlike(kept, other) == "other lines or words"
    assert unlike(kept, kept.replace("tanh", "sine")) == "other lines or words"
    higher = re.sub(r"(?<=,)\d+(?=\.\d)", lambda n: str(int(n[0]) + 60), kept)
    assert "points apart" in unlike(kept, higher)


def test_every_example_is_in_the_readme():
    readme = (ROOT / "README.md").read_text()
    for path in EXAMPLES:
        assert f"examples/{path.name}" in readme


def test_readme_names_the_commands():
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme
    (folder,) = re.findall(r"The demo leaves its run in `([^`]+)`", readme)
    assert f"recurra inspect {folder} --data" in readme
    assert folder in run("from recurra.cli import app; app(['demo', '--help'])", ROOT).stdout
    help_text = run("from recurra.cli import app; app(['--help'])", ROOT).stdout
    for command in re.findall(r"^recurra (\w[\w-]*)", readme, re.M):
        assert re.search(rf"\b{command}\b", help_text), command
