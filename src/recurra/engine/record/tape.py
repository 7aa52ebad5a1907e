"""Record a step: run it twice, see which operations of torch it calls, and what the batch is there.

The step runs under a dispatch mode with two batch sizes, both primes. What differs between the two
recordings is the batch, nothing else may; so every tensor is either rows (one of its axes is the
batch) or belongs to all rows alike. What mixes rows, looks at numbers, draws them or changes its
arguments is refused, naming the operation and the line.
"""

from __future__ import annotations

import dataclasses
import linecache
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra import states
from recurra.engine.record.instead import INSTEAD
from recurra.engine.record.unrecordable import StepFailed, Unrecordable
from recurra.engine.torch_internals import (
    DispatchMode,
    dispatch_modes,
    hooked_modules,
    tracing,
    transformed,
)
from recurra.labels import collecting
from recurra.states import Tree

__all__ = [
    "BATCHES",
    "Called",
    "Recording",
    "Ref",
    "Seen",
    "line_of",
    "other_modes",
    "record",
]

BATCHES = (13, 17)
"""Rows of the two recordings."""
_ENGINE = str(Path(__file__).parents[1])
_TORCH = str(Path(torch.nn.__path__[0]).parent)


def other_modes() -> str | None:
    """What else changes the meaning of operations just now, or None.

    Where torch does not say, nothing is recorded.
    """
    if torch.is_autocast_enabled("cpu"):
        return "autocast is on, which gives each operation a type of its own"
    if tracing():
        return "torch.jit.trace is at work"
    if transformed():
        return "a transform of torch.func or forward-mode differentiation is at work"
    if hooked_modules():
        return "there are hooks of all modules, which steps call"
    modes = dispatch_modes()
    if modes is None:
        return "this version of torch does not say whether a dispatch mode is at work"
    return "a dispatch mode is at work" if modes else None


class Ref(NamedTuple):
    """Stands for a tensor among the arguments of a call.

    Args:
        number: of the tensor, in the order in which they were seen.
    """

    number: int


@dataclasses.dataclass(frozen=True)
class Seen:
    """A tensor of a recording.

    Args:
        shape: with the first of the two batch sizes.
        axis: which axis is the batch; None where all rows share the tensor.
        dtype: its type.
        times: how many of each row stand side by side along that axis: features that were merged
            with the batch, behind it.
    """

    shape: tuple[int, ...]
    axis: int | None
    dtype: torch.dtype
    times: int = 1


@dataclasses.dataclass(frozen=True)
class Called:
    """One call of an operation.

    Args:
        op: an overload of ATen.
        args: its arguments, tensors as :class:`Ref`.
        kwargs: those given by name.
        outputs: numbers of the tensors that it gives.
        line: file and line of the user's code, with the line itself.
        stops: whether gradients were turned off for it.
    """

    op: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: tuple[int, ...]
    line: str
    stops: bool = False

    @property
    def name(self) -> str:
        """Of the operation, without its overload."""
        return str(self.op.overloadpacket.__name__)

    def refs(self) -> Iterator[int]:
        """Numbers of the tensors that it reads."""
        return _refs((self.args, tuple(self.kwargs.values())))


@dataclasses.dataclass(frozen=True)
class Recording:
    """What a step does.

    Args:
        seen: every tensor, by number.
        given: the row inputs in the order of their tree, as numbers.
        own: tensors that the step found in its surroundings (parameters, buffers, others), by
            number.
        calls: in order.
        outputs: numbers of y and of the leaves of the new state.
        labels: what the step named, by number.
    """

    seen: tuple[Seen, ...]
    given: tuple[int, ...]
    own: Mapping[int, Tensor]
    calls: tuple[Called, ...]
    outputs: tuple[int, ...]
    labels: Mapping[str, int]


def record(step: Callable[..., Any], example: Callable[[int], Tree]) -> Recording:
    """Record ``step(*given)``, a function of trees of rows that returns ``(y, state)``.

    Args:
        step: what is recorded.
        example: trees of ``[batch, ...]`` tensors for a batch size.

    Raises:
        Unrecordable: it cannot be done; the message says why.
    """
    first, second = (_Tape.of(step, example(batch), batch) for batch in BATCHES)
    return _compared(first, second)


