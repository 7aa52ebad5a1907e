"""What torch.nn's three recurrent layers have in common, on Recurra's engine."""

from __future__ import annotations

import abc
import math
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from recurra.cells import AffineCell, Cell, HiddenState
from recurra.cells.construction import checks_call
from recurra.engine import BackendName, run
from recurra.engine.backends.choose import check_backend
from recurra.engine.freeze import freeze, streamed
from recurra.errors import (
    InputTypeError,
    SettingError,
    ShapeError,
    dtype_name,
)
from recurra.layers.dropin_input import Reader
from recurra.layers.dropin_settings import (
    SETTINGS,
    changed_setting,
    check_direction,
    check_dropout,
    check_dtype,
    check_projection,
    warn_of_dropout,
)
from recurra.layers.packed import Rows, ordered, packed_data
from recurra.settings import check_flag, check_size
from recurra.states import Tree
from recurra.twins import twin, without_memory
from recurra_runtime import Session

__all__ = ["RNNBase"]


class RNNBase(nn.Module, abc.ABC):
    """Base of :class:`recurra.RNN`, :class:`recurra.LSTM` and :class:`recurra.GRU`.

    The layer owns the parameters, under torch.nn's names. For each layer and direction it holds a
    cell without memory (on the device ``meta``) that says what a step is, and gives it the tensors
    at every call. So whatever changes a parameter or stands in for it is what the call uses:
    ``torch.func.functional_call``, parametrizations, ``load_state_dict(assign=True)``, ``.data``.

    A layer that is made may get another ``batch_first``, ``dropout`` and ``backend``, and an RNN
    another ``nonlinearity``; what its weights hang on stays as it is.

    Args:
        input_size: as of :class:`recurra.LSTM`, and so are the other arguments.

    Raises:
        SettingError: a setting that torch.nn would refuse.
        BackendError: an unknown backend.
    """

    _state: ClassVar[Any] = HiddenState
    """The named tuple that the cell carries."""

    _cells: tuple[AffineCell, ...]

    @checks_call
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        *,
        backend: BackendName | None = None,
    ) -> None:
        super().__init__()
        self.input_size = check_size("input_size", input_size)
        self.hidden_size = check_size("hidden_size", hidden_size)
        self.num_layers = check_size("num_layers", num_layers)
        self.bias = check_flag("bias", bias)
        self.batch_first = check_flag("batch_first", batch_first)
        self.dropout = check_dropout(dropout)
        self.bidirectional = check_direction(bidirectional)
        self.proj_size = check_projection(self.mode, proj_size, self.hidden_size)
        check_dtype(dtype)
        warn_of_dropout(self.dropout, self.num_layers)
        check_backend(backend)
        self.backend = backend
        self._cells = self._make_cells()
        for names, cell in zip(self._names(), self._cells, strict=True):
            shapes = [cell.input_weight.shape, cell.recurrent_weight.shape]
            shapes += [cell.input_weight.shape[:1]] * 2 * self.bias
            shapes += [torch.Size([self.proj_size, self.hidden_size])] * (self.proj_size > 0)
            for name, shape in zip(names, shapes, strict=True):
                value = torch.empty(shape, device=device, dtype=dtype)
                self.register_parameter(name, nn.Parameter(value))
        self.reset_parameters()

    # ---- what it is made of --------------------------------------------------------------------

    @property
    @abc.abstractmethod
    def mode(self) -> str:
        """Torch's name of the kind: ``"RNN_TANH"``, ``"RNN_RELU"``, ``"LSTM"`` or ``"GRU"``."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in SETTINGS and "_cells" in self.__dict__:
            value = changed_setting(self, name, value)
        super().__setattr__(name, value)

    @abc.abstractmethod
    def _make_cell(self, input_size: int) -> AffineCell:
        """The cell of one layer and direction."""

    def _cell_biases(self, read: Tensor, kept: Tensor) -> dict[str, Tensor]:
        """The cell's biases from torch's two: most cells have one where torch has two."""
        return {"bias": read + kept}

    def _make_cells(self) -> tuple[AffineCell, ...]:
        # Without memory, and without a touch of anybody's random numbers.
        with without_memory():
            above = (self.num_layers - 1) * self._directions
            sizes = [self.input_size] * self._directions + [self.output_size] * above
            # In evaluation for good: what is random here stands between the layers.
            return tuple(self._make_cell(size).eval() for size in sizes)

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        """Width of an output: h, of both directions where there are two."""
        return (self.proj_size or self.hidden_size) * self._directions

    def _suffixes(self) -> list[str]:
        """``l0``, ``l0_reverse``, ``l1``: what the names of each layer and direction end with."""
        ends = ("", "_reverse")[: self._directions]
        return [f"l{layer}{end}" for layer in range(self.num_layers) for end in ends]

    def _names(self) -> list[list[str]]:
        """Names of the parameters of each layer and direction, in torch's order."""
        stems = ["weight_ih", "weight_hh"]
        stems += ["bias_ih", "bias_hh"] * self.bias + ["weight_hr"] * (self.proj_size > 0)
        return [[f"{stem}_{suffix}" for stem in stems] for suffix in self._suffixes()]

    def held_cells(self) -> dict[str, Cell]:
        """The cells that run, by layer and direction (``l0``, ``l0_reverse``).

        They are no submodules and have no memory; :func:`recurra.explain` and
        :func:`recurra.named_values` find them here.
        """
        return dict(zip(self._suffixes(), self._cells, strict=True))

    def running_cells(self) -> list[Cell]:
        """Those cells over the layer's tensors as they are now, whose steps can be called."""
        pairs = zip(self._cells, self._tensors(), strict=True)
        return [cast(Cell, twin(cell, tensors)) for cell, tensors in pairs]

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._names()]

    @property
    def _all_weights(self) -> list[list[str]]:
        """Torch's name of :meth:`_names`; much code that sets a forget gate's bias reads it."""
        return self._names()

    @property
    def _flat_weights_names(self) -> list[str]:
        return [name for names in self._names() for name in names]

    @property
    def _flat_weights(self) -> tuple[Tensor, ...]:
        """All parameters; torch has a list, but to set an item of this one would change nothing."""
        return tuple(getattr(self, name) for name in self._flat_weights_names)

    def flatten_parameters(self) -> None:
        """Do nothing: weights are packed at every call. It is here for code that calls it."""

    def reset_parameters(self) -> None:
        """Draw every parameter as torch.nn does: uniform in ``± 1 / sqrt(hidden_size)``."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def parameter_formula(self) -> tuple[str, dict[str, int]]:
        """``4*h*(i+h) + 8*h`` for an LSTM of one layer; layers above read h where it reads i."""
        gates = self._cells[0].input_weight.shape[0] // self.hidden_size
        g = "" if gates == 1 else f"{gates}*"
        r = "r" if self.proj_size else "h"
        more = [f"{2 * gates}*h"] * self.bias + ["r*h"] * (self.proj_size > 0)

        def layers(read: str, count: int) -> str:
            terms = " + ".join([f"{g}h*({read}+{r})", *more])
            return terms if count == 1 else f"{count}*({terms})"

        formula = layers("i", self._directions)
        if self.num_layers > 1:
            below = f"2*{r}" if self.bidirectional else r
            formula += " + " + layers(below, (self.num_layers - 1) * self._directions)
        sizes = {"i": self.input_size, "h": self.hidden_size}
        return formula, sizes | ({"r": self.proj_size} if self.proj_size else {})

    def extra_repr(self) -> str:
        """Sizes, and the settings that are not the usual ones, as torch.nn shows them."""
        usual = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0,
            "bidirectional": False,
            "backend": None,
        }
        values = [(name, getattr(self, name)) for name in usual]
        settings = [f", {name}={value!r}" for name, value in values if value != usual[name]]
        return f"{self.input_size}, {self.hidden_size}{''.join(settings)}"

    def __getstate__(self) -> dict[str, Any]:
        # The cells follow from the settings: a saved layer holds none of the engine's objects.
        return {name: value for name, value in self.__dict__.items() if name != "_cells"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._cells = self._make_cells()

    # ---- running -------------------------------------------------------------------------------

    def forward(
        self,
        input: Any,
        hx: Any = None,
        *,
        lengths: Any = None,
        resets: Any = None,
        return_states: bool = False,
    ) -> Any:
        """Run over a batch of rows, or one row.

        ``batch_first`` turns the first two axes of an input that is a tensor, and of the ``resets``
        and states that go with one. It has no bearing on hx and h_n, nor on the other forms.

        Args:
            input: one of the forms in :mod:`recurra.layers.dropin`.
            hx: the state to start from, as an earlier call returned it: h ``[layers * directions,
                batch, r]``, of an LSTM the pair of it and c ``[layers * directions, batch, h]``; no
                batch axis for one row. Zeros if None.
            lengths: whole numbers ``[batch]``, 0 to time, in any order; beside a tensor only.
                Outputs keep their full time and are zero behind a row's length.
            resets: bool ``[time, batch]``, of one row ``[time]``: True at the first step of a new
                sequence. The state becomes zero there, and no gradient crosses. A direction that
                reads from the end is reset after that step.
            return_states: whether to give the state after every step.

        Returns:
            the output; h_n, of an LSTM ``(h_n, c_n)``: each row's state after its own last step, hx
            for an empty row; with ``return_states`` also the state after every step, ``[layers *
            directions, time, batch, r]``, of an LSTM the pair of it and c's, zero behind a row's
            length. Rows are in the order in which they were given.

        Raises:
            ShapeError: something does not fit; the message names it.
            BackendError: the backend that was forced cannot run this call.
        """
        reader = Reader(type(self).__name__, self.input_size, self.batch_first)
        rows = reader.rows(input, lengths)
        marks = reader.marks(self._cells[0], resets, rows)
        tensors = self._tensors()
        self._check_weight(tensors[0]["input_weight"])
        starts = self._starts(hx, rows, tensors[0]["input_weight"])
        values = rows.values
        ends, every = [], []
        for layer in range(self.num_layers):
            if layer and self.dropout and self.training:
                values = self._dropped(values, rows)
            outputs = []
            for direction in range(self._directions):
                at = layer * self._directions + direction
                result = run(
                    self._cells[at],
                    values,
                    starts[at],
                    lengths=marks,
                    reverse=direction == 1,
                    return_states=return_states,
                    parameters=tensors[at],
                    backend=self.backend,
                )
                outputs.append(result.outputs)
                ends.append(result.state)
                every.append(result.states)
            values = outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1)
        found = self._given_back(values, rows), self._joined(ends, rows)
        return (*found, self._joined(every, rows, steps=True)) if return_states else found

    def frozen(self, batch: int = 1, weights: str | None = None) -> Session:
        """This layer as it is now, in evaluation, as a stream that runs without PyTorch.

        Args:
            batch: number of rows that step side by side.
            weights: how matrices are kept: None as they are, ``"bfloat16"`` or ``"int8"``, of which
                a step of few rows is faster; :class:`recurra_runtime.Session` says what they are.

        Returns:
            a :class:`recurra_runtime.Session`: ``session.step(x)`` reads ``[batch, input_size]``,
            gives the output of the top layer, and keeps the state. Weights that change later are
            not seen.

        Raises:
            SettingError: the layer is bidirectional; no rows, or no such weights.
        """
        if self.bidirectional:
            raise SettingError(
                f"frozen: a bidirectional {type(self).__name__} reads from the end, so it cannot "
                "step. Use one direction."
            )

        def step(x: Tensor, state: tuple[Tensor, ...], context: None) -> tuple[Tensor, Tree]:
            starts = tuple(leaf.transpose(0, 1) for leaf in state)  # rows are the first axis here
            one = x.unsqueeze(1 if self.batch_first else 0)
            outputs, ends = self(one, starts if len(starts) > 1 else starts[0])
            ends = ends if isinstance(ends, tuple) else (ends,)
            return outputs.flatten(0, 1), tuple(leaf.transpose(0, 1) for leaf in ends)

        weight = self._tensors()[0]["input_weight"]
        widths = [self.output_size, self.hidden_size][: len(self._state._fields)]
        initial = tuple(weight.new_zeros(1, self.num_layers, width) for width in widths)
        program = freeze(self, step, weight.new_zeros(1, self.input_size), initial)
        return streamed(program, batch, weights=weights)

    def _tensors(self) -> list[dict[str, Tensor]]:
        """Each cell's tensors: looked up at every call, and once, for one may be computed."""
        cells = []
        for names in self._names():
            # Two weights, perhaps two biases, perhaps a projection.
            read, kept, *rest = [getattr(self, name) for name in names]
            given = {"input_weight": read, "recurrent_weight": kept}
            if self.bias:
                given |= self._cell_biases(rest[0], rest[1])
            if self.proj_size:
                given["projection"] = rest[-1]
            cells.append(given)
        return cells

    def _dropped(self, values: Tensor, rows: Rows) -> Tensor:
        """Dropout between layers; of packed rows on what is valid alone, as torch draws it."""
        if rows.packed is None:
            return nn.functional.dropout(values, self.dropout)
        data = nn.functional.dropout(packed_data(values, rows), self.dropout)
        return pad_packed_sequence(PackedSequence(data, rows.packed.batch_sizes))[0]

    # ---- what goes in --------------------------------------------------------------------------

    def _check_weight(self, weight: Tensor) -> None:
        if weight.is_complex():
            raise ShapeError(
                f"weights of {type(self).__name__}: expected real numbers, got "
                f"{dtype_name(weight.dtype)}. Convert the layer, for example with "
                ".to(torch.float32)."
            )

    def _starts(self, hx: Any, rows: Rows, weight: Tensor) -> list[Tree]:
        """The state that each layer and direction starts from; None stands for zeros."""
        if hx is None:
            return [None] * len(self._cells)
        fields = self._state._fields
        given = hx if isinstance(hx, tuple | list) else (hx,)
        if len(given) != len(fields) or not all(isinstance(leaf, Tensor) for leaf in given):
            wanted = (
                "one tensor" if len(fields) == 1 else f"a pair of tensors ({', '.join(fields)})"
            )
            raise InputTypeError(
                f"hx of {type(self).__name__}: expected {wanted}, got "
                f"({', '.join(type(leaf).__name__ for leaf in given)}). "
                "Pass the state that an earlier call returned."
            )
        leaves = []
        for field, leaf in zip(fields, given, strict=True):
            self._check_start(field, leaf, rows, weight)
            leaf = leaf.unsqueeze(1) if rows.form == "one row" else leaf
            leaves.append(ordered(leaf, 1, rows.packed and rows.packed.sorted_indices))
        cut = [leaf.unbind() for leaf in leaves]
        return [self._state(*parts) for parts in zip(*cut, strict=True)]

    def _check_start(self, field: str, leaf: Tensor, rows: Rows, weight: Tensor) -> None:
        name = f"{field} in hx of {type(self).__name__}"
        count, batch = len(self._cells), rows.values.shape[1]
        size = (self.proj_size or self.hidden_size) if field == "h" else self.hidden_size
        one = rows.form == "one row"
        expected = [count, size] if one else [count, batch, size]
        if list(leaf.shape) != expected:
            axes = "layers * directions, size" if one else "layers * directions, batch, size"
            hint = ""
            if not one and list(leaf.shape) == [batch, count, size]:
                hint = " batch_first does not turn a state: use hx.transpose(0, 1)."
            raise ShapeError(
                f"{name}: expected {expected} ([{axes}]), got {list(leaf.shape)}.{hint}"
            )
        if leaf.device != weight.device:
            raise ShapeError(
                f"{name}: expected on {weight.device}, where the weights are, got on {leaf.device}."
                " Move it with .to(...)."
            )
        if leaf.dtype != weight.dtype and not torch.is_autocast_enabled(leaf.device.type):
            raise ShapeError(
                f"{name}: expected {weight.dtype}, as the weights, got {leaf.dtype}. Convert it, "
                f"for example {field}.to({weight.dtype})."
            )

    # ---- what comes out ------------------------------------------------------------------------

    def _given_back(self, values: Tensor, rows: Rows) -> Any:
        """Outputs ``[time, batch, ...]`` in the form that came in."""
        if rows.padded is not None:
            return rows.padded._with(values)
        if rows.packed is not None:
            return rows.packed._replace(data=packed_data(values, rows))
        if rows.form == "one row":
            return values.squeeze(1)
        return values.transpose(0, 1) if self.batch_first else values

    def _joined(self, states: list[Tree], rows: Rows, *, steps: bool = False) -> Any:
        """States of all layers and directions, as torch returns them."""
        batch_axis = 2 if steps else 1
        joined = []
        for parts in zip(*states, strict=True):
            leaf = torch.stack(parts)
            if rows.form == "one row":
                leaf = leaf.squeeze(batch_axis)
            elif rows.form == "tensor" and steps and self.batch_first:
                leaf = leaf.transpose(1, 2)
            else:
                leaf = ordered(leaf, batch_axis, rows.packed and rows.packed.unsorted_indices)
            joined.append(leaf)
        return joined[0] if len(joined) == 1 else tuple(joined)
