"""What a cell is: one step of a recurrence, and nothing about time.

A cell gives ``initial_state(batch)`` and ``step(x, state, context, noise) -> (y, state)``. All else
(time, direction, lengths, stacking, gradients, speed) belongs to the engine and the layers, which
know a cell by this contract alone.
"""

from __future__ import annotations

import abc
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from recurra.cells.construction import checks_call, refusal
from recurra.errors import (
    SettingError,
    ShapeError,
    dtype_name,
    kind_of,
    nearest,
    symbols_hint,
)
from recurra.settings import check_size
from recurra.states import Tree, first, leaves, match, with_leaves

__all__ = [
    "AROUND",
    "Cell",
    "HiddenState",
    "MOVING",
    "Noise",
    "TorchForm",
    "cell_by_name",
    "cell_names",
    "cell_origin",
    "cells_of",
    "draw_noise",
    "in_a_run",
    "register",
]


class HiddenState(NamedTuple):
    """The state of a cell that carries one vector.

    Args:
        h: ``[batch, hidden_size]``.
    """

    h: Tensor


class Noise(NamedTuple):
    """What chance contributes to one call, drawn once by the engine and replayable.

    Args:
        step: a tree of ``[time, batch, ...]`` tensors; a step sees its own slice ``[batch, ...]``.
        held: a tree of ``[batch, ...]`` tensors, the same at every step.
    """

    step: Tree = None
    held: Tree = None


class TorchForm(NamedTuple):
    """A cell's step in the form of torch's own kernels.

    Args:
        kind: which kernel computes the very step. ``"lstm"`` needs a state of two fields (h, c),
            the others one of one field h, and y must be h.
        input_weight: ``[gates*h, i]``, gates in torch's order.
        recurrent_weight: ``[gates*h, r]``, r being the width of the state's h.
        biases: the two biases ``[gates*h]``, or None.
        projection: ``[r, h]``, of an LSTM that carries a projection of h; else None, and r is h.
    """

    kind: Literal["rnn_tanh", "rnn_relu", "lstm", "gru"]
    input_weight: Tensor
    recurrent_weight: Tensor
    biases: tuple[Tensor, Tensor] | None = None
    projection: Tensor | None = None