class _Tape(DispatchMode):
    """One recording: calls in order, tensors by number."""

    def __init__(self, given: Tree) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.numbers: dict[int, int] = {}
        self.kept: list[Tensor] = []  # no tensor may go, or its id may come again
        self.calls: list[Called] = []
        self.own: dict[int, Tensor] = {}
        self.storages: dict[int, int] = {}  # how many tensors look at each
        self.apart: set[int] = set()  # tensors that torch promises nobody reads but by them
        self.given = tuple(self._number(leaf, found=False) for leaf in states.leaves(given))
        self.outputs: tuple[int, ...] = ()
        self.labels: dict[str, int] = {}

    @classmethod
    def of(cls, step: Callable[..., Any], given: Tree, batch: int) -> _Tape:
        """Run a step on its arguments, of so many rows."""
        tape = cls(given)
        try:
            # With gradients on, so that it shows where the step turns them off.
            with torch.enable_grad(), collecting() as named, tape:
                result = step(*given)
        except Unrecordable:
            raise
        except Exception as problem:  # the loop tells it better, if it fails there too
            raise StepFailed(
                f"the step fails on {batch} rows of made-up numbers: {type(problem).__name__}: "
                f"{problem}"
            ) from problem
        found = states.leaves(result)
        for leaf in found:
            if not isinstance(leaf, Tensor):
                raise Unrecordable(f"the step returns a {type(leaf).__name__} among its tensors")
        tape.outputs = tuple(tape._number(leaf) for leaf in found)
        tape.labels = {
            label: tape._number(value)
            for label, value in named.items()
            if isinstance(value, Tensor)
        }
        return tape

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.namespace == "profiler":  # marks of a time line, which compute nothing
            return func(*args, **kwargs)
        with _Unwatched():
            line = _line()
            self._check(func, args, line)
            read, named = _replaced((args, tuple(kwargs.items())), self._number)
        result = func(*args, **kwargs)
        with _Unwatched():
            outputs = self._given(func, args, result)
            stops = not torch.is_grad_enabled()
            self.calls.append(Called(func, read, dict(named), outputs, line, stops))
        return result

    def _given(self, func: Any, args: tuple[Any, ...], result: Any) -> tuple[int, ...]:
        """Numbers of the tensors that an operation gave."""
        changed = func._schema.is_mutable
        if func.overloadpacket.__name__.startswith("unsafe_split"):  # no views, it says
            self.apart.update(id(part) for part in result)
        if self._is_made(func, args):
            self.apart.add(id(result))
        # A tensor changed in place is a new value under the same identity.
        return tuple(
            self._renumber(each) if changed else self._number(each, found=False)
            for each in (result if isinstance(result, tuple | list) else (result,))
            if isinstance(each, Tensor)
        )

    def _is_made(self, func: Any, args: tuple[Any, ...]) -> bool:
        """Is it a part of torch's making a tensor? ``zeros_like`` detaches what it has filled."""
        if func.overloadpacket.__name__ != "detach" or not self.calls:
            return False
        last = self.calls[-1]
        return last.name.endswith("_like") and last.outputs == (self.numbers.get(id(args[0])),)

    def _check(self, func: Any, args: tuple[Any, ...], line: str) -> None:
        """Refuse what cannot be recorded."""
        name = func.overloadpacket.__name__
        if name.startswith(_ATTENTION):
            raise Unrecordable(f"there is no instruction for {name} ({line}); {_SOFTMAX}")
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise Unrecordable(f"{name} draws random numbers ({line}); {INSTEAD.get(name, _DRAW)}")
        if (
            torch.Tag.data_dependent_output in func.tags
            or torch.Tag.dynamic_output_shape in func.tags
        ) and not _picks(name, args):
            raise Unrecordable(
                f"the step looks at the numbers in a tensor ({line}); {INSTEAD.get(name, _LOOK)}"
            )
        if func._schema.is_mutable:
            target = args[0] if args and isinstance(args[0], Tensor) else None
            if target is None or id(target) not in self.numbers:
                raise Unrecordable(f"{name} changes a tensor from outside the step ({line})")
            number = self.numbers[id(target)]
            if number in self.given or number in self.own:
                raise Unrecordable(f"{name} changes an argument of the step in place ({line})")
            shared = self.storages[target.untyped_storage()._cdata] > 1
            if shared and id(target) not in self.apart:
                raise Unrecordable(
                    f"{name} changes a tensor that is a view or has views ({line}); write what "
                    "makes a new one: torch.cat, torch.where, x + y"
                )

    def _number(self, tensor: Tensor, found: bool = True) -> int:
        """The number of a tensor.

        Args:
            tensor: one that was seen before, or is new.
            found: whether a new one stood in the surroundings of the step.
        """
        known = self.numbers.get(id(tensor))
        if known is not None:
            return known
        number = self._renumber(tensor)
        storage = tensor.untyped_storage()._cdata
        self.storages[storage] = self.storages.get(storage, 0) + 1
        if found:
            self.own[number] = tensor
        return number

    def _renumber(self, tensor: Tensor) -> int:
        """A new number for a tensor."""
        number = len(self.kept)
        self.numbers[id(tensor)] = number
        self.kept.append(tensor)
        return number


class _Unwatched:
    """Who watches what the step calls is spared what is done for the tape: most of all calls."""

    def __enter__(self) -> None:
        self._watching = sys.getprofile()
        if callable(self._watching):  # others, as that of cProfile, are not put back by a call
            sys.setprofile(None)

    def __exit__(self, *_: object) -> None:
        if callable(self._watching):
            sys.setprofile(self._watching)


