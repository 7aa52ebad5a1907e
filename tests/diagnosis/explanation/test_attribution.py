"""Which steps made an answer: sums that are complete, known steps, and other libraries."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import nn

import recurra
from recurra.batch import Tokens
from recurra.data.synthetic import AddingTask
from recurra.diagnosis import attribute
from recurra.diagnosis.explanation.attribution import METHODS
from recurra.diagnosis.subject import Subject
from recurra.errors import SettingError, ShapeError
from recurra.heads import Head
from recurra.heads.base import Explained
from recurra.models import (
    Classifier,
    ClassifierConfig,
    EncoderDecoder,
    EncoderDecoderConfig,
    LanguageModel,
    LanguageModelConfig,
    Model,
    Recognizer,
    RecognizerSettings,
    Tagger,
    TaggerSettings,
)

ROWS = [[1, 2, 3, 4, 5], [6, 7], [8], []]
GRADIENTS = ("integrated gradients", "gradient times input")


def ids(rows=ROWS):
    return recurra.PaddedSequence.from_list([torch.tensor(row, dtype=torch.int64) for row in rows])


def frames(size, rows=(5, 2, 1, 0)):
    return recurra.PaddedSequence.from_list([torch.randn(n, size) for n in rows])


def classifier(**settings):
    torch.manual_seed(0)
    told = {"classes": 3, "hidden_size": 6, "cell": "lstm"} | settings
    told |= {} if "reads" in told else {"vocabulary_size": 20}
    return Classifier(ClassifierConfig(**told))


def of_frames(**settings):
    reads = {"series": {"form": "frames", "sizes": [3]}}
    return classifier(reads=reads, **settings)


def labels(rows=4):
    return torch.arange(rows) % 3


def complete(found, allowed=0.01):
    """Whether sums are what they explain."""
    total = torch.stack([found.steps(name).sum(0) for name in found.parts]).sum(0)
    change = found.output - found.at_baseline
    size = change.abs().clamp(min=1e-5)
    return bool(((total - change).abs() <= allowed * size).all())


class Reader(nn.Module):
    """An LSTM of torch's that says scores of rows, batch first."""

    def __init__(self, symbols=None, **settings):
        super().__init__()
        torch.manual_seed(1)
        self.table = None if symbols is None else nn.Embedding(symbols, 4)
        self.lstm = nn.LSTM(4, 8, batch_first=True, **settings)
        self.out = nn.Linear(16 if settings.get("bidirectional") else 8, 3)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        x = x if self.table is None else self.table(x)
        return self.out(self.dropout(self.lstm(x)[0][:, -1]))


# ---- sums ----------------------------------------------------------------------------------------


def models():
    """A model of each task, and a batch of it."""
    text, series = ids(), frames(3)
    words = recurra.PaddedSequence(text.values % 5, text.lengths)
    yield "labels", classifier(layers=2), recurra.Batch(text, labels(), target_axis=0), {}
    loss = {"output": "loss"}
    yield "their loss", classifier(), recurra.Batch(text, labels(), target_axis=0), loss
    language = LanguageModel(LanguageModelConfig(vocabulary_size=20, hidden_size=8, tied=True))
    yield "language", language, recurra.Batch(text, text), {}
    yield "its loss", language, recurra.Batch(text, text), loss
    decoder = EncoderDecoderConfig(
        reads={"text": {"form": "tokens", "sizes": [20]}}, symbols=9, hidden_size=6
    )
    yield "said", EncoderDecoder(decoder), recurra.Batch(text, words), {}
    settings = TaggerSettings(hidden_size=6, layers=1)
    yield "tags", Tagger(settings, tags=5, channels=3), recurra.Batch(series, words), {}
    heard = Recognizer(RecognizerSettings(hidden_size=6, layers=1), reads=[3], symbols=4)
    spoken = ids([[1, 2], [1], [], []])
    long = frames(3, (12, 8, 4, 2))
    yield "speech", heard, recurra.Batch(long, spoken), {}


NAMES = [name for name, *_ in models()]


