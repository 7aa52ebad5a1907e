"""A student of one or several teachers: what it learns, what is carried, who cannot teach it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from stopping import stopped_at
from torch import Tensor
from torch.nn import functional
from typer.testing import CliRunner

import recurra
from recurra import artifact
from recurra.batch import Batch
from recurra.cli import app
from recurra.errors import ArtifactError, DataError, SettingError
from recurra.models import Model
from recurra.training import about, load_recipe, resume, train
from recurra.training.distil import DistilSettings, Lesson

if TYPE_CHECKING:
    from tests.conftest import TinyRun

QUICK = ["model.hidden_size=6", "model.layers=1", "model.dropout=0.1", "training.symbols=1500"]
QUICK += ["training.batch_size=4", "training.window=16", "training.evaluations=2"]


def taught(*teachers: Path, **settings: float) -> list[str]:
    """The changes that name teachers."""
    named = json.dumps([str(path) for path in teachers])
    return [f"distil.teacher={named}", *(f"distil.{n}={v}" for n, v in settings.items())]


@pytest.fixture(scope="module")
def second(text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another teacher on the same text."""
    path = tmp_path_factory.mktemp("second") / "run"
    changes = ["model.layers=1", "training.symbols=4000", "training.seed=3", "model.cell=gru"]
    train(load_recipe("language-model", [*QUICK, *changes]), [text], path)
    return path