def _compared(first: _Tape, second: _Tape) -> Recording:
    """One recording from two."""
    if len(first.calls) != len(second.calls) or len(first.kept) != len(second.kept):
        raise Unrecordable(_OTHER_PATH)
    made = {number: call for call in first.calls for number in call.outputs}
    seen = [
        _typed(a, b, made.get(number))
        for number, (a, b) in enumerate(zip(first.kept, second.kept, strict=True))
    ]
    for number in first.own:
        if seen[number].axis is not None:
            raise Unrecordable(
                "the step reads a tensor of the size of the batch that is none of its arguments: "
                "it was made outside of torch (by NumPy, say), or is kept from another call"
            )
    rows = set(first.given)
    for one, other in zip(first.calls, second.calls, strict=True):
        if one.op is not other.op or one.outputs != other.outputs:
            raise Unrecordable(_OTHER_PATH)
        derived = any(number in rows for number in one.refs())
        same = (one.args, dict(one.kwargs)) == (other.args, dict(other.kwargs))
        if not same and one.name not in _SHAPED:
            raise Unrecordable(f"{one.name} uses the batch size as a number ({one.line})")
        for number in one.outputs:
            if derived and seen[number].axis is None:
                raise Unrecordable(
                    f"{one.name} mixes rows ({one.line}); a row knows no other: name an axis "
                    "behind the batch, dim=1 or further"
                )
            if derived:
                rows.add(number)
    if first.outputs != second.outputs or first.labels != second.labels:
        raise Unrecordable(_OTHER_PATH)
    return Recording(
        tuple(seen),
        first.given,
        first.own,
        tuple(first.calls),
        first.outputs,
        first.labels,
    )


_LOOK = (
    "choose with torch.where, compare with torch.arange(n) what is 1 at an index, and keep a "
    "number of the cell as a Python number"
)
_DRAW = "a cell draws them in noise()"
_ATTENTION = ("_scaled_dot_product", "_safe_softmax")
_SOFTMAX = "write torch.softmax(q @ k.transpose(-2, -1) / k.shape[-1] ** 0.5, -1) @ v"
_OTHER_PATH = (
    "the step takes another path when it is called again: it looks at how many rows there are, or "
    "keeps something between its calls"
)
# Operations among whose numbers are sizes; what they mean is read from the shapes of their results.
_SHAPED = frozenset(
    [
        "view", "_unsafe_view", "reshape", "expand", "new_zeros", "new_ones", "new_full",
        "new_empty", "zeros", "ones", "full", "empty", "repeat", "slice", "as_strided", "narrow",
        "split_with_sizes", "native_group_norm",
    ]
)  # fmt: skip


def _typed(a: Tensor, b: Tensor, call: Called | None) -> Seen:
    """A tensor of both recordings, made by ``call``: where its two shapes differ is the batch."""
    axis, times = None, 1
    if a.shape != b.shape:
        odd = [d for d, (m, n) in enumerate(zip(a.shape, b.shape, strict=False)) if m != n]
        where = "" if call is None else f" ({call.line})"
        what = "the step" if call is None else call.name
        if a.dim() != b.dim() or len(odd) != 1:
            raise Unrecordable(f"{what} has the batch in several axes{where}")
        axis = odd[0]
        times = a.shape[axis] // BATCHES[0]
        if times == 0 or (a.shape[axis], b.shape[axis]) != tuple(times * n for n in BATCHES):
            raise Unrecordable(f"{what} cuts the batch{where}")
    return Seen(tuple(a.shape), axis, a.dtype, times)


def _picks(name: str, args: tuple[Any, ...]) -> bool:
    """Is it an index by whole numbers? What truth picks has a size that hangs on numbers."""
    if name != "index":
        return False
    return all(index is None or index.dtype in (torch.int64, torch.int32) for index in args[1])


def _replaced(tree: Any, number: Callable[[Tensor], int]) -> Any:
    """Arguments with a :class:`Ref` in place of each tensor."""
    if isinstance(tree, Tensor):
        return Ref(number(tree))
    if isinstance(tree, tuple | list):
        return type(tree)(_replaced(part, number) for part in tree)
    return tree


def _refs(tree: Any) -> Iterator[int]:
    """Numbers of the tensors that :func:`_replaced` found."""
    if isinstance(tree, Ref):
        yield tree.number
    elif isinstance(tree, tuple | list):
        for part in tree:
            yield from _refs(part)


def _line() -> str:
    """File and line that called torch: the nearest frame that is neither torch's nor ours."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith((_ENGINE, _TORCH)):
            return line_of(frame)
        frame = frame.f_back
    return "unknown place"


def line_of(frame: FrameType) -> str:
    """File and line at which a function is, with the line itself."""
    name = frame.f_code.co_filename
    line = linecache.getline(name, frame.f_lineno).strip()
    where = f"{Path(name).name}, line {frame.f_lineno}"
    return f"{where}: {line}" if line else where
