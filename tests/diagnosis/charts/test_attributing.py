"""Pictures of what each step gave, and pages of symbols in their colors."""

from __future__ import annotations

import re

import pytest
import torch

import recurra
from recurra.diagnosis import attribute, attributed, attributed_html
from recurra.errors import ShapeError

pytest.importorskip("vl_convert", reason="needs what draws")


def found(steps=6, width=2):
    x = torch.linspace(-1, 1, steps * width).view(steps, 1, width)
    return attribute(lambda v: v.sum((0, 2)) * 1.5, x)


def of_text(text):
    torch.manual_seed(0)
    table, layer = torch.nn.Embedding(256, 4), recurra.GRU(4, 3)

    class Reader(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.layer = table, layer

        def forward(self, ids):
            return self.layer(self.table(ids))[0].mean(0)

    return attribute(Reader(), torch.tensor([[ord(letter) % 256] for letter in text]))


def marks(chart):
    """All rows of data in a picture."""
    rows, todo = [], [chart.description]
    while todo:
        part = todo.pop()
        rows += part.get("data", {}).get("values", [])
        todo += [*part.get("layer", ()), *part.get("vconcat", ())]
    return rows


def test_a_series_is_drawn_with_what_its_steps_gave():
    told = found()
    chart = attributed(told, title="a ramp")
    gave = [row["gave"] for row in marks(chart) if "zero" in row]
    assert gave == pytest.approx(told.steps()[:, 0].tolist())
    assert chart.png()[:4] == b"\x89PNG"
    svg = chart.svg()
    assert "a ramp" in svg
    assert "integrated gradients" in svg
    assert "gap 0.00%" in svg


def test_of_long_rows_some_steps_are_drawn_together():
    told = found(steps=2000, width=1)
    gave = [row["gave"] for row in marks(attributed(told)) if "zero" in row]
    assert len(gave) <= 600
    assert sum(gave) == pytest.approx(float(told.steps().sum()), abs=1e-3)


def test_symbols_stand_below_their_bars():
    text = "ab <c>"
    svg = attributed(of_text(text), symbols=list(text)).svg()
    assert all(f">{each}<" in svg for each in ("a", "␣", "&lt;"))


def test_symbols_stand_on_their_colors_and_are_no_markup():
    text = "ab\n<c>&"
    told = of_text(text)
    page = attributed_html(told, list(text), title="<b>x</b>")
    spans = re.findall(r'<span style="background:(#\w{6});color:#\w+" title="([^"]+)">', page)
    assert [float(value) for _, value in spans] == pytest.approx(
        told.steps()[:, 0].tolist(), rel=1e-3
    )
    strongest = int(told.steps().abs().argmax())
    full = "#2166ac" if told.steps()[strongest, 0] > 0 else "#b2182b"
    assert spans[strongest][0] == full
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert ">&lt;</span>" in page
    assert "http" not in page  # nothing is loaded


@pytest.mark.parametrize("draw", [attributed, lambda f, **k: attributed_html(f, **k)])
def test_symbols_and_rows_must_fit(draw):
    told = of_text("abc")
    with pytest.raises(ShapeError, match="symbols: expected 3, one for each step of row 0, got 2"):
        draw(told, symbols=["a", "b"])
    with pytest.raises(ShapeError, match="row: expected 0 to 0, got 1"):
        draw(told, row=1, symbols=["a", "b", "c"])


def test_nothing_given_is_drawn_too():
    told = attribute(lambda v: v.sum((0, 2)), torch.zeros(3, 1, 1))
    assert attributed(told).png()
    assert "#f7f7f7" in attributed_html(told, ["a", "b", "c"])
    empty = recurra.PaddedSequence(torch.zeros(2, 1, 1), torch.tensor([0]))
    told = attribute(lambda v: v.sum().sum(1), empty)
    assert attributed(told).png()
