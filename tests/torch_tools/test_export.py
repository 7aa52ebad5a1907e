"""torch.export and torch.jit.trace: a fixed number of steps of whole rows."""

import pytest
import torch
from torch import nn
from torch.export import Dim, export
from torch_tools.table import LENGTHS, backends, check_backends, close, outputs_of, own, row, sample

import recurra
from recurra.errors import BackendError

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    # A trace says of each check of shapes that it is not kept.
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]


class Outputs(nn.Module):
    """Outputs alone, of a model in evaluation."""

    def __init__(self, module):
        super().__init__()
        self.module = module
        self.eval()

    def forward(self, x, lengths=None):
        return outputs_of(self.module, x, lengths=lengths)


@row("torch.export")
def test_a_program_gives_the_same_numbers(make, verdict):
    model = Outputs(make())
    with backends() as names:
        program = export(model, (sample(),))
    check_backends(names, verdict, make)
    other = sample(seed=1)
    assert close(program.module()(other), model(other))
    assert not close(program.module()(other), model(sample()))


@row("torch.export, any batch")
def test_a_program_for_any_batch(make, verdict):
    model = Outputs(make())
    with backends() as names:
        program = export(model, (sample(),), dynamic_shapes=({1: Dim.DYNAMIC},))
    check_backends(names, verdict, make)
    for batch in (2, 7):
        x = sample(batch)
        assert close(program.module()(x), model(x))


@row("torch.export, any number of steps")
def test_the_number_of_steps_is_fixed(make, verdict):
    """As of torch.nn.LSTM; torch's words say what to do."""
    with pytest.raises(Exception, match=r"specialized it to be a constant \(6\)"):
        export(Outputs(make()), (sample(),), dynamic_shapes=({0: Dim.DYNAMIC},))


@row("torch.export, with lengths")
def test_lengths_cannot_be_exported(make, verdict):
    with pytest.raises(BackendError, match=r"lengths.* numbers can be read"):
        export(Outputs(make()), (sample(), LENGTHS))


@pytest.mark.parametrize("what", ["lengths", "resets"])
def test_the_engine_says_why_not(what):
    class Run(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = recurra.GRUCell(4, 3)

        def forward(self, x, marks):
            return recurra.run(self.cell, x, **{what: marks}).outputs

    marks = LENGTHS if what == "lengths" else torch.rand(6, 3) < 0.5
    with pytest.raises(BackendError, match=f"{what}.* numbers can be read"):
        export(Run(), (sample(), marks))


@row("torch.export(strict=True)")
def test_strict_programs_are_refused(make, verdict):
    with pytest.raises(Exception, match=r"in torch.export strict=True"):
        export(Outputs(make()), (sample(),), strict=True)


@row("torch.jit.trace")
def test_traces(make, verdict):
    """Of any batch; the number of steps is that of the trace."""
    model = Outputs(make())
    with backends() as names:
        # Its own check runs the model once more, as it runs without a trace.
        traced = torch.jit.trace(model, (sample(),), check_trace=False)
    check_backends(names, verdict, make)
    for batch in (3, 5):
        x = sample(batch, seed=1)
        assert close(traced(x), model(x))
    if make is own:
        with pytest.raises(RuntimeError, match="Expected 6 elements"):
            traced(sample(time=9))
    trained = sample().requires_grad_()
    assert torch.autograd.grad(traced(trained).sum(), trained)[0].any()


@row("torch.jit.trace, with lengths")
def test_a_trace_would_keep_the_lengths(make, verdict):
    with pytest.raises(BackendError, match=r"lengths of \w+: torch.jit.trace keeps one path"):
        torch.jit.trace(Outputs(make()), (sample(), LENGTHS))
