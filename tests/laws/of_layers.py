"""The laws of layers: each takes what makes one, and raises AssertionError if broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from laws.means import close, close_trees, filled, gradients, pick, weigh
from laws.subjects import BATCH, LENGTHS, TIME, context_of, inputs_of, some_resets, widths_of
from torch.func import functional_call

from recurra import Cell, PaddedSequence
from recurra.states import leaves, map_tree, select_rows

MakeLayer = Callable[[], Any]


def layer_context(layer: Any) -> Any:
    takes = [m for m in layer.modules() if isinstance(m, Cell) and m.takes_context]
    return context_of(takes[0]) if takes else None


def layer_forms(make: MakeLayer) -> None:
    """A tensor with lengths, a PaddedSequence and a list of rows give the same."""
    layer = make().eval()
    inputs, lengths = inputs_of(layer), torch.tensor(LENGTHS)
    context = layer_context(layer)
    one = layer(inputs, context=context, lengths=lengths)
    sequences = map_tree(lambda leaf: PaddedSequence(leaf, lengths), inputs)
    for form in (sequences, map_tree(lambda sequence: sequence.to_list(), sequences)):
        other = layer(form, context=context)
        assert isinstance(other.outputs, PaddedSequence)
        close(other.outputs.values, one.outputs)
        close(other.last, one.last)
        close_trees(other.state, one.state)


def layer_rows(make: MakeLayer) -> None:
    """Each row of a ragged batch = that row alone, without lengths: outputs, last, state."""
    layer = make().eval()
    inputs = inputs_of(layer)
    context = layer_context(layer)
    whole = layer(inputs, context=context, lengths=LENGTHS)
    for row, length in enumerate(LENGTHS):
        some = torch.tensor([row])
        one = pick(inputs, (slice(length), some))
        alone = layer(one, context=select_rows(context, some))
        close(whole.outputs[:length, some], alone.outputs)
        assert not whole.outputs[length:, row].any()
        close(whole.last[some], alone.last)
        close_trees(
            map_tree(lambda leaf, s=some: leaf.index_select(0, s), whole.state), alone.state
        )


def layer_padding(make: MakeLayer) -> None:
    """NaN in the padding changes neither results nor gradients."""
    layer = make().eval()
    behind = torch.arange(TIME).unsqueeze(1) >= torch.tensor(LENGTHS)
    results = []
    for fill in (0.0, float("nan")):
        inputs = filled(inputs_of(layer), behind, fill)
        got = layer(inputs, context=layer_context(layer), lengths=LENGTHS)
        value = weigh(got.outputs, got.state) + (got.last * got.last).sum()
        results.append([got.outputs, got.last, *gradients(value, layer, inputs)])
    for a, b in zip(*results, strict=True):
        assert torch.equal(a, b)


def layer_chunks(make: MakeLayer) -> None:
    """A causal layer: whole = chunks; any other refuses a carried state."""
    import pytest

    layer = make().eval()
    inputs, context, resets = inputs_of(layer), layer_context(layer), some_resets()
    if not layer.causal:
        carried = layer(inputs, context=context).state
        with pytest.raises(ValueError, match="causal"):
            layer(inputs, carried, context)
        return
    whole = layer(inputs, context=context, resets=resets)
    state, outputs = None, []
    for span in (slice(0, 1), slice(1, 4), slice(4, TIME)):
        part = layer(pick(inputs, span), state, context, resets=resets[span])
        outputs.append(part.outputs)
        state = part.state
    close(torch.cat(outputs), whole.outputs)
    close(part.last, whole.last)
    close_trees(state, whole.state)


def layer_saved(make: MakeLayer) -> None:
    """Saved and loaded: the same outputs; torch's functional_call uses the tensors it is given."""
    layer, other = make().eval(), make().eval()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.25)
    inputs, context = inputs_of(layer), layer_context(layer)
    wanted = other(inputs, context=context).outputs
    assert not torch.equal(layer(inputs, context=context).outputs, wanted)
    state = other.state_dict()
    given = functional_call(layer, state, (inputs,), {"context": context})
    assert torch.equal(given.outputs, wanted)
    layer.load_state_dict(state)
    assert torch.equal(layer(inputs, context=context).outputs, wanted)


def layer_sizes(make: MakeLayer) -> None:
    """Widths are as stated, and the state has the structure of the initial one."""
    layer = make()
    got = layer(inputs_of(layer), context=layer_context(layer))
    assert layer.input_size == widths_of(layer)
    assert got.outputs.shape == (TIME, BATCH, layer.output_size)
    assert got.last.shape == (BATCH, layer.output_size)
    initial = layer.initial_state(BATCH)
    assert [leaf.shape for leaf in leaves(got.state)] == [leaf.shape for leaf in leaves(initial)]


LAYER_LAWS = {
    law.__name__: law
    for law in (layer_forms, layer_rows, layer_padding, layer_chunks, layer_saved, layer_sizes)
}
