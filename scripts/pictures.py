"""Draw the pictures of pages anew: the code beside each is run, and what it saves is kept.

    python scripts/pictures.py [PAGE ...]

Without a page those of all are drawn. Such a picture is a file beside its page, which the page's
own code saves by the same name; tests/test_examples.py holds the two against each other.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["PAGES", "code_of", "draw", "drawn"]

ROOT = Path(__file__).parent.parent


def code_of(page: Path) -> str:
    """All Python of a page, block after block."""
    return "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.M | re.S))


def drawn(page: Path) -> list[str]:
    """Files that a page shows and its code saves, in its order."""
    code = code_of(page)
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text("utf-8"))
    return [name for name in shown if f'"{name}"' in code]


PAGES = [page for page in sorted((ROOT / "docs").rglob("*.md")) if drawn(page)]


def draw(page: Path, folder: Path) -> None:
    """Run the code of a page in a folder, where its pictures are then."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code_of(page)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode:
        raise SystemExit(f"{page}: its code ends with\n{done.stderr}")
    print(done.stdout, end="")


def _main(names: list[str]) -> None:
    for page in [Path(name).resolve() for name in names] or PAGES:
        with tempfile.TemporaryDirectory() as folder:
            draw(page, Path(folder))
            for name in drawn(page):
                shutil.copyfile(Path(folder) / name, page.parent / name)
                print(page.parent.name, name)


if __name__ == "__main__":
    _main(sys.argv[1:])
