"""Every law over every cell, wrapper and layer, and over cells written in the tests."""

import pytest
import torch
from laws.of_cells import CELL_LAWS, PAIR_LAWS
from laws.of_layers import LAYER_LAWS
from laws.subjects import (
    CELLS,
    HIDDEN,
    INPUT,
    PAIRS,
    PLAIN,
    RIVALS,
    WRAPPED,
    cell,
    inputs_of,
    layers,
)

from recurra.cells import cell_names
from recurra.engine import named_values, run

ASKED = [
    (law, name) for law in CELL_LAWS for name in CELLS if name not in PAIRS or law in PAIR_LAWS
]


@pytest.mark.parametrize(("law", "name"), ASKED)
def test_cell(law, name):
    CELL_LAWS[law](lambda: cell(name))


AROUND = {
    **PLAIN,
    **{name: make for name, make in WRAPPED.items() if name.endswith((" lstm", " user"))},
}
LAYERS = [(layer, name) for name, make in AROUND.items() for layer in layers(make)]


@pytest.mark.parametrize(("layer", "name"), LAYERS)
@pytest.mark.parametrize("law", LAYER_LAWS)
def test_layer(law, layer, name):
    def make():
        torch.manual_seed(0)
        return layers(AROUND[name])[layer]().double()

    LAYER_LAWS[law](make)


@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.parametrize("law", LAYER_LAWS)
def test_layer_without_memory(law, name):
    LAYER_LAWS[law](RIVALS[name])


@pytest.mark.parametrize("name", cell_names())
def test_every_registered_cell_names_its_values(name):
    made = cell(name)
    assert len(named_values(run, made, inputs_of(made))) >= 1


def test_how_many(capsys):
    """Nothing may drop out of the sweep unseen."""
    cells, layered = len(ASKED), len(LAYERS) * len(LAYER_LAWS)
    with capsys.disabled():
        print(
            f"\nlaws: {len(CELL_LAWS)} over {len(CELLS) - len(PAIRS)} cells and wrapped cells, "
            f"{len(PAIR_LAWS)} over {len(PAIRS)} pairs of wrappers = {cells}, "
            f"{len(LAYER_LAWS)} over {len(LAYERS)} layers = {layered}"
        )
    assert INPUT != HIDDEN
    assert cells > 4000
    assert layered > 1100
