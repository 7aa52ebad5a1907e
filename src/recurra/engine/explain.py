"""Which backend would run a cell, and why not a faster one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

import recurra_runtime
from recurra.cells.base import Cell, Noise, draw_noise
from recurra.engine.aten import is_plain, obstacle
from recurra.errors import ShapeError
from recurra.states import Tree

__all__ = ["Choice", "Explanation", "explain"]


@dataclasses.dataclass(frozen=True)
class Choice:
    """The backend of one cell.

    Args:
        name: where the cell stands in what was asked about; empty if it is itself.
        cell: its class.
        backend: ``"aten"`` or ``"loop"``.
        reason: why.
    """

    name: str
    cell: str
    backend: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Explanation:
    """The choices for all cells of a module; ``str()`` prints them.

    Args:
        choices: one for each outermost cell.
        kernels: what ``recurra-runtime`` would compute with: an instruction set, or why it has no
            native module.
    """

    choices: tuple[Choice, ...]
    kernels: str

    def __str__(self) -> str:
        lines = [
            f"{f'{choice.name}: ' if choice.name else ''}{choice.cell} runs on "
            f"{choice.backend!r}: {choice.reason}"
            for choice in self.choices
        ]
        return "\n".join([*lines, f"recurra-runtime: {self.kernels}"])


def explain(
    module: nn.Module,
    inputs: Tree = None,
    state: Tree = None,
    *,
    lengths: Any = None,
    context: Tree = None,
    noise: Noise | None = None,
    resets: Tensor | None = None,
    reverse: bool = False,
    return_states: bool = False,
    parameters: Mapping[str, Tensor] | None = None,
) -> Explanation:
    """Say which backend would run a cell, or every cell of a layer or model.

    Args:
        module: a cell, or a module with cells in it; in training if it would be called so.
        inputs: what a cell would read. If it is None, or ``module`` is more than a cell, a tensor
            ``[time, batch, features]`` is assumed.
        state: runs on every backend, as do ``lengths``, ``context``, ``resets``, ``reverse`` and
            ``parameters``: they are here so that a call can be asked about as it stands.
        lengths: see ``state``.
        context: see ``state``.
        noise: given noise; if None, what each cell would draw as it is now.
        resets: see ``state``.
        reverse: see ``state``.
        return_states: whether every step's state is wanted.
        parameters: see ``state``.

    Raises:
        ShapeError: there is no cell in the module.
    """
    plain = inputs is None or not isinstance(module, Cell) or is_plain(inputs)
    choices = []
    for name, cell in _cells(module, ""):
        noisy = noise is not None or draw_noise(cell, 1, 1) is not None
        why = obstacle(cell, plain=plain, noise=noisy, return_states=return_states)
        backend = "loop" if why else "aten"
        reason = f"not on 'aten', because {why}" if why else "one of torch's kernels is its step"
        choices.append(Choice(name, type(cell).__name__, backend, reason))
    if not choices:
        raise ShapeError(f"explain: {type(module).__name__} has no recurra.Cell in it.")
    missing = recurra_runtime.native_reason()
    kernels = f"no native module ({missing})" if missing else f"native, {recurra_runtime.isa()}"
    return Explanation(tuple(choices), kernels)


def _cells(module: nn.Module, name: str) -> Iterator[tuple[str, Cell]]:
    """The outermost cells: a wrapper answers for what is inside it."""
    if isinstance(module, Cell):
        yield name, module
        return
    for child_name, child in module.named_children():
        yield from _cells(child, f"{name}.{child_name}" if name else child_name)