@pytest.mark.parametrize(("name", "model", "batch", "how"), [*models()], ids=NAMES)
def test_sums_are_the_change_that_they_explain(name, model, batch, how):
    found = attribute(model, batch, **how)
    assert complete(found)
    assert float(found.gap.max()) <= 0.01
    (part,) = found.parts
    length = found.lengths[part]
    for row, end in enumerate(length.tolist()):
        assert bool((found.steps()[end:, row] == 0).all())
        assert end == 0 or bool(found.steps()[:end, row].any())


@pytest.mark.parametrize("distribution", ["student", "squared"])
def test_a_forecaster_is_explained_by_what_it_read(distribution):
    model, batch = forecaster(distribution)
    found = attribute(model, batch, baseline="mean")
    assert complete(found)
    assert set(found.parts) == {"values"}
    assert found.values.shape == batch.inputs.values.shape
    assert complete(attribute(model, batch, output="loss"))
    first = attribute(model, batch, step=0, label=1, method="occlusion")
    assert first.output == pytest.approx(model.answer(batch).mean[:, 0, 1].detach())


def test_an_answer_is_what_is_predicted_with_gradients():
    for model, batch in [
        forecaster("student"),
        *((model, batch) for _, model, batch, _ in models()),
    ]:
        with torch.no_grad():
            model.eval()
            said, predicted = (
                recurra.states.leaves(f(batch)) for f in (model.answer, model.predict)
            )
        assert len(said) == len(predicted)
        for one, other in zip(said, predicted, strict=True):
            values = [part.values if hasattr(part, "lengths") else part for part in (one, other)]
            torch.testing.assert_close(*values)


def forecaster(distribution):
    from recurra.encoders import SeriesSteps
    from recurra.models import SeriesModel, SeriesModelConfig

    torch.manual_seed(0)
    config = SeriesModelConfig(channels=2, horizon=3, hidden_size=6, distribution=distribution)
    values = torch.randn(6, 3, 2)
    none = torch.zeros(6, 3, 0)
    codes = none.long()
    steps = SeriesSteps(
        values, none, none, codes, torch.zeros(1, 3, 3, 0), torch.zeros(1, 3, 3, 0).long()
    )
    return SeriesModel(config), recurra.Batch(steps, torch.randn(1, 3, 3, 2))


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_any_layers(layers, bidirectional):
    model = of_frames(layers=layers, bidirectional=bidirectional)
    assert complete(attribute(model, recurra.Batch(frames(3), labels(), target_axis=0)))


def test_more_points_are_taken_until_sums_are_right():
    """A step of the answer, which few points miss."""
    x = torch.ones(1, 2, 1) * torch.tensor([1.0, 0.001]).view(1, 2, 1)

    def steep(inputs):
        return torch.tanh(40 * (inputs[0, :, 0] - 0.37))

    few = attribute(steep, x, alphas=2)
    assert complete(few)
    assert few.alphas.tolist()[0] > 2
    assert few.alphas.tolist()[1] == 2  # that row has nothing steep on its way
    with pytest.warns(UserWarning, match=r"with 4 points the sums of 1 rows .* in row 0.*most="):
        attribute(steep, x, alphas=2, most=4)


# ---- other libraries -----------------------------------------------------------------------------


