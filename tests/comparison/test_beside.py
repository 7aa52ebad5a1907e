"""Runs side by side: what differs, in pairs, on one page; and that page in a browser."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from comparison.fakes import FakeRunner
from inspection.browser import browser, requests_of
from typer.testing import CliRunner

import recurra
from recurra import worker
from recurra.cli import app
from recurra.comparison import SideBySide, compare_pair, conduct, side_by_side
from recurra.comparison.beside_page import _same
from recurra.comparison.runner import Job, Outcome
from recurra.errors import ArtifactError, RunError, SettingError
from recurra.inspection.examples import Example
from recurra.training.run import RunFolder
from recurra.training.runs import run_recipe

MOODS = {"good": ["warm", "bright"], "bad": ["cold", "dull"]}


def lines(number: int) -> tuple[list[str], list[str]]:
    """Texts whose class one word of them says."""
    draw = np.random.default_rng(0)
    labels = [str(draw.choice(["good", "bad"])) for _ in range(number)]
    words = ["a", "film", "of", "the", "sea", "and", "night"]
    texts = [
        " ".join([*draw.choice(words, 3), str(draw.choice(MOODS[label])), f"n{at}"])
        for at, label in enumerate(labels)
    ]
    return texts, labels


def write(path: Path, number: int = 120) -> Path:
    rows = [f"{text},{label}" for text, label in zip(*lines(number), strict=True)]
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


def train(task: str, data: Any, out: Path, **settings: Any) -> Path:
    recurra.train(task, data, out=out, report=lambda _: None, **settings)
    return out


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two classifiers of the same texts, and what they were trained on beside them."""
    place = tmp_path_factory.mktemp("beside")
    data = write(place / "films.csv")
    how: dict[str, Any] = {"vocabulary": "words", "epochs": 6, "learning_rate": 0.02}
    return [
        train("classification", data, place / "lstm", cell="lstm", hidden_size=8, **how),
        train("classification", data, place / "gru", cell="gru", hidden_size=12, **how),
    ]


@pytest.fixture(scope="module")
def found(runs: list[Path]) -> SideBySide:
    return side_by_side(runs, runs[0].parent / "films.csv")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> SideBySide:
    """Two language models of the same documents."""
    place = tmp_path_factory.mktemp("texts")
    for number in range(30):
        (place / f"{number}.txt").write_text(f"The {number} ships, and the sea of night.\n" * 4)
    how = {"hidden_size": 8, "epochs": 1, "window": 32, "batch_size": 4}
    both = [train("language-model", place, place / c, cell=c, **how) for c in ("lstm", "gru")]
    return side_by_side(both)


def test_settings_that_differ_alone(found: SideBySide) -> None:
    assert found.names == ["lstm", "gru"]
    assert found.settings == {"model.cell": ["lstm", "gru"], "model.hidden_size": [8, 12]}
    rows = dict(found.rows)
    assert rows["cell"] == ["lstm", "gru"]
    count = [sum(p.numel() for p in recurra.load(path).model.parameters()) for path in found.paths]
    assert rows["parameters"] == [f"{number:,}" for number in count]
    assert rows["epochs"] == ["6", "6"]


def test_time_of_an_epoch_is_that_of_the_log(found: SideBySide) -> None:
    for cost, path in zip(found.costs, found.paths, strict=True):
        last = (path / "log.csv").read_text().splitlines()[-1].split(",")
        assert cost.seconds == pytest.approx(float(last[2]) / 6, rel=0.2, abs=0.02)


def test_pairs_are_those_of_compare_pair(found: SideBySide, runs: list[Path]) -> None:
    (paired,) = found.paired
    assert paired is not None
    assert paired.rows == compare_pair(*runs).rows


def test_the_same_axes(found: SideBySide) -> None:
    """Curves of both runs end at their last number, in one picture."""
    assert {"validation", "training", "gradient", "memory", "gates-keep"} <= set(found.pictures)
    drawn = found.pictures["validation"].chart.description["layer"]
    ends = {
        row["line"]: row["y"] for layer in drawn for row in layer["data"]["values"] if "line" in row
    }
    for path in found.paths:
        header, *rows = [line.split(",") for line in (path / "log.csv").read_text().splitlines()]
        assert ends[path.name] == float(rows[-1][header.index("validation_accuracy")])


def test_gates_of_two_cells_by_what_they_do(found: SideBySide) -> None:
    """Forget gates beside update gates; output gates are those of the LSTM alone."""

    def names(picture: str) -> set[str]:
        layers = found.pictures[picture].chart.description["layer"]
        rows = [row for layer in layers for row in layer["data"]["values"]]
        return {row["line"] for row in rows if "line" in row}

    assert names("gates-keep") == {"lstm", "gru"}
    assert names("gates-show") == {"lstm"}
    assert names("gates-read") == {"gru"}


