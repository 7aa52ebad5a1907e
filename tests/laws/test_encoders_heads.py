"""Laws of encoders, heads and models: padding, batch mates, chunks, saving."""

import inspect
import pkgutil
from functools import partial
from importlib import import_module

import pytest
import torch
from laws.means import close, close_trees
from laws.subjects import BATCH, LENGTHS, PLAIN, RIVALS, TIME, layers
from torch import nn

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
    GappedSteps,
    PictureColumns,
    PictureLines,
    Pictures,
    Regions,
    Sentences,
    SeveralEncoder,
    SpelledEmbedding,
    StepVectors,
)
from recurra.heads import CopyingHead, DecoderHead, Head
from recurra.layers import Layer, LayerOutput
from recurra.lengths import last_step
from recurra.states import map_tree, select_rows
from recurra_runtime.vocabulary import Spelled

SYMBOLS = 9
IDS = torch.randint(0, SYMBOLS, (TIME, BATCH), generator=torch.Generator().manual_seed(3))
TARGETS = torch.randint(0, SYMBOLS, (TIME, BATCH), generator=torch.Generator().manual_seed(4))
BEHIND = torch.arange(TIME).unsqueeze(1) >= torch.tensor(LENGTHS)
ROOMS = (recurra.encoders, recurra.heads, recurra.layers)


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


def lines(shape, *, rows=False, stride=1):
    height, width, channels = shape
    read = Frames((width if rows else height) * channels, stride=stride)
    return PictureLines(shape, read, rows=rows)


def columns(shape, **how):
    return PictureColumns(shape, Frames, filters=3, **how)


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
# So do these: a picture a row or none, or one as wide as the row is long.
PICTURES = {
    "regions": (partial(of_stem, partial(Regions, (4, 6, 2), 5, filters=3), 5), SEEN[:1], NAN),
    "rows": (partial(of_stem, partial(lines, (4, 6, 2), rows=True), 12), SEEN[:1], NAN),
    "lines": (partial(of_stem, partial(lines, (4, 6, 2)), 8), SEEN[:1], NAN),
    "lines of any width": (partial(of_stem, partial(lines, (4, 0, 2)), 8), numbers(4, 2), NAN),
    "two lines at once": (
        partial(of_stem, partial(lines, (4, 0, 2), stride=2), 16),
        numbers(4, 2),
        NAN,
    ),
    "columns": (partial(of_stem, partial(columns, (8, 6, 2)), 12), numbers(8, 6, 2)[:1], NAN),
    "columns of any width": (
        partial(of_stem, partial(columns, (8, 0, 2), across=2), 12),
        numbers(8, 2),
        NAN,
    ),
}
PADDED = TUPLES | PICTURES
EVERY = ENCODERS | PADDED
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


def made_here(kind):
    """Subclasses of a class, and theirs, in all files of the package's rooms; no bases."""
    for room in ROOMS:
        for file in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            import_module(file.name)
    found, left = set(), [kind]
    while left:
        below = left.pop().__subclasses__()
        left += below
        found |= {each for each in below if each.__module__.startswith("recurra.")}
    return {each for each in found if not inspect.isabstract(each)}


def test_every_encoder_and_head_is_here():
    made = [make() for make, *_ in EVERY.values()]
    assert made_here(Encoder) == {type(one) for one in made}
    # What a decoder says has steps of its own: tests/heads/test_decoder.py holds its laws.
    assert made_here(Head) == {
        DecoderHead,
        CopyingHead,
        *(type(make()) for make, _ in HEADS.values()),
    }


def test_every_stem_is_here():
    """Whatever else has weights in the room of encoders."""
    room = recurra.encoders.__name__
    known = {each for each in made_here(nn.Module) if each.__module__.startswith(f"{room}.")}
    parts = {type(part) for make, *_ in EVERY.values() for part in make().modules()}
    # These read windows of series, which have no padding: tests/encoders/test_steps.py.
    assert known - parts == {StepVectors, GappedSteps}


