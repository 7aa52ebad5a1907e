"""From pairs of texts to answers, by both doors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tasks.transduction.conftest import SETTINGS, pairs
from typer.testing import CliRunner

import recurra
from recurra.cells.weight_drop import WeightDrop
from recurra.cli import app
from recurra.comparison.pairs import compare_pair
from recurra.diagnosis import attention
from recurra.errors import DataError, SettingError, ShapeError
from recurra.models import EncoderDecoder, EncoderDecoderSettings
from recurra.sections import Section
from recurra.tasks.transduction import TransductionData, TransductionTask
from recurra.training import evaluate, load_recipe


def prepared(source: Any, **data: Any) -> Any:
    settings = TransductionData(vocabulary="characters", **data)
    task = TransductionTask()
    told: list[str] = []
    found = task.prepare(task.open(source, settings), settings, Path(), told.append)
    return found, told


def test_it_learns_to_spell_backward(run: Path) -> None:
    model = recurra.load(run)
    words = ["abcd", "ea", "c", "deb"]
    said = list(model.predict(words))
    assert [each.text for each in said] == [word[::-1] for word in words]
    assert all(each.finished for each in said)
    assert model.show(said[0]) == "dcba"
    rows = json.loads((run / "summary.json").read_text())["evaluations"]
    assert [row["name"] for row in rows] == [
        "lstm with attention",
        "the most frequent",
        "copy",
        "nearest",
    ]
    assert rows[0]["exact"] > 0.8
    assert rows[0]["exact"] > max(row["exact"] for row in rows[1:])
    assert rows[1]["loss"] is None


def test_scores_are_those_of_the_search(run: Path) -> None:
    model = recurra.load(run)
    (said,) = model.predict(["abca"], width=4, keep=3)
    ranked = said.ranked()
    assert len(ranked) == 3
    assert [each.score for each in ranked] == sorted((e.score for e in ranked), reverse=True)
    nats = list(model.score(["abca"] * 3, [each.text for each in ranked]))
    assert nats == pytest.approx([each.log_prob for each in ranked], rel=1e-4)
    told = model.to_json(said)
    assert json.loads(json.dumps(told)) == told
    assert [told["text"], *(each["text"] for each in told["others"])] == [e.text for e in ranked]
    shown = model.show(said, top=3).split("\t")
    assert shown[::3] == [each.text for each in ranked]
    scores = [float(each) for each in shown[1::3]]  # what is printed first orders them
    assert scores == sorted(scores, reverse=True)
    assert shown[2::3] == [f"{each.log_prob:.4f}" for each in ranked]
    (greedy,) = model.predict(["abca"], width=1)
    assert greedy.text == "acba"


def test_candidates_are_ranked(run: Path) -> None:
    ranked = recurra.load(run).choose("abc", ["abc", "cba", "b"])
    assert ranked[0][0] == "cba"
    assert sum(share for _, share in ranked) == pytest.approx(1)


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda model: model.predict(["a"], keep="3"), r"predict: keep: .*, got '3'"),
        (lambda model: model.predict(["a"], keep=0), r"predict: keep: .*, got 0"),
        (lambda model: model.predict(["a"], width=None), r"predict: width: .*, got None"),
        (lambda model: model.predict(["a"], width=-2), r"predict: width: .*, got -2"),
        (lambda model: model.predict(["a"], limit=-1), r"predict: limit: .*, got -1"),
        (lambda model: list(model.score(["a", "b"], ["a"])), "got 1 targets and more inputs"),
        (lambda model: list(model.score(["a"], ["a", "b"])), "got 1 inputs and more targets"),
        (lambda model: list(model.score(["a"], [5])), "target: expected a text, got 5"),
        (lambda model: model.choose("a", 5), "choose: expected a list"),
        (lambda model: model.alignment("a", None), "target: expected a text, got None"),
        (lambda model: model.looked("a", "b"), "looked: said: expected an answer of predict"),
        (lambda model: model.symbols(5), "target: expected a text, got 5"),
        (lambda model: model.places(5), "input: expected a text, got 5"),
    ],
)
def test_what_no_door_takes(ask: Any, said: str, run: Path) -> None:
    with pytest.raises((SettingError, DataError), match=said):
        ask(recurra.load(run))
    with pytest.raises(StopIteration):  # at the same end
        next(recurra.load(run).score([], []))
    ranked = recurra.load(run).choose("abc", iter(["abc", "cba"]))  # whatever gives them
    assert [text for text, _ in ranked] == ["cba", "abc"]


def test_several_inputs_are_given_by_name(tmp_path: Path) -> None:
    texts = [text for text, _ in pairs(40)]
    source = ({"a": texts, "b": texts[::-1]}, texts)
    how = {"vocabulary": "characters", "hidden_size": 4, "symbols": 100}
    run = recurra.train("transduction", source, out=tmp_path, report=lambda _: None, **how).path
    model = recurra.load(run)
    assert len(list(model.predict([{"a": "x", "b": "y"}]))) == 1
    for value, got in (("a", "str"), ({"a": "x"}, "'a'")):
        with pytest.raises(DataError, match=rf"all inputs of an example by name.*got {got}\."):
            list(model.predict([value]))


def test_where_it_looks(run: Path) -> None:
    model = recurra.load(run)
    weights = model.alignment("abcd", "dcba")
    assert weights.shape == (5, 4)
    assert weights.sum(1) == pytest.approx(np.ones(5), abs=1e-5)
    assert weights[:4].argmax(1).tolist() in ([3, 2, 1, 0], [2, 1, 0, 0], [3, 2, 1, 1])
    assert model.symbols("dcba") == ["d", "c", "b", "a", "</s>"]


def test_what_nobody_looked_at_costs(run: Path) -> None:
    """Ranks of what the search has found, by hand of each answer's own alignment."""
    model = recurra.load(run)
    words = ["abca", "deb"]
    plain = list(model.predict(words, width=4))
    for word, found, said in zip(
        words, plain, model.predict(words, width=4, coverage_penalty=3.0), strict=True
    ):
        wanted = {
            each.text: each.score
            + 3 * np.log(model.alignment(word, each.text).sum(0).clip(1e-10, 1)).sum()
            for each in found.ranked()
        }
        assert {each.text: each.score for each in said.ranked()} == pytest.approx(wanted, abs=1e-3)
        scores = [each.score for each in said.ranked()]
        assert scores == sorted(scores, reverse=True)
        (best,) = model.predict([word], width=4, keep=1, coverage_penalty=3.0)
        assert (best.text, best.others) == (said.text, ())
    with pytest.raises(SettingError, match="expected a coverage_penalty of 0 or more, got -1"):
        model.predict(words, coverage_penalty=-1)


