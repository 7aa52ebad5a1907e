"""A run of any task on one page: numbers that are those of the model, pictures, and a browser."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from inspection.browser import browser, requests_of
from typer.testing import CliRunner

import recurra
from recurra.batch import Batch
from recurra.errors import DataError, RecurraError, SettingError
from recurra.inspection import inspect
from recurra.inspection.report import _scores
from recurra.inspection.text import FEATURES, followers, read_text

TEXT = 'He said "no" (twice). She [of 2] said "Yes!" and left.\n' * 60


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("inspected")
    (place / "book.txt").write_text(TEXT)
    settings = {"hidden_size": 12, "layers": 2, "epochs": 2, "window": 32, "batch_size": 4}
    path = place / "run"
    recurra.train("language-model", place / "book.txt", out=path, report=lambda _: None, **settings)
    return path


@pytest.fixture(scope="module")
def report(run):
    return inspect(run, run.parent / "book.txt", rows=4, steps=40)


@pytest.fixture(scope="module")
def page(report, run):
    return report.save(run.parent / "report.html")


# ---- what it says -------------------------------------------------------------------------------


def test_numbers_are_those_of_the_model(report, run):
    """The loss is that of the same rows; each symbol has the surprise of itself."""
    loaded = recurra.load(run)
    task = recurra.tasks.task_by_name("language-model")
    from recurra.tasks.language_model.corpus import held

    part = held([TEXT], loaded.fronts)
    total, count = loaded.model.score([[task.sample(part, 4, 40)]])
    assert report.examination.evidence.loss == pytest.approx(total / count, rel=1e-5)
    read = report.read
    assert "".join(read.symbols) == TEXT[: len(read.symbols) - 1]
    assert math.isnan(read.surprises[0])
    batch = task.sample(part, 1, 2000)
    nats, _ = loaded.model.eval().surprise(batch)
    assert read.surprises[1:6] == pytest.approx(nats.values[:5, 0].tolist(), rel=1e-5)
    assert set(read.gates) == {"layer 1", "layer 2"}


@pytest.mark.parametrize("vocabulary", ["characters", "words"])
def test_a_symbol_that_is_unknown_is_shown_as_the_text_has_it(vocabulary, tmp_path):
    (tmp_path / "book.txt").write_text("the cat sat on the mat.\n" * 60)
    settings = {"hidden_size": 4, "epochs": 1, "window": 16, "batch_size": 2, "minimum_count": 2}
    if vocabulary == "characters":
        settings.pop("minimum_count")
    run = tmp_path / "run"
    recurra.train(
        "language-model",
        tmp_path / "book.txt",
        out=run,
        vocabulary=vocabulary,
        report=lambda _: None,
        **settings,
    )
    words = ["zebra" if n % 7 == 3 else "cat" for n in range(90)]
    for several in (False, True):
        # One long text, or several short ones behind each other.
        text = " ".join(words)
        cut = [" ".join(words[:count]) for count in (15, 9, 12)]
        texts = [*cut, "a zoo"] if several else [text]
        report = inspect(run, texts, rows=4, steps=400 if several else 64)
        read = report.read
        shown = "".join(read.symbols)
        assert "\ufffd" not in shown
        assert "<unk>" not in shown
        behind = sorted(texts, key=len, reverse=True)
        assert shown.startswith(behind[0][:40])
        if several and vocabulary == "characters":
            assert shown.split("\n") == [*behind, ""]
        unknown = [read.symbols[at].strip() for at in sorted(read.unknown)]
        strange = {"z", "b", "r"} if vocabulary == "characters" else {"zebra", "a", "zoo"}
        assert unknown
        assert {*unknown} <= strange
        at = min(read.unknown)
        assert f"{read.symbols[at]!r}, unknown to the model" in read.told(at)
        assert "unknown to the model" not in read.told(1)
        assert "symbols that the model does not know" in report.html()


def test_words(report):
    text = str(report)
    assert "language-model" in text
    assert "gradient:" in text
    assert "moves with" in text
    assert "keeps" in report.read.told(5)
    assert repr(report.read.symbols[5]) in report.read.told(5)


def test_json_has_all_numbers(report, tmp_path):
    told = json.loads(report.save(tmp_path / "r.json").read_text())
    assert told["evidence"]["steps"] == 40
    assert told["verdicts"]
    assert {each["name"] for each in told["scores"]} >= {"lstm"}
    assert len(told["evidence"]["flow"]["norms"]) == 2
    json.dumps(told, allow_nan=False)


def test_pictures_as_svg_and_png(report, tmp_path):
    written = report.save_pictures(tmp_path / "p")
    assert {path.suffix for path in written} == {".svg", ".png"}
    assert {path.stem for path in written} >= {"reach", "gates", "surprise", "curve"}
    assert all(path.stat().st_size > 1000 for path in written)


def test_another_ending_is_refused(report, tmp_path):
    with pytest.raises(SettingError, match=r"ends in \.html or \.json"):
        report.save(tmp_path / "report.pdf")


def test_the_data_of_the_training_are_taken_where_none_are_given(run):
    found = inspect(run, rows=2, steps=20)
    assert found.data.startswith("book.txt, of its training")


def test_a_checkpoint_is_that_of_its_run(run, report):
    step = (run / "best").read_text().strip()
    found = inspect(run / "checkpoints" / step, run.parent / "book.txt", rows=4, steps=40)
    assert found.examination.evidence.loss == report.examination.evidence.loss
    assert set(found.pictures) == set(report.pictures)
    assert found.scores == report.scores


def test_data_that_are_not_there(run):
    with pytest.raises(DataError, match=r"nowhere\.txt"):
        inspect(run, "nowhere.txt")


def test_the_command(run, tmp_path):
    from recurra.cli import app

    out = tmp_path / "page.html"
    words = ["inspect", str(run), "--data", str(run.parent / "book.txt"), "--out", str(out)]
    done = CliRunner().invoke(app, [*words, "--pictures", str(tmp_path / "p")])
    assert done.exit_code == 0, done.output
    assert out.stat().st_size > 10_000
    assert (tmp_path / "p" / "reach.svg").exists()
    wrong = CliRunner().invoke(app, [*words[:-1], str(tmp_path / "page.doc")])
    assert wrong.exit_code != 0


# ---- units that follow something ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("inside quotes", [0, 0, 1, 1, 0, 0, 0, 0, 0]),
        ("depth of brackets", [0, 0, 0, 0, 1, 1, 1, 0, 0]),
        ("upper case", [1, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("place in the line", [0, 1, 2, 3, 4, 5, 6, 7, 0]),
        ("digits", [0, 0, 0, 0, 0, 1, 0, 0, 0]),
    ],
)
def test_what_is_visible(name, wanted):
    symbols = ["A", '"', "x", '"', "(", "2", ")", "\n", "b"]
    assert FEATURES[name](symbols).tolist() == wanted


def test_a_unit_that_follows_is_found():
    """A unit that is 1 from a quote on and 0 behind the next, made by hand."""

    class Quotes(recurra.Cell):
        def initial_state(self, batch):
            return recurra.HiddenState(self.zeros(batch, 3))

        def step(self, x, state, context=None, noise=None):
            inside = (state.h[:, 1:2] - x).abs()
            h = torch.cat([0.1 * x, inside, -inside * 0.5], dim=1)
            return h, recurra.HiddenState(h)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = recurra.Recurrent(Quotes(1, 3))

        def forward(self, batch):
            return self.layer(batch.inputs)

    symbols = list('a long walk "and more of it" was "all that they wanted" then')
    marks = torch.tensor([[[float(symbol == '"')]] for symbol in symbols])
    read = read_text(Model(), Batch(marks, None), [symbols])
    best = {each.feature: each for each in followers(read)}["inside quotes"]
    assert best.unit in (1, 2)
    assert abs(best.correlation) > 0.7
    assert np.isnan(read.surprises).all()
    assert read.told(0) == "Step 0, 'a'."


# ---- other tasks --------------------------------------------------------------------------------


def test_a_classifier_of_series(tmp_path):
    chance = np.random.default_rng(0)
    rows = [chance.normal(label, 1, (12, 2)) for label in (0, 1) * 40]
    labels = ["low", "high"] * 40
    settings = {"hidden_size": 6, "epochs": 1, "report": lambda _: None}
    recurra.train("classification", (rows, labels), out=tmp_path / "run", **settings)
    report = inspect(tmp_path / "run", (rows, labels))
    assert report.examination is not None
    assert report.read is None
    assert {"reach", "confusion"} <= set(report.pictures)
    assert "What is to be said" in report.html()
    with pytest.raises(RecurraError, match="given in Python: give some, by data="):
        inspect(tmp_path / "run")


def test_a_model_without_cells_says_so(run, tmp_path):
    """There is nothing to look into, and the page still has scores and curves."""
    chance = np.random.default_rng(0)
    texts = [" ".join(chance.choice(["good", "bad", "film"], 5)) for _ in range(60)]
    labels = ["yes" if "good" in text else "no" for text in texts]
    settings = {"body": "feed-forward", "epochs": 1, "report": lambda _: None}
    recurra.train("classification", (texts, labels), out=tmp_path / "run", **settings)
    report = inspect(tmp_path / "run", (texts, labels))
    assert report.examination is None
    assert any("not looked into" in said for said in report.said)
    assert "not looked into" in report.html()


def test_an_ngram_has_nothing_to_look_into(run, tmp_path):
    recurra.train("ngram", run.parent / "book.txt", out=tmp_path / "run", report=lambda _: None)
    report = inspect(tmp_path / "run", run.parent / "book.txt")
    assert report.examination is None
    assert "no recurrent layer" in report.html()


def test_sizes_that_are_none(run):
    for wrong in ({"rows": 0}, {"rows": "x"}, {"steps": 2.5}):
        with pytest.raises(SettingError, match=next(iter(wrong))):
            inspect(run, run.parent / "book.txt", **wrong)


def test_where_it_is_written_is_looked_at_first(run, tmp_path):
    from recurra.cli import app

    for more in (["--out", str(tmp_path / "no" / "p.html")], ["--pictures", str(run / "log.csv")]):
        done = CliRunner().invoke(app, ["inspect", str(run), *more])
        assert done.exit_code == 2, done.output
        assert "reading" not in done.output


def test_text_that_looks_like_the_page(run, report):
    symbols = ["<!--", " <script>", "</script>", "a", chr(8232), "<"] * 3
    parts = {"surprises": report.read.surprises[:18], "said": symbols, "wanted": symbols}
    read = report.read._replace(symbols=symbols, **parts)
    odd = dataclasses.replace(report, read=read).save(run.parent / "odd.html")
    with browser(800) as driver:
        driver.get(odd.as_uri())
        assert [entry["message"] for entry in driver.get_log("browser")] == []
        spans = "return [...document.querySelectorAll('#symbols span')].map(s => s.textContent)"
        assert driver.execute_script(spans) == symbols


# ---- in a browser -------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_the_page_in_a_browser(page, width, dark):
    """No error, nothing asked from outside, charts with marks, sliders that do something."""
    with browser(width, dark=dark) as driver:
        driver.get(page.as_uri())
        assert [entry["message"] for entry in driver.get_log("browser")] == []
        assert requests_of(driver) == []
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width
        marks = "return [...document.querySelectorAll('figure')].map(f => "
        marks += "f.querySelectorAll('svg path').length)"
        counts = driver.execute_script(marks)
        assert len(counts) >= 4
        assert all(count > 5 for count in counts)
        shown = driver.execute_script("return document.querySelectorAll('#symbols span').length")
        assert shown == len(TEXT[:1999]) + 1
        told = "return document.getElementById('told').textContent"
        colors = "return [...document.querySelectorAll('#symbols span')].slice(5, 40)"
        colors += ".map(s => s.style.background).join()"
        first = driver.execute_script(told)
        move = "const s = document.getElementById(arguments[0]); s.value = arguments[1]; "
        move += "s.dispatchEvent(new Event(arguments[2]))"
        driver.execute_script(move, "step", 17, "input")
        assert driver.execute_script(told) != first
        assert "Step 17" in driver.execute_script(told)
        surprise = driver.execute_script(colors)
        driver.execute_script(move, "color", "layer 2", "change")
        unit = driver.execute_script(colors)
        assert unit != surprise
        driver.execute_script(move, "unit", 7, "input")
        assert driver.execute_script(colors) != unit
        driver.execute_script("document.querySelector('#followers button').click()")
        assert driver.execute_script("return document.getElementById('unit-said').textContent")


# ---- what is odd in a run -----------------------------------------------------------------------


def test_scores_that_are_none(tmp_path):
    (tmp_path / "summary.json").write_text('{"scores": null}')
    assert _scores(tmp_path) == []


def test_a_name_that_is_no_text(report, tmp_path):
    """Bytes of a folder's name that are no UTF-8 come as lone surrogates."""
    page = dataclasses.replace(report, name="b\udcffk").save(tmp_path / "odd.html")
    assert "b?k: a look inside" in page.read_text("utf-8")
