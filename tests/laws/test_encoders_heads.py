"""Laws of encoders, heads and models: padding, batch mates, chunks, saving."""

from functools import partial

import pytest
import torch
from laws.means import close, close_trees
from laws.subjects import BATCH, LENGTHS, TIME

import recurra
from recurra import (
    AlignmentHead,
    CRFHead,
    LabelHead,
    LabelsHead,
    NumbersHead,
    PaddedSequence,
    TokenEmbedding,
    TokenEncoder,
)
from recurra.encoders import (
    AlignedEncoder,
    AskingEncoder,
    Encoder,
    FrameEncoder,
    Frames,
    Pictures,
    Sentences,
    SeveralEncoder,
    SpelledEmbedding,
)
from recurra.heads import DecoderHead, Head
from recurra.layers import LayerOutput
from recurra.lengths import last_step
from recurra.states import map_tree, select_rows
from recurra_runtime.vocabulary import Spelled

SYMBOLS = 9
IDS = torch.randint(0, SYMBOLS, (TIME, BATCH), generator=torch.Generator().manual_seed(3))
TARGETS = torch.randint(0, SYMBOLS, (TIME, BATCH), generator=torch.Generator().manual_seed(4))
BEHIND = torch.arange(TIME).unsqueeze(1) >= torch.tensor(LENGTHS)


def token_encoder():
    torch.manual_seed(0)
    layer = recurra.Stack(
        [recurra.Recurrent(recurra.LSTMCell(4, 6)), recurra.Recurrent(recurra.GRUCell(6, 4))]
    )
    return TokenEncoder(TokenEmbedding(SYMBOLS, 4), layer).double().eval()


def labels_head(tied_size=None):
    torch.manual_seed(0)
    return LabelsHead(4, SYMBOLS, tied_size=tied_size).double().eval()


def crf_head():
    torch.manual_seed(0)
    head = CRFHead(4, SYMBOLS, forbidden=[(2, 1)]).double().eval()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    return head


def alignment_head():
    torch.manual_seed(0)
    return AlignmentHead(4, SYMBOLS).double().eval()


def label_head(pool, hops=1):
    torch.manual_seed(0)
    head = LabelHead(4, SYMBOLS, pool, hops=hops).double().eval()
    head.starts_at(range(SYMBOLS))  # what an empty row is given
    return head


def numbers_head(kind):
    torch.manual_seed(0)
    return NumbersHead(4, 2, kind, components=3).double().eval()


def of_stem(make, width):
    torch.manual_seed(0)
    stem = make()
    layer = recurra.Stack(
        [recurra.Recurrent(recurra.LSTMCell(width, 6)), recurra.Recurrent(recurra.GRUCell(6, 4))]
    )
    return FrameEncoder(stem, layer).double().eval()


def several_encoder():
    torch.manual_seed(0)
    parts = {
        "frames": of_stem(partial(Frames, 3), 3),
        "pictures": of_stem(partial(Pictures, 4, 6, 2, 5, filters=3), 5),
        "symbols": token_encoder(),
    }
    return SeveralEncoder(parts, "mean").double().eval()


def aligned_encoder():
    torch.manual_seed(0)
    stems = {"frames": Frames(3), "symbols": TokenEmbedding(SYMBOLS, 4)}
    layer = recurra.Recurrent(recurra.LSTMCell(3 + 1 + 4 + 1, 4))
    return AlignedEncoder(stems, layer).double().eval()


def asking_encoder():
    torch.manual_seed(0)
    layer = recurra.Recurrent(recurra.LSTMCell(3 + 4 + 1, 4))
    names = ("frames", "symbols")
    read = (token_encoder(), Frames(3), layer)
    return AskingEncoder(names, "symbols", *read, "mean").double().eval()


def sentences_encoder():
    """Reads sentences beside a question, of the same symbols."""
    torch.manual_seed(0)
    stem = Sentences(TokenEmbedding(SYMBOLS, 3), [1, 4])
    layer = recurra.Recurrent(recurra.LSTMCell(3 + 4 + 1, 4))
    names = ("story", "question")
    return AskingEncoder(names, "question", token_encoder(), stem, layer, "mean").double().eval()


def words():
    torch.manual_seed(0)
    sizes = {"word_size": 2, "letter_size": 3, "spelling_size": 1}
    return SpelledEmbedding(SYMBOLS, SYMBOLS, **sizes)


def letters():
    """Of words of 0 to 3 letters, some of which are spelled alike."""
    found = torch.randint(1, SYMBOLS, (TIME, BATCH, 3), generator=torch.Generator().manual_seed(5))
    return found * (torch.arange(3) < (IDS % 4).unsqueeze(-1))


def numbers(*shape, seed=5):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(TIME, BATCH, *shape, generator=generator, dtype=torch.float64)


