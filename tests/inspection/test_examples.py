"""Examples of every task: what was read and answered, as numbers and on the page."""

import dataclasses
import json
import math
import struct
import zlib

import numpy as np
import pytest
from inspection.browser import browser, requests_of

import recurra
from recurra.diagnosis.subject import called
from recurra.inspection import inspect
from recurra.inspection.figures import narrowed
from recurra.inspection.marks import dots, png, strip
from recurra.tasks.rows import of_all_lengths

CHANCE = np.random.default_rng(0)


def looked(task, data, out, **settings):
    recurra.train(task, data, out=out, report=lambda _: None, epochs=1, **settings)
    return inspect(out, data)


def sentences(number=80):
    words = {"DET": ["the", "a"], "NOUN": ["sea", "ship", "night"], "VERB": ["is", "was"]}
    rows = []
    for at in range(number):
        tags = ["DET", "NOUN", "VERB"] * (1 + at % 6)
        rows.append(([str(CHANCE.choice(words[tag])) for tag in tags], tags))
    return rows


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    return looked("tagging", sentences(), tmp_path_factory.mktemp("t") / "run", hidden_size=8)


def test_words_with_their_tags(tagger):
    """Each word has what was said and wanted there; sentences of all lengths are looked at."""
    read, by = tagger.read, {each.by for each in tagger.examples}
    assert by == {"step"}
    assert set(read.wanted) == {"DET", "NOUN", "VERB"}
    assert len(read.said) == len(read.wanted) == len(read.symbols) == len(read.surprises)
    assert np.isfinite(read.surprises).all()
    assert read.right == [one == two for one, two in zip(read.said, read.wanted, strict=True)]
    lengths = {len(each.wanted) for each in tagger.examples}
    assert lengths == {3, 6, 9, 12, 15, 18}
    told = read.told(1)
    assert f"said {read.said[1]!r}" in told
    assert ("right" in told) == read.right[1]
    joined = "".join(read.symbols).split()
    assert joined == [w.strip() for e in tagger.examples for w in e.inputs["words"]]


def test_words_with_their_tags_in_a_browser(tagger, tmp_path):
    page = tagger.save(tmp_path / "page.html")
    with browser(390) as driver:
        driver.get(page.as_uri())
        assert [entry["message"] for entry in driver.get_log("browser")] == []
        assert requests_of(driver) == []
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 390
        names = "return [...document.getElementById('color').options].map(o => o.value)"
        assert driver.execute_script(names)[:2] == ["right and wrong", "surprise"]
        color = (
            "return [...document.querySelectorAll('#symbols span')].map(s => s.style.background)"
        )
        green = ["20, 140, 70" in each for each in driver.execute_script(color)]
        assert green == tagger.read.right


def test_steps_of_series(tmp_path):
    rows = [CHANCE.normal(size=(10, 2)) for _ in range(40)]
    data = [(row, ["up" if step[0] > 0 else "down" for step in row]) for row in rows]
    report = looked("tagging", data, tmp_path / "run", hidden_size=6)
    assert report.read is None
    first = report.examples[0]
    assert first.by == "step"
    assert np.asarray(first.inputs["series"]).shape == (10, 2)
    page = report.html()
    assert "class=strip" in page
    assert "of the steps right" in page


def test_whole_answers_of_several_inputs(tmp_path):
    """A text and a picture beside each other: both are shown, by their names."""
    texts = [f"{CHANCE.choice(['warm', 'cold'])} sea {at}" for at in range(60)]
    pictures = [CHANCE.integers(0, 256, (6, 6), dtype=np.uint8) for _ in texts]
    labels = ["yes" if "warm" in text else "no" for text in texts]
    data = {"note": texts, "photo": pictures, "label": labels}
    inputs = {"note": "note", "photo": "photo"}
    report = looked("classification", data, tmp_path / "run", inputs=inputs, vocabulary="words")
    first = report.examples[0]
    assert first.by == "whole"
    assert "".join(first.inputs["note"]).strip()[:4] in {"warm", "cold"}
    assert np.asarray(first.inputs["photo"]).shape == (1, 6, 6, 1)
    for each in report.examples:
        right = "yes" if "warm" in "".join(each.inputs["note"]) else "no"
        assert each.wanted == [right]
        assert each.right == [each.said == [right]]
        assert (each.total < math.log(2)) == each.right[0]  # the more probable of two
    page = report.html()
    assert page.count("<article class=example>") == page.count("<img class='frame'") == 6


def test_what_is_ahead_of_a_series(tmp_path):
    values = np.sin(np.arange(300) / 5) + CHANCE.normal(size=300) / 10
    report = looked("forecasting", values, tmp_path / "run", hidden_size=6, horizon=5, look_back=20)
    first = report.examples[0]
    assert first.by == "number"
    assert first.said.shape == first.wanted.shape == (5, 1)
    assert math.isfinite(first.total)
    assert "Mean loss of a value" in report.html()


