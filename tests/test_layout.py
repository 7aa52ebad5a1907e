"""docs/layout.md against the tree: it names every folder, and nothing that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "recurra"
TEXT = (ROOT / "docs" / "layout.md").read_text(encoding="utf-8")
# A row of a table: the rooms, and what it says of them.
ROW = re.compile(r"^\| (`[^|]*`) \| (.*) \|$", re.M)
WORD = re.compile(r"`([a-z_][a-z_/.]*)`")


def folders(root: Path) -> set[Path]:
    """All folders below one that have something of the package in them."""
    return {file.parent for file in root.rglob("*") if file.suffix in (".py", ".toml")} - {root}


def absent(text: str, root: Path) -> list[str]:
    """Files and folders of a package that a text does not name: of the files those at the top."""
    said = {*WORD.findall(text)}
    wanted = {f"{folder.name}/" for folder in folders(root)}
    wanted |= {file.name for file in root.glob("[a-z]*.py")}
    return sorted(wanted - said)


def unknown(rooms: str, said: str) -> Iterator[str]:
    """What a row names and none of its rooms has."""
    for name in WORD.findall(rooms):
        if not any((place / name).exists() for place in (SOURCE, SOURCE / "engine")):
            yield name
    found = [SOURCE / name for name in WORD.findall(rooms) if name.endswith("/")]
    found += [SOURCE / "engine" / place.name for place in found]
    inside = {file.stem for place in found for file in place.rglob("*")}
    for name in WORD.findall(said) if inside else []:
        known = name.strip("/") in inside or (SOURCE / name).exists()
        if not known and not name.startswith("recurra."):
            yield name


def test_every_folder_and_every_file_at_the_top_is_named() -> None:
    assert absent(TEXT, SOURCE) == []


@pytest.mark.parametrize(("rooms", "said"), ROW.findall(TEXT))
def test_what_is_named_is_there(rooms: str, said: str) -> None:
    assert list(unknown(rooms, said)) == []


def test_what_is_wrong_is_seen(tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    for name in ("here.py", "there.py", "hidden/one.py"):
        (tmp_path / name).touch()
    assert absent("`here.py` alone", tmp_path) == ["hidden/", "there.py"]
    assert list(unknown("`cells/`", "`lstm` and `quantum`")) == ["quantum"]
    assert list(unknown("`rooms/`", "")) == ["rooms/"]