def test_words_and_numbers(found: SideBySide, tmp_path: Path) -> None:
    text = str(found)
    assert "classification: lstm, gru" in text
    assert "95 % interval" in text
    told = json.loads(found.save(tmp_path / "c.json").read_text())
    assert told["runs"] == ["lstm", "gru"]
    assert told["settings"]["model.cell"] == ["lstm", "gru"]
    assert told["paired"][0]["examples"] == found.paired[0].examples  # type: ignore[union-attr]
    assert len(told["reports"]) == 2
    assert {path.suffix for path in found.save_pictures(tmp_path / "p")} == {".svg", ".png"}
    with pytest.raises(SettingError, match=r"ends in \.html or \.json"):
        found.save(tmp_path / "c.pdf")


def test_examples_on_which_they_differ_come_first(found: SideBySide) -> None:
    page = found.html()
    first, second = (report.examples for report in found.reports)
    assert [each.wanted for each in first] == [each.wanted for each in second]
    gaps = [abs(a.total - b.total) for a, b in zip(first, second, strict=True)]
    most = "".join(first[int(np.argmax(gaps))].inputs["text"])
    cards = re.findall(r"<p class=text>(.*?)</p>", page)
    assert cards[0] == most


def test_runs_that_are_no_pairs_are_shown_all_the_same(runs: list[Path], tmp_path: Path) -> None:
    other = write(tmp_path / "other.csv", 90)
    third = train(
        "classification", other, tmp_path / "other", vocabulary="words", epochs=1, hidden_size=8
    )
    found = side_by_side([runs[0], third], other)
    assert found.paired == [None]
    assert any("trained on other data" in said for said in found.said)
    assert "trained on other data" in found.html()


def test_a_single_book_has_no_pairs_which_is_said_first(tmp_path: Path) -> None:
    book, told = tmp_path / "book.txt", []
    book.write_text("The ships, and the sea of night.\n" * 40)
    how: dict[str, Any] = {"hidden_size": 4, "epochs": 1, "window": 16, "batch_size": 2}
    both = [train("language-model", book, tmp_path / c, cell=c, **how) for c in ("gru", "elman")]
    found = side_by_side(both, report=told.append)
    first = next(at for at, said in enumerate(told) if "looking into" in said)
    assert any("is one document, and pairs are drawn from at least 2" in s for s in told[:first])
    assert found.paired == [None]
    assert [said for said in found.said if "one document" in said]


def test_what_cannot_be_compared(runs: list[Path], texts: SideBySide, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="expected 2 to 6 runs, got 1"):
        side_by_side(runs[:1])
    with pytest.raises(SettingError, match="got one twice"):
        side_by_side([runs[0], runs[0]])
    with pytest.raises(SettingError, match="runs of one task, got classification, language-model"):
        side_by_side([runs[0], texts.paths[0]])
    with pytest.raises(SettingError, match="give a second one"):
        side_by_side(runs[0])
    with pytest.raises(RunError, match="expected the folder of a run"):
        side_by_side([runs[0], tmp_path])


def here(job: Job) -> Outcome:
    """A run of a comparison, in this process."""
    threads = torch.get_num_threads()
    try:
        return Outcome(**worker._run(job, lambda said: None))
    finally:
        torch.set_num_threads(threads)


