"""What a model is made of: layers, shapes, and parameters with their arithmetic.

A cell, layer, encoder or head may offer ``parameter_formula()``, for example
``("4*h*(i+h) + 4*h", {"i": 64, "h": 128})``; without one the arithmetic is written out from the
shapes of its parameters.
"""

from __future__ import annotations

import ast
import dataclasses
import operator
from collections.abc import Iterator

from torch import nn

from recurra.columns import aligned

__all__ = ["Description", "Part", "describe"]

_OPERATIONS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}


def evaluate(formula: str, sizes: dict[str, int]) -> int:
    """The value of a parameter formula: sums, differences and products of whole numbers.

    Raises:
        ValueError: anything else, or a letter without a size.
    """

    def value(node: ast.expr) -> int:
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
            return int(_OPERATIONS[type(node.op)](value(node.left), value(node.right)))
        if isinstance(node, ast.Name) and node.id in sizes:
            return sizes[node.id]
        if isinstance(node, ast.Constant) and type(node.value) is int:
            return node.value
        raise ValueError(f"parameter formula {formula!r}: cannot read {ast.unparse(node)!r}")

    try:
        tree = ast.parse(formula, mode="eval")
    except SyntaxError as problem:
        raise ValueError(f"parameter formula {formula!r}: {problem.msg}") from None
    return value(tree.body)


@dataclasses.dataclass(frozen=True)
class Part:
    """One row of a description.

    Args:
        name: where it stands in the model (``encoder.layer.layers.0``).
        kind: its class.
        sizes: what goes in and out, in words.
        arithmetic: how its parameters are counted, in letters and in numbers.
        parameters: their number.
        frozen: how many of them take no gradient.
    """

    name: str
    kind: str
    sizes: str
    arithmetic: str
    parameters: int
    frozen: int = 0


@dataclasses.dataclass(frozen=True)
class Description:
    """All parts of a model; ``str()`` is a table of them."""

    parts: tuple[Part, ...]

    @property
    def parameters(self) -> int:
        """Number of parameters; a shared one counts once."""
        return sum(part.parameters for part in self.parts)

    def __str__(self) -> str:
        rows = [("part", "kind", "sizes", "parameters", "arithmetic")]
        for part in self.parts:
            frozen = f" ({part.frozen:,} frozen)" if part.frozen else ""
            count = f"{part.parameters:,}{frozen}"
            rows.append((part.name, part.kind, part.sizes, count, part.arithmetic))
        rows.append(("all", "", "", f"{self.parameters:,}", ""))
        return aligned(rows, right=(3,))


def describe(module: nn.Module, name: str = "") -> Description:
    """Describe a cell, layer, encoder, head or model, or any ``nn.Module``.

    Args:
        module: what to describe.
        name: how to call it in the first column; its class if empty.
    """
    seen: set[int] = set()
    return Description(tuple(_parts(module, name, seen)))


def _parts(module: nn.Module, name: str, seen: set[int]) -> Iterator[Part]:
    formula = getattr(module, "parameter_formula", None)
    stated = formula() if callable(formula) else None
    whole = stated or _is_cell(module)
    own = list(module.parameters()) if whole else list(module.parameters(recurse=False))
    new = [p for p in own if id(p) not in seen]
    seen.update(id(p) for p in own)
    if whole or new or not list(module.children()):
        count = sum(p.numel() for p in new)
        yield Part(
            name or type(module).__name__,
            _kind(module),
            _sizes(module),
            _arithmetic(stated, new, len(new) == len(own)),
            count,
            sum(p.numel() for p in new if not p.requires_grad),
        )
    if not whole:
        for child_name, child in module.named_children():
            yield from _parts(child, f"{name}.{child_name}" if name else child_name, seen)


def _is_cell(module: nn.Module) -> bool:
    """A step and a state to start from: one thing, whatever it is made of."""
    return all(hasattr(module, name) for name in ("step", "initial_state", "parameter_formula"))


def _kind(module: nn.Module) -> str:
    """The class, and of a wrapper what is inside: ``Zoneout(LSTMCell)``."""
    inner = getattr(module, "cell", None)
    name = type(module).__name__
    return f"{name}({_kind(inner)})" if _is_cell(module) and isinstance(inner, nn.Module) else name


def _arithmetic(
    stated: tuple[str, dict[str, int]] | None, new: list[nn.Parameter], whole: bool
) -> str:
    if not whole:
        return "shared with a part above"
    # A parametrization or a subclass may have more than its formula says: then the shapes speak.
    if stated and evaluate(*stated) == sum(p.numel() for p in new):
        formula, sizes = stated
        letters = ", ".join(f"{letter}={size}" for letter, size in sizes.items())
        return f"{formula}  ({letters})" if letters else formula
    return " + ".join("*".join(str(n) for n in p.shape) or "1" for p in new)


def _sizes(module: nn.Module) -> str:
    """``64 -> 128`` where the module says so."""
    for first, last in (
        ("input_size", "output_size"),
        ("num_embeddings", "embedding_dim"),
        ("in_features", "out_features"),
    ):
        into, out = getattr(module, first, None), getattr(module, last, None)
        if into is not None and out is not None:
            return f"{into} -> {out}"
    return ""