def test_every_layer_is_here():
    """Those that tests/laws/test_laws.py holds to the laws of layers."""
    made = [make() for make in (RIVALS | layers(PLAIN["lstm"])).values()]
    assert made_here(Layer) <= {type(part) for one in made for part in one.modules()}


def test_what_is_below_a_subclass_is_found_too():
    class Below(CopyingHead):
        __module__ = "recurra.heads.below"

    assert Below in made_here(Head)


def layer_output(outputs):
    """What a layer returns of such outputs."""
    padded = isinstance(outputs, PaddedSequence)
    values, lengths = (outputs.values, outputs.lengths) if padded else (outputs, None)
    return LayerOutput(outputs, last_step(values, lengths), None)


def padded(values, fill):
    mask = BEHIND[: len(values)]
    mask = mask.view(*mask.shape, *(1,) * (values.dim() - 2))
    lengths = torch.tensor(LENGTHS).clamp(max=len(values))
    return PaddedSequence(values.masked_fill(mask, fill), lengths)


def cut(read, *places):
    return map_tree(lambda leaf: leaf[places], read)


def rows_of(read, fills, number):
    """What is read with something in its padding."""
    if isinstance(read, tuple):
        return tuple(padded(one, f[number]) for one, f in zip(read, fills, strict=True))
    return padded(read, fills[number])


@pytest.mark.parametrize(("make", "read", "fills"), EVERY.values(), ids=EVERY)
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
    each_row = head.row_losses(head(layer_output(read)), answers).detach()
    by_rows = 0.0
    for row, length in enumerate(LENGTHS):
        alone = head(layer_output(values[:length, row : row + 1]))
        answer = targets[:length, row : row + 1] if steps else targets[row : row + 1]
        of_row = float(head.score(alone, answer)[0].detach())
        assert float(each_row[row]) == pytest.approx(of_row, abs=1e-10)
        by_rows += of_row
    assert float(results[0][0].detach()) == pytest.approx(by_rows, abs=1e-10)
    # The broken twin: padding that takes part changes the sum.
    every = head.score(head(layer_output(values)), targets)[0]
    assert abs(float(every.detach()) - by_rows) > 1e-3


def rows_alone(read, begin, stop, row=None):
    """Some steps of what is read, of one row or of all."""
    rows = slice(None) if row is None else slice(row, row + 1)
    return map_tree(lambda one: PaddedSequence.from_padded(one[begin:stop, rows]), read)


@pytest.mark.parametrize(("make", "read", "fills"), PADDED.values(), ids=PADDED)
def test_encoder_of_padded_rows(make, read, fills):
    """Each row, of several inputs too, is as it is alone, also the one that is empty."""
    encoder = make()
    whole = encoder(rows_of(read, fills, 0))
    for row, length in enumerate(LENGTHS):
        alone = encoder(rows_alone(read, 0, length, row))
        close(whole.last[row], alone.last[0])


@pytest.mark.parametrize(("make", "read", "fills"), PICTURES.values(), ids=PICTURES)
def test_encoder_of_pictures_and_chunks(make, read, fills):
    """One that says it is causal goes on from part to part; another one refuses to."""
    encoder = make()
    whole = encoder(rows_alone(read, 0, TIME))
    if not encoder.causal:
        with pytest.raises(recurra.errors.ShapeError, match="read together"):
            encoder(rows_alone(read, 0, TIME), whole.state)
        return
    first = encoder(rows_alone(read, 0, 4))
    second = encoder(rows_alone(read, 4, TIME), first.state)
    close(torch.cat([first.outputs.values, second.outputs.values]), whole.outputs.values)
    close_trees(second.state, whole.state)


@pytest.mark.parametrize(
    ("make", "targets"), [(m, r) for m, r, _ in (ENCODERS | PICTURES).values()] + [*HEADS.values()]
)
def test_saved(make, targets):
    one, other = make(), make()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.5)
    read = torch.randn(TIME, BATCH, 4, dtype=torch.float64)

    def result(module):
        if isinstance(module, Encoder):
            return module(map_tree(PaddedSequence.from_padded, targets)).outputs.values
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
