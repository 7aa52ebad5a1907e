"""What every page is set in: it needs no network, is light or dark, and fits a telephone."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from recurra.errors import SettingError
from recurra.files import write_file
from recurra.given import path_of

__all__ = ["save_page", "shell"]


def shell(
    name: str, title: str, about: str, sections: Sequence[str], data: Any, script: str
) -> str:
    """A page of HTML.

    Args:
        name: above all.
        title: of the window.
        about: a sentence below the name.
        sections: HTML, in their order.
        data: what the script reads, as JSON can hold it.
        script: JavaScript.
    """
    template = resources.files("recurra.inspection").joinpath("page.html").read_text("utf-8")
    parts = {
        "title": html.escape(title),
        "name": html.escape(name),
        "about": html.escape(about),
        "main": "\n".join(sections),
        # Whatever a text holds, it does not end the script that it stands in.
        "data": json.dumps(data, ensure_ascii=False).replace("<", "\\u003c"),
        "script": script,
    }
    for place, value in parts.items():
        template = template.replace(f"<!--{place}-->", value)
    # A folder's name may hold bytes that are no text: a page shows them as question marks.
    return template.encode("utf-8", "replace").decode("utf-8")


def save_page(
    verb: str, path: str | Path, page: Callable[[], str], numbers: Callable[[], Any]
) -> Path:
    """Write a page as ``.html``, or what it tells as ``.json``; whole or not at all.

    Args:
        verb: of the command, for messages.
        path: whose ending says which.
        page: the HTML.
        numbers: as JSON can hold them.

    Raises:
        SettingError: another ending.
    """
    path = path_of("out", path)
    if path.suffix == ".html":
        write_file(path, page().encode())
    elif path.suffix == ".json":
        write_file(path, (json.dumps(numbers(), indent=1) + "\n").encode())
    else:
        raise SettingError(f"{verb}: expected a name that ends in .html or .json, got {path}")
    return path
