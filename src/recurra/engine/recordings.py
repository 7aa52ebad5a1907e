"""Which recording of a step fits a call: kept with the cell, told apart by all that may change it.

What a step reads of its cell is looked up at every call, by where it stands, so weights changed by
any route are the ones used. Everything else the cell has (rates, flags, functions, modes) is a part
of the key, so a changed attribute makes a new recording. What a step reads from outside its cell, a
variable of its module say, is not looked at.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from recurra import states
from recurra.cells.base import Cell, Noise
from recurra.engine.call import Call
from recurra.engine.derive import derive
from recurra.engine.graph import HELD, STEP, Graph, Value
from recurra.engine.interpreter import evaluate
from recurra.engine.lower import Lowered, lower
from recurra.engine.machine import Machine, Name
from recurra.engine.plan import plan
from recurra.engine.record import BATCHES, Unrecordable, record
from recurra.modules import own_parts, twin
from recurra.states import Tree, map_tree

__all__ = ["Recorded", "check_numbers", "drawn", "given_of", "prepared", "recorded", "unseen"]

_MOST = 64  # recordings of one cell; more than that are calls that are all different


class Recorded:
    """A recorded step, and the machines made of it.

    Args:
        lowered: the step as a graph.
        names: of its row inputs.
        places: where each of its own tensors stands in the cell; None for one from elsewhere.
        check: looks, once, whether the gradients of the graph are those of the step.
    """

    def __init__(
        self,
        lowered: Lowered,
        names: Sequence[Name],
        places: dict[int, _Path | None],
        check: Callable[[], None],
    ) -> None:
        self.lowered, self.names, self.places = lowered, tuple(names), places
        self.check, self.checked = check, False
        self.machines: dict[Hashable, Machine] = {}

    def shared(self, cell: Cell) -> list[Tensor]:
        """What all rows share, as the cell has it now."""
        own = self.lowered.shared.own
        found = {
            number: own[number] if path is None else path.of(cell)
            for number, path in self.places.items()
        }
        return self.lowered.shared.tensors(found)

    def machine(
        self,
        wanted: tuple[Name, ...] | None,
        strides: tuple[tuple[int, ...], ...],
        dtype: torch.dtype,
        *,
        resets: bool,
        all_states: bool,
    ) -> Machine:
        """The programs for a kind of call.

        Args:
            wanted: names of inputs whose gradients are wanted; None in inference.
            strides: of the shared tensors.
            dtype: of all numbers.
            resets: whether rows are reset.
            all_states: whether the states after all steps are wanted.
        """
        key = (wanted, strides, dtype, resets, all_states)
        known = self.machines.get(key)
        if known is None:
            if wanted is not None and not self.checked:
                self.check()
                self.checked = True
            graph, inputs, y, new = prepared(self.lowered, self.names, resets=resets)
            planned = plan(graph, inputs, y, new, {}, wanted, all_states=all_states)
            known = self.machines[key] = Machine(planned, strides, dtype, all_states)
        return known


@dataclasses.dataclass(frozen=True)
class _Path:
    """Where a tensor stands: modules on the way, what kind of attribute, its name."""

    modules: tuple[str, ...]
    kind: str
    name: str

    def of(self, cell: nn.Module) -> Tensor:
        at: Any = cell
        for name in self.modules:
            at = at._modules[name]
        found: Tensor = at.__dict__[self.kind][self.name] if self.kind else at.__dict__[self.name]
        return found


_KEPT: WeakKeyDictionary[Cell, dict[Hashable, Recorded | str]] = WeakKeyDictionary()


def recorded(cell: Cell, call: Call, given: list[tuple[Name, Tensor]]) -> Recorded:
    """The recording of ``cell.step`` for a call; made if there is none that fits.

    Args:
        cell: what is run; it may be a twin of the call's source over other tensors.
        call: the call.
        given: its row inputs.

    Raises:
        Unrecordable: it cannot be recorded; the message says why.
    """
    source = call.source or cell
    kinds = tuple((name, leaf.shape[_lead(name) :], leaf.dtype) for name, leaf in given)
    key = (kinds, call.noise is None, _print(source), _tensors(cell))
    kept = _KEPT.setdefault(source, {})
    known = kept.get(key)
    if known is None:
        if len(kept) >= _MOST:
            kept.clear()
        try:
            known = _record(cell, call, given)
        except Unrecordable as problem:
            known = str(problem)
        kept[key] = known
    if isinstance(known, str):
        raise Unrecordable(known)
    return known


def given_of(call: Call) -> list[tuple[Name, Tensor]]:
    """The row inputs of a call, by name."""
    trees = [("x", call.inputs), ("state", call.state), ("context", call.context)]
    if call.noise is not None:
        trees += [("noise", call.noise.step), ("held", call.noise.held)]
    return [
        ((kind, place), leaf)
        for kind, tree in trees
        for place, leaf in enumerate(states.leaves(tree))
    ]


def _lead(name: Name) -> int:
    return 2 if name[0] in ("x", "noise") else 1


def _record(cell: Cell, call: Call, given: list[tuple[Name, Tensor]]) -> Recorded:
    noisy = call.noise is not None

    def example(batch: int) -> Tree:
        found = [
            drawn(call.inputs, 2, batch),
            drawn(call.state, 1, batch),
            drawn(call.context, 1, batch),
        ]
        if call.noise is not None:
            found += [drawn(call.noise.step, 2, batch), drawn(call.noise.held, 1, batch)]
        return tuple(found)

    def step_of(
        running: Cell, x: Tree, state: Tree, context: Tree, *noise: Tree
    ) -> tuple[Any, Any]:
        result = running.step(x, state, context, Noise(*noise) if noisy else None)
        if not isinstance(result, tuple) or len(result) != 2 or type(result[1]) is not type(state):
            raise Unrecordable("the step does not return y and a state like the one it gets")
        y = result[0]
        if y.dim() == 2 and y.shape[1] != cell.output_size:
            raise Unrecordable("the step does not return y of its output_size")
        return result

    step = partial(step_of, cell)
    with unseen():
        recording = record(step, example)
        names = [name for name, _ in given]
        lowered = lower(
            recording, [STEP if _lead(n) == 2 or n[0] == "state" else HELD for n in names]
        )
        _check_states(lowered, given)
        check_numbers(step, example, lowered)
    paths = {id(tensor): path for tensor, path in _own(cell)}
    places = {number: paths.get(id(tensor)) for number, tensor in recording.own.items()}

    def check() -> None:
        quiet = _quiet(cell)
        own = {number: path.of(quiet) for number, path in places.items() if path is not None}
        _check_gradients(partial(step_of, quiet), example, lowered, own)

    return Recorded(lowered, names, places, check)


def _quiet(cell: Cell) -> Cell:
    """The same cell over tensors that no hook of anybody watches."""
    if own_parts(cell) is not None:
        return cell  # it would go on with its own
    own = cell.named_parameters(remove_duplicate=False)
    tensors = {name: p.detach().requires_grad_(p.requires_grad) for name, p in own}
    return cast(Cell, twin(cell, tensors))


@contextmanager
def unseen() -> Iterator[None]:
    """Nobody's random numbers move, and nobody's hooks see what is saved for gradients.

    Activation checkpointing counts what is saved, and a recording is made once only. Inference mode
    shows whole operations in place of what they are made of; a recording is not of one mode.
    """
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, lambda kept: kept)
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), hooks:
        yield


def drawn(tree: Tree, lead: int, batch: int) -> Tree:
    """Random rows like those of a tree, whose leaves have ``lead`` axes before their features."""

    def draw(leaf: Tensor) -> Tensor:
        shape = (batch, *leaf.shape[lead:])
        if leaf.dtype is torch.bool:
            return torch.rand(shape) < 0.5
        if not leaf.is_floating_point():
            return leaf.new_zeros(shape)
        return torch.rand(shape, dtype=leaf.dtype, device=leaf.device) + 0.5

    return map_tree(draw, tree)


def _check_states(lowered: Lowered, given: list[tuple[Name, Tensor]]) -> None:
    """A step must leave a state like the one it gets."""
    old = [leaf.shape[1:] for name, leaf in given if name[0] == "state"]
    new = [torch.Size(value.shape) for value in lowered.outputs[1:]]
    if old != new:
        raise Unrecordable(f"the step gets states {old} and leaves {new}")


def check_numbers(step: Any, example: Any, lowered: Lowered) -> None:
    """The graph must give what the step gives: what no rule foresaw shows here."""
    given = example(BATCHES[0])
    with torch.no_grad():
        result = step(*given)
        leaves = list(states.leaves(given))
        dtype = next(leaf.dtype for leaf in leaves if leaf.is_floating_point())
        shared = lowered.shared.tensors({})
        found = {}
        for value in lowered.graph:
            if value.op == "input":
                kind, place = value.settings[0]
                leaf = leaves[place] if kind == "given" else shared[place]
                found[value.number] = leaf.to(dtype)
        found = evaluate(lowered.graph, found, BATCHES[0])
    for value, expected in zip(lowered.outputs, states.leaves(result), strict=True):
        got = found[value.number].reshape(expected.shape)
        bound = 1e-4 if expected.dtype is torch.float32 else 1e-10
        scale = float(expected.abs().nan_to_num().max()) + 1e-30
        if not torch.allclose(
            got, expected.to(got.dtype), rtol=bound, atol=bound * scale, equal_nan=True
        ):
            raise Unrecordable("the recorded step gives other numbers than the step itself")


def _check_gradients(
    step: Any, example: Any, lowered: Lowered, replace: Mapping[int, Tensor]
) -> None:
    """So must its gradients: a step may have functions and hooks with gradients of their own.

    Raises:
        Unrecordable: they are others.
    """
    graph, inputs = Graph(), {}
    swapped: dict[Value, Value] = {}
    for value in lowered.graph:
        swapped[value] = graph.copy(value, tuple(swapped[read] for read in value.inputs))
        if value.op == "input":
            inputs[value.settings[0]] = swapped[value]
    outputs = [swapped[value] for value in lowered.outputs]
    with unseen(), torch.enable_grad():
        given = map_tree(
            lambda leaf: leaf.requires_grad_(leaf.is_floating_point()), example(BATCHES[0])
        )
        leaves = list(states.leaves(given))
        results = list(states.leaves(step(*given)))
        weights = [torch.rand_like(result) for result in results]
        there = {**lowered.shared.own, **replace}
        own = [tensor for tensor in there.values() if tensor.requires_grad]
        sources = [leaf for leaf in leaves if leaf.requires_grad]
        pairs = [pair for pair in zip(results, weights, strict=True) if pair[0].requires_grad]
        expected = _pulled_back(pairs, [*sources, *own])
        shared = lowered.shared.tensors(replace)
    cotangents: dict[Value, Value] = {}
    found: dict[int, Tensor] = {}
    for place, (output, weight) in enumerate(zip(outputs, weights, strict=True)):
        comes = graph.input(("comes", place), output.shape, STEP)
        found[comes.number] = weight.detach().reshape(BATCHES[0], *output.shape)
        known = cotangents.get(output)
        cotangents[output] = comes if known is None else graph.apply("add", known, comes)
    for (kind, place), value in inputs.items():
        leaf = leaves[place] if kind == "given" else shared[place]
        found[value.number] = leaf.detach().to(leaves[0].dtype)
    names = list(inputs)
    gradients = derive(graph, cotangents, [inputs[name] for name in names])
    with torch.no_grad():
        found = evaluate(graph.values, found, BATCHES[0])
    told = {
        name: None if value is None else found[value.number]
        for name, value in zip(names, gradients, strict=True)
    }
    got = [told.get(("given", i)) for i, leaf in enumerate(leaves) if leaf.requires_grad]
    back = [(t, told.get(("shared", i))) for i, t in enumerate(shared) if t.requires_grad]
    back = [(t, g) for t, g in back if g is not None]
    if own:
        chained: Sequence[Tensor | None] = [None] * len(own)
        if back:
            with unseen():
                chained = _pulled_back([(t, g) for t, g in back if g is not None], own)
        got += chained
    # Of the scale of all: one that cancels to nothing is noise of the others.
    scale = max((float(g.abs().nan_to_num().max()) for g in expected if g is not None), default=0.0)
    for ours, theirs in zip(got, expected, strict=True):
        if not _close(ours, theirs, scale):
            raise Unrecordable(
                "the recorded step has other gradients than the step itself: a function or a hook "
                "in it has a gradient of its own"
            )


def _pulled_back(
    pairs: Sequence[tuple[Tensor, Tensor]], sources: Sequence[Tensor]
) -> Sequence[Tensor | None]:
    """Gradients of sources for what comes in for results.

    By way of one number: torch's own way for several imports its symbolic shapes, in seconds.
    """
    total = torch.stack([(result * comes).sum() for result, comes in pairs]).sum()
    return torch.autograd.grad(total, sources, allow_unused=True)


def _close(a: Tensor | None, b: Tensor | None, scale: float) -> bool:
    """Equal to rounding, None being zero."""
    if a is None or b is None:
        rest = b if a is None else a
        return rest is None or not bool((rest.nan_to_num().abs() > 1e-3 * scale).any())
    bound = 1e-3 if b.dtype is torch.float32 else 1e-6  # torch's own constants are floats
    return torch.allclose(a.reshape(b.shape), b, rtol=bound, atol=bound * scale, equal_nan=True)


# ---- what may change a step ----------------------------------------------------------------------

_TORCHS = frozenset(vars(nn.Module())) - {"training"}
_PLAIN = (bool, int, float, str, type(None))


class _Same:
    """An object that is equal to itself alone; it is held, so that its id cannot come again."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def __hash__(self) -> int:
        return id(self.held)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.held is other.held