@pytest.mark.parametrize("symbols", [None, 20])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("converted", [False, True])
def test_integrated_gradients_are_those_of_captum(symbols, bidirectional, converted):
    attr = pytest.importorskip("captum.attr", reason="needs captum, which is not installed")
    model = Reader(symbols, bidirectional=bidirectional, num_layers=2).eval()
    x = torch.randint(20, (5, 7)) if symbols else torch.randn(5, 7, 4)
    label = torch.tensor([0, 1, 2, 1, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if symbols:
            theirs = attr.LayerIntegratedGradients(model, model.table)
            base = torch.zeros(1, 7, 4)
            inner = copy.deepcopy(model)
            inner.table = None
            vectors = model.table(x).detach()
            expected = attr.IntegratedGradients(inner).attribute(vectors, base, label, n_steps=64)
            del theirs
        else:
            expected = attr.IntegratedGradients(model).attribute(x, 0.0, label, n_steps=64)
    ours = copy.deepcopy(model)
    if converted:
        recurra.convert(ours)
    found = attribute(ours, x, label=label, batch_first=True, alphas=64)
    torch.testing.assert_close(found.values.transpose(0, 1), expected.float(), rtol=1e-4, atol=1e-6)
    raw = model(x).gather(1, label[:, None])[:, 0]
    torch.testing.assert_close(found.output, raw.detach(), rtol=1e-4, atol=1e-6)


def test_occlusion_is_the_fall_of_the_answer():
    model = of_frames()
    batch = recurra.Batch(frames(3), labels(), target_axis=0)
    found = attribute(model, batch, "occlusion", label=1)
    for row, length in enumerate(batch.inputs.lengths.tolist()):
        for step in range(length):
            values = batch.inputs.values.clone()
            values[step, row] = 0
            other = recurra.Batch(recurra.PaddedSequence(values, batch.inputs.lengths), None)
            fall = [model.predict(each).log_softmax(1)[row, 1] for each in (batch, other)]
            assert float(found.steps()[step, row]) == pytest.approx(
                float(fall[0] - fall[1]), abs=1e-5
            )


def test_windows_are_occluded_together():
    x = torch.tensor([1.0, 10.0, 100.0]).view(3, 1, 1)
    found = attribute(lambda v: v.sum((0, 2)), x, "occlusion", window=2)
    # the windows are 0-1, 1-2 and 2 alone
    assert found.steps()[:, 0].tolist() == pytest.approx([11, (11 + 110) / 2, (110 + 100) / 2])


def test_rescaling_is_how_gradients_change():
    """Of a product both numbers of the step matter, of a sum none changes a gradient."""

    def answer(v):
        return v[1, :, 0] * v[1, :, 1] + v[0].sum(-1)

    x = torch.tensor([[[5.0, 7.0, 1.0]], [[2.0, 3.0, 9.0]]])
    found = attribute(answer, x, "rescaling")
    assert found.values[0].abs().sum() == 0
    # without the step the gradients 3 and 2 become 0; without the first number the second's 2 does
    assert found.values[1, 0].tolist() == pytest.approx([5.0 * 2.0, 5.0 * 3.0, 0.0])


# ---- known steps ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def adder():
    torch.manual_seed(0)

    class Adder(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.head = recurra.Recurrent(recurra.GRUCell(2, 32)), nn.Linear(32, 1)

        def forward(self, x):
            return self.head(self.layer(x).last)

    model, task = Adder(), AddingTask(30)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for step, batch in zip(range(600), task.batches(64, seed=0), strict=False):
        optimizer.param_groups[0]["lr"] = 0.01 * max(0.02, 1 - step / 600)
        optimizer.zero_grad()
        nn.functional.mse_loss(model(batch.inputs), batch.targets).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model, task


def first_two(found, marks):
    return float(marks.gather(0, found.steps().abs().topk(2, 0).indices).float().mean())


def test_the_marked_steps_of_the_adding_problem_are_found(adder):
    """As many steps are named as are marked, so precision and recall are the same number."""
    model, task = adder
    inputs = task.batch(200, seed=7).inputs
    marks, middle = inputs[..., 1] > 0, inputs.clone()
    middle[..., 0] = 0.5  # the mean of the numbers, in the places that are marked
    found = attribute(model, inputs, baseline=middle)
    assert complete(found)
    assert first_two(found, marks) >= 0.95
    assert first_two(attribute(model, inputs, "occlusion", baseline=middle), marks) >= 0.95
    assert first_two(attribute(model, inputs, "rescaling"), marks) >= 0.95
    untrained = copy.deepcopy(model)
    for parameter in untrained.parameters():
        nn.init.normal_(parameter, std=0.3)
    assert first_two(attribute(untrained, inputs, baseline=middle), marks) < 0.5


# ---- padding, modes, what stays ------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_padding_never_enters(method):
    model, clean = of_frames(layers=2), frames(3)
    torn = clean.values.clone()
    torn[~clean.mask] = torch.nan
    batches = [
        recurra.Batch(recurra.PaddedSequence(values, clean.lengths), labels(), target_axis=0)
        for values in (clean.values, torn)
    ]
    first, second = (attribute(model, batch, method) for batch in batches)
    assert torch.equal(first.values, second.values)
    assert bool((second.values[~clean.mask] == 0).all())
    assert second.values.isfinite().all()
    alone = recurra.Batch(
        clean.select_rows(torch.tensor([1])).truncate(2), labels()[1:2], target_axis=0
    )
    assert attribute(model, alone, method).steps()[:, 0] == pytest.approx(
        second.steps()[:2, 1], abs=1e-6
    )


@pytest.mark.parametrize("method", METHODS)
def test_modes_gradients_and_hooks_stay_as_they_were(method):
    model = Reader(20, num_layers=2, dropout=0.3)
    model.lstm.eval()
    x = torch.randint(20, (3, 5))
    seen = []
    handle = model.out.register_forward_hook(
        lambda *_: seen.append((model.training, torch.backends.cudnn.enabled))
    )
    with torch.no_grad():
        first = attribute(model, x, method, batch_first=True)
        second = attribute(model, x, method, batch_first=True)
    handle.remove()
    assert torch.equal(first.values, second.values)  # no dropout
    assert set(seen) == {(False, False)}  # cuDNN gives no gradients in evaluation mode
    assert torch.backends.cudnn.enabled
    assert model.training
    assert model.dropout.training
    assert not model.lstm.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.table._forward_hooks


def test_an_error_inside_leaves_no_hook():
    model = Reader(20)
    with pytest.raises(ShapeError, match="label"):
        attribute(model, torch.randint(20, (3, 5)), label=9, batch_first=True)
    assert model.training
    assert not model.table._forward_hooks


def test_memory_is_bounded_and_changes_nothing():
    model, sizes = of_frames(), []
    batch = recurra.Batch(frames(3), labels(), target_axis=0)
    for method in METHODS:
        whole = attribute(model, batch, method)
        handle = model.encoder.register_forward_pre_hook(
            lambda module, args: sizes.append(args[0].values[..., 0].numel())
        )
        small = attribute(model, batch, method, steps_at_once=11)
        handle.remove()
        torch.testing.assert_close(small.values, whole.values, rtol=1e-4, atol=1e-6)
    assert max(sizes[2:]) <= 20  # the batch itself, which is asked about as a whole, has 20


# ---- corners -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_an_input_that_is_the_baseline_gave_nothing(method):
    rows = recurra.PaddedSequence(torch.full((4, 2, 3), 2.5), torch.tensor([4, 2]))
    batch = recurra.Batch(rows, labels(2), target_axis=0)
    found = attribute(of_frames(), batch, method, baseline=2.5)
    assert bool((found.values == 0).all())
    if method == METHODS[0]:
        assert found.gap.tolist() == [0, 0]


@pytest.mark.parametrize("method", METHODS)
def test_one_step_one_row_and_none(method):
    model = of_frames()
    one = recurra.Batch(frames(3, (1,)), labels(1), target_axis=0)
    assert attribute(model, one, method).steps().shape == (1, 1)
    empty = recurra.Batch(
        recurra.PaddedSequence(torch.zeros(3, 0, 3), torch.zeros(0, dtype=torch.int64)),
        labels(0),
        target_axis=0,
    )
    assert attribute(model, empty, method).steps().shape == (3, 0)
    idle = recurra.Batch(
        recurra.PaddedSequence(torch.ones(2, 2, 3), torch.tensor([0, 2])), labels(2), target_axis=0
    )
    assert bool((attribute(model, idle, method).steps()[:, 0] == 0).all())


def test_a_model_with_context():
    class Shifted(recurra.Cell):
        takes_context = True

        def __init__(self):
            super().__init__(3, 3)

        def initial_state(self, batch):
            return recurra.cells.HiddenState(self.zeros(batch))

        def step(self, x, state, context=None, noise=None):
            h = torch.tanh(x * context.gain + 0.5 * state.h)
            return h, recurra.cells.HiddenState(h)

    from typing import NamedTuple

    from recurra.encoders import FrameEncoder, Frames
    from recurra.heads import LabelHead

    class Context(NamedTuple):
        gain: torch.Tensor

    torch.manual_seed(0)
    layer = recurra.Recurrent(Shifted())
    model = Model(FrameEncoder(Frames(3), layer), LabelHead(3, 2))
    gain = torch.tensor([[1.0], [0.0], [2.0]])
    batch = recurra.Batch(frames(3, (4, 3, 2)), labels(3) % 2, context=Context(gain), target_axis=0)
    found = attribute(model, batch, steps_at_once=7)
    assert complete(found)
    assert bool((found.steps()[:, 1] == 0).all())  # it is deaf there
    assert bool(found.steps()[:, 2].any())


def test_unknown_tokens_and_conditions():
    model = LanguageModel(
        LanguageModelConfig(vocabulary_size=20, hidden_size=8, conditions={"topic": 3})
    )
    read = Tokens(torch.tensor([[0, 1], [0, 2]]), torch.zeros(2, 2, 1, dtype=torch.int64))
    found = attribute(model, recurra.Batch(read, torch.tensor([[1, 2], [3, 4]])), output="loss")
    assert set(found.parts) == {"encoder.embedding", "encoder.conditions.0"}
    assert complete(found)
    with pytest.raises(SettingError, match=r"say which of encoder\.embedding"):
        found.values  # noqa: B018
    with pytest.raises(ShapeError, match="expected 0 to 19, got 99"):
        attribute(classifier(), recurra.Batch(ids([[99]]), labels(1), target_axis=0))


def test_missing_numbers_stay_missing_and_gave_nothing():
    model, batch = forecaster("student")
    batch.inputs.values[2, 1, 0] = torch.nan
    found = attribute(model, batch)
    assert complete(found)
    assert float(found.values[2, 1, 0]) == 0


def test_several_baselines_are_a_mean():
    model, x = Reader(), torch.randn(2, 5, 4)
    others = [torch.randn(5, 2, 4) for _ in range(3)]
    apart = [attribute(model, x, baseline=one, batch_first=True) for one in others]
    found = attribute(model, x, baseline=others, batch_first=True)
    torch.testing.assert_close(found.values, torch.stack([a.values for a in apart]).mean(0))
    assert complete(found)


@pytest.mark.parametrize("method", METHODS)
def test_steps_may_be_numbers_and_not_vectors(method):
    found = attribute(lambda x: (x**2).sum(0), torch.tensor([[1.0, 0.0], [2.0, 3.0]]), method)
    assert found.steps().shape == (2, 2)
    assert float(found.steps()[0, 1]) == 0
    assert bool(found.steps()[1].all())


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"method": "magic"}, "method: expected one of integrated gradients"),
        ({"output": "lots"}, "expected a function, 'loss' or None"),
        ({"output": "loss"}, "expected a Model and a batch with targets"),
        ({"output": lambda a: a.sum()}, r"expected \[2\] or \[2, labels\]"),
        ({"output": lambda a: a[:, 0] / 0}, "finite number to explain, got .*inf of row 0"),
        ({"baseline": torch.zeros(3)}, r"expected a number, or a tensor that spreads"),
        ({"baseline": "median"}, "'mean', got 'median'"),
        ({"baseline": []}, "at least one"),
        ({"label": 3}, "label: expected 0 to 2, got 3"),
        ({"step": 1}, "step: expected none"),
        ({"window": 0}, "window"),
        ({"at": ["lstn"]}, "lstm"),
        ({"at": ["out"]}, r"out: expected numbers \[batch, time, ...\] of 2 rows"),
    ],
)
def test_what_does_not_fit_is_said(how, told):
    with pytest.raises((SettingError, ShapeError), match=told):
        attribute(Reader(), torch.randn(2, 5, 4), batch_first=True, **how)


