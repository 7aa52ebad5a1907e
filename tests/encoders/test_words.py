"""A vector for each word, of its own and of its letters, against layers run word by word."""

from __future__ import annotations

import pytest
import torch

from recurra.cells import GRUCell
from recurra.encoders import FrameEncoder, SpelledEmbedding
from recurra.errors import SettingError, ShapeError
from recurra.layers import Recurrent
from recurra.sequences import PaddedSequence
from recurra_runtime.vocabulary import Spelled

WORDS, LETTERS = 6, 5


def embedding(**settings: float) -> SpelledEmbedding:
    torch.manual_seed(0)
    sizes = {"word_size": 2, "letter_size": 3, "spelling_size": 4}
    return SpelledEmbedding(WORDS, LETTERS, **{**sizes, **settings}).double()  # type: ignore[arg-type]


def sentence() -> Spelled:
    """Of one row: "ab", nothing, "ab" again, "c"."""
    letters = torch.tensor([[1, 2, 0], [0, 0, 0], [1, 2, 0], [3, 0, 0]])
    return Spelled(torch.tensor([[3], [0], [4], [0]]), letters.unsqueeze(1))


def test_each_word_is_read_alone() -> None:
    made, given = embedding(), sentence()
    found = made(given)
    assert found.shape == (4, 1, 2 + 2 * 4)
    for step, (word, letters) in enumerate(zip(given.ids[:, 0], given.letters[:, 0], strict=True)):
        own = made.words.weight[word]
        some = letters[letters > 0]
        said = torch.zeros(8).double()
        if len(some):
            said = made.spelling(made.letters.weight[some].unsqueeze(1)).last[0]  # type: ignore
        torch.testing.assert_close(found[step, 0], torch.cat([own, said]), atol=1e-12, rtol=0)


def test_a_spelling_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made, given = embedding(), sentence()
    rows: list[int] = []
    forward = made.spelling.forward  # type: ignore[union-attr]

    def counted(read: PaddedSequence) -> object:
        rows.append(read.batch)
        return forward(read)

    monkeypatch.setattr(made.spelling, "forward", counted)
    made(given)
    assert rows == [3]  # "", "ab", "c"


def test_letters_may_be_left_out() -> None:
    made = embedding(spelling_size=0)
    assert made.output_size == 2
    assert made(sentence()).equal(made.words.weight[sentence().ids])
    assert {name for name, _ in made.named_parameters()} == {"words.weight"}


def test_words_are_taken_for_unknown_in_training_alone() -> None:
    made = embedding(word_dropout=0.5)
    ids = torch.full((400, 1), 3)
    given = Spelled(ids, torch.ones(400, 1, 1, dtype=torch.int64))
    own = made(given)[:, 0, :2]
    unknown = made.words.weight[0]
    share = float((own == unknown).all(1).double().mean())
    assert 0.4 < share < 0.6
    assert ((own == unknown).all(1) | (own == made.words.weight[3]).all(1)).all()
    spelled = made(given)[:, 0, 2:]
    assert spelled.equal(spelled[:1].expand_as(spelled))  # letters stay
    made.eval()
    assert made(given)[:, 0, :2].equal(made.words.weight[ids[:, 0]])


def test_dropout_is_of_the_vectors() -> None:
    made = embedding(dropout=0.5)
    whole = made.eval()(sentence())
    drawn = made.train()(sentence())
    assert ((drawn == 0) | torch.isclose(drawn, 2 * whole)).all()
    assert (drawn == 0).any()


@pytest.mark.parametrize("time", [0, 2])
def test_rows_without_words(time: int) -> None:
    made = embedding()
    lengths = torch.tensor([0, 0])
    ids = PaddedSequence(torch.zeros(time, 2, dtype=torch.int64), lengths)
    letters = PaddedSequence(torch.zeros(time, 2, 0, dtype=torch.int64), lengths)
    encoder = FrameEncoder(made, Recurrent(GRUCell(10, 3)).double())
    read = encoder(Spelled(ids, letters))
    assert read.outputs.values.shape == (time, 2, 3)
    assert not read.last.any()


def test_what_does_not_fit_is_told() -> None:
    made, given = embedding(), sentence()
    with pytest.raises(ShapeError, match=r"expected Spelled\(ids .* got Tensor"):
        made(given.ids)
    with pytest.raises(ShapeError, match=r"got \[4, 1\] and \[3, 1, 3\]"):
        made(Spelled(given.ids, given.letters[:3]))
    rows = [PaddedSequence(part, torch.tensor([n])) for n, part in zip((4, 3), given, strict=True)]
    with pytest.raises(ShapeError, match=r"of the same lengths, got \[4\] and \[3\]"):
        made(Spelled(*rows))
    with pytest.raises(SettingError, match="FrameEncoder: the stem gives 10 numbers"):
        FrameEncoder(made, Recurrent(GRUCell(9, 3)))
    with pytest.raises(ShapeError, match="ids: expected 0 to 5, got 6"):
        made(Spelled(torch.tensor([[6]]), torch.ones(1, 1, 1, dtype=torch.int64)))
