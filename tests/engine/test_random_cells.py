"""Two hundred cells nobody has written run natively, as exactly as torch itself runs them."""

from __future__ import annotations

import pytest
import torch
from engine.random_cells import Context, RandomCell
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

import recurra
from recurra.engine import explain
from recurra.states import leaves, map_tree

pytestmark = pytest.mark.skipif(
    not __import__("recurra_runtime").native_available(), reason="there is no native module"
)


def results(cell, dtype, backend, inputs, weights, options):
    """Everything a call gives, and all gradients of a weighted sum of it, in doubles."""
    cell.to(dtype)
    x, state, context = map_tree(lambda leaf: leaf.to(dtype).requires_grad_(), inputs)
    run = recurra.run(cell, x, state, context=context, backend=backend, **options)
    outputs = [run.outputs, *leaves(run.state)]
    total = sum(
        (out * weight.to(dtype)).sum() for out, weight in zip(outputs, weights, strict=True)
    )
    sources = [leaf for leaf in leaves((x, state, context)) if leaf is not None]
    grads = torch.autograd.grad(total, [*sources, *cell.parameters()], allow_unused=True)
    return [out.detach().double() for out in outputs] + [
        None if grad is None else grad.double() for grad in grads
    ]


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 10**9),
    time=st.integers(1, 6),
    batch=st.integers(1, 6),
    ragged=st.booleans(),
    reset=st.booleans(),
    reverse=st.booleans(),
)
# Near one, tanh must err no more than a rounding: what 1 - y^2 leaves of an error is large.
@example(seed=12756, time=4, batch=6, ragged=False, reset=False, reverse=False)
def test_random_cells_run_natively(seed, time, batch, ragged, reset, reverse):
    cell = RandomCell(seed)
    generator = torch.Generator().manual_seed(seed + 1)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    x = draw(time, batch, cell.input_size)
    state = map_tree(lambda leaf: draw(*leaf.shape).tanh(), cell.initial_state(batch))
    context = Context(draw(batch, cell.topic)) if cell.takes_context else None
    weights = [draw(time, batch, cell.output_size), *(draw(*leaf.shape) for leaf in leaves(state))]
    options = {"reverse": reverse}
    if ragged:
        options["lengths"] = torch.randint(0, time + 1, (batch,), generator=generator)
        assume(options["lengths"].any())
    if reset:
        options["resets"] = torch.rand(time, batch, generator=generator) < 0.3
    inputs = (x, state, context)
    cell.distances = []
    exact = results(cell, torch.float64, "loop", inputs, weights, options)
    near = min([float(d) for d in cell.distances], default=1.0)
    cell.distances = None
    assume(near > 1e-4)
    cell.float()
    told = explain(cell, x, context=context)
    assert told.choices[0].backend == "native", told
    ours = results(cell, torch.float32, "native", inputs, weights, options)
    theirs = results(cell, torch.float32, "loop", inputs, weights, options)
    doubles = results(cell, torch.float64, "native", inputs, weights, options)
    # One error of the outputs and one of the gradients, each in units of the largest of them: a
    # number that cancels to nearly nothing is the rounding of what it is a sum of, and luck.
    count = 1 + len(cell.widths)
    for part in (slice(count), slice(count, None)):
        wanted = exact[part]
        scale = max(float(value.abs().max()) for value in wanted if value is not None)
        allowed = 2 * error(theirs[part], wanted) + 1e-6 * scale
        assert error(ours[part], wanted) <= allowed
        assert error(doubles[part], wanted) <= 1e-7 * scale  # torch's constants are floats


def error(found, wanted):
    """The largest distance; what has no gradient has a gradient of zeros."""
    pairs = [
        (torch.zeros(()) if got is None else got, torch.zeros(()) if want is None else want)
        for got, want in zip(found, wanted, strict=True)
    ]
    return max(float((got - want).abs().max()) for got, want in pairs)