class Cell(nn.Module, abc.ABC):
    """Base of all cells. A cell of your own is this class with two methods.

    ::

        class Leaky(recurra.Cell):
            def __init__(self, input_size, hidden_size):
                super().__init__(input_size, hidden_size)
                self.read = nn.Linear(input_size, hidden_size)
                self.keep = nn.Linear(hidden_size, hidden_size, bias=False)

            def initial_state(self, batch):
                return recurra.HiddenState(self.zeros(batch))

            def step(self, x, state, context=None, noise=None):
                h = 0.9 * state.h + 0.1 * torch.tanh(self.read(x) + self.keep(state.h))
                return h, recurra.HiddenState(h)

    Args:
        input_size: width of x; None for a cell that reads something else than one vector, such as
            pictures or numbers alone. A cell that reads a named tuple states it in
            :meth:`example_input`.
        hidden_size: width of the state.
        output_size: width of y; ``hidden_size`` unless given.

    Raises:
        SettingError: a size that is not a positive whole number.
    """

    takes_context: ClassVar[bool] = False
    """Whether ``step`` reads the context it is offered."""

    recurrent_parameters: ClassVar[tuple[str, ...]] = ()
    """Names of the weights that meet what is fed back: those that :func:`recurra.weight_drop`
    drops unless told otherwise."""

    bookkeeping: ClassVar[tuple[str, ...]] = ()
    """Names of the state's fields that keep accounts and are no units, such as a time: zoneout
    leaves them alone unless told otherwise."""

    input_size: int | None
    hidden_size: int
    output_size: int

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        step = vars(cls).get("step")
        if inspect.isfunction(step) and not _takes(step, 5):
            raise SettingError(
                f"{cls.__name__}.step: expected step(self, x, state, context=None, noise=None), "
                f"got step{inspect.signature(step)}: a run gives it all four."
            )

    @checks_call
    def __init__(
        self, input_size: int | None, hidden_size: int, output_size: int | None = None
    ) -> None:
        super().__init__()
        self.input_size = None if input_size is None else check_size("input_size", input_size)
        self.hidden_size = check_size("hidden_size", hidden_size)
        given = hidden_size if output_size is None else output_size
        self.output_size = check_size("output_size", given)

    @abc.abstractmethod
    def initial_state(self, batch: int) -> Tree:
        """The state before the first step: a named tuple of ``[batch, ...]`` tensors."""

    @abc.abstractmethod
    def step(
        self, x: Any, state: Any, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, Any]:
        """One step of every row; rows never see each other, and nothing is changed in place.

        Args:
            x: ``[batch, input_size]``, or a named tuple of ``[batch, ...]`` tensors.
            state: as :meth:`initial_state` gives it.
            context: a named tuple of ``[batch, ...]`` tensors, or None.
            noise: this step's slice of what :meth:`noise` drew; None means evaluation, also where
                the cell is in training but nobody drew for it.

        Returns:
            y ``[batch, output_size]`` and the next state, of the same structure as ``state``.
        """

    def example_input(self, batch: int) -> Tree:
        """Zeros shaped like one step's x; None from a cell that does not say what it reads.

        Inputs are checked against it. A cell that reads a named tuple overrides this. The field
        that comes first is the input proper: what wrappers drop out, normalize and add.
        """
        return None if self.input_size is None else self.zeros(batch, self.input_size)

    def noise(self, time: int, batch: int) -> Noise | None:
        """What a cell that needs chance draws for a whole call, in training only; None if nothing.

        Args:
            time: number of steps.
            batch: number of rows.
        """
        return None

    def parameter_formula(self) -> tuple[str, dict[str, int]] | None:
        """How the parameters are counted: a formula and its letters, or None if not stated."""
        return None

    def zeros(self, batch: int, *sizes: int) -> Tensor:
        """Zeros ``[batch, *sizes]`` (``hidden_size`` unless given), typed like the parameters."""
        like = self.typical()
        size = (batch, *(sizes or (self.hidden_size,)))
        return torch.zeros(size) if like is None else like.new_zeros(size)

    def typical(self) -> Tensor | None:
        """A parameter of floating point, which says type and device of the cell; None without."""
        for own in self._parameters.values():  # many times cheaper than parameters()
            if own is not None and own.is_floating_point():
                return own
        return next((p for p in self.parameters() if p.is_floating_point()), None)

    def forward(
        self, x: Any, state: Any = None, context: Tree = None, noise: Noise | None = None
    ) -> tuple[Tensor, Any]:
        """:meth:`step`, from the initial state unless one is given, with what is given checked.

        Raises:
            ShapeError: x or the state does not fit.
        """
        name, example = type(self).__name__, self.example_input(1)
        if isinstance(x, Tensor) and isinstance(example, Tensor):
            hint = symbols_hint(x) if example.is_floating_point() else ""
            if hint or x.shape[1:] != example.shape[1:]:
                wanted = ", ".join(str(size) for size in example.shape[1:])
                kind = f"{dtype_name(x.dtype)} " if hint else ""
                raise ShapeError(
                    f"x of {name}: expected [batch, {wanted}], got {kind}{list(x.shape)}.{hint}"
                )
        initial = self.initial_state(first(x).shape[0])
        if state is None:
            state = initial
        else:
            match(state, initial, what=f"state of {name}")
            state = with_leaves(initial, leaves(state))  # a plain tuple will do
        if MOVING and (around := AROUND.get()) is not None:
            result: tuple[Tensor, Any] = around(self, x, state, context, noise)
            return result
        return self.step(x, state, context, noise)

    def extra_repr(self) -> str:
        """Sizes, as ``print(cell)`` shows them."""
        return f"{self.input_size}, {self.hidden_size}"


