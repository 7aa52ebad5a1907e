"""Answers: texts ranked, symbols with steps, language models and hot words, and streams."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recurra
from recurra import NGram, RecognizerSettings
from recurra.errors import DataError, SettingError, ShapeError
from recurra.models import Recognizer
from recurra.tasks.recognition import EndRules, RecognizingModel
from recurra_runtime.vocabulary import CharacterVocabulary

from .conftest import bump, bumps

LETTERS = "abä"


@pytest.fixture(scope="module")
def model(run: Path) -> RecognizingModel:
    found = recurra.load(run)
    assert isinstance(found, RecognizingModel)
    return found


def series(text: str, seed: int = 0) -> Any:
    return bump(text, LETTERS, np.random.default_rng(seed))


def test_texts_come_with_others_and_the_steps_of_their_symbols(model: RecognizingModel) -> None:
    (found,) = model.predict([series("aäb")], keep=3)
    assert found.text == "aäb"
    assert len(found.ranked) == 3
    scores = [each.score for each in found.ranked]
    assert scores == sorted(scores, reverse=True)
    assert sum(np.exp(each.log_prob) for each in found.ranked) <= 1 + 1e-9
    assert [each.text for each in found.symbols] == ["a", "ä", "b"]
    peaks = [each.peak for each in found.symbols]
    assert peaks == sorted(peaks)
    assert all(0.5 < each.confidence <= 1 for each in found.symbols)
    told = found.to_json(2)
    assert len(told["ranked"]) == 2
    assert json.loads(json.dumps(told))["symbols"][0]["time"] is None
    assert model.show(found) == "aäb"
    assert model.show(found, 2).split("\t")[::2] == [each.text for each in found.ranked[:2]]


def test_the_order_and_the_mates_of_inputs_change_nothing(model: RecognizingModel) -> None:
    inputs = [one for one, _ in bumps(40, seed=5)]
    together = [found.text for found in model.predict(inputs)]
    for place in (0, 17, 39):
        assert next(model.predict([inputs[place]])).text == together[place]


def test_as_many_texts_as_are_asked_for(model: RecognizingModel) -> None:
    (found,) = model.predict([bumps(1, seed=3)[0][0]], width=2, keep=9, threshold=None)
    assert len(found.ranked) == 9


def test_a_width_of_1_takes_the_best_symbols(model: RecognizingModel) -> None:
    (found,) = model.predict([series("ba")], width=1)
    assert [each.text for each in found.ranked] == ["ba"]


def test_a_language_model_of_another_vocabulary_changes_the_ranks(model: RecognizingModel) -> None:
    class Loaded:
        """As of a run of a language model: ids of its own."""

        vocabulary = CharacterVocabulary("ä_ab")
        model = NGram.fit([[3, 5]] * 50, order=2, vocabulary_size=7, start=1, end=2)  # "äa" alone

    plain = next(model.predict([series("ab")]))
    moved = next(model.predict([series("ab")], language=model.fused(Loaded(), 9.0), threshold=None))
    assert plain.text == "ab"
    assert moved.text == "äa"
    assert moved.ranked[0].log_prob < plain.ranked[0].log_prob


def test_hot_words_raise_a_score(model: RecognizingModel) -> None:
    plain, hot = (
        {each.text: each.score for each in next(model.predict([series("ab")], hot=words)).ranked}
        for words in ((), ["ab"])
    )
    assert hot["ab"] == pytest.approx(plain["ab"] + 2 * 2.0)
    with pytest.raises(SettingError, match="expected words of symbols"):
        list(model.predict([series("ab")], hot=["xyz"]))


def test_what_cannot_be_read_is_told(model: RecognizingModel) -> None:
    with pytest.raises(DataError, match=r"predict: series: expected \[time, 3\]"):
        list(model.predict([np.zeros((4, 2), np.float32)]))


# ---- streams -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_parts_give_what_the_whole_gives(model: RecognizingModel, size: int) -> None:
    inputs = series("abäab", 3)
    (whole,) = model.predict([inputs])
    listener, found = model.listen(ends=EndRules(silence=None)), []
    for at in range(0, len(inputs), size):
        found += listener.push(inputs[at : at + size])
    assert found == []
    (last,) = listener.finish()
    assert [each.text for each in last.ranked] == [each.text for each in whole.ranked]
    np.testing.assert_allclose(
        [each.score for each in last.ranked], [each.score for each in whole.ranked], atol=1e-4
    )
    assert [each[:3] for each in last.symbols] == [each[:3] for each in whole.symbols]


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_silence_ends_an_utterance(model: RecognizingModel, size: int) -> None:
    silence = np.zeros((30, 3), np.float32)
    inputs = np.concatenate([silence, series("ab"), silence, silence, series("äa"), silence])
    listener = model.listen(ends=EndRules(silence=8))
    found = []
    for at in range(0, len(inputs), size):
        found += listener.push(inputs[at : at + size])
        if at == 45:  # what was said is told before it ends
            assert listener.text == "ab"
    assert [one.text for one in found] == ["ab", "äa"]
    assert listener.finish() == []
    first, second = found
    assert first.symbols[0].peak >= 15  # of two frames each
    assert second.symbols[0].peak > 45 + len(series("ab")) // 2 - 1


def test_the_longest_ends_an_utterance_too(model: RecognizingModel) -> None:
    listener = model.listen(ends=EndRules(silence=None, longest=6))
    found = listener.push(series("abab", 1)) + listener.finish()
    assert len(found) > 1
    assert all(len(each.text) <= 6 for each in found)
    with pytest.raises(SettingError, match="listen: longest"):
        model.listen(ends=EndRules(longest=0))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"keep": "3"}, "keep: .*, got '3'"),
        ({"keep": 0}, "keep: .*, got 0"),
        ({"width": None}, "width: .*, got None"),
        ({"width": -1}, "width: .*, got -1"),
        ({"threshold": "1"}, "threshold: expected a number, got '1'"),
        ({"language": 5}, r"language: expected a recurra\.decoding\.Fusion or None, got int"),
        ({"hot": 5}, "hot: expected a list of inputs, or one text, got int"),
    ],
)
def test_what_no_door_takes(model: RecognizingModel, how: dict[str, Any], said: str) -> None:
    """Before anything is read."""
    for door in (lambda: model.predict([], **how), lambda: model.listen(**how)):
        with pytest.raises((SettingError, DataError), match=said):
            door()


def test_what_else_no_door_takes(model: RecognizingModel) -> None:
    with pytest.raises(SettingError, match="listen: ends: expected EndRules or None, got tuple"):
        model.listen(ends=(1, 2, 3))  # type: ignore[arg-type]
    with pytest.raises(SettingError, match=r"fused: expected a language model.* got int"):
        model.fused(5)
    with pytest.raises(DataError, match="hot: expected a list of inputs"):
        model.hot_words(5)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="predict: "):
        list(model.predict([None]))


def test_what_reads_both_ways_does_not_listen(model: RecognizingModel) -> None:
    both = Recognizer(RecognizerSettings(hidden_size=4), reads=[3], symbols=3)
    answer = RecognizingModel(both, model.fronts, model.path, "recognition")
    with pytest.raises(ShapeError, match=r"model\.bidirectional=false"):
        answer.listen()
    with pytest.raises(DataError, match=r"push: series: expected \[time, 3\]"):
        model.listen().push(np.zeros((2, 2), np.float32))


def test_one_hot_word_is_not_its_letters(model: RecognizingModel) -> None:
    one, some = (list(model.predict([series("ab")], hot=hot)) for hot in ("ab", ["ab"]))
    assert one == some
    with pytest.raises(DataError, match="hot: expected a text, got 3"):
        list(model.predict([series("ab")], hot=[3]))
