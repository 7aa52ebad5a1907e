"""Write the tables of measured results into README and docs, from benchmarks/results alone.

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

from harness import RESULTS, code_hash, cpu_of, kind_of  # noqa: E402

BEGIN, END = "<!-- scoreboard: begin -->", "<!-- scoreboard: end -->"
OLDER = "*(of older code)*"
TEXTS = {
    "names": "names",
    "tinyshakespeare": "tinyshakespeare",
    "tinyshakespeare-hour": "tinyshakespeare, an hour",
    "words": "War and Peace by words (perplexity)",
}
CLAIMS = (
    "memory_adding",
    "memory_copy",
    "memory_gradient",
    "lengths",
    "feedback",
    "determinism",
    "windows",
    "windows_gradient",
    "clipping",
    "saturated",
    "context",
    "context_quality",
)


def on_all(name: str) -> list[dict[str, Any]]:
    """The results of a name on each kind of machine, the newest first."""
    files = [RESULTS / f"{name}.json", *RESULTS.glob(f"{name}.*.json")]
    found = [json.loads(file.read_text()) for file in files if file.exists()]
    return sorted(found, key=lambda result: str(result["date"]), reverse=True)


def read(name: str) -> dict[str, Any] | None:
    """The newest results of a name, on whatever kind of machine; None if there are none."""
    return next(iter(on_all(name)), None)


def is_older(result: dict[str, Any]) -> bool:
    """Whether the code that was measured has changed since."""
    try:
        return code_hash(*result["measured"]) != result["code"]
    except FileNotFoundError:  # it has another place now
        return True


def machine_of(result: dict[str, Any]) -> str:
    """Where a result was measured."""
    machine = result["machine"]
    return (
        f"{cpu_of(machine)}, {machine['capability']}, {machine['threads']} threads, "
        f"torch {machine['torch']}"
    )


def full() -> str:
    """All results as a Markdown table; what is older than the code it measured is marked."""
    rows = ["| question | measured | machine | command |", "|---|---|---|---|"]
    for file in sorted(RESULTS.glob("*.json")):
        result = json.loads(file.read_text())
        older = f" {OLDER}" if is_older(result) else ""
        rows.append(
            f"| {result['question']} | {result['figure']}{older} | {machine_of(result)} | "
            f"`{result['command']}` |"
        )
    return "\n".join(rows)


def speeds(name: str, title: str, over: dict[str, str]) -> tuple[str, list[dict[str, Any]]] | None:
    """A small table of a benchmark by kinds of machine and of cells (``LSTM``), and by sizes.

    Args:
        name: of the results.
        title: of its first column.
        over: rival -> what stands behind its number.
    """
    results = on_all(name)
    if not results:
        return None
    cells: dict[str, dict[str, str]] = {}
    for result in results:
        machine = kind_of(result["machine"]).replace("-", ", ", 1) + (
            f" {OLDER}" if is_older(result) else ""
        )
        for case, found in result["cases"].items():
            kind, _, size = case.partition(" ")
            if size:
                ratios = [
                    f"{found['speeds'][rival]['median']:.1f}{told}"
                    if rival in found["speeds"]
                    else "-"
                    for rival, told in over.items()
                ]
                cells.setdefault(f"{kind} | {machine}", {})[size] = " · ".join(ratios)
    sizes = list(next(iter(cells.values())))
    rows = [f"| {title} | machine | {' | '.join(sizes)} |", "|---" * (len(sizes) + 2) + "|"]
    rows += [
        f"| {kind} | {' | '.join(row.get(size, '-') for size in sizes)} |"
        for kind, row in sorted(cells.items(), key=lambda row: row[0].partition(" | ")[0])
    ]
    return "\n".join(rows), results


def texts() -> tuple[str, list[dict[str, Any]]]:
    """A small table of language models beside n-grams."""
    rows = ["| nats a symbol | LSTM | 5-gram | bigram | minutes of training |", "|---" * 5 + "|"]
    results = []
    for name, told in TEXTS.items():
        result = read(f"language_model_{name}")
        if result is None:
            continue
        results.append(result)
        ours, bigram, five = (result["scores"][model] for model in ("lstm", "bigram", "5-gram"))
        older = f" {OLDER}" if is_older(result) else ""
        digits = 1 if ours > 20 else 3
        rows.append(
            f"| {told}{older} | {ours:.{digits}f} | {five:.{digits}f} | {bigram:.{digits}f} | "
            f"{result['minutes']:.1f} |"
        )
    return "\n".join(rows), results


def short() -> str:
    """Three small tables, with the machine said once."""
    parts = []
    machines: list[str] = []
    for told, found in (
        (
            "Training one layer, times as fast as torch.nn (sizes: rows, steps, width of x, of h: "
            "tiny 8, 50, 16, 32; small 16, 100, 64, 64; medium 32, 100, 128, 256; large 64, 100, "
            "512, 512; one 1, 200, 128, 128).",
            speeds("recurrent_training", "cell", {"torch.nn": ""}),
        ),
        (
            "One step of one row, frozen, times as fast as a cell of torch.nn · as ONNX Runtime, "
            "by width.",
            speeds("one_step", "cell", {"torch.nn": "", "ONNX Runtime": ""}),
        ),
    ):
        if found is not None:
            table, results = found
            machines += map(machine_of, results)
            parts += [told, table]
    table, results = texts()
    machines += map(machine_of, results)
    parts += ["Held-out text, each model beside n-grams of the same symbols.", table]
    parts.append(
        f"On {'; '.join(dict.fromkeys(machines))}. {OLDER} stands where the code that was measured "
        "has changed since. [All that was measured](docs/benchmarks.md), with the command of each."
    )
    return "\n\n".join(parts)


def claims() -> str:
    """What courses assert, each with its picture, what was measured, and its table."""
    parts = []
    for name in CLAIMS:
        result = read(f"claims_{name}")
        if result is None:
            continue
        older = f" {OLDER}" if is_older(result) else ""
        columns = result["columns"]
        rows = [columns, ["---"] * len(columns), *result["rows"]]
        parts += [
            f"## {result['claim'].removesuffix('.')}",
            f"Asked: {result['question']}.",
            f"Measured: {result['figure']}{older}.",
            f"![{result['figure']}](claims/{name}.svg)",
            "\n".join(f"| {' | '.join(row)} |" for row in rows).replace("| --- ", "|---"),
            f"`{result['command']}`, on {machine_of(result)}",
        ]
    return "\n\n".join(parts)


PAGES = {"README.md": short, "docs/benchmarks.md": full, "docs/claims.md": claims}


def with_table(text: str, table: str) -> str:
    """A page with the table between its two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def main() -> int:
    """Write, or check."""
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(
            "scoreboard: writes the tables, or with --check alone says whether they are as measured"
        )
    stale = []
    for page, table in PAGES.items():
        path = ROOT / page
        text = path.read_text()
        if BEGIN not in text or END not in text:
            sys.exit(f"{page}: has no marks {BEGIN} and {END}")
        if with_table(text, table()) != text:
            stale.append(page)
            if "--check" not in sys.argv:
                path.write_text(with_table(text, table()))
    if stale and "--check" in sys.argv:
        print(f"scoreboard: {', '.join(stale)} not as measured; run `make scoreboard`.")
        return 1
    if "--check" not in sys.argv:
        print(full())
    return 0


if __name__ == "__main__":
    sys.exit(main())
