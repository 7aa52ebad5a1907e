"""Rows of text in columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence

__all__ = ["aligned", "number", "shown"]


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] | None = None) -> str:
    """Rows as lines, two spaces between columns.

    Args:
        rows: cells; as many in each row.
        right: numbers of the columns whose cells stand at the right; if None, each cell that begins
            with a digit does.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width)
            if (cell[:1].isdigit() if right is None else at in right)
            else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def shown(value: float | None, digits: int) -> str:
    """A number as :func:`number` writes it; a dash where there is none."""
    return "-" if value is None else number(value, digits)


def number(value: float, digits: int) -> str:
    """A number with so many digits behind the point; a huge one with its power of ten.

    >>> number(2.5, 3), number(1e304, 3)
    ('2.500', '1.000e+304')
    """
    return f"{value:.{digits}f}" if abs(value) < 1e6 else f"{value:.{digits}e}"
