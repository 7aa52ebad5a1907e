"""The estimator: parameters, runs on disk, and what it tells where something cannot be."""

from __future__ import annotations

import copy
import gc
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tasks.forecasting.conftest import columns, small

import recurra
from recurra.errors import ArtifactError, DataError, RunError, SettingError

pandas = pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def table() -> Any:
    return pandas.DataFrame(columns(40, begin=0))


@pytest.fixture(scope="module")
def fitted(table: Any) -> recurra.Forecaster:
    return small(look_back=7).fit(table)


def test_parameters() -> None:
    model = recurra.Forecaster(12, cell="lstm", known=["price"], settings={"around": "last"})
    assert repr(model) == (
        "Forecaster(horizon=12, cell='lstm', known=['price'], settings={'around': 'last'})"
    )
    told = model.get_params()
    assert list(told)[:3] == ["horizon", "look_back", "cell"]
    assert repr(recurra.Forecaster(**told)) == repr(model)
    assert model.set_params(horizon=3, cell="gru") is model
    assert (model.horizon, model.cell) == (3, "gru")
    with pytest.raises(SettingError, match="no parameter 'horizn'; did you mean 'horizon'"):
        model.set_params(horizn=3)
    assert repr(recurra.Forecaster()) == "Forecaster()"


def test_scikit_learn_clones_it(fitted: recurra.Forecaster) -> None:
    base = pytest.importorskip("sklearn.base")
    again = base.clone(fitted)
    assert again.get_params() == fitted.get_params()
    assert not hasattr(again, "model_")


def test_an_unfitted_one_is_pickled_and_a_fitted_one_refused(fitted: recurra.Forecaster) -> None:
    plain = small(look_back=7)
    for again in (pickle.loads(pickle.dumps(plain)), copy.deepcopy(plain)):
        assert again.get_params() == plain.get_params()
    for refused in (pickle.dumps, copy.deepcopy):
        with pytest.raises(SettingError, match=r"save\(folder\) and Forecaster\.load\(folder\)"):
            refused(fitted)


def test_the_same_seed_gives_the_same_numbers(table: Any, fitted: recurra.Forecaster) -> None:
    again = small(look_back=7).fit(table)
    assert again.predict().equals(fitted.predict())
    assert not small(look_back=7, random_state=1).fit(table).predict().equals(fitted.predict())
    assert again.fit(table).predict().equals(fitted.predict())


def test_saved_and_loaded(table: Any, fitted: recurra.Forecaster, tmp_path: Path) -> None:
    kept = fitted.save(tmp_path / "kept")
    model = recurra.Forecaster.load(kept)
    assert (model.horizon, model.look_back, model.hidden_size, model.cell) == (3, 7, 4, "gru")
    assert model.predict().equals(fitted.predict())
    assert model.predict(table).equals(fitted.predict(table))
    assert model.name == "gru"
    with pytest.raises(DataError, match="is there already"):
        fitted.save(tmp_path / "kept")
    with pytest.raises(ArtifactError):
        recurra.Forecaster.load(tmp_path / "nowhere")


def test_what_was_loaded_knows_its_columns(tmp_path: Path) -> None:
    table = pandas.DataFrame(columns(40, begin=0)).rename(columns={"unique_id": "shop", "ds": "t"})
    table["x"] = np.random.default_rng(0).standard_normal(len(table))
    how = {"id": "shop", "time": "t", "target": "y", "past": ["x"], "season": 4}
    model = small(look_back=7, **how, out=tmp_path / "run").fit(table)
    again = recurra.Forecaster.load(tmp_path / "run")
    assert again.predict().equals(model.predict())
    for name, value in how.items():
        wanted = [value] if name == "target" else value
        assert getattr(again, name) == wanted, name
    assert again._settings().items() >= model._settings().items()
    windows = (each.cross_validation(table) for each in (again, small(look_back=7, **how)))
    assert list(next(windows)) == list(next(windows))  # which trains anew


def test_what_was_loaded_trains_as_before(table: Any, tmp_path: Path) -> None:
    more = {"decoding": "parallel", "patch": 2, "normalize": "last"}
    model = small(look_back=6, learning_rate=0.02, settings=more, out=tmp_path / "run").fit(table)
    again = recurra.Forecaster.load(tmp_path / "run")
    assert again.settings.items() >= more.items()
    assert again.fit(table).predict().equals(model.predict())


def test_the_run_is_kept_as_long_as_its_model(table: Any, tmp_path: Path) -> None:
    model = small(look_back=7).fit(table).model_
    gc.collect()
    assert len(list(model.predict())) == 2
    folder = Path(model.path)
    assert folder.exists()
    del model
    gc.collect()
    assert not folder.exists()
    kept = small(look_back=7, out=tmp_path / "run").fit(table)
    with pytest.raises(RunError, match="run"):  # one folder holds one run
        kept.fit(table)
    del kept
    gc.collect()
    assert (tmp_path / "run" / "best").exists()


def test_it_tells_how_it_goes_or_not(table: Any, capfd: pytest.CaptureFixture[str]) -> None:
    small(look_back=7).fit(table).predict()
    assert capfd.readouterr() == ("", "")
    small(look_back=7, verbose=True).fit(table)
    assert "steps to train on" in capfd.readouterr().err


