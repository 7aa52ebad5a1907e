"""The changes that scripts/mutants makes: a token of a file, or an argument, or a statement."""

from __future__ import annotations

import ast
import difflib
import itertools
import random
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
EQUIVALENT = ROOT / "scripts" / "equivalent_mutants.txt"

Key = tuple[str, str, str, str]
"""File, line before, lines taken away, lines put there."""


@dataclass(frozen=True)
class Mutant:
    """A changed file.

    Args:
        file: its path from the root.
        lines: where the change is.
        statement: the lines of the statement around it.
        before, source: the whole file as it is, and changed.
        context, removed, added: what a diff says of it, and the line before.
    """

    file: str
    lines: range
    statement: range
    before: str
    source: str
    context: str
    removed: str
    added: str

    @property
    def key(self) -> Key:
        """What it is called in the list of equivalent ones: no line numbers."""
        return self.file, self.context, self.removed, self.added


def operators() -> list[Any]:
    """Those of cosmic-ray that need no settings, and ours."""
    from cosmic_ray.operators.provider import OperatorProvider

    provider = OperatorProvider()
    # Small numbers and words are one object each, so "is" does what "==" did.
    same = ("_Eq_Is", "_NotEq_IsNot")
    names = [name for name in provider if not (name.startswith("Variable") or name.endswith(same))]
    return [*(provider[name]() for name in names), _statements(), _arguments()]


def _statements() -> Any:
    """Leaves out a statement; the library is there only where mutants are made."""
    from cosmic_ray.operators.operator import Operator

    class LeaveOutStatement(Operator):
        """A call, ``a.b = c`` or ``a += b`` becomes ``pass``."""

        def mutation_positions(self, node: Any) -> Iterator[Any]:
            if node.type != "simple_stmt" or node.parent.type == "file_input":
                return
            inner = node.children[0]
            called = inner.type == "atom_expr" and inner.children[-1].type == "trailer"
            assigned = inner.type == "expr_stmt" and (
                inner.children[0].type == "atom_expr"
                or getattr(inner.children[1], "value", "=") != "="
            )
            if called or assigned:
                yield inner.start_pos, inner.end_pos

        def mutate(self, node: Any, index: int) -> Any:
            import parso

            prefix = node.get_first_leaf().prefix
            node.children[0] = parso.parse("pass").children[0]
            node.children[0].prefix = prefix
            return node

        @classmethod
        def examples(cls) -> tuple[Any, ...]:
            return ()

    return LeaveOutStatement()


def _arguments() -> Any:
    """Leaves out an argument that has a name."""
    from cosmic_ray.operators.operator import Operator

    class LeaveOutArgument(Operator):
        """``f(a, b=c)`` becomes ``f(a)``."""

        def mutation_positions(self, node: Any) -> Iterator[Any]:
            for child in self.named(node):
                yield child.start_pos, child.end_pos

        @staticmethod
        def named(node: Any) -> list[Any]:
            if node.type not in ("arglist", "trailer"):
                return []
            found = [child for child in node.children if child.type == "argument"]
            return [c for c in found if getattr(c.children[1], "value", None) == "="]

        def mutate(self, node: Any, index: int) -> Any:
            at = node.children.index(self.named(node)[index])
            comma = at + 1 < len(node.children) and node.children[at + 1] == ","
            del node.children[at : at + 1 + comma]
            return node

        @classmethod
        def examples(cls) -> tuple[Any, ...]:
            return ()

    return LeaveOutArgument()


def is_said(node: Any) -> bool:
    """Types are not looked at when the code runs, and f-strings are mostly messages."""
    while node.parent is not None:
        if node.type == "fstring":
            return True
        kind, siblings = node.parent.type, node.parent.children
        if kind == "annassign" and node is siblings[1]:
            return True
        if kind == "tfpdef" and node is not siblings[0]:
            return True
        if kind == "funcdef" and any(one == "->" for one in siblings[: siblings.index(node)]):
            return node.type not in ("suite", "simple_stmt")
        node = node.parent
    return False