# What a cell that is called by itself, in this thread or task, is run through: it, x, state,
# context and noise. None where nobody minds, and within a run, whose steps are no calls.
AROUND: ContextVar[Callable[..., Any] | None] = ContextVar("around", default=None)
# One for each thread or task that may mind: compilers do not follow a ContextVar.
MOVING: list[None] = []


@contextmanager
def in_a_run() -> Iterator[None]:
    """Steps that are called meanwhile are those of a run."""
    token = AROUND.set(None)
    try:
        yield
    finally:
        AROUND.reset(token)


def _takes(function: Callable[..., Any], count: int) -> bool:
    """Can it be called with so many arguments?"""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    return True


def draw_noise(cell: Cell, time: int, batch: int) -> Noise | None:
    """The noise of one call: what the cell draws if it is in training, else None."""
    return cell.noise(time, batch) if cell.training else None


_REGISTERED: dict[str, Callable[..., Cell]] = {}
Make = TypeVar("Make", bound=Callable[..., Cell])


def register(name: str) -> Callable[[Make], Make]:
    """Give a cell a name for recipes, artifacts and the command line (``model.cell=name``).

    Put it before the class, or call it on a function that builds a cell. The cell is built as
    ``make(input_size, hidden_size, **settings)``.

    Raises:
        SettingError: another cell has that name already.
    """

    def keep(make: Make) -> Make:
        known = _REGISTERED.get(name)
        # A notebook or an interactive session runs the same definition again: that is no clash.
        if known is not None and _origin(known) != _origin(make):
            raise SettingError(f"register: {name!r} is taken by {_origin(known)}; choose another.")
        _REGISTERED[name] = make
        return make

    return keep


def cell_names() -> tuple[str, ...]:
    """Names of all registered cells, sorted."""
    return tuple(sorted(_REGISTERED))


def cell_origin(name: str) -> str:
    """Where a registered cell was defined, ``module.Class``; an artifact keeps it to say so.

    Raises:
        SettingError: no cell of that name.
    """
    return _origin(_registered(name))


def cell_by_name(name: str, input_size: int, hidden_size: int, /, **settings: Any) -> Cell:
    """Build a registered cell.

    Raises:
        SettingError: no cell of that name, or a setting that it does not take.
    """
    make = _registered(name)
    # The call alone: an error inside the cell's own code stays what it is.
    told = refusal(inspect.signature(make), (input_size, hidden_size), settings, places=2)
    if told is not None:
        raise SettingError(f"cell {name!r}: {told}")
    cell = make(input_size, hidden_size, **settings)
    if not isinstance(cell, Cell):
        raise SettingError(f"cell {name!r}: expected it to make a Cell, got {kind_of(cell)}.")
    return cell


def cells_of(module: nn.Module, *, nested: bool = True) -> Iterator[tuple[str, Cell]]:
    """The cells of a module, each once, with where they stand.

    Those too that a layer holds without their being submodules (its ``held_cells``).

    Args:
        module: a cell, or what holds some.
        nested: whether cells inside of other cells are among them.
    """
    outer: list[str] = []
    for name, part in module.named_modules():
        if not nested and any(not cell or name.startswith(f"{cell}.") for cell in outer):
            continue
        if isinstance(part, Cell):
            outer.append(name)
            yield name, part
        held: dict[str, Cell] = getattr(part, "held_cells", dict)()
        yield from ((f"{name}.{own}" if name else own, cell) for own, cell in held.items())


def _registered(name: str) -> Callable[..., Cell]:
    if name not in _REGISTERED:
        raise SettingError(
            f"cell: no {name!r}; {nearest(name, _REGISTERED)}. A cell of your own is known after "
            "the module with its @recurra.register has been imported (on the command line: "
            "--import my_module)."
        )
    return _REGISTERED[name]


def _origin(make: Callable[..., Cell]) -> str:
    return f"{make.__module__}.{getattr(make, '__qualname__', make)}"
