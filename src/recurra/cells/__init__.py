"""What one step is: the contract, the cells, the wrappers, and how weights start."""

from recurra.cells.base import (
    Cell,
    HiddenState,
    Noise,
    TorchForm,
    cell_by_name,
    cell_names,
    draw_noise,
    register,
)
from recurra.cells.elman import ElmanCell
from recurra.cells.gru import GRUCell, GRUResetBeforeCell
from recurra.cells.initializers import Initializer, initializer
from recurra.cells.lstm import LSTMCell, LSTMState
from recurra.cells.wrappers import Wrapper, Zoneout

__all__ = [
    "Cell",
    "ElmanCell",
    "GRUCell",
    "GRUResetBeforeCell",
    "HiddenState",
    "Initializer",
    "LSTMCell",
    "LSTMState",
    "Noise",
    "TorchForm",
    "Wrapper",
    "Zoneout",
    "cell_by_name",
    "cell_names",
    "draw_noise",
    "initializer",
    "register",
]