def test_what_is_said_of_pictures(tmp_path):
    scenes = recurra.data.Scenes()
    data = {name: scenes.examples(40, seed=n) for n, name in enumerate(("train", "test"))}
    settings = {"vocabulary": "words", "picture_mode": "RGB", "hidden_size": 8}
    path = tmp_path / "run"
    recurra.train("transduction", data, out=path, report=lambda _: None, epochs=1, **settings)
    report = inspect(path, scenes.examples(20, seed=5))
    first = report.examples[0]
    assert first.by == "sequence"
    assert len(first.nats) == len(first.wanted)
    assert "".join(first.wanted).strip() in scenes.examples(20, seed=5)[1]
    assert report.html().count("<img class='frame'") == 6
    # No cell reads a picture: what is looked into is how the sentence is said.
    flow = report.examination.evidence.flow
    assert list(flow.norms) == ["head.layers.layers.0.cell"]
    assert flow.furthest == max(len(each.wanted) for each in report.examples) - 1
    assert "one step is read" in str(report.examination)
    reach = json.dumps(report.pictures["reach"].chart.description)
    assert f'"domain": [0.0, {float(flow.furthest)}]' in reach
    assert "what comes next begins anew" in report.pictures["unrolled"].chart.svg()


def test_wide_numbers_are_dots(tagger):
    """What has too many channels for lines is a picture of light and dark dots."""
    inputs = {"sound": CHANCE.normal(size=(30, 40))}
    example = tagger.examples[0]._replace(inputs=inputs, by="whole", said=["a"], wanted=["b"])
    report = dataclasses.replace(tagger, read=None, examples=[example])
    page = report.html()
    assert "img class='wide-dots'" in page
    assert "30 steps to the right, 40 numbers of each upwards" in page


# ---- parts ---------------------------------------------------------------------------------------


def test_png_is_what_was_given():
    """Read again as the format says: one filter byte a line, then its pixels."""
    pixels = CHANCE.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    raw, at, found = png(pixels), 8, {}
    assert raw[:8] == b"\x89PNG\r\n\x1a\n"
    while at < len(raw):
        (size,), name = struct.unpack(">I", raw[at : at + 4]), raw[at + 4 : at + 8]
        found[name], end = raw[at + 8 : at + 8 + size], at + 8 + size
        assert struct.unpack(">I", raw[end : end + 4])[0] == zlib.crc32(raw[at + 4 : end])
        at = end + 4
    assert struct.unpack(">2I", found[b"IHDR"][:8]) == (7, 5)
    lines = np.frombuffer(zlib.decompress(found[b"IDAT"]), np.uint8).reshape(5, 22)
    assert (lines[:, 0] == 0).all()
    assert np.array_equal(lines[:, 1:].reshape(5, 7, 3), pixels)


def test_light_from_least_to_most():
    assert dots(np.array([[[-1.0], [3.0], [np.nan]]]))[0, :, 0].tolist() == [0, 255, 0]
    assert dots(np.zeros((2, 2, 1))).max() == 0


def test_stretches_of_steps():
    drawn = strip(["a", "a", "b", "b"], [True, True, True, False], "said")
    assert drawn.count("<span") == 3
    assert "flex-grow:2" in drawn
    assert "class=wrong" in drawn
    assert "<" not in strip(["<i>"], [True], "x").split("'>")[1].split("</span>")[0]


def test_examples_of_all_lengths():
    lengths = [9, 1, 5, 3, 7]
    assert [lengths[n] for n in of_all_lengths(lengths, 5)] == [1, 3, 5, 7, 9]
    assert [lengths[n] for n in of_all_lengths(lengths, 1)] == [5]
    assert sorted(of_all_lengths(lengths, 99)) == [0, 1, 2, 3, 4]
    assert of_all_lengths([], 3) == []


def test_places_in_words():
    assert called("encoder.layer.layers.0.cell") == "layer 1"
    assert called("encoder.layer.layers.1.backward_layer.cell: forget gate") == (
        "layer 2 backward: forget gate"
    )
    assert called("mine.cell: state.h") == "mine.cell: state.h"
    assert called("") == "the cell"


def test_a_chart_for_a_narrow_window(tagger):
    """Its panel leaves room for the names; what was placed in points beside it goes along."""
    wide = dict(tagger.pictures["gates"].chart.description)
    small = narrowed(wide)
    assert small["width"] < wide["width"]

    def beside(chart):
        layers = [each["encoding"].get("x", {}) for each in chart["layer"]]
        return [x["value"] - chart["width"] for x in layers if "value" in x]

    assert beside(small) == beside(wide)
    titles = [each["encoding"]["x"]["axis"]["title"] for each in small["layer"]
              if "axis" in each["encoding"].get("x", {})]  # fmt: skip
    assert all(isinstance(title, list) for title in titles)
    assert narrowed(tagger.pictures["confusion"].chart.description) is None
