"""The instruction table, read from `ops.def`, the file that the native core is compiled from."""

import re
from pathlib import Path
from typing import NamedTuple

__all__ = ["TABLE", "Instruction", "parse"]

_ROW = re.compile(
    r'RECURRA_OP\((?P<name>\w+), (?P<arity>\d+), (?P<kind>\w+), "(?P<meaning>[^"]+)"\)'
)
_KINDS = ("elementwise", "reduction", "product", "sum", "lookup", "batched")


class Instruction(NamedTuple):
    """One row of the table; its number is its position.

    Attributes:
        name: What the instruction is called, in C++ and in Python.
        arity: How many arrays it reads.
        kind: What it works on: `elementwise`, `reduction`, `product`, `sum`, `lookup` or
            `batched`;
            ops.def says more.
        meaning: Its equation in one line.
    """

    name: str
    arity: int
    kind: str
    meaning: str


def parse(text: str, source: str = "ops.def") -> tuple[Instruction, ...]:
    """Read an instruction table.

    Args:
        text: Lines that are blank, a `//` comment, or a row,
            `RECURRA_OP(name, arity, kind, "meaning")`.
        source: What an error calls the text.

    Returns:
        The rows in the order of the lines.

    Raises:
        ValueError: A line is something else, names an unknown kind, or a name stands twice.
    """
    rows: dict[str, Instruction] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("//"):
            continue
        row = _parse_row(line, f"{source}, line {number}")
        if row.name in rows:
            raise ValueError(f"{source}, line {number}: {row.name!r} has a row already: rename one")
        rows[row.name] = row
    return tuple(rows.values())


def _parse_row(line: str, where: str) -> Instruction:
    match = _ROW.fullmatch(line.strip())
    if match is None:
        raise ValueError(
            f'{where}: expected RECURRA_OP(name, arity, kind, "meaning") on one line, got {line!r}'
        )
    row = Instruction(match["name"], int(match["arity"]), match["kind"], match["meaning"])
    if row.kind not in _KINDS:
        raise ValueError(
            f"{where}: kind {row.kind!r} is not known; expected one of {', '.join(_KINDS)}"
        )
    return row


TABLE: tuple[Instruction, ...] = parse(
    Path(__file__).with_name("ops.def").read_text(encoding="utf-8")
)
