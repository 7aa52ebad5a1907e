"""The laws of cells: each takes what makes one, and raises AssertionError if broken.

Oracles are written from the definition: a Python loop over one row at a time.
"""

from __future__ import annotations

import copy

import torch
from laws.means import (
    MakeCell,
    backends,
    by_hand,
    close,
    close_trees,
    differences,
    differentiable,
    filled,
    gradients,
    jacobians,
    moved,
    one_draw,
    pick,
    pick_noise,
    run,
    weigh,
)
from laws.subjects import BATCH, LENGTHS, TIME, context_of, inputs_of, some_resets
from torch import Tensor
from torch.nn.utils import parametrize

from recurra import Cell, PaddedSequence
from recurra.cells import draw_noise
from recurra.engine import named_values
from recurra.engine import run as engine_run
from recurra.states import leaves, map_tree, select_rows


def definition(make: MakeCell) -> None:
    """Every backend = one row at a time by hand: outputs, states, gradients, with everything on."""
    cell = make()
    resets, lengths = some_resets(), LENGTHS
    noise = draw_noise(cell, TIME, BATCH)
    start = map_tree(lambda leaf: moved(leaf, 0.1), cell.initial_state(BATCH))
    for reverse in (False, True):
        inputs = inputs_of(cell)
        with one_draw(cell):
            outputs, ends = by_hand(cell, inputs, lengths, resets, noise, reverse, start)
        end = map_tree(lambda *parts: torch.cat(parts), *ends)
        wanted = gradients(weigh(outputs, end), cell, inputs)
        for backend in backends(cell):
            got = run(
                cell,
                inputs,
                start,
                lengths=torch.tensor(lengths),
                context=context_of(cell),
                noise=noise,
                resets=resets,
                reverse=reverse,
                backend=backend,
            )
            close_trees(got.state, end)
            for row, length in enumerate(lengths):
                assert not got.outputs[length:, row].any(), "padding must be zero"
                for t in range(length):
                    close(got.outputs[t, row : row + 1], outputs[row][t])
            for a, b in zip(
                gradients(weigh(got.outputs, got.state), cell, inputs), wanted, strict=True
            ):
                close(a, b)


def gradient(make: MakeCell) -> None:
    """Gradients = finite differences, to inputs, state and parameters, on every backend."""
    cell = make()
    noise = draw_noise(cell, 3, 2)
    names, values = zip(
        *[(n, p.detach().clone().requires_grad_()) for n, p in cell.named_parameters()],
        strict=True,
    )
    # Away from 0, where a norm bends too sharply for finite differences.
    structure = map_tree(
        lambda leaf: moved(leaf.detach(), 0.5).requires_grad_(leaf.is_floating_point()),
        cell.initial_state(2),
    )
    state = differentiable(structure)
    inputs = inputs_of(cell, time=3, batch=2)
    values_read = differentiable(inputs)

    given = (*values_read, *state, *values)
    wanted = None
    for backend in backends(cell):

        def through(*given: Tensor, backend: str = backend) -> tuple[Tensor, ...]:
            parts = iter(given)
            reads = map_tree(lambda leaf: next(parts) if leaf.requires_grad else leaf, inputs)
            start = map_tree(lambda leaf: next(parts) if leaf.requires_grad else leaf, structure)
            parameters = {name: next(parts) for name in names}
            got = run(
                cell,
                reads,
                start,
                lengths=torch.tensor([3, 2]),
                context=context_of(cell, 2),
                noise=noise,
                parameters=parameters,
                backend=backend,
            )
            return got.outputs, *(leaf for leaf in leaves(got.state) if leaf.is_floating_point())

        # Backward twice, gradients that are not there, and a direction by chance; then every slope.
        assert torch.autograd.gradcheck(through, given, atol=1e-7, rtol=1e-5, fast_mode=True)
        if wanted is None:  # of one backend: ``definition`` says that outputs of all are the same
            wanted = differences(through, given)
        for found, slopes in zip(jacobians(through, given), wanted, strict=True):
            assert torch.allclose(found, slopes, atol=1e-7, rtol=1e-5)


def chunks(make: MakeCell) -> None:
    """Whole = chunks = steps."""
    cell = make()
    noise = draw_noise(cell, TIME, BATCH)
    inputs, resets, context = inputs_of(cell), some_resets(), context_of(cell)
    whole = run(cell, inputs, context=context, noise=noise, resets=resets)
    for size in (1, 4):
        for reverse in (False, True):
            if reverse:
                whole = run(cell, inputs, context=context, noise=noise, resets=resets, reverse=True)
            state, outputs = None, []
            spans = [slice(at, at + size) for at in range(0, TIME, size)]
            for span in reversed(spans) if reverse else spans:
                part = run(
                    cell,
                    pick(inputs, span),
                    state,
                    context=context,
                    noise=pick_noise(noise, span),
                    resets=resets[span],
                    reverse=reverse,
                )
                state = part.state
                outputs.append(part.outputs)
            close(torch.cat(outputs[::-1] if reverse else outputs), whole.outputs)
            close_trees(state, whole.state)
        whole = run(cell, inputs, context=context, noise=noise, resets=resets)


