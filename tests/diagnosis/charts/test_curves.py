"""Pictures are read back: what is written in them, how many lines there are, what is left out."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from recurra.diagnosis import Axis, Chart, confusion, curve, lines, pictures
from recurra.errors import RunError, SettingError, ShapeError

Rows = Iterable[tuple[int, object, object]]


def write_run(
    folder: Path,
    rows: Rows,
    *,
    metric: str = "nats",
    best: int | None = None,
    scores: Sequence[tuple[str, float, float]] = (),
    verdict: str = "",
    after: str = "",
) -> Path:
    """What a training leaves, without a training."""
    folder.mkdir()
    header = f"step,symbols,seconds,training_nats,validation_{metric},learning_rate\n"
    log = [f"{step},{step * 64},0.1,{known},{held},0.002\n" for step, known, held in rows]
    (folder / "log.csv").write_text(header + "".join(log) + after)
    if best is not None:
        (folder / "best").write_text(f"{best:06d}\n")
    if scores:
        named = [{"name": name, "loss": loss, "value": value} for name, loss, value in scores]
        told = {"verdict": verdict, "scores": named, "evaluations": []}
        (folder / "summary.json").write_text(json.dumps(told))
    return folder


@pytest.mark.parametrize("odd", ["\0", "\x01", "\x1b[", "\uffff", "\ud800"])
def test_names_that_no_picture_can_hold(odd: str) -> None:
    drawn = confusion([[3, 1], [0, 2]], ["yes" + odd, "no"])
    told = "".join(ElementTree.fromstring(drawn.svg()).itertext())
    assert "yes\ufffd" in told
    assert odd not in told
    assert drawn.png()
    assert "no" in drawn.html()


@pytest.mark.parametrize("steps", [0, 2])
def test_a_run_that_begins_with_anothers_model(steps: int, tmp_path: Path) -> None:
    """Its first line has a score and no step yet; nothing of that is left out or not finite."""
    rows: list[Any] = [(0, "", 3.5), (10, 3.4, 3.2), (20, 3.0, 2.9)][: steps + 1]
    drawn = curve(write_run(tmp_path / "run", rows, best=0))
    assert [row["y"] for row in of_line(drawn, "validation")] == [3.5, 3.2, 2.9][: steps + 1]
    assert not any("Left out" in text for text in texts(drawn))
    if steps:
        assert [row["x"] for row in of_line(drawn, "training")] == [10, 20]


def texts(chart: Chart) -> list[str]:
    """All that is written in the SVG of a chart, from elements that a reader can search."""
    drawn = ElementTree.fromstring(chart.svg())
    found = [each for each in drawn.iter() if each.tag.rpartition("}")[2] == "text"]
    return [line for each in found for line in each.itertext()]


def of_line(chart: Chart, name: str) -> list[dict[str, Any]]:
    """The points that a line of a description is drawn through."""
    panels = chart.description.get("vconcat", [chart.description])
    for layer in (layer for panel in panels for layer in panel["layer"]):
        rows = layer["data"]["values"]
        if layer["mark"]["type"] == "line" and rows and rows[0]["line"] == name:
            return list(rows)
    raise AssertionError(f"no line {name}")


FALLING = [(10 * n, round(3 / n, 4), round(2.5 / n + 0.1 * n, 4)) for n in range(1, 11)]
SCORES = [("lstm", 1.25, 1.25), ("5-gram", 1.5, 1.5), ("bigram", 2.0, 2.0)]


# --------------------------------------------------------------------------------------- the curve


def test_a_curve_tells_all_of_a_run(tmp_path: Path) -> None:
    sentence = "It fits too much (1.0 nats a symbol on what it was trained on): more data."
    run = write_run(tmp_path / "book", FALLING, best=50, scores=SCORES, verdict=sentence)
    chart = curve(run)
    said = texts(chart)
    for name in ("training", "validation", "lstm, test: 1.25", "5-gram, test: 1.5"):
        assert name in said
    assert {"training step", "loss, nats a symbol", "book: loss by training step"} <= set(said)
    assert "kept: step 50, the best validation (1)" in said
    assert sentence in " ".join(said)
    assert [row["y"] for row in of_line(chart, "training")] == [row[1] for row in FALLING]
    assert [row["y"] for row in of_line(chart, "validation")] == [row[2] for row in FALLING]
    assert [row["y"] for row in of_line(chart, "bigram, test: 2")] == [2.0, 2.0]
    rings = [each for each in chart.description["layer"] if each["mark"]["type"] == "point"]
    assert [ring["data"]["values"] for ring in rings] == [[{"x": 50, "y": 1.0}]]


def test_a_picture_has_a_white_ground_and_fonts_that_any_machine_has(tmp_path: Path) -> None:
    drawn = curve(write_run(tmp_path / "run", FALLING)).svg()
    assert '<rect width="' in drawn
    assert 'fill="white"' in drawn[:600]
    fonts = {part.split('"')[0] for part in drawn.split('font-family="')[1:]}
    assert fonts
    assert all(font.endswith("sans-serif") for font in fonts)


def test_a_run_that_trains_yet_has_no_scores(tmp_path: Path) -> None:
    said = texts(curve(write_run(tmp_path / "run", FALLING, best=50)))
    assert not any("test:" in each for each in said)


def test_one_evaluation(tmp_path: Path) -> None:
    said = texts(curve(write_run(tmp_path / "run", [(7, 2.0, 1.9)], best=7, scores=SCORES)))
    assert {"training", "validation", "kept: step 7, the best validation (1.9)"} <= set(said)


def test_without_a_validation_part(tmp_path: Path) -> None:
    rows = [(step, 3 / step, "") for step in (1, 2, 3)]
    chart = curve(write_run(tmp_path / "run", rows, best=3, scores=SCORES))
    said = texts(chart)
    assert "validation" not in said
    assert "kept: step 3, the last" in said
    assert any("Without a validation part" in each for each in said)
    with pytest.raises(AssertionError, match="no line"):
        of_line(chart, "validation")


def test_what_is_not_finite_is_left_out_and_told(tmp_path: Path) -> None:
    rows: Rows = [(1, "nan", "inf"), (2, 2.0, 2.1), (3, "-inf", 2.0), (4, 1.0, "nan"), (5, 1.0, 1)]
    odd = [("lstm", math.nan, math.nan), ("bigram", 2.0, 2.0), ("unigram", math.inf, math.inf)]
    chart = curve(write_run(tmp_path / "run", rows, best=5, scores=odd))
    said = " ".join(texts(chart))
    assert "Left out of training: 2 of 5, no finite numbers." in said
    assert "Left out of validation: 2 of 5, no finite numbers." in said
    assert "Left out of test, no finite number: lstm, unigram." in said
    assert "NaN" not in chart.svg()
    assert [(row["x"], row["part"]) for row in of_line(chart, "training")] == [
        (2, 1),
        (4, 2),
        (5, 2),
    ]


def test_nothing_that_is_finite(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [(1, "nan", "nan"), (2, "nan", "nan")], best=1)
    said = texts(curve(run))
    assert "kept: step 1" in said  # the first, for want of a better one
    assert any("2 of 2" in each for each in said)


def test_another_metric_has_a_panel_of_its_own(tmp_path: Path) -> None:
    rows = [(step, 2 / step, 1 - 1 / step) for step in range(1, 9)]
    scores = [("gru", 0.3, 0.91), ("majority", 2.3, 0.125)]
    chart = curve(write_run(tmp_path / "run", rows, metric="accuracy", best=8, scores=scores))
    above, below = chart.description["vconcat"]
    assert (above["layer"][0]["encoding"]["y"]["axis"]["title"]) == "loss, nats a symbol"
    said = texts(chart)
    assert "accuracy" in said
    assert {"majority, test: 2.3", "majority, test: 0.125", "gru, test: 0.91"} <= set(said)
    assert said.count("training") == said.count("validation") == 1
    assert said.count("kept: step 8, the best validation accuracy (0.875)") == 1
    rings = [
        [each for each in panel["layer"] if each["mark"]["type"] == "point"]
        for panel in (above, below)
    ]
    assert [len(each) for each in rings] == [0, 1]


def test_another_metric_without_a_validation_part(tmp_path: Path) -> None:
    rows = [(step, 2 / step, "") for step in range(1, 9)]
    running = curve(write_run(tmp_path / "a", rows, metric="accuracy", best=8))
    assert "vconcat" not in running.description
    done = curve(
        write_run(tmp_path / "b", rows, metric="accuracy", best=8, scores=[("gru", 0.3, 0.91)])
    )
    above, below = done.description["vconcat"]
    assert any(each["mark"]["type"] == "point" for each in above["layer"])
    assert not any(each["mark"]["type"] == "point" for each in below["layer"])


def test_thousands_of_evaluations(tmp_path: Path) -> None:
    rows = [(step, 9.0 if step == 777 else 1 + 1 / step, 1.5) for step in range(1, 5001)]
    chart = curve(write_run(tmp_path / "run", rows, best=1))
    kept = of_line(chart, "training")
    assert len(kept) < 500
    assert max(row["y"] for row in kept) == 9.0  # a spike is what is looked for
    assert len(chart.svg()) < 250_000


def test_a_line_that_is_damaged_is_left_out_and_told(tmp_path: Path) -> None:
    after = '110,7040,0.1,0.3\n"\ufffd,,,,,\n120,7680,0.1,zero,1.0,0.002\n130,8320,0.1,0.5,1.1,1\n'
    chart = curve(write_run(tmp_path / "run", FALLING, best=50, after=after + "140,"))
    assert [row["x"] for row in of_line(chart, "training")] == [*range(10, 101, 10), 130]
    assert "Damaged lines of log.csv, left out: 4." in texts(chart)


def test_a_step_that_was_done_again_counts_once(tmp_path: Path) -> None:
    after = "90,5760,0.1,0.7,1.0,0.002\n"
    chart = curve(write_run(tmp_path / "run", FALLING, after=after))
    assert [row["y"] for row in of_line(chart, "training")][-2:] == [0.7, 0.3]


@pytest.mark.parametrize("content", [None, "", "\n", "a,b,c\n1,2,3\n", "step,training_nats\n1,2\n"])
def test_a_folder_without_a_log_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "log.csv").write_text(content)
    with pytest.raises(RunError, match=r"log\.csv: "):
        curve(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", '{"scores": 3}', '{"scores": [1, {"loss": "a"}]}'])
def test_a_summary_that_is_damaged_hides_no_curve(tmp_path: Path, content: str) -> None:
    run = write_run(tmp_path / "run", FALLING)
    (run / "summary.json").write_text(content)
    (run / "best").write_text("nowhere")
    assert "training" in texts(curve(run))


def test_names_of_any_kind(tmp_path: Path) -> None:
    odd = [("lstm", 1.0, 1.0), ('<b>&"\n', 2.0, 2.0), ("long " * 30, 1.5, 1.5)]
    said = texts(curve(write_run(tmp_path / "a<b>&", FALLING, scores=odd)))
    assert "a<b>&: loss by training step" in said
    assert any(each.startswith('<b>&"') for each in said)
    assert all(len(each) < 110 for each in said)


# ------------------------------------------------------------------------------------------- files


def test_as_svg_png_and_html(tmp_path: Path) -> None:
    chart = curve(write_run(tmp_path / "run", [(1, 2.0, 1.9)]))
    assert chart.save(tmp_path / "a.svg").read_text().startswith("<svg")
    assert chart.save(str(tmp_path / "a.PNG")).read_bytes().startswith(b"\x89PNG")
    page = chart.save(tmp_path / "a.html").read_text()
    assert "loss, nats a symbol" in page
    assert '<script src="' not in page  # nothing is fetched
    assert chart._repr_svg_() == chart.svg()


@pytest.mark.parametrize("name", ["curve", "curve.pdf", "svg"])
def test_another_ending_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingError, match=r"\.svg, \.png or \.html, got"):
        Chart({}).save(tmp_path / name)


def test_a_file_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chart = confusion([[1]], ["a"])
    (tmp_path / "a.svg").write_text("before")

    def full(*names: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RunError, match="No space left"):
        chart.save(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["a.svg"]


def test_without_the_library_it_is_told_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    chart = confusion([[1]], ["a"])
    for draw in (chart.svg, chart.png, chart.html):
        with pytest.raises(SettingError, match=r"vl-convert-python.*recurra\[charts\]"):
            draw()


# --------------------------------------------------------------------------------------- confusion


def test_confusion_tells_counts_and_shares() -> None:
    said = texts(confusion([[1234, 66, 0], [1, 999, 0], [0, 0, 0]], ["yes", "no", "never"]))
    assert {"yes", "no", "never", "true class", "predicted class"} <= set(said)
    assert {"1234", "95 %", "66", "5 %", "1", "<1 %", "999", ">99 %"} <= set(said)
    assert "0" not in said
    assert "Right: 2,233 of 2,300 (97 %)" in said


def test_confusion_of_many_classes_with_long_names() -> None:
    names = [f"a class that has a long name, number {number}" for number in range(30)]
    counts = [
        [40_000 if a == b else 123 * ((a + b) % 3 == 0) for b in range(30)] for a in range(30)
    ]
    said = texts(confusion(counts, names))
    assert said.count("40k") == 30
    assert said.count("123") == sum(count == 123 for row in counts for count in row)
    assert sum(each.startswith("a class that has a") for each in said) == 60


def test_names_of_classes_stay_apart() -> None:
    said = texts(confusion([[5, 0, 0], [0, 6, 0], [0, 0, 7]], ["a", "a", ""]))
    assert {"a", "a (1)", "(empty)", "5", "6", "7"} <= set(said)


def test_of_very_many_classes_those_with_most_mistakes() -> None:
    size = 50
    counts = [[10 * (a == b) for b in range(size)] for a in range(size)]
    for number in range(0, 30, 2):
        counts[number][number + 1] = 10
    counts[2][40] = 10
    counts[1][0] = 90
    chart = confusion(counts, [f"class {number}" for number in range(size)])
    said = texts(chart)
    assert {"class 0", "class 1", "class 28", "class 29"} <= set(said)
    assert "class 40" not in said
    assert "90 %" in said
    assert said.count("33 %") == 2  # of all of its row, also of what is not shown
    assert "Shown are 30 of 50 classes" in " ".join(said)


@pytest.mark.parametrize(
    ("counts", "names"),
    [([], []), ([[1]], ["a", "b"]), ([[1, 2], [3]], ["a", "b"]), ([[1, 2]], ["a", "b"])],
)
def test_a_table_of_another_shape_is_refused(counts: list[list[int]], names: list[str]) -> None:
    with pytest.raises(ShapeError, match="confusion: expected a row and a column for each of"):
        confusion(counts, names)


def test_a_run_of_classes_has_both_pictures(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", FALLING)
    assert set(pictures(run)) == {"curve"}
    row: dict[str, Any] = {"name": "gru", "confusion": [[3, 1], [0, 4]], "classes": ["no", "yes"]}
    for told in (row, {"evaluations": [row, {**row, "confusion": [[1, 1], [1, 1]]}]}):
        (run / "summary.json").write_text(json.dumps(told))
        assert "Right: 7 of 8 (88 %)" in texts(pictures(run)["confusion"])
    (run / "summary.json").write_text(json.dumps({**row, "confusion": [["x"]]}))
    with pytest.raises(RunError, match=r"summary\.json: damaged"):
        pictures(run)


# ------------------------------------------------------------------------------------------- lines


def test_lines_are_named_beside_their_fall_or_at_their_end() -> None:
    series = {"far": {1: 1.0, 2: 1.0, 4: 0.9}, "near": {1: 1.0, 2: 0.1, 4: 0.1}}
    x = Axis("words back", 0.9, 4, True, [1, 2, 4])
    y = Axis("", 0, 1, format="%")
    chart = lines(series, title="How far?", about="Of all", x=x, y=y, levels={"chance": 0.1})
    said = texts(chart)
    assert {"far", "near", "chance", "How far?", "Of all", "words back", "1", "2", "4"} <= set(said)
    drawn = [each for each in chart.description["layer"] if each["mark"]["type"] == "line"]
    widths = [each["mark"]["strokeWidth"] for each in drawn]
    assert widths[0] > widths[1]  # those that lie below are broader
    names = {
        each["data"]["values"][0]["name"]: each["encoding"]["x"]
        for each in chart.description["layer"]
        if each["mark"]["type"] == "text"
    }
    assert "field" in names["near"]  # within the panel
    assert "value" in names["far"]  # right of it


def test_more_lines_than_can_be_told_apart_are_refused() -> None:
    axis = Axis("", 0, 1)
    with pytest.raises(SettingError, match="at most 6 series"):
        lines({str(n): {0: 0, 1: 1} for n in range(7)}, title="", x=axis, y=axis)