@pytest.fixture(scope="module")
def student(tiny_run: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of one that learned from the tiny run."""
    path = tmp_path_factory.mktemp("student") / "run"
    train(load_recipe("language-model", [*QUICK, *taught(tiny_run.path)]), [tiny_run.text], path)
    return path


def weights(run: Path, which: str = "last") -> bytes:
    return (artifact.resolve(run, which) / "model.safetensors").read_bytes()


def windows(run: artifact.Artifact, text: str, size: int) -> Iterator[Batch]:
    """The first two windows of the text's training part, of two rows."""
    data = load_recipe("language-model").data
    prepared = run.task.prepare_in([text], run.fronts, data, Path(), lambda said: None)
    batches = prepared.parts["training"].batches(rows=2, window=size, seed=0)
    assert not batches.begins(1)
    yield from (batches.batch(number) for number in range(2))


def pupil(run: artifact.Artifact) -> Model:
    """A small model before its first step."""
    torch.manual_seed(1)
    return run.task.build(
        load_recipe("language-model", [*QUICK, "model.dropout=0"]).model, run.fronts
    )


# ---- what is minimized ---------------------------------------------------------------------------


@pytest.mark.parametrize(("temperature", "weight"), [(2.0, 0.5), (4.0, 0.9), (1.0, 1.0)])
def test_the_equation_over_two_windows_with_two_teachers(
    temperature: float,
    weight: float,
    tiny_run: TinyRun,
    second: Path,
    tmp_path: Path,
    monkeypatch: Any,
) -> None:
    """Windows with what both carry are the whole; of teachers the probabilities are averaged."""
    monkeypatch.chdir(tmp_path)
    one, other = artifact.load(tiny_run.path), artifact.load(second)
    parts = list(windows(one, tiny_run.text, 8))
    small = pupil(one)
    lesson = Lesson(
        small,
        [one.model, other.model],
        DistilSettings(teacher="x", temperature=temperature, weight=weight),
    )
    found, carried, lost = [], None, []
    for batch in parts:
        scored, minimized = lesson(batch, carried)
        carried = scored.state
        found.append(minimized.item())
        lost.append(scored.total.item())
    whole = Batch(torch.cat([b.inputs for b in parts]), torch.cat([b.targets for b in parts]))

    def scores(model: Model) -> Tensor:
        read, shared, _ = model._read(whole, None)
        return model.head(read, shared).detach()

    z = scores(small)
    p = sum((scores(each.model) / temperature).softmax(-1) for each in (one, other)) / 2
    log_q = (z / temperature).log_softmax(-1)
    soft = temperature**2 * (p * (p.log() - log_q)).sum(-1)
    hard = functional.cross_entropy(z.flatten(0, 1), whole.targets.flatten(), reduction="none")
    for number, part in enumerate(hard.view(2, 8, 2)):
        by_hand = (1 - weight) * part.sum() + weight * soft.view(2, 8, 2)[number].sum()
        assert found[number] == pytest.approx(float(by_hand), rel=1e-5)
        assert lost[number] == pytest.approx(float(part.sum()), rel=1e-5)


def test_parts_of_a_batch_add_up_and_teachers_stay_as_they_are(
    tiny_run: TinyRun, second: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """As several processes read it, each some rows; a teacher evaluates and learns nothing."""
    monkeypatch.chdir(tmp_path)
    origin = artifact.load(second)  # with dropout
    batch = next(windows(origin, tiny_run.text, 8))
    before = {name: value.clone() for name, value in origin.model.state_dict().items()}
    lesson = Lesson(pupil(origin), [origin.model], DistilSettings(teacher="x"))
    _, whole = lesson(batch, None)
    origin.model.train()  # whoever left it so: what it says is drawn from no dropout
    assert lesson(batch, None)[1].item() == whole.item()
    origin.model.eval()
    halves = [lesson(batch.part(lambda n, k=k: slice(k, k + 1)), None)[1] for k in range(2)]
    assert sum(half.item() for half in halves) == pytest.approx(whole.item(), rel=1e-5)
    whole.backward()
    assert not origin.model.training
    assert all(parameter.grad is None for parameter in origin.model.parameters())
    assert all(bool((before[n] == v).all()) for n, v in origin.model.state_dict().items())


def test_without_weight_it_is_a_plain_training(tiny_run: TinyRun, tmp_path: Path) -> None:
    plain, none = tmp_path / "plain", tmp_path / "none"
    train(load_recipe("language-model", QUICK), [tiny_run.text], plain)
    changes = [*QUICK, *taught(tiny_run.path, weight=0)]
    train(load_recipe("language-model", changes), [tiny_run.text], none)
    assert weights(none) == weights(plain)


def test_a_teacher_and_its_temperature_make_a_difference(
    student: Path, tiny_run: TinyRun, tmp_path: Path
) -> None:
    plain, warm = tmp_path / "plain", tmp_path / "warm"
    train(load_recipe("language-model", QUICK), [tiny_run.text], plain)
    changes = [*QUICK, *taught(tiny_run.path, temperature=4.0)]
    train(load_recipe("language-model", changes), [tiny_run.text], warm)
    assert len({weights(run) for run in (plain, warm, student)}) == 3


# ---- a run ---------------------------------------------------------------------------------------


def test_a_run_names_its_teachers_and_has_none_of_their_weights(
    student: Path, tiny_run: TinyRun, second: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    both = (tiny_run.path, second)
    train(load_recipe("language-model", [*QUICK, *taught(*both)]), [tiny_run.text], run)
    places = [artifact.resolve(path, "best") for path in both]
    told = [{"path": str(p.absolute()), "sha256": artifact.fingerprint(p)} for p in places]
    assert artifact.load(run).about["teachers"] == told
    assert json.loads((run / "data.json").read_text())["teachers"] == told
    assert not (run / "origin").exists()
    assert all(each["path"] in str(about(run)) for each in told)
    alone = sum(p.numel() for p in artifact.load(student).model.parameters())
    assert sum(p.numel() for p in artifact.load(run).model.parameters()) == alone
    assert weights(run) != weights(student)
    for name, front in artifact.load(run).fronts.items():
        assert front.to_json() == artifact.load(tiny_run.path).fronts[name].to_json()


def test_it_goes_on_bit_for_bit(student: Path, tiny_run: TinyRun, tmp_path: Path) -> None:
    run = tmp_path / "run"
    chosen = load_recipe("language-model", [*QUICK, *taught(tiny_run.path)])
    stopped = train(chosen, [tiny_run.text], run, stopped_at(7))
    assert stopped.interrupted
    resume(run, [tiny_run.text])
    assert weights(run) == weights(student)
    assert (run / "summary.json").read_bytes() == (student / "summary.json").read_bytes()


def test_it_goes_on_with_the_same_teacher_alone(tiny_run: TinyRun, tmp_path: Path) -> None:
    old, run = shutil.copytree(tiny_run.path, tmp_path / "old"), tmp_path / "run"
    chosen = load_recipe("language-model", [*QUICK, *taught(old)])
    train(chosen, [tiny_run.text], run, stopped_at(7))
    place = artifact.resolve(old, "best")
    config = (place / "config.json").read_text()
    (place / "config.json").write_text(config.replace('"kind"', ' "kind"'))
    with pytest.raises(ArtifactError, match=r"distil.teacher: .* is another model than the one"):
        resume(run, [tiny_run.text])
    shutil.rmtree(old)
    with pytest.raises(ArtifactError, match=r"distil.teacher: .*there is none"):
        resume(run, [tiny_run.text])


def test_the_doors_and_the_command_give_the_same_bits(
    student: Path, tiny_run: TinyRun, tmp_path: Path
) -> None:
    file, door, typed = tmp_path / "text.txt", tmp_path / "door", tmp_path / "typed"
    file.write_text(tiny_run.text)
    changes = dict(change.removeprefix("training.").split("=") for change in QUICK)
    settings: dict[str, Any] = {name: json.loads(value) for name, value in changes.items()}
    settings["distil"] = {"teacher": [tiny_run.path]}
    recurra.train("language-model", str(file), out=door, report=lambda told: None, **settings)
    args = ["train", "language-model", "--data", file, "--teacher", tiny_run.path, "--out", typed]
    words = [word for change in QUICK for word in ("--set", change)]
    result = CliRunner().invoke(app, [*map(str, args), *words])
    assert result.exit_code == 0, result.output
    assert weights(door) == weights(typed) == weights(student)


def test_it_reads_as_its_teacher_does(text: str, tmp_path: Path) -> None:
    """What a teacher settles of the data stands where nobody chose, and else is refused."""
    words = tmp_path / "words"
    train(load_recipe("language-model", [*QUICK, "data.vocabulary=words"]), [text], words)
    chosen = load_recipe("language-model", [*QUICK, *taught(words)])
    assert (chosen.data.vocabulary, chosen.model.hidden_size) == ("words", 6)
    own = [*QUICK, "data.vocabulary=characters", *taught(words)]
    said = refused(own, [text])
    assert said.startswith("data.vocabulary: the model of ")
    assert "has 'words', which a run that learns from it keeps; got 'characters'" in said


# ---- who cannot teach ----------------------------------------------------------------------------


def refused(changes: list[str], source: Any, recipe: str = "language-model") -> str:
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "run"

        def begin() -> None:
            train(load_recipe(recipe, changes), source, out)

        with pytest.raises((SettingError, DataError, ArtifactError)) as problem:
            begin()
        assert not out.exists()
    return str(problem.value)


def test_a_teacher_that_is_not_there_or_damaged(tiny_run: TinyRun, tmp_path: Path) -> None:
    said = refused([*QUICK, *taught(tmp_path / "nowhere")], [tiny_run.text])
    assert said == (
        f"distil.teacher: {tmp_path / 'nowhere'}: expected a run or an artifact's folder, there "
        "is none."
    )
    run = shutil.copytree(tiny_run.path, tmp_path / "run")
    path = artifact.resolve(run, "best") / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    assert "damaged, its checksum" in refused([*QUICK, *taught(run)], [tiny_run.text])


def test_a_teacher_of_another_task(tiny_run: TinyRun) -> None:
    said = refused(taught(tiny_run.path), ([["a"]] * 20, ["x"] * 20), "classification")
    assert said.startswith(f"distil.teacher: {artifact.resolve(tiny_run.path, 'best')} is a model")
    assert "of the task language-model, the recipe is of classification" in said


def test_teachers_that_read_other_numbers(tiny_run: TinyRun, tmp_path: Path) -> None:
    other = tmp_path / "other"
    train(load_recipe("language-model", QUICK), ["zoe likes the big owl.\n" * 60], other)
    said = refused([*QUICK, *taught(tiny_run.path, other)], [tiny_run.text])
    assert "expected models that read and answer in the same numbers" in said
    assert "differ in 'text'" in said
    # So it is where a run begins with one and learns from another.
    begun = artifact.load(other)
    chosen = load_recipe("language-model", [*taught(tiny_run.path), *QUICK[3:]], origin=begun)
    with pytest.raises(SettingError, match="differ in 'text'"):
        train(chosen, [tiny_run.text], tmp_path / "never", origin=begun)


SERIES = ["model.hidden_size=4", "model.bidirectional=false", "training.epochs=1"]


def two_kinds(third: str = "fast") -> tuple[list[Any], list[str]]:
    time = torch.arange(12.0)
    rows = [(rate * time + n).sin().numpy() for rate in (0.4, 1.6) for n in range(30)]
    return rows, ["slow"] * 30 + ["fast"] * 20 + [third] * 10


def test_a_class_that_the_teacher_has_no_name_for(tmp_path: Path) -> None:
    train(load_recipe("classification", SERIES), two_kinds(), tmp_path / "run")
    said = refused([*SERIES, *taught(tmp_path / "run")], two_kinds("odd"), "classification")
    assert "expected classes of the model that the run begins with or learns from" in said
    assert "got 'odd'" in said


def test_a_classifier_of_both_ways_learns_too(tmp_path: Path) -> None:
    """Of rows of other lengths, that carry nothing."""
    rows, labels = two_kinds()
    ragged = [row[: 6 + number % 7] for number, row in enumerate(rows)]
    big, small = tmp_path / "big", tmp_path / "small"
    train(load_recipe("classification", ["training.epochs=2"]), (ragged, labels), big)
    changes = [*SERIES, *taught(big)]
    done = train(load_recipe("classification", changes), (ragged, labels), small)
    assert done.evaluations


SENTENCES = [(("the", "walk", "runs"), ("D", "N", "V")), (("they", "walk"), ("P", "V"))] * 15


def test_heads_that_cannot_learn_are_named(tmp_path: Path) -> None:
    tiny = ["model.hidden_size=4", "model.layers=1", "training.epochs=1"]
    paths = {}
    for head in ("crf", "softmax"):
        paths[head] = tmp_path / head
        changes = [*tiny, f"model.head={head}"]
        train(load_recipe("tagging", changes), SENTENCES, paths[head])
    said = refused([*tiny, *taught(paths["crf"])], SENTENCES, "tagging")
    assert said.startswith("distil.teacher: CRFHead has no `distilled`")
    said = refused([*tiny, "model.head=softmax", *taught(paths["crf"])], SENTENCES, "tagging")
    assert "expected a teacher with a LabelsHead, as the student has, got CRFHead" in said
    changes = [*tiny, "model.head=softmax", *taught(paths["softmax"])]
    assert train(load_recipe("tagging", changes), SENTENCES, tmp_path / "small").evaluations


def test_a_forecaster_learns_means(tmp_path: Path) -> None:
    rows = [(0.3 * torch.arange(50.0) + n).sin().numpy() for n in range(2)]
    tiny = ["training.epochs=1", "model.layers=1", "data.horizon=2", "data.look_back=4"]
    runs = {name: tmp_path / name for name in ("big", "plain", "taught")}
    small = [*tiny, "model.hidden_size=4"]
    train(load_recipe("forecasting", [*tiny, "model.hidden_size=12"]), rows, runs["big"])
    train(load_recipe("forecasting", small), rows, runs["plain"])
    train(load_recipe("forecasting", [*small, *taught(runs["big"])]), rows, runs["taught"])
    assert weights(runs["plain"]) != weights(runs["taught"])
    rolling = [*small, "model.decoding=autoregressive", *taught(runs["big"])]
    said = refused(rolling, rows, "forecasting")
    assert "expected student and teacher to say 1 steps at a time" in said


def test_settings_that_teach_nobody() -> None:
    with pytest.raises(
        SettingError, match=r"distil.weight: expected it to be left out.*no teacher"
    ):
        load_recipe("language-model", ["distil.weight=0.3"])
    with pytest.raises(SettingError, match=r"distil.temperature: expected .*greater than 0"):
        load_recipe("language-model", ["distil.temperature=0"])


def test_what_is_made_at_once_is_not_taught(tiny_run: TinyRun, text: str, tmp_path: Path) -> None:
    ngram = tmp_path / "ngram"
    train(load_recipe("ngram"), [text], ngram)
    with pytest.raises(SettingError, match=r"distil.teacher: .*makes its model at once"):
        load_recipe("ngram", taught(ngram))
    with pytest.raises(SettingError, match=r"distil.teacher: .*makes its model at once"):
        load_recipe("ngram", taught(Path(tiny_run.path)))  # of another task: no word of that