def padding(make: MakeCell) -> None:
    """What stands in the padding changes nothing, not even NaN, and gets a zero gradient."""
    cell = make()
    noise = draw_noise(cell, TIME, BATCH)
    lengths = torch.tensor(LENGTHS)
    behind = torch.arange(TIME).unsqueeze(1) >= lengths
    results = []
    for fill in (0.0, float("nan"), float("inf")):
        inputs = filled(inputs_of(cell), behind, fill)
        for backend in backends(cell):
            got = run(
                cell,
                inputs,
                lengths=lengths,
                context=context_of(cell),
                noise=noise,
                backend=backend,
            )
            found = gradients(weigh(got.outputs, got.state), cell, inputs)
            for gradient in found[: len(differentiable(inputs))]:
                assert not gradient[behind].any(), "padding must get a zero gradient"
            results.append((backend, [got.outputs, *leaves(got.state), *found]))
    for backend, values in results:
        first = next(other for name, other in results if name == backend)
        for a, b in zip(values, first, strict=True):
            assert torch.equal(a, b), "padding changed a result"


def rows_alone(make: MakeCell) -> None:
    """A row's result depends neither on its mates nor on their order."""
    cell = make()
    noise = draw_noise(cell, TIME, BATCH)
    inputs, lengths, context = inputs_of(cell), torch.tensor(LENGTHS), context_of(cell)
    order = torch.tensor([3, 1, 4, 0, 2])
    for backend in backends(cell):
        whole = run(cell, inputs, lengths=lengths, context=context, noise=noise, backend=backend)
        for some in (order, *torch.arange(BATCH).unsqueeze(1)):
            got = run(
                cell,
                pick(inputs, (slice(None), some)),
                lengths=lengths[some],
                context=select_rows(context, some),
                noise=pick_noise(noise, slice(None), some),
                backend=backend,
            )
            close(got.outputs, whole.outputs[:, some])
            close_trees(got.state, select_rows(whole.state, some))


def reversal(make: MakeCell) -> None:
    """Running in reverse = reversing each row, running forward, and reversing the outputs."""
    cell = make()
    cell.eval()
    inputs, lengths = inputs_of(cell), torch.tensor(LENGTHS)
    turned_inputs = map_tree(lambda leaf: PaddedSequence(leaf, lengths).reverse().values, inputs)
    for backend in backends(cell):
        settings = {"lengths": lengths, "context": context_of(cell), "backend": backend}
        backward = run(cell, inputs, reverse=True, **settings)
        ahead = run(cell, turned_inputs, **settings)
        turned = PaddedSequence(ahead.outputs, lengths).reverse()
        close(backward.outputs, turned.values)
        close_trees(backward.state, ahead.state)


def nothing(make: MakeCell) -> None:
    """No steps or no rows: empty outputs, the initial state, zero gradients, on every backend."""
    cell = make()
    for time, batch in ((0, 3), (4, 0), (0, 0)):
        for backend in backends(cell):
            inputs = inputs_of(cell, time=time, batch=batch)
            got = run(
                cell,
                inputs,
                context=context_of(cell, batch),
                backend=backend,
                return_states=backend == "loop",
            )
            assert got.outputs.shape == (time, batch, cell.output_size)
            close_trees(got.state, cell.initial_state(batch))
            got.outputs.sum().backward()
            assert any(leaf.grad is not None for leaf in differentiable(inputs))
            for parameter in cell.parameters():
                assert parameter.grad is None or not parameter.grad.any()
            for leaf in leaves(got.states):
                assert leaf.shape[:2] == (time, batch)
    none = torch.zeros(BATCH, dtype=torch.int64)
    got = run(cell, inputs_of(cell), lengths=none, context=context_of(cell))
    assert got.outputs.shape == (TIME, BATCH, cell.output_size)
    assert not got.outputs.any()
    close_trees(got.state, cell.initial_state(BATCH))


