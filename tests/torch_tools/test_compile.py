"""torch.compile: graphs end where time begins, and a single step can be compiled."""

import pytest
import torch
from torch import nn
from torch_tools.table import (
    LENGTHS,
    backends,
    check_backends,
    close,
    gradients,
    layers,
    on_loop,
    outputs_of,
    own,
    row,
    same_as_eager,
    sample,
)

import recurra
from recurra.engine import kept, torch_internals

compiler = pytest.importorskip("torch._dynamo")

# What torch itself does on the way.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:torch"),
]


@pytest.fixture(autouse=True)
def _fresh():
    compiler.reset()
    compiler.utils.counters.clear()
    yield
    compiler.reset()


def graphs():
    """How many graphs, and how many calls are in them."""
    stats = compiler.utils.counters["stats"]
    return stats["unique_graphs"], stats["calls_captured"]


@row("torch.compile")
def test_training_and_inference(make, verdict):
    module = make()
    compiled = torch.compile(module, backend="aot_eager")
    with backends() as names:
        outputs_of(compiled, sample())
    check_backends(names, verdict, make)
    assert same_as_eager(module, compiled, sample())
    with torch.no_grad():
        assert close(outputs_of(compiled.eval(), sample()), outputs_of(module.eval(), sample()))
    assert graphs()[0], "nothing was compiled"


@row("torch.compile")
def test_steps_are_not_unrolled(make, verdict):
    """Else graphs grow with the sequence, and long ones take minutes."""
    module = make()
    compiled = torch.compile(module, backend="eager")
    outputs_of(compiled, sample(time=3))
    short = graphs()
    compiler.reset()
    compiler.utils.counters.clear()
    outputs_of(torch.compile(module, backend="eager"), sample(time=30))
    assert graphs() == short
    assert short[1] < 40


@row("torch.compile, with lengths")
def test_lengths(make, verdict):
    module = make()
    compiled = torch.compile(module, backend="aot_eager")
    with backends() as names:
        outputs_of(compiled, sample(), lengths=LENGTHS)
    check_backends(names, verdict, make)
    for lengths in (LENGTHS, torch.tensor([0, 6, 6])):
        assert same_as_eager(module, compiled, sample(), lengths=lengths)


@row("torch.compile(fullgraph=True)")
def test_whole_graphs_are_refused(make, verdict):
    compiled = torch.compile(make(), backend="eager", fullgraph=True)
    with pytest.raises(compiler.exc.Unsupported, match=r"compile a single step: torch.compile"):
        outputs_of(compiled, sample())


@row("torch.compile of one cell")
def test_one_step_in_one_graph(make, verdict):
    for cell in (part for part in make().modules() if isinstance(part, recurra.Cell)):
        x = torch.randn(2, cell.input_size)
        compiled = torch.compile(cell, backend="eager", fullgraph=True)
        _, state = compiled(x)
        assert close(compiled(x, state)[0], cell(x, cell(x)[1])[0])
    assert graphs()[0]


@row("torch.compile of a cell's step")
def test_a_compiled_step_is_what_runs(make, verdict):
    """The machine runs the step that was compiled; the loop calls the compiler's fused one."""
    module = make()
    wanted = outputs_of(module, sample())
    wanted_gradients = gradients(module, wanted)
    for cell in (part for part in module.modules() if isinstance(part, recurra.Cell)):
        cell.step = torch.compile(cell.step, backend="aot_eager")
    assert close(outputs_of(on_loop(module), sample()), wanted)
    assert graphs()[0]
    for part in module.modules():
        if hasattr(part, "backend"):
            part.backend = None
    with backends() as names:
        got = outputs_of(module, sample())
    check_backends(names, verdict, make)
    assert close(got, wanted)
    assert close(gradients(module, got), wanted_gradients)


@pytest.mark.filterwarnings("ignore")  # it imports setuptools, which has something to say
def test_the_default_compiler():
    """Inductor, once: a model with layers between ordinary modules."""
    layer, head = recurra.Recurrent(recurra.GRUCell(4, 5)), nn.Linear(5, 2)

    def model(x):
        return torch.sigmoid(head(torch.relu(layer(torch.tanh(x)).outputs)))

    compiled = torch.compile(model)
    ours, theirs = compiled(sample()), model(sample())
    assert close(ours, theirs)
    parameters = [*layer.parameters(), *head.parameters()]
    pairs = [torch.autograd.grad(y.square().sum(), parameters) for y in (ours, theirs)]
    assert all(close(a, b) for a, b in zip(*pairs, strict=True))


@pytest.mark.parametrize("make", [layers, own])
def test_a_torch_without_the_private_names(monkeypatch, make):
    """Then the loop is compiled: slower, and the same numbers."""
    door = recurra.run
    frames = torch._C._dynamo.eval_frame
    frames.set_code_exec_strategy(
        door.__code__,
        frames._FrameExecStrategy(frames._FrameAction.DEFAULT, frames._FrameAction.DEFAULT),
    )
    monkeypatch.delattr(door, "_torchdynamo_disable")
    # The compiler counts what is kept, and cells of other tests may vanish from it meanwhile.
    monkeypatch.setattr(kept, "_KEPT", type(kept._KEPT)())
    try:
        module = make()
        compiled = torch.compile(module, backend="eager")
        assert same_as_eager(module, compiled, sample(time=2))
        assert graphs()[1] > 20, "the steps are in the graph"
    finally:
        monkeypatch.undo()
        torch_internals.outside_graphs(door, door._torchdynamo_disable_msg)


def test_marks_go_where_torch_has_them(monkeypatch):
    def call():
        return 1

    monkeypatch.delattr(torch._C._dynamo.eval_frame, "set_code_exec_strategy")
    assert torch_internals.outside_graphs(call, "why") is call
    assert call._torchdynamo_disable_msg == "why"
