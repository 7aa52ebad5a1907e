"""Write the table of measured results into README and docs, from benchmarks/results alone.

Usage: scoreboard.py [--check]. With --check nothing is written, and the exit code is 1 if a
table is not the one that the files give: no figure is typed by hand.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

from harness import RESULTS, code_hash  # noqa: E402

PAGES = ("README.md", "docs/benchmarks.md")
BEGIN, END = "<!-- scoreboard: begin -->", "<!-- scoreboard: end -->"


def table() -> str:
    """The results as a Markdown table; what is older than the code it measured is marked."""
    rows = ["| question | measured | machine | command |", "|---|---|---|---|"]
    for file in sorted(RESULTS.glob("*.json")):
        result = json.loads(file.read_text())
        machine = result["machine"]
        older = " *(of older code)*" if is_older(result) else ""
        rows.append(
            f"| {result['question']} | {result['figure']}{older} | {machine['cpu']}, "
            f"{machine['capability']}, {machine['threads']} threads, torch {machine['torch']} | "
            f"`{result['command']}` |"
        )
    return "\n".join(rows)


def is_older(result: dict[str, Any]) -> bool:
    """Whether the code that was measured has changed since; what is no longer there has."""
    places = result["measured"]
    there = all((ROOT / place).exists() for place in places)
    return not there or code_hash(*places) != result["code"]


def with_table(text: str) -> str:
    """A page with the table between its two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> int:
    """Write, or check."""
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(
            "scoreboard: writes the tables, or with --check alone says whether they are as measured"
        )
    stale = []
    for page in PAGES:
        path = ROOT / page
        text = path.read_text()
        if BEGIN not in text or END not in text:
            sys.exit(f"{page}: has no marks {BEGIN} and {END}")
        if with_table(text) != text:
            stale.append(page)
            if "--check" not in sys.argv:
                path.write_text(with_table(text))
    if stale and "--check" in sys.argv:
        print(f"scoreboard: {', '.join(stale)} not as measured; run `make scoreboard`.")
        return 1
    if "--check" not in sys.argv:
        print(table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