def test_where_it_looks_is_drawn(run: Path, tmp_path: Path) -> None:
    looked = recurra.load(run).looked("abc")
    assert (looked.title, looked.read) == ("abc → cba", ["a", "b", "c"])
    chart = attention([looked, looked._replace(read=["\n", "'", "\\"])])
    expression = chart.description["vconcat"][1]["encoding"]["x"]["axis"]["labelExpr"]
    assert expression == r"['⏎', '\'', '\\'][datum.value]"
    out = tmp_path / "looked.svg"
    said = CliRunner().invoke(app, ["chart", str(run), "--attention", "abc", "--out", str(out)])
    assert said.exit_code == 0, said.output
    assert "abc → cba" in out.read_text()
    page = tmp_path / "looked.html"
    said = CliRunner().invoke(
        app, ["predict", str(run), "--text", "ab", "--text", "c", "--attention", str(page)]
    )
    assert said.stdout.splitlines() == ["ba", "c"]
    assert "ab → ba" in page.read_text()
    with pytest.raises(ShapeError, match="expected weights \\[4, 2\\]"):
        attention([looked._replace(read=["a", "b"])])
    with pytest.raises(ShapeError, match="at least one input"):
        attention([])


def test_mates_and_order_change_no_answer(run: Path) -> None:
    model = recurra.load(run)
    words = [source for source, _ in pairs(40, seed=7)]
    together = [each.text for each in model.predict(words)]
    alone = [next(iter(model.predict([word]))).text for word in words]
    assert together == alone


