"""Reads the few marks of reStructuredText that docstrings contain, in docstrings and pages alike.

================================  ===============================================
mark                              becomes
================================  ===============================================
``.. math::``, ``:math:``         MathML, which browsers show by themselves
a fence named ``math``, ``$x$``   the same, for pages that are read elsewhere too
``::`` before an indented block   a fenced block
lines behind ``>>>``              a fenced block
a table between lines of ``====``  a Markdown table
================================  ===============================================

What is left of reStructuredText after that is a warning, which ends a strict build.
"""

from __future__ import annotations

import ast
import html
import logging
import re
from collections.abc import Callable
from textwrap import dedent

from latex2mathml.converter import convert
from markdown import Extension, Markdown
from markdown.preprocessors import Preprocessor

__all__ = ["Markup", "outside_fences", "to_markdown", "to_mathml"]

log = logging.getLogger("mkdocs.hooks.markup")

_FENCE = re.compile(r"^ *(```+|~~~+)")
_MATH_FENCE = re.compile(r"^```math\n(.*?)\n```$", re.DOTALL | re.MULTILINE)
# TeX puts a thin space before the name of a function: 0.1 tanh(x).
_FUNCTION = re.compile(r"(</m(?:i|n|sub|sup|subsup|row)>)(<mi>[a-z]{2,}</mi>)")
_MATH = re.compile(r":math:`([^`]+)`")
# One or two on each side, no space within: an amount of money is none.
_DOLLARS = re.compile(r"(?<![\w$\\])(\$\$?)(?=\S)([^$]+?)(?<=\S)\1(?![\w$])")
_RULE = re.compile(r"^=+( +=+)+$")
_PRODUCT = re.compile(r"(?<=\w)\*(?=\w)")
_CODE = re.compile(r"(``.+?``|`[^`]+`)", re.DOTALL)
_LEFT = re.compile(r"^ *\.\. \w+::.*|:[a-z]+:`[^`]*`", re.MULTILINE)


class Markup(Extension):
    """The extension of Python-Markdown that does it."""

    def extendMarkdown(self, md: Markdown) -> None:
        """Read before fences (25) and raw HTML (20) are, which it writes."""
        md.preprocessors.register(_Preprocessor(md), "recurra-markup", 27)


class _Preprocessor(Preprocessor):
    def run(self, lines: list[str]) -> list[str]:
        # Stashed, so that Markdown does not look for emphasis in it.
        return to_markdown("\n".join(lines), self.md.htmlStash.store).split("\n")


def to_mathml(latex: str, *, block: bool = False) -> str:
    """Math as MathML; a command that is not known is a warning.

    Args:
        latex: as it stands in a docstring; ``&`` and a double backslash align equations.
        block: whether it stands by itself.
    """
    latex = re.sub(r"\\(begin|end)\{aligned\}", "", " ".join(latex.split())).strip()
    aligned = "&" in latex or "\\\\" in latex
    try:
        result = convert(
            rf"\begin{{align*}}{latex}\end{{align*}}" if aligned else latex,
            display="block" if block else "inline",
        )
    except Exception as problem:  # its errors have no base of their own
        log.warning("math cannot be read (%s): %s", type(problem).__name__, latex)
        return html.escape(latex)
    result = _FUNCTION.sub(r'\1<mspace width="0.167em" />\2', result)
    unknown = re.findall(r"\\[A-Za-z]*|<mi>&</mi>", re.sub(r' \w+="[^"]*"', "", result))
    if unknown:
        log.warning("math has unknown parts %s: %s", ", ".join(unknown), latex)
    return f'<div class="math">{result}</div>' if block else result


def outside_fences(text: str, change: Callable[[str], str]) -> str:
    """``text`` with everything but its fenced blocks changed."""
    done: list[str] = []
    plain: list[str] = []
    fence = ""
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if not fence and mark:
            if plain:
                done.append(change("\n".join(plain)))
                plain = []
            fence = mark[1]
            done.append(line)
        elif fence:
            done.append(line)
            if mark and mark[1].startswith(fence):
                fence = ""
        else:
            plain.append(line)
    if plain:
        done.append(change("\n".join(plain)))
    return "\n".join(done)


