"""One step of one row: how fast is a frozen layer or model as a stream?

One step of inference whose state is carried on. Rivals are torch.nn's cells under inference mode,
and ONNX Runtime with one node and a sequence of length 1 whose states are fed back, with one thread
and with two (where onnx and onnxruntime are installed). All have the same weights, and what they
say over some steps is compared first. A whole model (embedding, 2 LSTM layers, log-softmax) stands
beside the same in eager PyTorch.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch
from findings import Findings
from harness import Measurement, keep, machine_in_words, measure
from numpy.typing import NDArray
from rivals import LAYER_CODE, must_agree, with_weights_of
from torch import nn

import recurra

try:
    from onnx_step import onnx_steps, versions
except ImportError:
    onnx_steps = versions = None

SEED = 0
WIDTHS = (32, 128, 256)
STEPS = 500  # of a timed run
COMPARED = 50
# Threads of one library let go of the cores before the next one's turn; ONNX Runtime's look a
# million times for work
# before they sleep.
REST = 0.1
TORCH, ONNX, WHOLE = "torch.nn", "ONNX Runtime", "integer ids"
# By width, over torch.nn and over ONNX Runtime.
GOALS = {32: (4.0, 2.0), 128: (3.0, 1.6), 256: (2.0, 1.2)}
MODEL_GOAL = 6.0
MODEL = {"layers": 2, "hidden_size": 128, "embedding_size": 128, "vocabulary_size": 100}
KINDS = {
    "LSTM": (recurra.LSTMCell, nn.LSTMCell),
    "GRU": (recurra.GRUCell, nn.GRUCell),
    "RNN": (recurra.ElmanCell, nn.RNNCell),
}

# A stream: each call reads one row and gives y; its state begins anew when it is made.
Stream = Callable[[NDArray[np.float32]], object]


def torch_stream(cell: nn.Module) -> Stream:
    """torch.nn's cell; it reads tensors, which the arrays become without a copy."""
    state: object = None

    def step(x: torch.Tensor) -> torch.Tensor:
        nonlocal state
        state = cell(x, state)
        return state[0] if isinstance(state, tuple) else state

    return step


def layer_stream(layer: recurra.Recurrent) -> Stream:
    """Our layer as it is, called with one step."""
    state: object = None

    def step(x: torch.Tensor) -> torch.Tensor:
        nonlocal state
        outputs, _, state = layer(x.unsqueeze(0), state)
        return outputs[0]

    return step


def streams_of(kind: str, width: int) -> dict[str, Callable[[], Stream]]:
    """What makes each rival's stream anew."""
    torch.manual_seed(SEED)
    cell, plain = KINDS[kind]
    own = cell(width, width)
    layer = recurra.Recurrent(own).eval()
    rival = with_weights_of(own, plain(width, width))
    made: dict[str, Callable[[], Stream]] = {
        "recurra": lambda: layer.frozen().step,
        "unfrozen": lambda: layer_stream(layer),
        TORCH: lambda: torch_stream(rival),
    }
    if onnx_steps is not None:
        for threads in (1, 2):
            made[f"{ONNX}, {threads}"] = lambda t=threads: onnx_steps(kind, own, t)
    return made


def rivals_of(made: dict[str, Callable[[], Stream]], inputs: NDArray) -> dict[str, Callable]:
    """Streams over the same inputs, each in its own type; ends the benchmark if they differ."""
    reads: dict[str, list] = {name: list(inputs) for name in made}
    reads["recurra"] = list(inputs.astype(np.float32))  # a program's own type, ids too
    reads |= {name: list(torch.from_numpy(inputs)) for name in ("unfrozen", TORCH) if name in made}

    def running(name: str, step: Stream) -> Callable[[], object]:
        def work() -> object:
            with torch.inference_mode():
                for x in reads[name]:
                    said = step(x)
            return said

        return work

    told = {}
    for name, make in made.items():
        step = make()
        with torch.inference_mode():
            said = [torch.as_tensor(step(x)).flatten() for x in reads[name][:COMPARED]]
        told[name] = torch.stack(said)
        must_agree(name, [told["recurra"]], [told[name]])
    return {name: running(name, make()) for name, make in made.items()}