def test_an_infinite_loss_is_said():
    model = classifier()
    with torch.no_grad():
        model.label_head.projection.bias[2] = -torch.inf
    batch = recurra.Batch(ids(), labels(), target_axis=0)
    with pytest.raises(
        SettingError, match="a finite number to explain, got inf of row 2 at the in"
    ):
        attribute(model, batch, output="loss")
    assert complete(attribute(model, batch))  # another label is explained


def test_an_input_without_numbers_is_said():
    with pytest.raises(SettingError, match=r"nothing to attribute to: .* at= names modules"):
        attribute(lambda x: x.sum(0) * 1.0, torch.ones(3, 2, dtype=torch.int64))


def test_losses_of_rows_are_those_of_each_alone():
    for _, model, batch, _ in models():
        model.eval()
        asked = Subject(model, batch)
        with torch.no_grad():
            found = asked.losses(asked.every)
            alone = [model(batch.part(lambda n, r=r: slice(r, r + 1))).total for r in range(4)]
        torch.testing.assert_close(found, torch.stack(alone), rtol=1e-4, atol=1e-5)


class Twofold(Head):
    """A head of one's own: two scores of a row, of which the first should be the target."""

    def __init__(self, said):
        super().__init__()
        self.input_size, self.said = 8, said

    def forward(self, read, embedding=None):
        return read.last[:, :2]

    def score(self, predictions, targets):
        return self.row_losses(predictions, targets).sum(), len(targets)

    def row_losses(self, predictions, targets):
        return (predictions[:, 0] - targets).square()

    def explained(self, answer, *, step=False):
        return self.said(answer) if self.said else None


