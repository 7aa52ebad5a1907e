"""Arguments that a cell does not take: who is told of them, and what to write instead."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import recurra
from recurra.cells.construction import _INSTEAD, _MEANT, checks_call
from recurra.errors import SettingError, SettingTypeError


class Leaky(recurra.Cell):
    """Has no ``__init__`` of its own."""

    def initial_state(self, batch: int) -> recurra.HiddenState:
        return recurra.HiddenState(self.zeros(batch))

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        return x, state


@pytest.mark.parametrize(
    "kind",
    [
        *(recurra.cell_by_name(name, 4, 4).__class__ for name in recurra.cell_names()),
        *(recurra.RNN, recurra.LSTM, recurra.GRU, Leaky),
    ],
)
def test_the_class_that_was_called_is_named(kind: Any) -> None:
    said = (
        f"^{kind.__name__}: got an unexpected keyword argument 'zoneout'; .*Zoneout\\(cell, 0.1\\)"
    )
    with pytest.raises(SettingTypeError, match=said):
        kind(4, 4, zoneout=0.1)
    with pytest.raises(TypeError, match=f"^{kind.__name__}: missing a required argument"):
        kind(4)


@pytest.mark.parametrize(
    ("kind", "setting", "said"),
    [
        (recurra.LSTMCell, "dropout", "Write recurra.HeldDropout(cell, "),
        (recurra.LSTMCell, "normm", "Did you mean 'norm'?"),
        (recurra.LSTMCell, "layer_norm", "Did you mean 'norm'?"),
        (recurra.CoRNNCell, "layer_norm", "Write recurra.Normalized(cell)"),
        (recurra.GRUCell, "num_layers", "Write recurra.Stack([...])"),
        (recurra.GRUCell, "wdrop", "Write recurra.weight_drop(cell, 0.5)"),
        (recurra.ElmanCell, "nonlinearity", "Did you mean 'activation'?"),
        (recurra.ElmanCell, "xyzzy", "input_init, recurrent_init."),
        (recurra.LSTM, "units", "Did you mean 'hidden_size'?"),
        (recurra.LSTM, "return_sequences", "return_states=True)"),
    ],
)
def test_what_gives_it_is_named(kind: Any, setting: str, said: str) -> None:
    with pytest.raises(SettingTypeError) as seen:
        kind(4, 4, **{setting: 1})
    assert said in str(seen.value)
    assert str(seen.value).endswith((".", "?"))


def test_by_name_as_by_class() -> None:
    with pytest.raises(SettingError, match=r"cell 'lstm': .*Zoneout"):
        recurra.cell_by_name("lstm", 4, 4, zoneout=0.1)


def test_an_error_from_inside_stays_what_it_is() -> None:
    class Odd(recurra.LSTMCell):
        @checks_call
        def __init__(self, input_size: int) -> None:
            super().__init__(input_size, 4)
            len(input_size)  # type: ignore[arg-type]

    with pytest.raises(TypeError, match="has no len") as seen:
        Odd(4)
    assert not isinstance(seen.value, SettingTypeError)


def test_what_is_advised_is_there() -> None:
    names = {name for name, _ in inspect.getmembers(recurra)}
    said = " ".join(_INSTEAD.values()).replace("(", " ").replace(",", " ").split()
    assert {word.removeprefix("recurra.") for word in said if word.startswith("recurra.")} <= names
    assert set(_MEANT.values()) <= set(_INSTEAD) | set(
        inspect.signature(recurra.ElmanCell).parameters
    ) | {"forget_bias"}
