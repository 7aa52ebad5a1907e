"""What the laws are made of: comparisons, slices, and the definition of a run, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from laws.subjects import context_of
from torch import Tensor, nn
from torch.nn.utils import parametrize

import recurra_runtime
from recurra import Cell
from recurra.cells import Noise
from recurra.engine import explain
from recurra.engine import run as engine_run
from recurra.engine.backends.choose import BACKENDS
from recurra.errors import BackendError
from recurra.states import leaves, map_tree, select_rows

EXACT = 1e-10  # float64, sums in another order
MakeCell = Callable[[], Cell]


def close(a: Tensor, b: Tensor, tolerance: float = EXACT) -> None:
    """Equal up to ``tolerance`` of the largest number."""
    assert a.shape == b.shape, f"{list(a.shape)} against {list(b.shape)}"
    scale = max(1.0, float(b.detach().abs().max()) if b.numel() else 0.0)
    worst = float((a - b).detach().abs().max()) if a.numel() else 0.0
    assert worst <= tolerance * scale, f"differ by {worst} at scale {scale}"


def close_trees(a: Any, b: Any, tolerance: float = EXACT) -> None:
    one, other = list(leaves(a)), list(leaves(b))
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        close(left, right, tolerance)


def run(*args: Any, **settings: Any) -> Any:
    """The engine's, with one seed: what a parametrization draws for a run is the same each time."""
    torch.default_generator.manual_seed(11)
    return engine_run(*args, **settings)


@contextmanager
def one_draw(cell: nn.Module) -> Iterator[None]:
    """The same draw of parametrizations as in :func:`run`, at every step, in the same order."""
    torch.default_generator.manual_seed(11)
    with parametrize.cached():
        for part in cell.modules():
            for name in getattr(part, "parametrizations", {}):
                getattr(part, name)
        yield


def pick(tree: Any, index: Any) -> Any:
    """``leaf[index]`` of every leaf."""
    return map_tree(lambda leaf: leaf[index], tree)


def pick_noise(noise: Noise | None, steps: Any, some: Any = slice(None)) -> Noise | None:
    """The noise of some steps and rows."""
    if noise is None:
        return None
    return Noise(pick(noise.step, (steps, some)), pick(noise.held, some))


def by_hand(
    cell: Cell,
    inputs: Any,
    lengths: Any,
    resets: Tensor | None,
    noise: Noise | None,
    reverse: bool,
    state: Any = None,
) -> tuple[list[list[Tensor]], list[Any]]:
    """The definition: one row at a time, one step at a time. Outputs and last state of each row."""
    all_outputs, ends = [], []
    batch = leaves(inputs)[0].shape[1]
    for row in range(batch):
        only = torch.tensor([row])
        context = select_rows(context_of(cell, batch), only)
        current = cell.initial_state(1) if state is None else select_rows(state, only)
        steps = list(range(lengths[row]))
        outputs: dict[int, Tensor] = {}
        for t in reversed(steps) if reverse else steps:
            if resets is not None and resets[t, row] and not reverse:
                current = cell.initial_state(1)
            one = slice(row, row + 1)
            now = pick_noise(noise, t, one)
            y, current = cell.step(pick(inputs, (t, one)), current, context, now)
            outputs[t] = y
            if resets is not None and resets[t, row] and reverse:
                current = cell.initial_state(1)
        all_outputs.append([outputs[t] for t in steps])
        ends.append(current)
    return all_outputs, ends


def weigh(outputs: list[list[Tensor]] | Tensor, state: Any) -> Tensor:
    """A number that every output and state enters with a weight of its own."""
    total = torch.zeros((), dtype=torch.float64)
    if isinstance(outputs, Tensor):
        outputs = [
            [outputs[t, b : b + 1] for t in range(len(outputs))] for b in range(outputs.shape[1])
        ]
    for b, row in enumerate(outputs):
        for t, y in enumerate(row):
            total = total + (y * torch.sin(torch.arange(y.numel()) + 3 * t + 7.0 * b + 1)).sum()
    for leaf in leaves(state):
        total = total + (leaf * torch.cos(torch.arange(leaf.numel()).view_as(leaf) + 1.0)).sum()
    return total


def moved(leaf: Tensor, far: float) -> Tensor:
    """Numbers moved by chance; a count stays."""
    return leaf + far * torch.randn_like(leaf) if leaf.is_floating_point() else leaf


def differentiable(inputs: Any) -> list[Tensor]:
    return [leaf for leaf in leaves(inputs) if leaf.requires_grad]


def gradients(value: Tensor, cell: torch.nn.Module, inputs: Any) -> list[Tensor]:
    """To the inputs, then to the parameters; zeros where nothing arrives."""
    return _arriving(value, [*differentiable(inputs), *cell.parameters()])


def _arriving(value: Tensor, wanted: Sequence[Tensor], *, again: bool = False) -> list[Tensor]:
    found = torch.autograd.grad(value, wanted, retain_graph=again, allow_unused=True)
    return [torch.zeros_like(w) if g is None else g for g, w in zip(found, wanted, strict=True)]


def _flat(outputs: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([output.flatten() for output in outputs])


def jacobians(function: Callable[..., tuple[Tensor, ...]], given: Sequence[Tensor]) -> list[Tensor]:
    """Of all outputs, by autograd: ``[numbers of outputs, numbers]`` of each that is given."""
    rows = [_arriving(output, given, again=True) for output in _flat(function(*given))]
    return [torch.stack([part.flatten() for part in parts]) for parts in zip(*rows, strict=True)]


def differences(
    function: Callable[..., tuple[Tensor, ...]], given: Sequence[Tensor], step: float = 1e-6
) -> list[Tensor]:
    """The same by central finite differences."""
    found = []
    for place, tensor in enumerate(given):
        columns = []
        for number in range(tensor.numel()):
            sides = []
            for change in (step, -step):
                moved = tensor.detach().clone()
                moved.view(-1)[number] += change
                parts = (*given[:place], moved.requires_grad_(), *given[place + 1 :])
                sides.append(_flat(function(*parts)).detach())
            columns.append((sides[0] - sides[1]) / (2 * step))
        found.append(torch.stack(columns, 1))
    return found


class NotNative(Exception):
    """A cell that native refuses without an excuse; or one that has an excuse, and needs none."""


def backends(cell: Cell) -> list[str]:
    """Those that can run this cell as it is.

    Native is among them. A cell that it must refuse says why in an attribute ``on_loop``: else a
    refusal too many would only make these laws weaker.
    """
    refused = {}
    for backend in BACKENDS:
        try:
            explain(cell, context=context_of(cell), backend=backend.name)
        except BackendError as problem:
            refused[backend.name] = str(problem)
    excuses = [part.on_loop for part in cell.modules() if hasattr(part, "on_loop")]
    if recurra_runtime.native_reason() is None and ("native" in refused) != bool(excuses):
        raise NotNative(refused.get("native") or f"{type(cell).__name__} runs, despite {excuses}")
    return [backend.name for backend in BACKENDS if backend.name not in refused]


def filled(inputs: Any, behind: Tensor, fill: float) -> Any:
    """Numbers behind each row replaced."""

    def fill_in(leaf: Tensor) -> Tensor:
        if not leaf.requires_grad:
            return leaf
        mask = behind.view(*behind.shape, *(1,) * (leaf.dim() - 2))
        return leaf.detach().masked_fill(mask, fill).requires_grad_()

    return map_tree(fill_in, inputs)
