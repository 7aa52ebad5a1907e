"""The documentation site: strict, complete, without the network; and able to fail."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from textwrap import dedent

import pytest

import recurra
import recurra_runtime
from recurra.cells import cell_by_name, cell_names
from recurra.cells.base import _REGISTERED
from recurra.training.recipe import recipe_text

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))
# What torch calls when it prints a module: nothing to a reader.
HIDDEN = {"extra_repr"}


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=root,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


class Page(HTMLParser):
    """The ids of a page, and what a browser loads with it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.loads: list[str] = []
        self.classes: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        values = {name: value or "" for name, value in attrs}
        self.classes.update(values.get("class", "").split())
        if "id" in values:
            self.ids.add(values["id"])
        if tag == "link" and values.get("rel") not in ("prev", "next"):
            self.loads.append(values.get("href", ""))
        if tag != "a":
            self.loads += [values[name] for name in ("src", "srcset", "data") if name in values]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder


def names():
    """Every public name: its room, how users write it, the object."""
    for room in recurra._ROOMS:
        module = import_module(f"recurra.{room}")
        prefix = f"recurra.{room}" if room in recurra._INSIDE else "recurra"
        yield from ((room, f"{prefix}.{name}", getattr(module, name)) for name in module.__all__)
    for name in recurra_runtime.__all__:
        yield "recurra_runtime", f"recurra_runtime.{name}", getattr(recurra_runtime, name)


def members(value):
    """The public methods and properties that a class documents itself."""
    for name, member in vars(value).items():
        function = getattr(member, "fget", None) or getattr(member, "__func__", member)
        written = inspect.isfunction(function) and function.__module__ == value.__module__
        if written and function.__doc__ and not name.startswith("_") and name not in HIDDEN:
            yield name


def test_every_public_name_has_an_entry(site):
    missing = []
    pages: dict[str, set[str]] = {}
    for room, shown, value in names():
        if room not in pages:
            pages[room] = Page(site / "api" / f"{room}.html").ids
        expected = [shown]
        if inspect.isclass(value):
            expected += [f"{shown}.{member}" for member in members(value)]
        missing += [name for name in expected if name not in pages[room]]
    assert len(pages) == len(recurra._ROOMS) + 1
    assert missing == []


def test_the_overview_and_the_inventory_name_them_too(site):
    text = (site / "api" / "index.html").read_text(encoding="utf-8")
    assert [shown for _, shown, _ in names() if f"<code>{shown}</code></a>" not in text] == []
    assert (site / "objects.inv").exists()


def test_nothing_is_loaded_from_elsewhere(site):
    html = sorted(site.rglob("*.html"))
    assert len(html) > len(recurra._ROOMS)
    for path in html:
        page = Page(path)
        assert page.loads  # its own styles and scripts
        assert [load for load in page.loads if re.match(r"(\w+:)?//", load)] == [], path
        assert "mermaid" not in page.classes  # the theme would fetch what draws these
    for path in site.rglob("*.css"):
        style = path.read_text(encoding="utf-8")
        assert not re.search(r"@import|url\([\"']?(https?:)?//", style), path


def test_what_loads_from_elsewhere_is_seen(tmp_path):
    path = tmp_path / "page.html"
    path.write_text('<a href="https://a.b"></a><img src="//a.b/c.png"><link href="https://a.b/c">')
    assert Page(path).loads == ["//a.b/c.png", "https://a.b/c"]


def test_math_and_roles_are_read(site):
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r":[a-z]+:<code>|<p>[^<]*(::|\.\. \w+::)\s*</p>|<merror", text), path
    cells = (site / "api" / "cells.html").read_text(encoding="utf-8")
    start = cells.index('id="recurra.LSTMCell"')
    entry = cells[start : cells.index("<h3", start)]
    assert '<div class="math"><math' in entry
    assert entry.count("<mtr>") > 1  # aligned
    step = (site / "guide" / "one-step.html").read_text(encoding="utf-8")
    assert "$" not in re.sub(r"<(script|style|pre)\b.*?</\1>", "", step, flags=re.DOTALL)
    assert re.search(r'keeps a state <math[^>]*display="inline"', step)
    # A role that names a method of the class leads to it, also where an argument has its name.
    assert re.search(r'href="#recurra\.Cell\.noise"><code>noise</code>', cells)


GOOD = '''\
"""Tools."""

__all__ = ["Box", "{exported}"]


class Box:
    r"""A box, see :meth:`open`.

    .. math:: a = {latex}

    Args:
        size: its size.
    """

    def __init__(self, {argument}: int) -> None:
        self.content = None

    def open(self) -> None:
        """Open it, as :class:`{role}` does."""


def pack(things: int) -> None:
    """Pack.

    Args:
        things: to pack.
    """
'''
PAGE = "# Start\n\n`recurra.{code}` and [the reference]({link}).\n\n{mark}\n"
FITS = {
    "exported": "pack",
    "latex": r"\sigma(b)",
    "role": "Box",
    "argument": "size",
    "code": "Box.open",
    "link": "api/tools.md#recurra.Box",
    "mark": "Text.",
}
# One thing wrong, and what the build says of it.
WRONG = {
    "exported": ("gone", "__all__ has recurra.gone, which is not there"),
    "latex": (r"\nosuch(b)", "math has unknown parts"),
    "role": ("Nowhere", "Could not find cross-reference target 'Nowhere'"),
    "argument": ("bags", "Parameter 'size' does not appear in the function signature"),
    "code": ("nonsense", "there is no recurra.nonsense"),
    "link": ("nowhere.md", "contains a link 'nowhere.md'"),
    "mark": (".. note:: a", "not understood: .. note:: a"),
}