class Silent(Twofold):
    """One that says nothing of rows."""

    def score(self, predictions, targets):
        return (predictions[:, 0] - targets).square().sum(), len(targets)

    def row_losses(self, predictions, targets):
        return None


def test_a_head_of_ones_own_needs_no_word_here():
    """What it does not say is explained by its loss, if it says that of each row."""
    batch = recurra.Batch(ids(), torch.randn(4), target_axis=0)
    for said, wanted in (
        (None, lambda answer: (answer[:, 0] - batch.targets).square()),
        (Explained, lambda answer: answer.max(1).values),
        (lambda answer: Explained(answer, labels=False), lambda answer: answer.mean(1)),
    ):
        encoder = classifier(hidden_size=4, bidirectional=True).encoder
        model = Model(encoder, Twofold(said)).eval()
        found = attribute(model, batch)
        assert complete(found)
        torch.testing.assert_close(found.output, wanted(model.predict(batch)))
    with pytest.raises(SettingError, match="got Silent, which has no row_losses of its own"):
        attribute(Model(encoder, Silent(None)), batch)


def test_a_table_tells_the_most_important_steps():
    found = attribute(lambda v: v[1, :, 0] * 3, torch.ones(3, 2, 1))
    lines = str(found).splitlines()
    assert lines[0].split() == ["row", "explained", "at", "baseline", "most", "gap", "points"]
    assert "1: 3," in lines[1]
    assert "0.00%" in lines[1]


def test_without_a_model_lengths_say_which_step_is_the_last():
    """What a call answers of a row behind its end is not explained."""
    torch.manual_seed(0)
    layer = recurra.Recurrent(recurra.GRUCell(3, 4)).double()
    x = torch.randn(6, 2, 3, dtype=torch.float64)

    def call(inputs, lengths=None):
        return layer(inputs, lengths=lengths).outputs

    found = recurra.diagnosis.attribute(call, x, lengths=[6, 3], method="occlusion")
    alone = recurra.diagnosis.attribute(call, x[:3, 1:], method="occlusion")
    steps = found.steps()
    assert torch.allclose(steps[:3, 1], alone.steps()[:, 0])
    assert not steps[3:, 1].any()
    assert steps[5, 0] != 0