class Plain(nn.Module):
    """The model in plain PyTorch, a step at a time, with the weights of ours."""

    def __init__(self, model: recurra.LanguageModel) -> None:
        super().__init__()
        width, symbols = model.config.hidden_size, model.config.vocabulary_size
        self.embedding = nn.Embedding(symbols, width)
        cells = [layer.cell for layer in model.encoder.layer.layers]
        self.cells = nn.ModuleList(with_weights_of(c, nn.LSTMCell(width, width)) for c in cells)
        self.head = nn.Linear(width, symbols)
        with torch.no_grad():
            self.embedding.weight.copy_(model.encoder.embedding.weight)
            self.head.weight.copy_(model.head.projection.weight)
            self.head.bias.copy_(model.head.projection.bias)
        self.states: list = [None] * len(self.cells)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of the next symbol."""
        x = self.embedding(ids)
        for place, cell in enumerate(self.cells):
            self.states[place] = cell(x, self.states[place])
            x = self.states[place][0]
        return torch.log_softmax(self.head(x), 1)


def model_rivals() -> dict[str, Callable]:
    """The whole model, frozen and in plain PyTorch; frozen also given ids that are integers."""
    torch.manual_seed(SEED)
    model = recurra.LanguageModel(recurra.LanguageModelConfig(**MODEL)).eval()
    made = {
        "recurra": lambda: model.frozen().step,
        TORCH: lambda: Plain(model).eval(),
        WHOLE: lambda: model.frozen().step,
    }
    ids = np.random.default_rng(SEED).integers(0, MODEL["vocabulary_size"], (STEPS, 1))
    return rivals_of(made, ids)


def with_best(done: Measurement) -> tuple[Measurement, str]:
    """The same without the slower one of ONNX Runtime's two."""
    both = [name for name in done.seconds if name.startswith(ONNX)]
    if not both:
        return done, ""
    best = min(both, key=done.median)
    kept = {name: values for name, values in done.seconds.items() if name not in both}
    return Measurement(kept | {ONNX: done.seconds[best]}, done.sgemm, done.attempts), best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--threads", type=int, help="of torch; its own choice if not given")
    given = parser.parse_args()
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    print(machine_in_words())
    print(
        versions() if versions else "onnx and onnxruntime are not installed: that rival is left out"
    )
    print(f"a run is {STEPS} steps, and so are all times below")
    found = Findings()
    for kind in KINDS:
        for width in WIDTHS:
            inputs = np.random.default_rng(SEED).standard_normal((STEPS, 1, width), np.float32)
            done = measure(rivals_of(streams_of(kind, width), inputs), given.runs, REST)
            done, best = with_best(done)
            goals = {TORCH: GOALS[width][0], "unfrozen": None}
            if best:
                print(f"threads of the faster ONNX Runtime: {best[-1]}")
                goals[ONNX] = GOALS[width][1]
            found.add(f"{kind} {width}", done, goals)
    found.add("model", measure(model_rivals(), given.runs), {TORCH: MODEL_GOAL, WHOLE: None})
    print(found.table())
    keep(
        "one_step",
        {
            "question": "one step of inference of one row, frozen, times as fast as a cell of "
            "torch.nn, our own layer unfrozen, and ONNX Runtime (better of 1 and 2 threads); model "
            "is embedding, 2 LSTM layers of 128 and log-softmax over 100, beside eager PyTorch, "
            "and beside itself given ids that are integers, not float32",
            **found.to_json(),
            "onnx": versions() if versions else None,
        },
        [*LAYER_CODE, "src/recurra/models", "runtime/src/recurra_runtime"],
        seed=SEED,
        by_kind=True,
        void=found.void,
    )


if __name__ == "__main__":
    main()
