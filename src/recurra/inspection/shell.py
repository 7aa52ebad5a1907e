"""What every page is set in: it needs no network, is light or dark, and fits a telephone."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

__all__ = ["shell"]


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
