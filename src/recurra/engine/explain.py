"""Which backend would run a cell, and why not a faster one."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

import recurra_runtime
from recurra import states
from recurra.cells.base import Cell, Noise
from recurra.engine.backends.checkpoints import windows
from recurra.engine.backends.choose import check_backend, choose, refusal
from recurra.engine.backends.loop import LOOP
from recurra.engine.backends.native import NATIVE, bfloat16_products, compile_for
from recurra.engine.backends.torch_kernels import ATEN, form_of
from recurra.engine.call import Call
from recurra.engine.plan.report import PlanReport, report
from recurra.engine.prepare import prepare
from recurra.engine.record.unrecordable import Refused
from recurra.engine.run import running_of
from recurra.errors import SettingError, ShapeError, kind_of, nearest
from recurra.states import Tree
from recurra.twins import twin

__all__ = ["Choice", "Explanation", "explain"]

_ELSE = ("state", "lengths", "context", "resets", "reverse", "parameters", "checkpoint_every")


@dataclasses.dataclass(frozen=True)
class Choice:
    """The backend of one cell.

    Args:
        name: where the cell stands in what was asked about; empty if it is itself.
        cell: its class.
        backend: the backend's name.
        reason: why.
        plan: what is computed when and what is kept, of a cell that runs on ``native``.
    """

    name: str
    cell: str
    backend: str
    reason: str
    plan: PlanReport | None = None

    def __str__(self) -> str:
        place = f"{self.name}: " if self.name else ""
        told = f"{place}{self.cell} runs on {self.backend!r}: {self.reason}"
        return told if self.plan is None else f"{told}\n{textwrap.indent(str(self.plan), '    ')}"


@dataclasses.dataclass(frozen=True)
class Explanation:
    """The choices for all cells of a module; ``str()`` prints them.

    Args:
        choices: one for each outermost cell.
        native: what there is of a native core.
    """

    choices: tuple[Choice, ...]
    native: str

    def __str__(self) -> str:
        return "\n".join([*map(str, self.choices), f"native: {self.native}"])


def explain(
    module: nn.Module,
    inputs: Tree = None,
    *,
    noise: Noise | None = None,
    return_states: bool = False,
    backend: str | None = None,
    **others: Any,
) -> Explanation:
    """Say which backend would run a cell, or every cell of a layer or model.

    Args:
        module: a cell, or a module with cells in it; in training if it would be called so.
        inputs: what the module would read; a tensor ``[time, batch, features]`` of several steps
            if None. The layers of a module are each assumed to read one tensor.
        noise: given noise; if None, what each cell would draw as it is now.
        return_states: whether every step's state is wanted.
        backend: the one that would be forced; a layer's own if None.
        others: the other arguments of :func:`recurra.engine.run`, so that a call can be asked about
            as it stands. ``context`` is offered to every cell, the rest to a cell that is asked
            about itself.

    Raises:
        ShapeError: there is no cell in the module; or what the step of a cell says to ``inputs``.
        SettingError: an argument that ``run`` does not have.
        BackendError: the backend that would be forced cannot run such a call, or no run can: the
            cell has forward hooks, say.
    """
    if not isinstance(module, nn.Module):
        raise SettingError(f"explain: expected a cell, layer or model, got {kind_of(module)}.")
    for name in others:
        if name not in _ELSE:
            raise SettingError(f"explain: run has no argument {name!r}; {nearest(name, _ELSE)}")
    choices = []
    for name, cell, own in _cells(module, "", None):
        alone = cell is module
        running = running_of(cell, others.get("parameters") if alone else None)
        call = _example(running, inputs, noise, return_states, others, alone=alone)
        call = call and call._replace(source=cell)
        forced = backend or own
        chosen, obstacles = _chosen(running, call, forced)
        why = [
            f"not on {other!r}, because {told}"
            for other, told in obstacles.items()
            # Where nothing in it has a form of torch's, that is in nobody's way.
            if other != ATEN.name or any(hasattr(part, "torch_form") for part in running.modules())
        ]
        if forced:
            why = ["it is forced"]
        if chosen == NATIVE.name and torch.is_autocast_enabled("cpu"):
            kind = "bfloat16" if bfloat16_products() else "float32, for want of quicker ones here,"
            why.append(f"its products are in {kind} and all else is in float32")
        if chosen == LOOP.name and call is not None and inputs is not None and alone:
            _try_a_step(running, call)
        reason = "; ".join(why) or "nothing is faster"
        plan = _planned(running, call) if chosen == NATIVE.name and call is not None else None
        choices.append(Choice(name, type(cell).__name__, chosen, reason, plan))
    if not choices:
        raise ShapeError(f"explain: {type(module).__name__} has no recurra.Cell in it.")
    return Explanation(tuple(choices), _native())


def _cells(
    module: nn.Module, name: str, backend: str | None
) -> Iterator[tuple[str, Cell, str | None]]:
    """The outermost cells (a wrapper answers for its own), with the backend a layer forces."""
    if isinstance(module, Cell):
        yield name, module, backend
        return
    own = getattr(module, "backend", None)
    # Cells that are no submodules, because the module gives them its own tensors at every call.
    held: dict[str, Cell] = getattr(module, "held_cells", dict)()
    like = next(module.parameters(), None)
    with_memory = {name: _with_memory(cell, like) for name, cell in held.items()}
    for child_name, child in (*with_memory.items(), *module.named_children()):
        yield from _cells(child, f"{name}.{child_name}" if name else child_name, own)


def _with_memory(cell: Cell, like: Tensor | None) -> nn.Module:
    """A cell whose tensors have none, over zeros."""
    if like is None:
        return cell
    own = cell.named_parameters()
    return twin(
        cell,
        {
            name: torch.zeros(
                p.shape, dtype=like.dtype, device=like.device, requires_grad=like.requires_grad
            )
            for name, p in own
        },
    )


def _example(
    cell: Cell,
    inputs: Tree,
    noise: Noise | None,
    return_states: bool,
    others: dict[str, Any],
    *,
    alone: bool,
) -> Call | None:
    """The call itself for a cell alone, one like it for a cell in a layer; None if none is known.

    A cell in a layer is assumed to read what it says it reads.
    """
    made_up = not alone or inputs is None
    if made_up:
        rows = next((leaf.shape[0] for leaf in states.leaves(others.get("context"))), 1)
        step = cell.example_input(rows)
        if step is None:
            return None
        marks = others.get("lengths") is not None or others.get("resets") is not None
        steps = 1 if _steps(inputs) == 1 and not marks else 2
        for leaf in states.leaves(noise.step if noise and alone else None):
            steps, rows = leaf.shape[:2]
            step = cell.example_input(rows)
        inputs = states.map_tree(lambda leaf: leaf.expand(steps, *leaf.shape), step)
    call = Call(inputs, context=others.get("context"), return_states=return_states)
    if alone:
        own = {name: value for name, value in others.items() if name != "parameters"}
        own |= {"noise": noise, "reverse": bool(others.get("reverse"))}
        call = call._replace(**own)
    with torch.random.fork_rng():
        try:
            return prepare(cell, call)
        except ShapeError:
            if not made_up:
                raise
            return None  # it reads a context that nobody gave


def _chosen(cell: Cell, call: Call | None, forced: str | None) -> tuple[str, dict[str, str]]:
    """The backend of a cell, and what is in the way of faster ones.

    Where no call is known, because the cell does not say what it reads, it is what holds for all.
    """
    if call is not None:
        chosen = choose(cell, call, forced)
        return chosen.name, chosen.obstacles
    check_backend(forced)
    told = {NATIVE.name: _unrecorded(cell)}
    try:
        form_of(cell)
    except Refused as problem:
        told[ATEN.name] = str(problem)
    if forced in told:
        raise refusal(forced, told[forced])
    return forced or (LOOP if ATEN.name in told else ATEN).name, told


def _unrecorded(cell: Cell) -> str:
    """Why a cell of which no call is known is not on ``native``."""
    name = type(cell).__name__
    if recurra_runtime.native_reason() is not None:
        return _native()
    if cell.takes_context:
        return f"{name} reads a context, and none is given (explain takes one: context=)"
    return f"{name} does not say what it reads, so there is no step to record"


def _try_a_step(cell: Cell, call: Call) -> None:
    """A step that does not work says so, as it would in a run."""
    if call.time == 0 or call.batch == 0:
        return
    one = next(windows(call._replace(lengths=None, resets=None, checkpoint_every=1)))
    with torch.no_grad():
        LOOP.offer(cell, one)()


def _planned(cell: Cell, call: Call) -> PlanReport | None:
    try:
        machine = compile_for(cell, call).machine
    except Refused:  # of an empty call, which a step runs
        return None
    return report(machine.plan, machine.dtype.itemsize)


def _steps(inputs: Any) -> int | None:
    """How many steps there are, if it can be seen."""
    if inputs is None or isinstance(inputs, list):
        return None
    leaf = states.first(inputs)
    return int(leaf.shape[0]) if isinstance(leaf, Tensor) and leaf.dim() > 1 else None


def _native() -> str:
    missing = recurra_runtime.native_reason()
    if missing:
        return f"recurra-runtime has no native module. {missing}"
    return f"recurra-runtime computes with {recurra_runtime.isa()}"