def small(root: Path, tools: str = GOOD, **changes: str) -> subprocess.CompletedProcess[str]:
    """Build the site of a library of two names."""
    for watched in ("runtime/src", "examples"):
        (root / watched).mkdir(parents=True)
    words = FITS | changes
    package = root / "src" / "recurra"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        dedent(
            """
            from typing import TYPE_CHECKING

            if TYPE_CHECKING:
                from recurra.tools import *

            _ROOMS = ("tools",)
            _INSIDE = ()
            """
        )
    )
    (package / "tools.py").write_text(tools.format(**words))
    shutil.copy(ROOT / "mkdocs.yml", root)
    shutil.copytree(ROOT / "docs" / "_site", root / "docs" / "_site")
    (root / "docs" / "index.md").write_text(PAGE.format(**words))
    return build(root, root / "site")


def test_a_small_library_passes(tmp_path):
    done = small(tmp_path)
    assert done.returncode == 0, done.stderr
    page = Page(tmp_path / "site" / "api" / "tools.html")
    assert {"recurra.Box", "recurra.Box.open", "recurra.pack"} <= page.ids


def test_what_is_wrong_ends_the_build(tmp_path):
    done = small(tmp_path, **{what: wrong for what, (wrong, _) in WRONG.items()})
    assert done.returncode != 0
    warnings = [line for line in done.stderr.splitlines() if line.startswith("WARNING")]
    for _, said in WRONG.values():
        assert any(said in line for line in warnings), (said, done.stderr)


def test_a_name_without_a_docstring_ends_the_build(tmp_path):
    bare = re.sub(r'\n    """Pack.*"""', " ...", GOOD, flags=re.DOTALL)
    assert bare.endswith("int) -> None: ...\n")
    done = small(tmp_path, bare)
    assert done.returncode != 0
    assert "recurra.pack has no docstring" in done.stderr


def test_a_section_shows_its_pages_in_their_order(site):
    text = (site / "index.html").read_text(encoding="utf-8")
    places = [text.index(f'href="guide/{name}.html"') for name in ("why-order", "one-step", "bptt")]
    assert text.index('href="guide/index.html"') < places[0]
    assert places == sorted(places)


def test_a_page_of_a_folder_leads_to_the_repository(site):
    text = (site / "guide" / "bptt.html").read_text(encoding="utf-8")
    assert 'href="../examples.html#language_model"' in text
    assert "<details><summary>" in text
    assert "```" not in text  # also the code within is read


def links(page):
    return re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))


LINKED = [page for page in (*PAGES, ROOT / "README.md", ROOT / "CHANGELOG.md") if links(page)]


@pytest.mark.parametrize("page", LINKED, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_links_hold_in_the_repository(page):
    for link in links(page):
        assert link.startswith("https://") or (page.parent / link).exists(), link


def test_links_are_found():
    """Most pages have some, these surely."""
    assert {ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "docs" / "engine.md"} < set(LINKED)
    assert len(LINKED) > len(PAGES) / 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_all_python_of_a_page_is_run(page):
    # tests/test_examples.py runs the blocks that begin a line with just this.
    text = page.read_text(encoding="utf-8")
    assert len(re.findall(r"(```|~~~) *(python|py)\b", text)) == text.count("\n```python\n")


@pytest.mark.parametrize("folder", ["docs", "docs/guide"])
def test_the_start_leads_to_every_page(folder):
    start = ROOT / folder / "index.md"
    beside = {page.name for page in PAGES if page.parent == start.parent}
    assert beside - {*links(start), start.name} == set()


@pytest.mark.parametrize("task", ["classification", "recognition", "tagging", "transduction"])
def test_every_setting_of_a_recipe_has_a_place(task):
    """On the page of its task, or on that of all; what a task alone has stands on its own."""
    pages = {n: (ROOT / "docs" / f"{n}.md").read_text("utf-8") for n in (task, "settings")}
    prose = {name: re.sub(r"```.*?```", "", text, flags=re.S) for name, text in pages.items()}
    told = {n: set(re.findall(r"\w+", " ".join(re.findall("`[^`]+`", prose[n])))) for n in prose}
    recipe = recipe_text(task)
    names = set(re.findall(r"^(?:# )?(\w+) = ", recipe, re.M)) - {"task"}
    assert len(names) > 40
    assert names - told[task] - told["settings"] == set()


def test_the_table_of_cells_is_true():
    rows = {}
    for line in (ROOT / "docs" / "cells.md").read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 7 and cells[0].startswith("`"):
            rows[cells[0].strip("`")] = cells[1:]
    assert list(rows) == list(cell_names())
    for name, (shown, _, state, formula, norm, dropout) in rows.items():
        cell = cell_by_name(name, 3, 4)
        taken = inspect.signature(_REGISTERED[name]).parameters
        assert type(cell).__name__ in shown
        assert state == ", ".join(cell.initial_state(1)._fields)
        assert formula == f"`{cell.parameter_formula()[0]}`"
        assert (norm == "yes") == ("norm" in taken)
        assert (dropout == "yes") == ("recurrent_dropout" in taken)
        assert recurra.explain(cell).choices[0].backend == "native"


@pytest.mark.skipif(not recurra_runtime.native_available(), reason="there is no native module")
def test_what_explain_is_said_to_print_is_printed(capsys):
    blocks = (ROOT / "docs" / "engine.md").read_text(encoding="utf-8").split("\n```")
    (number,) = (n for n, block in enumerate(blocks) if block.startswith("text\nForgetful runs"))
    exec(blocks[1].removeprefix("python\n"), {"__name__": "page"})
    *told, kernels = capsys.readouterr().out.splitlines()
    *shown, chosen = blocks[number].splitlines()[1:]
    assert told == shown
    assert kernels.rpartition(" ")[0] == chosen.rpartition(" ")[0]  # of this processor