def test_a_folder_of_a_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each variant the run of the middle score, the best first."""
    monkeypatch.setattr(conduct, "ProcessRunner", lambda *how: FakeRunner(here))
    study = recurra.compare(
        "classification",
        lines(80),
        out=tmp_path / "study",
        vary={"cell": ["elman", "gru"]},
        seeds=3,
        hidden_size=4,
        epochs=1,
        jobs=1,
        quiet=True,
    )
    found = side_by_side(tmp_path / "study", lines(80))
    assert len(found.names) == 2
    for path, row in zip(found.paths, study.rows, strict=True):
        own = sorted(run.value for run in study.runs if run.settings == row.settings)
        value = next(r.value for r in study.runs if tmp_path / "study" / r.name == path)
        assert value == own[1]
    assert found.settings["model.cell"] == [row.settings["model.cell"] for row in study.rows]
    page = found.html()
    assert "All runs" in page
    assert "within the noise" in page or "worse" in page


def test_the_command(runs: list[Path], tmp_path: Path) -> None:
    words = ["compare", *map(str, runs), "--out", str(tmp_path / "page.html")]
    done = CliRunner().invoke(app, [*words, "--pictures", str(tmp_path / "p"), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["runs"] == ["lstm", "gru"]
    assert (tmp_path / "page.html").stat().st_size > 10_000
    assert (tmp_path / "p" / "gradient.svg").exists()


# ---- in a browser --------------------------------------------------------------------------------


def marks(driver: Any) -> list[int]:
    """Of each figure that is seen, how many paths it has."""
    script = "return [...document.querySelectorAll('figure')].map(f => [...f.querySelectorAll("
    script += "'svg')].filter(s => s.getBoundingClientRect().width > 0).map(s => "
    script += "s.querySelectorAll('path').length)).flat()"
    found: list[int] = driver.execute_script(script)
    return found


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_the_page_in_a_browser(found: SideBySide, tmp_path: Path, width: int, dark: bool) -> None:
    """No error, nothing asked from outside, charts with marks, nothing wider than the window."""
    page = found.save(tmp_path / "page.html")
    with browser(width, dark=dark) as driver:
        driver.get(page.absolute().as_uri())
        assert [entry["message"] for entry in driver.get_log("browser")] == []
        assert requests_of(driver) == []
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width
        counts = marks(driver)
        assert len(counts) == len(found.pictures)
        assert all(count > 5 for count in counts)
        wide = "return [...document.querySelectorAll('figure svg, table.beside')].map(e => "
        wide += "e.getBoundingClientRect()).filter(r => r.right > innerWidth).length"
        assert driver.execute_script(wide) == 0
        heads = "return [...document.querySelectorAll('table.beside tr')].map(r => "
        heads += "[...r.querySelectorAll('td, thead th')].filter(c => c.offsetWidth && "
        heads += "c.textContent).map(c => Math.round(c.getBoundingClientRect().left)).join())"
        lefts = driver.execute_script(heads)
        assert len({*lefts}) == 1  # the columns of all rows begin where their run does
        cards = driver.execute_script("return document.querySelectorAll('.said').length")
        assert cards == 2 * 8


def test_a_run_has_one_color(found: SideBySide, tmp_path: Path) -> None:
    """In the light and in the dark its dot is the color of its line."""
    page = found.save(tmp_path / "page.html")
    for dark in (False, True):
        with browser(1280, dark=dark) as driver:
            driver.get(page.absolute().as_uri())
            style = "return getComputedStyle(document.querySelector(arguments[0])).filter"
            line, dot = (driver.execute_script(style, place) for place in ("figure svg", ".run i"))
            assert line == dot
            assert (line == "none") != dark


def test_the_difference_of_surprise(texts: SideBySide, tmp_path: Path) -> None:
    """Blue where the first expected more, orange where the second did; the other way round too."""
    page = texts.save(tmp_path / "page.html")
    reads = [report.read for report in texts.reports]
    gaps = reads[0].surprises - reads[1].surprises  # type: ignore[union-attr]
    step = int(np.nanargmax(np.abs(gaps)))
    color = "return document.querySelectorAll('#symbols span')[arguments[0]].style.background"
    with browser(800) as driver:
        driver.get(page.absolute().as_uri())
        assert [entry["message"] for entry in driver.get_log("browser")] == []
        orange = "rgba(230, 120, 0" in driver.execute_script(color, step)
        assert orange == bool(gaps[step] > 0)
        driver.execute_script(
            "const [a, b] = ['one', 'other'].map(id => document.getElementById(id));"
            "a.value = '1'; b.value = '0'; a.dispatchEvent(new Event('change'));"
        )
        assert ("rgba(230, 120, 0" in driver.execute_script(color, step)) != orange
        driver.execute_script(
            "document.querySelectorAll('#symbols span')[arguments[0]].click()", step
        )
        told = driver.execute_script("return document.getElementById('told').textContent")
        assert f"{reads[0].surprises[step]:.2f} nats" in told  # type: ignore[union-attr]
        assert f"{reads[1].surprises[step]:.2f} nats" in told  # type: ignore[union-attr]


def test_series_that_differ_are_not_the_same_example() -> None:
    """A class alone, which many have, does not make one question of two."""

    def example(first: float) -> Example:
        return Example({"series": np.array([[first], [2.0]])}, "whole", ["a"], ["b"], np.ones(1))

    assert _same([example(1.0), example(1.0)])
    assert _same([example(np.nan), example(np.nan)])
    assert not _same([example(1.0), example(3.0)])
    assert not _same([example(1.0), example(1.0)._replace(inputs={})])


def test_what_is_no_list_of_runs(tmp_path: Path) -> None:
    for wrong in (5, None):
        with pytest.raises(SettingError, match="runs: expected paths of runs, or a folder, got"):
            side_by_side(wrong)  # type: ignore[arg-type]
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "recipe.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"recipe\.json: damaged: it does not say its task"):
        run_recipe(RunFolder.open(tmp_path))
