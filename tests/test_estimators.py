"""The estimator by scikit-learn's conventions: in pipelines, searches, copies, on any labels."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import recurra
from recurra import doors
from recurra.errors import DataError, SettingError, ShapeError
from recurra.training import about

pytest.importorskip("sklearn")

from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

SMALL = {"hidden_size": 8, "epochs": 1, "settings": {"minimum_steps": 20}}


def waves(count: int = 60, *, seed: int = 0, ragged: bool = True) -> tuple[list[Any], list[str]]:
    """Slow and fast sines of any phase, and the other channel noise."""
    draw = np.random.default_rng(seed)
    cases, labels = [], []
    for number in range(count):
        steps = int(draw.integers(12, 20)) if ragged else 16
        speed = 0.4 if number % 2 else 1.5
        wave = np.sin(speed * np.arange(steps) + draw.uniform(0, 6))
        cases.append(np.stack([wave, 0.1 * draw.standard_normal(steps)], 1))
        labels.append("slow" if number % 2 else "fast")
    return cases, labels


def made(**more: Any) -> Any:
    return recurra.SequenceClassifier(**SMALL | more)


@pytest.fixture(scope="module")
def fitted() -> Any:
    return made(settings={"minimum_steps": 150}).fit(*waves())


def test_ragged_arrays_are_told_apart(fitted: Any) -> None:
    cases, labels = waves(seed=1)
    assert fitted.score(cases, labels) > 0.9
    assert fitted.classes_.tolist() == ["fast", "slow"]
    assert fitted.n_features_in_ == 2
    shares = fitted.predict_proba(cases)
    assert shares.shape == (60, 2)
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-6)
    assert (fitted.classes_[shares.argmax(1)] == fitted.predict(cases)).all()
    assert fitted.predict_proba([]).shape == (0, 2)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(cases), shares)


def test_layouts_of_the_same_numbers_give_the_same() -> None:
    """Lists, arrays of three axes, channels first, pandas' labels; one channel without its axis."""
    cases, labels = waves(40, ragged=False)
    array = np.stack(cases)
    wanted = made().fit(cases, labels).predict_proba(cases)
    layouts = [(array, "time"), (array.transpose(0, 2, 1), "channels")]
    layouts.append(([case.T for case in cases], "channels"))
    for given, axes in layouts:
        got = made(axes=axes).fit(given, np.array(labels)).predict_proba(given)
        np.testing.assert_array_equal(got, wanted)
    flat, deep = array[:, :, 0], array[:, :, :1]
    one = made().fit(flat, labels).predict_proba(flat)
    np.testing.assert_array_equal(one, made().fit(deep, labels).predict_proba(deep))


def test_labels_are_given_back_as_they_came() -> None:
    cases, labels = waves(40)
    numbers = np.where(np.array(labels) == "slow", 10, 9)  # as texts they sort the other way
    model = made(settings={"minimum_steps": 300}).fit(cases, numbers)
    assert model.classes_.tolist() == [9, 10]
    assert model.predict(cases).dtype == numbers.dtype
    assert model.score(cases, numbers) > 0.9
    truths = made().fit(cases, numbers == 10).predict(cases)
    assert truths.dtype == bool


def test_clone_search_pipeline_and_validation() -> None:
    cases, labels = waves(40)
    model = made(cell="elman", random_state=3)
    assert clone(model).get_params() == model.get_params()
    assert clone(model).set_params(cell="lstm").cell == "lstm"
    assert repr(recurra.SequenceClassifier(cell="lstm")) == "SequenceClassifier(cell='lstm')"
    assert is_classifier(model)
    scores = cross_val_score(model, cases, labels, cv=2)
    assert len(scores) == 2
    search = GridSearchCV(made(), {"cell": ["elman", "gru"], "pool": ["mean"]}, cv=2)
    assert search.fit(cases, labels).best_params_["cell"] in ("elman", "gru")
    doubled = FunctionTransformer(lambda some: [2 * one for one in some])
    piped = make_pipeline(doubled, made()).fit(cases, labels)
    assert piped.predict(cases).shape == (40,)


def test_the_same_seed_gives_the_same_bits() -> None:
    cases, labels = waves(40)
    one, other = (made(random_state=1).fit(cases, labels) for _ in range(2))
    np.testing.assert_array_equal(one.predict_proba(cases), other.predict_proba(cases))
    third = made(random_state=2).fit(cases, labels)
    assert (third.predict_proba(cases) != one.predict_proba(cases)).any()


def test_texts() -> None:
    texts = [f"a {mood} film, number {n}" for n in range(30) for mood in ("good", "bad")]
    labels = ["yes", "no"] * 30
    model = made(settings={"minimum_steps": 120}).fit(texts, labels)
    assert model.predict(["one good film", "one bad film"]).tolist() == ["yes", "no"]
    assert not hasattr(model, "n_features_in_")


def test_few_cases_are_all_learned_from() -> None:
    """Of a class with one case none can choose; without a share nothing does."""
    cases, _ = waves(5)
    model = made(validation_fraction=0.5).fit(cases, ["a", "a", "a", "b", "c"])
    assert model.classes_.tolist() == ["a", "b", "c"]
    assert made(validation_fraction=0).fit(cases[:2], [0, 1]).predict(cases[:2]).shape == (2,)


