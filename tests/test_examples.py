"""Examples and the code of README run as they stand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
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


def blocks():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for page in pages:
        code = "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S))
        if code:
            yield pytest.param(code, id=page.name)


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


@pytest.mark.parametrize("code", list(blocks()))
def test_code_of_pages(code, tmp_path):
    """All Python of a page, block after block."""
    write_data(tmp_path)
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr


def test_every_example_is_in_the_readme():
    readme = (ROOT / "README.md").read_text()
    for path in EXAMPLES:
        assert f"examples/{path.name}" in readme


def test_readme_names_the_commands():
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme
    help_text = run("from recurra.cli import app; app(['--help'])", ROOT).stdout
    for command in re.findall(r"^recurra (\w[\w-]*)", readme, re.M):
        assert re.search(rf"\b{command}\b", help_text), command