def every_state(make: MakeCell) -> None:
    """All-step states = the final states of all prefixes, zero at padded steps."""
    cell = make()
    noise = draw_noise(cell, TIME, BATCH)
    inputs, lengths, context = inputs_of(cell), torch.tensor(LENGTHS), context_of(cell)
    settings = {"context": context, "noise": noise, "lengths": lengths}
    whole = run(cell, inputs, return_states=True, **settings)
    for t in range(TIME):
        prefix = run(
            cell,
            pick(inputs, slice(t + 1)),
            context=context,
            noise=pick_noise(noise, slice(t + 1)),
            lengths=lengths.clamp(max=t + 1),
        )
        for all_steps, end in zip(leaves(whole.states), leaves(prefix.state), strict=True):
            live = lengths > t
            close(all_steps[t][live], end[live])
            assert not all_steps[t][~live].any()


def resets_cut(make: MakeCell) -> None:
    """No gradient crosses a reset, and what comes after is a sequence of its own."""
    cell = make()
    noise = draw_noise(cell, TIME, BATCH)
    inputs = inputs_of(cell)
    resets = torch.zeros(TIME, BATCH, dtype=torch.bool)
    resets[3] = True
    context = context_of(cell)

    def crossing(some: Tensor) -> list[Tensor]:
        wanted = differentiable(inputs)
        found = torch.autograd.grad(some.sum(), wanted, allow_unused=True)
        return [torch.zeros_like(w) if g is None else g for g, w in zip(found, wanted, strict=True)]

    for backend in backends(cell):
        settings = {"context": context, "backend": backend}
        whole = run(cell, inputs, resets=resets, noise=noise, **settings)
        later = pick_noise(noise, slice(3, None))
        alone = run(cell, pick(inputs, slice(3, None)), noise=later, **settings)
        close(whole.outputs[3:], alone.outputs)
        crossed = crossing(whole.outputs[3:])
        assert not any(leaf[:3].any() for leaf in crossed), "a gradient crossed a reset"
        assert any(leaf[3:].any() for leaf in crossed)
        back = run(cell, inputs, resets=resets, noise=noise, reverse=True, **settings)
        crossed = crossing(back.outputs[:3])
        assert not any(leaf[3:].any() for leaf in crossed), "a gradient crossed a reset"


def repeatable(make: MakeCell) -> None:
    """The same seed gives the same result, bit for bit, and given noise is replayed."""
    cell = make()
    for backend in backends(cell):
        results = []
        for _ in range(2):
            inputs = inputs_of(cell)
            torch.manual_seed(5)
            got = engine_run(cell, inputs, context=context_of(cell), backend=backend)
            found = gradients(weigh(got.outputs, got.state), cell, inputs)
            results.append([got.outputs, *leaves(got.state), *found])
        for a, b in zip(*results, strict=True):
            assert torch.equal(a, b)
    torch.manual_seed(5)
    noise = draw_noise(cell, TIME, BATCH)
    # A parametrization draws for itself, after the noise: here it would draw first.
    if noise is not None and not any(parametrize.is_parametrized(part) for part in cell.modules()):
        replayed = engine_run(
            cell, inputs_of(cell), context=context_of(cell), noise=noise, backend=backend
        )
        assert torch.equal(replayed.outputs, results[0][0])
        cell.eval()
        assert draw_noise(cell, TIME, BATCH) is None
        again = engine_run(
            cell, inputs_of(cell), context=context_of(cell), noise=noise, backend=backend
        )
        assert torch.equal(again.outputs, results[0][0]), "given noise is replayed in evaluation"


def saved(make: MakeCell) -> None:
    """Saved and loaded into another cell, or copied: the same outputs."""
    cell = make().eval()
    other = make().eval()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    other.load_state_dict(cell.state_dict())
    inputs, context = inputs_of(cell), context_of(cell)
    wanted = run(cell, inputs, context=context).outputs
    for loaded in (other, copy.deepcopy(cell)):
        assert torch.equal(run(loaded, inputs, context=context).outputs, wanted)