def test_the_command_line(run: Path, tmp_path: Path) -> None:
    lines = CliRunner().invoke(app, ["predict", str(run), "--text", "abc", "--text", "de"])
    assert lines.stdout.splitlines() == ["cba", "ed"]
    many = CliRunner().invoke(app, ["predict", str(run), "--text", "abc", "--n-best", "7"])
    assert many.stdout.count("\t") == 20
    assert many.stderr.count("Behind each answer: score, by which they are ranked (mean") == 1
    both = ["--attention", str(tmp_path / "a.html"), "--out", str(tmp_path / "a.txt")]
    refused = CliRunner().invoke(app, ["predict", str(run), "--text", "abc", *both])
    assert "--attention stands beside answers that are printed alone" in refused.output
    assert not list(tmp_path.iterdir())
    top = CliRunner().invoke(app, ["predict", str(run), "--text", "abc", "--top", "2", "--json"])
    assert json.loads(top.stdout)["text"] == "cba"


def test_without_attention(tmp_path: Path) -> None:
    quick = SETTINGS | {"epochs": 1, "attention": "none"}
    done = recurra.train(
        "transduction", pairs(60), out=tmp_path / "run", report=lambda _: None, **quick
    )
    model = recurra.load(done.path)
    assert next(iter(model.predict(["abc"]))).text is not None
    with pytest.raises(SettingError, match="this model looks at nothing"):
        model.alignment("abc", "cba")
    with pytest.raises(SettingError, match="coverage_penalty: this model looks at nothing"):
        model.predict(["abc"], coverage_penalty=1.0)
    out = tmp_path / "looked.svg"
    found = CliRunner().invoke(
        app, ["predict", str(done.path), "--text", "abc", "--attention", str(out)]
    )
    assert found.exit_code == 2
    assert found.stdout == ""
    assert "looks at nothing; leave --attention out" in found.stderr
    strange = ["predict", str(done.path), "--text", "abc", "--attention", str(tmp_path / "a.docx")]
    found = CliRunner().invoke(app, strange)
    assert (found.exit_code, found.stdout) == (2, "")
    assert "ends in .svg, .png or .html, got 'a.docx'" in found.stderr


def test_it_learns_from_a_teacher(run: Path, tmp_path: Path) -> None:
    quick = SETTINGS | {"epochs": 2, "hidden_size": 8, "teacher": str(run)}
    done = recurra.train(
        "transduction", pairs(60), out=tmp_path / "run", report=lambda _: None, **quick
    )
    assert done.evaluations[0].loss > 0
    assert recurra.load(done.path).model.config.hidden_size == 8
    assert len(recurra.load(done.path).fronts["target"]) == len(recurra.load(run).fronts["target"])


def test_two_runs_are_compared_in_pairs(run: Path, tmp_path: Path) -> None:
    """Numbers of all are those of the table, and the better run is told from the worse."""
    quick = SETTINGS | {"epochs": 1, "hidden_size": 4}
    worse = recurra.train(
        "transduction", pairs(300), out=tmp_path / "worse", report=lambda _: None, **quick
    )
    found = {row.name: row for row in compare_pair(run, worse.path, pairs(300)).rows}
    assert list(found) == ["nats", "BLEU", "ROUGE-L", "exact"]
    (scored, *_), (other, *_) = evaluate(run, pairs(300)), worse.evaluations
    held = json.loads((run / "summary.json").read_text())["evaluations"][0]
    for name, key in (("nats", "loss"), ("BLEU", "bleu"), ("ROUGE-L", "rouge"), ("exact", "exact")):
        assert found[name].one == pytest.approx(held[key], rel=1e-5)
        assert found[name].other == pytest.approx(other.to_json()[key], rel=1e-5)
    assert scored.gleu is None
    assert found["nats"].less
    assert not found["BLEU"].less
    assert found["exact"].better == 0.0


