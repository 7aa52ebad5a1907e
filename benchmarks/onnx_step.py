"""A recurrent cell as one node of ONNX, and a step of it in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from rivals import weights_of

import recurra

# Where ONNX has a gate that stands elsewhere in ours: i o f g, and z r n.
_ORDER = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}
# Old enough for all versions of ONNX Runtime that are about.
_OPSET, _IR = 17, 8


def versions() -> str:
    """Of both."""
    return f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}"


def onnx_steps(
    kind: str, cell: recurra.Cell, threads: int
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """A stream: reads ``[1, i]``, gives y, and feeds its states back.

    Args:
        kind: ``LSTM``, ``GRU`` or ``RNN``.
        cell: whose weights it has.
        threads: that ONNX Runtime may use.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(
        _model(kind, cell).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = ["h", "c"] if kind == "LSTM" else ["h"]
    outputs = [f"new_{name}" for name in names]
    zeros = np.zeros((1, 1, cell.hidden_size), np.float32)
    fed = dict.fromkeys(names, zeros)
    run = session.run

    def step(x: NDArray[np.float32]) -> NDArray[np.float32]:
        fed["x"] = x[np.newaxis]
        new = run(outputs, fed)
        for name, state in zip(names, new, strict=True):
            fed[name] = state
        return new[0]

    return step


def _model(kind: str, cell: recurra.Cell) -> onnx.ModelProto:
    width, hidden = cell.input_size, cell.hidden_size
    order = _ORDER[kind]

    def turned(array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Its gates in ONNX's order."""
        return np.concatenate([np.split(array, len(order))[place] for place in order])

    into, recurrent, *biases = (turned(w.detach().numpy()) for w in weights_of(cell))
    weights = {"W": into[None], "R": recurrent[None], "B": np.concatenate(biases)[None]}
    names = ["h", "c"] if kind == "LSTM" else ["h"]
    settings = {"linear_before_reset": 1} if kind == "GRU" else {}
    node = helper.make_node(
        kind,
        ["x", "W", "R", "B", "", *names],
        ["", *(f"new_{name}" for name in names)],
        hidden_size=hidden,
        **settings,
    )

    def told(name: str, size: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, size])

    graph = helper.make_graph(
        [node],
        kind,
        [told("x", width), *(told(name, hidden) for name in names)],
        [told(f"new_{name}", hidden) for name in names],
        [numpy_helper.from_array(array.copy(), name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
    model.ir_version = _IR
    onnx.checker.check_model(model)
    return model