SEEN = numbers(4, 6, 2)
NAN = (0.0, float("nan"), float("inf"))
IDS_FILLS = (0, SYMBOLS + 5, -3)
# How to make one, what it reads, and what may stand in the padding of that.
ENCODERS = {
    "tokens": (token_encoder, IDS, IDS_FILLS),
    "frames": (partial(of_stem, partial(Frames, 3), 3), numbers(3), NAN),
    "filtered": (partial(of_stem, partial(Frames, 3, filters=5), 5), numbers(3), NAN),
    "two steps at once": (partial(of_stem, partial(Frames, 3, stride=2), 6), numbers(3), NAN),
    "pictures": (partial(of_stem, partial(Pictures, 4, 6, 2, 5, filters=3), 5), SEEN, NAN),
    "words": (partial(of_stem, words, 4), Spelled(IDS, letters()), (IDS_FILLS, IDS_FILLS)),
}
# These read padded rows alone, each of several inputs.
TUPLES = {
    "several": (several_encoder, (numbers(3), SEEN, IDS), (NAN, NAN, IDS_FILLS)),
    "aligned": (aligned_encoder, (numbers(3), IDS), (NAN, IDS_FILLS)),
    "asking": (asking_encoder, (numbers(3), IDS), (NAN, IDS_FILLS)),
    "sentences": (sentences_encoder, (IDS, IDS), (IDS_FILLS, IDS_FILLS)),
}
POOLS = ("last", "mean", "max", "attention")
# How to make one, and the targets of steps or of rows.
HEADS = {"labels": (labels_head, TARGETS), "crf": (crf_head, TARGETS)}
# As many symbols as steps fit where none stands beside itself.
DISTINCT = (torch.arange(TIME)[:, None] + torch.arange(BATCH)) % SYMBOLS
HEADS |= {"alignment": (alignment_head, DISTINCT)}
HEADS |= {
    f"numbers, {kind}": (partial(numbers_head, kind), numbers(2, seed=6))
    for kind in ("student", "gaussian", "mixture")
}
HEADS |= {f"label, {pool}": (partial(label_head, pool), TARGETS[0]) for pool in POOLS}
HEADS |= {"label, two hops": (partial(label_head, "attention", hops=2), TARGETS[0])}


def test_every_encoder_and_head_is_here():
    ours = {each for each in Encoder.__subclasses__() if each.__module__.startswith("recurra.")}
    assert ours == {type(make()) for make, *_ in (*ENCODERS.values(), *TUPLES.values())}
    ours = {each for each in Head.__subclasses__() if each.__module__.startswith("recurra.")}
    # What a decoder says has steps of its own: tests/heads/test_decoder.py holds its laws.
    assert ours == {DecoderHead, *(type(make()) for make, _ in HEADS.values())}


def layer_output(outputs):
    """What a layer returns of such outputs."""
    padded = isinstance(outputs, PaddedSequence)
    values, lengths = (outputs.values, outputs.lengths) if padded else (outputs, None)
    return LayerOutput(outputs, last_step(values, lengths), None)


def padded(values, fill):
    mask = BEHIND.view(*BEHIND.shape, *(1,) * (values.dim() - 2))
    return PaddedSequence(values.masked_fill(mask, fill), torch.tensor(LENGTHS))


def cut(read, *places):
    return map_tree(lambda leaf: leaf[places], read)


def rows_of(read, fills, number):
    """What is read with something in its padding."""
    if isinstance(read, tuple):
        return tuple(padded(one, f[number]) for one, f in zip(read, fills, strict=True))
    return padded(read, fills[number])


@pytest.mark.parametrize(
    ("make", "read", "fills"), [*ENCODERS.values(), *TUPLES.values()], ids=[*ENCODERS, *TUPLES]
)
def test_encoder_padding(make, read, fills):
    """Whatever stands in the padding, NaN or ids that no vocabulary has, changes nothing."""
    results = []
    for number in range(3):
        encoder = make()
        got = encoder(rows_of(read, fills, number))
        rows = isinstance(got.outputs, PaddedSequence)
        outputs = got.outputs.values if rows else got.outputs
        (got.last.square().sum() + outputs.square().sum()).backward()
        gradients = [p.grad for p in encoder.parameters()]
        assert all(part.isfinite().all() for part in gradients)
        results.append([outputs, got.last, *gradients])
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize(("make", "read", "fills"), ENCODERS.values(), ids=ENCODERS)
def test_encoder_rows_and_chunks(make, read, fills):
    encoder = make()
    whole = encoder(map_tree(lambda leaf: padded(leaf, 0), read))
    for row, length in enumerate(LENGTHS):
        some = torch.tensor([row])
        alone = encoder(cut(read, slice(length), some))
        close(whole.outputs.values[: len(alone.outputs), some], alone.outputs)
        close(whole.last[some], alone.last)
        close_trees(map_tree(lambda leaf, s=some: leaf[s], whole.state), alone.state)
    if not encoder.causal:  # a part may end between steps that are read together
        for more in ({"state": whole.state}, {"resets": torch.zeros(TIME, BATCH) > 0}):
            with pytest.raises(recurra.errors.ShapeError, match="stride"):
                encoder(read, **more)
        return
    full, first = encoder(read), encoder(cut(read, slice(4)))
    second = encoder(cut(read, slice(4, None)), first.state)
    close(torch.cat([first.outputs, second.outputs]), full.outputs)
    close_trees(second.state, full.state)
    assert [s.shape for s in select_rows(full.state[0], torch.arange(2))] == [(2, 6), (2, 6)]


