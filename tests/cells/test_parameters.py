"""What every cell learns where nobody says otherwise, and what it does without biases."""

from __future__ import annotations

import pytest

import recurra

X, H = 3, 5  # sizes of the input and of the state
G = {"input_weight": (H, X), "recurrent_weight": (H, H), "bias": (H,)}


def gates(number: int) -> dict[str, tuple[int, ...]]:
    """Weights of so many gates below each other."""
    return {name: (number * shape[0], *shape[1:]) for name, shape in G.items()}


PARAMETERS: dict[str, dict[str, tuple[int, ...]]] = {
    "cornn": {
        "input_weight": (H, X),
        "position_weight": (H, H),
        "velocity_weight": (H, H),
        "bias": (H,),
    },
    "elman": gates(1),
    "gru": gates(3) | {"recurrent_bias": (H,)},  # of the candidate, as in torch
    "gru_reset_before": gates(3),
    "grud": gates(3)
    | {"observed_weight": (3 * H, X), "input_decay": (X,), "input_decay_bias": (X,)}
    | {"hidden_decay": (H, X), "hidden_decay_bias": (H,)},
    "indrnn": gates(1) | {"recurrent_weight": (H,)},
    "irnn": gates(1),
    "jordan": gates(1) | {"output_weight": (H, H), "output_bias": (H,)},
    "lstm": gates(4),
    "lstm_coupled": gates(3),
    "lstm_multiplicative": gates(4) | {"input_factor": (H, X), "recurrent_factor": (H, H)},
    "lstm_peephole": gates(4) | {"peepholes": (3, H)},
    "lstm_projected": gates(4) | {"recurrent_weight": (4 * H, 3), "projection": (3, H)},
    "mgu": gates(2),
    "mingru": {"input_weight": (2 * H, X), "bias": (2 * H,)},
    "minlstm": {"input_weight": (3 * H, X), "bias": (3 * H,)},
    "slstm": gates(4),
}


def shapes(name: str, **settings: bool) -> dict[str, tuple[int, ...]]:
    cell = recurra.cell_by_name(name, X, H, **settings)
    return {name: tuple(weight.shape) for name, weight in cell.named_parameters()}


def test_every_cell_is_here() -> None:
    assert set(PARAMETERS) == set(recurra.cell_names())


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name: str) -> None:
    assert shapes(name) == PARAMETERS[name]
    without = ("bias", "recurrent_bias", "output_bias")
    assert shapes(name, bias=False) == {
        name: shape for name, shape in PARAMETERS[name].items() if name not in without
    }