def _print(module: nn.Module) -> Hashable:
    """All attributes of a module and its parts that are no tensors."""
    found: list[Any] = [type(module)]
    for name, value in module.__dict__.items():
        if name not in _TORCHS:
            found += (name, value if type(value) in _PLAIN else _frozen(value))
    for name, part in module._modules.items():
        found += (name, part if part is None else _print(part))
    return tuple(found)


def _frozen(value: Any) -> Hashable:
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value
    if isinstance(value, Tensor):
        return "tensor"
    if isinstance(value, list | tuple):
        return (type(value), *map(_frozen, value))
    if isinstance(value, dict):
        return (type(value), *((_frozen(k), _frozen(v)) for k, v in value.items()))
    return value if type(value) in _PLAIN else _Same(value)


def _tensors(module: nn.Module) -> Hashable:
    """Which tensors a module has, of what shapes and types."""
    found: list[Hashable] = []
    for part in module.modules():
        for kind in (part._parameters, part._buffers):
            for name, tensor in kind.items():
                found += (name, None) if tensor is None else (name, tensor.shape, tensor.dtype)
    return tuple(found)


def _own(cell: nn.Module) -> Iterator[tuple[Tensor, _Path]]:
    for name, part in cell.named_modules():
        modules = tuple(name.split(".")) if name else ()
        for kind in ("_parameters", "_buffers", ""):
            held = part.__dict__[kind] if kind else part.__dict__
            for own, tensor in held.items():
                if isinstance(tensor, Tensor):
                    yield tensor, _Path(modules, kind, own)


