"""Where values lie: strides as torch has them, and memory that is used again."""

from __future__ import annotations

import random

import pytest
import torch

from recurra.engine.assemble import Argument, assemble
from recurra.engine.assemble.code import SECTIONS
from recurra.engine.assemble.memory import CHUNK, WINDOW, Memory
from recurra.engine.assemble.strides import Strided, merged, packed, repeated, reshaped
from recurra.engine.graph.values import SHARED, STEP, Graph
from recurra.engine.plan.phases import sections
from recurra.engine.record.unrecordable import Unrecordable
from recurra_runtime.instructions import TABLE


def strided(seed: int) -> torch.Tensor:
    """A view of numbers that all differ: some axes swapped, cut, repeated or of size 1."""
    draw = random.Random(seed)
    shape = [draw.choice((1, 2, 3, 4)) for _ in range(draw.randint(1, 4))]
    whole = torch.arange(4.0**4)[: torch.Size(shape).numel()].reshape(shape)
    view = whole.permute(draw.sample(range(len(shape)), len(shape)))
    if draw.random() < 0.5:
        axis = draw.randrange(view.dim())
        view = view.narrow(axis, 0, max(1, view.shape[axis] - 1))
    if draw.random() < 0.3:
        view = view.unsqueeze(0).expand(3, *view.shape)
    return view


@pytest.mark.parametrize("seed", range(40))
def test_merged_axes_hold_the_same_numbers(seed):
    view = strided(seed)
    axes = merged(view.shape, view.stride(), packed(view.shape))
    sizes = [size for size, _ in axes]
    again = view.as_strided(sizes, [near for _, (near, _) in axes])
    assert torch.equal(again.flatten(), view.flatten())
    assert [far for _, (_, far) in axes] == list(packed(sizes))


@pytest.mark.parametrize("seed", range(40))
def test_reshaped_is_a_view_of_torch(seed):
    view = strided(seed)
    for wanted in ((view.numel(),), (1, view.numel(), 1), (2, -1), (-1, 3), (2, 3, -1)):
        try:
            expected = view.reshape(wanted)
        except RuntimeError:
            continue
        strides = reshaped(view.shape, view.stride(), expected.shape)
        if strides is None:
            with pytest.raises(RuntimeError):
                view.view(wanted)
        else:
            assert torch.equal(view.as_strided(expected.shape, strides), expected)


def test_repeated_is_broadcast():
    given = torch.arange(6.0).reshape(2, 1, 3)
    strides = repeated(given.shape, given.stride(), 4)
    assert torch.equal(given.as_strided((4, 2, 5, 3), strides), given.expand(4, 2, 5, 3))


def test_a_part_is_a_slice():
    whole = torch.arange(24.0).reshape(2, 3, 4)
    place = Strided(0, 5, whole[:, 1:, 1:].stride()).part(2, 1, 2)
    got = whole.as_strided((2, 2, 1), place.strides, place.offset)
    assert torch.equal(got, whole[:, 1:, 1:][..., 1::2])


def test_memory_is_used_again_behind_its_last_use():
    memory = Memory([])
    first = memory.temporary("through", 5, last=3)
    second = memory.temporary("through", 5, last=2)
    memory.release("through", 2)
    third = memory.temporary("through", 5, last=4)
    # Another size has its steps at other addresses, and some steps run before others.
    fourth = memory.temporary("through", 9, last=4)
    offsets = [memory.buffers[index][2] for index in (first, second, third, fourth)]
    assert offsets[2] == offsets[1] != offsets[0]
    assert offsets[3] not in offsets[:3]
    # Another phase runs at another time: its memory is the same.
    assert memory.buffers[memory.temporary("after", 5, last=0)][2] == 0
    assert memory.sizes[WINDOW] == 48


@pytest.mark.parametrize("size", [1, 255, 256, 768, 1024, 4096])
def test_columns_of_a_chunk_do_not_share_a_line_of_the_cache(size):
    """Products with rows turned read a column; at 4 KB a step all of it would be one cache set."""
    memory = Memory([])
    first, second = (memory.buffers[memory.new(CHUNK, size)] for _ in range(2))
    assert first[1] >= size
    assert first[1] % 256
    assert second[2] >= first[2] + first[1]  # what is kept apart belongs to the buffer


def test_constants_are_kept_once():
    memory = Memory([Argument("x", 3)])
    places = [memory.constant(number) for number in (0.0, -0.0, 2.5, 0.0)]
    assert [place.offset for place in places] == [0, 1, 2, 0]
    assert memory.constants() == (0.0, -0.0, 2.5)
    assert memory.buffers[1][1] == 3


def program(outputs, given):
    """Names of the instructions that are left of values, by section, and the buffers."""
    found = sections(outputs, set(given), [], [])
    arguments = [Argument(("in", i), value.size, value) for i, value in enumerate(given)]
    arguments += [Argument(("out", i), v.size, result=v) for i, v in enumerate(outputs)]
    buffers, code, *_ = assemble(found, arguments, [], []).parts
    names = {
        section: [TABLE[row[0]].name for row in rows]
        for section, rows in zip(SECTIONS, code, strict=True)
        if rows
    }
    return names, buffers[len(arguments) + 1 :]


def test_views_and_sums_and_joined_parts_cost_nothing():
    graph = Graph()
    x = graph.input("x", (6,), STEP)
    weight = graph.input("w", (3, 4), SHARED)
    low, high = graph.slice(x, 0, 0, 3), graph.slice(x, 0, 3, 6)
    total = graph.apply("add", graph.linear(low, weight), graph.linear(high, weight))
    joined = graph.concat([graph.apply("tanh", total), graph.apply("exp", total)], 0)
    names, buffers = program([joined], [x, weight])
    assert names == {"before": ["linear", "linear", "tanh", "exp"]}
    assert [kind for kind, *_ in buffers] == [WINDOW, WINDOW]  # both products, and no more


def test_what_a_later_section_reads_is_kept_for_a_chunk():
    graph = Graph()
    x = graph.input("x", (6,), STEP)
    y = graph.apply("tanh", x)
    names, buffers = program([graph.row_sum(y)], [x])
    assert names == {"before": ["tanh"], "sums": ["row_sum"]}
    assert buffers[0][0] == CHUNK


def test_a_copy_of_too_many_axes_is_refused():
    graph = Graph()
    x = graph.input("x", (2,) * 10, STEP)
    mixed = graph.permute(x, (9, 1, 8, 3, 7, 5, 6, 4, 2, 0))
    with pytest.raises(Unrecordable, match="a copy of 9 axes"):
        program([graph.reshape(mixed, (1024,))], [x])
