"""What one step is: the contract, the cells, the wrappers, and how weights start."""

from recurra.cells.affine import AffineCell, ForgettingCell, GatedCell
from recurra.cells.attention import Attending, AttentionCell, Memory
from recurra.cells.base import (
    Cell,
    HiddenState,
    Noise,
    TorchForm,
    cell_by_name,
    cell_names,
    cell_origin,
    draw_noise,
    register,
)
from recurra.cells.elman import ElmanCell
from recurra.cells.exponential import SLSTMCell, SLSTMState
from recurra.cells.gaps import GappedInput, GRUDCell, GRUDState
from recurra.cells.gru import GRUCell, GRUResetBeforeCell
from recurra.cells.independent import IndRNNCell
from recurra.cells.initializers import Initializer, initializer
from recurra.cells.jordan import JordanCell, OutputState
from recurra.cells.lstm import (
    CoupledLSTMCell,
    LSTMBase,
    LSTMCell,
    LSTMState,
    PeepholeLSTMCell,
    ProjectedLSTMCell,
)
from recurra.cells.minimal import MGUCell, MinGRUCell, MinLSTMCell
from recurra.cells.multiplicative import MultiplicativeLSTMCell
from recurra.cells.oscillator import CoRNNCell, CoRNNState
from recurra.cells.weight_drop import WeightDrop, weight_drop
from recurra.cells.wrappers import (
    Forced,
    ForcedInput,
    HeldDropout,
    Normalized,
    Residual,
    Wrapper,
    Zoneout,
)

__all__ = [
    "AffineCell",
    "Attending",
    "AttentionCell",
    "Cell",
    "CoRNNCell",
    "CoRNNState",
    "CoupledLSTMCell",
    "ElmanCell",
    "Forced",
    "ForcedInput",
    "ForgettingCell",
    "GRUCell",
    "GRUDCell",
    "GRUDState",
    "GRUResetBeforeCell",
    "GappedInput",
    "GatedCell",
    "HeldDropout",
    "HiddenState",
    "IndRNNCell",
    "Initializer",
    "JordanCell",
    "LSTMBase",
    "LSTMCell",
    "LSTMState",
    "MGUCell",
    "Memory",
    "MinGRUCell",
    "MinLSTMCell",
    "MultiplicativeLSTMCell",
    "Noise",
    "Normalized",
    "OutputState",
    "PeepholeLSTMCell",
    "ProjectedLSTMCell",
    "Residual",
    "SLSTMCell",
    "SLSTMState",
    "TorchForm",
    "WeightDrop",
    "Wrapper",
    "Zoneout",
    "cell_by_name",
    "cell_names",
    "cell_origin",
    "draw_noise",
    "initializer",
    "register",
    "weight_drop",
]
