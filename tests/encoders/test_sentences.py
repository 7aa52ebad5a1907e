"""The words of a sentence become one step: against sums that are made word by word."""

from __future__ import annotations

import pytest
import torch

from recurra import GRUCell, PaddedSequence, Recurrent, TokenEmbedding
from recurra.encoders import AlignedEncoder, FrameEncoder, Sentences
from recurra.errors import SettingError, ShapeError
from recurra.models import ClassifierSettings, Reads, build_encoder

POINT, ASKS, WIDTH = 1, 2, 3
TEXTS = [
    [5, 6, 7, POINT, 5, ASKS],
    [8, 3, 4, 5],  # nothing ends it
    [],
    [POINT, 3, POINT, 4],  # an empty sentence, and a rest
    [3, 4, 5, 6, 7, 8, POINT, 3],
]


def stem() -> Sentences:
    torch.manual_seed(0)
    return Sentences(TokenEmbedding(9, WIDTH), [POINT, ASKS]).double()


def rows(texts: list[list[int]]) -> PaddedSequence:
    return PaddedSequence.from_list([torch.tensor(text, dtype=torch.int64) for text in texts])


def cut(text: list[int]) -> list[list[int]]:
    found: list[list[int]] = [[]]
    for symbol in text:
        found[-1].append(symbol)
        if symbol in (POINT, ASKS):
            found.append([])
    return [sentence for sentence in found if sentence]


def vector(made: Sentences, sentence: list[int]) -> list[float]:
    """Equation 4.1 of the paper, number by number."""
    table, size = made.embedding.weight.tolist(), len(sentence)
    return [
        sum(
            ((1 - j / size) - (i / WIDTH) * (1 - 2 * j / size)) * table[symbol][i - 1]
            for j, symbol in enumerate(sentence, 1)
        )
        for i in range(1, WIDTH + 1)
    ]


def test_each_sentence_is_the_weighed_sum_of_its_words() -> None:
    made = stem()
    found = made(rows(TEXTS))
    assert found.lengths.tolist() == [2, 1, 0, 3, 2]
    for row, text in enumerate(TEXTS):
        for step, sentence in enumerate(cut(text)):
            wanted = torch.tensor(vector(made, sentence), dtype=torch.float64)
            torch.testing.assert_close(found.values[step, row], wanted)
        assert not found.values[len(cut(text)) :, row].any()


def test_the_order_of_words_is_read() -> None:
    made = stem()
    one, other = made(rows([[5, 6, 7], [7, 6, 5]])).values[0]
    assert not torch.allclose(one, other)


@pytest.mark.parametrize("time", [0, 4])
@pytest.mark.parametrize("batch", [0, 2])
def test_nothing_to_read(time: int, batch: int) -> None:
    ids = PaddedSequence(torch.full((time, batch), 99), torch.zeros(batch, dtype=torch.int64))
    found = stem()(ids)
    assert (found.time, found.batch, found.values.shape[2]) == (0, batch, WIDTH)
    assert found.lengths.tolist() == [0] * batch


def test_whole_texts_are_read() -> None:
    layer = Recurrent(GRUCell(WIDTH, 2))
    encoder = FrameEncoder(stem(), layer)
    assert not encoder.causal
    assert not AlignedEncoder({"text": stem()}, Recurrent(GRUCell(WIDTH + 1, 2))).causal
    with pytest.raises(ShapeError, match="read together"):
        encoder(rows(TEXTS), encoder.initial_state(len(TEXTS)))
    with pytest.raises(ShapeError, match="expected a PaddedSequence, got Tensor"):
        stem()(torch.tensor([[1]]))


def test_sentences_are_a_setting_of_texts_in_which_something_ends() -> None:
    settings = ClassifierSettings(sentences=True, hidden_size=4)
    text = Reads(form="tokens", sizes=[9], ends=[POINT])
    encoder = build_encoder(settings, {"text": text})
    assert encoder(rows(TEXTS)).outputs.lengths.tolist() == [2, 1, 0, 3, 2]
    endless = Reads(form="tokens", sizes=[9])
    with pytest.raises(SettingError, match=r"model\.sentences: no symbol .* data\.punctuation"):
        build_encoder(settings, {"text": endless})
    both = {"story": text, "question": endless}  # one that is a single sentence may stand beside it
    asking = ClassifierSettings(sentences=True, fuse="ask", asks="question", hidden_size=4)
    read = build_encoder(asking, both)((rows([[3, 4], [5]]), rows([[3, POINT, 4], [5, POINT]])))
    assert read.outputs.lengths.tolist() == [3, 2]  # the step before the first holds the question
