"""Combinations of settings: read, named, and checked before anything begins."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from recurra.comparison.variants import parsed_vary, variants_of
from recurra.errors import SettingError
from recurra.models import ClassifierSettings
from recurra.tasks import base
from recurra.tasks.base import register_task
from recurra.tasks.classification.task import ClassificationTask
from recurra.training import load_recipe

RECIPE = load_recipe("classification")


def test_values_are_toml_or_bare_words() -> None:
    given = ["model.cell=elman, gru", "training.clip=0.5,1.0", 'model.pool="max"']
    found = parsed_vary([*given, "model.cell_settings={a=1,b=[2,3]},{}"])
    assert found == {
        "model.cell": ["elman", "gru"],
        "training.clip": [0.5, 1.0],
        "model.pool": ["max"],
        "model.cell_settings": [{"a": 1, "b": [2, 3]}, {}],
    }
    assert parsed_vary(['data.label="a,b",c']) == {"data.label": ["a,b", "c"]}


@pytest.mark.parametrize("wrong", ["model.cell", "=a", "model.cell=", "model.cell=a,,b"])
def test_what_is_no_variation_is_refused(wrong: str) -> None:
    with pytest.raises(SettingError, match="expected name=value,value"):
        parsed_vary([wrong])


def test_a_setting_is_varied_once() -> None:
    with pytest.raises(SettingError, match=r"model\.cell: is there twice"):
        parsed_vary(["model.cell=a", "model.cell=b"])


def test_every_combination_has_its_folder() -> None:
    vary = {"model.cell": ["elman", "gru"], "model.hidden_size": [8, 16]}
    found = variants_of(RECIPE, vary, (), "classification")
    assert [each.name for each in found] == [
        "cell-elman_hidden_size-8",
        "cell-elman_hidden_size-16",
        "cell-gru_hidden_size-8",
        "cell-gru_hidden_size-16",
    ]
    assert found[2].recipe.model.cell == "gru"
    assert found[2].recipe.model.hidden_size == 8
    assert found[2].recipe.training == RECIPE.training
    assert found[2].seeded(7).training.seed == 7


def test_one_recipe_alone_is_a_variant() -> None:
    (alone,) = variants_of(RECIPE, {}, (), "classification")
    assert (alone.name, alone.recipe) == ("", RECIPE)


def test_names_hold_nothing_that_a_file_system_does_not_take() -> None:
    vary = {"data.label": ["a/b", "a b", "../x", "y" * 300], "data.licence": [None]}
    names = [each.name for each in variants_of(RECIPE, vary, (), "classification")]
    assert len(set(names)) == 4
    for name in names:
        assert not set(name) & set("/ ")
        assert len(name) < 90
    again = variants_of(RECIPE, {"data.label": ["a b"], "data.licence": [None]}, (), "x")
    assert again[0].name == names[1]  # whatever else is compared


def test_settings_with_one_last_part_keep_their_section(monkeypatch: pytest.MonkeyPatch) -> None:
    vary = {"model.dropout": [0.1], "training.clip": [1.5]}
    assert variants_of(RECIPE, vary, (), "c")[0].name == "dropout-0.1_clip-1.5"
    from recurra.comparison.variants import short_names

    assert short_names(["model.window", "training.window", "model.cell"]) == {
        "model.window": "model.window",
        "training.window": "training.window",
        "model.cell": "cell",
    }


@pytest.mark.parametrize(
    ("vary", "said"),
    [
        ({"model.cel": ["gru"]}, r"no setting 'model\.cel'; did you mean 'model\.cell'"),
        ({"model.hidden_size": [8, "x"]}, r"model\.hidden_size: expected .*integer, got 'x'"),
        ({"model.cell": ["gru", "grux"]}, r"with model\.cell=grux: .*did you mean 'gru'"),
        ({"model.cell": ["gru", "gru"]}, r"model\.cell=gru is there twice; leave one out"),
        ({"training.clip": [1.0, 1]}, r"clip=1 is there twice, it is also training\.clip=1\.0"),
        ({"model.cell": []}, r"vary model\.cell: expected a list of values, got \[\]"),
        ({"model.cell": "gru"}, r"expected a list of values, got 'gru'"),
        ({"training.seed": [1, 2]}, r"training\.seed: how many there are is said with seeds"),
        ({"training.device": ["cpu", "nowhere"]}, "device"),
    ],
)
def test_what_cannot_be_is_said_before_anything_begins(vary: Any, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        variants_of(RECIPE, vary, (), "classification")


class _Bodied(ClassifierSettings):
    body: str = "recurrent"


@pytest.fixture
def bodied() -> Any:
    """A recipe of a task whose section has a body."""

    @register_task("bodied")
    class Bodied(ClassificationTask):
        Model: ClassVar[Any] = _Bodied

        def trial(self, recipe: Any) -> None:
            if recipe.model.body == "broken":
                raise SettingError("body: broken cannot be built")

    yield load_recipe("bodied")
    del base._known["bodied"]


def test_rivals_are_variants_with_another_body(bodied: Any) -> None:
    vary = {"model.cell": ["elman", "gru"]}
    found = variants_of(bodied, vary, ["convolution"], "bodied")
    assert [each.settings for each in found] == [
        {"model.body": "recurrent", "model.cell": "elman"},
        {"model.body": "recurrent", "model.cell": "gru"},
        {"model.body": "convolution"},
    ]
    assert found[2].name == "body-convolution"
    assert found[2].recipe.model == bodied.model.model_copy(update={"body": "convolution"})


@pytest.mark.parametrize(
    ("vary", "rivals", "said"),
    [
        ({}, ["recurrent"], r"model\.body=recurrent is there twice"),
        ({"model.body": ["window"]}, ["convolution"], r"rival: model\.body is varied already"),
        ({}, ["broken"], r"with model\.body=broken: body: broken cannot be built"),
    ],
)
def test_rivals_that_cannot_be(bodied: Any, vary: Any, rivals: list[str], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        variants_of(bodied, vary, rivals, "bodied")


def test_a_task_without_bodies_has_no_such_rivals() -> None:
    recipe = load_recipe("ngram")
    with pytest.raises(SettingError, match=r"no setting 'model\.body'"):
        variants_of(recipe, {}, ["convolution"], "ngram")
