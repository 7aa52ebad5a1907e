"""A classifier of texts: shapes, padding, chance, and what its settings change."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from recurra import Batch, Classifier, ClassifierConfig, PaddedSequence
from recurra.errors import SettingError, ShapeError
from recurra.models import Reads

IDS = torch.tensor([[3, 4, 5], [6, 0, 99], [7, 0, 99]])
LENGTHS = [3, 1, 0]  # what no vocabulary has is padding


def make(**settings: Any) -> Classifier:
    torch.manual_seed(0)
    return Classifier(ClassifierConfig(vocabulary_size=9, classes=4, hidden_size=5, **settings))


def batch() -> Batch:
    return Batch(PaddedSequence(IDS, LENGTHS), torch.tensor([2, 0, 3]), target_axis=0)


@pytest.mark.parametrize("pool", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("more", [{}, {"cell": "lstm", "layers": 2, "bidirectional": False}])
def test_rows_stand_alone(pool: str, more: dict[str, Any]) -> None:
    model = make(pool=pool, **more).double()
    model.starts_at([1, 2, 3, 4])
    together = model.predict(batch())
    assert together.shape == (3, 4)
    for row, length in enumerate(LENGTHS):
        alone = model.predict(Batch(IDS[:length, row : row + 1], None))
        torch.testing.assert_close(alone[0], together[row])
    scored = model(batch())
    want = torch.nn.functional.cross_entropy(together, batch().targets, reduction="sum")
    torch.testing.assert_close(scored.total, want)
    assert scored.count == 3
    scored.total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    # An empty row is given what the frequencies say.
    assert together[2].softmax(-1).tolist() == pytest.approx([n / 14 for n in (2, 3, 4, 5)])


@pytest.mark.parametrize("setting", ["dropout", "dropout_word", "dropout_recurrent"])
def test_every_rate_draws_in_training_alone(setting: str) -> None:
    model = make(**{setting: 0.5})
    totals = {float(model.train()(batch()).total.detach()) for _ in range(8)}
    assert len(totals) > 1
    assert len({float(model.eval()(batch()).total.detach()) for _ in range(3)}) == 1


def test_sizes() -> None:
    model = make(embedding_size=3, embedding_spread=0.25)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert shapes["encoder.embedding.weight"] == (9, 3)
    assert shapes["head.projection.weight"] == (4, 10)
    wide = Classifier(ClassifierConfig(vocabulary_size=9999, classes=4, embedding_spread=0.25))
    assert wide.encoder.embedding_weight is not None
    assert float(wide.encoder.embedding_weight.detach().std()) == pytest.approx(0.25, rel=0.01)


def steps(rows: int, *, seed: int = 0) -> PaddedSequence:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(9, rows, 3, generator=generator, dtype=torch.float64)
    return PaddedSequence(values, torch.tensor([9, 4, 0, 1][:rows]))


ONE_WAY = {"bidirectional": False}
FRAMES = {"x": Reads(form="frames", sizes=[3])}
BODIES = ("recurrent", "feed-forward", "window", "convolution")


def of_frames(**settings: Any) -> Classifier:
    torch.manual_seed(0)
    known = {"hidden_size": 5, "reads": FRAMES, "classes": 4}
    return Classifier(ClassifierConfig(**known | settings)).double()


@pytest.mark.parametrize("pool", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("body", BODIES)
def test_a_stream_is_answered_after_every_step(pool: str, body: str) -> None:
    """Whole = parts = steps, and each is what the row up to there would be answered with."""
    model = of_frames(pool=pool, body=body, bidirectional=False, layers=2, calibrate=True)
    model.label_head.temperature.fill_(1.7)
    read = steps(4)
    whole, _ = model.listen(read)
    for row, length in enumerate(read.lengths.tolist()):
        for step in range(length):
            alone = PaddedSequence.from_padded(read.values[: step + 1, row : row + 1])
            torch.testing.assert_close(
                whole.values[step, row], model.predict(Batch(alone, None))[0]
            )
    for size in (1, 4):
        heard, parts = None, []
        for part in read.windows(size):
            said, heard = model.listen(part, heard)
            parts.append(said.values)
        torch.testing.assert_close(torch.cat(parts), whole.values)


def test_what_reads_both_ways_says_nothing_before_the_end() -> None:
    for settings in ({}, {"body": "transformer", "hidden_size": 4}, {"stride": 2, **ONE_WAY}):
        with pytest.raises(ShapeError, match=r"bidirectional=false|both ways"):
            of_frames(**settings).listen(steps(2))


def test_classes_of_few_examples_count_as_much_as_those_of_many() -> None:
    model = of_frames(balanced=True).train()
    model.starts_at([30, 10, 0, 10])
    assert model.label_head.weights is not None
    weights = model.label_head.weights.tolist()
    assert weights == pytest.approx([51 / 4 / 30, 51 / 4 / 10, 51 / 4, 51 / 4 / 10])
    read, targets = steps(4), torch.tensor([0, 1, 2, 3])
    scores = model.label_head(model.encoder(read))
    each = torch.nn.functional.cross_entropy(scores, targets, reduction="none")
    total = model(Batch(read, targets, target_axis=0)).total
    torch.testing.assert_close(total, (each * torch.tensor(weights, dtype=torch.float64)).sum())
    plain = model.eval()(Batch(read, targets, target_axis=0)).total
    torch.testing.assert_close(plain, each.sum())


def test_several_labels_weigh_alike_on_both_sides() -> None:
    model = of_frames(several=True, balanced=True)
    model.starts_at([90, 10, 0, 50], 100)
    assert model.label_head.weights is not None
    assert model.label_head.weights.tolist() == pytest.approx([10 / 90, 9, 99, 1])


def test_pictures_that_are_seen_whole_have_no_cell() -> None:
    reads = {"picture": Reads(form="pictures", sizes=[4, 4, 1], steps=False)}
    assert of_frames(reads=reads).name == "network of pictures"
    assert of_frames(reads=reads, picture_as="rows").name == "gru"
    assert of_frames(body="window").name == "window"
    idle = dict(of_frames(reads=reads).config.unread(reads))
    assert {"cell", "layers", "body"} <= idle.keys()
    assert "cell" not in dict(of_frames().config.unread(FRAMES))


def test_several_labels() -> None:
    model = of_frames(several=True)
    model.starts_at([9, 1, 0, 10], 10)
    read, targets = steps(4), torch.tensor([[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0]])
    said = model.predict(Batch(read, None))
    # An empty row is given what the frequencies say.
    assert said[2].sigmoid().tolist() == pytest.approx([10 / 12, 2 / 12, 1 / 12, 11 / 12])
    scored = model(Batch(read, targets, target_axis=0))
    want = torch.nn.functional.binary_cross_entropy_with_logits(
        said, targets.double(), reduction="sum"
    )
    torch.testing.assert_close(scored.total, want)
    assert scored.count == 4
    assert model.head.reference == pytest.approx(4 * math.log(2))
    with pytest.raises(ShapeError, match="0 or 1 for each class"):
        model(Batch(read, torch.tensor([0, 1, 2, 3]), target_axis=0))


def test_a_temperature_makes_what_is_known_most_probable() -> None:
    """Scores that are three times too sure are divided by three, and no class changes."""
    generator = torch.Generator().manual_seed(0)
    scores = 2 * torch.randn(4000, 4, generator=generator, dtype=torch.float64)
    targets = torch.multinomial(scores.softmax(1), 1, generator=generator)[:, 0]
    model = of_frames(calibrate=True)
    model.label_head.calibrate(3 * scores, targets)
    assert float(model.label_head.temperature) == pytest.approx(3, rel=0.05)
    assert "head.temperature" in model.state_dict()
    assert "head.temperature" not in of_frames().state_dict()


def test_inputs_beside_each_other_may_be_missing() -> None:
    reads = FRAMES | {"y": Reads(form="pictures", sizes=[4, 4, 1], steps=False)}
    for fuse in ("late", "early", "ask"):
        asks = {"asks": "y"} if fuse == "ask" else {}
        model = of_frames(reads=reads, fuse=fuse, pool="mean", **ONE_WAY, **asks).eval()
        series = PaddedSequence(steps(2).values[:1], torch.tensor([1, 1]))
        pictures = PaddedSequence(torch.rand(1, 2, 4, 4, 1).double(), torch.tensor([1, 0]))
        said = model.predict(Batch((series, pictures), None))
        other = PaddedSequence(pictures.values.flip(1), pictures.lengths)  # what is missing is not
        again = model.predict(Batch((series, other), None))
        torch.testing.assert_close(said[1], again[1])
        assert not torch.allclose(said[0], again[0])


def test_what_a_question_asks_of_steps_hangs_on_both() -> None:
    """The difference that a step makes to the scores is another one for another question."""
    reads = FRAMES | {"y": Reads(form="tokens", sizes=[5])}
    model = of_frames(reads=reads, fuse="ask", pool="mean").eval()
    read = steps(1)
    asked = PaddedSequence(torch.tensor([[1], [2]]), torch.tensor([2]))
    other = PaddedSequence(torch.tensor([[3], [4]]), torch.tensor([2]))
    changed = PaddedSequence(read.values + 1, read.lengths)

    def says(frames: PaddedSequence, question: PaddedSequence) -> torch.Tensor:
        found: torch.Tensor = model.predict(Batch((frames, question), None))
        return found

    one = says(changed, asked) - says(read, asked)
    two = says(changed, other) - says(read, other)
    assert not torch.allclose(one, two)
    late = of_frames(reads=reads, pool="mean").eval()  # beside each other: the same for both
    model = late
    one = says(changed, asked) - says(read, asked)
    torch.testing.assert_close(one, says(changed, other) - says(read, other))


def test_which_input_asks() -> None:
    frames = {"x": Reads(form="frames", sizes=[3])}
    text = Reads(form="tokens", sizes=[5])
    settings = of_frames(fuse="ask").config
    assert settings.asking(frames | {"q": text}) == "q"
    for reads in (frames, frames | {"y": frames["x"]}, {"p": text, "q": text}):
        with pytest.raises(SettingError, match=r"fuse: 'ask' expected two inputs.*model\.asks"):
            settings.asking(reads)
    chosen = of_frames(fuse="ask", asks="p").config
    assert chosen.asking({"p": text, "q": text}) == "p"
    with pytest.raises(ValueError, match="fuse='late' has none"):
        of_frames(asks="q")


def test_some_inputs_are_left_out_in_training_and_never_all() -> None:
    reads = FRAMES | {"y": Reads(form="frames", sizes=[3])}
    model = of_frames(reads=reads, dropout_missing=0.6, pool="mean").train()
    row = steps(1)
    totals = {
        round(float(model(Batch((row, row), torch.tensor([1]), target_axis=0)).total.detach()), 9)
        for _ in range(60)
    }
    assert len(totals) == 3  # both, and each of the two


def test_an_attention_that_looks_several_times_answers_whole_rows() -> None:
    model = of_frames(pool="attention", hops=2, **ONE_WAY)
    assert model.label_head.pooling.hops == 2
    with pytest.raises(ShapeError, match="hops=1 for a stream"):
        model.listen(steps(2))
    with pytest.raises(ValueError, match=r"pool='max' looks at nothing"):
        of_frames(hops=2)
    late = of_frames(reads=FRAMES | {"y": FRAMES["x"]}, pool="attention", hops=2)
    assert late.label_head.pooling.hops == 1
    told = dict(late.config.unread(late.config.reads))
    assert told["hops"] == "inputs are pooled each by itself"
