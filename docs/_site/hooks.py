"""What the site has beside the pages of this folder, added when it is built.

* The reference: a page for each room of the package, with an entry for each of its public names.
  Both are read from the source, so that a new name appears by itself. A name without a docstring,
  or without an object, is a warning, which ends a strict build.
* Pages of the repository: CONTRIBUTING, CHANGELOG, and the examples.
* References: public names in inline code, such as ``recurra.Cell``, lead to their entry.
"""

from __future__ import annotations

import ast
import logging
import re
from pathlib import Path
from typing import NamedTuple

from docstrings import Docstrings
from griffe import Alias, GriffeError, GriffeLoader, Module, Object, load_extensions
from markup import Markup, outside_fences
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

log = logging.getLogger("mkdocs.hooks.recurra")

_REPOSITORY_PAGES = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
_REFERENCE = "api/index.md"
_RUNTIME = "recurra_runtime"
_CODE_NAME = re.compile(r"(?<![\[`])`(recurra(?:_runtime)?(?:\.\w+)+)(\(\))?`(?![\]`])")


def on_config(config: MkDocsConfig) -> None:
    """Read the package, make its pages, and put them into the navigation."""
    root = Path(config.config_file_path).parent
    library = _Library(root)
    pages = library.pages() | _repository_pages(root)
    config.extra["recurra"] = {"library": library, "pages": pages}
    config.markdown_extensions.append(Markup())  # type: ignore[arg-type]
    config.nav = _navigation(config, pages, library)


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages that were made."""
    for path, text in config.extra["recurra"]["pages"].items():
        files.append(File.generated(config, path, content=text))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links that hold in the repository hold on the site, and names lead to their entry."""
    here = "../" * page.file.src_uri.count("/")  # this folder, from the page's own
    if page.file.src_uri in _REPOSITORY_PAGES:  # seen from this folder
        markdown = re.sub(r"\]\((?!https?:|#)", "](../", markdown).replace("](../docs/", "](")
    for page_name, source in {"index.md": "README.md", **_REPOSITORY_PAGES}.items():
        markdown = markdown.replace(f"]({here}../{source}", f"]({here}{page_name}")
    above = re.escape(f"{here}../")
    markdown = re.sub(rf"\]\({above}examples/(\w+)\.py\)", rf"]({here}examples.md#\1)", markdown)
    # Other files have no page: their path is said instead.
    markdown = re.sub(rf"\[([^\]]+)\]\({above}([^)]+)\)", r"\1 (`\2`)", markdown)
    library = config.extra["recurra"]["library"]

    def link(found: re.Match[str]) -> str:
        if not library.knows(found[1]):
            log.warning("%s: there is no %s", page.file.src_uri, found[1])
        return f"[{found[0]}][{found[1]}]" if library.has_entry(found[1]) else found[0]

    return outside_fences(markdown, lambda text: _CODE_NAME.sub(link, text))


def _navigation(config: MkDocsConfig, pages: dict[str, str], library: _Library) -> list[object]:
    """The navigation of mkdocs.yml with the pages that there are, and with the reference."""
    folder = Path(config.docs_dir)
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*.md")}
    # An entry is a page, or a section: a list of pages, the first of which stands for it.
    listed = {title: path for entry in config.nav or [] for title, path in entry.items()}
    named = {path for value in listed.values() for path in _listed(value)}
    result: list[object] = []
    for title, value in listed.items():
        if value == _REFERENCE:
            result += sorted(written - named)
            rooms = [{room: f"api/{room}.md"} for room in library.rooms]
            result.append({title: [value, *rooms]})
        elif found := [path for path in _listed(value) if path in pages.keys() | written]:
            result.append({title: found[0] if isinstance(value, str) else found})
    return result


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _repository_pages(root: Path) -> dict[str, str]:
    """Pages of the root, and one of all examples; what is missing is left out."""
    pages = {
        page: (root / source).read_text(encoding="utf-8")
        for page, source in _REPOSITORY_PAGES.items()
        if (root / source).exists()
    }
    examples = sorted((root / "examples").glob("*.py"))
    if examples:
        parts = ["# Examples", "Each is one screen, in the folder `examples/`, and runs as it is."]
        for path in examples:
            title = path.stem.replace("_", " ").capitalize()
            code = path.read_text(encoding="utf-8")
            parts.append(f"## {title} {{ #{path.stem} }}\n\n```python\n{code}```")
        pages["examples.md"] = "\n\n".join(parts) + "\n"
    return pages


class _Name(NamedTuple):
    """A public name.

    Args:
        shown: as users write it.
        path: where griffe has it, which differs where a file has the same name.
        thing: the object, or None if there is none.
    """

    shown: str
    path: str
    thing: Object | None

    @property
    def file(self) -> str:
        """The module that defines it."""
        if self.thing is None:
            return self.path.rpartition(".")[0]
        return self.thing.path if self.thing.is_module else self.thing.module.path