def to_markdown(text: str, store: Callable[[str], str]) -> str:
    """``text`` with the marks of the table above read.

    Args:
        text: Markdown with marks in it.
        store: keeps HTML and gives what stands for it.
    """

    def math(found: re.Match[str]) -> str:
        return store(to_mathml(found[2], block=found[1] == "$$"))

    def plain(part: str) -> str:
        part = _MATH.sub(lambda found: store(to_mathml(found[1])), part)
        for left in _LEFT.findall(part):
            log.warning("not understood: %s", left.strip())
        text = _CODE.split(part)
        text[::2] = [
            _PRODUCT.sub(r"\*", _DOLLARS.sub(math, between))  # k*h is a product
            for between in text[::2]
        ]
        return "".join(text)

    text = _MATH_FENCE.sub(lambda found: store(to_mathml(found[1], block=True)), text)
    # Blocks first: they may become fences, whose inside is nobody's business.
    return outside_fences(outside_fences(text, lambda part: _blocks(part, store)), plain)


def _blocks(text: str, store: Callable[[str], str]) -> str:
    """Math, literal blocks, doctests and tables."""
    lines, done = text.split("\n"), []
    place = 0
    while place < len(lines):
        line = lines[place]
        indent = line[: len(line) - len(line.lstrip())]
        place += 1
        if line.lstrip().startswith(".. math::"):
            body, place = _indented(lines, place, indent)
            latex = "\n".join([line.split("::", 1)[1], body])
            done += ["", indent + store(to_mathml(latex, block=True)), ""]
        elif line.endswith("::") and _is_literal(lines, place, indent):
            body, place = _indented(lines, place, indent)
            if line.strip() != "::":
                done.append(line[:-1])
            done += _fence(body, "python" if _is_python(body) else "text", indent)
        elif line.lstrip().startswith(">>> "):
            end = next((n for n in range(place, len(lines)) if not lines[n].strip()), len(lines))
            done += _fence(dedent("\n".join(lines[place - 1 : end])), "pycon", indent)
            place = end
        elif _RULE.match(line.strip()):
            table, place = _table(lines, place, line.strip())
            done += ["", *(indent + row for row in table), ""]
        else:
            done.append(line)
    return "\n".join(done)


def _is_literal(lines: list[str], place: int, indent: str) -> bool:
    """Is there, behind one empty line at least, a block that is indented more?"""
    body, end = _indented(lines, place, indent)
    return bool(body) and end > place and not lines[place].strip()


def _indented(lines: list[str], place: int, indent: str) -> tuple[str, int]:
    """The lines from ``place`` on that are indented by more than ``indent``, and where they end."""
    end = place
    while end < len(lines) and (not lines[end].strip() or lines[end].startswith(indent + " ")):
        end += 1
    return dedent("\n".join(lines[place:end])).strip("\n"), end


def _is_python(code: str) -> bool:
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return True


def _fence(body: str, language: str, indent: str) -> list[str]:
    return ["", *(indent + line for line in [f"```{language}", *body.split("\n"), "```"]), ""]


def _table(lines: list[str], place: int, rule: str) -> tuple[list[str], int]:
    """The rows of a table whose first rule stands before ``place``, and where it ends.

    It ends at a rule with nothing below; a rule before that stands under the heading.
    """
    columns = len(rule.split())
    rows: list[list[str]] = []
    headed = False
    while place < len(lines):
        line = lines[place].strip()
        place += 1
        if _RULE.match(line):
            if place == len(lines) or not lines[place].strip():
                break
            headed = True
        elif line:
            cells = re.split(r" {2,}", line)  # by space: text may be wider than its rule
            if len(cells) != columns:
                log.warning("a table of %d columns has the row %r", columns, line)
            rows.append([cell.replace("|", r"\|") for cell in cells])
    if not headed:
        rows.insert(0, [" "] * columns)
    rows.insert(1, ["---"] * columns)
    return [f"| {' | '.join(cells)} |" for cells in rows], place
