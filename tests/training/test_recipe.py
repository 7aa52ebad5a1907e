"""Recipes: files, single changes, strict types, and help with what is misspelled."""

from __future__ import annotations

import json
import math
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, get_args

import pydantic
import pytest

from recurra.cells import cell_names
from recurra.errors import SettingError, nearest
from recurra.models import LanguageModelSettings
from recurra.synonyms import SYNONYMS
from recurra.tasks import task_names
from recurra.tasks.language_model import DataSettings
from recurra.training import (
    Recipe,
    TrainingSettings,
    load_recipe,
    recipe_names,
    setting_names,
    short_changes,
)
from recurra.training.recipe import without_effect

LANGUAGE_MODEL = type(load_recipe("language-model"))


def leaves(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every setting of a nested table under its dotted name."""
    found: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, dict) and not key.endswith("_settings"):
            found |= leaves(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def packaged(name: str) -> str:
    return (resources.files("recurra") / "recipes" / f"{name}.toml").read_text("utf-8")


def test_the_package_brings_the_recipe_of_its_task() -> None:
    assert "language-model" in recipe_names()
    assert recipe_names() == sorted(recipe_names())


@pytest.mark.parametrize("name", recipe_names())
def test_every_setting_of_a_packaged_recipe_is_known_and_used(name: str) -> None:
    written = leaves(tomllib.loads(packaged(name)))
    known = leaves(Recipe(task=written["task"]).model_dump())
    assert set(written) <= set(known)
    loaded = leaves(load_recipe(name).model_dump())
    assert {key: loaded[key] for key in written} == written
    # What a recipe leaves out has the default of its class.
    assert {k: v for k, v in loaded.items() if k not in written} == {
        k: v for k, v in known.items() if k not in written
    }


@pytest.mark.parametrize("task", ["language-model", "forecasting"])
def test_the_recipe_of_the_task_names_all_settings_but_the_optional_ones(task: str) -> None:
    known, written = (
        leaves(Recipe(task=task).model_dump()),
        leaves(tomllib.loads(packaged(task))),
    )
    optional = set(known) - set(written) - {"model.bidirectional"}  # which only others can have
    # A header is of tables alone: to say it of other files is refused.
    assert {name for name in optional if known[name] not in (None, {})} <= {"data.header"}
    text = packaged(task)
    for name in optional:  # a comment shows how they are given
        assert re.search(rf"^# {name.partition('.')[2]} = \S", text, re.MULTILINE), name


def test_single_changes_win_over_the_file_and_the_last_one_over_the_others() -> None:
    recipe = load_recipe("language-model", ["model.layers=3", "model.layers=4"])
    assert recipe.model.layers == 4
    assert (
        recipe.model.hidden_size
        == tomllib.loads(packaged("language-model"))["model"]["hidden_size"]
    )


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[model]\ncell = "gru"\n[model.cell_settings]\nbias = false\n')
    recipe = load_recipe(str(path), ["training.seed=7"])
    assert recipe.model.cell == "gru"
    assert recipe.model.cell_settings == {"bias": False}
    assert recipe.training == TrainingSettings(seed=7)


@pytest.mark.parametrize(
    ("change", "read", "value"),
    [
        ("model.cell=gru", lambda r: r.model.cell, "gru"),  # text may stand without quotes
        ('model.cell="gru"', lambda r: r.model.cell, "gru"),
        (" model.layers = 5 ", lambda r: r.model.layers, 5),
        ("training.symbols=1_000", lambda r: r.training.symbols, 1000),
        ("training.epochs=3", lambda r: r.training.epochs, 3),  # a whole number is a number
        ("model.dropout=0.25", lambda r: r.model.dropout, 0.25),
        ("model.tied=true", lambda r: r.model.tied, True),
        ("data.pattern=*.a=b", lambda r: r.data.pattern, "*.a=b"),  # the first '=' divides
        ("model.cell_settings.rate=0.5", lambda r: r.model.cell_settings, {"rate": 0.5}),
        ("model.cell_settings={bias=false}", lambda r: r.model.cell_settings, {"bias": False}),
        ("training.clip=inf", lambda r: r.training.clip, float("inf")),  # no clipping
    ],
)
def test_values_are_toml_and_text_needs_no_quotes(change: str, read: Any, value: Any) -> None:
    assert read(load_recipe("language-model", [change])) == value


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("model.hidden_size=16.0", "integer"),
        ("model.hidden_size='16'", "integer"),
        ("model.hidden_size=true", "integer"),
        ("model.hidden_size=", "integer"),
        ("model.hidden_size=0", "greater than or equal to 1"),
        ("model.layers=-1", "greater than or equal to 1"),
        ("model.tied=1", "boolean"),
        ("model.tied=yes", "boolean"),
        ("model.dropout=1.0", "less than 1"),
        ("model.dropout=high", "number"),
        ("model.cell=3", "string"),
        ("model.cell_settings=3", "dictionary"),
        ("model=3", "dictionary"),
        ("training.symbols=0", "greater than or equal to 1"),
        ("training.symbols=1e3", "integer"),
        ("training.epochs=0", "greater than 0"),
        ("training.epochs=nan", "finite"),
        ("training.epochs=inf", "finite"),
        ("training.learning_rate=-1", "greater than 0"),
        ("training.learning_rate=inf", "finite"),
        ("training.weight_decay=inf", "finite"),
        ("training.warmup=1.5", "less than or equal to 1"),
        ("training.seed=-1", "greater than or equal to 0"),
        ("training.seed=99999999999999999999999", "less than"),
        ("data.split=middle", "'tail', 'tails', 'blocks' or 'hash'"),
        ("data.vocabulary=letters", "expected 'characters', 'bytes', 'words' or 'byte-pairs'"),
        ("data.distinct=no", "boolean"),
        ("task=3", "language-model"),
    ],
)
def test_a_value_of_a_wrong_type_or_out_of_range(change: str, expected: str) -> None:
    name = change.partition("=")[0]
    with pytest.raises(SettingError) as problem:
        load_recipe("language-model", [change])
    said = str(problem.value)
    assert f" {name}: expected " in said
    assert expected in said
    assert ", got " in said


@pytest.mark.parametrize(
    ("change", "near"),
    [
        ("model.hiden_size=3", "model.hidden_size"),
        ("model.hiddensize=3", "model.hidden_size"),
        ("training.learningrate=0.1", "training.learning_rate"),
        ("dropout=0.5", "model.dropout"),
        ("batch_size=3", "training.batch_size"),
        ("data.patern=*.md", "data.pattern"),
        ("training.lr=0.1", "training.learning_rate"),
        ("lr=0.1", "training.learning_rate"),
        ("training.Max-Norm=1", "training.clip"),
        ("training.patience=3", "training.early_stop"),
        ("training.bptt=35", "training.window"),
        ("training.seq_len=35", "training.window"),
        ("training.wd=0", "training.weight_decay"),
        ("training.betas=[0.9, 0.99]", "training.optimizer_settings"),
        ("training.bf16=true", "training.precision"),
        ("model.units=3", "model.hidden_size"),
        ("model.embedding_dim=3", "model.embedding_size"),
        ("model.num_layers=3", "model.layers"),
        ("model.rnn=gru", "model.cell"),
        ("model.weight_drop=0.5", "model.dropout_recurrent"),
        ("data.tokenizer=bpe", "data.vocabulary"),
        ("data.delimiter=;", "data.separator"),
    ],
)
def test_an_unknown_setting_and_the_nearest_one(change: str, near: str) -> None:
    name = change.partition("=")[0]
    with pytest.raises(SettingError, match=re.escape(f"no setting {name!r}")) as problem:
        load_recipe("language-model", [change])
    assert f"did you mean {near!r}?" in str(problem.value)


@pytest.mark.parametrize(
    "change",
    [
        "model.size=3",
        "model.zoneout=0.1",
        "training.steps=3",
        "training.shuffle=true",
        "training.workers=2",
        "data.path=x",
    ],
)
def test_no_hint_where_none_is_right(change: str) -> None:
    section = change.partition(".")[0]
    with pytest.raises(SettingError, match="no setting") as problem:
        load_recipe("language-model", [change])
    said = str(problem.value)
    assert "did you mean" not in said
    known = said.partition("Known: ")[2].split(", ")
    assert len(known) > 10
    assert all(name.startswith(f"{section}.") for name in known)


@pytest.mark.parametrize(
    ("name", "known", "near"),
    [
        ("rnn", cell_names(), "elman"),
        ("LSTM", cell_names(), "lstm"),
        ("bpe", ["characters", "bytes", "words", "byte-pairs"], "byte-pairs"),
        ("chars", ["characters", "bytes", "words", "byte-pairs"], "characters"),
        ("bf16", ["float32", "bfloat16"], "bfloat16"),
        ("lr", ["alpha", "beta"], None),
        ("h", ["horizon", "hidden_size"], "horizon"),
        ("input_size", ["look_back", "hidden_size"], "look_back"),
        ("futr_exog_list", ["known", "past", "static"], "known"),
    ],
)
def test_what_others_call_it(name: str, known: Any, near: str | None) -> None:
    said = nearest(name, known)
    assert said.startswith(f"did you mean {near!r}? Known: " if near else "Known: ")


def test_every_synonym_leads_somewhere() -> None:
    names = {each for task in ("language-model", "forecasting") for each in setting_names(task)}
    names = {name.rpartition(".")[2] for name in names}
    known = names | set(cell_names())
    for field in ("vocabulary", "unit"):
        known.update(get_args(DataSettings.model_fields[field].annotation))
    for field in ("precision", "schedule"):
        known.update(get_args(TrainingSettings.model_fields[field].annotation))
    assert {name for names in SYNONYMS.values() for name in names} <= known
    assert not names & set(SYNONYMS)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ("model.tied=True", "write true"),
        ("model.held=off", "write false"),
        ("model.cell_settings={norm=layer}", 'text inside it is quoted: {norm="layer"}'),
        (
            "model.cell_settings={norm = layer, bias = false, to = [a, 'b']}",
            'text inside it is quoted: {norm = "layer", bias = false, to = ["a", \'b\']}',
        ),
        ("data.conditions=[file, folder]", 'text inside it is quoted: ["file", "folder"]'),
        ("training.symbols=1e6", "write 1000000"),
        ("training.learning_rate=.1", "write 0.1"),
        ("training.early_stop=None", "TOML has no such value; leave the setting out"),
    ],
)
def test_how_a_value_is_written(change: str, hint: str) -> None:
    with pytest.raises(SettingError) as problem:
        load_recipe("language-model", [change])
    assert str(problem.value).endswith(f"; {hint}")
    written = hint.removeprefix("write ").removeprefix("text inside it is quoted: ")
    if written.startswith("TOML"):
        return
    load_recipe("language-model", [f"{change.partition('=')[0]}={written}"])  # and it is right


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ([], []),
        (["model.layers=1"], []),
        (["model.layers=1", "model.residual=true"], ["model.residual"]),
        (["model.layers=2", "model.residual=true"], []),
        (["model.layers=2", "model.dropout_between=0.1"], []),
        (["model.layers=1", "model.dropout_between=0.1"], ["model.dropout_between"]),
        (["model.layers=1", "model.dropout_between=0.0"], []),
        (["model.held=true"], []),
        (["model.held=true", "model.dropout=0.0"], ["model.held"]),
        (["model.held=true", "model.dropout=0.0", "model.dropout_output=0.1"], []),
        (
            ["model.held=true", "model.dropout=0.0", "model.dropout_between=0.1", "model.layers=1"],
            ["model.dropout_between", "model.held"],
        ),
        ([f"model.dropout_{p}=0.2" for p in ("input", "between", "output")], ["model.dropout"]),
        (["data.batches=documents", "training.window=32"], ["training.window"]),
        (["training.window=32"], []),
    ],
)
def test_settings_without_effect(changes: list[str], told: list[str]) -> None:
    found = without_effect(load_recipe("language-model", changes))
    assert [said.partition(" has no effect: ")[0] for said in found] == told


# Of numbers: the least and the most, or what is just outside where that itself is refused.
BOUNDS: dict[str, tuple[float | None, float | None]] = {
    "data.vocabulary_size": (4, 10**8),
    "data.minimum_count": (1, None),
    "data.block": (1, None),
    "data.maximum_length": (1, None),
    "data.scored": (1, None),
    "data.ngram_symbols": (1, None),
    "training.symbols": (1, 10**15),
    "training.epochs": (5e-324, 1e6),
    "training.batch_size": (1, None),
    "training.window": (1, None),
    "training.accumulate": (1, None),
    "training.minimum_steps": (0, 10**9),
    "training.learning_rate": (5e-324, None),
    "training.warmup": (0.0, 1.0),
    "training.weight_decay": (0.0, None),
    "training.clip": (5e-324, None),
    "training.clip_value": (5e-324, None),
    "training.average": (0.0, math.nextafter(1, 0)),
    "training.evaluations": (1, None),
    "training.early_stop": (1, None),
    "training.seed": (0, 2**63 - 1),
}
BESIDE = {
    "minimum_count": {"vocabulary": "words"},
    "block": {"split": "blocks"},
    "maximum_length": {"batches": "documents"},
}


@pytest.mark.parametrize("place", BOUNDS)
def test_the_bounds_of_a_number(place: str) -> None:
    section, _, name = place.partition(".")
    kind = {"data": DataSettings, "training": TrainingSettings}[section]
    for bound, outside in zip(BOUNDS[place], (-math.inf, math.inf), strict=True):
        if bound is None:
            continue
        made = kind(**{**BESIDE.get(name, {}), name: bound})
        assert getattr(made, name) == bound
        whole = isinstance(bound, int)
        beyond = bound + (1 if outside > 0 else -1) if whole else math.nextafter(bound, outside)
        with pytest.raises(pydantic.ValidationError, match=name):
            kind(**{**BESIDE.get(name, {}), name: beyond})


def test_the_recipe_that_is_shipped_writes_the_defaults_out() -> None:
    recipe = load_recipe("language-model")
    assert recipe.data == DataSettings()
    assert recipe.training == TrainingSettings()
    assert recipe.model == LanguageModelSettings(dropout=0.1)


def test_every_number_has_bounds() -> None:
    numbers = {
        f"{section}.{name}"
        for section, kind in (("data", DataSettings), ("training", TrainingSettings))
        for name, field in kind.model_fields.items()
        if any(hasattr(rule, end) for rule in field.metadata for end in ("ge", "gt", "le", "lt"))
    }
    assert numbers == set(BOUNDS)


@pytest.mark.parametrize("unit", ["line", "paragraph"])
def test_breaks_that_a_unit_cannot_hold(unit: str) -> None:
    words = [f"data.unit={unit}", "data.vocabulary=words", "data.breaks=paragraphs"]
    with pytest.raises(SettingError, match=rf"data\.breaks: .*a {unit} has none of them inside"):
        load_recipe("language-model", words)


@pytest.mark.parametrize("change", ["training.foo.bar=3", "optimizer.name=sgd", "model..cell=gru"])
def test_an_unknown_section(change: str) -> None:
    with pytest.raises(SettingError, match="no setting"):
        load_recipe("language-model", [change])


def test_unknown_settings_of_a_file_are_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[training]\nwindows = 3\n")
    with pytest.raises(SettingError, match=r"mine\.toml: no setting 'training\.windows'"):
        load_recipe(str(path))


@pytest.mark.parametrize("change", ["model.layers", "", "=3", "  =3"])
def test_a_change_without_a_name_or_a_value(change: str) -> None:
    with pytest.raises(SettingError, match="expected name=value") as problem:
        load_recipe("language-model", [change])
    assert repr(change) in str(problem.value)


def test_a_setting_is_no_section() -> None:
    with pytest.raises(SettingError, match="cell is a setting, not a section"):
        load_recipe("language-model", ["model.cell.bias=false"])


def test_no_such_recipe() -> None:
    with pytest.raises(SettingError) as problem:
        load_recipe("language-modle")
    assert str(problem.value) == (
        "recipe: no file and no recipe 'language-modle'; did you mean 'language-model'? "
        f"Known: {', '.join(sorted({*recipe_names(), *task_names()}))}"
    )


def test_a_recipe_without_a_task_is_of_the_first(tmp_path: Path) -> None:
    """As all were before there were others."""
    path = tmp_path / "mine.toml"
    path.write_text("[model]\nhidden_size = 7\n")
    recipe = load_recipe(str(path))
    assert (recipe.task, recipe.model.hidden_size) == ("language-model", 7)
    assert Recipe(model={"hidden_size": 7}).model_dump() == recipe.model_dump()
    with pytest.raises(pydantic.ValidationError, match="hidden"):
        Recipe(model={"hidden": 7})


def test_a_byte_order_mark_is_no_part_of_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf[model]\ncell = 'gru'\n")
    assert load_recipe(str(path)).model.cell == "gru"


@pytest.mark.parametrize("content", [b"[model\n", b"model = {", b"\xff\xfe", b"[model]\n[model]\n"])
def test_a_file_that_is_no_toml(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(SettingError, match="not TOML"):
        load_recipe(str(path))


def test_a_recipe_does_not_change_after_its_check() -> None:
    recipe = load_recipe("language-model")
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        recipe.training.seed = 3  # type: ignore[misc]


# -------------------------------------------------------------- settings that contradict each other


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            ["data.minimum_count=3"],
            "data.minimum_count: expected it to be left out, got 3: the vocabulary is of "
            "characters, not of words",
        ),
        (
            ["data.lower=true", "data.vocabulary=byte-pairs"],
            "data.lower: expected it to be left out, got True: the vocabulary is of byte-pairs, "
            "not of words",
        ),
        (
            ["data.breaks=lines", "data.vocabulary=bytes"],
            "data.breaks: expected it to be left out, got 'lines': the vocabulary is of bytes, "
            "not of words",
        ),
        (
            ["data.vocabulary=bytes", "data.vocabulary_size=300"],
            "data.vocabulary_size: expected it to be left out, got 300: a vocabulary of bytes "
            "always has 259 ids",
        ),
        (
            ["data.maximum_length=50"],
            "data.maximum_length: expected it to be left out, got 50: windows read on, whatever "
            "the length; batches=documents",
        ),
        (
            ["data.conditions=['file', 'file']"],
            "data.conditions: expected each once, got ['file', 'file']: one of them stands twice",
        ),
        (
            ["data.conditions=['file', 'a=b']"],
            "data.conditions: expected names that are not empty and have no '=' in them, got "
            "['file', 'a=b']: --given name=label cannot say 'a=b'; rename that column",
        ),
        (
            ["data.conditions=['']"],
            "data.conditions: expected names that are not empty and have no '=' in them, got "
            "['']: --given name=label cannot say ''; rename that column",
        ),
        (
            ["training.early_stop=3", "data.validation=false"],
            "training.early_stop: expected it to be left out, got 3: without a validation part "
            "(data.validation=false) there is nothing to stop by",
        ),
        (
            ["model.bidirectional=true"],
            "model.bidirectional: expected it to be left out, got True: what reads from the end "
            "has seen the symbol it predicts",
        ),
    ],
    ids=str,
)
def test_settings_that_contradict_each_other(changes: list[str], said: str) -> None:
    with pytest.raises(SettingError) as problem:
        load_recipe("language-model", changes)
    assert str(problem.value) == f"recipe language-model: {said}"


@pytest.mark.parametrize(
    "settings",
    [
        {"minimum_count": 3, "vocabulary": "words", "lower": True},
        {"maximum_length": 50, "unit": "line"},
        {"maximum_length": 50, "batches": "documents"},
        {"vocabulary_size": 300, "vocabulary": "byte-pairs"},
        {"minimum_count": 1, "breaks": "none"},  # what they are anyway
        {"conditions": ["file", "folder"]},
    ],
    ids=str,
)
def test_settings_that_go_together(settings: dict[str, Any]) -> None:
    changes = [f"data.{name}={json.dumps(value)}" for name, value in settings.items()]
    data = load_recipe("language-model", changes).data.model_dump(mode="json")
    assert {name: data[name] for name in settings} == settings


def test_a_long_value_is_shown_in_part() -> None:
    with pytest.raises(SettingError, match=r"got 'xxx.*\.\.\.$") as problem:
        load_recipe("language-model", [f"data.split={'x' * 10_000}"])
    assert len(str(problem.value)) < 250
    with pytest.raises(SettingError, match=r"model: expected a valid dictionary, got 3$"):
        load_recipe("language-model", ["model=3"])


def test_short_options_are_changes() -> None:
    options = {"epochs": 2.5, "lr": 1e-05, "hidden": None, "batch": 8, "device": "cuda:1"}
    changes = short_changes(options, ["model.cell=gru"])
    recipe = load_recipe("language-model", changes)
    assert recipe.model.cell == "gru"
    training = recipe.training
    assert (training.epochs, training.learning_rate, training.batch_size) == (2.5, 1e-05, 8)
    assert training.device == "cuda:1"
    assert recipe.model.hidden_size == load_recipe("language-model").model.hidden_size


def test_a_short_option_that_a_task_lacks_is_told_as_any_other() -> None:
    with pytest.raises(SettingError, match=r"no setting 'model\.depth_'; Known: model\.at"):
        load_recipe("language-model", short_changes({"depth_": 3}))
    with pytest.raises(SettingError, match=r"--hidden and --set model[.]hidden_size are"):
        short_changes({"hidden": 3}, [" model.hidden_size =4"])