class _Library:
    """What the site says of the source: its rooms and their public names.

    Args:
        root: folder of the repository.
    """

    def __init__(self, root: Path) -> None:
        paths = [root / "src", root / "runtime" / "src"]
        loader = GriffeLoader(
            search_paths=paths, extensions=load_extensions(Docstrings()), allow_inspection=False
        )
        if (paths[1] / _RUNTIME).exists():
            loader.load(_RUNTIME, try_relative_path=False)
        package = loader.load("recurra", try_relative_path=False)
        loader.resolve_aliases()
        self._modules = loader.modules_collection
        inside = ast.literal_eval(str(package["_INSIDE"].value))
        self.rooms: dict[str, list[_Name]] = {}
        for room in sorted(ast.literal_eval(str(package["_ROOMS"].value))):
            prefix = f"recurra.{room}" if room in inside else "recurra"
            self.rooms[room] = self._names(f"recurra.{room}", prefix)
        if _RUNTIME in self._modules.members:
            self.rooms[_RUNTIME] = self._names(_RUNTIME, _RUNTIME)
        self._entries = {name.shown for names in self.rooms.values() for name in names}

    def knows(self, path: str) -> bool:
        """Whether there is such an object."""
        return self._find(path) is not None

    def has_entry(self, path: str) -> bool:
        """Whether there is an entry: for a public name, a public member of one, or a room."""
        owner, _, member = path.rpartition(".")
        thing = self._find(path)
        documented = thing is not None and thing.docstring is not None
        public = owner in self._entries and documented and not member.startswith("_")
        return public or path in self._entries or path.removeprefix("recurra.") in self.rooms

    def pages(self) -> dict[str, str]:
        """The Markdown of the reference, by path."""
        pages = {f"api/{room}.md": self._page(room) for room in self.rooms}
        return pages | {_REFERENCE: self._overview()}

    def _names(self, module: str, prefix: str) -> list[_Name]:
        """The names of a module's ``__all__``; what is wrong with one is a warning."""
        names = []
        for name in map(str, self._modules[module].exports or ()):
            shown = path = f"{prefix}.{name}"
            thing = self._find(shown)
            if isinstance(thing, Module) and self._find(f"{shown}.{name}"):
                path = f"{shown}.{name}"
                thing = self._find(path)
            if thing is None:
                log.warning("%s: __all__ has %s, which is not there", module, shown)
            elif thing.docstring is None and not thing.is_module:
                log.warning("%s has no docstring", shown)
            names.append(_Name(shown, path, thing))
        return names

    def _find(self, path: str) -> Object | None:
        try:
            found = self._modules[path]
            return found.final_target if isinstance(found, Alias) else found
        except (KeyError, GriffeError):
            return None

    def _page(self, room: str) -> str:
        """A room: what it is for, then its names, those of one file together."""
        module = _module(room)
        by_file: dict[str, list[_Name]] = {}
        for name in self.rooms[room]:
            if name.thing is not None:
                by_file.setdefault(name.file, []).append(name)
        parts = [_entry(module, 1, members=False)]
        if by_file.keys() == {module}:
            parts += [_entry_of(name, 2) for name in by_file[module]]
            return "\n\n".join(parts) + "\n"
        # What a room's base says comes first, wherever there is one.
        for file in sorted(by_file, key=lambda file: (not file.endswith(".base"), file)):
            title = file.rpartition(".")[2].replace("_", " ")
            names = [name for name in by_file[file] if name.path != file]
            # A file that is a public name itself is shown with its members, else by its words.
            only = {} if len(names) < len(by_file[file]) else {"members": False}
            parts.append(_entry(file, 2, heading=title, toc_label=title, **only))
            parts += [_entry_of(name, 3) for name in names]
        return "\n\n".join(parts) + "\n"

    def _overview(self) -> str:
        parts = ["# Reference", "All public names, room by room."]
        for room, names in self.rooms.items():
            about = self._summary(self._find(_module(room)))
            parts.append(f"## [{room}]({room}.md) {{ #room-{room} }}\n\n{about}")
            lines = [f"- [`{n.shown}`][{n.path}]  \n    {self._summary(n.thing)}" for n in names]
            parts.append("\n".join(line.rstrip() for line in lines))
        return "\n\n".join(parts) + "\n"

    def _summary(self, thing: Object | None) -> str:
        """The first paragraph of a docstring, as one line."""
        if thing is None or thing.docstring is None:
            return ""
        return " ".join(thing.docstring.value.split("\n\n")[0].split())


def _module(room: str) -> str:
    return room if room == _RUNTIME else f"recurra.{room}"


def _entry_of(name: _Name, level: int) -> str:
    if name.path == name.shown:
        return _entry(name.path, level)
    label = name.shown.rpartition(".")[2]
    return _entry(name.path, level, heading=name.shown, toc_label=label)


def _entry(path: str, level: int, **options: object) -> str:
    """What mkdocstrings reads as: the entry of this object stands here."""
    lines = [f"::: {path}", "    options:", f"      heading_level: {level}"]
    for name, value in options.items():
        lines.append(f"      {name}: {str(value).lower() if isinstance(value, bool) else value}")
    return "\n".join(lines)