def test_corrections_have_a_gleu(tmp_path: Path) -> None:
    """Where most words are said again: what is as it was scores less than what is right."""
    texts = [
        (f"{one} b c d e h i j k l m f", f"{one} b c d e h i j k l m g") for one, _ in pairs(80)
    ]
    quick = SETTINGS | {"vocabulary": "words", "epochs": 1}
    done = recurra.train(
        "transduction", texts, out=tmp_path / "run", report=lambda _: None, **quick
    )
    rows = {row.name: row for row in done.evaluations}
    assert 0 < rows["copy"].gleu < 1
    table = TransductionTask().table(done.evaluations, "held out")
    assert table.header[:2] == ("model", "GLEU")
    assert float(table.rows[1][1]) == pytest.approx(100 * done.evaluations[1].gleu, abs=0.01)
    pair = compare_pair(done.path, done.path, texts)
    (row,) = (row for row in pair.rows if row.name == "GLEU")
    assert row.one == pytest.approx(100 * done.evaluations[0].gleu)
    assert (row.low, row.high, row.better) == (0, 0, 0.5)


def test_one_vocabulary_for_both(tmp_path: Path) -> None:
    found, _ = prepared(pairs(40), joint=True)
    assert found.fronts["input"] is found.fronts["target"]
    found, _ = prepared([(one, other + "xyz") for one, other in pairs(40)])
    assert len(found.fronts["target"]) == len(found.fronts["input"]) + 3


def test_what_is_too_long() -> None:
    some = [(f"{n} {k}", "a" * n) for n in range(1, 41) for k in range(5)]
    found, told = prepared(some, maximum_target=27)
    assert max(map(len, found.parts["training"].targets)) == 28
    assert any("longer than 27 symbols, and not trained on" in each for each in told)
    long = [("abcdef" * n, "a") for n in range(1, 41)]
    found, _ = prepared(long, maximum_length=10)
    assert {len(row) for row in found.parts["training"].inputs} == {6, 10}
    with pytest.raises(DataError, match="expected answers of at most 1 symbols"):
        prepared([(f"ab{n}", "aaa") for n in range(40)], maximum_target=1)


def test_what_is_the_same_stands_in_one_part() -> None:
    found, _ = prepared([(f"ab{n % 30}", f"{n}") for n in range(300)])
    held = {name: {pair.example for pair in part.raw} for name, part in found.parts.items()}
    assert sum(map(len, held.values())) == 30
    with pytest.raises(DataError, match=r"none of 50 \(1 distinct\) is left for validation"):
        prepared([("ab", "ba")] * 50)


def test_a_group_is_held_out(tmp_path: Path) -> None:
    table = tmp_path / "said.csv"
    rows = [
        f"{word}{n},{word},{'anna' if n % 4 else 'bert'}" for n in range(40) for word in ("a", "b")
    ]
    table.write_text("text,target,who\n" + "\n".join(rows))
    how = {"vocabulary": "characters", "group": "who"}
    settings = TransductionData(**how, test_group="bert")
    task = TransductionTask()
    found = task.prepare(task.open(table, settings), settings, tmp_path, print)
    assert {int(p.example[1:]) % 4 for p in found.parts["test"].raw} == {0}
    assert {int(p.example[1:]) % 4 for p in found.parts["training"].raw} == {1, 2, 3}
    alone = TransductionData(vocabulary="characters", test_group="bert")
    with pytest.raises(
        DataError, match=r"line 2: expected a group, of which data\.test_group='bert'"
    ):
        task.prepare(task.open(table, alone), alone, tmp_path, print)


def test_texts_are_cut_wherever_they_are_read(tmp_path: Path) -> None:
    """In training, in an evaluation and in an answer."""
    quick = SETTINGS | {"epochs": 1, "hidden_size": 4, "maximum_length": 2}
    done = recurra.train(
        "transduction", pairs(100), out=tmp_path / "run", report=lambda _: None, **quick
    )
    model = recurra.load(done.path)
    assert model.alignment("abcd", "a").shape == (2, 2)
    assert list(model.score(["abcd"], ["dc"])) == pytest.approx(list(model.score("ab", "dc")))
    task = TransductionTask()
    part = task.read(task.open(pairs(9), model._data), model.fronts, model._data, print)
    assert max(len(row) for row in part.inputs) == 2