def test_few_cases_get_more_passes_unless_a_number_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As of the recipe: passes are as many as are said, or until there are steps enough."""
    cases, labels = waves(40)
    train, steps = doors.train, []

    def counted(*given: Any, **more: Any) -> Any:
        done = train(*given, **more)
        steps.append(about(done.path).trained["step"])
        return done

    monkeypatch.setattr(doors, "train", counted)
    least = {"settings": {}, "validation_fraction": 0, "hidden_size": 2}
    for epochs in (None, 3):
        made(**least | {"epochs": epochs}).fit(cases, labels)
    assert steps == [300, 6]
    assert recurra.SequenceClassifier().epochs is None


def test_numbers_of_numpy_are_parameters() -> None:
    cases, labels = waves(40)
    grid = {"hidden_size": np.array([4, 8]), "dropout": np.array([0.0, 0.5], np.float32)}
    grid |= {"random_state": [np.int64(3)], "validation_fraction": [np.float32(0.1)]}
    grid |= {"bidirectional": [np.True_], "settings": [{"minimum_steps": np.int64(2)}]}
    search = GridSearchCV(made(), grid, cv=2, error_score="raise").fit(cases, labels)
    assert search.best_params_["hidden_size"] in (4, 8)


def test_random_states_are_those_of_scikit_learn() -> None:
    cases, labels = waves(20)

    def shares(state: Any) -> Any:
        return made(random_state=state).fit(cases, labels).predict_proba(cases)

    state = np.random.RandomState(7)
    first, second = shares(state), shares(state)  # which goes on
    assert (first != second).any()
    np.testing.assert_array_equal(shares(np.random.RandomState(7)), first)
    assert (shares(None) != shares(None)).any()
    assert clone(made(random_state=state)).random_state is not state
    for wrong in ("7", 0.5, -1, True):
        with pytest.raises(SettingError, match="random_state: expected a whole number from 0 on"):
            shares(wrong)


def test_of_empty_cases_nothing_is_learned_but_they_are_answered(fitted: Any) -> None:
    cases, labels = waves(6)
    empty = np.zeros((0, 2))
    for given, axes in (
        ([cases[0], empty, *cases[2:]], "time"),
        ([each.T for each in [cases[0], empty, *cases[2:]]], "channels"),
        (["a b", "  ", "c", "d", "e", "f"], "time"),
    ):
        with pytest.raises(DataError, match="fit: X: case 1 is empty"):
            made(axes=axes).fit(given, labels)
    assert fitted.predict([cases[0], empty]).shape == (2,)


def test_frames_and_missing_labels_are_refused_by_name(fitted: Any) -> None:
    cases, labels = waves(4)
    pandas = pytest.importorskip("pandas")
    for given in ({"a": cases, "b": cases}, pandas.DataFrame(np.zeros((4, 9)))):
        for call in (lambda X: made().fit(X, labels), fitted.predict):
            with pytest.raises(ShapeError, match=rf"got a {type(given).__name__}, whose items are"):
                call(given)
    for missing in (None, float("nan"), pandas.NA):
        for some in (["a", missing, "b", "a"], np.array([1.0, missing, 2.0, 1.0], object)):
            with pytest.raises(DataError, match="fit: y: case 1 has no label"):
                made().fit(cases, some)
    with pytest.raises(DataError, match="fit: y: case 2 has no label, got nan"):
        made().fit(cases, [1.0, 2.0, np.nan, 1.0])


def test_missing_values_are_read() -> None:
    cases, labels = waves(40)
    for case in cases[::3]:
        case[3:6] = np.nan
    assert np.isfinite(made().fit(cases, labels).predict_proba(cases)).all()


def test_what_cannot_be_is_told() -> None:
    cases, labels = waves(6)
    for given, told in (
        ((cases, labels[:-1]), "a label for each of 6 cases"),
        ((cases, ["a"] * 6), "two classes or more"),
    ):
        with pytest.raises(DataError, match=told):
            made().fit(*given)
    with pytest.raises(ShapeError, match=r"case 1: expected \[time, channels\]"):
        made().fit([cases[0], np.zeros((2, 3, 4))], labels[:2])
    with pytest.raises(ShapeError, match="case 0 is no array"):
        made().fit([object(), object()], labels[:2])
    with pytest.raises(DataError, match=r"channels"):
        made().fit([np.zeros((5, 2)), np.zeros((5, 3))], labels[:2])
    with pytest.raises(SettingError, match="validation_fraction: expected 0 to below 1"):
        made(validation_fraction=1.5).fit(cases, labels)
    with pytest.raises(SettingError, match="lstmm"):
        made(cell="lstmm").fit(cases, labels)
    with pytest.raises(SettingError, match="did you mean 'hidden_size'"):
        made().set_params(hidden_sizes=3)
    with pytest.raises(SettingError, match="not fitted"):
        made().predict(cases)