def test_settings_win_over_what_is_chosen(table: Any) -> None:
    more = {"look_back": 5, "around": "last", "body": "window", "hidden_size": 3}
    model = small(look_back=7, settings=more).fit(table)
    config = model.model_.model.config
    assert (config.look_back, config.around, config.hidden_size) == (5, "last", 3)
    assert "window" in model.predict()
    assert recurra.Forecaster.load(model.model_.path).name == "window"


def test_a_path_of_a_table(table: Any, fitted: recurra.Forecaster, tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    table.to_csv(file, index=False)
    found = small(look_back=7).fit(str(file)).predict()
    assert isinstance(found, dict)
    np.testing.assert_array_equal(found["gru"], fitted.predict()["gru"])
    np.testing.assert_allclose(fitted.predict(file)["gru"], found["gru"], rtol=1e-6)


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"horizon": 0}, "horizon: expected a whole number of at least 1, got 0"),
        ({"horizon": 2.5}, "horizon: expected a whole number of at least 1, got 2.5"),
        ({"look_back": 0}, r"data\.look_back: expected greater than or equal to 1 .*got 0"),
        (
            {"look_back": "far"},
            r"look_back: expected a valid integer or 'auto' or 'all', got 'far'",
        ),
        ({"validation_steps": 0}, "validation_steps: expected greater than or equal to 1, got 0"),
        ({"season": 0}, "season: expected greater than or equal to 1, got 0"),
        ({"frequency": "fortnight"}, "frequency: expected a known frequency, got 'fortnight'"),
        ({"cell": "grux"}, "no 'grux'; did you mean 'gru'"),
        ({"settings": {"hiden_size": 3}}, "no setting 'hiden_size'; did you mean 'hidden_size'"),
        ({"settings": {"look_back": "all", "patch": 2}}, r"patch: expected 1, got 2: rows of so"),
        ({"settings": {"patch": 2, "decoding": "autoregressive"}}, r"data\.patch: expected 1"),
        ({"past": ["x"], "settings": {"decoding": "autoregressive"}}, "nobody knows them of the"),
        (
            {"distribution": "quantiles", "settings": {"decoding": "autoregressive"}},
            "no path can be drawn from quantiles",
        ),
        (
            {"settings": {"look_back": "all", "decoding": "parallel"}},
            "look_back: expected a number",
        ),
        (
            {"distribution": "poisson", "settings": {"scale": "mean"}},
            r"data\.scale: expected 'none'",
        ),
        ({"distribution": "normal"}, "distribution: expected"),
        ({"epochs": -1}, "epochs: expected greater than 0, got -1"),
        ({"past": 5}, "past: expected names of columns, got 5"),
        ({"past": ["x"], "known": ["x"]}, "the column 'x' is in data.past too"),
    ],
)
def test_parameters_that_cannot_be(table: Any, parameters: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingError, match=told):
        small(**{"look_back": 7} | parameters).fit(table.assign(x=1.0))


def test_data_that_cannot_be(table: Any, fitted: recurra.Forecaster) -> None:
    for call in ("predict", "simulate"):
        with pytest.raises(SettingError, match="is not fitted yet; call fit"):
            getattr(small(), call)()
    with pytest.raises(SettingError, match="is not fitted yet"):
        small().update(table)
    with pytest.raises(SettingError, match="is not fitted yet"):
        small().save("nowhere")
    with pytest.raises(DataError, match="row 0: column 'y': expected a number, got 'abc'"):
        small().fit(table.assign(y="abc"))
    with pytest.raises(DataError, match=r"no column 'y' \(data\.channels\)"):
        fitted.predict(table.rename(columns={"y": "z"}))
    with pytest.raises(DataError, match=r"expected \[time, 1\], channels y, got shape"):
        fitted.predict(np.zeros((5, 2)))
    with pytest.raises(DataError, match="no column 'nope'"):
        small(past=["nope"]).fit(table)
    dates = pandas.date_range("2024-01-01", periods=40)
    mixed = table.assign(ds=[*dates, *pandas.date_range("2024-01-01", periods=40, freq="h")])
    with pytest.raises(DataError, match=r"one frequency in all series, got 'D' .* and 'h'"):
        small().fit(mixed)
    twice = table.assign(ds=[*table["ds"][:39], 38, *table["ds"][40:]])
    with pytest.raises(DataError, match="row 39: column 'ds': expected time stamps that ascend"):
        small().fit(twice)
    assert not hasattr(small(), "model_")


def test_a_run_of_another_task_is_refused(tmp_path: Path) -> None:
    texts = [f"{mood} number {n}" for n in range(20) for mood in ("good", "bad")]
    done = recurra.train(
        "classification", (texts, ["yes", "no"] * 20), out=tmp_path / "run", epochs=1,
        minimum_steps=0, hidden_size=4, rival_examples=0, report=lambda told: None,
    )  # fmt: skip
    with pytest.raises(SettingError, match="is a run of the task classification"):
        recurra.Forecaster.load(done.path)


@pytest.mark.parametrize("settings", [5, {3: 4}])
def test_settings_are_a_dictionary(table: Any, settings: Any) -> None:
    with pytest.raises(SettingError, match="settings: expected a dictionary by name, got"):
        recurra.Forecaster(2, settings=settings).fit(table)