@pytest.mark.parametrize(("make", "targets"), HEADS.values(), ids=HEADS)
def test_head_padding_and_sum(make, targets):
    """NaN in the padding changes neither scores nor gradients; the sum is that of rows alone."""
    values = torch.randn(TIME, BATCH, 4, dtype=torch.float64)
    steps = targets.dim() > 1
    each = targets[0, 0].numel() if steps else 1
    results = []
    for fill in (0.0, float("nan")):
        head = make()
        read = padded(values, fill)
        read.values.requires_grad_()
        answers = padded(targets, 77) if steps else targets
        total, count = head.score(head(layer_output(read)), answers)
        assert count == (sum(LENGTHS) * each if steps else BATCH)
        total.backward()
        results.append([total, read.values.grad, *(p.grad for p in head.parameters())])
        assert not read.values.grad[BEHIND].any()
        together, _ = head.loss(layer_output(read), answers)
        assert float(together.detach()) == pytest.approx(float(total.detach()), abs=1e-10)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert all(part.isfinite().all() for part in results[0])
    by_rows = 0.0
    for row, length in enumerate(LENGTHS):
        alone = head(layer_output(values[:length, row : row + 1]))
        answer = targets[:length, row : row + 1] if steps else targets[row : row + 1]
        by_rows += float(head.score(alone, answer)[0].detach())
    assert float(results[0][0].detach()) == pytest.approx(by_rows, abs=1e-10)
    # The broken twin: padding that takes part changes the sum.
    every = head.score(head(layer_output(values)), targets)[0]
    assert abs(float(every.detach()) - by_rows) > 1e-3


@pytest.mark.parametrize(("make", "read", "fills"), TUPLES.values(), ids=TUPLES)
def test_encoder_of_several_rows(make, read, fills):
    """Each row of several inputs is as it is alone, also the one that is empty."""
    encoder = make()
    whole = encoder(tuple(padded(one, 0) for one in read))
    for row, length in enumerate(LENGTHS):
        alone = encoder(
            tuple(PaddedSequence.from_padded(one[:length, row : row + 1]) for one in read)
        )
        close(whole.last[row], alone.last[0])


@pytest.mark.parametrize(
    ("make", "targets"), [(m, r) for m, r, _ in ENCODERS.values()] + [*HEADS.values()]
)
def test_saved(make, targets):
    one, other = make(), make()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.5)
    read = targets if isinstance(one, Encoder) else torch.randn(TIME, BATCH, 4, dtype=torch.float64)

    def result(module):
        if isinstance(module, Encoder):
            return module(read).outputs
        return module(layer_output(read))

    assert not torch.equal(result(one), result(other))
    one.load_state_dict(other.state_dict())
    assert torch.equal(result(one), result(other))


@pytest.mark.parametrize("cell", ["lstm", "gru", "elman", "gru_reset_before"])
@pytest.mark.parametrize("tied", [False, True])
def test_language_model_whole_chunks_steps(cell, tied):
    torch.manual_seed(0)
    config = recurra.LanguageModelConfig(
        vocabulary_size=SYMBOLS, cell=cell, hidden_size=6, embedding_size=5, tied=tied
    )
    model = recurra.LanguageModel(config).double().eval()
    whole = model(recurra.Batch(IDS, TARGETS))
    assert whole.count == TIME * BATCH
    state, total = None, 0.0
    for span in (slice(0, 1), slice(1, 4), slice(4, TIME)):
        part = model(recurra.Batch(IDS[span], TARGETS[span]), state)
        state, total = part.state, total + part.total
    close(total, whole.total)
    close_trees(state, whole.state)
    state, total = model.start(BATCH), 0.0
    for t in range(TIME):
        log_probs, state = model.step(IDS[t], state)
        close(log_probs.exp().sum(1), torch.ones(BATCH, dtype=torch.float64))
        total = total - log_probs.gather(1, TARGETS[t].unsqueeze(1)).sum()
    close(total, whole.total)
    close_trees(state, whole.state)
    ragged = model(recurra.Batch(padded(IDS, 99), padded(TARGETS, 99)))
    assert ragged.count == sum(LENGTHS)
    alone = sum(
        model(recurra.Batch(IDS[:n, b : b + 1], TARGETS[:n, b : b + 1])).total
        for b, n in enumerate(LENGTHS)
    )
    close(ragged.total, alone)
