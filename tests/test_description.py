"""Parameters counted by hand, formulas against the parameters that are really there."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from recurra.cells import ElmanCell, GRUCell, GRUResetBeforeCell, LSTMCell
from recurra.description import Description, describe, evaluate
from recurra.layers import Projection, Recurrent, TokenEmbedding

I, H, V, E = 5, 7, 11, 3  # noqa: E741


def real(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in {id(p): p for p in module.parameters()}.values())


@pytest.mark.parametrize(
    ("formula", "sizes", "value"),
    [
        ("4*h*(i+h) + 4*h", {"i": 2, "h": 3}, 72),
        ("v", {"v": 9}, 9),
        ("12", {}, 12),
        ("a - b - c", {"a": 10, "b": 3, "c": 2}, 5),
        ("a - (b - c)", {"a": 10, "b": 3, "c": 2}, 9),
        ("a + b*c", {"a": 1, "b": 2, "c": 3}, 7),
    ],
)
def test_evaluate(formula: str, sizes: dict[str, int], value: int) -> None:
    assert evaluate(formula, sizes) == value


@pytest.mark.parametrize(
    ("formula", "unread"),
    [
        ("abs(h)", r"abs\(h\)"),
        ("__import__('os')", "__import__"),
        ("h.real", r"h\.real"),
        ("h[0]", r"h\[0\]"),
        ("2 * k", "'k'"),
        ("h ** 2", r"h \*\* 2"),
        ("h / 2", "h / 2"),
        ("h // 2", "h // 2"),
        ("-h", "-h"),
        ("1.5", "1.5"),
        ("True", "True"),
        ("'h'", "'h'"),
        ("h if h else 1", "h if h else 1"),
        ("[h]", r"\[h\]"),
        ("h +", "syntax"),
        ("h; h", "syntax"),
        ("h = 2", "syntax"),
        ("", "syntax"),
    ],
)
def test_evaluate_refuses_all_but_arithmetic(formula: str, unread: str) -> None:
    with pytest.raises(ValueError, match=rf"^parameter formula .*{unread}"):
        evaluate(formula, {"h": 3})


MODULES: dict[str, tuple[Any, int]] = {
    "lstm": (lambda: LSTMCell(I, H), 4 * H * (I + H) + 4 * H),
    "lstm, no bias": (lambda: LSTMCell(I, H, bias=False), 4 * H * (I + H)),
    "gru": (lambda: GRUCell(I, H), 3 * H * (I + H) + 4 * H),
    "gru, no bias": (lambda: GRUCell(I, H, bias=False), 3 * H * (I + H)),
    "gru reset before": (lambda: GRUResetBeforeCell(I, H), 3 * H * (I + H) + 3 * H),
    "elman": (lambda: ElmanCell(I, H), H * (I + H) + H),
    "elman, no bias": (lambda: ElmanCell(I, H, bias=False), H * (I + H)),
    "embedding": (lambda: TokenEmbedding(V, E), V * E),
    "projection": (lambda: Projection(H, V), V * H + V),
    "projection, tied": (lambda: Projection(E, V, tied_size=E), V),
    "projection, tied, other size": (lambda: Projection(H, V, tied_size=E), E * H + V),
    "projection, own, as wide as high": (lambda: Projection(V, V), V * V + V),
}


@pytest.mark.parametrize("name", MODULES)
def test_formula_is_the_number_of_parameters(name: str) -> None:
    make, by_hand = MODULES[name]
    module = make()
    assert evaluate(*module.parameter_formula()) == by_hand == real(module)
    description = describe(module)
    assert description.parameters == by_hand
    (part,) = description.parts
    assert part.kind == part.name == type(module).__name__
    assert part.arithmetic.startswith(module.parameter_formula()[0])
    assert part.frozen == 0


class Tied(nn.Module):
    """An embedding whose table is also the weight of a plain linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.table = TokenEmbedding(V, E)
        self.layer = Recurrent(LSTMCell(E, E))
        self.out = nn.Linear(E, V)
        self.out.weight = self.table.weight
        self.again = self.layer.cell


def test_shared_parameters_count_once() -> None:
    description = describe(Tied(), "model")
    counts = {part.name: (part.parameters, part.arithmetic) for part in description.parts}
    lstm = 4 * E * (E + E) + 4 * E
    assert counts == {
        "model.table": (V * E, f"v*e  (v={V}, e={E})"),
        "model.layer.cell": (lstm, f"4*h*(i+h) + 4*h  (i={E}, h={E})"),
        "model.out": (V, "shared with a part above"),
        "model.again": (0, "shared with a part above"),
    }
    assert description.parameters == V * E + lstm + V


def test_frozen_parameters_are_told() -> None:
    cell = LSTMCell(I, H)
    cell.recurrent_weight.requires_grad_(False)
    (part,) = describe(cell).parts
    assert part.frozen == 4 * H * H
    assert part.parameters == 4 * H * (I + H) + 4 * H
    assert f"({4 * H * H} frozen)" in str(describe(cell))


class Plain(nn.Module):
    """A user's module: its own parameters, a scalar among them, and children."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))
        self.grid = nn.Parameter(torch.ones(2, 3, 4))
        self.inner = nn.Sequential(nn.Linear(3, 2), nn.Tanh())


def test_a_module_without_a_formula_is_written_out_from_its_shapes() -> None:
    module = Plain()
    rows = [(p.name, p.kind, p.sizes, p.arithmetic, p.parameters) for p in describe(module).parts]
    assert rows == [
        ("Plain", "Plain", "", "1 + 2*3*4", 25),
        ("inner.0", "Linear", "3 -> 2", "2*3 + 2", 8),
        ("inner.1", "Tanh", "", "", 0),
    ]
    assert describe(module).parameters == real(module) == 33


def test_a_formula_that_is_not_stated_is_none() -> None:
    class Silent(nn.Linear):
        def parameter_formula(self) -> None:
            return None

    (part,) = describe(Silent(3, 2)).parts
    assert (part.arithmetic, part.parameters) == ("2*3 + 2", 8)


def test_table() -> None:
    lines = str(describe(nn.Sequential(nn.Embedding(2000, 3), nn.Linear(3, 2)), "net")).split("\n")
    assert [line.split() for line in lines] == [
        ["part", "kind", "sizes", "parameters", "arithmetic"],
        ["net.0", "Embedding", "2000", "->", "3", "6,000", "2000*3"],
        ["net.1", "Linear", "3", "->", "2", "8", "2*3", "+", "2"],
        ["all", "6,008"],
    ]
    ends = {
        line.index(number) + len(number)
        for line, number in zip(lines[1:], ("6,000", "8", "6,008"), strict=True)
    }
    assert len(ends) == 1
    assert str(Description(())).split("\n")[-1].split() == ["all", "0"]