def test_an_example_that_cannot_be_read_is_named_and_counted(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    pytest.importorskip("kaldi_native_fbank")
    draw = np.random.default_rng(0)
    rows = ["file,target"]
    for n in range(40):
        soundfile.write(tmp_path / f"{n}.wav", draw.normal(0, 0.1, 2000), 8000)
        rows.append(f"{n}.wav,{n}")
    rows.append("gone.wav,41")
    table = tmp_path / "said.csv"
    table.write_text("\n".join(rows))
    settings = TransductionData(column="file", vocabulary="characters", on_error="skip")
    task = TransductionTask()
    found = task.prepare(task.open(table, settings), settings, tmp_path, print)
    assert "left out because they cannot be read: 1" in found.sizes(0)
    soundfile.write(tmp_path / "7.wav", draw.normal(0, 0.1, 2000), 16000)
    with pytest.raises(DataError, match=r"said.csv.*line 9.*16,000"):
        task.prepare(task.open(table, settings), settings, tmp_path, print)


def test_candidates_there_must_be(run: Path) -> None:
    with pytest.raises(SettingError, match="choose: expected at least one candidate, got none"):
        recurra.load(run).choose("abc", [])


def test_a_question_beside_something_else_is_cut_too() -> None:
    some = [({"a": "abcdef", "b": "ab" * n}, "x") for n in range(1, 31)]
    inputs, targets = zip(*some, strict=True)
    columns = {name: [one[name] for one in inputs] for name in "ab"}
    found, _ = prepared((columns, list(targets)), maximum_length=4)
    assert {tuple(map(len, row)) for row in found.parts["training"].inputs} == {(4, 2), (4, 4)}


def test_what_cannot_be_said() -> None:
    with pytest.raises(DataError, match="expected a text that is to be said, got tuple"):
        prepared([("a", ["b", "c"])] * 20)
    model: Section = load_recipe("transduction", ["data.vocabulary=characters"]).model
    assert isinstance(
        TransductionTask().build(model, prepared(pairs(40))[0].fronts), EncoderDecoder
    )
    with pytest.raises(SettingError, match=r"model\.aware: .*knows nothing of it"):
        load_recipe("transduction", ["model.aware=coverage", "model.attention=dot"])


def aware(source: Any, out: Path, **settings: Any) -> Any:
    how = {"epochs": 1, "hidden_size": 4, "vocabulary": "characters", "report": lambda _: None}
    given = {"aware": "coverage", "minimum_steps": 0, **how, **settings}
    return recurra.train("transduction", source, out=out, **given)


@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_too_few_places_are_told_before_the_first_step(part: str, tmp_path: Path) -> None:
    """Of whichever part the longest text is."""
    parts = {name: pairs(20) for name in ("train", "valid", "test")}
    parts[part] = [*parts[part], ("a" * 11, "a")]
    steps: list[Any] = []
    with pytest.raises(SettingError, match=r"model\.places: expected at least 11, .*places=11"):
        aware(parts, tmp_path / "few", places=10, report=lambda told: steps.append(told.progress))
    assert not any(steps)
    assert not (tmp_path / "few").exists()
    done = aware(parts, tmp_path / "enough", places=11)
    longer = {**parts, "test": [("b" * 12, "b")]}
    with pytest.raises(SettingError, match=r"places: expected at least 12"):
        recurra.train("transduction", longer, out=tmp_path / "new", from_run=done.path)


def test_places_may_be_sentences(tmp_path: Path) -> None:
    """The most of them are not in the longest text."""
    texts = [("a b c . a b .", "a"), ("b . a . c", "b"), ("c . a .", "c")]
    parts = dict.fromkeys(("train", "valid", "test"), texts)
    how = {"vocabulary": "words", "sentences": True}
    with pytest.raises(SettingError, match=r"expected at least 3, as train, example 1 "):
        aware(parts, tmp_path / "few", places=2, **how)
    aware(parts, tmp_path / "enough", places=3, **how)


def test_a_decoder_of_layers_uses_what_one_layer_of_an_encoder_leaves() -> None:
    settings = EncoderDecoderSettings(layers=1, residual=True, dropout_between=0.2)
    assert {"residual", "dropout_between"} <= {name for name, _ in settings.idle()}
    deeper = settings.model_copy(update={"decoder_layers": 2})
    assert not {"residual", "dropout_between"} & {name for name, _ in deeper.idle()}


def test_the_decoder_has_dropout_of_every_kind() -> None:
    settings = {"hidden_size": 8, "dropout": 0.5, "held": True, "dropout_recurrent": 0.25}
    fronts = prepared(pairs(40))[0].fronts
    settings |= {"decoder_layers": 2, "copying": False}
    model = TransductionTask().build(EncoderDecoderSettings(**settings), fronts)
    decoder = model.decoder
    assert all(p.held for p in (decoder.embedding, decoder.layers, decoder.projection))
    dropped = [part for part in decoder.modules() if isinstance(part, WeightDrop)]
    assert [part.rate for part in dropped] == [0.25, 0.25]
    inner = decoder.attention.cell
    (name,) = inner.recurrent_parameters
    torch.manual_seed(0)
    assert 0.15 < float((getattr(inner, name) == 0).float().mean()) < 0.35
    assert (getattr(inner.eval(), name) != 0).all()


def test_a_decoder_drops_where_what_reads_is_not_recurrent() -> None:
    settings = EncoderDecoderSettings(body="feed-forward", dropout_recurrent=0.2)
    assert not settings.idle()
    deeper = {"layers": 1, "decoder_layers": 2, "dropout_between": 0.2}
    assert not EncoderDecoderSettings(held=True, **deeper).idle()
    assert "held" in dict(EncoderDecoderSettings(held=True).idle())


def test_settings_without_effect_are_said() -> None:
    recipe = load_recipe("transduction", ["model.attention=none", "model.feeding=false"])
    assert ("model.feeding", "nothing is looked at") in recipe.of_task.idle(recipe)


def test_symbols_that_are_unknown_are_never_said(run: Path) -> None:
    model = recurra.load(run)
    (said,) = model.predict(["zzz"])  # no letter of it was trained on
    assert "<unk>" not in said.text
    with pytest.raises(DataError, match="expected a text, got 5"):
        list(model.predict([5]))


def test_what_is_read_later_is_cut_as_what_was_trained_on(tmp_path: Path) -> None:
    some = [(one + "ede" * 9, other) for one, other in pairs(40)]
    settings = SETTINGS | {"epochs": 1, "maximum_length": 3}
    parts = {"train": some, "validation": some[:5], "test": some[5:15]}
    done = recurra.train(
        "transduction", parts, out=tmp_path / "run", report=lambda _: None, **settings
    )
    again = recurra.training.evaluate(done.path, some[5:15])[0]
    assert again.loss == pytest.approx(done.evaluations[0].loss)
    model = recurra.load(done.path)
    (long,), (short,) = (
        [each.score for each in model.predict([text], keep=1)] for text in ("abcde", "abc")
    )
    assert long == pytest.approx(short)
    assert model.looked("abcde").read == ["a", "b", "c"]


def test_where_it_looked_is_of_the_symbols_that_it_said(tmp_path: Path) -> None:
    some = [(one, other) for one, other in pairs(60)]
    settings = SETTINGS | {"epochs": 1, "vocabulary": "byte-pairs", "vocabulary_size": 290}
    done = recurra.train(
        "transduction", some, out=tmp_path / "run", report=lambda _: None, **settings
    )
    model = recurra.load(done.path)
    front = model.fronts["target"]
    pair = front.encode("aaaa").tolist()
    single = front.encode("a").tolist() * 4
    assert len(single) > len(pair)  # a text that may be said in other symbols than are encoded
    said = next(iter(model.predict(["abc"]))).__class__(
        "aaaa", -1.0, -1.0, finished=False, symbols=tuple(single)
    )
    looked = model.looked("abc", said)
    assert looked.weights.shape[0] == len(looked.said) == len(single)


def test_an_attention_of_other_widths_says_what_to_type(tmp_path: Path) -> None:
    how = {"attention": "dot", "hidden_size": 4, "epochs": 1, "vocabulary": "characters"}
    with pytest.raises(SettingError, match="'dot' expected an encoder and a decoder") as refused:
        recurra.train("transduction", pairs(20), out=tmp_path / "run", **how)
    ways = re.findall(r"--set model\.(\w+)=(\w+)", str(refused.value))
    assert [name for name, _ in ways] == ["decoder_size", "bidirectional", "attention"]
    for name, value in ways:  # each of them can be built
        chosen = ["model.hidden_size=4", "model.attention=dot", f"model.{name}={value}"]
        model = TransductionTask().trial(load_recipe("transduction", chosen))
        assert model.decoder.attention is not None