def around(tree: Any, start: tuple[int, int]) -> range:
    """The lines of the statement at a place; of one that holds others, the lines of its head."""
    node = tree.get_leaf_for_position(start, include_prefixes=True)
    while node.parent is not None and node.parent.type not in ("file_input", "suite"):
        node = node.parent
    first, last = node.start_pos[0], node.end_pos[0]
    inner = [child for child in getattr(node, "children", []) if child.type == "suite"]
    inside = [child.start_pos[0] for child in inner if child.start_pos[0] >= start[0]]
    return range(
        first if not inner or inside[:1] == [inner[0].start_pos[0]] else start[0],
        (min(inside) if inside else last) + 1,
    )


def places(tree: Any, found: list[Any]) -> dict[Any, list[tuple[Any, int]]]:
    """Where the code can be changed: to each token the operators and their occurrence."""
    from cosmic_ray.ast import ast_nodes

    made: dict[Any, list[tuple[Any, int]]] = defaultdict(list)
    nodes = list(ast_nodes(tree))
    for operator in found:
        number = itertools.count()
        for node in nodes:
            for place in operator.mutation_positions(node):
                occurrence = next(number)
                if not is_said(node):
                    made[place].append((operator, occurrence))
    return made


def sample(file: Path, number: int, seed: int) -> list[Mutant]:
    """So many changes of a file, each of another token."""
    from cosmic_ray.ast import get_ast
    from cosmic_ray.mutating import mutate_code

    source = file.read_text(encoding="utf-8")
    tree, found = get_ast(source), operators()
    draw = random.Random(f"{seed} {file.relative_to(ROOT)}")
    options = sorted(places(tree, found).items(), key=lambda one: one[0])
    draw.shuffle(options)
    made: list[Mutant] = []
    for (start, end), choices in options:
        if len(made) == number:
            break
        operator, occurrence = draw.choice(choices)
        changed = mutate_code(source, operator, occurrence)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # "is" beside a number
                compile(changed, file, "exec")
            same = ast.dump(ast.parse(source)) == ast.dump(ast.parse(changed))
        except (SyntaxError, SyntaxWarning):
            continue
        if not same:
            where = range(start[0], end[0] + 1), around(tree, start)
            name = str(file.relative_to(ROOT))
            made.append(Mutant(name, *where, source, changed, *_told(source, changed)))
    return made


def _told(source: str, changed: str) -> tuple[str, str, str]:
    """The line before the change, the lines that it takes away, and those that it puts there."""
    lines = source.splitlines()
    diff = list(difflib.unified_diff(lines, changed.splitlines(), n=0))[2:]
    first = int(diff[0].split()[1].lstrip("-").partition(",")[0])
    context = next((line for line in reversed(lines[: first - 1]) if line.strip()), "")
    removed, added = (_lines(diff[1:], sign) for sign in "-+")
    return " ".join(context.split()), removed, added


def _lines(lines: list[str], sign: str) -> str:
    """Those that begin with a sign, without it, and without what a formatter changes."""
    found = [" ".join(line[1:].split()) for line in lines if line.startswith(sign)]
    return "\n".join(line for line in found if line)


def shares(files: list[Path], number: int) -> dict[Path, int]:
    """How many changes of each file, in proportion to its lines."""
    sizes = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    total = sum(sizes.values())
    exact = {file: number * size / total for file, size in sizes.items()}
    made = {file: max(int(share), 1) for file, share in exact.items()}
    rest = sorted(files, key=lambda file: int(exact[file]) - exact[file])
    for file in rest[: max(number - sum(made.values()), 0)]:
        made[file] += 1
    return made


def equivalent() -> dict[Key, str]:
    """The listed ones, each with its reason."""
    made: dict[Key, str] = {}
    blocks = EQUIVALENT.read_text(encoding="utf-8") if EQUIVALENT.exists() else ""
    for block in blocks.split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        if lines:
            context, removed, added, reason = (_lines(lines[1:], sign) for sign in " -+=")
            made[lines[0], context, removed, added] = reason
    return made
