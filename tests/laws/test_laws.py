"""Every law over every cell, wrapper and layer, and over cells written in the tests."""

import pytest
from laws.laws import CELL_LAWS, LAYER_LAWS
from laws.subjects import CELLS, PLAIN, WRAPPERS, cell, layers, wrapped


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("law", CELL_LAWS)
def test_cell(law, name):
    CELL_LAWS[law](lambda: cell(name))


SOME = {**PLAIN, "zoneout lstm": wrapped(WRAPPERS["zoneout"], PLAIN["lstm"])}


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("layer", layers(PLAIN["lstm"]))
@pytest.mark.parametrize("law", LAYER_LAWS)
def test_layer(law, layer, name):
    import torch

    def make():
        torch.manual_seed(0)
        return layers(SOME[name])[layer]().double()

    LAYER_LAWS[law](make)