def weights_used(make: MakeCell) -> None:
    """Weights changed by any route are the ones used at the next call."""
    inputs = map_tree(lambda leaf: leaf.detach(), inputs_of(make()))

    def scaled(cell: Cell) -> dict[str, Tensor]:
        trained = dict(cell.named_parameters())
        return {k: v * 1.5 if k in trained else v for k, v in cell.state_dict().items()}

    def by_data(cell: Cell) -> None:
        for parameter in cell.parameters():
            parameter.data = parameter.data * 1.5

    def by_copy(cell: Cell) -> None:
        with torch.no_grad():
            for parameter in cell.parameters():
                parameter.copy_(parameter * 1.5)

    def by_loading(cell: Cell) -> None:
        cell.load_state_dict(scaled(cell), assign=True)

    def by_vector(cell: Cell) -> None:
        vector = torch.nn.utils.parameters_to_vector(cell.parameters()) * 1.5
        torch.nn.utils.vector_to_parameters(vector, cell.parameters())

    def by_numpy(cell: Cell) -> None:
        for parameter in cell.parameters():
            parameter.detach().numpy()[...] *= 1.5

    def by_optimizer(cell: Cell) -> None:
        for parameter in cell.parameters():
            parameter.grad = -0.5 * parameter.detach()
        torch.optim.SGD(cell.parameters(), lr=1.0, fused=True).step()

    fresh = make().eval()
    fresh.load_state_dict(scaled(make()))
    context = context_of(fresh)
    wanted = run(fresh, inputs, context=context).outputs
    for change in (by_data, by_copy, by_loading, by_vector, by_numpy, by_optimizer):
        cell = make().eval()
        run(cell, inputs, context=context)  # whatever is kept between calls is kept now
        change(cell)
        close(run(cell, inputs, context=context).outputs, wanted)


def parameters_given(make: MakeCell) -> None:
    """``parameters=`` are the tensors used, and get the gradient."""
    cell, other = make().eval(), make().eval()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.25)
    given = {name: p.detach().clone().requires_grad_() for name, p in other.named_parameters()}
    context = context_of(cell)
    for backend in backends(cell):
        inputs = inputs_of(cell)
        got = run(cell, inputs, parameters=given, context=context, backend=backend)
        close(got.outputs, run(other, inputs, context=context, backend=backend).outputs)
        found = torch.autograd.grad(got.outputs.sum(), list(given.values()), allow_unused=True)
        assert any(g is not None and g.any() for g in found)


def pure(make: MakeCell) -> None:
    """A step changes nothing in place, and keeps the structure and sizes of the state."""
    cell = make()
    state, x = cell.initial_state(BATCH), pick(inputs_of(cell), 0)
    noise = draw_noise(cell, 1, BATCH)
    now = pick_noise(noise, 0)
    before = [leaf.clone() for leaf in (*leaves(x), *leaves(state), *cell.parameters())]
    y, new = cell.step(x, state, context_of(cell), now)
    assert y.shape == (BATCH, cell.output_size)
    for a, b in zip(before, (*leaves(x), *leaves(state), *cell.parameters()), strict=True):
        assert torch.equal(a, b), "a step changed something in place"
    assert type(new) is type(state)
    assert [leaf.shape for leaf in leaves(new)] == [leaf.shape for leaf in leaves(state)]


def counted(make: MakeCell) -> None:
    """The parameter formula gives the number of parameters."""
    from recurra import describe
    from recurra.description import evaluate

    cell = make()
    count = sum(parameter.numel() for parameter in cell.parameters())
    assert describe(cell).parameters == count
    stated = cell.parameter_formula()
    assert stated is None or evaluate(*stated) == count


def names(make: MakeCell) -> None:
    """Naming values changes nothing; they are those of each row alone, zero at padded steps."""
    cell = make()
    inputs, lengths, context = inputs_of(cell), torch.tensor(LENGTHS), context_of(cell)
    settings = {"noise": draw_noise(cell, TIME, BATCH), "lengths": lengths, "context": context}
    seen = named_values(run, cell, inputs, **settings)
    plain = {name: run(cell, inputs, backend=name, **settings).outputs for name in backends(cell)}
    assert any(torch.equal(seen.result.outputs, outputs) for outputs in plain.values()), "to a bit"
    stepped = named_values(run, cell, inputs, backend="loop", **settings)
    assert torch.equal(stepped.result.outputs, plain["loop"])
    for value in seen.values():
        assert value.shape[:2] == (TIME, BATCH)
        for row, length in enumerate(LENGTHS):
            assert not value[length:, row].any()
    for row, length in enumerate(LENGTHS):
        if not length:
            continue
        one = (slice(length), slice(row, row + 1))
        alone = named_values(
            run,
            cell,
            pick(inputs, one),
            noise=pick_noise(settings["noise"], *one),
            context=select_rows(context, torch.tensor([row])),
        )
        assert list(alone) == list(seen)
        for label, value in alone.items():
            close(value, seen[label][one])


CELL_LAWS = {
    law.__name__: law
    for law in (
        definition,
        gradient,
        chunks,
        padding,
        rows_alone,
        reversal,
        nothing,
        every_state,
        resets_cut,
        repeatable,
        saved,
        weights_used,
        parameters_given,
        pure,
        counted,
        names,
    )
}


PAIR_LAWS = ("definition", "chunks", "repeatable", "parameters_given")
"""Of two wrappers around each other: what they do together to values, gradients, states, noise and
weights. All else each of them was asked alone."""