# ---- the graph of a call -------------------------------------------------------------------------


def prepared(
    lowered: Lowered, names: Sequence[Name], *, resets: bool
) -> tuple[Graph, dict[Name, Value], Value, list[Value]]:
    """The graph with its inputs by name, and with resets where there are any."""
    graph = Graph()
    inputs: dict[Name, Value] = {}
    swapped: dict[Value, Value] = {}
    moving: set[Value] = set()  # what hangs on the state
    reset = None
    if resets:
        reset = inputs["reset", 0] = graph.input(("reset", 0), (1,), STEP)
    for value in lowered.graph:
        if value.op != "input":
            reads = tuple(swapped[read] for read in value.inputs)
            if value.op == "linear" and _mixed(reads[0], moving):
                swapped[value] = _parted(graph, reads[0], reads[1], moving)
            else:
                swapped[value] = graph.copy(value, reads)
            if any(read in moving for read in reads):
                moving.add(swapped[value])
            continue
        kind, place = value.settings[0]
        name = names[place] if kind == "given" else ("shared", place)
        own = inputs[name] = graph.input(name, value.shape, value.span)
        if name[0] == "state":
            if reset is not None:
                start = graph.input(("initial", name[1]), value.shape, HELD)
                inputs["initial", name[1]] = start
                mask = graph.reshape(reset, (1,) * len(value.shape))
                own = graph.apply("where", mask, start, own)
            moving.add(own)
        swapped[value] = own
    y, *new = (swapped[value] for value in lowered.outputs)
    return graph, inputs, y, new


def _mixed(x: Value, moving: set[Value]) -> bool:
    """Does it put what hangs on the state beside what does not?"""
    if x.op != "concat" or x.settings != (len(x.shape) - 1,):
        return False
    return len({part in moving for part in x.inputs}) == 2


def _parted(graph: Graph, x: Value, weight: Value, moving: set[Value]) -> Value:
    """A product for each part, first those that can be computed before time."""
    products: list[tuple[bool, Value]] = []
    start = 0
    for part in x.inputs:
        stop = start + part.shape[-1]
        product = graph.linear(part, graph.slice(weight, 0, start, stop))
        products.append((part in moving, product))
        start = stop
    products.sort(key=lambda pair: pair[0])
    total = products[0][1]
    for _, product in products[1:]:
        total = graph.apply("add", total, product)
    return total
