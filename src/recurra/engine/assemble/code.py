"""Instructions as the native core takes them: rows of whole numbers, by section."""

from __future__ import annotations

from collections.abc import Sequence

from recurra.engine.assemble.strides import Strided, merged
from recurra.engine.graph.values import Value
from recurra.engine.record.unrecordable import Unrecordable
from recurra_runtime.instructions import TABLE

__all__ = ["SECTIONS", "Code", "Operand", "operand"]

SECTIONS = ("shared", "held", "before", "through", "after", "sums", "held_after", "final")
"""In the order in which they are run; ``sums`` reads what a chunk of steps has left."""
_NUMBER = {row.name: number for number, row in enumerate(TABLE)}

Operand = tuple[int, int, int, int]
"""Buffer, offset, stride of the outer axis, whether one number stands for all of the inner one."""
_NONE: Operand = (-1, 0, 0, 0)


def operand(place: Strided | None, outer_stride: int = 0, *, single: bool = False) -> Operand:
    """An operand at a place; none at None."""
    return _NONE if place is None else (place.buffer, place.offset, outer_stride, int(single))


class Code:
    """The instructions of a program."""

    sections: dict[str, list[list[int]]]
    """Instructions of each, in order."""
    matrices: list[list[int]]
    """What is packed for products: buffer, offset, depth, width, and the strides of both."""
    moves: list[list[int]]
    """Copies between any strides: four sizes, strides of the target, strides of the source."""

    def __init__(self) -> None:
        self.sections = {name: [] for name in SECTIONS}
        self.matrices, self.moves = [], []

    def emit(
        self,
        section: str,
        op: str,
        out: Operand,
        reads: Sequence[Operand],
        *,
        outer: int = 1,
        n: int = 1,
        count: int = 0,
        step: int = 0,
    ) -> None:
        """Add an instruction.

        Args:
            section: to which.
            op: which instruction.
            out: where its result goes.
            reads: what it reads, three operands at most.
            outer: size of the outer axis of the result.
            n: size of its inner axis.
            count: how many numbers a reduction makes one; the depth of a product.
            step: how far those numbers lie apart; which matrix a product reads; which move a copy
                or a product of rows is, and -1 for what is done number by number.
        """
        operands = [*reads, *[_NONE] * (3 - len(reads))]
        row = [_NUMBER[op], outer, n, count, step, *out, *(n for o in operands for n in o)]
        self.sections[section].append(row)

    def copy(self, section: str, value: Value, source: Strided, target: Strided) -> None:
        """Add a copy of a value from any strides to any others.

        Raises:
            Unrecordable: they have more than four axes.
        """
        axes = merged(value.shape, target.strides, source.strides)
        if len(axes) > 4:
            raise Unrecordable(f"a copy of {len(axes)} axes is needed for {value}")
        axes = [(1, (0, 0))] * (4 - len(axes)) + axes
        sizes, strides = [size for size, _ in axes], [far for _, far in axes]
        self.moves.append([*sizes, *(to for to, _ in strides), *(of for _, of in strides)])
        move = len(self.moves) - 1
        self.emit(section, "copy", operand(target), [operand(source)], step=move)

    def batched(
        self,
        section: str,
        places: Sequence[Strided],
        sizes: tuple[int, int, int],
        strides: Sequence[tuple[int, ...]],
    ) -> None:
        """Add a product of two matrices that each row has.

        Args:
            section: to which.
            places: of the result and of both.
            sizes: rows of the first, the depth, columns of the second.
            strides: strides of the result and of both.
        """
        m, k, n = sizes
        out, a, b = strides
        self.moves.append([m, k, n, 1, *out, *a, *b, 0, 0])
        to, *reads = map(operand, places)
        move = len(self.moves) - 1
        self.emit(section, "matmul", to, reads, outer=m, n=n, count=k, step=move)

    def matrix(self, place: Strided, shape: tuple[int, ...]) -> int:
        """The number of a matrix ``[depth, width]`` that is packed at every call."""
        self.matrices.append([place.buffer, place.offset, *shape, *place.strides])
        return len(self.matrices) - 1
